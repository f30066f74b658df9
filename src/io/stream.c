/* Connections of a loop: libuv's poll handles with our own reads and writes, so that bytes go
 * straight from and to the places that the callers name, and file ranges by sendfile. */
#include "io/loop_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "io/process.h"

enum {
	STREAM_BACKLOG = 4096,
	STREAM_ACCEPTS_PER_EVENT = 64,
	STREAM_ACCEPT_PAUSE_MS = 100, /* after the process ran out of descriptors */
	/* One in so many descriptors is kept for files: a flood of connections must not keep logs
	 * from opening theirs. */
	STREAM_SHARE_OF_FILES = 4,
};

struct loop_stream {
	struct ot_stream stream;
	uv_poll_t poll;
	const struct ot_stream_events *events;
	void *arg;
	int fd;
	int wanted; /* UV_READABLE | UV_WRITABLE */
};

struct loop_listener {
	struct ot_listener listener;
	uv_poll_t poll;
	struct ot_timer pause;
	void (*on_accept)(void *arg, const struct ot_accepted *accepted);
	void *arg;
	int fd;
	int spare;         /* given up to accept, and drop, when there is none left; -1: none */
	uint64_t fd_count; /* that the process may have */
	bool is_paused;
};

static struct loop_stream *
stream_of(struct ot_stream *stream)
{
	return OT_CONTAINER_OF(stream, struct loop_stream, stream);
}

static void
fill_address(const struct sockaddr_storage *from, struct ot_address *ret)
{
	char service[8] = "0";
	memset(ret, 0, sizeof(*ret));
	(void)getnameinfo((const struct sockaddr *)from, sizeof(*from), ret->host,
	    sizeof(ret->host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
	/* IPv4 over a dual socket reads as IPv4, as people know their addresses. */
	if (strncmp(ret->host, "::ffff:", 7) == 0 && strchr(ret->host, '.') != NULL)
		memmove(ret->host, ret->host + 7, strlen(ret->host + 7) + 1);
	ret->port = (uint16_t)strtoul(service, NULL, 10);
}

size_t
ot_io_resolve(const char *host, uint16_t port, struct ot_address *ret_addresses, size_t count_max)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return 0;
	size_t count = 0;
	for (struct addrinfo *it = found; it != NULL && count < count_max; it = it->ai_next) {
		struct sockaddr_storage address = { 0 };
		memcpy(&address, it->ai_addr, it->ai_addrlen);
		fill_address(&address, &ret_addresses[count]);
		ret_addresses[count++].port = port;
	}
	freeaddrinfo(found);
	return count;
}

/* ---- listening -------------------------------------------------------------------------- */

static void listener_on_readable(uv_poll_t *poll, int status, int events);

static void
listener_on_pause_over(struct ot_timer *timer)
{
	struct loop_listener *listener = OT_CONTAINER_OF(timer, struct loop_listener, pause);
	if (!listener->is_paused)
		uv_poll_start(&listener->poll, UV_READABLE, listener_on_readable);
}

/* Out of descriptors: the queue of the host holds what waits; looking at once would spin. */
static void
pause_accepting(struct loop_listener *listener)
{
	uv_poll_stop(&listener->poll);
	ot_timer_arm_in_ms(listener->listener.io, &listener->pause, STREAM_ACCEPT_PAUSE_MS);
}

static bool
is_out_of_descriptors(int number)
{
	return number == EMFILE || number == ENFILE;
}

static int
open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int
accept_from(struct loop_listener *listener, struct sockaddr_storage *ret_peer)
{
	socklen_t bytes = sizeof(*ret_peer);
	return accept4(listener->fd, (struct sockaddr *)ret_peer, &bytes,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* The lowest free number is taken, so a high one tells how many are in use. */
static bool
is_scarce(const struct loop_listener *listener, int fd)
{
	return (uint64_t)fd >= listener->fd_count - listener->fd_count / STREAM_SHARE_OF_FILES;
}

static bool
accept_one(struct loop_listener *listener)
{
	struct sockaddr_storage peer, local;
	socklen_t local_bytes = sizeof(local);
	int fd = accept_from(listener, &peer);
	bool was_spare = fd < 0 && is_out_of_descriptors(errno) && listener->spare >= 0;
	if (was_spare) {
		close(listener->spare);
		fd = accept_from(listener, &peer);
	}
	if (fd < 0) {
		if (is_out_of_descriptors(errno) || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(listener);
		if (was_spare)
			listener->spare = open_spare();
		return errno == ECONNABORTED || errno == EINTR;
	}
	struct ot_accepted accepted = { .handle = fd };
	accepted.is_scarce = was_spare || is_scarce(listener, fd);
	fill_address(&peer, &accepted.peer);
	if (getsockname(fd, (struct sockaddr *)&local, &local_bytes) == 0)
		fill_address(&local, &accepted.local);
	listener->on_accept(listener->arg, &accepted);
	if (was_spare)
		listener->spare = open_spare();
	return true;
}

static void
listener_on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct loop_listener *listener = poll->data;
	for (int i = 0; i < STREAM_ACCEPTS_PER_EVENT; i++) {
		if (uv_is_closing((uv_handle_t *)poll) || listener->is_paused ||
		    !accept_one(listener))
			break;
	}
}

static int
open_listening_socket(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int on = 1, off = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, STREAM_BACKLOG) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The first address of the name and of that family that can be listened at; -1 if there is none. */
static int
bind_in_family(const char *host, const char *service, int family)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_family = family,
	};
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, service, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int fd = -1;
	for (struct addrinfo *it = found; it != NULL && fd < 0; it = it->ai_next)
		fd = open_listening_socket(it);
	int saved = errno;
	freeaddrinfo(found);
	errno = saved;
	return fd;
}

/* "All addresses" is IPv6 first, since that socket takes IPv4 too. A name is IPv4 first, as Java
 * has it, whatever the host's resolver prefers: who listens at localhost is found at 127.0.0.1. */
static ot_err
bind_by_name(const char *host, uint16_t port, int *ret_fd)
{
	char service[8];
	snprintf(service, sizeof(service), "%u", port);
	bool is_any = host == NULL || host[0] == '\0';
	if (is_any)
		host = NULL;
	int fd = bind_in_family(host, service, is_any ? AF_INET6 : AF_INET);
	if (fd < 0 && errno != EADDRINUSE)
		fd = bind_in_family(host, service, is_any ? AF_INET : AF_INET6);
	if (fd < 0)
		return errno == EADDRINUSE ? OT_ERR_EXISTS : OT_ERR_IO;
	*ret_fd = fd;
	return OT_OK;
}

ot_err
loop_listen(struct ot_io *io, const char *host, uint16_t port,
    void (*on_accept)(void *, const struct ot_accepted *), void *arg, struct ot_listener **ret)
{
	int fd = -1;
	ot_err err = bind_by_name(host, port, &fd);
	if (err != OT_OK)
		return err;
	struct loop_listener *listener = OT_NEW(struct loop_listener);
	listener->listener.io = io;
	listener->on_accept = on_accept;
	listener->arg = arg;
	listener->fd = fd;
	listener->spare = open_spare();
	listener->fd_count = ot_process_file_limit();
	listener->poll.data = listener;
	ot_timer_init(&listener->pause, listener_on_pause_over);
	uv_poll_init(&loop_of(io)->uv, &listener->poll, fd);
	uv_poll_start(&listener->poll, UV_READABLE, listener_on_readable);
	*ret = &listener->listener;
	return OT_OK;
}

uint16_t
loop_listener_port(const struct ot_listener *listener)
{
	const struct loop_listener *self = (const struct loop_listener *)listener;
	struct sockaddr_storage local;
	socklen_t bytes = sizeof(local);
	struct ot_address address = { 0 };
	if (getsockname(self->fd, (struct sockaddr *)&local, &bytes) == 0)
		fill_address(&local, &address);
	return address.port;
}

static void
listener_on_closed(uv_handle_t *handle)
{
	struct loop_listener *listener = handle->data;
	close(listener->fd);
	if (listener->spare >= 0)
		close(listener->spare);
	ot_free(listener);
}

void
loop_listener_want(struct ot_listener *listener, bool is_wanted)
{
	struct loop_listener *self = OT_CONTAINER_OF(listener, struct loop_listener, listener);
	self->is_paused = !is_wanted;
	if (!is_wanted)
		uv_poll_stop(&self->poll);
	else if (!ot_timer_is_armed(&self->pause))
		uv_poll_start(&self->poll, UV_READABLE, listener_on_readable);
}

void
loop_listener_close(struct ot_listener *listener)
{
	struct loop_listener *self = OT_CONTAINER_OF(listener, struct loop_listener, listener);
	ot_timer_cancel(listener->io, &self->pause);
	uv_poll_stop(&self->poll);
	uv_close((uv_handle_t *)&self->poll, listener_on_closed);
}

void
loop_accepted_drop(struct ot_io *io, const struct ot_accepted *accepted)
{
	(void)io;
	close((int)accepted->handle);
}

/* ---- streams ---------------------------------------------------------------------------- */

static void
stream_on_event(uv_poll_t *poll, int status, int events)
{
	struct loop_stream *stream = poll->data;
	/* A broken connection shows as an error here; the next read or write will name it. libuv
	 * has stopped the poll then, but whoever reads little per event counts on being called
	 * again. */
	if (status < 0) {
		events = stream->wanted;
		uv_poll_start(poll, stream->wanted, stream_on_event);
	}
	if ((events & UV_WRITABLE) != 0 && (stream->wanted & UV_WRITABLE) != 0)
		stream->events->on_writable(stream->arg);
	if ((events & UV_READABLE) != 0 && (stream->wanted & UV_READABLE) != 0 && stream->fd >= 0)
		stream->events->on_readable(stream->arg);
}

static ot_err
wrap_socket(struct ot_io *io, int fd, int wanted, const struct ot_stream_events *events, void *arg,
    struct ot_stream **ret)
{
	int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct loop_stream *stream = ot_alloc(sizeof(*stream));
	if (stream == NULL) {
		close(fd);
		return OT_ERR_NO_MEMORY;
	}
	stream->stream.io = io;
	stream->events = events;
	stream->arg = arg;
	stream->fd = fd;
	stream->wanted = wanted;
	stream->poll.data = stream;
	if (uv_poll_init(&loop_of(io)->uv, &stream->poll, fd) != 0) {
		ot_free(stream);
		close(fd);
		return OT_ERR_IO;
	}
	uv_poll_start(&stream->poll, wanted, stream_on_event);
	*ret = &stream->stream;
	return OT_OK;
}

ot_err
loop_adopt(struct ot_io *io, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret)
{
	return wrap_socket(io, (int)accepted->handle, UV_READABLE, events, arg, ret);
}

ot_err
loop_connect(struct ot_io *io, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *found = NULL;
	char service[8];
	snprintf(service, sizeof(service), "%u", address->port);
	if (getaddrinfo(address->host, service, &hints, &found) != 0)
		return OT_ERR_INVALID_REQUEST;
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = fd < 0 ? -1 : connect(fd, found->ai_addr, found->ai_addrlen);
	int saved = errno;
	freeaddrinfo(found);
	if (result != 0 && saved != EINPROGRESS) {
		if (fd >= 0)
			close(fd);
		return OT_ERR_CLOSED;
	}
	return wrap_socket(io, fd, UV_WRITABLE, events, arg, ret);
}

static ot_err
stream_error(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return OT_ERR_AGAIN;
	if (errno == EIO)
		return OT_ERR_IO; /* sendfile: the file's side */
	return OT_ERR_CLOSED;
}

ot_err
loop_read(struct ot_stream *stream, const struct iovec *pieces, int count, size_t *ret)
{
	ssize_t got = readv(stream_of(stream)->fd, pieces, count);
	if (got > 0) {
		*ret = (size_t)got;
		return OT_OK;
	}
	return got == 0 ? OT_ERR_CLOSED : stream_error();
}

ot_err
loop_write(struct ot_stream *stream, const struct iovec *pieces, int count, bool more, size_t *ret)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)pieces,
		.msg_iovlen = (size_t)count,
	};
	ssize_t put =
	    sendmsg(stream_of(stream)->fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	if (put < 0)
		return stream_error();
	*ret = (size_t)put;
	return OT_OK;
}

ot_err
loop_send_file(struct ot_stream *stream, struct ot_file *file, uint64_t place, size_t bytes,
    size_t *ret)
{
	off_t offset = (off_t)place;
	ssize_t put = sendfile(stream_of(stream)->fd, ot_file_host_fd(file), &offset, bytes);
	if (put < 0)
		return stream_error();
	/* The file is shorter than promised: nothing that was planned can be sent any more. */
	if (put == 0 && bytes > 0)
		return OT_ERR_IO;
	*ret = (size_t)put;
	return OT_OK;
}

void
loop_want(struct ot_stream *stream, bool read, bool write)
{
	struct loop_stream *self = stream_of(stream);
	int wanted = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
	if (wanted == self->wanted)
		return;
	self->wanted = wanted;
	if (wanted == 0)
		uv_poll_stop(&self->poll);
	else
		uv_poll_start(&self->poll, wanted, stream_on_event);
}

static void
stream_on_closed(uv_handle_t *handle)
{
	ot_free(handle->data);
}

void
loop_close(struct ot_stream *stream)
{
	struct loop_stream *self = stream_of(stream);
	uv_poll_stop(&self->poll);
	uv_close((uv_handle_t *)&self->poll, stream_on_closed);
	close(self->fd);
	self->fd = -1;
	self->wanted = 0;
}
