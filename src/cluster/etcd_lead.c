/* Engine `etcd`: leading. A lease, an election with it, and the writes that follow.
 *
 *   IDLE -> GRANTING -> CAMPAIGNING -> LEADING
 *
 * Whatever ends a candidacy leads back to IDLE, with the lease given back. Whether an election was
 * won is not decided by its answer alone, which may be lost: the key `leader` with our lease, told
 * by whomever, is the proof.
 */
#include "cluster/etcd_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/checkpoint_int.h"
#include "record/control.h"

enum { LOG_HEADER_BYTES = 6, LEASE_PARTS = 3 };

static bool
is_over(const struct etcd_log *self)
{
	return self->is_failed || self->on_closed != NULL;
}

/* ---- writes --------------------------------------------------------------------------------- */

static struct etcd_write *
write_new(struct etcd_log *self, int64_t base_offset,
    void (*on_done)(struct ot_kv_txn *txn, ot_err err))
{
	struct etcd_write *write = OT_NEW(struct etcd_write);

	write->log = self;
	write->txn.on_done = on_done;
	write->base_offset = write->next_offset = base_offset;
	write->id = ot_io_random_u64(self->io);
	ot_list_init(&write->link);
	ot_list_init(&write->appends);
	ot_writer_init(&write->value);
	etcd_log_write(0, &write->value);
	return write;
}

static void
write_free(struct etcd_write *write)
{
	OT_ASSERT(ot_list_is_empty(&write->appends) && !write->is_sent);
	ot_list_remove(&write->link);
	ot_writer_fini(&write->value);
	ot_free(write);
}

/* Nobody waits for it any more; what is under way is let run, since it cannot be called back. */
static void
write_drop(struct etcd_write *write)
{
	ot_list_remove(&write->link);
	if (!write->is_sent) {
		write_free(write);
		return;
	}
	write->is_lost = true;
	ot_list_push_back(&write->log->lost, &write->link);
}

static struct ot_bytes
batches_of(const struct etcd_write *write)
{
	return (struct ot_bytes){ write->value.data + LOG_HEADER_BYTES,
		(int32_t)(write->value.bytes - LOG_HEADER_BYTES) };
}

static struct ot_bytes
view(const struct ot_writer *out)
{
	if (out->failed)
		OT_PANIC("no memory for a few bytes of a request");
	return (struct ot_bytes){ out->data, (int32_t)out->bytes };
}

static struct etcd_write *
first_write(struct etcd_log *self)
{
	return OT_LIST_FIRST(&self->writes, struct etcd_write, link);
}

/* ---- refusing ------------------------------------------------------------------------------- */

static void
turn_soon(struct etcd_log *self)
{
	if (!ot_timer_is_armed(&self->turn))
		ot_timer_arm(self->io, &self->turn, ot_io_now(self->io));
}

static void
end_all(struct ot_list *appends, ot_err err)
{
	while (!ot_list_is_empty(appends)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(appends, struct ot_metalog_append, link);

		ot_list_remove(&append->link);
		append->on_done(append, err);
	}
}

void
etcd_lead_revoke(struct etcd_log *self, int64_t lease_id)
{
	if (lease_id == 0 || self->is_revoke_sent)
		return; /* it ends by itself */
	self->is_revoke_sent = true;
	self->revoke.what = OT_KV_REVOKE;
	self->revoke.id = lease_id;
	self->revoke.ms_max = ETCD_REQUEST_MS_MAX;
	ot_kv_lease(self->kv, &self->revoke);
}

static void
on_revoked(struct ot_kv_lease *lease, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(lease, struct etcd_log, revoke);

	(void)err;
	self->is_revoke_sent = false;
	etcd_close_step(self);
}

void
etcd_lead_end(struct etcd_log *self, ot_err err)
{
	struct ot_list lost;

	self->candidacy = ETCD_IDLE;
	ot_timer_cancel(self->io, &self->lease_timer);
	ot_timer_cancel(self->io, &self->write_retry);
	etcd_lead_revoke(self, self->lease_id);
	self->lease_id = 0;
	if (self->campaign != NULL)
		write_drop(self->campaign);
	self->campaign = NULL;
	ot_list_init(&lost);
	while (!ot_list_is_empty(&self->writes)) {
		struct etcd_write *write = first_write(self);

		while (!ot_list_is_empty(&write->appends)) {
			struct ot_list *link = write->appends.next;

			ot_list_remove(link);
			ot_list_push_back(&lost, link);
		}
		write_drop(write);
	}
	end_all(&lost, err);
	end_all(&self->refused, self->refusal != OT_OK ? self->refusal : err);
	etcd_snapshot_end(self, err);
}

/* Leads no longer, for a reason of its own. The key goes with the lease; then it may begin anew. */
static void
resign(struct etcd_log *self, ot_err err)
{
	etcd_lead_end(self, err);
	etcd_tell_leader(self, -1, self->epoch, NULL);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void
send_part(struct etcd_log *self, struct etcd_write *write)
{
	struct ot_bytes all = batches_of(write);
	size_t place = (size_t)write->part_next * ETCD_PART_BYTES;
	size_t bytes = OT_MIN((size_t)all.len - place, (size_t)ETCD_PART_BYTES);
	struct etcd_key key =
	    etcd_key_part(self->prefix, write->base_offset, self->leading_epoch, write->part_next);
	const struct ot_kv_compare compare = { self->key_leader.text, OT_KV_CREATED,
		self->leader_created };
	const struct ot_kv_op op = { .type = OT_KV_PUT,
		.key = key.text,
		.value = { all.data + place, (int32_t)bytes } };

	write->txn.compares = &compare;
	write->txn.compare_count = 1;
	write->txn.then = &op;
	write->txn.then_count = 1;
	write->txn.otherwise_count = 0;
	ot_kv_txn(self->kv, &write->txn);
}

static void
send_log(struct etcd_log *self, struct etcd_write *write)
{
	const struct etcd_head head = { write->next_offset, self->leading_epoch, write->id };
	struct etcd_key key = etcd_key_log(self->prefix, write->base_offset);
	const struct ot_kv_compare compares[] = {
		{ self->key_leader.text, OT_KV_CREATED, self->leader_created },
		{ self->key_head.text, OT_KV_CHANGED, self->head_revision },
	};
	const struct ot_kv_op get = { .type = OT_KV_GET, .key = self->key_head.text };
	struct ot_kv_op puts[] = {
		{ .type = OT_KV_PUT, .key = key.text, .value = view(&write->value) },
		{ .type = OT_KV_PUT, .key = self->key_head.text },
	};
	struct ot_writer head_value, parts;

	ot_writer_init(&head_value);
	ot_writer_init(&parts);
	etcd_head_write(&head, &head_value);
	puts[1].value = view(&head_value);
	if (write->part_count > 0) {
		etcd_log_write(write->part_count, &parts);
		ot_write_i32(&parts, self->leading_epoch);
		puts[0].value = view(&parts);
	}
	write->txn.compares = compares;
	write->txn.compare_count = OT_ARRAY_COUNT(compares);
	write->txn.then = puts;
	write->txn.then_count = OT_ARRAY_COUNT(puts);
	write->txn.otherwise = &get;
	write->txn.otherwise_count = 1;
	ot_kv_txn(self->kv, &write->txn);
	ot_writer_fini(&head_value);
	ot_writer_fini(&parts);
}

static void
send_write(struct etcd_log *self, struct etcd_write *write)
{
	size_t bytes = (size_t)batches_of(write).len;

	if (!write->is_begun && bytes > ETCD_PART_BYTES)
		write->part_count = (int32_t)((bytes + ETCD_PART_BYTES - 1) / ETCD_PART_BYTES);
	write->is_begun = write->is_sent = true;
	write->is_doubted = false;
	write->txn.ms_max = ETCD_REQUEST_MS_MAX;
	if (write->part_next < write->part_count)
		send_part(self, write);
	else
		send_log(self, write);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void
write_again(struct etcd_log *self, ot_err err)
{
	if (err == OT_ERR_NO_SPACE)
		etcd_relieve(self);
	ot_timer_arm_in_ms(self->io, &self->write_retry, self->write_retry_ms);
	self->write_retry_ms = OT_MIN(self->write_retry_ms * 2, ETCD_RETRY_MS_MAX);
}

/* It is in the log, whoever says so. */
static void
write_committed(struct etcd_log *self, struct etcd_write *write, int64_t revision)
{
	struct ot_why why = { { 0 } };
	ot_err err;

	self->write_retry_ms = ETCD_RETRY_MS_MIN;
	OT_ASSERT(self->next_offset >= write->base_offset);
	/* What is told of it may end it. */
	write->is_sent = true;
	err = etcd_tell(self, batches_of(write), revision, &why);
	write->is_sent = false;
	if (err != OT_OK && !is_over(self))
		etcd_fail(self, err, why.text);
	if (write->is_lost || ot_list_is_empty(&write->appends))
		write_free(write);
	else
		OT_ASSERT(is_over(self)); /* nothing more is told; the end of all fails them */
}

/* The comparison failed: an earlier sending came through, or we lead no longer. */
static void
write_compared(struct etcd_log *self, struct etcd_write *write)
{
	bool is_log = write->part_next == write->part_count;
	const struct ot_kv_txn *txn = &write->txn;
	struct etcd_head head;

	if (is_log && txn->found[0].count > 0 &&
	    etcd_head_read(txn->found[0].pairs[0].value, &head) == OT_OK &&
	    head.write_id == write->id) {
		write_committed(self, write, txn->found[0].pairs[0].mod_revision);
		return;
	}
	write->is_doubted = true;
	etcd_tail_restart(self, false);
}

static void
on_written(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_write *write = OT_CONTAINER_OF(txn, struct etcd_write, txn);
	struct etcd_log *self = write->log;

	write->is_sent = false;
	if (write->is_lost) {
		write_free(write);
		return;
	}
	if (is_over(self))
		return;
	if (err == OT_ERR_MESSAGE_TOO_LARGE)
		resign(self, err);
	else if (err != OT_OK)
		write_again(self, err);
	else if (!txn->succeeded)
		write_compared(self, write);
	else if (write->part_next < write->part_count)
		write->part_next++;
	else
		write_committed(self, write, txn->revision);
	etcd_lead_pump(self);
}

/* What waits for the end of an epoch that cannot go on. */
static void
pump_refused(struct etcd_log *self)
{
	if (!ot_list_is_empty(&self->writes))
		return;
	if (self->candidacy == ETCD_LEADING && self->refusal != OT_OK) {
		resign(self, self->refusal);
		return;
	}
	if (self->candidacy != ETCD_LEADING)
		end_all(&self->refused,
		    self->on_closed != NULL ? OT_ERR_CLOSED : OT_ERR_NOT_CONTROLLER);
}

void
etcd_lead_pump(struct etcd_log *self)
{
	struct etcd_write *write;

	while ((write = first_write(self)) != NULL && !write->is_sent &&
	       ot_list_is_empty(&write->appends))
		write_free(write);
	pump_refused(self);
	write = first_write(self);
	if (is_over(self) || self->candidacy != ETCD_LEADING || write == NULL || write->is_sent ||
	    ot_timer_is_armed(&self->write_retry))
		return;
	if (write->is_doubted && self->tail != ETCD_TAIL_WATCH)
		return;
	if (write->base_offset != self->next_offset)
		/* Somebody else has written there. */
		resign(self, OT_ERR_NOT_CONTROLLER);
	else
		send_write(self, write);
}

static void
on_turn(struct ot_timer *timer)
{
	etcd_lead_pump(OT_CONTAINER_OF(timer, struct etcd_log, turn));
}

static void
on_write_retry(struct ot_timer *timer)
{
	etcd_lead_pump(OT_CONTAINER_OF(timer, struct etcd_log, write_retry));
}

void
etcd_lead_told(struct etcd_log *self, const struct ot_metalog_batch *batch)
{
	struct etcd_write *write = first_write(self);
	struct ot_metalog_append *append;

	if (write == NULL || self->candidacy != ETCD_LEADING || batch->epoch != self->leading_epoch)
		return;
	append = OT_LIST_FIRST(&write->appends, struct ot_metalog_append, link);
	if (append == NULL || append->base_offset != batch->base_offset)
		return;
	ot_list_remove(&append->link);
	append->on_done(append, OT_OK);
}

/* ---- appending ------------------------------------------------------------------------------ */

/* The write that takes some bytes more. */
static struct etcd_write *
write_for(struct etcd_log *self, size_t bytes)
{
	struct etcd_write *last = ot_list_is_empty(&self->writes)
	                              ? NULL
	                              : OT_CONTAINER_OF(self->writes.prev, struct etcd_write, link);

	if (last != NULL && !last->is_begun && last->value.bytes + bytes <= ETCD_VALUE_BYTES)
		return last;
	last = write_new(self, last != NULL ? last->next_offset : self->next_offset, on_written);
	ot_list_push_back(&self->writes, &last->link);
	return last;
}

static ot_err
stage(struct etcd_log *self, struct ot_metalog_append *append)
{
	struct etcd_write *write;
	struct ot_writer bytes;
	ot_err err;

	ot_writer_init(&bytes);
	err = checkpoint_build_batch(&append->records, append->base_offset, self->leading_epoch,
	    ot_io_wall(self->io), &bytes);
	if (err == OT_OK) {
		write = write_for(self, bytes.bytes);
		OT_ASSERT(write->next_offset == append->base_offset);
		if (ot_writer_reserve(&write->value, bytes.bytes)) {
			ot_write_raw(&write->value, bytes.data, bytes.bytes);
			write->next_offset += append->records.count;
			ot_list_push_back(&write->appends, &append->link);
		} else {
			write->value.failed = false; /* nothing was written */
			err = OT_ERR_NO_MEMORY;
		}
	}
	ot_writer_fini(&bytes);
	return err;
}

void
etcd_lead_append(struct etcd_log *self, struct ot_metalog_append *append)
{
	ot_err err = self->refusal;

	if (err == OT_OK && (self->candidacy != ETCD_LEADING || is_over(self) ||
				append->epoch != self->leading_epoch))
		err = OT_ERR_NOT_CONTROLLER;
	append->base_offset =
	    ot_list_is_empty(&self->writes)
		? self->next_offset
		: OT_CONTAINER_OF(self->writes.prev, struct etcd_write, link)->next_offset;
	if (err == OT_OK)
		err = stage(self, append);
	if (err != OT_OK) {
		self->refusal = self->candidacy == ETCD_LEADING ? err : self->refusal;
		ot_list_push_back(&self->refused, &append->link);
	}
	turn_soon(self);
}

/* ---- the election --------------------------------------------------------------------------- */

static ot_err
build_leader_change(struct etcd_log *self, struct etcd_write *write, int32_t epoch)
{
	const struct ot_control_place place = { .base_offset = write->base_offset,
		.leader_epoch = epoch,
		.timestamp = ot_io_wall(self->io) };
	struct ot_kraft_voter voter = { .id = self->node_id };
	const struct ot_leader_change change = {
		.leader_id = self->node_id,
		.voters = &voter,
		.voter_count = 1,
		.granting_voters = &voter,
		.granting_voter_count = 1,
	};

	write->next_offset = write->base_offset + 1;
	return ot_build_leader_change(&place, &change, &write->value);
}

static void
leader_value(struct etcd_log *self, int32_t epoch, struct ot_writer *out)
{
	struct etcd_leader leader = { .node_id = self->node_id,
		.epoch = epoch,
		.directory = self->directory,
		.port = self->port };

	memcpy(leader.host, self->host, sizeof(leader.host));
	etcd_leader_write(&leader, out);
}

static void
campaign_later(struct etcd_log *self)
{
	if (!ot_timer_is_armed(&self->campaign_retry))
		ot_timer_arm_in_ms(self->io, &self->campaign_retry, ETCD_RETRY_MS_MIN);
}

static void
on_campaigned(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_write *write = OT_CONTAINER_OF(txn, struct etcd_write, txn);
	struct etcd_log *self = write->log;
	struct ot_kv_pair pair = { .key = ot_str_from(self->key_leader.text),
		.create_revision = txn->revision,
		.mod_revision = txn->revision,
		.lease = self->lease_id };
	struct ot_why why = { { 0 } };
	struct ot_writer value;

	write->is_sent = false;
	if (write->is_lost) {
		write_free(write);
		return;
	}
	self->campaign = NULL;
	if (err == OT_ERR_NO_SPACE)
		etcd_relieve(self);
	if (err != OT_OK) {
		/* It may have gone through: reading tells. */
		etcd_tail_restart(self, true);
	} else if (!txn->succeeded) {
		campaign_later(self);
	} else {
		ot_writer_init(&value);
		leader_value(self, write->epoch, &value);
		pair.value = view(&value);
		err = etcd_tell(self, batches_of(write), txn->revision, &why);
		if (err == OT_OK)
			etcd_take_leader(self, &pair, txn->revision);
		else
			etcd_fail(self, err, why.text);
		ot_writer_fini(&value);
	}
	write_free(write);
}

static void
send_campaign(struct etcd_log *self, struct etcd_write *write)
{
	const struct etcd_head head = { write->next_offset, write->epoch, write->id };
	struct etcd_key key = etcd_key_log(self->prefix, write->base_offset);
	const struct ot_kv_compare compares[] = {
		{ self->key_leader.text, OT_KV_CREATED, 0 },
		{ self->key_head.text, OT_KV_CHANGED, self->head_revision },
		{ self->key_seed.text, OT_KV_CREATED, 0 },
	};
	struct ot_kv_op puts[] = {
		{ .type = OT_KV_PUT, .key = key.text, .value = view(&write->value) },
		{ .type = OT_KV_PUT, .key = self->key_leader.text, .lease = self->lease_id },
		{ .type = OT_KV_PUT, .key = self->key_head.text },
	};
	struct ot_writer head_value, leader;

	ot_writer_init(&head_value);
	ot_writer_init(&leader);
	etcd_head_write(&head, &head_value);
	leader_value(self, write->epoch, &leader);
	puts[1].value = view(&leader);
	puts[2].value = view(&head_value);
	write->txn.compares = compares;
	/* Whoever fills an empty prefix is not disturbed. */
	write->txn.compare_count = self->head_revision == 0 ? 3 : 2;
	write->txn.then = puts;
	write->txn.then_count = OT_ARRAY_COUNT(puts);
	write->txn.ms_max = ETCD_REQUEST_MS_MAX;
	write->is_sent = true;
	ot_kv_txn(self->kv, &write->txn);
	ot_writer_fini(&head_value);
	ot_writer_fini(&leader);
}

static void
campaign(struct etcd_log *self)
{
	struct etcd_write *write = write_new(self, self->next_offset, on_campaigned);

	write->epoch = self->epoch + 1;
	if (build_leader_change(self, write, write->epoch) != OT_OK) {
		write_free(write);
		campaign_later(self);
		return;
	}
	self->campaign = write;
	send_campaign(self, write);
}

static void
ask_lease(struct etcd_log *self, bool is_grant)
{
	int64_t ttl_ms = self->lease_ttl * 1000;

	self->is_lease_sent = true;
	self->lease_asked = ot_io_now(self->io);
	self->lease.what = is_grant ? OT_KV_GRANT : OT_KV_KEEP;
	self->lease.id = is_grant ? 0 : self->lease_id;
	self->lease.ttl = self->lease_ttl;
	/* One that hangs leaves time to ask another endpoint. */
	self->lease.ms_max = is_grant ? ETCD_REQUEST_MS_MAX : ttl_ms / LEASE_PARTS;
	ot_kv_lease(self->kv, &self->lease);
}

void
etcd_lead_consider(struct etcd_log *self)
{
	if (is_over(self) || !self->is_candidate || self->tail != ETCD_TAIL_WATCH ||
	    self->leader_created != 0 || self->campaign != NULL)
		return;
	if (self->candidacy == ETCD_CAMPAIGNING) {
		campaign(self);
	} else if (self->candidacy == ETCD_IDLE && !self->is_lease_sent) {
		self->candidacy = ETCD_GRANTING;
		ask_lease(self, true);
	}
}

static void
on_campaign_retry(struct ot_timer *timer)
{
	etcd_lead_consider(OT_CONTAINER_OF(timer, struct etcd_log, campaign_retry));
}

void
etcd_lead_begin(struct etcd_log *self, int64_t created, int32_t epoch)
{
	const struct ot_metalog_endpoint endpoint = { self->host, self->port };

	OT_ASSERT(created == self->leader_created && ot_list_is_empty(&self->writes));
	self->candidacy = ETCD_LEADING;
	self->leading_epoch = epoch;
	self->refusal = OT_OK;
	self->write_retry_ms = ETCD_RETRY_MS_MIN;
	if (self->campaign != NULL)
		write_drop(self->campaign);
	self->campaign = NULL;
	etcd_tell_leader(self, self->node_id, epoch, self->host[0] != '\0' ? &endpoint : NULL);
}

/* ---- the lease ------------------------------------------------------------------------------ */

static void
arm_lease(struct etcd_log *self, int64_t delay_ms)
{
	ot_mono_ns due = ot_io_now(self->io) + (uint64_t)delay_ms * OT_NS_PER_MS;

	ot_timer_arm(self->io, &self->lease_timer, OT_MIN(due, self->lease_deadline));
}

static void
on_granted(struct etcd_log *self, ot_err err)
{
	if (err == OT_OK && self->candidacy != ETCD_GRANTING) {
		etcd_lead_revoke(self, self->lease.id);
		etcd_lead_consider(self);
		return;
	}
	if (err != OT_OK) {
		if (err == OT_ERR_NO_SPACE)
			etcd_relieve(self);
		self->candidacy = ETCD_IDLE;
		campaign_later(self);
		return;
	}
	self->candidacy = ETCD_CAMPAIGNING;
	self->lease_id = self->lease.id;
	self->lease_deadline = self->lease_asked + (uint64_t)self->lease_ttl * 1000 * OT_NS_PER_MS;
	arm_lease(self, self->lease_ttl * 1000 / LEASE_PARTS);
	etcd_lead_consider(self);
}

static void
on_kept(struct etcd_log *self, ot_err err)
{
	if (self->lease.id != self->lease_id) {
		etcd_lead_consider(self);
		return;
	}
	if (err == OT_OK && self->lease.ttl == 0) {
		/* It has ended, and the key with it: reading tells what was written before. */
		self->lease_id = 0;
		if (self->candidacy != ETCD_LEADING)
			etcd_lead_end(self, OT_ERR_NOT_CONTROLLER);
		etcd_tail_restart(self, false);
		return;
	}
	if (err == OT_OK)
		self->lease_deadline =
		    self->lease_asked + (uint64_t)self->lease_ttl * 1000 * OT_NS_PER_MS;
	arm_lease(self, err == OT_OK ? self->lease_ttl * 1000 / LEASE_PARTS : ETCD_RETRY_MS_MIN);
}

static void
on_lease(struct ot_kv_lease *lease, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(lease, struct etcd_log, lease);

	self->is_lease_sent = false;
	if (is_over(self))
		return;
	if (lease->what == OT_KV_GRANT)
		on_granted(self, err);
	else
		on_kept(self, err);
}

static void
on_lease_due(struct ot_timer *timer)
{
	struct etcd_log *self = OT_CONTAINER_OF(timer, struct etcd_log, lease_timer);

	if (ot_io_now_exact(self->io) < self->lease_deadline) {
		if (!self->is_lease_sent && self->lease_id != 0)
			ask_lease(self, false);
		arm_lease(self, self->lease_ttl * 1000 / LEASE_PARTS);
		return;
	}
	if (self->candidacy == ETCD_LEADING)
		OT_WARN("cluster",
		    "etcd was not heard for %" PRId64 " s: this node leads the metadata log no "
		    "longer",
		    self->lease_ttl);
	/* What is under way may have been written; it is told then. */
	resign(self, OT_ERR_NOT_CONTROLLER);
}

/* ---- life ----------------------------------------------------------------------------------- */

void
etcd_lead_init(struct etcd_log *self)
{
	self->lease.on_done = on_lease;
	self->revoke.on_done = on_revoked;
	self->write_retry_ms = ETCD_RETRY_MS_MIN;
	ot_list_init(&self->writes);
	ot_list_init(&self->lost);
	ot_list_init(&self->refused);
	ot_timer_init(&self->lease_timer, on_lease_due);
	ot_timer_init(&self->campaign_retry, on_campaign_retry);
	ot_timer_init(&self->turn, on_turn);
	ot_timer_init(&self->write_retry, on_write_retry);
}

void
etcd_lead_fini(struct etcd_log *self)
{
	end_all(&self->refused, OT_ERR_CLOSED);
	while (!ot_list_is_empty(&self->lost)) {
		struct etcd_write *write = OT_LIST_FIRST(&self->lost, struct etcd_write, link);

		write->is_sent = false;
		write_free(write);
	}
	ot_timer_cancel(self->io, &self->lease_timer);
	ot_timer_cancel(self->io, &self->campaign_retry);
	ot_timer_cancel(self->io, &self->turn);
	ot_timer_cancel(self->io, &self->write_retry);
}
