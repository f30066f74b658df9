/* Tests of src/cluster/control_isr.c: AlterPartition and each of its errors. */
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

static struct kit_isr *
good(struct ot_ids isr)
{
	return kit_isr_of(fixture, "t", 0, isr);
}

static void
create(void)
{
	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2, 3), NULL, NULL));
}

/* Goal: a leader shrinks and widens its ISR; each change raises the partition epoch, none the
 * leader's; what is no change changes nothing. Method: out, again, in. */
static void
test_changes(void **state)
{
	struct kit_isr *kit;
	(void)state;

	create();
	kit = good(KIT_IDS(1, 3));
	assert_ok(kit_isr_send(fixture, kit, 3));
	assert_int_equal(kit->response.topics[0].partitions[0].leader_id, 1);
	assert_int_equal(kit->response.topics[0].partitions[0].leader_epoch, 0);
	assert_int_equal(kit->response.topics[0].partitions[0].partition_epoch, 1);
	assert_int_equal(kit->response.topics[0].partitions[0].isr_count, 2);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "t", 0)), KIT_IDS(1, 3));
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 3)));
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 1);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 3, 2)));
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 2);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader_epoch, 0);
}

/* Goal: names up to version 1, ids from 2 on, and the error of each for what is not there. Method:
 * every version with a good request, then with an unknown topic and partition. */
static void
test_versions(void **state)
{
	struct ot_uuid unknown = { { 9, 9 } };
	(void)state;

	create();
	for (int16_t version = 0; version <= 3; version++) {
		struct kit_isr *kit = good(version % 2 == 0 ? KIT_IDS(1, 2) : KIT_IDS(1, 2, 3));

		assert_ok(kit_isr_send(fixture, kit, version));
		kit = good(KIT_IDS(1, 2, 3));
		kit->topic.topic_name = OT_STR_LIT("no.such");
		kit->topic.topic_id = unknown;
		assert_int_equal(kit_isr_send(fixture, kit, version),
		    version < 2 ? OT_ERR_UNKNOWN_TOPIC_OR_PARTITION : OT_ERR_UNKNOWN_TOPIC_ID);
		kit = good(KIT_IDS(1, 2, 3));
		kit->partition.partition_index = 1;
		assert_int_equal(kit_isr_send(fixture, kit, version),
		    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	}
}

/* Goal: whose epochs are wrong is told so, by which way they are wrong. Method: each alone. */
static void
test_epochs(void **state)
{
	struct kit_isr *kit;
	(void)state;

	create();
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 2)));
	kit = good(KIT_IDS(1, 2, 3));
	kit->partition.leader_epoch++;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_NOT_CONTROLLER);
	kit = good(KIT_IDS(1, 2, 3));
	kit->partition.partition_epoch++;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_NOT_CONTROLLER);
	kit = good(KIT_IDS(1, 2, 3));
	kit->partition.leader_epoch--;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_FENCED_LEADER_EPOCH);
	kit = good(KIT_IDS(1, 2, 3));
	kit->partition.partition_epoch--;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_UPDATE_VERSION);
	kit = good(KIT_IDS(1, 2, 3));
	kit->request.broker_id = 2;
	kit->request.broker_epoch = ot_image_broker(fixture->newest, 2)->epoch;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_REQUEST);
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 1);
}

/* Goal: a broker in an old registration is refused as a whole. Method: its epoch, one less. */
static void
test_broker_epoch(void **state)
{
	struct fixture_call call;
	struct kit_isr *kit;
	(void)state;

	create();
	kit = good(KIT_IDS(1, 2));
	kit->request.broker_epoch--;
	ot_controller_alter_partition(fixture->controller, fixture_call_init(fixture, &call),
	    &kit->request, 3, &kit->response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(kit->response.error_code, OT_ERR_STALE_BROKER_EPOCH);
	assert_int_equal(kit->response.topics_count, 0);
}

/* Goal: an ISR must be of replicas, each once, with the leader. Method: each mistake. */
static void
test_bad_isr(void **state)
{
	struct kit_isr *kit;
	(void)state;

	create();
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(1, 4)), OT_ERR_INVALID_REQUEST);
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(1, 2, 2)), OT_ERR_INVALID_REQUEST);
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(2, 3)), OT_ERR_INVALID_REQUEST);
	kit = good(KIT_IDS(1));
	kit->partition.new_isr_with_epochs_count = 0;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_REQUEST);
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 0);
}

/* Goal: nobody gets in sync who is fenced, about to stop, or was started anew since the leader
 * heard of it (KIP-841, KIP-903). Method: each, with the error of old versions too. */
static void
test_ineligible(void **state)
{
	struct kit_isr *kit;
	(void)state;

	create();
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1)));
	(void)fixture_beat(fixture, 2, BEAT_FENCE);
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(1, 2)), OT_ERR_INELIGIBLE_REPLICA);
	assert_int_equal(kit_isr_send(fixture, good(KIT_IDS(1, 2)), 1),
	    OT_ERR_OPERATION_NOT_ATTEMPTED);
	assert_ok(kit_create(fixture, "led.by.3", KIT_IDS(3, 4), NULL, NULL));
	assert_false(fixture_beat(fixture, 3, BEAT_SHUT_DOWN).should_shut_down);
	assert_true(ot_image_broker(fixture->newest, 3)->is_in_controlled_shutdown);
	assert_int_equal(kit_alter_isr(fixture, "t", KIT_IDS(1, 3)), OT_ERR_INELIGIBLE_REPLICA);
	(void)fixture_beat(fixture, 2, 0);
	kit = good(KIT_IDS(1, 2));
	kit->partition.new_isr_with_epochs[1].broker_epoch =
	    ot_image_broker(fixture->newest, 2)->epoch - 1;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INELIGIBLE_REPLICA);
	kit = good(KIT_IDS(1, 2));
	kit->partition.new_isr_with_epochs[1].broker_epoch =
	    ot_image_broker(fixture->newest, 2)->epoch;
	assert_ok(kit_isr_send(fixture, kit, 3));
}

/* Goal: a leader that was elected uncleanly recovers before anybody joins it, and cannot begin to
 * recover by itself. Method: an unclean election, then each state with each ISR. */
static void
test_recovery(void **state)
{
	struct kit_isr *kit;
	(void)state;

	create();
	kit = good(KIT_IDS(1));
	kit->partition.leader_recovery_state = OT_RECOVERY_RECOVERING;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_REQUEST);
	kit = good(KIT_IDS(1));
	kit->partition.leader_recovery_state = 7;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_REQUEST);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1)));
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	assert_ok(kit_elect(fixture, "t", 0, 1, NULL));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERING);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "t", 0)), KIT_IDS(2));
	kit = good(KIT_IDS(2, 3));
	kit->partition.leader_recovery_state = OT_RECOVERY_RECOVERING;
	assert_int_equal(kit_isr_send(fixture, kit, 3), OT_ERR_INVALID_REQUEST);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(2, 3)));
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERED);
}

/* Goal: the second of two changes of one partition in one request sees the first. Method: both with
 * the same epochs: the second is out of date. */
static void
test_twice(void **state)
{
	struct ot_alter_partition_request_partition both[2];
	struct fixture_call call;
	struct kit_isr *kit;
	(void)state;

	create();
	kit = good(KIT_IDS(1, 2));
	both[0] = both[1] = kit->partition;
	kit->topic.partitions = both;
	kit->topic.partitions_count = 2;
	ot_controller_alter_partition(fixture->controller, fixture_call_init(fixture, &call),
	    &kit->request, 3, &kit->response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(kit->response.topics[0].partitions[0].error_code);
	assert_int_equal(kit->response.topics[0].partitions[1].error_code,
	    OT_ERR_INVALID_UPDATE_VERSION);
	assert_int_equal(kit_partition(fixture, "t", 0)->partition_epoch, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_versions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_epochs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broker_epoch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_isr, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ineligible, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recovery, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_twice, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
