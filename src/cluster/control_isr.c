/* AlterPartition: leaders change the set of replicas that are in sync (KIP-497, KIP-841, KIP-903).
 *
 * A leader that asks with old epochs has missed something, and is told so before anything else is
 * looked at; one whose epochs are newer than ours asks a controller that was deposed. Nobody gets
 * into the ISR who is fenced, about to stop, or not in the registration that the leader fetched
 * from: it could be a new incarnation that has lost records.
 */

#include "cluster/controller.h"

#include "base/panic.h"
#include "base/plant.h"
#include "cluster/partition_change_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_alter_partition.h"
#include "wire/msg_metadata_log.h"

/* From these versions of the request on: topics have ids, and the ISR's brokers have epochs. */
enum { VERSION_WITH_IDS = 2, VERSION_WITH_EPOCHS = 3 };

enum { ANY_EPOCH = -1 };

struct isr_change {
	struct operation *operation;
	struct partition_changer *changer;
	int16_t version;
	int32_t leader_id;
	const struct ot_topic_image *topic;
	const struct ot_alter_partition_request_partition *wanted;
	struct ot_ids isr;
	const int64_t *epochs; /* of the brokers in it */
};

static void
alter_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_alter_partition_response *response = call->response;

	ot_alter_partition_response_init(response);
	response->error_code = ot_err_to_wire(err);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static ot_err
check_epochs(const struct isr_change *change, const struct ot_partition_image *partition)
{
	const struct ot_alter_partition_request_partition *wanted = change->wanted;

	if (wanted->leader_epoch > partition->leader_epoch ||
	    wanted->partition_epoch > partition->partition_epoch)
		return OT_ERR_NOT_CONTROLLER;
	if (wanted->leader_epoch < partition->leader_epoch)
		return OT_ERR_FENCED_LEADER_EPOCH;
	if (change->leader_id != partition->leader)
		return OT_ERR_INVALID_REQUEST;
	if (wanted->partition_epoch < partition->partition_epoch)
		return OT_ERR_INVALID_UPDATE_VERSION;
	return OT_OK;
}

/* Of replicas, each once, and with the leader. */
static bool
isr_is_sane(const struct isr_change *change, const struct ot_partition_image *partition)
{
	for (int32_t i = 0; i < change->isr.count; i++) {
		int32_t id = change->isr.items[i];

		if (!ot_ids_have(ot_partition_replicas(partition), id) ||
		    ot_ids_have((struct ot_ids){ change->isr.items, i }, id))
			return false;
	}
	return ot_ids_have(change->isr, change->leader_id);
}

static bool
recovery_is_sane(const struct isr_change *change, const struct ot_partition_image *partition)
{
	int8_t state = change->wanted->leader_recovery_state;

	if (state != OT_RECOVERY_RECOVERED && state != OT_RECOVERY_RECOVERING)
		return false;
	return state == OT_RECOVERY_RECOVERED ||
	       (partition->recovery_state == OT_RECOVERY_RECOVERING && change->isr.count == 1);
}

static bool
all_are_eligible(const struct isr_change *change)
{
	const struct ot_image *image = change->operation->controller->head;

	for (int32_t i = 0; i < change->isr.count; i++) {
		if (!cluster_broker_is_active(image, change->isr.items[i]))
			return false;
		if (change->epochs[i] != ANY_EPOCH &&
		    change->epochs[i] != ot_image_broker(image, change->isr.items[i])->epoch)
			return false;
	}
	return true;
}

static ot_err
check(const struct isr_change *change, const struct ot_partition_image *partition)
{
	ot_err err;

	if (partition == NULL)
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	err = check_epochs(change, partition);
	if (err != OT_OK && !OT_PLANT(STALE_LEADER))
		return err;
	if (!isr_is_sane(change, partition) || !recovery_is_sane(change, partition))
		return OT_ERR_INVALID_REQUEST;
	if (!all_are_eligible(change))
		return change->version >= VERSION_WITH_IDS ? OT_ERR_INELIGIBLE_REPLICA
		                                           : OT_ERR_OPERATION_NOT_ATTEMPTED;
	return OT_OK;
}

/* ---- one partition --------------------------------------------------------------------------- */

/* Both lists, whatever the version. */
static bool
take_isr(struct isr_change *change)
{
	const struct ot_alter_partition_request_partition *wanted = change->wanted;
	bool has_epochs = change->version >= VERSION_WITH_EPOCHS;
	int32_t count =
	    OT_MAX(has_epochs ? wanted->new_isr_with_epochs_count : wanted->new_isr_count, 0);
	int32_t *ids = operation_array(change->operation, (size_t)count, sizeof(*ids));
	int64_t *epochs = operation_array(change->operation, (size_t)count, sizeof(*epochs));

	if (change->operation->is_failed)
		return false;
	for (int32_t i = 0; i < count; i++) {
		ids[i] = has_epochs ? wanted->new_isr_with_epochs[i].broker_id : wanted->new_isr[i];
		epochs[i] = has_epochs ? wanted->new_isr_with_epochs[i].broker_epoch : ANY_EPOCH;
	}
	change->isr = (struct ot_ids){ ids, count };
	change->epochs = epochs;
	return true;
}

static void
answer(struct isr_change *change, struct ot_alter_partition_response_partition *result)
{
	const struct ot_topic_image *topic = operation_topic(change->operation, &change->topic->id);
	const struct ot_partition_image *partition =
	    ot_topic_partition(topic, change->wanted->partition_index);
	struct ot_ids isr = ot_partition_isr(partition);

	result->isr = operation_array(change->operation, (size_t)isr.count, sizeof(*result->isr));
	for (int32_t i = 0; result->isr != NULL && i < isr.count; i++)
		result->isr[i] = isr.items[i];
	result->isr_count = isr.count;
	result->leader_id = partition->leader;
	result->leader_epoch = partition->leader_epoch;
	result->leader_recovery_state = (int8_t)partition->recovery_state;
	result->partition_epoch = partition->partition_epoch;
}

static ot_err
alter_partition(struct isr_change *change, struct ot_alter_partition_response_partition *result)
{
	const struct ot_topic_image *topic = operation_topic(change->operation, &change->topic->id);
	const struct ot_partition_image *partition =
	    ot_topic_partition(topic, change->wanted->partition_index);
	struct partition_change partition_change;
	struct ot_partition_change_record record;
	ot_err err;

	if (!take_isr(change))
		return OT_ERR_NO_MEMORY;
	err = check(change, partition);
	if (err != OT_OK)
		return err;
	partition_change_begin(change->changer, topic, partition, &partition_change);
	partition_change.isr = change->isr;
	partition_change.recovery_state = change->wanted->leader_recovery_state;
	if (partition_change_make(change->changer, &partition_change, &record)) {
		operation_add(change->operation, &ot_partition_change_record_msg, &record);
		/* The change completed a reassignment that ends with another leader: it holds, but
		 * the old one must not go on. */
		if (record.leader != LEADER_STAYS && record.leader != change->leader_id)
			return change->version >= VERSION_WITH_IDS ? OT_ERR_NEW_LEADER_ELECTED
			                                           : OT_ERR_FENCED_LEADER_EPOCH;
	}
	answer(change, result);
	return OT_OK;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool
name_topic(struct ot_arena *arena, const struct ot_alter_partition_request_topic *wanted,
    struct ot_alter_partition_response_topic *result)
{
	int32_t count = OT_MAX(wanted->partitions_count, 0);

	result->topic_name = wanted->topic_name;
	result->topic_id = wanted->topic_id;
	result->partitions = ot_alter_partition_response_partition_array(arena, count);
	if (result->partitions == NULL)
		return false;
	result->partitions_count = count;
	for (int32_t i = 0; i < count; i++)
		result->partitions[i].partition_index = wanted->partitions[i].partition_index;
	return true;
}

static void
alter_topic(struct isr_change *change, const struct ot_alter_partition_request_topic *wanted,
    struct ot_alter_partition_response_topic *result)
{
	const struct ot_image *image = change->operation->controller->head;
	bool has_id = change->version >= VERSION_WITH_IDS;

	change->topic = has_id ? ot_image_topic_by_id(image, &wanted->topic_id)
	                       : ot_image_topic(image, wanted->topic_name);
	for (int32_t i = 0; i < result->partitions_count; i++) {
		ot_err err = has_id ? OT_ERR_UNKNOWN_TOPIC_ID : OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;

		change->wanted = &wanted->partitions[i];
		if (change->topic != NULL)
			err = alter_partition(change, &result->partitions[i]);
		result->partitions[i].error_code = ot_err_to_wire(err);
	}
}

static void
alter_topics(struct isr_change *change, const struct ot_alter_partition_request *request,
    struct ot_alter_partition_response *response)
{
	struct operation *operation = change->operation;
	int32_t count = OT_MAX(request->topics_count, 0);

	response->topics = ot_alter_partition_response_topic_array(operation->arena, count);
	if (response->topics == NULL) {
		operation->is_failed = true;
		return;
	}
	response->topics_count = count;
	for (int32_t i = 0; i < count && !operation->is_failed; i++) {
		if (!name_topic(operation->arena, &request->topics[i], &response->topics[i])) {
			operation->is_failed = true;
			return;
		}
		alter_topic(change, &request->topics[i], &response->topics[i]);
	}
}

void
ot_controller_alter_partition(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_alter_partition_request *request, int16_t version,
    struct ot_alter_partition_response *ret_response)
{
	struct operation operation;
	struct partition_changer changer;
	struct isr_change change = { .operation = &operation,
		.changer = &changer,
		.version = version,
		.leader_id = request->broker_id };
	ot_err err;

	ot_alter_partition_response_init(ret_response);
	call->response = ret_response;
	call->fail = alter_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err =
	    cluster_check_broker_epoch(controller->head, request->broker_id, request->broker_epoch);
	if (err == OT_OK) {
		partition_changer_init(&changer, &operation, controller->head);
		alter_topics(&change, request, ret_response);
		partition_changer_fini(&changer);
	}
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
}
