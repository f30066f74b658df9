/* Appending: validation, the turn's write, syncs, and who is answered when.
 *
 *   staged --write--> unsynced --sync--> unreplicated --high watermark--> done
 *                \_________________/  \__ acks=0,1 _______________________^
 *                   no sync wanted
 *
 * Each list is in log order, so only fronts are looked at.
 */
#include "replica/part_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/plant.h"
#include "record/check.h"
#include "record/recompress.h"

enum {
	PART_OPENED_BYTES_MAX =
	    256 * 1024 * 1024,      /* a batch that must be opened: no more than this */
	PART_BAD_RECORDS_MAX = 100, /* named in one answer */
};

/* ---- answers ------------------------------------------------------------------------------- */

static void
refuse(struct ot_part *part, struct ot_append *append, ot_err err)
{
	ot_timer_cancel(part->conf.owner->io, &append->timer);
	append->err = err;
	append->base_offset = -1;
	append->log_start_offset = -1;
	append->done(append);
}

/* The in-sync replicas may have become too few since it was let in. */
static void
answer(struct ot_part *part, struct ot_append *append)
{
	int32_t maximal = OT_MAX(part->isr_count, part->wanted_count);
	bool is_under_min = append->acks == -1 && maximal < part_min_isr(part);
	ot_timer_cancel(part->conf.owner->io, &append->timer);
	append->err = is_under_min ? OT_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND : OT_OK;
	append->log_start_offset = ot_log_start_offset(part->log);
	append->done(append);
}

static void
fail_list(struct ot_part *part, struct ot_list *list, ot_err err)
{
	while (!ot_list_is_empty(list)) {
		struct ot_append *append = OT_LIST_FIRST(list, struct ot_append, link);
		ot_list_remove(&append->link);
		refuse(part, append, err);
	}
}

void
part_fail_appends(struct ot_part *part, ot_err err)
{
	fail_list(part, &part->unreplicated, err);
	fail_list(part, &part->unsynced, err);
	fail_list(part, &part->staged, err);
}

/* As Kafka, it leaves the offsets in the answer. */
static void
on_timeout(struct ot_timer *timer)
{
	struct ot_append *append = OT_CONTAINER_OF(timer, struct ot_append, timer);
	ot_list_remove(&append->link);
	append->err = OT_ERR_REQUEST_TIMED_OUT;
	append->done(append);
}

/* ---- validation ---------------------------------------------------------------------------- */

/* One batch on its way into the log. */
struct intake {
	struct ot_append *append;
	uint8_t *bytes;
	struct ot_blob *blob; /* holds bytes */
	struct ot_batch_info info;
	bool is_blob_own; /* a copy that recompression made */
	ot_wall_ms now;
};

static void
name_bad_records(struct ot_append *append, const struct ot_record_check *check)
{
	int32_t count = OT_MIN(check->error_list_count, (int32_t)PART_BAD_RECORDS_MAX);
	append->bad_records = ot_must_alloc((size_t)count * sizeof(*append->bad_records));
	append->bad_record_count = count;
	for (int32_t i = 0; i < count; i++) {
		struct ot_part_bad_record *bad = &append->bad_records[i];
		bad->index = check->errors[i].index;
		snprintf(bad->why, sizeof(bad->why), "%s", check->errors[i].message);
	}
}

static ot_err
check_record_by_record(struct ot_part *part, struct intake *intake)
{
	const struct ot_part_settings *settings = &part->conf.settings;
	struct ot_arena arena;
	ot_arena_init(&arena, 0);
	struct ot_record_rules rules = {
		.timestamp_type = settings->timestamp_type,
		.now = intake->now,
		.timestamp_before_ms_max = settings->timestamp_before_ms,
		.timestamp_after_ms_max = settings->timestamp_after_ms,
		.is_key_required = settings->is_compacted,
		.ctx = part->conf.codecs,
		.bytes_max = PART_OPENED_BYTES_MAX,
		.arena = &arena,
	};
	struct ot_record_check check = { 0 };
	ot_err err = ot_batch_check_records(intake->bytes, &intake->info, &rules, &check,
	    &intake->append->why);
	if (check.error_list_count > 0)
		name_bad_records(intake->append, &check);
	ot_arena_fini(&arena);
	return err;
}

static bool
is_recompressed(const struct ot_part *part, const struct intake *intake)
{
	const struct ot_part_settings *settings = &part->conf.settings;
	return !settings->is_codec_kept && settings->compression != intake->info.compression;
}

/* The header's greatest timestamp tells that no record is too new; the oldest is inside. What is
 * written anew must be right to the last record: it will bear our name. */
static bool
must_open(const struct ot_part *part, const struct intake *intake)
{
	const struct ot_part_settings *settings = &part->conf.settings;
	if (intake->append->origin != OT_ORIGIN_CLIENT)
		return false;
	if (settings->is_compacted || is_recompressed(part, intake))
		return true;
	if (settings->timestamp_type == OT_LOG_APPEND_TIME)
		return false;
	return settings->timestamp_before_ms != INT64_MAX ||
	       (settings->timestamp_after_ms != INT64_MAX &&
		   intake->info.max_timestamp > intake->now &&
		   intake->info.max_timestamp - intake->now > settings->timestamp_after_ms);
}

/* compression.type names a codec that is not the batch's: written anew into a blob of its own. */
static ot_err
recompress(struct ot_part *part, struct intake *intake)
{
	const struct ot_part_settings *settings = &part->conf.settings;
	struct ot_writer out;
	ot_writer_init(&out);
	struct ot_recompress_options options = {
		.compression = settings->compression,
		.compression_level = settings->compression_level,
		.bytes_max = PART_OPENED_BYTES_MAX,
		.delete_horizon = OT_NO_TIMESTAMP,
	};
	ot_err err = ot_batch_recompress(part->conf.codecs, intake->bytes, &intake->info, &options,
	    &out, &intake->info, &intake->append->why);
	if (err == OT_OK && out.bytes > (size_t)settings->message_bytes_max) {
		ot_why_set(&intake->append->why,
		    "the batch has %zu bytes once it is recompressed, max.message.bytes is %d; "
		    "send "
		    "smaller batches",
		    out.bytes, settings->message_bytes_max);
		err = OT_ERR_MESSAGE_TOO_LARGE;
	}
	if (err == OT_OK) {
		intake->blob = ot_blob_create(out.bytes);
		err = intake->blob != NULL ? OT_OK : OT_ERR_NO_MEMORY;
	}
	if (err == OT_OK) {
		memcpy(intake->blob->data, out.data, out.bytes);
		intake->bytes = intake->blob->data;
		intake->is_blob_own = true;
	}
	ot_writer_fini(&out);
	return err;
}

/* Brings the batch into the form that the topic wants. */
static ot_err
conform(struct ot_part *part, struct intake *intake)
{
	const struct ot_part_settings *settings = &part->conf.settings;
	struct ot_append *append = intake->append;
	if (must_open(part, intake)) {
		ot_err err = check_record_by_record(part, intake);
		if (err != OT_OK)
			return err;
	}
	if (append->origin == OT_ORIGIN_LEADER || intake->info.is_control)
		return OT_OK;
	if (is_recompressed(part, intake)) {
		ot_err err = recompress(part, intake);
		if (err != OT_OK)
			return err;
	}
	if (settings->timestamp_type == OT_LOG_APPEND_TIME) {
		ot_batch_set_max_timestamp(intake->bytes, OT_LOG_APPEND_TIME, intake->now);
		append->append_time = intake->now;
		return ot_batch_parse(intake->bytes, intake->info.bytes, &intake->info,
		    &append->why);
	}
	return OT_OK;
}

/* An open transaction holds the last stable offset until its coordinator ends it: one that no
 * coordinator knows would hold it for ever. */
static ot_err
check_transaction(const struct intake *intake)
{
	struct ot_append *append = intake->append;
	if (append->origin != OT_ORIGIN_CLIENT || !intake->info.is_transactional ||
	    append->txn_err == OT_OK)
		return OT_OK;
	ot_why_set(&append->why,
	    "The record batch of producer id %lld is transactional, but no transaction of it is "
	    "under way on this partition.",
	    (long long)intake->info.producer_id);
	return append->txn_err;
}

static void
note_appended(struct ot_part *part, size_t bytes)
{
	part->hot_bytes += bytes;
	part->quiet_ticks = part->idle_ticks = 0;
}

static ot_err
take_batch(struct ot_part *part, struct ot_append *append, uint8_t *bytes, size_t left,
    size_t *ret_bytes)
{
	struct intake intake = {
		.append = append,
		.bytes = bytes,
		.blob = append->blob,
		.now = ot_io_wall(part->conf.owner->io),
	};
	struct ot_batch_rules rules = {
		.origin = append->origin,
		/* A follower takes what its leader has, whatever the setting was then. */
		.bytes_max = append->origin == OT_ORIGIN_LEADER
		                 ? (size_t)INT32_MAX
		                 : (size_t)part->conf.settings.message_bytes_max,
		.is_zstd_refused = append->is_zstd_refused,
		.is_only = append->origin == OT_ORIGIN_CLIENT,
	};
	ot_err err = ot_batch_validate(bytes, left, &rules, &intake.info, &append->why);
	if (err != OT_OK)
		return err;
	*ret_bytes = intake.info.bytes;
	err = check_transaction(&intake);
	if (err == OT_OK)
		err = conform(part, &intake);
	struct ot_log_staged staged = { 0 };
	if (err == OT_OK) {
		struct ot_log_batch batch = {
			.blob = intake.blob,
			.bytes = intake.bytes,
			.info = &intake.info,
			.origin = append->origin,
			.leader_epoch = part->leader_epoch,
		};
		err = ot_log_stage(part->log, &batch, &staged, &append->why);
	}
	if (intake.is_blob_own)
		ot_blob_unref(intake.blob);
	if (err != OT_OK)
		return err;
	if (append->base_offset < 0)
		append->base_offset = staged.base_offset;
	append->end_offset = staged.last_offset + 1;
	if (staged.is_duplicate)
		append->append_time = staged.timestamp; /* as Kafka tells it, in every topic */
	else
		note_appended(part, intake.info.bytes);
	return OT_OK;
}

static ot_err
take_batches(struct ot_part *part, struct ot_append *append)
{
	/* The frame's bytes are the log's alone once they come here: see blob.h. */
	uint8_t *next = (uint8_t *)(uintptr_t)append->records.data;
	size_t left = append->records.len > 0 ? (size_t)append->records.len : 0;
	if (left == 0) {
		ot_why_set(&append->why, "a produce request must have a record batch");
		return OT_ERR_INVALID_RECORD;
	}
	while (left > 0) {
		size_t bytes = 0;
		ot_err err = take_batch(part, append, next, left, &bytes);
		if (err != OT_OK)
			return err;
		next += bytes;
		left -= bytes;
	}
	return OT_OK;
}

ot_err
part_stage_fetched(struct ot_part *part, struct ot_append *append)
{
	append->base_offset = append->end_offset = -1;
	append->is_sync_awaited = false;
	ot_timer_init(&append->timer, on_timeout);
	append->append_time = OT_NO_TIMESTAMP;
	append->bad_records = NULL;
	append->bad_record_count = 0;
	append->why.text[0] = '\0';
	ot_err err = take_batches(part, append);
	if (append->end_offset >= 0) {
		ot_list_push_back(&part->staged, &append->link);
		ot_shard_defer(part->conf.owner, &part->write_work, OT_TURN_APPEND);
	}
	return err;
}

static ot_err
check_appendable(struct ot_part *part, struct ot_append *append)
{
	ot_err err = ot_part_check_leader(part, -1);
	if (err != OT_OK)
		return err;
	if (append->acks < -1 || append->acks > 1)
		return OT_ERR_INVALID_REQUIRED_ACKS;
	if (append->acks == -1 && part->isr_count < part_min_isr(part)) {
		ot_why_set(&append->why,
		    "The size of the current ISR %d is insufficient to satisfy the min.isr "
		    "requirement of %d for partition %.*s-%d",
		    part->isr_count, part_min_isr(part), OT_STR_ARG(part->conf.topic),
		    part->conf.index);
		return OT_ERR_NOT_ENOUGH_REPLICAS;
	}
	return OT_OK;
}

void
ot_part_append(struct ot_part *part, struct ot_append *append)
{
	part_enter(part);
	append->base_offset = -1;
	append->end_offset = -1;
	append->is_sync_awaited = false;
	ot_timer_init(&append->timer, on_timeout);
	append->append_time = OT_NO_TIMESTAMP;
	append->bad_records = NULL;
	append->bad_record_count = 0;
	append->why.text[0] = '\0';
	ot_err err = check_appendable(part, append);
	if (err == OT_OK)
		err = take_batches(part, append);
	if (err == OT_ERR_OFFLINE)
		err = OT_ERR_KAFKA_STORAGE_ERROR;
	if (err != OT_OK) {
		refuse(part, append, err);
		return;
	}
	ot_list_push_back(&part->staged, &append->link);
	ot_shard_defer(part->conf.owner, &part->write_work, OT_TURN_APPEND);
}

/* ---- the turn's write ---------------------------------------------------------------------- */

static void
note_hot(struct ot_part *part)
{
	if (part->hot_bytes < PART_HOT_BYTES)
		return;
	part->hot_bytes = 0;
	part->hot_offset = part->hot_offset_next;
	part->hot_offset_next = ot_log_end_offset(part->log);
}

/* Takes the appends that the failed write did not reach out of `appends`. */
static void
take_unwritten(const struct ot_part *part, struct ot_list *appends, struct ot_list *ret_unwritten)
{
	int64_t end = ot_log_end_offset(part->log);
	OT_LIST_FOREACH_SAFE(link, appends) {
		if (OT_CONTAINER_OF(link, struct ot_append, link)->end_offset <= end)
			continue;
		ot_list_remove(link);
		ot_list_push_back(ret_unwritten, link);
	}
}

static void
fail_unwritten(struct ot_part *part, struct ot_list *unwritten, ot_err err)
{
	/* On a full disk each turn comes here, for as long as producers try again. */
	ot_mono_ns now = ot_io_now(part->conf.owner->io);
	uint32_t skipped = ot_report_skipped(&part->gate, now);
	if (ot_report_may(&part->gate, now))
		OT_WARN("replica", "%.*s-%d: append failed: %s (and %u times before)",
		    OT_STR_ARG(part->conf.topic), part->conf.index, ot_err_message(err), skipped);
	OT_LIST_FOREACH(link, unwritten)
		ot_why_set(&OT_CONTAINER_OF(link, struct ot_append, link)->why, "%s",
		    ot_err_message(err));
	fail_list(part, unwritten, OT_ERR_KAFKA_STORAGE_ERROR);
}

static bool
is_sync_due(const struct ot_part *part)
{
	int64_t unsynced = ot_log_end_offset(part->log) - ot_log_synced_offset(part->log);
	return unsynced >= part->conf.settings.flush_messages;
}

static void
move_all(struct ot_list *from, struct ot_list *to)
{
	while (!ot_list_is_empty(from)) {
		struct ot_list *link = from->next;
		ot_list_remove(link);
		ot_list_push_back(to, link);
	}
}

static void
await_sync(struct ot_list *appends)
{
	OT_LIST_FOREACH(link, appends)
		OT_CONTAINER_OF(link, struct ot_append, link)->is_sync_awaited = true;
}

void
part_write_staged(struct ot_turn_work *work)
{
	struct ot_part *part = OT_CONTAINER_OF(work, struct ot_part, write_work);
	part_enter(part);
	ot_wall_ms now = ot_io_wall(part->conf.owner->io);
	struct ot_list unwritten;
	ot_list_init(&unwritten);
	int64_t end_before = ot_log_end_offset(part->log);
	ot_err err = ot_log_write_staged(part->log, now);
	if (err != OT_OK)
		take_unwritten(part, &part->staged, &unwritten);
	if (part->unsynced_since < 0 && ot_log_end_offset(part->log) > end_before)
		part->unsynced_since = now;
	note_hot(part);
	/* Who comes behind one that waits for a sync waits too: the high watermark is in order. */
	if (is_sync_due(part)) {
		await_sync(&part->staged);
		part_sync(part, OT_LOG_SYNC_DATA);
	}
	move_all(&part->staged, &part->unsynced);
	bool has_grown = ot_log_end_offset(part->log) > end_before;
	/* From here on the lists are as they must be: who is answered may append again at once. */
	if (err != OT_OK)
		fail_unwritten(part, &unwritten, err);
	part_advance(part);
	if (has_grown)
		part_wake_kind(part, true);
	if (ot_log_failure(part->log) != OT_OK)
		part_go_offline(part, ot_log_failure(part->log));
	else
		part_start_chore(part, now);
}

void
part_settle(struct ot_part *part)
{
	/* Who is answered by the write may append again at once. */
	while (!ot_list_is_empty(&part->staged)) {
		ot_turn_work_cancel(&part->write_work);
		part_write_staged(&part->write_work);
	}
}

/* ---- syncs --------------------------------------------------------------------------------- */

struct sync_job {
	struct ot_job job;
	struct ot_part *part;
	struct ot_log_job *log_job;
	bool is_limit_stale;
	ot_err limit_err;
};

static void
run_sync(struct ot_job *job)
{
	struct sync_job *sync = OT_CONTAINER_OF(job, struct sync_job, job);
	ot_log_job_run(sync->log_job);
	if (sync->is_limit_stale)
		sync->limit_err =
		    part_remove_limit(sync->part->open_args.fs, sync->part->conf.place.path);
}

static void
sync_is_done(struct ot_job *job)
{
	struct sync_job *sync = OT_CONTAINER_OF(job, struct sync_job, job);
	struct ot_part *part = sync->part;
	ot_wall_ms now = ot_io_wall(part->conf.owner->io);
	ot_err err = ot_log_job_end(part->log, sync->log_job, now);
	if (sync->is_limit_stale && sync->limit_err == OT_OK)
		part->limit_until = -1;
	ot_free(sync);
	part->is_sync_running = false;
	if (ot_log_failure(part->log) != OT_OK) {
		part_go_offline(part, ot_log_failure(part->log));
	} else {
		/* What failed beside the records (a snapshot on a full disk) is tried again. */
		if (err != OT_OK)
			OT_WARN("replica", "%s: %s; tried again later", part->conf.place.path,
			    ot_err_message(err));
		bool is_all_synced =
		    ot_log_synced_offset(part->log) == ot_log_end_offset(part->log);
		part->unsynced_since = is_all_synced ? -1 : now;
		part_advance(part);
		part_note_recovery_point(part);
		if (!ot_list_is_empty(&part->unsynced))
			part_sync(part, OT_LOG_SYNC_DATA);
	}
	part_job_is_over(part);
}

void
part_sync(struct ot_part *part, enum ot_log_sync_scope scope)
{
	if (part->is_sync_running || part->state != OT_PART_ONLINE)
		return;
	struct ot_log_job *log_job = ot_log_sync_begin(part->log, scope);
	if (log_job == NULL)
		return;
	struct sync_job *sync = OT_NEW(struct sync_job);
	sync->job = (struct ot_job){ .work = run_sync, .done = sync_is_done };
	sync->part = part;
	sync->log_job = log_job;
	sync->is_limit_stale = part->is_limit_stale;
	part->is_limit_stale = false;
	part->is_sync_running = true;
	part_submit(part, &sync->job);
}

/* ---- the high watermark -------------------------------------------------------------------- */

static void
release_synced(struct ot_part *part)
{
	int64_t synced = ot_log_synced_offset(part->log);
	while (!ot_list_is_empty(&part->unsynced)) {
		struct ot_append *append = OT_LIST_FIRST(&part->unsynced, struct ot_append, link);
		if (append->is_sync_awaited && append->end_offset > synced &&
		    !OT_PLANT(ACK_BEFORE_SYNC))
			return;
		ot_list_remove(&append->link);
		ot_list_push_back(&part->unreplicated, &append->link);
	}
}

/* The end of what this replica has: the log end, or where an awaited sync must reach. */
static int64_t
replicated_end(const struct ot_part *part)
{
	if (ot_list_is_empty(&part->unsynced))
		return ot_log_end_offset(part->log);
	const struct ot_append *append =
	    OT_CONTAINER_OF(part->unsynced.next, struct ot_append, link);
	return OT_MIN(append->base_offset, ot_log_end_offset(part->log));
}

void
part_wake_kind(struct ot_part *part, bool is_replica)
{
	OT_LIST_FOREACH_SAFE(link, &part->watchers) {
		struct ot_part_watcher *watcher =
		    OT_CONTAINER_OF(link, struct ot_part_watcher, link);
		if (watcher->is_replica == is_replica)
			watcher->on_more(watcher);
	}
}

void
part_wake_watchers(struct ot_part *part)
{
	part_wake_kind(part, true);
	part_wake_kind(part, false);
}

/* Only who really waits has a timer: with the leader alone in the ISR nobody does. */
static void
await_replication(struct ot_part *part, struct ot_append *append)
{
	if (append->timeout_ms <= 0 || ot_timer_is_armed(&append->timer))
		return;
	append->log_start_offset = ot_log_start_offset(part->log);
	ot_timer_arm_in_ms(part->conf.owner->io, &append->timer, append->timeout_ms);
}

static void
answer_replicated(struct ot_part *part)
{
	OT_LIST_FOREACH_SAFE(link, &part->unreplicated) {
		struct ot_append *append = OT_CONTAINER_OF(link, struct ot_append, link);
		if (append->acks == -1 && append->end_offset > part->high_watermark &&
		    !OT_PLANT(ACK_BEFORE_REPLICATION)) {
			await_replication(part, append);
			continue;
		}
		ot_list_remove(link);
		answer(part, append);
	}
}

void
part_advance(struct ot_part *part)
{
	release_synced(part);
	int64_t end =
	    part->is_leader ? part_committed_end(part, replicated_end(part)) : part->high_watermark;
	bool has_moved = end > part->high_watermark;
	if (has_moved) {
		part->high_watermark = end;
		ot_log_set_high_watermark(part->log, end);
	}
	answer_replicated(part);
	if (has_moved)
		part_wake_kind(part, false);
}
