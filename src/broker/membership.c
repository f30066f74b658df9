#include "broker/membership_int.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/report.h"
#include "cluster/feature_levels.h"
#include "wire/msg_broker_heartbeat.h"
#include "wire/msg_broker_registration.h"

enum {
	MEMBERSHIP_RETRY_MS = 250,
	MEMBERSHIP_LEAVE_PAUSE_MS = 50,
	MEMBERSHIP_LEAVE_MS = 5 * 60 * 1000,   /* as long as Kafka's brokers wait */
	MEMBERSHIP_LEAVE_SILENT_MS = 6 * 1000, /* without an answer: an election is over by then */
	MEMBERSHIP_LEAVE_CALL_MS = 2 * 1000,
};

enum membership_state {
	MEMBERSHIP_JOINING,
	MEMBERSHIP_MEMBER,
	MEMBERSHIP_LEAVING,
	MEMBERSHIP_LEFT
};

struct broker_membership {
	struct broker_membership_conf conf; /* [const] */
	struct ot_shard *shard;             /* [const] the control thread's */
	enum membership_state state;
	bool is_started;
	bool is_stopped;
	bool was_registered;
	bool is_unfenced;
	bool is_call_under_way;
	bool is_hurried; /* there is something to tell that no heartbeat has told */
	int64_t epoch;
	ot_mono_ns register_deadline;
	struct ot_timer timer; /* the next call */
	struct ot_report_gate gate;

	/* Of a leave. */
	void (*on_left)(void *arg);
	void *left_arg;
	ot_mono_ns leave_deadline;
	ot_mono_ns last_answer;

	struct broker_call call; /* one at a time */
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

static void register_broker(struct broker_membership *self);
static void send_heartbeat(struct broker_membership *self);

static struct broker_membership *
of_call(struct broker_call *call)
{
	return OT_CONTAINER_OF(call, struct broker_membership, call);
}

static const struct ot_settings *
settings_of(const struct broker_membership *self)
{
	return self->conf.broker->settings;
}

static void
arm(struct broker_membership *self, int64_t delay_ms)
{
	if (!self->is_stopped)
		ot_timer_arm_in_ms(self->shard->io, &self->timer, delay_ms);
}

static void
post(struct broker_membership *self, int16_t key, const void *request, void *response)
{
	struct broker_call *call = &self->call;
	call->api = ot_api_find(key);
	call->version = call->api->accepted.max;
	call->body = request;
	call->response = response;
	call->arena = &self->arena;
	/* Partitions that take long to open must not hold up heartbeats. */
	call->is_prompt = true;
	self->is_call_under_way = true;
	broker_control_post(self->conf.broker, self->shard, call);
}

/* ---- registration -----------------------------------------------------------------------------
 */

static void
fill_listeners(struct broker_membership *self, struct ot_broker_registration_request *request)
{
	struct broker *broker = self->conf.broker;
	request->listeners = ot_broker_registration_request_listener_array(&self->arena,
	    (int32_t)broker->listener_count);
	OT_ASSERT(request->listeners != NULL);
	for (size_t i = 0; i < broker->listener_count; i++) {
		const struct broker_listener *listener = &broker->listeners[i];
		/* A controller's is none of the broker's, as in Kafka. */
		if (!listener->conf->is_advertised || listener->conf->is_controller)
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
fill_features(struct broker_membership *self, struct ot_broker_registration_request *request)
{
	request->features =
	    ot_broker_registration_request_feature_array(&self->arena, (int32_t)ot_feature_count);
	OT_ASSERT(request->features != NULL);
	request->features_count = (int32_t)ot_feature_count;
	for (size_t i = 0; i < ot_feature_count; i++) {
		request->features[i].name = ot_str_from(ot_features[i].name);
		request->features[i].min_supported_version = ot_features[i].min;
		request->features[i].max_supported_version = ot_features[i].max;
	}
}

static void
prepare_registration(struct broker_call *call)
{
	struct broker_membership *self = of_call(call);
	struct ot_broker_registration_request *request = &self->request.registration;
	const struct broker *broker = self->conf.broker;
	ot_arena_reset(&self->arena);
	ot_broker_registration_request_init(request);
	request->broker_id = broker->node_id;
	request->cluster_id = ot_str_from(self->conf.cluster_id);
	request->incarnation_id = self->conf.incarnation;
	request->rack = ot_str_from(ot_settings_text(broker->settings, OT_BROKER_BROKER_RACK));
	request->previous_broker_epoch =
	    self->epoch >= 0 ? self->epoch : ot_dirs_last_epoch(broker->dirs);
	fill_listeners(self, request);
	fill_features(self, request);
	ot_dirs_ids(broker->dirs, false, &self->arena, &request->log_dirs,
	    &request->log_dirs_count);
}

static void
begin_registration(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_membership *self = of_call(call);
	prepare_registration(call);
	ot_controller_register_broker(controller, &call->call, &self->request.registration,
	    &self->response.registration);
}

static bool
is_refused_for_now(ot_err err)
{
	switch (err) {
	case OT_ERR_DUPLICATE_BROKER_REGISTRATION:
	case OT_ERR_NOT_CONTROLLER:
	case OT_ERR_REQUEST_TIMED_OUT:
	case OT_ERR_CLOSED:
	case OT_ERR_NO_SPACE:
	case OT_ERR_BROKER_NOT_AVAILABLE:
		return true;
	default:
		return false;
	}
}

static void
fail(struct broker_membership *self, ot_err err)
{
	char why[300];
	int32_t id = self->conf.broker->node_id;
	if (err == OT_ERR_DUPLICATE_BROKER_REGISTRATION)
		snprintf(why, sizeof(why),
		    "the broker cannot register: another process is broker %d of this cluster and "
		    "alive; stop it, or give this one another node.id (broker.id)",
		    id);
	else if (err == OT_ERR_NOT_CONTROLLER || err == OT_ERR_REQUEST_TIMED_OUT)
		snprintf(why, sizeof(why),
		    "the broker cannot register: no active controller answered within %lld ms "
		    "(initial.broker.registration.timeout.ms); check that a majority of the "
		    "controllers runs and can be reached",
		    (long long)ot_settings_number(settings_of(self),
			OT_BROKER_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS));
	else
		snprintf(why, sizeof(why), "the broker cannot register");
	self->conf.on_failure(self->conf.arg, err, why);
}

/* Until it was registered once there is an end to trying. */
static void
registration_is_refused(struct broker_membership *self, ot_err err)
{
	ot_mono_ns now = ot_io_now(self->shard->io);
	bool is_final =
	    !is_refused_for_now(err) || (!self->was_registered && now >= self->register_deadline);
	if (is_final) {
		fail(self, err);
		return;
	}
	if (ot_report_may(&self->gate, now))
		OT_INFO("broker", "waiting to register as broker %d: %s",
		    self->conf.broker->node_id, ot_err_message(err));
	arm(self, MEMBERSHIP_RETRY_MS);
}

static void
registration_is_done(struct broker_call *call)
{
	struct broker_membership *self = of_call(call);
	const struct ot_broker_registration_response *response = &self->response.registration;
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(response->error_code);
	self->is_call_under_way = false;
	if (err == OT_OK) {
		self->epoch = response->broker_epoch;
		ot_dirs_mark_running(self->conf.broker->dirs, self->epoch);
	}
	ot_arena_reset(&self->arena);
	if (self->is_stopped)
		return;
	if (err != OT_OK) {
		registration_is_refused(self, err);
		return;
	}
	self->was_registered = true;
	if (self->state == MEMBERSHIP_JOINING)
		self->state = MEMBERSHIP_MEMBER;
	send_heartbeat(self);
}

static void
register_broker(struct broker_membership *self)
{
	self->call = (struct broker_call){
		.begin = begin_registration,
		.done = registration_is_done,
		.prepare = prepare_registration,
	};
	self->call.timeout_ms =
	    ot_settings_number(settings_of(self), OT_BROKER_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS);
	post(self, OT_API_BROKER_REGISTRATION, &self->request.registration,
	    &self->response.registration);
}

/* ---- heartbeats -------------------------------------------------------------------------------
 */

static void
prepare_heartbeat(struct broker_call *call)
{
	struct broker_membership *self = of_call(call);
	struct ot_broker_heartbeat_request *request = &self->request.heartbeat;
	const struct ot_image *image = broker_control_image(self->conf.broker->control);
	ot_arena_reset(&self->arena);
	ot_broker_heartbeat_request_init(request);
	request->broker_id = self->conf.broker->node_id;
	request->broker_epoch = self->epoch;
	request->current_metadata_offset = ot_image_place(image).offset;
	request->want_shut_down = self->state == MEMBERSHIP_LEAVING;
	ot_dirs_ids(self->conf.broker->dirs, true, &self->arena, &request->offline_log_dirs,
	    &request->offline_log_dirs_count);
	self->is_hurried = false;
}

static void
begin_heartbeat(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_membership *self = of_call(call);
	prepare_heartbeat(call);
	ot_controller_heartbeat(controller, &call->call, &self->request.heartbeat,
	    &self->response.heartbeat);
}

static void
end_leave(struct broker_membership *self)
{
	void (*on_left)(void *arg) = self->on_left;
	self->on_left = NULL;
	self->state = MEMBERSHIP_LEFT;
	ot_timer_cancel(self->shard->io, &self->timer);
	if (on_left != NULL)
		on_left(self->left_arg);
}

/* Whether somebody else could lead. */
static bool
has_others(const struct broker_membership *self)
{
	const struct ot_image *image = broker_control_image(self->conf.broker->control);
	const struct ot_broker_image *other = ot_image_broker_from(image, 0);
	for (; other != NULL; other = ot_image_broker_from(image, other->id + 1)) {
		if (other->id != self->conf.broker->node_id && !other->is_fenced &&
		    !other->is_in_controlled_shutdown)
			return true;
	}
	return false;
}

/* The controller knows nobody of this epoch: nothing is led that could be handed over. */
static bool
is_forgotten(ot_err err)
{
	return err == OT_ERR_STALE_BROKER_EPOCH || err == OT_ERR_BROKER_ID_NOT_REGISTERED;
}

static void
go_on_leaving(struct broker_membership *self, ot_err err)
{
	ot_mono_ns now = ot_io_now(self->shard->io);
	ot_mono_ns silent = (ot_mono_ns)MEMBERSHIP_LEAVE_SILENT_MS * OT_NS_PER_MS;
	bool is_released = err == OT_OK && self->response.heartbeat.should_shut_down;
	if (is_released || is_forgotten(err) || !has_others(self)) {
		end_leave(self);
		return;
	}
	if (now >= self->leave_deadline || now - self->last_answer >= silent) {
		OT_WARN("broker", "stops without having been released: %s",
		    err != OT_OK ? ot_err_message(err) : "nobody else can lead some partitions");
		end_leave(self);
		return;
	}
	arm(self, MEMBERSHIP_LEAVE_PAUSE_MS);
}

static void
take_fencing(struct broker_membership *self, bool is_unfenced)
{
	if (is_unfenced == self->is_unfenced)
		return;
	self->is_unfenced = is_unfenced;
	self->conf.on_change(self->conf.arg);
}

static int64_t
pause_ms(const struct broker_membership *self)
{
	if (self->is_hurried)
		return 0;
	return self->is_unfenced
	           ? ot_settings_number(settings_of(self), OT_BROKER_BROKER_HEARTBEAT_INTERVAL_MS)
	           : MEMBERSHIP_LEAVE_PAUSE_MS;
}

static void
heartbeat_is_done(struct broker_call *call)
{
	struct broker_membership *self = of_call(call);
	const struct ot_broker_heartbeat_response *response = &self->response.heartbeat;
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(response->error_code);
	self->is_call_under_way = false;
	ot_arena_reset(&self->arena);
	if (self->is_stopped)
		return;
	if (err == OT_OK) {
		self->last_answer = ot_io_now(self->shard->io);
		take_fencing(self, !response->is_fenced);
	} else if (ot_report_may(&self->gate, ot_io_now(self->shard->io))) {
		OT_WARN("broker", "heartbeat: %s", ot_err_message(err));
	}
	if (self->state == MEMBERSHIP_LEAVING)
		go_on_leaving(self, err);
	else if (is_forgotten(err))
		register_broker(self);
	else if (err == OT_OK)
		arm(self, pause_ms(self));
	else
		arm(self, MEMBERSHIP_RETRY_MS);
}

static void
send_heartbeat(struct broker_membership *self)
{
	self->call = (struct broker_call){
		.begin = begin_heartbeat,
		.done = heartbeat_is_done,
		.prepare = prepare_heartbeat,
	};
	int64_t session_ms =
	    ot_settings_number(settings_of(self), OT_BROKER_BROKER_SESSION_TIMEOUT_MS);
	self->call.timeout_ms = self->state == MEMBERSHIP_LEAVING
	                            ? OT_MIN(session_ms, MEMBERSHIP_LEAVE_CALL_MS)
	                            : session_ms;
	post(self, OT_API_BROKER_HEARTBEAT, &self->request.heartbeat, &self->response.heartbeat);
}

static void
on_timer(struct ot_timer *timer)
{
	struct broker_membership *self = OT_CONTAINER_OF(timer, struct broker_membership, timer);
	if (self->is_call_under_way)
		return;
	if (self->state == MEMBERSHIP_JOINING)
		register_broker(self);
	else
		send_heartbeat(self);
}

void
broker_membership_hurry(struct broker_membership *self)
{
	self->is_hurried = true;
	if (self->state == MEMBERSHIP_MEMBER && !self->is_call_under_way)
		arm(self, 0);
}

/* ---- leaving ----------------------------------------------------------------------------------
 */

void
broker_membership_leave(struct broker_membership *self, void (*on_left)(void *arg), void *arg)
{
	OT_ASSERT(self->on_left == NULL && self->state != MEMBERSHIP_LEFT);
	ot_mono_ns now = ot_io_now(self->shard->io);
	self->on_left = on_left;
	self->left_arg = arg;
	if (self->state == MEMBERSHIP_JOINING || self->is_stopped || !has_others(self)) {
		end_leave(self);
		return;
	}
	self->state = MEMBERSHIP_LEAVING;
	self->last_answer = now;
	self->leave_deadline = now + (ot_mono_ns)MEMBERSHIP_LEAVE_MS * OT_NS_PER_MS;
	arm(self, 0);
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct broker_membership *
broker_membership_create(const struct broker_membership_conf *conf)
{
	struct broker_membership *self = OT_NEW(struct broker_membership);
	self->conf = *conf;
	self->shard = ot_shard_control(conf->broker->set);
	self->epoch = -1;
	ot_arena_init(&self->arena, 0);
	ot_timer_init(&self->timer, on_timer);
	return self;
}

void
broker_membership_destroy(struct broker_membership *self)
{
	if (self == NULL)
		return;
	ot_arena_fini(&self->arena);
	ot_free(self);
}

void
broker_membership_start(struct broker_membership *self)
{
	if (self->is_started || self->is_stopped)
		return;
	self->is_started = true;
	int64_t time_ms =
	    ot_settings_number(settings_of(self), OT_BROKER_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS);
	self->register_deadline = ot_io_now(self->shard->io) + (ot_mono_ns)time_ms * OT_NS_PER_MS;
	register_broker(self);
}

void
broker_membership_stop(struct broker_membership *self)
{
	self->is_stopped = true;
	ot_timer_cancel(self->shard->io, &self->timer);
	if (self->on_left != NULL)
		end_leave(self);
}

int64_t
broker_membership_epoch(const struct broker_membership *self)
{
	return self->epoch;
}

bool
broker_membership_is_unfenced(const struct broker_membership *self)
{
	return self->is_unfenced;
}
