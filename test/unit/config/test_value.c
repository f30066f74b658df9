#include "../test.h"

#include <stdlib.h>

#include "config/def.h"

static struct ot_arena arena;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_arena_fini(&arena);
	return 0;
}

static const struct ot_config_def *
broker_def(const char *name)
{
	int key = ot_config_find(&ot_broker_table, ot_str_from(name));
	assert_true(key >= 0);
	return &ot_broker_table.defs[key];
}

static void
assert_reads(const char *name, const char *text, const char *canonical)
{
	struct ot_config_value value;
	struct ot_why why = { "" };
	if (ot_config_read(broker_def(name), ot_str_from(text), &arena, &value, &why) != OT_OK)
		fail_msg("%s=%s: %s", name, text, why.text);
	assert_string_equal(value.text.data, canonical);
	assert_int_equal(value.text.len, strlen(canonical));
}

static void
assert_refuses(const char *name, const char *text, const char *message)
{
	struct ot_config_value value;
	struct ot_why why = { "" };
	assert_int_equal(ot_config_read(broker_def(name), ot_str_from(text), &arena, &value, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, message);
}

/* Goal: the schema is sound. Method: every default passes its own rule, every key is found by its
 * name, and the table is in the order of the names. */
static void
tables_are_sound(void **state)
{
	(void)state;
	const struct ot_config_table *tables[] = { &ot_broker_table, &ot_topic_table };
	for (size_t t = 0; t < OT_ARRAY_COUNT(tables); t++) {
		for (size_t i = 0; i < tables[t]->count; i++) {
			const struct ot_config_def *def = &tables[t]->defs[i];
			struct ot_config_value value;
			struct ot_why why;
			assert_int_equal(ot_config_find(tables[t], ot_str_from(def->name)), i);
			if (ot_config_read(def, ot_str_from(def->default_text), &arena, &value,
				&why) != OT_OK)
				fail_msg("%s", why.text);
		}
	}
	assert_int_equal(ot_broker_table.count, OT_BROKER_KEY_COUNT);
	assert_int_equal(ot_topic_table.count, OT_TOPIC_KEY_COUNT);
	assert_int_equal(ot_config_find(&ot_broker_table, ot_str_from("num.partition")), -1);
	assert_int_equal(ot_config_find(&ot_broker_table, ot_str_from("")), -1);
	assert_int_equal(ot_config_find(&ot_broker_table, OT_STR_NULL), -1);
}

/* Goal: a topic's value never disagrees in type with the broker's that it comes from. Method: all
 * pairs of them; numbers in other units may be wider on the topic's side only. */
static void
synonyms_have_one_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < ot_topic_table.count; i++) {
		const struct ot_config_def *def = &ot_topic_table.defs[i];
		for (size_t j = 0; j < def->synonym_count; j++) {
			const struct ot_config_def *broker =
			    &ot_broker_table.defs[def->synonyms[j].key];
			bool is_wider =
			    def->type == OT_CONFIG_LONG && broker->type == OT_CONFIG_INT;
			assert_true(def->type == broker->type || is_wider);
		}
	}
}

/* Goal: values come out as Kafka prints them. Method: one row of each type and spelling. */
static void
values_are_read(void **state)
{
	(void)state;
	assert_reads("auto.create.topics.enable", " TRUE ", "true");
	assert_reads("auto.create.topics.enable", "False", "false");
	assert_reads("num.partitions", "+007", "7");
	assert_reads("log.retention.bytes", "-9223372036854775808", "-9223372036854775808");
	assert_reads("offsets.topic.replication.factor", "32767", "32767");
	assert_reads("log.cleaner.min.cleanable.ratio", "0.5", "0.5");
	assert_reads("log.cleaner.min.cleanable.ratio", "1", "1.0");
	assert_reads("log.cleaner.io.max.bytes.per.second", "1e7", "1.0E7");
	assert_reads("log.cleaner.io.max.bytes.per.second", "123456.75", "123456.75");
	assert_reads("log.cleaner.io.max.bytes.per.second", "0.0001", "1.0E-4");
	assert_reads("log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308",
	    "1.7976931348623157E308");
	assert_reads("log.cleanup.policy", " compact ,  delete", "compact,delete");
	assert_reads("log.cleanup.policy", "", "");
	assert_reads("broker.rack", "  east 1 ", "east 1");
	assert_reads("compression.gzip.level", "-1", "-1");
	assert_reads("compression.zstd.level", "-131072", "-131072");
	assert_reads("group.consumer.migration.policy", "Upgrade", "Upgrade");
	assert_reads("inter.broker.protocol.version", "0.11.0", "0.11.0");
	assert_reads("inter.broker.protocol.version", "3.9-IV0", "3.9-IV0");
}

/* Goal: lists are taken apart. Method: items with blanks, empty items, none. */
static void
lists_are_read(void **state)
{
	(void)state;
	struct ot_config_value value;
	const struct ot_config_def *def = broker_def("log.dirs");
	assert_ok(ot_config_read(def, ot_str_from("/a , /b,,/c "), &arena, &value, NULL));
	assert_int_equal(value.item_count, 4);
	assert_string_equal(value.items[1], "/b");
	assert_string_equal(value.items[2], "");
	assert_string_equal(value.items[3], "/c");
	assert_ok(ot_config_read(def, ot_str_from("  "), &arena, &value, NULL));
	assert_int_equal(value.item_count, 0);
	assert_false(value.is_null);
	assert_ok(ot_config_read(def, OT_STR_NULL, &arena, &value, NULL));
	assert_true(value.is_null);
}

/* Goal: bad values are refused in Kafka's words. Method: one row of each rule. */
static void
bad_values_are_refused(void **state)
{
	(void)state;
	assert_refuses("auto.create.topics.enable", "yes",
	    "Invalid value yes for configuration auto.create.topics.enable: Expected value to "
	    "be either true or false");
	assert_refuses("num.partitions", "many",
	    "Invalid value many for configuration num.partitions: Not a number of type INT");
	assert_refuses("num.partitions", "2147483648",
	    "Invalid value 2147483648 for configuration num.partitions: Not a number of type "
	    "INT");
	assert_refuses("num.partitions", "0",
	    "Invalid value 0 for configuration num.partitions: Value must be at least 1");
	assert_refuses("num.partitions", "",
	    "Invalid value  for configuration num.partitions: Not a number of type INT");
	assert_refuses("num.partitions", "1 2",
	    "Invalid value 1 2 for configuration num.partitions: Not a number of type INT");
	assert_refuses("log.retention.ms", "9223372036854775808",
	    "Invalid value 9223372036854775808 for configuration log.retention.ms: Not a "
	    "number of type LONG");
	assert_refuses("log.cleaner.min.cleanable.ratio", "1.5",
	    "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must "
	    "be no more than 1");
	assert_refuses("log.cleaner.min.cleanable.ratio", "half",
	    "Invalid value half for configuration log.cleaner.min.cleanable.ratio: Not a "
	    "number of type DOUBLE");
	assert_refuses("compression.type", "brotli",
	    "Invalid value brotli for configuration compression.type: String must be one of: "
	    "uncompressed, zstd, lz4, snappy, gzip, producer");
	assert_refuses("log.cleanup.policy", "delete,shred",
	    "Invalid value delete,shred for configuration log.cleanup.policy: String must be "
	    "one of: compact, delete");
	assert_refuses("compression.gzip.level", "0",
	    "Invalid value 0 for configuration compression.gzip.level: Value must be between "
	    "1 and 9 or equal to -1");
	assert_refuses("log.dir", "",
	    "Invalid value  for configuration log.dir: List must be "
	    "non-empty");
	assert_refuses("inter.broker.protocol.version", "newest",
	    "Invalid value newest for configuration inter.broker.protocol.version: Version "
	    "`newest` is not a valid version");
	assert_refuses("controller.quorum.voters", NULL,
	    "Invalid value null for configuration controller.quorum.voters: Value must be "
	    "non-null");
}

/* Goal: a password is never in a message, and a NUL never in a value. Method: both. */
static void
secrets_and_nuls(void **state)
{
	(void)state;
	struct ot_config_value value;
	struct ot_why why;
	struct ot_str text = { "se\0cret", 7 };
	assert_int_equal(ot_config_read(broker_def("ssl.key.password"), text, &arena, &value, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_null(strstr(why.text, "se"));
	assert_non_null(strstr(why.text, "[hidden]"));
	assert_non_null(strstr(why.text, "NUL"));
}

/* Goal: throttled replicas are as Kafka wants them. Method: good and bad lists. */
static void
replica_lists(void **state)
{
	(void)state;
	const struct ot_config_def *def =
	    &ot_topic_table.defs[OT_TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS];
	static const char *const good[] = { "*", "", "0:1", "0:1,12:3" };
	static const char *const bad[] = { "*,0:1", "0", ":1", "0:", "0:1:2", "a:1", "0:1," };
	struct ot_config_value value;
	for (size_t i = 0; i < OT_ARRAY_COUNT(good); i++)
		assert_ok(ot_config_read(def, ot_str_from(good[i]), &arena, &value, NULL));
	for (size_t i = 0; i < OT_ARRAY_COUNT(bad); i++)
		assert_int_equal(ot_config_read(def, ot_str_from(bad[i]), &arena, &value, NULL),
		    OT_ERR_INVALID_CONFIG);
}

/* Goal: keys with a listener's prefix are known when the rest of them is. Method: good and bad. */
static void
listener_prefixes(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int key;
	} rows[] = {
		{ "listener.name.external.ssl.keystore.location", OT_BROKER_SSL_KEYSTORE_LOCATION },
		{ "listener.name.a.plain.sasl.jaas.config", OT_BROKER_SASL_JAAS_CONFIG },
		{ "listener.name.a.scram-sha-256.sasl.jaas.config", OT_BROKER_SASL_JAAS_CONFIG },
		{ "listener.name.a.max.connections", OT_BROKER_MAX_CONNECTIONS },
		{ "listener.name.a.plain.ssl.protocol", -1 },
		{ "listener.name.a.unknown", -1 },
		{ "listener.name.a", -1 },
		{ "listener.name.", -1 },
		{ "listener.name.a.", -1 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		bool has_prefix;
		assert_int_equal(ot_config_find_broker(ot_str_from(rows[i].name), &has_prefix),
		    rows[i].key);
		assert_int_equal(has_prefix, rows[i].key >= 0);
	}
	bool has_prefix = true;
	assert_int_equal(ot_config_find_broker(ot_str_from("log.dirs"), &has_prefix),
	    OT_BROKER_LOG_DIRS);
	assert_false(has_prefix);
}

/* Goal: slips of the pen are understood, other words are not. Method: both. */
static void
nearest_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *nearest;
	} rows[] = {
		{ "num.partition", "num.partitions" },
		{ "lisetners", "listeners" },
		{ "log.retention.hour", "log.retention.hours" },
		{ "auto.create.topic.enable", "auto.create.topics.enable" },
		{ "broker_id", "broker.id" },
		{ "confluent.license.topic", NULL },
		{ "xyz", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		const char *nearest =
		    ot_config_nearest(&ot_broker_table, ot_str_from(rows[i].name));
		if (rows[i].nearest == NULL)
			assert_null(nearest);
		else
			assert_string_equal(nearest, rows[i].nearest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tables_are_sound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(synonyms_have_one_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(values_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lists_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_values_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(secrets_and_nuls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replica_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(listener_prefixes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nearest_names, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
