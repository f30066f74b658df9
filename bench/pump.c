#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "rpc.h"

enum {
	EVENTS_MAX = 64,
	GATHER_MAX = 64,            /* requests in one write */
	COPY_BYTES_MAX = 2048,      /* larger bodies go as vectors */
	RECEIVE_BYTES = 64 * 1024,  /* at once, while answers are small */
	DROP_BYTES_MIN = 16 * 1024, /* answers of more are dropped in the kernel */
	POLL_MS = 5,
	DRAIN_MS_MAX = 10 * 1000,
};

struct conn {
	int fd;
	int32_t index;
	uint64_t asked;
	uint64_t answered;
	uint64_t *asked_at_ns; /* depth of them, by turn */
	bool is_writing;       /* waits for the socket to take more */

	struct iovec out[2 * GATHER_MAX];
	int out_next;
	int out_count;
	uint8_t *scratch; /* heads, and small bodies, of what `out` points at */

	uint8_t carry[WORK_ANSWER_HEAD_BYTES]; /* of an answer whose head is not all there */
	size_t carry_bytes;
	size_t drop_bytes; /* of a judged answer that are still to come */
};

struct pump;

struct worker {
	struct pump *pump;
	pthread_t thread;
	int epoll;
	struct conn *conns;
	int32_t conn_count;
	int32_t active_count;      /* connections with something left to do */
	uint8_t *in;               /* RECEIVE_BYTES behind the room for a carry */
	_Atomic uint64_t answered; /* [atomic] of all connections; with acks=0, what was sent */
	_Atomic bool is_done;      /* [atomic] */
	struct hist latency_ns;
};

struct pump {
	const struct work *work;
	const struct pump_options *options;
	struct worker *workers;
	_Atomic bool is_recording; /* [atomic] the window is open */
	_Atomic bool is_stopped;   /* [atomic] no more requests */
};

static size_t
request_bytes(const struct work *work)
{
	return work->head_bytes + work->body_bytes;
}

static bool
is_copied(const struct work *work)
{
	return work->body_bytes <= COPY_BYTES_MAX;
}

static void
count_answers(struct worker *worker, uint64_t count)
{
	uint64_t total = atomic_load_explicit(&worker->answered, memory_order_relaxed);
	atomic_store_explicit(&worker->answered, total + count, memory_order_relaxed);
}

static void
watch(struct worker *worker, struct conn *conn, bool is_writing)
{
	if (conn->is_writing == is_writing)
		return;
	struct epoll_event event = { .events = EPOLLIN | (is_writing ? EPOLLOUT : 0u),
		.data.ptr = conn };
	epoll_ctl(worker->epoll, EPOLL_CTL_MOD, conn->fd, &event);
	conn->is_writing = is_writing;
}

/* Sends what is staged; false when the socket is full. */
static bool
flush(struct worker *worker, struct conn *conn)
{
	while (conn->out_next < conn->out_count) {
		struct msghdr message = { .msg_iov = conn->out + conn->out_next,
			.msg_iovlen = (size_t)(conn->out_count - conn->out_next) };
		ssize_t sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			meter_die("the server ended a connection: %s", strerror(errno));
		if (sent < 0) {
			watch(worker, conn, true);
			return false;
		}
		while (sent > 0) {
			struct iovec *piece = &conn->out[conn->out_next];
			size_t part = OT_MIN((size_t)sent, piece->iov_len);
			piece->iov_base = (uint8_t *)piece->iov_base + part;
			piece->iov_len -= part;
			sent -= (ssize_t)part;
			conn->out_next += piece->iov_len == 0;
		}
	}
	return true;
}

static void
stage_request(const struct work *work, struct conn *conn, uint8_t *place)
{
	work_ask(work, conn->index, conn->asked, place);
	if (is_copied(work)) {
		memcpy(place + work->head_bytes, work->body, work->body_bytes);
		conn->out[0].iov_len += request_bytes(work);
		conn->out_count = 1;
		return;
	}
	conn->out[conn->out_count++] =
	    (struct iovec){ .iov_base = place, .iov_len = work->head_bytes };
	conn->out[conn->out_count++] =
	    (struct iovec){ .iov_base = work->body, .iov_len = work->body_bytes };
}

/* How many requests the connection may send now: none until half its depth is free. */
static uint64_t
refill_count(const struct pump *pump, const struct conn *conn)
{
	uint64_t depth = (uint64_t)pump->options->depth;
	uint64_t free = depth - (conn->asked - conn->answered);
	if (free * 2 < depth || atomic_load_explicit(&pump->is_stopped, memory_order_relaxed))
		return 0;
	uint64_t count = OT_MIN(free, GATHER_MAX);
	if (pump->options->quota > 0)
		count = OT_MIN(count, (uint64_t)pump->options->quota - conn->asked);
	return count;
}

static void
stage(struct worker *worker, struct conn *conn, uint64_t count)
{
	const struct work *work = worker->pump->work;
	uint64_t now = meter_now_ns();
	size_t step = is_copied(work) ? request_bytes(work) : work->head_bytes;
	conn->out_next = 0;
	conn->out_count = 0;
	conn->out[0] = (struct iovec){ .iov_base = conn->scratch };
	for (uint64_t i = 0; i < count; i++) {
		conn->asked_at_ns[conn->asked % (uint64_t)worker->pump->options->depth] = now;
		stage_request(work, conn, conn->scratch + i * step);
		conn->asked++;
	}
}

static void
fill(struct worker *worker, struct conn *conn)
{
	const struct work *work = worker->pump->work;
	while (flush(worker, conn)) {
		if (!work->is_answered) {
			count_answers(worker, conn->asked - conn->answered);
			conn->answered = conn->asked;
		}
		uint64_t count = refill_count(worker->pump, conn);
		if (count == 0) {
			watch(worker, conn, false);
			return;
		}
		stage(worker, conn, count);
	}
}

static void
take_answer(struct worker *worker, struct conn *conn, struct ot_bytes head, size_t frame_bytes,
    uint64_t now)
{
	const struct pump *pump = worker->pump;
	if (conn->answered == conn->asked)
		meter_die("an answer that nobody asked for");
	if (!work_judge(pump->work, conn->answered, head, frame_bytes))
		meter_die("a bad answer of %zu bytes to request %llu of connection %d", frame_bytes,
		    (unsigned long long)conn->answered, conn->index);
	uint64_t asked_at = conn->asked_at_ns[conn->answered % (uint64_t)pump->options->depth];
	conn->answered++;
	count_answers(worker, 1);
	if (atomic_load_explicit(&pump->is_recording, memory_order_relaxed))
		hist_record(&worker->latency_ns, now - asked_at);
}

/* Takes answers as far as their heads are there; the rest of the last is dropped when it comes, or
 * kept when not even its head is there. */
static void
take_answers(struct worker *worker, struct conn *conn, const uint8_t *data, size_t bytes)
{
	uint64_t now = meter_now_ns();
	size_t at = 0;
	while (bytes - at >= 4) {
		size_t frame_bytes = 4 + (size_t)ot_get_u32(data + at);
		size_t head_bytes = OT_MIN(frame_bytes, WORK_ANSWER_HEAD_BYTES);
		if (bytes - at < head_bytes)
			break;
		struct ot_bytes head = { data + at, (int32_t)head_bytes };
		take_answer(worker, conn, head, frame_bytes, now);
		if (frame_bytes > bytes - at) {
			conn->drop_bytes = frame_bytes - (bytes - at);
			return;
		}
		at += frame_bytes;
	}
	conn->carry_bytes = bytes - at;
	memcpy(conn->carry, data + at, conn->carry_bytes);
}

/* One receive; false when there is nothing more. */
static bool
receive(struct worker *worker, struct conn *conn)
{
	const struct work *work = worker->pump->work;
	bool is_large = work->options.kind == WORK_FETCH && work->payload_bytes >= DROP_BYTES_MIN;
	ssize_t got;
	if (conn->drop_bytes > 0 && is_large) {
		got = recv(conn->fd, worker->in, conn->drop_bytes, MSG_TRUNC);
		conn->drop_bytes -= (size_t)OT_MAX(got, 0);
		if (got > 0)
			return true;
	} else {
		uint8_t *in = worker->in + WORK_ANSWER_HEAD_BYTES;
		got = recv(conn->fd, in, is_large ? WORK_ANSWER_HEAD_BYTES : RECEIVE_BYTES, 0);
		if (got > 0) {
			size_t dropped = OT_MIN(conn->drop_bytes, (size_t)got);
			conn->drop_bytes -= dropped;
			uint8_t *start = in + dropped - conn->carry_bytes;
			memcpy(start, conn->carry, conn->carry_bytes);
			size_t bytes = (size_t)got - dropped + conn->carry_bytes;
			conn->carry_bytes = 0;
			take_answers(worker, conn, start, bytes);
			return is_large || got == RECEIVE_BYTES;
		}
	}
	if (got == 0 || errno != EAGAIN)
		meter_die("the server ended a connection: %s",
		    got == 0 ? "no more to read" : strerror(errno));
	return false;
}

static void
end_conn_if_done(struct worker *worker, struct conn *conn)
{
	const struct pump *pump = worker->pump;
	bool is_last = atomic_load_explicit(&pump->is_stopped, memory_order_relaxed) ||
	               (pump->options->quota > 0 && conn->asked == (uint64_t)pump->options->quota);
	if (conn->fd < 0 || !is_last || conn->asked != conn->answered ||
	    conn->out_next < conn->out_count || conn->drop_bytes > 0)
		return;
	close(conn->fd);
	conn->fd = -1;
	worker->active_count--;
}

static void
take_event(struct worker *worker, const struct epoll_event *event)
{
	struct conn *conn = event->data.ptr;
	if (conn->fd < 0)
		return;
	if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		while (receive(worker, conn))
			continue;
	}
	fill(worker, conn);
	end_conn_if_done(worker, conn);
}

static void *
work_thread(void *arg)
{
	struct worker *worker = arg;
	for (int32_t i = 0; i < worker->conn_count; i++)
		fill(worker, &worker->conns[i]);
	while (worker->active_count > 0) {
		struct epoll_event events[EVENTS_MAX];
		int count = epoll_wait(worker->epoll, events, EVENTS_MAX, POLL_MS);
		for (int i = 0; i < count; i++)
			take_event(worker, &events[i]);
		/* Connections that wait for nothing get no event when the run ends. */
		for (int32_t i = 0; count == 0 && i < worker->conn_count; i++)
			end_conn_if_done(worker, &worker->conns[i]);
	}
	atomic_store(&worker->is_done, true);
	return NULL;
}

static void
open_conn(struct worker *worker, struct conn *conn, int32_t index)
{
	const struct pump *pump = worker->pump;
	conn->index = index;
	conn->fd = rpc_connect(pump->options->port);
	if (conn->fd < 0 || fcntl(conn->fd, F_SETFL, O_NONBLOCK) != 0)
		meter_die("connection %d: %s", index, strerror(errno));
	conn->asked_at_ns = ot_must_alloc((size_t)pump->options->depth * sizeof(uint64_t));
	size_t step = is_copied(pump->work) ? request_bytes(pump->work) : pump->work->head_bytes;
	conn->scratch = ot_must_alloc(step * GATHER_MAX);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	epoll_ctl(worker->epoll, EPOLL_CTL_ADD, conn->fd, &event);
}

static void
open_conns(struct pump *pump)
{
	int32_t threads = pump->options->thread_count;
	int32_t index = 0;
	for (int32_t i = 0; i < threads; i++) {
		struct worker *worker = &pump->workers[i];
		worker->pump = pump;
		worker->epoll = epoll_create1(EPOLL_CLOEXEC);
		worker->in = ot_must_alloc(WORK_ANSWER_HEAD_BYTES + RECEIVE_BYTES);
		worker->conn_count =
		    pump->options->conn_count / threads + (i < pump->options->conn_count % threads);
		worker->active_count = worker->conn_count;
		worker->conns = ot_must_alloc((size_t)worker->conn_count * sizeof(struct conn));
		for (int32_t j = 0; j < worker->conn_count; j++)
			open_conn(worker, &worker->conns[j], index++);
	}
}

static uint64_t
answered_total(struct pump *pump, bool *ret_is_done)
{
	uint64_t total = 0;
	*ret_is_done = true;
	for (int32_t i = 0; i < pump->options->thread_count; i++) {
		struct worker *worker = &pump->workers[i];
		total += atomic_load_explicit(&worker->answered, memory_order_relaxed);
		*ret_is_done = *ret_is_done && atomic_load(&worker->is_done);
	}
	return total;
}

/* Waits until so much time has passed, so many requests are answered (0: any) or all is done. */
static uint64_t
wait_for(struct pump *pump, int64_t wait_ms, uint64_t requests)
{
	uint64_t end = meter_now_ns() + (uint64_t)wait_ms * 1000000u;
	for (;;) {
		bool is_done;
		uint64_t total = answered_total(pump, &is_done);
		uint64_t now = meter_now_ns();
		if (is_done || now >= end || (requests > 0 && total >= requests))
			return total;
		usleep((useconds_t)OT_MIN((end - now) / 1000, POLL_MS * 1000));
	}
}

static void
end_run(struct pump *pump, struct pump_result *result)
{
	atomic_store(&pump->is_stopped, true);
	bool is_done;
	wait_for(pump, DRAIN_MS_MAX, 0);
	answered_total(pump, &is_done);
	if (!is_done)
		meter_die("no answer for %d s", DRAIN_MS_MAX / 1000);
	for (int32_t i = 0; i < pump->options->thread_count; i++) {
		struct worker *worker = &pump->workers[i];
		pthread_join(worker->thread, NULL);
		hist_add(&result->latency_ns, &worker->latency_ns);
		for (int32_t j = 0; j < worker->conn_count; j++) {
			ot_free(worker->conns[j].asked_at_ns);
			ot_free(worker->conns[j].scratch);
		}
		close(worker->epoll);
		ot_free(worker->conns);
		ot_free(worker->in);
	}
	ot_free(pump->workers);
}

void
pump_run(const struct work *work, const struct pump_options *options,
    struct pump_result *ret_result)
{
	struct pump pump = { .work = work, .options = options };
	size_t threads = (size_t)options->thread_count;
	pump.workers = ot_must_alloc(threads * sizeof(struct worker));
	open_conns(&pump);
	for (size_t i = 0; i < threads; i++) {
		struct worker *worker = &pump.workers[i];
		if (pthread_create(&worker->thread, NULL, work_thread, worker) != 0)
			meter_die("cannot start a thread");
	}
	uint64_t requests_max =
	    work->payload_bytes > 0 ? (uint64_t)options->window_bytes / work->payload_bytes : 0;
	uint64_t first = wait_for(&pump, options->warm_ms, requests_max / 4);
	hist_reset(&ret_result->latency_ns);
	atomic_store(&pump.is_recording, true);
	ret_result->start = meter_read(options->pid);
	uint64_t last = wait_for(&pump, options->window_ms, requests_max);
	ret_result->end = meter_read(options->pid);
	ret_result->requests = last - first;
	end_run(&pump, ret_result);
}
