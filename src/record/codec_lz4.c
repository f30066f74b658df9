/* lz4: the frame format, and its wrong header checksum in message sets of magic 0.
 *
 *   offset  bytes  field
 *   0       4      magic number 0x184D2204, little-endian
 *   4       1      flags: version (bits 6-7, 01), independent blocks (5), block checksums (4),
 *                  content size present (3), content checksum (2), dictionary id present (0)
 *   5       1      block size: bits 4-6, 4 to 7 for 64 KiB to 4 MiB
 *   6       0, 8   content size, if flagged
 *   ..      0, 4   dictionary id, if flagged
 *   ..      1      header checksum: bits 8-15 of XXH32 with seed 0 over the bytes from offset 4
 *                  (the wrong one: from offset 0)
 *
 * For magic 0 the header is handed to the library with the right checksum in place of whatever
 * stands there. What follows a frame is ignored, as Java does.
 */
#include "record/compress_int.h"

#include <string.h>

#include <lz4frame.h>

#include "base/alloc.h"
#include "base/panic.h"

enum {
	LZ4_HEADER_BYTES_MAX = 4 + 2 + 8 + 4 + 1,
	LZ4_HEADER_BYTES_MIN = 4 + 2 + 1,
	LZ4_FLAGS_AT = 4,
	LZ4_FLAG_CONTENT_SIZE = 0x08,
	LZ4_FLAG_DICTIONARY = 0x01,
	LZ4_LEVEL_FAST = 0,          /* the library's number for its fast compressor */
	LZ4_LEVEL_KAFKA_DEFAULT = 9, /* stands for the fast compressor in compression.lz4.level */
	LZ4_LEVEL_MIN = 3,           /* the library's least level of its thorough compressor */
	LZ4_LEVEL_MAX = 12,
};

static const uint8_t lz4_magic[4] = { 0x04, 0x22, 0x4d, 0x18 };

struct record_lz4 {
	LZ4F_dctx *decompress;
	LZ4F_cctx *compress;
	bool is_mid_frame; /* the decompression has been left inside a frame */
	/* A corrected header, to be read before ctx->in. */
	uint8_t header[LZ4_HEADER_BYTES_MAX];
	size_t header_bytes;
	size_t header_read;
};

static uint32_t
rotate_left(uint32_t value, unsigned bits)
{
	return (value << bits) | (value >> (32 - bits));
}

/* XXH32 with seed 0 of fewer than 16 bytes, the only length that occurs here. */
static uint32_t
xxh32_short(const uint8_t *data, size_t bytes)
{
	const uint32_t prime1 = 2654435761u, prime2 = 2246822519u, prime3 = 3266489917u,
		       prime4 = 668265263u, prime5 = 374761393u;
	OT_ASSERT(bytes < 16);
	uint32_t hash = prime5 + (uint32_t)bytes;
	for (; bytes >= 4; bytes -= 4, data += 4) {
		uint32_t word = __builtin_bswap32(ot_get_u32(data)); /* little-endian */
		hash = rotate_left(hash + word * prime3, 17) * prime4;
	}
	for (; bytes > 0; bytes--, data++)
		hash = rotate_left(hash + *data * prime5, 11) * prime1;
	hash = (hash ^ (hash >> 15)) * prime2;
	hash = (hash ^ (hash >> 13)) * prime3;
	return hash ^ (hash >> 16);
}

static uint8_t
header_checksum(const uint8_t *data, size_t bytes)
{
	return (uint8_t)(xxh32_short(data, bytes) >> 8);
}

static bool
ensure_state(struct ot_codec_ctx *ctx)
{
	if (ctx->lz4 == NULL)
		ctx->lz4 = ot_alloc(sizeof(*ctx->lz4));
	return ctx->lz4 != NULL;
}

/* Copies the header with the checksum that the format demands. */
static ot_err
correct_header(struct ot_codec_ctx *ctx)
{
	struct record_lz4 *lz4 = ctx->lz4;
	uint8_t flags = ctx->in.next[LZ4_FLAGS_AT];
	size_t bytes = LZ4_HEADER_BYTES_MIN;
	bytes += (flags & LZ4_FLAG_CONTENT_SIZE) != 0 ? 8 : 0;
	bytes += (flags & LZ4_FLAG_DICTIONARY) != 0 ? 4 : 0;
	const uint8_t *header = ot_read_raw(&ctx->in, bytes);
	if (header == NULL)
		return record_corrupt(ctx, "it ends inside the frame header");
	memcpy(lz4->header, header, bytes);
	lz4->header[bytes - 1] =
	    header_checksum(lz4->header + LZ4_FLAGS_AT, bytes - 1 - LZ4_FLAGS_AT);
	lz4->header_bytes = bytes;
	return OT_OK;
}

/* A context at the start of a frame. One that was left inside a frame is not used again: lz4 1.9.4
 * keeps the bytes that the frame had announced and still owed through its reset, and then refuses
 * the next frame, which announces none. One client's broken batch would have spoilt another's. */
static bool
ensure_decompress(struct record_lz4 *lz4)
{
	if (lz4->is_mid_frame) {
		LZ4F_freeDecompressionContext(lz4->decompress);
		lz4->decompress = NULL;
		lz4->is_mid_frame = false;
	}
	if (lz4->decompress == NULL &&
	    LZ4F_isError(LZ4F_createDecompressionContext(&lz4->decompress, LZ4F_VERSION)))
		lz4->decompress = NULL;
	return lz4->decompress != NULL;
}

static ot_err
lz4_open(struct ot_codec_ctx *ctx)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	struct record_lz4 *lz4 = ctx->lz4;
	if (!ensure_decompress(lz4))
		return OT_ERR_NO_MEMORY;
	lz4->header_bytes = 0;
	lz4->header_read = 0;
	/* The library would accept skippable frames and older formats. */
	if (ot_reader_left(&ctx->in) < LZ4_HEADER_BYTES_MIN ||
	    memcmp(ctx->in.next, lz4_magic, sizeof(lz4_magic)) != 0)
		return record_corrupt(ctx, "it does not start as an lz4 frame");
	return ctx->magic == 0 ? correct_header(ctx) : OT_OK;
}

/* One call of the library: from the corrected header first, then from the input. */
static ot_err
decompress_step(struct ot_codec_ctx *ctx, uint8_t *to, size_t *bytes, size_t *consumed)
{
	struct record_lz4 *lz4 = ctx->lz4;
	bool is_header = lz4->header_read < lz4->header_bytes;
	const uint8_t *from = is_header ? lz4->header + lz4->header_read : ctx->in.next;
	*consumed = is_header ? lz4->header_bytes - lz4->header_read : ot_reader_left(&ctx->in);
	lz4->is_mid_frame = true;
	size_t hint = LZ4F_decompress(lz4->decompress, to, bytes, from, consumed, NULL);
	if (LZ4F_isError(hint))
		return record_corrupt(ctx, LZ4F_getErrorName(hint));
	if (is_header)
		lz4->header_read += *consumed;
	else
		ot_read_raw(&ctx->in, *consumed);
	ctx->is_ended = hint == 0;
	lz4->is_mid_frame = hint != 0;
	return OT_OK;
}

static ot_err
lz4_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	size_t bytes = 0;
	while (bytes == 0 && !ctx->is_ended) {
		size_t consumed;
		bytes = capacity;
		ot_err err = decompress_step(ctx, to, &bytes, &consumed);
		if (err != OT_OK)
			return err;
		if (bytes == 0 && consumed == 0 && !ctx->is_ended)
			return record_corrupt(ctx, "it ends before its last block");
	}
	*ret_bytes = bytes;
	return OT_OK;
}

static LZ4F_preferences_t
preferences(int32_t level)
{
	LZ4F_preferences_t prefs = {
		.frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
		.compressionLevel = LZ4_LEVEL_FAST,
	};
	if (level != OT_COMPRESSION_LEVEL_DEFAULT && level != LZ4_LEVEL_KAFKA_DEFAULT)
		prefs.compressionLevel = OT_MIN(OT_MAX(level, LZ4_LEVEL_MIN), LZ4_LEVEL_MAX);
	return prefs;
}

static ot_err
lz4_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out)
{
	if (!ensure_state(ctx))
		return OT_ERR_NO_MEMORY;
	LZ4F_cctx **cctx = &ctx->lz4->compress;
	if (*cctx == NULL && LZ4F_isError(LZ4F_createCompressionContext(cctx, LZ4F_VERSION))) {
		*cctx = NULL;
		return OT_ERR_NO_MEMORY;
	}
	LZ4F_preferences_t prefs = preferences(to->level);
	prefs.autoFlush = 1; /* straight from the input, without a copy of each block */
	size_t bound = LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(bytes, &prefs);
	if (!ot_writer_reserve(out, bound))
		return OT_ERR_NO_MEMORY;
	uint8_t *frame = out->data + out->bytes;
	size_t header = LZ4F_compressBegin(*cctx, frame, bound, &prefs);
	if (LZ4F_isError(header))
		return OT_ERR_NO_MEMORY;
	size_t made = header;
	size_t step = LZ4F_compressUpdate(*cctx, frame + made, bound - made, data, bytes, NULL);
	if (LZ4F_isError(step))
		return OT_ERR_NO_MEMORY;
	made += step;
	step = LZ4F_compressEnd(*cctx, frame + made, bound - made, NULL);
	OT_ASSERT(!LZ4F_isError(step));
	if (to->magic == 0)
		frame[header - 1] = header_checksum(frame, header - 1);
	out->bytes += made + step;
	return OT_OK;
}

static void
lz4_free(struct ot_codec_ctx *ctx)
{
	if (ctx->lz4 == NULL)
		return;
	LZ4F_freeDecompressionContext(ctx->lz4->decompress);
	LZ4F_freeCompressionContext(ctx->lz4->compress);
	ot_free(ctx->lz4);
	ctx->lz4 = NULL;
}

const struct record_codec record_codec_lz4 = {
	.name = "lz4",
	.open = lz4_open,
	.read = lz4_read,
	.compress = lz4_compress,
	.free_state = lz4_free,
	/* Frames of 4 MiB blocks leave as much behind; the library cannot tell. */
	.trim = lz4_free,
};
