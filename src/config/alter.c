/* Rules and messages are those of Kafka's ConfigAdminManager (duplicates, nulls, lists) and
 * ConfigurationControlManager (the operations themselves), and, for brokers, of
 * DynamicBrokerConfig.validateConfigs(). */
#include "config/alter.h"

#include <string.h>

#include "config/topic_settings.h"

static const struct ot_config_def *
def_of(enum ot_alter_target target, struct ot_str name)
{
	int key = target == OT_ALTER_TOPIC ? ot_config_find(&ot_topic_table, name)
	                                   : ot_config_find_broker(name, NULL);
	if (key < 0)
		return NULL;
	return target == OT_ALTER_TOPIC ? &ot_topic_table.defs[key] : &ot_broker_table.defs[key];
}

static ot_err
check_changes(const struct ot_config_change *changes, size_t count, struct ot_why *why)
{
	for (size_t i = 0; i < count; i++) {
		if (changes[i].op < OT_ALTER_SET || changes[i].op > OT_ALTER_SUBTRACT) {
			ot_why_set(why, "Unknown operations type %d", changes[i].op);
			return OT_ERR_INVALID_REQUEST;
		}
		if (changes[i].value.len < 0 && changes[i].op != OT_ALTER_DELETE) {
			ot_why_set(why, "Null value not supported for : %.*s",
			    OT_STR_ARG(changes[i].name));
			return OT_ERR_INVALID_REQUEST;
		}
		for (size_t j = 0; j < i; j++) {
			if (!ot_str_equal(changes[i].name, changes[j].name))
				continue;
			ot_why_set(why, "Error due to duplicate config keys: %.*s stands twice",
			    OT_STR_ARG(changes[i].name));
			return OT_ERR_INVALID_REQUEST;
		}
	}
	return OT_OK;
}

static ot_err
check_list_operation(enum ot_alter_target target, const struct ot_config_change *change,
    struct ot_why *why)
{
	const struct ot_config_def *def = def_of(target, change->name);
	if (def != NULL && def->type == OT_CONFIG_LIST)
		return OT_OK;
	if (def == NULL && target != OT_ALTER_TOPIC)
		ot_why_set(why, "Unknown config name: %.*s", OT_STR_ARG(change->name));
	else if (target == OT_ALTER_TOPIC)
		ot_why_set(why, "Can't %s to key %.*s because its type is not LIST.",
		    change->op == OT_ALTER_APPEND ? "APPEND" : "SUBTRACT",
		    OT_STR_ARG(change->name));
	else
		ot_why_set(why, "Config value %s is not allowed for config key: %.*s",
		    change->op == OT_ALTER_APPEND ? "append" : "subtract",
		    OT_STR_ARG(change->name));
	return OT_ERR_INVALID_CONFIG;
}

/* The value that a list operation starts from when nothing overrides it. */
static ot_err
value_in_force(enum ot_alter_target target, const struct ot_settings *settings, struct ot_str name,
    struct ot_arena *arena, struct ot_str *ret_value)
{
	if (target == OT_ALTER_TOPIC) {
		struct ot_config_value value;
		int key = ot_config_find(&ot_topic_table, name);
		ot_err err = ot_topic_settings_value(settings, NULL, 0, (enum ot_topic_key)key,
		    arena, &value);
		if (err == OT_OK)
			*ret_value = value.text;
		return err;
	}
	bool has_prefix;
	int key = ot_config_find_broker(name, &has_prefix);
	*ret_value = OT_STR_NULL;
	if (key >= 0 && !has_prefix)
		*ret_value = settings->values[key].value.text;
	return OT_OK;
}

static struct ot_str
next_item(struct ot_str *rest)
{
	const char *comma = rest->len > 0 ? memchr(rest->data, ',', (size_t)rest->len) : NULL;
	int32_t len = comma != NULL ? (int32_t)(comma - rest->data) : rest->len;
	struct ot_str item = ot_config_trim((struct ot_str){ rest->data, len });
	int32_t skipped = comma != NULL ? len + 1 : len;
	*rest = (struct ot_str){ rest->data + skipped, rest->len - skipped };
	return item;
}

static bool
has_item(struct ot_str list, struct ot_str item)
{
	while (list.len > 0) {
		if (ot_str_equal(next_item(&list), item))
			return true;
	}
	return false;
}

static void
put_item(char *text, int32_t *bytes, struct ot_str item)
{
	if (*bytes > 0)
		text[(*bytes)++] = ',';
	if (item.len > 0)
		memcpy(text + *bytes, item.data, (size_t)item.len);
	*bytes += item.len;
}

/* `old` with the items of `given` behind it that it lacks, or without them. */
static ot_err
combine_lists(enum ot_alter_op op, struct ot_str old, struct ot_str given, struct ot_arena *arena,
    struct ot_str *ret_value)
{
	old.len = OT_MAX(old.len, 0);
	char *text = ot_arena_alloc(arena, (size_t)old.len + (size_t)given.len + 2);
	if (text == NULL)
		return OT_ERR_NO_MEMORY;
	int32_t bytes = 0;
	for (struct ot_str rest = old; rest.len > 0;) {
		struct ot_str item = next_item(&rest);
		if (op == OT_ALTER_APPEND || !has_item(given, item))
			put_item(text, &bytes, item);
	}
	for (struct ot_str rest = given; op == OT_ALTER_APPEND && rest.len > 0;) {
		struct ot_str item = next_item(&rest);
		if (!has_item((struct ot_str){ text, bytes }, item))
			put_item(text, &bytes, item);
	}
	*ret_value = (struct ot_str){ text, bytes };
	return OT_OK;
}

static ot_err
changed_value(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_config_change *change, struct ot_str old, struct ot_arena *arena,
    struct ot_str *ret_value, struct ot_why *why)
{
	switch (change->op) {
	case OT_ALTER_SET:
		*ret_value = change->value;
		return OT_OK;
	case OT_ALTER_DELETE:
		*ret_value = OT_STR_NULL;
		return OT_OK;
	default:
		break;
	}
	ot_err err = check_list_operation(target, change, why);
	if (err == OT_OK && old.len < 0)
		err = value_in_force(target, settings, change->name, arena, &old);
	if (err != OT_OK)
		return err;
	return combine_lists((enum ot_alter_op)change->op, old, change->value, arena, ret_value);
}

/* Sets or removes one key of the result, and notes what must be written. */
static void
put_result(enum ot_alter_target target, struct ot_alter_result *result, struct ot_str name,
    struct ot_str value)
{
	size_t place = 0;
	while (place < result->count && !ot_str_equal(result->pairs[place].name, name))
		place++;
	bool was_there = place < result->count;
	struct ot_str old = was_there ? result->pairs[place].value : OT_STR_NULL;
	bool is_same = old.len == value.len && ot_str_equal(old, value);
	if (!is_same || target != OT_ALTER_TOPIC)
		result->records[result->record_count++] = (struct ot_config_pair){ name, value };
	if (value.len >= 0 && !was_there) {
		result->pairs[result->count++] = (struct ot_config_pair){ name, value };
	} else if (value.len >= 0) {
		result->pairs[place].value = value;
	} else if (was_there) {
		result->count--;
		memmove(&result->pairs[place], &result->pairs[place + 1],
		    (result->count - place) * sizeof(result->pairs[0]));
	}
}

static ot_err
start_result(struct ot_alter_result *result, const struct ot_config_pair *pairs, size_t count,
    size_t change_count, struct ot_arena *arena)
{
	*result = (struct ot_alter_result){ .count = count };
	result->pairs = ot_arena_array(arena, count + change_count, sizeof(*result->pairs));
	result->records = ot_arena_array(arena, count + change_count, sizeof(*result->records));
	if (result->pairs == NULL || result->records == NULL)
		return OT_ERR_NO_MEMORY;
	if (count > 0)
		memcpy(result->pairs, pairs, count * sizeof(*pairs));
	return OT_OK;
}

static ot_err
validate(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_alter_result *result, struct ot_why *why)
{
	if (target == OT_ALTER_TOPIC)
		return ot_topic_settings_validate(settings, result->pairs, result->count, why);
	return ot_alter_validate_broker(settings, target == OT_ALTER_CLUSTER_DEFAULT, result->pairs,
	    result->count, why);
}

ot_err
ot_alter_apply(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_config_pair *pairs, size_t count, const struct ot_config_change *changes,
    size_t change_count, struct ot_arena *arena, struct ot_alter_result *ret_result,
    struct ot_why *why)
{
	struct ot_alter_result result;
	ot_err err = check_changes(changes, change_count, why);
	if (err == OT_OK)
		err = start_result(&result, pairs, count, change_count, arena);
	for (size_t i = 0; err == OT_OK && i < change_count; i++) {
		const struct ot_config_pair *old =
		    ot_config_pair_find(pairs, count, changes[i].name);
		struct ot_str value;
		err = changed_value(target, settings, &changes[i],
		    old != NULL ? old->value : OT_STR_NULL, arena, &value, why);
		if (err == OT_OK)
			put_result(target, &result, changes[i].name, value);
	}
	if (err == OT_OK)
		err = validate(target, settings, &result, why);
	if (err == OT_OK)
		*ret_result = result;
	return err;
}

ot_err
ot_alter_replace(enum ot_alter_target target, const struct ot_settings *settings,
    const struct ot_config_pair *pairs, size_t count, const struct ot_config_pair *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_alter_result *ret_result,
    struct ot_why *why)
{
	size_t change_count = 0;
	struct ot_config_change *changes =
	    ot_arena_array(arena, count + wanted_count, sizeof(*changes));
	if (changes == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < wanted_count; i++)
		changes[change_count++] =
		    (struct ot_config_change){ wanted[i].name, wanted[i].value, OT_ALTER_SET };
	for (size_t i = 0; i < count; i++) {
		if (ot_config_pair_find(wanted, wanted_count, pairs[i].name) == NULL)
			changes[change_count++] = (struct ot_config_change){ pairs[i].name,
				OT_STR_NULL, OT_ALTER_DELETE };
	}
	return ot_alter_apply(target, settings, pairs, count, changes, change_count, arena,
	    ret_result, why);
}

/* Keys of key stores and the like: they may change for a listener, never for all. */
static bool
is_listener_only(struct ot_str name, bool has_prefix)
{
	static const char *const stems[] = { "ssl.keystore.", "ssl.truststore.",
		"ssl.key.password" };
	if (has_prefix)
		return false;
	for (size_t i = 0; i < OT_ARRAY_COUNT(stems); i++) {
		size_t bytes = strlen(stems[i]);
		if ((size_t)name.len >= bytes && memcmp(name.data, stems[i], bytes) == 0)
			return true;
	}
	return false;
}

/* The rules of names, in the order in which Kafka asks them. */
enum name_rule {
	NAME_IS_DYNAMIC,
	NAME_IS_OF_LISTENER,
	NAME_IS_OF_CLUSTER,
	NAME_RULE_COUNT,
};

static const char *const name_rule_texts[NAME_RULE_COUNT] = {
	[NAME_IS_DYNAMIC] = "Cannot update these configs dynamically",
	[NAME_IS_OF_LISTENER] =
	    "These security configs can be dynamically updated only per-listener "
	    "using the listener prefix",
	[NAME_IS_OF_CLUSTER] =
	    "Cannot update these configs at default cluster level, broker id must "
	    "be specified",
};

static bool
breaks_name_rule(struct ot_str name, enum name_rule rule, bool is_cluster_default)
{
	bool has_prefix;
	int key = ot_config_find_broker(name, &has_prefix);
	if (key < 0)
		return false; /* a plug-in's own, for all that anybody knows */
	bool is_limit = key == OT_BROKER_MAX_CONNECTIONS ||
	                key == OT_BROKER_MAX_CONNECTION_CREATION_RATE ||
	                key == OT_BROKER_NUM_NETWORK_THREADS;
	enum ot_config_update update = ot_broker_table.defs[key].update;
	switch (rule) {
	case NAME_IS_DYNAMIC:
		return update == OT_UPDATE_READ_ONLY && !has_prefix;
	case NAME_IS_OF_LISTENER:
		return is_listener_only(name, has_prefix);
	case NAME_IS_OF_CLUSTER:
		return is_cluster_default &&
		       (has_prefix ? !is_limit : update == OT_UPDATE_PER_BROKER);
	case NAME_RULE_COUNT:
		break;
	}
	return false;
}

static ot_err
check_names(const struct ot_config_pair *pairs, size_t count, enum name_rule rule,
    bool is_cluster_default, struct ot_why *why)
{
	struct ot_why names = { "" };
	struct ot_text text = OT_TEXT(names.text);
	for (size_t i = 0; i < count; i++) {
		if (breaks_name_rule(pairs[i].name, rule, is_cluster_default))
			ot_text_put(&text, "%s%.*s", text.bytes > 0 ? ", " : "",
			    OT_STR_ARG(pairs[i].name));
	}
	if (text.bytes == 0)
		return OT_OK;
	ot_why_set(why, "%s: [%s]", name_rule_texts[rule], names.text);
	return OT_ERR_INVALID_REQUEST;
}

static ot_err
check_values(const struct ot_config_pair *pairs, size_t count, struct ot_arena *scratch,
    struct ot_why *why)
{
	for (size_t i = 0; i < count; i++) {
		int key = ot_config_find_broker(pairs[i].name, NULL);
		struct ot_config_value value;
		ot_err err = key < 0 ? OT_OK
		                     : ot_config_read(&ot_broker_table.defs[key], pairs[i].value,
					   scratch, &value, why);
		if (err != OT_OK)
			return err == OT_ERR_INVALID_CONFIG ? OT_ERR_INVALID_REQUEST : err;
	}
	return OT_OK;
}

/* What is set in one of the dynamic places. */
static ot_err
collect_place(const struct ot_settings *settings, enum ot_settings_layer layer,
    struct ot_arena *arena, struct ot_config_pair **ret_pairs, size_t *ret_count)
{
	size_t room = (size_t)OT_BROKER_KEY_COUNT + settings->extra_count;
	struct ot_config_pair *pairs = ot_arena_array(arena, room, sizeof(*pairs));
	if (pairs == NULL)
		return OT_ERR_NO_MEMORY;
	size_t count = 0;
	for (size_t key = 0; key < OT_BROKER_KEY_COUNT; key++) {
		struct ot_str value = settings->values[key].raw[layer];
		if (value.len >= 0)
			pairs[count++] =
			    (struct ot_config_pair){ ot_str_from(ot_broker_table.defs[key].name),
				    value };
	}
	for (size_t i = 0; i < settings->extra_count; i++) {
		const struct ot_setting_extra *extra = &settings->extras[i];
		if (extra->layer == layer)
			pairs[count++] = (struct ot_config_pair){ extra->name, extra->value };
	}
	*ret_pairs = pairs;
	*ret_count = count;
	return OT_OK;
}

/* The settings that would come out of it, with all rules between settings. */
static ot_err
check_outcome(const struct ot_settings *settings, bool is_cluster_default,
    const struct ot_config_pair *pairs, size_t count, struct ot_arena *scratch, struct ot_why *why)
{
	struct ot_config_pair *others = NULL;
	size_t other_count = 0;
	ot_err err = collect_place(settings,
	    is_cluster_default ? OT_LAYER_DYNAMIC_BROKER : OT_LAYER_DYNAMIC_DEFAULT, scratch,
	    &others, &other_count);
	if (err != OT_OK)
		return err;
	struct ot_settings_input input = {
		.dynamic_default = is_cluster_default ? pairs : others,
		.dynamic_default_count = is_cluster_default ? count : other_count,
		.dynamic_broker = is_cluster_default ? others : pairs,
		.dynamic_broker_count = is_cluster_default ? other_count : count,
	};
	struct ot_config_notes notes;
	struct ot_settings *outcome = NULL;
	ot_config_notes_init(&notes);
	err = ot_settings_create_changed(settings, &input, &notes, &outcome);
	for (const struct ot_config_note *note = notes.first; note != NULL; note = note->next) {
		if (note->is_error) {
			ot_why_set(why, "Invalid dynamic configuration: %s", note->text);
			break;
		}
	}
	ot_settings_unref(outcome);
	ot_config_notes_fini(&notes);
	return err == OT_ERR_INVALID_CONFIG ? OT_ERR_INVALID_REQUEST : err;
}

ot_err
ot_alter_validate_broker(const struct ot_settings *settings, bool is_cluster_default,
    const struct ot_config_pair *pairs, size_t count, struct ot_why *why)
{
	struct ot_arena scratch;
	ot_arena_init(&scratch, 0);
	ot_err err = OT_OK;
	for (int rule = 0; err == OT_OK && rule < NAME_RULE_COUNT; rule++)
		err = check_names(pairs, count, (enum name_rule)rule, is_cluster_default, why);
	if (err == OT_OK)
		err = check_values(pairs, count, &scratch, why);
	if (err == OT_OK)
		err = check_outcome(settings, is_cluster_default, pairs, count, &scratch, why);
	ot_arena_fini(&scratch);
	return err;
}
