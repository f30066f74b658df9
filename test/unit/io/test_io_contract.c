/* Goal: every implementation of io/io.h behaves alike towards the code above it: clock, entropy,
 * timers, jobs, listening and connecting.
 *
 * Method: each test runs on every stage of stage.h. */
#include "stage.h"

/* ---- clock, entropy, timers ------------------------------------------------------------- */

static void
clock_body(struct stage *stage)
{
	ot_mono_ns first = ot_io_now(stage->server);
	assert_true(ot_io_now_exact(stage->server) >= first);
	run_for_ms(stage, 20);
	ot_mono_ns second = ot_io_now(stage->server);
	assert_true(second - first >= 19 * OT_NS_PER_MS);
	assert_true(ot_io_wall(stage->server) > 1500000000000);
}

static void
test_time_goes_on(void **state)
{
	on_stage(state, clock_body);
}

static void
random_body(struct stage *stage)
{
	uint8_t bytes[33] = { 0 }, or [33] = { 0 };
	for (int i = 0; i < 64; i++) {
		ot_io_random(stage->server, bytes, sizeof(bytes));
		for (size_t j = 0; j < sizeof(bytes); j++)
			or [j] |= bytes[j];
	}
	for (size_t j = 0; j < sizeof(bytes); j++)
		assert_int_equal(or [j], 0xff);
	struct ot_uuid a = ot_io_random_uuid(stage->server), b = ot_io_random_uuid(stage->server);
	assert_false(ot_uuid_equal(&a, &b));
	assert_int_equal(a.bytes[6] >> 4, 4);
	assert_true(ot_io_random_u64(stage->server) != ot_io_random_u64(stage->server));
}

static void
test_random_bytes(void **state)
{
	on_stage(state, random_body);
}

enum { TIMERS = 6 };

struct timers {
	struct ot_io *io;
	struct ot_timer timers[TIMERS];
	ot_mono_ns deadlines[TIMERS];
	int order[TIMERS * 2];
	int count;
	bool is_in_call;
	bool is_over;
};

static struct timers *the_timers;

static void
on_timer(struct ot_timer *timer)
{
	struct timers *timers = the_timers;
	int index = (int)(timer - timers->timers);
	assert_false(timers->is_in_call);
	assert_false(ot_timer_is_armed(timer));
	assert_true(ot_io_now(timers->io) >= timers->deadlines[index]);
	timers->order[timers->count++] = index;
	timers->is_over = index == 0;
	/* One that arms itself again without delay comes in another turn, and lets others come. */
	if (index == 5 && timers->count < TIMERS)
		ot_timer_arm(timers->io, timer, 0);
}

static void
timers_body(struct stage *stage)
{
	struct timers timers = { .io = stage->server, .is_in_call = true };
	static const int64_t delays[TIMERS] = { 60, 40, 20, 30, 10, -5 };
	the_timers = &timers;
	for (int i = 0; i < TIMERS; i++) {
		ot_timer_init(&timers.timers[i], on_timer);
		assert_false(ot_timer_is_armed(&timers.timers[i]));
		ot_timer_arm_in_ms(timers.io, &timers.timers[i], delays[i]);
		assert_true(ot_timer_is_armed(&timers.timers[i]));
		timers.deadlines[i] =
		    ot_io_now(timers.io) + (uint64_t)OT_MAX(delays[i], 0) * OT_NS_PER_MS;
	}
	/* 1 moves before 2, 3 is cancelled, 4 moves behind 2. */
	ot_timer_arm_in_ms(timers.io, &timers.timers[1], 5);
	timers.deadlines[1] = 0;
	ot_timer_cancel(timers.io, &timers.timers[3]);
	ot_timer_cancel(timers.io, &timers.timers[3]);
	ot_timer_arm_in_ms(timers.io, &timers.timers[4], 50);
	timers.is_in_call = false;
	run_until(stage, is_true, &timers.is_over);
	assert_in_range(timers.count, 6, TIMERS * 2);
	assert_int_equal(timers.order[0], 5);
	assert_int_equal(timers.order[1], 5);
	int last[4], count = 0;
	for (int i = 0; i < timers.count; i++) {
		if (timers.order[i] != 5)
			last[count++] = timers.order[i];
	}
	assert_int_equal(count, 4);
	assert_int_equal(last[0], 1);
	assert_int_equal(last[1], 2);
	assert_int_equal(last[2], 4);
	assert_int_equal(last[3], 0);
	ot_timer_cancel(timers.io, &timers.timers[5]);
}

static void
test_timers(void **state)
{
	on_stage(state, timers_body);
}

/* ---- jobs and rings --------------------------------------------------------------------- */

enum { JOBS = 40 };

struct counted_job {
	struct ot_job job;
	struct jobs *jobs;
	bool is_worked;
	bool is_done;
};

struct jobs {
	struct counted_job list[JOBS];
	int done_count;
	bool is_in_call;
	bool is_over;
};

static void
work(struct ot_job *job)
{
	struct counted_job *counted = OT_CONTAINER_OF(job, struct counted_job, job);
	assert_false(counted->is_worked);
	counted->is_worked = true;
}

static void
done(struct ot_job *job)
{
	struct counted_job *counted = OT_CONTAINER_OF(job, struct counted_job, job);
	assert_false(counted->jobs->is_in_call);
	assert_true(counted->is_worked);
	assert_false(counted->is_done);
	counted->is_done = true;
	counted->jobs->is_over = ++counted->jobs->done_count == JOBS;
}

static void
jobs_body(struct stage *stage)
{
	struct jobs jobs = { .is_in_call = true };
	for (int i = 0; i < JOBS; i++) {
		jobs.list[i] = (struct counted_job){ .job = { work, done }, .jobs = &jobs };
		ot_io_submit(stage->server, &jobs.list[i].job);
	}
	jobs.is_in_call = false;
	run_until(stage, is_true, &jobs.is_over);
	assert_int_equal(jobs.done_count, JOBS);
}

static void
test_jobs(void **state)
{
	on_stage(state, jobs_body);
}

struct rings {
	struct ot_io *io;
	bool is_sim;
	int turns;
	bool is_over;
};

static void
on_ring_turn(void *arg)
{
	struct rings *rings = arg;
	rings->is_over = ++rings->turns >= 5;
	if (!rings->is_over)
		ot_io_ring(rings->io);
	else if (!rings->is_sim)
		ot_loop_stop(rings->io);
}

/* Each ring is another turn, and on_turn_end comes in each. */
static void
rings_body(struct stage *stage)
{
	struct rings rings = { .io = stage->server, .is_sim = stage->world != NULL };
	stage->server->on_turn_end = on_ring_turn;
	stage->server->turn_arg = &rings;
	ot_io_ring(stage->server);
	if (stage->world != NULL)
		run_until(stage, is_true, &rings.is_over);
	else
		ot_loop_run(stage->server);
	assert_int_equal(rings.turns, 5);
	stage->server->on_turn_end = NULL;
}

static void
test_rings(void **state)
{
	on_stage(state, rings_body);
}

/* ---- listening -------------------------------------------------------------------------- */

static void
listening_body(struct stage *stage)
{
	struct ot_listener *listener = NULL, *second = NULL;
	struct ot_io *io = stage->server;
	struct pair pair = { .stage = stage };
	assert_ok(ot_io_listen(io, "127.0.0.1", 0, pair_on_accept, &pair, &listener));
	uint16_t port = ot_listener_port(listener);
	assert_int_equal(ot_io_listen(io, "127.0.0.1", port, pair_on_accept, &pair, &second),
	    OT_ERR_EXISTS);
	assert_int_equal(ot_io_listen(io, "", port, pair_on_accept, &pair, &second), OT_ERR_EXISTS);
	assert_null(second);
	ot_listener_close(listener);
	run_for_ms(stage, 1);
	assert_ok(ot_io_listen(io, "", port, pair_on_accept, &pair, &listener));
	assert_int_equal(ot_listener_port(listener), port);
	ot_listener_close(listener);
	ot_listener_close(NULL);
	assert_int_not_equal(ot_io_listen(io, "10.99.99.99", 0, pair_on_accept, &pair, &second),
	    OT_OK);
}

static void
test_listening(void **state)
{
	on_stage(state, listening_body);
}

static void
addresses_body(struct stage *stage)
{
	struct pair pair = { 0 };
	pair_connect(&pair, stage);
	assert_string_equal(pair.accepted.local.host, stage->address);
	assert_int_equal(pair.accepted.local.port, ot_listener_port(pair.listener));
	assert_int_not_equal(pair.accepted.peer.port, 0);
	if (stage->world != NULL && stage->client != stage->server)
		assert_true(pair.accepted.peer.host[0] != '\0');
	else
		assert_string_equal(pair.accepted.peer.host, "127.0.0.1");
	pair_adopt(&pair);
	pair_close(&pair);
}

static void
test_addresses(void **state)
{
	on_stage(state, addresses_body);
}

/* An accepted connection that is dropped ends for its peer. */
static void
drop_body(struct stage *stage)
{
	struct pair pair = { 0 };
	uint8_t scrap[8];
	pair_connect(&pair, stage);
	peer_get_into(&pair.client, scrap, sizeof(scrap));
	ot_accepted_drop(stage->server, &pair.accepted);
	run_until(stage, has_ended, &pair.client);
	pair_close(&pair);
}

static void
test_dropping(void **state)
{
	on_stage(state, drop_body);
}

/* So does one that finds no memory. */
static void
no_memory_body(struct stage *stage)
{
	struct pair pair = { 0 };
	uint8_t scrap[8];
	pair_connect(&pair, stage);
	peer_get_into(&pair.client, scrap, sizeof(scrap));
	ot_alloc_fail_at(1);
	assert_int_equal(ot_io_adopt(stage->server, &pair.accepted, &peer_events, &pair.server,
			     &pair.server.stream),
	    OT_ERR_NO_MEMORY);
	assert_null(pair.server.stream);
	run_until(stage, has_ended, &pair.client);
	pair_close(&pair);
}

static void
test_adopting_without_memory(void **state)
{
	on_stage(state, no_memory_body);
}

/* Connections that wait to be accepted end with the listener. */
static void
listener_close_body(struct stage *stage)
{
	struct pair pair = { 0 };
	uint8_t scrap[8];
	pair.stage = stage;
	assert_ok(
	    ot_io_listen(stage->server, stage->address, 0, pair_on_accept, &pair, &pair.listener));
	struct ot_address address = address_of(stage, ot_listener_port(pair.listener));
	ot_err err =
	    ot_io_connect(stage->client, &address, &peer_events, &pair.client, &pair.client.stream);
	ot_listener_close(pair.listener);
	pair.listener = NULL;
	if (err == OT_OK) {
		peer_get_into(&pair.client, scrap, sizeof(scrap));
		run_until(stage, has_ended, &pair.client);
	}
	assert_false(pair.is_accepted);
	pair_close(&pair);
}

static void
test_closing_a_listener(void **state)
{
	on_stage(state, listener_close_body);
}

struct closing_listener {
	struct ot_listener *listener;
	struct ot_io *io;
	unsigned count;
};

static void
close_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct closing_listener *closing = arg;
	closing->count++;
	ot_accepted_drop(closing->io, accepted);
	ot_listener_close(closing->listener);
	closing->listener = NULL;
}

/* A listener that is closed in its own callback accepts nothing more. */
static void
close_in_accept_body(struct stage *stage)
{
	enum { CLIENTS = 4 };
	struct closing_listener closing = { .io = stage->server };
	struct peer clients[CLIENTS] = { 0 };
	uint8_t scrap[8];
	assert_ok(ot_io_listen(stage->server, stage->address, 0, close_on_accept, &closing,
	    &closing.listener));
	struct ot_address address = address_of(stage, ot_listener_port(closing.listener));
	for (int i = 0; i < CLIENTS; i++)
		assert_ok(ot_io_connect(stage->client, &address, &peer_events, &clients[i],
		    &clients[i].stream));
	for (int i = 0; i < CLIENTS; i++) {
		peer_get_into(&clients[i], scrap, sizeof(scrap));
		run_until(stage, has_ended, &clients[i]);
		ot_stream_close(clients[i].stream);
	}
	assert_int_equal(closing.count, 1);
	ot_listener_close(closing.listener);
}

static void
test_closing_a_listener_in_its_callback(void **state)
{
	on_stage(state, close_in_accept_body);
}

static void
refused_body(struct stage *stage)
{
	struct ot_listener *listener = NULL;
	struct pair pair = { 0 };
	struct peer *peer = &pair.client;
	uint8_t scrap[8];
	assert_ok(ot_io_listen(stage->server, stage->address, 0, pair_on_accept, &pair, &listener));
	struct ot_address address = address_of(stage, ot_listener_port(listener));
	ot_listener_close(listener);
	run_for_ms(stage, 1);
	ot_err err = ot_io_connect(stage->client, &address, &peer_events, peer, &peer->stream);
	if (err != OT_OK) {
		assert_int_equal(err, OT_ERR_CLOSED);
		return;
	}
	peer->to_send = (const uint8_t *)"hello";
	peer->send_bytes = 5;
	run_until(stage, is_connection_over, peer);
	peer->has_ended = false;
	struct iovec piece = { .iov_base = scrap, .iov_len = sizeof(scrap) };
	size_t bytes = 0;
	assert_int_equal(ot_stream_read(peer->stream, &piece, 1, &bytes), OT_ERR_CLOSED);
	assert_int_equal(ot_stream_write(peer->stream, &piece, 1, false, &bytes), OT_ERR_CLOSED);
	ot_stream_close(peer->stream);
}

static void
test_a_refused_connection(void **state)
{
	on_stage(state, refused_body);
}

static void
bad_address_body(struct stage *stage)
{
	struct ot_address address = { .host = "not-a-number", .port = 9092 };
	struct peer peer = { 0 };
	assert_int_equal(ot_io_connect(stage->client, &address, &peer_events, &peer, &peer.stream),
	    OT_ERR_INVALID_REQUEST);
}

static void
test_an_address_must_be_numeric(void **state)
{
	on_stage(state, bad_address_body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(test_time_goes_on),
		ALL(test_random_bytes),
		ALL(test_timers),
		ALL(test_jobs),
		ALL(test_rings),
		ALL(test_listening),
		ALL(test_addresses),
		ALL(test_dropping),
		ALL(test_adopting_without_memory),
		ALL(test_closing_a_listener),
		ALL(test_closing_a_listener_in_its_callback),
		ALL(test_a_refused_connection),
		ALL(test_an_address_must_be_numeric),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
