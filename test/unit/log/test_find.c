/* Goal: offsets by time are those of the first record that qualifies, whatever the order of the
 * timestamps, over segments, in compressed batches, and without their indexes. */
#include "kit.h"

static int64_t
time_of(int64_t offset)
{
	/* Rising in the large, falling in the small. */
	return KIT_TIME + 100 * (offset / 10) + 90 - 10 * (offset % 10);
}

static void
fill(struct kit *kit, enum ot_compression compression)
{
	for (int64_t i = 0; i < 300; i++) {
		if (i % 70 == 69)
			assert_ok(ot_log_roll(kit->log, kit->now, false));
		kit_append(kit, &(struct kit_batch){
				    .timestamp = time_of(i),
				    .compression = compression,
				    .leader_epoch = (int32_t)(i / 100),
				});
	}
}

static void
check_all(struct kit *kit, int64_t start)
{
	for (int64_t time = KIT_TIME - 10; time < KIT_TIME + 3010; time += 5) {
		int64_t expected = start;
		while (expected < 300 && time_of(expected) < time)
			expected++;
		struct ot_log_found found = kit_find(kit, time);
		if (expected == 300) {
			assert_int_equal(found.offset, -1);
			continue;
		}
		assert_int_equal(found.offset, expected);
		assert_int_equal(found.timestamp, time_of(expected));
		assert_int_equal(found.leader_epoch, expected / 100);
	}
	struct ot_log_found found = kit_find(kit, OT_LOG_MAX_TIMESTAMP);
	assert_int_equal(found.offset, 290);
	assert_int_equal(found.timestamp, time_of(290));
}

static void
test_by_time(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit.settings.index_interval_bytes = 100;
	kit_open(&kit, true);
	assert_int_equal(kit_find(&kit, KIT_TIME).offset, -1);
	assert_int_equal(kit_find(&kit, OT_LOG_MAX_TIMESTAMP).offset, -1);
	fill(&kit, OT_COMPRESSION_NONE);
	check_all(&kit, 0);
	kit_close(&kit);
	kit_open(&kit, true);
	check_all(&kit, 0);
	assert_ok(ot_log_advance_start(kit.log, 133));
	check_all(&kit, 133);
	kit_fini(&kit);
}

static void
test_in_compressed_batches_without_index_entries(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	fill(&kit, OT_COMPRESSION_LZ4);
	check_all(&kit, 0);
	kit_fini(&kit);
}

static void
test_ends(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	assert_int_equal(ot_log_find_latest(kit.log, 0).leader_epoch, -1);
	fill(&kit, OT_COMPRESSION_NONE);
	assert_ok(ot_log_advance_start(kit.log, 150));
	struct ot_log_found found = ot_log_find_earliest(kit.log);
	assert_int_equal(found.offset, 150);
	assert_int_equal(found.leader_epoch, 1);
	found = ot_log_find_latest(kit.log, 280);
	assert_int_equal(found.offset, 280);
	assert_int_equal(found.leader_epoch, 2);
	kit_fini(&kit);
}

/* The worker meets a segment that was deleted while it was on its way. */
static void
test_a_segment_goes_meanwhile(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_found found;
	uint32_t gone = 0;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	fill(&kit, OT_COMPRESSION_NONE);
	struct ot_log_job *job = ot_log_find_begin(kit.log, KIT_TIME);
	assert_ok(ot_log_advance_start(kit.log, 200));
	assert_ok(ot_log_retain(kit.log, 300, kit.now, &gone));
	assert_int_equal(gone, 2);
	assert_ok(kit_chores(&kit));
	ot_log_job_run(job);
	assert_ok(ot_log_find_end(kit.log, job, &found));
	assert_int_equal(found.offset, kit.log->segments[0]->base_offset);
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time),
		cmocka_unit_test(test_in_compressed_batches_without_index_entries),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_a_segment_goes_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
