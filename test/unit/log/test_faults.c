/* Goal: when a call of the disk or an allocation fails, once or for good, the log says so, undoes
 * what it had begun, keeps all that it acknowledged, and is offline where it must be and only
 * there.
 *
 * Method: the life of life.h runs with the n-th call of a kind failing, for every n; after each
 * step that failed the log is compared with the model and, when it went offline, opened anew as a
 * process would that starts again (after a failed sync only a machine that starts again knows what
 * it has). */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 60, CALLS_MAX = 3000 };

/* The log after a step that failed: as if the batches of that step had never been, or offline. */
static void
settle(struct life *life, ot_err err, bool may_lose_power)
{
	struct kit *kit = &life->kit;
	bool is_offline = kit->log == NULL || ot_log_failure(kit->log) != OT_OK;
	if (kit->log != NULL) {
		struct ot_log_staged staged;
		ot_log_check(kit->log);
		if (is_offline)
			assert_int_equal(kit_stage(kit, &(struct kit_batch){ 0 }, &staged),
			    OT_ERR_OFFLINE);
	}
	/* A full disk and full memory pass. */
	if (kit->log != NULL && (err == OT_ERR_NO_SPACE || err == OT_ERR_NO_MEMORY) &&
	    !is_offline) {
		life_forget_unwritten(life);
		return;
	}
	if (!is_offline) {
		life_forget_unwritten(life);
		return;
	}
	life_come_back(life, may_lose_power ? OT_SIM_POWER_LOST : OT_SIM_KILLED, false);
}

/* True when the failure happened. */
static bool
run_with_call(unsigned calls, uint64_t n, ot_err failure, bool for_good)
{
	struct life *life = life_begin(11);
	bool is_sync = (calls & (OT_SIM_SYNC | OT_SIM_SYNC_DIR)) != 0;
	life->has_faults = true;
	assert_ok(life_open(life));
	if (life->is_traced)
		print_message("calls %x, number %llu\n", calls, (unsigned long long)n);
	ot_sim_disk_fail_at(life->disk, calls, n, failure, for_good);
	bool was_failed = false;
	for (int i = 0; i < STEPS; i++) {
		ot_err err = life_step(life);
		was_failed = was_failed || err != OT_OK;
		/* The trouble is over when somebody looks after it. */
		if (err == OT_OK)
			continue;
		ot_sim_disk_fail_at(life->disk, 0, 0, OT_OK, false);
		settle(life, err, is_sync);
	}
	ot_sim_disk_fail_at(life->disk, 0, 0, OT_OK, false);
	life_check(life);
	life_come_back(life, is_sync ? OT_SIM_POWER_LOST : OT_SIM_KILLED, false);
	life_end(life);
	return was_failed;
}

static void
fail_each(unsigned calls, ot_err failure, bool for_good)
{
	uint64_t misses = 0;
	uint64_t n = 1;
	/* Some failures harm nothing: those of what is tried again later. */
	for (; n < CALLS_MAX && misses < 40; n++)
		misses = run_with_call(calls, n, failure, for_good) ? 0 : misses + 1;
	assert_true(n > 45);
}

static void
test_each_write_fails(void **state)
{
	(void)state;
	fail_each(OT_SIM_WRITE, OT_ERR_IO, false);
	fail_each(OT_SIM_WRITE | OT_SIM_RESERVE, OT_ERR_IO, true);
}

static void
test_each_sync_fails(void **state)
{
	(void)state;
	fail_each(OT_SIM_SYNC | OT_SIM_SYNC_DIR, OT_ERR_IO, false);
}

static void
test_each_open_fails(void **state)
{
	(void)state;
	fail_each(OT_SIM_OPEN, OT_ERR_IO, false);
	fail_each(OT_SIM_OPEN, OT_ERR_NO_SPACE, false);
	fail_each(OT_SIM_OPEN, OT_ERR_NO_FILES, false);
}

static void
test_too_many_files(void **state)
{
	(void)state;
	/* Goal: a process without descriptors refuses appends that need a new file, and takes them
	 * again when it has some; no log goes offline for it. Method: the next append has to roll,
	 * and cannot open what it needs. */
	struct kit kit;
	struct ot_log_staged staged;
	const struct kit_batch batch = { .value_bytes = 150 };
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	kit_init(&kit, ot_sim_disk_fs(disk));
	kit.settings.segment_bytes = 250;
	kit_open(&kit, true);
	for (int i = 0; i < 3; i++) {
		kit_append(&kit, &batch);
		ot_sim_disk_fail_at(disk, OT_SIM_OPEN, 1, OT_ERR_NO_FILES, true);
		assert_ok(kit_stage(&kit, &batch, &staged));
		assert_int_equal(kit_write(&kit), OT_ERR_NO_FILES);
		ot_sim_disk_fail_at(disk, 0, 0, OT_OK, false);
		assert_ok(ot_log_failure(kit.log));
	}
	assert_int_equal(kit_check_read(&kit, 0, 1000), 3);
	kit_close(&kit);
	kit_fini(&kit);
	ot_sim_disk_destroy(disk);
}

static void
test_each_read_fails(void **state)
{
	(void)state;
	fail_each(OT_SIM_READ | OT_SIM_STAT | OT_SIM_LIST, OT_ERR_IO, false);
}

static void
test_each_name_fails(void **state)
{
	(void)state;
	fail_each(OT_SIM_RENAME | OT_SIM_REMOVE | OT_SIM_TRUNCATE | OT_SIM_MKDIR, OT_ERR_IO, false);
}

static void
test_disk_is_full_at_each_write(void **state)
{
	(void)state;
	fail_each(OT_SIM_WRITE | OT_SIM_RESERVE | OT_SIM_OPEN, OT_ERR_NO_SPACE, true);
}

static void
test_each_allocation_fails(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 2000; n += 1 + n / 50) {
		struct life *life = life_begin(12);
		life->has_faults = true;
		assert_ok(life_open(life));
		ot_alloc_fail_at(n);
		for (int i = 0; i < STEPS; i++) {
			ot_err err = life_step(life);
			if (err != OT_OK)
				settle(life, err, false);
		}
		ot_alloc_fail_at(0);
		life_check(life);
		life_come_back(life, OT_SIM_KILLED, false);
		life_end(life);
	}
}

/* Produces fail while the disk is full; reads and deletion go on, and then produces do again. */
static void
test_full_disk_and_back(void **state)
{
	(void)state;
	struct life *life = life_begin(3);
	struct ot_log_staged staged;
	struct kit *kit = &life->kit;
	kit->settings.segment_bytes = 100 * 1000;
	kit->settings.retention_bytes = 200 * 1000;
	ot_sim_disk_set_capacity(life->disk, 1000 * 1000);
	assert_ok(life_open(life));
	ot_err err = OT_OK;
	int64_t written = 0;
	while (err == OT_OK) {
		struct kit_batch batch = { .value_bytes = 3000 };
		assert_ok(kit_stage(kit, &batch, &staged));
		err = kit_write(kit);
		written += err == OT_OK ? 1 : 0;
	}
	assert_int_equal(err, OT_ERR_NO_SPACE);
	assert_ok(ot_log_failure(kit->log));
	assert_true(written > 200);
	assert_int_equal(ot_log_end_offset(kit->log), written);
	assert_int_equal(kit_check_read(kit, 0, 10000), written);
	assert_ok(kit_stage(kit, &(struct kit_batch){ .value_bytes = 3000 }, &staged));
	assert_int_equal(kit_write(kit), OT_ERR_NO_SPACE);
	uint32_t gone = 0;
	assert_ok(ot_log_retain(kit->log, written, kit->now, &gone));
	assert_true(gone > 0);
	/* The epochs' file finds no space yet; the names are changed all the same. */
	assert_int_equal(kit_chores(kit), OT_ERR_NO_SPACE);
	kit->now += kit->settings.file_delete_delay_ms + 1;
	assert_ok(kit_chores(kit));
	for (int i = 0; i < 20; i++)
		kit_append(kit, &(struct kit_batch){ .value_bytes = 3000 });
	assert_int_equal(ot_log_end_offset(kit->log), written + 20);
	kit_check_read(kit, ot_log_start_offset(kit->log), 10000);
	kit_check_indexes(kit);
	life_end(life);
}

/* Three segments with more index entries than a rebuild writes at once. */
static void
fill_segments(struct kit *kit)
{
	kit->settings.index_interval_bytes = 1;
	kit->settings.segment_bytes = 400 * 1000;
	kit_open(kit, true);
	kit_append_many(kit, 14000);
	assert_true(kit->log->segment_count >= 3);
}

static void
remove_indexes(struct kit *kit)
{
	char name[64];
	for (uint32_t i = 0; i < kit->log->segment_count; i++) {
		static const char *const suffixes[] = { "index", "timeindex" };
		for (size_t k = 0; k < OT_ARRAY_COUNT(suffixes); k++) {
			snprintf(name, sizeof(name), "%020lld.%s",
			    (long long)kit->log->segments[i]->base_offset, suffixes[k]);
			kit_remove_file(kit, name);
		}
	}
}

static void
test_opening_on_a_full_disk(void **state)
{
	(void)state;
	/* Goal: a log whose indexes must be made anew opens without space for them: all can be read
	 * and deleted, appends are refused. With space again the next checkpoint writes the
	 * indexes, and the recovery point waits for them. Method: indexes removed, or not, after a
	 * clean stop, or none; no write succeeds while it is opened. */
	for (int i = 0; i < 4; i++) {
		bool is_clean = (i & 1) != 0, is_removed = (i & 2) != 0;
		struct kit kit;
		struct ot_log_staged staged;
		struct ot_sim_disk *disk = ot_sim_disk_create(1);
		kit_init(&kit, ot_sim_disk_fs(disk));
		fill_segments(&kit);
		assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
		if (is_removed)
			remove_indexes(&kit);
		kit.recovery_point = ot_log_end_offset(kit.log);
		kit_append_many(&kit, 100);
		int64_t end = ot_log_end_offset(kit.log);
		if (is_clean && !is_removed)
			kit_close(&kit);
		else
			kit_drop(&kit);
		ot_sim_disk_fail_at(disk, OT_SIM_WRITE | OT_SIM_RESERVE, 1, OT_ERR_NO_SPACE, true);
		kit_open(&kit, is_clean);
		assert_int_equal(kit_check_read(&kit, 0, 20000), end);
		if (is_removed)
			assert_int_equal(ot_log_recovery_point(kit.log), 0);
		assert_ok(kit_stage(&kit, &(struct kit_batch){ 0 }, &staged));
		assert_int_equal(kit_write(&kit), OT_ERR_NO_SPACE);
		assert_ok(ot_log_advance_start(kit.log, 6));
		ot_log_idle(kit.log);
		assert_int_equal(kit_check_read(&kit, 6, 20000), end - 6);
		ot_sim_disk_fail_at(disk, 0, 0, OT_OK, false);
		kit_append_many(&kit, 1);
		assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
		assert_int_equal(ot_log_recovery_point(kit.log), end + 1);
		kit_check_indexes(&kit);
		kit_close(&kit);
		kit_open(&kit, true);
		assert_int_equal(kit.result.indexes_rebuilt, 0);
		kit_check_indexes(&kit);
		kit_close(&kit);
		kit_fini(&kit);
		ot_sim_disk_destroy(disk);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_write_fails),
		cmocka_unit_test(test_each_sync_fails),
		cmocka_unit_test(test_each_open_fails),
		cmocka_unit_test(test_too_many_files),
		cmocka_unit_test(test_each_read_fails),
		cmocka_unit_test(test_each_name_fails),
		cmocka_unit_test(test_disk_is_full_at_each_write),
		cmocka_unit_test(test_each_allocation_fails),
		cmocka_unit_test(test_full_disk_and_back),
		cmocka_unit_test(test_opening_on_a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
