/* kafka-broker-api-versions: which APIs each broker has, in which versions. */
#include "cli/tools_int.h"

#include <stdlib.h>

#include "cli/admin_int.h"

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
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
		.run = run,
	},
	.classes = "BrokerApiVersionsCommand",
};
