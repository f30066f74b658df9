/* The machines of a simulated cluster, each with a broker on it: production's objects on the
 * simulated doors, as src/broker/server.c puts them together on the host's.
 *
 * What a supervisor does for a process is done here: a broker that has ended goes, and starts again
 * when the scenario says so. All brokers share the store of the metadata log (metalog_sim.h); a
 * cluster of one broker can have the engine `local` instead.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_CLUSTER_H
#define OT_TEST_SIM_CLUSTER_H

#include "broker/life_int.h"
#include "metalog_sim.h"
#include "sim/sim_io.h"

enum {
	CLUSTER_BROKERS_MAX = 7,
	CLUSTER_SHARDS_MAX = 3,
	CLUSTER_PORT = 9092,
	CLUSTER_CONTROL_PORT = 9093,
	CLUSTER_SETTINGS_BYTES = 4000,
};

struct cluster;

struct cluster_broker {
	struct cluster *cluster;
	int32_t id; /* 1 to 7 */
	char address[24];
	struct ot_sim_host *host;
	struct ot_io *ios[CLUSTER_SHARDS_MAX + 1];
	struct ot_shard_set *set;
	struct ot_settings *settings;
	struct broker *broker; /* NULL: it does not run */
	bool is_ready;
	bool is_stopped; /* its objects wait to be freed */
	ot_err err;      /* of the last stop */
	char why[200];
	uint32_t starts;
	uint32_t failures; /* it did not start, or stopped by itself */
	bool has_lost_power;
};

struct cluster_conf {
	uint64_t seed;
	int32_t broker_count;
	int32_t controller_count; /* those with the least ids may lead the metadata log */
	uint32_t shard_count;
	bool is_local; /* engine `local`; one broker */
	struct metalog_store_conf store;
	const char *settings; /* lines of every broker's property file */

	/* A machine has lost its power or its process was killed; its objects are gone. */
	void (*on_crash)(void *arg, struct cluster_broker *broker, bool is_power_lost);
	/* A broker could not start, or stopped by itself. */
	void (*on_failure)(void *arg, struct cluster_broker *broker, ot_err err, const char *why);
	void *arg;
};

struct cluster {
	struct ot_sim_world *world; /* the cluster's */
	struct metalog_store *store;
	struct cluster_conf conf;
	struct cluster_broker brokers[CLUSTER_BROKERS_MAX];
	bool is_stopping; /* crashes tell nobody */
};

void cluster_init(struct cluster *cluster, const struct cluster_conf *conf);

/* Stops everything, by force where it must. The clients' machines must be idle. */
void cluster_fini(struct cluster *cluster);

/* Begins to start a broker, on a machine that may have crashed; nothing if it runs. */
void cluster_start(struct cluster *cluster, int32_t id);

/* Begins an orderly stop; nothing if it does not run. */
void cluster_stop(struct cluster *cluster, int32_t id);

/* Ends it at once: killed, or without power. Nothing if it is down. */
void cluster_crash(struct cluster *cluster, int32_t id, enum ot_sim_stop how);

/* Frees brokers that have stopped. To be called from outside of all threads, often. */
void cluster_tick(struct cluster *cluster);

struct cluster_broker *cluster_broker(struct cluster *cluster, int32_t id);
bool cluster_is_running(const struct cluster_broker *broker); /* objects exist, starting or not */

#endif
