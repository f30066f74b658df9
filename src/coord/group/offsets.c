/* Committed offsets: group, topic, partition. And those of transactions whose end is not known. */
#include "coord/group/group_int.h"

#include <string.h>

struct group_topic *
group_topic_find(const struct group *group, struct ot_str name)
{
	struct group_topic *topic = NULL;
	if (name.len >= 0)
		HASH_FIND(hh, group->topics, name.data, (unsigned)name.len, topic);
	return topic;
}

static struct group_offset *
find_in_topic(const struct group_topic *topic, int32_t partition)
{
	struct group_offset *offset = NULL;
	HASH_FIND_INT(topic->offsets, &partition, offset);
	return offset;
}

struct group_offset *
group_offset_find(const struct group *group, struct ot_str topic_name, int32_t partition)
{
	const struct group_topic *topic = group_topic_find(group, topic_name);
	return topic == NULL ? NULL : find_in_topic(topic, partition);
}

static struct group_topic *
topic_intern(struct group *group, struct ot_str name)
{
	struct group_topic *topic = group_topic_find(group, name);
	if (topic != NULL)
		return topic;
	size_t bytes = sizeof(*topic) + (size_t)name.len;
	topic = ot_must_alloc(bytes);
	topic->name_len = name.len;
	memcpy(topic->name, name.data, (size_t)name.len);
	group_charge(group, bytes);
	HASH_ADD(hh, group->topics, name[0], (unsigned)name.len, topic);
	return topic;
}

void
group_offset_set(struct group *group, struct ot_str topic_name, const struct group_offset *value)
{
	struct group_topic *topic = topic_intern(group, topic_name);
	struct group_offset *offset = find_in_topic(topic, value->partition);
	/* The new text first: the value may be this very offset. */
	struct ot_str metadata = OT_STR_NULL;
	if (value->metadata.len > 0)
		metadata = group_str_copy(group, value->metadata);
	if (offset == NULL) {
		offset = OT_NEW(struct group_offset);
		group_charge(group, sizeof(*offset));
		offset->partition = value->partition;
		offset->metadata = OT_STR_NULL;
		HASH_ADD_INT(topic->offsets, partition, offset);
		group->offset_count++;
		group->groups->stats.offset_count++;
	}
	offset->leader_epoch = value->leader_epoch;
	offset->offset = value->offset;
	offset->commit_timestamp = value->commit_timestamp;
	offset->expire_timestamp = value->expire_timestamp;
	offset->record_offset = value->record_offset;
	group_str_free(group, &offset->metadata);
	offset->metadata = metadata;
}

static void
offset_free(struct group *group, struct group_topic *topic, struct group_offset *offset)
{
	HASH_DEL(topic->offsets, offset);
	group->offset_count--;
	group->groups->stats.offset_count--;
	group_str_free(group, &offset->metadata);
	group_discharge(group, sizeof(*offset));
	ot_free(offset);
}

static void
topic_free(struct group *group, struct group_topic *topic)
{
	OT_ASSERT(topic->offsets == NULL);
	HASH_DEL(group->topics, topic);
	group_discharge(group, sizeof(*topic) + (size_t)topic->name_len);
	ot_free(topic);
}

void
group_offset_remove(struct group *group, struct ot_str topic_name, int32_t partition)
{
	struct group_topic *topic = group_topic_find(group, topic_name);
	struct group_offset *offset = topic == NULL ? NULL : find_in_topic(topic, partition);
	if (offset == NULL)
		return;
	offset_free(group, topic, offset);
	if (topic->offsets == NULL)
		topic_free(group, topic);
}

void
group_offsets_clear(struct group *group)
{
	struct group_topic *topic;
	struct group_topic *topic_next;
	HASH_ITER(hh, group->topics, topic, topic_next) {
		struct group_offset *offset;
		struct group_offset *offset_next;
		HASH_ITER(hh, topic->offsets, offset, offset_next)
			offset_free(group, topic, offset);
		topic_free(group, topic);
	}
	OT_ASSERT(group->offset_count == 0);
}

/* ---- transactions -------------------------------------------------------------------------- */

static struct group_txn *
txn_find(const struct ot_groups *groups, int64_t producer_id)
{
	struct group_txn *txn = NULL;
	HASH_FIND(hh, groups->txns, &producer_id, sizeof(producer_id), txn);
	return txn;
}

void
group_txn_offset_set(struct group *group, int64_t producer_id, struct ot_str topic,
    const struct group_offset *value)
{
	struct ot_groups *groups = group->groups;
	struct group_txn *txn = txn_find(groups, producer_id);
	if (txn == NULL) {
		txn = OT_NEW(struct group_txn);
		txn->producer_id = producer_id;
		HASH_ADD(hh, groups->txns, producer_id, sizeof(txn->producer_id), txn);
	}
	/* Newest first: of two for one partition, the older one is stale at the end. */
	struct group_txn_offset *pending = OT_NEW(struct group_txn_offset);
	group_charge(group, sizeof(*pending));
	pending->group = group;
	pending->topic = group_str_copy(group, topic);
	pending->value = *value;
	pending->value.metadata = group_str_copy(group, value->metadata);
	pending->next = txn->offsets;
	txn->offsets = pending;
	group->txn_offset_count++;
}

static void
txn_offset_free(struct group_txn_offset *pending)
{
	struct group *group = pending->group;
	group_str_free(group, &pending->topic);
	group_str_free(group, &pending->value.metadata);
	group_discharge(group, sizeof(*pending));
	group->txn_offset_count--;
	ot_free(pending);
}

static bool
txn_offset_is(const struct group_txn_offset *pending, const struct group *group,
    struct ot_str topic, int32_t partition)
{
	return pending->group == group && pending->value.partition == partition &&
	       ot_str_equal(pending->topic, topic);
}

bool
group_txn_offset_exists(const struct group *group, struct ot_str topic, int32_t partition)
{
	if (group->txn_offset_count == 0)
		return false;
	for (struct group_txn *txn = group->groups->txns; txn != NULL; txn = txn->hh.next) {
		for (struct group_txn_offset *pending = txn->offsets; pending != NULL;
		     pending = pending->next) {
			if (txn_offset_is(pending, group, topic, partition))
				return true;
		}
	}
	return false;
}

static void
txn_remove(struct group_txn *txn, const struct group *group, struct ot_str topic, int32_t partition)
{
	struct group_txn_offset **place = &txn->offsets;
	while (*place != NULL) {
		struct group_txn_offset *pending = *place;
		if (!txn_offset_is(pending, group, topic, partition)) {
			place = &pending->next;
			continue;
		}
		*place = pending->next;
		txn_offset_free(pending);
	}
}

void
group_txn_offsets_remove(struct group *group, struct ot_str topic, int32_t partition)
{
	if (group->txn_offset_count == 0)
		return;
	for (struct group_txn *txn = group->groups->txns; txn != NULL; txn = txn->hh.next)
		txn_remove(txn, group, topic, partition);
}

/* The offset counts unless a later record has another: where the log was compacted, a transaction's
 * end may stand far behind what it ended. */
static void
txn_offset_commit(struct group_txn_offset *pending)
{
	const struct group_offset *present =
	    group_offset_find(pending->group, pending->topic, pending->value.partition);
	if (present == NULL ||
	    (present->record_offset >= 0 && present->record_offset < pending->value.record_offset))
		group_offset_set(pending->group, pending->topic, &pending->value);
}

static void
txn_end(struct ot_groups *groups, struct group_txn *txn, bool is_commit)
{
	while (txn->offsets != NULL) {
		struct group_txn_offset *pending = txn->offsets;
		struct group *group = pending->group;
		txn->offsets = pending->next;
		if (is_commit)
			txn_offset_commit(pending);
		txn_offset_free(pending);
		group_maybe_remove(group);
	}
	HASH_DEL(groups->txns, txn);
	ot_free(txn);
}

void
group_txn_end(struct ot_groups *groups, int64_t producer_id, bool is_commit)
{
	struct group_txn *txn = txn_find(groups, producer_id);
	if (txn != NULL)
		txn_end(groups, txn, is_commit);
}

void
group_txns_clear(struct ot_groups *groups)
{
	struct group_txn *txn;
	struct group_txn *next;
	HASH_ITER(hh, groups->txns, txn, next)
		txn_end(groups, txn, false);
}
