/* What the streaming tools share: a producer or consumer of librdkafka with the settings of a Java
 * client, signals, the log.
 *
 * Settings come from a property file, then from key=value words of the command line, then from
 * options of the tool; src/config translates them. What librdkafka does not know is told in one
 * line and left out.
 *
 * The log goes to standard error in the form that Kafka's tools have:
 *
 *   [2026-01-31 12:00:00,123] WARN [Producer clientId=console-producer] ... (librdkafka)
 *
 * Callbacks of librdkafka run in rd_kafka_poll() and its like, on the tool's own thread; only the
 * log is called from librdkafka's threads, and writes whole lines.
 */
#ifndef OT_CLI_STREAM_INT_H
#define OT_CLI_STREAM_INT_H

#include <librdkafka/rdkafka.h>

#include "cli/cli_int.h"
#include "config/client.h"

/* ---- settings ------------------------------------------------------------------------------ */

/* Reads `file` (NULL: none) and sets the pairs, each key=value, on top of it; ends with
 * ot_properties_fini(). On failure the reason is already told. */
bool stream_props_load(struct cli *cli, const char *file, struct cli_values pairs,
    struct ot_properties *ret_props) OT_MUST_USE;

/* The file of --command-config, or of the option that had its place before; NULL: neither. */
const char *stream_props_file(const struct cli *cli, unsigned old_option);

void stream_props_put_pairs(struct ot_properties *props, struct cli_values pairs);

/* The servers of --bootstrap-server, of --zookeeper, or those that are set already. False when
 * there are none, which is told. */
bool stream_props_put_servers(struct cli *cli, struct ot_properties *props) OT_MUST_USE;

void stream_props_put(struct ot_properties *props, const char *name, const char *value);
void stream_props_put_default(struct ot_properties *props, const char *name, const char *value);

/* An option as a setting: when it was given, or else nothing has set it, in which case its default
 * counts. */
void stream_props_put_option(struct cli *cli, struct ot_properties *props, const char *name,
    unsigned option);

/* The value without blanks around it, or NULL. Valid until the next put. */
const char *stream_props_get(const struct ot_properties *props, const char *name);

/* ---- a client ------------------------------------------------------------------------------ */

struct stream {
	rd_kafka_t *client;
	rd_kafka_queue_t *queue; /* of a consumer */
	char name[160];          /* "[Producer clientId=console-producer] " */
	const char *servers;     /* whom it asks first; the arena's */
	int64_t block_us;        /* how long a producer waits for the first answer of any of them */
	int64_t block_until_us;  /* 0: nothing had to wait yet */
	int64_t signal_until_us; /* the same, since a signal; 0: there was none */
	bool is_reached;         /* a broker has told of the cluster */
	bool is_unreachable;     /* the log says that nobody answers */
	bool makes_topics;       /* a consumer's subscription may create a topic */
	bool has_failed;         /* an error that no waiting mends was reported */
};

/* The settings as librdkafka wants them. Callbacks find the stream as their opaque. The caller may
 * set callbacks of its own, then opens the stream, which ends the conf. NULL: the reason is told.
 */
rd_kafka_conf_t *stream_conf_create(struct cli *cli, enum ot_client_kind kind,
    const struct ot_properties *props, struct stream *stream) OT_MUST_USE;

/* A setting that a tool makes itself, by librdkafka's name. */
void stream_conf_put(rd_kafka_conf_t *conf, const char *name, const char *value);

bool stream_open(struct cli *cli, enum ot_client_kind kind, rd_kafka_conf_t *conf,
    struct stream *stream) OT_MUST_USE;

/* Whether what a producer holds can still be sent; to be asked wherever it waits for that. It
 * cannot when max.block.ms have passed since the first question and no broker has ever answered,
 * or a signal asks for the end before one did: that is told, and the stream has failed. */
bool stream_can_send(struct stream *stream);

/* Sends what a producer holds, and waits for the answers, for as long as stream_can_send(). What
 * is given up comes to the delivery callback too, but reason and number are told here. */
void stream_finish_sending(struct stream *stream);

/* A consumer commits what was stored and leaves its group. */
void stream_close(struct stream *stream);

/* Takes what a consumer has, records and events, at most `count_max` of them; waits up to `wait_ms`
 * for the first. The caller destroys them. */
size_t stream_consume(struct stream *stream, rd_kafka_message_t **batch, size_t count_max,
    int wait_ms);

/* A name for a group that nobody named: "console-consumer-12345". */
const char *stream_make_group(struct cli *cli, const char *prefix);

/* One message of librdkafka's, turned for people. */
const char *stream_error_name(rd_kafka_resp_err_t err);

/* ---- the rest ------------------------------------------------------------------------------ */

/* A line of the log; `level` is "WARN" or "ERROR". @owner any thread */
void stream_log(const char *level, const char *fmt, ...) OT_PRINTF(2, 3);

/* From here on SIGINT and SIGTERM only ask for an end, which stream_signal() tells; the second one
 * ends the process. A reader who has gone away is an error of write(), no signal. */
void stream_catch_signals(void);
int stream_signal(void); /* 0: none came */

/* Waits until `fd` or `wake_fd` (-1: none) can be read or a signal comes. */
void stream_wait_readable(int fd, int wake_fd);

int64_t stream_now_us(void);  /* of a clock that never jumps */
int64_t stream_wall_ms(void); /* since 1970 */

/* Writes all of it; false when nobody takes it. Waits as long as it takes. */
bool stream_write(int fd, const void *data, size_t bytes);

/* The exit code of a run: 128 and the number of the signal that ended it, as shells have it. */
int stream_exit(bool is_done);

#endif
