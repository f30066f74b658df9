/* Engine `sim` of the metadata log: one linearizable store for all brokers of a simulated world.
 *
 * The store is no machine of the world; it has no faults of its own but those that it is told to
 * have. What it holds is a list of facts in one order: committed batches, and who leads. Between it
 * and each process there are two ways, each in order, with delays; either can be cut, and single
 * requests and answers get lost. A process that leads holds a lease, which it renews and which the
 * store ends when it is not renewed. An append is taken only if the lease is its sender's in the
 * epoch that it names, and if it begins where the log ends.
 *
 *   process                          store
 *   CAMPAIGN  ----------------->     nobody has the lease: a new epoch, an empty batch, LEADER
 *   APPEND    ----------------->     taken: a fact; else REFUSED back
 *   RENEW     ----------------->     RENEWED back, if the lease is still its own
 *   REVOKE    ----------------->     LEADER: nobody
 *   facts     <-----------------     everything, in order, from the newest snapshot on
 *
 * So the outcome of an append is not known to a process that is cut off: its lease runs out by its
 * own clock, its appends fail, and what the store had taken of them is told later, as a fact, to it
 * too.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_METALOG_SIM_H
#define OT_TEST_SIM_METALOG_SIM_H

#include "cluster/metalog.h"
#include "sim/world.h"

struct metalog_store;

struct metalog_store_conf {
	uint64_t seed;
	int64_t lease_ms;
	uint64_t delay_us_least; /* of a message, each way */
	uint64_t delay_us_most;
	uint64_t spike_ms_most; /* what a delayed one takes more */
	uint32_t spike;         /* messages in a million that are so delayed */
	uint32_t lost;          /* requests and answers in a million that never arrive; no facts */
};

extern const struct metalog_store_conf metalog_store_conf_default;

/* An empty log. */
struct metalog_store *metalog_store_create(struct ot_sim_world *world,
    const struct metalog_store_conf *conf) OT_MUST_USE;

/* All engines must have been closed, and the world must not run any more. Accepts NULL. */
void metalog_store_destroy(struct metalog_store *store);

/* Calls back in the moment in which a batch is taken, before anybody can know of it. */
void metalog_store_on_append(struct metalog_store *store, void (*on_append)(void *arg), void *arg);

/* Another behaviour from now on; seed and lease stay. */
void metalog_store_set_conf(struct metalog_store *store, const struct metalog_store_conf *conf);

/* ---- faults --------------------------------------------------------------------------------- */

/* Nothing passes between a node (0..63) and the store any more, one way or both; it waits there. */
void metalog_store_cut(struct metalog_store *store, int32_t node_id, bool to_store,
    bool from_store);

/* Nothing passes between anyone and the store. */
void metalog_store_set_outage(struct metalog_store *store, bool is_out);

/* Appends are refused with this error; OT_OK: they are taken again. */
void metalog_store_refuse(struct metalog_store *store, ot_err err);

/* Ends the lease of whoever leads, now. */
void metalog_store_depose(struct metalog_store *store);

/* All of it is over. */
void metalog_store_heal(struct metalog_store *store);

/* ---- looking at it -------------------------------------------------------------------------- */

int64_t metalog_store_end_offset(const struct metalog_store *store);
int64_t metalog_store_start_offset(const struct metalog_store *store); /* of the snapshot, or 0 */
int32_t metalog_store_leader_id(const struct metalog_store *store);    /* -1: nobody */
int32_t metalog_store_epoch(const struct metalog_store *store);
uint64_t metalog_store_snapshot_count(const struct metalog_store *store);

/* All facts since the beginning, snapshots or not, in their order. Gives false where the fact is no
 * batch; memory of the views is the arena's, of the records the store's. */
uint64_t metalog_store_fact_count(const struct metalog_store *store);
bool metalog_store_batch(const struct metalog_store *store, uint64_t place, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch);

/* The newest snapshot; false when there is none. */
bool metalog_store_snapshot(const struct metalog_store *store, struct ot_metalog_id *ret_id,
    const struct ot_metadata_records **ret_records);

/* ---- the engine ----------------------------------------------------------------------------- */

struct metalog_sim_args {
	struct metalog_store *store;
	struct ot_io *io;
	int32_t node_id;                     /* 0..63 */
	bool is_candidate;                   /* may lead */
	struct ot_metalog_endpoint endpoint; /* of its control listener; host NULL: it has none */
};

struct ot_metalog *metalog_sim_create(const struct metalog_sim_args *args) OT_MUST_USE;

#endif
