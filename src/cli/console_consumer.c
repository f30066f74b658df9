/* kafka-console-consumer: prints the records of topics.
 *
 * Records come from librdkafka in batches: all that is there, at least one. A batch is formatted
 * into a buffer and leaves it in one write, or several large ones. The group's offsets are stored
 * behind the writes, so that a commit never covers a record that nobody saw.
 */
#include "cli/tools_int.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/formatter_int.h"
#include "cli/stream_int.h"
#include "cli/subscription_int.h"

enum {
	CONSUMER_TOPIC = CLI_OPTION_CONNECT_COUNT,
	CONSUMER_INCLUDE,
	CONSUMER_BLACKLIST,
	CONSUMER_PARTITION,
	CONSUMER_OFFSET,
	CONSUMER_PROPERTY,
	CONSUMER_CONFIG,
	CONSUMER_FORMATTER,
	CONSUMER_FORMATTER_PROPERTY,
	CONSUMER_FORMATTER_CONFIG,
	CONSUMER_FROM_BEGINNING,
	CONSUMER_MAX_MESSAGES,
	CONSUMER_TIMEOUT,
	CONSUMER_SKIP_ON_ERROR,
	CONSUMER_KEY_DESERIALIZER,
	CONSUMER_VALUE_DESERIALIZER,
	CONSUMER_SYSTEST,
	CONSUMER_ISOLATION,
	CONSUMER_GROUP,
	CONSUMER_DELETE_OFFSETS,
	CONSUMER_CSV_REPORTER,
	CONSUMER_METRICS_DIR,
	CONSUMER_NEW,
};

static const char default_formatter[] = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[CONSUMER_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .text = "The topic to consume." },
	[CONSUMER_INCLUDE] = { .names = "include whitelist",
	    .arg = "Java regex",
	    .kind = CLI_STRING,
	    .text = "An expression for the names of topics to consume; commas mean or." },
	[CONSUMER_BLACKLIST] = { .names = "blacklist",
	    .arg = "Java regex",
	    .kind = CLI_STRING,
	    .text = "An expression for the names of topics to leave out." },
	[CONSUMER_PARTITION] = { .names = "partition",
	    .arg = "partition",
	    .kind = CLI_INTEGER,
	    .text = "The one partition to consume; from its end, unless --offset or "
		    "--from-beginning says otherwise." },
	[CONSUMER_OFFSET] = { .names = "offset",
	    .arg = "consume offset",
	    .kind = CLI_STRING,
	    .fallback = "latest",
	    .text = "Where to begin in it: a number, earliest or latest." },
	[CONSUMER_PROPERTY] = { .names = "command-property consumer-property",
	    .arg = "consumer_prop",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A setting of the consumer, as key=value." },
	[CONSUMER_CONFIG] = { .names = "consumer.config",
	    .arg = "config file",
	    .kind = CLI_STRING,
	    .text = "The older name of --command-config." },
	[CONSUMER_FORMATTER] = { .names = "formatter",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .fallback = default_formatter,
	    .text = "Who prints records: Default-, Logging-, NoOp-, Checksum-, Offsets-, "
		    "GroupMetadata-, ConsumerGroup-, ShareGroup-, TransactionLog- or "
		    "ShareGroupStateMessageFormatter, with or without package." },
	[CONSUMER_FORMATTER_PROPERTY] = { .names = "formatter-property property",
	    .arg = "prop",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "How it does that, as key=value:\n"
		    "print.timestamp=true|false\n"
		    "print.key=true|false\n"
		    "print.offset=true|false\n"
		    "print.epoch=true|false\n"
		    "print.partition=true|false\n"
		    "print.headers=true|false\n"
		    "print.value=true|false\n"
		    "key.separator=<key.separator>\n"
		    "line.separator=<line.separator>\n"
		    "headers.separator=<headers.separator>\n"
		    "null.literal=<null.literal>\n"
		    "key.deserializer=<class>\n"
		    "value.deserializer=<class>\n"
		    "headers.deserializer=<class>\n"
		    "Deserializers are those of Kafka for strings, numbers, UUIDs and bytes." },
	[CONSUMER_FORMATTER_CONFIG] = { .names = "formatter-config",
	    .arg = "config file",
	    .kind = CLI_STRING,
	    .text = "The same in a property file; --formatter-property beats it." },
	[CONSUMER_FROM_BEGINNING] = { .names = "from-beginning",
	    .text = "Begin with the oldest record where the group has no offset yet, rather "
		    "than with the next one." },
	[CONSUMER_MAX_MESSAGES] = { .names = "max-messages",
	    .arg = "num_messages",
	    .kind = CLI_LONG,
	    .text = "End after so many records." },
	[CONSUMER_TIMEOUT] = { .names = "timeout-ms",
	    .arg = "timeout_ms",
	    .kind = CLI_LONG,
	    .text = "End when no record came for so long." },
	[CONSUMER_SKIP_ON_ERROR] = { .names = "skip-message-on-error",
	    .text = "Leave out records that cannot be printed, rather than end." },
	[CONSUMER_KEY_DESERIALIZER] = { .names = "key-deserializer",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .text = "The deserializer of keys." },
	[CONSUMER_VALUE_DESERIALIZER] = { .names = "value-deserializer",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .text = "The deserializer of values." },
	[CONSUMER_SYSTEST] = { .names = "enable-systest-events",
	    .text = "Print shutdown_complete at the end." },
	[CONSUMER_ISOLATION] = { .names = "isolation-level",
	    .arg = "level",
	    .kind = CLI_STRING,
	    .fallback = "read_uncommitted",
	    .text = "read_committed leaves out records of transactions that were not "
		    "committed; read_uncommitted prints all." },
	[CONSUMER_GROUP] = { .names = "group",
	    .arg = "consumer group id",
	    .kind = CLI_STRING,
	    .text = "The consumer group; without it one is made up, and nothing committed." },
	[CONSUMER_DELETE_OFFSETS] = { .names = "delete-consumer-offsets", .flags = CLI_HIDDEN },
	[CONSUMER_CSV_REPORTER] = { .names = "csv-reporter-enabled", .flags = CLI_HIDDEN },
	[CONSUMER_METRICS_DIR] = { .names = "metrics-dir",
	    .arg = "metrics directory",
	    .kind = CLI_STRING,
	    .flags = CLI_HIDDEN },
	[CONSUMER_NEW] = { .names = "new-consumer", .flags = CLI_HIDDEN },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0,
	    CLI_BIT(CONSUMER_TOPIC) | CLI_BIT(CONSUMER_INCLUDE) | CLI_BIT(CONSUMER_BLACKLIST),
	    "Exactly one of --topic, --include and --blacklist is required." },
	{ CLI_RULE_EXCLUDES, CLI_OPTION_COMMAND_CONFIG, CLI_BIT(CONSUMER_CONFIG), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	CONSUMER_BATCH_RECORDS = 4096,
	CONSUMER_OUTPUT_BYTES = 256 * OT_KIB,
	CONSUMER_POLL_MS = 100, /* how soon a signal is seen */
	CONSUMER_METADATA_MS = 2000,
};

struct consumer {
	struct cli *cli;
	struct stream stream;
	struct subscription *subscription; /* NULL when a partition was assigned by hand */
	rd_kafka_topic_t *topic;           /* of that one */
	struct formatter *formatter;
	struct ot_writer out;
	struct ot_writer log;
	struct formatter_header *headers; /* heap */
	size_t header_capacity;
	int64_t message_count;
	int64_t message_count_max;
	int64_t timeout_us; /* INT64_MAX: none */
	bool skips_errors;
	bool has_reader; /* somebody takes what is printed */
	bool has_failed;
};

/* ---- settings ------------------------------------------------------------------------------ */

/* The group may be named in three places, by one name only. */
static bool
put_group(struct cli *cli, const char *of_file, const char *of_pairs, struct ot_properties *props)
{
	const char *names[] = { cli_get(&cli->args, CONSUMER_GROUP), of_pairs, of_file };
	const char *group = NULL;
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		if (names[i] != NULL && group != NULL && strcmp(names[i], group) != 0) {
			cli_fail_usage(cli,
			    "The group ids provided in different places (directly using '--group', "
			    "via '--consumer-property', or via '--consumer.config') do not match. "
			    "Detected group ids: '%s', '%s'",
			    group, names[i]);
			return false;
		}
		group = group == NULL ? names[i] : group;
	}
	if (group != NULL && cli_has(&cli->args, CONSUMER_PARTITION)) {
		cli_fail_usage(cli, "Options group and partition cannot be specified together.");
		return false;
	}
	if (group == NULL) {
		group = stream_make_group(cli, "console-consumer");
		/* Nobody will ask for the offsets of a group that was made up. */
		stream_props_put_default(props, "enable.auto.commit", "false");
	}
	stream_props_put(props, "group.id", group);
	return true;
}

static bool
put_offset_reset(struct cli *cli, struct ot_properties *props)
{
	bool from_beginning = cli_has(&cli->args, CONSUMER_FROM_BEGINNING);
	const char *reset = stream_props_get(props, "auto.offset.reset");
	if (reset == NULL) {
		stream_props_put(props, "auto.offset.reset",
		    from_beginning ? "earliest" : "latest");
	} else if (from_beginning && strcmp(reset, "earliest") != 0) {
		cli_fail(cli,
		    "Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', "
		    "please remove one option",
		    reset);
		return false;
	}
	return true;
}

/* What `name` is set to by the pairs of the command line, NULL when by none. */
static const char *
get_pair(struct cli *cli, const char *name)
{
	struct cli_values pairs = cli_get_all(&cli->args, CONSUMER_PROPERTY);
	const char *value = NULL;
	size_t bytes = strlen(name);
	for (size_t i = 0; i < pairs.count; i++) {
		if (strncmp(pairs.items[i], name, bytes) == 0 && pairs.items[i][bytes] == '=')
			value = pairs.items[i] + bytes + 1;
	}
	return value;
}

static bool
load_settings(struct cli *cli, struct ot_properties *ret_props)
{
	if (!stream_props_load(cli, stream_props_file(cli, CONSUMER_CONFIG),
		(struct cli_values){ NULL, 0 }, ret_props))
		return false;
	const char *of_file = stream_props_get(ret_props, "group.id");
	if (of_file != NULL)
		of_file = cli_format(cli, "%s", of_file);
	stream_props_put_pairs(ret_props, cli_get_all(&cli->args, CONSUMER_PROPERTY));
	stream_props_put_default(ret_props, "client.id", "console-consumer");
	stream_props_put_option(cli, ret_props, "isolation.level", CONSUMER_ISOLATION);
	return stream_props_put_servers(cli, ret_props) && put_offset_reset(cli, ret_props) &&
	       put_group(cli, of_file, get_pair(cli, "group.id"), ret_props);
}

static bool
open_formatter(struct consumer *consumer)
{
	struct cli *cli = consumer->cli;
	struct ot_properties props;
	struct ot_why warning = { "" }, why = { "" };
	const char *key = cli_get(&cli->args, CONSUMER_KEY_DESERIALIZER);
	const char *value = cli_get(&cli->args, CONSUMER_VALUE_DESERIALIZER);
	if (!stream_props_load(cli, cli_get(&cli->args, CONSUMER_FORMATTER_CONFIG),
		(struct cli_values){ NULL, 0 }, &props))
		return false;
	if (key != NULL && *key != '\0')
		stream_props_put(&props, "key.deserializer", key);
	if (value != NULL && *value != '\0')
		stream_props_put(&props, "value.deserializer", value);
	stream_props_put_pairs(&props, cli_get_all(&cli->args, CONSUMER_FORMATTER_PROPERTY));
	ot_err err = formatter_create(cli_get(&cli->args, CONSUMER_FORMATTER), &props,
	    &consumer->formatter, &warning, &why);
	ot_properties_fini(&props);
	if (warning.text[0] != '\0')
		stream_log("ERROR", "%s", warning.text);
	if (err != OT_OK)
		cli_fail_usage(cli, "%s", why.text);
	return err == OT_OK;
}

/* ---- where to begin ------------------------------------------------------------------------ */

static bool
check_partition_options(struct cli *cli)
{
	bool has_offset = cli_has(&cli->args, CONSUMER_OFFSET);
	const char *mistake = NULL;
	if (!cli_has(&cli->args, CONSUMER_PARTITION))
		mistake = has_offset ? "The partition is required when offset is specified." : NULL;
	else if (!cli_has(&cli->args, CONSUMER_TOPIC))
		mistake = "The topic is required when partition is specified.";
	else if (has_offset && cli_has(&cli->args, CONSUMER_FROM_BEGINNING))
		mistake = "Options from-beginning and offset cannot be specified together.";
	if (mistake != NULL)
		cli_fail_usage(cli, "%s", mistake);
	return mistake == NULL;
}

static bool
find_offset(struct cli *cli, int64_t *ret_offset)
{
	const char *text = cli_get(&cli->args, CONSUMER_OFFSET);
	if (!cli_has(&cli->args, CONSUMER_OFFSET))
		text = cli_has(&cli->args, CONSUMER_FROM_BEGINNING) ? "earliest" : "latest";
	if (strcasecmp(text, "earliest") == 0) {
		*ret_offset = RD_KAFKA_OFFSET_BEGINNING;
	} else if (strcasecmp(text, "latest") == 0) {
		*ret_offset = RD_KAFKA_OFFSET_END;
	} else if (!cli_number_parse(text, ret_offset) || *ret_offset < 0) {
		cli_fail_usage(cli,
		    "The provided offset value '%s' is incorrect. Valid values are 'earliest', "
		    "'latest', or a non-negative long.",
		    text);
		return false;
	}
	return true;
}

/* Librdkafka looks for the beginning and the end of a partition every half second; if it knows the
 * leader before it is asked to, the first look finds them. False for a topic that has no such
 * partition, which librdkafka would wait for. */
static bool
find_leader(struct consumer *consumer, int32_t partition)
{
	const struct rd_kafka_metadata *metadata;
	const char *name = cli_get(&consumer->cli->args, CONSUMER_TOPIC);
	consumer->topic = rd_kafka_topic_new(consumer->stream.client, name, NULL);
	if (consumer->topic == NULL ||
	    rd_kafka_metadata(consumer->stream.client, 0, consumer->topic, &metadata,
		CONSUMER_METADATA_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return true; /* to be found later */
	const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
	bool is_there = metadata->topic_cnt != 1 || topic->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
	                partition < topic->partition_cnt;
	if (!is_there)
		cli_fail(consumer->cli, "The topic %s has %d partitions, from 0 on: there is no %d",
		    name, topic->partition_cnt, partition);
	rd_kafka_metadata_destroy(metadata);
	return is_there;
}

static bool
assign_partition(struct consumer *consumer, int64_t offset)
{
	struct cli *cli = consumer->cli;
	int32_t partition = (int32_t)cli_get_number(&cli->args, CONSUMER_PARTITION);
	if (!find_leader(consumer, partition))
		return false;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, cli_get(&cli->args, CONSUMER_TOPIC), partition)
	    ->offset = offset;
	rd_kafka_resp_err_t err = rd_kafka_assign(consumer->stream.client, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		cli_fail(cli, "%s", rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool
begin(struct consumer *consumer, int64_t offset, bool includes_internal)
{
	struct cli *cli = consumer->cli;
	if (cli_has(&cli->args, CONSUMER_PARTITION))
		return assign_partition(consumer, offset);
	struct subscription_options wanted = {
		.topic = cli_get(&cli->args, CONSUMER_TOPIC),
		.include = cli_get(&cli->args, CONSUMER_INCLUDE),
		.exclude = cli_get(&cli->args, CONSUMER_BLACKLIST),
		.includes_internal = includes_internal,
	};
	return subscription_open(cli, &consumer->stream, &wanted, &consumer->subscription);
}

/* ---- printing ------------------------------------------------------------------------------ */

static void
lose_reader(struct consumer *consumer)
{
	consumer->has_reader = false;
	if (stream_signal() == 0)
		fprintf(stderr, "Unable to write to standard out, closing consumer.\n");
}

/* Whether nobody takes what is printed any more; seen while there is nothing to print. */
static bool
is_reader_gone(struct consumer *consumer)
{
	struct pollfd polled = { .fd = STDOUT_FILENO };
	if (poll(&polled, 1, 0) <= 0 || (polled.revents & POLLERR) == 0)
		return false;
	lose_reader(consumer);
	return true;
}

static void
flush_output(struct consumer *consumer)
{
	if (consumer->has_reader && consumer->out.bytes > 0 &&
	    !stream_write(STDOUT_FILENO, consumer->out.data, consumer->out.bytes)) {
		/* A reader may have had enough; a full disk is a failure. */
		if (errno != EPIPE && errno != EINTR && errno != EAGAIN) {
			cli_fail(consumer->cli, "standard output cannot be written: %s",
			    strerror(errno));
			consumer->has_failed = true;
		}
		lose_reader(consumer);
	}
	ot_writer_reset(&consumer->out);
}

static void
read_headers(struct consumer *consumer, const rd_kafka_message_t *message,
    struct formatter_record *record)
{
	rd_kafka_headers_t *headers;
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	size_t count = rd_kafka_header_cnt(headers);
	if (count > consumer->header_capacity) {
		ot_free(consumer->headers);
		consumer->headers = ot_must_alloc(count * sizeof(*consumer->headers));
		consumer->header_capacity = count;
	}
	for (size_t i = 0; i < count; i++) {
		const void *value;
		size_t bytes;
		struct formatter_header *header = &consumer->headers[i];
		if (rd_kafka_header_get_all(headers, i, &header->key, &value, &bytes) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
		header->value =
		    value == NULL ? OT_BYTES_NULL : (struct ot_bytes){ value, (int32_t)bytes };
		record->header_count = i + 1;
	}
	record->headers = consumer->headers;
}

static struct ot_bytes
field_of(const void *data, size_t bytes)
{
	return data == NULL ? OT_BYTES_NULL : (struct ot_bytes){ data, (int32_t)bytes };
}

/* Prints one record; false when that ends the work. */
static bool
print_record(struct consumer *consumer, const rd_kafka_message_t *message)
{
	static const enum formatter_time times[] = {
		[RD_KAFKA_TIMESTAMP_NOT_AVAILABLE] = FORMATTER_TIME_NONE,
		[RD_KAFKA_TIMESTAMP_CREATE_TIME] = FORMATTER_TIME_CREATE,
		[RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME] = FORMATTER_TIME_APPEND,
	};
	struct ot_why why = { "" };
	rd_kafka_timestamp_type_t time_type;
	struct formatter_record record = {
		.partition = message->partition,
		.offset = message->offset,
		.timestamp = rd_kafka_message_timestamp(message, &time_type),
		.key = field_of(message->key, message->key_len),
		.value = field_of(message->payload, message->len),
	};
	record.time = times[time_type];
	if (formatter_wants_headers(consumer->formatter))
		read_headers(consumer, message, &record);
	consumer->message_count++;
	ot_err err =
	    formatter_write(consumer->formatter, &record, &consumer->out, &consumer->log, &why);
	if (consumer->log.bytes > 0) {
		stream_log("INFO", "%.*s", (int)consumer->log.bytes,
		    (const char *)consumer->log.data);
		ot_writer_reset(&consumer->log);
	}
	if (err != OT_OK) {
		stream_log("ERROR", "%s (offset %lld of %s-%d): %s",
		    consumer->skips_errors ? "Error processing message, skipping this message"
					   : "Unknown error when running consumer",
		    (long long)message->offset, rd_kafka_topic_name(message->rkt),
		    message->partition, err == OT_ERR_NO_MEMORY ? "no memory" : why.text);
		consumer->has_failed = consumer->has_failed || !consumer->skips_errors;
	}
	if (consumer->out.bytes >= CONSUMER_OUTPUT_BYTES)
		flush_output(consumer);
	return consumer->has_reader && !consumer->has_failed;
}

/* ---- consuming ----------------------------------------------------------------------------- */

/* What librdkafka tells instead of a record. Most of it passes; false for what does not. */
static bool
take_event(struct consumer *consumer, const rd_kafka_message_t *message)
{
	switch (message->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		return true;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR__FATAL:
		stream_log("ERROR",
		    "Error processing message, terminating consumer process: %s: %s",
		    stream_error_name(message->err), rd_kafka_message_errstr(message));
		consumer->has_failed = true;
		return false;
	default:
		stream_log("WARN", "%s%s", consumer->stream.name, rd_kafka_message_errstr(message));
		return true;
	}
}

/* Marks where the group goes on: behind the last record of each partition among the first `count`.
 * Librdkafka hands out a partition's records in a row. */
static void
store_offsets(rd_kafka_message_t *const *batch, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const rd_kafka_message_t *message = batch[i];
		const rd_kafka_message_t *next = i + 1 < count ? batch[i + 1] : NULL;
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
		    (next == NULL || next->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
			next->rkt != message->rkt || next->partition != message->partition))
			rd_kafka_offset_store(message->rkt, message->partition, message->offset);
	}
}

/* Prints the batch; false when that ends the work. */
static bool
take_batch(struct consumer *consumer, rd_kafka_message_t **batch, size_t count)
{
	bool goes_on = true;
	size_t taken_count = 0;
	while (taken_count < count && goes_on) {
		const rd_kafka_message_t *message = batch[taken_count];
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			goes_on = print_record(consumer, message);
		else
			goes_on = take_event(consumer, message);
		taken_count += goes_on;
	}
	flush_output(consumer);
	if (consumer->has_reader)
		store_offsets(batch, taken_count);
	for (size_t i = 0; i < count; i++)
		rd_kafka_message_destroy(batch[i]);
	return goes_on && consumer->has_reader;
}

static void
tell_timeout(void)
{
	stream_log("ERROR", "Error processing message, terminating consumer process:  (ottla "
			    "console-consumer)\norg.apache.kafka.common.errors.TimeoutException");
}

/* Waits for records and takes what there is; false when that ends the work. */
static bool
take_some(struct consumer *consumer, int64_t *last_us)
{
	static rd_kafka_message_t *batch[CONSUMER_BATCH_RECORDS];
	int64_t left = consumer->message_count_max - consumer->message_count;
	size_t room = (size_t)OT_MIN(left, CONSUMER_BATCH_RECORDS);
	int64_t waited_us = stream_now_us() - *last_us;
	if (waited_us > consumer->timeout_us) {
		tell_timeout();
		return false;
	}
	int64_t wait_ms = (consumer->timeout_us - waited_us) / 1000 + 1;
	size_t count =
	    stream_consume(&consumer->stream, batch, room, (int)OT_MIN(wait_ms, CONSUMER_POLL_MS));
	if (count == 0)
		return !is_reader_gone(consumer);
	int64_t before = consumer->message_count;
	bool goes_on = take_batch(consumer, batch, count);
	if (consumer->message_count > before)
		*last_us = stream_now_us();
	return goes_on;
}

static void
consume(struct consumer *consumer)
{
	int64_t last_us = stream_now_us();
	while (consumer->message_count < consumer->message_count_max && stream_signal() == 0 &&
	       !consumer->stream.has_failed) {
		if (consumer->subscription != NULL)
			subscription_refresh(consumer->subscription);
		if (!take_some(consumer, &last_us))
			break;
	}
}

/* ---- running ------------------------------------------------------------------------------- */

static bool
open_consumer(struct consumer *consumer)
{
	struct cli *cli = consumer->cli;
	struct ot_properties props;
	int64_t offset = 0;
	if (!find_offset(cli, &offset) || !load_settings(cli, &props))
		return false;
	const char *excludes = stream_props_get(&props, "exclude.internal.topics");
	bool includes_internal = excludes != NULL && strcasecmp(excludes, "false") == 0;
	rd_kafka_conf_t *conf =
	    stream_conf_create(cli, OT_CLIENT_CONSUMER, &props, &consumer->stream);
	ot_properties_fini(&props);
	if (conf == NULL)
		return false;
	stream_conf_put(conf, "enable.auto.offset.store", "false");
	if (!stream_open(cli, OT_CLIENT_CONSUMER, conf, &consumer->stream))
		return false;
	return begin(consumer, offset, includes_internal);
}

static void
read_options(struct consumer *consumer)
{
	const struct cli_args *args = &consumer->cli->args;
	consumer->message_count_max = INT64_MAX;
	consumer->timeout_us = INT64_MAX;
	consumer->skips_errors = cli_has(args, CONSUMER_SKIP_ON_ERROR);
	if (cli_has(args, CONSUMER_MAX_MESSAGES) &&
	    cli_get_number(args, CONSUMER_MAX_MESSAGES) >= 0)
		consumer->message_count_max = cli_get_number(args, CONSUMER_MAX_MESSAGES);
	if (cli_has(args, CONSUMER_TIMEOUT) && cli_get_number(args, CONSUMER_TIMEOUT) >= 0)
		consumer->timeout_us = cli_get_number(args, CONSUMER_TIMEOUT) * 1000;
}

static void
close_consumer(struct consumer *consumer)
{
	subscription_close(consumer->subscription);
	if (consumer->topic != NULL)
		rd_kafka_topic_destroy(consumer->topic);
	stream_close(&consumer->stream);
	formatter_destroy(consumer->formatter);
	ot_writer_fini(&consumer->out);
	ot_writer_fini(&consumer->log);
	ot_free(consumer->headers);
}

static int
run(struct cli *cli)
{
	struct consumer consumer = { .cli = cli, .has_reader = true };
	ot_writer_init(&consumer.out);
	ot_writer_init(&consumer.log);
	read_options(&consumer);
	bool is_open =
	    check_partition_options(cli) && open_formatter(&consumer) && open_consumer(&consumer);
	if (is_open) {
		stream_catch_signals();
		consume(&consumer);
	}
	close_consumer(&consumer);
	if (!is_open)
		return CLI_EXIT_FAILURE;
	fprintf(stderr, "Processed a total of %lld messages\n", (long long)consumer.message_count);
	if (cli_has(&cli->args, CONSUMER_SYSTEST))
		printf("shutdown_complete\n");
	return stream_exit(!consumer.has_failed && !consumer.stream.has_failed);
}

const struct cli_tool cli_console_consumer_tool = {
	.self = {
		.name = "console-consumer",
		.summary = "Print the records of topics.",
		.purpose = "Reads records from topics and prints them to standard output.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ConsoleConsumer",
};
