/* Reading, and the questions about offsets. */
#include "replica/part_int.h"

#include "base/alloc.h"
#include "base/plant.h"

/* ---- reads --------------------------------------------------------------------------------- */

static void
give(struct ot_part_read *read, ot_err err)
{
	read->err = err;
	read->done(read);
}

static bool
is_hot(const struct ot_part *part, const struct ot_part_read *read)
{
	if (read->offset >= part->hot_offset)
		return true;
	const struct ot_log_read *plan = &read->plan;
	return ot_file_is_cached(plan->file, plan->place, plan->bytes);
}

/* A consumer that names no epoch may take this follower for the leader that it was. If it were told
 * that its offset is out of range it would begin anew, at the first record or the last. One that
 * names the epoch was sent here as to a follower, and goes back to the leader then (KIP-392). */
static bool
is_ahead_of_follower(const struct ot_part *part, const struct ot_part_read *read)
{
	return !part->is_leader && read->leader_epoch < 0 &&
	       read->offset > ot_log_end_offset(part->log);
}

static ot_err
check_read(const struct ot_part *part, const struct ot_part_read *read)
{
	if (read->replica_id >= 0)
		return part_check_replica(part, read);
	ot_err err = part_check_reader(part, read->leader_epoch, read->is_follower_allowed);
	if (err == OT_OK && is_ahead_of_follower(part, read))
		return OT_ERR_NOT_LEADER_OR_FOLLOWER;
	return err;
}

static int64_t
readable_end(const struct ot_part *part, bool is_replica, enum ot_isolation isolation)
{
	if (is_replica || OT_PLANT(READ_PAST_WATERMARK))
		return ot_log_end_offset(part->log);
	return isolation == OT_READ_COMMITTED
	           ? ot_log_last_stable_offset(part->log, part->high_watermark)
	           : part->high_watermark;
}

static void
find_epoch_end(struct ot_part *part, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset)
{
	/* The current epoch ends where the log does; it need not have a record yet. */
	if (epoch == part->leader_epoch) {
		*ret_epoch = epoch;
		*ret_end_offset = ot_log_end_offset(part->log);
		return;
	}
	ot_log_epoch_end(part->log, epoch, ret_epoch, ret_end_offset);
}

/* KIP-595: the reader's last epoch must end here where it says, or it has to truncate. */
static ot_err
check_divergence(struct ot_part *part, struct ot_part_read *read)
{
	int32_t epoch = -1;
	int64_t end_offset = -1;
	if (read->last_fetched_epoch < 0)
		return OT_OK;
	find_epoch_end(part, read->last_fetched_epoch, &epoch, &end_offset);
	/* Older than anything here: as Kafka, the reader begins anew where the log does. */
	if (epoch < 0 || end_offset < 0 || read->offset < ot_log_start_offset(part->log))
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	if (epoch < read->last_fetched_epoch || end_offset < read->offset) {
		read->diverging_epoch = epoch;
		read->diverging_end_offset = end_offset;
	}
	return OT_OK;
}

struct aborted_list {
	struct ot_part_read *read;
	int32_t capacity;
};

static void
add_aborted(void *arg, const struct ot_log_aborted *aborted)
{
	struct aborted_list *list = arg;
	struct ot_part_read *read = list->read;
	if (read->aborted_count == list->capacity) {
		list->capacity = OT_MAX(list->capacity * 2, 8);
		struct ot_part_aborted *items =
		    ot_must_alloc((size_t)list->capacity * sizeof(*items));
		for (int32_t i = 0; i < read->aborted_count; i++)
			items[i] = read->aborted[i];
		ot_free(read->aborted);
		read->aborted = items;
	}
	read->aborted[read->aborted_count++] = (struct ot_part_aborted){
		.producer_id = aborted->producer_id,
		.first_offset = aborted->first_offset,
	};
}

static ot_err
list_aborted(struct ot_part *part, struct ot_part_read *read)
{
	if (read->isolation != OT_READ_COMMITTED)
		return OT_OK;
	read->aborted_count = 0;
	if (read->plan.bytes == 0)
		return OT_OK;
	struct aborted_list list = { .read = read };
	return ot_log_visit_aborted_in(part->log, read->offset, read->plan.next_offset, add_aborted,
	    &list);
}

static void
finish_read(struct ot_part *part, struct ot_part_read *read)
{
	ot_err err = list_aborted(part, read);
	if (err != OT_OK) {
		ot_file_unref(read->plan.file);
		give(read, OT_ERR_KAFKA_STORAGE_ERROR);
		return;
	}
	read->file = read->plan.file;
	read->place = read->plan.place;
	read->bytes = read->plan.bytes;
	if (read->replica_id >= 0) {
		if (!read->is_replica_known)
			part_note_fetch(part, read);
		read->high_watermark = part->high_watermark;
	}
	give(read, OT_OK);
}

static void
run_warm(struct ot_job *job)
{
	ot_log_read_warm(&OT_CONTAINER_OF(job, struct ot_part_read, job)->plan);
}

static void plan_read(struct ot_part *part, struct ot_part_read *read);

/* The pages of the index are in memory now: plan again. */
static void
index_is_warm(struct ot_job *job)
{
	struct ot_part_read *read = OT_CONTAINER_OF(job, struct ot_part_read, job);
	struct ot_part *part = read->part;
	ot_file_unref(read->plan.file);
	ot_err err = check_read(part, read);
	if (err == OT_OK)
		plan_read(part, read);
	else
		give(read, err);
	part_job_is_over(part);
}

static void
range_is_warm(struct ot_job *job)
{
	struct ot_part_read *read = OT_CONTAINER_OF(job, struct ot_part_read, job);
	struct ot_part *part = read->part;
	ot_err err = check_read(part, read);
	if (err == OT_OK) {
		finish_read(part, read);
	} else {
		ot_file_unref(read->plan.file);
		give(read, err);
	}
	part_job_is_over(part);
}

static void
warm(struct ot_part *part, struct ot_part_read *read, void (*done)(struct ot_job *job))
{
	read->part = part;
	read->job = (struct ot_job){ .work = run_warm, .done = done };
	part_submit(part, &read->job);
}

static void
plan_read(struct ot_part *part, struct ot_part_read *read)
{
	struct ot_log_read_args args = {
		.offset = read->offset,
		.bound_offset = readable_end(part, read->replica_id >= 0, read->isolation),
		.bytes_max = read->bytes_max > 0 ? (size_t)read->bytes_max : 0,
		.is_one_at_least = read->is_one_at_least,
	};
	part->idle_ticks = 0;
	read->readable_end = args.bound_offset;
	read->end = ot_part_end(part, read->replica_id >= 0);
	ot_err err = ot_log_plan_read(part->log, &args, &read->plan);
	if (err == OT_ERR_AGAIN)
		warm(part, read, index_is_warm);
	else if (err != OT_OK)
		give(read, err == OT_ERR_OFFSET_OUT_OF_RANGE ? err : OT_ERR_KAFKA_STORAGE_ERROR);
	else if (read->plan.file != NULL && !is_hot(part, read))
		warm(part, read, range_is_warm);
	else
		finish_read(part, read);
}

void
ot_part_read(struct ot_part *part, struct ot_part_read *read)
{
	part_enter(part);
	read->file = NULL;
	read->bytes = 0;
	read->aborted = NULL;
	read->aborted_count = -1;
	read->diverging_epoch = -1;
	read->diverging_end_offset = -1;
	read->high_watermark = read->last_stable_offset = read->log_start_offset = -1;
	read->readable_end = read->end = -1;
	read->current_leader_epoch = part->leader_epoch;
	read->plan = (struct ot_log_read){ 0 };
	ot_err err = check_read(part, read);
	if (err != OT_OK) {
		give(read, err);
		return;
	}
	read->high_watermark = part->high_watermark;
	read->last_stable_offset = ot_log_last_stable_offset(part->log, part->high_watermark);
	read->log_start_offset = ot_log_start_offset(part->log);
	err = check_divergence(part, read);
	if (err != OT_OK || read->diverging_epoch >= 0)
		give(read, err);
	else
		plan_read(part, read);
}

int64_t
ot_part_end(const struct ot_part *part, bool is_replica)
{
	part_enter(part);
	return is_replica && part->log != NULL ? ot_log_end_offset(part->log)
	                                       : part->high_watermark;
}

void
ot_part_watch(struct ot_part *part, struct ot_part_watcher *watcher)
{
	part_enter(part);
	OT_ASSERT(watcher->on_more != NULL);
	ot_list_push_back(&part->watchers, &watcher->link);
}

void
ot_part_unwatch(struct ot_part_watcher *watcher)
{
	ot_list_remove(&watcher->link);
}

/* ---- offsets by time ----------------------------------------------------------------------- */

static void
tell(struct ot_part_find *find, ot_err err)
{
	find->err = err;
	find->done(find);
}

/* A new leader does not know yet how far the one before had got: what it would tell could be less
 * than it was before (KIP-207). */
static bool
is_behind_its_epoch(const struct ot_part *part, const struct ot_part_find *find)
{
	return !find->is_replica && part->high_watermark < part->epoch_start;
}

static void
run_find(struct ot_job *job)
{
	ot_log_job_run(OT_CONTAINER_OF(job, struct ot_part_find, job)->log_job);
}

static void
find_is_done(struct ot_job *job)
{
	struct ot_part_find *find = OT_CONTAINER_OF(job, struct ot_part_find, job);
	struct ot_part *part = find->part;
	ot_err err = ot_log_find_end(part->log, find->log_job, &find->found);
	if (err == OT_OK)
		err = part_check_reader(part, find->leader_epoch, find->is_follower_allowed);
	else
		err = OT_ERR_KAFKA_STORAGE_ERROR;
	/* A record that not all in-sync replicas have is not there yet. */
	if (err == OT_OK &&
	    find->found.offset >= readable_end(part, find->is_replica, find->isolation)) {
		find->found = (struct ot_log_found){ -1, OT_NO_TIMESTAMP, OT_NO_LEADER_EPOCH };
		err = is_behind_its_epoch(part, find) ? OT_ERR_OFFSET_NOT_AVAILABLE : OT_OK;
	}
	tell(find, err);
	part_job_is_over(part);
}

static void
find_by_scan(struct ot_part *part, struct ot_part_find *find)
{
	find->part = part;
	find->log_job = ot_log_find_begin(part->log, find->timestamp);
	if (find->log_job == NULL) {
		tell(find, OT_ERR_KAFKA_STORAGE_ERROR);
		return;
	}
	find->job = (struct ot_job){ .work = run_find, .done = find_is_done };
	part_submit(part, &find->job);
}

/* Version 0 knows no offset of a time, but where segments begin. */
static ot_err
list_starts(struct ot_part *part, struct ot_part_find *find)
{
	struct ot_log_stats stats;
	ot_log_get_stats(part->log, &stats);
	int64_t bound = readable_end(part, find->is_replica, find->isolation);
	int32_t count_max =
	    (int32_t)OT_MIN((int64_t)find->starts_max, (int64_t)stats.segment_count + 1);
	find->starts = ot_alloc((size_t)OT_MAX(count_max, 1) * sizeof(*find->starts));
	if (find->starts == NULL)
		return OT_ERR_NO_MEMORY;
	if (find->timestamp == OT_LIST_EARLIEST) {
		find->starts[find->start_count++] = ot_log_start_offset(part->log);
		return OT_OK;
	}
	/* The log's end is of now: a time that has not passed yet has all before it. */
	bool is_all = find->timestamp == OT_LIST_LATEST ||
	              find->timestamp >= ot_io_wall(part->conf.owner->io);
	int64_t timestamp = is_all ? OT_LOG_ANY_TIME : find->timestamp;
	ot_err err = ot_log_list_starts(part->log, timestamp, bound, count_max, find->starts,
	    &find->start_count);
	return err == OT_OK ? OT_OK : OT_ERR_KAFKA_STORAGE_ERROR;
}

_Static_assert(OT_LIST_MAX == OT_LOG_MAX_TIMESTAMP, "the log knows the protocol's number");

void
ot_part_find(struct ot_part *part, struct ot_part_find *find)
{
	part_enter(part);
	find->found = (struct ot_log_found){ -1, OT_NO_TIMESTAMP, OT_NO_LEADER_EPOCH };
	find->starts = NULL;
	find->start_count = 0;
	ot_err err = part_check_reader(part, find->leader_epoch, find->is_follower_allowed);
	if (err != OT_OK) {
		tell(find, err);
		return;
	}
	if (find->starts_max > 0) {
		tell(find, list_starts(part, find));
		return;
	}
	switch (find->timestamp) {
	case OT_LIST_LATEST:
		if (is_behind_its_epoch(part, find)) {
			tell(find, OT_ERR_OFFSET_NOT_AVAILABLE);
			return;
		}
		find->found = ot_log_find_latest(part->log,
		    readable_end(part, find->is_replica, find->isolation));
		tell(find, OT_OK);
		return;
	case OT_LIST_EARLIEST:
	case OT_LIST_LOCAL_EARLIEST:
		find->found = ot_log_find_earliest(part->log);
		tell(find, OT_OK);
		return;
	case OT_LIST_TIERED_LATEST:
	case OT_LIST_PENDING_UPLOAD:
		/* No record is in a remote tier, and none waits to go there. */
		tell(find, OT_OK);
		return;
	default:
		find_by_scan(part, find);
	}
}

/* ---- other questions ----------------------------------------------------------------------- */

ot_err
ot_part_epoch_end(struct ot_part *part, int32_t current_leader_epoch, int32_t epoch,
    int32_t *ret_epoch, int64_t *ret_end_offset)
{
	part_enter(part);
	ot_err err = ot_part_check_leader(part, current_leader_epoch);
	if (err == OT_OK)
		find_epoch_end(part, epoch, ret_epoch, ret_end_offset);
	return err;
}
