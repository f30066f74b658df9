/* Members that are gone for good. Who stands by, a controller without a place, watches the voters:
 * one whose broker is fenced or unknown, and whose etcd has not answered for
 * etcd.member.replace.ms, is removed, and its place is free. A node that comes back finds itself
 * removed, and stands by then.
 *
 * One voter is asked in each round; each answer begins its time anew. Who cannot reach a voter that
 * others reach does no harm: its broker is not fenced then.
 */
#include "broker/quorum_state_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/report.h"

enum watch_what { WATCH_NOTHING, WATCH_STATUS, WATCH_REMOVAL };

struct quorum_replacement {
	struct broker_quorum *quorum;
	uint64_t id; /* of the voter that is watched */
	char name[OT_ETCD_NAME_BYTES];
	ot_mono_ns since; /* it has been silent */
	enum watch_what asked;
	struct ot_etcd_admin_call call;
	struct ot_etcd_endpoints *endpoints; /* its own */
	struct ot_etcd_admin *admin;
};

static void
forget(struct broker_quorum *quorum)
{
	struct quorum_replacement *watch = quorum->replacement;

	if (watch == NULL)
		return;
	quorum->replacement = NULL;
	ot_etcd_admin_destroy(watch->admin);
	ot_etcd_endpoints_unref(watch->endpoints);
	ot_free(watch);
}

void
quorum_replace_fini(struct broker_quorum *quorum)
{
	forget(quorum);
}

/* Whether its broker looks gone as well: to the controller, not only to us. */
static bool
is_suspect(const struct broker_quorum *quorum, const struct ot_etcd_member_info *info)
{
	const struct ot_image *image = broker_control_image(quorum->broker->control);
	const struct ot_broker_image *broker;
	struct ot_uuid directory;
	int32_t node_id;

	if (info->is_learner || !ot_etcd_member_name_parse(info->name, &node_id, &directory))
		return false;
	broker = ot_image_broker(image, node_id);
	return broker == NULL || broker->is_fenced;
}

static void
on_answer(struct ot_etcd_admin_call *call, ot_err err)
{
	struct quorum_replacement *watch = OT_CONTAINER_OF(call, struct quorum_replacement, call);
	enum watch_what asked = watch->asked;

	watch->asked = WATCH_NOTHING;
	if (asked == WATCH_STATUS && err != OT_OK)
		return;
	if (asked == WATCH_REMOVAL && err != OT_OK)
		OT_WARN("broker", "the voter %s cannot be removed yet: %s", watch->name, call->why);
	/* It lives, or it is gone. */
	if (err == OT_OK)
		forget(watch->quorum);
}

static void
ask(struct quorum_replacement *watch, enum watch_what what, struct ot_etcd_admin *admin)
{
	watch->asked = what;
	watch->call.what = what == WATCH_STATUS ? OT_ETCD_STATUS : OT_ETCD_REMOVE;
	watch->call.id = watch->id;
	watch->call.on_done = on_answer;
	ot_etcd_admin_call(admin, &watch->call);
}

static void
begin(struct broker_quorum *quorum, const struct ot_etcd_member_info *info)
{
	struct quorum_replacement *watch = OT_NEW(struct quorum_replacement);
	struct ot_text name = OT_TEXT(watch->name);
	const char *url = info->client_url;

	watch->quorum = quorum;
	watch->id = info->id;
	watch->since = ot_io_now(quorum->io);
	watch->endpoints = ot_etcd_endpoints_create();
	ot_text_put(&name, "%s", info->name);
	ot_etcd_endpoints_set(watch->endpoints, &url, 1);
	if (ot_etcd_admin_create(quorum->io, watch->endpoints, NULL, &watch->admin) != OT_OK)
		OT_PANIC("no memory for a client of etcd");
	quorum->replacement = watch;
}

static const struct ot_etcd_member_info *
find(const struct broker_quorum *quorum, uint64_t id)
{
	for (int32_t i = 0; i < quorum->member_count; i++)
		if (quorum->members[i].id == id)
			return &quorum->members[i];
	return NULL;
}

static const struct ot_etcd_member_info *
first_suspect(const struct broker_quorum *quorum)
{
	for (int32_t i = 0; i < quorum->member_count; i++)
		if (is_suspect(quorum, &quorum->members[i]))
			return &quorum->members[i];
	return NULL;
}

void
quorum_replace_consider(struct broker_quorum *quorum)
{
	int64_t limit_ms = ot_settings_number(quorum->settings, OT_BROKER_ETCD_MEMBER_REPLACE_MS);
	struct quorum_replacement *watch = quorum->replacement;
	const struct ot_etcd_member_info *info;
	ot_mono_ns silent;

	if (limit_ms < 0 || (watch != NULL && watch->asked != WATCH_NOTHING))
		return;
	info = watch != NULL ? find(quorum, watch->id) : first_suspect(quorum);
	if (info == NULL || !is_suspect(quorum, info)) {
		forget(quorum);
		return;
	}
	if (watch == NULL) {
		begin(quorum, info);
		watch = quorum->replacement;
	}
	silent = ot_io_now(quorum->io) - watch->since;
	if (silent < (ot_mono_ns)limit_ms * OT_NS_PER_MS) {
		ask(watch, WATCH_STATUS, watch->admin);
		return;
	}
	OT_WARN("broker",
	    "the voter %s has been gone for %" PRId64 " s: it is removed, and this node takes its "
	    "place",
	    watch->name, (int64_t)(silent / OT_NS_PER_MS / 1000));
	ask(watch, WATCH_REMOVAL, quorum->admin);
}
