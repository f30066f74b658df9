#include "room.h"

#include "base/alloc.h"
#include "config/describe.h"

static struct ot_arena arena;
static struct ot_config_entry *entries;
static size_t entry_count;

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

static const struct ot_config_entry *
find_entry(const char *name)
{
	for (size_t i = 0; i < entry_count; i++) {
		if (ot_str_is(entries[i].name, name))
			return &entries[i];
	}
	return NULL;
}

/* Asserts an entry in the form of kafka-configs: "value SOURCE {SOURCE:name=value, ...}". */
static void
assert_entry(const char *name, const char *expected)
{
	const struct ot_config_entry *entry = find_entry(name);
	char buffer[600] = "";
	struct ot_text text = OT_TEXT(buffer);
	if (entry == NULL)
		fail_msg("%s is not described", name);
	ot_text_put(&text, "%.*s %s {", OT_STR_ARG(entry->value),
	    ot_config_source_name(entry->source));
	for (size_t i = 0; i < entry->synonym_count; i++)
		ot_text_put(&text, "%s%s:%.*s=%.*s", i > 0 ? ", " : "",
		    ot_config_source_name(entry->synonyms[i].source),
		    OT_STR_ARG(entry->synonyms[i].name), OT_STR_ARG(entry->synonyms[i].value));
	ot_text_put(&text, "}");
	assert_string_equal(buffer, expected);
	assert_int_equal(entry->is_default, entry->source == OT_SOURCE_DEFAULT);
}

/* Goal: a topic is described as Kafka does. Method: values of all sources. */
static void
topics(void **state)
{
	(void)state;
	struct ot_settings *settings =
	    room_settings("log.segment.bytes= 2000000\nlog.retention.hours=1\nlog.roll.ms=9\n");
	const struct ot_config_pair pairs[] = { PAIR("retention.ms", " 7"),
		PAIR("cleanup.policy", "compact , delete") };
	assert_ok(ot_describe_topic(settings, pairs, 2, NULL, 0, &arena, &entries, &entry_count));
	assert_entry("segment.bytes", "2000000 STATIC_BROKER_CONFIG {STATIC_BROKER_CONFIG:"
				      "log.segment.bytes=2000000, "
				      "DEFAULT_CONFIG:log.segment.bytes=1073741824}");
	assert_entry("retention.ms",
	    "7 DYNAMIC_TOPIC_CONFIG {DYNAMIC_TOPIC_CONFIG:retention.ms=7}");
	assert_entry("segment.ms", "9 STATIC_BROKER_CONFIG {STATIC_BROKER_CONFIG:log.roll.ms=9, "
				   "DEFAULT_CONFIG:log.roll.hours=168}");
	assert_entry("cleanup.policy",
	    "compact,delete DYNAMIC_TOPIC_CONFIG {DYNAMIC_TOPIC_CONFIG:cleanup.policy="
	    "compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}");
	assert_entry("flush.ms", "9223372036854775807 DEFAULT_CONFIG {}");
	assert_null(find_entry("internal.segment.bytes"));
	const struct ot_config_entry *entry = find_entry("cleanup.policy");
	assert_int_equal(entry->type, OT_CONFIG_LIST);
	assert_false(entry->is_read_only || entry->is_sensitive);
	assert_non_null(entry->documentation);
	for (size_t i = 1; i < entry_count; i++)
		assert_true(ot_str_compare(entries[i - 1].name, entries[i].name) < 0);
	ot_settings_unref(settings);
}

/* Goal: only the wanted keys come. Method: one that exists, others that do not, and
 * none, which means all. */
static void
wanted_keys(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("");
	const struct ot_str wanted[] = { OT_STR_LIT("retention.ms"), OT_STR_LIT("no.such"),
		OT_STR_LIT("internal.segment.bytes"), OT_STR_LIT("log.dirs") };
	assert_ok(ot_describe_topic(settings, NULL, 0, wanted, 4, &arena, &entries, &entry_count));
	assert_int_equal(entry_count, 1);
	assert_ok(ot_describe_broker(settings, wanted, 4, &arena, &entries, &entry_count));
	assert_int_equal(entry_count, 1);
	assert_ok(ot_describe_broker(settings, wanted, 0, &arena, &entries, &entry_count));
	assert_true(entry_count > 100);
	ot_settings_unref(settings);
}

/* Goal: a broker is described as Kafka does, without its secrets. Method: values of all sources,
 * secrets, keys with prefixes and keys that nobody knows. */
static void
brokers(void **state)
{
	(void)state;
	struct ot_settings *base =
	    room_settings("log.retention.minutes=5\nssl.keystore.password=secret\n"
			  "listener.name.plaintext.ssl.keystore.type=PEM\n"
			  "listener.name.plaintext.ssl.key.password=secret\nnum.io.threads=3\n");
	const struct ot_config_pair defaults[] = { PAIR("num.io.threads", "4"),
		PAIR("plugin.key", "secret") };
	const struct ot_config_pair own[] = { PAIR("num.io.threads", "5"),
		PAIR("leader.replication.throttled.rate", "6") };
	struct ot_settings_input input = { .dynamic_default = defaults,
		.dynamic_default_count = 2,
		.dynamic_broker = own,
		.dynamic_broker_count = 2 };
	struct ot_config_notes notes;
	struct ot_settings *settings;
	ot_config_notes_init(&notes);
	assert_ok(ot_settings_create_changed(base, &input, &notes, &settings));
	assert_ok(ot_describe_broker(settings, NULL, 0, &arena, &entries, &entry_count));
	assert_entry("num.io.threads",
	    "5 DYNAMIC_BROKER_CONFIG {DYNAMIC_BROKER_CONFIG:num.io.threads=5, "
	    "DYNAMIC_DEFAULT_BROKER_CONFIG:num.io.threads=4, "
	    "STATIC_BROKER_CONFIG:num.io.threads=3, DEFAULT_CONFIG:num.io.threads=8}");
	assert_entry("log.retention.minutes",
	    "5 STATIC_BROKER_CONFIG {STATIC_BROKER_CONFIG:log.retention.minutes=5, "
	    "DEFAULT_CONFIG:log.retention.hours=168}");
	assert_entry("log.retention.hours",
	    "168 DEFAULT_CONFIG {DEFAULT_CONFIG:log.retention.hours=168}");
	assert_entry("log.retention.ms", " DEFAULT_CONFIG {}");
	assert_true(find_entry("log.retention.ms")->value.len < 0);
	assert_entry("ssl.keystore.password",
	    " STATIC_BROKER_CONFIG {STATIC_BROKER_CONFIG:ssl.keystore.password=}");
	assert_true(find_entry("ssl.keystore.password")->is_sensitive);
	assert_entry("listener.name.plaintext.ssl.keystore.type",
	    "PEM STATIC_BROKER_CONFIG {STATIC_BROKER_CONFIG:"
	    "listener.name.plaintext.ssl.keystore.type=PEM, "
	    "DEFAULT_CONFIG:ssl.keystore.type=JKS}");
	assert_true(find_entry("listener.name.plaintext.ssl.key.password")->value.len < 0);
	assert_true(find_entry("plugin.key")->is_sensitive);
	assert_int_equal(find_entry("plugin.key")->type, OT_CONFIG_UNKNOWN);
	assert_null(find_entry("plugin.key")->documentation);
	assert_entry("leader.replication.throttled.rate",
	    "6 DYNAMIC_BROKER_CONFIG {DYNAMIC_BROKER_CONFIG:leader.replication.throttled."
	    "rate=6, DEFAULT_CONFIG:leader.replication.throttled.rate=9223372036854775807}");
	assert_null(find_entry("follower.replication.throttled.rate"));
	assert_null(find_entry("unstable.api.versions.enable"));
	assert_true(find_entry("num.partitions")->is_read_only);
	assert_false(find_entry("num.io.threads")->is_read_only);

	assert_ok(ot_describe_cluster_default(settings, NULL, 0, &arena, &entries, &entry_count));
	assert_int_equal(entry_count, 2);
	assert_entry("num.io.threads", "4 DYNAMIC_DEFAULT_BROKER_CONFIG "
				       "{DYNAMIC_DEFAULT_BROKER_CONFIG:num.io.threads=4}");
	ot_settings_unref(settings);
	ot_settings_unref(base);
	ot_config_notes_fini(&notes);
}

/* Goal: without memory the answer is an error. Method: the n-th allocation fails, for all n. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	struct ot_settings *settings = room_settings("num.partitions=2");
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 1000);
		struct ot_arena own;
		ot_arena_init(&own, 0);
		ot_alloc_fail_at(n);
		err = ot_describe_broker(settings, NULL, 0, &own, &entries, &entry_count);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		ot_arena_fini(&own);
	}
	ot_settings_unref(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(topics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wanted_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(brokers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
