/* kafka-console-producer: each line of standard input becomes a record.
 *
 * Lines are read in large pieces and handed to librdkafka without a copy in between; it is polled
 * when its queue is full, and woken up for when it has an answer that matters. At the end of the
 * input, and at SIGINT or SIGTERM, everything that was read is sent.
 *
 * Where nobody chooses, a batch is eight times as large as Kafka's: with its 16 KiB, half of the
 * time would be spent on requests (3.9 s of CPU for 2 million lines of 100 bytes, not 1.1 s).
 */
#include "cli/tools_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "cli/line_input_int.h"
#include "cli/line_reader_int.h"
#include "cli/stream_int.h"

enum {
	PRODUCER_TOPIC = CLI_OPTION_CONNECT_COUNT,
	PRODUCER_SYNC,
	PRODUCER_COMPRESSION,
	PRODUCER_BATCH_SIZE,
	PRODUCER_RETRIES,
	PRODUCER_RETRY_BACKOFF,
	PRODUCER_TIMEOUT,
	PRODUCER_ACKS,
	PRODUCER_REQUEST_TIMEOUT,
	PRODUCER_METADATA_EXPIRY,
	PRODUCER_MAX_BLOCK,
	PRODUCER_MEMORY,
	PRODUCER_PARTITION_MEMORY,
	PRODUCER_LINE_READER,
	PRODUCER_SOCKET_BUFFER,
	PRODUCER_READER_PROPERTY,
	PRODUCER_READER_CONFIG,
	PRODUCER_PROPERTY,
	PRODUCER_CONFIG,
	PRODUCER_KEY_SERIALIZER,
	PRODUCER_VALUE_SERIALIZER,
	PRODUCER_QUEUE_SIZE,
	PRODUCER_QUEUE_TIMEOUT,
	PRODUCER_OLD,
	PRODUCER_NEW,
};

static const char reader_class[] = "org.apache.kafka.tools.LineMessageReader";

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[PRODUCER_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED,
	    .text = "The topic to produce records to." },
	[PRODUCER_SYNC] = { .names = "sync",
	    .text = "Send one record at a time, and wait for its answer." },
	[PRODUCER_COMPRESSION] = { .names = "compression-codec",
	    .arg = "compression-codec",
	    .kind = CLI_STRING,
	    .flags = CLI_OPTIONAL,
	    .text = "none, gzip, snappy, lz4 or zstd; gzip when it is given without a name." },
	[PRODUCER_BATCH_SIZE] = { .names = "batch-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "131072",
	    .text = "Bytes of a batch, unless --max-partition-memory-bytes says it." },
	[PRODUCER_RETRIES] = { .names = "message-send-max-retries",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .fallback = "3",
	    .text = "How often a batch is sent again before its records are given up "
		    "(retries of a producer)." },
	[PRODUCER_RETRY_BACKOFF] = { .names = "retry-backoff-ms",
	    .arg = "ms",
	    .kind = CLI_LONG,
	    .fallback = "100",
	    .text = "The wait before that (retry.backoff.ms)." },
	[PRODUCER_TIMEOUT] = { .names = "timeout",
	    .arg = "timeout_ms",
	    .kind = CLI_LONG,
	    .fallback = "1000",
	    .text = "How long a record may wait for others of its batch (linger.ms)." },
	[PRODUCER_ACKS] = { .names = "request-required-acks",
	    .arg = "request required acks",
	    .kind = CLI_STRING,
	    .fallback = "-1",
	    .text = "How many replicas must have a record: 0, 1, or all (-1)." },
	[PRODUCER_REQUEST_TIMEOUT] = { .names = "request-timeout-ms",
	    .arg = "request timeout ms",
	    .kind = CLI_INTEGER,
	    .fallback = "1500",
	    .text = "How long an answer may take (request.timeout.ms)." },
	[PRODUCER_METADATA_EXPIRY] = { .names = "metadata-expiry-ms",
	    .arg = "metadata expiration interval",
	    .kind = CLI_LONG,
	    .fallback = "300000",
	    .text = "How often the brokers are asked who leads what (metadata.max.age.ms)." },
	[PRODUCER_MAX_BLOCK] = { .names = "max-block-ms",
	    .arg = "max block on send",
	    .kind = CLI_LONG,
	    .fallback = "60000",
	    .text = "How long records wait for the first answer of any broker before they are "
		    "given up (max.block.ms)." },
	[PRODUCER_MEMORY] = { .names = "max-memory-bytes",
	    .arg = "total memory in bytes",
	    .kind = CLI_LONG,
	    .fallback = "33554432",
	    .text = "Memory for records that wait to be sent (buffer.memory)." },
	[PRODUCER_PARTITION_MEMORY] = { .names = "max-partition-memory-bytes",
	    .arg = "memory in bytes per partition",
	    .kind = CLI_INTEGER,
	    .fallback = "131072",
	    .text = "Bytes of a batch (batch.size)." },
	[PRODUCER_LINE_READER] = { .names = "line-reader",
	    .arg = "reader_class",
	    .kind = CLI_STRING,
	    .fallback = reader_class,
	    .text = "Who makes records of lines; there is this one." },
	[PRODUCER_SOCKET_BUFFER] = { .names = "socket-buffer-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "102400",
	    .text = "Bytes of a connection's buffer (send.buffer.bytes)." },
	[PRODUCER_READER_PROPERTY] = { .names = "reader-property property",
	    .arg = "prop",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "How lines are read, as key=value:\n"
		    "parse.key=false\n"
		    "parse.headers=false\n"
		    "ignore.error=false\n"
		    "key.separator=\\t\n"
		    "headers.delimiter=\\t\n"
		    "headers.separator=,\n"
		    "headers.key.separator=:\n"
		    "null.marker=  (a field that equals it is null)\n"
		    "lines.end.at=lf  (or any: at \\r and \\r\\n too)\n"
		    "With parse.headers=true and parse.key=true a line is "
		    "\"h1:v1,h2:v2...\\tkey\\tvalue\"." },
	[PRODUCER_READER_CONFIG] = { .names = "reader-config",
	    .arg = "config file",
	    .kind = CLI_STRING,
	    .text = "The same in a property file; --reader-property beats it." },
	[PRODUCER_PROPERTY] = { .names = "command-property producer-property",
	    .arg = "producer_prop",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A setting of the producer, as key=value." },
	[PRODUCER_CONFIG] = { .names = "producer.config",
	    .arg = "config file",
	    .kind = CLI_STRING,
	    .text = "The older name of --command-config." },
	[PRODUCER_KEY_SERIALIZER] = { .names = "key-serializer",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .flags = CLI_HIDDEN },
	[PRODUCER_VALUE_SERIALIZER] = { .names = "value-serializer",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .flags = CLI_HIDDEN },
	[PRODUCER_QUEUE_SIZE] = { .names = "queue-size",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PRODUCER_QUEUE_TIMEOUT] = { .names = "queue-enqueuetimeout-ms",
	    .arg = "ms",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN },
	[PRODUCER_OLD] = { .names = "old-producer", .flags = CLI_HIDDEN },
	[PRODUCER_NEW] = { .names = "new-producer", .flags = CLI_HIDDEN },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_EXCLUDES, CLI_OPTION_COMMAND_CONFIG, CLI_BIT(PRODUCER_CONFIG), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	PRODUCER_STICKY_BYTES = 128 * 1024, /* a batch, as large as it is by default */
	PRODUCER_POLL_MS = 100,             /* how soon a signal is seen while the queue is full */
};

struct producer {
	struct cli *cli;
	struct stream stream;
	rd_kafka_topic_t *topic;
	struct line_input input;
	struct line_reader reader;
	const char *topic_name;
	uint64_t failed_count;
	uint64_t answered_count;  /* of --sync */
	struct ot_counter sticky; /* the partition of lines without a key; -1: to be chosen */
	size_t sticky_bytes;      /* that went to it */
	bool is_sync;
	bool has_prompt;
	int wake_read; /* librdkafka writes a byte when it has something to tell */
	int wake_write;
};

/* ---- settings ------------------------------------------------------------------------------ */

static const char *
compression(const struct cli *cli)
{
	if (!cli_has(&cli->args, PRODUCER_COMPRESSION))
		return "none";
	const char *codec = cli_get(&cli->args, PRODUCER_COMPRESSION);
	return codec == NULL || *codec == '\0' ? "gzip" : codec;
}

/* A person waits for each line to arrive, a program for all of them. */
static void
put_linger(struct cli *cli, struct ot_properties *props)
{
	if (!cli_has(&cli->args, PRODUCER_TIMEOUT) && isatty(STDIN_FILENO) == 1)
		stream_props_put_default(props, "linger.ms", "0");
	stream_props_put_option(cli, props, "linger.ms", PRODUCER_TIMEOUT);
}

static bool
load_settings(struct cli *cli, struct ot_properties *ret_props)
{
	if (!stream_props_load(cli, stream_props_file(cli, PRODUCER_CONFIG),
		cli_get_all(&cli->args, PRODUCER_PROPERTY), ret_props))
		return false;
	struct ot_properties *props = ret_props;
	if (cli_has(&cli->args, PRODUCER_COMPRESSION))
		stream_props_put(props, "compression.type", compression(cli));
	stream_props_put_default(props, "client.id", "console-producer");
	put_linger(cli, props);
	stream_props_put_option(cli, props, "acks", PRODUCER_ACKS);
	stream_props_put_option(cli, props, "request.timeout.ms", PRODUCER_REQUEST_TIMEOUT);
	stream_props_put_option(cli, props, "retries", PRODUCER_RETRIES);
	stream_props_put_option(cli, props, "retry.backoff.ms", PRODUCER_RETRY_BACKOFF);
	stream_props_put_option(cli, props, "send.buffer.bytes", PRODUCER_SOCKET_BUFFER);
	stream_props_put_option(cli, props, "buffer.memory", PRODUCER_MEMORY);
	stream_props_put_option(cli, props, "batch.size", PRODUCER_BATCH_SIZE);
	stream_props_put_option(cli, props, "batch.size", PRODUCER_PARTITION_MEMORY);
	stream_props_put_option(cli, props, "metadata.max.age.ms", PRODUCER_METADATA_EXPIRY);
	stream_props_put_option(cli, props, "max.block.ms", PRODUCER_MAX_BLOCK);
	return stream_props_put_servers(cli, props);
}

static bool
open_reader(struct producer *producer)
{
	struct cli *cli = producer->cli;
	const char *class_name = cli_get(&cli->args, PRODUCER_LINE_READER);
	const char *dot = strrchr(class_name, '.');
	struct ot_properties props;
	struct ot_why why = { "" };
	/* Up to 0.11 the class stood inside another one: ConsoleProducer$LineMessageReader. */
	const char *dollar = strrchr(class_name, '$');
	const char *last = dollar != NULL ? dollar + 1 : dot != NULL ? dot + 1 : class_name;
	if (strcmp(last, "LineMessageReader") != 0) {
		cli_fail(cli, "%s is no line reader that is here; there is %s", class_name,
		    reader_class);
		return false;
	}
	if (!stream_props_load(cli, cli_get(&cli->args, PRODUCER_READER_CONFIG),
		cli_get_all(&cli->args, PRODUCER_READER_PROPERTY), &props))
		return false;
	ot_err err = line_reader_init(&producer->reader, &props, &why);
	ot_properties_fini(&props);
	if (err != OT_OK)
		cli_fail(cli, "org.apache.kafka.common.KafkaException: %s", why.text);
	return err == OT_OK;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* A field as librdkafka takes it: it only reads what it is given as void *. */
struct field {
	void *data;
	size_t bytes;
};

static struct field
field_of(struct ot_bytes bytes)
{
	if (bytes.len < 0)
		return (struct field){ NULL, 0 };
	return (struct field){ (void *)(uintptr_t)bytes.data, (size_t)bytes.len };
}

static const char *
describe(char *room, size_t bytes_max, struct field field)
{
	if (field.data == NULL)
		return "null";
	snprintf(room, bytes_max, "%zu bytes", field.bytes);
	return room;
}

/* The two lines that Kafka's ErrorLoggingCallback writes. */
static void
tell_failure(struct producer *producer, rd_kafka_resp_err_t err, struct field key,
    struct field value)
{
	char key_text[32], value_text[32];
	producer->failed_count++;
	if (producer->stream.has_failed)
		return; /* the reason and the number of all of them are told together */
	stream_log("ERROR",
	    "Error when sending message to topic %s with key: %s, value: %s with error:\n%s: %s",
	    producer->topic_name, describe(key_text, sizeof(key_text), key),
	    describe(value_text, sizeof(value_text), value), stream_error_name(err),
	    rd_kafka_err2str(err));
}

static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct stream *stream = opaque;
	struct producer *producer = OT_CONTAINER_OF(stream, struct producer, stream);
	(void)client;
	producer->answered_count++;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		tell_failure(producer, message->err,
		    (struct field){ message->key, message->key_len },
		    (struct field){ message->payload, message->len });
}

/* ---- sending ------------------------------------------------------------------------------- */

static rd_kafka_headers_t *
make_headers(const struct line_record *record)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
	for (size_t i = 0; i < record->header_count; i++) {
		const struct line_header *header = &record->headers[i];
		bool is_null = header->value.len < 0;
		rd_kafka_header_add(headers, header->key.data, header->key.len,
		    is_null ? NULL : header->value.data, is_null ? 0 : header->value.len);
	}
	return headers;
}

static rd_kafka_resp_err_t
produce_with_headers(struct producer *producer, const struct line_record *record)
{
	struct field key = field_of(record->key);
	struct field value = field_of(record->value);
	rd_kafka_headers_t *headers = make_headers(record);
	rd_kafka_resp_err_t err = rd_kafka_producev(producer->stream.client,
	    RD_KAFKA_V_RKT(producer->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_KEY(key.data, key.bytes), RD_KAFKA_V_VALUE(value.data, value.bytes),
	    RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return err;
}

/* ---- partitions ---------------------------------------------------------------------------- */

/* A key decides by its hash, as in Java. Lines without one stay together, in a partition that
 * changes when it has had so much (KIP-480): who reads few lines reads them in order. librdkafka
 * has the same, but not before it has a connection to the partition's leader: the first lines of a
 * program would go here and there. Called on any thread. */
static int32_t
choose_partition(const rd_kafka_topic_t *topic, const void *key, size_t key_bytes, int32_t count,
    void *arg, void *record_arg)
{
	struct producer *producer = arg;
	if (key != NULL)
		return rd_kafka_msg_partitioner_murmur2(topic, key, key_bytes, count, arg,
		    record_arg);
	int64_t sticky = ot_counter_get(&producer->sticky);
	if (sticky < 0 || sticky >= count) {
		sticky = rd_kafka_msg_partitioner_random(topic, NULL, 0, count, arg, record_arg);
		ot_counter_set(&producer->sticky, sticky);
	}
	return (int32_t)sticky;
}

static void
note_sticky(struct producer *producer, const struct line_record *record)
{
	if (record->key.len >= 0)
		return;
	producer->sticky_bytes += (size_t)OT_MAX(record->value.len, 0);
	if (producer->sticky_bytes < PRODUCER_STICKY_BYTES)
		return;
	producer->sticky_bytes = 0;
	ot_counter_set(&producer->sticky, -1);
}

/* ---- sending ------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t
produce(struct producer *producer, const struct line_record *record)
{
	if (record->header_count > 0)
		return produce_with_headers(producer, record);
	struct field key = field_of(record->key);
	struct field value = field_of(record->value);
	int status = rd_kafka_produce(producer->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
	    value.data, value.bytes, key.data, key.bytes, NULL);
	return status == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
}

static void
await_answer(struct producer *producer)
{
	uint64_t before = producer->answered_count;
	while (producer->answered_count == before && stream_signal() == 0 &&
	       stream_can_send(&producer->stream))
		rd_kafka_flush(producer->stream.client, PRODUCER_POLL_MS);
}

/* Sends one record; false when no more are to be sent. */
static bool
send_record(struct producer *producer, const struct line_record *record)
{
	rd_kafka_resp_err_t err = produce(producer, record);
	while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && stream_can_send(&producer->stream)) {
		rd_kafka_poll(producer->stream.client, PRODUCER_POLL_MS);
		err = produce(producer, record);
	}
	note_sticky(producer, record);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		tell_failure(producer, err, field_of(record->key), field_of(record->value));
	else if (producer->is_sync)
		await_answer(producer);
	bool is_over = producer->is_sync && producer->failed_count > 0;
	return !is_over && !producer->stream.has_failed;
}

/* Waits for input, and meanwhile tells of records that were not delivered. */
static bool
fill_input(struct producer *producer)
{
	for (;;) {
		char drain[64];
		struct line_input *in = &producer->input;
		size_t before = in->end - in->begin;
		stream_wait_readable(in->fd, producer->wake_read);
		while (read(producer->wake_read, drain, sizeof(drain)) > 0)
			rd_kafka_poll(producer->stream.client, 0);
		if (stream_signal() != 0 || producer->stream.has_failed)
			return false;
		ot_err err = line_input_fill(in);
		if (err != OT_OK) {
			cli_fail(producer->cli, "standard input cannot be read: %s",
			    err == OT_ERR_NO_MEMORY ? "a line is too long" : strerror(errno));
			producer->failed_count++;
			return false;
		}
		if (in->is_at_end || in->end - in->begin > before)
			return true;
	}
}

/* Reads and sends until the end of the input, a signal, or a failure. */
static void
send_lines(struct producer *producer)
{
	struct ot_bytes line = OT_BYTES_NULL;
	struct line_record record;
	struct ot_why why = { "" };
	bool is_asked = false;
	for (;;) {
		enum line_input_state state = line_input_next(&producer->input, &line);
		if (producer->has_prompt && !is_asked)
			stream_write(STDOUT_FILENO, ">", 1);
		is_asked = state == LINE_INPUT_MORE;
		if (state == LINE_INPUT_END || (is_asked && !fill_input(producer)))
			return;
		if (is_asked)
			continue;
		if (line_reader_parse(&producer->reader, line, &record, &why) != OT_OK) {
			cli_fail(producer->cli, "org.apache.kafka.common.KafkaException: %s",
			    why.text);
			producer->failed_count++;
			return;
		}
		if (!send_record(producer, &record))
			return;
	}
}

/* ---- running ------------------------------------------------------------------------------- */

/* Lets librdkafka wake the wait for input when it has something to tell. */
static void
open_wake(struct producer *producer)
{
	int ends[2];
	producer->wake_read = producer->wake_write = -1;
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
		return;
	producer->wake_read = ends[0];
	producer->wake_write = ends[1];
	rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->stream.client);
	rd_kafka_queue_io_event_enable(queue, producer->wake_write, "w", 1);
	rd_kafka_queue_destroy(queue);
}

static bool
open_producer(struct producer *producer)
{
	struct cli *cli = producer->cli;
	struct ot_properties props;
	if (!load_settings(cli, &props))
		return false;
	rd_kafka_conf_t *conf =
	    stream_conf_create(cli, OT_CLIENT_PRODUCER, &props, &producer->stream);
	bool has_partitioner = stream_props_get(&props, "partitioner.class") != NULL ||
	                       stream_props_get(&props, "partitioner") != NULL;
	ot_properties_fini(&props);
	if (conf == NULL)
		return false;
	stream_conf_put(conf, "queue.buffering.max.messages", "1000000");
	/* The answers that say that all is well are many, and nobody waits for them. */
	stream_conf_put(conf, "delivery.report.only.error", producer->is_sync ? "false" : "true");
	/* Else librdkafka does not ask for the partition of a record without a key. */
	if (!has_partitioner)
		stream_conf_put(conf, "sticky.partitioning.linger.ms", "0");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	if (!stream_open(cli, OT_CLIENT_PRODUCER, conf, &producer->stream))
		return false;
	rd_kafka_topic_conf_t *topic_conf =
	    rd_kafka_default_topic_conf_dup(producer->stream.client);
	rd_kafka_topic_conf_set_opaque(topic_conf, producer);
	if (!has_partitioner)
		rd_kafka_topic_conf_set_partitioner_cb(topic_conf, choose_partition);
	producer->topic =
	    rd_kafka_topic_new(producer->stream.client, producer->topic_name, topic_conf);
	if (producer->topic == NULL) {
		cli_fail(cli, "The topic %s: %s", producer->topic_name,
		    rd_kafka_err2str(rd_kafka_last_error()));
		return false;
	}
	open_wake(producer);
	return true;
}

static int
run(struct cli *cli)
{
	struct producer producer = { .cli = cli,
		.topic_name = cli_get(&cli->args, PRODUCER_TOPIC),
		.is_sync = cli_has(&cli->args, PRODUCER_SYNC),
		.has_prompt = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1,
		.sticky = { -1 },
		.wake_read = -1,
		.wake_write = -1 };
	bool is_open = open_reader(&producer) && open_producer(&producer);
	if (is_open) {
		stream_catch_signals();
		line_input_init(&producer.input, STDIN_FILENO, producer.reader.ends_at_cr);
		send_lines(&producer);
		/* Sends what is left. A second signal ends the process, this does not wait for. */
		stream_finish_sending(&producer.stream);
		line_input_fini(&producer.input);
	}
	if (producer.topic != NULL)
		rd_kafka_topic_destroy(producer.topic);
	stream_close(&producer.stream);
	line_reader_fini(&producer.reader);
	close(producer.wake_read);
	close(producer.wake_write);
	return stream_exit(is_open && producer.failed_count == 0 && !producer.stream.has_failed);
}

const struct cli_tool cli_console_producer_tool = {
	.self = {
		.name = "console-producer",
		.summary = "Send lines of standard input as records.",
		.purpose = "Reads lines from standard input and sends each as a record to a topic.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ConsoleProducer",
};
