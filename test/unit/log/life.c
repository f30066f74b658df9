#include "life.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/jobs_int.h"
#include "log/scan_int.h"

static uint64_t
draw(struct life *life, uint64_t below)
{
	life->random ^= life->random << 13;
	life->random ^= life->random >> 7;
	life->random ^= life->random << 17;
	return (life->random >> 11) % below;
}

/* ---- checkpoints and stops ----------------------------------------------------------------- */

static ot_err
write_checkpoints(struct life *life, int64_t recovery_point)
{
	struct ot_checkpoint_row row = { .topic = OT_STR_LIT("topic"), .partition = 0 };
	row.offset = recovery_point;
	ot_err err = ot_checkpoint_write(life->kit.fs, life->kit.root, OT_CHECKPOINT_RECOVERY_POINT,
	    &row, 1);
	row.offset = ot_log_start_offset(life->kit.log);
	if (err == OT_OK)
		err = ot_checkpoint_write(life->kit.fs, life->kit.root, OT_CHECKPOINT_LOG_START,
		    &row, 1);
	return err;
}

static ot_err
take_row(void *arg, const struct ot_checkpoint_row *row)
{
	*(int64_t *)arg = row->offset;
	return OT_OK;
}

ot_err
life_open(struct life *life)
{
	struct kit *kit = &life->kit;
	struct ot_logdir_open_args args = {
		.fs = kit->fs,
		.path = kit->root,
		.node_id = 1,
		.new_cluster_id = "cluster",
		.directory_id = { { 1 } },
	};
	struct ot_logdir_stop stop;
	kit->recovery_point = kit->start_offset = 0;
	ot_err err = ot_logdir_open(&args, &life->logdir, NULL);
	if (err == OT_OK)
		err = ot_checkpoint_read(kit->fs, kit->root, OT_CHECKPOINT_RECOVERY_POINT, take_row,
		    &kit->recovery_point, NULL);
	if (err == OT_OK)
		err = ot_checkpoint_read(kit->fs, kit->root, OT_CHECKPOINT_LOG_START, take_row,
		    &kit->start_offset, NULL);
	if (err == OT_OK)
		err = ot_logdir_take_stop(life->logdir, &stop);
	return err == OT_OK ? kit_try_open(kit, stop.was_clean) : err;
}

void
life_drop(struct life *life)
{
	for (uint32_t i = 0; life->kit.log != NULL && i < life->kit.log->staged_count; i++)
		ot_blob_unref(life->kit.log->staged[i].blob);
	log_job_destroy(life->job);
	life->job = NULL;
	if (life->kit.log != NULL) {
		life->kit.log->staged_count = 0;
		life->kit.log->is_sync_running = life->kit.log->is_chore_running = false;
	}
	kit_drop(&life->kit);
	ot_logdir_close(life->logdir);
	life->logdir = NULL;
}

static void
note_sync(struct life *life)
{
	life->synced = OT_MAX(life->synced, ot_log_synced_offset(life->kit.log));
	life->synced_base = life->job_base;
	life->synced_place = life->job_place;
}

/* ---- the life ------------------------------------------------------------------------------ */

static void
add_batch(struct life *life, const struct life_batch *batch)
{
	assert_true(life->count < LIFE_BATCHES_MAX);
	life->batches[life->count++] = *batch;
}

static ot_err
stage_data(struct life *life)
{
	uint32_t place = (uint32_t)draw(life, LIFE_PRODUCERS);
	struct life_producer *producer = &life->producers[place];
	struct ot_log_staged staged;
	struct ot_log_producer known = { .last_sequence = -2 };
	struct kit_batch batch = {
		.record_count = 1 + (uint32_t)draw(life, 3),
		.value_bytes = 20 + (uint32_t)draw(life, draw(life, 4) == 0 ? 1500 : 200),
		.timestamp = KIT_TIME + (int64_t)(life->clock++),
		.leader_epoch = (int32_t)(life->clock / 20),
		.sequence = producer->next_sequence,
		.is_transactional = place > 1,
		.producer_id = place > 0 ? 100 + place : 0,
	};
	ot_err err = kit_stage(&life->kit, &batch, &staged);
	if (err == OT_ERR_NO_MEMORY)
		return err;
	ot_log_get_producer(life->kit.log, batch.producer_id, &known);
	if (err != OT_OK)
		fail_msg("%s: producer %u sends %d, and had %d at %lld", ot_err_name(err), place,
		    batch.sequence, known.last_sequence, (long long)known.last_offset);
	if (place > 0)
		producer->next_sequence += (int32_t)batch.record_count;
	producer->has_txn = batch.is_transactional;
	add_batch(life, &(struct life_batch){
			    .base = staged.base_offset,
			    .last = staged.last_offset,
			    .timestamp = batch.timestamp,
			    .producer_id = place > 0 ? batch.producer_id : -1,
			    .last_sequence = producer->next_sequence - 1,
			    .is_transactional = batch.is_transactional,
			});
	return OT_OK;
}

static ot_err
stage_marker(struct life *life)
{
	uint32_t place = 2 + (uint32_t)draw(life, LIFE_PRODUCERS - 2);
	bool is_commit = draw(life, 2) == 0;
	if (!life->producers[place].has_txn)
		return OT_OK;
	int64_t offset = ot_log_staged_end(life->kit.log);
	ot_err err = kit_stage_marker(&life->kit, 100 + place, 0, is_commit);
	if (err == OT_ERR_NO_MEMORY)
		return err;
	assert_ok(err);
	life->producers[place].has_txn = false;
	add_batch(life, &(struct life_batch){
			    .base = offset,
			    .last = offset,
			    .timestamp = KIT_TIME,
			    .producer_id = 100 + place,
			    .is_transactional = true,
			    .marker = is_commit ? LIFE_COMMIT : LIFE_ABORT,
			});
	return OT_OK;
}

static ot_err
turn(struct life *life)
{
	ot_err first = OT_OK;
	for (uint64_t i = 1 + draw(life, 4); i > 0; i--) {
		ot_err err = draw(life, 6) == 0 ? stage_marker(life) : stage_data(life);
		first = first == OT_OK ? err : first;
	}
	ot_err err = kit_write(&life->kit);
	ot_log_set_high_watermark(life->kit.log, ot_log_end_offset(life->kit.log));
	return first == OT_OK ? err : first;
}

static void
begin_sync(struct life *life, enum ot_log_sync_scope scope)
{
	if (life->job != NULL)
		return;
	life->job = ot_log_sync_begin(life->kit.log, scope);
	life->job_scope = scope;
	life->is_job_run = false;
	life->job_base = log_active(life->kit.log)->base_offset;
	life->job_place = log_active(life->kit.log)->bytes;
}

static ot_err
end_sync(struct life *life)
{
	struct ot_log_job *job = life->job;
	if (job == NULL)
		return OT_OK;
	if (!life->is_job_run)
		ot_log_job_run(job);
	life->job = NULL;
	ot_err err = ot_log_job_end(life->kit.log, job, life->kit.now);
	if (err == OT_OK)
		note_sync(life);
	if (err == OT_OK && life->job_scope == OT_LOG_SYNC_CHECKPOINT)
		err = write_checkpoints(life, ot_log_recovery_point(life->kit.log));
	return err;
}

/* Lets the worker, or the owner after it, come to the sync that is under way. */
static ot_err
move_sync(struct life *life)
{
	if (life->job == NULL || draw(life, 3) > 0)
		return OT_OK;
	if (life->is_job_run)
		return end_sync(life);
	ot_log_job_run(life->job);
	life->is_job_run = true;
	return OT_OK;
}

static ot_err
sync_all(struct life *life, enum ot_log_sync_scope scope)
{
	ot_err err = end_sync(life);
	if (err == OT_OK)
		begin_sync(life, scope);
	return err == OT_OK ? end_sync(life) : err;
}

static ot_err
retain(struct life *life)
{
	struct ot_log *log = life->kit.log;
	int64_t start = ot_log_start_offset(log);
	int64_t end = ot_log_end_offset(log);
	uint32_t gone = 0;
	if (end - start < 40)
		return OT_OK;
	int64_t to = start + (int64_t)draw(life, (uint64_t)(end - start) / 2);
	life->deleted = OT_MAX(life->deleted, to);
	assert_ok(ot_log_advance_start(log, to));
	ot_err err = write_checkpoints(life, ot_log_recovery_point(log));
	if (err == OT_OK)
		err = ot_log_retain(log, end, life->kit.now, &gone);
	return err == OT_OK ? kit_chores(&life->kit) : err;
}

/* Producers as the model's batches say. */
static void
relearn_producers(struct life *life)
{
	memset(life->producers, 0, sizeof(life->producers));
	for (uint32_t i = 0; i < life->count; i++) {
		const struct life_batch *batch = &life->batches[i];
		if (batch->producer_id < 0)
			continue;
		struct life_producer *producer = &life->producers[batch->producer_id - 100];
		if (batch->marker == LIFE_NO_MARKER)
			producer->next_sequence = batch->last_sequence + 1;
		producer->has_txn = batch->marker == LIFE_NO_MARKER && batch->is_transactional;
	}
}

/* A producer that retention made the log forget begins anew in the model too. */
static void
forget_unknown(struct life *life)
{
	for (uint32_t i = 1; i < LIFE_PRODUCERS; i++) {
		struct ot_log_producer producer;
		if (ot_log_get_producer(life->kit.log, 100 + i, &producer)) {
			life->producers[i].next_sequence = producer.last_sequence + 1;
			life->producers[i].has_txn = producer.txn_first_offset >= 0;
		} else {
			life->producers[i] = (struct life_producer){ 0 };
		}
	}
}

static ot_err
truncate_log(struct life *life)
{
	struct ot_log *log = life->kit.log;
	int64_t start = ot_log_start_offset(log), end = ot_log_end_offset(log);
	if (end - start < 10)
		return OT_OK;
	int64_t to = end - (int64_t)draw(life, OT_MIN((uint64_t)(end - start), 30u));
	if (to <= life->deleted)
		return OT_OK;
	ot_err sync_err = end_sync(life);
	if (sync_err != OT_OK)
		return sync_err;
	if (life->is_traced)
		print_message("  truncate to %lld, active %lld\n", (long long)to,
		    (long long)log_active(log)->base_offset);
	/* From here on less need come back; all of it still may. */
	life->synced = OT_MIN(life->synced, to);
	while (life->synced > 0 && life->synced > life->deleted) {
		/* The cut goes to the begin of a batch. */
		bool is_begin = false;
		for (uint32_t i = 0; i < life->count; i++)
			is_begin = is_begin || life->batches[i].base == life->synced;
		if (is_begin)
			break;
		life->synced--;
	}
	life->synced_base = -1;
	ot_log_truncate_prepare(log, to);
	ot_err err = write_checkpoints(life, ot_log_recovery_point(log));
	if (err == OT_OK)
		err = ot_log_truncate_to(log, to, life->kit.now);
	if (err != OT_OK)
		return err;
	ot_log_check(log);
	int64_t cut = to;
	while (life->count > 0 && life->batches[life->count - 1].last >= to) {
		life->count--;
		cut = OT_MIN(to, life->batches[life->count].base);
	}
	if (ot_log_end_offset(log) != cut) {
		for (uint32_t i = 0; i < life->count + 2; i++)
			print_message("    %lld to %lld\n", (long long)life->batches[i].base,
			    (long long)life->batches[i].last);
		fail_msg("truncated to %lld instead of %lld", (long long)ot_log_end_offset(log),
		    (long long)cut);
	}
	relearn_producers(life);
	if (life->deleted > 0)
		forget_unknown(life);
	return OT_OK;
}

static ot_err
restart_clean(struct life *life)
{
	struct kit *kit = &life->kit;
	struct ot_log *log = kit->log;
	int64_t end = ot_log_end_offset(log);
	struct ot_checkpoint_row row = { .topic = OT_STR_LIT("topic"), .offset = end };
	ot_err err = end_sync(life);
	if (err != OT_OK)
		return err;
	kit->log = NULL;
	err = ot_log_close(log, OT_LOG_CLOSE_CLEAN);
	if (err == OT_OK) {
		life->synced = OT_MAX(life->synced, end);
		life->synced_base = -1;
		err =
		    ot_checkpoint_write(kit->fs, kit->root, OT_CHECKPOINT_RECOVERY_POINT, &row, 1);
	}
	if (err == OT_OK)
		err = ot_logdir_put_stop(life->logdir, 7);
	ot_logdir_close(life->logdir);
	life->logdir = NULL;
	if (err == OT_OK)
		err = life_open(life);
	if (err == OT_OK) {
		assert_int_equal(ot_log_end_offset(kit->log), end);
		assert_int_equal(kit->result.bytes_scanned, 0);
	}
	return err;
}

/* Reads as a consumer that begins anywhere, in order. */
static ot_err
read_some(struct life *life)
{
	struct ot_log *log = life->kit.log;
	int64_t start = ot_log_start_offset(log), end = ot_log_end_offset(log);
	if (start == end || ot_log_failure(log) != OT_OK || life->has_faults)
		return OT_OK;
	int64_t from = start + (int64_t)draw(life, (uint64_t)(end - start));
	kit_check_read(&life->kit, from, 1 + draw(life, 5000));
	return OT_OK;
}

ot_err
life_step(struct life *life)
{
	uint64_t dice = draw(life, 100);
	if (life->is_traced)
		print_message("  dice %d, change %d, end %d, segments %d\n", (int)dice,
		    (int)ot_sim_disk_change_count(life->disk),
		    (int)ot_log_end_offset(life->kit.log), (int)life->kit.log->segment_count);
	ot_err err = move_sync(life);
	if (err == OT_OK && ot_sim_disk_is_stopped(life->disk))
		err = OT_ERR_CLOSED;
	if (err != OT_OK)
		return err;
	if (dice < 56)
		return turn(life);
	if (dice < 60)
		return read_some(life);
	if (dice < 64)
		return sync_all(life, OT_LOG_SYNC_DATA);
	if (dice < 72)
		return sync_all(life, OT_LOG_SYNC_CHECKPOINT);
	if (dice < 80) {
		begin_sync(life, dice < 75 ? OT_LOG_SYNC_DATA : OT_LOG_SYNC_CHECKPOINT);
		return OT_OK;
	}
	if (dice < 84)
		return ot_log_roll(life->kit.log, life->kit.now, false);
	if (dice < 88)
		return retain(life);
	if (dice < 91)
		return truncate_log(life);
	if (dice < 94)
		return restart_clean(life);
	if (dice < 96)
		ot_log_idle(life->kit.log);
	life->kit.now += 600;
	return kit_chores(&life->kit);
}

void
life_go_on(struct life *life, int steps)
{
	ot_err err = OT_OK;
	for (int i = 0; i < steps && err == OT_OK && !ot_sim_disk_is_stopped(life->disk); i++)
		err = life_step(life);
	assert_true(err == OT_OK || ot_sim_disk_is_stopped(life->disk));
}

/* ---- what came back ------------------------------------------------------------------------ */

struct reading {
	struct life *life;
	uint32_t next; /* in the model */
	int64_t end;
};

static void
check_segment(struct reading *reading, const struct log_segment *segment, int64_t start)
{
	static uint8_t window[LOG_SCAN_WINDOW_LARGE];
	struct life *life = reading->life;
	char path[LOG_PATH_BYTES];
	struct ot_file *file = NULL;
	struct log_scan scan;
	struct log_scan_batch batch;
	log_path(path, life->kit.dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	assert_ok(ot_fs_open(life->kit.fs, path, OT_OPEN_READ, &file));
	log_scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
	scan.is_checking = true;
	for (;;) {
		assert_ok(log_scan_next(&scan, &batch, NULL));
		if (batch.bytes == 0)
			break;
		if (batch.last_offset < start)
			continue;
		while (reading->end < 0 && life->batches[reading->next].base < batch.base_offset)
			reading->next++;
		assert_true(reading->next < life->count);
		const struct life_batch *expected = &life->batches[reading->next++];
		if (batch.base_offset != expected->base || batch.last_offset != expected->last)
			fail_msg("segment %lld at %llu has %lld to %lld at %lld instead of %lld to "
				 "%lld at %lld",
			    (long long)segment->base_offset, (unsigned long long)batch.place,
			    (long long)batch.base_offset, (long long)batch.last_offset,
			    (long long)(batch.max_timestamp - KIT_TIME), (long long)expected->base,
			    (long long)expected->last, (long long)(expected->timestamp - KIT_TIME));
		if (expected->marker == LIFE_NO_MARKER)
			assert_int_equal(batch.max_timestamp, expected->timestamp);
		reading->end = batch.last_offset + 1;
	}
	ot_file_unref(file);
}

static void
check_aborted(void *arg, const struct ot_log_aborted *aborted)
{
	struct reading *reading = arg;
	const struct life *life = reading->life;
	/* The next abort in the model, at reading->next or later. */
	while (reading->next < life->count) {
		const struct life_batch *batch = &life->batches[reading->next++];
		if (batch->marker != LIFE_ABORT || batch->last < aborted->last_offset)
			continue;
		assert_int_equal(batch->last, aborted->last_offset);
		assert_int_equal(batch->producer_id, aborted->producer_id);
		return;
	}
	fail_msg("an aborted transaction that never was: %lld", (long long)aborted->last_offset);
}

/* Each abort of the model that ends a transaction with a record behind `start` is in the index. */
static void
check_no_abort_is_lost(struct life *life, int64_t start, uint32_t found)
{
	uint32_t expected = 0;
	for (uint32_t i = 0; i < life->count; i++)
		expected +=
		    life->batches[i].marker == LIFE_ABORT && life->batches[i].last >= start ? 1 : 0;
	/* A transaction that began before the start offset may have been forgotten with it. */
	assert_true(found <= expected);
	if (start == 0)
		assert_int_equal(found, expected);
}

static void
count_aborted(void *arg, const struct ot_log_aborted *aborted)
{
	(void)aborted;
	++*(uint32_t *)arg;
}

void
life_check(struct life *life)
{
	struct ot_log *log = life->kit.log;
	int64_t start = ot_log_start_offset(log), end = ot_log_end_offset(log);
	struct reading reading = { .life = life, .end = -1 };
	/* Where all that was synced is deleted too, what is left may begin anywhere. */
	bool is_free = life->deleted >= life->synced;
	if (!is_free && (end < life->synced || start > life->deleted))
		fail_msg("the log is %lld to %lld, with all synced to %lld and deleted to %lld: %s",
		    (long long)start, (long long)end, (long long)life->synced,
		    (long long)life->deleted, life->kit.result.why.text);
	for (uint32_t i = 0; i < log->segment_count; i++)
		check_segment(&reading, log->segments[i], start);
	if (reading.end >= 0) {
		assert_int_equal(reading.end, end);
		life->count = reading.next;
	} else {
		while (life->count > 0 && life->batches[life->count - 1].last >= end)
			life->count--;
	}
	life->deleted = OT_MAX(life->deleted, start);
	relearn_producers(life);
	kit_check_indexes(&life->kit);
	for (uint32_t i = 1; i < LIFE_PRODUCERS && start == 0; i++) {
		struct ot_log_producer producer;
		if (!ot_log_get_producer(log, 100 + i, &producer)) {
			assert_int_equal(life->producers[i].next_sequence, 0);
			continue;
		}
		/* The marker that ends the last transaction keeps the sequence. */
		assert_int_equal(producer.last_sequence, life->producers[i].next_sequence - 1);
		assert_int_equal(producer.txn_first_offset >= 0, life->producers[i].has_txn);
	}
	uint32_t aborts = 0;
	reading = (struct reading){ .life = life };
	assert_ok(ot_log_visit_aborted_in(log, start, end, check_aborted, &reading));
	assert_ok(ot_log_visit_aborted_in(log, start, end, count_aborted, &aborts));
	check_no_abort_is_lost(life, start, aborts);
}

/* Inverts a bit of the last segment, behind what was synced. */
static void
flip(struct life *life)
{
	char path[LOG_PATH_BYTES];
	struct ot_fs_stat stat;
	if (life->synced_base < 0)
		return;
	log_path(path, life->kit.dir, life->synced_base, LOG_FILE_LOG, LOG_STATE_LIVE);
	if (ot_fs_stat(life->kit.fs, path, &stat) != OT_OK || stat.bytes <= life->synced_place)
		return;
	uint64_t place = life->synced_place + draw(life, stat.bytes - life->synced_place);
	ot_err ignored = ot_sim_disk_flip(life->disk, path, place, (unsigned)draw(life, 8));
	(void)ignored;
}

/* ---- life and death ------------------------------------------------------------------------ */

struct life *
life_begin(uint64_t seed)
{
	struct life *life = calloc(1, sizeof(*life));
	life->random = seed * 0x9e3779b97f4a7c15ull + 1;
	life->synced_base = -1;
	life->is_traced = getenv("OTTLA_TRACE") != NULL;
	life->disk = ot_sim_disk_create(seed);
	kit_init(&life->kit, ot_sim_disk_fs(life->disk));
	life->kit.settings.segment_bytes = 6000;
	life->kit.settings.index_interval_bytes = 300;
	life->kit.settings.producer_id_expiration_ms = INT64_MAX / 2;
	return life;
}

void
life_end(struct life *life)
{
	life_drop(life);
	assert_int_equal(ot_sim_disk_open_count(life->disk), 0);
	ot_sim_disk_destroy(life->disk);
	free(life);
}

void
life_come_back(struct life *life, enum ot_sim_stop how, bool has_flip)
{
	life_drop(life);
	ot_sim_disk_restart(life->disk, how);
	if (has_flip)
		flip(life);
	ot_err err = life_open(life);
	if (err != OT_OK)
		fail_msg("reopening: %s: %s", ot_err_name(err), life->kit.result.why.text);
	life_check(life);
	forget_unknown(life);
	life->synced_base = -1;
}

void
life_forget_unwritten(struct life *life)
{
	int64_t end = ot_log_end_offset(life->kit.log);
	while (life->count > 0 && life->batches[life->count - 1].last >= end)
		life->count--;
	relearn_producers(life);
	forget_unknown(life);
}
