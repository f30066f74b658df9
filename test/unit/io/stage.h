/* The stages that the contract tests of io/io.h run on: production's loop, and simulated threads of
 * one machine, of two machines, and of two machines on a bad network with small windows, short
 * reads and writes and spurious events, over several seeds. And a peer: one end of a connection
 * that sends and gets by itself. */
#ifndef OT_TEST_UNIT_IO_STAGE_H
#define OT_TEST_UNIT_IO_STAGE_H

#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
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

static inline void
check_turn(void *arg)
{
	struct stage *stage = arg;
	if (stage->holds(stage->arg))
		ot_loop_stop(stage->running);
}

static inline void
end_patience(struct ot_timer *timer)
{
	ot_loop_stop(OT_CONTAINER_OF(timer, struct stage, guard)->running);
}

/* Lets one production loop turn, or the whole simulated world, until the condition holds. */
static inline void
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

static inline void
run_until(struct stage *stage, bool (*holds)(void *arg), void *arg)
{
	run_io_until(stage, stage->server, holds, arg);
}

static inline bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static inline void
set_true(struct ot_timer *timer)
{
	/* The flag lies right behind the timer, see run_for_ms(). */
	*(bool *)(timer + 1) = true;
}

static inline void
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

static inline void
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

static inline void
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
static inline void
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

static inline void
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

static inline void
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

static inline void
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

static inline void
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

static inline void
pair_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct pair *pair = arg;
	assert_false(pair->is_accepted);
	pair->accepted = *accepted;
	pair->is_accepted = true;
}

static inline struct ot_address
address_of(const struct stage *stage, uint16_t port)
{
	struct ot_address address = { .port = port };
	snprintf(address.host, sizeof(address.host), "%s", stage->address);
	return address;
}

/* Listens and connects; the server's end is accepted and not adopted. */
static inline void
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

static inline void
pair_adopt(struct pair *pair)
{
	assert_ok(ot_io_adopt(pair->stage->server, &pair->accepted, &peer_events, &pair->server,
	    &pair->server.stream));
	if (pair->server.got == NULL)
		ot_stream_want(pair->server.stream, false, false);
}

static inline void
peer_send(struct peer *peer, const void *data, size_t bytes)
{
	peer->to_send = data;
	peer->send_bytes = bytes;
	peer->sent = 0;
	ot_stream_want(peer->stream, peer->got != NULL, true);
}

static inline void
pair_open(struct pair *pair, struct stage *stage)
{
	pair_connect(pair, stage);
	pair_adopt(pair);
}

static inline void
pair_close(struct pair *pair)
{
	ot_stream_close(pair->client.stream);
	ot_stream_close(pair->server.stream);
	ot_listener_close(pair->listener);
}

static inline void
peer_get_into(struct peer *peer, void *to, size_t bytes)
{
	peer->got = to;
	peer->got_bytes_max = bytes;
	peer->got_bytes = 0;
	ot_stream_want(peer->stream, true, peer->sent < peer->send_bytes);
}

static inline bool
has_got_all(void *arg)
{
	const struct peer *peer = arg;
	return peer->got_bytes == peer->got_bytes_max;
}

static inline bool
has_ended(void *arg)
{
	return ((const struct peer *)arg)->has_ended;
}

static inline bool
is_connection_over(void *arg)
{
	const struct peer *peer = arg;
	return peer->has_ended || peer->writable_count > 0;
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

#endif
