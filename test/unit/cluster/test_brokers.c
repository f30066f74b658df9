/* Tests of src/cluster/control_brokers.c and control_cluster.c: registration, heartbeats, the
 * leaders that follow, producer ids, features. */
#include "fixture.h"

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create("");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_destroy(fixture);
	return 0;
}

/* ---- registration ---------------------------------------------------------------------------- */

static struct ot_broker_registration_request_feature features[2];
static struct ot_uuid directories[2];

/* A good request. */
static struct ot_broker_registration_request
registration(int32_t id)
{
	struct ot_broker_registration_request request;

	ot_broker_registration_request_init(&request);
	memset(directories, 0, sizeof(directories));
	directories[0] = fixture_directory(id);
	request.broker_id = id;
	request.cluster_id = ot_str_from(CLUSTER_ID);
	request.incarnation_id = ot_io_random_uuid(fixture->io);
	fixture_fill_features(&request);
	memcpy(features, request.features, sizeof(features));
	request.features = features;
	request.log_dirs = directories;
	request.log_dirs_count = 1;
	return request;
}

static ot_err
register_as(const struct ot_broker_registration_request *request, int64_t *ret_epoch)
{
	struct ot_broker_registration_response response;
	struct fixture_call call;

	ot_controller_register_broker(fixture->controller, fixture_call_init(fixture, &call),
	    request, &response);
	assert_ok(fixture_wait(fixture, &call));
	if (ret_epoch != NULL)
		*ret_epoch = response.broker_epoch;
	return ot_err_from_wire(response.error_code);
}

/* Goal: who may register. Method: one mistake each. */
static void
test_register_refused(void **state)
{
	struct ot_broker_registration_request request = registration(1);
	(void)state;

	request.cluster_id = OT_STR_LIT("another");
	assert_int_equal(register_as(&request, NULL), OT_ERR_INCONSISTENT_CLUSTER_ID);
	request = registration(-1);
	assert_int_equal(register_as(&request, NULL), OT_ERR_INVALID_REGISTRATION);
	request = registration(1);
	request.is_migrating_zk_broker = true;
	assert_int_equal(register_as(&request, NULL), OT_ERR_BROKER_ID_NOT_REGISTERED);
	request = registration(1);
	request.log_dirs_count = 0;
	assert_int_equal(register_as(&request, NULL), OT_ERR_INVALID_REGISTRATION);
	request = registration(1);
	directories[0] = (struct ot_uuid){ { [15] = 99 } }; /* reserved */
	assert_int_equal(register_as(&request, NULL), OT_ERR_INVALID_REGISTRATION);
	request = registration(1);
	directories[1] = directories[0];
	request.log_dirs_count = 2;
	assert_int_equal(register_as(&request, NULL), OT_ERR_INVALID_REGISTRATION);
	request = registration(1);
	features[0].max_supported_version = 29;
	assert_int_equal(register_as(&request, NULL), OT_ERR_UNSUPPORTED_VERSION);
	request = registration(1);
	request.features_count = 0;
	assert_int_equal(register_as(&request, NULL), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(ot_image_broker_count(fixture->newest), 0);
	request = registration(1);
	assert_ok(register_as(&request, NULL));
	request = registration(2);
	directories[0] = fixture_directory(1);
	assert_int_equal(register_as(&request, NULL), OT_ERR_INVALID_REGISTRATION);
}

/* Goal: the same incarnation keeps its epoch, a new one gets a new one, and is fenced. Method:
 * three registrations. */
static void
test_incarnations(void **state)
{
	struct ot_broker_registration_request request = registration(1);
	int64_t first, again, second;
	(void)state;

	assert_ok(register_as(&request, &first));
	assert_int_equal(first, ot_image_place(fixture->newest).offset);
	assert_true(ot_image_broker(fixture->newest, 1)->is_fenced);
	request.rack = OT_STR_LIT("moved");
	assert_ok(register_as(&request, &again));
	assert_int_equal(again, first);
	assert_text(ot_image_broker(fixture->newest, 1)->rack, "moved");
	request = registration(1);
	assert_ok(register_as(&request, &second));
	assert_true(second > first);
	assert_int_equal(ot_image_broker(fixture->newest, 1)->epoch, second);
	assert_int_equal(ot_image_broker_count(fixture->newest), 1);
}

/* ---- heartbeats ------------------------------------------------------------------------------ */

static struct ot_broker_heartbeat_response
beat(int32_t id, bool want_fence, bool want_shut_down)
{
	return fixture_beat(fixture, id,
	    (want_fence ? BEAT_FENCE : 0) | (want_shut_down ? BEAT_SHUT_DOWN : 0));
}

static const struct ot_partition_image *
partition(int32_t index)
{
	return ot_topic_partition(ot_image_topic(fixture->newest, OT_STR_LIT("t")), index);
}

/* Goal: a broker is unfenced when it has read its registration, and only in its epoch. Method:
 * stale epochs, an old offset, a good one. */
static void
test_unfence(void **state)
{
	struct ot_broker_registration_request request = registration(1);
	struct ot_broker_heartbeat_request heartbeat;
	struct ot_broker_heartbeat_response response;
	struct fixture_call call;
	int64_t epoch;
	(void)state;

	assert_ok(register_as(&request, &epoch));
	ot_broker_heartbeat_request_init(&heartbeat);
	for (int i = 0; i < 2; i++) {
		heartbeat.broker_id = 1 + i;
		heartbeat.broker_epoch = epoch - 1;
		ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call),
		    &heartbeat, &response);
		assert_ok(fixture_wait(fixture, &call));
		assert_int_equal(response.error_code, OT_ERR_STALE_BROKER_EPOCH);
	}
	heartbeat.broker_id = 1;
	heartbeat.broker_epoch = epoch;
	heartbeat.current_metadata_offset = epoch - 1;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &heartbeat,
	    &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_false(response.is_caught_up);
	assert_true(response.is_fenced);
	response = beat(1, false, false);
	assert_true(response.is_caught_up);
	assert_false(response.is_fenced);
	assert_false(ot_image_broker(fixture->newest, 1)->is_fenced);
}

/* Goal: leaders leave a broker that leaves, for one in sync; the last one keeps its partitions
 * without a leader, and leads them again when it is back. Method: two brokers, fenced in turn. */
static void
test_leaders(void **state)
{
	int32_t epoch;
	(void)state;

	fixture_add_broker(fixture, 1, NULL);
	fixture_add_broker(fixture, 2, NULL);
	assert_ok(fixture_create_topic(fixture, "t", 8, 2, NULL));
	epoch = partition(0)->leader_epoch;
	(void)beat(2, true, false);
	for (int32_t i = 0; i < 8; i++) {
		assert_int_equal(partition(i)->leader, 1);
		assert_int_equal(ot_partition_isr(partition(i)).count, 1);
		assert_int_equal(ot_partition_replicas(partition(i)).count, 2);
	}
	(void)beat(1, true, false);
	for (int32_t i = 0; i < 8; i++) {
		assert_int_equal(partition(i)->leader, OT_NO_LEADER);
		assert_int_equal(ot_partition_isr(partition(i)).items[0], 1);
	}
	/* It is not in sync: it cannot lead. */
	(void)beat(2, false, false);
	assert_int_equal(partition(0)->leader, OT_NO_LEADER);
	(void)beat(1, false, false);
	for (int32_t i = 0; i < 8; i++) {
		assert_int_equal(partition(i)->leader, 1);
		assert_true(partition(i)->leader_epoch > epoch);
	}
}

/* Goal: a lone broker that comes back goes on leading; after an unclean stop in new epochs. Method:
 * registrations with and without the epoch of before. */
static void
test_lone_broker(void **state)
{
	struct ot_broker_registration_request request;
	int64_t epoch = fixture_add_broker(fixture, 1, NULL);
	(void)state;

	assert_ok(fixture_create_topic(fixture, "t", 3, 1, NULL));
	assert_true(beat(1, false, true).should_shut_down);
	request = registration(1);
	request.previous_broker_epoch = epoch;
	assert_ok(register_as(&request, &epoch));
	(void)beat(1, false, false);
	for (int32_t i = 0; i < 3; i++) {
		assert_int_equal(partition(i)->leader, 1);
		assert_int_equal(partition(i)->leader_epoch, 0);
	}
	fixture_close_controller(fixture); /* killed with the broker */
	fixture_start_controller(fixture);
	request = registration(1);
	assert_ok(register_as(&request, &epoch));
	assert_int_equal(epoch, ot_image_place(fixture->newest).offset);
	(void)beat(1, false, false);
	for (int32_t i = 0; i < 3; i++) {
		assert_int_equal(partition(i)->leader, 1);
		assert_int_equal(partition(i)->leader_epoch, 1);
	}
}

/* Goal: more records than one operation may have go in several batches, the registration last.
 * Method: an unclean return to 25,000 partitions. */
static void
test_many_partitions(void **state)
{
	struct ot_broker_registration_request request;
	size_t batch_count;
	char name[20];
	int64_t epoch;
	(void)state;

	fixture_add_broker(fixture, 1, NULL);
	for (int i = 0; i < 25; i++) {
		(void)snprintf(name, sizeof(name), "t%d", i);
		assert_ok(fixture_create_topic(fixture, name, 1000, 1, NULL));
	}
	fixture_close_controller(fixture); /* killed with the broker */
	fixture_start_controller(fixture);
	batch_count = fixture->disk->batch_count;
	request = registration(1);
	assert_ok(register_as(&request, &epoch));
	assert_int_equal(fixture->disk->batch_count - batch_count, 3);
	assert_int_equal(epoch, ot_image_place(fixture->newest).offset);
	for (int i = 0; i < 25; i++) {
		const struct ot_topic_image *topic;

		(void)snprintf(name, sizeof(name), "t%d", i);
		topic = ot_image_topic(fixture->newest, ot_str_from(name));
		for (int32_t j = 0; j < 1000; j++)
			assert_int_equal(ot_topic_partition(topic, j)->leader_epoch, 1);
	}
}

/* Goal: controlled shutdown moves leaders first; the end of a broker removes it. Method: two
 * brokers, one stops, and is unregistered. */
static void
test_shutdown(void **state)
{
	struct ot_unregister_broker_request request;
	struct ot_unregister_broker_response response;
	struct fixture_call call;
	(void)state;

	fixture_add_broker(fixture, 1, NULL);
	fixture_add_broker(fixture, 2, NULL);
	assert_ok(fixture_create_topic(fixture, "t", 8, 2, NULL));
	assert_false(beat(2, false, true).should_shut_down);
	assert_true(ot_image_broker(fixture->newest, 2)->is_in_controlled_shutdown);
	for (int32_t i = 0; i < 8; i++)
		assert_int_equal(partition(i)->leader, 1);
	/* Not before the others know who leads. */
	assert_false(beat(2, false, true).should_shut_down);
	(void)beat(1, false, false);
	assert_true(beat(2, false, true).should_shut_down);
	assert_true(ot_image_broker(fixture->newest, 2)->is_fenced);
	ot_unregister_broker_request_init(&request);
	for (int i = 0; i < 2; i++) {
		request.broker_id = 2;
		ot_controller_unregister_broker(fixture->controller,
		    fixture_call_init(fixture, &call), &request, &response);
		assert_ok(fixture_wait(fixture, &call));
		assert_int_equal(response.error_code,
		    i == 0 ? OT_OK : OT_ERR_BROKER_ID_NOT_REGISTERED);
		assert_text(response.error_message,
		    i == 0 ? NULL : "Broker ID 2 is not currently registered");
	}
	assert_null(ot_image_broker(fixture->newest, 2));
}

/* ---- producer ids ---------------------------------------------------------------------------- */

/* Goal: blocks of 1,000 ids, none twice, over a restart too; only for a registered broker. Method:
 * three blocks, a restart between, a stale epoch. */
static void
test_producer_ids(void **state)
{
	struct ot_allocate_producer_ids_request request;
	struct ot_allocate_producer_ids_response response;
	struct fixture_call call;
	(void)state;

	ot_allocate_producer_ids_request_init(&request);
	request.broker_id = 1;
	request.broker_epoch = fixture_add_broker(fixture, 1, NULL);
	for (int64_t i = 0; i < 3; i++) {
		ot_controller_allocate_producer_ids(fixture->controller,
		    fixture_call_init(fixture, &call), &request, &response);
		assert_ok(fixture_wait(fixture, &call));
		assert_ok(response.error_code);
		assert_int_equal(response.producer_id_start, i * 1000);
		assert_int_equal(response.producer_id_len, 1000);
		if (i == 1) {
			fixture_close_controller(fixture);
			fixture_start_controller(fixture);
		}
	}
	request.broker_epoch++;
	ot_controller_allocate_producer_ids(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.error_code, OT_ERR_STALE_BROKER_EPOCH);
}

/* ---- features -------------------------------------------------------------------------------- */

struct feature_step {
	const char *name;
	int16_t level;
	int8_t type;
	ot_err err;
	const char *message;
};

static void
update(const struct feature_step *step)
{
	struct ot_update_features_request_feature_update one;
	struct ot_update_features_request request;
	struct ot_update_features_response response;
	struct fixture_call call;

	ot_update_features_request_init(&request);
	ot_update_features_request_feature_update_init(&one);
	one.feature = ot_str_from(step->name);
	one.max_version_level = step->level;
	one.upgrade_type = step->type;
	request.feature_updates = &one;
	request.feature_updates_count = 1;
	ot_controller_update_features(fixture->controller, fixture_call_init(fixture, &call),
	    &request, 1, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.error_code, ot_err_to_wire(step->err));
	assert_text(response.error_message, step->message);
	assert_int_equal(response.results_count, 1);
	assert_int_equal(response.results[0].error_code, ot_err_to_wire(step->err));
}

#define ALL_FAILED "The update failed for all features since the following feature had an error: "

/* Goal: levels of features, and what is refused. Method: a table. */
static void
test_features(void **state)
{
	static const struct feature_step steps[] = {
		{ "metadata.version", 30, 1, OT_OK, NULL },
		{ "metadata.version", 31, 1, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid update version 31 for feature metadata.version. Local "
			       "controller 1 only supports versions 7-30" },
		{ "metadata.version", 29, 1, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid update version 29 for feature metadata.version. Can't "
			       "downgrade the version of this feature without setting the upgrade "
			       "type to either safe or unsafe downgrade." },
		{ "metadata.version", 29, 2, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid metadata.version 29. Refusing to perform the requested "
			       "downgrade because it might delete metadata information." },
		{ "metadata.version", 29, 3, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid metadata.version 29. Unsafe metadata downgrade is not "
			       "supported in this version." },
		{ "metadata.version", -1, 1, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid update version -1 for feature metadata.version. A feature "
			       "version cannot be less than 0." },
		{ "metadata.version", 30, 9, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid update version 30 for feature metadata.version. The "
			       "controller does not support the given upgrade type." },
		{ "no.such", 1, 1, OT_ERR_INVALID_UPDATE_VERSION,
		    ALL_FAILED "Invalid update version 1 for feature no.such. Local controller 1 "
			       "does not support this feature." },
	};
	(void)state;

	for (size_t i = 0; i < OT_ARRAY_COUNT(steps); i++)
		update(&steps[i]);
	ot_sim_world_run_for_ms(fixture->world, 10);
	assert_int_equal(ot_image_feature(fixture->newest, OT_STR_LIT("metadata.version")), 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_register_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_incarnations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unfence, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leaders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lone_broker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_partitions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shutdown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_producer_ids, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_features, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
