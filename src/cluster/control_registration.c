/* Registration of brokers and controllers, and its end.
 *
 * A broker's epoch is the offset of its RegisterBrokerRecord. It registers fenced, and is unfenced
 * by the first heartbeat that shows that it has read that far. A new incarnation takes the place of
 * the old one, unless that one lives: two processes of one id would be two leaders. What the old
 * one led and had in sync goes to others first, as if it had left: it did.
 *
 * A lone broker, beside which nobody is active, goes on leading what it alone has in sync: nothing
 * else happened there meanwhile, and each restart of a single broker would cost two records for
 * each partition. If it did not stop cleanly, the leader epoch goes up, since records that were not
 * synced may be gone, and consumers find out by the epoch (KIP-320). This is the one case in which
 * a fenced broker leads; as soon as another one is unfenced, a better leader is looked for.
 */

#include "cluster/controller.h"

#include <string.h>

#include "base/panic.h"
#include "base/report.h"
#include "cluster/brokers_int.h"
#include "cluster/sessions_int.h"
#include "cluster/sweep_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_broker_registration.h"
#include "wire/msg_controller_registration.h"
#include "wire/msg_metadata_log.h"
#include "wire/msg_unregister_broker.h"

/* ---- registration of brokers ----------------------------------------------------------------- */

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

/* Whether somebody who registers supports what is finalized. */
struct feature_check {
	const char *who;
	struct ot_feature_range *ranges;
	int32_t count;
	struct ot_why *why;
	ot_err err;
};

static bool
check_feature(void *arg, struct ot_str name, int16_t level)
{
	struct feature_check *check = arg;
	int16_t min = 0, max = 0;

	for (int32_t i = 0; i < check->count; i++) {
		if (!ot_str_equal(check->ranges[i].name, name))
			continue;
		min = check->ranges[i].min;
		max = check->ranges[i].max;
	}
	if (level >= min && level <= max)
		return true;
	ot_why_set(check->why,
	    "Unable to register because the %s does not support finalized version %d of %.*s. "
	    "The %s wants a version between %d and %d, inclusive.",
	    check->who, level, OT_STR_ARG(name), check->who, min, max);
	check->err = OT_ERR_UNSUPPORTED_VERSION;
	return false;
}

static bool
feature_check_init(struct feature_check *check, struct operation *operation, const char *who,
    int32_t count)
{
	*check = (struct feature_check){ .who = who, .count = OT_MAX(count, 0) };
	check->ranges = operation_array(operation, (size_t)check->count, sizeof(check->ranges[0]));
	return check->ranges != NULL;
}

static ot_err
check_broker_features(struct operation *operation,
    const struct ot_broker_registration_request *request, struct ot_why *why)
{
	struct feature_check check;

	if (!feature_check_init(&check, operation, "broker", request->features_count))
		return OT_ERR_NO_MEMORY;
	check.why = why;
	for (int32_t i = 0; i < check.count; i++)
		check.ranges[i] = (struct ot_feature_range){ request->features[i].name,
			request->features[i].min_supported_version,
			request->features[i].max_supported_version };
	ot_image_visit_features(operation->controller->head, check_feature, &check);
	return check.err;
}

/* Another process of that id that has sent heartbeats lately. One that stops cleanly may be
 * replaced at once. */
static ot_err
check_incarnation(const struct ot_controller *controller,
    const struct ot_broker_registration_request *request, struct ot_why *why)
{
	const struct ot_broker_image *existing =
	    ot_image_broker(controller->head, request->broker_id);

	if (existing == NULL || existing->is_in_controlled_shutdown ||
	    ot_uuid_equal(&existing->incarnation, &request->incarnation_id) ||
	    !sessions_has_live(controller, existing))
		return OT_OK;
	ot_why_set(why,
	    "Another broker is registered with that broker id. If the broker was recently "
	    "restarted this should self-resolve once the heartbeat manager expires the broker's "
	    "session.");
	return OT_ERR_DUPLICATE_BROKER_REGISTRATION;
}

static ot_err
check_registration(struct operation *operation,
    const struct ot_broker_registration_request *request, struct ot_why *why)
{
	const struct ot_image *image = operation->controller->head;
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
	err = check_incarnation(operation->controller, request, why);
	if (err == OT_OK)
		err = check_directories(image, request, why);
	if (err == OT_OK)
		err = check_broker_features(operation, request, why);
	return err;
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
	sweep_broker_returns(operation, request->broker_id, !is_clean,
	    !brokers_have_other_active(operation->controller->head, request->broker_id));
	sessions_drop(operation->controller, request->broker_id);
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
	err = check_registration(&operation, request, &why);
	if (err == OT_OK)
		ret_response->broker_epoch = register_one(&operation, request);
	else
		OT_WARN("cluster", "broker %d was not registered: %s", request->broker_id,
		    why.text);
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
}

/* ---- registration of controllers (KIP-919) --------------------------------------------------- */

/* From this level of metadata.version on controllers register. */
enum { METADATA_3_7_IV0 = 15 };

static void
controller_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_controller_registration_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
}

static void
add_controller(struct operation *operation,
    const struct ot_controller_registration_request *request)
{
	int32_t endpoint_count = OT_MAX(request->listeners_count, 0);
	int32_t feature_count = OT_MAX(request->features_count, 0);
	struct ot_register_controller_record record;

	ot_register_controller_record_init(&record);
	record.end_points =
	    operation_array(operation, (size_t)endpoint_count, sizeof(record.end_points[0]));
	record.features =
	    operation_array(operation, (size_t)feature_count, sizeof(record.features[0]));
	for (int32_t i = 0; !operation->is_failed && i < endpoint_count; i++) {
		record.end_points[i].name = request->listeners[i].name;
		record.end_points[i].host = request->listeners[i].host;
		record.end_points[i].port = request->listeners[i].port;
		record.end_points[i].security_protocol = request->listeners[i].security_protocol;
	}
	for (int32_t i = 0; !operation->is_failed && i < feature_count; i++) {
		record.features[i].name = request->features[i].name;
		record.features[i].min_supported_version =
		    request->features[i].min_supported_version;
		record.features[i].max_supported_version =
		    request->features[i].max_supported_version;
	}
	if (operation->is_failed)
		return;
	record.end_points_count = endpoint_count;
	record.features_count = feature_count;
	record.controller_id = request->controller_id;
	record.incarnation_id = request->incarnation_id;
	record.zk_migration_ready = request->zk_migration_ready;
	operation_add(operation, &ot_register_controller_record_msg, &record);
}

static ot_err
check_controller(struct operation *operation,
    const struct ot_controller_registration_request *request, struct ot_why *why)
{
	struct feature_check check;

	if (operation->metadata_version < METADATA_3_7_IV0) {
		ot_why_set(why, "The current MetadataVersion is too old to support controller "
				"registrations.");
		return OT_ERR_UNSUPPORTED_VERSION;
	}
	if (request->controller_id < 0) {
		ot_why_set(why, "Invalid negative controller ID.");
		return OT_ERR_INVALID_REGISTRATION;
	}
	if (!feature_check_init(&check, operation, "controller", request->features_count))
		return OT_ERR_NO_MEMORY;
	check.why = why;
	for (int32_t i = 0; i < check.count; i++)
		check.ranges[i] = (struct ot_feature_range){ request->features[i].name,
			request->features[i].min_supported_version,
			request->features[i].max_supported_version };
	ot_image_visit_features(operation->controller->head, check_feature, &check);
	return check.err;
}

void
ot_controller_register_controller(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_controller_registration_request *request,
    struct ot_controller_registration_response *ret_response)
{
	struct operation operation;
	struct ot_why why = { { 0 } };
	ot_err err;

	ot_controller_registration_response_init(ret_response);
	call->response = ret_response;
	call->fail = controller_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err = check_controller(&operation, request, &why);
	if (err == OT_OK)
		add_controller(&operation, request);
	ret_response->error_code = ot_err_to_wire(err);
	ret_response->error_message = operation_error_text(operation.arena, err, &why);
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
		sessions_drop(controller, broker->id);
		/* Whoever registers under that id later may have nothing of it: as if unclean. */
		sweep_broker_leaves(&operation, record.broker_id, true);
		operation_add(&operation, &ot_unregister_broker_record_msg, &record);
	}
	ret_response->error_code = ot_err_to_wire(err);
	ret_response->error_message = operation_error_text(operation.arena, err, &why);
	operation_end(&operation, false);
}
