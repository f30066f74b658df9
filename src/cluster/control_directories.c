/* AssignReplicasToDirs: a broker says in which of its log directories its replicas lie (KIP-858).
 *
 * A replica that is said to be in a directory which the broker has not registered, or has lost, is
 * gone: it leaves ISR and leadership.
 */

#include "cluster/controller.h"

#include "base/panic.h"
#include "cluster/feature_levels.h"
#include "cluster/partition_change_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_assign_replicas_to_dirs.h"
#include "wire/msg_metadata_log.h"

/* The version of the record of a partition's change that has directories. */
enum { CHANGE_WITH_DIRECTORIES = 1 };

struct assignment {
	struct operation *operation;
	struct partition_changer online;  /* for directories that are there */
	struct partition_changer offline; /* the broker is as good as gone from the partition */
	int32_t broker_id;
	struct ot_uuid directory;
	bool is_offline;
};

static void
assign_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_assign_replicas_to_dirs_response *response = call->response;

	ot_assign_replicas_to_dirs_response_init(response);
	response->error_code = ot_err_to_wire(err);
}

static ot_err
assign_partition(struct assignment *assignment, const struct ot_uuid *topic_id, int32_t index)
{
	struct partition_changer *changer =
	    assignment->is_offline ? &assignment->offline : &assignment->online;
	const struct ot_topic_image *topic = operation_topic(assignment->operation, topic_id);
	const struct ot_partition_image *partition;
	struct partition_change change;

	if (topic == NULL)
		return OT_ERR_UNKNOWN_TOPIC_ID;
	partition = ot_topic_partition(topic, index);
	if (partition == NULL)
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	if (!ot_ids_have(ot_partition_replicas(partition), assignment->broker_id))
		return OT_ERR_NOT_LEADER_OR_FOLLOWER;
	partition_change_begin(changer, topic, partition, &change);
	change.moved_id = assignment->broker_id;
	change.moved_directory = assignment->directory;
	if (assignment->is_offline)
		change.isr = partition_ids_without(changer, change.isr, assignment->broker_id);
	(void)partition_change_add(changer, &change, assignment->operation);
	return OT_OK;
}

static bool
assign_topic(struct assignment *assignment,
    const struct ot_assign_replicas_to_dirs_request_topic *wanted,
    struct ot_assign_replicas_to_dirs_response_topic *result)
{
	int32_t count = OT_MAX(wanted->partitions_count, 0);

	result->topic_id = wanted->topic_id;
	result->partitions = ot_assign_replicas_to_dirs_response_partition_array(
	    assignment->operation->arena, count);
	if (result->partitions == NULL)
		return false;
	result->partitions_count = count;
	for (int32_t i = 0; i < count && !assignment->operation->is_failed; i++) {
		int32_t index = wanted->partitions[i].partition_index;

		result->partitions[i].partition_index = index;
		result->partitions[i].error_code =
		    ot_err_to_wire(assign_partition(assignment, &wanted->topic_id, index));
		operation_split_if_full(assignment->operation);
	}
	return true;
}

static bool
assign_directory(struct assignment *assignment,
    const struct ot_assign_replicas_to_dirs_request_directory *wanted,
    struct ot_assign_replicas_to_dirs_response_directory *result)
{
	const struct ot_broker_image *broker =
	    ot_image_broker(assignment->online.image, assignment->broker_id);
	int32_t count = OT_MAX(wanted->topics_count, 0);

	assignment->directory = wanted->id;
	assignment->is_offline = !cluster_broker_has_directory(broker, &wanted->id);
	result->id = wanted->id;
	result->topics =
	    ot_assign_replicas_to_dirs_response_topic_array(assignment->operation->arena, count);
	if (result->topics == NULL)
		return false;
	result->topics_count = count;
	for (int32_t i = 0; i < count; i++) {
		if (!assign_topic(assignment, &wanted->topics[i], &result->topics[i]))
			return false;
	}
	return true;
}

static void
assign_all(struct assignment *assignment, const struct ot_assign_replicas_to_dirs_request *request,
    struct ot_assign_replicas_to_dirs_response *response)
{
	struct operation *operation = assignment->operation;
	struct ot_image *image = ot_image_ref(operation->controller->head);
	int32_t count = OT_MAX(request->directories_count, 0);

	partition_changer_init(&assignment->online, operation, image);
	partition_changer_init(&assignment->offline, operation, image);
	assignment->offline.leaving_id = assignment->broker_id;
	response->directories =
	    ot_assign_replicas_to_dirs_response_directory_array(operation->arena, count);
	if (response->directories == NULL)
		operation->is_failed = true;
	else
		response->directories_count = count;
	for (int32_t i = 0; i < response->directories_count && !operation->is_failed; i++) {
		if (!assign_directory(assignment, &request->directories[i],
			&response->directories[i]))
			operation->is_failed = true;
	}
	partition_changer_fini(&assignment->online);
	partition_changer_fini(&assignment->offline);
	ot_image_unref(image);
}

void
ot_controller_assign_replicas_to_dirs(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_assign_replicas_to_dirs_request *request,
    struct ot_assign_replicas_to_dirs_response *ret_response)
{
	struct operation operation;
	struct assignment assignment = { .operation = &operation, .broker_id = request->broker_id };
	ot_err err;

	ot_assign_replicas_to_dirs_response_init(ret_response);
	call->response = ret_response;
	call->fail = assign_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err =
	    cluster_check_broker_epoch(controller->head, request->broker_id, request->broker_epoch);
	if (ot_metadata_record_version(operation.metadata_version,
		OT_PARTITION_CHANGE_RECORD_TYPE) < CHANGE_WITH_DIRECTORIES)
		err = OT_ERR_UNSUPPORTED_VERSION;
	if (err == OT_OK)
		assign_all(&assignment, request, ret_response);
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
}
