/* A process of model clients on a machine of its own: connections, what it knows of the cluster,
 * and the clients in it.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_USER_H
#define OT_TEST_SIM_USER_H

#include "peers.h"
#include "sim.h"

enum { USER_TIMEOUT_MS = 8000 };

struct user;

/* A client in the process; its own type begins with this. */
struct client {
	struct ot_list link; /* the user's */
	struct user *user;
	struct peers *peers; /* its own connections: what waits in one is in nobody else's way */
	void (*stop)(struct client *client); /* cancels timers and frees it; no callback follows */
	/* Whether it has nothing to do any more; else what it waits for. */
	bool (*is_idle)(const struct client *client, char *why, size_t bytes);
	const char *what;
};

struct user_partition {
	int32_t leader; /* -1: nobody, or not known */
	int32_t epoch;
};

struct user_topic {
	bool is_known;
	struct ot_uuid id;
	struct user_partition partitions[HISTORY_PARTITIONS_MAX];
};

struct user {
	struct sim *sim;
	int32_t index;
	char name[16];
	struct ot_sim_host *host;
	struct ot_io *io;
	struct peers *peers; /* for questions about the cluster */
	struct ot_sim_random random;
	struct ot_list clients;
	struct user_topic topics[SIM_TOPICS_MAX];
	struct ot_timer refresh;
	bool is_refreshing;
	bool is_refresh_soon;
};

struct user *user_create(struct sim *sim, int32_t index) OT_MUST_USE;

/* Ends it with all its clients. Accepts NULL. */
void user_destroy(struct user *user);

void user_add(struct user *user, struct client *client);

/* Asks the cluster again who leads, soon. */
void user_refresh(struct user *user);

/* Who leads as far as it knows; -1 asks for a refresh. */
int32_t user_leader(struct user *user, struct history_place place);

/* Any broker of the cluster. */
int32_t user_any_broker(struct user *user);

/* Its connections end, and those of its clients. */
void user_reset(struct user *user);

/* Sends a client's request to a broker; see peers_call(). */
void client_call(struct client *client, int32_t broker_id, int16_t api, int16_t version,
    const void *request, peers_done *done, void *arg);

/* An error that clients meet with patience. */
bool user_is_retriable(int16_t code);

uint64_t user_between(struct user *user, uint64_t least, uint64_t most);
bool user_chance(struct user *user, uint32_t percent);

/* ---- clients -------------------------------------------------------------------------------- */

struct producer_conf {
	int32_t id; /* in the history */
	struct history_place place;
	int16_t acks;
	bool is_idempotent; /* with acks=all */
	int32_t window;     /* batches under way, 1 to 5 */
	uint64_t pause_ms_most;
};

void producer_start(struct user *user, const struct producer_conf *conf);

/* Reads a partition from its start, for ever. */
void consumer_start(struct user *user, struct history_place place);

/* Reads a partition from its start to where its end is when that is reached, for the last checks.
 */
void verifier_start(struct user *user, struct history_place place);

/* A member of a consumer group that shares the partitions of a topic. */
void member_start(struct user *user, int32_t group, int32_t topic);

/* Creates the topics of the plan, then has nothing to do. */
void creator_start(struct user *user);

#endif
