#include "cli/offsets_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "wire/msg_list_offsets.h"

enum {
	OFFSETS_ATTEMPT_COUNT = 5,
	OFFSETS_RETRY_MS = 100,
};

int
cli_offset_compare(const void *a, const void *b)
{
	const struct cli_offset *one = a;
	const struct cli_offset *other = b;
	int order = ot_str_compare(one->topic, other->topic);
	return order != 0
	           ? order
	           : (one->partition > other->partition) - (one->partition < other->partition);
}

const struct ot_metadata_response_topic *
cli_metadata_find(const struct ot_metadata_response *metadata, struct ot_str name)
{
	int32_t low = 0;
	int32_t high = metadata->topics_count; /* sorted: cli_fetch_topics() */
	while (low < high) {
		int32_t middle = low + (high - low) / 2;
		int order = ot_str_compare(metadata->topics[middle].name, name);
		if (order == 0)
			return &metadata->topics[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ---- asking the leaders -------------------------------------------------------------------- */

/* Sets the leader of an item, or why it has none. */
static void
find_leader(const struct ot_metadata_response *metadata, struct cli_offset *item)
{
	const struct ot_metadata_response_topic *topic = cli_metadata_find(metadata, item->topic);
	item->leader = -1;
	item->err = OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	if (topic != NULL && topic->error_code != 0)
		item->err = ot_err_from_wire(topic->error_code);
	struct ot_metadata_response_partition key = { .partition_index = item->partition };
	const struct ot_metadata_response_partition *partition =
	    topic == NULL || topic->partitions_count <= 0
		? NULL
		: bsearch(&key, topic->partitions, (size_t)topic->partitions_count, sizeof(key),
		      cli_partition_compare);
	if (partition == NULL)
		return;
	item->leader = partition->leader_id;
	item->err = item->leader >= 0 ? OT_ERR_AGAIN : OT_ERR_LEADER_NOT_AVAILABLE;
}

static bool
is_for(const struct cli_offset *item, int32_t node)
{
	return item->err == OT_ERR_AGAIN && item->leader == node;
}

/* The items of one topic that follow each other, as one topic of a request; gives how many items
 * that took. */
static size_t
fill_topic(struct cli *cli, const struct cli_offset *items, size_t count, int32_t node,
    struct ot_list_offsets_request *request)
{
	size_t run = 0;
	int32_t wanted_count = 0;
	for (; run < count && ot_str_equal(items[run].topic, items[0].topic); run++)
		wanted_count += is_for(&items[run], node);
	if (wanted_count == 0)
		return run;
	struct ot_list_offsets_request_topic *topic = &request->topics[request->topics_count++];
	topic->name = items[0].topic;
	topic->partitions = ot_list_offsets_request_partition_array(&cli->arena, wanted_count);
	for (size_t i = 0; i < run; i++) {
		if (!is_for(&items[i], node))
			continue;
		struct ot_list_offsets_request_partition *partition =
		    &topic->partitions[topic->partitions_count++];
		partition->partition_index = items[i].partition;
		partition->timestamp = items[i].wanted;
	}
	return run;
}

static void
fill_request(struct cli *cli, const struct cli_offset *items, size_t count, int32_t node,
    struct ot_list_offsets_request *request)
{
	ot_list_offsets_request_init(request);
	request->replica_id = -1;
	request->timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	size_t topic_count = 0;
	for (size_t i = 0; i < count; i++)
		topic_count += i == 0 || !ot_str_equal(items[i].topic, items[i - 1].topic);
	request->topics = ot_list_offsets_request_topic_array(&cli->arena, (int32_t)topic_count);
	for (size_t i = 0; i < count;)
		i += fill_topic(cli, items + i, count - i, node, request);
}

static void
take_answer(struct cli_offset *items, size_t count, int32_t node, struct ot_str topic,
    const struct ot_list_offsets_response_partition *answer)
{
	struct cli_offset key = { .topic = topic, .partition = answer->partition_index };
	struct cli_offset *item = bsearch(&key, items, count, sizeof(*items), cli_offset_compare);
	if (item == NULL || !is_for(item, node))
		return;
	item->err = ot_err_from_wire(answer->error_code);
	item->offset = answer->offset;
}

static ot_err
ask_node(struct cli *cli, struct cli_offset *items, size_t count, int32_t node)
{
	struct ot_list_offsets_request request;
	struct ot_list_offsets_response response;
	fill_request(cli, items, count, node, &request);
	ot_err err = cli_call(cli, node, CLI_API_LIST_OFFSETS, &request, &response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < response.topics_count; i++) {
		const struct ot_list_offsets_response_topic *topic = &response.topics[i];
		for (int32_t k = 0; k < topic->partitions_count; k++)
			take_answer(items, count, node, topic->name, &topic->partitions[k]);
	}
	for (size_t i = 0; i < count; i++) {
		if (is_for(&items[i], node))
			items[i].err = OT_ERR_UNKNOWN_SERVER_ERROR; /* left out of the answer */
	}
	return OT_OK;
}

/* Whether asking again may help: the leader has moved or is being elected. */
static bool
is_stale(const struct cli_offset *item)
{
	return item->err != OT_OK && item->leader >= 0 && ot_err_is_retriable(item->err) &&
	       item->err != OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static ot_err
ask_leaders(struct cli *cli, struct cli_offset *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].err != OT_ERR_AGAIN)
			continue;
		ot_err err = ask_node(cli, items, count, items[i].leader);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

ot_err
cli_offsets_fetch(struct cli *cli, struct cli_offset *items, size_t count)
{
	struct ot_metadata_response metadata;
	if (count > 1)
		qsort(items, count, sizeof(*items), cli_offset_compare);
	for (size_t i = 0; i < count; i++)
		items[i].leader = -1;
	for (int attempt = 0; attempt < OFFSETS_ATTEMPT_COUNT; attempt++) {
		size_t open_count = 0;
		for (size_t i = 0; i < count; i++)
			open_count += attempt == 0 || is_stale(&items[i]);
		if (open_count == 0)
			break;
		if (attempt > 0)
			ot_client_pause(cli->client, OFFSETS_RETRY_MS);
		ot_err err = cli_fetch_topics(cli, &metadata);
		if (err != OT_OK)
			return err;
		for (size_t i = 0; i < count; i++) {
			if (attempt == 0 || is_stale(&items[i]))
				find_leader(&metadata, &items[i]);
		}
		err = ask_leaders(cli, items, count);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

ot_err
cli_offsets_find_leaders(struct cli *cli, struct cli_offset *items, size_t count)
{
	struct ot_metadata_response metadata;
	ot_err err = cli_fetch_topics(cli, &metadata);
	if (err != OT_OK)
		return err;
	if (count > 1)
		qsort(items, count, sizeof(*items), cli_offset_compare);
	for (size_t i = 0; i < count; i++)
		find_leader(&metadata, &items[i]);
	return OT_OK;
}

/* ---- naming partitions --------------------------------------------------------------------- */

size_t
cli_partitions_room(struct cli_values texts, const struct ot_metadata_response *metadata)
{
	size_t room = 0;
	for (size_t i = 0; i < texts.count; i++) {
		const char *colon = strchr(texts.items[i], ':');
		const struct ot_metadata_response_topic *topic =
		    cli_metadata_find(metadata, ot_str_from(texts.items[i]));
		room++;
		for (const char *c = colon; c != NULL; c = strchr(c + 1, ','))
			room++;
		if (colon == NULL && topic != NULL)
			room += (size_t)topic->partitions_count;
	}
	return room;
}

const char *
cli_partitions_read(struct cli *cli, const char *text, const struct ot_metadata_response *metadata,
    struct cli_offset *items, size_t *count)
{
	const char *colon = strchr(text, ':');
	if (colon == NULL) {
		const struct ot_metadata_response_topic *topic =
		    cli_metadata_find(metadata, ot_str_from(text));
		if (topic == NULL)
			return cli_format(cli, "This server does not host this topic-partition: %s",
			    text);
		for (int32_t i = 0; i < topic->partitions_count; i++)
			items[(*count)++] = (struct cli_offset){ .topic = topic->name,
				.partition = topic->partitions[i].partition_index };
		return NULL;
	}
	if (colon == text || colon[1] == '\0' || strchr(colon + 1, ':') != NULL)
		return cli_format(cli, "Invalid topic arg '%s', expected topic name and partitions",
		    text);
	struct ot_str topic = ot_str_from(cli_format(cli, "%.*s", (int)(colon - text), text));
	for (const char *word = colon + 1;;) {
		size_t bytes = strcspn(word, ",");
		const char *number = cli_format(cli, "%.*s", (int)bytes, word);
		int64_t partition;
		if (!cli_number_parse(number, &partition) || partition < INT32_MIN ||
		    partition > INT32_MAX)
			return cli_format(cli, "Invalid partition '%s' specified in topic arg '%s'",
			    number, text);
		items[(*count)++] =
		    (struct cli_offset){ .topic = topic, .partition = (int32_t)partition };
		if (word[bytes] == '\0')
			return NULL;
		word += bytes + 1;
	}
}
