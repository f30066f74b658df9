/* Bodies of the simulated world, for world.c, sim_io.c, stream.c and net.c alone. */
#ifndef OT_SIM_WORLD_INT_H
#define OT_SIM_WORLD_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "sim/sim_io.h"
#include "sim/world.h"

enum { SIM_HOSTS_MAX = 256, SIM_NAME_BYTES = 64 };

/* Something that happens at a moment; embedded in what it happens to. */
struct sim_event {
	struct ot_heap_node node; /* key: world time */
	void (*run)(struct sim_event *event);
};

struct ot_sim_world {
	struct ot_sim_random random;          /* the world's own: order, delays */
	struct ot_sim_random scenario_random; /* handed out */
	struct ot_sim_trace *trace;
	struct ot_heap events;
	ot_mono_ns now;
	struct ot_sim_net net;
	struct ot_sim_cpu cpu;
	struct ot_sim_host **hosts;
	uint32_t host_count;
	uint8_t *cuts; /* at from * SIM_HOSTS_MAX + to */
	struct ot_list conns;
	uint32_t conn_count;
	struct ot_list calls; /* of ot_sim_world_at() */
	int64_t next_handle;
	struct ot_sim_host *running; /* whose code is on the stack, or NULL */
	void (*on_switch)(void *arg, struct ot_io *io);
	void *on_switch_arg;
};

struct ot_sim_host {
	struct ot_sim_world *world;
	int32_t index;
	char address[SIM_NAME_BYTES];
	struct ot_sim_disk *disk;
	struct ot_sim_random random; /* the entropy of its threads */
	struct ot_sim_clock clock;   /* brought up to date by sim_host_set_time() */
	struct ot_list ios;
	uint32_t io_count;
	struct ot_list listeners;
	struct ot_list arrivals; /* accepted ends that nobody adopted */
	uint16_t next_port;
	bool is_up;
	bool is_crashing; /* dead already, the rest follows when its code has left the stack */
	bool is_silent;   /* without power: its kernel does not answer either */
	enum ot_sim_stop crash_how;
	struct sim_event crash;
	void (*on_crash)(void *arg);
	void *on_crash_arg;
	ot_mono_ns frozen_until;

	/* mono = base + elapsed world time, stretched; wall = base + elapsed mono */
	ot_mono_ns base_world;
	ot_mono_ns base_mono;
	int64_t base_wall_ns;
	int32_t drift_per_million;
};

struct sim_io {
	struct ot_io io;
	struct ot_sim_host *host;
	struct ot_list link; /* in host->ios */
	struct sim_event turn;
	ot_mono_ns now;        /* local, of this turn */
	ot_mono_ns busy_until; /* world */
	uint64_t turn_cost_ns;
	bool is_rung;
	const void *called; /* the stream or listener in whose callback it is; NULL once closed */
	struct ot_list ready_streams;
	struct ot_list done_jobs;
	struct ot_list ready_listeners;
	struct ot_list jobs; /* submitted, work not done */
	uint32_t stream_count;
	uint32_t listener_count;
	uint32_t job_count;
};

struct sim_job {
	struct sim_event event;
	struct ot_list link; /* in io->jobs, then io->done_jobs */
	struct sim_io *io;
	struct ot_job *job;
};

/* ---- world.c ----------------------------------------------------------------------------- */

void sim_event_init(struct sim_event *event, void (*run)(struct sim_event *event));
/* Moves it when it is planned already. */
void sim_event_set(struct ot_sim_world *world, struct sim_event *event, ot_mono_ns at);
void sim_event_cancel(struct ot_sim_world *world, struct sim_event *event);
bool sim_event_is_set(const struct sim_event *event);
void sim_world_put(struct ot_sim_world *world, int32_t host, const char *verb, const char *what,
    uint64_t a, uint64_t b);
void sim_world_switch(struct ot_sim_world *world, struct ot_io *io);

ot_mono_ns sim_host_mono_at(const struct ot_sim_host *host, ot_mono_ns world);
ot_mono_ns sim_host_world_at(const struct ot_sim_host *host, ot_mono_ns mono);
/* Makes the machine's clock show this moment. */
void sim_host_set_time(struct ot_sim_host *host, ot_mono_ns world);
bool sim_host_is_alive(const struct ot_sim_host *host);

/* ---- sim_io.c ---------------------------------------------------------------------------- */

static inline struct sim_io *
sim_io_of(const struct ot_io *io)
{
	return OT_CONTAINER_OF((uintptr_t)io, struct sim_io, io);
}

/* Lets the thread have a turn soon: something is ready for it. */
void sim_io_wake(struct sim_io *io);
void sim_io_wake_at(struct sim_io *io, ot_mono_ns at);
/* The machine has crashed: no turn and no job comes any more. */
void sim_io_halt(struct sim_io *io);
/* Does what is outstanding in memory, and ends a turn if there was any or if it must; false when
 * there was nothing. */
bool sim_io_drain(struct sim_io *io, bool must_end_turn);
extern const struct ot_io_ops sim_io_ops;

/* ---- stream.c ---------------------------------------------------------------------------- */

struct sim_stream;
struct sim_listener;

/* Calls what is wanted and possible; the stream may be gone afterwards. */
void sim_stream_run(struct sim_stream *stream);
struct sim_stream *sim_stream_of_ready(struct ot_list *link);
/* Something has changed: wakes the thread if it wants to know. */
void sim_stream_touch(struct sim_stream *stream);
/* Its machine has crashed: it does nothing more, but is still its owner's to close. */
void sim_stream_detach(struct sim_stream *stream);
void sim_listener_run(struct ot_list *link);
/* Finds who listens on the machine for an address; NULL: nobody. */
struct sim_listener *sim_listener_find(struct ot_sim_host *host, const struct ot_address *address);
/* Somebody waits to be accepted. */
void sim_listener_touch(struct sim_listener *listener, struct ot_list *arrival);
uint16_t sim_host_take_port(struct ot_sim_host *host);

OT_MUST_USE ot_err sim_listen(struct ot_io *io, const char *host, uint16_t port,
    void (*on_accept)(void *, const struct ot_accepted *), void *arg, struct ot_listener **ret);
uint16_t sim_listener_port(const struct ot_listener *listener);
void sim_listener_close(struct ot_listener *listener);
void sim_listener_want(struct ot_listener *listener, bool is_wanted);
void sim_accepted_drop(struct ot_io *io, const struct ot_accepted *accepted);
OT_MUST_USE ot_err sim_adopt(struct ot_io *io, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret);
OT_MUST_USE ot_err sim_connect(struct ot_io *io, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret);
OT_MUST_USE ot_err sim_read(struct ot_stream *stream, const struct iovec *pieces, int count,
    size_t *ret);
OT_MUST_USE ot_err sim_write(struct ot_stream *stream, const struct iovec *pieces, int count,
    bool more, size_t *ret);
OT_MUST_USE ot_err sim_send_file(struct ot_stream *stream, struct ot_file *file, uint64_t place,
    size_t bytes, size_t *ret);
void sim_want(struct ot_stream *stream, bool read, bool write);
void sim_close(struct ot_stream *stream);

/* ---- net.c ------------------------------------------------------------------------------- */

enum sim_end_state {
	SIM_END_NONE, /* of an accepted side that is not there yet */
	SIM_END_CONNECTING,
	SIM_END_OPEN,
	SIM_END_BROKEN,   /* reset or given up: the stream learns it */
	SIM_END_CLOSED,   /* its owner has closed it */
	SIM_END_VANISHED, /* its machine lost power */
};

/* Trying again while nothing gets through. */
struct sim_retry {
	ot_mono_ns since;
	uint64_t pause_ns; /* 0: not stuck */
};

/* A part of what was written, on its way; arrives after those before it. */
enum sim_segment_kind { SIM_SEGMENT_DATA, SIM_SEGMENT_END, SIM_SEGMENT_RESET };

struct sim_segment {
	struct ot_list link;
	ot_mono_ns at;
	uint64_t until; /* the count of bytes that are there once it has arrived */
	enum sim_segment_kind kind;
};

/* One direction. Counts of bytes since the beginning: acked <= read <= arrived <= sent <= written,
 * and the ring holds those from `acked` on. */
struct sim_pipe {
	struct sim_conn *conn;
	struct ot_sim_host *from;
	struct ot_sim_host *to;
	uint8_t *ring;
	uint64_t ring_bytes; /* the window; the ring is made with the first byte */
	uint64_t written;
	uint64_t sent;
	uint64_t arrived;
	uint64_t read;
	uint64_t acked;
	struct ot_list segments;
	ot_mono_ns last_at; /* arrival of the last segment */
	struct sim_event deliver;
	struct sim_event ack;
	struct sim_event flush; /* sends what waited for more to follow */
	struct sim_retry retry;
	struct sim_retry ack_retry;
	bool has_ended;     /* the end of the bytes has arrived */
	bool is_reset_sent; /* nothing more is sent behind it */
};

struct sim_end {
	enum sim_end_state state;
	struct sim_stream *stream; /* NULL: not adopted yet, or closed */
	struct ot_sim_host *host;
	struct ot_list arrival; /* in host->arrivals */
	struct ot_list backlog; /* in the listener's, while it waits to be accepted */
	int64_t handle;
	struct ot_address address;
};

/* Side 0 has connected, side 1 was accepted. pipes[i] leads from side i. */
struct sim_conn {
	struct ot_list link; /* in world->conns */
	struct ot_sim_world *world;
	struct sim_end ends[2];
	struct sim_pipe pipes[2];
	enum { SIM_CONN_SYN, SIM_CONN_ANSWER, SIM_CONN_REFUSAL, SIM_CONN_MADE } phase;
	struct sim_event handshake;
	struct sim_retry retry;
	bool is_held; /* not to be freed now */
	char name[2 * SIM_NAME_BYTES];
};

struct sim_conn *sim_conn_create(struct ot_sim_host *from, struct ot_sim_host *to,
    const struct ot_address *address);
/* The owner has closed its end, or its machine has. */
void sim_conn_close(struct sim_conn *conn, int side);
void sim_conn_vanish(struct sim_conn *conn, int side);
void sim_conn_reset(struct sim_conn *conn);
void sim_net_host_down(struct ot_sim_host *host, enum ot_sim_stop how);
void sim_net_destroy(struct ot_sim_world *world);

/* ---- pipe.c ------------------------------------------------------------------------------ */

void sim_pipe_init(struct sim_pipe *pipe, struct sim_conn *conn, struct ot_sim_host *from,
    struct ot_sim_host *to);
void sim_pipe_fini(struct sim_pipe *pipe);
size_t sim_pipe_space(const struct sim_pipe *pipe);
void sim_pipe_put(struct sim_pipe *pipe, const void *data, size_t bytes);
/* What was put goes on its way, soon or, if more follows, a little later. */
void sim_pipe_send(struct sim_pipe *pipe, bool more_follows);
void sim_pipe_send_mark(struct sim_pipe *pipe, enum sim_segment_kind kind);
void sim_pipe_stop(struct sim_pipe *pipe); /* nothing more leaves or arrives */
size_t sim_pipe_waiting(const struct sim_pipe *pipe);
void sim_pipe_take(struct sim_pipe *pipe, void *to, size_t bytes);
void sim_pipe_taken(struct sim_pipe *pipe); /* what was taken makes room for the sender */
void sim_pipe_drop_unread(struct sim_pipe *pipe);
/* The receiver has vanished: a sender without room finds out by asking for some. */
void sim_pipe_probe(struct sim_pipe *pipe);

/* net.c, for pipe.c */
uint64_t sim_net_delay(struct ot_sim_host *from, struct ot_sim_host *to);
bool sim_net_is_blocked(const struct ot_sim_host *from, const struct ot_sim_host *to);
/* Plans the next attempt; false when the patience has ended. */
bool sim_net_retry(struct ot_sim_world *world, struct sim_retry *retry, struct sim_event *event);
void sim_conn_break(struct sim_conn *conn, int side, const char *why);
void sim_conn_arrive(struct sim_conn *conn, int side, enum sim_segment_kind kind, size_t bytes);

#endif
