/* Tests of src/cluster/control_elections.c: ElectLeaders, balancing, unclean elections by the
 * timer. */
#include "kit.h"

#define SETTINGS                                       \
	"leader.imbalance.check.interval.seconds=60\n" \
	"unclean.leader.election.interval.ms=20000\n"  \
	"broker.session.timeout.ms=100000000\n"

enum { PREFERRED, UNCLEAN };

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

static void
move_leader(const char *topic)
{
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	assert_int_equal(kit_partition(fixture, topic, 0)->leader, 2);
	(void)fixture_beat(fixture, 1, 0);
	assert_int_equal(kit_partition(fixture, topic, 0)->leader, 2);
}

/* Goal: a preferred election moves the leadership to the first replica, once it is in sync, and
 * says when it cannot or need not. Method: a leader that left and comes back. */
static void
test_preferred(void **state)
{
	struct ot_str message;
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2, 3), NULL, NULL));
	assert_int_equal(kit_elect(fixture, "t", 0, PREFERRED, &message),
	    OT_ERR_ELECTION_NOT_NEEDED);
	move_leader("t");
	assert_int_equal(kit_elect(fixture, "t", 0, PREFERRED, &message),
	    OT_ERR_PREFERRED_LEADER_NOT_AVAILABLE);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(2, 3, 1)));
	assert_ok(kit_elect(fixture, "t", 0, PREFERRED, &message));
	assert_text(message, NULL);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 1);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader_epoch, 2);
}

/* Goal: an unclean election only where nobody leads, and only of somebody who lives; the setting of
 * the topic does not matter when it is asked for. Method: replicas that leave one by one. */
static void
test_unclean(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_int_equal(kit_elect(fixture, "t", 0, UNCLEAN, NULL), OT_ERR_ELECTION_NOT_NEEDED);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1)));
	(void)fixture_beat(fixture, 2, BEAT_FENCE);
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	assert_int_equal(kit_elect(fixture, "t", 0, UNCLEAN, NULL),
	    OT_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE);
	(void)fixture_beat(fixture, 2, 0);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, OT_NO_LEADER);
	assert_ok(kit_elect(fixture, "t", 0, UNCLEAN, NULL));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERING);
}

/* Goal: what is not there is named. Method: a topic, a partition, a type of election. */
static void
test_unknown(void **state)
{
	struct ot_str message;
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1), NULL, NULL));
	assert_int_equal(kit_elect(fixture, "no.such", 0, PREFERRED, &message),
	    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_text(message, "No such topic as no.such");
	assert_int_equal(kit_elect(fixture, "t", 1, PREFERRED, &message),
	    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
	assert_text(message, "No such partition as t-1");
	assert_int_equal(kit_elect(fixture, "t", 0, 7, &message), OT_ERR_INVALID_REQUEST);
	assert_text(message, "Unknown election type 7");
}

/* Goal: without names, all partitions; those that need nothing are left out. Method: two topics,
 * one of which has another leader. */
static void
test_everywhere(void **state)
{
	struct ot_elect_leaders_request request;
	struct ot_elect_leaders_response response;
	struct fixture_call call;
	(void)state;

	assert_ok(kit_create(fixture, "a", KIT_IDS(1, 2), NULL, NULL));
	assert_ok(kit_create(fixture, "b", KIT_IDS(3, 2), NULL, NULL));
	move_leader("a");
	assert_ok(kit_alter_isr(fixture, "a", KIT_IDS(1, 2)));
	ot_elect_leaders_request_init(&request);
	assert_int_equal(request.topic_partitions_count, 0);
	request.topic_partitions_count = -1;
	ot_controller_elect_leaders(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.replica_election_results_count, 2);
	assert_text(response.replica_election_results[0].topic, "a");
	assert_int_equal(response.replica_election_results[0].partition_result_count, 1);
	assert_ok(response.replica_election_results[0].partition_result[0].error_code);
	assert_int_equal(response.replica_election_results[1].partition_result_count, 0);
	assert_int_equal(kit_partition(fixture, "a", 0)->leader, 1);
}

/* Goal: leaderships go back by themselves, and not before the time. Method: two intervals. */
static void
test_balance(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	move_leader("t");
	ot_sim_world_run_for_ms(fixture->world, 61000);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2); /* 1 is not in sync */
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 2)));
	ot_sim_world_run_for_ms(fixture->world, 50000);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	ot_sim_world_run_for_ms(fixture->world, 11000);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 1);
}

/* Goal: more leaders than one batch moves go back all the same. Method: 2,500 partitions. */
static void
test_balance_many(void **state)
{
	const struct ot_topic_image *topic;
	(void)state;

	assert_ok(fixture_create_topic(fixture, "t", 2500, 4, NULL));
	for (int32_t id = 2; id <= 4; id++)
		(void)fixture_beat(fixture, id, BEAT_FENCE);
	for (int32_t id = 2; id <= 4; id++)
		(void)fixture_beat(fixture, id, 0);
	for (int32_t i = 0; i < 2500; i++) {
		struct kit_isr *kit;

		assert_int_equal(kit_partition(fixture, "t", i)->leader, 1);
		kit = kit_isr_of(fixture, "t", i, KIT_IDS(1, 2, 3, 4));
		assert_ok(kit_isr_send(fixture, kit, 3));
	}
	ot_sim_world_run_for_ms(fixture->world, 61000);
	topic = ot_image_topic(fixture->newest, OT_STR_LIT("t"));
	for (int32_t i = 0; i < 2500; i++) {
		const struct ot_partition_image *partition = ot_topic_partition(topic, i);

		assert_int_equal(partition->leader, ot_partition_replicas(partition).items[0]);
	}
}

/* Goal: with the setting of the topic a leader out of sync is found after a while, without it
 * never. Method: the setting comes after the partition has lost its leader. */
static void
test_unclean_timer(void **state)
{
	(void)state;

	assert_ok(kit_create(fixture, "t", KIT_IDS(1, 2), NULL, NULL));
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1)));
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	ot_sim_world_run_for_ms(fixture->world, 60000);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, OT_NO_LEADER);
	assert_ok(kit_set(fixture, OT_RESOURCE_TOPIC, "t", "unclean.leader.election.enable", "true",
	    NULL));
	ot_sim_world_run_for_ms(fixture->world, 21000);
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_preferred, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unclean, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_everywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_balance, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_balance_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unclean_timer, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
