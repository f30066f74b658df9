/* Users of a metadata log for the tests of its engines: each notes what it is told and checks the
 * contract of metalog.h while it does. */
#ifndef OT_TEST_UNIT_CLUSTER_METALOG_KIT_H
#define OT_TEST_UNIT_CLUSTER_METALOG_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/metalog.h"
#include "wire/msg_gen.h"

/* A user. Its state, as an image would be, is the list of all numbers that were told. */
struct member {
	struct ot_metalog *log;
	struct ot_io *io;
	int32_t node_id;
	int64_t tag; /* its numbers begin with: no two lives of a node share one */
	int64_t *numbers;
	int64_t number_count;
	int64_t number_capacity;
	int64_t next_offset;
	int32_t batch_epoch; /* of the newest batch */
	int32_t leader_id;
	int32_t leader_epoch;
	uint16_t leader_port;
	int32_t epoch; /* in which this one leads; 0: it does not */
	int lead_count;
	int snapshot_told_count;
	int snapshots_begun;
	int snapshot_done_count;
	int snapshot_ok_count;
	int64_t next_number; /* to be appended */
	int64_t *acked;      /* in order */
	int64_t acked_count;
	int64_t acked_capacity;
	int64_t under_way;
	int64_t failed_count;
	ot_err append_err; /* of the last that failed */
	ot_err failure;
	char why[400];
	bool is_in_snapshot;
	bool is_in_call; /* a call of the log is on the stack: no callback may come */
	bool is_closed;
};

struct member_append {
	struct ot_metalog_append append;
	struct member *member;
	int64_t first_number;
	int32_t count;
};

static inline void
kit_push(int64_t **list, int64_t *count, int64_t *capacity, int64_t number)
{
	if (*count == *capacity) {
		*capacity = OT_MAX(1024, *capacity * 2);
		*list = ot_realloc(*list, (size_t)*capacity * sizeof(**list));
		assert_non_null(*list);
	}
	(*list)[(*count)++] = number;
}

static inline int64_t
kit_number_of(struct ot_bytes framed)
{
	struct ot_typed_record record;
	struct ot_arena arena;
	int64_t number;

	ot_arena_init(&arena, 0);
	assert_ok(ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record));
	assert_int_equal(record.type->type, OT_PRODUCER_IDS_RECORD_TYPE);
	number = ((struct ot_producer_ids_record *)record.msg)->next_producer_id;
	ot_arena_fini(&arena);
	return number;
}

static void
kit_on_snapshot_begin(void *arg, struct ot_metalog_id id, ot_wall_ms timestamp)
{
	struct member *member = arg;

	(void)timestamp;
	assert_false(member->is_in_call);
	assert_int_equal(member->under_way, 0);
	member->number_count = 0;
	member->next_offset = id.end_offset;
	member->batch_epoch = id.epoch;
	member->is_in_snapshot = true;
	member->snapshot_told_count++;
}

static void
kit_on_snapshot_end(void *arg)
{
	struct member *member = arg;

	assert_true(member->is_in_snapshot);
	member->is_in_snapshot = false;
}

static void
kit_on_batch(void *arg, const struct ot_metalog_batch *batch)
{
	struct member *member = arg;

	assert_false(member->is_in_call);
	assert_int_equal(batch->is_snapshot, member->is_in_snapshot);
	if (!batch->is_snapshot) {
		assert_int_equal(batch->base_offset, member->next_offset);
		assert_int_equal(batch->next_offset,
		    batch->base_offset + OT_MAX(1, batch->record_count));
		assert_true(batch->epoch >= member->batch_epoch);
		member->batch_epoch = batch->epoch;
		member->next_offset = batch->next_offset;
	}
	for (int32_t i = 0; i < batch->record_count; i++)
		kit_push(&member->numbers, &member->number_count, &member->number_capacity,
		    kit_number_of(batch->records[i]));
}

static void
kit_on_leader(void *arg, int32_t leader_id, int32_t epoch,
    const struct ot_metalog_endpoint *endpoint)
{
	struct member *member = arg;

	assert_false(member->is_in_call);
	assert_false(member->is_in_snapshot);
	assert_int_equal(member->under_way, 0);
	/* An epoch has one leader, and epochs only grow. */
	assert_true(epoch >= member->leader_epoch);
	if (epoch == member->leader_epoch && leader_id >= 0 && member->leader_id >= 0)
		assert_int_equal(leader_id, member->leader_id);
	member->leader_id = leader_id;
	member->leader_epoch = epoch;
	member->leader_port = endpoint != NULL ? endpoint->port : 0;
	member->epoch = leader_id == member->node_id ? epoch : 0;
	member->lead_count += member->epoch > 0;
	if (member->epoch > 0)
		assert_int_equal(member->batch_epoch, epoch);
}

static void
kit_on_failure(void *arg, ot_err err, const char *why)
{
	struct member *member = arg;

	assert_int_equal(member->under_way, 0);
	member->failure = err;
	member->epoch = 0;
	(void)snprintf(member->why, sizeof(member->why), "%s", why);
}

static const struct ot_metalog_events kit_events = { kit_on_snapshot_begin, kit_on_batch,
	kit_on_snapshot_end, kit_on_leader, kit_on_failure };

static inline void
member_start(struct member *member, struct ot_metalog *log, struct ot_io *io, int32_t node_id,
    int64_t tag)
{
	*member = (struct member){ .log = log,
		.io = io,
		.node_id = node_id,
		.leader_id = -1,
		.tag = tag,
		.next_number = tag * 1000000000ll };
	member->is_in_call = true;
	ot_metalog_start(log, &kit_events, member);
	member->is_in_call = false;
}

static inline void
member_fini(struct member *member)
{
	ot_free(member->numbers);
	ot_free(member->acked);
	*member = (struct member){ 0 };
}

static void
kit_on_done(struct ot_metalog_append *log, ot_err err)
{
	struct member_append *append = OT_CONTAINER_OF(log, struct member_append, append);
	struct member *member = append->member;

	assert_false(member->is_in_call);
	member->under_way--;
	if (err == OT_OK) {
		/* Told just before, whole, at the offset that was foreseen. */
		assert_int_equal(member->next_offset, log->base_offset + append->count);
		assert_true(member->number_count >= append->count);
		for (int32_t i = 0; i < append->count; i++) {
			int64_t number = append->first_number + i;

			assert_int_equal(member->numbers[member->number_count - append->count + i],
			    number);
			kit_push(&member->acked, &member->acked_count, &member->acked_capacity,
			    number);
		}
	} else {
		member->failed_count++;
		member->append_err = err;
	}
	ot_metadata_records_fini(&append->append.records);
	ot_free(append);
}

/* Appends one batch of `count` numbers that nobody has appended yet. */
static inline void
member_append(struct member *member, int32_t count)
{
	struct member_append *append = ot_must_alloc(sizeof(*append));
	struct ot_producer_ids_record record;

	append->member = member;
	append->first_number = member->next_number;
	append->count = count;
	append->append.epoch = member->epoch;
	append->append.on_done = kit_on_done;
	ot_metadata_records_init(&append->append.records);
	ot_producer_ids_record_init(&record);
	for (int32_t i = 0; i < count; i++) {
		record.next_producer_id = member->next_number++;
		ot_metadata_records_add(&append->append.records, &ot_producer_ids_record_msg,
		    &record);
	}
	member->under_way++;
	member->is_in_call = true;
	ot_metalog_append(member->log, &append->append);
	member->is_in_call = false;
}

/* ---- snapshots ------------------------------------------------------------------------------ */

struct member_snapshot {
	struct ot_metalog_snapshot snapshot;
	struct member *member;
	int64_t *numbers;
	int64_t next;
	int64_t count;
};

static ot_err
kit_snapshot_next(void *arg, struct ot_metadata_records *out)
{
	struct member_snapshot *snapshot = arg;
	struct ot_producer_ids_record record;

	ot_producer_ids_record_init(&record);
	for (int i = 0; i < 500 && snapshot->next < snapshot->count; i++) {
		record.next_producer_id = snapshot->numbers[snapshot->next++];
		ot_metadata_records_add(out, &ot_producer_ids_record_msg, &record);
	}
	return OT_OK;
}

static void
kit_on_snapshot_done(struct ot_metalog_snapshot *log, ot_err err)
{
	struct member_snapshot *snapshot = OT_CONTAINER_OF(log, struct member_snapshot, snapshot);
	struct member *member = snapshot->member;

	assert_false(member->is_in_call);
	member->snapshot_done_count++;
	member->snapshot_ok_count += err == OT_OK;
	ot_free(snapshot->numbers);
	ot_free(snapshot);
}

static inline void
member_put_snapshot(struct member *member)
{
	struct member_snapshot *snapshot = ot_must_alloc(sizeof(*snapshot));
	size_t bytes = (size_t)member->number_count * sizeof(*snapshot->numbers);

	member->snapshots_begun++;
	snapshot->member = member;
	snapshot->numbers = ot_must_alloc(bytes + 1);
	if (bytes > 0)
		memcpy(snapshot->numbers, member->numbers, bytes);
	snapshot->count = member->number_count;
	snapshot->snapshot = (struct ot_metalog_snapshot){
		.id = { member->next_offset, member->batch_epoch },
		.timestamp = 1000,
		.next = kit_snapshot_next,
		.arg = snapshot,
		.on_done = kit_on_snapshot_done,
	};
	member->is_in_call = true;
	ot_metalog_put_snapshot(member->log, &snapshot->snapshot);
	member->is_in_call = false;
}

/* ---- checks --------------------------------------------------------------------------------- */

static inline void
kit_check_same(const struct member *a, const struct member *b)
{
	assert_int_equal(a->number_count, b->number_count);
	assert_int_equal(a->next_offset, b->next_offset);
	for (int64_t i = 0; i < a->number_count; i++)
		assert_int_equal(a->numbers[i], b->numbers[i]);
}

/* All that was acknowledged to `writer` is what `reader` was told of it, once and in order; there
 * may be more, whose acknowledgement was lost. */
static inline void
kit_check_acked(const struct member *writer, const struct member *reader)
{
	int64_t place = 0, last = -1;

	for (int64_t i = 0; i < reader->number_count; i++) {
		int64_t number = reader->numbers[i];

		if (number / 1000000000 != writer->tag)
			continue;
		assert_true(number > last);
		last = number;
		if (place < writer->acked_count && writer->acked[place] == number)
			place++;
	}
	assert_int_equal(place, writer->acked_count);
}

static void
kit_on_closed(void *arg)
{
	struct member *member = arg;

	assert_false(member->is_in_call);
	assert_int_equal(member->under_way, 0);
	member->is_closed = true;
}

static inline void
member_close(struct member *member)
{
	member->is_in_call = true;
	ot_metalog_close(member->log, kit_on_closed, member);
	member->is_in_call = false;
}

#endif
