/* What all tools share: how a tool is described, how it is started, and what it runs with.
 *
 * A tool is a row in main.c's table and a file of its own. It declares its options as tables, and
 * main() parses, answers --help and --version, checks the tables' rules and calls `run` with what
 * is needed: a tool's code begins where its work does.
 *
 * Results go to standard output in the form that Kafka's tool gives them, everything else to
 * standard error. Exit codes are those of Kafka's tools and will not change: CLI_EXIT_OK when all
 * that was asked was done, CLI_EXIT_FAILURE otherwise, for a wrong command line as well.
 *
 * A tool is one thread in one short process, so that it may wait wherever it needs to.
 * @owner main thread   @blocks until the work is done
 */
#ifndef OT_CLI_CLI_INT_H
#define OT_CLI_CLI_INT_H

#include <stdio.h>

#include "cli/options_int.h"
#include "client/client.h"

enum cli_exit { CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1 };

struct cli;
struct ot_properties;
struct json_t;

/* One thing that can be started: a tool, or one of the commands that a tool has. */
struct cli_command {
	const char *name;    /* "topics", or of a tool's command "cluster-id" */
	const char *summary; /* one line for the list */
	const char *purpose; /* sentences for the top of the help */
	const struct cli_option *options;
	size_t option_count;
	const struct cli_rule *rules; /* NULL: none but required options */
	int (*run)(struct cli *cli);  /* gives enum cli_exit; NULL for a tool with commands */
	bool is_happy_alone;          /* runs without arguments too: else they give the help */
	const char
	    *rest; /* what words beside the options are, for the help; NULL: there are none */
};

struct cli_tool {
	struct cli_command self;
	const struct cli_command *commands; /* what may follow the tool's name; NULL: nothing */
	size_t command_count;
	const char *classes; /* Kafka's classes that did this, last part of the name */
};

/* Every table of a tool's options begins with one of these two macros. */
enum {
	CLI_OPTION_HELP,
	CLI_OPTION_VERSION,
	CLI_OPTION_COUNT, /* the first of a tool's own behind CLI_COMMON_OPTIONS */

	CLI_OPTION_BOOTSTRAP = CLI_OPTION_COUNT,
	CLI_OPTION_ZOOKEEPER,
	CLI_OPTION_COMMAND_CONFIG,
	CLI_OPTION_CONNECT_COUNT, /* the first of a tool's own behind CLI_CONNECT_OPTIONS */
};

#define CLI_COMMON_OPTIONS                                                             \
	[CLI_OPTION_HELP] = { .names = "help h", .text = "Print this help and end." }, \
	[CLI_OPTION_VERSION] = { .names = "version", .text = "Print the version and end." }

#define CLI_CONNECT_OPTIONS(zookeeper_flags) \
	CLI_CONNECT_OPTIONS_NAMED("bootstrap-server broker-list", zookeeper_flags)

/* For tools where --broker-list is something else. */
#define CLI_CONNECT_OPTIONS_NAMED(bootstrap_names, zookeeper_flags)                              \
	CLI_COMMON_OPTIONS,                                                                      \
	    [CLI_OPTION_BOOTSTRAP] = { .names = bootstrap_names,                                 \
		    .arg = "host:port,...",                                                      \
		    .kind = CLI_STRING,                                                          \
		    .text = "Brokers to connect to first, one at least." },                      \
	    [CLI_OPTION_ZOOKEEPER] = { .names = "zookeeper",                                     \
		    .arg = "host:port",                                                          \
		    .kind = CLI_STRING,                                                          \
		    .flags = (zookeeper_flags),                                                  \
		    .text = "The same cluster by the address of its control listener, as "       \
			    "scripts of Kafka before 2.2 give it. Messages are of that time." }, \
	    [CLI_OPTION_COMMAND_CONFIG] = { .names = "command-config",                           \
		    .arg = "file",                                                               \
		    .kind = CLI_STRING,                                                          \
		    .text = "A property file for the connection: client.id, "                    \
			    "request.timeout.ms and so on." }

/* The row of --output, and the rule that goes with it. */
#define CLI_OUTPUT_OPTION                                                                         \
	{                                                                                         \
		.names = "output", .arg = "text or json", .kind = CLI_STRING, .fallback = "text", \
		.text = "The form of what is printed."                                            \
	}
#define CLI_OUTPUT_RULE(option)                         \
	{                                               \
		CLI_RULE_WORD, (option), 0, "text json" \
	}

struct cli {
	const struct cli_tool *tool;
	const struct cli_command *command;
	struct cli_args args;
	struct ot_arena arena;    /* for the whole run */
	int64_t timeout_ms;       /* of calls; 0: what --command-config says, or Kafka's default */
	struct ot_client *client; /* NULL before cli_connect() */
	struct ot_why why;        /* what went wrong with the last call */
};

/* Says why the work is not done, in one line on standard error. Gives CLI_EXIT_FAILURE. */
int cli_fail(const struct cli *cli, const char *fmt, ...) OT_PRINTF(2, 3);

/* The same for a mistake on the command line, and points to the help. */
int cli_fail_usage(const struct cli *cli, const char *fmt, ...) OT_PRINTF(2, 3);

/* Connects as the options say, into cli->client, which main() closes. On failure the reason is
 * already told. */
bool cli_connect(struct cli *cli) OT_MUST_USE;

/* The servers of --bootstrap-server or --zookeeper as they were given; NULL when neither was. */
const char *cli_servers(const struct cli *cli);

/* The same as a list of servers to connect to: an address of ZooKeeper's is that of the control
 * listener, its path and ZooKeeper's own port left out. */
const char *cli_bootstrap(struct cli *cli);

/* Whether --zookeeper was given: what is printed is then what Kafka of that time printed. */
bool cli_is_of_old(const struct cli *cli);

/* Whether --output, which is the tool's `option`, asks for JSON. */
bool cli_wants_json(const struct cli *cli, unsigned option);

/* Whether standard error is a terminal: only then progress is shown. */
bool cli_has_terminal(void);

/* Prints a value as JSON and ends it: on several lines for people, on one for programs. */
void cli_print_json(struct json_t *json, FILE *out);

/* A text as JSON; null stays null. */
struct json_t *cli_json_of(struct ot_str text);

/* The path's file; NULL with `why` when it cannot be read. The bytes and a NUL behind them live in
 * the arena. */
char *cli_read_file(const char *path, size_t bytes_max, struct ot_arena *arena, size_t *ret_bytes,
    struct ot_why *why);

/* A JSON file; NULL when it cannot be read or is no JSON, which is told already. The caller ends it
 * with json_decref(). */
struct json_t *cli_load_json(struct cli *cli, const char *path) OT_MUST_USE;

/* Reads a property file; the caller ends it with ot_properties_fini(). On failure the reason is
 * already told. */
bool cli_load_properties(struct cli *cli, const char *path,
    struct ot_properties *ret_props) OT_MUST_USE;

/* Memory of the run, zeroed; a tool that has none left ends here. */
void *cli_alloc(struct cli *cli, size_t count, size_t bytes);
const char *cli_format(struct cli *cli, const char *fmt, ...) OT_PRINTF(2, 3);

#endif
