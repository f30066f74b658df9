/* The probe: what a server on this machine has to spend at the least.
 *
 * A bare server takes the same frames as the broker from the same load generator and does only what
 * no broker can leave out. Its figures stand beside the broker's, from the same run.
 *
 *   append   receive, find the batch, check its CRC-32C, append it to the file of its partition in
 *            space reserved before, all batches of a turn for one file in one gathered write; then
 *            answer. With --sync the files are synced before. Each thread has files of its own, so
 *            that nothing passes between threads.
 *   fetch    answer with a few bytes of header and a range of a file, by sendfile
 *   ping     answer
 *
 * Some fields of Kafka's request header mean something else here, so that the probe needs no codec:
 *
 *   offset  bytes  field
 *   0       4      length of what follows
 *   4       2      the API key: 0 append, 1 fetch, anything else ping; PROBE_QUIET added: no answer
 *   6       2      of an append, where the batch begins in the frame; of a fetch, where the
 *                  position in the file stands (8 bytes), with the count of bytes 20 bytes behind
 *   8       4      correlation id
 *   14      2      of an append, the partition; in Kafka's header the client id is there
 *
 * One thread per core, each with an epoll of its own; the first also accepts, and deals connections
 * out in turn. What is received lands in the thread's buffer and is written from there at the end
 * of the turn; a frame whose end is still to come moves to a buffer of its connection, which
 * receives the rest. Files lie in the folder given and are removed as soon as they are made; when a
 * connection ends, what was appended is forgotten, so that each run begins with an empty file.
 *
 *   probe [--sync] FOLDER      prints its port; ends when its standard input does
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "meter.h"
#include "probe.h"
#include "record/batch.h"

enum {
	THREADS_MAX = 64,
	EVENTS_MAX = 64,
	TURN_BYTES = 1024 * 1024,   /* received in a turn into the thread's buffer */
	RECEIVE_BYTES = 128 * 1024, /* at once from a connection */
	STAGED_MAX = 1024,          /* IOV_MAX */
	FRAME_BYTES_MAX = 64 * 1024 * 1024,
	REPLIES_MAX = 256, /* open ones of a connection */
	FILES_MAX = 4096,  /* partitions */
	RESERVE_BYTES_MIN = 1024 * 1024,
	RESERVE_BYTES_MAX = 256 * 1024 * 1024,
	HEADER_BYTES = 12, /* of a request, as above */
};

/* An answer: PROBE_ANSWER_BYTES of header, then a range of the fetch file. */
struct reply {
	int64_t position;
	int64_t bytes;
	int32_t correlation;
};

struct conn {
	int fd;
	bool is_turned_off; /* too many open answers: not read from until they have left */
	bool is_dirty;      /* stands in the thread's list of those to answer */

	uint8_t *frame; /* of a frame whose end is to come; has its first `have` bytes */
	size_t have;
	size_t capacity;

	struct reply replies[REPLIES_MAX]; /* a ring, oldest first */
	uint32_t reply_next;
	uint32_t reply_count;
	size_t reply_sent; /* bytes of the oldest that have left */
	struct conn *next_dirty;
};

/* One partition at one thread. */
struct append_file {
	int fd; /* 0: not made yet */
	int64_t end;
	int64_t reserved_end;
	uint32_t first; /* staged batches, a list in server->staged; 0: none */
	uint32_t last;
	struct append_file *next_staged;
};

struct staged {
	struct iovec piece;
	uint32_t next; /* of the same file; 0: the last */
};

struct server {
	int epoll;
	uint8_t *turn; /* TURN_BYTES */
	size_t turn_used;
	struct staged staged[STAGED_MAX + 1]; /* from 1 on */
	uint32_t staged_count;
	struct append_file *staged_files;
	struct conn *dirty;
	struct append_file files[FILES_MAX];
	uint32_t file_count;
	uint32_t made[FILES_MAX]; /* which files there are, file_count of them */
};

static struct server *servers;
static uint32_t server_count;
static int listener;
static int folder;
static int fetch_file; /* PROBE_FETCH_FILE_BYTES, in the page cache */
static bool is_sync;

static int
new_file(const char *name)
{
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		meter_die("cannot create %s: %s", name, strerror(errno));
	if (unlinkat(folder, name, 0) != 0)
		meter_die("cannot remove %s: %s", name, strerror(errno));
	return fd;
}

static void
make_append_file(struct server *server, uint32_t index)
{
	char name[32];
	snprintf(name, sizeof(name), "append-%u-%u", (uint32_t)(server - servers), index);
	server->files[index] = (struct append_file){ .fd = new_file(name) };
	server->made[server->file_count++] = index;
}

static void
drop_append_files(struct server *server)
{
	for (uint32_t i = 0; i < server->file_count; i++) {
		struct append_file *file = &server->files[server->made[i]];
		close(file->fd);
		file->fd = 0;
	}
	server->file_count = 0;
}

/* As much again as is there already, once that is something. */
static void
reserve(struct append_file *file, int64_t bytes)
{
	if (file->end + bytes <= file->reserved_end || file->end < RESERVE_BYTES_MIN)
		return;
	int64_t chunk = OT_MAX(OT_MIN(file->end, RESERVE_BYTES_MAX), bytes);
	if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, file->end, chunk) != 0)
		meter_die("cannot reserve space: %s", strerror(errno));
	file->reserved_end = file->end + chunk;
}

static void
write_file(struct server *server, struct append_file *file)
{
	struct iovec pieces[STAGED_MAX];
	int count = 0;
	int64_t bytes = 0;
	for (uint32_t i = file->first; i != 0; i = server->staged[i].next) {
		pieces[count++] = server->staged[i].piece;
		bytes += (int64_t)server->staged[i].piece.iov_len;
	}
	file->first = 0;
	reserve(file, bytes);
	ssize_t put = pwritev(file->fd, pieces, count, file->end);
	if (put != bytes)
		meter_die("a write of %lld bytes gave %zd", (long long)bytes, put);
	file->end += bytes;
}

/* Writes what the turn staged; its memory may be used anew afterwards. */
static void
write_staged(struct server *server)
{
	for (struct append_file *file = server->staged_files; file; file = file->next_staged)
		write_file(server, file);
	for (struct append_file *file = server->staged_files; is_sync && file;
	     file = file->next_staged) {
		if (fdatasync(file->fd) != 0)
			meter_die("fdatasync: %s", strerror(errno));
	}
	server->staged_files = NULL;
	server->staged_count = 0;
}

/* Where the next range of sendfile, or the answer's header, goes out. True when the oldest answer
 * has left, false when the socket is full. */
static bool
send_reply(struct conn *conn)
{
	struct reply *reply = &conn->replies[conn->reply_next % REPLIES_MAX];
	if (conn->reply_sent < PROBE_ANSWER_BYTES) {
		uint8_t header[PROBE_ANSWER_BYTES] = { 0 };
		ot_put_u32(header, (uint32_t)(PROBE_ANSWER_BYTES - 4 + reply->bytes));
		ot_put_u32(header + 4, (uint32_t)reply->correlation);
		ssize_t sent =
		    send(conn->fd, header + conn->reply_sent, PROBE_ANSWER_BYTES - conn->reply_sent,
			MSG_NOSIGNAL | MSG_DONTWAIT | (reply->bytes > 0 ? MSG_MORE : 0));
		if (sent < 0)
			return false;
		conn->reply_sent += (size_t)sent;
	}
	while (conn->reply_sent >= PROBE_ANSWER_BYTES &&
	       conn->reply_sent < PROBE_ANSWER_BYTES + (size_t)reply->bytes) {
		off_t at =
		    (off_t)(reply->position + (int64_t)conn->reply_sent - PROBE_ANSWER_BYTES);
		size_t left = PROBE_ANSWER_BYTES + (size_t)reply->bytes - conn->reply_sent;
		ssize_t sent = sendfile(conn->fd, fetch_file, &at, left);
		if (sent <= 0)
			return false;
		conn->reply_sent += (size_t)sent;
	}
	if (conn->reply_sent < PROBE_ANSWER_BYTES)
		return false;
	conn->reply_sent = 0;
	conn->reply_next++;
	conn->reply_count--;
	return true;
}

/* The headers of answers without a range, all together. */
static void
send_small_replies(struct conn *conn)
{
	uint8_t out[REPLIES_MAX * PROBE_ANSWER_BYTES];
	uint32_t count = 0;
	for (; count < conn->reply_count; count++) {
		struct reply *reply = &conn->replies[(conn->reply_next + count) % REPLIES_MAX];
		if (reply->bytes > 0)
			break;
		uint8_t *header = out + (size_t)count * PROBE_ANSWER_BYTES;
		memset(header, 0, PROBE_ANSWER_BYTES);
		ot_put_u32(header, PROBE_ANSWER_BYTES - 4);
		ot_put_u32(header + 4, (uint32_t)reply->correlation);
	}
	if (count == 0)
		return;
	ssize_t sent = send(conn->fd, out + conn->reply_sent,
	    count * PROBE_ANSWER_BYTES - conn->reply_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return;
	size_t bytes = conn->reply_sent + (size_t)sent;
	conn->reply_sent = bytes % PROBE_ANSWER_BYTES;
	conn->reply_next += (uint32_t)(bytes / PROBE_ANSWER_BYTES);
	conn->reply_count -= (uint32_t)(bytes / PROBE_ANSWER_BYTES);
}

static void
send_replies(struct server *server, struct conn *conn)
{
	send_small_replies(conn);
	while (conn->reply_count > 0 && send_reply(conn))
		continue;
	bool is_full = conn->reply_count > 0;
	if (is_full != conn->is_turned_off) {
		struct epoll_event event = { .events = is_full ? EPOLLOUT : EPOLLIN,
			.data.ptr = conn };
		epoll_ctl(server->epoll, EPOLL_CTL_MOD, conn->fd, &event);
		conn->is_turned_off = is_full;
	}
}

/* Writes, then answers: no answer leaves before its batch is in the file. */
static void
end_turn(struct server *server)
{
	write_staged(server);
	while (server->dirty != NULL) {
		struct conn *conn = server->dirty;
		server->dirty = conn->next_dirty;
		conn->is_dirty = false;
		send_replies(server, conn);
	}
	server->turn_used = 0;
}

static void
add_staged(struct server *server, uint32_t partition, struct iovec piece)
{
	struct append_file *file = &server->files[partition];
	uint32_t index = ++server->staged_count;
	if (file->fd == 0)
		make_append_file(server, partition);
	server->staged[index] = (struct staged){ .piece = piece };
	if (file->first == 0) {
		file->first = index;
		file->next_staged = server->staged_files;
		server->staged_files = file;
	} else {
		server->staged[file->last].next = index;
	}
	file->last = index;
}

static void
stage(struct server *server, const uint8_t *frame, size_t frame_bytes)
{
	size_t at = ot_get_u16(frame + 6);
	if (at + OT_BATCH_HEADER_BYTES > frame_bytes)
		meter_die("a frame of %zu bytes has no batch at %zu", frame_bytes, at);
	const uint8_t *batch = frame + at;
	size_t bytes = ot_batch_bytes(batch);
	if (bytes > frame_bytes - at)
		meter_die("a batch of %zu bytes in a frame of %zu", bytes, frame_bytes);
	if (ot_crc32c(0, batch + OT_BATCH_ATTRIBUTES_AT, bytes - OT_BATCH_ATTRIBUTES_AT) !=
	    ot_get_u32(batch + OT_BATCH_CRC_AT))
		meter_die("a batch fails its checksum");
	if (server->staged_count == STAGED_MAX)
		write_staged(server);
	add_staged(server, ot_get_u16(frame + PROBE_PARTITION_AT) % FILES_MAX,
	    (struct iovec){ .iov_base = (void *)(uintptr_t)batch, .iov_len = bytes });
}

static void
take_frame(struct server *server, struct conn *conn, const uint8_t *frame, size_t frame_bytes)
{
	int16_t key = (int16_t)ot_get_u16(frame + 4);
	struct reply reply = { .correlation = (int32_t)ot_get_u32(frame + 8) };
	if (key % PROBE_QUIET == 0)
		stage(server, frame, frame_bytes);
	if (key >= PROBE_QUIET)
		return;
	if (key == 1) {
		size_t at = ot_get_u16(frame + 6);
		reply.position = (int64_t)ot_get_u64(frame + at);
		reply.bytes = (int64_t)ot_get_u32(frame + at + 20);
	}
	if (conn->reply_count == REPLIES_MAX)
		meter_die("more than %d requests under way on a connection", REPLIES_MAX);
	conn->replies[(conn->reply_next + conn->reply_count++) % REPLIES_MAX] = reply;
	if (!conn->is_dirty) {
		conn->is_dirty = true;
		conn->next_dirty = server->dirty;
		server->dirty = conn;
	}
}

/* Takes the whole frames of `data` and returns how many bytes they are. */
static size_t
take_frames(struct server *server, struct conn *conn, const uint8_t *data, size_t bytes)
{
	size_t taken = 0;
	while (bytes - taken >= HEADER_BYTES) {
		size_t frame_bytes = 4 + (size_t)ot_get_u32(data + taken);
		if (frame_bytes < HEADER_BYTES || frame_bytes > FRAME_BYTES_MAX)
			meter_die("a frame of %zu bytes", frame_bytes);
		if (frame_bytes > bytes - taken)
			break;
		take_frame(server, conn, data + taken, frame_bytes);
		taken += frame_bytes;
	}
	return taken;
}

/* Moves the beginning of a frame to the connection, with room for all of it. */
static void
keep_rest(struct conn *conn, const uint8_t *data, size_t bytes)
{
	size_t frame_bytes = bytes >= 4 ? 4 + (size_t)ot_get_u32(data) : HEADER_BYTES;
	frame_bytes = OT_MAX(frame_bytes, HEADER_BYTES);
	if (conn->capacity < frame_bytes) {
		ot_free(conn->frame);
		conn->frame = ot_must_alloc(frame_bytes);
		conn->capacity = frame_bytes;
	}
	memcpy(conn->frame, data, bytes);
	conn->have = bytes;
}

/* Receives what is missing of the connection's frame, no more. Returns what recv() did. */
static ssize_t
receive_rest(struct server *server, struct conn *conn)
{
	size_t wanted =
	    conn->have >= HEADER_BYTES ? 4 + (size_t)ot_get_u32(conn->frame) : HEADER_BYTES;
	if (wanted > conn->capacity) {
		uint8_t head[HEADER_BYTES];
		memcpy(head, conn->frame, HEADER_BYTES);
		keep_rest(conn, head, HEADER_BYTES);
	}
	ssize_t got = recv(conn->fd, conn->frame + conn->have, wanted - conn->have, MSG_DONTWAIT);
	if (got <= 0)
		return got;
	conn->have += (size_t)got;
	if (conn->have >= HEADER_BYTES && take_frames(server, conn, conn->frame, conn->have) > 0)
		conn->have = 0;
	return got;
}

static ssize_t
receive(struct server *server, struct conn *conn)
{
	if (conn->have > 0)
		return receive_rest(server, conn);
	if (server->turn_used + RECEIVE_BYTES > TURN_BYTES)
		end_turn(server);
	uint8_t *data = server->turn + server->turn_used;
	ssize_t got = recv(conn->fd, data, RECEIVE_BYTES, MSG_DONTWAIT);
	if (got <= 0)
		return got;
	server->turn_used += (size_t)got;
	size_t taken = take_frames(server, conn, data, (size_t)got);
	if (taken < (size_t)got)
		keep_rest(conn, data + taken, (size_t)got - taken);
	return got;
}

static void
close_conn(struct server *server, struct conn *conn)
{
	end_turn(server);
	drop_append_files(server);
	close(conn->fd);
	ot_free(conn->frame);
	ot_free(conn);
}

static void
accept_conn(void)
{
	static uint32_t turn;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct conn *conn = OT_NEW(struct conn);
	conn->fd = fd;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	epoll_ctl(servers[turn++ % server_count].epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
take_event(struct server *server, const struct epoll_event *event)
{
	struct conn *conn = event->data.ptr;
	if (conn == NULL) {
		accept_conn();
		return;
	}
	if (event->events & EPOLLOUT) {
		send_replies(server, conn);
		return;
	}
	ssize_t got = receive(server, conn);
	if (got == 0 || (got < 0 && errno != EAGAIN))
		close_conn(server, conn);
}

static void *
serve(void *arg)
{
	struct server *server = arg;
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		int count = epoll_wait(server->epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < count; i++)
			take_event(server, &events[i]);
		end_turn(server);
	}
	return NULL;
}

static void
fill_fetch_file(void)
{
	uint8_t *block = ot_must_alloc(OT_MIB);
	for (size_t i = 0; i < OT_MIB; i++)
		block[i] = (uint8_t)(i * 31);
	fetch_file = new_file("fetch");
	for (int64_t at = 0; at < PROBE_FETCH_FILE_BYTES; at += OT_MIB) {
		if (pwrite(fetch_file, block, OT_MIB, at) != (ssize_t)OT_MIB)
			meter_die("cannot fill the file to fetch from");
	}
	ot_free(block);
}

static uint16_t
listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, bytes) != 0 ||
	    listen(listener, SOMAXCONN) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &bytes) != 0)
		meter_die("cannot listen: %s", strerror(errno));
	return ntohs(address.sin_port);
}

static void
start_servers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	server_count = (uint32_t)OT_MIN(OT_MAX(cores, 1), THREADS_MAX);
	servers = ot_must_alloc(server_count * sizeof(*servers));
	for (uint32_t i = 0; i < server_count; i++) {
		servers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		servers[i].turn = ot_must_alloc(TURN_BYTES);
	}
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	epoll_ctl(servers[0].epoll, EPOLL_CTL_ADD, listener, &event);
	for (uint32_t i = 0; i < server_count; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, serve, &servers[i]) != 0)
			meter_die("cannot start a thread");
	}
}

int
main(int argc, char **argv)
{
	is_sync = argc == 3 && strcmp(argv[1], "--sync") == 0;
	if (argc != 2 + is_sync)
		meter_die("usage: probe [--sync] FOLDER");
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigaction(SIGPIPE, &ignore, NULL); /* sendfile() has no MSG_NOSIGNAL */
	folder = open(argv[argc - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		meter_die("%s: %s", argv[argc - 1], strerror(errno));
	fill_fetch_file();
	uint16_t port = listen_on_loopback();
	start_servers();
	printf("%u\n", port);
	fflush(stdout);
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	return 0;
}
