/* Tests of fetchers: followers on one machine, leaders that are played on two others, each on a
 * simulated network. A leader keeps the requests that come; the test looks at them and answers. */
#include "stage.h"

#include <stdio.h>

#include "cluster/image.h"
#include "wire/recordio.h"
#include "config/properties.h"
#include "replica/fetchers.h"
#include "replica/throttle.h"
#include "wire/conn.h"
#include "wire/msg_gen.h"

enum {
	PARTS_MAX = 200,
	LEADERS = 2, /* brokers 2 and 3 */
	PORT = 9092,
	PENDING_MAX = 8,
	WAIT_MS = 500,
	BACKOFF_MS = 1000,
	TIMEOUT_MS = 5000,
	EPOCH = 4, /* of leaders at first */
	BROKER_EPOCH = 55,
};

struct leader {
	struct scene *scene;
	struct ot_sim_host *host;
	struct ot_io *ios[2];
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct ot_conn_host conns;
	struct ot_listener *listener;
	struct ot_request *pending[PENDING_MAX]; /* oldest first */
	int pending_count;
	uint32_t connections;
};

struct scene {
	struct stage stage; /* the followers' machine, without a partition of its own */
	struct leader leaders[LEADERS];
	struct ot_fetchers *fetchers;
	struct ot_throttle *throttle;
	struct ot_settings *settings;
	struct ot_image *image;
	struct ot_part *parts[PARTS_MAX];
	int part_count;
	int opened;
	int closed;
};

/* ---- leaders ----------------------------------------------------------------------------------
 */

static struct leader *
leader_of(struct scene *scene, int32_t id)
{
	return &scene->leaders[id - 2];
}

static void
on_switch(void *arg, struct ot_io *io)
{
	struct scene *scene = arg;
	for (int i = 0; io != NULL && i < LEADERS; i++) {
		struct leader *leader = &scene->leaders[i];
		for (int j = 0; leader->set != NULL && j < 2; j++) {
			if (io == leader->ios[j]) {
				ot_shard_enter(leader->set->shards[j]);
				return;
			}
		}
	}
	stage_enter(&scene->stage, io);
}

static void
forget(struct leader *leader, const struct ot_request *request)
{
	int kept = 0;
	for (int i = 0; i < leader->pending_count; i++) {
		if (leader->pending[i] != request)
			leader->pending[kept++] = leader->pending[i];
	}
	leader->pending_count = kept;
}

static void
on_request(void *arg, struct ot_request *request)
{
	struct leader *leader = arg;
	assert_true(leader->pending_count < PENDING_MAX);
	void *body = ot_arena_alloc(&request->arena, request->api->request->body->bytes);
	struct ot_reader in = ot_reader_of(request->body.data, (size_t)request->body.len);
	assert_ok(ot_msg_decode(request->api->request, request->header.request_api_version, &in,
	    &request->arena, body));
	request->op = body;
	leader->pending[leader->pending_count++] = request;
}

static const struct ot_conn_handler handler = { .on_request = on_request };

static void
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct leader *leader = arg;
	leader->connections++;
	ot_conn_open(&leader->conns, accepted, NULL);
}

static void
start_leader(struct scene *scene, int32_t id)
{
	struct leader *leader = leader_of(scene, id);
	const struct ot_conn_limits limits = {
		.frame_bytes_max = OT_MIB,
		.idle_ms_max = -1,
		.pipeline_count_max = 16,
	};
	char address[16];
	snprintf(address, sizeof(address), "10.0.0.%d", id);
	leader->scene = scene;
	leader->host = ot_sim_host_create(scene->stage.world, address);
	for (int i = 0; i < 2; i++)
		leader->ios[i] = ot_sim_io_create(leader->host);
	leader->set = ot_shard_set_create(1, leader->ios, 1 << 26);
	leader->shard = leader->set->shards[0];
	ot_shard_enter(leader->shard);
	ot_conn_host_init(&leader->conns, leader->shard, &handler, leader, &limits);
	assert_ok(
	    ot_io_listen(leader->ios[0], address, PORT, on_accept, leader, &leader->listener));
	ot_shard_enter(NULL);
}

static void
stop_leader(struct leader *leader)
{
	ot_shard_enter(leader->shard);
	ot_listener_close(leader->listener);
	ot_conn_host_close(&leader->conns);
	for (int i = 0; i < leader->pending_count; i++)
		ot_request_end(leader->pending[i]);
	ot_conn_host_fini(&leader->conns);
	ot_shard_enter(NULL);
	ot_shard_set_destroy(leader->set);
	leader->set = NULL;
	for (int i = 0; i < 2; i++)
		ot_sim_io_destroy(leader->ios[i]);
}

static bool
is_asked(void *arg)
{
	return ((struct leader *)arg)->pending_count > 0;
}

/* Waits for a request, which is that of `key`; gives its body. It stays the oldest until it is
 * answered. */
static void *
await(struct scene *scene, int32_t id, int16_t key)
{
	struct leader *leader = leader_of(scene, id);
	stage_until(&scene->stage, is_asked, leader);
	assert_int_equal(leader->pending[0]->api->key, key);
	return leader->pending[0]->op;
}

static struct ot_fetch_request *
await_fetch(struct scene *scene, int32_t id)
{
	return await(scene, id, OT_API_FETCH);
}

static void
answer(struct scene *scene, int32_t id, const void *response)
{
	struct leader *leader = leader_of(scene, id);
	struct ot_request *request = leader->pending[0];
	forget(leader, request);
	ot_shard_enter(leader->shard);
	ot_request_answer(request, request->api->response, response);
	ot_io_ring(leader->shard->io);
	ot_shard_enter(scene->stage.shard);
}

/* ---- answers to Fetch -------------------------------------------------------------------------
 */

/* What the leader says of one partition. */
struct said {
	int32_t index;
	ot_err err;
	int64_t high_watermark;
	int64_t base; /* of one batch of `count` records */
	uint32_t count;
	int32_t diverging_epoch; /* 0: none, as the next */
	int64_t diverging_end;
	bool is_damaged;
};

static void
build_batch(struct scene *scene, const struct said *said, struct ot_writer *out)
{
	const struct stage_batch batch = { .record_count = said->count };
	struct stage_append build = { 0 };
	stage_build(&scene->stage, &batch, &build);
	ot_put_u64(build.bytes.data, (uint64_t)said->base);
	ot_put_u32(build.bytes.data + 12, EPOCH);
	if (said->is_damaged)
		build.bytes.data[70] ^= 1;
	*out = build.bytes;
}

static void
answer_fetch(struct scene *scene, int32_t id, int32_t session, int count, const struct said *said)
{
	struct ot_fetch_response response;
	struct ot_fetch_response_topic topic;
	struct ot_fetch_response_partition partitions[PARTS_MAX];
	struct ot_writer records[PARTS_MAX];
	ot_fetch_response_init(&response);
	ot_fetch_response_topic_init(&topic);
	topic.topic_id = scene->stage.topic_id;
	topic.partitions = partitions;
	topic.partitions_count = count;
	for (int i = 0; i < count; i++) {
		ot_fetch_response_partition_init(&partitions[i]);
		ot_writer_init(&records[i]);
		partitions[i].partition_index = said[i].index;
		partitions[i].error_code = ot_err_to_wire(said[i].err);
		partitions[i].high_watermark = said[i].high_watermark;
		partitions[i].log_start_offset = 0;
		if (said[i].diverging_epoch != 0) {
			partitions[i].diverging_epoch.epoch = said[i].diverging_epoch;
			partitions[i].diverging_epoch.end_offset = said[i].diverging_end;
		}
		if (said[i].count > 0)
			build_batch(scene, &said[i], &records[i]);
		partitions[i].records = (struct ot_records){ .data = records[i].data,
			.len = (int32_t)records[i].bytes };
	}
	response.session_id = session;
	response.responses = &topic;
	response.responses_count = count > 0;
	answer(scene, id, &response);
	for (int i = 0; i < count; i++)
		ot_writer_fini(&records[i]);
}

static void
answer_error(struct scene *scene, int32_t id, ot_err err)
{
	struct ot_fetch_response response;
	ot_fetch_response_init(&response);
	response.error_code = ot_err_to_wire(err);
	answer(scene, id, &response);
}

/* The one partition that is asked for; NULL: none is, or several. */
static const struct ot_fetch_request_partition *
only(const struct ot_fetch_request *request)
{
	if (request->topics_count != 1 || request->topics[0].partitions_count != 1)
		return NULL;
	return &request->topics[0].partitions[0];
}

static int
count_of(const struct ot_fetch_request *request)
{
	int count = 0;
	for (int32_t i = 0; i < request->topics_count; i++)
		count += request->topics[i].partitions_count;
	return count;
}

/* ---- the followers' machine --------------------------------------------------------------------
 */

static void
on_role(void *arg, struct ot_part *part)
{
	struct scene *scene = arg;
	struct ot_part_follow state;
	if (ot_part_follow_state(part, &state))
		ot_fetchers_follow(scene->fetchers, part);
	else
		ot_fetchers_unfollow(scene->fetchers, part);
}

static void
on_open(void *arg, struct ot_part *part)
{
	struct scene *scene = arg;
	scene->opened++;
	on_role(arg, part);
}

static void
on_closed(void *arg, struct ot_part *part)
{
	struct scene *scene = arg;
	ot_part_destroy(part);
	scene->closed++;
}

static bool
are_all_open(void *arg)
{
	const struct scene *scene = arg;
	return scene->opened == scene->part_count;
}

static bool
are_all_closed(void *arg)
{
	const struct scene *scene = arg;
	return scene->closed == scene->part_count;
}

static struct ot_settings *
make_settings(void)
{
	static const char text[] = "node.id=1\nlog.dirs=/data\n";
	struct ot_properties file;
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	struct ot_why why = { { 0 } };
	ot_properties_init(&file, "server.properties");
	ot_config_notes_init(&notes);
	assert_ok(ot_properties_parse(&file, text, strlen(text), &why));
	assert_ok(
	    ot_settings_create(&(struct ot_settings_input){ .file = &file }, &notes, &settings));
	ot_config_notes_fini(&notes);
	ot_properties_fini(&file);
	return settings;
}

static void
apply(struct ot_image_edit *edit, const struct ot_msg *type, void *msg)
{
	struct ot_typed_record record = { .type = type, .version = type->valid.max, .msg = msg };
	struct ot_why why = { { 0 } };
	if (ot_image_edit_apply(edit, &record, &why) != OT_OK)
		fail_msg("%s", why.text);
}

static void
apply_broker(struct ot_image_edit *edit, int32_t id)
{
	char host[16];
	struct ot_register_broker_record record;
	struct ot_register_broker_record_endpoint endpoint;
	snprintf(host, sizeof(host), "10.0.0.%d", id);
	ot_register_broker_record_init(&record);
	ot_register_broker_record_endpoint_init(&endpoint);
	endpoint.name = OT_STR_LIT("PLAINTEXT");
	endpoint.host = ot_str_from(host);
	endpoint.port = PORT;
	record.broker_id = id;
	record.broker_epoch = BROKER_EPOCH;
	record.end_points = &endpoint;
	record.end_points_count = 1;
	record.fenced = false;
	apply(edit, &ot_register_broker_record_msg, &record);
}

/* The image with what `change` adds, for the fetchers. */
static void
adopt(struct scene *scene, void (*change)(struct scene *scene, struct ot_image_edit *edit))
{
	struct ot_image_edit *edit = ot_image_edit_begin(scene->image);
	struct ot_image *after = NULL;
	struct ot_why why = { { 0 } };
	change(scene, edit);
	int64_t offset = ot_image_place(scene->image).offset + 10;
	assert_ok(
	    ot_image_edit_end(edit, (struct ot_image_place){ .offset = offset }, &after, &why));
	ot_image_unref(scene->image);
	scene->image = after;
	ot_fetchers_adopt(scene->fetchers, after);
}

static void
add_brokers(struct scene *scene, struct ot_image_edit *edit)
{
	struct ot_topic_record topic;
	for (int32_t id = 1; id <= 3; id++)
		apply_broker(edit, id);
	ot_topic_record_init(&topic);
	topic.name = OT_STR_LIT("topic");
	topic.topic_id = scene->stage.topic_id;
	apply(edit, &ot_topic_record_msg, &topic);
}

static void
create_part(struct scene *scene, int32_t index)
{
	struct stage *stage = &scene->stage;
	struct ot_part_conf conf = {
		.owner = stage->shard,
		.codecs = stage->codecs,
		.topic = OT_STR_LIT("topic"),
		.topic_id = stage->topic_id,
		.index = index,
		.settings = stage->settings,
		.dirs = stage->dirs,
		.node_id = 1,
		.on_role = on_role,
		.on_open = on_open,
		.on_closed = on_closed,
		.arg = scene,
	};
	ot_dirs_find(stage->dirs, conf.topic, &conf.topic_id, index, &conf.place);
	const struct ot_log_open_args args = {
		.fs = ot_sim_host_fs(stage->host),
		.settings = conf.settings.log,
		.now = ot_io_wall(stage->shard->io),
	};
	scene->parts[scene->part_count++] = ot_part_create(&conf, &args);
	ot_part_open(scene->parts[index]);
}

static void
follow(struct scene *scene, int32_t index, int32_t leader, int32_t epoch)
{
	static const int32_t ids[] = { 1, 2, 3 };
	const struct ot_part_role role = {
		.leader_id = leader,
		.leader_epoch = epoch,
		.partition_epoch = epoch,
		.replicas = { ids, 3 },
		.isr = { ids, 3 },
	};
	ot_part_set_role(scene->parts[index], &role);
}

static void
begin(struct scene *scene, int part_count)
{
	*scene = (struct scene){ 0 };
	stage_init(&scene->stage, 1);
	for (int32_t id = 2; id <= 3; id++)
		start_leader(scene, id);
	ot_sim_world_on_switch(scene->stage.world, on_switch, scene);
	ot_shard_enter(NULL);
	scene->settings = make_settings();
	scene->image = ot_image_create(scene->settings, "cluster");
	scene->throttle = ot_throttle_create(scene->stage.set, 11, 1000);
	const struct ot_fetchers_conf conf = {
		.shard = scene->stage.shard,
		.node_id = 1,
		.listener = "PLAINTEXT",
		.bytes_min = 1,
		.bytes_max = OT_MIB,
		.response_bytes_max = 10 * OT_MIB,
		.wait_ms_max = WAIT_MS,
		.backoff_ms = BACKOFF_MS,
		.timeout_ms = TIMEOUT_MS,
		.throttle = scene->throttle,
	};
	ot_shard_enter(scene->stage.shard);
	scene->fetchers = ot_fetchers_create(&conf);
	adopt(scene, add_brokers);
	for (int32_t i = 0; i < part_count; i++)
		create_part(scene, i);
	stage_until(&scene->stage, are_all_open, scene);
}

static void
end(struct scene *scene)
{
	for (int i = 0; i < scene->part_count; i++) {
		ot_fetchers_unfollow(scene->fetchers, scene->parts[i]);
		ot_part_close(scene->parts[i], OT_LOG_CLOSE_CLEAN);
	}
	stage_until(&scene->stage, are_all_closed, scene);
	ot_fetchers_destroy(scene->fetchers);
	ot_shard_enter(NULL);
	ot_sim_world_run_for_ms(scene->stage.world, 1000);
	for (int i = 0; i < LEADERS; i++)
		stop_leader(&scene->leaders[i]);
	ot_sim_world_run_for_ms(scene->stage.world, 1000);
	ot_throttle_destroy(scene->throttle);
	ot_image_unref(scene->image);
	ot_settings_unref(scene->settings);
	stage_fini(&scene->stage);
}

static int64_t
log_end(const struct scene *scene, int index)
{
	return ot_log_end_offset(ot_part_log(scene->parts[index]));
}

static uint64_t
now_ms(const struct scene *scene)
{
	return ot_sim_world_now(scene->stage.world) / OT_NS_PER_MS;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void
test_session(void **state)
{
	(void)state;
	/* Goal: the first request is whole; what follows has only what has changed, under the
	 * session's number and in order; a partition that goes is taken out of it (KIP-227).
	 * Method: two partitions, of which one gets records and the other goes elsewhere. */
	struct scene scene;
	begin(&scene, 2);
	follow(&scene, 0, 2, EPOCH);
	follow(&scene, 1, 2, EPOCH);
	const struct ot_fetch_request *request = await_fetch(&scene, 2);
	/* The second may have come a moment after the first was asked for. */
	if (count_of(request) == 1) {
		forget(leader_of(&scene, 2), leader_of(&scene, 2)->pending[0]);
		request = await_fetch(&scene, 2);
	}
	assert_int_equal(count_of(request), 2);
	assert_int_equal(request->session_id, 0);
	assert_int_equal(request->session_epoch, 0);
	assert_int_equal(request->replica_state.replica_id, 1);
	assert_int_equal(request->replica_state.replica_epoch, BROKER_EPOCH);
	assert_int_equal(request->max_wait_ms, WAIT_MS);
	assert_int_equal(request->topics[0].partitions[0].current_leader_epoch, EPOCH);
	assert_int_equal(request->topics[0].partitions[0].last_fetched_epoch, -1);
	answer_fetch(&scene, 2, 77, 2,
	    (const struct said[]){ { .index = 0, .high_watermark = 3, .count = 3 },
		{ .index = 1, .high_watermark = 0 } });
	request = await_fetch(&scene, 2);
	assert_int_equal(request->session_id, 77);
	assert_int_equal(request->session_epoch, 1);
	assert_non_null(only(request));
	assert_int_equal(only(request)->partition, 0);
	assert_int_equal(only(request)->fetch_offset, 3);
	assert_int_equal(only(request)->last_fetched_epoch, EPOCH);
	assert_int_equal(ot_part_high_watermark(scene.parts[0]), 3);
	answer_fetch(&scene, 2, 77, 0, NULL);
	request = await_fetch(&scene, 2);
	assert_int_equal(request->session_epoch, 2);
	assert_int_equal(count_of(request), 0);
	assert_int_equal(request->forgotten_topics_data_count, 0);
	follow(&scene, 1, 3, EPOCH + 1);
	answer_fetch(&scene, 2, 77, 0, NULL);
	request = await_fetch(&scene, 2);
	assert_int_equal(request->session_epoch, 3);
	assert_int_equal(request->forgotten_topics_data_count, 1);
	assert_int_equal(request->forgotten_topics_data[0].partitions[0], 1);
	request = await_fetch(&scene, 3);
	assert_int_equal(request->session_epoch, 0);
	assert_int_equal(only(request)->partition, 1);
	assert_int_equal(only(request)->current_leader_epoch, EPOCH + 1);
	end(&scene);
}

/* One partition follows broker 2; its first request waits at that. */
static void
begin_one(struct scene *scene)
{
	begin(scene, 1);
	follow(scene, 0, 2, EPOCH);
	assert_int_equal(only(await_fetch(scene, 2))->fetch_offset, 0);
}

static void
test_session_errors(void **state)
{
	(void)state;
	/* Goal: a session that the leader does not know any more is begun anew at once; after
	 * another error of the whole there is a pause. Method: each such error. */
	static const struct {
		ot_err err;
		bool has_pause;
	} cases[] = {
		{ OT_ERR_FETCH_SESSION_ID_NOT_FOUND, false },
		{ OT_ERR_INVALID_FETCH_SESSION_EPOCH, false },
		{ OT_ERR_UNKNOWN_SERVER_ERROR, true },
	};
	struct scene scene;
	begin_one(&scene);
	for (size_t i = 0; i < OT_ARRAY_COUNT(cases); i++) {
		answer_fetch(&scene, 2, 9, 0, NULL);
		assert_int_equal(await_fetch(&scene, 2)->session_epoch, 1);
		uint64_t before = now_ms(&scene);
		answer_error(&scene, 2, cases[i].err);
		const struct ot_fetch_request *request = await_fetch(&scene, 2);
		assert_int_equal(request->session_id, 0);
		assert_int_equal(request->session_epoch, 0);
		assert_int_equal(count_of(request), 1);
		assert_int_equal(now_ms(&scene) - before >= BACKOFF_MS / 10, cases[i].has_pause);
	}
	end(&scene);
}

static void
test_partition_errors(void **state)
{
	(void)state;
	/* Goal: a partition with an error is left out for longer and longer, up to the backoff, and
	 * asked for again, whatever the error is; the other one goes on. Method: all errors that
	 * Kafka's leaders give, one after the other. */
	static const ot_err errs[] = {
		OT_ERR_NOT_LEADER_OR_FOLLOWER,
		OT_ERR_UNKNOWN_LEADER_EPOCH,
		OT_ERR_FENCED_LEADER_EPOCH,
		OT_ERR_UNKNOWN_TOPIC_OR_PARTITION,
		OT_ERR_UNKNOWN_TOPIC_ID,
		OT_ERR_INCONSISTENT_TOPIC_ID,
		OT_ERR_REPLICA_NOT_AVAILABLE,
		OT_ERR_KAFKA_STORAGE_ERROR,
		OT_ERR_UNKNOWN_SERVER_ERROR,
		OT_ERR_CORRUPT_MESSAGE,
	};
	struct scene scene;
	struct ot_fetchers_stats stats;
	int64_t end_offset = 0;
	uint64_t pause = 0;
	begin(&scene, 2);
	follow(&scene, 0, 2, EPOCH);
	follow(&scene, 1, 2, EPOCH);
	while (count_of(await_fetch(&scene, 2)) < 2)
		forget(leader_of(&scene, 2), leader_of(&scene, 2)->pending[0]);
	for (size_t i = 0; i < OT_ARRAY_COUNT(errs); i++) {
		uint64_t before = now_ms(&scene);
		answer_fetch(&scene, 2, 5, 2,
		    (const struct said[]){ { .index = 0, .err = errs[i] },
			{ .index = 1,
			    .high_watermark = end_offset + 1,
			    .base = end_offset,
			    .count = 1 } });
		end_offset++;
		const struct ot_fetch_request *request = await_fetch(&scene, 2);
		/* It is not in the session while it is left out. */
		assert_int_equal(only(request)->partition, 1);
		assert_int_equal(only(request)->fetch_offset, end_offset);
		assert_int_equal(request->forgotten_topics_data_count, 1);
		ot_fetchers_get_stats(scene.fetchers, &stats);
		assert_int_equal(stats.partition_count, 2);
		assert_int_equal(stats.paused_count, 1);
		do {
			stage_run_for_ms(&scene.stage, 5);
			answer_fetch(&scene, 2, 5, 0, NULL);
			request = await_fetch(&scene, 2);
		} while (count_of(request) == 0);
		assert_int_equal(only(request)->partition, 0);
		assert_int_equal(only(request)->fetch_offset, 0);
		uint64_t took = now_ms(&scene) - before;
		assert_true(took >= pause && took <= BACKOFF_MS + 100);
		pause = OT_MIN(OT_MAX(20, 2 * pause), BACKOFF_MS);
	}
	end(&scene);
}

static void
test_leader_changes_in_flight(void **state)
{
	(void)state;
	/* Goal: what an earlier leader answers late is not taken, and the new one is asked at once,
	 * in its epoch. Method: the role changes while a request waits; then the answer comes. */
	struct scene scene;
	begin_one(&scene);
	follow(&scene, 0, 3, EPOCH + 1);
	const struct ot_fetch_request *request = await_fetch(&scene, 3);
	assert_int_equal(only(request)->current_leader_epoch, EPOCH + 1);
	answer_fetch(&scene, 2, 7, 1,
	    &(const struct said){ .index = 0, .high_watermark = 1, .count = 1 });
	stage_run_for_ms(&scene.stage, 100);
	assert_int_equal(log_end(&scene, 0), 0);
	/* The same leader in another epoch: nothing of the answer either. */
	follow(&scene, 0, 3, EPOCH + 2);
	answer_fetch(&scene, 3, 7, 1,
	    &(const struct said){ .index = 0, .high_watermark = 1, .count = 1 });
	do {
		request = await_fetch(&scene, 3);
		if (only(request)->current_leader_epoch == EPOCH + 2)
			break;
		answer_fetch(&scene, 3, 7, 0, NULL);
	} while (true);
	assert_int_equal(only(request)->fetch_offset, 0);
	assert_int_equal(log_end(&scene, 0), 0);
	end(&scene);
}

static void
test_divergence(void **state)
{
	(void)state;
	/* Goal: a follower whose log is another is cut, and asks from there (KIP-595). Method: four
	 * records, of which the leader has two. */
	struct scene scene;
	begin_one(&scene);
	answer_fetch(&scene, 2, 7, 1,
	    &(const struct said){ .index = 0, .high_watermark = 2, .count = 4 });
	(void)await_fetch(&scene, 2);
	assert_int_equal(log_end(&scene, 0), 4);
	follow(&scene, 0, 3, EPOCH + 1);
	assert_int_equal(only(await_fetch(&scene, 3))->last_fetched_epoch, EPOCH);
	answer_fetch(&scene, 3, 8, 1,
	    &(const struct said){ .index = 0,
		.high_watermark = 2,
		.diverging_epoch = EPOCH,
		.diverging_end = 2 });
	const struct ot_fetch_request *request = await_fetch(&scene, 3);
	/* A batch is not cut in two: all of it goes. */
	assert_int_equal(only(request)->fetch_offset, log_end(&scene, 0));
	assert_true(log_end(&scene, 0) <= 2);
	end(&scene);
}

static void
answer_offset(struct scene *scene, int32_t id, int64_t timestamp, ot_err err, int64_t offset)
{
	const struct ot_list_offsets_request *request = await(scene, id, OT_API_LIST_OFFSETS);
	assert_int_equal(request->replica_id, 1);
	assert_int_equal(request->topics[0].partitions[0].timestamp, timestamp);
	assert_int_equal(request->topics[0].partitions[0].current_leader_epoch, EPOCH);
	struct ot_list_offsets_response response;
	struct ot_list_offsets_response_topic topic;
	struct ot_list_offsets_response_partition partition;
	ot_list_offsets_response_init(&response);
	ot_list_offsets_response_topic_init(&topic);
	ot_list_offsets_response_partition_init(&partition);
	partition.error_code = ot_err_to_wire(err);
	partition.offset = offset;
	topic.name = OT_STR_LIT("topic");
	topic.partitions = &partition;
	topic.partitions_count = 1;
	response.topics = &topic;
	response.topics_count = 1;
	answer(scene, id, &response);
}

static void
test_out_of_range(void **state)
{
	(void)state;
	/* Goal: a follower whose offset the leader does not have asks for the leader's end: with
	 * more than that it is cut there; else for its start: before that it begins anew there. A
	 * leader that cannot say is asked later. Method: four records; ends and starts around. */
	struct scene scene;
	const struct said out = { .index = 0, .err = OT_ERR_OFFSET_OUT_OF_RANGE };
	begin_one(&scene);
	for (int64_t i = 0; i < 4; i++) {
		answer_fetch(&scene, 2, 7, 1,
		    &(const struct said){ .index = 0, .high_watermark = 4, .base = i, .count = 1 });
		(void)await_fetch(&scene, 2);
	}
	answer_fetch(&scene, 2, 7, 1, &out);
	answer_offset(&scene, 2, OT_LIST_LATEST, OT_ERR_NOT_LEADER_OR_FOLLOWER, -1);
	assert_int_equal(only(await_fetch(&scene, 2))->fetch_offset, 4);
	answer_fetch(&scene, 2, 7, 1, &out);
	answer_offset(&scene, 2, OT_LIST_LATEST, OT_OK, 3);
	assert_int_equal(only(await_fetch(&scene, 2))->fetch_offset, 3);
	assert_int_equal(log_end(&scene, 0), 3);
	answer_fetch(&scene, 2, 7, 1, &out);
	answer_offset(&scene, 2, OT_LIST_LATEST, OT_OK, 90);
	answer_offset(&scene, 2, OT_LIST_EARLIEST, OT_OK, 50);
	const struct ot_fetch_request *request = await_fetch(&scene, 2);
	assert_int_equal(only(request)->fetch_offset, 50);
	assert_int_equal(only(request)->log_start_offset, 50);
	/* In range after all, by the time that it asks: nothing is thrown away. */
	answer_fetch(&scene, 2, 7, 1,
	    &(const struct said){ .index = 0, .high_watermark = 51, .base = 50, .count = 1 });
	(void)await_fetch(&scene, 2);
	answer_fetch(&scene, 2, 7, 1, &out);
	answer_offset(&scene, 2, OT_LIST_LATEST, OT_OK, 90);
	answer_offset(&scene, 2, OT_LIST_EARLIEST, OT_OK, 50);
	assert_int_equal(only(await_fetch(&scene, 2))->fetch_offset, 51);
	assert_int_equal(log_end(&scene, 0), 51);
	end(&scene);
}

static void
test_damage_on_the_way(void **state)
{
	(void)state;
	/* Goal: records that came damaged are not taken, and asked for again. Method: a flipped
	 * bit, then the same without. */
	struct scene scene;
	struct said said = { .index = 0, .high_watermark = 2, .count = 2, .is_damaged = true };
	begin_one(&scene);
	answer_fetch(&scene, 2, 7, 1, &said);
	assert_int_equal(only(await_fetch(&scene, 2))->fetch_offset, 0);
	assert_int_equal(log_end(&scene, 0), 0);
	said.is_damaged = false;
	answer_fetch(&scene, 2, 7, 1, &said);
	assert_int_equal(only(await_fetch(&scene, 2))->fetch_offset, 2);
	end(&scene);
}

static void
test_silent_leader(void **state)
{
	(void)state;
	/* Goal: a leader that does not answer within replica.socket.timeout.ms, or whose connection
	 * ends, is asked anew over another connection, with a whole request. Method: both. */
	struct scene scene;
	struct leader *leader;
	begin_one(&scene);
	leader = leader_of(&scene, 2);
	answer_fetch(&scene, 2, 7, 0, NULL);
	assert_int_equal(await_fetch(&scene, 2)->session_epoch, 1);
	ot_shard_enter(leader->shard);
	struct ot_request *silent = leader->pending[0];
	forget(leader, silent);
	ot_shard_enter(scene.stage.shard);
	uint64_t before = now_ms(&scene);
	uint32_t connections = leader->connections;
	assert_int_equal(await_fetch(&scene, 2)->session_epoch, 0);
	assert_true(now_ms(&scene) - before >= TIMEOUT_MS - 1);
	assert_int_equal(leader->connections, connections + 1);
	ot_shard_enter(leader->shard);
	ot_request_end(silent);
	struct ot_request *broken = leader->pending[0];
	forget(leader, broken);
	ot_request_abort(broken, "the test ends it");
	ot_io_ring(leader->shard->io);
	ot_shard_enter(scene.stage.shard);
	assert_int_equal(await_fetch(&scene, 2)->session_epoch, 0);
	assert_int_equal(leader->connections, connections + 2);
	end(&scene);
}

static void
set_throttle(struct scene *scene, struct ot_image_edit *edit)
{
	struct ot_config_record record;
	(void)scene;
	ot_config_record_init(&record);
	record.resource_type = 4; /* a broker; empty: all */
	record.resource_name = OT_STR_LIT("");
	record.name = OT_STR_LIT("follower.replication.throttled.rate");
	record.value = OT_STR_LIT("1000");
	apply(edit, &ot_config_record_msg, &record);
	ot_config_record_init(&record);
	record.resource_type = 2; /* a topic */
	record.resource_name = OT_STR_LIT("topic");
	record.name = OT_STR_LIT("follower.replication.throttled.replicas");
	record.value = OT_STR_LIT("0:1,1:2");
	apply(edit, &ot_config_record_msg, &record);
}

/* Answers for both partitions with 4 KB each, then counts in how many of the next `ms` partition 0
 * is asked for. */
static int
count_asked(struct scene *scene, int64_t high_watermark, uint64_t ms)
{
	int asked = 0;
	uint64_t begin_ms = now_ms(scene);
	while (now_ms(scene) - begin_ms < ms) {
		const struct ot_fetch_request *request = await_fetch(scene, 2);
		struct said said[2];
		int count = 0;
		for (int32_t i = 0;
		     request->topics_count > 0 && i < request->topics[0].partitions_count; i++) {
			const struct ot_fetch_request_partition *wanted =
			    &request->topics[0].partitions[i];
			asked += wanted->partition == 0;
			said[count++] = (struct said){ .index = wanted->partition,
				.high_watermark =
				    high_watermark > 0 ? high_watermark : wanted->fetch_offset + 10,
				.base = wanted->fetch_offset,
				.count = 10 };
		}
		stage_run_for_ms(&scene->stage, 50);
		answer_fetch(scene, 2, 7, count, said);
	}
	return asked;
}

static void
test_throttle(void **state)
{
	(void)state;
	/* Goal: a replica in follower.replication.throttled.replicas that is behind is not fetched
	 * while more than the rate came in, others are, and one that has reached the watermark is.
	 * Method: partition 0 is throttled here, 1 elsewhere; a far watermark, then a near one. */
	struct scene scene;
	begin(&scene, 2);
	adopt(&scene, set_throttle);
	follow(&scene, 0, 2, EPOCH);
	follow(&scene, 1, 2, EPOCH);
	while (count_of(await_fetch(&scene, 2)) < 2)
		forget(leader_of(&scene, 2), leader_of(&scene, 2)->pending[0]);
	int asked = count_asked(&scene, 1000000, 20000);
	int64_t bytes = log_end(&scene, 0) * 20; /* a record has no less */
	assert_true(asked > 3);
	assert_true(bytes < 20 * 1000 + 11 * 1000);
	assert_true(log_end(&scene, 1) > 3 * log_end(&scene, 0));
	/* Some answers later it has all that there is. */
	(void)count_asked(&scene, 0, 20000);
	int64_t before = log_end(&scene, 0), other = log_end(&scene, 1);
	(void)count_asked(&scene, 0, 5000);
	assert_int_equal(log_end(&scene, 0) - before, log_end(&scene, 1) - other);
	end(&scene);
}

static void
test_many_partitions(void **state)
{
	(void)state;
	/* Goal: one request at a time serves all partitions of a leader, and takes the records of
	 * all of them. Method: 200 partitions, ten rounds. */
	struct scene scene;
	struct said said[PARTS_MAX];
	begin(&scene, PARTS_MAX);
	for (int32_t i = 0; i < PARTS_MAX; i++)
		follow(&scene, i, 2, EPOCH);
	for (int64_t round = 0; round < 10; round++) {
		while (count_of(await_fetch(&scene, 2)) < PARTS_MAX)
			forget(leader_of(&scene, 2), leader_of(&scene, 2)->pending[0]);
		assert_int_equal(leader_of(&scene, 2)->pending_count, 1);
		for (int32_t i = 0; i < PARTS_MAX; i++)
			said[i] = (struct said){ .index = i,
				.high_watermark = round + 1,
				.base = round,
				.count = 1 };
		answer_fetch(&scene, 2, 7, PARTS_MAX, said);
	}
	(void)await_fetch(&scene, 2);
	for (int32_t i = 0; i < PARTS_MAX; i++)
		assert_int_equal(log_end(&scene, i), 10);
	end(&scene);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_session_errors),
		cmocka_unit_test(test_partition_errors),
		cmocka_unit_test(test_leader_changes_in_flight),
		cmocka_unit_test(test_divergence),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_damage_on_the_way),
		cmocka_unit_test(test_silent_leader),
		cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_many_partitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
