#include "replica/part_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/report.h"
#include "log/logdir.h"

uint32_t
ot_part_owner_index(struct ot_str topic, int32_t index, uint32_t shard_count)
{
	/* FNV-1a of the name. Not the topic's id: a topic that is deleted and made again has to
	 * stay with the shard that still removes the old folder. Neighbours go to neighbouring
	 * shards, so that one topic's partitions are spread evenly. */
	uint32_t hash = 2166136261u;
	for (int32_t i = 0; i < topic.len; i++)
		hash = (hash ^ (uint8_t)topic.data[i]) * 16777619u;
	return (hash + (uint32_t)index) % shard_count;
}

/* ---- worker jobs --------------------------------------------------------------------------- */

void
part_submit(struct ot_part *part, struct ot_job *job)
{
	part->job_count++;
	ot_io_submit(part->conf.owner->io, job);
}

struct log_job {
	struct ot_job job;
	struct ot_part *part;
	struct ot_log_job *log_job;        /* of a chore */
	struct ot_log *log;                /* of opening and closing */
	struct ot_log_open_args open_args; /* a copy: settings may change while a worker opens */
	struct ot_log_open_result opened;
	int64_t limit_until;
	enum ot_log_close_how how;
	ot_err err;
};

static struct log_job *
create_job(struct ot_part *part, void (*work)(struct ot_job *), void (*done)(struct ot_job *))
{
	struct log_job *job = OT_NEW(struct log_job);
	job->job = (struct ot_job){ .work = work, .done = done };
	job->part = part;
	return job;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void
run_open(struct ot_job *job)
{
	struct log_job *open = OT_CONTAINER_OF(job, struct log_job, job);
	const struct ot_part_conf *conf = &open->part->conf;
	open->err = ot_dirs_prepare(conf->dirs, &conf->place, &conf->topic_id);
	if (open->err == OT_OK)
		open->err = part_apply_limit(open->open_args.fs, conf->place.path, &open->open_args,
		    &open->limit_until);
	if (open->err == OT_OK)
		open->err = ot_log_open(&open->open_args, &open->log, &open->opened);
}

/* What passes without a person: the disk has room again, the process memory or descriptors. */
bool
part_is_shortage(ot_err err)
{
	return err == OT_ERR_NO_SPACE || err == OT_ERR_NO_FILES || err == OT_ERR_NO_MEMORY;
}

static void
report_open(const struct ot_part *part, const struct log_job *open)
{
	const struct ot_log_open_result *result = &open->opened;
	const char *path = part->conf.place.path;
	if (part_is_shortage(open->err)) {
		/* It is said once, however often it is tried. */
		if (!part->is_open_short)
			OT_ERROR("replica",
			    "%s is offline: %s. It is tried again until it can be opened", path,
			    ot_err_message(open->err));
		return;
	}
	if (part->is_open_short && open->err == OT_OK)
		OT_INFO("replica", "%s is open: there is room again", path);
	if (open->err == OT_ERR_CORRUPT_FILE)
		/* What a person can decide, once there is no other replica to copy it from. */
		OT_ERROR("replica",
		    "%s is offline, since records that were safe on the disk are damaged: %s. To "
		    "give up all from there on, stop the broker, remove %s beside it, and start",
		    path, result->why.text, ot_checkpoint_name(OT_CHECKPOINT_RECOVERY_POINT));
	else if (open->err != OT_OK)
		OT_ERROR("replica", "%s is offline: %s. %s", path, ot_err_message(open->err),
		    result->why.text);
	else if (result->bytes_truncated > 0)
		OT_WARN("replica", "%s: cut %llu bytes off the end: %s", path,
		    (unsigned long long)result->bytes_truncated, result->why.text);
	if (result->indexes_rebuilt > 0)
		OT_INFO("replica", "%s: rebuilt %u indexes", path, result->indexes_rebuilt);
}

/* What the checkpoint said, as far as there is a log. */
static int64_t
known_high_watermark(const struct ot_part *part, const struct ot_log *log)
{
	int64_t known = OT_MAX(part->high_watermark, part->conf.place.high_watermark);
	return OT_MAX(OT_MIN(known, ot_log_end_offset(log)), ot_log_start_offset(log));
}

void
part_go_online(struct ot_part *part, struct ot_log *log)
{
	part->log = log;
	part->state = OT_PART_ONLINE;
	part->hot_offset = part->hot_offset_next = ot_log_end_offset(log);
	part->high_watermark = known_high_watermark(part, log);
	ot_log_set_settings(log, &part->conf.settings.log);
	ot_log_set_high_watermark(log, part->high_watermark);
	part_begin_role(part);
}

static void
could_not_be_opened(struct ot_part *part, ot_err err)
{
	part->state = OT_PART_OFFLINE;
	if (!part_is_shortage(err))
		ot_dirs_distrust(part->conf.dirs, part->conf.place.dir);
}

static void
open_is_done(struct ot_job *job)
{
	struct log_job *open = OT_CONTAINER_OF(job, struct log_job, job);
	struct ot_part *part = open->part;
	report_open(part, open);
	if (part->is_close_wanted)
		part->log = open->err == OT_OK ? open->log : NULL;
	else if (open->err == OT_OK)
		part_go_online(part, open->log);
	else
		could_not_be_opened(part, open->err);
	part->limit_until = open->limit_until;
	part->is_open_short = part_is_shortage(open->err);
	part->reopen_ticks = PART_REOPEN_TICKS;
	ot_free(open);
	if (!part->is_close_wanted)
		part->conf.on_open(part->conf.arg, part);
	part_job_is_over(part);
}

struct ot_part *
ot_part_create(const struct ot_part_conf *conf, const struct ot_log_open_args *args)
{
	OT_ON_SHARD(conf->owner);
	struct ot_part *part = OT_NEW(struct ot_part);
	part->magic = PART_MAGIC;
	part->state = OT_PART_OPENING;
	part->conf = *conf;
	part->conf.topic.data = ot_must_strndup(conf->topic.data, (size_t)conf->topic.len);
	part->open_args = *args;
	part->open_args.dir = part->conf.place.path;
	part->leader_id = part->leader_epoch = part->partition_epoch = -1;
	part->replica_count = 1;
	part->limit_until = -1;
	part->unsynced_since = -1;
	/* What holds for a log that cannot be opened: nothing of it has moved. */
	part->final_start = args->start_offset;
	part->final_recovery_point = part->final_end = args->recovery_point;
	ot_list_init(&part->staged);
	ot_list_init(&part->unsynced);
	ot_list_init(&part->unreplicated);
	ot_list_init(&part->watchers);
	ot_list_init(&part->deletions);
	ot_turn_work_init(&part->write_work, part_write_staged);
	return part;
}

static void
start_opening(struct ot_part *part)
{
	struct log_job *open = create_job(part, run_open, open_is_done);
	open->open_args = part->open_args;
	part_submit(part, &open->job);
}

void
ot_part_set_place(struct ot_part *part, const struct ot_dirs_place *place)
{
	part_enter(part);
	OT_ASSERT(part->state == OT_PART_OPENING && part->job_count == 0);
	part->conf.place = *place;
	part->open_args.start_offset = place->start_offset;
	part->open_args.recovery_point = place->recovery_point;
	part->open_args.is_clean = place->is_clean;
	part->final_start = place->start_offset;
	part->final_recovery_point = part->final_end = place->recovery_point;
}

void
ot_part_open(struct ot_part *part)
{
	part_enter(part);
	OT_ASSERT(part->state == OT_PART_OPENING && part->job_count == 0);
	start_opening(part);
}

void
ot_part_leave_offline(struct ot_part *part)
{
	part_enter(part);
	OT_ASSERT(part->state == OT_PART_OPENING && part->job_count == 0);
	OT_ERROR("replica", "%s is offline: its log directory has failed", part->conf.place.path);
	part->state = OT_PART_OFFLINE;
	part->conf.on_open(part->conf.arg, part);
}

/* Until then it answers KAFKA_STORAGE_ERROR, and its clients come again. */
static void
reopen_if_due(struct ot_part *part)
{
	if (part->state != OT_PART_OFFLINE || !part->is_open_short || part->job_count > 0)
		return;
	if (--part->reopen_ticks == 0)
		start_opening(part);
}

/* ---- closing ------------------------------------------------------------------------------- */

static void
run_close(struct ot_job *job)
{
	struct log_job *close = OT_CONTAINER_OF(job, struct log_job, job);
	const struct ot_part *part = close->part;
	close->err = ot_log_close(close->log, close->how);
	/* All is synced: no recovery point can be wrong. */
	if (close->err == OT_OK && close->how == OT_LOG_CLOSE_CLEAN && part->limit_until >= 0)
		close->err = part_remove_limit(part->open_args.fs, part->conf.place.path);
}

static void
become_closed(struct ot_part *part)
{
	part->state = OT_PART_CLOSED;
	part->conf.on_closed(part->conf.arg, part);
}

static void
close_is_done(struct ot_job *job)
{
	struct log_job *close = OT_CONTAINER_OF(job, struct log_job, job);
	struct ot_part *part = close->part;
	if (close->err != OT_OK && close->how == OT_LOG_CLOSE_CLEAN)
		OT_WARN("replica", "%s could not be closed cleanly: %s", part->conf.place.path,
		    ot_err_message(close->err));
	part->is_clean = close->err == OT_OK && close->how == OT_LOG_CLOSE_CLEAN;
	ot_free(close);
	part->job_count--;
	become_closed(part);
}

/* Closing goes on when nothing of the log is in a worker's hands. */
static void
continue_closing(struct ot_part *part)
{
	if (!part->is_close_wanted || part->job_count > 0 || part->state == OT_PART_CLOSED)
		return;
	part->is_close_wanted = false;
	if (part->log == NULL) {
		become_closed(part);
		return;
	}
	part->final_start = ot_log_start_offset(part->log);
	part->final_recovery_point = ot_log_recovery_point(part->log);
	part->final_end = ot_log_end_offset(part->log);
	struct log_job *close = create_job(part, run_close, close_is_done);
	close->log = part->log;
	close->how = ot_log_failure(part->log) == OT_OK ? part->close_how : OT_LOG_CLOSE_DROP;
	part->log = NULL;
	part_submit(part, &close->job);
}

void
part_job_is_over(struct ot_part *part)
{
	OT_ASSERT(part->job_count > 0);
	part->job_count--;
	part_continue_cut(part);
	continue_closing(part);
}

/* Watchers are let go before they are told, since they may come to it after the partition. */
static void
release_watchers(struct ot_part *part)
{
	while (!ot_list_is_empty(&part->watchers)) {
		struct ot_part_watcher *watcher =
		    OT_LIST_FIRST(&part->watchers, struct ot_part_watcher, link);
		ot_list_remove(&watcher->link);
		watcher->on_more(watcher);
	}
}

void
ot_part_close(struct ot_part *part, enum ot_log_close_how how)
{
	part_enter(part);
	OT_ASSERT(part->state != OT_PART_CLOSED && !part->is_close_wanted);
	part_settle(part);
	part->state = OT_PART_CLOSING;
	part->close_how = how;
	part->is_close_wanted = true;
	part_drop_isr_wish(part);
	part_fail_appends(part, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	part_look_at_deletions(part);
	release_watchers(part);
	part_continue_cut(part); /* one that waits for space goes */
	continue_closing(part);
}

void
ot_part_final_offsets(const struct ot_part *part, int64_t *ret_start, int64_t *ret_recovery_point)
{
	OT_ASSERT(part->state == OT_PART_CLOSED);
	*ret_start = part->final_start;
	*ret_recovery_point = part->is_clean ? part->final_end : part->final_recovery_point;
}

void
ot_part_checkpoint_offsets(const struct ot_part *part, int64_t *ret_start,
    int64_t *ret_recovery_point)
{
	part_enter(part);
	bool is_open = part->log != NULL;
	*ret_start = is_open ? ot_log_start_offset(part->log) : part->open_args.start_offset;
	*ret_recovery_point =
	    is_open ? ot_log_recovery_point(part->log) : part->open_args.recovery_point;
}

bool
ot_part_is_clean(const struct ot_part *part)
{
	OT_ASSERT(part->state == OT_PART_CLOSED);
	return part->is_clean;
}

void
ot_part_destroy(struct ot_part *part)
{
	OT_ASSERT(part->state == OT_PART_CLOSED && part->job_count == 0);
	OT_ASSERT(ot_list_is_empty(&part->watchers) && ot_list_is_empty(&part->deletions));
	part->magic = 0;
	part_free_role(part);
	ot_free((void *)(uintptr_t)part->conf.topic.data);
	ot_free(part);
}

void
part_go_offline(struct ot_part *part, ot_err err)
{
	if (part->state != OT_PART_ONLINE)
		return;
	OT_ERROR("replica",
	    "%s is offline from now on: %s. Restart the broker when the disk is well",
	    part->conf.place.path, ot_err_message(err));
	part->state = OT_PART_OFFLINE;
	ot_dirs_distrust(part->conf.dirs, part->conf.place.dir);
	/* A log that has failed takes back what this turn has staged. */
	ot_turn_work_cancel(&part->write_work);
	ot_err undone = ot_log_write_staged(part->log, ot_io_wall(part->conf.owner->io));
	OT_ASSERT(undone == OT_OK || ot_log_failure(part->log) != OT_OK);
	part_fail_appends(part, OT_ERR_KAFKA_STORAGE_ERROR);
	part_look_at_deletions(part);
	part_wake_watchers(part);
}

void
ot_part_fail(struct ot_part *part)
{
	part_enter(part);
	part_settle(part);
	part_go_offline(part, OT_ERR_IO);
}

bool
ot_part_has_failed(const struct ot_part *part)
{
	part_enter(part);
	return part->state == OT_PART_OFFLINE && !part->is_open_short;
}

/* ---- settings ------------------------------------------------------------------------------ */

void
ot_part_set_settings(struct ot_part *part, const struct ot_part_settings *settings)
{
	part_enter(part);
	part_settle(part);
	part->conf.settings = *settings;
	part->open_args.settings = settings->log;
	if (part->log != NULL)
		ot_log_set_settings(part->log, &settings->log);
}

/* ---- steady work --------------------------------------------------------------------------- */

static void
run_chore(struct ot_job *job)
{
	ot_log_job_run(OT_CONTAINER_OF(job, struct log_job, job)->log_job);
}

static void
chore_is_done(struct ot_job *job)
{
	struct log_job *chore = OT_CONTAINER_OF(job, struct log_job, job);
	struct ot_part *part = chore->part;
	ot_wall_ms now = ot_io_wall(part->conf.owner->io);
	ot_err err = ot_log_job_end(part->log, chore->log_job, now);
	if (err != OT_OK)
		OT_WARN("replica", "%s: %s; tried again later", part->conf.place.path,
		    ot_err_message(err));
	ot_free(chore);
	part->is_chore_running = false;
	part_job_is_over(part);
}

void
part_start_chore(struct ot_part *part, ot_wall_ms now)
{
	if (part->is_chore_running || part->log == NULL || ot_log_chore_due(part->log) > now)
		return;
	struct ot_log_job *log_job = ot_log_chore_begin(part->log, now);
	if (log_job == NULL)
		return;
	struct log_job *chore = create_job(part, run_chore, chore_is_done);
	chore->log_job = log_job;
	part->is_chore_running = true;
	part_submit(part, &chore->job);
}

static void
retain(struct ot_part *part, ot_wall_ms now)
{
	uint32_t count = 0;
	ot_err err = ot_log_retain(part->log, part->high_watermark, now, &count);
	if (err != OT_OK)
		OT_WARN("replica", "%s: retention: %s", part->conf.place.path, ot_err_message(err));
	else if (count > 0)
		OT_INFO("replica", "%s: retention takes %u segments, the log starts at %lld",
		    part->conf.place.path, count, (long long)ot_log_start_offset(part->log));
	ot_log_expire_producers(part->log, now);
}

/* What nobody has appended to for a while may have left the page cache; a log that nobody uses
 * gives back what it can. The moment differs between partitions, since files are closed in the
 * turn. */
static void
note_use(struct ot_part *part)
{
	uint32_t idle_ticks_max = PART_IDLE_TICKS + (uint32_t)part->conf.index % PART_IDLE_TICKS;
	part->quiet_ticks++;
	part->idle_ticks++;
	if (part->quiet_ticks == PART_HOT_TICKS)
		part->hot_offset = part->hot_offset_next = ot_log_end_offset(part->log);
	if (part->idle_ticks == idle_ticks_max && ot_log_failure(part->log) == OT_OK)
		ot_log_idle(part->log);
}

void
ot_part_tick(struct ot_part *part, ot_wall_ms now, bool is_retention_due)
{
	part_enter(part);
	part_settle(part);
	reopen_if_due(part);
	part_retry_cut(part);
	if (part->state != OT_PART_ONLINE)
		return;
	note_use(part);
	part_look_at_isr(part);
	part_look_at_deletions(part);
	if (is_retention_due)
		retain(part, now);
	int64_t flush_ms = part->conf.settings.flush_ms;
	bool is_flush_due = flush_ms != INT64_MAX && part->unsynced_since >= 0 &&
	                    now - part->unsynced_since >= flush_ms;
	if (is_flush_due || !ot_list_is_empty(&part->unsynced))
		part_sync(part, OT_LOG_SYNC_DATA);
	part_start_chore(part, now);
}

void
ot_part_checkpoint(struct ot_part *part)
{
	part_enter(part);
	part_sync(part, OT_LOG_SYNC_CHECKPOINT);
}

/* ---- what a partition is ------------------------------------------------------------------- */

enum ot_part_state
ot_part_state(const struct ot_part *part)
{
	return part->state;
}

struct ot_str
ot_part_topic(const struct ot_part *part)
{
	return part->conf.topic;
}

const struct ot_uuid *
ot_part_topic_id(const struct ot_part *part)
{
	return &part->conf.topic_id;
}

int32_t
ot_part_index(const struct ot_part *part)
{
	return part->conf.index;
}

const char *
ot_part_dir(const struct ot_part *part)
{
	return part->conf.place.path;
}

int32_t
ot_part_leader_epoch(const struct ot_part *part)
{
	return part->leader_epoch;
}

int64_t
ot_part_high_watermark(const struct ot_part *part)
{
	return part->high_watermark;
}

struct ot_log *
ot_part_log(struct ot_part *part)
{
	return part->log;
}
