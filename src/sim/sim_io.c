/* The threads of a simulated machine: turns, timers and jobs. */
#include "sim/sim_io.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "sim/world_int.h"

static void
push_front(struct ot_list *list, struct ot_list *node)
{
	ot_list_push_back(list->next, node);
}

/* ---- time ------------------------------------------------------------------------------- */

/* What has passed in world time since the turn began, by what was done in it. */
static uint64_t
turn_elapsed(struct sim_io *io)
{
	io->turn_cost_ns += ot_sim_disk_take_cost(io->host->disk);
	return io->turn_cost_ns;
}

static ot_mono_ns
sim_now(struct ot_io *base, bool exact)
{
	struct sim_io *io = sim_io_of(base);
	struct ot_sim_host *host = io->host;
	uint64_t elapsed = host->world->running == host ? turn_elapsed(io) : 0;
	if (exact)
		io->now = sim_host_mono_at(host, host->world->now + elapsed);
	/* Outside of a turn (a scenario's code, before the first one) time has gone on as well. */
	else if (host->world->running != host)
		io->now = OT_MAX(io->now, sim_host_mono_at(host, host->world->now));
	return io->now;
}

static ot_wall_ms
sim_wall(struct ot_io *base)
{
	struct ot_sim_host *host = sim_io_of(base)->host;
	sim_host_set_time(host, host->world->now);
	return host->clock.wall;
}

static void
sim_random(struct ot_io *base, void *to, size_t bytes)
{
	ot_sim_random_fill(&sim_io_of(base)->host->random, to, bytes);
}

/* ---- turns ------------------------------------------------------------------------------ */

void
sim_io_wake_at(struct sim_io *io, ot_mono_ns at)
{
	if (!sim_host_is_alive(io->host))
		return;
	if (!sim_event_is_set(&io->turn) || io->turn.node.key > at)
		sim_event_set(io->host->world, &io->turn, at);
}

void
sim_io_wake(struct sim_io *io)
{
	struct ot_sim_world *world = io->host->world;
	uint64_t delay = ot_sim_random_below(&world->random, world->cpu.wake_ns_most + 1);
	sim_io_wake_at(io, world->now + delay);
}

static void
sim_wake_at(struct ot_io *base, ot_mono_ns deadline)
{
	struct sim_io *io = sim_io_of(base);
	sim_io_wake_at(io, sim_host_world_at(io->host, deadline));
}

static void
sim_ring(struct ot_io *base)
{
	sim_io_of(base)->is_rung = true;
	sim_io_wake(sim_io_of(base));
}

/* Ends the last callback's account; false when the machine stopped meanwhile. */
static bool
goes_on(struct sim_io *io)
{
	struct ot_sim_world *world = io->host->world;
	io->turn_cost_ns += ot_sim_random_below(&world->random, world->cpu.callback_ns_most + 1);
	return sim_host_is_alive(io->host);
}

/* Moves the nodes to a list of this turn: what becomes ready from now on waits for the next. */
static void
take_all(struct ot_list *from, struct ot_list *ret_list)
{
	ot_list_init(ret_list);
	if (ot_list_is_empty(from))
		return;
	*ret_list = *from;
	ret_list->next->prev = ret_list;
	ret_list->prev->next = ret_list;
	ot_list_init(from);
}

static void
run_streams(struct sim_io *io)
{
	struct ot_list batch;
	take_all(&io->ready_streams, &batch);
	while (!ot_list_is_empty(&batch)) {
		struct ot_list *link = batch.next;
		ot_list_remove(link);
		if (sim_host_is_alive(io->host))
			sim_stream_run(sim_stream_of_ready(link));
		goes_on(io);
	}
}

static void
run_listeners(struct sim_io *io)
{
	struct ot_list batch;
	take_all(&io->ready_listeners, &batch);
	while (!ot_list_is_empty(&batch)) {
		struct ot_list *link = batch.next;
		ot_list_remove(link);
		if (goes_on(io))
			sim_listener_run(link);
	}
}

static void
finish_job(struct sim_io *io, struct sim_job *job)
{
	struct ot_job *done = job->job;
	ot_list_remove(&job->link);
	io->job_count--;
	ot_free(job);
	done->done(done);
}

static void
run_done_jobs(struct sim_io *io)
{
	struct ot_list batch;
	take_all(&io->done_jobs, &batch);
	while (!ot_list_is_empty(&batch)) {
		struct ot_list *link = batch.next;
		struct sim_job *job = OT_CONTAINER_OF(link, struct sim_job, link);
		if (goes_on(io)) {
			finish_job(io, job);
			continue;
		}
		ot_list_remove(link);
		ot_list_push_back(&io->done_jobs, link);
	}
}

/* What is ready, the kinds in an order by seed. */
static void
run_ready(struct sim_io *io)
{
	static void (*const kinds[])(struct sim_io *) = {
		run_streams,
		run_done_jobs,
		run_listeners,
	};
	enum { KINDS = OT_ARRAY_COUNT(kinds) };
	uint64_t first = ot_sim_random_below(&io->host->world->random, KINDS);
	for (uint64_t i = 0; i < KINDS && sim_host_is_alive(io->host); i++)
		kinds[(first + i) % KINDS](io);
}

static void
plan_next_turn(struct sim_io *io)
{
	bool is_ready = !ot_list_is_empty(&io->ready_streams) ||
	                !ot_list_is_empty(&io->done_jobs) ||
	                !ot_list_is_empty(&io->ready_listeners);
	if (is_ready || io->is_rung)
		sim_io_wake_at(io, io->busy_until);
	ot_mono_ns deadline = ot_io_next_deadline(&io->io);
	if (deadline != UINT64_MAX)
		sim_io_wake_at(io, sim_host_world_at(io->host, deadline));
}

static void
run_turn(struct sim_event *event)
{
	struct sim_io *io = OT_CONTAINER_OF(event, struct sim_io, turn);
	struct ot_sim_host *host = io->host;
	struct ot_sim_world *world = host->world;
	ot_mono_ns earliest = OT_MAX(io->busy_until, host->frozen_until);
	if (world->now < earliest) {
		sim_event_set(world, &io->turn, earliest);
		return;
	}
	world->running = host;
	sim_host_set_time(host, world->now);
	io->now = host->clock.mono;
	io->turn_cost_ns = 0;
	io->is_rung = false;
	(void)ot_sim_disk_take_cost(host->disk);
	sim_world_switch(world, &io->io);
	ot_io_expire(&io->io, io->now);
	if (goes_on(io))
		run_ready(io);
	if (goes_on(io) && io->io.on_turn_end != NULL)
		io->io.on_turn_end(io->io.turn_arg);
	sim_world_switch(world, NULL);
	io->busy_until = world->now + turn_elapsed(io);
	world->running = NULL;
	ot_sim_trace_mix(world->trace, io->busy_until);
	if (sim_host_is_alive(host))
		plan_next_turn(io);
}

/* ---- jobs ------------------------------------------------------------------------------- */

static void
end_job(struct sim_event *event)
{
	struct sim_job *job = OT_CONTAINER_OF(event, struct sim_job, event);
	ot_list_remove(&job->link);
	if (ot_sim_random_below(&job->io->host->world->random, 2) == 0)
		push_front(&job->io->done_jobs, &job->link);
	else
		ot_list_push_back(&job->io->done_jobs, &job->link);
	sim_io_wake(job->io);
}

static void
work_job(struct sim_event *event)
{
	struct sim_job *job = OT_CONTAINER_OF(event, struct sim_job, event);
	struct ot_sim_host *host = job->io->host;
	struct ot_sim_world *world = host->world;
	if (world->now < host->frozen_until) {
		sim_event_set(world, event, host->frozen_until);
		return;
	}
	world->running = host;
	sim_host_set_time(host, world->now);
	(void)ot_sim_disk_take_cost(host->disk);
	sim_event_init(&job->event, end_job);
	job->job->work(job->job);
	uint64_t cost = ot_sim_disk_take_cost(host->disk);
	world->running = NULL;
	ot_sim_trace_mix(world->trace, cost);
	if (sim_host_is_alive(host)) {
		sim_event_set(world, &job->event, world->now + cost);
		return;
	}
	/* The work was done, so a drain must not do it again. */
	ot_list_remove(&job->link);
	ot_list_push_back(&job->io->done_jobs, &job->link);
}

static void
sim_submit(struct ot_io *base, struct ot_job *work)
{
	struct sim_io *io = sim_io_of(base);
	struct ot_sim_world *world = io->host->world;
	struct sim_job *job = OT_NEW(struct sim_job);
	sim_event_init(&job->event, work_job);
	job->io = io;
	job->job = work;
	ot_list_push_back(&io->jobs, &job->link);
	io->job_count++;
	if (!sim_host_is_alive(io->host))
		return;
	uint64_t elapsed = world->running == io->host ? turn_elapsed(io) : 0;
	uint64_t delay = ot_sim_random_below(&world->random, world->cpu.job_ns_most + 1);
	sim_event_set(world, &job->event, world->now + elapsed + delay);
}

/* ---- ending ----------------------------------------------------------------------------- */

void
sim_io_halt(struct sim_io *io)
{
	sim_event_cancel(io->host->world, &io->turn);
	OT_LIST_FOREACH_SAFE(link, &io->jobs) {
		struct sim_job *job = OT_CONTAINER_OF(link, struct sim_job, link);
		sim_event_cancel(io->host->world, &job->event);
		if (job->event.run == work_job)
			continue;
		ot_list_remove(link);
		ot_list_push_back(&io->done_jobs, link);
	}
}

bool
sim_io_drain(struct sim_io *io, bool must_end_turn)
{
	struct ot_sim_world *world = io->host->world;
	bool did_any = io->is_rung;
	io->is_rung = false;
	while (io->job_count > 0) {
		did_any = true;
		OT_LIST_FOREACH_SAFE(link, &io->jobs) {
			struct sim_job *job = OT_CONTAINER_OF(link, struct sim_job, link);
			ot_list_remove(link);
			ot_list_push_back(&io->done_jobs, link);
			job->job->work(job->job);
		}
		struct ot_list *first = io->done_jobs.next;
		sim_world_switch(world, &io->io);
		finish_job(io, OT_CONTAINER_OF(first, struct sim_job, link));
		sim_world_switch(world, NULL);
	}
	if ((did_any || must_end_turn) && io->io.on_turn_end != NULL) {
		sim_world_switch(world, &io->io);
		io->io.on_turn_end(io->io.turn_arg);
		sim_world_switch(world, NULL);
	}
	return did_any;
}

struct ot_io *
ot_sim_io_create(struct ot_sim_host *host)
{
	OT_ASSERT(sim_host_is_alive(host));
	struct sim_io *io = OT_NEW(struct sim_io);
	ot_io_init(&io->io, &sim_io_ops, ot_sim_disk_fs(host->disk));
	io->host = host;
	io->now = sim_host_mono_at(host, host->world->now);
	sim_event_init(&io->turn, run_turn);
	ot_list_init(&io->ready_streams);
	ot_list_init(&io->done_jobs);
	ot_list_init(&io->ready_listeners);
	ot_list_init(&io->jobs);
	ot_list_push_back(&host->ios, &io->link);
	host->io_count++;
	/* A loop that starts turns once before it waits. */
	sim_io_wake(io);
	return &io->io;
}

void
ot_sim_io_destroy(struct ot_io *base)
{
	if (base == NULL)
		return;
	struct sim_io *io = sim_io_of(base);
	OT_ASSERT(io->host->world->running != io->host);
	OT_ASSERT(io->stream_count == 0 && io->listener_count == 0 && io->job_count == 0);
	sim_event_cancel(io->host->world, &io->turn);
	ot_list_remove(&io->link);
	io->host->io_count--;
	ot_io_fini(&io->io);
	ot_free(io);
}

uint32_t
ot_sim_io_stream_count(const struct ot_io *base)
{
	return sim_io_of(base)->stream_count;
}

uint32_t
ot_sim_io_job_count(const struct ot_io *base)
{
	return sim_io_of(base)->job_count;
}

struct ot_sim_host *
ot_sim_io_host(struct ot_io *base)
{
	return sim_io_of(base)->host;
}

const struct ot_io_ops sim_io_ops = {
	.now = sim_now,
	.wall = sim_wall,
	.random = sim_random,
	.wake_at = sim_wake_at,
	.submit = sim_submit,
	.ring = sim_ring,
	.listen = sim_listen,
	.listener_port = sim_listener_port,
	.listener_close = sim_listener_close,
	.listener_want = sim_listener_want,
	.accepted_drop = sim_accepted_drop,
	.adopt = sim_adopt,
	.connect = sim_connect,
	.read = sim_read,
	.write = sim_write,
	.send_file = sim_send_file,
	.want = sim_want,
	.close = sim_close,
};
