#include "cli/admin_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

ot_err
cli_call(struct cli *cli, int32_t node, enum cli_api api, const void *request, void *ret_response)
{
	const struct ot_api *entry = ot_api_find((int16_t)api);
	OT_ASSERT(entry != NULL && cli->client != NULL);
	return ot_client_call(cli->client, node, entry, request, &cli->arena, ret_response,
	    &cli->why);
}

const char *
cli_text(struct cli *cli, struct ot_str str)
{
	return str.len < 0 ? NULL : cli_format(cli, "%.*s", OT_STR_ARG(str));
}

const char *
cli_error_text(struct cli *cli, int16_t code, struct ot_str message)
{
	if (message.len > 0)
		return cli_text(cli, message);
	return ot_err_message(ot_err_from_wire(code));
}

const char *
cli_error_class(struct cli *cli, int16_t code)
{
	static const char suffix[] = "EXCEPTION";
	const char *name = ot_err_name(ot_err_from_wire(code));
	size_t bytes = strlen(name);
	size_t suffix_bytes = sizeof(suffix) - 1;
	if (bytes > suffix_bytes && strcmp(name + bytes - suffix_bytes, suffix) == 0)
		bytes -= suffix_bytes + 1;
	char *words = cli_alloc(cli, bytes + 1, 1);
	size_t count = 0;
	for (size_t i = 0; i < bytes; i++) {
		bool is_first = i == 0 || name[i - 1] == '_';
		if (name[i] != '_')
			words[count++] = is_first ? name[i] : (char)tolower(name[i]);
	}
	return cli_format(cli, "org.apache.kafka.common.errors.%.*sException", (int)count, words);
}

static int
compare_topics(const void *a, const void *b)
{
	const struct ot_metadata_response_topic *one = a;
	const struct ot_metadata_response_topic *other = b;
	return ot_str_compare(one->name, other->name);
}

int
cli_partition_compare(const void *a, const void *b)
{
	const struct ot_metadata_response_partition *one = a;
	const struct ot_metadata_response_partition *other = b;
	return (one->partition_index > other->partition_index) -
	       (one->partition_index < other->partition_index);
}

ot_err
cli_fetch_topics(struct cli *cli, struct ot_metadata_response *ret_response)
{
	struct ot_metadata_request request;
	ot_metadata_request_init(&request);
	request.topics_count = -1; /* all */
	request.allow_auto_topic_creation = false;
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_METADATA, &request, ret_response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < ret_response->topics_count; i++) {
		struct ot_metadata_response_topic *topic = &ret_response->topics[i];
		if (topic->partitions_count > 1)
			qsort(topic->partitions, (size_t)topic->partitions_count,
			    sizeof(*topic->partitions), cli_partition_compare);
	}
	if (ret_response->topics_count > 1)
		qsort(ret_response->topics, (size_t)ret_response->topics_count,
		    sizeof(*ret_response->topics), compare_topics);
	return OT_OK;
}

bool
cli_topic_is_internal(struct ot_str name)
{
	return ot_str_is(name, "__consumer_offsets") || ot_str_is(name, "__transaction_state") ||
	       ot_str_is(name, "__share_group_state");
}
