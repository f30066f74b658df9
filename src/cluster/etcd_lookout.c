/* Engine `etcd`: whoever may lead keeps an idle connection to the one who leads. When that process
 * ends, the host it ran on closes the connection and refuses the next: then its lead is ended at
 * once, instead of with its lease. A host that is silent, cut off or stopped is waited for as long
 * as the lease says.
 *
 *   LOOKING UP (a worker) -> CONNECTING -> UP --closed--> CONNECTING --refused, twice--> the key
 * goes
 *
 * That is safe whoever is wrong: the key that is deleted is the very one that was seen, each write
 * of its owner compares it, and a leader that lives notices and stands again.
 */
#include "cluster/etcd_int.h"

#include "base/alloc.h"
#include "base/report.h"

enum {
	LOOKOUT_ADDRESSES_MAX = 4,
	LOOKOUT_AGAIN_MS = 10,
	LOOKOUT_DEPOSE_MS = 100, /* between two attempts */
	LOOKOUT_NEVER_MS = 2000, /* between attempts to reach one that was never reached */
	LOOKOUT_REFUSALS = 2,    /* in a row */
	LOOKOUT_TXN_MS_MAX = 1000,
};

struct etcd_lookout {
	struct etcd_log *log; /* NULL: nobody waits for the job any more */
	struct ot_job job;
	bool is_looking_up;
	char host[256];
	uint16_t port;
	struct ot_address addresses[LOOKOUT_ADDRESSES_MAX];
	size_t address_count;
	size_t turn; /* which of them is tried */
	struct ot_stream *stream;
	bool is_up;
	bool was_up;
	int refusals;
	struct ot_timer timer;
};

static void connect_again(struct etcd_lookout *lookout);

static void
drop_stream(struct etcd_lookout *lookout)
{
	if (lookout->stream != NULL)
		ot_stream_close(lookout->stream);
	lookout->stream = NULL;
	lookout->is_up = false;
}

/* ---- ending a lead -------------------------------------------------------------------------- */

static void
on_deposed(struct ot_kv_txn *txn, ot_err err)
{
	struct etcd_log *self = OT_CONTAINER_OF(txn, struct etcd_log, depose_txn);

	self->is_depose_sent = false;
	if (err == OT_OK && txn->succeeded)
		OT_INFO("cluster", "the active controller's process has ended: another is elected");
}

static void
depose(struct etcd_log *self)
{
	const struct ot_kv_compare compare = { self->key_leader.text, OT_KV_CREATED,
		self->leader_created };
	const struct ot_kv_op op = { .type = OT_KV_DELETE, .key = self->key_leader.text };

	if (self->is_depose_sent || self->leader_created == 0)
		return;
	self->is_depose_sent = true;
	self->depose_txn = (struct ot_kv_txn){ .compares = &compare,
		.compare_count = 1,
		.then = &op,
		.then_count = 1,
		.ms_max = LOOKOUT_TXN_MS_MAX,
		.on_done = on_deposed };
	ot_kv_txn(self->kv, &self->depose_txn);
}

/* ---- the connection ------------------------------------------------------------------------- */

static void
failed(struct etcd_lookout *lookout)
{
	struct ot_io *io = lookout->log->io;

	drop_stream(lookout);
	lookout->turn++;
	if (!lookout->was_up) {
		ot_timer_arm_in_ms(io, &lookout->timer, LOOKOUT_NEVER_MS);
		return;
	}
	if (++lookout->refusals < LOOKOUT_REFUSALS) {
		ot_timer_arm_in_ms(io, &lookout->timer, LOOKOUT_AGAIN_MS);
		return;
	}
	depose(lookout->log);
	ot_timer_arm_in_ms(io, &lookout->timer, LOOKOUT_DEPOSE_MS);
}

/* Nothing is sent to us; what can be read is the end, or why there was no beginning. */
static void
look(struct etcd_lookout *lookout)
{
	char bytes[64];
	struct iovec piece = { bytes, sizeof(bytes) };
	size_t count;
	ot_err err = ot_stream_read(lookout->stream, &piece, 1, &count);

	if (err == OT_OK || err == OT_ERR_AGAIN) {
		lookout->is_up = lookout->was_up = true;
		lookout->refusals = 0;
		ot_stream_want(lookout->stream, true, false);
	} else if (lookout->is_up) {
		drop_stream(lookout);
		ot_timer_arm_in_ms(lookout->log->io, &lookout->timer, 0);
	} else {
		failed(lookout);
	}
}

static void
on_event(void *arg)
{
	look(arg);
}

static const struct ot_stream_events lookout_events = { on_event, on_event };

static void
connect_again(struct etcd_lookout *lookout)
{
	struct ot_address *address = &lookout->addresses[lookout->turn % lookout->address_count];

	if (ot_io_connect(lookout->log->io, address, &lookout_events, lookout, &lookout->stream) !=
	    OT_OK) {
		lookout->stream = NULL;
		failed(lookout);
	}
}

static void
on_timer(struct ot_timer *timer)
{
	connect_again(OT_CONTAINER_OF(timer, struct etcd_lookout, timer));
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
on_work(struct ot_job *job)
{
	struct etcd_lookout *lookout = OT_CONTAINER_OF(job, struct etcd_lookout, job);

	lookout->address_count =
	    ot_io_resolve(lookout->host, lookout->port, lookout->addresses, LOOKOUT_ADDRESSES_MAX);
}

static void
on_worked(struct ot_job *job)
{
	struct etcd_lookout *lookout = OT_CONTAINER_OF(job, struct etcd_lookout, job);

	lookout->is_looking_up = false;
	if (lookout->log == NULL)
		ot_free(lookout);
	else if (lookout->address_count > 0)
		connect_again(lookout);
}

void
etcd_lookout_end(struct etcd_log *self)
{
	struct etcd_lookout *lookout = self->lookout;

	if (lookout == NULL)
		return;
	self->lookout = NULL;
	drop_stream(lookout);
	ot_timer_cancel(self->io, &lookout->timer);
	lookout->log = NULL;
	if (!lookout->is_looking_up)
		ot_free(lookout);
}

void
etcd_lookout_begin(struct etcd_log *self, const struct etcd_leader *leader)
{
	struct etcd_lookout *lookout;
	struct ot_text host;

	etcd_lookout_end(self);
	if (!self->is_candidate || leader->host[0] == '\0' || leader->port == 0)
		return;
	lookout = OT_NEW(struct etcd_lookout);
	host = OT_TEXT(lookout->host);
	lookout->log = self;
	ot_text_put(&host, "%s", leader->host);
	lookout->port = leader->port;
	ot_timer_init(&lookout->timer, on_timer);
	lookout->job = (struct ot_job){ on_work, on_worked };
	lookout->is_looking_up = true;
	self->lookout = lookout;
	ot_io_submit(self->io, &lookout->job);
}
