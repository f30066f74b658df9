#include "wire/conn.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/report.h"

enum {
	CONN_RX_BYTES = 128 * 1024,
	CONN_RX_ROOM_MIN = 16 * 1024, /* less is not worth a read */
	CONN_READS_PER_EVENT = 8,     /* then the other connections have their turn */
	CONN_PIECES_MAX = 64,
	CONN_POOL_COUNT_MAX = 256,
	CONN_POOLED_BYTES_MAX = 64 * 1024, /* a pooled request keeps no more than this */
	CONN_FRAME_LENGTH_BYTES = 4,
	CONN_IDLE_SWEEP_MS = 1000,
	/* Half a frame may hold memory that others wait for so long, and longer if it comes at such
	 * a rate and without such a pause. */
	CONN_STALL_MS = 10 * 1000,
	CONN_STALL_BYTES_PER_MS = 8,
	CONN_HEAVY_BYTES = 64 * 1024, /* a request so long may take its time */
	CONN_LATE_MS = 1, /* not 0: a timer that is due at once is called in the same turn */
	CONN_REQUEST_BYTES = 4096, /* what a request takes beside its bytes */
	/* Of one request, decoded and answered: the shard's budget, but within these. */
	CONN_ARENA_BYTES_LEAST = 16 * 1024 * 1024,
	CONN_ARENA_BYTES_MOST = 256 * 1024 * 1024,
	CONN_UNSENT_BYTES_MAX = 1024 * 1024, /* beyond, a connection's next request waits */
	CONN_SEND_BYTES_PER_TURN =
	    4 * 1024 * 1024, /* per connection, so that one cannot starve all */
	/* Smaller file ranges are copied, through a buffer of the shard: see plan_range(). */
	CONN_RANGE_COPY_BYTES_MAX = 8192,
	CONN_COPY_BYTES = 256 * 1024,
	API_KEY_PRODUCE = 0,
};

struct ot_conn {
	struct ot_conn_host *host;    /* [const] */
	struct ot_stream *stream;     /* [owner] NULL once closed */
	const void *listener;         /* [const] */
	struct ot_address peer;       /* [const] */
	struct ot_address local;      /* [const] */
	struct ot_list link;          /* [owner] in host->conns */
	struct ot_list pipeline;      /* [owner] requests in the order of their arrival */
	uint32_t pipeline_count;      /* [owner] */
	uint32_t running_count;       /* [owner] */
	uint32_t running_other_count; /* [owner] those that are not Produce */
	size_t unsent_bytes;          /* [owner] of answers that are ready */
	ot_mono_ns active;            /* [owner] last byte in or out */

	uint8_t head[CONN_FRAME_LENGTH_BYTES]; /* a length that is not whole yet */
	size_t head_bytes;
	struct ot_blob *frame; /* a frame that is not whole yet; NULL when between frames */
	size_t frame_have;
	ot_mono_ns frame_since;

	/* Bytes that were read and not cut into frames yet, because the pipeline is full or the
	 * budget has no room for the frame that they begin. */
	struct ot_blob *held; /* NULL: none */
	const uint8_t *held_data;
	size_t held_bytes;
	size_t held_frame_bytes; /* of the frame that they begin with, once its length is read */
	struct ot_budget_waiter waiter;

	struct ot_list late; /* in host->late */

	bool is_write_wanted;
	bool is_dispatching;
	bool is_closing;
	char why[96];
	struct ot_turn_work send_work;
};

static void conn_on_readable(void *arg);
static void conn_on_writable(void *arg);
static void conn_send(struct ot_turn_work *work);
static void start_queued(struct ot_conn *conn);
static void start_late(struct ot_timer *timer);

static const struct ot_stream_events conn_events = {
	.on_readable = conn_on_readable,
	.on_writable = conn_on_writable,
};

/* ---- the host ------------------------------------------------------------------------------ */

/* Whether a frame stays half so long that others, who wait for memory, need not wait for it. */
static bool
is_stalled(const struct ot_conn *conn, ot_mono_ns now)
{
	if (conn->frame == NULL || !ot_budget_is_waited_for(conn->host->shard))
		return false;
	uint64_t age_ms = (now - conn->frame_since) / OT_NS_PER_MS;
	uint64_t idle_ms = (now - conn->active) / OT_NS_PER_MS;
	return idle_ms >= CONN_STALL_MS ||
	       (age_ms >= CONN_STALL_MS && conn->frame_have < age_ms * CONN_STALL_BYTES_PER_MS);
}

/* Closes a connection over which nothing came or went for so long, if it is time. A long poll is
 * not idleness: its answer will come. Answers that the peer does not take are. */
static void
sweep_one(struct ot_conn *conn, ot_mono_ns now)
{
	int64_t idle_ms = (int64_t)((now - conn->active) / OT_NS_PER_MS);
	int64_t idle_ms_max = conn->host->limits.idle_ms_max;
	if (idle_ms_max >= 0 && idle_ms >= idle_ms_max && conn->running_count == 0)
		ot_conn_close(conn, NULL);
	else if (is_stalled(conn, now))
		ot_conn_close(conn, "half a frame and little more, while memory is short");
}

/* A thousand clients with the same fault are told of in a few lines. */
static void
report_skipped(struct ot_conn_host *host)
{
	uint32_t skipped = ot_report_skipped(&host->gate, ot_io_now(host->shard->io));
	if (skipped > 0)
		OT_WARN("wire", "%u more connections closed for such reasons", skipped);
}

static void
arm_sweep(struct ot_conn_host *host)
{
	if (!ot_timer_is_armed(&host->idle_timer))
		ot_timer_arm_in_ms(host->shard->io, &host->idle_timer, CONN_IDLE_SWEEP_MS);
}

static void
sweep_idle(struct ot_timer *timer)
{
	struct ot_conn_host *host = OT_CONTAINER_OF(timer, struct ot_conn_host, idle_timer);
	ot_mono_ns now = ot_io_now(host->shard->io);
	int64_t idle_ms_max = host->limits.idle_ms_max;
	int64_t least_ms =
	    idle_ms_max < 0 ? CONN_STALL_MS : OT_MIN(idle_ms_max, (int64_t)CONN_STALL_MS);
	ot_mono_ns least = (ot_mono_ns)least_ms * OT_NS_PER_MS;
	/* Who sends a byte now and then is active, and looked at only while memory is short. */
	bool is_short = ot_budget_is_waited_for(host->shard);
	OT_LIST_FOREACH_SAFE(link, &host->conns) {
		struct ot_conn *conn = OT_CONTAINER_OF(link, struct ot_conn, link);
		if (now - conn->active < least && !is_short)
			break;
		sweep_one(conn, now);
	}
	report_skipped(host);
	if (!ot_list_is_empty(&host->conns) || host->gate.count > 0)
		arm_sweep(host);
}

void
ot_conn_host_init(struct ot_conn_host *host, struct ot_shard *shard,
    const struct ot_conn_handler *handler, void *handler_arg, const struct ot_conn_limits *limits)
{
	*host = (struct ot_conn_host){
		.shard = shard,
		.handler = handler,
		.handler_arg = handler_arg,
		.limits = *limits,
	};
	ot_list_init(&host->conns);
	ot_list_init(&host->pool);
	ot_list_init(&host->orphans);
	ot_timer_init(&host->idle_timer, sweep_idle);
	host->heavy_turn = UINT64_MAX;
	ot_list_init(&host->late);
	ot_timer_init(&host->late_timer, start_late);
}

static void
release_budget(struct ot_blob *blob, void *arg)
{
	ot_budget_give(arg, blob->bytes);
}

/* A blob whose bytes the budget has admitted already. */
static struct ot_blob *
create_admitted(struct ot_conn_host *host, size_t bytes)
{
	struct ot_blob *blob = ot_blob_create(bytes);
	if (blob == NULL) {
		ot_budget_give(host->shard, bytes);
		return NULL;
	}
	blob->on_release = release_budget;
	blob->release_arg = host->shard;
	return blob;
}

/* Makes sure that the receive blob has room; false when the budget has none. */
static bool
prepare_rx(struct ot_conn_host *host)
{
	if (host->rx != NULL && ot_blob_is_unique(host->rx))
		host->rx_used = 0;
	if (host->rx != NULL && host->rx->bytes - host->rx_used >= CONN_RX_ROOM_MIN)
		return true;
	ot_blob_unref(host->rx);
	host->rx = NULL;
	host->rx_used = 0;
	if (!ot_budget_take(host->shard, CONN_RX_BYTES))
		return false;
	host->rx = create_admitted(host, CONN_RX_BYTES);
	return host->rx != NULL;
}

/* ---- requests ------------------------------------------------------------------------------ */

static size_t
arena_bytes_max(const struct ot_conn_host *host)
{
	size_t bytes = host->shard->budget_bytes_max;
	bytes = OT_MAX(bytes, (size_t)CONN_ARENA_BYTES_LEAST);
	return OT_MIN(bytes, (size_t)CONN_ARENA_BYTES_MOST);
}

static struct ot_request *
take_request(struct ot_conn *conn)
{
	struct ot_conn_host *host = conn->host;
	struct ot_request *request = OT_LIST_FIRST(&host->pool, struct ot_request, link);
	if (request != NULL) {
		ot_list_remove(&request->link);
		host->pool_count--;
	} else {
		request = OT_NEW(struct ot_request);
		request->host = host;
		ot_list_init(&request->link);
		ot_arena_init(&request->arena, arena_bytes_max(host));
		ot_splices_init(&request->splices);
		ot_writer_init(&request->out);
	}
	request->conn = conn;
	request->listener = conn->listener;
	request->state = OT_REQUEST_QUEUED;
	request->received = ot_io_now(host->shard->io);
	request->frame = NULL;
	request->op = NULL;
	request->on_orphan = NULL;
	request->encode_err = OT_OK;
	request->sent_bytes = request->total_bytes = request->budget_bytes = 0;
	return request;
}

/* From now on the request holds `bytes` of the budget. */
static void
hold_budget(struct ot_request *request, size_t bytes)
{
	struct ot_shard *shard = request->host->shard;
	if (bytes > request->budget_bytes)
		ot_budget_charge(shard, bytes - request->budget_bytes);
	else if (bytes < request->budget_bytes)
		ot_budget_give(shard, request->budget_bytes - bytes);
	request->budget_bytes = bytes;
}

void
ot_request_account(struct ot_request *request)
{
	OT_ON_SHARD(request->host->shard);
	size_t bytes = request->arena.bytes_total;
	if (bytes > CONN_POOLED_BYTES_MAX && bytes > request->budget_bytes)
		hold_budget(request, bytes);
}

static void
drop_ranges(struct ot_request *request)
{
	for (int32_t i = 0; i < request->splices.count; i++) {
		const struct ot_file_range *range = request->splices.items[i].records->source;
		ot_file_unref(range->file);
	}
	ot_splices_reset(&request->splices);
}

static void
free_request(struct ot_request *request)
{
	ot_splices_fini(&request->splices);
	ot_writer_fini(&request->out);
	ot_arena_fini(&request->arena);
	ot_free(request);
}

static void
give_request(struct ot_request *request)
{
	struct ot_conn_host *host = request->host;
	ot_list_remove(&request->link);
	ot_blob_unref(request->frame);
	request->frame = NULL;
	drop_ranges(request);
	ot_arena_reset(&request->arena);
	ot_writer_reset(&request->out);
	hold_budget(request, 0);
	bool is_large = request->out.capacity + request->arena.bytes_total > CONN_POOLED_BYTES_MAX;
	if (is_large || host->pool_count >= CONN_POOL_COUNT_MAX) {
		free_request(request);
		return;
	}
	ot_list_push_back(&host->pool, &request->link);
	host->pool_count++;
}

struct ot_blob *
ot_request_blob(const struct ot_request *request)
{
	return request->frame;
}

static bool
is_produce(const struct ot_request *request)
{
	return request->header.request_api_key == API_KEY_PRODUCE;
}

static bool
may_start(const struct ot_conn *conn, const struct ot_request *request)
{
	if (conn->unsent_bytes > CONN_UNSENT_BYTES_MAX)
		return false;
	if (conn->running_count == 0)
		return true;
	return is_produce(request) && conn->running_other_count == 0;
}

/* Whether a heavy request has to wait, since this turn has had one; it is started in a later turn
 * then. */
static bool
must_wait(struct ot_conn *conn, const struct ot_request *request)
{
	struct ot_conn_host *host = conn->host;
	if (is_produce(request) || request->body.len < CONN_HEAVY_BYTES)
		return false;
	if (host->heavy_turn != host->shard->turn_count) {
		host->heavy_turn = host->shard->turn_count;
		return false;
	}
	if (ot_list_is_empty(&conn->late))
		ot_list_push_back(&host->late, &conn->late);
	ot_timer_arm_in_ms(host->shard->io, &host->late_timer, CONN_LATE_MS);
	return true;
}

static void
start_request(struct ot_conn *conn, struct ot_request *request)
{
	request->state = OT_REQUEST_RUNNING;
	conn->running_count++;
	conn->running_other_count += !is_produce(request);
	conn->host->request_count++;
	conn->host->handler->on_request(conn->host->handler_arg, request);
}

/* Starts what may run, in order. Not re-entered: a request that ends at once lets the loop go
 * on. */
static void
start_queued(struct ot_conn *conn)
{
	if (conn->is_dispatching)
		return;
	conn->is_dispatching = true;
	struct ot_list *link = conn->pipeline.next;
	while (link != &conn->pipeline && !conn->is_closing) {
		struct ot_request *request = OT_CONTAINER_OF(link, struct ot_request, link);
		link = link->next;
		if (request->state != OT_REQUEST_QUEUED)
			continue;
		if (!may_start(conn, request) || must_wait(conn, request))
			break;
		start_request(conn, request);
	}
	conn->is_dispatching = false;
}

/* One connection a turn: its heavy request takes the turn's place. */
static void
start_late(struct ot_timer *timer)
{
	struct ot_conn_host *host = OT_CONTAINER_OF(timer, struct ot_conn_host, late_timer);
	struct ot_conn *conn = OT_LIST_FIRST(&host->late, struct ot_conn, late);
	if (conn == NULL)
		return;
	ot_list_remove(&conn->late);
	start_queued(conn);
	if (!ot_list_is_empty(&host->late))
		ot_timer_arm_in_ms(host->shard->io, timer, CONN_LATE_MS);
}

/* A slow reader's answers shall not hold more than they must: unless a file range is described
 * there, the request's memory goes as soon as the answer is encoded. */
static void
keep_answer_only(struct ot_request *request)
{
	size_t kept = request->budget_bytes;
	if (request->splices.count == 0) {
		ot_blob_unref(request->frame);
		request->frame = NULL;
		ot_arena_reset(&request->arena);
		kept = CONN_REQUEST_BYTES;
	}
	hold_budget(request, kept + request->out.bytes);
}

/* The request leaves the running ones; true when its connection still stands. */
static bool
leave_running(struct ot_request *request)
{
	struct ot_conn *conn = request->conn;
	if (request->state == OT_REQUEST_ORPHAN) {
		give_request(request);
		return false;
	}
	OT_ASSERT(request->state == OT_REQUEST_RUNNING);
	conn->running_count--;
	conn->running_other_count -= !is_produce(request);
	request->state = OT_REQUEST_READY;
	conn->unsent_bytes += request->total_bytes;
	keep_answer_only(request);
	return true;
}

static void
finish_request(struct ot_request *request)
{
	struct ot_conn *conn = request->conn;
	ot_shard_defer(conn->host->shard, &conn->send_work, OT_TURN_SEND);
	start_queued(conn);
}

static void
encode_version(struct ot_request *request, const struct ot_msg *desc, int16_t version,
    const void *msg)
{
	struct ot_writer *out = &request->out;
	ot_write_i32(out, 0);
	ot_err err =
	    ot_response_header_write(request->api, version, request->header.correlation_id, out);
	if (err == OT_OK)
		err = ot_msg_encode(desc, version, msg, out, &request->splices);
	request->total_bytes = out->bytes + request->splices.bytes_total;
	if (err == OT_OK && request->total_bytes - CONN_FRAME_LENGTH_BYTES > INT32_MAX)
		err = OT_ERR_MESSAGE_TOO_LARGE;
	if (err == OT_OK && out->failed)
		err = OT_ERR_NO_MEMORY;
	request->encode_err = err;
	ot_write_i32_at(out, 0, (int32_t)(request->total_bytes - CONN_FRAME_LENGTH_BYTES));
}

void
ot_request_encode(struct ot_request *request, const struct ot_msg *desc, const void *msg)
{
	OT_ON_SHARD(request->host->shard);
	encode_version(request, desc, request->header.request_api_version, msg);
}

void
ot_request_send(struct ot_request *request)
{
	OT_ON_SHARD(request->host->shard);
	if (request->encode_err != OT_OK) {
		char why[96];
		snprintf(why, sizeof(why), "the %s response cannot be encoded: %s",
		    request->api->name, ot_err_name(request->encode_err));
		ot_request_abort(request, why);
		return;
	}
	if (leave_running(request))
		finish_request(request);
}

void
ot_request_answer_version(struct ot_request *request, const struct ot_msg *desc, int16_t version,
    const void *msg)
{
	OT_ON_SHARD(request->host->shard);
	encode_version(request, desc, version, msg);
	ot_request_send(request);
}

void
ot_request_answer(struct ot_request *request, const struct ot_msg *desc, const void *msg)
{
	ot_request_answer_version(request, desc, request->header.request_api_version, msg);
}

void
ot_request_end(struct ot_request *request)
{
	OT_ON_SHARD(request->host->shard);
	if (leave_running(request))
		finish_request(request);
}

void
ot_request_abort(struct ot_request *request, const char *why)
{
	OT_ON_SHARD(request->host->shard);
	struct ot_conn *conn = request->conn;
	if (conn != NULL)
		ot_conn_close(conn, why);
	if (leave_running(request))
		finish_request(request);
}

/* ---- frames -------------------------------------------------------------------------------- */

/* Bodies other than Produce are copied to the arena when they lie in the shared receive blob, so
 * that a long poll of a few bytes does not hold all of it. */
static bool
place_body(struct ot_request *request, struct ot_blob *blob, const uint8_t *data, size_t bytes)
{
	bool is_shared = bytes < blob->bytes;
	bool is_kept = !is_shared || (bytes >= 2 && ot_get_u16(data) == API_KEY_PRODUCE);
	if (is_kept) {
		request->frame = ot_blob_ref(blob);
		request->body = (struct ot_bytes){ data, (int32_t)bytes };
		return true;
	}
	char *copy = ot_arena_strndup(&request->arena, (const char *)data, bytes);
	request->body = (struct ot_bytes){ (const uint8_t *)copy, (int32_t)bytes };
	return copy != NULL;
}

static void
close_for_header(struct ot_conn *conn, struct ot_bytes frame, ot_err err)
{
	char why[96];
	struct ot_reader in = ot_reader_of(frame.data, (size_t)frame.len);
	int16_t key = ot_read_i16(&in);
	int16_t version = ot_read_i16(&in);
	snprintf(why, sizeof(why), "request header with key %d and version %d is not valid: %s",
	    key, version, ot_err_name(err));
	ot_conn_close(conn, why);
}

/* One whole frame, without its length. The budget has admitted `budget_bytes` for the request. */
static void
accept_frame(struct ot_conn *conn, struct ot_blob *blob, const uint8_t *data, size_t bytes,
    size_t budget_bytes)
{
	struct ot_request *request = take_request(conn);
	request->budget_bytes = budget_bytes;
	if (!place_body(request, blob, data, bytes)) {
		give_request(request);
		ot_conn_close(conn, "no memory for a request");
		return;
	}
	struct ot_reader in = ot_reader_of(request->body.data, bytes);
	ot_err err = ot_request_header_read(&in, &request->arena, &request->header, &request->api);
	if (err != OT_OK) {
		close_for_header(conn, request->body, err);
		give_request(request);
		return;
	}
	request->body = (struct ot_bytes){ in.next, (int32_t)ot_reader_left(&in) };
	ot_list_push_back(&conn->pipeline, &request->link);
	conn->pipeline_count++;
	start_queued(conn);
}

/* What the peer speaks instead, if its first bytes tell; NULL: unknown. They came where a length is
 * expected, and are far too great for one. */
static const char *
name_stranger(const uint8_t head[CONN_FRAME_LENGTH_BYTES])
{
	static const char http[][CONN_FRAME_LENGTH_BYTES + 1] = { "GET ", "HEAD", "POST", "PUT ",
		"DELE", "OPTI", "PATC", "CONN", "PRI " };
	for (size_t i = 0; i < OT_ARRAY_COUNT(http); i++) {
		if (memcmp(head, http[i], CONN_FRAME_LENGTH_BYTES) == 0)
			return "it speaks HTTP, and this port Kafka's protocol";
	}
	/* A record of type handshake, of TLS 1.x. */
	if (head[0] == 0x16 && head[1] == 3)
		return "it speaks TLS, and this listener does not: set security.protocol=PLAINTEXT";
	if (memcmp(head, "SSH-", CONN_FRAME_LENGTH_BYTES) == 0)
		return "it speaks SSH, and this port Kafka's protocol";
	return NULL;
}

static bool
check_length(struct ot_conn *conn, int32_t length)
{
	if (length >= 0 && (size_t)length <= conn->host->limits.frame_bytes_max)
		return true;
	char why[96];
	const char *stranger = name_stranger(conn->head);
	if (stranger != NULL)
		snprintf(why, sizeof(why), "%s", stranger);
	else if (length < 0)
		snprintf(why, sizeof(why), "frame length %d is negative", length);
	else
		snprintf(why, sizeof(why), "frame length %d is above socket.request.max.bytes",
		    length);
	ot_conn_close(conn, why);
	return false;
}

/* Begins a frame of which `bytes` bytes are in `data` already. The budget has admitted it. */
static void
begin_frame(struct ot_conn *conn, size_t frame_bytes, const uint8_t *data, size_t bytes)
{
	conn->frame = create_admitted(conn->host, frame_bytes);
	if (conn->frame == NULL) {
		ot_conn_close(conn, "no memory for a frame");
		return;
	}
	memcpy(conn->frame->data, data, bytes);
	conn->frame_have = bytes;
	conn->frame_since = ot_io_now(conn->host->shard->io);
}

static void
update_wants(struct ot_conn *conn)
{
	bool read = conn->held == NULL && conn->waiter.on_room == NULL;
	if (conn->stream != NULL)
		ot_stream_want(conn->stream, read, conn->is_write_wanted);
}

static void
hold(struct ot_conn *conn, struct ot_blob *blob, const uint8_t *data, size_t bytes)
{
	OT_ASSERT(conn->held == NULL);
	conn->held = ot_blob_ref(blob);
	conn->held_data = data;
	conn->held_bytes = bytes;
	update_wants(conn);
}

static void
on_frame_room(struct ot_budget_waiter *waiter)
{
	struct ot_conn *conn = OT_CONTAINER_OF(waiter, struct ot_conn, waiter);
	waiter->on_room = NULL;
	begin_frame(conn, waiter->bytes, conn->held_data, conn->held_bytes);
	ot_blob_unref(conn->held);
	conn->held = NULL;
	update_wants(conn);
}

static void
on_rx_room(struct ot_budget_waiter *waiter)
{
	struct ot_conn *conn = OT_CONTAINER_OF(waiter, struct ot_conn, waiter);
	waiter->on_room = NULL;
	/* Only the right to try again: prepare_rx() takes what it needs itself. */
	ot_budget_give(conn->host->shard, waiter->bytes);
	update_wants(conn);
}

/* The rest of what was read is the beginning of a frame: give it memory of its own, or wait. */
static void
keep_partial(struct ot_conn *conn, struct ot_blob *blob, size_t frame_bytes, const uint8_t *data,
    size_t bytes)
{
	struct ot_shard *shard = conn->host->shard;
	/* Large frames wait in line; else those that need less would always be there before them.
	 */
	bool is_in_line = frame_bytes > CONN_RX_BYTES && ot_budget_is_waited_for(shard);
	if (!is_in_line && ot_budget_take(shard, frame_bytes)) {
		begin_frame(conn, frame_bytes, data, bytes);
		return;
	}
	hold(conn, blob, data, bytes);
	ot_budget_wait(shard, &conn->waiter, frame_bytes, on_frame_room);
}

static void cut_frames(struct ot_conn *conn, struct ot_blob *blob, const uint8_t *data,
    size_t bytes);

static void
on_request_room(struct ot_budget_waiter *waiter)
{
	struct ot_conn *conn = OT_CONTAINER_OF(waiter, struct ot_conn, waiter);
	struct ot_blob *blob = conn->held;
	const uint8_t *data = conn->held_data;
	size_t bytes = conn->held_bytes, frame_bytes = conn->held_frame_bytes;
	waiter->on_room = NULL;
	conn->held = NULL;
	accept_frame(conn, blob, data, frame_bytes, waiter->bytes);
	cut_frames(conn, blob, data + frame_bytes, bytes - frame_bytes);
	ot_blob_unref(blob);
	update_wants(conn);
}

/* Admits a whole frame that lies in a receive blob, where Produce stays and others are copied;
 * false: it waits for memory. */
static bool
admit_frame(struct ot_conn *conn, struct ot_blob *blob, const uint8_t *data, size_t bytes,
    size_t frame_bytes, size_t *ret_budget_bytes)
{
	struct ot_shard *shard = conn->host->shard;
	bool is_copied = frame_bytes < 2 || ot_get_u16(data) != API_KEY_PRODUCE;
	*ret_budget_bytes = CONN_REQUEST_BYTES + (is_copied ? frame_bytes : 0);
	if (ot_budget_take(shard, *ret_budget_bytes))
		return true;
	conn->held_frame_bytes = frame_bytes;
	hold(conn, blob, data, bytes);
	ot_budget_wait(shard, &conn->waiter, *ret_budget_bytes, on_request_room);
	return false;
}

/* Completes a length that came in pieces; gives how many bytes it took. */
static size_t
fill_head(struct ot_conn *conn, const uint8_t *data, size_t bytes)
{
	size_t take = OT_MIN(CONN_FRAME_LENGTH_BYTES - conn->head_bytes, bytes);
	memcpy(conn->head + conn->head_bytes, data, take);
	conn->head_bytes += take;
	return take;
}

/* Cuts bytes that lie in a receive blob into frames, as long as the pipeline has room. */
static void
cut_frames(struct ot_conn *conn, struct ot_blob *blob, const uint8_t *data, size_t bytes)
{
	while (bytes > 0 && !conn->is_closing) {
		if (conn->pipeline_count >= conn->host->limits.pipeline_count_max) {
			hold(conn, blob, data, bytes);
			return;
		}
		size_t took = fill_head(conn, data, bytes);
		data += took;
		bytes -= took;
		if (conn->head_bytes < CONN_FRAME_LENGTH_BYTES)
			return;
		int32_t length = (int32_t)ot_get_u32(conn->head);
		if (!check_length(conn, length))
			return;
		conn->head_bytes = 0;
		if (bytes < (size_t)length) {
			keep_partial(conn, blob, (size_t)length, data, bytes);
			return;
		}
		size_t budget_bytes = 0;
		if (!admit_frame(conn, blob, data, bytes, (size_t)length, &budget_bytes))
			return;
		accept_frame(conn, blob, data, (size_t)length, budget_bytes);
		data += length;
		bytes -= (size_t)length;
	}
}

/* The pipeline has room again: goes on with what was held. */
static void
resume_held(struct ot_conn *conn)
{
	bool has_room = conn->pipeline_count <= conn->host->limits.pipeline_count_max / 2;
	if (conn->held == NULL || conn->waiter.on_room != NULL || conn->is_closing || !has_room)
		return;
	struct ot_blob *blob = conn->held;
	conn->held = NULL;
	cut_frames(conn, blob, conn->held_data, conn->held_bytes);
	ot_blob_unref(blob);
	update_wants(conn);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Where the next bytes go: the rest of the current frame, then the receive blob. */
static int
plan_read(struct ot_conn *conn, struct iovec pieces[2])
{
	struct ot_conn_host *host = conn->host;
	int count = 0;
	size_t rest = conn->frame != NULL ? conn->frame->bytes - conn->frame_have : 0;
	if (conn->frame != NULL) {
		pieces[count++] = (struct iovec){ conn->frame->data + conn->frame_have, rest };
		if (rest >= CONN_RX_BYTES)
			return count;
	}
	if (!prepare_rx(host))
		return count;
	pieces[count++] =
	    (struct iovec){ host->rx->data + host->rx_used, host->rx->bytes - host->rx_used };
	return count;
}

static void
take_read(struct ot_conn *conn, size_t bytes)
{
	struct ot_conn_host *host = conn->host;
	host->bytes_in += bytes;
	if (conn->frame != NULL) {
		size_t part = OT_MIN(conn->frame->bytes - conn->frame_have, bytes);
		conn->frame_have += part;
		bytes -= part;
		if (conn->frame_have < conn->frame->bytes)
			return;
		struct ot_blob *frame = conn->frame;
		conn->frame = NULL;
		ot_budget_charge(host->shard, CONN_REQUEST_BYTES);
		accept_frame(conn, frame, frame->data, frame->bytes, CONN_REQUEST_BYTES);
		ot_blob_unref(frame);
	}
	if (bytes == 0)
		return;
	const uint8_t *data = host->rx->data + host->rx_used;
	host->rx_used += bytes;
	cut_frames(conn, host->rx, data, bytes);
}

static void
touch(struct ot_conn *conn)
{
	conn->active = ot_io_now(conn->host->shard->io);
	ot_list_remove(&conn->link);
	ot_list_push_back(&conn->host->conns, &conn->link);
}

static bool
may_read(struct ot_conn *conn)
{
	return !conn->is_closing && conn->waiter.on_room == NULL && conn->held == NULL;
}

static void
conn_on_readable(void *arg)
{
	struct ot_conn *conn = arg;
	touch(conn);
	for (int i = 0; i < CONN_READS_PER_EVENT && may_read(conn); i++) {
		struct iovec pieces[2];
		int count = plan_read(conn, pieces);
		if (count == 0) {
			ot_budget_wait(conn->host->shard, &conn->waiter, CONN_RX_BYTES, on_rx_room);
			update_wants(conn);
			return;
		}
		size_t wanted = pieces[0].iov_len + (count > 1 ? pieces[1].iov_len : 0);
		size_t bytes = 0;
		ot_err err = ot_stream_read(conn->stream, pieces, count, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			ot_conn_close(conn, NULL);
			return;
		}
		take_read(conn, bytes);
		if (bytes < wanted)
			return;
	}
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The unsent part of one response as a list of pieces: bytes, or one file range. */
struct send_plan {
	struct iovec pieces[CONN_PIECES_MAX];
	int piece_count;
	size_t bytes;
	const struct ot_records *range; /* what follows the pieces; NULL: nothing */
	size_t range_skip;
	size_t copied_bytes; /* of the shard's buffer */
	ot_err err;          /* a range could not be read */
	bool more_follows;
};

/* Adds out[from, to) of a response to the plan; false when the plan is full. */
static bool
plan_bytes(struct send_plan *plan, const struct ot_request *request, size_t from, size_t to)
{
	if (from >= to)
		return true;
	if (plan->piece_count == CONN_PIECES_MAX)
		return false;
	plan->pieces[plan->piece_count++] = (struct iovec){ request->out.data + from, to - from };
	plan->bytes += to - from;
	return true;
}

/* Plans a file range without its first `skip` bytes; false when it must wait for what is planned.
 *
 * A small range is copied, so that it goes out with the bytes around it, and several answers
 * together. By sendfile each range would be a call of its own and end a segment on the network,
 * and so would the few bytes that stand behind the records of every Fetch answer. */
static bool
plan_range(struct send_plan *plan, struct ot_conn_host *host, const struct ot_records *records,
    size_t skip)
{
	size_t bytes = (size_t)records->len - skip;
	size_t room = CONN_COPY_BYTES - plan->copied_bytes;
	if (bytes > CONN_RANGE_COPY_BYTES_MAX || bytes > room ||
	    plan->piece_count == CONN_PIECES_MAX) {
		plan->range = records;
		plan->range_skip = skip;
		return false;
	}
	if (host->copy == NULL)
		host->copy = ot_must_alloc(CONN_COPY_BYTES);
	const struct ot_file_range *range = records->source;
	uint8_t *to = host->copy + plan->copied_bytes;
	size_t got = 0;
	plan->err = ot_file_read(range->file, to, bytes, range->place + skip, &got);
	if (plan->err == OT_OK && got < bytes)
		plan->err = OT_ERR_IO;
	if (plan->err != OT_OK)
		return false;
	plan->pieces[plan->piece_count++] = (struct iovec){ to, bytes };
	plan->bytes += bytes;
	plan->copied_bytes += bytes;
	return true;
}

/* Walks one response from where it was sent to; true when it was planned to its end. */
static bool
plan_response(struct send_plan *plan, const struct ot_request *request)
{
	size_t sent = request->sent_bytes; /* in the whole response */
	size_t out_from = 0;               /* in request->out */
	size_t begins = 0;                 /* in the whole response, of what is looked at */
	for (int32_t i = 0; i <= request->splices.count; i++) {
		bool is_last = i == request->splices.count;
		size_t out_to = is_last ? request->out.bytes : request->splices.items[i].place;
		size_t skip = sent > begins ? OT_MIN(sent - begins, out_to - out_from) : 0;
		if (!plan_bytes(plan, request, out_from + skip, out_to))
			return false;
		begins += out_to - out_from;
		out_from = out_to;
		if (is_last)
			return true;
		const struct ot_records *records = request->splices.items[i].records;
		size_t range_bytes = (size_t)records->len;
		if (sent < begins + range_bytes &&
		    !plan_range(plan, request->host, records, sent > begins ? sent - begins : 0))
			return false;
		begins += range_bytes;
	}
	return true;
}

static struct ot_request *
first_ready(struct ot_conn *conn)
{
	struct ot_request *request = OT_LIST_FIRST(&conn->pipeline, struct ot_request, link);
	return request != NULL && request->state == OT_REQUEST_READY ? request : NULL;
}

static void
plan_send(struct ot_conn *conn, struct send_plan *plan)
{
	plan->piece_count = 0;
	plan->bytes = 0;
	plan->range = NULL;
	plan->copied_bytes = 0;
	plan->err = OT_OK;
	plan->more_follows = false;
	OT_LIST_FOREACH(link, &conn->pipeline) {
		struct ot_request *request = OT_CONTAINER_OF(link, struct ot_request, link);
		if (request->state != OT_REQUEST_READY)
			break;
		if (!plan_response(plan, request)) {
			plan->more_follows = true;
			break;
		}
	}
}

/* Counts `bytes` as sent and retires the responses that are whole. */
static void
retire_sent(struct ot_conn *conn, size_t bytes)
{
	conn->host->bytes_out += bytes;
	conn->unsent_bytes -= bytes;
	if (bytes > 0)
		touch(conn);
	for (struct ot_request *request = first_ready(conn); request != NULL;
	     request = first_ready(conn)) {
		size_t part = OT_MIN(bytes, request->total_bytes - request->sent_bytes);
		request->sent_bytes += part;
		bytes -= part;
		if (request->sent_bytes < request->total_bytes)
			break;
		conn->pipeline_count--;
		give_request(request);
	}
	OT_ASSERT(bytes == 0);
	resume_held(conn);
	start_queued(conn);
}

static ot_err
send_once(struct ot_conn *conn, const struct send_plan *plan, size_t *ret_bytes)
{
	if (plan->piece_count > 0)
		return ot_stream_write(conn->stream, plan->pieces, plan->piece_count,
		    plan->more_follows, ret_bytes);
	const struct ot_file_range *range = plan->range->source;
	return ot_stream_send_file(conn->stream, range->file, range->place + plan->range_skip,
	    (size_t)plan->range->len - plan->range_skip, ret_bytes);
}

static void
report_close(const struct ot_conn *conn)
{
	struct ot_conn_host *host = conn->host;
	report_skipped(host);
	if (ot_report_may(&host->gate, ot_io_now(host->shard->io)))
		OT_WARN("wire", "connection of %s:%u closed: %s", conn->peer.host, conn->peer.port,
		    conn->why);
	/* The timer tells of those that were kept back. */
	arm_sweep(host);
}

static void
finish_close(struct ot_conn *conn)
{
	struct ot_conn_host *host = conn->host;
	if (host->handler->on_close != NULL)
		host->handler->on_close(host->handler_arg, conn);
	if (conn->why[0] != '\0')
		report_close(conn);
	ot_budget_wait_cancel(&conn->waiter);
	ot_stream_close(conn->stream);
	OT_LIST_FOREACH_SAFE(link, &conn->pipeline) {
		struct ot_request *request = OT_CONTAINER_OF(link, struct ot_request, link);
		request->conn = NULL;
		ot_list_remove(link);
		if (request->state != OT_REQUEST_RUNNING) {
			give_request(request);
			continue;
		}
		request->state = OT_REQUEST_ORPHAN;
		ot_list_push_back(&host->orphans, link);
		if (request->on_orphan != NULL)
			request->on_orphan(request);
	}
	ot_blob_unref(conn->frame);
	ot_blob_unref(conn->held);
	ot_turn_work_cancel(&conn->send_work);
	ot_list_remove(&conn->link);
	ot_list_remove(&conn->late);
	host->conn_count--;
	ot_free(conn);
}

static void
want_writable(struct ot_conn *conn, bool wanted)
{
	conn->is_write_wanted = wanted;
	update_wants(conn);
}

/* Sends until nothing is ready, the peer is slow, or this connection had its share of the turn. */
static ot_err
send_ready(struct ot_conn *conn)
{
	size_t turn_bytes = 0;
	while (first_ready(conn) != NULL) {
		struct send_plan plan;
		plan_send(conn, &plan);
		if (plan.err != OT_OK)
			return plan.err;
		size_t bytes = 0;
		if (plan.piece_count > 0 || plan.range != NULL) {
			ot_err err = send_once(conn, &plan, &bytes);
			if (err != OT_OK)
				return err;
		}
		retire_sent(conn, bytes);
		turn_bytes += bytes;
		if (turn_bytes >= CONN_SEND_BYTES_PER_TURN)
			return OT_ERR_AGAIN;
	}
	return OT_OK;
}

static void
conn_send(struct ot_turn_work *work)
{
	struct ot_conn *conn = OT_CONTAINER_OF(work, struct ot_conn, send_work);
	if (!conn->is_closing) {
		ot_err err = send_ready(conn);
		if (err == OT_ERR_IO)
			ot_conn_close(conn, "a log segment could not be read");
		else if (err != OT_OK && err != OT_ERR_AGAIN)
			ot_conn_close(conn, NULL);
		if (!conn->is_closing && conn->is_write_wanted != (err == OT_ERR_AGAIN))
			want_writable(conn, err == OT_ERR_AGAIN);
	}
	if (conn->is_closing)
		finish_close(conn);
}

static void
conn_on_writable(void *arg)
{
	struct ot_conn *conn = arg;
	ot_shard_defer(conn->host->shard, &conn->send_work, OT_TURN_SEND);
}

/* ---- opening and closing ------------------------------------------------------------------- */

void
ot_conn_open(struct ot_conn_host *host, const struct ot_accepted *accepted, const void *listener)
{
	OT_ON_SHARD(host->shard);
	struct ot_conn *conn = OT_NEW(struct ot_conn);
	conn->host = host;
	conn->listener = listener;
	conn->peer = accepted->peer;
	conn->local = accepted->local;
	ot_list_init(&conn->link);
	ot_list_init(&conn->pipeline);
	ot_list_init(&conn->late);
	ot_turn_work_init(&conn->send_work, conn_send);
	ot_err err = ot_io_adopt(host->shard->io, accepted, &conn_events, conn, &conn->stream);
	if (err != OT_OK) {
		OT_WARN("wire", "connection of %s:%u refused: %s", accepted->peer.host,
		    accepted->peer.port, ot_err_message(err));
		if (host->handler->on_close != NULL)
			host->handler->on_close(host->handler_arg, conn);
		ot_free(conn);
		return;
	}
	host->conn_count++;
	touch(conn);
	arm_sweep(host);
}

void
ot_conn_close(struct ot_conn *conn, const char *why)
{
	if (conn->is_closing)
		return;
	conn->is_closing = true;
	snprintf(conn->why, sizeof(conn->why), "%s", why != NULL ? why : "");
	ot_shard_defer(conn->host->shard, &conn->send_work, OT_TURN_SEND);
}

const struct ot_address *
ot_conn_peer(const struct ot_conn *conn)
{
	return &conn->peer;
}

const struct ot_address *
ot_conn_local(const struct ot_conn *conn)
{
	return &conn->local;
}

const void *
ot_conn_listener(const struct ot_conn *conn)
{
	return conn->listener;
}

void
ot_conn_host_close(struct ot_conn_host *host)
{
	OT_ON_SHARD(host->shard);
	OT_LIST_FOREACH_SAFE(link, &host->conns) {
		struct ot_conn *conn = OT_CONTAINER_OF(link, struct ot_conn, link);
		conn->is_closing = true;
		finish_close(conn);
	}
	ot_timer_cancel(host->shard->io, &host->idle_timer);
	ot_timer_cancel(host->shard->io, &host->late_timer);
}

void
ot_conn_host_fini(struct ot_conn_host *host)
{
	OT_ASSERT(ot_list_is_empty(&host->conns));
	OT_LIST_FOREACH_SAFE(link, &host->orphans)
		give_request(OT_CONTAINER_OF(link, struct ot_request, link));
	OT_LIST_FOREACH_SAFE(link, &host->pool) {
		ot_list_remove(link);
		free_request(OT_CONTAINER_OF(link, struct ot_request, link));
	}
	ot_blob_unref(host->rx);
	ot_free(host->copy);
	host->rx = NULL;
	host->copy = NULL;
}
