/* One simulation: a cluster, the model clients around it, what happened, and the plan. */
#ifndef OT_TEST_SIM_SIM_H
#define OT_TEST_SIM_SIM_H

#include "cluster.h"
#include "history.h"
#include "ledger.h"
#include "oracle.h"

enum { SIM_TOPICS_MAX = 4, SIM_USERS_MAX = 6 };

/* A topic that stays from the beginning to the end. */
struct sim_topic {
	char name[24];
	int32_t partition_count;
	int16_t replication_factor;
	int32_t min_isr;
	bool is_flushed;
	int32_t segment_bytes;
};

/* What the seed decides before anything runs. */
struct sim_plan {
	uint64_t seed;
	int32_t broker_count;
	int32_t factor_most; /* replicas; 0: no bound */
	int32_t controller_count;
	uint32_t shard_count;
	bool is_local;
	int32_t topic_count;
	struct sim_topic topics[SIM_TOPICS_MAX];
	int32_t user_count;
	int32_t group_count;
	int32_t offsets_partition_count; /* of __consumer_offsets */
	uint64_t fault_ms;               /* how long faults go on */
	uint32_t faults;                 /* a mask of 1 << enum sim_fault */
	uint64_t pause_ms;               /* between two faults, on the average */
	int32_t down_most;               /* brokers that faults take down at once */
	int64_t session_ms;
	int64_t lease_ms;     /* of the metadata log */
	uint64_t fault_limit; /* no more faults than that */
	char settings[1500];
};

struct user;
struct faults;

struct sim {
	struct sim_plan plan;
	struct cluster cluster;
	struct ot_sim_world *world; /* the cluster's */
	struct history *history;
	struct ledger *ledger;
	struct oracle *oracle;
	struct faults *all_faults;
	struct oracle_topic oracle_topics[HISTORY_TOPICS_MAX];
	struct user *users[SIM_USERS_MAX];
	bool is_calm;   /* no faults begin */
	bool is_quiet;  /* producers begin nothing new */
	bool is_ending; /* what is down stays down */
	bool is_verbose;
	uint64_t fault_count;
};

static inline uint64_t
sim_now_ms(const struct sim *sim)
{
	return ot_sim_world_now(sim->world) / OT_NS_PER_MS;
}

static inline struct history_place
sim_place(int32_t topic, int32_t partition)
{
	return (struct history_place){ topic, partition };
}

#endif
