/* One direction of a connection: a window of bytes, segments on their way, and what comes back. */
#include "sim/world_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { PIPE_FLUSH_NS = 200 * OT_NS_PER_MS }; /* how long a kernel waits for more to follow */

static struct ot_sim_world *
world_of(const struct sim_pipe *pipe)
{
	return pipe->conn->world;
}

static int
side_of(const struct sim_pipe *pipe)
{
	return pipe == &pipe->conn->pipes[0] ? 0 : 1;
}

static struct sim_segment *
first_segment(struct sim_pipe *pipe)
{
	return OT_LIST_FIRST(&pipe->segments, struct sim_segment, link);
}

static void
free_segment(struct sim_segment *segment)
{
	ot_list_remove(&segment->link);
	ot_free(segment);
}

/* ---- the sender's end ------------------------------------------------------------------- */

size_t
sim_pipe_space(const struct sim_pipe *pipe)
{
	return (size_t)(pipe->ring_bytes - (pipe->written - pipe->acked));
}

void
sim_pipe_put(struct sim_pipe *pipe, const void *data, size_t bytes)
{
	OT_ASSERT(bytes <= sim_pipe_space(pipe));
	if (pipe->ring == NULL)
		pipe->ring = ot_must_alloc((size_t)pipe->ring_bytes);
	const uint8_t *from = data;
	while (bytes > 0) {
		size_t place = (size_t)(pipe->written % pipe->ring_bytes);
		size_t part = OT_MIN(bytes, (size_t)pipe->ring_bytes - place);
		memcpy(pipe->ring + place, from, part);
		from += part;
		bytes -= part;
		pipe->written += part;
	}
}

/* Puts a segment behind the others; none overtakes another of its connection. */
static void
add_segment(struct sim_pipe *pipe, uint64_t until, enum sim_segment_kind kind)
{
	struct ot_sim_world *world = world_of(pipe);
	struct sim_segment *segment = OT_NEW(struct sim_segment);
	ot_mono_ns at = world->now + sim_net_delay(pipe->from, pipe->to);
	segment->at = pipe->last_at = OT_MAX(at, pipe->last_at + 1);
	segment->until = until;
	segment->kind = kind;
	ot_list_push_back(&pipe->segments, &segment->link);
	if (!sim_event_is_set(&pipe->deliver))
		sim_event_set(world, &pipe->deliver, first_segment(pipe)->at);
}

void
sim_pipe_send(struct sim_pipe *pipe, bool more_follows)
{
	struct ot_sim_world *world = world_of(pipe);
	if (pipe->written == pipe->sent || pipe->is_reset_sent)
		return;
	if (more_follows && sim_pipe_space(pipe) > 0) {
		if (!sim_event_is_set(&pipe->flush))
			sim_event_set(world, &pipe->flush, world->now + PIPE_FLUSH_NS);
		return;
	}
	sim_event_cancel(world, &pipe->flush);
	uint64_t bytes = pipe->written - pipe->sent;
	if (bytes > 1 && ot_sim_random_chance(&world->random, world->net.short_io)) {
		pipe->sent += ot_sim_random_between(&world->random, 1, bytes - 1);
		add_segment(pipe, pipe->sent, SIM_SEGMENT_DATA);
	}
	pipe->sent = pipe->written;
	add_segment(pipe, pipe->sent, SIM_SEGMENT_DATA);
}

static void
on_flush(struct sim_event *event)
{
	sim_pipe_send(OT_CONTAINER_OF(event, struct sim_pipe, flush), false);
}

void
sim_pipe_send_mark(struct sim_pipe *pipe, enum sim_segment_kind kind)
{
	if (pipe->is_reset_sent)
		return;
	if (kind == SIM_SEGMENT_END)
		sim_pipe_send(pipe, false);
	pipe->is_reset_sent = kind == SIM_SEGMENT_RESET;
	add_segment(pipe, pipe->sent, kind);
}

void
sim_pipe_stop(struct sim_pipe *pipe)
{
	struct ot_sim_world *world = world_of(pipe);
	sim_event_cancel(world, &pipe->deliver);
	sim_event_cancel(world, &pipe->ack);
	sim_event_cancel(world, &pipe->flush);
	while (!ot_list_is_empty(&pipe->segments))
		free_segment(first_segment(pipe));
}

/* ---- the way ---------------------------------------------------------------------------- */

/* The sender has tried long enough. A sender that is gone gives up at once: nobody sends again. */
static void
give_up(struct sim_pipe *pipe)
{
	int side = side_of(pipe);
	sim_pipe_stop(pipe);
	if (pipe->conn->ends[side].state == SIM_END_OPEN)
		sim_conn_break(pipe->conn, side, "give up");
}

static void
on_deliver(struct sim_event *event)
{
	struct sim_pipe *pipe = OT_CONTAINER_OF(event, struct sim_pipe, deliver);
	struct ot_sim_world *world = world_of(pipe);
	struct sim_conn *conn = pipe->conn;
	int side = side_of(pipe);
	struct sim_segment segment = *first_segment(pipe);
	if (sim_net_is_blocked(pipe->from, pipe->to)) {
		if (conn->ends[side].state == SIM_END_VANISHED ||
		    !sim_net_retry(world, &pipe->retry, event))
			give_up(pipe);
		return;
	}
	pipe->retry.pause_ns = 0;
	if (ot_sim_random_chance(&world->random, world->net.reset)) {
		sim_conn_reset(conn);
		return;
	}
	free_segment(first_segment(pipe));
	if (!ot_list_is_empty(&pipe->segments))
		sim_event_set(world, event, first_segment(pipe)->at);
	size_t bytes = (size_t)(segment.until - pipe->arrived);
	pipe->arrived = segment.until;
	pipe->has_ended = pipe->has_ended || segment.kind == SIM_SEGMENT_END;
	/* This may end the connection, so it is last. */
	sim_conn_arrive(conn, 1 - side, segment.kind, bytes);
}

/* ---- the receiver's end ----------------------------------------------------------------- */

size_t
sim_pipe_waiting(const struct sim_pipe *pipe)
{
	return (size_t)(pipe->arrived - pipe->read);
}

void
sim_pipe_take(struct sim_pipe *pipe, void *to, size_t bytes)
{
	OT_ASSERT(bytes <= sim_pipe_waiting(pipe));
	uint8_t *next = to;
	while (bytes > 0) {
		size_t place = (size_t)(pipe->read % pipe->ring_bytes);
		size_t part = OT_MIN(bytes, (size_t)pipe->ring_bytes - place);
		memcpy(next, pipe->ring + place, part);
		next += part;
		bytes -= part;
		pipe->read += part;
	}
}

void
sim_pipe_taken(struct sim_pipe *pipe)
{
	struct ot_sim_world *world = world_of(pipe);
	if (pipe->acked < pipe->read && !sim_event_is_set(&pipe->ack))
		sim_event_set(world, &pipe->ack, world->now + sim_net_delay(pipe->to, pipe->from));
}

void
sim_pipe_drop_unread(struct sim_pipe *pipe)
{
	pipe->read = pipe->arrived;
}

void
sim_pipe_probe(struct sim_pipe *pipe)
{
	if (pipe->from != NULL && pipe->ring != NULL && sim_pipe_space(pipe) == 0)
		sim_event_set(world_of(pipe), &pipe->ack, world_of(pipe)->now + 1);
}

static void
on_ack(struct sim_event *event)
{
	struct sim_pipe *pipe = OT_CONTAINER_OF(event, struct sim_pipe, ack);
	struct sim_end *sender = &pipe->conn->ends[side_of(pipe)];
	bool is_probe = pipe->conn->ends[1 - side_of(pipe)].state == SIM_END_VANISHED;
	if (sim_net_is_blocked(pipe->to, pipe->from) ||
	    (is_probe && sim_net_is_blocked(pipe->from, pipe->to))) {
		if (!sim_net_retry(world_of(pipe), &pipe->ack_retry, event))
			give_up(pipe);
		return;
	}
	pipe->ack_retry.pause_ns = 0;
	if (is_probe) {
		sim_conn_break(pipe->conn, side_of(pipe), "broken");
		return;
	}
	pipe->acked = pipe->read;
	if (sender->stream != NULL)
		sim_stream_touch(sender->stream);
}

/* ---- lifetime --------------------------------------------------------------------------- */

void
sim_pipe_init(struct sim_pipe *pipe, struct sim_conn *conn, struct ot_sim_host *from,
    struct ot_sim_host *to)
{
	struct ot_sim_world *world = conn->world;
	pipe->conn = conn;
	pipe->from = from;
	pipe->to = to;
	pipe->ring_bytes = ot_sim_random_between(&world->random, world->net.window_bytes_least,
	    world->net.window_bytes_most);
	ot_list_init(&pipe->segments);
	sim_event_init(&pipe->deliver, on_deliver);
	sim_event_init(&pipe->ack, on_ack);
	sim_event_init(&pipe->flush, on_flush);
}

void
sim_pipe_fini(struct sim_pipe *pipe)
{
	sim_pipe_stop(pipe);
	ot_free(pipe->ring);
}
