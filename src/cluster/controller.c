/* The controller's life: what the metadata log tells, appends under way, calls that wait.
 *
 * Three images stand for three points of the log:
 *
 *   committed   <=   head            what was told; what was also appended
 *   replay: an edit of `committed`, while the start, a snapshot or a metadata transaction goes on
 *
 * An operation edits the head and appends its records; the engine gives them the offsets that were
 * foreseen, since nobody else appends while this process leads. When the batch is told, the image
 * that was made beforehand becomes the committed one. When an append fails, so do all behind it
 * (the contract of metalog.h), and the head falls back to the committed image.
 */
#include "cluster/controller.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/plant.h"
#include "base/report.h"
#include "cluster/operation_int.h"
#include "cluster/elections_int.h"
#include "cluster/feature_levels.h"
#include "cluster/image_int.h"
#include "cluster/sessions_int.h"
#include "cluster/snapshot.h"
#include "cluster/topics_int.h"
#include "wire/msg_metadata_log.h"

/* A batch under way, with the image that holds once it is committed. */
struct append {
	struct ot_metalog_append log;
	struct ot_list link; /* in the controller's appends */
	struct ot_controller *controller;
	struct ot_image *image;
	int64_t base_offset;
};

struct snapshot_job {
	struct ot_metalog_snapshot log;
	struct ot_controller *controller;
	struct ot_image_dump *dump;
};

enum { SNAPSHOT_PIECE_BYTES = 256 * 1024 };

/* ---- calls ---------------------------------------------------------------------------------- */

static void
tell_soon(struct ot_controller *controller)
{
	if (!ot_timer_is_armed(&controller->tell))
		ot_timer_arm(controller->io, &controller->tell, ot_io_now(controller->io));
}

static void
call_done(struct ot_controller *controller, struct ot_controller_call *call, ot_err err)
{
	call->err = err;
	if (err != OT_OK)
		call->fail(call, err);
	ot_list_remove(&call->link);
	ot_list_push_back(&controller->done, &call->link);
	tell_soon(controller);
}

void
operation_fail_call(struct ot_controller *controller, struct ot_controller_call *call, ot_err err)
{
	ot_list_init(&call->link);
	call_done(controller, call, err);
}

static void
on_tell(struct ot_timer *timer)
{
	struct ot_controller *controller = OT_CONTAINER_OF(timer, struct ot_controller, tell);
	struct ot_list told;

	/* What is begun from inside on_done is told in a turn of its own. */
	ot_list_init(&told);
	while (!ot_list_is_empty(&controller->done)) {
		struct ot_list *link = controller->done.next;

		ot_list_remove(link);
		ot_list_push_back(&told, link);
	}
	while (!ot_list_is_empty(&told)) {
		struct ot_controller_call *call =
		    OT_CONTAINER_OF(told.next, struct ot_controller_call, link);

		ot_list_remove(&call->link);
		call->on_done(call, call->err);
	}
}

static void
calls_complete(struct ot_controller *controller)
{
	int64_t offset =
	    controller->committed == NULL ? -1 : ot_image_place(controller->committed).offset;

	while (!ot_list_is_empty(&controller->waiting)) {
		struct ot_controller_call *call =
		    OT_CONTAINER_OF(controller->waiting.next, struct ot_controller_call, link);

		if (call->wait_offset > offset)
			return;
		call_done(controller, call, OT_OK);
	}
}

static void
calls_fail(struct ot_controller *controller, ot_err err)
{
	while (!ot_list_is_empty(&controller->waiting))
		call_done(controller,
		    OT_CONTAINER_OF(controller->waiting.next, struct ot_controller_call, link),
		    err);
}

struct ot_str
operation_error_text(struct ot_arena *arena, ot_err err, const struct ot_why *why)
{
	const char *text;

	if (err == OT_OK)
		return OT_STR_NULL;
	if (why == NULL || why->text[0] == '\0')
		return ot_str_from(ot_err_message(ot_err_from_wire(ot_err_to_wire(err))));
	text = ot_arena_strndup(arena, why->text, strlen(why->text));
	return ot_str_from(text != NULL ? text : ot_err_message(err));
}

/* ---- activity ------------------------------------------------------------------------------- */

/* Takes no more operations; what it alone knows of brokers is forgotten. */
static void
deactivate(struct ot_controller *controller)
{
	if (!controller->is_active)
		return;
	controller->is_active = false;
	if (!controller->is_closing) {
		sessions_end(controller);
		elections_end(controller);
	}
	controller->events->on_active(controller->arg, false);
}

/* ---- images --------------------------------------------------------------------------------- */

static void
head_set(struct ot_controller *controller, struct ot_image *image)
{
	ot_image_ref(image);
	ot_image_unref(controller->head);
	controller->head = image;
}

static void snapshot_consider(struct ot_controller *controller);
static void activate(struct ot_controller *controller);

/* Publishes an image; the reference is taken over. */
static void
publish(struct ot_controller *controller, struct ot_image *image)
{
	struct ot_image *previous = controller->committed;

	controller->committed = image;
	if (ot_list_is_empty(&controller->appends))
		head_set(controller, image);
	controller->events->on_image(controller->arg, image, previous);
	ot_image_unref(previous);
	calls_complete(controller);
	snapshot_consider(controller);
}

static void
fail(struct ot_controller *controller, ot_err err, const char *why)
{
	if (controller->is_failed)
		return;
	controller->is_failed = true;
	OT_ERROR("cluster", "the metadata log failed: %s (%s)", why, ot_err_name(err));
	ot_image_edit_drop(controller->replay);
	controller->replay = NULL;
	calls_fail(controller, err);
	deactivate(controller);
	controller->events->on_failure(controller->arg, err, why);
}

/* Makes an image of what was replayed, unless it must go on. */
static void
replay_end(struct ot_controller *controller)
{
	struct ot_why why = { { 0 } };
	struct ot_image *image;
	ot_err err;

	if (controller->replay == NULL || ot_image_edit_is_in_txn(controller->replay))
		return;
	err = ot_image_edit_end(controller->replay, controller->replay_place, &image, &why);
	controller->replay = NULL;
	if (err != OT_OK) {
		fail(controller, err, why.text);
		return;
	}
	publish(controller, image);
	if (controller->is_leader && !controller->is_active)
		activate(controller);
}

static ot_err
replay_record(struct ot_controller *controller, struct ot_bytes framed, int64_t offset,
    struct ot_arena *arena, struct ot_why *why)
{
	struct ot_typed_record record;
	ot_err err;

	ot_arena_reset(arena);
	err = ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, arena, &record);
	if (err == OT_ERR_UNSUPPORTED_VERSION)
		ot_why_set(why,
		    "the record at offset %lld is of a type or version that this release does "
		    "not know: a newer one wrote it",
		    (long long)offset);
	else if (err != OT_OK)
		ot_why_set(why, "the record at offset %lld is not valid", (long long)offset);
	if (err == OT_OK)
		err = ot_image_edit_apply(controller->replay, &record, why);
	return err;
}

static void
replay_batch(struct ot_controller *controller, const struct ot_metalog_batch *batch)
{
	struct ot_why why = { { 0 } };
	struct ot_arena arena;
	ot_err err = OT_OK;

	if (controller->replay == NULL)
		controller->replay = ot_image_edit_begin(controller->committed);
	ot_arena_init(&arena, 0);
	for (int times = OT_PLANT(BATCH_TWICE) ? 2 : 1; times > 0; times--)
		for (int32_t i = 0; err == OT_OK && i < batch->record_count; i++)
			err = replay_record(controller, batch->records[i], batch->base_offset + i,
			    &arena, &why);
	ot_arena_fini(&arena);
	if (err != OT_OK) {
		fail(controller, err, why.text);
		return;
	}
	if (batch->is_snapshot)
		return;
	controller->replay_place = (struct ot_image_place){ .offset = batch->next_offset - 1,
		.epoch = batch->epoch,
		.timestamp = batch->timestamp };
	if (controller->is_caught_up && !controller->is_in_snapshot)
		replay_end(controller);
}

/* ---- what the log tells --------------------------------------------------------------------- */

static void
on_snapshot_begin(void *arg, struct ot_metalog_id id, ot_wall_ms timestamp)
{
	struct ot_controller *controller = arg;
	struct ot_image *empty;

	OT_ASSERT(ot_list_is_empty(&controller->appends));
	if (controller->is_failed)
		return;
	ot_image_edit_drop(controller->replay);
	empty = ot_image_create(controller->committed->settings_static,
	    ot_image_cluster_id(controller->committed));
	controller->replay = ot_image_edit_begin(empty);
	ot_image_edit_set_controller(controller->replay,
	    ot_image_controller(controller->committed));
	ot_image_unref(empty);
	controller->replay_place = (struct ot_image_place){ .offset = id.end_offset - 1,
		.epoch = id.epoch,
		.timestamp = timestamp };
	controller->snapshot_offset = id.end_offset;
	controller->is_in_snapshot = true;
}

static void
on_snapshot_end(void *arg)
{
	struct ot_controller *controller = arg;

	controller->is_in_snapshot = false;
	if (controller->is_caught_up && !controller->is_failed)
		replay_end(controller);
}

static void
on_batch(void *arg, const struct ot_metalog_batch *batch)
{
	struct ot_controller *controller = arg;
	struct append *append;
	struct ot_image *image;

	if (controller->is_failed)
		return;
	append = OT_LIST_FIRST(&controller->appends, struct append, link);
	if (append == NULL || append->image == NULL || append->base_offset != batch->base_offset) {
		replay_batch(controller, batch);
		return;
	}
	/* Our own: the image was made when it was appended. */
	OT_ASSERT(controller->replay == NULL);
	image = append->image;
	append->image = NULL;
	OT_ASSERT(ot_image_place(image).offset == batch->next_offset - 1);
	publish(controller, image);
}

/* ---- appending ------------------------------------------------------------------------------ */

static void
on_appended(struct ot_metalog_append *log, ot_err err)
{
	struct append *append = OT_CONTAINER_OF(log, struct append, log);
	struct ot_controller *controller = append->controller;

	ot_list_remove(&append->link);
	ot_image_unref(append->image);
	ot_metadata_records_fini(&append->log.records);
	ot_free(append);
	if (err == OT_OK)
		return;
	/* All behind it fail too; what they would have made of the head is void. */
	head_set(controller, controller->committed);
	controller->is_leader = false;
	calls_fail(controller, err);
	deactivate(controller);
}

/* Appends records whose effect is in the image; takes both over. */
static void
append_batch(struct ot_controller *controller, struct ot_metadata_records *records,
    struct ot_image *image)
{
	struct append *append = OT_NEW(struct append);

	append->controller = controller;
	append->image = image;
	append->base_offset = controller->next_offset;
	append->log.epoch = controller->epoch;
	append->log.records = *records;
	append->log.on_done = on_appended;
	ot_metadata_records_init(records);
	ot_list_push_back(&controller->appends, &append->link);
	head_set(controller, image);
	controller->next_offset += append->log.records.count;
	ot_metalog_append(controller->log, &append->log);
	OT_ASSERT(append->log.base_offset == append->base_offset);
}

/* ---- operations ----------------------------------------------------------------------------- */

static void
operation_open(struct operation *operation)
{
	struct ot_controller *controller = operation->controller;

	operation->edit = ot_image_edit_begin(controller->head);
	ot_metadata_records_init(&operation->records);
	operation->metadata_version =
	    ot_image_feature(controller->head, ot_str_from(OT_METADATA_VERSION));
}

bool
operation_begin(struct operation *operation, struct ot_controller *controller,
    struct ot_controller_call *call)
{
	ot_err err = OT_OK;

	if (controller->is_closing)
		err = OT_ERR_CLOSED;
	else if (!controller->is_active)
		err = OT_ERR_NOT_CONTROLLER;
	if (err != OT_OK) {
		operation_fail_call(controller, call, err);
		return false;
	}
	*operation = (struct operation){ .controller = controller, .call = call };
	operation->arena = call->arena;
	operation_open(operation);
	return true;
}

void
operation_begin_own(struct operation *operation, struct ot_controller *controller)
{
	*operation = (struct operation){ .controller = controller };
	ot_arena_init(&operation->own, 0);
	operation->arena = &operation->own;
	operation_open(operation);
}

const struct ot_image *
operation_image(struct operation *operation)
{
	return ot_image_edit_peek(operation->edit);
}

const struct ot_topic_image *
operation_topic(struct operation *operation, const struct ot_uuid *id)
{
	return ot_image_edit_topic(operation->edit, id);
}

/* The record as the log has it, decoded: a version that is not the newest may lack fields. */
static void
read_back(struct operation *operation, struct ot_arena *arena, struct ot_typed_record *ret_record)
{
	struct ot_bytes framed =
	    ot_metadata_records_at(&operation->records, operation->records.count - 1);

	if (ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, arena, ret_record) != OT_OK)
		OT_PANIC("the controller made a record that it cannot read: %s",
		    ret_record->type->name);
}

void
operation_add(struct operation *operation, const struct ot_msg *type, void *msg)
{
	struct ot_typed_record record = { .type = type,
		.version = ot_metadata_record_version(operation->metadata_version, type->type),
		.msg = msg };
	struct ot_why why = { { 0 } };
	struct ot_arena arena;

	ot_metadata_records_add_version(&operation->records, type, record.version, msg);
	if (operation->records.failed) {
		operation->is_failed = true;
		return;
	}
	ot_arena_init(&arena, 0);
	if (record.version < type->valid.max)
		read_back(operation, &arena, &record);
	if (ot_image_edit_apply(operation->edit, &record, &why) != OT_OK)
		OT_PANIC("the controller made a record that does not fit: %s", why.text);
	ot_arena_fini(&arena);
}

void *
operation_array(struct operation *operation, size_t count, size_t bytes)
{
	void *array = ot_arena_array(operation->arena, count, bytes);

	if (array == NULL)
		operation->is_failed = true;
	return array;
}

/* Appends what was added, or throws it away. */
static void
operation_close(struct operation *operation, bool is_dropped)
{
	struct ot_controller *controller = operation->controller;
	struct ot_why why = { { 0 } };
	struct ot_image_place place;
	struct ot_image *image;

	if (is_dropped || operation->is_failed || operation->records.count == 0) {
		ot_image_edit_drop(operation->edit);
		ot_metadata_records_fini(&operation->records);
		return;
	}
	place = (struct ot_image_place){
		.offset = controller->next_offset + operation->records.count - 1,
		.epoch = controller->epoch,
		.timestamp = ot_io_wall(controller->io),
	};
	if (ot_image_edit_end(operation->edit, place, &image, &why) != OT_OK)
		OT_PANIC("the controller made records that do not fit: %s", why.text);
	append_batch(controller, &operation->records, image);
}

void
operation_split(struct operation *operation)
{
	operation_close(operation, false);
	operation_open(operation);
}

void
operation_split_if_full(struct operation *operation)
{
	if (operation->records.count >= OPERATION_RECORDS_MAX)
		operation_split(operation);
}

void
operation_end(struct operation *operation, bool is_dropped)
{
	struct ot_controller *controller = operation->controller;
	struct ot_controller_call *call = operation->call;

	operation_close(operation, is_dropped);
	if (call == NULL) {
		ot_arena_fini(&operation->own);
		return;
	}
	if (operation->is_failed) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	/* It answers with what it saw, uncommitted records of others included. */
	call->wait_offset = ot_image_place(controller->head).offset;
	ot_list_init(&call->link);
	ot_list_push_back(&controller->waiting, &call->link);
	if (ot_list_is_empty(&controller->appends))
		calls_complete(controller);
}

/* ---- leading -------------------------------------------------------------------------------- */

static void
add_level(struct operation *operation, const struct ot_feature *feature)
{
	struct ot_feature_level_record record;

	ot_feature_level_record_init(&record);
	record.name = ot_str_from(feature->name);
	record.feature_level = feature->initial;
	operation_add(operation, &ot_feature_level_record_msg, &record);
}

/* What a new cluster's log begins with: the levels of its features, first the one that says which
 * records there may be. */
static void
append_bootstrap(struct ot_controller *controller)
{
	const struct ot_feature *first = ot_feature_find(OT_STR_LIT(OT_METADATA_VERSION));
	struct operation operation;

	operation_begin_own(&operation, controller);
	add_level(&operation, first);
	for (size_t i = 0; i < ot_feature_count; i++) {
		if (&ot_features[i] != first && ot_features[i].initial != 0)
			add_level(&operation, &ot_features[i]);
	}
	if (ot_image_feature(operation_image(&operation), OT_STR_LIT(OT_ELR_VERSION)) > 0)
		cluster_fix_least_isr(&operation);
	operation_end(&operation, false);
}

/* Another controller was deposed in the middle of a metadata transaction: nobody will end it. The
 * record goes through the log alone; replaying it makes the image. */
static void
append_abort(struct ot_controller *controller)
{
	struct append *append = OT_NEW(struct append);
	struct ot_abort_transaction_record record;

	ot_abort_transaction_record_init(&record);
	record.reason = OT_STR_LIT("the controller has changed");
	append->controller = controller;
	append->base_offset = controller->next_offset++;
	append->log.epoch = controller->epoch;
	append->log.on_done = on_appended;
	ot_metadata_records_init(&append->log.records);
	ot_metadata_records_add_version(&append->log.records, &ot_abort_transaction_record_msg, 0,
	    &record);
	ot_list_push_back(&controller->appends, &append->link);
	ot_metalog_append(controller->log, &append->log);
}

static void
activate(struct ot_controller *controller)
{
	int16_t level = ot_image_feature(controller->committed, ot_str_from(OT_METADATA_VERSION));

	head_set(controller, controller->committed);
	if (level == 0)
		append_bootstrap(controller);
	controller->is_active = true;
	sessions_begin(controller);
	elections_begin(controller);
	controller->events->on_active(controller->arg, true);
}

/* The image names whoever leads. */
static void
set_leader(struct ot_controller *controller, int32_t leader_id)
{
	if (controller->replay == NULL) {
		controller->replay = ot_image_edit_begin(controller->committed);
		controller->replay_place = ot_image_place(controller->committed);
	}
	ot_image_edit_set_controller(controller->replay, leader_id);
	controller->is_caught_up = true;
}

static void
note_leader(struct ot_controller *controller, int32_t leader_id,
    const struct ot_metalog_endpoint *endpoint)
{
	controller->leader_id = leader_id;
	ot_free(controller->leader_host);
	controller->leader_host = NULL;
	controller->leader_port = 0;
	if (endpoint == NULL)
		return;
	controller->leader_host = ot_must_strdup(endpoint->host);
	controller->leader_port = endpoint->port;
}

static void
on_leader(void *arg, int32_t leader_id, int32_t epoch, const struct ot_metalog_endpoint *endpoint)
{
	struct ot_controller *controller = arg;

	if (controller->is_failed || controller->is_closing)
		return;
	OT_ASSERT(ot_list_is_empty(&controller->appends));
	deactivate(controller);
	note_leader(controller, leader_id, endpoint);
	set_leader(controller, leader_id);
	controller->epoch = epoch;
	controller->is_leader = leader_id == controller->node_id;
	controller->next_offset = controller->replay_place.offset + 1;
	if (controller->is_leader && ot_image_edit_is_in_txn(controller->replay))
		append_abort(controller);
	else
		replay_end(controller);
	if (controller->events->on_leader != NULL && !controller->is_failed)
		controller->events->on_leader(controller->arg);
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	fail(arg, err, why);
}

static const struct ot_metalog_events log_events = {
	.on_snapshot_begin = on_snapshot_begin,
	.on_batch = on_batch,
	.on_snapshot_end = on_snapshot_end,
	.on_leader = on_leader,
	.on_failure = on_failure,
};

/* ---- snapshots ------------------------------------------------------------------------------ */

static ot_err
snapshot_next(void *arg, struct ot_metadata_records *out)
{
	return ot_image_dump_next(arg, SNAPSHOT_PIECE_BYTES, out);
}

static void
on_snapshot_done(struct ot_metalog_snapshot *log, ot_err err)
{
	struct snapshot_job *job = OT_CONTAINER_OF(log, struct snapshot_job, log);
	struct ot_controller *controller = job->controller;

	controller->snapshot = NULL;
	if (err == OT_OK)
		controller->snapshot_offset = log->id.end_offset;
	else
		OT_ERROR("cluster", "writing a snapshot of the metadata failed: %s",
		    ot_err_message(err));
	ot_image_dump_end(job->dump);
	ot_free(job);
	/* After a failure the timer brings the next try. */
	if (err == OT_OK)
		snapshot_consider(controller);
}

static void
snapshot_begin(struct ot_controller *controller)
{
	struct snapshot_job *job = OT_NEW(struct snapshot_job);
	struct ot_image_place place = ot_image_place(controller->committed);

	job->controller = controller;
	job->dump = ot_image_dump_begin(controller->committed);
	job->log.id = (struct ot_metalog_id){ place.offset + 1, place.epoch };
	job->log.timestamp = place.timestamp;
	job->log.next = snapshot_next;
	job->log.arg = job->dump;
	job->log.on_done = on_snapshot_done;
	controller->snapshot = job;
	ot_timer_cancel(controller->io, &controller->snapshot_due);
	ot_metalog_put_snapshot(controller->log, &job->log);
}

static bool
snapshot_may_begin(const struct ot_controller *controller)
{
	return controller->is_leader && controller->snapshot == NULL && !controller->is_closing &&
	       !controller->is_failed && controller->replay == NULL &&
	       ot_image_place(controller->committed).offset >= controller->snapshot_offset;
}

/* Begins a snapshot when enough was written, and makes sure that one begins when time has passed.
 */
static void
snapshot_consider(struct ot_controller *controller)
{
	const struct ot_settings *settings = ot_image_settings(controller->committed);
	int64_t bytes_max =
	    ot_settings_number(settings, OT_BROKER_METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS);
	int64_t interval_ms =
	    ot_settings_number(settings, OT_BROKER_METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS);

	if (!snapshot_may_begin(controller))
		return;
	if (ot_metalog_bytes_since_snapshot(controller->log) >= (uint64_t)bytes_max)
		snapshot_begin(controller);
	else if (interval_ms > 0 && !ot_timer_is_armed(&controller->snapshot_due))
		ot_timer_arm_in_ms(controller->io, &controller->snapshot_due, interval_ms);
}

static void
on_snapshot_due(struct ot_timer *timer)
{
	struct ot_controller *controller =
	    OT_CONTAINER_OF(timer, struct ot_controller, snapshot_due);

	if (snapshot_may_begin(controller))
		snapshot_begin(controller);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct ot_controller *
ot_controller_create(const struct ot_controller_args *args)
{
	struct ot_controller *controller = OT_NEW(struct ot_controller);

	controller->io = args->io;
	controller->log = args->log;
	controller->events = args->events;
	controller->arg = args->arg;
	controller->node_id = args->node_id;
	controller->leader_id = -1;
	controller->committed = ot_image_create(args->settings, args->cluster_id);
	controller->head = ot_image_ref(controller->committed);
	controller->replay_place = ot_image_place(controller->committed);
	ot_list_init(&controller->appends);
	ot_list_init(&controller->waiting);
	ot_list_init(&controller->done);
	ot_timer_init(&controller->tell, on_tell);
	ot_timer_init(&controller->snapshot_due, on_snapshot_due);
	return controller;
}

void
ot_controller_start(struct ot_controller *controller)
{
	ot_metalog_start(controller->log, &log_events, controller);
}

static void
on_log_closed(void *arg)
{
	struct ot_controller *controller = arg;
	void (*on_closed)(void *) = controller->on_closed;
	void *closed_arg = controller->closed_arg;

	OT_ASSERT(ot_list_is_empty(&controller->appends) && controller->snapshot == NULL);
	calls_fail(controller, OT_ERR_CLOSED);
	ot_timer_cancel(controller->io, &controller->tell);
	ot_timer_cancel(controller->io, &controller->snapshot_due);
	while (!ot_list_is_empty(&controller->done))
		on_tell(&controller->tell);
	ot_image_edit_drop(controller->replay);
	ot_image_unref(controller->head);
	ot_image_unref(controller->committed);
	ot_free(controller->leader_host);
	ot_free(controller);
	on_closed(closed_arg);
}

void
ot_controller_close(struct ot_controller *controller, void (*on_closed)(void *arg), void *arg)
{
	OT_ASSERT(!controller->is_closing);
	controller->is_closing = true;
	if (controller->is_active) {
		sessions_end(controller);
		elections_end(controller);
	}
	controller->on_closed = on_closed;
	controller->closed_arg = arg;
	ot_metalog_close(controller->log, on_log_closed, controller);
}

struct ot_image *
ot_controller_image(const struct ot_controller *controller)
{
	return controller->committed;
}

bool
ot_controller_is_active(const struct ot_controller *controller)
{
	return controller->is_active;
}

struct ot_controller_leader
ot_controller_leader(const struct ot_controller *controller)
{
	return (struct ot_controller_leader){
		.id = controller->leader_id,
		.epoch = controller->epoch,
		.host = controller->leader_host,
		.port = controller->leader_port,
	};
}
