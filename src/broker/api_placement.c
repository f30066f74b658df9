/* ElectLeaders (key 43), AlterPartitionReassignments (45), ListPartitionReassignments (46) and
 * UnregisterBroker (64): who leads, where replicas lie, and which brokers there are. All of it is
 * the controller's work; whatever broker is asked passes it on. */
#include "broker/broker_int.h"

#include "wire/msg_alter_partition_reassignments.h"
#include "wire/msg_elect_leaders.h"
#include "wire/msg_list_partition_reassignments.h"
#include "wire/msg_unregister_broker.h"

static void
begin_election(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_elect_leaders(controller, &call->call, op->body, op->response);
}

static void
begin_reassignment(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_alter_partition_reassignments(controller, &call->call, op->body,
	    op->response);
}

static void
begin_list(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_list_partition_reassignments(controller, &call->call, op->body, op->response);
}

static void
begin_unregistration(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_unregister_broker(controller, &call->call, op->body, op->response);
}

void
broker_handle_elect_leaders(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_election);
}

void
broker_handle_alter_partition_reassignments(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_reassignment);
}

void
broker_handle_list_partition_reassignments(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_list);
}

void
broker_handle_unregister_broker(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_unregistration);
}
