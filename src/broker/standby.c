#include "broker/standby_int.h"

#include "base/alloc.h"
#include "base/report.h"
#include "cluster/feature_levels.h"
#include "wire/msg_controller_registration.h"
#include "wire/msg_metadata_log.h"
#include "wire/recordio.h"

enum {
	STANDBY_VERSION = 0,
	STANDBY_LEVEL_MIN = 15, /* 3.7-IV0: the metadata version that has controllers */
	STANDBY_RETRY_MS = 1000,
	STANDBY_CALL_MS = 10 * 1000,
};

struct broker_standby {
	struct broker_standby_conf conf; /* [const] */
	struct ot_shard *shard;          /* [const] the control thread's */
	bool is_led;
	bool is_known; /* an image has this run */
	bool is_stopped;
	bool is_call_under_way;
	struct ot_timer timer; /* the next call */
	struct ot_report_gate gate;
	struct ot_arena arena;
	struct broker_call call;
	struct ot_controller_registration_request request;
	struct ot_controller_registration_response response;
};

/* ---- the metadata --------------------------------------------------------------------------- */

static bool
visit_controller(void *arg, struct ot_bytes framed)
{
	struct broker_standby *standby = arg;
	const struct ot_register_controller_record *found;
	struct ot_typed_record record;
	struct ot_arena arena;
	ot_arena_init(&arena, 0);
	if (ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record) != OT_OK)
		OT_PANIC("a record in the image cannot be read");
	found = record.msg;
	if (found->controller_id == standby->conf.broker->node_id)
		standby->is_known =
		    ot_uuid_equal(&found->incarnation_id, &standby->conf.incarnation);
	ot_arena_fini(&arena);
	return true;
}

static bool
has_place(const struct ot_image *image)
{
	return ot_image_feature(image, ot_str_from(OT_METADATA_VERSION)) >= STANDBY_LEVEL_MIN;
}

/* ---- the request ---------------------------------------------------------------------------- */

static void
fill_listeners(struct broker_standby *standby)
{
	const struct broker *broker = standby->conf.broker;
	struct ot_controller_registration_request *request = &standby->request;
	request->listeners = ot_controller_registration_request_listener_array(&standby->arena,
	    (int32_t)broker->listener_count);
	OT_ASSERT(request->listeners != NULL);
	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		if (!listener->conf->is_controller)
			continue;
		struct ot_controller_registration_request_listener *entry =
		    &request->listeners[request->listeners_count++];
		entry->name = ot_str_from(listener->conf->name);
		entry->host = ot_str_from(listener->advertised_host);
		entry->port = listener->port;
		entry->security_protocol = (int16_t)listener->conf->security;
	}
}

static void
fill_features(struct broker_standby *standby)
{
	struct ot_controller_registration_request *request = &standby->request;
	request->features = ot_controller_registration_request_feature_array(&standby->arena,
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
prepare_request(struct broker_call *call)
{
	struct broker_standby *standby = OT_CONTAINER_OF(call, struct broker_standby, call);
	ot_arena_reset(&standby->arena);
	ot_controller_registration_request_init(&standby->request);
	standby->request.controller_id = standby->conf.broker->node_id;
	standby->request.incarnation_id = standby->conf.incarnation;
	fill_listeners(standby);
	fill_features(standby);
}

static void
begin_request(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_standby *standby = OT_CONTAINER_OF(call, struct broker_standby, call);
	prepare_request(call);
	ot_controller_register_controller(controller, &call->call, &standby->request,
	    &standby->response);
}

/* Whether it was taken shows the metadata. */
static void
request_is_done(struct broker_call *call)
{
	struct broker_standby *standby = OT_CONTAINER_OF(call, struct broker_standby, call);
	ot_err err =
	    call->err != OT_OK ? call->err : ot_err_from_wire(standby->response.error_code);
	standby->is_call_under_way = false;
	ot_arena_reset(&standby->arena);
	if (standby->is_stopped || standby->is_known)
		return;
	ot_mono_ns now = ot_io_now(standby->shard->io);
	if (err != OT_OK && ot_report_may(&standby->gate, now))
		OT_WARN("broker", "the active controller did not register this one: %s",
		    ot_err_message(err));
	ot_timer_arm_in_ms(standby->shard->io, &standby->timer, STANDBY_RETRY_MS);
}

static void
tell(struct broker_standby *standby)
{
	if (standby->is_stopped || standby->is_known || !standby->is_led ||
	    standby->is_call_under_way || ot_timer_is_armed(&standby->timer))
		return;
	standby->is_call_under_way = true;
	standby->call = (struct broker_call){
		.begin = begin_request,
		.done = request_is_done,
		.arena = &standby->arena,
		.is_prompt = true,
		.prepare = prepare_request,
		.api = ot_api_find(OT_API_CONTROLLER_REGISTRATION),
		.version = STANDBY_VERSION,
		.body = &standby->request,
		.response = &standby->response,
		.timeout_ms = STANDBY_CALL_MS,
	};
	broker_control_post(standby->conf.broker, standby->shard, &standby->call);
}

static void
on_timer(struct ot_timer *timer)
{
	tell(OT_CONTAINER_OF(timer, struct broker_standby, timer));
}

void
broker_standby_look(struct broker_standby *standby, const struct ot_image *image, bool is_led)
{
	standby->is_led = is_led;
	if (standby->is_known || !has_place(image))
		return;
	ot_image_visit_kept_records(image, OT_REGISTER_CONTROLLER_RECORD_TYPE, visit_controller,
	    standby);
	tell(standby);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct broker_standby *
broker_standby_create(const struct broker_standby_conf *conf)
{
	struct broker_standby *standby = OT_NEW(struct broker_standby);
	standby->conf = *conf;
	standby->shard = ot_shard_control(conf->broker->set);
	ot_arena_init(&standby->arena, 0);
	ot_timer_init(&standby->timer, on_timer);
	return standby;
}

void
broker_standby_stop(struct broker_standby *standby)
{
	standby->is_stopped = true;
	ot_timer_cancel(standby->shard->io, &standby->timer);
}

void
broker_standby_destroy(struct broker_standby *standby)
{
	if (standby == NULL)
		return;
	ot_arena_fini(&standby->arena);
	ot_free(standby);
}
