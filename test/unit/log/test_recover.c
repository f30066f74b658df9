/* Goal: every derived file that is missing or damaged is rebuilt from the records; leftovers of
 * interrupted work are finished or removed; records are cut where a stop may have broken them and
 * refused where they were safe before.
 *
 * Method: a small log is closed or dropped, one of its files is changed by hand, and the log opened
 * again. */
#include "kit.h"

#include <stdio.h>

#define FIRST  "00000000000000000000"
#define SECOND "00000000000000000010"
#define THIRD  "00000000000000000020"

/* Three segments of ten batches of one record. */
static void
fill(struct kit *kit)
{
	kit_init(kit, NULL);
	kit->settings.index_interval_bytes = 150;
	kit_open(kit, true);
	for (int64_t i = 0; i < 30; i++) {
		if (i == 10 || i == 20)
			assert_ok(ot_log_roll(kit->log, kit->now, false));
		kit_append(kit,
		    &(struct kit_batch){ .timestamp = KIT_TIME + i, .leader_epoch = 1 });
	}
}

static void
reopen(struct kit *kit, bool is_clean, int64_t end)
{
	kit_open(kit, is_clean);
	assert_int_equal(ot_log_end_offset(kit->log), end);
	assert_int_equal(kit_check_read(kit, ot_log_start_offset(kit->log), 300),
	    end - ot_log_start_offset(kit->log));
	kit_check_indexes(kit);
}

/* ---- derived files ------------------------------------------------------------------------- */

static void
test_missing_indexes_are_rebuilt(void **state)
{
	(void)state;
	static const char *const names[] = { FIRST ".index", SECOND ".timeindex", THIRD ".index",
		THIRD ".timeindex" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		for (int is_clean = 0; is_clean < 2; is_clean++) {
			struct kit kit;
			fill(&kit);
			kit_close(&kit);
			kit_remove_file(&kit, names[i]);
			reopen(&kit, is_clean != 0, 30);
			assert_int_equal(kit.result.indexes_rebuilt, 1);
			assert_true(kit.result.bytes_scanned > 0);
			kit_fini(&kit);
		}
	}
}

static void
test_indexes_of_a_wrong_size_are_rebuilt(void **state)
{
	(void)state;
	static const char *const names[] = { FIRST ".index", SECOND ".timeindex", THIRD ".index" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		struct kit kit;
		struct ot_writer data;
		fill(&kit);
		kit_close(&kit);
		kit_read_file(&kit, names[i], &data);
		kit_write_file(&kit, names[i], data.data, data.bytes - 1);
		ot_writer_fini(&data);
		reopen(&kit, true, 30);
		assert_int_equal(kit.result.indexes_rebuilt, 1);
		kit_fini(&kit);
	}
}

/* Kafka's indexes of the active segment are zeros up to their greatest size until it is closed. */
static void
test_preallocated_indexes_of_kafka(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_writer data;
	fill(&kit);
	kit_close(&kit);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? THIRD ".index" : THIRD ".timeindex";
		kit_read_file(&kit, name, &data);
		assert_true(ot_writer_reserve(&data, 4096));
		memset(data.data + data.bytes, 0, 4096);
		kit_write_file(&kit, name, data.data, data.bytes + 240);
		ot_writer_fini(&data);
	}
	kit.recovery_point = 20;
	reopen(&kit, false, 30);
	kit_fini(&kit);
}

static void
test_a_damaged_index_misleads_nobody(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	kit_close(&kit);
	/* After a clean stop indexes of old segments are not looked at before they are used. */
	for (uint64_t place = 0; place < 24; place += 3) {
		kit_damage(&kit, FIRST ".index", place);
		kit_open(&kit, true);
		for (int64_t from = 0; from < 10; from++)
			assert_int_equal(kit_check_read(&kit, from, 1), 30 - from);
		kit_close(&kit);
		kit_damage(&kit, FIRST ".index", place);
	}
	kit_fini(&kit);
}

static void
test_snapshots(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_producer producer;
	fill(&kit);
	kit_append(&kit, &(struct kit_batch){ .producer_id = 7, .record_count = 3 });
	kit_close(&kit);
	for (int round = 0; round < 3; round++) {
		char name[64];
		snprintf(name, sizeof(name), "%020d.snapshot", 33);
		if (round == 1)
			kit_damage(&kit, name, 12);
		if (round == 2)
			kit_remove_file(&kit, name);
		kit_open(&kit, true);
		assert_int_equal(kit.result.snapshots_damaged, round == 1);
		assert_int_equal(kit.result.bytes_replayed > 0, round > 0);
		assert_true(ot_log_get_producer(kit.log, 7, &producer));
		assert_int_equal(producer.last_sequence, 2);
		assert_int_equal(producer.last_offset, 32);
		kit_close(&kit);
	}
	kit_fini(&kit);
}

/* ---- records ------------------------------------------------------------------------------- */

static void
test_cut_at_the_first_invalid_batch(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	int64_t bytes = kit_file_bytes(&kit, SECOND ".log");
	kit_drop(&kit);
	kit.recovery_point = 10;
	kit_damage(&kit, SECOND ".log", (uint64_t)bytes * 55 / 100);
	reopen(&kit, false, 15);
	assert_int_equal(kit.result.segments_removed, 1);
	assert_true(kit.result.bytes_truncated > (uint64_t)bytes);
	assert_true(strlen(kit.result.why.text) > 0);
	assert_int_equal(kit_file_bytes(&kit, THIRD ".log"), -1);
	kit_append_many(&kit, 3);
	assert_int_equal(kit_check_read(&kit, 0, 300), 21);
	kit_fini(&kit);
}

static void
test_cut_at_each_byte_of_the_tail(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_writer data;
	fill(&kit);
	kit_drop(&kit);
	kit_read_file(&kit, THIRD ".log", &data);
	kit.recovery_point = 20;
	for (size_t bytes = 0; bytes < data.bytes; bytes += 1 + bytes % 7) {
		kit_write_file(&kit, THIRD ".log", data.data, bytes);
		reopen(&kit, false, 20 + (int64_t)(bytes * 10 / data.bytes));
		kit_drop(&kit);
	}
	ot_writer_fini(&data);
	kit_fini(&kit);
}

static void
test_damage_before_the_recovery_point_is_refused(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	int64_t bytes = kit_file_bytes(&kit, THIRD ".log");
	kit_close(&kit);
	kit_damage(&kit, THIRD ".log", (uint64_t)bytes - 1);
	assert_int_equal(kit_try_open(&kit, false), OT_ERR_CORRUPT_FILE);
	assert_true(strlen(kit.result.why.text) > 0);
	assert_int_equal(kit_file_bytes(&kit, THIRD ".log"), bytes);
	kit_damage(&kit, THIRD ".log", (uint64_t)bytes - 1);
	reopen(&kit, false, 30);
	kit_close(&kit);
	/* Seen only when somebody looks: the index of the old segment is gone. */
	kit_damage(&kit, FIRST ".log", 150);
	kit_remove_file(&kit, FIRST ".index");
	assert_int_equal(kit_try_open(&kit, true), OT_ERR_CORRUPT_FILE);
	kit_fini(&kit);
}

static void
test_a_hole_between_segments_ends_the_log(void **state)
{
	(void)state;
	for (int is_compacted = 0; is_compacted < 2; is_compacted++) {
		struct kit kit;
		fill(&kit);
		kit_drop(&kit);
		kit_remove_file(&kit, SECOND ".log");
		kit.recovery_point = 5;
		kit.settings.is_compacted = is_compacted != 0;
		kit_open(&kit, false);
		assert_int_equal(ot_log_end_offset(kit.log), is_compacted != 0 ? 30 : 10);
		assert_int_equal(kit_check_read(&kit, 0, 300), is_compacted != 0 ? 20 : 10);
		kit_fini(&kit);
	}
}

/* Of a log without a recovery point nobody knows whether it was compacted once. */
static void
test_holes_of_an_unknown_past_stay(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	kit_drop(&kit);
	kit_remove_file(&kit, SECOND ".log");
	kit.recovery_point = -1;
	kit_open(&kit, false);
	assert_int_equal(ot_log_end_offset(kit.log), 30);
	assert_int_equal(ot_log_recovery_point(kit.log), 0);
	assert_int_equal(kit_check_read(&kit, 0, 300), 20);
	kit_fini(&kit);
}

static void
test_start_offset_behind_the_end(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	kit_close(&kit);
	kit.start_offset = 100;
	kit_open(&kit, true);
	assert_int_equal(ot_log_start_offset(kit.log), 100);
	assert_int_equal(ot_log_end_offset(kit.log), 100);
	assert_int_equal(kit.result.segments_removed, 3);
	kit_append_many(&kit, 2);
	kit_close(&kit);
	reopen(&kit, true, 103);
	kit_fini(&kit);
}

/* ---- leftovers ----------------------------------------------------------------------------- */

static void
test_leftovers_of_deletion_and_cleaning(void **state)
{
	(void)state;
	static const char *const names[] = { FIRST ".log.deleted",
		"00000000000000000005.log.cleaned", "00000000000000000005.index.cleaned",
		"00000000000000000007.log.swap", "00000000000000000003.index",
		"00000000000000000003.txnindex" };
	struct kit kit;
	fill(&kit);
	kit_close(&kit);
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++)
		kit_write_file(&kit, names[i], "junk", 4);
	kit_write_file(&kit, "notes.txt", "mine", 4);
	reopen(&kit, true, 30);
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++)
		assert_int_equal(kit_file_bytes(&kit, names[i]), -1);
	assert_int_equal(kit_file_bytes(&kit, "notes.txt"), 4);
	kit_fini(&kit);
}

/* The cleaner has joined two segments into one under .swap, and was stopped before it removed
 * them. */
static void
test_a_swap_is_finished(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_writer first, second;
	fill(&kit);
	kit_close(&kit);
	kit_read_file(&kit, FIRST ".log", &first);
	kit_read_file(&kit, SECOND ".log", &second);
	ot_write_raw(&first, second.data, second.bytes);
	kit_write_file(&kit, FIRST ".log.swap", first.data, first.bytes);
	reopen(&kit, true, 30);
	assert_int_equal(kit.log->segment_count, 2);
	assert_int_equal(kit_file_bytes(&kit, FIRST ".log"), (int64_t)first.bytes);
	assert_int_equal(kit_file_bytes(&kit, SECOND ".log"), -1);
	assert_int_equal(kit_file_bytes(&kit, FIRST ".log.swap"), -1);
	ot_writer_fini(&first);
	ot_writer_fini(&second);
	kit_fini(&kit);
}

static void
test_an_empty_segment_of_a_failed_roll(void **state)
{
	(void)state;
	struct kit kit;
	fill(&kit);
	kit_drop(&kit);
	kit_write_file(&kit, "00000000000000000015.log", "", 0);
	kit_write_file(&kit, "00000000000000000015.index", "", 0);
	kit_write_file(&kit, "00000000000000000015.timeindex", "", 0);
	reopen(&kit, false, 30);
	assert_int_equal(kit.log->segment_count, 3);
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000015.log"), -1);
	kit_fini(&kit);
}

static void
test_paths_that_are_too_long(void **state)
{
	(void)state;
	char dir[LOG_PATH_BYTES + 10];
	struct ot_log *log = NULL;
	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	struct ot_log_open_args args = { .fs = ot_fs_host(), .dir = dir };
	assert_int_equal(ot_log_open(&args, &log, NULL), OT_ERR_INVALID_REQUEST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_indexes_are_rebuilt),
		cmocka_unit_test(test_indexes_of_a_wrong_size_are_rebuilt),
		cmocka_unit_test(test_preallocated_indexes_of_kafka),
		cmocka_unit_test(test_a_damaged_index_misleads_nobody),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_cut_at_the_first_invalid_batch),
		cmocka_unit_test(test_cut_at_each_byte_of_the_tail),
		cmocka_unit_test(test_damage_before_the_recovery_point_is_refused),
		cmocka_unit_test(test_a_hole_between_segments_ends_the_log),
		cmocka_unit_test(test_holes_of_an_unknown_past_stay),
		cmocka_unit_test(test_start_offset_behind_the_end),
		cmocka_unit_test(test_leftovers_of_deletion_and_cleaning),
		cmocka_unit_test(test_a_swap_is_finished),
		cmocka_unit_test(test_an_empty_segment_of_a_failed_roll),
		cmocka_unit_test(test_paths_that_are_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
