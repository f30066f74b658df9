/* zstd.
 *
 * A frame may demand a window of up to 128 MiB (level 22 without a known content size does, however
 * small the batch), and the library reserves it before the first byte comes out. It touches only
 * what it fills, which the bound limits, so the reservation costs address space but no memory.
 *
 * A frame may announce its content's size. Whether the library holds it to that depends on the room
 * that its caller gives it (1.5.4: an empty last block in a small one slips through), so we do.
 */
#include "record/compress_int.h"

#include <zstd.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { ZSTD_LEVEL_KAFKA_DEFAULT = 3 };

struct record_zstd {
	ZSTD_DCtx *decompress;
	ZSTD_CCtx *compress;
	bool is_frame_open;          /* the last call left a frame unfinished */
	unsigned long long content;  /* of the frame, as announced */
	unsigned long long produced; /* of the frame, so far */
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
	ctx->zstd->is_frame_open = false;
	return ot_reader_left(&ctx->in) > 0 ? OT_OK : record_corrupt(ctx, "it is empty");
}

/* Notes what the frame that begins at `data` announces. */
static void
begin_frame(struct record_zstd *zstd, const void *data, size_t bytes)
{
	zstd->is_frame_open = true;
	zstd->content = ZSTD_getFrameContentSize(data, bytes);
	zstd->produced = 0;
}

/* One call of the library; an error's text, or NULL. */
static const char *
decompress_step(struct record_zstd *zstd, ZSTD_outBuffer *out, ZSTD_inBuffer *in)
{
	size_t in_before = in->pos;
	size_t out_before = out->pos;
	if (!zstd->is_frame_open)
		begin_frame(zstd, (const uint8_t *)in->src + in->pos, in->size - in->pos);
	size_t hint = ZSTD_decompressStream(zstd->decompress, out, in);
	if (ZSTD_isError(hint))
		return ZSTD_getErrorName(hint);
	if (out->pos == out_before && in->pos == in_before && hint != 0)
		return "it ends inside a frame";
	zstd->produced += out->pos - out_before;
	zstd->is_frame_open = hint != 0;
	bool is_known =
	    zstd->content != ZSTD_CONTENTSIZE_UNKNOWN && zstd->content != ZSTD_CONTENTSIZE_ERROR;
	if (hint == 0 && is_known && zstd->content != zstd->produced)
		return "a frame has another size than it announces";
	return NULL;
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
		const char *problem = decompress_step(zstd, &out, &in);
		if (problem != NULL)
			return record_corrupt(ctx, problem);
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
