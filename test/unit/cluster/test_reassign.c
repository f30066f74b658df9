/* Tests of src/cluster/control_reassign.c: reassignments from their beginning to their end. */
#include "kit.h"

#define SETTINGS ""

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create(SETTINGS);
	ot_sim_world_run_for_ms(fixture->world, 10);
	for (int32_t id = 1; id <= 4; id++)
		fixture_add_broker(fixture, id, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_destroy(fixture);
	return 0;
}

#define CANCEL ((struct ot_ids){ 0 })

static const struct ot_partition_image *
partition(void)
{
	return kit_partition(fixture, "t", 0);
}

static void
assert_partition(struct ot_ids replicas, struct ot_ids adding, struct ot_ids removing)
{
	kit_assert_ids(ot_partition_replicas(partition()), replicas);
	kit_assert_ids(ot_partition_adding(partition()), adding);
	kit_assert_ids(ot_partition_removing(partition()), removing);
}

static ot_err
reassign(struct ot_ids ids)
{
	return kit_reassign(fixture, "t", 0, ids, true, NULL);
}

/* Goal: new replicas join first; when all are in sync, the old ones go, the leader with them, who
 * is told that another one leads. Method: two of three replaced. */
static void
test_whole(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_ok(reassign(KIT_IDS(3, 4)));
	assert_partition(KIT_IDS(3, 4, 1, 2), KIT_IDS(3, 4), KIT_IDS(1, 2));
	assert_int_equal(partition()->leader, 1);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 2, 3)));
	assert_partition(KIT_IDS(3, 4, 1, 2), KIT_IDS(3, 4), KIT_IDS(1, 2));
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(1, 2, 3, 4)),
	    OT_ERR_NEW_LEADER_ELECTED);
	assert_partition(KIT_IDS(3, 4), CANCEL, CANCEL);
	kit_assert_ids(ot_partition_isr(partition()), KIT_IDS(3, 4));
	assert_int_equal(partition()->leader, 3);
	assert_int_equal(partition()->leader_epoch, 1);
	for (int32_t i = 0; i < 2; i++) {
		struct ot_uuid directory = ot_partition_directory(partition(), i);
		struct ot_uuid expected = fixture_directory(3 + i);

		assert_true(ot_uuid_equal(&directory, &expected));
	}
}

/* Goal: what needs nobody new is done at once: another order, fewer replicas. Method: both. */
static void
test_at_once(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2, 3), NULL, NULL));
	assert_ok(reassign(KIT_IDS(3, 2, 1)));
	assert_partition(KIT_IDS(3, 2, 1), CANCEL, CANCEL);
	assert_int_equal(partition()->leader, 1);
	assert_int_equal(partition()->leader_epoch, 0);
	assert_ok(reassign(KIT_IDS(3, 2)));
	assert_partition(KIT_IDS(3, 2), CANCEL, CANCEL);
	assert_int_equal(partition()->leader, 3);
	assert_int_equal(partition()->leader_epoch, 1);
	assert_ok(reassign(KIT_IDS(3, 2)));
	assert_int_equal(partition()->partition_epoch, 2);
}

/* Goal: cancelling leads back, also after a second reassignment took the place of the first.
 * Method: both. */
static void
test_cancel(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_int_equal(reassign(CANCEL), OT_ERR_NO_REASSIGNMENT_IN_PROGRESS);
	assert_ok(reassign(KIT_IDS(3, 1)));
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 2)));
	assert_ok(reassign(CANCEL));
	assert_partition(KIT_IDS(1, 2), CANCEL, CANCEL);
	assert_ok(reassign(KIT_IDS(3)));
	assert_ok(reassign(KIT_IDS(4, 3)));
	assert_partition(KIT_IDS(4, 3, 1, 2), KIT_IDS(3, 4), KIT_IDS(1, 2));
	assert_ok(reassign(CANCEL));
	assert_partition(KIT_IDS(1, 2), CANCEL, CANCEL);
	assert_ok(reassign(KIT_IDS(3)));
	assert_ok(reassign(KIT_IDS(1, 2)));
	assert_partition(KIT_IDS(1, 2), CANCEL, CANCEL);
}

/* Goal: nothing is cancelled that would lose what was committed, unless the topic allows it.
 * Method: only a new replica is in sync. */
static void
test_cancel_loses(void **state)
{
	struct ot_str message;
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1), NULL, NULL));
	assert_ok(reassign(KIT_IDS(2, 3)));
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 2)));
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	kit_assert_ids(ot_partition_isr(partition()), KIT_IDS(2));
	assert_int_equal(kit_reassign(fixture, "t", 0, CANCEL, true, &message),
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT);
	assert_text(message, "Unable to revert partition assignment for t:0 because it would "
			     "require an unclean leader election.");
	assert_ok(kit_set(fixture, OT_RESOURCE_TOPIC, "t", "unclean.leader.election.enable", "true",
	    NULL));
	(void)fixture_beat(fixture, 1, 0);
	assert_ok(reassign(CANCEL));
	assert_partition(KIT_IDS(1), CANCEL, CANCEL);
	assert_int_equal(partition()->leader, 1);
	assert_int_equal(partition()->recovery_state, OT_RECOVERY_RECOVERING);
}

/* Goal: each mistake has its error and says what is wrong. Method: one mistake each. */
static void
test_refused(void **state)
{
	struct ot_str message;
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_int_equal(kit_reassign(fixture, "u", 0, KIT_IDS(1), true, &message),
	    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_text(message, "Unable to find a topic named u.");
	assert_int_equal(kit_reassign(fixture, "t", 3, KIT_IDS(1), true, &message),
	    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_text(message, "Unable to find partition t:3.");
	assert_int_equal(kit_reassign(fixture, "t", 0, KIT_IDS(1, 9), true, &message),
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT);
	assert_text(message,
	    "The manual partition assignment includes broker 9, but no such broker "
	    "is registered.");
	assert_int_equal(kit_reassign(fixture, "t", 0, KIT_IDS(3, 3), true, &message),
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT);
	assert_text(message,
	    "The manual partition assignment includes the broker 3 more than once.");
	assert_int_equal(kit_reassign(fixture, "t", 0, KIT_IDS(1, 2, 3), false, &message),
	    OT_ERR_INVALID_REPLICATION_FACTOR);
	assert_text(message, "The replication factor is changed from 2 to 3");
	assert_int_equal(partition()->partition_epoch, 0);
	assert_ok(kit_reassign(fixture, "t", 0, KIT_IDS(3, 4), false, NULL));
	/* Four replicas, of which two shall stay. */
	assert_ok(kit_reassign(fixture, "t", 0, KIT_IDS(4, 3), false, NULL));
}

static void
list(struct ot_list_partition_reassignments_response *response,
    struct ot_list_partition_reassignments_request_topic *topic)
{
	struct ot_list_partition_reassignments_request request;
	struct fixture_call call;

	ot_list_partition_reassignments_request_init(&request);
	request.topics = topic;
	request.topics_count = topic == NULL ? -1 : 1;
	ot_controller_list_partition_reassignments(fixture->controller,
	    fixture_call_init(fixture, &call), &request, response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response->error_code);
}

/* Goal: the list has what is under way, of all topics or of the named partitions. Method: one of
 * two topics. */
static void
test_list(void **state)
{
	struct ot_list_partition_reassignments_response response;
	struct ot_list_partition_reassignments_request_topic topic;
	int32_t index = 0;
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_ok(kit_create(fixture, "u", KIT_IDS(1, 2), NULL, NULL));
	list(&response, NULL);
	assert_int_equal(response.topics_count, 0);
	assert_ok(reassign(KIT_IDS(1, 3)));
	list(&response, NULL);
	assert_int_equal(response.topics_count, 1);
	assert_text(response.topics[0].name, "t");
	assert_int_equal(response.topics[0].partitions_count, 1);
	assert_int_equal(response.topics[0].partitions[0].replicas_count, 3);
	assert_int_equal(response.topics[0].partitions[0].adding_replicas[0], 3);
	assert_int_equal(response.topics[0].partitions[0].removing_replicas[0], 2);
	ot_list_partition_reassignments_request_topic_init(&topic);
	topic.name = OT_STR_LIT("u");
	topic.partition_indexes = &index;
	topic.partition_indexes_count = 1;
	list(&response, &topic);
	assert_int_equal(response.topics_count, 0);
	topic.name = OT_STR_LIT("t");
	list(&response, &topic);
	assert_int_equal(response.topics_count, 1);
	index = 1;
	list(&response, &topic);
	assert_int_equal(response.topics_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_loses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
