/* ottla: one program for the server and all tools.
 *
 *   ottla TOOL [OPTION...]     as the launchers in bin/ call it
 *   kafka-TOOL.sh [OPTION...]  under the name of a tool, as a link to this program
 *   ottla help [TOOL]          what there is; --format json for other programs
 *
 * A new tool is a file of its own, a line in tools.h and one in the table below.
 */
#include "cli/tools_int.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/panic.h"
#include "base/report.h"
#include "cli/usage_int.h"
#include "io/process.h"

static const struct cli_tool *const tools[] = {
	&cli_broker_api_versions_tool,
	&cli_cluster_tool,
	&cli_configs_tool,
	&cli_console_consumer_tool,
	&cli_console_producer_tool,
	&cli_consumer_groups_tool,
	&cli_perf_consumer_tool,
	&cli_delete_records_tool,
	&cli_dump_log_tool,
	&cli_e2e_latency_tool,
	&cli_get_offsets_tool,
	&cli_log_dirs_tool,
	&cli_perf_producer_tool,
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

static const struct cli_command *
find_command(const struct cli_tool *tool, const char *name)
{
	for (size_t i = 0; i < tool->command_count; i++) {
		if (strcmp(tool->commands[i].name, name) == 0)
			return &tool->commands[i];
	}
	return NULL;
}

/* ---- running it ---------------------------------------------------------------------------- */

/* Whether who read the output has gone, as head(1) does: no news for anybody. */
static bool
is_reader_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* What was written must have arrived: a full disk is a failure, not a short result. */
static int
finish_output(int status)
{
	bool is_written = fflush(stdout) == 0 && ferror(stdout) == 0;
	if (is_written)
		return status;
	if (!is_reader_gone())
		fprintf(stderr, "ottla: standard output cannot be written\n");
	return CLI_EXIT_FAILURE;
}

static int
print_version(void)
{
	printf("%s (Ottla)\n", OT_VERSION);
	return CLI_EXIT_OK;
}

static int
run_command(struct cli *cli, char **words, size_t word_count)
{
	const struct cli_command *command = cli->command;
	struct ot_why why = { "" };
	if (word_count == 0 && !command->is_happy_alone) {
		cli_usage_print(cli->tool, command, stderr);
		return CLI_EXIT_FAILURE;
	}
	ot_err err = cli_args_parse(command->options, command->option_count, words, word_count,
	    &cli->arena, &cli->args, &why);
	if (err != OT_OK)
		return cli_fail_usage(cli, "%s", why.text);
	if (cli_has(&cli->args, CLI_OPTION_HELP)) {
		cli_usage_print(cli->tool, command, stdout);
		return CLI_EXIT_OK;
	}
	if (cli_has(&cli->args, CLI_OPTION_VERSION))
		return print_version();
	err = cli_args_check_required(&cli->args, &why);
	if (err == OT_OK && command->rules != NULL)
		err = cli_args_check(&cli->args, command->rules, &why);
	if (err != OT_OK)
		return cli_fail_usage(cli, "%s", why.text);
	for (size_t i = 0; command->rest == NULL && i < cli->args.rest.count; i++)
		fprintf(stderr, "%s: no option, ignored\n", cli->args.rest.items[i]);
	if (command->run == NULL)
		return cli_fail_usage(cli, "%s needs a command", cli->tool->self.name);
	return command->run(cli);
}

static int
run_tool(const struct cli_tool *tool, char **words, size_t word_count)
{
	struct cli cli = { .tool = tool, .command = &tool->self };
	if (tool->command_count > 0 && word_count > 0 && words[0][0] != '-') {
		cli.command = find_command(tool, words[0]);
		if (cli.command == NULL) {
			cli.command = &tool->self;
			return cli_fail_usage(&cli, "%s has no command %s", tool->self.name,
			    words[0]);
		}
		words++;
		word_count--;
	}
	ot_report_set_sink(ot_report_to_stderr, OT_REPORT_WARN);
	ot_arena_init(&cli.arena, 0);
	int status = run_command(&cli, words, word_count);
	ot_client_close(cli.client);
	ot_arena_fini(&cli.arena);
	return finish_output(status);
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
		return run_tool(tool, argv + 1, (size_t)argc - 1);
	if (argc < 2) {
		print_tools(stderr);
		return CLI_EXIT_FAILURE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0)
		return finish_output(print_version());
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return run_tool(&help_tool, argv + 2, (size_t)argc - 2);
	tool = find_tool_of_path(name);
	if (tool == NULL) {
		fprintf(stderr, "ottla: there is no tool %s; `ottla help` lists them\n", name);
		return CLI_EXIT_FAILURE;
	}
	return run_tool(tool, argv + 2, (size_t)argc - 2);
}
