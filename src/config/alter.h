/* Changes of dynamic settings: what AlterConfigs and IncrementalAlterConfigs do to the overrides of
 * a topic, of a broker or of the cluster, as pure functions on lists. */
#ifndef OT_CONFIG_ALTER_H
#define OT_CONFIG_ALTER_H

#include "config/settings.h"

/* The numbers are those of the protocol (IncrementalAlterConfigs, config operation). */
enum ot_alter_op {
	OT_ALTER_SET = 0,
	OT_ALTER_DELETE = 1,
	OT_ALTER_APPEND = 2,
	OT_ALTER_SUBTRACT = 3,
};

enum ot_alter_target {
	OT_ALTER_TOPIC,
	OT_ALTER_BROKER,
	OT_ALTER_CLUSTER_DEFAULT, /* a broker resource with an empty name */
};

struct ot_config_change {
	struct ot_str name;
	struct ot_str value; /* null is right for DELETE only */
	int8_t op;           /* as it came: enum ot_alter_op, or what a peer made up */
};

/* What must be written down: a key and its new value, null when it goes. */
struct ot_alter_result {
	struct ot_config_pair *pairs; /* all overrides afterwards */
	size_t count;
	struct ot_config_pair *records; /* only what changes; all that a broker's request named,
	                                 * since that makes it read changed files anew */
	size_t record_count;
};

/* Applies `changes` to `pairs` and validates what comes out of it. `settings` are those that hold
 * now: a list that is not overridden starts from the value that holds. Texts of the result are
 * those of the arguments or the arena's. `why` has Kafka's message, and the codes are Kafka's too.
 * OT_ERR_INVALID_REQUEST: a key twice, no value, an unknown operation; for brokers also a key that
 * cannot change there, or a bad value. OT_ERR_INVALID_CONFIG: a list operation on no list; for
 * topics also an unknown key, or a bad value. OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
ot_err ot_alter_apply(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_config_pair *pairs, size_t count, const struct ot_config_change *changes,
    size_t change_count, struct ot_arena *arena, struct ot_alter_result *ret_result,
    struct ot_why *why) OT_MUST_USE;

/* The older AlterConfigs: `wanted` replaces all of `pairs`. Errors as above.
 * @owner the arena's   @blocks never */
ot_err ot_alter_replace(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_config_pair *pairs, size_t count, const struct ot_config_pair *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_alter_result *ret_result,
    struct ot_why *why) OT_MUST_USE;

/* Whether a broker, or the cluster as its default, may have these dynamic settings, all together:
 * all keys may change there, all values are valid, and the rules between settings hold.
 * OT_ERR_INVALID_REQUEST, which is what Kafka answers, OT_ERR_NO_MEMORY.
 * @owner any thread   @blocks never */
ot_err ot_alter_validate_broker(const struct ot_settings *settings, bool is_cluster_default,
    const struct ot_config_pair *pairs, size_t count, struct ot_why *why) OT_MUST_USE;

#endif
