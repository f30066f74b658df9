/* AlterReplicaLogDirs (key 34): replicas of this broker move between its directories. Each is the
 * business of the shard that owns it; what is answered is that the move has begun. */
#include "broker/broker_int.h"

#include "wire/msg_alter_replica_log_dirs.h"

/* One partition that is to move. */
struct move_item {
	struct ot_scatter_item item;
	struct ot_uuid topic_id;
	int32_t index;
	size_t dir;
	struct ot_alter_replica_log_dirs_response_partition *answer;
};

struct move_op {
	struct ot_scatter scatter;
	struct broker_shard *self;
	struct ot_request *request;
	struct move_item *items;
	int32_t item_count;
	struct ot_alter_replica_log_dirs_response response;
};

static void
visit_part(struct ot_scatter_item *scatter_item)
{
	struct move_item *item = OT_CONTAINER_OF(scatter_item, struct move_item, item);
	struct broker_shard *self = ot_shard_self->user;
	struct ot_part *part = broker_part(&item->topic_id, item->index);
	ot_err err = OT_ERR_REPLICA_NOT_AVAILABLE;
	if (part != NULL)
		err = ot_replicas_move(self->replicas, part, item->dir);
	item->answer->error_code = ot_err_to_wire(err);
	ot_scatter_item_done(scatter_item);
}

static void
all_are_begun(struct ot_scatter *scatter)
{
	struct move_op *op = OT_CONTAINER_OF(scatter, struct move_op, scatter);
	ot_request_answer(op->request, &ot_alter_replica_log_dirs_response_msg, &op->response);
}

/* The directory of that path; false when log.dirs does not have it. */
static bool
find_dir(const struct broker_shard *self, struct ot_str path, size_t *ret_dir)
{
	for (size_t i = 0; i < ot_dirs_count(self->broker->dirs); i++) {
		if (!ot_str_is(path, ot_dirs_path(self->broker->dirs, i)))
			continue;
		*ret_dir = i;
		return true;
	}
	return false;
}

/* Adds a topic's partitions to what is answered, and to what is to be done. */
static void
add_topic(struct move_op *op, struct ot_str path,
    const struct ot_alter_replica_log_dirs_request_topic *from)
{
	struct ot_alter_replica_log_dirs_response_topic *to =
	    &op->response.results[op->response.results_count++];
	to->topic_name = from->name;
	to->partitions = ot_alter_replica_log_dirs_response_partition_array(&op->request->arena,
	    from->partitions_count);
	to->partitions_count = to->partitions != NULL ? from->partitions_count : 0;
	for (int32_t i = 0; i < to->partitions_count; i++) {
		struct move_item *item = &op->items[op->item_count];
		struct broker_place place =
		    broker_find(op->self, from->name, NULL, from->partitions[i]);
		item->answer = &to->partitions[i];
		item->answer->partition_index = item->index = from->partitions[i];
		if (!find_dir(op->self, path, &item->dir)) {
			item->answer->error_code = OT_ERR_LOG_DIR_NOT_FOUND;
			continue;
		}
		if (place.err != OT_OK) {
			item->answer->error_code = OT_ERR_REPLICA_NOT_AVAILABLE;
			continue;
		}
		item->topic_id = place.topic->id;
		op->item_count++;
		ot_scatter_add(&op->scatter, &item->item, place.shard_index);
	}
}

static size_t
count_partitions(const struct ot_alter_replica_log_dirs_request *body, int32_t *ret_topic_count)
{
	size_t count = 0;
	*ret_topic_count = 0;
	for (int32_t i = 0; i < body->dirs_count; i++) {
		*ret_topic_count += body->dirs[i].topics_count;
		for (int32_t k = 0; k < body->dirs[i].topics_count; k++)
			count += (size_t)body->dirs[i].topics[k].partitions_count;
	}
	return count;
}

void
broker_handle_alter_replica_log_dirs(struct broker_shard *self, struct ot_request *request)
{
	struct ot_alter_replica_log_dirs_request *body = broker_decode(request);
	struct move_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	int32_t topic_count = 0;
	op->self = self;
	op->request = request;
	op->items = broker_alloc(request, count_partitions(body, &topic_count), sizeof(*op->items));
	if (op->items == NULL)
		return;
	ot_alter_replica_log_dirs_response_init(&op->response);
	op->response.results =
	    ot_alter_replica_log_dirs_response_topic_array(&request->arena, topic_count);
	if (op->response.results == NULL ||
	    ot_scatter_init(&op->scatter, self->shard, &request->arena) != OT_OK) {
		ot_request_abort(request, "no memory for an AlterReplicaLogDirs request");
		return;
	}
	for (int32_t i = 0; i < body->dirs_count; i++) {
		for (int32_t k = 0; k < body->dirs[i].topics_count; k++)
			add_topic(op, body->dirs[i].path, &body->dirs[i].topics[k]);
	}
	ot_scatter_run(&op->scatter, visit_part, all_are_begun);
}
