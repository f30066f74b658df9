/* kafka-configs: tells and changes settings while brokers run.
 *
 * With --bootstrap-server it prints what Kafka's tool prints today, with --zookeeper what the tool
 * of Kafka 0.11 printed.
 */
#include "cli/tools_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin_int.h"
#include "config/def.h"
#include "config/properties.h"
#include "wire/msg_incremental_alter_configs.h"
#include "wire/msg_list_config_resources.h"
#include "wire/msg_list_groups.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_ADD_CONFIG = CLI_OPTION_CONNECT_COUNT,
	OPT_ADD_CONFIG_FILE,
	OPT_ALL,
	OPT_ALTER,
	OPT_BROKER,
	OPT_BROKER_DEFAULTS,
	OPT_BROKER_LOGGER,
	OPT_CLIENT,
	OPT_CLIENT_DEFAULTS,
	OPT_CLIENT_METRICS,
	OPT_DELETE_CONFIG,
	OPT_DESCRIBE,
	OPT_ENTITY_DEFAULT,
	OPT_ENTITY_NAME,
	OPT_ENTITY_TYPE,
	OPT_FORCE,
	OPT_GROUP,
	OPT_IP,
	OPT_IP_DEFAULTS,
	OPT_OUTPUT,
	OPT_TOPIC,
	OPT_USER,
	OPT_USER_DEFAULTS,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS_NAMED("bootstrap-server bootstrap-controller broker-list", 0),
	[OPT_ADD_CONFIG] = { .names = "add-config",
	    .arg = "k1=v1,k2=v2",
	    .kind = CLI_STRING,
	    .text = "Settings to add or change. Square brackets hold values with commas: "
		    "'k1=v1,k2=[v1,v2,v2],k3=v3'." },
	[OPT_ADD_CONFIG_FILE] = { .names = "add-config-file",
	    .arg = "file",
	    .kind = CLI_STRING,
	    .text = "A property file with settings to add or change." },
	[OPT_ALL] = { .names = "all",
	    .text = "With --describe: tell all settings, not only those that were changed." },
	[OPT_ALTER] = { .names = "alter", .text = "Change settings." },
	[OPT_BROKER] = { .names = "broker",
	    .arg = "broker id",
	    .kind = CLI_STRING,
	    .text = "The broker." },
	[OPT_BROKER_DEFAULTS] = { .names = "broker-defaults",
	    .text = "What holds for all brokers that have no setting of their own." },
	[OPT_BROKER_LOGGER] = { .names = "broker-logger",
	    .arg = "broker id",
	    .kind = CLI_STRING,
	    .text = "The loggers of the broker." },
	[OPT_CLIENT] = { .names = "client",
	    .arg = "client id",
	    .kind = CLI_STRING,
	    .text = "The clients of that id." },
	[OPT_CLIENT_DEFAULTS] = { .names = "client-defaults", .text = "All other clients." },
	[OPT_CLIENT_METRICS] = { .names = "client-metrics",
	    .arg = "name",
	    .kind = CLI_STRING,
	    .text = "A subscription to metrics of clients." },
	[OPT_DELETE_CONFIG] = { .names = "delete-config",
	    .arg = "k1,k2",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED | CLI_LISTED,
	    .text = "Settings to remove, so that the default holds again." },
	[OPT_DESCRIBE] = { .names = "describe", .text = "Tell settings." },
	[OPT_ENTITY_DEFAULT] = { .names = "entity-default",
	    .flags = CLI_REPEATED,
	    .text = "What holds for all others of --entity-type." },
	[OPT_ENTITY_NAME] = { .names = "entity-name",
	    .arg = "name",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "Whose settings: a topic, a broker's number, a client's id and so on." },
	[OPT_ENTITY_TYPE] = { .names = "entity-type",
	    .arg = "type",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "What the name names: topics, brokers, broker-loggers, groups, client-metrics, "
		    "users, clients or ips." },
	[OPT_FORCE] = { .names = "force",
	    .flags = CLI_HIDDEN,
	    .text = "Accepted for old scripts: nothing is asked." },
	[OPT_GROUP] = { .names = "group",
	    .arg = "group",
	    .kind = CLI_STRING,
	    .text = "The group." },
	[OPT_IP] = { .names = "ip", .arg = "address", .kind = CLI_STRING, .text = "The address." },
	[OPT_IP_DEFAULTS] = { .names = "ip-defaults", .text = "All other addresses." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what --describe prints." },
	[OPT_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .text = "The topic." },
	[OPT_USER] = { .names = "user",
	    .arg = "user principal",
	    .kind = CLI_STRING,
	    .text = "The user." },
	[OPT_USER_DEFAULTS] = { .names = "user-defaults", .text = "All other users." },
};

#define BIT(name) CLI_BIT(OPT_##name)

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, BIT(ALTER) | BIT(DESCRIBE),
	    "Command must include exactly one action: --describe, --alter" },
	{ CLI_RULE_EXCLUDES, OPT_DESCRIBE,
	    BIT(ADD_CONFIG) | BIT(ADD_CONFIG_FILE) | BIT(DELETE_CONFIG), NULL },
	{ CLI_RULE_EXCLUDES, OPT_ADD_CONFIG, BIT(ADD_CONFIG_FILE),
	    "Only one of --add-config or --add-config-file must be specified" },
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- entities ------------------------------------------------------------------------------ */

struct type {
	const char *name;
	const char *one;
	int8_t resource; /* of the protocol; 0: quotas and credentials are another API's */
	int8_t source;   /* of settings that were changed there; 0: all are told */
	unsigned
	    name_option; /* --topic NAME is short for --entity-type topics --entity-name NAME */
	unsigned rest_option; /* --broker-defaults; 0: there are none */
};

enum {
	SOURCE_BROKER_LOGGER = 6,
	SOURCE_CLIENT_METRICS = 7,
	SOURCE_GROUP = 8,
	RESOURCE_BROKER_LOGGER = 8,
	RESOURCE_CLIENT_METRICS = 16,
	RESOURCE_GROUP = 32,
};

static const struct type types[] = {
	{ "topics", "topic", CLI_RESOURCE_TOPIC, OT_SOURCE_TOPIC, OPT_TOPIC, 0 },
	{ "brokers", "broker", CLI_RESOURCE_BROKER, OT_SOURCE_DYNAMIC_BROKER, OPT_BROKER,
	    OPT_BROKER_DEFAULTS },
	{ "broker-loggers", "broker-logger", RESOURCE_BROKER_LOGGER, 0, OPT_BROKER_LOGGER, 0 },
	{ "client-metrics", "client-metric", RESOURCE_CLIENT_METRICS, SOURCE_CLIENT_METRICS,
	    OPT_CLIENT_METRICS, 0 },
	{ "groups", "group", RESOURCE_GROUP, SOURCE_GROUP, OPT_GROUP, 0 },
	{ "users", "user", 0, 0, OPT_USER, OPT_USER_DEFAULTS },
	{ "clients", "client", 0, 0, OPT_CLIENT, OPT_CLIENT_DEFAULTS },
	{ "ips", "ip", 0, 0, OPT_IP, OPT_IP_DEFAULTS },
};

struct entity {
	const struct type *type;
	const char *name; /* "": the default of the type; NULL: all of the type */
};

static const struct type *
find_type(const char *name)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(types); i++) {
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	}
	return NULL;
}

/* The entity by --entity-type and its companions. */
static int
read_long_entity(struct cli *cli, struct entity *entity)
{
	const struct cli_args *args = &cli->args;
	struct cli_values given_types = cli_get_all(args, OPT_ENTITY_TYPE);
	if (given_types.count > 1)
		return cli_fail(cli,
		    "Only 'users' and 'clients' entity types may be specified together, and this "
		    "release has no quotas yet");
	if (given_types.count == 0)
		return cli_fail_usage(cli, "At least one entity type must be specified");
	entity->type = find_type(given_types.items[0]);
	if (entity->type == NULL)
		return cli_fail(cli,
		    "Invalid entity type %s, the entity type must be one of topics, brokers, "
		    "broker-loggers, client-metrics, groups, users, clients, ips",
		    given_types.items[0]);
	if (cli_has(args, OPT_ENTITY_NAME))
		entity->name = cli_get(args, OPT_ENTITY_NAME);
	else if (cli_has(args, OPT_ENTITY_DEFAULT))
		entity->name = "";
	return CLI_EXIT_OK;
}

static int
read_entity(struct cli *cli, struct entity *ret_entity)
{
	const struct cli_args *args = &cli->args;
	struct entity entity = { NULL, NULL };
	size_t count = 0;
	for (size_t i = 0; i < OT_ARRAY_COUNT(types); i++) {
		bool has_name = cli_has(args, types[i].name_option);
		bool has_rest = types[i].rest_option != 0 && cli_has(args, types[i].rest_option);
		if (!has_name && !has_rest)
			continue;
		count += has_name && has_rest ? 2u : 1u;
		entity.type = &types[i];
		entity.name = has_name ? cli_get(args, types[i].name_option) : "";
	}
	bool is_long = cli_has(args, OPT_ENTITY_TYPE) || cli_has(args, OPT_ENTITY_NAME) ||
	               cli_has(args, OPT_ENTITY_DEFAULT);
	if (count > 0 && is_long)
		return cli_fail(cli,
		    "--entity-{type,name,default} should not be used in conjunction with specific "
		    "entity flags");
	if (count > 1)
		return cli_fail(cli, "Only one entity can be told of or altered at a time");
	int status = count == 0 ? read_long_entity(cli, &entity) : CLI_EXIT_OK;
	if (status == CLI_EXIT_OK)
		*ret_entity = entity;
	return status;
}

/* What Kafka's tool refuses before it asks. */
static int
check_entity(struct cli *cli, const struct entity *entity)
{
	const struct type *type = entity->type;
	bool is_alter = cli_has(&cli->args, OPT_ALTER);
	bool is_broker =
	    type->resource == CLI_RESOURCE_BROKER || type->resource == RESOURCE_BROKER_LOGGER;
	bool has_name = entity->name != NULL && *entity->name != '\0';
	bool has_default = entity->name != NULL && *entity->name == '\0';
	int64_t number;
	if (type->resource == 0)
		return cli_fail(cli,
		    "This release keeps no settings of %s: quotas and credentials are not "
		    "supported by the broker yet",
		    type->name);
	if (has_name && is_broker && !cli_number_parse(entity->name, &number))
		return cli_fail(cli,
		    "The entity name for %s must be a valid integer broker id, but it is: %s",
		    type->name, entity->name);
	if (has_default && type->resource != CLI_RESOURCE_BROKER)
		return cli_fail(cli, "--entity-default must not be specified with %s of %s",
		    is_alter ? "--alter" : "--describe", type->name);
	if (!is_alter && type->resource == RESOURCE_BROKER_LOGGER && !has_name)
		return cli_fail(cli, "An entity name must be specified with --describe of %s",
		    type->name);
	if (is_alter && !has_name && !has_default && type->resource == CLI_RESOURCE_BROKER)
		return cli_fail(cli, "An entity-name or default entity must be specified with "
				     "--alter of users, clients, brokers or ips");
	if (is_alter && !has_name && !has_default)
		return cli_fail(cli, "An entity name must be specified with --alter of %s",
		    type->name);
	if (is_alter && !cli_has(&cli->args, OPT_ADD_CONFIG) &&
	    !cli_has(&cli->args, OPT_ADD_CONFIG_FILE) && !cli_has(&cli->args, OPT_DELETE_CONFIG))
		return cli_fail_usage(cli,
		    "At least one of --add-config, --add-config-file, or --delete-config must be "
		    "specified with --alter");
	return CLI_EXIT_OK;
}

/* Settings of a broker are told by itself, all others by any. */
static int32_t
node_of(const struct entity *entity)
{
	int64_t number;
	bool is_broker = entity->type->resource == CLI_RESOURCE_BROKER ||
	                 entity->type->resource == RESOURCE_BROKER_LOGGER;
	if (!is_broker || *entity->name == '\0' || !cli_number_parse(entity->name, &number) ||
	    number < 0 || number > INT32_MAX)
		return OT_NODE_ANY;
	return (int32_t)number;
}

/* ---- asking -------------------------------------------------------------------------------- */

static int
compare_configs(const void *a, const void *b)
{
	const struct ot_describe_configs_response_config *one = a;
	const struct ot_describe_configs_response_config *other = b;
	return ot_str_compare(one->name, other->name);
}

static int8_t
source_of(const struct entity *entity)
{
	bool is_default = entity->type->resource == CLI_RESOURCE_BROKER && *entity->name == '\0';
	return is_default ? OT_SOURCE_DYNAMIC_DEFAULT : entity->type->source;
}

/* The settings of an entity, sorted; unless `is_all`, only those that were changed there. */
static ot_err
fetch_settings(struct cli *cli, const struct entity *entity, bool is_all,
    struct ot_describe_configs_response_result *ret_result)
{
	struct ot_describe_configs_request request;
	struct ot_describe_configs_response response;
	ot_describe_configs_request_init(&request);
	request.include_synonyms = true;
	request.resources = ot_describe_configs_request_resource_array(&cli->arena, 1);
	request.resources_count = 1;
	request.resources[0].resource_type = entity->type->resource;
	request.resources[0].resource_name = ot_str_from(entity->name);
	request.resources[0].configuration_keys_count = -1; /* all */
	ot_err err = cli_call(cli, node_of(entity), CLI_API_DESCRIBE_CONFIGS, &request, &response);
	if (err != OT_OK)
		return err;
	if (response.results_count != 1 || response.results[0].error_code != 0) {
		int16_t code = response.results_count == 1 ? response.results[0].error_code
		                                           : OT_ERR_UNKNOWN_SERVER_ERROR;
		struct ot_str message =
		    response.results_count == 1 ? response.results[0].error_message : OT_STR_NULL;
		ot_why_set(&cli->why, "%s", cli_error_text(cli, code, message));
		return ot_err_from_wire(code);
	}
	struct ot_describe_configs_response_result *result = &response.results[0];
	int32_t count = 0;
	for (int32_t i = 0; i < result->configs_count; i++) {
		if (is_all || source_of(entity) == 0 ||
		    result->configs[i].config_source == source_of(entity))
			result->configs[count++] = result->configs[i];
	}
	result->configs_count = count;
	if (count > 1)
		qsort(result->configs, (size_t)count, sizeof(*result->configs), compare_configs);
	*ret_result = *result;
	return OT_OK;
}

struct names {
	const char **items;
	size_t count;
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ot_err
list_topics(struct cli *cli, struct names *names)
{
	struct ot_metadata_response metadata;
	ot_err err = cli_fetch_topics(cli, &metadata);
	if (err != OT_OK)
		return err;
	names->items = cli_alloc(cli, (size_t)metadata.topics_count, sizeof(*names->items));
	for (int32_t i = 0; i < metadata.topics_count; i++)
		names->items[names->count++] = cli_text(cli, metadata.topics[i].name);
	return OT_OK;
}

/* The brokers, and behind them the default of all. */
static ot_err
list_brokers(struct cli *cli, struct names *names)
{
	size_t count;
	ot_err err = ot_client_learn_nodes(cli->client, &cli->why);
	if (err != OT_OK)
		return err;
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &count);
	names->items = cli_alloc(cli, count + 1, sizeof(*names->items));
	for (size_t i = 0; i < count; i++)
		names->items[names->count++] = cli_format(cli, "%d", nodes[i].id);
	if (count > 1)
		qsort(names->items, count, sizeof(*names->items), compare_names);
	names->items[names->count++] = "";
	return OT_OK;
}

/* Resources of other kinds that have settings (KIP-1142). */
static ot_err
list_resources(struct cli *cli, const struct type *type, struct names *names)
{
	struct ot_list_config_resources_request request;
	struct ot_list_config_resources_response response;
	ot_list_config_resources_request_init(&request);
	int8_t resource = type->resource;
	request.resource_types = &resource;
	request.resource_types_count = 1;
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_LIST_CONFIG_RESOURCES, &request, &response);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "%s", ot_err_message(err));
	}
	if (err != OT_OK)
		return err;
	names->items =
	    cli_alloc(cli, (size_t)response.config_resources_count, sizeof(*names->items));
	for (int32_t i = 0; i < response.config_resources_count; i++)
		names->items[names->count++] =
		    cli_text(cli, response.config_resources[i].resource_name);
	if (names->count > 1)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return OT_OK;
}

static ot_err
list_entities(struct cli *cli, const struct type *type, struct names *names)
{
	if (type->resource == CLI_RESOURCE_TOPIC)
		return list_topics(cli, names);
	if (type->resource == CLI_RESOURCE_BROKER || type->resource == RESOURCE_BROKER_LOGGER)
		return list_brokers(cli, names);
	return list_resources(cli, type, names);
}

/* ---- describe ------------------------------------------------------------------------------ */

static const char *
source_name(int8_t source)
{
	switch (source) {
	case SOURCE_BROKER_LOGGER:
		return "DYNAMIC_BROKER_LOGGER_CONFIG";
	case SOURCE_CLIENT_METRICS:
		return "DYNAMIC_CLIENT_METRICS_CONFIG";
	case SOURCE_GROUP:
		return "DYNAMIC_GROUP_CONFIG";
	default:
		return ot_config_source_name((enum ot_config_source)source);
	}
}

static struct ot_str
or_null(struct ot_str text)
{
	return text.len >= 0 ? text : OT_STR_LIT("null");
}

static void
print_setting(const struct ot_describe_configs_response_config *config)
{
	printf("  %.*s=%.*s sensitive=%s synonyms={", OT_STR_ARG(config->name),
	    OT_STR_ARG(or_null(config->value)), config->is_sensitive ? "true" : "false");
	for (int32_t i = 0; i < config->synonyms_count; i++) {
		const struct ot_describe_configs_response_synonym *synonym = &config->synonyms[i];
		printf("%s%s:%.*s=%.*s", i > 0 ? ", " : "", source_name(synonym->source),
		    OT_STR_ARG(synonym->name), OT_STR_ARG(or_null(synonym->value)));
	}
	printf("}\n");
}

/* "topic 'test'", as Kafka 0.11 wrote it: brokers are in the plural there. */
static const char *
old_name_of(struct cli *cli, const struct entity *entity)
{
	const char *type =
	    entity->type->resource == CLI_RESOURCE_TOPIC ? "topic" : entity->type->name;
	if (*entity->name == '\0')
		return cli_format(cli, "default %s", type);
	return cli_format(cli, "%s '%s'", type, entity->name);
}

static void
print_of_old(struct cli *cli, const struct entity *entity,
    const struct ot_describe_configs_response_result *result)
{
	printf("Configs for %s are ", old_name_of(cli, entity));
	for (int32_t i = 0; i < result->configs_count; i++)
		printf("%s%.*s=%.*s", i > 0 ? "," : "", OT_STR_ARG(result->configs[i].name),
		    OT_STR_ARG(or_null(result->configs[i].value)));
	putchar('\n');
}

static json_t *
json_of(struct ot_str text)
{
	return text.len < 0 ? json_null() : json_stringn(text.data, (size_t)text.len);
}

static json_t *
json_of_setting(const struct ot_describe_configs_response_config *config)
{
	json_t *synonyms = json_array();
	for (int32_t i = 0; i < config->synonyms_count; i++) {
		const struct ot_describe_configs_response_synonym *synonym = &config->synonyms[i];
		json_array_append_new(synonyms,
		    json_pack("{s:s,s:o,s:o}", "source", source_name(synonym->source), "name",
			json_of(synonym->name), "value", json_of(synonym->value)));
	}
	return json_pack("{s:o,s:o,s:s,s:b,s:b,s:o}", "name", json_of(config->name), "value",
	    json_of(config->value), "source", source_name(config->config_source), "sensitive",
	    config->is_sensitive, "read_only", config->read_only, "synonyms", synonyms);
}

/* The name is null for what holds for all entities of a type. */
static json_t *
json_of_entity(const struct entity *entity,
    const struct ot_describe_configs_response_result *result)
{
	json_t *configs = json_array();
	for (int32_t i = 0; i < result->configs_count; i++)
		json_array_append_new(configs, json_of_setting(&result->configs[i]));
	return json_pack("{s:s,s:s?,s:o}", "entity_type", entity->type->name, "entity_name",
	    *entity->name != '\0' ? entity->name : NULL, "configs", configs);
}

/* Prints, or appends to `array` when that is not NULL. */
static int
describe_entity(struct cli *cli, const struct entity *entity, json_t *array)
{
	struct ot_describe_configs_response_result result;
	bool is_all = cli_has(&cli->args, OPT_ALL);
	if (fetch_settings(cli, entity, is_all, &result) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (array != NULL) {
		json_array_append_new(array, json_of_entity(entity, &result));
		return CLI_EXIT_OK;
	}
	if (cli_is_of_old(cli)) {
		print_of_old(cli, entity, &result);
		return CLI_EXIT_OK;
	}
	if (*entity->name == '\0')
		printf("Default configs for %s in the cluster are:\n", entity->type->name);
	else
		printf("%s configs for %s %s are:\n", is_all ? "All" : "Dynamic", entity->type->one,
		    entity->name);
	for (int32_t i = 0; i < result.configs_count; i++)
		print_setting(&result.configs[i]);
	return CLI_EXIT_OK;
}

static bool
has_name(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->items[i], name) == 0)
			return true;
	}
	return false;
}

static int
describe_to(struct cli *cli, const struct entity *entity, json_t *array)
{
	struct names names = { 0 };
	bool is_one = entity->name != NULL;
	bool is_listed = entity->type->resource == CLI_RESOURCE_TOPIC ||
	                 entity->type->resource == CLI_RESOURCE_BROKER ||
	                 entity->type->resource == RESOURCE_BROKER_LOGGER;
	if ((!is_one || is_listed) && list_entities(cli, entity->type, &names) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (is_one && is_listed && !has_name(&names, entity->name))
		return cli_fail(cli, "The %s '%s' doesn't exist and doesn't have dynamic config.",
		    entity->type->one, entity->name);
	if (is_one)
		return describe_entity(cli, entity, array);
	int status = CLI_EXIT_OK;
	for (size_t i = 0; i < names.count; i++) {
		struct entity one = { entity->type, names.items[i] };
		int one_status = describe_entity(cli, &one, array);
		status = OT_MAX(status, one_status);
	}
	return status;
}

static int
describe(struct cli *cli, const struct entity *entity)
{
	if (strcmp(cli_get(&cli->args, OPT_OUTPUT), "json") != 0)
		return describe_to(cli, entity, NULL);
	json_t *array = json_array();
	int status = describe_to(cli, entity, array);
	if (status == CLI_EXIT_OK)
		cli_print_json(array, stdout);
	else
		json_decref(array);
	return status;
}

/* ---- alter --------------------------------------------------------------------------------- */

struct changes {
	struct ot_incremental_alter_configs_request_config *items;
	int32_t count;
};

enum { OPERATION_SET = 0, OPERATION_DELETE = 1 };

static const char *
trim(struct cli *cli, const char *text, size_t bytes)
{
	while (bytes > 0 && (text[0] == ' ' || text[0] == '\t')) {
		text++;
		bytes--;
	}
	while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t'))
		bytes--;
	return cli_format(cli, "%.*s", (int)bytes, text);
}

/* Where the next `wanted` stands that is in no brackets; the length when there is none. */
static size_t
find_outside(const char *text, size_t bytes, char wanted)
{
	bool is_inside = false;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == wanted && !is_inside)
			return i;
		is_inside = text[i] == '[' || (is_inside && text[i] != ']');
	}
	return bytes;
}

static const char *
without_brackets(struct cli *cli, const char *text, size_t bytes)
{
	char *value = cli_alloc(cli, bytes + 1, 1);
	size_t count = 0;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != '[' && text[i] != ']')
			value[count++] = text[i];
	}
	return trim(cli, value, count);
}

static void
push_change(struct changes *changes, const char *name, const char *value)
{
	struct ot_incremental_alter_configs_request_config *change =
	    &changes->items[changes->count++];
	change->name = ot_str_from(name);
	change->value = ot_str_from(value);
	change->config_operation = value != NULL ? OPERATION_SET : OPERATION_DELETE;
}

static int
refuse_name(struct cli *cli, const char *name)
{
	if (strspn(name, "$._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
	    strlen(name))
		return CLI_EXIT_OK;
	return cli_fail(cli, "Invalid character found for config key: %s", name);
}

/* "k1=v1,k2=[v1,v2]". */
static int
read_added(struct cli *cli, const char *text, struct changes *changes)
{
	size_t left = strlen(text);
	for (;;) {
		size_t bytes = find_outside(text, left, ',');
		size_t equals = find_outside(text, bytes, '=');
		size_t rest = bytes - OT_MIN(equals + 1, bytes);
		if (equals == bytes || find_outside(text + equals + 1, rest, '=') != rest)
			return cli_fail(cli,
			    "Invalid entity config: all configs to be added must be in the format "
			    "\"key=val\" or  \"key=[val1,val2]\" to group values which contain "
			    "commas.");
		const char *name = trim(cli, text, equals);
		int status = refuse_name(cli, name);
		if (status != CLI_EXIT_OK)
			return status;
		push_change(changes, name, without_brackets(cli, text + equals + 1, rest));
		if (bytes == left)
			return CLI_EXIT_OK;
		text += bytes + 1;
		left -= bytes + 1;
	}
}

static int
read_file(struct cli *cli, const char *path, struct changes *changes)
{
	struct ot_properties props;
	int status = CLI_EXIT_OK;
	if (!cli_load_properties(cli, path, &props))
		return CLI_EXIT_FAILURE;
	struct ot_incremental_alter_configs_request_config *items =
	    ot_incremental_alter_configs_request_config_array(&cli->arena,
		changes->count + (int32_t)props.count);
	for (int32_t i = 0; i < changes->count; i++)
		items[i] = changes->items[i];
	changes->items = items;
	for (size_t i = 0; i < props.count && status == CLI_EXIT_OK; i++) {
		const char *name = cli_text(cli, props.items[i].name);
		status = refuse_name(cli, name);
		push_change(changes, name, cli_text(cli, props.items[i].value));
	}
	ot_properties_fini(&props);
	return status;
}

/* Removals first, as Kafka's tool sends them. */
static int
read_changes(struct cli *cli, struct changes *changes)
{
	struct cli_values removed = cli_get_all(&cli->args, OPT_DELETE_CONFIG);
	const char *added = cli_get(&cli->args, OPT_ADD_CONFIG);
	const char *path = cli_get(&cli->args, OPT_ADD_CONFIG_FILE);
	size_t room = removed.count + (added != NULL ? strlen(added) + 1 : 0);
	changes->items =
	    ot_incremental_alter_configs_request_config_array(&cli->arena, (int32_t)room);
	for (size_t i = 0; i < removed.count; i++)
		push_change(changes, trim(cli, removed.items[i], strlen(removed.items[i])), NULL);
	int status = CLI_EXIT_OK;
	if (added != NULL)
		status = read_added(cli, added, changes);
	if (status == CLI_EXIT_OK && path != NULL)
		status = read_file(cli, path, changes);
	return status;
}

/* What is removed must be there. */
static int
check_removed(struct cli *cli, const struct entity *entity, const struct changes *changes)
{
	struct ot_describe_configs_response_result result;
	const char *unknown = "";
	if (fetch_settings(cli, entity, false, &result) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	for (int32_t i = 0; i < changes->count; i++) {
		bool is_there = changes->items[i].config_operation == OPERATION_SET;
		for (int32_t k = 0; k < result.configs_count; k++)
			is_there = is_there ||
			           ot_str_equal(result.configs[k].name, changes->items[i].name);
		if (!is_there)
			unknown = cli_format(cli, "%s%s%.*s", unknown, *unknown != '\0' ? "," : "",
			    OT_STR_ARG(changes->items[i].name));
	}
	if (*unknown == '\0')
		return CLI_EXIT_OK;
	return cli_fail(cli, "Invalid config(s): %s", unknown);
}

static int
send_changes(struct cli *cli, const struct entity *entity, const struct changes *changes)
{
	struct ot_incremental_alter_configs_request request;
	struct ot_incremental_alter_configs_response response;
	ot_incremental_alter_configs_request_init(&request);
	request.resources =
	    ot_incremental_alter_configs_request_alter_configs_resource_array(&cli->arena, 1);
	request.resources_count = 1;
	request.resources[0].resource_type = entity->type->resource;
	request.resources[0].resource_name = ot_str_from(entity->name);
	request.resources[0].configs = changes->items;
	request.resources[0].configs_count = changes->count;
	if (cli_call(cli, node_of(entity), CLI_API_INCREMENTAL_ALTER_CONFIGS, &request,
		&response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	for (int32_t i = 0; i < response.responses_count; i++) {
		if (response.responses[i].error_code != 0)
			return cli_fail(cli, "%s",
			    cli_error_text(cli, response.responses[i].error_code,
				response.responses[i].error_message));
	}
	return CLI_EXIT_OK;
}

static int
alter(struct cli *cli, const struct entity *entity)
{
	struct changes changes = { 0 };
	int status = read_changes(cli, &changes);
	if (status != CLI_EXIT_OK)
		return status;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (cli_has(&cli->args, OPT_DELETE_CONFIG))
		status = check_removed(cli, entity, &changes);
	if (status == CLI_EXIT_OK)
		status = send_changes(cli, entity, &changes);
	if (status != CLI_EXIT_OK)
		return status;
	if (cli_is_of_old(cli))
		printf("Completed Updating config for entity: %s.\n", old_name_of(cli, entity));
	else if (*entity->name == '\0')
		printf("Completed updating default config for %s in the cluster.\n",
		    entity->type->name);
	else
		printf("Completed updating config for %s %s.\n", entity->type->one, entity->name);
	return CLI_EXIT_OK;
}

static int
run(struct cli *cli)
{
	struct entity entity = { NULL, NULL };
	int status = read_entity(cli, &entity);
	if (status == CLI_EXIT_OK)
		status = check_entity(cli, &entity);
	if (status != CLI_EXIT_OK)
		return status;
	if (cli_has(&cli->args, OPT_ALTER))
		return alter(cli, &entity);
	return cli_connect(cli) ? describe(cli, &entity) : CLI_EXIT_FAILURE;
}

const struct cli_tool cli_configs_tool = {
	.self = {
		.name = "configs",
		.summary = "Tell and change settings of topics and brokers.",
		.purpose = "This tool helps to manipulate and describe entity config for a topic, "
			   "client, user,\nbroker, ip, client-metrics or group",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ConfigCommand",
};
