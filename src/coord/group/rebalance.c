/* Rebalances of a classic group: from the first join to the answer that all members get.
 *
 *                 first member                     all are there, or time is up
 *   Empty  ------------------->  PreparingRebalance  ------------------------>  CompletingRebalance
 *   Stable, CompletingRebalance ------->  |   ^                                   |  who does not
 * sync a member comes, goes, changes    |   |___________________________________|  in time goes v
 * no member is left Empty
 *
 * The join timer runs in PreparingRebalance: for the first rebalance of an empty group in steps of
 * group.initial.rebalance.delay.ms, each of which is followed by another while members come, else
 * once, as long as the longest rebalance time-out. Then dynamic members that have not come back are
 * removed; static ones stay, their session decides.
 *
 * The sync timer runs from CompletingRebalance until all members have asked for their assignment.
 */
#include "coord/group/group_int.h"

enum {
	/* A rebalance to which nobody came is looked at again after its time-out, but not all the
	 * time: members may have a time-out of nothing. */
	POSTPONE_MS_LEAST = 1000,
};

static void complete(struct group *group);

static struct ot_io *
io_of(const struct group *group)
{
	return group->groups->io;
}

/* ---- preparing ----------------------------------------------------------------------------- */

static void
start_initial_delay(struct group *group)
{
	int32_t delay_ms = OT_MAX(group->groups->options.rebalance_delay_ms, 0);
	int32_t timeout_ms = group_rebalance_timeout_ms(group);
	group->is_initial_delay = true;
	group->is_new_member_added = false;
	group->delay_ms = delay_ms;
	group->delay_left_ms = OT_MAX(timeout_ms - delay_ms, 0);
	ot_timer_arm_in_ms(io_of(group), &group->join_timer, delay_ms);
}

static bool
has_all_joined(const struct group *group)
{
	return group_member_count(group) == group->awaiting_join_count && group->pendings == NULL;
}

void
group_rebalance_prepare(struct group *group, const char *reason)
{
	if (group->state == GROUP_COMPLETING_REBALANCE)
		group_sync_propagate(group, OT_ERR_REBALANCE_IN_PROGRESS);
	for (struct group_member *member = group->members; member != NULL; member = member->hh.next)
		member->is_sync_pending = false;
	group->sync_pending_count = 0;
	ot_timer_cancel(io_of(group), &group->sync_timer);
	ot_coord_wait_cancel(&group->assigned);

	OT_INFO("coord", "group %.*s: rebalance, was %s in generation %d: %s",
	    OT_STR_ARG(group->id), group_state_name(group->state), group->generation, reason);
	bool is_first = group->state == GROUP_EMPTY;
	group_set_state(group, GROUP_PREPARING_REBALANCE);
	if (is_first) {
		start_initial_delay(group);
		return;
	}
	group->is_initial_delay = false;
	if (has_all_joined(group))
		complete(group);
	else
		ot_timer_arm_in_ms(io_of(group), &group->join_timer,
		    group_rebalance_timeout_ms(group));
}

void
group_rebalance(struct group *group, const char *reason)
{
	if (group->state == GROUP_PREPARING_REBALANCE)
		group_rebalance_maybe_complete(group);
	else
		group_rebalance_prepare(group, reason);
}

void
group_rebalance_maybe_complete(struct group *group)
{
	/* The first rebalance ends by its delay alone: others may be about to come. */
	if (group->state != GROUP_PREPARING_REBALANCE || group->is_initial_delay)
		return;
	if (has_all_joined(group))
		complete(group);
}

void
group_members_left(struct group *group, const char *reason)
{
	switch (group->state) {
	case GROUP_STABLE:
	case GROUP_COMPLETING_REBALANCE:
		group_rebalance_prepare(group, reason);
		break;
	case GROUP_PREPARING_REBALANCE:
		/* With nobody left there is nobody to wait for. */
		if (has_all_joined(group) && (!group->is_initial_delay || group->members == NULL))
			complete(group);
		break;
	default:
		break;
	}
}

/* ---- completing ---------------------------------------------------------------------------- */

static void
remove_absent(struct group *group)
{
	uint32_t removed_count = 0;
	struct group_member *member;
	struct group_member *next;
	HASH_ITER(hh, group->members, member, next) {
		if (member->join_call != NULL || member->instance_id.len >= 0)
			continue;
		group_member_remove(member, OT_ERR_UNKNOWN_MEMBER_ID);
		removed_count++;
	}
	if (removed_count > 0)
		OT_INFO("coord", "group %.*s: removed %u members that did not rejoin in time",
		    OT_STR_ARG(group->id), removed_count);
}

/* The leader has to be there. False when nobody is, of a group that has members. */
static bool
elect_leader(struct group *group)
{
	if (group->members == NULL)
		return true;
	if (group->leader->join_call != NULL)
		return true;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		if (member->join_call == NULL)
			continue;
		OT_INFO("coord", "group %.*s: leader %.*s did not rejoin in time, %.*s leads now",
		    OT_STR_ARG(group->id), OT_STR_ARG(group->leader->id), OT_STR_ARG(member->id));
		group->leader = member;
		return true;
	}
	return false;
}

static void
complete_empty(struct group *group)
{
	group_str_free(group, &group->protocol_name);
	group_compute_subscription(group);
	group_set_state(group, GROUP_EMPTY);
	OT_INFO("coord", "group %.*s: empty in generation %d", OT_STR_ARG(group->id),
	    group->generation);
	/* When the record does not get into the log, and the coordinator moves, the generation
	 * before lives again until the sessions of its members end: harmless, for nobody is there.
	 */
	ot_err err = group_store_metadata(group);
	if (err != OT_OK)
		OT_WARN("coord", "group %.*s: cannot write that it is empty: %s",
		    OT_STR_ARG(group->id), ot_err_name(err));
}

static void
complete_with_members(struct group *group)
{
	const struct group_vote *vote = group_select_protocol(group);
	group_str_free(group, &group->protocol_name);
	group->protocol_name =
	    group_str_copy(group, (struct ot_str){ .data = vote->name, .len = vote->name_len });
	group_compute_subscription(group);
	group_set_state(group, GROUP_COMPLETING_REBALANCE);
	group->groups->stats.rebalance_count++;
	OT_INFO("coord", "group %.*s: generation %d with %u members, protocol %.*s",
	    OT_STR_ARG(group->id), group->generation, group_member_count(group),
	    OT_STR_ARG(group->protocol_name));

	group->sync_pending_count = 0;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		group_join_answer(member);
		group_member_touch(member);
		member->is_new = false;
		member->is_sync_pending = true;
		group->sync_pending_count++;
	}
	ot_timer_arm_in_ms(io_of(group), &group->sync_timer, group_rebalance_timeout_ms(group));
}

static void
complete(struct group *group)
{
	OT_ASSERT(group->state == GROUP_PREPARING_REBALANCE);
	ot_timer_cancel(io_of(group), &group->join_timer);
	group->is_initial_delay = false;
	remove_absent(group);
	if (!elect_leader(group)) {
		OT_WARN("coord",
		    "group %.*s: no member rejoined, of %u static ones; waiting for their sessions "
		    "to end",
		    OT_STR_ARG(group->id), group_member_count(group));
		ot_timer_arm_in_ms(io_of(group), &group->join_timer,
		    OT_MAX(group_rebalance_timeout_ms(group), POSTPONE_MS_LEAST));
		return;
	}
	group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
	if (group->members == NULL)
		complete_empty(group);
	else
		complete_with_members(group);
}

/* ---- timers -------------------------------------------------------------------------------- */

static void
join_on_timer(struct ot_timer *timer)
{
	struct group *group = OT_CONTAINER_OF(timer, struct group, join_timer);
	struct ot_groups *groups = group->groups;
	group_enter(groups);
	if (group->is_initial_delay && group->is_new_member_added && group->delay_left_ms > 0) {
		int32_t delay_ms =
		    OT_MIN(OT_MAX(groups->options.rebalance_delay_ms, 0), group->delay_left_ms);
		group->delay_left_ms = OT_MAX(group->delay_left_ms - group->delay_ms, 0);
		group->delay_ms = delay_ms;
		group->is_new_member_added = false;
		ot_timer_arm_in_ms(groups->io, &group->join_timer, delay_ms);
	} else {
		complete(group);
		group_maybe_remove(group);
	}
	group_leave(groups);
}

static void
sync_on_timer(struct ot_timer *timer)
{
	struct group *group = OT_CONTAINER_OF(timer, struct group, sync_timer);
	struct ot_groups *groups = group->groups;
	OT_ASSERT(group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE);
	group_enter(groups);
	uint32_t removed_count = group->sync_pending_count;
	struct group_member *member;
	struct group_member *next;
	HASH_ITER(hh, group->members, member, next) {
		if (member->is_sync_pending)
			group_member_remove(member, OT_ERR_UNKNOWN_MEMBER_ID);
	}
	OT_INFO("coord", "group %.*s: removed %u members that did not sync in time",
	    OT_STR_ARG(group->id), removed_count);
	if (removed_count > 0)
		group_rebalance_prepare(group, "members did not sync in time");
	group_maybe_remove(group);
	group_leave(groups);
}

void
group_sync_received(struct group_member *member)
{
	struct group *group = member->group;
	if (!member->is_sync_pending)
		return;
	OT_ASSERT(group->sync_pending_count > 0);
	member->is_sync_pending = false;
	if (--group->sync_pending_count == 0)
		ot_timer_cancel(io_of(group), &group->sync_timer);
}

void
group_session_expired(struct ot_timer *timer)
{
	struct group_member *member = OT_CONTAINER_OF(timer, struct group_member, session_timer);
	struct group *group = member->group;
	struct ot_groups *groups = group->groups;
	/* Who is parked here is alive. But a new member's join is given up: see add_member(). */
	if (!member->is_new && (member->join_call != NULL || member->sync_call != NULL))
		return;
	group_enter(groups);
	OT_INFO("coord", "group %.*s: member %.*s has not been heard for %d ms, removed",
	    OT_STR_ARG(group->id), OT_STR_ARG(member->id), member->session_timeout_ms);
	group_member_remove(member, OT_ERR_UNKNOWN_MEMBER_ID);
	group_members_left(group, "a member's session has ended");
	group_maybe_remove(group);
	group_leave(groups);
}

void
group_pending_expired(struct ot_timer *timer)
{
	struct group_pending *pending = OT_CONTAINER_OF(timer, struct group_pending, timer);
	struct group *group = pending->group;
	struct ot_groups *groups = group->groups;
	group_enter(groups);
	group_pending_remove(pending);
	if (group->state == GROUP_PREPARING_REBALANCE)
		group_members_left(group, "");
	group_maybe_remove(group);
	group_leave(groups);
}

void
group_rebalance_init(struct group *group)
{
	ot_timer_init(&group->join_timer, join_on_timer);
	ot_timer_init(&group->sync_timer, sync_on_timer);
	ot_list_init(&group->assigned.link);
}

void
group_rebalance_fini(struct group *group)
{
	ot_timer_cancel(io_of(group), &group->join_timer);
	ot_timer_cancel(io_of(group), &group->sync_timer);
	ot_coord_wait_cancel(&group->assigned);
}
