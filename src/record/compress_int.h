/* The inside of a codec context, and what each codec implements. For this folder only. */
#ifndef OT_RECORD_COMPRESS_INT_H
#define OT_RECORD_COMPRESS_INT_H

#include "record/compress.h"

struct record_gzip;
struct record_snappy;
struct record_lz4;
struct record_zstd;

enum {
	/* What an iterator decompresses at a time; a longer record makes it grow. */
	RECORD_WINDOW_BYTES = 64 * 1024,
	/* ot_codec_ctx_trim() frees buffers larger than this. */
	RECORD_KEEP_BYTES_MAX = 1024 * 1024,
};

struct ot_codec_ctx {
	/* The piece in progress. */
	const struct record_codec *codec; /* NULL: nothing is open */
	struct ot_reader in;
	int8_t magic;
	bool is_ended;    /* the codec has seen the end of its format */
	size_t bytes_out; /* given out so far */
	size_t bytes_max;
	const char *problem; /* set by a codec that answers CORRUPT_MESSAGE: what is wrong */
	/* Each codec's own state; NULL until its first use. */
	struct record_gzip *gzip;
	struct record_snappy *snappy;
	struct record_lz4 *lz4;
	struct record_zstd *zstd;
	/* The iterator's window, kept here from batch to batch. */
	uint8_t *window;
	size_t window_bytes;
};

struct record_codec {
	const char *name;
	ot_err (*open)(struct ot_codec_ctx *ctx);
	/* Gives at least one byte of `capacity`, or sets ctx->is_ended and gives none. */
	ot_err (*read)(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes);
	ot_err (*compress)(struct ot_codec_ctx *ctx, const struct ot_compress_to *to,
	    const void *data, size_t bytes, struct ot_writer *out);
	void (*free_state)(struct ot_codec_ctx *ctx);
	void (*trim)(struct ot_codec_ctx *ctx); /* or NULL */
};

extern const struct record_codec record_codec_none;
extern const struct record_codec record_codec_gzip;
extern const struct record_codec record_codec_snappy;
extern const struct record_codec record_codec_lz4;
extern const struct record_codec record_codec_zstd;

/* For codecs: notes what is wrong and gives CORRUPT_MESSAGE. */
ot_err record_corrupt(struct ot_codec_ctx *ctx, const char *problem) OT_MUST_USE;

/* Bytes that may still come out. */
size_t record_bytes_allowed(const struct ot_codec_ctx *ctx);

#endif
