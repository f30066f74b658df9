/* ottla: one program for the server and all tools.
 *
 *   ottla TOOL [OPTION...]     as the launchers in bin/ call it
 *   kafka-TOOL.sh [OPTION...]  under the name of a tool, as a link to this program
 *   ottla help [TOOL]          what there is; --format json for other programs
 *
 * A new tool is a file of its own, a line in tools.h and one in the table below.
 */
#include "cli/tools_int.h"

#include <string.h>

#include "cli/run_int.h"
#include "cli/usage_int.h"

static const struct cli_tool *const tools[] = {
	&cli_broker_api_versions_tool,
	&cli_cluster_tool,
	&cli_configs_tool,
	&cli_console_consumer_tool,
	&cli_console_producer_tool,
	&cli_consumer_groups_tool,
	&cli_perf_consumer_tool,
	&cli_delete_records_tool,
	&cli_dev_tool,
	&cli_dump_log_tool,
	&cli_e2e_latency_tool,
	&cli_get_offsets_tool,
	&cli_leader_election_tool,
	&cli_log_dirs_tool,
	&cli_metadata_quorum_tool,
	&cli_node_tool,
	&cli_preferred_election_tool,
	&cli_perf_producer_tool,
	&cli_reassign_tool,
	&cli_replica_verification_tool,
	&cli_server_tool,
	&cli_storage_tool,
	&cli_topics_tool,
};

static const char introduction[] =
    "Ottla is an event-streaming broker that speaks Kafka's protocol, with Kafka's tools.\n"
    "\n"
    "Usage: ottla TOOL [OPTION...]\n"
    "\n"
    "`ottla TOOL --help` lists the options of a tool. bin/kafka-TOOL.sh does the same as `ottla\n"
    "TOOL`. A tool gives 0 when all that was asked was done, and 1 otherwise.\n";

/* ---- finding a tool ------------------------------------------------------------------------ */

/* By its own name, its launcher's, or that of a class of Kafka's with or without package. */
static const struct cli_tool *
find_tool(struct ot_str name)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(tools); i++) {
		if (ot_str_is(name, tools[i]->self.name))
			return tools[i];
	}
	const char *dot = memrchr(name.data, '.', (size_t)name.len);
	const char *class_name = dot != NULL ? dot + 1 : name.data;
	size_t class_bytes = (size_t)(name.data + name.len - class_name);
	for (size_t i = 0; i < OT_ARRAY_COUNT(tools); i++) {
		for (const char *word = tools[i]->classes; *word != '\0';) {
			size_t bytes = strcspn(word, " ");
			if (bytes == class_bytes && memcmp(word, class_name, bytes) == 0)
				return tools[i];
			word += bytes;
			word += strspn(word, " ");
		}
	}
	return NULL;
}

/* The tool that a program's name stands for: "/usr/bin/kafka-topics.sh" is topics. */
static const struct cli_tool *
find_tool_of_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct ot_str name = ot_str_from(slash != NULL ? slash + 1 : path);
	const struct ot_str prefixes[] = { OT_STR_LIT("kafka-"), OT_STR_LIT("ottla-") };
	for (size_t i = 0; i < OT_ARRAY_COUNT(prefixes); i++) {
		struct ot_str prefix = prefixes[i];
		if (name.len > prefix.len &&
		    memcmp(name.data, prefix.data, (size_t)prefix.len) == 0) {
			name.data += prefix.len;
			name.len -= prefix.len;
		}
	}
	if (name.len > 3 && memcmp(name.data + name.len - 3, ".sh", 3) == 0)
		name.len -= 3;
	return find_tool(name);
}

/* ---- help about the whole ------------------------------------------------------------------ */

static void
print_tools(FILE *out)
{
	fprintf(out, "%s\n", introduction);
	int widest = 0;
	for (size_t i = 0; i < OT_ARRAY_COUNT(tools); i++)
		widest = OT_MAX(widest, (int)strlen(tools[i]->self.name));
	for (size_t i = 0; i < OT_ARRAY_COUNT(tools); i++)
		fprintf(out, "  %-*s  %s\n", widest, tools[i]->self.name, tools[i]->self.summary);
}

enum { HELP_TOOL = CLI_OPTION_COUNT, HELP_FORMAT };

static const struct cli_option help_options[] = {
	CLI_COMMON_OPTIONS,
	[HELP_TOOL] = { .names = "tool",
	    .arg = "name",
	    .kind = CLI_STRING,
	    .text = "The tool to tell of; without it, the list of all." },
	[HELP_FORMAT] = { .names = "format",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "json is for programs." },
};

static int
run_help(struct cli *cli)
{
	const char *name = cli_get(&cli->args, HELP_TOOL);
	bool is_json = strcmp(cli_get(&cli->args, HELP_FORMAT), "json") == 0;
	if (name == NULL && cli->args.rest.count > 0)
		name = cli->args.rest.items[0];
	if (name == NULL && !is_json) {
		print_tools(stdout);
		return CLI_EXIT_OK;
	}
	if (name == NULL) {
		cli_usage_print_json(tools, OT_ARRAY_COUNT(tools), stdout);
		return CLI_EXIT_OK;
	}
	const struct cli_tool *tool = find_tool_of_path(name);
	if (tool == NULL)
		return cli_fail(cli, "there is no tool %s; `ottla help` lists them", name);
	if (is_json)
		cli_usage_print_json(&tool, 1, stdout);
	else
		cli_usage_print(tool, &tool->self, stdout);
	return CLI_EXIT_OK;
}

static const struct cli_tool help_tool = {
	.self = {
		.name = "help",
		.summary = "Tell of the tools.",
		.purpose = "Tells of the tools and their options.",
		.options = help_options,
		.option_count = OT_ARRAY_COUNT(help_options),
		.is_happy_alone = true,
		.rest = "the tool to tell of",
		.run = run_help,
	},
	.classes = "",
};

int
main(int argc, char **argv)
{
	const struct cli_tool *tool = argc > 0 ? find_tool_of_path(argv[0]) : NULL;
	if (tool != NULL)
		return cli_run(tool, argv + 1, (size_t)argc - 1);
	if (argc < 2) {
		print_tools(stderr);
		return CLI_EXIT_FAILURE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0)
		return cli_print_version();
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return cli_run(&help_tool, argv + 2, (size_t)argc - 2);
	tool = find_tool_of_path(name);
	if (tool == NULL) {
		fprintf(stderr, "ottla: there is no tool %s; `ottla help` lists them\n", name);
		return CLI_EXIT_FAILURE;
	}
	return cli_run(tool, argv + 2, (size_t)argc - 2);
}
