#include "broker/join_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/report.h"
#include "broker/ask_int.h"
#include "broker/life_int.h"
#include "log/logdir.h"

enum {
	JOIN_PATH_BYTES = 1200,
	JOIN_ASK_MS_MAX = 5000,
	JOIN_LOOK_MS_MAX = 1000, /* of a founder that looks for others */
	JOIN_PAUSE_MS = 100,
	JOIN_REPORT_MS = 10 * 1000,
	JOIN_STRANGER_COUNT = 3, /* in a row, before it is believed */
	/* Members of a cluster take a free address within that time: then it is not to be founded.
	 */
	JOIN_UNREACHABLE_MS = 3000,
};

struct join {
	struct broker *broker;
	const struct ot_settings *settings;
	struct ot_fs *fs;
	struct broker_plan *plan;
	struct ot_logdir_meta meta; /* of the metadata directory; zero where there is none */
	bool has_log;               /* a cluster of its own */
	bool is_looking;            /* it only wants to know whether it is answered */
	int stranger_count;
	int64_t waited_ms, told_ms;
	int64_t unreachable_ms; /* for which nobody has answered at all */
};

static ot_err
invalid(struct ot_why *why, const char *text)
{
	ot_why_set(why, "%s", text);
	return OT_ERR_INVALID_CONFIG;
}

/* ---- what is there --------------------------------------------------------------------------- */

static ot_err
note_log_file(void *arg, const char *name, bool is_dir)
{
	bool *has_log = arg;
	size_t bytes = strlen(name);

	*has_log |= !is_dir && bytes > 4 && strcmp(name + bytes - 4, ".log") == 0;
	return OT_OK;
}

/* Whether the folder has a metadata log that was in use. What kafka-storage.sh format leaves is
 * none. */
static bool
has_metadata_log(const struct join *join)
{
	char path[JOIN_PATH_BYTES];
	struct ot_text text = OT_TEXT(path);
	bool has_log = false;

	ot_text_put(&text, "%s/__cluster_metadata-0", join->settings->metadata_log_dir);
	if (ot_fs_list(join->fs, path, note_log_file, &has_log) != OT_OK)
		return false;
	return has_log;
}

static ot_err
read_meta(struct join *join, struct ot_why *why)
{
	const struct ot_settings *settings = join->settings;
	ot_err err = ot_logdir_read_meta(join->fs, settings->metadata_log_dir, &join->meta, why);

	for (size_t i = 0; err == OT_ERR_NOT_FOUND && i < settings->log_dir_count; i++)
		err = ot_logdir_read_meta(join->fs, settings->log_dirs[i], &join->meta, why);
	if (err == OT_ERR_NOT_FOUND) {
		join->meta = (struct ot_logdir_meta){ .node_id = -1 };
		return OT_OK;
	}
	return err;
}

/* ---- who founds ------------------------------------------------------------------------------ */

static void
drop_accepted(void *arg, const struct ot_accepted *accepted)
{
	ot_accepted_drop(arg, accepted);
}

/* Whether the host is this machine: then one of its ports can be listened to. */
static bool
is_own_host(const struct join *join, const char *host)
{
	struct ot_io *io = ot_shard_control(join->broker->set)->io;
	struct ot_listener *listener = NULL;

	if (ot_io_listen(io, host, 0, drop_accepted, io, &listener) != OT_OK)
		return false;
	ot_listener_close(listener);
	return true;
}

/* Whether one of the addresses is where this process listens. */
static bool
is_own(const struct join *join, size_t index)
{
	const struct ot_settings *settings = join->settings;
	const struct ot_listener_conf *listener = settings->control_listener;
	const struct ot_host_port *address = &settings->controllers[index];
	int32_t node_id = settings->node_id >= 0 ? settings->node_id : join->meta.node_id;

	if (!settings->is_controller)
		return false;
	if (settings->voter_count > 0)
		return settings->voters[index].id == node_id;
	if (settings->control_listener_is_made)
		return index == 0 && life_has_control_address(join->broker);
	return listener->port == address->port &&
	       (strcmp(listener->host, address->host) == 0 || is_own_host(join, address->host));
}

static bool
is_first(const struct join *join)
{
	return is_own(join, 0);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void
fill_request(const struct join *join, struct ot_ottla_join_request *request)
{
	const struct ot_settings *settings = join->settings;

	ot_ottla_join_request_init(request);
	if (join->meta.cluster_id[0] != '\0')
		request->cluster_id = ot_str_from(join->meta.cluster_id);
	request->node_id = settings->node_id >= 0 ? settings->node_id : join->meta.node_id;
	request->directory_id = join->meta.directory_id;
	request->is_controller = settings->is_controller;
	if (settings->is_broker)
		request->listener = ot_str_from(settings->inter_broker_listener);
}

static ot_err
save_place(const struct join *join, struct ot_why *why)
{
	const char *dir = join->settings->metadata_log_dir;
	struct ot_metalog_marker marker = { .stage = OT_METALOG_ETCD,
		.seed = ot_io_random_uuid(ot_shard_control(join->broker->set)->io) };
	ot_err err = ot_fs_mkdir_all(join->fs, dir);

	if (err == OT_OK)
		err = ot_etcd_place_write(join->fs, dir, join->plan->place);
	if (err == OT_OK)
		err = ot_metalog_marker_write(join->fs, dir, &marker);
	if (err != OT_OK)
		ot_why_set(why, "%s cannot be written to: %s", dir, ot_err_message(err));
	join->plan->marker = marker;
	return err;
}

/* The answer is a cluster: it is ours from now on. */
static ot_err
take_cluster(struct join *join, const struct ot_ottla_join_response *response, struct ot_why *why)
{
	struct ot_etcd_place *place = OT_NEW(struct ot_etcd_place);
	struct ot_text cluster_id = OT_TEXT(place->cluster_id), prefix = OT_TEXT(place->prefix);

	ot_text_put(&cluster_id, "%.*s", OT_STR_ARG(response->cluster_id));
	ot_text_put(&prefix, "%.*s", OT_STR_ARG(response->prefix));
	for (int32_t i = 0; i < response->client_endpoints_count; i++) {
		char endpoint[OT_ETCD_URL_BYTES];
		struct ot_text text = OT_TEXT(endpoint);

		ot_text_put(&text, "%.*s", OT_STR_ARG(response->client_endpoints[i]));
		ot_etcd_place_add(place, endpoint);
	}
	join->plan->place = place;
	join->plan->node_id = response->node_id;
	OT_INFO("broker", "joins cluster %s as node %d", place->cluster_id, response->node_id);
	return save_place(join, why);
}

static void
tell_waiting(struct join *join, const struct ot_host_port *where, const char *what)
{
	if (join->waited_ms < join->told_ms)
		return;
	join->told_ms = join->waited_ms + JOIN_REPORT_MS;
	OT_INFO("broker", "waits for a cluster to join: %s:%u, which %s names, %s", where->host,
	    where->port, ot_broker_table.defs[join->settings->controllers_key].name, what);
}

/* Asks one of the addresses. OT_ERR_AGAIN: not now; OT_ERR_NOT_FOUND: nothing there speaks our
 * protocol; OT_OK: joined. */
static ot_err
ask_one(struct join *join, const struct ot_host_port *where, int64_t timeout_ms, struct ot_why *why)
{
	struct ot_ottla_join_request request;
	struct ot_ottla_join_response response;
	struct ot_arena arena;
	enum ask_outcome outcome;
	ot_err err = OT_ERR_AGAIN;

	ot_arena_init(&arena, 0);
	fill_request(join, &request);
	outcome = ask_join(where, timeout_ms, &request, &arena, &response);
	if (outcome != ASK_UNREACHABLE)
		join->unreachable_ms = 0;
	if (outcome == ASK_NOT_CONTROLLER) {
		tell_waiting(join, where,
		    "answers as a broker, not as a controller; correct the address if it stays so");
	} else if (outcome == ASK_STRANGER) {
		err = OT_ERR_NOT_FOUND;
	} else if (outcome != ASK_ANSWERED) {
		tell_waiting(join, where, "does not answer");
	} else if (response.error_code == OT_OK) {
		err = join->is_looking ? OT_OK : take_cluster(join, &response, why);
	} else if (response.error_code == OT_ERR_COORDINATOR_NOT_AVAILABLE) {
		tell_waiting(join, where, "is getting ready");
	} else {
		ot_why_set(why, "%s:%u does not let this process join: %.*s", where->host,
		    where->port, OT_STR_ARG(response.error_message));
		err = ot_err_from_wire(response.error_code);
	}
	ot_arena_fini(&arena);
	return err;
}

/* Asks each once but this process itself. Errors as above. */
static ot_err
ask_all(struct join *join, int64_t timeout_ms, struct ot_why *why)
{
	const struct ot_settings *settings = join->settings;
	ot_err result = OT_ERR_NOT_FOUND;

	for (size_t i = 0; i < settings->controller_count; i++) {
		ot_err err = is_own(join, i)
		                 ? OT_ERR_NOT_FOUND
		                 : ask_one(join, &settings->controllers[i], timeout_ms, why);

		if (err != OT_ERR_AGAIN && err != OT_ERR_NOT_FOUND)
			return err;
		if (err == OT_ERR_AGAIN)
			result = OT_ERR_AGAIN;
	}
	return result;
}

static void
found(struct join *join)
{
	join->plan->node_id = -1;
	join->plan->marker.stage = OT_METALOG_LOCAL;
}

/* Something else listens there, on this machine: a ZooKeeper, as likely as not, which old property
 * files name. Nobody is to be joined, then. */
static bool
is_alone(struct join *join)
{
	const struct ot_host_port *where = &join->settings->controllers[0];

	if (++join->stranger_count < JOIN_STRANGER_COUNT ||
	    join->settings->controllers_key != OT_BROKER_ZOOKEEPER_CONNECT ||
	    !join->settings->is_controller || !is_own_host(join, where->host))
		return false;
	OT_WARN("broker",
	    "what listens at %s:%u, which zookeeper.connect names, is no Ottla. This process is a "
	    "cluster of its own, and tools reach it by --bootstrap-server only",
	    where->host, where->port);
	return true;
}

/* Asks until it is answered, or can found. */
static ot_err
join_or_found(struct join *join, struct ot_why *why)
{
	const struct ot_settings *settings = join->settings;

	join->told_ms = JOIN_PAUSE_MS * 5;
	for (;;) {
		ot_err err = ask_all(join, JOIN_ASK_MS_MAX, why);

		if (err != OT_ERR_AGAIN && err != OT_ERR_NOT_FOUND)
			return err;
		if (err == OT_ERR_AGAIN)
			join->stranger_count = 0;
		else if (is_alone(join))
			break;
		else
			tell_waiting(join, &settings->controllers[0],
			    "does not speak Kafka's protocol; correct the address");
		ask_pause(JOIN_PAUSE_MS);
		join->waited_ms += JOIN_PAUSE_MS;
		join->unreachable_ms += JOIN_PAUSE_MS;
		/* Whoever had the address is gone, and left nobody. */
		if (settings->control_listener_is_made &&
		    join->unreachable_ms >= JOIN_UNREACHABLE_MS &&
		    life_take_control_address(join->broker, NULL) && is_first(join))
			break;
	}
	found(join);
	return OT_OK;
}

/* A founder that is to be one of several: perhaps the others are a cluster already. */
static ot_err
found_or_join(struct join *join, struct ot_why *why)
{
	ot_err err = OT_ERR_NOT_FOUND;

	if (join->settings->controller_count > 1) {
		join->told_ms = JOIN_REPORT_MS;
		err = ask_all(join, JOIN_LOOK_MS_MAX, why);
	}
	if (err != OT_ERR_AGAIN && err != OT_ERR_NOT_FOUND)
		return err;
	found(join);
	return OT_OK;
}

/* It has a cluster of its own. If others answer where the controllers are said to be, something was
 * mixed up, and they say so. */
static ot_err
go_on_alone(struct join *join, struct ot_why *why)
{
	ot_err err = OT_ERR_AGAIN;

	if (!join->settings->is_controller)
		return invalid(why,
		    "the folder has the metadata of a cluster of which this process was the only "
		    "controller; add controller to process.roles, or give it an empty folder to "
		    "let "
		    "it join another cluster");
	if (!is_first(join)) {
		join->told_ms = JOIN_REPORT_MS;
		join->is_looking = true;
		err = ask_all(join, JOIN_LOOK_MS_MAX, why);
	}
	if (err == OT_OK) {
		ot_why_set(why,
		    "the folder %s has the metadata of cluster %s, of which another process says "
		    "to "
		    "be: was it copied? Give this one an empty folder",
		    join->settings->metadata_log_dir, join->meta.cluster_id);
		return OT_ERR_INCONSISTENT_CLUSTER_ID;
	}
	if (err != OT_ERR_AGAIN && err != OT_ERR_NOT_FOUND)
		return err;
	found(join);
	return OT_OK;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* It was in a cluster, and goes on as its files say. */
static ot_err
resume(struct join *join, struct ot_why *why)
{
	struct broker_plan *plan = join->plan;
	const char *dir = join->settings->metadata_log_dir;
	ot_err err;

	plan->place = OT_NEW(struct ot_etcd_place);
	err = ot_etcd_place_read(join->fs, dir, plan->place, why);
	if (err == OT_OK && join->meta.cluster_id[0] != '\0' &&
	    strcmp(plan->place->cluster_id, join->meta.cluster_id) != 0) {
		ot_why_set(why,
		    "%s: metadata.etcd is of cluster %s and meta.properties of cluster %s: put "
		    "back "
		    "the folder's own files",
		    dir, plan->place->cluster_id, join->meta.cluster_id);
		err = OT_ERR_INCONSISTENT_CLUSTER_ID;
	}
	return err;
}

static ot_err
decide(struct join *join, struct ot_why *why)
{
	if (join->plan->marker.stage != OT_METALOG_LOCAL)
		return resume(join, why);
	join->has_log = has_metadata_log(join);
	if (join->settings->controller_count == 0) {
		found(join);
		return OT_OK;
	}
	if (join->has_log)
		return go_on_alone(join, why);
	return is_first(join) ? found_or_join(join, why) : join_or_found(join, why);
}

ot_err
join_make_plan(struct broker *broker, struct broker_plan *ret_plan, struct ot_why *why)
{
	struct join join = {
		.broker = broker,
		.settings = broker->settings,
		.fs = ot_shard_control(broker->set)->io->fs,
		.plan = ret_plan,
	};
	ot_err err;

	*ret_plan = (struct broker_plan){ .is_made = true, .node_id = -1 };
	err = ot_metalog_marker_read(join.fs, join.settings->metadata_log_dir, &ret_plan->marker,
	    why);
	if (err == OT_OK)
		err = read_meta(&join, why);
	return err == OT_OK ? decide(&join, why) : err;
}

void
join_plan_fini(struct broker_plan *plan)
{
	ot_free(plan->place);
	plan->place = NULL;
}
