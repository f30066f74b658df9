/* Engine `etcd`: its life, and the reading of the log. etcd_int.h has the format and the argument.
 *
 *   RETRY -> HEAD -> SNAPSHOT -> LOG <-> PARTS
 *              ^         \         |
 *              |          `------->|
 *              +---- broken ---- WATCH
 *
 * Each step is one transaction of gets, whose answer decides on the next. Whatever goes wrong leads
 * back to HEAD; what was told stays told.
 */
#include "cluster/metalog.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/checkpoint_int.h"
#include "cluster/etcd_int.h"

static void tail_next(struct etcd_log *self);
static void begin_watch(struct etcd_log *self);

static struct etcd_log *
etcd_of(struct ot_metalog *log)
{
	return OT_CONTAINER_OF(log, struct etcd_log, base);
}

static bool
is_over(const struct etcd_log *self)
{
	return self->is_failed || self->on_closed != NULL;
}

/* ---- failing and starting again ---------------------------------------------------------------
 */

static void
stop_all(struct etcd_log *self)
{
	if (self->is_watching)
		ot_kv_unwatch(self->kv, &self->watch);
	self->is_watching = false;
	self->tail = ETCD_TAIL_NONE;
	ot_timer_cancel(self->io, &self->tail_retry);
	ot_timer_cancel(self->io, &self->tick);
	etcd_lookout_end(self);
}

void
etcd_fail(struct etcd_log *self, ot_err err, const char *why)
{
	if (is_over(self))
		return;
	self->is_failed = true;
	stop_all(self);
	etcd_lead_end(self, err);
	etcd_snapshot_end(self, err);
	self->events->on_failure(self->arg, err, why);
}

void
etcd_tail_restart(struct etcd_log *self, bool is_later)
{
	if (is_over(self))
		return;
	if (self->is_watching)
		ot_kv_unwatch(self->kv, &self->watch);
	self->is_watching = false;
	self->tail = ETCD_TAIL_RETRY;
	if (!is_later)
		self->retry_ms = 0;
	if (!ot_timer_is_armed(&self->tail_retry))
		ot_timer_arm_in_ms(self->io, &self->tail_retry, self->retry_ms);
	self->retry_ms = OT_MIN(OT_MAX(self->retry_ms * 2, ETCD_RETRY_MS_MIN), ETCD_RETRY_MS_MAX);
}

static void
on_tail_retry(struct ot_timer *timer)
{
	struct etcd_log *self = OT_CONTAINER_OF(timer, struct etcd_log, tail_retry);

	self->tail = ETCD_TAIL_HEAD;
	tail_next(self);
}

static void
fail_value(struct etcd_log *self, ot_err err, struct ot_str key)
{
	struct ot_why why;

	if (err == OT_ERR_UNSUPPORTED_VERSION)
		ot_why_set(&why,
		    "etcd's key %.*s is of a format that this release does not know: a newer one "
		    "wrote it",
		    OT_STR_ARG(key));
	else
		ot_why_set(&why, "etcd's key %.*s holds no valid value", OT_STR_ARG(key));
	etcd_fail(self, err == OT_ERR_MALFORMED ? OT_ERR_CORRUPT_FILE : err, why.text);
}

/* ---- telling -------------------------------------------------------------------------------- */

static ot_err
tell_batch(struct etcd_log *self, struct ot_metalog_batch *batch, bool is_snapshot, size_t bytes,
    struct ot_why *why)
{
	batch->is_snapshot = is_snapshot;
	if (is_snapshot) {
		self->events->on_batch(self->arg, batch);
		return OT_OK;
	}
	if (batch->next_offset <= self->next_offset)
		return OT_OK;
	if (batch->base_offset != self->next_offset) {
		ot_why_set(why,
		    "the metadata log in etcd has a gap: offset %" PRId64 " follows where %" PRId64
		    " was expected",
		    batch->base_offset, self->next_offset);
		return OT_ERR_AGAIN;
	}
	self->next_offset = batch->next_offset;
	self->bytes += bytes;
	self->epoch = OT_MAX(self->epoch, batch->epoch);
	self->events->on_batch(self->arg, batch);
	etcd_lead_told(self, batch);
	return OT_OK;
}

static ot_err
tell_batches(struct etcd_log *self, struct ot_bytes batches, bool is_snapshot, struct ot_why *why)
{
	size_t place = 0, taken = 0, byte_count = (size_t)batches.len;
	struct ot_metalog_batch batch;
	struct ot_arena arena;
	ot_err err = OT_OK;

	ot_arena_init(&arena, 0);
	while (err == OT_OK && place < byte_count && !is_over(self)) {
		ot_arena_reset(&arena);
		err = checkpoint_parse_batch(batches.data + place, byte_count - place, &arena,
		    &batch, &taken, why);
		if (err == OT_OK)
			err = tell_batch(self, &batch, is_snapshot, taken, why);
		else if (err != OT_ERR_NO_MEMORY)
			err = OT_ERR_CORRUPT_FILE;
		place += taken;
	}
	ot_arena_fini(&arena);
	return err;
}

ot_err
etcd_tell(struct etcd_log *self, struct ot_bytes batches, int64_t revision, struct ot_why *why)
{
	ot_err err = tell_batches(self, batches, false, why);

	if (err == OT_OK) {
		self->is_boundary = true;
		self->head_revision = OT_MAX(self->head_revision, revision);
	}
	return err;
}

/* ---- who leads ------------------------------------------------------------------------------ */

void
etcd_tell_leader(struct etcd_log *self, int32_t leader_id, int32_t epoch,
    const struct ot_metalog_endpoint *endpoint)
{
	if (self->is_leader_told && leader_id < 0 && self->told_leader < 0)
		return;
	self->is_leader_told = true;
	self->told_leader = leader_id;
	self->events->on_leader(self->arg, leader_id, epoch, endpoint);
}

/* The key of another process, or of ourselves before a restart. */
static void
take_other(struct etcd_log *self, const struct ot_kv_pair *pair)
{
	struct etcd_leader leader;
	ot_err err = etcd_leader_read(pair->value, &leader);

	if (err != OT_OK) {
		fail_value(self, err, pair->key);
		return;
	}
	if (leader.node_id != self->node_id) {
		etcd_lookout_begin(self, &leader);
		etcd_tell_leader(self, leader.node_id, leader.epoch,
		    &(struct ot_metalog_endpoint){ leader.host, leader.port });
		return;
	}
	etcd_tell_leader(self, -1, leader.epoch, NULL);
	/* Our own of an earlier life need not be waited for. */
	if (ot_uuid_equal(&leader.directory, &self->directory)) {
		etcd_lead_revoke(self, pair->lease);
	} else if (!self->is_namesake_told) {
		self->is_namesake_told = true;
		OT_ERROR("cluster",
		    "another process leads the metadata log as node %d: node ids must differ",
		    self->node_id);
	}
}

void
etcd_take_leader(struct etcd_log *self, const struct ot_kv_pair *pair, int64_t revision)
{
	int64_t created = pair != NULL ? pair->create_revision : 0;
	struct etcd_leader leader;
	bool is_ours;

	if (revision < self->leader_revision || is_over(self))
		return;
	self->leader_revision = revision;
	if (created == self->leader_created && self->is_leader_told)
		return;
	self->leader_created = created;
	etcd_lookout_end(self);
	is_ours = pair != NULL && pair->lease == self->lease_id && self->lease_id != 0;
	if (self->candidacy == ETCD_LEADING || (pair != NULL && !is_ours))
		etcd_lead_end(self, OT_ERR_NOT_CONTROLLER);
	if (is_over(self))
		return;
	if (pair == NULL)
		etcd_tell_leader(self, -1, self->epoch, NULL);
	else if (!is_ours)
		take_other(self, pair);
	else if (etcd_leader_read(pair->value, &leader) == OT_OK)
		etcd_lead_begin(self, created, leader.epoch);
}

/* ---- the watch ------------------------------------------------------------------------------ */

/* False when the tail goes another way. */
static bool
take_log_event(struct etcd_log *self, const struct ot_kv_pair *pair)
{
	int64_t offset = etcd_key_offset(self->prefix, pair->key);
	struct ot_why why = { { 0 } };
	struct ot_bytes batches;
	int32_t part_count;
	ot_err err = etcd_log_read(pair->value, &part_count, &batches);

	if (err != OT_OK || offset < 0) {
		fail_value(self, offset < 0 ? OT_ERR_MALFORMED : err, pair->key);
		return false;
	}
	if (part_count > 0 && offset < self->next_offset) {
		self->head_revision = OT_MAX(self->head_revision, pair->mod_revision);
		return true;
	}
	if (part_count > 0) {
		/* Pages are read one after the other; the watch cannot wait for parts. */
		etcd_tail_restart(self, false);
		return false;
	}
	err = etcd_tell(self, batches, pair->mod_revision, &why);
	if (err == OT_OK)
		return true;
	if (err == OT_ERR_CORRUPT_FILE)
		etcd_fail(self, err, why.text);
	else
		etcd_tail_restart(self, true);
	return false;
}

static void
on_events(struct ot_kv_watch *watch, const struct ot_kv_event *events, int32_t count)
{
	struct etcd_log *self = OT_CONTAINER_OF(watch, struct etcd_log, watch);
	struct ot_str leader_key = ot_str_from(self->key_leader.text);

	self->retry_ms = 0;
	for (int32_t i = 0; i < count && self->is_watching && !is_over(self); i++) {
		const struct ot_kv_event *event = &events[i];

		if (ot_str_equal(event->pair.key, leader_key))
			etcd_take_leader(self, event->is_deletion ? NULL : &event->pair,
			    event->pair.mod_revision);
		else if (!event->is_deletion && !take_log_event(self, &event->pair))
			return;
	}
	if (is_over(self))
		return;
	etcd_lead_consider(self);
	etcd_lead_pump(self);
}

static void
on_watch_end(struct ot_kv_watch *watch, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(watch, struct etcd_log, watch);

	self->is_watching = false;
	etcd_tail_restart(self, err != OT_ERR_OFFSET_OUT_OF_RANGE);
}

static void
begin_watch(struct etcd_log *self)
{
	self->tail = ETCD_TAIL_WATCH;
	self->is_watching = true;
	self->watch.key = self->key_leader.text;
	self->watch.end = self->key_log_end.text;
	self->watch.revision = self->load_revision + 1;
	self->watch.on_events = on_events;
	self->watch.on_end = on_watch_end;
	ot_kv_watch(self->kv, &self->watch);
	if (!ot_timer_is_armed(&self->tick))
		ot_timer_arm_in_ms(self->io, &self->tick, ETCD_TICK_MS);
	etcd_lead_consider(self);
	etcd_lead_pump(self);
}

/* ---- reading in pages ----------------------------------------------------------------------- */

static void
send_gets(struct etcd_log *self, const struct ot_kv_op *ops, size_t count)
{
	OT_ASSERT(!self->is_tail_sent);
	self->is_tail_sent = true;
	self->tail_txn.then = ops;
	self->tail_txn.then_count = count;
	self->tail_txn.ms_max = ETCD_REQUEST_MS_MAX;
	ot_kv_txn(self->kv, &self->tail_txn);
}

static void
read_head(struct etcd_log *self)
{
	const struct ot_kv_op ops[] = {
		{ .type = OT_KV_GET, .key = self->key_head.text },
		{ .type = OT_KV_GET, .key = self->key_leader.text },
		{ .type = OT_KV_GET, .key = self->key_snapshot.text },
		{ .type = OT_KV_GET, .key = self->key_seed.text },
	};

	self->asked_offset = self->is_in_snapshot ? 0 : self->next_offset;
	send_gets(self, ops, OT_ARRAY_COUNT(ops));
}

static void
read_page(struct etcd_log *self, const struct etcd_key *from, const struct etcd_key *end)
{
	const struct ot_kv_op op = {
		.type = OT_KV_GET,
		.key = from->text,
		.end = end->text,
		.revision = self->load_revision,
		.limit = ETCD_PAGE_COUNT,
	};

	send_gets(self, &op, 1);
}

/* Asks for what the state needs next. */
static void
tail_next(struct etcd_log *self)
{
	struct etcd_key from, end;

	if (is_over(self) || self->is_tail_sent)
		return; /* the answer of an earlier step brings us here again */
	if (self->tail == ETCD_TAIL_HEAD) {
		read_head(self);
		return;
	}
	if (self->tail == ETCD_TAIL_SNAPSHOT) {
		from = etcd_key_piece(self->prefix, self->load_snapshot.id, self->load_piece);
		end = etcd_key_piece(self->prefix, self->load_snapshot.id,
		    self->load_snapshot.piece_count);
	} else if (self->tail == ETCD_TAIL_PARTS) {
		from = etcd_key_part(self->prefix, self->load_parts_offset, self->load_parts_epoch,
		    self->load_part);
		end = etcd_key_part(self->prefix, self->load_parts_offset, self->load_parts_epoch,
		    OT_MIN(self->load_part + ETCD_PAGE_COUNT / 4, self->load_part_count));
	} else {
		OT_ASSERT(self->tail == ETCD_TAIL_LOG);
		from = self->is_boundary ? etcd_key_log(self->prefix, self->next_offset)
		                         : self->key_log;
		end = self->key_log_end;
	}
	read_page(self, &from, &end);
}

static void
fail_short(struct etcd_log *self)
{
	struct ot_why why;

	ot_why_set(&why,
	    "the metadata log in etcd ends at offset %" PRId64 ", but was written up to %" PRId64
	    ": etcd has lost what it acknowledged; restore its data, or let this node join anew",
	    self->load_head.next_offset, self->asked_offset);
	etcd_fail(self, OT_ERR_CORRUPT_FILE, why.text);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Reads the keys of the first step. False when one is not valid. */
static bool
take_keys(struct etcd_log *self, const struct ot_kv_found *found)
{
	const struct ot_kv_pair *head = &found[0].pairs[0], *leader = &found[1].pairs[0];
	const struct ot_kv_pair *snapshot = &found[2].pairs[0];
	ot_err err = OT_OK;

	self->load_head = (struct etcd_head){ 0 };
	self->load_snapshot = (struct etcd_snapshot){ 0 };
	self->load_leader = (struct ot_kv_pair){ 0 };
	self->load_head_revision = found[0].count > 0 ? head->mod_revision : 0;
	if (found[0].count > 0)
		err = etcd_head_read(head->value, &self->load_head);
	if (err != OT_OK) {
		fail_value(self, err, head->key);
		return false;
	}
	if (found[2].count > 0)
		err = etcd_snapshot_read(snapshot->value, &self->load_snapshot);
	if (err != OT_OK) {
		fail_value(self, err, snapshot->key);
		return false;
	}
	if (found[1].count == 0)
		return true;
	if ((size_t)leader->value.len > sizeof(self->load_leader_value)) {
		fail_value(self, OT_ERR_MALFORMED, leader->key);
		return false;
	}
	self->load_leader = *leader;
	memcpy(self->load_leader_value, leader->value.data, (size_t)leader->value.len);
	self->load_leader.value.data = self->load_leader_value;
	self->load_leader.key = ot_str_from(self->key_leader.text);
	return true;
}

static void
take_head(struct etcd_log *self, const struct ot_kv_txn *txn)
{
	bool is_there = txn->found[0].count > 0, has_seed = txn->found[3].count > 0;
	bool wants_snapshot;

	if (!take_keys(self, txn->found))
		return;
	self->load_revision = txn->revision;
	/* What was told while the answer was on its way may be newer. */
	if (self->load_head.next_offset < self->asked_offset) {
		fail_short(self);
		return;
	}
	if (!is_there && has_seed) {
		/* Somebody fills it. */
		etcd_tail_restart(self, true);
		return;
	}
	self->tail = ETCD_TAIL_LOG;
	wants_snapshot =
	    self->load_snapshot.id.end_offset > 0 &&
	    (self->is_in_snapshot || self->next_offset < self->load_snapshot.id.end_offset);
	if (!wants_snapshot)
		return;
	/* What is under way may be within the snapshot; who leads comes as ever after it. */
	if (self->candidacy == ETCD_LEADING) {
		etcd_lead_end(self, OT_ERR_NOT_CONTROLLER);
		etcd_tell_leader(self, -1, self->epoch, NULL);
	}
	self->tail = ETCD_TAIL_SNAPSHOT;
	self->load_piece = 0;
	self->is_in_snapshot = true;
	self->is_boundary = false;
	self->bytes = 0;
	self->events->on_snapshot_begin(self->arg, self->load_snapshot.id,
	    self->load_snapshot.timestamp);
}

static void
take_pieces(struct etcd_log *self, const struct ot_kv_found *found)
{
	struct ot_why why = { { 0 } };
	ot_err err = OT_OK;

	for (int32_t i = 0; err == OT_OK && i < found->count && !is_over(self); i++)
		err = tell_batches(self, found->pairs[i].value, true, &why);
	self->load_piece += found->count;
	if (err == OT_OK && found->count == 0 &&
	    self->load_piece < self->load_snapshot.piece_count) {
		ot_why_set(&why, "the snapshot in etcd has %d pieces of %d", self->load_piece,
		    self->load_snapshot.piece_count);
		err = OT_ERR_CORRUPT_FILE;
	}
	if (err != OT_OK) {
		etcd_fail(self, err, why.text);
		return;
	}
	if (self->load_piece < self->load_snapshot.piece_count || is_over(self))
		return;
	self->next_offset = self->load_snapshot.id.end_offset;
	self->epoch = OT_MAX(self->epoch, self->load_snapshot.id.epoch);
	self->is_in_snapshot = false;
	self->tail = ETCD_TAIL_LOG;
	self->events->on_snapshot_end(self->arg);
}

/* All up to the revision was told. */
static void
loaded(struct etcd_log *self)
{
	if (self->next_offset < self->load_head.next_offset) {
		struct ot_why why;

		ot_why_set(&why,
		    "the metadata log in etcd ends at offset %" PRId64 " instead of %" PRId64,
		    self->next_offset, self->load_head.next_offset);
		etcd_fail(self, OT_ERR_CORRUPT_FILE, why.text);
		return;
	}
	self->is_boundary = true;
	self->epoch = OT_MAX(self->epoch, self->load_head.epoch);
	/* A log that was copied has a head that is younger than its last key. */
	if (self->next_offset == self->load_head.next_offset)
		self->head_revision = OT_MAX(self->head_revision, self->load_head_revision);
	etcd_take_leader(self, self->load_leader.create_revision > 0 ? &self->load_leader : NULL,
	    self->load_revision);
	if (!is_over(self))
		begin_watch(self);
}

static void
take_page(struct etcd_log *self, const struct ot_kv_found *found)
{
	struct ot_why why = { { 0 } };
	ot_err err = OT_OK;

	for (int32_t i = 0; err == OT_OK && i < found->count && !is_over(self); i++) {
		const struct ot_kv_pair *pair = &found->pairs[i];
		int64_t offset = etcd_key_offset(self->prefix, pair->key);
		struct ot_bytes batches;
		int32_t part_count;

		err = etcd_log_read(pair->value, &part_count, &batches);
		if (err != OT_OK || offset < 0) {
			fail_value(self, offset < 0 ? OT_ERR_MALFORMED : err, pair->key);
			return;
		}
		if (part_count > 0 && batches.len == 4 && offset >= self->next_offset) {
			self->tail = ETCD_TAIL_PARTS;
			self->load_part = 0;
			self->load_part_count = part_count;
			self->load_parts_offset = offset;
			self->load_parts_epoch = (int32_t)ot_get_u32(batches.data);
			self->head_revision = OT_MAX(self->head_revision, pair->mod_revision);
			return;
		}
		if (part_count == 0)
			err = etcd_tell(self, batches, pair->mod_revision, &why);
	}
	if (err != OT_OK) {
		etcd_fail(self, err == OT_ERR_AGAIN ? OT_ERR_CORRUPT_FILE : err, why.text);
		return;
	}
	if (!found->has_more && !is_over(self))
		loaded(self);
}

static void
take_parts(struct etcd_log *self, const struct ot_kv_found *found)
{
	struct ot_why why = { { 0 } };
	struct ot_bytes batches;
	ot_err err = OT_OK;

	for (int32_t i = 0; i < found->count; i++)
		ot_write_raw(&self->load_parts, found->pairs[i].value.data,
		    (size_t)found->pairs[i].value.len);
	self->load_part += found->count;
	if (found->count == 0) {
		ot_why_set(&why,
		    "the batch at offset %" PRId64 " in etcd has %d parts instead of %d",
		    self->load_parts_offset, self->load_part, self->load_part_count);
		err = OT_ERR_CORRUPT_FILE;
	} else if (self->load_parts.failed) {
		ot_why_set(&why, "there is no memory for a batch of the metadata log");
		err = OT_ERR_NO_MEMORY;
	} else if (self->load_part == self->load_part_count) {
		batches =
		    (struct ot_bytes){ self->load_parts.data, (int32_t)self->load_parts.bytes };
		err = etcd_tell(self, batches, 0, &why);
		ot_writer_fini(&self->load_parts);
		ot_writer_init(&self->load_parts);
		self->tail = ETCD_TAIL_LOG;
	}
	if (err != OT_OK)
		etcd_fail(self, err == OT_ERR_AGAIN ? OT_ERR_CORRUPT_FILE : err, why.text);
}

static void
on_tail_answer(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(txn, struct etcd_log, tail_txn);
	enum etcd_tail tail = self->tail;

	self->is_tail_sent = false;
	if (is_over(self) || tail == ETCD_TAIL_RETRY)
		return;
	if (err != OT_OK) {
		ot_writer_reset(&self->load_parts);
		etcd_tail_restart(self, err != OT_ERR_OFFSET_OUT_OF_RANGE);
		return;
	}
	if (tail == ETCD_TAIL_HEAD)
		take_head(self, txn);
	else if (tail == ETCD_TAIL_SNAPSHOT)
		take_pieces(self, &txn->found[0]);
	else if (tail == ETCD_TAIL_LOG)
		take_page(self, &txn->found[0]);
	else if (tail == ETCD_TAIL_PARTS)
		take_parts(self, &txn->found[0]);
	if (!is_over(self) && self->tail != ETCD_TAIL_WATCH && self->tail != ETCD_TAIL_RETRY)
		tail_next(self);
}

/* ---- whether all is well ----------------------------------------------------------------------
 */

/* A watch that hangs is not told by anybody: what it owes shows at the head. */
static void
on_tick_answer(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(txn, struct etcd_log, tick_txn);
	int64_t head = 0;

	self->is_tick_sent = false;
	if (is_over(self))
		return;
	if (self->tail != ETCD_TAIL_WATCH) {
		self->tick_head = 0;
		return;
	}
	if (err != OT_OK) {
		etcd_tail_restart(self, false);
		return;
	}
	if (txn->found[0].count > 0)
		head = txn->found[0].pairs[0].mod_revision;
	if (self->tick_head > self->head_revision) {
		OT_WARN("cluster", "the watch on etcd has stalled; it is begun anew");
		self->tick_head = 0;
		etcd_tail_restart(self, false);
		return;
	}
	self->tick_head = head > self->head_revision ? head : 0;
}

static void
on_tick(struct ot_timer *timer)
{
	struct etcd_log *self = OT_CONTAINER_OF(timer, struct etcd_log, tick);
	const struct ot_kv_op op = { .type = OT_KV_GET,
		.key = self->key_head.text,
		.is_keys_only = true };

	ot_timer_arm_in_ms(self->io, &self->tick, ETCD_TICK_MS);
	if (self->is_tick_sent || self->tail != ETCD_TAIL_WATCH)
		return;
	self->is_tick_sent = true;
	self->tick_txn.then = &op;
	self->tick_txn.then_count = 1;
	self->tick_txn.ms_max = ETCD_TICK_MS;
	ot_kv_txn(self->kv, &self->tick_txn);
}

static void
on_relieved(struct ot_kv_chore *chore, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(chore, struct etcd_log, relief);

	if (chore->what == OT_KV_COMPACT && !is_over(self)) {
		/* Even if it failed: what was forgotten before may be enough. */
		chore->what = OT_KV_RELIEVE;
		ot_kv_chore(self->kv, chore);
		return;
	}
	self->is_relieving = false;
	if (err != OT_OK)
		OT_WARN("cluster", "etcd could not be relieved: %s", ot_err_message(err));
	else
		OT_INFO("cluster", "etcd was compacted and takes writes again");
}

void
etcd_relieve(struct etcd_log *self)
{
	if (self->is_relieving || is_over(self))
		return;
	OT_ERROR("cluster",
	    "etcd is out of space and takes no writes: its history is dropped and its file "
	    "rewritten. If this comes again, give it more (--quota-backend-bytes)");
	self->is_relieving = true;
	self->relief.what = OT_KV_COMPACT;
	self->relief.revision = OT_MAX(self->head_revision, self->load_revision);
	self->relief.on_done = on_relieved;
	ot_kv_chore(self->kv, &self->relief);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
log_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	struct etcd_log *self = etcd_of(log);

	OT_ASSERT(self->events == NULL);
	self->events = events;
	self->arg = arg;
	self->tail = ETCD_TAIL_HEAD;
	tail_next(self);
}

static void
log_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	etcd_lead_append(etcd_of(log), append);
}

static void
log_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	etcd_snapshot_put(etcd_of(log), snapshot);
}

static uint64_t
log_bytes(const struct ot_metalog *log)
{
	return ((const struct etcd_log *)log)->bytes;
}

/* Ends it in a turn of its own, unless something is waited for: a worker, or the answer that the
 * lease is given back, so that another leads at once. */
void
etcd_close_step(struct etcd_log *self)
{
	bool is_due = !ot_timer_is_armed(&self->close_timer) || !self->is_revoke_sent;

	if (!self->is_close_begun || etcd_snapshot_is_busy(self) || !is_due)
		return;
	ot_timer_arm(self->io, &self->close_timer, ot_io_now(self->io));
}

static void
on_close_due(struct ot_timer *timer)
{
	struct etcd_log *self = OT_CONTAINER_OF(timer, struct etcd_log, close_timer);
	void (*on_closed)(void *) = self->on_closed;
	void *arg = self->closed_arg;

	if (!self->is_close_begun) {
		self->is_close_begun = true;
		etcd_lead_end(self, OT_ERR_CLOSED);
		etcd_snapshot_end(self, OT_ERR_CLOSED);
		if (self->is_revoke_sent)
			ot_timer_arm_in_ms(self->io, &self->close_timer, ETCD_CLOSE_MS_MAX);
		else
			etcd_close_step(self);
		return;
	}
	if (etcd_snapshot_is_busy(self))
		return;
	ot_kv_destroy(self->kv);
	etcd_lead_fini(self);
	etcd_snapshot_fini(self);
	ot_writer_fini(&self->load_parts);
	ot_free(self);
	on_closed(arg);
}

static void
log_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg)
{
	struct etcd_log *self = etcd_of(log);

	OT_ASSERT(self->on_closed == NULL);
	stop_all(self);
	self->on_closed = on_closed;
	self->closed_arg = arg;
	ot_timer_arm(self->io, &self->close_timer, ot_io_now(self->io));
}

static const struct ot_metalog_ops etcd_ops = {
	.start = log_start,
	.append = log_append,
	.put_snapshot = log_put_snapshot,
	.bytes_since_snapshot = log_bytes,
	.close = log_close,
};

static void
init_keys(struct etcd_log *self, const char *prefix)
{
	struct ot_text text = OT_TEXT(self->prefix);

	OT_ASSERT(strlen(prefix) < sizeof(self->prefix));
	ot_text_put(&text, "%s", prefix);
	self->key_head = etcd_key_of(prefix, "head");
	self->key_leader = etcd_key_of(prefix, "leader");
	self->key_snapshot = etcd_key_of(prefix, "snapshot");
	self->key_seed = etcd_key_of(prefix, "seed");
	self->key_log = etcd_key_of(prefix, "log/");
	/* '0' follows '/': the end of all that begins with "log/". */
	self->key_log_end = etcd_key_of(prefix, "log0");
}

struct ot_metalog *
ot_metalog_etcd_create(const struct ot_metalog_etcd_args *args)
{
	struct etcd_log *self = OT_NEW(struct etcd_log);
	struct ot_text host = OT_TEXT(self->host);

	self->base.ops = &etcd_ops;
	self->io = args->io;
	self->kv = args->kv;
	self->node_id = args->node_id;
	self->directory = args->directory;
	self->is_candidate = args->is_candidate;
	ot_text_put(&host, "%s", args->endpoint.host != NULL ? args->endpoint.host : "");
	self->port = args->endpoint.port;
	self->lease_ttl = OT_MAX(1, (args->lease_ms + 999) / 1000);
	self->next_offset = args->told_offset;
	self->epoch = args->told_epoch;
	self->told_leader = -1;
	self->tail_txn.on_done = on_tail_answer;
	self->tick_txn.on_done = on_tick_answer;
	init_keys(self, args->prefix);
	ot_writer_init(&self->load_parts);
	ot_list_init(&self->lost_snapshots);
	ot_timer_init(&self->tail_retry, on_tail_retry);
	ot_timer_init(&self->tick, on_tick);
	ot_timer_init(&self->close_timer, on_close_due);
	etcd_lead_init(self);
	return &self->base;
}
