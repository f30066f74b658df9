/* AlterPartitionReassignments and ListPartitionReassignments (KIP-455).
 *
 * A reassignment goes through two records. The first makes replicas of all who are or shall be, the
 * wanted ones first, and notes who is added and who goes. When all wanted ones are in sync, the
 * record that says so has the second within: partition_change_make() takes the others away. Where
 * they are in sync already, one record does it.
 *
 * Cancelling takes away who is added. Where a reassignment takes the place of another one, all that
 * either adds stays noted, so that cancelling leads back to where the first began.
 */

#include "cluster/controller.h"

#include "base/panic.h"
#include "cluster/partition_change_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_alter_partition_reassignments.h"
#include "wire/msg_list_partition_reassignments.h"
#include "wire/msg_metadata_log.h"

/* ---- one partition --------------------------------------------------------------------------- */

struct reassignment {
	struct operation *operation;
	struct partition_changer *changer;
	const struct ot_topic_image *topic;
	const struct ot_partition_image *partition;
	bool may_change_factor;
	struct ot_why why;
};

static bool
is_under_way(const struct ot_partition_image *partition)
{
	return partition->adding_count > 0 || partition->removing_count > 0;
}

/* How many replicas the partition shall have, as things stand. */
static int32_t
factor_of(struct reassignment *reassignment)
{
	const struct ot_partition_image *partition = reassignment->partition;

	return partition_ids_minus(reassignment->changer, ot_partition_replicas(partition),
	    ot_partition_removing(partition))
	    .count;
}

static bool
have_any(struct ot_ids ids, struct ot_ids others)
{
	for (int32_t i = 0; i < others.count; i++) {
		if (ot_ids_have(ids, others.items[i]))
			return true;
	}
	return false;
}

/* Whether of all who have what was committed none is among those replicas. */
static bool
loses_all(const struct reassignment *reassignment, struct ot_ids replicas)
{
	const struct ot_partition_image *partition = reassignment->partition;

	if (partition->isr_count > 0 || partition->elr_count > 0)
		return !have_any(replicas, ot_partition_isr(partition)) &&
		       !have_any(replicas, ot_partition_elr(partition));
	return !have_any(replicas, ot_partition_last_known_elr(partition));
}

static ot_err
cancel(struct reassignment *reassignment)
{
	const struct ot_partition_image *partition = reassignment->partition;
	struct partition_change change;

	if (!is_under_way(partition))
		return OT_ERR_NO_REASSIGNMENT_IN_PROGRESS;
	partition_change_begin(reassignment->changer, reassignment->topic, partition, &change);
	change.replicas =
	    partition_ids_minus(reassignment->changer, change.replicas, change.adding);
	change.isr = partition_ids_minus(reassignment->changer, change.isr, change.adding);
	if (change.replicas.count == 0) {
		ot_why_set(&reassignment->why,
		    "Invalid replica assignment: addingReplicas contains all replicas.");
		return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
	}
	if (loses_all(reassignment, change.replicas)) {
		if (change.election != ELECT_UNCLEAN) {
			ot_why_set(&reassignment->why,
			    "Unable to revert partition assignment for %.*s:%d because it would "
			    "require an unclean leader election.",
			    OT_STR_ARG(reassignment->topic->name), partition->index);
			return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
		}
		change.recovery_state = OT_RECOVERY_RECOVERING;
		change.isr = (struct ot_ids){ change.replicas.items, 1 };
	}
	change.adding = change.removing = (struct ot_ids){ 0 };
	(void)partition_change_add(reassignment->changer, &change, reassignment->operation);
	return OT_OK;
}

static ot_err
begin(struct reassignment *reassignment, struct ot_ids target)
{
	struct partition_changer *changer = reassignment->changer;
	struct partition_change change;
	ot_err err;

	if (!reassignment->may_change_factor && factor_of(reassignment) != target.count) {
		ot_why_set(&reassignment->why, "The replication factor is changed from %d to %d",
		    factor_of(reassignment), target.count);
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	err = cluster_check_replicas(changer->image, target, -1, &reassignment->why);
	if (err != OT_OK)
		return err;
	partition_change_begin(changer, reassignment->topic, reassignment->partition, &change);
	change.election = ELECT_ONLINE;
	change.adding = partition_ids_plus(changer, change.adding,
	    partition_ids_minus(changer, target, change.replicas));
	change.removing = partition_ids_minus(changer, change.replicas, target);
	change.replicas = partition_ids_plus(changer, target, change.removing);
	(void)partition_change_add(changer, &change, reassignment->operation);
	return OT_OK;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void
reassign_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_alter_partition_reassignments_response *response = call->response;

	ot_alter_partition_reassignments_response_init(response);
	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
}

static ot_err
reassign_one(struct reassignment *reassignment, struct ot_str name,
    const struct ot_alter_partition_reassignments_request_partition *wanted)
{
	struct operation *operation = reassignment->operation;
	ot_err err;

	reassignment->topic = ot_image_topic(operation->controller->head, name);
	if (reassignment->topic == NULL) {
		ot_why_set(&reassignment->why, "Unable to find a topic named %.*s.",
		    OT_STR_ARG(name));
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	/* With this request's records: a partition may be named twice. */
	reassignment->topic = operation_topic(operation, &reassignment->topic->id);
	reassignment->partition = ot_topic_partition(reassignment->topic, wanted->partition_index);
	if (reassignment->partition == NULL) {
		ot_why_set(&reassignment->why, "Unable to find partition %.*s:%d.",
		    OT_STR_ARG(name), wanted->partition_index);
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	err = cluster_check_room(operation, 1, &reassignment->why);
	if (err != OT_OK)
		return err;
	if (wanted->replicas_count < 0)
		return cancel(reassignment);
	return begin(reassignment, (struct ot_ids){ wanted->replicas, wanted->replicas_count });
}

static bool
reassign_topic(struct reassignment *reassignment,
    const struct ot_alter_partition_reassignments_request_topic *wanted,
    struct ot_alter_partition_reassignments_response_topic *result)
{
	struct ot_arena *arena = reassignment->operation->arena;
	int32_t count = OT_MAX(wanted->partitions_count, 0);

	result->name = wanted->name;
	result->partitions =
	    ot_alter_partition_reassignments_response_partition_array(arena, count);
	if (result->partitions == NULL)
		return false;
	result->partitions_count = count;
	for (int32_t i = 0; i < count; i++) {
		ot_err err;

		reassignment->why = (struct ot_why){ { 0 } };
		err = reassign_one(reassignment, wanted->name, &wanted->partitions[i]);
		result->partitions[i].partition_index = wanted->partitions[i].partition_index;
		result->partitions[i].error_code = ot_err_to_wire(err);
		result->partitions[i].error_message =
		    operation_error_text(arena, err, &reassignment->why);
	}
	return true;
}

void
ot_controller_alter_partition_reassignments(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_alter_partition_reassignments_request *request,
    struct ot_alter_partition_reassignments_response *ret_response)
{
	int32_t count = OT_MAX(request->topics_count, 0);
	struct operation operation;
	struct partition_changer changer;
	struct reassignment reassignment = { .operation = &operation,
		.changer = &changer,
		.may_change_factor = request->allow_replication_factor_change };

	ot_alter_partition_reassignments_response_init(ret_response);
	call->response = ret_response;
	call->fail = reassign_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	ret_response->allow_replication_factor_change = request->allow_replication_factor_change;
	ret_response->responses =
	    ot_alter_partition_reassignments_response_topic_array(call->arena, count);
	if (ret_response->responses == NULL)
		operation.is_failed = true;
	else
		ret_response->responses_count = count;
	partition_changer_init(&changer, &operation, controller->head);
	for (int32_t i = 0; i < ret_response->responses_count && !operation.is_failed; i++) {
		if (!reassign_topic(&reassignment, &request->topics[i],
			&ret_response->responses[i]))
			operation.is_failed = true;
	}
	partition_changer_fini(&changer);
	operation_end(&operation, false);
}

/* ---- the list -------------------------------------------------------------------------------- */

struct list {
	struct operation *operation;
	struct ot_list_partition_reassignments_response *response;
	const struct ot_topic_image *topic;
	struct ot_list_partition_reassignments_response_topic *result; /* of the topic; or NULL */
	int32_t topics_capacity;
	int32_t partitions_capacity; /* of the result */
};

static void
list_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_list_partition_reassignments_response *response = call->response;

	ot_list_partition_reassignments_response_init(response);
	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
}

/* The image may go before the answer does. */
static int32_t *
copy_ids(struct list *list, struct ot_ids ids, int32_t *ret_count)
{
	int32_t *copy = operation_array(list->operation, (size_t)ids.count, sizeof(*copy));

	for (int32_t i = 0; copy != NULL && i < ids.count; i++)
		copy[i] = ids.items[i];
	*ret_count = copy == NULL ? 0 : ids.count;
	return copy;
}

static bool
list_result(struct list *list)
{
	struct ot_list_partition_reassignments_response *response = list->response;
	const char *name;

	if (list->result != NULL)
		return true;
	if (response->topics_count == list->topics_capacity) {
		struct ot_list_partition_reassignments_response_topic *topics;

		list->topics_capacity = OT_MAX(16, 2 * list->topics_capacity);
		topics = ot_list_partition_reassignments_response_topic_array(
		    list->operation->arena, list->topics_capacity);
		if (topics == NULL)
			return false;
		for (int32_t i = 0; i < response->topics_count; i++)
			topics[i] = response->topics[i];
		response->topics = topics;
	}
	name = ot_arena_strndup(list->operation->arena, list->topic->name.data,
	    (size_t)list->topic->name.len);
	list->result = &response->topics[response->topics_count];
	list->result->partitions = ot_list_partition_reassignments_response_partition_array(
	    list->operation->arena, list->partitions_capacity);
	if (name == NULL || list->result->partitions == NULL)
		return false;
	list->result->name = ot_str_from(name);
	response->topics_count++;
	return true;
}

static bool
list_partition(void *arg, const struct ot_partition_image *partition)
{
	struct list *list = arg;
	struct ot_list_partition_reassignments_response_partition *one;

	if (!is_under_way(partition))
		return true;
	if (!list_result(list)) {
		list->operation->is_failed = true;
		return false;
	}
	OT_ASSERT(list->result->partitions_count < list->partitions_capacity);
	one = &list->result->partitions[list->result->partitions_count++];
	one->partition_index = partition->index;
	one->replicas = copy_ids(list, ot_partition_replicas(partition), &one->replicas_count);
	one->adding_replicas =
	    copy_ids(list, ot_partition_adding(partition), &one->adding_replicas_count);
	one->removing_replicas =
	    copy_ids(list, ot_partition_removing(partition), &one->removing_replicas_count);
	return !list->operation->is_failed;
}

static bool
list_topic(void *arg, const struct ot_topic_image *topic)
{
	struct list *list = arg;

	list->topic = topic;
	list->result = NULL;
	list->partitions_capacity = topic->partition_count;
	ot_topic_visit_partitions(topic, list_partition, list);
	return !list->operation->is_failed;
}

static void
list_named(struct list *list, const struct ot_list_partition_reassignments_request_topic *wanted)
{
	list->topic = ot_image_topic(list->operation->controller->head, wanted->name);
	list->result = NULL;
	list->partitions_capacity = OT_MAX(wanted->partition_indexes_count, 0);
	for (int32_t i = 0; list->topic != NULL && i < wanted->partition_indexes_count; i++) {
		const struct ot_partition_image *partition =
		    ot_topic_partition(list->topic, wanted->partition_indexes[i]);

		if (partition != NULL && !list_partition(list, partition))
			return;
	}
}

void
ot_controller_list_partition_reassignments(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_list_partition_reassignments_request *request,
    struct ot_list_partition_reassignments_response *ret_response)
{
	struct operation operation;
	struct list list = { .operation = &operation, .response = ret_response };

	ot_list_partition_reassignments_response_init(ret_response);
	call->response = ret_response;
	call->fail = list_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	if (request->topics_count < 0)
		ot_image_visit_topics(controller->head, list_topic, &list);
	for (int32_t i = 0; i < request->topics_count && !operation.is_failed; i++)
		list_named(&list, &request->topics[i]);
	operation_end(&operation, false);
}
