/* A broker as a process: settings, threads, signals, the supervisor.
 *
 *   main thread      log directories, listening sockets, objects, threads; then it waits
 *   control thread   metadata log -> image -> registered and unfenced -> accepts connections
 *   shards           adopt the image, open partitions, serve
 *
 * What the threads do is in life_int.h; here they are made and ended.
 */
#include "broker/server.h"

#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/report.h"
#include "broker/life_int.h"
#include "io/loop.h"
#include "io/process.h"

enum {
	SERVER_BUDGET_SHARE = 4, /* of the machine's memory by default: a quarter */
	SERVER_BUDGET_BESIDE_FRAME = 8 * 1024 * 1024,
	SERVER_WORKERS_PER_CPU = 2,
	SERVER_FILES_MIN = 64,   /* descriptors without which it does not start */
	SERVER_FILES_FEW = 1024, /* and below which it says so */
};

struct server {
	struct ot_settings *settings; /* [const] */
	struct broker *broker;        /* [const] */
	struct ot_shard_set *set;     /* [const] */
	struct ot_io **ios;           /* [const] the shards', then the control thread's */
	uint32_t io_count;            /* [const] */
	struct ot_thread **threads;   /* [const] */
	ot_err err;                   /* [control] why it stops; OT_OK: it was asked to */
	struct ot_why why;            /* [control] */
};

/* ---- what the broker tells ------------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	(void)arg;
	ot_process_notify("READY=1");
}

static void
on_stopping(void *arg)
{
	(void)arg;
	ot_process_notify("STOPPING=1");
}

static void
on_shard_stopped(void *arg, struct ot_shard *shard)
{
	(void)arg;
	ot_loop_stop(shard->io);
}

static void
on_stopped(void *arg, ot_err err, const char *why)
{
	struct server *server = arg;
	server->err = err;
	ot_why_set(&server->why, "%s", why);
	ot_loop_stop(ot_shard_control(server->set)->io);
}

static void
on_stop_signal(void *arg, int number)
{
	(void)number;
	struct server *server = arg;
	broker_stop(server->broker, OT_OK, "");
}

/* ---- threads ------------------------------------------------------------------------------- */

static void
run_control(void *arg)
{
	struct server *server = arg;
	struct ot_shard *shard = ot_shard_control(server->set);
	ot_shard_enter(shard);
	broker_start(server->broker);
	ot_loop_run(shard->io);
}

static void
run_shard(void *arg)
{
	struct ot_shard *shard = arg;
	ot_shard_enter(shard);
	ot_loop_run(shard->io);
}

static void
run_threads(struct server *server)
{
	struct ot_io *control_io = ot_shard_control(server->set)->io;
	uint32_t count = server->set->count;
	server->threads = ot_must_alloc((count + 1) * sizeof(struct ot_thread *));
	if (ot_loop_on_signal(control_io, SIGTERM, on_stop_signal, server) != OT_OK ||
	    ot_loop_on_signal(control_io, SIGINT, on_stop_signal, server) != OT_OK)
		OT_PANIC("signals cannot be received");
	for (uint32_t i = 0; i < count; i++) {
		char name[24];
		snprintf(name, sizeof(name), "shard-%u", i);
		server->threads[i] = ot_thread_start(name, run_shard, server->set->shards[i]);
	}
	server->threads[count] = ot_thread_start("control", run_control, server);
	for (uint32_t i = 0; i <= count; i++)
		ot_thread_join(server->threads[i]);
	ot_free(server->threads);
}

/* ---- the process --------------------------------------------------------------------------- */

/* Each shard must be able to take the largest frame beside its usual work: a frame that can never
 * be admitted would wait for ever. */
static size_t
memory_budget(const struct ot_settings *settings, uint32_t shard_count)
{
	int64_t wanted = ot_settings_number(settings, OT_BROKER_MEMORY_BUDGET_BYTES);
	size_t budget =
	    wanted > 0 ? (size_t)wanted : ot_process_memory_bytes() / SERVER_BUDGET_SHARE;
	int64_t queued = ot_settings_number(settings, OT_BROKER_QUEUED_MAX_REQUEST_BYTES);
	if (queued > 0)
		budget = OT_MIN(budget, (size_t)queued);
	size_t frame = (size_t)ot_settings_int(settings, OT_BROKER_SOCKET_REQUEST_MAX_BYTES);
	return OT_MAX(budget, shard_count * (frame + SERVER_BUDGET_BESIDE_FRAME));
}

/* Loops and logs need some descriptors before there is any connection. */
static ot_err
check_file_limit(uint64_t limit, struct ot_why *why)
{
	if (limit >= SERVER_FILES_FEW)
		return OT_OK;
	ot_why_set(why,
	    "only %llu files may be open, and connections and logs need one or more each; raise "
	    "the limit (ulimit -n, LimitNOFILE of systemd) to %d or more",
	    (unsigned long long)limit, SERVER_FILES_FEW);
	if (limit < SERVER_FILES_MIN)
		return OT_ERR_NO_FILES;
	OT_WARN("broker", "%s", why->text);
	*why = (struct ot_why){ "" };
	return OT_OK;
}

static ot_err
create_loops(struct server *server, struct ot_why *why)
{
	uint64_t file_limit = ot_process_raise_file_limit();
	unsigned cpu_count = ot_process_cpu_count();
	int32_t wanted = ot_settings_int(server->settings, OT_BROKER_NUM_SHARDS);
	int32_t workers = ot_settings_int(server->settings, OT_BROKER_WORKER_THREADS);
	uint32_t count = wanted > 0 ? (uint32_t)wanted : cpu_count;
	ot_loop_set_worker_count(
	    workers > 0 ? (unsigned)workers : OT_MAX(cpu_count * SERVER_WORKERS_PER_CPU, 4u));
	ot_err err = check_file_limit(file_limit, why);
	if (err != OT_OK)
		return err;
	server->ios = ot_must_alloc((count + 1) * sizeof(struct ot_io *));
	for (uint32_t i = 0; i <= count; i++) {
		err = ot_loop_create(&server->ios[i]);
		if (err != OT_OK)
			return err;
		server->io_count++;
	}
	size_t budget = memory_budget(server->settings, count);
	server->set = ot_shard_set_create(count, server->ios, budget);
	OT_INFO("broker", "%u shards, %zu MiB for requests under way, %llu files may be open",
	    count, budget / OT_MIB, (unsigned long long)file_limit);
	return OT_OK;
}

static ot_err
create_broker(struct server *server, struct ot_why *why)
{
	const struct broker_args args = {
		.settings = server->settings,
		.set = server->set,
		.on_ready = on_ready,
		.on_stopping = on_stopping,
		.on_stopped = on_stopped,
		.on_shard_stopped = on_shard_stopped,
		.arg = server,
		.forms_cluster = true,
	};
	return broker_create(&args, &server->broker, why);
}

static void
free_server(struct server *server)
{
	broker_destroy(server->broker);
	ot_shard_set_destroy(server->set);
	for (uint32_t i = 0; i < server->io_count; i++)
		ot_loop_destroy(server->ios[i]);
	ot_free(server->ios);
	ot_free(server);
}

ot_err
ot_server_run(struct ot_settings *settings, struct ot_why *why)
{
	struct server *server = OT_NEW(struct server);
	server->settings = settings;
	ot_process_ignore_sigpipe();
	ot_err err = create_loops(server, why);
	if (err == OT_OK)
		err = create_broker(server, why);
	if (err == OT_OK) {
		run_threads(server);
		err = server->err;
		if (err != OT_OK)
			ot_why_set(why, "%s", server->why.text);
	}
	free_server(server);
	if (err != OT_OK && why->text[0] == '\0')
		ot_why_set(why, "%s", ot_err_message(err));
	return err;
}
