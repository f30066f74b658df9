/* The rules for single records, where a topic demands that a batch be opened: compacted topics,
 * bounds on timestamps, another codec than the producer's. As Kafka's LogValidator has them.
 */
#ifndef OT_RECORD_CHECK_H
#define OT_RECORD_CHECK_H

#include "base/arena.h"
#include "record/iterate.h"

enum {
	/* Records named in one answer; more are counted only. */
	OT_RECORD_ERRORS_MAX = 1000,
};

struct ot_record_rules {
	enum ot_timestamp_type timestamp_type; /* message.timestamp.type of the topic */
	ot_wall_ms now;
	int64_t timestamp_before_ms_max; /* message.timestamp.before.max.ms; INT64_MAX: no bound */
	int64_t timestamp_after_ms_max;  /* message.timestamp.after.max.ms; the same */
	bool is_key_required;            /* cleanup.policy has "compact" */
	struct ot_codec_ctx *ctx;        /* for compressed batches */
	size_t bytes_max;                /* as in ot_record_iter_options */
	struct ot_arena *arena;          /* for the list of errors; NULL: only count them */
};

/* One entry of RecordErrors in a Produce response (version 8 and later, KIP-467). */
struct ot_record_error {
	int32_t index; /* of the record in the batch */
	ot_err err;
	const char *message; /* in the arena */
};

struct ot_record_check {
	int64_t max_timestamp;        /* of the records, as their producer gave them */
	int64_t max_timestamp_offset; /* of the first record that has it; -1 without records */
	bool is_contiguous;    /* offsets are base, base + 1, ...; if not: ot_batch_recompress() */
	uint64_t record_bytes; /* without compression */
	int32_t error_count;
	int32_t error_list_count;       /* of error_count, at most OT_RECORD_ERRORS_MAX */
	struct ot_record_error *errors; /* in the arena */
};

/* Walks all records of a parsed batch. Structure errors as ot_record_iter_close() gives them, then
 * ret_check is untouched. INVALID_TIMESTAMP or INVALID_RECORD when records break a rule: then
 * ret_check is filled, and its list names them.
 * @owner the context's and the arena's   @blocks never */
ot_err ot_batch_check_records(const uint8_t *batch, const struct ot_batch_info *info,
    const struct ot_record_rules *rules, struct ot_record_check *ret_check,
    struct ot_why *why) OT_MUST_USE;

#endif
