/* Images and calls on the control thread.
 *
 * Each image that the controller publishes gets a version and goes to every shard. A shard answers
 * when it has adopted it: when the partitions that this very image brought it are open. A call is
 * answered when the version that was newest at its commit is adopted by all. Versions are adopted
 * independently of each other: recovery of old partitions does not hold up new topics.
 *
 * A call goes to this process's controller while that is the active one, else to the channel.
 */
#include "broker/control_int.h"

#include "base/alloc.h"
#include "base/report.h"
#include "broker/broker_int.h"
#include "broker/channel_int.h"
#include "broker/membership_int.h"
#include "broker/standby_int.h"

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
	struct broker_channel *channel;
	struct broker_membership *membership;
	struct broker_standby *standby; /* NULL without the controller's role */
	struct ot_timer open_timer;     /* how long accepting waits for partitions to open */
	bool is_active;                 /* this process is the active controller */
	bool is_unfenced;               /* the controller said so, and the image does */
	bool is_ready;
	bool is_closing;
};

/* ---- publishing images --------------------------------------------------------------------- */

static void
answer_call(struct ot_mail *mail)
{
	struct broker_call *call = OT_CONTAINER_OF(mail, struct broker_call, mail);
	struct ot_blob *frame = call->frame;
	call->done(call);
	ot_blob_unref(frame);
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

/* A broker may serve when it is registered and unfenced; the heartbeat may tell before the metadata
 * does. Who is a controller alone may when it knows the metadata, and who leads. */
static bool
may_serve(const struct broker_control *control)
{
	const struct ot_broker_image *self =
	    ot_image_broker(ot_controller_image(control->controller), control->broker->node_id);
	if (!control->broker->settings->is_broker)
		return control->version > 0 && ot_controller_leader(control->controller).id >= 0;
	return broker_membership_is_unfenced(control->membership) && self != NULL &&
	       self->epoch == broker_membership_epoch(control->membership) && !self->is_fenced;
}

static void
look_at_fencing(void *arg)
{
	struct broker_control *control = arg;
	if (control->is_unfenced || !may_serve(control))
		return;
	control->is_unfenced = true;
	if (ot_list_is_empty(&control->publications))
		announce(control);
	else
		ot_timer_arm_in_ms(control->shard->io, &control->open_timer, CONTROL_OPEN_MS);
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

/* Whoever may lead next is known to who leads. */
static void
look_at_standby(struct broker_control *control)
{
	if (control->standby == NULL || control->is_closing || control->version == 0)
		return;
	int32_t leader = ot_controller_leader(control->controller).id;
	bool is_led = leader >= 0 && leader != control->broker->node_id && !control->is_active;
	broker_standby_look(control->standby, ot_controller_image(control->controller), is_led);
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
	if (!control->is_unfenced && !control->is_closing)
		look_at_fencing(control);
	look_at_standby(control);
}

/* ---- calls --------------------------------------------------------------------------------- */

/* Whether another process may still do what this one could not, or no longer. */
static bool
may_go_on(const struct broker_call *call)
{
	const struct broker_control *control = call->control;
	return call->api != NULL && !control->is_closing && !call->is_from_peer &&
	       ot_io_now(control->shard->io) < call->deadline;
}

/* No active controller was found in time, or it did not answer. A client hears that, as it does of
 * Kafka's brokers: who is asked at its listeners is never the wrong one. */
static bool
is_too_late(const struct broker_call *call)
{
	const struct broker_control *control = call->control;
	return call->api != NULL && !control->is_closing && !call->is_from_peer &&
	       call->call.fail != NULL && ot_io_now(control->shard->io) >= call->deadline;
}

static void
call_is_done(struct ot_controller_call *controller_call, ot_err err)
{
	struct broker_call *call = OT_CONTAINER_OF(controller_call, struct broker_call, call);
	struct broker_control *control = call->control;
	if (err == OT_ERR_NOT_CONTROLLER && may_go_on(call)) {
		broker_channel_take(control->channel, call);
		return;
	}
	if (err == OT_ERR_NOT_CONTROLLER && is_too_late(call)) {
		err = OT_ERR_REQUEST_TIMED_OUT;
		controller_call->fail(controller_call, err);
	}
	call->err = err;
	struct publication *publication = find_publication(control, control->version);
	if (publication != NULL && !call->is_prompt)
		ot_list_push_back(&publication->calls, &call->link);
	else
		return_call(call);
}

/* This process's controller does it, or says that it is not the active one. */
static void
begin_here(void *arg, struct broker_call *call)
{
	struct broker_control *control = arg;
	if (control->is_closing) {
		call->err = OT_ERR_NOT_CONTROLLER;
		return_call(call);
		return;
	}
	call->begin(call, control->controller);
}

static void
call_was_done_there(void *arg, struct broker_call *call)
{
	(void)arg;
	call->err = OT_OK;
	return_call(call);
}

static void
begin_call(struct ot_mail *mail)
{
	struct broker_call *call = OT_CONTAINER_OF(mail, struct broker_call, mail);
	struct broker_control *control = call->control;
	call->call.arena = call->arena;
	call->call.on_done = call_is_done;
	call->deadline =
	    ot_io_now(control->shard->io) + (ot_mono_ns)OT_MAX(call->timeout_ms, 1) * OT_NS_PER_MS;
	if (control->is_closing || control->is_active || call->is_from_peer || call->api == NULL)
		begin_here(control, call);
	else
		broker_channel_take(control->channel, call);
}

void
broker_control_post(struct broker *broker, struct ot_shard *home, struct broker_call *call)
{
	call->control = broker->control;
	call->frame = NULL;
	call->home = home;
	call->mail.deliver = begin_call;
	ot_list_init(&call->link);
	ot_shard_post(ot_shard_control(broker->set), &call->mail);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
look_for_leader(struct broker_control *control)
{
	if (control->is_closing)
		return;
	struct ot_controller_leader leader = ot_controller_leader(control->controller);
	/* Elected and not yet able, or no longer: nobody. */
	if (leader.id == control->broker->node_id && !control->is_active)
		leader = (struct ot_controller_leader){ .id = -1 };
	broker_channel_set_leader(control->channel, &leader, control->is_active);
	look_at_fencing(control);
	look_at_standby(control);
}

static void
on_active(void *arg, bool is_active)
{
	struct broker_control *control = arg;
	control->is_active = is_active;
	/* Without a leader that is another one the channel waits for on_leader. */
	look_for_leader(control);
}

static void
on_leader(void *arg)
{
	look_for_leader(arg);
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
	.on_leader = on_leader,
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

static void
create_helpers(struct broker_control *control)
{
	const struct broker_channel_conf channel_conf = {
		.shard = control->shard,
		.settings = control->broker->settings,
		.begin = begin_here,
		.done = call_was_done_there,
		.arg = control,
	};
	const struct broker_membership_conf membership_conf = {
		.broker = control->broker,
		.cluster_id = control->args.cluster_id,
		.incarnation = control->args.incarnation,
		.on_change = look_at_fencing,
		.on_failure = on_failure,
		.arg = control,
	};
	ot_shard_enter(control->shard);
	control->channel = broker_channel_create(&channel_conf);
	ot_shard_enter(NULL);
	control->membership = broker_membership_create(&membership_conf);
	const struct broker_standby_conf standby_conf = {
		.broker = control->broker,
		.incarnation = control->args.incarnation,
	};
	if (control->broker->settings->is_controller)
		control->standby = broker_standby_create(&standby_conf);
}

struct broker_control *
broker_control_create(const struct broker_control_args *args)
{
	struct broker *broker = args->broker;
	struct broker_control *control = OT_NEW(struct broker_control);
	control->args = *args;
	control->broker = broker;
	control->shard = ot_shard_control(broker->set);
	ot_list_init(&control->publications);
	ot_timer_init(&control->open_timer, on_open_time_over);
	create_helpers(control);
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
	if (control->broker->settings->is_broker)
		broker_membership_start(control->membership);
	ot_controller_start(control->controller);
}

void
broker_control_hurry(struct broker_control *control)
{
	broker_membership_hurry(control->membership);
}

void
broker_control_leave(struct broker_control *control, void (*on_left)(void *arg), void *arg)
{
	if (ot_settings_flag(control->broker->settings, OT_BROKER_CONTROLLED_SHUTDOWN_ENABLE))
		broker_membership_leave(control->membership, on_left, arg);
	else
		on_left(arg);
}

void
broker_control_close(struct broker_control *control, void (*on_closed)(void *arg), void *arg)
{
	broker_membership_stop(control->membership);
	if (control->standby != NULL)
		broker_standby_stop(control->standby);
	control->is_closing = true;
	broker_channel_close(control->channel);
	ot_timer_cancel(control->shard->io, &control->open_timer);
	ot_controller_close(control->controller, on_closed, arg);
	control->controller = NULL;
}

/* One that was never started is open still. */
static void
destroy_channel(struct broker_control *control)
{
	ot_shard_enter(control->shard);
	broker_channel_close(control->channel);
	broker_channel_destroy(control->channel);
	ot_shard_enter(NULL);
}

void
broker_control_destroy(struct broker_control *control)
{
	if (control == NULL)
		return;
	OT_LIST_FOREACH_SAFE(link, &control->publications)
		ot_free(OT_CONTAINER_OF(link, struct publication, link));
	broker_membership_destroy(control->membership);
	broker_standby_destroy(control->standby);
	if (control->channel != NULL)
		destroy_channel(control);
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
	return broker_membership_epoch(control->membership);
}
