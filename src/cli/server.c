/* ottla server [FILE] [--override KEY=VALUE]...: reads the settings and runs the broker. */
#include "cli/settings_int.h"

#include <string.h>

#include "base/report.h"
#include "broker/server.h"
#include "cli/tools_int.h"
#include "config/properties.h"
#include "io/process.h"

enum { SERVER_OVERRIDE = CLI_OPTION_COUNT, SERVER_OPTION_COUNT };

static const struct cli_option server_options[] = {
	CLI_COMMON_OPTIONS,
	[SERVER_OVERRIDE] = { .names = "override",
	    .arg = "key=value",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A setting that beats the one in the property file." },
};

/* Cuts "key=value" in two. False without a key or a '='. */
static bool
parse_override(const char *text, struct ot_config_pair *ret_pair)
{
	const char *equals = strchr(text, '=');
	if (equals == NULL || equals == text)
		return false;
	ret_pair->name = (struct ot_str){ text, (int32_t)(equals - text) };
	ret_pair->value = ot_str_from(equals + 1);
	return true;
}

static struct ot_settings *
make_settings(struct cli *cli, const struct ot_properties *file)
{
	struct cli_values given = cli_get_all(&cli->args, SERVER_OVERRIDE);
	struct ot_config_pair *overrides = cli_alloc(cli, given.count, sizeof(*overrides));
	for (size_t i = 0; i < given.count; i++) {
		if (!parse_override(given.items[i], &overrides[i])) {
			cli_fail_usage(cli, "--override %s is not key=value", given.items[i]);
			return NULL;
		}
	}
	return cli_load_settings(cli, file, overrides, given.count);
}

static int
serve(struct cli *cli, const struct ot_properties *file)
{
	struct ot_settings *settings = make_settings(cli, file);
	if (settings == NULL)
		return CLI_EXIT_FAILURE;
	ot_err err = ot_server_run(settings, &cli->why);
	ot_settings_unref(settings);
	return err == OT_OK ? CLI_EXIT_OK : cli_fail(cli, "%s", cli->why.text);
}

static int
run(struct cli *cli)
{
	ot_report_set_sink(ot_report_to_stderr, OT_REPORT_INFO);
	if (cli->args.rest.count > 1)
		return cli_fail_usage(cli, "only one property file can be given");
	if (cli->args.rest.count == 0)
		return serve(cli, NULL);
	struct ot_properties file;
	if (!cli_load_properties(cli, cli->args.rest.items[0], &file))
		return CLI_EXIT_FAILURE;
	int status = serve(cli, &file);
	ot_properties_fini(&file);
	return status;
}

const struct cli_tool cli_server_tool = {
	.self = { .name = "server",
	    .summary = "Run a broker.",
	    .purpose =
		"Runs a broker in the foreground until SIGTERM or SIGINT. The property file is "
		"Kafka's server.properties; without one all settings have their defaults.",
	    .options = server_options,
	    .option_count = SERVER_OPTION_COUNT,
	    .run = run,
	    .is_happy_alone = true,
	    .rest = "[server.properties]" },
	.classes = "Kafka KafkaRaftServer",
};
