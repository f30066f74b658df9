/* kafka-metadata-quorum: who keeps the metadata log, and how far each is; controllers come and go.
 */
#include "cli/quorum_int.h"

#include <string.h>

#include <jansson.h>

#include "cli/offsets_int.h"
#include "cli/settings_int.h"
#include "cli/tools_int.h"
#include "config/properties.h"
#include "log/logdir.h"
#include "wire/msg_add_raft_voter.h"
#include "wire/msg_describe_cluster.h"
#include "wire/msg_remove_raft_voter.h"

/* ---- options ------------------------------------------------------------------------------- */

/* Of the commands. */
enum {
	OPT_HUMAN_READABLE = CLI_OPTION_CONNECT_COUNT,
	OPT_OUTPUT,
	OPT_REPLICATION,
	OPT_STATUS,
};
enum { OPT_ADD_DRY_RUN = CLI_OPTION_CONNECT_COUNT };
enum {
	OPT_DIRECTORY_ID = CLI_OPTION_CONNECT_COUNT,
	OPT_CONTROLLER_ID,
	OPT_DRY_RUN,
};

#define QUORUM_OPTIONS(config_text)                                                        \
	CLI_COMMON_OPTIONS,                                                                \
	    [CLI_OPTION_BOOTSTRAP] = { .names = "bootstrap-server bootstrap-controller",   \
		    .arg = "host:port,...",                                                \
		    .kind = CLI_STRING,                                                    \
		    .text = "Brokers or controllers to connect to first, one at least." }, \
	    [CLI_OPTION_ZOOKEEPER] = { .names = "zookeeper",                               \
		    .arg = "host:port",                                                    \
		    .kind = CLI_STRING,                                                    \
		    .flags = CLI_HIDDEN,                                                   \
		    .text = "The address of the control listener." },                      \
	    [CLI_OPTION_COMMAND_CONFIG] = { .names = "command-config",                     \
		    .arg = "file",                                                         \
		    .kind = CLI_STRING,                                                    \
		    .text = (config_text) }

#define CONNECTION_TEXT "A property file for the connection."

static const struct cli_option options[] = { QUORUM_OPTIONS(CONNECTION_TEXT) };

static const struct cli_option describe_options[] = {
	QUORUM_OPTIONS(CONNECTION_TEXT),
	[OPT_HUMAN_READABLE] = { .names = "human-readable",
	    .text = "With --replication: how long ago, instead of when." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what is printed." },
	[OPT_REPLICATION] = { .names = "replication",
	    .text = "Tell how far each reader of the metadata log is." },
	[OPT_STATUS] = { .names = "status", .text = "Tell who leads, who votes and who reads." },
};

static const struct cli_rule describe_rules[] = {
	{ CLI_RULE_EXCLUDES, OPT_STATUS, CLI_BIT(OPT_REPLICATION),
	    "Only one of --status or --replication should be specified with describe sub-command" },
	{ CLI_RULE_ANY_OF, 0, CLI_BIT(OPT_STATUS) | CLI_BIT(OPT_REPLICATION),
	    "One of --status or --replication must be specified with describe sub-command" },
	{ CLI_RULE_LACKS, OPT_REPLICATION, CLI_BIT(OPT_HUMAN_READABLE),
	    "The option --human-readable is only supported along with --replication" },
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

static const struct cli_option add_options[] = {
	QUORUM_OPTIONS("The property file of the controller to add. The connection is made with "
		       "it, too. Must be given."),
	[OPT_ADD_DRY_RUN] = { .names = "dry-run",
	    .text = "Print what would be done, and do nothing." },
};

static const struct cli_option remove_options[] = {
	QUORUM_OPTIONS(CONNECTION_TEXT),
	[OPT_DIRECTORY_ID] = { .names = "controller-directory-id d",
	    .arg = "directory id",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED,
	    .text = "The id of its metadata directory, as `describe --replication` prints it." },
	[OPT_CONTROLLER_ID] = { .names = "controller-id i",
	    .arg = "id",
	    .kind = CLI_INTEGER,
	    .flags = CLI_REQUIRED,
	    .text = "The controller to remove." },
	[OPT_DRY_RUN] = { .names = "dry-run", .text = "Print what would be done, and do nothing." },
};

/* ---- the answer ---------------------------------------------------------------------------- */

typedef struct ot_describe_quorum_response_replica_state reader;
typedef struct ot_describe_quorum_response_partition quorum;

static const reader *
find_leader(const quorum *partition)
{
	for (int32_t i = 0; i < partition->current_voters_count; i++) {
		if (partition->current_voters[i].replica_id == partition->leader_id)
			return &partition->current_voters[i];
	}
	return NULL;
}

const quorum *
cli_quorum_check(struct cli *cli, const struct ot_describe_quorum_response *response)
{
	int16_t code = response->error_code;
	struct ot_str message = response->error_message;
	const quorum *partition = NULL;
	if (code == 0 && response->topics_count > 0 && response->topics[0].partitions_count > 0) {
		partition = &response->topics[0].partitions[0];
		code = partition->error_code;
		message = partition->error_message;
	}
	if (code != 0) {
		ot_why_set(&cli->why, "%s", cli_error_text(cli, code, message));
		return NULL;
	}
	if (partition == NULL || find_leader(partition) == NULL) {
		ot_why_set(&cli->why, "the metadata quorum has no leader at the moment");
		return NULL;
	}
	return partition;
}

/* ---- printing ------------------------------------------------------------------------------ */

static const struct ot_describe_quorum_response_node *
find_node(const struct ot_describe_quorum_response *response, int32_t id)
{
	for (int32_t i = 0; i < response->nodes_count; i++) {
		if (response->nodes[i].node_id == id)
			return &response->nodes[i];
	}
	return NULL;
}

/* "CONTROLLER://host:1234" */
static void
print_listener(const struct ot_describe_quorum_response_listener *listener, FILE *out)
{
	bool is_ipv6 = listener->host.len > 0 &&
	               memchr(listener->host.data, ':', (size_t)listener->host.len) != NULL;
	fprintf(out, "%.*s://%s%.*s%s:%d", OT_STR_ARG(listener->name), is_ipv6 ? "[" : "",
	    OT_STR_ARG(listener->host), is_ipv6 ? "]" : "", listener->port);
}

static void
print_readers(const struct ot_describe_quorum_response *response, const reader *readers,
    int32_t count, FILE *out)
{
	fprintf(out, "[");
	for (int32_t i = 0; i < count; i++) {
		const struct ot_describe_quorum_response_node *node =
		    find_node(response, readers[i].replica_id);
		fprintf(out, "%s{\"id\": %d", i > 0 ? ", " : "", readers[i].replica_id);
		if (!ot_uuid_is_zero(&readers[i].replica_directory_id)) {
			char id[OT_UUID_TEXT_BYTES];
			ot_uuid_to_text(&readers[i].replica_directory_id, id);
			fprintf(out, ", \"directoryId\": \"%s\"", id);
		}
		for (int32_t k = 0; node != NULL && k < node->listeners_count; k++) {
			fprintf(out, k == 0 ? ", \"endpoints\": [\"" : "\", \"");
			print_listener(&node->listeners[k], out);
		}
		fprintf(out, node != NULL && node->listeners_count > 0 ? "\"]}" : "}");
	}
	fprintf(out, "]\n");
}

/* The voter that is furthest behind. */
static const reader *
find_last(const quorum *partition)
{
	const reader *last = &partition->current_voters[0];
	for (int32_t i = 1; i < partition->current_voters_count; i++) {
		if (partition->current_voters[i].log_end_offset < last->log_end_offset)
			last = &partition->current_voters[i];
	}
	return last;
}

static int64_t
lag_ms(const reader *leader, const reader *last)
{
	if (leader == last)
		return 0;
	if (leader->last_caught_up_timestamp < 0 || last->last_caught_up_timestamp < 0)
		return -1;
	return leader->last_caught_up_timestamp - last->last_caught_up_timestamp;
}

void
cli_quorum_print_status(struct ot_str cluster_id,
    const struct ot_describe_quorum_response *response, const quorum *partition, FILE *out)
{
	const reader *leader = find_leader(partition);
	const reader *last = find_last(partition);
	fprintf(out, "ClusterId:              %.*s\n", OT_STR_ARG(cluster_id));
	fprintf(out, "LeaderId:               %d\n", partition->leader_id);
	fprintf(out, "LeaderEpoch:            %d\n", partition->leader_epoch);
	fprintf(out, "HighWatermark:          %lld\n", (long long)partition->high_watermark);
	fprintf(out, "MaxFollowerLag:         %lld\n",
	    (long long)(leader->log_end_offset - last->log_end_offset));
	fprintf(out, "MaxFollowerLagTimeMs:   %lld\n", (long long)lag_ms(leader, last));
	fprintf(out, "CurrentVoters:          ");
	print_readers(response, partition->current_voters, partition->current_voters_count, out);
	fprintf(out, "CurrentObservers:       ");
	print_readers(response, partition->observers, partition->observers_count, out);
}

enum { COLUMN_COUNT = 7 };

struct row {
	const char *cells[COLUMN_COUNT];
};

static const struct row heading = { { "NodeId", "DirectoryId", "LogEndOffset", "Lag",
    "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status" } };

static const char *
time_text(struct cli *cli, int64_t time, ot_wall_ms now)
{
	if (time < 0 || now < 0)
		return cli_format(cli, "%lld", (long long)time);
	return cli_format(cli, "%lld ms ago", (long long)OT_MAX(now - time, 0));
}

static struct row
row_of(struct cli *cli, const reader *leader, const reader *one, const char *status, ot_wall_ms now)
{
	char id[OT_UUID_TEXT_BYTES];
	ot_uuid_to_text(&one->replica_directory_id, id);
	return (struct row){ { cli_format(cli, "%d", one->replica_id), cli_format(cli, "%s", id),
	    cli_format(cli, "%lld", (long long)one->log_end_offset),
	    cli_format(cli, "%lld", (long long)(leader->log_end_offset - one->log_end_offset)),
	    time_text(cli, one->last_fetch_timestamp, now),
	    time_text(cli, one->last_caught_up_timestamp, now), status } };
}

void
cli_quorum_print_replication(struct cli *cli, const quorum *partition, ot_wall_ms now, FILE *out)
{
	const reader *leader = find_leader(partition);
	size_t room =
	    1 + (size_t)partition->current_voters_count + (size_t)partition->observers_count;
	struct row *rows = cli_alloc(cli, room, sizeof(*rows));
	size_t count = 0;
	rows[count++] = heading;
	rows[count++] = row_of(cli, leader, leader, "Leader", now);
	for (int32_t i = 0; i < partition->current_voters_count; i++) {
		if (&partition->current_voters[i] != leader)
			rows[count++] =
			    row_of(cli, leader, &partition->current_voters[i], "Follower", now);
	}
	for (int32_t i = 0; i < partition->observers_count; i++)
		rows[count++] = row_of(cli, leader, &partition->observers[i], "Observer", now);
	int widths[COLUMN_COUNT] = { 0 };
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < COLUMN_COUNT; k++)
			widths[k] = OT_MAX(widths[k], (int)strlen(rows[i].cells[k]));
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < COLUMN_COUNT; k++)
			fprintf(out, "%-*s\t", widths[k], rows[i].cells[k]);
		fputc('\n', out);
	}
}

/* ---- describe ------------------------------------------------------------------------------ */

static json_t *
json_of_readers(const struct ot_describe_quorum_response *response, const reader *readers,
    int32_t count)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < count; i++) {
		const struct ot_describe_quorum_response_node *node =
		    find_node(response, readers[i].replica_id);
		char id[OT_UUID_TEXT_BYTES];
		json_t *endpoints = json_array();
		ot_uuid_to_text(&readers[i].replica_directory_id, id);
		for (int32_t k = 0; node != NULL && k < node->listeners_count; k++)
			json_array_append_new(endpoints,
			    json_pack("{s:s%,s:s%,s:i}", "listener", node->listeners[k].name.data,
				(size_t)node->listeners[k].name.len, "host",
				node->listeners[k].host.data, (size_t)node->listeners[k].host.len,
				"port", (int)node->listeners[k].port));
		json_array_append_new(array,
		    json_pack("{s:i,s:s,s:I,s:I,s:I,s:o}", "node_id", (int)readers[i].replica_id,
			"directory_id", id, "log_end_offset", (json_int_t)readers[i].log_end_offset,
			"last_fetch_timestamp", (json_int_t)readers[i].last_fetch_timestamp,
			"last_caught_up_timestamp", (json_int_t)readers[i].last_caught_up_timestamp,
			"endpoints", endpoints));
	}
	return array;
}

static void
print_json(struct ot_str cluster_id, const struct ot_describe_quorum_response *response,
    const quorum *partition)
{
	cli_print_json(
	    json_pack("{s:s%,s:i,s:i,s:I,s:o,s:o}", "cluster_id", cluster_id.data,
		(size_t)OT_MAX(cluster_id.len, 0), "leader_id", (int)partition->leader_id,
		"leader_epoch", (int)partition->leader_epoch, "high_watermark",
		(json_int_t)partition->high_watermark, "voters",
		json_of_readers(response, partition->current_voters,
		    partition->current_voters_count),
		"observers",
		json_of_readers(response, partition->observers, partition->observers_count)),
	    stdout);
}

static ot_err
fetch_cluster_id(struct cli *cli, struct ot_str *ret_id)
{
	struct ot_describe_cluster_request request;
	struct ot_describe_cluster_response response;
	ot_describe_cluster_request_init(&request);
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_CLUSTER, &request, &response);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	}
	if (err == OT_OK)
		*ret_id = response.cluster_id;
	return err;
}

static ot_err
fetch_quorum(struct cli *cli, struct ot_describe_quorum_response *ret_response)
{
	struct ot_describe_quorum_request request;
	ot_describe_quorum_request_init(&request);
	request.topics = ot_describe_quorum_request_topic_array(&cli->arena, 1);
	request.topics_count = 1;
	request.topics[0].topic_name = OT_STR_LIT("__cluster_metadata");
	request.topics[0].partitions = ot_describe_quorum_request_partition_array(&cli->arena, 1);
	request.topics[0].partitions_count = 1;
	return cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_QUORUM, &request, ret_response);
}

static int
run_describe(struct cli *cli)
{
	struct ot_describe_quorum_response response;
	struct ot_str cluster_id;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (fetch_cluster_id(cli, &cluster_id) != OT_OK || fetch_quorum(cli, &response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	const quorum *partition = cli_quorum_check(cli, &response);
	if (partition == NULL)
		return cli_fail(cli, "%s", cli->why.text);
	bool is_human = cli_has(&cli->args, OPT_HUMAN_READABLE);
	if (strcmp(cli_get(&cli->args, OPT_OUTPUT), "json") == 0)
		print_json(cluster_id, &response, partition);
	else if (cli_has(&cli->args, OPT_STATUS))
		cli_quorum_print_status(cluster_id, &response, partition, stdout);
	else
		cli_quorum_print_replication(cli, partition, is_human ? cli_now() : -1, stdout);
	return CLI_EXIT_OK;
}

/* ---- add-controller ------------------------------------------------------------------------ */

/* What the property file says of the controller. */
struct candidate {
	int32_t id;
	struct ot_uuid directory_id;
	const char *listener;
	const char *host;
	uint16_t port;
};

static int
check_candidate(struct cli *cli, const struct ot_settings *settings)
{
	if (settings->node_id < 0)
		return cli_fail(cli, "node.id not found in configuration file. Is this a valid "
				     "controller configuration file?");
	if (!settings->is_controller)
		return cli_fail(cli, "process.roles did not contain 'controller' in configuration "
				     "file. Is this a valid controller configuration file?");
	if (settings->control_listener == NULL)
		return cli_fail(cli, "controller.listener.names was not found. Is this a valid "
				     "controller configuration file?");
	return CLI_EXIT_OK;
}

static int
read_candidate(struct cli *cli, const struct ot_settings *settings, struct candidate *ret_candidate)
{
	struct ot_logdir_meta meta;
	struct ot_why why = { "" };
	int status = check_candidate(cli, settings);
	if (status != CLI_EXIT_OK)
		return status;
	if (ot_logdir_read_meta(ot_fs_host(), settings->metadata_log_dir, &meta, &why) != OT_OK)
		return cli_fail(cli, "Unable to read meta.properties from %s",
		    settings->metadata_log_dir);
	if (ot_uuid_is_zero(&meta.directory_id))
		return cli_fail(cli, "No directory id found in %s", settings->metadata_log_dir);
	const struct ot_listener_conf *listener = settings->control_listener;
	const char *host = listener->is_advertised ? listener->advertised_host : listener->host;
	uint16_t port = listener->is_advertised && listener->advertised_port != 0
	                    ? listener->advertised_port
	                    : listener->port;
	*ret_candidate = (struct candidate){
		.id = settings->node_id,
		.directory_id = meta.directory_id,
		.listener = cli_format(cli, "%s", listener->name),
		.host = *host != '\0' ? cli_format(cli, "%s", host) : "localhost",
		.port = port,
	};
	return CLI_EXIT_OK;
}

static int
load_candidate(struct cli *cli, struct candidate *ret_candidate)
{
	struct ot_properties file;
	const char *path = cli_get(&cli->args, CLI_OPTION_COMMAND_CONFIG);
	if (path == NULL)
		return cli_fail(cli, "You must supply the configuration file of the controller you "
				     "are adding when using add-controller.");
	if (!cli_load_properties(cli, path, &file))
		return CLI_EXIT_FAILURE;
	struct ot_settings *settings = cli_load_settings(cli, &file, NULL, 0);
	int status = CLI_EXIT_FAILURE;
	if (settings != NULL)
		status = read_candidate(cli, settings, ret_candidate);
	ot_settings_unref(settings);
	ot_properties_fini(&file);
	return status;
}

static int
add_voter(struct cli *cli, const struct candidate *candidate)
{
	struct ot_add_raft_voter_request request;
	struct ot_add_raft_voter_response response;
	ot_add_raft_voter_request_init(&request);
	request.cluster_id = OT_STR_NULL;
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.voter_id = candidate->id;
	request.voter_directory_id = candidate->directory_id;
	request.listeners = ot_add_raft_voter_request_listener_array(&cli->arena, 1);
	request.listeners_count = 1;
	request.listeners[0].name = ot_str_from(candidate->listener);
	request.listeners[0].host = ot_str_from(candidate->host);
	request.listeners[0].port = candidate->port;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (cli_call(cli, OT_NODE_ANY, CLI_API_ADD_RAFT_VOTER, &request, &response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (response.error_code != 0)
		return cli_fail(cli, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	return CLI_EXIT_OK;
}

static int
run_add(struct cli *cli)
{
	struct candidate candidate;
	int status = load_candidate(cli, &candidate);
	bool is_dry = cli_has(&cli->args, OPT_ADD_DRY_RUN);
	if (status == CLI_EXIT_OK && !is_dry)
		status = add_voter(cli, &candidate);
	if (status != CLI_EXIT_OK)
		return status;
	char id[OT_UUID_TEXT_BYTES];
	bool is_ipv6 = strchr(candidate.host, ':') != NULL;
	ot_uuid_to_text(&candidate.directory_id, id);
	printf("%s controller %d with directory id %s and endpoints: %s://%s%s%s:%d\n",
	    is_dry ? "DRY RUN of adding" : "Added", candidate.id, id, candidate.listener,
	    is_ipv6 ? "[" : "", candidate.host, is_ipv6 ? "]" : "", candidate.port);
	return CLI_EXIT_OK;
}

/* ---- remove-controller --------------------------------------------------------------------- */

static int
run_remove(struct cli *cli)
{
	struct ot_remove_raft_voter_request request;
	struct ot_remove_raft_voter_response response;
	const char *id = cli_get(&cli->args, OPT_DIRECTORY_ID);
	bool is_dry = cli_has(&cli->args, OPT_DRY_RUN);
	ot_remove_raft_voter_request_init(&request);
	request.cluster_id = OT_STR_NULL;
	request.voter_id = (int32_t)cli_get_number(&cli->args, OPT_CONTROLLER_ID);
	if (request.voter_id < 0)
		return cli_fail(cli, "Invalid negative --controller-id: %d", request.voter_id);
	if (ot_uuid_from_text(id, strlen(id), &request.voter_directory_id) != OT_OK)
		return cli_fail(cli,
		    "Failed to parse --controller-directory-id: %s; give 22 letters as `describe "
		    "--replication` prints them",
		    id);
	if (!is_dry && !cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (!is_dry &&
	    cli_call(cli, OT_NODE_ANY, CLI_API_REMOVE_RAFT_VOTER, &request, &response) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (!is_dry && response.error_code != 0)
		return cli_fail(cli, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	printf("%s KRaft controller %d with directory id %s\n",
	    is_dry ? "DRY RUN of removing " : "Removed ", request.voter_id, id);
	return CLI_EXIT_OK;
}

static const struct cli_command commands[] = {
	{
	    .name = "describe",
	    .summary = "Describe the metadata quorum info.",
	    .purpose = "Describes who keeps the metadata log, and how far each is.",
	    .options = describe_options,
	    .option_count = OT_ARRAY_COUNT(describe_options),
	    .rules = describe_rules,
	    .run = run_describe,
	},
	{
	    .name = "add-controller",
	    .summary = "Add a controller to the metadata quorum.",
	    .purpose = "Makes a controller that runs already a voter of the metadata quorum.",
	    .options = add_options,
	    .option_count = OT_ARRAY_COUNT(add_options),
	    .run = run_add,
	},
	{
	    .name = "remove-controller",
	    .summary = "Remove a controller from the metadata quorum.",
	    .purpose = "Removes a controller from the voters of the metadata quorum.",
	    .options = remove_options,
	    .option_count = OT_ARRAY_COUNT(remove_options),
	    .run = run_remove,
	},
};

const struct cli_tool cli_metadata_quorum_tool = {
	.self = {
		.name = "metadata-quorum",
		.summary = "Describe and change the metadata quorum.",
		.purpose = "This tool describes kraft metadata quorum status.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
	},
	.commands = commands,
	.command_count = OT_ARRAY_COUNT(commands),
	.classes = "MetadataQuorumCommand",
};
