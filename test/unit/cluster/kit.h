/* Operations on partitions as tests call them: each waits for its end. */
#ifndef OT_TEST_UNIT_CLUSTER_KIT_H
#define OT_TEST_UNIT_CLUSTER_KIT_H

#include "fixture.h"

/* Ids for an argument: KIT_IDS(1, 2). */
#define KIT_IDS(...)                                        \
	((struct ot_ids){ (const int32_t[]){ __VA_ARGS__ }, \
	    (int32_t)OT_ARRAY_COUNT(((const int32_t[]){ __VA_ARGS__ })) })

static inline const struct ot_partition_image *
kit_partition(const struct fixture *fixture, const char *topic, int32_t index)
{
	const struct ot_topic_image *image = ot_image_topic(fixture->newest, ot_str_from(topic));

	assert_non_null(image);
	return ot_topic_partition(image, index);
}

static inline int32_t *
kit_copy(struct fixture *fixture, struct ot_ids ids)
{
	int32_t *copy = ot_arena_array(&fixture->arena, (size_t)ids.count, sizeof(*copy));

	for (int32_t i = 0; i < ids.count; i++)
		copy[i] = ids.items[i];
	return copy;
}

static inline void
kit_assert_ids(struct ot_ids ids, struct ot_ids expected)
{
	assert_int_equal(ids.count, expected.count);
	for (int32_t i = 0; i < ids.count; i++)
		assert_int_equal(ids.items[i], expected.items[i]);
}

/* One topic of one partition with these replicas, all of them active; `configs` may be NULL. */
static inline ot_err
kit_create(struct fixture *fixture, const char *name, struct ot_ids replicas,
    const char *config_name, const char *config_value)
{
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request_assignment assignment;
	struct ot_create_topics_request_config config;
	struct ot_create_topics_request request;
	struct ot_create_topics_response *response =
	    ot_arena_alloc(&fixture->arena, sizeof(*response));
	struct fixture_call call;

	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	ot_create_topics_request_assignment_init(&assignment);
	ot_create_topics_request_config_init(&config);
	config.name = ot_str_from(config_name);
	config.value = ot_str_from(config_value);
	assignment.broker_ids = kit_copy(fixture, replicas);
	assignment.broker_ids_count = replicas.count;
	topic.name = ot_str_from(name);
	topic.num_partitions = -1;
	topic.replication_factor = -1;
	topic.assignments = &assignment;
	topic.assignments_count = 1;
	topic.configs = &config;
	topic.configs_count = config_name != NULL;
	request.topics = &topic;
	request.topics_count = 1;
	ot_controller_create_topics(fixture->controller, fixture_call_init(fixture, &call),
	    &request, response);
	assert_ok(fixture_wait(fixture, &call));
	return ot_err_from_wire(response->topics[0].error_code);
}

/* ---- AlterPartition -------------------------------------------------------------------------- */

struct kit_isr {
	struct ot_alter_partition_request request;
	struct ot_alter_partition_request_topic topic;
	struct ot_alter_partition_request_partition partition;
	struct ot_alter_partition_response response;
};

/* A good request of the partition's leader, in the newest version. */
static inline struct kit_isr *
kit_isr_of(struct fixture *fixture, const char *topic, int32_t index, struct ot_ids isr)
{
	const struct ot_partition_image *partition = kit_partition(fixture, topic, index);
	const struct ot_broker_image *leader = ot_image_broker(fixture->newest, partition->leader);
	struct kit_isr *kit = ot_arena_alloc(&fixture->arena, sizeof(*kit));

	assert_non_null(leader);
	ot_alter_partition_request_init(&kit->request);
	ot_alter_partition_request_topic_init(&kit->topic);
	ot_alter_partition_request_partition_init(&kit->partition);
	kit->request.broker_id = leader->id;
	kit->request.broker_epoch = leader->epoch;
	kit->request.topics = &kit->topic;
	kit->request.topics_count = 1;
	kit->topic.topic_name = ot_str_from(topic);
	kit->topic.topic_id = ot_image_topic(fixture->newest, ot_str_from(topic))->id;
	kit->topic.partitions = &kit->partition;
	kit->topic.partitions_count = 1;
	kit->partition.partition_index = index;
	kit->partition.leader_epoch = partition->leader_epoch;
	kit->partition.partition_epoch = partition->partition_epoch;
	kit->partition.new_isr = kit_copy(fixture, isr);
	kit->partition.new_isr_count = isr.count;
	kit->partition.new_isr_with_epochs =
	    ot_alter_partition_request_broker_state_array(&fixture->arena, isr.count);
	kit->partition.new_isr_with_epochs_count = isr.count;
	for (int32_t i = 0; i < isr.count; i++)
		kit->partition.new_isr_with_epochs[i].broker_id = isr.items[i];
	return kit;
}

/* The partition's error; one of the whole request fails the test. */
static inline ot_err
kit_isr_send(struct fixture *fixture, struct kit_isr *kit, int16_t version)
{
	struct fixture_call call;

	ot_controller_alter_partition(fixture->controller, fixture_call_init(fixture, &call),
	    &kit->request, version, &kit->response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(kit->response.error_code);
	assert_int_equal(kit->response.topics_count, 1);
	assert_int_equal(kit->response.topics[0].partitions_count, 1);
	return ot_err_from_wire(kit->response.topics[0].partitions[0].error_code);
}

static inline ot_err
kit_alter_isr(struct fixture *fixture, const char *topic, struct ot_ids isr)
{
	return kit_isr_send(fixture, kit_isr_of(fixture, topic, 0, isr), 3);
}

/* ---- elections and reassignments ------------------------------------------------------------- */

static inline ot_err
kit_elect(struct fixture *fixture, const char *name, int32_t index, int8_t type,
    struct ot_str *ret_message)
{
	struct ot_elect_leaders_request_topic_partitions topic;
	struct ot_elect_leaders_request request;
	struct ot_elect_leaders_response *response =
	    ot_arena_alloc(&fixture->arena, sizeof(*response));
	struct fixture_call call;

	ot_elect_leaders_request_init(&request);
	ot_elect_leaders_request_topic_partitions_init(&topic);
	topic.topic = ot_str_from(name);
	topic.partitions = &index;
	topic.partitions_count = 1;
	request.election_type = type;
	request.topic_partitions = &topic;
	request.topic_partitions_count = 1;
	ot_controller_elect_leaders(fixture->controller, fixture_call_init(fixture, &call),
	    &request, response);
	assert_ok(fixture_wait(fixture, &call));
	if (ret_message != NULL)
		*ret_message =
		    response->replica_election_results[0].partition_result[0].error_message;
	return ot_err_from_wire(
	    response->replica_election_results[0].partition_result[0].error_code);
}

/* No ids: cancels. */
static inline ot_err
kit_reassign(struct fixture *fixture, const char *name, int32_t index, struct ot_ids ids,
    bool may_change_factor, struct ot_str *ret_message)
{
	struct ot_alter_partition_reassignments_request_partition partition;
	struct ot_alter_partition_reassignments_request_topic topic;
	struct ot_alter_partition_reassignments_request request;
	struct ot_alter_partition_reassignments_response *response =
	    ot_arena_alloc(&fixture->arena, sizeof(*response));
	struct fixture_call call;

	ot_alter_partition_reassignments_request_init(&request);
	ot_alter_partition_reassignments_request_topic_init(&topic);
	ot_alter_partition_reassignments_request_partition_init(&partition);
	partition.partition_index = index;
	partition.replicas = kit_copy(fixture, ids);
	partition.replicas_count = ids.items == NULL ? -1 : ids.count;
	topic.name = ot_str_from(name);
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.allow_replication_factor_change = may_change_factor;
	request.topics = &topic;
	request.topics_count = 1;
	ot_controller_alter_partition_reassignments(fixture->controller,
	    fixture_call_init(fixture, &call), &request, response);
	assert_ok(fixture_wait(fixture, &call));
	if (ret_message != NULL)
		*ret_message = response->responses[0].partitions[0].error_message;
	return ot_err_from_wire(response->responses[0].partitions[0].error_code);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static inline ot_err
kit_unregister(struct fixture *fixture, int32_t id)
{
	struct ot_unregister_broker_request request;
	struct ot_unregister_broker_response response;
	struct fixture_call call;

	ot_unregister_broker_request_init(&request);
	request.broker_id = id;
	ot_controller_unregister_broker(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	return ot_err_from_wire(response.error_code);
}

static inline ot_err
kit_update_feature(struct fixture *fixture, const char *name, int16_t level, int8_t type)
{
	struct ot_update_features_request_feature_update update;
	struct ot_update_features_request request;
	struct ot_update_features_response response;
	struct fixture_call call;

	ot_update_features_request_init(&request);
	ot_update_features_request_feature_update_init(&update);
	update.feature = ot_str_from(name);
	update.max_version_level = level;
	update.upgrade_type = type;
	request.feature_updates = &update;
	request.feature_updates_count = 1;
	ot_controller_update_features(fixture->controller, fixture_call_init(fixture, &call),
	    &request, 1, &response);
	assert_ok(fixture_wait(fixture, &call));
	return ot_err_from_wire(response.error_code);
}

/* Sets one setting of a topic (2) or broker (4); NULL takes it away. */
static inline ot_err
kit_set(struct fixture *fixture, int8_t resource, const char *resource_name, const char *name,
    const char *value, struct ot_str *ret_message)
{
	struct ot_incremental_alter_configs_request_config config;
	struct ot_incremental_alter_configs_request_alter_configs_resource one;
	struct ot_incremental_alter_configs_request request;
	struct ot_incremental_alter_configs_response *response =
	    ot_arena_alloc(&fixture->arena, sizeof(*response));
	struct fixture_call call;

	ot_incremental_alter_configs_request_init(&request);
	ot_incremental_alter_configs_request_alter_configs_resource_init(&one);
	ot_incremental_alter_configs_request_config_init(&config);
	config.name = ot_str_from(name);
	config.value = ot_str_from(value);
	config.config_operation = value == NULL;
	one.resource_type = resource;
	one.resource_name = ot_str_from(resource_name);
	one.configs = &config;
	one.configs_count = 1;
	request.resources = &one;
	request.resources_count = 1;
	ot_controller_incremental_alter_configs(fixture->controller,
	    fixture_call_init(fixture, &call), &request, response);
	assert_ok(fixture_wait(fixture, &call));
	if (ret_message != NULL)
		*ret_message = response->responses[0].error_message;
	return ot_err_from_wire(response->responses[0].error_code);
}

#endif
