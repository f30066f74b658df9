#include "config/def.h"

#include <string.h>

#define LISTENER_PREFIX "listener.name."

static int
compare_to_name(struct ot_str text, const char *name)
{
	return ot_str_compare(text, ot_str_from(name));
}

int
ot_config_find(const struct ot_config_table *table, struct ot_str name)
{
	size_t low = 0, high = table->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_to_name(name, table->defs[table->by_name[middle]].name);
		if (order == 0)
			return table->by_name[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

static bool
starts_with(struct ot_str text, struct ot_str prefix)
{
	return text.len >= prefix.len && memcmp(text.data, prefix.data, (size_t)prefix.len) == 0;
}

/* What stands behind the first dot; null when there is none. */
static struct ot_str
after_dot(struct ot_str text)
{
	const char *dot = text.len > 0 ? memchr(text.data, '.', (size_t)text.len) : NULL;
	if (dot == NULL)
		return OT_STR_NULL;
	int32_t skipped = (int32_t)(dot - text.data) + 1;
	return (struct ot_str){ dot + 1, text.len - skipped };
}

/* Only these may stand behind the name of a mechanism: "plain.sasl.jaas.config". */
static bool
is_mechanism_key(int key)
{
	return key == OT_BROKER_SASL_JAAS_CONFIG || key == OT_BROKER_SASL_LOGIN_CLASS ||
	       key == OT_BROKER_SASL_LOGIN_CALLBACK_HANDLER_CLASS ||
	       key == OT_BROKER_SASL_SERVER_CALLBACK_HANDLER_CLASS ||
	       key == OT_BROKER_CONNECTIONS_MAX_REAUTH_MS;
}

int
ot_config_find_broker(struct ot_str name, bool *ret_has_prefix)
{
	int key = ot_config_find(&ot_broker_table, name);
	bool has_prefix = false;
	struct ot_str prefix = OT_STR_LIT(LISTENER_PREFIX);
	if (key < 0 && starts_with(name, prefix)) {
		struct ot_str rest = { name.data + prefix.len, name.len - prefix.len };
		struct ot_str base = after_dot(rest);
		key = base.len > 0 ? ot_config_find(&ot_broker_table, base) : -1;
		if (key < 0 && base.len > 0) {
			struct ot_str inner = after_dot(base);
			key = inner.len > 0 ? ot_config_find(&ot_broker_table, inner) : -1;
			key = is_mechanism_key(key) ? key : -1;
		}
		has_prefix = key >= 0;
	}
	if (ret_has_prefix != NULL)
		*ret_has_prefix = has_prefix;
	return key;
}

#define NEAREST_BYTES_MAX 128

/* Number of letters to insert, drop, replace or swap with a neighbour, or anything above `most`
 * when it is more than that. */
static int
edit_distance(struct ot_str a, const char *b, int most)
{
	int b_len = (int)strlen(b);
	if (a.len > NEAREST_BYTES_MAX || b_len > NEAREST_BYTES_MAX || a.len - b_len > most ||
	    b_len - a.len > most)
		return most + 1;
	int rows[3][NEAREST_BYTES_MAX + 1];
	for (int j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (int i = 1; i <= a.len; i++) {
		int *row = rows[i % 3], *above = rows[(i + 2) % 3], *higher = rows[(i + 1) % 3];
		row[0] = i;
		for (int j = 1; j <= b_len; j++) {
			int cost = a.data[i - 1] == b[j - 1] ? 0 : 1;
			row[j] = OT_MIN(OT_MIN(above[j], row[j - 1]) + 1, above[j - 1] + cost);
			if (i > 1 && j > 1 && a.data[i - 1] == b[j - 2] &&
			    a.data[i - 2] == b[j - 1])
				row[j] = OT_MIN(row[j], higher[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b_len];
}

const char *
ot_config_nearest(const struct ot_config_table *table, struct ot_str name)
{
	const char *nearest = NULL;
	/* A third of the letters wrong is another word, not a slip. */
	int best = OT_MIN(name.len / 3, 8) + 1;
	for (size_t i = 0; i < table->count; i++) {
		int distance = edit_distance(name, table->defs[i].name, best - 1);
		if (distance < best) {
			best = distance;
			nearest = table->defs[i].name;
		}
	}
	return nearest;
}

const char *
ot_config_source_name(enum ot_config_source source)
{
	switch (source) {
	case OT_SOURCE_TOPIC:
		return "DYNAMIC_TOPIC_CONFIG";
	case OT_SOURCE_DYNAMIC_BROKER:
		return "DYNAMIC_BROKER_CONFIG";
	case OT_SOURCE_DYNAMIC_DEFAULT:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG";
	case OT_SOURCE_STATIC:
		return "STATIC_BROKER_CONFIG";
	case OT_SOURCE_DEFAULT:
		return "DEFAULT_CONFIG";
	case OT_SOURCE_UNKNOWN:
		break;
	}
	return "UNKNOWN";
}

const char *
ot_config_type_name(enum ot_config_type type)
{
	static const char *const names[] = { "UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG",
		"DOUBLE", "LIST", "CLASS", "PASSWORD" };
	return (size_t)type < OT_ARRAY_COUNT(names) ? names[type] : names[0];
}

const struct ot_config_pair *
ot_config_pair_find(const struct ot_config_pair *pairs, size_t count, struct ot_str name)
{
	for (size_t i = count; i > 0; i--) {
		if (ot_str_equal(pairs[i - 1].name, name))
			return &pairs[i - 1];
	}
	return NULL;
}
