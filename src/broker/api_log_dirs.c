/* DescribeLogDirs (key 35): sizes of this broker's partitions by directory, and of copies that grow
 * in another one. Every shard tells its own; directories are listed with their space. */
#include "broker/broker_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/msg_describe_log_dirs.h"

/* One partition as its owner describes it. */
struct described {
	struct ot_str topic; /* a copy behind the rows */
	int32_t index;
	size_t dir;
	int64_t bytes;
	int64_t lag;    /* of a copy that grows: records that it lacks */
	bool is_future; /* such a copy */
};

/* A shard's part of the answer. */
struct describe_item {
	struct ot_scatter_item item;
	struct describe_op *op;
	struct described *rows; /* heap, the shard's until it is done */
	size_t count;
	size_t capacity;
};

struct describe_op {
	struct ot_scatter scatter;
	struct broker_shard *self;
	struct ot_request *request;
	const struct ot_describe_log_dirs_request *body;
	struct describe_item *items; /* by shard */
	struct ot_describe_log_dirs_response response;
	bool is_no_memory;
};

static bool
is_wanted(const struct ot_describe_log_dirs_request *body, struct ot_str topic, int32_t index)
{
	if (body->topics_count < 0)
		return true;
	for (int32_t i = 0; i < body->topics_count; i++) {
		const struct ot_describe_log_dirs_request_topic *wanted = &body->topics[i];
		if (!ot_str_equal(wanted->topic, topic))
			continue;
		for (int32_t j = 0; j < wanted->partitions_count; j++) {
			if (wanted->partitions[j] == index)
				return true;
		}
	}
	return false;
}

static void
add_row(struct describe_item *item, const struct described *row)
{
	if (item->count == item->capacity) {
		item->capacity = OT_MAX(item->capacity * 2, 16u);
		struct described *rows = ot_must_alloc(item->capacity * sizeof(*rows));
		if (item->count > 0)
			memcpy(rows, item->rows, item->count * sizeof(*rows));
		ot_free(item->rows);
		item->rows = rows;
	}
	struct described *added = &item->rows[item->count++];
	*added = *row;
	added->topic.data = ot_must_strndup(row->topic.data, (size_t)row->topic.len);
}

static void
describe_part(void *arg, struct ot_part *part)
{
	struct describe_item *item = arg;
	struct broker_shard *self = ot_shard_self->user;
	struct ot_log *log = ot_part_log(part);
	struct ot_str topic = ot_part_topic(part);
	if (log == NULL || !is_wanted(item->op->body, topic, ot_part_index(part)))
		return;
	struct ot_log_stats stats;
	ot_log_get_stats(log, &stats);
	struct described row = {
		.topic = topic,
		.index = ot_part_index(part),
		.dir = ot_replicas_dir(self->replicas, part),
		.bytes = (int64_t)stats.bytes,
	};
	add_row(item, &row);
	struct ot_replicas_future future;
	if (!ot_replicas_future(self->replicas, part, &future))
		return;
	row.dir = future.dir;
	row.bytes = future.bytes;
	row.lag = OT_MAX(ot_log_end_offset(log) - future.offset, 0);
	row.is_future = true;
	add_row(item, &row);
}

static void
visit_shard(struct ot_scatter_item *scatter_item)
{
	struct describe_item *item = OT_CONTAINER_OF(scatter_item, struct describe_item, item);
	struct broker_shard *self = ot_shard_self->user;
	ot_replicas_each(self->replicas, describe_part, item);
	ot_scatter_item_done(scatter_item);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static int
compare_rows(const void *a, const void *b)
{
	const struct described *left = a, *right = b;
	int order = ot_str_compare(left->topic, right->topic);
	return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* All shards' rows of one directory, sorted; heap. */
static struct described *
gather_rows(const struct describe_op *op, size_t dir, size_t *ret_count)
{
	size_t total = 0, count = 0;
	uint32_t shard_count = op->self->shard->set->count;
	for (uint32_t i = 0; i < shard_count; i++)
		total += op->items[i].count;
	struct described *rows = ot_must_alloc(total * sizeof(*rows));
	for (uint32_t i = 0; i < shard_count; i++) {
		for (size_t j = 0; j < op->items[i].count; j++) {
			if (op->items[i].rows[j].dir == dir)
				rows[count++] = op->items[i].rows[j];
		}
	}
	qsort(rows, count, sizeof(*rows), compare_rows);
	*ret_count = count;
	return rows;
}

static void
fill_topics(struct describe_op *op, const struct described *rows, size_t count,
    struct ot_describe_log_dirs_response_result *result)
{
	struct ot_arena *arena = &op->request->arena;
	struct ot_describe_log_dirs_response_topic *topic = NULL;
	result->topics = ot_describe_log_dirs_response_topic_array(arena, (int32_t)count);
	struct ot_describe_log_dirs_response_partition *partitions =
	    ot_describe_log_dirs_response_partition_array(arena, (int32_t)count);
	if (result->topics == NULL || partitions == NULL) {
		op->is_no_memory = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !ot_str_equal(rows[i].topic, rows[i - 1].topic)) {
			topic = &result->topics[result->topics_count++];
			char *name =
			    ot_arena_strndup(arena, rows[i].topic.data, (size_t)rows[i].topic.len);
			topic->name = (struct ot_str){ name, name != NULL ? rows[i].topic.len : 0 };
			topic->partitions = partitions;
		}
		partitions->partition_index = rows[i].index;
		partitions->partition_size = rows[i].bytes;
		partitions->offset_lag = rows[i].lag;
		partitions->is_future_key = rows[i].is_future;
		partitions++;
		topic->partitions_count++;
	}
}

static void
fill_dir(struct describe_op *op, size_t dir, struct ot_describe_log_dirs_response_result *result)
{
	const char *path = ot_dirs_path(op->self->broker->dirs, dir);
	struct ot_fs_space space;
	size_t count = 0;
	result->log_dir = broker_text(op->request, path);
	if (ot_dirs_has_failed(op->self->broker->dirs, dir)) {
		result->error_code = OT_ERR_KAFKA_STORAGE_ERROR;
		return;
	}
	if (ot_fs_space(op->self->shard->io->fs, path, &space) == OT_OK) {
		result->total_bytes = (int64_t)space.bytes_total;
		result->usable_bytes = (int64_t)space.bytes_free;
	}
	struct described *rows = gather_rows(op, dir, &count);
	fill_topics(op, rows, count, result);
	ot_free(rows);
}

static void
free_rows(struct describe_op *op)
{
	for (uint32_t i = 0; i < op->self->shard->set->count; i++) {
		for (size_t j = 0; j < op->items[i].count; j++)
			ot_free((void *)(uintptr_t)op->items[i].rows[j].topic.data);
		ot_free(op->items[i].rows);
	}
}

static void
all_are_described(struct ot_scatter *scatter)
{
	struct describe_op *op = OT_CONTAINER_OF(scatter, struct describe_op, scatter);
	size_t count = ot_dirs_count(op->self->broker->dirs);
	ot_describe_log_dirs_response_init(&op->response);
	op->response.results =
	    ot_describe_log_dirs_response_result_array(&op->request->arena, (int32_t)count);
	op->response.results_count = op->response.results != NULL ? (int32_t)count : 0;
	op->is_no_memory = op->response.results == NULL;
	for (int32_t i = 0; i < op->response.results_count; i++)
		fill_dir(op, (size_t)i, &op->response.results[i]);
	free_rows(op);
	if (op->is_no_memory)
		ot_request_abort(op->request, "no memory for a DescribeLogDirs response");
	else
		ot_request_answer(op->request, &ot_describe_log_dirs_response_msg, &op->response);
}

void
broker_handle_describe_log_dirs(struct broker_shard *self, struct ot_request *request)
{
	struct ot_describe_log_dirs_request *body = broker_decode(request);
	struct describe_op *op = body != NULL ? broker_alloc(request, 1, sizeof(*op)) : NULL;
	if (op == NULL)
		return;
	uint32_t shard_count = self->shard->set->count;
	op->self = self;
	op->request = request;
	op->body = body;
	op->items = broker_alloc(request, shard_count, sizeof(*op->items));
	if (op->items == NULL)
		return;
	if (ot_scatter_init(&op->scatter, self->shard, &request->arena) != OT_OK) {
		ot_request_abort(request, "no memory for a DescribeLogDirs request");
		return;
	}
	for (uint32_t i = 0; i < shard_count; i++) {
		op->items[i].op = op;
		ot_scatter_add(&op->scatter, &op->items[i].item, i);
	}
	ot_scatter_run(&op->scatter, visit_shard, all_are_described);
}
