/* OffsetFetch. It tells only what is committed: when the group has changes that are not yet behind
 * the high watermark, the answer is made at once, told when they are, and made anew when they fail.
 */
#include "coord/group/group_int.h"

enum {
	VERSION_TOP_ERROR = 2,
	VERSION_GROUPS = 8,
};

#define NO_OFFSET ((int64_t)-1)

static void
fetch_end_error(struct ot_group_call *call, ot_err err)
{
	struct ot_offset_fetch_response_group *response = call->response;
	struct ot_str group_id = response->group_id;
	ot_offset_fetch_response_group_init(response);
	response->group_id = group_id;
	response->error_code = ot_err_to_wire(err);
	group_call_end(call);
}

/* ---- making the answer --------------------------------------------------------------------- */

static bool
lend_offset(struct ot_arena *arena, const struct group_offset *offset,
    struct ot_offset_fetch_response_group_partition *to)
{
	to->committed_offset = offset->offset;
	to->committed_leader_epoch = offset->leader_epoch;
	to->metadata = OT_STR_LIT("");
	return offset->metadata.len <= 0 || group_str_lend(arena, offset->metadata, &to->metadata);
}

static bool
fetch_partition(const struct ot_group_call *call, const struct group *group, struct ot_str topic,
    int32_t partition, struct ot_offset_fetch_response_group_partition *to)
{
	to->partition_index = partition;
	to->committed_offset = NO_OFFSET;
	to->committed_leader_epoch = OT_NO_LEADER_EPOCH;
	to->metadata = OT_STR_LIT("");
	if (group == NULL)
		return true;
	if (call->is_stable_wanted && group_txn_offset_exists(group, topic, partition)) {
		to->error_code = OT_ERR_UNSTABLE_OFFSET_COMMIT;
		return true;
	}
	const struct group_offset *offset = group_offset_find(group, topic, partition);
	return offset == NULL || lend_offset(call->arena, offset, to);
}

static bool
fetch_wanted(const struct ot_group_call *call, const struct group *group)
{
	const struct ot_offset_fetch_request_group *request = call->request;
	struct ot_offset_fetch_response_group *response = call->response;
	struct ot_offset_fetch_response_group_topic *topics =
	    ot_offset_fetch_response_group_topic_array(call->arena, request->topics_count);
	if (topics == NULL)
		return false;
	response->topics = topics;
	response->topics_count = request->topics_count;
	for (int32_t i = 0; i < request->topics_count; i++) {
		const struct ot_offset_fetch_request_group_topic *from = &request->topics[i];
		int32_t count = from->partition_indexes_count;
		topics[i].name = from->name;
		topics[i].topic_id = from->topic_id;
		topics[i].partitions =
		    ot_offset_fetch_response_group_partition_array(call->arena, count);
		if (topics[i].partitions == NULL)
			return false;
		topics[i].partitions_count = count;
		for (int32_t j = 0; j < count; j++) {
			if (!fetch_partition(call, group, from->name, from->partition_indexes[j],
				&topics[i].partitions[j]))
				return false;
		}
	}
	return true;
}

static bool
fetch_topic(const struct ot_group_call *call, const struct group *group,
    const struct group_topic *topic, struct ot_offset_fetch_response_group_topic *to)
{
	struct ot_str name = { .data = topic->name, .len = topic->name_len };
	int32_t count = (int32_t)HASH_COUNT(topic->offsets);
	to->partitions = ot_offset_fetch_response_group_partition_array(call->arena, count);
	if (to->partitions == NULL || !group_str_lend(call->arena, name, &to->name))
		return false;
	to->partitions_count = count;
	int32_t place = 0;
	for (struct group_offset *offset = topic->offsets; offset != NULL;
	     offset = offset->hh.next) {
		if (!fetch_partition(call, group, name, offset->partition,
			&to->partitions[place++]))
			return false;
	}
	return true;
}

static bool
fetch_all(const struct ot_group_call *call, const struct group *group)
{
	struct ot_offset_fetch_response_group *response = call->response;
	int32_t count = group == NULL ? 0 : (int32_t)HASH_COUNT(group->topics);
	struct ot_offset_fetch_response_group_topic *topics =
	    ot_offset_fetch_response_group_topic_array(call->arena, count);
	if (topics == NULL)
		return false;
	response->topics = topics;
	response->topics_count = count;
	for (struct group_topic *topic = count == 0 ? NULL : group->topics; topic != NULL;
	     topic = topic->hh.next) {
		if (!fetch_topic(call, group, topic, topics++))
			return false;
	}
	return true;
}

/* ---- telling it ---------------------------------------------------------------------------- */

static void fetch(struct ot_group_call *call);

static void
fetch_on_done(struct ot_coord_wait *wait, ot_err err)
{
	struct ot_group_call *call = OT_CONTAINER_OF(wait, struct ot_group_call, wait);
	struct ot_groups *groups = call->groups;
	group_enter(groups);
	if (err == OT_OK)
		group_call_end(call);
	else if (err == OT_ERR_NOT_COORDINATOR)
		fetch_end_error(call, err);
	else if (err == OT_ERR_REQUEST_TIMED_OUT)
		fetch_end_error(call, OT_ERR_COORDINATOR_NOT_AVAILABLE);
	else
		fetch(call); /* what was not committed is undone: look again */
	group_leave(groups);
}

static void
fetch(struct ot_group_call *call)
{
	struct ot_groups *groups = call->groups;
	const struct ot_offset_fetch_request_group *request = call->request;
	struct ot_offset_fetch_response_group *response = call->response;
	struct ot_coord *coord = groups->machine.coord;
	ot_offset_fetch_response_group_init(response);
	response->group_id = request->group_id;
	ot_err err = ot_coord_admit(coord);
	if (err != OT_OK) {
		fetch_end_error(call, err);
		return;
	}
	const struct group *group = group_find(groups, request->group_id);
	bool is_made =
	    request->topics_count < 0 ? fetch_all(call, group) : fetch_wanted(call, group);
	if (!is_made) {
		fetch_end_error(call, OT_ERR_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	uint64_t batch_number = group == NULL ? groups->removed_batch_number : group->batch_number;
	if (ot_coord_is_committed(coord, batch_number))
		group_call_end(call);
	else
		ot_coord_wait(coord, &call->wait, fetch_on_done);
}

void
ot_group_offset_fetch(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_fetch_request_group *request, bool is_stable_wanted,
    struct ot_offset_fetch_response_group *ret_response)
{
	group_enter(groups);
	group_call_begin(groups, call, request, ret_response);
	call->is_stable_wanted = is_stable_wanted;
	fetch(call);
	group_leave(groups);
}

/* ---- the two shapes ------------------------------------------------------------------------ */

ot_err
ot_offset_fetch_split(const struct ot_offset_fetch_request *request, int16_t version,
    struct ot_arena *arena, struct ot_offset_fetch_request_group **ret_groups, int32_t *ret_count)
{
	if (version >= VERSION_GROUPS) {
		*ret_groups = request->groups;
		*ret_count = request->groups_count;
		return OT_OK;
	}
	struct ot_offset_fetch_request_group *group = ot_offset_fetch_request_group_array(arena, 1);
	if (group == NULL)
		return OT_ERR_NO_MEMORY;
	group->group_id = request->group_id;
	group->topics_count = request->topics_count;
	if (request->topics_count > 0) {
		group->topics =
		    ot_offset_fetch_request_group_topic_array(arena, request->topics_count);
		if (group->topics == NULL)
			return OT_ERR_NO_MEMORY;
	}
	for (int32_t i = 0; i < request->topics_count; i++) {
		group->topics[i].name = request->topics[i].name;
		group->topics[i].partition_indexes = request->topics[i].partition_indexes;
		group->topics[i].partition_indexes_count =
		    request->topics[i].partition_indexes_count;
	}
	*ret_groups = group;
	*ret_count = 1;
	return OT_OK;
}

/* A group's topics as versions before 8 have them. */
static bool
merge_topics(const struct ot_offset_fetch_response_group *group, struct ot_arena *arena,
    struct ot_offset_fetch_response *response)
{
	struct ot_offset_fetch_response_topic *topics =
	    ot_offset_fetch_response_topic_array(arena, group->topics_count);
	if (topics == NULL)
		return false;
	for (int32_t i = 0; i < group->topics_count; i++) {
		const struct ot_offset_fetch_response_group_topic *from = &group->topics[i];
		struct ot_offset_fetch_response_partition *to =
		    ot_offset_fetch_response_partition_array(arena, from->partitions_count);
		if (to == NULL)
			return false;
		topics[i].name = from->name;
		topics[i].partitions = to;
		topics[i].partitions_count = from->partitions_count;
		for (int32_t j = 0; j < from->partitions_count; j++) {
			to[j].partition_index = from->partitions[j].partition_index;
			to[j].committed_offset = from->partitions[j].committed_offset;
			to[j].committed_leader_epoch = from->partitions[j].committed_leader_epoch;
			to[j].metadata = from->partitions[j].metadata;
			to[j].error_code = from->partitions[j].error_code;
		}
	}
	response->topics = topics;
	response->topics_count = group->topics_count;
	return true;
}

/* Version 1 has no place for an error but the partitions. */
static bool
merge_error(const struct ot_offset_fetch_request *request, int16_t error_code,
    struct ot_arena *arena, struct ot_offset_fetch_response *response)
{
	int32_t count = OT_MAX(request->topics_count, 0);
	struct ot_offset_fetch_response_topic *topics =
	    ot_offset_fetch_response_topic_array(arena, count);
	if (topics == NULL)
		return false;
	for (int32_t i = 0; i < count; i++) {
		const struct ot_offset_fetch_request_topic *from = &request->topics[i];
		struct ot_offset_fetch_response_partition *to =
		    ot_offset_fetch_response_partition_array(arena, from->partition_indexes_count);
		if (to == NULL)
			return false;
		topics[i].name = from->name;
		topics[i].partitions = to;
		topics[i].partitions_count = from->partition_indexes_count;
		for (int32_t j = 0; j < from->partition_indexes_count; j++) {
			to[j].partition_index = from->partition_indexes[j];
			to[j].committed_offset = NO_OFFSET;
			to[j].metadata = OT_STR_LIT("");
			to[j].error_code = error_code;
		}
	}
	response->topics = topics;
	response->topics_count = count;
	return true;
}

ot_err
ot_offset_fetch_merge(const struct ot_offset_fetch_request *request, int16_t version,
    struct ot_offset_fetch_response_group *groups, int32_t count, struct ot_arena *arena,
    struct ot_offset_fetch_response *ret_response)
{
	struct ot_offset_fetch_response response;
	ot_offset_fetch_response_init(&response);
	bool is_made = true;
	if (version >= VERSION_GROUPS) {
		response.groups = groups;
		response.groups_count = count;
	} else {
		OT_ASSERT(count == 1);
		response.error_code = groups->error_code;
		is_made = version < VERSION_TOP_ERROR && groups->error_code != OT_OK
		              ? merge_error(request, groups->error_code, arena, &response)
		              : merge_topics(groups, arena, &response);
	}
	if (!is_made)
		return OT_ERR_NO_MEMORY;
	*ret_response = response;
	return OT_OK;
}
