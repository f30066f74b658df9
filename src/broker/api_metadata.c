/* Metadata (key 3), DescribeCluster (60), DescribeTopicPartitions (75): the image, as clients see
 * it. Brokers are listed with their address on the listener that the client came in by. */
#include "broker/broker_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "wire/msg_describe_cluster.h"
#include "wire/msg_describe_topic_partitions.h"
#include "wire/msg_metadata.h"

enum {
	METADATA_VERSION_NULL_TOPICS = 1,
	METADATA_VERSION_AUTO_CREATE = 4,
	METADATA_VERSION_LISTENER_ERROR = 6, /* KIP-226 */
	METADATA_VERSION_BY_ID = 12, /* ids are in requests since 10, and mean something since 12 */
};

/* What a client may do where nobody is refused anything: bits by Kafka's AclOperation codes. */
enum {
	OPERATIONS_OF_CLUSTER = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
	OPERATIONS_OF_TOPIC =
	    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
};

struct metadata_op {
	struct broker_shard *self;
	struct ot_request *request;
	const struct ot_metadata_request *body;
	struct ot_metadata_response response;
	int32_t topic_capacity;
	struct broker_create_topics create;
	struct ot_str *missing; /* names that are to be created first */
	int32_t missing_count;
	bool is_no_memory;
};

/* ---- lists of ids -------------------------------------------------------------------------- */

/* A copy that the response may keep: the image's own ids are shared and could be let go. */
static int32_t *
copy_ids(struct ot_arena *arena, struct ot_ids ids, int32_t *ret_count)
{
	int32_t *copy = ot_arena_array(arena, (size_t)ids.count, sizeof(*copy));
	if (copy == NULL)
		return NULL;
	if (ids.count > 0)
		memcpy(copy, ids.items, (size_t)ids.count * sizeof(*copy));
	*ret_count = ids.count;
	return copy;
}

/* The replicas whose brokers are away or fenced. */
static int32_t *
offline_ids(struct ot_arena *arena, const struct ot_image *image, struct ot_ids replicas,
    int32_t *ret_count)
{
	int32_t *offline = ot_arena_array(arena, (size_t)replicas.count, sizeof(*offline));
	int32_t count = 0;
	for (int32_t i = 0; offline != NULL && i < replicas.count; i++) {
		const struct ot_broker_image *broker = ot_image_broker(image, replicas.items[i]);
		if (broker == NULL || broker->is_fenced)
			offline[count++] = replicas.items[i];
	}
	*ret_count = count;
	return offline;
}

/* The error that a client learns of a partition's leader; old clients know fewer. */
static ot_err
leader_error(struct broker_shard *self, const struct ot_request *request,
    const struct ot_partition_image *partition)
{
	if (partition->leader == OT_NO_LEADER ||
	    ot_image_broker(self->image, partition->leader) == NULL)
		return OT_ERR_LEADER_NOT_AVAILABLE;
	if (broker_endpoint(self, request, partition->leader) != NULL)
		return OT_OK;
	bool is_error_known =
	    request->api->key != OT_API_METADATA ||
	    request->header.request_api_version >= METADATA_VERSION_LISTENER_ERROR;
	return is_error_known ? OT_ERR_LISTENER_NOT_FOUND : OT_ERR_LEADER_NOT_AVAILABLE;
}

/* Any broker passes on what is the controller's, so clients may take any for it: the active one if
 * they can reach it, else this one. */
static int32_t
controller_id(struct broker_shard *self, const struct ot_request *request)
{
	int32_t active = ot_image_controller(self->image);
	int32_t own = self->broker->node_id;
	if (active >= 0 && broker_endpoint(self, request, active) != NULL)
		return active;
	return broker_endpoint(self, request, own) != NULL ? own : -1;
}

/* ---- Metadata ------------------------------------------------------------------------------ */

static void
fill_partition(struct metadata_op *op, const struct ot_partition_image *partition,
    struct ot_metadata_response_partition *answer)
{
	struct ot_arena *arena = &op->request->arena;
	struct ot_ids replicas = ot_partition_replicas(partition);
	answer->partition_index = partition->index;
	answer->error_code = (int16_t)leader_error(op->self, op->request, partition);
	answer->leader_id = answer->error_code == OT_OK ? partition->leader : OT_NO_LEADER;
	answer->leader_epoch = partition->leader_epoch;
	answer->replica_nodes = copy_ids(arena, replicas, &answer->replica_nodes_count);
	answer->isr_nodes = copy_ids(arena, ot_partition_isr(partition), &answer->isr_nodes_count);
	answer->offline_replicas =
	    offline_ids(arena, op->self->image, replicas, &answer->offline_replicas_count);
	if (answer->replica_nodes == NULL || answer->isr_nodes == NULL ||
	    answer->offline_replicas == NULL)
		op->is_no_memory = true;
}

static struct ot_metadata_response_topic *
next_topic(struct metadata_op *op)
{
	OT_ASSERT(op->response.topics_count < op->topic_capacity);
	return &op->response.topics[op->response.topics_count++];
}

static void
add_topic(struct metadata_op *op, const struct ot_topic_image *topic)
{
	struct ot_metadata_response_topic *answer = next_topic(op);
	answer->name = broker_text(op->request, topic->name.data);
	answer->topic_id = topic->id;
	answer->is_internal = topic->is_internal;
	if (op->body->include_topic_authorized_operations)
		answer->topic_authorized_operations = OPERATIONS_OF_TOPIC;
	answer->partitions =
	    ot_metadata_response_partition_array(&op->request->arena, topic->partition_count);
	if (answer->partitions == NULL || answer->name.len < 0) {
		op->is_no_memory = true;
		return;
	}
	answer->partitions_count = topic->partition_count;
	for (int32_t i = 0; i < topic->partition_count; i++)
		fill_partition(op, ot_topic_partition(topic, i), &answer->partitions[i]);
}

static void
add_unknown(struct metadata_op *op, const struct ot_metadata_request_topic *wanted, ot_err err)
{
	struct ot_metadata_response_topic *answer = next_topic(op);
	answer->error_code = (int16_t)err;
	answer->name = wanted->name;
	answer->topic_id = wanted->topic_id;
}

static bool
visit_topic(void *arg, const struct ot_topic_image *topic)
{
	struct metadata_op *op = arg;
	if (op->response.topics_count < op->topic_capacity)
		add_topic(op, topic);
	return !op->is_no_memory;
}

static bool
wants_all(const struct metadata_op *op)
{
	bool is_null_known =
	    op->request->header.request_api_version >= METADATA_VERSION_NULL_TOPICS;
	return is_null_known ? op->body->topics_count < 0 : op->body->topics_count <= 0;
}

static void
add_wanted(struct metadata_op *op, const struct ot_metadata_request_topic *wanted)
{
	bool by_id = wanted->name.len < 0;
	const struct ot_topic_image *topic =
	    by_id ? ot_image_topic_by_id(op->self->image, &wanted->topic_id)
		  : ot_image_topic(op->self->image, wanted->name);
	if (topic != NULL)
		add_topic(op, topic);
	else if (by_id)
		add_unknown(op, wanted, OT_ERR_UNKNOWN_TOPIC_ID);
	else if (ot_topic_name_check(wanted->name, NULL) != OT_OK)
		add_unknown(op, wanted, OT_ERR_INVALID_TOPIC_EXCEPTION);
	else
		add_unknown(op, wanted, OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void
fill_topics(struct metadata_op *op)
{
	op->topic_capacity =
	    wants_all(op) ? (int32_t)ot_image_topic_count(op->self->image) : op->body->topics_count;
	op->response.topics =
	    ot_metadata_response_topic_array(&op->request->arena, op->topic_capacity);
	if (op->response.topics == NULL) {
		op->is_no_memory = true;
		return;
	}
	if (wants_all(op)) {
		ot_image_visit_topics(op->self->image, visit_topic, op);
		return;
	}
	for (int32_t i = 0; i < op->body->topics_count && !op->is_no_memory; i++)
		add_wanted(op, &op->body->topics[i]);
}

static void
fill_brokers(struct metadata_op *op)
{
	const struct ot_image *image = op->self->image;
	int32_t capacity = ot_image_broker_count(image);
	op->response.brokers = ot_metadata_response_broker_array(&op->request->arena, capacity);
	if (op->response.brokers == NULL) {
		op->is_no_memory = true;
		return;
	}
	for (const struct ot_broker_image *broker = ot_image_broker_from(image, 0); broker != NULL;
	     broker = ot_image_broker_from(image, broker->id + 1)) {
		const struct ot_endpoint_image *endpoint =
		    broker_endpoint(op->self, op->request, broker->id);
		if (endpoint == NULL)
			continue;
		struct ot_metadata_response_broker *answer =
		    &op->response.brokers[op->response.brokers_count++];
		answer->node_id = broker->id;
		answer->host = broker_text(op->request, endpoint->host.data);
		answer->port = endpoint->port;
		answer->rack = broker->rack.len >= 0 ? broker_text(op->request, broker->rack.data)
		                                     : OT_STR_NULL;
	}
}

static void
answer_metadata(struct metadata_op *op)
{
	ot_metadata_response_init(&op->response);
	fill_brokers(op);
	fill_topics(op);
	op->response.cluster_id = ot_str_from(ot_image_cluster_id(op->self->image));
	op->response.controller_id = controller_id(op->self, op->request);
	if (op->body->include_cluster_authorized_operations)
		op->response.cluster_authorized_operations = OPERATIONS_OF_CLUSTER;
	if (op->is_no_memory)
		ot_request_abort(op->request, "no memory for a Metadata response");
	else
		ot_request_answer(op->request, &ot_metadata_response_msg, &op->response);
}

static void
topics_are_created(struct broker_create_topics *create)
{
	answer_metadata(OT_CONTAINER_OF(create, struct metadata_op, create));
}

/* Topics that the client asked for, that do not exist, and that may be created for it. */
static void
collect_missing(struct metadata_op *op)
{
	bool may_create = op->body->allow_auto_topic_creation ||
	                  op->request->header.request_api_version < METADATA_VERSION_AUTO_CREATE;
	const struct ot_settings *settings = ot_image_settings(op->self->image);
	if (!may_create || !ot_settings_flag(settings, OT_BROKER_AUTO_CREATE_TOPICS_ENABLE) ||
	    op->body->topics_count <= 0)
		return;
	op->missing = ot_arena_array(&op->request->arena, (size_t)op->body->topics_count,
	    sizeof(*op->missing));
	for (int32_t i = 0; op->missing != NULL && i < op->body->topics_count; i++) {
		struct ot_str name = op->body->topics[i].name;
		if (name.len >= 0 && ot_image_topic(op->self->image, name) == NULL &&
		    ot_topic_name_check(name, NULL) == OT_OK)
			op->missing[op->missing_count++] = name;
	}
}

/* Between 10 and 12 a request may say what the broker does not understand yet. */
static bool
is_by_id_too_early(const struct ot_request *request, const struct ot_metadata_request *body)
{
	if (request->header.request_api_version >= METADATA_VERSION_BY_ID)
		return false;
	for (int32_t i = 0; i < body->topics_count; i++) {
		if (body->topics[i].name.len < 0 || !ot_uuid_is_zero(&body->topics[i].topic_id))
			return true;
	}
	return false;
}

/* The response has no error of its own: each topic gets it. */
static void
refuse_topics(struct ot_request *request, const struct ot_metadata_request *body)
{
	struct ot_metadata_response response;
	ot_metadata_response_init(&response);
	response.topics = ot_metadata_response_topic_array(&request->arena, body->topics_count);
	if (response.topics == NULL) {
		ot_request_abort(request, "no memory for a Metadata response");
		return;
	}
	response.topics_count = body->topics_count;
	for (int32_t i = 0; i < body->topics_count; i++) {
		struct ot_str name = body->topics[i].name;
		response.topics[i].name = name.len < 0 ? OT_STR_LIT("") : name;
		response.topics[i].error_code = OT_ERR_INVALID_REQUEST;
	}
	ot_request_answer(request, &ot_metadata_response_msg, &response);
}

struct named_topic {
	UT_hash_handle hh;
};

/* Takes names out of the request that stand there before. */
static bool
drop_repeated_names(struct ot_request *request, struct ot_metadata_request *body)
{
	struct named_topic *known = NULL, *found;
	struct named_topic *rows =
	    ot_arena_array(&request->arena, (size_t)OT_MAX(body->topics_count, 0), sizeof(*rows));
	int32_t kept = 0;
	if (rows == NULL)
		return false;
	for (int32_t i = 0; i < body->topics_count; i++) {
		struct ot_str name = body->topics[i].name;
		if (name.len >= 0) {
			HASH_FIND(hh, known, name.data, (size_t)name.len, found);
			if (found != NULL)
				continue;
			HASH_ADD_KEYPTR(hh, known, name.data, (size_t)name.len, &rows[i]);
		}
		body->topics[kept++] = body->topics[i];
	}
	HASH_CLEAR(hh, known);
	if (body->topics_count > 0)
		body->topics_count = kept;
	return true;
}

void
broker_handle_metadata(struct broker_shard *self, struct ot_request *request)
{
	struct ot_metadata_request *body = broker_decode(request);
	if (body == NULL)
		return;
	if (is_by_id_too_early(request, body)) {
		refuse_topics(request, body);
		return;
	}
	if (!drop_repeated_names(request, body)) {
		ot_request_abort(request, "no memory for a Metadata request");
		return;
	}
	struct metadata_op *op = broker_alloc(request, 1, sizeof(*op));
	if (op == NULL)
		return;
	op->self = self;
	op->request = request;
	op->body = body;
	collect_missing(op);
	if (op->missing_count == 0) {
		answer_metadata(op);
		return;
	}
	op->create = (struct broker_create_topics){
		.names = op->missing,
		.count = op->missing_count,
		.done = topics_are_created,
	};
	broker_create_topics(self, request, &op->create);
}

/* ---- DescribeCluster ----------------------------------------------------------------------- */

enum { ENDPOINT_TYPE_BROKER = 1, ENDPOINT_TYPE_CONTROLLER = 2 };

/* An address of another kind was asked for (KIP-919): nothing but the error is told. */
static void
refuse_endpoint_type(struct ot_request *request, int8_t type)
{
	struct ot_describe_cluster_response response;
	char why[80];
	ot_describe_cluster_response_init(&response);
	if (type == ENDPOINT_TYPE_CONTROLLER) {
		response.error_code = OT_ERR_MISMATCHED_ENDPOINT_TYPE;
		snprintf(why, sizeof(why),
		    "This is an endpoint of type BROKER, one of type CONTROLLER was asked for");
	} else {
		response.error_code = OT_ERR_UNSUPPORTED_ENDPOINT_TYPE;
		snprintf(why, sizeof(why), "Unsupported endpoint type %d", type);
	}
	response.error_message = broker_text(request, why);
	response.cluster_id = OT_STR_LIT("");
	ot_request_answer(request, &ot_describe_cluster_response_msg, &response);
}

static ot_err
fill_cluster_brokers(struct broker_shard *self, struct ot_request *request,
    const struct ot_describe_cluster_request *body, struct ot_describe_cluster_response *response)
{
	const struct ot_image *image = self->image;
	response->brokers = ot_describe_cluster_response_broker_array(&request->arena,
	    ot_image_broker_count(image));
	if (response->brokers == NULL)
		return OT_ERR_NO_MEMORY;
	for (const struct ot_broker_image *broker = ot_image_broker_from(image, 0); broker != NULL;
	     broker = ot_image_broker_from(image, broker->id + 1)) {
		const struct ot_endpoint_image *endpoint =
		    ot_broker_endpoint(broker, broker_listener_name(request));
		if (endpoint == NULL || (broker->is_fenced && !body->include_fenced_brokers))
			continue;
		struct ot_describe_cluster_response_broker *answer =
		    &response->brokers[response->brokers_count++];
		answer->broker_id = broker->id;
		answer->host = broker_text(request, endpoint->host.data);
		answer->port = endpoint->port;
		answer->rack =
		    broker->rack.len >= 0 ? broker_text(request, broker->rack.data) : OT_STR_NULL;
		answer->is_fenced = broker->is_fenced;
	}
	return OT_OK;
}

void
broker_handle_describe_cluster(struct broker_shard *self, struct ot_request *request)
{
	struct ot_describe_cluster_request *body = broker_decode(request);
	if (body == NULL)
		return;
	if (body->endpoint_type != ENDPOINT_TYPE_BROKER) {
		refuse_endpoint_type(request, body->endpoint_type);
		return;
	}
	struct ot_describe_cluster_response response;
	ot_describe_cluster_response_init(&response);
	ot_err err = fill_cluster_brokers(self, request, body, &response);
	response.cluster_id = ot_str_from(ot_image_cluster_id(self->image));
	response.controller_id = controller_id(self, request);
	if (body->include_cluster_authorized_operations)
		response.cluster_authorized_operations = OPERATIONS_OF_CLUSTER;
	if (err != OT_OK)
		ot_request_abort(request, "no memory for a DescribeCluster response");
	else
		ot_request_answer(request, &ot_describe_cluster_response_msg, &response);
}

/* ---- DescribeTopicPartitions --------------------------------------------------------------- */

struct describe_op {
	struct broker_shard *self;
	struct ot_request *request;
	struct ot_describe_topic_partitions_response response;
	struct ot_describe_topic_partitions_response_cursor cursor;
	int32_t topic_capacity;
	int32_t partitions_left; /* of the limit on one answer */
	bool is_no_memory;
};

static void
describe_partition(struct describe_op *op, const struct ot_partition_image *partition,
    struct ot_describe_topic_partitions_response_partition *answer)
{
	struct ot_arena *arena = &op->request->arena;
	struct ot_ids replicas = ot_partition_replicas(partition);
	answer->partition_index = partition->index;
	answer->error_code = (int16_t)leader_error(op->self, op->request, partition);
	answer->leader_id = answer->error_code == OT_OK ? partition->leader : OT_NO_LEADER;
	answer->leader_epoch = partition->leader_epoch;
	answer->replica_nodes = copy_ids(arena, replicas, &answer->replica_nodes_count);
	answer->isr_nodes = copy_ids(arena, ot_partition_isr(partition), &answer->isr_nodes_count);
	answer->eligible_leader_replicas =
	    copy_ids(arena, ot_partition_elr(partition), &answer->eligible_leader_replicas_count);
	answer->last_known_elr =
	    copy_ids(arena, ot_partition_last_known_elr(partition), &answer->last_known_elr_count);
	answer->offline_replicas =
	    offline_ids(arena, op->self->image, replicas, &answer->offline_replicas_count);
	if (answer->replica_nodes == NULL || answer->isr_nodes == NULL ||
	    answer->offline_replicas == NULL)
		op->is_no_memory = true;
}

/* The next request goes on here. */
static void
set_cursor(struct describe_op *op, struct ot_str topic, int32_t partition)
{
	ot_describe_topic_partitions_response_cursor_init(&op->cursor);
	op->cursor.topic_name = topic;
	op->cursor.partition_index = partition;
	op->response.next_cursor = &op->cursor;
}

/* Describes partitions from `first` on; false when the limit ended it and a cursor was set. */
static bool
describe_topic(struct describe_op *op, const struct ot_topic_image *topic, int32_t first)
{
	struct ot_describe_topic_partitions_response_topic *answer =
	    &op->response.topics[op->response.topics_count++];
	answer->name = broker_text(op->request, topic->name.data);
	answer->topic_id = topic->id;
	answer->is_internal = topic->is_internal;
	answer->topic_authorized_operations = OPERATIONS_OF_TOPIC;
	int32_t wanted = OT_MAX(topic->partition_count - first, 0);
	int32_t count = OT_MIN(wanted, op->partitions_left);
	answer->partitions =
	    ot_describe_topic_partitions_response_partition_array(&op->request->arena, count);
	if (answer->partitions == NULL || answer->name.len < 0) {
		op->is_no_memory = true;
		return false;
	}
	answer->partitions_count = count;
	for (int32_t i = 0; i < count; i++)
		describe_partition(op, ot_topic_partition(topic, first + i),
		    &answer->partitions[i]);
	op->partitions_left -= count;
	if (count == wanted)
		return true;
	set_cursor(op, answer->name, first + count);
	return false;
}

static void
describe_unknown(struct describe_op *op, struct ot_str name)
{
	struct ot_describe_topic_partitions_response_topic *answer =
	    &op->response.topics[op->response.topics_count++];
	answer->name = name;
	answer->error_code = ot_topic_name_check(name, NULL) == OT_OK
	                         ? OT_ERR_UNKNOWN_TOPIC_OR_PARTITION
	                         : OT_ERR_INVALID_TOPIC_EXCEPTION;
}

static int
compare_names(const void *a, const void *b)
{
	return ot_str_compare(((const struct ot_describe_topic_partitions_request_topic *)a)->name,
	    ((const struct ot_describe_topic_partitions_request_topic *)b)->name);
}

static void
describe_named(struct describe_op *op, struct ot_describe_topic_partitions_request *body,
    struct ot_str from, int32_t first)
{
	qsort(body->topics, (size_t)body->topics_count, sizeof(*body->topics), compare_names);
	for (int32_t i = 0; i < body->topics_count && !op->is_no_memory; i++) {
		struct ot_str name = body->topics[i].name;
		if (ot_str_compare(name, from) < 0 ||
		    (i > 0 && ot_str_equal(name, body->topics[i - 1].name)))
			continue;
		if (op->partitions_left == 0) {
			set_cursor(op, name, 0);
			return;
		}
		const struct ot_topic_image *topic = ot_image_topic(op->self->image, name);
		if (topic == NULL)
			describe_unknown(op, name);
		else if (!describe_topic(op, topic, ot_str_equal(name, from) ? first : 0))
			return;
	}
}

static void
describe_all(struct describe_op *op, struct ot_str from, int32_t first)
{
	const struct ot_image *image = op->self->image;
	for (const struct ot_topic_image *topic = ot_image_topic_from(image, from, false);
	     topic != NULL && !op->is_no_memory;
	     topic = ot_image_topic_from(image, topic->name, true)) {
		if (op->partitions_left == 0) {
			set_cursor(op, broker_text(op->request, topic->name.data), 0);
			return;
		}
		if (!describe_topic(op, topic, ot_str_equal(topic->name, from) ? first : 0))
			return;
	}
}

/* Whether a client that got this cursor from us could send it with this list of topics. */
static bool
is_cursor_valid(const struct ot_describe_topic_partitions_request *body)
{
	if (body->cursor == NULL)
		return true;
	bool is_listed = body->topics_count <= 0;
	for (int32_t i = 0; i < body->topics_count && !is_listed; i++)
		is_listed = ot_str_equal(body->topics[i].name, body->cursor->topic_name);
	return is_listed && body->cursor->partition_index >= 0;
}

/* The response has no error of its own: each topic gets it. */
static void
refuse_cursor(struct describe_op *op, const struct ot_describe_topic_partitions_request *body)
{
	for (int32_t i = 0; i < body->topics_count; i++) {
		op->response.topics[i].name = body->topics[i].name;
		op->response.topics[i].error_code = OT_ERR_INVALID_REQUEST;
	}
	op->response.topics_count = OT_MAX(body->topics_count, 0);
}

void
broker_handle_describe_topic_partitions(struct broker_shard *self, struct ot_request *request)
{
	struct ot_describe_topic_partitions_request *body = broker_decode(request);
	if (body == NULL)
		return;
	struct describe_op op = { .self = self, .request = request };
	const struct ot_settings *settings = ot_image_settings(self->image);
	int32_t limit = ot_settings_int(settings, OT_BROKER_MAX_REQUEST_PARTITION_SIZE_LIMIT);
	bool is_all = body->topics_count <= 0;
	op.partitions_left = OT_MAX(OT_MIN(body->response_partition_limit, limit), 1);
	op.topic_capacity =
	    is_all ? (int32_t)ot_image_topic_count(self->image) : body->topics_count;
	ot_describe_topic_partitions_response_init(&op.response);
	op.response.topics =
	    ot_describe_topic_partitions_response_topic_array(&request->arena, op.topic_capacity);
	struct ot_str from = body->cursor != NULL ? body->cursor->topic_name : OT_STR_NULL;
	int32_t first = body->cursor != NULL ? body->cursor->partition_index : 0;
	if (op.response.topics == NULL)
		op.is_no_memory = true;
	else if (!is_cursor_valid(body))
		refuse_cursor(&op, body);
	else if (is_all)
		describe_all(&op, from, first);
	else
		describe_named(&op, body, from, first);
	if (op.is_no_memory)
		ot_request_abort(request, "no memory for a DescribeTopicPartitions response");
	else
		ot_request_answer(request, &ot_describe_topic_partitions_response_msg,
		    &op.response);
}
