/* Shards: the threads that own things, and the messages between them. See README.md. */
#ifndef OT_SHARD_SHARD_H
#define OT_SHARD_SHARD_H

#include "base/list.h"
#include "base/panic.h"
#include "io/io.h"

struct ot_shard;

/* Embedded first thing in a typed message. The receiver owns the message once it is delivered. */
struct ot_mail {
	struct ot_mail *next; /* the mailbox's */
	void (*deliver)(struct ot_mail *mail);
};

/* Work for the end of this turn, embedded in the object that wants it. */
enum ot_turn_phase {
	OT_TURN_APPEND, /* write what was staged to logs */
	OT_TURN_SEND,   /* write what was queued to connections */
	OT_TURN_PHASE_COUNT,
};

struct ot_turn_work {
	struct ot_list link; /* empty when not due */
	void (*run)(struct ot_turn_work *work);
};

/* Someone who waits for the shard's memory budget. */
struct ot_budget_waiter {
	struct ot_list link;
	size_t bytes;
	void (*on_room)(struct ot_budget_waiter *waiter); /* the bytes have been taken for it */
};

struct ot_shard_set {
	uint32_t count; /* [const] shards that own partitions; the control thread comes on top */
	struct ot_shard **shards; /* [const] count + 1 of them; the last is the control thread's */
};

struct ot_shard {
	struct ot_io *io;         /* [const] */
	uint32_t index;           /* [const] in the set; count for the control thread */
	struct ot_shard_set *set; /* [const] */
	void *user;               /* [const] what the rooms above keep per shard */

	_Atomic(struct ot_mail *) mailbox; /* [atomic] last posted first */
	_Atomic bool is_asleep;            /* [atomic] */
	struct ot_mail **outbox_first;     /* [owner] by receiver's index, last posted first */
	struct ot_mail **outbox_last;      /* [owner] the one posted first */

	struct ot_list due[OT_TURN_PHASE_COUNT]; /* [owner] of ot_turn_work */

	size_t budget_bytes_max;           /* [const] */
	_Atomic size_t budget_bytes_used;  /* [atomic] given back from any thread */
	_Atomic bool is_budget_waited_for; /* [atomic] a giver rings then */
	struct ot_list budget_waiters;     /* [owner] */

	uint64_t turn_count;        /* [owner] */
	uint64_t turn_slow_count;   /* [owner] turns longer than OT_TURN_SLOW_NS */
	ot_mono_ns turn_ns_longest; /* [owner] */
};

enum { OT_TURN_SLOW_NS = 5 * OT_NS_PER_MS };

/* The shard of the running thread; NULL on workers and in tests that set none. */
extern _Thread_local struct ot_shard *ot_shard_self;

#define OT_ON_SHARD(shard) OT_ASSERT((shard) == ot_shard_self)

/* Builds the set: `count` shards and the control thread's, on the given doors (count + 1).
 * @owner the creating thread, before the threads run */
struct ot_shard_set *ot_shard_set_create(uint32_t count, struct ot_io **ios,
    size_t budget_bytes_max);

/* Undelivered messages are lost. @owner the creating thread, after the threads ended */
void ot_shard_set_destroy(struct ot_shard_set *set);

/* @owner any thread */
struct ot_shard *ot_shard_control(const struct ot_shard_set *set);

/* Makes the running thread the shard's. @owner the thread that will run the shard's loop */
void ot_shard_enter(struct ot_shard *shard);

/* Delivers `mail` on the receiver's thread, after this turn; also to oneself. Takes the message
 * over.
 * @owner any shard, or a thread that is none (published at once)   @blocks never */
void ot_shard_post(struct ot_shard *to, struct ot_mail *mail);

/* Runs `work` once at the end of this turn; harmless when it is due already.
 * @owner the shard of the running thread */
void ot_turn_work_init(struct ot_turn_work *work, void (*run)(struct ot_turn_work *work));
void ot_shard_defer(struct ot_shard *shard, struct ot_turn_work *work, enum ot_turn_phase phase);
void ot_turn_work_cancel(struct ot_turn_work *work);

/* What a loop calls before it waits; tests that drive shards by hand call it themselves.
 * @owner shard   @blocks never */
void ot_shard_end_turn(struct ot_shard *shard);

/* Takes `bytes` of the budget; false when they are not there. A first taker always gets its bytes,
 * however many, so that one large frame cannot wait forever. @owner shard */
OT_MUST_USE bool ot_budget_take(struct ot_shard *shard, size_t bytes);

/* Takes `bytes` whether they are there or not, for what exists already: who comes next waits
 * longer.
 * @owner shard   @blocks never */
void ot_budget_charge(struct ot_shard *shard, size_t bytes);

/* Gives back. @owner any thread   @blocks never */
void ot_budget_give(struct ot_shard *shard, size_t bytes);

/* Waits in line for `bytes`. Cancel before the waiter goes. @owner shard */
void ot_budget_wait(struct ot_shard *shard, struct ot_budget_waiter *waiter, size_t bytes,
    void (*on_room)(struct ot_budget_waiter *waiter));
void ot_budget_wait_cancel(struct ot_budget_waiter *waiter);

/* Whether anyone waits in line. @owner shard   @blocks never */
bool ot_budget_is_waited_for(const struct ot_shard *shard);

#endif
