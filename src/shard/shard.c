#include "shard/shard.h"

#include <stdatomic.h>

#include "base/alloc.h"

_Thread_local struct ot_shard *ot_shard_self;

static void
on_turn_end(void *arg)
{
	ot_shard_end_turn(arg);
}

static struct ot_shard *
create_shard(struct ot_shard_set *set, uint32_t index, struct ot_io *io, size_t budget_bytes_max)
{
	struct ot_shard *shard = OT_NEW(struct ot_shard);
	shard->io = io;
	shard->index = index;
	shard->set = set;
	shard->budget_bytes_max = budget_bytes_max;
	shard->outbox_first = ot_must_alloc((set->count + 1) * sizeof(struct ot_mail *));
	shard->outbox_last = ot_must_alloc((set->count + 1) * sizeof(struct ot_mail *));
	for (size_t phase = 0; phase < OT_TURN_PHASE_COUNT; phase++)
		ot_list_init(&shard->due[phase]);
	ot_list_init(&shard->budget_waiters);
	io->on_turn_end = on_turn_end;
	io->turn_arg = shard;
	return shard;
}

struct ot_shard_set *
ot_shard_set_create(uint32_t count, struct ot_io **ios, size_t budget_bytes_max)
{
	OT_ASSERT(count > 0);
	struct ot_shard_set *set = OT_NEW(struct ot_shard_set);
	set->count = count;
	set->shards = ot_must_alloc((count + 1) * sizeof(*set->shards));
	for (uint32_t i = 0; i <= count; i++)
		set->shards[i] = create_shard(set, i, ios[i], budget_bytes_max / count);
	return set;
}

void
ot_shard_set_destroy(struct ot_shard_set *set)
{
	if (set == NULL)
		return;
	for (uint32_t i = 0; i <= set->count; i++) {
		struct ot_shard *shard = set->shards[i];
		shard->io->on_turn_end = NULL;
		ot_free(shard->outbox_first);
		ot_free(shard->outbox_last);
		ot_free(shard);
	}
	ot_free(set->shards);
	ot_free(set);
}

struct ot_shard *
ot_shard_control(const struct ot_shard_set *set)
{
	return set->shards[set->count];
}

void
ot_shard_enter(struct ot_shard *shard)
{
	ot_shard_self = shard;
}

/* ---- messages ----------------------------------------------------------------------------- */

/* Puts a chain (newest first, `oldest` its last) on top of the receiver's mailbox. */
static void
publish(struct ot_shard *to, struct ot_mail *newest, struct ot_mail *oldest)
{
	struct ot_mail *top = atomic_load_explicit(&to->mailbox, memory_order_relaxed);
	do {
		oldest->next = top;
	} while (!atomic_compare_exchange_weak(&to->mailbox, &top, newest));
	if (atomic_exchange(&to->is_asleep, false))
		ot_io_ring(to->io);
}

void
ot_shard_post(struct ot_shard *to, struct ot_mail *mail)
{
	OT_ASSERT(mail->deliver != NULL);
	struct ot_shard *from = ot_shard_self;
	if (from == NULL || from->set != to->set) {
		publish(to, mail, mail);
		return;
	}
	mail->next = from->outbox_first[to->index];
	if (mail->next == NULL)
		from->outbox_last[to->index] = mail;
	from->outbox_first[to->index] = mail;
}

static void
publish_outboxes(struct ot_shard *shard)
{
	for (uint32_t i = 0; i <= shard->set->count; i++) {
		struct ot_mail *newest = shard->outbox_first[i];
		if (newest == NULL)
			continue;
		struct ot_mail *oldest = shard->outbox_last[i];
		shard->outbox_first[i] = shard->outbox_last[i] = NULL;
		publish(shard->set->shards[i], newest, oldest);
	}
}

/* Takes the whole mailbox and delivers it oldest first. */
static bool
drain_mailbox(struct ot_shard *shard)
{
	if (atomic_load_explicit(&shard->mailbox, memory_order_relaxed) == NULL)
		return false;
	struct ot_mail *newest = atomic_exchange(&shard->mailbox, NULL);
	struct ot_mail *oldest = NULL;
	while (newest != NULL) {
		struct ot_mail *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest != NULL) {
		struct ot_mail *next = oldest->next;
		oldest->deliver(oldest);
		oldest = next;
	}
	return true;
}

/* ---- the end of a turn -------------------------------------------------------------------- */

void
ot_turn_work_init(struct ot_turn_work *work, void (*run)(struct ot_turn_work *work))
{
	ot_list_init(&work->link);
	work->run = run;
}

void
ot_shard_defer(struct ot_shard *shard, struct ot_turn_work *work, enum ot_turn_phase phase)
{
	OT_ON_SHARD(shard);
	if (ot_list_is_empty(&work->link))
		ot_list_push_back(&shard->due[phase], &work->link);
}

void
ot_turn_work_cancel(struct ot_turn_work *work)
{
	ot_list_remove(&work->link);
}

static bool
run_phase(struct ot_shard *shard, enum ot_turn_phase phase)
{
	struct ot_list *due = &shard->due[phase];
	bool did_any = false;
	while (!ot_list_is_empty(due)) {
		struct ot_turn_work *work = OT_LIST_FIRST(due, struct ot_turn_work, link);
		ot_list_remove(&work->link);
		work->run(work);
		did_any = true;
	}
	return did_any;
}

static bool
admit_waiters(struct ot_shard *shard)
{
	bool did_any = false;
	while (!ot_list_is_empty(&shard->budget_waiters)) {
		struct ot_budget_waiter *waiter =
		    OT_LIST_FIRST(&shard->budget_waiters, struct ot_budget_waiter, link);
		if (!ot_budget_take(shard, waiter->bytes))
			return did_any;
		ot_list_remove(&waiter->link);
		waiter->on_room(waiter);
		did_any = true;
	}
	atomic_store(&shard->is_budget_waited_for, false);
	return did_any;
}

static void
note_turn(struct ot_shard *shard)
{
	ot_mono_ns began = ot_io_now(shard->io);
	ot_mono_ns took = ot_io_now_exact(shard->io) - began;
	shard->turn_count++;
	if (took > OT_TURN_SLOW_NS)
		shard->turn_slow_count++;
	shard->turn_ns_longest = OT_MAX(shard->turn_ns_longest, took);
}

void
ot_shard_end_turn(struct ot_shard *shard)
{
	OT_ON_SHARD(shard);
	atomic_store_explicit(&shard->is_asleep, false, memory_order_relaxed);
	for (;;) {
		bool did_any = drain_mailbox(shard);
		did_any |= run_phase(shard, OT_TURN_APPEND);
		did_any |= run_phase(shard, OT_TURN_SEND);
		if (!ot_list_is_empty(&shard->budget_waiters))
			did_any |= admit_waiters(shard);
		publish_outboxes(shard);
		if (did_any)
			continue;
		/* See README.md, Sleeping: store, then look again. */
		atomic_store(&shard->is_asleep, true);
		if (atomic_load(&shard->mailbox) == NULL)
			break;
		atomic_store_explicit(&shard->is_asleep, false, memory_order_relaxed);
	}
	note_turn(shard);
}

/* ---- memory ------------------------------------------------------------------------------- */

bool
ot_budget_take(struct ot_shard *shard, size_t bytes)
{
	size_t used = atomic_load(&shard->budget_bytes_used);
	do {
		if (used != 0 && used + bytes > shard->budget_bytes_max)
			return false;
	} while (!atomic_compare_exchange_weak(&shard->budget_bytes_used, &used, used + bytes));
	return true;
}

void
ot_budget_charge(struct ot_shard *shard, size_t bytes)
{
	atomic_fetch_add(&shard->budget_bytes_used, bytes);
}

void
ot_budget_give(struct ot_shard *shard, size_t bytes)
{
	size_t before = atomic_fetch_sub(&shard->budget_bytes_used, bytes);
	OT_ASSERT(before >= bytes);
	if (atomic_load(&shard->is_budget_waited_for) && ot_shard_self != shard)
		ot_io_ring(shard->io);
}

void
ot_budget_wait(struct ot_shard *shard, struct ot_budget_waiter *waiter, size_t bytes,
    void (*on_room)(struct ot_budget_waiter *waiter))
{
	OT_ON_SHARD(shard);
	waiter->bytes = bytes;
	waiter->on_room = on_room;
	ot_list_push_back(&shard->budget_waiters, &waiter->link);
	/* From now on a giver rings; what was given just before is seen at the end of this turn. */
	atomic_store(&shard->is_budget_waited_for, true);
}

void
ot_budget_wait_cancel(struct ot_budget_waiter *waiter)
{
	if (waiter->on_room != NULL)
		ot_list_remove(&waiter->link);
	waiter->on_room = NULL;
}

bool
ot_budget_is_waited_for(const struct ot_shard *shard)
{
	return !ot_list_is_empty(&shard->budget_waiters);
}
