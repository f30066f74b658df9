/* CreatePartitions, and what operations on topics share. */

#include "cluster/topics_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/panic.h"
#include "wire/msg_create_partitions.h"
#include "wire/msg_metadata_log.h"

/* ---- replicas ------------------------------------------------------------------------------- */

bool
cluster_broker_is_active(const struct ot_image *image, int32_t id)
{
	const struct ot_broker_image *broker = ot_image_broker(image, id);

	return broker != NULL && !broker->is_fenced && !broker->is_in_controlled_shutdown;
}

int32_t
cluster_count_active(const struct ot_image *image, struct ot_ids ids)
{
	int32_t count = 0;

	for (int32_t i = 0; i < ids.count; i++)
		count += cluster_broker_is_active(image, ids.items[i]);
	return count;
}

ot_err
cluster_check_replicas(const struct ot_image *image, struct ot_ids ids, int32_t replica_count,
    struct ot_why *why)
{
	if (ids.count == 0) {
		ot_why_set(why, "The manual partition assignment includes an empty replica list.");
		return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
	}
	for (int32_t i = 0; i < ids.count; i++) {
		if (ot_image_broker(image, ids.items[i]) == NULL) {
			ot_why_set(why,
			    "The manual partition assignment includes broker %d, but no such "
			    "broker is registered.",
			    ids.items[i]);
			return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
		}
		if (ot_ids_have((struct ot_ids){ ids.items, i }, ids.items[i])) {
			ot_why_set(why,
			    "The manual partition assignment includes the broker %d more than "
			    "once.",
			    ids.items[i]);
			return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
		}
	}
	if (replica_count < 0 || ids.count == replica_count)
		return OT_OK;
	ot_why_set(why,
	    "The manual partition assignment includes a partition with %d replica(s), but this "
	    "is not consistent with previous partitions, which have %d replica(s).",
	    ids.count, replica_count);
	return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
}

ot_err
cluster_choose_replicas(struct operation *operation, const struct placement *placement,
    int32_t **ret_replicas, struct ot_why *why)
{
	int32_t factor = placement->replication_factor;
	struct ot_why reason = { { 0 } };
	int32_t *replicas;
	ot_err err = placement_choose(placement, operation->controller->io, operation->arena,
	    &replicas, &reason);

	if (err == OT_ERR_INVALID_REPLICATION_FACTOR)
		ot_why_set(why, "Unable to replicate the partition %d time(s): %s", factor,
		    reason.text);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < placement->partition_count; i++) {
		struct ot_ids ids = { &replicas[(size_t)i * (size_t)factor], factor };

		if (cluster_count_active(placement->image, ids) > 0)
			continue;
		ot_why_set(why,
		    "Unable to replicate the partition %d time(s): All brokers are currently "
		    "fenced or in controlled shutdown.",
		    factor);
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	*ret_replicas = replicas;
	return OT_OK;
}

ot_err
cluster_check_room(const struct operation *operation, int64_t count, struct ot_why *why)
{
	if (operation->records.count + count <= OPERATION_RECORDS_MAX)
		return OT_OK;
	ot_why_set(why, "Unable to perform excessively large batch operation.");
	return OT_ERR_POLICY_VIOLATION;
}

struct ot_uuid
cluster_directory_of_new(const struct ot_image *image, int32_t id)
{
	const struct ot_broker_image *broker = ot_image_broker(image, id);

	if (broker == NULL || broker->log_dir_count == 0)
		return ot_directory_migrating;
	return broker->log_dir_count == 1 ? broker->log_dirs[0] : ot_directory_unassigned;
}

void
cluster_add_partitions(struct operation *operation, const struct ot_uuid *topic_id,
    int32_t first_index, int32_t partition_count, const int32_t *replicas, int32_t replica_count)
{
	/* Records of partitions change no broker: the image of before them serves for all. */
	const struct ot_image *image = operation->controller->head;
	size_t count = (size_t)replica_count;
	int32_t *lists = operation_array(operation, 2 * count, sizeof(*lists));
	struct ot_uuid *directories = operation_array(operation, count, sizeof(*directories));
	struct ot_partition_record record;

	for (int32_t i = 0; i < partition_count && !operation->is_failed; i++) {
		int32_t *isr = &lists[count];

		memcpy(lists, &replicas[(size_t)i * count], count * sizeof(*lists));
		ot_partition_record_init(&record);
		record.partition_id = first_index + i;
		record.topic_id = *topic_id;
		record.replicas = lists;
		record.replicas_count = replica_count;
		record.isr = isr;
		record.isr_count = 0;
		for (int32_t j = 0; j < replica_count; j++) {
			directories[j] = cluster_directory_of_new(image, lists[j]);
			if (cluster_broker_is_active(image, lists[j]))
				isr[record.isr_count++] = lists[j];
		}
		OT_ASSERT(record.isr_count > 0);
		record.leader = isr[0];
		record.leader_epoch = 0;
		record.partition_epoch = 0;
		record.directories = directories;
		record.directories_count = replica_count;
		operation_add(operation, &ot_partition_record_msg, &record);
	}
}

/* ---- CreatePartitions ----------------------------------------------------------------------- */

struct growth {
	struct operation *operation;
	const struct ot_create_partitions_request_topic *wanted;
	const struct ot_topic_image *topic;
	int32_t additional;
	int32_t replica_count;
	int32_t *replicas;
	struct ot_why why;
};

static void
grow_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_create_partitions_response *response = call->response;

	for (int32_t i = 0; i < response->results_count; i++) {
		response->results[i].error_code = ot_err_to_wire(err);
		response->results[i].error_message = operation_error_text(NULL, err, NULL);
	}
}

static ot_err
grow_check(struct growth *growth)
{
	const struct ot_create_partitions_request_topic *wanted = growth->wanted;
	int32_t count;

	if (growth->topic == NULL)
		return OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	count = growth->topic->partition_count;
	if (wanted->count == count) {
		ot_why_set(&growth->why, "Topic already has %d partition(s).", count);
		return OT_ERR_INVALID_PARTITIONS;
	}
	if (wanted->count < count) {
		ot_why_set(&growth->why,
		    "The topic %.*s currently has %d partition(s); %d would not be an "
		    "increase.",
		    OT_STR_ARG(wanted->name), count, wanted->count);
		return OT_ERR_INVALID_PARTITIONS;
	}
	growth->additional = wanted->count - count;
	growth->replica_count = ot_partition_replicas(ot_topic_partition(growth->topic, 0)).count;
	if (wanted->assignments_count >= 0 && wanted->assignments_count != growth->additional) {
		ot_why_set(&growth->why,
		    "Attempted to add %d additional partition(s), but only %d assignment(s) "
		    "were specified.",
		    growth->additional, wanted->assignments_count);
		return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
	}
	return cluster_check_room(growth->operation, growth->additional, &growth->why);
}

static ot_err
grow_manually(struct growth *growth)
{
	const struct ot_image *image = growth->operation->controller->head;
	size_t count = (size_t)growth->replica_count;
	ot_err err;

	growth->replicas = operation_array(growth->operation, (size_t)growth->additional * count,
	    sizeof(growth->replicas[0]));
	if (growth->replicas == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < growth->additional; i++) {
		const struct ot_create_partitions_request_assignment *assignment =
		    &growth->wanted->assignments[i];
		struct ot_ids ids = { assignment->broker_ids,
			OT_MAX(assignment->broker_ids_count, 0) };

		err = cluster_check_replicas(image, ids, growth->replica_count, &growth->why);
		if (err != OT_OK)
			return err;
		if (cluster_count_active(image, ids) == 0) {
			ot_why_set(&growth->why,
			    "All brokers specified in the manual partition assignment for "
			    "partition %d are fenced or in controlled shutdown.",
			    growth->topic->partition_count + i);
			return OT_ERR_INVALID_REPLICA_ASSIGNMENT;
		}
		memcpy(&growth->replicas[(size_t)i * count], ids.items, count * sizeof(int32_t));
	}
	return OT_OK;
}

static ot_err
grow_one(struct growth *growth)
{
	struct placement placement = { .image = growth->operation->controller->head };
	ot_err err = grow_check(growth);
	struct ot_uuid id;

	if (err != OT_OK)
		return err;
	if (growth->wanted->assignments_count >= 0) {
		err = grow_manually(growth);
	} else {
		placement.topic = growth->topic;
		placement.partition_count = growth->additional;
		placement.replication_factor = (int16_t)growth->replica_count;
		err = cluster_choose_replicas(growth->operation, &placement, &growth->replicas,
		    &growth->why);
	}
	if (err != OT_OK)
		return err;
	id = growth->topic->id;
	cluster_add_partitions(growth->operation, &id, growth->topic->partition_count,
	    growth->additional, growth->replicas, growth->replica_count);
	return OT_OK;
}

struct grow_row {
	const struct ot_create_partitions_request_topic *wanted;
	bool is_duplicate;
	UT_hash_handle hh;
};

static struct grow_row *
rows_of_growth(struct ot_arena *arena, const struct ot_create_partitions_request *request,
    int32_t *ret_count)
{
	struct grow_row *rows = ot_arena_array(arena, (size_t)request->topics_count, sizeof(*rows));
	struct grow_row *table = NULL, *row;
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
		row->wanted = &request->topics[i];
		HASH_ADD_KEYPTR(hh, table, name.data, (size_t)OT_MAX(name.len, 0), row);
	}
	HASH_CLEAR(hh, table);
	*ret_count = count;
	return rows;
}

void
ot_controller_create_partitions(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_create_partitions_request *request,
    struct ot_create_partitions_response *ret_response)
{
	struct operation operation;
	struct grow_row *rows;
	int32_t count = 0;

	ot_create_partitions_response_init(ret_response);
	call->response = ret_response;
	call->fail = grow_fail;
	rows = rows_of_growth(call->arena, request, &count);
	ret_response->results = ot_create_partitions_response_result_array(call->arena, count);
	if (rows == NULL || ret_response->results == NULL) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	ret_response->results_count = count;
	for (int32_t i = 0; i < count; i++)
		ret_response->results[i].name = rows[i].wanted->name;
	if (!operation_begin(&operation, controller, call))
		return;
	for (int32_t i = 0; i < count && !operation.is_failed; i++) {
		struct growth growth = { .operation = &operation, .wanted = rows[i].wanted };
		ot_err err = OT_ERR_INVALID_REQUEST;

		/* Each name stands once, so no earlier one changed this topic. */
		growth.topic = ot_image_topic(controller->head, rows[i].wanted->name);
		if (rows[i].is_duplicate)
			ot_why_set(&growth.why, "Duplicate topic name.");
		else
			err = grow_one(&growth);
		if (err == OT_ERR_NO_MEMORY)
			operation.is_failed = true;
		ret_response->results[i].error_code = ot_err_to_wire(err);
		ret_response->results[i].error_message =
		    operation_error_text(operation.arena, err, &growth.why);
	}
	operation_end(&operation, request->validate_only);
}
