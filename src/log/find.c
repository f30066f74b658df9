/* Offsets by time: the first record whose timestamp is at least the wanted one.
 *
 * The segment is the first whose greatest timestamp is not smaller (the last entry of its time
 * index tells); the time index gives an offset before which all timestamps are smaller, the offset
 * index its place, and from there batches are walked and the records of the first that qualifies
 * looked at. All of it may read cold files and open compressed batches, so a worker does it, on
 * what the owner wrote down. A segment that was deleted meanwhile is passed over. */
#include "log/jobs_int.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "log/scan_int.h"
#include "record/iterate.h"

/* ---- the owner's part ---------------------------------------------------------------------- */

struct ot_log_job *
ot_log_find_begin(struct ot_log *log, int64_t timestamp)
{
	OT_ASSERT(log->magic == LOG_MAGIC);
	struct ot_log_job *job = log_job_create(log, LOG_JOB_FIND);
	if (job == NULL)
		return NULL;
	struct log_find *find = &job->find;
	log_index_init(&find->offset_index, LOG_INDEX_OFFSET);
	log_index_init(&find->time_index, LOG_INDEX_TIME);
	find->segments = ot_alloc(log->segment_count * sizeof(find->segments[0]));
	if (find->segments == NULL) {
		log_job_destroy(job);
		return NULL;
	}
	/* The worker reads files alone. Where that fails it finds fewer entries, and walks
	 * further. */
	ot_err ignored = log_segment_write_indexes(log, log_active(log));
	(void)ignored;
	find->timestamp = timestamp;
	find->start_offset = log->start_offset;
	find->segment_count = log->segment_count;
	for (uint32_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = log->segments[i];
		find->segments[i] = (struct log_find_segment){
			.base_offset = segment->base_offset,
			.bytes = segment->bytes,
			.max_timestamp = segment->max_timestamp,
			.offset_count = segment->offset_index.written,
			.time_count = segment->time_index.written,
		};
	}
	log->find_count++;
	return job;
}

ot_err
ot_log_find_end(struct ot_log *log, struct ot_log_job *job, struct ot_log_found *ret_found)
{
	OT_ASSERT(log->find_count > 0 && job->kind == LOG_JOB_FIND);
	log->find_count--;
	ot_err err = job->err;
	if (err == OT_OK)
		*ret_found = job->find.found;
	log_job_destroy(job);
	return err;
}

/* ---- the worker's part --------------------------------------------------------------------- */

static void
close_segment(struct log_find *find)
{
	ot_file_unref(find->file);
	find->file = NULL;
	log_index_fini(&find->offset_index);
	log_index_fini(&find->time_index);
}

static ot_err
open_index(struct ot_log_job *job, struct log_index *index, int64_t base_offset,
    enum log_file_kind kind, uint32_t count)
{
	char path[LOG_PATH_BYTES];
	log_index_set_count(index, count);
	if (count == 0)
		return OT_OK;
	log_path(path, job->dir, base_offset, kind, LOG_STATE_LIVE);
	return log_index_open(index, job->fs, path, false);
}

static ot_err
learn_max(struct ot_log_job *job, struct log_find_segment *segment)
{
	struct log_index *index = &job->find.time_index;
	if (segment->max_timestamp != LOG_TIMESTAMP_UNKNOWN)
		return OT_OK;
	struct log_time_entry last = { .timestamp = OT_NO_TIMESTAMP };
	ot_err err =
	    open_index(job, index, segment->base_offset, LOG_FILE_TIMEINDEX, segment->time_count);
	if (err == OT_OK && segment->time_count > 0)
		err =
		    log_index_get_time(index, segment->base_offset, segment->time_count - 1, &last);
	if (err == OT_OK)
		segment->max_timestamp = last.timestamp;
	close_segment(&job->find);
	return err;
}

static ot_err
open_segment(struct ot_log_job *job, const struct log_find_segment *segment)
{
	struct log_find *find = &job->find;
	char path[LOG_PATH_BYTES];
	log_path(path, job->dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	ot_err err = ot_fs_open(job->fs, path, OT_OPEN_READ, &find->file);
	if (err == OT_OK)
		err = open_index(job, &find->offset_index, segment->base_offset, LOG_FILE_INDEX,
		    segment->offset_count);
	if (err == OT_OK)
		err = open_index(job, &find->time_index, segment->base_offset, LOG_FILE_TIMEINDEX,
		    segment->time_count);
	return err;
}

/* A place from which no record with the wanted timestamp has been passed. */
static ot_err
find_place(const struct log_find *find, const struct log_find_segment *segment, uint64_t *ret_place)
{
	struct log_time_entry time = { .offset = segment->base_offset };
	struct log_offset_entry entry = { 0 };
	uint32_t count = 0;
	ot_err err = log_index_count_to(&find->time_index, find->timestamp, &count);
	if (err == OT_OK && count > 0)
		err = log_index_get_time(&find->time_index, segment->base_offset, count - 1, &time);
	if (err != OT_OK)
		return err;
	/* The batch that the entry names may be the one: an equal timestamp counts. */
	int64_t offset = OT_MAX(time.offset, find->start_offset);
	count = 0;
	if (find->offset_index.count > 0)
		err = log_index_count_to(&find->offset_index, offset - segment->base_offset - 1,
		    &count);
	if (err == OT_OK && count > 0)
		err = log_index_get_offset(&find->offset_index, segment->base_offset, count - 1,
		    &entry);
	if (err == OT_OK)
		*ret_place = entry.place < segment->bytes ? entry.place : 0;
	return err;
}

/* Looks at a batch's records. */
static ot_err
find_in_batch(struct log_find *find, const uint8_t *data, const struct ot_batch_info *info)
{
	struct ot_record_iter iter;
	struct ot_record record;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	if (ctx == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = ot_record_iter_open(&iter, data, info,
	    &(struct ot_record_iter_options){ .ctx = ctx }, NULL);
	if (err != OT_OK)
		goto out;
	while (find->found.offset < 0 && ot_record_iter_next(&iter, &record)) {
		if (record.timestamp < find->timestamp || record.offset < find->start_offset)
			continue;
		find->found = (struct ot_log_found){
			.offset = record.offset,
			.timestamp = record.timestamp,
			.leader_epoch = info->leader_epoch,
		};
	}
	err = ot_record_iter_close(&iter);
	if (find->found.offset >= 0)
		err = OT_OK;
out:
	ot_codec_ctx_destroy(ctx);
	return err;
}

static ot_err
look_at_batch(struct log_find *find, const struct log_scan *scan,
    const struct log_scan_batch *batch)
{
	if (batch->magic != OT_MAGIC_V2) {
		/* An old message set is found as a whole: by its last offset. */
		find->found = (struct ot_log_found){
			.offset = batch->last_offset,
			.timestamp = batch->max_timestamp,
			.leader_epoch = OT_NO_LEADER_EPOCH,
		};
		return OT_OK;
	}
	uint8_t *data = ot_alloc_raw(batch->bytes);
	if (data == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = log_scan_read(scan, batch, data, batch->bytes);
	if (err == OT_OK)
		err = find_in_batch(find, data, &batch->info);
	ot_free(data);
	return err;
}

static ot_err
walk_segment(struct log_find *find, const struct log_find_segment *segment, uint64_t place,
    uint8_t *window)
{
	struct log_scan scan;
	struct log_scan_batch batch;
	log_scan_init(&scan, find->file, place, segment->bytes, window, LOG_SCAN_WINDOW_LARGE);
	ot_err err = log_scan_next(&scan, &batch, NULL);
	while (err == OT_OK && batch.bytes > 0 && find->found.offset < 0) {
		if (batch.max_timestamp >= find->timestamp &&
		    batch.last_offset >= find->start_offset)
			err = look_at_batch(find, &scan, &batch);
		if (err == OT_OK && find->found.offset < 0)
			err = log_scan_next(&scan, &batch, NULL);
	}
	return err;
}

static ot_err
find_in_segment(struct ot_log_job *job, const struct log_find_segment *segment, uint8_t *window)
{
	struct log_find *find = &job->find;
	uint64_t place = 0;
	ot_err err = open_segment(job, segment);
	if (err == OT_OK)
		err = find_place(find, segment, &place);
	if (err == OT_OK)
		err = walk_segment(find, segment, place, window);
	if (err == OT_ERR_CORRUPT_FILE && place > 0)
		err = walk_segment(find, segment, 0, window);
	close_segment(find);
	return err;
}

static bool
is_gone(ot_err err)
{
	return err == OT_ERR_NOT_FOUND;
}

/* The greatest timestamp of all segments becomes the wanted one. */
static ot_err
choose_greatest(struct ot_log_job *job)
{
	struct log_find *find = &job->find;
	int64_t greatest = OT_NO_TIMESTAMP;
	for (uint32_t i = 0; i < find->segment_count; i++) {
		ot_err err = learn_max(job, &find->segments[i]);
		if (is_gone(err))
			continue;
		if (err != OT_OK)
			return err;
		greatest = OT_MAX(greatest, find->segments[i].max_timestamp);
	}
	find->timestamp = greatest;
	return OT_OK;
}

static ot_err
find_in_segments(struct ot_log_job *job, uint8_t *window)
{
	struct log_find *find = &job->find;
	for (uint32_t i = 0; i < find->segment_count && find->found.offset < 0; i++) {
		ot_err err = learn_max(job, &find->segments[i]);
		if (err == OT_OK && find->segments[i].max_timestamp >= find->timestamp)
			err = find_in_segment(job, &find->segments[i], window);
		if (err != OT_OK && !is_gone(err))
			return err;
	}
	return OT_OK;
}

void
log_find_run(struct ot_log_job *job)
{
	struct log_find *find = &job->find;
	find->found = (struct ot_log_found){
		.offset = -1,
		.timestamp = OT_NO_TIMESTAMP,
		.leader_epoch = OT_NO_LEADER_EPOCH,
	};
	uint8_t *window = ot_alloc_raw(LOG_SCAN_WINDOW_LARGE);
	job->err = window == NULL ? OT_ERR_NO_MEMORY : OT_OK;
	bool is_greatest = find->timestamp == OT_LOG_MAX_TIMESTAMP;
	if (job->err == OT_OK && is_greatest)
		job->err = choose_greatest(job);
	/* A log without any timestamp has no greatest one. */
	bool has_target = !is_greatest || find->timestamp >= 0;
	if (job->err == OT_OK && has_target)
		job->err = find_in_segments(job, window);
	ot_free(window);
}
