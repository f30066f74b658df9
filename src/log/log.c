/* The life of a log: opening it, what it tells about itself, and its end. */
#include "log/log.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/atomic_int.h"
#include "log/open_int.h"
#include "log/scan_int.h"

enum {
	NAME_BYTES_MAX = 64, /* of a file's name in the folder, more than any has */
	MS_PER_DAY = 24 * 60 * 60 * 1000,
};

struct ot_log_settings
ot_log_settings_default(void)
{
	return (struct ot_log_settings){
		.segment_ms = 7ll * MS_PER_DAY,
		.segment_jitter_ms = 0,
		.retention_bytes = -1,
		.retention_ms = 7ll * MS_PER_DAY,
		.file_delete_delay_ms = 60 * 1000,
		.producer_id_expiration_ms = MS_PER_DAY,
		.segment_bytes = 1024 * 1024 * 1024,
		.segment_index_bytes = 10 * 1024 * 1024,
		.index_interval_bytes = 4096,
		.is_deleting = true,
		.is_compacted = false,
	};
}

void
ot_log_set_settings(struct ot_log *log, const struct ot_log_settings *settings)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0);
	log->settings = *settings;
}

/* ---- opening ------------------------------------------------------------------------------- */

static struct ot_log *
create_log(const struct ot_log_open_args *args)
{
	struct ot_log *log = ot_alloc(sizeof(struct ot_log));
	if (log == NULL)
		return NULL;
	log->magic = LOG_MAGIC;
	log->fs = args->fs;
	log->dir = ot_must_strdup(args->dir);
	log->settings = args->settings;
	log->random = args->random;
	log->snapshot_extra = -1;
	log->chore_retry = INT64_MIN;
	log_hints_clear(log);
	log_epochs_init(&log->epochs);
	log_producers_init(&log->producers);
	return log;
}

void
log_free(struct ot_log *log)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	for (uint32_t i = 0; i < log->staged_count; i++)
		ot_blob_unref(log->staged[i].blob);
	for (uint32_t i = 0; i < log->segment_count; i++)
		log_segment_destroy(log->segments[i]);
	for (uint32_t i = 0; i < log->snapshot_count; i++)
		ot_free(log->snapshots[i].data);
	log_epochs_fini(&log->epochs);
	log_producers_fini(&log->producers);
	ot_free(log->segments);
	ot_free(log->staged);
	ot_free(log->retired);
	ot_free(log->snapshots);
	log_hints_free(log);
	ot_free(log->dir);
	log->magic = 0;
	ot_free(log);
}

ot_err
log_begin_at(struct ot_log *log, int64_t offset, ot_wall_ms now)
{
	OT_ASSERT(log->segment_count == 0);
	struct log_segment *segment = log_segment_create(offset, now);
	if (segment == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = log_segment_make_files(log, segment);
	if (err == OT_OK)
		err = log_push_segment(log, segment);
	if (err != OT_OK) {
		log_segment_destroy(segment);
		return err;
	}
	log->start_offset = log->end_offset = offset;
	return OT_OK;
}

/* The start offset may lie behind all that is left, when segments were removed by hand. */
static ot_err
settle_ends(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	const struct ot_log_open_args *args = opening->args;
	ot_err err = OT_OK;
	if (log->segment_count > 0 && log->end_offset < args->start_offset) {
		ot_why_set(&opening->result->why,
		    "the log ends at offset %lld, before its start offset %lld",
		    (long long)log->end_offset, (long long)args->start_offset);
		err = log_remove_segments_from(opening, 0);
		log->epochs.count = 0;
		log->is_epoch_file_stale = true;
	}
	if (err == OT_OK && log->segment_count == 0) {
		err = log_begin_at(log, args->start_offset, args->now);
		log->is_parent_unsynced = true;
	}
	if (err == OT_OK)
		log->start_offset = OT_MAX(args->start_offset, log->segments[0]->base_offset);
	return err;
}

static ot_err
settle_epochs(struct log_opening *opening, bool is_lost)
{
	struct ot_log *log = opening->log;
	if (is_lost) {
		ot_err err = log_rebuild_epochs(opening);
		if (err != OT_OK)
			return err;
	}
	bool is_changed = log_epochs_cut_end(&log->epochs, log->end_offset);
	is_changed = log_epochs_cut_start(&log->epochs, log->start_offset) || is_changed;
	log->is_epoch_file_stale = log->is_epoch_file_stale || is_changed;
	return OT_OK;
}

static bool
has_pending(const struct log_segment *segment)
{
	return log_index_pending(&segment->offset_index) > 0 ||
	       log_index_pending(&segment->time_index) > 0 ||
	       log_index_pending(&segment->txn_index) > 0;
}

/* The recovery point vouches for indexes; those that found no space are beyond it, so that the next
 * checkpoint writes them, and a recovery before it makes them anew. */
static int64_t
vouched_offset(const struct ot_log *log, int64_t recovery_point)
{
	for (uint32_t i = 0; i < log->segment_count; i++) {
		if (has_pending(log->segments[i]))
			return OT_MIN(recovery_point, log->segments[i]->base_offset);
	}
	return recovery_point;
}

/* Nothing stays open or in memory that an idle log does not need. */
static ot_err
settle_segments(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	struct log_segment *active = log_active(log);
	ot_err err = log_segment_learn_max(log, active);
	if (err == OT_OK)
		err = log_segment_learn_first(log, active);
	if (err == OT_OK && !opening->args->is_clean && active->bytes > 0) {
		/* Space that was reserved when the machine stopped. */
		err = log_segment_open(log, active, true);
		if (err == OT_OK)
			err = ot_file_truncate(active->file, active->bytes);
	}
	for (uint32_t i = 0; err == OT_OK && i < log->segment_count; i++) {
		log_index_forget_tail(&log->segments[i]->offset_index);
		log_index_forget_tail(&log->segments[i]->time_index);
		log_index_forget_tail(&log->segments[i]->txn_index);
		log_segment_close_files(log->segments[i]);
	}
	memset(log->inactive_open, 0, sizeof(log->inactive_open));
	return err;
}

static ot_err
open_all(struct log_opening *opening)
{
	struct ot_log *log = opening->log;
	const struct ot_log_open_args *args = opening->args;
	bool is_epoch_lost = false;
	ot_err err = ot_fs_mkdir_all(log->fs, log->dir);
	if (err == OT_OK)
		err = log_list_names(opening);
	if (err == OT_OK)
		err = log_clear_leftovers(opening);
	if (err == OT_OK)
		err = log_load_segments(opening);
	if (err == OT_OK)
		err = log_load_epochs(opening, &is_epoch_lost);
	if (err == OT_OK)
		err = log_recover_segments(opening);
	if (err == OT_OK)
		err = settle_ends(opening);
	if (err == OT_OK)
		err = settle_epochs(opening, is_epoch_lost);
	if (err == OT_OK)
		err = log_replay_producers(log, OT_MIN(opening->doubt_from, log->end_offset),
		    args->is_clean, args->now, opening->result);
	if (err == OT_OK)
		err = settle_segments(opening);
	/* Names that are there may be so for this process alone. */
	if (err == OT_OK && (opening->is_changed || !args->is_clean)) {
		err = ot_fs_sync_dir(log->fs, log->dir);
		log->is_dir_unsynced = false;
	}
	if (err == OT_OK && !args->is_clean) {
		err = log_sync_parent(log->fs, log->dir);
		log->is_parent_unsynced = false;
	}
	return err;
}

ot_err
ot_log_open(const struct ot_log_open_args *args, struct ot_log **ret_log,
    struct ot_log_open_result *ret_result)
{
	struct ot_log_open_result result = { 0 };
	struct log_opening opening = { .args = args, .result = &result, .doubt_from = INT64_MAX };
	OT_ASSERT(args->start_offset >= 0 && args->recovery_point >= -1);
	opening.recovery_point = OT_MAX(args->recovery_point, (int64_t)0);
	/* Of a log of which nothing is known, the past is not known either. */
	opening.may_have_gaps = args->settings.is_compacted || args->recovery_point < 0;
	if (strlen(args->dir) + NAME_BYTES_MAX >= LOG_PATH_BYTES) {
		ot_why_set(&result.why, "the folder's path has more than %d bytes",
		    LOG_PATH_BYTES - NAME_BYTES_MAX);
		if (ret_result != NULL)
			*ret_result = result;
		return OT_ERR_INVALID_REQUEST;
	}
	opening.log = create_log(args);
	opening.window = ot_alloc_raw(LOG_SCAN_WINDOW_LARGE);
	ot_err err = OT_ERR_NO_MEMORY;
	if (opening.log != NULL && opening.window != NULL)
		err = open_all(&opening);
	if (err == OT_OK) {
		struct ot_log *log = opening.log;
		log->staged_end = log->end_offset;
		log->high_watermark = log->start_offset;
		/* Records are synced, by the clean stop or the recovery; indexes by the former
		 * only. */
		log->synced_offset = log->end_offset;
		log->recovery_point = log->end_offset;
		if (!args->is_clean)
			log->recovery_point = OT_MIN(opening.recovery_point, log->end_offset);
		log->recovery_point = vouched_offset(log, log->recovery_point);
		*ret_log = log;
	} else if (opening.log != NULL) {
		log_free(opening.log);
	}
	ot_free(opening.window);
	ot_free(opening.names);
	if (ret_result != NULL)
		*ret_result = result;
	return err;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* All that the next opening would otherwise have to find out. */
static ot_err
close_clean(struct ot_log *log)
{
	struct log_segment *active = log_active(log);
	if (log->failure != OT_OK)
		return log->failure;
	ot_err err = log_segment_finish_time(active);
	if (err == OT_OK && active->bytes_reserved > active->bytes)
		err = log_segment_open(log, active, true);
	if (err == OT_OK && active->bytes_reserved > active->bytes)
		err = ot_file_truncate(active->file, active->bytes);
	if (err == OT_OK) {
		log_queue_snapshot(log, active->base_offset != log->end_offset);
		err = log_sync_now(log);
	}
	return err;
}

/* Files that would be removed later are removed now, oldest first and one segment at a time as
 * chores do; what fails is removed by the next opening. */
static ot_err
remove_retired(struct ot_log *log)
{
	char path[LOG_PATH_BYTES];
	for (uint32_t i = 0; i < log->retired_count; i++) {
		bool is_live = log->retired[i].due == LOG_RETIRED_NOW;
		for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_SNAPSHOT; kind++) {
			log_path(path, log->dir, log->retired[i].base_offset,
			    (enum log_file_kind)kind, is_live ? LOG_STATE_LIVE : LOG_STATE_DELETED);
			ot_err ignored = ot_fs_remove(log->fs, path);
			(void)ignored;
		}
		ot_err err = is_live ? ot_fs_sync_dir(log->fs, log->dir) : OT_OK;
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

ot_err
ot_log_close(struct ot_log *log, enum ot_log_close_how how)
{
	if (log == NULL)
		return OT_OK;
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0);
	OT_ASSERT(!log->is_sync_running && !log->is_chore_running && log->find_count == 0);
	ot_err err = OT_OK;
	if (how == OT_LOG_CLOSE_CLEAN) {
		err = remove_retired(log);
		if (err == OT_OK)
			err = close_clean(log);
	}
	log_free(log);
	return err;
}

void
ot_log_idle(struct ot_log *log)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->staged_count == 0);
	ot_free(log->staged);
	log->staged = NULL;
	log->staged_capacity = 0;
	log_hints_free(log);
	for (uint32_t i = 0; i < log->segment_count; i++) {
		struct log_segment *segment = log->segments[i];
		if (log_segment_write_indexes(log, segment) != OT_OK)
			continue;
		if (segment->bytes_reserved > segment->bytes && segment->file != NULL) {
			/* What cannot be given back now is given back by the roll or the close. */
			if (ot_file_truncate(segment->file, segment->bytes) == OT_OK)
				segment->bytes_reserved = 0;
		}
		log_index_forget_tail(&segment->offset_index);
		log_index_forget_tail(&segment->time_index);
		log_index_forget_tail(&segment->txn_index);
		log_segment_close_files(segment);
	}
	memset(log->inactive_open, 0, sizeof(log->inactive_open));
}

/* ---- what it is ---------------------------------------------------------------------------- */

int64_t
ot_log_start_offset(const struct ot_log *log)
{
	return log->start_offset;
}

int64_t
ot_log_end_offset(const struct ot_log *log)
{
	return log->end_offset;
}

int64_t
ot_log_synced_offset(const struct ot_log *log)
{
	return log->synced_offset;
}

int64_t
ot_log_recovery_point(const struct ot_log *log)
{
	return log->recovery_point;
}

ot_err
ot_log_failure(const struct ot_log *log)
{
	return log->failure;
}

static uint32_t
count_files(const struct log_segment *segment)
{
	return (segment->file != NULL ? 1u : 0u) + (segment->offset_index.file != NULL ? 1u : 0u) +
	       (segment->time_index.file != NULL ? 1u : 0u) +
	       (segment->txn_index.file != NULL ? 1u : 0u);
}

static size_t
tail_bytes(const struct log_index *index)
{
	return (size_t)index->tail_capacity * log_index_entry_bytes(index->kind);
}

void
ot_log_get_stats(const struct ot_log *log, struct ot_log_stats *ret_stats)
{
	struct ot_log_stats stats = {
		.bytes_unsynced = log->bytes_unsynced,
		.batches_appended = log->batches_appended,
		.segment_count = log->segment_count,
		.producer_count = log->producers.count,
		.txn_count = log->producers.ongoing_count,
		.txn_oldest_timestamp = OT_NO_TIMESTAMP,
	};
	stats.bytes_memory = sizeof(*log) + strlen(log->dir) + 1 +
	                     log->segment_capacity * sizeof(log->segments[0]) +
	                     log->staged_capacity * sizeof(log->staged[0]) +
	                     log->epochs.capacity * sizeof(log->epochs.entries[0]) +
	                     log->retired_capacity * sizeof(log->retired[0]) +
	                     log_producers_bytes_memory(&log->producers);
	if (log->hints != NULL)
		stats.bytes_memory += LOG_HINT_SETS * sizeof(log->hints[0]);
	for (uint32_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = log->segments[i];
		stats.bytes += segment->bytes;
		stats.files_open += count_files(segment);
		stats.bytes_memory += sizeof(*segment) + tail_bytes(&segment->offset_index) +
		                      tail_bytes(&segment->time_index) +
		                      tail_bytes(&segment->txn_index);
	}
	if (log->producers.ongoing_count > 0) {
		const struct log_producer *oldest =
		    log_producers_find(&log->producers, log->producers.ongoing[0].producer_id);
		stats.txn_oldest_timestamp =
		    oldest == NULL ? OT_NO_TIMESTAMP : oldest->last_timestamp;
	}
	*ret_stats = stats;
}

void
ot_log_check(const struct ot_log *log)
{
	OT_ASSERT(log->magic == LOG_MAGIC && log->segment_count > 0);
	OT_ASSERT(log->start_offset <= log->end_offset && log->end_offset <= log->staged_end);
	OT_ASSERT(log->recovery_point <= log->synced_offset);
	OT_ASSERT(log->synced_offset <= log->end_offset);
	OT_ASSERT(log->segments[0]->base_offset <= log->start_offset);
	for (uint32_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = log->segments[i];
		OT_ASSERT(segment->base_offset <= log->end_offset);
		OT_ASSERT(segment->index_place <= segment->bytes);
		OT_ASSERT(i == 0 || log->segments[i - 1]->base_offset < segment->base_offset);
		OT_ASSERT(segment->offset_index.written <= segment->offset_index.count);
		OT_ASSERT(segment->offset_index.tail_first <= segment->offset_index.written);
	}
	for (uint32_t i = 1; i < log->epochs.count; i++)
		OT_ASSERT(log->epochs.entries[i - 1].epoch < log->epochs.entries[i].epoch);
	if (log->staged_count == 0)
		log_producers_check(&log->producers);
}

/* ---- producers ----------------------------------------------------------------------------- */

int64_t
ot_log_last_stable_offset(const struct ot_log *log, int64_t high_watermark)
{
	return OT_MIN(high_watermark, log_producers_first_unstable(&log->producers));
}

void
ot_log_set_high_watermark(struct ot_log *log, int64_t high_watermark)
{
	log->high_watermark = high_watermark;
	if (log->producers.unreplicated_count > 0)
		log_producers_replicated_to(&log->producers, high_watermark);
}

static struct ot_log_producer
describe(const struct log_producer *producer)
{
	const struct log_producer_batch *last = log_producer_last_batch(producer);
	return (struct ot_log_producer){
		.producer_id = producer->id,
		.last_timestamp = producer->last_timestamp,
		.last_offset = last == NULL ? -1 : last->last_offset,
		.txn_first_offset = producer->txn_first_offset,
		.last_sequence = last == NULL ? OT_NO_SEQUENCE : last->last_sequence,
		.coordinator_epoch = producer->coordinator_epoch,
		.producer_epoch = producer->epoch,
	};
}

bool
ot_log_get_producer(const struct ot_log *log, int64_t producer_id,
    struct ot_log_producer *ret_producer)
{
	const struct log_producer *producer = log_producers_find(&log->producers, producer_id);
	if (producer == NULL)
		return false;
	*ret_producer = describe(producer);
	return true;
}

void
ot_log_visit_producers(const struct ot_log *log, ot_log_visit_producer *visit, void *arg)
{
	for (uint32_t i = 0; i < log->producers.count; i++) {
		struct ot_log_producer producer = describe(&log->producers.entries[i]);
		visit(arg, &producer);
	}
}

void
ot_log_expire_producers(struct ot_log *log, ot_wall_ms now)
{
	OT_ASSERT(log->staged_count == 0);
	log_producers_expire(&log->producers, now, log->settings.producer_id_expiration_ms);
}
