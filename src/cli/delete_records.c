/* kafka-delete-records: deletes the records of partitions up to given offsets. */
#include "cli/tools_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/offsets_int.h"
#include "wire/msg_delete_records.h"

enum {
	OPT_OFFSET_JSON_FILE = CLI_OPTION_CONNECT_COUNT,
	OPT_OUTPUT,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[OPT_OFFSET_JSON_FILE] = { .names = "offset-json-file",
	    .arg = "Offset json file path",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED,
	    .text = "A file that says up to which offset each partition is deleted; -1 is all "
		    "there is:\n"
		    "{\"partitions\":\n"
		    "  [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}],\n"
		    " \"version\":1\n"
		    "}" },
	[OPT_OUTPUT] = CLI_OUTPUT_OPTION,
};

static const struct cli_rule rules[] = {
	CLI_OUTPUT_RULE(OPT_OUTPUT),
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- the file ------------------------------------------------------------------------------ */

static const char *
read_item(struct cli *cli, json_t *object, struct cli_offset *ret_item)
{
	json_t *topic = json_object_get(object, "topic");
	json_t *partition = json_object_get(object, "partition");
	json_t *offset = json_object_get(object, "offset");
	if (!json_is_string(topic) || !json_is_integer(partition) || !json_is_integer(offset))
		return "Each of \"partitions\" needs \"topic\", \"partition\" and \"offset\"";
	/* Cut to its 32 bits a number would be another partition's, whose records would go. */
	if (json_integer_value(partition) < 0 || json_integer_value(partition) > INT32_MAX)
		return cli_format(cli, "\"partition\" is %lld, and must be from 0 to %d",
		    (long long)json_integer_value(partition), INT32_MAX);
	*ret_item = (struct cli_offset){
		.topic = ot_str_from(cli_format(cli, "%s", json_string_value(topic))),
		.partition = (int32_t)json_integer_value(partition),
		.wanted = json_integer_value(offset),
	};
	return NULL;
}

static const char *
read_items(struct cli *cli, json_t *root, struct cli_offset **ret_items, size_t *ret_count)
{
	json_t *version = json_object_get(root, "version");
	json_t *partitions = json_object_get(root, "partitions");
	if (version != NULL && json_integer_value(version) != 1)
		return cli_format(cli, "Not supported version field value %lld",
		    (long long)json_integer_value(version));
	if (!json_is_array(partitions))
		return "Missing partitions field";
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
			twice = cli_format(cli, "%s%s%.*s-%d", twice, *twice != '\0' ? "," : "",
			    OT_STR_ARG(items[i].topic), items[i].partition);
	}
	if (*twice != '\0')
		return cli_format(cli, "Offset json file contains duplicate topic partitions: %s",
		    twice);
	*ret_items = items;
	*ret_count = count;
	return NULL;
}

static int
read_offsets(struct cli *cli, struct cli_offset **ret_items, size_t *ret_count)
{
	const char *path = cli_get(&cli->args, OPT_OFFSET_JSON_FILE);
	json_t *root = cli_load_json(cli, path);
	if (root == NULL)
		return CLI_EXIT_FAILURE;
	const char *mistake = read_items(cli, root, ret_items, ret_count);
	json_decref(root);
	return mistake == NULL ? CLI_EXIT_OK : cli_fail(cli, "%s: %s", path, mistake);
}

/* ---- the work ------------------------------------------------------------------------------ */

static bool
is_for(const struct cli_offset *item, int32_t node)
{
	return item->err == OT_ERR_AGAIN && item->leader == node;
}

static ot_err
ask_leader(struct cli *cli, struct cli_offset *items, size_t count, int32_t node)
{
	struct ot_delete_records_request request;
	struct ot_delete_records_response response;
	ot_delete_records_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topics = ot_delete_records_request_topic_array(&cli->arena, (int32_t)count);
	for (size_t i = 0; i < count; i++) {
		if (!is_for(&items[i], node))
			continue;
		struct ot_delete_records_request_topic *topic =
		    &request.topics[request.topics_count++];
		topic->name = items[i].topic;
		topic->partitions = ot_delete_records_request_partition_array(&cli->arena, 1);
		topic->partitions_count = 1;
		topic->partitions[0].partition_index = items[i].partition;
		topic->partitions[0].offset = items[i].wanted;
	}
	ot_err err = cli_call(cli, node, CLI_API_DELETE_RECORDS, &request, &response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < response.topics_count; i++) {
		for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
			const struct ot_delete_records_response_partition *answer =
			    &response.topics[i].partitions[k];
			struct cli_offset key = { .topic = response.topics[i].name,
				.partition = answer->partition_index };
			struct cli_offset *item =
			    bsearch(&key, items, count, sizeof(*items), cli_offset_compare);
			if (item == NULL)
				continue;
			item->err = ot_err_from_wire(answer->error_code);
			item->offset = answer->low_watermark;
		}
	}
	return OT_OK;
}

static int
print_results(const struct cli_offset *items, size_t count)
{
	int status = CLI_EXIT_OK;
	printf("Records delete operation completed:\n");
	for (size_t i = 0; i < count; i++) {
		const struct cli_offset *item = &items[i];
		printf("partition: %.*s-%d\t", OT_STR_ARG(item->topic), item->partition);
		if (item->err == OT_OK) {
			printf("low_watermark: %lld\n", (long long)item->offset);
			continue;
		}
		printf("error: %s\n", ot_err_message(item->err));
		status = CLI_EXIT_FAILURE;
	}
	return status;
}

static int
print_results_json(const struct cli_offset *items, size_t count)
{
	int status = CLI_EXIT_OK;
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *object = json_pack("{s:o,s:i}", "topic", cli_json_of(items[i].topic),
		    "partition", (int)items[i].partition);
		if (items[i].err == OT_OK)
			json_object_set_new(object, "low_watermark", json_integer(items[i].offset));
		else
			json_object_set_new(object, "error",
			    json_string(ot_err_name(items[i].err)));
		json_array_append_new(array, object);
		if (items[i].err != OT_OK)
			status = CLI_EXIT_FAILURE;
	}
	cli_print_json(array, stdout);
	return status;
}

static int
run(struct cli *cli)
{
	struct cli_offset *items = NULL;
	size_t count = 0;
	int status = read_offsets(cli, &items, &count);
	if (status != CLI_EXIT_OK)
		return status;
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	bool is_json = cli_wants_json(cli, OPT_OUTPUT);
	if (!is_json)
		printf("Executing records delete operation\n");
	ot_err err = cli_offsets_find_leaders(cli, items, count);
	for (size_t i = 0; err == OT_OK && i < count; i++) {
		if (items[i].err == OT_ERR_AGAIN)
			err = ask_leader(cli, items, count, items[i].leader);
		if (items[i].err == OT_ERR_AGAIN)
			items[i].err = OT_ERR_UNKNOWN_SERVER_ERROR; /* not in the answer */
	}
	if (err != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	return is_json ? print_results_json(items, count) : print_results(items, count);
}

const struct cli_tool cli_delete_records_tool = {
	.self = {
		.name = "delete-records",
		.summary = "Delete the records of partitions up to given offsets.",
		.purpose = "This tool helps to delete records of the given partitions down to the "
			   "specified offset.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "DeleteRecordsCommand",
};
