/* kafka-log-dirs: what lies in the log directories of brokers. */
#include "cli/tools_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/admin_int.h"
#include "wire/msg_describe_log_dirs.h"

enum {
	OPT_BROKER_LIST = CLI_OPTION_CONNECT_COUNT,
	OPT_DESCRIBE,
	OPT_TOPIC_LIST,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS_NAMED("bootstrap-server", CLI_HIDDEN),
	[OPT_BROKER_LIST] = { .names = "broker-list",
	    .arg = "Broker list",
	    .kind = CLI_STRING,
	    .fallback = "",
	    .text = "Numbers of the brokers to ask, \"0,1,2\"; without it all." },
	[OPT_DESCRIBE] = { .names = "describe",
	    .flags = CLI_REQUIRED,
	    .text = "Describe the log directories, as JSON." },
	[OPT_TOPIC_LIST] = { .names = "topic-list",
	    .arg = "Topic list",
	    .kind = CLI_STRING,
	    .fallback = "",
	    .text = "Topics to tell of, \"topic1,topic2\"; without it all." },
};

struct ids {
	int32_t *items;
	size_t count;
};

static bool
has_id(const struct ids *ids, int32_t id)
{
	for (size_t i = 0; i < ids->count; i++) {
		if (ids->items[i] == id)
			return true;
	}
	return false;
}

static int
compare_ids(const void *a, const void *b)
{
	int32_t one = *(const int32_t *)a;
	int32_t other = *(const int32_t *)b;
	return (one > other) - (one < other);
}

static const char *
text_of_ids(struct cli *cli, const struct ids *ids)
{
	const char *text = "";
	for (size_t i = 0; i < ids->count; i++)
		text = cli_format(cli, "%s%s%d", text, i > 0 ? "," : "", ids->items[i]);
	return text;
}

static bool
read_ids(struct cli *cli, const char *list, struct ids *ids)
{
	ids->items = cli_alloc(cli, strlen(list) + 1, sizeof(*ids->items));
	while (*list != '\0') {
		size_t bytes = strcspn(list, ",");
		int64_t number;
		const char *word = cli_format(cli, "%.*s", (int)bytes, list);
		if (bytes > 0 &&
		    (!cli_number_parse(word, &number) || number < 0 || number > INT32_MAX)) {
			cli_fail(cli, "--broker-list: %s is no broker's number", word);
			return false;
		}
		if (bytes > 0)
			ids->items[ids->count++] = (int32_t)number;
		list += bytes + (list[bytes] == ',' ? 1 : 0);
	}
	return true;
}

static bool
list_has(const char *list, struct ot_str word)
{
	bool is_empty = true;
	while (*list != '\0') {
		size_t bytes = strcspn(list, ",");
		is_empty = is_empty && bytes == 0;
		if (ot_str_equal(word, (struct ot_str){ list, (int32_t)bytes }))
			return true;
		list += bytes + (list[bytes] == ',' ? 1 : 0);
	}
	return is_empty;
}

static json_t *
json_of_partitions(const struct ot_describe_log_dirs_response_result *dir, const char *topics)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < dir->topics_count; i++) {
		const struct ot_describe_log_dirs_response_topic *topic = &dir->topics[i];
		for (int32_t k = 0; list_has(topics, topic->name) && k < topic->partitions_count;
		     k++) {
			const struct ot_describe_log_dirs_response_partition *one =
			    &topic->partitions[k];
			char name[320];
			snprintf(name, sizeof(name), "%.*s-%d", OT_STR_ARG(topic->name),
			    one->partition_index);
			json_array_append_new(array,
			    json_pack("{s:s,s:I,s:I,s:b}", "partition", name, "size",
				(json_int_t)one->partition_size, "offsetLag",
				(json_int_t)one->offset_lag, "isFuture", (int)one->is_future_key));
		}
	}
	return array;
}

/* Kafka names the error by its class. */
static json_t *
json_of_error(int16_t code)
{
	if (code == 0)
		return json_null();
	if (code == OT_ERR_KAFKA_STORAGE_ERROR)
		return json_string("org.apache.kafka.common.errors.KafkaStorageException");
	return json_string(ot_err_name(ot_err_from_wire(code)));
}

/* One broker's directories; NULL when it cannot be asked, which is told already. */
static json_t *
describe_broker(struct cli *cli, int32_t id)
{
	struct ot_describe_log_dirs_request request;
	struct ot_describe_log_dirs_response response;
	ot_describe_log_dirs_request_init(&request);
	request.topics_count = -1; /* all */
	ot_err err = cli_call(cli, id, CLI_API_DESCRIBE_LOG_DIRS, &request, &response);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "broker %d: %s", id, ot_err_message(err));
	}
	if (err != OT_OK) {
		cli_fail(cli, "%s", cli->why.text);
		return NULL;
	}
	json_t *dirs = json_array();
	for (int32_t i = 0; i < response.results_count; i++) {
		const struct ot_describe_log_dirs_response_result *dir = &response.results[i];
		json_array_append_new(dirs,
		    json_pack("{s:s%,s:o,s:o}", "logDir", dir->log_dir.data,
			(size_t)OT_MAX(dir->log_dir.len, 0), "error",
			json_of_error(dir->error_code), "partitions",
			json_of_partitions(dir, cli_get(&cli->args, OPT_TOPIC_LIST))));
	}
	return json_pack("{s:i,s:o}", "broker", (int)id, "logDirs", dirs);
}

/* The brokers that were asked for, all of which the cluster must have. */
static int
choose_brokers(struct cli *cli, struct ids *ret_ids)
{
	struct ids wanted = { 0 };
	struct ids all = { 0 };
	struct ids unknown = { 0 };
	if (!read_ids(cli, cli_get(&cli->args, OPT_BROKER_LIST), &wanted))
		return CLI_EXIT_FAILURE;
	if (ot_client_learn_nodes(cli->client, &cli->why) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &all.count);
	all.items = cli_alloc(cli, all.count, sizeof(*all.items));
	unknown.items = cli_alloc(cli, wanted.count, sizeof(*unknown.items));
	for (size_t i = 0; i < all.count; i++)
		all.items[i] = nodes[i].id;
	for (size_t i = 0; i < wanted.count; i++) {
		if (!has_id(&all, wanted.items[i]))
			unknown.items[unknown.count++] = wanted.items[i];
	}
	if (unknown.count > 0)
		return cli_fail(cli,
		    "ERROR: The given brokers do not exist from --broker-list: %s. Current "
		    "existent "
		    "brokers: %s",
		    text_of_ids(cli, &unknown), text_of_ids(cli, &all));
	*ret_ids = wanted.count > 0 ? wanted : all;
	if (ret_ids->count > 1)
		qsort(ret_ids->items, ret_ids->count, sizeof(*ret_ids->items), compare_ids);
	return CLI_EXIT_OK;
}

static int
run(struct cli *cli)
{
	struct ids ids = { 0 };
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	int status = choose_brokers(cli, &ids);
	if (status != CLI_EXIT_OK)
		return status;
	printf("Querying brokers for log directories information\n");
	json_t *brokers = json_array();
	for (size_t i = 0; i < ids.count; i++) {
		json_t *broker = describe_broker(cli, ids.items[i]);
		if (broker == NULL) {
			json_decref(brokers);
			return CLI_EXIT_FAILURE;
		}
		json_array_append_new(brokers, broker);
	}
	printf("Received log directory information from brokers %s\n", text_of_ids(cli, &ids));
	json_t *root = json_pack("{s:i,s:o}", "version", 1, "brokers", brokers);
	json_dumpf(root, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(root);
	return CLI_EXIT_OK;
}

const struct cli_tool cli_log_dirs_tool = {
	.self = {
		.name = "log-dirs",
		.summary = "Tell what lies in the log directories of brokers.",
		.purpose =
		    "This tool helps to query log directory usage on the specified brokers.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.run = run,
	},
	.classes = "LogDirsCommand",
};
