/* kafka-storage: whose the log directories are. A broker needs no format step; this is for those
 * who want to choose the cluster's id, and for scripts that format as Kafka asks for it. */
#include "cli/settings_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <jansson.h>

#include "base/panic.h"
#include "cli/tools_int.h"
#include "cluster/feature_levels.h"
#include "config/properties.h"
#include "log/logdir.h"

/* ---- options ------------------------------------------------------------------------------- */

enum { OPT_CONFIG = CLI_OPTION_COUNT, OPT_CONFIG_COUNT };

enum {
	OPT_ADD_SCRAM = OPT_CONFIG_COUNT,
	OPT_CLUSTER_ID,
	OPT_FEATURE,
	OPT_IGNORE_FORMATTED,
	OPT_INITIAL_CONTROLLERS,
	OPT_NO_INITIAL_CONTROLLERS,
	OPT_RELEASE_VERSION,
	OPT_STANDALONE,
};

#define CONFIG_OPTION                         \
	[OPT_CONFIG] = { .names = "config c", \
		.arg = "server.properties",   \
		.kind = CLI_STRING,           \
		.flags = CLI_REQUIRED,        \
		.text = "The broker's property file." }

enum { OPT_INFO_OUTPUT = OPT_CONFIG_COUNT };

static const struct cli_option info_options[] = {
	CLI_COMMON_OPTIONS,
	CONFIG_OPTION,
	[OPT_INFO_OUTPUT] = CLI_OUTPUT_OPTION,
};

static const struct cli_rule info_rules[] = {
	CLI_OUTPUT_RULE(OPT_INFO_OUTPUT),
	{ CLI_RULE_END, 0, 0, NULL },
};

static const struct cli_option format_options[] = {
	CLI_COMMON_OPTIONS,
	CONFIG_OPTION,
	[OPT_ADD_SCRAM] = { .names = "add-scram S",
	    .arg = "credential",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED | CLI_HIDDEN,
	    .text = "A SCRAM credential to begin with." },
	[OPT_CLUSTER_ID] = { .names = "cluster-id t",
	    .arg = "cluster id",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED,
	    .text = "The cluster's id; `random-uuid` prints a new one." },
	[OPT_FEATURE] = { .names = "feature f",
	    .arg = "feature=level",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED | CLI_HIDDEN,
	    .text = "Accepted for scripts: features begin at this release's levels." },
	[OPT_IGNORE_FORMATTED] = { .names = "ignore-formatted g",
	    .text = "Leave directories alone that are formatted already." },
	[OPT_INITIAL_CONTROLLERS] = { .names = "initial-controllers I",
	    .arg = "id@host:port:directory id,...",
	    .kind = CLI_STRING,
	    .text = "The controllers that the cluster begins with. Of these, the own entry gives "
		    "the metadata directory its id." },
	[OPT_NO_INITIAL_CONTROLLERS] = { .names = "no-initial-controllers N",
	    .text = "Accepted for scripts: controllers join by themselves." },
	[OPT_RELEASE_VERSION] = { .names = "release-version r",
	    .arg = "release",
	    .kind = CLI_STRING,
	    .text = "Accepted for scripts: a cluster begins with the newest metadata.version." },
	[OPT_STANDALONE] = { .names = "standalone s",
	    .text = "Accepted for scripts: a single controller is what a cluster begins with." },
};

enum { OPT_MAPPED_RELEASE = CLI_OPTION_COUNT };

static const struct cli_option mapping_options[] = {
	CLI_COMMON_OPTIONS,
	[OPT_MAPPED_RELEASE] = { .names = "release-version r",
	    .arg = "release",
	    .kind = CLI_STRING,
	    .text = "The release; without it, the newest one." },
};

enum { OPT_DEPENDENT_FEATURE = CLI_OPTION_COUNT };

static const struct cli_option dependency_options[] = {
	CLI_COMMON_OPTIONS,
	[OPT_DEPENDENT_FEATURE] = { .names = "feature f",
	    .arg = "feature=level",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED | CLI_REPEATED,
	    .text = "A feature at a level: metadata.version=30." },
};

#define BIT(name) CLI_BIT(OPT_##name)

static const struct cli_rule format_rules[] = {
	{ CLI_RULE_EXCLUDES, OPT_STANDALONE, BIT(INITIAL_CONTROLLERS) | BIT(NO_INITIAL_CONTROLLERS),
	    NULL },
	{ CLI_RULE_EXCLUDES, OPT_INITIAL_CONTROLLERS, BIT(NO_INITIAL_CONTROLLERS), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- features ------------------------------------------------------------------------------ */

static const struct ot_feature *
metadata_version(void)
{
	return ot_feature_find(ot_str_from(OT_METADATA_VERSION));
}

/* The release by whose metadata.version this one begins clusters. */
static const char *
first_release(void)
{
	return ot_metadata_release(metadata_version()->initial);
}

static int
find_level(struct cli *cli, const char *release, int16_t *ret_level)
{
	int16_t level = ot_metadata_level(ot_str_from(release));
	if (level == 0)
		return cli_fail(cli,
		    "Unknown release version '%s'. Supported versions are: %s to %s", release,
		    ot_metadata_release(metadata_version()->min),
		    ot_metadata_release(metadata_version()->max));
	*ret_level = level;
	return CLI_EXIT_OK;
}

static int
run_version_mapping(struct cli *cli)
{
	const char *release = cli_get(&cli->args, OPT_MAPPED_RELEASE);
	int16_t level = 0;
	if (release == NULL)
		release = first_release();
	int status = find_level(cli, release, &level);
	if (status == CLI_EXIT_OK)
		printf("%s=%d (%s)\n", OT_METADATA_VERSION, level, release);
	return status;
}

/* "metadata.version=30": no feature of this release needs another one. */
static int
tell_dependencies(struct cli *cli, const char *text)
{
	int64_t level = 0;
	const char *equals = strchr(text, '=');
	if (equals == NULL)
		return cli_fail(cli, "Can't parse feature=level string %s: equals sign not found.",
		    text);
	struct ot_str name = { text, (int32_t)(equals - text) };
	const struct ot_feature *feature = ot_feature_find(name);
	if (!cli_number_parse(equals + 1, &level))
		return cli_fail(cli, "Invalid version format: %s for feature %.*s", equals + 1,
		    OT_STR_ARG(name));
	if (feature == NULL)
		return cli_fail(cli, "Unknown feature: %.*s", OT_STR_ARG(name));
	if (level < feature->min || level > feature->max)
		return cli_fail(cli, "Unknown %s %lld: this release has %d to %d", feature->name,
		    (long long)level, feature->min, feature->max);
	printf("%s=%lld (%s) has no dependencies.\n", feature->name, (long long)level,
	    ot_metadata_release((int16_t)level));
	return CLI_EXIT_OK;
}

static int
run_feature_dependencies(struct cli *cli)
{
	struct cli_values features = cli_get_all(&cli->args, OPT_DEPENDENT_FEATURE);
	int status = CLI_EXIT_OK;
	for (size_t i = 0; i < features.count && status == CLI_EXIT_OK; i++)
		status = tell_dependencies(cli, features.items[i]);
	return status;
}

/* ---- directories --------------------------------------------------------------------------- */

struct dirs {
	const char **items;
	size_t count;
};

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* log.dirs and metadata.log.dir, each once, sorted. */
static struct dirs
list_dirs(struct cli *cli, const struct ot_settings *settings)
{
	struct dirs dirs = { 0 };
	size_t count = 0;
	dirs.items = cli_alloc(cli, settings->log_dir_count + 1, sizeof(*dirs.items));
	for (size_t i = 0; i < settings->log_dir_count; i++)
		dirs.items[dirs.count++] = settings->log_dirs[i];
	if (settings->metadata_log_dir != NULL)
		dirs.items[dirs.count++] = settings->metadata_log_dir;
	qsort(dirs.items, dirs.count, sizeof(*dirs.items), compare_paths);
	for (size_t i = 0; i < dirs.count; i++) {
		if (count == 0 || strcmp(dirs.items[count - 1], dirs.items[i]) != 0)
			dirs.items[count++] = dirs.items[i];
	}
	dirs.count = count;
	return dirs;
}

static struct ot_settings *
load(struct cli *cli)
{
	struct ot_properties file;
	if (!cli_load_properties(cli, cli_get(&cli->args, OPT_CONFIG), &file))
		return NULL;
	struct ot_settings *settings = cli_load_settings(cli, &file, NULL, 0);
	ot_properties_fini(&file);
	return settings;
}

/* ---- info ---------------------------------------------------------------------------------- */

struct findings {
	const char **problems;
	size_t problem_count;
	const char **found;
	size_t found_count;
	struct ot_logdir_meta meta; /* of the first directory that has any */
	bool has_meta;
};

static void
inspect(struct cli *cli, const char *path, struct findings *findings)
{
	struct ot_fs_stat stat;
	struct ot_logdir_meta meta;
	const char **problem = &findings->problems[findings->problem_count];
	ot_err err = ot_fs_stat(ot_fs_host(), path, &stat);
	if (err == OT_ERR_NOT_FOUND)
		*problem = cli_format(cli, "%s does not exist", path);
	else if (err != OT_OK)
		*problem = cli_format(cli, "%s cannot be read: %s", path, ot_err_message(err));
	else if (!stat.is_dir)
		*problem = cli_format(cli, "%s is not a directory", path);
	if (*problem != NULL) {
		findings->problem_count++;
		return;
	}
	findings->found[findings->found_count++] = path;
	err = ot_logdir_read_meta(ot_fs_host(), path, &meta, &cli->why);
	if (err == OT_ERR_NOT_FOUND)
		*problem = cli_format(cli, "%s is not formatted.", path);
	else if (err != OT_OK)
		*problem =
		    cli_format(cli, "Error loading %s/meta.properties: %s", path, cli->why.text);
	else if (!findings->has_meta)
		findings->meta = meta;
	else if (strcmp(findings->meta.cluster_id, meta.cluster_id) != 0)
		*problem = "Mismatched cluster IDs between storage directories.";
	else if (findings->meta.node_id != meta.node_id)
		*problem = "Mismatched node IDs between storage directories.";
	findings->has_meta = findings->has_meta || err == OT_OK;
	findings->problem_count += *problem != NULL;
}

/* Keys in order, as Java prints a sorted map. */
static void
print_meta(const struct ot_logdir_meta *meta)
{
	char id[OT_UUID_TEXT_BYTES];
	const char *comma = "";
	printf("Found metadata: {");
	if (meta->version == 0 && meta->node_id >= 0) {
		printf("broker.id=%d", meta->node_id);
		comma = ", ";
	}
	if (meta->cluster_id[0] != '\0') {
		printf("%scluster.id=%s", comma, meta->cluster_id);
		comma = ", ";
	}
	if (!ot_uuid_is_zero(&meta->directory_id)) {
		ot_uuid_to_text(&meta->directory_id, id);
		printf("%sdirectory.id=%s", comma, id);
		comma = ", ";
	}
	if (meta->version > 0 && meta->node_id >= 0) {
		printf("%snode.id=%d", comma, meta->node_id);
		comma = ", ";
	}
	printf("%sversion=%d}\n\n", comma, meta->version);
}

static void
print_list(const char *one, const char *several, const char **items, size_t count)
{
	if (count == 0)
		return;
	printf("%s\n", count == 1 ? one : several);
	for (size_t i = 0; i < count; i++)
		printf("  %s\n", items[i]);
	putchar('\n');
}

static json_t *
json_of_list(const char **items, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(items[i]));
	return array;
}

static void
print_info_json(const struct findings *findings)
{
	json_t *root =
	    json_pack("{s:o,s:o}", "log_dirs", json_of_list(findings->found, findings->found_count),
		"problems", json_of_list(findings->problems, findings->problem_count));
	const struct ot_logdir_meta *meta = &findings->meta;
	if (findings->has_meta) {
		char id[OT_UUID_TEXT_BYTES];
		ot_uuid_to_text(&meta->directory_id, id);
		json_object_set_new(root, "metadata",
		    json_pack("{s:s,s:s,s:i,s:i}", "cluster.id", meta->cluster_id, "directory.id",
			id, "node.id", (int)meta->node_id, "version", (int)meta->version));
	}
	cli_print_json(root, stdout);
}

static void
print_info(const struct findings *findings)
{
	print_list("Found log directory:", "Found log directories:", findings->found,
	    findings->found_count);
	if (findings->has_meta)
		print_meta(&findings->meta);
	print_list("Found problem:", "Found problems:", findings->problems,
	    findings->problem_count);
}

static int
run_info(struct cli *cli)
{
	struct ot_settings *settings = load(cli);
	if (settings == NULL)
		return CLI_EXIT_FAILURE;
	struct dirs dirs = list_dirs(cli, settings);
	struct findings findings = { 0 };
	findings.problems = cli_alloc(cli, dirs.count + 1, sizeof(*findings.problems));
	findings.found = cli_alloc(cli, dirs.count, sizeof(*findings.found));
	for (size_t i = 0; i < dirs.count; i++)
		inspect(cli, dirs.items[i], &findings);
	if (cli_wants_json(cli, OPT_INFO_OUTPUT))
		print_info_json(&findings);
	else
		print_info(&findings);
	ot_settings_unref(settings);
	return findings.problem_count == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

/* ---- format -------------------------------------------------------------------------------- */

static struct ot_uuid
random_uuid(void)
{
	uint8_t random[16];
	struct ot_uuid uuid;
	do {
		ssize_t bytes = getrandom(random, sizeof(random), 0);
		OT_ASSERT(bytes == (ssize_t)sizeof(random));
	} while (!ot_uuid_from_random(random, &uuid));
	return uuid;
}

/* Of "0@host:port:directory,1@..." the directory of this node; random when it is not told. */
static bool
choose_directory_id(struct cli *cli, int32_t node_id, struct ot_uuid *ret_id)
{
	const char *list = cli_get(&cli->args, OPT_INITIAL_CONTROLLERS);
	*ret_id = random_uuid();
	while (list != NULL && *list != '\0') {
		size_t bytes = strcspn(list, ",");
		size_t number = strspn(list, "0123456789");
		const char *colon = memrchr(list, ':', bytes);
		if (number == 0 || list[number] != '@' || colon == NULL) {
			cli_fail(cli,
			    "--initial-controllers: %.*s is not id@host:port:directory id",
			    (int)bytes, list);
			return false;
		}
		if (strtoll(list, NULL, 10) == node_id &&
		    ot_uuid_from_text(colon + 1, (size_t)(list + bytes - colon - 1), ret_id) !=
			OT_OK) {
			cli_fail(cli, "--initial-controllers: %.*s is no directory id",
			    (int)(list + bytes - colon - 1), colon + 1);
			return false;
		}
		list += bytes + (list[bytes] == ',' ? 1 : 0);
	}
	return true;
}

/* What was asked for and cannot be had, or changes nothing. */
static int
check_format(struct cli *cli, const struct ot_settings *settings)
{
	const char *id = cli_get(&cli->args, OPT_CLUSTER_ID);
	const char *release = cli_get(&cli->args, OPT_RELEASE_VERSION);
	struct ot_uuid parsed;
	if (ot_uuid_from_text(id, strlen(id), &parsed) != OT_OK)
		return cli_fail(cli,
		    "Cluster ID string %s does not appear to be a valid UUID: give 22 letters as "
		    "`random-uuid` prints them",
		    id);
	if (settings->node_id < 0)
		return cli_fail(cli,
		    "The node.id must be set to a non-negative integer. Add node.id=1 to the "
		    "property file");
	if (cli_has(&cli->args, OPT_ADD_SCRAM))
		return cli_fail(cli,
		    "--add-scram: the broker of this release keeps no credentials yet");
	if (release == NULL)
		return CLI_EXIT_OK;
	int16_t level = 0;
	int status = find_level(cli, release, &level);
	if (status == CLI_EXIT_OK && level != metadata_version()->initial)
		fprintf(stderr,
		    "--release-version %s: the cluster begins with metadata.version %s\n", release,
		    first_release());
	return status;
}

static bool
is_formatted(const char *path)
{
	struct ot_logdir_meta meta;
	return ot_logdir_read_meta(ot_fs_host(), path, &meta, NULL) != OT_ERR_NOT_FOUND;
}

static int
format_dir(struct cli *cli, const struct ot_settings *settings, const char *path,
    struct ot_uuid directory_id)
{
	bool is_metadata = settings->is_controller && settings->metadata_log_dir != NULL &&
	                   strcmp(path, settings->metadata_log_dir) == 0;
	struct ot_logdir *logdir = NULL;
	struct ot_logdir_open_args args = {
		.fs = ot_fs_host(),
		.path = path,
		.node_id = settings->node_id,
		.cluster_id = cli_get(&cli->args, OPT_CLUSTER_ID),
		.directory_id = is_metadata ? directory_id : random_uuid(),
	};
	args.new_cluster_id = args.cluster_id;
	printf("Formatting %s %s with metadata.version %s.\n",
	    !is_metadata                          ? "data directory"
	    : cli_has(&cli->args, OPT_STANDALONE) ? "dynamic metadata voter directory"
						  : "metadata directory",
	    path, first_release());
	ot_err err = ot_logdir_open(&args, &logdir, &cli->why);
	ot_logdir_close(logdir);
	if (err == OT_OK)
		return CLI_EXIT_OK;
	return cli_fail(cli, "%s cannot be formatted: %s", path,
	    cli->why.text[0] != '\0' ? cli->why.text : ot_err_message(err));
}

static int
format_dirs(struct cli *cli, const struct ot_settings *settings, const struct dirs *dirs)
{
	struct ot_uuid directory_id;
	size_t open_count = 0;
	int status = check_format(cli, settings);
	if (status != CLI_EXIT_OK)
		return status;
	if (!choose_directory_id(cli, settings->node_id, &directory_id))
		return CLI_EXIT_FAILURE;
	for (size_t i = 0; i < dirs->count; i++) {
		bool is_done = is_formatted(dirs->items[i]);
		if (is_done && !cli_has(&cli->args, OPT_IGNORE_FORMATTED))
			return cli_fail(cli,
			    "Log directory %s is already formatted. Use --ignore-formatted to "
			    "ignore this directory and format the others.",
			    dirs->items[i]);
		open_count += !is_done;
	}
	if (open_count == 0)
		printf("All of the log directories are already formatted.\n");
	for (size_t i = 0; i < dirs->count && status == CLI_EXIT_OK; i++) {
		if (!is_formatted(dirs->items[i]))
			status = format_dir(cli, settings, dirs->items[i], directory_id);
	}
	return status;
}

static int
run_format(struct cli *cli)
{
	struct ot_settings *settings = load(cli);
	if (settings == NULL)
		return CLI_EXIT_FAILURE;
	struct dirs dirs = list_dirs(cli, settings);
	int status = format_dirs(cli, settings, &dirs);
	ot_settings_unref(settings);
	return status;
}

/* ---- the tool ------------------------------------------------------------------------------ */

static int
run_random_uuid(struct cli *cli)
{
	char text[OT_UUID_TEXT_BYTES];
	struct ot_uuid uuid = random_uuid();
	ot_uuid_to_text(&uuid, text);
	printf("%s\n", text);
	(void)cli;
	return CLI_EXIT_OK;
}

static const struct cli_option options[] = { CLI_COMMON_OPTIONS };

static const struct cli_command commands[] = {
	{
	    .name = "info",
	    .summary = "Tell whose the log directories are.",
	    .purpose = "Tells whose the log directories of a property file are.",
	    .options = info_options,
	    .option_count = OT_ARRAY_COUNT(info_options),
	    .rules = info_rules,
	    .run = run_info,
	},
	{
	    .name = "format",
	    .summary = "Give log directories to a cluster before a broker starts.",
	    .purpose =
		"Gives the log directories of a property file to a cluster. A broker does it "
		"by itself\nwhen it starts; this is for choosing the cluster's id.",
	    .options = format_options,
	    .option_count = OT_ARRAY_COUNT(format_options),
	    .rules = format_rules,
	    .run = run_format,
	},
	{
	    .name = "version-mapping",
	    .summary = "Tell the levels of features that belong to a release.",
	    .purpose = "Tells the levels of features that belong to a release of Kafka.",
	    .options = mapping_options,
	    .option_count = OT_ARRAY_COUNT(mapping_options),
	    .run = run_version_mapping,
	    .is_happy_alone = true,
	},
	{
	    .name = "feature-dependencies",
	    .summary = "Tell what features at a level need.",
	    .purpose = "Tells which levels of other features a feature needs.",
	    .options = dependency_options,
	    .option_count = OT_ARRAY_COUNT(dependency_options),
	    .run = run_feature_dependencies,
	},
	{
	    .name = "random-uuid",
	    .summary = "Print a new id for a cluster.",
	    .purpose = "Prints a new id for a cluster.",
	    .options = options,
	    .option_count = OT_ARRAY_COUNT(options),
	    .run = run_random_uuid,
	    .is_happy_alone = true,
	},
};

const struct cli_tool cli_storage_tool = {
	.self = {
		.name = "storage",
		.summary = "Tell whose log directories are, and format them.",
		.purpose = "The Kafka storage tool.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
	},
	.commands = commands,
	.command_count = OT_ARRAY_COUNT(commands),
	.classes = "StorageTool",
};
