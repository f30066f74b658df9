/* Goal: members get in, or are told why not, and a rebalance ends with one generation that all
 * know. Method: members by hand on a clock that is moved; after each step the groups' invariants
 * hold (harness_turn()). Each test names the state that it begins in and the one that it ends in.
 */
#include "harness.h"

#include <stdio.h>

static struct harness h;
static struct ot_group_options options;

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

static void
set_options(void)
{
	ot_groups_set_options(h.groups, &options);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void
test_refusals(void **state)
{
	(void)state;
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "" }), OT_ERR_INVALID_GROUP_ID);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .session_ms = 5999 }),
	    OT_ERR_INVALID_SESSION_TIMEOUT);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .session_ms = 1800001 }),
	    OT_ERR_INVALID_SESSION_TIMEOUT);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .member = "nobody" }),
	    OT_ERR_UNKNOWN_MEMBER_ID);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .type = "" }),
	    OT_ERR_INCONSISTENT_GROUP_PROTOCOL);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
	assert_int_equal(stats.bytes, 0);

	/* Another type, or no protocol in common. */
	stable_with_one(&h, "g");
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .type = "connect" }),
	    OT_ERR_INCONSISTENT_GROUP_PROTOCOL);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .protocols = "sticky" }),
	    OT_ERR_INCONSISTENT_GROUP_PROTOCOL);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .member = "nobody" }),
	    OT_ERR_UNKNOWN_MEMBER_ID);
}

static void
test_not_active(void **state)
{
	(void)state;
	ot_coord_unload(h.coord);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g" }), OT_ERR_NOT_COORDINATOR);
	assert_int_equal(ask_heartbeat(&h, "g", OT_STR_LIT("m"), NULL, 1), OT_ERR_NOT_COORDINATOR);
	ot_coord_load(h.coord, 2);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_LOADING);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g" }),
	    OT_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	/* Nobody's session runs while loading, and a sync has to begin with a join again. */
	assert_int_equal(ask_heartbeat(&h, "g", OT_STR_LIT("m"), NULL, 1), OT_OK);
	struct ask *sync = ask_sync(&h, "g", OT_STR_LIT("m"), 1, NULL);
	assert_int_equal(sync->response.sync.error_code, OT_ERR_REBALANCE_IN_PROGRESS);
	ask_free(sync);
	struct ask *commit = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 1);
	assert_int_equal(commit->response.commit.topics[0].partitions[0].error_code,
	    OT_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	ask_free(commit);
}

/* ---- versions ------------------------------------------------------------------------------ */

static void
test_old_versions_join_at_once(void **state)
{
	(void)state;
	for (int16_t version = 0; version <= 3; version++) {
		char group[10];
		snprintf(group, sizeof(group), "g%d", version);
		struct ask *ask = ask_join(&h,
		    &(struct join_args){ .group = group, .version = version == 0 ? -1 : version });
		assert_false(ask->is_done);
		harness_advance(&h, 3000);
		assert_true(ask->is_done);
		assert_int_equal(ask->response.join.error_code, 0);
		assert_int_equal(ask->response.join.members_count, 1);
		assert_str(ask->response.join.protocol_name, "range");
		assert_memory_equal(ask->response.join.member_id.data, "client-", 7);
		assert_int_equal(ask->response.join.member_id.len, 7 + 36);
		ask_free(ask);
	}
}

static void
test_version_0_has_one_timeout(void **state)
{
	(void)state;
	/* The session's time-out is the rebalance's: the second join waits so long for the first.
	 */
	options.rebalance_delay_ms = 0;
	set_options();
	struct ask *first =
	    ask_join(&h, &(struct join_args){ .group = "g", .version = -1, .session_ms = 7000 });
	harness_advance(&h, 1);
	struct ot_str id = member_of(first, 1);
	struct ask *second =
	    ask_join(&h, &(struct join_args){ .group = "g", .version = -1, .session_ms = 7000 });
	for (int i = 0; i < 6; i++) {
		harness_advance(&h, 1000);
		assert_int_equal(ask_heartbeat(&h, "g", id, NULL, 1), OT_ERR_REBALANCE_IN_PROGRESS);
	}
	assert_false(second->is_done);
	harness_advance(&h, 1001);
	member_of(second, 2);
	assert_int_equal(ask_heartbeat(&h, "g", id, NULL, 1), OT_ERR_UNKNOWN_MEMBER_ID);
}

/* ---- member ids (KIP-394) ------------------------------------------------------------------ */

static void
test_id_that_is_not_used_expires(void **state)
{
	(void)state;
	struct ask *ask = ask_join(&h, &(struct join_args){ .group = "g", .session_ms = 8000 });
	assert_int_equal(ask->response.join.error_code, OT_ERR_MEMBER_ID_REQUIRED);
	const char *id = keep(ask->response.join.member_id).data;
	ask_free(ask);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.pending_member_count, 1);
	assert_int_equal(stats.member_count, 0);
	harness_advance(&h, 7999);
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.pending_member_count, 1);
	harness_advance(&h, 2);
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.pending_member_count, 0);
	assert_int_equal(stats.group_count, 0);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .member = id }),
	    OT_ERR_UNKNOWN_MEMBER_ID);
}

static void
test_rebalance_waits_for_ids_given_out(void **state)
{
	(void)state;
	struct ot_str old = stable_with_one(&h, "g");
	struct ask *pending = ask_join(&h, &(struct join_args){ .group = "g", .session_ms = 9000 });
	assert_int_equal(pending->response.join.error_code, OT_ERR_MEMBER_ID_REQUIRED);
	ask_free(pending);
	/* An id alone is no reason for a rebalance. */
	assert_int_equal(ask_heartbeat(&h, "g", old, NULL, 1), OT_OK);
	struct ask *leader = ask_join(&h, &(struct join_args){ .group = "g", .member = old.data });
	assert_false(leader->is_done);
	harness_advance(&h, 9001);
	member_of(leader, 2);
}

static void
test_id_given_out_may_leave(void **state)
{
	(void)state;
	struct ask *ask = ask_join(&h, &(struct join_args){ .group = "g" });
	struct ot_str id = keep(ask->response.join.member_id);
	ask_free(ask);
	struct ask *leave = ask_leave(&h, "g", id, NULL, 5);
	assert_int_equal(leave->response.leave.error_code, 0);
	assert_int_equal(leave->response.leave.members[0].error_code, 0);
	ask_free(leave);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
}

/* An id that was given out to a dynamic member is nobody's instance. */
static void
test_id_given_out_is_not_static(void **state)
{
	(void)state;
	struct ask *ask = ask_join(&h, &(struct join_args){ .group = "g" });
	const char *id = keep(ask->response.join.member_id).data;
	ask_free(ask);
	assert_join_err(
	    ask_join(&h, &(struct join_args){ .group = "g", .member = id, .instance = "i" }),
	    OT_ERR_UNKNOWN_MEMBER_ID);
}

/* ---- the first rebalance ------------------------------------------------------------------- */

static void
test_first_rebalance_waits_for_others(void **state)
{
	(void)state;
	struct ask *first = join_dynamic(&h, "g", &join_plain);
	assert_state(&h, "g", "PreparingRebalance");
	harness_advance(&h, 2999);
	assert_false(first->is_done);
	struct ask *second = join_dynamic(&h, "g", &join_plain);
	/* One came: another delay. */
	harness_advance(&h, 2);
	assert_false(first->is_done);
	harness_advance(&h, 2990);
	struct ask *third = join_dynamic(&h, "g", &join_plain);
	harness_advance(&h, 10);
	assert_false(first->is_done);
	harness_advance(&h, 3000);
	assert_true(first->is_done && second->is_done && third->is_done);
	assert_int_equal(first->response.join.members_count, 3);
	assert_int_equal(second->response.join.members_count, 0);
	assert_true(ot_str_equal(second->response.join.leader, first->response.join.member_id));
	assert_state(&h, "g", "CompletingRebalance");
	member_of(first, 1);
	member_of(second, 1);
	member_of(third, 1);
}

static void
test_first_rebalance_ends_with_the_rebalance_timeout(void **state)
{
	(void)state;
	struct join_args args = { .rebalance_ms = 8000 };
	struct ask *asks[10];
	int count = 0;
	asks[count++] = join_dynamic(&h, "g", &args);
	for (int ms = 0; ms < 8000; ms += 1000) {
		assert_false(asks[0]->is_done);
		asks[count++] = join_dynamic(&h, "g", &args);
		harness_advance(&h, 1000);
	}
	harness_advance(&h, 1);
	for (int i = 0; i < count; i++)
		member_of(asks[i], 1);
}

static void
test_no_delay_when_there_is_none(void **state)
{
	(void)state;
	options.rebalance_delay_ms = 0;
	set_options();
	struct ask *ask = join_dynamic(&h, "g", &join_plain);
	harness_advance(&h, 1);
	member_of(ask, 1);
}

static void
test_new_member_gives_up_before_the_first_rebalance(void **state)
{
	(void)state;
	struct ask *ask = join_dynamic(&h, "g", &join_plain);
	/* Its id was never told, but a tool may remove it. */
	struct ot_arena arena;
	struct ot_describe_groups_response_group described;
	ot_arena_init(&arena, 0);
	ot_group_describe(h.groups, OT_STR_LIT("g"), 5, &arena, &described);
	assert_int_equal(described.members_count, 1);
	struct ask *leave = ask_leave(&h, "g", described.members[0].member_id, NULL, 5);
	assert_int_equal(leave->response.leave.members[0].error_code, 0);
	ask_free(leave);
	ot_arena_fini(&arena);
	assert_join_err(ask, OT_ERR_UNKNOWN_MEMBER_ID);
	assert_state(&h, "g", "Empty");
}

/* ---- later rebalances ---------------------------------------------------------------------- */

static void
test_second_member_begins_a_rebalance(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *join = join_dynamic(&h, "g", &join_plain);
	assert_state(&h, "g", "PreparingRebalance");
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_ERR_REBALANCE_IN_PROGRESS);
	struct ask *sync = ask_sync(&h, "g", one, 1, NULL);
	assert_int_equal(sync->response.sync.error_code, OT_ERR_REBALANCE_IN_PROGRESS);
	ask_free(sync);
	struct ask *rejoin = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_int_equal(rejoin->response.join.members_count, 2);
	assert_str(rejoin->response.join.leader, one.data);
	member_of(rejoin, 2);
	struct ot_str two = member_of(join, 2);
	assert_state(&h, "g", "CompletingRebalance");

	/* The follower's sync waits for the leader's. */
	struct ask *follower = ask_sync(&h, "g", two, 2, NULL);
	assert_false(follower->is_done);
	char text[200];
	snprintf(text, sizeof(text), "%s=left;%s=right;stranger=x", one.data, two.data);
	struct ask *leader = ask_sync(&h, "g", one, 2, text);
	assert_bytes(leader->response.sync.assignment, "left");
	assert_bytes(follower->response.sync.assignment, "right");
	assert_str(follower->response.sync.protocol_name, "range");
	assert_str(follower->response.sync.protocol_type, "consumer");
	ask_free(leader);
	ask_free(follower);
	assert_state(&h, "g", "Stable");
	assert_reload_equal(&h);

	/* In a stable group a sync gives the same again. */
	struct ask *again = ask_sync(&h, "g", two, 2, NULL);
	assert_bytes(again->response.sync.assignment, "right");
	ask_free(again);
}

static void
test_absent_member_is_removed_and_the_leader_replaced(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *join = join_dynamic(&h, "g", &(struct join_args){ .rebalance_ms = 20000 });
	/* The leader is heard of all the time, and does not come. */
	for (int i = 0; i < 59; i++) {
		harness_advance(&h, 1000);
		assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1),
		    OT_ERR_REBALANCE_IN_PROGRESS);
	}
	assert_false(join->is_done); /* the longest rebalance time-out of all counts: 60 s */
	harness_advance(&h, 1001);
	assert_int_equal(join->response.join.members_count, 1);
	struct ot_str two = member_of(join, 2);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(ask_heartbeat(&h, "g", two, NULL, 2), OT_OK);
}

static void
test_session_ends(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	harness_advance(&h, 9999);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_OK);
	harness_advance(&h, 9999);
	assert_state(&h, "g", "Stable");
	harness_advance(&h, 2);
	assert_state(&h, "g", "Empty");
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_reload_equal(&h);

	/* The generation goes on where it was: 2 is the empty one. */
	struct ask *join = join_dynamic(&h, "g", &join_plain);
	harness_advance(&h, 3000);
	member_of(join, 3);
}

static void
test_parked_member_is_alive(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *two = join_dynamic(&h, "g",
	    &(struct join_args){ .rebalance_ms = 100000, .session_ms = 6000 });
	/* The new one is parked for longer than its session; the old one's session ends first. */
	harness_advance(&h, 10001);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(two->response.join.members_count, 1);
	member_of(two, 2);
}

static void
test_new_members_join_is_given_up_in_time(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *two = join_dynamic(&h, "g", &(struct join_args){ .rebalance_ms = 1000000 });
	for (int s = 0; s < 299; s += 5) {
		assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1),
		    OT_ERR_REBALANCE_IN_PROGRESS);
		assert_false(two->is_done);
		harness_advance(&h, 5000);
	}
	harness_advance(&h, 1);
	assert_join_err(two, OT_ERR_UNKNOWN_MEMBER_ID);
}

static void
test_pending_sync_ends(void **state)
{
	(void)state;
	options.rebalance_delay_ms = 0;
	set_options();
	struct join_args args = { .rebalance_ms = 8000, .session_ms = 30000 };
	struct ask *join = join_dynamic(&h, "g", &args);
	harness_advance(&h, 1);
	struct ot_str one = member_of(join, 1);
	struct ask *second = join_dynamic(&h, "g", &args);
	struct ask *rejoin = ask_join(&h,
	    &(struct join_args){ .group = "g", .member = one.data, .rebalance_ms = 8000 });
	struct ot_str two = member_of(second, 2);
	member_of(rejoin, 2);
	/* The leader syncs, the other one only sends heartbeats. */
	struct ask *sync = ask_sync(&h, "g", one, 2, "");
	assert_int_equal(sync->response.sync.error_code, 0);
	ask_free(sync);
	assert_state(&h, "g", "Stable");
	harness_advance(&h, 7999);
	assert_int_equal(ask_heartbeat(&h, "g", two, NULL, 2), OT_OK);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_OK);
	harness_advance(&h, 2);
	assert_int_equal(ask_heartbeat(&h, "g", two, NULL, 2), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 2), OT_ERR_REBALANCE_IN_PROGRESS);
}

static void
test_leader_that_never_syncs_is_removed(void **state)
{
	(void)state;
	options.rebalance_delay_ms = 0;
	set_options();
	struct join_args args = { .rebalance_ms = 8000, .session_ms = 30000 };
	struct ask *join = join_dynamic(&h, "g", &args);
	harness_advance(&h, 1);
	struct ot_str one = member_of(join, 1);
	struct ask *second = join_dynamic(&h, "g", &args);
	member_of(ask_join(&h, &(struct join_args){ .group = "g",
				   .member = one.data,
				   .rebalance_ms = 8000,
				   .session_ms = 30000 }),
	    2);
	struct ot_str two = member_of(second, 2);
	struct ask *sync = ask_sync(&h, "g", two, 2, NULL);
	harness_advance(&h, 8001);
	/* The parked sync is told to join again; the leader is gone. */
	assert_int_equal(sync->response.sync.error_code, OT_ERR_REBALANCE_IN_PROGRESS);
	ask_free(sync);
	struct ask *rejoin = ask_join(&h, &(struct join_args){ .group = "g", .member = two.data });
	assert_int_equal(rejoin->response.join.members_count, 1);
	member_of(rejoin, 3);
}

/* ---- rejoining ----------------------------------------------------------------------------- */

static void
test_rejoin_by_state(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *second = join_dynamic(&h, "g", &join_plain);
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = one.data }), 2);
	struct ot_str two = member_of(second, 2);

	/* CompletingRebalance: the same again, for an answer may have been lost. */
	struct ask *ask = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_int_equal(ask->response.join.members_count, 2);
	member_of(ask, 2);
	ask = ask_join(&h, &(struct join_args){ .group = "g", .member = two.data });
	assert_int_equal(ask->response.join.members_count, 0);
	member_of(ask, 2);

	char text[200];
	snprintf(text, sizeof(text), "%s=x;%s=y", one.data, two.data);
	ask_free(ask_sync(&h, "g", one, 2, text));
	ask_free(ask_sync(&h, "g", two, 2, NULL));
	assert_state(&h, "g", "Stable");

	/* Stable: a follower that has not changed goes on. */
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = two.data }), 2);
	assert_state(&h, "g", "Stable");
	/* One that has changed begins a rebalance, and so does the leader without any change. */
	ask = ask_join(&h,
	    &(struct join_args){ .group = "g", .member = two.data, .metadata = "other" });
	assert_false(ask->is_done);
	assert_state(&h, "g", "PreparingRebalance");
	struct ask *leader = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	member_of(leader, 3);
	member_of(ask, 3);
	ask_free(ask_sync(&h, "g", one, 3, ""));
	ask_free(ask_sync(&h, "g", two, 3, ""));
	leader = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_false(leader->is_done);
	member_of(ask_join(&h,
		      &(struct join_args){ .group = "g", .member = two.data, .metadata = "other" }),
	    4);
	member_of(leader, 4);
}

static void
test_changed_member_in_completing_begins_anew(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *second = join_dynamic(&h, "g", &join_plain);
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = one.data }), 2);
	struct ot_str two = member_of(second, 2);
	struct ask *sync = ask_sync(&h, "g", two, 2, NULL);
	struct ask *changed = ask_join(&h,
	    &(struct join_args){ .group = "g", .member = one.data, .metadata = "other" });
	assert_int_equal(sync->response.sync.error_code, OT_ERR_REBALANCE_IN_PROGRESS);
	ask_free(sync);
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = two.data }), 3);
	member_of(changed, 3);
}

static void
test_second_join_answers_the_first(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	struct ask *two = join_dynamic(&h, "g", &join_plain);
	struct ask *pending = ask_join(&h, &(struct join_args){ .group = "g" });
	ask_free(pending); /* keeps the rebalance open */
	struct ask *first = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_false(first->is_done);
	struct ask *again = ask_join(&h, &(struct join_args){ .group = "g", .member = one.data });
	assert_join_err(first, OT_ERR_REBALANCE_IN_PROGRESS);
	harness_advance(&h, 10001);
	member_of(again, 2);
	member_of(two, 2);
}

/* ---- protocols ----------------------------------------------------------------------------- */

static void
test_votes(void **state)
{
	(void)state;
	struct ask *asks[3] = {
		join_dynamic(&h, "g", &(struct join_args){ .protocols = "a,b,c" }),
		join_dynamic(&h, "g", &(struct join_args){ .protocols = "c,b" }),
		join_dynamic(&h, "g", &(struct join_args){ .protocols = "c,b,x,x" }),
	};
	harness_advance(&h, 6000);
	/* All support b and c; c has two votes. */
	for (int i = 0; i < 3; i++) {
		assert_str(asks[i]->response.join.protocol_name, "c");
		assert_str(asks[i]->response.join.protocol_type, "consumer");
		member_of(asks[i], 1);
	}
	/* Whoever does not support b or c is turned away: "x" is one member's only. */
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .protocols = "x,a" }),
	    OT_ERR_INCONSISTENT_GROUP_PROTOCOL);
}

/* ---- sizes --------------------------------------------------------------------------------- */

static void
test_group_max_size(void **state)
{
	(void)state;
	options.member_count_max = 2;
	set_options();
	struct ask *one = join_dynamic(&h, "g", &join_plain);
	struct ask *two = join_dynamic(&h, "g", &join_plain);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g" }),
	    OT_ERR_GROUP_MAX_SIZE_REACHED);
	harness_advance(&h, 6000);
	struct ot_str first = member_of(one, 1);
	struct ot_str second = member_of(two, 1);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g" }),
	    OT_ERR_GROUP_MAX_SIZE_REACHED);
	ask_free(ask_sync(&h, "g", first, 1, ""));
	ask_free(ask_sync(&h, "g", second, 1, ""));
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g" }),
	    OT_ERR_GROUP_MAX_SIZE_REACHED);

	/* A smaller limit sheds whoever comes last. */
	options.member_count_max = 1;
	set_options();
	struct ask *stays = ask_join(&h,
	    &(struct join_args){ .group = "g", .member = second.data, .metadata = "changed" });
	assert_false(stays->is_done);
	assert_join_err(ask_join(&h, &(struct join_args){ .group = "g", .member = first.data }),
	    OT_ERR_GROUP_MAX_SIZE_REACHED);
	assert_int_equal(stays->response.join.members_count, 1);
	member_of(stays, 2);
}

static void
test_memory_bound(void **state)
{
	(void)state;
	options.bytes_max = 20000;
	set_options();
	char metadata[3001];
	memset(metadata, 'm', 3000);
	metadata[3000] = '\0';
	struct ask *asks[20];
	int count = 0;
	for (; count < 20; count++) {
		struct ask *ask = ask_join(&h,
		    &(struct join_args){ .group = "g", .version = 3, .metadata = metadata });
		if (ask->is_done) {
			assert_join_err(ask, OT_ERR_COORDINATOR_NOT_AVAILABLE);
			break;
		}
		asks[count] = ask;
	}
	assert_in_range(count, 3, 6);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_true(stats.bytes <= 20000);
	/* Offsets are refused too. */
	options.bytes_max = stats.bytes;
	set_options();
	assert_int_equal(commit_now(&h, "other", "t", 0, 1), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	harness_advance(&h, 60000);
	for (int i = 0; i < count; i++)
		member_of(asks[i], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_refusals),
		TEST(test_not_active),
		TEST(test_old_versions_join_at_once),
		TEST(test_version_0_has_one_timeout),
		TEST(test_id_that_is_not_used_expires),
		TEST(test_rebalance_waits_for_ids_given_out),
		TEST(test_id_given_out_may_leave),
		TEST(test_id_given_out_is_not_static),
		TEST(test_first_rebalance_waits_for_others),
		TEST(test_first_rebalance_ends_with_the_rebalance_timeout),
		TEST(test_no_delay_when_there_is_none),
		TEST(test_new_member_gives_up_before_the_first_rebalance),
		TEST(test_second_member_begins_a_rebalance),
		TEST(test_absent_member_is_removed_and_the_leader_replaced),
		TEST(test_session_ends),
		TEST(test_parked_member_is_alive),
		TEST(test_new_members_join_is_given_up_in_time),
		TEST(test_pending_sync_ends),
		TEST(test_leader_that_never_syncs_is_removed),
		TEST(test_rejoin_by_state),
		TEST(test_changed_member_in_completing_begins_anew),
		TEST(test_second_join_answers_the_first),
		TEST(test_votes),
		TEST(test_group_max_size),
		TEST(test_memory_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
