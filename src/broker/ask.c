#include "broker/ask_int.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "io/loop.h"
#include "wire/header.h"
#include "wire/msg_api_versions.h"

enum { ASK_ADDRESSES_MAX = 8, ASK_FRAME_BYTES_MAX = 1024 * 1024, ASK_LENGTH_BYTES = 4 };

struct ask {
	struct ot_io *io;
	struct ot_stream *stream;
	struct ot_arena *arena;
	struct ot_timer timer;
	struct ot_writer out;
	size_t sent;
	uint8_t *frame; /* the arena's, with room for the largest */
	size_t got;     /* with the length in front */
	bool is_connected;
	ot_err err; /* OT_ERR_AGAIN: it goes on */
};

static void
end(struct ask *ask, ot_err err)
{
	ask->err = err;
	ot_loop_stop(ask->io);
}

static size_t
frame_bytes(const struct ask *ask)
{
	return ask->got < ASK_LENGTH_BYTES ? 0 : ot_get_u32(ask->frame);
}

static void
on_readable(void *arg)
{
	struct ask *ask = arg;

	for (;;) {
		size_t wanted = ASK_LENGTH_BYTES + frame_bytes(ask), bytes = 0;
		struct iovec piece = { ask->frame + ask->got, wanted - ask->got };
		ot_err err;

		if (wanted > ASK_FRAME_BYTES_MAX) {
			end(ask, OT_ERR_MALFORMED);
			return;
		}
		if (ask->got >= ASK_LENGTH_BYTES && ask->got == wanted) {
			end(ask, OT_OK);
			return;
		}
		err = ot_stream_read(ask->stream, &piece, 1, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			end(ask, err);
			return;
		}
		ask->got += bytes;
	}
}

static void
on_writable(void *arg)
{
	struct ask *ask = arg;
	ot_err err = OT_OK;

	while (err == OT_OK && ask->sent < ask->out.bytes) {
		struct iovec piece = { ask->out.data + ask->sent, ask->out.bytes - ask->sent };
		size_t bytes = 0;

		err = ot_stream_write(ask->stream, &piece, 1, false, &bytes);
		ask->sent += bytes;
	}
	ask->is_connected |= ask->sent > 0;
	if (err == OT_OK)
		ot_stream_want(ask->stream, true, false);
	else if (err != OT_ERR_AGAIN)
		end(ask, err);
}

static const struct ot_stream_events ask_events = { on_readable, on_writable };

static void
on_time_over(struct ot_timer *timer)
{
	end(OT_CONTAINER_OF(timer, struct ask, timer), OT_ERR_REQUEST_TIMED_OUT);
}

/* Sends one request and waits for its answer, until the timer ends it. */
static ot_err
exchange(struct ask *ask, int16_t key, int16_t version, const void *request, void *ret_response)
{
	const struct ot_api *api = ot_api_find(key);
	struct ot_response_header header;
	struct ot_reader in;
	uint8_t *copy;
	size_t bytes;
	ot_err err;

	ot_writer_reset(&ask->out);
	ot_write_i32(&ask->out, 0);
	err = ot_request_header_write(api, version, 0, OT_STR_LIT("ottla-join"), &ask->out);
	if (err == OT_OK)
		err = ot_msg_encode(api->request, version, request, &ask->out, NULL);
	OT_ASSERT(err == OT_OK && !ask->out.failed);
	ot_write_i32_at(&ask->out, 0, (int32_t)(ask->out.bytes - ASK_LENGTH_BYTES));
	ask->sent = ask->got = 0;
	ask->err = OT_ERR_AGAIN;
	ot_stream_want(ask->stream, ask->is_connected, true);
	ot_loop_run(ask->io);
	if (ask->err != OT_OK)
		return ask->err;
	bytes = frame_bytes(ask);
	copy = ot_arena_alloc(ask->arena, bytes + 1);
	if (copy == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < bytes; i++)
		copy[i] = ask->frame[ASK_LENGTH_BYTES + i];
	in = ot_reader_of(copy, bytes);
	err = ot_response_header_read(api, version, &in, ask->arena, &header);
	return err != OT_OK ? err
	                    : ot_msg_decode(api->response, version, &in, ask->arena, ret_response);
}

static enum ask_outcome
converse(struct ask *ask, const struct ot_ottla_join_request *request,
    struct ot_ottla_join_response *ret_response)
{
	struct ot_api_versions_request versions;
	struct ot_api_versions_response known;
	ot_err err;

	ot_api_versions_request_init(&versions);
	err = exchange(ask, OT_API_API_VERSIONS, 0, &versions, &known);
	if (err == OT_ERR_REQUEST_TIMED_OUT)
		return ask->is_connected ? ASK_SILENT : ASK_UNREACHABLE;
	if (err != OT_OK)
		return ask->is_connected ? ASK_STRANGER : ASK_UNREACHABLE;
	err = exchange(ask, OT_API_OTTLA_JOIN, 0, request, ret_response);
	if (err == OT_OK)
		return ASK_ANSWERED;
	return err == OT_ERR_REQUEST_TIMED_OUT ? ASK_SILENT : ASK_NOT_CONTROLLER;
}

static enum ask_outcome
ask_at(struct ask *ask, const struct ot_address *address,
    const struct ot_ottla_join_request *request, struct ot_ottla_join_response *ret_response)
{
	enum ask_outcome outcome;

	ask->is_connected = false;
	if (ot_io_connect(ask->io, address, &ask_events, ask, &ask->stream) != OT_OK)
		return ASK_UNREACHABLE;
	outcome = converse(ask, request, ret_response);
	ot_stream_close(ask->stream);
	return outcome;
}

enum ask_outcome
ask_join(const struct ot_host_port *where, int64_t timeout_ms,
    const struct ot_ottla_join_request *request, struct ot_arena *arena,
    struct ot_ottla_join_response *ret_response)
{
	struct ot_address addresses[ASK_ADDRESSES_MAX];
	size_t count = ot_io_resolve(where->host, where->port, addresses, ASK_ADDRESSES_MAX);
	enum ask_outcome outcome = ASK_UNREACHABLE;
	struct ask ask = { .arena = arena };

	if (count == 0 || ot_loop_create(&ask.io) != OT_OK)
		return ASK_UNREACHABLE;
	ask.frame = ot_must_alloc(ASK_FRAME_BYTES_MAX);
	ot_writer_init(&ask.out);
	ot_timer_init(&ask.timer, on_time_over);
	for (size_t i = 0; i < count && outcome == ASK_UNREACHABLE; i++) {
		ot_timer_arm_in_ms(ask.io, &ask.timer, timeout_ms);
		outcome = ask_at(&ask, &addresses[i], request, ret_response);
		ot_timer_cancel(ask.io, &ask.timer);
	}
	ot_writer_fini(&ask.out);
	ot_free(ask.frame);
	ot_loop_destroy(ask.io);
	return outcome;
}

void
ask_pause(int64_t pause_ms)
{
	struct ask ask = { .err = OT_ERR_AGAIN };

	if (ot_loop_create(&ask.io) != OT_OK)
		return;
	ot_timer_init(&ask.timer, on_time_over);
	ot_timer_arm_in_ms(ask.io, &ask.timer, pause_ms);
	ot_loop_run(ask.io);
	ot_loop_destroy(ask.io);
}
