/* Connections of model clients. */
#include "peers.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/panic.h"
#include "wire/header.h"

enum { HOST_BYTES = 64, PIECE_BYTES = 16 * 1024 };

struct call {
	struct ot_list link; /* in the peer's calls, oldest first */
	struct peer *peer;
	const struct ot_api *api;
	int16_t version;
	int32_t correlation_id;
	peers_done *done;
	void *arg;
	struct ot_timer timer;
};

struct peer {
	struct ot_list link;
	struct peers *peers;
	char host[HOST_BYTES];
	uint16_t port;
	struct ot_stream *stream; /* NULL: not connected */
	struct ot_writer out;
	size_t sent;
	struct ot_writer in;
	struct ot_list calls;
};

struct peers {
	struct ot_io *io;
	const char *client_id;
	int32_t correlation_id;
	struct ot_list all;
};

static void
call_free(struct call *call)
{
	ot_timer_cancel(call->peer->peers->io, &call->timer);
	ot_list_remove(&call->link);
	ot_free(call);
}

static void
disconnect(struct peer *peer)
{
	ot_stream_close(peer->stream);
	peer->stream = NULL;
	peer->out.bytes = peer->sent = peer->in.bytes = 0;
}

/* The connection has ended, and with it what was under way. */
static void
end_calls(struct peer *peer)
{
	struct ot_list ended;

	disconnect(peer);
	ot_list_init(&ended);
	while (!ot_list_is_empty(&peer->calls)) {
		struct ot_list *link = peer->calls.next;

		ot_list_remove(link);
		ot_list_push_back(&ended, link);
	}
	while (!ot_list_is_empty(&ended)) {
		struct call *call = OT_LIST_FIRST(&ended, struct call, link);
		peers_done *done = call->done;
		void *arg = call->arg;

		call_free(call);
		done(arg, NULL);
	}
}

static void
on_timeout(struct ot_timer *timer)
{
	end_calls(OT_CONTAINER_OF(timer, struct call, timer)->peer);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Takes the frame at the beginning of what came in: the answer to the oldest call. */
static void
take_answer(struct peer *peer, size_t bytes)
{
	struct call *call = OT_LIST_FIRST(&peer->calls, struct call, link);
	struct ot_response_header header;
	struct ot_reader in;
	struct ot_arena arena;
	peers_done *done;
	void *arg, *response;
	char *frame;

	if (call == NULL)
		OT_PANIC("a broker has answered what nobody asked");
	ot_arena_init(&arena, 0);
	frame = ot_arena_strndup(&arena, (const char *)peer->in.data + 4, bytes);
	peer->in.bytes -= 4 + bytes;
	memmove(peer->in.data, peer->in.data + 4 + bytes, peer->in.bytes);
	in = ot_reader_of(frame, bytes);
	response = ot_arena_alloc(&arena, call->api->response->body->bytes);
	if (ot_response_header_read(call->api, call->version, &in, &arena, &header) != OT_OK ||
	    ot_msg_decode(call->api->response, call->version, &in, &arena, response) != OT_OK ||
	    ot_reader_left(&in) != 0 || header.correlation_id != call->correlation_id)
		OT_PANIC("an answer to %s, version %d, cannot be read", call->api->name,
		    call->version);
	done = call->done;
	arg = call->arg;
	call_free(call);
	done(arg, response);
	ot_arena_fini(&arena);
}

static bool
has_answer(const struct peer *peer, size_t *ret_bytes)
{
	if (peer->in.bytes < 4)
		return false;
	*ret_bytes = ot_get_u32(peer->in.data);
	return peer->in.bytes - 4 >= *ret_bytes;
}

static void
on_readable(void *arg)
{
	struct peer *peer = arg;
	struct ot_stream *stream = peer->stream;
	uint8_t piece[PIECE_BYTES];
	size_t bytes = 0;
	ot_err err;

	do {
		struct iovec part = { piece, sizeof(piece) };

		err = ot_stream_read(stream, &part, 1, &bytes);
		if (err == OT_OK)
			ot_write_raw(&peer->in, piece, bytes);
	} while (err == OT_OK);
	/* A callback may end the connection, or begin another one. */
	while (peer->stream == stream && has_answer(peer, &bytes))
		take_answer(peer, bytes);
	if (err != OT_ERR_AGAIN && peer->stream == stream)
		end_calls(peer);
}

static void
on_writable(void *arg)
{
	struct peer *peer = arg;

	while (peer->sent < peer->out.bytes) {
		struct iovec piece = { peer->out.data + peer->sent, peer->out.bytes - peer->sent };
		size_t bytes = 0;
		ot_err err = ot_stream_write(peer->stream, &piece, 1, false, &bytes);

		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			end_calls(peer);
			return;
		}
		peer->sent += bytes;
	}
	peer->out.bytes = peer->sent = 0;
	ot_stream_want(peer->stream, true, false);
}

static const struct ot_stream_events events = { on_readable, on_writable };

/* ---- calls ---------------------------------------------------------------------------------- */

static struct peer *
find_peer(struct peers *peers, const char *host, uint16_t port)
{
	struct peer *peer;

	OT_LIST_FOREACH(link, &peers->all) {
		peer = OT_CONTAINER_OF(link, struct peer, link);
		if (peer->port == port && strcmp(peer->host, host) == 0)
			return peer;
	}
	peer = OT_NEW(struct peer);
	peer->peers = peers;
	(void)snprintf(peer->host, sizeof(peer->host), "%s", host);
	peer->port = port;
	ot_writer_init(&peer->out);
	ot_writer_init(&peer->in);
	ot_list_init(&peer->calls);
	ot_list_push_back(&peers->all, &peer->link);
	return peer;
}

static void
connect_peer(struct peer *peer)
{
	struct ot_address address = { .port = peer->port };

	(void)snprintf(address.host, sizeof(address.host), "%s", peer->host);
	if (ot_io_connect(peer->peers->io, &address, &events, peer, &peer->stream) != OT_OK)
		OT_PANIC("a client cannot connect");
}

static void
write_frame(struct peers *peers, struct ot_writer *out, const struct ot_api *api,
    const struct peers_request *request)
{
	size_t place = out->bytes;

	ot_write_i32(out, 0);
	if (ot_request_header_write(api, request->version, ++peers->correlation_id,
		ot_str_from(peers->client_id), out) != OT_OK ||
	    ot_msg_encode(api->request, request->version, request->request, out, NULL) != OT_OK)
		OT_PANIC("a client cannot write %s, version %d", api->name, request->version);
	ot_write_i32_at(out, place, (int32_t)(out->bytes - place - 4));
}

void
peers_call(struct peers *peers, const struct peers_request *request)
{
	const struct ot_api *api = ot_api_find(request->api);
	struct peer *peer = find_peer(peers, request->host, request->port);
	struct call *call;

	if (peer->stream == NULL)
		connect_peer(peer);
	write_frame(peers, &peer->out, api, request);
	ot_stream_want(peer->stream, true, true);
	if (request->done == NULL)
		return;
	call = OT_NEW(struct call);
	call->peer = peer;
	call->api = api;
	call->version = request->version;
	call->correlation_id = peers->correlation_id;
	call->done = request->done;
	call->arg = request->arg;
	ot_list_push_back(&peer->calls, &call->link);
	ot_timer_init(&call->timer, on_timeout);
	ot_timer_arm_in_ms(peers->io, &call->timer, request->timeout_ms);
}

void
peers_reset(struct peers *peers)
{
	OT_LIST_FOREACH(link, &peers->all) {
		struct peer *peer = OT_CONTAINER_OF(link, struct peer, link);

		if (peer->stream != NULL)
			end_calls(peer);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

struct peers *
peers_create(struct ot_io *io, const char *client_id)
{
	struct peers *peers = OT_NEW(struct peers);

	peers->io = io;
	peers->client_id = client_id;
	ot_list_init(&peers->all);
	return peers;
}

void
peers_destroy(struct peers *peers)
{
	if (peers == NULL)
		return;
	OT_LIST_FOREACH_SAFE(link, &peers->all) {
		struct peer *peer = OT_CONTAINER_OF(link, struct peer, link);

		if (peer->stream != NULL)
			disconnect(peer);
		while (!ot_list_is_empty(&peer->calls))
			call_free(OT_LIST_FIRST(&peer->calls, struct call, link));
		ot_writer_fini(&peer->out);
		ot_writer_fini(&peer->in);
		ot_free(peer);
	}
	ot_free(peers);
}
