/* The states; each waits for one thing, and whatever fails leads to RETRY, which goes back.
 *
 *   LOADING -> (file, voter) ------------------------------> RUNNING
 *      |-> (no file, founds) PLANNING ----------------------> RUNNING -> (answers) saved as a voter
 *      `-> (no file, joins)  PLANNING -> LISTING -> ADDING -> SAVING -> RUNNING
 *                                                             -> (answers) LISTING <-> PROMOTING
 */
#include "cluster/etcd_member.h"

#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"
#include "base/text.h"
#include "cluster/durable_int.h"
#include "cluster/etcd_place.h"
#include "config/properties.h"
#include "io/child.h"

enum {
	PATH_BYTES = 1000,
	FILE_BYTES_MAX = 16 * 1024,
	RETRY_MS = 300,
	HEALTH_MS = 1000,
	HEALTH_MS_FIRST = 50,
	SILENT_COUNT_MAX = 6, /* checks without an answer, of some seconds each */
	RESTART_MS_MIN = 100,
	RESTART_MS_MAX = 5000,
	GRACE_MS = 2000,
	TELL_AGAIN_MS = 60 * 1000, /* what has not changed */
	ARGS_MAX = 64,
};

/* How far the file says that it came. */
enum stage { STAGE_NONE, STAGE_JOINING, STAGE_PLANNED, STAGE_VOTER };

static const char *const stage_names[] = { "", "joining", "planned", "voter" };

enum asked { ASKED_NOTHING, ASKED_LIST, ASKED_ADD, ASKED_PROMOTE, ASKED_STATUS, ASKED_WHETHER };

struct ot_etcd_member {
	struct ot_etcd_member_args args; /* texts are its own */
	char folder[PATH_BYTES];
	char program[PATH_BYTES];
	char name[OT_ETCD_NAME_BYTES];
	char peer_url[OT_ETCD_URL_BYTES];
	char client_url[OT_ETCD_URL_BYTES];
	char peer_listen_url[OT_ETCD_URL_BYTES];
	char client_listen_url[OT_ETCD_URL_BYTES];
	char initial_cluster[OT_ETCD_MEMBERS_MAX * (OT_ETCD_URL_BYTES + OT_ETCD_NAME_BYTES)];
	bool is_founder;
	enum stage stage;

	struct ot_job job; /* reads and writes the file */
	bool is_job_running;
	bool is_load;
	ot_err job_err;
	bool has_data; /* of etcd, as the load found it */

	struct ot_etcd_admin *others; /* the endpoints to join */
	struct ot_etcd_admin *own;    /* this member's endpoint */
	struct ot_etcd_endpoints *own_endpoint;
	struct ot_etcd_admin_call call;
	enum asked asked;
	int failure_count; /* of questions in a row */
	char told[256];    /* why it could not join, as it was reported last */
	ot_mono_ns told_at;
	struct ot_timer retry; /* asks again */
	void (*again)(struct ot_etcd_member *member);

	struct ot_child *child;
	struct ot_timer restart;
	int64_t restart_ms;
	struct ot_timer health;
	int silent_count;
	bool is_ready;
	char last_line[512];

	bool is_failed;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void run(struct ot_etcd_member *member);
static void list(struct ot_etcd_member *member);

static bool
is_over(const struct ot_etcd_member *member)
{
	return member->is_failed || member->on_closed != NULL;
}

static void
fail(struct ot_etcd_member *member, ot_err err, const char *why)
{
	if (is_over(member))
		return;
	member->is_failed = true;
	if (member->child != NULL)
		ot_child_stop(member->child, GRACE_MS);
	member->args.on_failure(member->args.arg, err, why);
}

static void
later(struct ot_etcd_member *member, void (*again)(struct ot_etcd_member *member))
{
	member->again = again;
	ot_timer_arm_in_ms(member->args.io, &member->retry, RETRY_MS);
}

static void
on_retry(struct ot_timer *timer)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(timer, struct ot_etcd_member, retry);

	if (!is_over(member))
		member->again(member);
}

/* ---- names ---------------------------------------------------------------------------------- */

void
ot_etcd_member_name(int32_t node_id, const struct ot_uuid *directory,
    char ret_name[OT_ETCD_NAME_BYTES])
{
	struct ot_text text = { .data = ret_name, .bytes_max = OT_ETCD_NAME_BYTES };
	char id[OT_UUID_TEXT_BYTES];

	ot_uuid_to_text(directory, id);
	ot_text_put(&text, "node-%d.%s", node_id, id);
}

bool
ot_etcd_member_name_parse(const char *name, int32_t *ret_node_id, struct ot_uuid *ret_directory)
{
	char *end;
	long node_id;

	if (strncmp(name, "node-", 5) != 0)
		return false;
	node_id = strtol(name + 5, &end, 10);
	if (end == name + 5 || *end != '.' || node_id < 0 || node_id > INT32_MAX ||
	    ot_uuid_from_text(end + 1, strlen(end + 1), ret_directory) != OT_OK)
		return false;
	*ret_node_id = (int32_t)node_id;
	return true;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void
copy_property(const struct ot_properties *props, const char *name, char *to, size_t bytes)
{
	const struct ot_property *found = ot_properties_find(props, ot_str_from(name));
	struct ot_text text = { .data = to, .bytes_max = bytes };

	if (found != NULL)
		ot_text_put(&text, "%.*s", OT_STR_ARG(found->value));
}

static void
take_file(struct ot_etcd_member *member, const struct ot_properties *props)
{
	char stage[32] = "", state[32] = "";

	copy_property(props, "stage", stage, sizeof(stage));
	copy_property(props, "initial.cluster.state", state, sizeof(state));
	copy_property(props, "initial.cluster", member->initial_cluster,
	    sizeof(member->initial_cluster));
	copy_property(props, "peer.url", member->peer_url, sizeof(member->peer_url));
	copy_property(props, "client.url", member->client_url, sizeof(member->client_url));
	copy_property(props, "peer.listen.url", member->peer_listen_url,
	    sizeof(member->peer_listen_url));
	copy_property(props, "client.listen.url", member->client_listen_url,
	    sizeof(member->client_listen_url));
	member->is_founder = strcmp(state, "new") == 0;
	for (size_t i = 1; i < OT_ARRAY_COUNT(stage_names); i++)
		if (strcmp(stage, stage_names[i]) == 0)
			member->stage = (enum stage)i;
}

/* In a worker. A file that is missing leaves the stage NONE. */
static ot_err
load(struct ot_etcd_member *member)
{
	struct ot_fs *fs = member->args.io->fs;
	char path[PATH_BYTES + 40];
	struct ot_text text = OT_TEXT(path);
	struct ot_properties props;
	struct ot_fs_stat stat;
	char *content;
	ot_err err;

	ot_text_put(&text, "%s/data/member", member->folder);
	member->has_data = ot_fs_stat(fs, path, &stat) == OT_OK;
	content = ot_must_alloc(FILE_BYTES_MAX);
	ot_properties_init(&props, "member.properties");
	err = durable_read(fs, member->folder, "member.properties", content, FILE_BYTES_MAX);
	if (err == OT_OK)
		err = ot_properties_parse(&props, content, strlen(content), NULL);
	if (err == OT_OK)
		take_file(member, &props);
	if (err == OT_OK && member->stage == STAGE_NONE)
		err = OT_ERR_CORRUPT_FILE;
	ot_properties_fini(&props);
	ot_free(content);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

/* In a worker. */
static ot_err
save(struct ot_etcd_member *member)
{
	struct ot_fs *fs = member->args.io->fs;
	char *content = ot_must_alloc(FILE_BYTES_MAX);
	struct ot_text text = { .data = content, .bytes_max = FILE_BYTES_MAX };
	ot_err err;

	ot_text_put(&text,
	    "stage=%s\nname=%s\npeer.url=%s\nclient.url=%s\npeer.listen.url=%s\n"
	    "client.listen.url=%s\ninitial.cluster.state=%s\ninitial.cluster=%s\n",
	    stage_names[member->stage], member->name, member->peer_url, member->client_url,
	    member->peer_listen_url, member->client_listen_url,
	    member->is_founder ? "new" : "existing", member->initial_cluster);
	err = ot_fs_mkdir_all(fs, member->folder);
	if (err == OT_OK)
		err = ot_fs_sync_dir(fs, member->args.dir);
	if (err == OT_OK)
		err = durable_write(fs, member->folder, "member.properties", content, text.bytes);
	ot_free(content);
	return err;
}

bool
ot_etcd_member_was_there(struct ot_fs *fs, const char *dir, char ret_client_url[OT_ETCD_URL_BYTES])
{
	char folder[PATH_BYTES];
	struct ot_text text = OT_TEXT(folder);
	struct ot_properties props;
	char *content = ot_must_alloc(FILE_BYTES_MAX);
	ot_err err;

	ret_client_url[0] = '\0';
	ot_text_put(&text, "%s/etcd", dir);
	ot_properties_init(&props, "member.properties");
	err = durable_read(fs, folder, "member.properties", content, FILE_BYTES_MAX);
	if (err == OT_OK && ot_properties_parse(&props, content, strlen(content), NULL) == OT_OK)
		copy_property(&props, "client.url", ret_client_url, OT_ETCD_URL_BYTES);
	ot_properties_fini(&props);
	ot_free(content);
	return err != OT_ERR_NOT_FOUND;
}

ot_err
ot_etcd_member_forget(struct ot_fs *fs, const char *dir)
{
	char folder[PATH_BYTES];
	struct ot_text text = OT_TEXT(folder);

	ot_text_put(&text, "%s/etcd", dir);
	return ot_fs_remove_all(fs, folder);
}

static void
on_work(struct ot_job *job)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(job, struct ot_etcd_member, job);

	member->job_err = member->is_load ? load(member) : save(member);
}

static void
submit(struct ot_etcd_member *member, bool is_load)
{
	OT_ASSERT(!member->is_job_running);
	member->is_job_running = true;
	member->is_load = is_load;
	ot_io_submit(member->args.io, &member->job);
}

/* ---- a place of its own ---------------------------------------------------------------------- */

static void
put_url(char *to, const char *scheme, const char *host, uint16_t port)
{
	struct ot_text text = { .data = to, .bytes_max = OT_ETCD_URL_BYTES };
	bool is_v6 = strchr(host, ':') != NULL;

	ot_text_put(&text, "%s://%s%s%s:%u", scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "",
	    port);
}

static void
drop_accepted(void *arg, const struct ot_accepted *accepted)
{
	struct ot_etcd_member *member = arg;

	ot_accepted_drop(member->args.io, accepted);
}

/* Chooses two ports that nobody uses. */
static ot_err
plan(struct ot_etcd_member *member)
{
	const char *scheme = member->args.tls.ca_file != NULL ? "https" : "http";
	const char *host = member->args.host;
	const char *bind = member->args.bind_host != NULL ? member->args.bind_host : host;
	struct ot_listener *listeners[2] = { NULL, NULL };
	struct ot_text cluster = OT_TEXT(member->initial_cluster);
	uint16_t ports[2] = { 0, 0 };
	ot_err err = OT_OK;

	for (int i = 0; i < 2 && err == OT_OK; i++) {
		err = ot_io_listen(member->args.io, bind, 0, drop_accepted, member, &listeners[i]);
		if (err == OT_OK)
			ports[i] = ot_listener_port(listeners[i]);
	}
	ot_listener_close(listeners[0]);
	ot_listener_close(listeners[1]);
	if (err != OT_OK)
		return err;
	put_url(member->peer_url, scheme, host, ports[0]);
	put_url(member->client_url, scheme, host, ports[1]);
	put_url(member->peer_listen_url, scheme, bind, ports[0]);
	put_url(member->client_listen_url, scheme, bind, ports[1]);
	member->is_founder = member->args.founds;
	member->stage = member->is_founder ? STAGE_PLANNED : STAGE_JOINING;
	ot_text_put(&cluster, "%s=%s", member->name, member->peer_url);
	return OT_OK;
}

/* ---- joining -------------------------------------------------------------------------------- */

static void
ask(struct ot_etcd_member *member, enum asked asked)
{
	static const enum ot_etcd_admin_what whats[] = { [ASKED_LIST] = OT_ETCD_LIST,
		[ASKED_ADD] = OT_ETCD_ADD,
		[ASKED_PROMOTE] = OT_ETCD_PROMOTE,
		[ASKED_STATUS] = OT_ETCD_STATUS,
		[ASKED_WHETHER] = OT_ETCD_LIST };

	bool is_own;

	OT_ASSERT(member->asked == ASKED_NOTHING);
	member->asked = asked;
	member->call.what = whats[asked];
	member->call.peer_url = member->peer_url;
	/* The others may be gone that are known, while this one has heard of more. */
	is_own = asked == ASKED_STATUS || (member->child != NULL && member->failure_count % 2 == 1);
	ot_etcd_admin_call(is_own ? member->own : member->others, &member->call);
}

/* What etcd wants to know at the first start: all members, this one with its name. */
static void
note_cluster(struct ot_etcd_member *member)
{
	struct ot_text text = OT_TEXT(member->initial_cluster);

	for (int32_t i = 0; i < member->call.member_count; i++) {
		const struct ot_etcd_member_info *info = &member->call.members[i];
		bool is_own = strcmp(info->peer_url, member->peer_url) == 0;

		if (info->name[0] == '\0' && !is_own)
			continue;
		ot_text_put(&text, "%s%s=%s", text.bytes > 0 ? "," : "",
		    is_own ? member->name : info->name, info->peer_url);
	}
	member->stage = STAGE_PLANNED;
	submit(member, false);
}

static void
ready(struct ot_etcd_member *member)
{
	if (!member->is_ready)
		member->args.on_ready(member->args.arg, member->client_url);
	member->is_ready = true;
	if (member->stage == STAGE_VOTER || is_over(member))
		return;
	member->stage = STAGE_VOTER;
	submit(member, false);
}

/* What a list says to this member. */
struct roll {
	const struct ot_etcd_member_info *own, *namesake, *learner;
	int32_t voter_count;
};

static struct roll
read_roll(const struct ot_etcd_member *member)
{
	struct roll roll = { .voter_count = 0 };
	struct ot_uuid directory;
	int32_t node_id;

	for (int32_t i = 0; i < member->call.member_count; i++) {
		const struct ot_etcd_member_info *info = &member->call.members[i];

		if (strcmp(info->peer_url, member->peer_url) == 0)
			roll.own = info;
		else if (ot_etcd_member_name_parse(info->name, &node_id, &directory) &&
			 node_id == member->args.node_id)
			roll.namesake = info;
		else if (info->is_learner)
			roll.learner = info;
		roll.voter_count += !info->is_learner;
	}
	return roll;
}

static void
refuse_namesake(struct ot_etcd_member *member, const struct ot_etcd_member_info *namesake)
{
	struct ot_uuid directory = { { 0 } };
	char text[OT_UUID_TEXT_BYTES];
	struct ot_why why;
	int32_t node_id = -1;

	(void)ot_etcd_member_name_parse(namesake->name, &node_id, &directory);
	ot_uuid_to_text(&directory, text);
	ot_why_set(&why,
	    "the metadata has a member for node.id %d already, at %s. If another node has that id, "
	    "give this one another. If that member's disk is lost, remove it: "
	    "kafka-metadata-quorum.sh remove-controller --controller-id %d "
	    "--controller-directory-id %s",
	    node_id, namesake->peer_url, node_id, text);
	fail(member, OT_ERR_DUPLICATE_BROKER_REGISTRATION, why.text);
}

/* Joins: takes the learner's place that etcd has, after whoever is in it. */
static void
take_place(struct ot_etcd_member *member, const struct roll *roll)
{
	if (member->call.member_count >= member->args.members_max) {
		fail(member, OT_ERR_AGAIN, "etcd has as many members as are wanted");
	} else if (roll->learner != NULL) {
		member->call.id = roll->learner->id;
		ask(member, ASKED_PROMOTE);
	} else {
		ask(member, ASKED_ADD);
	}
}

static void
wait_as_learner(struct ot_etcd_member *member)
{
	member->again = list;
	ot_timer_arm_in_ms(member->args.io, &member->retry, HEALTH_MS);
}

static void
take_list(struct ot_etcd_member *member)
{
	struct roll roll = read_roll(member);

	if (roll.namesake != NULL) {
		refuse_namesake(member, roll.namesake);
	} else if (member->stage == STAGE_JOINING && roll.own == NULL) {
		take_place(member, &roll);
	} else if (member->stage == STAGE_JOINING) {
		note_cluster(member);
	} else if (roll.own != NULL && roll.own->is_learner && roll.voter_count % 2 == 0) {
		member->call.id = roll.own->id;
		ask(member, ASKED_PROMOTE);
	} else if (roll.own != NULL && roll.own->is_learner) {
		wait_as_learner(member);
	} else if (roll.own != NULL) {
		ready(member);
	} else {
		later(member, list);
	}
}

static void
list(struct ot_etcd_member *member)
{
	if (member->asked != ASKED_NOTHING)
		later(member, list);
	else
		ask(member, ASKED_LIST);
}

/* ---- health --------------------------------------------------------------------------------- */

static void
take_status(struct ot_etcd_member *member, ot_err err)
{
	ot_timer_arm_in_ms(member->args.io, &member->health,
	    member->is_ready ? HEALTH_MS : HEALTH_MS_FIRST);
	if (err == OT_OK) {
		member->silent_count = 0;
		member->restart_ms = RESTART_MS_MIN;
		if (member->is_ready)
			return;
		if (!member->is_founder && member->stage != STAGE_VOTER)
			ask(member, ASKED_LIST);
		else
			ready(member);
		return;
	}
	if (err != OT_ERR_REQUEST_TIMED_OUT || ++member->silent_count < SILENT_COUNT_MAX ||
	    member->child == NULL)
		return;
	OT_WARN("cluster", "etcd (process %" PRId64 ") does not answer; it is restarted",
	    ot_child_pid(member->child));
	member->silent_count = 0;
	ot_child_stop(member->child, GRACE_MS);
}

/* etcd has ended by itself, without a fault: as it does when the others have removed it. */
static void
take_whether(struct ot_etcd_member *member, ot_err err)
{
	if (err == OT_OK && member->call.member_count > 0 && read_roll(member).own == NULL)
		fail(member, OT_ERR_VOTER_NOT_FOUND,
		    "this node's etcd was removed from the cluster. To let it join anew, delete "
		    "the folder etcd in the metadata log directory");
}

/* Lists are had between additions that are not: one reason is told once, and then now and then. */
static void
report_failure(struct ot_etcd_member *member, const char *why)
{
	ot_mono_ns now = ot_io_now(member->args.io);
	bool is_new = strcmp(member->told, why) != 0;

	if (!is_new && now - member->told_at < (ot_mono_ns)TELL_AGAIN_MS * OT_NS_PER_MS)
		return;
	OT_WARN("cluster", "joining etcd: %s", why);
	(void)snprintf(member->told, sizeof(member->told), "%s", why);
	member->told_at = now;
}

static void
on_asked(struct ot_etcd_admin_call *call, ot_err err)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(call, struct ot_etcd_member, call);
	enum asked asked = member->asked;

	member->asked = ASKED_NOTHING;
	if (is_over(member))
		return;
	if (asked == ASKED_STATUS)
		take_status(member, err);
	else if (asked == ASKED_WHETHER)
		take_whether(member, err);
	else if (asked == ASKED_LIST && err == OT_OK)
		take_list(member);
	else if (asked == ASKED_ADD && err == OT_OK)
		note_cluster(member);
	else
		later(member, list);
	if (asked == ASKED_STATUS || asked == ASKED_WHETHER || err == OT_ERR_AGAIN)
		return;
	if (err != OT_OK && member->failure_count == 0)
		report_failure(member, call->why);
	member->failure_count = err != OT_OK ? member->failure_count + 1 : 0;
}

static void
on_health(struct ot_timer *timer)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(timer, struct ot_etcd_member, health);

	if (is_over(member) || member->child == NULL)
		return;
	if (member->asked == ASKED_NOTHING && !ot_timer_is_armed(&member->retry))
		ask(member, ASKED_STATUS);
	else
		ot_timer_arm_in_ms(member->args.io, &member->health, HEALTH_MS_FIRST);
}

/* ---- the process ---------------------------------------------------------------------------- */

static void
on_line(void *arg, const char *line)
{
	struct ot_etcd_member *member = arg;
	struct ot_text text = OT_TEXT(member->last_line);

	ot_text_put(&text, "%s", line);
}

static void
end_closed(struct ot_etcd_member *member)
{
	void (*on_closed)(void *) = member->on_closed;
	void *arg = member->closed_arg;

	ot_timer_cancel(member->args.io, &member->retry);
	ot_timer_cancel(member->args.io, &member->restart);
	ot_timer_cancel(member->args.io, &member->health);
	ot_etcd_admin_destroy(member->others);
	ot_etcd_admin_destroy(member->own);
	ot_etcd_endpoints_unref(member->own_endpoint);
	ot_etcd_endpoints_unref(member->args.others);
	ot_free((void *)member->args.dir);
	ot_free((void *)member->args.cluster_id);
	ot_free((void *)member->args.host);
	ot_free((void *)member->args.bind_host);
	ot_free((void *)member->args.tls.ca_file);
	ot_free((void *)member->args.tls.cert_file);
	ot_free((void *)member->args.tls.key_file);
	ot_free(member);
	on_closed(arg);
}

static void
on_child_exit(void *arg, int code, int signal)
{
	struct ot_etcd_member *member = arg;

	ot_child_destroy(member->child);
	member->child = NULL;
	member->is_ready = false;
	if (member->on_closed != NULL) {
		if (!member->is_job_running)
			end_closed(member);
		return;
	}
	if (member->is_failed)
		return;
	if (code == 0 && member->asked == ASKED_NOTHING)
		ask(member, ASKED_WHETHER);
	OT_WARN("cluster", "etcd ended (%s %d); it is started again. Its last words: %s",
	    signal != 0 ? "signal" : "code", signal != 0 ? signal : code, member->last_line);
	ot_timer_arm_in_ms(member->args.io, &member->restart, member->restart_ms);
	member->restart_ms = OT_MIN(member->restart_ms * 2, RESTART_MS_MAX);
}

struct arguments {
	const char *list[ARGS_MAX];
	size_t count;
};

static void
add(struct arguments *arguments, const char *name, const char *value)
{
	OT_ASSERT(arguments->count + 3 < ARGS_MAX);
	arguments->list[arguments->count++] = name;
	arguments->list[arguments->count++] = value;
}

static void
add_tls(struct arguments *arguments, const struct ot_etcd_tls *tls)
{
	if (tls->ca_file == NULL)
		return;
	add(arguments, "--trusted-ca-file", tls->ca_file);
	add(arguments, "--cert-file", tls->cert_file);
	add(arguments, "--key-file", tls->key_file);
	add(arguments, "--peer-trusted-ca-file", tls->ca_file);
	add(arguments, "--peer-cert-file", tls->cert_file);
	add(arguments, "--peer-key-file", tls->key_file);
	arguments->list[arguments->count++] = "--client-cert-auth";
	arguments->list[arguments->count++] = "--peer-client-cert-auth";
}

static void
run(struct ot_etcd_member *member)
{
	char data[PATH_BYTES + 40], quota[32];
	struct ot_text data_text = OT_TEXT(data), quota_text = OT_TEXT(quota);
	struct arguments arguments = { .list = { "etcd" }, .count = 1 };
	struct ot_why why = { { 0 } };
	struct ot_child_conf conf = {
		.io = member->args.io,
		.path = member->program,
		.argv = arguments.list,
		.on_line = on_line,
		.on_exit = on_child_exit,
		.arg = member,
	};
	ot_err err;

	ot_text_put(&data_text, "%s/data", member->folder);
	ot_text_put(&quota_text, "%" PRId64, member->args.quota_bytes);
	add(&arguments, "--name", member->name);
	add(&arguments, "--data-dir", data);
	add(&arguments, "--listen-client-urls", member->client_listen_url);
	add(&arguments, "--advertise-client-urls", member->client_url);
	add(&arguments, "--listen-peer-urls", member->peer_listen_url);
	add(&arguments, "--initial-advertise-peer-urls", member->peer_url);
	add(&arguments, "--initial-cluster", member->initial_cluster);
	add(&arguments, "--initial-cluster-state", member->is_founder ? "new" : "existing");
	add(&arguments, "--initial-cluster-token", member->args.cluster_id);
	/* A controller that dies with etcd's leader is replaced after both times. */
	add(&arguments, "--heartbeat-interval", "50");
	add(&arguments, "--election-timeout", "500");
	/* Entries that are kept in memory for members that are behind. */
	add(&arguments, "--snapshot-count", "5000");
	add(&arguments, "--logger", "zap");
	add(&arguments, "--log-level", "warn");
	if (member->args.quota_bytes > 0)
		add(&arguments, "--quota-backend-bytes", quota);
	add_tls(&arguments, &member->args.tls);
	err = ot_child_start(&conf, &member->child, &why);
	if (err != OT_OK) {
		fail(member, err, why.text);
		return;
	}
	member->last_line[0] = '\0';
	ot_timer_arm_in_ms(member->args.io, &member->health, HEALTH_MS_FIRST);
}

static void
on_restart(struct ot_timer *timer)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(timer, struct ot_etcd_member, restart);

	if (!is_over(member))
		run(member);
}

/* ---- what the worker brought ------------------------------------------------------------------
 */

static void
begin_run(struct ot_etcd_member *member)
{
	const char *url = member->client_url;

	ot_etcd_endpoints_set(member->own_endpoint, &url, 1);
	if (ot_etcd_admin_create(member->args.io, member->own_endpoint, &member->args.tls,
		&member->own) != OT_OK)
		fail(member, OT_ERR_NO_MEMORY, "there is no memory for a client of etcd");
	else
		run(member);
}

static void
loaded(struct ot_etcd_member *member)
{
	struct ot_why why;

	if (member->stage == STAGE_VOTER && !member->has_data) {
		ot_why_set(&why,
		    "%s/data is gone, which this node's etcd needs: a member without its data "
		    "must not vote. Restore it, or remove the member "
		    "(kafka-metadata-quorum.sh remove-controller) and delete %s",
		    member->folder, member->folder);
		fail(member, OT_ERR_CORRUPT_FILE, why.text);
		return;
	}
	if (member->stage == STAGE_NONE) {
		ot_err err = plan(member);

		if (err == OT_OK)
			submit(member, false);
		else
			fail(member, err, "there are no ports for etcd at this node's address");
		return;
	}
	if (member->stage == STAGE_JOINING)
		list(member);
	else
		begin_run(member);
}

static void
on_worked(struct ot_job *job)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(job, struct ot_etcd_member, job);
	struct ot_why why;

	member->is_job_running = false;
	if (member->on_closed != NULL) {
		if (member->child == NULL)
			end_closed(member);
		return;
	}
	if (member->job_err != OT_OK) {
		ot_why_set(&why, "%s/member.properties: %s", member->folder,
		    ot_err_message(member->job_err));
		fail(member, member->job_err, why.text);
	} else if (member->is_load) {
		loaded(member);
	} else if (member->stage == STAGE_JOINING) {
		list(member);
	} else if (member->stage == STAGE_PLANNED && !member->is_failed) {
		begin_run(member);
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

static const char *
copy(const char *text)
{
	return text == NULL ? NULL : ot_must_strdup(text);
}

struct ot_etcd_member *
ot_etcd_member_create(const struct ot_etcd_member_args *args)
{
	struct ot_etcd_member *member = OT_NEW(struct ot_etcd_member);
	struct ot_text folder = OT_TEXT(member->folder);
	struct ot_text program = OT_TEXT(member->program);

	member->args = *args;
	member->own_endpoint = ot_etcd_endpoints_create();
	ot_etcd_endpoints_ref(args->others);
	member->args.dir = copy(args->dir);
	member->args.cluster_id = copy(args->cluster_id);
	member->args.host = copy(args->host);
	member->args.bind_host = copy(args->bind_host);
	member->args.tls.ca_file = copy(args->tls.ca_file);
	member->args.tls.cert_file = copy(args->tls.cert_file);
	member->args.tls.key_file = copy(args->tls.key_file);
	ot_text_put(&folder, "%s/etcd", args->dir);
	ot_etcd_member_name(args->node_id, &args->directory, member->name);
	ot_text_put(&program, "%s", args->program != NULL ? args->program : "");
	member->restart_ms = RESTART_MS_MIN;
	member->job = (struct ot_job){ on_work, on_worked };
	member->call.on_done = on_asked;
	ot_timer_init(&member->retry, on_retry);
	ot_timer_init(&member->restart, on_restart);
	ot_timer_init(&member->health, on_health);
	return member;
}

void
ot_etcd_member_start(struct ot_etcd_member *member)
{
	ot_err err = OT_OK;

	if (member->program[0] == '\0')
		err = ot_child_find("etcd", member->program, sizeof(member->program));
	if (err != OT_OK) {
		fail(member, err,
		    "there is no program etcd, which a cluster of several nodes keeps its metadata "
		    "in: install Debian's package etcd-server, or name external endpoints");
		return;
	}
	err = ot_etcd_admin_create(member->args.io, member->args.others, &member->args.tls,
	    &member->others);
	if (err != OT_OK)
		fail(member, err, "there is no memory for a client of etcd");
	else
		submit(member, true);
}

const char *
ot_etcd_member_url(const struct ot_etcd_member *member)
{
	return member->own != NULL ? member->client_url : NULL;
}

int64_t
ot_etcd_member_pid(const struct ot_etcd_member *member)
{
	return member->child != NULL ? ot_child_pid(member->child) : 0;
}

static void
on_close_turn(struct ot_timer *timer)
{
	struct ot_etcd_member *member = OT_CONTAINER_OF(timer, struct ot_etcd_member, retry);

	if (member->child == NULL && !member->is_job_running)
		end_closed(member);
}

void
ot_etcd_member_close(struct ot_etcd_member *member, void (*on_closed)(void *arg), void *arg)
{
	OT_ASSERT(member->on_closed == NULL);
	member->on_closed = on_closed;
	member->closed_arg = arg;
	ot_timer_cancel(member->args.io, &member->restart);
	ot_timer_cancel(member->args.io, &member->health);
	ot_timer_cancel(member->args.io, &member->retry);
	if (member->child != NULL)
		ot_child_stop(member->child, GRACE_MS);
	ot_timer_init(&member->retry, on_close_turn);
	ot_timer_arm(member->args.io, &member->retry, ot_io_now(member->args.io));
}
