/* The log that grows: passes through to the engine it has, and changes it in between.
 *
 *   LOCAL -> TAKING -> MARKING -> DRAINING -> CLOSING -> COPYING -> MARKED -> ETCD
 *     ^                    (a start that finds `growing`:)
 *     `----------- CHECKING -> REMARKING -> LOCAL, then again     or CHECKING -> MARKED -> ETCD
 *
 * Appends and a snapshot under way are noted, so that it knows when the local engine rests.
 */
#include "cluster/metalog_grow.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/durable_int.h"
#include "cluster/grow_int.h"

enum {
	FILE_BYTES_MAX = 256,
	DIR_BYTES = 1000,
	PREFIX_BYTES = 160,
	HOST_BYTES = 256,
	MARK_RETRY_MS = 1000
};

enum state {
	GROW_LOCAL,
	GROW_TAKING,    /* the prefix; the local engine serves */
	GROW_MARKING,   /* the file: growing; it serves */
	GROW_CHECKING,  /* at a start: takes the prefix anew; nothing serves */
	GROW_REMARKING, /* the file: growing, with the new seed; nothing serves */
	GROW_DRAINING,  /* no more appends */
	GROW_CLOSING,   /* the local engine closes */
	GROW_COPYING,
	GROW_MARKED, /* the file: etcd */
	GROW_ETCD,
};

/* An append on its way through the inner engine. */
struct passage {
	struct ot_list link;
	struct ot_metalog_append *append;
	void (*on_done)(struct ot_metalog_append *append, ot_err err);
};

struct grow {
	struct ot_metalog base;
	struct ot_metalog_local_args local; /* [const] */
	char dir[DIR_BYTES];                /* [const] */
	struct ot_metalog_marker marker;
	struct ot_metalog_target target; /* make_kv NULL: none */
	char prefix[PREFIX_BYTES];
	char host[HOST_BYTES];
	enum state state;
	struct ot_metalog *inner; /* or NULL */
	struct grow_seed *seed;   /* or NULL */
	const struct ot_metalog_events *events;
	void *arg;

	int64_t next_offset; /* told */
	int32_t epoch;       /* told */
	struct ot_list passages;
	struct ot_list refused; /* appends, ended in the next turn */
	struct ot_timer turn;
	struct ot_metalog_snapshot *snapshot; /* under way */
	void (*snapshot_done)(struct ot_metalog_snapshot *snapshot, ot_err err);

	struct ot_job job; /* writes the marker */
	struct ot_metalog_marker wanted;
	ot_err job_err;
	bool is_job_running;
	struct ot_timer retry; /* of the job */

	bool is_told_to_grow; /* again, after a start that found `growing` */
	bool is_leader_told;  /* by the local engine */
	void (*on_grown)(void *arg, ot_err err);
	void *grown_arg;
	bool is_failed;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void consider(struct grow *self);
static void close_step(struct grow *self);
static void drain_step(struct grow *self);

/* The append's, while it is on its way: there is no other way from it to its log. */
static struct grow *
grow_of(struct ot_metalog *log)
{
	return OT_CONTAINER_OF(log, struct grow, base);
}

/* ---- the marker ----------------------------------------------------------------------------- */

static const char marker_name[] = "metadata.engine";

ot_err
ot_metalog_marker_read(struct ot_fs *fs, const char *dir, struct ot_metalog_marker *ret_marker,
    struct ot_why *why)
{
	char content[FILE_BYTES_MAX];
	struct ot_metalog_marker marker = { .stage = OT_METALOG_LOCAL };
	const char *seed;
	ot_err err = durable_read(fs, dir, marker_name, content, sizeof(content));

	if (err == OT_ERR_NOT_FOUND) {
		*ret_marker = marker;
		return OT_OK;
	}
	if (err != OT_OK) {
		ot_why_set(why, "%s/%s: %s", dir, marker_name, ot_err_message(err));
		return err;
	}
	if (strncmp(content, "engine=growing\nseed=", 20) == 0)
		marker.stage = OT_METALOG_GROWING;
	else if (strncmp(content, "engine=etcd\nseed=", 17) == 0)
		marker.stage = OT_METALOG_ETCD;
	seed = content + (marker.stage == OT_METALOG_GROWING ? 20 : 17);
	if (marker.stage == OT_METALOG_LOCAL ||
	    ot_uuid_from_text(seed, strcspn(seed, "\n"), &marker.seed) != OT_OK) {
		ot_why_set(why,
		    "%s/%s says neither engine=growing nor engine=etcd with a seed: restore it, "
		    "since it decides where the metadata is",
		    dir, marker_name);
		return OT_ERR_CORRUPT_FILE;
	}
	*ret_marker = marker;
	return OT_OK;
}

ot_err
ot_metalog_marker_write(struct ot_fs *fs, const char *dir, const struct ot_metalog_marker *marker)
{
	char content[FILE_BYTES_MAX], seed[OT_UUID_TEXT_BYTES];
	struct ot_text text = OT_TEXT(content);

	OT_ASSERT(marker->stage != OT_METALOG_LOCAL);
	ot_uuid_to_text(&marker->seed, seed);
	ot_text_put(&text, "engine=%s\nseed=%s\n",
	    marker->stage == OT_METALOG_GROWING ? "growing" : "etcd", seed);
	return durable_write(fs, dir, marker_name, content, text.bytes);
}

static void
on_work(struct ot_job *job)
{
	struct grow *self = OT_CONTAINER_OF(job, struct grow, job);

	self->job_err = ot_metalog_marker_write(self->local.io->fs, self->dir, &self->wanted);
}

static void
mark(struct grow *self, enum ot_metalog_stage stage)
{
	OT_ASSERT(!self->is_job_running);
	self->wanted.stage = stage;
	self->is_job_running = true;
	ot_io_submit(self->local.io, &self->job);
}

/* ---- passing through ------------------------------------------------------------------------ */

static void
on_snapshot_begin(void *arg, struct ot_metalog_id id, ot_wall_ms timestamp)
{
	struct grow *self = arg;

	self->next_offset = id.end_offset;
	self->epoch = OT_MAX(self->epoch, id.epoch);
	self->events->on_snapshot_begin(self->arg, id, timestamp);
}

static void
on_batch(void *arg, const struct ot_metalog_batch *batch)
{
	struct grow *self = arg;

	if (!batch->is_snapshot) {
		self->next_offset = batch->next_offset;
		self->epoch = OT_MAX(self->epoch, batch->epoch);
	}
	self->events->on_batch(self->arg, batch);
}

static void
on_snapshot_end(void *arg)
{
	struct grow *self = arg;

	self->events->on_snapshot_end(self->arg);
}

static void
on_leader(void *arg, int32_t leader_id, int32_t epoch, const struct ot_metalog_endpoint *endpoint)
{
	struct grow *self = arg;

	self->epoch = OT_MAX(self->epoch, epoch);
	self->is_leader_told = true;
	if (self->state == GROW_DRAINING || self->state == GROW_CLOSING)
		return; /* it was told that nobody leads */
	self->events->on_leader(self->arg, leader_id, epoch, endpoint);
	consider(self);
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	struct grow *self = arg;

	self->is_failed = true;
	self->events->on_failure(self->arg, err, why);
}

static const struct ot_metalog_events inner_events = { on_snapshot_begin, on_batch, on_snapshot_end,
	on_leader, on_failure };

static void
end_refused(struct grow *self, ot_err err)
{
	while (!ot_list_is_empty(&self->refused)) {
		struct passage *passage = OT_LIST_FIRST(&self->refused, struct passage, link);
		struct ot_metalog_append *append = passage->append;

		ot_list_remove(&passage->link);
		ot_free(passage);
		append->on_done(append, err);
	}
}

static void
on_turn(struct ot_timer *timer)
{
	struct grow *self = OT_CONTAINER_OF(timer, struct grow, turn);

	end_refused(self, self->on_closed != NULL ? OT_ERR_CLOSED : OT_ERR_NOT_CONTROLLER);
	drain_step(self);
	close_step(self);
}

static void
turn_soon(struct grow *self)
{
	if (!ot_timer_is_armed(&self->turn))
		ot_timer_arm(self->local.io, &self->turn, ot_io_now(self->local.io));
}

/* The engines end appends in the order in which they came. */
static void
on_append_done(struct ot_metalog_append *append, ot_err err)
{
	struct grow *self = append->outer;
	struct passage *passage = OT_LIST_FIRST(&self->passages, struct passage, link);

	OT_ASSERT(passage != NULL && passage->append == append);
	append->on_done = passage->on_done;
	append->outer = NULL;
	ot_list_remove(&passage->link);
	ot_free(passage);
	append->on_done(append, err);
	if (self->state == GROW_DRAINING)
		turn_soon(self);
}

static void
grow_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	struct grow *self = grow_of(log);
	struct passage *passage = OT_NEW(struct passage);
	bool is_served = self->inner != NULL && self->state != GROW_DRAINING &&
	                 self->state != GROW_CLOSING && self->on_closed == NULL;

	passage->append = append;
	if (!is_served) {
		append->base_offset = self->next_offset;
		ot_list_push_back(&self->refused, &passage->link);
		turn_soon(self);
		return;
	}
	passage->on_done = append->on_done;
	append->outer = self;
	append->on_done = on_append_done;
	ot_list_push_back(&self->passages, &passage->link);
	ot_metalog_append(self->inner, append);
}

static void
on_snapshot_done(struct ot_metalog_snapshot *snapshot, ot_err err)
{
	struct grow *self = snapshot->outer;

	snapshot->on_done = self->snapshot_done;
	snapshot->outer = NULL;
	self->snapshot = NULL;
	snapshot->on_done(snapshot, err);
	turn_soon(self);
}

static void
grow_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	struct grow *self = grow_of(log);

	OT_ASSERT(self->snapshot == NULL && self->inner != NULL);
	self->snapshot = snapshot;
	self->snapshot_done = snapshot->on_done;
	snapshot->outer = self;
	snapshot->on_done = on_snapshot_done;
	ot_metalog_put_snapshot(self->inner, snapshot);
}

static uint64_t
grow_bytes(const struct ot_metalog *log)
{
	const struct grow *self = (const struct grow *)log;

	return self->inner != NULL ? ot_metalog_bytes_since_snapshot(self->inner) : 0;
}

/* ---- growing -------------------------------------------------------------------------------- */

static void
start_local(struct grow *self)
{
	self->state = GROW_LOCAL;
	self->inner = ot_metalog_local_create(&self->local);
	ot_metalog_start(self->inner, &inner_events, self);
}

static void
start_etcd(struct grow *self)
{
	const struct ot_metalog_etcd_args args = {
		.io = self->local.io,
		.kv = self->target.make_kv(self->target.arg),
		.prefix = self->prefix,
		.node_id = self->local.node_id,
		.directory = self->target.directory,
		.is_candidate = true,
		.endpoint = self->target.endpoint,
		.lease_ms = self->target.lease_ms,
		.told_offset = self->next_offset,
		.told_epoch = self->epoch,
	};

	self->state = GROW_ETCD;
	self->inner = ot_metalog_etcd_create(&args);
	ot_metalog_start(self->inner, &inner_events, self);
	if (self->on_grown != NULL)
		self->on_grown(self->grown_arg, OT_OK);
	self->on_grown = NULL;
}

static void
on_seed_gone(void *arg)
{
	struct grow *self = arg;

	self->seed = NULL;
	if (self->on_closed != NULL)
		close_step(self);
	else if (self->state == GROW_MARKED && !self->is_job_running)
		mark(self, OT_METALOG_ETCD);
	else
		consider(self);
}

/* The prefix is another log's: all stays as it was. */
static void
refuse_growth(struct grow *self)
{
	void (*on_grown)(void *, ot_err) = self->on_grown;

	OT_ERROR("cluster", "the metadata log cannot grow into etcd: it holds another log below %s",
	    self->prefix);
	self->state = GROW_LOCAL;
	self->on_grown = NULL;
	if (on_grown != NULL)
		on_grown(self->grown_arg, OT_ERR_EXISTS);
}

static void
drop_seed(struct grow *self)
{
	if (self->seed != NULL)
		grow_seed_destroy(self->seed, on_seed_gone, self);
}

static void
fail(struct grow *self, ot_err err, const char *why)
{
	self->is_failed = true;
	self->events->on_failure(self->arg, err, why);
}

static void
on_taken(void *arg, ot_err err, const struct ot_uuid *owner)
{
	struct grow *self = arg;
	bool is_ours = ot_uuid_equal(owner, &self->marker.seed);

	if (err == OT_OK) {
		self->wanted.seed = *owner;
		self->state = self->state == GROW_CHECKING ? GROW_REMARKING : GROW_MARKING;
		mark(self, OT_METALOG_GROWING);
		return;
	}
	if (self->state == GROW_CHECKING && is_ours) {
		/* An earlier life has done it all. */
		self->wanted.seed = *owner;
		self->state = GROW_MARKED;
	} else if (self->state == GROW_CHECKING) {
		fail(self, OT_ERR_EXISTS,
		    "this node's metadata log was growing into etcd, but etcd holds the log of "
		    "another cluster: give it an empty one");
	} else {
		refuse_growth(self);
	}
	drop_seed(self);
}

static void
on_copied(void *arg, ot_err err, const char *why, int64_t end_offset)
{
	struct grow *self = arg;

	if (err != OT_OK) {
		fail(self, err, why);
		return;
	}
	OT_ASSERT(end_offset >= self->next_offset);
	self->state = GROW_MARKED;
	drop_seed(self);
}

static void
begin_take(struct grow *self)
{
	const struct grow_seed_args args = {
		.io = self->local.io,
		.kv = self->target.make_kv(self->target.arg),
		.prefix = self->prefix,
		.dir = self->dir,
		.on_taken = on_taken,
		.on_copied = on_copied,
		.arg = self,
	};
	struct ot_uuid id = ot_io_random_uuid(self->local.io);

	self->seed = grow_seed_create(&args);
	grow_seed_take(self->seed, &id);
}

/* Begins to grow, when that is wanted and the local engine serves. */
static void
consider(struct grow *self)
{
	if (!self->is_told_to_grow || self->state != GROW_LOCAL || !self->is_leader_told ||
	    self->seed != NULL || self->on_closed != NULL || self->is_failed)
		return;
	self->is_told_to_grow = false;
	self->state = GROW_TAKING;
	begin_take(self);
}

/* No more appends: goes on when nothing is under way. */
static void
begin_drain(struct grow *self)
{
	self->state = GROW_DRAINING;
	turn_soon(self);
}

static void
on_local_closed(void *arg)
{
	struct grow *self = arg;

	self->inner = NULL;
	self->state = GROW_COPYING;
	if (self->on_closed != NULL)
		close_step(self);
	else
		grow_seed_copy(self->seed, self->epoch);
}

static void
drain_step(struct grow *self)
{
	if (self->state != GROW_DRAINING || !ot_list_is_empty(&self->passages) ||
	    self->snapshot != NULL || self->on_closed != NULL || self->is_failed)
		return;
	self->state = GROW_CLOSING;
	self->events->on_leader(self->arg, -1, self->epoch, NULL);
	ot_metalog_close(self->inner, on_local_closed, self);
}

static void
on_mark_retry(struct ot_timer *timer)
{
	struct grow *self = OT_CONTAINER_OF(timer, struct grow, retry);

	mark(self, self->wanted.stage);
}

static void
on_marked(struct ot_job *job)
{
	struct grow *self = OT_CONTAINER_OF(job, struct grow, job);

	self->is_job_running = false;
	if (self->on_closed != NULL) {
		close_step(self);
		return;
	}
	if (self->job_err != OT_OK) {
		OT_ERROR("cluster", "%s/%s could not be written: %s", self->dir, marker_name,
		    ot_err_message(self->job_err));
		ot_timer_arm_in_ms(self->local.io, &self->retry, MARK_RETRY_MS);
		return;
	}
	self->marker = self->wanted;
	if (self->state == GROW_MARKED) {
		start_etcd(self);
	} else if (self->state == GROW_MARKING) {
		begin_drain(self);
	} else {
		/* The local log is the truth; it opens, leads, and grows from the start. */
		OT_ASSERT(self->state == GROW_REMARKING);
		self->is_told_to_grow = true;
		start_local(self);
		drop_seed(self);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
set_target(struct grow *self, const struct ot_metalog_target *target)
{
	struct ot_text prefix = OT_TEXT(self->prefix), host = OT_TEXT(self->host);

	self->target = *target;
	ot_text_put(&prefix, "%s", target->prefix);
	ot_text_put(&host, "%s", target->endpoint.host != NULL ? target->endpoint.host : "");
	self->target.endpoint.host = self->host;
}

static void
grow_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	struct grow *self = grow_of(log);

	self->events = events;
	self->arg = arg;
	if (self->marker.stage == OT_METALOG_LOCAL) {
		start_local(self);
		return;
	}
	self->state = GROW_CHECKING;
	begin_take(self);
}

void
ot_metalog_grow(struct ot_metalog *log, const struct ot_metalog_target *target,
    void (*on_done)(void *arg, ot_err err), void *arg)
{
	struct grow *self = grow_of(log);

	OT_ASSERT(self->on_grown == NULL);
	self->on_grown = on_done;
	self->grown_arg = arg;
	set_target(self, target);
	if (self->state == GROW_LOCAL)
		self->is_told_to_grow = true; /* else it grows already */
	consider(self);
}

static void
finish_close(struct grow *self)
{
	void (*on_closed)(void *) = self->on_closed;
	void *arg = self->closed_arg;

	end_refused(self, OT_ERR_CLOSED);
	ot_timer_cancel(self->local.io, &self->turn);
	ot_timer_cancel(self->local.io, &self->retry);
	ot_free(self);
	on_closed(arg);
}

static void
on_inner_closed(void *arg)
{
	struct grow *self = arg;

	self->inner = NULL;
	close_step(self);
}

/* Ends it once nothing is left. */
static void
close_step(struct grow *self)
{
	if (self->on_closed == NULL || self->inner != NULL || self->seed != NULL ||
	    self->is_job_running)
		return;
	finish_close(self);
}

static void
grow_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg)
{
	struct grow *self = grow_of(log);

	self->on_closed = on_closed;
	self->closed_arg = arg;
	ot_timer_cancel(self->local.io, &self->retry);
	drop_seed(self);
	if (self->inner != NULL && self->state != GROW_CLOSING)
		ot_metalog_close(self->inner, on_inner_closed, self);
	turn_soon(self);
}

static const struct ot_metalog_ops grow_ops = {
	.start = grow_start,
	.append = grow_append,
	.put_snapshot = grow_put_snapshot,
	.bytes_since_snapshot = grow_bytes,
	.close = grow_close,
};

struct ot_metalog *
ot_metalog_grow_create(const struct ot_metalog_grow_args *args)
{
	struct grow *self = OT_NEW(struct grow);
	struct ot_text dir = OT_TEXT(self->dir);

	OT_ASSERT(args->marker.stage != OT_METALOG_ETCD);
	OT_ASSERT(args->marker.stage == OT_METALOG_LOCAL || args->target != NULL);
	self->base.ops = &grow_ops;
	ot_text_put(&dir, "%s", args->local.dir);
	self->local = args->local;
	self->local.dir = self->dir;
	self->marker = args->marker;
	self->job = (struct ot_job){ on_work, on_marked };
	if (args->target != NULL)
		set_target(self, args->target);
	ot_list_init(&self->passages);
	ot_list_init(&self->refused);
	ot_timer_init(&self->turn, on_turn);
	ot_timer_init(&self->retry, on_mark_retry);
	return &self->base;
}
