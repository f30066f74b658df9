/* OffsetCommit, and all that takes offsets and groups away on request. Each is one operation of the
 * coordinator, answered when it is behind the high watermark. */
#include "coord/group/group_int.h"

#include "base/plant.h"
enum {
	VERSION_GROUP_ID_NOT_FOUND = 9,
};

static struct ot_coord *
coord_of(const struct ot_groups *groups)
{
	return groups->machine.coord;
}

static struct ot_group_call *
waiting_call(struct ot_coord_wait *wait)
{
	return OT_CONTAINER_OF(wait, struct ot_group_call, wait);
}

/* What a client is told when its offsets could not be written. */
static ot_err
commit_err(ot_err err)
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
		return OT_ERR_INVALID_COMMIT_OFFSET_SIZE;
	default:
		return err;
	}
}

/* ---- OffsetCommit -------------------------------------------------------------------------- */

/* The request's topics and partitions, without errors so far. */
static bool
commit_response_init(const struct ot_offset_commit_request *request, struct ot_arena *arena,
    struct ot_offset_commit_response *response)
{
	ot_offset_commit_response_init(response);
	struct ot_offset_commit_response_topic *topics =
	    ot_offset_commit_response_topic_array(arena, request->topics_count);
	if (topics == NULL)
		return false;
	for (int32_t i = 0; i < request->topics_count; i++) {
		const struct ot_offset_commit_request_topic *from = &request->topics[i];
		topics[i].name = from->name;
		topics[i].topic_id = from->topic_id;
		topics[i].partitions =
		    ot_offset_commit_response_partition_array(arena, from->partitions_count);
		if (topics[i].partitions == NULL)
			return false;
		topics[i].partitions_count = from->partitions_count;
		for (int32_t j = 0; j < from->partitions_count; j++)
			topics[i].partitions[j].partition_index =
			    from->partitions[j].partition_index;
	}
	response->topics = topics;
	response->topics_count = request->topics_count;
	return true;
}

/* The partitions that have no error of their own have this one. */
static void
commit_end(struct ot_group_call *call, ot_err err)
{
	struct ot_offset_commit_response *response = call->response;
	for (int32_t i = 0; err != OT_OK && i < response->topics_count; i++) {
		struct ot_offset_commit_response_topic *topic = &response->topics[i];
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			if (topic->partitions[j].error_code == OT_OK)
				topic->partitions[j].error_code = ot_err_to_wire(err);
		}
	}
	group_call_end(call);
}

static ot_err
commit_validate_member(struct group *group, const struct ot_offset_commit_request *request)
{
	int32_t generation = request->generation_id_or_member_epoch;
	bool has_member =
	    generation >= 0 || request->member_id.len > 0 || request->group_instance_id.len >= 0;
	/* Tools, and consumers that assign themselves, commit into an empty group. */
	if (generation < 0 && group->state == GROUP_EMPTY)
		return OT_OK;
	if (!has_member)
		return group->state == GROUP_EMPTY ? OT_OK : OT_ERR_UNKNOWN_MEMBER_ID;
	struct group_member *member = NULL;
	ot_err err =
	    group_member_validate(group, request->member_id, request->group_instance_id, &member);
	if (err != OT_OK)
		return err;
	if (generation != group->generation && !OT_PLANT(STALE_GENERATION))
		return OT_ERR_ILLEGAL_GENERATION;
	/* It knows the generation but not what it is assigned: it has not asked yet. */
	if (group->state == GROUP_COMPLETING_REBALANCE)
		return OT_ERR_REBALANCE_IN_PROGRESS;
	group_member_touch(member);
	return OT_OK;
}

static ot_err
commit_validate(struct ot_groups *groups, const struct ot_group_call *call,
    struct group **ret_group)
{
	const struct ot_offset_commit_request *request = call->request;
	ot_err err = ot_coord_admit(coord_of(groups));
	if (err != OT_OK)
		return err;
	bool is_simple = request->generation_id_or_member_epoch < 0;
	struct group *group = is_simple ? group_find_or_create(groups, request->group_id)
	                                : group_find(groups, request->group_id);
	if (group == NULL)
		return call->version >= VERSION_GROUP_ID_NOT_FOUND ? OT_ERR_GROUP_ID_NOT_FOUND
		                                                   : OT_ERR_ILLEGAL_GENERATION;
	*ret_group = group;
	return commit_validate_member(group, request);
}

static struct group_offset
offset_of_request(const struct ot_offset_commit_request *request,
    const struct ot_offset_commit_request_partition *from, ot_wall_ms now)
{
	int64_t retention_ms = request->retention_time_ms;
	ot_wall_ms expire = -1;
	if (retention_ms >= 0)
		expire = retention_ms > INT64_MAX - now ? INT64_MAX : now + retention_ms;
	return (struct group_offset){
		.partition = from->partition_index,
		.leader_epoch = from->committed_leader_epoch,
		.offset = from->committed_offset,
		.commit_timestamp = from->commit_timestamp >= 0 ? from->commit_timestamp : now,
		.expire_timestamp = expire,
		.record_offset = -1,
		.metadata = from->committed_metadata,
	};
}

/* Puts what can be stored; the others get their error. */
static uint32_t
commit_put(struct group *group, const struct ot_offset_commit_request *request,
    struct ot_offset_commit_response *response)
{
	struct ot_groups *groups = group->groups;
	ot_wall_ms now = ot_io_wall(groups->io);
	uint32_t count = 0;
	for (int32_t i = 0; i < request->topics_count; i++) {
		const struct ot_offset_commit_request_topic *topic = &request->topics[i];
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			const struct ot_offset_commit_request_partition *from =
			    &topic->partitions[j];
			int16_t *error_code = &response->topics[i].partitions[j].error_code;
			size_t bytes = sizeof(struct group_offset) + sizeof(struct group_topic) +
			               (size_t)OT_MAX(from->committed_metadata.len, 0) +
			               (size_t)OT_MAX(topic->name.len, 0);
			if (group_utf16_length(from->committed_metadata) >
			    groups->options.metadata_length_max) {
				*error_code = OT_ERR_OFFSET_METADATA_TOO_LARGE;
			} else if (!group_has_room(groups, bytes)) {
				*error_code = OT_ERR_COORDINATOR_NOT_AVAILABLE;
			} else {
				struct group_offset offset = offset_of_request(request, from, now);
				group_put_offset(group, topic->name, &offset);
				count++;
			}
		}
	}
	return count;
}

static void
commit_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct ot_group_call *call = waiting_call(wait);
	struct ot_groups *groups = call->groups;
	group_enter(groups);
	commit_end(call, err == OT_OK ? OT_OK : commit_err(err));
	group_leave(groups);
}

static void
commit_store(struct group *group, struct ot_group_call *call)
{
	struct ot_groups *groups = group->groups;
	struct ot_coord *coord = coord_of(groups);
	ot_coord_begin(coord);
	uint32_t count = commit_put(group, call->request, call->response);
	if (count == 0) {
		ot_coord_abandon(coord);
		commit_end(call, OT_OK);
		return;
	}
	ot_err err = ot_coord_commit(coord, false);
	if (err != OT_OK) {
		commit_end(call, commit_err(err));
		return;
	}
	groups->stats.commit_count += count;
	ot_coord_wait(coord, &call->wait, commit_on_done);
}

void
ot_group_offset_commit(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_commit_request *request, struct ot_offset_commit_response *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	struct group *group = NULL;
	if (!commit_response_init(request, call->arena, ret_response)) {
		/* Without memory for the answer's parts the answer is empty, and nothing is done.
		 */
		group_call_end(call);
	} else {
		ot_err err = commit_validate(groups, call, &group);
		if (err != OT_OK)
			commit_end(call, err);
		else
			commit_store(group, call);
		if (group != NULL)
			group_maybe_remove(group);
	}
	group_leave(groups);
}

/* ---- OffsetDelete -------------------------------------------------------------------------- */

static ot_err
delete_validate(struct ot_groups *groups, const struct ot_offset_delete_request *request,
    struct group **ret_group)
{
	ot_err err = ot_coord_admit(coord_of(groups));
	if (err != OT_OK)
		return err;
	if (request->group_id.len <= 0)
		return OT_ERR_INVALID_GROUP_ID;
	struct group *group = group_find(groups, request->group_id);
	if (group == NULL)
		return OT_ERR_GROUP_ID_NOT_FOUND;
	/* Of a group with members only what consumers subscribe to is known. */
	if (group->state != GROUP_EMPTY && !group_is_consumer(group))
		return OT_ERR_NON_EMPTY_GROUP;
	*ret_group = group;
	return OT_OK;
}

/* Puts tombstones for one topic of the request, and fills its part of the response. */
static bool
delete_put_topic(struct group *group, const struct ot_offset_delete_request_topic *from,
    struct ot_arena *arena, struct ot_offset_delete_response_topic *to)
{
	bool is_subscribed = group_is_subscribed(group, from->name);
	to->name = from->name;
	to->partitions = ot_offset_delete_response_partition_array(arena, from->partitions_count);
	if (to->partitions == NULL)
		return false;
	to->partitions_count = from->partitions_count;
	for (int32_t i = 0; i < from->partitions_count; i++) {
		int32_t partition = from->partitions[i].partition_index;
		to->partitions[i].partition_index = partition;
		if (is_subscribed)
			to->partitions[i].error_code = OT_ERR_GROUP_SUBSCRIBED_TO_TOPIC;
		else if (group_offset_find(group, from->name, partition) != NULL)
			group_put_offset_tombstone(group, from->name, partition);
	}
	return true;
}

static bool
delete_put(struct group *group, const struct ot_offset_delete_request *request,
    struct ot_arena *arena, struct ot_offset_delete_response *response)
{
	struct ot_offset_delete_response_topic *topics =
	    ot_offset_delete_response_topic_array(arena, request->topics_count);
	if (topics == NULL)
		return false;
	for (int32_t i = 0; i < request->topics_count; i++) {
		if (!delete_put_topic(group, &request->topics[i], arena, &topics[i]))
			return false;
	}
	response->topics = topics;
	response->topics_count = request->topics_count;
	return true;
}

static void
delete_end(struct ot_group_call *call, ot_err err)
{
	struct ot_offset_delete_response *response = call->response;
	if (err != OT_OK) {
		ot_offset_delete_response_init(response);
		response->error_code = ot_err_to_wire(err);
	}
	group_call_end(call);
}

static void
delete_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct ot_group_call *call = waiting_call(wait);
	struct ot_groups *groups = call->groups;
	group_enter(groups);
	delete_end(call, err == OT_OK ? OT_OK : commit_err(err));
	group_leave(groups);
}

void
ot_group_offset_delete(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_delete_request *request, struct ot_offset_delete_response *ret_response)
{
	struct ot_coord *coord = coord_of(groups);
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	ot_offset_delete_response_init(ret_response);
	struct group *group = NULL;
	ot_err err = delete_validate(groups, request, &group);
	if (err == OT_OK) {
		ot_coord_begin(coord);
		if (delete_put(group, request, call->arena, ret_response)) {
			/* The group may be gone after this. */
			err = ot_coord_commit(coord, false);
		} else {
			ot_coord_abandon(coord);
			err = OT_ERR_COORDINATOR_NOT_AVAILABLE;
		}
	}
	if (err != OT_OK)
		delete_end(call, commit_err(err));
	else
		ot_coord_wait(coord, &call->wait, delete_on_done);
	group_leave(groups);
}

/* ---- DeleteGroups -------------------------------------------------------------------------- */

static void
delete_group_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct ot_group_call *call = waiting_call(wait);
	struct ot_groups *groups = call->groups;
	struct ot_delete_groups_response_result *response = call->response;
	group_enter(groups);
	response->error_code = ot_err_to_wire(err == OT_OK ? OT_OK : group_store_err(err));
	group_call_end(call);
	group_leave(groups);
}

/* Tombstones for all offsets of the group, or for those of one topic. */
static void
put_tombstones(struct group *group, const struct group_topic *topic)
{
	struct ot_str name = { .data = topic->name, .len = topic->name_len };
	for (struct group_offset *offset = topic->offsets; offset != NULL; offset = offset->hh.next)
		group_put_offset_tombstone(group, name, offset->partition);
}

static ot_err
delete_group(struct ot_groups *groups, struct ot_str group_id)
{
	struct ot_coord *coord = coord_of(groups);
	ot_err err = ot_coord_admit(coord);
	if (err != OT_OK)
		return err;
	struct group *group = group_find(groups, group_id);
	if (group == NULL ||
	    (group->hard.len < 0 && group->offset_count == 0 && group->state == GROUP_EMPTY))
		return OT_ERR_GROUP_ID_NOT_FOUND;
	if (group->state != GROUP_EMPTY)
		return OT_ERR_NON_EMPTY_GROUP;
	ot_coord_begin(coord);
	for (struct group_topic *topic = group->topics; topic != NULL; topic = topic->hh.next)
		put_tombstones(group, topic);
	if (group->hard.len >= 0)
		group_put_metadata_tombstone(group);
	/* The group may be gone after this. Offsets that are too many for one batch go in several:
	 * when only some get into the log, the group is still there, and is deleted by the next
	 * request. */
	return ot_coord_commit(coord, true);
}

void
ot_group_delete(struct ot_groups *groups, struct ot_group_call *call, struct ot_str group_id,
    struct ot_delete_groups_response_result *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, NULL, ret_response);
	ot_delete_groups_response_result_init(ret_response);
	ret_response->group_id = group_id;
	ot_err err = delete_group(groups, group_id);
	if (err == OT_OK) {
		ot_coord_wait(coord_of(groups), &call->wait, delete_group_on_done);
	} else {
		ret_response->error_code = ot_err_to_wire(group_store_err(err));
		group_call_end(call);
	}
	group_leave(groups);
}

/* ---- topics that are gone ------------------------------------------------------------------ */

static void
forget_topics(struct group *group, const struct ot_str *names, int32_t count)
{
	struct ot_coord *coord = coord_of(group->groups);
	ot_coord_begin(coord);
	uint32_t topic_count = 0;
	for (int32_t i = 0; i < count; i++) {
		const struct group_topic *topic = group_topic_find(group, names[i]);
		if (topic == NULL)
			continue;
		put_tombstones(group, topic);
		topic_count++;
	}
	if (topic_count == 0) {
		ot_coord_abandon(coord);
		return;
	}
	/* Whatever is left of them expires. */
	ot_err err = ot_coord_commit(coord, true);
	if (err != OT_OK)
		OT_WARN("coord", "offsets of deleted topics stay until they expire: %s",
		    ot_err_name(err));
}

void
ot_groups_topics_deleted(struct ot_groups *groups, const struct ot_str *names, int32_t count)
{
	if (ot_coord_admit(coord_of(groups)) != OT_OK)
		return;
	group_enter(groups);
	for (uint32_t i = 0; i < groups->slot_count; i++) {
		if (groups->slots[i] != NULL && groups->slots[i]->topics != NULL)
			forget_topics(groups->slots[i], names, count);
	}
	group_leave(groups);
}
