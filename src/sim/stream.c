/* Streams and listeners of simulated threads. */
#include "sim/world_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { STREAM_ACCEPTS_PER_TURN = 64, STREAM_FILE_BYTES = 64 * 1024 };

struct sim_stream {
	struct ot_stream stream;
	struct sim_conn *conn; /* NULL: its machine is gone */
	int side;
	const struct ot_stream_events *events;
	void *arg;
	bool wants_read;
	bool wants_write;
	struct ot_list ready; /* in io->ready_streams */
};

struct sim_listener {
	struct ot_listener listener;
	struct ot_list link;    /* in host->listeners */
	struct ot_list ready;   /* in io->ready_listeners */
	struct ot_list backlog; /* of struct sim_end */
	struct ot_address address;
	bool is_paused;
	void (*on_accept)(void *arg, const struct ot_accepted *accepted);
	void *arg;
};

static struct sim_stream *
stream_of(struct ot_stream *stream)
{
	return OT_CONTAINER_OF(stream, struct sim_stream, stream);
}

static struct sim_io *
io_of(struct sim_stream *stream)
{
	return sim_io_of(stream->stream.io);
}

/* Half of them first, half last, so that no order can be relied on. */
static void
make_ready(struct sim_io *io, struct ot_list *list, struct ot_list *link)
{
	bool is_first = ot_sim_random_below(&io->host->world->random, 2) == 0;
	ot_list_push_back(is_first ? list->next : list, link);
	sim_io_wake(io);
}

/* ---- readiness -------------------------------------------------------------------------- */

static enum sim_end_state
state_of(const struct sim_stream *stream)
{
	if (stream->conn == NULL || !sim_host_is_alive(stream->conn->ends[stream->side].host))
		return SIM_END_CLOSED;
	return stream->conn->ends[stream->side].state;
}

static struct sim_pipe *
pipe_in(const struct sim_stream *stream)
{
	return &stream->conn->pipes[1 - stream->side];
}

static struct sim_pipe *
pipe_out(const struct sim_stream *stream)
{
	return &stream->conn->pipes[stream->side];
}

static bool
is_readable(const struct sim_stream *stream)
{
	enum sim_end_state state = state_of(stream);
	if (state != SIM_END_OPEN)
		return state == SIM_END_BROKEN;
	return sim_pipe_waiting(pipe_in(stream)) > 0 || pipe_in(stream)->has_ended;
}

static bool
is_writable(const struct sim_stream *stream)
{
	enum sim_end_state state = state_of(stream);
	if (state != SIM_END_OPEN)
		return state == SIM_END_BROKEN;
	return sim_pipe_space(pipe_out(stream)) > 0;
}

void
sim_stream_touch(struct sim_stream *stream)
{
	bool is_due = (stream->wants_read && is_readable(stream)) ||
	              (stream->wants_write && is_writable(stream));
	if (is_due && ot_list_is_empty(&stream->ready))
		make_ready(io_of(stream), &io_of(stream)->ready_streams, &stream->ready);
}

struct sim_stream *
sim_stream_of_ready(struct ot_list *link)
{
	return OT_CONTAINER_OF(link, struct sim_stream, ready);
}

void
sim_stream_run(struct sim_stream *stream)
{
	struct ot_sim_world *world = io_of(stream)->host->world;
	bool is_spurious = ot_sim_random_chance(&world->random, world->net.spurious);
	struct sim_io *io = io_of(stream);
	io->called = stream;
	if (stream->wants_write && (is_writable(stream) || is_spurious))
		stream->events->on_writable(stream->arg);
	if (io->called == stream && stream->wants_read && (is_readable(stream) || is_spurious))
		stream->events->on_readable(stream->arg);
	if (io->called == stream)
		sim_stream_touch(stream);
	io->called = NULL;
}

/* ---- reading and writing ---------------------------------------------------------------- */

/* By chance less than could be moved. */
static size_t
shorten(struct sim_stream *stream, size_t bytes)
{
	struct ot_sim_world *world = io_of(stream)->host->world;
	if (bytes > 1 && ot_sim_random_chance(&world->random, world->net.short_io))
		bytes = (size_t)ot_sim_random_between(&world->random, 1, bytes - 1);
	io_of(stream)->turn_cost_ns += bytes / 8;
	return bytes;
}

static size_t
bytes_of(const struct iovec *pieces, int count)
{
	size_t bytes = 0;
	for (int i = 0; i < count; i++)
		bytes += pieces[i].iov_len;
	return bytes;
}

ot_err
sim_read(struct ot_stream *base, const struct iovec *pieces, int count, size_t *ret)
{
	struct sim_stream *stream = stream_of(base);
	enum sim_end_state state = state_of(stream);
	size_t wanted = bytes_of(pieces, count);
	OT_ASSERT(wanted > 0);
	if (state == SIM_END_CONNECTING)
		return OT_ERR_AGAIN;
	if (state == SIM_END_CLOSED)
		return OT_ERR_CLOSED;
	struct sim_pipe *pipe = pipe_in(stream);
	size_t waiting = sim_pipe_waiting(pipe);
	if (waiting == 0)
		return state == SIM_END_BROKEN || pipe->has_ended ? OT_ERR_CLOSED : OT_ERR_AGAIN;
	size_t bytes = shorten(stream, OT_MIN(wanted, waiting));
	*ret = bytes;
	for (; bytes > 0; pieces++) {
		size_t part = OT_MIN(bytes, pieces->iov_len);
		sim_pipe_take(pipe, pieces->iov_base, part);
		bytes -= part;
	}
	if (state == SIM_END_OPEN)
		sim_pipe_taken(pipe);
	return OT_OK;
}

/* Whether something can be written now. */
static ot_err
check_writable(struct sim_stream *stream)
{
	enum sim_end_state state = state_of(stream);
	if (state == SIM_END_CONNECTING)
		return OT_ERR_AGAIN;
	if (state != SIM_END_OPEN)
		return OT_ERR_CLOSED;
	return sim_pipe_space(pipe_out(stream)) > 0 ? OT_OK : OT_ERR_AGAIN;
}

ot_err
sim_write(struct ot_stream *base, const struct iovec *pieces, int count, bool more, size_t *ret)
{
	struct sim_stream *stream = stream_of(base);
	ot_err err = check_writable(stream);
	if (err != OT_OK)
		return err;
	size_t wanted = bytes_of(pieces, count);
	size_t bytes = shorten(stream, OT_MIN(wanted, sim_pipe_space(pipe_out(stream))));
	*ret = bytes;
	for (; bytes > 0; pieces++) {
		size_t part = OT_MIN(bytes, pieces->iov_len);
		sim_pipe_put(pipe_out(stream), pieces->iov_base, part);
		bytes -= part;
	}
	sim_pipe_send(pipe_out(stream), more);
	return OT_OK;
}

ot_err
sim_send_file(struct ot_stream *base, struct ot_file *file, uint64_t place, size_t bytes,
    size_t *ret)
{
	struct sim_stream *stream = stream_of(base);
	ot_err err = check_writable(stream);
	if (err != OT_OK)
		return err;
	bytes = OT_MIN(bytes, sim_pipe_space(pipe_out(stream)));
	bytes = shorten(stream, OT_MIN(bytes, (size_t)STREAM_FILE_BYTES));
	if (bytes == 0) {
		*ret = 0;
		return OT_OK;
	}
	void *data = ot_must_alloc(bytes);
	size_t got = 0;
	err = ot_file_read(file, data, bytes, place, &got);
	if (err != OT_OK || got == 0) {
		/* The file is shorter than promised, or its disk fails. */
		err = err == OT_ERR_CLOSED ? OT_ERR_CLOSED : OT_ERR_IO;
	} else {
		sim_pipe_put(pipe_out(stream), data, got);
		sim_pipe_send(pipe_out(stream), false);
		*ret = got;
	}
	ot_free(data);
	return err;
}

void
sim_want(struct ot_stream *base, bool read, bool write)
{
	struct sim_stream *stream = stream_of(base);
	stream->wants_read = read;
	stream->wants_write = write;
	sim_stream_touch(stream);
}

void
sim_close(struct ot_stream *base)
{
	struct sim_stream *stream = stream_of(base);
	if (io_of(stream)->called == stream)
		io_of(stream)->called = NULL;
	ot_list_remove(&stream->ready);
	io_of(stream)->stream_count--;
	if (stream->conn != NULL)
		sim_conn_close(stream->conn, stream->side);
	ot_free(stream);
}

void
sim_stream_detach(struct sim_stream *stream)
{
	ot_list_remove(&stream->ready);
	stream->conn = NULL;
}

/* ---- making streams --------------------------------------------------------------------- */

static struct sim_stream *
stream_create(struct ot_io *base, const struct ot_stream_events *events, void *arg)
{
	struct sim_stream *stream = ot_alloc(sizeof(*stream));
	if (stream == NULL)
		return NULL;
	stream->stream.io = base;
	stream->events = events;
	stream->arg = arg;
	ot_list_init(&stream->ready);
	sim_io_of(base)->stream_count++;
	return stream;
}

static void
stream_attach(struct sim_stream *stream, struct sim_conn *conn, int side)
{
	stream->conn = conn;
	stream->side = side;
	conn->ends[side].stream = stream;
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static struct ot_sim_host *
host_of_address(struct ot_sim_host *from, const char *address)
{
	if (is_loopback(address))
		return from;
	for (uint32_t i = 0; i < from->world->host_count; i++) {
		if (strcmp(from->world->hosts[i]->address, address) == 0)
			return from->world->hosts[i];
	}
	return NULL;
}

ot_err
sim_connect(struct ot_io *base, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret)
{
	struct ot_sim_host *from = sim_io_of(base)->host;
	if (address->host[0] == '\0' ||
	    strspn(address->host, "0123456789abcdefABCDEF:.") != strlen(address->host))
		return OT_ERR_INVALID_REQUEST;
	if (!sim_host_is_alive(from))
		return OT_ERR_CLOSED;
	struct ot_sim_host *to = host_of_address(from, address->host);
	/* A host may know at once that nobody listens on itself. */
	if (to == from && sim_listener_find(to, address) == NULL &&
	    ot_sim_random_below(&from->world->random, 2) == 0)
		return OT_ERR_CLOSED;
	struct sim_stream *stream = stream_create(base, events, arg);
	if (stream == NULL)
		return OT_ERR_NO_MEMORY;
	stream->wants_write = true;
	stream_attach(stream, sim_conn_create(from, to, address), 0);
	*ret = &stream->stream;
	return OT_OK;
}

/* The accepted end of a handle; NULL when its machine has crashed since. */
static struct sim_conn *
find_arrival(struct ot_sim_host *host, int64_t handle)
{
	OT_LIST_FOREACH(link, &host->arrivals) {
		struct sim_end *end = OT_CONTAINER_OF(link, struct sim_end, arrival);
		if (end->handle == handle)
			return OT_CONTAINER_OF(end, struct sim_conn, ends[1]);
	}
	OT_ASSERT(!sim_host_is_alive(host));
	return NULL;
}

ot_err
sim_adopt(struct ot_io *base, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret)
{
	struct sim_conn *conn = find_arrival(sim_io_of(base)->host, accepted->handle);
	if (conn == NULL)
		return OT_ERR_IO;
	struct sim_stream *stream = stream_create(base, events, arg);
	if (stream == NULL) {
		sim_conn_close(conn, 1);
		return OT_ERR_NO_MEMORY;
	}
	ot_list_remove(&conn->ends[1].arrival);
	stream->wants_read = true;
	stream_attach(stream, conn, 1);
	sim_stream_touch(stream);
	*ret = &stream->stream;
	return OT_OK;
}

void
sim_accepted_drop(struct ot_io *base, const struct ot_accepted *accepted)
{
	struct sim_conn *conn = find_arrival(sim_io_of(base)->host, accepted->handle);
	if (conn != NULL)
		sim_conn_close(conn, 1);
}

/* ---- listening -------------------------------------------------------------------------- */

static bool
is_any(const char *host)
{
	return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static bool
overlaps(const struct sim_listener *listener, const char *host, uint16_t port)
{
	const char *own = listener->address.host;
	return listener->address.port == port &&
	       (is_any(own) || is_any(host) || strcmp(own, host) == 0);
}

static struct sim_listener *
find_overlap(struct ot_sim_host *host, const char *address, uint16_t port)
{
	OT_LIST_FOREACH(link, &host->listeners) {
		struct sim_listener *listener = OT_CONTAINER_OF(link, struct sim_listener, link);
		if (overlaps(listener, address, port))
			return listener;
	}
	return NULL;
}

struct sim_listener *
sim_listener_find(struct ot_sim_host *host, const struct ot_address *address)
{
	if (!sim_host_is_alive(host))
		return NULL;
	return find_overlap(host, address->host, address->port);
}

uint16_t
sim_host_take_port(struct ot_sim_host *host)
{
	enum { PORT_FIRST = 49152 };
	uint16_t port;
	do {
		if (host->next_port < PORT_FIRST)
			host->next_port = PORT_FIRST;
		port = host->next_port++;
	} while (find_overlap(host, "", port) != NULL);
	return port;
}

ot_err
sim_listen(struct ot_io *base, const char *host, uint16_t port,
    void (*on_accept)(void *, const struct ot_accepted *), void *arg, struct ot_listener **ret)
{
	struct ot_sim_host *self = sim_io_of(base)->host;
	const char *address = host != NULL ? host : "";
	if (strcmp(address, "localhost") == 0)
		address = "127.0.0.1";
	bool is_own =
	    is_any(address) || is_loopback(address) || strcmp(address, self->address) == 0;
	if (!is_own || !sim_host_is_alive(self))
		return OT_ERR_IO;
	if (port != 0 && find_overlap(self, address, port) != NULL)
		return OT_ERR_EXISTS;
	struct sim_listener *listener = OT_NEW(struct sim_listener);
	listener->listener.io = base;
	snprintf(listener->address.host, sizeof(listener->address.host), "%s", address);
	listener->address.port = port != 0 ? port : sim_host_take_port(self);
	listener->on_accept = on_accept;
	listener->arg = arg;
	ot_list_init(&listener->ready);
	ot_list_init(&listener->backlog);
	ot_list_push_back(&self->listeners, &listener->link);
	sim_io_of(base)->listener_count++;
	sim_world_put(self->world, self->index, "listen", address, listener->address.port, 0);
	*ret = &listener->listener;
	return OT_OK;
}

uint16_t
sim_listener_port(const struct ot_listener *listener)
{
	return OT_CONTAINER_OF((uintptr_t)listener, struct sim_listener, listener)->address.port;
}

void
sim_listener_touch(struct sim_listener *listener, struct ot_list *arrival)
{
	struct sim_io *io = sim_io_of(listener->listener.io);
	ot_list_push_back(&listener->backlog, arrival);
	if (ot_list_is_empty(&listener->ready) && !listener->is_paused)
		make_ready(io, &io->ready_listeners, &listener->ready);
}

void
sim_listener_run(struct ot_list *link)
{
	struct sim_listener *listener = OT_CONTAINER_OF(link, struct sim_listener, ready);
	struct sim_io *io = sim_io_of(listener->listener.io);
	io->called = listener;
	for (int i = 0; i < STREAM_ACCEPTS_PER_TURN && io->called == listener; i++) {
		if (ot_list_is_empty(&listener->backlog) || listener->is_paused)
			break;
		struct sim_end *end =
		    OT_CONTAINER_OF(listener->backlog.next, struct sim_end, backlog);
		struct sim_conn *conn = OT_CONTAINER_OF(end, struct sim_conn, ends[1]);
		const struct ot_accepted accepted = {
			.handle = end->handle,
			.peer = conn->ends[0].address,
			.local = end->address,
		};
		ot_list_remove(&end->backlog);
		listener->on_accept(listener->arg, &accepted);
	}
	bool is_due =
	    io->called == listener && !ot_list_is_empty(&listener->backlog) && !listener->is_paused;
	if (is_due && ot_list_is_empty(&listener->ready))
		make_ready(io, &io->ready_listeners, &listener->ready);
	io->called = NULL;
}

void
sim_listener_want(struct ot_listener *base, bool is_wanted)
{
	struct sim_listener *listener = OT_CONTAINER_OF(base, struct sim_listener, listener);
	struct sim_io *io = sim_io_of(base->io);
	listener->is_paused = !is_wanted;
	bool is_due = is_wanted && !ot_list_is_empty(&listener->backlog);
	if (is_due && ot_list_is_empty(&listener->ready))
		make_ready(io, &io->ready_listeners, &listener->ready);
}

void
sim_listener_close(struct ot_listener *base)
{
	struct sim_listener *listener = OT_CONTAINER_OF(base, struct sim_listener, listener);
	if (sim_io_of(base->io)->called == listener)
		sim_io_of(base->io)->called = NULL;
	while (!ot_list_is_empty(&listener->backlog)) {
		struct sim_end *end =
		    OT_CONTAINER_OF(listener->backlog.next, struct sim_end, backlog);
		/* Nobody knew of it yet: the peer sees a reset. */
		struct sim_conn *conn = OT_CONTAINER_OF(end, struct sim_conn, ends[1]);
		ot_list_remove(&end->backlog);
		sim_pipe_send_mark(&conn->pipes[1], SIM_SEGMENT_RESET);
		sim_conn_close(conn, 1);
	}
	ot_list_remove(&listener->ready);
	ot_list_remove(&listener->link);
	sim_io_of(base->io)->listener_count--;
	ot_free(listener);
}
