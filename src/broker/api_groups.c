/* The APIs of consumer groups (keys 8 to 16, 42, 47): each group's part of a request goes to the
 * shard that owns its partition of __consumer_offsets. src/coord/group decides everything. */
#include "broker/broker_int.h"

#include <stdio.h>

#include "broker/groups_int.h"
#include "wire/msg_find_coordinator.h"

enum { KEY_TYPE_GROUP = 0, KEY_TYPE_TRANSACTION = 1, KEY_TYPE_SHARE = 2 };
enum {
	FIND_COORDINATOR_VERSION_BATCH = 4,
	OFFSETS_VERSION_TOPIC_ID = 10,
	/* Read, delete, describe: AclOperation codes of a group where nobody is refused anything.
	 */
	OPERATIONS_OF_GROUP = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11,
};

/* The part of a request that concerns one group, and its way to the group's shard. */
struct group_item {
	struct ot_scatter_item item;
	struct ot_group_call call;
	struct group_op *op;
	int32_t partition;     /* of __consumer_offsets */
	struct ot_arena arena; /* of a request with several groups: one for each shard's thread */
	bool has_arena;
	int32_t index; /* of the group in the request */
};

struct group_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct broker_shard *self;
	void *body;
	void *response; /* of the API */
	void *extra;    /* the handler's */
	struct group_item *items;
	int32_t item_count;
	char client_host[72];
	void (*run)(struct ot_groups *groups, struct group_item *item); /* on the group's shard */
	void (*finish)(struct group_op *op);                            /* at home */
};

/* ---- going there and back ------------------------------------------------------------------ */

static void
call_is_done(struct ot_group_call *call)
{
	ot_scatter_item_done(&OT_CONTAINER_OF(call, struct group_item, call)->item);
}

static void
visit(struct ot_scatter_item *scatter_item)
{
	struct group_item *item = OT_CONTAINER_OF(scatter_item, struct group_item, item);
	struct broker_shard *self = ot_shard_self->user;
	struct ot_groups *groups = broker_groups_find(self->groups, item->partition);
	if (groups != NULL)
		item->op->run(groups, item);
	else
		ot_scatter_item_done(scatter_item); /* the broker stops: only orphans come here */
}

/* The response may point into the items' arenas, which end with the request. */
static void
free_arenas(struct group_op *op)
{
	for (int32_t i = 0; i < op->item_count; i++) {
		if (op->items[i].has_arena)
			ot_arena_fini(&op->items[i].arena);
	}
}

static void
all_are_back(struct ot_scatter *scatter)
{
	struct group_op *op = OT_CONTAINER_OF(scatter, struct group_op, scatter);
	if (op->request->state == OT_REQUEST_ORPHAN) {
		free_arenas(op);
		ot_request_end(op->request);
		return;
	}
	op->finish(op);
}

/* Encoding copies, so what the response points to can go before the request does. */
static void
answer(struct group_op *op)
{
	struct ot_request *request = op->request;
	ot_request_encode(request, request->api->response, op->response);
	free_arenas(op);
	ot_request_send(request);
}

static struct group_op *
create_op(struct broker_shard *self, struct ot_request *request)
{
	void *body = broker_decode(request);
	struct group_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return NULL;
	op->response = broker_alloc(request, 1, request->api->response->body->bytes);
	if (op->response == NULL)
		return NULL;
	ot_msg_init(request->api->response, op->response);
	op->request = request;
	op->self = self;
	op->body = body;
	op->finish = answer;
	snprintf(op->client_host, sizeof(op->client_host), "/%s",
	    ot_conn_peer(request->conn)->host);
	return op;
}

/* Which shard coordinates a group; the home shard when nobody does, whose idle coordinator then
 * says so. */
static uint32_t
place_item(struct group_op *op, struct group_item *item, struct ot_str group_id)
{
	const struct ot_topic_image *topic =
	    ot_image_topic(op->self->image, OT_STR_LIT(BROKER_OFFSETS_TOPIC));
	item->partition = -1;
	if (topic == NULL)
		return op->self->shard->index;
	item->partition = ot_group_partition(group_id, topic->partition_count);
	return ot_part_owner_index(topic->name, item->partition, op->self->shard->set->count);
}

static void
add_item(struct group_op *op, struct ot_str group_id)
{
	struct group_item *item = &op->items[op->item_count];
	uint32_t shard_index = place_item(op, item, group_id);
	item->op = op;
	item->index = op->item_count++;
	item->call = (struct ot_group_call){
		.version = op->request->header.request_api_version,
		.client_id = op->request->header.client_id,
		.client_host = ot_str_from(op->client_host),
		.arena = &op->request->arena,
		.on_done = call_is_done,
	};
	ot_scatter_add(&op->scatter, &item->item, shard_index);
}

/* Room for `count` groups; several have arenas of their own, since several threads may fill them.
 */
static bool
prepare_items(struct group_op *op, int32_t count)
{
	op->items = broker_alloc(op->request, (size_t)count, sizeof(*op->items));
	if (op->items == NULL)
		return false;
	if (ot_scatter_init(&op->scatter, op->self->shard, &op->request->arena) == OT_OK)
		return true;
	ot_request_abort(op->request, "no memory for a group request");
	return false;
}

static void
use_own_arenas(struct group_op *op)
{
	for (int32_t i = 0; i < op->item_count; i++) {
		struct group_item *item = &op->items[i];
		ot_arena_init(&item->arena, 0);
		item->has_arena = true;
		item->call.arena = &item->arena;
	}
}

static void
run_scatter(struct group_op *op)
{
	ot_scatter_run(&op->scatter, visit, all_are_back);
}

/* A request about one group, whose response the group's shard fills alone. */
static void
handle_one(struct broker_shard *self, struct ot_request *request,
    void (*run)(struct ot_groups *groups, struct group_item *item),
    struct ot_str (*group_of)(const void *body))
{
	struct group_op *op = create_op(self, request);
	if (op == NULL || !prepare_items(op, 1))
		return;
	op->run = run;
	add_item(op, group_of(op->body));
	run_scatter(op);
}

/* ---- one group ----------------------------------------------------------------------------- */

static void
run_join_group(struct ot_groups *groups, struct group_item *item)
{
	ot_group_join(groups, &item->call, item->op->body, item->op->response);
}

static struct ot_str
group_of_join_group(const void *body)
{
	return ((const struct ot_join_group_request *)body)->group_id;
}

void
broker_handle_join_group(struct broker_shard *self, struct ot_request *request)
{
	handle_one(self, request, run_join_group, group_of_join_group);
}

static void
run_sync_group(struct ot_groups *groups, struct group_item *item)
{
	ot_group_sync(groups, &item->call, item->op->body, item->op->response);
}

static struct ot_str
group_of_sync_group(const void *body)
{
	return ((const struct ot_sync_group_request *)body)->group_id;
}

void
broker_handle_sync_group(struct broker_shard *self, struct ot_request *request)
{
	handle_one(self, request, run_sync_group, group_of_sync_group);
}

static void
run_heartbeat(struct ot_groups *groups, struct group_item *item)
{
	ot_group_heartbeat(groups, &item->call, item->op->body, item->op->response);
}

static struct ot_str
group_of_heartbeat(const void *body)
{
	return ((const struct ot_heartbeat_request *)body)->group_id;
}

void
broker_handle_heartbeat(struct broker_shard *self, struct ot_request *request)
{
	handle_one(self, request, run_heartbeat, group_of_heartbeat);
}

static void
run_leave_group(struct ot_groups *groups, struct group_item *item)
{
	ot_group_leave(groups, &item->call, item->op->body, item->op->response);
}

static struct ot_str
group_of_leave_group(const void *body)
{
	return ((const struct ot_leave_group_request *)body)->group_id;
}

void
broker_handle_leave_group(struct broker_shard *self, struct ot_request *request)
{
	handle_one(self, request, run_leave_group, group_of_leave_group);
}

/* ---- OffsetCommit -------------------------------------------------------------------------- */

/* The request as the group sees it: names for ids, and only partitions that exist. */
struct commit_view {
	struct ot_offset_commit_request request;
	struct ot_offset_commit_response response;
};

static void
run_commit(struct ot_groups *groups, struct group_item *item)
{
	struct commit_view *view = item->op->extra;
	ot_group_offset_commit(groups, &item->call, &view->request, &view->response);
}

static struct ot_str
group_of_commit(const void *body)
{
	return ((const struct ot_offset_commit_request *)body)->group_id;
}

static const struct ot_topic_image *
find_topic(const struct group_op *op, struct ot_str name, const struct ot_uuid *id)
{
	bool by_id = op->request->header.request_api_version >= OFFSETS_VERSION_TOPIC_ID;
	return by_id ? ot_image_topic_by_id(op->self->image, id)
	             : ot_image_topic(op->self->image, name);
}

static ot_err
view_topic(struct group_op *op, const struct ot_offset_commit_request_topic *wanted,
    struct ot_offset_commit_response_topic *answer, struct ot_offset_commit_request_topic *ret_view)
{
	struct ot_arena *arena = &op->request->arena;
	bool by_id = op->request->header.request_api_version >= OFFSETS_VERSION_TOPIC_ID;
	const struct ot_topic_image *topic = find_topic(op, wanted->name, &wanted->topic_id);
	ot_err unknown = by_id ? OT_ERR_UNKNOWN_TOPIC_ID : OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	*ret_view = *wanted;
	ret_view->partitions_count = 0;
	ret_view->name = topic != NULL ? broker_text(op->request, topic->name.data) : wanted->name;
	ret_view->partitions =
	    ot_offset_commit_request_partition_array(arena, wanted->partitions_count);
	answer->name = wanted->name;
	answer->topic_id = wanted->topic_id;
	answer->partitions_count = wanted->partitions_count;
	answer->partitions =
	    ot_offset_commit_response_partition_array(arena, wanted->partitions_count);
	if (ret_view->partitions == NULL || answer->partitions == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < wanted->partitions_count; i++) {
		int32_t index = wanted->partitions[i].partition_index;
		answer->partitions[i].partition_index = index;
		if (topic == NULL)
			answer->partitions[i].error_code = (int16_t)unknown;
		else if (index < 0 || index >= topic->partition_count)
			answer->partitions[i].error_code = OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
		else
			ret_view->partitions[ret_view->partitions_count++] = wanted->partitions[i];
	}
	return OT_OK;
}

/* The view's answers go to their places: both are in the order of the request. */
static void
finish_commit(struct group_op *op)
{
	struct commit_view *view = op->extra;
	struct ot_offset_commit_response *response = op->response;
	for (int32_t i = 0; i < response->topics_count; i++) {
		struct ot_offset_commit_response_topic *topic = &response->topics[i];
		const struct ot_offset_commit_response_topic *from = &view->response.topics[i];
		int32_t next = 0;
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			if (topic->partitions[j].error_code == 0)
				topic->partitions[j].error_code =
				    from->partitions[next++].error_code;
		}
	}
	answer(op);
}

void
broker_handle_offset_commit(struct broker_shard *self, struct ot_request *request)
{
	struct group_op *op = create_op(self, request);
	struct commit_view *view = op != NULL ? broker_alloc(request, 1, sizeof(*view)) : NULL;
	if (view == NULL || !prepare_items(op, 1))
		return;
	const struct ot_offset_commit_request *body = op->body;
	struct ot_offset_commit_response *response = op->response;
	view->request = *body;
	view->request.topics =
	    ot_offset_commit_request_topic_array(&request->arena, body->topics_count);
	response->topics =
	    ot_offset_commit_response_topic_array(&request->arena, body->topics_count);
	response->topics_count = body->topics_count;
	ot_err err =
	    view->request.topics != NULL && response->topics != NULL ? OT_OK : OT_ERR_NO_MEMORY;
	for (int32_t i = 0; err == OT_OK && i < body->topics_count; i++)
		err = view_topic(op, &body->topics[i], &response->topics[i],
		    &view->request.topics[i]);
	if (err != OT_OK) {
		ot_request_abort(request, "no memory for an OffsetCommit request");
		return;
	}
	op->extra = view;
	op->run = run_commit;
	op->finish = finish_commit;
	add_item(op, group_of_commit(body));
	run_scatter(op);
}

/* ---- OffsetDelete -------------------------------------------------------------------------- */

/* The request as the group sees it: only partitions that exist. */
struct delete_view {
	struct ot_offset_delete_request request;
	struct ot_offset_delete_response response;
	int32_t partition_count;
};

static void
run_offset_delete(struct ot_groups *groups, struct group_item *item)
{
	struct delete_view *view = item->op->extra;
	ot_group_offset_delete(groups, &item->call, &view->request, &view->response);
}

/* What does not exist has its error already. */
static bool
view_deletion(struct group_op *op, struct delete_view *view,
    const struct ot_offset_delete_request_topic *wanted,
    struct ot_offset_delete_response_topic *answer)
{
	struct ot_offset_delete_request_topic *seen =
	    &view->request.topics[view->request.topics_count++];
	struct ot_arena *arena = &op->request->arena;
	int32_t count = wanted->partitions_count;
	seen->name = answer->name = wanted->name;
	seen->partitions = ot_offset_delete_request_partition_array(arena, count);
	answer->partitions = ot_offset_delete_response_partition_array(arena, count);
	if (seen->partitions == NULL || answer->partitions == NULL)
		return false;
	answer->partitions_count = count;
	for (int32_t i = 0; i < count; i++) {
		int32_t index = wanted->partitions[i].partition_index;
		struct broker_place place = broker_find(op->self, wanted->name, NULL, index);
		answer->partitions[i].partition_index = index;
		answer->partitions[i].error_code = (int16_t)place.err;
		if (place.err == OT_OK)
			seen->partitions[seen->partitions_count++] = wanted->partitions[i];
	}
	view->partition_count += seen->partitions_count;
	return true;
}

/* An error of the whole stands alone; else the group's answers go to their places, which are in the
 * order of the request in both. */
static void
finish_deletion(struct group_op *op)
{
	struct delete_view *view = op->extra;
	struct ot_offset_delete_response *response = op->response;
	response->error_code = view->response.error_code;
	if (response->error_code != 0)
		response->topics_count = 0;
	for (int32_t i = 0; i < response->topics_count; i++) {
		struct ot_offset_delete_response_topic *topic = &response->topics[i];
		const struct ot_offset_delete_response_topic *from = &view->response.topics[i];
		int32_t next = 0;
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			if (topic->partitions[j].error_code == 0)
				topic->partitions[j].error_code =
				    from->partitions[next++].error_code;
		}
	}
	answer(op);
}

void
broker_handle_offset_delete(struct broker_shard *self, struct ot_request *request)
{
	struct group_op *op = create_op(self, request);
	struct delete_view *view = op != NULL ? broker_alloc(request, 1, sizeof(*view)) : NULL;
	if (view == NULL || !prepare_items(op, 1))
		return;
	const struct ot_offset_delete_request *body = op->body;
	struct ot_offset_delete_response *response = op->response;
	view->request = *body;
	view->request.topics_count = 0;
	view->request.topics =
	    ot_offset_delete_request_topic_array(&request->arena, body->topics_count);
	response->topics =
	    ot_offset_delete_response_topic_array(&request->arena, body->topics_count);
	response->topics_count = body->topics_count;
	bool is_made = view->request.topics != NULL && response->topics != NULL;
	for (int32_t i = 0; is_made && i < body->topics_count; i++)
		is_made = view_deletion(op, view, &body->topics[i], &response->topics[i]);
	if (!is_made) {
		ot_request_abort(request, "no memory for an OffsetDelete request");
		return;
	}
	if (view->partition_count == 0) {
		answer(op); /* as in Kafka no group is asked about nothing */
		return;
	}
	op->extra = view;
	op->run = run_offset_delete;
	op->finish = finish_deletion;
	add_item(op, body->group_id);
	run_scatter(op);
}

/* ---- OffsetFetch --------------------------------------------------------------------------- */

struct fetch_view {
	struct ot_offset_fetch_request_group *groups;
	struct ot_offset_fetch_response_group *results;
	bool is_stable_wanted;
};

static void
run_offset_fetch(struct ot_groups *groups, struct group_item *item)
{
	struct fetch_view *view = item->op->extra;
	ot_group_offset_fetch(groups, &item->call, &view->groups[item->index],
	    view->is_stable_wanted, &view->results[item->index]);
}

/* Version 10 names topics by id; groups know names. Ids that are of no topic get a name that no
 * topic can have, and their answers an error afterwards. */
static void
name_topics(struct group_op *op, struct ot_offset_fetch_request_group *group)
{
	if (op->request->header.request_api_version < OFFSETS_VERSION_TOPIC_ID)
		return;
	for (int32_t i = 0; i < group->topics_count; i++) {
		const struct ot_topic_image *topic =
		    ot_image_topic_by_id(op->self->image, &group->topics[i].topic_id);
		group->topics[i].name =
		    topic != NULL ? broker_text(op->request, topic->name.data) : OT_STR_LIT("");
	}
}

static void
refuse_unknown(struct ot_offset_fetch_response_group_topic *topic)
{
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		topic->partitions[i].error_code = OT_ERR_UNKNOWN_TOPIC_ID;
		topic->partitions[i].committed_offset = -1;
	}
}

/* The other way: answers for all topics of a group come without ids. */
static void
identify_topics(struct group_op *op, struct ot_offset_fetch_response_group *group)
{
	if (op->request->header.request_api_version < OFFSETS_VERSION_TOPIC_ID)
		return;
	int32_t kept = 0;
	for (int32_t i = 0; i < group->topics_count; i++) {
		struct ot_offset_fetch_response_group_topic *topic = &group->topics[i];
		if (topic->name.len == 0) {
			refuse_unknown(topic);
		} else if (ot_uuid_is_zero(&topic->topic_id)) {
			const struct ot_topic_image *known =
			    ot_image_topic(op->self->image, topic->name);
			if (known == NULL)
				continue;
			topic->topic_id = known->id;
		}
		group->topics[kept++] = *topic;
	}
	group->topics_count = kept;
}

static void
finish_offset_fetch(struct group_op *op)
{
	struct fetch_view *view = op->extra;
	int16_t version = op->request->header.request_api_version;
	for (int32_t i = 0; i < op->item_count; i++)
		identify_topics(op, &view->results[i]);
	ot_err err = ot_offset_fetch_merge(op->body, version, view->results, op->item_count,
	    &op->request->arena, op->response);
	if (err == OT_OK) {
		answer(op);
		return;
	}
	free_arenas(op);
	ot_request_abort(op->request, "no memory for an OffsetFetch response");
}

void
broker_handle_offset_fetch(struct broker_shard *self, struct ot_request *request)
{
	struct group_op *op = create_op(self, request);
	struct fetch_view *view = op != NULL ? broker_alloc(request, 1, sizeof(*view)) : NULL;
	if (view == NULL)
		return;
	const struct ot_offset_fetch_request *body = op->body;
	int32_t count = 0;
	ot_err err = ot_offset_fetch_split(body, request->header.request_api_version,
	    &request->arena, &view->groups, &count);
	if (err == OT_OK)
		view->results = ot_offset_fetch_response_group_array(&request->arena, count);
	if (view->results == NULL) {
		ot_request_abort(request, "no memory for an OffsetFetch request");
		return;
	}
	if (!prepare_items(op, count))
		return;
	view->is_stable_wanted = body->require_stable;
	op->extra = view;
	op->run = run_offset_fetch;
	op->finish = finish_offset_fetch;
	for (int32_t i = 0; i < count; i++) {
		name_topics(op, &view->groups[i]);
		add_item(op, view->groups[i].group_id);
	}
	use_own_arenas(op);
	run_scatter(op);
}

/* ---- DescribeGroups ------------------------------------------------------------------------ */

static void
run_describe(struct ot_groups *groups, struct group_item *item)
{
	const struct ot_describe_groups_request *body = item->op->body;
	struct ot_describe_groups_response *response = item->op->response;
	struct ot_describe_groups_response_group *result = &response->groups[item->index];
	ot_group_describe(groups, body->groups[item->index], item->call.version, item->call.arena,
	    result);
	if (body->include_authorized_operations)
		result->authorized_operations = OPERATIONS_OF_GROUP;
	ot_scatter_item_done(&item->item);
}

void
broker_handle_describe_groups(struct broker_shard *self, struct ot_request *request)
{
	struct group_op *op = create_op(self, request);
	if (op == NULL)
		return;
	const struct ot_describe_groups_request *body = op->body;
	struct ot_describe_groups_response *response = op->response;
	response->groups =
	    ot_describe_groups_response_group_array(&request->arena, body->groups_count);
	if (response->groups == NULL) {
		ot_request_abort(request, "no memory for a DescribeGroups request");
		return;
	}
	if (!prepare_items(op, body->groups_count))
		return;
	response->groups_count = body->groups_count;
	op->run = run_describe;
	for (int32_t i = 0; i < body->groups_count; i++)
		add_item(op, body->groups[i]);
	use_own_arenas(op);
	run_scatter(op);
}

/* ---- DeleteGroups -------------------------------------------------------------------------- */

static void
run_delete(struct ot_groups *groups, struct group_item *item)
{
	const struct ot_delete_groups_request *body = item->op->body;
	struct ot_delete_groups_response *response = item->op->response;
	ot_group_delete(groups, &item->call, body->groups_names[item->index],
	    &response->results[item->index]);
}

void
broker_handle_delete_groups(struct broker_shard *self, struct ot_request *request)
{
	struct group_op *op = create_op(self, request);
	if (op == NULL)
		return;
	const struct ot_delete_groups_request *body = op->body;
	struct ot_delete_groups_response *response = op->response;
	response->results =
	    ot_delete_groups_response_result_array(&request->arena, body->groups_names_count);
	if (response->results == NULL) {
		ot_request_abort(request, "no memory for a DeleteGroups request");
		return;
	}
	if (!prepare_items(op, body->groups_names_count))
		return;
	response->results_count = body->groups_names_count;
	op->run = run_delete;
	for (int32_t i = 0; i < body->groups_names_count; i++)
		add_item(op, body->groups_names[i]);
	use_own_arenas(op);
	run_scatter(op);
}

/* ---- ListGroups ---------------------------------------------------------------------------- */

/* What one shard lists. */
struct list_item {
	struct ot_scatter_item item;
	struct list_op *op;
	struct ot_arena arena;
	struct ot_list_groups_response response;
	ot_err err;
};

struct list_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct broker_shard *self;
	const struct ot_list_groups_request *body;
	struct list_item *items; /* by shard */
};

static void
list_partition(void *arg, struct ot_groups *groups)
{
	struct list_item *item = arg;
	ot_err err = ot_group_list(groups, item->op->body, &item->arena, &item->response);
	if (err != OT_OK)
		item->err = err;
}

static void
visit_to_list(struct ot_scatter_item *scatter_item)
{
	struct list_item *item = OT_CONTAINER_OF(scatter_item, struct list_item, item);
	struct broker_shard *self = ot_shard_self->user;
	broker_groups_each(self->groups, list_partition, item);
	ot_scatter_item_done(scatter_item);
}

/* Joins the shards' lists; OT_OK, or what a shard met. */
static ot_err
join_lists(struct list_op *op, struct ot_list_groups_response *response)
{
	uint32_t shard_count = op->self->shard->set->count;
	int32_t total = 0;
	ot_err err = OT_OK;
	for (uint32_t i = 0; i < shard_count; i++) {
		total += op->items[i].response.groups_count;
		if (op->items[i].err != OT_OK)
			err = op->items[i].err;
	}
	response->groups = ot_list_groups_response_group_array(&op->request->arena, total);
	if (response->groups == NULL)
		return OT_ERR_NO_MEMORY;
	for (uint32_t i = 0; i < shard_count; i++) {
		const struct ot_list_groups_response *part = &op->items[i].response;
		for (int32_t j = 0; j < part->groups_count; j++)
			response->groups[response->groups_count++] = part->groups[j];
	}
	return err;
}

static void
all_are_listed(struct ot_scatter *scatter)
{
	struct list_op *op = OT_CONTAINER_OF(scatter, struct list_op, scatter);
	struct ot_list_groups_response response;
	ot_list_groups_response_init(&response);
	response.error_code = ot_err_to_wire(join_lists(op, &response));
	struct ot_request *request = op->request;
	ot_request_encode(request, &ot_list_groups_response_msg, &response);
	for (uint32_t i = 0; i < op->self->shard->set->count; i++)
		ot_arena_fini(&op->items[i].arena);
	ot_request_send(request);
}

void
broker_handle_list_groups(struct broker_shard *self, struct ot_request *request)
{
	struct ot_list_groups_request *body = broker_decode(request);
	struct list_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	uint32_t shard_count = self->shard->set->count;
	op->self = self;
	op->request = request;
	op->body = body;
	op->items = broker_alloc(request, shard_count, sizeof(*op->items));
	if (op->items == NULL)
		return;
	if (ot_scatter_init(&op->scatter, self->shard, &request->arena) != OT_OK) {
		ot_request_abort(request, "no memory for a ListGroups request");
		return;
	}
	for (uint32_t i = 0; i < shard_count; i++) {
		op->items[i].op = op;
		ot_arena_init(&op->items[i].arena, 0);
		ot_list_groups_response_init(&op->items[i].response);
		ot_scatter_add(&op->scatter, &op->items[i].item, i);
	}
	ot_scatter_run(&op->scatter, visit_to_list, all_are_listed);
}

/* ---- FindCoordinator ----------------------------------------------------------------------- */

struct find_op {
	struct broker_shard *self;
	struct ot_request *request;
	struct ot_find_coordinator_request *body;
	struct broker_create_topics create;
	struct ot_str topic_name;
};

/* Fills one coordinator; texts are the image's and are encoded before the turn ends. */
static void
find_one(struct find_op *op, struct ot_str key,
    struct ot_find_coordinator_response_coordinator *ret)
{
	ret->key = key;
	ret->node_id = -1;
	ret->port = -1;
	ret->host = OT_STR_LIT("");
	ret->error_message = OT_STR_NULL;
	ot_err err = OT_OK;
	const struct ot_topic_image *topic =
	    ot_image_topic(op->self->image, OT_STR_LIT(BROKER_OFFSETS_TOPIC));
	const struct ot_endpoint_image *endpoint = NULL;
	if (op->body->key_type != KEY_TYPE_GROUP) {
		err = op->body->key_type == KEY_TYPE_TRANSACTION ? OT_ERR_COORDINATOR_NOT_AVAILABLE
		                                                 : OT_ERR_INVALID_REQUEST;
	} else if (topic == NULL) {
		err = OT_ERR_COORDINATOR_NOT_AVAILABLE;
	} else {
		int32_t partition = ot_group_partition(key, topic->partition_count);
		const struct ot_partition_image *image = ot_topic_partition(topic, partition);
		endpoint = broker_endpoint(op->self, op->request, image->leader);
		ret->node_id = image->leader;
		if (endpoint == NULL)
			err = OT_ERR_COORDINATOR_NOT_AVAILABLE;
	}
	if (err != OT_OK) {
		ret->node_id = -1;
		ret->error_code = (int16_t)err;
		ret->error_message = ot_str_from(ot_err_message(err));
		return;
	}
	ret->host = endpoint->host;
	ret->port = endpoint->port;
}

static void
answer_batch(struct find_op *op)
{
	struct ot_find_coordinator_response response;
	int32_t count = OT_MAX(op->body->coordinator_keys_count, 0);
	ot_find_coordinator_response_init(&response);
	response.coordinators =
	    ot_find_coordinator_response_coordinator_array(&op->request->arena, count);
	if (response.coordinators == NULL) {
		ot_request_abort(op->request, "no memory for a FindCoordinator response");
		return;
	}
	response.coordinators_count = count;
	for (int32_t i = 0; i < count; i++)
		find_one(op, op->body->coordinator_keys[i], &response.coordinators[i]);
	ot_request_answer(op->request, &ot_find_coordinator_response_msg, &response);
}

static void
answer_single(struct find_op *op)
{
	struct ot_find_coordinator_response response;
	struct ot_find_coordinator_response_coordinator found;
	ot_find_coordinator_response_init(&response);
	ot_find_coordinator_response_coordinator_init(&found);
	find_one(op, op->body->key, &found);
	response.error_code = found.error_code;
	response.error_message = found.error_message;
	response.node_id = found.node_id;
	response.host = found.host;
	response.port = found.port;
	ot_request_answer(op->request, &ot_find_coordinator_response_msg, &response);
}

static void
answer_find(struct find_op *op)
{
	if (op->request->header.request_api_version >= FIND_COORDINATOR_VERSION_BATCH)
		answer_batch(op);
	else
		answer_single(op);
}

static void
topic_is_created(struct broker_create_topics *create)
{
	answer_find(OT_CONTAINER_OF(create, struct find_op, create));
}

void
broker_handle_find_coordinator(struct broker_shard *self, struct ot_request *request)
{
	struct ot_find_coordinator_request *body = broker_decode(request);
	struct find_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	op->self = self;
	op->request = request;
	op->body = body;
	op->topic_name = OT_STR_LIT(BROKER_OFFSETS_TOPIC);
	bool is_there = ot_image_topic(self->image, op->topic_name) != NULL;
	if (is_there || body->key_type != KEY_TYPE_GROUP) {
		answer_find(op);
		return;
	}
	op->create = (struct broker_create_topics){
		.names = &op->topic_name,
		.count = 1,
		.done = topic_is_created,
	};
	broker_create_topics(self, request, &op->create);
}
