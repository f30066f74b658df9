/* Opening, first part: which files are there, and which of them count.
 *
 * Leftovers, as Kafka leaves and finds them:
 *   *.deleted   removed
 *   *.cleaned   a compaction or a split that had not finished: removed
 *   *.swap      one that had: the new segments stand whole under this suffix; the old ones that
 *               they cover are removed and the suffix taken off. A .swap at or behind the first
 *               .cleaned is part of a split that had not finished, and removed with it.
 *   index files without a file of records: removed
 *   a segment without bytes that another one follows: what a roll left behind that failed; removed
 * Each step can be repeated from its begin. */
#include "log/open_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/scan_int.h"

/* ---- names --------------------------------------------------------------------------------- */

static ot_err
take_name(void *arg, const char *text, bool is_dir)
{
	struct log_opening *opening = arg;
	struct log_name name = log_name_parse(text);
	if (is_dir || name.kind == LOG_FILE_OTHER)
		return OT_OK;
	if (opening->name_count == opening->name_capacity) {
		uint32_t capacity = OT_MAX(2 * opening->name_capacity, 16u);
		struct log_name *names = ot_realloc(opening->names, capacity * sizeof(names[0]));
		if (names == NULL)
			return OT_ERR_NO_MEMORY;
		opening->names = names;
		opening->name_capacity = capacity;
	}
	opening->names[opening->name_count++] = name;
	return OT_OK;
}

static int
compare_names(const void *a, const void *b)
{
	const struct log_name *left = a, *right = b;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	return (int)left->state - (int)right->state;
}

ot_err
log_list_names(struct log_opening *opening)
{
	opening->name_count = 0;
	ot_err err = ot_fs_list(opening->log->fs, opening->log->dir, take_name, opening);
	if (err == OT_OK && opening->name_count > 0)
		qsort(opening->names, opening->name_count, sizeof(opening->names[0]),
		    compare_names);
	return err;
}

static ot_err
remove_name(struct log_opening *opening, const struct log_name *name)
{
	char path[LOG_PATH_BYTES];
	log_path(path, opening->log->dir, name->offset, name->kind, name->state);
	opening->is_changed = true;
	ot_err err = ot_fs_remove(opening->log->fs, path);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

/* Whether the segment of that base has a living file of records. */
static bool
has_records(const struct log_opening *opening, int64_t offset)
{
	for (uint32_t i = 0; i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		if (name->offset == offset && name->kind == LOG_FILE_LOG &&
		    name->state == LOG_STATE_LIVE)
			return true;
	}
	return false;
}

/* ---- leftovers ----------------------------------------------------------------------------- */

/* The offset after the last batch of a segment that waits under .swap. */
static ot_err
find_swap_end(struct log_opening *opening, const struct log_name *name, int64_t *ret_end)
{
	char path[LOG_PATH_BYTES];
	struct ot_file *file = NULL;
	uint64_t bytes = 0;
	struct log_scan scan;
	struct log_scan_batch batch = { 0 };
	int64_t end = name->offset;
	log_path(path, opening->log->dir, name->offset, name->kind, name->state);
	ot_err err = ot_fs_open(opening->log->fs, path, OT_OPEN_READ, &file);
	if (err == OT_OK)
		err = ot_file_size(file, &bytes);
	if (err != OT_OK)
		goto out;
	log_scan_init(&scan, file, 0, bytes, opening->window, LOG_SCAN_WINDOW_LARGE);
	do {
		err = log_scan_next(&scan, &batch, &opening->result->why);
		if (err == OT_OK && batch.bytes > 0)
			end = batch.last_offset + 1;
	} while (err == OT_OK && batch.bytes > 0);
	*ret_end = end;
out:
	ot_file_unref(file);
	return err;
}

static ot_err
remove_unfinished(struct log_opening *opening)
{
	int64_t cleaned_first = INT64_MAX;
	ot_err err = OT_OK;
	for (uint32_t i = 0; i < opening->name_count; i++) {
		if (opening->names[i].state == LOG_STATE_CLEANED)
			cleaned_first = OT_MIN(cleaned_first, opening->names[i].offset);
	}
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		bool is_gone = name->state == LOG_STATE_DELETED ||
		               (name->state == LOG_STATE_SWAP && name->offset >= cleaned_first);
		if (is_gone)
			err = remove_name(opening, name);
	}
	/* Last, since they say which .swap files belong to them. */
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		if (opening->names[i].state == LOG_STATE_CLEANED)
			err = remove_name(opening, &opening->names[i]);
	}
	return err;
}

/* Removes living files that the segments under .swap cover, then gives those their names. */
static ot_err
finish_swaps(struct log_opening *opening)
{
	int64_t first = INT64_MAX, end = INT64_MIN;
	ot_err err = OT_OK;
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		int64_t swap_end = 0;
		if (name->state != LOG_STATE_SWAP || name->kind != LOG_FILE_LOG)
			continue;
		err = find_swap_end(opening, name, &swap_end);
		first = OT_MIN(first, name->offset);
		end = OT_MAX(end, swap_end);
	}
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		if (name->state == LOG_STATE_LIVE && name->offset >= first && name->offset < end)
			err = remove_name(opening, name);
	}
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		char from[LOG_PATH_BYTES], to[LOG_PATH_BYTES];
		if (name->state != LOG_STATE_SWAP)
			continue;
		log_path(from, opening->log->dir, name->offset, name->kind, LOG_STATE_SWAP);
		log_path(to, opening->log->dir, name->offset, name->kind, LOG_STATE_LIVE);
		opening->is_changed = true;
		err = ot_fs_rename(opening->log->fs, from, to);
	}
	return err;
}

static ot_err
remove_orphans(struct log_opening *opening)
{
	ot_err err = OT_OK;
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		bool is_index = name->kind == LOG_FILE_INDEX || name->kind == LOG_FILE_TIMEINDEX ||
		                name->kind == LOG_FILE_TXNINDEX;
		if (is_index && !has_records(opening, name->offset))
			err = remove_name(opening, name);
	}
	return err;
}

ot_err
log_clear_leftovers(struct log_opening *opening)
{
	bool has_any = false;
	for (uint32_t i = 0; i < opening->name_count; i++)
		has_any = has_any || opening->names[i].state != LOG_STATE_LIVE;
	ot_err err = OT_OK;
	if (has_any) {
		err = remove_unfinished(opening);
		if (err == OT_OK)
			err = log_list_names(opening);
		if (err == OT_OK)
			err = finish_swaps(opening);
		if (err == OT_OK)
			err = log_list_names(opening);
	}
	if (err == OT_OK)
		err = remove_orphans(opening);
	if (err == OT_OK)
		err = log_list_names(opening);
	return err;
}

/* ---- segments ------------------------------------------------------------------------------ */

/* What the file of an index is like, as far as its size tells. */
struct index_size {
	bool is_missing;
	bool is_odd; /* not of whole entries */
};

static ot_err
load_index(struct ot_log *log, const struct log_segment *segment, struct log_index *index,
    enum log_file_kind kind, struct index_size *ret_size)
{
	char path[LOG_PATH_BYTES];
	struct ot_fs_stat stat = { 0 };
	log_path(path, log->dir, segment->base_offset, kind, LOG_STATE_LIVE);
	ot_err err = ot_fs_stat(log->fs, path, &stat);
	if (err != OT_OK && err != OT_ERR_NOT_FOUND)
		return err;
	uint32_t entry_bytes = log_index_entry_bytes(index->kind);
	uint64_t count = OT_MIN(stat.bytes / entry_bytes, (uint64_t)INT32_MAX);
	log_index_set_count(index, (uint32_t)count);
	ret_size->is_missing = err == OT_ERR_NOT_FOUND;
	ret_size->is_odd = stat.bytes != count * entry_bytes;
	return OT_OK;
}

static ot_err
load_segment(struct log_opening *opening, int64_t base_offset)
{
	struct ot_log *log = opening->log;
	char path[LOG_PATH_BYTES];
	struct ot_fs_stat stat = { 0 };
	struct log_segment *segment = log_segment_create(base_offset, opening->args->now);
	if (segment == NULL)
		return OT_ERR_NO_MEMORY;
	struct index_size offset = { 0 }, time = { 0 }, txn = { 0 };
	log_path(path, log->dir, base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	ot_err err = ot_fs_stat(log->fs, path, &stat);
	if (err == OT_OK)
		err = load_index(log, segment, &segment->offset_index, LOG_FILE_INDEX, &offset);
	if (err == OT_OK)
		err = load_index(log, segment, &segment->time_index, LOG_FILE_TIMEINDEX, &time);
	if (err == OT_OK)
		err = load_index(log, segment, &segment->txn_index, LOG_FILE_TXNINDEX, &txn);
	segment->bytes = stat.bytes;
	segment->is_index_lost = offset.is_missing || time.is_missing;
	segment->is_index_odd = offset.is_odd || time.is_odd;
	segment->is_txn_odd = txn.is_odd;
	if (err == OT_OK)
		err = log_push_segment(log, segment);
	if (err != OT_OK)
		log_segment_destroy(segment);
	return err;
}

/* A roll that failed can leave an empty file, which a later append to the segment before it
 * passes. */
static ot_err
drop_empty(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	for (uint32_t i = log->segment_count; i > 0; i--) {
		bool is_last = i == log->segment_count;
		if (log->segments[i - 1]->bytes > 0 || is_last || i == 1)
			continue;
		struct log_name name = { .offset = log->segments[i - 1]->base_offset };
		for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_TXNINDEX; kind++) {
			name.kind = (enum log_file_kind)kind;
			ot_err err = remove_name(opening, &name);
			if (err != OT_OK)
				return err;
		}
		log_drop_segments(log, i - 1, 1);
	}
	return OT_OK;
}

ot_err
log_load_segments(struct log_opening *opening)
{
	ot_err err = OT_OK;
	for (uint32_t i = 0; err == OT_OK && i < opening->name_count; i++) {
		const struct log_name *name = &opening->names[i];
		if (name->kind == LOG_FILE_LOG && name->state == LOG_STATE_LIVE)
			err = load_segment(opening, name->offset);
	}
	return err == OT_OK ? drop_empty(opening) : err;
}

ot_err
log_remove_segments_from(struct log_opening *opening, uint32_t first)
{
	struct ot_log *log = opening->log;
	while (log->segment_count > first) {
		uint32_t last = log->segment_count - 1;
		struct log_name name = { .offset = log->segments[last]->base_offset };
		opening->result->bytes_truncated += log->segments[last]->bytes;
		opening->result->segments_removed++;
		for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_SNAPSHOT; kind++) {
			name.kind = (enum log_file_kind)kind;
			ot_err err = remove_name(opening, &name);
			if (err != OT_OK)
				return err;
		}
		log_drop_segments(log, last, 1);
	}
	return OT_OK;
}
