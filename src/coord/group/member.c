/* Members of a classic group, the protocols that they can speak, and how one is chosen.
 *
 * Each protocol name stands once in the group's votes, with the number of members that support it:
 * those that all support are candidates. A member's list points to these names, in its order of
 * preference.
 */
#include "coord/group/group_int.h"

#include <string.h>

/* ---- protocols ----------------------------------------------------------------------------- */

static struct group_vote *
vote_find(const struct group *group, struct ot_str name)
{
	struct group_vote *vote = NULL;
	HASH_FIND(hh, group->votes, name.data, (unsigned)name.len, vote);
	return vote;
}

static struct group_vote *
vote_intern(struct group *group, struct ot_str name)
{
	struct group_vote *vote = vote_find(group, name);
	if (vote != NULL)
		return vote;
	size_t bytes = sizeof(*vote) + (size_t)name.len;
	vote = ot_must_alloc(bytes);
	vote->name_len = name.len;
	memcpy(vote->name, name.data, (size_t)name.len);
	group_charge(group, bytes);
	HASH_ADD(hh, group->votes, name[0], (unsigned)name.len, vote);
	return vote;
}

static struct ot_str
vote_name(const struct group_vote *vote)
{
	return (struct ot_str){ .data = vote->name, .len = vote->name_len };
}

static struct ot_bytes
no_bytes(void)
{
	return (struct ot_bytes){ .data = (const uint8_t *)"", .len = 0 };
}

/* Takes a list over, into one block; a name that comes twice counts once, with its first metadata.
 */
static struct group_protocols *
protocols_create(struct group *group, const struct ot_join_group_request_protocol *from,
    int32_t count)
{
	size_t bytes = sizeof(struct group_protocols);
	for (int32_t i = 0; i < count; i++)
		bytes += sizeof(struct group_protocol) + (size_t)OT_MAX(from[i].metadata.len, 0);
	struct group_protocols *protocols = ot_must_alloc(bytes);
	protocols->bytes = bytes;
	group_charge(group, bytes);

	uint64_t stamp = group->groups->stamp_next++;
	uint8_t *place = (uint8_t *)&protocols->items[count];
	for (int32_t i = 0; i < count; i++) {
		struct group_vote *vote = vote_intern(group, from[i].name);
		if (vote->stamp == stamp)
			continue;
		vote->stamp = stamp;
		vote->member_count++;
		struct group_protocol *protocol = &protocols->items[protocols->count++];
		int32_t len = OT_MAX(from[i].metadata.len, 0);
		protocol->vote = vote;
		protocol->metadata = (struct ot_bytes){ .data = place, .len = len };
		if (len > 0)
			memcpy(place, from[i].metadata.data, (size_t)len);
		place += len;
	}
	return protocols;
}

static void
protocols_destroy(struct group *group, struct group_protocols *protocols)
{
	for (int32_t i = 0; i < protocols->count; i++) {
		struct group_vote *vote = protocols->items[i].vote;
		OT_ASSERT(vote->member_count > 0);
		if (--vote->member_count > 0)
			continue;
		HASH_DEL(group->votes, vote);
		group_discharge(group, sizeof(*vote) + (size_t)vote->name_len);
		ot_free(vote);
	}
	group_discharge(group, protocols->bytes);
	ot_free(protocols);
}

bool
group_supports(const struct group *group, const struct ot_join_group_request *request)
{
	if (group->state == GROUP_EMPTY)
		return request->protocol_type.len > 0 && request->protocols_count > 0;
	if (!ot_str_equal(group->protocol_type, request->protocol_type))
		return false;
	uint32_t member_count = group_member_count(group);
	for (int32_t i = 0; i < request->protocols_count; i++) {
		const struct group_vote *vote = vote_find(group, request->protocols[i].name);
		if ((vote == NULL ? 0 : vote->member_count) == member_count)
			return true;
	}
	return false;
}

struct group_vote *
group_select_protocol(struct group *group)
{
	uint32_t member_count = group_member_count(group);
	OT_ASSERT(member_count > 0);
	struct group_vote *vote;
	for (vote = group->votes; vote != NULL; vote = vote->hh.next)
		vote->voter_count = 0;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		for (int32_t i = 0; i < member->protocols->count; i++) {
			vote = member->protocols->items[i].vote;
			if (vote->member_count < member_count)
				continue;
			vote->voter_count++;
			break;
		}
	}
	struct group_vote *best = NULL;
	for (vote = group->votes; vote != NULL; vote = vote->hh.next) {
		if (vote->voter_count > 0 &&
		    (best == NULL || vote->voter_count > best->voter_count))
			best = vote;
	}
	/* There is one: a member is only taken when it leaves the group a candidate. */
	OT_ASSERT(best != NULL);
	return best;
}

struct ot_bytes
group_member_metadata(const struct group_member *member)
{
	struct ot_str name = member->group->protocol_name;
	for (int32_t i = 0; name.len >= 0 && i < member->protocols->count; i++) {
		const struct group_protocol *protocol = &member->protocols->items[i];
		if (ot_str_equal(vote_name(protocol->vote), name))
			return protocol->metadata;
	}
	return no_bytes();
}

bool
group_member_matches(const struct group_member *member, const struct ot_join_group_request *request)
{
	const struct group_protocols *protocols = member->protocols;
	if (protocols->count != request->protocols_count)
		return false;
	for (int32_t i = 0; i < protocols->count; i++) {
		const struct group_protocol *own = &protocols->items[i];
		const struct ot_join_group_request_protocol *other = &request->protocols[i];
		int32_t len = OT_MAX(other->metadata.len, 0);
		if (!ot_str_equal(vote_name(own->vote), other->name) || own->metadata.len != len)
			return false;
		if (len > 0 && memcmp(own->metadata.data, other->metadata.data, (size_t)len) != 0)
			return false;
	}
	return true;
}

/* ---- members ------------------------------------------------------------------------------- */

struct group_member *
group_member_find(const struct group *group, struct ot_str id)
{
	struct group_member *member = NULL;
	if (id.len >= 0)
		HASH_FIND(hh, group->members, id.data, (unsigned)id.len, member);
	return member;
}

struct group_member *
group_member_find_instance(const struct group *group, struct ot_str instance_id)
{
	struct group_member *member = NULL;
	if (instance_id.len >= 0)
		HASH_FIND(hh_instance, group->instances, instance_id.data,
		    (unsigned)instance_id.len, member);
	return member;
}

ot_err
group_member_validate(const struct group *group, struct ot_str id, struct ot_str instance_id,
    struct group_member **ret_member)
{
	if (instance_id.len >= 0) {
		struct group_member *owner = group_member_find_instance(group, instance_id);
		if (owner == NULL)
			return OT_ERR_UNKNOWN_MEMBER_ID;
		if (!ot_str_equal(owner->id, id)) {
			OT_INFO("coord",
			    "group %.*s: member %.*s is fenced: instance %.*s is member %.*s now",
			    OT_STR_ARG(group->id), OT_STR_ARG(id), OT_STR_ARG(instance_id),
			    OT_STR_ARG(owner->id));
			return OT_ERR_FENCED_INSTANCE_ID;
		}
	}
	struct group_member *member = group_member_find(group, id);
	if (member == NULL)
		return OT_ERR_UNKNOWN_MEMBER_ID;
	*ret_member = member;
	return OT_OK;
}

static void
take_timeouts(struct group_member *member, int32_t rebalance_timeout_ms, int32_t session_timeout_ms)
{
	member->rebalance_timeout_ms = OT_MAX(rebalance_timeout_ms, 0);
	member->session_timeout_ms = OT_MAX(session_timeout_ms, 0);
}

struct group_member *
group_member_add(struct group *group, const struct group_member_options *options)
{
	OT_ASSERT(group_member_find(group, options->id) == NULL);
	struct group_pending *pending = group_pending_find(group, options->id);
	if (pending != NULL)
		group_pending_remove(pending);
	if (group->members == NULL && options->protocol_type.len > 0) {
		group_str_free(group, &group->protocol_type);
		group->protocol_type = group_str_copy(group, options->protocol_type);
	}

	struct group_member *member = OT_NEW(struct group_member);
	group_charge(group, sizeof(*member));
	member->group = group;
	member->id = group_str_copy(group, options->id);
	member->instance_id = group_str_copy(group, options->instance_id);
	member->client_id = group_str_copy(group, options->client_id);
	member->client_host = group_str_copy(group, options->client_host);
	member->protocols = protocols_create(group, options->protocols, options->protocol_count);
	member->assignment = OT_BYTES_NULL;
	take_timeouts(member, options->rebalance_timeout_ms, options->session_timeout_ms);
	ot_list_init(&member->replaced.link);
	ot_timer_init(&member->session_timer, group_session_expired);

	HASH_ADD_KEYPTR(hh, group->members, member->id.data, (unsigned)member->id.len, member);
	if (member->instance_id.len >= 0)
		HASH_ADD_KEYPTR(hh_instance, group->instances, member->instance_id.data,
		    (unsigned)member->instance_id.len, member);
	if (group->leader == NULL)
		group->leader = member;
	group->groups->stats.member_count++;
	return member;
}

static void
sync_not_pending(struct group_member *member)
{
	if (!member->is_sync_pending)
		return;
	OT_ASSERT(member->group->sync_pending_count > 0);
	member->is_sync_pending = false;
	member->group->sync_pending_count--;
}

void
group_member_remove(struct group_member *member, ot_err err)
{
	struct group *group = member->group;
	/* A client whose join is answered so comes back without an id. When the coordinator goes,
	 * it keeps its id and looks for another one. */
	struct ot_str told_id = err == OT_ERR_NOT_COORDINATOR ? member->id : OT_STR_LIT("");
	group_join_answer_error(member, told_id, err);
	group_sync_answer_error(member, err);
	sync_not_pending(member);
	ot_timer_cancel(group->groups->io, &member->session_timer);
	ot_coord_wait_cancel(&member->replaced);

	HASH_DEL(group->members, member);
	if (member->instance_id.len >= 0)
		HASH_DELETE(hh_instance, group->instances, member);
	if (group->leader == member)
		group->leader = group->members;
	group->groups->stats.member_count--;

	protocols_destroy(group, member->protocols);
	group_str_free(group, &member->id);
	group_str_free(group, &member->instance_id);
	group_str_free(group, &member->client_id);
	group_str_free(group, &member->client_host);
	group_bytes_free(group, &member->assignment);
	group_discharge(group, sizeof(*member));
	ot_free(member);
}

void
group_member_rename(struct group_member *member, struct ot_str id)
{
	struct group *group = member->group;
	OT_ASSERT(member->instance_id.len >= 0);
	OT_ASSERT(group_member_find(group, id) == NULL);
	group_join_answer_error(member, member->id, OT_ERR_FENCED_INSTANCE_ID);
	group_sync_answer_error(member, OT_ERR_FENCED_INSTANCE_ID);
	ot_coord_wait_cancel(&member->replaced);

	HASH_DEL(group->members, member);
	group_str_free(group, &member->id);
	member->id = group_str_copy(group, id);
	HASH_ADD_KEYPTR(hh, group->members, member->id.data, (unsigned)member->id.len, member);
}

void
group_member_update(struct group_member *member, const struct ot_join_group_request *request)
{
	struct group *group = member->group;
	/* New before old: names that stay keep their place among the votes. */
	struct group_protocols *old = member->protocols;
	member->protocols = protocols_create(group, request->protocols, request->protocols_count);
	protocols_destroy(group, old);
	take_timeouts(member, request->rebalance_timeout_ms, request->session_timeout_ms);
}

void
group_member_set_assignment(struct group_member *member, struct ot_bytes assignment)
{
	group_bytes_free(member->group, &member->assignment);
	if (assignment.len > 0)
		member->assignment = group_bytes_copy(member->group, assignment);
}

void
group_member_touch(struct group_member *member)
{
	ot_timer_arm_in_ms(member->group->groups->io, &member->session_timer,
	    member->session_timeout_ms);
}

/* ---- ids that were given out --------------------------------------------------------------- */

struct group_pending *
group_pending_find(const struct group *group, struct ot_str id)
{
	struct group_pending *pending = NULL;
	if (id.len >= 0)
		HASH_FIND(hh, group->pendings, id.data, (unsigned)id.len, pending);
	return pending;
}

void
group_pending_add(struct group *group, struct ot_str id, int32_t timeout_ms)
{
	OT_ASSERT(group_member_find(group, id) == NULL);
	struct group_pending *pending = OT_NEW(struct group_pending);
	group_charge(group, sizeof(*pending));
	pending->group = group;
	pending->id = group_str_copy(group, id);
	ot_timer_init(&pending->timer, group_pending_expired);
	ot_timer_arm_in_ms(group->groups->io, &pending->timer, timeout_ms);
	HASH_ADD_KEYPTR(hh, group->pendings, pending->id.data, (unsigned)pending->id.len, pending);
	group->groups->stats.pending_member_count++;
}

void
group_pending_remove(struct group_pending *pending)
{
	struct group *group = pending->group;
	ot_timer_cancel(group->groups->io, &pending->timer);
	HASH_DEL(group->pendings, pending);
	group->groups->stats.pending_member_count--;
	group_str_free(group, &pending->id);
	group_discharge(group, sizeof(*pending));
	ot_free(pending);
}
