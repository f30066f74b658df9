/* Goal: no compressed bytes are opened beyond their end, their bound or the caller's memory, and
 * what comes out does not depend on the size of the pieces. Method: the first byte picks codec and
 * magic, the second the size of the pieces; the rest is opened at once and piece by piece. */
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "record/compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { OPENED_BYTES_MAX = 1024 * 1024 };

/* Opens in pieces of `step` bytes, each in memory of just that size. */
static ot_err
open_by_pieces(struct ot_codec_ctx *ctx, const struct ot_compressed *in, size_t step,
    struct ot_writer *out)
{
	struct ot_why why;
	ot_err err = ot_decompress_open(ctx, in, &why);
	if (err != OT_OK)
		return err;
	uint8_t *piece = ot_must_alloc(step);
	size_t bytes = 0;
	do {
		err = ot_decompress_read(ctx, piece, step, &bytes, &why);
		if (err == OT_OK)
			ot_write_raw(out, piece, bytes);
	} while (err == OT_OK && bytes == step);
	ot_free(piece);
	ot_decompress_close(ctx);
	return err;
}

/* What was opened can be compressed and opened again. */
static void
check_back(struct ot_codec_ctx *ctx, const struct ot_compressed *in, const struct ot_writer *opened)
{
	struct ot_compress_to to = { in->compression, 1, in->magic };
	struct ot_writer made, again;
	ot_writer_init(&made);
	ot_writer_init(&again);
	ot_err err = ot_compress(ctx, &to, opened->data, opened->bytes, &made);
	OT_ASSERT(err == OT_OK);
	struct ot_compressed back = { in->compression, in->magic, made.data, made.bytes,
		opened->bytes };
	err = ot_decompress(ctx, &back, &again, NULL);
	OT_ASSERT(err == OT_OK && again.bytes == opened->bytes);
	OT_ASSERT(again.bytes == 0 || memcmp(again.data, opened->data, again.bytes) == 0);
	ot_writer_fini(&made);
	ot_writer_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct ot_codec_ctx *ctx; /* kept, as a shard keeps its own: state must not leak */
	if (ctx == NULL)
		ctx = ot_codec_ctx_create();
	if (bytes < 2)
		return 0;
	size_t step = data[1] < 128 ? 1 + (size_t)data[1] : (size_t)(data[1] - 127) * 1000;
	uint8_t *copy = ot_must_alloc(bytes - 2);
	memcpy(copy, data + 2, bytes - 2);
	struct ot_compressed in = {
		.compression = (enum ot_compression)(data[0] % OT_COMPRESSION_COUNT),
		.magic = (int8_t)(data[0] / 8 % 3),
		.data = copy,
		.bytes = bytes - 2,
		.bytes_max = OPENED_BYTES_MAX,
	};
	struct ot_writer whole, pieces;
	struct ot_why why;
	ot_writer_init(&whole);
	ot_writer_init(&pieces);
	ot_err err = ot_decompress(ctx, &in, &whole, &why);
	OT_ASSERT(whole.bytes <= OPENED_BYTES_MAX);
	ot_err err_pieces = open_by_pieces(ctx, &in, step, &pieces);
	OT_ASSERT((err == OT_OK) == (err_pieces == OT_OK));
	if (err == OT_OK) {
		OT_ASSERT(whole.bytes == pieces.bytes);
		OT_ASSERT(whole.bytes == 0 || memcmp(whole.data, pieces.data, whole.bytes) == 0);
		check_back(ctx, &in, &whole);
	}
	ot_writer_fini(&whole);
	ot_writer_fini(&pieces);
	ot_free(copy);
	return 0;
}
