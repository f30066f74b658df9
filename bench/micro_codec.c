/* What the codec costs per message, in nanoseconds: the best of several runs, one core, hot caches.
 * No network and no log: this is the share of a request that decoding and encoding take. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/panic.h"
#include "wire/header.h"
#include "wire/msg_fetch.h"
#include "wire/msg_metadata.h"
#include "wire/msg_produce.h"

enum {
	ROUNDS = 7,
	ROUND_NS = 40 * 1000 * 1000,
	ARENA_BYTES_MAX = 1024 * 1024,
	RECORD_SET_BYTES = 168, /* a batch with one record of 100 bytes */
	BROKERS = 3,
	TOPICS = 10,
	PARTITIONS = 12,
	VERSION_PRODUCE = 9,
	VERSION_FETCH = 12,
	VERSION_METADATA = 12,
};

struct bench {
	const struct ot_api *api;
	const struct ot_msg *type;
	int16_t version;
	const void *msg;        /* to encode */
	struct ot_writer bytes; /* to decode */
	struct ot_writer out;
	struct ot_arena arena;
	bool with_header;
};

static uint64_t
now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void
decode_once(struct bench *bench)
{
	union {
		struct ot_produce_request produce;
		struct ot_fetch_request fetch_request;
		struct ot_fetch_response fetch_response;
		struct ot_metadata_request metadata_request;
		struct ot_metadata_response metadata;
	} msg;
	struct ot_reader in = ot_reader_of(bench->bytes.data, bench->bytes.bytes);
	ot_arena_reset(&bench->arena);
	if (bench->with_header) {
		struct ot_request_header header;
		const struct ot_api *api;
		ot_err err = ot_request_header_read(&in, &bench->arena, &header, &api);
		OT_ASSERT(err == OT_OK && api == bench->api);
	}
	ot_err err = ot_msg_decode(bench->type, bench->version, &in, &bench->arena, &msg);
	OT_ASSERT(err == OT_OK);
}

static void
encode_once(struct bench *bench)
{
	ot_writer_reset(&bench->out);
	ot_err err = ot_msg_encode(bench->type, bench->version, bench->msg, &bench->out, NULL);
	OT_ASSERT(err == OT_OK);
}

static double
best_ns(struct bench *bench, void (*once)(struct bench *))
{
	double best = 1e12;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now_ns();
		uint64_t end = start;
		uint64_t count = 0;
		for (; end - start < ROUND_NS; end = now_ns())
			for (int i = 0; i < 100; i++, count++)
				once(bench);
		best = OT_MIN(best, (double)(end - start) / (double)count);
	}
	return best;
}

static void
run(const char *name, const struct ot_api *api, const struct ot_msg *type, int16_t version,
    const void *msg, bool with_header)
{
	struct bench bench = { .api = api, .type = type, .version = version, .msg = msg };
	bench.with_header = with_header;
	ot_writer_init(&bench.bytes);
	ot_writer_init(&bench.out);
	ot_arena_init(&bench.arena, ARENA_BYTES_MAX);
	if (with_header) {
		struct ot_str client = OT_STR_LIT("producer-1");
		ot_err err = ot_request_header_write(api, version, 1, client, &bench.bytes);
		OT_ASSERT(err == OT_OK);
	}
	ot_err err = ot_msg_encode(type, version, msg, &bench.bytes, NULL);
	OT_ASSERT(err == OT_OK);
	printf("%-36s %6zu bytes  decode %8.1f ns  encode %8.1f ns\n", name, bench.bytes.bytes,
	    best_ns(&bench, decode_once), best_ns(&bench, encode_once));
	ot_writer_fini(&bench.bytes);
	ot_writer_fini(&bench.out);
	ot_arena_fini(&bench.arena);
}

static void
bench_produce(struct ot_arena *arena)
{
	static const uint8_t batch[RECORD_SET_BYTES];
	struct ot_produce_request request;
	ot_produce_request_init(&request);
	request.acks = -1;
	request.timeout_ms = 30000;
	request.topic_data = ot_produce_request_topic_array(arena, 1);
	request.topic_data_count = 1;
	request.topic_data->name = OT_STR_LIT("events");
	request.topic_data->partition_data = ot_produce_request_partition_array(arena, 1);
	request.topic_data->partition_data_count = 1;
	request.topic_data->partition_data->records =
	    (struct ot_records){ batch, sizeof(batch), NULL };
	const struct ot_api *api = ot_api_find(OT_API_PRODUCE);
	run("Produce request 9, 100 B, with header", api, api->request, VERSION_PRODUCE, &request,
	    true);

	struct ot_produce_response response;
	ot_produce_response_init(&response);
	response.responses = ot_produce_response_topic_array(arena, 1);
	response.responses_count = 1;
	response.responses->name = OT_STR_LIT("events");
	response.responses->partition_responses = ot_produce_response_partition_array(arena, 1);
	response.responses->partition_responses_count = 1;
	run("Produce response 9", api, api->response, VERSION_PRODUCE, &response, false);
}

static void
bench_fetch(struct ot_arena *arena)
{
	struct ot_fetch_request request;
	ot_fetch_request_init(&request);
	request.topics = ot_fetch_request_topic_array(arena, 1);
	request.topics_count = 1;
	request.topics->topic = OT_STR_LIT("events");
	request.topics->partitions = ot_fetch_request_partition_array(arena, PARTITIONS);
	request.topics->partitions_count = PARTITIONS;
	const struct ot_api *api = ot_api_find(OT_API_FETCH);
	run("Fetch request 12, 12 partitions", api, api->request, VERSION_FETCH, &request, true);
}

static void
bench_metadata(struct ot_arena *arena)
{
	struct ot_metadata_response response;
	ot_metadata_response_init(&response);
	response.cluster_id = OT_STR_LIT("5L6g3nShT-eMCtK--X86sw");
	response.brokers = ot_metadata_response_broker_array(arena, BROKERS);
	response.brokers_count = BROKERS;
	for (int32_t i = 0; i < BROKERS; i++)
		response.brokers[i].host = OT_STR_LIT("broker.example.net");
	response.topics = ot_metadata_response_topic_array(arena, TOPICS);
	response.topics_count = TOPICS;
	static int32_t replicas[BROKERS] = { 1, 2, 3 };
	for (int32_t i = 0; i < TOPICS; i++) {
		struct ot_metadata_response_topic *topic = &response.topics[i];
		topic->name = OT_STR_LIT("a-topic-of-some-length");
		topic->partitions = ot_metadata_response_partition_array(arena, PARTITIONS);
		topic->partitions_count = PARTITIONS;
		for (int32_t j = 0; j < PARTITIONS; j++) {
			topic->partitions[j].partition_index = j;
			topic->partitions[j].replica_nodes = replicas;
			topic->partitions[j].replica_nodes_count = BROKERS;
			topic->partitions[j].isr_nodes = replicas;
			topic->partitions[j].isr_nodes_count = BROKERS;
		}
	}
	const struct ot_api *api = ot_api_find(OT_API_METADATA);
	run("Metadata response 12, 120 partitions", api, api->response, VERSION_METADATA, &response,
	    false);
}

int
main(void)
{
	struct ot_arena arena;
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	bench_produce(&arena);
	bench_fetch(&arena);
	bench_metadata(&arena);
	ot_arena_fini(&arena);
	return 0;
}
