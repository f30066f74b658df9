/* A whole broker on a simulated machine, and clients on another one: connections that send requests
 * of any API and wait for the answers, all in virtual time.
 *
 * The test's code runs outside of any thread; what it calls lets the world run until it is done. */
#ifndef OT_TEST_UNIT_BROKER_RIG_H
#define OT_TEST_UNIT_BROKER_RIG_H

#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "broker/life_int.h"
#include "record/build.h"
#include "record/iterate.h"
#include "sim/sim_io.h"
#include "wire/msg_gen.h"

enum { RIG_SHARDS = 3, RIG_PATIENCE_MS = 120 * 1000, RIG_PORT = 9092 };

struct rig {
	struct ot_sim_world *world;
	struct ot_sim_host *host; /* the broker's */
	struct ot_sim_host *user;
	struct ot_io *ios[RIG_SHARDS + 1];
	struct ot_io *user_io;
	struct ot_shard_set *set;
	struct ot_settings *settings;
	struct broker *broker; /* NULL: it does not run */
	bool is_ready;
	bool is_stopped;
	ot_err err;
	unsigned crashes;
};

/* ---- the broker -------------------------------------------------------------------------------
 */

static inline void
rig_enter(struct rig *rig, struct ot_io *io)
{
	struct ot_shard *shard = NULL;
	for (uint32_t i = 0; i <= RIG_SHARDS; i++) {
		if (rig->set != NULL && io != NULL && rig->ios[i] == io)
			shard = rig->set->shards[i];
	}
	ot_shard_enter(shard);
}

static inline void
rig_on_switch(void *arg, struct ot_io *io)
{
	rig_enter(arg, io);
}

static inline void
rig_on_ready(void *arg)
{
	((struct rig *)arg)->is_ready = true;
}

static inline void
rig_on_stopping(void *arg)
{
	(void)arg;
}

static inline void
rig_on_stopped(void *arg, ot_err err, const char *why)
{
	struct rig *rig = arg;
	(void)why;
	rig->is_stopped = true;
	rig->err = err;
}

static inline void
rig_on_shard_stopped(void *arg, struct ot_shard *shard)
{
	(void)arg;
	assert_ptr_equal(shard, ot_shard_self);
}

static inline struct ot_settings *
rig_settings(const char *text)
{
	struct ot_properties file;
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	struct ot_why why = { { 0 } };
	ot_properties_init(&file, "server.properties");
	ot_config_notes_init(&notes);
	assert_ok(ot_properties_parse(&file, text, strlen(text), &why));
	ot_err err =
	    ot_settings_create(&(struct ot_settings_input){ .file = &file }, &notes, &settings);
	if (err != OT_OK)
		fail_msg("%s", notes.first != NULL ? notes.first->text : ot_err_name(err));
	ot_config_notes_fini(&notes);
	ot_properties_fini(&file);
	return settings;
}

/* Everything of a broker that has stopped or crashed goes. */
static inline void
rig_free_broker(struct rig *rig)
{
	ot_shard_enter(NULL);
	broker_destroy(rig->broker);
	rig->broker = NULL;
	ot_shard_set_destroy(rig->set);
	rig->set = NULL;
	for (uint32_t i = 0; i <= RIG_SHARDS; i++) {
		ot_sim_io_destroy(rig->ios[i]);
		rig->ios[i] = NULL;
	}
	assert_int_equal(ot_sim_disk_open_count(ot_sim_host_disk(rig->host)), 0);
}

static inline void
rig_on_crash(void *arg)
{
	struct rig *rig = arg;
	rig->crashes++;
	if (rig->broker == NULL)
		return;
	rig_enter(rig, rig->ios[RIG_SHARDS]);
	/* Nobody is asked for anything any more. */
	broker_stop(rig->broker, OT_ERR_CLOSED, "the machine has stopped");
	ot_shard_enter(NULL);
	ot_sim_host_drain(rig->host);
	assert_true(rig->is_stopped);
	rig_free_broker(rig);
}

static inline void
rig_init(struct rig *rig, uint64_t seed, const char *settings)
{
	char text[2000];
	*rig = (struct rig){ .world = ot_sim_world_create(seed) };
	rig->host = ot_sim_host_create(rig->world, "10.0.0.1");
	rig->user = ot_sim_host_create(rig->world, "10.0.0.2");
	rig->user_io = ot_sim_io_create(rig->user);
	ot_sim_world_on_switch(rig->world, rig_on_switch, rig);
	ot_sim_host_on_crash(rig->host, rig_on_crash, rig);
	snprintf(text, sizeof(text),
	    "node.id=1\nlisteners=PLAINTEXT://10.0.0.1:%d\n"
	    "advertised.listeners=PLAINTEXT://10.0.0.1:%d\n"
	    "log.dirs=/data\noffsets.topic.num.partitions=4\n%s",
	    RIG_PORT, RIG_PORT, settings);
	rig->settings = rig_settings(text);
}

/* Makes a broker on the machine's disk and begins to start it. */
static inline void
rig_begin_start(struct rig *rig)
{
	struct ot_why why = { "" };
	ot_shard_enter(NULL);
	for (uint32_t i = 0; i <= RIG_SHARDS; i++)
		rig->ios[i] = ot_sim_io_create(rig->host);
	rig->set = ot_shard_set_create(RIG_SHARDS, rig->ios, RIG_SHARDS * 128 * OT_MIB);
	rig->is_ready = rig->is_stopped = false;
	const struct broker_args args = {
		.settings = rig->settings,
		.set = rig->set,
		.on_ready = rig_on_ready,
		.on_stopping = rig_on_stopping,
		.on_stopped = rig_on_stopped,
		.on_shard_stopped = rig_on_shard_stopped,
		.arg = rig,
	};
	if (broker_create(&args, &rig->broker, &why) != OT_OK)
		fail_msg("%s", why.text);
	rig_enter(rig, rig->ios[RIG_SHARDS]);
	broker_start(rig->broker);
	ot_shard_enter(NULL);
	ot_io_ring(rig->ios[RIG_SHARDS]);
}

static inline bool
rig_is_ready(void *arg)
{
	return ((struct rig *)arg)->is_ready;
}

static inline bool
rig_is_stopped(void *arg)
{
	return ((struct rig *)arg)->is_stopped;
}

static inline void
rig_until(struct rig *rig, bool (*holds)(void *arg), void *arg)
{
	assert_true(ot_sim_world_run_until(rig->world, holds, arg, RIG_PATIENCE_MS));
}

static inline void
rig_start(struct rig *rig)
{
	rig_begin_start(rig);
	rig_until(rig, rig_is_ready, rig);
}

static inline void
rig_begin_stop(struct rig *rig)
{
	rig_enter(rig, rig->ios[RIG_SHARDS]);
	broker_stop(rig->broker, OT_OK, "");
	ot_shard_enter(NULL);
	ot_io_ring(rig->ios[RIG_SHARDS]);
}

static inline void
rig_stop(struct rig *rig)
{
	rig_begin_stop(rig);
	rig_until(rig, rig_is_stopped, rig);
	assert_ok(rig->err);
	rig_free_broker(rig);
}

static inline void
rig_fini(struct rig *rig)
{
	if (rig->broker != NULL)
		rig_stop(rig);
	assert_int_equal(ot_sim_disk_violation_count(ot_sim_host_disk(rig->host)), 0);
	ot_sim_io_destroy(rig->user_io);
	ot_settings_unref(rig->settings);
	ot_sim_world_destroy(rig->world);
}

/* ---- clients ----------------------------------------------------------------------------------
 */

struct link {
	struct rig *rig;
	struct ot_stream *stream;
	struct ot_writer out;
	size_t sent;
	uint8_t *got;
	size_t got_bytes;
	size_t got_capacity;
	size_t got_next; /* where the next answer begins */
	int32_t correlation_id;
	bool has_ended;
};

static inline void
link_on_readable(void *arg)
{
	struct link *link = arg;
	for (;;) {
		if (link->got_bytes == link->got_capacity) {
			link->got_capacity = OT_MAX(link->got_capacity * 2, 65536u);
			link->got = ot_realloc(link->got, link->got_capacity);
			assert_non_null(link->got);
		}
		struct iovec piece = { link->got + link->got_bytes,
			link->got_capacity - link->got_bytes };
		size_t bytes = 0;
		ot_err err = ot_stream_read(link->stream, &piece, 1, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			link->has_ended = true;
			ot_stream_want(link->stream, false, false);
			return;
		}
		link->got_bytes += bytes;
	}
}

static inline void
link_on_writable(void *arg)
{
	struct link *link = arg;
	while (link->sent < link->out.bytes && !link->has_ended) {
		struct iovec piece = { link->out.data + link->sent, link->out.bytes - link->sent };
		size_t bytes = 0;
		ot_err err = ot_stream_write(link->stream, &piece, 1, false, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		link->has_ended = err != OT_OK;
		link->sent += bytes;
	}
	ot_stream_want(link->stream, !link->has_ended, false);
}

static const struct ot_stream_events link_events = { link_on_readable, link_on_writable };

static inline void
link_open(struct rig *rig, struct link *link)
{
	*link = (struct link){ .rig = rig };
	ot_writer_init(&link->out);
	struct ot_address address = { .port = RIG_PORT };
	snprintf(address.host, sizeof(address.host), "10.0.0.1");
	assert_ok(ot_io_connect(rig->user_io, &address, &link_events, link, &link->stream));
}

static inline void
link_close(struct link *link)
{
	ot_stream_close(link->stream);
	ot_writer_fini(&link->out);
	ot_free(link->got);
	*link = (struct link){ 0 };
}

/* Sends one request; its correlation id counts up from 1. */
static inline void
link_send(struct link *link, const struct ot_api *api, int16_t version, const void *request)
{
	struct ot_writer *out = &link->out;
	size_t place = out->bytes;
	ot_write_i32(out, 0);
	assert_ok(
	    ot_request_header_write(api, version, ++link->correlation_id, OT_STR_LIT("rig"), out));
	assert_ok(ot_msg_encode(api->request, version, request, out, NULL));
	ot_write_i32_at(out, place, (int32_t)(out->bytes - place - 4));
	ot_stream_want(link->stream, true, true);
}

/* Whether an answer is here, or none will come. */
static inline bool
link_has_answer(void *arg)
{
	const struct link *link = arg;
	size_t left = link->got_bytes - link->got_next;
	bool is_here = left >= 4 && left - 4 >= ot_get_u32(link->got + link->got_next);
	return is_here || link->has_ended;
}

/* Decodes the next answer, whose views live in the arena; false when the connection ended. */
static inline bool
link_take(struct link *link, const struct ot_api *api, int16_t version, struct ot_arena *arena,
    void *ret_response)
{
	size_t left = link->got_bytes - link->got_next;
	if (left < 4 || left - 4 < ot_get_u32(link->got + link->got_next))
		return false;
	size_t bytes = ot_get_u32(link->got + link->got_next);
	char *copy = ot_arena_strndup(arena, (const char *)link->got + link->got_next + 4, bytes);
	assert_non_null(copy);
	link->got_next += 4 + bytes;
	struct ot_reader in = ot_reader_of(copy, bytes);
	struct ot_response_header header;
	assert_ok(ot_response_header_read(api, version, &in, arena, &header));
	assert_ok(ot_msg_decode(api->response, version, &in, arena, ret_response));
	assert_int_equal(ot_reader_left(&in), 0);
	return true;
}

/* Sends and waits; false when the connection ended instead. */
static inline bool
link_call(struct link *link, const struct ot_api *api, int16_t version, const void *request,
    struct ot_arena *arena, void *ret_response)
{
	link_send(link, api, version, request);
	rig_until(link->rig, link_has_answer, link);
	return link_take(link, api, version, arena, ret_response);
}

/* ---- usual requests -----------------------------------------------------------------------------
 */

/* Creates a topic; gives the error that was answered. */
static inline int16_t
link_create_topic(struct link *link, const char *name, int32_t partitions, const char *key,
    const char *value)
{
	struct ot_arena arena;
	struct ot_create_topics_request request;
	struct ot_create_topics_response response;
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request_config config;
	ot_arena_init(&arena, 0);
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	ot_create_topics_request_config_init(&config);
	topic.name = ot_str_from(name);
	topic.num_partitions = partitions;
	topic.replication_factor = 1;
	if (key != NULL) {
		config.name = ot_str_from(key);
		config.value = ot_str_from(value);
		topic.configs = &config;
		topic.configs_count = 1;
	}
	request.topics = &topic;
	request.topics_count = 1;
	request.timeout_ms = 10000;
	assert_true(link_call(link, ot_api_find(19), 5, &request, &arena, &response));
	int16_t code = response.topics[0].error_code;
	ot_arena_fini(&arena);
	return code;
}

static inline int16_t
link_delete_topic(struct link *link, const char *name)
{
	struct ot_arena arena;
	struct ot_delete_topics_request request;
	struct ot_delete_topics_response response;
	struct ot_str names[1] = { ot_str_from(name) };
	ot_arena_init(&arena, 0);
	ot_delete_topics_request_init(&request);
	request.topic_names = names;
	request.topic_names_count = 1;
	request.timeout_ms = 10000;
	assert_true(link_call(link, ot_api_find(20), 3, &request, &arena, &response));
	int16_t code = response.responses[0].error_code;
	ot_arena_fini(&arena);
	return code;
}

enum { RIG_PRODUCE_VERSION = 9, RIG_FETCH_VERSION = 12 };

/* A batch of one record with the text as its value. */
static inline void
rig_build(struct ot_writer *out, const char *text)
{
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, out);
	const struct ot_record_data record = {
		.timestamp = 1700000000000,
		.key = { (const uint8_t *)"k", 1 },
		.value = { (const uint8_t *)text, (int32_t)strlen(text) },
	};
	ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_batch_builder_fini(&builder);
}

static inline void
link_send_produce(struct link *link, const char *topic, int32_t partition, int16_t acks,
    const char *text)
{
	struct ot_produce_request request;
	struct ot_produce_request_topic one;
	struct ot_produce_request_partition data;
	struct ot_writer batch;
	ot_writer_init(&batch);
	rig_build(&batch, text);
	ot_produce_request_init(&request);
	ot_produce_request_topic_init(&one);
	ot_produce_request_partition_init(&data);
	data.index = partition;
	data.records = (struct ot_records){ .data = batch.data, .len = (int32_t)batch.bytes };
	one.name = ot_str_from(topic);
	one.partition_data = &data;
	one.partition_data_count = 1;
	request.acks = acks;
	request.timeout_ms = 10000;
	request.topic_data = &one;
	request.topic_data_count = 1;
	link_send(link, ot_api_find(0), RIG_PRODUCE_VERSION, &request);
	ot_writer_fini(&batch);
}

/* The next answer, to a Produce request of one partition: its error, or -1 when the connection has
 * ended. */
static inline int16_t
link_take_produce(struct link *link, int64_t *ret_offset)
{
	struct ot_arena arena;
	struct ot_produce_response response;
	ot_arena_init(&arena, 0);
	int16_t code = -1;
	if (link_take(link, ot_api_find(0), RIG_PRODUCE_VERSION, &arena, &response)) {
		code = response.responses[0].partition_responses[0].error_code;
		if (ret_offset != NULL)
			*ret_offset = response.responses[0].partition_responses[0].base_offset;
	}
	ot_arena_fini(&arena);
	return code;
}

static inline int16_t
link_produce(struct link *link, const char *topic, int32_t partition, int16_t acks,
    const char *text, int64_t *ret_offset)
{
	link_send_produce(link, topic, partition, acks, text);
	rig_until(link->rig, link_has_answer, link);
	return link_take_produce(link, ret_offset);
}

static inline void
link_send_fetch(struct link *link, const char *topic, int32_t partition, int64_t offset,
    int32_t wait_ms)
{
	struct ot_fetch_request request;
	struct ot_fetch_request_topic one;
	struct ot_fetch_request_partition wanted;
	ot_fetch_request_init(&request);
	ot_fetch_request_topic_init(&one);
	ot_fetch_request_partition_init(&wanted);
	wanted.partition = partition;
	wanted.fetch_offset = offset;
	wanted.partition_max_bytes = 1024 * 1024;
	one.topic = ot_str_from(topic);
	one.partitions = &wanted;
	one.partitions_count = 1;
	request.max_wait_ms = wait_ms;
	request.min_bytes = 1;
	request.max_bytes = 10 * 1024 * 1024;
	request.topics = &one;
	request.topics_count = 1;
	link_send(link, ot_api_find(1), RIG_FETCH_VERSION, &request);
}

/* What a fetch of one partition gave: its records' values, one after the other, with ';' behind
 * each. */
struct fetched {
	int16_t code; /* -1: the connection has ended */
	int64_t high_watermark;
	int64_t next_offset; /* behind the last record; -1: none came */
	struct ot_writer values;
};

static inline void
fetched_fini(struct fetched *fetched)
{
	ot_writer_fini(&fetched->values);
}

static inline void
take_values(struct fetched *fetched, const struct ot_records *records)
{
	struct ot_codec_ctx *codecs = ot_codec_ctx_create();
	const uint8_t *next = records->data;
	size_t left = records->len > 0 ? (size_t)records->len : 0;
	const struct ot_record_iter_options options = { .ctx = codecs };
	while (left > 0) {
		struct ot_batch_info info;
		struct ot_record_iter iter;
		struct ot_record record;
		if (ot_batch_parse(next, left, &info, NULL) != OT_OK)
			break;
		assert_true(ot_batch_crc_is_valid(next, &info));
		assert_ok(ot_record_iter_open(&iter, next, &info, &options, NULL));
		while (ot_record_iter_next(&iter, &record)) {
			ot_write_raw(&fetched->values, record.value.data, (size_t)record.value.len);
			ot_write_raw(&fetched->values, ";", 1);
			fetched->next_offset = record.offset + 1;
		}
		assert_ok(ot_record_iter_close(&iter));
		next += info.bytes;
		left -= info.bytes;
	}
	ot_codec_ctx_destroy(codecs);
}

static inline void
link_take_fetch(struct link *link, struct fetched *ret)
{
	struct ot_arena arena;
	struct ot_fetch_response response;
	ot_arena_init(&arena, 0);
	*ret = (struct fetched){ .code = -1, .next_offset = -1, .high_watermark = -1 };
	ot_writer_init(&ret->values);
	if (link_take(link, ot_api_find(1), RIG_FETCH_VERSION, &arena, &response)) {
		ret->code = response.error_code;
		if (response.responses_count > 0) {
			const struct ot_fetch_response_partition *partition =
			    &response.responses[0].partitions[0];
			ret->code = partition->error_code;
			ret->high_watermark = partition->high_watermark;
			take_values(ret, &partition->records);
		}
	}
	ot_write_raw(&ret->values, "", 1);
	ot_arena_fini(&arena);
}

static inline void
link_fetch(struct link *link, const char *topic, int32_t partition, int64_t offset, int32_t wait_ms,
    struct fetched *ret)
{
	link_send_fetch(link, topic, partition, offset, wait_ms);
	rig_until(link->rig, link_has_answer, link);
	link_take_fetch(link, ret);
}

#endif
