/*   TAKE (one transaction)
 *   OPEN -> PIECE* -> POINTER -> READ -> PUT* -> READ -> ... -> HEAD -> CLOSE
 *
 * OPEN, READ and CLOSE are a worker's, the others transactions, which compare the revision of
 * `seed`: once somebody takes the prefix again, nothing of this copy goes through. Each may be done
 * twice, so that whatever fails is sent again.
 */
#include "cluster/grow_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/checkpoint_int.h"
#include "cluster/etcd_int.h"
#include "log/log.h"
#include "record/batch.h"

enum step {
	STEP_NONE,
	STEP_TAKE,
	STEP_OPEN,
	STEP_PIECE,
	STEP_POINTER,
	STEP_READ,
	STEP_PUT,
	STEP_HEAD,
	STEP_CLOSE,
};

enum { READ_BYTES = 256 * 1024, PIECE_BYTES = 256 * 1024, SEED_RETRY_MS = 200 };

struct grow_seed {
	struct grow_seed_args args; /* [const] */
	char dir[1000];
	enum step step;
	struct ot_uuid id;
	struct ot_kv_txn txn;
	struct ot_timer retry;
	int64_t seed_revision; /* that put our seed */
	uint64_t head_id;
	int32_t epoch;
	bool is_copying;

	struct ot_job job; /* of OPEN, READ, CLOSE; has what follows while it runs */
	bool is_busy;
	struct ot_log *log;
	struct ot_log_open_result open_result;
	struct checkpoint checkpoint;
	ot_err job_err;
	struct ot_why why;
	int64_t read_offset;
	struct ot_writer value; /* of the key or the piece that is put */
	int32_t value_part;     /* of a value in parts, that goes next */
	int32_t value_part_count;
	int64_t value_offset;
	ot_wall_ms now;
	uint64_t random;

	size_t snapshot_place;
	int32_t piece_count;
	int64_t piece_offset;

	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void step_begin(struct grow_seed *seed);

/* ---- the worker's --------------------------------------------------------------------------- */

static ot_err
work_open(struct grow_seed *seed)
{
	struct ot_fs *fs = seed->args.io->fs;
	struct ot_log_open_args args = { .fs = fs,
		.dir = seed->dir,
		.settings = ot_log_settings_default(),
		.now = seed->now,
		.random = seed->random };
	ot_err err = OT_OK;

	if (seed->log != NULL) /* it begins anew */
		err = ot_log_close(seed->log, OT_LOG_CLOSE_DROP);
	seed->log = NULL;
	checkpoint_fini(&seed->checkpoint);
	seed->snapshot_place = 0;
	seed->piece_count = 0;
	seed->piece_offset = 0;
	if (err == OT_OK)
		err = checkpoint_read_newest(fs, seed->dir, &seed->checkpoint, &seed->why);
	if (err != OT_OK)
		return err;
	args.settings.retention_ms = args.settings.retention_bytes = -1;
	if (seed->checkpoint.bytes != NULL)
		args.start_offset = seed->checkpoint.id.end_offset;
	args.recovery_point = args.start_offset;
	seed->read_offset = args.start_offset;
	err = ot_log_open(&args, &seed->log, &seed->open_result);
	if (err != OT_OK)
		seed->why = seed->open_result.why;
	return err;
}

/* Whole batches from the log into `value`; none at its end. */
static ot_err
work_read(struct grow_seed *seed)
{
	const struct ot_log_read_args args = { .offset = seed->read_offset,
		.bound_offset = ot_log_end_offset(seed->log),
		.bytes_max = READ_BYTES,
		.is_one_at_least = true,
		.may_block = true };
	struct ot_log_read read;
	size_t got = 0;
	ot_err err;

	ot_writer_reset(&seed->value);
	etcd_log_write(0, &seed->value);
	if (seed->read_offset >= ot_log_end_offset(seed->log))
		return OT_OK;
	err = ot_log_plan_read(seed->log, &args, &read);
	if (err != OT_OK || read.file == NULL)
		return err;
	if (ot_writer_reserve(&seed->value, read.bytes)) {
		err = ot_file_read(read.file, seed->value.data + seed->value.bytes, read.bytes,
		    read.place, &got);
		seed->value.bytes += got;
	} else {
		err = OT_ERR_NO_MEMORY;
	}
	ot_file_unref(read.file);
	return err;
}

static void
on_work(struct ot_job *job)
{
	struct grow_seed *seed = OT_CONTAINER_OF(job, struct grow_seed, job);

	if (seed->step == STEP_OPEN)
		seed->job_err = work_open(seed);
	else if (seed->step == STEP_READ)
		seed->job_err = work_read(seed);
	else if (seed->log != NULL)
		seed->job_err = ot_log_close(seed->log, OT_LOG_CLOSE_DROP);
}

static void
submit(struct grow_seed *seed)
{
	seed->is_busy = true;
	seed->job_err = OT_OK;
	seed->now = ot_io_wall(seed->args.io);
	seed->random = ot_io_random_u64(seed->args.io);
	ot_io_submit(seed->args.io, &seed->job);
}

static void
seed_free(struct grow_seed *seed)
{
	ot_timer_cancel(seed->args.io, &seed->retry);
	ot_kv_destroy(seed->args.kv);
	checkpoint_fini(&seed->checkpoint);
	ot_writer_fini(&seed->value);
	ot_free(seed);
}

static void
finish_close(struct grow_seed *seed)
{
	void (*on_closed)(void *) = seed->on_closed;
	void *arg = seed->closed_arg;

	seed_free(seed);
	on_closed(arg);
}

/* ---- the snapshot, in batches of a size that a request holds -----------------------------------
 */

/* Fills `value` with the next piece; false when there is no more. */
static ot_err
fill_piece(struct grow_seed *seed, bool *ret_has_more)
{
	struct ot_metadata_records records;
	struct ot_metalog_batch batch;
	struct ot_arena arena;
	size_t taken;
	ot_err err = OT_OK;

	ot_arena_init(&arena, 0);
	ot_metadata_records_init(&records);
	while (err == OT_OK && records.bytes.bytes < PIECE_BYTES &&
	       seed->snapshot_place < seed->checkpoint.byte_count) {
		err = checkpoint_parse_batch(seed->checkpoint.bytes + seed->snapshot_place,
		    seed->checkpoint.byte_count - seed->snapshot_place, &arena, &batch, &taken,
		    &seed->why);
		for (int32_t i = 0; err == OT_OK && i < batch.record_count; i++)
			ot_metadata_records_add_framed(&records, batch.records[i]);
		seed->snapshot_place += err == OT_OK ? taken : 0;
	}
	if (records.failed)
		err = OT_ERR_NO_MEMORY;
	*ret_has_more = records.count > 0;
	ot_writer_reset(&seed->value);
	if (err == OT_OK && records.count > 0)
		err = checkpoint_build_batch(&records, seed->piece_offset,
		    seed->checkpoint.id.epoch, seed->checkpoint.timestamp, &seed->value);
	seed->piece_offset += records.count;
	ot_metadata_records_fini(&records);
	ot_arena_fini(&arena);
	return err;
}

/* ---- transactions --------------------------------------------------------------------------- */

static void
send_txn(struct grow_seed *seed, const struct ot_kv_compare *compares, size_t compare_count,
    const struct ot_kv_op *ops, size_t op_count)
{
	struct etcd_key head = etcd_key_of(seed->args.prefix, "head");
	struct etcd_key owner = etcd_key_of(seed->args.prefix, "seed");
	const struct ot_kv_op gets[] = { { .type = OT_KV_GET, .key = head.text },
		{ .type = OT_KV_GET, .key = owner.text } };

	seed->txn.compares = compares;
	seed->txn.compare_count = compare_count;
	seed->txn.then = ops;
	seed->txn.then_count = op_count;
	seed->txn.otherwise = gets;
	seed->txn.otherwise_count = OT_ARRAY_COUNT(gets);
	seed->txn.ms_max = ETCD_REQUEST_MS_MAX;
	ot_kv_txn(seed->args.kv, &seed->txn);
}

static struct ot_bytes
view(const struct ot_writer *out)
{
	OT_ASSERT(!out->failed);
	return (struct ot_bytes){ out->data, (int32_t)out->bytes };
}

/* Takes the prefix, and removes what an earlier copy left there. */
static void
send_take(struct grow_seed *seed)
{
	const char *prefix = seed->args.prefix;
	struct etcd_key head = etcd_key_of(prefix, "head"), owner = etcd_key_of(prefix, "seed");
	struct etcd_key log = etcd_key_of(prefix, "log/"), log_end = etcd_key_of(prefix, "log0");
	struct etcd_key part = etcd_key_of(prefix, "part/");
	struct etcd_key part_end = etcd_key_of(prefix, "part0");
	struct etcd_key snap = etcd_key_of(prefix, "snap/");
	struct etcd_key snap_end = etcd_key_of(prefix, "snapshot0");
	const struct ot_kv_compare compare = { head.text, OT_KV_CREATED, 0 };
	struct ot_writer value;
	struct ot_kv_op ops[] = {
		{ .type = OT_KV_PUT, .key = owner.text },
		{ .type = OT_KV_DELETE, .key = log.text, .end = log_end.text },
		{ .type = OT_KV_DELETE, .key = part.text, .end = part_end.text },
		{ .type = OT_KV_DELETE, .key = snap.text, .end = snap_end.text },
	};

	ot_writer_init(&value);
	etcd_seed_write(&seed->id, &value);
	ops[0].value = view(&value);
	send_txn(seed, &compare, 1, ops, OT_ARRAY_COUNT(ops));
	ot_writer_fini(&value);
}

/* One put while the seed is ours. */
static void
send_put(struct grow_seed *seed, const struct etcd_key *key, struct ot_bytes value)
{
	struct etcd_key owner = etcd_key_of(seed->args.prefix, "seed");
	const struct ot_kv_compare compare = { owner.text, OT_KV_CHANGED, seed->seed_revision };
	const struct ot_kv_op op = { .type = OT_KV_PUT, .key = key->text, .value = value };

	send_txn(seed, &compare, 1, &op, 1);
}

static void
send_pointer(struct grow_seed *seed)
{
	const struct etcd_snapshot snapshot = { seed->checkpoint.id, seed->checkpoint.timestamp,
		seed->piece_count };
	struct etcd_key key = etcd_key_of(seed->args.prefix, "snapshot");
	struct ot_writer value;

	ot_writer_init(&value);
	etcd_snapshot_write(&snapshot, &value);
	send_put(seed, &key, view(&value));
	ot_writer_fini(&value);
}

/* A value of the log, or the next of its parts. */
static void
send_log(struct grow_seed *seed)
{
	const char *prefix = seed->args.prefix;
	struct etcd_key key = etcd_key_log(prefix, seed->value_offset);
	struct ot_bytes all = view(&seed->value);
	size_t header = 6, bytes = (size_t)all.len - header, place;
	struct ot_writer parts;

	if (seed->value_part_count == 0) {
		send_put(seed, &key, all);
		return;
	}
	if (seed->value_part < seed->value_part_count) {
		place = (size_t)seed->value_part * ETCD_PART_BYTES;
		bytes = OT_MIN(bytes - place, (size_t)ETCD_PART_BYTES);
		key = etcd_key_part(prefix, seed->value_offset, seed->epoch, seed->value_part);
		send_put(seed, &key,
		    (struct ot_bytes){ all.data + header + place, (int32_t)bytes });
		return;
	}
	ot_writer_init(&parts);
	etcd_log_write(seed->value_part_count, &parts);
	ot_write_i32(&parts, seed->epoch);
	send_put(seed, &key, view(&parts));
	ot_writer_fini(&parts);
}

static void
send_head(struct grow_seed *seed)
{
	const struct etcd_head head = { seed->read_offset, seed->epoch, seed->head_id };
	struct etcd_key key = etcd_key_of(seed->args.prefix, "head");
	struct etcd_key owner = etcd_key_of(seed->args.prefix, "seed");
	const struct ot_kv_compare compares[] = {
		{ owner.text, OT_KV_CHANGED, seed->seed_revision },
		{ key.text, OT_KV_CREATED, 0 },
	};
	struct ot_kv_op op = { .type = OT_KV_PUT, .key = key.text };
	struct ot_writer value;

	ot_writer_init(&value);
	etcd_head_write(&head, &value);
	op.value = view(&value);
	send_txn(seed, compares, OT_ARRAY_COUNT(compares), &op, 1);
	ot_writer_fini(&value);
}

/* ---- from step to step ----------------------------------------------------------------------- */

static void
end_copy(struct grow_seed *seed, ot_err err)
{
	if (err != OT_OK && seed->why.text[0] == '\0')
		ot_why_set(&seed->why, "copying the metadata log to etcd: %s", ot_err_message(err));
	seed->step = STEP_NONE;
	seed->args.on_copied(seed->args.arg, err, seed->why.text, seed->read_offset);
}

static void
step_piece(struct grow_seed *seed)
{
	bool has_more;
	ot_err err = fill_piece(seed, &has_more);

	if (err != OT_OK) {
		end_copy(seed, err);
		return;
	}
	if (!has_more)
		seed->step = STEP_POINTER;
	step_begin(seed);
}

/* Notes what was read. */
static void
step_put(struct grow_seed *seed)
{
	size_t bytes = seed->value.bytes - 6, place = 0;
	struct ot_batch_info info;

	seed->value_offset = -1;
	while (place < bytes) {
		ot_err err =
		    ot_batch_parse(seed->value.data + 6 + place, bytes - place, &info, &seed->why);

		if (err != OT_OK) {
			end_copy(seed, err);
			return;
		}
		if (seed->value_offset < 0)
			seed->value_offset = info.base_offset;
		seed->read_offset = ot_batch_info_last_offset(&info) + 1;
		seed->epoch = OT_MAX(seed->epoch, info.leader_epoch);
		place += info.bytes;
	}
	seed->value_part = 0;
	seed->value_part_count = 0;
	if (bytes > ETCD_PART_BYTES)
		seed->value_part_count = (int32_t)((bytes + ETCD_PART_BYTES - 1) / ETCD_PART_BYTES);
	seed->step = bytes > 0 ? STEP_PUT : STEP_HEAD;
	step_begin(seed);
}

static void
on_worked(struct ot_job *job)
{
	struct grow_seed *seed = OT_CONTAINER_OF(job, struct grow_seed, job);
	enum step step = seed->step;

	seed->is_busy = false;
	if (step == STEP_CLOSE) {
		finish_close(seed);
	} else if (seed->on_closed != NULL) {
		seed->step = STEP_CLOSE;
		submit(seed);
	} else if (seed->job_err != OT_OK) {
		end_copy(seed, seed->job_err);
	} else if (step == STEP_READ) {
		step_put(seed);
	} else {
		seed->step = seed->checkpoint.bytes != NULL ? STEP_PIECE : STEP_READ;
		if (seed->step == STEP_PIECE)
			step_piece(seed);
		else
			step_begin(seed);
	}
}

static void
step_begin(struct grow_seed *seed)
{
	struct etcd_key piece;

	switch (seed->step) {
	case STEP_TAKE:
		send_take(seed);
		break;
	case STEP_PIECE:
		piece = etcd_key_piece(seed->args.prefix, seed->checkpoint.id, seed->piece_count);
		send_put(seed, &piece, view(&seed->value));
		break;
	case STEP_POINTER:
		send_pointer(seed);
		break;
	case STEP_PUT:
		send_log(seed);
		break;
	case STEP_HEAD:
		send_head(seed);
		break;
	case STEP_OPEN:
	case STEP_READ:
	case STEP_CLOSE:
		submit(seed);
		break;
	case STEP_NONE:
		OT_PANIC("a step that is none");
	}
}

/* The comparison failed: there is a head, be it ours, whose answer was lost; or another seed. */
static void
compared(struct grow_seed *seed)
{
	const struct ot_kv_found *head = &seed->txn.found[0], *owner = &seed->txn.found[1];
	struct etcd_head value = { 0 };
	struct ot_uuid id = ot_uuid_zero;

	if (head->count > 0 && etcd_head_read(head->pairs[0].value, &value) == OT_OK &&
	    value.write_id == seed->head_id) {
		end_copy(seed, OT_OK);
		return;
	}
	if (owner->count > 0 && owner->pairs[0].value.len == 18)
		memcpy(&id, owner->pairs[0].value.data + 2, 16);
	if (seed->step == STEP_TAKE && !seed->is_copying) {
		seed->step = STEP_NONE;
		seed->args.on_taken(seed->args.arg, OT_ERR_EXISTS, &id);
		return;
	}
	if (head->count == 0) {
		/* A request for the prefix that nobody waits for any more came late, of this life
		 * or of an earlier one: it is taken again, and filled from the start. */
		seed->step = STEP_TAKE;
		step_begin(seed);
		return;
	}
	ot_why_set(&seed->why, "another process fills the same prefix in etcd: two nodes must not "
			       "found one cluster");
	end_copy(seed, OT_ERR_EXISTS);
}

static void
on_txn(struct ot_kv_txn *txn, ot_err err)
{
	struct grow_seed *seed = OT_CONTAINER_OF(txn, struct grow_seed, txn);

	if (err != OT_OK) {
		ot_timer_arm_in_ms(seed->args.io, &seed->retry, SEED_RETRY_MS);
		return;
	}
	if (!txn->succeeded) {
		compared(seed);
		return;
	}
	if (seed->step == STEP_TAKE && seed->is_copying) {
		seed->seed_revision = txn->revision;
		seed->step = STEP_OPEN;
		step_begin(seed);
	} else if (seed->step == STEP_TAKE) {
		seed->seed_revision = txn->revision;
		seed->step = STEP_NONE;
		seed->args.on_taken(seed->args.arg, OT_OK, &seed->id);
	} else if (seed->step == STEP_PIECE) {
		seed->piece_count++;
		step_piece(seed);
	} else if (seed->step == STEP_HEAD) {
		end_copy(seed, OT_OK);
	} else if (seed->step == STEP_PUT && seed->value_part < seed->value_part_count) {
		seed->value_part++;
		step_begin(seed);
	} else {
		seed->step = STEP_READ;
		step_begin(seed);
	}
}

static void
on_retry(struct ot_timer *timer)
{
	step_begin(OT_CONTAINER_OF(timer, struct grow_seed, retry));
}

/* ---- life ----------------------------------------------------------------------------------- */

void
grow_seed_take(struct grow_seed *seed, const struct ot_uuid *id)
{
	seed->id = *id;
	seed->step = STEP_TAKE;
	step_begin(seed);
}

void
grow_seed_copy(struct grow_seed *seed, int32_t epoch)
{
	OT_ASSERT(seed->seed_revision > 0);
	seed->epoch = epoch;
	seed->is_copying = true;
	seed->step = STEP_OPEN;
	step_begin(seed);
}

void
grow_seed_destroy(struct grow_seed *seed, void (*on_closed)(void *arg), void *arg)
{
	seed->on_closed = on_closed;
	seed->closed_arg = arg;
	ot_timer_cancel(seed->args.io, &seed->retry);
	ot_kv_destroy(seed->args.kv);
	seed->args.kv = NULL;
	if (seed->is_busy)
		return;
	seed->step = STEP_CLOSE;
	submit(seed);
}

struct grow_seed *
grow_seed_create(const struct grow_seed_args *args)
{
	struct grow_seed *seed = OT_NEW(struct grow_seed);
	struct ot_text dir = OT_TEXT(seed->dir);

	ot_text_put(&dir, "%s/__cluster_metadata-0", args->dir);
	seed->args = *args;
	seed->head_id = ot_io_random_u64(args->io);
	seed->txn.on_done = on_txn;
	seed->job = (struct ot_job){ on_work, on_worked };
	ot_writer_init(&seed->value);
	ot_timer_init(&seed->retry, on_retry);
	return seed;
}
