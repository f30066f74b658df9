/* What the store and its engines are made of. Inside metalog_sim.c and metalog_sim_look.c. */
#ifndef OT_TEST_SIM_METALOG_SIM_INT_H
#define OT_TEST_SIM_METALOG_SIM_INT_H

#include "metalog_sim.h"

enum { NODES_MAX = 64, HOST_BYTES = 64 };

enum fact_kind { FACT_BATCH, FACT_LEADER };

struct fact {
	enum fact_kind kind;
	int32_t epoch;

	/* A batch. */
	int64_t base_offset;
	int64_t next_offset;
	ot_wall_ms timestamp;
	struct ot_metadata_records records; /* none: the batch that begins an epoch */

	/* A leader; -1: nobody. */
	int32_t leader_id;
	uint64_t engine_id;
	ot_mono_ns sent; /* the campaign, by the leader's own clock */
	char host[HOST_BYTES];
	uint16_t port;
};

enum message_kind {
	TO_STORE_CAMPAIGN,
	TO_STORE_RENEW,
	TO_STORE_REVOKE,
	TO_STORE_APPEND,
	TO_STORE_SNAPSHOT,
	TO_ENGINE_RENEWED,
	TO_ENGINE_REFUSED,
	TO_ENGINE_SNAPSHOT_DONE,
	TO_ENGINE_FACTS, /* there are new ones: as many as there are when it arrives */
};

struct message {
	struct ot_list link; /* in the store's messages, held ones, or an inbox */
	struct metalog_store *store;
	enum message_kind kind;
	int32_t node_id;
	uint64_t engine_id;
	int32_t epoch;
	ot_mono_ns sent;
	int64_t base_offset; /* of an append; the end of a snapshot; how many facts */
	ot_wall_ms timestamp;
	struct ot_metadata_records records;
	char host[HOST_BYTES];
	uint16_t port;
	ot_err err;
};

/* One way between one process and the store. */
struct way {
	ot_mono_ns last_at;  /* the arrival of the message sent last */
	struct ot_list held; /* arrived where nothing passes */
};

struct engine;

struct metalog_store {
	struct ot_sim_world *world;
	struct metalog_store_conf conf;
	struct ot_sim_random random;
	struct ot_list engines;
	uint64_t next_engine_id;
	struct ot_list messages; /* on their way */
	struct ot_list held;     /* of processes that are gone, to the store */

	struct fact **facts; /* all since the beginning */
	size_t fact_count;
	size_t fact_capacity;
	size_t first;       /* facts before it are in the snapshot */
	size_t leader_fact; /* the newest; SIZE_MAX: none yet */
	int64_t end_offset;
	int32_t epoch;
	uint64_t bytes; /* of batches behind the snapshot */

	bool has_leader;
	uint64_t leader_engine_id;
	ot_mono_ns lease_until;
	bool is_expiry_planned;

	struct ot_metalog_id snapshot_id;
	ot_wall_ms snapshot_timestamp;
	struct ot_metadata_records snapshot;
	uint64_t snapshot_count;

	uint64_t cut_to;   /* a bit for each node */
	uint64_t cut_from; /* the same */
	bool is_out;
	ot_err refusal;
	void (*on_append)(void *arg); /* NULL: nobody wants to know */
	void *on_append_arg;
};

struct engine {
	struct ot_metalog base;
	struct ot_list link; /* in the store's engines */
	struct metalog_store *store;
	struct ot_io *io;
	uint64_t id;
	int32_t node_id;
	bool is_candidate;
	char host[HOST_BYTES];
	uint16_t port;
	const struct ot_metalog_events *events;
	void *arg;

	struct way to_store, from_store;
	struct ot_list inbox;
	struct ot_timer turn;
	bool are_facts_sent; /* a message FACTS is on its way */

	size_t next_fact; /* to be told */
	bool has_begun;   /* told from the newest snapshot on */
	int64_t told_offset;
	bool is_leader_known; /* somebody leads, as far as it was told */

	bool is_leading;
	int32_t epoch; /* in which it leads, or the newest it was told of */
	int64_t append_end;
	ot_mono_ns valid_until; /* the lease, by our clock */
	struct ot_timer lease;
	struct ot_timer renew;
	struct ot_timer campaign;
	struct ot_list appends; /* sent, not told */
	struct ot_list refused; /* to be failed in the next turn */
	ot_mono_ns oldest_sent; /* of appends */

	struct ot_metalog_snapshot *snapshot;
	struct ot_job snapshot_job;
	struct ot_metadata_records pieces;
	ot_err snapshot_err;
	bool is_snapshot_running;
	bool is_snapshot_sent;

	struct ot_job close_job;
	void (*on_closed)(void *arg); /* set: it is to be closed */
	void *closed_arg;
};

/* The batch of a fact; memory of the views is the arena's, of the records the fact's. */
void metalog_fill_batch(const struct fact *fact, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch);

#endif
