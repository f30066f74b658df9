/* A model consumer of one partition: it fetches from the leader, checks that offsets have no gaps
 * and values are whole, and tells the history what it sees. A verifier is one that reads to the end
 * once. */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "record/iterate.h"
#include "user.h"
#include "wire/msg_fetch.h"
#include "wire/msg_list_offsets.h"

enum {
	FETCH_API = 1,
	LIST_OFFSETS_API = 2,
	LIST_OFFSETS_VERSION = 6,
	RETRY_MS = 60,
	FETCH_BYTES = 40000,
	IDLE_COUNT_MAX = 50,
};

static const int16_t versions[] = { 4, 7, 11, 12, 13, 15, 16, 17 };

struct consumer {
	struct client client;
	struct history_place place;
	int16_t version;
	int64_t position; /* -1: to be asked for */
	int64_t start;
	int64_t end;        /* of a verifier: the high watermark; -1: not known yet */
	int32_t idle_count; /* of its fetches that brought nothing */
	bool is_verifier;
	bool is_done;
	struct ot_timer timer;
};

static void
wake_in_ms(struct consumer *consumer, uint64_t ms)
{
	ot_timer_arm_in_ms(consumer->client.user->io, &consumer->timer, (int64_t)ms);
}

static struct history *
history_of(const struct consumer *consumer)
{
	return consumer->client.user->sim->history;
}

static const char *
topic_name(const struct consumer *consumer)
{
	return consumer->client.user->sim->plan.topics[consumer->place.topic].name;
}

/* ---- where to begin -------------------------------------------------------------------------- */

static void
on_offset(void *arg, void *answer)
{
	struct consumer *consumer = arg;
	const struct ot_list_offsets_response *response = answer;
	int16_t code = response == NULL ? OT_ERR_NETWORK_EXCEPTION
	                                : response->topics[0].partitions[0].error_code;

	if (code == 0) {
		consumer->start = consumer->position = response->topics[0].partitions[0].offset;
	} else if (user_is_retriable(code)) {
		user_refresh(consumer->client.user);
	} else {
		history_fail(history_of(consumer), "ListOffsets of %s-%d gave error %d",
		    topic_name(consumer), consumer->place.partition, code);
	}
	wake_in_ms(consumer, code == 0 ? 0 : RETRY_MS);
}

static void
ask_offset(struct consumer *consumer, int32_t leader)
{
	struct ot_list_offsets_request_partition partition;
	struct ot_list_offsets_request_topic topic;
	struct ot_list_offsets_request request;

	ot_list_offsets_request_init(&request);
	ot_list_offsets_request_topic_init(&topic);
	ot_list_offsets_request_partition_init(&partition);
	partition.partition_index = consumer->place.partition;
	partition.timestamp = -2; /* the earliest */
	topic.name = ot_str_from(topic_name(consumer));
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_count = 1;
	client_call(&consumer->client, leader, LIST_OFFSETS_API, LIST_OFFSETS_VERSION, &request,
	    on_offset, consumer);
}

/* ---- records -------------------------------------------------------------------------------- */

static void
take_record(struct consumer *consumer, const struct ot_record *record)
{
	struct history *history = history_of(consumer);
	struct history_record id;

	if (record->offset < consumer->position)
		return;
	if (record->offset != consumer->position && !history_is_excused(history, consumer->place))
		history_fail(history,
		    "%s-%d has a gap: offset %" PRId64 " came where %" PRId64 " was expected",
		    topic_name(consumer), consumer->place.partition, record->offset,
		    consumer->position);
	consumer->position = record->offset + 1;
	if (!history_read_value(record->value, &id)) {
		history_fail(history, "%s-%d has a damaged value at offset %" PRId64,
		    topic_name(consumer), consumer->place.partition, record->offset);
		return;
	}
	if (consumer->is_verifier)
		history_verify(history, consumer->place, id, record->offset);
	else
		history_seen(history, consumer->place, id, record->offset);
}

static void
take_batch(struct consumer *consumer, const uint8_t *bytes, const struct ot_batch_info *info)
{
	const struct ot_record_iter_options options = { 0 };
	struct ot_record_iter iter;
	struct ot_record record;
	bool is_whole = ot_batch_crc_is_valid(bytes, info) &&
	                ot_record_iter_open(&iter, bytes, info, &options, NULL) == OT_OK;

	if (is_whole) {
		while (ot_record_iter_next(&iter, &record))
			take_record(consumer, &record);
		is_whole = ot_record_iter_close(&iter) == OT_OK;
	}
	if (!is_whole)
		history_fail(history_of(consumer), "%s-%d has a damaged batch at offset %" PRId64,
		    topic_name(consumer), consumer->place.partition, info->base_offset);
}

static void
take_records(struct consumer *consumer, const struct ot_records *records)
{
	const uint8_t *next = records->data;
	size_t left = records->len > 0 ? (size_t)records->len : 0;
	struct ot_batch_info info;

	/* The last one may be cut. */
	while (left > 0 && ot_batch_parse(next, left, &info, NULL) == OT_OK) {
		take_batch(consumer, next, &info);
		next += info.bytes;
		left -= info.bytes;
	}
}

/* ---- fetching ------------------------------------------------------------------------------- */

/* A verifier stops at the high watermark, but one that is behind what is known of may be on its way
 * there. */
static bool
is_at_end(struct consumer *consumer)
{
	if (consumer->position < consumer->end)
		return false;
	return consumer->position >= history_end(history_of(consumer), consumer->place) ||
	       ++consumer->idle_count == IDLE_COUNT_MAX;
}

static void
end_verifier(struct consumer *consumer)
{
	consumer->is_done = true;
	history_verify_end(history_of(consumer), consumer->place, consumer->start, consumer->end);
}

static void
take_partition(struct consumer *consumer, const struct ot_fetch_response_partition *partition)
{
	struct history *history = history_of(consumer);
	int16_t code = partition->error_code;

	if (code == 0) {
		consumer->end = partition->high_watermark;
		take_records(consumer, &partition->records);
		if (consumer->is_verifier && is_at_end(consumer)) {
			end_verifier(consumer);
			return;
		}
		wake_in_ms(consumer, user_between(consumer->client.user, 0, 10));
		return;
	}
	user_refresh(consumer->client.user);
	if (code == OT_ERR_OFFSET_OUT_OF_RANGE) {
		history_out_of_range(history, consumer->place, consumer->position);
		consumer->position = -1;
	} else if (!user_is_retriable(code)) {
		history_fail(history, "Fetch of %s-%d at offset %" PRId64 " gave error %d",
		    topic_name(consumer), consumer->place.partition, consumer->position, code);
	}
	wake_in_ms(consumer, RETRY_MS);
}

static void
on_fetched(void *arg, void *answer)
{
	struct consumer *consumer = arg;
	const struct ot_fetch_response *response = answer;

	if (response != NULL && response->error_code == 0 && response->responses_count == 1 &&
	    response->responses[0].partitions_count == 1) {
		take_partition(consumer, &response->responses[0].partitions[0]);
		return;
	}
	if (response != NULL && response->error_code != 0 &&
	    !user_is_retriable(response->error_code))
		history_fail(history_of(consumer), "Fetch gave error %d", response->error_code);
	user_refresh(consumer->client.user);
	wake_in_ms(consumer, RETRY_MS);
}

static void
fetch(struct consumer *consumer, int32_t leader)
{
	struct user *user = consumer->client.user;
	struct ot_fetch_request_partition partition;
	struct ot_fetch_request_topic topic;
	struct ot_fetch_request request;

	ot_fetch_request_init(&request);
	ot_fetch_request_topic_init(&topic);
	ot_fetch_request_partition_init(&partition);
	partition.partition = consumer->place.partition;
	partition.fetch_offset = consumer->position;
	partition.partition_max_bytes = (int32_t)user_between(user, 100, FETCH_BYTES);
	if (consumer->version >= 9 && user_chance(user, 50))
		partition.current_leader_epoch =
		    user->topics[consumer->place.topic].partitions[partition.partition].epoch;
	topic.topic = ot_str_from(topic_name(consumer));
	topic.topic_id = user->topics[consumer->place.topic].id;
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.max_wait_ms = (int32_t)user_between(user, 0, 500);
	request.min_bytes = 1;
	request.max_bytes = FETCH_BYTES;
	request.isolation_level = (int8_t)user_between(user, 0, 1);
	request.topics = &topic;
	request.topics_count = 1;
	client_call(&consumer->client, leader, FETCH_API, consumer->version, &request, on_fetched,
	    consumer);
}

static void
on_due(struct ot_timer *timer)
{
	struct consumer *consumer = OT_CONTAINER_OF(timer, struct consumer, timer);
	int32_t leader = user_leader(consumer->client.user, consumer->place);

	if (leader < 0)
		wake_in_ms(consumer, RETRY_MS);
	else if (consumer->position < 0)
		ask_offset(consumer, leader);
	else
		fetch(consumer, leader);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
stop(struct client *client)
{
	struct consumer *consumer = OT_CONTAINER_OF(client, struct consumer, client);

	ot_timer_cancel(client->user->io, &consumer->timer);
	ot_free(consumer);
}

static bool
is_idle(const struct client *client, char *why, size_t bytes)
{
	const struct consumer *consumer =
	    OT_CONTAINER_OF((uintptr_t)client, struct consumer, client);

	(void)snprintf(why, bytes, "%s-%d at offset %" PRId64 " of %" PRId64, topic_name(consumer),
	    consumer->place.partition, consumer->position, consumer->end);
	return consumer->is_done || !consumer->is_verifier;
}

static void
start(struct user *user, struct history_place place, bool is_verifier)
{
	struct consumer *consumer = OT_NEW(struct consumer);

	consumer->client = (struct client){
		.stop = stop,
		.is_idle = is_idle,
		.what = is_verifier ? "verifier" : "consumer",
	};
	consumer->place = place;
	consumer->version = versions[user_between(user, 0, OT_ARRAY_COUNT(versions) - 1)];
	consumer->position = consumer->end = -1;
	consumer->is_verifier = is_verifier;
	ot_timer_init(&consumer->timer, on_due);
	user_add(user, &consumer->client);
	wake_in_ms(consumer, 0);
}

void
consumer_start(struct user *user, struct history_place place)
{
	start(user, place, false);
}

void
verifier_start(struct user *user, struct history_place place)
{
	start(user, place, true);
}
