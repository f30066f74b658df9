/* Kafka's answers are followed in their details (ConfigHelper.scala), since tools print them:
 *
 * - The synonyms of a key are listed by place, strongest first: all names of the key that were set
 *   for this broker, then for the cluster, then in the file, then all that have a default. What
 *   stands before the key's own name is dropped.
 * - The source of the value is that of the first synonym left, and DEFAULT when there is none, even
 *   if log.retention.hours in the file gave log.retention.ms its value.
 * - A key that no table knows is taken for sensitive, as nobody can tell what it holds.
 */
#include "config/describe.h"

#include <stdlib.h>
#include <string.h>

#include "config/topic_settings.h"

/* The most names that one setting has: log.retention.ms, .minutes and .hours. */
#define NAMES_MAX 4

struct builder {
	const struct ot_settings *settings;
	struct ot_arena *arena;
	struct ot_config_entry *entries;
	size_t count;
};

struct synonym_list {
	struct ot_config_entry_synonym *items;
	size_t count;
};

static bool
is_wanted(struct ot_str name, const struct ot_str *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ot_str_equal(wanted[i], name))
			return true;
	}
	return count == 0;
}

static void
add_synonym(struct synonym_list *list, struct ot_str name, struct ot_str value, bool is_sensitive,
    enum ot_config_source source)
{
	list->items[list->count++] = (struct ot_config_entry_synonym){
		.name = name,
		.value = is_sensitive ? OT_STR_NULL : value,
		.source = source,
	};
}

/* All names of a key: itself, then its synonyms. A name of a family (log.retention.hours) has the
 * whole family. */
static size_t
names_of(enum ot_broker_key key, enum ot_broker_key *ret_names)
{
	enum ot_broker_key head = key;
	for (size_t i = 0; i < OT_BROKER_KEY_COUNT; i++) {
		const struct ot_config_def *def = &ot_broker_table.defs[i];
		for (size_t j = 0; j < def->synonym_count; j++) {
			/* The scheduler's interval is a default of another key, not a name of it.
			 */
			if (def->synonyms[j].key == key &&
			    key != OT_BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS)
				head = (enum ot_broker_key)i;
		}
	}
	const struct ot_config_def *def = &ot_broker_table.defs[head];
	size_t count = 0;
	ret_names[count++] = head;
	for (size_t i = 0; i < def->synonym_count && count < NAMES_MAX; i++)
		ret_names[count++] = (enum ot_broker_key)def->synonyms[i].key;
	return count;
}

static const struct {
	enum ot_settings_layer layer;
	enum ot_config_source source;
} places[] = {
	{ OT_LAYER_DYNAMIC_BROKER, OT_SOURCE_DYNAMIC_BROKER },
	{ OT_LAYER_DYNAMIC_DEFAULT, OT_SOURCE_DYNAMIC_DEFAULT },
	{ OT_LAYER_STATIC, OT_SOURCE_STATIC },
};

/* Appends the synonyms of a broker's key. The list has room. */
static void
list_broker_synonyms(const struct ot_settings *settings, enum ot_broker_key key, bool is_sensitive,
    struct synonym_list *list)
{
	enum ot_broker_key names[NAMES_MAX];
	size_t name_count = names_of(key, names);
	bool found_self = false;
	for (size_t place = 0; place <= OT_ARRAY_COUNT(places); place++) {
		for (size_t i = 0; i < name_count; i++) {
			const struct ot_config_def *def = &ot_broker_table.defs[names[i]];
			bool is_default = place == OT_ARRAY_COUNT(places);
			struct ot_str value =
			    is_default ? ot_str_from(def->default_text)
				       : settings->values[names[i]].raw[places[place].layer];
			found_self |= names[i] == key && value.len >= 0;
			if (value.len < 0 || !found_self)
				continue;
			add_synonym(list, ot_str_from(def->name), value, is_sensitive,
			    is_default ? OT_SOURCE_DEFAULT : places[place].source);
		}
	}
}

/* Room for all synonyms of one entry. */
static ot_err
make_list(struct builder *build, struct synonym_list *ret_list)
{
	size_t room = 1 + NAMES_MAX * (OT_ARRAY_COUNT(places) + 1);
	ret_list->count = 0;
	ret_list->items = ot_arena_array(build->arena, room, sizeof(*ret_list->items));
	return ret_list->items != NULL ? OT_OK : OT_ERR_NO_MEMORY;
}

static void
finish_entry(struct builder *build, struct ot_config_entry *entry, const struct synonym_list *list)
{
	entry->synonyms = list->items;
	entry->synonym_count = list->count;
	entry->source = list->count > 0 ? list->items[0].source : OT_SOURCE_DEFAULT;
	entry->is_default = entry->source == OT_SOURCE_DEFAULT;
	build->entries[build->count++] = *entry;
}

static int
compare_entries(const void *a, const void *b)
{
	const struct ot_config_entry *first = a, *second = b;
	return ot_str_compare(first->name, second->name);
}

static ot_err
start(struct builder *build, const struct ot_settings *settings, struct ot_arena *arena,
    size_t entries_max)
{
	*build = (struct builder){ .settings = settings, .arena = arena };
	build->entries = ot_arena_array(arena, entries_max, sizeof(*build->entries));
	return build->entries != NULL ? OT_OK : OT_ERR_NO_MEMORY;
}

static void
finish(struct builder *build, struct ot_config_entry **ret_entries, size_t *ret_count)
{
	if (build->count > 1)
		qsort(build->entries, build->count, sizeof(*build->entries), compare_entries);
	*ret_entries = build->entries;
	*ret_count = build->count;
}

static ot_err
describe_topic_key(struct builder *build, enum ot_topic_key key,
    const struct ot_config_pair *overrides, size_t override_count)
{
	const struct ot_config_def *def = &ot_topic_table.defs[key];
	struct ot_config_value value;
	struct synonym_list list;
	ot_err err = ot_topic_settings_value(build->settings, overrides, override_count, key,
	    build->arena, &value);
	if (err == OT_OK)
		err = make_list(build, &list);
	if (err != OT_OK)
		return err;
	struct ot_config_entry entry = {
		.name = ot_str_from(def->name),
		.value = value.text,
		.type = def->type,
		.documentation = def->doc,
	};
	if (ot_config_pair_find(overrides, override_count, entry.name) != NULL)
		add_synonym(&list, entry.name, value.text, false, OT_SOURCE_TOPIC);
	if (def->synonym_count > 0)
		list_broker_synonyms(build->settings, (enum ot_broker_key)def->synonyms[0].key,
		    false, &list);
	finish_entry(build, &entry, &list);
	return OT_OK;
}

ot_err
ot_describe_topic(const struct ot_settings *settings, const struct ot_config_pair *overrides,
    size_t override_count, const struct ot_str *wanted, size_t wanted_count, struct ot_arena *arena,
    struct ot_config_entry **ret_entries, size_t *ret_count)
{
	struct builder build;
	ot_err err = start(&build, settings, arena, OT_TOPIC_KEY_COUNT);
	for (size_t key = 0; err == OT_OK && key < OT_TOPIC_KEY_COUNT; key++) {
		const struct ot_config_def *def = &ot_topic_table.defs[key];
		struct ot_str name = ot_str_from(def->name);
		bool is_set = ot_config_pair_find(overrides, override_count, name) != NULL;
		if ((!def->is_internal || is_set) && is_wanted(name, wanted, wanted_count))
			err = describe_topic_key(&build, (enum ot_topic_key)key, overrides,
			    override_count);
	}
	if (err == OT_OK)
		finish(&build, ret_entries, ret_count);
	return err;
}

static ot_err
describe_broker_key(struct builder *build, enum ot_broker_key key)
{
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	const struct ot_setting *setting = &build->settings->values[key];
	struct synonym_list list;
	ot_err err = make_list(build, &list);
	if (err != OT_OK)
		return err;
	struct ot_config_entry entry = {
		.name = ot_str_from(def->name),
		.type = def->type,
		.is_sensitive = def->type == OT_CONFIG_PASSWORD,
		.is_read_only = def->update == OT_UPDATE_READ_ONLY,
		.documentation = def->doc,
	};
	entry.value = entry.is_sensitive ? OT_STR_NULL : setting->value.text;
	list_broker_synonyms(build->settings, key, entry.is_sensitive, &list);
	finish_entry(build, &entry, &list);
	return OT_OK;
}

/* Whether an extra of the same name stands in a stronger place. */
static bool
is_overruled(const struct ot_settings *settings, const struct ot_setting_extra *extra)
{
	for (size_t i = 0; i < settings->extra_count; i++) {
		const struct ot_setting_extra *other = &settings->extras[i];
		if (other->layer > extra->layer && ot_str_equal(other->name, extra->name))
			return true;
	}
	return false;
}

static enum ot_config_source
source_of(enum ot_settings_layer layer)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(places); i++) {
		if (places[i].layer == layer)
			return places[i].source;
	}
	return OT_SOURCE_UNKNOWN;
}

static ot_err
describe_extra(struct builder *build, const struct ot_setting_extra *extra)
{
	const struct ot_config_def *def =
	    extra->key >= 0 ? &ot_broker_table.defs[extra->key] : NULL;
	struct synonym_list list;
	ot_err err = make_list(build, &list);
	if (err != OT_OK)
		return err;
	struct ot_config_entry entry = {
		.name = extra->name,
		.type = def != NULL ? def->type : OT_CONFIG_UNKNOWN,
		.is_sensitive = def == NULL || def->type == OT_CONFIG_PASSWORD,
		.is_read_only = true,
		.documentation = def != NULL ? def->doc : NULL,
	};
	entry.value = entry.is_sensitive ? OT_STR_NULL : ot_config_trim(extra->value);
	add_synonym(&list, extra->name, entry.value, entry.is_sensitive, source_of(extra->layer));
	if (def != NULL)
		list_broker_synonyms(build->settings, (enum ot_broker_key)extra->key,
		    entry.is_sensitive, &list);
	finish_entry(build, &entry, &list);
	return OT_OK;
}

ot_err
ot_describe_broker(const struct ot_settings *settings, const struct ot_str *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_config_entry **ret_entries,
    size_t *ret_count)
{
	struct builder build;
	ot_err err =
	    start(&build, settings, arena, (size_t)OT_BROKER_KEY_COUNT + settings->extra_count);
	for (size_t key = 0; err == OT_OK && key < OT_BROKER_KEY_COUNT; key++) {
		const struct ot_config_def *def = &ot_broker_table.defs[key];
		bool is_set = ot_settings_is_set(settings, (enum ot_broker_key)key);
		bool is_shown = is_set || !(def->is_internal || def->is_dynamic_only);
		if (is_shown && is_wanted(ot_str_from(def->name), wanted, wanted_count))
			err = describe_broker_key(&build, (enum ot_broker_key)key);
	}
	for (size_t i = 0; err == OT_OK && i < settings->extra_count; i++) {
		const struct ot_setting_extra *extra = &settings->extras[i];
		if (!is_overruled(settings, extra) && is_wanted(extra->name, wanted, wanted_count))
			err = describe_extra(&build, extra);
	}
	if (err == OT_OK)
		finish(&build, ret_entries, ret_count);
	return err;
}

static ot_err
describe_default(struct builder *build, struct ot_str name, struct ot_str value,
    const struct ot_config_def *def)
{
	struct synonym_list list;
	ot_err err = make_list(build, &list);
	if (err != OT_OK)
		return err;
	struct ot_config_entry entry = {
		.name = name,
		.type = def != NULL ? def->type : OT_CONFIG_UNKNOWN,
		.is_sensitive = def == NULL || def->type == OT_CONFIG_PASSWORD,
		.is_read_only = def == NULL || def->update == OT_UPDATE_READ_ONLY,
		.documentation = def != NULL ? def->doc : NULL,
	};
	entry.value = entry.is_sensitive ? OT_STR_NULL : ot_config_trim(value);
	add_synonym(&list, name, entry.value, entry.is_sensitive, OT_SOURCE_DYNAMIC_DEFAULT);
	finish_entry(build, &entry, &list);
	return OT_OK;
}

ot_err
ot_describe_cluster_default(const struct ot_settings *settings, const struct ot_str *wanted,
    size_t wanted_count, struct ot_arena *arena, struct ot_config_entry **ret_entries,
    size_t *ret_count)
{
	struct builder build;
	ot_err err =
	    start(&build, settings, arena, (size_t)OT_BROKER_KEY_COUNT + settings->extra_count);
	for (size_t key = 0; err == OT_OK && key < OT_BROKER_KEY_COUNT; key++) {
		const struct ot_config_def *def = &ot_broker_table.defs[key];
		struct ot_str value = settings->values[key].raw[OT_LAYER_DYNAMIC_DEFAULT];
		struct ot_str name = ot_str_from(def->name);
		if (value.len >= 0 && is_wanted(name, wanted, wanted_count))
			err = describe_default(&build, name, value, def);
	}
	for (size_t i = 0; err == OT_OK && i < settings->extra_count; i++) {
		const struct ot_setting_extra *extra = &settings->extras[i];
		if (extra->layer == OT_LAYER_DYNAMIC_DEFAULT &&
		    is_wanted(extra->name, wanted, wanted_count))
			err = describe_default(&build, extra->name, extra->value,
			    extra->key >= 0 ? &ot_broker_table.defs[extra->key] : NULL);
	}
	if (err == OT_OK)
		finish(&build, ret_entries, ret_count);
	return err;
}
