/* Registration, heartbeats and the end of brokers, and what they do to leaders.
 *
 * A broker's epoch is the offset of its RegisterBrokerRecord. It registers fenced, and is unfenced
 * by the first heartbeat that shows that it has read that far. When it leaves, each partition that
 * it leads goes to the first of its replicas that is active and in sync, and to nobody when there
 * is none; it leaves each ISR that does not end with it.
 *
 * Where nobody else could lead, a broker that comes back goes on leading what it led: nothing else
 * happened there meanwhile. If it did not stop cleanly, the leader epoch goes up, since records
 * that were not synced may be gone, and consumers find out by the epoch (KIP-320).
 */

#include "cluster/controller.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "base/report.h"
#include "cluster/feature_levels.h"
#include "cluster/topics_int.h"
#include "wire/msg_broker_heartbeat.h"
#include "wire/msg_broker_registration.h"
#include "wire/msg_metadata_log.h"
#include "wire/msg_unregister_broker.h"

/* ---- partitions of a broker ------------------------------------------------------------------ */

enum reason {
	BROKER_LEAVES,     /* fenced, unregistered, or stopping */
	BROKER_BACK_CLEAN, /* a new incarnation of a broker that had stopped cleanly */
	BROKER_BACK_UNCLEAN,
	BROKER_UNFENCED,
};

struct sweep {
	struct operation *operation;
	const struct ot_image *image; /* of before the operation */
	enum reason reason;
	int32_t broker_id;
};

/* The first replica that is active and in sync and not the broker; OT_NO_LEADER without one. */
static int32_t
successor(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	struct ot_ids replicas = ot_partition_replicas(partition);

	for (int32_t i = 0; i < replicas.count; i++) {
		int32_t id = replicas.items[i];

		if (id != sweep->broker_id && ot_ids_have(ot_partition_isr(partition), id) &&
		    cluster_broker_is_active(sweep->image, id))
			return id;
	}
	return OT_NO_LEADER;
}

/* Removes the broker from the ISR, unless it is alone there. */
static void
leave_isr(const struct sweep *sweep, const struct ot_partition_image *partition,
    struct ot_partition_change_record *change)
{
	struct ot_ids isr = ot_partition_isr(partition);

	if (isr.count < 2 || !ot_ids_have(isr, sweep->broker_id))
		return;
	change->isr = operation_array(sweep->operation, (size_t)isr.count, sizeof(int32_t));
	if (change->isr == NULL)
		return;
	change->isr_count = 0;
	for (int32_t i = 0; i < isr.count; i++) {
		if (isr.items[i] != sweep->broker_id)
			change->isr[change->isr_count++] = isr.items[i];
	}
}

/* Fills what becomes of one partition; false when nothing does. */
static bool
sweep_change(const struct sweep *sweep, const struct ot_partition_image *partition,
    struct ot_partition_change_record *change)
{
	bool is_leader = partition->leader == sweep->broker_id;
	bool is_in_sync = ot_ids_have(ot_partition_isr(partition), sweep->broker_id);
	int32_t next;

	if (sweep->reason == BROKER_UNFENCED) {
		if (partition->leader != OT_NO_LEADER || !is_in_sync)
			return false;
		change->leader = sweep->broker_id;
		return true;
	}
	if (!is_leader && !is_in_sync)
		return false;
	next = successor(sweep, partition);
	if (is_leader && next == OT_NO_LEADER && sweep->reason != BROKER_LEAVES) {
		change->leader = sweep->broker_id;
		return sweep->reason == BROKER_BACK_UNCLEAN;
	}
	if (is_leader)
		change->leader = next;
	leave_isr(sweep, partition, change);
	return is_leader || change->isr_count >= 0;
}

static bool
sweep_topic(void *arg, const struct ot_topic_image *topic)
{
	struct sweep *sweep = arg;
	struct ot_partition_change_record change;

	for (int32_t i = 0; i < topic->partition_count; i++) {
		ot_partition_change_record_init(&change);
		change.partition_id = i;
		change.topic_id = topic->id;
		if (!sweep_change(sweep, ot_topic_partition(topic, i), &change))
			continue;
		operation_add(sweep->operation, &ot_partition_change_record_msg, &change);
		if (sweep->operation->records.count >= OPERATION_RECORDS_MAX)
			operation_split(sweep->operation);
	}
	return !sweep->operation->is_failed;
}

static void
sweep_partitions(struct operation *operation, int32_t broker_id, enum reason reason)
{
	struct sweep sweep = { .operation = operation, .reason = reason, .broker_id = broker_id };
	struct ot_image *image = ot_image_ref(operation->controller->head);

	sweep.image = image;
	ot_image_visit_topics(image, sweep_topic, &sweep);
	ot_image_unref(image);
}

static bool
visit_leader(void *arg, const struct ot_topic_image *topic)
{
	int32_t *id = arg;

	for (int32_t i = 0; i < topic->partition_count; i++) {
		if (ot_topic_partition(topic, i)->leader != *id)
			continue;
		*id = OT_NO_LEADER; /* seen */
		return false;
	}
	return true;
}

static bool
leads_something(const struct ot_image *image, int32_t id)
{
	int32_t seen = id;

	ot_image_visit_topics(image, visit_leader, &seen);
	return seen != id;
}

static bool
has_other_active(const struct ot_image *image, int32_t id)
{
	const struct ot_broker_image *broker;

	for (int32_t next = 0; (broker = ot_image_broker_from(image, next)) != NULL;
	     next = broker->id + 1) {
		if (broker->id != id && cluster_broker_is_active(image, broker->id))
			return true;
	}
	return false;
}

/* ---- registration --------------------------------------------------------------------------- */

static void
register_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_broker_registration_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
}

static bool
is_reserved(const struct ot_uuid *id)
{
	for (size_t i = 0; i + 1 < sizeof(id->bytes); i++) {
		if (id->bytes[i] != 0)
			return false;
	}
	return id->bytes[15] < 100;
}

/* The other broker that has registered a directory of that id; NULL when there is none. */
static const struct ot_broker_image *
other_owner(const struct ot_image *image, const struct ot_uuid *directory, int32_t broker_id)
{
	const struct ot_broker_image *broker;

	for (int32_t id = 0; (broker = ot_image_broker_from(image, id)) != NULL;
	     id = broker->id + 1) {
		for (int32_t i = 0; i < broker->log_dir_count && broker->id != broker_id; i++) {
			if (ot_uuid_equal(&broker->log_dirs[i], directory))
				return broker;
		}
	}
	return NULL;
}

static ot_err
check_directory(const struct ot_image *image, const struct ot_broker_registration_request *request,
    int32_t place, struct ot_why *why)
{
	const struct ot_uuid *directory = &request->log_dirs[place];
	const struct ot_broker_image *other;
	char text[OT_UUID_TEXT_BYTES];

	if (is_reserved(directory)) {
		ot_why_set(why, "Reserved directory ID in request");
		return OT_ERR_INVALID_REGISTRATION;
	}
	for (int32_t i = 0; i < place; i++) {
		if (!ot_uuid_equal(directory, &request->log_dirs[i]))
			continue;
		ot_why_set(why, "Duplicate directory ID in request");
		return OT_ERR_INVALID_REGISTRATION;
	}
	other = other_owner(image, directory, request->broker_id);
	if (other == NULL)
		return OT_OK;
	ot_uuid_to_text(directory, text);
	ot_why_set(why, "Broker %d is already registered with directory %s", other->id, text);
	return OT_ERR_INVALID_REGISTRATION;
}

static ot_err
check_directories(const struct ot_image *image,
    const struct ot_broker_registration_request *request, struct ot_why *why)
{
	ot_err err = OT_OK;

	if (request->log_dirs_count <= 0) {
		ot_why_set(why, "No directories specified in request");
		return OT_ERR_INVALID_REGISTRATION;
	}
	for (int32_t i = 0; err == OT_OK && i < request->log_dirs_count; i++)
		err = check_directory(image, request, i, why);
	return err;
}

struct feature_check {
	const struct ot_broker_registration_request *request;
	struct ot_why *why;
	ot_err err;
};

static bool
check_feature(void *arg, struct ot_str name, int16_t level)
{
	struct feature_check *check = arg;
	int16_t min = 0, max = 0;

	for (int32_t i = 0; i < check->request->features_count; i++) {
		if (!ot_str_equal(check->request->features[i].name, name))
			continue;
		min = check->request->features[i].min_supported_version;
		max = check->request->features[i].max_supported_version;
	}
	if (level >= min && level <= max)
		return true;
	ot_why_set(check->why,
	    "Unable to register because the broker does not support finalized version %d of "
	    "%.*s. The broker wants a version between %d and %d, inclusive.",
	    level, OT_STR_ARG(name), min, max);
	check->err = OT_ERR_UNSUPPORTED_VERSION;
	return false;
}

static ot_err
check_registration(const struct ot_image *image,
    const struct ot_broker_registration_request *request, struct ot_why *why)
{
	struct feature_check check = { .request = request, .why = why };
	const char *cluster_id = ot_image_cluster_id(image);
	ot_err err;

	if (!ot_str_is(request->cluster_id, cluster_id)) {
		ot_why_set(why, "Expected cluster ID %s, but got cluster ID %.*s", cluster_id,
		    OT_STR_ARG(request->cluster_id));
		return OT_ERR_INCONSISTENT_CLUSTER_ID;
	}
	if (request->broker_id < 0) {
		ot_why_set(why, "Invalid negative broker ID.");
		return OT_ERR_INVALID_REGISTRATION;
	}
	if (request->is_migrating_zk_broker) {
		ot_why_set(why, "Controller does not support registering ZK brokers.");
		return OT_ERR_BROKER_ID_NOT_REGISTERED;
	}
	err = check_directories(image, request, why);
	if (err == OT_OK)
		ot_image_visit_features(image, check_feature, &check);
	return err != OT_OK ? err : check.err;
}

/* The record of a registration. Its arrays are the arena's. */
static void
add_registration(struct operation *operation, const struct ot_broker_registration_request *request,
    const struct ot_broker_image *existing, int64_t epoch)
{
	size_t endpoint_count = (size_t)OT_MAX(request->listeners_count, 0);
	size_t feature_count = (size_t)OT_MAX(request->features_count, 0);
	struct ot_register_broker_record record;

	ot_register_broker_record_init(&record);
	record.end_points =
	    operation_array(operation, endpoint_count, sizeof(record.end_points[0]));
	record.features = operation_array(operation, feature_count, sizeof(record.features[0]));
	if (operation->is_failed)
		return;
	for (size_t i = 0; i < endpoint_count; i++) {
		record.end_points[i].name = request->listeners[i].name;
		record.end_points[i].host = request->listeners[i].host;
		record.end_points[i].port = request->listeners[i].port;
		record.end_points[i].security_protocol = request->listeners[i].security_protocol;
	}
	for (size_t i = 0; i < feature_count; i++) {
		record.features[i].name = request->features[i].name;
		record.features[i].min_supported_version =
		    request->features[i].min_supported_version;
		record.features[i].max_supported_version =
		    request->features[i].max_supported_version;
	}
	record.end_points_count = (int32_t)endpoint_count;
	record.features_count = (int32_t)feature_count;
	record.broker_id = request->broker_id;
	record.incarnation_id = request->incarnation_id;
	record.rack = request->rack;
	record.log_dirs = request->log_dirs;
	record.log_dirs_count = request->log_dirs_count;
	record.broker_epoch = epoch;
	record.fenced = existing == NULL || existing->is_fenced;
	record.in_controlled_shutdown = existing != NULL && existing->is_in_controlled_shutdown;
	operation_add(operation, &ot_register_broker_record_msg, &record);
}

/* Registers it; a new incarnation gets a new epoch and takes the place of the old one. */
static int64_t
register_one(struct operation *operation, const struct ot_broker_registration_request *request)
{
	const struct ot_broker_image *existing =
	    ot_image_broker(operation->controller->head, request->broker_id);
	bool is_clean;
	int64_t epoch;

	if (existing != NULL && ot_uuid_equal(&existing->incarnation, &request->incarnation_id)) {
		epoch = existing->epoch;
		add_registration(operation, request, existing, epoch);
		return epoch;
	}
	is_clean = existing != NULL && existing->epoch == request->previous_broker_epoch;
	/* The registration comes last: should these records be torn apart, the broker registers
	 * again and the rest follows. */
	sweep_partitions(operation, request->broker_id,
	    is_clean ? BROKER_BACK_CLEAN : BROKER_BACK_UNCLEAN);
	epoch = operation->controller->next_offset + operation->records.count;
	add_registration(operation, request, NULL, epoch);
	return epoch;
}

void
ot_controller_register_broker(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_broker_registration_request *request,
    struct ot_broker_registration_response *ret_response)
{
	struct operation operation;
	struct ot_why why = { { 0 } };
	ot_err err;

	ot_broker_registration_response_init(ret_response);
	call->response = ret_response;
	call->fail = register_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err = check_registration(controller->head, request, &why);
	if (err == OT_OK)
		ret_response->broker_epoch = register_one(&operation, request);
	else
		OT_WARN("cluster", "broker %d was not registered: %s", request->broker_id,
		    why.text);
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
}

/* ---- heartbeats ----------------------------------------------------------------------------- */

static void
heartbeat_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_broker_heartbeat_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
}

ot_err
cluster_check_broker_epoch(const struct ot_image *image, int32_t id, int64_t epoch)
{
	const struct ot_broker_image *broker = ot_image_broker(image, id);

	return broker != NULL && broker->epoch == epoch ? OT_OK : OT_ERR_STALE_BROKER_EPOCH;
}

enum { UNFENCE = -1, KEEP = 0, FENCE = 1 };

static void
add_change(struct operation *operation, const struct ot_broker_image *broker, int8_t fenced,
    int8_t in_controlled_shutdown)
{
	struct ot_broker_registration_change_record change;

	ot_broker_registration_change_record_init(&change);
	change.broker_id = broker->id;
	change.broker_epoch = broker->epoch;
	change.fenced = fenced;
	change.in_controlled_shutdown = in_controlled_shutdown;
	operation_add(operation, &ot_broker_registration_change_record_msg, &change);
}

static void
leave(struct operation *operation, const struct ot_broker_image *broker, int8_t fenced,
    int8_t in_controlled_shutdown)
{
	add_change(operation, broker, fenced, in_controlled_shutdown);
	sweep_partitions(operation, broker->id, BROKER_LEAVES);
}

/* A broker that wants to stop: first others take over what it leads. The last one just goes. */
static void
shut_down(struct operation *operation, const struct ot_broker_image *broker,
    struct ot_broker_heartbeat_response *response)
{
	const struct ot_image *image = operation->controller->head;

	if (broker->is_fenced || !has_other_active(image, broker->id)) {
		response->should_shut_down = true;
		return;
	}
	if (!leads_something(image, broker->id)) {
		if (!broker->is_in_controlled_shutdown)
			leave(operation, broker, FENCE, 0);
		response->should_shut_down = true;
		return;
	}
	if (!broker->is_in_controlled_shutdown)
		leave(operation, broker, KEEP, 1);
}

static void
beat(struct operation *operation, const struct ot_broker_heartbeat_request *request,
    struct ot_broker_heartbeat_response *response)
{
	const struct ot_broker_image *broker =
	    ot_image_broker(operation->controller->head, request->broker_id);

	response->is_caught_up = request->current_metadata_offset >= broker->epoch;
	response->is_fenced = broker->is_fenced;
	if (request->want_shut_down) {
		shut_down(operation, broker, response);
	} else if (broker->is_fenced && !request->want_fence && response->is_caught_up) {
		add_change(operation, broker, UNFENCE, 0);
		sweep_partitions(operation, broker->id, BROKER_UNFENCED);
		response->is_fenced = false;
	} else if (!broker->is_fenced && request->want_fence) {
		leave(operation, broker, FENCE, 0);
		response->is_fenced = true;
	}
}

void
ot_controller_heartbeat(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_broker_heartbeat_request *request,
    struct ot_broker_heartbeat_response *ret_response)
{
	struct operation operation;
	ot_err err;

	ot_broker_heartbeat_response_init(ret_response);
	call->response = ret_response;
	call->fail = heartbeat_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err =
	    cluster_check_broker_epoch(controller->head, request->broker_id, request->broker_epoch);
	if (err == OT_OK)
		beat(&operation, request, ret_response);
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
}

/* ---- the end of a broker -------------------------------------------------------------------- */

static void
unregister_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_unregister_broker_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
}

void
ot_controller_unregister_broker(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_unregister_broker_request *request,
    struct ot_unregister_broker_response *ret_response)
{
	struct ot_unregister_broker_record record;
	const struct ot_broker_image *broker;
	struct operation operation;
	struct ot_why why = { { 0 } };
	ot_err err = OT_OK;

	ot_unregister_broker_response_init(ret_response);
	call->response = ret_response;
	call->fail = unregister_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	broker = ot_image_broker(controller->head, request->broker_id);
	if (broker == NULL) {
		err = OT_ERR_BROKER_ID_NOT_REGISTERED;
		ot_why_set(&why, "Broker ID %d is not currently registered", request->broker_id);
	} else {
		ot_unregister_broker_record_init(&record);
		record.broker_id = broker->id;
		record.broker_epoch = broker->epoch;
		sweep_partitions(&operation, broker->id, BROKER_LEAVES);
		operation_add(&operation, &ot_unregister_broker_record_msg, &record);
	}
	ret_response->error_code = ot_err_to_wire(err);
	ret_response->error_message = operation_error_text(operation.arena, err, &why);
	operation_end(&operation, false);
}
