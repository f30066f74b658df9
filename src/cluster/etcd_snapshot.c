/* Engine `etcd`: writing snapshots.
 *
 *   [piece from a worker -> put it]* -> put `snapshot` -> find the key that holds its end
 *     -> delete what is before -> compact
 *
 * Each step may be done twice, so a step whose answer was lost is sent again. All but the last
 * compare the key `leader`: a deposed leader changes nothing.
 */
#include "cluster/etcd_int.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/checkpoint_int.h"

enum step { STEP_PIECE, STEP_POINTER, STEP_FIND, STEP_DELETE, STEP_COMPACT };

struct etcd_snapshot_job {
	struct ot_job work;
	struct ot_kv_txn txn;
	struct ot_kv_chore chore;
	struct ot_timer retry;
	struct ot_list link; /* in lost_snapshots */
	struct etcd_log *log;
	struct ot_metalog_snapshot *snapshot; /* NULL: it was ended */
	struct etcd_snapshot what;
	enum step step;
	int64_t created;     /* of our key `leader` */
	int64_t kept_offset; /* of the key of the log that holds the snapshot's end */
	uint64_t bytes;      /* that it stands for */
	int64_t compact_revision;
	int64_t piece_offset;   /* of the piece that is made */
	struct ot_writer piece; /* the worker's while it is busy */
	ot_err work_err;        /* the worker's */
	ot_wall_ms now;
	ot_err end_err;
	bool is_busy; /* a worker has it */
	bool is_sent;
	bool is_last; /* there was nothing in the piece */
};

static void step_send(struct etcd_snapshot_job *job);

static void
job_free(struct etcd_snapshot_job *job)
{
	ot_list_remove(&job->link);
	ot_timer_cancel(job->log->io, &job->retry);
	ot_writer_fini(&job->piece);
	ot_free(job);
}

/* Ends it for the caller; what is under way keeps the job a little longer. */
static void
job_end(struct etcd_snapshot_job *job, ot_err err)
{
	struct etcd_log *self = job->log;
	struct ot_metalog_snapshot *snapshot = job->snapshot;

	if (job->is_busy) {
		job->end_err = err;
		return;
	}
	ot_timer_cancel(self->io, &job->retry);
	job->snapshot = NULL;
	self->snapshot = NULL;
	if (job->is_sent)
		ot_list_push_back(&self->lost_snapshots, &job->link);
	else
		job_free(job);
	snapshot->on_done(snapshot, err);
}

/* ---- pieces --------------------------------------------------------------------------------- */

static void
on_work(struct ot_job *work)
{
	struct etcd_snapshot_job *job = OT_CONTAINER_OF(work, struct etcd_snapshot_job, work);
	struct ot_metadata_records records;

	ot_metadata_records_init(&records);
	job->work_err = job->snapshot->next(job->snapshot->arg, &records);
	job->is_last = records.count == 0;
	if (job->work_err == OT_OK && records.failed)
		job->work_err = OT_ERR_NO_MEMORY;
	ot_writer_reset(&job->piece);
	if (job->work_err == OT_OK && !job->is_last)
		job->work_err = checkpoint_build_batch(&records, job->piece_offset,
		    job->snapshot->id.epoch, job->now, &job->piece);
	job->piece_offset += records.count;
	ot_metadata_records_fini(&records);
}

static void
step_piece(struct etcd_snapshot_job *job)
{
	job->is_busy = true;
	job->now = ot_io_wall(job->log->io);
	ot_io_submit(job->log->io, &job->work);
}

static void
on_worked(struct ot_job *work)
{
	struct etcd_snapshot_job *job = OT_CONTAINER_OF(work, struct etcd_snapshot_job, work);
	struct etcd_log *self = job->log;

	job->is_busy = false;
	if (job->end_err != OT_OK || job->work_err != OT_OK) {
		job_end(job, job->end_err != OT_OK ? job->end_err : job->work_err);
		etcd_close_step(self);
		return;
	}
	if (job->is_last)
		job->step = STEP_POINTER;
	step_send(job);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void
send_txn(struct etcd_snapshot_job *job, const struct ot_kv_op *ops, size_t count)
{
	const struct ot_kv_compare compare = { job->log->key_leader.text, OT_KV_CREATED,
		job->created };

	job->is_sent = true;
	job->txn.compares = &compare;
	job->txn.compare_count = 1;
	job->txn.then = ops;
	job->txn.then_count = count;
	job->txn.otherwise_count = 0;
	job->txn.ms_max = ETCD_REQUEST_MS_MAX;
	ot_kv_txn(job->log->kv, &job->txn);
}

static void
send_piece(struct etcd_snapshot_job *job)
{
	struct etcd_key key = etcd_key_piece(job->log->prefix, job->what.id, job->what.piece_count);
	const struct ot_kv_op op = { .type = OT_KV_PUT,
		.key = key.text,
		.value = { job->piece.data, (int32_t)job->piece.bytes } };

	send_txn(job, &op, 1);
}

static void
send_pointer(struct etcd_snapshot_job *job)
{
	struct ot_writer value;
	struct ot_kv_op op = { .type = OT_KV_PUT, .key = job->log->key_snapshot.text };

	ot_writer_init(&value);
	etcd_snapshot_write(&job->what, &value);
	OT_ASSERT(!value.failed);
	op.value = (struct ot_bytes){ value.data, (int32_t)value.bytes };
	send_txn(job, &op, 1);
	ot_writer_fini(&value);
}

static void
send_find(struct etcd_snapshot_job *job)
{
	struct etcd_key end = etcd_key_log(job->log->prefix, job->what.id.end_offset + 1);
	const struct ot_kv_op op = { .type = OT_KV_GET,
		.key = job->log->key_log.text,
		.end = end.text,
		.limit = 1,
		.is_descending = true,
		.is_keys_only = true };

	send_txn(job, &op, 1);
}

static void
send_delete(struct etcd_snapshot_job *job)
{
	const char *prefix = job->log->prefix;
	struct etcd_key log_end = etcd_key_log(prefix, job->kept_offset);
	struct etcd_key parts = etcd_key_of(prefix, "part/");
	struct etcd_key parts_end = etcd_key_part(prefix, job->kept_offset, 0, 0);
	struct etcd_key pieces = etcd_key_of(prefix, "snap/");
	struct etcd_key own = etcd_key_piece(prefix, job->what.id, 0);
	struct etcd_key own_end = etcd_key_piece(prefix, job->what.id, job->what.piece_count);
	struct etcd_key pieces_end = etcd_key_of(prefix, "snap0");
	const struct ot_kv_op ops[] = {
		{ .type = OT_KV_DELETE, .key = job->log->key_log.text, .end = log_end.text },
		{ .type = OT_KV_DELETE, .key = parts.text, .end = parts_end.text },
		{ .type = OT_KV_DELETE, .key = pieces.text, .end = own.text },
		{ .type = OT_KV_DELETE, .key = own_end.text, .end = pieces_end.text },
	};

	send_txn(job, ops, OT_ARRAY_COUNT(ops));
}

static void
step_send(struct etcd_snapshot_job *job)
{
	switch (job->step) {
	case STEP_PIECE:
		send_piece(job);
		break;
	case STEP_POINTER:
		send_pointer(job);
		break;
	case STEP_FIND:
		send_find(job);
		break;
	case STEP_DELETE:
		send_delete(job);
		break;
	case STEP_COMPACT:
		job->is_sent = true;
		job->chore.what = OT_KV_COMPACT;
		job->chore.revision = job->compact_revision;
		ot_kv_chore(job->log->kv, &job->chore);
		break;
	}
}

static void
on_retry(struct ot_timer *timer)
{
	step_send(OT_CONTAINER_OF(timer, struct etcd_snapshot_job, retry));
}

/* The step is done: the next. */
static void
step_done(struct etcd_snapshot_job *job)
{
	struct etcd_log *self = job->log;
	const struct ot_kv_txn *txn = &job->txn;

	if (job->step == STEP_PIECE) {
		job->what.piece_count++;
		step_piece(job);
		return;
	}
	if (job->step == STEP_POINTER)
		self->bytes -= OT_MIN(self->bytes, job->bytes);
	if (job->step == STEP_FIND) {
		job->kept_offset = 0;
		if (txn->found[0].count > 0)
			job->kept_offset =
			    OT_MAX(0, etcd_key_offset(self->prefix, txn->found[0].pairs[0].key));
	}
	job->compact_revision = txn->revision;
	job->step++;
	step_send(job);
}

static void
on_step(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_snapshot_job *job = OT_CONTAINER_OF(txn, struct etcd_snapshot_job, txn);

	job->is_sent = false;
	if (job->snapshot == NULL) {
		job_free(job);
		return;
	}
	if (err == OT_ERR_MESSAGE_TOO_LARGE) {
		job_end(job, err);
		return;
	}
	if (err == OT_ERR_NO_SPACE)
		etcd_relieve(job->log);
	if (err != OT_OK)
		ot_timer_arm_in_ms(job->log->io, &job->retry, ETCD_RETRY_MS_MAX / 2);
	else if (!txn->succeeded)
		job_end(job, OT_ERR_NOT_CONTROLLER);
	else
		step_done(job);
}

static void
on_compacted(struct ot_kv_chore *chore, ot_err err)
{
	struct etcd_snapshot_job *job = OT_CONTAINER_OF(chore, struct etcd_snapshot_job, chore);

	job->is_sent = false;
	if (job->snapshot == NULL) {
		job_free(job);
		return;
	}
	/* The snapshot stands; the next one compacts. */
	if (err != OT_OK)
		OT_WARN("cluster", "etcd could not be compacted: %s", ot_err_message(err));
	job_end(job, OT_OK);
}

/* ---- the door ------------------------------------------------------------------------------- */

static void
on_refused(struct ot_timer *timer)
{
	job_end(OT_CONTAINER_OF(timer, struct etcd_snapshot_job, retry), OT_ERR_NOT_CONTROLLER);
}

void
etcd_snapshot_put(struct etcd_log *self, struct ot_metalog_snapshot *snapshot)
{
	struct etcd_snapshot_job *job = OT_NEW(struct etcd_snapshot_job);

	OT_ASSERT(self->snapshot == NULL);
	self->snapshot = job;
	job->log = self;
	job->snapshot = snapshot;
	job->what.id = snapshot->id;
	job->what.timestamp = snapshot->timestamp;
	job->created = self->leader_created;
	job->bytes = self->bytes;
	job->work = (struct ot_job){ on_work, on_worked };
	job->txn.on_done = on_step;
	job->chore.on_done = on_compacted;
	ot_list_init(&job->link);
	ot_writer_init(&job->piece);
	if (self->candidacy == ETCD_LEADING) {
		ot_timer_init(&job->retry, on_retry);
		step_piece(job);
	} else {
		ot_timer_init(&job->retry, on_refused);
		ot_timer_arm(self->io, &job->retry, ot_io_now(self->io));
	}
}

void
etcd_snapshot_end(struct etcd_log *self, ot_err err)
{
	if (self->snapshot != NULL)
		job_end(self->snapshot, err);
}

bool
etcd_snapshot_is_busy(const struct etcd_log *self)
{
	return self->snapshot != NULL && self->snapshot->is_busy;
}

void
etcd_snapshot_fini(struct etcd_log *self)
{
	OT_ASSERT(self->snapshot == NULL);
	while (!ot_list_is_empty(&self->lost_snapshots))
		job_free(OT_LIST_FIRST(&self->lost_snapshots, struct etcd_snapshot_job, link));
}
