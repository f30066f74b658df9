/* kafka-e2e-latency: how long one record takes from the producer through a broker to a consumer.
 *
 * One record at a time: sent, acknowledged, read, compared. Both clients wait for nothing: no
 * lingering, and fetches that answer at once.
 */
#include "cli/tools_int.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/deserializer_int.h"
#include "cli/perf_stats_int.h"
#include "cli/stream_int.h"

enum {
	E2E_TOPIC = CLI_OPTION_CONNECT_COUNT,
	E2E_NUM_RECORDS,
	E2E_ACKS,
	E2E_RECORD_SIZE,
	E2E_KEY_SIZE,
	E2E_HEADER_KEY_SIZE,
	E2E_HEADER_SIZE,
	E2E_NUM_HEADERS,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[E2E_TOPIC] = { .names = "topic",
	    .arg = "topic-name",
	    .kind = CLI_STRING,
	    .text = "The topic to send through; it is made when it is not there." },
	[E2E_NUM_RECORDS] = { .names = "num-records",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .text = "How many records to send." },
	[E2E_ACKS] = { .names = "producer-acks",
	    .arg = "producer-acks",
	    .kind = CLI_STRING,
	    .text = "Who acknowledges a record: 1 or all." },
	[E2E_RECORD_SIZE] = { .names = "record-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .text = "Bytes of a record's value." },
	[E2E_KEY_SIZE] = { .names = "record-key-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .flags = CLI_OPTIONAL,
	    .fallback = "0",
	    .text = "Bytes of its key." },
	[E2E_HEADER_KEY_SIZE] = { .names = "record-header-key-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .flags = CLI_OPTIONAL,
	    .fallback = "0",
	    .text = "Bytes of a header's key." },
	[E2E_HEADER_SIZE] = { .names = "record-header-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .flags = CLI_OPTIONAL,
	    .fallback = "0",
	    .text = "Bytes of a header's value; -1 for null." },
	[E2E_NUM_HEADERS] = { .names = "num-headers",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .flags = CLI_OPTIONAL,
	    .fallback = "0",
	    .text = "How many headers a record has." },
};

enum {
	E2E_TIMEOUT_MS = 60000,
	E2E_POLL_MS = 100,
	E2E_PROGRESS = 1000, /* records between two lines */
	E2E_WORDS_MIN = 5,   /* of a command line in the older form */
	E2E_WORDS_MAX = 6,
};

/* What the command line asks for, in either form. */
struct plan {
	const char *servers;
	const char *topic;
	const char *acks;
	const char *file; /* NULL: none */
	int64_t record_count;
	int64_t value_bytes;
	int64_t key_bytes;
	int64_t header_count;
	int64_t header_key_bytes;
	int64_t header_value_bytes; /* -1: null */
};

struct e2e {
	struct cli *cli;
	struct plan plan;
	struct stream producer;
	struct stream consumer;
	rd_kafka_topic_t *topic;
	char *value; /* heap, as those below */
	char *key;   /* NULL without one */
	char *header_key;
	char *header_value;
	int32_t *latencies_ms;
	uint64_t letter_seed;
	rd_kafka_resp_err_t answer;
	bool has_answer;
};

/* ---- the command line ---------------------------------------------------------------------- */

static bool
read_count(struct cli *cli, const char *text, const char *what, int64_t least, int64_t *ret_number)
{
	if (cli_number_parse(text, ret_number) && *ret_number >= least && *ret_number <= INT32_MAX)
		return true;
	cli_fail_usage(cli, "%s: %s must be a number of at least %lld", text, what,
	    (long long)least);
	return false;
}

/* broker_list topic num_messages producer_acks message_size_bytes [properties_file] */
static bool
read_words(struct cli *cli, struct plan *plan)
{
	struct cli_values words = cli->args.rest;
	if (words.count < E2E_WORDS_MIN || words.count > E2E_WORDS_MAX) {
		cli_fail_usage(cli,
		    "Invalid number of arguments. Expected 5 or 6 positional arguments, but got "
		    "%zu. Usage: bootstrap-server topic num-records producer-acks record-size "
		    "[optional] command-config",
		    words.count);
		return false;
	}
	plan->servers = words.items[0];
	plan->topic = words.items[1];
	plan->acks = words.items[3];
	if (words.count == E2E_WORDS_MAX && *words.items[5] != '\0')
		plan->file = words.items[5];
	return read_count(cli, words.items[2], "num_messages", 1, &plan->record_count) &&
	       read_count(cli, words.items[4], "message_size_bytes", 1, &plan->value_bytes);
}

static bool
read_options(struct cli *cli, struct plan *plan)
{
	const struct cli_args *args = &cli->args;
	static const unsigned required[] = { CLI_OPTION_BOOTSTRAP, E2E_TOPIC, E2E_NUM_RECORDS,
		E2E_ACKS, E2E_RECORD_SIZE };
	char names[100] = "";
	for (size_t i = 0; i < OT_ARRAY_COUNT(required); i++) {
		struct ot_text text = OT_TEXT(names);
		cli_option_put_names(&options[required[i]], &text);
		if (!cli_has(args, required[i])) {
			cli_fail_usage(cli, "Missing required argument \"%s\"", names);
			return false;
		}
	}
	plan->servers = cli_bootstrap(cli);
	plan->topic = cli_get(args, E2E_TOPIC);
	plan->acks = cli_get(args, E2E_ACKS);
	plan->file = cli_get(args, CLI_OPTION_COMMAND_CONFIG);
	plan->key_bytes = cli_get_number(args, E2E_KEY_SIZE);
	plan->header_count = cli_get_number(args, E2E_NUM_HEADERS);
	plan->header_key_bytes = cli_get_number(args, E2E_HEADER_KEY_SIZE);
	plan->header_value_bytes = cli_get_number(args, E2E_HEADER_SIZE);
	return read_count(cli, cli_get(args, E2E_NUM_RECORDS), "--num-records", 1,
		   &plan->record_count) &&
	       read_count(cli, cli_get(args, E2E_RECORD_SIZE), "--record-size", 1,
		   &plan->value_bytes);
}

static bool
read_plan(struct cli *cli, struct plan *plan)
{
	bool is_done = cli->args.rest.count > 0 ? read_words(cli, plan) : read_options(cli, plan);
	if (is_done && strcmp(plan->acks, "1") != 0 && strcmp(plan->acks, "all") != 0) {
		cli_fail_usage(cli,
		    "Latency testing requires synchronous acknowledgement. Please use 1 or all");
		return false;
	}
	return is_done;
}

/* ---- the clients --------------------------------------------------------------------------- */

static bool
load_settings(struct e2e *e2e, struct ot_properties *ret_props)
{
	if (!stream_props_load(e2e->cli, e2e->plan.file, (struct cli_values){ NULL, 0 }, ret_props))
		return false;
	stream_props_put(ret_props, "bootstrap.servers", e2e->plan.servers);
	return true;
}

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct stream *stream = opaque;
	struct e2e *e2e = OT_CONTAINER_OF(stream, struct e2e, producer);
	(void)client;
	e2e->has_answer = true;
	e2e->answer = message->err;
}

static bool
open_producer(struct e2e *e2e)
{
	struct ot_properties props;
	if (!load_settings(e2e, &props))
		return false;
	stream_props_put(&props, "linger.ms", "0");
	stream_props_put(&props, "acks", e2e->plan.acks);
	rd_kafka_conf_t *conf =
	    stream_conf_create(e2e->cli, OT_CLIENT_PRODUCER, &props, &e2e->producer);
	ot_properties_fini(&props);
	if (conf == NULL)
		return false;
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	return stream_open(e2e->cli, OT_CLIENT_PRODUCER, conf, &e2e->producer);
}

static bool
open_consumer(struct e2e *e2e)
{
	struct ot_properties props;
	if (!load_settings(e2e, &props))
		return false;
	stream_props_put(&props, "group.id",
	    cli_format(e2e->cli, "test-group-%lld", (long long)stream_wall_ms()));
	stream_props_put(&props, "enable.auto.commit", "false");
	stream_props_put(&props, "auto.offset.reset", "latest");
	stream_props_put(&props, "fetch.max.wait.ms", "0");
	rd_kafka_conf_t *conf =
	    stream_conf_create(e2e->cli, OT_CLIENT_CONSUMER, &props, &e2e->consumer);
	ot_properties_fini(&props);
	return conf != NULL && stream_open(e2e->cli, OT_CLIENT_CONSUMER, conf, &e2e->consumer);
}

/* ---- the topic ----------------------------------------------------------------------------- */

static bool
create_topic(struct e2e *e2e)
{
	char reason[200];
	const char *name = e2e->plan.topic;
	printf("Topic \"%s\" does not exist. Will create topic with 1 partition(s) and replication "
	       "factor = 1\n",
	    name);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(e2e->producer.client);
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, 1, 1, reason, sizeof(reason));
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
	if (topic != NULL) {
		rd_kafka_CreateTopics(e2e->producer.client, &topic, 1, NULL, queue);
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, E2E_TIMEOUT_MS);
		const rd_kafka_CreateTopics_result_t *result =
		    rd_kafka_event_CreateTopics_result(event);
		size_t count = 0;
		err = rd_kafka_event_error(event);
		if (result != NULL && err == RD_KAFKA_RESP_ERR_NO_ERROR)
			err = rd_kafka_topic_result_error(
			    rd_kafka_CreateTopics_result_topics(result, &count)[0]);
		rd_kafka_event_destroy(event);
		rd_kafka_NewTopic_destroy(topic);
	}
	rd_kafka_queue_destroy(queue);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return true;
	printf("Creation of topic %s failed\n", name);
	cli_fail(e2e->cli, "%s: %s", stream_error_name(err), rd_kafka_err2str(err));
	return false;
}

/* How many partitions the topic has, 0 when it is not there, -1 when nobody answers. */
static int
count_partitions(struct e2e *e2e)
{
	const struct rd_kafka_metadata *metadata;
	int count = 0;
	rd_kafka_resp_err_t err =
	    rd_kafka_metadata(e2e->consumer.client, 1, NULL, &metadata, E2E_TIMEOUT_MS / 2);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		cli_fail(e2e->cli, "The topics cannot be listed: %s", rd_kafka_err2str(err));
		return -1;
	}
	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (strcmp(metadata->topics[i].topic, e2e->plan.topic) == 0)
			count = metadata->topics[i].partition_cnt;
	}
	rd_kafka_metadata_destroy(metadata);
	return count;
}

/* Where a partition ends. A topic that was just made may not have a leader yet. */
static rd_kafka_resp_err_t
find_end(struct e2e *e2e, int32_t partition, int64_t *ret_offset)
{
	int64_t until = stream_now_us() + (int64_t)E2E_TIMEOUT_MS * 1000;
	for (;;) {
		int64_t low;
		rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(e2e->consumer.client,
		    e2e->plan.topic, partition, &low, ret_offset, E2E_TIMEOUT_MS / 2);
		bool passes = err == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
		              err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
		              err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
		if (!passes || stream_now_us() > until || stream_signal() != 0)
			return err;
		rd_kafka_poll(e2e->producer.client, E2E_POLL_MS);
	}
}

/* Begins at the end of every partition: asks where that is, so that no record of before or after
 * counts. */
static bool
assign_ends(struct e2e *e2e, int partition_count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partition_count);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < partition_count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		int64_t end = 0;
		err = find_end(e2e, i, &end);
		rd_kafka_topic_partition_list_add(list, e2e->plan.topic, i)->offset = end;
	}
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = rd_kafka_assign(e2e->consumer.client, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		cli_fail(e2e->cli, "%s", rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
prepare_topic(struct e2e *e2e)
{
	int count = count_partitions(e2e);
	if (count == 0) {
		if (!create_topic(e2e))
			return false;
		int64_t until = stream_now_us() + (int64_t)E2E_TIMEOUT_MS * 1000;
		while (count == 0 && stream_now_us() < until) {
			rd_kafka_poll(e2e->producer.client, E2E_POLL_MS);
			count = count_partitions(e2e);
		}
	}
	return count > 0 && assign_ends(e2e, count);
}

/* After the topic is there: a producer that knows of it makes it by asking. */
static bool
open_topic(struct e2e *e2e)
{
	e2e->topic = rd_kafka_topic_new(e2e->producer.client, e2e->plan.topic, NULL);
	if (e2e->topic == NULL)
		cli_fail(e2e->cli, "The topic %s: %s", e2e->plan.topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
	return e2e->topic != NULL;
}

/* ---- one record ---------------------------------------------------------------------------- */

/* One random letter, `bytes` times, as Kafka's tool does. */
static void
fill(struct e2e *e2e, char *text, int64_t bytes)
{
	e2e->letter_seed = e2e->letter_seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	if (text != NULL)
		memset(text, 'A' + (int)((e2e->letter_seed >> 33) % 26), (size_t)bytes);
}

static rd_kafka_headers_t *
make_headers(const struct e2e *e2e)
{
	const struct plan *plan = &e2e->plan;
	rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)plan->header_count);
	for (int64_t i = 0; i < plan->header_count; i++)
		rd_kafka_header_add(headers, e2e->header_key, (ssize_t)plan->header_key_bytes,
		    e2e->header_value, (ssize_t)OT_MAX(plan->header_value_bytes, 0));
	return headers;
}

static bool
send_record(struct e2e *e2e)
{
	const struct plan *plan = &e2e->plan;
	rd_kafka_headers_t *headers = make_headers(e2e);
	e2e->has_answer = false;
	rd_kafka_resp_err_t err = rd_kafka_producev(e2e->producer.client,
	    RD_KAFKA_V_RKT(e2e->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_KEY(e2e->key, (size_t)plan->key_bytes),
	    RD_KAFKA_V_VALUE(e2e->value, (size_t)plan->value_bytes), RD_KAFKA_V_HEADERS(headers),
	    RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	else
		e2e->answer = RD_KAFKA_RESP_ERR__TIMED_OUT;
	while (err == RD_KAFKA_RESP_ERR_NO_ERROR && !e2e->has_answer && stream_signal() == 0 &&
	       !e2e->producer.has_failed)
		rd_kafka_poll(e2e->producer.client, E2E_POLL_MS);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = e2e->answer;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && stream_signal() == 0)
		cli_fail(e2e->cli, "%s: %s", stream_error_name(err), rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
is_same(const void *sent, int64_t sent_bytes, const void *read, size_t read_bytes)
{
	return (int64_t)read_bytes == sent_bytes &&
	       (sent_bytes == 0 || memcmp(sent, read, read_bytes) == 0);
}

static bool
has_same_headers(const struct e2e *e2e, const rd_kafka_message_t *message)
{
	const struct plan *plan = &e2e->plan;
	rd_kafka_headers_t *headers = NULL;
	bool is_found = rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR;
	int64_t count = is_found ? (int64_t)rd_kafka_header_cnt(headers) : 0;
	bool is_equal = count == plan->header_count;
	for (int64_t i = 0; i < count && is_equal; i++) {
		const char *key = NULL;
		const void *value = NULL;
		size_t bytes = 0;
		rd_kafka_header_get_all(headers, (size_t)i, &key, &value, &bytes);
		is_equal =
		    is_same(e2e->header_key, plan->header_key_bytes, key, strlen(key)) &&
		    (value == NULL) == (plan->header_value_bytes < 0) &&
		    is_same(e2e->header_value, OT_MAX(plan->header_value_bytes, 0), value, bytes);
	}
	return is_equal;
}

static bool
check_record(const struct e2e *e2e, const rd_kafka_message_t *message)
{
	const struct plan *plan = &e2e->plan;
	const char *mistake = NULL;
	if (!is_same(e2e->value, plan->value_bytes, message->payload, message->len))
		mistake = "The message value read did not match the message value sent";
	else if (!is_same(e2e->key, plan->key_bytes, message->key, message->key_len))
		mistake = "The message key read did not match the message key sent";
	else if (!has_same_headers(e2e, message))
		mistake = "The message headers read did not match the message headers sent";
	if (mistake != NULL)
		cli_fail(e2e->cli, "%s (offset %lld)", mistake, (long long)message->offset);
	return mistake == NULL;
}

/* Reads records until the one that was sent is there, and checks that there is no other. */
static bool
read_record(struct e2e *e2e)
{
	int64_t until = stream_now_us() + (int64_t)E2E_TIMEOUT_MS * 1000;
	while (stream_now_us() < until && stream_signal() == 0) {
		rd_kafka_message_t *message =
		    rd_kafka_consumer_poll(e2e->consumer.client, E2E_POLL_MS);
		if (message == NULL)
			continue;
		bool is_record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
		bool is_right = is_record && check_record(e2e, message);
		if (!is_record)
			stream_log("WARN", "%s", rd_kafka_message_errstr(message));
		rd_kafka_message_destroy(message);
		if (is_record)
			return is_right;
	}
	if (stream_signal() == 0)
		cli_fail(e2e->cli, "poll() timed out before finding a result (timeout:[%dms])",
		    E2E_TIMEOUT_MS);
	return false;
}

/* ---- running ------------------------------------------------------------------------------- */

static void
print_progress(int64_t index, int64_t elapsed_us)
{
	struct ot_writer text;
	ot_writer_init(&text);
	deserializer_put_double(&text, (double)elapsed_us / 1000);
	printf("%lld\t%.*s\n", (long long)index, (int)text.bytes, (const char *)text.data);
	fflush(stdout);
	ot_writer_fini(&text);
}

static bool
measure(struct e2e *e2e)
{
	const struct plan *plan = &e2e->plan;
	size_t count = (size_t)plan->record_count;
	double total_us = 0;
	for (size_t i = 0; i < count; i++) {
		fill(e2e, e2e->key, plan->key_bytes);
		fill(e2e, e2e->value, plan->value_bytes);
		fill(e2e, e2e->header_key, plan->header_key_bytes);
		fill(e2e, e2e->header_value, plan->header_value_bytes);
		int64_t begin = stream_now_us();
		if (!send_record(e2e) || !read_record(e2e))
			return false;
		int64_t elapsed_us = stream_now_us() - begin;
		if (i % E2E_PROGRESS == 0)
			print_progress((int64_t)i, elapsed_us);
		total_us += (double)elapsed_us;
		e2e->latencies_ms[i] = (int32_t)(elapsed_us / 1000);
	}
	perf_sort(e2e->latencies_ms, count);
	printf("Avg latency: %.4f ms\n", total_us / (double)count / 1000);
	printf("Percentiles: 50th = %d, 99th = %d, 99.9th = %d\n",
	    perf_percentile(e2e->latencies_ms, count, 0.5),
	    perf_percentile(e2e->latencies_ms, count, 0.99),
	    perf_percentile(e2e->latencies_ms, count, 0.999));
	return true;
}

static char *
make_room(int64_t bytes)
{
	return bytes > 0 ? ot_must_alloc((size_t)bytes) : NULL;
}

static void
make_rooms(struct e2e *e2e)
{
	const struct plan *plan = &e2e->plan;
	e2e->value = make_room(plan->value_bytes);
	e2e->key = make_room(plan->key_bytes);
	e2e->header_key = ot_must_alloc((size_t)plan->header_key_bytes + 1);
	e2e->header_value = plan->header_value_bytes < 0
	                        ? NULL
	                        : ot_must_alloc((size_t)plan->header_value_bytes + 1);
	e2e->latencies_ms = ot_must_alloc((size_t)plan->record_count * sizeof(int32_t));
}

static int
run(struct cli *cli)
{
	struct e2e e2e = { .cli = cli };
	if (!read_plan(cli, &e2e.plan))
		return CLI_EXIT_FAILURE;
	make_rooms(&e2e);
	stream_catch_signals();
	bool is_done = open_consumer(&e2e) && open_producer(&e2e) && prepare_topic(&e2e) &&
	               open_topic(&e2e) && measure(&e2e);
	if (e2e.topic != NULL)
		rd_kafka_topic_destroy(e2e.topic);
	stream_close(&e2e.producer);
	stream_close(&e2e.consumer);
	ot_free(e2e.value);
	ot_free(e2e.key);
	ot_free(e2e.header_key);
	ot_free(e2e.header_value);
	ot_free(e2e.latencies_ms);
	return stream_exit(is_done);
}

const struct cli_tool cli_e2e_latency_tool = {
	.self = {
		.name = "e2e-latency",
		.summary = "Measure the way from a producer to a consumer.",
		.purpose = "Sends records one by one, reads each back, tells how long that took.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rest = "the older form: broker_list topic num_messages producer_acks "
			"message_size_bytes [properties_file]",
		.run = run,
	},
	.classes = "EndToEndLatency",
};
