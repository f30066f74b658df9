#include "room.h"

#include "base/alloc.h"
#include "config/client.h"

static struct ot_arena arena;
static struct ot_config_notes notes;
static struct ot_config_pair *pairs;
static size_t pair_count;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	ot_config_notes_init(&notes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_config_notes_fini(&notes);
	ot_arena_fini(&arena);
	return 0;
}

static ot_err
translate(enum ot_client_kind kind, const char *text)
{
	struct ot_properties props;
	struct ot_why why;
	ot_properties_init(&props, "client.properties");
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	ot_err err = ot_client_translate(kind, &props, &arena, &pairs, &pair_count, &notes);
	ot_properties_fini(&props);
	return err;
}

/* Asserts that a file of one kind of client gives `name` this value; NULL: does not give it. */
static void
assert_gives(enum ot_client_kind kind, const char *text, const char *name, const char *value)
{
	if (translate(kind, text) != OT_OK)
		fail_msg("%s", notes.first->text);
	const struct ot_config_pair *pair =
	    ot_config_pair_find(pairs, pair_count, ot_str_from(name));
	if (value == NULL && pair != NULL)
		fail_msg("%s is %s", name, pair->value.data);
	if (value == NULL)
		return;
	if (pair == NULL)
		fail_msg("%s is not given", name);
	assert_string_equal(pair->value.data, value);
	assert_int_equal(pair->value.len, strlen(value));
}

/* Goal: names and values become librdkafka's. Method: one row of each rule. */
static void
settings_are_translated(void **state)
{
	(void)state;
	static const struct {
		enum ot_client_kind kind;
		const char *text, *name, *value;
	} rows[] = {
		{ OT_CLIENT_PRODUCER, "bootstrap.servers=a:1, b:2", "bootstrap.servers",
		    "a:1,b:2" },
		{ OT_CLIENT_PRODUCER, "acks = all", "acks", "all" },
		{ OT_CLIENT_PRODUCER, "buffer.memory=33554432", "queue.buffering.max.kbytes",
		    "32768" },
		{ OT_CLIENT_PRODUCER, "buffer.memory=5", "queue.buffering.max.kbytes", "1" },
		{ OT_CLIENT_PRODUCER, "send.buffer.bytes=-1", "socket.send.buffer.bytes", "0" },
		{ OT_CLIENT_PRODUCER, "send.buffer.bytes=7", "socket.send.buffer.bytes", "7" },
		{ OT_CLIENT_PRODUCER, "max.request.size=9", "message.max.bytes", "9" },
		{ OT_CLIENT_PRODUCER, "compression.type=gzip\ncompression.gzip.level=4",
		    "compression.level", "4" },
		{ OT_CLIENT_PRODUCER, "compression.type=lz4\ncompression.gzip.level=4",
		    "compression.level", NULL },
		{ OT_CLIENT_PRODUCER, "key.serializer=a.b.C", "key.serializer", NULL },
		{ OT_CLIENT_PRODUCER, "metadata.broker.list=a:1", "bootstrap.servers", "a:1" },
		{ OT_CLIENT_PRODUCER,
		    "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner",
		    "partitioner", "random" },
		{ OT_CLIENT_CONSUMER, "fetch.max.wait.ms=5", "fetch.wait.max.ms", "5" },
		{ OT_CLIENT_CONSUMER, "auto.offset.reset=none", "auto.offset.reset", "error" },
		{ OT_CLIENT_CONSUMER,
		    "partition.assignment.strategy=org.apache.kafka.clients.consumer."
		    "RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
		    "partition.assignment.strategy", "range" },
		{ OT_CLIENT_CONSUMER, "group.id=g\nzookeeper.connect=x:1", "zookeeper.connect",
		    NULL },
		{ OT_CLIENT_ADMIN, "security.protocol=SASL_SSL", "security.protocol", "sasl_ssl" },
		{ OT_CLIENT_ADMIN, "request.timeout.ms=5", "socket.timeout.ms", "5" },
		{ OT_CLIENT_ADMIN, "ssl.endpoint.identification.algorithm=",
		    "ssl.endpoint.identification.algorithm", "none" },
		{ OT_CLIENT_ADMIN, "ssl.cipher.suites=A,B", "ssl.cipher.suites", "A:B" },
		{ OT_CLIENT_ADMIN, "ssl.keystore.location=/k.p12", "ssl.keystore.location",
		    "/k.p12" },
		{ OT_CLIENT_ADMIN, "ssl.keystore.location=/k.pem\nssl.keystore.type=PEM",
		    "ssl.key.location", "/k.pem" },
		{ OT_CLIENT_ADMIN, "ssl.keystore.location=/k.pem\nssl.keystore.type=PEM",
		    "ssl.keystore.location", NULL },
		{ OT_CLIENT_ADMIN, "ssl.truststore.location=/t.pem\nssl.truststore.type=PEM",
		    "ssl.ca.location", "/t.pem" },
		{ OT_CLIENT_ADMIN, "statistics.interval.ms= 5", "statistics.interval.ms", "5" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++)
		assert_gives(rows[i].kind, rows[i].text, rows[i].name, rows[i].value);
}

/* Goal: tools behave as Java's clients where nobody says otherwise. Method: empty files, and files
 * that say otherwise. */
static void
defaults_are_javas(void **state)
{
	(void)state;
	assert_gives(OT_CLIENT_PRODUCER, "", "partitioner", "murmur2_random");
	assert_gives(OT_CLIENT_PRODUCER, "", "enable.idempotence", "true");
	assert_gives(OT_CLIENT_PRODUCER, "acks=1", "enable.idempotence", "false");
	assert_gives(OT_CLIENT_PRODUCER, "max.in.flight.requests.per.connection=6",
	    "enable.idempotence", "false");
	assert_gives(OT_CLIENT_PRODUCER, "enable.idempotence=false", "enable.idempotence", "false");
	assert_gives(OT_CLIENT_CONSUMER, "", "isolation.level", "read_uncommitted");
	assert_gives(OT_CLIENT_CONSUMER, "isolation.level=read_committed", "isolation.level",
	    "read_committed");
	assert_gives(OT_CLIENT_ADMIN, "", "isolation.level", NULL);
}

/* Goal: login modules' options are found. Method: entries of all mechanisms, with quotes, escapes
 * and lines that go on. */
static void
jaas_entries(void **state)
{
	(void)state;
	static const char plain[] =
	    "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n"
	    "  username=\"al ice\" \\\n  password='pa\"ss;=';\n";
	assert_gives(OT_CLIENT_ADMIN, plain, "sasl.username", "al ice");
	assert_gives(OT_CLIENT_ADMIN, plain, "sasl.password", "pa\"ss;=");
	assert_gives(OT_CLIENT_ADMIN, plain, "sasl.jaas.config", NULL);
	assert_gives(OT_CLIENT_ADMIN,
	    "sasl.jaas.config=x.ScramLoginModule required username=\"a\" password=\"b\\\\\"c\";",
	    "sasl.password", "b\"c");
	static const char kerberos[] =
	    "sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required "
	    "useKeyTab=true keyTab=\"/k.keytab\" principal=\"me@REALM\" serviceName=\"kafka\";";
	assert_gives(OT_CLIENT_ADMIN, kerberos, "sasl.kerberos.keytab", "/k.keytab");
	assert_gives(OT_CLIENT_ADMIN, kerberos, "sasl.kerberos.principal", "me@REALM");
	static const char oauth[] =
	    "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://t\n"
	    "sasl.jaas.config=x.OAuthBearerLoginModule required clientId='i' clientSecret='s';";
	assert_gives(OT_CLIENT_ADMIN, oauth, "sasl.oauthbearer.client.id", "i");
	assert_gives(OT_CLIENT_ADMIN, oauth, "sasl.oauthbearer.method", "oidc");
}

/* Goal: what cannot be meant is refused with file, line and rule, and no secret is told. Method:
 * one row of each. */
static void
mistakes_are_told(void **state)
{
	(void)state;
	static const struct {
		enum ot_client_kind kind;
		const char *text, *part;
	} rows[] = {
		{ OT_CLIENT_PRODUCER, "\nacks=2", "client.properties:2: Invalid value 2 for" },
		{ OT_CLIENT_PRODUCER, "partitioner.class=my.Own", "class of your own" },
		{ OT_CLIENT_CONSUMER, "partition.assignment.strategy=my.Own", "name one" },
		{ OT_CLIENT_CONSUMER, "auto.offset.reset=by_duration:PT1H", "earliest, latest" },
		{ OT_CLIENT_ADMIN, "ssl.truststore.location=/t.jks", "only PEM" },
		{ OT_CLIENT_ADMIN, "sasl.jaas.config=secret", "Module required" },
		{ OT_CLIENT_ADMIN, "sasl.jaas.config=M required password=\"secret;", "Module" },
		{ OT_CLIENT_ADMIN, "sasl.jaas.config=M required secret", "Module required" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		assert_int_equal(translate(rows[i].kind, rows[i].text), OT_ERR_INVALID_CONFIG);
		assert_true(room_has_note(&notes, true, rows[i].part));
		assert_false(room_has_note(&notes, true, "secret"));
		ot_config_notes_fini(&notes);
		ot_config_notes_init(&notes);
	}
}

/* Goal: the client tables are sound. Method: every default passes its own rule. */
static void
tables_are_sound(void **state)
{
	(void)state;
	for (int kind = OT_CLIENT_PRODUCER; kind <= OT_CLIENT_ADMIN; kind++) {
		const struct ot_config_table *table = ot_client_table((enum ot_client_kind)kind);
		for (size_t i = 0; i < table->count; i++) {
			struct ot_config_value value;
			assert_non_null(table->defs[i].rdkafka);
			assert_ok(ot_config_read(&table->defs[i],
			    ot_str_from(table->defs[i].default_text), &arena, &value, NULL));
		}
	}
}

/* Goal: without memory the answer is an error. Method: the n-th allocation fails, for all n. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	static const char text[] = "ssl.cipher.suites=A,B\nsasl.jaas.config=M required "
				   "username='a' password='b';\nunknown.key=1\n";
	struct ot_properties props;
	struct ot_why why;
	ot_properties_init(&props, "f");
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 1000);
		struct ot_arena own;
		ot_arena_init(&own, 0);
		ot_alloc_fail_at(n);
		err =
		    ot_client_translate(OT_CLIENT_ADMIN, &props, &own, &pairs, &pair_count, &notes);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		ot_arena_fini(&own);
	}
	ot_properties_fini(&props);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(settings_are_translated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(defaults_are_javas, set_up, tear_down),
		cmocka_unit_test_setup_teardown(jaas_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tables_are_sound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
