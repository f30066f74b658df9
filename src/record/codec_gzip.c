/* gzip: ISA-L opens everything and makes the fast levels, zlib makes the others.
 *
 * Levels 1 to 3 are ISA-L's of the same number, some five times faster than zlib's for a result
 * that is a few percent larger; from 4 on, and by default (6), zlib's ratio is what was asked for.
 */
#include "record/compress_int.h"

#include <string.h>

#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/panic.h"

enum {
	GZIP_LEVEL_DEFAULT = 6,
	GZIP_LEVEL_ISAL_MAX = 3,
	GZIP_WINDOW_BITS = 15 + 16, /* zlib: the largest window, with a gzip header */
	GZIP_MEMORY_LEVEL = 8,      /* zlib's default */
	GZIP_MEMBER_BYTES_MIN = 18,
	GZIP_OUT_STEP_BYTES = 16 * 1024,
};

struct record_gzip {
	struct inflate_state *inflate;
	struct isal_zstream *isal;
	uint8_t *isal_level_buf;
	z_stream *zlib;
	int zlib_level;
};

static bool
ensure_state(struct ot_codec_ctx *ctx)
{
	if (ctx->gzip == NULL)
		ctx->gzip = ot_alloc(sizeof(*ctx->gzip));
	return ctx->gzip != NULL;
}

static void
begin_member(struct ot_codec_ctx *ctx)
{
	struct inflate_state *state = ctx->gzip->inflate;
	isal_inflate_init(state);
	state->crc_flag = ISAL_GZIP;
	state->next_in = (uint8_t *)(uintptr_t)ctx->in.next; /* ISA-L only reads there */
	state->avail_in = (uint32_t)ot_reader_left(&ctx->in);
}

static ot_err
gzip_open(struct ot_codec_ctx *ctx)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	if (ctx->gzip->inflate == NULL)
		ctx->gzip->inflate = ot_alloc_raw(sizeof(*ctx->gzip->inflate));
	if (ctx->gzip->inflate == NULL)
		return OT_ERR_NO_MEMORY;
	if (ot_reader_left(&ctx->in) < GZIP_MEMBER_BYTES_MIN)
		return record_corrupt(ctx, "it is shorter than a gzip header and trailer");
	begin_member(ctx);
	return OT_OK;
}

/* A member has ended. Another may follow; anything else behind it is ignored, as Java does. */
static void
next_member(struct ot_codec_ctx *ctx)
{
	static const uint8_t gzip_magic[2] = { 0x1f, 0x8b };
	const struct inflate_state *state = ctx->gzip->inflate;
	/* The trailer is read in whole words: what was read too far comes back as whole bytes. */
	size_t unread = state->avail_in + (size_t)(state->read_in_length / 8);
	ctx->in.next = ctx->in.end - unread;
	if (unread >= GZIP_MEMBER_BYTES_MIN && memcmp(ctx->in.next, gzip_magic, 2) == 0)
		begin_member(ctx);
	else
		ctx->is_ended = true;
}

static ot_err
gzip_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	struct inflate_state *state = ctx->gzip->inflate;
	capacity = OT_MIN(capacity, (size_t)UINT32_MAX);
	size_t bytes = 0;
	while (bytes == 0 && !ctx->is_ended) {
		uint32_t left_before = state->avail_in;
		state->next_out = to;
		state->avail_out = (uint32_t)capacity;
		int result = isal_inflate(state);
		if (result == ISAL_INCORRECT_CHECKSUM)
			return record_corrupt(ctx, "its checksum does not match");
		if (result != ISAL_DECOMP_OK)
			return record_corrupt(ctx, "its deflate structure is not valid");
		bytes = capacity - state->avail_out;
		if (state->block_state == ISAL_BLOCK_FINISH)
			next_member(ctx);
		else if (bytes == 0 && state->avail_in == left_before)
			return record_corrupt(ctx, "it ends before its last block");
	}
	*ret_bytes = bytes;
	return OT_OK;
}

static uint32_t
isal_level_buf_bytes(uint32_t level)
{
	static const uint32_t bytes[] = { 0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
		ISAL_DEF_LVL3_DEFAULT };
	return bytes[level];
}

static ot_err
compress_isal(struct record_gzip *gzip, uint32_t level, const void *data, size_t bytes,
    struct ot_writer *out)
{
	if (gzip->isal == NULL)
		gzip->isal = ot_alloc_raw(sizeof(*gzip->isal));
	if (gzip->isal_level_buf == NULL)
		gzip->isal_level_buf = ot_alloc_raw(ISAL_DEF_LVL3_DEFAULT);
	if (gzip->isal == NULL || gzip->isal_level_buf == NULL)
		return OT_ERR_NO_MEMORY;
	struct isal_zstream *stream = gzip->isal;
	isal_deflate_init(stream);
	stream->gzip_flag = IGZIP_GZIP;
	stream->level = level;
	stream->level_buf = gzip->isal_level_buf;
	stream->level_buf_size = isal_level_buf_bytes(level);
	stream->end_of_stream = 1;
	stream->flush = NO_FLUSH;
	stream->next_in = (uint8_t *)(uintptr_t)data;
	stream->avail_in = (uint32_t)bytes;
	while (stream->internal_state.state != ZSTATE_END) {
		if (!ot_writer_reserve(out, OT_MAX(bytes / 4, (size_t)GZIP_OUT_STEP_BYTES)))
			return OT_ERR_NO_MEMORY;
		size_t room = OT_MIN(out->capacity - out->bytes, (size_t)UINT32_MAX);
		stream->next_out = out->data + out->bytes;
		stream->avail_out = (uint32_t)room;
		int result = isal_deflate(stream);
		OT_ASSERT(result == COMP_OK);
		out->bytes += room - stream->avail_out;
	}
	return OT_OK;
}

/* A stream of that level at its start; kept from batch to batch while the level stays. */
static z_stream *
ensure_zlib(struct record_gzip *gzip, int level)
{
	if (gzip->zlib != NULL && gzip->zlib_level == level) {
		deflateReset(gzip->zlib);
		return gzip->zlib;
	}
	if (gzip->zlib == NULL)
		gzip->zlib = ot_alloc(sizeof(*gzip->zlib));
	else
		deflateEnd(gzip->zlib);
	if (gzip->zlib == NULL)
		return NULL;
	*gzip->zlib = (z_stream){ 0 };
	gzip->zlib_level = level;
	if (deflateInit2(gzip->zlib, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
		Z_DEFAULT_STRATEGY) == Z_OK)
		return gzip->zlib;
	ot_free(gzip->zlib);
	gzip->zlib = NULL;
	return NULL;
}

static ot_err
compress_zlib(struct record_gzip *gzip, int level, const void *data, size_t bytes,
    struct ot_writer *out)
{
	z_stream *stream = ensure_zlib(gzip, level);
	if (stream == NULL)
		return OT_ERR_NO_MEMORY;
	size_t bound = deflateBound(stream, bytes);
	if (!ot_writer_reserve(out, bound))
		return OT_ERR_NO_MEMORY;
	stream->next_in = (uint8_t *)(uintptr_t)data;
	stream->avail_in = (uInt)bytes;
	stream->next_out = out->data + out->bytes;
	stream->avail_out = (uInt)OT_MIN(bound, (size_t)UINT32_MAX);
	int result = deflate(stream, Z_FINISH);
	OT_ASSERT(result == Z_STREAM_END);
	out->bytes = (size_t)(stream->next_out - out->data);
	return OT_OK;
}

static ot_err
gzip_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	/* compression.gzip.level: -1 is the default, 1 to 9 as zlib's. */
	int32_t level = to->level;
	if (level < 1 || level > Z_BEST_COMPRESSION)
		level = GZIP_LEVEL_DEFAULT;
	if (level <= GZIP_LEVEL_ISAL_MAX)
		return compress_isal(ctx->gzip, (uint32_t)level, data, bytes, out);
	return compress_zlib(ctx->gzip, level, data, bytes, out);
}

static void
gzip_free(struct ot_codec_ctx *ctx)
{
	struct record_gzip *gzip = ctx->gzip;
	if (gzip == NULL)
		return;
	if (gzip->zlib != NULL)
		deflateEnd(gzip->zlib);
	ot_free(gzip->zlib);
	ot_free(gzip->isal);
	ot_free(gzip->isal_level_buf);
	ot_free(gzip->inflate);
	ot_free(gzip);
	ctx->gzip = NULL;
}

const struct record_codec record_codec_gzip = {
	.name = "gzip",
	.open = gzip_open,
	.read = gzip_read,
	.compress = gzip_compress,
	.free_state = gzip_free,
};
