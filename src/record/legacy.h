/* Message sets, magic 0 and 1: what clients before 0.11 send and what logs before it hold.
 *
 * A set is a run of entries:
 *
 *   offset  bytes  field
 *   0       8      offset; clients send anything, the broker assigns it
 *   8       4      size of the message, which follows
 *   12      4      CRC-32 (IEEE) of all from offset 16 to the end of the message
 *   16      1      magic: 0 or 1
 *   17      1      attributes: compression (bits 0-2), in magic 1 timestamp type (bit 3)
 *   18      8      timestamp, in magic 1 only
 *   18, 26  4      key length, -1 for null; the key
 *   ..      4      value length, -1 for null; the value
 *
 * Compression works by nesting: the value of a wrapper message is a compressed message set, whose
 * entries are not compressed again. The wrapper's offset is the last one inside. Inner offsets are
 * absolute in magic 0 and count from the first one in magic 1 (KIP-31), so that a broker can assign
 * offsets without opening the set; some producers leave the wrapper's at 0, and then they count
 * from 0. With LogAppendTime the wrapper's timestamp holds for all (KIP-32). Of lz4 in magic 0 the
 * frame header's checksum is wrong (compress.h).
 *
 * What is read here is one set, all formats of which may be mixed as in a log; what is written is
 * one magic, plain or in one wrapper.
 */
#ifndef OT_RECORD_LEGACY_H
#define OT_RECORD_LEGACY_H

#include "record/build.h"

enum {
	OT_MESSAGE_CRC_AT = 12,
	OT_MESSAGE_MAGIC_AT = 16,
	OT_MESSAGE_ATTRIBUTES_AT = 17,
	OT_MESSAGE_TIMESTAMP_AT = 18,
	OT_MESSAGE_HEADER_BYTES_V0 = 18, /* up to the key's length */
	OT_MESSAGE_HEADER_BYTES_V1 = 26,
};

/* One entry. */
struct ot_message {
	int64_t offset;
	int64_t timestamp; /* OT_NO_TIMESTAMP in magic 0 */
	size_t bytes;      /* of the whole entry */
	uint32_t crc;
	int8_t magic;
	enum ot_compression compression; /* of a wrapper; OT_COMPRESSION_NONE otherwise */
	enum ot_timestamp_type timestamp_type;
	struct ot_bytes key;
	struct ot_bytes value;
};

/* Reads the entry at `data` and checks its structure and CRC. OT_ERR_TRUNCATED when it is longer
 * than `bytes`; CORRUPT_MESSAGE for sizes that do not fit and a wrong CRC;
 * UNSUPPORTED_FOR_MESSAGE_FORMAT for magic 2; UNSUPPORTED_COMPRESSION_TYPE for what these formats
 * have not (zstd). @owner any thread   @blocks never */
ot_err ot_message_parse(const uint8_t *data, size_t bytes, struct ot_message *ret_message,
    struct ot_why *why) OT_MUST_USE;

struct ot_message_iter_options {
	struct ot_codec_ctx *ctx; /* for wrappers */
	size_t bytes_max;         /* that one wrapper may open to; 0 for 2 GiB - 1 */
	bool is_cut_allowed; /* the last entry may be cut off, as a Fetch cuts it: it is left out */
};

/* All records of a set, those inside wrappers too. */
struct ot_message_iter {
	struct ot_message_iter_options options;
	struct ot_reader set;
	struct ot_reader inner;    /* in `opened` */
	struct ot_writer opened;   /* the wrapper in progress */
	struct ot_message wrapper; /* valid while `inner` has something left */
	int64_t inner_base;        /* what inner offsets count from */
	int32_t read_count;
	ot_err err;
	struct ot_why *why;
};

/* The bytes and `why`, which may be NULL, must outlive the iteration. @owner the context's */
void ot_message_iter_open(struct ot_message_iter *iter, const uint8_t *set, size_t bytes,
    const struct ot_message_iter_options *options, struct ot_why *why);

/* The next record, with absolute offset and what timestamp holds for it; without headers. False
 * after the last and after an error. Views of a record in a wrapper end with the next call.
 * @owner the context's   @blocks never */
bool ot_message_iter_next(struct ot_message_iter *iter, struct ot_record *ret_record);

/* Ends the iteration at any point. OT_OK, or why it ended early: errors of ot_message_parse() and
 * of the decompression; INVALID_RECORD for a wrapper whose inside is not a message set.
 * @owner the context's */
ot_err ot_message_iter_close(struct ot_message_iter *iter) OT_MUST_USE;

struct ot_message_set_options {
	int8_t magic; /* 0 or 1 */
	enum ot_compression compression;
	int32_t compression_level;
	enum ot_timestamp_type timestamp_type; /* in magic 1 */
	ot_wall_ms append_time;                /* every timestamp with OT_LOG_APPEND_TIME */
};

/* Writes one set. Like the batch builder: errors are soft, the finish tells. */
struct ot_message_set_builder {
	struct ot_message_set_options options;
	struct ot_codec_ctx *ctx;
	struct ot_writer *out;
	struct ot_writer inner; /* of a wrapper, before compression */
	size_t start;
	int64_t base_offset;
	int64_t last_offset;
	int64_t max_timestamp;
	int32_t record_count;
	ot_err err;
};

/* `ctx` may be NULL when nothing is compressed. Begins a set at the end of `out`.
 * @owner the builder's   @blocks never */
void ot_message_set_begin(struct ot_message_set_builder *builder,
    const struct ot_message_set_options *options, struct ot_codec_ctx *ctx, struct ot_writer *out);

/* Appends; headers are dropped, since these formats have none. Offsets must rise.
 * @owner the builder's   @blocks never */
void ot_message_set_append(struct ot_message_set_builder *builder, int64_t offset,
    const struct ot_record_data *record);

/* Ends the set and frees the builder's memory. NO_MEMORY, MESSAGE_TOO_LARGE,
 * UNSUPPORTED_COMPRESSION_TYPE (zstd); `out` is as before the begin then.
 * @owner the builder's   @blocks never */
ot_err ot_message_set_finish(struct ot_message_set_builder *builder) OT_MUST_USE;

struct ot_legacy_up_options {
	struct ot_batch_options batch; /* of the batch to make; its timestamp type, too */
	bool is_renumbered;            /* offsets become base, base + 1, ...: else they are kept */
	size_t bytes_max;
};

/* Makes one batch of magic 2 of a whole set, as the broker does with what old producers send.
 * Errors of the iteration and of the builder; INVALID_RECORD for a set without records, or with
 * offsets that fall when they are to be kept; `out` is as before then.
 * @owner the context's   @blocks never */
ot_err ot_legacy_to_batch(struct ot_codec_ctx *ctx, const uint8_t *set, size_t bytes,
    const struct ot_legacy_up_options *options, struct ot_writer *out,
    struct ot_batch_info *ret_info, struct ot_why *why) OT_MUST_USE;

struct ot_legacy_down_options {
	int8_t magic;
	int64_t first_offset; /* records before it are left out: where the fetch begins */
	size_t bytes_max;
};

/* Makes a message set of a batch, for Fetch before version 4: in the batch's codec, without
 * headers, without producer. Control batches are left out, so that `out` may stay as it was.
 * UNSUPPORTED_COMPRESSION_TYPE for zstd; errors of iteration and builder; `out` is as before then.
 * @owner the context's   @blocks never */
ot_err ot_batch_to_legacy(struct ot_codec_ctx *ctx, const uint8_t *batch,
    const struct ot_batch_info *info, const struct ot_legacy_down_options *options,
    struct ot_writer *out, struct ot_why *why) OT_MUST_USE;

#endif
