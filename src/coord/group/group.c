/* One group: its life, its states, what its members subscribe to. */
#include "coord/group/group_int.h"

#include <string.h>

#include "wire/msg_consumer_protocol.h"
#include "wire/recordio.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	uint32_t next;
} states[GROUP_STATE_COUNT] = {
	[GROUP_EMPTY] = { "Empty", TO(GROUP_PREPARING_REBALANCE) | TO(GROUP_DEAD) },
	[GROUP_PREPARING_REBALANCE] = { "PreparingRebalance",
	    TO(GROUP_COMPLETING_REBALANCE) | TO(GROUP_EMPTY) | TO(GROUP_DEAD) },
	[GROUP_COMPLETING_REBALANCE] = { "CompletingRebalance",
	    TO(GROUP_STABLE) | TO(GROUP_PREPARING_REBALANCE) | TO(GROUP_DEAD) },
	[GROUP_STABLE] = { "Stable", TO(GROUP_PREPARING_REBALANCE) | TO(GROUP_DEAD) },
	[GROUP_DEAD] = { "Dead", 0 },
};

const char *
group_state_name(enum group_state state)
{
	return states[state].name;
}

void
group_set_state(struct group *group, enum group_state state)
{
	OT_ASSERT(states[group->state].next & TO(state));
	group->previous_state = group->state;
	group->state = state;
	group->state_timestamp = ot_io_wall(group->groups->io);
}

/* ---- life ---------------------------------------------------------------------------------- */

static uint32_t
slot_take(struct ot_groups *groups)
{
	if (groups->slot_free_count > 0)
		return groups->slots_free[--groups->slot_free_count];
	if (groups->slot_count == groups->slot_capacity) {
		uint32_t capacity = OT_MAX(groups->slot_capacity * 2, 16u);
		groups->slots = ot_realloc(groups->slots, capacity * sizeof(*groups->slots));
		groups->slots_free =
		    ot_realloc(groups->slots_free, capacity * sizeof(*groups->slots_free));
		if (groups->slots == NULL || groups->slots_free == NULL)
			OT_PANIC("no memory for %u groups", capacity);
		groups->slot_capacity = capacity;
	}
	return groups->slot_count++;
}

struct group *
group_peek(struct ot_groups *groups, struct ot_str id)
{
	struct group *group = NULL;
	HASH_FIND(hh, groups->by_id, id.data, (unsigned)id.len, group);
	return group;
}

struct group *
group_intern(struct ot_groups *groups, struct ot_str id)
{
	OT_ASSERT(id.len >= 0);
	struct group *group = group_peek(groups, id);
	if (group != NULL)
		return group;
	group = OT_NEW(struct group);
	group->groups = groups;
	group->id = OT_STR_NULL;
	group->hard = OT_BYTES_NULL;
	group->protocol_type = OT_STR_NULL;
	group->protocol_name = OT_STR_NULL;
	group->state = GROUP_EMPTY;
	group->previous_state = GROUP_EMPTY;
	group->state_timestamp = -1;
	group_charge(group, sizeof(*group));
	group->id = group_str_copy(group, id);
	group_rebalance_init(group);
	group->slot = slot_take(groups);
	groups->slots[group->slot] = group;
	HASH_ADD_KEYPTR(hh, groups->by_id, group->id.data, (unsigned)group->id.len, group);
	groups->stats.group_count++;
	return group;
}

struct group *
group_find(struct ot_groups *groups, struct ot_str id)
{
	struct group *group = id.len < 0 ? NULL : group_peek(groups, id);
	if (group != NULL)
		group_make_soft(group);
	return group;
}

struct group *
group_find_or_create(struct ot_groups *groups, struct ot_str id)
{
	struct group *group = group_intern(groups, id);
	group_make_soft(group);
	return group;
}

static void
subscription_clear(struct group *group)
{
	struct group_subscription *subscription;
	struct group_subscription *next;
	HASH_ITER(hh, group->subscriptions, subscription, next) {
		HASH_DEL(group->subscriptions, subscription);
		group_discharge(group, sizeof(*subscription) + (size_t)subscription->name_len);
		ot_free(subscription);
	}
}

void
group_remove(struct group *group, ot_err err)
{
	struct ot_groups *groups = group->groups;
	group->state = GROUP_DEAD;
	group_rebalance_fini(group);
	struct group_member *member;
	struct group_member *next;
	HASH_ITER(hh, group->members, member, next)
		group_member_remove(member, err);
	struct group_pending *pending;
	struct group_pending *pending_next;
	HASH_ITER(hh, group->pendings, pending, pending_next)
		group_pending_remove(pending);
	OT_ASSERT(group->votes == NULL && group->instances == NULL);
	group_offsets_clear(group);
	OT_ASSERT(group->txn_offset_count == 0);
	subscription_clear(group);
	group_str_free(group, &group->protocol_type);
	group_str_free(group, &group->protocol_name);
	group_bytes_free(group, &group->hard);

	groups->removed_batch_number = ot_coord_batch_number(groups->machine.coord);
	HASH_DEL(groups->by_id, group);
	groups->slots[group->slot] = NULL;
	groups->slots_free[groups->slot_free_count++] = group->slot;
	groups->stats.group_count--;
	group_str_free(group, &group->id);
	group_discharge(group, sizeof(*group));
	OT_ASSERT(group->bytes == 0);
	ot_free(group);
}

void
group_maybe_remove(struct group *group)
{
	if (group->hard.len < 0 && group->offset_count == 0 && group->txn_offset_count == 0 &&
	    group->members == NULL && group->pendings == NULL)
		group_remove(group, OT_ERR_UNKNOWN_MEMBER_ID);
}

/* ---- soft state ---------------------------------------------------------------------------- */

static void
make_member_soft(struct group *group, const struct ot_group_metadata_value *value,
    const struct ot_group_metadata_value_member *from)
{
	if (group_member_find(group, from->member_id) != NULL ||
	    group_member_find_instance(group, from->group_instance_id) != NULL)
		return; /* nobody writes such a value */
	struct ot_join_group_request_protocol protocol = {
		.name = value->protocol.len < 0 ? OT_STR_LIT("") : value->protocol,
		.metadata = from->subscription,
	};
	struct group_member *member = group_member_add(group,
	    &(struct group_member_options){
		.id = from->member_id,
		.instance_id = from->group_instance_id,
		.client_id = from->client_id,
		.client_host = from->client_host,
		.rebalance_timeout_ms =
		    from->rebalance_timeout < 0 ? from->session_timeout : from->rebalance_timeout,
		.session_timeout_ms = from->session_timeout,
		.protocol_type = value->protocol_type,
		.protocols = &protocol,
		.protocol_count = 1,
	    });
	group_member_set_assignment(member, from->assignment);
	group_member_touch(member);
}

/* The value was decoded once when it was loaded, so it is right. */
static void
make_members_soft(struct group *group, const struct ot_group_metadata_value *value)
{
	group->generation = value->generation;
	group->state_timestamp = value->current_state_timestamp;
	if (value->protocol_type.len > 0)
		group->protocol_type = group_str_copy(group, value->protocol_type);
	group->protocol_name = group_str_copy(group, value->protocol);
	for (int32_t i = 0; i < value->members_count; i++)
		make_member_soft(group, value, &value->members[i]);
	if (group->members == NULL)
		return;
	group->state = GROUP_STABLE;
	struct group_member *leader = group_member_find(group, value->leader);
	if (leader != NULL)
		group->leader = leader;
}

void
group_make_soft(struct group *group)
{
	if (group->is_soft)
		return;
	group->is_soft = true;
	if (group->hard.len < 0)
		return;
	struct ot_groups *groups = group->groups;
	struct ot_group_metadata_value value;
	int16_t version = 0;
	ot_arena_reset(&groups->arena);
	ot_err err = ot_versioned_decode(&ot_group_metadata_value_msg, group->hard, &groups->arena,
	    &version, &value);
	OT_ASSERT(err == OT_OK);
	make_members_soft(group, &value);
	group_compute_subscription(group);

	uint32_t count_max = (uint32_t)groups->options.member_count_max;
	if (group_member_count(group) > count_max)
		group_rebalance_prepare(group, "it was loaded with more members than it may have");
}

uint32_t
group_member_count(const struct group *group)
{
	return HASH_COUNT(group->members);
}

int32_t
group_rebalance_timeout_ms(const struct group *group)
{
	int32_t timeout_ms = 0;
	for (struct group_member *member = group->members; member != NULL; member = member->hh.next)
		timeout_ms = OT_MAX(timeout_ms, member->rebalance_timeout_ms);
	return timeout_ms;
}

/* ---- subscriptions ------------------------------------------------------------------------- */

bool
group_is_consumer(const struct group *group)
{
	return ot_str_is(group->protocol_type, GROUP_CONSUMER_PROTOCOL_TYPE);
}

static void
subscription_add(struct group *group, struct ot_str name)
{
	struct group_subscription *subscription = NULL;
	HASH_FIND(hh, group->subscriptions, name.data, (unsigned)name.len, subscription);
	if (subscription != NULL)
		return;
	size_t bytes = sizeof(*subscription) + (size_t)name.len;
	subscription = ot_must_alloc(bytes);
	subscription->name_len = name.len;
	memcpy(subscription->name, name.data, (size_t)name.len);
	group_charge(group, bytes);
	HASH_ADD(hh, group->subscriptions, name[0], (unsigned)name.len, subscription);
}

/* The topics of one member. All versions of the protocol begin with version 0: a version that does
 * not exist yet is read like that, for only the topics are wanted. */
static bool
subscription_add_member(struct group *group, const struct group_member *member)
{
	struct ot_arena *arena = &group->groups->arena;
	struct ot_consumer_protocol_subscription subscription;
	struct ot_bytes metadata = group_member_metadata(member);
	if (metadata.len < 2)
		return false;
	struct ot_reader in = ot_reader_of(metadata.data, (size_t)metadata.len);
	if (ot_read_i16(&in) < 0)
		return false;
	ot_arena_reset(arena);
	if (ot_msg_decode_prefix(&ot_consumer_protocol_subscription_msg, 0, &in, arena,
		&subscription) != OT_OK)
		return false;
	for (int32_t i = 0; i < subscription.topics_count; i++)
		subscription_add(group, subscription.topics[i]);
	return true;
}

void
group_compute_subscription(struct group *group)
{
	subscription_clear(group);
	group->is_subscription_known = false;
	if (!group_is_consumer(group))
		return;
	if (group->members != NULL && group->protocol_name.len < 0)
		return;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next) {
		if (subscription_add_member(group, member))
			continue;
		OT_WARN("coord",
		    "group %.*s: the subscription of member %.*s is not of the consumer "
		    "protocol; its topics are not known",
		    OT_STR_ARG(group->id), OT_STR_ARG(member->id));
		subscription_clear(group);
		return;
	}
	group->is_subscription_known = true;
}

bool
group_is_subscribed(const struct group *group, struct ot_str topic)
{
	if (!group->is_subscription_known)
		return group_is_consumer(group);
	struct group_subscription *subscription = NULL;
	HASH_FIND(hh, group->subscriptions, topic.data, (unsigned)topic.len, subscription);
	return subscription != NULL;
}
