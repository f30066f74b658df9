/* What the tests of src/replica share: a simulated machine with one shard, a partition on its disk,
 * and batches of known content.
 *
 * The test's code runs outside of any turn. It enters the shard, calls, and lets the shard turn:
 * stage_turn() until nothing is ready, stage_until() until something holds. */
#ifndef OT_TEST_UNIT_REPLICA_STAGE_H
#define OT_TEST_UNIT_REPLICA_STAGE_H

#include "../test.h"

#include "base/alloc.h"
#include "record/build.h"
#include "replica/part.h"
#include "sim/sim_io.h"

enum { STAGE_PATIENCE_MS = 60 * 1000, STAGE_EPOCH = 3 };

struct stage {
	struct ot_sim_world *world;
	struct ot_sim_host *host;
	struct ot_sim_disk *disk;
	struct ot_io *ios[2]; /* the shard's, the control thread's */
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct ot_codec_ctx *codecs;
	struct ot_dirs *dirs;
	struct ot_part *part;
	struct ot_part_settings settings;
	struct ot_uuid topic_id;
	int64_t append_timeout_ms;                   /* of appends from now on */
	bool (*is_alive)(void *arg, int32_t broker); /* of a partition's conf, as the next */
	bool (*is_eligible)(void *arg, int32_t broker, int64_t epoch);
	unsigned isr_wishes; /* how often the leader wanted another ISR */
	unsigned opened;
	unsigned closed;
	/* What the last partition that closed told. */
	int64_t final_start;
	int64_t final_recovery_point;
	bool is_clean;
};

static const char *const stage_paths[] = { "/data" };
static const struct ot_uuid stage_dir_ids[] = { { { 1 } } };

static inline void
stage_enter(void *arg, struct ot_io *io)
{
	struct stage *stage = arg;
	struct ot_shard *shard = io == stage->ios[0] ? stage->set->shards[0] : NULL;
	if (io != NULL && io == stage->ios[1])
		shard = stage->set->shards[1];
	ot_shard_enter(shard);
}

static inline struct ot_part_settings
stage_settings_default(void)
{
	return (struct ot_part_settings){
		.log = ot_log_settings_default(),
		.flush_messages = INT64_MAX,
		.flush_ms = INT64_MAX,
		.timestamp_before_ms = INT64_MAX,
		.timestamp_after_ms = INT64_MAX,
		.message_bytes_max = 1024 * 1024,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		.min_insync_replicas = 1,
		.timestamp_type = OT_CREATE_TIME,
		.is_codec_kept = true,
	};
}

static inline void
stage_open_dirs(struct stage *stage)
{
	struct ot_why why = { "" };
	const struct ot_dirs_conf conf = {
		.fs = ot_sim_host_fs(stage->host),
		.paths = stage_paths,
		.path_count = 1,
		.node_id = 1,
		.new_cluster_id = "stage",
		.new_dir_ids = stage_dir_ids,
	};
	if (ot_dirs_open(&conf, &stage->dirs, &why) != OT_OK)
		fail_msg("%s", why.text);
}

static inline void
stage_init(struct stage *stage, uint64_t seed)
{
	*stage = (struct stage){ .world = ot_sim_world_create(seed) };
	stage->host = ot_sim_host_create(stage->world, "10.0.0.1");
	stage->disk = ot_sim_host_disk(stage->host);
	for (int i = 0; i < 2; i++)
		stage->ios[i] = ot_sim_io_create(stage->host);
	stage->set = ot_shard_set_create(1, stage->ios, 1 << 26);
	stage->shard = stage->set->shards[0];
	stage->codecs = ot_codec_ctx_create();
	stage->settings = stage_settings_default();
	stage->topic_id = (struct ot_uuid){ { 7, 7, 7 } };
	ot_sim_world_on_switch(stage->world, stage_enter, stage);
	stage_open_dirs(stage);
}

static inline void
stage_fini(struct stage *stage)
{
	ot_shard_enter(NULL);
	ot_dirs_close(stage->dirs);
	ot_codec_ctx_destroy(stage->codecs);
	assert_int_equal(ot_sim_disk_open_count(stage->disk), 0);
	assert_int_equal(ot_sim_disk_violation_count(stage->disk), 0);
	ot_shard_set_destroy(stage->set);
	for (int i = 0; i < 2; i++)
		ot_sim_io_destroy(stage->ios[i]);
	ot_sim_world_destroy(stage->world);
}

/* Lets the world run until the condition holds, and comes back to the shard. */
static inline void
stage_until(struct stage *stage, bool (*holds)(void *arg), void *arg)
{
	ot_shard_enter(NULL);
	ot_io_ring(stage->shard->io);
	assert_true(ot_sim_world_run_until(stage->world, holds, arg, STAGE_PATIENCE_MS));
	ot_shard_enter(stage->shard);
}

static inline void
stage_run_for_ms(struct stage *stage, uint64_t ms)
{
	ot_shard_enter(NULL);
	ot_io_ring(stage->shard->io);
	ot_sim_world_run_for_ms(stage->world, ms);
	ot_shard_enter(stage->shard);
}

/* ---- the partition ------------------------------------------------------------------------ */

static inline void
stage_on_open(void *arg, struct ot_part *part)
{
	struct stage *stage = arg;
	assert_ptr_equal(part, stage->part);
	stage->opened++;
}

static inline void
stage_on_closed(void *arg, struct ot_part *part)
{
	struct stage *stage = arg;
	ot_part_final_offsets(part, &stage->final_start, &stage->final_recovery_point);
	stage->is_clean = ot_part_is_clean(part);
	ot_part_destroy(part);
	stage->part = NULL;
	stage->closed++;
}

static inline void
stage_on_isr_wanted(void *arg, struct ot_part *part)
{
	struct stage *stage = arg;
	assert_ptr_equal(part, stage->part);
	stage->isr_wishes++;
}

static inline bool
stage_is_open(void *arg)
{
	return ((struct stage *)arg)->opened > 0;
}

static inline bool
stage_is_closed(void *arg)
{
	return ((struct stage *)arg)->closed > 0;
}

/* Begins to open topic-0; stage_until(stage_is_open) waits for it. */
static inline void
stage_create_part(struct stage *stage)
{
	struct ot_part_conf conf = {
		.owner = stage->shard,
		.codecs = stage->codecs,
		.topic = OT_STR_LIT("topic"),
		.topic_id = stage->topic_id,
		.settings = stage->settings,
		.dirs = stage->dirs,
		.node_id = 1,
		.on_open = stage_on_open,
		.on_closed = stage_on_closed,
		.on_isr_wanted = stage_on_isr_wanted,
		.is_alive = stage->is_alive,
		.is_eligible = stage->is_eligible,
		.arg = stage,
	};
	ot_shard_enter(stage->shard);
	ot_dirs_find(stage->dirs, conf.topic, &conf.topic_id, 0, &conf.place);
	const struct ot_log_open_args args = {
		.fs = ot_sim_host_fs(stage->host),
		.settings = conf.settings.log,
		.start_offset = conf.place.start_offset,
		.recovery_point = conf.place.recovery_point,
		.is_clean = conf.place.is_clean,
		.now = ot_io_wall(stage->shard->io),
	};
	stage->opened = stage->closed = 0;
	stage->part = ot_part_create(&conf, &args);
	ot_part_open(stage->part);
}

enum { STAGE_NODE = 1 };

/* The role that a change of the metadata gives: replicas are `count` nodes from STAGE_NODE on, of
 * which the first `isr_count` are in sync. */
static inline void
stage_set_role(struct stage *stage, int32_t leader, int32_t leader_epoch, int32_t partition_epoch,
    int32_t count, int32_t isr_count)
{
	static const int32_t ids[] = { 1, 2, 3, 4, 5 };
	const struct ot_part_role role = {
		.leader_id = leader,
		.leader_epoch = leader_epoch,
		.partition_epoch = partition_epoch,
		.replicas = { ids, count },
		.isr = { ids, isr_count },
	};
	ot_part_set_role(stage->part, &role);
}

/* The only replica leads. */
static inline void
stage_lead(struct stage *stage, int32_t leader_epoch)
{
	stage_set_role(stage, STAGE_NODE, leader_epoch, leader_epoch, 1, 1);
}

static inline void
stage_open_part(struct stage *stage)
{
	stage_create_part(stage);
	stage_lead(stage, STAGE_EPOCH);
	stage_until(stage, stage_is_open, stage);
	assert_int_equal(ot_part_state(stage->part), OT_PART_ONLINE);
}

static inline void
stage_close_part(struct stage *stage)
{
	ot_part_close(stage->part, OT_LOG_CLOSE_CLEAN);
	stage_until(stage, stage_is_closed, stage);
}

/* ---- appends ------------------------------------------------------------------------------ */

struct stage_batch {
	uint32_t record_count; /* 0: 1 */
	uint32_t value_bytes;  /* 0: 10 */
	int64_t producer_id;   /* 0: none */
	int32_t sequence;
	int64_t timestamp; /* 0: now */
	enum ot_compression compression;
	bool has_no_key;
};

/* One append of one batch, from the heap. */
struct stage_append {
	struct ot_append append;
	struct ot_writer bytes;
	struct ot_batch_info info;
	bool is_done;
	void (*then)(struct stage_append *append);
	void *then_arg;
};

static inline void
stage_append_is_done(struct ot_append *append)
{
	struct stage_append *self = OT_CONTAINER_OF(append, struct stage_append, append);
	assert_false(self->is_done);
	self->is_done = true;
	if (self->then != NULL)
		self->then(self);
}

static inline void
stage_build(struct stage *stage, const struct stage_batch *batch, struct stage_append *ret)
{
	static const char filling[4096];
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.compression = batch->compression;
	if (batch->producer_id != 0) {
		options.producer_id = batch->producer_id;
		options.producer_epoch = 0;
		options.base_sequence = batch->sequence;
	}
	ot_writer_init(&ret->bytes);
	ot_batch_builder_init(&builder, stage->codecs);
	ot_batch_builder_begin(&builder, &options, &ret->bytes);
	for (uint32_t i = 0; i < OT_MAX(batch->record_count, 1u); i++) {
		const struct ot_record_data record = {
			.timestamp =
			    batch->timestamp != 0 ? batch->timestamp : ot_io_wall(stage->shard->io),
			.key = batch->has_no_key ? OT_BYTES_NULL
			                         : (struct ot_bytes){ (const uint8_t *)"k", 1 },
			.value = { (const uint8_t *)filling,
			    (int32_t)(batch->value_bytes != 0 ? batch->value_bytes : 10) },
		};
		ot_batch_builder_append(&builder, &record);
	}
	assert_ok(ot_batch_builder_finish(&builder, &ret->info));
	ot_batch_builder_fini(&builder);
}

/* Begins an append; the caller lets turns pass, and frees it with stage_free_append(). */
static inline struct stage_append *
stage_append(struct stage *stage, int16_t acks, const struct stage_batch *batch)
{
	struct stage_append *append = OT_NEW(struct stage_append);
	stage_build(stage, batch, append);
	append->append = (struct ot_append){
		.records = { append->bytes.data, (int32_t)append->bytes.bytes },
		.acks = acks,
		.timeout_ms = stage->append_timeout_ms,
		.origin = OT_ORIGIN_CLIENT,
		.done = stage_append_is_done,
	};
	ot_part_append(stage->part, &append->append);
	return append;
}

static inline void
stage_free_append(struct stage_append *append)
{
	assert_true(append->is_done);
	ot_free(append->append.bad_records);
	ot_writer_fini(&append->bytes);
	ot_free(append);
}

static inline bool
stage_is_answered(void *arg)
{
	return ((struct stage_append *)arg)->is_done;
}

/* Appends, waits for the answer and gives it. */
static inline ot_err
stage_append_and_wait(struct stage *stage, int16_t acks, const struct stage_batch *batch,
    int64_t *ret_offset)
{
	struct stage_append *append = stage_append(stage, acks, batch);
	stage_until(stage, stage_is_answered, append);
	ot_err err = append->append.err;
	if (ret_offset != NULL)
		*ret_offset = append->append.base_offset;
	stage_free_append(append);
	return err;
}

static inline void
stage_append_many(struct stage *stage, unsigned count, const struct stage_batch *batch)
{
	for (unsigned i = 0; i < count; i++)
		assert_ok(stage_append_and_wait(stage, 1, batch, NULL));
}

/* ---- reads -------------------------------------------------------------------------------- */

struct stage_read {
	struct ot_part_read read;
	bool is_done;
};

static inline void
stage_read_is_done(struct ot_part_read *read)
{
	struct stage_read *self = OT_CONTAINER_OF(read, struct stage_read, read);
	assert_false(self->is_done);
	self->is_done = true;
}

static inline bool
stage_is_read(void *arg)
{
	return ((struct stage_read *)arg)->is_done;
}

/* A read by a consumer; begins it and does not wait. */
static inline void
stage_begin_read(struct stage *stage, int64_t offset, struct stage_read *read)
{
	*read = (struct stage_read){ .read = {
					 .offset = offset,
					 .bytes_max = 1024 * 1024,
					 .leader_epoch = -1,
					 .last_fetched_epoch = -1,
					 .replica_id = -1,
					 .is_one_at_least = true,
					 .done = stage_read_is_done,
				     } };
	ot_part_read(stage->part, &read->read);
}

/* Reads and drops the file; the rest can be looked at. */
static inline ot_err
stage_read(struct stage *stage, int64_t offset, struct stage_read *ret)
{
	struct stage_read ignored;
	ret = ret != NULL ? ret : &ignored;
	stage_begin_read(stage, offset, ret);
	stage_until(stage, stage_is_read, ret);
	ot_file_unref(ret->read.file);
	ret->read.file = NULL;
	ot_free(ret->read.aborted);
	return ret->read.err;
}

#endif
