/* What DescribeConfigs says of a topic or a broker: each key with its value, where that came from,
 * and the other places that would have given one. */
#ifndef OT_CONFIG_DESCRIBE_H
#define OT_CONFIG_DESCRIBE_H

#include "config/settings.h"

struct ot_config_entry_synonym {
	struct ot_str name;
	struct ot_str value; /* null when the key is sensitive */
	enum ot_config_source source;
};

/* Texts are the settings', the overrides' or the arena's: all three must outlive the entry. */
struct ot_config_entry {
	struct ot_str name;
	struct ot_str value; /* null when sensitive, or when there is none */
	enum ot_config_source source;
	enum ot_config_type type;
	bool is_sensitive;
	bool is_read_only;
	bool is_default;           /* source is DEFAULT; what versions before 1 of the API tell */
	const char *documentation; /* NULL for keys that no table knows */
	const struct ot_config_entry_synonym *synonyms;
	size_t synonym_count;
};

/* Entries in the order of their names. `wanted` names the keys to describe; none means all that are
 * not internal, as in Kafka. Wanted keys that do not exist are left out. OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
ot_err ot_describe_topic(const struct ot_settings *settings, const struct ot_config_pair *overrides,
    size_t override_count, const struct ot_str *wanted, size_t wanted_count, struct ot_arena *arena,
    struct ot_config_entry **ret_entries, size_t *ret_count) OT_MUST_USE;

/* The broker itself: all keys, what users set without our knowing it included. Errors as above.
 * @owner the arena's   @blocks never */
ot_err ot_describe_broker(const struct ot_settings *settings, const struct ot_str *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_config_entry **ret_entries,
    size_t *ret_count) OT_MUST_USE;

/* The cluster's dynamic defaults (resource BROKER with an empty name): only what is set there.
 * Errors as above. @owner the arena's   @blocks never */
ot_err ot_describe_cluster_default(const struct ot_settings *settings, const struct ot_str *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_config_entry **ret_entries,
    size_t *ret_count) OT_MUST_USE;

#endif
