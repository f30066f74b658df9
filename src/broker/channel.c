#include "broker/channel_int.h"

#include "base/alloc.h"
#include "wire/link.h"
#include "wire/msg_gen.h"

enum {
	CHANNEL_RETRY_MS = 50,
	CHANNEL_BACKOFF_MS = 20,
	CHANNEL_BACKOFF_MS_MAX = 500,
	CHANNEL_ANSWER_BYTES_MAX = 100 * 1024 * 1024,
};

struct broker_channel {
	struct broker_channel_conf conf; /* [const] */
	struct ot_link *link;
	struct ot_list waiting; /* of broker_call, oldest first */
	struct ot_list sent;
	struct ot_timer retry; /* looks at those that wait */
	bool has_leader;       /* another process, whose address is known */
	bool is_self;
	bool is_closed;
};

static void pump(struct broker_channel *channel);

/* ---- the ends of a call ---------------------------------------------------------------------- */

static void
give_back(struct broker_channel *channel, struct broker_call *call)
{
	ot_list_remove(&call->link);
	channel->conf.begin(channel->conf.arg, call);
}

static void
give_back_all(struct broker_channel *channel, struct ot_list *calls)
{
	while (!ot_list_is_empty(calls))
		give_back(channel, OT_LIST_FIRST(calls, struct broker_call, link));
}

static void
wait_again(struct broker_channel *channel, struct broker_call *call)
{
	ot_list_remove(&call->link);
	ot_list_push_back(&channel->waiting, &call->link);
	if (!ot_timer_is_armed(&channel->retry))
		ot_timer_arm_in_ms(channel->conf.shard->io, &channel->retry, CHANNEL_RETRY_MS);
}

/* ---- answers --------------------------------------------------------------------------------- */

#define FIRST_ERROR(response, items) \
	((response)->items##_count > 0 ? (response)->items[0].error_code : 0)

/* The error that stands for the whole answer: a controller that is not the active one puts
 * NOT_CONTROLLER into each place that there is. */
static int16_t
whole_error(const struct broker_call *call)
{
	const void *response = call->response;
	switch (call->api->key) {
	case OT_API_CREATE_TOPICS:
		return FIRST_ERROR((const struct ot_create_topics_response *)response, topics);
	case OT_API_DELETE_TOPICS:
		return FIRST_ERROR((const struct ot_delete_topics_response *)response, responses);
	case OT_API_CREATE_PARTITIONS:
		return FIRST_ERROR((const struct ot_create_partitions_response *)response, results);
	case OT_API_ALTER_CONFIGS:
		return FIRST_ERROR((const struct ot_alter_configs_response *)response, responses);
	case OT_API_INCREMENTAL_ALTER_CONFIGS:
		return FIRST_ERROR((const struct ot_incremental_alter_configs_response *)response,
		    responses);
	case OT_API_ELECT_LEADERS:
		return ((const struct ot_elect_leaders_response *)response)->error_code;
	case OT_API_ALTER_PARTITION_REASSIGNMENTS:
		return ((const struct ot_alter_partition_reassignments_response *)response)
		    ->error_code;
	case OT_API_LIST_PARTITION_REASSIGNMENTS:
		return ((const struct ot_list_partition_reassignments_response *)response)
		    ->error_code;
	case OT_API_UPDATE_FEATURES:
		return ((const struct ot_update_features_response *)response)->error_code;
	case OT_API_UNREGISTER_BROKER:
		return ((const struct ot_unregister_broker_response *)response)->error_code;
	case OT_API_ALLOCATE_PRODUCER_IDS:
		return ((const struct ot_allocate_producer_ids_response *)response)->error_code;
	case OT_API_BROKER_REGISTRATION:
		return ((const struct ot_broker_registration_response *)response)->error_code;
	case OT_API_BROKER_HEARTBEAT:
		return ((const struct ot_broker_heartbeat_response *)response)->error_code;
	case OT_API_ALTER_PARTITION:
		return ((const struct ot_alter_partition_response *)response)->error_code;
	case OT_API_CONTROLLER_REGISTRATION:
		return ((const struct ot_controller_registration_response *)response)->error_code;
	case OT_API_ASSIGN_REPLICAS_TO_DIRS:
		return ((const struct ot_assign_replicas_to_dirs_response *)response)->error_code;
	case OT_API_DESCRIBE_QUORUM:
		return ((const struct ot_describe_quorum_response *)response)->error_code;
	default:
		OT_PANIC("no call to the controller");
	}
}

static bool
is_time_over(const struct broker_channel *channel, const struct broker_call *call)
{
	return ot_io_now(channel->conf.shard->io) >= call->deadline;
}

static void
call_is_answered(struct ot_link_call *remote, ot_err err)
{
	struct broker_call *call = OT_CONTAINER_OF(remote, struct broker_call, remote);
	struct broker_channel *channel = call->channel;
	bool was_refused =
	    err == OT_OK && ot_err_from_wire(whole_error(call)) == OT_ERR_NOT_CONTROLLER;
	bool was_undone = was_refused || (err != OT_OK && !remote->was_sent);
	bool may_repeat = was_undone || call->is_idempotent;
	if (err == OT_OK && !was_refused) {
		ot_list_remove(&call->link);
		call->frame = ot_blob_ref(remote->frame);
		channel->conf.done(channel->conf.arg, call);
	} else if (!channel->is_closed && may_repeat && !is_time_over(channel, call)) {
		wait_again(channel, call);
	} else {
		give_back(channel, call);
	}
}

/* ---- sending --------------------------------------------------------------------------------- */

static void
send_call(struct broker_channel *channel, struct broker_call *call)
{
	ot_mono_ns now = ot_io_now(channel->conf.shard->io);
	if (call->prepare != NULL)
		call->prepare(call);
	call->remote = (struct ot_link_call){
		.api = call->api,
		.version = call->version,
		.request = call->body,
		.arena = call->arena,
		.response = call->response,
		.timeout_ms = (int64_t)((call->deadline - now) / OT_NS_PER_MS) + 1,
		.done = call_is_answered,
	};
	ot_list_remove(&call->link);
	ot_list_push_back(&channel->sent, &call->link);
	ot_link_call(channel->link, &call->remote);
}

static void
expire(struct broker_channel *channel)
{
	OT_LIST_FOREACH_SAFE(node, &channel->waiting) {
		struct broker_call *call = OT_CONTAINER_OF(node, struct broker_call, link);
		if (is_time_over(channel, call))
			give_back(channel, call);
	}
}

/* Does with those that wait what can be done now. */
static void
pump(struct broker_channel *channel)
{
	ot_timer_cancel(channel->conf.shard->io, &channel->retry);
	if (channel->is_self || channel->is_closed) {
		give_back_all(channel, &channel->waiting);
		return;
	}
	expire(channel);
	while (channel->has_leader && !ot_list_is_empty(&channel->waiting))
		send_call(channel, OT_LIST_FIRST(&channel->waiting, struct broker_call, link));
	if (!ot_list_is_empty(&channel->waiting))
		ot_timer_arm_in_ms(channel->conf.shard->io, &channel->retry, CHANNEL_RETRY_MS);
}

static void
on_retry(struct ot_timer *timer)
{
	pump(OT_CONTAINER_OF(timer, struct broker_channel, retry));
}

void
broker_channel_take(struct broker_channel *channel, struct broker_call *call)
{
	OT_ON_SHARD(channel->conf.shard);
	call->channel = channel;
	call->deadline = ot_io_now(channel->conf.shard->io) +
	                 (ot_mono_ns)OT_MAX(call->timeout_ms, 1) * OT_NS_PER_MS;
	ot_list_push_back(&channel->waiting, &call->link);
	pump(channel);
}

/* What was sent to who led before is answered by it, or ends with the connection. */
void
broker_channel_set_leader(struct broker_channel *channel, const struct ot_controller_leader *leader,
    bool is_self)
{
	OT_ON_SHARD(channel->conf.shard);
	channel->is_self = is_self;
	channel->has_leader = !is_self && leader->id >= 0 && leader->host != NULL;
	if (channel->has_leader)
		ot_link_set_address(channel->link, leader->host, leader->port);
	pump(channel);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct broker_channel *
broker_channel_create(const struct broker_channel_conf *conf)
{
	struct broker_channel *channel = OT_NEW(struct broker_channel);
	const struct ot_link_conf link_conf = {
		.shard = conf->shard,
		.client_id = BROKER_CHANNEL_CLIENT,
		.backoff_ms = CHANNEL_BACKOFF_MS,
		.backoff_ms_max = CHANNEL_BACKOFF_MS_MAX,
		.answer_bytes_max = CHANNEL_ANSWER_BYTES_MAX,
	};
	channel->conf = *conf;
	channel->link = ot_link_create(&link_conf);
	ot_list_init(&channel->waiting);
	ot_list_init(&channel->sent);
	ot_timer_init(&channel->retry, on_retry);
	return channel;
}

void
broker_channel_close(struct broker_channel *channel)
{
	if (channel->is_closed)
		return;
	channel->is_closed = true;
	ot_link_destroy(channel->link);
	channel->link = NULL;
	pump(channel);
	OT_ASSERT(ot_list_is_empty(&channel->sent));
}

void
broker_channel_destroy(struct broker_channel *channel)
{
	if (channel == NULL)
		return;
	OT_ASSERT(ot_list_is_empty(&channel->waiting) && ot_list_is_empty(&channel->sent));
	OT_ASSERT(channel->link == NULL);
	ot_free(channel);
}
