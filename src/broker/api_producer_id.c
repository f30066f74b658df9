/* InitProducerId (key 22) for idempotent producers: ids from a block that the controller gave to
 * this shard (KIP-730). Transactional ids are the transaction coordinator's. */
#include "broker/broker_int.h"

#include "base/alloc.h"
#include "wire/msg_allocate_producer_ids.h"
#include "wire/msg_init_producer_id.h"

/* A request that waits for the next block. */
struct init_op {
	struct ot_list link;
	struct ot_request *request;
};

struct broker_producer_ids {
	struct broker_shard *self;
	int64_t next;
	int64_t end; /* behind the block */
	struct ot_list waiting;
	bool is_asking;
	struct broker_call call;
	struct ot_arena arena; /* of the call */
	struct ot_allocate_producer_ids_request request;
	struct ot_allocate_producer_ids_response response;
};

struct broker_producer_ids *
broker_producer_ids_create(struct broker_shard *self)
{
	struct broker_producer_ids *ids = OT_NEW(struct broker_producer_ids);
	ids->self = self;
	ot_list_init(&ids->waiting);
	ot_arena_init(&ids->arena, 0);
	return ids;
}

void
broker_producer_ids_destroy(struct broker_producer_ids *ids)
{
	if (ids == NULL)
		return;
	ot_arena_fini(&ids->arena);
	ot_free(ids);
}

static void
answer(struct ot_request *request, ot_err err, int64_t producer_id)
{
	struct ot_init_producer_id_response response;
	ot_init_producer_id_response_init(&response);
	response.error_code = ot_err_to_wire(err);
	response.producer_id = producer_id;
	response.producer_epoch = err == OT_OK ? 0 : -1;
	ot_request_answer(request, &ot_init_producer_id_response_msg, &response);
}

static void
answer_waiting(struct broker_producer_ids *ids, ot_err err)
{
	while (!ot_list_is_empty(&ids->waiting) && (err != OT_OK || ids->next < ids->end)) {
		struct init_op *op = OT_LIST_FIRST(&ids->waiting, struct init_op, link);
		ot_list_remove(&op->link);
		answer(op->request, err, err == OT_OK ? ids->next++ : -1);
	}
}

static void ask_for_block(struct broker_producer_ids *ids);

static void
block_is_here(struct broker_call *call)
{
	struct broker_producer_ids *ids = OT_CONTAINER_OF(call, struct broker_producer_ids, call);
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(ids->response.error_code);
	ids->is_asking = false;
	if (err == OT_OK) {
		ids->next = ids->response.producer_id_start;
		ids->end = ids->next + ids->response.producer_id_len;
	}
	ot_arena_reset(&ids->arena);
	/* As Kafka: a client tries again after this. */
	answer_waiting(ids, err == OT_OK ? OT_OK : OT_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	if (!ot_list_is_empty(&ids->waiting))
		ask_for_block(ids);
}

/* The epoch is the control thread's to know. */
static void
prepare_allocation(struct broker_call *call)
{
	struct broker_producer_ids *ids = OT_CONTAINER_OF(call, struct broker_producer_ids, call);
	ids->request.broker_epoch = broker_control_epoch(call->control);
}

static void
begin_allocation(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_producer_ids *ids = OT_CONTAINER_OF(call, struct broker_producer_ids, call);
	prepare_allocation(call);
	ot_controller_allocate_producer_ids(controller, &call->call, &ids->request, &ids->response);
}

static void
ask_for_block(struct broker_producer_ids *ids)
{
	if (ids->is_asking)
		return;
	ids->is_asking = true;
	ot_allocate_producer_ids_request_init(&ids->request);
	ids->request.broker_id = ids->self->broker->node_id;
	ids->call = (struct broker_call){
		.begin = begin_allocation,
		.done = block_is_here,
		.prepare = prepare_allocation,
		.arena = &ids->arena,
		.api = ot_api_find(OT_API_ALLOCATE_PRODUCER_IDS),
		.body = &ids->request,
		.response = &ids->response,
		/* A block that is lost is no harm. */
		.is_idempotent = true,
	};
	ids->call.version = ids->call.api->accepted.max;
	ids->call.timeout_ms =
	    ot_settings_number(ids->self->broker->settings, OT_BROKER_REQUEST_TIMEOUT_MS);
	broker_control_post(ids->self->broker, ids->self->shard, &ids->call);
}

/* A client that goes on with its id names the epoch too; one of both alone means nothing. */
static bool
is_half_named(const struct ot_init_producer_id_request *body)
{
	return (body->producer_id == -1) != (body->producer_epoch == -1);
}

void
broker_handle_init_producer_id(struct broker_shard *self, struct ot_request *request)
{
	struct ot_init_producer_id_request *body = broker_decode(request);
	if (body == NULL)
		return;
	if (is_half_named(body)) {
		answer(request, OT_ERR_INVALID_REQUEST, -1);
		return;
	}
	if (body->transactional_id.len >= 0) {
		/* No transaction coordinator serves here, and none can be found. */
		answer(request,
		    body->transactional_id.len == 0 ? OT_ERR_INVALID_REQUEST
						    : OT_ERR_NOT_COORDINATOR,
		    -1);
		return;
	}
	struct init_op *op = broker_alloc(request, 1, sizeof(*op));
	if (op == NULL)
		return;
	op->request = request;
	ot_list_push_back(&self->producer_ids->waiting, &op->link);
	answer_waiting(self->producer_ids, OT_OK);
	if (!ot_list_is_empty(&self->producer_ids->waiting))
		ask_for_block(self->producer_ids);
}
