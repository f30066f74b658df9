/* What concerns the cluster as a whole: blocks of producer ids, levels of features. */

#include "cluster/controller.h"

#include <stdio.h>

#include "base/panic.h"
#include "cluster/feature_levels.h"
#include "cluster/image_int.h"
#include "cluster/sweep_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_allocate_producer_ids.h"
#include "wire/msg_metadata_log.h"
#include "wire/msg_update_features.h"

/* ---- producer ids (KIP-730) ----------------------------------------------------------------- */

enum { PRODUCER_IDS_PER_BLOCK = 1000 };

static void
allocate_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_allocate_producer_ids_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
}

static ot_err
allocate(struct operation *operation, const struct ot_allocate_producer_ids_request *request,
    struct ot_allocate_producer_ids_response *response)
{
	const struct ot_image *image = operation->controller->head;
	int64_t first = ot_image_producer_id_next(image);
	ot_err err = cluster_check_broker_epoch(image, request->broker_id, request->broker_epoch);
	struct ot_producer_ids_record record;

	if (err != OT_OK)
		return err;
	if (first > INT64_MAX - PRODUCER_IDS_PER_BLOCK)
		return OT_ERR_UNKNOWN_SERVER_ERROR; /* all are used up */
	ot_producer_ids_record_init(&record);
	record.broker_id = request->broker_id;
	record.broker_epoch = request->broker_epoch;
	record.next_producer_id = first + PRODUCER_IDS_PER_BLOCK;
	operation_add(operation, &ot_producer_ids_record_msg, &record);
	response->producer_id_start = first;
	response->producer_id_len = PRODUCER_IDS_PER_BLOCK;
	return OT_OK;
}

void
ot_controller_allocate_producer_ids(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_allocate_producer_ids_request *request,
    struct ot_allocate_producer_ids_response *ret_response)
{
	struct operation operation;

	ot_allocate_producer_ids_response_init(ret_response);
	call->response = ret_response;
	call->fail = allocate_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	ret_response->error_code = ot_err_to_wire(allocate(&operation, request, ret_response));
	operation_end(&operation, false);
}

/* ---- features (KIP-584, KIP-778) ------------------------------------------------------------ */

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

/* The level of metadata.version that has records for eligible leader replicas. */
enum { ELR_METADATA_VERSION = 23 };

#define LEAST_ISR "min.insync.replicas"

struct update {
	struct ot_str feature;
	int16_t level;
	int8_t type; /* of the three above, or what a peer made up */
};

static void
features_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_update_features_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
	response->error_message = operation_error_text(NULL, err, NULL);
	for (int32_t i = 0; i < response->results_count; i++) {
		response->results[i].error_code = ot_err_to_wire(err);
		response->results[i].error_message = operation_error_text(NULL, err, NULL);
	}
}

static void
put_range(struct ot_text *text, const char *who, int32_t id, int16_t min, int16_t max)
{
	if (max == 0)
		ot_text_put(text, "%s %d does not support this feature.", who, id);
	else if (min == max)
		ot_text_put(text, "%s %d only supports versions %d", who, id, min);
	else
		ot_text_put(text, "%s %d only supports versions %d-%d", who, id, min, max);
}

/* A controller, while it is looked for one that does not know a level. */
struct unable {
	const struct ot_controller *controller;
	const struct update *update;
	struct ot_text *text;
	bool is_found;
};

static bool
visit_controller(void *arg, struct ot_bytes framed)
{
	struct unable *unable = arg;
	const struct ot_register_controller_record *other;
	struct ot_typed_record record;
	struct ot_arena arena;
	int16_t min = 0, max = 0;

	ot_arena_init(&arena, 0);
	if (ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record) != OT_OK)
		OT_PANIC("a record in the image cannot be read");
	other = record.msg;
	for (int32_t i = 0; i < other->features_count; i++) {
		if (!ot_str_equal(other->features[i].name, unable->update->feature))
			continue;
		min = other->features[i].min_supported_version;
		max = other->features[i].max_supported_version;
	}
	/* What this one supports is known better than by its registration. */
	if (other->controller_id != unable->controller->node_id &&
	    (unable->update->level < min || unable->update->level > max)) {
		put_range(unable->text, "Controller", other->controller_id, min, max);
		unable->is_found = true;
	}
	ot_arena_fini(&arena);
	return !unable->is_found;
}

static bool
find_unable_controller(const struct ot_controller *controller, const struct update *update,
    struct ot_text *text)
{
	struct unable unable = { .controller = controller, .update = update, .text = text };

	ot_image_visit_kept_records(controller->head, OT_REGISTER_CONTROLLER_RECORD_TYPE,
	    visit_controller, &unable);
	return unable.is_found;
}

/* Who does not know that level: a controller, or a broker. False when all do. */
static bool
find_unable(const struct ot_controller *controller, const struct update *update,
    struct ot_text *text)
{
	const struct ot_feature *own = ot_feature_find(update->feature);
	const struct ot_broker_image *broker;

	if (own == NULL || update->level < own->min || update->level > own->max) {
		put_range(text, "Local controller", controller->node_id, own == NULL ? 0 : own->min,
		    own == NULL ? 0 : own->max);
		return true;
	}
	for (int32_t id = 0; (broker = ot_image_broker_from(controller->head, id)) != NULL;
	     id = broker->id + 1) {
		int16_t min = 0, max = 0;

		for (int32_t i = 0; i < broker->feature_count; i++) {
			if (!ot_str_equal(broker->features[i].name, update->feature))
				continue;
			min = broker->features[i].min;
			max = broker->features[i].max;
		}
		if (update->level >= min && update->level <= max)
			continue;
		put_range(text, "Broker", broker->id, min, max);
		return true;
	}
	return find_unable_controller(controller, update, text);
}

/* Levels of metadata.version that changed what records there are; going below one loses some. */
static bool
may_lose_records(int16_t from, int16_t to)
{
	static const int16_t changes[] = { 8, 11, 13, 14, 15, 17, 23, 30 };

	for (size_t i = 0; i < OT_ARRAY_COUNT(changes); i++) {
		if (to < changes[i] && changes[i] <= from)
			return true;
	}
	return false;
}

static ot_err
check_metadata_version(const struct update *update, int16_t current, struct ot_why *why)
{
	if (!may_lose_records(current, update->level))
		return OT_OK;
	ot_why_set(why, "Invalid metadata.version %d. %s", update->level,
	    update->type == UNSAFE_DOWNGRADE
		? "Unsafe metadata downgrade is not supported in this version."
		: "Refusing to perform the requested downgrade because it might delete "
		  "metadata information.");
	return OT_ERR_INVALID_UPDATE_VERSION;
}

/* Eligible leader replicas need records that older logs do not have. `metadata_version` is the
 * level that holds with the whole request. */
static ot_err
check_eligible_replicas(const struct update *update, int16_t metadata_version, struct ot_why *why)
{
	if (update->level == 0 || metadata_version >= ELR_METADATA_VERSION)
		return OT_OK;
	ot_why_set(why,
	    OT_ELR_VERSION " could not be set to %d because it depends on " OT_METADATA_VERSION
			   " level %d",
	    update->level, ELR_METADATA_VERSION);
	return OT_ERR_INVALID_UPDATE_VERSION;
}

static ot_err
update_check(const struct ot_controller *controller, const struct update *update,
    int16_t metadata_version, struct ot_why *why)
{
	int16_t current = ot_image_feature(controller->head, update->feature);
	char room[200] = "";
	struct ot_text reason = OT_TEXT(room);

	if (update->type < UPGRADE || update->type > UNSAFE_DOWNGRADE)
		ot_text_put(&reason, "The controller does not support the given upgrade type.");
	else if (update->level < 0)
		ot_text_put(&reason, "A feature version cannot be less than 0.");
	else if (find_unable(controller, update, &reason))
		;
	else if (update->level < current && update->type == UPGRADE)
		ot_text_put(&reason,
		    "Can't downgrade the version of this feature without setting the upgrade "
		    "type to either safe or unsafe downgrade.");
	else if (update->level > current && update->type != UPGRADE)
		ot_text_put(&reason, "Can't downgrade to a newer version.");
	else if (ot_str_is(update->feature, OT_METADATA_VERSION))
		return check_metadata_version(update, current, why);
	else if (ot_str_is(update->feature, OT_ELR_VERSION))
		return check_eligible_replicas(update, metadata_version, why);
	else
		return OT_OK;
	ot_why_set(why, "Invalid update version %d for feature %.*s. %s", update->level,
	    OT_STR_ARG(update->feature), room);
	return OT_ERR_INVALID_UPDATE_VERSION;
}

static struct update
update_of(const struct ot_update_features_request_feature_update *wanted, int16_t version)
{
	struct update update = { .feature = wanted->feature, .level = wanted->max_version_level };

	if (version == 0)
		update.type = wanted->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
	else
		update.type = wanted->upgrade_type;
	return update;
}

/* ---- eligible leader replicas (KIP-966) ----------------------------------------------------- */

static void
add_setting(struct operation *operation, struct ot_str broker, struct ot_str value)
{
	struct ot_config_record record;

	ot_config_record_init(&record);
	record.resource_type = OT_RESOURCE_BROKER;
	record.resource_name = broker;
	record.name = OT_STR_LIT(LEAST_ISR);
	record.value = value;
	operation_add(operation, &ot_config_record_msg, &record);
}

struct least_isr {
	struct operation *operation;
	bool is_set; /* for the cluster */
};

static bool
visit_least_isr(void *arg, const struct ot_config_image *config)
{
	struct least_isr *least = arg;

	for (int32_t i = 0; i < config->pair_count; i++) {
		if (!ot_str_is(config->pairs[i].name, LEAST_ISR))
			continue;
		if (config->name.len == 0)
			least->is_set = true;
		else
			add_setting(least->operation, config->name, OT_STR_NULL);
	}
	return true;
}

void
cluster_fix_least_isr(struct operation *operation)
{
	struct least_isr least = { .operation = operation };
	struct ot_image *image = operation->controller->head;
	char text[16];

	ot_image_visit_configs(image, OT_RESOURCE_BROKER, visit_least_isr, &least);
	if (least.is_set)
		return;
	(void)snprintf(text, sizeof(text), "%d",
	    ot_settings_int(image->settings_static, OT_BROKER_MIN_INSYNC_REPLICAS));
	add_setting(operation, OT_STR_LIT(""), ot_str_from(text));
}

/* ---- UpdateFeatures -------------------------------------------------------------------------- */

/* The level of metadata.version with the request's updates. */
static int16_t
metadata_version_wanted(const struct operation *operation,
    const struct ot_update_features_request *request)
{
	int16_t level = operation->metadata_version;

	for (int32_t i = 0; i < request->feature_updates_count; i++) {
		if (ot_str_is(request->feature_updates[i].feature, OT_METADATA_VERSION))
			level = request->feature_updates[i].max_version_level;
	}
	return level;
}

/* All of them or none. */
static ot_err
update_all(struct operation *operation, const struct ot_update_features_request *request,
    int16_t version, struct ot_why *ret_why)
{
	for (int32_t i = 0; i < request->feature_updates_count; i++) {
		struct update update = update_of(&request->feature_updates[i], version);
		struct ot_feature_level_record record;
		struct ot_why why = { { 0 } };
		ot_err err = update_check(operation->controller, &update,
		    metadata_version_wanted(operation, request), &why);

		if (err != OT_OK) {
			ot_why_set(ret_why,
			    "The update failed for all features since the following feature "
			    "had an error: %s",
			    why.text);
			return err;
		}
		if (ot_str_is(update.feature, OT_ELR_VERSION) && update.level > 0)
			cluster_fix_least_isr(operation);
		ot_feature_level_record_init(&record);
		record.name = update.feature;
		record.feature_level = update.level;
		operation_add(operation, &ot_feature_level_record_msg, &record);
	}
	return OT_OK;
}

void
ot_controller_update_features(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_update_features_request *request, int16_t version,
    struct ot_update_features_response *ret_response)
{
	int32_t count = version < 2 ? OT_MAX(request->feature_updates_count, 0) : 0;
	struct operation operation;
	struct ot_why why = { { 0 } };
	ot_err err;

	ot_update_features_response_init(ret_response);
	call->response = ret_response;
	call->fail = features_fail;
	ret_response->results = ot_update_features_response_result_array(call->arena, count);
	if (ret_response->results == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->results_count = count;
	for (int32_t i = 0; i < count; i++)
		ret_response->results[i].feature = request->feature_updates[i].feature;
	if (!operation_begin(&operation, controller, call))
		return;
	err = update_all(&operation, request, version, &why);
	ret_response->error_code = ot_err_to_wire(err);
	ret_response->error_message = operation_error_text(operation.arena, err, &why);
	for (int32_t i = 0; i < count; i++) {
		ret_response->results[i].error_code = ret_response->error_code;
		ret_response->results[i].error_message = ret_response->error_message;
	}
	/* Without the feature its lists go, and whoever could lead is in sync again. */
	if (err == OT_OK && !request->validate_only && operation.records.count > 0)
		sweep_eligible_replicas(&operation);
	operation_end(&operation, err != OT_OK || request->validate_only);
}
