/* kafka-consumer-perf-test: consumes as fast as it can and tells how much that was.
 *
 * The time until the group had given out its partitions is told apart from the time of fetching,
 * and so are the figures of an interval in which that happened.
 */
#include "cli/tools_int.h"

#include <string.h>
#include <unistd.h>

#include "cli/date_format_int.h"
#include "cli/metrics_int.h"
#include "cli/stream_int.h"
#include "cli/subscription_int.h"

enum {
	PERF_TOPIC = CLI_OPTION_CONNECT_COUNT,
	PERF_INCLUDE,
	PERF_GROUP,
	PERF_FETCH_SIZE,
	PERF_PROPERTIES,
	PERF_FROM_LATEST,
	PERF_SOCKET_BUFFER,
	PERF_CONFIG,
	PERF_PRINT_METRICS,
	PERF_DETAILED,
	PERF_TIMEOUT,
	PERF_NUM_RECORDS,
	PERF_REPORTING_INTERVAL,
	PERF_DATE_FORMAT,
	PERF_HIDE_HEADER,
	PERF_THREADS,
	PERF_FETCH_THREADS,
	PERF_MESSAGE_SIZE,
	PERF_BATCH_SIZE,
	PERF_COMPRESSION,
	PERF_NEW,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[PERF_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .text = "The topic to consume." },
	[PERF_INCLUDE] = { .names = "include",
	    .arg = "Java regex",
	    .kind = CLI_STRING,
	    .text = "An expression for the names of topics to consume." },
	[PERF_GROUP] = { .names = "group",
	    .arg = "gid",
	    .kind = CLI_STRING,
	    .text = "The consumer group; without it one is made up." },
	[PERF_FETCH_SIZE] = { .names = "fetch-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "1048576",
	    .text = "Bytes of one partition that one request fetches." },
	[PERF_PROPERTIES] = { .names = "command-property",
	    .arg = "prop1=val1",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A setting of the consumer; it beats that of the file." },
	[PERF_FROM_LATEST] = { .names = "from-latest",
	    .text = "Begin with the next record where the group has no offset yet, rather than "
		    "with the oldest one." },
	[PERF_SOCKET_BUFFER] = { .names = "socket-buffer-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "2097152",
	    .text = "Bytes of a connection's buffer." },
	[PERF_CONFIG] = { .names = "consumer.config",
	    .arg = "config file",
	    .kind = CLI_STRING,
	    .text = "The older name of --command-config." },
	[PERF_PRINT_METRICS] = { .names = "print-metrics",
	    .text = "Print the consumer's figures at the end." },
	[PERF_DETAILED] = { .names = "show-detailed-stats",
	    .text = "Tell of each interval, rather than of the whole run." },
	[PERF_TIMEOUT] = { .names = "timeout",
	    .arg = "milliseconds",
	    .kind = CLI_LONG,
	    .flags = CLI_OPTIONAL,
	    .fallback = "10000",
	    .text = "End when no record came for so long." },
	[PERF_NUM_RECORDS] = { .names = "num-records messages",
	    .arg = "count",
	    .kind = CLI_LONG,
	    .flags = CLI_REQUIRED,
	    .text = "How many records to consume." },
	[PERF_REPORTING_INTERVAL] = { .names = "reporting-interval",
	    .arg = "interval_ms",
	    .kind = CLI_LONG,
	    .fallback = "5000",
	    .text = "How often progress is told." },
	[PERF_DATE_FORMAT] = { .names = "date-format",
	    .arg = "date format",
	    .kind = CLI_STRING,
	    .fallback = "yyyy-MM-dd HH:mm:ss:SSS",
	    .text = "How times are written, a pattern of Java's SimpleDateFormat." },
	[PERF_HIDE_HEADER] = { .names = "hide-header", .text = "Leave out the line of headings." },
	[PERF_THREADS] = { .names = "threads",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PERF_FETCH_THREADS] = { .names = "num-fetch-threads",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PERF_MESSAGE_SIZE] = { .names = "message-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PERF_BATCH_SIZE] = { .names = "batch-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PERF_COMPRESSION] = { .names = "compression-codec",
	    .arg = "codec",
	    .kind = CLI_STRING,
	    .flags = CLI_HIDDEN },
	[PERF_NEW] = { .names = "new-consumer", .flags = CLI_HIDDEN },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, CLI_BIT(PERF_TOPIC) | CLI_BIT(PERF_INCLUDE),
	    "Exactly one of the following arguments is required: [topic], [include]" },
	{ CLI_RULE_EXCLUDES, CLI_OPTION_COMMAND_CONFIG, CLI_BIT(PERF_CONFIG), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	PERF_BATCH_RECORDS = 4096,
	PERF_POLL_MS = 100,
	PERF_STATISTICS_US = 1100000,
};

struct perf {
	struct cli *cli;
	struct stream stream;
	struct subscription *subscription;
	struct metrics metrics;
	const char *date_format;
	int64_t start_ms;
	int64_t record_count;
	int64_t bytes;
	int64_t interval_start_ms;
	int64_t interval_record_count; /* consumed before the interval */
	int64_t interval_bytes;
	int64_t join_start_ms;
	int64_t join_ms; /* waited for partitions */
	int64_t interval_join_ms;
	int assigned_count;
	bool has_failed;
};

/* ---- what is printed ----------------------------------------------------------------------- */

static double
mebibytes(int64_t bytes)
{
	return (double)bytes / OT_MIB;
}

static void
print_date(const struct perf *perf, int64_t time_ms)
{
	char text[200] = "";
	struct ot_text date = OT_TEXT(text);
	date_format_put(perf->date_format, time_ms, &date);
	fputs(text, stdout);
}

static void
print_header(bool is_detailed)
{
	printf("%s, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, "
	       "rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n",
	    is_detailed ? "time, threadId" : "start.time, end.time");
	fflush(stdout);
}

static void
print_interval(struct perf *perf, int64_t now_ms)
{
	double elapsed = (double)(now_ms - perf->interval_start_ms) / 1000;
	double fetched = elapsed - (double)perf->interval_join_ms / 1000;
	double size = mebibytes(perf->bytes - perf->interval_bytes);
	double count = (double)(perf->record_count - perf->interval_record_count);
	print_date(perf, now_ms);
	printf(", 0, %.4f, %.4f, %lld, %.4f, %lld, %lld, %.4f, %.4f\n", mebibytes(perf->bytes),
	    size / elapsed, (long long)perf->record_count, count / elapsed,
	    (long long)perf->interval_join_ms, (long long)(fetched * 1000 + 0.5),
	    fetched > 0 ? size / fetched : 0, fetched > 0 ? count / fetched : 0);
	fflush(stdout);
}

static void
print_total(struct perf *perf, int64_t end_ms)
{
	double elapsed = (double)OT_MAX(end_ms - perf->start_ms, 1) / 1000;
	int64_t fetch_ms = OT_MAX(end_ms - perf->start_ms - perf->join_ms, 1);
	double size = mebibytes(perf->bytes);
	double count = (double)perf->record_count;
	print_date(perf, perf->start_ms);
	printf(", ");
	print_date(perf, end_ms);
	printf(", %.4f, %.4f, %lld, %.4f, %lld, %lld, %.4f, %.4f\n", size, size / elapsed,
	    (long long)perf->record_count, count / elapsed, (long long)perf->join_ms,
	    (long long)fetch_ms, size * 1000 / (double)fetch_ms, count * 1000 / (double)fetch_ms);
}

/* ---- the group ----------------------------------------------------------------------------- */

static void
take_assignment(struct perf *perf, int count)
{
	if (perf->assigned_count == 0) {
		int64_t waited_ms = stream_wall_ms() - perf->join_start_ms;
		perf->join_ms += waited_ms;
		perf->interval_join_ms += waited_ms;
	}
	perf->assigned_count += count;
}

static void
take_revocation(struct perf *perf, int count)
{
	perf->assigned_count -= OT_MIN(count, perf->assigned_count);
	if (perf->assigned_count == 0)
		perf->join_start_ms = stream_wall_ms();
}

static void
on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t err,
    rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
	struct stream *stream = opaque;
	struct perf *perf = OT_CONTAINER_OF(stream, struct perf, stream);
	bool is_assignment = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	bool is_cooperative = strcmp(rd_kafka_rebalance_protocol(client), "COOPERATIVE") == 0;
	if (is_assignment)
		take_assignment(perf, partitions->cnt);
	else
		take_revocation(perf, partitions->cnt);
	if (is_cooperative && is_assignment)
		rd_kafka_error_destroy(rd_kafka_incremental_assign(client, partitions));
	else if (is_cooperative)
		rd_kafka_error_destroy(rd_kafka_incremental_unassign(client, partitions));
	else
		rd_kafka_assign(client, is_assignment ? partitions : NULL);
}

/* ---- consuming ----------------------------------------------------------------------------- */

static void
take_record(struct perf *perf, const rd_kafka_message_t *message)
{
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		perf->record_count++;
		perf->bytes += (int64_t)(message->len + message->key_len);
	} else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		stream_log("WARN", "%s%s", perf->stream.name, rd_kafka_message_errstr(message));
	}
}

static size_t
take_batch(struct perf *perf, int64_t wanted_count)
{
	static rd_kafka_message_t *batch[PERF_BATCH_RECORDS];
	size_t room = (size_t)OT_MIN(wanted_count - perf->record_count, PERF_BATCH_RECORDS);
	size_t count = stream_consume(&perf->stream, batch, room, PERF_POLL_MS);
	for (size_t i = 0; i < count; i++) {
		take_record(perf, batch[i]);
		rd_kafka_message_destroy(batch[i]);
	}
	return count;
}

static void
end_interval(struct perf *perf, int64_t now_ms)
{
	if (cli_has(&perf->cli->args, PERF_DETAILED))
		print_interval(perf, now_ms);
	perf->interval_join_ms = 0;
	perf->interval_start_ms = now_ms;
	perf->interval_record_count = perf->record_count;
	perf->interval_bytes = perf->bytes;
}

static void
consume(struct perf *perf)
{
	const struct cli_args *args = &perf->cli->args;
	int64_t wanted_count = cli_get_number(args, PERF_NUM_RECORDS);
	int64_t timeout_ms = cli_get_number(args, PERF_TIMEOUT);
	int64_t interval_ms = cli_get_number(args, PERF_REPORTING_INTERVAL);
	int64_t now_ms = stream_wall_ms();
	int64_t last_ms = now_ms;
	perf->interval_start_ms = now_ms;
	while (perf->record_count < wanted_count && now_ms - last_ms <= timeout_ms &&
	       stream_signal() == 0 && !perf->stream.has_failed) {
		subscription_refresh(perf->subscription);
		size_t count = take_batch(perf, wanted_count);
		now_ms = stream_wall_ms();
		if (count > 0)
			last_ms = now_ms;
		if (count > 0 && now_ms - perf->interval_start_ms >= interval_ms)
			end_interval(perf, now_ms);
	}
	if (perf->record_count < wanted_count)
		printf("WARNING: Exiting before consuming the expected number of messages: timeout "
		       "(%lld ms) exceeded. You can use the --timeout option to increase the "
		       "timeout.\n",
		    (long long)timeout_ms);
}

/* ---- running ------------------------------------------------------------------------------- */

static bool
load_settings(struct cli *cli, struct ot_properties *ret_props)
{
	const struct cli_args *args = &cli->args;
	const char *group = cli_get(args, PERF_GROUP);
	if (!stream_props_load(cli, stream_props_file(cli, PERF_CONFIG),
		cli_get_all(args, PERF_PROPERTIES), ret_props))
		return false;
	if (group == NULL)
		group = stream_make_group(cli, "perf-consumer");
	stream_props_put(ret_props, "group.id", group);
	stream_props_put_option(cli, ret_props, "receive.buffer.bytes", PERF_SOCKET_BUFFER);
	stream_props_put_option(cli, ret_props, "max.partition.fetch.bytes", PERF_FETCH_SIZE);
	stream_props_put(ret_props, "auto.offset.reset",
	    cli_has(args, PERF_FROM_LATEST) ? "latest" : "earliest");
	stream_props_put(ret_props, "check.crcs", "false");
	stream_props_put_default(ret_props, "client.id", "perf-consumer-client");
	return stream_props_put_servers(cli, ret_props);
}

static bool
check_options(struct perf *perf)
{
	const struct cli_args *args = &perf->cli->args;
	struct ot_why why = { "" };
	perf->date_format = cli_get(args, PERF_DATE_FORMAT);
	if (cli_has(args, PERF_THREADS) || cli_has(args, PERF_FETCH_THREADS))
		printf("WARNING: option [threads] and [num-fetch-threads] have been deprecated and "
		       "will be ignored by the test\n");
	if (cli_get_number(args, PERF_REPORTING_INTERVAL) <= 0) {
		cli_fail_usage(perf->cli, "Reporting interval must be greater than 0.");
		return false;
	}
	if (date_format_check(perf->date_format, &why) != OT_OK) {
		cli_fail_usage(perf->cli, "%s", why.text);
		return false;
	}
	return true;
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

static bool
open_consumer(struct perf *perf, struct ot_properties *props)
{
	struct cli *cli = perf->cli;
	rd_kafka_conf_t *conf = stream_conf_create(cli, OT_CLIENT_CONSUMER, props, &perf->stream);
	if (conf == NULL)
		return false;
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	if (cli_has(&cli->args, PERF_PRINT_METRICS)) {
		stream_conf_put(conf, "statistics.interval.ms", "1000");
		rd_kafka_conf_set_stats_cb(conf, on_statistics);
	}
	if (!stream_open(cli, OT_CLIENT_CONSUMER, conf, &perf->stream))
		return false;
	struct subscription_options wanted = {
		.topic = cli_get(&cli->args, PERF_TOPIC),
		.include = cli_get(&cli->args, PERF_INCLUDE),
	};
	perf->start_ms = perf->join_start_ms = stream_wall_ms();
	return subscription_open(cli, &perf->stream, &wanted, &perf->subscription);
}

/* The last statistics are those from before the end: waits for the ones behind it, and lets go of
 * what comes meanwhile. */
static void
await_statistics(struct perf *perf)
{
	int64_t until = stream_now_us() + PERF_STATISTICS_US;
	while (stream_now_us() < until) {
		rd_kafka_message_t *message =
		    rd_kafka_consumer_poll(perf->stream.client, PERF_POLL_MS);
		if (message != NULL)
			rd_kafka_message_destroy(message);
	}
}

static int
run(struct cli *cli)
{
	struct perf perf = { .cli = cli };
	struct ot_properties props;
	ot_properties_init(&props, NULL);
	bool has_metrics = cli_has(&cli->args, PERF_PRINT_METRICS);
	bool is_open = check_options(&perf) && load_settings(cli, &props);
	if (is_open && !cli_has(&cli->args, PERF_HIDE_HEADER))
		print_header(cli_has(&cli->args, PERF_DETAILED));
	is_open = is_open && open_consumer(&perf, &props);
	if (is_open) {
		stream_catch_signals();
		consume(&perf);
		int64_t end_ms = stream_wall_ms();
		if (has_metrics)
			await_statistics(&perf);
		subscription_close(perf.subscription);
		stream_close(&perf.stream);
		if (!cli_has(&cli->args, PERF_DETAILED))
			print_total(&perf, end_ms);
		if (has_metrics)
			metrics_print(&perf.metrics, false, stream_props_get(&props, "client.id"),
			    stdout);
	}
	stream_close(&perf.stream);
	ot_properties_fini(&props);
	return stream_exit(is_open && !perf.stream.has_failed);
}

const struct cli_tool cli_perf_consumer_tool = {
	.self = {
		.name = "consumer-perf-test",
		.summary = "Measure consuming.",
		.purpose = "Consumes records and tells how many per second that were.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ConsumerPerformance",
};
