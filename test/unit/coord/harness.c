#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/blob.h"
#include "record/compress.h"
#include "record/control.h"

/* ---- io ------------------------------------------------------------------------------------ */

static ot_mono_ns
io_now(struct ot_io *io, bool exact)
{
	(void)exact;
	return ((struct fake_io *)io)->now;
}

static ot_wall_ms
io_wall(struct ot_io *io)
{
	struct fake_io *fake = (struct fake_io *)io;
	return (ot_wall_ms)(fake->now / OT_NS_PER_MS) + fake->wall_ahead;
}

static void
io_random(struct ot_io *io, void *to, size_t bytes)
{
	struct fake_io *fake = (struct fake_io *)io;
	for (size_t i = 0; i < bytes; i++) {
		fake->random = fake->random * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)to)[i] = (uint8_t)(fake->random >> 56);
	}
}

static void
io_wake_at(struct ot_io *io, ot_mono_ns at)
{
	(void)io;
	(void)at;
}

static void
io_ring(struct ot_io *io)
{
	(void)io;
}

static const struct ot_io_ops io_ops = {
	.now = io_now,
	.wall = io_wall,
	.random = io_random,
	.wake_at = io_wake_at,
	.ring = io_ring,
};

/* ---- log ----------------------------------------------------------------------------------- */

static struct fake_log *
from_log(struct ot_coord_log *log)
{
	return (struct fake_log *)log;
}

static void
log_keep(struct fake_log *log, struct ot_blob *blob, const struct ot_batch_info *info)
{
	assert_true(log->batch_count < FAKE_LOG_BATCHES_MAX);
	ot_batch_set_base_offset(blob->data, log->end_offset);
	ot_batch_set_leader_epoch(blob->data, 1);
	log->batches[log->batch_count++] = ot_blob_ref(blob);
	log->end_offset += info->last_offset_delta + 1;
}

/* Whether the newest of those that wait is going to fail: then all behind it fail too. */
static bool
is_last_failing(const struct fake_log *log)
{
	if (ot_list_is_empty(&log->waiting))
		return false;
	return OT_CONTAINER_OF(log->waiting.prev, struct ot_coord_append, link)->next_offset < 0;
}

static ot_err
append_err(struct fake_log *log)
{
	if (is_last_failing(log))
		return (ot_err)-OT_CONTAINER_OF(log->waiting.prev, struct ot_coord_append, link)
		    ->next_offset;
	if (log->fail_err == OT_OK)
		return OT_OK;
	if (log->fail_countdown == 0)
		return log->fail_err;
	log->fail_countdown--;
	return OT_OK;
}

static void
log_append(struct ot_coord_log *base, struct ot_coord_append *append)
{
	struct fake_log *log = from_log(base);
	struct ot_batch_info info;
	log->append_count++;
	assert_ok(ot_batch_validate(append->blob->data, append->blob->bytes,
	    &(struct ot_batch_rules){ .origin = OT_ORIGIN_COORDINATOR, .is_only = true }, &info,
	    NULL));
	assert_int_equal(info.record_count, append->info.record_count);
	assert_true(info.bytes <= base->batch_bytes_max);

	ot_err err = append_err(log);
	if (err != OT_OK && !log->is_failing_late && !is_last_failing(log)) {
		append->on_done(append, err); /* overtakes those that wait */
		return;
	}
	if (err == OT_OK) {
		log_keep(log, append->blob, &info);
		append->next_offset = log->end_offset;
		if (!log->is_held && ot_list_is_empty(&log->waiting)) {
			append->on_done(append, OT_OK);
			return;
		}
	} else {
		append->next_offset = -err;
	}
	ot_list_push_back(&log->waiting, &append->link);
}

void
fake_log_commit(struct harness *h)
{
	struct fake_log *log = &h->log;
	ot_shard_enter(h->shard);
	while (!ot_list_is_empty(&log->waiting)) {
		struct ot_coord_append *append =
		    OT_LIST_FIRST(&log->waiting, struct ot_coord_append, link);
		ot_list_remove(&append->link);
		append->on_done(append,
		    append->next_offset < 0 ? (ot_err)-append->next_offset : OT_OK);
	}
	harness_turn(h);
}

static void
read_answer(struct fake_log *log, struct ot_coord_read *read)
{
	if (log->read_err != OT_OK) {
		read->on_done(read, log->read_err);
		return;
	}
	size_t bytes = 0;
	uint32_t first = log->batch_count;
	uint32_t end = 0;
	for (uint32_t i = 0; i < log->batch_count; i++) {
		struct ot_blob *batch = log->batches[i];
		if (ot_batch_last_offset(batch->data) < read->offset)
			continue;
		if (ot_batch_base_offset(batch->data) >= log->read_end ||
		    (bytes > 0 && bytes + batch->bytes > read->bytes_max))
			break;
		first = OT_MIN(first, i);
		end = i + 1;
		bytes += batch->bytes;
	}
	assert_true(end > first);
	read->blob = ot_blob_create(bytes);
	read->data = read->blob->data;
	read->bytes = bytes;
	size_t place = 0;
	for (uint32_t i = first; i < end; i++) {
		memcpy(read->blob->data + place, log->batches[i]->data, log->batches[i]->bytes);
		place += log->batches[i]->bytes;
		read->next_offset = ot_batch_last_offset(log->batches[i]->data) + 1;
	}
	read->on_done(read, OT_OK);
}

static void
log_read(struct ot_coord_log *base, struct ot_coord_read *read)
{
	struct fake_log *log = from_log(base);
	assert_null(log->read);
	if (log->is_read_held)
		log->read = read;
	else
		read_answer(log, read);
}

static void
log_bounds(struct ot_coord_log *base, int64_t *ret_start, int64_t *ret_end)
{
	*ret_start = from_log(base)->start_offset;
	*ret_end = from_log(base)->end_offset;
	from_log(base)->read_end = *ret_end;
}

static void
log_trim(struct ot_coord_log *base, int64_t offset)
{
	struct fake_log *log = from_log(base);
	uint32_t kept = 0;
	log->trim_offset = offset;
	log->start_offset = offset;
	for (uint32_t i = 0; i < log->batch_count; i++) {
		if (ot_batch_last_offset(log->batches[i]->data) < offset)
			ot_blob_unref(log->batches[i]);
		else
			log->batches[kept++] = log->batches[i];
	}
	log->batch_count = kept;
}

static const struct ot_coord_log_ops log_ops = {
	.append = log_append,
	.read = log_read,
	.bounds = log_bounds,
	.trim = log_trim,
};

static void
log_write(struct fake_log *log, struct ot_writer *out, const struct ot_batch_info *info)
{
	struct ot_blob *blob = ot_blob_create(out->bytes);
	memcpy(blob->data, out->data, out->bytes);
	log_keep(log, blob, info);
	ot_blob_unref(blob);
	ot_writer_fini(out);
}

void
fake_log_write(struct fake_log *log, const struct ot_batch_options *options,
    const struct ot_record_data *records, int count)
{
	struct ot_writer out;
	struct ot_batch_builder builder;
	struct ot_batch_info info;
	ot_writer_init(&out);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, options, &out);
	for (int i = 0; i < count; i++)
		ot_batch_builder_append(&builder, &records[i]);
	assert_ok(ot_batch_builder_finish(&builder, &info));
	ot_batch_builder_fini(&builder);
	log_write(log, &out, &info);
}

void
fake_log_write_marker(struct fake_log *log, int64_t producer_id, bool is_commit)
{
	struct ot_writer out;
	struct ot_batch_info info;
	ot_writer_init(&out);
	assert_ok(ot_build_end_txn(&(struct ot_control_place){ .timestamp = 1 },
	    &(struct ot_end_txn_marker){ .producer_id = producer_id, .is_commit = is_commit },
	    &out));
	assert_ok(ot_batch_parse(out.data, out.bytes, &info, NULL));
	log_write(log, &out, &info);
}

void
fake_log_each(struct fake_log *log, visit_record *visit, void *arg)
{
	struct ot_codec_ctx *codec = ot_codec_ctx_create();
	for (uint32_t i = 0; i < log->batch_count; i++) {
		struct ot_batch_info info;
		struct ot_record_iter iter;
		struct ot_record record;
		struct ot_record_iter_options options = { .ctx = codec };
		const struct ot_blob *batch = log->batches[i];
		assert_ok(ot_batch_parse(batch->data, batch->bytes, &info, NULL));
		assert_ok(ot_record_iter_open(&iter, batch->data, &info, &options, NULL));
		while (ot_record_iter_next(&iter, &record))
			visit(arg, &record);
		assert_ok(ot_record_iter_close(&iter));
	}
	ot_codec_ctx_destroy(codec);
}

/* ---- shard and coordinator ----------------------------------------------------------------- */

void
harness_init(struct harness *h)
{
	memset(h, 0, sizeof(*h));
	struct ot_io *ios[2];
	for (int i = 0; i < 2; i++) {
		ot_io_init(&h->ios[i].io, &io_ops, NULL);
		h->ios[i].now = 1000 * OT_NS_PER_S;
		h->ios[i].wall_ahead = 1700000000000;
		h->ios[i].random = (uint64_t)i + 7;
		ios[i] = &h->ios[i].io;
	}
	h->set = ot_shard_set_create(1, ios, OT_MIB);
	h->shard = h->set->shards[0];
	h->codec = ot_codec_ctx_create();
	ot_shard_enter(h->shard);
	h->log.log.ops = &log_ops;
	h->log.log.batch_bytes_max = OT_MIB;
	h->log.trim_offset = -1;
	ot_list_init(&h->log.waiting);
}

void
harness_coord(struct harness *h, struct ot_coord_machine *machine, uint64_t rewrite_bytes_min)
{
	h->coord = ot_coord_create(&(struct ot_coord_options){
	    .shard = h->shard,
	    .log = &h->log.log,
	    .machine = machine,
	    .name = "__consumer_offsets-0",
	    .codec = h->codec,
	    .write_timeout_ms = 5000,
	    .load_chunk_bytes = 64 * 1024,
	    .rewrite_bytes_min = rewrite_bytes_min,
	});
}

void
harness_groups(struct harness *h, const struct ot_group_options *options)
{
	h->groups = ot_groups_create(&h->ios[0].io, options);
	harness_coord(h, ot_groups_machine(h->groups), 0);
	harness_load(h);
}

static void
note_destroyed(void *arg)
{
	*(bool *)arg = true;
}

void
harness_fini(struct harness *h)
{
	ot_shard_enter(h->shard);
	if (h->coord != NULL) {
		ot_coord_destroy(h->coord, note_destroyed, &h->is_coord_destroyed);
		if (h->log.read != NULL)
			read_answer(&h->log, h->log.read);
		fake_log_commit(h);
		assert_true(h->is_coord_destroyed);
	}
	if (h->groups != NULL)
		ot_groups_destroy(h->groups);
	for (uint32_t i = 0; i < h->log.batch_count; i++)
		ot_blob_unref(h->log.batches[i]);
	ot_shard_self = NULL;
	ot_shard_set_destroy(h->set);
	ot_codec_ctx_destroy(h->codec);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(h->ios[i].io.timers.count, 0);
		ot_io_fini(&h->ios[i].io);
	}
	keep_free_all();
}

void
harness_turn(struct harness *h)
{
	ot_shard_enter(h->shard);
	ot_shard_end_turn(h->shard);
	if (h->groups != NULL)
		ot_groups_check(h->groups);
}

void
harness_advance(struct harness *h, int64_t ms)
{
	struct fake_io *io = &h->ios[0];
	ot_mono_ns end = io->now + (ot_mono_ns)ms * OT_NS_PER_MS;
	ot_shard_enter(h->shard);
	harness_turn(h);
	while (ot_io_next_deadline(&io->io) <= end) {
		io->now = OT_MAX(io->now, ot_io_next_deadline(&io->io));
		ot_io_expire(&io->io, io->now);
		harness_turn(h);
	}
	io->now = end;
}

void
harness_load(struct harness *h)
{
	ot_shard_enter(h->shard);
	ot_coord_load(h->coord, 1);
	harness_advance(h, 1);
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct ot_str
str(const char *text)
{
	return ot_str_from(text);
}

static uint64_t done_count;

/* Whatever is answered can be said in the version that was asked in. */
static void
ask_on_done(struct ot_group_call *call)
{
	struct ask *ask = (struct ask *)call;
	assert_false(ask->is_done);
	ask->is_done = true;
	ask->done_number = ++done_count;
	if (ask->response_type == NULL)
		return;
	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(ot_msg_encode(ask->response_type, call->version, &ask->response, &out, NULL));
	ot_writer_fini(&out);
}

struct ask *
ask_create(int16_t version, const struct ot_msg *response_type)
{
	struct ask *ask = calloc(1, sizeof(*ask));
	ot_arena_init(&ask->arena, 0);
	ask->response_type = response_type;
	ask->call.version = version;
	ask->call.client_id = str("client");
	ask->call.client_host = str("/127.0.0.1");
	ask->call.arena = &ask->arena;
	ask->call.on_done = ask_on_done;
	return ask;
}

void
ask_free(struct ask *ask)
{
	assert_true(ask->is_done);
	ot_arena_fini(&ask->arena);
	free(ask);
}

static char *kept[100000];
static int kept_count;

struct ot_str
keep(struct ot_str text)
{
	char *copy = ot_must_strndup(text.data, (size_t)text.len);
	kept[kept_count++] = copy;
	return (struct ot_str){ .data = copy, .len = text.len };
}

void
keep_free_all(void)
{
	while (kept_count > 0)
		ot_free(kept[--kept_count]);
}

static void
fill_protocols(struct ask *ask, const char *names, struct ot_bytes metadata)
{
	struct ot_join_group_request *request = &ask->request.join;
	int32_t count = 1;
	for (const char *p = names; *p != '\0'; p++)
		count += *p == ',';
	request->protocols = ot_join_group_request_protocol_array(&ask->arena, count);
	request->protocols_count = count;
	for (int32_t i = 0; i < count; i++) {
		size_t len = strcspn(names, ",");
		request->protocols[i].name = (struct ot_str){ .data = names, .len = (int32_t)len };
		request->protocols[i].metadata = metadata;
		names += len + 1;
	}
}

struct ask *
ask_join(struct harness *h, const struct join_args *args)
{
	int16_t version = args->version == 0 ? 9 : args->version;
	struct ask *ask = ask_create(version < 0 ? 0 : version, &ot_join_group_response_msg);
	struct ot_join_group_request *request = &ask->request.join;
	ot_join_group_request_init(request);
	if (args->client != NULL)
		ask->call.client_id = str(args->client);
	request->group_id = str(args->group);
	request->member_id = args->member == NULL ? OT_STR_LIT("") : str(args->member);
	request->group_instance_id = str(args->instance);
	request->protocol_type = str(args->type == NULL ? "consumer" : args->type);
	request->session_timeout_ms = args->session_ms == 0 ? 10000 : args->session_ms;
	if (version > 0)
		request->rebalance_timeout_ms =
		    args->rebalance_ms == 0 ? 60000 : args->rebalance_ms;
	const char *text = args->metadata == NULL ? "sub" : args->metadata;
	struct ot_bytes metadata = { (const uint8_t *)text, (int32_t)strlen(text) };
	if (args->metadata_bytes.len > 0)
		metadata = args->metadata_bytes;
	fill_protocols(ask, args->protocols == NULL ? "range" : args->protocols, metadata);
	ot_shard_enter(h->shard);
	ot_group_join(h->groups, &ask->call, request, &ask->response.join);
	harness_turn(h);
	return ask;
}

static void
fill_assignments(struct ask *ask, const char *text)
{
	struct ot_sync_group_request *request = &ask->request.sync;
	int32_t count = 0;
	for (const char *p = text; *p != '\0'; p++)
		count += *p == '=';
	request->assignments = ot_sync_group_request_assignment_array(&ask->arena, count);
	request->assignments_count = count;
	for (int32_t i = 0; i < count; i++) {
		size_t id_len = strcspn(text, "=");
		const char *value = text + id_len + 1;
		size_t value_len = strcspn(value, ";");
		request->assignments[i].member_id =
		    (struct ot_str){ .data = text, .len = (int32_t)id_len };
		request->assignments[i].assignment =
		    (struct ot_bytes){ .data = (const uint8_t *)value, .len = (int32_t)value_len };
		text = value + value_len + (value[value_len] == ';');
	}
}

struct ask *
ask_sync(struct harness *h, const char *group, struct ot_str member, int32_t generation,
    const char *assignments)
{
	struct ask *ask = ask_create(5, &ot_sync_group_response_msg);
	struct ot_sync_group_request *request = &ask->request.sync;
	ot_sync_group_request_init(request);
	request->group_id = str(group);
	request->member_id = member;
	request->generation_id = generation;
	fill_assignments(ask, assignments == NULL ? "" : assignments);
	ot_shard_enter(h->shard);
	ot_group_sync(h->groups, &ask->call, request, &ask->response.sync);
	harness_turn(h);
	return ask;
}

ot_err
ask_heartbeat(struct harness *h, const char *group, struct ot_str member, const char *instance,
    int32_t generation)
{
	struct ask *ask = ask_create(4, &ot_heartbeat_response_msg);
	struct ot_heartbeat_request *request = &ask->request.heartbeat;
	ot_heartbeat_request_init(request);
	request->group_id = str(group);
	request->member_id = member;
	request->group_instance_id = str(instance);
	request->generation_id = generation;
	ot_shard_enter(h->shard);
	ot_group_heartbeat(h->groups, &ask->call, request, &ask->response.heartbeat);
	harness_turn(h);
	ot_err err = ask->response.heartbeat.error_code;
	ask_free(ask);
	return err;
}

struct ask *
ask_leave(struct harness *h, const char *group, struct ot_str member, const char *instance,
    int16_t version)
{
	struct ask *ask = ask_create(version, &ot_leave_group_response_msg);
	struct ot_leave_group_request *request = &ask->request.leave;
	ot_leave_group_request_init(request);
	request->group_id = str(group);
	if (version < 3) {
		request->member_id = member;
	} else {
		request->members = ot_leave_group_request_member_array(&ask->arena, 1);
		request->members_count = 1;
		request->members[0].member_id = member;
		request->members[0].group_instance_id = str(instance);
	}
	ot_shard_enter(h->shard);
	ot_group_leave(h->groups, &ask->call, request, &ask->response.leave);
	harness_turn(h);
	return ask;
}

struct ask *
ask_commit(struct harness *h, const char *group, struct ot_str member, int32_t generation,
    const char *topic, int32_t partition, int64_t offset)
{
	struct ask *ask = ask_create(9, &ot_offset_commit_response_msg);
	struct ot_offset_commit_request *request = &ask->request.commit;
	ot_offset_commit_request_init(request);
	request->group_id = str(group);
	request->member_id = member;
	request->generation_id_or_member_epoch = generation;
	request->topics = ot_offset_commit_request_topic_array(&ask->arena, 1);
	request->topics_count = 1;
	request->topics[0].name = str(topic);
	request->topics[0].partitions = ot_offset_commit_request_partition_array(&ask->arena, 1);
	request->topics[0].partitions_count = 1;
	request->topics[0].partitions[0].partition_index = partition;
	request->topics[0].partitions[0].committed_offset = offset;
	ot_shard_enter(h->shard);
	ot_group_offset_commit(h->groups, &ask->call, request, &ask->response.commit);
	harness_turn(h);
	return ask;
}

struct ask *
ask_fetch(struct harness *h, const char *group, const char *topic, int32_t partition)
{
	struct ask *ask = ask_create(9, NULL);
	struct ot_offset_fetch_request_group *request = &ask->request.fetch;
	ot_offset_fetch_request_group_init(request);
	request->group_id = str(group);
	if (topic == NULL) {
		request->topics_count = -1;
	} else {
		request->topics = ot_offset_fetch_request_group_topic_array(&ask->arena, 1);
		request->topics_count = 1;
		request->topics[0].name = str(topic);
		request->topics[0].partition_indexes =
		    ot_arena_array(&ask->arena, 1, sizeof(int32_t));
		request->topics[0].partition_indexes[0] = partition;
		request->topics[0].partition_indexes_count = 1;
	}
	ot_shard_enter(h->shard);
	ot_group_offset_fetch(h->groups, &ask->call, request, true, &ask->response.fetch);
	harness_turn(h);
	return ask;
}

ot_err
commit_now(struct harness *h, const char *group, const char *topic, int32_t partition,
    int64_t offset)
{
	struct ask *ask = ask_commit(h, group, OT_STR_LIT(""), -1, topic, partition, offset);
	assert_true(ask->is_done);
	ot_err err = ask->response.commit.topics[0].partitions[0].error_code;
	ask_free(ask);
	return err;
}

int64_t
fetch_now(struct harness *h, const char *group, const char *topic, int32_t partition)
{
	struct ask *ask = ask_fetch(h, group, topic, partition);
	assert_true(ask->is_done);
	assert_int_equal(ask->response.fetch.error_code, 0);
	int64_t offset = ask->response.fetch.topics[0].partitions[0].committed_offset;
	ask_free(ask);
	return offset;
}

/* ---- members ------------------------------------------------------------------------------- */

const struct join_args join_plain = { 0 };

const char *
state_of(struct harness *h, const char *group)
{
	static char text[40];
	struct ot_arena arena;
	struct ot_describe_groups_response_group described;
	ot_arena_init(&arena, 0);
	ot_group_describe(h->groups, str(group), 5, &arena, &described);
	assert_int_equal(described.error_code, 0);
	memcpy(text, described.group_state.data, (size_t)described.group_state.len);
	text[described.group_state.len] = '\0';
	ot_arena_fini(&arena);
	return text;
}

struct ot_str
member_of(struct ask *ask, int32_t generation)
{
	assert_true(ask->is_done);
	assert_int_equal(ask->response.join.error_code, 0);
	assert_int_equal(ask->response.join.generation_id, generation);
	struct ot_str id = keep(ask->response.join.member_id);
	ask_free(ask);
	return id;
}

void
assert_join_err(struct ask *ask, ot_err err)
{
	assert_true(ask->is_done);
	assert_int_equal(ask->response.join.error_code, err);
	assert_int_equal(ask->response.join.generation_id, -1);
	ask_free(ask);
}

struct ask *
join_dynamic(struct harness *h, const char *group, const struct join_args *args)
{
	struct join_args own = *args;
	own.group = group;
	struct ask *ask = ask_join(h, &own);
	assert_true(ask->is_done);
	assert_int_equal(ask->response.join.error_code, OT_ERR_MEMBER_ID_REQUIRED);
	own.member = keep(ask->response.join.member_id).data;
	ask_free(ask);
	return ask_join(h, &own);
}

struct ot_str
stable_with_one(struct harness *h, const char *group)
{
	struct ask *join = join_dynamic(h, group, &join_plain);
	harness_advance(h, 3000);
	struct ot_str id = member_of(join, 1);
	char assignment[100];
	snprintf(assignment, sizeof(assignment), "%s=a1", id.data);
	struct ask *sync = ask_sync(h, group, id, 1, assignment);
	assert_true(sync->is_done);
	assert_int_equal(sync->response.sync.error_code, 0);
	assert_bytes(sync->response.sync.assignment, "a1");
	ask_free(sync);
	assert_state(h, group, "Stable");
	return id;
}

/* ---- dumps --------------------------------------------------------------------------------- */

char *
groups_dump(const struct ot_groups *groups, bool with_soft)
{
	struct ot_writer out;
	ot_writer_init(&out);
	ot_groups_dump(groups, with_soft, &out);
	assert_false(out.failed);
	char *text = ot_must_strndup((const char *)out.data, out.bytes);
	ot_writer_fini(&out);
	return text;
}

static void
reload_equal(struct harness *h, bool with_soft)
{
	struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
	struct ot_groups *other = ot_groups_create(&h->ios[0].io, &options);
	struct ot_coord *coord = ot_coord_create(&(struct ot_coord_options){
	    .shard = h->shard,
	    .log = &h->log.log,
	    .machine = ot_groups_machine(other),
	    .name = "reloaded",
	    .codec = h->codec,
	    .write_timeout_ms = 5000,
	    .load_chunk_bytes = 4096,
	});
	/* Time goes on while it loads: what is live now counts. */
	ot_shard_enter(h->shard);
	char *live = groups_dump(h->groups, with_soft);
	ot_coord_load(coord, 1);
	harness_advance(h, 1);
	assert_int_equal(ot_coord_state(coord), OT_COORD_ACTIVE);
	ot_groups_check(other);
	char *loaded = groups_dump(other, with_soft);
	if (strcmp(loaded, live) != 0) {
		fprintf(stderr, "--- loaded\n%s--- live\n%s", loaded, live);
		fail_msg("live and loaded state differ");
	}
	ot_free(live);
	ot_free(loaded);
	ot_coord_destroy(coord, NULL, NULL);
	ot_groups_destroy(other);
}

void
assert_reload_equal(struct harness *h)
{
	reload_equal(h, true);
}

void
assert_hard_equal(struct harness *h)
{
	reload_equal(h, false);
}
