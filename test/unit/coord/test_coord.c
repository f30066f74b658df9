/* Goal: the runtime keeps its promises: one batch per turn, answers after the commit, undo of
 * exactly what failed, loading in steps that end in the same state, rewriting that loses nothing.
 * Method: a machine of plain keys and values, a log in memory that waits and fails as it is told,
 * and a model of what must be there. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/blob.h"
#include "base/map.h"
#include "wire/msg_group_log.h"

/* ---- a machine of keys and values ---------------------------------------------------------- */

struct pair {
	UT_hash_handle hh;
	uint32_t number; /* in the order of creation: a cursor for each() */
	uint64_t batch_number;
	struct ot_str value;
	int32_t key_len;
	char key[];
};

struct kv {
	struct ot_coord_machine machine;
	struct pair *pairs;
	uint32_t number_next;
	uint32_t applied_count;
	uint32_t undone_count;
	uint32_t marker_count;
	uint32_t activate_count;
	uint32_t clear_count;
	bool is_rewrite_refused;
};

static struct kv *
from_machine(struct ot_coord_machine *machine)
{
	return (struct kv *)machine;
}

static struct pair *
kv_find(struct kv *kv, struct ot_bytes key)
{
	struct pair *pair = NULL;
	HASH_FIND(hh, kv->pairs, key.data, (unsigned)key.len, pair);
	return pair;
}

static void
kv_drop(struct kv *kv, struct pair *pair)
{
	HASH_DEL(kv->pairs, pair);
	ot_free((void *)(uintptr_t)pair->value.data);
	free(pair);
}

static ot_err
kv_apply(struct ot_coord_machine *machine, const struct ot_coord_record *record,
    enum ot_coord_origin origin)
{
	struct kv *kv = from_machine(machine);
	struct ot_str text = { .data = (const char *)record->key.data, .len = record->key.len };
	kv->applied_count++;
	kv->undone_count += origin == OT_COORD_UNDO;
	if (origin == OT_COORD_LOAD && ot_str_is(text, "unknown"))
		return OT_ERR_UNSUPPORTED_VERSION;
	if (origin == OT_COORD_LOAD && ot_str_is(text, "broken"))
		return OT_ERR_MALFORMED;
	struct pair *pair = kv_find(kv, record->key);
	if (record->value.len < 0) {
		if (pair != NULL)
			kv_drop(kv, pair);
		return OT_OK;
	}
	if (pair == NULL) {
		pair = calloc(1, sizeof(*pair) + (size_t)record->key.len);
		pair->number = ++kv->number_next;
		pair->key_len = record->key.len;
		memcpy(pair->key, record->key.data, (size_t)record->key.len);
		HASH_ADD(hh, kv->pairs, key[0], (unsigned)pair->key_len, pair);
	}
	ot_free((void *)(uintptr_t)pair->value.data);
	pair->value.data =
	    ot_must_strndup((const char *)record->value.data, (size_t)record->value.len);
	pair->value.len = record->value.len;
	pair->batch_number = ot_coord_batch_number(machine->coord);
	return OT_OK;
}

static bool
kv_image(struct ot_coord_machine *machine, struct ot_bytes key, struct ot_writer *out)
{
	struct pair *pair = kv_find(from_machine(machine), key);
	if (pair == NULL)
		return false;
	ot_write_raw(out, pair->value.data, (size_t)pair->value.len);
	return true;
}

static void
kv_marker(struct ot_coord_machine *machine, int64_t producer_id, int16_t epoch, bool is_commit)
{
	(void)producer_id;
	(void)epoch;
	(void)is_commit;
	from_machine(machine)->marker_count++;
}

static bool
kv_each(struct ot_coord_machine *machine, uint64_t *place, uint32_t count_max, ot_coord_emit *emit,
    void *arg)
{
	struct kv *kv = from_machine(machine);
	uint32_t count = 0;
	if (kv->is_rewrite_refused)
		return false;
	for (struct pair *pair = kv->pairs; pair != NULL; pair = pair->hh.next) {
		if (pair->number <= *place)
			continue;
		if (count++ == OT_MIN(count_max, 7u))
			return true;
		emit(arg, (struct ot_bytes){ .data = (uint8_t *)pair->key, .len = pair->key_len },
		    (struct ot_bytes){ .data = (const uint8_t *)pair->value.data,
			.len = pair->value.len });
		*place = pair->number;
	}
	*place = 0;
	return true;
}

static void
kv_activate(struct ot_coord_machine *machine)
{
	from_machine(machine)->activate_count++;
}

static void
kv_clear(struct ot_coord_machine *machine)
{
	struct kv *kv = from_machine(machine);
	struct pair *pair;
	struct pair *next;
	kv->clear_count++;
	HASH_ITER(hh, kv->pairs, pair, next)
		kv_drop(kv, pair);
}

static const struct ot_coord_machine_ops kv_ops = {
	.apply = kv_apply,
	.image = kv_image,
	.marker = kv_marker,
	.each = kv_each,
	.activate = kv_activate,
	.clear = kv_clear,
};

/* The key and value of these tests: what a commit of `group` writes, with an offset for a value. */
static void
put(struct ot_coord *coord, const char *name, int64_t number)
{
	struct ot_offset_commit_key key = { .group = ot_str_from(name), .topic = OT_STR_LIT("t") };
	struct ot_offset_commit_value value;
	ot_offset_commit_value_init(&value);
	value.offset = number;
	value.metadata = OT_STR_LIT("");
	ot_coord_put(coord, &ot_offset_commit_key_msg, OT_OFFSET_COMMIT_KEY_TYPE, &key,
	    &ot_offset_commit_value_msg, 3, number < 0 ? NULL : &value);
}

static ot_err
set(struct ot_coord *coord, const char *name, int64_t number)
{
	ot_coord_begin(coord);
	put(coord, name, number);
	return ot_coord_commit(coord, false);
}

/* The number of a key; -1: none. */
static int64_t
get(struct kv *kv, const char *name)
{
	uint8_t key[100] = { 0, 1, 0, (uint8_t)strlen(name) };
	size_t len = 4 + strlen(name);
	memcpy(key + 4, name, strlen(name));
	memcpy(key + len, "\0\1t\0\0\0\0", 7);
	struct pair *pair = kv_find(kv, (struct ot_bytes){ .data = key, .len = (int32_t)len + 7 });
	if (pair == NULL)
		return -1;
	return (int64_t)ot_get_u64((const uint8_t *)pair->value.data + 2);
}

/* ---- fixture ------------------------------------------------------------------------------- */

static struct harness h;
static struct kv kv;

static int
setup(void **state)
{
	(void)state;
	memset(&kv, 0, sizeof(kv));
	kv.machine.ops = &kv_ops;
	harness_init(&h);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	harness_fini(&h);
	assert_null(kv.pairs);
	return 0;
}

static void
start(uint64_t rewrite_bytes_min)
{
	harness_coord(&h, &kv.machine, rewrite_bytes_min);
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
}

struct waiter {
	struct ot_coord_wait wait;
	int done_count;
	ot_err err;
	int64_t seen; /* what the machine had for "a" at that moment */
};

static void
on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct waiter *waiter = (struct waiter *)wait;
	waiter->done_count++;
	waiter->err = err;
	waiter->seen = get(&kv, "a");
}

static void
count_record(void *arg, const struct ot_record *record)
{
	(void)record;
	(*(int *)arg)++;
}

static int
record_count(void)
{
	int count = 0;
	fake_log_each(&h.log, count_record, &count);
	return count;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void
test_one_batch_per_turn(void **state)
{
	(void)state;
	start(0);
	struct waiter first = { 0 };
	struct waiter second = { 0 };
	assert_ok(set(h.coord, "a", 1));
	ot_coord_wait(h.coord, &first.wait, on_done);
	assert_ok(set(h.coord, "b", 2));
	assert_ok(set(h.coord, "a", 3));
	ot_coord_wait(h.coord, &second.wait, on_done);
	assert_int_equal(get(&kv, "a"), 3);
	assert_int_equal(h.log.append_count, 0);
	assert_int_equal(first.done_count, 0);

	harness_turn(&h);
	assert_int_equal(h.log.append_count, 1);
	assert_int_equal(record_count(), 3);
	assert_int_equal(first.done_count, 1);
	assert_int_equal(first.err, OT_OK);
	assert_int_equal(second.done_count, 1);
	assert_true(ot_coord_is_settled(h.coord));
}

static void
test_answer_waits_for_the_commit(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	struct waiter waiter = { 0 };
	assert_ok(set(h.coord, "a", 1));
	uint64_t number = ot_coord_batch_number(h.coord);
	ot_coord_wait(h.coord, &waiter.wait, on_done);
	harness_turn(&h);
	assert_int_equal(waiter.done_count, 0);
	assert_false(ot_coord_is_committed(h.coord, number));
	assert_false(ot_coord_is_settled(h.coord));
	fake_log_commit(&h);
	assert_int_equal(waiter.done_count, 1);
	assert_true(ot_coord_is_committed(h.coord, number));
}

static void
test_wait_for_nothing_ends_with_the_turn(void **state)
{
	(void)state;
	start(0);
	struct waiter waiter = { 0 };
	ot_coord_wait(h.coord, &waiter.wait, on_done);
	assert_int_equal(waiter.done_count, 0);
	harness_turn(&h);
	assert_int_equal(waiter.done_count, 1);
	assert_int_equal(waiter.err, OT_OK);
}

static void
test_timeout_decides_nothing(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	struct waiter early = { 0 };
	struct waiter late = { 0 };
	assert_ok(set(h.coord, "a", 1));
	ot_coord_wait(h.coord, &early.wait, on_done);
	harness_advance(&h, 3000);
	ot_coord_wait(h.coord, &late.wait, on_done);
	harness_advance(&h, 2001);
	assert_int_equal(early.err, OT_ERR_REQUEST_TIMED_OUT);
	assert_int_equal(early.done_count, 1);
	assert_int_equal(late.done_count, 0);
	assert_int_equal(get(&kv, "a"), 1);
	fake_log_commit(&h);
	assert_int_equal(late.done_count, 1);
	assert_int_equal(late.err, OT_OK);
	assert_int_equal(early.done_count, 1);
	assert_int_equal(get(&kv, "a"), 1);
}

static void
test_failed_append_is_undone(void **state)
{
	(void)state;
	start(0);
	assert_ok(set(h.coord, "a", 1));
	harness_turn(&h);

	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	struct waiter waiter = { 0 };
	ot_coord_begin(h.coord);
	put(h.coord, "a", 2);
	put(h.coord, "a", 3);
	put(h.coord, "b", 1);
	assert_ok(ot_coord_commit(h.coord, false));
	assert_ok(set(h.coord, "a", -1));
	assert_int_equal(get(&kv, "a"), -1);
	ot_coord_wait(h.coord, &waiter.wait, on_done);
	harness_turn(&h);
	assert_int_equal(waiter.err, OT_ERR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(waiter.seen, 1); /* undone before it was told */
	assert_int_equal(get(&kv, "a"), 1);
	assert_int_equal(get(&kv, "b"), -1);
	assert_int_equal(record_count(), 1);

	/* And it goes on. */
	h.log.fail_err = OT_OK;
	assert_ok(set(h.coord, "a", 4));
	harness_turn(&h);
	assert_int_equal(record_count(), 2);
	assert_int_equal(get(&kv, "a"), 4);
}

static void
test_failure_spares_what_is_before_it(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	struct waiter first = { 0 };
	struct waiter second = { 0 };
	assert_ok(set(h.coord, "a", 1));
	ot_coord_wait(h.coord, &first.wait, on_done);
	harness_turn(&h);

	/* Refused at once while the first one waits. */
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	assert_ok(set(h.coord, "a", 2));
	ot_coord_wait(h.coord, &second.wait, on_done);
	harness_turn(&h);
	assert_int_equal(second.err, OT_ERR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(first.done_count, 0);
	assert_int_equal(get(&kv, "a"), 1);
	/* What is restored is the first batch's, which is not committed yet. */
	assert_false(ot_coord_is_committed(h.coord, kv.pairs->batch_number));
	fake_log_commit(&h);
	assert_int_equal(first.err, OT_OK);
	assert_int_equal(first.done_count, 1);
	assert_true(ot_coord_is_committed(h.coord, kv.pairs->batch_number));
}

static void
test_late_failure_takes_all_behind_it(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	struct waiter waiters[4] = { 0 };
	for (int i = 0; i < 4; i++) {
		h.log.fail_err = i >= 1 ? OT_ERR_KAFKA_STORAGE_ERROR : OT_OK;
		h.log.is_failing_late = true;
		assert_ok(set(h.coord, "a", i + 1));
		ot_coord_wait(h.coord, &waiters[i].wait, on_done);
		if (i < 3)
			harness_turn(&h); /* the last one stays open */
	}
	ot_shard_enter(h.shard);
	fake_log_commit(&h);
	assert_int_equal(waiters[0].err, OT_OK);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(waiters[i].done_count, 1);
		assert_int_equal(waiters[i].err, OT_ERR_KAFKA_STORAGE_ERROR);
		assert_int_equal(waiters[i].seen, 1);
	}
	assert_int_equal(record_count(), 1);
	assert_true(ot_coord_is_settled(h.coord));
}

static void
again_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct waiter *waiter = (struct waiter *)wait;
	on_done(wait, err);
	if (err == OT_OK)
		return;
	h.log.fail_err = OT_OK;
	assert_ok(set(h.coord, "a", 9));
	ot_coord_wait(h.coord, &waiter->wait, again_on_done);
}

static void
test_waiter_may_write_again(void **state)
{
	(void)state;
	start(0);
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	struct waiter waiter = { 0 };
	assert_ok(set(h.coord, "a", 1));
	ot_coord_wait(h.coord, &waiter.wait, again_on_done);
	harness_turn(&h);
	assert_int_equal(waiter.done_count, 2);
	assert_int_equal(waiter.err, OT_OK);
	assert_int_equal(get(&kv, "a"), 9);
	assert_int_equal(record_count(), 1);
}

static void
test_operation_is_whole_or_refused(void **state)
{
	(void)state;
	start(0);
	h.log.log.batch_bytes_max = 1000;
	ot_coord_begin(h.coord);
	for (int i = 0; i < 100; i++) {
		char name[20];
		snprintf(name, sizeof(name), "key-%d", i);
		put(h.coord, name, i);
	}
	assert_int_equal(ot_coord_commit(h.coord, false), OT_ERR_MESSAGE_TOO_LARGE);
	assert_null(kv.pairs);
	harness_turn(&h);
	assert_int_equal(h.log.append_count, 0);

	/* In parts, when the machine allows it. */
	ot_coord_begin(h.coord);
	for (int i = 0; i < 100; i++) {
		char name[20];
		snprintf(name, sizeof(name), "key-%d", i);
		put(h.coord, name, i);
	}
	assert_ok(ot_coord_commit(h.coord, true));
	harness_turn(&h);
	assert_true(h.log.append_count > 3);
	assert_int_equal(record_count(), 100);
	assert_int_equal(get(&kv, "key-99"), 99);

	/* Nothing put, nothing written. */
	uint32_t append_count = h.log.append_count;
	ot_coord_begin(h.coord);
	assert_ok(ot_coord_commit(h.coord, false));
	ot_coord_begin(h.coord);
	put(h.coord, "a", 1);
	ot_coord_abandon(h.coord);
	harness_turn(&h);
	assert_int_equal(h.log.append_count, append_count);
	assert_int_equal(get(&kv, "a"), -1);
}

/* Each allocation of a commit fails in turn: either all is done or nothing is. */
static void
test_no_memory(void **state)
{
	(void)state;
	start(0);
	assert_ok(set(h.coord, "a", 0));
	harness_turn(&h);
	int failure_count = 0;
	for (uint64_t n = 1; n < 30; n++) {
		struct waiter waiter = { 0 };
		int64_t before = get(&kv, "a");
		ot_alloc_fail_at(n);
		ot_coord_begin(h.coord);
		put(h.coord, "a", (int64_t)n);
		ot_err err = ot_coord_commit(h.coord, false);
		if (err == OT_OK)
			ot_coord_wait(h.coord, &waiter.wait, on_done);
		else
			assert_int_equal(err, OT_ERR_NO_MEMORY);
		if (n < 8 || err != OT_OK)
			harness_turn(&h);
		ot_alloc_fail_at(0);
		harness_turn(&h);
		bool is_done = err == OT_OK && waiter.err == OT_OK;
		assert_int_equal(get(&kv, "a"), is_done ? (int64_t)n : before);
		failure_count += !is_done;
		assert_true(ot_coord_is_settled(h.coord));
	}
	assert_true(failure_count > 0);
}

/* A log that breaks its promise, and takes a batch behind one that it refuses, is believed. */
static void
test_log_that_takes_what_was_undone(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	assert_ok(set(h.coord, "a", 1));
	harness_turn(&h);
	assert_ok(set(h.coord, "b", 2));
	harness_turn(&h);
	struct ot_coord_append *first = OT_LIST_FIRST(&h.log.waiting, struct ot_coord_append, link);
	ot_list_remove(&first->link);
	first->on_done(first, OT_ERR_MESSAGE_TOO_LARGE);
	assert_int_equal(get(&kv, "b"), -1);
	ot_blob_unref(h.log.batches[0]); /* refused indeed */
	h.log.batches[0] = h.log.batches[1];
	h.log.batch_count = 1;
	h.log.start_offset = 1;
	fake_log_commit(&h);
	harness_advance(&h, 1);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	assert_int_equal(get(&kv, "a"), -1);
	assert_int_equal(get(&kv, "b"), 2);
}

/* ---- unloading ----------------------------------------------------------------------------- */

static void
test_unload_tells_all_who_wait(void **state)
{
	(void)state;
	start(0);
	h.log.is_held = true;
	struct waiter sent = { 0 };
	struct waiter open = { 0 };
	assert_ok(set(h.coord, "a", 1));
	ot_coord_wait(h.coord, &sent.wait, on_done);
	harness_turn(&h);
	assert_ok(set(h.coord, "a", 2));
	ot_coord_wait(h.coord, &open.wait, on_done);
	ot_coord_unload(h.coord);
	assert_int_equal(sent.err, OT_ERR_NOT_COORDINATOR);
	assert_int_equal(open.err, OT_ERR_NOT_COORDINATOR);
	assert_null(kv.pairs);
	assert_int_equal(ot_coord_admit(h.coord), OT_ERR_NOT_COORDINATOR);
	ot_coord_unload(h.coord); /* harmless */

	/* The log's answer comes when nobody wants it, and what it has is loaded again. */
	harness_load(&h);
	fake_log_commit(&h);
	assert_int_equal(get(&kv, "a"), 1);
	assert_int_equal(sent.done_count, 1);
	h.log.is_held = false;
	assert_ok(set(h.coord, "a", 5));
	harness_turn(&h);
	assert_int_equal(record_count(), 2);
}

/* ---- loading ------------------------------------------------------------------------------- */

static void
test_load_gives_the_same_state(void **state)
{
	(void)state;
	start(0);
	for (int i = 0; i < 5000; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i % 700);
		assert_ok(set(h.coord, name, i % 5 == 0 ? -1 : i));
		if (i % 37 == 0)
			harness_turn(&h);
	}
	harness_turn(&h);
	int64_t expected[700];
	for (int i = 0; i < 700; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i);
		expected[i] = get(&kv, name);
	}
	ot_coord_unload(h.coord);
	assert_null(kv.pairs);

	/* Each turn does a bounded part of it. */
	ot_coord_load(h.coord, 2);
	assert_int_equal(ot_coord_admit(h.coord), OT_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	struct ot_io *io = &h.ios[0].io;
	int turn_count = 0;
	while (ot_coord_state(h.coord) == OT_COORD_LOADING) {
		uint32_t before = kv.applied_count;
		ot_io_expire(io, h.ios[0].now);
		harness_turn(&h);
		assert_true(kv.applied_count - before < 1100);
		turn_count++;
		h.ios[0].now++;
	}
	assert_true(turn_count > 5);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	assert_int_equal(ot_coord_leader_epoch(h.coord), 2);
	for (int i = 0; i < 700; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(get(&kv, name), expected[i]);
	}
	struct ot_coord_stats stats;
	ot_coord_get_stats(h.coord, &stats);
	assert_int_equal(stats.records_loaded, 5000);

	/* A new epoch of the same leader changes nothing else. */
	ot_coord_load(h.coord, 3);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	assert_int_equal(ot_coord_leader_epoch(h.coord), 3);
}

static struct ot_record_data
record_of(const char *key, const char *value)
{
	struct ot_record_data record = { .timestamp = 5, .encoded_headers = OT_BYTES_NULL };
	record.key = OT_BYTES_NULL;
	record.value = OT_BYTES_NULL;
	if (key != NULL)
		record.key = (struct ot_bytes){ (const uint8_t *)key, (int32_t)strlen(key) };
	if (value != NULL)
		record.value = (struct ot_bytes){ (const uint8_t *)value, (int32_t)strlen(value) };
	return record;
}

static void
test_load_skips_what_it_does_not_know(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data records[] = { record_of("x", "1"), record_of("unknown", "2"),
		record_of("y", "3") };
	fake_log_write(&h.log, &options, records, 3);
	fake_log_write_marker(&h.log, 77, true);
	start(1);
	assert_int_equal(HASH_COUNT(kv.pairs), 2);
	assert_int_equal(kv.marker_count, 1);
	struct ot_coord_stats stats;
	ot_coord_get_stats(h.coord, &stats);
	assert_int_equal(stats.records_unknown, 1);

	/* And never trims it away. */
	for (int i = 0; i < 1000; i++) {
		assert_ok(set(h.coord, "a", i));
		harness_turn(&h);
	}
	harness_advance(&h, 1000);
	assert_int_equal(h.log.trim_offset, -1);
}

static void
test_load_fails_on_a_broken_log(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data good = record_of("x", "1");
	struct ot_record_data broken = record_of("broken", "1");
	struct ot_record_data keyless = record_of(NULL, "1");
	fake_log_write(&h.log, &options, &good, 1);
	harness_coord(&h, &kv.machine, 0);

	h.log.read_err = OT_ERR_IO;
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_FAILED);
	assert_int_equal(ot_coord_admit(h.coord), OT_ERR_NOT_COORDINATOR);
	assert_null(kv.pairs);

	/* The next leadership tries again. */
	h.log.read_err = OT_OK;
	h.log.batches[0]->data[65] ^= 1;
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_FAILED);
	h.log.batches[0]->data[65] ^= 1;
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	ot_coord_unload(h.coord);

	fake_log_write(&h.log, &options, &broken, 1);
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_FAILED);
	ot_blob_unref(h.log.batches[--h.log.batch_count]);
	h.log.end_offset--;
	fake_log_write(&h.log, &options, &keyless, 1);
	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_FAILED);
	assert_null(kv.pairs);
	ot_coord_unload(h.coord);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_IDLE);
}

static void
test_load_is_stopped_and_begun_again(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data record = record_of("x", "1");
	fake_log_write(&h.log, &options, &record, 1);
	harness_coord(&h, &kv.machine, 0);
	h.log.is_read_held = true;
	harness_load(&h);
	assert_non_null(h.log.read);
	ot_coord_unload(h.coord);
	ot_coord_load(h.coord, 2);
	harness_advance(&h, 100);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_LOADING);

	/* The first load's chunk comes now, and is not taken for the second's. */
	struct ot_coord_read *stale = h.log.read;
	h.log.read = NULL;
	h.log.is_read_held = false;
	stale->blob = ot_blob_create(1);
	stale->data = stale->blob->data;
	stale->bytes = 1;
	stale->next_offset = 1;
	stale->on_done(stale, OT_OK);
	harness_advance(&h, 1);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	assert_int_equal(HASH_COUNT(kv.pairs), 1);
}

/* ---- rewriting ----------------------------------------------------------------------------- */

static void
test_rewrite_keeps_all_that_lives(void **state)
{
	(void)state;
	start(20000);
	uint32_t trims = 0;
	int64_t trim_offset = -1;
	for (int i = 0; i < 6000; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i * 7 % 40);
		assert_ok(set(h.coord, name, i % 11 == 0 ? -1 : i));
		harness_advance(&h, 1);
		trims += h.log.trim_offset != trim_offset;
		trim_offset = h.log.trim_offset;
	}
	assert_true(trims > 3);
	assert_true(h.log.batch_count < 1500);
	int64_t expected[40];
	for (int i = 0; i < 40; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i);
		expected[i] = get(&kv, name);
	}
	ot_coord_unload(h.coord);
	harness_load(&h);
	for (int i = 0; i < 40; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(get(&kv, name), expected[i]);
	}
}

static void
test_rewrite_that_fails_trims_nothing(void **state)
{
	(void)state;
	start(5000);
	kv.is_rewrite_refused = true;
	for (int i = 0; i < 200; i++) {
		char name[20];
		snprintf(name, sizeof(name), "k%d", i % 30);
		assert_ok(set(h.coord, name, i));
		harness_advance(&h, 1);
	}
	assert_int_equal(h.log.trim_offset, -1);

	/* Its appends fail in the middle of it. */
	kv.is_rewrite_refused = false;
	for (int i = 0; i < 2000; i++) {
		h.log.fail_err = i % 3 == 0 ? OT_OK : OT_ERR_NOT_ENOUGH_REPLICAS;
		(void)!set(h.coord, "k1", i);
		harness_advance(&h, 1);
		if (h.log.trim_offset >= 0)
			break;
	}
	h.log.fail_err = OT_OK;
	ot_coord_unload(h.coord);
	harness_load(&h);
	assert_int_equal(HASH_COUNT(kv.pairs), 30);
	assert_int_equal(get(&kv, "k29"), 179);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_one_batch_per_turn),
		TEST(test_answer_waits_for_the_commit),
		TEST(test_wait_for_nothing_ends_with_the_turn),
		TEST(test_timeout_decides_nothing),
		TEST(test_failed_append_is_undone),
		TEST(test_failure_spares_what_is_before_it),
		TEST(test_late_failure_takes_all_behind_it),
		TEST(test_waiter_may_write_again),
		TEST(test_operation_is_whole_or_refused),
		TEST(test_no_memory),
		TEST(test_log_that_takes_what_was_undone),
		TEST(test_unload_tells_all_who_wait),
		TEST(test_load_gives_the_same_state),
		TEST(test_load_skips_what_it_does_not_know),
		TEST(test_load_fails_on_a_broken_log),
		TEST(test_load_is_stopped_and_begun_again),
		TEST(test_rewrite_keeps_all_that_lives),
		TEST(test_rewrite_that_fails_trims_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
