#include "broker/isr_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/report.h"
#include "broker/life_int.h"
#include "wire/msg_alter_partition.h"

enum {
	ISR_ALTER_PARTITION_VERSION = 3, /* topics by id, brokers with epochs */
	ISR_RETRY_MS = 50,
	/* A controller that says nothing for so long may have vanished without an end of its
	 * connection. It is asked again over another: a change that was committed meanwhile is
	 * refused by its epoch and comes with the metadata. */
	ISR_CALL_MS = 5 * 1000,
	ISR_PARTITIONS_MAX = 10000, /* of one request; the others wait for the next */
	ISR_KEY_BYTES = sizeof(struct ot_uuid) + sizeof(int32_t),
};

/* One partition's wish, and its answer. The owner shard's, but for its time on the control thread.
 */
struct isr_item {
	struct ot_mail mail;
	struct broker_isr *isr;
	struct broker_shard *shard; /* the partition's owner */
	uint8_t key[ISR_KEY_BYTES]; /* topic id, partition */
	UT_hash_handle hh;          /* while it is queued */
	struct ot_list link;        /* queued or under way */
	struct ot_uuid topic_id;
	int32_t index;
	struct ot_part_isr_wish wish; /* the members are ours to free */

	ot_err err;
	struct ot_part_role role; /* on OT_OK; its ISR lies in `answer_ids` */
	int32_t *answer_ids;      /* heap */
};

struct broker_isr {
	struct broker *broker;    /* [const] */
	struct ot_shard *control; /* [const] */
	/* [control] all below */
	struct isr_item *by_key;  /* the queued items */
	struct ot_list queued;    /* oldest first */
	struct ot_list under_way; /* what the request that is under way asks for */
	bool is_under_way;
	struct ot_timer retry;
	struct ot_report_gate gate;
	struct ot_arena arena; /* of the request that is under way */
	struct broker_call call;
	struct ot_alter_partition_request request;
	struct ot_alter_partition_response response;
};

static void send_queued(struct broker_isr *isr);

static void
free_item(struct isr_item *item)
{
	ot_free(item->wish.members);
	ot_free(item->answer_ids);
	ot_free(item);
}

/* ---- on the owner's shard ------------------------------------------------------------------- */

static void
take_answer(struct ot_mail *mail)
{
	struct isr_item *item = OT_CONTAINER_OF(mail, struct isr_item, mail);
	struct ot_part *part =
	    item->shard->is_closing ? NULL : broker_part(&item->topic_id, item->index);
	if (part != NULL)
		ot_part_isr_answered(part, &item->wish, item->err,
		    item->err == OT_OK ? &item->role : NULL);
	free_item(item);
}

static void queue_item(struct ot_mail *mail);

void
broker_isr_wanted(struct broker_shard *self, struct ot_part *part)
{
	OT_ON_SHARD(self->shard);
	struct ot_part_isr_wish wish;
	if (self->is_closing || !ot_part_take_isr_wish(part, &wish))
		return;
	struct isr_item *item = OT_NEW(struct isr_item);
	*item = (struct isr_item){
		.mail.deliver = queue_item,
		.isr = self->broker->isr,
		.shard = self,
		.topic_id = *ot_part_topic_id(part),
		.index = ot_part_index(part),
		.wish = wish,
	};
	memcpy(item->key, &item->topic_id, sizeof(item->topic_id));
	memcpy(item->key + sizeof(item->topic_id), &item->index, sizeof(item->index));
	ot_list_init(&item->link);
	ot_shard_post(item->isr->control, &item->mail);
}

/* ---- the queue ------------------------------------------------------------------------------ */

static bool
is_stopping(const struct broker_isr *isr)
{
	return isr->broker->life->stop >= LIFE_STOP_METADATA;
}

static struct isr_item *
find_queued(struct broker_isr *isr, const struct isr_item *like)
{
	struct isr_item *item;
	HASH_FIND(hh, isr->by_key, like->key, sizeof(like->key), item);
	return item;
}

static void
unqueue(struct broker_isr *isr, struct isr_item *item)
{
	HASH_DEL(isr->by_key, item);
	ot_list_remove(&item->link);
}

static void
queue(struct broker_isr *isr, struct isr_item *item)
{
	HASH_ADD(hh, isr->by_key, key, sizeof(item->key), item);
	ot_list_push_back(&isr->queued, &item->link);
}

static void
queue_item(struct ot_mail *mail)
{
	struct isr_item *item = OT_CONTAINER_OF(mail, struct isr_item, mail);
	struct broker_isr *isr = item->isr;
	OT_ON_SHARD(isr->control);
	if (is_stopping(isr)) {
		free_item(item);
		return;
	}
	struct isr_item *older = find_queued(isr, item);
	if (older != NULL) {
		unqueue(isr, older);
		free_item(older);
	}
	queue(isr, item);
	send_queued(isr);
}

/* What was sent in vain is sent again, unless its partition has another wish by now. */
static void
queue_again(struct broker_isr *isr, struct isr_item *item)
{
	ot_list_remove(&item->link);
	if (find_queued(isr, item) == NULL)
		queue(isr, item);
	else
		free_item(item);
}

/* ---- the request ---------------------------------------------------------------------------- */

static int
compare_items(const void *a, const void *b)
{
	const struct isr_item *left = *(struct isr_item *const *)a;
	const struct isr_item *right = *(struct isr_item *const *)b;
	int order = memcmp(&left->topic_id, &right->topic_id, sizeof(left->topic_id));
	return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* The items under way in the order of topics and partitions; NULL without memory. */
static struct isr_item **
sort_items(struct broker_isr *isr, size_t *ret_count)
{
	size_t count = 0;
	OT_LIST_FOREACH(link, &isr->under_way)
		count++;
	struct isr_item **items = ot_arena_array(&isr->arena, count, sizeof(struct isr_item *));
	if (items == NULL)
		return NULL;
	*ret_count = 0;
	OT_LIST_FOREACH(link, &isr->under_way)
		items[(*ret_count)++] = OT_CONTAINER_OF(link, struct isr_item, link);
	qsort(items, count, sizeof(struct isr_item *), compare_items);
	return items;
}

static bool
fill_partition(struct broker_isr *isr, const struct isr_item *item,
    struct ot_alter_partition_request_partition *partition)
{
	partition->partition_index = item->index;
	partition->leader_epoch = item->wish.leader_epoch;
	partition->partition_epoch = item->wish.partition_epoch;
	partition->leader_recovery_state =
	    item->wish.is_recovered ? OT_RECOVERY_RECOVERED : OT_RECOVERY_RECOVERING;
	partition->new_isr_with_epochs =
	    ot_alter_partition_request_broker_state_array(&isr->arena, item->wish.count);
	if (partition->new_isr_with_epochs == NULL)
		return false;
	partition->new_isr_with_epochs_count = item->wish.count;
	for (int32_t i = 0; i < item->wish.count; i++) {
		partition->new_isr_with_epochs[i].broker_id = item->wish.members[i].id;
		partition->new_isr_with_epochs[i].broker_epoch =
		    item->wish.members[i].id == isr->broker->node_id ? isr->request.broker_epoch
								     : item->wish.members[i].epoch;
	}
	return true;
}

static bool
fill_request(struct broker_isr *isr)
{
	struct ot_alter_partition_request *request = &isr->request;
	size_t count = 0;
	struct isr_item **items = sort_items(isr, &count);
	ot_alter_partition_request_init(request);
	request->broker_id = isr->broker->node_id;
	request->broker_epoch = broker_control_epoch(isr->broker->control);
	request->topics = ot_alter_partition_request_topic_array(&isr->arena, (int32_t)count);
	struct ot_alter_partition_request_partition *partitions =
	    ot_alter_partition_request_partition_array(&isr->arena, (int32_t)count);
	if (items == NULL || request->topics == NULL || partitions == NULL)
		return false;
	struct ot_alter_partition_request_topic *topic = NULL;
	for (size_t i = 0; i < count; i++) {
		if (topic == NULL || !ot_uuid_equal(&topic->topic_id, &items[i]->topic_id)) {
			topic = &request->topics[request->topics_count++];
			topic->topic_id = items[i]->topic_id;
			topic->partitions = &partitions[i];
		}
		topic->partitions_count++;
		if (!fill_partition(isr, items[i], &partitions[i]))
			return false;
	}
	return true;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void
take_role(struct isr_item *item, const struct ot_alter_partition_response_partition *answer)
{
	int32_t count = OT_MAX(answer->isr_count, 0);
	item->answer_ids = ot_must_alloc(OT_MAX((size_t)count, 1) * sizeof(*item->answer_ids));
	for (int32_t i = 0; i < count; i++)
		item->answer_ids[i] = answer->isr[i];
	item->role = (struct ot_part_role){
		.leader_id = answer->leader_id,
		.leader_epoch = answer->leader_epoch,
		.partition_epoch = answer->partition_epoch,
		.is_recovering = answer->leader_recovery_state == OT_RECOVERY_RECOVERING,
		.isr = { item->answer_ids, count },
	};
}

static void
give_answer(struct isr_item *item, const struct ot_alter_partition_response_partition *answer)
{
	item->err = ot_err_from_wire(answer->error_code);
	if (item->err == OT_OK)
		take_role(item, answer);
	ot_list_remove(&item->link);
	item->mail.deliver = take_answer;
	ot_shard_post(item->shard->shard, &item->mail);
}

/* The answers come in whatever order the controller likes. */
static void
give_answers(struct broker_isr *isr)
{
	size_t count = 0;
	struct isr_item **items = sort_items(isr, &count);
	for (int32_t i = 0; items != NULL && i < isr->response.topics_count; i++) {
		const struct ot_alter_partition_response_topic *topic = &isr->response.topics[i];
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			struct isr_item like = { .topic_id = topic->topic_id,
				.index = topic->partitions[j].partition_index };
			const struct isr_item *key = &like;
			struct isr_item **found =
			    bsearch(&key, items, count, sizeof(struct isr_item *), compare_items);
			if (found != NULL && !ot_list_is_empty(&(*found)->link))
				give_answer(*found, &topic->partitions[j]);
		}
	}
}

static void
report_failure(struct broker_isr *isr, ot_err err)
{
	ot_mono_ns now = ot_io_now(isr->control->io);
	uint32_t skipped = ot_report_skipped(&isr->gate, now);
	if (ot_report_may(&isr->gate, now))
		OT_WARN("broker",
		    "the controller did not take changes of the ISR: %s (and %u times before); "
		    "they "
		    "are sent again",
		    ot_err_message(err), skipped);
}

static void
request_is_done(struct broker_call *call)
{
	struct broker_isr *isr = OT_CONTAINER_OF(call, struct broker_isr, call);
	ot_err err = call->err != OT_OK ? call->err : ot_err_from_wire(isr->response.error_code);
	if (err == OT_OK)
		give_answers(isr);
	/* A controller that forgets partitions in its answer is asked again, but not at once. */
	if (err == OT_OK && !ot_list_is_empty(&isr->under_way))
		err = OT_ERR_UNKNOWN_SERVER_ERROR;
	OT_LIST_FOREACH_SAFE(link, &isr->under_way)
		queue_again(isr, OT_CONTAINER_OF(link, struct isr_item, link));
	ot_arena_reset(&isr->arena);
	isr->is_under_way = false;
	if (is_stopping(isr))
		return;
	if (err != OT_OK) {
		report_failure(isr, err);
		ot_timer_arm_in_ms(isr->control->io, &isr->retry, ISR_RETRY_MS);
	}
	send_queued(isr);
}

/* The broker may have registered anew while the request waited for a controller. */
static void
prepare_request(struct broker_call *call)
{
	struct broker_isr *isr = OT_CONTAINER_OF(call, struct broker_isr, call);
	isr->request.broker_epoch = broker_control_epoch(isr->broker->control);
}

static void
begin_request(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_isr *isr = OT_CONTAINER_OF(call, struct broker_isr, call);
	prepare_request(call);
	ot_controller_alter_partition(controller, &call->call, &isr->request,
	    ISR_ALTER_PARTITION_VERSION, &isr->response);
}

static void
on_retry_due(struct ot_timer *timer)
{
	send_queued(OT_CONTAINER_OF(timer, struct broker_isr, retry));
}

/* Sends what is queued, unless a request is under way or a pause after one is. */
static void
send_queued(struct broker_isr *isr)
{
	if (isr->is_under_way || is_stopping(isr) || ot_list_is_empty(&isr->queued) ||
	    ot_timer_is_armed(&isr->retry))
		return;
	for (int i = 0; i < ISR_PARTITIONS_MAX && !ot_list_is_empty(&isr->queued); i++) {
		struct isr_item *item = OT_LIST_FIRST(&isr->queued, struct isr_item, link);
		unqueue(isr, item);
		ot_list_push_back(&isr->under_way, &item->link);
	}
	isr->is_under_way = true;
	isr->call = (struct broker_call){
		.begin = begin_request,
		.done = request_is_done,
		.arena = &isr->arena,
		.is_prompt = true,
		.prepare = prepare_request,
		.api = ot_api_find(OT_API_ALTER_PARTITION),
		.version = ISR_ALTER_PARTITION_VERSION,
		.body = &isr->request,
		.response = &isr->response,
	};
	isr->call.timeout_ms = OT_MIN(
	    ot_settings_number(isr->broker->settings, OT_BROKER_REQUEST_TIMEOUT_MS), ISR_CALL_MS);
	if (fill_request(isr)) {
		broker_control_post(isr->broker, isr->control, &isr->call);
		return;
	}
	isr->call.err = OT_ERR_NO_MEMORY;
	request_is_done(&isr->call);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct broker_isr *
broker_isr_create(struct broker *broker)
{
	struct broker_isr *isr = OT_NEW(struct broker_isr);
	isr->broker = broker;
	isr->control = ot_shard_control(broker->set);
	ot_list_init(&isr->queued);
	ot_list_init(&isr->under_way);
	ot_arena_init(&isr->arena, 0);
	ot_timer_init(&isr->retry, on_retry_due);
	return isr;
}

void
broker_isr_destroy(struct broker_isr *isr)
{
	if (isr == NULL)
		return;
	ot_timer_cancel(isr->control->io, &isr->retry);
	OT_LIST_FOREACH_SAFE(link, &isr->queued) {
		struct isr_item *item = OT_CONTAINER_OF(link, struct isr_item, link);
		unqueue(isr, item);
		free_item(item);
	}
	OT_LIST_FOREACH_SAFE(link, &isr->under_way)
		free_item(OT_CONTAINER_OF(link, struct isr_item, link));
	ot_arena_fini(&isr->arena);
	ot_free(isr);
}
