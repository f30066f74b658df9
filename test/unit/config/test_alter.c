#include "room.h"

#include "base/alloc.h"
#include "config/alter.h"

#define CHANGE(name_text, op, value_text) \
	((struct ot_config_change){ OT_STR_LIT(name_text), OT_STR_LIT(value_text), op })

static struct ot_arena arena;
static struct ot_settings *settings;
static struct ot_alter_result result;
static struct ot_why why;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	settings = room_settings("log.cleanup.policy=compact\n");
	why.text[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_settings_unref(settings);
	ot_arena_fini(&arena);
	return 0;
}

/* "a=1;b=null" of pairs. */
static const char *
print(const struct ot_config_pair *pairs, size_t count)
{
	static char buffer[500];
	struct ot_text text = OT_TEXT(buffer);
	buffer[0] = '\0';
	for (size_t i = 0; i < count; i++)
		ot_text_put(&text, "%s%.*s=%.*s", i > 0 ? ";" : "", OT_STR_ARG(pairs[i].name),
		    pairs[i].value.len < 0 ? 4 : pairs[i].value.len,
		    pairs[i].value.len < 0 ? "null" : pairs[i].value.data);
	return buffer;
}

static ot_err
change_topic(struct ot_config_change change)
{
	const struct ot_config_pair pairs[] = { PAIR("retention.ms", "5"),
		PAIR("leader.replication.throttled.replicas", "0:1,0:2") };
	return ot_alter_apply(OT_ALTER_TOPIC, settings, pairs, 2, &change, 1, &arena, &result,
	    &why);
}

static void
assert_changes_topic(struct ot_config_change change, const char *pairs, const char *records)
{
	if (change_topic(change) != OT_OK)
		fail_msg("%s", why.text);
	assert_string_equal(print(result.pairs, result.count), pairs);
	assert_string_equal(print(result.records, result.record_count), records);
}

/* Goal: the four operations do what Kafka's do. Method: each on keys that are there and not. */
static void
operations(void **state)
{
	(void)state;
	assert_changes_topic(CHANGE("retention.ms", OT_ALTER_SET, "6"),
	    "retention.ms=6;leader.replication.throttled.replicas=0:1,0:2", "retention.ms=6");
	assert_changes_topic(CHANGE("retention.ms", OT_ALTER_SET, "5"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2", "");
	assert_changes_topic(CHANGE("segment.ms", OT_ALTER_SET, "1"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2;segment.ms=1",
	    "segment.ms=1");
	assert_changes_topic(CHANGE("retention.ms", OT_ALTER_DELETE, ""),
	    "leader.replication.throttled.replicas=0:1,0:2", "retention.ms=null");
	assert_changes_topic(CHANGE("segment.ms", OT_ALTER_DELETE, ""),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2", "");
	assert_changes_topic(
	    CHANGE("leader.replication.throttled.replicas", OT_ALTER_APPEND, "0:2, 1:1"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2,1:1",
	    "leader.replication.throttled.replicas=0:1,0:2,1:1");
	assert_changes_topic(
	    CHANGE("leader.replication.throttled.replicas", OT_ALTER_SUBTRACT, "0:1,9:9"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:2",
	    "leader.replication.throttled.replicas=0:2");
	/* A list that the topic does not override starts from the broker's. */
	assert_changes_topic(CHANGE("cleanup.policy", OT_ALTER_APPEND, "delete"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2;"
	    "cleanup.policy=compact,delete",
	    "cleanup.policy=compact,delete");
	assert_changes_topic(CHANGE("cleanup.policy", OT_ALTER_SUBTRACT, "compact"),
	    "retention.ms=5;leader.replication.throttled.replicas=0:1,0:2;cleanup.policy=",
	    "cleanup.policy=");
}

/* Goal: requests that contradict themselves are refused with Kafka's codes and words. Method: one
 * row of each. */
static void
bad_requests(void **state)
{
	(void)state;
	assert_int_equal(change_topic(CHANGE("retention.ms", OT_ALTER_APPEND, "6")),
	    OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text,
	    "Can't APPEND to key retention.ms because its type is not LIST.");
	assert_int_equal(change_topic(CHANGE("x", OT_ALTER_SUBTRACT, "6")), OT_ERR_INVALID_CONFIG);
	assert_int_equal(change_topic(CHANGE("x", OT_ALTER_SET, "6")), OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, "Unknown topic config name: x");
	assert_int_equal(change_topic(CHANGE("retention.ms", OT_ALTER_SET, "x")),
	    OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text,
	    "Invalid value x for configuration retention.ms: Not a number of type LONG");
	struct ot_config_change none = { OT_STR_LIT("retention.ms"), OT_STR_NULL, OT_ALTER_SET };
	assert_int_equal(change_topic(none), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "Null value not supported for : retention.ms");
	assert_int_equal(change_topic(CHANGE("retention.ms", 4, "x")), OT_ERR_INVALID_REQUEST);
	assert_int_equal(change_topic(CHANGE("retention.ms", -1, "x")), OT_ERR_INVALID_REQUEST);
	const struct ot_config_change twice[] = { CHANGE("retention.ms", OT_ALTER_SET, "1"),
		CHANGE("retention.ms", OT_ALTER_DELETE, "") };
	assert_int_equal(
	    ot_alter_apply(OT_ALTER_TOPIC, settings, NULL, 0, twice, 2, &arena, &result, &why),
	    OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text,
	    "Error due to duplicate config keys: retention.ms stands twice");
}

/* Goal: the older request replaces everything. Method: a key stays, one changes, one goes, one
 * comes. */
static void
replacement(void **state)
{
	(void)state;
	const struct ot_config_pair old[] = { PAIR("retention.ms", "5"), PAIR("segment.ms", "1"),
		PAIR("flush.ms", "2") };
	const struct ot_config_pair wanted[] = { PAIR("segment.ms", "1"), PAIR("flush.ms", "3"),
		PAIR("retention.bytes", "4") };
	assert_ok(
	    ot_alter_replace(OT_ALTER_TOPIC, settings, old, 3, wanted, 3, &arena, &result, &why));
	assert_string_equal(print(result.pairs, result.count),
	    "segment.ms=1;flush.ms=3;retention.bytes=4");
	assert_string_equal(print(result.records, result.record_count),
	    "flush.ms=3;retention.bytes=4;retention.ms=null");
	assert_ok(
	    ot_alter_replace(OT_ALTER_TOPIC, settings, old, 3, NULL, 0, &arena, &result, &why));
	assert_int_equal(result.count, 0);
}

static void
assert_broker(enum ot_alter_target target, struct ot_config_change change, ot_err err,
    const char *part)
{
	why.text[0] = '\0';
	assert_int_equal(
	    ot_alter_apply(target, settings, NULL, 0, &change, 1, &arena, &result, &why), err);
	if (strstr(why.text, part) == NULL)
		fail_msg("%s", why.text);
}

/* Goal: brokers and the cluster change what Kafka lets them change. Method: one row of each
 * rule. */
static void
brokers(void **state)
{
	(void)state;
	const struct ot_config_change threads = CHANGE("num.io.threads", OT_ALTER_SET, "4");
	assert_broker(OT_ALTER_BROKER, threads, OT_OK, "");
	assert_broker(OT_ALTER_CLUSTER_DEFAULT, threads, OT_OK, "");
	assert_string_equal(print(result.records, result.record_count), "num.io.threads=4");
	assert_broker(OT_ALTER_BROKER, CHANGE("log.dirs", OT_ALTER_SET, "/a"),
	    OT_ERR_INVALID_REQUEST, "Cannot update these configs dynamically: [log.dirs]");
	assert_broker(OT_ALTER_BROKER, CHANGE("num.io.threads", OT_ALTER_SET, "0"),
	    OT_ERR_INVALID_REQUEST, "Value must be at least 1");
	assert_broker(OT_ALTER_BROKER, CHANGE("num.io.threads", OT_ALTER_APPEND, "1"),
	    OT_ERR_INVALID_CONFIG,
	    "Config value append is not allowed for config key: num.io.threads");
	assert_broker(OT_ALTER_BROKER, CHANGE("ssl.keystore.location", OT_ALTER_SET, "/k"),
	    OT_ERR_INVALID_REQUEST, "only per-listener using the listener prefix");
	assert_broker(OT_ALTER_BROKER,
	    CHANGE("listener.name.a.ssl.keystore.location", OT_ALTER_SET, "/k"), OT_OK, "");
	assert_broker(OT_ALTER_CLUSTER_DEFAULT,
	    CHANGE("listener.name.a.ssl.keystore.location", OT_ALTER_SET, "/k"),
	    OT_ERR_INVALID_REQUEST, "broker id must be specified");
	assert_broker(OT_ALTER_CLUSTER_DEFAULT,
	    CHANGE("principal.builder.class", OT_ALTER_SET, "a.B"), OT_ERR_INVALID_REQUEST,
	    "broker id must be specified");
	/* Kafka moves a listener; here it would be written down without effect. */
	assert_broker(OT_ALTER_BROKER, CHANGE("listeners", OT_ALTER_SET, "PLAINTEXT://:1"),
	    OT_ERR_INVALID_REQUEST, "Cannot update these configs dynamically: [listeners]");
	assert_broker(OT_ALTER_BROKER, CHANGE("plugin.key", OT_ALTER_SET, "x"), OT_OK, "");
	assert_broker(OT_ALTER_BROKER, CHANGE("log.cleanup.policy", OT_ALTER_APPEND, "delete"),
	    OT_OK, "");
	assert_string_equal(print(result.records, result.record_count),
	    "log.cleanup.policy=compact,delete");
	assert_broker(OT_ALTER_BROKER, CHANGE("log.roll.ms", OT_ALTER_SET, "0"),
	    OT_ERR_INVALID_REQUEST, "Invalid dynamic configuration: ");
	assert_broker(OT_ALTER_BROKER,
	    CHANGE("leader.replication.throttled.rate", OT_ALTER_SET, "10"), OT_OK, "");
}

/* Goal: a broker's request is written down even when nothing changes, since it makes the broker
 * read key files again. Method: the value that is there. */
static void
unchanged_broker_values(void **state)
{
	(void)state;
	const struct ot_config_pair pairs[] = { PAIR("num.io.threads", "4") };
	const struct ot_config_change change = CHANGE("num.io.threads", OT_ALTER_SET, "4");
	assert_ok(
	    ot_alter_apply(OT_ALTER_BROKER, settings, pairs, 1, &change, 1, &arena, &result, &why));
	assert_int_equal(result.record_count, 1);
	assert_int_equal(result.count, 1);
}

/* Goal: without memory the answer is an error. Method: the n-th allocation fails, for all n. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	const struct ot_config_change change = CHANGE("cleanup.policy", OT_ALTER_APPEND, "delete");
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 1000);
		struct ot_arena own;
		ot_arena_init(&own, 0);
		ot_alloc_fail_at(n);
		err = ot_alter_apply(OT_ALTER_TOPIC, settings, NULL, 0, &change, 1, &own, &result,
		    &why);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		ot_arena_fini(&own);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(operations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replacement, set_up, tear_down),
		cmocka_unit_test_setup_teardown(brokers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unchanged_broker_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
