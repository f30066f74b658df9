/* How a log gets shorter: at its start by retention and DeleteRecords, at its end by truncation.
 *
 * Segments leave the list at once and the disk later: chores rename their files to ".deleted" and
 * remove them after file.delete.delay.ms, oldest first. A reader that holds a file keeps its bytes.
 * A crash before the names are synced brings segments back, oldest last, which retention takes
 * again.
 *
 * Truncation is done wholly on a worker and durable when it returns, since appends come next: a cut
 * that a crash undoes would bring old batches back under new ones. For the same reason the recovery
 * point is lowered and written by the caller before (ot_log_truncate_prepare()). */
#include "log/jobs_int.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "log/log_int.h"
#include "log/scan_int.h"

/* ---- the start ----------------------------------------------------------------------------- */

ot_err
ot_log_advance_start(struct ot_log *log, int64_t offset)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	if (offset > log->end_offset)
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	if (offset <= log->start_offset)
		return OT_OK;
	log->start_offset = offset;
	if (log_epochs_cut_start(&log->epochs, offset))
		log->is_epoch_file_stale = true;
	log_producers_replicated_to(&log->producers, offset);
	return OT_OK;
}

/* The time that retention.ms counts from: the records', or the file's where they have none. */
static ot_err
last_time(struct ot_log *log, struct log_segment *segment, ot_wall_ms *ret_time)
{
	char path[LOG_PATH_BYTES];
	struct ot_fs_stat stat;
	ot_err err = log_segment_learn_max(log, segment);
	if (err != OT_OK)
		return err;
	*ret_time = segment->max_timestamp;
	if (segment->max_timestamp >= 0)
		return OT_OK;
	log_path(path, log->dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	err = ot_fs_stat(log->fs, path, &stat);
	if (err == OT_OK)
		*ret_time = stat.modified;
	return err;
}

/* Whether the segment goes, with `bytes_over` more in the log than retention.bytes allows. */
static ot_err
is_expired(struct ot_log *log, uint32_t place, int64_t bytes_over, ot_wall_ms now, bool *ret_is)
{
	struct log_segment *segment = log->segments[place];
	const struct ot_log_settings *settings = &log->settings;
	int64_t end = log_segment_end(log, place);
	bool is_last = place + 1 == log->segment_count;
	*ret_is = !is_last && end <= log->start_offset;
	if (*ret_is || !settings->is_deleting)
		return OT_OK;
	if (settings->retention_bytes >= 0 && bytes_over >= (int64_t)segment->bytes && !is_last) {
		*ret_is = true;
		return OT_OK;
	}
	if (settings->retention_ms < 0 || segment->bytes == 0)
		return OT_OK;
	ot_wall_ms time = 0;
	ot_err err = last_time(log, segment, &time);
	if (err == OT_OK)
		*ret_is = now - time > settings->retention_ms;
	return err;
}

static int64_t
bytes_over_limit(const struct ot_log *log)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < log->segment_count; i++)
		bytes += log->segments[i]->bytes;
	return (int64_t)bytes - log->settings.retention_bytes;
}

/* Takes the first `count` segments out, for chores to delete. */
static ot_err
retire_first(struct ot_log *log, uint32_t count)
{
	OT_ASSERT(count < log->segment_count);
	ot_err err = log_reserve_retired(log, count);
	if (err != OT_OK || count == 0)
		return err;
	for (uint32_t i = 0; i < count; i++)
		log_retire(log, log->segments[i]->base_offset);
	log_drop_segments(log, 0, count);
	return ot_log_advance_start(log, log->segments[0]->base_offset);
}

ot_err
ot_log_retain(struct ot_log *log, int64_t high_watermark, ot_wall_ms now,
    uint32_t *ret_segment_count)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0);
	int64_t bytes_over = bytes_over_limit(log);
	uint32_t count = 0;
	ot_err err = OT_OK;
	while (err == OT_OK && count < log->segment_count) {
		bool is_gone = false;
		if (log_segment_end(log, count) > high_watermark)
			break;
		err = is_expired(log, count, bytes_over, now, &is_gone);
		if (err != OT_OK || !is_gone)
			break;
		bytes_over -= (int64_t)log->segments[count]->bytes;
		count++;
	}
	/* A time index that cannot be read keeps its segment; those before it may go. */
	if (count == log->segment_count) {
		err = log->failure == OT_OK ? log_roll_segment(log, log->end_offset, now)
		                            : OT_ERR_OFFLINE;
		count -= err == OT_OK ? 0 : 1;
	}
	ot_err retire_err = retire_first(log, count);
	*ret_segment_count = retire_err == OT_OK ? count : 0;
	return err == OT_OK ? retire_err : err;
}

/* ---- the end ------------------------------------------------------------------------------- */

void
ot_log_truncate_prepare(struct ot_log *log, int64_t offset)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0 && !log->is_sync_running);
	if (offset >= log->recovery_point)
		return;
	/* Recovery takes a hole before its point for one that was there when all was synced, so the
	 * point must lie where the cut will be: before the whole batch. */
	struct log_segment *segment = log->segments[log_segment_at(log, offset)];
	struct log_found_batch found;
	struct ot_log_read cold = { 0 };
	int64_t cut = segment->base_offset;
	ot_err err = log_segment_find(log, segment, offset, false, &found, &cold);
	ot_file_unref(cold.file);
	if (err == OT_OK)
		cut = found.bytes == 0 ? offset : OT_MIN(found.base_offset, offset);
	log->recovery_point = OT_MIN(log->recovery_point, cut);
}

static ot_err
remove_segment(struct ot_log *log, uint32_t place)
{
	char path[LOG_PATH_BYTES];
	int64_t base_offset = log->segments[place]->base_offset;
	for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_SNAPSHOT; kind++) {
		log_path(path, log->dir, base_offset, (enum log_file_kind)kind, LOG_STATE_LIVE);
		ot_err err = ot_fs_remove(log->fs, path);
		if (err != OT_OK && err != OT_ERR_NOT_FOUND)
			return err;
	}
	log_drop_segments(log, place, 1);
	return OT_OK;
}

/* Cuts an index behind its last entry with an offset before `offset`. */
static ot_err
cut_index(struct ot_log *log, struct log_segment *segment, struct log_index *index, int64_t offset)
{
	uint32_t count = index->count;
	ot_err err = log_segment_open_index(log, segment, index, true);
	while (err == OT_OK && count > 0) {
		struct log_offset_entry place = { .offset = -1 };
		struct log_time_entry time = { .offset = -1 };
		struct log_txn_entry txn = { .last_offset = -1 };
		if (index->kind == LOG_INDEX_OFFSET)
			err = log_index_get_offset(index, segment->base_offset, count - 1, &place);
		else if (index->kind == LOG_INDEX_TIME)
			err = log_index_get_time(index, segment->base_offset, count - 1, &time);
		else
			err = log_index_get_txn(index, count - 1, &txn);
		if (OT_MAX(OT_MAX(place.offset, time.offset), txn.last_offset) < offset)
			break;
		count--;
	}
	return err == OT_OK ? log_index_cut(index, count) : err;
}

/* The greatest timestamp of what is left: of the time index, and of the batches behind its
 * entry. */
static ot_err
relearn_times(struct ot_log *log, struct log_segment *segment)
{
	uint8_t window[LOG_SCAN_WINDOW_SMALL];
	struct log_scan scan;
	struct log_scan_batch batch = { 0 };
	struct log_offset_entry last = { .place = 0 };
	segment->max_timestamp = segment->first_timestamp = LOG_TIMESTAMP_UNKNOWN;
	ot_err err = log_segment_learn_max(log, segment);
	if (err == OT_OK && segment->offset_index.count > 0)
		err = log_index_get_offset(&segment->offset_index, segment->base_offset,
		    segment->offset_index.count - 1, &last);
	if (err != OT_OK)
		return err;
	segment->index_place = last.place;
	log_scan_init(&scan, segment->file, last.place, segment->bytes, window, sizeof(window));
	do {
		err = log_scan_next(&scan, &batch, NULL);
		if (err == OT_OK && batch.bytes > 0 &&
		    batch.max_timestamp > segment->max_timestamp) {
			segment->max_timestamp = batch.max_timestamp;
			segment->max_timestamp_offset = batch.last_offset;
		}
	} while (err == OT_OK && batch.bytes > 0);
	return err;
}

/* Cuts the segment before the batch that holds `offset`; says which offset that batch began
 * with. */
static ot_err
cut_segment(struct ot_log *log, struct log_segment *segment, int64_t offset, int64_t *ret_end)
{
	struct log_found_batch found;
	struct ot_log_read cold;
	ot_err err = log_segment_open(log, segment, true);
	if (err == OT_OK)
		err = log_segment_find(log, segment, offset, true, &found, &cold);
	if (err != OT_OK)
		return err;
	int64_t end = found.bytes == 0 ? offset : OT_MIN(found.base_offset, offset);
	err = cut_index(log, segment, &segment->offset_index, end);
	if (err == OT_OK)
		err = cut_index(log, segment, &segment->time_index, end);
	if (err == OT_OK && segment->txn_index.count > 0)
		err = cut_index(log, segment, &segment->txn_index, end);
	if (err == OT_OK)
		err = ot_file_truncate(segment->file, found.place);
	if (err == OT_OK)
		err = ot_file_sync(segment->file);
	if (err != OT_OK)
		return err;
	segment->bytes = found.place;
	segment->bytes_reserved = 0;
	*ret_end = end;
	return relearn_times(log, segment);
}

static ot_err
truncate_files(struct ot_log *log, int64_t offset)
{
	uint32_t place = log_segment_at(log, offset);
	int64_t end = offset;
	ot_err err = OT_OK;
	log_hints_clear(log);
	while (err == OT_OK && log->segment_count > place + 1)
		err = remove_segment(log, log->segment_count - 1);
	if (err == OT_OK)
		err = cut_segment(log, log_active(log), offset, &end);
	if (err == OT_OK)
		err = ot_fs_sync_dir(log->fs, log->dir);
	if (err == OT_OK)
		log->end_offset = end;
	return err;
}

/* The state that goes with the files, after either truncation. */
static ot_err
settle(struct ot_log *log, ot_wall_ms now)
{
	log->staged_end = log->end_offset;
	/* The start may lie in the batch that was cut. */
	log->start_offset = OT_MIN(log->start_offset, log->end_offset);
	log->recovery_point = OT_MIN(log->recovery_point, log->end_offset);
	log->synced_offset = OT_MIN(log->synced_offset, log->end_offset);
	log->high_watermark = OT_MIN(log->high_watermark, log->end_offset);
	log->write_back_place = OT_MIN(log->write_back_place, log_active(log)->bytes);
	log->bytes_unsynced = 0;
	if (log_epochs_cut_end(&log->epochs, log->end_offset))
		log->is_epoch_file_stale = true;
	for (uint32_t i = 0; i < log->snapshot_count; i++)
		ot_free(log->snapshots[i].data);
	log->snapshot_count = 0;
	return log_replay_producers(log, log->end_offset, false, now, NULL);
}

ot_err
ot_log_truncate_to(struct ot_log *log, int64_t offset, ot_wall_ms now)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0);
	OT_ASSERT(!log->is_sync_running && !log->is_chore_running && log->find_count == 0);
	if (log->failure != OT_OK)
		return OT_ERR_OFFLINE;
	if (offset >= log->end_offset)
		return OT_OK;
	if (offset <= log->segments[0]->base_offset)
		return ot_log_truncate_fully(log, offset, now);
	OT_ASSERT(log->recovery_point <= offset);
	ot_err err = truncate_files(log, offset);
	if (err == OT_OK)
		err = settle(log, now);
	if (err != OT_OK)
		log_fail(log, err);
	return err;
}

/* A log that failed between its old segments and the new one still answers readers: as empty. */
static void
leave_empty(struct ot_log *log, int64_t offset, ot_wall_ms now)
{
	struct log_segment *segment = log_segment_create(offset, now);
	if (segment == NULL || log_push_segment(log, segment) != OT_OK)
		OT_PANIC("no memory for the empty segment of %s", log->dir);
	segment->max_timestamp = OT_NO_TIMESTAMP;
	log->start_offset = log->end_offset = log->staged_end = offset;
	log->synced_offset = log->recovery_point = OT_MIN(log->recovery_point, offset);
}

ot_err
ot_log_truncate_fully(struct ot_log *log, int64_t offset, ot_wall_ms now)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0 && offset >= 0);
	OT_ASSERT(!log->is_sync_running && !log->is_chore_running && log->find_count == 0);
	OT_ASSERT(log->recovery_point <= offset);
	if (log->failure != OT_OK)
		return OT_ERR_OFFLINE;
	ot_err err = OT_OK;
	log_hints_clear(log);
	while (err == OT_OK && log->segment_count > 0)
		err = remove_segment(log, log->segment_count - 1);
	if (err == OT_OK)
		err = ot_fs_sync_dir(log->fs, log->dir);
	if (err == OT_OK)
		err = log_begin_at(log, offset, now);
	if (err == OT_OK && log->epochs.count > 0) {
		log->epochs.count = 0;
		log->is_epoch_file_stale = true;
	}
	if (err == OT_OK)
		err = settle(log, now);
	if (log->segment_count == 0)
		leave_empty(log, offset, now);
	if (err != OT_OK)
		log_fail(log, err);
	return err;
}
