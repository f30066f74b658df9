/* Virtual time and the machines in it. */
#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "sim/world_int.h"

enum {
	WORLD_TRACE_EVENTS = 4096,
	WORLD_DRIFT_MOST = 100 * 1000,
};
/* 2026-01-01T00:00:00Z, when every world begins. */
#define WORLD_WALL_MS        1767225600000ll
#define WORLD_UPTIME_NS_MOST (1000 * OT_NS_PER_S)

static const struct ot_sim_net default_net = {
	.delay_ns_least = 50 * OT_NS_PER_US,
	.delay_ns_most = 2 * OT_NS_PER_MS,
	.spike_ns_most = 300 * OT_NS_PER_MS,
	.spike = 1000,
	.short_io = 50 * 1000,
	.spurious = 10 * 1000,
	.window_bytes_least = 16 * 1024,
	.window_bytes_most = 256 * 1024,
	.patience_ns = 60 * OT_NS_PER_S,
};

static const struct ot_sim_cpu default_cpu = {
	.wake_ns_most = 50 * OT_NS_PER_US,
	.callback_ns_most = 10 * OT_NS_PER_US,
	.job_ns_most = 200 * OT_NS_PER_US,
};

struct world_call {
	struct sim_event event;
	struct ot_list link;
	struct ot_sim_world *world;
	void (*run)(void *arg);
	void *arg;
};

/* ---- events ----------------------------------------------------------------------------- */

void
sim_event_init(struct sim_event *event, void (*run)(struct sim_event *event))
{
	*event = (struct sim_event){ .run = run };
}

void
sim_event_set(struct ot_sim_world *world, struct sim_event *event, ot_mono_ns at)
{
	OT_ASSERT(event->run != NULL);
	ot_heap_remove(&world->events, &event->node);
	ot_heap_push(&world->events, &event->node, OT_MAX(at, world->now));
}

void
sim_event_cancel(struct ot_sim_world *world, struct sim_event *event)
{
	ot_heap_remove(&world->events, &event->node);
}

bool
sim_event_is_set(const struct sim_event *event)
{
	return event->node.place != OT_HEAP_NOWHERE;
}

void
sim_world_put(struct ot_sim_world *world, int32_t host, const char *verb, const char *what,
    uint64_t a, uint64_t b)
{
	const struct ot_sim_event event = { .at = world->now,
		.host = host,
		.verb = verb,
		.what = what,
		.a = a,
		.b = b };
	ot_sim_trace_put(world->trace, &event);
}

void
sim_world_switch(struct ot_sim_world *world, struct ot_io *io)
{
	if (world->on_switch != NULL)
		world->on_switch(world->on_switch_arg, io);
}

/* ---- the world -------------------------------------------------------------------------- */

struct ot_sim_world *
ot_sim_world_create(uint64_t seed)
{
	struct ot_sim_world *world = OT_NEW(struct ot_sim_world);
	ot_sim_random_init(&world->random, seed);
	world->scenario_random = ot_sim_random_fork(&world->random, 1);
	world->trace = ot_sim_trace_create(seed, WORLD_TRACE_EVENTS);
	ot_sim_trace_watch(world->trace);
	ot_heap_init(&world->events);
	world->net = default_net;
	world->cpu = default_cpu;
	world->hosts = ot_must_alloc(SIM_HOSTS_MAX * sizeof(struct ot_sim_host *));
	world->cuts = ot_must_alloc((size_t)SIM_HOSTS_MAX * SIM_HOSTS_MAX);
	ot_list_init(&world->conns);
	ot_list_init(&world->calls);
	return world;
}

static void
host_destroy(struct ot_sim_host *host)
{
	OT_ASSERT(host->io_count == 0 && ot_list_is_empty(&host->listeners));
	ot_sim_disk_on_stop(host->disk, NULL, NULL);
	sim_event_cancel(host->world, &host->crash);
	ot_sim_disk_destroy(host->disk);
	ot_free(host);
}

void
ot_sim_world_destroy(struct ot_sim_world *world)
{
	if (world == NULL)
		return;
	OT_ASSERT(world->running == NULL);
	sim_net_destroy(world);
	for (uint32_t i = 0; i < world->host_count; i++)
		host_destroy(world->hosts[i]);
	OT_LIST_FOREACH_SAFE(link, &world->calls) {
		struct world_call *call = OT_CONTAINER_OF(link, struct world_call, link);
		sim_event_cancel(world, &call->event);
		ot_free(call);
	}
	OT_ASSERT(ot_heap_first(&world->events) == NULL);
	ot_heap_fini(&world->events);
	ot_free(world->hosts);
	ot_free(world->cuts);
	ot_sim_trace_destroy(world->trace);
	ot_free(world);
}

struct ot_sim_trace *
ot_sim_world_trace(struct ot_sim_world *world)
{
	return world->trace;
}

ot_mono_ns
ot_sim_world_now(const struct ot_sim_world *world)
{
	return world->now;
}

struct ot_sim_random *
ot_sim_world_random(struct ot_sim_world *world)
{
	return &world->scenario_random;
}

void
ot_sim_world_set_net(struct ot_sim_world *world, const struct ot_sim_net *net)
{
	OT_ASSERT(net->delay_ns_least <= net->delay_ns_most);
	OT_ASSERT(net->window_bytes_least > 0);
	OT_ASSERT(net->window_bytes_least <= net->window_bytes_most);
	world->net = *net;
}

struct ot_sim_net
ot_sim_world_net(const struct ot_sim_world *world)
{
	return world->net;
}

void
ot_sim_world_set_cpu(struct ot_sim_world *world, const struct ot_sim_cpu *cpu)
{
	world->cpu = *cpu;
}

void
ot_sim_world_on_switch(struct ot_sim_world *world, void (*on_switch)(void *arg, struct ot_io *io),
    void *arg)
{
	world->on_switch = on_switch;
	world->on_switch_arg = arg;
}

static void
run_call(struct sim_event *event)
{
	struct world_call *call = OT_CONTAINER_OF(event, struct world_call, event);
	struct world_call copy = *call;
	ot_list_remove(&call->link);
	ot_free(call);
	copy.run(copy.arg);
}

void
ot_sim_world_at(struct ot_sim_world *world, ot_mono_ns at, void (*run)(void *arg), void *arg)
{
	struct world_call *call = OT_NEW(struct world_call);
	sim_event_init(&call->event, run_call);
	call->world = world;
	call->run = run;
	call->arg = arg;
	ot_list_push_back(&world->calls, &call->link);
	sim_event_set(world, &call->event, at);
}

void
ot_sim_world_in_ms(struct ot_sim_world *world, uint64_t ms, void (*run)(void *arg), void *arg)
{
	ot_sim_world_at(world, world->now + ms * OT_NS_PER_MS, run, arg);
}

bool
ot_sim_world_step(struct ot_sim_world *world)
{
	struct ot_heap_node *node = ot_heap_first(&world->events);
	if (node == NULL)
		return false;
	OT_ASSERT(world->running == NULL && node->key >= world->now);
	world->now = node->key;
	ot_heap_remove(&world->events, node);
	struct sim_event *event = OT_CONTAINER_OF(node, struct sim_event, node);
	event->run(event);
	return true;
}

void
ot_sim_world_run_for_ms(struct ot_sim_world *world, uint64_t ms)
{
	ot_mono_ns until = world->now + ms * OT_NS_PER_MS;
	struct ot_heap_node *node;
	while ((node = ot_heap_first(&world->events)) != NULL && node->key <= until)
		ot_sim_world_step(world);
	world->now = until;
}

bool
ot_sim_world_run_until(struct ot_sim_world *world, bool (*holds)(void *arg), void *arg,
    uint64_t ms_most)
{
	ot_mono_ns until = world->now + ms_most * OT_NS_PER_MS;
	while (!holds(arg)) {
		struct ot_heap_node *node = ot_heap_first(&world->events);
		if (node == NULL || node->key > until)
			return false;
		ot_sim_world_step(world);
	}
	return true;
}

/* ---- clocks ----------------------------------------------------------------------------- */

/* A span of world time on the machine's clocks. */
static uint64_t
stretch(const struct ot_sim_host *host, uint64_t span)
{
	int64_t ppm = host->drift_per_million;
	int64_t whole = (int64_t)(span / OT_SIM_MILLION) * ppm;
	int64_t part = (int64_t)(span % OT_SIM_MILLION) * ppm / OT_SIM_MILLION;
	return (uint64_t)((int64_t)span + whole + part);
}

ot_mono_ns
sim_host_mono_at(const struct ot_sim_host *host, ot_mono_ns world)
{
	OT_ASSERT(world >= host->base_world);
	return host->base_mono + stretch(host, world - host->base_world);
}

/* The first moment of world time at which the machine's clock shows `mono`, or a little later. */
ot_mono_ns
sim_host_world_at(const struct ot_sim_host *host, ot_mono_ns mono)
{
	ot_mono_ns world = OT_MAX(host->world->now, host->base_world);
	for (;;) {
		ot_mono_ns shown = sim_host_mono_at(host, world);
		if (shown >= mono)
			return world;
		/* A clock that runs fast gets there sooner, so the step must not be too long. */
		uint64_t step = mono - shown;
		if (host->drift_per_million > 0)
			step -= step / 8;
		world += OT_MAX(step, 1u);
	}
}

void
sim_host_set_time(struct ot_sim_host *host, ot_mono_ns world)
{
	host->clock.world = world;
	host->clock.mono = sim_host_mono_at(host, world);
	int64_t wall_ns = host->base_wall_ns + (int64_t)(host->clock.mono - host->base_mono);
	host->clock.wall = wall_ns / OT_NS_PER_MS;
}

/* Begins a new stretch of the machine's time, so that what changes now changes nothing before. */
static void
rebase_clock(struct ot_sim_host *host)
{
	ot_mono_ns mono = sim_host_mono_at(host, host->world->now);
	host->base_wall_ns += (int64_t)(mono - host->base_mono);
	host->base_mono = mono;
	host->base_world = host->world->now;
}

void
ot_sim_host_jump_ms(struct ot_sim_host *host, int64_t ms)
{
	rebase_clock(host);
	host->base_wall_ns += ms * OT_NS_PER_MS;
	sim_host_set_time(host, host->world->now);
	sim_world_put(host->world, host->index, "jump", NULL, (uint64_t)ms, 0);
}

void
ot_sim_host_drift(struct ot_sim_host *host, int32_t per_million)
{
	OT_ASSERT(per_million <= WORLD_DRIFT_MOST && per_million >= -WORLD_DRIFT_MOST);
	rebase_clock(host);
	host->drift_per_million = per_million;
	sim_world_put(host->world, host->index, "drift", NULL, (uint64_t)(int64_t)per_million, 0);
}

/* ---- machines --------------------------------------------------------------------------- */

static void finish_crash(struct sim_event *event);

static void
on_disk_stop(void *arg)
{
	ot_sim_host_crash(arg, OT_SIM_POWER_LOST);
}

static void
start_clock(struct ot_sim_host *host)
{
	host->base_world = host->world->now;
	host->base_mono =
	    OT_NS_PER_S + ot_sim_random_below(&host->world->random, WORLD_UPTIME_NS_MOST);
}

struct ot_sim_host *
ot_sim_host_create(struct ot_sim_world *world, const char *address)
{
	OT_ASSERT(world->host_count < SIM_HOSTS_MAX);
	for (uint32_t i = 0; i < world->host_count; i++)
		OT_ASSERT(strcmp(world->hosts[i]->address, address) != 0);
	struct ot_sim_host *host = OT_NEW(struct ot_sim_host);
	host->world = world;
	host->index = (int32_t)world->host_count;
	snprintf(host->address, sizeof(host->address), "%s", address);
	host->random = ot_sim_random_fork(&world->random, (uint64_t)host->index);
	host->disk = ot_sim_disk_create(ot_sim_random_u64(&world->random));
	ot_sim_disk_attach(host->disk, world->trace, host->index, &host->clock);
	ot_sim_disk_on_stop(host->disk, on_disk_stop, host);
	ot_list_init(&host->ios);
	ot_list_init(&host->listeners);
	ot_list_init(&host->arrivals);
	sim_event_init(&host->crash, finish_crash);
	start_clock(host);
	host->base_wall_ns = (WORLD_WALL_MS + (int64_t)(world->now / OT_NS_PER_MS)) * OT_NS_PER_MS;
	sim_host_set_time(host, world->now);
	host->is_up = true;
	world->hosts[world->host_count++] = host;
	sim_world_put(world, host->index, "host", address, 0, 0);
	return host;
}

struct ot_sim_disk *
ot_sim_host_disk(struct ot_sim_host *host)
{
	return host->disk;
}

struct ot_fs *
ot_sim_host_fs(struct ot_sim_host *host)
{
	sim_host_set_time(host, host->world->now);
	return ot_sim_disk_fs(host->disk);
}

const char *
ot_sim_host_address(const struct ot_sim_host *host)
{
	return host->address;
}

int32_t
ot_sim_host_index(const struct ot_sim_host *host)
{
	return host->index;
}

bool
ot_sim_host_is_up(const struct ot_sim_host *host)
{
	return host->is_up;
}

bool
sim_host_is_alive(const struct ot_sim_host *host)
{
	return host->is_up && !host->is_crashing;
}

void
ot_sim_host_crash(struct ot_sim_host *host, enum ot_sim_stop how)
{
	if (!sim_host_is_alive(host))
		return;
	host->is_crashing = true;
	host->crash_how = how;
	ot_sim_disk_stop(host->disk);
	OT_LIST_FOREACH(link, &host->ios)
		sim_io_halt(OT_CONTAINER_OF(link, struct sim_io, link));
	if (host->world->running == host)
		sim_event_set(host->world, &host->crash, host->world->now);
	else
		finish_crash(&host->crash);
}

static void
finish_crash(struct sim_event *event)
{
	struct ot_sim_host *host = OT_CONTAINER_OF(event, struct ot_sim_host, crash);
	OT_ASSERT(host->is_crashing);
	host->is_up = false;
	host->is_crashing = false;
	host->is_silent = host->crash_how == OT_SIM_POWER_LOST;
	host->frozen_until = 0;
	sim_world_put(host->world, host->index, host->is_silent ? "power off" : "kill", NULL, 0, 0);
	sim_net_host_down(host, host->crash_how);
	if (host->on_crash != NULL)
		host->on_crash(host->on_crash_arg);
}

void
ot_sim_host_on_crash(struct ot_sim_host *host, void (*on_crash)(void *arg), void *arg)
{
	host->on_crash = on_crash;
	host->on_crash_arg = arg;
}

void
ot_sim_host_drain(struct ot_sim_host *host)
{
	OT_ASSERT(!sim_host_is_alive(host));
	/* A crash in the middle of a turn leaves messages that were not sent, so each thread ends
	 * one turn at least. */
	bool is_first = true, did_any;
	do {
		did_any = is_first;
		OT_LIST_FOREACH(link, &host->ios)
			did_any |=
			    sim_io_drain(OT_CONTAINER_OF(link, struct sim_io, link), is_first);
		is_first = false;
	} while (did_any);
}

void
ot_sim_host_restart(struct ot_sim_host *host)
{
	OT_ASSERT(!host->is_up && !host->is_crashing && host->io_count == 0);
	if (host->crash_how == OT_SIM_POWER_LOST) {
		rebase_clock(host);
		start_clock(host);
	}
	sim_host_set_time(host, host->world->now);
	ot_sim_disk_restart(host->disk, host->crash_how);
	host->is_up = true;
	host->is_silent = false;
	sim_world_put(host->world, host->index, "start", host->address, 0, 0);
}

bool
ot_sim_host_is_frozen(const struct ot_sim_host *host)
{
	return host->frozen_until > host->world->now;
}

void
ot_sim_host_freeze_ms(struct ot_sim_host *host, uint64_t ms)
{
	ot_mono_ns until = host->world->now + ms * OT_NS_PER_MS;
	host->frozen_until = OT_MAX(host->frozen_until, until);
	sim_world_put(host->world, host->index, "freeze", NULL, ms, 0);
}
