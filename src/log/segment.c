/* Segments: the files of one, their indexes, and finding a batch in them.
 *
 *   <base>.log        batches behind each other; disk space may be reserved behind the last
 *   <base>.index      see index.h
 *   <base>.timeindex
 *   <base>.txnindex   only when a transaction was aborted
 *   <base>.snapshot   the producers' state at the base (producers.h)
 *
 * An index entry is due when more than index.interval.bytes lie between the batch and the one that
 * the last entry names (or the segment's begin). That is Kafka's rule while it recovers, and it
 * makes an index a function of the records: a rebuilt one equals the one that was lost. */
#include "log/log_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/scan_int.h"

static const enum log_file_kind file_kind_of[LOG_INDEX_KIND_COUNT] = {
	[LOG_INDEX_OFFSET] = LOG_FILE_INDEX,
	[LOG_INDEX_TIME] = LOG_FILE_TIMEINDEX,
	[LOG_INDEX_TXN] = LOG_FILE_TXNINDEX,
};

/* ---- life ---------------------------------------------------------------------------------- */

struct log_segment *
log_segment_create(int64_t base_offset, ot_wall_ms now)
{
	struct log_segment *segment = ot_alloc(sizeof(struct log_segment));
	if (segment == NULL)
		return NULL;
	segment->base_offset = base_offset;
	segment->created = now;
	segment->first_timestamp = LOG_TIMESTAMP_UNKNOWN;
	segment->max_timestamp = LOG_TIMESTAMP_UNKNOWN;
	segment->max_timestamp_offset = base_offset;
	segment->time_indexed = OT_NO_TIMESTAMP;
	log_index_init(&segment->offset_index, LOG_INDEX_OFFSET);
	log_index_init(&segment->time_index, LOG_INDEX_TIME);
	log_index_init(&segment->txn_index, LOG_INDEX_TXN);
	return segment;
}

void
log_segment_destroy(struct log_segment *segment)
{
	if (segment == NULL)
		return;
	log_index_fini(&segment->offset_index);
	log_index_fini(&segment->time_index);
	log_index_fini(&segment->txn_index);
	ot_file_unref(segment->file);
	ot_free(segment);
}

ot_err
log_segment_open_index(struct ot_log *log, const struct log_segment *segment,
    struct log_index *index, bool is_writable)
{
	char path[LOG_PATH_BYTES];
	if (index->file != NULL && (index->is_file_writable || !is_writable))
		return OT_OK;
	log_path(path, log->dir, segment->base_offset, file_kind_of[index->kind], LOG_STATE_LIVE);
	return log_index_open(index, log->fs, path, is_writable);
}

ot_err
log_segment_make_files(struct ot_log *log, struct log_segment *segment)
{
	char path[LOG_PATH_BYTES];
	OT_ASSERT(segment->file == NULL && segment->bytes == 0);
	log_path(path, log->dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	ot_err err = ot_fs_open(log->fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE,
	    &segment->file);
	if (err != OT_OK)
		return err;
	segment->is_file_writable = true;
	segment->max_timestamp = OT_NO_TIMESTAMP;
	log->is_dir_unsynced = true;
	err = log_segment_open_index(log, segment, &segment->offset_index, true);
	if (err == OT_OK)
		err = log_segment_open_index(log, segment, &segment->time_index, true);
	/* Something may be left of an earlier attempt. */
	if (err == OT_OK)
		err = ot_file_truncate(segment->offset_index.file, 0);
	if (err == OT_OK)
		err = ot_file_truncate(segment->time_index.file, 0);
	return err;
}

void
log_segment_remove_files(struct ot_log *log, const struct log_segment *segment)
{
	static const enum log_file_kind kinds[] = { LOG_FILE_LOG, LOG_FILE_INDEX,
		LOG_FILE_TIMEINDEX };
	char path[LOG_PATH_BYTES];
	for (size_t i = 0; i < OT_ARRAY_COUNT(kinds); i++) {
		log_path(path, log->dir, segment->base_offset, kinds[i], LOG_STATE_LIVE);
		/* Opening drops empty segments that stayed. */
		ot_err ignored = ot_fs_remove(log->fs, path);
		(void)ignored;
	}
}

/* Makes the segment the most recently used of the inactive ones, and closes the files of the one
 * that falls out. */
static void
touch_inactive(struct ot_log *log, struct log_segment *segment)
{
	struct log_segment **open = log->inactive_open;
	uint32_t place = 0;
	while (place < LOG_INACTIVE_OPEN_MAX && open[place] != segment && open[place] != NULL)
		place++;
	if (place == LOG_INACTIVE_OPEN_MAX) {
		place--;
		log_segment_close_files(open[place]);
	}
	memmove(open + 1, open, place * sizeof(open[0]));
	open[0] = segment;
}

ot_err
log_segment_open(struct ot_log *log, struct log_segment *segment, bool is_writable)
{
	if (log->segment_count > 0 && segment != log_active(log))
		touch_inactive(log, segment);
	if (segment->file != NULL && (segment->is_file_writable || !is_writable))
		return OT_OK;
	char path[LOG_PATH_BYTES];
	struct ot_file *file = NULL;
	log_path(path, log->dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	ot_err err = ot_fs_open(log->fs, path, is_writable ? OT_OPEN_WRITE : OT_OPEN_READ, &file);
	if (err != OT_OK)
		return err;
	ot_file_unref(segment->file);
	segment->file = file;
	segment->is_file_writable = is_writable;
	return OT_OK;
}

void
log_segment_close_files(struct log_segment *segment)
{
	ot_file_unref(segment->file);
	segment->file = NULL;
	log_index_close(&segment->offset_index);
	log_index_close(&segment->time_index);
	log_index_close(&segment->txn_index);
}

/* ---- what appends mean for the indexes ----------------------------------------------------- */

ot_err
log_segment_reserve_notes(struct log_segment *segment, uint32_t count)
{
	ot_err err = log_index_reserve(&segment->offset_index, count);
	if (err == OT_OK)
		err = log_index_reserve(&segment->time_index, count + 1);
	return err;
}

/* The greatest timestamp of the time index, of which the last entry was read at some time. */
static void
push_time(struct log_segment *segment)
{
	if (segment->max_timestamp <= segment->time_indexed)
		return;
	log_index_push_time(&segment->time_index, segment->base_offset,
	    &(struct log_time_entry){
		.timestamp = segment->max_timestamp,
		.offset = segment->max_timestamp_offset,
	    });
	segment->time_indexed = segment->max_timestamp;
}

void
log_segment_note_batch(struct log_segment *segment, int32_t index_interval_bytes,
    const struct log_note *note)
{
	if (segment->first_timestamp == LOG_TIMESTAMP_UNKNOWN && note->place == 0)
		segment->first_timestamp = note->max_timestamp;
	OT_ASSERT(segment->max_timestamp != LOG_TIMESTAMP_UNKNOWN);
	if (note->max_timestamp > segment->max_timestamp) {
		segment->max_timestamp = note->max_timestamp;
		segment->max_timestamp_offset = note->last_offset;
	}
	if (note->place - segment->index_place <= (uint64_t)index_interval_bytes)
		return;
	log_index_push_offset(&segment->offset_index, segment->base_offset,
	    &(struct log_offset_entry){ .offset = note->last_offset, .place = note->place });
	push_time(segment);
	segment->index_place = note->place;
}

ot_err
log_segment_finish_time(struct log_segment *segment)
{
	if (segment->max_timestamp == LOG_TIMESTAMP_UNKNOWN)
		return OT_OK;
	ot_err err = log_index_reserve(&segment->time_index, 1);
	if (err == OT_OK)
		push_time(segment);
	return err;
}

ot_err
log_segment_write_indexes(struct ot_log *log, struct log_segment *segment)
{
	struct log_index *indexes[] = { &segment->offset_index, &segment->time_index,
		&segment->txn_index };
	for (size_t i = 0; i < OT_ARRAY_COUNT(indexes); i++) {
		if (log_index_pending(indexes[i]) == 0)
			continue;
		bool is_first_txn = indexes[i]->kind == LOG_INDEX_TXN && indexes[i]->written == 0;
		ot_err err = log_segment_open_index(log, segment, indexes[i], true);
		if (err == OT_OK && is_first_txn)
			log->is_dir_unsynced = true;
		if (err == OT_OK)
			err = log_index_write(indexes[i]);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

ot_err
log_segment_write_or_keep(struct ot_log *log, struct log_segment *segment)
{
	ot_err err = log_segment_write_indexes(log, segment);
	return err == OT_ERR_NO_SPACE ? OT_OK : err;
}

/* ---- the list of segments ------------------------------------------------------------------ */

struct log_segment *
log_active(const struct ot_log *log)
{
	OT_ASSERT(log->segment_count > 0);
	return log->segments[log->segment_count - 1];
}

uint32_t
log_segment_at(const struct ot_log *log, int64_t offset)
{
	/* Most look at the end. */
	uint32_t low = 0, high = log->segment_count;
	if (log_active(log)->base_offset <= offset)
		return log->segment_count - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (log->segments[middle]->base_offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : low - 1;
}

int64_t
log_segment_end(const struct ot_log *log, uint32_t place)
{
	OT_ASSERT(place < log->segment_count);
	return place + 1 < log->segment_count ? log->segments[place + 1]->base_offset
	                                      : log->end_offset;
}

ot_err
log_push_segment(struct ot_log *log, struct log_segment *segment)
{
	if (log->segment_count == log->segment_capacity) {
		uint32_t capacity = OT_MAX(2 * log->segment_capacity, 2u);
		struct log_segment **segments =
		    ot_realloc(log->segments, capacity * sizeof(segments[0]));
		if (segments == NULL)
			return OT_ERR_NO_MEMORY;
		log->segments = segments;
		log->segment_capacity = capacity;
	}
	OT_ASSERT(log->segment_count == 0 || log_active(log)->base_offset < segment->base_offset);
	log->segments[log->segment_count++] = segment;
	return OT_OK;
}

static void
forget_inactive(struct ot_log *log, const struct log_segment *segment)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < LOG_INACTIVE_OPEN_MAX; i++) {
		if (log->inactive_open[i] != segment)
			log->inactive_open[kept++] = log->inactive_open[i];
	}
	while (kept < LOG_INACTIVE_OPEN_MAX)
		log->inactive_open[kept++] = NULL;
}

void
log_drop_segments(struct ot_log *log, uint32_t first, uint32_t count)
{
	OT_ASSERT(first + count <= log->segment_count);
	for (uint32_t i = first; i < first + count; i++) {
		forget_inactive(log, log->segments[i]);
		log_segment_destroy(log->segments[i]);
	}
	memmove(log->segments + first, log->segments + first + count,
	    (log->segment_count - first - count) * sizeof(log->segments[0]));
	log->segment_count -= count;
	/* The last one is active now, and its files are not to be closed for others'. */
	if (log->segment_count > 0)
		forget_inactive(log, log_active(log));
	log_hints_clear(log);
}

/* ---- timestamps ---------------------------------------------------------------------------- */

ot_err
log_segment_learn_max(struct ot_log *log, struct log_segment *segment)
{
	if (segment->max_timestamp != LOG_TIMESTAMP_UNKNOWN)
		return OT_OK;
	struct log_time_entry last = { .timestamp = OT_NO_TIMESTAMP,
		.offset = segment->base_offset };
	if (segment->time_index.count > 0) {
		if (segment != log_active(log))
			touch_inactive(log, segment);
		ot_err err = log_segment_open_index(log, segment, &segment->time_index, false);
		if (err == OT_OK)
			err = log_index_get_time(&segment->time_index, segment->base_offset,
			    segment->time_index.count - 1, &last);
		if (err != OT_OK)
			return err;
	}
	segment->max_timestamp = last.timestamp;
	segment->max_timestamp_offset = last.offset;
	segment->time_indexed = last.timestamp;
	return OT_OK;
}

ot_err
log_segment_learn_first(struct ot_log *log, struct log_segment *segment)
{
	if (segment->first_timestamp != LOG_TIMESTAMP_UNKNOWN || segment->bytes == 0)
		return OT_OK;
	uint8_t window[LOG_SCAN_WINDOW_SMALL];
	struct log_scan scan;
	struct log_scan_batch batch;
	ot_err err = log_segment_open(log, segment, false);
	if (err != OT_OK)
		return err;
	log_scan_init(&scan, segment->file, 0, segment->bytes, window, sizeof(window));
	err = log_scan_next(&scan, &batch, NULL);
	if (err == OT_OK)
		segment->first_timestamp = batch.max_timestamp;
	return err;
}

/* ---- finding ------------------------------------------------------------------------------- */

ot_err
log_say_cold(struct ot_file *file, uint64_t place, uint64_t bytes, struct ot_log_read *ret_cold)
{
	*ret_cold = (struct ot_log_read){
		.file = ot_file_ref(file),
		.place = place,
		.bytes = (size_t)bytes,
	};
	return OT_ERR_AGAIN;
}

bool
log_is_hot(const struct ot_log *log, const struct log_segment *segment, uint64_t place)
{
	return segment == log_active(log) && segment->bytes - place <= (uint64_t)LOG_HOT_BYTES;
}

/* A slot near which a search will end, if batches are of one size: most are, nearly. */
static uint32_t
guess_slot(const struct ot_log *log, const struct log_segment *segment,
    const struct log_index_search *search)
{
	double part = (double)search->key / (double)OT_MAX(segment->bytes, 1u);
	if (!search->is_by_place) {
		int64_t end = log_segment_end(log, log_segment_at(log, segment->base_offset));
		part = (double)search->key / (double)OT_MAX(end - segment->base_offset, 1);
	}
	part = OT_MIN(OT_MAX(part, 0.0), 1.0);
	return (uint32_t)(part * (double)segment->offset_index.count);
}

ot_err
log_segment_floor(struct ot_log *log, struct log_segment *segment, struct log_index_search *search,
    uint64_t *ret_place, struct ot_log_read *ret_cold)
{
	struct log_index *index = &segment->offset_index;
	*ret_place = 0;
	if (index->count == 0)
		return OT_OK;
	if (!log_index_is_hot(index, search)) {
		ot_err err = log_segment_open_index(log, segment, index, false);
		if (err != OT_OK)
			return err;
		search->guess = guess_slot(log, segment, search);
	}
	ot_err err = log_index_find(index, search);
	if (err == OT_ERR_AGAIN)
		return log_say_cold(index->file, search->cold_place, search->cold_bytes, ret_cold);
	if (err != OT_OK || search->count == 0)
		return err;
	struct log_offset_entry entry = log_offset_entry_read(search->floor, segment->base_offset);
	if (entry.place < segment->bytes)
		*ret_place = entry.place;
	return OT_OK;
}

/* Walks from `place` to the first batch that ends at `offset` or later. The batch at a place that
 * an index gave begins no later than `offset`; else the index is wrong. */
static ot_err
walk_to(struct log_segment *segment, int64_t offset, uint64_t place, bool may_block,
    struct log_found_batch *ret_found, struct ot_log_read *ret_cold)
{
	uint8_t window[LOG_SCAN_WINDOW_SMALL];
	struct log_scan scan;
	struct log_scan_batch batch;
	log_scan_init(&scan, segment->file, place, segment->bytes, window, sizeof(window));
	for (;;) {
		if (!may_block && log_scan_is_cold(&scan))
			return log_say_cold(segment->file, scan.place, sizeof(window), ret_cold);
		ot_err err = log_scan_next(&scan, &batch, NULL);
		if (err != OT_OK)
			return err;
		if (place > 0 && batch.place == place && batch.base_offset > offset)
			return OT_ERR_CORRUPT_FILE;
		if (batch.bytes == 0 || batch.last_offset >= offset)
			break;
	}
	*ret_found = (struct log_found_batch){
		.place = batch.place,
		.bytes = batch.bytes,
		.base_offset = batch.base_offset,
		.last_offset = batch.last_offset,
	};
	return OT_OK;
}

ot_err
log_segment_find(struct ot_log *log, struct log_segment *segment, int64_t offset, bool may_block,
    struct log_found_batch *ret_found, struct ot_log_read *ret_cold)
{
	uint64_t place = 0;
	ot_err err = log_segment_open(log, segment, false);
	struct log_index_search search = {
		.key = OT_MIN(offset - segment->base_offset, (int64_t)INT32_MAX),
		.may_block = may_block,
	};
	if (err == OT_OK)
		err = log_segment_floor(log, segment, &search, &place, ret_cold);
	if (err != OT_OK)
		return err;
	bool is_hot = log_is_hot(log, segment, place);
	err = walk_to(segment, offset, place, may_block || is_hot, ret_found, ret_cold);
	/* An index that leads astray costs a walk through the segment, not the reader. */
	if (err == OT_ERR_CORRUPT_FILE && place > 0)
		err = walk_to(segment, offset, 0, may_block, ret_found, ret_cold);
	return err;
}
