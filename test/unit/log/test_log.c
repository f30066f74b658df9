/* Goal: what is appended can be read, in order, from any offset, over rolls and reopenings, with
 * memory and descriptors of an idle log small. */
#include "kit.h"

static void
test_append_and_read(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	assert_int_equal(ot_log_end_offset(kit.log), 0);
	kit_append_many(&kit, 300);
	assert_int_equal(ot_log_end_offset(kit.log), 600);
	assert_int_equal(kit_check_read(&kit, 0, 1 << 20), 600);
	assert_int_equal(kit_check_read(&kit, 0, 1), 600);
	assert_int_equal(kit_check_read(&kit, 0, 500), 600);
	assert_true(kit_check_read(&kit, 301, 4096) >= 299);
	kit_check_indexes(&kit);
	assert_int_equal(kit_check_read(&kit, 0, 700), 600);
	kit_fini(&kit);
}

static void
test_many_batches_in_one_turn(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_staged staged;
	kit_init(&kit, NULL);
	kit.settings.segment_bytes = 20000;
	kit.settings.index_interval_bytes = 500;
	kit_open(&kit, true);
	for (int64_t i = 0; i < 500; i++) {
		assert_ok(kit_stage(&kit, &(struct kit_batch){ .value_bytes = 100 }, &staged));
		assert_int_equal(staged.base_offset, i);
		assert_int_equal(ot_log_end_offset(kit.log), 0);
		assert_int_equal(ot_log_staged_end(kit.log), i + 1);
	}
	assert_ok(kit_write(&kit));
	assert_int_equal(ot_log_end_offset(kit.log), 500);
	struct ot_log_stats stats;
	ot_log_get_stats(kit.log, &stats);
	assert_int_equal(stats.segment_count, 5);
	assert_int_equal(stats.batches_appended, 500);
	assert_int_equal(kit_check_read(&kit, 0, 1 << 20), 500);
	kit_check_indexes(&kit);
	kit_fini(&kit);
}

static void
test_reopen_clean(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.segment_bytes = 10000;
	kit.settings.index_interval_bytes = 300;
	kit_open(&kit, true);
	kit_append_many(&kit, 300);
	for (int round = 0; round < 3; round++) {
		kit_close(&kit);
		kit_open(&kit, true);
		assert_int_equal(kit.result.bytes_scanned, 0);
		assert_int_equal(kit.result.bytes_replayed, 0);
		assert_int_equal(kit.result.indexes_rebuilt, 0);
		assert_int_equal(ot_log_end_offset(kit.log), 600 + round);
		assert_int_equal(ot_log_recovery_point(kit.log), 600 + round);
		kit_append(&kit, &(struct kit_batch){ 0 });
		assert_int_equal(kit_check_read(&kit, 0, 3000), 601 + round);
	}
	kit_check_indexes(&kit);
	kit_fini(&kit);
}

static void
test_reopen_after_kill(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.segment_bytes = 10000;
	kit.settings.index_interval_bytes = 300;
	kit_open(&kit, false);
	kit_append_many(&kit, 150);
	assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
	kit.recovery_point = ot_log_recovery_point(kit.log);
	assert_int_equal(kit.recovery_point, 300);
	kit_append_many(&kit, 150);
	struct ot_log_stats stats;
	ot_log_get_stats(kit.log, &stats);
	kit_drop(&kit);
	kit_open(&kit, false);
	assert_int_equal(ot_log_end_offset(kit.log), 600);
	assert_true(kit.result.bytes_scanned < stats.bytes * 6 / 10);
	assert_int_equal(kit.result.bytes_truncated, 0);
	assert_int_equal(kit_check_read(&kit, 0, 3000), 600);
	kit_check_indexes(&kit);
	kit_fini(&kit);
}

static void
test_idle_log_is_small(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_stats stats;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	ot_log_get_stats(kit.log, &stats);
	assert_true(stats.bytes_memory < 4096);
	assert_int_equal(stats.files_open, 0);
	kit_append_many(&kit, 2000);
	ot_log_get_stats(kit.log, &stats);
	assert_true(stats.files_open > 0);
	ot_log_idle(kit.log);
	ot_log_get_stats(kit.log, &stats);
	assert_true(stats.bytes_memory < 4096);
	assert_int_equal(stats.files_open, 0);
	kit_append_many(&kit, 10);
	assert_int_equal(kit_check_read(&kit, 0, 10000), 4018);
	kit_fini(&kit);
}

static void
test_files_of_inactive_segments_are_bounded(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_stats stats;
	kit_init(&kit, NULL);
	kit.settings.segment_bytes = 1000;
	kit_open(&kit, true);
	kit_append_many(&kit, 400);
	assert_int_equal(kit_check_read(&kit, 0, 100), 799);
	ot_log_get_stats(kit.log, &stats);
	assert_true(stats.segment_count > 30);
	assert_true(stats.files_open <= 3 * (LOG_INACTIVE_OPEN_MAX + 1));
	kit_fini(&kit);
}

static void
test_roll_by_time_and_request(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.segment_ms = 10000;
	kit_open(&kit, true);
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME });
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + 10000 });
	assert_int_equal(kit.log->segment_count, 1);
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + 10001 });
	assert_int_equal(kit.log->segment_count, 2);
	assert_ok(ot_log_roll(kit.log, KIT_TIME + 10001, true));
	assert_int_equal(kit.log->segment_count, 2);
	assert_ok(ot_log_roll(kit.log, KIT_TIME + 10001, false));
	assert_int_equal(kit.log->segment_count, 3);
	assert_ok(ot_log_roll(kit.log, KIT_TIME + 10001, false));
	assert_int_equal(kit.log->segment_count, 3);
	assert_int_equal(kit_check_read(&kit, 0, 10000), 3);
	/* The first timestamp is known again after opening. */
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + 20000 });
	kit_close(&kit);
	kit_open(&kit, true);
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + 30000 });
	assert_int_equal(kit.log->segment_count, 3);
	kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + 30001 });
	assert_int_equal(kit.log->segment_count, 4);
	/* What clients take for the time must not upset ours. */
	kit_append(&kit, &(struct kit_batch){ .timestamp = INT64_MIN });
	kit_append(&kit, &(struct kit_batch){ .timestamp = INT64_MAX });
	assert_int_equal(kit_check_read(&kit, 0, 10000), 8);
	kit_fini(&kit);
}

static void
test_roll_by_full_index_and_far_offset(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.index_interval_bytes = 0;
	kit.settings.segment_index_bytes = 10 * LOG_TIME_ENTRY_BYTES;
	kit_open(&kit, true);
	for (int i = 0; i < 40; i++)
		kit_append(&kit, &(struct kit_batch){ .timestamp = KIT_TIME + i });
	assert_true(kit.log->segment_count >= 4);
	for (uint32_t i = 0; i < kit.log->segment_count; i++)
		assert_true(kit.log->segments[i]->time_index.count <= 10);
	kit_append(&kit, &(struct kit_batch){ .origin = OT_ORIGIN_LEADER,
			     .base_offset = 40 + (int64_t)INT32_MAX + 100 });
	assert_int_equal(log_active(kit.log)->base_offset, 40 + (int64_t)INT32_MAX + 100);
	assert_int_equal(kit_check_read(&kit, 0, 10000), 41);
	kit_fini(&kit);
}

static void
test_bounded_reads(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_read read;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	for (int i = 0; i < 10; i++)
		kit_append(&kit, &(struct kit_batch){ .record_count = 10 });
	struct ot_log_read_args args = { .offset = 0, .bound_offset = 30, .bytes_max = 1 << 20 };
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	assert_int_equal(read.next_offset, 30);
	assert_int_equal(read.place, 0);
	size_t third = read.bytes / 3;
	assert_int_equal(third * 3, read.bytes);
	ot_file_unref(read.file);
	args =
	    (struct ot_log_read_args){ .offset = 35, .bound_offset = 60, .bytes_max = third - 1 };
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	assert_null(read.file);
	args.is_one_at_least = true;
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	assert_int_equal(read.bytes, third);
	assert_int_equal(read.place, 3 * third);
	assert_int_equal(read.next_offset, 40);
	ot_file_unref(read.file);
	args = (struct ot_log_read_args){ .offset = 30, .bound_offset = 30, .bytes_max = 100 };
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	assert_null(read.file);
	args.offset = 101;
	assert_int_equal(ot_log_plan_read(kit.log, &args, &read), OT_ERR_OFFSET_OUT_OF_RANGE);
	args.offset = 100;
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	assert_ok(ot_log_advance_start(kit.log, 15));
	args.offset = 14;
	assert_int_equal(ot_log_plan_read(kit.log, &args, &read), OT_ERR_OFFSET_OUT_OF_RANGE);
	kit_fini(&kit);
}

static void
test_readers_side_by_side(void **state)
{
	(void)state;
	/* Goal: hundreds of readers, each at a place of its own, get each batch once and whole, for
	 * any limit around the size of one batch or two; their places cost no memory in an idle
	 * log. Method: in turns; the limit is taken as an argument of the reader's number. */
	enum { BATCHES = 40, READERS = 300 };
	struct kit kit;
	struct ot_log_read read;
	struct ot_log_stats before, after;
	int64_t next[READERS] = { 0 };
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	for (int i = 0; i < BATCHES; i++)
		kit_append(&kit, &(struct kit_batch){ .record_count = 10, .value_bytes = 500 });
	ot_log_idle(kit.log);
	ot_log_get_stats(kit.log, &before);
	size_t bytes = (size_t)(before.bytes / BATCHES);
	for (int turn = 0; turn < BATCHES; turn++) {
		for (int i = turn % 7; i < READERS; i += 1 + turn % 3) {
			struct ot_log_read_args args = {
				.offset = next[i],
				.bound_offset = 10 * BATCHES,
				.bytes_max = bytes / 2 + (size_t)i * bytes / 100,
				.is_one_at_least = i % 2 == 0,
				.may_block = true,
			};
			assert_ok(ot_log_plan_read(kit.log, &args, &read));
			if (next[i] == args.bound_offset)
				continue;
			size_t count = OT_MIN(args.bytes_max / bytes,
			    (size_t)(args.bound_offset - next[i]) / 10);
			count = OT_MAX(count, args.is_one_at_least ? 1u : 0u);
			assert_int_equal(read.bytes, count * bytes);
			assert_int_equal(read.next_offset, next[i] + 10 * (int64_t)count);
			if (count > 0)
				assert_int_equal(read.place, (uint64_t)next[i] / 10 * bytes);
			next[i] = read.next_offset;
			ot_file_unref(read.file);
		}
	}
	ot_log_get_stats(kit.log, &after);
	assert_true(after.bytes_memory > before.bytes_memory);
	ot_log_idle(kit.log);
	ot_log_get_stats(kit.log, &after);
	assert_int_equal(after.bytes_memory, before.bytes_memory);
	kit_close(&kit);
	kit_fini(&kit);
}

static void
test_leaders_batches_keep_their_offsets(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_staged staged;
	kit_init(&kit, NULL);
	kit.settings.is_compacted = true;
	kit_open(&kit, true);
	struct kit_batch batch = { .origin = OT_ORIGIN_LEADER,
		.base_offset = 5,
		.leader_epoch = 2 };
	staged = kit_append(&kit, &batch);
	assert_int_equal(staged.base_offset, 5);
	batch.base_offset = 5;
	assert_int_equal(kit_stage(&kit, &batch, &staged), OT_ERR_OFFSET_OUT_OF_RANGE);
	batch.base_offset = 10;
	batch.leader_epoch = 3;
	kit_append(&kit, &batch);
	assert_int_equal(ot_log_end_offset(kit.log), 11);
	assert_int_equal(kit_check_read(&kit, 0, 10000), 2);
	int32_t epoch = 0;
	int64_t end = 0;
	ot_log_epoch_end(kit.log, 2, &epoch, &end);
	assert_int_equal(epoch, 2);
	assert_int_equal(end, 10);
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_and_read),
		cmocka_unit_test(test_many_batches_in_one_turn),
		cmocka_unit_test(test_reopen_clean),
		cmocka_unit_test(test_reopen_after_kill),
		cmocka_unit_test(test_idle_log_is_small),
		cmocka_unit_test(test_files_of_inactive_segments_are_bounded),
		cmocka_unit_test(test_roll_by_time_and_request),
		cmocka_unit_test(test_roll_by_full_index_and_far_offset),
		cmocka_unit_test(test_bounded_reads),
		cmocka_unit_test(test_readers_side_by_side),
		cmocka_unit_test(test_leaders_batches_keep_their_offsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
