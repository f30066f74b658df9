#include "broker/quorum_state_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"

enum {
	QUORUM_TICK_MS = 1000,
	QUORUM_ADDRESS_MS = 250,
	QUORUM_ADDRESSES_MAX = 8,
	QUORUM_WISH_MS_MAX = 2000,
	QUORUM_GROW_RETRY_MS = 2000,
	QUORUM_LEASE_MS_MIN = 1000,
};

static void pursue(struct broker_quorum *quorum);
static void close_step(struct broker_quorum *quorum);
static void start_member(struct broker_quorum *quorum, bool founds, int32_t members_max);
static void drop_member(struct broker_quorum *quorum);

/* Nothing new is begun: the controller may be gone. */
static bool
is_over(const struct broker_quorum *quorum)
{
	return quorum->on_closed != NULL || quorum->broker->life->stop != LIFE_RUNS;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
on_work(struct ot_job *job)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(job, struct broker_quorum, job);

	quorum->job_work(quorum);
}

static void
on_worked(struct ot_job *job)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(job, struct broker_quorum, job);

	quorum->is_job_running = false;
	if (!is_over(quorum) && quorum->job_done != NULL)
		quorum->job_done(quorum);
	pursue(quorum);
}

static void
submit(struct broker_quorum *quorum, void (*work)(struct broker_quorum *),
    void (*done)(struct broker_quorum *))
{
	OT_ASSERT(!quorum->is_job_running);
	quorum->is_job_running = true;
	quorum->job_work = work;
	quorum->job_done = done;
	ot_io_submit(quorum->io, &quorum->job);
}

static void
save_work(struct broker_quorum *quorum)
{
	struct ot_fs *fs = quorum->io->fs;
	const char *dir = quorum->settings->metadata_log_dir;

	quorum->job_err = ot_etcd_place_write(fs, dir, quorum->job_place);
}

static void
forget_work(struct broker_quorum *quorum)
{
	quorum->job_err = ot_etcd_member_forget(quorum->io->fs, quorum->settings->metadata_log_dir);
}

/* ---- the log -------------------------------------------------------------------------------- */

static struct ot_kv *
make_kv(void *arg)
{
	struct broker_quorum *quorum = arg;
	const struct ot_kv_etcd_conf conf = { .io = quorum->io, .list = quorum->endpoints };
	struct ot_kv *kv = NULL;

	if (ot_kv_etcd_create(&conf, &kv) != OT_OK)
		OT_PANIC("no memory for a client of etcd");
	return kv;
}

/* For that long a controller's silence is borne. etcd knows whole seconds. */
static int64_t
lease_ms(const struct broker_quorum *quorum)
{
	int64_t wanted =
	    ot_settings_number(quorum->settings, OT_BROKER_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS);

	return OT_MAX(wanted, (int64_t)QUORUM_LEASE_MS_MIN);
}

static struct ot_metalog_target
target_of(struct broker_quorum *quorum)
{
	return (struct ot_metalog_target){
		.make_kv = make_kv,
		.arg = quorum,
		.prefix = quorum->place->prefix,
		.directory = quorum->directory,
		.endpoint = quorum->endpoint,
		.lease_ms = lease_ms(quorum),
	};
}

struct ot_metalog *
broker_quorum_make_log(void *arg, struct broker *broker, struct ot_io *io)
{
	struct broker_quorum *quorum = arg;
	const struct ot_settings *settings = quorum->settings;
	struct ot_metalog_target target;
	struct ot_metalog_grow_args args = {
		.local = {
			.io = io,
			.dir = settings->metadata_log_dir,
			.node_id = broker->node_id,
			.segment_bytes =
			    ot_settings_int(settings, OT_BROKER_METADATA_LOG_SEGMENT_BYTES),
			.segment_ms =
			    ot_settings_number(settings, OT_BROKER_METADATA_LOG_SEGMENT_MS),
		},
		.marker = quorum->marker,
	};

	if (quorum->state == QUORUM_ETCD) {
		const struct ot_metalog_etcd_args etcd = {
			.io = io,
			.kv = make_kv(quorum),
			.prefix = quorum->place->prefix,
			.node_id = broker->node_id,
			.directory = quorum->directory,
			.is_candidate = settings->is_controller,
			.endpoint = quorum->endpoint,
			.lease_ms = lease_ms(quorum),
		};

		return ot_metalog_etcd_create(&etcd);
	}
	if (quorum->state == QUORUM_GROWING) {
		target = target_of(quorum);
		args.target = &target;
	}
	quorum->log = ot_metalog_grow_create(&args);
	return quorum->log;
}

/* ---- growing -------------------------------------------------------------------------------- */

static void
growth_failed(struct broker_quorum *quorum, const char *why)
{
	struct ot_text text = OT_TEXT(quorum->why);

	ot_text_put(&text, "%s", why);
	OT_ERROR("broker", "nobody can join: %s", why);
	quorum->state = QUORUM_LOCAL;
	quorum->tried = ot_io_now(quorum->io);
}

static void
on_grown(void *arg, ot_err err)
{
	struct broker_quorum *quorum = arg;

	if (err == OT_OK) {
		OT_INFO("broker", "the metadata log is in etcd now, below %s",
		    quorum->place->prefix);
		quorum->state = QUORUM_ETCD;
		quorum->log = NULL;
		ot_timer_arm_in_ms(quorum->io, &quorum->tick, QUORUM_TICK_MS);
		return;
	}
	growth_failed(quorum, "etcd holds another metadata log already; empty it");
	if (quorum->member != NULL)
		drop_member(quorum);
}

static void
grow_saved(struct broker_quorum *quorum)
{
	struct ot_metalog_target target = target_of(quorum);
	struct ot_text why = OT_TEXT(quorum->why);

	if (quorum->job_err != OT_OK) {
		ot_text_put(&why, "%s/metadata.etcd: %s", quorum->settings->metadata_log_dir,
		    ot_err_message(quorum->job_err));
		growth_failed(quorum, quorum->why);
		return;
	}
	quorum->state = QUORUM_GROWING;
	ot_metalog_grow(quorum->log, &target, on_grown, quorum);
}

static void
put_place(struct broker_quorum *quorum)
{
	struct ot_text cluster = OT_TEXT(quorum->place->cluster_id);
	struct ot_text prefix = OT_TEXT(quorum->place->prefix);

	ot_text_put(&cluster, "%s", ot_dirs_cluster_id(quorum->broker->dirs));
	ot_text_put(&prefix, "/ottla/%s", quorum->place->cluster_id);
}

/* etcd is there: the file says where, then the log goes over. */
static void
begin_saving(struct broker_quorum *quorum)
{
	put_place(quorum);
	quorum->state = QUORUM_SAVING;
	quorum->is_place_dirty = true;
	pursue(quorum);
}

void
quorum_grow(struct broker_quorum *quorum)
{
	ot_mono_ns now = ot_io_now(quorum->io);

	if (quorum->state != QUORUM_LOCAL || quorum->log == NULL || is_over(quorum) ||
	    quorum->member != NULL || quorum->is_job_running || quorum->is_member_forgotten ||
	    (quorum->tried != 0 &&
		now - quorum->tried < (ot_mono_ns)QUORUM_GROW_RETRY_MS * OT_NS_PER_MS))
		return;
	quorum->why[0] = '\0';
	quorum->state = QUORUM_FOUNDING;
	if (quorum->is_external)
		begin_saving(quorum);
	else
		start_member(quorum, true, 1);
}

/* ---- where etcd is -------------------------------------------------------------------------- */

static void
set_endpoints(struct broker_quorum *quorum)
{
	const char *urls[OT_ETCD_ENDPOINTS_MAX];

	for (size_t i = 0; i < quorum->place->endpoint_count; i++)
		urls[i] = quorum->place->endpoints[i];
	ot_etcd_endpoints_set(quorum->endpoints, urls, quorum->place->endpoint_count);
}

static bool
has_endpoint(const struct ot_etcd_place *place, const char *endpoint)
{
	for (size_t i = 0; i < place->endpoint_count; i++)
		if (strcmp(place->endpoints[i], endpoint) == 0)
			return true;
	return false;
}

static bool
is_same_place(const struct ot_etcd_place *a, const struct ot_etcd_place *b)
{
	if (a->endpoint_count != b->endpoint_count)
		return false;
	for (size_t i = 0; i < a->endpoint_count; i++)
		if (!has_endpoint(b, a->endpoints[i]))
			return false;
	return true;
}

/* The voters of the last list, this process's own first: it is the nearest. */
static void
take_endpoints(struct broker_quorum *quorum)
{
	struct ot_etcd_place *fresh = OT_NEW(struct ot_etcd_place);

	*fresh = *quorum->place;
	fresh->endpoint_count = 0;
	if (quorum->member != NULL && quorum->is_member_ready)
		ot_etcd_place_add(fresh, ot_etcd_member_url(quorum->member));
	for (int32_t i = 0; i < quorum->member_count; i++) {
		const struct ot_etcd_member_info *info = &quorum->members[i];

		if (!info->is_learner && info->client_url[0] != '\0')
			ot_etcd_place_add(fresh, info->client_url);
	}
	if (fresh->endpoint_count > 0 && !quorum->is_external &&
	    !is_same_place(fresh, quorum->place)) {
		*quorum->place = *fresh;
		set_endpoints(quorum);
		quorum->is_place_dirty = true;
		pursue(quorum);
	}
	ot_free(fresh);
}

/* ---- the member ----------------------------------------------------------------------------- */

static void
on_member_closed(void *arg)
{
	struct broker_quorum *quorum = arg;

	quorum->member = NULL;
	quorum->is_member_ready = false;
	if (is_over(quorum))
		close_step(quorum);
	else
		pursue(quorum);
}

static void
drop_member(struct broker_quorum *quorum)
{
	quorum->is_member_forgotten = true;
	quorum->is_member_ready = false;
	ot_etcd_member_close(quorum->member, on_member_closed, quorum);
	take_endpoints(quorum);
}

static void
on_member_ready(void *arg, const char *client_url)
{
	struct broker_quorum *quorum = arg;

	if (is_over(quorum))
		return;
	quorum->is_member_ready = true;
	if (quorum->state == QUORUM_FOUNDING) {
		quorum->place->endpoint_count = 0;
		ot_etcd_place_add(quorum->place, client_url);
		set_endpoints(quorum);
		begin_saving(quorum);
		return;
	}
	if (!has_endpoint(quorum->place, client_url))
		OT_INFO("broker", "this node's etcd is one of the metadata's voters, at %s",
		    client_url);
	take_endpoints(quorum);
}

static void
on_member_failure(void *arg, ot_err err, const char *why)
{
	struct broker_quorum *quorum = arg;

	if (is_over(quorum))
		return;
	if (quorum->state == QUORUM_FOUNDING) {
		growth_failed(quorum, why);
		drop_member(quorum);
	} else if (err == OT_ERR_AGAIN) {
		drop_member(quorum);
	} else if (err == OT_ERR_VOTER_NOT_FOUND) {
		OT_WARN("broker", "this node's etcd was removed from the metadata's voters");
		drop_member(quorum);
	} else if (err == OT_ERR_NOT_FOUND && !quorum->is_member_ready) {
		OT_WARN("broker", "this node keeps no copy of the metadata: %s", why);
		quorum->is_unable = true;
		drop_member(quorum);
	} else {
		broker_stop(quorum->broker, err, why);
	}
}

static void
create_member(struct broker_quorum *quorum, bool founds, int32_t members_max)
{
	const struct ot_etcd_member_args args = {
		.io = quorum->io,
		.dir = quorum->settings->metadata_log_dir,
		.cluster_id = ot_dirs_cluster_id(quorum->broker->dirs),
		.node_id = quorum->broker->node_id,
		.directory = quorum->directory,
		.host = quorum->host,
		.bind_host = quorum->bind_host,
		.founds = founds,
		.others = quorum->endpoints,
		.members_max = members_max,
		.on_ready = on_member_ready,
		.on_failure = on_member_failure,
		.arg = quorum,
	};

	OT_ASSERT(quorum->member == NULL);
	quorum->member = ot_etcd_member_create(&args);
	ot_etcd_member_start(quorum->member);
}

/* In a worker: numbers for the addresses at which etcd listens and is reached. */
static void
resolve_work(struct broker_quorum *quorum)
{
	const struct broker *broker = quorum->broker;
	const struct ot_listener_conf *own =
	    ot_settings_listener(broker->settings, broker->settings->inter_broker_listener);
	const char *host = own != NULL ? own->host : broker->settings->control_listener->host;
	struct ot_text text = OT_TEXT(quorum->bind_host);
	struct ot_address address;

	ot_text_put(&text, "0.0.0.0");
	if (host[0] != '\0' && ot_io_resolve(host, 0, &address, 1) > 0) {
		text.bytes = 0;
		ot_text_put(&text, "%s", address.host);
	}
	/* A machine without a name that can be looked up has others on itself alone. */
	if (ot_io_resolve(quorum->host, 0, &address, 1) == 0)
		quorum->host = host[0] != '\0' ? quorum->bind_host : "127.0.0.1";
}

static void
found_resolved(struct broker_quorum *quorum)
{
	if (quorum->state == QUORUM_FOUNDING)
		create_member(quorum, true, 1);
}

static void
join_resolved(struct broker_quorum *quorum)
{
	if (quorum->state == QUORUM_ETCD && quorum->member == NULL)
		create_member(quorum, false, quorum->members_max);
}

static void
start_member(struct broker_quorum *quorum, bool founds, int32_t members_max)
{
	quorum->members_max = members_max;
	if (quorum->is_job_running)
		return; /* it is tried again */
	submit(quorum, resolve_work, founds ? found_resolved : join_resolved);
}

/* ---- lists of members ------------------------------------------------------------------------ */

static void
on_listed(struct ot_etcd_admin_call *call, ot_err err)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(call, struct broker_quorum, list_call);
	struct ot_list listers;

	quorum->is_listing = false;
	if (err == OT_OK) {
		quorum->member_count = call->member_count;
		memcpy(quorum->members, call->members, sizeof(quorum->members));
		take_endpoints(quorum);
	}
	ot_list_init(&listers);
	while (!ot_list_is_empty(&quorum->listers)) {
		struct ot_list *link = quorum->listers.next;

		ot_list_remove(link);
		ot_list_push_back(&listers, link);
	}
	while (!ot_list_is_empty(&listers)) {
		struct quorum_lister *lister = OT_LIST_FIRST(&listers, struct quorum_lister, link);

		ot_list_remove(&lister->link);
		lister->done(lister, err);
	}
}

void
quorum_list(struct broker_quorum *quorum, struct quorum_lister *lister)
{
	ot_list_push_back(&quorum->listers, &lister->link);
	if (quorum->is_listing)
		return;
	if (quorum->admin == NULL &&
	    ot_etcd_admin_create(quorum->io, quorum->endpoints, NULL, &quorum->admin) != OT_OK)
		OT_PANIC("no memory for a client of etcd");
	quorum->is_listing = true;
	quorum->list_call.what = OT_ETCD_LIST;
	quorum->list_call.on_done = on_listed;
	ot_etcd_admin_call(quorum->admin, &quorum->list_call);
}

const struct ot_etcd_member_info *
quorum_member_of(const struct broker_quorum *quorum, int32_t node_id, struct ot_uuid *ret_directory)
{
	for (int32_t i = 0; i < quorum->member_count; i++) {
		int32_t found = -1;

		if (ot_etcd_member_name_parse(quorum->members[i].name, &found, ret_directory) &&
		    found == node_id)
			return &quorum->members[i];
	}
	return NULL;
}

void
broker_quorum_list(struct broker_quorum *quorum, struct quorum_lister *lister)
{
	quorum_list(quorum, lister);
}

bool
broker_quorum_has_voters(const struct broker_quorum *quorum)
{
	return quorum->state == QUORUM_ETCD && !quorum->is_external;
}

bool
broker_quorum_voter_at(const struct broker_quorum *quorum, int32_t index, int32_t *ret_node_id,
    struct ot_uuid *ret_directory)
{
	for (int32_t i = 0; i < quorum->member_count; i++) {
		const struct ot_etcd_member_info *info = &quorum->members[i];

		if (!info->is_learner &&
		    ot_etcd_member_name_parse(info->name, ret_node_id, ret_directory) &&
		    index-- == 0)
			return true;
	}
	return false;
}

struct ot_uuid
broker_quorum_directory(const struct broker_quorum *quorum)
{
	return quorum->directory;
}

/* ---- taking a place ------------------------------------------------------------------------- */

void
quorum_wish_key(const struct broker_quorum *quorum, int32_t node_id,
    char ret_key[OT_ETCD_PREFIX_BYTES + 32])
{
	struct ot_text text = { .data = ret_key, .bytes_max = OT_ETCD_PREFIX_BYTES + 32 };

	ot_text_put(&text, "%s/voter/%d", quorum->place->prefix, node_id);
}

struct ot_kv *
quorum_kv(struct broker_quorum *quorum)
{
	if (quorum->kv == NULL)
		quorum->kv = make_kv(quorum);
	return quorum->kv;
}

/* A node that is in the list but has no etcd of its own has lost it. */
static bool
is_refused(struct broker_quorum *quorum)
{
	struct ot_uuid directory;
	const struct ot_etcd_member_info *own =
	    quorum_member_of(quorum, quorum->broker->node_id, &directory);
	char text[OT_UUID_TEXT_BYTES];
	struct ot_why why;

	if (own == NULL)
		return false;
	ot_uuid_to_text(&directory, text);
	ot_why_set(&why,
	    "the metadata has a voter for node.id %d whose data is not in %s/etcd: its disk was "
	    "wiped, or another node has the id. Put the data back, or give this node another id, "
	    "or remove the voter: kafka-metadata-quorum.sh remove-controller --controller-id %d "
	    "--controller-directory-id %s",
	    quorum->broker->node_id, quorum->settings->metadata_log_dir, quorum->broker->node_id,
	    text);
	broker_stop(quorum->broker, OT_ERR_CORRUPT_FILE, why.text);
	return true;
}

static void
take_wish(struct broker_quorum *quorum, enum quorum_wish wish)
{
	int32_t wanted = ot_settings_int(quorum->settings, OT_BROKER_ETCD_MEMBERS);

	if (wish == QUORUM_WISH_NO || is_refused(quorum))
		return;
	if (wish == QUORUM_WISH_YES)
		wanted = OT_ETCD_VOTERS_MAX;
	if (quorum->member_count < wanted)
		start_member(quorum, false, wanted);
	else
		quorum_replace_consider(quorum);
}

/* One that speaks of another directory speaks of a disk that is gone. */
static enum quorum_wish
wish_of(const struct broker_quorum *quorum, struct ot_bytes value)
{
	struct ot_str text = { (const char *)value.data, value.len };
	struct ot_uuid directory;

	if (ot_str_is(text, "yes"))
		return QUORUM_WISH_YES;
	if (text.len < 3 || memcmp(text.data, "no ", 3) != 0 ||
	    ot_uuid_from_text(text.data + 3, (size_t)text.len - 3, &directory) != OT_OK)
		return QUORUM_WISH_NONE;
	return ot_uuid_equal(&directory, &quorum->directory) ? QUORUM_WISH_NO : QUORUM_WISH_NONE;
}

static void
on_wish(struct ot_kv_txn *txn, ot_err err)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(txn, struct broker_quorum, wish_txn);
	enum quorum_wish wish = QUORUM_WISH_NONE;

	quorum->is_wish_sent = false;
	if (err != OT_OK || is_over(quorum) || quorum->member != NULL)
		return;
	if (txn->found_count > 0 && txn->found[0].count > 0)
		wish = wish_of(quorum, txn->found[0].pairs[0].value);
	take_wish(quorum, wish);
}

/* A controller without a member of its own looks whether it should have one. */
static void
consider_place(struct broker_quorum *quorum)
{
	char key[OT_ETCD_PREFIX_BYTES + 32];
	const struct ot_kv_op get = { .type = OT_KV_GET, .key = key };

	if (!quorum->settings->is_controller || quorum->is_external || quorum->is_unable ||
	    quorum->member != NULL || quorum->is_job_running || quorum->is_member_forgotten ||
	    quorum->is_wish_sent)
		return;
	quorum_wish_key(quorum, quorum->broker->node_id, key);
	quorum->is_wish_sent = true;
	quorum->wish_txn = (struct ot_kv_txn){ .then = &get,
		.then_count = 1,
		.ms_max = QUORUM_WISH_MS_MAX,
		.on_done = on_wish };
	ot_kv_txn(quorum_kv(quorum), &quorum->wish_txn);
}

static void
on_tick_listed(struct quorum_lister *lister, ot_err err)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(lister, struct broker_quorum, ticker);

	if (is_over(quorum))
		return;
	ot_timer_arm_in_ms(quorum->io, &quorum->tick, QUORUM_TICK_MS);
	if (err == OT_OK && quorum->state == QUORUM_ETCD)
		consider_place(quorum);
}

static void
on_tick(struct ot_timer *timer)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(timer, struct broker_quorum, tick);

	quorum->ticker.done = on_tick_listed;
	quorum_list(quorum, &quorum->ticker);
}

/* ---- the controllers' address ---------------------------------------------------------------- */

/* In a worker. IPv4 first, as at the start. */
static void
look_up_work(struct broker_quorum *quorum)
{
	const struct ot_listener_conf *conf = quorum->settings->control_listener;
	struct ot_address found[QUORUM_ADDRESSES_MAX];
	size_t count = ot_io_resolve(conf->host, conf->port, found, QUORUM_ADDRESSES_MAX);
	size_t chosen = 0;
	struct ot_text text = OT_TEXT(quorum->address);

	for (size_t i = 0; i < count; i++) {
		if (strchr(found[i].host, ':') == NULL) {
			chosen = i;
			break;
		}
	}
	if (count > 0)
		ot_text_put(&text, "%s", found[chosen].host);
}

/* While nobody listens where the controllers are said to be, whoever can does: then tools and
 * joiners find the cluster there, also when its founder is gone. */
static void
on_address_due(struct ot_timer *timer)
{
	struct broker_quorum *quorum = OT_CONTAINER_OF(timer, struct broker_quorum, address_timer);

	if (life_has_control_address(quorum->broker) || quorum->broker->life->stop != LIFE_RUNS)
		return;
	ot_timer_arm_in_ms(quorum->io, &quorum->address_timer, QUORUM_ADDRESS_MS);
	if (quorum->address[0] != '\0') {
		if (life_take_control_address(quorum->broker, quorum->address))
			OT_INFO("broker", "answers at %s:%u from now on, for the controllers",
			    quorum->settings->control_listener->host,
			    quorum->settings->control_listener->port);
	} else if (!quorum->is_job_running) {
		submit(quorum, look_up_work, NULL);
	}
}

/* ---- what is due ---------------------------------------------------------------------------- */

static void
forgotten(struct broker_quorum *quorum)
{
	quorum->is_member_forgotten = false;
	if (quorum->job_err != OT_OK)
		OT_WARN("broker", "%s/etcd cannot be removed: %s",
		    quorum->settings->metadata_log_dir, ot_err_message(quorum->job_err));
}

static void
saved(struct broker_quorum *quorum)
{
	if (quorum->state == QUORUM_SAVING)
		grow_saved(quorum);
	else if (quorum->job_err != OT_OK)
		OT_WARN("broker", "%s/metadata.etcd cannot be written: %s",
		    quorum->settings->metadata_log_dir, ot_err_message(quorum->job_err));
}

/* Submits the job that is due, if none runs. */
static void
pursue(struct broker_quorum *quorum)
{
	if (is_over(quorum)) {
		close_step(quorum);
		return;
	}
	if (quorum->is_job_running)
		return;
	if (quorum->is_member_forgotten && quorum->member == NULL) {
		submit(quorum, forget_work, forgotten);
	} else if (quorum->is_place_dirty) {
		quorum->is_place_dirty = false;
		*quorum->job_place = *quorum->place;
		submit(quorum, save_work, saved);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

/* Its id, if it is a log directory; a folder of its own shares that of the first. */
static struct ot_uuid
directory_of(const struct broker *broker)
{
	const struct ot_settings *settings = broker->settings;
	struct ot_uuid found = ot_dirs_id(broker->dirs, 0);

	for (size_t i = 0; i < ot_dirs_count(broker->dirs); i++)
		if (strcmp(settings->log_dirs[i], settings->metadata_log_dir) == 0)
			found = ot_dirs_id(broker->dirs, i);
	return found;
}

static void
find_addresses(struct broker_quorum *quorum)
{
	const struct broker *broker = quorum->broker;
	const char *name = broker->settings->inter_broker_listener;

	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		uint16_t told = listener->conf->advertised_port;

		if (listener->conf->is_controller) {
			quorum->endpoint.host = listener->advertised_host;
			quorum->endpoint.port = told != 0 ? told : listener->port;
		}
		if (quorum->host == NULL || strcmp(listener->conf->name, name) == 0)
			quorum->host = listener->advertised_host;
	}
}

static void
take_external(struct broker_quorum *quorum)
{
	const struct ot_config_value *list =
	    ot_settings_list(quorum->settings, OT_BROKER_ETCD_ENDPOINTS);

	quorum->is_external = list->item_count > 0;
	if (!quorum->is_external)
		return;
	quorum->place->endpoint_count = 0;
	for (size_t i = 0; i < list->item_count; i++) {
		char url[OT_ETCD_URL_BYTES];
		struct ot_text text = OT_TEXT(url);
		bool has_scheme = strstr(list->items[i], "://") != NULL;

		ot_text_put(&text, "%s%s", has_scheme ? "" : "http://", list->items[i]);
		ot_etcd_place_add(quorum->place, url);
	}
}

struct broker_quorum *
broker_quorum_create(struct broker *broker, const struct broker_plan *plan)
{
	struct broker_quorum *quorum = OT_NEW(struct broker_quorum);

	quorum->broker = broker;
	quorum->settings = broker->settings;
	quorum->io = ot_shard_control(broker->set)->io;
	quorum->directory = directory_of(broker);
	quorum->place = OT_NEW(struct ot_etcd_place);
	quorum->job_place = OT_NEW(struct ot_etcd_place);
	quorum->marker = plan->marker;
	if (plan->place != NULL)
		*quorum->place = *plan->place;
	if (plan->marker.stage != OT_METALOG_LOCAL)
		quorum->state =
		    plan->marker.stage == OT_METALOG_ETCD ? QUORUM_ETCD : QUORUM_GROWING;
	take_external(quorum);
	find_addresses(quorum);
	quorum->endpoints = ot_etcd_endpoints_create();
	set_endpoints(quorum);
	ot_list_init(&quorum->listers);
	ot_list_init(&quorum->changes);
	quorum->job = (struct ot_job){ on_work, on_worked };
	ot_timer_init(&quorum->tick, on_tick);
	ot_timer_init(&quorum->address_timer, on_address_due);
	return quorum;
}

/* A member that was there is started again, with the addresses that it had. */
static void
resume_member(struct broker_quorum *quorum)
{
	char url[OT_ETCD_URL_BYTES];

	if (quorum->is_external || !quorum->settings->is_controller ||
	    !ot_etcd_member_was_there(quorum->io->fs, quorum->settings->metadata_log_dir, url))
		return;
	create_member(quorum, quorum->state == QUORUM_GROWING,
	    ot_settings_int(quorum->settings, OT_BROKER_ETCD_MEMBERS));
}

void
broker_quorum_start(struct broker_quorum *quorum)
{
	struct ot_metalog_target target;

	quorum->is_started = true;
	if (quorum->state != QUORUM_LOCAL)
		resume_member(quorum);
	if (quorum->state == QUORUM_GROWING) {
		target = target_of(quorum);
		ot_metalog_grow(quorum->log, &target, on_grown, quorum);
	} else if (quorum->state == QUORUM_ETCD) {
		ot_timer_arm_in_ms(quorum->io, &quorum->tick, 0);
		if (quorum->settings->control_listener_is_made)
			ot_timer_arm_in_ms(quorum->io, &quorum->address_timer, QUORUM_ADDRESS_MS);
	} else if (quorum->is_external) {
		quorum_grow(quorum);
	}
}

static void
close_step(struct broker_quorum *quorum)
{
	void (*on_closed)(void *) = quorum->on_closed;

	if (on_closed == NULL || quorum->member != NULL || quorum->is_job_running)
		return;
	quorum->on_closed = NULL;
	quorum->is_started = false;
	on_closed(quorum->closed_arg);
}

static void
on_close_turn(struct ot_timer *timer)
{
	close_step(OT_CONTAINER_OF(timer, struct broker_quorum, tick));
}

void
broker_quorum_close(struct broker_quorum *quorum, void (*on_closed)(void *arg), void *arg)
{
	OT_ASSERT(quorum->is_started && quorum->on_closed == NULL);
	quorum->on_closed = on_closed;
	quorum->closed_arg = arg;
	quorum->log = NULL;
	quorum_replace_fini(quorum);
	quorum_change_end_all(quorum);
	ot_etcd_admin_destroy(quorum->admin);
	quorum->admin = NULL;
	ot_kv_destroy(quorum->kv);
	quorum->kv = NULL;
	if (quorum->member != NULL && !quorum->is_member_forgotten)
		ot_etcd_member_close(quorum->member, on_member_closed, quorum);
	ot_timer_cancel(quorum->io, &quorum->address_timer);
	ot_timer_cancel(quorum->io, &quorum->tick);
	ot_timer_init(&quorum->tick, on_close_turn);
	ot_timer_arm(quorum->io, &quorum->tick, ot_io_now(quorum->io));
}

void
broker_quorum_destroy(struct broker_quorum *quorum)
{
	if (quorum == NULL)
		return;
	OT_ASSERT(!quorum->is_started);
	ot_etcd_endpoints_unref(quorum->endpoints);
	ot_free(quorum->place);
	ot_free(quorum->job_place);
	ot_free(quorum);
}
