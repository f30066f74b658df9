#include "room.h"

#include "base/alloc.h"
#include "config/topic_settings.h"

static struct ot_arena arena;
static struct ot_settings *settings;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	settings = room_settings("");
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

static void
assert_refused(struct ot_config_pair pair, const char *message)
{
	struct ot_why why = { "" };
	assert_int_equal(ot_topic_settings_validate(settings, &pair, 1, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, message);
}

/* Goal: a topic without settings of its own has Kafka's defaults. Method: every field. */
static void
defaults(void **state)
{
	(void)state;
	struct ot_topic_settings topic;
	assert_ok(ot_topic_settings_make(settings, NULL, 0, &arena, &topic));
	assert_int_equal(topic.retention_ms, 604800000);
	assert_int_equal(topic.retention_bytes, -1);
	assert_int_equal(topic.segment_bytes, 1073741824);
	assert_int_equal(topic.segment_ms, 604800000);
	assert_int_equal(topic.segment_jitter_ms, 0);
	assert_int_equal(topic.segment_index_bytes, 10485760);
	assert_int_equal(topic.index_interval_bytes, 4096);
	assert_int_equal(topic.file_delete_delay_ms, 60000);
	assert_false(topic.preallocate);
	assert_true(topic.flush_messages == INT64_MAX && topic.flush_ms == INT64_MAX);
	assert_int_equal(topic.max_message_bytes, 1048588);
	assert_int_equal(topic.min_insync_replicas, 1);
	assert_int_equal(topic.timestamp_type, OT_TIMESTAMP_CREATE_TIME);
	assert_true(topic.timestamp_before_max_ms == INT64_MAX);
	assert_int_equal(topic.timestamp_after_max_ms, 3600000);
	assert_true(topic.message_downconversion_enable);
	assert_int_equal(topic.compression_type, OT_COMPRESS_AS_PRODUCER);
	assert_int_equal(topic.compression_gzip_level, -1);
	assert_int_equal(topic.compression_lz4_level, 9);
	assert_int_equal(topic.compression_zstd_level, 3);
	assert_true(topic.cleanup_delete && !topic.cleanup_compact);
	assert_true(topic.min_cleanable_dirty_ratio == 0.5);
	assert_int_equal(topic.min_compaction_lag_ms, 0);
	assert_true(topic.max_compaction_lag_ms == INT64_MAX);
	assert_int_equal(topic.delete_retention_ms, 86400000);
	assert_false(topic.unclean_leader_election_enable);
	assert_int_equal(topic.leader_throttled.count, 0);
	assert_false(topic.follower_throttled.is_all);
	assert_int_equal(topic.local_retention_ms, 604800000);
	assert_int_equal(topic.local_retention_bytes, -1);
	assert_int_equal(ot_topic_settings_segment_ms_max(&topic), 604800000);
}

/* Goal: a topic's own values stand before the broker's, and the broker's before the defaults.
 * Method: some of each. */
static void
order_of_values(void **state)
{
	(void)state;
	ot_settings_unref(settings);
	settings = room_settings("log.retention.hours=1\nlog.segment.bytes=1048576\n"
				 "message.max.bytes=2000\nlog.cleanup.policy=compact\n"
				 "compression.type=lz4\nlog.flush.scheduler.interval.ms=9\n");
	const struct ot_config_pair pairs[] = { PAIR("retention.ms", "5"),
		PAIR("cleanup.policy", "compact, delete"), PAIR("compression.type", "zstd"),
		PAIR("message.timestamp.type", "LogAppendTime"), PAIR("max.compaction.lag.ms", "3"),
		PAIR("leader.replication.throttled.replicas", "0:1,2:3"),
		PAIR("follower.replication.throttled.replicas", "*"),
		PAIR("min.cleanable.dirty.ratio", "0.25"), PAIR("preallocate", "TRUE") };
	struct ot_topic_settings topic;
	assert_ok(ot_topic_settings_make(settings, NULL, 0, &arena, &topic));
	assert_int_equal(topic.retention_ms, 3600000);
	assert_true(topic.cleanup_compact && !topic.cleanup_delete);
	assert_int_equal(topic.compression_type, OT_COMPRESS_LZ4);
	assert_ok(ot_topic_settings_make(settings, pairs, OT_ARRAY_COUNT(pairs), &arena, &topic));
	assert_int_equal(topic.retention_ms, 5);
	assert_int_equal(topic.segment_bytes, 1048576);
	assert_int_equal(topic.max_message_bytes, 2000);
	assert_int_equal(topic.flush_ms, 9);
	assert_true(topic.cleanup_compact && topic.cleanup_delete && topic.preallocate);
	assert_int_equal(topic.compression_type, OT_COMPRESS_ZSTD);
	assert_string_equal(ot_compression_setting_name(topic.compression_type), "zstd");
	assert_int_equal(topic.timestamp_type, OT_TIMESTAMP_LOG_APPEND_TIME);
	assert_true(topic.min_cleanable_dirty_ratio == 0.25);
	assert_int_equal(topic.leader_throttled.count, 2);
	assert_int_equal(topic.leader_throttled.pairs[1].partition, 2);
	assert_int_equal(topic.leader_throttled.pairs[1].broker, 3);
	assert_true(topic.follower_throttled.is_all);
	assert_int_equal(ot_topic_settings_segment_ms_max(&topic), 3);
}

/* Goal: the one older bound of timestamps stands for both newer ones where these were not set.
 * Method: on the topic and on the broker, with and without one of the newer. */
static void
older_timestamp_bound(void **state)
{
	(void)state;
	const struct ot_config_pair pairs[] = { PAIR("message.timestamp.difference.max.ms", "7"),
		PAIR("message.timestamp.after.max.ms", "8") };
	struct ot_topic_settings topic;
	assert_ok(ot_topic_settings_make(settings, pairs, 1, NULL, &topic));
	assert_int_equal(topic.timestamp_before_max_ms, 7);
	assert_int_equal(topic.timestamp_after_max_ms, 7);
	assert_ok(ot_topic_settings_make(settings, pairs, 2, NULL, &topic));
	assert_int_equal(topic.timestamp_before_max_ms, 7);
	assert_int_equal(topic.timestamp_after_max_ms, 8);
	ot_settings_unref(settings);
	settings = room_settings("log.message.timestamp.difference.max.ms=6\n"
				 "log.message.timestamp.before.max.ms=5\n");
	assert_ok(ot_topic_settings_make(settings, NULL, 0, NULL, &topic));
	assert_int_equal(topic.timestamp_before_max_ms, 5);
	assert_int_equal(topic.timestamp_after_max_ms, 6);
}

/* Goal: bad overrides are refused in Kafka's words. Method: one row of each. */
static void
bad_overrides(void **state)
{
	(void)state;
	assert_refused(PAIR("segment.bytes", "-1"),
	    "Invalid value -1 for configuration segment.bytes: Value must be at least 14");
	assert_refused(PAIR("retention.ms", "-2"),
	    "Invalid value -2 for configuration retention.ms: Value must be at least -1");
	assert_refused(PAIR("cleanup.policy", "shred"),
	    "Invalid value shred for configuration cleanup.policy: String must be one of: "
	    "compact, delete");
	assert_refused(PAIR("retention.mss", "1"),
	    "Unknown topic config name: retention.mss (did you mean retention.ms?)");
	assert_refused(PAIR("x", "1"), "Unknown topic config name: x");
	assert_refused(PAIR("log.retention.hours", "1"),
	    "Unknown topic config name: log.retention.hours (did you mean retention.ms?)");
	assert_refused((struct ot_config_pair){ OT_STR_LIT("retention.ms"), OT_STR_NULL },
	    "Null value not supported for topic configs: retention.ms");
}

/* Goal: overrides are judged together with what they do not say. Method: a bound of the topic
 * against one of the broker, and remote storage that the broker has not. */
static void
overrides_together(void **state)
{
	(void)state;
	ot_settings_unref(settings);
	settings = room_settings("log.cleaner.max.compaction.lag.ms=100\n");
	assert_refused(PAIR("min.compaction.lag.ms", "101"),
	    "conflict topic config setting min.compaction.lag.ms (101) > "
	    "max.compaction.lag.ms (100)");
	assert_refused(PAIR("remote.storage.enable", "true"),
	    "Tiered Storage functionality is disabled in the broker. Topic cannot be "
	    "configured with remote log storage.");
	const struct ot_config_pair pairs[] = { PAIR("min.compaction.lag.ms", "101"),
		PAIR("max.compaction.lag.ms", "101") };
	assert_ok(ot_topic_settings_validate(settings, pairs, 2, NULL));
}

/* Goal: a topic opens whatever an older release allowed. Method: overrides that cannot be read, or
 * that no table knows, count as not set. */
static void
unreadable_overrides(void **state)
{
	(void)state;
	const struct ot_config_pair pairs[] = { PAIR("segment.bytes", "tiny"),
		PAIR("gone.since", "1"), PAIR("retention.ms", "5") };
	struct ot_topic_settings topic;
	assert_ok(ot_topic_settings_make(settings, pairs, 3, &arena, &topic));
	assert_int_equal(topic.segment_bytes, 1073741824);
	assert_int_equal(topic.retention_ms, 5);
}

/* Goal: without memory the answer is an error. Method: the n-th allocation fails, for all n. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	const struct ot_config_pair pairs[] = {
		PAIR("leader.replication.throttled.replicas", "0:1"), PAIR("retention.ms", "5")
	};
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 1000);
		struct ot_arena own;
		struct ot_topic_settings topic;
		ot_arena_init(&own, 0);
		ot_alloc_fail_at(n);
		err = ot_topic_settings_make(settings, pairs, 2, &own, &topic);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		ot_arena_fini(&own);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(order_of_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(older_timestamp_bound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_overrides, set_up, tear_down),
		cmocka_unit_test_setup_teardown(overrides_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unreadable_overrides, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
