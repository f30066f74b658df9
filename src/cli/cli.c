#include "cli/cli_int.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/panic.h"
#include "config/def.h"
#include "config/properties.h"
#include "io/fs.h"

enum {
	CLI_TIMEOUT_MS = 30000, /* Kafka's request.timeout.ms of an AdminClient */
	CLI_JSON_BYTES_MAX = 256 * 1024 * 1024,
};

/* ---- memory and messages ------------------------------------------------------------------- */

void *
cli_alloc(struct cli *cli, size_t count, size_t bytes)
{
	void *memory = ot_arena_array(&cli->arena, count, bytes);
	if (memory == NULL)
		OT_PANIC("no memory");
	return memory;
}

const char *
cli_format(struct cli *cli, const char *fmt, ...)
{
	va_list args;
	va_list again;
	va_start(args, fmt);
	va_copy(again, args);
	int bytes = vsnprintf(NULL, 0, fmt, args);
	OT_ASSERT(bytes >= 0);
	char *text = cli_alloc(cli, (size_t)bytes + 1, 1);
	vsnprintf(text, (size_t)bytes + 1, fmt, again);
	va_end(again);
	va_end(args);
	return text;
}

static void
say(const char *fmt, va_list args)
{
	fflush(stdout); /* results before what went wrong after them */
	vfprintf(stderr, fmt, args);
}

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	fputc('\n', stderr);
	(void)cli;
	return CLI_EXIT_FAILURE;
}

int
cli_fail_usage(const struct cli *cli, const char *fmt, ...)
{
	bool is_whole_tool = cli->command == &cli->tool->self;
	va_list args;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	fprintf(stderr, "\n`ottla %s%s%s --help` lists the options.\n", cli->tool->self.name,
	    is_whole_tool ? "" : " ", is_whole_tool ? "" : cli->command->name);
	return CLI_EXIT_FAILURE;
}

bool
cli_has_terminal(void)
{
	return isatty(STDERR_FILENO) == 1;
}

bool
cli_wants_json(const struct cli *cli, unsigned option)
{
	return strcmp(cli_get(&cli->args, option), "json") == 0;
}

json_t *
cli_json_of(struct ot_str text)
{
	return text.len < 0 ? json_null() : json_stringn(text.data, (size_t)text.len);
}

void
cli_print_json(struct json_t *json, FILE *out)
{
	bool is_for_people = out == stdout && isatty(STDOUT_FILENO) == 1;
	json_dumpf(json, out, is_for_people ? JSON_INDENT(2) : JSON_COMPACT);
	fputc('\n', out);
	json_decref(json);
}

/* ---- files --------------------------------------------------------------------------------- */

char *
cli_read_file(const char *path, size_t bytes_max, struct ot_arena *arena, size_t *ret_bytes,
    struct ot_why *why)
{
	struct ot_file *file = NULL;
	uint64_t size = 0;
	ot_err err = ot_fs_open(ot_fs_host(), path, OT_OPEN_READ, &file);
	if (err == OT_OK)
		err = ot_file_size(file, &size);
	if (err == OT_OK && size > bytes_max)
		err = OT_ERR_NO_MEMORY;
	size_t have = 0;
	char *text = NULL;
	if (err == OT_OK) {
		text = ot_arena_alloc(arena, (size_t)size + 1);
		err = text == NULL ? OT_ERR_NO_MEMORY
		                   : ot_file_read(file, text, (size_t)size, 0, &have);
	}
	ot_file_unref(file);
	if (err != OT_OK) {
		ot_why_set(why, "%s cannot be read: %s", path, ot_err_message(err));
		return NULL;
	}
	text[have] = '\0';
	if (ret_bytes != NULL)
		*ret_bytes = have;
	return text;
}

json_t *
cli_load_json(struct cli *cli, const char *path)
{
	struct ot_why why = { "" };
	size_t bytes = 0;
	const char *text = cli_read_file(path, CLI_JSON_BYTES_MAX, &cli->arena, &bytes, &why);
	if (text == NULL) {
		cli_fail(cli, "%s", why.text);
		return NULL;
	}
	json_error_t error;
	json_t *root = json_loadb(text, bytes, 0, &error);
	if (root == NULL)
		cli_fail(cli, "%s:%d: The input string is not a valid JSON: %s", path, error.line,
		    error.text);
	return root;
}

/* ---- connecting ---------------------------------------------------------------------------- */

bool
cli_is_of_old(const struct cli *cli)
{
	return cli_has(&cli->args, CLI_OPTION_ZOOKEEPER) &&
	       !cli_has(&cli->args, CLI_OPTION_BOOTSTRAP);
}

const char *
cli_servers(const struct cli *cli)
{
	const char *servers = cli_get(&cli->args, CLI_OPTION_BOOTSTRAP);
	return servers != NULL ? servers : cli_get(&cli->args, CLI_OPTION_ZOOKEEPER);
}

/* "host1:2181,host2/chroot" as a list of servers: the path of a ZooKeeper address means nothing
 * here, and the port that goes without saying is ZooKeeper's. */
static const char *
servers_of_zookeeper(struct cli *cli, const char *list)
{
	const char *servers = "";
	size_t end = strcspn(list, "/");
	for (size_t at = 0; at < end;) {
		size_t bytes = OT_MIN(strcspn(list + at, ","), end - at);
		const char *item = list + at;
		bool has_port = memchr(item, ':', bytes) != NULL;
		servers = cli_format(cli, "%s%s%.*s%s", servers, *servers != '\0' ? "," : "",
		    (int)bytes, item, has_port ? "" : ":2181");
		at += bytes + 1;
	}
	return servers;
}

const char *
cli_bootstrap(struct cli *cli)
{
	const char *servers = cli_get(&cli->args, CLI_OPTION_BOOTSTRAP);
	const char *zookeeper = cli_get(&cli->args, CLI_OPTION_ZOOKEEPER);
	if (servers != NULL || zookeeper == NULL)
		return servers;
	return servers_of_zookeeper(cli, zookeeper);
}

bool
cli_load_properties(struct cli *cli, const char *path, struct ot_properties *ret_props)
{
	struct ot_why why = { "" };
	size_t bytes = 0;
	const char *text = cli_read_file(path, OT_PROPERTIES_BYTES_MAX, &cli->arena, &bytes, &why);
	ot_properties_init(ret_props, path);
	if (text != NULL && ot_properties_parse(ret_props, text, bytes, &why) == OT_OK)
		return true;
	ot_properties_fini(ret_props);
	cli_fail(cli, "%s", why.text);
	return false;
}

/* The value of a property without blanks around it, in the arena; NULL when there is none. */
static const char *
property_of(struct cli *cli, const struct ot_properties *props, const char *name)
{
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	if (item == NULL)
		return NULL;
	struct ot_str value = ot_config_trim(item->value);
	return cli_format(cli, "%.*s", OT_STR_ARG(value));
}

/* Takes over what a property file says of connections; what a tool does not know of is left to
 * those who do, as Kafka does. */
static bool
read_properties(struct cli *cli, const char *path, struct ot_client_conf *conf)
{
	struct ot_properties props;
	if (!cli_load_properties(cli, path, &props))
		return false;
	const char *servers = property_of(cli, &props, "bootstrap.servers");
	const char *client_id = property_of(cli, &props, "client.id");
	const char *timeout = property_of(cli, &props, "request.timeout.ms");
	const char *security = property_of(cli, &props, "security.protocol");
	ot_properties_fini(&props);
	if (servers != NULL)
		conf->bootstrap = servers;
	if (client_id != NULL)
		conf->client_id = client_id;
	if (timeout != NULL &&
	    (!cli_number_parse(timeout, &conf->timeout_ms) || conf->timeout_ms <= 0)) {
		cli_fail(cli, "%s: request.timeout.ms=%s is not valid: give milliseconds", path,
		    timeout);
		return false;
	}
	if (security != NULL && strcasecmp(security, "PLAINTEXT") != 0) {
		cli_fail(cli, "%s: security.protocol=%s: this release connects with PLAINTEXT only",
		    path, security);
		return false;
	}
	return true;
}

bool
cli_connect(struct cli *cli)
{
	OT_ASSERT(cli->client == NULL);
	struct ot_client_conf conf = {
		.client_id = cli_format(cli, "ottla-%s", cli->tool->self.name),
		.timeout_ms = CLI_TIMEOUT_MS,
	};
	const char *config = cli_get(&cli->args, CLI_OPTION_COMMAND_CONFIG);
	if (config != NULL && !read_properties(cli, config, &conf))
		return false;
	bool is_of_old = cli_is_of_old(cli);
	if (is_of_old)
		conf.bootstrap =
		    servers_of_zookeeper(cli, cli_get(&cli->args, CLI_OPTION_ZOOKEEPER));
	else if (cli_has(&cli->args, CLI_OPTION_BOOTSTRAP))
		conf.bootstrap = cli_get(&cli->args, CLI_OPTION_BOOTSTRAP);
	if (conf.bootstrap == NULL) {
		cli_fail_usage(cli, "--bootstrap-server must be specified");
		return false;
	}
	if (cli->timeout_ms > 0)
		conf.timeout_ms = cli->timeout_ms;
	struct ot_why why = { "" };
	if (ot_client_open(&conf, &cli->client, &why) == OT_OK)
		return true;
	if (is_of_old)
		cli_fail(cli,
		    "%s. --zookeeper means the control listener: zookeeper.connect in "
		    "server.properties makes it answer there",
		    why.text);
	else
		cli_fail(cli, "%s. Does a broker run there?", why.text);
	return false;
}
