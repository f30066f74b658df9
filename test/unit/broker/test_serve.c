/* Tests of what a broker does for other brokers, and for clients that could go to another one:
 * followers' fetches, the ISR, the closest replica, who leads. The other broker is played. */
#include "rig_peer.h"

enum { FETCH_VERSION_MAX = 18 };

struct room {
	struct rig rig;
	struct link link; /* a client's */
	struct link follower;
	struct peer peer; /* broker 2 */
};

static void
room_init(struct room *room, const char *settings)
{
	char text[1000];
	snprintf(text, sizeof(text), "%s%s", RIG_PEER_SETTINGS, settings);
	rig_init(&room->rig, 1, text);
	rig_start(&room->rig);
	link_open(&room->rig, &room->link);
	link_open(&room->rig, &room->follower);
	peer_start(&room->peer, &room->rig, 2, "b");
}

static void
room_fini(struct room *room)
{
	link_close(&room->follower);
	link_close(&room->link);
	peer_fini(&room->peer);
	rig_fini(&room->rig);
}

static const struct ask any_ask = {
	.version = 17,
	.topic = "t",
	.leader_epoch = -1,
	.last_epoch = -1,
	.session_epoch = -1,
};

/* ---- who leads ------------------------------------------------------------------------------ */

static void
test_leader_is_told(void **state)
{
	(void)state;
	/* Goal: who fetches from a broker that does not lead is told NOT_LEADER_OR_FOLLOWER in each
	 * version, and from 16 on who leads, in which epoch and where (KIP-951). Method: a topic
	 * that the other broker has alone; then the other broker is fenced, and nobody leads. */
	struct room room;
	room_init(&room, "");
	struct ask ask = any_ask;
	ask.topic_id =
	    link_create_assigned(&room.link, &(struct assigned){ "t", 2, { 2 }, 1, NULL, NULL });
	for (ask.version = 0; ask.version <= FETCH_VERSION_MAX; ask.version++) {
		struct asked asked;
		link_ask_and_wait(&room.link, &ask, &asked);
		const struct ot_fetch_response *response = &asked.response;
		assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
		if (ask.version < 16) {
			assert_int_equal(asked.partition->current_leader.leader_id, -1);
			assert_int_equal(response->node_endpoints_count, 0);
		} else {
			assert_int_equal(asked.partition->current_leader.leader_id, 2);
			assert_int_equal(asked.partition->current_leader.leader_epoch, 0);
			assert_int_equal(response->node_endpoints_count, 1);
			assert_int_equal(response->node_endpoints[0].node_id, 2);
			assert_true(ot_str_is(response->node_endpoints[0].host, "10.0.0.77"));
			assert_int_equal(response->node_endpoints[0].port, RIG_PEER_PORT);
			assert_true(ot_str_is(response->node_endpoints[0].rack, "b"));
		}
		asked_fini(&asked);
	}
	peer_beat(&room.peer, true);
	struct asked asked;
	ask.version = FETCH_VERSION_MAX;
	link_ask_and_wait(&room.link, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(asked.partition->current_leader.leader_id, -1);
	assert_int_equal(asked.partition->current_leader.leader_epoch, 1);
	assert_int_equal(asked.response.node_endpoints_count, 0);
	asked_fini(&asked);
	room_fini(&room);
}

/* The leader that a Produce names, -1 for none, and whether it says where that is. */
static int32_t
produce_told(struct room *room, int16_t version, const struct ot_uuid *topic_id, bool *ret_has_node)
{
	struct ot_arena arena;
	struct ot_produce_request request;
	struct ot_produce_response response;
	struct ot_produce_request_topic one;
	struct ot_produce_request_partition data[2];
	struct ot_writer batch;
	ot_arena_init(&arena, 0);
	ot_writer_init(&batch);
	rig_build(&batch, "a");
	ot_produce_request_init(&request);
	ot_produce_request_topic_init(&one);
	for (int32_t i = 0; i < 2; i++) {
		ot_produce_request_partition_init(&data[i]);
		data[i].index = i;
		data[i].records =
		    (struct ot_records){ .data = batch.data, .len = (int32_t)batch.bytes };
	}
	one.name = ot_str_from(version < 13 ? "t" : "");
	one.topic_id = *topic_id;
	one.partition_data = data;
	one.partition_data_count = 2;
	request.acks = 1;
	request.timeout_ms = 10000;
	request.topic_data = &one;
	request.topic_data_count = 1;
	assert_true(link_call(&room->link, ot_api_find(0), version, &request, &arena, &response));
	const struct ot_produce_response_partition *told =
	    &response.responses[0].partition_responses[1];
	assert_int_equal(told->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	*ret_has_node = response.node_endpoints_count > 0;
	if (*ret_has_node) {
		assert_int_equal(response.node_endpoints_count, 1);
		assert_int_equal(response.node_endpoints[0].node_id, 2);
		assert_true(ot_str_is(response.node_endpoints[0].host, "10.0.0.77"));
		assert_int_equal(response.node_endpoints[0].port, RIG_PEER_PORT);
	}
	int32_t id = told->current_leader.leader_id;
	assert_int_equal(told->current_leader.leader_epoch, id < 0 ? -1 : 0);
	ot_writer_fini(&batch);
	ot_arena_fini(&arena);
	return id;
}

static void
test_leader_is_told_to_producers(void **state)
{
	(void)state;
	/* Goal: the same for producers, from version 10 on; each node is named once. Method: two
	 * partitions that this broker follows. */
	struct room room;
	room_init(&room, "");
	struct ot_uuid id =
	    link_create_assigned(&room.link, &(struct assigned){ "t", 2, { 2, 1 }, 2, NULL, NULL });
	for (int16_t version = 3; version <= 13; version++) {
		bool has_node = false;
		assert_int_equal(produce_told(&room, version, &id, &has_node),
		    version < 10 ? -1 : 2);
		assert_int_equal(has_node, version >= 10);
	}
	room_fini(&room);
}

/* ---- followers ------------------------------------------------------------------------------ */

static const struct assigned led_here = { "t", 1, { 1, 2 }, 2, NULL, NULL };

/* What the follower asks from `offset` on, as its fetcher does. */
static struct ask
ask_of_follower(const struct room *room, const struct ot_uuid *topic_id, int64_t offset)
{
	struct ask ask = any_ask;
	ask.topic_id = *topic_id;
	ask.peer = &room->peer;
	ask.offset = offset;
	ask.leader_epoch = 0;
	ask.last_epoch = offset > 0 ? 0 : -1;
	ask.wait_ms = 500;
	return ask;
}

static void
test_acks_all_waits_for_followers(void **state)
{
	(void)state;
	/* Goal: a record is acknowledged and shown once the follower in the ISR has fetched beyond
	 * it; the follower gets it before. The follower's fetch that waits is woken by the write,
	 * a consumer's by the watermark. Method: both wait; a record comes; then the follower asks
	 * for what is behind it. */
	struct room room;
	struct link consumer;
	struct asked asked;
	room_init(&room, "");
	link_open(&room.rig, &consumer);
	struct ot_uuid id = link_create_assigned(&room.link, &led_here);
	struct ask ask = ask_of_follower(&room, &id, 0);
	ask.wait_ms = 20000;
	struct ask look = any_ask;
	look.topic_id = id;
	look.wait_ms = 60000;
	link_ask(&room.follower, &ask);
	link_ask(&consumer, &look);
	ot_sim_world_run_for_ms(room.rig.world, 1000);
	assert_false(link_has_answer(&room.follower));
	link_send_produce(&room.link, "t", 0, -1, "a");
	ot_sim_world_run_for_ms(room.rig.world, 100);
	assert_true(link_has_answer(&room.follower));
	assert_false(link_has_answer(&room.link));
	assert_false(link_has_answer(&consumer));
	link_take_asked(&room.follower, ask.version, &asked);
	assert_ok(asked.partition->error_code);
	assert_true(asked.bytes > 0);
	assert_int_equal(asked.partition->high_watermark, 0);
	asked_fini(&asked);
	ask = ask_of_follower(&room, &id, 1);
	link_ask(&room.follower, &ask);
	rig_until(&room.rig, link_has_answer, &room.link);
	int64_t offset = -1;
	assert_ok(link_take_produce(&room.link, &offset));
	assert_int_equal(offset, 0);
	rig_until(&room.rig, link_has_answer, &consumer);
	link_take_asked(&consumer, look.version, &asked);
	assert_true(asked.bytes > 0);
	assert_int_equal(asked.partition->high_watermark, 1);
	asked_fini(&asked);
	rig_until(&room.rig, link_has_answer, &room.follower);
	link_take_asked(&room.follower, ask.version, &asked);
	assert_int_equal(asked.bytes, 0);
	assert_int_equal(asked.partition->high_watermark, 1);
	asked_fini(&asked);
	link_close(&consumer);
	room_fini(&room);
}

static void
test_acks_all_times_out(void **state)
{
	(void)state;
	/* Goal: acks=all that no follower fetches in time is told so for its partition, by the time
	 * that the request names. Method: the follower never asks, and may lag for long. */
	struct room room;
	room_init(&room, "replica.lag.time.max.ms=600000\n");
	link_create_assigned(&room.link, &led_here);
	ot_mono_ns before = ot_io_now(room.rig.user_io);
	int64_t offset = -1;
	assert_int_equal(link_produce(&room.link, "t", 0, -1, "a", &offset),
	    OT_ERR_REQUEST_TIMED_OUT);
	ot_mono_ns waited_ms = (ot_io_now(room.rig.user_io) - before) / OT_NS_PER_MS;
	assert_true(waited_ms >= 10000 && waited_ms < 10100);
	assert_ok(link_produce(&room.link, "t", 0, 1, "b", &offset));
	assert_int_equal(offset, 1);
	room_fini(&room);
}

static void
test_follower_of_another_life(void **state)
{
	(void)state;
	/* Goal: who is no replica of the partition, or asks from a broker that leads no more, or
	 * with old or too new epochs, gets an error; none of it moves the watermark. */
	struct room room;
	struct asked asked;
	room_init(&room, "");
	struct ot_uuid id = link_create_assigned(&room.link, &led_here);
	assert_ok(link_produce(&room.link, "t", 0, 1, "a", NULL));
	struct ask ask = ask_of_follower(&room, &id, 1);
	ask.leader_epoch = 1;
	link_ask_and_wait(&room.follower, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_UNKNOWN_LEADER_EPOCH);
	asked_fini(&asked);
	struct peer stranger = { .id = 3, .epoch = 1 };
	ask = ask_of_follower(&room, &id, 1);
	ask.peer = &stranger;
	link_ask_and_wait(&room.follower, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_UNKNOWN_LEADER_EPOCH);
	asked_fini(&asked);
	ask.leader_epoch = -1;
	link_ask_and_wait(&room.follower, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	asked_fini(&asked);
	struct ask look = any_ask;
	look.topic_id = id;
	link_ask_and_wait(&room.link, &look, &asked);
	assert_int_equal(asked.partition->high_watermark, 0);
	asked_fini(&asked);
	/* The other broker leads this one: a follower finds no leader here, a consumer a follower.
	 */
	struct ot_uuid other = link_create_assigned(&room.link,
	    &(struct assigned){ "other", 1, { 2, 1 }, 2, NULL, NULL });
	ask = ask_of_follower(&room, &other, 0);
	link_ask_and_wait(&room.follower, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(asked.partition->current_leader.leader_id, 2);
	asked_fini(&asked);
	room_fini(&room);
}

static void
test_follower_session(void **state)
{
	(void)state;
	/* Goal: an incremental session serves a follower: partitions without news are not told, a
	 * write to one that the request does not name wakes it, and each fetch counts for all of
	 * the session's partitions. Method: two partitions; the second fetch names none. */
	struct room room;
	struct asked asked;
	room_init(&room, "replica.lag.time.max.ms=1000\nreplica.fetch.wait.max.ms=500\n");
	struct ot_uuid id = link_create_assigned(&room.link, &led_here);
	struct ask ask = ask_of_follower(&room, &id, 0);
	ask.session_epoch = 0;
	link_ask_and_wait(&room.follower, &ask, &asked);
	assert_int_equal(asked.bytes, 0);
	assert_true(asked.response.session_id > 0);
	ask.session_id = asked.response.session_id;
	asked_fini(&asked);
	ask.is_empty = true;
	for (int i = 0; i < 10; i++) {
		ask.session_epoch++;
		link_ask_and_wait(&room.follower, &ask, &asked);
		assert_null(asked.partition);
		asked_fini(&asked);
	}
	/* It was silent for no longer than the time that it waited, five seconds in all. */
	assert_int_equal(link_describe(&room.link, "t", 0).isr_count, 2);
	ask.session_epoch++;
	link_ask(&room.follower, &ask);
	ot_sim_world_run_for_ms(room.rig.world, 100);
	assert_ok(link_produce(&room.link, "t", 0, 1, "a", NULL));
	ot_sim_world_run_for_ms(room.rig.world, 10);
	assert_true(link_has_answer(&room.follower));
	link_take_asked(&room.follower, ask.version, &asked);
	assert_true(asked.bytes > 0);
	asked_fini(&asked);
	room_fini(&room);
}

/* ---- the ISR -------------------------------------------------------------------------------- */

static void
test_isr_shrinks_and_grows(void **state)
{
	(void)state;
	/* Goal: a follower that does not fetch leaves the ISR after replica.lag.time.max.ms, and
	 * what waited for it is acknowledged; once it has caught up it is back. One that was
	 * registered anew is let in by its new broker epoch alone (KIP-903).
	 * Method: acks=all with a follower that is silent, then one that fetches. */
	struct room room;
	struct asked asked;
	room_init(&room, "replica.lag.time.max.ms=1000\n");
	struct ot_uuid id = link_create_assigned(&room.link, &led_here);
	assert_ok(link_produce(&room.link, "t", 0, -1, "a", NULL));
	struct described described = link_describe(&room.link, "t", 0);
	assert_int_equal(described.isr_count, 1);
	assert_int_equal(described.isr[0], 1);
	assert_int_equal(described.leader_epoch, 0);
	int64_t old_epoch = room.peer.epoch;
	peer_fini(&room.peer);
	ot_sim_world_run_for_ms(room.rig.world, RIG_PEER_SESSION_MS + 1000);
	peer_start(&room.peer, &room.rig, 2, "b");
	assert_true(room.peer.epoch > old_epoch);
	struct ask ask = ask_of_follower(&room, &id, 1);
	ask.peer_epoch = old_epoch;
	for (int i = 0; i < 3; i++) {
		link_ask_and_wait(&room.follower, &ask, &asked);
		assert_ok(asked.partition->error_code);
		asked_fini(&asked);
	}
	assert_int_equal(link_describe(&room.link, "t", 0).isr_count, 1);
	ask.peer_epoch = 0;
	link_ask_and_wait(&room.follower, &ask, &asked);
	asked_fini(&asked);
	link_await_isr(&room.link, "t", 0, 2);
	room_fini(&room);
}

static void
test_isr_of_many(void **state)
{
	(void)state;
	/* Goal: a broker that falls silent leaves the ISR of all its partitions, over all shards,
	 * in few requests. Method: 60 partitions; count the images that the changes make. */
	struct room room;
	room_init(&room, "replica.lag.time.max.ms=1000\n");
	struct assigned wanted = led_here;
	wanted.partition_count = 60;
	link_create_assigned(&room.link, &wanted);
	struct ot_image *image = room.rig.broker->shards[0].image;
	int64_t before = ot_image_place(image).offset;
	for (int32_t i = 0; i < wanted.partition_count; i++)
		link_await_isr(&room.link, "t", i, 1);
	image = room.rig.broker->shards[0].image;
	assert_int_equal(ot_image_place(image).offset - before, wanted.partition_count);
	room_fini(&room);
}

static void
test_min_insync_replicas(void **state)
{
	(void)state;
	/* Goal: acks=all is refused while the ISR is too small, acks=1 is not; with the follower
	 * back it works again. */
	struct room room;
	struct asked asked;
	room_init(&room, "replica.lag.time.max.ms=1000\n");
	struct assigned wanted = led_here;
	wanted.key = "min.insync.replicas";
	wanted.value = "2";
	struct ot_uuid id = link_create_assigned(&room.link, &wanted);
	link_await_isr(&room.link, "t", 0, 1);
	assert_int_equal(link_produce(&room.link, "t", 0, -1, "a", NULL),
	    OT_ERR_NOT_ENOUGH_REPLICAS);
	assert_ok(link_produce(&room.link, "t", 0, 1, "b", NULL));
	struct ask ask = ask_of_follower(&room, &id, 1);
	link_ask_and_wait(&room.follower, &ask, &asked);
	asked_fini(&asked);
	link_await_isr(&room.link, "t", 0, 2);
	link_ask(&room.follower, &ask);
	link_send_produce(&room.link, "t", 0, -1, "c");
	rig_until(&room.rig, link_has_answer, &room.follower);
	link_take_asked(&room.follower, ask.version, &asked);
	asked_fini(&asked);
	ask.offset = 2;
	link_ask(&room.follower, &ask);
	rig_until(&room.rig, link_has_answer, &room.link);
	assert_ok(link_take_produce(&room.link, NULL));
	room_fini(&room);
}

/* ---- the throttle --------------------------------------------------------------------------- */

static void
test_throttled_follower(void **state)
{
	(void)state;
	/* Goal: a follower that is not in sync gets no more records than
	 * leader.replication.throttled.rate lets it have, once that is exceeded; its fetches are
	 * answered when their time is over, with watermarks. In time it has everything, and then it
	 * is in the ISR and held back no more. Method: 20 KB at 200 bytes in a second. */
	struct room room;
	struct asked asked;
	char text[1001];
	room_init(&room, "replica.lag.time.max.ms=1000\n");
	struct assigned wanted = led_here;
	wanted.key = "leader.replication.throttled.replicas";
	wanted.value = "0:1";
	struct ot_uuid id = link_create_assigned(&room.link, &wanted);
	link_set_config(&room.link, "leader.replication.throttled.rate", "200");
	link_await_isr(&room.link, "t", 0, 1);
	memset(text, 'x', sizeof(text));
	text[1000] = '\0';
	for (int i = 0; i < 20; i++)
		assert_ok(link_produce(&room.link, "t", 0, 1, text, NULL));
	struct ask ask = ask_of_follower(&room, &id, 0);
	ask.bytes_max = 4000; /* three records */
	for (int i = 0; i < 2; i++) {
		ot_mono_ns before = ot_io_now(room.rig.user_io);
		link_ask_and_wait(&room.follower, &ask, &asked);
		assert_int_equal(asked.bytes > 0, i == 0);
		bool has_waited = (ot_io_now(room.rig.user_io) - before) / OT_NS_PER_MS >= 500;
		assert_int_equal(has_waited, i == 1);
		assert_ok(asked.partition->error_code);
		asked_fini(&asked);
		ask.offset = 3;
		ask.last_epoch = 0;
	}
	ot_mono_ns before = ot_io_now(room.rig.user_io);
	while (ask.offset < 20) {
		link_ask_and_wait(&room.follower, &ask, &asked);
		if (asked.bytes > 0)
			ask.offset += 3;
		asked_fini(&asked);
	}
	assert_true((ot_io_now(room.rig.user_io) - before) / OT_NS_PER_MS >= 60 * 1000);
	ask.offset = 20;
	link_ask_and_wait(&room.follower, &ask, &asked);
	asked_fini(&asked);
	link_await_isr(&room.link, "t", 0, 2);
	ask.wait_ms = 60000;
	link_ask(&room.follower, &ask);
	assert_ok(link_produce(&room.link, "t", 0, 1, text, NULL));
	ot_sim_world_run_for_ms(room.rig.world, 10);
	assert_true(link_has_answer(&room.follower));
	link_take_asked(&room.follower, ask.version, &asked);
	assert_true(asked.bytes > 0);
	asked_fini(&asked);
	room_fini(&room);
}

/* ---- the closest replica -------------------------------------------------------------------- */

static void
test_closest_replica(void **state)
{
	(void)state;
	/* Goal: a consumer whose rack has an in-sync follower with the offset that it wants is sent
	 * there, at once and without records; everyone else reads from the leader: its own rack's,
	 * those without a rack or with a strange one, old versions, offsets that the follower does
	 * not have (KIP-392); and in the end all, since the follower leaves the ISR. */
	static const struct {
		const char *rack;
		int16_t version;
		int64_t offset;
		int32_t closest;
	} rows[] = {
		{ "b", 11, 1, 2 },
		{ "b", 18, 0, 2 },
		{ "b", 12, 2, -1 },
		{ "a", 12, 0, -1 },
		{ "c", 12, 0, -1 },
		{ NULL, 12, 0, -1 },
		{ "b", 10, 0, -1 },
	};
	struct room room;
	struct asked asked;
	room_init(&room, "broker.rack=a\nreplica.lag.time.max.ms=10000\n"
			 "replica.selector.class=RackAwareReplicaSelector\n");
	struct ot_uuid id = link_create_assigned(&room.link, &led_here);
	for (int i = 0; i < 3; i++)
		assert_ok(link_produce(&room.link, "t", 0, 1, "a", NULL));
	struct ask ask = any_ask;
	ask.topic_id = id;
	ask.rack = "b";
	link_ask_and_wait(&room.link, &ask, &asked);
	assert_int_equal(asked.partition->preferred_read_replica, -1); /* it has not fetched yet */
	asked_fini(&asked);
	ask = ask_of_follower(&room, &id, 1);
	link_ask_and_wait(&room.follower, &ask, &asked);
	asked_fini(&asked);
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		ask = any_ask;
		ask.topic_id = id;
		ask.version = rows[i].version;
		ask.rack = rows[i].rack;
		ask.offset = rows[i].offset;
		ask.wait_ms = 300;
		link_ask_and_wait(&room.link, &ask, &asked);
		assert_ok(asked.partition->error_code);
		assert_int_equal(asked.partition->preferred_read_replica, rows[i].closest);
		assert_int_equal(asked.partition->high_watermark, 1);
		assert_int_equal(asked.bytes > 0, rows[i].closest < 0 && rows[i].offset == 0);
		asked_fini(&asked);
	}
	link_await_isr(&room.link, "t", 0, 1); /* it is silent, and lags behind */
	ask.version = 12;
	ask.rack = "b";
	ask.offset = 0;
	link_ask_and_wait(&room.link, &ask, &asked);
	assert_int_equal(asked.partition->preferred_read_replica, -1);
	asked_fini(&asked);
	room_fini(&room);
}

/* What the fetcher of the broker would bring from the leader. */
struct feed {
	struct ot_part_fetched fetched;
	bool is_done;
	ot_err err;
};

static void
feed_is_done(struct ot_part_fetched *fetched, ot_err err)
{
	struct feed *feed = OT_CONTAINER_OF(fetched, struct feed, fetched);
	feed->is_done = true;
	feed->err = err;
}

static bool
is_fed(void *arg)
{
	return ((struct feed *)arg)->is_done;
}

static struct ot_blob *
build_record(int64_t offset)
{
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_writer out;
	options.base_offset = offset;
	options.leader_epoch = 0;
	ot_writer_init(&out);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &out);
	const struct ot_record_data record = {
		.timestamp = 1700000000000,
		.key = OT_BYTES_NULL,
		.value = { (const uint8_t *)"fed", 3 },
	};
	ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_batch_builder_fini(&builder);
	struct ot_blob *blob = ot_blob_create(out.bytes);
	assert_non_null(blob);
	memcpy(blob->data, out.data, out.bytes);
	ot_writer_fini(&out);
	return blob;
}

/* A record at `offset` (below 0: none), and the leader's watermark. */
static void
feed_follower(struct room *room, const struct ot_uuid *topic_id, int64_t offset,
    int64_t high_watermark)
{
	struct ot_io *io = room->rig.ios[ot_part_owner_index(OT_STR_LIT("t"), 0, RIG_SHARDS)];
	struct ot_blob *blob = offset >= 0 ? build_record(offset) : NULL;
	struct feed feed = {
		.fetched = { .blob = blob, .high_watermark = high_watermark, .done = feed_is_done }
	};
	if (blob != NULL)
		feed.fetched.records = (struct ot_bytes){ blob->data, (int32_t)blob->bytes };
	rig_enter(&room->rig, io);
	ot_part_take_fetched(broker_part(topic_id, 0), &feed.fetched);
	ot_shard_enter(NULL);
	ot_io_ring(io);
	rig_until(&room->rig, is_fed, &feed);
	assert_ok(feed.err);
	ot_blob_unref(blob);
}

static void
test_consumer_at_a_follower(void **state)
{
	(void)state;
	/* Goal: a consumer may read at a follower from version 11 on, up to the watermark that the
	 * leader told, and its fetch is woken when that moves; before 11 it is told to look for the
	 * leader. Method: records that come as from the leader, and the watermark later. */
	struct room room;
	struct asked asked;
	room_init(&room, "");
	struct ask ask = any_ask;
	ask.topic_id =
	    link_create_assigned(&room.link, &(struct assigned){ "t", 1, { 2, 1 }, 2, NULL, NULL });
	for (ask.version = 4; ask.version <= FETCH_VERSION_MAX; ask.version++) {
		link_ask_and_wait(&room.link, &ask, &asked);
		assert_int_equal(asked.partition->error_code,
		    ask.version < 11 ? OT_ERR_NOT_LEADER_OR_FOLLOWER : OT_OK);
		asked_fini(&asked);
	}
	ask.version = 12;
	ask.wait_ms = 60000;
	link_ask(&room.link, &ask);
	feed_follower(&room, &ask.topic_id, 0, 0);
	feed_follower(&room, &ask.topic_id, 1, 0);
	ot_sim_world_run_for_ms(room.rig.world, 100);
	assert_false(link_has_answer(&room.link));
	feed_follower(&room, &ask.topic_id, -1, 1);
	ot_sim_world_run_for_ms(room.rig.world, 10);
	assert_true(link_has_answer(&room.link));
	link_take_asked(&room.link, ask.version, &asked);
	assert_int_equal(asked.partition->high_watermark, 1);
	assert_true(asked.bytes > 0);
	struct ot_batch_info info;
	assert_ok(ot_batch_parse(asked.partition->records.data, (size_t)asked.bytes, &info, NULL));
	assert_int_equal(info.bytes, asked.bytes); /* one batch: the second is beyond */
	asked_fini(&asked);
	room_fini(&room);
}

/* ---- offsets -------------------------------------------------------------------------------- */

static int16_t
list_latest(struct room *room, int32_t replica_id, const char *topic, int64_t *ret_offset)
{
	struct ot_arena arena;
	struct ot_list_offsets_request request;
	struct ot_list_offsets_response response;
	struct ot_list_offsets_request_topic one;
	struct ot_list_offsets_request_partition wanted;
	ot_arena_init(&arena, 0);
	ot_list_offsets_request_init(&request);
	ot_list_offsets_request_topic_init(&one);
	ot_list_offsets_request_partition_init(&wanted);
	wanted.timestamp = OT_LIST_LATEST;
	one.name = ot_str_from(topic);
	one.partitions = &wanted;
	one.partitions_count = 1;
	request.replica_id = replica_id;
	request.topics = &one;
	request.topics_count = 1;
	assert_true(link_call(&room->link, ot_api_find(2), 7, &request, &arena, &response));
	const struct ot_list_offsets_response_partition *found = &response.topics[0].partitions[0];
	*ret_offset = found->offset;
	int16_t code = found->error_code;
	ot_arena_fini(&arena);
	return code;
}

static void
test_list_offsets(void **state)
{
	(void)state;
	/* Goal: the latest offset is the watermark for a consumer, the log's end for a follower and
	 * for a debugger, and only the last is answered by a follower. */
	struct room room;
	int64_t offset;
	room_init(&room, "");
	link_create_assigned(&room.link, &led_here);
	link_create_assigned(&room.link, &(struct assigned){ "other", 1, { 2, 1 }, 2, NULL, NULL });
	assert_ok(link_produce(&room.link, "t", 0, 1, "a", NULL));
	assert_ok(list_latest(&room, -1, "t", &offset));
	assert_int_equal(offset, 0);
	assert_ok(list_latest(&room, 2, "t", &offset));
	assert_int_equal(offset, 1);
	assert_ok(list_latest(&room, -2, "t", &offset));
	assert_int_equal(offset, 1);
	assert_int_equal(list_latest(&room, -1, "other", &offset), OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(list_latest(&room, 2, "other", &offset), OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_ok(list_latest(&room, -2, "other", &offset));
	assert_int_equal(offset, 0);
	room_fini(&room);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leader_is_told),
		cmocka_unit_test(test_leader_is_told_to_producers),
		cmocka_unit_test(test_acks_all_waits_for_followers),
		cmocka_unit_test(test_acks_all_times_out),
		cmocka_unit_test(test_follower_of_another_life),
		cmocka_unit_test(test_follower_session),
		cmocka_unit_test(test_isr_shrinks_and_grows),
		cmocka_unit_test(test_isr_of_many),
		cmocka_unit_test(test_min_insync_replicas),
		cmocka_unit_test(test_throttled_follower),
		cmocka_unit_test(test_closest_replica),
		cmocka_unit_test(test_consumer_at_a_follower),
		cmocka_unit_test(test_list_offsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
