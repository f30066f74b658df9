/* Tests of connections: from bytes to requests and from answers to bytes, on simulated threads and
 * a simulated network.
 *
 * Requests are frames of real keys with bodies of our own: the first byte says what the handler of
 * these tests is to do with them. */
#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "sim/sim_io.h"
#include "wire/conn.h"
#include "wire/msg_fetch.h"
#include "wire/msg_heartbeat.h"

enum {
	PATIENCE_MS = 120 * 1000,
	SEEDS = 6,
	KEY_PRODUCE = 0,
	KEY_FETCH = 1,
	KEY_HEARTBEAT = 12,
	PATTERN_BYTES = 4 * 1024 * 1024,
	LENGTH_BYTES = 4,
	HEAVY_BYTES = 100 * 1000,
};

/* What a body begins with. */
enum {
	DO_ANSWER = 'a',
	DO_HOLD = 'h', /* the test ends it */
	DO_END = 'e',  /* without an answer */
	DO_ABORT = 'x',
	DO_BYTES = 'L', /* answer with so many bytes of the pattern, as the next four say */
	DO_RANGE = 'F', /* the same from a file */
};

/* ---- the town ---------------------------------------------------------------------------------
 */

struct held {
	struct ot_list link;
	struct ot_request *request;
	int32_t correlation_id;
	bool is_orphan;
};

/* A client's end. */
struct client {
	struct ot_stream *stream;
	struct ot_writer out;
	size_t sent;
	size_t piece_bytes; /* of one write; 0: all that goes */
	uint8_t *got;
	size_t got_bytes;
	size_t got_capacity;
	size_t looked_at;
	bool is_reading;
	bool has_ended;
	int32_t next_correlation_id;
};

struct town {
	struct ot_sim_world *world;
	struct ot_sim_host *server;
	struct ot_sim_host *user;
	struct ot_io *ios[2];
	struct ot_io *user_io;
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct ot_conn_host conns;
	struct ot_listener *listener;
	struct ot_file *file; /* holds the pattern */
	uint8_t *pattern;
	struct ot_list held;
	uint32_t started;
	uint32_t running;
	uint32_t running_most;
	uint32_t orphans;
	uint64_t body_bytes;
	uint32_t accepted;
	uint64_t heavy_turn; /* in which the last heavy request has started */
	uint32_t heavy_count;
	uint32_t heavy_before_small; /* how many had started when the last small one did */
};

static void
on_switch(void *arg, struct ot_io *io)
{
	struct town *town = arg;
	struct ot_shard *shard = io != NULL && io == town->ios[0] ? town->set->shards[0] : NULL;
	if (io != NULL && io == town->ios[1])
		shard = town->set->shards[1];
	ot_shard_enter(shard);
}

static bool
is_of_pattern(const struct town *town, const uint8_t *data, size_t bytes)
{
	return memcmp(data, town->pattern, bytes) == 0;
}

/* ---- the handler --------------------------------------------------------------------------------
 */

static void
answer_small(struct ot_request *request)
{
	struct ot_heartbeat_response response;
	ot_heartbeat_response_init(&response);
	ot_request_answer_version(request, &ot_heartbeat_response_msg, 0, &response);
}

/* An answer of the Fetch kind, whose records are `bytes` of the pattern. */
static void
answer_large(struct town *town, struct ot_request *request, size_t bytes, bool is_range)
{
	struct ot_arena *arena = &request->arena;
	struct ot_fetch_response *response = ot_arena_alloc(arena, sizeof(*response));
	ot_fetch_response_init(response);
	response->responses_count = 1;
	response->responses = ot_fetch_response_topic_array(arena, 1);
	response->responses[0].topic = OT_STR_LIT("t");
	response->responses[0].partitions_count = 1;
	response->responses[0].partitions = ot_fetch_response_partition_array(arena, 1);
	struct ot_records *records = &response->responses[0].partitions[0].records;
	records->len = (int32_t)bytes;
	records->data = town->pattern;
	if (is_range && bytes > 0) {
		struct ot_file_range *range = ot_arena_alloc(arena, sizeof(*range));
		range->file = ot_file_ref(town->file);
		range->place = 0;
		records->source = range;
	}
	ot_request_answer_version(request, &ot_fetch_response_msg, 4, response);
}

static void
note_orphan(struct ot_request *request)
{
	struct held *held = request->op;
	held->is_orphan = true;
}

static void
hold(struct town *town, struct ot_request *request)
{
	struct held *held = OT_NEW(struct held);
	held->request = request;
	held->correlation_id = request->header.correlation_id;
	request->op = held;
	request->on_orphan = note_orphan;
	ot_list_push_back(&town->held, &held->link);
}

static void
on_request(void *arg, struct ot_request *request)
{
	struct town *town = arg;
	const uint8_t *body = request->body.data;
	assert_ptr_equal(ot_shard_self, town->shard);
	assert_true(request->body.len >= 1);
	assert_true(is_of_pattern(town, body + 5, (size_t)OT_MAX(request->body.len - 5, 0)));
	town->started++;
	if (request->body.len >= HEAVY_BYTES && request->header.request_api_key != KEY_PRODUCE) {
		assert_true(town->heavy_count == 0 || town->heavy_turn != town->shard->turn_count);
		town->heavy_turn = town->shard->turn_count;
		town->heavy_count++;
	} else {
		town->heavy_before_small = town->heavy_count;
	}
	town->body_bytes += (uint64_t)request->body.len;
	switch (body[0]) {
	case DO_ANSWER:
		answer_small(request);
		return;
	case DO_END:
		ot_request_end(request);
		return;
	case DO_ABORT:
		ot_request_abort(request, "as the test wants it");
		return;
	case DO_BYTES:
	case DO_RANGE:
		answer_large(town, request, ot_get_u32(body + 1), body[0] == DO_RANGE);
		return;
	default:
		hold(town, request);
		town->running++;
		town->running_most = OT_MAX(town->running_most, town->running);
	}
}

static const struct ot_conn_handler handler = { .on_request = on_request };

/* Ends the request that has been held longest; gives its correlation id. */
static int32_t
release(struct town *town, void (*end)(struct ot_request *request))
{
	struct held *held = OT_LIST_FIRST(&town->held, struct held, link);
	assert_non_null(held);
	int32_t id = held->correlation_id;
	ot_list_remove(&held->link);
	town->running--;
	town->orphans += held->is_orphan;
	struct ot_request *request = held->request;
	ot_free(held);
	end(request);
	return id;
}

/* ---- clients ------------------------------------------------------------------------------------
 */

static void
client_on_readable(void *arg)
{
	struct client *client = arg;
	for (;;) {
		if (client->got_bytes == client->got_capacity) {
			client->got_capacity = OT_MAX(client->got_capacity * 2, 65536u);
			client->got = ot_realloc(client->got, client->got_capacity);
			assert_non_null(client->got);
		}
		struct iovec piece = { client->got + client->got_bytes,
			client->got_capacity - client->got_bytes };
		size_t bytes = 0;
		ot_err err = ot_stream_read(client->stream, &piece, 1, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			client->has_ended = true;
			ot_stream_want(client->stream, false, false);
			return;
		}
		client->got_bytes += bytes;
	}
}

static void
client_on_writable(void *arg)
{
	struct client *client = arg;
	while (client->sent < client->out.bytes && !client->has_ended) {
		size_t left = client->out.bytes - client->sent;
		size_t most = client->piece_bytes != 0 ? client->piece_bytes : left;
		struct iovec piece = { client->out.data + client->sent, OT_MIN(left, most) };
		size_t bytes = 0;
		ot_err err = ot_stream_write(client->stream, &piece, 1, false, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK)
			client->has_ended = true;
		client->sent += bytes;
		if (client->piece_bytes != 0)
			return; /* the next piece in another turn */
	}
	ot_stream_want(client->stream, client->is_reading, false);
}

static const struct ot_stream_events client_events = { client_on_readable, client_on_writable };

static void
client_open(struct town *town, struct client *client)
{
	*client = (struct client){ .is_reading = true };
	ot_writer_init(&client->out);
	struct ot_address address = { .port = ot_listener_port(town->listener) };
	snprintf(address.host, sizeof(address.host), "10.0.0.1");
	assert_ok(ot_io_connect(town->user_io, &address, &client_events, client, &client->stream));
}

static void
client_close(struct client *client)
{
	ot_stream_close(client->stream);
	ot_writer_fini(&client->out);
	ot_free(client->got);
	*client = (struct client){ 0 };
}

static void
client_go(struct client *client)
{
	ot_stream_want(client->stream, client->is_reading, true);
}

/* Puts one request of `body_bytes` (at least 5) into what is to be sent. */
static void
put_request(struct town *town, struct client *client, int16_t key, uint8_t what, uint32_t number,
    size_t body_bytes)
{
	struct ot_writer *out = &client->out;
	size_t place = out->bytes;
	ot_write_i32(out, 0);
	assert_ok(ot_request_header_write(ot_api_find(key), ot_api_find(key)->advertised.min,
	    client->next_correlation_id++, OT_STR_LIT("me"), out));
	ot_write_i8(out, (int8_t)what);
	ot_write_i32(out, (int32_t)number);
	ot_write_raw(out, town->pattern, body_bytes - 5);
	ot_write_i32_at(out, place, (int32_t)(out->bytes - place - LENGTH_BYTES));
}

/* Takes the next whole answer off what came; -1 when there is none. */
static int32_t
take_answer(struct client *client, const uint8_t **ret_data, size_t *ret_bytes)
{
	const uint8_t *next = client->got + client->looked_at;
	size_t left = client->got_bytes - client->looked_at;
	if (left < LENGTH_BYTES || left - LENGTH_BYTES < ot_get_u32(next))
		return -1;
	*ret_bytes = ot_get_u32(next) - 4;
	*ret_data = next + LENGTH_BYTES + 4;
	client->looked_at += LENGTH_BYTES + ot_get_u32(next);
	return (int32_t)ot_get_u32(next + LENGTH_BYTES);
}

static size_t
count_answers(const struct client *client)
{
	size_t place = client->looked_at, count = 0;
	while (client->got_bytes - place >= LENGTH_BYTES) {
		size_t bytes = LENGTH_BYTES + ot_get_u32(client->got + place);
		if (client->got_bytes - place < bytes)
			break;
		place += bytes;
		count++;
	}
	return count;
}

/* ---- the town's life ----------------------------------------------------------------------------
 */

static void
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct town *town = arg;
	town->accepted++;
	ot_conn_open(&town->conns, accepted, town);
}

static const struct ot_sim_net bad_net = {
	.delay_ns_least = 1,
	.delay_ns_most = 1 * OT_NS_PER_MS,
	.short_io = 500000,
	.spurious = 200000,
	.window_bytes_least = 700,
	.window_bytes_most = 60000,
	.patience_ns = 600 * OT_NS_PER_S,
};

static void
make_pattern(struct town *town)
{
	town->pattern = ot_alloc_raw(PATTERN_BYTES);
	assert_non_null(town->pattern);
	for (size_t i = 0; i < PATTERN_BYTES; i++)
		town->pattern[i] = (uint8_t)(i * 7 + i / 251);
	assert_ok(ot_fs_open(ot_sim_host_fs(town->server), "/pattern",
	    OT_OPEN_WRITE | OT_OPEN_CREATE, &town->file));
	struct iovec piece = { town->pattern, PATTERN_BYTES };
	assert_ok(ot_file_write(town->file, &piece, 1, 0));
}

static void
town_open(struct town *town, uint64_t seed, bool is_bad, size_t budget_bytes,
    const struct ot_conn_limits *limits)
{
	*town = (struct town){ .world = ot_sim_world_create(seed) };
	if (is_bad)
		ot_sim_world_set_net(town->world, &bad_net);
	town->server = ot_sim_host_create(town->world, "10.0.0.1");
	town->user = ot_sim_host_create(town->world, "10.0.0.2");
	for (int i = 0; i < 2; i++)
		town->ios[i] = ot_sim_io_create(town->server);
	town->user_io = ot_sim_io_create(town->user);
	town->set = ot_shard_set_create(1, town->ios, budget_bytes);
	town->shard = town->set->shards[0];
	ot_list_init(&town->held);
	ot_sim_world_on_switch(town->world, on_switch, town);
	make_pattern(town);
	ot_shard_enter(town->shard);
	ot_conn_host_init(&town->conns, town->shard, &handler, town, limits);
	assert_ok(ot_io_listen(town->ios[0], "10.0.0.1", 9092, on_accept, town, &town->listener));
	ot_shard_enter(NULL);
}

/* Runs the world until the condition holds, outside of any thread. */
static void
run_until(struct town *town, bool (*holds)(void *arg), void *arg)
{
	ot_shard_enter(NULL);
	ot_io_ring(town->ios[0]);
	assert_true(ot_sim_world_run_until(town->world, holds, arg, PATIENCE_MS));
	ot_shard_enter(town->shard);
}

static void
run_for_ms(struct town *town, uint64_t ms)
{
	ot_shard_enter(NULL);
	ot_io_ring(town->ios[0]);
	ot_sim_world_run_for_ms(town->world, ms);
	ot_shard_enter(town->shard);
}

static void
town_close(struct town *town)
{
	ot_shard_enter(town->shard);
	ot_conn_host_close(&town->conns);
	assert_int_equal(town->conns.conn_count, 0);
	ot_listener_close(town->listener);
	run_for_ms(town, 10);
	ot_conn_host_fini(&town->conns);
	/* Whatever was taken of the budget has been given back, once. */
	assert_int_equal(town->shard->budget_bytes_used, 0);
	ot_file_unref(town->file);
	assert_int_equal(ot_sim_disk_open_count(ot_sim_host_disk(town->server)), 0);
	ot_shard_enter(NULL);
	ot_free(town->pattern);
	ot_shard_set_destroy(town->set);
	for (int i = 0; i < 2; i++)
		ot_sim_io_destroy(town->ios[i]);
	ot_sim_io_destroy(town->user_io);
	ot_sim_world_destroy(town->world);
}

static const struct ot_conn_limits usual = {
	.frame_bytes_max = 8 * 1024 * 1024,
	.idle_ms_max = -1,
	.pipeline_count_max = 256,
};

enum { USUAL_BUDGET = 64 * 1024 * 1024 };

struct expected {
	struct client *client;
	size_t count;
};

static bool
has_answers(void *arg)
{
	const struct expected *expected = arg;
	return count_answers(expected->client) >= expected->count;
}

static void
await_answers(struct town *town, struct client *client, size_t count)
{
	struct expected expected = { client, count };
	run_until(town, has_answers, &expected);
}

static bool
has_ended(void *arg)
{
	return ((struct client *)arg)->has_ended;
}

/* ---- frames -------------------------------------------------------------------------------------
 */

static void
check_stream_of_requests(struct town *town, size_t piece_bytes, size_t body_most)
{
	static const size_t sizes[] = { 5, 6, 100, 1000, 16000, 100 * 1000, 300 * 1000, 5 };
	struct client client;
	client_open(town, &client);
	client.piece_bytes = piece_bytes;
	size_t count = 0, wanted_bytes = 0;
	uint32_t started = town->started;
	uint64_t body_bytes = town->body_bytes;
	for (size_t i = 0; i < OT_ARRAY_COUNT(sizes); i++) {
		size_t bytes = OT_MIN(sizes[i], body_most);
		put_request(town, &client, KEY_HEARTBEAT, DO_ANSWER, 0, bytes);
		put_request(town, &client, KEY_PRODUCE, DO_ANSWER, 0, bytes + 1);
		wanted_bytes += 2 * bytes + 1;
		count += 2;
	}
	client_go(&client);
	await_answers(town, &client, count);
	assert_int_equal(town->started - started, count);
	assert_int_equal(town->body_bytes - body_bytes, wanted_bytes);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *data;
		size_t bytes = 0;
		assert_int_equal(take_answer(&client, &data, &bytes), i);
		assert_int_equal(bytes, 2);
	}
	client_close(&client);
	run_for_ms(town, 100);
}

static void
test_frames_in_pieces(void **state)
{
	(void)state;
	/* Goal: requests are found in the stream of bytes however it is cut, small and large, and
	 * their answers come in order.
	 * Method: the same requests in pieces of many sizes, then on a bad network over seeds. */
	static const size_t pieces[] = { 1, 2, 3, 4, 5, 7, 64, 1000, 16384, 0 };
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &usual);
	for (size_t i = 0; i < OT_ARRAY_COUNT(pieces); i++)
		check_stream_of_requests(&town, pieces[i],
		    pieces[i] == 0 ? SIZE_MAX : pieces[i] * 150 + 5);
	town_close(&town);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		town_open(&town, seed, true, USUAL_BUDGET, &usual);
		check_stream_of_requests(&town, 0, SIZE_MAX);
		town_close(&town);
	}
}

static void
test_bad_frames(void **state)
{
	(void)state;
	/* Goal: a length that is negative or too large and a header that cannot be read end the
	 * connection; another one notices nothing. */
	static const uint8_t negative[] = { 0x80, 0, 0, 0, 1 };
	static const uint8_t large[] = { 0x7f, 0xff, 0xff, 0xff };
	static const uint8_t empty[] = { 0, 0, 0, 0 };
	static const uint8_t unknown_key[] = { 0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff,
		0xff };
	static const uint8_t cut[] = { 0, 0, 0, 3, 0, 18, 0 };
	const struct {
		const uint8_t *data;
		size_t bytes;
	} cases[] = {
		{ negative, sizeof(negative) },
		{ large, sizeof(large) },
		{ empty, sizeof(empty) },
		{ unknown_key, sizeof(unknown_key) },
		{ cut, sizeof(cut) },
	};
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &usual);
	struct client good;
	client_open(&town, &good);
	for (size_t i = 0; i < OT_ARRAY_COUNT(cases); i++) {
		struct client bad;
		client_open(&town, &bad);
		ot_write_raw(&bad.out, cases[i].data, cases[i].bytes);
		client_go(&bad);
		run_until(&town, has_ended, &bad);
		client_close(&bad);
		put_request(&town, &good, KEY_HEARTBEAT, DO_ANSWER, 0, 5);
		client_go(&good);
		await_answers(&town, &good, i + 1);
	}
	assert_int_equal(town.started, OT_ARRAY_COUNT(cases));
	client_close(&good);
	town_close(&town);
}

/* ---- order --------------------------------------------------------------------------------------
 */

static bool
is_held(void *arg)
{
	return !ot_list_is_empty(&((struct town *)arg)->held);
}

static void
test_order_of_running(void **state)
{
	(void)state;
	/* Goal: one request of a connection runs at a time; only Produce requests that follow each
	 * other run together. Answers come in the order of the requests whatever ends first.
	 * Method: P P M P P, held by the handler and ended one by one; one ends without an answer.
	 */
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &usual);
	struct client client;
	client_open(&town, &client);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
	put_request(&town, &client, KEY_HEARTBEAT, DO_HOLD, 0, 5);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
	client_go(&client);
	run_until(&town, is_held, &town);
	run_for_ms(&town, 100);
	assert_int_equal(town.running, 2);
	/* The second ends first: its answer waits for the first's. */
	struct held *second = OT_CONTAINER_OF(town.held.prev, struct held, link);
	ot_list_remove(&second->link);
	town.running--;
	answer_small(second->request);
	ot_free(second);
	run_for_ms(&town, 100);
	assert_int_equal(town.running, 1);
	assert_int_equal(client.got_bytes, 0);
	assert_int_equal(release(&town, answer_small), 0);
	await_answers(&town, &client, 2);
	assert_int_equal(town.running, 1);
	assert_int_equal(release(&town, ot_request_end), 2);
	run_for_ms(&town, 100);
	assert_int_equal(town.running, 2);
	assert_int_equal(release(&town, answer_small), 3);
	assert_int_equal(release(&town, answer_small), 4);
	await_answers(&town, &client, 4);
	static const int32_t ids[] = { 0, 1, 3, 4 };
	for (size_t i = 0; i < OT_ARRAY_COUNT(ids); i++) {
		const uint8_t *data;
		size_t bytes = 0;
		assert_int_equal(take_answer(&client, &data, &bytes), ids[i]);
	}
	assert_int_equal(town.running_most, 2);
	client_close(&client);
	town_close(&town);
}

static void
test_full_pipeline(void **state)
{
	(void)state;
	/* Goal: no more requests than the limit wait; reading goes on as answers leave, and none is
	 * lost or doubled.
	 * Method: a limit of 4, fifty small requests in one piece, each held in turn. */
	const struct ot_conn_limits limits = {
		.frame_bytes_max = 1024 * 1024,
		.idle_ms_max = -1,
		.pipeline_count_max = 4,
	};
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &limits);
	struct client client;
	client_open(&town, &client);
	for (int i = 0; i < 50; i++)
		put_request(&town, &client, KEY_HEARTBEAT, DO_HOLD, 0, 5 + (size_t)i);
	client_go(&client);
	for (int i = 0; i < 50; i++) {
		run_until(&town, is_held, &town);
		assert_int_equal(town.started, i + 1);
		/* The receive blob, and a request's share for each in the pipeline. */
		assert_true(town.shard->budget_bytes_used < 256 * 1024);
		assert_int_equal(release(&town, answer_small), i);
	}
	await_answers(&town, &client, 50);
	client_close(&client);
	town_close(&town);
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static void
test_budget(void **state)
{
	(void)state;
	/* Goal: a frame that finds no room waits, and is read once there is some; the others of the
	 * connection come behind it.
	 * Method: a budget for one large frame; two clients send one each, held; then small ones.
	 */
	struct town town;
	town_open(&town, 1, false, 700 * 1024, &usual);
	struct client clients[2];
	for (int i = 0; i < 2; i++) {
		client_open(&town, &clients[i]);
		put_request(&town, &clients[i], KEY_HEARTBEAT, DO_HOLD, 0, 400 * 1024);
		put_request(&town, &clients[i], KEY_HEARTBEAT, DO_ANSWER, 0, 100);
		client_go(&clients[i]);
	}
	run_until(&town, is_held, &town);
	run_for_ms(&town, 1000);
	assert_int_equal(town.started, 1);
	assert_true(ot_budget_is_waited_for(town.shard));
	release(&town, answer_small);
	run_until(&town, is_held, &town);
	release(&town, answer_small);
	for (int i = 0; i < 2; i++) {
		await_answers(&town, &clients[i], 2);
		client_close(&clients[i]);
	}
	assert_int_equal(town.started, 4);
	town_close(&town);
}

static void
test_budget_of_queued_requests(void **state)
{
	(void)state;
	/* Goal: requests that wait in a pipeline count too, however small: a client that sends and
	 * sends cannot make the server take more than the budget.
	 * Method: many clients, each with a request that is held and many behind it. */
	enum { CLIENTS = 20, EACH = 60, BUDGET = 2 * 1024 * 1024 };
	struct town town;
	town_open(&town, 1, false, BUDGET, &usual);
	struct client clients[CLIENTS];
	for (int i = 0; i < CLIENTS; i++) {
		client_open(&town, &clients[i]);
		put_request(&town, &clients[i], KEY_HEARTBEAT, DO_HOLD, 0, 5);
		for (int j = 1; j < EACH; j++)
			put_request(&town, &clients[i], KEY_HEARTBEAT, DO_ANSWER, 0, 10000);
		client_go(&clients[i]);
	}
	run_for_ms(&town, 5000);
	/* Frames that were begun are let in whole. */
	assert_true(town.shard->budget_bytes_used <= BUDGET + CLIENTS * 8192);
	assert_true(ot_budget_is_waited_for(town.shard));
	while (town.started < CLIENTS * EACH) {
		if (is_held(&town))
			release(&town, answer_small);
		run_for_ms(&town, 100);
	}
	for (int i = 0; i < CLIENTS; i++) {
		await_answers(&town, &clients[i], EACH);
		client_close(&clients[i]);
	}
	town_close(&town);
}

static void
test_stalled_frame_under_shortage(void **state)
{
	(void)state;
	/* Goal: who announces a large frame and sends no more of it loses the connection once
	 * others wait for that memory, and not before. Method: half a frame that takes nearly all;
	 * alone for a while, then with another client. */
	struct town town;
	town_open(&town, 1, false, 1024 * 1024, &usual);
	struct client slow, other;
	client_open(&town, &slow);
	put_request(&town, &slow, KEY_HEARTBEAT, DO_ANSWER, 0, 700 * 1024);
	slow.out.bytes = 100 * 1024;
	client_go(&slow);
	run_for_ms(&town, 30 * 1000);
	assert_false(slow.has_ended);
	client_open(&town, &other);
	put_request(&town, &other, KEY_HEARTBEAT, DO_ANSWER, 0, 700 * 1024);
	client_go(&other);
	await_answers(&town, &other, 1);
	assert_true(slow.has_ended);
	client_close(&slow);
	client_close(&other);
	town_close(&town);
}

static void
test_dribbled_frame_under_shortage(void **state)
{
	(void)state;
	/* Goal: neither does it help to send a byte of it now and then; who sends at a fair rate
	 * keeps the connection. Method: as above, with a byte each second; with a sixtieth of the
	 * frame each second. */
	for (int i = 0; i < 2; i++) {
		struct town town;
		town_open(&town, 1, false, 1024 * 1024, &usual);
		struct client slow, other;
		size_t step = i == 0 ? 1 : 20 * 1024;
		client_open(&town, &slow);
		put_request(&town, &slow, KEY_HEARTBEAT, DO_ANSWER, 0, 800 * 1024);
		size_t whole = slow.out.bytes;
		slow.out.bytes = 100;
		client_go(&slow);
		run_for_ms(&town, 100);
		client_open(&town, &other);
		put_request(&town, &other, KEY_HEARTBEAT, DO_ANSWER, 0, 700 * 1024);
		client_go(&other);
		for (int second = 0; second < 60 && !slow.has_ended; second++) {
			slow.out.bytes = OT_MIN(slow.out.bytes + step, whole);
			client_go(&slow);
			run_for_ms(&town, 1000);
		}
		assert_int_equal(slow.has_ended, i == 0);
		await_answers(&town, &other, 1);
		client_close(&slow);
		client_close(&other);
		town_close(&town);
	}
}

static void
test_heavy_requests_take_turns(void **state)
{
	(void)state;
	/* Goal: requests of many bytes, each of which may take long, start one in a turn, so that
	 * others are served in between; all are answered. Method: eight clients with three such
	 * requests each, all of which have come when the shard looks, and a client with a small one
	 * that comes a turn later; the handler asserts. */
	struct town town;
	enum { HEAVY_CLIENTS = 8, HEAVY_EACH = 3 };
	town_open(&town, 3, false, 64 * 1024 * 1024, &usual);
	struct client heavy[HEAVY_CLIENTS], small;
	for (int i = 0; i < HEAVY_CLIENTS; i++)
		client_open(&town, &heavy[i]);
	client_open(&town, &small);
	run_for_ms(&town, 100);
	ot_sim_host_freeze_ms(town.server, 1000);
	for (int i = 0; i < HEAVY_CLIENTS; i++) {
		for (int j = 0; j < HEAVY_EACH; j++)
			put_request(&town, &heavy[i], KEY_HEARTBEAT, DO_ANSWER, 0, HEAVY_BYTES);
		client_go(&heavy[i]);
	}
	put_request(&town, &small, KEY_HEARTBEAT, DO_ANSWER, 0, 10);
	client_go(&small);
	await_answers(&town, &small, 1);
	for (int i = 0; i < HEAVY_CLIENTS; i++)
		await_answers(&town, &heavy[i], HEAVY_EACH);
	assert_int_equal(town.heavy_count, HEAVY_CLIENTS * HEAVY_EACH);
	assert_true(town.heavy_before_small < HEAVY_CLIENTS);
	for (int i = 0; i < HEAVY_CLIENTS; i++)
		client_close(&heavy[i]);
	client_close(&small);
	town_close(&town);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* Checks an answer of the Fetch kind: the pattern lies in its end. */
static void
check_large(struct town *town, const uint8_t *data, size_t bytes, size_t wanted)
{
	assert_true(bytes > wanted);
	assert_int_equal(ot_get_u32(data + bytes - wanted - 4), wanted);
	assert_true(is_of_pattern(town, data + bytes - wanted, wanted));
}

static const size_t large_sizes[] = { 1, 1000, 70 * 1000, 65536, 65537, 300 * 1000, 20, 1000 * 1000,
	0 };

static void
check_slow_reader(struct town *town, size_t rounds)
{
	struct client client;
	client_open(town, &client);
	client.is_reading = false;
	size_t count = 0;
	for (size_t round = 0; round < rounds; round++) {
		for (size_t i = 0; i < OT_ARRAY_COUNT(large_sizes); i++) {
			uint32_t bytes = (uint32_t)large_sizes[i];
			put_request(town, &client, KEY_FETCH, DO_RANGE, bytes, 5);
			put_request(town, &client, KEY_FETCH, DO_BYTES, bytes, 5);
			put_request(town, &client, KEY_PRODUCE, DO_END, 0, 5);
			count += 2;
		}
	}
	client_go(&client);
	run_for_ms(town, 20 * 1000);
	/* A peer that does not read gets few answers made, and they are all that takes memory. */
	assert_true(town->started < count);
	assert_true(town->shard->budget_bytes_used < 4 * 1024 * 1024);
	client.is_reading = true;
	client_go(&client);
	await_answers(town, &client, count);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *data = NULL;
		size_t bytes = 0;
		int32_t id = take_answer(&client, &data, &bytes);
		assert_int_equal(id, i + i / 2);
		check_large(town, data, bytes,
		    large_sizes[(size_t)id / 3 % OT_ARRAY_COUNT(large_sizes)]);
	}
	client_close(&client);
}

static void
test_slow_reader(void **state)
{
	(void)state;
	/* Goal: answers of bytes and of file ranges, large and small, arrive whole and in order at
	 * a peer that reads late and little; the server does not pile up what it cannot send.
	 * Method: many requests from a client that reads only after a while; several networks. */
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct town town;
		town_open(&town, seed, seed > 0, USUAL_BUDGET, &usual);
		check_slow_reader(&town, seed == 0 ? 8 : 2);
		town_close(&town);
	}
}

/* ---- ends ---------------------------------------------------------------------------------------
 */

static void
test_idle_connections(void **state)
{
	(void)state;
	/* Goal: idle connections are closed after connections.max.idle.ms; one whose request runs
	 * is not idle, one that does not read its answers is. Method: four clients of these kinds,
	 * and a busy one. */
	const struct ot_conn_limits limits = {
		.frame_bytes_max = 8 * 1024 * 1024,
		.idle_ms_max = 3000,
		.pipeline_count_max = 16,
	};
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &limits);
	struct client idle, waiting, deaf, busy;
	client_open(&town, &idle);
	client_open(&town, &waiting);
	put_request(&town, &waiting, KEY_FETCH, DO_HOLD, 0, 5);
	client_go(&waiting);
	client_open(&town, &deaf);
	deaf.is_reading = false;
	for (int i = 0; i < 8; i++)
		put_request(&town, &deaf, KEY_FETCH, DO_BYTES, 1000 * 1000, 5);
	client_go(&deaf);
	client_open(&town, &busy);
	for (int i = 0; i < 10; i++) {
		put_request(&town, &busy, KEY_HEARTBEAT, DO_ANSWER, 0, 5);
		client_go(&busy);
		run_for_ms(&town, 1000);
		assert_false(busy.has_ended);
	}
	assert_true(idle.has_ended);
	assert_int_equal(town.conns.conn_count, 2);
	assert_false(waiting.has_ended);
	release(&town, answer_small);
	await_answers(&town, &waiting, 1);
	client_close(&idle);
	client_close(&waiting);
	client_close(&deaf);
	client_close(&busy);
	town_close(&town);
}

static bool
is_alone(void *arg)
{
	return ((struct town *)arg)->conns.conn_count == 0;
}

static void
test_close_with_requests(void **state)
{
	(void)state;
	/* Goal: when a connection goes, what is queued goes with it, what runs is told, may end
	 * later in any way, and what it held is given back. An abort ends its connection alone.
	 * Method: held and queued requests of clients that leave; ends of all kinds. */
	void (*const ends[])(struct ot_request * request) = { answer_small, ot_request_end };
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &usual);
	for (size_t i = 0; i < OT_ARRAY_COUNT(ends); i++) {
		struct client client;
		client_open(&town, &client);
		put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 200 * 1000);
		put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
		put_request(&town, &client, KEY_HEARTBEAT, DO_HOLD, 0, 300);
		put_request(&town, &client, KEY_HEARTBEAT, DO_HOLD, 0, 300 * 1000);
		client.out.bytes -= 1000;
		client_go(&client);
		run_for_ms(&town, 1000);
		assert_int_equal(town.running, 2);
		client_close(&client);
		run_until(&town, is_alone, &town);
		release(&town, ends[i]);
		release(&town, ends[i]);
		assert_int_equal(town.orphans, 2 * (i + 1));
	}
	struct client client;
	client_open(&town, &client);
	put_request(&town, &client, KEY_HEARTBEAT, DO_HOLD, 0, 5);
	client_go(&client);
	run_until(&town, is_held, &town);
	client_close(&client);
	run_until(&town, is_alone, &town);
	struct held *held = OT_LIST_FIRST(&town.held, struct held, link);
	ot_list_remove(&held->link);
	ot_request_abort(held->request, "nobody hears it");
	ot_free(held);
	client_open(&town, &client);
	put_request(&town, &client, KEY_HEARTBEAT, DO_ABORT, 0, 5);
	put_request(&town, &client, KEY_HEARTBEAT, DO_ANSWER, 0, 5);
	client_go(&client);
	run_until(&town, has_ended, &client);
	assert_int_equal(count_answers(&client), 0);
	client_close(&client);
	town_close(&town);
}

static void
test_end_with_orphans(void **state)
{
	(void)state;
	/* Goal: a shard that ends frees requests that nobody has ended. */
	struct town town;
	town_open(&town, 1, false, USUAL_BUDGET, &usual);
	struct client client;
	client_open(&town, &client);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 200 * 1000);
	put_request(&town, &client, KEY_PRODUCE, DO_HOLD, 0, 5);
	client_go(&client);
	run_for_ms(&town, 1000);
	assert_int_equal(town.running, 2);
	while (is_held(&town)) {
		struct held *held = OT_LIST_FIRST(&town.held, struct held, link);
		ot_list_remove(&held->link);
		held->request->on_orphan = NULL;
		ot_free(held);
	}
	client_close(&client);
	town_close(&town);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_in_pieces),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_order_of_running),
		cmocka_unit_test(test_full_pipeline),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_of_queued_requests),
		cmocka_unit_test(test_stalled_frame_under_shortage),
		cmocka_unit_test(test_dribbled_frame_under_shortage),
		cmocka_unit_test(test_heavy_requests_take_turns),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_idle_connections),
		cmocka_unit_test(test_close_with_requests),
		cmocka_unit_test(test_end_with_orphans),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
