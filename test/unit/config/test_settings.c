#include "room.h"

#include "base/alloc.h"

static struct ot_config_notes notes;

static int
set_up(void **state)
{
	(void)state;
	ot_config_notes_init(&notes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_config_notes_fini(&notes);
	return 0;
}

/* Asserts that the text is refused, and that one of the errors holds `part`. */
static void
assert_refused(const char *text, const char *part)
{
	struct ot_settings *settings = NULL;
	assert_int_equal(room_create(text, &notes, &settings), OT_ERR_INVALID_CONFIG);
	assert_null(settings);
	if (!room_has_note(&notes, true, part))
		fail_msg("%s: %s", text, notes.first->text);
	ot_config_notes_fini(&notes);
	ot_config_notes_init(&notes);
}

static void
assert_listener(const struct ot_settings *settings, size_t i, const char *name, const char *host,
    uint16_t port, const char *advertised_host, uint16_t advertised_port)
{
	assert_true(i < settings->listener_count);
	const struct ot_listener_conf *listener = &settings->listeners[i];
	assert_string_equal(listener->name, name);
	assert_string_equal(listener->host, host);
	assert_int_equal(listener->port, port);
	assert_int_equal(listener->is_advertised, advertised_host != NULL);
	if (advertised_host == NULL)
		return;
	assert_string_equal(listener->advertised_host, advertised_host);
	assert_int_equal(listener->advertised_port, advertised_port);
}

/* Goal: a server starts without any setting. Method: settings of an empty file have Kafka's
 * defaults, and nothing is found wrong with them. */
static void
defaults_are_kafkas(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("");
	assert_int_equal(settings->listener_count, 1);
	assert_listener(settings, 0, "PLAINTEXT", "", 9092, "", 9092);
	assert_string_equal(settings->inter_broker_listener, "PLAINTEXT");
	assert_int_equal(settings->log_dir_count, 1);
	assert_string_equal(settings->log_dirs[0], "/tmp/kafka-logs");
	assert_string_equal(settings->metadata_log_dir, "/tmp/kafka-logs");
	assert_true(settings->is_broker && settings->is_controller);
	assert_int_equal(settings->node_id, -1);
	assert_int_equal(settings->controller_count, 0);
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_RETENTION_MS), 604800000);
	assert_int_equal(ot_settings_int(settings, OT_BROKER_NUM_PARTITIONS), 1);
	assert_true(ot_settings_flag(settings, OT_BROKER_AUTO_CREATE_TOPICS_ENABLE));
	assert_null(ot_settings_text(settings, OT_BROKER_BROKER_RACK));
	assert_true(ot_settings_real(settings, OT_BROKER_LOG_CLEANER_MIN_CLEANABLE_RATIO) == 0.5);
	assert_false(ot_settings_is_set(settings, OT_BROKER_NUM_PARTITIONS));
	ot_settings_unref(settings);
}

/* Goal: synonyms give values in their own units, the finest first. Method: all of them. */
static void
synonyms_give_values(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum ot_broker_key key;
		int64_t number;
	} rows[] = {
		{ "log.retention.hours=1", OT_BROKER_LOG_RETENTION_MS, 3600000 },
		{ "log.retention.hours=1\nlog.retention.minutes=2", OT_BROKER_LOG_RETENTION_MS,
		    120000 },
		{ "log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=3",
		    OT_BROKER_LOG_RETENTION_MS, 3 },
		{ "log.retention.hours=-1", OT_BROKER_LOG_RETENTION_MS, -1 },
		{ "log.retention.minutes=-5", OT_BROKER_LOG_RETENTION_MS, -1 },
		{ "log.retention.hours=2147483647", OT_BROKER_LOG_RETENTION_MS, 7730941129200000 },
		{ "log.roll.hours=2", OT_BROKER_LOG_ROLL_MS, 7200000 },
		{ "log.roll.hours=2\nlog.roll.ms=5", OT_BROKER_LOG_ROLL_MS, 5 },
		{ "log.roll.jitter.hours=1", OT_BROKER_LOG_ROLL_JITTER_MS, 3600000 },
		{ "log.flush.scheduler.interval.ms=7", OT_BROKER_LOG_FLUSH_INTERVAL_MS, 7 },
		{ "", OT_BROKER_LOG_FLUSH_INTERVAL_MS, INT64_MAX },
		{ "", OT_BROKER_NUM_REPLICA_ALTER_LOG_DIRS_THREADS, -1 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_settings *settings = room_settings(rows[i].text);
		assert_true(ot_settings_number(settings, rows[i].key) == rows[i].number);
		ot_settings_unref(settings);
	}
}

/* Goal: --override beats the file, and the last one counts. Method: both give a value. */
static void
overrides_beat_the_file(void **state)
{
	(void)state;
	const struct ot_config_pair pairs[] = { PAIR("num.partitions", "3"),
		PAIR(" log.dirs ", "/a,/b"), PAIR("num.partitions", "4") };
	struct ot_properties props;
	struct ot_settings_input input = { .file = &props,
		.overrides = pairs,
		.override_count = OT_ARRAY_COUNT(pairs) };
	struct ot_settings *settings;
	ot_properties_init(&props, "f");
	assert_ok(ot_properties_put(&props, OT_STR_LIT("num.partitions"), OT_STR_LIT("2"), 1));
	assert_ok(ot_settings_create(&input, &notes, &settings));
	assert_int_equal(ot_settings_int(settings, OT_BROKER_NUM_PARTITIONS), 4);
	assert_int_equal(settings->log_dir_count, 2);
	assert_string_equal(settings->values[OT_BROKER_NUM_PARTITIONS].origin, "--override");
	ot_settings_unref(settings);
	ot_properties_fini(&props);
}

/* Goal: dynamic values stand before the file, this broker's before the cluster's; what may not
 * stand there is ignored with a warning, and a bad value too. Method: there and back. */
static void
dynamic_values(void **state)
{
	(void)state;
	struct ot_settings *base = room_settings("log.retention.ms=1000\nnum.io.threads=5\n"
						 "listener.name.plaintext.max.connections=9\n");
	const struct ot_config_pair defaults[] = { PAIR("log.retention.ms", "2000"),
		PAIR("log.segment.bytes", "5000"), PAIR("num.partitions", "7"),
		PAIR("listeners", "PLAINTEXT://:1"), PAIR("num.io.threads", "many"),
		PAIR("plugin.key", "x") };
	const struct ot_config_pair own[] = { PAIR("log.retention.ms", "3000") };
	struct ot_settings_input input = { .dynamic_default = defaults,
		.dynamic_default_count = OT_ARRAY_COUNT(defaults),
		.dynamic_broker = own,
		.dynamic_broker_count = OT_ARRAY_COUNT(own) };
	struct ot_settings *settings, *back;
	assert_ok(ot_settings_create_changed(base, &input, &notes, &settings));
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_RETENTION_MS), 3000);
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_SEGMENT_BYTES), 5000);
	assert_int_equal(ot_settings_number(settings, OT_BROKER_NUM_PARTITIONS), 1);
	assert_int_equal(ot_settings_number(settings, OT_BROKER_NUM_IO_THREADS), 5);
	assert_int_equal(settings->listeners[0].port, 9092);
	assert_int_equal(
	    ot_settings_listener_number(settings, "PLAINTEXT", OT_BROKER_MAX_CONNECTIONS), 9);
	assert_int_equal(settings->values[OT_BROKER_LOG_RETENTION_MS].source,
	    OT_SOURCE_DYNAMIC_BROKER);
	assert_int_equal(settings->values[OT_BROKER_LOG_SEGMENT_BYTES].source,
	    OT_SOURCE_DYNAMIC_DEFAULT);
	assert_int_equal(notes.error_count, 0);
	assert_true(room_has_note(&notes, false, "num.partitions cannot be set there"));
	assert_true(room_has_note(&notes, false, "listeners cannot be set there"));
	assert_true(room_has_note(&notes, false, "num.io.threads=many"));

	struct ot_settings_input none = { 0 };
	assert_ok(ot_settings_create_changed(settings, &none, &notes, &back));
	assert_int_equal(ot_settings_number(back, OT_BROKER_LOG_RETENTION_MS), 1000);
	assert_int_equal(ot_settings_number(back, OT_BROKER_LOG_SEGMENT_BYTES), 1073741824);
	assert_string_equal(back->values[OT_BROKER_LOG_RETENTION_MS].origin, "server.properties:1");
	ot_settings_unref(back);
	ot_settings_unref(settings);
	ot_settings_unref(base);
}

/* Goal: settings live as long as somebody refers to them. Method: two references, dropped one by
 * one; the sanitizer sees a use after the end. */
static void
references(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("");
	assert_ptr_equal(ot_settings_ref(settings), settings);
	ot_settings_unref(settings);
	assert_int_equal(ot_settings_int(settings, OT_BROKER_NUM_PARTITIONS), 1);
	ot_settings_unref(settings);
	ot_settings_unref(NULL);
}

/* Goal: a bad value is told with file, line, key, value, rule and remedy, and all of them are told
 * at once. Method: a file with three mistakes, each read back. */
static void
mistakes_are_told(void **state)
{
	(void)state;
	struct ot_settings *settings = NULL;
	assert_int_equal(room_create("broker.id=0\n\nnum.partitions=none\ncompression.type=zip\n"
				     "ssl.key.password=x\nlog.cleaner.threads=-1\n",
			     &notes, &settings),
	    OT_ERR_INVALID_CONFIG);
	assert_int_equal(notes.error_count, 3);
	assert_true(room_has_note(&notes, true,
	    "server.properties:3: num.partitions=none is not valid: Not a number of type INT; "
	    "give a whole number of at least 1"));
	assert_true(room_has_note(&notes, true,
	    "server.properties:4: compression.type=zip is not valid: String must be one of: "
	    "uncompressed, zstd, lz4, snappy, gzip, producer; give one of uncompressed"));
	assert_true(room_has_note(&notes, true, "server.properties:6: log.cleaner.threads=-1"));
}

/* Goal: an unknown key is a warning that names the nearest known one. Method: a slip, a stranger,
 * and keys with prefixes of which one is known. */
static void
unknown_keys_are_warnings(void **state)
{
	(void)state;
	struct ot_settings *settings;
	assert_ok(room_create("num.partition=3\nconfluent.license=x\n"
			      "listener.name.a.ssl.protocol=TLS\nlistener.name.a.ssl.protokol=TLS\n"
			      "retention.ms=1\n",
	    &notes, &settings));
	assert_int_equal(notes.warning_count, 4);
	assert_true(room_has_note(&notes, false, "for all topics it is called log.retention.ms"));
	assert_true(room_has_note(&notes, false,
	    "server.properties:1: unknown setting num.partition is ignored; the nearest known "
	    "one is num.partitions"));
	assert_true(room_has_note(&notes, false,
	    "server.properties:2: unknown setting confluent.license is ignored"));
	assert_true(room_has_note(&notes, false, "listener.name.a.ssl.protokol"));
	assert_int_equal(settings->extra_count, 5);
	ot_settings_unref(settings);
}

/* Goal: identity and roles follow Kafka's rules. Method: one row of each. */
static void
identity(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("broker.id=3");
	assert_int_equal(settings->node_id, 3);
	ot_settings_unref(settings);
	settings = room_settings("node.id=4\nprocess.roles=broker,controller\n"
				 "controller.quorum.voters=4@localhost:9093\n"
				 "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
				 "controller.listener.names=CONTROLLER");
	assert_int_equal(settings->node_id, 4);
	assert_int_equal(settings->voter_count, 1);
	assert_int_equal(settings->voters[0].id, 4);
	assert_true(settings->listeners[1].is_controller);
	assert_int_equal(settings->listeners[1].security, OT_SECURITY_PLAINTEXT);
	ot_settings_unref(settings);
	assert_refused("broker.id=1\nnode.id=2", "it must be the same as broker.id");
	assert_refused("broker.id=-2", "at least 0");
	assert_refused("broker.id.generation.enable=false", "must be given");
	assert_refused("process.roles=broker,zookeeper",
	    "String must be one of: broker, controller");
	assert_refused("process.roles=broker", "must know its controllers");
	assert_refused("process.roles=controller\nnode.id=1\ncontroller.quorum.voters=2@h:1\n"
		       "listeners=C://:1\ncontroller.listener.names=C",
	    "must be among the voters");
	assert_refused("process.roles=broker\nnode.id=1\ncontroller.quorum.voters=1@h:1",
	    "must not be among the voters");
	assert_refused("process.roles=controller\nnode.id=1\ncontroller.quorum.voters=1@h:1",
	    "none but controllers' listeners");
	assert_refused("controller.quorum.voters=1@h", "id@host:port");
	assert_refused("controller.quorum.voters=x@h:1", "id@host:port");
	assert_refused("controller.listener.names=PLAINTEXT", "clients have none");
}

/* Goal: folders come from log.dirs, then log.dir. Method: good and bad ones. */
static void
folders(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("log.dirs=/a, /b\nlog.dir=/c");
	assert_int_equal(settings->log_dir_count, 2);
	assert_string_equal(settings->log_dirs[1], "/b");
	ot_settings_unref(settings);
	settings = room_settings("log.dir=/c\nmetadata.log.dir=/m");
	assert_string_equal(settings->log_dirs[0], "/c");
	assert_string_equal(settings->metadata_log_dir, "/m");
	ot_settings_unref(settings);
	assert_refused("log.dirs=", "at least one folder");
	assert_refused("log.dirs=/a,,/b", "no name");
	assert_refused("log.dirs=/a,/a", "twice");
}

/* Goal: listeners and what is advertised, in today's form and in 0.11's. Method: one file each. */
static void
listeners(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings(
	    "listeners=INTERNAL://10.0.0.1:9092,EXTERNAL://0.0.0.0:9093\n"
	    "advertised.listeners=INTERNAL://kafka-1:9092,external://example.com:443\n"
	    "listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:SSL\n"
	    "inter.broker.listener.name=internal");
	assert_listener(settings, 0, "INTERNAL", "10.0.0.1", 9092, "kafka-1", 9092);
	assert_listener(settings, 1, "EXTERNAL", "0.0.0.0", 9093, "example.com", 443);
	assert_int_equal(settings->listeners[1].security, OT_SECURITY_SSL);
	assert_string_equal(settings->inter_broker_listener, "INTERNAL");
	assert_ptr_equal(ot_settings_listener(settings, "external"), &settings->listeners[1]);
	assert_null(ot_settings_listener(settings, "other"));
	ot_settings_unref(settings);

	settings = room_settings("port=9999\nhost.name=h1");
	assert_listener(settings, 0, "PLAINTEXT", "h1", 9999, "h1", 9999);
	ot_settings_unref(settings);
	settings = room_settings("port=9999\nadvertised.host.name=h2\nadvertised.port=1");
	assert_listener(settings, 0, "PLAINTEXT", "", 9999, "h2", 1);
	ot_settings_unref(settings);
	/* listeners beat the old names, as in 0.11. */
	settings = room_settings("listeners=PLAINTEXT://0.0.0.0:1\nport=9999");
	assert_listener(settings, 0, "PLAINTEXT", "0.0.0.0", 1, "", 1);
	ot_settings_unref(settings);
	/* A listener that is not advertised is for nobody to be told of. */
	settings = room_settings("listeners=PLAINTEXT://:1,SSL://:2\n"
				 "advertised.listeners=PLAINTEXT://h:1");
	assert_listener(settings, 1, "SSL", "", 2, NULL, 0);
	ot_settings_unref(settings);
}

/* Goal: listeners that contradict each other are refused. Method: one row of each. */
static void
bad_listeners(void **state)
{
	(void)state;
	assert_refused("listeners=nonsense", "Unable to parse nonsense");
	assert_refused("listeners=", "at least one listener");
	assert_refused("listeners=PLAINTEXT://:1,PLAINTEXT://:2", "different name");
	assert_refused("listeners=PLAINTEXT://:1,SSL://:1", "different port");
	assert_refused("listeners=MINE://:1", "No security protocol defined for listener MINE");
	assert_refused("listener.security.protocol.map=A:B", "B is no security protocol");
	assert_refused("advertised.listeners=SSL://h:1", "subset of the ones");
	assert_refused("advertised.listeners=PLAINTEXT://0.0.0.0:1", "0.0.0.0");
	assert_refused("advertised.listeners=PLAINTEXT://a:1,PLAINTEXT://b:2", "different name");
	assert_refused("inter.broker.listener.name=X", "advertised.listeners");
	assert_refused("inter.broker.listener.name=PLAINTEXT\n"
		       "security.inter.broker.protocol=PLAINTEXT",
	    "only one of it");
	assert_refused("security.inter.broker.protocol=SSL", "advertised.listeners");
	assert_refused("port=70000", "0 to 65535");
	assert_refused("controller.listener.names=C\nlisteners=PLAINTEXT://:1,C://:2\n"
		       "listener.security.protocol.map=PLAINTEXT:PLAINTEXT",
	    "No security protocol defined for listener C");
}

/* Goal: the controllers' addresses come from the first key that gives any. Method: all keys. */
static void
controllers(void **state)
{
	(void)state;
	struct ot_settings *settings =
	    room_settings("zookeeper.connect=zk1:2181,zk2,[::1]:2183/chroot/kafka");
	assert_int_equal(settings->controller_count, 3);
	assert_string_equal(settings->controllers[1].host, "zk2");
	assert_int_equal(settings->controllers[1].port, 2181);
	assert_string_equal(settings->controllers[2].host, "::1");
	assert_int_equal(settings->controllers_key, OT_BROKER_ZOOKEEPER_CONNECT);
	ot_settings_unref(settings);
	settings = room_settings(
	    "zookeeper.connect=zk1:2181\ncontroller.quorum.bootstrap.servers=c1:9093");
	assert_int_equal(settings->controller_count, 1);
	assert_string_equal(settings->controllers[0].host, "c1");
	ot_settings_unref(settings);
	assert_refused("controller.quorum.bootstrap.servers=c1", "host:port");
	assert_refused("zookeeper.connect=:2181", "host:port");
}

/* Goal: a controller knows where to answer. Method: a listener of its own, addresses of each kind,
 * none, and a process that is no controller. */
static void
control_listener(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool is_made;
	} rows[] = {
		{ "listeners=PLAINTEXT://:1,C://h:2\ncontroller.listener.names=C\n"
		  "zookeeper.connect=localhost:2181",
		    "h", 2, false },
		{ "zookeeper.connect=localhost:2181", "localhost", 2181, true },
		{ "controller.quorum.bootstrap.servers=a:1,b:2", "a", 1, true },
		{ "node.id=2\ncontroller.quorum.voters=1@a:1,2@b:2", "b", 2, true },
		{ "", NULL, 0, false },
		{ "process.roles=broker\ncontroller.quorum.bootstrap.servers=a:1", NULL, 0, false },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_settings *settings = room_settings(rows[i].text);
		const struct ot_listener_conf *listener = settings->control_listener;
		assert_int_equal(listener != NULL, rows[i].host != NULL);
		assert_int_equal(settings->control_listener_is_made, rows[i].is_made);
		if (listener != NULL) {
			assert_string_equal(listener->host, rows[i].host);
			assert_int_equal(listener->port, rows[i].port);
			assert_true(listener->is_controller);
		}
		ot_settings_unref(settings);
	}
}

/* Goal: rules between settings hold. Method: one row of each rule that is broken. */
static void
rules_between_settings(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *part;
	} rows[] = {
		{ "log.roll.ms=0", "server.properties:1: log.roll.ms=0 is not valid" },
		{ "log.roll.jitter.ms=-1", "log.roll.jitter.ms=-1" },
		{ "log.retention.minutes=0", "log.retention.minutes=0 is not valid: it must be "
					     "unlimited" },
		{ "log.cleaner.min.compaction.lag.ms=2\nlog.cleaner.max.compaction.lag.ms=1",
		    "must be at least log.cleaner.min.compaction.lag.ms (2)" },
		{ "log.cleaner.dedupe.buffer.size=1000", "1 MiB" },
		{ "log.dirs=/a\ncordoned.log.dirs=/b", "entries of log.dirs" },
		{ "replica.fetch.wait.max.ms=40000", "replica.socket.timeout.ms (30000) must be" },
		{ "replica.lag.time.max.ms=100", "replica.lag.time.max.ms=100" },
		{ "replica.selector.class=com.example.NearestSelector",
		    "RackAwareReplicaSelector" },
		{ "offsets.commit.required.acks=5", "offsets.commit.required.acks=5" },
		{ "queued.max.request.bytes=1000", "socket.request.max.bytes (104857600)" },
		{ "max.connections.per.ip=0", "max.connections.per.ip.overrides" },
		{ "connections.max.idle.ms=50", "connection.failed.authentication.delay.ms" },
		{ "group.min.session.timeout.ms=2000000", "group.max.session.timeout.ms" },
		{ "group.consumer.session.timeout.ms=1000", "group.consumer.min.session" },
		{ "group.share.max.share.sessions=1", "group.share.max.share.sessions=1" },
		{ "group.coordinator.rebalance.protocols=consumer", "classic must be among" },
		{ "listeners=SASL_PLAINTEXT://:1\nsecurity.inter.broker.protocol=SASL_PLAINTEXT\n"
		  "sasl.mechanism.inter.broker.protocol=PLAIN",
		    "sasl.enabled.mechanisms" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++)
		assert_refused(rows[i].text, rows[i].part);
	struct ot_settings *settings;
	assert_ok(room_create("log.segment.bytes=1024\nbroker.heartbeat.interval.ms=9000\n"
			      "replica.selector.class="
			      "org.apache.kafka.common.replica.RackAwareReplicaSelector\n",
	    &notes, &settings));
	assert_true(ot_settings_names_class(settings, OT_BROKER_REPLICA_SELECTOR_CLASS,
	    "RackAwareReplicaSelector"));
	assert_false(
	    ot_settings_names_class(settings, OT_BROKER_REPLICA_SELECTOR_CLASS, "LeaderSelector"));
	assert_true(room_has_note(&notes, false, "message.max.bytes (1048588) is more than"));
	assert_true(room_has_note(&notes, false, "broker.heartbeat.interval.ms (9000)"));
	ot_settings_unref(settings);
}

/* Goal: keys of one listener are found, with and without a mechanism. Method: three places. */
static void
keys_of_listeners(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings(
	    "sasl.enabled.mechanisms=GSSAPI\nlistener.name.plaintext.sasl.enabled.mechanisms="
	    " PLAIN \nlistener.name.plaintext.plain.sasl.jaas.config=secret\n"
	    "listener.name.plaintext.max.connections=7\n");
	struct ot_str text = ot_settings_listener_text(settings, "PLAINTEXT", NULL,
	    OT_BROKER_SASL_ENABLED_MECHANISMS);
	assert_true(ot_str_is(text, "PLAIN"));
	text = ot_settings_listener_text(settings, "SSL", NULL, OT_BROKER_SASL_ENABLED_MECHANISMS);
	assert_true(ot_str_is(text, "GSSAPI"));
	text =
	    ot_settings_listener_text(settings, "PLAINTEXT", "PLAIN", OT_BROKER_SASL_JAAS_CONFIG);
	assert_true(ot_str_is(text, "secret"));
	text =
	    ot_settings_listener_text(settings, "PLAINTEXT", "GSSAPI", OT_BROKER_SASL_JAAS_CONFIG);
	assert_true(text.len < 0);
	assert_int_equal(
	    ot_settings_listener_number(settings, "PLAINTEXT", OT_BROKER_MAX_CONNECTIONS), 7);
	assert_int_equal(ot_settings_listener_number(settings, "SSL", OT_BROKER_MAX_CONNECTIONS),
	    INT32_MAX);
	ot_settings_unref(settings);
	assert_refused("listener.name.plaintext.max.connections=x",
	    "server.properties:1: listener.name.plaintext.max.connections=x is not valid");
}

/* Goal: a secret is in no message. Method: a key of each kind that holds one, next to mistakes that
 * print values. */
static void
secrets_are_hidden(void **state)
{
	(void)state;
	struct ot_settings *settings = NULL;
	assert_int_equal(room_create("ssl.keystore.password=hunter2\\u0001\n"
				     "sasl.jaas.config=hunter2\nlog.dirs=\n"
				     "listener.name.a.ssl.key.password=hunter2\n",
			     &notes, &settings),
	    OT_ERR_INVALID_CONFIG);
	assert_false(room_has_note(&notes, true, "hunter2"));
	assert_false(room_has_note(&notes, false, "hunter2"));
}

/* Goal: without memory the answer is an error and nothing leaks. Method: the n-th allocation
 * fails, for all n until one run passes; the sanitizer watches for leaks. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	struct ot_properties props;
	struct ot_settings_input input = { .file = &props };
	struct ot_why why;
	static const char text[] = "listeners=PLAINTEXT://:1,SSL://:2\nunknown=1\n"
				   "controller.quorum.voters=1@h:1\n";
	ot_properties_init(&props, "f");
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 20000);
		struct ot_config_notes own;
		struct ot_settings *settings = NULL;
		ot_config_notes_init(&own);
		ot_alloc_fail_at(n);
		err = ot_settings_create(&input, &own, &settings);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		ot_settings_unref(settings);
		ot_config_notes_fini(&own);
	}
	ot_properties_fini(&props);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_are_kafkas, set_up, tear_down),
		cmocka_unit_test_setup_teardown(synonyms_give_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(overrides_beat_the_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dynamic_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(references, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_keys_are_warnings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(identity, set_up, tear_down),
		cmocka_unit_test_setup_teardown(folders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(listeners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_listeners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(controllers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_listener, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_between_settings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_of_listeners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(secrets_are_hidden, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
