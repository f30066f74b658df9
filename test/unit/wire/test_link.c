/* Tests of links: a link on one simulated machine, a scripted peer on another. What the peer does
 * with a request is said by the request itself: Heartbeat, with a group id of
 *
 *     answer   an answer with the generation as its throttle time
 *     hold     none
 *     close    the connection ends
 *     part     half of the answer, then the connection ends
 *     bad      an answer that is none
 *     huge     a length that no link takes
 *     wrong    the answer to another request
 */
#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "sim/sim_io.h"
#include "wire/header.h"
#include "wire/link.h"
#include "wire/msg_heartbeat.h"

enum { PATIENCE_MS = 120 * 1000, VERSION = 4, PORT = 9092, BACKOFF_MS = 50, SEEDS = 8 };

struct peer {
	struct ot_list link;
	struct town *town;
	struct ot_stream *stream;
	uint8_t got[65536];
	size_t have;
	struct ot_writer out;
	size_t sent;
	size_t piece_bytes; /* of one write; 0: all that goes */
	bool ends_when_sent;
};

struct town {
	struct ot_sim_world *world;
	struct ot_sim_host *here;
	struct ot_sim_host *there;
	struct ot_io *ios[2];
	struct ot_io *peer_io;
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct ot_listener *listener;
	struct ot_list peers;
	struct ot_link *subject;
	uint32_t accepted;
	uint32_t requests;
	size_t piece_bytes;
};

struct call {
	struct ot_link_call call;
	struct ot_arena arena;
	struct ot_heartbeat_response response;
	struct town *town;
	bool is_done;
	ot_err err;
	uint32_t order;       /* of its end among all */
	bool destroys;        /* the link, when it is done */
	struct call *cancels; /* when it is done */
	const char *follows;  /* what is asked next, by `next` */
	struct call *next;
};

static uint32_t ended_count;

static void
on_switch(void *arg, struct ot_io *io)
{
	struct town *town = arg;
	struct ot_shard *shard = NULL;
	for (int i = 0; i < 2; i++) {
		if (io != NULL && io == town->ios[i])
			shard = town->set->shards[i];
	}
	ot_shard_enter(shard);
}

/* ---- the peer ------------------------------------------------------------------------------- */

static void
end_peer(struct peer *peer)
{
	ot_list_remove(&peer->link);
	ot_stream_close(peer->stream);
	ot_writer_fini(&peer->out);
	ot_free(peer);
}

static void
add_answer(struct peer *peer, int32_t correlation_id, int32_t throttle)
{
	struct ot_heartbeat_response response;
	struct ot_writer *out = &peer->out;
	size_t place = out->bytes;
	ot_heartbeat_response_init(&response);
	response.throttle_time_ms = throttle;
	ot_write_i32(out, 0);
	assert_ok(ot_response_header_write(ot_api_find(12), VERSION, correlation_id, out));
	assert_ok(ot_heartbeat_response_encode(VERSION, &response, out, NULL));
	ot_write_i32_at(out, place, (int32_t)(out->bytes - place - 4));
}

/* False when the peer is gone. */
static bool
serve(struct peer *peer, const uint8_t *data, size_t bytes)
{
	struct ot_arena arena;
	struct ot_request_header header;
	struct ot_heartbeat_request request;
	const struct ot_api *api;
	struct ot_reader in = ot_reader_of(data, bytes);
	ot_arena_init(&arena, 0);
	assert_ok(ot_request_header_read(&in, &arena, &header, &api));
	assert_int_equal(api->key, 12);
	assert_true(ot_str_is(header.client_id, "links"));
	assert_ok(ot_heartbeat_request_decode(VERSION, &in, &arena, &request));
	struct ot_str what = request.group_id;
	size_t before = peer->out.bytes;
	peer->town->requests++;
	if (ot_str_is(what, "close")) {
		ot_arena_fini(&arena);
		end_peer(peer);
		return false;
	}
	if (ot_str_is(what, "answer") || ot_str_is(what, "part"))
		add_answer(peer, header.correlation_id, request.generation_id);
	if (ot_str_is(what, "wrong"))
		add_answer(peer, header.correlation_id + 1, 0);
	if (ot_str_is(what, "part")) {
		peer->out.bytes -= (peer->out.bytes - before) / 2;
		peer->ends_when_sent = true;
	}
	if (ot_str_is(what, "bad")) {
		ot_write_i32(&peer->out, 7);
		ot_write_i32(&peer->out, header.correlation_id);
		ot_write_raw(&peer->out, "\xff\xff\xff", 3);
	}
	if (ot_str_is(what, "huge"))
		ot_write_i32(&peer->out, 1 << 30);
	ot_arena_fini(&arena);
	ot_stream_want(peer->stream, true, true);
	return true;
}

static void
peer_on_readable(void *arg)
{
	struct peer *peer = arg;
	for (;;) {
		struct iovec piece = { peer->got + peer->have, sizeof(peer->got) - peer->have };
		size_t bytes = 0;
		ot_err err = ot_stream_read(peer->stream, &piece, 1, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			end_peer(peer);
			return;
		}
		peer->have += bytes;
		size_t used = 0;
		while (peer->have - used >= 4 &&
		       peer->have - used - 4 >= ot_get_u32(peer->got + used)) {
			size_t frame = ot_get_u32(peer->got + used);
			if (!serve(peer, peer->got + used + 4, frame))
				return;
			used += 4 + frame;
		}
		memmove(peer->got, peer->got + used, peer->have - used);
		peer->have -= used;
	}
}

static void
peer_on_writable(void *arg)
{
	struct peer *peer = arg;
	while (peer->sent < peer->out.bytes) {
		size_t left = peer->out.bytes - peer->sent;
		if (peer->piece_bytes > 0)
			left = OT_MIN(left, peer->piece_bytes);
		struct iovec piece = { peer->out.data + peer->sent, left };
		size_t bytes = 0;
		ot_err err = ot_stream_write(peer->stream, &piece, 1, false, &bytes);
		if (err != OT_OK)
			return;
		peer->sent += bytes;
		if (peer->piece_bytes > 0)
			return;
	}
	if (peer->ends_when_sent)
		end_peer(peer);
	else
		ot_stream_want(peer->stream, true, false);
}

static const struct ot_stream_events peer_events = { peer_on_readable, peer_on_writable };

static void
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct town *town = arg;
	struct peer *peer = OT_NEW(struct peer);
	peer->town = town;
	peer->piece_bytes = town->piece_bytes;
	ot_writer_init(&peer->out);
	ot_list_push_back(&town->peers, &peer->link);
	town->accepted++;
	assert_ok(ot_io_adopt(town->peer_io, accepted, &peer_events, peer, &peer->stream));
}

static void
end_peers(struct town *town)
{
	OT_LIST_FOREACH_SAFE(node, &town->peers)
		end_peer(OT_CONTAINER_OF(node, struct peer, link));
}

static void
listen_there(struct town *town)
{
	assert_ok(ot_io_listen(town->peer_io, "10.0.0.2", PORT, on_accept, town, &town->listener));
}

/* ---- the town ------------------------------------------------------------------------------- */

static void
begin(struct town *town, uint64_t seed)
{
	*town = (struct town){ .world = ot_sim_world_create(seed) };
	ended_count = 0;
	ot_list_init(&town->peers);
	town->here = ot_sim_host_create(town->world, "10.0.0.1");
	town->there = ot_sim_host_create(town->world, "10.0.0.2");
	for (int i = 0; i < 2; i++)
		town->ios[i] = ot_sim_io_create(town->here);
	town->peer_io = ot_sim_io_create(town->there);
	town->set = ot_shard_set_create(1, town->ios, OT_MIB);
	town->shard = town->set->shards[0];
	ot_sim_world_on_switch(town->world, on_switch, town);
	const struct ot_link_conf conf = {
		.shard = town->shard,
		.client_id = "links",
		.backoff_ms = BACKOFF_MS,
		.backoff_ms_max = 8 * BACKOFF_MS,
		.answer_bytes_max = OT_MIB,
	};
	ot_shard_enter(town->shard);
	town->subject = ot_link_create(&conf);
	ot_link_set_address(town->subject, "10.0.0.2", PORT);
	ot_shard_enter(NULL);
}

static void
destroy_link(struct town *town)
{
	ot_shard_enter(town->shard);
	ot_link_destroy(town->subject);
	town->subject = NULL;
	ot_shard_enter(NULL);
}

static void
finish(struct town *town)
{
	destroy_link(town);
	ot_sim_world_run_for_ms(town->world, 60 * 1000);
	ot_listener_close(town->listener);
	end_peers(town);
	assert_int_equal(ot_sim_io_stream_count(town->ios[0]), 0);
	assert_int_equal(ot_sim_io_job_count(town->ios[0]), 0);
	ot_shard_set_destroy(town->set);
	for (int i = 0; i < 2; i++)
		ot_sim_io_destroy(town->ios[i]);
	ot_sim_io_destroy(town->peer_io);
	ot_sim_world_destroy(town->world);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void ask_now(struct town *town, struct call *call, const char *what, int32_t number,
    int64_t timeout_ms);

static void
on_done(struct ot_link_call *link_call, ot_err err)
{
	struct call *call = OT_CONTAINER_OF(link_call, struct call, call);
	assert_false(call->is_done);
	call->is_done = true;
	call->err = err;
	call->order = ended_count++;
	assert_int_equal(err == OT_OK, link_call->frame != NULL && err == OT_OK);
	if (call->destroys) {
		ot_link_destroy(call->town->subject);
		call->town->subject = NULL;
	}
	if (call->cancels != NULL)
		ot_link_cancel(&call->cancels->call);
	if (call->next != NULL)
		ask_now(call->town, call->next, call->follows, 77, 10 * 1000);
}

static void
ask_now(struct town *town, struct call *call, const char *what, int32_t number, int64_t timeout_ms)
{
	struct ot_heartbeat_request request;
	ot_heartbeat_request_init(&request);
	request.group_id = ot_str_from(what);
	request.generation_id = number;
	call->town = town;
	ot_arena_init(&call->arena, 0);
	call->call = (struct ot_link_call){
		.api = ot_api_find(12),
		.version = VERSION,
		.request = &request,
		.arena = &call->arena,
		.response = &call->response,
		.timeout_ms = timeout_ms,
		.done = on_done,
	};
	ot_link_call(town->subject, &call->call);
	assert_false(call->is_done);
}

static void
ask(struct town *town, struct call *call, const char *what, int32_t number, int64_t timeout_ms)
{
	ot_shard_enter(town->shard);
	ask_now(town, call, what, number, timeout_ms);
	ot_shard_enter(NULL);
	ot_io_ring(town->ios[0]);
}

static bool
call_is_done(void *arg)
{
	return ((struct call *)arg)->is_done;
}

static ot_err
await(struct town *town, struct call *call)
{
	assert_true(ot_sim_world_run_until(town->world, call_is_done, call, PATIENCE_MS));
	ot_arena_fini(&call->arena);
	return call->err;
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Goal: many requests at once over one connection, each with its own answer, in order, however the
 * network cuts the bytes. */
static void
answers_come_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct town town;
		struct call calls[50] = { 0 };
		begin(&town, seed);
		town.piece_bytes = seed % 2;
		listen_there(&town);
		for (int32_t i = 0; i < 50; i++)
			ask(&town, &calls[i], "answer", i, 60 * 1000);
		for (int32_t i = 0; i < 50; i++) {
			assert_ok(await(&town, &calls[i]));
			assert_int_equal(calls[i].response.throttle_time_ms, i);
			assert_int_equal(calls[i].order, i);
		}
		assert_int_equal(town.accepted, 1);
		assert_true(ot_link_is_up(town.subject));
		assert_int_equal(ot_link_call_count(town.subject), 0);
		finish(&town);
	}
}

/* Goal: the end of a connection ends what was sent and nothing else; the next call connects anew.
 */
static void
a_connection_ends(void **state)
{
	(void)state;
	static const char *const ways[] = { "close", "part" };
	for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
		struct town town;
		struct call lost = { 0 }, later = { 0 };
		begin(&town, seed);
		listen_there(&town);
		ask(&town, &lost, ways[seed % 2], 1, 60 * 1000);
		assert_int_equal(await(&town, &lost), OT_ERR_CLOSED);
		assert_true(lost.call.was_sent);
		ask(&town, &later, "answer", 2, 60 * 1000);
		assert_ok(await(&town, &later));
		assert_int_equal(later.response.throttle_time_ms, 2);
		assert_int_equal(town.accepted, 2);
		finish(&town);
	}
}

/* Goal: bytes that are no answer break the connection, and are told apart from its end. */
static void
bad_answers_break_the_connection(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		ot_err err;
	} cases[] = { { "bad", OT_ERR_MALFORMED }, { "wrong", OT_ERR_MALFORMED },
		{ "huge", OT_ERR_CLOSED } };
	for (size_t i = 0; i < OT_ARRAY_COUNT(cases); i++) {
		struct town town;
		struct call bad = { 0 }, behind = { 0 }, later = { 0 };
		begin(&town, i);
		listen_there(&town);
		ask(&town, &bad, cases[i].what, 1, 60 * 1000);
		ask(&town, &behind, "hold", 2, 60 * 1000);
		assert_int_equal(await(&town, &bad), cases[i].err);
		assert_int_equal(await(&town, &behind), OT_ERR_CLOSED);
		ask(&town, &later, "answer", 3, 60 * 1000);
		assert_ok(await(&town, &later));
		finish(&town);
	}
}

/* Goal: an answer that does not come in time ends the call and the connection. */
static void
an_answer_is_late(void **state)
{
	(void)state;
	struct town town;
	struct call late = { 0 }, behind = { 0 }, later = { 0 };
	begin(&town, 1);
	listen_there(&town);
	ask(&town, &late, "hold", 1, 500);
	ask(&town, &behind, "hold", 2, 60 * 1000);
	assert_int_equal(await(&town, &late), OT_ERR_REQUEST_TIMED_OUT);
	assert_int_equal(await(&town, &behind), OT_ERR_CLOSED);
	ask(&town, &later, "answer", 3, 60 * 1000);
	assert_ok(await(&town, &later));
	assert_int_equal(town.accepted, 2);
	finish(&town);
}

/* Goal: while nobody listens, calls wait until their time is up, were never sent, and the pauses
 * between attempts grow; a peer that comes is found. */
static void
nobody_listens(void **state)
{
	(void)state;
	struct town town;
	struct call late = { 0 }, patient = { 0 };
	begin(&town, 2);
	ask(&town, &late, "answer", 1, 700);
	ask(&town, &patient, "answer", 2, 60 * 1000);
	assert_int_equal(await(&town, &late), OT_ERR_REQUEST_TIMED_OUT);
	assert_false(late.call.was_sent);
	assert_int_equal(ot_link_call_count(town.subject), 1);
	listen_there(&town);
	assert_ok(await(&town, &patient));
	assert_int_equal(patient.response.throttle_time_ms, 2);
	assert_int_equal(town.requests, 1);
	finish(&town);
}

/* Goal: without an address calls wait; another address ends the connection, what waited goes there,
 * and names are looked up. */
static void
the_address_changes(void **state)
{
	(void)state;
	struct town town;
	struct call first = { 0 }, held = { 0 }, after = { 0 };
	begin(&town, 3);
	listen_there(&town);
	ask(&town, &first, "answer", 1, 60 * 1000);
	assert_ok(await(&town, &first));
	ask(&town, &held, "hold", 2, 60 * 1000);
	ot_sim_world_run_for_ms(town.world, 1000);
	ot_shard_enter(town.shard);
	ot_link_set_address(town.subject, "10.0.0.2", PORT);
	assert_false(held.is_done);
	ot_link_set_address(town.subject, "10.0.0.2", PORT + 1);
	assert_true(held.is_done);
	assert_int_equal(held.err, OT_ERR_CLOSED);
	ot_link_set_address(town.subject, "10.0.0.2", PORT);
	ot_shard_enter(NULL);
	ask(&town, &after, "answer", 4, 60 * 1000);
	assert_ok(await(&town, &after));
	ot_arena_fini(&held.arena);
	finish(&town);
}

/* Goal: a call that was given up has no `done`, whether it was sent or not, and the others keep
 * their answers. */
static void
calls_are_cancelled(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct town town;
		struct call calls[5] = { 0 };
		begin(&town, seed);
		listen_there(&town);
		for (int32_t i = 0; i < 5; i++)
			ask(&town, &calls[i], "answer", i, 60 * 1000);
		ot_sim_world_run_for_ms(town.world, seed);
		bool was_done[5];
		ot_shard_enter(town.shard);
		for (int32_t i = 0; i < 5; i += 2) {
			was_done[i] = calls[i].is_done;
			ot_link_cancel(&calls[i].call);
			ot_link_cancel(&calls[i].call);
		}
		ot_shard_enter(NULL);
		for (int32_t i = 1; i < 5; i += 2) {
			assert_ok(await(&town, &calls[i]));
			assert_int_equal(calls[i].response.throttle_time_ms, i);
		}
		for (int32_t i = 0; i < 5; i += 2) {
			assert_int_equal(calls[i].is_done, was_done[i]);
			ot_arena_fini(&calls[i].arena);
		}
		assert_int_equal(ot_link_call_count(town.subject), 0);
		finish(&town);
	}
}

/* Goal: a callback may end the link; the others end with it. */
static void
a_callback_destroys_the_link(void **state)
{
	(void)state;
	static const char *const ways[] = { "answer", "close", "bad", "hold" };
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct town town;
		struct call calls[3] = { 0 };
		begin(&town, seed);
		listen_there(&town);
		calls[0].destroys = true;
		ask(&town, &calls[0], ways[seed], 0, 500);
		ask(&town, &calls[1], "hold", 1, 60 * 1000);
		ask(&town, &calls[2], "hold", 2, 60 * 1000);
		await(&town, &calls[0]);
		assert_int_equal(await(&town, &calls[1]), OT_ERR_CLOSED);
		assert_int_equal(await(&town, &calls[2]), OT_ERR_CLOSED);
		finish(&town);
	}
}

/* Goal: callbacks may give up calls that end with the same connection, and make new ones. */
static void
callbacks_cancel_and_call(void **state)
{
	(void)state;
	struct town town;
	struct call calls[3] = { 0 }, next = { 0 };
	begin(&town, 5);
	listen_there(&town);
	calls[0].cancels = &calls[1];
	calls[2].next = &next;
	calls[2].follows = "answer";
	ask(&town, &calls[0], "hold", 0, 60 * 1000);
	ask(&town, &calls[1], "hold", 1, 60 * 1000);
	ask(&town, &calls[2], "close", 2, 60 * 1000);
	assert_int_equal(await(&town, &calls[0]), OT_ERR_CLOSED);
	assert_int_equal(await(&town, &calls[2]), OT_ERR_CLOSED);
	assert_ok(await(&town, &next));
	assert_int_equal(next.response.throttle_time_ms, 77);
	assert_false(calls[1].is_done);
	ot_arena_fini(&calls[1].arena);
	finish(&town);
}

/* Goal: a peer that is cut off, and silent peers, are found by the time of the calls; afterwards
 * all is well. */
static void
the_peer_falls_silent(void **state)
{
	(void)state;
	struct town town;
	struct call first = { 0 }, lost = { 0 }, unsent = { 0 }, after = { 0 };
	begin(&town, 6);
	listen_there(&town);
	ask(&town, &first, "answer", 1, 60 * 1000);
	assert_ok(await(&town, &first));
	ot_sim_net_isolate(town.there);
	ask(&town, &lost, "answer", 2, 1000);
	assert_int_equal(await(&town, &lost), OT_ERR_REQUEST_TIMED_OUT);
	ask(&town, &unsent, "answer", 3, 1000);
	assert_int_equal(await(&town, &unsent), OT_ERR_REQUEST_TIMED_OUT);
	assert_false(unsent.call.was_sent);
	ot_sim_net_heal_all(town.world);
	ask(&town, &after, "answer", 4, 60 * 1000);
	assert_ok(await(&town, &after));
	finish(&town);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_in_order),
		cmocka_unit_test(a_connection_ends),
		cmocka_unit_test(bad_answers_break_the_connection),
		cmocka_unit_test(an_answer_is_late),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(the_address_changes),
		cmocka_unit_test(calls_are_cancelled),
		cmocka_unit_test(a_callback_destroys_the_link),
		cmocka_unit_test(callbacks_cancel_and_call),
		cmocka_unit_test(the_peer_falls_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
