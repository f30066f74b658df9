/* One partition on three machines, by direct calls, against a model of what must hold: records
 * below a high watermark that anybody has seen stay as they are, and logs are the same below it.
 *
 * The controller is here, in a few lines: it elects from the ISR, commits what leaders want of it
 * by compare and set, and its word reaches machines late or in jumps. Machines are killed, and lose
 * power with what was not synced; they tell neither of what they wrote. One random number decides
 * each step; a failing seed is printed. */
#include "../test.h"

#include "base/alloc.h"
#include "record/build.h"
#include "replica/part.h"
#include "sim/sim_io.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	NODES = 3,
	PATIENCE_MS = 60 * 1000,
	LAG_MS = 2000,
	STEPS = 1000,
	SEEDS = 100,
	NOBODY = -1,
};

struct model;

/* A machine with the partition's replica; ids from 1 on. */
struct node {
	struct model *model;
	int32_t id;
	struct ot_sim_host *host;
	struct ot_io *ios[2];
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct ot_codec_ctx *codecs;
	struct ot_dirs *dirs;
	struct ot_part *part; /* NULL: the machine is down */
	bool is_open;
	bool is_closed;
	bool wants_isr;
	int64_t registration; /* the broker's epoch */
};

/* The controller's record of the partition. */
struct record {
	int32_t leader;
	int32_t leader_epoch;
	int32_t partition_epoch;
	int32_t isr[NODES];
	int32_t isr_count;
};

struct model {
	struct ot_sim_world *world;
	struct ot_sim_random random;
	struct node nodes[NODES];
	struct record record;
	int16_t min_isr;
	int64_t flush_messages;
	int64_t registrations;
	uint64_t values; /* each record's is another */
	/* What was seen below a high watermark: bytes of whole batches from offset 0 on. */
	struct ot_writer truth;
	int64_t truth_end;
	uint64_t acknowledged; /* appends with acks=all, as figures */
	bool is_calm;          /* nothing crashes any more */
	uint64_t cuts;
	uint64_t crashes;
};

static const struct ot_uuid topic_id = { { 7, 7, 7 } };
static const char *const paths[] = { "/data" };
static const struct ot_uuid dir_ids[] = { { { 1 } } };

/* ---- machines ---------------------------------------------------------------------------------
 */

static void
on_switch(void *arg, struct ot_io *io)
{
	struct model *model = arg;
	struct ot_shard *shard = NULL;
	for (int i = 0; io != NULL && i < NODES; i++) {
		struct node *node = &model->nodes[i];
		if (node->set != NULL && (io == node->ios[0] || io == node->ios[1]))
			shard = node->set->shards[io == node->ios[1]];
	}
	ot_shard_enter(shard);
}

static void
until(struct model *model, bool (*holds)(void *arg), void *arg)
{
	ot_shard_enter(NULL);
	for (int i = 0; i < NODES; i++) {
		if (model->nodes[i].set != NULL)
			ot_io_ring(model->nodes[i].shard->io);
	}
	if (!ot_sim_world_run_until(model->world, holds, arg, PATIENCE_MS))
		fail_msg("waited in vain");
}

static void
pass_ms(struct model *model, uint64_t ms)
{
	ot_shard_enter(NULL);
	ot_sim_world_run_for_ms(model->world, ms);
}

static void
on_open(void *arg, struct ot_part *part)
{
	struct node *node = arg;
	(void)part;
	node->is_open = true;
}

static void
on_closed(void *arg, struct ot_part *part)
{
	struct node *node = arg;
	ot_part_destroy(part);
	node->part = NULL;
	node->is_closed = true;
}

static void
on_isr_wanted(void *arg, struct ot_part *part)
{
	struct node *node = arg;
	(void)part;
	node->wants_isr = true;
}

static bool
is_eligible(void *arg, int32_t broker, int64_t epoch)
{
	const struct node *node = arg;
	const struct node *other = &node->model->nodes[broker - 1];
	return other->part != NULL && (epoch < 0 || epoch == other->registration);
}

static bool
is_open(void *arg)
{
	const struct node *node = arg;
	return node->is_open || node->is_closed;
}

static bool
is_online(void *arg)
{
	const struct node *node = arg;
	return node->part == NULL || ot_part_state(node->part) == OT_PART_ONLINE;
}

static void
open_dirs(struct node *node)
{
	struct ot_why why = { "" };
	const struct ot_dirs_conf conf = {
		.fs = ot_sim_host_fs(node->host),
		.paths = paths,
		.path_count = 1,
		.node_id = node->id,
		.new_cluster_id = "model",
		.new_dir_ids = dir_ids,
	};
	if (ot_dirs_open(&conf, &node->dirs, &why) != OT_OK)
		fail_msg("%s", why.text);
}

static struct ot_part_settings
settings_of(const struct model *model)
{
	struct ot_part_settings settings = {
		.log = ot_log_settings_default(),
		.flush_messages = model->flush_messages,
		.flush_ms = INT64_MAX,
		.timestamp_before_ms = INT64_MAX,
		.timestamp_after_ms = INT64_MAX,
		.message_bytes_max = 1024 * 1024,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		.replica_lag_ms = LAG_MS,
		.min_insync_replicas = model->min_isr,
		.timestamp_type = OT_CREATE_TIME,
		.is_codec_kept = true,
	};
	settings.log.segment_bytes = 4096;
	return settings;
}

static void
create_part(struct node *node)
{
	struct ot_part_conf conf = {
		.owner = node->shard,
		.codecs = node->codecs,
		.topic = OT_STR_LIT("topic"),
		.topic_id = topic_id,
		.settings = settings_of(node->model),
		.dirs = node->dirs,
		.node_id = node->id,
		.on_open = on_open,
		.on_closed = on_closed,
		.on_isr_wanted = on_isr_wanted,
		.is_eligible = is_eligible,
		.arg = node,
	};
	ot_dirs_find(node->dirs, conf.topic, &conf.topic_id, 0, &conf.place);
	const struct ot_log_open_args args = {
		.fs = ot_sim_host_fs(node->host),
		.settings = conf.settings.log,
		.start_offset = conf.place.start_offset,
		.recovery_point = conf.place.recovery_point,
		.is_clean = conf.place.is_clean,
		.now = ot_io_wall(node->shard->io),
	};
	node->is_open = node->is_closed = node->wants_isr = false;
	node->part = ot_part_create(&conf, &args);
	ot_part_open(node->part);
}

static void
start_node(struct node *node)
{
	ot_shard_enter(NULL);
	for (int i = 0; i < 2; i++)
		node->ios[i] = ot_sim_io_create(node->host);
	node->set = ot_shard_set_create(1, node->ios, 1 << 26);
	node->shard = node->set->shards[0];
	node->codecs = ot_codec_ctx_create();
	node->registration = ++node->model->registrations;
	open_dirs(node);
	ot_shard_enter(node->shard);
	create_part(node);
	until(node->model, is_open, node);
	ot_shard_enter(node->shard);
	assert_int_equal(ot_part_state(node->part), OT_PART_ONLINE);
	ot_shard_enter(NULL);
}

/* The machine has stopped: all that is asked of its disk fails. */
static void
on_crash(void *arg)
{
	struct node *node = arg;
	if (node->set == NULL)
		return;
	ot_shard_enter(node->shard);
	if (node->part != NULL)
		ot_part_close(node->part, OT_LOG_CLOSE_DROP);
	ot_shard_enter(NULL);
	ot_sim_host_drain(node->host);
	assert_null(node->part);
	ot_dirs_close(node->dirs);
	ot_codec_ctx_destroy(node->codecs);
	ot_shard_set_destroy(node->set);
	node->set = NULL;
	for (int i = 0; i < 2; i++)
		ot_sim_io_destroy(node->ios[i]);
	assert_int_equal(ot_sim_disk_open_count(ot_sim_host_disk(node->host)), 0);
	assert_int_equal(ot_sim_disk_violation_count(ot_sim_host_disk(node->host)), 0);
}

static void
restart_node(struct node *node)
{
	ot_sim_host_restart(node->host);
	start_node(node);
}

static void
close_node(struct node *node)
{
	if (node->part != NULL)
		ot_sim_host_crash(node->host, OT_SIM_KILLED);
}

/* ---- the controller ---------------------------------------------------------------------------
 */

static bool
is_in_isr(const struct model *model, int32_t id)
{
	return ot_ids_have((struct ot_ids){ model->record.isr, model->record.isr_count }, id);
}

static struct node *
node_of(struct model *model, int32_t id)
{
	return &model->nodes[id - 1];
}

static void
remove_from_isr(struct model *model, int32_t id)
{
	struct record *record = &model->record;
	int32_t kept = 0;
	for (int32_t i = 0; i < record->isr_count; i++) {
		if (record->isr[i] != id)
			record->isr[kept++] = record->isr[i];
	}
	record->isr_count = kept;
}

/* Any replica in the ISR that lives; nobody if there is none. */
static void
elect(struct model *model)
{
	struct record *record = &model->record;
	int32_t able[NODES], count = 0;
	for (int32_t i = 0; i < record->isr_count; i++) {
		if (node_of(model, record->isr[i])->part != NULL)
			able[count++] = record->isr[i];
	}
	record->leader =
	    count > 0 ? able[ot_sim_random_below(&model->random, (uint64_t)count)] : NOBODY;
	record->leader_epoch++;
	record->partition_epoch++;
}

static void
tell(struct model *model, struct node *node)
{
	static const int32_t ids[] = { 1, 2, 3 };
	if (node->part == NULL)
		return;
	const struct ot_part_role role = {
		.leader_id = model->record.leader,
		.leader_epoch = model->record.leader_epoch,
		.partition_epoch = model->record.partition_epoch,
		.replicas = { ids, NODES },
		.isr = { model->record.isr, model->record.isr_count },
	};
	ot_shard_enter(node->shard);
	ot_part_set_role(node->part, &role);
	ot_shard_enter(NULL);
}

static ot_err
check_wish(const struct model *model, const struct ot_part_isr_wish *wish)
{
	if (wish->leader_epoch < model->record.leader_epoch)
		return OT_ERR_FENCED_LEADER_EPOCH;
	if (wish->partition_epoch < model->record.partition_epoch)
		return OT_ERR_INVALID_UPDATE_VERSION;
	for (int32_t i = 0; i < wish->count; i++) {
		const struct node *member = &model->nodes[wish->members[i].id - 1];
		if (member->part == NULL ||
		    (wish->members[i].epoch >= 0 && wish->members[i].epoch != member->registration))
			return OT_ERR_INELIGIBLE_REPLICA;
	}
	return OT_OK;
}

/* The leader's wish reaches the controller; the answer comes, or gets lost. */
static void
alter_isr(struct model *model, struct node *node)
{
	struct ot_part_isr_wish wish;
	struct record *record = &model->record;
	ot_shard_enter(node->shard);
	node->wants_isr = false;
	if (!ot_part_take_isr_wish(node->part, &wish))
		return;
	ot_err err = check_wish(model, &wish);
	if (err == OT_OK) {
		record->isr_count = wish.count;
		for (int32_t i = 0; i < wish.count; i++)
			record->isr[i] = wish.members[i].id;
		record->partition_epoch++;
	}
	const struct ot_part_role role = {
		.leader_id = record->leader,
		.leader_epoch = record->leader_epoch,
		.partition_epoch = record->partition_epoch,
		.isr = { record->isr, record->isr_count },
	};
	if (ot_sim_random_below(&model->random, 4) == 0)
		ot_part_isr_answered(node->part, &wish, OT_ERR_REQUEST_TIMED_OUT, NULL);
	else
		ot_part_isr_answered(node->part, &wish, err, err == OT_OK ? &role : NULL);
	ot_free(wish.members);
	ot_shard_enter(NULL);
}

/* ---- producing ---------------------------------------------------------------------------------
 */

struct producing {
	struct model *model;
	struct ot_append append;
	struct ot_writer bytes;
	struct ot_blob *blob;
};

static void
is_appended(struct ot_append *append)
{
	struct producing *producing = OT_CONTAINER_OF(append, struct producing, append);
	if (append->err == OT_OK && append->acks == -1)
		producing->model->acknowledged++;
	ot_free(append->bad_records);
	ot_blob_unref(producing->blob);
	ot_free(producing);
}

static void
produce(struct model *model, struct node *node)
{
	struct producing *producing = OT_NEW(struct producing);
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_writer bytes;
	char value[32];
	uint64_t count = ot_sim_random_between(&model->random, 1, 3);
	ot_shard_enter(node->shard);
	ot_writer_init(&bytes);
	ot_batch_builder_init(&builder, node->codecs);
	ot_batch_builder_begin(&builder, &options, &bytes);
	for (uint64_t i = 0; i < count; i++) {
		int length = snprintf(value, sizeof(value), "record %llu of node %d",
		    (unsigned long long)model->values++, node->id);
		const struct ot_record_data record = {
			.timestamp = 1000,
			.key = OT_BYTES_NULL,
			.value = { (const uint8_t *)value, length },
		};
		ot_batch_builder_append(&builder, &record);
	}
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_batch_builder_fini(&builder);
	producing->model = model;
	producing->blob = ot_blob_create(bytes.bytes);
	memcpy(producing->blob->data, bytes.data, bytes.bytes);
	producing->append = (struct ot_append){
		.blob = producing->blob,
		.records = { producing->blob->data, (int32_t)bytes.bytes },
		.acks = ot_sim_random_below(&model->random, 2) == 0 ? -1 : 1,
		.timeout_ms = 1000,
		.origin = OT_ORIGIN_CLIENT,
		.done = is_appended,
	};
	ot_writer_fini(&bytes);
	ot_part_append(node->part, &producing->append);
	ot_shard_enter(NULL);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct reading {
	struct ot_part_read read;
	bool is_done;
};

static void
is_read(struct ot_part_read *read)
{
	OT_CONTAINER_OF(read, struct reading, read)->is_done = true;
}

static bool
is_reading_done(void *arg)
{
	return ((struct reading *)arg)->is_done;
}

/* Reads at a node, and gives the bytes as a blob; NULL: none. */
static struct ot_blob *
read_at(struct node *node, struct reading *reading)
{
	struct ot_blob *blob = NULL;
	reading->is_done = false;
	reading->read.done = is_read;
	reading->read.bytes_max = 700;
	reading->read.is_one_at_least = true;
	ot_shard_enter(node->shard);
	ot_part_read(node->part, &reading->read);
	until(node->model, is_reading_done, reading);
	ot_shard_enter(node->shard);
	if (reading->read.bytes > 0) {
		size_t done = 0;
		blob = ot_blob_create(reading->read.bytes);
		assert_ok(ot_file_read(reading->read.file, blob->data, reading->read.bytes,
		    reading->read.place, &done));
		assert_int_equal(done, reading->read.bytes);
	}
	ot_file_unref(reading->read.file);
	ot_free(reading->read.aborted);
	ot_shard_enter(NULL);
	return blob;
}

static int64_t
end_of_batches(const uint8_t *data, size_t bytes, int64_t offset)
{
	while (bytes > 61) {
		size_t length = 12 + (size_t)ot_get_u32(data + 8);
		if (length > bytes)
			break;
		offset = (int64_t)ot_get_u64(data) + (int32_t)ot_get_u32(data + 23) + 1;
		data += length;
		bytes -= length;
	}
	return offset;
}

static size_t
whole_bytes(const uint8_t *data, size_t bytes)
{
	size_t whole = 0;
	while (bytes - whole > 61) {
		size_t length = 12 + (size_t)ot_get_u32(data + whole + 8);
		if (length > bytes - whole)
			break;
		whole += length;
	}
	return whole;
}

/* ---- following ---------------------------------------------------------------------------------
 */

struct taking {
	struct ot_part_fetched fetched;
	bool is_done;
};

static void
is_taken(struct ot_part_fetched *fetched, ot_err err)
{
	(void)err;
	OT_CONTAINER_OF(fetched, struct taking, fetched)->is_done = true;
}

static bool
is_taking_done(void *arg)
{
	return ((struct taking *)arg)->is_done;
}

static void
take(struct node *node, const struct ot_part_follow *state, const struct reading *reading,
    struct ot_blob *blob)
{
	struct taking taking = { .fetched = {
				     .leader_epoch = state->leader_epoch,
				     .blob = blob,
				     .high_watermark = reading->read.high_watermark,
				     .log_start_offset = reading->read.log_start_offset,
				     .done = is_taken,
				 } };
	if (blob != NULL)
		taking.fetched.records =
		    (struct ot_bytes){ blob->data, (int32_t)reading->read.bytes };
	ot_shard_enter(node->shard);
	ot_part_take_fetched(node->part, &taking.fetched);
	/* It may come to its end by the machine's. */
	until(node->model, is_taking_done, &taking);
}

/* As a fetcher does it: fetch, then append, cut, or begin anew. */
static void
fetch_once(struct model *model, struct node *node)
{
	struct ot_part_follow state;
	ot_shard_enter(node->shard);
	bool follows = ot_part_follow_state(node->part, &state);
	struct node *leader = follows ? node_of(model, state.leader_id) : NULL;
	if (!follows || leader->part == NULL)
		return;
	struct reading reading = { .read = {
				       .offset = state.fetch_offset,
				       .leader_epoch = state.leader_epoch,
				       .last_fetched_epoch = state.last_fetched_epoch,
				       .replica_id = node->id,
				       .replica_epoch = node->registration,
				       .replica_log_start = state.log_start_offset,
				   } };
	struct ot_blob *blob = read_at(leader, &reading);
	if (node->part == NULL) {
		ot_blob_unref(blob);
		return;
	}
	ot_shard_enter(node->shard);
	if (reading.read.err == OT_ERR_OFFSET_OUT_OF_RANGE) {
		int64_t end = ot_log_end_offset(ot_part_log(leader->part));
		model->cuts++;
		if (end < state.fetch_offset)
			(void)!ot_part_cut_to(node->part, state.leader_epoch, end);
	} else if (reading.read.err == OT_OK && reading.read.diverging_epoch >= 0) {
		model->cuts++;
		assert_true(ot_part_diverged(node->part, state.leader_epoch,
		    reading.read.diverging_epoch, reading.read.diverging_end_offset));
	} else if (reading.read.err == OT_OK) {
		take(node, &state, &reading, blob);
	}
	ot_blob_unref(blob);
	until(model, is_online, node);
}

static bool is_last_in_sync(struct model *model, int32_t id);
static void note_crash(struct model *model, struct node *node, bool loses_power);

/* Now and then the machine loses its power at one of the writes. */
static void
replicate(struct model *model, struct node *node)
{
	struct ot_sim_disk *disk = ot_sim_host_disk(node->host);
	bool is_risky = !model->is_calm && !is_last_in_sync(model, node->id) &&
	                ot_sim_random_below(&model->random, 10) == 0;
	if (node->part == NULL)
		return;
	if (is_risky)
		ot_sim_disk_crash_at(disk, ot_sim_random_between(&model->random, 1, 12));
	fetch_once(model, node);
	ot_sim_disk_crash_at(disk, 0);
	/* A crash under way comes to its end. */
	pass_ms(model, 1);
	if (node->part == NULL)
		note_crash(model, node, true);
}

/* ---- what must hold ----------------------------------------------------------------------------
 */

/* What lies below a node's watermark is what was seen before, and is remembered. */
static void
check_node(struct model *model, struct node *node)
{
	int64_t offset = 0;
	size_t place = 0;
	if (node->part == NULL)
		return;
	ot_shard_enter(node->shard);
	int64_t high = ot_part_high_watermark(node->part);
	int64_t log_end = ot_log_end_offset(ot_part_log(node->part));
	assert_true(high <= log_end);
	struct ot_part_follow state;
	bool may_read = ot_part_check_leader(node->part, -1) == OT_OK ||
	                ot_part_follow_state(node->part, &state);
	while (may_read && offset < high) {
		struct reading reading = { .read = {
					       .offset = offset,
					       .leader_epoch = -1,
					       .last_fetched_epoch = -1,
					       .is_follower_allowed = true,
					       .replica_id = -1,
					   } };
		struct ot_blob *blob = read_at(node, &reading);
		assert_ok(reading.read.err);
		if (blob == NULL)
			fail_msg("node %d has nothing at %lld below its watermark %lld", node->id,
			    (long long)offset, (long long)high);
		size_t bytes = whole_bytes(blob->data, reading.read.bytes);
		size_t known = OT_MIN(bytes, model->truth.bytes - place);
		if (known > 0 && memcmp(model->truth.data + place, blob->data, known) != 0)
			fail_msg("node %d has another record behind %lld", node->id,
			    (long long)offset);
		if (known < bytes)
			ot_write_raw(&model->truth, blob->data + known, bytes - known);
		place += bytes;
		offset = end_of_batches(blob->data, bytes, offset);
		model->truth_end = OT_MAX(model->truth_end, offset);
		ot_blob_unref(blob);
	}
	ot_shard_enter(NULL);
}

/* Whoever leads by the controller's word has all that was ever below a watermark. */
static void
check_leader(struct model *model)
{
	const struct record *record = &model->record;
	if (record->leader == NOBODY)
		return;
	struct node *leader = node_of(model, record->leader);
	if (leader->part == NULL)
		return;
	ot_shard_enter(leader->shard);
	bool leads = ot_part_check_leader(leader->part, record->leader_epoch) == OT_OK;
	int64_t log_end = leads ? ot_log_end_offset(ot_part_log(leader->part)) : INT64_MAX;
	ot_shard_enter(NULL);
	if (log_end < model->truth_end)
		fail_msg("node %d leads in epoch %d with %lld records, %lld were committed",
		    leader->id, record->leader_epoch, (long long)log_end,
		    (long long)model->truth_end);
}

static void
check(struct model *model)
{
	for (int i = 0; i < NODES; i++)
		check_node(model, &model->nodes[i]);
	check_leader(model);
}

/* ---- steps --------------------------------------------------------------------------------------
 */

/* A machine that may lose what it has must not be the last that has it all. */
static bool
is_last_in_sync(struct model *model, int32_t id)
{
	for (int32_t i = 0; i < model->record.isr_count; i++) {
		int32_t other = model->record.isr[i];
		if (other != id && node_of(model, other)->part != NULL)
			return false;
	}
	return is_in_isr(model, id);
}

static void
note_crash(struct model *model, struct node *node, bool loses_power)
{
	model->crashes++;
	if (loses_power || model->record.isr_count > 1)
		remove_from_isr(model, node->id);
	elect(model);
	for (int i = 0; loses_power && i < NODES; i++)
		tell(model, &model->nodes[i]);
}

static void
crash(struct model *model, struct node *node)
{
	bool loses_power =
	    ot_sim_random_below(&model->random, 2) == 0 && !is_last_in_sync(model, node->id);
	if (node->part == NULL)
		return;
	ot_sim_host_crash(node->host, loses_power ? OT_SIM_POWER_LOST : OT_SIM_KILLED);
	note_crash(model, node, loses_power);
}

static void
checkpoint(struct model *model, struct node *node)
{
	ot_shard_enter(node->shard);
	ot_part_checkpoint(node->part);
	pass_ms(model, 20);
	if (node->part == NULL)
		return;
	ot_shard_enter(node->shard);
	struct ot_dirs_row row = {
		.topic = OT_STR_LIT("topic"),
		.topic_id = topic_id,
		.high_watermark = ot_part_high_watermark(node->part),
	};
	ot_part_checkpoint_offsets(node->part, &row.start_offset, &row.recovery_point);
	assert_ok(ot_dirs_write_checkpoints(node->dirs, &row, 1));
	ot_shard_enter(NULL);
}

static void
step(struct model *model)
{
	uint64_t dice = ot_sim_random_below(&model->random, 100);
	struct node *node = &model->nodes[ot_sim_random_below(&model->random, NODES)];
	if (dice < 35) {
		replicate(model, node);
	} else if (dice < 60) {
		if (node->part != NULL)
			produce(model, node);
	} else if (dice < 70) {
		tell(model, node);
	} else if (dice < 80) {
		if (node->part != NULL && node->wants_isr)
			alter_isr(model, node);
	} else if (dice < 82) {
		elect(model);
	} else if (dice < 83) {
		crash(model, node);
	} else if (dice < 88) {
		if (node->part == NULL)
			restart_node(node);
	} else if (dice < 91) {
		if (node->part != NULL)
			checkpoint(model, node);
	} else {
		pass_ms(model, ot_sim_random_below(&model->random, dice < 99 ? 50 : 2 * LAG_MS));
	}
	for (int i = 0; i < NODES; i++) {
		if (model->nodes[i].part == NULL)
			continue;
		ot_shard_enter(model->nodes[i].shard);
		ot_part_tick(model->nodes[i].part, ot_io_wall(model->nodes[i].shard->io), false);
		ot_shard_enter(NULL);
	}
	pass_ms(model, 1);
}

/* All machines run, the controller's word is known, followers catch up: all logs are one. */
static void
settle(struct model *model)
{
	model->is_calm = true;
	for (int i = 0; i < NODES; i++) {
		if (model->nodes[i].part == NULL)
			restart_node(&model->nodes[i]);
	}
	if (model->record.leader == NOBODY)
		elect(model);
	assert_true(model->record.leader != NOBODY);
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < NODES; i++) {
			struct node *node = &model->nodes[i];
			tell(model, node);
			replicate(model, node);
			if (node->wants_isr)
				alter_isr(model, node);
		}
		pass_ms(model, 20);
	}
	assert_int_equal(model->record.isr_count, NODES);
	check(model);
	for (int i = 0; i < NODES; i++) {
		struct node *node = &model->nodes[i];
		ot_shard_enter(node->shard);
		assert_int_equal(ot_log_end_offset(ot_part_log(node->part)), model->truth_end);
		assert_int_equal(ot_part_high_watermark(node->part), model->truth_end);
		ot_shard_enter(NULL);
	}
}

static void
init_model(struct model *model, uint64_t seed)
{
	char address[16];
	*model = (struct model){ .world = ot_sim_world_create(seed) };
	ot_sim_random_init(&model->random, seed);
	ot_writer_init(&model->truth);
	model->min_isr = (int16_t)ot_sim_random_between(&model->random, 1, 2);
	model->flush_messages = ot_sim_random_below(&model->random, 3) == 0 ? 1 : INT64_MAX;
	model->record = (struct record){ 1, 0, 0, { 1, 2, 3 }, NODES };
	ot_sim_world_on_switch(model->world, on_switch, model);
	for (int i = 0; i < NODES; i++) {
		struct node *node = &model->nodes[i];
		snprintf(address, sizeof(address), "10.0.0.%d", i + 1);
		*node = (struct node){ .model = model, .id = i + 1 };
		node->host = ot_sim_host_create(model->world, address);
		ot_sim_host_on_crash(node->host, on_crash, node);
	}
	for (int i = 0; i < NODES; i++)
		start_node(&model->nodes[i]);
}

static void
fini_model(struct model *model)
{
	for (int i = 0; i < NODES; i++)
		close_node(&model->nodes[i]);
	ot_writer_fini(&model->truth);
	ot_shard_enter(NULL);
	ot_sim_world_destroy(model->world);
}

static void
run_seed(uint64_t seed)
{
	struct model model;
	print_message("seed %llu: OTTLA_MODEL_SEED=%llu runs it alone\n", (unsigned long long)seed,
	    (unsigned long long)seed);
	init_model(&model, seed);
	for (int i = 0; i < STEPS; i++) {
		step(&model);
		check(&model);
	}
	settle(&model);
	print_message("  %llu acknowledged, %lld committed, %llu cuts, %llu crashes\n",
	    (unsigned long long)model.acknowledged, (long long)model.truth_end,
	    (unsigned long long)model.cuts, (unsigned long long)model.crashes);
	fini_model(&model);
}

static void
test_model(void **state)
{
	(void)state;
	/* Goal: nothing that was below a high watermark is lost or changed while one replica in
	 * sync lives, and in the end all logs are the same. Method: random steps, checked one by
	 * one; OTTLA_MODEL_SEEDS says how many seeds, OTTLA_MODEL_SEED which one. */
	const char *one = getenv("OTTLA_MODEL_SEED"), *many = getenv("OTTLA_MODEL_SEEDS");
	uint64_t count = many != NULL ? strtoull(many, NULL, 10) : SEEDS;
	if (one != NULL) {
		run_seed(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= count; seed++)
		run_seed(seed);
}

/* ---- by plan ------------------------------------------------------------------------------------
 */

/* The controller's word, to all: `leader` leads in the next epoch, in sync with nobody else. */
static void
appoint(struct model *model, int32_t leader)
{
	model->record.leader = leader;
	model->record.leader_epoch++;
	model->record.partition_epoch++;
	model->record.isr[0] = leader;
	model->record.isr_count = 1;
	for (int i = 0; i < NODES; i++)
		tell(model, &model->nodes[i]);
}

static void
produce_many(struct model *model, int32_t id, int count)
{
	for (int i = 0; i < count; i++) {
		produce(model, node_of(model, id));
		pass_ms(model, 5);
	}
}

/* All that a node shows below its watermark, as bytes. */
static void
read_all(struct node *node, struct ot_writer *out)
{
	int64_t offset = 0;
	ot_writer_init(out);
	while (offset < ot_part_high_watermark(node->part)) {
		struct reading reading = { .read = {
					       .offset = offset,
					       .leader_epoch = -1,
					       .last_fetched_epoch = -1,
					       .is_follower_allowed = true,
					       .replica_id = -1,
					   } };
		struct ot_blob *blob = read_at(node, &reading);
		assert_non_null(blob);
		size_t bytes = whole_bytes(blob->data, reading.read.bytes);
		ot_write_raw(out, blob->data, bytes);
		offset = end_of_batches(blob->data, bytes, offset);
		ot_blob_unref(blob);
	}
}

static void
assert_same(struct node *a, struct node *b)
{
	struct ot_writer left, right;
	ot_shard_enter(NULL);
	read_all(a, &left);
	read_all(b, &right);
	assert_int_equal(left.bytes, right.bytes);
	assert_memory_equal(left.data, right.data, left.bytes);
	ot_writer_fini(&left);
	ot_writer_fini(&right);
}

/* False when the follower did not come to its n-th write. */
static bool
cut_with_crash(uint64_t n)
{
	struct model model;
	init_model(&model, 1);
	model.is_calm = true;
	struct node *follower = &model.nodes[1], *leader = &model.nodes[2];
	struct ot_sim_disk *disk = ot_sim_host_disk(follower->host);
	appoint(&model, 1);
	produce_many(&model, 1, 2);
	for (int i = 0; i < 4; i++)
		replicate(&model, leader);
	produce_many(&model, 1, 30);
	for (int i = 0; i < 40; i++)
		replicate(&model, follower);
	checkpoint(&model, follower);
	appoint(&model, 3);
	produce_many(&model, 3, 60);
	ot_sim_disk_crash_at(disk, n);
	for (int i = 0; i < 60 && follower->part != NULL; i++) {
		fetch_once(&model, follower);
		pass_ms(&model, 1);
	}
	ot_sim_disk_crash_at(disk, 0);
	bool has_crashed = follower->part == NULL;
	if (has_crashed)
		restart_node(follower);
	tell(&model, follower);
	for (int i = 0; i < 100; i++)
		replicate(&model, follower);
	assert_same(leader, follower);
	fini_model(&model);
	return has_crashed;
}

static void
test_crash_at_each_write_of_a_cut(void **state)
{
	(void)state;
	/* Goal: a follower that loses power at any write of a cut below its recovery point opens
	 * again, and has the leader's log in the end. Method: 32 batches that are synced and
	 * checkpointed, of which another leader has two, and 60 of its own: what is appended behind
	 * the cut goes beyond the old recovery point. A crash at each write in turn. */
	uint64_t n = 1;
	while (cut_with_crash(n))
		n++;
	assert_true(n > 8);
}

static void
test_watermark_after_a_restart(void **state)
{
	(void)state;
	/* Goal: a replica knows from its checkpoint what was committed, as far as its log goes: a
	 * follower shows that much before it hears from its leader. Method: a checkpoint, more
	 * records, a kill; then the same with a log that has lost its end. */
	struct model model;
	init_model(&model, 3);
	model.is_calm = true;
	struct node *follower = &model.nodes[1];
	appoint(&model, 1);
	produce_many(&model, 1, 5);
	for (int i = 0; i < 10; i++)
		replicate(&model, follower);
	ot_shard_enter(follower->shard);
	int64_t known = ot_part_high_watermark(follower->part);
	assert_true(known >= 5);
	checkpoint(&model, follower);
	produce_many(&model, 1, 5);
	for (int i = 0; i < 10; i++)
		replicate(&model, follower);
	ot_sim_host_crash(follower->host, OT_SIM_KILLED);
	restart_node(follower);
	assert_int_equal(ot_part_high_watermark(follower->part), known);
	tell(&model, follower);
	assert_int_equal(ot_part_high_watermark(follower->part), known);
	fini_model(&model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_crash_at_each_write_of_a_cut),
		cmocka_unit_test(test_watermark_after_a_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
