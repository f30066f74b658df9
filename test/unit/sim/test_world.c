/* Goal: simulated machines, clocks, threads and networks do what sim/world.h says.
 *
 * Method: small programs on simulated threads; each fault by example, over several seeds where it
 * is a matter of chance. */
#include "../test.h"

#include <stdio.h>

#include "sim/sim_io.h"

enum { SEEDS = 30, BUFFER_BYTES = 1 << 16, PORT = 9092 };

/* One end of a connection that keeps what it gets. */
struct end {
	struct ot_stream *stream;
	char got[BUFFER_BYTES];
	size_t got_bytes;
	bool has_ended;
	ot_mono_ns ended_at;
	struct ot_sim_world *world;
};

static void
end_on_readable(void *arg)
{
	struct end *end = arg;
	struct iovec piece = { .iov_base = end->got + end->got_bytes,
		.iov_len = BUFFER_BYTES - end->got_bytes };
	size_t bytes = 0;
	ot_err err = ot_stream_read(end->stream, &piece, 1, &bytes);
	if (err == OT_OK)
		end->got_bytes += bytes;
	if (err != OT_ERR_CLOSED)
		return;
	end->has_ended = true;
	end->ended_at = ot_sim_world_now(end->world);
	ot_stream_want(end->stream, false, false);
}

static void
end_on_writable(void *arg)
{
	struct end *end = arg;
	ot_stream_want(end->stream, true, false);
}

static const struct ot_stream_events end_events = { end_on_readable, end_on_writable };

static ot_err
send_text(struct end *end, const char *text)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	size_t bytes = 0;
	while (piece.iov_len > 0) {
		ot_err err = ot_stream_write(end->stream, &piece, 1, false, &bytes);
		if (err != OT_OK)
			return err;
		piece.iov_base = (char *)piece.iov_base + bytes;
		piece.iov_len -= bytes;
	}
	return OT_OK;
}

/* Two machines with a connection from b to a. */
struct town {
	struct ot_sim_world *world;
	struct ot_sim_host *a, *b;
	struct ot_io *io_a, *io_b;
	struct ot_listener *listener;
	struct end end_a, end_b;
};

static void
town_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct town *town = arg;
	assert_null(town->end_a.stream);
	assert_ok(
	    ot_io_adopt(town->io_a, accepted, &end_events, &town->end_a, &town->end_a.stream));
}

static bool
is_connected(void *arg)
{
	struct town *town = arg;
	return town->end_a.stream != NULL;
}

static void
town_open(struct town *town, uint64_t seed)
{
	memset(town, 0, sizeof(*town));
	town->world = ot_sim_world_create(seed);
	town->end_a.world = town->end_b.world = town->world;
	town->a = ot_sim_host_create(town->world, "10.0.0.1");
	town->b = ot_sim_host_create(town->world, "10.0.0.2");
	town->io_a = ot_sim_io_create(town->a);
	town->io_b = ot_sim_io_create(town->b);
	assert_ok(ot_io_listen(town->io_a, "", PORT, town_on_accept, town, &town->listener));
	const struct ot_address address = { .host = "10.0.0.1", .port = PORT };
	assert_ok(
	    ot_io_connect(town->io_b, &address, &end_events, &town->end_b, &town->end_b.stream));
	assert_true(ot_sim_world_run_until(town->world, is_connected, town, 5000));
	ot_sim_world_run_for_ms(town->world, 500);
}

static void
town_leave_a(struct town *town)
{
	ot_stream_close(town->end_a.stream);
	ot_listener_close(town->listener);
	ot_sim_io_destroy(town->io_a);
	town->end_a.stream = NULL;
	town->listener = NULL;
	town->io_a = NULL;
}

static void
town_close(struct town *town)
{
	town_leave_a(town);
	ot_stream_close(town->end_b.stream);
	ot_sim_io_destroy(town->io_b);
	ot_sim_world_destroy(town->world);
}

/* ---- clocks ----------------------------------------------------------------------------- */

static void
test_clocks_jump_and_drift(void **state)
{
	(void)state;
	struct ot_sim_world *world = ot_sim_world_create(1);
	struct ot_sim_host *host = ot_sim_host_create(world, "10.0.0.1");
	struct ot_io *io = ot_sim_io_create(host);
	ot_mono_ns mono = ot_io_now(io);
	ot_wall_ms wall = ot_io_wall(io);
	ot_sim_host_jump_ms(host, -3600 * 1000);
	assert_int_equal(ot_io_wall(io), wall - 3600 * 1000);
	assert_true(ot_io_now(io) == mono);
	ot_sim_host_drift(host, 100000);
	ot_sim_world_run_for_ms(world, 10000);
	assert_in_range(ot_io_now(io) - mono, 11 * OT_NS_PER_S - 1000, 11 * OT_NS_PER_S + 1000);
	assert_in_range(ot_io_wall(io) - wall + 3600 * 1000, 10999, 11001);
	ot_sim_host_drift(host, -100000);
	mono = ot_io_now(io);
	ot_sim_world_run_for_ms(world, 10000);
	assert_in_range(ot_io_now(io) - mono, 9 * OT_NS_PER_S - 1000, 9 * OT_NS_PER_S + 1000);
	ot_sim_io_destroy(io);
	ot_sim_world_destroy(world);
}

struct alarm {
	struct ot_timer timer;
	struct ot_io *io;
	struct ot_sim_world *world;
	ot_mono_ns deadline;
	ot_mono_ns rang_at; /* world time; 0: not yet */
};

static void
ring_alarm(struct ot_timer *timer)
{
	struct alarm *alarm = OT_CONTAINER_OF(timer, struct alarm, timer);
	assert_true(ot_io_now(alarm->io) >= alarm->deadline);
	alarm->rang_at = ot_sim_world_now(alarm->world);
}

static void
set_alarm(struct alarm *alarm, struct ot_sim_world *world, struct ot_io *io, int64_t ms)
{
	*alarm = (struct alarm){ .io = io, .world = world };
	alarm->deadline = ot_io_now(io) + (uint64_t)ms * OT_NS_PER_MS;
	ot_timer_init(&alarm->timer, ring_alarm);
	ot_timer_arm_in_ms(io, &alarm->timer, ms);
}

static void
test_timers_follow_the_machines_clock(void **state)
{
	(void)state;
	struct ot_sim_world *world = ot_sim_world_create(1);
	struct ot_sim_host *host = ot_sim_host_create(world, "10.0.0.1");
	struct ot_io *io = ot_sim_io_create(host);
	struct alarm alarm;
	ot_sim_host_drift(host, 100000);
	set_alarm(&alarm, world, io, 11000);
	ot_sim_world_run_for_ms(world, 12000);
	assert_in_range(alarm.rang_at, 10 * OT_NS_PER_S - 1, 10 * OT_NS_PER_S + OT_NS_PER_MS);
	/* Nothing runs on a frozen machine; what was due comes right after. */
	set_alarm(&alarm, world, io, 11);
	ot_mono_ns now = ot_sim_world_now(world);
	ot_sim_host_freeze_ms(host, 500);
	ot_sim_world_run_for_ms(world, 499);
	assert_true(alarm.rang_at == 0);
	ot_sim_world_run_for_ms(world, 2);
	assert_in_range(alarm.rang_at - now, 500 * OT_NS_PER_MS, 501 * OT_NS_PER_MS);
	ot_sim_io_destroy(io);
	ot_sim_world_destroy(world);
}

/* ---- jobs ------------------------------------------------------------------------------- */

struct ordered_job {
	struct ot_job job;
	int number;
	int *order;
	int *count;
};

static void
work_ordered(struct ot_job *job)
{
	struct ordered_job *ordered = OT_CONTAINER_OF(job, struct ordered_job, job);
	ordered->order[(*ordered->count)++] = ordered->number;
}

static void
done_ordered(struct ot_job *job)
{
	(void)job;
}

static void
test_jobs_overtake_each_other(void **state)
{
	(void)state;
	unsigned swapped = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_world *world = ot_sim_world_create(seed);
		struct ot_io *io = ot_sim_io_create(ot_sim_host_create(world, "10.0.0.1"));
		struct ordered_job jobs[2];
		int order[2] = { 0 }, count = 0;
		for (int i = 0; i < 2; i++) {
			jobs[i] = (struct ordered_job){ { work_ordered, done_ordered }, i, order,
				&count };
			ot_io_submit(io, &jobs[i].job);
		}
		ot_sim_world_run_for_ms(world, 100);
		assert_int_equal(count, 2);
		assert_int_equal(ot_sim_io_job_count(io), 0);
		swapped += order[0] == 1;
		ot_sim_io_destroy(io);
		ot_sim_world_destroy(world);
	}
	assert_in_range(swapped, SEEDS / 5, SEEDS * 4 / 5);
}

/* ---- the network ------------------------------------------------------------------------ */

static void
test_a_cut_is_one_way_and_heals(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		static struct town town;
		town_open(&town, seed);
		ot_sim_net_cut(town.b, town.a);
		assert_true(ot_sim_net_is_cut(town.b, town.a));
		assert_false(ot_sim_net_is_cut(town.a, town.b));
		assert_ok(send_text(&town.end_b, "from b"));
		assert_ok(send_text(&town.end_a, "from a"));
		ot_sim_world_run_for_ms(town.world, 2000);
		assert_int_equal(town.end_a.got_bytes, 0);
		assert_memory_equal(town.end_b.got, "from a", 6);
		ot_sim_net_heal(town.b, town.a);
		ot_sim_world_run_for_ms(town.world, 8000);
		assert_memory_equal(town.end_a.got, "from b", 6);
		assert_false(town.end_a.has_ended || town.end_b.has_ended);
		town_close(&town);
	}
}

/* A sender that waits too long gives up; the other end learns nothing by itself. */
static void
test_patience_ends(void **state)
{
	(void)state;
	static struct town town;
	town_open(&town, 3);
	ot_sim_net_isolate(town.a);
	assert_ok(send_text(&town.end_b, "hello"));
	ot_sim_world_run_for_ms(town.world, 55000);
	assert_false(town.end_b.has_ended);
	ot_sim_world_run_for_ms(town.world, 20000);
	assert_true(town.end_b.has_ended);
	assert_int_equal(send_text(&town.end_b, "more"), OT_ERR_CLOSED);
	ot_sim_net_heal_all(town.world);
	ot_sim_world_run_for_ms(town.world, 20000);
	assert_false(town.end_a.has_ended);
	town_close(&town);
}

struct arrivals {
	struct ot_io *io;
	struct ot_stream *streams[2];
	char order[512]; /* of all bytes, as they were read */
	size_t bytes;
	uint32_t stream_count;
};

static void
arrivals_on_readable(void *arg)
{
	struct arrivals *arrivals = arg;
	for (uint32_t i = 0; i < arrivals->stream_count; i++) {
		struct iovec piece = { .iov_base = arrivals->order + arrivals->bytes,
			.iov_len = 100 };
		size_t bytes = 0;
		if (ot_stream_read(arrivals->streams[i], &piece, 1, &bytes) == OT_OK)
			arrivals->bytes += bytes;
	}
}

static const struct ot_stream_events arrivals_events = { arrivals_on_readable, end_on_writable };

static void
arrivals_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct arrivals *arrivals = arg;
	assert_ok(ot_io_adopt(arrivals->io, accepted, &arrivals_events, arrivals,
	    &arrivals->streams[arrivals->stream_count++]));
}

/* Sends capitals on one connection and a small letter on a second one, last. */
static void
send_on_both(struct ot_io *io, struct arrivals *arrivals, struct ot_sim_world *world)
{
	static struct end ends[2];
	const struct ot_address address = { .host = "10.0.0.1", .port = PORT };
	for (int i = 0; i < 2; i++) {
		memset(&ends[i], 0, sizeof(ends[i]));
		assert_ok(ot_io_connect(io, &address, &end_events, &ends[i], &ends[i].stream));
	}
	ot_sim_world_run_for_ms(world, 1000);
	for (int i = 0; i < 20; i++) {
		const char text[2] = { (char)('A' + i), 0 };
		assert_ok(send_text(&ends[0], text));
	}
	assert_ok(send_text(&ends[1], "z"));
	ot_sim_world_run_for_ms(world, 2000);
	for (int i = 0; i < 2; i++) {
		ot_stream_close(ends[i].stream);
		ot_stream_close(arrivals->streams[i]);
	}
}

/* Bytes of one connection keep their order however segments are delayed; those of two do not. */
static void
test_order_is_kept_within_a_connection_only(void **state)
{
	(void)state;
	unsigned overtaken = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_world *world = ot_sim_world_create(seed);
		struct ot_io *io_a = ot_sim_io_create(ot_sim_host_create(world, "10.0.0.1"));
		struct ot_io *io_b = ot_sim_io_create(ot_sim_host_create(world, "10.0.0.2"));
		struct ot_listener *listener = NULL;
		struct arrivals arrivals = { .io = io_a };
		assert_ok(ot_io_listen(io_a, "", PORT, arrivals_on_accept, &arrivals, &listener));
		send_on_both(io_b, &arrivals, world);
		assert_int_equal(arrivals.bytes, 21);
		overtaken += arrivals.order[20] != 'z';
		char last = 0;
		for (size_t i = 0; i < arrivals.bytes; i++) {
			if (arrivals.order[i] == 'z')
				continue;
			assert_true(arrivals.order[i] > last);
			last = arrivals.order[i];
		}
		ot_listener_close(listener);
		ot_sim_io_destroy(io_a);
		ot_sim_io_destroy(io_b);
		ot_sim_world_destroy(world);
	}
	assert_true(overtaken > SEEDS / 4);
}

static void
test_resets_reach_both_ends(void **state)
{
	(void)state;
	static struct town town;
	town_open(&town, 1);
	assert_int_equal(ot_sim_net_connection_count(town.world), 1);
	assert_true(ot_sim_net_reset_one(town.a, town.b));
	ot_sim_world_run_for_ms(town.world, 100);
	assert_true(town.end_a.has_ended && town.end_b.has_ended);
	town_close(&town);
	town_open(&town, 2);
	ot_stream_close(town.end_b.stream);
	town.end_b.stream = NULL;
	ot_sim_world_run_for_ms(town.world, 1000);
	assert_true(town.end_a.has_ended);
	ot_stream_close(town.end_a.stream);
	town.end_a.stream = NULL;
	assert_int_equal(ot_sim_net_connection_count(town.world), 0);
	assert_false(ot_sim_net_reset_one(town.a, town.b));
	town_close(&town);
}

/* ---- crashes ---------------------------------------------------------------------------- */

static void
note_crash(void *arg)
{
	++*(unsigned *)arg;
}

/* A killed process's connections are ended by its kernel, and connecting to it is refused. */
static void
test_a_kill_is_seen_by_peers(void **state)
{
	(void)state;
	static struct town town;
	unsigned crashes = 0;
	town_open(&town, 1);
	ot_sim_host_on_crash(town.a, note_crash, &crashes);
	struct alarm alarm;
	set_alarm(&alarm, town.world, town.io_a, 10);
	ot_sim_host_crash(town.a, OT_SIM_KILLED);
	assert_int_equal(crashes, 1);
	assert_false(ot_sim_host_is_up(town.a));
	assert_int_equal(send_text(&town.end_a, "x"), OT_ERR_CLOSED);
	ot_timer_cancel(town.io_a, &alarm.timer);
	ot_sim_world_run_for_ms(town.world, 1000);
	assert_true(town.end_b.has_ended);
	assert_true(alarm.rang_at == 0);
	ot_stream_close(town.end_b.stream);
	town.end_b = (struct end){ .world = town.world };
	const struct ot_address address = { .host = "10.0.0.1", .port = PORT };
	assert_ok(ot_io_connect(town.io_b, &address, &end_events, &town.end_b, &town.end_b.stream));
	ot_stream_want(town.end_b.stream, true, false);
	ot_sim_world_run_for_ms(town.world, 1000);
	assert_true(town.end_b.has_ended);
	town_close(&town);
}

/* A machine without power says nothing; one that is back knows nothing of old connections. */
static void
test_a_loss_of_power_is_silent(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		static struct town town;
		town_open(&town, seed);
		ot_sim_host_crash(town.a, OT_SIM_POWER_LOST);
		town_leave_a(&town);
		ot_sim_world_run_for_ms(town.world, 5000);
		assert_false(town.end_b.has_ended);
		assert_ok(send_text(&town.end_b, "hello?"));
		ot_sim_world_run_for_ms(town.world, 5000);
		assert_false(town.end_b.has_ended);
		ot_sim_host_restart(town.a);
		ot_sim_world_run_for_ms(town.world, 20000);
		assert_true(town.end_b.has_ended);
		town_close(&town);
	}
}

struct write_job {
	struct ot_job job;
	struct ot_file *file;
	ot_err err;
	bool is_done;
};

static void
write_and_sync(struct ot_job *job)
{
	struct write_job *write = OT_CONTAINER_OF(job, struct write_job, job);
	struct iovec piece = { .iov_base = "abc", .iov_len = 3 };
	write->err = ot_file_write(write->file, &piece, 1, 0);
	if (write->err == OT_OK)
		write->err = ot_file_sync(write->file);
}

static void
note_done(struct ot_job *job)
{
	OT_CONTAINER_OF(job, struct write_job, job)->is_done = true;
}

/* The disk's plan stops the machine in the middle of a job; what waits is drained, and the machine
 * comes back with what was durable. */
static void
test_a_crash_at_a_change(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 3; n++) {
		struct ot_sim_world *world = ot_sim_world_create(n);
		struct ot_sim_host *host = ot_sim_host_create(world, "10.0.0.1");
		struct ot_io *io = ot_sim_io_create(host);
		struct write_job jobs[2];
		struct ot_file *file = NULL;
		struct ot_fs_stat stat;
		unsigned crashes = 0;
		ot_sim_host_on_crash(host, note_crash, &crashes);
		assert_ok(ot_fs_open(io->fs, "/f", OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
		assert_ok(ot_fs_sync_dir(io->fs, "/"));
		ot_sim_disk_crash_at(ot_sim_host_disk(host), n);
		for (int i = 0; i < 2; i++) {
			jobs[i] = (struct write_job){ .job = { write_and_sync, note_done },
				.file = file };
			ot_io_submit(io, &jobs[i].job);
		}
		ot_sim_world_run_for_ms(world, 1000);
		assert_int_equal(crashes, 1);
		ot_sim_host_drain(host);
		assert_true(jobs[0].is_done && jobs[1].is_done);
		assert_true(jobs[0].err == OT_ERR_CLOSED || jobs[1].err == OT_ERR_CLOSED);
		bool was_synced = jobs[0].err == OT_OK || jobs[1].err == OT_OK;
		assert_int_equal(was_synced, n == 3);
		ot_file_unref(file);
		ot_sim_io_destroy(io);
		ot_sim_host_restart(host);
		assert_ok(ot_fs_stat(ot_sim_host_fs(host), "/f", &stat));
		assert_true(stat.bytes == 3 || (stat.bytes == 0 && !was_synced));
		ot_sim_world_destroy(world);
	}
}

static bool
is_write_done(void *arg)
{
	return ((struct write_job *)arg)->is_done;
}

/* A disk that stalls takes the job's time, and not the thread's that waits for it. */
static void
test_a_stalling_disk_takes_time(void **state)
{
	(void)state;
	struct ot_sim_world *world = ot_sim_world_create(5);
	struct ot_sim_host *host = ot_sim_host_create(world, "10.0.0.1");
	struct ot_io *io = ot_sim_io_create(host);
	struct write_job job = { .job = { write_and_sync, note_done } };
	struct alarm alarm;
	assert_ok(ot_fs_open(io->fs, "/f", OT_OPEN_WRITE | OT_OPEN_CREATE, &job.file));
	ot_sim_disk_set_rates(ot_sim_host_disk(host),
	    &(struct ot_sim_disk_rates){ .stall = OT_SIM_MILLION, .stall_ns_max = OT_NS_PER_S });
	ot_mono_ns began = ot_sim_world_now(world);
	ot_io_submit(io, &job.job);
	set_alarm(&alarm, world, io, 10);
	assert_true(ot_sim_world_run_until(world, is_write_done, &job, 5000));
	assert_ok(job.err);
	assert_in_range(ot_sim_world_now(world) - began, 100 * OT_NS_PER_MS, 2 * OT_NS_PER_S);
	assert_in_range(alarm.rang_at - began, 10 * OT_NS_PER_MS, 11 * OT_NS_PER_MS);
	ot_file_unref(job.file);
	ot_sim_io_destroy(io);
	ot_sim_world_destroy(world);
}

/* ---- switching -------------------------------------------------------------------------- */

struct switches {
	struct ot_io *now;
	struct ot_io *io;
	unsigned count;
};

static void
on_switch(void *arg, struct ot_io *io)
{
	struct switches *switches = arg;
	switches->now = io;
	switches->count += io != NULL;
}

static void
check_switched(void *arg)
{
	struct switches *switches = arg;
	assert_ptr_equal(switches->now, switches->io);
}

static void
test_switches_tell_who_runs(void **state)
{
	(void)state;
	struct ot_sim_world *world = ot_sim_world_create(1);
	struct switches switches = { 0 };
	ot_sim_world_on_switch(world, on_switch, &switches);
	switches.io = ot_sim_io_create(ot_sim_host_create(world, "10.0.0.1"));
	switches.io->on_turn_end = check_switched;
	switches.io->turn_arg = &switches;
	ot_sim_world_run_for_ms(world, 1);
	assert_int_equal(switches.count, 1);
	assert_null(switches.now);
	ot_io_ring(switches.io);
	ot_sim_world_run_for_ms(world, 1);
	assert_int_equal(switches.count, 2);
	ot_sim_io_destroy(switches.io);
	ot_sim_world_destroy(world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks_jump_and_drift),
		cmocka_unit_test(test_timers_follow_the_machines_clock),
		cmocka_unit_test(test_jobs_overtake_each_other),
		cmocka_unit_test(test_a_cut_is_one_way_and_heals),
		cmocka_unit_test(test_patience_ends),
		cmocka_unit_test(test_order_is_kept_within_a_connection_only),
		cmocka_unit_test(test_resets_reach_both_ends),
		cmocka_unit_test(test_a_kill_is_seen_by_peers),
		cmocka_unit_test(test_a_loss_of_power_is_silent),
		cmocka_unit_test(test_a_crash_at_a_change),
		cmocka_unit_test(test_a_stalling_disk_takes_time),
		cmocka_unit_test(test_switches_tell_who_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
