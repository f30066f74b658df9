/* What brokers ask the active controller, on its control listener: registration, heartbeats, blocks
 * of producer ids, changes of ISRs, and the like. A controller that is not the active one answers
 * NOT_CONTROLLER. */
#include "broker/broker_int.h"
#include "wire/msg_gen.h"

static void
begin_registration(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_register_broker(controller, &call->call, forward->body, forward->response);
}

static void
begin_heartbeat(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_heartbeat(controller, &call->call, forward->body, forward->response);
}

static void
begin_allocation(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_allocate_producer_ids(controller, &call->call, forward->body,
	    forward->response);
}

static void
begin_alter_partition(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_alter_partition(controller, &call->call, forward->body, call->version,
	    forward->response);
}

static void
begin_controller_registration(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_register_controller(controller, &call->call, forward->body,
	    forward->response);
}

static void
begin_assignment(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_assign_replicas_to_dirs(controller, &call->call, forward->body,
	    forward->response);
}

void
broker_handle_broker_registration(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_registration);
}

void
broker_handle_broker_heartbeat(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_heartbeat);
}

void
broker_handle_allocate_producer_ids(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_allocation);
}

void
broker_handle_alter_partition(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_alter_partition);
}

void
broker_handle_controller_registration(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_controller_registration);
}

void
broker_handle_assign_replicas_to_dirs(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_assignment);
}
