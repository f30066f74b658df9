/* Topics that brokers create by themselves: as a CreateTopics request, so that they take the same
 * path as all others. */

#include "cluster/controller.h"

#include <stdio.h>

#include "base/panic.h"
#include "wire/msg_create_topics.h"

/* What the settings say of an internal topic. */
struct internal_topic {
	const char *name;
	enum ot_broker_key partition_count;
	enum ot_broker_key replica_count;
	enum ot_broker_key segment_bytes;
	int min_isr; /* enum ot_broker_key, or -1: none is set */
	struct {
		const char *name;
		const char *value;
	} configs[3]; /* name NULL: none */
};

static const struct internal_topic internal_topics[] = {
	{ "__consumer_offsets", OT_BROKER_OFFSETS_TOPIC_NUM_PARTITIONS,
	    OT_BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR, OT_BROKER_OFFSETS_TOPIC_SEGMENT_BYTES, -1,
	    { { "cleanup.policy", "compact" }, { "compression.type", "producer" } } },
	{ "__transaction_state", OT_BROKER_TRANSACTION_STATE_LOG_NUM_PARTITIONS,
	    OT_BROKER_TRANSACTION_STATE_LOG_REPLICATION_FACTOR,
	    OT_BROKER_TRANSACTION_STATE_LOG_SEGMENT_BYTES, OT_BROKER_TRANSACTION_STATE_LOG_MIN_ISR,
	    { { "cleanup.policy", "compact" }, { "compression.type", "uncompressed" },
		{ "unclean.leader.election.enable", "false" } } },
	{ "__share_group_state", OT_BROKER_SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS,
	    OT_BROKER_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR,
	    OT_BROKER_SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES,
	    OT_BROKER_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR,
	    { { "cleanup.policy", "delete" }, { "compression.type", "producer" },
		{ "retention.ms", "-1" } } },
};

static int32_t
active_brokers(const struct ot_image *image)
{
	const struct ot_broker_image *broker;
	int32_t count = 0;

	for (int32_t id = 0; (broker = ot_image_broker_from(image, id)) != NULL;
	     id = broker->id + 1)
		count += !broker->is_fenced && !broker->is_in_controlled_shutdown;
	return count;
}

/* A default that no broker asked for gives way to what there is. */
static int32_t
number_that_fits(const struct ot_image *image, enum ot_broker_key key)
{
	const struct ot_settings *settings = ot_image_settings(image);
	int32_t number = ot_settings_int(settings, key);

	if (ot_settings_is_set(settings, key))
		return number;
	return OT_MAX(1, OT_MIN(number, active_brokers(image)));
}

static bool
add_text(struct ot_create_topics_request_topic *topic, const char *name, const char *value)
{
	if (value == NULL)
		return false;
	topic->configs[topic->configs_count].name = ot_str_from(name);
	topic->configs[topic->configs_count].value = ot_str_from(value);
	topic->configs_count++;
	return true;
}

static bool
add_number(struct ot_create_topics_request_topic *topic, const char *name, int64_t number,
    struct ot_arena *arena)
{
	char text[24];
	int bytes = snprintf(text, sizeof(text), "%lld", (long long)number);

	return add_text(topic, name, ot_arena_strndup(arena, text, (size_t)bytes));
}

static bool
fill_internal(const struct ot_image *image, const struct internal_topic *internal,
    struct ot_arena *arena, struct ot_create_topics_request_topic *topic)
{
	const struct ot_settings *settings = ot_image_settings(image);
	bool ok;

	topic->num_partitions = ot_settings_int(settings, internal->partition_count);
	topic->replication_factor = (int16_t)number_that_fits(image, internal->replica_count);
	topic->configs = ot_create_topics_request_config_array(arena, 5);
	if (topic->configs == NULL)
		return false;
	topic->configs_count = 0;
	ok = add_number(topic, "segment.bytes",
	    ot_settings_number(settings, internal->segment_bytes), arena);
	for (size_t i = 0; ok && i < OT_ARRAY_COUNT(internal->configs); i++) {
		if (internal->configs[i].name != NULL)
			ok = add_text(topic, internal->configs[i].name, internal->configs[i].value);
	}
	if (ok && internal->min_isr >= 0)
		ok = add_number(topic, "min.insync.replicas",
		    number_that_fits(image, (enum ot_broker_key)internal->min_isr), arena);
	return ok;
}

bool
ot_auto_topic_fill(const struct ot_image *image, struct ot_str name, struct ot_arena *arena,
    struct ot_create_topics_request_topic *ret_topic)
{
	ot_create_topics_request_topic_init(ret_topic);
	ret_topic->name = name;
	ret_topic->num_partitions = -1;
	ret_topic->replication_factor = -1;
	for (size_t i = 0; i < OT_ARRAY_COUNT(internal_topics); i++) {
		if (ot_str_is(name, internal_topics[i].name))
			return fill_internal(image, &internal_topics[i], arena, ret_topic);
	}
	return true;
}
