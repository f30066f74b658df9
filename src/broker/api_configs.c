/* DescribeConfigs (key 32), AlterConfigs (33), IncrementalAlterConfigs (44). Describing reads the
 * shard's image; altering is the controller's work. */
#include "broker/broker_int.h"

#include <stdio.h>
#include <string.h>

#include "config/describe.h"
#include "wire/msg_alter_configs.h"
#include "wire/msg_describe_configs.h"
#include "wire/msg_incremental_alter_configs.h"

/* ---- describing ---------------------------------------------------------------------------- */

struct describe_op {
	struct broker_shard *self;
	struct ot_request *request;
	const struct ot_describe_configs_request *body;
};

static ot_err
fill_synonyms(struct describe_op *op, const struct ot_config_entry *entry,
    struct ot_describe_configs_response_config *answer)
{
	if (!op->body->include_synonyms)
		return OT_OK;
	answer->synonyms = ot_describe_configs_response_synonym_array(&op->request->arena,
	    (int32_t)entry->synonym_count);
	if (answer->synonyms == NULL)
		return OT_ERR_NO_MEMORY;
	answer->synonyms_count = (int32_t)entry->synonym_count;
	for (size_t i = 0; i < entry->synonym_count; i++) {
		answer->synonyms[i].name = entry->synonyms[i].name;
		answer->synonyms[i].value = entry->synonyms[i].value;
		answer->synonyms[i].source = (int8_t)entry->synonyms[i].source;
	}
	return OT_OK;
}

static ot_err
fill_entries(struct describe_op *op, const struct ot_config_entry *entries, size_t count,
    struct ot_describe_configs_response_result *result)
{
	result->configs =
	    ot_describe_configs_response_config_array(&op->request->arena, (int32_t)count);
	if (result->configs == NULL)
		return OT_ERR_NO_MEMORY;
	result->configs_count = (int32_t)count;
	ot_err err = OT_OK;
	for (size_t i = 0; err == OT_OK && i < count; i++) {
		const struct ot_config_entry *entry = &entries[i];
		struct ot_describe_configs_response_config *answer = &result->configs[i];
		answer->name = entry->name;
		answer->value = entry->value;
		answer->read_only = entry->is_read_only;
		answer->is_default = entry->is_default;
		answer->config_source = (int8_t)entry->source;
		answer->is_sensitive = entry->is_sensitive;
		answer->config_type = (int8_t)entry->type;
		answer->documentation = op->body->include_documentation
		                            ? ot_str_from(entry->documentation)
		                            : OT_STR_NULL;
		err = fill_synonyms(op, entry, answer);
	}
	return err;
}

static void
refuse(struct describe_op *op, struct ot_describe_configs_response_result *result, ot_err err,
    const char *why)
{
	result->error_code = ot_err_to_wire(err);
	result->error_message = broker_text(op->request, why);
}

static ot_err
describe_topic(struct describe_op *op, const struct ot_describe_configs_request_resource *resource,
    struct ot_describe_configs_response_result *result)
{
	struct ot_why why = { "" };
	ot_err err = ot_topic_name_check(resource->resource_name, &why);
	if (err != OT_OK) {
		refuse(op, result, err, why.text);
		return OT_OK;
	}
	const struct ot_topic_image *topic =
	    ot_image_topic(op->self->image, resource->resource_name);
	if (topic == NULL) {
		refuse(op, result, OT_ERR_UNKNOWN_TOPIC_OR_PARTITION,
		    ot_err_message(OT_ERR_UNKNOWN_TOPIC_OR_PARTITION));
		return OT_OK;
	}
	struct ot_config_entry *entries = NULL;
	size_t count = 0;
	const struct ot_config_image *config = topic->config;
	err = ot_describe_topic(ot_image_settings(op->self->image),
	    config != NULL ? config->pairs : NULL, config != NULL ? (size_t)config->pair_count : 0,
	    resource->configuration_keys_count < 0 ? NULL : resource->configuration_keys,
	    (size_t)OT_MAX(resource->configuration_keys_count, 0), &op->request->arena, &entries,
	    &count);
	return err != OT_OK ? err : fill_entries(op, entries, count, result);
}

static ot_err
describe_broker(struct describe_op *op, const struct ot_describe_configs_request_resource *resource,
    struct ot_describe_configs_response_result *result)
{
	const struct ot_settings *settings = ot_image_settings(op->self->image);
	const struct ot_str *wanted =
	    resource->configuration_keys_count < 0 ? NULL : resource->configuration_keys;
	size_t wanted_count = (size_t)OT_MAX(resource->configuration_keys_count, 0);
	struct ot_config_entry *entries = NULL;
	size_t count = 0;
	char own[16];
	snprintf(own, sizeof(own), "%d", op->self->broker->node_id);
	ot_err err = OT_OK;
	if (resource->resource_name.len <= 0) {
		err = ot_describe_cluster_default(settings, wanted, wanted_count,
		    &op->request->arena, &entries, &count);
	} else if (ot_str_is(resource->resource_name, own)) {
		err = ot_describe_broker(settings, wanted, wanted_count, &op->request->arena,
		    &entries, &count);
	} else {
		char why[128];
		snprintf(why, sizeof(why),
		    "Unexpected broker id, expected %s or empty string, but received %.*s", own,
		    OT_STR_ARG(resource->resource_name));
		refuse(op, result, OT_ERR_INVALID_REQUEST, why);
		return OT_OK;
	}
	return err != OT_OK ? err : fill_entries(op, entries, count, result);
}

static ot_err
describe_one(struct describe_op *op, const struct ot_describe_configs_request_resource *resource,
    struct ot_describe_configs_response_result *result)
{
	result->resource_type = resource->resource_type;
	result->resource_name = resource->resource_name;
	switch (resource->resource_type) {
	case OT_RESOURCE_TOPIC:
		return describe_topic(op, resource, result);
	case OT_RESOURCE_BROKER:
		return describe_broker(op, resource, result);
	case OT_RESOURCE_BROKER_LOGGER:
	case OT_RESOURCE_CLIENT_METRICS:
	case OT_RESOURCE_GROUP:
		return OT_OK; /* nothing is set there */
	default:
		refuse(op, result, OT_ERR_INVALID_REQUEST, "Unsupported resource type");
		return OT_OK;
	}
}

void
broker_handle_describe_configs(struct broker_shard *self, struct ot_request *request)
{
	struct ot_describe_configs_request *body = broker_decode(request);
	if (body == NULL)
		return;
	struct describe_op op = { .self = self, .request = request, .body = body };
	struct ot_describe_configs_response response;
	ot_describe_configs_response_init(&response);
	response.results =
	    ot_describe_configs_response_result_array(&request->arena, body->resources_count);
	response.results_count = body->resources_count;
	ot_err err = response.results != NULL ? OT_OK : OT_ERR_NO_MEMORY;
	for (int32_t i = 0; err == OT_OK && i < body->resources_count; i++)
		err = describe_one(&op, &body->resources[i], &response.results[i]);
	if (err != OT_OK)
		ot_request_abort(request, "no memory for a DescribeConfigs response");
	else
		ot_request_answer(request, &ot_describe_configs_response_msg, &response);
}

/* ---- altering ------------------------------------------------------------------------------ */

static void
begin_alter(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_alter_configs(controller, &call->call, op->body, op->response);
}

static void
begin_incremental(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *op = OT_CONTAINER_OF(call, struct broker_forward, call);
	ot_controller_incremental_alter_configs(controller, &call->call, op->body, op->response);
}

void
broker_handle_alter_configs(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_alter);
}

void
broker_handle_incremental_alter_configs(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_incremental);
}
