/* Produce (key 0): batches to the partitions that own them, answers when all are back.
 *
 * With acks=0 there is no response; an error closes the connection, which is how such a producer
 * learns that its metadata is old (as in Kafka). */
#include "broker/broker_int.h"

#include <string.h>

#include "base/alloc.h"
#include "broker/legacy_int.h"
#include "wire/msg_produce.h"

enum {
	PRODUCE_VERSION_ZSTD = 7,     /* KIP-110 */
	PRODUCE_VERSION_LEADERS = 10, /* KIP-951 */
	PRODUCE_VERSION_TOPIC_ID = 13,
};

/* One partition of the request. */
struct produce_part {
	struct ot_scatter_item item;
	struct ot_append append;
	struct ot_uuid topic_id;
	struct ot_produce_response_partition *answer;
	struct ot_blob *converted; /* the batch that an old message set became; else NULL */
};

struct produce_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct ot_produce_request *body;
	struct ot_produce_response response;
	struct produce_part *parts;
	size_t part_count;
};

static bool
is_failed(const struct produce_op *op)
{
	for (int32_t i = 0; i < op->response.responses_count; i++) {
		const struct ot_produce_response_topic *topic = &op->response.responses[i];
		for (int32_t j = 0; j < topic->partition_responses_count; j++) {
			if (topic->partition_responses[j].error_code != 0)
				return true;
		}
	}
	return false;
}

static void
send_answer(struct produce_op *op)
{
	if (op->body->acks != 0)
		ot_request_answer(op->request, &ot_produce_response_msg, &op->response);
	else if (is_failed(op))
		ot_request_abort(op->request, "a produce request with acks=0 failed");
	else
		ot_request_end(op->request);
}

static struct ot_str
copy_text(struct ot_request *request, const char *text)
{
	size_t length = strlen(text);
	char *copy = ot_arena_strndup(&request->arena, text, length);
	return copy != NULL ? (struct ot_str){ copy, (int32_t)length } : OT_STR_NULL;
}

static void
fill_bad_records(struct ot_request *request, struct produce_part *part)
{
	struct ot_append *append = &part->append;
	struct ot_produce_response_record_error *errors =
	    ot_produce_response_record_error_array(&request->arena, append->bad_record_count);
	if (errors != NULL) {
		for (int32_t i = 0; i < append->bad_record_count; i++) {
			errors[i].batch_index = append->bad_records[i].index;
			errors[i].batch_index_error_message =
			    copy_text(request, append->bad_records[i].why);
		}
		part->answer->record_errors = errors;
		part->answer->record_errors_count = append->bad_record_count;
	}
	ot_free(append->bad_records);
	append->bad_records = NULL;
}

/* Each node once. Without memory the client asks Metadata, as older ones do. */
static void
add_node(struct produce_op *op, const struct broker_leader *leader)
{
	struct ot_produce_response *response = &op->response;
	for (int32_t i = 0; i < response->node_endpoints_count; i++) {
		if (response->node_endpoints[i].node_id == leader->id)
			return;
	}
	struct ot_produce_response_node_endpoint *nodes = ot_produce_response_node_endpoint_array(
	    &op->request->arena, response->node_endpoints_count + 1);
	if (nodes == NULL)
		return;
	for (int32_t i = 0; i < response->node_endpoints_count; i++)
		nodes[i] = response->node_endpoints[i];
	struct ot_produce_response_node_endpoint *node = &nodes[response->node_endpoints_count++];
	node->node_id = leader->id;
	node->host = leader->address->host;
	node->port = leader->address->port;
	node->rack = leader->broker->rack;
	response->node_endpoints = nodes;
}

/* Tells the client where to go (KIP-951). */
static void
fill_leader(struct produce_op *op, const struct produce_part *part)
{
	if (op->request->header.request_api_version < PRODUCE_VERSION_LEADERS)
		return;
	struct broker_leader leader = broker_find_leader(broker_shard_of(op->request), op->request,
	    &part->topic_id, part->answer->index);
	part->answer->current_leader.leader_id = leader.id;
	part->answer->current_leader.leader_epoch = leader.epoch;
	if (leader.address != NULL)
		add_node(op, &leader);
}

static void
fill_answer(struct produce_op *op, struct produce_part *part)
{
	struct ot_produce_response_partition *answer = part->answer;
	const struct ot_append *append = &part->append;
	answer->error_code = ot_err_to_wire(append->err);
	answer->base_offset = append->base_offset;
	answer->log_append_time_ms = append->append_time;
	answer->log_start_offset = append->log_start_offset;
	ot_blob_unref(part->converted);
	if (append->err == OT_OK)
		return;
	const char *why =
	    append->why.text[0] != '\0' ? append->why.text : ot_err_message(append->err);
	answer->error_message = copy_text(op->request, why);
	if (append->bad_record_count > 0)
		fill_bad_records(op->request, part);
	if (append->err == OT_ERR_NOT_LEADER_OR_FOLLOWER)
		fill_leader(op, part);
}

static void
all_are_back(struct ot_scatter *scatter)
{
	struct produce_op *op = OT_CONTAINER_OF(scatter, struct produce_op, scatter);
	for (size_t i = 0; i < op->part_count; i++)
		fill_answer(op, &op->parts[i]);
	send_answer(op);
}

static void
append_is_done(struct ot_append *append)
{
	ot_scatter_item_done(&OT_CONTAINER_OF(append, struct produce_part, append)->item);
}

static void
visit(struct ot_scatter_item *item)
{
	struct produce_part *part = OT_CONTAINER_OF(item, struct produce_part, item);
	struct broker_shard *self = ot_shard_self->user;
	struct ot_part *found =
	    ot_replicas_find(self->replicas, &part->topic_id, part->answer->index);
	if (found == NULL) {
		part->append.err = OT_ERR_NOT_LEADER_OR_FOLLOWER;
		part->append.base_offset = -1;
		ot_scatter_item_done(item);
		return;
	}
	ot_part_append(found, &part->append);
}

static void
refuse(struct ot_produce_response_partition *answer, ot_err err)
{
	answer->error_code = ot_err_to_wire(err);
	answer->base_offset = -1;
}

/* Only Kafka's own administrators write to internal topics. */
static bool
may_write(const struct ot_request *request, const struct ot_topic_image *topic)
{
	return !topic->is_internal || ot_str_is(request->header.client_id, "__admin_client");
}

/* Below version 3 the records are a message set; a log takes batches. */
static ot_err
make_batch(struct broker_shard *self, struct produce_part *part)
{
	struct ot_append *append = &part->append;
	size_t bytes = 0;
	ot_err err = legacy_make_batch(self->codecs, append->records, &part->converted, &bytes,
	    &append->why);
	if (err != OT_OK)
		return err;
	append->blob = part->converted;
	append->records = (struct ot_bytes){ part->converted->data, (int32_t)bytes };
	return OT_OK;
}

/* No transaction coordinator serves here, so that no transaction can be under way. */
static ot_err
transaction_err(const struct ot_produce_request *body)
{
	return body->transactional_id.len < 0 ? OT_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
	                                      : OT_ERR_INVALID_TXN_STATE;
}

static void
add_part(struct produce_op *op, const struct broker_place *place,
    const struct ot_produce_request_partition *wanted, struct ot_produce_response_partition *answer)
{
	struct broker_shard *self = broker_shard_of(op->request);
	int16_t version = op->request->header.request_api_version;
	struct produce_part *part = &op->parts[op->part_count];
	part->topic_id = place->topic->id;
	part->answer = answer;
	part->append = (struct ot_append){
		.blob = ot_request_blob(op->request),
		.records = { wanted->records.data, wanted->records.len },
		.acks = op->body->acks,
		.timeout_ms = OT_MAX(op->body->timeout_ms, 1),
		.origin = OT_ORIGIN_CLIENT,
		.is_zstd_refused = version < PRODUCE_VERSION_ZSTD,
		.txn_err = transaction_err(op->body),
		.done = append_is_done,
	};
	if (version < LEGACY_PRODUCE_VERSION_END && wanted->records.len > 0) {
		ot_err err = make_batch(self, part);
		if (err != OT_OK) {
			refuse(answer, err);
			return;
		}
	}
	op->part_count++;
	ot_scatter_add(&op->scatter, &part->item, place->shard_index);
}

static void
route_topic(struct broker_shard *self, struct produce_op *op,
    const struct ot_produce_request_topic *topic, struct ot_produce_response_topic *answer)
{
	bool by_id = op->request->header.request_api_version >= PRODUCE_VERSION_TOPIC_ID;
	for (int32_t i = 0; i < topic->partition_data_count; i++) {
		const struct ot_produce_request_partition *wanted = &topic->partition_data[i];
		struct ot_produce_response_partition *partition = &answer->partition_responses[i];
		partition->index = wanted->index;
		struct broker_place place =
		    broker_find(self, topic->name, by_id ? &topic->topic_id : NULL, wanted->index);
		if (place.err != OT_OK)
			refuse(partition, place.err);
		else if (!may_write(op->request, place.topic))
			refuse(partition, OT_ERR_INVALID_TOPIC_EXCEPTION);
		else
			add_part(op, &place, wanted, partition);
	}
}

static ot_err
prepare_answers(struct produce_op *op)
{
	struct ot_arena *arena = &op->request->arena;
	const struct ot_produce_request *body = op->body;
	size_t part_count = 0;
	ot_produce_response_init(&op->response);
	op->response.responses_count = OT_MAX(body->topic_data_count, 0);
	op->response.responses =
	    ot_produce_response_topic_array(arena, op->response.responses_count);
	if (op->response.responses == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < op->response.responses_count; i++) {
		const struct ot_produce_request_topic *topic = &body->topic_data[i];
		struct ot_produce_response_topic *answer = &op->response.responses[i];
		int32_t count = OT_MAX(topic->partition_data_count, 0);
		answer->name = topic->name;
		answer->topic_id = topic->topic_id;
		answer->partition_responses_count = count;
		answer->partition_responses = ot_produce_response_partition_array(arena, count);
		if (answer->partition_responses == NULL)
			return OT_ERR_NO_MEMORY;
		part_count += (size_t)count;
	}
	op->parts = ot_arena_array(arena, part_count, sizeof(*op->parts));
	return op->parts != NULL ? OT_OK : OT_ERR_NO_MEMORY;
}

void
broker_handle_produce(struct broker_shard *self, struct ot_request *request)
{
	struct ot_produce_request *body = broker_decode(request);
	if (body == NULL)
		return;
	struct produce_op *op = ot_arena_alloc(&request->arena, sizeof(*op));
	if (op == NULL) {
		ot_request_abort(request, "no memory for a produce request");
		return;
	}
	op->request = request;
	op->body = body;
	ot_err err = prepare_answers(op);
	if (err == OT_OK)
		err = ot_scatter_init(&op->scatter, self->shard, &request->arena);
	if (err != OT_OK) {
		ot_request_abort(request, "no memory for a produce request");
		return;
	}
	for (int32_t i = 0; i < op->response.responses_count; i++)
		route_topic(self, op, &body->topic_data[i], &op->response.responses[i]);
	ot_scatter_run(&op->scatter, visit, all_are_back);
}
