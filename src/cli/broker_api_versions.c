/* kafka-broker-api-versions: which APIs each broker has, in which versions. */
#include "cli/tools_int.h"

#include <stdlib.h>

#include <jansson.h>

#include "cli/admin_int.h"

enum { OPT_OUTPUT = CLI_OPTION_CONNECT_COUNT };

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[OPT_OUTPUT] = CLI_OUTPUT_OPTION,
};

static const struct cli_rule rules[] = {
	CLI_OUTPUT_RULE(OPT_OUTPUT),
	{ CLI_RULE_END, 0, 0, NULL },
};

enum { API_KEY_COUNT_MAX = 1024 };

/* "Fetch(1): 0 to 17 [usable: 17]", Kafka's words. */
static void
print_api(int16_t key, struct ot_versions theirs)
{
	const struct ot_api *api = ot_api_find(key);
	if (api != NULL)
		printf("%s(%d): ", api->name, key);
	else
		printf("UNKNOWN(%d): ", key);
	if (theirs.min > theirs.max) {
		printf("UNSUPPORTED");
		return;
	}
	if (theirs.min == theirs.max)
		printf("%d", theirs.min);
	else
		printf("%d to %d", theirs.min, theirs.max);
	if (api == NULL)
		return;
	struct ot_versions ours = api->request->valid;
	if (ours.max < theirs.min)
		printf(" [unusable: node too new]");
	else if (theirs.max < ours.min)
		printf(" [unusable: node too old]");
	else
		printf(" [usable: %d]", OT_MIN(ours.max, theirs.max));
}

static void
print_broker(struct cli *cli, const struct ot_client_node *node)
{
	printf("%s:%u (id: %d rack: %s isFenced: false) -> (", node->host, node->port, node->id,
	    node->rack[0] != '\0' ? node->rack : "null");
	const char *before = "\n\t";
	for (int16_t key = 0; key < API_KEY_COUNT_MAX; key++) {
		const struct ot_api *api = ot_api_find(key);
		struct ot_versions theirs = ot_client_advertised(cli->client, node->id, key);
		bool is_for_clients = api != NULL && (api->listeners & OT_API_LISTENER_BROKER) != 0;
		if (theirs.min > theirs.max && !is_for_clients)
			continue;
		printf("%s", before);
		print_api(key, theirs);
		before = ",\n\t";
	}
	printf("\n)\n");
}

static json_t *
json_of_broker(struct cli *cli, const struct ot_client_node *node)
{
	json_t *apis = json_array();
	for (int16_t key = 0; key < API_KEY_COUNT_MAX; key++) {
		const struct ot_api *api = ot_api_find(key);
		struct ot_versions theirs = ot_client_advertised(cli->client, node->id, key);
		if (theirs.min > theirs.max)
			continue;
		json_t *object = json_pack("{s:i,s:s?,s:i,s:i}", "key", (int)key, "name",
		    api != NULL ? api->name : NULL, "min_version", (int)theirs.min, "max_version",
		    (int)theirs.max);
		int usable = api != NULL ? OT_MIN(api->request->valid.max, theirs.max) : -1;
		bool is_usable =
		    api != NULL && usable >= api->request->valid.min && usable >= theirs.min;
		json_object_set_new(object, "usable_version",
		    is_usable ? json_integer(usable) : json_null());
		json_array_append_new(apis, object);
	}
	return apis;
}

/* What is known of one broker; its APIs are NULL when it cannot be reached. */
static json_t *
json_of_node(const struct ot_client_node *node, json_t *apis, const char *why)
{
	json_t *object = json_pack("{s:i,s:s,s:i,s:s?}", "id", (int)node->id, "host", node->host,
	    "port", (int)node->port, "rack", node->rack[0] != '\0' ? node->rack : NULL);
	if (apis != NULL)
		json_object_set_new(object, "apis", apis);
	else
		json_object_set_new(object, "error", json_string(why));
	return object;
}

static int
print_json(struct cli *cli, const struct ot_client_node *nodes, size_t count)
{
	int status = CLI_EXIT_OK;
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		bool is_there = ot_client_connect(cli->client, nodes[i].id, &cli->why) == OT_OK;
		json_t *apis = is_there ? json_of_broker(cli, &nodes[i]) : NULL;
		json_array_append_new(array, json_of_node(&nodes[i], apis, cli->why.text));
		if (!is_there)
			status = CLI_EXIT_FAILURE;
	}
	cli_print_json(array, stdout);
	return status;
}

static int
compare_nodes(const void *a, const void *b)
{
	const struct ot_client_node *one = a;
	const struct ot_client_node *other = b;
	return (one->id > other->id) - (one->id < other->id);
}

static int
run(struct cli *cli)
{
	size_t count = 0;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (ot_client_learn_nodes(cli->client, &cli->why) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &count);
	struct ot_client_node *sorted = cli_alloc(cli, count, sizeof(*sorted));
	for (size_t i = 0; i < count; i++)
		sorted[i] = nodes[i];
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_nodes);
	if (cli_wants_json(cli, OPT_OUTPUT))
		return print_json(cli, sorted, count);
	int status = CLI_EXIT_OK;
	for (size_t i = 0; i < count; i++) {
		if (ot_client_connect(cli->client, sorted[i].id, &cli->why) == OT_OK) {
			print_broker(cli, &sorted[i]);
			continue;
		}
		printf("%s:%u (id: %d rack: %s isFenced: false) -> ERROR: %s\n", sorted[i].host,
		    sorted[i].port, sorted[i].id,
		    sorted[i].rack[0] != '\0' ? sorted[i].rack : "null", cli->why.text);
		status = CLI_EXIT_FAILURE;
	}
	return status;
}

const struct cli_tool cli_broker_api_versions_tool = {
	.self = {
		.name = "broker-api-versions",
		.summary = "List the APIs of each broker with their versions.",
		.purpose = "This tool helps to retrieve broker version information.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "BrokerApiVersionsCommand",
};
