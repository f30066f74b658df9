#include "config/settings.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "config/settings_int.h"

static const enum ot_config_source layer_sources[OT_LAYER_COUNT] = {
	[OT_LAYER_STATIC] = OT_SOURCE_STATIC,
	[OT_LAYER_DYNAMIC_DEFAULT] = OT_SOURCE_DYNAMIC_DEFAULT,
	[OT_LAYER_DYNAMIC_BROKER] = OT_SOURCE_DYNAMIC_BROKER,
};

static ot_err
copy_str(struct ot_arena *arena, struct ot_str text, struct ot_str *ret_copy)
{
	char *copy = ot_arena_strndup(arena, text.len > 0 ? text.data : "",
	    text.len > 0 ? (size_t)text.len : 0);
	if (copy == NULL)
		return OT_ERR_NO_MEMORY;
	*ret_copy = (struct ot_str){ copy, OT_MAX(text.len, 0) };
	return OT_OK;
}

static void
warn_unknown(struct ot_config_notes *notes, const char *origin, struct ot_str name)
{
	const char *nearest = ot_config_nearest(&ot_broker_table, name);
	int topic_key = ot_config_find(&ot_topic_table, name);
	if (topic_key >= 0 && ot_topic_table.defs[topic_key].synonym_count > 0) {
		enum ot_broker_key key =
		    (enum ot_broker_key)ot_topic_table.defs[topic_key].synonyms[0].key;
		ot_config_warning(notes,
		    "%s: %.*s is a setting of topics and is ignored; for all topics it is "
		    "called %s",
		    origin, OT_STR_ARG(name), ot_broker_table.defs[key].name);
	} else if (nearest != NULL) {
		ot_config_warning(notes,
		    "%s: unknown setting %.*s is ignored; the nearest known one is %s", origin,
		    OT_STR_ARG(name), nearest);
	} else {
		ot_config_warning(notes, "%s: unknown setting %.*s is ignored", origin,
		    OT_STR_ARG(name));
	}
}

/* Dynamic values that Kafka does not take where they stand: it ignores them with a report. */
static bool
is_allowed(int key, bool has_prefix, enum ot_settings_layer layer)
{
	if (layer == OT_LAYER_STATIC || key < 0)
		return true;
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	if (def->update == OT_UPDATE_READ_ONLY)
		return false;
	if (layer == OT_LAYER_DYNAMIC_DEFAULT)
		return def->update == OT_UPDATE_CLUSTER_WIDE && !has_prefix;
	return true;
}

static ot_err
add_extra(struct ot_settings *settings, struct ot_str name, struct ot_str value, int key,
    enum ot_settings_layer layer, const char *origin)
{
	struct ot_setting_extra *extra = NULL;
	for (size_t i = 0; i < settings->extra_count; i++) {
		if (settings->extras[i].layer == layer &&
		    ot_str_equal(settings->extras[i].name, name))
			extra = &settings->extras[i];
	}
	if (extra == NULL)
		extra = &settings->extras[settings->extra_count++];
	*extra = (struct ot_setting_extra){ .key = key, .layer = layer, .origin = origin };
	ot_err err = copy_str(&settings->arena, name, &extra->name);
	return err == OT_OK ? copy_str(&settings->arena, value, &extra->value) : err;
}

static ot_err
put_raw(struct ot_settings *settings, struct ot_str name, struct ot_str value,
    enum ot_settings_layer layer, const char *origin, struct ot_config_notes *notes)
{
	bool has_prefix = false;
	name = ot_config_trim(name);
	int key = ot_config_find_broker(name, &has_prefix);
	if (!is_allowed(key, has_prefix, layer)) {
		ot_config_warning(notes, "%s: %.*s cannot be set there and is ignored", origin,
		    OT_STR_ARG(name));
		return OT_OK;
	}
	if (key < 0 && layer == OT_LAYER_STATIC)
		warn_unknown(notes, origin, name);
	if (key < 0 || has_prefix)
		return add_extra(settings, name, value, key, layer, origin);
	struct ot_setting *setting = &settings->values[key];
	if (layer == OT_LAYER_STATIC)
		setting->origin = origin;
	return copy_str(&settings->arena, value, &setting->raw[layer]);
}

static ot_err
put_file(struct ot_settings *settings, const struct ot_properties *file,
    struct ot_config_notes *notes)
{
	for (size_t i = 0; i < file->count; i++) {
		const struct ot_property *item = &file->items[i];
		char place[300];
		struct ot_text text = OT_TEXT(place);
		ot_text_put(&text, "%s:%u", file->file, item->line);
		const char *origin = ot_arena_strndup(&settings->arena, place, text.bytes);
		if (origin == NULL)
			return OT_ERR_NO_MEMORY;
		ot_err err =
		    put_raw(settings, item->name, item->value, OT_LAYER_STATIC, origin, notes);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static ot_err
put_pairs(struct ot_settings *settings, const struct ot_config_pair *pairs, size_t count,
    enum ot_settings_layer layer, const char *origin, struct ot_config_notes *notes)
{
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].value.len < 0)
			continue;
		ot_err err = put_raw(settings, pairs[i].name, pairs[i].value, layer, origin, notes);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static ot_err
put_dynamic(struct ot_settings *settings, const struct ot_settings_input *input,
    struct ot_config_notes *notes)
{
	ot_err err = put_pairs(settings, input->dynamic_default, input->dynamic_default_count,
	    OT_LAYER_DYNAMIC_DEFAULT, "dynamic default of the cluster", notes);
	if (err != OT_OK)
		return err;
	return put_pairs(settings, input->dynamic_broker, input->dynamic_broker_count,
	    OT_LAYER_DYNAMIC_BROKER, "dynamic setting of this broker", notes);
}

/* What file and overrides said when `base` was built. */
static ot_err
put_base(struct ot_settings *settings, const struct ot_settings *base)
{
	for (size_t i = 0; i < OT_BROKER_KEY_COUNT; i++) {
		const struct ot_setting *from = &base->values[i];
		struct ot_setting *to = &settings->values[i];
		if (from->raw[OT_LAYER_STATIC].len < 0)
			continue;
		ot_err err = copy_str(&settings->arena, from->raw[OT_LAYER_STATIC],
		    &to->raw[OT_LAYER_STATIC]);
		to->origin = ot_arena_strndup(&settings->arena, from->origin, strlen(from->origin));
		if (err != OT_OK || to->origin == NULL)
			return OT_ERR_NO_MEMORY;
	}
	for (size_t i = 0; i < base->extra_count; i++) {
		const struct ot_setting_extra *from = &base->extras[i];
		if (from->layer != OT_LAYER_STATIC)
			continue;
		const char *origin =
		    ot_arena_strndup(&settings->arena, from->origin, strlen(from->origin));
		if (origin == NULL)
			return OT_ERR_NO_MEMORY;
		ot_err err = add_extra(settings, from->name, from->value, from->key,
		    OT_LAYER_STATIC, origin);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

static void
report_bad_value(struct ot_config_notes *notes, const struct ot_config_def *def,
    enum ot_settings_layer layer, const char *origin, struct ot_str name, struct ot_str value,
    const char *reason)
{
	char remedy[300];
	struct ot_text text = OT_TEXT(remedy);
	remedy[0] = '\0';
	ot_config_put_remedy(def, &text);
	if (def->type == OT_CONFIG_PASSWORD)
		value = (struct ot_str)OT_STR_LIT("[hidden]");
	value.len = OT_MIN(value.len, 200);
	if (layer == OT_LAYER_STATIC)
		ot_config_error(notes, "%s: %.*s=%.*s is not valid: %s; %s", origin,
		    OT_STR_ARG(name), OT_STR_ARG(value), reason, remedy);
	else
		ot_config_warning(notes,
		    "%.*s=%.*s, a dynamic setting, is not valid and is "
		    "ignored: %s; %s",
		    OT_STR_ARG(name), OT_STR_ARG(value), reason, remedy);
}

/* The strongest value that can be read. */
static ot_err
resolve(struct ot_settings *settings, size_t key, struct ot_config_notes *notes)
{
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	struct ot_setting *setting = &settings->values[key];
	for (int layer = OT_LAYER_COUNT - 1; layer >= 0; layer--) {
		struct ot_str raw = setting->raw[layer];
		if (raw.len < 0 || (layer == OT_LAYER_STATIC && def->is_dynamic_only))
			continue;
		struct ot_why reason;
		ot_err err =
		    ot_config_read_reason(def, raw, &settings->arena, &setting->value, &reason);
		if (err == OT_OK) {
			setting->source = layer_sources[layer];
			return OT_OK;
		}
		if (err != OT_ERR_INVALID_CONFIG)
			return err;
		report_bad_value(notes, def, (enum ot_settings_layer)layer, setting->origin,
		    ot_str_from(def->name), raw, reason.text);
	}
	setting->source = OT_SOURCE_DEFAULT;
	struct ot_why why;
	ot_err err = ot_config_read(def, ot_str_from(def->default_text), &settings->arena,
	    &setting->value, &why);
	if (err == OT_ERR_INVALID_CONFIG)
		OT_PANIC("the schema's default is not valid: %s", why.text);
	return err;
}

/* Values behind a listener's prefix must be readable as well, whoever uses them later. */
static ot_err
check_extras(const struct ot_settings *settings, struct ot_config_notes *notes)
{
	struct ot_arena scratch;
	ot_arena_init(&scratch, 0);
	ot_err err = OT_OK;
	for (size_t i = 0; err == OT_OK && i < settings->extra_count; i++) {
		const struct ot_setting_extra *extra = &settings->extras[i];
		if (extra->key < 0)
			continue;
		const struct ot_config_def *def = &ot_broker_table.defs[extra->key];
		struct ot_config_value value;
		struct ot_why reason;
		err = ot_config_read_reason(def, extra->value, &scratch, &value, &reason);
		if (err != OT_ERR_INVALID_CONFIG)
			continue;
		report_bad_value(notes, def, extra->layer, extra->origin, extra->name, extra->value,
		    reason.text);
		err = OT_OK;
	}
	ot_arena_fini(&scratch);
	return err;
}

static ot_err
build(struct ot_settings *settings, struct ot_config_notes *notes)
{
	ot_err err = OT_OK;
	for (size_t key = 0; err == OT_OK && key < OT_BROKER_KEY_COUNT; key++)
		err = resolve(settings, key, notes);
	if (err == OT_OK)
		err = check_extras(settings, notes);
	/* What is derived from a wrong value would only be found wrong once more. */
	if (err == OT_OK && notes->error_count == 0)
		err = config_derive(settings, notes);
	if (err == OT_OK && notes->error_count == 0)
		config_check_rules(settings, notes);
	if (err == OT_OK && notes->error_count > 0)
		err = OT_ERR_INVALID_CONFIG;
	return err;
}

static void
release_settings(struct ot_blob *blob, void *arg)
{
	struct ot_settings *settings = arg;
	OT_ASSERT(settings->blob == blob);
	ot_arena_fini(&settings->arena);
}

/* Settings with nothing in them and room for `extra_max` extras. */
static struct ot_settings *
create_empty(size_t extra_max)
{
	struct ot_blob *blob = ot_blob_create(sizeof(struct ot_settings));
	if (blob == NULL)
		return NULL;
	struct ot_settings *settings = (struct ot_settings *)(void *)blob->data;
	memset(settings, 0, sizeof(*settings));
	settings->blob = blob;
	ot_arena_init(&settings->arena, 0);
	blob->on_release = release_settings;
	blob->release_arg = settings;
	for (size_t key = 0; key < OT_BROKER_KEY_COUNT; key++) {
		for (size_t layer = 0; layer < OT_LAYER_COUNT; layer++)
			settings->values[key].raw[layer] = OT_STR_NULL;
	}
	settings->extras = ot_arena_array(&settings->arena, extra_max, sizeof(*settings->extras));
	if (settings->extras != NULL)
		return settings;
	ot_settings_unref(settings);
	return NULL;
}

static size_t
count_dynamic(const struct ot_settings_input *input)
{
	return input->dynamic_default_count + input->dynamic_broker_count;
}

ot_err
ot_settings_create(const struct ot_settings_input *input, struct ot_config_notes *notes,
    struct ot_settings **ret_settings)
{
	size_t file_count = input->file != NULL ? input->file->count : 0;
	struct ot_settings *settings =
	    create_empty(file_count + input->override_count + count_dynamic(input));
	if (settings == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = input->file != NULL ? put_file(settings, input->file, notes) : OT_OK;
	if (err == OT_OK)
		err = put_pairs(settings, input->overrides, input->override_count, OT_LAYER_STATIC,
		    "--override", notes);
	if (err == OT_OK)
		err = put_dynamic(settings, input, notes);
	if (err == OT_OK)
		err = build(settings, notes);
	if (err == OT_OK)
		*ret_settings = settings;
	else
		ot_settings_unref(settings);
	return err;
}

ot_err
ot_settings_create_changed(const struct ot_settings *base, const struct ot_settings_input *input,
    struct ot_config_notes *notes, struct ot_settings **ret_settings)
{
	struct ot_settings *settings = create_empty(base->extra_count + count_dynamic(input));
	if (settings == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = put_base(settings, base);
	if (err == OT_OK)
		err = put_dynamic(settings, input, notes);
	if (err == OT_OK)
		err = build(settings, notes);
	if (err == OT_OK)
		*ret_settings = settings;
	else
		ot_settings_unref(settings);
	return err;
}

struct ot_settings *
ot_settings_ref(struct ot_settings *settings)
{
	ot_blob_ref(settings->blob);
	return settings;
}

void
ot_settings_unref(struct ot_settings *settings)
{
	if (settings != NULL)
		ot_blob_unref(settings->blob);
}

static const struct ot_config_value *
value_of_type(const struct ot_settings *settings, enum ot_broker_key key, unsigned types)
{
	OT_ASSERT(key < OT_BROKER_KEY_COUNT);
	OT_ASSERT((1u << ot_broker_table.defs[key].type & types) != 0);
	return &settings->values[key].value;
}

bool
ot_settings_flag(const struct ot_settings *settings, enum ot_broker_key key)
{
	return value_of_type(settings, key, 1u << OT_CONFIG_BOOLEAN)->number != 0;
}

int64_t
ot_settings_number(const struct ot_settings *settings, enum ot_broker_key key)
{
	unsigned types = 1u << OT_CONFIG_INT | 1u << OT_CONFIG_SHORT | 1u << OT_CONFIG_LONG;
	const struct ot_config_value *value = value_of_type(settings, key, types);
	if (!value->is_null)
		return value->number;
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	for (size_t i = 0; i < def->synonym_count; i++) {
		const struct ot_config_value *other = &settings->values[def->synonyms[i].key].value;
		if (other->is_null)
			continue;
		/* All negative numbers mean "without bound", in any unit. */
		return other->number < 0 ? -1 : other->number * def->synonyms[i].factor;
	}
	return -1;
}

int32_t
ot_settings_int(const struct ot_settings *settings, enum ot_broker_key key)
{
	int64_t number = ot_settings_number(settings, key);
	OT_ASSERT(number >= INT32_MIN && number <= INT32_MAX);
	return (int32_t)number;
}

double
ot_settings_real(const struct ot_settings *settings, enum ot_broker_key key)
{
	return value_of_type(settings, key, 1u << OT_CONFIG_DOUBLE)->real;
}

const char *
ot_settings_text(const struct ot_settings *settings, enum ot_broker_key key)
{
	unsigned types = 1u << OT_CONFIG_STRING | 1u << OT_CONFIG_CLASS | 1u << OT_CONFIG_PASSWORD;
	const struct ot_config_value *value = value_of_type(settings, key, types);
	return value->is_null ? NULL : value->text.data;
}

bool
ot_settings_names_class(const struct ot_settings *settings, enum ot_broker_key key,
    const char *simple_name)
{
	const char *name = ot_settings_text(settings, key);
	const char *dot = name != NULL ? strrchr(name, '.') : NULL;
	return name != NULL && strcmp(dot != NULL ? dot + 1 : name, simple_name) == 0;
}

const struct ot_config_value *
ot_settings_list(const struct ot_settings *settings, enum ot_broker_key key)
{
	return value_of_type(settings, key, 1u << OT_CONFIG_LIST);
}

bool
ot_settings_is_set(const struct ot_settings *settings, enum ot_broker_key key)
{
	return settings->values[key].source != OT_SOURCE_DEFAULT;
}

/* The strongest extra called listener.name.NAME.[MECHANISM.]key; names of listeners and mechanisms
 * are written in lower case there, but any case is accepted. */
static struct ot_str
find_extra(const struct ot_settings *settings, const char *listener, const char *mechanism,
    enum ot_broker_key key)
{
	char name[300];
	struct ot_text text = OT_TEXT(name);
	ot_text_put(&text, "listener.name.%s.%s%s%s", listener, mechanism != NULL ? mechanism : "",
	    mechanism != NULL ? "." : "", ot_broker_table.defs[key].name);
	const struct ot_setting_extra *found = NULL;
	for (size_t i = 0; i < settings->extra_count; i++) {
		const struct ot_setting_extra *extra = &settings->extras[i];
		if (extra->key == (int)key && strcasecmp(extra->name.data, name) == 0 &&
		    (found == NULL || extra->layer > found->layer))
			found = extra;
	}
	return found != NULL ? ot_config_trim(found->value) : OT_STR_NULL;
}

struct ot_str
ot_settings_listener_text(const struct ot_settings *settings, const char *listener,
    const char *mechanism, enum ot_broker_key key)
{
	struct ot_str text = OT_STR_NULL;
	if (mechanism != NULL)
		text = find_extra(settings, listener, mechanism, key);
	if (text.len < 0)
		text = find_extra(settings, listener, NULL, key);
	return text.len >= 0 ? text : settings->values[key].value.text;
}

int64_t
ot_settings_listener_number(const struct ot_settings *settings, const char *listener,
    enum ot_broker_key key)
{
	struct ot_str text = find_extra(settings, listener, NULL, key);
	struct ot_arena scratch;
	struct ot_config_value value;
	int64_t number = ot_settings_number(settings, key);
	ot_arena_init(&scratch, 0);
	if (text.len >= 0 &&
	    ot_config_read(&ot_broker_table.defs[key], text, &scratch, &value, NULL) == OT_OK)
		number = value.number;
	ot_arena_fini(&scratch);
	return number;
}

const struct ot_listener_conf *
ot_settings_listener(const struct ot_settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->listener_count; i++) {
		if (strcasecmp(settings->listeners[i].name, name) == 0)
			return &settings->listeners[i];
	}
	return NULL;
}
