/* A text that says all of the groups that their records say, for tests: a live state and a reloaded
 * one have the same. With soft state, groups that are at rest show the members that they have
 * instead of those in their record: the same, unless a record could not be written. */
#include "coord/group/group_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/recordio.h"

static void put(struct ot_writer *out, const char *fmt, ...) OT_PRINTF(2, 3);

static void
put(struct ot_writer *out, const char *fmt, ...)
{
	char text[1200];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	OT_ASSERT(len >= 0);
	ot_write_raw(out, text, OT_MIN((size_t)len, sizeof(text) - 1));
}

static void
put_hex(struct ot_writer *out, struct ot_bytes bytes)
{
	for (int32_t i = 0; i < bytes.len; i++)
		put(out, "%02x", bytes.data[i]);
}

/* ---- order --------------------------------------------------------------------------------- */

static int
compare_groups(const void *a, const void *b)
{
	const struct group *const *left = a;
	const struct group *const *right = b;
	return ot_str_compare((*left)->id, (*right)->id);
}

static int
compare_members(const struct group_member *a, const struct group_member *b)
{
	return ot_str_compare(a->id, b->id);
}

static int
compare_topics(const struct group_topic *a, const struct group_topic *b)
{
	return ot_str_compare((struct ot_str){ .data = a->name, .len = a->name_len },
	    (struct ot_str){ .data = b->name, .len = b->name_len });
}

static int
compare_offsets(const struct group_offset *a, const struct group_offset *b)
{
	return a->partition < b->partition ? -1 : a->partition > b->partition;
}

/* The items of a hash in an array, by the comparison. */
#define SORTED(item_type, head, compare, ret_items, ret_count)                            \
	do {                                                                              \
		item_type *item_;                                                         \
		ret_count = 0;                                                            \
		ret_items = ot_must_alloc((HASH_COUNT(head) + 1) * sizeof(*ret_items));   \
		for (item_ = (head); item_ != NULL; item_ = item_->hh.next) {             \
			uint32_t place_ = ret_count++;                                    \
			while (place_ > 0 && compare(ret_items[place_ - 1], item_) > 0) { \
				ret_items[place_] = ret_items[place_ - 1];                \
				place_--;                                                 \
			}                                                                 \
			ret_items[place_] = item_;                                        \
		}                                                                         \
	} while (0)

/* ---- parts --------------------------------------------------------------------------------- */

static void
put_member(struct ot_writer *out, const struct ot_group_metadata_value_member *member,
    struct ot_str leader)
{
	put(out, "  member %.*s instance %.*s client %.*s host %.*s timeouts %d %d",
	    OT_STR_ARG(member->member_id), OT_STR_ARG(member->group_instance_id),
	    OT_STR_ARG(member->client_id), OT_STR_ARG(member->client_host),
	    member->rebalance_timeout, member->session_timeout);
	put(out, "%s metadata ", ot_str_equal(leader, member->member_id) ? " leads" : "");
	put_hex(out, member->subscription);
	put(out, " assignment ");
	put_hex(out, member->assignment);
	put(out, "\n");
}

static void
dump_members(const struct group *group, struct ot_writer *out)
{
	struct group_member **members;
	uint32_t count;
	put(out, "  generation %d type %.*s protocol %.*s\n", group->generation,
	    OT_STR_ARG(group->protocol_type), OT_STR_ARG(group->protocol_name));
	SORTED(struct group_member, group->members, compare_members, members, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct group_member *member = members[i];
		struct ot_group_metadata_value_member shown = {
			.member_id = member->id,
			.group_instance_id = member->instance_id,
			.client_id = member->client_id,
			.client_host = member->client_host,
			.rebalance_timeout = member->rebalance_timeout_ms,
			.session_timeout = member->session_timeout_ms,
			.subscription = group_member_metadata(member),
			.assignment = member->assignment,
		};
		put_member(out, &shown, group->leader->id);
	}
	ot_free(members);
}

static int
compare_values(const void *a, const void *b)
{
	const struct ot_group_metadata_value_member *left = a;
	const struct ot_group_metadata_value_member *right = b;
	return ot_str_compare(left->member_id, right->member_id);
}

static void
dump_hard(const struct group *group, struct ot_writer *out)
{
	struct ot_arena arena;
	struct ot_group_metadata_value value;
	int16_t version = 0;
	ot_arena_init(&arena, 0);
	ot_err err = ot_versioned_decode(&ot_group_metadata_value_msg, group->hard, &arena,
	    &version, &value);
	OT_ASSERT(err == OT_OK);
	put(out, "  generation %d type %.*s protocol %.*s\n", value.generation,
	    OT_STR_ARG(value.protocol_type), OT_STR_ARG(value.protocol));
	if (value.members_count > 0)
		qsort(value.members, (size_t)value.members_count, sizeof(*value.members),
		    compare_values);
	for (int32_t i = 0; i < value.members_count; i++)
		put_member(out, &value.members[i], value.leader);
	ot_arena_fini(&arena);
}

static void
dump_topic(const struct group_topic *topic, struct ot_writer *out)
{
	struct group_offset **offsets;
	uint32_t count;
	SORTED(struct group_offset, topic->offsets, compare_offsets, offsets, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct group_offset *offset = offsets[i];
		put(out, "  offset %.*s-%d %lld epoch %d commit %lld expire %lld metadata %.*s\n",
		    topic->name_len, topic->name, offset->partition, (long long)offset->offset,
		    offset->leader_epoch, (long long)offset->commit_timestamp,
		    (long long)offset->expire_timestamp, OT_STR_ARG(offset->metadata));
	}
	ot_free(offsets);
}

static void
dump_offsets(const struct group *group, struct ot_writer *out)
{
	struct group_topic **topics;
	uint32_t count;
	SORTED(struct group_topic, group->topics, compare_topics, topics, count);
	for (uint32_t i = 0; i < count; i++)
		dump_topic(topics[i], out);
	ot_free(topics);
}

static void
dump_group(struct group *group, bool with_soft, struct ot_writer *out)
{
	if (group->hard.len < 0 && group->offset_count == 0 && group->txn_offset_count == 0)
		return;
	group_make_soft(group);
	bool is_at_rest = group->state == GROUP_STABLE || group->state == GROUP_EMPTY;
	put(out, "group %.*s\n", OT_STR_ARG(group->id));
	if (group->hard.len >= 0 && with_soft && is_at_rest)
		dump_members(group, out);
	else if (group->hard.len >= 0)
		dump_hard(group, out);
	dump_offsets(group, out);
	if (group->txn_offset_count > 0)
		put(out, "  offsets of open transactions %u\n", group->txn_offset_count);
}

void
ot_groups_dump(const struct ot_groups *groups, bool with_soft, struct ot_writer *out)
{
	struct group **sorted = ot_must_alloc((groups->slot_count + 1) * sizeof(struct group *));
	uint32_t count = 0;
	for (uint32_t i = 0; i < groups->slot_count; i++) {
		if (groups->slots[i] != NULL)
			sorted[count++] = groups->slots[i];
	}
	qsort(sorted, count, sizeof(struct group *), compare_groups);
	for (uint32_t i = 0; i < count; i++)
		dump_group(sorted[i], with_soft, out);
	ot_free(sorted);
}
