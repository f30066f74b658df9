/* The five compressions of the record formats, opened and made.
 *
 * What travels under each id, as the Java client and all others write it:
 *
 *   0 none    the records as they are
 *   1 gzip    RFC 1952, one member or several behind each other
 *   2 snappy  either Xerial's framing: 82 'S' 'N' 'A' 'P' 'P' 'Y' 00, int32 version, int32 least
 *             compatible version, then blocks of int32 length and that many bytes of raw snappy;
 *             or one raw snappy block without any framing (librdkafka)
 *   3 lz4     the LZ4 frame format; we write independent blocks, the only kind that Java reads.
 *             In message sets of magic 0 the header checksum is computed wrongly, over the frame's
 *             magic number too, and nobody checks it (KAFKA-3160)
 *   4 zstd    Zstandard frames (KIP-110), in batches of magic 2 only
 *
 * A context holds the state of the libraries, which is large (some 100 KiB per codec that was
 * used), and is reused from batch to batch. It opens one compressed piece at a time. Whoever opens
 * one says how many bytes may come out at most: a bomb of a few hundred bytes ends there.
 */
#ifndef OT_RECORD_COMPRESS_H
#define OT_RECORD_COMPRESS_H

#include "base/text.h"

enum ot_compression {
	OT_COMPRESSION_NONE = 0,
	OT_COMPRESSION_GZIP = 1,
	OT_COMPRESSION_SNAPPY = 2,
	OT_COMPRESSION_LZ4 = 3,
	OT_COMPRESSION_ZSTD = 4,
	OT_COMPRESSION_COUNT = 5,
};

/* Each codec's own default: gzip 6, lz4's fast compressor (Kafka's level 9), zstd 3. */
#define OT_COMPRESSION_LEVEL_DEFAULT INT32_MIN

struct ot_codec_ctx;

struct ot_compressed {
	enum ot_compression compression;
	int8_t magic; /* of the records around it: magic 0 takes lz4's wrong header checksum */
	const uint8_t *data;
	size_t bytes;
	size_t bytes_max; /* that may come out */
};

/* "none", "gzip", "snappy", "lz4", "zstd". Static memory. @owner any thread */
const char *ot_compression_name(enum ot_compression compression);

/* The codec of that name; false when there is none. @owner any thread */
bool ot_compression_from_name(struct ot_str name, enum ot_compression *ret_compression);

/* An empty context, or NULL when memory is short. A context is one thread's at a time.
 * @owner the creating thread   @blocks never */
struct ot_codec_ctx *ot_codec_ctx_create(void) OT_MUST_USE;

/* Accepts NULL. Nothing may be open. @owner the context's */
void ot_codec_ctx_destroy(struct ot_codec_ctx *ctx);

/* Gives back what an unusually large batch left behind; for an idle moment. @owner the context's */
void ot_codec_ctx_trim(struct ot_codec_ctx *ctx);

/* Begins to decompress. The bytes at in->data stay the caller's and must live until the close.
 * OT_ERR_UNSUPPORTED_COMPRESSION_TYPE for a codec that the magic does not have, CORRUPT_MESSAGE for
 * a header that is not the codec's, NO_MEMORY; then nothing is open.
 * @owner the context's   @blocks never */
ot_err ot_decompress_open(struct ot_codec_ctx *ctx, const struct ot_compressed *in,
    struct ot_why *why) OT_MUST_USE;

/* Puts the next bytes at `to`; fewer than `capacity` (at least 1) come only at the end, none after
 * it. CORRUPT_MESSAGE, RECORD_LIST_TOO_LARGE (more than bytes_max), NO_MEMORY.
 * @owner the context's   @blocks never */
ot_err ot_decompress_read(struct ot_codec_ctx *ctx, uint8_t *to, size_t capacity, size_t *ret_bytes,
    struct ot_why *why) OT_MUST_USE;

/* Ends what was opened, at any point; harmless when nothing is. @owner the context's */
void ot_decompress_close(struct ot_codec_ctx *ctx);

/* All at once: appends what comes out to `out`. Errors of both functions above; `out` may then have
 * grown by a part. @owner the context's   @blocks never */
ot_err ot_decompress(struct ot_codec_ctx *ctx, const struct ot_compressed *in,
    struct ot_writer *out, struct ot_why *why) OT_MUST_USE;

struct ot_compress_to {
	enum ot_compression compression;
	int32_t level; /* as compression.gzip.level, .lz4.level, .zstd.level; others have none */
	int8_t magic;  /* 0 writes lz4's wrong header checksum, as old readers expect it */
};

/* Appends the compressed form of `bytes` bytes at `data` to `out`. NO_MEMORY; MESSAGE_TOO_LARGE for
 * more than a codec can take; `out` may then have grown by a part.
 * @owner the context's   @blocks never */
ot_err ot_compress(struct ot_codec_ctx *ctx, const struct ot_compress_to *to, const void *data,
    size_t bytes, struct ot_writer *out) OT_MUST_USE;

#endif
