/* A process of model clients: what they share. */
#include "user.h"

#include <stdio.h>

#include "base/alloc.h"
#include "wire/msg_metadata.h"

enum { REFRESH_MS = 50, REFRESH_REGULAR_MS = 3000, METADATA_API = 3, METADATA_VERSION = 12 };

uint64_t
user_between(struct user *user, uint64_t least, uint64_t most)
{
	return ot_sim_random_between(&user->random, least, most);
}

bool
user_chance(struct user *user, uint32_t percent)
{
	return ot_sim_random_chance(&user->random, percent * 10000);
}

bool
user_is_retriable(int16_t code)
{
	switch (code) {
	case OT_ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case OT_ERR_LEADER_NOT_AVAILABLE:
	case OT_ERR_NOT_LEADER_OR_FOLLOWER:
	case OT_ERR_REQUEST_TIMED_OUT:
	case OT_ERR_NETWORK_EXCEPTION:
	case OT_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case OT_ERR_COORDINATOR_NOT_AVAILABLE:
	case OT_ERR_NOT_COORDINATOR:
	case OT_ERR_NOT_ENOUGH_REPLICAS:
	case OT_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case OT_ERR_NOT_CONTROLLER:
	case OT_ERR_KAFKA_STORAGE_ERROR:
	case OT_ERR_FENCED_LEADER_EPOCH:
	case OT_ERR_UNKNOWN_LEADER_EPOCH:
	case OT_ERR_OFFSET_NOT_AVAILABLE:
	case OT_ERR_UNKNOWN_TOPIC_ID:
	case OT_ERR_INCONSISTENT_TOPIC_ID:
	case OT_ERR_REPLICA_NOT_AVAILABLE:
	case OT_ERR_BROKER_NOT_AVAILABLE:
	case OT_ERR_INVALID_REPLICATION_FACTOR: /* too few brokers at the moment */
		return true;
	default:
		return false;
	}
}

static void
call(struct user *user, struct peers *peers, int32_t broker_id, int16_t api, int16_t version,
    const void *request, peers_done *done, void *arg)
{
	peers_call(peers, &(struct peers_request){
			      .host = cluster_broker(&user->sim->cluster, broker_id)->address,
			      .port = CLUSTER_PORT,
			      .api = api,
			      .version = version,
			      .request = request,
			      .timeout_ms = USER_TIMEOUT_MS,
			      .done = done,
			      .arg = arg,
			  });
}

/* ---- who leads ------------------------------------------------------------------------------- */

static int32_t
find_topic(const struct sim_plan *plan, struct ot_str name)
{
	for (int32_t i = 0; i < plan->topic_count; i++)
		if (ot_str_is(name, plan->topics[i].name))
			return i;
	return -1;
}

static void
take_topic(struct user *user, const struct ot_metadata_response_topic *topic)
{
	int32_t index = find_topic(&user->sim->plan, topic->name);
	struct user_topic *known;

	if (index < 0 || topic->error_code != 0)
		return;
	known = &user->topics[index];
	known->is_known = true;
	known->id = topic->topic_id;
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		const struct ot_metadata_response_partition *partition = &topic->partitions[i];
		struct user_partition *mine;

		if (partition->partition_index >= HISTORY_PARTITIONS_MAX)
			continue;
		/* A broker that lags behind tells of the past. */
		mine = &known->partitions[partition->partition_index];
		if (partition->leader_epoch < mine->epoch)
			continue;
		mine->leader = partition->leader_id;
		mine->epoch = partition->leader_epoch;
	}
}

static void
on_metadata(void *arg, void *answer)
{
	struct user *user = arg;
	const struct ot_metadata_response *response = answer;

	user->is_refreshing = false;
	for (int32_t i = 0; response != NULL && i < response->topics_count; i++)
		take_topic(user, &response->topics[i]);
	ot_timer_arm_in_ms(user->io, &user->refresh,
	    response == NULL ? REFRESH_MS : REFRESH_REGULAR_MS);
}

static void
on_refresh_due(struct ot_timer *timer)
{
	struct user *user = OT_CONTAINER_OF(timer, struct user, refresh);
	struct ot_metadata_request request;

	ot_metadata_request_init(&request);
	request.topics = NULL;
	request.topics_count = -1;
	request.allow_auto_topic_creation = false;
	user->is_refreshing = true;
	user->is_refresh_soon = false;
	call(user, user->peers, user_any_broker(user), METADATA_API, METADATA_VERSION, &request,
	    on_metadata, user);
}

void
user_refresh(struct user *user)
{
	if (user->is_refreshing || user->is_refresh_soon)
		return;
	user->is_refresh_soon = true;
	ot_timer_arm_in_ms(user->io, &user->refresh, REFRESH_MS);
}

int32_t
user_leader(struct user *user, struct history_place place)
{
	const struct user_topic *topic = &user->topics[place.topic];
	int32_t leader = topic->is_known ? topic->partitions[place.partition].leader : -1;

	if (leader < 0)
		user_refresh(user);
	return leader;
}

int32_t
user_any_broker(struct user *user)
{
	return 1 +
	       (int32_t)ot_sim_random_below(&user->random, (uint64_t)user->sim->plan.broker_count);
}

void
client_call(struct client *client, int32_t broker_id, int16_t api, int16_t version,
    const void *request, peers_done *done, void *arg)
{
	call(client->user, client->peers, broker_id, api, version, request, done, arg);
}

void
user_reset(struct user *user)
{
	peers_reset(user->peers);
	OT_LIST_FOREACH(link, &user->clients)
		peers_reset(OT_CONTAINER_OF(link, struct client, link)->peers);
}

/* ---- life ----------------------------------------------------------------------------------- */

void
user_add(struct user *user, struct client *client)
{
	client->user = user;
	client->peers = peers_create(user->io, user->name);
	ot_list_push_back(&user->clients, &client->link);
}

struct user *
user_create(struct sim *sim, int32_t index)
{
	struct user *user = OT_NEW(struct user);
	char address[24];

	user->sim = sim;
	user->index = index;
	(void)snprintf(user->name, sizeof(user->name), "user-%d", index);
	(void)snprintf(address, sizeof(address), "10.0.1.%d", index);
	user->host = ot_sim_host_create(sim->world, address);
	user->io = ot_sim_io_create(user->host);
	user->peers = peers_create(user->io, user->name);
	user->random = ot_sim_random_fork(ot_sim_world_random(sim->world), (uint64_t)index);
	ot_list_init(&user->clients);
	ot_timer_init(&user->refresh, on_refresh_due);
	for (int32_t i = 0; i < SIM_TOPICS_MAX; i++)
		for (int32_t j = 0; j < HISTORY_PARTITIONS_MAX; j++)
			user->topics[i].partitions[j] = (struct user_partition){ -1, -1 };
	user_refresh(user);
	return user;
}

void
user_destroy(struct user *user)
{
	if (user == NULL)
		return;
	while (!ot_list_is_empty(&user->clients)) {
		struct client *client = OT_LIST_FIRST(&user->clients, struct client, link);

		ot_list_remove(&client->link);
		peers_destroy(client->peers);
		client->stop(client);
	}
	ot_timer_cancel(user->io, &user->refresh);
	peers_destroy(user->peers);
	ot_sim_io_destroy(user->io);
	ot_free(user);
}
