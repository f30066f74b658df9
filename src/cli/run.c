#include "cli/run_int.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "cli/usage_int.h"
#include "io/process.h"

static const struct cli_command *
find_command(const struct cli_tool *tool, const char *name)
{
	for (size_t i = 0; i < tool->command_count; i++) {
		if (strcmp(tool->commands[i].name, name) == 0)
			return &tool->commands[i];
	}
	return NULL;
}

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

int
cli_print_version(void)
{
	printf("%s (Ottla)\n", OT_VERSION);
	return finish_output(CLI_EXIT_OK);
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
		return cli_print_version();
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

/* The options that all commands of a tool share may stand before the command, as argparse4j lets
 * them. Moves the command to the front. */
static void
lead_with_command(const struct cli_tool *tool, char **words, size_t word_count)
{
	if (tool->command_count == 0 || word_count == 0 || words[0][0] != '-')
		return;
	for (size_t i = 1; i < word_count; i++) {
		char *word = words[i];
		if (find_command(tool, word) == NULL)
			continue;
		memmove(words + 1, words, i * sizeof(*words));
		words[0] = word;
		return;
	}
}

int
cli_run(const struct cli_tool *tool, char **words, size_t word_count)
{
	struct cli cli = { .tool = tool, .command = &tool->self };
	lead_with_command(tool, words, word_count);
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
