/* Tests of src/cluster/control_directories.c and of lost directories in heartbeats (KIP-858); of
 * the registration of controllers; of DescribeQuorum. */
#include "kit.h"

static struct fixture *fixture;

static const struct ot_uuid other_directory = { { 7, 7, 7 } };

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create("");
	ot_sim_world_run_for_ms(fixture->world, 10);
	for (int32_t id = 1; id <= 3; id++)
		fixture_add_broker(fixture, id, NULL);
	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2, 3), NULL, NULL));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_destroy(fixture);
	return 0;
}

static void
assert_directory(int32_t place, struct ot_uuid expected)
{
	struct ot_uuid directory = ot_partition_directory(kit_partition(fixture, "t", 0), place);

	assert_true(ot_uuid_equal(&directory, &expected));
}

/* ---- AssignReplicasToDirs -------------------------------------------------------------------- */

struct assign {
	struct ot_assign_replicas_to_dirs_request request;
	struct ot_assign_replicas_to_dirs_request_directory directory;
	struct ot_assign_replicas_to_dirs_request_topic topic;
	struct ot_assign_replicas_to_dirs_request_partition partition;
	struct ot_assign_replicas_to_dirs_response response;
};

static void
assign_init(struct assign *assign, int32_t id, struct ot_uuid directory)
{
	ot_assign_replicas_to_dirs_request_init(&assign->request);
	ot_assign_replicas_to_dirs_request_directory_init(&assign->directory);
	ot_assign_replicas_to_dirs_request_topic_init(&assign->topic);
	ot_assign_replicas_to_dirs_request_partition_init(&assign->partition);
	assign->request.broker_id = id;
	assign->request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	assign->request.directories = &assign->directory;
	assign->request.directories_count = 1;
	assign->directory.id = directory;
	assign->directory.topics = &assign->topic;
	assign->directory.topics_count = 1;
	assign->topic.topic_id = ot_image_topic(fixture->newest, OT_STR_LIT("t"))->id;
	assign->topic.partitions = &assign->partition;
	assign->topic.partitions_count = 1;
}

static ot_err
assign_send(struct assign *assign)
{
	struct fixture_call call;

	ot_controller_assign_replicas_to_dirs(fixture->controller,
	    fixture_call_init(fixture, &call), &assign->request, &assign->response);
	assert_ok(fixture_wait(fixture, &call));
	if (assign->response.error_code != 0)
		return ot_err_from_wire(assign->response.error_code);
	return ot_err_from_wire(assign->response.directories[0].topics[0].partitions[0].error_code);
}

/* Goal: a replica's directory is noted; one that the broker does not have takes the replica out of
 * ISR and leadership. Method: the own one again, then another. */
static void
test_assign(void **state)
{
	struct assign assign;
	(void)state;

	assign_init(&assign, 1, fixture_directory(1));
	assert_ok(assign_send(&assign));
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 0);
	assign_init(&assign, 1, other_directory);
	assert_ok(assign_send(&assign));
	assert_directory(0, other_directory);
	assert_directory(1, fixture_directory(2));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "t", 0)), KIT_IDS(2, 3));
	/* It stays out as long as the directory is not there. */
	(void)fixture_beat(fixture, 3, BEAT_FENCE);
	(void)fixture_beat(fixture, 2, BEAT_FENCE);
	(void)fixture_beat(fixture, 1, 0);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, OT_NO_LEADER);
	assert_int_equal(kit_elect(fixture, "t", 0, 1, NULL),
	    OT_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE);
	assign_init(&assign, 1, fixture_directory(1));
	assert_ok(assign_send(&assign));
	assert_ok(kit_elect(fixture, "t", 0, 1, NULL));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 1);
}

/* Goal: what only a lost replica could lead is led again by the very word that it has a directory:
 * no other change may follow for long. Method: the one replica of a partition; once it is eligible
 * meanwhile, and once only the last known leader. */
static void
test_assign_after_loss(void **state)
{
	struct assign assign;
	struct ot_uuid id;
	(void)state;

	for (int is_unclean = 0; is_unclean < 2; is_unclean++) {
		const char *name = is_unclean ? "v" : "u";
		assert_ok(kit_create(fixture, name, KIT_IDS(1), NULL, NULL));
		id = ot_image_topic(fixture->newest, ot_str_from(name))->id;
		assign_init(&assign, 1, ot_directory_lost);
		assign.topic.topic_id = id;
		assert_ok(assign_send(&assign));
		assert_int_equal(kit_partition(fixture, name, 0)->leader, OT_NO_LEADER);
		if (is_unclean) {
			ot_sim_world_run_for_ms(fixture->world, 60 * 1000);
			fixture_add_broker(fixture, 1, NULL);
		}
		assign_init(&assign, 1, fixture_directory(1));
		assign.topic.topic_id = id;
		assert_ok(assign_send(&assign));
		assert_int_equal(kit_partition(fixture, name, 0)->leader, 1);
	}
}

/* Goal: each mistake has its error. Method: one mistake each. */
static void
test_assign_refused(void **state)
{
	struct assign assign;
	(void)state;

	fixture_add_broker(fixture, 4, NULL);
	assign_init(&assign, 1, fixture_directory(1));
	assign.request.broker_epoch--;
	assert_int_equal(assign_send(&assign), OT_ERR_STALE_BROKER_EPOCH);
	assign_init(&assign, 1, fixture_directory(1));
	assign.topic.topic_id = other_directory;
	assert_int_equal(assign_send(&assign), OT_ERR_UNKNOWN_TOPIC_ID);
	assign_init(&assign, 1, fixture_directory(1));
	assign.partition.partition_index = 1;
	assert_int_equal(assign_send(&assign), OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assign_init(&assign, 4, fixture_directory(4));
	assert_int_equal(assign_send(&assign), OT_ERR_NOT_LEADER_OR_FOLLOWER);
}

/* ---- lost directories ------------------------------------------------------------------------ */

/* Says that a directory is lost, or cordoned; NULL: none. */
static void
beat_with(int32_t id, const struct ot_uuid *lost, const struct ot_uuid *cordoned)
{
	struct ot_broker_heartbeat_request request;
	struct ot_broker_heartbeat_response response;
	struct ot_uuid ids[2] = { { { 0 } } };
	struct fixture_call call;

	ot_broker_heartbeat_request_init(&request);
	request.broker_id = id;
	request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	request.current_metadata_offset = ot_image_place(fixture->newest).offset;
	if (lost != NULL)
		ids[0] = *lost;
	if (cordoned != NULL)
		ids[1] = *cordoned;
	request.offline_log_dirs = &ids[0];
	request.offline_log_dirs_count = lost != NULL;
	request.cordoned_log_dirs = &ids[1];
	request.cordoned_log_dirs_count = cordoned != NULL;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &request,
	    &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
}

/* Goal: a broker that lost a directory leads nothing there and is in no ISR, but keeps the rest.
 * Method: one with two directories loses one, and says so again and again. */
static void
test_lost(void **state)
{
	struct ot_uuid both[2] = { fixture_directory(1), other_directory };
	struct ot_broker_registration_request request;
	struct ot_broker_registration_response response;
	int64_t offset;
	struct fixture_call call;
	struct assign assign;
	(void)state;

	ot_broker_registration_request_init(&request);
	request.broker_id = 1;
	request.cluster_id = OT_STR_LIT(CLUSTER_ID);
	request.incarnation_id = ot_image_broker(fixture->newest, 1)->incarnation;
	fixture_fill_features(&request);
	request.log_dirs = both;
	request.log_dirs_count = 2;
	ot_controller_register_broker(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
	assert_ok(kit_create(fixture, "u", KIT_IDS(1, 2), NULL, NULL));
	assign_init(&assign, 1, other_directory);
	assign.topic.topic_id = ot_image_topic(fixture->newest, OT_STR_LIT("u"))->id;
	assert_ok(assign_send(&assign));
	assert_int_equal(kit_partition(fixture, "u", 0)->leader, 1);
	beat_with(1, &other_directory, NULL);
	assert_int_equal(kit_partition(fixture, "u", 0)->leader, 2);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "u", 0)), KIT_IDS(2));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 1);
	assert_int_equal(ot_image_broker(fixture->newest, 1)->log_dir_count, 1);
	offset = ot_image_place(fixture->newest).offset;
	beat_with(1, &other_directory, NULL);
	assert_int_equal(ot_image_place(fixture->newest).offset, offset);
}

/* Goal: a broker whose only directory is cordoned gets no new replicas, until it is not any more;
 * what it has stays. Method: one of three; topics of two and of three replicas. */
static void
test_cordoned(void **state)
{
	struct ot_uuid directory = fixture_directory(2);
	int64_t offset;
	(void)state;

	beat_with(2, NULL, &directory);
	assert_int_equal(ot_image_broker(fixture->newest, 2)->cordoned_log_dir_count, 1);
	offset = ot_image_place(fixture->newest).offset;
	beat_with(2, NULL, &directory);
	assert_int_equal(ot_image_place(fixture->newest).offset, offset);
	assert_ok(fixture_create_topic(fixture, "u", 10, 2, NULL));
	for (int32_t i = 0; i < 10; i++)
		assert_false(ot_ids_have(ot_partition_replicas(kit_partition(fixture, "u", i)), 2));
	assert_int_equal(fixture_create_topic(fixture, "v", 1, 3, NULL),
	    OT_ERR_INVALID_REPLICATION_FACTOR);
	assert_int_equal(kit_partition(fixture, "t", 0)->isr_count, 3);
	beat_with(2, NULL, NULL);
	assert_ok(fixture_create_topic(fixture, "v", 1, 3, NULL));
}

/* ---- controllers ----------------------------------------------------------------------------- */

static ot_err
register_controller(int32_t id, int16_t elr_max)
{
	struct ot_controller_registration_request_feature features[] = {
		{ .name = OT_STR_LIT("metadata.version"),
		    .min_supported_version = 7,
		    .max_supported_version = 30 },
		{ .name = OT_STR_LIT("eligible.leader.replicas.version"),
		    .max_supported_version = elr_max },
	};
	struct ot_controller_registration_request_listener listener;
	struct ot_controller_registration_request request;
	struct ot_controller_registration_response response;
	struct fixture_call call;

	ot_controller_registration_request_init(&request);
	ot_controller_registration_request_listener_init(&listener);
	listener.name = OT_STR_LIT("CONTROLLER");
	listener.host = OT_STR_LIT("host");
	listener.port = (uint16_t)(9000 + id);
	request.controller_id = id;
	request.features = features;
	request.features_count = 2;
	request.listeners = &listener;
	request.listeners_count = 1;
	ot_controller_register_controller(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	return ot_err_from_wire(response.error_code);
}

/* Goal: a controller that does not know what is finalized cannot register, and what a registered
 * one does not know cannot be finalized. Method: one without eligible leader replicas, before and
 * after they are switched off. */
static void
test_controller_features(void **state)
{
	(void)state;

	assert_int_equal(register_controller(2, 0), OT_ERR_UNSUPPORTED_VERSION);
	assert_ok(kit_update_feature(fixture, "eligible.leader.replicas.version", 0, 2));
	assert_ok(register_controller(2, 0));
	assert_int_equal(kit_update_feature(fixture, "eligible.leader.replicas.version", 1, 1),
	    OT_ERR_INVALID_UPDATE_VERSION);
	assert_ok(register_controller(2, 1));
	assert_ok(kit_update_feature(fixture, "eligible.leader.replicas.version", 1, 1));
}

/* Goal: at an old level neither controllers register nor directories are assigned, and no eligible
 * leader replicas are kept. Method: metadata.version 3.4. */
static void
test_old_level(void **state)
{
	struct assign assign;
	(void)state;

	fixture_begin_at_level(fixture, 8);
	fixture_add_broker(fixture, 1, NULL);
	assert_ok(kit_create(fixture, "t", KIT_IDS(1), NULL, NULL));
	assert_int_equal(register_controller(2, 1), OT_ERR_UNSUPPORTED_VERSION);
	assign_init(&assign, 1, fixture_directory(1));
	assert_int_equal(assign_send(&assign), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(kit_update_feature(fixture, "eligible.leader.replicas.version", 1, 1),
	    OT_ERR_INVALID_UPDATE_VERSION);
}

/* Goal: DescribeQuorum has the voters, the observers, and how far they are; controllers register
 * once. Method: two controllers, one of them the active one's broker; a broker that lags. */
static void
test_quorum(void **state)
{
	struct ot_describe_quorum_request_partition partition;
	struct ot_describe_quorum_request_topic topic;
	struct ot_describe_quorum_request request;
	struct ot_describe_quorum_response response;
	const struct ot_describe_quorum_response_partition *one;
	struct fixture_call call;
	(void)state;

	assert_ok(register_controller(1, 1));
	assert_ok(register_controller(2, 1));
	assert_ok(register_controller(2, 1));
	assert_int_equal(register_controller(-1, 1), OT_ERR_INVALID_REGISTRATION);
	(void)fixture_beat(fixture, 3, 0);
	ot_describe_quorum_request_init(&request);
	ot_describe_quorum_request_topic_init(&topic);
	ot_describe_quorum_request_partition_init(&partition);
	topic.topic_name = OT_STR_LIT("__cluster_metadata");
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.topics = &topic;
	request.topics_count = 1;
	ot_controller_describe_quorum(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
	one = &response.topics[0].partitions[0];
	assert_ok(one->error_code);
	assert_int_equal(one->leader_id, 1);
	assert_int_equal(one->high_watermark, ot_image_place(fixture->newest).offset + 1);
	assert_int_equal(one->current_voters_count, 2);
	assert_int_equal(one->current_voters[0].replica_id, 1);
	assert_int_equal(one->current_voters[0].log_end_offset, one->high_watermark);
	assert_int_equal(one->current_voters[1].replica_id, 2);
	assert_true(one->current_voters[1].log_end_offset < one->high_watermark);
	assert_int_equal(one->current_voters[1].last_caught_up_timestamp, -1);
	assert_int_equal(one->observers_count, 1);
	assert_int_equal(one->observers[0].replica_id, 3);
	assert_int_equal(one->observers[0].log_end_offset, one->high_watermark);
	assert_int_equal(response.nodes_count, 2);
	assert_int_equal(response.nodes[1].listeners[0].port, 9002);
	partition.partition_index = 1;
	ot_controller_describe_quorum(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.topics[0].partitions[0].error_code,
	    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_assign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_assign_after_loss, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_assign_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cordoned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_controller_features, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_old_level, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_quorum, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
