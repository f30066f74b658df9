#include "config/topic_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

static const char *const compression_names[] = {
	[OT_COMPRESS_AS_PRODUCER] = "producer",
	[OT_COMPRESS_NONE] = "uncompressed",
	[OT_COMPRESS_GZIP] = "gzip",
	[OT_COMPRESS_SNAPPY] = "snappy",
	[OT_COMPRESS_LZ4] = "lz4",
	[OT_COMPRESS_ZSTD] = "zstd",
};

const char *
ot_compression_setting_name(enum ot_compression_setting compression)
{
	return compression_names[compression];
}

/* A topic's values by key, over the broker's. */
struct view {
	const struct ot_settings *settings;
	struct ot_arena *arena;
	struct ot_config_value values[OT_TOPIC_KEY_COUNT];
};

static ot_err
number_value(int64_t number, struct ot_arena *arena, struct ot_config_value *ret_value)
{
	char digits[32];
	int bytes = snprintf(digits, sizeof(digits), "%lld", (long long)number);
	const char *text = ot_arena_strndup(arena, digits, (size_t)bytes);
	if (text == NULL)
		return OT_ERR_NO_MEMORY;
	*ret_value = (struct ot_config_value){ .number = number, .text = { text, bytes } };
	return OT_OK;
}

/* What a topic without overrides has: the broker's value, or the schema's default. */
static ot_err
read_default(const struct ot_settings *settings, enum ot_topic_key key, struct ot_arena *arena,
    struct ot_config_value *ret_value)
{
	const struct ot_config_def *def = &ot_topic_table.defs[key];
	if (def->synonym_count == 0) {
		struct ot_why why;
		ot_err err =
		    ot_config_read(def, ot_str_from(def->default_text), arena, ret_value, &why);
		if (err == OT_ERR_INVALID_CONFIG)
			OT_PANIC("the schema's default is not valid: %s", why.text);
		return err;
	}
	enum ot_broker_key broker_key = (enum ot_broker_key)def->synonyms[0].key;
	if (def->type != OT_CONFIG_LONG) {
		*ret_value = settings->values[broker_key].value;
		return OT_OK;
	}
	int64_t number = ot_settings_number(settings, broker_key);
	/* Any negative retention is Kafka's -1. */
	if (key == OT_TOPIC_RETENTION_MS)
		number = OT_MAX(number, -1);
	return number_value(number, arena, ret_value);
}

ot_err
ot_topic_settings_value(const struct ot_settings *settings, const struct ot_config_pair *overrides,
    size_t override_count, enum ot_topic_key key, struct ot_arena *arena,
    struct ot_config_value *ret_value)
{
	const struct ot_config_def *def = &ot_topic_table.defs[key];
	const struct ot_config_pair *pair =
	    ot_config_pair_find(overrides, override_count, ot_str_from(def->name));
	if (pair != NULL && pair->value.len >= 0) {
		ot_err err = ot_config_read(def, pair->value, arena, ret_value, NULL);
		if (err != OT_ERR_INVALID_CONFIG)
			return err;
	}
	return read_default(settings, key, arena, ret_value);
}

static ot_err
make_view(struct view *view, const struct ot_settings *settings,
    const struct ot_config_pair *overrides, size_t override_count, struct ot_arena *arena)
{
	view->settings = settings;
	view->arena = arena;
	for (size_t key = 0; key < OT_TOPIC_KEY_COUNT; key++) {
		ot_err err = ot_topic_settings_value(settings, overrides, override_count,
		    (enum ot_topic_key)key, arena, &view->values[key]);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static int64_t
number(const struct view *view, enum ot_topic_key key)
{
	return view->values[key].number;
}

static int32_t
number32(const struct view *view, enum ot_topic_key key)
{
	OT_ASSERT(ot_topic_table.defs[key].type == OT_CONFIG_INT);
	return (int32_t)view->values[key].number;
}

static bool
flag(const struct view *view, enum ot_topic_key key)
{
	OT_ASSERT(ot_topic_table.defs[key].type == OT_CONFIG_BOOLEAN);
	return view->values[key].number != 0;
}

static bool
has_item(const struct view *view, enum ot_topic_key key, const char *word)
{
	const struct ot_config_value *list = &view->values[key];
	for (size_t i = 0; i < list->item_count; i++) {
		if (strcmp(list->items[i], word) == 0)
			return true;
	}
	return false;
}

static enum ot_compression_setting
compression(const struct view *view)
{
	const char *text = view->values[OT_TOPIC_COMPRESSION_TYPE].text.data;
	for (size_t i = 0; i < OT_ARRAY_COUNT(compression_names); i++) {
		if (strcmp(text, compression_names[i]) == 0)
			return (enum ot_compression_setting)i;
	}
	return OT_COMPRESS_AS_PRODUCER;
}

/* The older setting, for both directions, counts where the newer one was left at its default. */
static int64_t
timestamp_bound(const struct view *view, enum ot_topic_key key, const struct ot_config_pair *pairs,
    size_t count)
{
	const struct ot_config_def *def = &ot_topic_table.defs[key];
	const struct ot_config_def *old =
	    &ot_topic_table.defs[OT_TOPIC_MESSAGE_TIMESTAMP_DIFFERENCE_MAX_MS];
	const struct ot_settings *settings = view->settings;
	if (ot_config_pair_find(pairs, count, ot_str_from(def->name)) != NULL)
		return number(view, key);
	if (ot_config_pair_find(pairs, count, ot_str_from(old->name)) != NULL)
		return number(view, OT_TOPIC_MESSAGE_TIMESTAMP_DIFFERENCE_MAX_MS);
	if (!ot_settings_is_set(settings, (enum ot_broker_key)def->synonyms[0].key) &&
	    ot_settings_is_set(settings, (enum ot_broker_key)old->synonyms[0].key))
		return number(view, OT_TOPIC_MESSAGE_TIMESTAMP_DIFFERENCE_MAX_MS);
	return number(view, key);
}

static ot_err
read_throttled(const struct view *view, enum ot_topic_key key,
    struct ot_throttled_replicas *ret_replicas)
{
	const struct ot_config_value *list = &view->values[key];
	*ret_replicas = (struct ot_throttled_replicas){ 0 };
	if (list->item_count == 1 && strcmp(list->items[0], "*") == 0) {
		ret_replicas->is_all = true;
		return OT_OK;
	}
	struct ot_replica_pair *pairs =
	    ot_arena_array(view->arena, list->item_count, sizeof(*pairs));
	if (pairs == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < list->item_count; i++) {
		char *colon = NULL;
		pairs[i].partition = (int32_t)strtol(list->items[i], &colon, 10);
		pairs[i].broker = (int32_t)strtol(colon + 1, NULL, 10);
	}
	ret_replicas->pairs = pairs;
	ret_replicas->count = list->item_count;
	return OT_OK;
}

static void
fill_log(const struct view *view, struct ot_topic_settings *topic)
{
	topic->retention_ms = number(view, OT_TOPIC_RETENTION_MS);
	topic->retention_bytes = number(view, OT_TOPIC_RETENTION_BYTES);
	topic->segment_bytes = number32(view, OT_TOPIC_SEGMENT_BYTES);
	if (!view->values[OT_TOPIC_INTERNAL_SEGMENT_BYTES].is_null)
		topic->segment_bytes = number32(view, OT_TOPIC_INTERNAL_SEGMENT_BYTES);
	topic->segment_ms = number(view, OT_TOPIC_SEGMENT_MS);
	topic->segment_jitter_ms = number(view, OT_TOPIC_SEGMENT_JITTER_MS);
	topic->segment_index_bytes = number32(view, OT_TOPIC_SEGMENT_INDEX_BYTES);
	topic->index_interval_bytes = number32(view, OT_TOPIC_INDEX_INTERVAL_BYTES);
	topic->file_delete_delay_ms = number(view, OT_TOPIC_FILE_DELETE_DELAY_MS);
	topic->preallocate = flag(view, OT_TOPIC_PREALLOCATE);
	topic->flush_messages = number(view, OT_TOPIC_FLUSH_MESSAGES);
	topic->flush_ms = number(view, OT_TOPIC_FLUSH_MS);
	topic->cleanup_delete = has_item(view, OT_TOPIC_CLEANUP_POLICY, "delete");
	topic->cleanup_compact = has_item(view, OT_TOPIC_CLEANUP_POLICY, "compact");
	topic->min_cleanable_dirty_ratio = view->values[OT_TOPIC_MIN_CLEANABLE_DIRTY_RATIO].real;
	topic->min_compaction_lag_ms = number(view, OT_TOPIC_MIN_COMPACTION_LAG_MS);
	topic->max_compaction_lag_ms = number(view, OT_TOPIC_MAX_COMPACTION_LAG_MS);
	topic->delete_retention_ms = number(view, OT_TOPIC_DELETE_RETENTION_MS);
	topic->remote_storage_enable = flag(view, OT_TOPIC_REMOTE_STORAGE_ENABLE);
	topic->remote_log_copy_disable = flag(view, OT_TOPIC_REMOTE_LOG_COPY_DISABLE);
	topic->remote_log_delete_on_disable = flag(view, OT_TOPIC_REMOTE_LOG_DELETE_ON_DISABLE);
	int64_t local_ms = number(view, OT_TOPIC_LOCAL_RETENTION_MS);
	int64_t local_bytes = number(view, OT_TOPIC_LOCAL_RETENTION_BYTES);
	topic->local_retention_ms = local_ms == -2 ? topic->retention_ms : local_ms;
	topic->local_retention_bytes = local_bytes == -2 ? topic->retention_bytes : local_bytes;
}

static void
fill_records(const struct view *view, const struct ot_config_pair *pairs, size_t count,
    struct ot_topic_settings *topic)
{
	topic->max_message_bytes = number32(view, OT_TOPIC_MAX_MESSAGE_BYTES);
	topic->min_insync_replicas = number32(view, OT_TOPIC_MIN_INSYNC_REPLICAS);
	const char *type = view->values[OT_TOPIC_MESSAGE_TIMESTAMP_TYPE].text.data;
	topic->timestamp_type = strcmp(type, "LogAppendTime") == 0 ? OT_TIMESTAMP_LOG_APPEND_TIME
	                                                           : OT_TIMESTAMP_CREATE_TIME;
	topic->timestamp_before_max_ms =
	    timestamp_bound(view, OT_TOPIC_MESSAGE_TIMESTAMP_BEFORE_MAX_MS, pairs, count);
	topic->timestamp_after_max_ms =
	    timestamp_bound(view, OT_TOPIC_MESSAGE_TIMESTAMP_AFTER_MAX_MS, pairs, count);
	topic->message_downconversion_enable = flag(view, OT_TOPIC_MESSAGE_DOWNCONVERSION_ENABLE);
	topic->compression_type = compression(view);
	topic->compression_gzip_level = number32(view, OT_TOPIC_COMPRESSION_GZIP_LEVEL);
	topic->compression_lz4_level = number32(view, OT_TOPIC_COMPRESSION_LZ4_LEVEL);
	topic->compression_zstd_level = number32(view, OT_TOPIC_COMPRESSION_ZSTD_LEVEL);
	topic->unclean_leader_election_enable = flag(view, OT_TOPIC_UNCLEAN_LEADER_ELECTION_ENABLE);
}

ot_err
ot_topic_settings_make(const struct ot_settings *settings, const struct ot_config_pair *overrides,
    size_t override_count, struct ot_arena *arena, struct ot_topic_settings *ret_topic)
{
	struct ot_arena scratch;
	struct view view;
	struct ot_topic_settings topic = { 0 };
	ot_arena_init(&scratch, 0);
	ot_err err =
	    make_view(&view, settings, overrides, override_count, arena != NULL ? arena : &scratch);
	if (err == OT_OK) {
		fill_log(&view, &topic);
		fill_records(&view, overrides, override_count, &topic);
	}
	if (err == OT_OK && arena != NULL)
		err = read_throttled(&view, OT_TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS,
		    &topic.leader_throttled);
	if (err == OT_OK && arena != NULL)
		err = read_throttled(&view, OT_TOPIC_FOLLOWER_REPLICATION_THROTTLED_REPLICAS,
		    &topic.follower_throttled);
	ot_arena_fini(&scratch);
	if (err == OT_OK)
		*ret_topic = topic;
	return err;
}

int64_t
ot_topic_settings_segment_ms_max(const struct ot_topic_settings *topic)
{
	if (topic->cleanup_compact && topic->max_compaction_lag_ms > 0)
		return OT_MIN(topic->segment_ms, topic->max_compaction_lag_ms);
	return topic->segment_ms;
}

/* The topic's key that people may have meant: the one whose broker setting they named, or the one
 * that is spelled most like it. */
static const char *
meant_key(struct ot_str name)
{
	int broker_key = ot_config_find(&ot_broker_table, name);
	for (size_t i = 0; broker_key >= 0 && i < OT_TOPIC_KEY_COUNT; i++) {
		const struct ot_config_def *def = &ot_topic_table.defs[i];
		for (size_t j = 0; j < def->synonym_count; j++) {
			if (def->synonyms[j].key == broker_key)
				return def->name;
		}
	}
	return ot_config_nearest(&ot_topic_table, name);
}

static ot_err
check_names(const struct ot_config_pair *overrides, size_t count, struct ot_why *why)
{
	for (size_t i = 0; i < count; i++) {
		if (ot_config_find(&ot_topic_table, overrides[i].name) >= 0)
			continue;
		const char *nearest = meant_key(overrides[i].name);
		ot_why_set(why, "Unknown topic config name: %.*s%s%s%s",
		    OT_STR_ARG(overrides[i].name), nearest != NULL ? " (did you mean " : "",
		    nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

static ot_err
check_values(const struct ot_config_pair *overrides, size_t count, struct ot_arena *arena,
    struct ot_why *why)
{
	for (size_t i = 0; i < count; i++) {
		int key = ot_config_find(&ot_topic_table, overrides[i].name);
		if (overrides[i].value.len < 0) {
			ot_why_set(why, "Null value not supported for topic configs: %s",
			    ot_topic_table.defs[key].name);
			return OT_ERR_INVALID_CONFIG;
		}
		struct ot_config_value value;
		ot_err err = ot_config_read(&ot_topic_table.defs[key], overrides[i].value, arena,
		    &value, why);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static ot_err
check_remote(const struct ot_settings *settings, const struct ot_topic_settings *topic,
    struct ot_why *why)
{
	if (!topic->remote_storage_enable)
		return OT_OK;
	if (!ot_settings_flag(settings, OT_BROKER_REMOTE_LOG_STORAGE_SYSTEM_ENABLE)) {
		ot_why_set(why, "Tiered Storage functionality is disabled in the broker. Topic "
				"cannot be configured with remote log storage.");
		return OT_ERR_INVALID_CONFIG;
	}
	if (topic->cleanup_compact) {
		ot_why_set(why, "Remote log storage only supports topics with "
				"cleanup.policy=delete or cleanup.policy being an empty list.");
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

static ot_err
check_together(const struct ot_settings *settings, const struct ot_topic_settings *topic,
    struct ot_why *why)
{
	if (topic->min_compaction_lag_ms > topic->max_compaction_lag_ms) {
		ot_why_set(why,
		    "conflict topic config setting min.compaction.lag.ms (%lld) > "
		    "max.compaction.lag.ms (%lld)",
		    (long long)topic->min_compaction_lag_ms,
		    (long long)topic->max_compaction_lag_ms);
		return OT_ERR_INVALID_CONFIG;
	}
	return check_remote(settings, topic, why);
}

ot_err
ot_topic_settings_validate(const struct ot_settings *settings,
    const struct ot_config_pair *overrides, size_t override_count, struct ot_why *why)
{
	struct ot_arena scratch;
	struct ot_topic_settings topic;
	ot_arena_init(&scratch, 0);
	ot_err err = check_names(overrides, override_count, why);
	if (err == OT_OK)
		err = check_values(overrides, override_count, &scratch, why);
	if (err == OT_OK)
		err = ot_topic_settings_make(settings, overrides, override_count, NULL, &topic);
	if (err == OT_OK)
		err = check_together(settings, &topic, why);
	ot_arena_fini(&scratch);
	return err;
}

bool
ot_throttled_replicas_have(const struct ot_throttled_replicas *list, int32_t partition,
    int32_t broker)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->pairs[i].partition == partition && list->pairs[i].broker == broker)
			return true;
	}
	return list->is_all;
}
