#include "cli/stream_int.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/panic.h"
#include "cli/date_format_int.h"

enum {
	STREAM_GROUP_NUMBERS = 100000,           /* as many names as Kafka's tools choose from */
	STREAM_POLL_MS = 100,                    /* how soon a signal is seen */
	STREAM_SIGNAL_WAIT_US = 3 * 1000 * 1000, /* for a first answer, after a signal */
};

static const char max_block_ms[] = "60000"; /* of Java's producers */

/* ---- settings ------------------------------------------------------------------------------ */

void
stream_props_put(struct ot_properties *props, const char *name, const char *value)
{
	if (ot_properties_put(props, ot_str_from(name), ot_str_from(value), 0) != OT_OK)
		OT_PANIC("no memory");
}

void
stream_props_put_default(struct ot_properties *props, const char *name, const char *value)
{
	if (ot_properties_find(props, ot_str_from(name)) == NULL)
		stream_props_put(props, name, value);
}

void
stream_props_put_option(struct cli *cli, struct ot_properties *props, const char *name,
    unsigned option)
{
	const char *value = cli_get(&cli->args, option);
	if (value == NULL)
		return;
	if (cli_has(&cli->args, option))
		stream_props_put(props, name, value);
	else
		stream_props_put_default(props, name, value);
}

const char *
stream_props_get(const struct ot_properties *props, const char *name)
{
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	return item != NULL ? item->value.data : NULL;
}

/* "key=value", "key=" and, for an empty value as well, "key". */
static void
put_pair(struct ot_properties *props, const char *pair)
{
	const char *equals = strchrnul(pair, '=');
	struct ot_str name = { pair, (int32_t)(equals - pair) };
	struct ot_str value = ot_str_from(*equals == '=' ? equals + 1 : "");
	if (ot_properties_put(props, name, value, 0) != OT_OK)
		OT_PANIC("no memory");
}

void
stream_props_put_pairs(struct ot_properties *props, struct cli_values pairs)
{
	for (size_t i = 0; i < pairs.count; i++)
		put_pair(props, pairs.items[i]);
}

bool
stream_props_put_servers(struct cli *cli, struct ot_properties *props)
{
	const char *servers = cli_bootstrap(cli);
	if (servers != NULL)
		stream_props_put(props, "bootstrap.servers", servers);
	servers = stream_props_get(props, "bootstrap.servers");
	if (servers == NULL || *servers == '\0') {
		cli_fail_usage(cli, "--bootstrap-server must be specified");
		return false;
	}
	return true;
}

bool
stream_props_load(struct cli *cli, const char *file, struct cli_values pairs,
    struct ot_properties *ret_props)
{
	if (file == NULL)
		ot_properties_init(ret_props, "command line");
	else if (!cli_load_properties(cli, file, ret_props))
		return false;
	stream_props_put_pairs(ret_props, pairs);
	return true;
}

const char *
stream_props_file(const struct cli *cli, unsigned old_option)
{
	const char *file = cli_get(&cli->args, CLI_OPTION_COMMAND_CONFIG);
	return file != NULL ? file : cli_get(&cli->args, old_option);
}

const char *
stream_make_group(struct cli *cli, const char *prefix)
{
	uint64_t random = 0;
	if (getentropy(&random, sizeof(random)) != 0)
		random = (uint64_t)stream_now_us();
	return cli_format(cli, "%s-%u", prefix, (unsigned)(random % STREAM_GROUP_NUMBERS));
}

/* ---- the log ------------------------------------------------------------------------------- */

void
stream_log(const char *level, const char *fmt, ...)
{
	char line[2048];
	struct ot_text text = OT_TEXT(line);
	char message[1600];
	va_list args;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	ot_text_put(&text, "[");
	date_format_put("yyyy-MM-dd HH:mm:ss,SSS", stream_wall_ms(), &text);
	ot_text_put(&text, "] %s %s\n", level, message);
	fflush(stdout);
	fputs(line, stderr);
}

/* Librdkafka puts its thread before what it says. */
static const char *
without_thread(const char *text)
{
	const char *end = text[0] == '[' ? strstr(text, "]: ") : NULL;
	return end != NULL ? end + strlen("]: ") : text;
}

static void
on_log(const rd_kafka_t *client, int level, const char *area, const char *text)
{
	const struct stream *stream = rd_kafka_opaque(client);
	if (level <= 4) /* of syslog: warnings and what is worse */
		stream_log("WARN", "%s%s (librdkafka %s)", stream->name, without_thread(text),
		    area);
}

/* ---- a client ------------------------------------------------------------------------------ */

static bool
is_authentication(int err)
{
	return err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
	       err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM;
}

/* Broken connections were logged already, and librdkafka makes new ones. */
static void
on_error(rd_kafka_t *client, int err, const char *reason, void *opaque)
{
	struct stream *stream = opaque;
	char fatal[512];
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		rd_kafka_resp_err_t cause = rd_kafka_fatal_error(client, fatal, sizeof(fatal));
		stream_log("ERROR", "%s%s: %s", stream->name, stream_error_name(cause), fatal);
		stream->has_failed = true;
	} else if (is_authentication(err)) {
		stream_log("ERROR", "%sAuthentication failed: %s", stream->name, reason);
		stream->has_failed = true;
	} else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !stream->is_unreachable) {
		stream->is_unreachable = true;
		stream_log("WARN",
		    "%sno broker can be reached at %s, trying again. Does a broker run there?",
		    stream->name, stream->servers);
	}
}

enum { OF_PRODUCER = 1 << OT_CLIENT_PRODUCER, OF_CONSUMER = 1 << OT_CLIENT_CONSUMER };

/* Defaults of Java's clients, in librdkafka's words, where they decide what is measured or seen:
 * a megabyte in each batch and a gigabyte in the queue are another test than Kafka's. */
static const struct {
	const char *name, *value;
	unsigned kinds;
} java_defaults[] = {
	{ "socket.nagle.disable", "true", OF_PRODUCER | OF_CONSUMER },
	{ "log.connection.close", "false", OF_PRODUCER | OF_CONSUMER },
	{ "reconnect.backoff.max.ms", "1000", OF_PRODUCER | OF_CONSUMER },
	{ "allow.auto.create.topics", "true", OF_CONSUMER },
	{ "check.crcs", "true", OF_CONSUMER },
	/* No default of Java's: librdkafka looks but once a second whether a full queue has room
	 * again, and a tenth of a second's records would be all that a slow reader of ours gets in
	 * one. */
	{ "queued.min.messages", "500000", OF_CONSUMER },
	{ "batch.size", "16384", OF_PRODUCER },
	{ "queue.buffering.max.kbytes", "32768", OF_PRODUCER },
	{ "message.max.bytes", "1048576", OF_PRODUCER },
	{ "message.timeout.ms", "120000", OF_PRODUCER },
};

void
stream_conf_put(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[400];
	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		OT_PANIC("librdkafka: %s", reason);
}

static bool
set_one(struct cli *cli, rd_kafka_conf_t *conf, const struct ot_config_pair *pair)
{
	char reason[400];
	switch (
	    rd_kafka_conf_set(conf, pair->name.data, pair->value.data, reason, sizeof(reason))) {
	case RD_KAFKA_CONF_OK:
		break;
	case RD_KAFKA_CONF_UNKNOWN:
		stream_log("WARN", "The configuration '%s' was supplied but isn't a known config.",
		    pair->name.data);
		break;
	default:
		cli_fail(cli, "%s=%s is not valid: %s", pair->name.data, pair->value.data, reason);
		return false;
	}
	return true;
}

static bool
tell_notes(struct cli *cli, const struct ot_config_notes *notes)
{
	for (const struct ot_config_note *note = notes->first; note != NULL; note = note->next) {
		if (note->is_error)
			cli_fail(cli, "%s", note->text);
		else
			stream_log("WARN", "%s", note->text);
	}
	return notes->error_count == 0;
}

static bool
set_all(struct cli *cli, enum ot_client_kind kind, const struct ot_properties *props,
    rd_kafka_conf_t *conf)
{
	struct ot_config_notes notes;
	struct ot_config_pair *pairs = NULL;
	size_t count = 0;
	ot_config_notes_init(&notes);
	ot_err err = ot_client_translate(kind, props, &cli->arena, &pairs, &count, &notes);
	bool is_done = tell_notes(cli, &notes) && err == OT_OK;
	ot_config_notes_fini(&notes);
	for (size_t i = 0; i < OT_ARRAY_COUNT(java_defaults); i++) {
		if (java_defaults[i].kinds & 1u << kind)
			stream_conf_put(conf, java_defaults[i].name, java_defaults[i].value);
	}
	for (size_t i = 0; i < count && is_done; i++)
		is_done = set_one(cli, conf, &pairs[i]);
	return is_done;
}

static void
name_stream(struct stream *stream, enum ot_client_kind kind, const struct ot_properties *props)
{
	struct ot_text text = OT_TEXT(stream->name);
	const char *client_id = stream_props_get(props, "client.id");
	const char *group = stream_props_get(props, "group.id");
	ot_text_put(&text, "[%s clientId=%s", kind == OT_CLIENT_PRODUCER ? "Producer" : "Consumer",
	    client_id != NULL ? client_id : "");
	if (kind == OT_CLIENT_CONSUMER && group != NULL)
		ot_text_put(&text, ", groupId=%s", group);
	ot_text_put(&text, "] ");
}

rd_kafka_conf_t *
stream_conf_create(struct cli *cli, enum ot_client_kind kind, const struct ot_properties *props,
    struct stream *stream)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const char *servers = stream_props_get(props, "bootstrap.servers");
	const char *block_ms = stream_props_get(props, "max.block.ms");
	*stream = (struct stream){ .client = NULL };
	const char *makes_topics = stream_props_get(props, "allow.auto.create.topics");
	stream->makes_topics = makes_topics == NULL || strcasecmp(makes_topics, "false") != 0;
	stream->servers = cli_format(cli, "%s", servers != NULL ? servers : "");
	stream->block_us = strtoll(block_ms != NULL ? block_ms : max_block_ms, NULL, 10);
	stream->block_us = OT_MIN(stream->block_us, INT64_MAX / 2000) * 1000;
	name_stream(stream, kind, props);
	rd_kafka_conf_set_opaque(conf, stream);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_error_cb(conf, on_error);
	if (set_all(cli, kind, props, conf))
		return conf;
	rd_kafka_conf_destroy(conf);
	return NULL;
}

bool
stream_open(struct cli *cli, enum ot_client_kind kind, rd_kafka_conf_t *conf, struct stream *stream)
{
	char reason[400];
	rd_kafka_type_t type = kind == OT_CLIENT_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
	stream->client = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (stream->client == NULL) {
		rd_kafka_conf_destroy(conf);
		cli_fail(cli, "%s", reason);
		return false;
	}
	if (kind == OT_CLIENT_CONSUMER) {
		rd_kafka_poll_set_consumer(stream->client);
		stream->queue = rd_kafka_queue_get_consumer(stream->client);
	}
	return true;
}

/* The id of the cluster comes with the first answer that tells of brokers and topics. */
static bool
find_cluster(struct stream *stream)
{
	char *id = stream->is_reached ? NULL : rd_kafka_clusterid(stream->client, 0);
	stream->is_reached = stream->is_reached || id != NULL;
	rd_kafka_mem_free(stream->client, id);
	return stream->is_reached;
}

/* Whether a signal ends the wait for a first answer. One that comes when the process has just begun
 * does not: what was read is on its way, and a broker that is there answers in a moment. */
static bool
is_wait_ended(struct stream *stream, int64_t now)
{
	if (stream_signal() == 0)
		return false;
	if (stream->signal_until_us == 0)
		stream->signal_until_us = now + STREAM_SIGNAL_WAIT_US;
	return stream->is_unreachable || now >= stream->signal_until_us;
}

bool
stream_can_send(struct stream *stream)
{
	if (stream->has_failed || find_cluster(stream))
		return !stream->has_failed;
	int64_t now = stream_now_us();
	if (stream->block_until_us == 0)
		stream->block_until_us = now + stream->block_us;
	bool is_late = now >= stream->block_until_us;
	if (!is_late && !is_wait_ended(stream, now))
		return true;
	stream_log("ERROR", "%sno broker can be reached at %s%s. Does a broker run there?",
	    stream->name, stream->servers,
	    is_late ? ", and none has answered within max.block.ms" : "");
	stream->has_failed = true;
	return false;
}

void
stream_finish_sending(struct stream *stream)
{
	while (stream_can_send(stream) &&
	       rd_kafka_flush(stream->client, STREAM_POLL_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT)
		;
	int count = stream->has_failed ? rd_kafka_outq_len(stream->client) : 0;
	if (count > 0) {
		stream_log("ERROR", "%s%d records were not sent", stream->name, count);
		rd_kafka_purge(stream->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(stream->client, STREAM_POLL_MS);
	}
	rd_kafka_poll(stream->client, 0);
}

void
stream_close(struct stream *stream)
{
	if (stream->queue != NULL) {
		rd_kafka_queue_destroy(stream->queue);
		rd_kafka_consumer_close(stream->client);
	}
	if (stream->client != NULL)
		rd_kafka_destroy(stream->client);
	stream->queue = NULL;
	stream->client = NULL;
}

/* A batch waits until it is full, so the first one is waited for alone. */
size_t
stream_consume(struct stream *stream, rd_kafka_message_t **batch, size_t count_max, int wait_ms)
{
	batch[0] = rd_kafka_consumer_poll(stream->client, wait_ms);
	if (batch[0] == NULL || count_max <= 1)
		return batch[0] != NULL;
	ssize_t more = rd_kafka_consume_batch_queue(stream->queue, 0, batch + 1, count_max - 1);
	return (size_t)OT_MAX(more, 0) + 1;
}

const char *
stream_error_name(rd_kafka_resp_err_t err)
{
	return rd_kafka_err2name(err);
}

/* ---- signals, clocks, writing -------------------------------------------------------------- */

static volatile sig_atomic_t caught_signal;

static void
on_signal(int number)
{
	caught_signal = number;
}

static sigset_t
ending_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

void
stream_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action = (struct sigaction){ .sa_handler = SIG_IGN };
	sigaction(SIGPIPE, &action, NULL);
}

int
stream_signal(void)
{
	return caught_signal;
}

/* The signals are let in only while it waits, so that none comes between a look at stream_signal()
 * and the wait. */
void
stream_wait_readable(int fd, int wake_fd)
{
	struct pollfd polled[] = { { .fd = fd, .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN } };
	sigset_t blocked = ending_signals();
	sigset_t before;
	sigprocmask(SIG_BLOCK, &blocked, &before);
	if (caught_signal == 0)
		ppoll(polled, OT_ARRAY_COUNT(polled), NULL, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int64_t
stream_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
stream_wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
stream_write(int fd, const void *data, size_t bytes)
{
	const uint8_t *next = data;
	while (bytes > 0) {
		ssize_t count = write(fd, next, bytes);
		if (count < 0 && errno == EAGAIN) {
			struct pollfd polled = { .fd = fd, .events = POLLOUT };
			poll(&polled, 1, -1);
		}
		if (count < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (count < 0 && stream_signal() != 0)
			return false;
		next += OT_MAX(count, 0);
		bytes -= (size_t)OT_MAX(count, 0);
	}
	return true;
}

int
stream_exit(bool is_done)
{
	if (stream_signal() != 0)
		return 128 + stream_signal();
	return is_done ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}
