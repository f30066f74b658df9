/* Coordinators on partitions: the partition's side of src/coord.
 *
 *   coordinator --append--> ot_part_append, acks=all --> on_done
 *   coordinator --read----> ot_part_read (plan), a worker copies the bytes --> on_done
 *
 * A failed append is not in the log, with one exception: when the log itself fails, nobody knows.
 * Then the coordinator is unloaded before it hears of the failure, as coord.h demands.
 */
#include "broker/groups_int.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/report.h"
#include "broker/broker_int.h"

struct coordinator {
	struct ot_coord_log log;
	struct broker_groups *groups;
	int32_t partition;
	struct ot_part *part;
	struct ot_groups *machine;
	struct ot_coord *coord;
	bool is_leading;
	UT_hash_handle hh;
};

struct broker_groups {
	struct broker_shard *self;
	struct coordinator *by_partition; /* kept once made: leadership may come back */
	struct coordinator *idle;         /* of no partition */
	bool is_closed;                   /* nobody is asked any more */
	uint32_t destroying_count;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- appends ------------------------------------------------------------------------------- */

struct log_append {
	struct ot_append append;
	struct ot_mail mail;
	struct coordinator *coordinator;
	struct ot_coord_append *wanted;
	bool is_in_call; /* inside ot_part_append(): the coordinator must not be called back yet */
	bool is_unknown; /* the log has failed: nobody knows what became of the batch */
};

static void
finish_append(struct log_append *op)
{
	struct ot_coord_append *wanted = op->wanted;
	ot_err err = op->append.err;
	wanted->next_offset = op->append.end_offset;
	if (op->is_unknown)
		ot_coord_unload(op->coordinator->coord);
	ot_free(op);
	wanted->on_done(wanted, err);
}

static void
finish_append_later(struct ot_mail *mail)
{
	finish_append(OT_CONTAINER_OF(mail, struct log_append, mail));
}

static void
append_is_done(struct ot_append *append)
{
	struct log_append *op = OT_CONTAINER_OF(append, struct log_append, append);
	/* Looked at here, where the partition is certain to be there. */
	op->is_unknown =
	    append->err != OT_OK && ot_part_state(op->coordinator->part) == OT_PART_OFFLINE;
	if (!op->is_in_call) {
		finish_append(op);
		return;
	}
	op->mail.deliver = finish_append_later;
	ot_shard_post(op->coordinator->groups->self->shard, &op->mail);
}

static void
log_append(struct ot_coord_log *log, struct ot_coord_append *wanted)
{
	struct coordinator *coordinator = OT_CONTAINER_OF(log, struct coordinator, log);
	struct log_append *op = OT_NEW(struct log_append);
	op->coordinator = coordinator;
	op->wanted = wanted;
	op->append = (struct ot_append){
		.blob = wanted->blob,
		.records = { wanted->blob->data, (int32_t)wanted->info.bytes },
		.acks = -1,
		.origin = OT_ORIGIN_COORDINATOR,
		.done = append_is_done,
	};
	op->is_in_call = true;
	ot_part_append(coordinator->part, &op->append);
	op->is_in_call = false;
}

/* ---- reads --------------------------------------------------------------------------------- */

struct log_read {
	struct ot_part_read read;
	struct ot_part_watcher watcher;
	struct ot_job job;
	struct ot_mail mail;
	struct coordinator *coordinator;
	struct ot_coord_read *wanted;
	struct ot_blob *blob;
	ot_err err;
};

static void
finish_read(struct log_read *op, ot_err err)
{
	struct ot_coord_read *wanted = op->wanted;
	ot_file_unref(op->read.file);
	if (err == OT_OK) {
		wanted->blob = op->blob;
		wanted->data = op->blob->data;
		wanted->bytes = op->read.bytes;
		wanted->next_offset = op->read.plan.next_offset;
	} else {
		ot_blob_unref(op->blob);
	}
	ot_free(op);
	wanted->on_done(wanted, err);
}

static void
copy_range(struct ot_job *job)
{
	struct log_read *op = OT_CONTAINER_OF(job, struct log_read, job);
	size_t bytes = 0;
	op->err =
	    ot_file_read(op->read.file, op->blob->data, op->read.bytes, op->read.place, &bytes);
	if (op->err == OT_OK && bytes < op->read.bytes)
		op->err = OT_ERR_CORRUPT_FILE;
}

static void
range_is_copied(struct ot_job *job)
{
	struct log_read *op = OT_CONTAINER_OF(job, struct log_read, job);
	finish_read(op, op->err);
}

static void plan_read(struct log_read *op);

static void
plan_read_again(struct ot_mail *mail)
{
	plan_read(OT_CONTAINER_OF(mail, struct log_read, mail));
}

static void
on_more(struct ot_part_watcher *watcher)
{
	struct log_read *op = OT_CONTAINER_OF(watcher, struct log_read, watcher);
	ot_part_unwatch(watcher);
	op->mail.deliver = plan_read_again;
	ot_shard_post(op->coordinator->groups->self->shard, &op->mail);
}

static void
read_is_planned(struct ot_part_read *read)
{
	struct log_read *op = OT_CONTAINER_OF(read, struct log_read, read);
	if (read->err != OT_OK) {
		finish_read(op, read->err);
		return;
	}
	if (read->bytes == 0) {
		op->watcher.on_more = on_more;
		ot_part_watch(op->coordinator->part, &op->watcher);
		return;
	}
	op->blob = ot_blob_create(read->bytes);
	if (op->blob == NULL) {
		finish_read(op, OT_ERR_NO_MEMORY);
		return;
	}
	op->job = (struct ot_job){ .work = copy_range, .done = range_is_copied };
	ot_io_submit(op->coordinator->groups->self->shard->io, &op->job);
}

static void
plan_read(struct log_read *op)
{
	/* The partition may be gone. */
	if (op->coordinator->groups->is_closed) {
		finish_read(op, OT_ERR_NOT_LEADER_OR_FOLLOWER);
		return;
	}
	op->read = (struct ot_part_read){
		.offset = op->wanted->offset,
		.bytes_max = (int32_t)OT_MIN(op->wanted->bytes_max, (size_t)INT32_MAX),
		.leader_epoch = -1,
		.last_fetched_epoch = -1,
		.replica_id = -1,
		.isolation = OT_READ_UNCOMMITTED,
		.is_one_at_least = true,
		.done = read_is_planned,
	};
	ot_part_read(op->coordinator->part, &op->read);
}

static void
log_read(struct ot_coord_log *log, struct ot_coord_read *wanted)
{
	struct log_read *op = OT_NEW(struct log_read);
	op->coordinator = OT_CONTAINER_OF(log, struct coordinator, log);
	op->wanted = wanted;
	ot_list_init(&op->watcher.link);
	/* Never an answer from inside the call: planned as a message to oneself. */
	op->mail.deliver = plan_read_again;
	ot_shard_post(op->coordinator->groups->self->shard, &op->mail);
}

/* ---- the rest of the log's side ------------------------------------------------------------ */

static void
log_bounds(struct ot_coord_log *log, int64_t *ret_start, int64_t *ret_end)
{
	struct ot_log *of = ot_part_log(OT_CONTAINER_OF(log, struct coordinator, log)->part);
	*ret_start = of != NULL ? ot_log_start_offset(of) : 0;
	*ret_end = of != NULL ? ot_log_end_offset(of) : 0;
}

static void
log_trim(struct ot_coord_log *log, int64_t offset)
{
	struct coordinator *coordinator = OT_CONTAINER_OF(log, struct coordinator, log);
	ot_err err = ot_part_trim(coordinator->part, offset);
	if (err != OT_OK)
		OT_WARN("broker", "%s cannot be trimmed to %lld: %s",
		    ot_coord_name(coordinator->coord), (long long)offset, ot_err_message(err));
}

static const struct ot_coord_log_ops log_ops = {
	.append = log_append,
	.read = log_read,
	.bounds = log_bounds,
	.trim = log_trim,
};

/* ---- coordinators -------------------------------------------------------------------------- */

static struct ot_group_options
make_options(const struct ot_settings *settings)
{
	struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
	options.session_timeout_ms_min =
	    ot_settings_int(settings, OT_BROKER_GROUP_MIN_SESSION_TIMEOUT_MS);
	options.session_timeout_ms_max =
	    ot_settings_int(settings, OT_BROKER_GROUP_MAX_SESSION_TIMEOUT_MS);
	options.rebalance_delay_ms =
	    ot_settings_int(settings, OT_BROKER_GROUP_INITIAL_REBALANCE_DELAY_MS);
	options.member_count_max = ot_settings_int(settings, OT_BROKER_GROUP_MAX_SIZE);
	options.metadata_length_max =
	    ot_settings_int(settings, OT_BROKER_OFFSET_METADATA_MAX_BYTES);
	options.retention_ms =
	    ot_settings_number(settings, OT_BROKER_OFFSETS_RETENTION_MINUTES) * 60 * 1000;
	options.retention_check_ms =
	    ot_settings_number(settings, OT_BROKER_OFFSETS_RETENTION_CHECK_INTERVAL_MS);
	return options;
}

static struct coordinator *
create_coordinator(struct broker_groups *groups, int32_t partition)
{
	struct broker_shard *self = groups->self;
	const struct ot_settings *settings = self->broker->settings;
	struct coordinator *coordinator = OT_NEW(struct coordinator);
	struct ot_group_options options = make_options(settings);
	char name[64];
	snprintf(name, sizeof(name), BROKER_OFFSETS_TOPIC "-%d", partition);
	coordinator->groups = groups;
	coordinator->partition = partition;
	coordinator->log.ops = &log_ops;
	coordinator->log.batch_bytes_max =
	    (size_t)ot_settings_int(settings, OT_BROKER_MESSAGE_MAX_BYTES);
	coordinator->machine = ot_groups_create(self->shard->io, &options);
	const struct ot_coord_options coord_options = {
		.shard = self->shard,
		.log = &coordinator->log,
		.machine = ot_groups_machine(coordinator->machine),
		.name = name,
		.codec = self->codecs,
		.compression = OT_COMPRESSION_NONE,
		.write_timeout_ms = ot_settings_int(settings, OT_BROKER_OFFSETS_COMMIT_TIMEOUT_MS),
		.load_chunk_bytes =
		    (size_t)ot_settings_int(settings, OT_BROKER_OFFSETS_LOAD_BUFFER_SIZE),
		.rewrite_bytes_min =
		    (uint64_t)ot_settings_int(settings, OT_BROKER_OFFSETS_TOPIC_SEGMENT_BYTES),
	};
	coordinator->coord = ot_coord_create(&coord_options);
	return coordinator;
}

static struct coordinator *
find_coordinator(struct broker_groups *groups, int32_t partition)
{
	struct coordinator *coordinator;
	HASH_FIND_INT(groups->by_partition, &partition, coordinator);
	return coordinator;
}

void
broker_groups_lead(struct broker_groups *groups, struct ot_part *part)
{
	int32_t partition = ot_part_index(part);
	struct coordinator *coordinator = find_coordinator(groups, partition);
	if (coordinator == NULL) {
		coordinator = create_coordinator(groups, partition);
		HASH_ADD_INT(groups->by_partition, partition, coordinator);
	}
	coordinator->part = part;
	coordinator->is_leading = true;
	ot_coord_load(coordinator->coord, ot_part_leader_epoch(part));
}

void
broker_groups_resign(struct broker_groups *groups, struct ot_part *part)
{
	struct coordinator *coordinator = find_coordinator(groups, ot_part_index(part));
	if (coordinator == NULL || coordinator->part != part)
		return;
	coordinator->is_leading = false;
	ot_coord_unload(coordinator->coord);
}

struct ot_groups *
broker_groups_find(struct broker_groups *groups, int32_t partition)
{
	if (groups->is_closed)
		return NULL;
	struct coordinator *coordinator = find_coordinator(groups, partition);
	return coordinator != NULL ? coordinator->machine : groups->idle->machine;
}

void
broker_groups_each(struct broker_groups *groups, broker_groups_visit *visit, void *arg)
{
	struct coordinator *coordinator, *next;
	if (groups->is_closed)
		return;
	HASH_ITER(hh, groups->by_partition, coordinator, next) {
		if (coordinator->is_leading)
			visit(arg, coordinator->machine);
	}
}

/* ---- images -------------------------------------------------------------------------------- */

void
broker_groups_adopt(struct broker_groups *groups, const struct ot_image *before,
    const struct ot_image *after)
{
	struct ot_arena arena;
	struct ot_image_delta delta;
	ot_arena_init(&arena, 0);
	if (before == NULL || groups->by_partition == NULL ||
	    ot_image_delta_make(before, after, &arena, &delta) != OT_OK) {
		ot_arena_fini(&arena);
		return;
	}
	struct ot_str *names = ot_arena_array(&arena, delta.topic_count, sizeof(*names));
	int32_t count = 0;
	for (size_t i = 0; names != NULL && i < delta.topic_count; i++) {
		if (delta.topics[i].after == NULL)
			names[count++] = delta.topics[i].before->name;
	}
	struct coordinator *coordinator, *next;
	HASH_ITER(hh, groups->by_partition, coordinator, next) {
		if (count > 0 && coordinator->is_leading)
			ot_groups_topics_deleted(coordinator->machine, names, count);
	}
	ot_arena_fini(&arena);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct broker_groups *
broker_groups_create(struct broker_shard *self)
{
	struct broker_groups *groups = OT_NEW(struct broker_groups);
	groups->self = self;
	groups->idle = create_coordinator(groups, -1);
	return groups;
}

static void
finish_closing(void *arg)
{
	struct broker_groups *groups = arg;
	OT_ASSERT(groups->destroying_count > 0);
	if (--groups->destroying_count == 0)
		groups->closed(groups->closed_arg);
}

void
broker_groups_close(struct broker_groups *groups, void (*done)(void *arg), void *arg)
{
	groups->is_closed = true;
	groups->closed = done;
	groups->closed_arg = arg;
	groups->destroying_count = 2 + HASH_COUNT(groups->by_partition);
	struct coordinator *coordinator, *next;
	HASH_ITER(hh, groups->by_partition, coordinator, next)
		ot_coord_destroy(coordinator->coord, finish_closing, groups);
	ot_coord_destroy(groups->idle->coord, finish_closing, groups);
	finish_closing(groups);
}

static void
free_coordinator(struct coordinator *coordinator)
{
	ot_groups_destroy(coordinator->machine);
	ot_free(coordinator);
}

void
broker_groups_destroy(struct broker_groups *groups)
{
	if (groups == NULL)
		return;
	struct coordinator *coordinator, *next;
	HASH_ITER(hh, groups->by_partition, coordinator, next) {
		HASH_DEL(groups->by_partition, coordinator);
		free_coordinator(coordinator);
	}
	free_coordinator(groups->idle);
	ot_free(groups);
}
