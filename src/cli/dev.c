/* ottla dev: a cluster to throw away. Brokers on free ports of this machine as children of this
 * process, their data in a temporary folder that goes with them:
 *
 *   DIR/broker-N.properties   what broker N was started with
 *   DIR/broker-N/             its data
 *   DIR/broker-N.report       what it said
 *
 * The first broker starts alone and founds the cluster; the others join it. */
#include "cli/tools_int.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/panic.h"
#include "cli/offsets_int.h"
#include "io/child.h"
#include "io/fs.h"
#include "io/loop.h"

enum {
	OPT_BROKERS = CLI_OPTION_COUNT,
	OPT_KEEP,
	OPT_OUTPUT,
	OPT_OVERRIDE,
};

static const struct cli_option options[] = {
	CLI_COMMON_OPTIONS,
	[OPT_BROKERS] = { .names = "brokers",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .fallback = "1",
	    .text = "How many brokers the cluster has, 1 to 50." },
	[OPT_KEEP] = { .names = "keep",
	    .text = "Leave the data at the end; its folder is told at the start." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what is printed once the cluster runs." },
	[OPT_OVERRIDE] = { .names = "override",
	    .arg = "key=value",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A setting of all brokers." },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	DEV_BROKER_COUNT_MAX = 50,
	DEV_POLL_MS = 50,
	DEV_ANSWER_MS = 1000,  /* for one question whether the cluster is there */
	DEV_START_MS = 120000, /* for all brokers to be there */
	DEV_GRACE_MS = 10000,  /* for a broker to end by itself */
	DEV_TAIL_BYTES = 2000, /* of a report that is shown when its broker does not start */
};

struct dev;

struct dev_broker {
	struct dev *dev;
	int32_t id;
	uint16_t port;
	const char *properties; /* paths */
	const char *report_path;
	FILE *report;
	struct ot_child *child; /* NULL: not started, or ended */
	bool is_started;
};

struct dev {
	struct cli *cli;
	struct ot_io *io;
	const char *dir;
	char program[1024];
	uint16_t control_port;
	struct dev_broker *brokers;
	int32_t broker_count;
	int32_t running_count;
	struct ot_timer poll;
	ot_wall_ms deadline;
	bool is_ready;
	bool is_stopping;
	int status;
};

/* ---- places -------------------------------------------------------------------------------- */

/* A port that nobody has at the moment; 0 when there is none. */
static uint16_t
probe_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	uint16_t port = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* One that this cluster does not mean to use either: it is not bound before its broker starts. */
static uint16_t
find_port(const struct dev *dev)
{
	for (;;) {
		uint16_t port = probe_port();
		bool is_taken = port == dev->control_port;
		for (int32_t i = 0; i < dev->broker_count; i++)
			is_taken = is_taken || port == dev->brokers[i].port;
		if (!is_taken || port == 0)
			return port;
	}
}

static int
make_folder(struct dev *dev)
{
	const char *parent = getenv("TMPDIR");
	char *path = cli_alloc(dev->cli, 4096, 1);
	snprintf(path, 4096, "%s/ottla-dev-XXXXXX",
	    parent != NULL && *parent == '/' ? parent : "/tmp");
	if (mkdtemp(path) == NULL)
		return cli_fail(dev->cli, "no folder can be made for the data: %s", path);
	dev->dir = path;
	return CLI_EXIT_OK;
}

/* Factors that the default of three would not fit become what there is. */
static int
write_properties(struct dev_broker *broker)
{
	struct dev *dev = broker->dev;
	int32_t factor = OT_MIN(dev->broker_count, 3);
	FILE *file = fopen(broker->properties, "we");
	if (file == NULL)
		return cli_fail(dev->cli, "%s cannot be written", broker->properties);
	fprintf(file,
	    "broker.id=%d\n"
	    "listeners=PLAINTEXT://127.0.0.1:%d\n"
	    "log.dirs=%s/broker-%d\n"
	    "zookeeper.connect=127.0.0.1:%d\n"
	    "offsets.topic.replication.factor=%d\n"
	    "transaction.state.log.replication.factor=%d\n"
	    "transaction.state.log.min.isr=%d\n"
	    "group.initial.rebalance.delay.ms=0\n",
	    broker->id, broker->port, dev->dir, broker->id, dev->control_port, factor, factor,
	    OT_MAX(factor - 1, 1));
	bool is_written = fclose(file) == 0;
	return is_written ? CLI_EXIT_OK
	                  : cli_fail(dev->cli, "%s cannot be written", broker->properties);
}

static int
prepare_broker(struct dev *dev, int32_t id)
{
	struct dev_broker *broker = &dev->brokers[id];
	broker->dev = dev;
	broker->id = id;
	broker->port = find_port(dev);
	broker->properties = cli_format(dev->cli, "%s/broker-%d.properties", dev->dir, id);
	broker->report_path = cli_format(dev->cli, "%s/broker-%d.report", dev->dir, id);
	broker->report = fopen(broker->report_path, "we");
	if (broker->port == 0)
		return cli_fail(dev->cli, "no port is free");
	if (broker->report == NULL)
		return cli_fail(dev->cli, "%s cannot be written", broker->report_path);
	return write_properties(broker);
}

/* ---- ending -------------------------------------------------------------------------------- */

static void
stop_all(struct dev *dev, int status)
{
	if (!dev->is_stopping)
		dev->status = status;
	int64_t grace_ms = dev->is_stopping ? 0 : DEV_GRACE_MS; /* asked twice: at once */
	dev->is_stopping = true;
	ot_timer_cancel(dev->io, &dev->poll);
	for (int32_t i = 0; i < dev->broker_count; i++) {
		if (dev->brokers[i].child != NULL)
			ot_child_stop(dev->brokers[i].child, grace_ms);
	}
	if (dev->running_count == 0)
		ot_loop_stop(dev->io);
}

static void
on_signal(void *arg, int number)
{
	(void)number;
	stop_all(arg, CLI_EXIT_OK);
}

/* The end of what a broker said, for whoever wonders why it does not run. */
static void
show_report(struct dev_broker *broker)
{
	struct ot_why why;
	size_t bytes = 0;
	fflush(broker->report);
	const char *text =
	    cli_read_file(broker->report_path, 1 << 30, &broker->dev->cli->arena, &bytes, &why);
	if (text == NULL)
		return;
	const char *tail = bytes > DEV_TAIL_BYTES ? text + bytes - DEV_TAIL_BYTES : text;
	const char *line = tail != text ? strchr(tail, '\n') : NULL;
	fputs(line != NULL ? line + 1 : tail, stderr);
}

static void
on_exit_of_broker(void *arg, int code, int number)
{
	struct dev_broker *broker = arg;
	struct dev *dev = broker->dev;
	ot_child_destroy(broker->child);
	broker->child = NULL;
	dev->running_count--;
	if (dev->is_stopping) {
		if (dev->running_count == 0)
			ot_loop_stop(dev->io);
		return;
	}
	if (!dev->is_ready)
		show_report(broker);
	const char *how = number > 0 ? cli_format(dev->cli, "by signal %d", number)
	                             : cli_format(dev->cli, "with status %d", code);
	cli_fail(dev->cli, "broker %d has ended %s", broker->id, how);
	/* A cluster that runs goes on without it: who tries things out kills brokers. */
	if (!dev->is_ready || dev->running_count == 0)
		stop_all(dev, CLI_EXIT_FAILURE);
}

static void
on_line(void *arg, const char *line)
{
	struct dev_broker *broker = arg;
	fprintf(broker->report, "%s\n", line);
	fflush(broker->report);
}

/* ---- starting ------------------------------------------------------------------------------ */

static void
start_broker(struct dev_broker *broker)
{
	struct dev *dev = broker->dev;
	struct cli_values overrides = cli_get_all(&dev->cli->args, OPT_OVERRIDE);
	const char **argv = cli_alloc(dev->cli, 4 + 2 * overrides.count, sizeof(*argv));
	size_t count = 0;
	argv[count++] = "ottla";
	argv[count++] = "server";
	argv[count++] = broker->properties;
	for (size_t i = 0; i < overrides.count; i++) {
		argv[count++] = "--override";
		argv[count++] = overrides.items[i];
	}
	const struct ot_child_conf conf = {
		.io = dev->io,
		.path = dev->program,
		.argv = argv,
		.on_line = on_line,
		.on_exit = on_exit_of_broker,
		.arg = broker,
	};
	struct ot_why why = { "" };
	broker->is_started = true;
	if (ot_child_start(&conf, &broker->child, &why) == OT_OK) {
		dev->running_count++;
		return;
	}
	cli_fail(dev->cli, "broker %d does not start: %s", broker->id, why.text);
	stop_all(dev, CLI_EXIT_FAILURE);
}

static const char *
bootstrap(struct dev *dev, int32_t count)
{
	const char *text = "";
	for (int32_t i = 0; i < count; i++)
		text = cli_format(dev->cli, "%s%s127.0.0.1:%d", text, i > 0 ? "," : "",
		    dev->brokers[i].port);
	return text;
}

/* How many brokers the cluster has by its own account; 0 when nobody answers yet. */
static size_t
count_members(struct dev *dev)
{
	const struct ot_client_conf conf = {
		.bootstrap = bootstrap(dev, 1),
		.client_id = "ottla-dev",
		.timeout_ms = DEV_ANSWER_MS,
	};
	struct ot_client *client = NULL;
	struct ot_why why;
	size_t count = 0;
	if (ot_client_open(&conf, &client, &why) == OT_OK &&
	    ot_client_learn_nodes(client, &why) == OT_OK)
		ot_client_nodes(client, &count);
	ot_client_close(client);
	return count;
}

static void
print_json(struct dev *dev)
{
	json_t *brokers = json_array();
	for (int32_t i = 0; i < dev->broker_count; i++) {
		const struct dev_broker *broker = &dev->brokers[i];
		json_array_append_new(brokers,
		    json_pack("{s:i,s:i,s:I,s:s,s:s}", "id", (int)broker->id, "port",
			(int)broker->port, "pid", (json_int_t)ot_child_pid(broker->child),
			"properties", broker->properties, "report", broker->report_path));
	}
	cli_print_json(json_pack("{s:s,s:s,s:s,s:o}", "bootstrap",
			   bootstrap(dev, dev->broker_count), "zookeeper",
			   cli_format(dev->cli, "127.0.0.1:%d", dev->control_port), "dir", dev->dir,
			   "brokers", brokers),
	    stdout);
}

static void
announce(struct dev *dev)
{
	dev->is_ready = true;
	if (strcmp(cli_get(&dev->cli->args, OPT_OUTPUT), "json") == 0)
		print_json(dev);
	else
		printf("%s\n", bootstrap(dev, dev->broker_count));
	fflush(stdout);
	fprintf(stderr, "%d broker%s, data in %s. Ctrl-C ends %s%s.\n", dev->broker_count,
	    dev->broker_count == 1 ? " runs" : "s run", dev->dir,
	    dev->broker_count == 1 ? "it" : "them",
	    cli_has(&dev->cli->args, OPT_KEEP) ? "" : " and removes it");
}

static void
on_poll(struct ot_timer *timer)
{
	struct dev *dev = OT_CONTAINER_OF(timer, struct dev, poll);
	size_t count = count_members(dev);
	for (int32_t i = 0; count > 0 && i < dev->broker_count && !dev->is_stopping; i++) {
		if (!dev->brokers[i].is_started)
			start_broker(&dev->brokers[i]);
	}
	if (dev->is_stopping)
		return;
	if (count == (size_t)dev->broker_count) {
		announce(dev);
		return;
	}
	if (cli_now() < dev->deadline) {
		ot_timer_arm_in_ms(dev->io, &dev->poll, DEV_POLL_MS);
		return;
	}
	cli_fail(dev->cli, "after %d s the cluster has %zu of %d brokers", DEV_START_MS / 1000,
	    count, dev->broker_count);
	stop_all(dev, CLI_EXIT_FAILURE);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int
find_program(struct dev *dev)
{
	ssize_t bytes = readlink("/proc/self/exe", dev->program, sizeof(dev->program) - 1);
	if (bytes <= 0)
		return cli_fail(dev->cli, "the program's own file cannot be found in /proc");
	dev->program[bytes] = '\0';
	return CLI_EXIT_OK;
}

static int
prepare(struct dev *dev)
{
	int status = find_program(dev);
	if (status == CLI_EXIT_OK)
		status = make_folder(dev);
	dev->control_port = probe_port();
	for (int32_t i = 0; status == CLI_EXIT_OK && i < dev->broker_count; i++)
		status = prepare_broker(dev, i);
	if (status != CLI_EXIT_OK)
		return status;
	if (ot_loop_on_signal(dev->io, SIGINT, on_signal, dev) != OT_OK ||
	    ot_loop_on_signal(dev->io, SIGTERM, on_signal, dev) != OT_OK)
		return cli_fail(dev->cli, "signals cannot be caught");
	return CLI_EXIT_OK;
}

static void
clean_up(struct dev *dev)
{
	bool is_kept = cli_has(&dev->cli->args, OPT_KEEP);
	for (int32_t i = 0; i < dev->broker_count; i++) {
		if (dev->brokers[i].report != NULL)
			fclose(dev->brokers[i].report);
	}
	if (dev->dir != NULL && !is_kept && ot_fs_remove_all(ot_fs_host(), dev->dir) != OT_OK)
		fprintf(stderr, "%s cannot be removed\n", dev->dir);
}

static int
run(struct cli *cli)
{
	int64_t count = cli_get_number(&cli->args, OPT_BROKERS);
	if (count < 1 || count > DEV_BROKER_COUNT_MAX)
		return cli_fail_usage(cli, "--brokers must be from 1 to %d", DEV_BROKER_COUNT_MAX);
	struct dev dev = { .cli = cli, .broker_count = (int32_t)count };
	dev.brokers = cli_alloc(cli, (size_t)count, sizeof(*dev.brokers));
	if (ot_loop_create(&dev.io) != OT_OK)
		return cli_fail(cli, "no event loop can be made");
	ot_timer_init(&dev.poll, on_poll);
	int status = prepare(&dev);
	if (status == CLI_EXIT_OK) {
		dev.deadline = cli_now() + DEV_START_MS;
		start_broker(&dev.brokers[0]);
		if (!dev.is_stopping)
			ot_timer_arm_in_ms(dev.io, &dev.poll, DEV_POLL_MS);
		ot_loop_run(dev.io);
		status = dev.status;
	}
	ot_loop_destroy(dev.io);
	clean_up(&dev);
	return status;
}

const struct cli_tool cli_dev_tool = {
	.self = {
		.name = "dev",
		.summary = "Run a cluster to throw away, on free ports.",
		.purpose = "Starts brokers on free ports of this machine with their data in a "
			   "temporary folder, prints the addresses to connect to once all are "
			   "there, and runs until it is stopped. Then the data goes.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
		.is_happy_alone = true,
	},
	.classes = "",
};
