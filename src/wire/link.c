/* A link: see link.h.
 *
 * What a call is to the link is a flight: it owns the request's bytes, so that a call can be given
 * up while they are being written. A flight without a call is a ghost, whose answer is read and
 * thrown away.
 *
 *     waiting --first byte--> sent --answer, or the end of the connection--> done
 *
 * Answers come in the order of `sent`. `done` may do anything, destroying the link included: the
 * functions that the loop calls hold the link by `depth` while they run, and it goes when they end.
 */
#include "wire/link.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/header.h"

enum {
	LINK_ADDRESS_COUNT_MAX = 8,
	LINK_GATHER_COUNT_MAX = 16,
	LINK_SETUP_MS = 10 * 1000,
};

enum link_state { LINK_IDLE, LINK_LOOKING_UP, LINK_CONNECTING, LINK_UP, LINK_PAUSE };

struct flight {
	struct ot_list link;
	struct ot_link *owner;     /* NULL: its connection has ended, `done` is about to come */
	struct ot_link_call *call; /* NULL: a ghost */
	struct ot_timer timer;
	uint8_t *bytes; /* heap */
	size_t byte_count;
	size_t written;
	int32_t correlation_id;
	ot_err err; /* why it cannot be sent */
};

/* A look-up of a name: it may outlive its link. */
struct lookup {
	struct ot_job job;
	struct ot_link *owner; /* NULL: nobody wants it any more */
	char *host;
	uint16_t port;
	struct ot_address addresses[LINK_ADDRESS_COUNT_MAX];
	size_t count;
};

/* All [owner]. */
struct ot_link {
	struct ot_link_conf conf; /* [const] */
	char *host;               /* NULL: no address */
	uint16_t port;
	enum link_state state;
	uint32_t depth;
	bool is_destroyed;

	struct ot_list waiting;
	struct ot_list sent;
	int32_t correlation_id;

	struct lookup *lookup;
	struct ot_address addresses[LINK_ADDRESS_COUNT_MAX];
	size_t address_count;
	size_t address_next;
	struct ot_stream *stream;
	struct ot_timer timer; /* the end of the pause, or of the patience while connecting */
	int64_t backoff_ms;

	uint8_t head[4];
	size_t head_have;
	struct ot_blob *frame;
	size_t frame_have;
};

static void advance(struct ot_link *link);

static inline struct ot_io *
io_of(const struct ot_link *link)
{
	return link->conf.shard->io;
}

/* ---- flights ------------------------------------------------------------------------------- */

static void
free_flight(struct flight *flight)
{
	ot_free(flight->bytes);
	ot_free(flight);
}

/* Ends a flight that is in no list of the link's any more. */
static void
end_flight(struct ot_io *io, struct flight *flight, ot_err err, struct ot_blob *frame)
{
	struct ot_link_call *call = flight->call;
	ot_timer_cancel(io, &flight->timer);
	if (call != NULL) {
		call->impl = NULL;
		call->was_sent = flight->written > 0;
		call->frame = frame;
	}
	free_flight(flight);
	if (call != NULL)
		call->done(call, err);
}

static void
take_all(struct ot_list *from, struct ot_list *to)
{
	while (!ot_list_is_empty(from)) {
		struct flight *flight = OT_LIST_FIRST(from, struct flight, link);
		ot_list_remove(&flight->link);
		flight->owner = NULL;
		ot_list_push_back(to, &flight->link);
	}
}

/* Their callbacks may cancel others among them, which takes those out of the list. */
static void
fail_all(struct ot_io *io, struct ot_list *flights)
{
	while (!ot_list_is_empty(flights)) {
		struct flight *flight = OT_LIST_FIRST(flights, struct flight, link);
		ot_list_remove(&flight->link);
		end_flight(io, flight, OT_ERR_CLOSED, NULL);
	}
}

/* ---- holding the link while callbacks run ----------------------------------------------------
 */

static void
free_link(struct ot_link *link)
{
	ot_free(link->host);
	ot_free((void *)(uintptr_t)link->conf.client_id);
	ot_free(link);
}

static void
hold(struct ot_link *link)
{
	link->depth++;
}

static void
let_go(struct ot_link *link)
{
	if (--link->depth == 0 && link->is_destroyed)
		free_link(link);
}

/* ---- the end of a connection --------------------------------------------------------------- */

static void
drop_stream(struct ot_link *link)
{
	ot_stream_close(link->stream);
	link->stream = NULL;
	ot_blob_unref(link->frame);
	link->frame = NULL;
	link->head_have = 0;
	ot_timer_cancel(io_of(link), &link->timer);
}

static void
forget_lookup(struct ot_link *link)
{
	if (link->lookup != NULL)
		link->lookup->owner = NULL;
	link->lookup = NULL;
}

static void
pause_link(struct ot_link *link)
{
	link->state = LINK_PAUSE;
	ot_timer_arm_in_ms(io_of(link), &link->timer, link->backoff_ms);
	link->backoff_ms = OT_MIN(link->backoff_ms * 2, link->conf.backoff_ms_max);
}

/* What was sent has failed; what was not goes over the next connection. */
static void
break_connection(struct ot_link *link)
{
	struct ot_list lost;
	ot_list_init(&lost);
	drop_stream(link);
	take_all(&link->sent, &lost);
	pause_link(link);
	fail_all(io_of(link), &lost);
}

/* A connection that never was: the name's next address, or a pause. */
static void
connecting_failed(struct ot_link *link)
{
	struct ot_list lost;
	ot_list_init(&lost);
	drop_stream(link);
	/* A byte may have been handed over before the host knew that there is nobody. */
	take_all(&link->sent, &lost);
	link->state = LINK_IDLE;
	if (link->address_next >= link->address_count)
		pause_link(link);
	fail_all(io_of(link), &lost);
	advance(link);
}

/* ---- reading -------------------------------------------------------------------------------- */

static ot_err
read_into(struct ot_link *link, uint8_t *to, size_t wanted, size_t *have)
{
	while (*have < wanted) {
		struct iovec piece = { to + *have, wanted - *have };
		size_t bytes = 0;
		ot_err err = ot_stream_read(link->stream, &piece, 1, &bytes);
		if (err != OT_OK)
			return err;
		*have += bytes;
	}
	return OT_OK;
}

static ot_err
read_frame(struct ot_link *link)
{
	ot_err err = read_into(link, link->head, sizeof(link->head), &link->head_have);
	if (err != OT_OK)
		return err;
	if (link->frame == NULL) {
		uint32_t bytes = ot_get_u32(link->head);
		if (bytes < 4 || bytes > link->conf.answer_bytes_max)
			return OT_ERR_MALFORMED;
		link->frame = ot_blob_create(bytes);
		link->frame_have = 0;
		if (link->frame == NULL)
			return OT_ERR_NO_MEMORY;
	}
	return read_into(link, link->frame->data, link->frame->bytes, &link->frame_have);
}

static ot_err
decode_answer(const struct flight *flight, const struct ot_blob *frame)
{
	const struct ot_link_call *call = flight->call;
	struct ot_reader in = ot_reader_of(frame->data, frame->bytes);
	struct ot_response_header header;
	ot_err err = ot_response_header_read(call->api, call->version, &in, call->arena, &header);
	if (err == OT_OK && header.correlation_id != flight->correlation_id)
		err = OT_ERR_MALFORMED;
	if (err == OT_OK)
		err = ot_msg_decode(call->api->response, call->version, &in, call->arena,
		    call->response);
	return err == OT_OK || err == OT_ERR_NO_MEMORY ? err : OT_ERR_MALFORMED;
}

/* The answer to the first that was sent has come. False when the connection must end. */
static bool
take_answer(struct ot_link *link)
{
	struct ot_blob *frame = link->frame;
	link->frame = NULL;
	link->head_have = 0;
	struct flight *flight = OT_LIST_FIRST(&link->sent, struct flight, link);
	if (flight == NULL || flight->written < flight->byte_count) {
		ot_blob_unref(frame);
		return false;
	}
	ot_list_remove(&flight->link);
	link->backoff_ms = link->conf.backoff_ms;
	ot_err err = flight->call != NULL ? decode_answer(flight, frame) : OT_OK;
	end_flight(io_of(link), flight, err, frame);
	ot_blob_unref(frame);
	return err == OT_OK || err == OT_ERR_NO_MEMORY;
}

static void
on_readable(void *arg)
{
	struct ot_link *link = arg;
	struct ot_stream *stream = link->stream;
	hold(link);
	/* A callback may have put another connection in this one's place. */
	while (!link->is_destroyed && link->stream == stream && link->state == LINK_UP) {
		ot_err err = read_frame(link);
		if (err == OT_ERR_AGAIN)
			break;
		if (err != OT_OK || !take_answer(link)) {
			if (!link->is_destroyed && link->stream == stream)
				break_connection(link);
			break;
		}
	}
	let_go(link);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* The flights with bytes to write, from the first on. */
static int
gather(struct ot_link *link, struct iovec pieces[LINK_GATHER_COUNT_MAX])
{
	int count = 0;
	struct flight *last = NULL;
	if (!ot_list_is_empty(&link->sent))
		last = OT_CONTAINER_OF(link->sent.prev, struct flight, link);
	if (last != NULL && last->written < last->byte_count)
		pieces[count++] =
		    (struct iovec){ last->bytes + last->written, last->byte_count - last->written };
	OT_LIST_FOREACH(node, &link->waiting) {
		struct flight *flight = OT_CONTAINER_OF(node, struct flight, link);
		if (count == LINK_GATHER_COUNT_MAX)
			break;
		if (flight->err == OT_OK)
			pieces[count++] = (struct iovec){ flight->bytes, flight->byte_count };
	}
	return count;
}

static void
note_written_one(struct flight *flight, size_t *bytes)
{
	size_t part = OT_MIN(*bytes, flight->byte_count - flight->written);
	flight->written += part;
	*bytes -= part;
	if (flight->written < flight->byte_count)
		return;
	ot_free(flight->bytes);
	flight->bytes = NULL;
}

static void
note_written(struct ot_link *link, size_t bytes)
{
	if (!ot_list_is_empty(&link->sent))
		note_written_one(OT_CONTAINER_OF(link->sent.prev, struct flight, link), &bytes);
	OT_LIST_FOREACH_SAFE(node, &link->waiting) {
		struct flight *flight = OT_CONTAINER_OF(node, struct flight, link);
		if (bytes == 0)
			break;
		if (flight->err != OT_OK)
			continue;
		ot_list_remove(node);
		ot_list_push_back(&link->sent, node);
		note_written_one(flight, &bytes);
	}
	OT_ASSERT(bytes == 0);
}

static ot_err
write_flights(struct ot_link *link)
{
	struct iovec pieces[LINK_GATHER_COUNT_MAX];
	for (;;) {
		int count = gather(link, pieces);
		if (count == 0)
			return OT_OK;
		size_t bytes = 0;
		ot_err err = ot_stream_write(link->stream, pieces, count, false, &bytes);
		if (err != OT_OK)
			return err;
		note_written(link, bytes);
	}
}

static void
on_writable(void *arg)
{
	struct ot_link *link = arg;
	hold(link);
	bool was_connecting = link->state == LINK_CONNECTING;
	ot_err err = write_flights(link);
	if (err == OT_OK || err == OT_ERR_AGAIN) {
		if (was_connecting)
			ot_timer_cancel(io_of(link), &link->timer);
		link->state = LINK_UP;
		ot_stream_want(link->stream, true, err == OT_ERR_AGAIN);
	} else if (was_connecting) {
		connecting_failed(link);
	} else {
		break_connection(link);
	}
	let_go(link);
}

static const struct ot_stream_events link_events = {
	.on_readable = on_readable,
	.on_writable = on_writable,
};

/* ---- connecting ----------------------------------------------------------------------------- */

static void
connect_next(struct ot_link *link)
{
	while (link->address_next < link->address_count) {
		const struct ot_address *address = &link->addresses[link->address_next++];
		if (ot_io_connect(io_of(link), address, &link_events, link, &link->stream) != OT_OK)
			continue;
		link->state = LINK_CONNECTING;
		ot_stream_want(link->stream, false, true);
		ot_timer_arm_in_ms(io_of(link), &link->timer, LINK_SETUP_MS);
		return;
	}
	pause_link(link);
}

static void
run_lookup(struct ot_job *job)
{
	struct lookup *lookup = OT_CONTAINER_OF(job, struct lookup, job);
	lookup->count =
	    ot_io_resolve(lookup->host, lookup->port, lookup->addresses, LINK_ADDRESS_COUNT_MAX);
}

static void
lookup_is_done(struct ot_job *job)
{
	struct lookup *lookup = OT_CONTAINER_OF(job, struct lookup, job);
	struct ot_link *link = lookup->owner;
	if (link != NULL) {
		memcpy(link->addresses, lookup->addresses, sizeof(link->addresses));
		link->address_count = lookup->count;
		link->address_next = 0;
		link->lookup = NULL;
		connect_next(link);
	}
	ot_free(lookup->host);
	ot_free(lookup);
}

static void
look_up(struct ot_link *link)
{
	struct lookup *lookup = OT_NEW(struct lookup);
	lookup->job = (struct ot_job){ .work = run_lookup, .done = lookup_is_done };
	lookup->owner = link;
	lookup->host = ot_must_strdup(link->host);
	lookup->port = link->port;
	link->lookup = lookup;
	link->state = LINK_LOOKING_UP;
	ot_io_submit(io_of(link), &lookup->job);
}

/* Does what the state wants next, now that there may be something to send. */
static void
advance(struct ot_link *link)
{
	if (link->is_destroyed || ot_list_is_empty(&link->waiting))
		return;
	if (link->state == LINK_UP) {
		ot_stream_want(link->stream, true, true);
		return;
	}
	if (link->state != LINK_IDLE || link->host == NULL)
		return;
	if (link->address_next < link->address_count)
		connect_next(link);
	else
		look_up(link);
}

static void
on_timer(struct ot_timer *timer)
{
	struct ot_link *link = OT_CONTAINER_OF(timer, struct ot_link, timer);
	hold(link);
	if (link->state == LINK_CONNECTING) {
		connecting_failed(link);
	} else {
		link->state = LINK_IDLE;
		advance(link);
	}
	let_go(link);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static ot_err
encode(struct ot_link *link, struct flight *flight)
{
	const struct ot_link_call *call = flight->call;
	struct ot_writer out;
	ot_writer_init(&out);
	ot_write_i32(&out, 0);
	ot_err err = ot_request_header_write(call->api, call->version, flight->correlation_id,
	    ot_str_from(link->conf.client_id), &out);
	if (err == OT_OK)
		err = ot_msg_encode(call->api->request, call->version, call->request, &out, NULL);
	if (err == OT_OK && out.failed)
		err = OT_ERR_NO_MEMORY;
	if (err != OT_OK) {
		ot_writer_fini(&out);
		return err;
	}
	ot_write_i32_at(&out, 0, (int32_t)(out.bytes - 4));
	flight->bytes = out.data;
	flight->byte_count = out.bytes;
	return OT_OK;
}

static void
on_time_over(struct ot_timer *timer)
{
	struct flight *flight = OT_CONTAINER_OF(timer, struct flight, timer);
	struct ot_link *link = flight->owner;
	if (link == NULL)
		return; /* its end is coming already */
	ot_err err = flight->err != OT_OK ? flight->err : OT_ERR_REQUEST_TIMED_OUT;
	bool was_sent = flight->written > 0;
	hold(link);
	ot_list_remove(&flight->link);
	end_flight(io_of(link), flight, err, NULL);
	if (was_sent && !link->is_destroyed && link->stream != NULL)
		break_connection(link);
	let_go(link);
}

void
ot_link_call(struct ot_link *link, struct ot_link_call *call)
{
	OT_ON_SHARD(link->conf.shard);
	struct flight *flight = OT_NEW(struct flight);
	flight->owner = link;
	flight->call = call;
	flight->correlation_id = link->correlation_id;
	link->correlation_id = link->correlation_id == INT32_MAX ? 0 : link->correlation_id + 1;
	ot_timer_init(&flight->timer, on_time_over);
	call->impl = flight;
	call->frame = NULL;
	call->was_sent = false;
	ot_list_push_back(&link->waiting, &flight->link);
	flight->err = encode(link, flight);
	ot_timer_arm_in_ms(io_of(link), &flight->timer,
	    flight->err != OT_OK ? 0 : OT_MAX(call->timeout_ms, 1));
	advance(link);
}

void
ot_link_cancel(struct ot_link_call *call)
{
	struct flight *flight = call->impl;
	if (flight == NULL)
		return;
	call->impl = NULL;
	flight->call = NULL;
	/* What was sent stays as a ghost, with its time: an answer that never comes must still
	 * break the connection. */
	if (flight->owner != NULL && flight->written > 0)
		return;
	if (flight->owner != NULL)
		ot_timer_cancel(io_of(flight->owner), &flight->timer);
	else
		return; /* in the list of what has failed: it ends without a callback */
	ot_list_remove(&flight->link);
	free_flight(flight);
}

uint32_t
ot_link_call_count(const struct ot_link *link)
{
	uint32_t count = 0;
	OT_LIST_FOREACH(node, &link->waiting)
		count++;
	OT_LIST_FOREACH(node, &link->sent)
		count += OT_CONTAINER_OF(node, struct flight, link)->call != NULL;
	return count;
}

bool
ot_link_is_up(const struct ot_link *link)
{
	return link->state == LINK_UP;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct ot_link *
ot_link_create(const struct ot_link_conf *conf)
{
	struct ot_link *link = OT_NEW(struct ot_link);
	link->conf = *conf;
	link->conf.client_id = ot_must_strdup(conf->client_id);
	link->backoff_ms = OT_MAX(conf->backoff_ms, 1);
	link->conf.backoff_ms = link->backoff_ms;
	link->conf.backoff_ms_max = OT_MAX(conf->backoff_ms_max, link->backoff_ms);
	ot_list_init(&link->waiting);
	ot_list_init(&link->sent);
	ot_timer_init(&link->timer, on_timer);
	return link;
}

void
ot_link_set_address(struct ot_link *link, const char *host, uint16_t port)
{
	OT_ON_SHARD(link->conf.shard);
	if (link->host != NULL && strcmp(link->host, host) == 0 && link->port == port)
		return;
	struct ot_list lost;
	ot_list_init(&lost);
	ot_free(link->host);
	link->host = ot_must_strdup(host);
	link->port = port;
	forget_lookup(link);
	drop_stream(link);
	link->address_count = link->address_next = 0;
	link->backoff_ms = link->conf.backoff_ms;
	link->state = LINK_IDLE;
	take_all(&link->sent, &lost);
	hold(link);
	fail_all(io_of(link), &lost);
	advance(link);
	let_go(link);
}

void
ot_link_destroy(struct ot_link *link)
{
	if (link == NULL)
		return;
	struct ot_list lost;
	ot_list_init(&lost);
	struct ot_io *io = io_of(link);
	hold(link);
	link->is_destroyed = true;
	forget_lookup(link);
	drop_stream(link);
	take_all(&link->sent, &lost);
	take_all(&link->waiting, &lost);
	fail_all(io, &lost);
	let_go(link);
}
