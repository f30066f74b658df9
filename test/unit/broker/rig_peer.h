/* Another broker of the cluster that is not there: registered and unfenced, but nobody answers at
 * its address. The tests play it: they send what its fetcher would send. Beside it, requests that
 * concern more than one broker. */
#ifndef OT_TEST_UNIT_BROKER_RIG_PEER_H
#define OT_TEST_UNIT_BROKER_RIG_PEER_H

#include "rig.h"

#include "cluster/feature_levels.h"

/* Nobody sends heartbeats for a peer: it must not be fenced by time alone. */
#define RIG_PEER_SETTINGS                     \
	"broker.session.timeout.ms=1000000\n" \
	"connections.max.idle.ms=10000000\n"  \
	"controlled.shutdown.enable=false\n"

enum { RIG_PEER_PORT = 19092, RIG_PEER_SESSION_MS = 1000 * 1000 };

struct peer {
	struct rig *rig;
	int32_t id;
	const char *rack;
	int64_t epoch;
	struct broker_call call;
	struct ot_arena arena;
	bool is_done;
	struct ot_broker_registration_request registration;
	struct ot_broker_registration_response registered;
	struct ot_broker_heartbeat_request heartbeat;
	struct ot_broker_heartbeat_response beaten;
};

static inline void
peer_call_is_done(struct broker_call *call)
{
	OT_CONTAINER_OF(call, struct peer, call)->is_done = true;
}

static inline bool
peer_is_done(void *arg)
{
	return ((struct peer *)arg)->is_done;
}

/* One operation of the controller, in the name of the peer. */
static inline void
peer_call(struct peer *peer, void (*begin)(struct broker_call *, struct ot_controller *))
{
	struct rig *rig = peer->rig;
	struct ot_shard *control = ot_shard_control(rig->set);
	peer->is_done = false;
	peer->call = (struct broker_call){ .begin = begin,
		.done = peer_call_is_done,
		.arena = &peer->arena };
	rig_enter(rig, rig->ios[RIG_SHARDS]);
	broker_control_post(rig->broker, control, &peer->call);
	ot_shard_enter(NULL);
	ot_io_ring(rig->ios[RIG_SHARDS]);
	rig_until(rig, peer_is_done, peer);
	assert_ok(peer->call.err);
}

static inline void
peer_begin_registration(struct broker_call *call, struct ot_controller *controller)
{
	struct peer *peer = OT_CONTAINER_OF(call, struct peer, call);
	ot_controller_register_broker(controller, &call->call, &peer->registration,
	    &peer->registered);
}

static inline void
peer_begin_heartbeat(struct broker_call *call, struct ot_controller *controller)
{
	struct peer *peer = OT_CONTAINER_OF(call, struct peer, call);
	peer->heartbeat.current_metadata_offset =
	    ot_image_place(ot_controller_image(controller)).offset;
	ot_controller_heartbeat(controller, &call->call, &peer->heartbeat, &peer->beaten);
}

/* Fences it, or takes it back. */
static inline void
peer_beat(struct peer *peer, bool want_fence)
{
	ot_broker_heartbeat_request_init(&peer->heartbeat);
	peer->heartbeat.broker_id = peer->id;
	peer->heartbeat.broker_epoch = peer->epoch;
	peer->heartbeat.want_fence = want_fence;
	peer_call(peer, peer_begin_heartbeat);
	assert_ok(peer->beaten.error_code);
	assert_int_equal(peer->beaten.is_fenced, want_fence);
}

static inline void
peer_fill_features(struct peer *peer)
{
	struct ot_broker_registration_request *request = &peer->registration;
	request->features =
	    ot_broker_registration_request_feature_array(&peer->arena, (int32_t)ot_feature_count);
	request->features_count = (int32_t)ot_feature_count;
	for (size_t i = 0; i < ot_feature_count; i++) {
		request->features[i].name = ot_str_from(ot_features[i].name);
		request->features[i].min_supported_version = ot_features[i].min;
		request->features[i].max_supported_version = ot_features[i].max;
	}
}

/* Registers it (anew, as after a restart) and lets it be unfenced; `rack` may be NULL. */
static inline void
peer_start(struct peer *peer, struct rig *rig, int32_t id, const char *rack)
{
	struct ot_broker_registration_request_listener listener;
	struct ot_uuid dir = { { 77, (uint8_t)id } };
	*peer = (struct peer){ .rig = rig, .id = id, .rack = rack };
	ot_arena_init(&peer->arena, 0);
	ot_broker_registration_request_init(&peer->registration);
	ot_broker_registration_request_listener_init(&listener);
	listener.name = OT_STR_LIT("PLAINTEXT");
	listener.host = OT_STR_LIT("10.0.0.77");
	listener.port = RIG_PEER_PORT;
	peer->registration.broker_id = id;
	peer->registration.cluster_id = ot_str_from(ot_dirs_cluster_id(rig->broker->dirs));
	peer->registration.incarnation_id = ot_io_random_uuid(rig->user_io);
	peer->registration.rack = ot_str_from(rack);
	peer->registration.listeners = &listener;
	peer->registration.listeners_count = 1;
	peer->registration.log_dirs = &dir;
	peer->registration.log_dirs_count = 1;
	peer_fill_features(peer);
	peer_call(peer, peer_begin_registration);
	assert_ok(peer->registered.error_code);
	peer->epoch = peer->registered.broker_epoch;
	peer_beat(peer, false);
}

static inline void
peer_fini(struct peer *peer)
{
	ot_arena_fini(&peer->arena);
}

/* ---- requests -----------------------------------------------------------------------------------
 */

struct assigned {
	const char *name;
	int32_t partition_count;
	int32_t brokers[3]; /* of each partition, the leader first */
	int32_t broker_count;
	const char *key; /* NULL: no setting */
	const char *value;
};

/* Creates a topic on these brokers, and gives its id. */
static inline struct ot_uuid
link_create_assigned(struct link *link, const struct assigned *wanted)
{
	struct ot_arena arena;
	struct ot_create_topics_request request;
	struct ot_create_topics_response response;
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request_config config;
	int32_t brokers[3];
	ot_arena_init(&arena, 0);
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	ot_create_topics_request_config_init(&config);
	topic.name = ot_str_from(wanted->name);
	topic.num_partitions = -1;
	topic.replication_factor = -1;
	topic.assignments_count = wanted->partition_count;
	topic.assignments =
	    ot_create_topics_request_assignment_array(&arena, wanted->partition_count);
	memcpy(brokers, wanted->brokers, sizeof(brokers));
	for (int32_t i = 0; i < wanted->partition_count; i++) {
		topic.assignments[i].partition_index = i;
		topic.assignments[i].broker_ids = brokers;
		topic.assignments[i].broker_ids_count = wanted->broker_count;
	}
	if (wanted->key != NULL) {
		config.name = ot_str_from(wanted->key);
		config.value = ot_str_from(wanted->value);
		topic.configs = &config;
		topic.configs_count = 1;
	}
	request.topics = &topic;
	request.topics_count = 1;
	request.timeout_ms = 10000;
	assert_true(link_call(link, ot_api_find(19), 7, &request, &arena, &response));
	assert_ok(response.topics[0].error_code);
	struct ot_uuid id = response.topics[0].topic_id;
	ot_arena_fini(&arena);
	return id;
}

/* Sets a dynamic setting of all brokers. */
static inline void
link_set_config(struct link *link, const char *key, const char *value)
{
	struct ot_arena arena;
	struct ot_incremental_alter_configs_request request;
	struct ot_incremental_alter_configs_response response;
	struct ot_incremental_alter_configs_request_alter_configs_resource resource;
	struct ot_incremental_alter_configs_request_config config;
	ot_arena_init(&arena, 0);
	ot_incremental_alter_configs_request_init(&request);
	ot_incremental_alter_configs_request_alter_configs_resource_init(&resource);
	ot_incremental_alter_configs_request_config_init(&config);
	config.name = ot_str_from(key);
	config.value = ot_str_from(value);
	resource.resource_type = OT_RESOURCE_BROKER;
	resource.resource_name = OT_STR_LIT("");
	resource.configs = &config;
	resource.configs_count = 1;
	request.resources = &resource;
	request.resources_count = 1;
	assert_true(link_call(link, ot_api_find(44), 1, &request, &arena, &response));
	assert_ok(response.responses[0].error_code);
	ot_arena_fini(&arena);
}

/* A Fetch of one partition in any version, a consumer's or a follower's. */
struct ask {
	int16_t version;
	const char *topic; /* below version 13 */
	struct ot_uuid topic_id;
	int32_t partition;
	int64_t offset;
	int32_t leader_epoch;    /* -1: none */
	int32_t last_epoch;      /* -1: none */
	const struct peer *peer; /* the follower; NULL: a consumer */
	int64_t peer_epoch;      /* 0: the peer's */
	const char *rack;        /* the consumer's; NULL: none */
	int32_t wait_ms;
	int32_t bytes_max; /* of the partition; 0: 1 MiB */
	int32_t session_id;
	int32_t session_epoch; /* 0 begins a session; -1: none is wanted */
	bool is_empty;         /* nothing is named: an incremental fetch */
};

static inline void
link_ask(struct link *link, const struct ask *ask)
{
	struct ot_fetch_request request;
	struct ot_fetch_request_topic one;
	struct ot_fetch_request_partition wanted;
	ot_fetch_request_init(&request);
	ot_fetch_request_topic_init(&one);
	ot_fetch_request_partition_init(&wanted);
	wanted.partition = ask->partition;
	wanted.fetch_offset = ask->offset;
	wanted.partition_max_bytes = ask->bytes_max > 0 ? ask->bytes_max : 1024 * 1024;
	wanted.current_leader_epoch = ask->version >= 9 ? ask->leader_epoch : -1;
	wanted.last_fetched_epoch = ask->version >= 12 ? ask->last_epoch : -1;
	wanted.log_start_offset = ask->version >= 5 && ask->peer != NULL ? 0 : -1;
	one.topic = ot_str_from(ask->version < 13 ? ask->topic : "");
	one.topic_id = ask->topic_id;
	one.partitions = &wanted;
	one.partitions_count = 1;
	request.max_wait_ms = ask->wait_ms;
	request.min_bytes = 1;
	request.max_bytes = 10 * 1024 * 1024;
	request.topics = &one;
	request.topics_count = ask->is_empty ? 0 : 1;
	request.rack_id = ot_str_from(ask->rack != NULL && ask->version >= 11 ? ask->rack : "");
	request.session_id = ask->session_id;
	request.session_epoch = ask->session_epoch;
	if (ask->peer != NULL && ask->version < 15) {
		request.replica_id = ask->peer->id;
	} else if (ask->peer != NULL) {
		request.replica_state.replica_id = ask->peer->id;
		request.replica_state.replica_epoch =
		    ask->peer_epoch != 0 ? ask->peer_epoch : ask->peer->epoch;
	}
	link_send(link, ot_api_find(1), ask->version, &request);
}

/* The answer to one; its views are in the arena. */
struct asked {
	struct ot_arena arena;
	struct ot_fetch_response response;
	const struct ot_fetch_response_partition *partition; /* NULL: none is told of */
	int32_t bytes;                                       /* of records */
};

static inline void
link_take_asked(struct link *link, int16_t version, struct asked *ret)
{
	*ret = (struct asked){ 0 };
	ot_arena_init(&ret->arena, 0);
	assert_true(link_take(link, ot_api_find(1), version, &ret->arena, &ret->response));
	assert_ok(ret->response.error_code);
	if (ret->response.responses_count == 0)
		return;
	ret->partition = &ret->response.responses[0].partitions[0];
	ret->bytes = OT_MAX(ret->partition->records.len, 0);
}

static inline void
asked_fini(struct asked *asked)
{
	ot_arena_fini(&asked->arena);
}

static inline void
link_ask_and_wait(struct link *link, const struct ask *ask, struct asked *ret)
{
	link_ask(link, ask);
	rig_until(link->rig, link_has_answer, link);
	link_take_asked(link, ask->version, ret);
}

/* What Metadata says of a partition. */
struct described {
	int32_t leader;
	int32_t leader_epoch;
	int32_t isr[3];
	int32_t isr_count;
};

static inline struct described
link_describe(struct link *link, const char *topic, int32_t partition)
{
	struct ot_arena arena;
	struct ot_metadata_request request;
	struct ot_metadata_response response;
	struct ot_metadata_request_topic one;
	struct described described = { .leader = -1 };
	ot_arena_init(&arena, 0);
	ot_metadata_request_init(&request);
	ot_metadata_request_topic_init(&one);
	one.name = ot_str_from(topic);
	request.topics = &one;
	request.topics_count = 1;
	assert_true(link_call(link, ot_api_find(3), 12, &request, &arena, &response));
	for (int32_t i = 0; i < response.topics[0].partitions_count; i++) {
		const struct ot_metadata_response_partition *found =
		    &response.topics[0].partitions[i];
		if (found->partition_index != partition)
			continue;
		described.leader = found->leader_id;
		described.leader_epoch = found->leader_epoch;
		described.isr_count = found->isr_nodes_count;
		for (int32_t j = 0; j < OT_MIN(found->isr_nodes_count, 3); j++)
			described.isr[j] = found->isr_nodes[j];
	}
	ot_arena_fini(&arena);
	return described;
}

/* Asks until the ISR has so many members. */
static inline void
link_await_isr(struct link *link, const char *topic, int32_t partition, int32_t count)
{
	for (int i = 0; i < RIG_PATIENCE_MS / 100; i++) {
		if (link_describe(link, topic, partition).isr_count == count)
			return;
		ot_sim_world_run_for_ms(link->rig->world, 100);
	}
	fail_msg("the ISR of %s-%d has %d members, not %d", topic, partition,
	    link_describe(link, topic, partition).isr_count, count);
}

#endif
