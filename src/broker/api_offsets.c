/* ListOffsets (key 2), OffsetForLeaderEpoch (23), DeleteRecords (21): one question to each
 * partition's owner, scattered and gathered. */
#include "broker/broker_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/msg_delete_records.h"
#include "wire/msg_list_offsets.h"
#include "wire/msg_offset_for_leader_epoch.h"

/* ---- ListOffsets --------------------------------------------------------------------------- */

enum {
	LIST_OFFSETS_VERSION_PLAIN = 1,       /* version 0 answers with a list of offsets */
	LIST_OFFSETS_VERSION_UNAVAILABLE = 5, /* knows OFFSET_NOT_AVAILABLE (KIP-207) */
};

enum { CONSUMER_ID = -1, DEBUGGER_ID = -2 }; /* in the place of a follower's id */

struct list_part {
	struct ot_scatter_item item;
	struct ot_part_find find;
	struct ot_uuid topic_id;
	struct ot_list_offsets_response_partition *answer;
	int32_t index;
	uint32_t shard_index;
};

struct list_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct ot_list_offsets_response response;
	struct list_part *parts;
	size_t part_count;
};

/* Numbers below 0 that stand for a place in the log, and the first version that knows each. Another
 * number below 0 is no time either. */
static const struct {
	int64_t timestamp;
	int16_t version;
} list_specials[] = {
	{ OT_LIST_LATEST, 0 }, { OT_LIST_EARLIEST, 0 }, { OT_LIST_MAX, 7 }, /* KIP-734 */
	{ OT_LIST_LOCAL_EARLIEST, 8 },                                      /* KIP-405 */
	{ OT_LIST_TIERED_LATEST, 9 },                                       /* KIP-1005 */
	{ OT_LIST_PENDING_UPLOAD, 11 },                                     /* KIP-1023 */
};

static bool
is_timestamp_known(int64_t timestamp, int16_t version)
{
	if (timestamp >= 0)
		return true;
	for (size_t i = 0; i < OT_ARRAY_COUNT(list_specials); i++) {
		if (list_specials[i].timestamp == timestamp)
			return version >= list_specials[i].version;
	}
	return false;
}

/* Version 0 lists where segments begin. The answer may live as long as its request only. */
static void
fill_old_style(struct list_op *op, struct list_part *part)
{
	struct ot_list_offsets_response_partition *answer = part->answer;
	struct ot_part_find *find = &part->find;
	size_t count = (size_t)find->start_count;
	int64_t *offsets = ot_arena_array(&op->request->arena, count, sizeof(*offsets));
	if (offsets == NULL) {
		answer->error_code = OT_ERR_KAFKA_STORAGE_ERROR;
		return;
	}
	if (count > 0)
		memcpy(offsets, find->starts, count * sizeof(*offsets));
	answer->old_style_offsets = offsets;
	answer->old_style_offsets_count = find->start_count;
}

static void
fill_found(struct list_op *op, struct list_part *part)
{
	struct ot_list_offsets_response_partition *answer = part->answer;
	const struct ot_part_find *find = &part->find;
	int16_t version = op->request->header.request_api_version;
	answer->error_code = ot_err_to_wire(find->err);
	if (find->err == OT_ERR_OFFSET_NOT_AVAILABLE && version < LIST_OFFSETS_VERSION_UNAVAILABLE)
		answer->error_code = OT_ERR_LEADER_NOT_AVAILABLE;
	if (find->err != OT_OK)
		return;
	if (version < LIST_OFFSETS_VERSION_PLAIN) {
		fill_old_style(op, part);
		return;
	}
	answer->offset = find->found.offset;
	answer->timestamp = find->found.timestamp;
	answer->leader_epoch = find->found.leader_epoch;
}

static void
all_are_found(struct ot_scatter *scatter)
{
	struct list_op *op = OT_CONTAINER_OF(scatter, struct list_op, scatter);
	for (size_t i = 0; i < op->part_count; i++) {
		fill_found(op, &op->parts[i]);
		ot_free(op->parts[i].find.starts);
	}
	ot_request_answer(op->request, &ot_list_offsets_response_msg, &op->response);
}

static void
find_is_done(struct ot_part_find *find)
{
	ot_scatter_item_done(&OT_CONTAINER_OF(find, struct list_part, find)->item);
}

static void
visit_to_find(struct ot_scatter_item *item)
{
	struct list_part *part = OT_CONTAINER_OF(item, struct list_part, item);
	struct ot_part *found = broker_part(&part->topic_id, part->index);
	if (found != NULL) {
		ot_part_find(found, &part->find);
		return;
	}
	part->find.err = OT_ERR_NOT_LEADER_OR_FOLLOWER;
	ot_scatter_item_done(item);
}

static void
add_find(struct list_op *op, const struct ot_list_offsets_request *body,
    const struct ot_list_offsets_request_partition *wanted, const struct broker_place *place,
    struct ot_list_offsets_response_partition *answer)
{
	bool is_plain = op->request->header.request_api_version >= LIST_OFFSETS_VERSION_PLAIN;
	struct list_part *part = &op->parts[op->part_count++];
	part->topic_id = place->topic->id;
	part->index = wanted->partition_index;
	part->shard_index = place->shard_index;
	part->answer = answer;
	part->find = (struct ot_part_find){
		.timestamp = wanted->timestamp,
		.leader_epoch = wanted->current_leader_epoch,
		.is_replica = body->replica_id != CONSUMER_ID,
		.is_follower_allowed = body->replica_id == DEBUGGER_ID,
		.starts_max = is_plain ? 0 : OT_MAX(wanted->max_num_offsets, 0),
		.isolation = body->isolation_level == OT_READ_COMMITTED ? OT_READ_COMMITTED
		                                                        : OT_READ_UNCOMMITTED,
		.done = find_is_done,
	};
}

static ot_err
route_list_topic(struct broker_shard *self, struct list_op *op,
    const struct ot_list_offsets_request *body, const struct ot_list_offsets_request_topic *topic,
    struct ot_list_offsets_response_topic *answer)
{
	int16_t version = op->request->header.request_api_version;
	answer->name = topic->name;
	answer->partitions_count = topic->partitions_count;
	answer->partitions =
	    ot_list_offsets_response_partition_array(&op->request->arena, topic->partitions_count);
	if (answer->partitions == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		const struct ot_list_offsets_request_partition *wanted = &topic->partitions[i];
		struct broker_place place =
		    broker_find(self, topic->name, NULL, wanted->partition_index);
		answer->partitions[i].partition_index = wanted->partition_index;
		if (place.err == OT_OK && !is_timestamp_known(wanted->timestamp, version))
			place.err = OT_ERR_UNSUPPORTED_VERSION;
		if (place.err != OT_OK)
			answer->partitions[i].error_code = (int16_t)place.err;
		else
			add_find(op, body, wanted, &place, &answer->partitions[i]);
	}
	return OT_OK;
}

static int
compare_finds(const void *a, const void *b)
{
	const struct list_part *left = *(struct list_part *const *)a;
	const struct list_part *right = *(struct list_part *const *)b;
	int order = memcmp(&left->topic_id, &right->topic_id, sizeof(left->topic_id));
	return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* Each partition goes to its owner, but for those that the request names more than once. */
static ot_err
scatter_finds(struct list_op *op)
{
	struct list_part **order =
	    ot_arena_array(&op->request->arena, op->part_count, sizeof(*order));
	if (order == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < op->part_count; i++)
		order[i] = &op->parts[i];
	qsort(order, op->part_count, sizeof(*order), compare_finds);
	for (size_t i = 1; i < op->part_count; i++) {
		if (compare_finds(&order[i - 1], &order[i]) == 0)
			order[i - 1]->find.err = order[i]->find.err = OT_ERR_INVALID_REQUEST;
	}
	for (size_t i = 0; i < op->part_count; i++) {
		struct list_part *part = &op->parts[i];
		if (part->find.err == OT_OK)
			ot_scatter_add(&op->scatter, &part->item, part->shard_index);
	}
	return OT_OK;
}

static size_t
count_list_parts(const struct ot_list_offsets_request *body)
{
	size_t count = 0;
	for (int32_t i = 0; i < body->topics_count; i++)
		count += (size_t)body->topics[i].partitions_count;
	return count;
}

void
broker_handle_list_offsets(struct broker_shard *self, struct ot_request *request)
{
	struct ot_list_offsets_request *body = broker_decode(request);
	struct list_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	op->request = request;
	ot_list_offsets_response_init(&op->response);
	op->response.topics_count = body->topics_count;
	op->response.topics =
	    ot_list_offsets_response_topic_array(&request->arena, body->topics_count);
	op->parts = ot_arena_array(&request->arena, count_list_parts(body), sizeof(*op->parts));
	ot_err err = op->response.topics != NULL && op->parts != NULL
	                 ? ot_scatter_init(&op->scatter, self->shard, &request->arena)
	                 : OT_ERR_NO_MEMORY;
	for (int32_t i = 0; err == OT_OK && i < body->topics_count; i++)
		err = route_list_topic(self, op, body, &body->topics[i], &op->response.topics[i]);
	if (err == OT_OK)
		err = scatter_finds(op);
	if (err != OT_OK)
		ot_request_abort(request, "no memory for a ListOffsets request");
	else
		ot_scatter_run(&op->scatter, visit_to_find, all_are_found);
}

/* ---- OffsetForLeaderEpoch ------------------------------------------------------------------ */

struct epoch_part {
	struct ot_scatter_item item;
	struct ot_uuid topic_id;
	const struct ot_offset_for_leader_epoch_request_partition *wanted;
	struct ot_offset_for_leader_epoch_response_partition *answer;
};

struct epoch_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct ot_offset_for_leader_epoch_response response;
	struct epoch_part *parts;
	size_t part_count;
};

static void
all_epochs_are_found(struct ot_scatter *scatter)
{
	struct epoch_op *op = OT_CONTAINER_OF(scatter, struct epoch_op, scatter);
	ot_request_answer(op->request, &ot_offset_for_leader_epoch_response_msg, &op->response);
}

static void
visit_epoch(struct ot_scatter_item *item)
{
	struct epoch_part *part = OT_CONTAINER_OF(item, struct epoch_part, item);
	struct ot_offset_for_leader_epoch_response_partition *answer = part->answer;
	struct ot_part *found = broker_part(&part->topic_id, part->wanted->partition);
	ot_err err = found == NULL ? OT_ERR_NOT_LEADER_OR_FOLLOWER
	                           : ot_part_epoch_end(found, part->wanted->current_leader_epoch,
					 part->wanted->leader_epoch, &answer->leader_epoch,
					 &answer->end_offset);
	answer->error_code = ot_err_to_wire(err);
	ot_scatter_item_done(item);
}

static ot_err
route_epoch_topic(struct broker_shard *self, struct epoch_op *op,
    const struct ot_offset_for_leader_epoch_request_topic *topic,
    struct ot_offset_for_leader_epoch_response_topic *answer)
{
	answer->topic = topic->topic;
	answer->partitions_count = topic->partitions_count;
	answer->partitions = ot_offset_for_leader_epoch_response_partition_array(
	    &op->request->arena, topic->partitions_count);
	if (answer->partitions == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		struct epoch_part *part = &op->parts[op->part_count++];
		part->wanted = &topic->partitions[i];
		part->answer = &answer->partitions[i];
		part->answer->partition = part->wanted->partition;
		struct broker_place place =
		    broker_find(self, topic->topic, NULL, part->wanted->partition);
		part->answer->error_code = (int16_t)place.err;
		if (place.err != OT_OK)
			continue;
		part->topic_id = place.topic->id;
		ot_scatter_add(&op->scatter, &part->item, place.shard_index);
	}
	return OT_OK;
}

static size_t
count_epoch_parts(const struct ot_offset_for_leader_epoch_request *body)
{
	size_t count = 0;
	for (int32_t i = 0; i < body->topics_count; i++)
		count += (size_t)body->topics[i].partitions_count;
	return count;
}

void
broker_handle_offset_for_leader_epoch(struct broker_shard *self, struct ot_request *request)
{
	struct ot_offset_for_leader_epoch_request *body = broker_decode(request);
	struct epoch_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	op->request = request;
	ot_offset_for_leader_epoch_response_init(&op->response);
	op->response.topics_count = body->topics_count;
	op->response.topics =
	    ot_offset_for_leader_epoch_response_topic_array(&request->arena, body->topics_count);
	op->parts = ot_arena_array(&request->arena, count_epoch_parts(body), sizeof(*op->parts));
	ot_err err = op->response.topics != NULL && op->parts != NULL
	                 ? ot_scatter_init(&op->scatter, self->shard, &request->arena)
	                 : OT_ERR_NO_MEMORY;
	for (int32_t i = 0; err == OT_OK && i < body->topics_count; i++)
		err = route_epoch_topic(self, op, &body->topics[i], &op->response.topics[i]);
	if (err != OT_OK)
		ot_request_abort(request, "no memory for an OffsetForLeaderEpoch request");
	else
		ot_scatter_run(&op->scatter, visit_epoch, all_epochs_are_found);
}

/* ---- DeleteRecords ------------------------------------------------------------------------- */

struct delete_part {
	struct ot_scatter_item item;
	struct ot_uuid topic_id;
	const struct ot_delete_records_request_partition *wanted;
	struct ot_delete_records_response_partition *answer;
	struct ot_part_deletion deletion;
};

struct delete_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct ot_delete_records_response response;
	struct delete_part *parts;
	size_t part_count;
};

static void
all_are_deleted(struct ot_scatter *scatter)
{
	struct delete_op *op = OT_CONTAINER_OF(scatter, struct delete_op, scatter);
	ot_request_answer(op->request, &ot_delete_records_response_msg, &op->response);
}

static void
end_delete(struct delete_part *part, ot_err err, int64_t low_watermark)
{
	part->answer->error_code = ot_err_to_wire(err);
	part->answer->low_watermark = low_watermark;
	ot_scatter_item_done(&part->item);
}

static void
deletion_is_done(struct ot_part_deletion *deletion)
{
	end_delete(OT_CONTAINER_OF(deletion, struct delete_part, deletion), deletion->err,
	    deletion->low_watermark);
}

static void
visit_to_delete(struct ot_scatter_item *item)
{
	struct delete_part *part = OT_CONTAINER_OF(item, struct delete_part, item);
	struct ot_part *found = broker_part(&part->topic_id, part->wanted->partition_index);
	ot_err err = found == NULL ? OT_ERR_NOT_LEADER_OR_FOLLOWER
	                           : ot_part_delete_records(found, part->wanted->offset,
					 &part->deletion.offset);
	if (err != OT_OK) {
		end_delete(part, err, -1);
		return;
	}
	/* The log may have begun behind that already. */
	if (part->wanted->offset >= 0)
		part->deletion.offset = part->wanted->offset;
	ot_part_await_deletion(found, &part->deletion);
}

static ot_err
route_delete_topic(struct broker_shard *self, struct delete_op *op,
    const struct ot_delete_records_request *body,
    const struct ot_delete_records_request_topic *topic,
    struct ot_delete_records_response_topic *answer)
{
	answer->name = topic->name;
	answer->partitions_count = topic->partitions_count;
	answer->partitions = ot_delete_records_response_partition_array(&op->request->arena,
	    topic->partitions_count);
	if (answer->partitions == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		struct delete_part *part = &op->parts[op->part_count++];
		part->wanted = &topic->partitions[i];
		part->answer = &answer->partitions[i];
		part->answer->partition_index = part->wanted->partition_index;
		part->answer->low_watermark = -1;
		part->deletion = (struct ot_part_deletion){
			.timeout_ms = body->timeout_ms,
			.done = deletion_is_done,
		};
		struct broker_place place =
		    broker_find(self, topic->name, NULL, part->wanted->partition_index);
		if (place.err == OT_OK && place.topic->is_internal)
			place.err = OT_ERR_INVALID_TOPIC_EXCEPTION;
		part->answer->error_code = (int16_t)place.err;
		if (place.err != OT_OK)
			continue;
		part->topic_id = place.topic->id;
		ot_scatter_add(&op->scatter, &part->item, place.shard_index);
	}
	return OT_OK;
}

static size_t
count_delete_parts(const struct ot_delete_records_request *body)
{
	size_t count = 0;
	for (int32_t i = 0; i < body->topics_count; i++)
		count += (size_t)body->topics[i].partitions_count;
	return count;
}

void
broker_handle_delete_records(struct broker_shard *self, struct ot_request *request)
{
	struct ot_delete_records_request *body = broker_decode(request);
	struct delete_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	op->request = request;
	ot_delete_records_response_init(&op->response);
	op->response.topics_count = body->topics_count;
	op->response.topics =
	    ot_delete_records_response_topic_array(&request->arena, body->topics_count);
	op->parts = ot_arena_array(&request->arena, count_delete_parts(body), sizeof(*op->parts));
	ot_err err = op->response.topics != NULL && op->parts != NULL
	                 ? ot_scatter_init(&op->scatter, self->shard, &request->arena)
	                 : OT_ERR_NO_MEMORY;
	for (int32_t i = 0; err == OT_OK && i < body->topics_count; i++)
		err = route_delete_topic(self, op, body, &body->topics[i], &op->response.topics[i]);
	if (err != OT_OK)
		ot_request_abort(request, "no memory for a DeleteRecords request");
	else
		ot_scatter_run(&op->scatter, visit_to_delete, all_are_deleted);
}
