/* Engine `local`: the metadata log of a cluster of one process, in Kafka's own files.
 *
 *   <metadata log dir>/__cluster_metadata-0/
 *     00000000000000000000.log ...     batches of metadata records in their frames, as KRaft writes
 *                                      them: no key, uncompressed, the leader epoch in the header
 *     OOOOOOOOOOOOOOOOOOOO-EEEEEEEEEE.checkpoint   snapshots (checkpoint_int.h)
 *     recovery-point-offset-checkpoint the offset up to which the log is known to be synced
 *     partition.metadata               the topic id that Kafka has for this log,
 * AAAAAAAAAAAAAAAAAAAAAQ
 *
 * Each start begins a new epoch with a control batch LEADER_CHANGE.
 *
 *   append:   ot_log_stage() at once: it gives the offset
 *   pump:     when no job runs: write what is staged, begin a sync         in the loop's next turn
 *   synced:   tell the batches, end their appends, pump again
 *
 * So appends that come while a sync runs share the next one, and what is told is what is synced.
 *
 * Why a crash is safe at each step. Nothing is told or acknowledged before its bytes are synced,
 * and each batch has a CRC; whatever follows the last sync is whole or it is cut by the recovery,
 * which begins at the log's start: it reads all that a start has to read anyway. A batch that was
 * whole but never acknowledged may come back; metalog.h allows that. A snapshot is durable under
 * its name before anything that it replaces goes: until then the log from its old start is there.
 * Once it is, the log may begin anywhere up to the snapshot's offset; a log that ends before it (it
 * was lost or damaged) holds nothing that the snapshot has not, and begins anew there.
 */
#include "cluster/metalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/checkpoint_int.h"
#include "log/log.h"
#include "log/logdir.h"
#include "record/control.h"

enum {
	DIR_BYTES = 900,
	READ_BYTES = 1024 * 1024,
	RETRY_MS = 1000,
	MARK_MS = 30000,
};

static const struct ot_uuid topic_id = { { [15] = 1 } };

/* What the one job that may touch the log does. */
enum work {
	WORK_NONE,
	WORK_OPEN, /* finds the snapshot, opens the log */
	WORK_READ, /* the next piece of the log */
	WORK_SYNC, /* also for chores */
	WORK_MARK, /* writes the recovery point */
	WORK_CLOSE,
	WORK_REST, /* nothing: the close goes on when it is done, from outside the call that began
	              it */
};

struct local {
	struct ot_metalog base;
	struct ot_io *io;                       /* [const] */
	char dir[DIR_BYTES];                    /* [const] */
	int32_t node_id;                        /* [const] */
	struct ot_log_settings settings;        /* [const] */
	const struct ot_metalog_events *events; /* [const] after the start */
	void *arg;

	struct ot_log *log; /* the job's while WORK_OPEN, READ and CLOSE run; else [owner] */
	enum work work;
	struct ot_job job;
	ot_err job_err;
	struct ot_why job_why;
	struct ot_log_job *log_job;

	/* Of the start. */
	struct checkpoint checkpoint;
	struct ot_log_open_result open_result;
	uint8_t *piece;
	size_t piece_bytes;
	int64_t read_offset; /* all before it was told */
	uint64_t random;
	ot_wall_ms now;

	/* Leading. */
	int32_t epoch;
	int64_t leader_end; /* what must be synced before appends begin; -1: nothing waits for it */
	bool is_leading;
	ot_err refusal;         /* why appends fail until the next epoch; OT_OK: they do not */
	struct ot_list staged;  /* of ot_metalog_append: not written yet */
	struct ot_list written; /* written, not synced */
	struct ot_list refused; /* to be failed in the next turn, after those that succeed */
	struct ot_timer turn;
	struct ot_timer retry; /* of beginning an epoch */

	/* Snapshots. */
	int64_t snapshot_offset;
	uint64_t bytes;          /* of batches behind it */
	uint64_t snapshot_bytes; /* those of them that the one under way stands for */
	struct ot_metalog_snapshot *snapshot;
	struct ot_job snapshot_job;
	ot_err snapshot_err;
	bool is_snapshot_running;

	/* The recovery point. */
	int64_t mark;        /* in the file */
	int64_t mark_wanted; /* what the job writes */
	bool is_mark_due;
	struct ot_timer mark_timer;

	bool is_failed;
	bool is_started;
	void (*on_closed)(void *arg); /* set: it is to be closed */
	void *closed_arg;
};

static void pump(struct local *self);

static struct local *
local_of(struct ot_metalog *log)
{
	return OT_CONTAINER_OF(log, struct local, base);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
submit(struct local *self, enum work work)
{
	OT_ASSERT(self->work == WORK_NONE);
	self->work = work;
	self->job_err = OT_OK;
	self->job_why.text[0] = '\0';
	self->now = ot_io_wall(self->io);
	ot_io_submit(self->io, &self->job);
}

static const struct ot_str topic_name = { "__cluster_metadata", 18 };

static ot_err
take_mark(void *arg, const struct ot_checkpoint_row *row)
{
	int64_t *mark = arg;

	if (ot_str_equal(row->topic, topic_name) && row->partition == 0)
		*mark = OT_MAX(*mark, row->offset);
	return OT_OK;
}

static ot_err
write_mark(struct local *self, int64_t offset)
{
	struct ot_checkpoint_row row = { .topic = topic_name, .offset = offset };

	return ot_checkpoint_write(self->io->fs, self->dir, OT_CHECKPOINT_RECOVERY_POINT, &row, 1);
}

/* In a worker: what the log must have, and has. */
static ot_err
check_ends(struct local *self, int64_t start_offset)
{
	int64_t start = ot_log_start_offset(self->log), end = ot_log_end_offset(self->log);

	if (start > start_offset)
		ot_why_set(&self->job_why,
		    "%s begins at offset %" PRId64
		    ", but there is no snapshot up to there: metadata is missing",
		    self->dir, start);
	else if (end < self->mark)
		ot_why_set(&self->job_why,
		    "%s ends at offset %" PRId64 ", but it was written up to offset %" PRId64
		    ": metadata is missing",
		    self->dir, end, self->mark);
	else
		return OT_OK;
	return OT_ERR_CORRUPT_FILE;
}

/* In a worker: the snapshot, then the log from there on. */
static ot_err
work_open(struct local *self)
{
	struct ot_log_open_args args = {
		.fs = self->io->fs,
		.dir = self->dir,
		.settings = self->settings,
		.now = self->now,
		.random = self->random,
	};
	struct ot_uuid id;
	ot_err err =
	    checkpoint_read_newest(self->io->fs, self->dir, &self->checkpoint, &self->job_why);

	if (err != OT_OK)
		return err;
	if (self->checkpoint.bytes != NULL)
		args.start_offset = self->checkpoint.id.end_offset;
	err = ot_checkpoint_read(self->io->fs, self->dir, OT_CHECKPOINT_RECOVERY_POINT, take_mark,
	    &self->mark, &self->job_why);
	if (err != OT_OK && err != OT_ERR_NOT_FOUND)
		return err;
	args.recovery_point = OT_MAX(args.start_offset, self->mark);
	err = ot_log_open(&args, &self->log, &self->open_result);
	if (err != OT_OK) {
		self->job_why = self->open_result.why;
		return err;
	}
	err = check_ends(self, args.start_offset);
	if (err != OT_OK)
		return err;
	if (ot_partition_metadata_read(self->io->fs, self->dir, &id) == OT_OK)
		return OT_OK;
	return ot_partition_metadata_write(self->io->fs, self->dir, &topic_id);
}

/* In a worker: one piece of the log, whole batches. */
static ot_err
work_read(struct local *self)
{
	struct ot_log_read_args args = {
		.offset = self->read_offset,
		.bound_offset = ot_log_end_offset(self->log),
		.bytes_max = READ_BYTES,
		.is_one_at_least = true,
		.may_block = true,
	};
	struct ot_log_read read;
	ot_err err = ot_log_plan_read(self->log, &args, &read);

	self->piece = NULL;
	self->piece_bytes = 0;
	if (err != OT_OK || read.file == NULL)
		return err;
	self->piece = ot_alloc_raw(read.bytes);
	if (self->piece == NULL)
		err = OT_ERR_NO_MEMORY;
	else
		err = ot_file_read(read.file, self->piece, read.bytes, read.place,
		    &self->piece_bytes);
	ot_file_unref(read.file);
	return err;
}

/* In a worker. */
static ot_err
work_close(struct local *self)
{
	bool is_whole = !self->is_failed && self->is_started;
	int64_t end = ot_log_end_offset(self->log);
	ot_err err = ot_log_close(self->log, is_whole ? OT_LOG_CLOSE_CLEAN : OT_LOG_CLOSE_DROP);

	return err == OT_OK && is_whole ? write_mark(self, end) : err;
}

static void
on_work(struct ot_job *job)
{
	struct local *self = OT_CONTAINER_OF(job, struct local, job);

	switch (self->work) {
	case WORK_OPEN:
		self->job_err = work_open(self);
		break;
	case WORK_READ:
		self->job_err = work_read(self);
		break;
	case WORK_SYNC:
		ot_log_job_run(self->log_job);
		break;
	case WORK_MARK:
		self->job_err = write_mark(self, self->mark_wanted);
		break;
	case WORK_CLOSE:
		self->job_err = work_close(self);
		break;
	case WORK_REST:
		break;
	case WORK_NONE:
		OT_PANIC("a job without work");
	}
}

/* ---- failing -------------------------------------------------------------------------------- */

/* Moves all of a list to the refused, in order. */
static void
refuse_all(struct local *self, struct ot_list *appends)
{
	while (!ot_list_is_empty(appends)) {
		struct ot_list *link = appends->next;

		ot_list_remove(link);
		ot_list_push_back(&self->refused, link);
	}
}

static void
end_refused(struct local *self, ot_err err)
{
	while (!ot_list_is_empty(&self->refused)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(&self->refused, struct ot_metalog_append, link);

		ot_list_remove(&append->link);
		append->on_done(append, err);
	}
}

static void
fail(struct local *self, ot_err err, const char *why)
{
	if (self->is_failed)
		return;
	self->is_failed = true;
	self->is_leading = false;
	self->refusal = err;
	refuse_all(self, &self->written);
	refuse_all(self, &self->staged);
	end_refused(self, err);
	/* An offline log drops what is staged; closing it wants that. */
	if (self->log != NULL)
		(void)!ot_log_write_staged(self->log, ot_io_wall(self->io));
	self->events->on_failure(self->arg, err, why);
}

/* ---- the start: telling what is there -------------------------------------------------------- */

/* Tells the batches in some bytes; offsets below `from` were told before. */
static ot_err
tell(struct local *self, const uint8_t *bytes, size_t byte_count, bool is_snapshot,
    struct ot_why *why)
{
	struct ot_metalog_batch batch;
	struct ot_arena arena;
	size_t place = 0, taken;
	ot_err err = OT_OK;

	ot_arena_init(&arena, 0);
	while (err == OT_OK && place < byte_count && !self->is_failed) {
		ot_arena_reset(&arena);
		err = checkpoint_parse_batch(bytes + place, byte_count - place, &arena, &batch,
		    &taken, why);
		if (err != OT_OK)
			break;
		place += taken;
		batch.is_snapshot = is_snapshot;
		if (is_snapshot) {
			self->events->on_batch(self->arg, &batch);
			continue;
		}
		if (batch.next_offset <= self->read_offset)
			continue;
		if (batch.base_offset != self->read_offset) {
			ot_why_set(why,
			    "the metadata log has a gap: offset %" PRId64 " follows where %" PRId64
			    " was expected",
			    batch.base_offset, self->read_offset);
			err = OT_ERR_CORRUPT_FILE;
			break;
		}
		self->read_offset = batch.next_offset;
		self->bytes += taken;
		self->epoch = OT_MAX(self->epoch, batch.epoch);
		self->events->on_batch(self->arg, &batch);
	}
	ot_arena_fini(&arena);
	return err;
}

static void
tell_snapshot(struct local *self)
{
	struct ot_why why = { { 0 } };
	ot_err err;

	if (self->checkpoint.bytes == NULL)
		return;
	self->epoch = self->checkpoint.id.epoch;
	self->snapshot_offset = self->read_offset = self->checkpoint.id.end_offset;
	self->events->on_snapshot_begin(self->arg, self->checkpoint.id, self->checkpoint.timestamp);
	err = tell(self, self->checkpoint.bytes, self->checkpoint.byte_count, true, &why);
	OT_ASSERT(err == OT_OK || err == OT_ERR_NO_MEMORY); /* it was checked when it was read */
	checkpoint_fini(&self->checkpoint);
	if (err != OT_OK)
		fail(self, err, "there is no memory for the snapshot");
	else
		self->events->on_snapshot_end(self->arg);
}

static void lead(struct local *self);

static void
after_open(struct local *self)
{
	if (self->job_err != OT_OK) {
		fail(self, self->job_err, self->job_why.text);
		return;
	}
	if (self->open_result.bytes_truncated > 0)
		OT_WARN("cluster",
		    "%" PRIu64 " bytes were cut off the end of the metadata log, which were "
		    "never acknowledged if the disk kept what was synced: %s",
		    self->open_result.bytes_truncated, self->open_result.why.text);
	tell_snapshot(self);
}

static void
after_read(struct local *self)
{
	struct ot_why why = { { 0 } };
	ot_err err = self->job_err;

	if (err != OT_OK)
		ot_why_set(&why, "reading the metadata log: %s", ot_err_message(err));
	else if (self->piece_bytes > 0)
		err = tell(self, self->piece, self->piece_bytes, false, &why);
	ot_free(self->piece);
	self->piece = NULL;
	if (err != OT_OK)
		fail(self, err, why.text);
}

/* The next step of the start; false when it is over. */
static bool
start_step(struct local *self)
{
	if (self->log == NULL || self->is_started)
		return false;
	if (self->read_offset < ot_log_end_offset(self->log)) {
		submit(self, WORK_READ);
		return true;
	}
	self->is_started = true;
	lead(self);
	return false;
}

/* ---- staging -------------------------------------------------------------------------------- */

/* Stages one batch, whose bytes are copied. */
static ot_err
stage(struct local *self, const struct ot_writer *bytes, int64_t *ret_base_offset)
{
	struct ot_blob *blob = ot_blob_create(bytes->bytes);
	struct ot_log_staged staged;
	struct ot_batch_info info;
	struct ot_why why = { { 0 } };
	struct ot_log_batch batch = { .blob = blob,
		.info = &info,
		.origin = OT_ORIGIN_COORDINATOR,
		.leader_epoch = self->epoch };
	ot_err err;

	if (blob == NULL)
		return OT_ERR_NO_MEMORY;
	memcpy(blob->data, bytes->data, bytes->bytes);
	batch.bytes = blob->data;
	err = ot_batch_parse(blob->data, blob->bytes, &info, &why);
	OT_ASSERT(err == OT_OK); /* we built it */
	err = ot_log_stage(self->log, &batch, &staged, &why);
	ot_blob_unref(blob);
	if (err != OT_OK)
		return err;
	self->bytes += bytes->bytes;
	*ret_base_offset = staged.base_offset;
	return OT_OK;
}

static void
turn_soon(struct local *self)
{
	if (!ot_timer_is_armed(&self->turn))
		ot_timer_arm(self->io, &self->turn, ot_io_now(self->io));
}

static ot_err
stage_leader_change(struct local *self)
{
	struct ot_control_place place = { .leader_epoch = self->epoch,
		.timestamp = ot_io_wall(self->io) };
	struct ot_kraft_voter voter = { .id = self->node_id };
	struct ot_leader_change change = {
		.leader_id = self->node_id,
		.voters = &voter,
		.voter_count = 1,
		.granting_voters = &voter,
		.granting_voter_count = 1,
	};
	struct ot_writer bytes;
	int64_t offset = 0;
	ot_err err;

	ot_writer_init(&bytes);
	err = ot_build_leader_change(&place, &change, &bytes);
	if (err == OT_OK)
		err = stage(self, &bytes, &offset);
	ot_writer_fini(&bytes);
	if (err == OT_OK)
		self->leader_end = offset + 1;
	return err;
}

/* Begins an epoch. Where its first batch cannot be written, it is tried again later. */
static void
lead(struct local *self)
{
	ot_err err;

	OT_ASSERT(ot_list_is_empty(&self->staged) && ot_list_is_empty(&self->written));
	self->epoch++;
	self->is_leading = false;
	self->refusal = OT_OK;
	ot_log_assign_epoch(self->log, self->epoch);
	err = stage_leader_change(self);
	if (err != OT_OK)
		self->refusal = err;
	turn_soon(self);
}

static void
local_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	struct local *self = local_of(log);
	struct ot_writer bytes;
	ot_err err = self->refusal;

	if (err == OT_OK && (!self->is_leading || append->epoch != self->epoch))
		err = OT_ERR_NOT_CONTROLLER;
	/* Where it fails it was to begin here, too. */
	append->base_offset = self->log == NULL ? -1 : ot_log_staged_end(self->log);
	ot_writer_init(&bytes);
	if (err == OT_OK)
		err = checkpoint_build_batch(&append->records, 0, self->epoch, ot_io_wall(self->io),
		    &bytes);
	if (err == OT_OK)
		err = stage(self, &bytes, &append->base_offset);
	ot_writer_fini(&bytes);
	if (err != OT_OK)
		self->refusal = err;
	ot_list_push_back(err == OT_OK ? &self->staged : &self->refused, &append->link);
	turn_soon(self);
}

/* ---- writing and syncing -------------------------------------------------------------------- */

static int64_t
end_of(const struct ot_metalog_append *append)
{
	return append->base_offset + append->records.count;
}

/* Writes what is staged. What did not go down was never there: it is refused. */
static void
write_staged(struct local *self)
{
	ot_err err = ot_log_write_staged(self->log, ot_io_wall(self->io));
	int64_t end = ot_log_end_offset(self->log);

	while (!ot_list_is_empty(&self->staged)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(&self->staged, struct ot_metalog_append, link);

		if (end_of(append) > end)
			break;
		ot_list_remove(&append->link);
		ot_list_push_back(&self->written, &append->link);
	}
	if (err == OT_OK)
		return;
	if (ot_log_failure(self->log) != OT_OK) {
		fail(self, err, "writing the metadata log failed");
		return;
	}
	OT_WARN("cluster", "the metadata log could not be written: %s", ot_err_message(err));
	self->refusal = err;
	refuse_all(self, &self->staged);
	if (self->leader_end > end)
		self->leader_end = -1;
}

static void
tell_append(struct local *self, struct ot_metalog_append *append)
{
	const struct ot_metadata_records *records = &append->records;
	struct ot_bytes *views = ot_must_alloc((size_t)records->count * sizeof(*views));
	struct ot_metalog_batch batch = {
		.base_offset = append->base_offset,
		.epoch = append->epoch,
		.timestamp = ot_io_wall(self->io),
		.records = views,
		.record_count = records->count,
		.next_offset = end_of(append),
	};

	for (int32_t i = 0; i < records->count; i++)
		views[i] = ot_metadata_records_at(records, i);
	self->events->on_batch(self->arg, &batch);
	ot_free(views);
	append->on_done(append, OT_OK);
}

static void
tell_leader(struct local *self)
{
	struct ot_metalog_batch batch = { .base_offset = self->leader_end - 1,
		.epoch = self->epoch,
		.timestamp = ot_io_wall(self->io),
		.next_offset = self->leader_end };

	self->leader_end = -1;
	self->is_leading = true;
	self->events->on_batch(self->arg, &batch);
	self->events->on_leader(self->arg, self->node_id, self->epoch, NULL);
}

/* Tells what is synced, in order. The batch that begins an epoch has no appends of it before it. */
static void
tell_synced(struct local *self)
{
	int64_t synced = ot_log_synced_offset(self->log);

	if (self->leader_end >= 0 && self->leader_end <= synced)
		tell_leader(self);
	while (!ot_list_is_empty(&self->written)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(&self->written, struct ot_metalog_append, link);

		if (end_of(append) > synced)
			return;
		ot_list_remove(&append->link);
		tell_append(self, append);
	}
}

static void
after_sync(struct local *self)
{
	ot_err err = ot_log_job_end(self->log, self->log_job, ot_io_wall(self->io));

	self->log_job = NULL;
	if (ot_log_failure(self->log) != OT_OK)
		fail(self, err, "syncing the metadata log failed");
	else
		tell_synced(self);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void
on_snapshot_work(struct ot_job *job)
{
	struct local *self = OT_CONTAINER_OF(job, struct local, snapshot_job);

	self->snapshot_err = checkpoint_write(self->io->fs, self->dir, self->snapshot);
}

/* Drops the log before the snapshot: a segment of its own begins, and chores delete the others. */
static void
drop_before(struct local *self, int64_t offset)
{
	ot_wall_ms now = ot_io_wall(self->io);
	uint32_t count;
	ot_err err = ot_log_roll(self->log, now, false);

	if (err == OT_OK)
		err = ot_log_advance_start(self->log, offset);
	if (err == OT_OK)
		err = ot_log_retain(self->log, ot_log_synced_offset(self->log), now, &count);
	if (err == OT_OK)
		return;
	OT_WARN("cluster", "the metadata log before its snapshot could not be dropped: %s",
	    ot_err_message(err));
	if (ot_log_failure(self->log) != OT_OK)
		fail(self, err, "rolling the metadata log failed");
}

static void
on_snapshot_end(struct ot_job *job)
{
	struct local *self = OT_CONTAINER_OF(job, struct local, snapshot_job);
	struct ot_metalog_snapshot *snapshot = self->snapshot;
	ot_err err = self->snapshot_err;

	self->is_snapshot_running = false;
	self->snapshot = NULL;
	if (err == OT_OK) {
		self->snapshot_offset = snapshot->id.end_offset;
		self->bytes -= self->snapshot_bytes;
	}
	snapshot->on_done(snapshot, err);
	pump(self);
}

static void
local_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	struct local *self = local_of(log);

	OT_ASSERT(self->snapshot == NULL);
	self->snapshot = snapshot;
	self->snapshot_bytes = self->bytes;
	turn_soon(self);
}

static uint64_t
local_bytes(const struct ot_metalog *log)
{
	return ((const struct local *)log)->bytes;
}

/* ---- the pump ------------------------------------------------------------------------------- */

/* Whether appends are refused and nothing of their epoch is under way any more. */
static bool
is_refusing(const struct local *self)
{
	return self->refusal != OT_OK && self->is_started && !self->is_failed &&
	       self->on_closed == NULL && ot_list_is_empty(&self->written) &&
	       ot_list_is_empty(&self->staged);
}

static void
on_retry(struct ot_timer *timer)
{
	struct local *self = OT_CONTAINER_OF(timer, struct local, retry);

	if (is_refusing(self))
		lead(self);
}

static bool
begin_sync(struct local *self)
{
	if (ot_log_staged_end(self->log) > ot_log_end_offset(self->log))
		write_staged(self);
	if (self->is_failed || ot_log_end_offset(self->log) == ot_log_synced_offset(self->log))
		return false;
	self->log_job = ot_log_sync_begin(self->log, OT_LOG_SYNC_DATA);
	if (self->log_job == NULL)
		return false;
	submit(self, WORK_SYNC);
	return true;
}

static bool
begin_chore(struct local *self)
{
	ot_wall_ms now = ot_io_wall(self->io);

	if (self->snapshot == NULL && !self->is_snapshot_running &&
	    ot_log_start_offset(self->log) < self->snapshot_offset)
		drop_before(self, self->snapshot_offset);
	if (self->is_failed || ot_log_chore_due(self->log) > now)
		return false;
	self->log_job = ot_log_chore_begin(self->log, now);
	if (self->log_job == NULL)
		return false;
	submit(self, WORK_SYNC);
	return true;
}

static void
on_mark_due(struct ot_timer *timer)
{
	struct local *self = OT_CONTAINER_OF(timer, struct local, mark_timer);

	self->is_mark_due = true;
	pump(self);
}

static void
after_mark(struct local *self)
{
	self->is_mark_due = false;
	if (self->job_err == OT_OK)
		self->mark = self->mark_wanted;
	else
		OT_WARN("cluster", "the metadata log's recovery point could not be written: %s",
		    ot_err_message(self->job_err));
}

/* Brings the recovery point forward, first the log's own, then the file's. */
static bool
begin_mark(struct local *self)
{
	int64_t point = ot_log_recovery_point(self->log);

	if (!self->is_mark_due && self->mark < ot_log_synced_offset(self->log) &&
	    !ot_timer_is_armed(&self->mark_timer))
		ot_timer_arm_in_ms(self->io, &self->mark_timer, MARK_MS);
	if (!self->is_mark_due)
		return false;
	if (point <= self->mark) {
		self->log_job = ot_log_sync_begin(self->log, OT_LOG_SYNC_CHECKPOINT);
		self->is_mark_due = self->log_job != NULL;
		if (self->log_job != NULL)
			submit(self, WORK_SYNC);
		return self->log_job != NULL;
	}
	self->mark_wanted = point;
	submit(self, WORK_MARK);
	return true;
}

static void
end_closed(struct local *self)
{
	void (*on_closed)(void *) = self->on_closed;
	void *arg = self->closed_arg;

	ot_timer_cancel(self->io, &self->turn);
	ot_timer_cancel(self->io, &self->retry);
	ot_timer_cancel(self->io, &self->mark_timer);
	checkpoint_fini(&self->checkpoint);
	ot_free(self->piece);
	ot_free(self);
	on_closed(arg);
}

/* Begins the close, when nothing else is under way. */
static void
close_step(struct local *self)
{
	if (self->is_snapshot_running)
		return;
	if (self->snapshot != NULL) {
		struct ot_metalog_snapshot *snapshot = self->snapshot;

		self->snapshot = NULL;
		snapshot->on_done(snapshot, OT_ERR_CLOSED);
	}
	refuse_all(self, &self->written);
	refuse_all(self, &self->staged);
	end_refused(self, OT_ERR_CLOSED);
	if (self->log == NULL)
		end_closed(self);
	else
		submit(self, WORK_CLOSE);
}

/* What is to be done next, when no job has the log. */
static void
pump(struct local *self)
{
	if (self->work != WORK_NONE)
		return;
	if (self->snapshot != NULL && !self->is_snapshot_running && !self->is_failed &&
	    self->on_closed == NULL) {
		self->is_snapshot_running = true;
		ot_io_submit(self->io, &self->snapshot_job);
	}
	if (!self->is_failed && self->log != NULL && self->on_closed == NULL && start_step(self))
		return;
	if (!self->is_failed && self->is_started && begin_sync(self))
		return;
	if (!self->is_failed && self->is_started && self->on_closed == NULL) {
		if (is_refusing(self)) {
			end_refused(self, self->refusal);
			if (!ot_timer_is_armed(&self->retry))
				ot_timer_arm_in_ms(self->io, &self->retry, RETRY_MS);
		}
		if (begin_chore(self) || begin_mark(self))
			return;
	}
	if (self->on_closed != NULL)
		close_step(self);
	else if (self->is_failed)
		end_refused(self, self->refusal);
}

static void
on_job_done(struct ot_job *job)
{
	struct local *self = OT_CONTAINER_OF(job, struct local, job);
	enum work work = self->work;

	self->work = WORK_NONE;
	if (work == WORK_CLOSE) {
		self->log = NULL;
		end_closed(self);
		return;
	}
	if (work == WORK_OPEN)
		after_open(self);
	else if (work == WORK_READ)
		after_read(self);
	else if (work == WORK_SYNC)
		after_sync(self);
	else if (work == WORK_MARK)
		after_mark(self);
	pump(self);
}

static void
on_turn(struct ot_timer *timer)
{
	pump(OT_CONTAINER_OF(timer, struct local, turn));
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
local_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	struct local *self = local_of(log);

	OT_ASSERT(self->events == NULL);
	self->events = events;
	self->arg = arg;
	self->random = ot_io_random_u64(self->io);
	submit(self, WORK_OPEN);
}

static void
local_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg)
{
	struct local *self = local_of(log);

	self->on_closed = on_closed;
	self->closed_arg = arg;
	self->is_leading = false;
	if (self->work == WORK_NONE)
		submit(self, WORK_REST);
}

static const struct ot_metalog_ops local_ops = {
	.start = local_start,
	.append = local_append,
	.put_snapshot = local_put_snapshot,
	.bytes_since_snapshot = local_bytes,
	.close = local_close,
};

struct ot_metalog *
ot_metalog_local_create(const struct ot_metalog_local_args *args)
{
	struct local *self = OT_NEW(struct local);
	int bytes = snprintf(self->dir, sizeof(self->dir), "%s/__cluster_metadata-0", args->dir);

	OT_ASSERT(bytes > 0 && bytes < DIR_BYTES);
	self->base.ops = &local_ops;
	self->io = args->io;
	self->node_id = args->node_id;
	self->settings = ot_log_settings_default();
	self->settings.segment_bytes = args->segment_bytes;
	self->settings.segment_ms = args->segment_ms;
	self->settings.retention_ms = -1;
	self->settings.retention_bytes = -1;
	self->leader_end = -1;
	self->job = (struct ot_job){ on_work, on_job_done };
	self->snapshot_job = (struct ot_job){ on_snapshot_work, on_snapshot_end };
	ot_list_init(&self->staged);
	ot_list_init(&self->written);
	ot_list_init(&self->refused);
	ot_timer_init(&self->turn, on_turn);
	ot_timer_init(&self->retry, on_retry);
	ot_timer_init(&self->mark_timer, on_mark_due);
	return &self->base;
}
