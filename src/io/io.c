#include "io/io.h"

#include "base/panic.h"

void
ot_io_init(struct ot_io *io, const struct ot_io_ops *ops, struct ot_fs *fs)
{
	*io = (struct ot_io){ .ops = ops, .fs = fs };
	ot_heap_init(&io->timers);
}

void
ot_io_fini(struct ot_io *io)
{
	ot_heap_fini(&io->timers);
}

ot_mono_ns
ot_io_now(struct ot_io *io)
{
	return io->ops->now(io, false);
}

ot_mono_ns
ot_io_now_exact(struct ot_io *io)
{
	return io->ops->now(io, true);
}

ot_wall_ms
ot_io_wall(struct ot_io *io)
{
	return io->ops->wall(io);
}

void
ot_io_random(struct ot_io *io, void *to, size_t bytes)
{
	io->ops->random(io, to, bytes);
}

uint64_t
ot_io_random_u64(struct ot_io *io)
{
	uint64_t value;
	ot_io_random(io, &value, sizeof(value));
	return value;
}

struct ot_uuid
ot_io_random_uuid(struct ot_io *io)
{
	struct ot_uuid uuid;
	uint8_t random[16];
	do {
		ot_io_random(io, random, sizeof(random));
	} while (!ot_uuid_from_random(random, &uuid));
	return uuid;
}

void
ot_timer_init(struct ot_timer *timer, void (*on_expire)(struct ot_timer *timer))
{
	*timer = (struct ot_timer){ .on_expire = on_expire };
}

void
ot_timer_arm(struct ot_io *io, struct ot_timer *timer, ot_mono_ns deadline)
{
	OT_ASSERT(timer->on_expire != NULL);
	/* Never due in the same round of expiry: a timer that re-arms itself must not starve the
	 * loop. */
	deadline = OT_MAX(deadline, ot_io_now(io) + 1);
	ot_mono_ns before = ot_io_next_deadline(io);
	ot_heap_remove(&io->timers, &timer->node);
	ot_heap_push(&io->timers, &timer->node, deadline);
	if (ot_io_next_deadline(io) != before)
		io->ops->wake_at(io, ot_io_next_deadline(io));
}

void
ot_timer_arm_in_ms(struct ot_io *io, struct ot_timer *timer, int64_t delay_ms)
{
	uint64_t delay = delay_ms > 0 ? (uint64_t)delay_ms : 0;
	/* A century is as good as forever, and cannot overflow. */
	uint64_t delay_max = 100ull * 366 * 24 * 3600 * 1000;
	ot_timer_arm(io, timer, ot_io_now(io) + OT_MIN(delay, delay_max) * OT_NS_PER_MS);
}

void
ot_timer_cancel(struct ot_io *io, struct ot_timer *timer)
{
	/* The host's wake-up stays armed: it finds nothing due, which is cheaper than moving it. */
	ot_heap_remove(&io->timers, &timer->node);
}

bool
ot_timer_is_armed(const struct ot_timer *timer)
{
	return timer->node.place != OT_HEAP_NOWHERE;
}

void
ot_io_expire(struct ot_io *io, ot_mono_ns now)
{
	for (;;) {
		struct ot_heap_node *first = ot_heap_first(&io->timers);
		if (first == NULL || first->key > now)
			break;
		struct ot_timer *timer = OT_CONTAINER_OF(first, struct ot_timer, node);
		ot_heap_remove(&io->timers, first);
		timer->on_expire(timer);
	}
}

ot_mono_ns
ot_io_next_deadline(const struct ot_io *io)
{
	const struct ot_heap_node *first = ot_heap_first(&io->timers);
	return first != NULL ? first->key : UINT64_MAX;
}

void
ot_io_submit(struct ot_io *io, struct ot_job *job)
{
	OT_ASSERT(job->work != NULL && job->done != NULL);
	io->ops->submit(io, job);
}

void
ot_io_ring(struct ot_io *io)
{
	io->ops->ring(io);
}

ot_err
ot_io_listen(struct ot_io *io, const char *host, uint16_t port,
    void (*on_accept)(void *arg, const struct ot_accepted *accepted), void *arg,
    struct ot_listener **ret_listener)
{
	return io->ops->listen(io, host, port, on_accept, arg, ret_listener);
}

uint16_t
ot_listener_port(const struct ot_listener *listener)
{
	return listener->io->ops->listener_port(listener);
}

void
ot_listener_want(struct ot_listener *listener, bool is_wanted)
{
	listener->io->ops->listener_want(listener, is_wanted);
}

void
ot_listener_close(struct ot_listener *listener)
{
	if (listener != NULL)
		listener->io->ops->listener_close(listener);
}

void
ot_accepted_drop(struct ot_io *io, const struct ot_accepted *accepted)
{
	io->ops->accepted_drop(io, accepted);
}

ot_err
ot_io_adopt(struct ot_io *io, const struct ot_accepted *accepted,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret_stream)
{
	return io->ops->adopt(io, accepted, events, arg, ret_stream);
}

ot_err
ot_io_connect(struct ot_io *io, const struct ot_address *address,
    const struct ot_stream_events *events, void *arg, struct ot_stream **ret_stream)
{
	return io->ops->connect(io, address, events, arg, ret_stream);
}

ot_err
ot_stream_read(struct ot_stream *stream, const struct iovec *pieces, int piece_count,
    size_t *ret_bytes)
{
	return stream->io->ops->read(stream, pieces, piece_count, ret_bytes);
}

ot_err
ot_stream_write(struct ot_stream *stream, const struct iovec *pieces, int piece_count,
    bool more_follows, size_t *ret_bytes)
{
	return stream->io->ops->write(stream, pieces, piece_count, more_follows, ret_bytes);
}

ot_err
ot_stream_send_file(struct ot_stream *stream, struct ot_file *file, uint64_t place, size_t bytes,
    size_t *ret_bytes)
{
	return stream->io->ops->send_file(stream, file, place, bytes, ret_bytes);
}

void
ot_stream_want(struct ot_stream *stream, bool read, bool write)
{
	stream->io->ops->want(stream, read, write);
}

void
ot_stream_close(struct ot_stream *stream)
{
	if (stream != NULL)
		stream->io->ops->close(stream);
}
