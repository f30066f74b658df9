/* Jobs: what workers do for a log. A job carries all that it needs (files with references, paths,
 * bytes), so that it never looks at the log; beginning and ending it are the owner's.
 *
 * A sync makes the records of all segments since the last one durable. With the scope of a
 * checkpoint it does the same for whatever a recovery would trust below the recovery point:
 * indexes, epochs, a snapshot of the producers, the folder's names. The recovery point moves when
 * all of that succeeded, and not before.
 *
 * A chore starts the write-back of a long append, renames the files of segments that left the log,
 * removes them when their time has come, and writes a stale epoch file. All of it can be done
 * twice. */
#include "log/jobs_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/atomic_int.h"

enum { CHORE_RETRY_MS = 1000, REMOVALS_PER_CHORE = 64 };

/* ---- the job ------------------------------------------------------------------------------- */

struct ot_log_job *
log_job_create(const struct ot_log *log, enum log_job_kind kind)
{
	struct ot_log_job *job = ot_alloc(sizeof(struct ot_log_job));
	if (job == NULL)
		return NULL;
	job->dir = ot_must_strdup(log->dir);
	job->fs = log->fs;
	job->kind = kind;
	return job;
}

void
log_job_destroy(struct ot_log_job *job)
{
	if (job == NULL)
		return;
	for (uint32_t i = 0; i < job->file_count; i++)
		ot_file_unref(job->files[i]);
	for (uint32_t i = 0; i < job->snapshot_count; i++)
		ot_free(job->snapshots[i].data);
	ot_file_unref(job->write_back_file);
	ot_file_unref(job->find.file);
	log_index_fini(&job->find.offset_index);
	log_index_fini(&job->find.time_index);
	ot_free(job->find.segments);
	ot_free(job->files);
	ot_free(job->snapshots);
	ot_free(job->retired);
	ot_writer_fini(&job->epoch_text);
	ot_free(job->dir);
	ot_free(job);
}

static bool
add_file(struct ot_log_job *job, struct ot_file *file)
{
	if (file == NULL)
		return true;
	if (job->file_count == job->file_capacity) {
		uint32_t capacity = OT_MAX(2 * job->file_capacity, 4u);
		struct ot_file **files = ot_realloc(job->files, capacity * sizeof(files[0]));
		if (files == NULL)
			return false;
		job->files = files;
		job->file_capacity = capacity;
	}
	job->files[job->file_count++] = ot_file_ref(file);
	return true;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static ot_err
reserve_snapshots(struct ot_log *log)
{
	if (log->snapshot_count < log->snapshot_capacity)
		return OT_OK;
	uint32_t capacity = OT_MAX(2 * log->snapshot_capacity, 1u);
	struct log_snapshot *grown = ot_realloc(log->snapshots, capacity * sizeof(grown[0]));
	if (grown == NULL)
		return OT_ERR_NO_MEMORY;
	log->snapshots = grown;
	log->snapshot_capacity = capacity;
	return OT_OK;
}

/* The producers as the written batches left them. What is staged has changed their entries already,
 * and each staged batch knows what was before it: the oldest of a producer says what is to be
 * told. */
static void
print_written(const struct ot_log *log, struct ot_writer *out)
{
	const struct log_producers *producers = &log->producers;
	size_t bytes = producers->count * sizeof(struct log_producer);
	if (log->staged_done == log->staged_count || bytes == 0) {
		log_producers_print(producers->entries, producers->count, out);
		return;
	}
	struct log_producer *entries = ot_alloc_raw(bytes);
	if (entries == NULL) {
		out->failed = true;
		return;
	}
	memcpy(entries, producers->entries, bytes);
	for (uint32_t i = log->staged_count; i > log->staged_done; i--) {
		const struct log_staged *staged = &log->staged[i - 1];
		if (!staged->has_producer)
			continue;
		const struct log_producer *now =
		    log_producers_find(producers, staged->undo.before.id);
		OT_ASSERT(now != NULL);
		struct log_producer *before = &entries[now - producers->entries];
		*before = staged->undo.before;
		before->id = staged->undo.is_new ? -1 : before->id;
	}
	log_producers_print(entries, producers->count, out);
	ot_free(entries);
}

void
log_queue_snapshot(struct ot_log *log, bool is_extra)
{
	struct ot_writer out;
	if (log->end_offset <= log->snapshot_offset || reserve_snapshots(log) != OT_OK)
		return;
	ot_writer_init(&out);
	print_written(log, &out);
	uint8_t *data = out.failed ? NULL : ot_realloc(out.data, out.bytes);
	if (data == NULL) {
		ot_writer_fini(&out);
		return;
	}
	log->snapshots[log->snapshot_count++] = (struct log_snapshot){
		.offset = log->end_offset,
		.data = data,
		.bytes = out.bytes,
		.is_extra = is_extra,
	};
	log->snapshot_offset = log->end_offset;
	log->bytes_after_snapshot = 0;
	log->producers.is_changed = false;
}

/* Hands the snapshots that wait, and the extra one that they make needless, to the job. */
static void
take_snapshots(struct ot_log *log, struct ot_log_job *job)
{
	job->snapshots = log->snapshots;
	job->snapshot_count = log->snapshot_count;
	job->snapshot_gone = -1;
	log->snapshots = NULL;
	log->snapshot_count = log->snapshot_capacity = 0;
	if (job->snapshot_count == 0)
		return;
	const struct log_snapshot *last = &job->snapshots[job->snapshot_count - 1];
	job->snapshot_gone = log->snapshot_extra;
	log->snapshot_extra = last->is_extra ? last->offset : -1;
}

static ot_err
write_snapshots(struct ot_log_job *job)
{
	char path[LOG_PATH_BYTES];
	for (uint32_t i = 0; i < job->snapshot_count; i++) {
		const struct log_snapshot *snapshot = &job->snapshots[i];
		log_path(path, job->dir, snapshot->offset, LOG_FILE_SNAPSHOT, LOG_STATE_LIVE);
		/* In place: the CRC tells a torn one, which is then as if it were missing. */
		ot_err err = log_write_file(job->fs, path, snapshot->data, snapshot->bytes);
		if (err != OT_OK)
			return err;
	}
	if (job->snapshot_count == 0 || job->snapshot_gone < 0)
		return OT_OK;
	log_path(path, job->dir, job->snapshot_gone, LOG_FILE_SNAPSHOT, LOG_STATE_LIVE);
	ot_err err = ot_fs_remove(job->fs, path);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

/* ---- sync ---------------------------------------------------------------------------------- */

/* All files of records that hold something unsynced. */
static ot_err
collect_records(struct ot_log *log, struct ot_log_job *job)
{
	if (log->synced_offset >= log->end_offset)
		return OT_OK;
	for (uint32_t i = log_segment_at(log, log->synced_offset); i < log->segment_count; i++) {
		struct log_segment *segment = log->segments[i];
		ot_err err = log_segment_open(log, segment, false);
		if (err != OT_OK)
			return err;
		if (!add_file(job, segment->file))
			return OT_ERR_NO_MEMORY;
	}
	return OT_OK;
}

/* The indexes of all segments since the recovery point; that in which it lies as an end, too, since
 * a roll or a close adds an entry there. */
static ot_err
collect_indexes(struct ot_log *log, struct ot_log_job *job)
{
	uint32_t first = log_segment_at(log, OT_MAX(log->recovery_point - 1, (int64_t)0));
	for (uint32_t i = first; i < log->segment_count; i++) {
		struct log_segment *segment = log->segments[i];
		struct log_index *indexes[] = { &segment->offset_index, &segment->time_index,
			&segment->txn_index };
		ot_err err = log_segment_write_indexes(log, segment);
		for (size_t k = 0; err == OT_OK && k < OT_ARRAY_COUNT(indexes); k++) {
			if (indexes[k]->count == 0)
				continue;
			err = log_segment_open(log, segment, false);
			if (err == OT_OK)
				err = log_segment_open_index(log, segment, indexes[k], false);
			if (err == OT_OK && !add_file(job, indexes[k]->file))
				err = OT_ERR_NO_MEMORY;
		}
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static ot_err
take_epochs(struct ot_log *log, struct ot_log_job *job)
{
	if (!log->is_epoch_file_stale)
		return OT_OK;
	log_epochs_print(&log->epochs, &job->epoch_text);
	if (job->epoch_text.failed)
		return OT_ERR_NO_MEMORY;
	log->is_epoch_file_stale = false;
	job->has_epochs = true;
	return OT_OK;
}

static ot_err
fill_sync(struct ot_log *log, struct ot_log_job *job, enum ot_log_sync_scope scope)
{
	job->scope = scope;
	job->end_offset = log->end_offset;
	job->bytes_unsynced = log->bytes_unsynced;
	ot_err err = collect_records(log, job);
	if (err == OT_OK && scope == OT_LOG_SYNC_CHECKPOINT) {
		if (log->bytes_after_snapshot >= LOG_SNAPSHOT_BYTES)
			log_queue_snapshot(log, true);
		err = collect_indexes(log, job);
		if (err == OT_OK)
			err = take_epochs(log, job);
	}
	if (err != OT_OK)
		return err;
	take_snapshots(log, job);
	job->is_dir_synced = log->is_dir_unsynced || job->snapshot_count > 0 || job->has_epochs;
	job->is_parent_synced = log->is_parent_unsynced;
	log->is_dir_unsynced = log->is_parent_unsynced = false;
	return OT_OK;
}

static bool
is_sync_wanted(const struct ot_log *log, enum ot_log_sync_scope scope)
{
	if (log->is_sync_running || log->failure != OT_OK)
		return false;
	/* The recovery point may not move before the epochs that a chore is writing are there. */
	if (scope == OT_LOG_SYNC_CHECKPOINT && log->is_chore_writing_epochs)
		return false;
	if (log->end_offset > log->synced_offset || log->is_dir_unsynced)
		return true;
	return scope == OT_LOG_SYNC_CHECKPOINT &&
	       (log->recovery_point < log->end_offset || log->is_epoch_file_stale ||
		   log->snapshot_count > 0);
}

struct ot_log_job *
ot_log_sync_begin(struct ot_log *log, enum ot_log_sync_scope scope)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	if (!is_sync_wanted(log, scope))
		return NULL;
	struct ot_log_job *job = log_job_create(log, LOG_JOB_SYNC);
	if (job == NULL)
		return NULL;
	/* What a failure leaves half taken is tried again by the next one. */
	if (fill_sync(log, job, scope) != OT_OK) {
		log->is_epoch_file_stale = log->is_epoch_file_stale || job->has_epochs;
		log_job_destroy(job);
		return NULL;
	}
	log->is_sync_running = true;
	return job;
}

static void
run_sync(struct ot_log_job *job)
{
	/* Older segments first: what survives of unsynced records is more often a prefix then. */
	ot_err err = OT_OK;
	for (uint32_t i = 0; err == OT_OK && i < job->file_count; i++)
		err = ot_file_sync(job->files[i]);
	job->is_sync_failed = err != OT_OK;
	if (err == OT_OK && job->has_epochs)
		err = log_epochs_write(job->fs, job->dir, &job->epoch_text);
	if (err == OT_OK)
		err = write_snapshots(job);
	if (err == OT_OK && job->is_dir_synced) {
		err = ot_fs_sync_dir(job->fs, job->dir);
		job->is_sync_failed = err != OT_OK;
	}
	if (err == OT_OK && job->is_parent_synced) {
		err = log_sync_parent(job->fs, job->dir);
		job->is_sync_failed = err != OT_OK;
	}
	job->err = err;
}

static void
end_sync(struct ot_log *log, struct ot_log_job *job)
{
	log->is_sync_running = false;
	if (job->err == OT_OK) {
		if (log->synced_offset < job->end_offset) {
			log->synced_offset = job->end_offset;
			log->bytes_unsynced -= job->bytes_unsynced;
		}
		if (job->scope == OT_LOG_SYNC_CHECKPOINT)
			log->recovery_point = OT_MAX(log->recovery_point, job->end_offset);
		return;
	}
	log->is_dir_unsynced = log->is_dir_unsynced || job->is_dir_synced;
	log->is_parent_unsynced = log->is_parent_unsynced || job->is_parent_synced;
	log->is_epoch_file_stale = log->is_epoch_file_stale || job->has_epochs;
	/* After a failed sync nobody knows which bytes the disk has. A file of our own that could
	 * not be written beside them is another matter. */
	if (job->is_sync_failed)
		log_fail(log, job->err);
}

ot_err
log_sync_now(struct ot_log *log)
{
	OT_ASSERT(!log->is_sync_running && !log->is_chore_running);
	struct ot_log_job *job = log_job_create(log, LOG_JOB_SYNC);
	if (job == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = fill_sync(log, job, OT_LOG_SYNC_CHECKPOINT);
	if (err != OT_OK) {
		log->is_epoch_file_stale = log->is_epoch_file_stale || job->has_epochs;
	} else {
		log->is_sync_running = true;
		run_sync(job);
		end_sync(log, job);
		err = job->err;
	}
	log_job_destroy(job);
	return err;
}

/* ---- chores -------------------------------------------------------------------------------- */

ot_err
log_reserve_retired(struct ot_log *log, uint32_t count)
{
	uint32_t wanted = log->retired_count + log->retired_running + count;
	if (wanted <= log->retired_capacity)
		return OT_OK;
	uint32_t capacity = OT_MAX(2 * log->retired_capacity, wanted);
	struct log_retired *grown = ot_realloc(log->retired, capacity * sizeof(grown[0]));
	if (grown == NULL)
		return OT_ERR_NO_MEMORY;
	log->retired = grown;
	log->retired_capacity = capacity;
	return OT_OK;
}

void
log_retire(struct ot_log *log, int64_t base_offset)
{
	OT_ASSERT(log->retired_count < log->retired_capacity);
	log->retired[log->retired_count++] =
	    (struct log_retired){ .base_offset = base_offset, .due = LOG_RETIRED_NOW };
}

static bool
is_write_back_due(const struct ot_log *log)
{
	const struct log_segment *active = log_active(log);
	return active->file != NULL &&
	       active->bytes >= log->write_back_place + LOG_WRITE_BACK_BYTES;
}

ot_wall_ms
ot_log_chore_due(const struct ot_log *log)
{
	if (log->is_chore_running)
		return INT64_MAX;
	ot_wall_ms due = INT64_MAX;
	bool is_epoch_due = log->is_epoch_file_stale && !log->is_sync_running;
	if (is_write_back_due(log) || is_epoch_due)
		due = LOG_RETIRED_NOW;
	for (uint32_t i = 0; i < log->retired_count; i++)
		due = OT_MIN(due, log->retired[i].due);
	return due == INT64_MAX ? due : OT_MAX(due, log->chore_retry);
}

/* Moves the retired segments that are due into the job. */
static ot_err
take_retired(struct ot_log *log, struct ot_log_job *job, ot_wall_ms now)
{
	uint32_t due = 0, kept = 0;
	for (uint32_t i = 0; i < log->retired_count; i++)
		due += log->retired[i].due <= now ? 1 : 0;
	if (due == 0)
		return OT_OK;
	due = OT_MIN(due, (uint32_t)REMOVALS_PER_CHORE);
	job->retired = ot_alloc(due * sizeof(job->retired[0]));
	if (job->retired == NULL)
		return OT_ERR_NO_MEMORY;
	for (uint32_t i = 0; i < log->retired_count; i++) {
		if (log->retired[i].due <= now && job->retired_count < due)
			job->retired[job->retired_count++] = log->retired[i];
		else
			log->retired[kept++] = log->retired[i];
	}
	log->retired_count = kept;
	log->retired_running = job->retired_count;
	return OT_OK;
}

struct ot_log_job *
ot_log_chore_begin(struct ot_log *log, ot_wall_ms now)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	if (ot_log_chore_due(log) > now)
		return NULL;
	struct ot_log_job *job = log_job_create(log, LOG_JOB_CHORE);
	if (job == NULL)
		return NULL;
	if (take_retired(log, job, now) != OT_OK) {
		log_job_destroy(job);
		return NULL;
	}
	if (is_write_back_due(log)) {
		const struct log_segment *active = log_active(log);
		job->write_back_file = ot_file_ref(active->file);
		job->write_back_place = log->write_back_place;
		job->write_back_bytes = active->bytes - log->write_back_place;
		log->write_back_place = active->bytes;
	}
	/* Without memory for the text the file stays stale, and the next chore writes it. */
	if (!log->is_sync_running && take_epochs(log, job) != OT_OK)
		job->has_epochs = false;
	log->is_chore_writing_epochs = job->has_epochs;
	log->is_chore_running = true;
	return job;
}

/* Renames what belongs to a segment, or removes it when it was renamed before. */
static ot_err
retire_files(const struct ot_log_job *job, const struct log_retired *retired)
{
	char from[LOG_PATH_BYTES], to[LOG_PATH_BYTES];
	for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_SNAPSHOT; kind++) {
		log_path(from, job->dir, retired->base_offset, (enum log_file_kind)kind,
		    LOG_STATE_LIVE);
		log_path(to, job->dir, retired->base_offset, (enum log_file_kind)kind,
		    LOG_STATE_DELETED);
		ot_err err = retired->due == LOG_RETIRED_NOW ? ot_fs_rename(job->fs, from, to)
		                                             : ot_fs_remove(job->fs, to);
		/* The folder has no room for the other name: it is what would make some. */
		if (err == OT_ERR_NO_SPACE && retired->due == LOG_RETIRED_NOW)
			err = ot_fs_remove(job->fs, from);
		if (err != OT_OK && err != OT_ERR_NOT_FOUND)
			return err;
	}
	return OT_OK;
}

static void
run_chore(struct ot_log_job *job)
{
	ot_err err = OT_OK;
	if (job->write_back_file != NULL)
		ot_file_write_back(job->write_back_file, job->write_back_place,
		    job->write_back_bytes);
	for (uint32_t i = 0; err == OT_OK && i < job->retired_count; i++) {
		err = retire_files(job, &job->retired[i]);
		/* Segments leave oldest first and one by one: a crash that brings some back must
		 * not bring one back before a hole, which would end the log. */
		if (err == OT_OK && job->retired[i].due == LOG_RETIRED_NOW)
			err = ot_fs_sync_dir(job->fs, job->dir);
		if (err == OT_OK)
			job->retired_done++;
	}
	if (err == OT_OK && job->has_epochs)
		err = log_epochs_write(job->fs, job->dir, &job->epoch_text);
	job->err = err;
}

static void
end_chore(struct ot_log *log, struct ot_log_job *job, ot_wall_ms now)
{
	log->is_chore_running = log->is_chore_writing_epochs = false;
	/* The epochs have a new file, whose name the recovery point has to wait for. */
	log->is_dir_unsynced = log->is_dir_unsynced || job->has_epochs;
	log->chore_retry = INT64_MIN;
	log->retired_running = 0;
	for (uint32_t i = 0; i < job->retired_count; i++) {
		struct log_retired retired = job->retired[i];
		bool is_done = i < job->retired_done;
		if (is_done && retired.due != LOG_RETIRED_NOW)
			continue;
		if (is_done)
			retired.due = now + log->settings.file_delete_delay_ms;
		OT_ASSERT(log->retired_count < log->retired_capacity);
		log->retired[log->retired_count++] = retired;
	}
	if (job->err == OT_OK)
		return;
	log->is_epoch_file_stale = log->is_epoch_file_stale || job->has_epochs;
	log->chore_retry = now + CHORE_RETRY_MS;
}

/* ---- the doors ----------------------------------------------------------------------------- */

void
ot_log_job_run(struct ot_log_job *job)
{
	switch (job->kind) {
	case LOG_JOB_SYNC:
		run_sync(job);
		break;
	case LOG_JOB_CHORE:
		run_chore(job);
		break;
	case LOG_JOB_FIND:
		log_find_run(job);
		break;
	}
}

ot_err
ot_log_job_end(struct ot_log *log, struct ot_log_job *job, ot_wall_ms now)
{
	OT_ASSERT(log->magic == LOG_MAGIC && job->kind != LOG_JOB_FIND);
	if (job->kind == LOG_JOB_SYNC)
		end_sync(log, job);
	else
		end_chore(log, job, now);
	ot_err err = job->err;
	log_job_destroy(job);
	return err;
}
