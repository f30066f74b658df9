/* Definitions of settings: what schema/configs says of each key, and values read by it.
 *
 * A key is an index into its table (enum ot_broker_key, enum ot_topic_key), so a reader of
 * settings names keys by symbols that the compiler knows. Everything here is constant or pure:
 * any thread may call it, and nothing blocks.
 */
#ifndef OT_CONFIG_DEF_H
#define OT_CONFIG_DEF_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/text.h"
#include "config/config_gen.h"

/* The numbers are those of the protocol (DescribeConfigs, config type). */
enum ot_config_type {
	OT_CONFIG_UNKNOWN = 0,
	OT_CONFIG_BOOLEAN = 1,
	OT_CONFIG_STRING = 2,
	OT_CONFIG_INT = 3,
	OT_CONFIG_SHORT = 4,
	OT_CONFIG_LONG = 5,
	OT_CONFIG_DOUBLE = 6,
	OT_CONFIG_LIST = 7,
	OT_CONFIG_CLASS = 8,
	OT_CONFIG_PASSWORD = 9,
};

/* The numbers are those of the protocol (DescribeConfigs, config source). */
enum ot_config_source {
	OT_SOURCE_UNKNOWN = 0,
	OT_SOURCE_TOPIC = 1,
	OT_SOURCE_DYNAMIC_BROKER = 2,
	OT_SOURCE_DYNAMIC_DEFAULT = 3,
	OT_SOURCE_STATIC = 4,
	OT_SOURCE_DEFAULT = 5,
};

enum ot_config_rule {
	OT_RULE_ANY,
	OT_RULE_RANGE,
	OT_RULE_RANGE_OR_MINUS_ONE,
	OT_RULE_ONE_OF,
	OT_RULE_ONE_OF_NOCASE,
	OT_RULE_LIST_OF,
	OT_RULE_NON_NULL,
	OT_RULE_NON_EMPTY,
	OT_RULE_REPLICA_LIST,
	OT_RULE_VERSION,
};

enum ot_config_update {
	OT_UPDATE_READ_ONLY,
	OT_UPDATE_PER_BROKER,
	OT_UPDATE_CLUSTER_WIDE,
};

/* Larger than any value that a bound of a range could have. */
#define OT_RULE_NO_BOUND 1e300

/* Another broker setting that gives the value when this one has none, in units of its own. */
struct ot_config_synonym {
	uint16_t key; /* enum ot_broker_key */
	int64_t factor;
};

struct ot_config_def {
	const char *name;
	const char *default_text; /* NULL: none */
	const char *doc;
	const char *inert;          /* why Ottla does not act on it; NULL when it does */
	const char *const *choices; /* NULL-terminated, or NULL */
	const struct ot_config_synonym *synonyms;
	size_t synonym_count;
	/* Client settings: the property of librdkafka that does the same, its own unit being that
	 * many of ours; "" where there is none, "*" where src/config/client.c decides. */
	const char *rdkafka;
	int64_t rdkafka_divisor;
	double least;
	double most;
	enum ot_config_type type;
	enum ot_config_rule rule;
	enum ot_config_update update;
	bool is_internal;
	bool is_dynamic_only;
};

struct ot_config_table {
	const struct ot_config_def *defs;
	const uint16_t *by_name; /* indexes into defs in the order of the names' bytes */
	size_t count;
};

extern const struct ot_config_table ot_broker_table;
extern const struct ot_config_table ot_topic_table;
extern const struct ot_config_table ot_producer_table;
extern const struct ot_config_table ot_consumer_table;
extern const struct ot_config_table ot_admin_table;

/* One setting as somebody gave it: in a file, in a request, in the metadata. Null value: none. */
struct ot_config_pair {
	struct ot_str name;
	struct ot_str value;
};

/* A value that was read. Text is in the spelling of Kafka's answers ("true", "0.5", "a,b") and
 * ends in NUL. All memory is the arena's that it was read with. */
struct ot_config_value {
	bool is_null;
	int64_t number; /* BOOLEAN (0 or 1), INT, SHORT, LONG */
	double real;    /* DOUBLE */
	struct ot_str text;
	const char *const *items; /* LIST: NUL-terminated each */
	size_t item_count;
};

/* The index of a key, or -1. @owner any thread */
int ot_config_find(const struct ot_config_table *table, struct ot_str name);

/* The same for a broker's key that may bear the prefix "listener.name.NAME.", and behind it, for
 * settings of a SASL mechanism, "mechanism.". `ret_has_prefix` may be NULL. @owner any thread */
int ot_config_find_broker(struct ot_str name, bool *ret_has_prefix);

/* The known key that is spelled most like `name`, or NULL when none is near. @owner any thread */
const char *ot_config_nearest(const struct ot_config_table *table, struct ot_str name);

/* The sources' and types' names in Kafka's tools, "STATIC_BROKER_CONFIG" and "INT".
 * @owner any thread */
const char *ot_config_source_name(enum ot_config_source source);
const char *ot_config_type_name(enum ot_config_type type);

/* Reads `text` by `def`: type and valid values. Blanks around it do not count. Null text gives
 * the null value, which only some rules refuse. On OT_ERR_INVALID_CONFIG `why` has Kafka's
 * message, "Invalid value x for configuration y: z"; a password's value is left out of it.
 * OT_ERR_NO_MEMORY when the arena is full. @owner the arena's */
ot_err ot_config_read(const struct ot_config_def *def, struct ot_str text, struct ot_arena *arena,
    struct ot_config_value *ret_value, struct ot_why *why) OT_MUST_USE;

/* Only the reason, without value and name: "Value must be at least 1". @owner any thread */
ot_err ot_config_read_reason(const struct ot_config_def *def, struct ot_str text,
    struct ot_arena *arena, struct ot_config_value *ret_value, struct ot_why *why) OT_MUST_USE;

/* What the key accepts, for people: "a whole number of at least 1". @owner any thread */
void ot_config_put_remedy(const struct ot_config_def *def, struct ot_text *text);

/* `text` without the blanks at its ends (bytes up to 0x20, as Java's trim). @owner any thread */
struct ot_str ot_config_trim(struct ot_str text);

/* The pair called `name`, or NULL; the last one when there are several. @owner any thread */
const struct ot_config_pair *ot_config_pair_find(const struct ot_config_pair *pairs, size_t count,
    struct ot_str name);

#endif
