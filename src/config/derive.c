/* What follows from single settings: identity, folders, listeners, controllers.
 *
 * Listeners come from `listeners`, or, when that is not given, from 0.11's `host.name` and `port`.
 * What is advertised comes from `advertised.listeners`, else from `advertised.host.name` and
 * `advertised.port`, else from the listeners. Names are put in upper case, as Kafka does.
 */
#include "config/settings_int.h"

#include <ctype.h>
#include <string.h>

struct ot_why
config_place_of(const struct ot_settings *settings, enum ot_broker_key key)
{
	struct ot_why place;
	const struct ot_setting *setting = &settings->values[key];
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	struct ot_str value = setting->value.text;
	value.len = OT_MIN(value.len, 150);
	if (def->type == OT_CONFIG_PASSWORD)
		value = (struct ot_str)OT_STR_LIT("[hidden]");
	if (setting->source == OT_SOURCE_STATIC)
		ot_why_set(&place, "%s: %s=%.*s", setting->origin, def->name, OT_STR_ARG(value));
	else if (setting->source != OT_SOURCE_DEFAULT)
		ot_why_set(&place, "%s=%.*s", def->name, OT_STR_ARG(value));
	else
		ot_why_set(&place, "%s", def->name);
	return place;
}

static void
report(const struct ot_settings *settings, struct ot_config_notes *notes, enum ot_broker_key key,
    const char *rule)
{
	struct ot_why place = config_place_of(settings, key);
	ot_config_error(notes, "%s is not valid: %s", place.text, rule);
}

static void
derive_identity(struct ot_settings *settings, struct ot_config_notes *notes)
{
	int32_t node_id = ot_settings_int(settings, OT_BROKER_NODE_ID);
	int32_t broker_id = ot_settings_int(settings, OT_BROKER_BROKER_ID);
	bool has_node = ot_settings_is_set(settings, OT_BROKER_NODE_ID);
	bool has_broker = ot_settings_is_set(settings, OT_BROKER_BROKER_ID);
	if (has_node && has_broker && node_id != broker_id)
		report(settings, notes, OT_BROKER_NODE_ID,
		    "it must be the same as broker.id; remove one of the two");
	else if (node_id < -1 || broker_id < -1)
		report(settings, notes, has_node ? OT_BROKER_NODE_ID : OT_BROKER_BROKER_ID,
		    "give a whole number of at least 0, or -1 to have one chosen");
	settings->node_id = has_node ? node_id : broker_id;
	if (settings->node_id < 0 &&
	    !ot_settings_flag(settings, OT_BROKER_BROKER_ID_GENERATION_ENABLE))
		report(settings, notes, OT_BROKER_BROKER_ID_GENERATION_ENABLE,
		    "without it broker.id or node.id must be given");

	const struct ot_config_value *roles = ot_settings_list(settings, OT_BROKER_PROCESS_ROLES);
	settings->is_broker = settings->is_controller = roles->item_count == 0;
	for (size_t i = 0; i < roles->item_count; i++) {
		if (strcmp(roles->items[i], "broker") == 0)
			settings->is_broker = true;
		else
			settings->is_controller = true;
	}
}

static void
derive_folders(struct ot_settings *settings, struct ot_config_notes *notes)
{
	enum ot_broker_key key = OT_BROKER_LOG_DIRS;
	const struct ot_config_value *dirs = ot_settings_list(settings, key);
	if (dirs->is_null) {
		key = OT_BROKER_LOG_DIR;
		dirs = ot_settings_list(settings, key);
	}
	settings->log_dirs = dirs->items;
	settings->log_dir_count = dirs->item_count;
	if (dirs->item_count == 0)
		report(settings, notes, key, "at least one folder must be given");
	for (size_t i = 0; i < dirs->item_count; i++) {
		if (dirs->items[i][0] == '\0')
			report(settings, notes, key, "one of the folders has no name");
		for (size_t j = 0; j < i; j++) {
			if (strcmp(dirs->items[i], dirs->items[j]) == 0)
				report(settings, notes, key, "a folder stands twice; remove one");
		}
	}
	const char *metadata = ot_settings_text(settings, OT_BROKER_METADATA_LOG_DIR);
	settings->metadata_log_dir = metadata != NULL       ? metadata
	                             : dirs->item_count > 0 ? dirs->items[0]
	                                                    : "";
}

static ot_err
derive_controller_names(struct ot_settings *settings)
{
	const struct ot_config_value *names =
	    ot_settings_list(settings, OT_BROKER_CONTROLLER_LISTENER_NAMES);
	const char **copies = ot_arena_array(&settings->arena, names->item_count, sizeof(*copies));
	if (copies == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < names->item_count; i++) {
		char *copy =
		    ot_arena_strndup(&settings->arena, names->items[i], strlen(names->items[i]));
		if (copy == NULL)
			return OT_ERR_NO_MEMORY;
		for (char *place = copy; *place != '\0'; place++)
			*place = (char)toupper((unsigned char)*place);
		copies[i] = copy;
	}
	settings->controller_listener_names = copies;
	settings->controller_listener_count = names->item_count;
	return OT_OK;
}

static bool
is_controller_name(const struct ot_settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->controller_listener_count; i++) {
		if (strcmp(settings->controller_listener_names[i], name) == 0)
			return true;
	}
	return false;
}

/* An error of a helper: with the place of `key` before it, unless memory is the matter. */
static ot_err
pass_error(const struct ot_settings *settings, struct ot_config_notes *notes,
    enum ot_broker_key key, ot_err err, const struct ot_why *why)
{
	if (err != OT_ERR_INVALID_CONFIG)
		return err;
	report(settings, notes, key, why->text);
	return OT_OK;
}

static ot_err
derive_protocol_map(struct ot_settings *settings, struct ot_config_notes *notes)
{
	enum ot_broker_key key = OT_BROKER_LISTENER_SECURITY_PROTOCOL_MAP;
	struct ot_protocol_mapping *map = NULL;
	struct ot_why why;
	ot_err err = ot_protocol_map_parse(settings->values[key].value.text, &settings->arena, &map,
	    &settings->protocol_map_count, &why);
	settings->protocol_map = map;
	return pass_error(settings, notes, key, err, &why);
}

/* The protocol of a listener's name; false when the map does not tell. A controller's listener is
 * PLAINTEXT when nobody wrote a map. */
static bool
find_protocol(const struct ot_settings *settings, const char *name,
    enum ot_security_protocol *ret_security)
{
	for (size_t i = 0; i < settings->protocol_map_count; i++) {
		if (strcmp(settings->protocol_map[i].name, name) == 0) {
			*ret_security = settings->protocol_map[i].security;
			return true;
		}
	}
	*ret_security = OT_SECURITY_PLAINTEXT;
	return is_controller_name(settings, name) &&
	       !ot_settings_is_set(settings, OT_BROKER_LISTENER_SECURITY_PROTOCOL_MAP);
}

/* Listeners of a list in the form of `listeners`, with their protocols. */
static ot_err
parse_listeners(struct ot_settings *settings, struct ot_config_notes *notes, enum ot_broker_key key,
    struct ot_listener_conf **ret_listeners, size_t *ret_count)
{
	const struct ot_config_value *list = ot_settings_list(settings, key);
	struct ot_listener_conf *listeners =
	    ot_arena_array(&settings->arena, list->item_count, sizeof(*listeners));
	if (listeners == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < list->item_count; i++) {
		struct ot_listener_conf *listener = &listeners[i];
		struct ot_why why;
		ot_err err = ot_listener_parse(list->items[i], &settings->arena, listener, &why);
		if (err == OT_OK && !find_protocol(settings, listener->name, &listener->security)) {
			ot_why_set(&why,
			    "No security protocol defined for listener %s; name one in "
			    "listener.security.protocol.map",
			    listener->name);
			err = OT_ERR_INVALID_CONFIG;
		}
		if (err != OT_OK)
			return pass_error(settings, notes, key, err, &why);
		listener->is_controller = is_controller_name(settings, listener->name);
	}
	*ret_listeners = listeners;
	*ret_count = list->item_count;
	return OT_OK;
}

/* 0.11's way to name the one listener. */
static ot_err
make_old_listener(struct ot_settings *settings, struct ot_config_notes *notes,
    struct ot_listener_conf **ret_listeners, size_t *ret_count)
{
	int64_t port = ot_settings_number(settings, OT_BROKER_PORT);
	struct ot_listener_conf *listener = ot_arena_array(&settings->arena, 1, sizeof(*listener));
	if (listener == NULL)
		return OT_ERR_NO_MEMORY;
	if (port < 0 || port > UINT16_MAX) {
		report(settings, notes, OT_BROKER_PORT, "give a whole number from 0 to 65535");
		return OT_OK;
	}
	*listener = (struct ot_listener_conf){
		.name = "PLAINTEXT",
		.host = ot_settings_text(settings, OT_BROKER_HOST_NAME),
		.port = (uint16_t)port,
	};
	*ret_listeners = listener;
	*ret_count = 1;
	return OT_OK;
}

static struct ot_listener_conf *
find_listener(struct ot_listener_conf *listeners, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(listeners[i].name, name) == 0)
			return &listeners[i];
	}
	return NULL;
}

static void
advertise(struct ot_listener_conf *listener, const char *host, uint16_t port)
{
	listener->is_advertised = true;
	listener->advertised_host = host;
	listener->advertised_port = port;
}

/* advertised.listeners: each names a listener, and may give it another host and port. */
static ot_err
advertise_as_told(struct ot_settings *settings, struct ot_config_notes *notes,
    struct ot_listener_conf *listeners, size_t count)
{
	enum ot_broker_key key = OT_BROKER_ADVERTISED_LISTENERS;
	struct ot_listener_conf *told = NULL;
	size_t told_count = 0;
	ot_err err = parse_listeners(settings, notes, key, &told, &told_count);
	if (err != OT_OK)
		return err;
	for (size_t i = 0; i < told_count; i++) {
		struct ot_listener_conf *listener = find_listener(listeners, count, told[i].name);
		if (listener != NULL && listener->is_advertised)
			report(settings, notes, key,
			    "Each listener must have a different name; remove one");
		else if (strcmp(told[i].host, "0.0.0.0") == 0)
			report(settings, notes, key,
			    "it cannot use the address 0.0.0.0, which nobody can connect to; "
			    "give an address or name of this machine");
		else if (listener != NULL)
			advertise(listener, told[i].host, told[i].port);
		else if (!is_controller_name(settings, told[i].name))
			report(settings, notes, key,
			    "its listener names must be equal to or a subset of the ones "
			    "defined in listeners");
	}
	return OT_OK;
}

static ot_err
advertise_all(struct ot_settings *settings, struct ot_config_notes *notes,
    struct ot_listener_conf *listeners, size_t count)
{
	if (!ot_settings_list(settings, OT_BROKER_ADVERTISED_LISTENERS)->is_null)
		return advertise_as_told(settings, notes, listeners, count);
	const char *old_host = ot_settings_text(settings, OT_BROKER_ADVERTISED_HOST_NAME);
	int64_t old_port = ot_settings_number(settings, OT_BROKER_ADVERTISED_PORT);
	if (old_port > UINT16_MAX)
		report(settings, notes, OT_BROKER_ADVERTISED_PORT,
		    "give a whole number from 0 to 65535");
	for (size_t i = 0; i < count; i++) {
		struct ot_listener_conf *listener = &listeners[i];
		/* The address of all addresses is none to connect to: the machine's name is told.
		 */
		const char *host =
		    strcmp(listener->host, "0.0.0.0") == 0 || strcmp(listener->host, "::") == 0
			? ""
			: listener->host;
		bool is_old = strcmp(listener->name, "PLAINTEXT") == 0;
		advertise(listener, is_old && old_host != NULL ? old_host : host,
		    is_old && old_port >= 0 ? (uint16_t)old_port : listener->port);
	}
	return OT_OK;
}

static ot_err
derive_inter_broker(struct ot_settings *settings, struct ot_config_notes *notes)
{
	const char *name = ot_settings_text(settings, OT_BROKER_INTER_BROKER_LISTENER_NAME);
	enum ot_broker_key key = OT_BROKER_INTER_BROKER_LISTENER_NAME;
	if (name != NULL && ot_settings_is_set(settings, OT_BROKER_SECURITY_INTER_BROKER_PROTOCOL))
		report(settings, notes, key,
		    "only one of it and security.inter.broker.protocol may be set");
	if (name == NULL) {
		key = OT_BROKER_SECURITY_INTER_BROKER_PROTOCOL;
		name = ot_settings_text(settings, key);
	}
	const struct ot_listener_conf *listener = ot_settings_listener(settings, name);
	bool is_given = ot_settings_is_set(settings, key);
	if (listener == NULL && !is_given) {
		/* Nobody asked for a special one: the first that others are told of. */
		for (size_t i = 0; i < settings->listener_count && listener == NULL; i++) {
			if (settings->listeners[i].is_advertised &&
			    !settings->listeners[i].is_controller)
				listener = &settings->listeners[i];
		}
	}
	if (settings->is_broker && (listener == NULL || !listener->is_advertised)) {
		report(settings, notes, key,
		    "it must be a listener name defined in advertised.listeners");
		return OT_OK;
	}
	settings->inter_broker_listener = listener != NULL ? listener->name : "";
	return OT_OK;
}

static ot_err
derive_listeners(struct ot_settings *settings, struct ot_config_notes *notes)
{
	bool is_old = !ot_settings_is_set(settings, OT_BROKER_LISTENERS) &&
	              (ot_settings_is_set(settings, OT_BROKER_PORT) ||
			  ot_settings_is_set(settings, OT_BROKER_HOST_NAME));
	struct ot_listener_conf *listeners = NULL;
	size_t count = 0;
	ot_err err =
	    is_old ? make_old_listener(settings, notes, &listeners, &count)
		   : parse_listeners(settings, notes, OT_BROKER_LISTENERS, &listeners, &count);
	if (err != OT_OK || notes->error_count > 0)
		return err;
	struct ot_why why;
	err = ot_listeners_check_distinct(listeners, count, &why);
	if (err == OT_OK && count == 0) {
		ot_why_set(&why, "at least one listener must be given");
		err = OT_ERR_INVALID_CONFIG;
	}
	if (err != OT_OK)
		return pass_error(settings, notes, OT_BROKER_LISTENERS, err, &why);
	settings->listeners = listeners;
	settings->listener_count = count;
	err = advertise_all(settings, notes, listeners, count);
	if (err != OT_OK || notes->error_count > 0)
		return err;
	return derive_inter_broker(settings, notes);
}

static ot_err
parse_voter(struct ot_settings *settings, const char *item, struct ot_voter *ret_voter,
    struct ot_why *why)
{
	static const struct ot_config_def id_def = { .name = "id",
		.type = OT_CONFIG_INT,
		.rule = OT_RULE_RANGE,
		.most = OT_RULE_NO_BOUND };
	struct ot_config_value id;
	const char *at = strchr(item, '@');
	struct ot_str text = { item, at != NULL ? (int32_t)(at - item) : 0 };
	ot_err err = OT_ERR_INVALID_CONFIG;
	if (at != NULL)
		err = ot_config_read(&id_def, text, &settings->arena, &id, NULL);
	if (err == OT_OK)
		err = ot_host_port_parse(ot_str_from(at + 1), 0, &settings->arena,
		    &ret_voter->address, NULL);
	if (err == OT_ERR_INVALID_CONFIG)
		ot_why_set(why, "Each entry should be in the form id@host:port, but %s is not",
		    item);
	if (err == OT_OK)
		ret_voter->id = (int32_t)id.number;
	return err;
}

static ot_err
derive_voters(struct ot_settings *settings, struct ot_config_notes *notes)
{
	enum ot_broker_key key = OT_BROKER_CONTROLLER_QUORUM_VOTERS;
	const struct ot_config_value *list = ot_settings_list(settings, key);
	struct ot_voter *voters =
	    ot_arena_array(&settings->arena, list->item_count, sizeof(*voters));
	struct ot_host_port *addresses =
	    ot_arena_array(&settings->arena, list->item_count, sizeof(*addresses));
	if (voters == NULL || addresses == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < list->item_count; i++) {
		struct ot_why why;
		ot_err err = parse_voter(settings, list->items[i], &voters[i], &why);
		if (err != OT_OK)
			return pass_error(settings, notes, key, err, &why);
		addresses[i] = voters[i].address;
	}
	settings->voters = voters;
	settings->voter_count = list->item_count;
	settings->controllers = addresses;
	settings->controller_count = list->item_count;
	settings->controllers_key = key;
	return OT_OK;
}

/* A list of host:port in text; what follows a / belongs to ZooKeeper's days. */
static ot_err
parse_controllers(struct ot_settings *settings, struct ot_config_notes *notes,
    enum ot_broker_key key, struct ot_str text, uint16_t default_port)
{
	static const struct ot_config_def list_def = { .name = "list", .type = OT_CONFIG_LIST };
	const char *slash = text.len > 0 ? memchr(text.data, '/', (size_t)text.len) : NULL;
	if (slash != NULL)
		text.len = (int32_t)(slash - text.data);
	struct ot_config_value list;
	struct ot_why why;
	ot_err err = ot_config_read(&list_def, text, &settings->arena, &list, &why);
	if (err != OT_OK)
		return err;
	struct ot_host_port *addresses =
	    ot_arena_array(&settings->arena, list.item_count, sizeof(*addresses));
	if (addresses == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < list.item_count; i++) {
		err = ot_host_port_parse(ot_str_from(list.items[i]), default_port, &settings->arena,
		    &addresses[i], &why);
		if (err != OT_OK)
			return pass_error(settings, notes, key, err, &why);
	}
	settings->controllers = addresses;
	settings->controller_count = list.item_count;
	settings->controllers_key = key;
	return OT_OK;
}

static ot_err
derive_controllers(struct ot_settings *settings, struct ot_config_notes *notes)
{
	ot_err err = derive_voters(settings, notes);
	enum ot_broker_key bootstrap = OT_BROKER_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS;
	enum ot_broker_key old = OT_BROKER_ZOOKEEPER_CONNECT;
	if (err == OT_OK && settings->controller_count == 0)
		err = parse_controllers(settings, notes, bootstrap,
		    settings->values[bootstrap].value.text, 0);
	if (err == OT_OK && settings->controller_count == 0 && !settings->values[old].value.is_null)
		err =
		    parse_controllers(settings, notes, old, settings->values[old].value.text, 2181);
	return err;
}

static ot_err
make_control_listener(struct ot_settings *settings)
{
	size_t own = 0;
	for (size_t i = 0; i < settings->voter_count; i++) {
		if (settings->voters[i].id == settings->node_id)
			own = i;
	}
	struct ot_listener_conf *listener = ot_arena_array(&settings->arena, 1, sizeof(*listener));
	if (listener == NULL)
		return OT_ERR_NO_MEMORY;
	*listener = (struct ot_listener_conf){
		.name = "CONTROLLER",
		.security = OT_SECURITY_PLAINTEXT,
		.is_controller = true,
		.host = settings->controllers[own].host,
		.port = settings->controllers[own].port,
	};
	advertise(listener, listener->host, listener->port);
	settings->control_listener = listener;
	settings->control_listener_is_made = true;
	return OT_OK;
}

static ot_err
derive_control_listener(struct ot_settings *settings)
{
	if (!settings->is_controller)
		return OT_OK;
	for (size_t i = 0; i < settings->listener_count; i++) {
		if (settings->listeners[i].is_controller) {
			settings->control_listener = &settings->listeners[i];
			return OT_OK;
		}
	}
	return settings->controller_count > 0 ? make_control_listener(settings) : OT_OK;
}

ot_err
config_derive(struct ot_settings *settings, struct ot_config_notes *notes)
{
	derive_identity(settings, notes);
	derive_folders(settings, notes);
	ot_err err = derive_controller_names(settings);
	if (err == OT_OK)
		err = derive_protocol_map(settings, notes);
	if (err == OT_OK)
		err = derive_listeners(settings, notes);
	if (err == OT_OK)
		err = derive_controllers(settings, notes);
	if (err == OT_OK)
		err = derive_control_listener(settings);
	return err;
}
