/* SyncGroup, Heartbeat and LeaveGroup.
 *
 * Syncs are parked in CompletingRebalance. The leader's brings the assignment: it is set at once,
 * and told when its record is committed. When the record fails, or another rebalance begins before,
 * assignments are emptied and everybody joins again.
 */
#include "coord/group/group_int.h"

enum {
	VERSION_MANY_LEAVE = 3,
};

/* ---- answers to syncs ---------------------------------------------------------------------- */

static void
sync_end(struct ot_group_call *call, const struct group_member *member, ot_err err)
{
	struct ot_sync_group_response *response = call->response;
	ot_sync_group_response_init(response);
	response->assignment = (struct ot_bytes){ .data = (const uint8_t *)"", .len = 0 };
	if (err == OT_OK) {
		const struct group *group = member->group;
		struct ot_arena *arena = call->arena;
		if (!group_str_lend(arena, group->protocol_type, &response->protocol_type) ||
		    !group_str_lend(arena, group->protocol_name, &response->protocol_name) ||
		    (member->assignment.len > 0 &&
			!group_bytes_lend(arena, member->assignment, &response->assignment)))
			err = OT_ERR_COORDINATOR_NOT_AVAILABLE;
	}
	response->error_code = ot_err_to_wire(err);
	group_call_end(call);
}

void
group_sync_answer_error(struct group_member *member, ot_err err)
{
	struct ot_group_call *call = member->sync_call;
	member->sync_call = NULL;
	if (call != NULL)
		sync_end(call, member, err);
}

void
group_sync_propagate(struct group *group, ot_err err)
{
	OT_ASSERT(group->state == GROUP_COMPLETING_REBALANCE);
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		if (err != OT_OK)
			group_member_set_assignment(member, OT_BYTES_NULL);
		struct ot_group_call *call = member->sync_call;
		if (call == NULL)
			continue;
		member->sync_call = NULL;
		/* Its session may have ended while it was parked, which nobody has looked at. */
		group_member_touch(member);
		sync_end(call, member, err);
	}
}

ot_err
group_store_err(ot_err err)
{
	switch (ot_err_to_wire(err)) {
	case OT_ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case OT_ERR_NOT_ENOUGH_REPLICAS:
	case OT_ERR_REQUEST_TIMED_OUT:
		return OT_ERR_COORDINATOR_NOT_AVAILABLE;
	case OT_ERR_NOT_LEADER_OR_FOLLOWER:
	case OT_ERR_KAFKA_STORAGE_ERROR:
		return OT_ERR_NOT_COORDINATOR;
	case OT_ERR_MESSAGE_TOO_LARGE:
	case OT_ERR_RECORD_LIST_TOO_LARGE:
	case OT_ERR_INVALID_FETCH_SIZE:
		return OT_ERR_UNKNOWN_SERVER_ERROR;
	default:
		return err;
	}
}

/* ---- the leader's assignment --------------------------------------------------------------- */

static void
assignment_failed(struct group *group, ot_err err)
{
	OT_WARN("coord", "group %.*s: cannot write the assignment of generation %d: %s",
	    OT_STR_ARG(group->id), group->generation, ot_err_name(err));
	group_sync_propagate(group, group_store_err(err));
	group_rebalance_prepare(group, "the assignment could not be written");
}

static void
assigned_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct group *group = OT_CONTAINER_OF(wait, struct group, assigned);
	struct ot_groups *groups = group->groups;
	if (err == OT_ERR_NOT_COORDINATOR)
		return; /* who is parked is answered when the state is cleared */
	group_enter(groups);
	/* A rebalance that began meanwhile has cancelled this wait. */
	OT_ASSERT(group->state == GROUP_COMPLETING_REBALANCE);
	OT_ASSERT(group->generation == group->assigned_generation);
	if (err != OT_OK) {
		assignment_failed(group, err);
	} else {
		group_sync_propagate(group, OT_OK);
		group_set_state(group, GROUP_STABLE);
	}
	group_leave(groups);
}

/* Sets what the leader says; who is not named gets nothing. */
static void
assign(struct group *group, const struct ot_sync_group_request *request)
{
	for (struct group_member *member = group->members; member != NULL; member = member->hh.next)
		group_member_set_assignment(member, OT_BYTES_NULL);
	for (int32_t i = 0; i < request->assignments_count; i++) {
		struct group_member *member =
		    group_member_find(group, request->assignments[i].member_id);
		if (member != NULL)
			group_member_set_assignment(member, request->assignments[i].assignment);
	}
}

static void
sync_of_leader(struct group *group, const struct ot_sync_group_request *request)
{
	assign(group, request);
	ot_err err = group_store_metadata(group);
	if (err != OT_OK) {
		assignment_failed(group, err);
		return;
	}
	group->assigned_generation = group->generation;
	ot_coord_wait_cancel(&group->assigned);
	ot_coord_wait(group->groups->machine.coord, &group->assigned, assigned_on_done);
}

/* ---- SyncGroup ----------------------------------------------------------------------------- */

/* Older clients do not say which protocol they mean. */
static bool
is_protocol_wrong(struct ot_str said, struct ot_str is)
{
	return said.len >= 0 && is.len >= 0 && !ot_str_equal(said, is);
}

static ot_err
sync_validate(struct ot_groups *groups, const struct ot_sync_group_request *request,
    struct group_member **ret_member)
{
	ot_err err = ot_coord_admit(groups->machine.coord);
	if (err == OT_ERR_COORDINATOR_LOAD_IN_PROGRESS) {
		/* The rebalance was lost with the coordinator that knew of it: join again, here. */
		return OT_ERR_REBALANCE_IN_PROGRESS;
	}
	if (err != OT_OK)
		return err;
	if (request->group_id.len <= 0)
		return OT_ERR_INVALID_GROUP_ID;
	struct group *group = group_find(groups, request->group_id);
	if (group == NULL || group->state == GROUP_EMPTY)
		return OT_ERR_UNKNOWN_MEMBER_ID;
	err = group_member_validate(group, request->member_id, request->group_instance_id,
	    ret_member);
	if (err != OT_OK)
		return err;
	if (request->generation_id != group->generation)
		return OT_ERR_ILLEGAL_GENERATION;
	if (is_protocol_wrong(request->protocol_type, group->protocol_type) ||
	    is_protocol_wrong(request->protocol_name, group->protocol_name))
		return OT_ERR_INCONSISTENT_GROUP_PROTOCOL;
	if (group->state == GROUP_PREPARING_REBALANCE)
		return OT_ERR_REBALANCE_IN_PROGRESS;
	return OT_OK;
}

void
ot_group_sync(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_sync_group_request *request, struct ot_sync_group_response *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	struct group_member *member = NULL;
	ot_err err = sync_validate(groups, request, &member);
	if (err != OT_OK) {
		sync_end(call, NULL, err);
	} else if (member->group->state == GROUP_STABLE) {
		group_sync_received(member);
		sync_end(call, member, OT_OK);
	} else {
		struct group *group = member->group;
		OT_ASSERT(group->state == GROUP_COMPLETING_REBALANCE);
		/* A client that lost its connection asks again: the older question has no reader.
		 */
		group_sync_answer_error(member, OT_ERR_REBALANCE_IN_PROGRESS);
		member->sync_call = call;
		group_sync_received(member);
		if (group->leader == member)
			sync_of_leader(group, request);
	}
	group_leave(groups);
}

/* ---- Heartbeat ----------------------------------------------------------------------------- */

static ot_err
heartbeat(struct ot_groups *groups, const struct ot_heartbeat_request *request)
{
	ot_err err = ot_coord_admit(groups->machine.coord);
	if (err == OT_ERR_COORDINATOR_LOAD_IN_PROGRESS)
		return OT_OK; /* nothing is known yet, and nobody's session runs */
	if (err != OT_OK)
		return err;
	if (request->group_id.len <= 0)
		return OT_ERR_INVALID_GROUP_ID;
	struct group *group = group_find(groups, request->group_id);
	struct group_member *member = NULL;
	if (group == NULL)
		return OT_ERR_UNKNOWN_MEMBER_ID;
	err = group_member_validate(group, request->member_id, request->group_instance_id, &member);
	if (err != OT_OK)
		return err;
	if (request->generation_id != group->generation)
		return OT_ERR_ILLEGAL_GENERATION;
	/* A heartbeat in CompletingRebalance is as good as any: members begin to send them with the
	 * JoinGroup response. */
	group_member_touch(member);
	return group->state == GROUP_PREPARING_REBALANCE ? OT_ERR_REBALANCE_IN_PROGRESS : OT_OK;
}

void
ot_group_heartbeat(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_heartbeat_request *request, struct ot_heartbeat_response *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	ot_heartbeat_response_init(ret_response);
	ret_response->error_code = ot_err_to_wire(heartbeat(groups, request));
	group_call_end(call);
	group_leave(groups);
}

/* ---- LeaveGroup ---------------------------------------------------------------------------- */

/* One who leaves. An administrator removes static members by their instance id alone. */
static ot_err
leave_one(struct group *group, struct ot_str member_id, struct ot_str instance_id,
    struct ot_str reason, uint32_t *removed_count)
{
	struct group_member *member = NULL;
	ot_err err = OT_OK;
	if (member_id.len <= 0) {
		member = group_member_find_instance(group, instance_id);
		err = member == NULL ? OT_ERR_UNKNOWN_MEMBER_ID : OT_OK;
	} else {
		struct group_pending *pending = group_pending_find(group, member_id);
		if (pending != NULL) {
			group_pending_remove(pending);
			return OT_OK;
		}
		err = group_member_validate(group, member_id, instance_id, &member);
	}
	if (err != OT_OK)
		return err;
	if (reason.len <= 0)
		reason = OT_STR_LIT("not provided");
	OT_INFO("coord", "group %.*s: member %.*s leaves; its reason: %.*s", OT_STR_ARG(group->id),
	    OT_STR_ARG(member->id), OT_STR_ARG(reason));
	group_member_remove(member, OT_ERR_UNKNOWN_MEMBER_ID);
	(*removed_count)++;
	return OT_OK;
}

static ot_err
leave_many(struct group *group, const struct ot_group_call *call, uint32_t *removed_count)
{
	const struct ot_leave_group_request *request = call->request;
	struct ot_leave_group_response *response = call->response;
	int32_t count = request->members_count;
	struct ot_leave_group_response_member *to =
	    ot_leave_group_response_member_array(call->arena, count);
	if (to == NULL)
		return OT_ERR_COORDINATOR_NOT_AVAILABLE;
	for (int32_t i = 0; i < count; i++) {
		const struct ot_leave_group_request_member *from = &request->members[i];
		ot_err err = group == NULL
		                 ? OT_ERR_UNKNOWN_MEMBER_ID
		                 : leave_one(group, from->member_id, from->group_instance_id,
				       from->reason, removed_count);
		to[i].member_id = from->member_id;
		to[i].group_instance_id = from->group_instance_id;
		to[i].error_code = ot_err_to_wire(err);
	}
	response->members = to;
	response->members_count = count;
	return OT_OK;
}

static ot_err
leave(struct ot_groups *groups, const struct ot_group_call *call)
{
	const struct ot_leave_group_request *request = call->request;
	ot_err err = ot_coord_admit(groups->machine.coord);
	if (err != OT_OK)
		return err;
	if (request->group_id.len <= 0)
		return OT_ERR_INVALID_GROUP_ID;
	struct group *group = group_find(groups, request->group_id);
	uint32_t removed_count = 0;
	if (call->version >= VERSION_MANY_LEAVE)
		err = leave_many(group, call, &removed_count);
	else if (group == NULL)
		err = OT_ERR_UNKNOWN_MEMBER_ID;
	else
		err =
		    leave_one(group, request->member_id, OT_STR_NULL, OT_STR_NULL, &removed_count);
	if (group == NULL)
		return err;
	if (removed_count > 0 || group->state == GROUP_PREPARING_REBALANCE)
		group_members_left(group, "members left");
	group_maybe_remove(group);
	return err;
}

void
ot_group_leave(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_leave_group_request *request, struct ot_leave_group_response *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	ot_leave_group_response_init(ret_response);
	ret_response->error_code = ot_err_to_wire(leave(groups, call));
	group_call_end(call);
	group_leave(groups);
}
