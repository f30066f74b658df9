/* Heartbeats: what becomes of a broker that says that it lives, and of one that does not.
 *
 *   fenced     wants to stop: may go at once. Has read its registration and does not want to be
 *              fenced: is unfenced, and leads what nobody leads and it may.
 *   unfenced   wants to be fenced: is. Wants to stop: what it leads goes to others, it leaves each
 *              ISR, and is in controlled shutdown; it is fenced and may go when it leads nothing.
 *   in controlled shutdown   may go when it leads nothing and every active broker has read that: a
 *              client that is sent away finds the new leader ready.
 *   silent     is fenced when its session is over (sessions_int.h).
 *
 * A lone broker that wants to stop just goes: nobody could take over what it leads.
 *
 * What is torn apart because it takes several batches heals: leaders move before the broker
 * changes, and after an unfencing whoever becomes the active controller looks for partitions
 * without a leader (elections_begin()).
 */

#include "cluster/controller.h"

#include "base/panic.h"
#include "base/report.h"
#include "cluster/brokers_int.h"
#include "cluster/feature_levels.h"
#include "cluster/sessions_int.h"
#include "cluster/sweep_int.h"
#include "cluster/topics_int.h"
#include "wire/msg_broker_heartbeat.h"
#include "wire/msg_metadata_log.h"

/* ---- brokers of an image --------------------------------------------------------------------- */

bool
brokers_have_other_active(const struct ot_image *image, int32_t id)
{
	const struct ot_broker_image *broker;

	for (int32_t next = 0; (broker = ot_image_broker_from(image, next)) != NULL;
	     next = broker->id + 1) {
		if (broker->id != id && cluster_broker_is_active(image, broker->id))
			return true;
	}
	return false;
}

ot_err
cluster_check_broker_epoch(const struct ot_image *image, int32_t id, int64_t epoch)
{
	const struct ot_broker_image *broker = ot_image_broker(image, id);

	return broker != NULL && broker->epoch == epoch ? OT_OK : OT_ERR_STALE_BROKER_EPOCH;
}

static bool
have_uuid(const struct ot_uuid *ids, int32_t count, const struct ot_uuid *id)
{
	for (int32_t i = 0; i < count; i++) {
		if (ot_uuid_equal(&ids[i], id))
			return true;
	}
	return false;
}

bool
cluster_broker_has_directory(const struct ot_broker_image *broker, const struct ot_uuid *directory)
{
	return have_uuid(broker->log_dirs, broker->log_dir_count, directory);
}

/* ---- changes of a broker --------------------------------------------------------------------- */

/* A heartbeat while it is worked out. The broker's id and epoch are copies: its image may go. */
struct beat {
	struct operation *operation;
	const struct ot_broker_heartbeat_request *request;
	struct ot_broker_heartbeat_response *response;
	int32_t broker_id;
	int64_t broker_epoch;
	bool is_stopping; /* controlled shutdown began, or its end is not known yet */
};

enum { UNFENCE = -1, KEEP = 0, FENCE = 1 };

/* The versions of the record of a broker's change that have lost and cordoned directories. */
enum { CHANGE_WITH_DIRECTORIES = 2, CHANGE_WITH_CORDONED = 3 };

static void
add_change(struct operation *operation, int32_t broker_id, int64_t broker_epoch, int8_t fenced,
    int8_t in_controlled_shutdown)
{
	struct ot_broker_registration_change_record change;

	ot_broker_registration_change_record_init(&change);
	change.broker_id = broker_id;
	change.broker_epoch = broker_epoch;
	change.fenced = fenced;
	change.in_controlled_shutdown = in_controlled_shutdown;
	operation_add(operation, &ot_broker_registration_change_record_msg, &change);
}

static void
fence(struct operation *operation, int32_t broker_id, int64_t broker_epoch)
{
	sweep_broker_leaves(operation, broker_id, false);
	add_change(operation, broker_id, broker_epoch, FENCE, 0);
}

void
brokers_fence_silent(struct ot_controller *controller, int32_t broker_id)
{
	struct operation operation;
	int64_t epoch = ot_image_broker(controller->head, broker_id)->epoch;

	operation_begin_own(&operation, controller);
	fence(&operation, broker_id, epoch);
	operation_end(&operation, false);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void
let_go(struct beat *beat)
{
	beat->response->should_shut_down = true;
	sessions_drop(beat->operation->controller, beat->broker_id);
}

static void
beat_fenced(struct beat *beat)
{
	struct operation *operation = beat->operation;

	if (beat->request->want_shut_down) {
		let_go(beat);
	} else if (!beat->request->want_fence && beat->response->is_caught_up) {
		add_change(operation, beat->broker_id, beat->broker_epoch, UNFENCE, 0);
		sweep_broker_comes(operation, beat->broker_id);
		beat->response->is_fenced = false;
	}
}

static void
beat_unfenced(struct beat *beat)
{
	const struct ot_image *image = beat->operation->controller->head;
	bool is_leader;

	if (!beat->request->want_fence && !beat->request->want_shut_down)
		return;
	if (beat->request->want_shut_down && !brokers_have_other_active(image, beat->broker_id)) {
		let_go(beat);
		return;
	}
	is_leader = sweep_finds_leader(image, beat->broker_id);
	if (beat->request->want_fence || !is_leader) {
		fence(beat->operation, beat->broker_id, beat->broker_epoch);
		beat->response->is_fenced = true;
		if (beat->request->want_shut_down)
			let_go(beat);
		return;
	}
	sweep_broker_leaves(beat->operation, beat->broker_id, false);
	add_change(beat->operation, beat->broker_id, beat->broker_epoch, KEEP, 1);
	beat->is_stopping = true;
}

static void
beat_stopping(struct beat *beat)
{
	struct ot_controller *controller = beat->operation->controller;

	/* A new controller does not know what the old one waited for: it waits for all. */
	beat->is_stopping = true;
	if (brokers_have_other_active(controller->head, beat->broker_id)) {
		if (sweep_finds_leader(controller->head, beat->broker_id)) {
			sweep_broker_leaves(beat->operation, beat->broker_id, false);
			return;
		}
		if (!sessions_may_shut_down(controller, beat->broker_id))
			return;
		fence(beat->operation, beat->broker_id, beat->broker_epoch);
		beat->response->is_fenced = true;
	}
	beat->is_stopping = false;
	let_go(beat);
}

/* Directories that the broker has lost since it registered. */
static void
take_directories(struct beat *beat)
{
	const struct ot_broker_image *broker =
	    ot_image_broker(beat->operation->controller->head, beat->broker_id);
	const struct ot_broker_heartbeat_request *request = beat->request;
	struct ot_broker_registration_change_record change;
	int32_t kept_count = 0, count = broker->log_dir_count;
	struct ot_uuid *lost, *kept;

	if (ot_metadata_record_version(beat->operation->metadata_version,
		OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE) < CHANGE_WITH_DIRECTORIES)
		return;
	lost = operation_array(beat->operation, (size_t)count, sizeof(*lost));
	kept = operation_array(beat->operation, (size_t)count, sizeof(*kept));
	for (int32_t i = 0; !beat->operation->is_failed && i < count; i++) {
		if (have_uuid(request->offline_log_dirs, request->offline_log_dirs_count,
			&broker->log_dirs[i]))
			lost[i - kept_count] = broker->log_dirs[i];
		else
			kept[kept_count++] = broker->log_dirs[i];
	}
	if (kept_count == count || beat->operation->is_failed)
		return;
	OT_WARN("cluster", "broker %d has lost %d of its %d log directories", beat->broker_id,
	    count - kept_count, count);
	for (int32_t i = 0; i < count - kept_count; i++)
		sweep_directory_fails(beat->operation, beat->broker_id, &lost[i]);
	if (kept_count == 0)
		return; /* it has nowhere to be; no record says so, and it will stop */
	ot_broker_registration_change_record_init(&change);
	change.broker_id = beat->broker_id;
	change.broker_epoch = beat->broker_epoch;
	change.log_dirs = kept;
	change.log_dirs_count = kept_count;
	operation_add(beat->operation, &ot_broker_registration_change_record_msg, &change);
}

/* Directories that shall get no new replicas (KIP-1066); null says nothing of them. */
static void
take_cordoned(struct beat *beat)
{
	const struct ot_broker_image *broker =
	    ot_image_broker(beat->operation->controller->head, beat->broker_id);
	const struct ot_broker_heartbeat_request *request = beat->request;
	struct ot_broker_registration_change_record change;
	bool is_changed = request->cordoned_log_dirs_count != broker->cordoned_log_dir_count;

	if (request->cordoned_log_dirs_count < 0 ||
	    ot_metadata_record_version(beat->operation->metadata_version,
		OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE) < CHANGE_WITH_CORDONED)
		return;
	for (int32_t i = 0; i < request->cordoned_log_dirs_count && !is_changed; i++)
		is_changed = !have_uuid(broker->cordoned_log_dirs, broker->cordoned_log_dir_count,
		    &request->cordoned_log_dirs[i]);
	if (!is_changed)
		return;
	ot_broker_registration_change_record_init(&change);
	change.broker_id = beat->broker_id;
	change.broker_epoch = beat->broker_epoch;
	change.cordoned_log_dirs = request->cordoned_log_dirs;
	change.cordoned_log_dirs_count = request->cordoned_log_dirs_count;
	operation_add(beat->operation, &ot_broker_registration_change_record_msg, &change);
}

static void
beat_apply(struct beat *beat)
{
	const struct ot_broker_image *broker =
	    ot_image_broker(beat->operation->controller->head, beat->broker_id);

	sessions_touch(beat->operation->controller, broker->id, broker->epoch,
	    beat->request->current_metadata_offset);
	beat->response->is_caught_up = beat->request->current_metadata_offset >= broker->epoch;
	beat->response->is_fenced = broker->is_fenced;
	if (broker->is_fenced)
		beat_fenced(beat);
	else if (broker->is_in_controlled_shutdown)
		beat_stopping(beat);
	else
		beat_unfenced(beat);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void
heartbeat_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_broker_heartbeat_response *response = call->response;

	ot_broker_heartbeat_response_init(response);
	response->error_code = ot_err_to_wire(err);
}

void
ot_controller_heartbeat(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_broker_heartbeat_request *request,
    struct ot_broker_heartbeat_response *ret_response)
{
	struct operation operation;
	struct beat beat = { .operation = &operation,
		.request = request,
		.response = ret_response,
		.broker_id = request->broker_id,
		.broker_epoch = request->broker_epoch };
	ot_err err;

	ot_broker_heartbeat_response_init(ret_response);
	call->response = ret_response;
	call->fail = heartbeat_fail;
	if (!operation_begin(&operation, controller, call))
		return;
	err =
	    cluster_check_broker_epoch(controller->head, request->broker_id, request->broker_epoch);
	if (err == OT_OK && request->offline_log_dirs_count > 0)
		take_directories(&beat);
	if (err == OT_OK)
		take_cordoned(&beat);
	if (err == OT_OK)
		beat_apply(&beat);
	ret_response->error_code = ot_err_to_wire(err);
	operation_end(&operation, false);
	if (beat.is_stopping)
		sessions_note_shutdown(controller, request->broker_id,
		    ot_image_place(controller->head).offset);
}
