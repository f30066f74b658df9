#include "broker/channel_int.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/link.h"

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

/* The first error code that an answer has a place for, in the order of its fields: its own, or that
 * of the first of its results. A controller that is not the active one puts NOT_CONTROLLER into all
 * of them. */
static int16_t
first_error(const struct ot_msg_struct *type, int16_t version, const uint8_t *data)
{
	const struct ot_msg_field *nested = NULL;
	for (uint16_t i = 0; i < type->field_count; i++) {
		const struct ot_msg_field *field = &type->fields[i];
		if (!ot_versions_have(field->present, version))
			continue;
		int16_t code = 0;
		if (field->kind == OT_FIELD_INT16 && !field->is_array &&
		    strcmp(field->name, "ErrorCode") == 0) {
			memcpy(&code, data + field->offset, sizeof(code));
			return code;
		}
		if (nested == NULL && field->kind == OT_FIELD_STRUCT && field->is_array)
			nested = field;
	}
	int32_t count = 0;
	const uint8_t *items = NULL;
	if (nested != NULL) {
		memcpy(&count, data + nested->count_offset, sizeof(count));
		memcpy(&items, data + nested->offset, sizeof(items));
	}
	return count > 0 ? first_error(nested->type, version, items) : 0;
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
	bool was_refused = err == OT_OK && first_error(call->api->response->body, call->version,
					       call->response) == OT_ERR_NOT_CONTROLLER;
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

/* Who led before may be gone without a word: what was sent to it ends now, as by a closed
 * connection. */
static void
recall_sent(struct broker_channel *channel)
{
	OT_LIST_FOREACH_SAFE(node, &channel->sent) {
		struct broker_call *call = OT_CONTAINER_OF(node, struct broker_call, link);
		ot_link_cancel(&call->remote);
		call_is_answered(&call->remote, OT_ERR_CLOSED);
	}
}

/* While nobody leads, who led before may still answer; a new address ends its connection. */
void
broker_channel_set_leader(struct broker_channel *channel, const struct ot_controller_leader *leader,
    bool is_self)
{
	OT_ON_SHARD(channel->conf.shard);
	channel->is_self = is_self;
	channel->has_leader = !is_self && leader->id >= 0 && leader->host != NULL;
	if (channel->has_leader)
		ot_link_set_address(channel->link, leader->host, leader->port);
	if (is_self)
		recall_sent(channel);
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
