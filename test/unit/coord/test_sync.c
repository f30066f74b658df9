/* Goal: assignments reach exactly their members, after they are in the log; SyncGroup, Heartbeat
 * and LeaveGroup answer as Kafka's do in each state; Describe and List tell what is. Method: by
 * hand, with a log that holds and fails; each row of a table is one question. */
#include "harness.h"

#include <stdio.h>

#include "base/alloc.h"

static struct harness h;
static struct ot_group_options options;
static struct ot_str one;
static struct ot_str two;

static int
setup(void **state)
{
	(void)state;
	harness_init(&h);
	options = OT_GROUP_OPTIONS_DEFAULT;
	harness_groups(&h, &options);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	harness_fini(&h);
	return 0;
}

/* Two members in CompletingRebalance, generation 2; `one` leads. */
static void
completing_with_two(void)
{
	one = stable_with_one(&h, "g");
	struct ask *join = join_dynamic(&h, "g", &join_plain);
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = one.data }), 2);
	two = member_of(join, 2);
	assert_state(&h, "g", "CompletingRebalance");
}

static ot_err
sync_err(struct ask *ask)
{
	assert_true(ask->is_done);
	ot_err err = ask->response.sync.error_code;
	if (err != OT_OK)
		assert_int_equal(ask->response.sync.assignment.len, 0);
	ask_free(ask);
	return err;
}

static struct ask *
sync_leader(void)
{
	static char text[200];
	snprintf(text, sizeof(text), "%s=left;%s=right", one.data, two.data);
	return ask_sync(&h, "g", one, 2, text);
}

/* ---- SyncGroup ----------------------------------------------------------------------------- */

static void
test_sync_refusals(void **state)
{
	(void)state;
	assert_int_equal(sync_err(ask_sync(&h, "", OT_STR_LIT("m"), 1, NULL)),
	    OT_ERR_INVALID_GROUP_ID);
	assert_int_equal(sync_err(ask_sync(&h, "none", OT_STR_LIT("m"), 1, NULL)),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(commit_now(&h, "empty", "t", 0, 1), OT_OK);
	assert_int_equal(sync_err(ask_sync(&h, "empty", OT_STR_LIT("m"), 1, NULL)),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	completing_with_two();
	assert_int_equal(sync_err(ask_sync(&h, "g", OT_STR_LIT("m"), 2, NULL)),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(sync_err(ask_sync(&h, "g", one, 1, NULL)), OT_ERR_ILLEGAL_GENERATION);
}

static void
test_sync_of_another_protocol(void **state)
{
	(void)state;
	completing_with_two();
	static const struct {
		const char *type;
		const char *name;
		ot_err err;
	} rows[] = {
		{ "connect", "range", OT_ERR_INCONSISTENT_GROUP_PROTOCOL },
		{ "consumer", "sticky", OT_ERR_INCONSISTENT_GROUP_PROTOCOL },
		{ NULL, "sticky", OT_ERR_INCONSISTENT_GROUP_PROTOCOL },
		{ "consumer", "range", OT_OK },
		{ NULL, NULL, OT_OK },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ask *ask = ask_create(5, &ot_sync_group_response_msg);
		struct ot_sync_group_request *request = &ask->request.sync;
		ot_sync_group_request_init(request);
		request->group_id = OT_STR_LIT("g");
		request->member_id = one;
		request->generation_id = 2;
		request->protocol_type = ot_str_from(rows[i].type);
		request->protocol_name = ot_str_from(rows[i].name);
		ot_group_sync(h.groups, &ask->call, request, &ask->response.sync);
		harness_turn(&h);
		assert_int_equal(sync_err(ask), rows[i].err);
	}
}

static void
test_assignment_is_told_after_it_is_in_the_log(void **state)
{
	(void)state;
	completing_with_two();
	h.log.is_held = true;
	struct ask *follower = ask_sync(&h, "g", two, 2, NULL);
	struct ask *leader = sync_leader();
	assert_false(follower->is_done || leader->is_done);
	assert_state(&h, "g", "CompletingRebalance");
	/* Heartbeats are fine meanwhile, commits are not. */
	assert_int_equal(ask_heartbeat(&h, "g", two, NULL, 2), OT_OK);
	fake_log_commit(&h);
	assert_bytes(leader->response.sync.assignment, "left");
	assert_bytes(follower->response.sync.assignment, "right");
	ask_free(leader);
	ask_free(follower);
	assert_state(&h, "g", "Stable");
	assert_reload_equal(&h);
}

static void
test_assignment_cannot_be_written(void **state)
{
	(void)state;
	static const struct {
		ot_err err;
		ot_err told;
	} rows[] = {
		{ OT_ERR_NOT_ENOUGH_REPLICAS, OT_ERR_COORDINATOR_NOT_AVAILABLE },
		{ OT_ERR_NOT_LEADER_OR_FOLLOWER, OT_ERR_NOT_COORDINATOR },
		{ OT_ERR_KAFKA_STORAGE_ERROR, OT_ERR_NOT_COORDINATOR },
		{ OT_ERR_MESSAGE_TOO_LARGE, OT_ERR_UNKNOWN_SERVER_ERROR },
	};
	completing_with_two();
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		int32_t generation = (int32_t)i + 2;
		h.log.fail_err = rows[i].err;
		h.log.is_failing_late = i % 2 == 0;
		struct ask *follower = ask_sync(&h, "g", two, generation, NULL);
		struct ask *leader = ask_sync(&h, "g", one, generation, "");
		fake_log_commit(&h);
		assert_int_equal(sync_err(follower), rows[i].told);
		assert_int_equal(sync_err(leader), rows[i].told);
		h.log.fail_err = OT_OK;
		/* All join anew, in the next generation. */
		assert_state(&h, "g", "PreparingRebalance");
		struct ask *join =
		    ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
		member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = two.data }),
		    generation + 1);
		member_of(join, generation + 1);
	}
	/* The log still has generation 1, which is what a successor would begin with. */
	char *dump = groups_dump(h.groups, true);
	assert_non_null(strstr(dump, "6131")); /* "a1" */
	ot_free(dump);
}

/* A timed-out record may be in the log: the group begins anew in memory, and whatever the log has
 * is an older generation than the next that is written. */
static void
test_assignment_times_out(void **state)
{
	(void)state;
	completing_with_two();
	h.log.is_held = true;
	struct ask *leader = sync_leader();
	harness_advance(&h, 5001);
	assert_int_equal(sync_err(leader), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = two.data }), 3);
	member_of(join, 3);
	struct ask *sync = ask_sync(&h, "g", one, 3, "");
	fake_log_commit(&h);
	assert_int_equal(sync_err(sync), OT_OK);
	assert_state(&h, "g", "Stable");
	assert_reload_equal(&h);
}

static void
test_rebalance_overtakes_the_assignment(void **state)
{
	(void)state;
	completing_with_two();
	h.log.is_held = true;
	struct ask *follower = ask_sync(&h, "g", two, 2, NULL);
	struct ask *leader = sync_leader();
	struct ask *third = join_dynamic(&h, "g", &join_plain);
	assert_int_equal(sync_err(follower), OT_ERR_REBALANCE_IN_PROGRESS);
	assert_int_equal(sync_err(leader), OT_ERR_REBALANCE_IN_PROGRESS);
	/* The record of generation 2 is committed now, and changes nothing. */
	fake_log_commit(&h);
	assert_state(&h, "g", "PreparingRebalance");
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = two.data }), 3);
	member_of(join, 3);
	member_of(third, 3);
}

static void
test_leader_syncs_twice(void **state)
{
	(void)state;
	completing_with_two();
	h.log.is_held = true;
	struct ask *first = ask_sync(&h, "g", one, 2, "");
	struct ask *second = sync_leader();
	assert_int_equal(sync_err(first), OT_ERR_REBALANCE_IN_PROGRESS);
	fake_log_commit(&h);
	assert_bytes(second->response.sync.assignment, "left");
	ask_free(second);
	assert_reload_equal(&h);
}

static void
test_unloaded_with_parked_calls(void **state)
{
	(void)state;
	completing_with_two();
	struct ask *follower = ask_sync(&h, "g", two, 2, NULL);
	h.log.is_held = true;
	struct ask *leader = sync_leader();
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "k", .version = 3 });
	ot_coord_unload(h.coord);
	assert_int_equal(sync_err(follower), OT_ERR_NOT_COORDINATOR);
	assert_int_equal(sync_err(leader), OT_ERR_NOT_COORDINATOR);
	assert_true(join->is_done);
	assert_int_equal(join->response.join.error_code, OT_ERR_NOT_COORDINATOR);
	ask_free(join);
}

/* ---- after a reload ------------------------------------------------------------------------ */

static void
test_stable_group_goes_on_after_a_reload(void **state)
{
	(void)state;
	completing_with_two();
	ask_free(sync_leader());
	ask_free(ask_sync(&h, "g", two, 2, NULL));
	ot_coord_unload(h.coord);
	harness_load(&h);
	assert_state(&h, "g", "Stable");
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_OK);
	struct ask *sync = ask_sync(&h, "g", two, 2, NULL);
	assert_bytes(sync->response.sync.assignment, "right");
	ask_free(sync);
	/* Their sessions began with the load. */
	harness_advance(&h, 9900);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_OK);
	harness_advance(&h, 200);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_ERR_REBALANCE_IN_PROGRESS);
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_int_equal(join->response.join.members_count, 1);
	member_of(join, 3);
}

static void
test_group_that_is_too_large_after_a_reload(void **state)
{
	(void)state;
	completing_with_two();
	ask_free(sync_leader());
	ask_free(ask_sync(&h, "g", two, 2, NULL));
	ot_coord_unload(h.coord);
	options.member_count_max = 1;
	ot_groups_set_options(h.groups, &options);
	harness_load(&h);
	assert_state(&h, "g", "PreparingRebalance");
}

/* Of very many groups the sessions begin in steps, some each turn; whoever is asked for is there.
 */
static void
test_many_groups_are_loaded(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	struct ask *joins[COUNT];
	struct ot_str ids[COUNT];
	for (int i = 0; i < COUNT; i++) {
		char group[20];
		snprintf(group, sizeof(group), "g%d", i);
		joins[i] = ask_join(&h,
		    &(struct join_args){ .group = keep(ot_str_from(group)).data, .version = 3 });
	}
	harness_advance(&h, 3000);
	for (int i = 0; i < COUNT; i++) {
		char group[20];
		snprintf(group, sizeof(group), "g%d", i);
		ids[i] = member_of(joins[i], 1);
		assert_int_equal(sync_err(ask_sync(&h, group, ids[i], 1, "")), OT_OK);
	}
	ot_coord_unload(h.coord);
	ot_coord_load(h.coord, 2);
	while (ot_coord_state(h.coord) != OT_COORD_ACTIVE) {
		h.ios[0].now++;
		ot_io_expire(&h.ios[0].io, h.ios[0].now);
	}
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, COUNT);
	assert_int_equal(stats.member_count, 0);
	assert_int_equal(ask_heartbeat(&h, "g777", ids[777], NULL, 1), OT_OK);
	uint32_t turn_count = 0;
	while (stats.member_count < COUNT) {
		uint32_t before = stats.member_count;
		h.ios[0].now++;
		ot_io_expire(&h.ios[0].io, h.ios[0].now);
		ot_groups_get_stats(h.groups, &stats);
		assert_in_range(stats.member_count - before, 1, 250);
		turn_count++;
	}
	assert_true(turn_count >= 4);
	harness_advance(&h, 10001);
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.member_count, 0);
}

/* ---- Heartbeat ----------------------------------------------------------------------------- */

static void
test_heartbeat_by_state(void **state)
{
	(void)state;
	assert_int_equal(ask_heartbeat(&h, "", OT_STR_LIT("m"), NULL, 1), OT_ERR_INVALID_GROUP_ID);
	assert_int_equal(ask_heartbeat(&h, "none", OT_STR_LIT("m"), NULL, 1),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(commit_now(&h, "empty", "t", 0, 1), OT_OK);
	assert_int_equal(ask_heartbeat(&h, "empty", OT_STR_LIT("m"), NULL, 0),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	completing_with_two();
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_OK);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_ERR_ILLEGAL_GENERATION);
	assert_int_equal(ask_heartbeat(&h, "g", OT_STR_LIT("m"), NULL, 2),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(ask_heartbeat(&h, "g", one, "i", 2), OT_ERR_UNKNOWN_MEMBER_ID);
	struct ask *third = join_dynamic(&h, "g", &join_plain);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_ERR_REBALANCE_IN_PROGRESS);
	harness_advance(&h, 300000);
	assert_true(third->is_done);
	ask_free(third);
}

/* ---- LeaveGroup ---------------------------------------------------------------------------- */

static ot_err
leave_err(struct ask *ask)
{
	assert_true(ask->is_done);
	ot_err err = ask->response.leave.error_code;
	if (err == OT_OK && ask->response.leave.members_count > 0)
		err = ask->response.leave.members[0].error_code;
	ask_free(ask);
	return err;
}

static void
test_leave_by_version(void **state)
{
	(void)state;
	for (int16_t version = 0; version <= 5; version++) {
		char group[10];
		snprintf(group, sizeof(group), "g%d", version);
		struct ot_str id = stable_with_one(&h, group);
		assert_int_equal(leave_err(ask_leave(&h, group, OT_STR_LIT("x"), NULL, version)),
		    OT_ERR_UNKNOWN_MEMBER_ID);
		assert_int_equal(leave_err(ask_leave(&h, "none", id, NULL, version)),
		    OT_ERR_UNKNOWN_MEMBER_ID);
		assert_int_equal(leave_err(ask_leave(&h, "", id, NULL, version)),
		    OT_ERR_INVALID_GROUP_ID);
		assert_state(&h, group, "Stable");
		assert_int_equal(leave_err(ask_leave(&h, group, id, NULL, version)), OT_OK);
		assert_state(&h, group, "Empty");
		assert_int_equal(leave_err(ask_leave(&h, group, id, NULL, version)),
		    OT_ERR_UNKNOWN_MEMBER_ID);
	}
	assert_reload_equal(&h);
}

static void
test_many_leave_at_once(void **state)
{
	(void)state;
	completing_with_two();
	struct ask *third = join_dynamic(&h, "g", &join_plain);
	struct ask *parked = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	struct ask *ask = ask_create(5, &ot_leave_group_response_msg);
	struct ot_leave_group_request *request = &ask->request.leave;
	ot_leave_group_request_init(request);
	request->group_id = OT_STR_LIT("g");
	request->members = ot_leave_group_request_member_array(&ask->arena, 3);
	request->members_count = 3;
	request->members[0].member_id = one;
	request->members[1].member_id = OT_STR_LIT("x");
	request->members[2].member_id = two;
	request->members[2].reason = OT_STR_LIT("shutting down");
	ot_group_leave(h.groups, &ask->call, request, &ask->response.leave);
	harness_turn(&h);
	assert_int_equal(ask->response.leave.error_code, 0);
	assert_int_equal(ask->response.leave.members[0].error_code, 0);
	assert_int_equal(ask->response.leave.members[1].error_code, OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(ask->response.leave.members[2].error_code, 0);
	ask_free(ask);
	assert_join_err(parked, OT_ERR_UNKNOWN_MEMBER_ID);
	/* The one that is left is all: the rebalance completes. */
	assert_int_equal(third->response.join.members_count, 1);
	member_of(third, 3);
}

static void
test_member_with_a_parked_sync_leaves(void **state)
{
	(void)state;
	completing_with_two();
	struct ask *sync = ask_sync(&h, "g", two, 2, NULL);
	assert_int_equal(leave_err(ask_leave(&h, "g", two, NULL, 5)), OT_OK);
	assert_int_equal(sync_err(sync), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_state(&h, "g", "PreparingRebalance");
}

/* ---- Describe, List ------------------------------------------------------------------------ */

static void
test_describe(void **state)
{
	(void)state;
	struct ot_arena arena;
	struct ot_describe_groups_response_group group;
	ot_arena_init(&arena, 0);
	ot_group_describe(h.groups, OT_STR_LIT("none"), 5, &arena, &group);
	assert_int_equal(group.error_code, 0);
	assert_str(group.group_state, "Dead");
	ot_group_describe(h.groups, OT_STR_LIT("none"), 6, &arena, &group);
	assert_int_equal(group.error_code, OT_ERR_GROUP_ID_NOT_FOUND);
	assert_str(group.error_message, "Group none not found.");

	completing_with_two();
	ot_group_describe(h.groups, OT_STR_LIT("g"), 6, &arena, &group);
	assert_str(group.group_state, "CompletingRebalance");
	assert_str(group.protocol_type, "consumer");
	assert_str(group.protocol_data, "");
	assert_int_equal(group.members_count, 2);
	assert_bytes(group.members[0].member_metadata, "");
	ask_free(sync_leader());
	ot_group_describe(h.groups, OT_STR_LIT("g"), 6, &arena, &group);
	assert_str(group.group_state, "Stable");
	assert_str(group.protocol_data, "range");
	assert_str(group.members[0].member_id, one.data);
	assert_str(group.members[0].client_id, "client");
	assert_str(group.members[0].client_host, "/127.0.0.1");
	assert_bytes(group.members[0].member_metadata, "sub");
	assert_bytes(group.members[0].member_assignment, "left");
	assert_int_equal(group.members[0].group_instance_id.len, -1);

	ot_coord_unload(h.coord);
	ot_group_describe(h.groups, OT_STR_LIT("g"), 6, &arena, &group);
	assert_int_equal(group.error_code, OT_ERR_NOT_COORDINATOR);
	ot_arena_fini(&arena);
}

static int32_t
list(const char *state_name, const char *type_name)
{
	struct ot_arena arena;
	struct ot_str state_filter = ot_str_from(state_name);
	struct ot_str type_filter = ot_str_from(type_name);
	struct ot_list_groups_request request;
	struct ot_list_groups_response response;
	ot_arena_init(&arena, 0);
	ot_list_groups_request_init(&request);
	ot_list_groups_response_init(&response);
	request.states_filter = &state_filter;
	request.states_filter_count = state_name != NULL;
	request.types_filter = &type_filter;
	request.types_filter_count = type_name != NULL;
	assert_ok(ot_group_list(h.groups, &request, &arena, &response));
	/* A second partition's groups come behind. */
	int32_t count = response.groups_count;
	assert_ok(ot_group_list(h.groups, &request, &arena, &response));
	assert_int_equal(response.groups_count, 2 * count);
	for (int32_t i = 0; i < count; i++) {
		assert_true(
		    ot_str_equal(response.groups[i].group_id, response.groups[count + i].group_id));
		assert_str(response.groups[i].group_type, "classic");
	}
	ot_arena_fini(&arena);
	return count;
}

static void
test_list(void **state)
{
	(void)state;
	assert_int_equal(list(NULL, NULL), 0);
	completing_with_two();
	stable_with_one(&h, "s");
	assert_int_equal(commit_now(&h, "e", "t", 0, 1), OT_OK);
	assert_int_equal(list(NULL, NULL), 3);
	assert_int_equal(list("Stable", NULL), 1);
	assert_int_equal(list("empty", "Classic"), 1);
	assert_int_equal(list("COMPLETINGREBALANCE", NULL), 1);
	assert_int_equal(list("Dead", NULL), 0);
	assert_int_equal(list("Nonsense", NULL), 0);
	assert_int_equal(list(NULL, "consumer"), 0);
	assert_int_equal(list(NULL, "classic"), 3);
	ot_coord_unload(h.coord);
	assert_int_equal(list(NULL, NULL), 0);
	ot_coord_load(h.coord, 1);
	struct ot_list_groups_request request;
	struct ot_list_groups_response response;
	ot_list_groups_request_init(&request);
	ot_list_groups_response_init(&response);
	assert_int_equal(ot_group_list(h.groups, &request, NULL, &response),
	    OT_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	harness_advance(&h, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_sync_refusals),
		TEST(test_sync_of_another_protocol),
		TEST(test_assignment_is_told_after_it_is_in_the_log),
		TEST(test_assignment_cannot_be_written),
		TEST(test_assignment_times_out),
		TEST(test_rebalance_overtakes_the_assignment),
		TEST(test_leader_syncs_twice),
		TEST(test_unloaded_with_parked_calls),
		TEST(test_stable_group_goes_on_after_a_reload),
		TEST(test_group_that_is_too_large_after_a_reload),
		TEST(test_many_groups_are_loaded),
		TEST(test_heartbeat_by_state),
		TEST(test_leave_by_version),
		TEST(test_many_leave_at_once),
		TEST(test_member_with_a_parked_sync_leaves),
		TEST(test_describe),
		TEST(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
