/* Tests of src/cluster/sessions.c and of what control_brokers.c makes of heartbeats: fencing,
 * second processes of an id, controlled shutdown. */
#include "kit.h"

#define SETTINGS "broker.session.timeout.ms=9000\n"

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create(SETTINGS);
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

static bool
is_fenced(int32_t id)
{
	return ot_image_broker(fixture->newest, id)->is_fenced;
}

/* Lets time pass while some brokers live; all others are silent. */
static void
live(uint64_t ms, struct ot_ids ids)
{
	for (uint64_t passed = 0; passed < ms; passed += 1000) {
		ot_sim_world_run_for_ms(fixture->world, OT_MIN(1000, ms - passed));
		for (int32_t i = 0; i < ids.count; i++)
			(void)fixture_beat(fixture, ids.items[i], 0);
	}
}

/* ---- fencing --------------------------------------------------------------------------------- */

/* Goal: a silent broker is fenced when its session is over, within milliseconds, and not before;
 * what it led is led by others; who lives stays. Method: one of three is silent. */
static void
test_silence(void **state)
{
	(void)state;

	live(1000, KIT_IDS(1, 2, 3));
	live(8000, KIT_IDS(2, 3));
	assert_false(is_fenced(1));
	ot_sim_world_run_for_ms(fixture->world, 1010);
	assert_true(is_fenced(1));
	assert_false(is_fenced(2));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "t", 0)), KIT_IDS(2, 3));
	assert_false(fixture_beat(fixture, 1, 0).is_fenced);
	live(20000, KIT_IDS(1, 2, 3));
	for (int32_t id = 1; id <= 3; id++)
		assert_false(is_fenced(id));
}

/* Goal: several at once are all fenced. Method: nobody lives. */
static void
test_all_silent(void **state)
{
	(void)state;

	live(10000, (struct ot_ids){ 0 });
	for (int32_t id = 1; id <= 3; id++)
		assert_true(is_fenced(id));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, OT_NO_LEADER);
	assert_int_equal(kit_partition(fixture, "t", 0)->isr_count, 0);
	assert_int_equal(kit_partition(fixture, "t", 0)->elr_count, 1);
}

/* Goal: a new controller gives each broker a full session. Method: it takes over when the old one
 * was about to fence. */
static void
test_new_controller(void **state)
{
	(void)state;

	live(8000, (struct ot_ids){ 0 });
	fixture_close_controller(fixture);
	fixture_start_controller(fixture);
	live(8000, KIT_IDS(2));
	assert_false(is_fenced(1));
	live(1100, KIT_IDS(2));
	assert_true(is_fenced(1));
	assert_false(is_fenced(2));
	assert_true(is_fenced(3));
}

/* Goal: a controller that lost its place fences nobody any more. Method: its log fails, and time
 * passes before it leads again; then it is as new. */
static void
test_deposed(void **state)
{
	(void)state;

	live(8900, (struct ot_ids){ 0 });
	fixture->log->failure = OT_ERR_IO;
	live(8900, (struct ot_ids){ 0 });
	assert_int_equal(fixture->log->failure, OT_OK); /* met by the first fencing */
	for (int32_t id = 1; id <= 3; id++)
		assert_false(is_fenced(id));
	live(400, (struct ot_ids){ 0 });
	for (int32_t id = 1; id <= 3; id++)
		assert_true(is_fenced(id));
}

/* Goal: time in which the controller did not run counts against nobody. Method: its host is frozen
 * for longer than a session; the brokers' heartbeats come after it. */
static void
test_frozen(void **state)
{
	(void)state;

	live(3000, KIT_IDS(1, 2, 3));
	ot_sim_host_freeze_ms(fixture->host, 60000);
	ot_sim_world_run_for_ms(fixture->world, 61000);
	for (int32_t id = 1; id <= 3; id++)
		assert_false(is_fenced(id));
	live(3000, KIT_IDS(1, 2));
	live(9000, KIT_IDS(1, 2));
	assert_false(is_fenced(1));
	assert_true(is_fenced(3));
}

/* ---- second processes ------------------------------------------------------------------------ */

/* Goal: nobody registers under the id of a broker that lives; when its session is over, or it has
 * said that it goes, one may. Method: each. */
static void
test_duplicate(void **state)
{
	int64_t epoch = ot_image_broker(fixture->newest, 1)->epoch;
	(void)state;

	assert_int_equal(fixture_register(fixture, 1, NULL, -1, NULL),
	    OT_ERR_DUPLICATE_BROKER_REGISTRATION);
	assert_int_equal(ot_image_broker(fixture->newest, 1)->epoch, epoch);
	live(9100, KIT_IDS(2, 3));
	assert_ok(fixture_register(fixture, 1, NULL, -1, NULL));
	/* It has not sent a heartbeat yet, so it may be dead already. */
	assert_ok(fixture_register(fixture, 1, NULL, -1, NULL));
	(void)fixture_beat(fixture, 1, 0);
	assert_int_equal(fixture_register(fixture, 1, NULL, -1, NULL),
	    OT_ERR_DUPLICATE_BROKER_REGISTRATION);
	assert_true(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	assert_ok(fixture_register(fixture, 1, NULL, -1, NULL));
}

/* Goal: a controller that has not heard of the old process lets the new one in. Method: both are
 * started anew, as a single broker is. */
static void
test_restarted_with_controller(void **state)
{
	(void)state;

	fixture_close_controller(fixture);
	fixture_start_controller(fixture);
	assert_ok(fixture_register(fixture, 1, NULL, -1, NULL));
	assert_true(is_fenced(1));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
}

/* ---- controlled shutdown --------------------------------------------------------------------- */

static struct ot_broker_heartbeat_response
beat_at(int32_t id, int64_t offset)
{
	struct ot_broker_heartbeat_request request;
	struct ot_broker_heartbeat_response response;
	struct fixture_call call;

	ot_broker_heartbeat_request_init(&request);
	request.broker_id = id;
	request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	request.current_metadata_offset = offset;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &request,
	    &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
	return response;
}

/* Goal: a broker that stops may go when every active broker has read that others lead, and no
 * sooner; who is fenced is not waited for. Method: others read on one by one. */
static void
test_shutdown(void **state)
{
	int64_t offset;
	(void)state;

	live(1000, KIT_IDS(1, 2, 3));
	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	offset = ot_image_place(fixture->newest).offset;
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 2);
	kit_assert_ids(ot_partition_isr(kit_partition(fixture, "t", 0)), KIT_IDS(2, 3));
	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	(void)beat_at(2, offset);
	(void)beat_at(3, offset - 1);
	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	(void)fixture_beat(fixture, 3, BEAT_FENCE);
	assert_true(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	assert_true(is_fenced(1));
}

/* Goal: who leads nothing goes at once; who is fenced too; who is last as well, and keeps what it
 * leads. Method: three brokers in turn. */
static void
test_shutdown_at_once(void **state)
{
	(void)state;

	assert_true(fixture_beat(fixture, 3, BEAT_SHUT_DOWN).should_shut_down);
	assert_true(is_fenced(3));
	assert_true(fixture_beat(fixture, 3, BEAT_SHUT_DOWN).should_shut_down);
	(void)fixture_beat(fixture, 2, BEAT_FENCE);
	assert_true(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	assert_false(is_fenced(1));
	assert_int_equal(kit_partition(fixture, "t", 0)->leader, 1);
}

/* Goal: a controller that takes over a shutdown waits for what it can know. Method: it changes in
 * the middle. */
static void
test_shutdown_new_controller(void **state)
{
	(void)state;

	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	fixture_close_controller(fixture);
	fixture_start_controller(fixture);
	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	(void)fixture_beat(fixture, 2, 0);
	assert_false(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
	(void)fixture_beat(fixture, 3, 0);
	assert_true(fixture_beat(fixture, 1, BEAT_SHUT_DOWN).should_shut_down);
}

/* Goal: a fencing that took several batches and lost all but the first is finished. Method: 15,000
 * partitions; the log refuses what comes after the first batch. */
static void
test_torn_fencing(void **state)
{
	int32_t leaders = 0;
	(void)state;

	for (int i = 0; i < 15; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "many%d", i);
		assert_ok(fixture_create_topic(fixture, name, 1000, 3, NULL));
	}
	live(1000, KIT_IDS(1, 2, 3));
	live(8500, KIT_IDS(2, 3));
	fixture->log->commits_until_failure = 1;
	fixture->log->failure = OT_ERR_IO;
	ot_sim_world_run_for_ms(fixture->world, 600);
	assert_int_equal(fixture->log->failure, OT_OK); /* it was met */
	assert_false(is_fenced(1));
	live(10000, KIT_IDS(2, 3));
	assert_true(is_fenced(1));
	for (int i = 0; i < 15; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "many%d", i);
		for (int32_t j = 0; j < 1000; j++) {
			assert_int_not_equal(kit_partition(fixture, name, j)->leader, 1);
			leaders += kit_partition(fixture, name, j)->leader != OT_NO_LEADER;
		}
	}
	assert_int_equal(leaders, 15000);
}

/* The error of a whole heartbeat. */
static ot_err
beat_err(int32_t id)
{
	struct ot_broker_heartbeat_request request;
	struct ot_broker_heartbeat_response response;
	struct fixture_call call;

	ot_broker_heartbeat_request_init(&request);
	request.broker_id = id;
	request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	request.current_metadata_offset = request.broker_epoch;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &request,
	    &response);
	return fixture_wait(fixture, &call);
}

/* Goal: an unfencing that took several batches and lost all but the first is finished too, though
 * the broker is unfenced by the first. Method: 15,000 partitions that it alone has. */
static void
test_torn_unfencing(void **state)
{
	int32_t leaders = 0;
	(void)state;

	(void)fixture_beat(fixture, 2, BEAT_FENCE);
	(void)fixture_beat(fixture, 3, BEAT_FENCE);
	for (int i = 0; i < 15; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "many%d", i);
		assert_ok(fixture_create_topic(fixture, name, 1000, 1, NULL));
	}
	(void)fixture_beat(fixture, 2, 0);
	(void)fixture_beat(fixture, 1, BEAT_FENCE);
	assert_int_equal(kit_partition(fixture, "many14", 999)->leader, OT_NO_LEADER);
	fixture->log->commits_until_failure = 1;
	fixture->log->failure = OT_ERR_IO;
	assert_int_equal(beat_err(1), OT_ERR_IO);
	ot_sim_world_run_for_ms(fixture->world, 10);
	assert_false(is_fenced(1));
	for (int i = 0; i < 15; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "many%d", i);
		for (int32_t j = 0; j < 1000; j++)
			leaders += kit_partition(fixture, name, j)->leader == 1;
	}
	assert_int_equal(leaders, 15000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silence, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_silent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_controller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deposed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frozen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_duplicate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restarted_with_controller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shutdown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shutdown_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shutdown_new_controller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn_fencing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn_unfencing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
