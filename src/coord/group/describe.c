/* DescribeGroups and ListGroups; what the tests and the simulator look at. */
#include "coord/group/group_int.h"

#include <stdlib.h>
#include <strings.h>

enum {
	VERSION_DESCRIBE_NOT_FOUND = 6,
};

#define CLASSIC_TYPE "classic"

/* ---- DescribeGroups ------------------------------------------------------------------------ */

static struct ot_bytes
no_bytes(void)
{
	return (struct ot_bytes){ .data = (const uint8_t *)"", .len = 0 };
}

/* Metadata is shown when it is that of the present protocol: in a stable group. */
static bool
lend_member(struct ot_arena *arena, const struct group_member *member,
    struct ot_describe_groups_response_member *to)
{
	bool is_stable = member->group->state == GROUP_STABLE;
	to->member_metadata = no_bytes();
	to->member_assignment = no_bytes();
	return group_str_lend(arena, member->id, &to->member_id) &&
	       group_str_lend(arena, member->instance_id, &to->group_instance_id) &&
	       group_str_lend(arena, member->client_id, &to->client_id) &&
	       group_str_lend(arena, member->client_host, &to->client_host) &&
	       (!is_stable ||
		   group_bytes_lend(arena, group_member_metadata(member), &to->member_metadata)) &&
	       (member->assignment.len <= 0 ||
		   group_bytes_lend(arena, member->assignment, &to->member_assignment));
}

static bool
lend_group(struct ot_arena *arena, const struct group *group,
    struct ot_describe_groups_response_group *response)
{
	int32_t count = (int32_t)group_member_count(group);
	struct ot_describe_groups_response_member *to =
	    ot_describe_groups_response_member_array(arena, count);
	if (to == NULL)
		return false;
	response->group_state = ot_str_from(group_state_name(group->state));
	response->members = to;
	response->members_count = count;
	if (group->protocol_type.len >= 0 &&
	    !group_str_lend(arena, group->protocol_type, &response->protocol_type))
		return false;
	if (group->state == GROUP_STABLE && group->protocol_name.len >= 0 &&
	    !group_str_lend(arena, group->protocol_name, &response->protocol_data))
		return false;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		if (!lend_member(arena, member, to++))
			return false;
	}
	return true;
}

static void
describe_init(struct ot_str group_id, struct ot_describe_groups_response_group *ret_response)
{
	ot_describe_groups_response_group_init(ret_response);
	ret_response->group_id = group_id;
	ret_response->group_state = OT_STR_LIT("");
	ret_response->protocol_type = OT_STR_LIT("");
	ret_response->protocol_data = OT_STR_LIT("");
}

static void
describe_missing(struct ot_str group_id, int16_t version, struct ot_arena *arena,
    struct ot_describe_groups_response_group *response)
{
	response->group_state = ot_str_from(group_state_name(GROUP_DEAD));
	if (version < VERSION_DESCRIBE_NOT_FOUND)
		return;
	response->error_code = OT_ERR_GROUP_ID_NOT_FOUND;
	struct ot_why why = { "" };
	ot_why_set(&why, "Group %.*s not found.", OT_STR_ARG(group_id));
	struct ot_str text = ot_str_from(why.text);
	if (!group_str_lend(arena, text, &response->error_message))
		response->error_message = OT_STR_NULL;
}

void
ot_group_describe(struct ot_groups *groups, struct ot_str group_id, int16_t version,
    struct ot_arena *arena, struct ot_describe_groups_response_group *ret_response)
{
	group_enter(groups);
	describe_init(group_id, ret_response);
	ot_err err = ot_coord_admit(groups->machine.coord);
	if (err == OT_OK) {
		const struct group *group = group_find(groups, group_id);
		if (group == NULL)
			describe_missing(group_id, version, arena, ret_response);
		else if (!lend_group(arena, group, ret_response))
			err = OT_ERR_COORDINATOR_NOT_AVAILABLE;
	}
	if (err != OT_OK) {
		describe_init(group_id, ret_response);
		ret_response->error_code = ot_err_to_wire(err);
	}
	group_leave(groups);
}

/* ---- ListGroups ---------------------------------------------------------------------------- */

/* Without a filter everything passes. Letters' case does not matter. */
static bool
passes(const struct ot_str *filter, int32_t count, const char *text)
{
	struct ot_str wanted = ot_str_from(text);
	for (int32_t i = 0; i < count; i++) {
		if (filter[i].len == wanted.len &&
		    strncasecmp(filter[i].data, text, (size_t)wanted.len) == 0)
			return true;
	}
	return count <= 0;
}

static bool
is_listed(const struct ot_list_groups_request *request, const struct group *group)
{
	return passes(request->types_filter, request->types_filter_count, CLASSIC_TYPE) &&
	       passes(request->states_filter, request->states_filter_count,
		   group_state_name(group->state));
}

static ot_err
list(struct ot_groups *groups, const struct ot_list_groups_request *request, struct ot_arena *arena,
    struct ot_list_groups_response *response)
{
	int32_t count = response->groups_count + (int32_t)groups->stats.group_count;
	struct ot_list_groups_response_group *all =
	    ot_list_groups_response_group_array(arena, count);
	if (all == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < response->groups_count; i++)
		all[i] = response->groups[i];
	struct ot_list_groups_response_group *to = all + response->groups_count;
	for (uint32_t i = 0; i < groups->slot_count; i++) {
		struct group *group = groups->slots[i];
		if (group == NULL)
			continue;
		group_make_soft(group);
		if (!is_listed(request, group))
			continue;
		to->protocol_type = OT_STR_LIT("");
		to->group_state = ot_str_from(group_state_name(group->state));
		to->group_type = OT_STR_LIT(CLASSIC_TYPE);
		if (!group_str_lend(arena, group->id, &to->group_id) ||
		    (group->protocol_type.len >= 0 &&
			!group_str_lend(arena, group->protocol_type, &to->protocol_type)))
			return OT_ERR_NO_MEMORY;
		to++;
	}
	response->groups = all;
	response->groups_count = (int32_t)(to - all);
	return OT_OK;
}

ot_err
ot_group_list(struct ot_groups *groups, const struct ot_list_groups_request *request,
    struct ot_arena *arena, struct ot_list_groups_response *response)
{
	switch (ot_coord_state(groups->machine.coord)) {
	case OT_COORD_ACTIVE:
		break;
	case OT_COORD_LOADING:
		return OT_ERR_COORDINATOR_LOAD_IN_PROGRESS;
	default:
		return OT_OK;
	}
	group_enter(groups);
	ot_err err = list(groups, request, arena, response);
	group_leave(groups);
	return err;
}

/* ---- invariants ---------------------------------------------------------------------------- */

static void
check_members(const struct group *group)
{
	uint32_t join_count = 0;
	uint32_t sync_count = 0;
	uint32_t static_count = 0;
	bool has_leader = group->members == NULL;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		OT_ASSERT(member->group == group);
		OT_ASSERT(group_member_find(group, member->id) == member);
		OT_ASSERT(group_pending_find(group, member->id) == NULL);
		has_leader |= group->leader == member;
		join_count += member->join_call != NULL;
		sync_count += member->is_sync_pending;
		static_count += member->instance_id.len >= 0;
		if (member->instance_id.len >= 0)
			OT_ASSERT(group_member_find_instance(group, member->instance_id) == member);
		OT_ASSERT(member->sync_call == NULL || group->state == GROUP_COMPLETING_REBALANCE);
		/* Somebody looks after each member: its session, or what it waits for. */
		OT_ASSERT(ot_timer_is_armed(&member->session_timer) || member->join_call != NULL ||
			  member->sync_call != NULL);
	}
	OT_ASSERT(has_leader);
	OT_ASSERT(join_count == group->awaiting_join_count);
	OT_ASSERT(sync_count == group->sync_pending_count);
	OT_ASSERT(static_count == HASH_CNT(hh_instance, group->instances));
}

static void
check_votes(const struct group *group)
{
	uint32_t support_count = 0;
	uint32_t protocol_count = 0;
	uint32_t candidate_count = 0;
	for (struct group_vote *vote = group->votes; vote != NULL; vote = vote->hh.next) {
		OT_ASSERT(vote->member_count > 0);
		support_count += vote->member_count;
		candidate_count += vote->member_count == group_member_count(group);
	}
	for (struct group_member *member = group->members; member != NULL; member = member->hh.next)
		protocol_count += (uint32_t)member->protocols->count;
	OT_ASSERT(support_count == protocol_count);
	OT_ASSERT(group->members == NULL || candidate_count > 0);
}

static void
check_group(const struct group *group)
{
	OT_ASSERT(group->groups->slots[group->slot] == group);
	OT_ASSERT(group->hard.len >= 0 || group->offset_count > 0 || group->txn_offset_count > 0 ||
		  group->members != NULL || group->pendings != NULL);
	uint32_t offset_count = 0;
	for (struct group_topic *topic = group->topics; topic != NULL; topic = topic->hh.next) {
		OT_ASSERT(topic->offsets != NULL);
		offset_count += HASH_COUNT(topic->offsets);
	}
	OT_ASSERT(offset_count == group->offset_count);
	if (!group->is_soft) {
		OT_ASSERT(group->members == NULL);
		return;
	}
	switch (group->state) {
	case GROUP_EMPTY:
		OT_ASSERT(group->members == NULL && group->leader == NULL);
		break;
	case GROUP_PREPARING_REBALANCE:
		OT_ASSERT(ot_timer_is_armed(&group->join_timer));
		break;
	case GROUP_COMPLETING_REBALANCE:
		OT_ASSERT(group->members != NULL && group->protocol_name.len >= 0);
		break;
	case GROUP_STABLE:
		OT_ASSERT(group->members != NULL && group->hard.len >= 0);
		break;
	default:
		OT_PANIC("group in state %s", group_state_name(group->state));
	}
	check_members(group);
	check_votes(group);
}

void
ot_groups_check(const struct ot_groups *groups)
{
	size_t bytes = 0;
	uint32_t group_count = 0;
	uint32_t member_count = 0;
	for (uint32_t i = 0; i < groups->slot_count; i++) {
		const struct group *group = groups->slots[i];
		if (group == NULL)
			continue;
		check_group(group);
		bytes += group->bytes;
		group_count++;
		member_count += group_member_count(group);
	}
	OT_ASSERT(bytes == groups->stats.bytes);
	OT_ASSERT(group_count == groups->stats.group_count);
	OT_ASSERT(group_count == HASH_COUNT(groups->by_id));
	OT_ASSERT(member_count == groups->stats.member_count);
}
