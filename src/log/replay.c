/* The producers' state, when it is not in memory: from the newest snapshot that can be trusted, and
 * the batches behind it. */
#include "log/log_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/plant.h"
#include "log/atomic_int.h"
#include "log/scan_int.h"

enum {
	MARKER_BYTES_MAX = 4096, /* a batch with a marker has less than 100 */
	SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024,
};

struct replay {
	struct ot_log *log;
	struct ot_log_open_result *result;
	int64_t *snapshots; /* offsets, rising */
	uint32_t snapshot_count;
	uint32_t snapshot_capacity;
	int64_t begin; /* the first batch that is applied */
	uint8_t *window;
};

/* ---- snapshots ----------------------------------------------------------------------------- */

static ot_err
take_name(void *arg, const char *text, bool is_dir)
{
	struct replay *replay = arg;
	struct log_name name = log_name_parse(text);
	if (is_dir || name.kind != LOG_FILE_SNAPSHOT || name.state != LOG_STATE_LIVE)
		return OT_OK;
	if (replay->snapshot_count == replay->snapshot_capacity) {
		uint32_t capacity = OT_MAX(2 * replay->snapshot_capacity, 8u);
		int64_t *grown = ot_realloc(replay->snapshots, capacity * sizeof(grown[0]));
		if (grown == NULL)
			return OT_ERR_NO_MEMORY;
		replay->snapshots = grown;
		replay->snapshot_capacity = capacity;
	}
	uint32_t place = replay->snapshot_count++;
	while (place > 0 && replay->snapshots[place - 1] > name.offset) {
		replay->snapshots[place] = replay->snapshots[place - 1];
		place--;
	}
	replay->snapshots[place] = name.offset;
	return OT_OK;
}

static ot_err
remove_snapshot(struct replay *replay, int64_t offset)
{
	char path[LOG_PATH_BYTES];
	log_path(path, replay->log->dir, offset, LOG_FILE_SNAPSHOT, LOG_STATE_LIVE);
	replay->log->is_dir_unsynced = true;
	ot_err err = ot_fs_remove(replay->log->fs, path);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

static ot_err
load_snapshot(struct replay *replay, int64_t offset)
{
	char path[LOG_PATH_BYTES];
	struct ot_writer data;
	struct ot_why why;
	ot_writer_init(&data);
	log_path(path, replay->log->dir, offset, LOG_FILE_SNAPSHOT, LOG_STATE_LIVE);
	ot_err err = log_read_file(replay->log->fs, path, SNAPSHOT_BYTES_MAX, &data);
	if (err == OT_OK)
		err = log_producers_parse(&replay->log->producers, data.data, data.bytes, &why);
	ot_writer_fini(&data);
	return err;
}

/* Loads the newest valid snapshot in [start offset, from]. Others are removed: newer ones describe
 * records that are in doubt, and damaged ones help nobody. */
static ot_err
choose_snapshot(struct replay *replay, int64_t from, ot_wall_ms now)
{
	struct ot_log *log = replay->log;
	ot_err err = OT_OK;
	for (uint32_t i = replay->snapshot_count; i > 0; i--) {
		int64_t offset = replay->snapshots[i - 1];
		bool is_usable = offset <= from && offset >= log->start_offset;
		if (is_usable && !OT_PLANT(PRODUCERS_FORGOTTEN))
			err = load_snapshot(replay, offset);
		if (is_usable && err == OT_OK) {
			replay->begin = log->snapshot_offset = offset;
			log_producers_expire(&log->producers, now,
			    log->settings.producer_id_expiration_ms);
			log->producers.is_changed = false;
			return OT_OK;
		}
		if (is_usable && err == OT_ERR_CORRUPT_FILE && replay->result != NULL)
			replay->result->snapshots_damaged++;
		if (err != OT_OK && err != OT_ERR_CORRUPT_FILE)
			return err;
		err = remove_snapshot(replay, offset);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

/* Of the older ones those stay that stand at a segment's base. */
static ot_err
remove_strays(struct replay *replay)
{
	struct ot_log *log = replay->log;
	log->snapshot_extra = -1;
	for (uint32_t i = 0; i < replay->snapshot_count; i++) {
		int64_t offset = replay->snapshots[i];
		if (offset > log->snapshot_offset)
			break;
		const struct log_segment *segment = log->segments[log_segment_at(log, offset)];
		if (segment->base_offset == offset)
			continue;
		if (offset == log->snapshot_offset) {
			log->snapshot_extra = offset;
			continue;
		}
		ot_err err = remove_snapshot(replay, offset);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

/* ---- batches ------------------------------------------------------------------------------- */

static ot_err
push_aborted(struct log_segment *segment, const struct log_txn_event *event, int64_t stable)
{
	struct log_index *index = &segment->txn_index;
	struct log_txn_entry last = { .last_offset = -1 };
	ot_err err = OT_OK;
	/* The entry is there already where the index was trusted. */
	if (index->count > 0)
		err = log_index_get_txn(index, index->count - 1, &last);
	if (err != OT_OK || last.last_offset >= event->last_offset)
		return err;
	err = log_index_reserve(index, 1);
	if (err != OT_OK)
		return err;
	log_index_push_txn(index, &(struct log_txn_entry){
				      .producer_id = event->producer_id,
				      .first_offset = event->first_offset,
				      .last_offset = event->last_offset,
				      .last_stable_offset = stable,
				  });
	return OT_OK;
}

static ot_err
apply_batch(struct replay *replay, struct log_segment *segment, const struct log_scan *scan,
    const struct log_scan_batch *batch)
{
	struct ot_log *log = replay->log;
	uint8_t marker[MARKER_BYTES_MAX];
	struct log_txn_event event;
	struct log_producer_undo undo;
	struct log_producer_append append = {
		.info = &batch->info,
		.data = marker,
		.base_offset = batch->base_offset,
		.last_offset = batch->last_offset,
		.origin = OT_ORIGIN_LEADER,
	};
	if (batch->magic != OT_MAGIC_V2 || batch->info.producer_id < 0)
		return OT_OK;
	if (batch->info.is_control) {
		ot_err err = log_scan_read(scan, batch, marker, sizeof(marker));
		if (err != OT_OK)
			return err == OT_ERR_CORRUPT_FILE ? OT_OK : err;
	}
	ot_err err = log_producers_reserve(&log->producers, 1);
	if (err == OT_OK)
		err = log_producers_append(&log->producers, &append, &event, &undo, NULL);
	if (err == OT_ERR_NO_MEMORY)
		return err;
	/* What the leader accepted is the log; a control batch of another kind means nothing
	 * here. */
	if (err != OT_OK)
		return OT_OK;
	int64_t stable = log_producers_apply(&log->producers, &event);
	return event.kind == LOG_TXN_ABORT ? push_aborted(segment, &event, stable) : OT_OK;
}

static ot_err
replay_segment(struct replay *replay, struct log_segment *segment)
{
	struct ot_log *log = replay->log;
	struct log_found_batch found = { .place = 0 };
	struct ot_log_read cold;
	struct log_scan scan;
	struct log_scan_batch batch = { 0 };
	ot_err err = log_segment_open(log, segment, false);
	if (err == OT_OK && segment->txn_index.count > 0)
		err = log_segment_open_index(log, segment, &segment->txn_index, false);
	if (err == OT_OK && replay->begin > segment->base_offset)
		err = log_segment_find(log, segment, replay->begin, true, &found, &cold);
	if (err != OT_OK)
		return err;
	log_scan_init(&scan, segment->file, found.place, segment->bytes, replay->window,
	    LOG_SCAN_WINDOW_LARGE);
	do {
		err = log_scan_next(&scan, &batch, NULL);
		if (err != OT_OK || batch.bytes == 0)
			break;
		err = apply_batch(replay, segment, &scan, &batch);
		log->bytes_after_snapshot += batch.bytes;
		if (replay->result != NULL)
			replay->result->bytes_replayed += batch.bytes;
	} while (err == OT_OK);
	if (err == OT_OK)
		err = log_segment_write_or_keep(log, segment);
	/* Rebuilt below the recovery point, which vouches for it. */
	if (err == OT_OK && segment->is_txn_odd && segment->txn_index.file != NULL)
		err = ot_file_sync(segment->txn_index.file);
	return err;
}

ot_err
log_replay_producers(struct ot_log *log, int64_t from, bool is_clean, ot_wall_ms now,
    struct ot_log_open_result *result)
{
	struct replay replay = { .log = log, .result = result, .begin = log->start_offset };
	OT_ASSERT(log->segment_count > 0);
	log_producers_clear(&log->producers);
	log->snapshot_offset = log->start_offset;
	log->bytes_after_snapshot = 0;
	replay.window = ot_alloc_raw(LOG_SCAN_WINDOW_LARGE);
	ot_err err = replay.window == NULL ? OT_ERR_NO_MEMORY : OT_OK;
	if (err == OT_OK)
		err = ot_fs_list(log->fs, log->dir, take_name, &replay);
	/* A folder of a time before producer ids, stopped cleanly: there is nothing to find. */
	bool is_needed = !is_clean || replay.snapshot_count > 0;
	if (err == OT_OK && is_needed)
		err = choose_snapshot(&replay, from, now);
	if (err == OT_OK && is_needed)
		err = remove_strays(&replay);
	if (replay.begin >= log->end_offset)
		is_needed = false;
	uint32_t first = log_segment_at(log, replay.begin);
	for (uint32_t i = first; err == OT_OK && is_needed && i < log->segment_count; i++)
		err = replay_segment(&replay, log->segments[i]);
	ot_free(replay.window);
	ot_free(replay.snapshots);
	return err;
}
