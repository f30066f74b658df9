/* Goal: what a worker does for a log touches the job alone, so that the owner may append, roll,
 * retain and read meanwhile; a sync covers what was written when it began, and no more.
 *
 * Method: real threads run the jobs of one log while its owner goes on; ThreadSanitizer watches
 * when the build has it. The order of begin and end is checked on one thread. */
#include "kit.h"

#include <pthread.h>

enum { ROUNDS = 60 };

struct worker {
	pthread_t thread;
	struct ot_log_job *job;
};

static void *
work(void *arg)
{
	ot_log_job_run(((struct worker *)arg)->job);
	return NULL;
}

static bool
start(struct worker *worker, struct ot_log_job *job)
{
	worker->job = job;
	if (job == NULL)
		return false;
	assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
	return true;
}

static void
join(struct worker *worker)
{
	assert_int_equal(pthread_join(worker->thread, NULL), 0);
}

static void
test_owner_goes_on_beside_its_workers(void **state)
{
	(void)state;
	struct kit kit;
	struct worker sync, chore, find;
	struct ot_log_found found;
	kit_init(&kit, NULL);
	kit.settings.segment_bytes = 5000;
	kit.settings.index_interval_bytes = 300;
	kit.settings.retention_bytes = 20000;
	kit.settings.file_delete_delay_ms = 10;
	kit_open(&kit, true);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t gone = 0;
		int64_t begun = ot_log_end_offset(kit.log);
		bool has_sync =
		    start(&sync, ot_log_sync_begin(kit.log,
				     round % 2 == 0 ? OT_LOG_SYNC_DATA : OT_LOG_SYNC_CHECKPOINT));
		bool has_chore = start(&chore, ot_log_chore_begin(kit.log, kit.now));
		bool has_find = start(&find, ot_log_find_begin(kit.log, KIT_TIME));
		kit_append(&kit, &(struct kit_batch){ .leader_epoch = round / 4 });
		kit_append_many(&kit, 20);
		kit_check_read(&kit, ot_log_start_offset(kit.log), 2000);
		assert_ok(ot_log_retain(kit.log, ot_log_end_offset(kit.log), kit.now, &gone));
		if (has_sync) {
			join(&sync);
			assert_ok(ot_log_job_end(kit.log, sync.job, kit.now));
			assert_true(ot_log_synced_offset(kit.log) >= begun);
		}
		if (has_chore) {
			join(&chore);
			assert_ok(ot_log_job_end(kit.log, chore.job, kit.now));
		}
		if (has_find) {
			join(&find);
			assert_ok(ot_log_find_end(kit.log, find.job, &found));
		}
		ot_log_check(kit.log);
		kit.now += 5;
	}
	assert_true(ot_log_start_offset(kit.log) > 0);
	kit_close(&kit);
	kit_open(&kit, true);
	kit_check_read(&kit, ot_log_start_offset(kit.log), 2000);
	kit_fini(&kit);
}

static void
test_a_sync_covers_what_was_there(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_stats stats;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
	assert_null(ot_log_sync_begin(kit.log, OT_LOG_SYNC_CHECKPOINT));
	kit_append_many(&kit, 3);
	struct ot_log_job *job = ot_log_sync_begin(kit.log, OT_LOG_SYNC_DATA);
	assert_non_null(job);
	/* One at a time: the next covers all that has come since. */
	assert_null(ot_log_sync_begin(kit.log, OT_LOG_SYNC_DATA));
	kit_append_many(&kit, 3);
	ot_log_job_run(job);
	assert_ok(ot_log_job_end(kit.log, job, kit.now));
	assert_int_equal(ot_log_synced_offset(kit.log), 6);
	assert_int_equal(ot_log_recovery_point(kit.log), 0);
	ot_log_get_stats(kit.log, &stats);
	assert_true(stats.bytes_unsynced > 0 && stats.bytes_unsynced < stats.bytes);
	assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
	assert_int_equal(ot_log_synced_offset(kit.log), 12);
	assert_int_equal(ot_log_recovery_point(kit.log), 12);
	ot_log_get_stats(kit.log, &stats);
	assert_int_equal(stats.bytes_unsynced, 0);
	kit_fini(&kit);
}

/* A long append is written back before it has become much, by a chore. */
static void
test_write_back_is_due_after_a_while(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	for (int i = 0; i < 9; i++) {
		ot_wall_ms due = ot_log_chore_due(kit.log);
		assert_true(i < 8 ? due == INT64_MAX : due <= kit.now);
		kit_append(&kit, &(struct kit_batch){ .value_bytes = OT_MIB, .leader_epoch = -1 });
	}
	assert_ok(kit_chores(&kit));
	assert_true(ot_log_chore_due(kit.log) == INT64_MAX);
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_goes_on_beside_its_workers),
		cmocka_unit_test(test_a_sync_covers_what_was_there),
		cmocka_unit_test(test_write_back_is_due_after_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
