/* zstd.
 *
 * A frame may demand a window of up to 128 MiB (level 22 without a known content size does, however
 * small the batch), and the library reserves it before the first byte comes out. It touches only
 * what it fills, which the bound limits, so the reservation costs address space but no memory.
 */
#include "record/compress_int.h"

#include <zstd.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { ZSTD_LEVEL_KAFKA_DEFAULT = 3 };

struct record_zstd {
	ZSTD_DCtx *decompress;
	ZSTD_CCtx *compress;
	bool is_frame_open; /* the last call left a frame unfinished */
};

static bool
ensure_state(struct ot_codec_ctx *ctx)
{
	if (ctx->zstd == NULL)
		ctx->zstd = ot_alloc(sizeof(*ctx->zstd));
	return ctx->zstd != NULL;
}

static ot_err
zstd_open(struct ot_codec_ctx *ctx)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	if (ctx->zstd->decompress == NULL)
		ctx->zstd->decompress = ZSTD_createDCtx();
	if (ctx->zstd->decompress == NULL)
		return OT_ERR_NO_MEMORY;
	ZSTD_DCtx_reset(ctx->zstd->decompress, ZSTD_reset_session_only);
	ctx->zstd->is_frame_open = true;
	return OT_OK;
}

static ot_err
zstd_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	struct record_zstd *zstd = ctx->zstd;
	ZSTD_inBuffer in = { ctx->in.next, ot_reader_left(&ctx->in), 0 };
	ZSTD_outBuffer out = { to, capacity, 0 };
	while (out.pos == 0) {
		/* Frames may follow each other; the input ends where one does. */
		if (in.pos == in.size && !zstd->is_frame_open) {
			ctx->is_ended = true;
			break;
		}
		size_t pos_before = in.pos;
		size_t hint = ZSTD_decompressStream(zstd->decompress, &out, &in);
		if (ZSTD_isError(hint))
			return record_corrupt(ctx, ZSTD_getErrorName(hint));
		zstd->is_frame_open = hint != 0;
		if (out.pos == 0 && in.pos == pos_before && hint != 0)
			return record_corrupt(ctx, "it ends inside a frame");
	}
	ot_read_raw(&ctx->in, in.pos);
	*ret_bytes = out.pos;
	return OT_OK;
}

static ot_err
zstd_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	if (ctx->zstd->compress == NULL)
		ctx->zstd->compress = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(bytes);
	if (ctx->zstd->compress == NULL || !ot_writer_reserve(out, bound))
		return OT_ERR_NO_MEMORY;
	int level =
	    to->level == OT_COMPRESSION_LEVEL_DEFAULT ? ZSTD_LEVEL_KAFKA_DEFAULT : to->level;
	level = OT_MIN(OT_MAX(level, ZSTD_minCLevel()), ZSTD_maxCLevel());
	size_t made = ZSTD_compressCCtx(ctx->zstd->compress, out->data + out->bytes, bound, data,
	    bytes, level);
	/* With room for the bound only memory can be missing. */
	if (ZSTD_isError(made))
		return OT_ERR_NO_MEMORY;
	out->bytes += made;
	return OT_OK;
}

static void
zstd_free(struct ot_codec_ctx *ctx)
{
	if (ctx->zstd == NULL)
		return;
	ZSTD_freeDCtx(ctx->zstd->decompress);
	ZSTD_freeCCtx(ctx->zstd->compress);
	ot_free(ctx->zstd);
	ctx->zstd = NULL;
}

static void
zstd_trim(struct ot_codec_ctx *ctx)
{
	if (ctx->zstd != NULL && (ZSTD_sizeof_DCtx(ctx->zstd->decompress) > RECORD_KEEP_BYTES_MAX ||
				     ZSTD_sizeof_CCtx(ctx->zstd->compress) > RECORD_KEEP_BYTES_MAX))
		zstd_free(ctx);
}

const struct record_codec record_codec_zstd = {
	.name = "zstd",
	.open = zstd_open,
	.read = zstd_read,
	.compress = zstd_compress,
	.free_state = zstd_free,
	.trim = zstd_trim,
};
