/* Tests of one partition: who is answered when, what readers may see, and what failures leave. */
#include "stage.h"

#include "base/crc.h"

static const struct stage_batch one_record;

static int64_t
log_end(const struct stage *stage)
{
	return ot_log_end_offset(ot_part_log(stage->part));
}

/* ---- answers ------------------------------------------------------------------------------ */

static void
test_written_appends_are_answered(void **state)
{
	(void)state;
	/* Goal: acks=0, 1 and all are answered after the turn's write, in order, with their
	 * offsets, and the high watermark is behind them then. Method: three appends in one turn;
	 * nothing is answered before the turn has ended. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	struct stage_append *appends[3];
	const int16_t acks[3] = { 0, 1, -1 };
	for (int i = 0; i < 3; i++)
		appends[i] =
		    stage_append(&stage, acks[i], &(struct stage_batch){ .record_count = 2 });
	assert_false(appends[0]->is_done);
	assert_int_equal(ot_part_high_watermark(stage.part), 0);
	stage_until(&stage, stage_is_answered, appends[2]);
	for (int i = 0; i < 3; i++) {
		assert_ok(appends[i]->append.err);
		assert_int_equal(appends[i]->append.base_offset, 2 * i);
		assert_int_equal(appends[i]->append.log_start_offset, 0);
		assert_int_equal(appends[i]->append.append_time, -1);
		stage_free_append(appends[i]);
	}
	assert_int_equal(ot_part_high_watermark(stage.part), 6);
	stage_close_part(&stage);
	assert_true(stage.is_clean);
	assert_int_equal(stage.final_recovery_point, 6);
	stage_fini(&stage);
}

static void
test_refusals(void **state)
{
	(void)state;
	/* Goal: what cannot be appended is refused at once and stages nothing.
	 * Method: wrong acks, too few replicas, no batch, damage, and a partition that is not open.
	 */
	struct stage stage;
	stage_init(&stage, 1);
	stage_create_part(&stage);
	struct stage_append *append = stage_append(&stage, 1, &one_record);
	assert_int_equal(append->append.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	stage_free_append(append);
	stage_lead(&stage, STAGE_EPOCH);
	stage_until(&stage, stage_is_open, &stage);
	append = stage_append(&stage, 2, &one_record);
	assert_int_equal(append->append.err, OT_ERR_INVALID_REQUIRED_ACKS);
	stage_free_append(append);
	/* The only replica is enough, whatever the setting says. */
	stage.settings.min_insync_replicas = 2;
	ot_part_set_settings(stage.part, &stage.settings);
	assert_ok(stage_append_and_wait(&stage, -1, &one_record, NULL));
	stage_set_role(&stage, STAGE_NODE, STAGE_EPOCH, STAGE_EPOCH + 1, 2, 1);
	append = stage_append(&stage, -1, &one_record);
	assert_int_equal(append->append.err, OT_ERR_NOT_ENOUGH_REPLICAS);
	assert_int_equal(append->append.log_start_offset, -1);
	stage_free_append(append);
	struct ot_append empty = { .acks = 1, .done = stage_append_is_done };
	struct stage_append holder = { .append = empty };
	ot_part_append(stage.part, &holder.append);
	assert_int_equal(holder.append.err, OT_ERR_INVALID_RECORD);
	assert_int_equal(log_end(&stage), 1);
	assert_ok(stage_append_and_wait(&stage, 1, &one_record, NULL));
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_acks_all_in_vain(void **state)
{
	(void)state;
	/* Goal: acks=all waits for the in-sync replicas as long as its request says and no longer;
	 * the record stays, and the watermark does not move for it. acks=1 does not wait, and who
	 * is answered in time has no timer left. Method: an ISR of two, of which one never
	 * fetches; then one of the leader alone. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_set_role(&stage, STAGE_NODE, STAGE_EPOCH, STAGE_EPOCH + 1, 2, 2);
	stage.append_timeout_ms = 500;
	struct stage_append *append = stage_append(&stage, -1, &one_record);
	assert_ok(stage_append_and_wait(&stage, 1, &one_record, NULL));
	stage_run_for_ms(&stage, 490);
	assert_false(append->is_done);
	stage_run_for_ms(&stage, 20);
	assert_true(append->is_done);
	assert_int_equal(append->append.err, OT_ERR_REQUEST_TIMED_OUT);
	assert_int_equal(append->append.base_offset, 0);
	stage_free_append(append);
	assert_int_equal(log_end(&stage), 2);
	assert_int_equal(ot_part_high_watermark(stage.part), 0);
	append = stage_append(&stage, -1, &one_record);
	stage_run_for_ms(&stage, 100);
	assert_false(append->is_done);
	stage_set_role(&stage, STAGE_NODE, STAGE_EPOCH, STAGE_EPOCH + 2, 2, 1);
	assert_true(append->is_done);
	assert_ok(append->append.err);
	stage_free_append(append);
	stage_run_for_ms(&stage, 1000);
	assert_int_equal(ot_part_high_watermark(stage.part), 3);
	stage_close_part(&stage);
	stage_fini(&stage);
}

/* ---- syncs -------------------------------------------------------------------------------- */

static bool
is_written(void *arg)
{
	struct stage *stage = arg;
	return log_end(stage) > 0;
}

static void
test_flush_messages_waits_for_the_disk(void **state)
{
	(void)state;
	/* Goal: with flush.messages=1 nobody is answered and no reader sees a record before it is
	 * synced; one sync answers all who wait (group commit).
	 * Method: stop the world between write and sync; then count the syncs of many appends. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.flush_messages = 1;
	stage_open_part(&stage);
	struct stage_append *first = stage_append(&stage, 1, &one_record);
	stage_until(&stage, is_written, &stage);
	assert_false(first->is_done);
	assert_int_equal(ot_part_high_watermark(stage.part), 0);
	struct stage_read read;
	assert_ok(stage_read(&stage, 0, &read));
	assert_int_equal(read.read.bytes, 0);
	struct stage_append *more[20];
	for (int i = 0; i < 20; i++)
		more[i] = stage_append(&stage, i % 2 == 0 ? -1 : 1, &one_record);
	stage_until(&stage, stage_is_answered, more[19]);
	assert_int_equal(ot_part_high_watermark(stage.part), 21);
	assert_int_equal(ot_log_synced_offset(ot_part_log(stage.part)), 21);
	assert_ok(first->append.err);
	stage_free_append(first);
	for (int i = 0; i < 20; i++) {
		assert_ok(more[i]->append.err);
		stage_free_append(more[i]);
	}
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_flush_messages_of_several(void **state)
{
	(void)state;
	/* Goal: flush.messages=3 lets two appends be answered by the write alone; the third waits.
	 * Method: three appends in three turns; look where the sync stands. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.flush_messages = 3;
	stage_open_part(&stage);
	stage_append_many(&stage, 2, &one_record);
	assert_int_equal(ot_log_synced_offset(ot_part_log(stage.part)), 0);
	assert_int_equal(ot_part_high_watermark(stage.part), 2);
	stage_append_many(&stage, 1, &one_record);
	assert_int_equal(ot_log_synced_offset(ot_part_log(stage.part)), 3);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_duplicate_waits_for_the_first(void **state)
{
	(void)state;
	/* Goal: a batch that an idempotent producer sends again is not acknowledged before the
	 * first one is on the disk, and gets the first one's offset and time. Method: the same
	 * sequence twice with flush.messages=1, the second between write and sync; then once more,
	 * much later. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.flush_messages = 1;
	stage_open_part(&stage);
	const struct stage_batch batch = { .producer_id = 9, .timestamp = 5000 };
	struct stage_append *first = stage_append(&stage, 1, &batch);
	stage_until(&stage, is_written, &stage);
	struct stage_append *again = stage_append(&stage, 1, &batch);
	ot_shard_end_turn(stage.shard);
	assert_false(again->is_done);
	stage_until(&stage, stage_is_answered, again);
	assert_true(first->is_done);
	assert_ok(again->append.err);
	assert_int_equal(again->append.base_offset, 0);
	assert_int_equal(again->append.append_time, 5000);
	stage_free_append(first);
	stage_free_append(again);
	int64_t offset = -1;
	assert_ok(stage_append_and_wait(&stage, -1, &batch, &offset));
	assert_int_equal(offset, 0);
	assert_int_equal(log_end(&stage), 1);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_failed_sync_takes_offline(void **state)
{
	(void)state;
	/* Goal: when the disk fails a sync, those who wait get KAFKA_STORAGE_ERROR, what this turn
	 * has staged as well, and the partition answers so from now on; it can be closed.
	 * Method: a second append is staged, without a turn in between, while the failing sync is
	 * under way: the turn that brings the failure finds it staged. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.flush_messages = 1;
	stage_open_part(&stage);
	ot_sim_disk_fail_at(stage.disk, OT_SIM_SYNC, 1, OT_ERR_IO, false);
	struct stage_append *first = stage_append(&stage, -1, &one_record);
	stage_until(&stage, is_written, &stage);
	struct stage_append *second = stage_append(&stage, 1, &one_record);
	ot_shard_enter(NULL);
	assert_true(ot_sim_world_run_until(stage.world, stage_is_answered, second, 1000));
	ot_shard_enter(stage.shard);
	assert_int_equal(first->append.err, OT_ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(second->append.err, OT_ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(ot_part_high_watermark(stage.part), 0);
	assert_int_equal(ot_part_state(stage.part), OT_PART_OFFLINE);
	stage_free_append(first);
	stage_free_append(second);
	assert_int_equal(stage_append_and_wait(&stage, 1, &one_record, NULL),
	    OT_ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(stage_read(&stage, 0, NULL), OT_ERR_KAFKA_STORAGE_ERROR);
	stage_close_part(&stage);
	assert_false(stage.is_clean);
	stage_fini(&stage);
}

static bool
is_recovery_point_moved(void *arg)
{
	struct stage *stage = arg;
	return ot_log_recovery_point(ot_part_log(stage->part)) == log_end(stage);
}

static void
test_full_disk_during_a_checkpoint(void **state)
{
	(void)state;
	/* Goal: a file beside the records that finds no space (the epochs, a snapshot) does not
	 * take the partition offline; the next checkpoint makes it good. Method: the rename of the
	 * epoch file fails once in a checkpoint. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 3, &one_record);
	stage_run_for_ms(&stage, 1000);
	stage_lead(&stage, STAGE_EPOCH + 1);
	ot_sim_disk_fail_at(stage.disk, OT_SIM_RENAME, 1, OT_ERR_NO_SPACE, false);
	ot_part_checkpoint(stage.part);
	stage_run_for_ms(&stage, 1000);
	assert_int_equal(ot_part_state(stage.part), OT_PART_ONLINE);
	assert_ok(stage_append_and_wait(&stage, -1, &one_record, NULL));
	stage_run_for_ms(&stage, 100); /* a chore may be writing the epochs meanwhile */
	ot_part_checkpoint(stage.part);
	stage_until(&stage, is_recovery_point_moved, &stage);
	stage_close_part(&stage);
	assert_true(stage.is_clean);
	stage_fini(&stage);
}

static bool
is_synced(void *arg)
{
	struct stage *stage = arg;
	return ot_log_synced_offset(ot_part_log(stage->part)) == log_end(stage);
}

static void
test_flush_ms(void **state)
{
	(void)state;
	/* Goal: flush.ms syncs what is older, and not before.
	 * Method: tick before and after the time. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.flush_ms = 1000;
	stage_open_part(&stage);
	stage_append_many(&stage, 1, &one_record);
	ot_part_tick(stage.part, ot_io_wall(stage.shard->io), false);
	stage_run_for_ms(&stage, 100);
	assert_false(is_synced(&stage));
	ot_part_tick(stage.part, ot_io_wall(stage.shard->io) + 1000, false);
	stage_until(&stage, is_synced, &stage);
	stage_close_part(&stage);
	stage_fini(&stage);
}

/* ---- a full disk -------------------------------------------------------------------------- */

static void
fill_disk(struct stage *stage)
{
	ot_sim_disk_set_capacity(stage->disk, 1);
}

static void
test_full_disk_and_recovery(void **state)
{
	(void)state;
	/* Goal: on a full disk appends get KAFKA_STORAGE_ERROR and leave no offset behind; reading
	 * and deleting go on; with space again appends go on where they were.
	 * Method: take the disk's space away and give it back; in the failing turn two batches of
	 * one producer, so that its sequence must have been taken back too. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 4, &one_record);
	fill_disk(&stage);
	const struct stage_batch large = { .producer_id = 9,
		.value_bytes = 4000,
		.record_count = 200 };
	struct stage_append *appends[3];
	for (int i = 0; i < 3; i++) {
		struct stage_batch batch = large;
		batch.sequence = (i > 0 ? 1 : 0) * 200; /* the third repeats the second */
		appends[i] = stage_append(&stage, i == 1 ? -1 : 1, &batch);
	}
	stage_until(&stage, stage_is_answered, appends[2]);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(appends[i]->append.err, OT_ERR_KAFKA_STORAGE_ERROR);
		assert_int_equal(appends[i]->append.base_offset, -1);
		stage_free_append(appends[i]);
	}
	assert_int_equal(ot_part_state(stage.part), OT_PART_ONLINE);
	assert_int_equal(ot_part_high_watermark(stage.part), 4);
	struct stage_read read;
	assert_ok(stage_read(&stage, 0, &read));
	assert_true(read.read.bytes > 0);
	int64_t low = -1;
	assert_ok(ot_part_delete_records(stage.part, 2, &low));
	assert_int_equal(low, 2);
	ot_sim_disk_set_capacity(stage.disk, OT_GIB);
	int64_t offset = -1;
	assert_ok(stage_append_and_wait(&stage, -1, &large, &offset));
	assert_int_equal(offset, 4);
	stage_close_part(&stage);
	assert_true(stage.is_clean);
	stage_fini(&stage);
}

static bool
is_online(void *arg)
{
	return ot_part_state(((struct stage *)arg)->part) == OT_PART_ONLINE;
}

static bool
is_first_segment_gone(void *arg)
{
	struct stage *stage = arg;
	struct ot_fs_stat stat;
	ot_part_tick(stage->part, ot_io_wall(stage->shard->io), false);
	return ot_fs_stat(ot_sim_host_fs(stage->host), "/data/topic-0/00000000000000000000.log",
		   &stat) == OT_ERR_NOT_FOUND;
}

static void
test_no_room_for_other_names(void **state)
{
	(void)state;
	/* Goal: segments go from a disk that is so full that a folder has no room for their other
	 * names. Method: no file can be renamed. */
	struct stage stage;
	int64_t low = -1;
	stage_init(&stage, 1);
	stage.settings.log.segment_bytes = 1024;
	stage_open_part(&stage);
	stage_append_many(&stage, 20, &(struct stage_batch){ .value_bytes = 400 });
	stage_run_for_ms(&stage, 1000);
	ot_sim_disk_fail_at(stage.disk, OT_SIM_RENAME, 1, OT_ERR_NO_SPACE, true);
	assert_ok(ot_part_delete_records(stage.part, 10, &low));
	for (int i = 0; i < 20 && !is_first_segment_gone(&stage); i++)
		stage_run_for_ms(&stage, 500);
	assert_true(is_first_segment_gone(&stage));
	ot_sim_disk_fail_at(stage.disk, OT_SIM_ANY, 0, OT_OK, false);
	assert_int_equal(ot_part_state(stage.part), OT_PART_ONLINE);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_opening_meets_a_shortage(void **state)
{
	(void)state;
	/* Goal: a partition that cannot be opened for want of space or of descriptors answers
	 * KAFKA_STORAGE_ERROR, is opened by a later tick and serves then; it can also be closed
	 * while it waits. Method: its folder cannot be made, or its files not opened. */
	static const struct {
		unsigned calls;
		ot_err err;
	} shortages[] = { { OT_SIM_MKDIR, OT_ERR_NO_SPACE }, { OT_SIM_OPEN, OT_ERR_NO_FILES } };
	for (size_t i = 0; i < 2 * OT_ARRAY_COUNT(shortages); i++) {
		struct stage stage;
		stage_init(&stage, 1);
		ot_sim_disk_fail_at(stage.disk, shortages[i / 2].calls, 1, shortages[i / 2].err,
		    true);
		stage_create_part(&stage);
		stage_lead(&stage, STAGE_EPOCH);
		for (int ticks = 0; ticks < 20; ticks++) {
			ot_part_tick(stage.part, ot_io_wall(stage.shard->io), true);
			stage_run_for_ms(&stage, 500);
		}
		assert_in_range(stage.opened, 2, 20);
		assert_int_equal(stage_append_and_wait(&stage, 1, &one_record, NULL),
		    OT_ERR_KAFKA_STORAGE_ERROR);
		if (i % 2 == 0) {
			ot_sim_disk_fail_at(stage.disk, 0, 0, OT_OK, false);
			for (int ticks = 0; ticks < 20 && !is_online(&stage); ticks++) {
				ot_part_tick(stage.part, ot_io_wall(stage.shard->io), true);
				stage_run_for_ms(&stage, 500);
			}
			assert_true(is_online(&stage));
			stage_append_many(&stage, 3, &one_record);
			assert_int_equal(ot_part_high_watermark(stage.part), 3);
		}
		stage_close_part(&stage);
		assert_int_equal(stage.is_clean, i % 2 == 0);
		ot_sim_disk_fail_at(stage.disk, 0, 0, OT_OK, false);
		stage_fini(&stage);
	}
}

struct retry {
	struct stage *stage;
	struct stage_append *second;
};

static void
append_again(struct stage_append *append)
{
	struct retry *retry = append->then_arg;
	ot_sim_disk_set_capacity(retry->stage->disk, OT_GIB);
	retry->second = stage_append(retry->stage, -1, &one_record);
}

static void
test_append_from_the_answer(void **state)
{
	(void)state;
	/* Goal: who appends again in the very answer that says that the disk was full (as a
	 * coordinator may) is answered for that append when it is written, not before.
	 * Method: the answer's callback gives the disk space and appends. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 1, &one_record);
	fill_disk(&stage);
	struct retry retry = { .stage = &stage };
	struct stage_append *first =
	    stage_append(&stage, 1, &(struct stage_batch){ .value_bytes = 4000 });
	first->then = append_again;
	first->then_arg = &retry;
	stage_until(&stage, stage_is_answered, first);
	assert_int_equal(first->append.err, OT_ERR_KAFKA_STORAGE_ERROR);
	stage_until(&stage, stage_is_answered, retry.second);
	assert_ok(retry.second->append.err);
	assert_int_equal(retry.second->append.base_offset, 1);
	assert_int_equal(ot_part_high_watermark(stage.part), 2);
	stage_free_append(first);
	stage_free_append(retry.second);
	stage_close_part(&stage);
	stage_fini(&stage);
}

/* ---- what comes between appends of a turn --------------------------------------------------- */

static void
test_changes_in_the_middle_of_a_turn(void **state)
{
	(void)state;
	/* Goal: settings, retention, deletion, a new epoch and the closing may come while appends
	 * are staged: the turn's write is done first, and nobody is lost.
	 * Method: each of them right behind an append, in the same turn. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	struct stage_append *appends[5];
	ot_wall_ms now = ot_io_wall(stage.shard->io);
	appends[0] = stage_append(&stage, 1, &one_record);
	ot_part_set_settings(stage.part, &stage.settings);
	appends[1] = stage_append(&stage, 1, &one_record);
	ot_part_tick(stage.part, now, true);
	appends[2] = stage_append(&stage, 1, &one_record);
	int64_t low = -1;
	assert_ok(ot_part_delete_records(stage.part, -1, &low));
	assert_int_equal(low, 3);
	appends[3] = stage_append(&stage, 1, &one_record);
	stage_lead(&stage, STAGE_EPOCH + 1);
	int32_t epoch = -1;
	int64_t end = -1;
	assert_ok(ot_part_epoch_end(stage.part, -1, STAGE_EPOCH, &epoch, &end));
	assert_int_equal(end, 4);
	appends[4] = stage_append(&stage, 1, &one_record);
	stage_close_part(&stage);
	assert_int_equal(stage.final_recovery_point, 5);
	for (int i = 0; i < 5; i++) {
		assert_true(appends[i]->is_done);
		assert_ok(appends[i]->append.err);
		assert_int_equal(appends[i]->append.base_offset, i);
		stage_free_append(appends[i]);
	}
	stage_fini(&stage);
}

static void
append_once_more(struct stage_append *append)
{
	struct retry *retry = append->then_arg;
	retry->second = stage_append(retry->stage, 1, &one_record);
}

static void
test_append_from_the_answer_in_a_change(void **state)
{
	(void)state;
	/* Goal: when a change in the middle of a turn lets the turn's write be done first, and who
	 * is answered by it appends again at once, that append is written before the change too.
	 * Method: retention right behind an append that is followed by another. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	struct retry retry = { .stage = &stage };
	struct stage_append *first = stage_append(&stage, 1, &one_record);
	first->then = append_once_more;
	first->then_arg = &retry;
	ot_part_tick(stage.part, ot_io_wall(stage.shard->io), true);
	assert_true(first->is_done);
	assert_true(retry.second->is_done);
	assert_int_equal(retry.second->append.base_offset, 1);
	stage_free_append(first);
	stage_free_append(retry.second);
	stage_close_part(&stage);
	stage_fini(&stage);
}

/* ---- watchers and closing ------------------------------------------------------------------- */

struct watcher {
	struct ot_part_watcher watcher;
	unsigned count;
};

static void
count_wake(struct ot_part_watcher *watcher)
{
	OT_CONTAINER_OF(watcher, struct watcher, watcher)->count++;
}

static void
test_watchers(void **state)
{
	(void)state;
	/* Goal: watchers hear of each turn that makes more readable, and of the end; a partition
	 * that closes lets them go, whether they take themselves off or not.
	 * Method: two watchers, of which one leaves; the other stays over the closing. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	struct watcher stays = { .watcher.on_more = count_wake };
	struct watcher leaves = { .watcher.on_more = count_wake };
	ot_part_watch(stage.part, &stays.watcher);
	ot_part_watch(stage.part, &leaves.watcher);
	struct stage_append *first = stage_append(&stage, 1, &one_record);
	struct stage_append *second = stage_append(&stage, 1, &one_record);
	stage_until(&stage, stage_is_answered, second);
	stage_free_append(first);
	stage_free_append(second);
	assert_int_equal(stays.count, 1);
	ot_part_unwatch(&leaves.watcher);
	stage_append_many(&stage, 1, &one_record);
	stage_close_part(&stage);
	assert_int_equal(stays.count, 3);
	assert_int_equal(leaves.count, 1);
	ot_part_unwatch(&stays.watcher); /* harmless, and long after the partition is gone */
	stage_fini(&stage);
}

static void
test_close_with_waiters(void **state)
{
	(void)state;
	/* Goal: closing answers appends that wait for a sync and reads that wait for a worker, and
	 * waits itself for the jobs under way.
	 * Method: close while a sync and a cold read are in workers' hands. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 10, &(struct stage_batch){ .value_bytes = 4000 });
	stage_close_part(&stage);
	ot_dirs_close(stage.dirs);
	stage_open_dirs(&stage);
	stage.settings.flush_messages = 1;
	stage_open_part(&stage);
	assert_int_equal(log_end(&stage), 10);
	ot_sim_disk_set_rates(stage.disk, &(struct ot_sim_disk_rates){ .evict = 1000000 });
	struct stage_read read;
	stage_begin_read(&stage, 0, &read);
	assert_false(read.is_done);
	struct stage_append *append = stage_append(&stage, -1, &one_record);
	ot_part_close(stage.part, OT_LOG_CLOSE_CLEAN);
	assert_true(append->is_done);
	assert_int_equal(append->append.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	stage_until(&stage, stage_is_closed, &stage);
	assert_true(read.is_done);
	assert_int_equal(read.read.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_null(read.read.file);
	stage_free_append(append);
	stage_fini(&stage);
}

static void
test_close_while_opening(void **state)
{
	(void)state;
	/* Goal: a partition may be closed, and its settings changed, while a worker opens its log.
	 * Method: both right after its creation. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_create_part(&stage);
	ot_part_set_settings(stage.part, &stage.settings);
	ot_part_close(stage.part, OT_LOG_CLOSE_CLEAN);
	stage_until(&stage, stage_is_closed, &stage);
	assert_int_equal(stage.opened, 0);
	stage_fini(&stage);
}

/* ---- reads and offsets ------------------------------------------------------------------------
 */

static void
test_reads(void **state)
{
	(void)state;
	/* Goal: reads are bounded by the high watermark, refused out of range and with wrong
	 * epochs, and cold ranges take the way through a worker. Method: hot and cold reads of the
	 * same range; offsets and epochs around the bounds. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 5, &one_record);
	struct stage_read read;
	stage_begin_read(&stage, 0, &read);
	assert_true(read.is_done);
	assert_ok(read.read.err);
	assert_int_equal(read.read.high_watermark, 5);
	size_t bytes = read.read.bytes;
	assert_true(bytes > 0);
	ot_file_unref(read.read.file);
	assert_ok(stage_read(&stage, 5, &read));
	assert_int_equal(read.read.bytes, 0);
	assert_int_equal(stage_read(&stage, 6, NULL), OT_ERR_OFFSET_OUT_OF_RANGE);
	assert_int_equal(stage_read(&stage, -1, NULL), OT_ERR_OFFSET_OUT_OF_RANGE);
	assert_int_equal(ot_part_check_leader(stage.part, STAGE_EPOCH - 1),
	    OT_ERR_FENCED_LEADER_EPOCH);
	assert_int_equal(ot_part_check_leader(stage.part, STAGE_EPOCH + 1),
	    OT_ERR_UNKNOWN_LEADER_EPOCH);
	assert_ok(ot_part_check_leader(stage.part, STAGE_EPOCH));
	stage_close_part(&stage);
	ot_dirs_close(stage.dirs);
	stage_open_dirs(&stage);
	stage_open_part(&stage);
	ot_sim_disk_set_rates(stage.disk, &(struct ot_sim_disk_rates){ .evict = 1000000 });
	stage_begin_read(&stage, 0, &read);
	assert_false(read.is_done);
	stage_until(&stage, stage_is_read, &read);
	assert_ok(read.read.err);
	assert_int_equal(read.read.bytes, bytes);
	ot_file_unref(read.read.file);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_divergence(void **state)
{
	(void)state;
	/* Goal: a reader that says which epoch it had last is told to truncate when its log is
	 * another (KIP-595), and to begin anew when nobody can say.
	 * Method: two epochs of three records each, and readers of several pasts. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 3, &one_record);
	stage_lead(&stage, STAGE_EPOCH + 2);
	stage_append_many(&stage, 3, &one_record);
	const struct {
		int64_t offset;
		int32_t last_epoch;
		int64_t diverging_end; /* -1: none */
		ot_err err;
	} cases[] = {
		{ 3, STAGE_EPOCH, -1, OT_OK },
		{ 4, STAGE_EPOCH, 3, OT_OK },
		{ 4, STAGE_EPOCH + 1, 3, OT_OK },
		{ 6, STAGE_EPOCH + 2, -1, OT_OK },
		{ 1, STAGE_EPOCH - 1, 0, OT_OK },
		{ 6, STAGE_EPOCH + 3, -1, OT_ERR_OFFSET_OUT_OF_RANGE },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(cases); i++) {
		struct stage_read read = { .read = {
					       .offset = cases[i].offset,
					       .bytes_max = 1000,
					       .leader_epoch = -1,
					       .last_fetched_epoch = cases[i].last_epoch,
					       .replica_id = -1,
					       .done = stage_read_is_done,
					   } };
		ot_part_read(stage.part, &read.read);
		stage_until(&stage, stage_is_read, &read);
		assert_int_equal(read.read.err, cases[i].err);
		assert_int_equal(read.read.diverging_end_offset, cases[i].diverging_end);
		ot_file_unref(read.read.file);
	}
	stage_close_part(&stage);
	stage_fini(&stage);
}

struct finding {
	struct ot_part_find find;
	bool is_done;
};

static void
find_is_done(struct ot_part_find *find)
{
	OT_CONTAINER_OF(find, struct finding, find)->is_done = true;
}

static bool
is_found(void *arg)
{
	return ((struct finding *)arg)->is_done;
}

static int64_t
find_offset(struct stage *stage, int64_t timestamp)
{
	struct finding finding = { .find = {
				       .timestamp = timestamp,
				       .leader_epoch = -1,
				       .done = find_is_done,
				   } };
	ot_part_find(stage->part, &finding.find);
	stage_until(stage, is_found, &finding);
	assert_ok(finding.find.err);
	return finding.find.found.offset;
}

static void
test_consumer_ahead_of_a_follower(void **state)
{
	(void)state;
	/* Goal: a follower that lags tells a consumer who names no epoch, and so may take it for
	 * the leader, to look for that one, and not that its offset is out of range; who names the
	 * epoch knows where it reads (KIP-392). */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 2, &one_record);
	stage_set_role(&stage, STAGE_NODE + 1, STAGE_EPOCH + 1, STAGE_EPOCH + 1, 2, 2);
	const struct {
		int64_t offset;
		int32_t epoch;
		ot_err err;
	} reads[] = {
		{ 2, -1, OT_OK },
		{ 3, -1, OT_ERR_NOT_LEADER_OR_FOLLOWER },
		{ 3, STAGE_EPOCH + 1, OT_ERR_OFFSET_OUT_OF_RANGE },
		{ -1, -1, OT_ERR_OFFSET_OUT_OF_RANGE },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(reads); i++) {
		struct stage_read read = { .read = {
					       .offset = reads[i].offset,
					       .bytes_max = 1024,
					       .leader_epoch = reads[i].epoch,
					       .last_fetched_epoch = -1,
					       .replica_id = -1,
					       .is_follower_allowed = true,
					       .done = stage_read_is_done,
					   } };
		ot_part_read(stage.part, &read.read);
		stage_until(&stage, stage_is_read, &read);
		assert_int_equal(read.read.err, reads[i].err);
		ot_file_unref(read.read.file);
	}
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_find(void **state)
{
	(void)state;
	/* Goal: ListOffsets' questions find what they ask for, never beyond the high watermark.
	 * Method: records of rising times, all special timestamps; then one that is written and not
	 * synced under flush.messages=1. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.log.retention_ms = -1;
	stage_open_part(&stage);
	for (int i = 0; i < 5; i++)
		stage_append_many(&stage, 1, &(struct stage_batch){ .timestamp = 1000 + 100 * i });
	int64_t low = -1;
	assert_ok(ot_part_delete_records(stage.part, 1, &low));
	assert_int_equal(find_offset(&stage, OT_LIST_EARLIEST), 1);
	assert_int_equal(find_offset(&stage, OT_LIST_LOCAL_EARLIEST), 1);
	assert_int_equal(find_offset(&stage, OT_LIST_LATEST), 5);
	assert_int_equal(find_offset(&stage, OT_LIST_MAX), 4);
	assert_int_equal(find_offset(&stage, OT_LIST_TIERED_LATEST), -1);
	assert_int_equal(find_offset(&stage, 1150), 2);
	assert_int_equal(find_offset(&stage, 1400), 4);
	assert_int_equal(find_offset(&stage, 1401), -1);
	stage.settings.flush_messages = 1;
	ot_part_set_settings(stage.part, &stage.settings);
	struct finding finding = {
		.find = { .timestamp = 1401, .leader_epoch = -1, .done = find_is_done }
	};
	struct stage_append *append =
	    stage_append(&stage, 1, &(struct stage_batch){ .timestamp = 2000 });
	ot_shard_end_turn(stage.shard);
	assert_int_equal(log_end(&stage), 6);
	ot_part_find(stage.part, &finding.find);
	stage_until(&stage, is_found, &finding);
	if (!append->is_done)
		assert_int_equal(finding.find.found.offset, -1);
	stage_until(&stage, stage_is_answered, append);
	stage_free_append(append);
	assert_int_equal(find_offset(&stage, 1401), 5);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_delete_records(void **state)
{
	(void)state;
	/* Goal: DeleteRecords moves the start up to the high watermark, never back nor beyond, and
	 * only where the policy deletes. */
	struct stage stage;
	stage_init(&stage, 1);
	stage_open_part(&stage);
	stage_append_many(&stage, 5, &one_record);
	int64_t low = -1;
	assert_int_equal(ot_part_delete_records(stage.part, 6, &low), OT_ERR_OFFSET_OUT_OF_RANGE);
	assert_int_equal(ot_part_delete_records(stage.part, -2, &low), OT_ERR_OFFSET_OUT_OF_RANGE);
	assert_ok(ot_part_delete_records(stage.part, 3, &low));
	assert_int_equal(low, 3);
	assert_ok(ot_part_delete_records(stage.part, 1, &low));
	assert_int_equal(low, 3);
	assert_int_equal(stage_read(&stage, 2, NULL), OT_ERR_OFFSET_OUT_OF_RANGE);
	stage.settings.log.is_deleting = false;
	ot_part_set_settings(stage.part, &stage.settings);
	assert_int_equal(ot_part_delete_records(stage.part, 4, &low), OT_ERR_POLICY_VIOLATION);
	stage_close_part(&stage);
	assert_int_equal(stage.final_start, 3);
	stage_fini(&stage);
}

struct wait {
	struct ot_part_deletion deletion;
	bool is_done;
};

static void
wait_is_done(struct ot_part_deletion *deletion)
{
	struct wait *wait = OT_CONTAINER_OF(deletion, struct wait, deletion);
	assert_false(wait->is_done);
	wait->is_done = true;
}

static bool
is_wait_over(void *arg)
{
	return ((struct wait *)arg)->is_done;
}

static void
begin_wait(struct stage *stage, int64_t offset, int64_t timeout_ms, struct wait *wait)
{
	*wait = (struct wait){ .deletion = {
				   .offset = offset,
				   .timeout_ms = timeout_ms,
				   .done = wait_is_done,
			       } };
	ot_part_await_deletion(stage->part, &wait->deletion);
}

/* A fetch by the other replica, which has all up to 5 and begins there. */
static void
fetch_as_follower(struct stage *stage, int64_t log_start)
{
	struct stage_read read = { .read = {
				       .offset = 5,
				       .bytes_max = 1024,
				       .leader_epoch = -1,
				       .last_fetched_epoch = -1,
				       .replica_id = STAGE_NODE + 1,
				       .replica_epoch = -1,
				       .replica_log_start = log_start,
				       .done = stage_read_is_done,
				   } };
	ot_part_read(stage->part, &read.read);
	stage_until(stage, stage_is_read, &read);
	assert_ok(read.read.err);
	ot_file_unref(read.read.file);
	ot_free(read.read.aborted);
}

static bool is_second_dead;

static bool
is_alive(void *arg, int32_t broker)
{
	(void)arg;
	return !is_second_dead || broker == STAGE_NODE;
}

static void
open_part_of_two(struct stage *stage)
{
	stage_init(stage, 1);
	stage->is_alive = is_alive;
	is_second_dead = false;
	stage_create_part(stage);
	stage_set_role(stage, STAGE_NODE, STAGE_EPOCH, STAGE_EPOCH, 2, 2);
	stage_until(stage, stage_is_open, stage);
	for (int i = 0; i < 5; i++)
		assert_ok(stage_append_and_wait(stage, 1, &one_record, NULL));
	fetch_as_follower(stage, 0);
	int64_t start = -1;
	assert_ok(ot_part_delete_records(stage->part, 3, &start));
}

static void
test_deletion_waits_for_followers(void **state)
{
	(void)state;
	/* Goal: a deletion is over once all live replicas have carried it out, when its time is
	 * up, and when its leader is deposed; a dead broker's replica does not hold it. */
	struct stage stage;
	open_part_of_two(&stage);
	struct wait at_once, first, late, held, deposed;
	begin_wait(&stage, 0, 1000, &at_once);
	assert_true(at_once.is_done);
	assert_int_equal(at_once.deletion.low_watermark, 0);
	begin_wait(&stage, 3, 60000, &first);
	begin_wait(&stage, 3, 0, &late);
	assert_true(late.is_done);
	assert_int_equal(late.deletion.err, OT_ERR_REQUEST_TIMED_OUT);
	begin_wait(&stage, 3, 10, &late);
	stage_until(&stage, is_wait_over, &late);
	assert_int_equal(late.deletion.err, OT_ERR_REQUEST_TIMED_OUT);
	assert_int_equal(late.deletion.low_watermark, 0);
	fetch_as_follower(&stage, 2);
	assert_false(first.is_done);
	fetch_as_follower(&stage, 3);
	assert_true(first.is_done);
	assert_ok(first.deletion.err);
	assert_int_equal(first.deletion.low_watermark, 3);

	begin_wait(&stage, 4, 60000, &held);
	begin_wait(&stage, 5, 60000, &deposed);
	int64_t start = -1;
	assert_ok(ot_part_delete_records(stage.part, 4, &start));
	assert_false(held.is_done);
	is_second_dead = true;
	ot_part_tick(stage.part, ot_io_wall(stage.shard->io), false);
	assert_true(held.is_done);
	assert_ok(held.deletion.err);
	assert_int_equal(held.deletion.low_watermark, 4);
	assert_false(deposed.is_done);
	stage_set_role(&stage, STAGE_NODE + 1, STAGE_EPOCH + 1, STAGE_EPOCH + 1, 2, 2);
	assert_true(deposed.is_done);
	assert_int_equal(deposed.deletion.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(deposed.deletion.low_watermark, -1);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_close_with_a_deletion(void **state)
{
	(void)state;
	/* Goal: a partition that is closed lets the deletions go that wait. */
	struct stage stage;
	open_part_of_two(&stage);
	struct wait wait;
	begin_wait(&stage, 3, 60000, &wait);
	stage_close_part(&stage);
	assert_true(wait.is_done);
	assert_int_equal(wait.deletion.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	stage_fini(&stage);
}

/* ---- what the topic demands of batches ----------------------------------------------------------
 */

static void
read_first_batch(struct stage *stage, int64_t offset, struct ot_batch_info *ret_info,
    uint8_t *ret_bytes, size_t bytes_max)
{
	struct stage_read read;
	stage_begin_read(stage, offset, &read);
	stage_until(stage, stage_is_read, &read);
	assert_ok(read.read.err);
	size_t bytes = 0;
	assert_true(read.read.bytes <= bytes_max);
	assert_ok(
	    ot_file_read(read.read.file, ret_bytes, read.read.bytes, read.read.place, &bytes));
	assert_ok(ot_batch_parse(ret_bytes, bytes, ret_info, NULL));
	ot_file_unref(read.read.file);
}

static void
test_log_append_time(void **state)
{
	(void)state;
	/* Goal: with LogAppendTime the batch carries the broker's time, and the answer names it. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.timestamp_type = OT_LOG_APPEND_TIME;
	stage_open_part(&stage);
	struct stage_append *append =
	    stage_append(&stage, 1, &(struct stage_batch){ .timestamp = 77 });
	stage_until(&stage, stage_is_answered, append);
	assert_ok(append->append.err);
	assert_true(append->append.append_time > 77);
	struct ot_batch_info info;
	uint8_t bytes[1024];
	read_first_batch(&stage, 0, &info, bytes, sizeof(bytes));
	assert_int_equal(info.max_timestamp, append->append.append_time);
	assert_int_equal(info.timestamp_type, OT_LOG_APPEND_TIME);
	stage_free_append(append);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_recompression(void **state)
{
	(void)state;
	/* Goal: compression.type other than the producer's recompresses; what is too large then is
	 * refused, and records that cannot be read are never written under a new header. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.is_codec_kept = false;
	stage.settings.compression = OT_COMPRESSION_NONE;
	stage.settings.message_bytes_max = 20000;
	stage_open_part(&stage);
	struct stage_batch batch = { .compression = OT_COMPRESSION_LZ4, .value_bytes = 4000 };
	assert_ok(stage_append_and_wait(&stage, 1, &batch, NULL));
	struct ot_batch_info info;
	uint8_t bytes[8192];
	read_first_batch(&stage, 0, &info, bytes, sizeof(bytes));
	assert_int_equal(info.compression, OT_COMPRESSION_NONE);
	assert_true(info.bytes > 4000);
	batch.record_count = 10;
	assert_int_equal(stage_append_and_wait(&stage, 1, &batch, NULL), OT_ERR_MESSAGE_TOO_LARGE);
	struct stage_append *append = OT_NEW(struct stage_append);
	batch = (struct stage_batch){ .compression = OT_COMPRESSION_LZ4, .record_count = 3 };
	stage_build(&stage, &batch, append);
	ot_put_u32(append->bytes.data + OT_BATCH_RECORD_COUNT_AT, 4);
	ot_put_u32(append->bytes.data + OT_BATCH_LAST_OFFSET_DELTA_AT, 3);
	ot_put_u32(append->bytes.data + OT_BATCH_CRC_AT,
	    ot_crc32c(0, append->bytes.data + OT_BATCH_ATTRIBUTES_AT,
		append->bytes.bytes - OT_BATCH_ATTRIBUTES_AT));
	append->append = (struct ot_append){
		.records = { append->bytes.data, (int32_t)append->bytes.bytes },
		.acks = 1,
		.done = stage_append_is_done,
	};
	ot_part_append(stage.part, &append->append);
	stage_until(&stage, stage_is_answered, append);
	assert_int_equal(append->append.err, OT_ERR_INVALID_RECORD);
	stage_free_append(append);
	assert_int_equal(log_end(&stage), 1);
	stage_close_part(&stage);
	stage_fini(&stage);
}

static void
test_record_rules(void **state)
{
	(void)state;
	/* Goal: timestamps beyond the topic's bounds, and records without a key in a compacted
	 * topic, are refused with the records named. */
	struct stage stage;
	stage_init(&stage, 1);
	stage.settings.timestamp_after_ms = 3600 * 1000;
	stage.settings.timestamp_before_ms = 7 * 24 * 3600 * 1000ll;
	stage_open_part(&stage);
	ot_wall_ms now = ot_io_wall(stage.shard->io);
	struct stage_batch batch = { .timestamp = now + 2 * 3600 * 1000 };
	assert_int_equal(stage_append_and_wait(&stage, 1, &batch, NULL), OT_ERR_INVALID_TIMESTAMP);
	batch.timestamp = now - 8 * 24 * 3600 * 1000ll;
	assert_int_equal(stage_append_and_wait(&stage, 1, &batch, NULL), OT_ERR_INVALID_TIMESTAMP);
	batch.timestamp = now;
	assert_ok(stage_append_and_wait(&stage, 1, &batch, NULL));
	stage.settings.is_compacted = true;
	ot_part_set_settings(stage.part, &stage.settings);
	struct stage_append *append =
	    stage_append(&stage, 1, &(struct stage_batch){ .has_no_key = true, .record_count = 3 });
	stage_until(&stage, stage_is_answered, append);
	assert_int_equal(append->append.err, OT_ERR_INVALID_RECORD);
	assert_int_equal(append->append.bad_record_count, 3);
	assert_int_equal(append->append.bad_records[2].index, 2);
	stage_free_append(append);
	assert_ok(stage_append_and_wait(&stage, 1, &batch, NULL));
	stage_close_part(&stage);
	stage_fini(&stage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_appends_are_answered),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_acks_all_in_vain),
		cmocka_unit_test(test_flush_messages_waits_for_the_disk),
		cmocka_unit_test(test_flush_messages_of_several),
		cmocka_unit_test(test_duplicate_waits_for_the_first),
		cmocka_unit_test(test_failed_sync_takes_offline),
		cmocka_unit_test(test_full_disk_during_a_checkpoint),
		cmocka_unit_test(test_flush_ms),
		cmocka_unit_test(test_full_disk_and_recovery),
		cmocka_unit_test(test_no_room_for_other_names),
		cmocka_unit_test(test_opening_meets_a_shortage),
		cmocka_unit_test(test_append_from_the_answer),
		cmocka_unit_test(test_changes_in_the_middle_of_a_turn),
		cmocka_unit_test(test_append_from_the_answer_in_a_change),
		cmocka_unit_test(test_watchers),
		cmocka_unit_test(test_close_with_waiters),
		cmocka_unit_test(test_close_while_opening),
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_divergence),
		cmocka_unit_test(test_consumer_ahead_of_a_follower),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_delete_records),
		cmocka_unit_test(test_deletion_waits_for_followers),
		cmocka_unit_test(test_close_with_a_deletion),
		cmocka_unit_test(test_log_append_time),
		cmocka_unit_test(test_recompression),
		cmocka_unit_test(test_record_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
