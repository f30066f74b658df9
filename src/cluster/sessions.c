#include "cluster/sessions_int.h"

#include "base/map.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/brokers_int.h"
#include "cluster/topics_int.h"

struct session {
	int32_t broker_id;
	int64_t broker_epoch;
	ot_mono_ns contact; /* or when the controller became active, or the broker registered */
	int64_t metadata_offset;
	int64_t shutdown_offset; /* -1: the broker does not stop */
	bool is_heard;           /* a heartbeat came */
	UT_hash_handle hh;
};

/* A timer that is later than this part of the timeout tells that the process did not run. */
enum { STALL_PART = 8, NS_PER_MS = 1000000 };

static ot_mono_ns
timeout_ns(const struct ot_controller *controller)
{
	const struct ot_settings *settings = ot_image_settings(controller->head);

	int64_t timeout_ms = ot_settings_number(settings, OT_BROKER_BROKER_SESSION_TIMEOUT_MS);

	return (ot_mono_ns)OT_MAX(timeout_ms, 0) * NS_PER_MS;
}

static struct session *
session_find(const struct ot_controller *controller, int32_t broker_id)
{
	struct session *session;

	HASH_FIND_INT(controller->sessions, &broker_id, session);
	return session;
}

/* The session of that registration; a new one begins now. */
static struct session *
session_of(struct ot_controller *controller, int32_t broker_id, int64_t broker_epoch)
{
	struct session *session = session_find(controller, broker_id);

	if (session != NULL && session->broker_epoch == broker_epoch)
		return session;
	if (session == NULL) {
		session = OT_NEW(struct session);
		session->broker_id = broker_id;
		HASH_ADD_INT(controller->sessions, broker_id, session);
	}
	session->broker_epoch = broker_epoch;
	session->contact = ot_io_now(controller->io);
	session->metadata_offset = session->shutdown_offset = -1;
	session->is_heard = false;
	return session;
}

static void
session_free(struct ot_controller *controller, struct session *session)
{
	HASH_DEL(controller->sessions, session);
	ot_free(session);
}

/* ---- ends of sessions ----------------------------------------------------------------------- */

static void
arm(struct ot_controller *controller, ot_mono_ns deadline)
{
	controller->session_deadline = deadline;
	ot_timer_arm(controller->io, &controller->session_due, deadline);
}

/* The unfenced broker whose session ends first; sessions that were missing begin. */
static const struct ot_broker_image *
first_to_end(struct ot_controller *controller, ot_mono_ns *ret_deadline)
{
	const struct ot_broker_image *broker, *first = NULL;

	for (int32_t id = 0; (broker = ot_image_broker_from(controller->head, id)) != NULL;
	     id = broker->id + 1) {
		ot_mono_ns deadline;

		if (broker->is_fenced)
			continue;
		deadline = session_of(controller, broker->id, broker->epoch)->contact +
		           timeout_ns(controller);
		if (first != NULL && *ret_deadline <= deadline)
			continue;
		first = broker;
		*ret_deadline = deadline;
	}
	return first;
}

static void
give_back(struct ot_controller *controller, ot_mono_ns lost)
{
	struct session *session, *next;

	OT_WARN("cluster",
	    "the controller did not run for %lld ms: the sessions of brokers are that much longer",
	    (long long)(lost / NS_PER_MS));
	HASH_ITER(hh, controller->sessions, session, next)
		session->contact += lost;
}

static void
on_session_due(struct ot_timer *timer)
{
	struct ot_controller *controller =
	    OT_CONTAINER_OF(timer, struct ot_controller, session_due);
	ot_mono_ns now = ot_io_now(controller->io), deadline;
	const struct ot_broker_image *broker;

	if (now > controller->session_deadline + timeout_ns(controller) / STALL_PART)
		give_back(controller, now - controller->session_deadline);
	while ((broker = first_to_end(controller, &deadline)) != NULL && deadline <= now) {
		OT_WARN("cluster", "broker %d is fenced: it was silent for %lld ms", broker->id,
		    (long long)(timeout_ns(controller) / NS_PER_MS));
		sessions_drop(controller, broker->id);
		brokers_fence_silent(controller, broker->id);
	}
	if (broker != NULL)
		arm(controller, deadline);
}

void
sessions_begin(struct ot_controller *controller)
{
	ot_mono_ns deadline;

	OT_ASSERT(controller->sessions == NULL);
	ot_timer_init(&controller->session_due, on_session_due);
	if (first_to_end(controller, &deadline) != NULL)
		arm(controller, deadline);
}

void
sessions_end(struct ot_controller *controller)
{
	struct session *session, *next;

	ot_timer_cancel(controller->io, &controller->session_due);
	HASH_ITER(hh, controller->sessions, session, next)
		session_free(controller, session);
}

/* ---- what heartbeats say -------------------------------------------------------------------- */

void
sessions_touch(struct ot_controller *controller, int32_t broker_id, int64_t broker_epoch,
    int64_t metadata_offset)
{
	struct session *session = session_of(controller, broker_id, broker_epoch);

	session->contact = ot_io_now(controller->io);
	session->metadata_offset = metadata_offset;
	session->is_heard = true;
	/* It may be the first one that can end; the others' ends are never later than this one. */
	if (!ot_timer_is_armed(&controller->session_due))
		arm(controller, session->contact + timeout_ns(controller));
}

void
sessions_drop(struct ot_controller *controller, int32_t broker_id)
{
	struct session *session = session_find(controller, broker_id);

	if (session != NULL)
		session_free(controller, session);
}

bool
sessions_has_live(const struct ot_controller *controller, const struct ot_broker_image *broker)
{
	const struct session *session = session_find(controller, broker->id);

	return session != NULL && session->broker_epoch == broker->epoch && session->is_heard &&
	       ot_io_now(controller->io) <= session->contact + timeout_ns(controller);
}

void
sessions_note_shutdown(struct ot_controller *controller, int32_t broker_id, int64_t offset)
{
	struct session *session = session_find(controller, broker_id);

	OT_ASSERT(session != NULL); /* the heartbeat that asks for it has touched it */
	if (session->shutdown_offset < 0)
		session->shutdown_offset = offset;
}

bool
sessions_may_shut_down(const struct ot_controller *controller, int32_t broker_id)
{
	const struct session *session = session_find(controller, broker_id);
	const struct ot_broker_image *broker;

	if (session == NULL || session->shutdown_offset < 0)
		return false;
	for (int32_t id = 0; (broker = ot_image_broker_from(controller->head, id)) != NULL;
	     id = broker->id + 1) {
		const struct session *other = session_find(controller, broker->id);

		if (!cluster_broker_is_active(controller->head, broker->id))
			continue;
		if (other == NULL || other->broker_epoch != broker->epoch ||
		    other->metadata_offset < session->shutdown_offset)
			return false;
	}
	return true;
}

bool
sessions_state(const struct ot_controller *controller, const struct ot_broker_image *broker,
    int64_t *ret_metadata_offset, int64_t *ret_age_ms)
{
	const struct session *session = session_find(controller, broker->id);

	if (session == NULL || session->broker_epoch != broker->epoch || !session->is_heard)
		return false;
	*ret_metadata_offset = session->metadata_offset;
	*ret_age_ms = (int64_t)((ot_io_now(controller->io) - session->contact) / NS_PER_MS);
	return true;
}
