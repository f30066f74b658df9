/* What model clients did and were told, and what must hold of it.
 *
 * A record has an identity, its producer and a number, which is in its value with a filling that
 * follows from it. For each offset of a partition the history knows which record was acknowledged
 * or seen there. The checks:
 *
 *   - an offset has one record, for everybody and for ever;
 *   - what was acknowledged with acks=all, and what a consumer has seen, is there at the end;
 *   - a consumer's offsets have no gaps;
 *   - of an idempotent producer, each record is there once, and in the order of its numbers.
 *
 * A partition is excused from the first three when it lost its last complete copy: when the power
 * went from the last replica that was known to have all that was committed (replicas.h).
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_HISTORY_H
#define OT_TEST_SIM_HISTORY_H

#include "base/bytes.h"
#include "base/defs.h"

enum {
	HISTORY_TOPICS_MAX = 6,
	HISTORY_PARTITIONS_MAX = 6,
	HISTORY_PRODUCERS_MAX = 64,
	HISTORY_VALUE_BYTES_MAX = 3000,
};

struct history;

/* A partition by the place of its topic. */
struct history_place {
	int32_t topic;
	int32_t partition;
};

struct history_record {
	int32_t producer;
	int32_t number; /* from 0 */
};

struct history *history_create(void) OT_MUST_USE;
void history_destroy(struct history *history); /* accepts NULL */

/* The first check that failed, as text; NULL: none. */
const char *history_failure(const struct history *history);
void history_fail(struct history *history, const char *fmt, ...) OT_PRINTF(2, 3);

void history_add_topic(struct history *history, int32_t topic, const char *name,
    int32_t partition_count);
void history_add_producer(struct history *history, int32_t producer, bool is_idempotent);

/* From now on losses of the partition are not held against anybody. */
void history_excuse(struct history *history, struct history_place place);
bool history_is_excused(const struct history *history, struct history_place place);

/* Records from `first` on, `count` of them, were acknowledged by all that were in sync. */
void history_acked(struct history *history, struct history_place place, struct history_record first,
    int32_t count, int64_t base_offset);

/* A consumer was given this record. */
void history_seen(struct history *history, struct history_place place, struct history_record record,
    int64_t offset);

/* A consumer that stands at `position` was told that there is nothing. */
void history_out_of_range(struct history *history, struct history_place place, int64_t position);

/* The last reading: each partition from its start to its end, once. What comes after its beginning
 * is new to it. */
void history_verify_begin(struct history *history);
void history_verify(struct history *history, struct history_place place,
    struct history_record record, int64_t offset);
void history_verify_end(struct history *history, struct history_place place, int64_t start_offset,
    int64_t end_offset);

/* Behind the last offset that is known; 0 of an excused partition. */
int64_t history_end(const struct history *history, struct history_place place);

/* ---- values --------------------------------------------------------------------------------- */

/* A record's value; `bytes` at least 8. */
void history_write_value(struct history_record record, size_t bytes, uint8_t *to);

/* What the value says; false when it is not whole. */
OT_MUST_USE bool history_read_value(struct ot_bytes value, struct history_record *ret_record);

/* ---- numbers -------------------------------------------------------------------------------- */

struct history_counts {
	uint64_t acked;
	uint64_t seen;
	uint64_t verified;
	uint32_t excused; /* partitions */
};

struct history_counts history_counts(const struct history *history);

#endif
