/* kafka-topics: creates, lists, describes, changes and deletes topics.
 *
 * With --bootstrap-server it prints what Kafka's tool prints today. With --zookeeper it prints what
 * the tool of Kafka 0.11 printed, since the scripts that use that flag read it.
 */
#include "cli/topics_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/panic.h"
#include "cli/admin_int.h"
#include "cli/filter_int.h"
#include "cli/tools_int.h"
#include "wire/msg_create_partitions.h"
#include "wire/msg_create_topics.h"
#include "wire/msg_delete_topics.h"
#include "wire/msg_incremental_alter_configs.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_ALTER = CLI_OPTION_CONNECT_COUNT,
	OPT_AT_MIN_ISR,
	OPT_CONFIG,
	OPT_CREATE,
	OPT_DELETE,
	OPT_DELETE_CONFIG,
	OPT_DESCRIBE,
	OPT_DISABLE_RACK_AWARE,
	OPT_EXCLUDE_INTERNAL,
	OPT_FORCE,
	OPT_IF_EXISTS,
	OPT_IF_NOT_EXISTS,
	OPT_LIST,
	OPT_OUTPUT,
	OPT_PARTITION_LIMIT,
	OPT_PARTITIONS,
	OPT_REPLICA_ASSIGNMENT,
	OPT_REPLICATION_FACTOR,
	OPT_TOPIC,
	OPT_TOPIC_ID,
	OPT_WITH_OVERRIDES,
	OPT_UNAVAILABLE,
	OPT_UNDER_MIN_ISR,
	OPT_UNDER_REPLICATED,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(0),
	[OPT_ALTER] = { .names = "alter",
	    .text =
		"Raise the number of partitions of the topics that --topic matches. Settings are "
		"changed with kafka-configs.sh." },
	[OPT_AT_MIN_ISR] = { .names = "at-min-isr-partitions",
	    .text = "Describe only partitions with exactly as many in-sync replicas as "
		    "min.insync.replicas asks for." },
	[OPT_CONFIG] = { .names = "config",
	    .arg = "name=value",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text =
		"A setting of the topic to create that differs from the cluster's; may be "
		"repeated. `kafka-configs.sh --all --describe` tells the settings of a topic." },
	[OPT_CREATE] = { .names = "create", .text = "Create a topic." },
	[OPT_DELETE] = { .names = "delete", .text = "Delete the topics that --topic matches." },
	[OPT_DELETE_CONFIG] = { .names = "delete-config",
	    .arg = "name",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "With --alter and --zookeeper: a setting of the topic that goes back to the "
		    "cluster's value. Else use kafka-configs.sh." },
	[OPT_DESCRIBE] = { .names = "describe",
	    .text = "Tell partitions, replicas and settings of the topics." },
	[OPT_DISABLE_RACK_AWARE] = { .names = "disable-rack-aware",
	    .text = "Accepted for old scripts: the controller assigns replicas." },
	[OPT_EXCLUDE_INTERNAL] = { .names = "exclude-internal",
	    .text = "Leave internal topics out when listing or describing." },
	[OPT_FORCE] = { .names = "force", .text = "Accepted for old scripts: nothing is asked." },
	[OPT_IF_EXISTS] = { .names = "if-exists",
	    .text = "Do nothing, successfully, when no topic matches." },
	[OPT_IF_NOT_EXISTS] = { .names = "if-not-exists",
	    .text = "Do nothing, successfully, when the topic to create is there already." },
	[OPT_LIST] = { .names = "list", .text = "List the names of topics." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what --list and --describe print." },
	[OPT_PARTITION_LIMIT] = { .names = "partition-size-limit-per-response",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .fallback = "2000",
	    .text = "Partitions that one answer of the broker may describe." },
	[OPT_PARTITIONS] = { .names = "partitions",
	    .arg = "# of partitions",
	    .kind = CLI_INTEGER,
	    .text = "Partitions of the topic to create, by default as many as num.partitions says, "
		    "or that a topic is altered to. WARNING: with more partitions a key may go "
		    "elsewhere than before, so that the order of its messages is lost." },
	[OPT_REPLICA_ASSIGNMENT] = { .names = "replica-assignment",
	    .arg = "broker:broker,broker:broker,...",
	    .kind = CLI_STRING,
	    .text = "Brokers of each partition, the preferred leader first, instead of the "
		    "controller's choice." },
	[OPT_REPLICATION_FACTOR] = { .names = "replication-factor",
	    .arg = "replication factor",
	    .kind = CLI_INTEGER,
	    .text = "Replicas of each partition of the topic to create, by default as many as "
		    "default.replication.factor says." },
	[OPT_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .text = "The topic; but for --create, a regular expression that whole names match." },
	[OPT_TOPIC_ID] = { .names = "topic-id",
	    .arg = "topic id",
	    .kind = CLI_STRING,
	    .text = "The topic to describe, by its id." },
	[OPT_WITH_OVERRIDES] = { .names = "topics-with-overrides",
	    .text = "Describe only topics with settings of their own, without partitions." },
	[OPT_UNAVAILABLE] = { .names = "unavailable-partitions",
	    .text = "Describe only partitions whose leader is not there." },
	[OPT_UNDER_MIN_ISR] = { .names = "under-min-isr-partitions",
	    .text = "Describe only partitions with fewer in-sync replicas than "
		    "min.insync.replicas asks for." },
	[OPT_UNDER_REPLICATED] = { .names = "under-replicated-partitions",
	    .text = "Describe only partitions with replicas that are not in sync." },
};

#define BIT(name) CLI_BIT(OPT_##name)
#define ACTIONS   (BIT(ALTER) | BIT(CREATE) | BIT(DELETE) | BIT(DESCRIBE) | BIT(LIST))
#define REPORTS   (BIT(UNDER_REPLICATED) | BIT(UNDER_MIN_ISR) | BIT(AT_MIN_ISR) | BIT(UNAVAILABLE))
#define ONLY(x, on)                                               \
	{                                                         \
		CLI_RULE_EXCLUDES, OPT_##x, ACTIONS & ~(on), NULL \
	}

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, ACTIONS,
	    "Command must include exactly one action: --list, --describe, --create, --alter or "
	    "--delete" },
	{ CLI_RULE_NEEDS, OPT_CREATE, BIT(TOPIC), NULL },
	{ CLI_RULE_NEEDS, OPT_ALTER, BIT(TOPIC), NULL },
	{ CLI_RULE_NEEDS, OPT_DELETE, BIT(TOPIC), NULL },
	ONLY(CONFIG, BIT(ALTER) | BIT(CREATE)),
	ONLY(DELETE_CONFIG, BIT(ALTER)),
	ONLY(PARTITIONS, BIT(ALTER) | BIT(CREATE)),
	ONLY(REPLICATION_FACTOR, BIT(CREATE)),
	ONLY(REPLICA_ASSIGNMENT, BIT(ALTER) | BIT(CREATE)),
	ONLY(UNDER_REPLICATED, BIT(DESCRIBE)),
	ONLY(UNDER_MIN_ISR, BIT(DESCRIBE)),
	ONLY(AT_MIN_ISR, BIT(DESCRIBE)),
	ONLY(UNAVAILABLE, BIT(DESCRIBE)),
	ONLY(WITH_OVERRIDES, BIT(DESCRIBE)),
	{ CLI_RULE_EXCLUDES, OPT_WITH_OVERRIDES, REPORTS, NULL },
	ONLY(IF_EXISTS, BIT(ALTER) | BIT(DELETE) | BIT(DESCRIBE)),
	ONLY(IF_NOT_EXISTS, BIT(CREATE)),
	ONLY(EXCLUDE_INTERNAL, BIT(LIST) | BIT(DESCRIBE)),
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- words --------------------------------------------------------------------------------- */

static int
fail(struct cli *cli, const char *message)
{
	return cli_fail(cli, "Error while executing topic command : %s", message);
}

static int
fail_code(struct cli *cli, int16_t code, struct ot_str message)
{
	return fail(cli, cli_error_text(cli, code, message));
}

/* The set of names that --topic chooses. Kafka's words when it chooses none. */
static int
fail_no_topic(struct cli *cli)
{
	const char *topic = cli_get(&cli->args, OPT_TOPIC);
	if (cli_is_of_old(cli))
		return fail(cli, cli_format(cli, "Topic %s does not exist on ZK path %s", topic,
				     cli_servers(cli)));
	return cli_fail(cli, "Topic '%s' does not exist as expected", topic);
}

/* ---- choosing topics ----------------------------------------------------------------------- */

struct names {
	struct ot_str *items;
	int32_t count;
};

/* All topics that --topic chooses, sorted; all there are without it. */
static int
choose_topics(struct cli *cli, struct names *ret_names)
{
	struct ot_metadata_response metadata;
	struct cli_filter *filter = NULL;
	const char *pattern = cli_get(&cli->args, OPT_TOPIC);
	bool no_internal = cli_has(&cli->args, OPT_EXCLUDE_INTERNAL);
	if (pattern != NULL && cli_filter_create_list(pattern, &filter, &cli->why) != OT_OK)
		return fail(cli, cli->why.text);
	if (cli_fetch_topics(cli, &metadata) != OT_OK) {
		cli_filter_destroy(filter);
		return fail(cli, cli->why.text);
	}
	struct names names = { 0 };
	names.items = cli_alloc(cli, (size_t)metadata.topics_count, sizeof(*names.items));
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		const struct ot_metadata_response_topic *topic = &metadata.topics[i];
		bool is_out = no_internal && topic->is_internal;
		if (!is_out && cli_filter_has(filter, topic->name))
			names.items[names.count++] = topic->name;
	}
	cli_filter_destroy(filter);
	*ret_names = names;
	return CLI_EXIT_OK;
}

/* ---- create -------------------------------------------------------------------------------- */

/* One broker's number of a list "1:2,3:4"; false for what is none. */
static bool
read_broker(struct cli *cli, const char *text, size_t bytes, int32_t *ret_broker)
{
	int64_t number;
	const char *copy = cli_format(cli, "%.*s", (int)bytes, text);
	copy += strspn(copy, " ");
	char *end = (char *)(uintptr_t)copy + strcspn(copy, " ");
	if (end[strspn(end, " ")] != '\0')
		return false;
	*end = '\0';
	if (!cli_number_parse(copy, &number) || number < INT32_MIN || number > INT32_MAX)
		return false;
	*ret_broker = (int32_t)number;
	return true;
}

static const char *
check_replicas(struct cli *cli, const int32_t *brokers, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		for (int32_t j = 0; j < i; j++) {
			if (brokers[i] == brokers[j])
				return cli_format(cli,
				    "Partition replica lists may not contain duplicate entries: %d",
				    brokers[i]);
		}
	}
	return NULL;
}

static size_t
count_char(const char *text, size_t bytes, char wanted)
{
	size_t count = 0;
	for (size_t i = 0; i < bytes; i++)
		count += text[i] == wanted;
	return count;
}

const char *
cli_topics_read_assignment(struct cli *cli, const char *text, struct cli_replicas **ret_partitions,
    int32_t *ret_count)
{
	size_t count = count_char(text, strlen(text), ',') + 1;
	struct cli_replicas *partitions = cli_alloc(cli, count, sizeof(*partitions));
	for (size_t i = 0; i < count; i++) {
		size_t bytes = strcspn(text, ",");
		size_t room = count_char(text, bytes, ':') + 1;
		struct cli_replicas *one = &partitions[i];
		one->brokers = cli_alloc(cli, room, sizeof(*one->brokers));
		for (size_t at = 0; at <= bytes;) {
			size_t word = OT_MIN(strcspn(text + at, ":"), bytes - at);
			if (!read_broker(cli, text + at, word, &one->brokers[one->count++]))
				return cli_format(cli, "For input string: \"%.*s\"", (int)word,
				    text + at);
			at += word + 1;
		}
		const char *mistake = check_replicas(cli, one->brokers, one->count);
		if (mistake != NULL)
			return mistake;
		if (one->count != partitions[0].count)
			return cli_format(cli,
			    "Partition %zu has different replication factor: %.*s", i, (int)bytes,
			    text);
		text += bytes + 1;
	}
	*ret_partitions = partitions;
	*ret_count = (int32_t)count;
	return NULL;
}

/* Cuts "name = value" in two; Kafka accepts neither an empty value nor a second '='. */
static bool
split_setting(struct cli *cli, const char *text, struct ot_str *ret_name, struct ot_str *ret_value)
{
	const char *equals = strchr(text, '=');
	if (equals == NULL || strchr(equals + 1, '=') != NULL)
		return false;
	const char *end = equals;
	while (end > text && end[-1] == ' ')
		end--;
	const char *value = equals + 1;
	value += strspn(value, " ");
	size_t value_bytes = strlen(value);
	while (value_bytes > 0 && value[value_bytes - 1] == ' ')
		value_bytes--;
	text += strspn(text, " ");
	if (end <= text || value_bytes == 0)
		return false;
	*ret_name = ot_str_from(cli_format(cli, "%.*s", (int)(end - text), text));
	*ret_value = ot_str_from(cli_format(cli, "%.*s", (int)value_bytes, value));
	return true;
}

static const char config_mistake[] =
    "requirement failed: Invalid topic config: all configs to be added must be in the format "
    "\"key=val\".";

static const char *
fill_create(struct cli *cli, struct ot_create_topics_request_topic *topic)
{
	struct cli_values configs = cli_get_all(&cli->args, OPT_CONFIG);
	topic->configs = ot_create_topics_request_config_array(&cli->arena, (int32_t)configs.count);
	topic->configs_count = (int32_t)configs.count;
	for (size_t i = 0; i < configs.count; i++) {
		struct ot_create_topics_request_config *config = &topic->configs[i];
		if (!split_setting(cli, configs.items[i], &config->name, &config->value))
			return config_mistake;
	}
	topic->num_partitions = -1; /* the cluster's default */
	topic->replication_factor = -1;
	if (!cli_has(&cli->args, OPT_REPLICA_ASSIGNMENT)) {
		if (cli_has(&cli->args, OPT_PARTITIONS))
			topic->num_partitions = (int32_t)cli_get_number(&cli->args, OPT_PARTITIONS);
		if (cli_has(&cli->args, OPT_REPLICATION_FACTOR))
			topic->replication_factor =
			    (int16_t)cli_get_number(&cli->args, OPT_REPLICATION_FACTOR);
		return NULL;
	}
	struct cli_replicas *partitions;
	int32_t count;
	const char *mistake = cli_topics_read_assignment(cli,
	    cli_get(&cli->args, OPT_REPLICA_ASSIGNMENT), &partitions, &count);
	if (mistake != NULL)
		return mistake;
	topic->assignments = ot_create_topics_request_assignment_array(&cli->arena, count);
	topic->assignments_count = count;
	for (int32_t i = 0; i < count; i++) {
		topic->assignments[i].partition_index = i;
		topic->assignments[i].broker_ids = partitions[i].brokers;
		topic->assignments[i].broker_ids_count = partitions[i].count;
	}
	return NULL;
}

/* What Kafka's tools check before they ask. */
static int
check_create(struct cli *cli)
{
	const struct cli_args *args = &cli->args;
	uint64_t numbers = BIT(PARTITIONS) | BIT(REPLICATION_FACTOR);
	const struct cli_rule old_rules[] = {
		{ CLI_RULE_NEEDS, OPT_CREATE, numbers, NULL },
		{ CLI_RULE_END, 0, 0, NULL },
	};
	const struct cli_rule assignment_rules[] = {
		{ CLI_RULE_EXCLUDES, OPT_REPLICA_ASSIGNMENT, numbers, NULL },
		{ CLI_RULE_END, 0, 0, NULL },
	};
	bool is_assigned = cli_has(args, OPT_REPLICA_ASSIGNMENT);
	if (cli_args_check(args, assignment_rules, &cli->why) != OT_OK ||
	    (cli_is_of_old(cli) && !is_assigned &&
		cli_args_check(args, old_rules, &cli->why) != OT_OK))
		return cli_fail_usage(cli, "%s", cli->why.text);
	int64_t factor = cli_has(args, OPT_REPLICATION_FACTOR)
	                     ? cli_get_number(args, OPT_REPLICATION_FACTOR)
	                     : 1;
	int64_t count = cli_has(args, OPT_PARTITIONS) ? cli_get_number(args, OPT_PARTITIONS) : 1;
	if (factor < 1 || factor > INT16_MAX)
		return cli_fail(cli,
		    "The replication factor must be between 1 and 32767 inclusive");
	if (count < 1)
		return cli_fail(cli, "The partitions must be greater than 0");
	return CLI_EXIT_OK;
}

static int
create_topic(struct cli *cli)
{
	const char *name = cli_get(&cli->args, OPT_TOPIC);
	struct ot_create_topics_request request;
	struct ot_create_topics_response response;
	int status = check_create(cli);
	if (status != CLI_EXIT_OK)
		return status;
	ot_create_topics_request_init(&request);
	request.topics = ot_create_topics_request_topic_array(&cli->arena, 1);
	request.topics_count = 1;
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topics[0].name = ot_str_from(name);
	const char *mistake = fill_create(cli, &request.topics[0]);
	if (mistake != NULL)
		return fail(cli, mistake);
	if (strpbrk(name, "._") != NULL)
		printf("WARNING: Due to limitations in metric names, topics with a period ('.') or "
		       "underscore ('_') could collide. To avoid issues it is best to use either, "
		       "but not both.\n");
	if (cli_call(cli, OT_NODE_ANY, CLI_API_CREATE_TOPICS, &request, &response) != OT_OK)
		return fail(cli, cli->why.text);
	if (response.topics_count != 1)
		return fail(cli, "the broker's answer does not name the topic");
	const struct ot_create_topics_response_topic *topic = &response.topics[0];
	if (topic->error_code == OT_ERR_TOPIC_ALREADY_EXISTS &&
	    cli_has(&cli->args, OPT_IF_NOT_EXISTS))
		return CLI_EXIT_OK;
	if (topic->error_code != 0)
		return fail_code(cli, topic->error_code, topic->error_message);
	printf(cli_is_of_old(cli) ? "Created topic \"%s\".\n" : "Created topic %s.\n", name);
	return CLI_EXIT_OK;
}

/* ---- list ---------------------------------------------------------------------------------- */

static int
list_topics(struct cli *cli)
{
	struct names names;
	int status = choose_topics(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	if (strcmp(cli_get(&cli->args, OPT_OUTPUT), "json") == 0) {
		json_t *array = json_array();
		for (int32_t i = 0; i < names.count; i++)
			json_array_append_new(array,
			    json_stringn(names.items[i].data, (size_t)names.items[i].len));
		cli_print_json(array, stdout);
		return CLI_EXIT_OK;
	}
	for (int32_t i = 0; i < names.count; i++)
		printf("%.*s\n", OT_STR_ARG(names.items[i]));
	if (names.count == 0 && !cli_is_of_old(cli))
		putchar('\n'); /* Kafka prints the names joined: of none, an empty line */
	return CLI_EXIT_OK;
}

/* ---- delete -------------------------------------------------------------------------------- */

static void
print_deleted(const struct cli *cli, struct ot_str name)
{
	if (!cli_is_of_old(cli))
		return;
	printf("Topic %.*s is marked for deletion.\n", OT_STR_ARG(name));
	printf("Note: This will have no impact if delete.topic.enable is not set to true.\n");
}

static int
delete_topics(struct cli *cli)
{
	struct names names;
	int status = choose_topics(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	if (names.count == 0)
		return cli_has(&cli->args, OPT_IF_EXISTS) ? CLI_EXIT_OK : fail_no_topic(cli);
	struct ot_delete_topics_request request;
	struct ot_delete_topics_response response;
	ot_delete_topics_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topic_names = names.items;
	request.topic_names_count = names.count;
	request.topics = ot_delete_topics_request_state_array(&cli->arena, names.count);
	request.topics_count = names.count;
	for (int32_t i = 0; i < names.count; i++) {
		if (cli_is_of_old(cli) && cli_topic_is_internal(names.items[i]))
			return fail(cli, cli_format(cli,
					     "Topic %.*s is a kafka internal topic and is not "
					     "allowed to be marked for deletion.",
					     OT_STR_ARG(names.items[i])));
		request.topics[i].name = names.items[i];
	}
	if (cli_call(cli, OT_NODE_ANY, CLI_API_DELETE_TOPICS, &request, &response) != OT_OK)
		return fail(cli, cli->why.text);
	for (int32_t i = 0; i < response.responses_count; i++) {
		const struct ot_delete_topics_response_topic *topic = &response.responses[i];
		if (topic->error_code == 0)
			print_deleted(cli, topic->name);
		else
			status = fail_code(cli, topic->error_code, topic->error_message);
	}
	return status;
}

/* ---- alter --------------------------------------------------------------------------------- */

static int
change_settings(struct cli *cli, struct ot_str topic)
{
	struct cli_values set = cli_get_all(&cli->args, OPT_CONFIG);
	struct cli_values unset = cli_get_all(&cli->args, OPT_DELETE_CONFIG);
	int32_t count = (int32_t)(set.count + unset.count);
	struct ot_incremental_alter_configs_request request;
	struct ot_incremental_alter_configs_response response;
	ot_incremental_alter_configs_request_init(&request);
	request.resources =
	    ot_incremental_alter_configs_request_alter_configs_resource_array(&cli->arena, 1);
	request.resources_count = 1;
	request.resources[0].resource_type = CLI_RESOURCE_TOPIC;
	request.resources[0].resource_name = topic;
	request.resources[0].configs =
	    ot_incremental_alter_configs_request_config_array(&cli->arena, count);
	request.resources[0].configs_count = count;
	for (int32_t i = 0; i < count; i++) {
		struct ot_incremental_alter_configs_request_config *one =
		    &request.resources[0].configs[i];
		bool is_set = (size_t)i < set.count;
		one->config_operation = is_set ? 0 : 1; /* SET, DELETE */
		one->value = OT_STR_NULL;
		if (!is_set)
			one->name = ot_str_from(unset.items[(size_t)i - set.count]);
		else if (!split_setting(cli, set.items[i], &one->name, &one->value))
			return fail(cli, config_mistake);
	}
	printf("WARNING: Altering topic configuration from this script has been deprecated and may "
	       "be removed in future releases.\n"
	       "         Going forward, please use kafka-configs.sh for this functionality\n");
	if (cli_call(cli, OT_NODE_ANY, CLI_API_INCREMENTAL_ALTER_CONFIGS, &request, &response) !=
	    OT_OK)
		return fail(cli, cli->why.text);
	for (int32_t i = 0; i < response.responses_count; i++) {
		if (response.responses[i].error_code != 0)
			return fail_code(cli, response.responses[i].error_code,
			    response.responses[i].error_message);
	}
	printf("Updated config for topic \"%.*s\".\n", OT_STR_ARG(topic));
	return CLI_EXIT_OK;
}

/* The brokers of the partitions that are new, out of an assignment of all partitions. */
static const char *
fill_new_partitions(struct cli *cli, const struct ot_metadata_response *metadata,
    struct ot_create_partitions_request_topic *topic)
{
	topic->count = (int32_t)cli_get_number(&cli->args, OPT_PARTITIONS);
	topic->assignments_count = -1; /* the controller's choice */
	if (!cli_has(&cli->args, OPT_REPLICA_ASSIGNMENT))
		return NULL;
	struct cli_replicas *partitions;
	int32_t count;
	const char *mistake = cli_topics_read_assignment(cli,
	    cli_get(&cli->args, OPT_REPLICA_ASSIGNMENT), &partitions, &count);
	if (mistake != NULL)
		return mistake;
	int32_t have = 0;
	for (int32_t i = 0; i < metadata->topics_count; i++) {
		if (ot_str_equal(metadata->topics[i].name, topic->name))
			have = metadata->topics[i].partitions_count;
	}
	topic->assignments_count = OT_MAX(count - have, 0);
	topic->assignments =
	    ot_create_partitions_request_assignment_array(&cli->arena, topic->assignments_count);
	for (int32_t i = 0; i < topic->assignments_count; i++) {
		topic->assignments[i].broker_ids = partitions[have + i].brokers;
		topic->assignments[i].broker_ids_count = partitions[have + i].count;
	}
	return NULL;
}

static int
add_partitions(struct cli *cli, const struct names *names)
{
	struct ot_create_partitions_request request;
	struct ot_create_partitions_response response;
	struct ot_metadata_response metadata = { 0 };
	if (cli_has(&cli->args, OPT_REPLICA_ASSIGNMENT) &&
	    cli_fetch_topics(cli, &metadata) != OT_OK)
		return fail(cli, cli->why.text);
	ot_create_partitions_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topics = ot_create_partitions_request_topic_array(&cli->arena, names->count);
	request.topics_count = names->count;
	for (int32_t i = 0; i < names->count; i++) {
		request.topics[i].name = names->items[i];
		const char *mistake = fill_new_partitions(cli, &metadata, &request.topics[i]);
		if (mistake != NULL)
			return fail(cli, mistake);
	}
	if (cli_is_of_old(cli))
		printf("WARNING: If partitions are increased for a topic that has a key, the "
		       "partition logic or ordering of the messages will be affected\n");
	if (cli_call(cli, OT_NODE_ANY, CLI_API_CREATE_PARTITIONS, &request, &response) != OT_OK)
		return fail(cli, cli->why.text);
	int status = CLI_EXIT_OK;
	for (int32_t i = 0; i < response.results_count; i++) {
		if (response.results[i].error_code != 0)
			status = fail_code(cli, response.results[i].error_code,
			    response.results[i].error_message);
		else if (cli_is_of_old(cli))
			printf("Adding partitions succeeded!\n");
	}
	return status;
}

static int
alter_topics(struct cli *cli)
{
	const struct cli_args *args = &cli->args;
	bool is_of_old = cli_is_of_old(cli);
	bool has_settings = cli_has(args, OPT_CONFIG) || cli_has(args, OPT_DELETE_CONFIG);
	if (!is_of_old && cli_has(args, OPT_CONFIG))
		return cli_fail_usage(cli, "Option combination \"[[bootstrap-server], [config]]\" "
					   "can't be used with option "
					   "\"[alter]\" (To alter topic configurations, the "
					   "kafka-configs tool can be used.)");
	if (!is_of_old && cli_has(args, OPT_DELETE_CONFIG))
		return cli_fail_usage(cli,
		    "Option \"[delete-config]\" can't be used with option \"[bootstrap-server]\" "
		    "(To alter topic configurations, the kafka-configs tool can be used.)");
	if (!cli_has(args, OPT_PARTITIONS) && !(is_of_old && has_settings))
		return cli_fail_usage(cli, "Missing required argument \"[partitions]\"");
	struct names names;
	int status = choose_topics(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	if (names.count == 0)
		return cli_has(args, OPT_IF_EXISTS) ? CLI_EXIT_OK : fail_no_topic(cli);
	for (int32_t i = 0; has_settings && i < names.count && status == CLI_EXIT_OK; i++)
		status = change_settings(cli, names.items[i]);
	if (status == CLI_EXIT_OK && cli_has(args, OPT_PARTITIONS))
		status = add_partitions(cli, &names);
	return status;
}

/* ---- describe ------------------------------------------------------------------------------ */

static int
describe_topics(struct cli *cli)
{
	const struct cli_args *args = &cli->args;
	struct cli_topics_wanted wanted = {
		.limit = (int32_t)cli_get_number(args, OPT_PARTITION_LIMIT),
		.only_overridden = cli_has(args, OPT_WITH_OVERRIDES),
		.under_replicated = cli_has(args, OPT_UNDER_REPLICATED),
		.unavailable = cli_has(args, OPT_UNAVAILABLE),
		.under_min_isr = cli_has(args, OPT_UNDER_MIN_ISR),
		.at_min_isr = cli_has(args, OPT_AT_MIN_ISR),
		.is_json = strcmp(cli_get(args, OPT_OUTPUT), "json") == 0,
	};
	const char *id = cli_get(args, OPT_TOPIC_ID);
	if (id != NULL && ot_uuid_from_text(id, strlen(id), &wanted.id) != OT_OK)
		return cli_fail(cli, "%s is no topic id: give 22 letters as --describe prints them",
		    id);
	bool has_id = !ot_uuid_is_zero(&wanted.id);
	bool must_exist = !cli_has(args, OPT_IF_EXISTS);
	if (!must_exist && id == NULL && !cli_has(args, OPT_TOPIC))
		return cli_fail_usage(cli, "--topic or --topic-id is required to describe a topic");
	struct names names = { 0 };
	int status = has_id ? CLI_EXIT_OK : choose_topics(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	if (!has_id && names.count == 0) {
		bool is_fine = !must_exist || !cli_has(args, OPT_TOPIC) || cli_is_of_old(cli);
		return is_fine ? CLI_EXIT_OK : fail_no_topic(cli);
	}
	wanted.names = names.items;
	wanted.name_count = names.count;
	struct cli_topics topics;
	if (cli_topics_fetch(cli, &wanted, &topics) != OT_OK)
		return fail(cli, cli->why.text);
	if (has_id && topics.count == 0 && must_exist)
		return cli_fail(cli, "TopicId '%s' does not exist as expected", id);
	cli_topics_print(&wanted, &topics, cli_is_of_old(cli), stdout);
	return CLI_EXIT_OK;
}

static int
run(struct cli *cli)
{
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (cli_has(&cli->args, OPT_CREATE))
		return create_topic(cli);
	if (cli_has(&cli->args, OPT_ALTER))
		return alter_topics(cli);
	if (cli_has(&cli->args, OPT_LIST))
		return list_topics(cli);
	if (cli_has(&cli->args, OPT_DESCRIBE))
		return describe_topics(cli);
	return delete_topics(cli);
}

const struct cli_tool cli_topics_tool = {
	.self = {
		.name = "topics",
		.summary = "Create, list, describe, change and delete topics.",
		.purpose = "This tool helps to create, delete, describe, or change a topic.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "TopicCommand",
};
