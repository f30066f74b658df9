/* Records of __consumer_offsets: what is written, and what is taken in.
 *
 *   key                                      value
 *   int16 2, string group                    int16 3, GroupMetadataValue
 *   int16 1 (or 0), string group,            int16 3 (or 1, with an expire timestamp),
 *     string topic, int32 partition          OffsetCommitValue
 *
 * A GroupMetadataValue is kept as the bytes that it came in. Offsets are taken apart; the value
 * that is made of one again has the same fields, if not the version that it was read in.
 */
#include "coord/group/group_int.h"

#include "wire/recordio.h"

enum {
	KEY_OFFSET_OLD = 0,
	KEY_OFFSET = OT_OFFSET_COMMIT_KEY_TYPE,
	KEY_GROUP = OT_GROUP_METADATA_KEY_TYPE,
};

/* ---- putting ------------------------------------------------------------------------------- */

static struct ot_bytes
not_null(struct ot_bytes bytes)
{
	return bytes.len < 0 ? (struct ot_bytes){ .data = (const uint8_t *)"", .len = 0 } : bytes;
}

ot_err
group_put_metadata(struct group *group)
{
	struct ot_arena *arena = &group->groups->arena;
	uint32_t count = group_member_count(group);
	ot_arena_reset(arena);
	struct ot_group_metadata_value_member *to =
	    ot_group_metadata_value_member_array(arena, (int32_t)count);
	if (to == NULL)
		return OT_ERR_NO_MEMORY;

	struct ot_group_metadata_value value;
	ot_group_metadata_value_init(&value);
	value.protocol_type = group->protocol_type.len < 0 ? OT_STR_LIT("") : group->protocol_type;
	value.generation = group->generation;
	value.protocol = group->protocol_name;
	value.leader = group->leader == NULL ? OT_STR_NULL : group->leader->id;
	value.current_state_timestamp = group->state_timestamp;
	value.members = to;
	value.members_count = (int32_t)count;
	for (struct group_member *member = group->members; member != NULL;
	     member = member->hh.next, to++) {
		to->member_id = member->id;
		to->group_instance_id = member->instance_id;
		to->client_id = member->client_id;
		to->client_host = member->client_host;
		to->rebalance_timeout = member->rebalance_timeout_ms;
		to->session_timeout = member->session_timeout_ms;
		to->subscription = group_member_metadata(member);
		to->assignment = not_null(member->assignment);
	}
	struct ot_group_metadata_key key = { .group = group->id };
	ot_coord_put(group->groups->machine.coord, &ot_group_metadata_key_msg, KEY_GROUP, &key,
	    &ot_group_metadata_value_msg, GROUP_METADATA_VALUE_VERSION, &value);
	return OT_OK;
}

void
group_put_metadata_tombstone(struct group *group)
{
	struct ot_group_metadata_key key = { .group = group->id };
	ot_coord_put(group->groups->machine.coord, &ot_group_metadata_key_msg, KEY_GROUP, &key,
	    NULL, 0, NULL);
}

static struct ot_offset_commit_value
offset_value(const struct group_offset *offset, int16_t *ret_version)
{
	*ret_version = offset->expire_timestamp < 0 ? GROUP_OFFSET_VALUE_VERSION
	                                            : GROUP_OFFSET_EXPIRING_VALUE_VERSION;
	return (struct ot_offset_commit_value){
		.offset = offset->offset,
		.leader_epoch = offset->leader_epoch,
		.metadata = offset->metadata.len < 0 ? OT_STR_LIT("") : offset->metadata,
		.commit_timestamp = offset->commit_timestamp,
		.expire_timestamp = offset->expire_timestamp,
	};
}

void
group_put_offset(struct group *group, struct ot_str topic, const struct group_offset *offset)
{
	struct ot_offset_commit_key key = { .group = group->id,
		.topic = topic,
		.partition = offset->partition };
	int16_t version = 0;
	struct ot_offset_commit_value value = offset_value(offset, &version);
	ot_coord_put(group->groups->machine.coord, &ot_offset_commit_key_msg, KEY_OFFSET, &key,
	    &ot_offset_commit_value_msg, version, &value);
}

void
group_put_offset_tombstone(struct group *group, struct ot_str topic, int32_t partition)
{
	struct ot_offset_commit_key key = { .group = group->id,
		.topic = topic,
		.partition = partition };
	ot_coord_put(group->groups->machine.coord, &ot_offset_commit_key_msg, KEY_OFFSET, &key,
	    NULL, 0, NULL);
}

ot_err
group_store_metadata(struct group *group)
{
	struct ot_coord *coord = group->groups->machine.coord;
	ot_coord_begin(coord);
	ot_err err = group_put_metadata(group);
	if (err != OT_OK) {
		ot_coord_abandon(coord);
		return err;
	}
	return ot_coord_commit(coord, false);
}

/* ---- taking in ----------------------------------------------------------------------------- */

static struct ot_groups *
from_machine(struct ot_coord_machine *machine)
{
	return OT_CONTAINER_OF(machine, struct ot_groups, machine);
}

/* Nothing stands in the log for the group any more. */
static void
forget_metadata(struct group *group, enum ot_coord_origin origin)
{
	group_bytes_free(group, &group->hard);
	if (origin == OT_COORD_LIVE && group->is_soft && group->state == GROUP_EMPTY) {
		/* Deleted: who comes now finds a new group. */
		group->generation = 0;
		group_str_free(group, &group->protocol_type);
		group_compute_subscription(group);
	}
}

static ot_err
apply_metadata(struct ot_groups *groups, const struct ot_coord_record *record,
    enum ot_coord_origin origin)
{
	struct ot_group_metadata_key key;
	int16_t version = 0;
	ot_err err = ot_versioned_decode(&ot_group_metadata_key_msg, record->key, &groups->arena,
	    &version, &key);
	if (err != OT_OK)
		return err;
	if (record->value.len < 0) {
		struct group *group = group_peek(groups, key.group);
		if (group == NULL)
			return OT_OK;
		forget_metadata(group, origin);
		group->batch_number = ot_coord_batch_number(groups->machine.coord);
		group_maybe_remove(group);
		return OT_OK;
	}
	if (origin == OT_COORD_LOAD) {
		/* What cannot be read is better found now than when a member comes. */
		struct ot_group_metadata_value value;
		err = ot_versioned_decode(&ot_group_metadata_value_msg, record->value,
		    &groups->arena, &version, &value);
		if (err != OT_OK)
			return err == OT_ERR_UNSUPPORTED_VERSION ? OT_ERR_MALFORMED : err;
	}
	struct group *group = group_intern(groups, key.group);
	bool was_deleted = group->hard.len < 0 && group->is_soft && group->state == GROUP_EMPTY;
	group_bytes_free(group, &group->hard);
	group->hard = group_bytes_copy(group, record->value);
	group->batch_number = ot_coord_batch_number(groups->machine.coord);
	if (origin == OT_COORD_UNDO && was_deleted) {
		/* The deletion did not come to pass: the soft state is built anew. */
		group_str_free(group, &group->protocol_type);
		group_str_free(group, &group->protocol_name);
		group->is_soft = false;
	}
	return OT_OK;
}

static ot_err
decode_offset(struct ot_groups *groups, const struct ot_coord_record *record, int32_t partition,
    struct group_offset *ret_offset)
{
	struct ot_offset_commit_value value;
	int16_t version = 0;
	ot_err err = ot_versioned_decode(&ot_offset_commit_value_msg, record->value, &groups->arena,
	    &version, &value);
	if (err != OT_OK)
		return err == OT_ERR_UNSUPPORTED_VERSION ? OT_ERR_MALFORMED : err;
	/* -1 says that there is none; all else before 1970 has passed as well as 1970 has. */
	if (value.expire_timestamp < -1)
		value.expire_timestamp = 0;
	*ret_offset = (struct group_offset){
		.partition = partition,
		.leader_epoch = value.leader_epoch,
		.offset = value.offset,
		.commit_timestamp = value.commit_timestamp,
		.expire_timestamp = value.expire_timestamp,
		.record_offset = record->offset,
		.metadata = value.metadata,
	};
	return OT_OK;
}

static ot_err
apply_offset(struct ot_groups *groups, const struct ot_coord_record *record)
{
	struct ot_offset_commit_key key;
	int16_t version = 0;
	ot_err err = ot_versioned_decode(&ot_offset_commit_key_msg, record->key, &groups->arena,
	    &version, &key);
	if (err != OT_OK)
		return err;
	uint64_t batch_number = ot_coord_batch_number(groups->machine.coord);
	if (record->value.len < 0) {
		struct group *group = group_peek(groups, key.group);
		if (group == NULL)
			return OT_OK;
		group_txn_offsets_remove(group, key.topic, key.partition);
		group_offset_remove(group, key.topic, key.partition);
		group->batch_number = batch_number;
		group_maybe_remove(group);
		return OT_OK;
	}
	struct group_offset offset;
	err = decode_offset(groups, record, key.partition, &offset);
	if (err != OT_OK)
		return err;
	struct group *group = group_intern(groups, key.group);
	group->batch_number = batch_number;
	if (record->producer_id >= 0)
		group_txn_offset_set(group, record->producer_id, key.topic, &offset);
	else
		group_offset_set(group, key.topic, &offset);
	return OT_OK;
}

ot_err
group_apply(struct ot_coord_machine *machine, const struct ot_coord_record *record,
    enum ot_coord_origin origin)
{
	struct ot_groups *groups = from_machine(machine);
	ot_arena_reset(&groups->arena);
	if (record->key.len < 2)
		return OT_ERR_TRUNCATED;
	switch (ot_versioned_peek(record->key)) {
	case KEY_OFFSET_OLD:
	case KEY_OFFSET:
		return apply_offset(groups, record);
	case KEY_GROUP:
		return apply_metadata(groups, record, origin);
	default:
		return OT_ERR_UNSUPPORTED_VERSION;
	}
}

void
group_marker(struct ot_coord_machine *machine, int64_t producer_id, int16_t producer_epoch,
    bool is_commit)
{
	(void)producer_epoch;
	group_txn_end(from_machine(machine), producer_id, is_commit);
}

/* ---- images -------------------------------------------------------------------------------- */

static bool
put_offset_image(const struct group_offset *offset, struct ot_writer *out)
{
	int16_t version = 0;
	struct ot_offset_commit_value value = offset_value(offset, &version);
	if (ot_versioned_encode(&ot_offset_commit_value_msg, version, &value, out) != OT_OK)
		out->failed = true;
	return true;
}

bool
group_image(struct ot_coord_machine *machine, struct ot_bytes key_bytes, struct ot_writer *out)
{
	struct ot_groups *groups = from_machine(machine);
	ot_arena_reset(&groups->arena);
	int16_t version = 0;
	if (ot_versioned_peek(key_bytes) == KEY_GROUP) {
		struct ot_group_metadata_key key;
		ot_err err = ot_versioned_decode(&ot_group_metadata_key_msg, key_bytes,
		    &groups->arena, &version, &key);
		OT_ASSERT(err == OT_OK);
		const struct group *group = group_peek(groups, key.group);
		if (group == NULL || group->hard.len < 0)
			return false;
		ot_write_raw(out, group->hard.data, (size_t)group->hard.len);
		return true;
	}
	struct ot_offset_commit_key key;
	ot_err err = ot_versioned_decode(&ot_offset_commit_key_msg, key_bytes, &groups->arena,
	    &version, &key);
	OT_ASSERT(err == OT_OK);
	const struct group *group = group_peek(groups, key.group);
	const struct group_offset *offset =
	    group == NULL ? NULL : group_offset_find(group, key.topic, key.partition);
	return offset != NULL && put_offset_image(offset, out);
}

/* ---- all of them --------------------------------------------------------------------------- */

/* The writers of a walk over live records. */
struct walk {
	struct ot_writer key;
	struct ot_writer value;
	ot_coord_emit *emit;
	void *arg;
	bool has_failed;
};

static void
walk_emit(struct walk *walk, ot_err err, struct ot_bytes value)
{
	if (err != OT_OK || walk->key.failed || walk->value.failed) {
		walk->has_failed = true;
		return;
	}
	struct ot_bytes key = { .data = walk->key.data, .len = (int32_t)walk->key.bytes };
	walk->emit(walk->arg, key, value);
}

static void
walk_offset(struct walk *walk, const struct group *group, const struct group_topic *topic,
    const struct group_offset *offset)
{
	struct ot_offset_commit_key key = {
		.group = group->id,
		.topic = { .data = topic->name, .len = topic->name_len },
		.partition = offset->partition,
	};
	ot_writer_reset(&walk->key);
	ot_writer_reset(&walk->value);
	ot_err err = ot_versioned_encode(&ot_offset_commit_key_msg, KEY_OFFSET, &key, &walk->key);
	put_offset_image(offset, &walk->value);
	struct ot_bytes value = { .data = walk->value.data, .len = (int32_t)walk->value.bytes };
	walk_emit(walk, err, value);
}

static void
walk_group(struct walk *walk, const struct group *group)
{
	if (group->hard.len >= 0) {
		struct ot_group_metadata_key key = { .group = group->id };
		ot_writer_reset(&walk->key);
		ot_err err =
		    ot_versioned_encode(&ot_group_metadata_key_msg, KEY_GROUP, &key, &walk->key);
		walk_emit(walk, err, group->hard);
	}
	for (struct group_topic *topic = group->topics; topic != NULL; topic = topic->hh.next) {
		for (struct group_offset *offset = topic->offsets; offset != NULL;
		     offset = offset->hh.next)
			walk_offset(walk, group, topic, offset);
	}
}

/* The cursor is a slot. A group is emitted whole. */
bool
group_each(struct ot_coord_machine *machine, uint64_t *place, uint32_t count_max,
    ot_coord_emit *emit, void *arg)
{
	struct ot_groups *groups = from_machine(machine);
	if (groups->txns != NULL)
		return false; /* the log has offsets whose fate is open */
	struct walk walk = { .emit = emit, .arg = arg };
	ot_writer_init(&walk.key);
	ot_writer_init(&walk.value);
	uint32_t slot = (uint32_t)*place;
	uint32_t count = 0;
	while (slot < groups->slot_count && count < count_max) {
		const struct group *group = groups->slots[slot++];
		if (group == NULL)
			continue;
		walk_group(&walk, group);
		count += 1 + group->offset_count;
	}
	*place = slot < groups->slot_count ? slot : 0;
	ot_writer_fini(&walk.key);
	ot_writer_fini(&walk.value);
	return !walk.has_failed;
}
