#include "broker/assign_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/report.h"
#include "broker/life_int.h"
#include "wire/msg_assign_replicas_to_dirs.h"

enum {
	ASSIGN_VERSION = 0,
	ASSIGN_DELAY_MS = 50, /* for others to come: a directory has many replicas */
	ASSIGN_RETRY_MS = 500,
	ASSIGN_CALL_MS = 10 * 1000,
	ASSIGN_PARTITIONS_MAX = 2250, /* of one request, as Kafka's brokers */
	ASSIGN_KEY_BYTES = sizeof(struct ot_uuid) + sizeof(int32_t),
};

/* One replica's place. The owner shard's until it is posted, then the control thread's. */
struct assign_item {
	struct ot_mail mail;
	struct broker_assigner *assigner;
	uint8_t key[ASSIGN_KEY_BYTES]; /* topic id, partition */
	UT_hash_handle hh;             /* while it is queued */
	struct ot_list link;           /* queued or under way */
	struct ot_uuid topic_id;
	int32_t index;
	struct ot_uuid dir;
	bool is_answered;
};

struct broker_assigner {
	struct broker *broker;    /* [const] */
	struct ot_shard *control; /* [const] */
	/* [control] all below */
	struct assign_item *by_key; /* the queued items */
	struct ot_list queued;      /* oldest first */
	struct ot_list under_way;
	bool is_under_way;
	struct ot_timer timer; /* the next request */
	struct ot_report_gate gate;
	struct ot_arena arena; /* of the request that is under way */
	struct broker_call call;
	struct ot_assign_replicas_to_dirs_request request;
	struct ot_assign_replicas_to_dirs_response response;
};

static bool
is_stopping(const struct broker_assigner *assigner)
{
	return assigner->broker->life->stop >= LIFE_STOP_METADATA;
}

/* ---- the queue ------------------------------------------------------------------------------ */

static void
unqueue(struct broker_assigner *assigner, struct assign_item *item)
{
	HASH_DEL(assigner->by_key, item);
	ot_list_remove(&item->link);
}

static struct assign_item *
find_queued(struct broker_assigner *assigner, const struct assign_item *like)
{
	struct assign_item *item;
	HASH_FIND(hh, assigner->by_key, like->key, sizeof(like->key), item);
	return item;
}

static void
queue(struct broker_assigner *assigner, struct assign_item *item)
{
	HASH_ADD(hh, assigner->by_key, key, sizeof(item->key), item);
	ot_list_push_back(&assigner->queued, &item->link);
}

static void
arm(struct broker_assigner *assigner, int64_t delay_ms)
{
	if (!is_stopping(assigner) && !assigner->is_under_way &&
	    !ot_list_is_empty(&assigner->queued) && !ot_timer_is_armed(&assigner->timer))
		ot_timer_arm_in_ms(assigner->control->io, &assigner->timer, delay_ms);
}

static void
queue_item(struct ot_mail *mail)
{
	struct assign_item *item = OT_CONTAINER_OF(mail, struct assign_item, mail);
	struct broker_assigner *assigner = item->assigner;
	OT_ON_SHARD(assigner->control);
	struct assign_item *older = find_queued(assigner, item);
	if (older != NULL) {
		unqueue(assigner, older);
		ot_free(older);
	}
	queue(assigner, item);
	arm(assigner, ASSIGN_DELAY_MS);
}

void
broker_assign(struct broker_shard *self, const struct ot_part *part, const struct ot_uuid *dir)
{
	OT_ON_SHARD(self->shard);
	struct assign_item *item = OT_NEW(struct assign_item);
	*item = (struct assign_item){
		.mail.deliver = queue_item,
		.assigner = self->broker->assigner,
		.topic_id = *ot_part_topic_id(part),
		.index = ot_part_index(part),
		.dir = *dir,
	};
	memcpy(item->key, &item->topic_id, sizeof(item->topic_id));
	memcpy(item->key + sizeof(item->topic_id), &item->index, sizeof(item->index));
	ot_list_init(&item->link);
	ot_shard_post(item->assigner->control, &item->mail);
}

/* ---- the request ---------------------------------------------------------------------------- */

static int
compare_items(const void *a, const void *b)
{
	const struct assign_item *left = *(struct assign_item *const *)a;
	const struct assign_item *right = *(struct assign_item *const *)b;
	int order = memcmp(&left->dir, &right->dir, sizeof(left->dir));
	if (order == 0)
		order = memcmp(&left->topic_id, &right->topic_id, sizeof(left->topic_id));
	return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* The items under way by directory, topic and partition; NULL without memory. */
static struct assign_item **
sort_items(struct broker_assigner *assigner, size_t *ret_count)
{
	size_t count = 0;
	OT_LIST_FOREACH(link, &assigner->under_way)
		count++;
	struct assign_item **items =
	    ot_arena_array(&assigner->arena, count, sizeof(struct assign_item *));
	*ret_count = 0;
	if (items == NULL)
		return NULL;
	OT_LIST_FOREACH(link, &assigner->under_way)
		items[(*ret_count)++] = OT_CONTAINER_OF(link, struct assign_item, link);
	qsort(items, count, sizeof(struct assign_item *), compare_items);
	return items;
}

static bool
fill_request(struct broker_assigner *assigner)
{
	struct ot_arena *arena = &assigner->arena;
	struct ot_assign_replicas_to_dirs_request *request = &assigner->request;
	size_t count = 0;
	struct assign_item **items = sort_items(assigner, &count);
	ot_assign_replicas_to_dirs_request_init(request);
	request->broker_id = assigner->broker->node_id;
	request->directories =
	    ot_assign_replicas_to_dirs_request_directory_array(arena, (int32_t)count);
	struct ot_assign_replicas_to_dirs_request_topic *topics =
	    ot_assign_replicas_to_dirs_request_topic_array(arena, (int32_t)count);
	struct ot_assign_replicas_to_dirs_request_partition *partitions =
	    ot_assign_replicas_to_dirs_request_partition_array(arena, (int32_t)count);
	if (items == NULL || request->directories == NULL || topics == NULL || partitions == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		bool is_new_dir = i == 0 || !ot_uuid_equal(&items[i]->dir, &items[i - 1]->dir);
		bool is_new_topic =
		    is_new_dir || !ot_uuid_equal(&items[i]->topic_id, &items[i - 1]->topic_id);
		if (is_new_dir) {
			request->directories[request->directories_count].id = items[i]->dir;
			request->directories[request->directories_count++].topics = topics;
		}
		if (is_new_topic) {
			topics->topic_id = items[i]->topic_id;
			topics->partitions = partitions;
			topics++;
			request->directories[request->directories_count - 1].topics_count++;
		}
		partitions->partition_index = items[i]->index;
		partitions++;
		topics[-1].partitions_count++;
	}
	return true;
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* What the controller will say again however often it is asked: the metadata has another topic, or
 * other replicas, by now. */
static bool
is_final(ot_err err)
{
	return err == OT_OK || err == OT_ERR_UNKNOWN_TOPIC_ID ||
	       err == OT_ERR_UNKNOWN_TOPIC_OR_PARTITION || err == OT_ERR_NOT_LEADER_OR_FOLLOWER;
}

static void
note_answer(struct assign_item **items, size_t count, const struct assign_item *like, ot_err err)
{
	struct assign_item **found =
	    bsearch(&like, items, count, sizeof(struct assign_item *), compare_items);
	if (found != NULL)
		(*found)->is_answered = is_final(err);
}

static void
take_answers(struct broker_assigner *assigner)
{
	const struct ot_assign_replicas_to_dirs_response *response = &assigner->response;
	size_t count = 0;
	struct assign_item **items = sort_items(assigner, &count);
	for (int32_t i = 0; items != NULL && i < response->directories_count; i++) {
		const struct ot_assign_replicas_to_dirs_response_directory *dir =
		    &response->directories[i];
		for (int32_t j = 0; j < dir->topics_count; j++) {
			const struct ot_assign_replicas_to_dirs_response_topic *topic =
			    &dir->topics[j];
			for (int32_t k = 0; k < topic->partitions_count; k++) {
				const struct assign_item like = {
					.dir = dir->id,
					.topic_id = topic->topic_id,
					.index = topic->partitions[k].partition_index,
				};
				note_answer(items, count, &like,
				    ot_err_from_wire(topic->partitions[k].error_code));
			}
		}
	}
}

/* What was sent in vain is sent again, unless there is a newer word on its partition. */
static bool
queue_rest(struct broker_assigner *assigner, bool is_over)
{
	bool is_any_left = false;
	OT_LIST_FOREACH_SAFE(link, &assigner->under_way) {
		struct assign_item *item = OT_CONTAINER_OF(link, struct assign_item, link);
		ot_list_remove(&item->link);
		if (is_over || item->is_answered || find_queued(assigner, item) != NULL) {
			ot_free(item);
			continue;
		}
		is_any_left = true;
		queue(assigner, item);
	}
	return is_any_left;
}

static void
request_is_done(struct broker_call *call)
{
	struct broker_assigner *assigner = OT_CONTAINER_OF(call, struct broker_assigner, call);
	ot_err err = call->err;
	if (err == OT_OK)
		err = ot_err_from_wire(assigner->response.error_code);
	if (err == OT_OK)
		take_answers(assigner);
	/* A metadata version that is too old has no place for directories, and needs none told. */
	bool is_left = queue_rest(assigner, err == OT_ERR_UNSUPPORTED_VERSION);
	ot_arena_reset(&assigner->arena);
	assigner->is_under_way = false;
	if (is_left && !is_stopping(assigner) &&
	    ot_report_may(&assigner->gate, ot_io_now(assigner->control->io)))
		OT_WARN("broker",
		    "the controller did not take where replicas are: %s; it is told again",
		    ot_err_message(err));
	arm(assigner, is_left ? ASSIGN_RETRY_MS : ASSIGN_DELAY_MS);
}

/* The broker may have registered anew while the request waited for a controller. */
static void
prepare_request(struct broker_call *call)
{
	struct broker_assigner *assigner = OT_CONTAINER_OF(call, struct broker_assigner, call);
	assigner->request.broker_epoch = broker_control_epoch(assigner->broker->control);
}

static void
begin_request(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_assigner *assigner = OT_CONTAINER_OF(call, struct broker_assigner, call);
	prepare_request(call);
	ot_controller_assign_replicas_to_dirs(controller, &call->call, &assigner->request,
	    &assigner->response);
}

static void
on_timer(struct ot_timer *timer)
{
	struct broker_assigner *assigner = OT_CONTAINER_OF(timer, struct broker_assigner, timer);
	for (int i = 0; i < ASSIGN_PARTITIONS_MAX && !ot_list_is_empty(&assigner->queued); i++) {
		struct assign_item *item =
		    OT_LIST_FIRST(&assigner->queued, struct assign_item, link);
		unqueue(assigner, item);
		item->is_answered = false;
		ot_list_push_back(&assigner->under_way, &item->link);
	}
	assigner->is_under_way = true;
	assigner->call = (struct broker_call){
		.begin = begin_request,
		.done = request_is_done,
		.arena = &assigner->arena,
		.is_prompt = true,
		.prepare = prepare_request,
		.api = ot_api_find(OT_API_ASSIGN_REPLICAS_TO_DIRS),
		.version = ASSIGN_VERSION,
		.body = &assigner->request,
		.response = &assigner->response,
		.timeout_ms = ASSIGN_CALL_MS,
	};
	if (fill_request(assigner)) {
		broker_control_post(assigner->broker, assigner->control, &assigner->call);
		return;
	}
	assigner->call.err = OT_ERR_NO_MEMORY;
	request_is_done(&assigner->call);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct broker_assigner *
broker_assigner_create(struct broker *broker)
{
	struct broker_assigner *assigner = OT_NEW(struct broker_assigner);
	assigner->broker = broker;
	assigner->control = ot_shard_control(broker->set);
	ot_list_init(&assigner->queued);
	ot_list_init(&assigner->under_way);
	ot_arena_init(&assigner->arena, 0);
	ot_timer_init(&assigner->timer, on_timer);
	return assigner;
}

void
broker_assigner_destroy(struct broker_assigner *assigner)
{
	if (assigner == NULL)
		return;
	ot_timer_cancel(assigner->control->io, &assigner->timer);
	OT_LIST_FOREACH_SAFE(link, &assigner->queued) {
		struct assign_item *item = OT_CONTAINER_OF(link, struct assign_item, link);
		unqueue(assigner, item);
		ot_free(item);
	}
	OT_LIST_FOREACH_SAFE(link, &assigner->under_way)
		ot_free(OT_CONTAINER_OF(link, struct assign_item, link));
	ot_arena_fini(&assigner->arena);
	ot_free(assigner);
}
