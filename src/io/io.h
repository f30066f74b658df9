/* The doors of one thread: clock, timers, entropy, jobs, connections, files.
 *
 * Each thread that runs a loop has one `struct ot_io`. Cores receive it and call nothing else of
 * the host's. src/io implements it on libuv, src/sim on a seeded simulation; the objects above are
 * the same in both. Callbacks come on the io's own thread, never from inside the call that
 * requested them.
 */
#ifndef OT_IO_IO_H
#define OT_IO_IO_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/heap.h"
#include "base/time.h"
#include "base/uuid.h"
#include "io/fs.h"

struct ot_io;
struct ot_stream;
struct ot_listener;

/* ---- clock and entropy ------------------------------------------------------------------- */

/* The time at which this turn of the loop began, cheap; `exact` asks the host.
 * @owner the io's thread   @blocks never */
ot_mono_ns ot_io_now(struct ot_io *io);
ot_mono_ns ot_io_now_exact(struct ot_io *io);

/* Wall-clock time; it may jump either way. @owner the io's thread */
ot_wall_ms ot_io_wall(struct ot_io *io);

/* @owner the io's thread */
void ot_io_random(struct ot_io *io, void *to, size_t bytes);
uint64_t ot_io_random_u64(struct ot_io *io);
struct ot_uuid ot_io_random_uuid(struct ot_io *io);

/* ---- timers ------------------------------------------------------------------------------ */

struct ot_timer {
	struct ot_heap_node node; /* key: deadline */
	void (*on_expire)(struct ot_timer *timer);
};

/* The timer lives in its object; init once, then arm as often as wanted (an armed one moves).
 * Cancel before the object goes; harmless when not armed.
 * @owner the io's thread   @blocks never */
void ot_timer_init(struct ot_timer *timer, void (*on_expire)(struct ot_timer *timer));
void ot_timer_arm(struct ot_io *io, struct ot_timer *timer, ot_mono_ns deadline);
void ot_timer_arm_in_ms(struct ot_io *io, struct ot_timer *timer, int64_t delay_ms);
void ot_timer_cancel(struct ot_io *io, struct ot_timer *timer);
bool ot_timer_is_armed(const struct ot_timer *timer);

/* ---- jobs -------------------------------------------------------------------------------- */

/* Work that may block. `work` runs on a worker thread and touches only what the job carries; `done`
 * runs on the submitter's thread afterwards. The job's memory is the submitter's, until `done`. */
struct ot_job {
	void (*work)(struct ot_job *job);
	void (*done)(struct ot_job *job);
};

/* @owner the io's thread   @blocks never */
void ot_io_submit(struct ot_io *io, struct ot_job *job);

/* ---- connections ------------------------------------------------------------------------- */

struct ot_address {
	char host[64]; /* numeric */
	uint16_t port;
};

/* Looks a name up (or reads a number) and fills at most `count_max` addresses, in the host's order
 * of preference; gives how many. @owner any thread   @blocks for the look-up */
size_t ot_io_resolve(const char *host, uint16_t port, struct ot_address *ret_addresses,
    size_t count_max);

/* A connection that was accepted and belongs to no loop yet: it may cross threads. */
struct ot_accepted {
	int64_t handle; /* the implementation's */
	struct ot_address peer;
	struct ot_address local;
	/* It took one of the last descriptors of the process, which files may need: drop it. */
	bool is_scarce;
};

struct ot_stream_events {
	void (*on_readable)(void *arg);
	void (*on_writable)(void *arg);
};

/* Accepts connections at host (empty: all addresses, IPv6 and IPv4) and port (0: the host chooses).
 * `on_accept` gets each connection and must adopt or drop it. OT_ERR_EXISTS: the port is taken.
 * @owner the io's thread   @blocks for a name look-up: give numbers or do it at start */
OT_MUST_USE ot_err ot_io_listen(struct ot_io *io, const char *host, uint16_t port,
    void (*on_accept)(void *arg, const struct ot_accepted *accepted), void *arg,
    struct ot_listener **ret_listener);
uint16_t ot_listener_port(const struct ot_listener *listener);
void ot_listener_close(struct ot_listener *listener); /* accepts NULL */

/* Whether connections are accepted: at first, yes. Meanwhile they wait in the host's queue. May be
 * called from on_accept. @owner the io's thread   @blocks never */
void ot_listener_want(struct ot_listener *listener, bool is_wanted);

/* Ends an accepted connection that nobody adopted. @owner any thread */
void ot_accepted_drop(struct ot_io *io, const struct ot_accepted *accepted);

/* Makes the connection this thread's. Reading is on, writing off, until ot_stream_want().
 * `events` must outlive the stream. OT_ERR_NO_MEMORY, OT_ERR_IO; the connection is dropped then.
 * @owner the io's thread   @blocks never */
OT_MUST_USE ot_err ot_io_adopt(struct ot_io *io, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret_stream);

/* Begins to connect; on_writable tells that it is done, a later read or write how it went.
 * @owner the io's thread   @blocks never */
OT_MUST_USE ot_err ot_io_connect(struct ot_io *io, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret_stream);

/* Each moves what it can at once and says how much. OT_ERR_AGAIN: nothing now, an event will come
 * if it is wanted. OT_ERR_CLOSED: the peer has ended (read), or is gone (write).
 * @owner the stream's thread   @blocks never (send_file: when the range is cold) */
OT_MUST_USE ot_err ot_stream_read(struct ot_stream *stream, const struct iovec *pieces,
    int piece_count, size_t *ret_bytes);
OT_MUST_USE ot_err ot_stream_write(struct ot_stream *stream, const struct iovec *pieces,
    int piece_count, bool more_follows, size_t *ret_bytes);
OT_MUST_USE ot_err ot_stream_send_file(struct ot_stream *stream, struct ot_file *file,
    uint64_t place, size_t bytes, size_t *ret_bytes);

/* Which events are wanted from now on. @owner the stream's thread */
void ot_stream_want(struct ot_stream *stream, bool read, bool write);

/* No event comes afterwards. Accepts NULL. @owner the stream's thread   @blocks never */
void ot_stream_close(struct ot_stream *stream);

/* ---- implementing the door ----------------------------------------------------------------- */

struct ot_io_ops {
	ot_mono_ns (*now)(struct ot_io *, bool exact);
	ot_wall_ms (*wall)(struct ot_io *);
	void (*random)(struct ot_io *, void *, size_t);
	void (*wake_at)(struct ot_io *, ot_mono_ns); /* the least deadline has changed */
	void (*submit)(struct ot_io *, struct ot_job *);
	void (*ring)(struct ot_io *); /* any thread: let the loop turn once more */
	ot_err (*listen)(struct ot_io *, const char *, uint16_t,
	    void (*)(void *, const struct ot_accepted *), void *, struct ot_listener **);
	uint16_t (*listener_port)(const struct ot_listener *);
	void (*listener_close)(struct ot_listener *);
	void (*listener_want)(struct ot_listener *, bool);
	void (*accepted_drop)(struct ot_io *, const struct ot_accepted *);
	ot_err (*adopt)(struct ot_io *, const struct ot_accepted *, const struct ot_stream_events *,
	    void *, struct ot_stream **);
	ot_err (*connect)(struct ot_io *, const struct ot_address *,
	    const struct ot_stream_events *, void *, struct ot_stream **);
	ot_err (*read)(struct ot_stream *, const struct iovec *, int, size_t *);
	ot_err (*write)(struct ot_stream *, const struct iovec *, int, bool, size_t *);
	ot_err (*send_file)(struct ot_stream *, struct ot_file *, uint64_t, size_t, size_t *);
	void (*want)(struct ot_stream *, bool, bool);
	void (*close)(struct ot_stream *);
};

/* An implementation's own types begin with these. */
struct ot_io {
	const struct ot_io_ops *ops;    /* [const] */
	struct ot_fs *fs;               /* [const] */
	struct ot_heap timers;          /* [owner] */
	void (*on_turn_end)(void *arg); /* [const] before each wait for events, for the shard */
	void *turn_arg;                 /* [const] */
};

struct ot_stream {
	struct ot_io *io; /* [const] */
};

struct ot_listener {
	struct ot_io *io; /* [const] */
};

/* For implementations: the part that all have in common. @owner the creating thread */
void ot_io_init(struct ot_io *io, const struct ot_io_ops *ops, struct ot_fs *fs);
void ot_io_fini(struct ot_io *io);

/* Lets the loop turn once more, soon. @owner any thread   @blocks never */
void ot_io_ring(struct ot_io *io);

/* Calls each timer whose deadline has passed, for implementations. @owner the io's thread */
void ot_io_expire(struct ot_io *io, ot_mono_ns now);

/* The least deadline, or UINT64_MAX. @owner the io's thread */
ot_mono_ns ot_io_next_deadline(const struct ot_io *io);

#endif
