/* Tests of eligible leader replicas (KIP-966): partition_change.c with the feature, and the
 * settings and levels that go with it. */
#include "kit.h"

#define FEATURE "eligible.leader.replicas.version"
#define NONE    ((struct ot_ids){ 0 })

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create("broker.session.timeout.ms=100000000\nmin.insync.replicas=2\n");
	ot_sim_world_run_for_ms(fixture->world, 10);
	for (int32_t id = 1; id <= 3; id++)
		fixture_add_broker(fixture, id, NULL);
	assert_int_equal(ot_image_feature(fixture->newest, OT_STR_LIT(FEATURE)), 1);
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
assert_partition(int32_t leader, struct ot_ids isr, struct ot_ids elr, struct ot_ids last)
{
	const struct ot_partition_image *partition = kit_partition(fixture, "t", 0);

	assert_int_equal(partition->leader, leader);
	kit_assert_ids(ot_partition_isr(partition), isr);
	kit_assert_ids(ot_partition_elr(partition), elr);
	kit_assert_ids(ot_partition_last_known_elr(partition), last);
}

/* A clean stop, or one that lost what was not synced. */
static void
stop(int32_t id)
{
	(void)fixture_beat(fixture, id, BEAT_FENCE);
}

static void
come_back(int32_t id, bool is_clean)
{
	int64_t epoch = ot_image_broker(fixture->newest, id)->epoch;

	(void)fixture_beat(fixture, id, BEAT_SHUT_DOWN);
	assert_ok(fixture_register(fixture, id, NULL, is_clean ? epoch : -1, NULL));
	(void)fixture_beat(fixture, id, 0);
}

/* Goal: who leaves a small ISR stays eligible, in the order of leaving, and the ISR may get empty;
 * whoever of them is back first leads; the rest join again through the ISR. Method: three stop, the
 * second comes back first. */
static void
test_walk(void **state)
{
	(void)state;

	stop(3);
	assert_partition(1, KIT_IDS(1, 2), NONE, NONE);
	stop(1);
	assert_partition(2, KIT_IDS(2), KIT_IDS(1), NONE);
	stop(2);
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(1, 2), KIT_IDS(2));
	(void)fixture_beat(fixture, 3, 0);
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(1, 2), KIT_IDS(2));
	(void)fixture_beat(fixture, 1, 0);
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERED);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 3)));
	assert_partition(1, KIT_IDS(1, 3), NONE, NONE);
}

/* Goal: an unclean stop ends eligibility; others that are eligible lead, though the last leader is
 * back. Method: the last leader comes back uncleanly, then the other one. */
static void
test_unclean_stop(void **state)
{
	(void)state;

	stop(3);
	stop(1);
	stop(2);
	come_back(2, false);
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(1), KIT_IDS(2));
	come_back(1, true);
	assert_partition(1, KIT_IDS(1), NONE, NONE);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERED);
}

/* Goal: when all have stopped uncleanly, the last leader leads, and is told that it recovers; until
 * it is back, nobody does. Method: it comes back last. */
static void
test_last_leader(void **state)
{
	(void)state;

	stop(3);
	stop(1);
	stop(2);
	come_back(1, false);
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(2), KIT_IDS(2));
	come_back(3, false);
	come_back(2, false);
	assert_partition(2, KIT_IDS(2), NONE, NONE);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERING);
}

/* Goal: who is unregistered is not eligible. Method: an eligible broker goes for good. */
static void
test_unregister(void **state)
{
	(void)state;

	stop(3);
	stop(2);
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_ok(kit_unregister(fixture, 2));
	assert_partition(1, KIT_IDS(1), NONE, NONE);
}

/* Goal: a smaller least ISR empties lists that it does not justify, a larger one changes nothing;
 * where nobody is in sync they stay, since nothing can be committed. Method: both, for the topic
 * and for the cluster. */
static void
test_least_isr(void **state)
{
	(void)state;

	stop(3);
	stop(2);
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_ok(kit_set(fixture, OT_RESOURCE_TOPIC, "t", "min.insync.replicas", "3", NULL));
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_ok(kit_set(fixture, OT_RESOURCE_TOPIC, "t", "min.insync.replicas", "1", NULL));
	assert_partition(1, KIT_IDS(1), NONE, NONE);
	assert_ok(kit_set(fixture, OT_RESOURCE_TOPIC, "t", "min.insync.replicas", NULL, NULL));
	stop(1);
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(1), KIT_IDS(1));
	assert_ok(kit_set(fixture, OT_RESOURCE_BROKER, "", "min.insync.replicas", "1", NULL));
	assert_partition(OT_NO_LEADER, NONE, KIT_IDS(1), KIT_IDS(1));
	(void)fixture_beat(fixture, 1, 0);
	assert_partition(1, KIT_IDS(1), NONE, NONE);
}

/* Goal: with the feature the least ISR is the cluster's, in the log: that of the property file at
 * first, of no single broker, and not to be taken away. Method: what is there, and what is refused.
 */
static void
test_settings(void **state)
{
	const struct ot_config_image *config =
	    ot_image_config(fixture->newest, OT_RESOURCE_BROKER, OT_STR_LIT(""));
	struct ot_str message;
	(void)state;

	assert_non_null(config);
	assert_int_equal(config->pair_count, 1);
	assert_text(config->pairs[0].name, "min.insync.replicas");
	assert_text(config->pairs[0].value, "2");
	assert_int_equal(
	    kit_set(fixture, OT_RESOURCE_BROKER, "", "min.insync.replicas", NULL, &message),
	    OT_ERR_INVALID_CONFIG);
	assert_text(message,
	    "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
	assert_int_equal(
	    kit_set(fixture, OT_RESOURCE_BROKER, "1", "min.insync.replicas", "1", &message),
	    OT_ERR_INVALID_CONFIG);
	assert_text(message,
	    "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
}

/* Goal: without the feature partitions are as if they never had it: the last who could lead is in
 * sync. Method: it is taken back while nobody leads. */
static void
test_feature(void **state)
{
	(void)state;

	stop(3);
	stop(1);
	stop(2);
	assert_int_equal(kit_update_feature(fixture, FEATURE, 2, 1), OT_ERR_INVALID_UPDATE_VERSION);
	assert_int_equal(kit_update_feature(fixture, FEATURE, 0, 1), OT_ERR_INVALID_UPDATE_VERSION);
	assert_ok(kit_update_feature(fixture, FEATURE, 0, 2));
	assert_partition(OT_NO_LEADER, KIT_IDS(1), NONE, NONE);
	(void)fixture_beat(fixture, 1, 0);
	assert_partition(1, KIT_IDS(1), NONE, NONE);
	stop(1);
	assert_partition(OT_NO_LEADER, KIT_IDS(1), NONE, NONE);
	assert_ok(kit_set(fixture, OT_RESOURCE_BROKER, "", "min.insync.replicas", NULL, NULL));
	assert_ok(kit_set(fixture, OT_RESOURCE_BROKER, "2", "min.insync.replicas", "1", NULL));
	assert_ok(kit_update_feature(fixture, FEATURE, 1, 1));
	assert_null(ot_image_config(fixture->newest, OT_RESOURCE_BROKER, OT_STR_LIT("2")));
	assert_non_null(ot_image_config(fixture->newest, OT_RESOURCE_BROKER, OT_STR_LIT("")));
}

/* Goal: a reassignment takes nobody's place among the eligible who is no replica any more. Method:
 * an eligible replica is replaced. */
static void
test_reassignment(void **state)
{
	(void)state;

	fixture_add_broker(fixture, 4, NULL);
	stop(3);
	stop(2);
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_ok(kit_reassign(fixture, "t", 0, KIT_IDS(1, 4), true, NULL));
	assert_partition(1, KIT_IDS(1), KIT_IDS(2), NONE);
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 4)));
	assert_partition(1, KIT_IDS(1, 4), NONE, NONE);
	assert_int_equal(kit_partition(fixture, "t", 0)->replica_count, 2);
}

/* Goal: a reassignment may be cancelled though all who are in sync go with it, when somebody who
 * stays is eligible, who leads. Method: only the new replica is in sync, an old one eligible. */
static void
test_cancel(void **state)
{
	(void)state;

	fixture_add_broker(fixture, 4, NULL);
	assert_ok(kit_reassign(fixture, "t", 0, KIT_IDS(4, 3), true, NULL));
	assert_ok(kit_alter_isr(fixture, "t", KIT_IDS(1, 4)));
	stop(1);
	assert_partition(4, KIT_IDS(4), KIT_IDS(1), NONE);
	(void)fixture_beat(fixture, 1, 0);
	assert_ok(kit_reassign(fixture, "t", 0, NONE, true, NULL));
	assert_partition(1, KIT_IDS(1), NONE, NONE);
	assert_int_equal(kit_partition(fixture, "t", 0)->recovery_state, OT_RECOVERY_RECOVERED);
	assert_int_equal(kit_partition(fixture, "t", 0)->replica_count, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_walk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unclean_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_leader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unregister, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_least_isr, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_settings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_feature, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reassignment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
