/* Brokers on simulated machines. */
#include "cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/logdir.h"

enum { BUDGET_BYTES = 128 * OT_MIB };
#define CLUSTER_ID "simulatedclusterAAAAAA"

static uint32_t
io_count(const struct cluster *cluster)
{
	return cluster->conf.shard_count + 1;
}

static struct ot_io *
control_io(const struct cluster_broker *self)
{
	return self->ios[self->cluster->conf.shard_count];
}

struct cluster_broker *
cluster_broker(struct cluster *cluster, int32_t id)
{
	OT_ASSERT(id >= 1 && id <= CLUSTER_BROKERS_MAX);
	return &cluster->brokers[id - 1];
}

bool
cluster_is_running(const struct cluster_broker *broker)
{
	return broker->broker != NULL && !broker->is_stopped;
}

/* ---- threads -------------------------------------------------------------------------------- */

static void
enter(struct cluster_broker *self, struct ot_io *io)
{
	struct ot_shard *shard = NULL;

	for (uint32_t i = 0; self->set != NULL && i < io_count(self->cluster); i++)
		if (self->ios[i] == io)
			shard = self->set->shards[i];
	ot_shard_enter(shard);
}

static void
on_switch(void *arg, struct ot_io *io)
{
	struct cluster *cluster = arg;

	if (io != NULL) {
		/* Brokers' machines are the first of the world, in the order of their ids. */
		int32_t index = ot_sim_host_index(ot_sim_io_host(io));

		if (index < CLUSTER_BROKERS_MAX) {
			enter(&cluster->brokers[index], io);
			return;
		}
	}
	ot_shard_enter(NULL);
}

/* Runs a few calls as the broker's control thread. */
static void
begin_stop(struct cluster_broker *self, ot_err err, const char *why)
{
	enter(self, control_io(self));
	broker_stop(self->broker, err, why);
	ot_shard_enter(NULL);
	ot_io_ring(control_io(self));
}

/* ---- what a broker tells its process --------------------------------------------------------- */

static void
note(const struct cluster_broker *self, const char *verb, const char *what, ot_err err)
{
	const struct ot_sim_event event = { .at = ot_sim_world_now(self->cluster->world),
		.verb = verb,
		.what = what,
		.host = self->id - 1,
		.err = err };

	ot_sim_trace_put(ot_sim_world_trace(self->cluster->world), &event);
}

static void
on_ready(void *arg)
{
	struct cluster_broker *self = arg;

	self->is_ready = true;
	note(self, "ready", NULL, OT_OK);
}

static void
on_stopping(void *arg)
{
	struct cluster_broker *self = arg;

	self->is_ready = false;
	note(self, "stopping", NULL, OT_OK);
}

static void
on_stopped(void *arg, ot_err err, const char *why)
{
	struct cluster_broker *self = arg;

	self->is_stopped = true;
	self->is_ready = false;
	self->err = err;
	(void)snprintf(self->why, sizeof(self->why), "%s", why);
	note(self, "stopped", why, err);
}

static void
on_shard_stopped(void *arg, struct ot_shard *shard)
{
	(void)arg;
	OT_ASSERT(shard == ot_shard_self);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void
free_threads(struct cluster_broker *self)
{
	ot_shard_set_destroy(self->set);
	self->set = NULL;
	for (uint32_t i = 0; i < io_count(self->cluster); i++) {
		ot_sim_io_destroy(self->ios[i]);
		self->ios[i] = NULL;
	}
}

/* Everything of a broker that has stopped or crashed goes. */
static void
free_broker(struct cluster_broker *self)
{
	ot_shard_enter(NULL);
	broker_destroy(self->broker);
	self->broker = NULL;
	free_threads(self);
	if (ot_sim_disk_open_count(ot_sim_host_disk(self->host)) != 0)
		OT_PANIC("broker %d has left files open", self->id);
}

static void
on_crash(void *arg)
{
	struct cluster_broker *self = arg;
	struct cluster *cluster = self->cluster;
	bool is_power_lost = self->has_lost_power;

	if (self->broker != NULL) {
		/* Nobody is asked for anything any more, as an orderly stop would. */
		begin_stop(self, OT_ERR_CLOSED, "the machine has ended");
		ot_sim_host_drain(self->host);
		if (!self->is_stopped)
			OT_PANIC("broker %d did not end after its machine had: step %d, %u shards "
				 "have not answered",
			    self->id, self->broker->life->stop,
			    self->broker->life->stop_pending_count);
		free_broker(self);
	}
	self->has_lost_power = true; /* what a disk that stops by its plan means */
	if (cluster->conf.on_crash != NULL && !cluster->is_stopping)
		cluster->conf.on_crash(cluster->conf.arg, self, is_power_lost);
}

static struct ot_metalog *
make_metalog(void *arg, struct broker *broker, struct ot_io *io)
{
	struct cluster_broker *self = arg;

	(void)broker;
	return metalog_sim_create(&(struct metalog_sim_args){
	    .store = self->cluster->store,
	    .io = io,
	    .node_id = self->id,
	    .is_candidate = self->id <= self->cluster->conf.controller_count,
	    .endpoint = { self->address, CLUSTER_CONTROL_PORT },
	});
}

static void
fail_start(struct cluster_broker *self, ot_err err, const char *why)
{
	struct cluster *cluster = self->cluster;

	self->failures++;
	note(self, "fails", why, err);
	if (cluster->conf.on_failure != NULL && !cluster->is_stopping)
		cluster->conf.on_failure(cluster->conf.arg, self, err, why);
}

void
cluster_start(struct cluster *cluster, int32_t id)
{
	struct cluster_broker *self = cluster_broker(cluster, id);
	struct ot_why why = { "" };
	struct broker_args args = {
		.settings = self->settings,
		.on_ready = on_ready,
		.on_stopping = on_stopping,
		.on_stopped = on_stopped,
		.on_shard_stopped = on_shard_stopped,
		.arg = self,
		.make_metalog = cluster->conf.is_local ? NULL : make_metalog,
		.metalog_arg = self,
	};
	ot_err err;

	if (self->broker != NULL)
		return;
	if (!ot_sim_host_is_up(self->host))
		ot_sim_host_restart(self->host);
	ot_shard_enter(NULL);
	for (uint32_t i = 0; i < io_count(cluster); i++)
		self->ios[i] = ot_sim_io_create(self->host);
	self->set = ot_shard_set_create(cluster->conf.shard_count, self->ios,
	    cluster->conf.shard_count * (size_t)BUDGET_BYTES);
	args.set = self->set;
	self->is_ready = self->is_stopped = false;
	self->starts++;
	err = broker_create(&args, &self->broker, &why);
	if (err != OT_OK) {
		/* The disk may have stopped the machine meanwhile: then on_crash was told. */
		self->broker = NULL;
		free_threads(self);
		fail_start(self, err, why.text);
		return;
	}
	enter(self, control_io(self));
	broker_start(self->broker);
	ot_shard_enter(NULL);
	ot_io_ring(control_io(self));
}

void
cluster_stop(struct cluster *cluster, int32_t id)
{
	struct cluster_broker *self = cluster_broker(cluster, id);

	if (self->broker != NULL && !self->is_stopped && ot_sim_host_is_up(self->host))
		begin_stop(self, OT_OK, "");
}

void
cluster_crash(struct cluster *cluster, int32_t id, enum ot_sim_stop how)
{
	struct cluster_broker *self = cluster_broker(cluster, id);

	if (!ot_sim_host_is_up(self->host))
		return;
	self->has_lost_power = how == OT_SIM_POWER_LOST;
	ot_sim_host_crash(self->host, how);
}

void
cluster_tick(struct cluster *cluster)
{
	for (int32_t id = 1; id <= cluster->conf.broker_count; id++) {
		struct cluster_broker *self = cluster_broker(cluster, id);

		if (self->broker == NULL || !self->is_stopped)
			continue;
		free_broker(self);
		if (self->err != OT_OK)
			fail_start(self, self->err, self->why);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

static struct ot_settings *
make_settings(const char *text)
{
	struct ot_properties file;
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	struct ot_why why = { { 0 } };
	ot_err err;

	ot_properties_init(&file, "server.properties");
	ot_config_notes_init(&notes);
	err = ot_properties_parse(&file, text, strlen(text), &why);
	if (err == OT_OK)
		err = ot_settings_create(&(struct ot_settings_input){ .file = &file }, &notes,
		    &settings);
	if (err != OT_OK)
		OT_PANIC("settings: %s: %s", why.text,
		    notes.first != NULL ? notes.first->text : ot_err_name(err));
	ot_config_notes_fini(&notes);
	ot_properties_fini(&file);
	return settings;
}

static int
add_voters(const struct cluster *cluster, char *text, size_t bytes)
{
	size_t used = 0;

	for (int32_t id = 1; id <= cluster->conf.controller_count; id++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%d@10.0.0.%d:%d",
		    id == 1 ? "controller.quorum.voters=" : ",", id, id, CLUSTER_CONTROL_PORT);
	used += (size_t)snprintf(text + used, bytes - used, "\n");
	return (int)used;
}

static void
write_settings(struct cluster_broker *self, char *text, size_t bytes)
{
	const struct cluster *cluster = self->cluster;
	bool is_controller = self->id <= cluster->conf.controller_count;
	size_t used = 0;

	used += (size_t)snprintf(text + used, bytes - used,
	    "node.id=%d\nlog.dirs=/data\nadvertised.listeners=PLAINTEXT://%s:%d\n", self->id,
	    self->address, CLUSTER_PORT);
	if (cluster->conf.broker_count > 1) {
		used += (size_t)snprintf(text + used, bytes - used,
		    "controller.listener.names=CONTROLLER\nprocess.roles=%s\n"
		    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n",
		    is_controller ? "broker,controller" : "broker");
		used += (size_t)add_voters(cluster, text + used, bytes - used);
		is_controller = is_controller && cluster->conf.broker_count > 1;
	} else {
		is_controller = false;
	}
	used += (size_t)snprintf(text + used, bytes - used, "listeners=PLAINTEXT://%s:%d",
	    self->address, CLUSTER_PORT);
	if (is_controller)
		used += (size_t)snprintf(text + used, bytes - used, ",CONTROLLER://%s:%d",
		    self->address, CLUSTER_CONTROL_PORT);
	used += (size_t)snprintf(text + used, bytes - used, "\n%s", cluster->conf.settings);
	OT_ASSERT(used < bytes);
}

/* The folder is the cluster's from the beginning. */
static void
format_disk(struct cluster_broker *self)
{
	const struct ot_logdir_open_args args = {
		.fs = ot_sim_host_fs(self->host),
		.path = "/data",
		.node_id = self->id,
		.new_cluster_id = CLUSTER_ID,
		.directory_id = { { [0] = 7, [15] = (uint8_t)self->id } },
	};
	struct ot_logdir *logdir;
	struct ot_why why;

	if (ot_logdir_open(&args, &logdir, &why) != OT_OK || ot_fs_sync_dir(args.fs, "/") != OT_OK)
		OT_PANIC("formatting a disk: %s", why.text);
	ot_logdir_close(logdir);
}

static void
init_broker(struct cluster *cluster, int32_t id)
{
	struct cluster_broker *self = cluster_broker(cluster, id);
	char text[CLUSTER_SETTINGS_BYTES];

	self->cluster = cluster;
	self->id = id;
	self->has_lost_power = true;
	(void)snprintf(self->address, sizeof(self->address), "10.0.0.%d", id);
	self->host = ot_sim_host_create(cluster->world, self->address);
	ot_sim_host_on_crash(self->host, on_crash, self);
	if (id > cluster->conf.broker_count)
		return;
	write_settings(self, text, sizeof(text));
	self->settings = make_settings(text);
	format_disk(self);
}

void
cluster_init(struct cluster *cluster, const struct cluster_conf *conf)
{
	OT_ASSERT(conf->broker_count >= 1 && conf->broker_count <= CLUSTER_BROKERS_MAX);
	OT_ASSERT(conf->shard_count >= 1 && conf->shard_count <= CLUSTER_SHARDS_MAX);
	OT_ASSERT(!conf->is_local || conf->broker_count == 1);
	*cluster = (struct cluster){ .conf = *conf, .world = ot_sim_world_create(conf->seed) };
	ot_sim_world_on_switch(cluster->world, on_switch, cluster);
	cluster->store = metalog_store_create(cluster->world, &conf->store);
	for (int32_t id = 1; id <= CLUSTER_BROKERS_MAX; id++)
		init_broker(cluster, id);
}

void
cluster_fini(struct cluster *cluster)
{
	cluster->is_stopping = true;
	for (int32_t id = 1; id <= cluster->conf.broker_count; id++) {
		struct cluster_broker *self = cluster_broker(cluster, id);

		cluster_tick(cluster);
		if (self->broker != NULL)
			cluster_crash(cluster, id, OT_SIM_KILLED);
		ot_settings_unref(self->settings);
		if (ot_sim_disk_violation_count(ot_sim_host_disk(self->host)) != 0)
			OT_PANIC("broker %d wrote to a file whose sync had failed", id);
	}
	metalog_store_destroy(cluster->store);
	ot_sim_world_destroy(cluster->world);
}
