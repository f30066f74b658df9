/* DescribeQuorum: who reads the metadata log, and how far.
 *
 * Voters are the controllers that have registered, and the active one in any case. Brokers are
 * observers; how far a reader is it says with its broker's heartbeats, so of a process that is only
 * a controller nothing is known: -1.
 */

#include "cluster/controller.h"

#include <stdlib.h>

#include "base/panic.h"
#include "cluster/sessions_int.h"
#include "wire/msg_describe_quorum.h"
#include "wire/msg_metadata_log.h"

#define METADATA_TOPIC "__cluster_metadata"

static void
quorum_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_describe_quorum_response *response = call->response;

	ot_describe_quorum_response_init(response);
	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
}

struct quorum {
	struct operation *operation;
	struct ot_describe_quorum_response *response;
	struct ot_describe_quorum_response_partition *partition;
	struct ot_describe_quorum_response_node *nodes;
};

/* ---- readers --------------------------------------------------------------------------------- */

static void
put_reader(struct quorum *quorum, struct ot_describe_quorum_response_replica_state *state,
    int32_t id)
{
	const struct ot_controller *controller = quorum->operation->controller;
	const struct ot_broker_image *broker = ot_image_broker(controller->committed, id);
	ot_wall_ms now = ot_io_wall(controller->io);
	int64_t offset, age_ms;

	state->replica_id = id;
	state->log_end_offset = -1;
	if (id == controller->node_id) {
		state->log_end_offset = ot_image_place(controller->committed).offset + 1;
		state->last_fetch_timestamp = state->last_caught_up_timestamp = now;
	} else if (broker != NULL && sessions_state(controller, broker, &offset, &age_ms)) {
		state->log_end_offset = offset + 1;
		state->last_fetch_timestamp = now - age_ms;
		if (offset >= ot_image_place(controller->committed).offset)
			state->last_caught_up_timestamp = now - age_ms;
	}
}

static bool
count_record(void *arg, struct ot_bytes framed)
{
	(void)framed;
	++*(int32_t *)arg;
	return true;
}

static void
put_listeners(struct quorum *quorum, const struct ot_register_controller_record *record)
{
	struct ot_describe_quorum_response_node *node =
	    &quorum->nodes[quorum->response->nodes_count++];

	node->node_id = record->controller_id;
	node->listeners = ot_describe_quorum_response_listener_array(quorum->operation->arena,
	    record->end_points_count);
	if (node->listeners == NULL) {
		quorum->operation->is_failed = true;
		return;
	}
	node->listeners_count = record->end_points_count;
	for (int32_t i = 0; i < record->end_points_count; i++) {
		node->listeners[i].name = record->end_points[i].name;
		node->listeners[i].host = record->end_points[i].host;
		node->listeners[i].port = record->end_points[i].port;
	}
}

static bool
put_controller(void *arg, struct ot_bytes framed)
{
	struct quorum *quorum = arg;
	struct ot_describe_quorum_response_partition *partition = quorum->partition;
	const struct ot_register_controller_record *controller;
	struct ot_typed_record record;
	uint8_t *copy = operation_array(quorum->operation, (size_t)framed.len, 1);

	/* Its texts are views of the frame, and the image may go before the answer does. */
	if (copy == NULL)
		return false;
	for (int32_t i = 0; i < framed.len; i++)
		copy[i] = framed.data[i];
	if (ot_typed_record_decode(OT_RECORD_LOG_METADATA, (struct ot_bytes){ copy, framed.len },
		quorum->operation->arena, &record) != OT_OK) {
		quorum->operation->is_failed = true;
		return false;
	}
	controller = record.msg;
	put_listeners(quorum, controller);
	/* This one stands first. */
	if (controller->controller_id != quorum->operation->controller->node_id)
		put_reader(quorum, &partition->current_voters[partition->current_voters_count++],
		    controller->controller_id);
	return !quorum->operation->is_failed;
}

static bool
is_voter(const struct quorum *quorum, int32_t id)
{
	for (int32_t i = 0; i < quorum->partition->current_voters_count; i++) {
		if (quorum->partition->current_voters[i].replica_id == id)
			return true;
	}
	return false;
}

static void
describe(struct quorum *quorum)
{
	const struct ot_controller *controller = quorum->operation->controller;
	const struct ot_image *image = controller->committed;
	struct ot_describe_quorum_response_partition *partition = quorum->partition;
	const struct ot_broker_image *broker;
	int32_t registered = 0;

	ot_image_visit_kept_records(image, OT_REGISTER_CONTROLLER_RECORD_TYPE, count_record,
	    &registered);
	partition->leader_id = controller->node_id;
	partition->leader_epoch = controller->epoch;
	partition->high_watermark = ot_image_place(image).offset + 1;
	partition->current_voters = ot_describe_quorum_response_replica_state_array(
	    quorum->operation->arena, registered + 1);
	partition->observers = ot_describe_quorum_response_replica_state_array(
	    quorum->operation->arena, ot_image_broker_count(image));
	quorum->nodes =
	    ot_describe_quorum_response_node_array(quorum->operation->arena, registered);
	quorum->response->nodes = quorum->nodes;
	if (partition->current_voters == NULL || partition->observers == NULL ||
	    quorum->nodes == NULL) {
		quorum->operation->is_failed = true;
		return;
	}
	put_reader(quorum, &partition->current_voters[partition->current_voters_count++],
	    controller->node_id);
	ot_image_visit_kept_records(image, OT_REGISTER_CONTROLLER_RECORD_TYPE, put_controller,
	    quorum);
	for (int32_t id = 0; (broker = ot_image_broker_from(image, id)) != NULL;
	     id = broker->id + 1) {
		if (!is_voter(quorum, broker->id))
			put_reader(quorum, &partition->observers[partition->observers_count++],
			    broker->id);
	}
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool
is_of_metadata(const struct ot_describe_quorum_request *request)
{
	return request->topics_count == 1 && request->topics[0].partitions_count == 1 &&
	       ot_str_is(request->topics[0].topic_name, METADATA_TOPIC) &&
	       request->topics[0].partitions[0].partition_index == 0;
}

static void
name_partitions(struct operation *operation, const struct ot_describe_quorum_request *request,
    struct ot_describe_quorum_response *response)
{
	bool is_good = is_of_metadata(request);
	int32_t count = OT_MAX(request->topics_count, 0);
	ot_err err = is_good ? OT_OK : OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;

	response->topics = ot_describe_quorum_response_topic_array(operation->arena, count);
	if (response->topics == NULL) {
		operation->is_failed = true;
		return;
	}
	response->topics_count = count;
	for (int32_t i = 0; i < count; i++) {
		struct ot_describe_quorum_response_topic *topic = &response->topics[i];
		int32_t partition_count = OT_MAX(request->topics[i].partitions_count, 0);

		topic->topic_name = request->topics[i].topic_name;
		topic->partitions =
		    ot_describe_quorum_response_partition_array(operation->arena, partition_count);
		if (topic->partitions == NULL) {
			operation->is_failed = true;
			return;
		}
		topic->partitions_count = partition_count;
		for (int32_t j = 0; j < partition_count; j++) {
			topic->partitions[j].partition_index =
			    request->topics[i].partitions[j].partition_index;
			topic->partitions[j].error_code = ot_err_to_wire(err);
			topic->partitions[j].error_message =
			    operation_error_text(operation->arena, err, NULL);
		}
	}
}

void
ot_controller_describe_quorum(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_describe_quorum_request *request,
    struct ot_describe_quorum_response *ret_response)
{
	struct operation operation;
	struct quorum quorum = { .operation = &operation, .response = ret_response };

	ot_describe_quorum_response_init(ret_response);
	call->response = ret_response;
	call->fail = quorum_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	name_partitions(&operation, request, ret_response);
	if (!operation.is_failed && is_of_metadata(request)) {
		quorum.partition = &ret_response->topics[0].partitions[0];
		describe(&quorum);
	}
	operation_end(&operation, false);
}
