/* Images and calls on the control thread.
 *
 * Each image that the controller publishes gets a version and goes to every shard. A shard answers
 * when it has adopted it: when the partitions that this very image brought it are open. A call is
 * answered when the version that was newest at its commit is adopted by all. Versions are adopted
 * independently of each other: recovery of old partitions does not hold up new topics.
 */
#include "broker/control_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/report.h"
#include "broker/broker_int.h"
#include "cluster/feature_levels.h"
#include "wire/msg_broker_heartbeat.h"
#include "wire/msg_broker_registration.h"

enum { CONTROL_OPEN_MS = 250 };

/* A version on its way to the shards. */
struct publication {
	struct ot_list link;
	uint64_t version;
	uint32_t pending_count; /* shards that have not adopted it */
	struct ot_list calls;   /* broker_call that wait for it */
};

/* A version for one shard, and its answer. */
struct adoption {
	struct ot_mail mail;
	struct broker_control *control;
	struct broker_shard *shard;
	struct ot_image *image; /* a reference */
	uint64_t version;
};

struct broker_control {
	struct broker_control_args args; /* [const] */
	struct broker *broker;           /* [const] */
	struct ot_shard *shard;          /* [const] the control thread's */
	struct ot_controller *controller;
	uint64_t version;            /* of the newest image */
	struct ot_list publications; /* oldest first; those not adopted by all */
	struct ot_timer heartbeat;
	int64_t broker_epoch;       /* -1: not registered */
	struct ot_timer open_timer; /* how long accepting waits for partitions to open */
	bool is_unfenced;
	bool is_ready;
	bool is_closing;

	struct broker_call own; /* registration and heartbeats, one at a time */
	struct ot_arena arena;
	union {
		struct ot_broker_registration_request registration;
		struct ot_broker_heartbeat_request heartbeat;
	} request;
	union {
		struct ot_broker_registration_response registration;
		struct ot_broker_heartbeat_response heartbeat;
	} response;
};

static void register_broker(struct broker_control *control);
static void send_heartbeat(struct broker_control *control);

/* ---- publishing images --------------------------------------------------------------------- */

static void
answer_call(struct ot_mail *mail)
{
	struct broker_call *call = OT_CONTAINER_OF(mail, struct broker_call, mail);
	call->done(call);
}

static void
return_call(struct broker_call *call)
{
	call->mail.deliver = answer_call;
	ot_shard_post(call->home, &call->mail);
}

/* Clients are let in once the partitions are open that open at once, so that a restart does not
 * show them leaders that do not answer yet. Those that must be scanned first are not waited for. */
static void
announce(struct broker_control *control)
{
	if (!control->is_unfenced || control->is_ready || control->is_closing)
		return;
	ot_timer_cancel(control->shard->io, &control->open_timer);
	control->is_ready = true;
	control->args.on_ready(control->args.arg);
}

static void
on_open_time_over(struct ot_timer *timer)
{
	announce(OT_CONTAINER_OF(timer, struct broker_control, open_timer));
}

static void
publication_is_adopted(struct broker_control *control, struct publication *publication)
{
	ot_list_remove(&publication->link);
	if (ot_list_is_empty(&control->publications))
		announce(control);
	while (!ot_list_is_empty(&publication->calls)) {
		struct broker_call *call =
		    OT_LIST_FIRST(&publication->calls, struct broker_call, link);
		ot_list_remove(&call->link);
		return_call(call);
	}
	ot_free(publication);
}

static struct publication *
find_publication(struct broker_control *control, uint64_t version)
{
	OT_LIST_FOREACH(link, &control->publications) {
		struct publication *publication = OT_CONTAINER_OF(link, struct publication, link);
		if (publication->version == version)
			return publication;
	}
	return NULL;
}

static void
adoption_is_back(struct ot_mail *mail)
{
	struct adoption *adoption = OT_CONTAINER_OF(mail, struct adoption, mail);
	struct publication *publication = find_publication(adoption->control, adoption->version);
	OT_ASSERT(publication != NULL && publication->pending_count > 0);
	if (--publication->pending_count == 0)
		publication_is_adopted(adoption->control, publication);
	ot_free(adoption);
}

static void
image_is_adopted(void *arg)
{
	struct adoption *adoption = arg;
	adoption->mail.deliver = adoption_is_back;
	ot_shard_post(adoption->control->shard, &adoption->mail);
}

static void
adopt(struct ot_mail *mail)
{
	struct adoption *adoption = OT_CONTAINER_OF(mail, struct adoption, mail);
	broker_shard_adopt(adoption->shard, adoption->image, image_is_adopted, adoption);
}

static void
on_image(void *arg, struct ot_image *image, struct ot_image *previous)
{
	(void)previous;
	struct broker_control *control = arg;
	struct publication *publication = OT_NEW(struct publication);
	publication->version = ++control->version;
	publication->pending_count = control->broker->set->count;
	ot_list_init(&publication->calls);
	ot_list_push_back(&control->publications, &publication->link);
	for (uint32_t i = 0; i < control->broker->set->count; i++) {
		struct adoption *adoption = OT_NEW(struct adoption);
		adoption->control = control;
		adoption->shard = &control->broker->shards[i];
		adoption->image = ot_image_ref(image);
		adoption->version = control->version;
		adoption->mail.deliver = adopt;
		ot_shard_post(adoption->shard->shard, &adoption->mail);
	}
}

/* ---- calls --------------------------------------------------------------------------------- */

static void
call_is_done(struct ot_controller_call *controller_call, ot_err err)
{
	struct broker_call *call = OT_CONTAINER_OF(controller_call, struct broker_call, call);
	struct broker_control *control = call->control;
	call->err = err;
	struct publication *publication = find_publication(control, control->version);
	if (publication != NULL)
		ot_list_push_back(&publication->calls, &call->link);
	else
		return_call(call);
}

static void
begin_call(struct ot_mail *mail)
{
	struct broker_call *call = OT_CONTAINER_OF(mail, struct broker_call, mail);
	struct broker_control *control = call->control;
	call->call.arena = call->arena;
	call->call.on_done = call_is_done;
	if (control->is_closing) {
		call->err = OT_ERR_NOT_CONTROLLER;
		return_call(call);
		return;
	}
	call->begin(call, control->controller);
}

void
broker_control_post(struct broker *broker, struct ot_shard *home, struct broker_call *call)
{
	call->control = broker->control;
	call->home = home;
	call->mail.deliver = begin_call;
	ot_list_init(&call->link);
	ot_shard_post(ot_shard_control(broker->set), &call->mail);
}

/* A call of the control thread's own goes the same way. */
static void
call_own(struct broker_control *control,
    void (*begin)(struct broker_call *, struct ot_controller *), void (*done)(struct broker_call *))
{
	control->own.begin = begin;
	control->own.done = done;
	control->own.arena = &control->arena;
	broker_control_post(control->broker, control->shard, &control->own);
}

/* ---- registration and heartbeats ----------------------------------------------------------- */

static void
fill_listeners(struct broker_control *control, struct ot_broker_registration_request *request)
{
	struct broker *broker = control->broker;
	request->listeners = ot_broker_registration_request_listener_array(&control->arena,
	    (int32_t)broker->listener_count);
	OT_ASSERT(request->listeners != NULL);
	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		if (!listener->conf->is_advertised)
			continue;
		struct ot_broker_registration_request_listener *entry =
		    &request->listeners[request->listeners_count++];
		bool has_port = listener->conf->advertised_port != 0;
		entry->name = ot_str_from(listener->conf->name);
		entry->host = ot_str_from(listener->advertised_host);
		entry->port = has_port ? listener->conf->advertised_port : listener->port;
		entry->security_protocol = (int16_t)listener->conf->security;
	}
}

static void
fill_features(struct broker_control *control, struct ot_broker_registration_request *request)
{
	request->features = ot_broker_registration_request_feature_array(&control->arena,
	    (int32_t)ot_feature_count);
	OT_ASSERT(request->features != NULL);
	request->features_count = (int32_t)ot_feature_count;
	for (size_t i = 0; i < ot_feature_count; i++) {
		request->features[i].name = ot_str_from(ot_features[i].name);
		request->features[i].min_supported_version = ot_features[i].min;
		request->features[i].max_supported_version = ot_features[i].max;
	}
}

static void
begin_registration(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_control *control = call->control;
	struct ot_broker_registration_request *request = &control->request.registration;
	const char *rack = ot_settings_text(control->broker->settings, OT_BROKER_BROKER_RACK);
	ot_broker_registration_request_init(request);
	request->broker_id = control->broker->node_id;
	request->cluster_id = ot_str_from(control->args.cluster_id);
	request->incarnation_id = control->args.incarnation;
	request->rack = ot_str_from(rack);
	fill_listeners(control, request);
	fill_features(control, request);
	ot_dirs_ids(control->broker->dirs, &control->arena, &request->log_dirs,
	    &request->log_dirs_count);
	ot_controller_register_broker(controller, &call->call, request,
	    &control->response.registration);
}

static void
begin_heartbeat(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_control *control = call->control;
	struct ot_broker_heartbeat_request *request = &control->request.heartbeat;
	ot_broker_heartbeat_request_init(request);
	request->broker_id = control->broker->node_id;
	request->broker_epoch = control->broker_epoch;
	request->current_metadata_offset = ot_image_place(ot_controller_image(controller)).offset;
	ot_controller_heartbeat(controller, &call->call, request, &control->response.heartbeat);
}

static void
arm_heartbeat(struct broker_control *control)
{
	int64_t interval =
	    ot_settings_number(control->broker->settings, OT_BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
	if (!control->is_closing)
		ot_timer_arm_in_ms(control->shard->io, &control->heartbeat, interval);
}

static void
heartbeat_is_done(struct broker_call *call)
{
	struct broker_control *control = call->control;
	const struct ot_broker_heartbeat_response *response = &control->response.heartbeat;
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(response->error_code);
	bool is_unfenced = err == OT_OK && !response->is_fenced;
	ot_arena_reset(&control->arena);
	if (err != OT_OK)
		OT_WARN("broker", "heartbeat: %s", ot_err_message(err));
	if (is_unfenced && !control->is_unfenced) {
		control->is_unfenced = true;
		if (ot_list_is_empty(&control->publications))
			announce(control);
		else
			ot_timer_arm_in_ms(control->shard->io, &control->open_timer,
			    CONTROL_OPEN_MS);
	}
	if (err == OT_ERR_STALE_BROKER_EPOCH || err == OT_ERR_BROKER_ID_NOT_REGISTERED)
		register_broker(control);
	else
		arm_heartbeat(control);
}

static void
registration_is_done(struct broker_call *call)
{
	struct broker_control *control = call->control;
	const struct ot_broker_registration_response *response = &control->response.registration;
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(response->error_code);
	control->broker_epoch = response->broker_epoch;
	ot_arena_reset(&control->arena);
	if (err == OT_OK) {
		send_heartbeat(control);
		return;
	}
	if (!control->is_closing)
		control->args.on_failure(control->args.arg, err, "the broker cannot register");
}

static void
register_broker(struct broker_control *control)
{
	call_own(control, begin_registration, registration_is_done);
}

static void
send_heartbeat(struct broker_control *control)
{
	call_own(control, begin_heartbeat, heartbeat_is_done);
}

static void
on_heartbeat_due(struct ot_timer *timer)
{
	send_heartbeat(OT_CONTAINER_OF(timer, struct broker_control, heartbeat));
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
on_active(void *arg, bool is_active)
{
	struct broker_control *control = arg;
	if (is_active && control->broker_epoch < 0)
		register_broker(control);
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	struct broker_control *control = arg;
	control->args.on_failure(control->args.arg, err, why);
}

static const struct ot_controller_events control_events = {
	.on_image = on_image,
	.on_active = on_active,
	.on_failure = on_failure,
};

static struct ot_metalog *
make_local(void *arg, struct broker *broker, struct ot_io *io)
{
	const struct ot_metalog_local_args log_args = {
		.io = io,
		.dir = broker->settings->metadata_log_dir,
		.node_id = broker->node_id,
		.segment_bytes =
		    ot_settings_int(broker->settings, OT_BROKER_METADATA_LOG_SEGMENT_BYTES),
		.segment_ms =
		    ot_settings_number(broker->settings, OT_BROKER_METADATA_LOG_SEGMENT_MS),
	};
	(void)arg;
	return ot_metalog_local_create(&log_args);
}

struct broker_control *
broker_control_create(const struct broker_control_args *args)
{
	struct broker *broker = args->broker;
	struct broker_control *control = OT_NEW(struct broker_control);
	control->args = *args;
	control->broker = broker;
	control->shard = ot_shard_control(broker->set);
	control->broker_epoch = -1;
	ot_list_init(&control->publications);
	ot_arena_init(&control->arena, 0);
	ot_timer_init(&control->heartbeat, on_heartbeat_due);
	ot_timer_init(&control->open_timer, on_open_time_over);
	broker_make_metalog *make = args->make_metalog != NULL ? args->make_metalog : make_local;
	const struct ot_controller_args controller_args = {
		.io = control->shard->io,
		.log = make(args->metalog_arg, broker, control->shard->io),
		.settings = broker->settings,
		.cluster_id = args->cluster_id,
		.node_id = broker->node_id,
		.events = &control_events,
		.arg = control,
	};
	control->controller = ot_controller_create(&controller_args);
	return control;
}

void
broker_control_start(struct broker_control *control)
{
	ot_controller_start(control->controller);
}

void
broker_control_close(struct broker_control *control, void (*on_closed)(void *arg), void *arg)
{
	control->is_closing = true;
	ot_timer_cancel(control->shard->io, &control->heartbeat);
	ot_timer_cancel(control->shard->io, &control->open_timer);
	ot_controller_close(control->controller, on_closed, arg);
	control->controller = NULL;
}

void
broker_control_destroy(struct broker_control *control)
{
	if (control == NULL)
		return;
	OT_LIST_FOREACH_SAFE(link, &control->publications)
		ot_free(OT_CONTAINER_OF(link, struct publication, link));
	ot_arena_fini(&control->arena);
	ot_free(control);
}

const struct ot_settings *
broker_control_settings(const struct broker_control *control)
{
	return ot_image_settings(ot_controller_image(control->controller));
}

const struct ot_image *
broker_control_image(const struct broker_control *control)
{
	return ot_controller_image(control->controller);
}

int64_t
broker_control_epoch(const struct broker_control *control)
{
	return control->broker_epoch;
}
