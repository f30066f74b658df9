/* A cluster of simulated machines for tests of several brokers, and a machine for clients. */
#ifndef OT_TEST_UNIT_BROKER_SCENE_H
#define OT_TEST_UNIT_BROKER_SCENE_H

#include "rig.h"

#include "cluster.h"

/* A cluster, and a machine for clients: as a rig without a broker. */
struct scene {
	struct cluster cluster;
	struct rig client;
	ot_err failure; /* of a broker that ended by itself */
	char why[300];
};

/* ---- the scene ---------------------------------------------------------------------------------
 */

static inline void
on_failure(void *arg, struct cluster_broker *broker, ot_err err, const char *why)
{
	struct scene *scene = arg;
	(void)broker;
	scene->failure = err;
	(void)snprintf(scene->why, sizeof(scene->why), "%s", why);
}

static inline void
scene_init(struct scene *scene, int32_t brokers, int32_t controllers, const char *settings)
{
	const struct cluster_conf conf = {
		.seed = 11,
		.broker_count = brokers,
		.controller_count = controllers,
		.shard_count = 2,
		.store = metalog_store_conf_default,
		.settings = settings,
		.on_failure = on_failure,
		.arg = scene,
	};
	*scene = (struct scene){ 0 };
	cluster_init(&scene->cluster, &conf);
	scene->client.world = scene->cluster.world;
	scene->client.user = ot_sim_host_create(scene->cluster.world, "10.0.0.100");
	scene->client.user_io = ot_sim_io_create(scene->client.user);
}

static inline void
scene_fini(struct scene *scene)
{
	ot_sim_io_destroy(scene->client.user_io);
	cluster_fini(&scene->cluster);
}

/* Lets the world run, and frees what has stopped meanwhile. */
static inline void
scene_until(struct scene *scene, bool (*holds)(void *arg), void *arg, uint64_t ms_most)
{
	assert_true(ot_sim_world_run_until(scene->cluster.world, holds, arg, ms_most));
	cluster_tick(&scene->cluster);
}

static inline bool
are_all_ready(void *arg)
{
	struct scene *scene = arg;
	for (int32_t id = 1; id <= scene->cluster.conf.broker_count; id++) {
		if (!cluster_broker(&scene->cluster, id)->is_ready)
			return false;
	}
	return true;
}

static inline void
scene_start(struct scene *scene)
{
	for (int32_t id = 1; id <= scene->cluster.conf.broker_count; id++)
		cluster_start(&scene->cluster, id);
	scene_until(scene, are_all_ready, scene, RIG_PATIENCE_MS);
}

static inline bool
is_ready(void *arg)
{
	return ((struct cluster_broker *)arg)->is_ready;
}

static inline bool
is_stopped(void *arg)
{
	return ((struct cluster_broker *)arg)->is_stopped;
}

static inline int64_t
now_ms(const struct scene *scene)
{
	return (int64_t)(ot_sim_world_now(scene->cluster.world) / OT_NS_PER_MS);
}

/* The active controller. */
static inline int32_t
leader_of(const struct scene *scene)
{
	return metalog_store_leader_id(scene->cluster.store);
}

/* ---- clients -----------------------------------------------------------------------------------
 */

static inline void
connect_to(struct scene *scene, struct link *link, int32_t id)
{
	*link = (struct link){ .rig = &scene->client };
	ot_writer_init(&link->out);
	struct ot_address address = { .port = CLUSTER_PORT };
	snprintf(address.host, sizeof(address.host), "10.0.0.%d", id);
	assert_ok(
	    ot_io_connect(scene->client.user_io, &address, &link_events, link, &link->stream));
}

static inline int16_t
create_at(struct scene *scene, int32_t id, const char *name)
{
	struct link link;
	connect_to(scene, &link, id);
	int16_t code = link_create_topic(&link, name, 1, NULL, NULL);
	link_close(&link);
	return code;
}

/* A topic of one partition on these brokers, the first of which leads it. */
static inline int16_t
place_at(struct scene *scene, int32_t id, const char *name, int32_t *brokers, int32_t count)
{
	struct ot_arena arena;
	struct ot_create_topics_request request;
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request_assignment assignment;
	struct ot_create_topics_response response;
	struct link link;
	ot_arena_init(&arena, 0);
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	ot_create_topics_request_assignment_init(&assignment);
	assignment.broker_ids = brokers;
	assignment.broker_ids_count = count;
	topic.name = ot_str_from(name);
	topic.num_partitions = -1;
	topic.replication_factor = -1;
	topic.assignments = &assignment;
	topic.assignments_count = 1;
	request.topics = &topic;
	request.topics_count = 1;
	connect_to(scene, &link, id);
	assert_true(link_call(&link, ot_api_find(19), 5, &request, &arena, &response));
	int16_t code = response.topics[0].error_code;
	link_close(&link);
	ot_arena_fini(&arena);
	return code;
}

/* What a broker says of the cluster. */
struct view {
	int32_t broker_count;
	int32_t controller;
	int32_t topic_count;
	int32_t leader; /* of the first topic's first partition */
};

static inline struct view
look_at(struct scene *scene, int32_t id)
{
	struct ot_arena arena;
	struct ot_metadata_request request;
	struct ot_metadata_response response;
	struct link link;
	struct view view = { .leader = -1 };
	ot_arena_init(&arena, 0);
	ot_metadata_request_init(&request);
	request.topics_count = -1;
	connect_to(scene, &link, id);
	assert_true(link_call(&link, ot_api_find(3), 8, &request, &arena, &response));
	view.broker_count = response.brokers_count;
	view.controller = response.controller_id;
	view.topic_count = response.topics_count;
	if (response.topics_count > 0 && response.topics[0].partitions_count > 0)
		view.leader = response.topics[0].partitions[0].leader_id;
	link_close(&link);
	ot_arena_fini(&arena);
	return view;
}

/* Looks until a broker sees so many others, itself included; gives how long that took. */
static inline int64_t
wait_for_brokers(struct scene *scene, int32_t id, int32_t count)
{
	int64_t begin = now_ms(scene);
	while (look_at(scene, id).broker_count != count) {
		assert_true(now_ms(scene) - begin < RIG_PATIENCE_MS);
		ot_sim_world_run_for_ms(scene->cluster.world, 20);
	}
	return now_ms(scene) - begin;
}

#endif
