/* Goal: static members (KIP-345, KIP-814): they come back under a new id without a rebalance, their
 * former selves are fenced, and they outlive what dynamic members do not.
 * Method: by hand, on a clock that is moved; the log fails where it matters. */
#include "harness.h"

#include <stdio.h>

static struct harness h;
static struct ot_group_options options;
static struct ot_str leader;   /* instance "i1" */
static struct ot_str follower; /* instance "i2" */

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

static struct ask *
join_as(const char *instance, const char *member, int16_t version)
{
	return ask_join(&h, &(struct join_args){ .group = "g",
				.instance = instance,
				.member = member,
				.session_ms = 30000,
				.version = version });
}

/* Two static members in generation 1, stable. */
static void
stable_with_two(void)
{
	struct ask *one = join_as("i1", NULL, 9);
	struct ask *two = join_as("i2", NULL, 9);
	harness_advance(&h, 6000);
	leader = member_of(one, 1);
	follower = member_of(two, 1);
	assert_memory_equal(leader.data, "i1-", 3);
	char text[200];
	snprintf(text, sizeof(text), "%s=left;%s=right", leader.data, follower.data);
	ask_free(ask_sync(&h, "g", leader, 1, text));
	ask_free(ask_sync(&h, "g", follower, 1, NULL));
	assert_state(&h, "g", "Stable");
}

static struct ask *
sync_as(const char *instance, struct ot_str member, int32_t generation)
{
	struct ask *ask = ask_create(5, &ot_sync_group_response_msg);
	struct ot_sync_group_request *request = &ask->request.sync;
	ot_sync_group_request_init(request);
	request->group_id = OT_STR_LIT("g");
	request->member_id = member;
	request->group_instance_id = ot_str_from(instance);
	request->generation_id = generation;
	ot_group_sync(h.groups, &ask->call, request, &ask->response.sync);
	harness_turn(&h);
	return ask;
}

static void
test_follower_comes_back(void **state)
{
	(void)state;
	stable_with_two();
	struct ask *back = join_as("i2", NULL, 9);
	assert_true(back->is_done);
	assert_false(back->response.join.skip_assignment);
	assert_int_equal(back->response.join.members_count, 0);
	assert_str(back->response.join.leader, leader.data);
	struct ot_str new_id = member_of(back, 1);
	assert_false(ot_str_equal(new_id, follower));
	assert_state(&h, "g", "Stable");
	assert_reload_equal(&h);

	struct ask *sync = sync_as("i2", new_id, 1);
	assert_bytes(sync->response.sync.assignment, "right");
	ask_free(sync);
	assert_int_equal(ask_heartbeat(&h, "g", new_id, "i2", 1), OT_OK);

	/* Its former self is fenced, with and without the instance id. */
	assert_int_equal(ask_heartbeat(&h, "g", follower, "i2", 1), OT_ERR_FENCED_INSTANCE_ID);
	assert_int_equal(ask_heartbeat(&h, "g", follower, NULL, 1), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_join_err(join_as("i2", follower.data, 9), OT_ERR_FENCED_INSTANCE_ID);
	assert_join_err(join_as("i3", new_id.data, 9), OT_ERR_UNKNOWN_MEMBER_ID);
	sync = sync_as("i2", follower, 1);
	assert_int_equal(sync->response.sync.error_code, OT_ERR_FENCED_INSTANCE_ID);
	ask_free(sync);
	struct ask *leave = ask_leave(&h, "g", follower, "i2", 5);
	assert_int_equal(leave->response.leave.members[0].error_code, OT_ERR_FENCED_INSTANCE_ID);
	ask_free(leave);
}

static void
test_leader_comes_back(void **state)
{
	(void)state;
	stable_with_two();
	/* From version 9 on it learns that it leads, and that it need not assign. */
	struct ask *back = join_as("i1", NULL, 9);
	assert_true(back->response.join.skip_assignment);
	assert_int_equal(back->response.join.members_count, 2);
	assert_true(ot_str_equal(back->response.join.leader, back->response.join.member_id));
	struct ot_str new_id = member_of(back, 1);

	/* Before, it is told of its former self as the leader. */
	back = join_as("i1", NULL, 8);
	assert_false(back->response.join.skip_assignment);
	assert_int_equal(back->response.join.members_count, 0);
	assert_str(back->response.join.leader, new_id.data);
	struct ot_str newest = member_of(back, 1);
	assert_state(&h, "g", "Stable");
	struct ask *sync = sync_as("i1", newest, 1);
	assert_bytes(sync->response.sync.assignment, "left");
	ask_free(sync);
	assert_reload_equal(&h);
}

static void
test_changed_protocol_begins_a_rebalance(void **state)
{
	(void)state;
	struct ask *one =
	    ask_join(&h, &(struct join_args){ .group = "g", .instance = "i1", .protocols = "a,b" });
	struct ask *two =
	    ask_join(&h, &(struct join_args){ .group = "g", .instance = "i2", .protocols = "a,b" });
	harness_advance(&h, 6000);
	leader = member_of(one, 1);
	follower = member_of(two, 1);
	ask_free(ask_sync(&h, "g", leader, 1, ""));
	/* Other metadata, the same protocol: nothing happens, though it is new to the group. */
	member_of(ask_join(&h, &(struct join_args){ .group = "g",
				   .instance = "i2",
				   .protocols = "a,b",
				   .metadata = "new" }),
	    1);
	assert_state(&h, "g", "Stable");
	assert_reload_equal(&h);
	/* Only b is left in common. */
	struct ask *back =
	    ask_join(&h, &(struct join_args){ .group = "g", .instance = "i2", .protocols = "b" });
	assert_false(back->is_done);
	assert_state(&h, "g", "PreparingRebalance");
	struct ask *rejoin = ask_join(&h, &(struct join_args){ .group = "g",
					      .instance = "i1",
					      .member = leader.data,
					      .protocols = "a,b" });
	assert_str(rejoin->response.join.protocol_name, "b");
	member_of(rejoin, 2);
	member_of(back, 2);
}

static void
test_back_in_preparing(void **state)
{
	(void)state;
	stable_with_two();
	struct ask *three = join_as("i3", NULL, 9);
	struct ask *old = join_as("i2", follower.data, 9);
	assert_false(old->is_done);
	/* The parked join of the former self is fenced. */
	struct ask *back = join_as("i2", NULL, 9);
	assert_join_err(old, OT_ERR_FENCED_INSTANCE_ID);
	assert_false(back->is_done);
	struct ask *one = join_as("i1", leader.data, 9);
	assert_int_equal(one->response.join.members_count, 3);
	member_of(one, 2);
	member_of(back, 2);
	member_of(three, 2);
}

static void
test_back_in_completing(void **state)
{
	(void)state;
	struct ask *one = join_as("i1", NULL, 9);
	struct ask *two = join_as("i2", NULL, 9);
	harness_advance(&h, 6000);
	leader = member_of(one, 1);
	follower = member_of(two, 1);
	struct ask *sync = sync_as("i2", follower, 1);
	assert_false(sync->is_done);
	/* The leader assigns to the former id: begin anew. */
	struct ask *back = join_as("i2", NULL, 9);
	assert_int_equal(sync->response.sync.error_code, OT_ERR_FENCED_INSTANCE_ID);
	ask_free(sync);
	assert_false(back->is_done);
	struct ask *again = join_as("i1", leader.data, 9);
	member_of(again, 2);
	member_of(back, 2);
}

static void
test_static_members_survive_the_rebalance(void **state)
{
	(void)state;
	stable_with_two();
	/* A third one comes; neither of the two does, but their sessions go on. */
	struct ask *three = ask_join(&h, &(struct join_args){ .group = "g",
					     .instance = "i3",
					     .rebalance_ms = 20000,
					     .session_ms = 120000 });
	for (int i = 0; i < 12; i++) {
		harness_advance(&h, 5000);
		assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 1),
		    i < 11 ? OT_ERR_REBALANCE_IN_PROGRESS : OT_ERR_ILLEGAL_GENERATION);
		assert_int_equal(ask_heartbeat(&h, "g", follower, "i2", 1),
		    i < 11 ? OT_ERR_REBALANCE_IN_PROGRESS : OT_ERR_ILLEGAL_GENERATION);
	}
	/* The one that came leads, and all three are in the generation. */
	assert_int_equal(three->response.join.members_count, 3);
	struct ot_str third = member_of(three, 2);
	assert_int_equal(ask_heartbeat(&h, "g", third, "i3", 2), OT_OK);
	assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 2), OT_OK);
}

static void
test_nobody_rejoins(void **state)
{
	(void)state;
	stable_with_two();
	/* A dynamic member begins a rebalance and leaves it again; the static ones do not come. */
	struct ask *three = join_dynamic(&h, "g", &(struct join_args){ .rebalance_ms = 10000 });
	struct ot_arena arena;
	struct ot_describe_groups_response_group described;
	ot_arena_init(&arena, 0);
	ot_group_describe(h.groups, OT_STR_LIT("g"), 5, &arena, &described);
	assert_int_equal(described.members_count, 3);
	ask_free(ask_leave(&h, "g", described.members[2].member_id, NULL, 5));
	ot_arena_fini(&arena);
	assert_join_err(three, OT_ERR_UNKNOWN_MEMBER_ID);
	for (int i = 0; i < 14; i++) {
		harness_advance(&h, 5000);
		assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 1),
		    OT_ERR_REBALANCE_IN_PROGRESS);
	}
	/* One lives, the other's session has ended. */
	assert_int_equal(ask_heartbeat(&h, "g", follower, "i2", 1), OT_ERR_UNKNOWN_MEMBER_ID);
	member_of(join_as("i1", leader.data, 9), 2);
}

static void
test_administrator_removes_by_instance(void **state)
{
	(void)state;
	stable_with_two();
	struct ask *leave = ask_leave(&h, "g", OT_STR_LIT(""), "i2", 5);
	assert_int_equal(leave->response.leave.error_code, 0);
	assert_int_equal(leave->response.leave.members[0].error_code, 0);
	assert_str(leave->response.leave.members[0].group_instance_id, "i2");
	ask_free(leave);
	assert_state(&h, "g", "PreparingRebalance");
	leave = ask_leave(&h, "g", OT_STR_LIT(""), "i9", 5);
	assert_int_equal(leave->response.leave.members[0].error_code, OT_ERR_UNKNOWN_MEMBER_ID);
	ask_free(leave);
	leave = ask_leave(&h, "g", OT_STR_LIT(""), NULL, 5);
	assert_int_equal(leave->response.leave.members[0].error_code, OT_ERR_UNKNOWN_MEMBER_ID);
	ask_free(leave);
	member_of(join_as("i1", leader.data, 9), 2);
}

static void
test_session_of_a_static_member_ends(void **state)
{
	(void)state;
	stable_with_two();
	harness_advance(&h, 20000);
	assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 1), OT_OK);
	harness_advance(&h, 10001);
	assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 1), OT_ERR_REBALANCE_IN_PROGRESS);
	/* Its instance is free for whoever comes. */
	struct ask *two = join_as("i2", NULL, 9);
	member_of(join_as("i1", leader.data, 9), 2);
	member_of(two, 2);
}

/* ---- the record of the new id -------------------------------------------------------------- */

static void
test_new_id_is_told_after_it_is_in_the_log(void **state)
{
	(void)state;
	stable_with_two();
	h.log.is_held = true;
	struct ask *back = join_as("i2", NULL, 9);
	assert_false(back->is_done);
	fake_log_commit(&h);
	member_of(back, 1);
}

static void
test_new_id_cannot_be_written(void **state)
{
	(void)state;
	stable_with_two();
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	assert_join_err(join_as("i2", NULL, 9), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	assert_state(&h, "g", "Stable");
	h.log.fail_err = OT_OK;
	/* It comes again, and gets in. */
	struct ot_str new_id = member_of(join_as("i2", NULL, 9), 1);
	struct ask *sync = sync_as("i2", new_id, 1);
	assert_bytes(sync->response.sync.assignment, "right");
	ask_free(sync);
	assert_reload_equal(&h);
}

static void
test_twice_while_it_is_written(void **state)
{
	(void)state;
	stable_with_two();
	h.log.is_held = true;
	struct ask *first = join_as("i2", NULL, 9);
	struct ask *second = join_as("i2", NULL, 9);
	assert_join_err(first, OT_ERR_FENCED_INSTANCE_ID);
	assert_false(second->is_done);
	fake_log_commit(&h);
	member_of(second, 1);
	assert_reload_equal(&h);
}

static void
test_rebalance_while_it_is_written(void **state)
{
	(void)state;
	stable_with_two();
	h.log.is_held = true;
	struct ask *back = join_as("i2", NULL, 9);
	struct ask *rejoin = join_as("i1", leader.data, 9); /* the leader begins a rebalance */
	/* The one whose id is being written counts as there. */
	member_of(rejoin, 2);
	member_of(back, 2);
	fake_log_commit(&h);
	assert_state(&h, "g", "CompletingRebalance");
}

static void
test_leaves_while_it_is_written(void **state)
{
	(void)state;
	stable_with_two();
	h.log.is_held = true;
	struct ask *back = join_as("i2", NULL, 9);
	ask_free(ask_leave(&h, "g", OT_STR_LIT(""), "i2", 5));
	assert_join_err(back, OT_ERR_UNKNOWN_MEMBER_ID);
	fake_log_commit(&h);
	assert_state(&h, "g", "PreparingRebalance");
}

static void
test_unloaded_while_it_is_written(void **state)
{
	(void)state;
	stable_with_two();
	h.log.is_held = true;
	struct ask *back = join_as("i2", NULL, 9);
	ot_coord_unload(h.coord);
	assert_join_err(back, OT_ERR_NOT_COORDINATOR);
}

/* After a reload the static members are there, and come back just so. */
static void
test_back_after_reload(void **state)
{
	(void)state;
	stable_with_two();
	ot_coord_unload(h.coord);
	harness_load(&h);
	assert_state(&h, "g", "Stable");
	assert_int_equal(ask_heartbeat(&h, "g", leader, "i1", 1), OT_OK);
	struct ot_str new_id = member_of(join_as("i2", NULL, 9), 1);
	struct ask *sync = sync_as("i2", new_id, 1);
	assert_bytes(sync->response.sync.assignment, "right");
	ask_free(sync);
	assert_reload_equal(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_follower_comes_back),
		TEST(test_leader_comes_back),
		TEST(test_changed_protocol_begins_a_rebalance),
		TEST(test_back_in_preparing),
		TEST(test_back_in_completing),
		TEST(test_static_members_survive_the_rebalance),
		TEST(test_nobody_rejoins),
		TEST(test_administrator_removes_by_instance),
		TEST(test_session_of_a_static_member_ends),
		TEST(test_new_id_is_told_after_it_is_in_the_log),
		TEST(test_new_id_cannot_be_written),
		TEST(test_twice_while_it_is_written),
		TEST(test_rebalance_while_it_is_written),
		TEST(test_leaves_while_it_is_written),
		TEST(test_unloaded_while_it_is_written),
		TEST(test_back_after_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
