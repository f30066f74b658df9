/* CreateTopics and DeleteTopics.
 *
 * The order of checks is Kafka's: the number of partitions of the whole request, duplicate names,
 * the name itself, collisions, existence, settings, then partitions and replicas.
 */

#include "cluster/controller.h"

#include <string.h>

#include "base/map.h"
#include "base/panic.h"
#include "cluster/operation_int.h"
#include "cluster/topics_int.h"
#include "config/alter.h"
#include "config/describe.h"
#include "wire/msg_create_topics.h"
#include "wire/msg_delete_topics.h"
#include "wire/msg_metadata_log.h"

/* ---- creating: what a request says ---------------------------------------------------------- */

struct creation {
	struct operation *operation;
	const struct ot_create_topics_request_topic *topic;
	struct ot_create_topics_response_topic *result;
	int32_t partition_count;
	int32_t replica_count; /* of each partition */
	int32_t *replicas;     /* partition_count * replica_count */
	struct ot_config_pair *pairs;
	size_t pair_count;
	struct ot_why why;
};

static void
create_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_create_topics_response *response = call->response;

	for (int32_t i = 0; i < response->topics_count; i++) {
		struct ot_create_topics_response_topic *topic = &response->topics[i];
		struct ot_str name = topic->name;

		ot_create_topics_response_topic_init(topic);
		topic->name = name;
		topic->error_code = ot_err_to_wire(err);
		topic->error_message = operation_error_text(NULL, err, NULL);
	}
}

static ot_err
check_name(struct creation *creation)
{
	const struct ot_image *image = operation_image(creation->operation);
	struct ot_str name = creation->topic->name, other;
	ot_err err;

	if (ot_str_is(name, "__cluster_metadata")) {
		ot_why_set(&creation->why,
		    "Creation of internal topic __cluster_metadata is prohibited.");
		return OT_ERR_INVALID_REQUEST;
	}
	err = ot_topic_name_check(name, &creation->why);
	if (err != OT_OK)
		return err;
	if (ot_image_topic(image, name) != NULL) {
		ot_why_set(&creation->why, "Topic '%.*s' already exists.", OT_STR_ARG(name));
		return OT_ERR_TOPIC_ALREADY_EXISTS;
	}
	other = ot_image_topic_colliding(image, name);
	if (other.len < 0)
		return OT_OK;
	ot_why_set(&creation->why, "Topic '%.*s' collides with existing topic: %.*s",
	    OT_STR_ARG(name), OT_STR_ARG(other));
	return OT_ERR_INVALID_TOPIC_EXCEPTION;
}

static ot_err
check_nulls(struct creation *creation)
{
	const struct ot_create_topics_request_topic *topic = creation->topic;
	struct ot_text text = OT_TEXT(creation->why.text);
	bool has_null = false;

	for (int32_t i = 0; i < topic->configs_count; i++) {
		if (topic->configs[i].value.len >= 0)
			continue;
		ot_text_put(&text, "%s%.*s",
		    has_null ? "," : "Null value not supported for topic configs: ",
		    OT_STR_ARG(topic->configs[i].name));
		has_null = true;
	}
	return has_null ? OT_ERR_INVALID_CONFIG : OT_OK;
}

/* The last of equal keys counts, as in Kafka's map. Keys that do not exist end it at once, so that
 * few can be distinct. */
static ot_err
check_configs(struct creation *creation)
{
	const struct ot_create_topics_request_topic *topic = creation->topic;
	struct operation *operation = creation->operation;
	ot_err err = check_nulls(creation);

	if (err != OT_OK)
		return err;
	creation->pairs =
	    operation_array(operation, (size_t)topic->configs_count, sizeof(creation->pairs[0]));
	if (creation->pairs == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < topic->configs_count; i++) {
		struct ot_config_pair pair = { topic->configs[i].name, topic->configs[i].value };
		size_t place = 0;

		if (ot_config_find(&ot_topic_table, pair.name) < 0) {
			ot_why_set(&creation->why, "Unknown topic config name: %.*s",
			    OT_STR_ARG(pair.name));
			return OT_ERR_INVALID_CONFIG;
		}
		if (pair.value.len > INT16_MAX) {
			ot_why_set(&creation->why, CLUSTER_VALUE_TOO_LONG, INT16_MAX);
			return OT_ERR_INVALID_CONFIG;
		}
		while (place < creation->pair_count &&
		       !ot_str_equal(creation->pairs[place].name, pair.name))
			place++;
		creation->pairs[place] = pair;
		creation->pair_count = OT_MAX(creation->pair_count, place + 1);
	}
	return ot_topic_settings_validate(ot_image_settings(operation->controller->head),
	    creation->pairs, creation->pair_count, &creation->why);
}

/* ---- creating: replicas --------------------------------------------------------------------- */

static ot_err
take_assignment(struct creation *creation, const struct ot_create_topics_request_assignment *one,
    bool *is_there)
{
	struct ot_ids ids = { one->broker_ids, OT_MAX(one->broker_ids_count, 0) };
	bool is_first = creation->replicas == NULL;
	ot_err err = cluster_check_replicas(creation->operation->controller->head, ids,
	    is_first ? -1 : creation->replica_count, &creation->why);

	if (err != OT_OK)
		return err;
	if (cluster_count_active(creation->operation->controller->head, ids) == 0) {
		ot_why_set(&creation->why,
		    "All brokers specified in the manual partition assignment for partition "
		    "%d are fenced or in controlled shutdown.",
		    one->partition_index);
		return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
	}
	if (is_first) {
		creation->replica_count = ids.count;
		creation->replicas = operation_array(creation->operation,
		    (size_t)creation->partition_count * (size_t)ids.count, sizeof(int32_t));
		if (creation->replicas == NULL)
			return OT_ERR_NO_MEMORY;
	}
	/* An index beyond the count means that another one is missing. */
	if (one->partition_index < 0 || one->partition_index >= creation->partition_count)
		return OT_OK;
	is_there[one->partition_index] = true;
	memcpy(&creation->replicas[(size_t)one->partition_index * (size_t)ids.count], ids.items,
	    (size_t)ids.count * sizeof(int32_t));
	return OT_OK;
}

static ot_err
choose_manual(struct creation *creation)
{
	const struct ot_create_topics_request_topic *topic = creation->topic;
	bool *is_there;
	ot_err err;

	if (topic->replication_factor != -1) {
		ot_why_set(&creation->why,
		    "A manual partition assignment was specified, but replication factor was "
		    "not set to -1.");
		return OT_ERR_INVALID_REQUEST;
	}
	if (topic->num_partitions != -1) {
		ot_why_set(&creation->why,
		    "A manual partition assignment was specified, but numPartitions was not "
		    "set to -1.");
		return OT_ERR_INVALID_REQUEST;
	}
	err = cluster_check_room(creation->operation, topic->assignments_count, &creation->why);
	if (err != OT_OK)
		return err;
	creation->partition_count = topic->assignments_count;
	is_there = operation_array(creation->operation, (size_t)topic->assignments_count,
	    sizeof(*is_there));
	if (is_there == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < topic->assignments_count; i++) {
		int32_t index = topic->assignments[i].partition_index;

		if (index >= 0 && index < creation->partition_count && is_there[index]) {
			ot_why_set(&creation->why,
			    "Found multiple manual partition assignments for partition %d", index);
			return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
		}
		err = take_assignment(creation, &topic->assignments[i], is_there);
		if (err != OT_OK)
			return err;
	}
	for (int32_t i = 0; i < creation->partition_count; i++) {
		if (is_there[i])
			continue;
		ot_why_set(&creation->why,
		    "partitions should be a consecutive 0-based integer sequence");
		return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
	}
	return OT_OK;
}

static ot_err
choose_replicas(struct creation *creation)
{
	const struct ot_create_topics_request_topic *topic = creation->topic;
	struct operation *operation = creation->operation;
	const struct ot_settings *settings = ot_image_settings(operation->controller->head);
	struct placement placement = { .image = operation->controller->head };

	if (topic->assignments_count > 0)
		return choose_manual(creation);
	if (topic->replication_factor < -1 || topic->replication_factor == 0) {
		ot_why_set(&creation->why,
		    "Replication factor must be larger than 0, or -1 to use the default "
		    "value.");
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	if (topic->num_partitions < -1 || topic->num_partitions == 0) {
		ot_why_set(&creation->why,
		    "Number of partitions was set to an invalid non-positive value.");
		return OT_ERR_INVALID_PARTITIONS;
	}
	placement.partition_count = topic->num_partitions != -1
	                                ? topic->num_partitions
	                                : ot_settings_int(settings, OT_BROKER_NUM_PARTITIONS);
	placement.replication_factor =
	    topic->replication_factor != -1
		? topic->replication_factor
		: (int16_t)ot_settings_int(settings, OT_BROKER_DEFAULT_REPLICATION_FACTOR);
	creation->partition_count = placement.partition_count;
	creation->replica_count = placement.replication_factor;
	return cluster_choose_replicas(operation, &placement, &creation->replicas, &creation->why);
}

/* ---- creating: records and response --------------------------------------------------------- */

static void
add_configs(struct creation *creation)
{
	struct ot_config_record record;

	for (size_t i = 0; i < creation->pair_count; i++) {
		ot_config_record_init(&record);
		record.resource_type = OT_RESOURCE_TOPIC;
		record.resource_name = creation->topic->name;
		record.name = creation->pairs[i].name;
		record.value = creation->pairs[i].value;
		operation_add(creation->operation, &ot_config_record_msg, &record);
	}
}

static void
describe_configs(struct creation *creation)
{
	struct operation *operation = creation->operation;
	struct ot_create_topics_response_topic *result = creation->result;
	struct ot_config_entry *entries;
	size_t count;

	if (ot_describe_topic(ot_image_settings(operation->controller->head), creation->pairs,
		creation->pair_count, NULL, 0, operation->arena, &entries, &count) != OT_OK) {
		operation->is_failed = true;
		return;
	}
	result->configs = ot_create_topics_response_config_array(operation->arena, (int32_t)count);
	if (result->configs == NULL) {
		operation->is_failed = true;
		return;
	}
	result->configs_count = (int32_t)count;
	for (size_t i = 0; i < count; i++) {
		result->configs[i].name = entries[i].name;
		result->configs[i].value = entries[i].value;
		result->configs[i].read_only = entries[i].is_read_only;
		result->configs[i].config_source = (int8_t)entries[i].source;
		result->configs[i].is_sensitive = entries[i].is_sensitive;
	}
}

static ot_err
create_one(struct creation *creation)
{
	struct operation *operation = creation->operation;
	struct ot_topic_record record;
	ot_err err = check_name(creation);

	if (err == OT_OK)
		err = check_configs(creation);
	if (err == OT_OK)
		err = choose_replicas(creation);
	if (err == OT_OK)
		err = cluster_check_room(operation,
		    1 + (int64_t)creation->pair_count + creation->partition_count, &creation->why);
	if (err != OT_OK)
		return err;
	creation->result->topic_id = ot_io_random_uuid(operation->controller->io);
	creation->result->num_partitions = creation->partition_count;
	creation->result->replication_factor = (int16_t)creation->replica_count;
	describe_configs(creation);
	ot_topic_record_init(&record);
	record.name = creation->topic->name;
	record.topic_id = creation->result->topic_id;
	operation_add(operation, &ot_topic_record_msg, &record);
	add_configs(creation);
	cluster_add_partitions(operation, &creation->result->topic_id, 0, creation->partition_count,
	    creation->replicas, creation->replica_count);
	return OT_OK;
}

/* ---- creating: the request ------------------------------------------------------------------ */

/* The request's topic of a result, and whether its name stood there more than once. */
struct name_row {
	struct ot_str name;
	const void *topic;
	bool is_duplicate;
	UT_hash_handle hh;
};

/* Whether all partitions together are more than one operation may create. */
static bool
is_excessive(const struct ot_create_topics_request *request, const struct ot_settings *settings)
{
	int64_t total = 0;

	for (int32_t i = 0; i < request->topics_count; i++) {
		const struct ot_create_topics_request_topic *topic = &request->topics[i];

		if (topic->assignments_count > 0)
			continue;
		if (topic->num_partitions == -1)
			total += ot_settings_int(settings, OT_BROKER_NUM_PARTITIONS);
		else if (topic->num_partitions > 0)
			total += topic->num_partitions;
	}
	return total > OPERATION_RECORDS_MAX;
}

/* One row for each name, in the order of first appearance. NULL without memory. */
static struct name_row *
rows_of_names(struct ot_arena *arena, const struct ot_create_topics_request *request,
    int32_t *ret_count)
{
	struct name_row *rows = ot_arena_array(arena, (size_t)request->topics_count, sizeof(*rows));
	struct name_row *table = NULL, *row;
	int32_t count = 0;

	if (rows == NULL)
		return NULL;
	for (int32_t i = 0; i < request->topics_count; i++) {
		struct ot_str name = request->topics[i].name;

		HASH_FIND(hh, table, name.data, (size_t)OT_MAX(name.len, 0), row);
		if (row != NULL) {
			row->is_duplicate = true;
			continue;
		}
		row = &rows[count++];
		row->name = name;
		row->topic = &request->topics[i];
		HASH_ADD_KEYPTR(hh, table, name.data, (size_t)OT_MAX(name.len, 0), row);
	}
	HASH_CLEAR(hh, table);
	*ret_count = count;
	return rows;
}

static void
create_row(struct operation *operation, const struct name_row *row, bool has_too_many,
    struct ot_create_topics_response_topic *result)
{
	struct creation creation = { .operation = operation,
		.topic = row->topic,
		.result = result };
	ot_err err;

	if (has_too_many) {
		err = OT_ERR_POLICY_VIOLATION;
		ot_why_set(&creation.why, "Excessively large number of partitions per request.");
	} else if (row->is_duplicate) {
		err = OT_ERR_INVALID_REQUEST;
		ot_why_set(&creation.why, "Duplicate topic name.");
	} else {
		err = create_one(&creation);
	}
	if (err == OT_ERR_NO_MEMORY)
		operation->is_failed = true;
	result->error_code = ot_err_to_wire(err);
	result->error_message = operation_error_text(operation->arena, err, &creation.why);
}

void
ot_controller_create_topics(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_create_topics_request *request, struct ot_create_topics_response *ret_response)
{
	struct operation operation;
	struct name_row *rows;
	int32_t count = 0;
	bool has_too_many;

	ot_create_topics_response_init(ret_response);
	call->response = ret_response;
	call->fail = create_fail;
	rows = rows_of_names(call->arena, request, &count);
	ret_response->topics = ot_create_topics_response_topic_array(call->arena, count);
	if (rows == NULL || ret_response->topics == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->topics_count = count;
	for (int32_t i = 0; i < count; i++)
		ret_response->topics[i].name = rows[i].name;
	if (!operation_begin(&operation, controller, call))
		return;
	has_too_many = is_excessive(request, ot_image_settings(controller->head));
	for (int32_t i = 0; i < count && !operation.is_failed; i++)
		create_row(&operation, &rows[i], has_too_many, &ret_response->topics[i]);
	operation_end(&operation, request->validate_only);
}

/* ---- deleting ------------------------------------------------------------------------------- */

static void
delete_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_delete_topics_response *response = call->response;

	for (int32_t i = 0; i < response->responses_count; i++) {
		response->responses[i].error_code = ot_err_to_wire(err);
		response->responses[i].error_message = operation_error_text(NULL, err, NULL);
	}
}

/* What names one topic in a request: a name, an id, or by mistake both or neither. */
struct delete_row {
	struct ot_str name;
	struct ot_uuid id;
	bool is_duplicate;
};

/* A key under which equal rows meet. */
static void
delete_key(const struct delete_row *row, const void **ret_key, size_t *ret_bytes)
{
	*ret_key = row->name.len >= 0 ? (const void *)row->name.data : row->id.bytes;
	*ret_bytes = row->name.len >= 0 ? (size_t)row->name.len : sizeof(row->id.bytes);
}

struct delete_seen {
	struct delete_row *row;
	UT_hash_handle hh;
};

/* Notes the row in a table of its kind; false when an equal one was there, which is marked. */
static bool
delete_note(struct delete_seen **table, struct delete_seen *seen)
{
	struct delete_seen *other;
	const void *key;
	size_t bytes;

	delete_key(seen->row, &key, &bytes);
	HASH_FIND(hh, *table, key, bytes, other);
	if (other != NULL) {
		other->row->is_duplicate = true;
		return false;
	}
	HASH_ADD_KEYPTR(hh, *table, key, bytes, seen);
	return true;
}

static struct delete_row *
rows_of_deletion(struct ot_arena *arena, const struct ot_delete_topics_request *request,
    int16_t version, int32_t *ret_count)
{
	int32_t wanted =
	    OT_MAX(version >= 6 ? request->topics_count : request->topic_names_count, 0);
	struct delete_row *rows = ot_arena_array(arena, (size_t)wanted, sizeof(*rows));
	struct delete_seen *seen = ot_arena_array(arena, (size_t)wanted, sizeof(*seen));
	struct delete_seen *names = NULL, *ids = NULL;
	int32_t count = 0;

	if (rows == NULL || seen == NULL)
		return NULL;
	for (int32_t i = 0; i < wanted; i++) {
		struct delete_row *row = &rows[count];

		*row = (struct delete_row){ .name = OT_STR_NULL };
		if (version >= 6) {
			row->name = request->topics[i].name;
			row->id = request->topics[i].topic_id;
		} else {
			row->name = request->topic_names[i];
		}
		seen[i].row = row;
		/* Neither or both are mistakes of their own, answered one by one. */
		if ((row->name.len < 0) == ot_uuid_is_zero(&row->id) ||
		    delete_note(row->name.len >= 0 ? &names : &ids, &seen[i]))
			count++;
	}
	HASH_CLEAR(hh, names);
	HASH_CLEAR(hh, ids);
	*ret_count = count;
	return rows;
}

static ot_err
delete_one(struct operation *operation, const struct delete_row *row,
    struct ot_delete_topics_response_topic *result, struct ot_why *why)
{
	const struct ot_image *image = operation_image(operation);
	bool has_name = row->name.len >= 0, has_id = !ot_uuid_is_zero(&row->id);
	const struct ot_topic_image *topic;
	struct ot_remove_topic_record record;
	ot_err err;

	if (has_name == has_id) {
		ot_why_set(why, "%s",
		    has_name ? "You may not specify both topic name and topic id."
			     : "Neither topic name nor id were specified.");
		return OT_ERR_INVALID_REQUEST;
	}
	if (row->is_duplicate) {
		ot_why_set(why, "%s", has_name ? "Duplicate topic name." : "Duplicate topic id.");
		return OT_ERR_INVALID_REQUEST;
	}
	topic = has_name ? ot_image_topic(image, row->name) : ot_image_topic_by_id(image, &row->id);
	if (topic == NULL) {
		/* A name and an id of one topic: by the first it is gone. */
		topic = has_name ? ot_image_topic(operation->controller->head, row->name)
		                 : ot_image_topic_by_id(operation->controller->head, &row->id);
		if (topic == NULL)
			return has_name ? OT_ERR_UNKNOWN_TOPIC_OR_PARTITION
			                : OT_ERR_UNKNOWN_TOPIC_ID;
		ot_why_set(why, "The provided topic name maps to an ID that was already supplied.");
		return OT_ERR_INVALID_REQUEST;
	}
	err = cluster_check_room(operation, 1, why);
	if (err != OT_OK)
		return err;
	ot_remove_topic_record_init(&record);
	record.topic_id = topic->id;
	result->topic_id = topic->id;
	if (!has_name) {
		/* The image may go before the answer does. */
		const char *name =
		    ot_arena_strndup(operation->arena, topic->name.data, (size_t)topic->name.len);

		if (name == NULL)
			operation->is_failed = true;
		else
			result->name = ot_str_from(name);
	}
	operation_add(operation, &ot_remove_topic_record_msg, &record);
	return OT_OK;
}

void
ot_controller_delete_topics(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_delete_topics_request *request, int16_t version,
    struct ot_delete_topics_response *ret_response)
{
	struct operation operation;
	struct delete_row *rows;
	int32_t count = 0;

	ot_delete_topics_response_init(ret_response);
	call->response = ret_response;
	call->fail = delete_fail;
	rows = rows_of_deletion(call->arena, request, version, &count);
	ret_response->responses = ot_delete_topics_response_topic_array(call->arena, count);
	if (rows == NULL || ret_response->responses == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->responses_count = count;
	for (int32_t i = 0; i < count; i++) {
		ret_response->responses[i].name = rows[i].name;
		ret_response->responses[i].topic_id = rows[i].id;
	}
	if (!operation_begin(&operation, controller, call))
		return;
	for (int32_t i = 0; i < count; i++) {
		struct ot_delete_topics_response_topic *result = &ret_response->responses[i];
		struct ot_why why = { { 0 } };
		ot_err err = OT_ERR_TOPIC_DELETION_DISABLED;

		if (ot_settings_flag(ot_image_settings(controller->head),
			OT_BROKER_DELETE_TOPIC_ENABLE))
			err = delete_one(&operation, &rows[i], result, &why);
		else if (version < 3) {
			err = OT_ERR_INVALID_REQUEST;
			ot_why_set(&why, "This version does not support topic deletion.");
		}
		result->error_code = ot_err_to_wire(err);
		result->error_message = operation_error_text(operation.arena, err, &why);
	}
	operation_end(&operation, false);
}
