/* Record batches, magic 2: the unit that producers send, logs keep and consumers fetch.
 *
 *   offset  bytes  field
 *   0       8      base offset: of the first record; the broker assigns it
 *   8       4      length: of what follows, so the whole batch has 12 bytes more
 *   12      4      partition leader epoch: the broker assigns it; -1 from a client
 *   16      1      magic: 2
 *   17      4      CRC-32C of all from offset 21 to the end
 *   21      2      attributes: compression (bits 0-2), timestamp type (3), transactional (4),
 *                  control (5), delete horizon (6, KIP-534); the others are 0
 *   23      4      last offset delta: last offset minus base offset; compaction keeps it
 *   27      8      base timestamp: that of the first record; with the delete horizon flag the time
 *                  from which tombstones and markers in the batch may be dropped
 *   35      8      max timestamp: the greatest, or the append time with LogAppendTime
 *   43      8      producer id: -1 for none
 *   51      2      producer epoch: -1 for none
 *   53      4      base sequence: of the first record; -1 for none
 *   57      4      record count: less than the deltas say after compaction; 0 for a batch that is
 *                  kept for its producer's sake alone
 *   61             the records (iterate.h), compressed as a whole where the attributes say so
 *
 * All integers are big-endian. The two fields that every broker assigns lie before the CRC, so that
 * assigning costs nothing; the CRC is computed anew only where LogAppendTime changes a timestamp.
 * The first 17 bytes have their meaning in all three formats (legacy.h has the other two), hence
 * whoever walks a log peeks at these.
 */
#ifndef OT_RECORD_BATCH_H
#define OT_RECORD_BATCH_H

#include "base/time.h"
#include "record/compress.h"

enum {
	OT_BATCH_BASE_OFFSET_AT = 0,
	OT_BATCH_LENGTH_AT = 8,
	OT_BATCH_LEADER_EPOCH_AT = 12,
	OT_BATCH_MAGIC_AT = 16,
	OT_BATCH_CRC_AT = 17,
	OT_BATCH_ATTRIBUTES_AT = 21,
	OT_BATCH_LAST_OFFSET_DELTA_AT = 23,
	OT_BATCH_BASE_TIMESTAMP_AT = 27,
	OT_BATCH_MAX_TIMESTAMP_AT = 35,
	OT_BATCH_PRODUCER_ID_AT = 43,
	OT_BATCH_PRODUCER_EPOCH_AT = 51,
	OT_BATCH_BASE_SEQUENCE_AT = 53,
	OT_BATCH_RECORD_COUNT_AT = 57,
	OT_BATCH_HEADER_BYTES = 61,

	OT_BATCH_PEEK_BYTES = 17,   /* enough for ot_batch_peek() */
	OT_BATCH_PREFIX_BYTES = 12, /* base offset and length, which the length does not count */
};

enum {
	OT_BATCH_ATTR_COMPRESSION = 0x07,
	OT_BATCH_ATTR_LOG_APPEND_TIME = 0x08,
	OT_BATCH_ATTR_TRANSACTIONAL = 0x10,
	OT_BATCH_ATTR_CONTROL = 0x20,
	OT_BATCH_ATTR_DELETE_HORIZON = 0x40,
};

enum { OT_MAGIC_V0 = 0, OT_MAGIC_V1 = 1, OT_MAGIC_V2 = 2 };

#define OT_NO_TIMESTAMP      ((int64_t)-1)
#define OT_NO_PRODUCER_ID    ((int64_t)-1)
#define OT_NO_PRODUCER_EPOCH ((int16_t)-1)
#define OT_NO_SEQUENCE       ((int32_t)-1)
#define OT_NO_LEADER_EPOCH   ((int32_t)-1)

enum ot_timestamp_type {
	OT_CREATE_TIME = 0,
	OT_LOG_APPEND_TIME = 1,
	OT_NO_TIMESTAMP_TYPE = -1, /* message sets of magic 0 */
};

/* What the first 17 bytes say, in any of the three formats. */
struct ot_batch_peek {
	int64_t offset;       /* the base offset; magic 0 and 1: the last offset in the entry */
	size_t bytes;         /* of the whole batch */
	int32_t leader_epoch; /* OT_NO_LEADER_EPOCH for magic 0 and 1 */
	int8_t magic;
};

/* The header, read. */
struct ot_batch_info {
	int64_t base_offset;
	int64_t base_timestamp; /* the delete horizon where there is one */
	int64_t max_timestamp;
	int64_t producer_id;
	size_t bytes; /* of the whole batch */
	int32_t leader_epoch;
	uint32_t crc;
	int32_t last_offset_delta;
	int32_t base_sequence;
	int32_t record_count;
	int16_t producer_epoch;
	int8_t magic;
	enum ot_compression compression;
	enum ot_timestamp_type timestamp_type;
	bool is_transactional;
	bool is_control;
	bool has_delete_horizon;
};

/* Who appends: a client may do less than the broker's own coordinators, and a follower takes what
 * its leader has taken. */
enum ot_append_origin {
	OT_ORIGIN_CLIENT,
	OT_ORIGIN_COORDINATOR,
	OT_ORIGIN_LEADER,
};

struct ot_batch_rules {
	enum ot_append_origin origin;
	size_t bytes_max;     /* max.message.bytes; 0: no bound */
	bool is_zstd_refused; /* Produce before version 7, Fetch before version 10 (KIP-110) */
	bool is_only;         /* the bytes must be this one batch, as in Produce */
};

static inline int64_t
ot_batch_base_offset(const uint8_t *batch)
{
	return (int64_t)ot_get_u64(batch + OT_BATCH_BASE_OFFSET_AT);
}

static inline int32_t
ot_batch_last_offset_delta(const uint8_t *batch)
{
	return (int32_t)ot_get_u32(batch + OT_BATCH_LAST_OFFSET_DELTA_AT);
}

static inline int64_t
ot_batch_last_offset(const uint8_t *batch)
{
	return ot_batch_base_offset(batch) + ot_batch_last_offset_delta(batch);
}

static inline size_t
ot_batch_bytes(const uint8_t *batch)
{
	return OT_BATCH_PREFIX_BYTES + (size_t)ot_get_u32(batch + OT_BATCH_LENGTH_AT);
}

static inline int8_t
ot_batch_magic(const uint8_t *batch)
{
	return (int8_t)batch[OT_BATCH_MAGIC_AT];
}

static inline int64_t
ot_batch_info_last_offset(const struct ot_batch_info *info)
{
	return info->base_offset + info->last_offset_delta;
}

/* `sequence` plus `increment`: after INT32_MAX comes 0. OT_NO_SEQUENCE stays what it is.
 * @owner any thread */
int32_t ot_sequence_add(int32_t sequence, int32_t increment);

/* The sequence of the last record, or OT_NO_SEQUENCE. @owner any thread */
int32_t ot_batch_info_last_sequence(const struct ot_batch_info *info);

/* Size and kind of the batch at `data`, for walking a log; no more than 17 bytes are read.
 * OT_ERR_TRUNCATED when there are fewer; CORRUPT_MESSAGE when the magic is unknown or the length
 * less than that format's least. @owner any thread   @blocks never */
ot_err ot_batch_peek(const uint8_t *data, size_t bytes, struct ot_batch_peek *ret_peek) OT_MUST_USE;

/* Reads the header of the magic 2 batch at `data`; of `bytes`, which may hold more batches, only
 * the first is looked at. Checks the structure alone, as for a batch whose CRC is known to be
 * right: OT_ERR_TRUNCATED when the batch is longer than `bytes`, CORRUPT_MESSAGE for a length or
 * magic that cannot be, UNSUPPORTED_FOR_MESSAGE_FORMAT for magic 0 and 1, INVALID_RECORD for a
 * negative count or offset, UNSUPPORTED_COMPRESSION_TYPE for an unknown codec.
 * @owner any thread   @blocks never */
ot_err ot_batch_parse(const uint8_t *data, size_t bytes, struct ot_batch_info *ret_info,
    struct ot_why *why) OT_MUST_USE;

/* The same of the first 61 bytes alone, for walking a log: whether info->bytes are there, and
 * whether the CRC is right, is the caller's to see. @owner any thread   @blocks never */
ot_err ot_batch_parse_header(const uint8_t header[OT_BATCH_HEADER_BYTES],
    struct ot_batch_info *ret_info, struct ot_why *why) OT_MUST_USE;

/* Whether the stored CRC is that of the bytes. The batch was parsed. @owner any thread */
bool ot_batch_crc_is_valid(const uint8_t *batch, const struct ot_batch_info *info);

/* All that can be said of bytes from a peer without opening the records: ot_batch_parse(), the CRC,
 * once, and what Kafka's LogValidator demands of a batch by its origin. Parse's errors, but
 * CORRUPT_MESSAGE also for a batch that is cut and for a wrong CRC, and MESSAGE_TOO_LARGE; `why`
 * names rule and value.
 * @owner any thread   @blocks never */
ot_err ot_batch_validate(const uint8_t *data, size_t bytes, const struct ot_batch_rules *rules,
    struct ot_batch_info *ret_info, struct ot_why *why) OT_MUST_USE;

/* What the broker assigns in place, in a batch that was validated and is its alone.
 * @owner the batch's   @blocks never */
void ot_batch_set_base_offset(uint8_t *batch, int64_t offset);
void ot_batch_set_leader_epoch(uint8_t *batch, int32_t epoch);

/* Timestamp type and max timestamp, and the CRC when one of them changes. @owner the batch's */
void ot_batch_set_max_timestamp(uint8_t *batch, enum ot_timestamp_type type, int64_t timestamp);

/* Flags the batch with its delete horizon, and computes the CRC. The base timestamp makes room for
 * it, so this is possible in place only where no record's timestamp is counted from there: with
 * LogAppendTime, or without records. False otherwise: recompress.h writes such a batch anew.
 * @owner the batch's */
bool ot_batch_set_delete_horizon(uint8_t *batch, ot_wall_ms horizon) OT_MUST_USE;

/* The delete horizon, or OT_NO_TIMESTAMP. @owner any thread */
int64_t ot_batch_info_delete_horizon(const struct ot_batch_info *info);

/* Writes all 61 bytes of the header, bytes and count as in `info`, and the CRC over them and the
 * records, which stand behind it already. info->crc is not looked at. @owner the batch's */
void ot_batch_write_header(uint8_t *batch, const struct ot_batch_info *info);

#endif
