/* Opening, second part: what of the segments is valid, and indexes that say so.
 *
 * After a clean stop every file is trusted as it is, but for indexes that are missing or have an
 * impossible size. After any other, nothing at or behind the recovery point is: of the segment that
 * holds it the index entries before it are kept (they were synced when it moved), batches are
 * checked from the last of these on, entries made anew, and the log is cut at the first batch that
 * is not valid. What would be valid behind a cut goes as well: the log is a prefix of what was
 * written. Between segments that means: a segment that begins before the end of the one before it,
 * or, where offsets have no gaps, behind it, ends the log (a machine can lose the tail of one file
 * and keep the next, when neither was synced).
 *
 * What was scanned is synced before the log is used. A cut, of this recovery or of a truncation
 * whose process was killed before it synced, could otherwise be undone by a machine that stops
 * later, and bring old batches back where new ones were lost.
 *
 * An invalid batch before the recovery point is no crash's doing, but damage to what was safe. The
 * log is then refused and its records left as they are, for a person to decide. */
#include "log/open_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/atomic_int.h"
#include "log/scan_int.h"

enum {
	NOTES_PER_WRITE = 4096, /* index entries between two writes of a rebuild */
	EPOCH_FILE_BYTES_MAX = 16 * 1024 * 1024,
};

/* ---- which entries of an index can be trusted ---------------------------------------------- */

/* Reads an index from its begin and counts entries until one breaks the order or reaches
 * `limit`. */
struct prefix {
	const struct log_segment *segment;
	int64_t limit; /* first offset that is not trusted */
	int64_t key;   /* of the last entry */
	int64_t value;
};

static bool
take_entry(struct prefix *prefix, enum log_index_kind kind, const uint8_t *raw)
{
	int64_t base = prefix->segment->base_offset;
	int64_t key = 0, value = 0, offset = 0;
	bool is_sane = true;
	if (kind == LOG_INDEX_OFFSET) {
		struct log_offset_entry entry = log_offset_entry_read(raw, base);
		key = offset = entry.offset;
		value = (int64_t)entry.place;
		/* The first batch has no entry, zeros are what a lost sector reads as. */
		is_sane = entry.place > 0 && entry.place < prefix->segment->bytes;
	} else if (kind == LOG_INDEX_TIME) {
		struct log_time_entry entry = log_time_entry_read(raw, base);
		key = entry.timestamp;
		value = offset = entry.offset;
	} else {
		struct log_txn_entry entry = log_txn_entry_read(raw);
		key = value = offset = entry.last_offset;
		is_sane = entry.version == LOG_TXN_VERSION && entry.producer_id >= 0 &&
		          entry.first_offset >= 0 && entry.first_offset < entry.last_offset;
	}
	if (!is_sane || offset < base || offset >= prefix->limit || key <= prefix->key ||
	    value <= prefix->value)
		return false;
	prefix->key = key;
	prefix->value = value;
	return true;
}

static ot_err
count_prefix(struct log_opening *opening, struct log_segment *segment, struct log_index *index,
    int64_t limit, uint32_t *ret_count)
{
	struct prefix prefix = { .segment = segment, .limit = limit, .key = -1, .value = -1 };
	uint32_t entry_bytes = log_index_entry_bytes(index->kind);
	uint32_t count = 0;
	*ret_count = 0;
	if (index->count == 0)
		return OT_OK;
	ot_err err = log_segment_open_index(opening->log, segment, index, true);
	bool is_sane = true;
	while (err == OT_OK && is_sane && count < index->count) {
		uint32_t some =
		    OT_MIN(index->count - count, (uint32_t)LOG_SCAN_WINDOW_LARGE / entry_bytes);
		err = log_index_read(index, count, some, opening->window);
		for (uint32_t i = 0; err == OT_OK && is_sane && i < some; i++) {
			is_sane = take_entry(&prefix, index->kind,
			    opening->window + (size_t)i * entry_bytes);
			count += is_sane ? 1 : 0;
		}
	}
	*ret_count = count;
	/* A file that is shorter than its size said ends the prefix as well. */
	return err == OT_ERR_CORRUPT_FILE ? OT_OK : err;
}

/* ---- scanning a segment -------------------------------------------------------------------- */

struct recovery {
	struct log_opening *opening;
	struct log_segment *segment;
	uint64_t place;       /* where the scan begins */
	int64_t first_offset; /* of the batch there, at least */
	bool is_rebuilt;      /* result: entries before the recovery point were made anew */
	int64_t next_offset;  /* what follows the last valid batch */
	uint64_t valid_bytes;
	bool is_cut; /* an invalid batch was found */
};

/* A file that is missing, and finds no space, is made by the write that does. */
static ot_err
open_to_write(struct ot_log *log, struct log_segment *segment, struct log_index *index)
{
	ot_err err = log_segment_open_index(log, segment, index, true);
	return err == OT_ERR_NO_SPACE && index->written == 0 ? OT_OK : err;
}

/* A size of no whole entries leaves bytes behind the last. */
static ot_err
cut_odd_bytes(struct log_index *index)
{
	uint64_t bytes = (uint64_t)index->count * log_index_entry_bytes(index->kind);
	ot_err err = ot_file_truncate(index->file, bytes);
	return err == OT_OK ? ot_file_sync(index->file) : err;
}

/* Keeps the first entries of each index as they are, and forgets the rest. */
static ot_err
keep_entries(struct log_opening *opening, struct log_segment *segment, uint32_t offset_count,
    int64_t limit)
{
	struct log_time_entry last = { .timestamp = OT_NO_TIMESTAMP,
		.offset = segment->base_offset };
	uint32_t time_count = 0;
	ot_err err = OT_OK;
	if (offset_count > 0)
		err = count_prefix(opening, segment, &segment->time_index, limit, &time_count);
	if (err == OT_OK)
		err = open_to_write(opening->log, segment, &segment->offset_index);
	if (err == OT_OK)
		err = open_to_write(opening->log, segment, &segment->time_index);
	if (err == OT_OK && time_count > 0)
		err = log_index_get_time(&segment->time_index, segment->base_offset, time_count - 1,
		    &last);
	if (err == OT_OK)
		err = log_index_cut(&segment->offset_index, offset_count);
	if (err == OT_OK)
		err = log_index_cut(&segment->time_index, time_count);
	if (err == OT_OK && segment->is_index_odd)
		err = cut_odd_bytes(&segment->offset_index);
	if (err == OT_OK && segment->is_index_odd)
		err = cut_odd_bytes(&segment->time_index);
	segment->max_timestamp = segment->time_indexed = last.timestamp;
	segment->max_timestamp_offset = last.offset;
	return err;
}

/* Whether a batch can follow what ends before `expected`. The base offset is not under the CRC, so
 * a jump where offsets have no gaps is taken for what a torn write or a flipped bit makes of it. */
static ot_err
check_order(const struct recovery *recovery, const struct log_scan_batch *batch, int64_t expected,
    struct ot_why *why)
{
	const struct log_opening *opening = recovery->opening;
	bool may_jump = opening->may_have_gaps || batch->magic != OT_MAGIC_V2 ||
	                expected < opening->recovery_point;
	if (batch->base_offset < expected || (batch->base_offset > expected && !may_jump)) {
		ot_why_set(why, "its batch has offset %" PRId64 " where %" PRId64 " follows",
		    batch->base_offset, expected);
		return OT_ERR_CORRUPT_FILE;
	}
	if (batch->last_offset - recovery->segment->base_offset > INT32_MAX) {
		ot_why_set(why,
		    "its batch with offset %" PRId64 " lies too far from the segment's base",
		    batch->base_offset);
		return OT_ERR_CORRUPT_FILE;
	}
	return OT_OK;
}

static ot_err
note_batch(struct recovery *recovery, const struct log_scan_batch *batch)
{
	struct ot_log *log = recovery->opening->log;
	struct log_segment *segment = recovery->segment;
	struct log_note note = {
		.place = batch->place,
		.bytes = batch->bytes,
		.last_offset = batch->last_offset,
		.max_timestamp = batch->max_timestamp,
	};
	ot_err err = log_segment_reserve_notes(segment, 1);
	if (err != OT_OK)
		return err;
	log_segment_note_batch(segment, log->settings.index_interval_bytes, &note);
	recovery->opening->result->bytes_scanned += batch->bytes;
	if (batch->magic == OT_MAGIC_V2) {
		err = log_epochs_reserve(&log->epochs, 1);
		if (err != OT_OK)
			return err;
		if (log_epochs_note_batch(&log->epochs, batch->info.leader_epoch,
			batch->base_offset))
			log->is_epoch_file_stale = true;
	}
	uint32_t pending = log_index_pending(&segment->offset_index);
	if (pending > 0 && pending % NOTES_PER_WRITE == 0)
		err = log_segment_write_or_keep(log, segment);
	return err;
}

/* Walks the segment from recovery->place on. An invalid batch is no error of this function. */
static ot_err
scan_segment(struct recovery *recovery)
{
	struct log_opening *opening = recovery->opening;
	struct log_segment *segment = recovery->segment;
	struct log_scan scan;
	struct log_scan_batch batch;
	struct ot_why why = { "" };
	ot_err err = log_segment_open(opening->log, segment, true);
	if (err != OT_OK)
		return err;
	log_scan_init(&scan, segment->file, recovery->place, segment->bytes, opening->window,
	    LOG_SCAN_WINDOW_LARGE);
	scan.is_checking = true;
	recovery->next_offset = recovery->first_offset;
	for (;;) {
		err = log_scan_next(&scan, &batch, &why);
		if (err == OT_OK && batch.bytes == 0)
			break;
		if (err == OT_OK)
			err = check_order(recovery, &batch, recovery->next_offset, &why);
		if (err == OT_ERR_CORRUPT_FILE) {
			recovery->is_cut = true;
			ot_why_set(&opening->result->why,
			    "segment %" PRId64 " at byte %" PRIu64 ": %s", segment->base_offset,
			    batch.place, why.text);
			break;
		}
		if (err == OT_OK)
			err = note_batch(recovery, &batch);
		if (err != OT_OK)
			return err;
		recovery->next_offset = batch.last_offset + 1;
	}
	recovery->valid_bytes = recovery->is_cut ? batch.place : scan.place;
	return OT_OK;
}

/* Whether the batch that an entry names is there, begins as it should and is whole. */
static ot_err
is_entry_true(struct log_opening *opening, struct log_segment *segment,
    const struct log_offset_entry *entry, int64_t *ret_base, bool *ret_is_true)
{
	struct log_scan scan;
	struct log_scan_batch batch;
	ot_err err = log_segment_open(opening->log, segment, true);
	if (err != OT_OK)
		return err;
	log_scan_init(&scan, segment->file, entry->place, segment->bytes, opening->window,
	    LOG_SCAN_WINDOW_LARGE);
	scan.is_checking = true;
	err = log_scan_next(&scan, &batch, NULL);
	*ret_is_true = err == OT_OK && batch.bytes > 0 && batch.base_offset <= entry->offset &&
	               batch.base_offset >= segment->base_offset;
	*ret_base = batch.base_offset;
	return err == OT_ERR_CORRUPT_FILE ? OT_OK : err;
}

/* Where the check of a segment can begin, given that all before `limit` was synced. */
static ot_err
find_begin(struct recovery *recovery, int64_t limit)
{
	struct log_opening *opening = recovery->opening;
	struct log_segment *segment = recovery->segment;
	uint32_t count = 0;
	recovery->place = 0;
	recovery->first_offset = segment->base_offset;
	recovery->is_rebuilt = segment->is_index_lost;
	ot_err err = OT_OK;
	if (!segment->is_index_lost)
		err = count_prefix(opening, segment, &segment->offset_index, limit, &count);
	while (err == OT_OK && count > 0) {
		struct log_offset_entry entry;
		bool is_true = false;
		int64_t base = 0;
		err = log_index_get_offset(&segment->offset_index, segment->base_offset, count - 1,
		    &entry);
		if (err == OT_OK)
			err = is_entry_true(opening, segment, &entry, &base, &is_true);
		if (err == OT_OK && is_true) {
			recovery->place = entry.place;
			recovery->first_offset = base;
			segment->index_place = entry.place;
			return keep_entries(opening, segment, count, entry.offset + 1);
		}
		recovery->is_rebuilt = true;
		count--;
	}
	return err == OT_OK ? keep_entries(opening, segment, 0, limit) : err;
}

/* Removes entries of aborted transactions that are not trusted; replay adds them again. */
static ot_err
keep_aborted(struct log_opening *opening, struct log_segment *segment, int64_t limit)
{
	uint32_t count = 0;
	if (segment->txn_index.count == 0 && !segment->is_txn_odd)
		return OT_OK;
	ot_err err = count_prefix(opening, segment, &segment->txn_index, limit, &count);
	if (err != OT_OK)
		return err;
	bool is_short = count < segment->txn_index.count || segment->is_txn_odd;
	if (!is_short)
		return OT_OK;
	err = log_segment_open_index(opening->log, segment, &segment->txn_index, true);
	if (err == OT_OK)
		err = log_index_cut(&segment->txn_index, count);
	if (err == OT_OK && segment->is_txn_odd)
		err = cut_odd_bytes(&segment->txn_index);
	opening->is_changed = true;
	return err;
}

/* ---- segments in order --------------------------------------------------------------------- */

static ot_err
finish_indexes(struct log_opening *opening, struct log_segment *segment)
{
	ot_err err = log_segment_finish_time(segment);
	return err == OT_OK ? log_segment_write_or_keep(opening->log, segment) : err;
}

/* The recovery point vouches for what lies before it. */
static ot_err
sync_indexes(struct log_segment *segment)
{
	ot_err err = OT_OK;
	if (segment->offset_index.file != NULL)
		err = ot_file_sync(segment->offset_index.file);
	if (err == OT_OK && segment->time_index.file != NULL)
		err = ot_file_sync(segment->time_index.file);
	return err;
}

/* Rebuilds the indexes of a segment whose records are trusted, and checks these on the way. */
static ot_err
rebuild_trusted(struct log_opening *opening, struct log_segment *segment)
{
	struct recovery recovery = { .opening = opening, .segment = segment };
	recovery.first_offset = segment->base_offset;
	opening->result->indexes_rebuilt++;
	ot_err err = keep_entries(opening, segment, 0, INT64_MAX);
	if (err == OT_OK)
		err = scan_segment(&recovery);
	if (err == OT_OK)
		err = finish_indexes(opening, segment);
	if (err == OT_OK)
		err = sync_indexes(segment);
	if (err == OT_OK && recovery.is_cut)
		err = OT_ERR_CORRUPT_FILE;
	return err;
}

/* Entries at the ends of a trusted segment's indexes: a look that costs little. */
static ot_err
check_trusted(struct log_opening *opening, struct log_segment *segment, int64_t end)
{
	struct log_offset_entry entry;
	if (segment->offset_index.count == 0)
		return OT_OK;
	ot_err err = log_segment_open_index(opening->log, segment, &segment->offset_index, false);
	if (err == OT_OK)
		err = log_index_get_offset(&segment->offset_index, segment->base_offset,
		    segment->offset_index.count - 1, &entry);
	if (err == OT_OK && (entry.offset < segment->base_offset || entry.offset >= end ||
				entry.place >= segment->bytes))
		segment->is_index_lost = true;
	if (err == OT_ERR_CORRUPT_FILE || err == OT_ERR_NOT_FOUND) {
		segment->is_index_lost = true;
		err = OT_OK;
	}
	return err;
}

static ot_err
recover_trusted(struct log_opening *opening, uint32_t place, int64_t end)
{
	struct log_segment *segment = opening->log->segments[place];
	uint32_t txn_before = segment->txn_index.count;
	/* Thousands of segments after a clean stop are not to be opened one by one. */
	ot_err err = OT_OK;
	if (!opening->args->is_clean || place + 1 == opening->log->segment_count)
		err = check_trusted(opening, segment, end);
	if (err == OT_OK && (txn_before > 0 || segment->is_txn_odd))
		err = keep_aborted(opening, segment, end);
	segment->is_txn_odd = segment->is_txn_odd || segment->txn_index.count < txn_before;
	if (err == OT_OK && segment->is_txn_odd) {
		opening->doubt_from = OT_MIN(opening->doubt_from, segment->base_offset);
		opening->result->indexes_rebuilt++;
	}
	if (err == OT_OK && (segment->is_index_lost || segment->is_index_odd))
		err = rebuild_trusted(opening, segment);
	if (err == OT_OK)
		log_segment_close_files(segment);
	return err;
}

/* Cuts the file behind its last valid batch. */
static ot_err
cut_segment(struct log_opening *opening, struct log_segment *segment, uint64_t valid_bytes)
{
	opening->result->bytes_truncated += segment->bytes - valid_bytes;
	segment->bytes = valid_bytes;
	opening->is_changed = true;
	return ot_file_truncate(segment->file, valid_bytes);
}

static ot_err
recover_doubted(struct log_opening *opening, struct log_segment *segment, int64_t *ret_next_offset,
    bool *ret_is_cut)
{
	struct recovery recovery = { .opening = opening, .segment = segment };
	int64_t recovery_point = opening->recovery_point;
	ot_err err = find_begin(&recovery, recovery_point);
	opening->result->indexes_rebuilt += recovery.is_rebuilt ? 1 : 0;
	if (err == OT_OK)
		err = keep_aborted(opening, segment, recovery.first_offset);
	if (err != OT_OK)
		return err;
	opening->doubt_from = OT_MIN(opening->doubt_from, recovery.first_offset);
	err = scan_segment(&recovery);
	if (err == OT_OK && recovery.is_cut && recovery.next_offset < recovery_point)
		return OT_ERR_CORRUPT_FILE;
	if (err == OT_OK && recovery.is_cut)
		err = cut_segment(opening, segment, recovery.valid_bytes);
	if (err == OT_OK)
		err = ot_file_sync(segment->file);
	if (err == OT_OK)
		err = finish_indexes(opening, segment);
	if (err == OT_OK && recovery.is_rebuilt)
		err = sync_indexes(segment);
	if (err == OT_OK)
		log_segment_close_files(segment);
	*ret_next_offset = recovery.next_offset;
	*ret_is_cut = recovery.is_cut;
	return err;
}

/* Whether the segment can follow what ends before `next_offset`. */
static bool
can_follow(struct log_opening *opening, const struct log_segment *segment, int64_t next_offset)
{
	if (segment->base_offset == next_offset)
		return true;
	bool may_have_gaps = opening->may_have_gaps || next_offset < opening->recovery_point;
	if (segment->base_offset > next_offset && may_have_gaps)
		return true;
	ot_why_set(&opening->result->why,
	    "segment %" PRId64 " does not follow the one before it, which ends at offset %" PRId64,
	    segment->base_offset, next_offset);
	return false;
}

/* The end of a log whose last segment is trusted: behind the batch of the last index entry. */
static ot_err
find_end(struct log_opening *opening, struct log_segment *segment, int64_t *ret_end)
{
	struct log_scan scan;
	struct log_scan_batch batch;
	int64_t end = segment->base_offset;
	ot_err err = log_segment_open(opening->log, segment, false);
	if (err != OT_OK)
		return err;
	uint64_t place = 0;
	struct log_offset_entry entry;
	if (segment->offset_index.count > 0) {
		err = log_segment_open_index(opening->log, segment, &segment->offset_index, false);
		if (err == OT_OK)
			err = log_index_get_offset(&segment->offset_index, segment->base_offset,
			    segment->offset_index.count - 1, &entry);
		if (err != OT_OK)
			return err;
		place = entry.place;
	}
	log_scan_init(&scan, segment->file, place, segment->bytes, opening->window,
	    LOG_SCAN_WINDOW_LARGE);
	do {
		err = log_scan_next(&scan, &batch, &opening->result->why);
		if (err == OT_OK && batch.bytes > 0)
			end = batch.last_offset + 1;
	} while (err == OT_OK && batch.bytes > 0);
	segment->index_place = place;
	*ret_end = end;
	return err;
}

ot_err
log_recover_segments(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	int64_t next_offset = log->segment_count == 0 ? 0 : log->segments[0]->base_offset;
	int64_t recovery_point = opening->recovery_point;
	bool is_doubted = false, is_cut = false;
	for (uint32_t i = 0; i < log->segment_count && !is_cut; i++) {
		struct log_segment *segment = log->segments[i];
		bool is_last = i + 1 == log->segment_count;
		int64_t end = is_last ? INT64_MAX : log->segments[i + 1]->base_offset;
		if (is_doubted && !can_follow(opening, segment, next_offset)) {
			ot_err err = log_remove_segments_from(opening, i);
			if (err != OT_OK)
				return err;
			break;
		}
		/* A segment that ends at the recovery point may have been rolled since, which adds
		 * to its time index. */
		is_doubted = !opening->args->is_clean && (is_last || end >= recovery_point);
		ot_err err = is_doubted ? recover_doubted(opening, segment, &next_offset, &is_cut)
		                        : recover_trusted(opening, i, end);
		if (err == OT_OK && !is_doubted && is_last)
			err = find_end(opening, segment, &next_offset);
		if (err == OT_OK && is_cut)
			err = log_remove_segments_from(opening, i + 1);
		if (err != OT_OK)
			return err;
	}
	log->end_offset = next_offset;
	return OT_OK;
}

/* ---- epochs -------------------------------------------------------------------------------- */

ot_err
log_load_epochs(struct log_opening *opening, bool *ret_is_lost)
{
	struct ot_log *log = opening->log;
	char path[LOG_PATH_BYTES];
	struct ot_writer text;
	struct ot_why why;
	ot_writer_init(&text);
	log_path_named(path, log->dir, LOG_EPOCH_FILE);
	ot_err err = log_read_file(log->fs, path, EPOCH_FILE_BYTES_MAX, &text);
	if (err == OT_OK)
		err = log_epochs_parse(&log->epochs, (const char *)text.data, text.bytes, &why);
	*ret_is_lost = err == OT_ERR_CORRUPT_FILE || err == OT_ERR_NOT_FOUND;
	ot_writer_fini(&text);
	return *ret_is_lost ? OT_OK : err;
}

static ot_err
collect_epochs(struct log_opening *opening, struct log_segment *segment, struct log_epochs *epochs)
{
	struct log_scan scan;
	struct log_scan_batch batch = { 0 };
	ot_err err = log_segment_open(opening->log, segment, false);
	if (err != OT_OK)
		return err;
	log_scan_init(&scan, segment->file, 0, segment->bytes, opening->window,
	    LOG_SCAN_WINDOW_LARGE);
	do {
		err = log_scan_next(&scan, &batch, &opening->result->why);
		if (err != OT_OK || batch.bytes == 0 || batch.magic != OT_MAGIC_V2 ||
		    batch.info.leader_epoch <= log_epochs_latest(epochs))
			continue;
		err = log_epochs_reserve(epochs, 1);
		if (err == OT_OK)
			log_epochs_assign(epochs, batch.info.leader_epoch, batch.base_offset);
	} while (err == OT_OK && batch.bytes > 0);
	return err;
}

ot_err
log_rebuild_epochs(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	struct log_epochs epochs;
	ot_err err = OT_OK;
	log_epochs_init(&epochs);
	for (uint32_t i = 0; err == OT_OK && i < log->segment_count; i++)
		err = collect_epochs(opening, log->segments[i], &epochs);
	if (err != OT_OK) {
		log_epochs_fini(&epochs);
		return err;
	}
	opening->result->is_epoch_file_rebuilt = epochs.count > 0;
	log->is_epoch_file_stale = log->is_epoch_file_stale || epochs.count > 0;
	log_epochs_fini(&log->epochs);
	log->epochs = epochs;
	return OT_OK;
}
