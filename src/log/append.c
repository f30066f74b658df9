/* Appending: staging batches during a turn, and writing them together at its end.
 *
 * Staging decides everything that can be refused (sequence, epoch, memory) and gives offsets; the
 * write then goes segment by segment, one gathered write each. What follows a write that succeeded
 * cannot fail: memory for index entries, transactions and epochs was reserved before. So after each
 * segment's part the log is in a state of its own, and a failure undoes the rest: the file is cut
 * back, producers get their entries back, newest first, and nobody has seen an offset of it.
 *
 * Disk space is reserved ahead in pieces that grow with the segment, since writes into reserved
 * space cost half and do not wait behind a sync. Reserved space changes no size that a reader or a
 * recovery sees; it is given back when the segment is rolled, closed or idle. */
#include "log/log_int.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/plant.h"

enum { STAGED_MIN = 4, STAGED_KEPT_MAX = 64 };

void
log_fail(struct ot_log *log, ot_err err)
{
	OT_ASSERT(err != OT_OK);
	if (log->failure == OT_OK)
		log->failure = err;
}

/* What passes: the disk has room again, or the process has memory or descriptors. The log has
 * undone what it had begun, and goes on with the next append. */
static bool
is_shortage(ot_err err)
{
	return err == OT_ERR_NO_SPACE || err == OT_ERR_NO_MEMORY || err == OT_ERR_NO_FILES;
}

/* ---- staging ------------------------------------------------------------------------------- */

static ot_err
reserve_staged(struct ot_log *log)
{
	if (log->staged_count < log->staged_capacity)
		return OT_OK;
	uint32_t capacity = OT_MAX(2 * log->staged_capacity, (uint32_t)STAGED_MIN);
	struct log_staged *staged = ot_realloc(log->staged, capacity * sizeof(staged[0]));
	if (staged == NULL)
		return OT_ERR_NO_MEMORY;
	log->staged = staged;
	log->staged_capacity = capacity;
	return OT_OK;
}

/* The offsets that the batch gets or, from a leader, has. */
static ot_err
give_offsets(const struct ot_log *log, const struct ot_log_batch *batch, int64_t *ret_base,
    struct ot_why *why)
{
	const struct ot_batch_info *info = batch->info;
	int64_t base = log->staged_end;
	if (batch->origin == OT_ORIGIN_LEADER) {
		base = info->base_offset;
		if (base < log->staged_end) {
			ot_why_set(why,
			    "The leader's batch begins at offset %" PRId64
			    ", before the end of this log, %" PRId64 ".",
			    base, log->staged_end);
			return OT_ERR_OFFSET_OUT_OF_RANGE;
		}
	}
	if (info->bytes > (size_t)log->settings.segment_bytes) {
		ot_why_set(why, "The batch of %zu bytes is larger than segment.bytes, %" PRId32 ".",
		    info->bytes, log->settings.segment_bytes);
		return OT_ERR_RECORD_LIST_TOO_LARGE;
	}
	if (base > INT64_MAX - 1 - info->last_offset_delta)
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	*ret_base = base;
	return OT_OK;
}

static bool
is_duplicate(const struct ot_log *log, const struct ot_log_batch *batch,
    struct ot_log_staged *ret_staged)
{
	if (batch->origin != OT_ORIGIN_CLIENT || batch->info->producer_id < 0 ||
	    OT_PLANT(DUPLICATES))
		return false;
	const struct log_producer_batch *same =
	    log_producers_find_duplicate(&log->producers, batch->info);
	if (same == NULL)
		return false;
	*ret_staged = (struct ot_log_staged){
		.base_offset = same->last_offset - same->offset_delta,
		.last_offset = same->last_offset,
		.timestamp = same->timestamp,
		.is_duplicate = true,
	};
	return true;
}

static ot_err
check_producer(struct ot_log *log, const struct ot_log_batch *batch, struct log_staged *staged,
    struct ot_why *why)
{
	if (batch->info->producer_id < 0)
		return OT_OK;
	struct log_producer_append append = {
		.info = batch->info,
		.data = batch->bytes,
		.base_offset = staged->base_offset,
		.last_offset = staged->last_offset,
		.origin = batch->origin,
		.transaction_version = batch->transaction_version,
	};
	staged->has_producer = true;
	return log_producers_append(&log->producers, &append, &staged->event, &staged->undo, why);
}

ot_err
ot_log_stage(struct ot_log *log, const struct ot_log_batch *batch, struct ot_log_staged *ret_staged,
    struct ot_why *why)
{
	const struct ot_batch_info *info = batch->info;
	OT_ASSERT(log->magic == LOG_MAGIC && info->magic == OT_MAGIC_V2);
	if (log->failure != OT_OK) {
		ot_why_set(why, "The log in %s is offline: %s.", log->dir,
		    ot_err_message(log->failure));
		return OT_ERR_OFFLINE;
	}
	if (is_duplicate(log, batch, ret_staged))
		return OT_OK;
	int64_t base = 0;
	ot_err err = give_offsets(log, batch, &base, why);
	if (err == OT_OK)
		err = reserve_staged(log);
	if (err != OT_OK)
		return err;
	struct log_staged *staged = &log->staged[log->staged_count];
	*staged = (struct log_staged){
		.data = batch->bytes,
		.bytes = info->bytes,
		.base_offset = base,
		.last_offset = base + info->last_offset_delta,
		.max_timestamp = info->max_timestamp,
		.leader_epoch = batch->leader_epoch,
	};
	err = check_producer(log, batch, staged, why);
	if (err != OT_OK)
		return err;
	if (batch->origin == OT_ORIGIN_LEADER) {
		staged->leader_epoch = info->leader_epoch;
	} else {
		ot_batch_set_base_offset(batch->bytes, base);
		ot_batch_set_leader_epoch(batch->bytes, batch->leader_epoch);
	}
	staged->blob = batch->blob == NULL ? NULL : ot_blob_ref(batch->blob);
	log->staged_count++;
	log->staged_end = staged->last_offset + 1;
	log->staged_bytes += staged->bytes;
	*ret_staged = (struct ot_log_staged){
		.base_offset = base,
		.last_offset = staged->last_offset,
		.timestamp = info->max_timestamp,
	};
	return OT_OK;
}

int64_t
ot_log_staged_end(const struct ot_log *log)
{
	return log->staged_end;
}

/* ---- rolling ------------------------------------------------------------------------------- */

/* Spreads the rolls of many segments: from 0 to segment.jitter.ms, by log and segment. */
static int64_t
jitter_of(const struct ot_log *log, const struct log_segment *segment)
{
	int64_t most = OT_MIN(log->settings.segment_jitter_ms, log->settings.segment_ms);
	if (most <= 0)
		return 0;
	uint64_t mixed = (log->random ^ (uint64_t)segment->base_offset) * 0x9e3779b97f4a7c15ull;
	return (int64_t)((mixed >> 20) % (uint64_t)most);
}

/* Time from one timestamp to another, which peers choose: what goes back is no time. */
static int64_t
time_between(int64_t from, int64_t to)
{
	return from >= 0 && to > from ? to - from : 0;
}

/* Whether segment.ms has passed, by the records' own time where they have one. */
static bool
is_roll_due(const struct ot_log *log, const struct log_segment *segment, int64_t timestamp,
    ot_wall_ms now)
{
	if (segment->bytes == 0)
		return false;
	bool has_time =
	    segment->first_timestamp != LOG_TIMESTAMP_UNKNOWN && segment->first_timestamp >= 0;
	int64_t waited = time_between(has_time ? segment->first_timestamp : segment->created,
	    has_time ? timestamp : now);
	return waited > log->settings.segment_ms - jitter_of(log, segment);
}

/* Index entries that still fit; the time index keeps one for the segment's end. */
static uint32_t
index_room(const struct ot_log *log, const struct log_segment *segment)
{
	uint32_t bytes_max = (uint32_t)log->settings.segment_index_bytes;
	uint32_t offset_max = bytes_max / LOG_OFFSET_ENTRY_BYTES;
	uint32_t time_max = bytes_max / LOG_TIME_ENTRY_BYTES;
	uint32_t offset_room = offset_max - OT_MIN(offset_max, segment->offset_index.count);
	uint32_t time_used = segment->time_index.count + 1;
	uint32_t time_room = time_max - OT_MIN(time_max, time_used);
	/* The first batch of a segment needs no entry, however small the indexes are to be. */
	return OT_MAX(OT_MIN(offset_room, time_room), segment->bytes == 0 ? 1u : 0u);
}

/* Ends the active segment: its indexes are complete and written, the space behind it is free. */
static ot_err
finish_segment(struct ot_log *log, struct log_segment *segment)
{
	ot_err err = log_segment_finish_time(segment);
	if (err == OT_OK)
		err = log_segment_write_indexes(log, segment);
	if (err != OT_OK)
		return err;
	log_index_forget_tail(&segment->offset_index);
	log_index_forget_tail(&segment->time_index);
	log_index_forget_tail(&segment->txn_index);
	if (segment->bytes_reserved > segment->bytes && segment->file != NULL)
		err = ot_file_truncate(segment->file, segment->bytes);
	if (err == OT_OK)
		segment->bytes_reserved = 0;
	return err;
}

ot_err
log_roll_segment(struct ot_log *log, int64_t base_offset, ot_wall_ms now)
{
	struct log_segment *old = log_active(log);
	OT_ASSERT(base_offset > old->base_offset && base_offset >= log->end_offset);
	struct log_segment *segment = log_segment_create(base_offset, now);
	if (segment == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = log_segment_make_files(log, segment);
	if (err == OT_OK)
		err = finish_segment(log, old);
	if (err == OT_OK)
		err = log_push_segment(log, segment);
	if (err != OT_OK) {
		log_segment_remove_files(log, segment);
		log_segment_destroy(segment);
		return err;
	}
	log->write_back_place = 0;
	log_queue_snapshot(log, false);
	/* Its files are inactive ones now, and closed when their turn comes. */
	return log_segment_open(log, old, false);
}

ot_err
ot_log_roll(struct ot_log *log, ot_wall_ms now, bool is_due_only)
{
	OT_ASSERT(log->staged_count == 0);
	struct log_segment *active = log_active(log);
	if (log->failure != OT_OK)
		return OT_ERR_OFFLINE;
	if (active->bytes == 0 || (is_due_only && !is_roll_due(log, active, now, now)))
		return OT_OK;
	ot_err err = log_roll_segment(log, log->end_offset, now);
	if (err != OT_OK && !is_shortage(err))
		log_fail(log, err);
	return err;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* How many staged batches from `first` on go into the active segment; 0 when it must roll. */
static uint32_t
count_fitting(const struct ot_log *log, uint32_t first, ot_wall_ms now)
{
	const struct log_segment *segment = log_active(log);
	uint32_t room = index_room(log, segment);
	uint64_t bytes = segment->bytes;
	bool has_first = segment->bytes > 0;
	int64_t limit = log->settings.segment_ms - jitter_of(log, segment);
	int64_t first_timestamp = segment->first_timestamp;
	uint32_t count = 0;
	while (first + count < log->staged_count && count < room) {
		const struct log_staged *staged = &log->staged[first + count];
		if (bytes + staged->bytes > (uint64_t)log->settings.segment_bytes && bytes > 0)
			break;
		if (staged->last_offset - segment->base_offset > INT32_MAX)
			break;
		if (count == 0 && is_roll_due(log, segment, staged->max_timestamp, now))
			break;
		if (!has_first)
			first_timestamp = staged->max_timestamp;
		has_first = true;
		if (time_between(first_timestamp, staged->max_timestamp) > limit)
			break;
		bytes += staged->bytes;
		count++;
	}
	return count;
}

/* Reserves disk space for `bytes` more when the reserved space is used up: a quarter of the segment
 * at a time, so that what is reserved in vain stays in proportion. */
static ot_err
reserve_space(struct ot_log *log, struct log_segment *segment, uint64_t bytes)
{
	uint64_t end = segment->bytes + bytes;
	if (end <= segment->bytes_reserved || segment->bytes < LOG_RESERVE_BYTES_MIN)
		return OT_OK;
	uint64_t ahead = OT_MIN(segment->bytes / 4, (uint64_t)LOG_RESERVE_BYTES_MAX);
	uint64_t from = OT_MAX(segment->bytes, segment->bytes_reserved);
	uint64_t to = OT_MAX(end, from + ahead);
	to = OT_MIN(to, OT_MAX(end, (uint64_t)log->settings.segment_bytes));
	ot_err err = ot_file_reserve(segment->file, from, to - from);
	/* What cannot be had ahead may still be had by the write itself. */
	if (err == OT_ERR_NO_SPACE)
		return OT_OK;
	if (err == OT_OK)
		segment->bytes_reserved = to;
	return err;
}

static ot_err
reserve_memory(struct ot_log *log, struct log_segment *segment, uint32_t first, uint32_t count)
{
	uint32_t events = 0, aborts = 0, epochs = 0;
	int32_t epoch = log_epochs_latest(&log->epochs);
	for (uint32_t i = first; i < first + count; i++) {
		epochs += log->staged[i].leader_epoch != epoch ? 1 : 0;
		epoch = log->staged[i].leader_epoch;
		events += log->staged[i].event.kind != LOG_TXN_NONE ? 1 : 0;
		aborts += log->staged[i].event.kind == LOG_TXN_ABORT ? 1 : 0;
	}
	ot_err err = log_segment_reserve_notes(segment, count);
	if (err == OT_OK && aborts > 0)
		err = log_index_reserve(&segment->txn_index, aborts);
	if (err == OT_OK && events > 0)
		err = log_producers_reserve(&log->producers, events);
	if (err == OT_OK && epochs > 0)
		err = log_epochs_reserve(&log->epochs, epochs);
	return err;
}

/* Writes batches [first, first + count) behind the segment's end. */
static ot_err
write_pieces(struct ot_log *log, struct log_segment *segment, uint32_t first, uint32_t count)
{
	struct iovec pieces[LOG_PIECES_MAX];
	uint64_t place = segment->bytes;
	uint32_t done = 0;
	while (done < count) {
		uint32_t some = OT_MIN(count - done, (uint32_t)LOG_PIECES_MAX);
		uint64_t bytes = 0;
		for (uint32_t i = 0; i < some; i++) {
			const struct log_staged *staged = &log->staged[first + done + i];
			pieces[i] =
			    (struct iovec){ .iov_base = staged->data, .iov_len = staged->bytes };
			bytes += staged->bytes;
		}
		ot_err err = ot_file_write(segment->file, pieces, (int)some, place);
		if (err != OT_OK)
			return err;
		place += bytes;
		done += some;
	}
	return OT_OK;
}

/* A batch is in the file: nothing below fails. */
static void
commit_batch(struct ot_log *log, struct log_segment *segment, struct log_staged *staged)
{
	struct log_note note = {
		.place = segment->bytes,
		.bytes = staged->bytes,
		.last_offset = staged->last_offset,
		.max_timestamp = staged->max_timestamp,
	};
	log_segment_note_batch(segment, log->settings.index_interval_bytes, &note);
	if (staged->has_producer) {
		int64_t stable = log_producers_apply(&log->producers, &staged->event);
		if (staged->event.kind == LOG_TXN_ABORT)
			log_index_push_txn(&segment->txn_index,
			    &(struct log_txn_entry){
				.producer_id = staged->event.producer_id,
				.first_offset = staged->event.first_offset,
				.last_offset = staged->event.last_offset,
				.last_stable_offset = stable,
			    });
	}
	if (log_epochs_note_batch(&log->epochs, staged->leader_epoch, staged->base_offset))
		log->is_epoch_file_stale = true;
	segment->bytes += staged->bytes;
	log->end_offset = staged->last_offset + 1;
	log->bytes_unsynced += staged->bytes;
	log->bytes_after_snapshot += staged->bytes;
	log->batches_appended++;
	ot_blob_unref(staged->blob);
	staged->blob = NULL;
}

/* A segment's part of the turn. */
static ot_err
write_part(struct ot_log *log, uint32_t first, uint32_t count)
{
	struct log_segment *segment = log_active(log);
	uint64_t bytes = 0;
	for (uint32_t i = first; i < first + count; i++)
		bytes += log->staged[i].bytes;
	ot_err err = reserve_memory(log, segment, first, count);
	if (err == OT_OK)
		err = log_segment_open(log, segment, true);
	if (err == OT_OK)
		err = reserve_space(log, segment, bytes);
	if (err != OT_OK)
		return err;
	err = write_pieces(log, segment, first, count);
	if (err != OT_OK) {
		/* What of it was written must not be found by a recovery. */
		ot_err cut = ot_file_truncate(segment->file, segment->bytes);
		segment->bytes_reserved = 0;
		return cut == OT_OK ? err : cut;
	}
	for (uint32_t i = first; i < first + count; i++)
		commit_batch(log, segment, &log->staged[i]);
	if (log_index_pending(&segment->offset_index) < LOG_INDEX_PENDING_MAX)
		return OT_OK;
	/* A shortage leaves entries waiting in memory, which loses nothing. */
	err = log_segment_write_indexes(log, segment);
	return is_shortage(err) ? OT_OK : err;
}

/* Takes staged batches from `first` on back, newest first. */
static void
undo_staged(struct ot_log *log, uint32_t first)
{
	for (uint32_t i = log->staged_count; i > first; i--) {
		struct log_staged *staged = &log->staged[i - 1];
		if (staged->has_producer)
			log_producers_undo(&log->producers, &staged->undo);
		ot_blob_unref(staged->blob);
	}
}

static void
end_turn(struct ot_log *log)
{
	log->staged_count = log->staged_done = 0;
	log->staged_bytes = 0;
	log->staged_end = log->end_offset;
	if (log->staged_capacity <= STAGED_KEPT_MAX)
		return;
	ot_free(log->staged);
	log->staged = NULL;
	log->staged_capacity = 0;
}

ot_err
ot_log_write_staged(struct ot_log *log, ot_wall_ms now)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_done == 0);
	ot_err err = log->failure == OT_OK ? OT_OK : OT_ERR_OFFLINE;
	while (err == OT_OK && log->staged_done < log->staged_count) {
		uint32_t count = count_fitting(log, log->staged_done, now);
		int64_t base_offset = log->staged[log->staged_done].base_offset;
		if (count == 0) {
			err = log_roll_segment(log, base_offset, now);
			continue;
		}
		err = write_part(log, log->staged_done, count);
		/* An error behind the write itself leaves the batches written. */
		if (log->end_offset > base_offset)
			log->staged_done += count;
	}
	if (err != OT_OK) {
		undo_staged(log, log->staged_done);
		if (!is_shortage(err) && err != OT_ERR_OFFLINE)
			log_fail(log, err);
	}
	end_turn(log);
	return err;
}
