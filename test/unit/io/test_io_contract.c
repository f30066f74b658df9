/* Goal: every implementation of io/io.h behaves alike towards the code above it.
 *
 * Method: each test runs on production's loop (both ends of a connection on one loop, over the
 * loopback) and on simulated threads: of one machine, of two machines, and of two machines on a bad
 * network with small windows, short reads and writes and spurious events, over several seeds. */
#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/list.h"
#include "io/io.h"
#include "io/loop.h"
#include "sim/sim_io.h"

enum { PATIENCE_MS = 10000, SEEDS = 8 };

/* ---- stages ----------------------------------------------------------------------------- */

struct stage {
	struct ot_sim_world *world; /* NULL: production */
	struct ot_io *server;
	struct ot_io *client; /* the same in production */
	char address[64];     /* the server's */
	bool (*holds)(void *arg);
	void *arg;
	struct ot_io *running;
	struct ot_timer guard;
};

struct kind {
	bool is_sim;
	bool is_apart; /* two machines */
	bool is_bad;   /* the network between them */
};

static void
check_turn(void *arg)
{
	struct stage *stage = arg;
	if (stage->holds(stage->arg))
		ot_loop_stop(stage->running);
}

static void
end_patience(struct ot_timer *timer)
{
	ot_loop_stop(OT_CONTAINER_OF(timer, struct stage, guard)->running);
}

/* Lets one production loop turn, or the whole simulated world, until the condition holds. */
static void
run_io_until(struct stage *stage, struct ot_io *io, bool (*holds)(void *arg), void *arg)
{
	if (stage->world != NULL) {
		assert_true(ot_sim_world_run_until(stage->world, holds, arg, PATIENCE_MS));
		return;
	}
	stage->holds = holds;
	stage->arg = arg;
	stage->running = io;
	io->on_turn_end = check_turn;
	io->turn_arg = stage;
	ot_timer_init(&stage->guard, end_patience);
	ot_timer_arm_in_ms(io, &stage->guard, PATIENCE_MS);
	ot_loop_run(io);
	ot_timer_cancel(io, &stage->guard);
	io->on_turn_end = NULL;
	assert_true(holds(arg));
}

static void
run_until(struct stage *stage, bool (*holds)(void *arg), void *arg)
{
	run_io_until(stage, stage->server, holds, arg);
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static void
set_true(struct ot_timer *timer)
{
	/* The flag lies right behind the timer, see run_for_ms(). */
	*(bool *)(timer + 1) = true;
}

static void
run_for_ms(struct stage *stage, int64_t ms)
{
	struct {
		struct ot_timer timer;
		bool is_over;
	} pause = { .is_over = false };
	ot_timer_init(&pause.timer, set_true);
	ot_timer_arm_in_ms(stage->server, &pause.timer, ms);
	run_until(stage, is_true, &pause.is_over);
}

static const struct ot_sim_net bad_net = {
	.delay_ns_least = 1,
	.delay_ns_most = 3 * OT_NS_PER_MS,
	.spike = 20000,
	.spike_ns_most = 50 * OT_NS_PER_MS,
	.short_io = 500000,
	.spurious = 300000,
	.window_bytes_least = 700,
	.window_bytes_most = 9000,
	.patience_ns = 60 * OT_NS_PER_S,
};

static void
open_stage(struct stage *stage, const struct kind *kind, uint64_t seed)
{
	*stage = (struct stage){ 0 };
	snprintf(stage->address, sizeof(stage->address), "127.0.0.1");
	if (!kind->is_sim) {
		assert_ok(ot_loop_create(&stage->server));
		stage->client = stage->server;
		return;
	}
	stage->world = ot_sim_world_create(seed);
	if (kind->is_bad)
		ot_sim_world_set_net(stage->world, &bad_net);
	struct ot_sim_host *host = ot_sim_host_create(stage->world, "10.0.0.1");
	struct ot_sim_host *other = host;
	if (kind->is_apart) {
		other = ot_sim_host_create(stage->world, "10.0.0.2");
		snprintf(stage->address, sizeof(stage->address), "10.0.0.1");
	}
	stage->server = ot_sim_io_create(host);
	stage->client = ot_sim_io_create(other);
}

static void
close_stage(struct stage *stage)
{
	if (stage->world == NULL) {
		ot_loop_destroy(stage->server);
		return;
	}
	ot_sim_io_destroy(stage->client);
	ot_sim_io_destroy(stage->server);
	ot_sim_world_destroy(stage->world);
}

/* Runs a test's body on the stage of the kind that cmocka hands over, for each seed. */
static void
on_stage(void **state, void (*body)(struct stage *stage))
{
	const struct kind *kind = *state;
	for (uint64_t seed = 0; seed < (kind->is_sim ? SEEDS : 1); seed++) {
		struct stage stage;
		open_stage(&stage, kind, seed);
		body(&stage);
		close_stage(&stage);
	}
}

/* ---- a peer: one end of a connection with what it has sent and got ------------------------- */

struct peer {
	struct stage *stage;
	struct ot_stream *stream;
	const uint8_t *to_send;
	size_t send_bytes;
	size_t sent;
	uint8_t *got; /* NULL: reading is not done by itself */
	size_t got_bytes_max;
	size_t got_bytes;
	size_t read_bytes_most; /* in one event, 0: all there is */
	bool closes_when_sent;
	bool has_ended; /* a read or write said CLOSED */
	bool was_again; /* a write found no room */
	unsigned readable_count;
	unsigned writable_count;
};

static void
peer_read(struct peer *peer)
{
	for (;;) {
		uint8_t scrap[64];
		size_t room = peer->got_bytes_max - peer->got_bytes;
		struct iovec piece = { .iov_base = peer->got + peer->got_bytes, .iov_len = room };
		if (room == 0)
			piece = (struct iovec){ .iov_base = scrap, .iov_len = sizeof(scrap) };
		if (peer->read_bytes_most > 0)
			piece.iov_len = OT_MIN(piece.iov_len, peer->read_bytes_most);
		size_t bytes = 0;
		ot_err err = ot_stream_read(peer->stream, &piece, 1, &bytes);
		if (err == OT_ERR_CLOSED)
			peer->has_ended = true;
		if (err != OT_OK) {
			assert_true(err == OT_ERR_CLOSED || err == OT_ERR_AGAIN);
			return;
		}
		assert_in_range(bytes, 1, piece.iov_len);
		assert_true(room > 0);
		peer->got_bytes += bytes;
		if (peer->read_bytes_most > 0)
			return;
	}
}

static void
peer_write(struct peer *peer)
{
	while (peer->sent < peer->send_bytes && !peer->has_ended) {
		size_t left = peer->send_bytes - peer->sent;
		const uint8_t *from = peer->to_send + peer->sent;
		struct iovec pieces[2] = {
			{ .iov_base = (void *)(uintptr_t)from, .iov_len = left / 3 },
			{ .iov_base = (void *)(uintptr_t)(from + left / 3),
			    .iov_len = left - left / 3 },
		};
		size_t bytes = 0;
		ot_err err = ot_stream_write(peer->stream, pieces, 2, false, &bytes);
		peer->was_again = peer->was_again || err == OT_ERR_AGAIN;
		if (err == OT_ERR_AGAIN)
			return;
		if (err == OT_ERR_CLOSED)
			peer->has_ended = true;
		else
			assert_ok(err);
		peer->sent += bytes;
	}
	ot_stream_want(peer->stream, peer->got != NULL, false);
	if (peer->closes_when_sent) {
		ot_stream_close(peer->stream);
		peer->stream = NULL;
	}
}

static void
peer_on_readable(void *arg)
{
	struct peer *peer = arg;
	peer->readable_count++;
	assert_non_null(peer->stream);
	if (peer->got != NULL)
		peer_read(peer);
	if (peer->has_ended)
		ot_stream_want(peer->stream, false, false);
}

static void
peer_on_writable(void *arg)
{
	struct peer *peer = arg;
	peer->writable_count++;
	assert_non_null(peer->stream);
	peer_write(peer);
}

static const struct ot_stream_events peer_events = { peer_on_readable, peer_on_writable };

struct pair {
	struct stage *stage;
	struct peer server;
	struct peer client;
	struct ot_listener *listener;
	struct ot_accepted accepted;
	bool is_accepted;
};

static void
pair_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct pair *pair = arg;
	assert_false(pair->is_accepted);
	pair->accepted = *accepted;
	pair->is_accepted = true;
}

static struct ot_address
address_of(const struct stage *stage, uint16_t port)
{
	struct ot_address address = { .port = port };
	snprintf(address.host, sizeof(address.host), "%s", stage->address);
	return address;
}

/* Listens and connects; the server's end is accepted and not adopted. */
static void
pair_connect(struct pair *pair, struct stage *stage)
{
	pair->stage = stage;
	pair->server.stage = pair->client.stage = stage;
	assert_ok(
	    ot_io_listen(stage->server, stage->address, 0, pair_on_accept, pair, &pair->listener));
	struct ot_address address = address_of(stage, ot_listener_port(pair->listener));
	assert_int_not_equal(address.port, 0);
	assert_ok(ot_io_connect(stage->client, &address, &peer_events, &pair->client,
	    &pair->client.stream));
	run_until(stage, is_true, &pair->is_accepted);
}

static void
pair_adopt(struct pair *pair)
{
	assert_ok(ot_io_adopt(pair->stage->server, &pair->accepted, &peer_events, &pair->server,
	    &pair->server.stream));
	if (pair->server.got == NULL)
		ot_stream_want(pair->server.stream, false, false);
}

static void
peer_send(struct peer *peer, const void *data, size_t bytes)
{
	peer->to_send = data;
	peer->send_bytes = bytes;
	peer->sent = 0;
	ot_stream_want(peer->stream, peer->got != NULL, true);
}

static void
pair_open(struct pair *pair, struct stage *stage)
{
	pair_connect(pair, stage);
	pair_adopt(pair);
}

static void
pair_close(struct pair *pair)
{
	ot_stream_close(pair->client.stream);
	ot_stream_close(pair->server.stream);
	ot_listener_close(pair->listener);
}

static void
peer_get_into(struct peer *peer, void *to, size_t bytes)
{
	peer->got = to;
	peer->got_bytes_max = bytes;
	peer->got_bytes = 0;
	ot_stream_want(peer->stream, true, peer->sent < peer->send_bytes);
}

static bool
has_got_all(void *arg)
{
	const struct peer *peer = arg;
	return peer->got_bytes == peer->got_bytes_max;
}

static bool
has_ended(void *arg)
{
	return ((const struct peer *)arg)->has_ended;
}

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

static bool
is_connection_over(void *arg)
{
	const struct peer *peer = arg;
	return peer->has_ended || peer->writable_count > 0;
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

/* ---- bytes ------------------------------------------------------------------------------ */

enum { MANY = 400 * 1000 };

static uint8_t *
make_bytes(size_t bytes)
{
	uint8_t *data = ot_must_alloc(bytes);
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
	return data;
}

struct both {
	struct peer *a;
	struct peer *b;
};

static bool
have_both_got_all(void *arg)
{
	struct both *both = arg;
	return has_got_all(both->a) && has_got_all(both->b);
}

/* All bytes arrive both ways, once and in order. */
static void
both_ways_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY), *there = ot_must_alloc(MANY), *back = ot_must_alloc(MANY);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	peer_get_into(&pair.server, there, MANY);
	peer_get_into(&pair.client, back, MANY - 1);
	peer_send(&pair.client, data, MANY);
	peer_send(&pair.server, data + 1, MANY - 1);
	struct both both = { &pair.server, &pair.client };
	run_until(stage, have_both_got_all, &both);
	assert_memory_equal(there, data, MANY);
	assert_memory_equal(back, data + 1, MANY - 1);
	pair_close(&pair);
	ot_free(data);
	ot_free(there);
	ot_free(back);
}

static void
test_bytes_both_ways(void **state)
{
	on_stage(state, both_ways_body);
}

static bool
is_stuck(void *arg)
{
	return ((const struct peer *)arg)->was_again;
}

/* A reader that does not want to read gets no event, and holds its sender back; when it wants again
 * all is there. */
static void
backpressure_body(struct stage *stage)
{
	enum { FLOOD = 24 * 1000 * 1000 };
	uint8_t *data = make_bytes(FLOOD), *got = ot_must_alloc(FLOOD);
	struct pair pair = { 0 };
	size_t bytes = stage->world != NULL ? MANY : FLOOD;
	pair_open(&pair, stage);
	peer_send(&pair.client, data, bytes);
	run_until(stage, is_stuck, &pair.client);
	run_for_ms(stage, 20);
	assert_int_equal(pair.server.readable_count, 0);
	assert_true(pair.client.sent < bytes);
	peer_get_into(&pair.server, got, bytes);
	run_until(stage, has_got_all, &pair.server);
	assert_memory_equal(got, data, bytes);
	assert_int_equal(pair.client.readable_count, 0);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_backpressure(void **state)
{
	on_stage(state, backpressure_body);
}

/* Whoever reads little per event is called again until all is read, and then told the end. */
static void
small_reads_body(struct stage *stage)
{
	enum { BYTES = 20000 };
	uint8_t *data = make_bytes(BYTES), *got = ot_must_alloc(BYTES);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	pair.server.read_bytes_most = 100;
	peer_get_into(&pair.server, got, BYTES);
	pair.client.closes_when_sent = true;
	peer_send(&pair.client, data, BYTES);
	run_until(stage, has_ended, &pair.server);
	assert_int_equal(pair.server.got_bytes, BYTES);
	assert_memory_equal(got, data, BYTES);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_the_end_comes_after_all_bytes(void **state)
{
	on_stage(state, small_reads_body);
}

/* The same when the connection breaks instead of ending: some bytes may be lost, the news not. */
static void
small_reads_of_a_broken_body(struct stage *stage)
{
	enum { BYTES = 500 }; /* less than any window */
	uint8_t *data = make_bytes(BYTES), *got = ot_must_alloc(BYTES);
	uint8_t scrap[1];
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	/* What the client gets and does not read makes its close a reset. */
	peer_get_into(&pair.client, scrap, 0);
	ot_stream_want(pair.client.stream, false, false);
	peer_send(&pair.server, data, 100);
	run_for_ms(stage, 200);
	pair.client.got = NULL;
	pair.client.closes_when_sent = true;
	peer_send(&pair.client, data, BYTES);
	run_for_ms(stage, 200);
	assert_null(pair.client.stream);
	pair.server.read_bytes_most = 10;
	peer_get_into(&pair.server, got, BYTES);
	run_until(stage, has_ended, &pair.server);
	assert_memory_equal(got, data, pair.server.got_bytes);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_a_broken_connection_is_told_to_slow_readers(void **state)
{
	on_stage(state, small_reads_of_a_broken_body);
}

/* Writing to a peer that is gone says so, after a while. */
static void
write_to_the_gone_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	ot_stream_close(pair.server.stream);
	pair.server.stream = NULL;
	peer_send(&pair.client, data, MANY);
	run_until(stage, is_connection_over, &pair.client);
	for (int i = 0; i < 1000 && !pair.client.has_ended; i++) {
		run_for_ms(stage, 5);
		peer_send(&pair.client, data, MANY);
	}
	assert_true(pair.client.has_ended);
	pair_close(&pair);
	ot_free(data);
}

static void
test_writing_to_who_is_gone(void **state)
{
	on_stage(state, write_to_the_gone_body);
}

/* "More follows" delays bytes at most for a while. */
static void
more_follows_body(struct stage *stage)
{
	uint8_t got[8] = { 0 };
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	peer_get_into(&pair.server, got, 6);
	run_until(stage, is_connection_over, &pair.client);
	struct iovec piece = { .iov_base = "abc", .iov_len = 3 };
	for (int i = 0; i < 2; i++) {
		size_t sent = 0;
		while (sent < 3) {
			struct iovec rest = { .iov_base = (char *)piece.iov_base + sent,
				.iov_len = 3 - sent };
			size_t bytes = 0;
			assert_ok(ot_stream_write(pair.client.stream, &rest, 1, true, &bytes));
			sent += bytes;
		}
	}
	run_until(stage, has_got_all, &pair.server);
	assert_memory_equal(got, "abcabc", 6);
	pair_close(&pair);
}

static void
test_more_follows(void **state)
{
	on_stage(state, more_follows_body);
}

/* ---- files ------------------------------------------------------------------------------ */

struct file_sender {
	struct ot_stream *stream;
	struct ot_file *file;
	uint64_t place;
	uint64_t until;
	ot_err err;
	bool is_over;
};

static void
send_on_writable(void *arg)
{
	struct file_sender *sender = arg;
	while (sender->place < sender->until) {
		size_t bytes = 0;
		sender->err = ot_stream_send_file(sender->stream, sender->file, sender->place,
		    (size_t)(sender->until - sender->place), &bytes);
		if (sender->err == OT_ERR_AGAIN)
			return;
		if (sender->err != OT_OK)
			break;
		sender->place += bytes;
	}
	sender->is_over = true;
	ot_stream_want(sender->stream, false, false);
}

static void
no_event(void *arg)
{
	(void)arg;
}

static const struct ot_stream_events sender_events = { no_event, send_on_writable };

static struct ot_file *
make_file(struct stage *stage, const uint8_t *data, size_t bytes)
{
	const char *path = stage->world != NULL ? "/f" : "ottla-io-contract.tmp";
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	assert_ok(ot_fs_open(stage->server->fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
	assert_ok(ot_fs_remove(stage->server->fs, path));
	assert_ok(ot_file_write(file, &piece, 1, 0));
	return file;
}

/* A range of a file goes out whole; one that ends behind the file's end fails at that end. */
static void
send_file_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY), *got = ot_must_alloc(MANY);
	struct pair pair = { 0 };
	struct file_sender sender = { .place = 100, .until = MANY };
	pair_connect(&pair, stage);
	sender.file = make_file(stage, data, MANY);
	assert_ok(
	    ot_io_adopt(stage->server, &pair.accepted, &sender_events, &sender, &sender.stream));
	ot_stream_want(sender.stream, false, true);
	peer_get_into(&pair.client, got, MANY - 100);
	run_until(stage, is_true, &sender.is_over);
	assert_ok(sender.err);
	run_until(stage, has_got_all, &pair.client);
	assert_memory_equal(got, data + 100, MANY - 100);
	sender.until = MANY + 1;
	sender.is_over = false;
	ot_stream_want(sender.stream, false, true);
	run_until(stage, is_true, &sender.is_over);
	assert_int_equal(sender.err, OT_ERR_IO);
	ot_stream_close(sender.stream);
	ot_file_unref(sender.file);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_sending_files(void **state)
{
	on_stage(state, send_file_body);
}

/* ---- closing ---------------------------------------------------------------------------- */

struct closer {
	struct ot_stream *stream;
	struct closer *other;
	unsigned count;
	bool is_over;
};

static void
close_both(void *arg)
{
	struct closer *closer = arg;
	assert_non_null(closer->stream);
	closer->count++;
	ot_stream_close(closer->stream);
	ot_stream_close(closer->other->stream);
	closer->stream = closer->other->stream = NULL;
	closer->is_over = closer->other->is_over = true;
}

static const struct ot_stream_events closer_events = { close_both, close_both };

/* Streams that are closed in a callback, their own or another's, get no event afterwards, not even
 * one that is due in the same turn. */
static void
close_in_callback_body(struct stage *stage)
{
	struct pair pair = { 0 };
	struct closer server = { 0 }, client = { 0 };
	pair.stage = stage;
	assert_ok(
	    ot_io_listen(stage->server, stage->address, 0, pair_on_accept, &pair, &pair.listener));
	struct ot_address address = address_of(stage, ot_listener_port(pair.listener));
	assert_ok(ot_io_connect(stage->client, &address, &closer_events, &client, &client.stream));
	ot_stream_want(client.stream, false, false);
	run_until(stage, is_true, &pair.is_accepted);
	assert_ok(
	    ot_io_adopt(stage->server, &pair.accepted, &closer_events, &server, &server.stream));
	client.other = &server;
	server.other = &client;
	run_for_ms(stage, 10);
	ot_stream_want(server.stream, true, true);
	ot_stream_want(client.stream, true, true);
	run_until(stage, is_true, &client.is_over);
	run_for_ms(stage, 20);
	assert_int_equal(client.count + server.count, 1);
	ot_listener_close(pair.listener);
	ot_stream_close(NULL);
}

static void
test_closing_in_a_callback(void **state)
{
	on_stage(state, close_in_callback_body);
}

/* An accepted connection may be adopted by another thread of the process. */
static void
other_thread_body(struct stage *stage)
{
	struct pair pair = { 0 };
	struct ot_io *other = NULL;
	uint8_t got[5] = { 0 };
	pair_connect(&pair, stage);
	if (stage->world != NULL)
		other = ot_sim_io_create(ot_sim_io_host(stage->server));
	else
		assert_ok(ot_loop_create(&other));
	assert_ok(
	    ot_io_adopt(other, &pair.accepted, &peer_events, &pair.server, &pair.server.stream));
	assert_ptr_equal(pair.server.stream->io, other);
	peer_get_into(&pair.server, got, sizeof(got));
	peer_send(&pair.client, "hello", 5);
	run_until(stage, is_connection_over, &pair.client);
	run_io_until(stage, other, has_got_all, &pair.server);
	assert_memory_equal(got, "hello", 5);
	ot_stream_close(pair.server.stream);
	pair.server.stream = NULL;
	pair_close(&pair);
	if (stage->world != NULL)
		ot_sim_io_destroy(other);
	else
		ot_loop_destroy(other);
}

static void
test_adopting_on_another_thread(void **state)
{
	on_stage(state, other_thread_body);
}

static struct kind host_kind;
static struct kind sim_kind = { .is_sim = true };
static struct kind apart_kind = { .is_sim = true, .is_apart = true };
static struct kind bad_kind = { .is_sim = true, .is_apart = true, .is_bad = true };

#define ALL(test)                                                           \
	{ "host: " #test, test, NULL, NULL, &host_kind },                   \
	    { "sim, one machine: " #test, test, NULL, NULL, &sim_kind },    \
	    { "sim, two machines: " #test, test, NULL, NULL, &apart_kind }, \
	{                                                                   \
		"sim, bad network: " #test, test, NULL, NULL, &bad_kind     \
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
		ALL(test_bytes_both_ways),
		ALL(test_backpressure),
		ALL(test_the_end_comes_after_all_bytes),
		ALL(test_a_broken_connection_is_told_to_slow_readers),
		ALL(test_writing_to_who_is_gone),
		ALL(test_more_follows),
		ALL(test_sending_files),
		ALL(test_closing_in_a_callback),
		ALL(test_adopting_on_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
