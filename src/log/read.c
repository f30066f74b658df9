/* Reading: which bytes of which file answer a fetch.
 *
 * The way from an offset to a place is segment, index, and a walk over at most the headers of one
 * index interval. A sequential reader asks next for what followed its last answer, so the place
 * where each answer ended is kept as a hint, and in the common case nothing is searched at all.
 *
 * An answer ends between two batches. Where the bound or the file ends that is known; where
 * `bytes_max` cuts, the last index entry before the cut says where to walk from. */
#include "log/log_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/scan_int.h"

void
log_hints_clear(struct ot_log *log)
{
	for (uint32_t i = 0; log->hints != NULL && i < LOG_HINT_SETS; i++) {
		for (uint32_t way = 0; way < LOG_HINT_WAYS; way++)
			log->hints[i][way].offset = -1;
	}
	log->bound.offset = -1;
}

void
log_hints_free(struct ot_log *log)
{
	ot_free(log->hints);
	log->hints = NULL;
	log->bound.offset = -1;
}

/* The places where the hint of that offset may stand, the newest first. */
static struct log_hint *
hint_set(const struct ot_log *log, int64_t offset)
{
	uint64_t mixed = (uint64_t)offset * 0x9e3779b97f4a7c15ull;
	return log->hints[mixed >> 32 & (LOG_HINT_SETS - 1)];
}

static void
keep_hint(struct ot_log *log, const struct log_segment *segment, int64_t offset, uint64_t place)
{
	if (log->hints == NULL) {
		log->hints = ot_alloc_raw(LOG_HINT_SETS * sizeof(log->hints[0]));
		if (log->hints == NULL)
			return;
		log_hints_clear(log);
	}
	struct log_hint *set = hint_set(log, offset);
	if (set[0].offset == offset)
		return;
	memmove(set + 1, set, (LOG_HINT_WAYS - 1) * sizeof(set[0]));
	set[0] = (struct log_hint){
		.offset = offset,
		.segment_base = segment->base_offset,
		.place = place,
	};
}

/* Where a batch that holds or follows `offset` begins, when a reader was there before. */
static bool
find_hint(const struct ot_log *log, const struct log_segment *segment, int64_t offset,
    uint64_t *ret_place)
{
	for (uint32_t i = 0; log->hints != NULL && i < LOG_HINT_WAYS; i++) {
		const struct log_hint *hint = &hint_set(log, offset)[i];
		if (hint->offset != offset || hint->segment_base != segment->base_offset)
			continue;
		*ret_place = hint->place;
		return true;
	}
	return false;
}

static ot_err
find_start(struct ot_log *log, struct log_segment *segment, const struct ot_log_read_args *args,
    uint64_t *ret_place, struct ot_log_read *ret_read)
{
	struct log_found_batch found;
	if (args->offset <= segment->base_offset) {
		*ret_place = 0;
		return OT_OK;
	}
	if (find_hint(log, segment, args->offset, ret_place))
		return OT_OK;
	ot_err err =
	    log_segment_find(log, segment, args->offset, args->may_block, &found, ret_read);
	if (err == OT_OK)
		*ret_place = found.place;
	return err;
}

/* Where the bound lies in the segment: its end when it lies behind it. */
static ot_err
find_bound(struct ot_log *log, struct log_segment *segment, int64_t segment_end,
    const struct ot_log_read_args *args, uint64_t *ret_place, struct ot_log_read *ret_read)
{
	*ret_place = segment->bytes;
	if (args->bound_offset >= segment_end)
		return OT_OK;
	if (log->bound.offset == args->bound_offset &&
	    log->bound.segment_base == segment->base_offset) {
		*ret_place = log->bound.place;
		return OT_OK;
	}
	struct log_found_batch found;
	ot_err err =
	    log_segment_find(log, segment, args->bound_offset, args->may_block, &found, ret_read);
	if (err != OT_OK)
		return err;
	*ret_place = found.place;
	log->bound = (struct log_hint){
		.offset = args->bound_offset,
		.segment_base = segment->base_offset,
		.place = found.place,
	};
	return OT_OK;
}

/* Walks from `walk` to the last batch that ends within bytes_max, or takes a first batch that is
 * larger where one is to be given, and says which offset follows. */
static ot_err
walk_to_cut(struct log_segment *segment, const struct ot_log_read_args *args, uint64_t walk,
    uint64_t end, struct ot_log_read *read)
{
	uint8_t window[LOG_SCAN_WINDOW_SMALL];
	struct log_scan scan;
	struct log_scan_batch batch;
	uint64_t limit = read->place + args->bytes_max;
	uint64_t cut = walk;
	int64_t next_offset = -1;
	log_scan_init(&scan, segment->file, walk, end, window, sizeof(window));
	for (;;) {
		if (!args->may_block && log_scan_is_cold(&scan))
			return log_say_cold(segment->file, scan.place, sizeof(window), read);
		ot_err err = log_scan_next(&scan, &batch, NULL);
		if (err != OT_OK)
			return err;
		bool is_wanted =
		    scan.place <= limit || (batch.place == read->place && args->is_one_at_least);
		if (batch.bytes == 0 || !is_wanted) {
			next_offset = batch.bytes == 0 ? next_offset : batch.base_offset;
			break;
		}
		cut = scan.place;
		next_offset = batch.last_offset + 1;
	}
	read->bytes = (size_t)(cut - read->place);
	read->next_offset = next_offset;
	return OT_OK;
}

/* A reader that asks for little may get one batch alone: its header says so, and no index is looked
 * into. */
static ot_err
take_first(struct ot_log *log, struct log_segment *segment, const struct ot_log_read_args *args,
    uint64_t end, struct ot_log_read *read, bool *ret_is_done)
{
	uint8_t window[LOG_SCAN_WINDOW_SMALL];
	struct log_scan scan;
	struct log_scan_batch batch;
	if (args->bytes_max > LOG_FEW_BYTES)
		return OT_OK;
	log_scan_init(&scan, segment->file, read->place, end, window, sizeof(window));
	log_scan_expect(&scan, args->bytes_max);
	if (!args->may_block && !log_is_hot(log, segment, read->place) && log_scan_is_cold(&scan))
		return log_say_cold(segment->file, scan.place, sizeof(window), read);
	ot_err err = log_scan_next(&scan, &batch, NULL);
	if (err != OT_OK || batch.bytes < args->bytes_max)
		return err;
	bool is_taken = batch.bytes == args->bytes_max || args->is_one_at_least;
	read->bytes = is_taken ? batch.bytes : 0;
	read->next_offset = is_taken ? batch.last_offset + 1 : batch.base_offset;
	*ret_is_done = true;
	return OT_OK;
}

/* Cuts [place, end) between two batches, so that at most bytes_max are left. */
static ot_err
cut_range(struct ot_log *log, struct log_segment *segment, const struct ot_log_read_args *args,
    uint64_t end, struct ot_log_read *read)
{
	bool is_done = false;
	ot_err err = take_first(log, segment, args, end, read, &is_done);
	if (err != OT_OK || is_done)
		return err;
	uint64_t walk = 0;
	struct ot_log_read cold = { 0 };
	struct log_index_search search = {
		.key = (int64_t)(read->place + args->bytes_max),
		.is_by_place = true,
		.may_block = args->may_block,
	};
	err = log_segment_floor(log, segment, &search, &walk, &cold);
	if (err == OT_ERR_AGAIN)
		*read = cold;
	if (err != OT_OK)
		return err;
	walk = OT_MAX(walk, read->place);
	struct ot_log_read_args walk_args = *args;
	walk_args.may_block = args->may_block || log_is_hot(log, segment, walk);
	err = walk_to_cut(segment, &walk_args, walk, end, read);
	/* An index that leads astray costs a longer walk, not the reader. */
	if (err == OT_ERR_CORRUPT_FILE && walk > read->place)
		err = walk_to_cut(segment, &walk_args, read->place, end, read);
	return err;
}

static ot_err
plan_in_segment(struct ot_log *log, uint32_t place, const struct ot_log_read_args *args,
    struct ot_log_read *ret_read)
{
	struct log_segment *segment = log->segments[place];
	int64_t segment_end = log_segment_end(log, place);
	struct ot_log_read read = { .segment_base = segment->base_offset };
	uint64_t end = 0;
	ot_err err = log_segment_open(log, segment, false);
	if (err == OT_OK)
		err = find_start(log, segment, args, &read.place, ret_read);
	if (err == OT_OK)
		err = find_bound(log, segment, segment_end, args, &end, ret_read);
	if (err != OT_OK)
		return err;
	if (end <= read.place) {
		read.next_offset = args->offset;
		*ret_read = read;
		return OT_OK;
	}
	if (end - read.place <= args->bytes_max) {
		read.bytes = (size_t)(end - read.place);
		read.next_offset = OT_MIN(args->bound_offset, segment_end);
	} else {
		err = cut_range(log, segment, args, end, &read);
		if (err != OT_OK) {
			if (err == OT_ERR_AGAIN)
				*ret_read = read;
			return err;
		}
	}
	/* Batches that end before they begin are damage that nobody has looked at yet. */
	if (read.bytes > 0 && read.next_offset <= args->offset)
		return OT_ERR_CORRUPT_FILE;
	if (read.bytes > 0) {
		keep_hint(log, segment, read.next_offset, read.place + read.bytes);
		read.file = ot_file_ref(segment->file);
	}
	*ret_read = read;
	return OT_OK;
}

ot_err
ot_log_plan_read(struct ot_log *log, const struct ot_log_read_args *args,
    struct ot_log_read *ret_read)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	if (args->offset < log->start_offset || args->offset > log->end_offset)
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	struct ot_log_read read = { .next_offset = args->offset };
	uint32_t place = log_segment_at(log, args->offset);
	/* A segment can end in a gap, then the next batch is in the one behind it. */
	while (args->offset < args->bound_offset && place < log->segment_count) {
		ot_err err = plan_in_segment(log, place, args, &read);
		if (err != OT_OK) {
			if (err == OT_ERR_AGAIN)
				*ret_read = read;
			return err;
		}
		uint64_t at_end = log->segments[place]->bytes;
		if (read.file != NULL || read.place < at_end)
			break;
		place++;
	}
	*ret_read = read;
	return OT_OK;
}

void
ot_log_read_warm(const struct ot_log_read *read)
{
	uint8_t chunk[LOG_SCAN_WINDOW_SMALL * 4];
	uint64_t done = 0;
	while (done < read->bytes) {
		size_t wanted = OT_MIN(sizeof(chunk), read->bytes - (size_t)done);
		size_t got = 0;
		/* A failure shows again when the range is read in earnest. */
		if (ot_file_read(read->file, chunk, wanted, read->place + done, &got) != OT_OK ||
		    got == 0)
			return;
		done += got;
	}
}

/* ---- aborted transactions ------------------------------------------------------------------ */

/* Visits one segment's entries; false when no later segment has more. */
static ot_err
visit_aborted(struct ot_log *log, struct log_segment *segment, int64_t from, int64_t to,
    ot_log_visit_aborted *visit, void *arg, bool *ret_is_done)
{
	struct log_index *index = &segment->txn_index;
	uint32_t first = 0;
	if (index->count == 0)
		return OT_OK;
	ot_err err = OT_OK;
	if (index->tail_first > 0)
		err = log_segment_open(log, segment, false);
	if (err == OT_OK && index->tail_first > 0)
		err = log_segment_open_index(log, segment, index, false);
	if (err == OT_OK)
		err = log_index_count_to(index, from - 1, &first);
	for (uint32_t i = first; err == OT_OK && i < index->count; i++) {
		struct log_txn_entry entry;
		err = log_index_get_txn(index, i, &entry);
		if (err != OT_OK)
			break;
		if (entry.first_offset < to)
			visit(arg, &(struct ot_log_aborted){
				       .producer_id = entry.producer_id,
				       .first_offset = entry.first_offset,
				       .last_offset = entry.last_offset,
				   });
		/* All that was open then began at that offset or later. */
		if (entry.last_stable_offset >= to) {
			*ret_is_done = true;
			break;
		}
	}
	return err;
}

ot_err
ot_log_visit_aborted_in(struct ot_log *log, int64_t from, int64_t to, ot_log_visit_aborted *visit,
    void *arg)
{
	bool is_done = false;
	ot_err err = OT_OK;
	for (uint32_t i = log_segment_at(log, from); i < log->segment_count; i++) {
		err = visit_aborted(log, log->segments[i], from, to, visit, arg, &is_done);
		if (err != OT_OK || is_done)
			break;
	}
	return err;
}

/* ---- ends and epochs ----------------------------------------------------------------------- */

struct ot_log_found
ot_log_find_earliest(const struct ot_log *log)
{
	return (struct ot_log_found){
		.offset = log->start_offset,
		.timestamp = OT_NO_TIMESTAMP,
		.leader_epoch = log_epochs_at(&log->epochs, log->start_offset),
	};
}

/* Whether nothing in the segment is newer. An empty one has no time: it is as old as one likes. */
static ot_err
is_segment_before(struct ot_log *log, struct log_segment *segment, int64_t timestamp, bool *ret)
{
	ot_err err = timestamp == OT_LOG_ANY_TIME ? OT_OK : log_segment_learn_max(log, segment);
	if (err == OT_OK)
		*ret = timestamp == OT_LOG_ANY_TIME || segment->max_timestamp <= timestamp;
	return err;
}

ot_err
ot_log_list_starts(struct ot_log *log, int64_t timestamp, int64_t bound_offset, int32_t count_max,
    int64_t *ret_offsets, int32_t *ret_count)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	int32_t count = 0;
	bool is_before = timestamp == OT_LOG_ANY_TIME;
	if (is_before && log_active(log)->bytes > 0 && count < count_max)
		ret_offsets[count++] = bound_offset;
	for (uint32_t i = log->segment_count; i > 0 && count < count_max; i--) {
		struct log_segment *segment = log->segments[i - 1];
		ot_err err =
		    is_before ? OT_OK : is_segment_before(log, segment, timestamp, &is_before);
		if (err != OT_OK)
			return err;
		int64_t start = OT_MAX(segment->base_offset, log->start_offset);
		if (is_before && start <= bound_offset)
			ret_offsets[count++] = start;
	}
	*ret_count = count;
	return OT_OK;
}

struct ot_log_found
ot_log_find_latest(const struct ot_log *log, int64_t bound_offset)
{
	return (struct ot_log_found){
		.offset = bound_offset,
		.timestamp = OT_NO_TIMESTAMP,
		.leader_epoch = log_epochs_latest(&log->epochs),
	};
}

int32_t
ot_log_latest_epoch(const struct ot_log *log)
{
	return log_epochs_latest(&log->epochs);
}

int32_t
ot_log_epoch_at(const struct ot_log *log, int64_t offset)
{
	return log_epochs_at(&log->epochs, offset);
}

void
ot_log_epoch_end(const struct ot_log *log, int32_t epoch, int32_t *ret_epoch,
    int64_t *ret_end_offset)
{
	log_epochs_end(&log->epochs, epoch, log->end_offset, ret_epoch, ret_end_offset);
}

void
ot_log_assign_epoch(struct ot_log *log, int32_t epoch)
{
	if (epoch <= log_epochs_latest(&log->epochs))
		return;
	if (log_epochs_reserve(&log->epochs, 1) != OT_OK)
		OT_PANIC("no memory for a leader epoch of %s", log->dir);
	if (log_epochs_assign(&log->epochs, epoch, log->end_offset))
		log->is_epoch_file_stale = true;
}
