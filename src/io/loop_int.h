/* Bodies that loop.c and stream.c share. */
#ifndef OT_IO_LOOP_INT_H
#define OT_IO_LOOP_INT_H

#include <uv.h>

#include "base/list.h"
#include "io/io.h"
#include "io/loop.h"

struct loop_signal {
	uv_signal_t uv;
	void (*on_signal)(void *arg, int signal);
	void *arg;
	struct ot_list link;
};

struct loop_io {
	struct ot_io io;
	uv_loop_t uv;
	uv_prepare_t prepare; /* end of a turn, right before the wait */
	uv_timer_t timer;     /* the least deadline of io.timers */
	int doorbell;         /* [const] an eventfd: see loop_ring() */
	uv_poll_t doorbell_poll;
	ot_mono_ns now;           /* [owner] of this turn; 0: not read yet */
	ot_mono_ns wake_at;       /* [owner] what `timer` is set to; UINT64_MAX: nothing */
	_Atomic bool is_stopping; /* [atomic] */
	struct ot_list signals;   /* [owner] */
};

static inline struct loop_io *
loop_of(struct ot_io *io)
{
	return OT_CONTAINER_OF(io, struct loop_io, io);
}

/* stream.c: the operations of connections, for the table in loop.c. @owner the loop's thread */
OT_MUST_USE ot_err loop_listen(struct ot_io *io, const char *host, uint16_t port,
    void (*on_accept)(void *, const struct ot_accepted *), void *arg, struct ot_listener **ret);
uint16_t loop_listener_port(const struct ot_listener *listener);
void loop_listener_close(struct ot_listener *listener);
void loop_listener_want(struct ot_listener *listener, bool is_wanted);
void loop_accepted_drop(struct ot_io *io, const struct ot_accepted *accepted);
OT_MUST_USE ot_err loop_adopt(struct ot_io *io, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret);
OT_MUST_USE ot_err loop_connect(struct ot_io *io, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret);
OT_MUST_USE ot_err loop_read(struct ot_stream *stream, const struct iovec *pieces, int count,
    size_t *ret);
OT_MUST_USE ot_err loop_write(struct ot_stream *stream, const struct iovec *pieces, int count,
    bool more, size_t *ret);
OT_MUST_USE ot_err loop_send_file(struct ot_stream *stream, struct ot_file *file, uint64_t place,
    size_t bytes, size_t *ret);
void loop_want(struct ot_stream *stream, bool read, bool write);
void loop_close(struct ot_stream *stream);

#endif
