/* The settings of one topic, as plain values for those who keep its logs and replicas. */
#ifndef OT_CONFIG_TOPIC_SETTINGS_H
#define OT_CONFIG_TOPIC_SETTINGS_H

#include "config/settings.h"

enum ot_compression_setting {
	OT_COMPRESS_AS_PRODUCER,
	OT_COMPRESS_NONE,
	OT_COMPRESS_GZIP,
	OT_COMPRESS_SNAPPY,
	OT_COMPRESS_LZ4,
	OT_COMPRESS_ZSTD,
};

enum ot_timestamp_setting {
	OT_TIMESTAMP_CREATE_TIME,
	OT_TIMESTAMP_LOG_APPEND_TIME,
};

/* One partition:broker pair of a throttled replica. */
struct ot_replica_pair {
	int32_t partition;
	int32_t broker;
};

/* Which replicas of a topic are throttled: all of them, or some. */
struct ot_throttled_replicas {
	bool is_all;
	const struct ot_replica_pair *pairs; /* the arena's */
	size_t count;
};

/* @owner any thread   @blocks never */
bool ot_throttled_replicas_have(const struct ot_throttled_replicas *list, int32_t partition,
    int32_t broker);

/* Copied freely, except for the throttled replicas, whose pairs are the arena's that the settings
 * were read with. Times are milliseconds, and INT64_MAX means never. */
struct ot_topic_settings {
	int64_t retention_ms;    /* -1: for ever */
	int64_t retention_bytes; /* -1: without bound */
	int32_t segment_bytes;
	int64_t segment_ms;
	int64_t segment_jitter_ms;
	int32_t segment_index_bytes;
	int32_t index_interval_bytes;
	int64_t file_delete_delay_ms;
	bool preallocate;

	int64_t flush_messages;
	int64_t flush_ms;

	int32_t max_message_bytes;
	int32_t min_insync_replicas;
	enum ot_timestamp_setting timestamp_type;
	int64_t timestamp_before_max_ms;
	int64_t timestamp_after_max_ms;
	bool message_downconversion_enable;

	enum ot_compression_setting compression_type;
	int32_t compression_gzip_level;
	int32_t compression_lz4_level;
	int32_t compression_zstd_level;

	bool cleanup_delete;
	bool cleanup_compact;
	double min_cleanable_dirty_ratio;
	int64_t min_compaction_lag_ms;
	int64_t max_compaction_lag_ms;
	int64_t delete_retention_ms;

	bool unclean_leader_election_enable;
	struct ot_throttled_replicas leader_throttled;
	struct ot_throttled_replicas follower_throttled;

	bool remote_storage_enable;
	bool remote_log_copy_disable;
	bool remote_log_delete_on_disable;
	int64_t local_retention_ms;
	int64_t local_retention_bytes;
};

/* What holds for a topic that overrides `overrides`, over the broker's `settings`. `overrides` were
 * validated when they were set; one that an older release had and this one cannot read counts as
 * not set, so that a topic never fails to open. The arena may be NULL for callers who do not look
 * at throttled replicas. OT_ERR_NO_MEMORY. @owner the arena's   @blocks never */
ot_err ot_topic_settings_make(const struct ot_settings *settings,
    const struct ot_config_pair *overrides, size_t override_count, struct ot_arena *arena,
    struct ot_topic_settings *ret_topic) OT_MUST_USE;

/* Whether a topic may have these overrides, all of them together: Kafka's checks and, in `why`,
 * Kafka's messages. OT_ERR_INVALID_CONFIG, OT_ERR_NO_MEMORY. @owner any thread   @blocks never */
ot_err ot_topic_settings_validate(const struct ot_settings *settings,
    const struct ot_config_pair *overrides, size_t override_count, struct ot_why *why) OT_MUST_USE;

/* The value of one key for such a topic, in Kafka's spelling, and the source where it came from:
 * the topic, or what the broker setting's value came from. Null when there is none.
 * OT_ERR_NO_MEMORY. @owner the arena's   @blocks never */
ot_err ot_topic_settings_value(const struct ot_settings *settings,
    const struct ot_config_pair *overrides, size_t override_count, enum ot_topic_key key,
    struct ot_arena *arena, struct ot_config_value *ret_value) OT_MUST_USE;

/* The longest that a segment stays open: compacted topics close it before records would be older
 * than max.compaction.lag.ms. @owner any thread */
int64_t ot_topic_settings_segment_ms_max(const struct ot_topic_settings *topic);

/* "gzip" and so on. @owner any thread */
const char *ot_compression_setting_name(enum ot_compression_setting compression);

#endif
