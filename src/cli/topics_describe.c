#include "cli/topics_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "config/def.h"
#include "wire/msg_describe_topic_partitions.h"
#include "wire/msg_list_partition_reassignments.h"

/* ---- asking -------------------------------------------------------------------------------- */

static bool
is_supported(struct cli *cli, enum cli_api api)
{
	return ot_client_version(cli->client, OT_NODE_ANY, ot_api_find((int16_t)api)) >= 0;
}

static struct cli_topic *
find_topic(const struct cli_topics *topics, struct ot_str name)
{
	for (int32_t i = 0; i < topics->count; i++) {
		if (ot_str_equal(topics->items[i].name, name))
			return &topics->items[i];
	}
	return NULL;
}

static ot_err
refuse(struct cli *cli, int16_t code)
{
	ot_err err = ot_err_from_wire(code);
	ot_why_set(&cli->why, "%s", ot_err_message(err));
	return err;
}

/* By metadata: brokers before KIP-966, and topics by id. */
static ot_err
fetch_by_metadata(struct cli *cli, const struct cli_topics_wanted *wanted,
    struct cli_topics *topics)
{
	struct ot_metadata_request request;
	struct ot_metadata_response response;
	bool has_id = !ot_uuid_is_zero(&wanted->id);
	int32_t count = has_id ? 1 : wanted->name_count;
	ot_metadata_request_init(&request);
	request.allow_auto_topic_creation = false;
	request.topics = ot_metadata_request_topic_array(&cli->arena, count);
	request.topics_count = count;
	for (int32_t i = 0; i < count; i++) {
		request.topics[i].topic_id = wanted->id;
		request.topics[i].name = has_id ? OT_STR_NULL : wanted->names[i];
	}
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_METADATA, &request, &response);
	if (err != OT_OK)
		return err;
	topics->items = cli_alloc(cli, (size_t)response.topics_count, sizeof(*topics->items));
	for (int32_t i = 0; i < response.topics_count; i++) {
		const struct ot_metadata_response_topic *from = &response.topics[i];
		if (has_id && from->error_code == OT_ERR_UNKNOWN_TOPIC_ID)
			continue;
		if (from->error_code != 0)
			return refuse(cli, from->error_code);
		struct cli_topic *to = &topics->items[topics->count++];
		*to = (struct cli_topic){ .name = from->name, .id = from->topic_id };
		to->partitions =
		    cli_alloc(cli, (size_t)from->partitions_count, sizeof(*to->partitions));
		to->partition_count = from->partitions_count;
		for (int32_t k = 0; k < from->partitions_count; k++) {
			const struct ot_metadata_response_partition *one = &from->partitions[k];
			to->partitions[k] = (struct cli_partition){
				.index = one->partition_index,
				.leader = one->leader_id,
				.replicas = { one->replica_nodes, one->replica_nodes_count },
				.isr = { one->isr_nodes, one->isr_nodes_count },
				.elr = { NULL, -1 },
				.last_elr = { NULL, -1 },
			};
		}
	}
	return OT_OK;
}

/* Adds the partitions of one page to a topic: a topic may stretch over several pages. */
static void
append_partitions(struct cli *cli, struct cli_topic *to,
    const struct ot_describe_topic_partitions_response_topic *from)
{
	size_t count = (size_t)to->partition_count + (size_t)from->partitions_count;
	struct cli_partition *partitions = cli_alloc(cli, count, sizeof(*partitions));
	if (to->partition_count > 0)
		memcpy(partitions, to->partitions,
		    (size_t)to->partition_count * sizeof(*partitions));
	to->partitions = partitions;
	for (int32_t k = 0; k < from->partitions_count; k++) {
		const struct ot_describe_topic_partitions_response_partition *one =
		    &from->partitions[k];
		partitions[to->partition_count++] = (struct cli_partition){
			.index = one->partition_index,
			.leader = one->leader_id,
			.replicas = { one->replica_nodes, one->replica_nodes_count },
			.isr = { one->isr_nodes, one->isr_nodes_count },
			.elr = { one->eligible_leader_replicas,
			    one->eligible_leader_replicas_count },
			.last_elr = { one->last_known_elr, one->last_known_elr_count },
		};
	}
}

/* Page by page, each of at most `limit` partitions (KIP-966). */
static ot_err
fetch_by_pages(struct cli *cli, const struct cli_topics_wanted *wanted, struct cli_topics *topics)
{
	struct ot_describe_topic_partitions_request request;
	struct ot_describe_topic_partitions_response response;
	ot_describe_topic_partitions_request_init(&request);
	request.response_partition_limit = wanted->limit;
	request.topics =
	    ot_describe_topic_partitions_request_topic_array(&cli->arena, wanted->name_count);
	request.topics_count = wanted->name_count;
	topics->items = cli_alloc(cli, (size_t)wanted->name_count, sizeof(*topics->items));
	for (int32_t i = 0; i < wanted->name_count; i++)
		request.topics[i].name = wanted->names[i];
	struct ot_describe_topic_partitions_request_cursor cursor;
	do {
		ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_TOPIC_PARTITIONS, &request,
		    &response);
		if (err != OT_OK)
			return err;
		for (int32_t i = 0; i < response.topics_count; i++) {
			const struct ot_describe_topic_partitions_response_topic *from =
			    &response.topics[i];
			if (from->error_code != 0)
				return refuse(cli, from->error_code);
			struct cli_topic *to = find_topic(topics, from->name);
			if (to == NULL && topics->count == wanted->name_count)
				return refuse(cli, OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
			if (to == NULL) {
				to = &topics->items[topics->count++];
				*to =
				    (struct cli_topic){ .name = from->name, .id = from->topic_id };
			}
			append_partitions(cli, to, from);
		}
		if (response.next_cursor != NULL) {
			cursor.topic_name = response.next_cursor->topic_name;
			cursor.partition_index = response.next_cursor->partition_index;
			cursor.unknown_tags = NULL;
			request.cursor = &cursor;
		}
	} while (response.next_cursor != NULL);
	return OT_OK;
}

/* Takes the settings that differ from the defaults, and min.insync.replicas in any case. */
static void
take_settings(struct cli *cli, struct cli_topic *topic,
    const struct ot_describe_configs_response_result *result)
{
	topic->settings = cli_alloc(cli, (size_t)result->configs_count, sizeof(*topic->settings));
	for (int32_t k = 0; k < result->configs_count; k++) {
		const struct ot_describe_configs_response_config *config = &result->configs[k];
		int64_t number;
		if (ot_str_is(config->name, "min.insync.replicas") &&
		    cli_number_parse(cli_format(cli, "%.*s", OT_STR_ARG(config->value)), &number))
			topic->min_isr = (int32_t)number;
		bool is_default = config->config_source == OT_SOURCE_DEFAULT || config->is_default;
		if (!is_default)
			topic->settings[topic->setting_count++] =
			    (struct cli_setting){ config->name, config->value,
				    config->config_source };
	}
}

static ot_err
fetch_settings(struct cli *cli, struct cli_topics *topics)
{
	struct ot_describe_configs_request request;
	struct ot_describe_configs_response response;
	ot_describe_configs_request_init(&request);
	request.resources = ot_describe_configs_request_resource_array(&cli->arena, topics->count);
	request.resources_count = topics->count;
	for (int32_t i = 0; i < topics->count; i++) {
		request.resources[i].resource_type = CLI_RESOURCE_TOPIC;
		request.resources[i].resource_name = topics->items[i].name;
		request.resources[i].configuration_keys_count = -1; /* all */
	}
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_CONFIGS, &request, &response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < response.results_count; i++) {
		const struct ot_describe_configs_response_result *result = &response.results[i];
		struct cli_topic *topic = find_topic(topics, result->resource_name);
		if (result->error_code != 0) {
			ot_why_set(&cli->why, "%s",
			    cli_error_text(cli, result->error_code, result->error_message));
			return ot_err_from_wire(result->error_code);
		}
		if (topic != NULL)
			take_settings(cli, topic, result);
	}
	return OT_OK;
}

static void
take_reassignment(struct cli *cli, struct cli_topic *topic,
    const struct ot_list_partition_reassignments_response_partition *from)
{
	struct cli_reassignment *to = cli_alloc(cli, 1, sizeof(*to));
	to->adding = (struct cli_replicas){ from->adding_replicas, from->adding_replicas_count };
	to->removing =
	    (struct cli_replicas){ from->removing_replicas, from->removing_replicas_count };
	for (int32_t i = 0; i < topic->partition_count; i++) {
		if (topic->partitions[i].index == from->partition_index)
			topic->partitions[i].reassignment = to;
	}
}

/* Reassignments under way. A broker that does not tell, or not to this user, has none. */
static ot_err
fetch_reassignments(struct cli *cli, struct cli_topics *topics)
{
	struct ot_list_partition_reassignments_request request;
	struct ot_list_partition_reassignments_response response;
	ot_list_partition_reassignments_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topics_count = -1; /* all that are under way */
	if (!is_supported(cli, CLI_API_LIST_PARTITION_REASSIGNMENTS))
		return OT_OK;
	ot_err err =
	    cli_call(cli, OT_NODE_ANY, CLI_API_LIST_PARTITION_REASSIGNMENTS, &request, &response);
	if (err != OT_OK || response.error_code != 0)
		return err;
	for (int32_t i = 0; i < response.topics_count; i++) {
		struct cli_topic *topic = find_topic(topics, response.topics[i].name);
		for (int32_t k = 0; topic != NULL && k < response.topics[i].partitions_count; k++)
			take_reassignment(cli, topic, &response.topics[i].partitions[k]);
	}
	return OT_OK;
}

static ot_err
fetch_live(struct cli *cli, struct cli_topics *topics)
{
	size_t count = 0;
	ot_err err = ot_client_learn_nodes(cli->client, &cli->why);
	if (err != OT_OK)
		return err;
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &count);
	topics->live.brokers = cli_alloc(cli, count, sizeof(*topics->live.brokers));
	topics->live.count = (int32_t)count;
	for (size_t i = 0; i < count; i++)
		topics->live.brokers[i] = nodes[i].id;
	return OT_OK;
}

static int
compare_topics(const void *a, const void *b)
{
	return ot_str_compare(((const struct cli_topic *)a)->name,
	    ((const struct cli_topic *)b)->name);
}

static int
compare_partitions(const void *a, const void *b)
{
	return ((const struct cli_partition *)a)->index - ((const struct cli_partition *)b)->index;
}

ot_err
cli_topics_fetch(struct cli *cli, const struct cli_topics_wanted *wanted,
    struct cli_topics *ret_topics)
{
	struct cli_topics topics = { 0 };
	bool by_pages =
	    ot_uuid_is_zero(&wanted->id) && is_supported(cli, CLI_API_DESCRIBE_TOPIC_PARTITIONS);
	ot_err err = by_pages ? fetch_by_pages(cli, wanted, &topics)
	                      : fetch_by_metadata(cli, wanted, &topics);
	if (err == OT_OK && topics.count > 0)
		err = fetch_settings(cli, &topics);
	if (err == OT_OK)
		err = fetch_live(cli, &topics);
	if (err == OT_OK && topics.count > 0)
		err = fetch_reassignments(cli, &topics);
	if (err != OT_OK)
		return err;
	if (topics.count > 1)
		qsort(topics.items, (size_t)topics.count, sizeof(*topics.items), compare_topics);
	for (int32_t i = 0; i < topics.count; i++) {
		if (topics.items[i].partition_count > 1)
			qsort(topics.items[i].partitions, (size_t)topics.items[i].partition_count,
			    sizeof(struct cli_partition), compare_partitions);
	}
	*ret_topics = topics;
	return OT_OK;
}

/* ---- judging ------------------------------------------------------------------------------- */

static bool
has_broker(const struct cli_replicas *replicas, int32_t broker)
{
	for (int32_t i = 0; i < replicas->count; i++) {
		if (replicas->brokers[i] == broker)
			return true;
	}
	return false;
}

/* How many replicas a partition is to have: while it moves, those that come do not count. */
static int32_t
replication_factor(const struct cli_partition *partition)
{
	const struct cli_reassignment *moving = partition->reassignment;
	bool is_moving = false;
	for (int32_t i = 0; moving != NULL && i < partition->replicas.count; i++) {
		int32_t broker = partition->replicas.brokers[i];
		is_moving = is_moving || has_broker(&moving->adding, broker) ||
		            has_broker(&moving->removing, broker);
	}
	return partition->replicas.count - (is_moving ? moving->adding.count : 0);
}

/* Whether only partitions in some trouble are wanted. */
static bool
is_report(const struct cli_topics_wanted *wanted)
{
	return wanted->under_replicated || wanted->unavailable || wanted->under_min_isr ||
	       wanted->at_min_isr;
}

static bool
is_wanted(const struct cli_topics_wanted *wanted, const struct cli_topics *topics,
    const struct cli_topic *topic, const struct cli_partition *partition)
{
	bool has_leader = partition->leader >= 0;
	int32_t isr = partition->isr.count;
	if (wanted->only_overridden)
		return false;
	if (!is_report(wanted))
		return true;
	return (wanted->under_replicated && replication_factor(partition) > isr) ||
	       (wanted->unavailable &&
		   (!has_leader || !has_broker(&topics->live, partition->leader))) ||
	       (wanted->under_min_isr && (!has_leader || isr < topic->min_isr)) ||
	       (wanted->at_min_isr && isr == topic->min_isr);
}

/* In the days of ZooKeeper only a topic's own settings were told of. */
static bool
is_told(const struct cli_setting *setting, bool is_of_old)
{
	return !is_of_old || setting->source == OT_SOURCE_TOPIC ||
	       setting->source == OT_SOURCE_UNKNOWN;
}

static int32_t
count_told(const struct cli_topic *topic, bool is_of_old)
{
	int32_t count = 0;
	for (int32_t i = 0; i < topic->setting_count; i++)
		count += is_told(&topic->settings[i], is_of_old);
	return count;
}

/* ---- printing ------------------------------------------------------------------------------ */

static void
print_replicas(const char *title, const struct cli_replicas *replicas, FILE *out)
{
	fprintf(out, "\t%s: ", title);
	if (replicas->count < 0)
		fprintf(out, "N/A");
	for (int32_t i = 0; i < replicas->count; i++)
		fprintf(out, "%s%d", i > 0 ? "," : "", replicas->brokers[i]);
}

static void
print_topic(const struct cli_topic *topic, bool is_of_old, FILE *out)
{
	const char *blank = is_of_old ? "" : " ";
	char id[OT_UUID_TEXT_BYTES];
	fprintf(out, "Topic:%s%.*s", blank, OT_STR_ARG(topic->name));
	if (!is_of_old && !ot_uuid_is_zero(&topic->id)) {
		ot_uuid_to_text(&topic->id, id);
		fprintf(out, "\tTopicId: %s", id);
	}
	int32_t factor = topic->partition_count > 0 ? replication_factor(&topic->partitions[0]) : 0;
	fprintf(out, "\tPartitionCount:%s%d\tReplicationFactor:%s%d\tConfigs:%s", blank,
	    topic->partition_count, blank, factor, blank);
	const char *comma = "";
	for (int32_t i = 0; i < topic->setting_count; i++) {
		const struct cli_setting *setting = &topic->settings[i];
		if (!is_told(setting, is_of_old))
			continue;
		fprintf(out, "%s%.*s=%.*s", comma, OT_STR_ARG(setting->name),
		    OT_STR_ARG(setting->value));
		comma = ",";
	}
	fputc('\n', out);
}

static void
print_partition(const struct cli_topic *topic, const struct cli_partition *partition,
    bool is_of_old, FILE *out)
{
	fprintf(out, "\tTopic: %.*s\tPartition: %d\tLeader: ", OT_STR_ARG(topic->name),
	    partition->index);
	if (partition->leader >= 0)
		fprintf(out, "%d", partition->leader);
	else
		fprintf(out, "none");
	print_replicas("Replicas", &partition->replicas, out);
	print_replicas("Isr", &partition->isr, out);
	if (!is_of_old && partition->reassignment != NULL) {
		print_replicas("Adding Replicas", &partition->reassignment->adding, out);
		print_replicas("Removing Replicas", &partition->reassignment->removing, out);
	}
	if (!is_of_old) {
		print_replicas("Elr", &partition->elr, out);
		print_replicas("LastKnownElr", &partition->last_elr, out);
	}
	fputc('\n', out);
}

static json_t *
json_of_replicas(const struct cli_replicas *replicas)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < replicas->count; i++)
		json_array_append_new(array, json_integer(replicas->brokers[i]));
	return array;
}

static json_t *
json_of_partition(const struct cli_partition *partition)
{
	json_t *object = json_object();
	json_object_set_new(object, "partition", json_integer(partition->index));
	json_object_set_new(object, "leader",
	    partition->leader >= 0 ? json_integer(partition->leader) : json_null());
	json_object_set_new(object, "replicas", json_of_replicas(&partition->replicas));
	json_object_set_new(object, "isr", json_of_replicas(&partition->isr));
	if (partition->elr.count >= 0)
		json_object_set_new(object, "elr", json_of_replicas(&partition->elr));
	if (partition->last_elr.count >= 0)
		json_object_set_new(object, "last_known_elr",
		    json_of_replicas(&partition->last_elr));
	if (partition->reassignment != NULL) {
		json_object_set_new(object, "adding_replicas",
		    json_of_replicas(&partition->reassignment->adding));
		json_object_set_new(object, "removing_replicas",
		    json_of_replicas(&partition->reassignment->removing));
	}
	return object;
}

static json_t *
json_of_topic(const struct cli_topics_wanted *wanted, const struct cli_topics *topics,
    const struct cli_topic *topic)
{
	char id[OT_UUID_TEXT_BYTES];
	json_t *object = json_object();
	json_t *settings = json_object();
	json_t *partitions = json_array();
	ot_uuid_to_text(&topic->id, id);
	json_object_set_new(object, "topic",
	    json_stringn(topic->name.data, (size_t)topic->name.len));
	json_object_set_new(object, "topic_id", json_string(id));
	json_object_set_new(object, "partition_count", json_integer(topic->partition_count));
	for (int32_t i = 0; i < topic->setting_count; i++) {
		const struct cli_setting *one = &topic->settings[i];
		json_object_setn_new(settings, one->name.data, (size_t)one->name.len,
		    one->value.len < 0 ? json_null()
				       : json_stringn(one->value.data, (size_t)one->value.len));
	}
	for (int32_t i = 0; i < topic->partition_count; i++) {
		if (is_wanted(wanted, topics, topic, &topic->partitions[i]))
			json_array_append_new(partitions, json_of_partition(&topic->partitions[i]));
	}
	json_object_set_new(object, "configs", settings);
	json_object_set_new(object, "partitions", partitions);
	return object;
}

void
cli_topics_print(const struct cli_topics_wanted *wanted, const struct cli_topics *topics,
    bool is_of_old, FILE *out)
{
	json_t *array = wanted->is_json ? json_array() : NULL;
	for (int32_t i = 0; i < topics->count; i++) {
		const struct cli_topic *topic = &topics->items[i];
		bool is_shown = !wanted->only_overridden || count_told(topic, is_of_old) > 0;
		if (array != NULL) {
			if (is_shown)
				json_array_append_new(array, json_of_topic(wanted, topics, topic));
			continue;
		}
		if (is_shown && !is_report(wanted))
			print_topic(topic, is_of_old, out);
		for (int32_t k = 0; k < topic->partition_count; k++) {
			const struct cli_partition *partition = &topic->partitions[k];
			if (is_wanted(wanted, topics, topic, partition))
				print_partition(topic, partition, is_of_old, out);
		}
	}
	if (array != NULL)
		cli_print_json(array, out);
}
