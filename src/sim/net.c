/* Connections between simulated machines, and the ways that can be cut.
 *
 * A connection is two pipes and two ends:
 *
 *   SYN ----> listener found: the accepted end is there, ANSWER goes back --> MADE
 *        \--> nobody listens: REFUSAL goes back --> the connecting end is broken
 *
 * An end is open, broken (its stream learns so), closed by its owner, or vanished with its
 * machine's power. What arrives at an end that is gone is answered by a reset. A connection is
 * freed when neither end is anybody's.
 */
#include "sim/world_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum {
	NET_LOCAL_NS_LEAST = 5 * OT_NS_PER_US,
	NET_LOCAL_NS_MOST = 60 * OT_NS_PER_US,
	NET_RETRY_NS_FIRST = 200 * OT_NS_PER_MS,
};
#define NET_RETRY_NS_MOST (5 * OT_NS_PER_S)

/* ---- ways ------------------------------------------------------------------------------- */

uint64_t
sim_net_delay(struct ot_sim_host *from, struct ot_sim_host *to)
{
	struct ot_sim_world *world = from != NULL ? from->world : to->world;
	const struct ot_sim_net *net = &world->net;
	if (from == to) {
		return ot_sim_random_between(&world->random, NET_LOCAL_NS_LEAST, NET_LOCAL_NS_MOST);
	}
	uint64_t delay =
	    ot_sim_random_between(&world->random, net->delay_ns_least, net->delay_ns_most);
	if (ot_sim_random_chance(&world->random, net->spike))
		delay += ot_sim_random_between(&world->random, 0, net->spike_ns_most);
	return delay;
}

static uint8_t *
cut_of(const struct ot_sim_host *from, const struct ot_sim_host *to)
{
	OT_ASSERT(from->world == to->world);
	return &from->world->cuts[from->index * SIM_HOSTS_MAX + to->index];
}

/* No machine has the address, the way is cut, or nobody is there to receive. */
bool
sim_net_is_blocked(const struct ot_sim_host *from, const struct ot_sim_host *to)
{
	return to == NULL || from == NULL || to->is_silent || *cut_of(from, to) != 0;
}

bool
sim_net_retry(struct ot_sim_world *world, struct sim_retry *retry, struct sim_event *event)
{
	if (retry->pause_ns == 0)
		*retry = (struct sim_retry){ .since = world->now, .pause_ns = NET_RETRY_NS_FIRST };
	else
		retry->pause_ns = OT_MIN(retry->pause_ns * 2, NET_RETRY_NS_MOST);
	if (world->now - retry->since > world->net.patience_ns)
		return false;
	uint64_t jitter = ot_sim_random_below(&world->random, retry->pause_ns / 4);
	sim_event_set(world, event, world->now + retry->pause_ns + jitter);
	return true;
}

void
ot_sim_net_cut(struct ot_sim_host *from, struct ot_sim_host *to)
{
	OT_ASSERT(from != to);
	*cut_of(from, to) = 1;
	sim_world_put(from->world, from->index, "cut", to->address, 0, 0);
}

void
ot_sim_net_heal(struct ot_sim_host *from, struct ot_sim_host *to)
{
	*cut_of(from, to) = 0;
	sim_world_put(from->world, from->index, "heal", to->address, 0, 0);
}

bool
ot_sim_net_is_cut(const struct ot_sim_host *from, const struct ot_sim_host *to)
{
	return *cut_of(from, to) != 0;
}

void
ot_sim_net_isolate(struct ot_sim_host *host)
{
	for (uint32_t i = 0; i < host->world->host_count; i++) {
		struct ot_sim_host *other = host->world->hosts[i];
		if (other == host)
			continue;
		ot_sim_net_cut(host, other);
		ot_sim_net_cut(other, host);
	}
}

void
ot_sim_net_heal_all(struct ot_sim_world *world)
{
	memset(world->cuts, 0, (size_t)SIM_HOSTS_MAX * SIM_HOSTS_MAX);
	sim_world_put(world, -1, "heal all", NULL, 0, 0);
}

/* ---- connections ------------------------------------------------------------------------ */

static void
put_event(struct sim_conn *conn, int side, const char *verb, uint64_t a)
{
	const struct ot_sim_host *host = conn->ends[side].host;
	sim_world_put(conn->world, host != NULL ? host->index : -1, verb, conn->name, a, 0);
}

static bool
is_nobodys(const struct sim_end *end)
{
	return end->stream == NULL && (end->state == SIM_END_NONE || end->state == SIM_END_CLOSED ||
					  end->state == SIM_END_VANISHED);
}

static void
free_conn(struct sim_conn *conn)
{
	for (int i = 0; i < 2; i++) {
		ot_list_remove(&conn->ends[i].arrival);
		ot_list_remove(&conn->ends[i].backlog);
		sim_pipe_fini(&conn->pipes[i]);
	}
	sim_event_cancel(conn->world, &conn->handshake);
	ot_list_remove(&conn->link);
	conn->world->conn_count--;
	ot_free(conn);
}

static void
free_if_nobodys(struct sim_conn *conn)
{
	if (!conn->is_held && is_nobodys(&conn->ends[0]) && is_nobodys(&conn->ends[1]))
		free_conn(conn);
}

static void
touch(struct sim_conn *conn, int side)
{
	if (conn->ends[side].stream != NULL)
		sim_stream_touch(conn->ends[side].stream);
}

void
sim_conn_break(struct sim_conn *conn, int side, const char *why)
{
	struct sim_end *end = &conn->ends[side];
	if (end->state != SIM_END_OPEN && end->state != SIM_END_CONNECTING)
		return;
	end->state = SIM_END_BROKEN;
	put_event(conn, side, why, 0);
	sim_pipe_stop(&conn->pipes[side]);
	/* Hosts differ in what can still be read after a reset. */
	if (ot_sim_random_below(&conn->world->random, 2) == 0)
		sim_pipe_drop_unread(&conn->pipes[1 - side]);
	touch(conn, side);
}

void
sim_conn_reset(struct sim_conn *conn)
{
	sim_pipe_stop(&conn->pipes[0]);
	sim_pipe_stop(&conn->pipes[1]);
	sim_conn_break(conn, 0, "reset");
	sim_conn_break(conn, 1, "reset");
	free_if_nobodys(conn);
}

/* A segment has arrived at an end. */
void
sim_conn_arrive(struct sim_conn *conn, int side, enum sim_segment_kind kind, size_t bytes)
{
	static const char *const verbs[] = {
		[SIM_SEGMENT_DATA] = "deliver",
		[SIM_SEGMENT_END] = "end",
		[SIM_SEGMENT_RESET] = "reset",
	};
	struct sim_end *end = &conn->ends[side];
	put_event(conn, side, verbs[kind], bytes);
	switch (end->state) {
	case SIM_END_CONNECTING:
		/* The answer to the handshake was slower than what followed it. */
		end->state = SIM_END_OPEN;
		conn->phase = SIM_CONN_MADE;
		sim_event_cancel(conn->world, &conn->handshake);
		break;
	case SIM_END_OPEN:
	case SIM_END_BROKEN:
		break;
	case SIM_END_NONE:
	case SIM_END_CLOSED:
	case SIM_END_VANISHED:
		if (kind == SIM_SEGMENT_DATA || end->state == SIM_END_VANISHED)
			sim_pipe_send_mark(&conn->pipes[side], SIM_SEGMENT_RESET);
		return;
	}
	if (kind == SIM_SEGMENT_RESET)
		sim_conn_break(conn, side, "broken");
	touch(conn, side);
}

/* ---- making a connection ---------------------------------------------------------------- */

static void
arrive_at_listener(struct sim_conn *conn)
{
	struct sim_end *end = &conn->ends[1];
	struct sim_listener *listener = sim_listener_find(end->host, &end->address);
	conn->phase = listener != NULL ? SIM_CONN_ANSWER : SIM_CONN_REFUSAL;
	put_event(conn, 1, listener != NULL ? "accept" : "refuse", 0);
	if (listener != NULL) {
		end->state = SIM_END_OPEN;
		end->handle = ++conn->world->next_handle;
		ot_list_push_back(&end->host->arrivals, &end->arrival);
		sim_listener_touch(listener, &end->backlog);
	}
	sim_event_set(conn->world, &conn->handshake,
	    conn->world->now + sim_net_delay(end->host, conn->ends[0].host));
}

static void
on_handshake(struct sim_event *event)
{
	struct sim_conn *conn = OT_CONTAINER_OF(event, struct sim_conn, handshake);
	bool is_going = conn->phase == SIM_CONN_SYN;
	struct ot_sim_host *from = conn->ends[is_going ? 0 : 1].host;
	struct ot_sim_host *to = conn->ends[is_going ? 1 : 0].host;
	if (conn->ends[0].state != SIM_END_CONNECTING)
		return;
	if (sim_net_is_blocked(from, to)) {
		if (!sim_net_retry(conn->world, &conn->retry, event))
			sim_conn_break(conn, 0, "give up");
		return;
	}
	conn->retry.pause_ns = 0;
	if (is_going) {
		arrive_at_listener(conn);
		return;
	}
	if (conn->phase == SIM_CONN_REFUSAL) {
		sim_conn_break(conn, 0, "refused");
		return;
	}
	conn->phase = SIM_CONN_MADE;
	conn->ends[0].state = SIM_END_OPEN;
	put_event(conn, 0, "connected", 0);
	touch(conn, 0);
}

static void
init_end(struct sim_end *end, struct ot_sim_host *host)
{
	end->host = host;
	ot_list_init(&end->arrival);
	ot_list_init(&end->backlog);
}

struct sim_conn *
sim_conn_create(struct ot_sim_host *from, struct ot_sim_host *to, const struct ot_address *address)
{
	struct sim_conn *conn = OT_NEW(struct sim_conn);
	conn->world = from->world;
	init_end(&conn->ends[0], from);
	init_end(&conn->ends[1], to);
	conn->ends[0].state = SIM_END_CONNECTING;
	snprintf(conn->ends[0].address.host, sizeof(conn->ends[0].address.host), "%s",
	    from == to ? address->host : from->address);
	conn->ends[0].address.port = sim_host_take_port(from);
	conn->ends[1].address = *address;
	snprintf(conn->name, sizeof(conn->name), "%.40s:%u>%.40s:%u", conn->ends[0].address.host,
	    conn->ends[0].address.port, address->host, address->port);
	sim_pipe_init(&conn->pipes[0], conn, from, to);
	sim_pipe_init(&conn->pipes[1], conn, to, from);
	ot_list_push_back(&conn->world->conns, &conn->link);
	conn->world->conn_count++;
	sim_event_init(&conn->handshake, on_handshake);
	sim_event_set(conn->world, &conn->handshake, conn->world->now + sim_net_delay(from, to));
	put_event(conn, 0, "connect", 0);
	return conn;
}

/* ---- ending a connection ---------------------------------------------------------------- */

static void
leave(struct sim_conn *conn, int side, enum sim_end_state state)
{
	struct sim_end *end = &conn->ends[side];
	end->state = state;
	end->stream = NULL;
	ot_list_remove(&end->arrival);
	ot_list_remove(&end->backlog);
}

void
sim_conn_close(struct sim_conn *conn, int side)
{
	struct sim_end *end = &conn->ends[side];
	enum sim_end_state before = end->state;
	bool is_unread = sim_pipe_waiting(&conn->pipes[1 - side]) > 0;
	bool is_halfway = before == SIM_END_CONNECTING && conn->phase == SIM_CONN_ANSWER;
	put_event(conn, side, "close", is_unread);
	leave(conn, side, SIM_END_CLOSED);
	/* As TCP does: bytes that nobody will read are a reset, not an end. */
	if (is_halfway || (before == SIM_END_OPEN && is_unread))
		sim_pipe_send_mark(&conn->pipes[side], SIM_SEGMENT_RESET);
	else if (before == SIM_END_OPEN)
		sim_pipe_send_mark(&conn->pipes[side], SIM_SEGMENT_END);
	free_if_nobodys(conn);
}

void
sim_conn_vanish(struct sim_conn *conn, int side)
{
	sim_event_cancel(conn->world, &conn->pipes[side].flush);
	leave(conn, side, SIM_END_VANISHED);
	sim_pipe_probe(&conn->pipes[1 - side]);
	free_if_nobodys(conn);
}

static void
lose_end(struct sim_conn *conn, int side, enum ot_sim_stop how)
{
	struct sim_end *end = &conn->ends[side];
	if (is_nobodys(end))
		return;
	if (end->stream != NULL)
		sim_stream_detach(end->stream);
	if (how == OT_SIM_KILLED)
		sim_conn_close(conn, side);
	else
		sim_conn_vanish(conn, side);
}

void
sim_net_host_down(struct ot_sim_host *host, enum ot_sim_stop how)
{
	OT_LIST_FOREACH_SAFE(link, &host->world->conns) {
		struct sim_conn *conn = OT_CONTAINER_OF(link, struct sim_conn, link);
		conn->is_held = true;
		for (int side = 0; side < 2; side++) {
			if (conn->ends[side].host == host)
				lose_end(conn, side, how);
		}
		conn->is_held = false;
		free_if_nobodys(conn);
	}
}

void
sim_net_destroy(struct ot_sim_world *world)
{
	OT_LIST_FOREACH_SAFE(link, &world->conns)
		free_conn(OT_CONTAINER_OF(link, struct sim_conn, link));
}

static bool
is_between(const struct sim_conn *conn, const struct ot_sim_host *a, const struct ot_sim_host *b)
{
	const struct ot_sim_host *from = conn->ends[0].host, *to = conn->ends[1].host;
	return (from == a && to == b) || (from == b && to == a);
}

bool
ot_sim_net_reset_one(struct ot_sim_host *a, struct ot_sim_host *b)
{
	struct ot_sim_world *world = a->world;
	struct sim_conn *chosen = NULL;
	uint64_t count = 0;
	OT_LIST_FOREACH(link, &world->conns) {
		struct sim_conn *conn = OT_CONTAINER_OF(link, struct sim_conn, link);
		if (!is_between(conn, a, b))
			continue;
		if (ot_sim_random_below(&world->random, ++count) == 0)
			chosen = conn;
	}
	if (chosen != NULL)
		sim_conn_reset(chosen);
	return chosen != NULL;
}

uint32_t
ot_sim_net_connection_count(const struct ot_sim_world *world)
{
	return world->conn_count;
}
