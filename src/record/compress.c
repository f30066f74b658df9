#include "record/compress.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "record/compress_int.h"

static const struct record_codec *const codecs[OT_COMPRESSION_COUNT] = {
	[OT_COMPRESSION_NONE] = &record_codec_none,
	[OT_COMPRESSION_GZIP] = &record_codec_gzip,
	[OT_COMPRESSION_SNAPPY] = &record_codec_snappy,
	[OT_COMPRESSION_LZ4] = &record_codec_lz4,
	[OT_COMPRESSION_ZSTD] = &record_codec_zstd,
};

const char *
ot_compression_name(enum ot_compression compression)
{
	OT_ASSERT(compression < OT_COMPRESSION_COUNT);
	return codecs[compression]->name;
}

bool
ot_compression_from_name(struct ot_str name, enum ot_compression *ret_compression)
{
	for (unsigned i = 0; i < OT_COMPRESSION_COUNT; i++) {
		if (ot_str_is(name, codecs[i]->name)) {
			*ret_compression = (enum ot_compression)i;
			return true;
		}
	}
	return false;
}

struct ot_codec_ctx *
ot_codec_ctx_create(void)
{
	return ot_alloc(sizeof(struct ot_codec_ctx));
}

void
ot_codec_ctx_destroy(struct ot_codec_ctx *ctx)
{
	if (ctx == NULL)
		return;
	OT_ASSERT(ctx->codec == NULL);
	for (unsigned i = 0; i < OT_COMPRESSION_COUNT; i++)
		codecs[i]->free_state(ctx);
	ot_free(ctx->window);
	ot_free(ctx);
}

void
ot_codec_ctx_trim(struct ot_codec_ctx *ctx)
{
	OT_ASSERT(ctx->codec == NULL);
	for (unsigned i = 0; i < OT_COMPRESSION_COUNT; i++) {
		if (codecs[i]->trim != NULL)
			codecs[i]->trim(ctx);
	}
	if (ctx->window_bytes > RECORD_KEEP_BYTES_MAX) {
		ot_free(ctx->window);
		ctx->window = NULL;
		ctx->window_bytes = 0;
	}
}

ot_err
record_corrupt(struct ot_codec_ctx *ctx, const char *problem)
{
	ctx->problem = problem;
	return OT_ERR_CORRUPT_MESSAGE;
}

size_t
record_bytes_allowed(const struct ot_codec_ctx *ctx)
{
	return ctx->bytes_max - ctx->bytes_out;
}

/* Says what an error in the piece in progress means. */
static ot_err
explain(const struct ot_codec_ctx *ctx, ot_err err, struct ot_why *why)
{
	const char *name = ctx->codec->name;
	if (err == OT_ERR_CORRUPT_MESSAGE)
		ot_why_set(why, "The %s data of the batch is corrupt: %s.", name,
		    ctx->problem != NULL ? ctx->problem : "its structure is not valid");
	else if (err == OT_ERR_RECORD_LIST_TOO_LARGE)
		ot_why_set(why, "The %s data of the batch holds more than the %zu bytes allowed.",
		    name, ctx->bytes_max);
	else
		ot_why_set(why, "No memory to decompress the %s data of the batch.", name);
	return err;
}

ot_err
ot_decompress_open(struct ot_codec_ctx *ctx, const struct ot_compressed *in, struct ot_why *why)
{
	OT_ASSERT(ctx->codec == NULL);
	OT_ASSERT(in->compression < OT_COMPRESSION_COUNT);
	if (in->compression == OT_COMPRESSION_ZSTD && in->magic < 2) {
		ot_why_set(why, "Message format v%d has no zstd.", in->magic);
		return OT_ERR_UNSUPPORTED_COMPRESSION_TYPE;
	}
	ctx->codec = codecs[in->compression];
	ctx->in = ot_reader_of(in->data, in->bytes);
	ctx->magic = in->magic;
	ctx->is_ended = false;
	ctx->bytes_out = 0;
	ctx->bytes_max = in->bytes_max;
	ctx->problem = NULL;
	ot_err err = ctx->codec->open(ctx);
	if (err != OT_OK) {
		err = explain(ctx, err, why);
		ot_decompress_close(ctx);
	}
	return err;
}

/* The bound is reached: whether this was the end, too. */
static ot_err
probe_end(struct ot_codec_ctx *ctx)
{
	uint8_t byte;
	size_t bytes = 0;
	ot_err err = ctx->is_ended ? OT_OK : ctx->codec->read(ctx, &byte, 1, &bytes);
	if (err != OT_OK)
		return err;
	return bytes > 0 ? OT_ERR_RECORD_LIST_TOO_LARGE : OT_OK;
}

ot_err
ot_decompress_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes,
    struct ot_why *why)
{
	OT_ASSERT(ctx->codec != NULL && capacity > 0);
	size_t bytes = 0;
	while (bytes < capacity && !ctx->is_ended) {
		size_t allowed = record_bytes_allowed(ctx);
		size_t more = 0;
		ot_err err = allowed == 0 ? probe_end(ctx)
		                          : ctx->codec->read(ctx, to + bytes,
						OT_MIN(capacity - bytes, allowed), &more);
		if (err != OT_OK)
			return explain(ctx, err, why);
		OT_ASSERT(more <= allowed && (more > 0 || ctx->is_ended));
		bytes += more;
		ctx->bytes_out += more;
	}
	*ret_bytes = bytes;
	return OT_OK;
}

void
ot_decompress_close(struct ot_codec_ctx *ctx)
{
	ctx->codec = NULL;
}

/* How much to make room for at first: most batches shrink to a quarter or less. */
static size_t
guess_bytes(const struct ot_compressed *in)
{
	size_t guess = OT_MAX(in->bytes * 4, (size_t)RECORD_WINDOW_BYTES);
	return OT_MAX(OT_MIN(guess, in->bytes_max), (size_t)1);
}

ot_err
ot_decompress(struct ot_codec_ctx *ctx, const struct ot_compressed *in, struct ot_writer *out,
    struct ot_why *why)
{
	ot_err err = ot_decompress_open(ctx, in, why);
	if (err != OT_OK)
		return err;
	size_t step = guess_bytes(in);
	size_t bytes;
	do {
		bytes = 0;
		if (!ot_writer_reserve(out, step)) {
			err = explain(ctx, OT_ERR_NO_MEMORY, why);
			break;
		}
		size_t room = out->capacity - out->bytes;
		err = ot_decompress_read(ctx, out->data + out->bytes, room, &bytes, why);
		if (err == OT_OK)
			out->bytes += bytes;
	} while (err == OT_OK && !ctx->is_ended);
	ot_decompress_close(ctx);
	return err;
}

ot_err
ot_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	OT_ASSERT(to->compression < OT_COMPRESSION_COUNT);
	if (bytes > INT32_MAX)
		return OT_ERR_MESSAGE_TOO_LARGE;
	ot_err err = codecs[to->compression]->compress(ctx, to, data, bytes, out);
	if (err == OT_OK && out->failed)
		err = OT_ERR_NO_MEMORY;
	return err;
}

/* none: a copy, so that callers need not tell the cases apart. */

static ot_err
none_open(struct ot_codec_ctx *ctx)
{
	ctx->is_ended = ot_reader_left(&ctx->in) == 0;
	return OT_OK;
}

static ot_err
none_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	size_t bytes = OT_MIN(capacity, ot_reader_left(&ctx->in));
	memcpy(to, ot_read_raw(&ctx->in, bytes), bytes);
	ctx->is_ended = ot_reader_left(&ctx->in) == 0;
	*ret_bytes = bytes;
	return OT_OK;
}

static ot_err
none_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	(void)ctx;
	(void)to;
	ot_write_raw(out, data, bytes);
	return OT_OK;
}

static void
none_free(struct ot_codec_ctx *ctx)
{
	(void)ctx;
}

const struct record_codec record_codec_none = {
	.name = "none",
	.open = none_open,
	.read = none_read,
	.compress = none_compress,
	.free_state = none_free,
};
