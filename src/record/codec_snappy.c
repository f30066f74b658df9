/* snappy: Xerial's framing and bare blocks.
 *
 * A block is opened whole, since a snappy block has no smaller unit: into the caller's memory when
 * it fits, otherwise into a buffer of our own, from which later reads are served.
 *
 * A block states its length before its data, so a lying one could make us allocate the whole bound
 * for nothing. No element of the format makes more than 64 bytes of 3 (a copy with a two-byte
 * offset), hence a claim beyond 64/3 of the block's bytes is refused before any allocation.
 */
#include "record/compress_int.h"

#include <string.h>

#include <snappy-c.h>

#include "base/alloc.h"
#include "base/panic.h"

enum {
	XERIAL_HEADER_BYTES = 16,
	XERIAL_BLOCK_BYTES = 32 * 1024, /* what Java writes per block */
	XERIAL_VERSION = 1,
	SNAPPY_EXPANSION_MAX = 22, /* 64/3, rounded up */
};

static const uint8_t xerial_magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

struct record_snappy {
	bool is_framed;
	uint8_t *block; /* the block that did not fit, opened */
	size_t block_capacity;
	size_t block_bytes;
	size_t block_given; /* of block_bytes, already read */
};

static bool
ensure_state(struct ot_codec_ctx *ctx)
{
	if (ctx->snappy == NULL)
		ctx->snappy = ot_alloc(sizeof(*ctx->snappy));
	return ctx->snappy != NULL;
}

static bool
starts_frame(const struct ot_reader *in)
{
	return ot_reader_left(in) >= XERIAL_HEADER_BYTES &&
	       memcmp(in->next, xerial_magic, sizeof(xerial_magic)) == 0;
}

static ot_err
snappy_open(struct ot_codec_ctx *ctx)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	ctx->snappy->is_framed = starts_frame(&ctx->in);
	ctx->snappy->block_bytes = 0;
	ctx->snappy->block_given = 0;
	if (ot_reader_left(&ctx->in) == 0)
		return record_corrupt(ctx, "it is empty");
	/* The two versions are not looked at: some clients wrote them in the wrong byte order. */
	if (ctx->snappy->is_framed)
		ot_read_raw(&ctx->in, XERIAL_HEADER_BYTES);
	return OT_OK;
}

/* The raw block that comes next. */
static ot_err
next_block(struct ot_codec_ctx *ctx, const uint8_t **ret_data, size_t *ret_bytes)
{
	size_t bytes = ot_reader_left(&ctx->in);
	if (ctx->snappy->is_framed) {
		/* Streams may have been put behind each other, headers and all. */
		while (starts_frame(&ctx->in))
			ot_read_raw(&ctx->in, XERIAL_HEADER_BYTES);
		int32_t length = ot_read_i32(&ctx->in);
		if (ctx->in.failed || length < 0)
			return record_corrupt(ctx, "the length of a block is not valid");
		bytes = (size_t)length;
	}
	*ret_data = ot_read_raw(&ctx->in, bytes);
	if (*ret_data == NULL)
		return record_corrupt(ctx, "it ends inside a block");
	*ret_bytes = bytes;
	return OT_OK;
}

static ot_err
ensure_block_buffer(struct record_snappy *snappy, size_t bytes)
{
	if (snappy->block_capacity >= bytes)
		return OT_OK;
	ot_free(snappy->block);
	snappy->block_capacity = 0;
	snappy->block = ot_alloc_raw(bytes);
	if (snappy->block == NULL)
		return OT_ERR_NO_MEMORY;
	snappy->block_capacity = bytes;
	return OT_OK;
}

/* Opens the next block: straight to `to` when it fits there, *ret_bytes counts it then. */
static ot_err
open_block(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	struct record_snappy *snappy = ctx->snappy;
	const uint8_t *data = NULL;
	size_t bytes = 0, opened;
	ot_err err = next_block(ctx, &data, &bytes);
	if (err != OT_OK)
		return err;
	if (snappy_uncompressed_length((const char *)data, bytes, &opened) != SNAPPY_OK)
		return record_corrupt(ctx, "the opened length of a block is not valid");
	if (opened > bytes * SNAPPY_EXPANSION_MAX)
		return record_corrupt(ctx, "a block claims more than its bytes can hold");
	if (opened > record_bytes_allowed(ctx))
		return OT_ERR_RECORD_LIST_TOO_LARGE;
	bool is_direct = opened <= capacity;
	if (!is_direct) {
		err = ensure_block_buffer(snappy, opened);
		if (err != OT_OK)
			return err;
	}
	char *target = (char *)(is_direct ? to : snappy->block);
	size_t produced = opened;
	if (snappy_uncompress((const char *)data, bytes, target, &produced) != SNAPPY_OK)
		return record_corrupt(ctx, "a block's data is not valid");
	OT_ASSERT(produced == opened);
	*ret_bytes = is_direct ? produced : 0;
	snappy->block_bytes = is_direct ? 0 : produced;
	snappy->block_given = 0;
	return OT_OK;
}

static ot_err
snappy_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	struct record_snappy *snappy = ctx->snappy;
	size_t bytes = 0;
	while (bytes == 0 && !ctx->is_ended) {
		size_t waiting = snappy->block_bytes - snappy->block_given;
		if (waiting > 0) {
			bytes = OT_MIN(waiting, capacity);
			memcpy(to, snappy->block + snappy->block_given, bytes);
			snappy->block_given += bytes;
		} else if (ot_reader_left(&ctx->in) == 0) {
			ctx->is_ended = true;
		} else {
			ot_err err = open_block(ctx, to, capacity, &bytes);
			if (err != OT_OK)
				return err;
		}
	}
	*ret_bytes = bytes;
	return OT_OK;
}

static ot_err
snappy_compress_framed(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	(void)ctx;
	(void)to;
	ot_write_raw(out, xerial_magic, sizeof(xerial_magic));
	ot_write_i32(out, XERIAL_VERSION);
	ot_write_i32(out, XERIAL_VERSION);
	const char *next = data;
	for (size_t left = bytes; left > 0;) {
		size_t block = OT_MIN(left, (size_t)XERIAL_BLOCK_BYTES);
		size_t made = snappy_max_compressed_length(block);
		if (!ot_writer_reserve(out, made + 4))
			return OT_ERR_NO_MEMORY;
		char *target = (char *)(out->data + out->bytes + 4);
		snappy_status status = snappy_compress(next, block, target, &made);
		OT_ASSERT(status == SNAPPY_OK);
		ot_write_i32(out, (int32_t)made);
		out->bytes += made;
		next += block;
		left -= block;
	}
	return OT_OK;
}

static void
snappy_free(struct ot_codec_ctx *ctx)
{
	if (ctx->snappy == NULL)
		return;
	ot_free(ctx->snappy->block);
	ot_free(ctx->snappy);
	ctx->snappy = NULL;
}

static void
snappy_trim(struct ot_codec_ctx *ctx)
{
	if (ctx->snappy != NULL && ctx->snappy->block_capacity > RECORD_KEEP_BYTES_MAX)
		snappy_free(ctx);
}

const struct record_codec record_codec_snappy = {
	.name = "snappy",
	.open = snappy_open,
	.read = snappy_read,
	.compress = snappy_compress_framed,
	.free_state = snappy_free,
	.trim = snappy_trim,
};
