/* AlterConfigs and IncrementalAlterConfigs.
 *
 * Kafka checks a change in two places, the broker that has the connection and the controller; here
 * both sets of rules are applied at once, in the order in which a client would meet them: a
 * resource that stands twice, keys that stand twice and missing values, the kind of resource, the
 * values as a whole, and at last whether the resource exists. Each resource stands or falls alone.
 */

#include "cluster/controller.h"

#include <stdlib.h>

#include "base/panic.h"
#include "cluster/feature_levels.h"
#include "cluster/sweep_int.h"
#include "cluster/topics_int.h"
#include "config/alter.h"
#include "wire/msg_alter_configs.h"
#include "wire/msg_incremental_alter_configs.h"
#include "wire/msg_metadata_log.h"

#define LEAST_ISR "min.insync.replicas"

/* One resource of either request. */
struct change {
	int8_t resource;
	struct ot_str name;
	bool is_incremental;
	bool is_duplicate;
	struct ot_config_change *changes; /* of the incremental one */
	struct ot_config_pair *wanted;    /* of the other */
	int32_t count;
	ot_err err;
	struct ot_str message;
};

/* ---- checks --------------------------------------------------------------------------------- */

/* A decimal number as Java's Integer.parseInt takes it; -1 and `false` for anything else. */
static bool
parse_id(struct ot_str text, int32_t *ret_id)
{
	int64_t number = 0;
	int32_t i = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+');

	if (i == text.len || text.len > 11)
		return false;
	for (; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (text.data[i] - '0');
	}
	if (text.data[0] == '-')
		number = -number;
	if (number > INT32_MAX || number < INT32_MIN)
		return false;
	*ret_id = (int32_t)number;
	return true;
}

/* What the name of a resource must be, whether it is there or not. */
static ot_err
check_name(const struct change *change, struct ot_why *why)
{
	int32_t id;

	if (change->resource == OT_RESOURCE_TOPIC) {
		if (change->name.len == 0) {
			ot_why_set(why, "Default topic resources are not allowed.");
			return OT_ERR_INVALID_REQUEST;
		}
		return ot_topic_name_check(change->name, why);
	}
	if (change->resource != OT_RESOURCE_BROKER) {
		ot_why_set(why, "Unknown resource type %d", change->resource);
		return OT_ERR_INVALID_REQUEST;
	}
	if (change->name.len == 0)
		return OT_OK;
	if (!parse_id(change->name, &id)) {
		ot_why_set(why, "Unable to parse broker name as a base 10 number.");
		return OT_ERR_INVALID_REQUEST;
	}
	if (id < 0) {
		ot_why_set(why, "Invalid negative broker ID.");
		return OT_ERR_INVALID_REQUEST;
	}
	return OT_OK;
}

static ot_err
check_existence(struct operation *operation, const struct change *change, struct ot_why *why)
{
	const struct ot_image *image = operation->controller->head;
	int32_t id;

	if (change->resource == OT_RESOURCE_TOPIC) {
		if (ot_image_topic(image, change->name) != NULL)
			return OT_OK;
		ot_why_set(why, "The topic '%.*s' does not exist.", OT_STR_ARG(change->name));
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	if (change->name.len == 0)
		return OT_OK;
	OT_ASSERT(parse_id(change->name, &id));
	if (ot_image_broker(image, id) != NULL || id == operation->controller->node_id)
		return OT_OK;
	ot_why_set(why, "No node with id %d found.", id);
	return OT_ERR_BROKER_ID_NOT_REGISTERED;
}

/* ---- one resource --------------------------------------------------------------------------- */

static enum ot_alter_target
target_of(const struct change *change)
{
	if (change->resource == OT_RESOURCE_TOPIC)
		return OT_ALTER_TOPIC;
	return change->name.len == 0 ? OT_ALTER_CLUSTER_DEFAULT : OT_ALTER_BROKER;
}

static ot_err
work_out(struct operation *operation, const struct change *change,
    struct ot_alter_result *ret_result, struct ot_why *why)
{
	const struct ot_image *image = operation->controller->head;
	const struct ot_config_image *config =
	    ot_image_config(image, (enum ot_config_resource)change->resource, change->name);
	const struct ot_config_pair *pairs = config == NULL ? NULL : config->pairs;
	size_t count = config == NULL ? 0 : (size_t)config->pair_count;

	if (change->is_incremental)
		return ot_alter_apply(target_of(change), ot_image_settings(image), pairs, count,
		    change->changes, (size_t)change->count, operation->arena, ret_result, why);
	return ot_alter_replace(target_of(change), ot_image_settings(image), pairs, count,
	    change->wanted, (size_t)change->count, operation->arena, ret_result, why);
}

/* While eligible leader replicas are kept, every process must know the least ISR: it is the
 * cluster's, in the log, and no broker has its own. */
static ot_err
check_least_isr(const struct change *change, const struct ot_alter_result *result,
    struct ot_why *why)
{
	for (size_t i = 0; i < result->record_count; i++) {
		if (change->resource != OT_RESOURCE_BROKER ||
		    !ot_str_is(result->records[i].name, LEAST_ISR))
			continue;
		if (change->name.len > 0)
			ot_why_set(why,
			    "Broker-level " LEAST_ISR " cannot be altered while ELR is enabled.");
		else if (result->records[i].value.len < 0)
			ot_why_set(why,
			    "Cluster-level " LEAST_ISR " cannot be removed while ELR is enabled.");
		else
			continue;
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

static bool
has_eligible_replicas(const struct operation *operation)
{
	return ot_image_feature(operation->controller->head, OT_STR_LIT(OT_ELR_VERSION)) > 0;
}

static ot_err
alter_one(struct operation *operation, const struct change *change, struct ot_why *why)
{
	struct ot_alter_result result;
	struct ot_config_record record;
	ot_err err;

	if (change->is_duplicate) {
		ot_why_set(why, "Each resource must appear at most once.");
		return OT_ERR_INVALID_REQUEST;
	}
	err = check_name(change, why);
	if (err == OT_OK)
		err = work_out(operation, change, &result, why);
	if (err == OT_OK)
		err = check_existence(operation, change, why);
	if (err == OT_OK && has_eligible_replicas(operation))
		err = check_least_isr(change, &result, why);
	if (err == OT_OK)
		err = cluster_check_room(operation, (int64_t)result.record_count, why);
	if (err != OT_OK)
		return err;
	for (size_t i = 0; i < result.record_count; i++) {
		if (result.records[i].value.len > INT16_MAX) {
			ot_why_set(why, CLUSTER_VALUE_TOO_LONG, INT16_MAX);
			return OT_ERR_INVALID_CONFIG;
		}
	}
	for (size_t i = 0; i < result.record_count; i++) {
		ot_config_record_init(&record);
		record.resource_type = change->resource;
		record.resource_name = change->name;
		record.name = result.records[i].name;
		record.value = result.records[i].value;
		operation_add(operation, &ot_config_record_msg, &record);
	}
	return OT_OK;
}

/* ---- all resources -------------------------------------------------------------------------- */

static int
compare_changes(const void *a, const void *b)
{
	const struct change *one = *(struct change *const *)a, *other = *(struct change *const *)b;

	if (one->resource != other->resource)
		return one->resource - other->resource;
	return ot_str_compare(one->name, other->name);
}

static bool
mark_duplicates(struct operation *operation, struct change *changes, int32_t count)
{
	struct change **order = operation_array(operation, (size_t)count, sizeof(struct change *));

	if (order == NULL)
		return false;
	for (int32_t i = 0; i < count; i++)
		order[i] = &changes[i];
	qsort(order, (size_t)count, sizeof(struct change *), compare_changes);
	for (int32_t i = 1; i < count; i++) {
		if (compare_changes(&order[i - 1], &order[i]) == 0)
			order[i - 1]->is_duplicate = order[i]->is_duplicate = true;
	}
	return true;
}

static void
alter_all(struct operation *operation, struct change *changes, int32_t count)
{
	struct ot_why why_many = { { 0 } };
	int64_t total = 0;
	ot_err too_many;

	if (!mark_duplicates(operation, changes, count))
		return;
	for (int32_t i = 0; i < count; i++)
		total += changes[i].count;
	/* Before anything is looked at: some of that takes time with the square of the number. */
	too_many = cluster_check_room(operation, total, &why_many);
	for (int32_t i = 0; i < count && !operation->is_failed; i++) {
		struct ot_why why = why_many;

		changes[i].err = too_many;
		if (too_many == OT_OK)
			changes[i].err = alter_one(operation, &changes[i], &why);
		if (changes[i].err == OT_ERR_NO_MEMORY)
			operation->is_failed = true;
		changes[i].message = operation_error_text(operation->arena, changes[i].err, &why);
	}
}

/* Ends an operation on settings. Where the least ISR has changed, lists of eligible leader replicas
 * may not be justified any more: with a smaller one records are committed that they do not have. */
static void
alter_end(struct operation *operation, bool is_dropped)
{
	if (!is_dropped && !operation->is_failed && operation->records.count > 0 &&
	    has_eligible_replicas(operation))
		sweep_eligible_replicas(operation);
	operation_end(operation, is_dropped);
}

/* ---- IncrementalAlterConfigs ---------------------------------------------------------------- */

static void
incremental_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_incremental_alter_configs_response *response = call->response;

	for (int32_t i = 0; i < response->responses_count; i++) {
		response->responses[i].error_code = ot_err_to_wire(err);
		response->responses[i].error_message = operation_error_text(NULL, err, NULL);
	}
}

static bool
take_incremental(struct ot_arena *arena,
    const struct ot_incremental_alter_configs_request_alter_configs_resource *resource,
    struct change *ret_change)
{
	int32_t count = OT_MAX(resource->configs_count, 0);

	*ret_change = (struct change){ .resource = resource->resource_type,
		.name = resource->resource_name,
		.is_incremental = true,
		.count = count };
	ret_change->changes = ot_arena_array(arena, (size_t)count, sizeof(ret_change->changes[0]));
	for (int32_t i = 0; ret_change->changes != NULL && i < count; i++)
		ret_change->changes[i] = (struct ot_config_change){
			.name = resource->configs[i].name,
			.value = resource->configs[i].value,
			.op = resource->configs[i].config_operation,
		};
	return ret_change->changes != NULL;
}

void
ot_controller_incremental_alter_configs(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_incremental_alter_configs_request *request,
    struct ot_incremental_alter_configs_response *ret_response)
{
	int32_t count = OT_MAX(request->resources_count, 0);
	struct change *changes = ot_arena_array(call->arena, (size_t)count, sizeof(*changes));
	struct operation operation;

	ot_incremental_alter_configs_response_init(ret_response);
	call->response = ret_response;
	call->fail = incremental_fail;
	ret_response->responses =
	    ot_incremental_alter_configs_response_resource_array(call->arena, count);
	if (changes == NULL || ret_response->responses == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->responses_count = count;
	for (int32_t i = 0; i < count; i++) {
		ret_response->responses[i].resource_type = request->resources[i].resource_type;
		ret_response->responses[i].resource_name = request->resources[i].resource_name;
		if (!take_incremental(call->arena, &request->resources[i], &changes[i])) {
			operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
			return;
		}
	}
	if (!operation_begin(&operation, controller, call))
		return;
	alter_all(&operation, changes, count);
	for (int32_t i = 0; i < count; i++) {
		ret_response->responses[i].error_code = ot_err_to_wire(changes[i].err);
		ret_response->responses[i].error_message = changes[i].message;
	}
	alter_end(&operation, request->validate_only);
}

/* ---- AlterConfigs --------------------------------------------------------------------------- */

static void
replace_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_alter_configs_response *response = call->response;

	for (int32_t i = 0; i < response->responses_count; i++) {
		response->responses[i].error_code = ot_err_to_wire(err);
		response->responses[i].error_message = operation_error_text(NULL, err, NULL);
	}
}

static bool
take_replacing(struct ot_arena *arena, const struct ot_alter_configs_request_resource *resource,
    struct change *ret_change)
{
	int32_t count = OT_MAX(resource->configs_count, 0);

	*ret_change = (struct change){ .resource = resource->resource_type,
		.name = resource->resource_name,
		.count = count };
	ret_change->wanted = ot_arena_array(arena, (size_t)count, sizeof(ret_change->wanted[0]));
	for (int32_t i = 0; ret_change->wanted != NULL && i < count; i++)
		ret_change->wanted[i] = (struct ot_config_pair){ resource->configs[i].name,
			resource->configs[i].value };
	return ret_change->wanted != NULL;
}

void
ot_controller_alter_configs(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_alter_configs_request *request, struct ot_alter_configs_response *ret_response)
{
	int32_t count = OT_MAX(request->resources_count, 0);
	struct change *changes = ot_arena_array(call->arena, (size_t)count, sizeof(*changes));
	struct operation operation;

	ot_alter_configs_response_init(ret_response);
	call->response = ret_response;
	call->fail = replace_fail;
	ret_response->responses = ot_alter_configs_response_resource_array(call->arena, count);
	if (changes == NULL || ret_response->responses == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->responses_count = count;
	for (int32_t i = 0; i < count; i++) {
		ret_response->responses[i].resource_type = request->resources[i].resource_type;
		ret_response->responses[i].resource_name = request->resources[i].resource_name;
		if (!take_replacing(call->arena, &request->resources[i], &changes[i])) {
			operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
			return;
		}
	}
	if (!operation_begin(&operation, controller, call))
		return;
	alter_all(&operation, changes, count);
	for (int32_t i = 0; i < count; i++) {
		ret_response->responses[i].error_code = ot_err_to_wire(changes[i].err);
		ret_response->responses[i].error_message = changes[i].message;
	}
	alter_end(&operation, request->validate_only);
}
