/* JoinGroup: who gets in, and what they are told.
 *
 *   no member id, no instance id    version 4 and later: an id is given out, come back with it
 *                                   (KIP-394); before: a new member
 *   no member id, an instance id    a new static member, or the one of that instance id comes back
 *                                   under a new id (KIP-345)
 *   a member id                     one that was given out joins; a member joins again
 *
 * A join that is let in is parked with its member, and answered when the rebalance completes,
 * unless the member may go on in the present generation.
 */
#include "coord/group/group_int.h"

#include <stdio.h>
#include <string.h>

enum {
	VERSION_MEMBER_ID_REQUIRED = 4,
	VERSION_PROTOCOL_NAME_NULLABLE = 7,
	VERSION_SKIP_ASSIGNMENT = 9,
};

/* ---- answers ------------------------------------------------------------------------------- */

void
group_join_end_error(struct ot_group_call *call, struct ot_str member_id, ot_err err)
{
	struct ot_join_group_response *response = call->response;
	ot_join_group_response_init(response);
	response->error_code = ot_err_to_wire(err);
	if (!group_str_lend(call->arena, member_id, &response->member_id))
		response->member_id = OT_STR_LIT("");
	response->leader = OT_STR_LIT("");
	if (call->version < VERSION_PROTOCOL_NAME_NULLABLE)
		response->protocol_name = OT_STR_LIT("");
	group_call_end(call);
}

/* What the leader needs for the assignment: all members and their metadata. */
static bool
lend_members(struct ot_group_call *call, const struct group *group)
{
	struct ot_join_group_response *response = call->response;
	uint32_t count = group_member_count(group);
	struct ot_join_group_response_member *to =
	    ot_join_group_response_member_array(call->arena, (int32_t)count);
	if (to == NULL)
		return false;
	response->members = to;
	response->members_count = (int32_t)count;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next, to++) {
		if (!group_str_lend(call->arena, member->id, &to->member_id) ||
		    !group_str_lend(call->arena, member->instance_id, &to->group_instance_id) ||
		    !group_bytes_lend(call->arena, group_member_metadata(member), &to->metadata))
			return false;
	}
	return true;
}

void
group_join_end(struct ot_group_call *call, struct group_member *member, struct ot_str leader,
    bool has_members, bool is_assignment_skipped)
{
	const struct group *group = member->group;
	struct ot_join_group_response *response = call->response;
	ot_join_group_response_init(response);
	response->generation_id = group->generation;
	response->skip_assignment = is_assignment_skipped;
	bool is_lent =
	    group_str_lend(call->arena, group->protocol_type, &response->protocol_type) &&
	    group_str_lend(call->arena, group->protocol_name, &response->protocol_name) &&
	    group_str_lend(call->arena, leader, &response->leader) &&
	    group_str_lend(call->arena, member->id, &response->member_id) &&
	    (!has_members || lend_members(call, group));
	if (!is_lent) {
		group_join_end_error(call, member->id, OT_ERR_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	if (response->protocol_name.len < 0 && call->version < VERSION_PROTOCOL_NAME_NULLABLE)
		response->protocol_name = OT_STR_LIT("");
	group_call_end(call);
}

/* The member goes on in the present generation. */
static void
end_unchanged(struct ot_group_call *call, struct group_member *member, bool has_members)
{
	group_join_end(call, member, member->group->leader->id, has_members, false);
}

static struct ot_group_call *
unpark(struct group_member *member)
{
	struct ot_group_call *call = member->join_call;
	if (call == NULL)
		return NULL;
	OT_ASSERT(member->group->awaiting_join_count > 0);
	member->join_call = NULL;
	member->group->awaiting_join_count--;
	return call;
}

void
group_join_park(struct group_member *member, struct ot_group_call *call)
{
	/* A client that lost its connection asks again: the older question has no reader. */
	group_join_answer_error(member, member->id, OT_ERR_REBALANCE_IN_PROGRESS);
	member->join_call = call;
	member->group->awaiting_join_count++;
}

void
group_join_answer_error(struct group_member *member, struct ot_str member_id, ot_err err)
{
	struct ot_group_call *call = unpark(member);
	if (call != NULL)
		group_join_end_error(call, member_id, err);
}

void
group_join_answer(struct group_member *member)
{
	struct ot_group_call *call = unpark(member);
	bool is_leader = member->group->leader == member;
	if (call != NULL)
		end_unchanged(call, member, is_leader);
}

/* ---- letting in ---------------------------------------------------------------------------- */

static const struct ot_str no_id = { "", 0 };

static struct ot_str
client_reason(const struct ot_join_group_request *request)
{
	return request->reason.len > 0 ? request->reason : OT_STR_LIT("not provided");
}

/* A report's line about why a rebalance begins. */
struct reason {
	char text[500];
};

static const char *
reason_set(struct reason *reason, const char *what, struct ot_str member_id,
    const struct ot_join_group_request *request)
{
	struct ot_str said = client_reason(request);
	struct ot_text text = OT_TEXT(reason->text);
	ot_text_put(&text, "%s %.*s; its reason: %.*s", what, OT_STR_ARG(member_id),
	    OT_STR_ARG(said));
	return reason->text;
}

/* "client-0f9e8d7c-6b5a-4...": the id begins with what people know the member by. */
static bool
generate_member_id(struct ot_group_call *call, struct ot_str prefix, struct ot_str *ret_id)
{
	struct ot_uuid uuid = ot_io_random_uuid(call->groups->io);
	const uint8_t *b = uuid.bytes;
	char text[40];
	int text_len = snprintf(text, sizeof(text),
	    "-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
	    b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
	    b[15]);
	size_t prefix_len = prefix.len > 0 ? (size_t)prefix.len : 0;
	/* A string of the protocol has at most 32,767 bytes. */
	prefix_len = OT_MIN(prefix_len, (size_t)INT16_MAX - sizeof(text));
	char *id = ot_arena_alloc(call->arena, prefix_len + (size_t)text_len);
	if (id == NULL)
		return false;
	if (prefix_len > 0)
		memcpy(id, prefix.data, prefix_len);
	memcpy(id + prefix_len, text, (size_t)text_len);
	*ret_id = (struct ot_str){ .data = id, .len = (int32_t)prefix_len + text_len };
	return true;
}

/* Whether the group has a place for the member. In a rebalance those who await count, not those who
 * are members: the last to come back are turned away from a group that is too large. */
static bool
has_place(const struct group *group, struct ot_str member_id)
{
	uint32_t count_max = (uint32_t)group->groups->options.member_count_max;
	const struct group_member *member = group_member_find(group, member_id);
	switch (group->state) {
	case GROUP_PREPARING_REBALANCE:
		return (member != NULL && member->join_call != NULL) ||
		       group->awaiting_join_count < count_max;
	case GROUP_COMPLETING_REBALANCE:
	case GROUP_STABLE:
		return member != NULL || group_member_count(group) < count_max;
	default:
		return true;
	}
}

static void
add_member(struct group *group, struct ot_group_call *call, struct ot_str member_id)
{
	const struct ot_join_group_request *request = call->request;
	struct group_member *member = group_member_add(group,
	    &(struct group_member_options){
		.id = member_id,
		.instance_id = request->group_instance_id,
		.client_id = call->client_id.len < 0 ? no_id : call->client_id,
		.client_host = call->client_host.len < 0 ? no_id : call->client_host,
		.rebalance_timeout_ms = request->rebalance_timeout_ms,
		.session_timeout_ms = request->session_timeout_ms,
		.protocol_type = request->protocol_type,
		.protocols = request->protocols,
		.protocol_count = request->protocols_count,
	    });
	member->is_new = true;
	if (group->state == GROUP_PREPARING_REBALANCE && group->previous_state == GROUP_EMPTY)
		group->is_new_member_added = true;
	group_join_park(member, call);
	/* It cannot send heartbeats before it is answered, and a client that has gone away does not
	 * say so: its join is given up after a while. */
	ot_timer_arm_in_ms(group->groups->io, &member->session_timer, GROUP_NEW_MEMBER_JOIN_MS);

	struct reason reason;
	group_rebalance(group, reason_set(&reason, "new member", member_id, request));
}

static void
update_member(struct group_member *member, struct ot_group_call *call, const char *what)
{
	const struct ot_join_group_request *request = call->request;
	struct reason reason;
	group_member_update(member, request);
	group_join_park(member, call);
	group_rebalance(member->group, reason_set(&reason, what, member->id, request));
}

/* ---- static members ------------------------------------------------------------------------ */

static struct group_member *
replaced_member(struct ot_coord_wait *wait)
{
	return OT_CONTAINER_OF(wait, struct group_member, replaced);
}

/* The record with the static member's new id is in the log, or is not. When not, the new id stays
 * with the member all the same: nobody was told of it, its client comes back without an id, and so
 * does whoever had the old one. */
static void
replaced_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct group_member *member = replaced_member(wait);
	struct group *group = member->group;
	struct ot_groups *groups = group->groups;
	group_enter(groups);
	struct ot_group_call *call = member->join_call;
	if (call == NULL || group->state == GROUP_PREPARING_REBALANCE) {
		/* A rebalance has taken the join over. */
	} else if (err != OT_OK) {
		group_member_touch(member);
		group_join_answer_error(member, no_id, group_store_err(err));
	} else if (call->version >= VERSION_SKIP_ASSIGNMENT) {
		/* KIP-814: the leader learns that it leads, and that the assignment stands. */
		bool is_leader = group->leader == member;
		group_member_touch(member);
		group_join_end(unpark(member), member, group->leader->id, is_leader, is_leader);
	} else {
		/* An older leader would make an assignment that nobody reads. It gets to know the
		 * leader's former id, so that it does not take itself for the leader. */
		struct ot_join_group_response *response = call->response;
		group_member_touch(member);
		group_join_end(unpark(member), member, response->leader, false, false);
	}
	group_leave(groups);
}

/* The static member comes back while the group is stable and its protocol stays: no rebalance, but
 * its new id goes into the log before anyone hears of it. */
static void
replace_in_stable(struct group_member *member, struct ot_group_call *call,
    struct ot_str leader_before)
{
	struct group *group = member->group;
	struct ot_join_group_response *response = call->response;
	group_join_park(member, call);
	response->leader = leader_before; /* kept there until the record is in the log */
	ot_err err = group_store_metadata(group);
	if (err != OT_OK) {
		group_join_answer_error(member, no_id, group_store_err(err));
		return;
	}
	ot_coord_wait(group->groups->machine.coord, &member->replaced, replaced_on_done);
}

static void
replace_static(struct group_member *member, struct ot_group_call *call, struct ot_str new_id)
{
	struct group *group = member->group;
	const struct ot_join_group_request *request = call->request;
	OT_INFO("coord", "group %.*s: static member %.*s comes back in %s as %.*s, was %.*s",
	    OT_STR_ARG(group->id), OT_STR_ARG(member->instance_id), group_state_name(group->state),
	    OT_STR_ARG(new_id), OT_STR_ARG(member->id));

	struct ot_str leader_before;
	if (!group_str_lend(call->arena, group->leader->id, &leader_before)) {
		group_join_end_error(call, no_id, OT_ERR_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	group_member_rename(member, new_id);
	group_member_update(member, request);
	group_member_touch(member);

	struct reason reason;
	switch (group->state) {
	case GROUP_STABLE: {
		const struct group_vote *vote = group_select_protocol(group);
		struct ot_str name = { .data = vote->name, .len = vote->name_len };
		if (ot_str_equal(name, group->protocol_name)) {
			replace_in_stable(member, call, leader_before);
			return;
		}
		group_join_park(member, call);
		group_rebalance(group,
		    reason_set(&reason, "another protocol is chosen with", new_id, request));
		return;
	}
	case GROUP_COMPLETING_REBALANCE:
		/* The leader assigns to the old id just now: that would be lost on the new one. */
		group_join_park(member, call);
		group_rebalance_prepare(group,
		    reason_set(&reason, "static member with a new id", new_id, request));
		return;
	default:
		group_join_park(member, call);
		group_rebalance_maybe_complete(group);
	}
}

/* ---- the request --------------------------------------------------------------------------- */

static void
join_without_id(struct group *group, struct ot_group_call *call)
{
	const struct ot_join_group_request *request = call->request;
	bool is_static = request->group_instance_id.len >= 0;
	struct ot_str new_id;
	if (!group_supports(group, request)) {
		group_join_end_error(call, no_id, OT_ERR_INCONSISTENT_GROUP_PROTOCOL);
		return;
	}
	if (!generate_member_id(call, is_static ? request->group_instance_id : call->client_id,
		&new_id)) {
		group_join_end_error(call, no_id, OT_ERR_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	struct group_member *member = group_member_find_instance(group, request->group_instance_id);
	if (member != NULL) {
		replace_static(member, call, new_id);
	} else if (is_static || call->version < VERSION_MEMBER_ID_REQUIRED) {
		add_member(group, call, new_id);
	} else {
		group_pending_add(group, new_id, request->session_timeout_ms);
		group_join_end_error(call, new_id, OT_ERR_MEMBER_ID_REQUIRED);
	}
}

static void
rejoin(struct group_member *member, struct ot_group_call *call)
{
	const struct ot_join_group_request *request = call->request;
	struct group *group = member->group;
	bool is_leader = group->leader == member;
	bool has_changed = !group_member_matches(member, request);
	switch (group->state) {
	case GROUP_PREPARING_REBALANCE:
		update_member(member, call, "rejoining member");
		return;
	case GROUP_COMPLETING_REBALANCE:
		/* The same once more: it has not got the answer. */
		if (has_changed)
			update_member(member, call, "changed member");
		else
			end_unchanged(call, member, is_leader);
		return;
	case GROUP_STABLE:
		/* A leader rejoins when it sees something that changes the assignment, such as new
		 * partitions, and nothing of it is in its metadata. */
		if (is_leader || has_changed)
			update_member(member, call, is_leader ? "leader" : "changed member");
		else
			end_unchanged(call, member, false);
		return;
	default:
		OT_PANIC("group %.*s has a member in state %s", OT_STR_ARG(group->id),
		    group_state_name(group->state));
	}
}

static void
join_with_id(struct group *group, struct ot_group_call *call)
{
	const struct ot_join_group_request *request = call->request;
	struct group_member *member = NULL;
	bool is_static = request->group_instance_id.len >= 0;
	ot_err err = OT_OK;
	if (!group_supports(group, request)) {
		err = OT_ERR_INCONSISTENT_GROUP_PROTOCOL;
	} else if (group_pending_find(group, request->member_id) != NULL) {
		/* Ids are given out to dynamic members only. */
		if (!is_static) {
			add_member(group, call, request->member_id);
			return;
		}
		err = OT_ERR_UNKNOWN_MEMBER_ID;
	} else {
		err = group_member_validate(group, request->member_id, request->group_instance_id,
		    &member);
	}
	if (err == OT_OK)
		rejoin(member, call);
	else
		group_join_end_error(call, request->member_id, err);
}

/* What a member brings along, at most. */
static size_t
request_bytes(const struct ot_join_group_request *request)
{
	size_t bytes = sizeof(struct group) + sizeof(struct group_member);
	for (int32_t i = 0; i < request->protocols_count; i++)
		bytes += sizeof(struct group_protocol) + sizeof(struct group_vote) +
		         (size_t)OT_MAX(request->protocols[i].metadata.len, 0) +
		         (size_t)request->protocols[i].name.len;
	return bytes;
}

static ot_err
validate(struct ot_groups *groups, const struct ot_join_group_request *request)
{
	ot_err err = ot_coord_admit(groups->machine.coord);
	if (err != OT_OK)
		return err;
	if (request->group_id.len <= 0)
		return OT_ERR_INVALID_GROUP_ID;
	if (request->session_timeout_ms < groups->options.session_timeout_ms_min ||
	    request->session_timeout_ms > groups->options.session_timeout_ms_max)
		return OT_ERR_INVALID_SESSION_TIMEOUT;
	if (!group_has_room(groups, request_bytes(request)))
		return OT_ERR_COORDINATOR_NOT_AVAILABLE;
	return OT_OK;
}

static void
join(struct ot_groups *groups, struct ot_group_call *call)
{
	const struct ot_join_group_request *request = call->request;
	bool has_id = request->member_id.len > 0;
	ot_err err = validate(groups, request);
	struct group *group = NULL;
	if (err == OT_OK) {
		/* Only a member without an id may found a group. */
		group = has_id ? group_find(groups, request->group_id)
		               : group_find_or_create(groups, request->group_id);
		if (group == NULL)
			err = OT_ERR_UNKNOWN_MEMBER_ID;
	}
	if (err != OT_OK) {
		group_join_end_error(call, request->member_id, err);
		return;
	}
	if (!has_place(group, request->member_id)) {
		struct group_member *member = group_member_find(group, request->member_id);
		if (member != NULL)
			group_member_remove(member, OT_ERR_GROUP_MAX_SIZE_REACHED);
		group_join_end_error(call, no_id, OT_ERR_GROUP_MAX_SIZE_REACHED);
		group_rebalance_maybe_complete(group);
	} else if (has_id) {
		join_with_id(group, call);
	} else {
		join_without_id(group, call);
	}
	group_maybe_remove(group);
}

void
ot_group_join(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_join_group_request *request, struct ot_join_group_response *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	struct ot_join_group_request *own = NULL;
	if (request->rebalance_timeout_ms < 0) {
		/* Version 0 has one time-out for both. */
		own = ot_arena_alloc(call->arena, sizeof(*own));
		if (own != NULL) {
			*own = *request;
			own->rebalance_timeout_ms = request->session_timeout_ms;
			call->request = own;
		}
	}
	if (own == NULL && request->rebalance_timeout_ms < 0)
		group_join_end_error(call, no_id, OT_ERR_COORDINATOR_NOT_AVAILABLE);
	else
		join(groups, call);
	group_leave(groups);
}
