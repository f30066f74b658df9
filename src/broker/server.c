/* Start and stop.
 *
 *   main thread      settings, log directories, listening sockets, threads; then it waits
 *   control thread   metadata log -> image -> registered and unfenced -> accepts connections
 *   shards           adopt the image, open partitions, serve
 *
 * Sockets listen before anything else is done, so that a taken port is known at once; what connects
 * meanwhile waits until the broker is ready. The stop is in README.md, step by step below.
 */
#include "broker/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/broker_int.h"
#include "broker/fetch_session_int.h"
#include "broker/groups_int.h"
#include "io/loop.h"
#include "io/process.h"

enum {
	SERVER_PIPELINE_COUNT_MAX = 256,
	SERVER_BUDGET_SHARE = 4, /* of the machine's memory by default: a quarter */
	SERVER_WORKERS_PER_CPU = 2,
};

/* A connection that came before the broker was ready. */
struct early_connection {
	struct ot_list link;
	struct ot_accepted accepted;
	struct broker_listener *listener;
};

enum server_stop { STOP_NOT, STOP_SHARDS, STOP_METADATA, STOP_DONE };

struct server {
	struct broker broker;
	struct ot_io **ios; /* the shards', then the control thread's */
	struct ot_thread **threads;
	struct ot_uuid *dir_ids;
	struct ot_uuid incarnation;
	uint64_t next_shard;  /* [control] for the next connection */
	bool is_ready;        /* [control] */
	struct ot_list early; /* [control] */
	ot_mono_ns started;

	struct ot_timer checkpoint_timer; /* [control] */
	struct checkpoint *checkpoint;    /* [control] under way; NULL: none */

	enum server_stop stop;         /* [control] */
	uint32_t stop_pending_count;   /* [control] shards that have not closed */
	bool *is_dir_clean;            /* [control] */
	struct ot_dirs_row *stop_rows; /* [control] heap */
	size_t stop_row_count;
	ot_err err; /* [control] why it stops; OT_OK: it was asked to */
	struct ot_why why;
};

static void begin_stop(struct server *server);

/* ---- connections --------------------------------------------------------------------------- */

struct handover {
	struct ot_mail mail;
	struct broker_shard *shard;
	struct broker_listener *listener;
	struct ot_accepted accepted;
};

static void
take_connection(struct ot_mail *mail)
{
	struct handover *handover = OT_CONTAINER_OF(mail, struct handover, mail);
	struct broker_shard *shard = handover->shard;
	if (shard->replicas != NULL)
		ot_conn_open(&shard->conns, &handover->accepted, handover->listener);
	else
		ot_accepted_drop(shard->shard->io, &handover->accepted);
	ot_free(handover);
}

static void
hand_over(struct server *server, struct broker_listener *listener,
    const struct ot_accepted *accepted)
{
	struct broker *broker = &server->broker;
	struct handover *handover = OT_NEW(struct handover);
	handover->shard = &broker->shards[server->next_shard++ % broker->set->count];
	handover->listener = listener;
	handover->accepted = *accepted;
	handover->mail.deliver = take_connection;
	ot_shard_post(handover->shard->shard, &handover->mail);
}

static struct server *
server_of(struct broker *broker)
{
	return OT_CONTAINER_OF(broker, struct server, broker);
}

static void
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct broker_listener *listener = arg;
	struct server *server = server_of(listener->broker);
	if (server->is_ready) {
		hand_over(server, listener, accepted);
		return;
	}
	struct early_connection *early = OT_NEW(struct early_connection);
	early->accepted = *accepted;
	early->listener = listener;
	ot_list_push_back(&server->early, &early->link);
}

static void
hand_over_early(struct server *server)
{
	while (!ot_list_is_empty(&server->early)) {
		struct early_connection *early =
		    OT_LIST_FIRST(&server->early, struct early_connection, link);
		ot_list_remove(&early->link);
		hand_over(server, early->listener, &early->accepted);
		ot_free(early);
	}
}

/* ---- listeners ----------------------------------------------------------------------------- */

static ot_err
listen_at(struct server *server, struct broker_listener *listener, struct ot_why *why)
{
	const struct ot_listener_conf *conf = listener->conf;
	ot_err err = ot_io_listen(ot_shard_control(server->broker.set)->io, conf->host, conf->port,
	    on_accept, listener, &listener->listener);
	if (err == OT_ERR_EXISTS)
		ot_why_set(why,
		    "listener %s://%s:%u: the port is in use; stop what listens there or choose "
		    "another port in listeners",
		    conf->name, conf->host, conf->port);
	else if (err != OT_OK)
		ot_why_set(why,
		    "listener %s://%s:%u: the host has no such address; correct listeners",
		    conf->name, conf->host, conf->port);
	if (err != OT_OK)
		return err;
	listener->port = ot_listener_port(listener->listener);
	if (conf->advertised_host[0] != '\0')
		snprintf(listener->advertised_host, sizeof(listener->advertised_host), "%s",
		    conf->advertised_host);
	else
		ot_process_host_name(listener->advertised_host, sizeof(listener->advertised_host));
	return OT_OK;
}

/* zookeeper.connect and its successors name where the controller answers: here, if the address is
 * this machine's and nobody has it. */
static void
listen_for_control(struct server *server)
{
	struct broker *broker = &server->broker;
	const struct ot_settings *settings = broker->settings;
	if (settings->control_listener == NULL || !settings->control_listener_is_made)
		return;
	struct broker_listener *listener = &broker->listeners[broker->listener_count];
	struct ot_why why = { "" };
	listener->broker = broker;
	listener->conf = settings->control_listener;
	if (listen_at(server, listener, &why) == OT_OK)
		broker->listener_count++;
	else
		OT_WARN("broker",
		    "no control listener at %s:%u, which %s names: the address is not this "
		    "machine's or is in use. Tools reach this broker by --bootstrap-server only",
		    listener->conf->host, listener->conf->port,
		    ot_broker_table.defs[settings->controllers_key].name);
}

static ot_err
open_listeners(struct server *server, struct ot_why *why)
{
	struct broker *broker = &server->broker;
	const struct ot_settings *settings = broker->settings;
	broker->listeners =
	    ot_must_alloc((settings->listener_count + 1) * sizeof(*broker->listeners));
	for (size_t i = 0; i < settings->listener_count; i++) {
		struct broker_listener *listener = &broker->listeners[i];
		listener->broker = broker;
		listener->conf = &settings->listeners[i];
		if (listener->conf->security != OT_SECURITY_PLAINTEXT) {
			ot_why_set(why,
			    "listener %s: only PLAINTEXT is served; change its protocol",
			    listener->conf->name);
			return OT_ERR_INVALID_CONFIG;
		}
		ot_err err = listen_at(server, listener, why);
		if (err != OT_OK)
			return err;
		broker->listener_count++;
	}
	listen_for_control(server);
	return OT_OK;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* One round of writing checkpoint files: rows of all shards, then a worker. */
struct checkpoint {
	struct ot_job job;
	struct server *server;
	uint32_t pending_count;
	struct ot_dirs_row **rows; /* by shard; heap */
	size_t *counts;
	ot_err err;
};

struct checkpoint_mail {
	struct ot_mail mail;
	struct checkpoint *checkpoint;
	struct broker_shard *shard;
};

static void
run_checkpoint(struct ot_job *job)
{
	struct checkpoint *checkpoint = OT_CONTAINER_OF(job, struct checkpoint, job);
	uint32_t shard_count = checkpoint->server->broker.set->count;
	size_t total = 0, count = 0;
	for (uint32_t i = 0; i < shard_count; i++)
		total += checkpoint->counts[i];
	struct ot_dirs_row *rows = ot_must_alloc(OT_MAX(total, 1u) * sizeof(*rows));
	for (uint32_t i = 0; i < shard_count; i++) {
		for (size_t j = 0; j < checkpoint->counts[i]; j++)
			rows[count++] = checkpoint->rows[i][j];
	}
	checkpoint->err = ot_dirs_write_checkpoints(checkpoint->server->broker.dirs, rows, count);
	ot_free(rows);
}

static void
arm_checkpoint(struct server *server)
{
	int64_t interval = ot_settings_number(server->broker.settings,
	    OT_BROKER_LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS);
	if (server->stop == STOP_NOT)
		ot_timer_arm_in_ms(ot_shard_control(server->broker.set)->io,
		    &server->checkpoint_timer, interval);
}

static void
checkpoint_is_written(struct ot_job *job)
{
	struct checkpoint *checkpoint = OT_CONTAINER_OF(job, struct checkpoint, job);
	struct server *server = checkpoint->server;
	if (checkpoint->err != OT_OK)
		OT_WARN("broker", "checkpoint files: %s; tried again later",
		    ot_err_message(checkpoint->err));
	for (uint32_t i = 0; i < server->broker.set->count; i++)
		ot_free(checkpoint->rows[i]);
	ot_free(checkpoint->rows);
	ot_free(checkpoint->counts);
	ot_free(checkpoint);
	server->checkpoint = NULL;
	arm_checkpoint(server);
	if (server->stop != STOP_NOT)
		begin_stop(server);
}

static void
rows_are_here(struct ot_mail *mail)
{
	struct checkpoint_mail *request = OT_CONTAINER_OF(mail, struct checkpoint_mail, mail);
	struct checkpoint *checkpoint = request->checkpoint;
	ot_free(request);
	if (--checkpoint->pending_count > 0)
		return;
	checkpoint->job = (struct ot_job){ .work = run_checkpoint, .done = checkpoint_is_written };
	ot_io_submit(ot_shard_control(checkpoint->server->broker.set)->io, &checkpoint->job);
}

static void
collect_rows(struct ot_mail *mail)
{
	struct checkpoint_mail *request = OT_CONTAINER_OF(mail, struct checkpoint_mail, mail);
	struct broker_shard *shard = request->shard;
	uint32_t index = shard->shard->index;
	request->checkpoint->rows[index] =
	    ot_replicas_rows(shard->replicas, &request->checkpoint->counts[index]);
	/* The next round writes what these syncs reach. */
	ot_replicas_checkpoint(shard->replicas);
	request->mail.deliver = rows_are_here;
	ot_shard_post(ot_shard_control(shard->shard->set), &request->mail);
}

static void
on_checkpoint_due(struct ot_timer *timer)
{
	struct server *server = OT_CONTAINER_OF(timer, struct server, checkpoint_timer);
	uint32_t shard_count = server->broker.set->count;
	struct checkpoint *checkpoint = OT_NEW(struct checkpoint);
	checkpoint->server = server;
	checkpoint->pending_count = shard_count;
	checkpoint->rows = ot_must_alloc(shard_count * sizeof(struct ot_dirs_row *));
	checkpoint->counts = ot_must_alloc(shard_count * sizeof(size_t));
	server->checkpoint = checkpoint;
	for (uint32_t i = 0; i < shard_count; i++) {
		struct checkpoint_mail *request = OT_NEW(struct checkpoint_mail);
		request->checkpoint = checkpoint;
		request->shard = &server->broker.shards[i];
		request->mail.deliver = collect_rows;
		ot_shard_post(request->shard->shard, &request->mail);
	}
}

/* ---- stopping ------------------------------------------------------------------------------ */

/* One shard's way down: connections, then coordinators, then partitions. */
struct stop_mail {
	struct ot_mail mail;
	struct server *server;
	struct broker_shard *shard;
	struct ot_replicas_final
	    final; /* the replicas', which stand until the threads have ended */
};

static void
add_stop_rows(struct server *server, const struct ot_replicas_final *final)
{
	size_t total = server->stop_row_count + final->row_count;
	struct ot_dirs_row *rows = ot_must_alloc(OT_MAX(total, 1u) * sizeof(*rows));
	if (server->stop_row_count > 0)
		memcpy(rows, server->stop_rows, server->stop_row_count * sizeof(*rows));
	if (final->row_count > 0)
		memcpy(rows + server->stop_row_count, final->rows,
		    final->row_count * sizeof(*rows));
	ot_free(server->stop_rows);
	server->stop_rows = rows;
	server->stop_row_count = total;
	for (size_t i = 0; i < ot_dirs_count(server->broker.dirs); i++)
		server->is_dir_clean[i] = server->is_dir_clean[i] && final->is_dir_clean[i];
}

/* Step 4: the metadata log is closed too. Checkpoints first, the marks last. */
static void
metadata_is_closed(void *arg)
{
	struct server *server = arg;
	struct broker *broker = &server->broker;
	int64_t epoch = broker_control_epoch(broker->control);
	ot_err err =
	    ot_dirs_write_checkpoints(broker->dirs, server->stop_rows, server->stop_row_count);
	for (size_t i = 0; i < ot_dirs_count(broker->dirs); i++) {
		if (err == OT_OK && server->is_dir_clean[i])
			err = ot_dirs_mark_clean(broker->dirs, i, epoch);
	}
	if (err != OT_OK)
		OT_WARN("broker", "the next start will scan the logs: %s", ot_err_message(err));
	server->stop = STOP_DONE;
	for (uint32_t i = 0; i <= broker->set->count; i++)
		ot_loop_stop(broker->set->shards[i]->io);
}

/* Step 3: all shards are closed. */
static void
shard_is_closed(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	struct server *server = stop->server;
	add_stop_rows(server, &stop->final);
	ot_free(stop);
	if (--server->stop_pending_count > 0)
		return;
	server->stop = STOP_METADATA;
	broker_control_close(server->broker.control, metadata_is_closed, server);
}

static void
replicas_are_closed(void *arg, const struct ot_replicas_final *final)
{
	struct stop_mail *stop = arg;
	stop->final = *final;
	stop->mail.deliver = shard_is_closed;
	ot_shard_post(ot_shard_control(stop->server->broker.set), &stop->mail);
}

static void
groups_are_closed(void *arg)
{
	struct stop_mail *stop = arg;
	ot_replicas_close(stop->shard->replicas, replicas_are_closed, stop);
}

/* Step 2, on each shard. */
static void
close_shard(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	ot_conn_host_close(&stop->shard->conns);
	stop->shard->is_closing = true;
	broker_groups_close(stop->shard->groups, groups_are_closed, stop);
}

/* Step 1: nobody new comes in. A checkpoint that is being written is waited for. */
static void
begin_stop(struct server *server)
{
	struct broker *broker = &server->broker;
	if (server->stop == STOP_NOT) {
		OT_INFO("broker", "stopping");
		ot_process_notify("STOPPING=1");
	}
	if (server->checkpoint != NULL || server->stop == STOP_SHARDS) {
		server->stop = server->stop == STOP_NOT ? STOP_METADATA : server->stop;
		return;
	}
	server->stop = STOP_SHARDS;
	ot_timer_cancel(ot_shard_control(broker->set)->io, &server->checkpoint_timer);
	for (size_t i = 0; i < broker->listener_count; i++)
		ot_listener_close(broker->listeners[i].listener);
	server->stop_pending_count = broker->set->count;
	for (uint32_t i = 0; i < broker->set->count; i++) {
		struct stop_mail *stop = OT_NEW(struct stop_mail);
		stop->server = server;
		stop->shard = &broker->shards[i];
		stop->mail.deliver = close_shard;
		ot_shard_post(stop->shard->shard, &stop->mail);
	}
}

static void
on_stop_signal(void *arg, int number)
{
	(void)number;
	struct server *server = arg;
	if (server->stop == STOP_NOT)
		begin_stop(server);
}

/* ---- the control thread -------------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	struct server *server = arg;
	struct broker *broker = &server->broker;
	ot_mono_ns took = ot_io_now_exact(ot_shard_control(broker->set)->io) - server->started;
	server->is_ready = true;
	hand_over_early(server);
	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		OT_INFO("broker", "listening on %s://%s:%u", listener->conf->name,
		    listener->conf->host, listener->port);
	}
	OT_INFO("broker", "node %d of cluster %s is ready after %.1f ms", broker->node_id,
	    ot_dirs_cluster_id(broker->dirs), (double)took / OT_NS_PER_MS);
	ot_process_notify("READY=1");
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	struct server *server = arg;
	OT_ERROR("broker", "%s", why);
	if (server->err == OT_OK) {
		server->err = err;
		ot_why_set(&server->why, "%s: %s", why, ot_err_message(err));
	}
	if (server->stop == STOP_NOT)
		begin_stop(server);
}

static void
run_control(void *arg)
{
	struct server *server = arg;
	struct broker *broker = &server->broker;
	struct ot_shard *shard = ot_shard_control(broker->set);
	ot_shard_enter(shard);
	broker_control_start(broker->control);
	arm_checkpoint(server);
	ot_loop_run(shard->io);
}

static void
run_shard(void *arg)
{
	struct broker_shard *self = arg;
	ot_shard_enter(self->shard);
	ot_loop_run(self->shard->io);
}

/* ---- the shards' objects ------------------------------------------------------------------- */

static const struct ot_conn_handler conn_handler = { .on_request = broker_route };

static void
on_lead(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	if (ot_str_is(ot_part_topic(part), BROKER_OFFSETS_TOPIC))
		broker_groups_lead(self->groups, part);
}

static void
on_resign(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	if (ot_str_is(ot_part_topic(part), BROKER_OFFSETS_TOPIC) && !self->is_closing)
		broker_groups_resign(self->groups, part);
}

static const struct ot_replicas_events replicas_events = {
	.on_lead = on_lead,
	.on_resign = on_resign,
};

static void
create_shard(struct server *server, uint32_t index)
{
	struct broker *broker = &server->broker;
	const struct ot_settings *settings = broker->settings;
	struct broker_shard *self = &broker->shards[index];
	const struct ot_conn_limits limits = {
		.frame_bytes_max =
		    (size_t)ot_settings_int(settings, OT_BROKER_SOCKET_REQUEST_MAX_BYTES),
		.idle_ms_max = ot_settings_number(settings, OT_BROKER_CONNECTIONS_MAX_IDLE_MS),
		.pipeline_count_max = SERVER_PIPELINE_COUNT_MAX,
	};
	uint32_t slots = (uint32_t)ot_settings_int(settings,
	    OT_BROKER_MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS);
	self->broker = broker;
	self->shard = broker->set->shards[index];
	self->shard->user = self;
	ot_shard_enter(self->shard);
	ot_conn_host_init(&self->conns, self->shard, &conn_handler, self, &limits);
	self->codecs = ot_codec_ctx_create();
	self->fetch_sessions = fetch_sessions_create(index, broker->set->count,
	    (slots + broker->set->count - 1) / broker->set->count);
	self->groups = broker_groups_create(self);
	self->producer_ids = broker_producer_ids_create(self);
	const struct ot_replicas_conf conf = {
		.shard = self->shard,
		.codecs = self->codecs,
		.dirs = broker->dirs,
		.node_id = broker->node_id,
		.events = &replicas_events,
		.arg = self,
	};
	self->replicas = ot_replicas_create(&conf);
	ot_shard_self = NULL;
}

static void
destroy_shard(struct broker_shard *self)
{
	ot_shard_enter(self->shard);
	broker_producer_ids_destroy(self->producer_ids);
	broker_groups_destroy(self->groups);
	ot_replicas_destroy(self->replicas);
	fetch_sessions_destroy(self->fetch_sessions);
	ot_codec_ctx_destroy(self->codecs);
	ot_conn_host_fini(&self->conns);
	ot_image_unref(self->image);
	ot_shard_self = NULL;
}

/* ---- the process --------------------------------------------------------------------------- */

static size_t
memory_budget(const struct ot_settings *settings)
{
	int64_t wanted = ot_settings_number(settings, OT_BROKER_MEMORY_BUDGET_BYTES);
	if (wanted > 0)
		return (size_t)wanted;
	return ot_process_memory_bytes() / SERVER_BUDGET_SHARE;
}

static ot_err
open_dirs(struct server *server, struct ot_why *why)
{
	const struct ot_settings *settings = server->broker.settings;
	struct ot_io *io = server->ios[0];
	char new_cluster_id[OT_UUID_TEXT_BYTES];
	struct ot_uuid cluster = ot_io_random_uuid(io);
	ot_uuid_to_text(&cluster, new_cluster_id);
	server->incarnation = ot_io_random_uuid(io);
	server->dir_ids = ot_must_alloc(settings->log_dir_count * sizeof(*server->dir_ids));
	for (size_t i = 0; i < settings->log_dir_count; i++)
		server->dir_ids[i] = ot_io_random_uuid(io);
	const struct ot_dirs_conf conf = {
		.fs = io->fs,
		.paths = settings->log_dirs,
		.path_count = settings->log_dir_count,
		.node_id = settings->node_id,
		.new_cluster_id = new_cluster_id,
		.new_dir_ids = server->dir_ids,
	};
	ot_err err = ot_dirs_open(&conf, &server->broker.dirs, why);
	if (err != OT_OK)
		return err;
	server->broker.node_id = ot_dirs_node_id(server->broker.dirs);
	server->is_dir_clean = ot_must_alloc(ot_dirs_count(server->broker.dirs));
	memset(server->is_dir_clean, true, ot_dirs_count(server->broker.dirs));
	return OT_OK;
}

static ot_err
create_loops(struct server *server)
{
	struct broker *broker = &server->broker;
	unsigned cpu_count = ot_process_cpu_count();
	int32_t wanted = ot_settings_int(broker->settings, OT_BROKER_NUM_SHARDS);
	int32_t workers = ot_settings_int(broker->settings, OT_BROKER_WORKER_THREADS);
	uint32_t count = wanted > 0 ? (uint32_t)wanted : cpu_count;
	ot_loop_set_worker_count(
	    workers > 0 ? (unsigned)workers : OT_MAX(cpu_count * SERVER_WORKERS_PER_CPU, 4u));
	server->ios = ot_must_alloc((count + 1) * sizeof(struct ot_io *));
	for (uint32_t i = 0; i <= count; i++) {
		ot_err err = ot_loop_create(&server->ios[i]);
		if (err != OT_OK)
			return err;
	}
	size_t budget = memory_budget(broker->settings);
	broker->set = ot_shard_set_create(count, server->ios, budget);
	broker->shards = ot_must_alloc(count * sizeof(*broker->shards));
	OT_INFO("broker", "%u shards, %zu MiB for requests under way, %llu files may be open",
	    count, budget / OT_MIB, (unsigned long long)ot_process_raise_file_limit());
	return OT_OK;
}

static void
run_threads(struct server *server)
{
	struct broker *broker = &server->broker;
	struct ot_io *control_io = ot_shard_control(broker->set)->io;
	uint32_t count = broker->set->count;
	server->threads = ot_must_alloc((count + 1) * sizeof(struct ot_thread *));
	if (ot_loop_on_signal(control_io, SIGTERM, on_stop_signal, server) != OT_OK ||
	    ot_loop_on_signal(control_io, SIGINT, on_stop_signal, server) != OT_OK)
		OT_PANIC("signals cannot be received");
	for (uint32_t i = 0; i < count; i++) {
		char name[24];
		snprintf(name, sizeof(name), "shard-%u", i);
		server->threads[i] = ot_thread_start(name, run_shard, &broker->shards[i]);
	}
	server->threads[count] = ot_thread_start("control", run_control, server);
	for (uint32_t i = 0; i <= count; i++)
		ot_thread_join(server->threads[i]);
	ot_free(server->threads);
}

static ot_err
serve(struct server *server, struct ot_why *why)
{
	struct broker *broker = &server->broker;
	ot_timer_init(&server->checkpoint_timer, on_checkpoint_due);
	for (uint32_t i = 0; i < broker->set->count; i++)
		create_shard(server, i);
	const struct broker_control_args args = {
		.broker = broker,
		.cluster_id = ot_dirs_cluster_id(broker->dirs),
		.incarnation = server->incarnation,
		.on_ready = on_ready,
		.on_failure = on_failure,
		.arg = server,
	};
	broker->control = broker_control_create(&args);
	run_threads(server);
	for (uint32_t i = 0; i < broker->set->count; i++)
		destroy_shard(&broker->shards[i]);
	broker_control_destroy(broker->control);
	if (server->err != OT_OK)
		ot_why_set(why, "%s", server->why.text);
	return server->err;
}

static void
free_server(struct server *server)
{
	struct broker *broker = &server->broker;
	uint32_t count = broker->set != NULL ? broker->set->count + 1 : 0;
	ot_shard_set_destroy(broker->set);
	for (uint32_t i = 0; i < count; i++)
		ot_loop_destroy(server->ios[i]);
	ot_dirs_close(broker->dirs);
	ot_free(server->ios);
	ot_free(server->dir_ids);
	ot_free(server->is_dir_clean);
	ot_free(server->stop_rows);
	ot_free(broker->shards);
	ot_free(broker->listeners);
	ot_free(server);
}

ot_err
ot_server_run(struct ot_settings *settings, struct ot_why *why)
{
	struct server *server = OT_NEW(struct server);
	server->broker.settings = settings;
	ot_list_init(&server->early);
	ot_process_ignore_sigpipe();
	ot_err err = create_loops(server);
	if (err == OT_OK) {
		server->started = ot_io_now_exact(server->ios[0]);
		err = open_dirs(server, why);
	}
	if (err == OT_OK)
		err = open_listeners(server, why);
	if (err == OT_OK)
		err = serve(server, why);
	else
		for (size_t i = 0; i < server->broker.listener_count; i++)
			ot_listener_close(server->broker.listeners[i].listener);
	free_server(server);
	return err;
}
