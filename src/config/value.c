/* Values as Kafka's ConfigDef reads them (ConfigDef.parseType and its validators), and its
 * messages. The text that comes out is the one that ConfigDef.convertToString() would print. */
#include "config/def.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longest number that is looked at: a double in full, with room to spare. */
#define NUMBER_BYTES_MAX 400

struct ot_str
ot_config_trim(struct ot_str text)
{
	if (text.len < 0)
		return text;
	while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ')
		text.len--;
	while (text.len > 0 && (unsigned char)text.data[0] <= ' ') {
		text.data++;
		text.len--;
	}
	return text;
}

static bool
is_nocase(struct ot_str text, const char *word)
{
	return text.len == (int32_t)strlen(word) &&
	       strncasecmp(text.data, word, (size_t)text.len) == 0;
}

static ot_err
keep_text(struct ot_arena *arena, const char *data, size_t bytes, struct ot_config_value *value)
{
	char *copy = ot_arena_strndup(arena, data, bytes);
	if (copy == NULL)
		return OT_ERR_NO_MEMORY;
	value->text = (struct ot_str){ copy, (int32_t)bytes };
	return OT_OK;
}

static ot_err
read_boolean(struct ot_str text, struct ot_config_value *value, struct ot_why *why)
{
	if (is_nocase(text, "true") || is_nocase(text, "false")) {
		value->number = is_nocase(text, "true");
		value->text = value->number ? (struct ot_str)OT_STR_LIT("true")
		                            : (struct ot_str)OT_STR_LIT("false");
		return OT_OK;
	}
	ot_why_set(why, "Expected value to be either true or false");
	return OT_ERR_INVALID_CONFIG;
}

/* Digits with at most one sign, within what an int64 holds. */
static bool
parse_int64(struct ot_str text, int64_t *ret_number)
{
	char buffer[NUMBER_BYTES_MAX];
	if (text.len <= 0 || (size_t)text.len >= sizeof(buffer))
		return false;
	int32_t first = text.data[0] == '-' || text.data[0] == '+' ? 1 : 0;
	if (first == text.len)
		return false;
	for (int32_t i = first; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	}
	memcpy(buffer, text.data, (size_t)text.len);
	buffer[text.len] = '\0';
	errno = 0;
	long long number = strtoll(buffer, NULL, 10);
	if (errno != 0)
		return false;
	*ret_number = number;
	return true;
}

static ot_err
read_integer(const struct ot_config_def *def, struct ot_str text, struct ot_arena *arena,
    struct ot_config_value *value, struct ot_why *why)
{
	int64_t most = def->type == OT_CONFIG_SHORT ? INT16_MAX
	               : def->type == OT_CONFIG_INT ? INT32_MAX
	                                            : INT64_MAX;
	if (!parse_int64(text, &value->number) || value->number > most ||
	    value->number < -most - 1) {
		ot_why_set(why, "Not a number of type %s", ot_config_type_name(def->type));
		return OT_ERR_INVALID_CONFIG;
	}
	char digits[32];
	int bytes = snprintf(digits, sizeof(digits), "%lld", (long long)value->number);
	return keep_text(arena, digits, (size_t)bytes, value);
}

/* Java's Double.toString(): the fewest digits that give the same double again, plain between
 * 0.001 and ten million, else with one digit before the point and an exponent. */
static size_t
print_double(double real, char *buffer, size_t bytes_max)
{
	char digits[40];
	int precision = 0;
	do {
		snprintf(digits, sizeof(digits), "%.*e", precision, real);
	} while (strtod(digits, NULL) != real && ++precision <= 17);
	int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
	double size = fabs(real);
	if (size != 0 && (size < 1e-3 || size >= 1e7)) {
		snprintf(digits, sizeof(digits), "%.*e", OT_MAX(precision, 1), real);
		*strchr(digits, 'e') = '\0';
		return (size_t)snprintf(buffer, bytes_max, "%sE%d", digits, exponent);
	}
	int decimals = OT_MAX(precision - exponent, 1);
	return (size_t)snprintf(buffer, bytes_max, "%.*f", decimals, real);
}

static ot_err
read_double(struct ot_str text, struct ot_arena *arena, struct ot_config_value *value,
    struct ot_why *why)
{
	char buffer[NUMBER_BYTES_MAX];
	char *end = buffer;
	if (text.len > 0 && (size_t)text.len < sizeof(buffer)) {
		memcpy(buffer, text.data, (size_t)text.len);
		buffer[text.len] = '\0';
		value->real = strtod(buffer, &end);
	}
	if (end == buffer || *end != '\0' || !isfinite(value->real)) {
		ot_why_set(why, "Not a number of type DOUBLE");
		return OT_ERR_INVALID_CONFIG;
	}
	size_t bytes = print_double(value->real, buffer, sizeof(buffer));
	return keep_text(arena, buffer, bytes, value);
}

/* Items are separated by commas; blanks around them do not count. No text: no items. */
static ot_err
read_list(struct ot_str text, struct ot_arena *arena, struct ot_config_value *value)
{
	size_t count = text.len > 0 ? 1 : 0;
	for (int32_t i = 0; i < text.len; i++)
		count += text.data[i] == ',';
	const char **items = ot_arena_array(arena, count, sizeof(*items));
	char *joined = ot_arena_alloc(arena, (size_t)text.len + 1);
	if (items == NULL || joined == NULL)
		return OT_ERR_NO_MEMORY;
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		const char *comma = memchr(text.data, ',', (size_t)text.len);
		int32_t len = comma != NULL ? (int32_t)(comma - text.data) : text.len;
		struct ot_str item = ot_config_trim((struct ot_str){ text.data, len });
		char *copy = ot_arena_strndup(arena, item.data, (size_t)item.len);
		if (copy == NULL)
			return OT_ERR_NO_MEMORY;
		items[i] = copy;
		if (i > 0)
			joined[bytes++] = ',';
		memcpy(joined + bytes, copy, (size_t)item.len);
		bytes += (size_t)item.len;
		if (comma != NULL)
			text = (struct ot_str){ comma + 1, text.len - len - 1 };
	}
	value->items = items;
	value->item_count = count;
	value->text = (struct ot_str){ joined, (int32_t)bytes };
	return OT_OK;
}

static ot_err
read_type(const struct ot_config_def *def, struct ot_str text, struct ot_arena *arena,
    struct ot_config_value *value, struct ot_why *why)
{
	/* A value is used as a C string: a NUL would hide the rest of it. */
	if (memchr(text.data, '\0', (size_t)text.len) != NULL) {
		ot_why_set(why, "Value must not contain a NUL character");
		return OT_ERR_INVALID_CONFIG;
	}
	switch (def->type) {
	case OT_CONFIG_BOOLEAN:
		return read_boolean(text, value, why);
	case OT_CONFIG_SHORT:
	case OT_CONFIG_INT:
	case OT_CONFIG_LONG:
		return read_integer(def, text, arena, value, why);
	case OT_CONFIG_DOUBLE:
		return read_double(text, arena, value, why);
	case OT_CONFIG_LIST:
		return read_list(text, arena, value);
	case OT_CONFIG_STRING:
	case OT_CONFIG_CLASS:
	case OT_CONFIG_PASSWORD:
	case OT_CONFIG_UNKNOWN:
		break;
	}
	return keep_text(arena, text.data, (size_t)text.len, value);
}

static ot_err
check_range(const struct ot_config_def *def, const struct ot_config_value *value,
    struct ot_why *why)
{
	double size = def->type == OT_CONFIG_DOUBLE ? value->real : (double)value->number;
	if (def->rule == OT_RULE_RANGE_OR_MINUS_ONE) {
		if (size == -1 || (size >= def->least && size <= def->most))
			return OT_OK;
		ot_why_set(why, "Value must be between %g and %g or equal to -1", def->least,
		    def->most);
		return OT_ERR_INVALID_CONFIG;
	}
	if (size < def->least) {
		ot_why_set(why, "Value must be at least %.15g", def->least);
		return OT_ERR_INVALID_CONFIG;
	}
	if (size > def->most) {
		ot_why_set(why, "Value must be no more than %.15g", def->most);
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

static void
put_choices(const struct ot_config_def *def, struct ot_text *text)
{
	for (size_t i = 0; def->choices[i] != NULL; i++)
		ot_text_put(text, "%s%s", i > 0 ? ", " : "", def->choices[i]);
}

static bool
is_choice(const struct ot_config_def *def, const char *text, bool ignores_case)
{
	for (size_t i = 0; def->choices[i] != NULL; i++) {
		int order = ignores_case ? strcasecmp(text, def->choices[i])
		                         : strcmp(text, def->choices[i]);
		if (order == 0)
			return true;
	}
	return false;
}

static ot_err
check_choice(const struct ot_config_def *def, const char *text, struct ot_why *why)
{
	bool ignores_case = def->rule == OT_RULE_ONE_OF_NOCASE;
	if (is_choice(def, text, ignores_case))
		return OT_OK;
	if (why != NULL) {
		struct ot_text out = OT_TEXT(why->text);
		ot_text_put(&out,
		    "String must be one of%s: ", ignores_case ? " (case insensitive)" : "");
		put_choices(def, &out);
	}
	return OT_ERR_INVALID_CONFIG;
}

static ot_err
check_list(const struct ot_config_def *def, const struct ot_config_value *value, struct ot_why *why)
{
	for (size_t i = 0; i < value->item_count; i++) {
		ot_err err = check_choice(def, value->items[i], why);
		if (err != OT_OK)
			return err;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(value->items[i], value->items[j]) == 0) {
				ot_why_set(why, "Configuration '%s' values must not be duplicated.",
				    def->name);
				return OT_ERR_INVALID_CONFIG;
			}
		}
	}
	return OT_OK;
}

/* "3:1", partition and broker. */
static bool
is_replica_pair(const char *item)
{
	size_t partition = strspn(item, "0123456789");
	if (partition == 0 || item[partition] != ':')
		return false;
	const char *broker = item + partition + 1;
	size_t digits = strspn(broker, "0123456789");
	return digits > 0 && broker[digits] == '\0';
}

static ot_err
check_replicas(const struct ot_config_def *def, const struct ot_config_value *value,
    struct ot_why *why)
{
	if (value->item_count == 1 && strcmp(value->items[0], "*") == 0)
		return OT_OK;
	for (size_t i = 0; i < value->item_count; i++) {
		if (is_replica_pair(value->items[i]))
			continue;
		ot_why_set(why,
		    "%s must be the literal '*' or a list of replicas in the following format: "
		    "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
		    def->name);
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

/* "0.10.2", "3.9-IV0": enough to tell a release from anything else, as nothing depends on it. */
static bool
is_version(const char *text)
{
	size_t numbers = strspn(text, "0123456789.");
	if (numbers == 0 || text[0] == '.')
		return false;
	const char *rest = text + numbers;
	if (*rest == '\0')
		return true;
	return strncmp(rest, "-IV", 3) == 0 && rest[3] != '\0' &&
	       rest[3 + strspn(rest + 3, "0123456789")] == '\0';
}

static ot_err
check_value(const struct ot_config_def *def, const struct ot_config_value *value,
    struct ot_why *why)
{
	switch (def->rule) {
	case OT_RULE_ANY:
	case OT_RULE_NON_NULL:
		return OT_OK;
	case OT_RULE_RANGE:
	case OT_RULE_RANGE_OR_MINUS_ONE:
		return check_range(def, value, why);
	case OT_RULE_ONE_OF:
	case OT_RULE_ONE_OF_NOCASE:
		return check_choice(def, value->text.data, why);
	case OT_RULE_LIST_OF:
		return check_list(def, value, why);
	case OT_RULE_REPLICA_LIST:
		return check_replicas(def, value, why);
	case OT_RULE_NON_EMPTY:
		if (value->text.len > 0)
			return OT_OK;
		ot_why_set(why, "%s must be non-empty",
		    def->type == OT_CONFIG_LIST ? "List" : "String");
		return OT_ERR_INVALID_CONFIG;
	case OT_RULE_VERSION:
		if (is_version(value->text.data))
			return OT_OK;
		ot_why_set(why, "Version `%s` is not a valid version", value->text.data);
		return OT_ERR_INVALID_CONFIG;
	}
	return OT_OK;
}

ot_err
ot_config_read_reason(const struct ot_config_def *def, struct ot_str text, struct ot_arena *arena,
    struct ot_config_value *ret_value, struct ot_why *why)
{
	struct ot_config_value value = { .is_null = text.len < 0, .text = OT_STR_NULL };
	if (value.is_null) {
		if (def->rule == OT_RULE_NON_NULL) {
			ot_why_set(why, "Value must be non-null");
			return OT_ERR_INVALID_CONFIG;
		}
		*ret_value = value;
		return OT_OK;
	}
	text = ot_config_trim(text);
	if (text.len == 0)
		text.data = "";
	ot_err err = read_type(def, text, arena, &value, why);
	if (err == OT_OK)
		err = check_value(def, &value, why);
	if (err == OT_OK)
		*ret_value = value;
	return err;
}

ot_err
ot_config_read(const struct ot_config_def *def, struct ot_str text, struct ot_arena *arena,
    struct ot_config_value *ret_value, struct ot_why *why)
{
	struct ot_why reason;
	ot_err err = ot_config_read_reason(def, text, arena, ret_value, &reason);
	if (err != OT_ERR_INVALID_CONFIG)
		return err;
	struct ot_str shown = ot_config_trim(text);
	if (def->type == OT_CONFIG_PASSWORD)
		shown = (struct ot_str)OT_STR_LIT("[hidden]");
	else if (shown.len < 0)
		shown = (struct ot_str)OT_STR_LIT("null");
	ot_why_set(why, "Invalid value %.*s for configuration %s: %s", OT_MIN(shown.len, 100),
	    shown.data, def->name, reason.text);
	return err;
}

static void
put_number_remedy(const struct ot_config_def *def, struct ot_text *text)
{
	ot_text_put(text, def->type == OT_CONFIG_DOUBLE ? "give a number" : "give a whole number");
	bool has_least = def->least > -OT_RULE_NO_BOUND, has_most = def->most < OT_RULE_NO_BOUND;
	if (has_least && has_most)
		ot_text_put(text, " from %.15g to %.15g", def->least, def->most);
	else if (has_least)
		ot_text_put(text, " of at least %.15g", def->least);
	if (def->rule == OT_RULE_RANGE_OR_MINUS_ONE)
		ot_text_put(text, ", or -1");
}

void
ot_config_put_remedy(const struct ot_config_def *def, struct ot_text *text)
{
	if (def->choices != NULL) {
		ot_text_put(text, def->rule == OT_RULE_LIST_OF ? "give any of " : "give one of ");
		put_choices(def, text);
		return;
	}
	switch (def->type) {
	case OT_CONFIG_BOOLEAN:
		ot_text_put(text, "give true or false");
		return;
	case OT_CONFIG_SHORT:
	case OT_CONFIG_INT:
	case OT_CONFIG_LONG:
	case OT_CONFIG_DOUBLE:
		put_number_remedy(def, text);
		return;
	default:
		break;
	}
	if (def->rule == OT_RULE_REPLICA_LIST)
		ot_text_put(text, "give * or partition:broker pairs separated by commas");
	else if (def->rule == OT_RULE_VERSION)
		ot_text_put(text, "give a release such as 0.11.0 or 3.9-IV0");
	else
		ot_text_put(text, "give a text that is not empty");
}
