/* CreateTopics (key 19), DeleteTopics (20), CreatePartitions (37): the controller's work. The
 * request crosses to the control thread and comes back when every shard knows the result. */
#include "broker/broker_int.h"

#include "wire/msg_create_partitions.h"
#include "wire/msg_create_topics.h"
#include "wire/msg_delete_topics.h"

static void
begin_create(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_create_topics(controller, &call->call, op->body, op->response);
}

static void
begin_delete(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_delete_topics(controller, &call->call, op->body,
	    op->request->header.request_api_version, op->response);
}

static void
begin_partitions(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_create_partitions(controller, &call->call, op->body, op->response);
}

void
broker_handle_create_topics(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_create);
}

void
broker_handle_delete_topics(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_delete);
}

void
broker_handle_create_partitions(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_partitions);
}

/* ---- automatic creation -------------------------------------------------------------------- */

struct auto_op {
	struct broker_call call;
	struct broker_create_topics *wanted;
	struct ot_create_topics_request body;
	struct ot_create_topics_response response;
};

static void
auto_create_is_done(struct broker_call *call)
{
	struct auto_op *op = OT_CONTAINER_OF(call, struct auto_op, call);
	op->wanted->done(op->wanted);
}

static void
begin_auto_create(struct broker_call *call, struct ot_controller *controller)
{
	struct auto_op *op = OT_CONTAINER_OF(call, struct auto_op, call);
	ot_controller_create_topics(controller, &call->call, &op->body, &op->response);
}

void
broker_create_topics(struct broker_shard *self, struct ot_request *request,
    struct broker_create_topics *wanted)
{
	struct auto_op *op = broker_alloc(request, 1, sizeof(*op));
	if (op == NULL)
		return;
	ot_create_topics_request_init(&op->body);
	op->body.topics = ot_create_topics_request_topic_array(&request->arena, wanted->count);
	bool is_filled = op->body.topics != NULL;
	for (int32_t i = 0; is_filled && i < wanted->count; i++)
		is_filled = ot_auto_topic_fill(self->image, wanted->names[i], &request->arena,
		    &op->body.topics[i]);
	if (!is_filled) {
		ot_request_abort(request, "no memory to create a topic");
		return;
	}
	op->body.topics_count = wanted->count;
	op->wanted = wanted;
	op->call.begin = begin_auto_create;
	op->call.done = auto_create_is_done;
	op->call.arena = &request->arena;
	op->call.api = ot_api_find(OT_API_CREATE_TOPICS);
	op->call.version = op->call.api->accepted.max;
	op->call.body = &op->body;
	op->call.response = &op->response;
	op->call.timeout_ms =
	    ot_settings_number(self->broker->settings, OT_BROKER_REQUEST_TIMEOUT_MS);
	broker_control_post(self->broker, self->shard, &op->call);
}
