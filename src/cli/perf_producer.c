/* kafka-producer-perf-test: sends records as fast as it can, or at a rate, and tells how long the
 * answers took.
 *
 * A record's time runs from the moment it is handed to the producer, so that waiting for room in a
 * full queue counts. With a rate, record n is due n / rate after the start, whenever the one before
 * it was sent: a pause of the broker is caught up with.
 */
#include "cli/tools_int.h"

#include <string.h>
#include <unistd.h>

#include "cli/metrics_int.h"
#include "cli/perf_payload_int.h"
#include "cli/perf_stats_int.h"
#include "cli/stream_int.h"

enum {
	PERF_TOPIC = CLI_OPTION_CONNECT_COUNT,
	PERF_NUM_RECORDS,
	PERF_RECORD_SIZE,
	PERF_PAYLOAD_FILE,
	PERF_PAYLOAD_MONOTONIC,
	PERF_PAYLOAD_DELIMITER,
	PERF_THROUGHPUT,
	PERF_PROPERTIES,
	PERF_CONFIG,
	PERF_PRINT_METRICS,
	PERF_TRANSACTIONAL_ID,
	PERF_TRANSACTION_DURATION,
	PERF_WARMUP,
	PERF_REPORTING_INTERVAL,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[PERF_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED,
	    .text = "The topic to produce records to." },
	[PERF_NUM_RECORDS] = { .names = "num-records",
	    .arg = "count",
	    .kind = CLI_LONG,
	    .flags = CLI_REQUIRED,
	    .text = "How many records to send." },
	[PERF_RECORD_SIZE] = { .names = "record-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .text = "Bytes of a record, random letters." },
	[PERF_PAYLOAD_FILE] = { .names = "payload-file",
	    .arg = "file",
	    .kind = CLI_STRING,
	    .text = "A file whose pieces are the records, picked at random." },
	[PERF_PAYLOAD_MONOTONIC] = { .names = "payload-monotonic",
	    .text = "Records are whole numbers that count up." },
	[PERF_PAYLOAD_DELIMITER] = { .names = "payload-delimiter",
	    .arg = "text",
	    .kind = CLI_STRING,
	    .fallback = "\\n",
	    .text = "What stands between the pieces of --payload-file." },
	[PERF_THROUGHPUT] = { .names = "throughput",
	    .arg = "records per second",
	    .kind = CLI_DOUBLE,
	    .flags = CLI_REQUIRED,
	    .text = "The rate at which records are sent; -1 for as fast as they go." },
	[PERF_PROPERTIES] = { .names = "command-property producer-props",
	    .arg = "name=value...",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "Settings of the producer, as many as follow; they beat those of the file." },
	[PERF_CONFIG] = { .names = "producer.config",
	    .arg = "file",
	    .kind = CLI_STRING,
	    .text = "The older name of --command-config." },
	[PERF_PRINT_METRICS] = { .names = "print-metrics",
	    .text = "Print the producer's figures at the end." },
	[PERF_TRANSACTIONAL_ID] = { .names = "transactional-id",
	    .arg = "id",
	    .kind = CLI_STRING,
	    .text = "Send in transactions: not in this release." },
	[PERF_TRANSACTION_DURATION] = { .names = "transaction-duration-ms",
	    .arg = "ms",
	    .kind = CLI_LONG,
	    .text = "How long a transaction lasts: not in this release." },
	[PERF_WARMUP] = { .names = "warmup-records",
	    .arg = "count",
	    .kind = CLI_LONG,
	    .fallback = "0",
	    .text = "Records at the start that a second summary leaves out." },
	[PERF_REPORTING_INTERVAL] = { .names = "reporting-interval",
	    .arg = "ms",
	    .kind = CLI_LONG,
	    .fallback = "5000",
	    .text = "How often progress is told." },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0,
	    CLI_BIT(PERF_RECORD_SIZE) | CLI_BIT(PERF_PAYLOAD_FILE) |
		CLI_BIT(PERF_PAYLOAD_MONOTONIC),
	    "You must provide exactly one of --record-size or --payload-file or "
	    "--payload-monotonic." },
	{ CLI_RULE_EXCLUDES, CLI_OPTION_COMMAND_CONFIG, CLI_BIT(PERF_CONFIG), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	PERF_POLL_MS = 100,
	PERF_STATISTICS_US = 1100000,
	PERF_FILE_BYTES_MAX = 1024 * 1024 * 1024,
	PERF_POLL_RECORDS = 64, /* so many are sent between two looks at the answers */
};

struct perf {
	struct cli *cli;
	struct stream stream;
	rd_kafka_topic_t *topic;
	struct perf_payload payload;
	struct perf_stats stats;
	struct perf_stats steady; /* without the warm-up */
	struct metrics metrics;
	uint64_t record_count;
	uint64_t warmup_count;
	double throughput;
	uint64_t failed_count;
	bool is_steady;
};

/* ---- settings ------------------------------------------------------------------------------ */

static bool
refuse_transactions(struct cli *cli, const struct ot_properties *props)
{
	if (!cli_has(&cli->args, PERF_TRANSACTIONAL_ID) &&
	    !cli_has(&cli->args, PERF_TRANSACTION_DURATION) &&
	    stream_props_get(props, "transactional.id") == NULL)
		return true;
	cli_fail(cli, "Transactions are not in this release; leave out --transactional-id, "
		      "--transaction-duration-ms and transactional.id");
	return false;
}

/* Words with a '=' that follow --producer-props are settings too. */
static bool
put_rest(struct cli *cli, struct ot_properties *props)
{
	struct cli_values rest = cli->args.rest;
	for (size_t i = 0; i < rest.count; i++) {
		if (!cli_has(&cli->args, PERF_PROPERTIES) || strchr(rest.items[i], '=') == NULL) {
			cli_fail_usage(cli, "unrecognized arguments: '%s'", rest.items[i]);
			return false;
		}
	}
	stream_props_put_pairs(props, rest);
	return true;
}

static bool
load_settings(struct cli *cli, struct ot_properties *ret_props)
{
	if (!stream_props_load(cli, stream_props_file(cli, PERF_CONFIG),
		cli_get_all(&cli->args, PERF_PROPERTIES), ret_props))
		return false;
	stream_props_put_default(ret_props, "client.id", "perf-producer-client");
	return put_rest(cli, ret_props) && stream_props_put_servers(cli, ret_props) &&
	       refuse_transactions(cli, ret_props);
}

static bool
check_numbers(struct perf *perf)
{
	const struct cli_args *args = &perf->cli->args;
	int64_t record_count = cli_get_number(args, PERF_NUM_RECORDS);
	int64_t warmup_count = OT_MAX(cli_get_number(args, PERF_WARMUP), 0);
	const char *mistake = NULL;
	if (record_count <= 0)
		mistake = "--num-records should be greater than zero";
	else if (warmup_count >= record_count)
		mistake = "The value for --warmup-records must be strictly fewer than the number "
			  "of records in the test, --num-records.";
	else if (cli_has(args, PERF_RECORD_SIZE) && cli_get_number(args, PERF_RECORD_SIZE) <= 0)
		mistake = "--record-size should be greater than zero";
	else if (cli_get_number(args, PERF_REPORTING_INTERVAL) <= 0)
		mistake = "--reporting-interval should be greater than zero";
	if (mistake != NULL) {
		cli_fail_usage(perf->cli, "%s", mistake);
		return false;
	}
	perf->record_count = (uint64_t)record_count;
	perf->warmup_count = (uint64_t)warmup_count;
	perf->throughput = cli_get_double(args, PERF_THROUGHPUT);
	return true;
}

static bool
open_payload(struct perf *perf)
{
	const struct cli_args *args = &perf->cli->args;
	const char *path = cli_get(args, PERF_PAYLOAD_FILE);
	struct ot_why why = { "" };
	size_t bytes = 0;
	if (path == NULL && cli_has(args, PERF_RECORD_SIZE))
		perf_payload_init_letters(&perf->payload,
		    (size_t)cli_get_number(args, PERF_RECORD_SIZE));
	else if (path == NULL)
		perf_payload_init_numbers(&perf->payload);
	if (path == NULL)
		return true;
	printf("Reading payloads from: %s\n", path);
	const char *text =
	    cli_read_file(path, PERF_FILE_BYTES_MAX, &perf->cli->arena, &bytes, &why);
	if (text == NULL || bytes == 0) {
		cli_fail(perf->cli, "%s",
		    text == NULL ? why.text : "File does not exist or empty file provided.");
		return false;
	}
	perf_payload_init_file(&perf->payload, text, bytes, cli_get(args, PERF_PAYLOAD_DELIMITER));
	printf("Number of messages read: %zu\n", perf->payload.piece_count);
	return true;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* What a record carries until its answer: when it was handed over, and whether it counts for the
 * second summary. */
static void *
pack_start(int64_t start_us, bool is_steady)
{
	return (void *)(intptr_t)(start_us * 2 + is_steady);
}

static void
print_window(struct perf_stats *stats, int64_t now)
{
	char line[400];
	struct ot_text text = OT_TEXT(line);
	perf_stats_put_window(stats, now, &text);
	fputs(line, stdout);
	fflush(stdout);
}

/* The first failure is told at once, the number of all at the end. */
static void
take_failure(struct perf *perf, rd_kafka_resp_err_t err)
{
	if (perf->failed_count++ == 0 && !perf->stream.has_failed)
		stream_log("ERROR", "%s%s: %s", perf->stream.name, stream_error_name(err),
		    rd_kafka_err2str(err));
}

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct stream *stream = opaque;
	struct perf *perf = OT_CONTAINER_OF(stream, struct perf, stream);
	intptr_t packed = (intptr_t)message->_private;
	int64_t now = stream_now_us();
	int64_t latency = now - packed / 2;
	(void)client;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		take_failure(perf, message->err);
		return;
	}
	bool is_due = perf_stats_record(&perf->stats, latency, message->len, now);
	if (is_due && !perf->is_steady)
		print_window(&perf->stats, now);
	if (packed % 2 != 0 && perf_stats_record(&perf->steady, latency, message->len, now))
		print_window(&perf->steady, now);
}

static int
on_statistics(rd_kafka_t *client, char *json, size_t bytes, void *opaque)
{
	struct stream *stream = opaque;
	struct perf *perf = OT_CONTAINER_OF(stream, struct perf, stream);
	(void)client;
	metrics_add(&perf->metrics, json, bytes);
	return 0; /* librdkafka frees it */
}

/* ---- sending ------------------------------------------------------------------------------- */

static bool
is_over(const struct perf *perf)
{
	return stream_signal() != 0 || perf->stream.has_failed;
}

/* Takes answers until record `index` is due. */
static void
await_turn(struct perf *perf, int64_t start, uint64_t index)
{
	int64_t due = perf_due(start, index, perf->throughput);
	if (perf->throughput < 0) {
		if (index % PERF_POLL_RECORDS == 0)
			rd_kafka_poll(perf->stream.client, 0);
		return;
	}
	for (int64_t now = stream_now_us(); now < due && !is_over(perf); now = stream_now_us())
		rd_kafka_poll(perf->stream.client,
		    (int)OT_MIN((due - now) / 1000 + 1, PERF_POLL_MS));
}

static void
send_record(struct perf *perf, uint64_t index)
{
	struct ot_bytes value = perf_payload_next(&perf->payload, index);
	void *packed = pack_start(stream_now_us(), perf->is_steady);
	for (;;) {
		int status =
		    rd_kafka_produce(perf->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
			(void *)(uintptr_t)value.data, (size_t)value.len, NULL, 0, packed);
		if (status == 0)
			return;
		rd_kafka_resp_err_t err = rd_kafka_last_error();
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || is_over(perf) ||
		    !stream_can_send(&perf->stream)) {
			take_failure(perf, err);
			return;
		}
		rd_kafka_poll(perf->stream.client, PERF_POLL_MS);
	}
}

static void
send_records(struct perf *perf)
{
	int64_t window_us = cli_get_number(&perf->cli->args, PERF_REPORTING_INTERVAL) * 1000;
	int64_t start = stream_now_us();
	if (perf->warmup_count > 0)
		printf("Warmup first %llu records. Steady state results will print after the "
		       "complete test summary.\n",
		    (unsigned long long)perf->warmup_count);
	perf_stats_init(&perf->stats, perf->record_count, window_us, false, start);
	for (uint64_t i = 0; i < perf->record_count && !is_over(perf); i++) {
		await_turn(perf, start, i);
		if (perf->warmup_count > 0 && i == perf->warmup_count) {
			perf_stats_init(&perf->steady, perf->record_count - perf->warmup_count,
			    window_us, true, stream_now_us());
			perf->is_steady = true;
		}
		send_record(perf, i);
	}
	stream_finish_sending(&perf->stream);
}

static void
print_results(struct perf *perf)
{
	char lines[800];
	struct ot_text text = OT_TEXT(lines);
	int64_t now = stream_now_us();
	perf_stats_put_total(&perf->stats, now, &text);
	if (perf->is_steady)
		perf_stats_put_total(&perf->steady, now, &text);
	fputs(lines, stdout);
	if (perf->failed_count > 0)
		fprintf(stderr, "%llu records could not be sent\n",
		    (unsigned long long)perf->failed_count);
}

/* ---- running ------------------------------------------------------------------------------- */

static bool
open_producer(struct perf *perf, struct ot_properties *props)
{
	struct cli *cli = perf->cli;
	const char *topic = cli_get(&cli->args, PERF_TOPIC);
	rd_kafka_conf_t *conf = stream_conf_create(cli, OT_CLIENT_PRODUCER, props, &perf->stream);
	if (conf == NULL)
		return false;
	stream_conf_put(conf, "queue.buffering.max.messages", "1000000");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	if (cli_has(&cli->args, PERF_PRINT_METRICS)) {
		stream_conf_put(conf, "statistics.interval.ms", "1000");
		rd_kafka_conf_set_stats_cb(conf, on_statistics);
	}
	if (!stream_open(cli, OT_CLIENT_PRODUCER, conf, &perf->stream))
		return false;
	perf->topic = rd_kafka_topic_new(perf->stream.client, topic, NULL);
	if (perf->topic == NULL)
		cli_fail(cli, "The topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
	return perf->topic != NULL;
}

/* The last statistics are those from before the end: waits for the ones behind it. */
static void
print_metrics(struct perf *perf, const struct ot_properties *props)
{
	int64_t until = stream_now_us() + PERF_STATISTICS_US;
	while (stream_now_us() < until)
		rd_kafka_poll(perf->stream.client, PERF_POLL_MS);
	metrics_print(&perf->metrics, true, stream_props_get(props, "client.id"), stdout);
}

static int
run(struct cli *cli)
{
	struct perf perf = { .cli = cli };
	struct ot_properties props;
	ot_properties_init(&props, NULL);
	bool is_open = check_numbers(&perf) && load_settings(cli, &props) && open_payload(&perf) &&
	               open_producer(&perf, &props);
	if (is_open) {
		stream_catch_signals();
		send_records(&perf);
		print_results(&perf);
		if (cli_has(&cli->args, PERF_PRINT_METRICS))
			print_metrics(&perf, &props);
		rd_kafka_purge(perf.stream.client,
		    RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	}
	if (perf.topic != NULL)
		rd_kafka_topic_destroy(perf.topic);
	stream_close(&perf.stream);
	ot_properties_fini(&props);
	perf_payload_fini(&perf.payload);
	perf_stats_fini(&perf.stats);
	perf_stats_fini(&perf.steady);
	return stream_exit(is_open && perf.failed_count == 0 && !perf.stream.has_failed);
}

const struct cli_tool cli_perf_producer_tool = {
	.self = {
		.name = "producer-perf-test",
		.summary = "Measure producing.",
		.purpose = "Sends records and tells how many per second were answered, and how "
			   "long that took.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.rest = "more settings, name=value, behind --producer-props",
		.run = run,
	},
	.classes = "ProducerPerformance",
};
