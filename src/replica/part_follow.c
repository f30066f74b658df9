/* Following: what came from the leader goes into the log, what cannot be the leader's goes out.
 *
 * Cutting. The log is handed to a worker, which needs it alone:
 *
 *     ONLINE --a cut is wanted--> CUTTING, until no job is under way --worker--> ONLINE, or OFFLINE
 *                                    ^                                  |
 *                                    +---- no space for the limit ------+
 *
 * Crash argument. The checkpoint files tell recovery up to where a log is on the disk for good, and
 * recovery does not look at what lies before. A cut below that point, followed by appends that were
 * not synced, would make it a lie; and the files are written for all partitions at once, with rows
 * that may have been collected before the cut. So a file in the partition's own folder,
 * `recovery-point-limit`, stands before the first byte is cut: it has the place of the cut, below
 * which the checkpoints are right, and the recovery point before it, from which on they are right
 * again. Opening takes the lesser of checkpoint and limit. The file goes when the log is synced up
 * to the second number, or closed in order: then no row that was ever written is too high.
 */
#include "replica/part_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/plant.h"
#include "base/report.h"
#include "log/logdir.h"

struct part_cut {
	struct ot_job job;
	struct ot_part *part;
	struct ot_log *log; /* in the worker's hands */
	int64_t offset;
	bool is_restart; /* all goes, and the log begins anew at `offset` */
	bool is_under_way;
	bool is_prepared; /* limit and recovery point are set */
	bool has_limit;   /* it must be written before */
	struct ot_recovery_limit limit;
	bool has_begun; /* the limit stands, or need not */
	uint32_t ticks; /* until the next attempt, after one that found no space */
	ot_wall_ms now;
	ot_err err;
};

/* ---- the limit ------------------------------------------------------------------------------ */

ot_err
part_apply_limit(struct ot_fs *fs, const char *dir, struct ot_log_open_args *args,
    int64_t *ret_until)
{
	struct ot_recovery_limit limit;
	*ret_until = -1;
	ot_err err = ot_recovery_limit_read(fs, dir, &limit);
	if (err == OT_ERR_NOT_FOUND)
		return OT_OK;
	if (err == OT_ERR_CORRUPT_FILE) {
		/* It was there: scan all, which is always right. */
		OT_WARN("replica", "%s/%s cannot be read: the log is scanned from its beginning",
		    dir, OT_RECOVERY_LIMIT_NAME);
		limit = (struct ot_recovery_limit){ 0, INT64_MAX };
		err = OT_OK;
	}
	if (err != OT_OK)
		return err;
	if (!args->is_clean) {
		args->recovery_point = OT_MIN(args->recovery_point, limit.offset);
		args->start_offset = OT_MIN(args->start_offset, limit.offset);
	}
	*ret_until = limit.until;
	return OT_OK;
}

ot_err
part_remove_limit(struct ot_fs *fs, const char *dir)
{
	return ot_recovery_limit_remove(fs, dir);
}

void
part_note_recovery_point(struct ot_part *part)
{
	if (part->limit_until >= 0 && ot_log_recovery_point(part->log) >= part->limit_until)
		part->is_limit_stale = true;
}

/* ---- following ------------------------------------------------------------------------------ */

static bool
follows(const struct ot_part *part)
{
	return part->state == OT_PART_ONLINE && !part->is_leader && part->leader_id >= 0;
}

static bool
follows_in(const struct ot_part *part, int32_t leader_epoch)
{
	return follows(part) && part->leader_epoch == leader_epoch;
}

bool
ot_part_follow_state(const struct ot_part *part, struct ot_part_follow *ret_state)
{
	part_enter(part);
	if (!follows(part))
		return false;
	int64_t end = ot_log_end_offset(part->log);
	*ret_state = (struct ot_part_follow){
		.leader_id = part->leader_id,
		.leader_epoch = part->leader_epoch,
		.fetch_offset = end,
		.log_start_offset = ot_log_start_offset(part->log),
		.last_fetched_epoch =
		    end > ot_log_start_offset(part->log) && !OT_PLANT(NO_TRUNCATION)
			? ot_log_epoch_at(part->log, end - 1)
			: OT_NO_LEADER_EPOCH,
	};
	return true;
}

/* What the leader says of watermark and start, as far as it can hold here. */
static void
take_marks(struct ot_part *part, const struct ot_part_fetched *fetched)
{
	int64_t high = OT_MIN(fetched->high_watermark, ot_log_end_offset(part->log));
	bool has_moved = high > part->high_watermark;
	if (has_moved) {
		part->high_watermark = high;
		ot_log_set_high_watermark(part->log, high);
	}
	int64_t start = OT_MIN(fetched->log_start_offset, part->high_watermark);
	if (start > ot_log_start_offset(part->log))
		(void)!ot_log_advance_start(part->log, start);
	if (has_moved)
		part_wake_kind(part, false);
}

static void
end_fetched(struct ot_part *part, struct ot_part_fetched *fetched, ot_err err)
{
	bool is_current = follows_in(part, fetched->leader_epoch);
	if (is_current && err == OT_OK)
		take_marks(part, fetched);
	fetched->done(fetched, is_current || err != OT_OK ? err : OT_ERR_FENCED_LEADER_EPOCH);
}

static void
fetched_is_written(struct ot_append *append)
{
	struct ot_part_fetched *fetched = OT_CONTAINER_OF(append, struct ot_part_fetched, append);
	struct ot_part *part = fetched->part;
	ot_err err = append->err != OT_OK ? append->err : fetched->stage_err;
	OT_ASSERT(part->fetched == fetched);
	part->fetched = NULL;
	end_fetched(part, fetched, err);
}

static int64_t
last_offset_of(const uint8_t *batch)
{
	return (int64_t)ot_get_u64(batch) + (int32_t)ot_get_u32(batch + 23);
}

/* Drops what the log has already, and the piece of a batch at the end. */
static struct ot_bytes
whole_new_batches(const struct ot_part *part, struct ot_bytes records)
{
	enum { LENGTH_AT = 8, BODY_AT = 12, HEADER_BYTES = 61 };
	const uint8_t *next = records.data;
	size_t left = records.len > 0 ? (size_t)records.len : 0;
	const uint8_t *first = NULL;
	while (left >= HEADER_BYTES) {
		size_t bytes = BODY_AT + (size_t)ot_get_u32(next + LENGTH_AT);
		if (bytes > left)
			break;
		if (first == NULL && last_offset_of(next) >= ot_log_end_offset(part->log))
			first = next;
		next += bytes;
		left -= bytes;
	}
	if (first == NULL)
		return OT_BYTES_NULL;
	return (struct ot_bytes){ first, (int32_t)(next - first) };
}

void
ot_part_take_fetched(struct ot_part *part, struct ot_part_fetched *fetched)
{
	part_enter(part);
	fetched->part = part;
	fetched->stage_err = OT_OK;
	if (!follows_in(part, fetched->leader_epoch) || part->fetched != NULL) {
		fetched->done(fetched, OT_ERR_FENCED_LEADER_EPOCH);
		return;
	}
	struct ot_bytes records = whole_new_batches(part, fetched->records);
	if (records.len <= 0) {
		end_fetched(part, fetched, OT_OK);
		return;
	}
	fetched->append = (struct ot_append){
		.blob = fetched->blob,
		.records = records,
		.acks = 1,
		.origin = OT_ORIGIN_LEADER,
		.done = fetched_is_written,
	};
	fetched->stage_err = part_stage_fetched(part, &fetched->append);
	if (fetched->stage_err != OT_OK)
		OT_WARN("replica", "%s: what the leader %d sent is refused: %s. %s",
		    part->conf.place.path, part->leader_id, ot_err_message(fetched->stage_err),
		    fetched->append.why.text);
	if (fetched->append.end_offset >= 0)
		part->fetched = fetched;
	else
		end_fetched(part, fetched, fetched->stage_err);
}

/* ---- cutting -------------------------------------------------------------------------------- */

static void
run_cut(struct ot_job *job)
{
	struct part_cut *cut = OT_CONTAINER_OF(job, struct part_cut, job);
	const struct ot_part *part = cut->part;
	cut->err = OT_OK;
	if (cut->has_limit)
		cut->err =
		    ot_recovery_limit_write(part->open_args.fs, part->conf.place.path, &cut->limit);
	if (cut->err != OT_OK)
		return;
	cut->has_begun = true;
	cut->err = cut->is_restart ? ot_log_truncate_fully(cut->log, cut->offset, cut->now)
	                           : ot_log_truncate_to(cut->log, cut->offset, cut->now);
}

/* The disk is full, and nothing of the log was touched: it waits as it is. */
static void
postpone(struct ot_part *part, struct part_cut *cut)
{
	OT_WARN("replica", "%s waits to be cut at %lld: %s", part->conf.place.path,
	    (long long)cut->offset, ot_err_message(cut->err));
	cut->is_under_way = false;
	cut->ticks = PART_REOPEN_TICKS;
	part->log = cut->log;
	part_job_is_over(part);
}

void
part_retry_cut(struct ot_part *part)
{
	if (part->state == OT_PART_CUTTING && part->cut != NULL && part->cut->ticks > 0 &&
	    --part->cut->ticks == 0)
		part_continue_cut(part);
}

static void
cut_is_done(struct ot_job *job)
{
	struct part_cut *cut = OT_CONTAINER_OF(job, struct part_cut, job);
	struct ot_part *part = cut->part;
	if (part->state == OT_PART_CUTTING && !cut->has_begun && part_is_shortage(cut->err)) {
		postpone(part, cut);
		return;
	}
	part->cut = NULL;
	part->log = cut->log;
	part->unsynced_since = -1;
	part->hot_bytes = 0;
	if (cut->has_limit && cut->err == OT_OK)
		part->limit_until = cut->limit.until;
	if (part->state == OT_PART_CUTTING && cut->err == OT_OK) {
		part->high_watermark = OT_MIN(part->high_watermark, ot_log_end_offset(part->log));
		part->conf.place.high_watermark = 0;
		part_go_online(part, part->log);
	} else if (part->state == OT_PART_CUTTING) {
		OT_ERROR("replica", "%s is offline: it could not be cut at %lld: %s",
		    part->conf.place.path, (long long)cut->offset, ot_err_message(cut->err));
		part->state = OT_PART_OFFLINE;
	}
	ot_free(cut);
	if (part->conf.on_role != NULL && part->state != OT_PART_CLOSING)
		part->conf.on_role(part->conf.arg, part);
	part_job_is_over(part);
}

/* Once: a second attempt finds the recovery point lowered already. */
static void
prepare_cut(struct ot_part *part, struct part_cut *cut)
{
	int64_t point = ot_log_recovery_point(part->log);
	if (cut->is_prepared)
		return;
	cut->is_prepared = true;
	cut->has_limit = cut->offset < point || part->limit_until >= 0;
	ot_log_truncate_prepare(part->log, cut->offset);
	cut->limit.offset = ot_log_recovery_point(part->log);
	cut->limit.until = OT_MAX(point, part->limit_until);
}

void
part_continue_cut(struct ot_part *part)
{
	struct part_cut *cut = part->cut;
	if (cut == NULL || cut->is_under_way || part->job_count > 0)
		return;
	if (part->state == OT_PART_CUTTING && cut->ticks > 0)
		return;
	if (part->state != OT_PART_CUTTING) {
		/* It is being closed, or has failed. */
		part->cut = NULL;
		ot_free(cut);
		return;
	}
	prepare_cut(part, cut);
	cut->is_under_way = true;
	cut->now = ot_io_wall(part->conf.owner->io);
	cut->log = part->log;
	/* What the checkpoint rows say meanwhile. */
	part->open_args.start_offset = OT_MIN(ot_log_start_offset(part->log), cut->offset);
	part->open_args.recovery_point = ot_log_recovery_point(part->log);
	part->log = NULL;
	cut->job = (struct ot_job){ .work = run_cut, .done = cut_is_done };
	part_submit(part, &cut->job);
}

static bool
begin_cut(struct ot_part *part, int32_t leader_epoch, int64_t offset, bool is_restart)
{
	part_enter(part);
	part_settle(part);
	if (!follows_in(part, leader_epoch) || part->fetched != NULL)
		return false;
	OT_INFO("replica",
	    "%s: %s at offset %lld, its end was %lld and its leader is %d in epoch %d",
	    part->conf.place.path, is_restart ? "begins anew" : "is cut", (long long)offset,
	    (long long)ot_log_end_offset(part->log), part->leader_id, part->leader_epoch);
	struct part_cut *cut = OT_NEW(struct part_cut);
	cut->part = part;
	cut->offset = offset;
	cut->is_restart = is_restart;
	part->cut = cut;
	part->state = OT_PART_CUTTING;
	part_wake_watchers(part);
	part_continue_cut(part);
	return true;
}

/* Where the leader's log and this one part, by their epochs (KIP-279). */
static int64_t
parting(const struct ot_part *part, int32_t epoch, int64_t end_offset)
{
	int64_t end = ot_log_end_offset(part->log);
	int32_t own_epoch = -1;
	int64_t own_end = -1;
	if (epoch < 0 || end_offset < 0)
		return OT_MIN(part->high_watermark, end);
	ot_log_epoch_end(part->log, epoch, &own_epoch, &own_end);
	if (own_epoch < 0 || own_end < 0)
		return OT_MIN(end_offset, end);
	/* The leader's epoch is none of ours: our newest before it ended at `own_end`, and whether
	 * it ended there at the leader's as well is the next answer's to tell. */
	if (own_epoch != epoch)
		return OT_MIN(own_end, end);
	return OT_MIN(OT_MIN(own_end, end_offset), end);
}

bool
ot_part_diverged(struct ot_part *part, int32_t leader_epoch, int32_t epoch, int64_t end_offset)
{
	part_enter(part);
	part_settle(part);
	if (!follows_in(part, leader_epoch))
		return false;
	int64_t offset = parting(part, epoch, end_offset);
	if (OT_PLANT(TRUNCATE_BY_WATERMARK))
		offset = part->high_watermark;
	if (offset < ot_log_start_offset(part->log))
		return begin_cut(part, leader_epoch, offset, true);
	return begin_cut(part, leader_epoch, offset, false);
}

bool
ot_part_restart_at(struct ot_part *part, int32_t leader_epoch, int64_t offset)
{
	return begin_cut(part, leader_epoch, offset, true);
}

bool
ot_part_cut_to(struct ot_part *part, int32_t leader_epoch, int64_t offset)
{
	return begin_cut(part, leader_epoch, offset, false);
}
