/* A broker's objects, and its start. The start ends when the controller says that this broker is
 * registered and unfenced, and its shards have opened what they could open at once. */
#include "broker/life_int.h"

#include "base/alloc.h"
#include "base/report.h"
#include "broker/assign_int.h"
#include "broker/fetch_session_int.h"
#include "broker/groups_int.h"
#include "broker/isr_int.h"
#include "replica/throttle.h"
#include "broker/quorum_int.h"
#include "log/logdir.h"

enum { LIFE_PIPELINE_COUNT_MAX = 256 };

/* On its way to the control thread. */
struct dir_failure {
	struct ot_mail mail;
	struct broker *broker;
};

/* ---- the shards' objects ------------------------------------------------------------------- */

static const struct ot_conn_handler conn_handler = {
	.on_request = broker_route,
	.on_close = life_on_close,
};

static void
on_lead(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	if (ot_str_is(ot_part_topic(part), BROKER_OFFSETS_TOPIC) && !self->is_closing)
		broker_groups_lead(self->groups, part);
}

static void
on_resign(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	if (ot_str_is(ot_part_topic(part), BROKER_OFFSETS_TOPIC) && !self->is_closing)
		broker_groups_resign(self->groups, part);
}

static void
on_isr_wanted(void *arg, struct ot_part *part)
{
	broker_isr_wanted(arg, part);
}

static void
on_follow(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	if (!self->is_closing)
		ot_fetchers_follow(self->fetchers, part);
}

static void
on_unfollow(void *arg, struct ot_part *part)
{
	struct broker_shard *self = arg;
	ot_fetchers_unfollow(self->fetchers, part);
}

static void
on_dir(void *arg, struct ot_part *part, const struct ot_uuid *dir)
{
	broker_assign(arg, part, dir);
}

/* The controller hears of it at once; with the last directory the broker has nothing to live on. */
static void
take_dir_failure(struct ot_mail *mail)
{
	struct dir_failure *failure = OT_CONTAINER_OF(mail, struct dir_failure, mail);
	struct broker *broker = failure->broker;
	ot_free(failure);
	broker_control_hurry(broker->control);
	for (size_t i = 0; i < ot_dirs_count(broker->dirs); i++) {
		if (!ot_dirs_has_failed(broker->dirs, i))
			return;
	}
	broker_stop(broker, OT_ERR_IO,
	    "all log directories have failed; start the broker again when the disk is well");
}

static void
on_dir_failed(void *arg, size_t dir)
{
	struct broker_shard *self = arg;
	struct dir_failure *failure = OT_NEW(struct dir_failure);
	(void)dir; /* ot_dirs knows */
	failure->broker = self->broker;
	failure->mail.deliver = take_dir_failure;
	ot_shard_post(ot_shard_control(self->broker->set), &failure->mail);
}

static struct ot_fetchers *
create_fetchers(const struct broker_shard *self, const struct ot_settings *settings)
{
	const struct ot_fetchers_conf conf = {
		.shard = self->shard,
		.node_id = self->broker->node_id,
		.listener = settings->inter_broker_listener,
		.bytes_min = ot_settings_int(settings, OT_BROKER_REPLICA_FETCH_MIN_BYTES),
		.bytes_max = ot_settings_int(settings, OT_BROKER_REPLICA_FETCH_MAX_BYTES),
		.response_bytes_max =
		    ot_settings_int(settings, OT_BROKER_REPLICA_FETCH_RESPONSE_MAX_BYTES),
		.wait_ms_max = ot_settings_number(settings, OT_BROKER_REPLICA_FETCH_WAIT_MAX_MS),
		.backoff_ms = ot_settings_number(settings, OT_BROKER_REPLICA_FETCH_BACKOFF_MS),
		.timeout_ms = ot_settings_number(settings, OT_BROKER_REPLICA_SOCKET_TIMEOUT_MS),
		.throttle = self->broker->follower_throttle,
	};
	return ot_fetchers_create(&conf);
}

static const struct ot_replicas_events replicas_events = {
	.on_follow = on_follow,
	.on_unfollow = on_unfollow,
	.on_lead = on_lead,
	.on_resign = on_resign,
	.on_isr_wanted = on_isr_wanted,
	.on_dir = on_dir,
	.on_dir_failed = on_dir_failed,
};

static void
create_shard(struct broker *broker, uint32_t index)
{
	const struct ot_settings *settings = broker->settings;
	struct broker_shard *self = &broker->shards[index];
	const struct ot_conn_limits limits = {
		.frame_bytes_max =
		    (size_t)ot_settings_int(settings, OT_BROKER_SOCKET_REQUEST_MAX_BYTES),
		.idle_ms_max = ot_settings_number(settings, OT_BROKER_CONNECTIONS_MAX_IDLE_MS),
		.pipeline_count_max = LIFE_PIPELINE_COUNT_MAX,
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
	self->fetchers = create_fetchers(self, settings);
	self->replicas = ot_replicas_create(&conf);
	ot_shard_enter(NULL);
}

static void
destroy_shard(struct broker_shard *self)
{
	if (self->shard == NULL)
		return;
	ot_shard_enter(self->shard);
	broker_producer_ids_destroy(self->producer_ids);
	broker_groups_destroy(self->groups);
	ot_replicas_destroy(self->replicas);
	ot_fetchers_destroy(self->fetchers);
	fetch_sessions_destroy(self->fetch_sessions);
	ot_codec_ctx_destroy(self->codecs);
	ot_conn_host_fini(&self->conns);
	ot_image_unref(self->image);
	ot_shard_enter(NULL);
}

/* ---- the start ----------------------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	struct broker *broker = arg;
	struct broker_life *life = broker->life;
	if (life->stop != LIFE_RUNS)
		return;
	ot_mono_ns took = ot_io_now_exact(ot_shard_control(broker->set)->io) - life->created;
	life_let_in(broker);
	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		OT_INFO("broker", "listening on %s://%s:%u", listener->conf->name,
		    listener->conf->host, listener->port);
	}
	OT_INFO("broker", "node %d of cluster %s is ready after %.1f ms", broker->node_id,
	    ot_dirs_cluster_id(broker->dirs), (double)took / OT_NS_PER_MS);
	life->args.on_ready(life->args.arg);
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	OT_ERROR("broker", "%s", why);
	broker_stop(arg, err, why);
}

void
broker_start(struct broker *broker)
{
	OT_ON_SHARD(ot_shard_control(broker->set));
	if (broker->life->quorum != NULL)
		broker_quorum_start(broker->life->quorum);
	broker_control_start(broker->control);
	life_start_checkpoints(broker);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Before anything is begun that others would notice. */
static ot_err
check_dirs(const struct broker *broker, struct ot_io *io, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	ot_err err = OT_OK;
	for (size_t i = 0; i < settings->log_dir_count && err == OT_OK; i++) {
		err = ot_logdir_check_free(io->fs, settings->log_dirs[i], why);
		/* Whether one whose disk has failed can be done without is seen when it is opened.
		 */
		err = err == OT_ERR_IO ? OT_OK : err;
	}
	/* Who copied a property file and set log.dir in it, as the old walk has it. */
	if (err == OT_ERR_EXISTS && ot_settings_is_set(settings, OT_BROKER_LOG_DIRS) &&
	    ot_settings_is_set(settings, OT_BROKER_LOG_DIR))
		ot_why_set(why,
		    "The log directory %s is in use by another process. log.dir has no effect "
		    "while log.dirs is set: remove log.dirs",
		    settings->log_dirs[0]);
	return err;
}

static ot_err
open_dirs(struct broker *broker, struct ot_io *io, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	char new_cluster_id[OT_UUID_TEXT_BYTES];
	struct ot_uuid cluster = ot_io_random_uuid(io);
	ot_uuid_to_text(&cluster, new_cluster_id);
	const struct broker_plan *plan = &broker->life->plan;
	struct ot_uuid *ids = ot_must_alloc(settings->log_dir_count * sizeof(*ids));
	for (size_t i = 0; i < settings->log_dir_count; i++)
		ids[i] = ot_io_random_uuid(io);
	const struct ot_dirs_conf conf = {
		.fs = io->fs,
		.paths = settings->log_dirs,
		.path_count = settings->log_dir_count,
		.node_id =
		    settings->node_id >= 0 || !plan->is_made ? settings->node_id : plan->node_id,
		.cluster_id = plan->place != NULL ? plan->place->cluster_id : NULL,
		.new_cluster_id = new_cluster_id,
		.new_dir_ids = ids,
	};
	ot_err err = ot_dirs_open(&conf, &broker->dirs, why);
	if (err == OT_OK)
		broker->node_id = ot_dirs_node_id(broker->dirs);
	ot_free(ids);
	return err;
}

static struct ot_throttle *
create_throttle(const struct broker *broker)
{
	const struct ot_settings *settings = broker->settings;
	int32_t count = ot_settings_int(settings, OT_BROKER_REPLICATION_QUOTA_WINDOW_NUM);
	int64_t seconds =
	    ot_settings_number(settings, OT_BROKER_REPLICATION_QUOTA_WINDOW_SIZE_SECONDS);
	return ot_throttle_create(broker->set, (uint32_t)OT_MAX(count, 2), seconds * 1000);
}

static void
create_objects(struct broker *broker, struct ot_io *io)
{
	broker->isr = broker_isr_create(broker);
	broker->assigner = broker_assigner_create(broker);
	broker->leader_throttle = create_throttle(broker);
	broker->follower_throttle = create_throttle(broker);
	for (uint32_t i = 0; i < broker->set->count; i++)
		create_shard(broker, i);
	struct broker_life *life = broker->life;
	if (life->args.forms_cluster) {
		life->quorum = broker_quorum_create(broker, &life->plan);
		life->args.make_metalog = broker_quorum_make_log;
		life->args.metalog_arg = life->quorum;
	}
	const struct broker_control_args args = {
		.broker = broker,
		.cluster_id = ot_dirs_cluster_id(broker->dirs),
		.incarnation = ot_io_random_uuid(io),
		.make_metalog = broker->life->args.make_metalog,
		.metalog_arg = broker->life->args.metalog_arg,
		.on_ready = on_ready,
		.on_failure = on_failure,
		.arg = broker,
	};
	broker->control = broker_control_create(&args);
}

ot_err
broker_create(const struct broker_args *args, struct broker **ret_broker, struct ot_why *why)
{
	struct ot_io *io = ot_shard_control(args->set)->io;
	struct broker *broker = OT_NEW(struct broker);
	broker->life = OT_NEW(struct broker_life);
	broker->life->broker = broker;
	broker->life->args = *args;
	broker->life->created = ot_io_now_exact(io);
	ot_list_init(&broker->life->waiting);
	broker->life->quota = life_quota_create();
	broker->settings = args->settings;
	broker->set = args->set;
	broker->shards = ot_must_alloc(args->set->count * sizeof(*broker->shards));
	ot_err err = check_dirs(broker, io, why);
	if (err == OT_OK)
		err = life_open_listeners(broker, why);
	if (err == OT_OK && args->forms_cluster)
		err = join_make_plan(broker, &broker->life->plan, why);
	if (err == OT_OK)
		err = open_dirs(broker, io, why);
	if (err != OT_OK) {
		broker_destroy(broker);
		return err;
	}
	create_objects(broker, io);
	*ret_broker = broker;
	return OT_OK;
}

void
broker_destroy(struct broker *broker)
{
	if (broker == NULL)
		return;
	life_close_listeners(broker);
	for (uint32_t i = 0; i < broker->set->count; i++)
		destroy_shard(&broker->shards[i]);
	broker_control_destroy(broker->control);
	broker_isr_destroy(broker->isr);
	broker_assigner_destroy(broker->assigner);
	ot_throttle_destroy(broker->leader_throttle);
	ot_throttle_destroy(broker->follower_throttle);
	broker_quorum_destroy(broker->life->quorum);
	join_plan_fini(&broker->life->plan);
	ot_dirs_close(broker->dirs);
	life_quota_destroy(broker->life->quota);
	ot_free(broker->life->stop_mails);
	ot_free(broker->life->is_dir_clean);
	ot_free(broker->life->stop_rows);
	ot_free(broker->life);
	ot_free(broker->shards);
	ot_free(broker->listeners);
	ot_free(broker);
}
