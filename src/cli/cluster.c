/* kafka-cluster: a cluster's id, its endpoints, and brokers that are gone for good. */
#include "cli/tools_int.h"

#include <string.h>

#include <jansson.h>

#include "cli/admin_int.h"
#include "wire/msg_describe_cluster.h"
#include "wire/msg_unregister_broker.h"

/* Of the commands that tell, and of unregister. */
enum {
	OPT_OUTPUT = CLI_OPTION_CONNECT_COUNT,
	OPT_INCLUDE_FENCED,
};
enum { OPT_ID = CLI_OPTION_CONNECT_COUNT };

#define CLUSTER_OPTIONS                                                                      \
	CLI_COMMON_OPTIONS,                                                                  \
	    [CLI_OPTION_BOOTSTRAP] = { .names = "bootstrap-server b bootstrap-controller C", \
		    .arg = "host:port,...",                                                  \
		    .kind = CLI_STRING,                                                      \
		    .text = "Brokers or controllers to connect to first, one at least." },   \
	    [CLI_OPTION_ZOOKEEPER] = { .names = "zookeeper",                                 \
		    .arg = "host:port",                                                      \
		    .kind = CLI_STRING,                                                      \
		    .flags = CLI_HIDDEN,                                                     \
		    .text = "The address of the control listener." },                        \
	    [CLI_OPTION_COMMAND_CONFIG] = { .names = "config command-config c",              \
		    .arg = "file",                                                           \
		    .kind = CLI_STRING,                                                      \
		    .text = "A property file for the connection." }

static const struct cli_option id_options[] = {
	CLUSTER_OPTIONS,
	[OPT_OUTPUT] = CLI_OUTPUT_OPTION,
};

static const struct cli_rule output_rules[] = {
	CLI_OUTPUT_RULE(OPT_OUTPUT),
	{ CLI_RULE_END, 0, 0, NULL },
};

static const struct cli_option unregister_options[] = {
	CLUSTER_OPTIONS,
	[OPT_ID] = { .names = "id i",
	    .arg = "broker id",
	    .kind = CLI_INTEGER,
	    .flags = CLI_REQUIRED,
	    .text = "The broker that is gone for good." },
};

static const struct cli_option endpoints_options[] = {
	CLUSTER_OPTIONS,
	[OPT_OUTPUT] = CLI_OUTPUT_OPTION,
	[OPT_INCLUDE_FENCED] = { .names = "include-fenced-brokers",
	    .text = "Tell of brokers that are fenced, too." },
};

static ot_err
describe(struct cli *cli, bool with_fenced, struct ot_describe_cluster_response *ret_response)
{
	struct ot_describe_cluster_request request;
	ot_describe_cluster_request_init(&request);
	request.include_fenced_brokers = with_fenced;
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_CLUSTER, &request, ret_response);
	if (err == OT_OK && ret_response->error_code != 0) {
		err = ot_err_from_wire(ret_response->error_code);
		ot_why_set(&cli->why, "%s",
		    cli_error_text(cli, ret_response->error_code, ret_response->error_message));
	}
	return err;
}

static int
run_id(struct cli *cli)
{
	struct ot_describe_cluster_response response;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (describe(cli, false, &response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (cli_wants_json(cli, OPT_OUTPUT)) {
		cli_print_json(json_pack("{s:o}", "cluster_id", cli_json_of(response.cluster_id)),
		    stdout);
		return CLI_EXIT_OK;
	}
	printf("Cluster ID: %.*s\n", OT_STR_ARG(response.cluster_id));
	return CLI_EXIT_OK;
}

static const char *
endpoint_type(const struct ot_describe_cluster_response *response)
{
	return response->endpoint_type == 2 ? "controller" : "broker";
}

static void
print_endpoints_json(const struct ot_describe_cluster_response *response)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < response->brokers_count; i++) {
		const struct ot_describe_cluster_response_broker *broker = &response->brokers[i];
		json_array_append_new(array,
		    json_pack("{s:i,s:o,s:i,s:o,s:b,s:s}", "id", (int)broker->broker_id, "host",
			cli_json_of(broker->host), "port", (int)broker->port, "rack",
			cli_json_of(broker->rack), "is_fenced", (int)broker->is_fenced,
			"endpoint_type", endpoint_type(response)));
	}
	cli_print_json(array, stdout);
}

static int
run_endpoints(struct cli *cli)
{
	struct ot_describe_cluster_response response;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (describe(cli, cli_has(&cli->args, OPT_INCLUDE_FENCED), &response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (cli_wants_json(cli, OPT_OUTPUT)) {
		print_endpoints_json(&response);
		return CLI_EXIT_OK;
	}
	int host_width = 0;
	int rack_width = 0;
	for (int32_t i = 0; i < response.brokers_count; i++) {
		host_width = OT_MAX(host_width, response.brokers[i].host.len);
		rack_width = OT_MAX(rack_width, response.brokers[i].rack.len);
	}
	host_width = host_width > 0 ? host_width : 100;
	rack_width = rack_width > 0 ? rack_width : 10;
	printf("%-10s %-*s %-10s %-*s %-10s %-15s\n", "ID", host_width, "HOST", "PORT", rack_width,
	    "RACK", "STATE", "ENDPOINT_TYPE");
	for (int32_t i = 0; i < response.brokers_count; i++) {
		const struct ot_describe_cluster_response_broker *broker = &response.brokers[i];
		struct ot_str rack = broker->rack.len >= 0 ? broker->rack : OT_STR_LIT("null");
		printf("%-10d %-*.*s %-10d %-*.*s %-10s %-15s\n", broker->broker_id, host_width,
		    OT_STR_ARG(broker->host), broker->port, rack_width, OT_STR_ARG(rack),
		    broker->is_fenced ? "fenced" : "unfenced", endpoint_type(&response));
	}
	return CLI_EXIT_OK;
}

static int
run_unregister(struct cli *cli)
{
	struct ot_unregister_broker_request request;
	struct ot_unregister_broker_response response;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	ot_unregister_broker_request_init(&request);
	request.broker_id = (int32_t)cli_get_number(&cli->args, OPT_ID);
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_UNREGISTER_BROKER, &request, &response);
	if (err == OT_ERR_UNSUPPORTED_VERSION)
		return cli_fail(cli,
		    "The target cluster does not support the broker unregistration API.");
	if (err != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (response.error_code != 0)
		return cli_fail(cli, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	printf("Broker %d is no longer registered.\n", request.broker_id);
	return CLI_EXIT_OK;
}

static const struct cli_command commands[] = {
	{
	    .name = "cluster-id",
	    .summary = "Get the id of a cluster.",
	    .purpose = "Prints the id of a cluster.",
	    .options = id_options,
	    .option_count = OT_ARRAY_COUNT(id_options),
	    .rules = output_rules,
	    .run = run_id,
	},
	{
	    .name = "unregister",
	    .summary = "Unregister a broker that is gone for good.",
	    .purpose = "Makes the cluster forget a broker that is gone for good.",
	    .options = unregister_options,
	    .option_count = OT_ARRAY_COUNT(unregister_options),
	    .run = run_unregister,
	},
	{
	    .name = "list-endpoints",
	    .summary = "List the brokers and where they listen.",
	    .purpose = "Lists the brokers of a cluster and where they listen.",
	    .options = endpoints_options,
	    .option_count = OT_ARRAY_COUNT(endpoints_options),
	    .rules = output_rules,
	    .run = run_endpoints,
	},
};

static const struct cli_option options[] = { CLI_COMMON_OPTIONS };

const struct cli_tool cli_cluster_tool = {
	.self = {
		.name = "cluster",
		.summary = "Tell a cluster's id and endpoints, unregister brokers.",
		.purpose = "The Kafka cluster tool.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
	},
	.commands = commands,
	.command_count = OT_ARRAY_COUNT(commands),
	.classes = "ClusterTool",
};
