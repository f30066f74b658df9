/* A model producer of one partition. Batches have numbers in a row and are sent until they are
 * acknowledged, up to a window of them at once. When one fails, nothing more is sent until all that
 * are under way have ended; then those that are left go again, oldest first: so an idempotent
 * producer's order is the broker's to keep, and never the client's to break. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "record/build.h"
#include "user.h"
#include "wire/msg_init_producer_id.h"
#include "wire/msg_produce.h"

enum {
	PRODUCE_API = 0,
	INIT_API = 22,
	INIT_VERSION = 4,
	BATCH_RECORDS_MAX = 5,
	WINDOW_MAX = 5,
	RETRY_MS = 60,
	REQUEST_MS = 5000,
};

static const int16_t versions[] = { 3, 7, 8, 9, 10, 11, 12, 13 };

struct batch {
	int32_t first; /* number of its first record */
	int32_t count;
	int32_t sequence;
	uint32_t starts; /* of brokers, before it was sent the first time */
	bool is_sent;    /* under way */
};

struct producer {
	struct client client;
	struct producer_conf conf;
	int16_t version;
	int64_t id; /* -1: none yet */
	int16_t epoch;
	int32_t next_number;
	int32_t next_sequence;
	struct batch batches[WINDOW_MAX]; /* those in use come first, oldest first */
	int32_t batch_count;
	bool is_recovering; /* something failed: see above */
	bool is_given_up;   /* what is in the window goes once its answers are here */
	bool is_asking;     /* for an id */
	int16_t last_code;
	struct ot_timer timer;
};

static void send_all(struct producer *producer);

static void
wake_in_ms(struct producer *producer, uint64_t ms)
{
	ot_timer_arm_in_ms(producer->client.user->io, &producer->timer, (int64_t)ms);
}

/* ---- ids of producers ------------------------------------------------------------------------ */

static void
on_id(void *arg, void *answer)
{
	struct producer *producer = arg;
	const struct ot_init_producer_id_response *response = answer;

	producer->is_asking = false;
	if (response != NULL && response->error_code == 0) {
		producer->id = response->producer_id;
		producer->epoch = response->producer_epoch;
		producer->next_sequence = 0;
		for (int32_t i = 0; i < producer->batch_count; i++) {
			producer->batches[i].sequence = producer->next_sequence;
			producer->next_sequence += producer->batches[i].count;
		}
	} else if (response != NULL && !user_is_retriable(response->error_code)) {
		history_fail(producer->client.user->sim->history,
		    "InitProducerId was answered with error %d", response->error_code);
	}
	wake_in_ms(producer, response == NULL || response->error_code != 0 ? RETRY_MS : 0);
}

static void
ask_id(struct producer *producer)
{
	struct ot_init_producer_id_request request;

	ot_init_producer_id_request_init(&request);
	request.transactional_id = OT_STR_NULL;
	request.transaction_timeout_ms = 60000;
	producer->is_asking = true;
	client_call(&producer->client, user_any_broker(producer->client.user), INIT_API,
	    INIT_VERSION, &request, on_id, producer);
}

/* ---- answers -------------------------------------------------------------------------------- */

static struct batch *
oldest_sent(struct producer *producer)
{
	for (int32_t i = 0; i < producer->batch_count; i++)
		if (producer->batches[i].is_sent)
			return &producer->batches[i];
	return NULL;
}

static void
remove_batch(struct producer *producer, struct batch *batch)
{
	int32_t place = (int32_t)(batch - producer->batches);

	producer->batch_count--;
	for (int32_t i = place; i < producer->batch_count; i++)
		producer->batches[i] = producer->batches[i + 1];
}

static uint32_t
count_starts(const struct producer *producer)
{
	const struct cluster *cluster = &producer->client.user->sim->cluster;
	uint32_t count = 0;

	for (int32_t i = 0; i < cluster->conf.broker_count; i++)
		count += cluster->brokers[i].starts;
	return count;
}

/* The broker does not know the producer's past any more. Where one has started meanwhile, this can
 * be: the files have the last batch of each producer alone, so a window of them cannot be sent
 * again behind a start. Kafka's brokers and clients do the same: the batches fail, as what may be
 * there or not, and the producer begins anew. */
static void
take_broken_order(struct producer *producer, const struct batch *batch, int16_t code)
{
	struct sim *sim = producer->client.user->sim;
	bool is_forgiven = producer->batch_count > 1 && batch->starts != count_starts(producer);

	if (batch != &producer->batches[0])
		return; /* one before it failed */
	if (!is_forgiven && !history_is_excused(sim->history, producer->conf.place)) {
		history_fail(sim->history,
		    "%s-%d: idempotent producer %d, sequence %d, record %d was refused with error "
		    "%d, and all before it were acknowledged",
		    sim->plan.topics[producer->conf.place.topic].name,
		    producer->conf.place.partition, producer->conf.id, batch->sequence,
		    batch->first, code);
		return;
	}
	producer->id = -1;
	producer->is_given_up = true;
}

static void
take_code(struct producer *producer, struct batch *batch, int16_t code, int64_t base_offset)
{
	struct sim *sim = producer->client.user->sim;
	struct history_record first = { producer->conf.id, batch->first };

	batch->is_sent = false;
	producer->last_code = code;
	if (code == 0 || code == OT_ERR_DUPLICATE_SEQUENCE_NUMBER) {
		if (code == 0 && base_offset >= 0 && producer->conf.acks == -1)
			history_acked(sim->history, producer->conf.place, first, batch->count,
			    base_offset);
		remove_batch(producer, batch);
		return;
	}
	producer->is_recovering = true;
	user_refresh(producer->client.user);
	if (producer->conf.is_idempotent &&
	    (code == OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER || code == OT_ERR_UNKNOWN_PRODUCER_ID))
		take_broken_order(producer, batch, code);
	else if (!user_is_retriable(code))
		history_fail(sim->history, "Produce to %s-%d was answered with error %d",
		    sim->plan.topics[producer->conf.place.topic].name,
		    producer->conf.place.partition, code);
	/* Without a promise to keep, some give up, and the record is there or not. */
	else if (!producer->conf.is_idempotent && user_chance(producer->client.user, 30))
		remove_batch(producer, batch);
}

static void
on_produced(void *arg, void *answer)
{
	struct producer *producer = arg;
	const struct ot_produce_response *response = answer;
	struct batch *batch = oldest_sent(producer);

	/* Connections to several brokers answer in any order, but what this producer has under way
	 * is on one. */
	OT_ASSERT(batch != NULL);
	if (response == NULL)
		take_code(producer, batch, OT_ERR_NETWORK_EXCEPTION, -1);
	else if (response->responses_count != 1 ||
		 response->responses[0].partition_responses_count != 1)
		history_fail(producer->client.user->sim->history,
		    "Produce was answered without its partition");
	else
		take_code(producer, batch, response->responses[0].partition_responses[0].error_code,
		    response->responses[0].partition_responses[0].base_offset);
	if (oldest_sent(producer) == NULL && producer->is_given_up) {
		producer->is_given_up = false;
		producer->batch_count = 0;
	}
	if (oldest_sent(producer) == NULL)
		wake_in_ms(producer,
		    producer->is_recovering
			? RETRY_MS
			: user_between(producer->client.user, 0, producer->conf.pause_ms_most));
}

/* ---- sending -------------------------------------------------------------------------------- */

static void
build(const struct producer *producer, const struct batch *batch, struct ot_writer *out)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_batch_builder builder;
	uint8_t value[HISTORY_VALUE_BYTES_MAX];

	if (producer->conf.is_idempotent) {
		options.producer_id = producer->id;
		options.producer_epoch = producer->epoch;
		options.base_sequence = batch->sequence;
	}
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, out);
	for (int32_t i = 0; i < batch->count; i++) {
		struct history_record record = { producer->conf.id, batch->first + i };
		size_t bytes =
		    8 + (size_t)(record.number * 131 % (record.number % 17 == 0 ? 2900 : 120));
		const struct ot_record_data data = {
			.timestamp = ot_io_wall(producer->client.user->io),
			.value = { value, (int32_t)bytes },
		};

		history_write_value(record, bytes, value);
		ot_batch_builder_append(&builder, &data);
	}
	if (ot_batch_builder_finish(&builder, NULL) != OT_OK)
		OT_PANIC("a producer cannot build a batch");
	ot_batch_builder_fini(&builder);
}

static void
send_batch(struct producer *producer, struct batch *batch, int32_t leader)
{
	struct user *user = producer->client.user;
	struct history_place place = producer->conf.place;
	struct ot_produce_request_partition data;
	struct ot_produce_request_topic topic;
	struct ot_produce_request request;
	struct ot_writer records;

	ot_writer_init(&records);
	build(producer, batch, &records);
	ot_produce_request_init(&request);
	ot_produce_request_topic_init(&topic);
	ot_produce_request_partition_init(&data);
	request.transactional_id = OT_STR_NULL;
	data.index = place.partition;
	data.records = (struct ot_records){ .data = records.data, .len = (int32_t)records.bytes };
	topic.name = ot_str_from(user->sim->plan.topics[place.topic].name);
	topic.topic_id = user->topics[place.topic].id;
	topic.partition_data = &data;
	topic.partition_data_count = 1;
	request.acks = producer->conf.acks;
	request.timeout_ms = REQUEST_MS;
	request.topic_data = &topic;
	request.topic_data_count = 1;
	batch->is_sent = true;
	client_call(&producer->client, leader, PRODUCE_API, producer->version, &request,
	    producer->conf.acks == 0 ? NULL : on_produced, producer);
	ot_writer_fini(&records);
}

static void
add_batch(struct producer *producer)
{
	struct batch *batch = &producer->batches[producer->batch_count++];

	*batch = (struct batch){
		.first = producer->next_number,
		.count = (int32_t)user_between(producer->client.user, 1, BATCH_RECORDS_MAX),
		.sequence = producer->next_sequence,
		.starts = count_starts(producer),
	};
	producer->next_number += batch->count;
	producer->next_sequence += batch->count;
}

/* Sends what waits, in order; a window of batches is always on one connection. */
static void
send_all(struct producer *producer)
{
	int32_t leader = user_leader(producer->client.user, producer->conf.place);

	if (leader < 0) {
		wake_in_ms(producer, RETRY_MS);
		return;
	}
	for (int32_t i = 0; i < producer->batch_count; i++)
		if (!producer->batches[i].is_sent)
			send_batch(producer, &producer->batches[i], leader);
	if (producer->conf.acks == 0)
		producer->batch_count = 0;
}

static void
on_due(struct ot_timer *timer)
{
	struct producer *producer = OT_CONTAINER_OF(timer, struct producer, timer);
	struct user *user = producer->client.user;
	bool may_begin = !user->sim->is_quiet;

	if (producer->is_asking)
		return;
	if (producer->conf.is_idempotent && producer->id < 0) {
		if (oldest_sent(producer) == NULL)
			ask_id(producer);
		return;
	}
	if (oldest_sent(producer) != NULL)
		return; /* on_produced goes on */
	producer->is_recovering = false;
	if (producer->batch_count == 0 && may_begin)
		for (int32_t n = (int32_t)user_between(user, 1, (uint64_t)producer->conf.window);
		     n > 0; n--)
			add_batch(producer);
	if (producer->batch_count > 0)
		send_all(producer);
	if (!ot_timer_is_armed(timer) && oldest_sent(producer) == NULL)
		wake_in_ms(producer, user_between(user, 1, producer->conf.pause_ms_most));
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
stop(struct client *client)
{
	struct producer *producer = OT_CONTAINER_OF(client, struct producer, client);

	ot_timer_cancel(client->user->io, &producer->timer);
	ot_free(producer);
}

static bool
is_idle(const struct client *client, char *why, size_t bytes)
{
	struct producer *producer = OT_CONTAINER_OF((uintptr_t)client, struct producer, client);
	const struct history_place place = producer->conf.place;

	(void)snprintf(why, bytes,
	    "%s-%d, producer %d (acks %d%s): %d batches from record %d on, %s; the last answer was "
	    "%d",
	    client->user->sim->plan.topics[place.topic].name, place.partition, producer->conf.id,
	    producer->conf.acks, producer->conf.is_idempotent ? ", idempotent" : "",
	    producer->batch_count, producer->batches[0].first,
	    producer->is_asking             ? "waits for an id"
	    : oldest_sent(producer) == NULL ? "waits to send"
					    : "waits for an answer",
	    producer->last_code);
	return producer->batch_count == 0;
}

void
producer_start(struct user *user, const struct producer_conf *conf)
{
	struct producer *producer = OT_NEW(struct producer);

	OT_ASSERT(conf->window >= 1 && conf->window <= WINDOW_MAX);
	producer->client = (struct client){ .stop = stop, .is_idle = is_idle, .what = "producer" };
	producer->conf = *conf;
	producer->version = versions[user_between(user, 0, OT_ARRAY_COUNT(versions) - 1)];
	producer->id = -1;
	ot_timer_init(&producer->timer, on_due);
	history_add_producer(user->sim->history, conf->id, conf->is_idempotent);
	user_add(user, &producer->client);
	wake_in_ms(producer, 0);
}
