/* Goal: retention takes what its settings name and nothing beyond the high watermark, files follow
 * by chores; truncation leaves the log as if the rest had never been. */
#include "kit.h"

static uint32_t
retain(struct kit *kit, int64_t high_watermark)
{
	uint32_t count = 0;
	assert_ok(ot_log_retain(kit->log, high_watermark, kit->now, &count));
	ot_log_check(kit->log);
	return count;
}

/* Ten segments of ten batches of one record, 10 ms apart. */
static void
fill(struct kit *kit)
{
	for (int64_t i = 0; i < 100; i++) {
		if (i > 0 && i % 10 == 0)
			assert_ok(ot_log_roll(kit->log, kit->now, false));
		kit_append(kit, &(struct kit_batch){ .timestamp = KIT_TIME + 10 * i });
	}
}

static void
test_by_time(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.retention_ms = 500;
	kit_open(&kit, true);
	fill(&kit);
	kit.now = KIT_TIME + 90 + 500;
	assert_int_equal(retain(&kit, 100), 0);
	kit.now++;
	assert_int_equal(retain(&kit, 9), 0);
	assert_int_equal(retain(&kit, 100), 1);
	assert_int_equal(ot_log_start_offset(kit.log), 10);
	kit.now += 200;
	assert_int_equal(retain(&kit, 25), 1);
	assert_int_equal(retain(&kit, 100), 1);
	assert_int_equal(ot_log_start_offset(kit.log), 30);
	kit.now += 100000;
	/* All of it, the active segment too: a new one begins at the end. */
	assert_int_equal(retain(&kit, 100), 7);
	assert_int_equal(ot_log_start_offset(kit.log), 100);
	assert_int_equal(ot_log_end_offset(kit.log), 100);
	assert_int_equal(retain(&kit, 100), 0);
	kit_append(&kit, &(struct kit_batch){ .timestamp = kit.now });
	assert_int_equal(kit_check_read(&kit, 100, 1000), 1);
	kit_fini(&kit);
}

static void
test_by_size(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_stats stats;
	kit_init(&kit, NULL);
	kit.settings.retention_ms = -1;
	kit_open(&kit, true);
	fill(&kit);
	ot_log_get_stats(kit.log, &stats);
	assert_int_equal(retain(&kit, 100), 0);
	kit.settings.retention_bytes = (int64_t)stats.bytes * 45 / 100;
	ot_log_set_settings(kit.log, &kit.settings);
	assert_int_equal(retain(&kit, 100), 5);
	assert_int_equal(ot_log_start_offset(kit.log), 50);
	kit.settings.retention_bytes = 0;
	kit.settings.is_deleting = false;
	ot_log_set_settings(kit.log, &kit.settings);
	assert_int_equal(retain(&kit, 100), 0);
	kit.settings.is_deleting = true;
	ot_log_set_settings(kit.log, &kit.settings);
	/* The active one stays, whatever its size. */
	assert_int_equal(retain(&kit, 100), 4);
	assert_int_equal(ot_log_start_offset(kit.log), 90);
	kit_fini(&kit);
}

static void
test_by_start_offset_and_files(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.is_deleting = false;
	kit_open(&kit, true);
	fill(&kit);
	assert_int_equal(ot_log_advance_start(kit.log, 101), OT_ERR_OFFSET_OUT_OF_RANGE);
	assert_ok(ot_log_advance_start(kit.log, 25));
	assert_ok(ot_log_advance_start(kit.log, 5));
	assert_int_equal(ot_log_start_offset(kit.log), 25);
	assert_int_equal(retain(&kit, 100), 2);
	assert_int_equal(ot_log_start_offset(kit.log), 25);
	assert_true(kit_file_bytes(&kit, "00000000000000000000.log") > 0);
	assert_ok(kit_chores(&kit));
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000000.log"), -1);
	assert_true(kit_file_bytes(&kit, "00000000000000000000.log.deleted") > 0);
	assert_true(kit_file_bytes(&kit, "00000000000000000010.timeindex.deleted") > 0);
	assert_true(ot_log_chore_due(kit.log) == kit.now + 1000);
	kit.now += 1000;
	assert_ok(kit_chores(&kit));
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000000.log.deleted"), -1);
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000010.timeindex.deleted"), -1);
	assert_true(ot_log_chore_due(kit.log) == INT64_MAX);
	assert_int_equal(kit_check_read(&kit, 25, 1000), 75);
	kit_close(&kit);
	kit_open(&kit, true);
	assert_int_equal(ot_log_start_offset(kit.log), 25);
	assert_int_equal(kit_check_read(&kit, 25, 1000), 75);
	kit_fini(&kit);
}

/* A reader that got its file before keeps its bytes. */
static void
test_reader_keeps_a_deleted_file(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_read read;
	uint8_t bytes[64];
	size_t got = 0;
	kit_init(&kit, NULL);
	kit.settings.retention_ms = 0;
	kit.settings.file_delete_delay_ms = 0;
	kit_open(&kit, true);
	fill(&kit);
	struct ot_log_read_args args = { .offset = 0, .bound_offset = 100, .bytes_max = 1000 };
	assert_ok(ot_log_plan_read(kit.log, &args, &read));
	kit.now += 10000;
	assert_int_equal(retain(&kit, 100), 10);
	assert_ok(kit_chores(&kit));
	assert_ok(ot_file_read(read.file, bytes, sizeof(bytes), read.place, &got));
	assert_int_equal(got, sizeof(bytes));
	ot_file_unref(read.file);
	kit_fini(&kit);
}

static void
truncate_to(struct kit *kit, int64_t offset)
{
	ot_log_truncate_prepare(kit->log, offset);
	assert_true(ot_log_recovery_point(kit->log) <= offset);
	assert_ok(ot_log_truncate_to(kit->log, offset, kit->now));
	ot_log_check(kit->log);
}

static void
test_truncate(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_staged staged;
	kit_init(&kit, NULL);
	kit.settings.index_interval_bytes = 200;
	kit_open(&kit, true);
	fill(&kit);
	kit_append(&kit, &(struct kit_batch){ .record_count = 10, .producer_id = 4 });
	assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
	truncate_to(&kit, 200);
	assert_int_equal(ot_log_end_offset(kit.log), 110);
	/* In the middle of a batch: the whole of it goes, and its producer with it. */
	truncate_to(&kit, 105);
	assert_int_equal(ot_log_end_offset(kit.log), 100);
	struct kit_batch batch = { .record_count = 10, .producer_id = 4 };
	assert_ok(kit_stage(&kit, &batch, &staged));
	assert_false(staged.is_duplicate);
	assert_ok(kit_write(&kit));
	truncate_to(&kit, 34);
	assert_int_equal(ot_log_end_offset(kit.log), 34);
	assert_int_equal(kit.log->segment_count, 4);
	assert_int_equal(kit_check_read(&kit, 0, 1000), 34);
	kit_check_indexes(&kit);
	kit_append_many(&kit, 30);
	assert_int_equal(kit_check_read(&kit, 0, 1000), 34 + 60);
	kit_check_indexes(&kit);
	kit_close(&kit);
	kit_open(&kit, true);
	assert_int_equal(kit_check_read(&kit, 0, 1000), 34 + 60);
	kit_fini(&kit);
}

static void
test_truncate_fully(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	fill(&kit);
	ot_log_assign_epoch(kit.log, 3);
	ot_log_truncate_prepare(kit.log, 0);
	assert_ok(ot_log_truncate_fully(kit.log, 500, kit.now));
	assert_int_equal(ot_log_start_offset(kit.log), 500);
	assert_int_equal(ot_log_end_offset(kit.log), 500);
	assert_int_equal(ot_log_latest_epoch(kit.log), -1);
	kit_append_many(&kit, 3);
	assert_int_equal(kit_check_read(&kit, 500, 1000), 6);
	/* Before the first segment there is nothing to keep. */
	truncate_to(&kit, 400);
	assert_int_equal(ot_log_start_offset(kit.log), 400);
	kit_append_many(&kit, 3);
	kit_close(&kit);
	kit_open(&kit, true);
	assert_int_equal(kit_check_read(&kit, 400, 1000), 6);
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time),
		cmocka_unit_test(test_by_size),
		cmocka_unit_test(test_by_start_offset_and_files),
		cmocka_unit_test(test_reader_keeps_a_deleted_file),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_truncate_fully),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
