#include "replica/fetchers.h"

#include <string.h>

#include "base/map.h"
#include "base/report.h"
#include "replica/throttle.h"
#include "wire/link.h"
#include "wire/msg_fetch.h"
#include "wire/msg_list_offsets.h"

enum {
	FETCHERS_FETCH_VERSION = 17, /* topic ids, the broker's epoch */
	FETCHERS_LIST_OFFSETS_VERSION = 9,
	FETCHERS_RECONNECT_MS = 50,
	FETCHERS_RECONNECT_MS_MAX = 1000,
	FETCHERS_PAUSE_MS = 20, /* of a partition the first time; then it doubles */
	FETCHERS_HOLD_MS = 100, /* of a throttled one, until the rate is looked at again */
	FETCHERS_KEY_BYTES = 20,
	FETCHERS_ANSWER_SPARE =
	    64 * 1024 * 1024, /* beside the records that were asked for: one batch
	                         may be larger, and headers of many partitions */
};

/* A partition that is followed. */
struct item {
	struct ot_fetchers *fetchers;
	struct fetcher *fetcher; /* NULL: nobody is followed, a write is under way */
	struct ot_part *part;
	uint8_t key[FETCHERS_KEY_BYTES]; /* topic id, partition */
	struct ot_list link;             /* of its fetcher */
	int32_t leader_id;
	int32_t leader_epoch;

	/* What the session has of it. */
	bool is_in_session;
	struct ot_part_follow told;
	struct ot_part_follow asked; /* with the request that is under way */
	bool is_asked;

	/* Left out for now. */
	bool is_cutting;   /* until the partition says that it follows again */
	ot_mono_ns resume; /* 0: it is not paused */
	int64_t pause_ms;  /* of the next pause */

	/* The leader's, as it said last in this epoch; -1: it has not. */
	int64_t high_watermark;
	bool is_throttled; /* what is asked for now counts against the rate */

	/* What is being written. */
	struct ot_part_fetched fetched;
	bool is_writing;
	struct fetcher *waiter; /* who waits for it */

	/* The leader's end and start are asked for. */
	struct ot_link_call offsets_call;
	struct ot_arena offsets_arena;
	struct ot_list_offsets_response offsets;
	bool is_asking_offsets;
	int64_t asked_timestamp;

	UT_hash_handle hh_part;
};

/* A partition that the session has and that is to be taken out of it with the next request, unless
 * it is asked for again by then: a request that did both would take it out. */
struct forgotten {
	uint8_t key[FETCHERS_KEY_BYTES];
	UT_hash_handle hh;
};

/* All that is followed of one leader. */
struct fetcher {
	struct ot_fetchers *fetchers;
	int32_t leader_id;
	struct ot_link *link;
	bool has_address;
	struct ot_list items;
	struct forgotten *forgotten;
	uint32_t writing_count;
	uint32_t depth; /* of functions that go on after callbacks */
	bool is_dead;

	int32_t session_id;
	int32_t session_epoch; /* of the next request; 0: a whole one */

	struct ot_link_call call;
	bool is_asking;
	struct ot_fetch_request request;
	struct ot_fetch_response response;
	struct ot_arena arena;
	struct ot_arena answer_arena;
	struct ot_timer timer;   /* a pause of the whole, or the first partition's end of one */
	bool is_paused;          /* the whole */
	struct ot_timer restart; /* a partition came while an answer is waited for */
	UT_hash_handle hh;
};

struct ot_fetchers {
	struct ot_fetchers_conf conf; /* [const] */
	struct fetcher *by_leader;
	struct item *by_part;
	struct ot_image *image; /* a reference; NULL before the first */
	int64_t broker_epoch;
	uint64_t bytes;
};

static void advance(struct fetcher *fetcher);
static void pause_item(struct item *item);

static struct ot_io *
io_of(const struct fetcher *fetcher)
{
	return fetcher->fetchers->conf.shard->io;
}

/* ---- fetchers ------------------------------------------------------------------------------- */

static void
find_address(struct fetcher *fetcher)
{
	const struct ot_fetchers *fetchers = fetcher->fetchers;
	const struct ot_broker_image *broker =
	    fetchers->image != NULL ? ot_image_broker(fetchers->image, fetcher->leader_id) : NULL;
	const struct ot_endpoint_image *endpoint =
	    broker != NULL ? ot_broker_endpoint(broker, ot_str_from(fetchers->conf.listener))
			   : NULL;
	fetcher->has_address = endpoint != NULL;
	if (endpoint == NULL)
		return;
	char *host = ot_must_strndup(endpoint->host.data, (size_t)endpoint->host.len);
	ot_link_set_address(fetcher->link, host, endpoint->port);
	ot_free(host);
}

static void
make_link(struct fetcher *fetcher)
{
	const struct ot_fetchers_conf *conf = &fetcher->fetchers->conf;
	const struct ot_link_conf link_conf = {
		.shard = conf->shard,
		.client_id = "replica-fetcher",
		.backoff_ms = FETCHERS_RECONNECT_MS,
		.backoff_ms_max = FETCHERS_RECONNECT_MS_MAX,
		.answer_bytes_max = (size_t)conf->response_bytes_max + FETCHERS_ANSWER_SPARE,
	};
	fetcher->link = ot_link_create(&link_conf);
	find_address(fetcher);
}

static void on_timer(struct ot_timer *timer);
static void on_restart(struct ot_timer *timer);

static struct fetcher *
get_fetcher(struct ot_fetchers *fetchers, int32_t leader_id)
{
	struct fetcher *fetcher;
	HASH_FIND(hh, fetchers->by_leader, &leader_id, sizeof(leader_id), fetcher);
	if (fetcher != NULL)
		return fetcher;
	fetcher = OT_NEW(struct fetcher);
	fetcher->fetchers = fetchers;
	fetcher->leader_id = leader_id;
	ot_list_init(&fetcher->items);
	ot_arena_init(&fetcher->arena, 0);
	ot_arena_init(&fetcher->answer_arena, 0);
	ot_timer_init(&fetcher->timer, on_timer);
	ot_timer_init(&fetcher->restart, on_restart);
	make_link(fetcher);
	HASH_ADD(hh, fetchers->by_leader, leader_id, sizeof(fetcher->leader_id), fetcher);
	return fetcher;
}

static void
drop_forgotten(struct fetcher *fetcher)
{
	struct forgotten *forgotten, *next;
	HASH_ITER(hh, fetcher->forgotten, forgotten, next) {
		HASH_DEL(fetcher->forgotten, forgotten);
		ot_free(forgotten);
	}
}

static void
forget_session(struct fetcher *fetcher)
{
	fetcher->session_id = 0;
	fetcher->session_epoch = 0;
	drop_forgotten(fetcher);
	OT_LIST_FOREACH(node, &fetcher->items)
		OT_CONTAINER_OF(node, struct item, link)->is_in_session = false;
}

static void
free_fetcher(struct fetcher *fetcher)
{
	drop_forgotten(fetcher);
	ot_arena_fini(&fetcher->arena);
	ot_arena_fini(&fetcher->answer_arena);
	ot_free(fetcher);
}

/* Nobody is followed there any more. */
static void
end_fetcher(struct fetcher *fetcher)
{
	OT_ASSERT(ot_list_is_empty(&fetcher->items));
	HASH_DEL(fetcher->fetchers->by_leader, fetcher);
	ot_timer_cancel(io_of(fetcher), &fetcher->timer);
	ot_timer_cancel(io_of(fetcher), &fetcher->restart);
	ot_link_cancel(&fetcher->call);
	ot_link_destroy(fetcher->link);
	fetcher->link = NULL;
	fetcher->is_dead = true;
	if (fetcher->depth == 0)
		free_fetcher(fetcher);
}

static void
hold(struct fetcher *fetcher)
{
	fetcher->depth++;
}

/* And goes on, if it still is one. */
static void
let_go(struct fetcher *fetcher)
{
	if (--fetcher->depth > 0)
		return;
	if (fetcher->is_dead)
		free_fetcher(fetcher);
	else
		advance(fetcher);
}

/* ---- items ---------------------------------------------------------------------------------- */

static struct item *
find_item(const struct ot_fetchers *fetchers, const struct ot_part *part)
{
	struct item *item;
	HASH_FIND(hh_part, fetchers->by_part, &part, sizeof(part), item);
	return item;
}

static void
remember_to_forget(struct fetcher *fetcher, struct item *item)
{
	if (!item->is_in_session)
		return;
	struct forgotten *forgotten = OT_NEW(struct forgotten);
	memcpy(forgotten->key, item->key, sizeof(forgotten->key));
	HASH_ADD(hh, fetcher->forgotten, key, sizeof(forgotten->key), forgotten);
	item->is_in_session = false;
}

static void
remember_again(struct fetcher *fetcher, const struct item *item)
{
	struct forgotten *forgotten;
	HASH_FIND(hh, fetcher->forgotten, item->key, sizeof(item->key), forgotten);
	if (forgotten == NULL)
		return;
	HASH_DEL(fetcher->forgotten, forgotten);
	ot_free(forgotten);
}

static void
stop_asking_offsets(struct item *item)
{
	if (!item->is_asking_offsets)
		return;
	item->is_asking_offsets = false;
	ot_link_cancel(&item->offsets_call);
	ot_arena_fini(&item->offsets_arena);
}

/* Takes the item away from its fetcher. */
static void
detach(struct item *item)
{
	struct fetcher *fetcher = item->fetcher;
	if (fetcher == NULL)
		return;
	stop_asking_offsets(item);
	remember_to_forget(fetcher, item);
	ot_list_remove(&item->link);
	item->fetcher = NULL;
	item->is_asked = false;
	if (item->waiter == fetcher) {
		item->waiter = NULL;
		fetcher->writing_count--;
	}
	if (ot_list_is_empty(&fetcher->items))
		end_fetcher(fetcher);
	else
		advance(fetcher);
}

static void
free_item(struct item *item)
{
	HASH_DELETE(hh_part, item->fetchers->by_part, item);
	ot_free(item);
}

static struct item *
make_item(struct ot_fetchers *fetchers, struct ot_part *part)
{
	struct item *item = OT_NEW(struct item);
	item->fetchers = fetchers;
	item->part = part;
	memcpy(item->key, ot_part_topic_id(part)->bytes, sizeof(ot_part_topic_id(part)->bytes));
	ot_put_u32(item->key + sizeof(ot_part_topic_id(part)->bytes),
	    (uint32_t)ot_part_index(part));
	item->leader_id = item->leader_epoch = -1;
	ot_list_init(&item->link);
	HASH_ADD(hh_part, fetchers->by_part, part, sizeof(item->part), item);
	return item;
}

static void
pause_item(struct item *item)
{
	int64_t most = item->fetchers->conf.backoff_ms;
	ot_mono_ns now = ot_io_now(item->fetchers->conf.shard->io);
	item->pause_ms = OT_MAX(OT_MIN(item->pause_ms, most), 1);
	item->resume = now + (ot_mono_ns)item->pause_ms * OT_NS_PER_MS;
	item->pause_ms *= 2;
}

static void
is_well(struct item *item)
{
	item->pause_ms = FETCHERS_PAUSE_MS;
}

void
ot_fetchers_follow(struct ot_fetchers *fetchers, struct ot_part *part)
{
	OT_ON_SHARD(fetchers->conf.shard);
	struct ot_part_follow state;
	if (!ot_part_follow_state(part, &state))
		return;
	struct item *item = find_item(fetchers, part);
	if (item == NULL)
		item = make_item(fetchers, part);
	bool is_same = item->fetcher != NULL && item->leader_id == state.leader_id &&
	               item->leader_epoch == state.leader_epoch;
	if (is_same && !item->is_cutting && item->resume == 0)
		return;
	if (item->fetcher != NULL && item->leader_id != state.leader_id)
		detach(item);
	if (item->fetcher == NULL) {
		item->fetcher = get_fetcher(fetchers, state.leader_id);
		ot_list_push_back(&item->fetcher->items, &item->link);
	}
	stop_asking_offsets(item);
	item->leader_id = state.leader_id;
	item->leader_epoch = state.leader_epoch;
	item->is_cutting = false;
	item->resume = 0;
	item->is_asked = false;
	item->high_watermark = -1;
	is_well(item);
	struct fetcher *fetcher = item->fetcher;
	/* The request that is under way may wait for long, and knows nothing of this partition. */
	if (fetcher->is_asking && !ot_timer_is_armed(&fetcher->restart))
		ot_timer_arm_in_ms(io_of(fetcher), &fetcher->restart, 1);
	advance(fetcher);
}

void
ot_fetchers_unfollow(struct ot_fetchers *fetchers, struct ot_part *part)
{
	OT_ON_SHARD(fetchers->conf.shard);
	struct item *item = find_item(fetchers, part);
	if (item == NULL)
		return;
	detach(item);
	if (!item->is_writing)
		free_item(item);
}

/* ---- the leader's start and end ---------------------------------------------------------------
 */

static void ask_offsets(struct item *item, int64_t timestamp);

static void
take_end(struct item *item, const struct ot_part_follow *state, int64_t leader_end)
{
	if (leader_end >= state->fetch_offset)
		ask_offsets(item, OT_LIST_EARLIEST);
	else if (ot_part_cut_to(item->part, item->leader_epoch, leader_end))
		item->is_cutting = true;
	else
		pause_item(item);
}

static void
take_start(struct item *item, const struct ot_part_follow *state, int64_t leader_start)
{
	if (leader_start > state->fetch_offset &&
	    ot_part_restart_at(item->part, item->leader_epoch, leader_start))
		item->is_cutting = true;
	else
		pause_item(item);
}

static void
offsets_are_here(struct ot_link_call *call, ot_err err)
{
	struct item *item = OT_CONTAINER_OF(call, struct item, offsets_call);
	struct fetcher *fetcher = item->fetcher;
	struct ot_part_follow state;
	int64_t offset = -1;
	if (err == OT_OK && item->offsets.topics_count == 1 &&
	    item->offsets.topics[0].partitions_count == 1 &&
	    item->offsets.topics[0].partitions[0].error_code == 0)
		offset = item->offsets.topics[0].partitions[0].offset;
	item->is_asking_offsets = false;
	ot_arena_fini(&item->offsets_arena);
	hold(fetcher);
	if (offset < 0 || !ot_part_follow_state(item->part, &state) ||
	    state.leader_epoch != item->leader_epoch)
		pause_item(item);
	else if (item->asked_timestamp == OT_LIST_LATEST)
		take_end(item, &state, offset);
	else
		take_start(item, &state, offset);
	let_go(fetcher);
}

static void
ask_offsets(struct item *item, int64_t timestamp)
{
	struct ot_list_offsets_request request;
	struct ot_list_offsets_request_topic topic;
	struct ot_list_offsets_request_partition partition;
	ot_list_offsets_request_init(&request);
	ot_list_offsets_request_topic_init(&topic);
	ot_list_offsets_request_partition_init(&partition);
	partition.partition_index = ot_part_index(item->part);
	partition.current_leader_epoch = item->leader_epoch;
	partition.timestamp = timestamp;
	topic.name = ot_part_topic(item->part);
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.replica_id = item->fetchers->conf.node_id;
	request.topics = &topic;
	request.topics_count = 1;
	ot_arena_init(&item->offsets_arena, 0);
	item->asked_timestamp = timestamp;
	item->is_asking_offsets = true;
	item->offsets_call = (struct ot_link_call){
		.api = ot_api_find(OT_API_LIST_OFFSETS),
		.version = FETCHERS_LIST_OFFSETS_VERSION,
		.request = &request,
		.arena = &item->offsets_arena,
		.response = &item->offsets,
		.timeout_ms = item->fetchers->conf.timeout_ms,
		.done = offsets_are_here,
	};
	ot_link_call(item->fetcher->link, &item->offsets_call);
}

/* ---- what came --------------------------------------------------------------------------------
 */

static void
is_written(struct ot_part_fetched *fetched, ot_err err)
{
	struct item *item = OT_CONTAINER_OF(fetched, struct item, fetched);
	struct fetcher *waiter = item->waiter, *fetcher = item->fetcher;
	ot_blob_unref(fetched->blob);
	fetched->blob = NULL;
	item->is_writing = false;
	item->waiter = NULL;
	if (err == OT_OK)
		is_well(item);
	else if (item->fetcher != NULL)
		pause_item(item);
	if (waiter != NULL)
		waiter->writing_count--;
	if (fetcher == NULL)
		free_item(item);
	else
		advance(fetcher);
}

static void
take_records(struct item *item, const struct ot_fetch_response_partition *answer)
{
	struct fetcher *fetcher = item->fetcher;
	bool has_records = answer->records.len > 0;
	OT_ASSERT(!item->is_writing);
	item->fetched = (struct ot_part_fetched){
		.leader_epoch = item->asked.leader_epoch,
		.blob = has_records ? ot_blob_ref(fetcher->call.frame) : NULL,
		.records = { answer->records.data, has_records ? answer->records.len : 0 },
		.high_watermark = answer->high_watermark,
		.log_start_offset = answer->log_start_offset,
		.done = is_written,
	};
	item->is_writing = true;
	item->waiter = fetcher;
	item->high_watermark = answer->high_watermark;
	fetcher->writing_count++;
	fetcher->fetchers->bytes += (uint64_t)item->fetched.records.len;
	if (item->is_throttled && has_records)
		ot_throttle_note(fetcher->fetchers->conf.throttle,
		    (uint64_t)item->fetched.records.len);
	ot_part_take_fetched(item->part, &item->fetched);
}

static void
take_divergence(struct item *item, const struct ot_fetch_response_partition *answer)
{
	item->is_cutting = ot_part_diverged(item->part, item->asked.leader_epoch,
	    answer->diverging_epoch.epoch, answer->diverging_epoch.end_offset);
	if (!item->is_cutting)
		pause_item(item);
}

static void
take_answer(struct item *item, const struct ot_fetch_response_partition *answer)
{
	struct ot_part_follow state;
	bool is_current = ot_part_follow_state(item->part, &state) &&
	                  state.leader_epoch == item->asked.leader_epoch &&
	                  state.fetch_offset == item->asked.fetch_offset;
	ot_err err = ot_err_from_wire(answer->error_code);
	if (!is_current || item->is_cutting || item->is_writing)
		return;
	if (err == OT_ERR_OFFSET_OUT_OF_RANGE) {
		if (!item->is_asking_offsets)
			ask_offsets(item, OT_LIST_LATEST);
	} else if (err != OT_OK) {
		pause_item(item);
	} else if (answer->diverging_epoch.epoch >= 0 || answer->diverging_epoch.end_offset >= 0) {
		take_divergence(item, answer);
	} else {
		take_records(item, answer);
	}
}

/* Items by what the answer calls them: those that were asked for, in a table for the time of one
 * answer. */
struct place {
	const uint8_t *key;
	struct item *item;
	UT_hash_handle hh;
};

static struct item *
find_asked(struct place *places, const struct ot_uuid *topic_id, int32_t index)
{
	uint8_t key[FETCHERS_KEY_BYTES];
	struct place *place;
	memcpy(key, topic_id->bytes, sizeof(topic_id->bytes));
	ot_put_u32(key + sizeof(topic_id->bytes), (uint32_t)index);
	HASH_FIND(hh, places, key, sizeof(key), place);
	return place != NULL ? place->item : NULL;
}

static struct place *
index_items(struct fetcher *fetcher)
{
	struct place *places = NULL;
	OT_LIST_FOREACH(node, &fetcher->items) {
		struct item *item = OT_CONTAINER_OF(node, struct item, link);
		struct place *place = ot_arena_alloc(&fetcher->answer_arena, sizeof(*place));
		OT_ASSERT(place != NULL);
		place->key = item->key;
		place->item = item;
		HASH_ADD_KEYPTR(hh, places, place->key, FETCHERS_KEY_BYTES, place);
	}
	return places;
}

/* No callback of a partition's takes an item away: roles change by images alone. */
static void
take_answers(struct fetcher *fetcher)
{
	struct place *places = index_items(fetcher);
	for (int32_t i = 0; i < fetcher->response.responses_count; i++) {
		const struct ot_fetch_response_topic *topic = &fetcher->response.responses[i];
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			struct item *item = find_asked(places, &topic->topic_id,
			    topic->partitions[j].partition_index);
			if (item != NULL && item->is_asked)
				take_answer(item, &topic->partitions[j]);
		}
	}
	HASH_CLEAR(hh, places);
}

static void
pause_whole(struct fetcher *fetcher)
{
	int64_t pause = OT_MIN(fetcher->fetchers->conf.backoff_ms, FETCHERS_RECONNECT_MS_MAX);
	fetcher->is_paused = true;
	ot_timer_arm_in_ms(io_of(fetcher), &fetcher->timer, OT_MAX(pause / 10, 1));
}

static void
note_session(struct fetcher *fetcher)
{
	fetcher->session_id = fetcher->response.session_id;
	if (fetcher->session_id == 0)
		forget_session(fetcher);
	else
		fetcher->session_epoch =
		    fetcher->session_epoch == INT32_MAX ? 1 : fetcher->session_epoch + 1;
}

static void
is_answered(struct ot_link_call *call, ot_err err)
{
	struct fetcher *fetcher = OT_CONTAINER_OF(call, struct fetcher, call);
	hold(fetcher);
	fetcher->is_asking = false;
	ot_timer_cancel(io_of(fetcher), &fetcher->restart);
	if (err == OT_OK)
		err = ot_err_from_wire(fetcher->response.error_code);
	if (err == OT_OK) {
		note_session(fetcher);
		take_answers(fetcher);
	} else {
		forget_session(fetcher);
		/* A session that the leader has dropped is no fault. */
		if (err != OT_ERR_FETCH_SESSION_ID_NOT_FOUND &&
		    err != OT_ERR_INVALID_FETCH_SESSION_EPOCH)
			pause_whole(fetcher);
	}
	OT_LIST_FOREACH(node, &fetcher->items)
		OT_CONTAINER_OF(node, struct item, link)->is_asked = false;
	ot_arena_reset(&fetcher->answer_arena);
	let_go(fetcher);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static int64_t
throttled_rate(const struct ot_fetchers *fetchers)
{
	return ot_settings_number(ot_image_settings(fetchers->image),
	    OT_BROKER_FOLLOWER_REPLICATION_THROTTLED_RATE);
}

/* Whether follower.replication.throttled.* holds for the partition. */
static bool
is_throttled(const struct item *item)
{
	const struct ot_fetchers *fetchers = item->fetchers;
	if (fetchers->conf.throttle == NULL || fetchers->image == NULL ||
	    throttled_rate(fetchers) == INT64_MAX)
		return false;
	const struct ot_topic_image *topic =
	    ot_image_topic_by_id(fetchers->image, ot_part_topic_id(item->part));
	return topic != NULL &&
	       ot_throttled_replicas_have(
		   &ot_image_topic_settings(fetchers->image, topic)->follower_throttled,
		   ot_part_index(item->part), fetchers->conf.node_id);
}

/* Leaves it out for a moment if too much has come of throttled replicas. */
static bool
is_held_back(struct item *item, const struct ot_part_follow *state, ot_mono_ns now)
{
	const struct ot_fetchers *fetchers = item->fetchers;
	bool has_all = item->high_watermark >= 0 && state->fetch_offset >= item->high_watermark;
	item->is_throttled = is_throttled(item);
	if (!item->is_throttled || has_all ||
	    ot_throttle_rate(fetchers->conf.throttle) <= throttled_rate(fetchers))
		return false;
	item->resume = now + (ot_mono_ns)FETCHERS_HOLD_MS * OT_NS_PER_MS;
	return true;
}

static bool
may_ask(struct item *item, ot_mono_ns now, struct ot_part_follow *state)
{
	if (item->is_cutting || item->is_writing || item->is_asking_offsets ||
	    (item->resume != 0 && item->resume > now))
		return false;
	item->resume = 0;
	return ot_part_follow_state(item->part, state) && state->leader_id == item->leader_id &&
	       !is_held_back(item, state, now);
}

static bool
is_told(const struct item *item)
{
	const struct ot_part_follow *told = &item->told, *asked = &item->asked;
	return item->is_in_session && told->leader_epoch == asked->leader_epoch &&
	       told->fetch_offset == asked->fetch_offset &&
	       told->log_start_offset == asked->log_start_offset &&
	       told->last_fetched_epoch == asked->last_fetched_epoch;
}

static void
add_partition(struct fetcher *fetcher, struct item *item, size_t capacity)
{
	struct ot_fetch_request *request = &fetcher->request;
	const struct ot_uuid *id = ot_part_topic_id(item->part);
	struct ot_fetch_request_topic *topic =
	    request->topics_count > 0 ? &request->topics[request->topics_count - 1] : NULL;
	if (topic == NULL || !ot_uuid_equal(&topic->topic_id, id)) {
		topic = &request->topics[request->topics_count++];
		topic->topic_id = *id;
		/* The partitions of all topics lie in one array, one behind the other. */
		topic->partitions =
		    request->topics_count == 1
			? ot_fetch_request_partition_array(&fetcher->arena, (int32_t)capacity)
			: topic[-1].partitions + topic[-1].partitions_count;
		OT_ASSERT(topic->partitions != NULL);
	}
	struct ot_fetch_request_partition *partition =
	    &topic->partitions[topic->partitions_count++];
	partition->partition = ot_part_index(item->part);
	partition->current_leader_epoch = item->asked.leader_epoch;
	partition->fetch_offset = item->asked.fetch_offset;
	partition->last_fetched_epoch = item->asked.last_fetched_epoch;
	partition->log_start_offset = item->asked.log_start_offset;
	partition->partition_max_bytes = fetcher->fetchers->conf.bytes_max;
	remember_again(fetcher, item);
	item->told = item->asked;
	item->is_in_session = true;
}

/* Which partitions are asked for; how many. Those that the session has and that are left out now
 * are taken out of it. */
static size_t
choose(struct fetcher *fetcher)
{
	ot_mono_ns now = ot_io_now(io_of(fetcher));
	size_t count = 0;
	OT_LIST_FOREACH(node, &fetcher->items) {
		struct item *item = OT_CONTAINER_OF(node, struct item, link);
		item->is_asked = may_ask(item, now, &item->asked);
		count += item->is_asked;
		if (!item->is_asked)
			remember_to_forget(fetcher, item);
	}
	return count;
}

static size_t
item_count(const struct fetcher *fetcher)
{
	size_t count = 0;
	OT_LIST_FOREACH(node, &fetcher->items)
		count++;
	return count;
}

static void
fill_forgotten(struct fetcher *fetcher)
{
	struct ot_fetch_request *request = &fetcher->request;
	int32_t count = (int32_t)HASH_COUNT(fetcher->forgotten);
	if (count == 0 || fetcher->session_epoch == 0) {
		drop_forgotten(fetcher);
		return;
	}
	request->forgotten_topics_data =
	    ot_fetch_request_forgotten_topic_array(&fetcher->arena, count);
	int32_t *indexes = ot_arena_array(&fetcher->arena, (size_t)count, sizeof(*indexes));
	OT_ASSERT(request->forgotten_topics_data != NULL && indexes != NULL);
	const struct forgotten *forgotten, *next;
	HASH_ITER(hh, fetcher->forgotten, forgotten, next) {
		int32_t place = request->forgotten_topics_data_count++;
		struct ot_fetch_request_forgotten_topic *topic =
		    &request->forgotten_topics_data[place];
		memcpy(topic->topic_id.bytes, forgotten->key, sizeof(topic->topic_id.bytes));
		indexes[place] =
		    (int32_t)ot_get_u32(forgotten->key + sizeof(topic->topic_id.bytes));
		topic->partitions = &indexes[place];
		topic->partitions_count = 1;
	}
	drop_forgotten(fetcher);
}

static void
fill_request(struct fetcher *fetcher)
{
	const struct ot_fetchers *fetchers = fetcher->fetchers;
	struct ot_fetch_request *request = &fetcher->request;
	size_t capacity = item_count(fetcher);
	ot_arena_reset(&fetcher->arena);
	ot_fetch_request_init(request);
	request->replica_state.replica_id = fetchers->conf.node_id;
	request->replica_state.replica_epoch = fetchers->broker_epoch;
	request->max_wait_ms = (int32_t)fetchers->conf.wait_ms_max;
	request->min_bytes = fetchers->conf.bytes_min;
	request->max_bytes = fetchers->conf.response_bytes_max;
	request->session_id = fetcher->session_id;
	request->session_epoch = fetcher->session_epoch;
	request->topics = ot_fetch_request_topic_array(&fetcher->arena, (int32_t)capacity);
	OT_ASSERT(request->topics != NULL);
	OT_LIST_FOREACH(node, &fetcher->items) {
		struct item *item = OT_CONTAINER_OF(node, struct item, link);
		if (item->is_asked && !is_told(item))
			add_partition(fetcher, item, capacity);
	}
	fill_forgotten(fetcher);
}

static void
ask(struct fetcher *fetcher)
{
	fill_request(fetcher);
	fetcher->is_asking = true;
	fetcher->call = (struct ot_link_call){
		.api = ot_api_find(OT_API_FETCH),
		.version = FETCHERS_FETCH_VERSION,
		.request = &fetcher->request,
		.arena = &fetcher->answer_arena,
		.response = &fetcher->response,
		.timeout_ms = fetcher->fetchers->conf.timeout_ms,
		.done = is_answered,
	};
	ot_link_call(fetcher->link, &fetcher->call);
}

/* Comes again when the first pause of a partition is over. */
static void
await_resume(struct fetcher *fetcher)
{
	ot_mono_ns first = UINT64_MAX;
	OT_LIST_FOREACH(node, &fetcher->items) {
		const struct item *item = OT_CONTAINER_OF(node, struct item, link);
		if (item->resume != 0)
			first = OT_MIN(first, item->resume);
	}
	if (first != UINT64_MAX)
		ot_timer_arm(io_of(fetcher), &fetcher->timer, first);
}

static void
advance(struct fetcher *fetcher)
{
	if (fetcher->is_dead || fetcher->depth > 0 || fetcher->is_asking || fetcher->is_paused ||
	    fetcher->writing_count > 0 || ot_list_is_empty(&fetcher->items))
		return;
	if (!fetcher->has_address)
		return; /* an image will bring it */
	if (choose(fetcher) > 0)
		ask(fetcher);
	else
		await_resume(fetcher);
}

static void
on_timer(struct ot_timer *timer)
{
	struct fetcher *fetcher = OT_CONTAINER_OF(timer, struct fetcher, timer);
	fetcher->is_paused = false;
	advance(fetcher);
}

/* Answers of one connection keep their order, so a request that waits holds up the next: what came
 * since is asked for over a new one. */
static void
on_restart(struct ot_timer *timer)
{
	struct fetcher *fetcher = OT_CONTAINER_OF(timer, struct fetcher, restart);
	if (!fetcher->is_asking)
		return;
	hold(fetcher);
	OT_LIST_FOREACH(node, &fetcher->items) {
		struct item *item = OT_CONTAINER_OF(node, struct item, link);
		if (item->is_asking_offsets) {
			stop_asking_offsets(item);
			pause_item(item);
		}
		item->is_asked = false;
	}
	ot_link_cancel(&fetcher->call);
	ot_link_destroy(fetcher->link);
	fetcher->is_asking = false;
	ot_arena_reset(&fetcher->answer_arena);
	forget_session(fetcher);
	make_link(fetcher);
	let_go(fetcher);
}

/* ---- life -------------------------------------------------------------------------------------
 */

void
ot_fetchers_adopt(struct ot_fetchers *fetchers, const struct ot_image *image)
{
	OT_ON_SHARD(fetchers->conf.shard);
	struct ot_image *before = fetchers->image;
	const struct ot_broker_image *self = ot_image_broker(image, fetchers->conf.node_id);
	struct fetcher *fetcher, *next;
	fetchers->image = ot_image_ref((struct ot_image *)(uintptr_t)image);
	ot_image_unref(before);
	fetchers->broker_epoch = self != NULL ? self->epoch : -1;
	HASH_ITER(hh, fetchers->by_leader, fetcher, next) {
		hold(fetcher);
		find_address(fetcher);
		let_go(fetcher);
	}
}

struct ot_fetchers *
ot_fetchers_create(const struct ot_fetchers_conf *conf)
{
	struct ot_fetchers *fetchers = OT_NEW(struct ot_fetchers);
	fetchers->conf = *conf;
	fetchers->broker_epoch = -1;
	return fetchers;
}

void
ot_fetchers_destroy(struct ot_fetchers *fetchers)
{
	if (fetchers == NULL)
		return;
	OT_ASSERT(fetchers->by_part == NULL && fetchers->by_leader == NULL);
	ot_image_unref(fetchers->image);
	ot_free(fetchers);
}

void
ot_fetchers_get_stats(const struct ot_fetchers *fetchers, struct ot_fetchers_stats *ret_stats)
{
	*ret_stats = (struct ot_fetchers_stats){ .bytes = fetchers->bytes };
	struct item *item, *next;
	HASH_ITER(hh_part, fetchers->by_part, item, next) {
		ret_stats->partition_count++;
		ret_stats->paused_count += item->resume != 0;
	}
}
