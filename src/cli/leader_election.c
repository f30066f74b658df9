/* kafka-leader-election: elects the preferred leaders of partitions, or leaders out of sync where
 * nobody else is left. Its predecessor kafka-preferred-replica-election is here as well. */
#include "cli/tools_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/elections_int.h"
#include "wire/msg_elect_leaders.h"

enum {
	OPT_ALL = CLI_OPTION_CONNECT_COUNT,
	OPT_ELECTION_TYPE,
	OPT_PARTITION,
	OPT_PATH,
	OPT_TOPIC,
};

#define PATH_TEXT                                         \
	"A file with the partitions that get a leader:\n" \
	"{\"partitions\":\n"                              \
	"  [{\"topic\": \"foo\", \"partition\": 1},\n"    \
	"   {\"topic\": \"foobar\", \"partition\": 2}]\n" \
	"}"

static const struct cli_option options[] = {
	CLI_COMMON_OPTIONS,
	[CLI_OPTION_BOOTSTRAP] = { .names = "bootstrap-server",
	    .arg = "host:port",
	    .kind = CLI_STRING,
	    .text = "Brokers to connect to first, one at least. Must be given." },
	[CLI_OPTION_ZOOKEEPER] = { .names = "zookeeper",
	    .arg = "host:port",
	    .kind = CLI_STRING,
	    .flags = CLI_HIDDEN,
	    .text = "The address of the control listener." },
	[CLI_OPTION_COMMAND_CONFIG] = { .names = "command-config admin.config",
	    .arg = "file",
	    .kind = CLI_STRING,
	    .text =
		"A property file for the connection: client.id, request.timeout.ms and so on." },
	[OPT_ALL] = { .names = "all-topic-partitions",
	    .text = "Elect leaders of all partitions that need one; not with --topic or "
		    "--path-to-json-file." },
	[OPT_ELECTION_TYPE] = { .names = "election-type",
	    .arg = "preferred or unclean",
	    .kind = CLI_STRING,
	    .text = "preferred: the first of a partition's replicas leads again, where another one "
		    "does. unclean: a replica that is out of sync leads where there is no leader; "
		    "records can be lost. Must be given." },
	[OPT_PARTITION] = { .names = "partition",
	    .arg = "partition id",
	    .kind = CLI_INTEGER,
	    .text = "The partition of --topic." },
	[OPT_PATH] = { .names = "path-to-json-file",
	    .arg = "Path to JSON file",
	    .kind = CLI_STRING,
	    .text = PATH_TEXT },
	[OPT_TOPIC] = { .names = "topic",
	    .arg = "topic name",
	    .kind = CLI_STRING,
	    .text = "The topic of the partition that gets a leader, with --partition." },
};

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, CLI_BIT(OPT_TOPIC) | CLI_BIT(OPT_ALL) | CLI_BIT(OPT_PATH),
	    "One and only one of the following options is required: topic, all-topic-partitions, "
	    "path-to-json-file" },
	{ CLI_RULE_NEEDS, OPT_TOPIC, CLI_BIT(OPT_PARTITION),
	    "Missing required option(s): partition" },
	{ CLI_RULE_LACKS, OPT_TOPIC, CLI_BIT(OPT_PARTITION),
	    "Option partition is only allowed if topic is used" },
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- the file ------------------------------------------------------------------------------ */

static const char *
read_item(struct cli *cli, json_t *object, struct cli_offset *ret_item)
{
	json_t *topic = json_object_get(object, "topic");
	json_t *partition = json_object_get(object, "partition");
	if (!json_is_string(topic) || !json_is_integer(partition))
		return "Each of \"partitions\" needs \"topic\" and \"partition\"";
	if (json_integer_value(partition) < 0 || json_integer_value(partition) > INT32_MAX)
		return cli_format(cli, "\"partition\" is %lld, and must be from 0 to %d",
		    (long long)json_integer_value(partition), INT32_MAX);
	*ret_item = (struct cli_offset){
		.topic = ot_str_from(cli_format(cli, "%s", json_string_value(topic))),
		.partition = (int32_t)json_integer_value(partition),
	};
	return NULL;
}

const char *
cli_election_read(struct cli *cli, struct json_t *root, struct cli_offset **ret_items,
    size_t *ret_count)
{
	json_t *partitions = json_object_get(root, "partitions");
	if (!json_is_array(partitions))
		return "Replica election data is missing \"partitions\" field";
	size_t count = json_array_size(partitions);
	struct cli_offset *items = cli_alloc(cli, count, sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		const char *mistake = read_item(cli, json_array_get(partitions, i), &items[i]);
		if (mistake != NULL)
			return mistake;
	}
	if (count > 1)
		qsort(items, count, sizeof(*items), cli_offset_compare);
	const char *twice = "";
	for (size_t i = 1; i < count; i++) {
		if (cli_offset_compare(&items[i - 1], &items[i]) == 0)
			twice = cli_format(cli, "%s%s%.*s-%d", twice, *twice != '\0' ? ", " : "",
			    OT_STR_ARG(items[i].topic), items[i].partition);
	}
	if (*twice != '\0')
		return cli_format(cli, "Replica election data contains duplicate partitions: [%s]",
		    twice);
	*ret_items = items;
	*ret_count = count;
	return NULL;
}

static bool
load_items(struct cli *cli, const char *path, struct cli_offset **ret_items, size_t *ret_count)
{
	json_t *root = cli_load_json(cli, path);
	if (root == NULL)
		return false;
	const char *mistake = cli_election_read(cli, root, ret_items, ret_count);
	json_decref(root);
	if (mistake != NULL)
		cli_fail(cli, "%s: %s", path, mistake);
	return mistake == NULL;
}

/* ---- asking -------------------------------------------------------------------------------- */

static int
compare_results(const void *a, const void *b)
{
	const struct cli_election_result *one = a;
	const struct cli_election_result *other = b;
	int order = ot_str_compare(one->topic, other->topic);
	return order != 0
	           ? order
	           : (one->partition > other->partition) - (one->partition < other->partition);
}

static void
take_results(struct cli *cli, const struct ot_elect_leaders_response *response,
    struct cli_election_results *ret_results)
{
	size_t count = 0;
	for (int32_t i = 0; i < response->replica_election_results_count; i++)
		count += (size_t)response->replica_election_results[i].partition_result_count;
	struct cli_election_result *items = cli_alloc(cli, count, sizeof(*items));
	count = 0;
	for (int32_t i = 0; i < response->replica_election_results_count; i++) {
		const struct ot_elect_leaders_response_topic *topic =
		    &response->replica_election_results[i];
		for (int32_t k = 0; k < topic->partition_result_count; k++)
			items[count++] = (struct cli_election_result){
				.topic = topic->topic,
				.partition = topic->partition_result[k].partition_id,
				.code = topic->partition_result[k].error_code,
				.message = topic->partition_result[k].error_message,
			};
	}
	if (count > 1)
		qsort(items, count, sizeof(*items), compare_results);
	ret_results->items = items;
	ret_results->count = count;
}

/* Elects leaders of the items, which are sorted, or of all partitions when they are NULL. */
static int
elect(struct cli *cli, bool is_unclean, const struct cli_offset *items, size_t count,
    struct cli_election_results *ret_results)
{
	struct ot_elect_leaders_request request;
	struct ot_elect_leaders_response response;
	ot_elect_leaders_request_init(&request);
	request.election_type = is_unclean ? 1 : 0;
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topic_partitions_count = items != NULL ? 0 : -1;
	if (items != NULL)
		request.topic_partitions =
		    ot_elect_leaders_request_topic_partitions_array(&cli->arena, (int32_t)count);
	struct ot_elect_leaders_request_topic_partitions *topic = NULL;
	for (size_t i = 0; items != NULL && i < count; i++) {
		if (topic == NULL || !ot_str_equal(topic->topic, items[i].topic)) {
			topic = &request.topic_partitions[request.topic_partitions_count++];
			topic->topic = items[i].topic;
			topic->partitions = cli_alloc(cli, count - i, sizeof(*topic->partitions));
		}
		topic->partitions[topic->partitions_count++] = items[i].partition;
	}
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_ELECT_LEADERS, &request, &response);
	if (err == OT_ERR_REQUEST_TIMED_OUT ||
	    (err == OT_OK && response.error_code == OT_ERR_REQUEST_TIMED_OUT))
		return cli_fail(cli, "Timeout waiting for election results");
	if (err != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (response.error_code == OT_ERR_CLUSTER_AUTHORIZATION_FAILED)
		return cli_fail(cli, "Not authorized to perform leader election");
	if (response.error_code != 0)
		return cli_fail(cli, "%s", ot_err_message(ot_err_from_wire(response.error_code)));
	take_results(cli, &response, ret_results);
	return CLI_EXIT_OK;
}

/* ---- printing ------------------------------------------------------------------------------ */

enum verdict { VERDICT_DONE, VERDICT_NOT_NEEDED, VERDICT_FAILED };

static enum verdict
verdict_of(const struct cli_election_result *result)
{
	if (result->code == 0)
		return VERDICT_DONE;
	return result->code == OT_ERR_ELECTION_NOT_NEEDED ? VERDICT_NOT_NEEDED : VERDICT_FAILED;
}

/* One line with all partitions of one verdict; none when there are none. */
static void
print_verdict(const struct cli_election_results *results, enum verdict verdict, const char *title,
    FILE *out)
{
	const char *before = title;
	for (size_t i = 0; i < results->count; i++) {
		const struct cli_election_result *one = &results->items[i];
		if (verdict_of(one) != verdict)
			continue;
		fprintf(out, "%s%.*s-%d", before, OT_STR_ARG(one->topic), one->partition);
		before = ", ";
	}
	if (before != title)
		fputc('\n', out);
}

size_t
cli_election_print(struct cli *cli, bool is_unclean, const struct cli_election_results *results,
    FILE *out)
{
	const char *type = is_unclean ? "UNCLEAN" : "PREFERRED";
	size_t failed_count = 0;
	print_verdict(results, VERDICT_DONE,
	    cli_format(cli, "Successfully completed leader election (%s) for partitions ", type),
	    out);
	print_verdict(results, VERDICT_NOT_NEEDED, "Valid replica already elected for partitions ",
	    out);
	for (size_t i = 0; i < results->count; i++) {
		const struct cli_election_result *one = &results->items[i];
		if (verdict_of(one) != VERDICT_FAILED)
			continue;
		failed_count++;
		fprintf(out,
		    "Error completing leader election (%s) for partition: %.*s-%d: %s: %s\n", type,
		    OT_STR_ARG(one->topic), one->partition, cli_error_class(cli, one->code),
		    cli_error_text(cli, one->code, one->message));
	}
	return failed_count;
}

static int
run(struct cli *cli)
{
	const struct cli_args *args = &cli->args;
	const char *type = cli_get(args, OPT_ELECTION_TYPE);
	bool has_servers = cli_has(args, CLI_OPTION_BOOTSTRAP) || cli_is_of_old(cli);
	if (!has_servers || type == NULL)
		return cli_fail_usage(cli, "Missing required option(s): %s%s%s",
		    has_servers ? "" : "bootstrap-server", has_servers || type != NULL ? "" : ", ",
		    type != NULL ? "" : "election-type");
	bool is_unclean = strcasecmp(type, "unclean") == 0;
	if (!is_unclean && strcasecmp(type, "preferred") != 0)
		return cli_fail_usage(cli,
		    "Cannot parse argument '%s' of option election-type; give "
		    "preferred or unclean",
		    type);
	struct cli_offset one = { .topic = ot_str_from(cli_get(args, OPT_TOPIC)) };
	struct cli_offset *items = cli_has(args, OPT_TOPIC) ? &one : NULL;
	size_t count = 1;
	if (items != NULL)
		one.partition = (int32_t)cli_get_number(args, OPT_PARTITION);
	if (cli_has(args, OPT_PATH) && !load_items(cli, cli_get(args, OPT_PATH), &items, &count))
		return CLI_EXIT_FAILURE;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	struct cli_election_results results = { 0 };
	int status = elect(cli, is_unclean, items, count, &results);
	if (status != CLI_EXIT_OK)
		return status;
	size_t failed_count = cli_election_print(cli, is_unclean, &results, stdout);
	return failed_count == 0
	           ? CLI_EXIT_OK
	           : cli_fail(cli, "%zu replica(s) could not be elected", failed_count);
}

const struct cli_tool cli_leader_election_tool = {
	.self = {
		.name = "leader-election",
		.summary = "Elect leaders of partitions, preferred or unclean.",
		.purpose = "This tool attempts to elect a new leader for a set of topic "
			   "partitions. The type of elections supported are preferred replicas "
			   "and unclean replicas.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "LeaderElectionCommand",
};

/* ---- kafka-preferred-replica-election ------------------------------------------------------ */

enum { OLD_OPT_PATH = CLI_OPTION_CONNECT_COUNT };

static const struct cli_option old_options[] = {
	CLI_CONNECT_OPTIONS(0),
	[OLD_OPT_PATH] = { .names = "path-to-json-file",
	    .arg = "list of partitions for which preferred replica leader election needs to be "
		   "triggered",
	    .kind = CLI_STRING,
	    .text = PATH_TEXT "\nDefaults to all existing partitions" },
};

/* All partitions there are, as the tool of old chose them. */
static bool
find_all(struct cli *cli, struct cli_offset **ret_items, size_t *ret_count)
{
	struct ot_metadata_response metadata;
	if (cli_fetch_topics(cli, &metadata) != OT_OK) {
		cli_fail(cli, "%s", cli->why.text);
		return false;
	}
	size_t count = 0;
	for (int32_t i = 0; i < metadata.topics_count; i++)
		count += (size_t)OT_MAX(metadata.topics[i].partitions_count, 0);
	struct cli_offset *items = cli_alloc(cli, count, sizeof(*items));
	count = 0;
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		for (int32_t k = 0; k < metadata.topics[i].partitions_count; k++)
			items[count++] = (struct cli_offset){
				.topic = metadata.topics[i].name,
				.partition = metadata.topics[i].partitions[k].partition_index,
			};
	}
	*ret_items = items;
	*ret_count = count;
	return true;
}

static bool
is_there(const struct cli_election_result *result)
{
	return result->code != OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static void
print_old(const struct cli_election_results *results, FILE *out)
{
	const char *comma = "";
	fprintf(out,
	    "Created preferred replica election path with {\"version\":1,\"partitions\":[");
	for (size_t i = 0; i < results->count; i++) {
		const struct cli_election_result *one = &results->items[i];
		if (!is_there(one))
			continue;
		fprintf(out, "%s{\"topic\":\"%.*s\",\"partition\":%d}", comma,
		    OT_STR_ARG(one->topic), one->partition);
		comma = ",";
	}
	comma = "";
	fprintf(out, "]}\nSuccessfully started preferred replica election for partitions Set(");
	for (size_t i = 0; i < results->count; i++) {
		const struct cli_election_result *one = &results->items[i];
		if (!is_there(one))
			continue;
		fprintf(out, "%s%.*s-%d", comma, OT_STR_ARG(one->topic), one->partition);
		comma = ", ";
	}
	fprintf(out, ")\n");
	for (size_t i = 0; i < results->count; i++) {
		const struct cli_election_result *one = &results->items[i];
		if (!is_there(one))
			fprintf(out,
			    "Skipping preferred replica leader election for partition %.*s-%d "
			    "since it "
			    "doesn't exist.\n",
			    OT_STR_ARG(one->topic), one->partition);
	}
}

/* The tool of old only started elections, and so did not fail with one of them. */
static int
run_old(struct cli *cli)
{
	struct cli_offset *items = NULL;
	size_t count = 0;
	const char *path = cli_get(&cli->args, OLD_OPT_PATH);
	if (path != NULL && !load_items(cli, path, &items, &count))
		return CLI_EXIT_FAILURE;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (path == NULL && !find_all(cli, &items, &count))
		return CLI_EXIT_FAILURE;
	struct cli_election_results results = { 0 };
	int status = elect(cli, false, items, count, &results);
	if (status == CLI_EXIT_OK)
		print_old(&results, stdout);
	return status;
}

const struct cli_tool cli_preferred_election_tool = {
	.self = {
		.name = "preferred-replica-election",
		.summary = "Elect preferred leaders; leader-election does more.",
		.purpose = "This tool causes leadership for each partition to be transferred back "
			   "to the 'preferred replica', it can be used to balance leadership "
			   "among the servers. Scripts of Kafka before 2.4 call it; "
			   "kafka-leader-election.sh has taken its place.",
		.options = old_options,
		.option_count = OT_ARRAY_COUNT(old_options),
		.run = run_old,
	},
	.classes = "PreferredReplicaLeaderElectionCommand",
};
