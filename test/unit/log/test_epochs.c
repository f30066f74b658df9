/* Goal: leader epochs answer as KIP-101 and KIP-279 say, and their file is Kafka's, byte for
 * byte. */
#include "kit.h"

#include "log/rows_int.h"
#include "sim/disk.h"

static void
assign(struct log_epochs *epochs, int32_t epoch, int64_t offset)
{
	assert_ok(log_epochs_reserve(epochs, 1));
	log_epochs_assign(epochs, epoch, offset);
}

static void
expect_end(const struct log_epochs *epochs, int32_t epoch, int32_t ret_epoch, int64_t ret_end)
{
	int32_t found = 0;
	int64_t end = 0;
	log_epochs_end(epochs, epoch, 100, &found, &end);
	assert_int_equal(found, ret_epoch);
	assert_int_equal(end, ret_end);
}

static void
test_ends_of_epochs(void **state)
{
	(void)state;
	struct log_epochs epochs;
	log_epochs_init(&epochs);
	expect_end(&epochs, 3, -1, -1);
	assign(&epochs, 2, 10);
	assign(&epochs, 4, 20);
	assign(&epochs, 7, 50);
	expect_end(&epochs, -1, -1, -1);
	expect_end(&epochs, 0, 0, 10);
	expect_end(&epochs, 2, 2, 20);
	expect_end(&epochs, 3, 2, 20);
	expect_end(&epochs, 4, 4, 50);
	expect_end(&epochs, 6, 4, 50);
	expect_end(&epochs, 7, 7, 100);
	expect_end(&epochs, 8, -1, -1);
	assert_int_equal(log_epochs_at(&epochs, 9), -1);
	assert_int_equal(log_epochs_at(&epochs, 10), 2);
	assert_int_equal(log_epochs_at(&epochs, 49), 4);
	assert_int_equal(log_epochs_at(&epochs, 50), 7);
	log_epochs_fini(&epochs);
}

static void
test_assignments_that_contradict(void **state)
{
	(void)state;
	struct log_epochs epochs;
	log_epochs_init(&epochs);
	assign(&epochs, 2, 10);
	assign(&epochs, 4, 20);
	assign(&epochs, 7, 50);
	/* The latest again, later: nothing. Earlier: it begins there. */
	assert_false(log_epochs_assign(&epochs, 7, 60));
	assign(&epochs, 7, 40);
	expect_end(&epochs, 4, 4, 40);
	/* An older one drops what follows. */
	assign(&epochs, 3, 30);
	assert_int_equal(epochs.count, 2);
	assert_int_equal(log_epochs_latest(&epochs), 3);
	assign(&epochs, 5, 30);
	assert_int_equal(epochs.count, 2);
	expect_end(&epochs, 2, 2, 30);
	log_epochs_fini(&epochs);
}

static void
test_cuts(void **state)
{
	(void)state;
	struct log_epochs epochs;
	log_epochs_init(&epochs);
	assign(&epochs, 2, 10);
	assign(&epochs, 4, 20);
	assign(&epochs, 7, 50);
	assert_false(log_epochs_cut_end(&epochs, 51));
	assert_true(log_epochs_cut_end(&epochs, 50));
	assert_int_equal(log_epochs_latest(&epochs), 4);
	assert_false(log_epochs_cut_start(&epochs, 5));
	assert_false(log_epochs_cut_start(&epochs, 10));
	assert_true(log_epochs_cut_start(&epochs, 15));
	assert_int_equal(epochs.entries[0].start_offset, 15);
	assert_true(log_epochs_cut_start(&epochs, 30));
	assert_int_equal(epochs.count, 1);
	assert_int_equal(epochs.entries[0].epoch, 4);
	assert_int_equal(epochs.entries[0].start_offset, 30);
	log_epochs_fini(&epochs);
}

static void
test_file(void **state)
{
	(void)state;
	static const char text[] = "0\n2\n0 0\n3 120\n";
	static const char *const wrong[] = { "", "1\n0\n", "0\n", "0\n-1\n", "0\n1\n", "0\n1\n1\n",
		"0\n1\n1 x\n", "0\n1\n1 2 3\n", "0\n2\n1 2\n", "0\n1\n1 2\n3 4\n",
		"0\n2\n3 4\n3 5\n", "0\n2\n3 4\n4 3\n", "0\n1\n-1 0\n", "0\n1\n1 -1\n",
		"0\n1\n99999999999 0\n", "0\n1\n1 99999999999999999999\n", "x\n" };
	struct log_epochs epochs;
	struct ot_writer out;
	struct ot_why why;
	log_epochs_init(&epochs);
	ot_writer_init(&out);
	assert_ok(log_epochs_parse(&epochs, text, sizeof(text) - 1, &why));
	assert_int_equal(epochs.count, 2);
	log_epochs_print(&epochs, &out);
	assert_int_equal(out.bytes, sizeof(text) - 1);
	assert_memory_equal(out.data, text, sizeof(text) - 1);
	for (size_t i = 0; i < OT_ARRAY_COUNT(wrong); i++) {
		epochs.count = 0;
		assert_int_equal(log_epochs_parse(&epochs, wrong[i], strlen(wrong[i]), &why),
		    OT_ERR_CORRUPT_FILE);
		assert_int_equal(epochs.count, 0);
	}
	log_epochs_fini(&epochs);
	ot_writer_fini(&out);
}

/* An epoch without records, one of a follower's batches, a lost file, a damaged file. */
static void
test_in_a_log(void **state)
{
	(void)state;
	struct kit kit;
	int32_t epoch = 0;
	int64_t end = 0;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	ot_log_assign_epoch(kit.log, 1);
	kit_append(&kit, &(struct kit_batch){ .leader_epoch = 1, .record_count = 5 });
	ot_log_assign_epoch(kit.log, 2);
	ot_log_assign_epoch(kit.log, 1);
	assert_true(ot_log_chore_due(kit.log) <= kit.now);
	assert_ok(kit_chores(&kit));
	assert_true(ot_log_chore_due(kit.log) > kit.now);
	assert_true(kit_file_bytes(&kit, LOG_EPOCH_FILE) > 0);
	ot_log_assign_epoch(kit.log, 3);
	kit_append(&kit, &(struct kit_batch){ .leader_epoch = 3, .record_count = 5 });
	for (int round = 0; round < 4; round++) {
		ot_log_epoch_end(kit.log, 1, &epoch, &end);
		assert_int_equal(epoch, 1);
		assert_int_equal(end, 5);
		assert_int_equal(ot_log_latest_epoch(kit.log), 3);
		assert_int_equal(ot_log_epoch_at(kit.log, 4), 1);
		assert_int_equal(ot_log_epoch_at(kit.log, 5), 3);
		kit_close(&kit);
		if (round == 1)
			kit_remove_file(&kit, LOG_EPOCH_FILE);
		if (round == 2)
			kit_write_file(&kit, LOG_EPOCH_FILE, "0\nx", 3);
		kit_open(&kit, true);
		assert_int_equal(kit.result.is_epoch_file_rebuilt, round == 1 || round == 2);
	}
	kit_fini(&kit);
}

static void
test_epoch_in_which_nothing_was_written(void **state)
{
	(void)state;
	/* Goal: a replica that led in epochs 1 and 2 and wrote nothing, and follows then, is given
	 * more of epoch 0: where that ends is known, also after a restart, and the others are gone.
	 */
	struct kit kit;
	int32_t epoch = 0;
	int64_t end = 0;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	ot_log_assign_epoch(kit.log, 0);
	kit_append(&kit, &(struct kit_batch){ .record_count = 5 });
	ot_log_assign_epoch(kit.log, 1);
	ot_log_assign_epoch(kit.log, 2);
	assert_int_equal(ot_log_latest_epoch(kit.log), 2);
	kit_append(&kit,
	    &(struct kit_batch){ .origin = OT_ORIGIN_LEADER, .base_offset = 5, .record_count = 3 });
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ot_log_latest_epoch(kit.log), 0);
		assert_int_equal(ot_log_epoch_at(kit.log, 5), 0);
		ot_log_epoch_end(kit.log, 0, &epoch, &end);
		assert_int_equal(end, 8);
		kit_close(&kit);
		kit_open(&kit, true);
	}
	kit_append(&kit,
	    &(struct kit_batch){ .origin = OT_ORIGIN_LEADER, .leader_epoch = 3, .base_offset = 8 });
	ot_log_epoch_end(kit.log, 0, &epoch, &end);
	assert_int_equal(end, 8);
	assert_int_equal(ot_log_latest_epoch(kit.log), 3);
	kit_fini(&kit);
}

static void
test_name_of_the_file(void **state)
{
	(void)state;
	/* Goal: an epoch that begins before the recovery point is known after a loss of power, be
	 * its file written by a chore or with the sync itself: recovery does not look at the
	 * batches that would tell it again. Method: many ways in which a disk may lose what it has
	 * not. */
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct kit kit;
		kit_init(&kit, ot_sim_disk_fs(disk));
		assert_ok(ot_fs_mkdir(kit.fs, kit.root));
		assert_ok(ot_fs_sync_dir(kit.fs, "/"));
		kit_open(&kit, true);
		kit_append(&kit, &(struct kit_batch){ .leader_epoch = 1, .record_count = 5 });
		assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
		ot_log_assign_epoch(kit.log, 2);
		if (seed % 2 == 0)
			assert_ok(kit_chores(&kit));
		/* Recovery begins at an index entry. */
		for (int i = 0; i < 4; i++)
			kit_append(&kit,
			    &(struct kit_batch){ .leader_epoch = 2, .value_bytes = 5000 });
		assert_ok(kit_sync(&kit, OT_LOG_SYNC_CHECKPOINT));
		kit.recovery_point = ot_log_recovery_point(kit.log);
		assert_int_equal(kit.recovery_point, 9);
		ot_sim_disk_stop(disk);
		kit_drop(&kit);
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		kit_open(&kit, false);
		assert_int_equal(ot_log_epoch_at(kit.log, 4), 1);
		assert_int_equal(ot_log_epoch_at(kit.log, 5), 2);
		kit_fini(&kit);
		ot_sim_disk_destroy(disk);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_of_epochs),
		cmocka_unit_test(test_assignments_that_contradict),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_in_a_log),
		cmocka_unit_test(test_epoch_in_which_nothing_was_written),
		cmocka_unit_test(test_name_of_the_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
