/* The order is Kafka's: features first, so that a reader knows the level of metadata.version before
 * anything else; then brokers and controllers, topics with their partitions, settings, quotas,
 * producer ids, ACLs, SCRAM credentials, delegation tokens. */
#include "cluster/snapshot.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/feature_levels.h"
#include "cluster/image_int.h"
#include "wire/msg_metadata_log.h"

/* What is written, in this order; a stage of kept records says of which type. */
enum stage {
	STAGE_METADATA_VERSION,
	STAGE_FEATURES,
	STAGE_BROKERS,
	STAGE_CONTROLLERS,
	STAGE_TOPICS,
	STAGE_CONFIGS,
	STAGE_QUOTAS,
	STAGE_PRODUCER_IDS,
	STAGE_ACLS,
	STAGE_SCRAM,
	STAGE_TOKENS,
	STAGE_ZK_MIGRATION,
	STAGE_END,
};

struct ot_image_dump {
	struct ot_image *image;
	int16_t metadata_version;
	enum stage stage;
	struct tree_cursor cursor;     /* of the stage's tree */
	struct tree_cursor partitions; /* of the topic at the cursor */
	bool is_in_topic;
	int32_t pair_index; /* in the config at the cursor */
};

static int16_t
kept_type(enum stage stage)
{
	switch (stage) {
	case STAGE_CONTROLLERS:
		return OT_REGISTER_CONTROLLER_RECORD_TYPE;
	case STAGE_QUOTAS:
		return OT_CLIENT_QUOTA_RECORD_TYPE;
	case STAGE_ACLS:
		return OT_ACCESS_CONTROL_ENTRY_RECORD_TYPE;
	case STAGE_SCRAM:
		return OT_USER_SCRAM_CREDENTIAL_RECORD_TYPE;
	case STAGE_TOKENS:
		return OT_DELEGATION_TOKEN_RECORD_TYPE;
	case STAGE_ZK_MIGRATION:
		return OT_ZK_MIGRATION_STATE_RECORD_TYPE;
	default:
		return -1;
	}
}

static void
stage_begin(struct ot_image_dump *dump, enum stage stage)
{
	const struct ot_image *image = dump->image;
	struct image_kept key = { .type = kept_type(stage), .key = { (const uint8_t *)"", 0 } };

	dump->stage = stage;
	if (stage == STAGE_FEATURES)
		tree_begin(&dump->cursor, image->features);
	else if (stage == STAGE_BROKERS)
		tree_begin(&dump->cursor, image->brokers);
	else if (stage == STAGE_TOPICS)
		tree_begin(&dump->cursor, image->topics_by_name);
	else if (stage == STAGE_CONFIGS)
		tree_begin(&dump->cursor, image->configs);
	else if (key.type >= 0)
		tree_seek(&dump->cursor, image->kept, &image_kept, image_key_of_kept(&key));
	else
		dump->cursor.depth = 0;
}

struct ot_image_dump *
ot_image_dump_begin(struct ot_image *image)
{
	struct ot_image_dump *dump = OT_NEW(struct ot_image_dump);

	dump->image = ot_image_ref(image);
	dump->metadata_version = ot_image_feature(image, ot_str_from(OT_METADATA_VERSION));
	stage_begin(dump, STAGE_METADATA_VERSION);
	return dump;
}

void
ot_image_dump_end(struct ot_image_dump *dump)
{
	if (dump == NULL)
		return;
	ot_image_unref(dump->image);
	ot_free(dump);
}

/* ---- records -------------------------------------------------------------------------------- */

static void
add(struct ot_metadata_records *out, int16_t metadata_version, const struct ot_msg *type,
    const void *msg)
{
	ot_metadata_records_add_version(out, type,
	    ot_metadata_record_version(metadata_version, type->type), msg);
}

void
ot_broker_image_to_record(const struct ot_broker_image *broker, int16_t metadata_version,
    struct ot_metadata_records *out)
{
	struct ot_register_broker_record record;
	size_t endpoint_count = (size_t)broker->endpoint_count;
	size_t feature_count = (size_t)broker->feature_count;
	struct ot_register_broker_record_endpoint *endpoints =
	    ot_must_alloc(endpoint_count * sizeof(*endpoints) + 1);
	struct ot_register_broker_record_feature *features =
	    ot_must_alloc(feature_count * sizeof(*features) + 1);

	ot_register_broker_record_init(&record);
	for (size_t i = 0; i < endpoint_count; i++) {
		endpoints[i].name = broker->endpoints[i].name;
		endpoints[i].host = broker->endpoints[i].host;
		endpoints[i].port = broker->endpoints[i].port;
		endpoints[i].security_protocol = broker->endpoints[i].security;
	}
	for (size_t i = 0; i < feature_count; i++) {
		features[i].name = broker->features[i].name;
		features[i].min_supported_version = broker->features[i].min;
		features[i].max_supported_version = broker->features[i].max;
	}
	record.broker_id = broker->id;
	record.broker_epoch = broker->epoch;
	record.incarnation_id = broker->incarnation;
	record.rack = broker->rack;
	record.fenced = broker->is_fenced;
	record.in_controlled_shutdown = broker->is_in_controlled_shutdown;
	record.end_points = endpoints;
	record.end_points_count = broker->endpoint_count;
	record.features = features;
	record.features_count = broker->feature_count;
	record.log_dirs = (struct ot_uuid *)broker->log_dirs;
	record.log_dirs_count = broker->log_dir_count;
	if (broker->cordoned_log_dir_count > 0) {
		record.cordoned_log_dirs = (struct ot_uuid *)broker->cordoned_log_dirs;
		record.cordoned_log_dirs_count = broker->cordoned_log_dir_count;
	}
	add(out, metadata_version, &ot_register_broker_record_msg, &record);
	ot_free(endpoints);
	ot_free(features);
}

void
ot_partition_image_to_record(const struct ot_partition_image *partition,
    const struct ot_uuid *topic_id, int16_t metadata_version, struct ot_metadata_records *out)
{
	struct ot_uuid *directories =
	    ot_must_alloc((size_t)partition->replica_count * sizeof(*directories) + 1);
	struct image_partition_lists lists = image_partition_lists(partition, directories);
	struct ot_partition_record record;

	ot_partition_record_init(&record);
	record.partition_id = partition->index;
	record.topic_id = *topic_id;
	record.leader = partition->leader;
	record.leader_epoch = partition->leader_epoch;
	record.partition_epoch = partition->partition_epoch;
	record.leader_recovery_state = (int8_t)partition->recovery_state;
	record.replicas = (int32_t *)lists.replicas.items;
	record.replicas_count = lists.replicas.count;
	record.isr = (int32_t *)lists.isr.items;
	record.isr_count = lists.isr.count;
	record.adding_replicas = (int32_t *)lists.adding.items;
	record.adding_replicas_count = lists.adding.count;
	record.removing_replicas = (int32_t *)lists.removing.items;
	record.removing_replicas_count = lists.removing.count;
	record.directories = directories;
	record.directories_count = partition->replica_count;
	if (lists.elr.count > 0) {
		record.eligible_leader_replicas = (int32_t *)lists.elr.items;
		record.eligible_leader_replicas_count = lists.elr.count;
	}
	if (lists.last_known_elr.count > 0) {
		record.last_known_elr = (int32_t *)lists.last_known_elr.items;
		record.last_known_elr_count = lists.last_known_elr.count;
	}
	add(out, metadata_version, &ot_partition_record_msg, &record);
	ot_free(directories);
}

static void
add_feature(struct ot_metadata_records *out, struct ot_str name, int16_t level)
{
	struct ot_feature_level_record record;

	ot_feature_level_record_init(&record);
	record.name = name;
	record.feature_level = level;
	ot_metadata_records_add(out, &ot_feature_level_record_msg, &record);
}

static void
add_pair(struct ot_metadata_records *out, const struct ot_config_image *config, int32_t index)
{
	struct ot_config_record record;

	ot_config_record_init(&record);
	record.resource_type = config->resource;
	record.resource_name = config->name;
	record.name = config->pairs[index].name;
	record.value = config->pairs[index].value;
	ot_metadata_records_add(out, &ot_config_record_msg, &record);
}

/* ---- stages --------------------------------------------------------------------------------- */

/* Each writes one record, or none at the end of its stage. */

static void
write_topics(struct ot_image_dump *dump, struct ot_metadata_records *out)
{
	const struct ot_topic_image *topic = tree_at(&dump->cursor);
	struct ot_topic_record record;

	if (!dump->is_in_topic) {
		ot_topic_record_init(&record);
		record.name = topic->name;
		record.topic_id = topic->id;
		ot_metadata_records_add(out, &ot_topic_record_msg, &record);
		tree_begin(&dump->partitions, topic->partitions);
		dump->is_in_topic = true;
	} else if (tree_at(&dump->partitions) != NULL) {
		ot_partition_image_to_record(tree_at(&dump->partitions), &topic->id,
		    dump->metadata_version, out);
		tree_next(&dump->partitions);
	}
	if (tree_at(&dump->partitions) != NULL)
		return;
	dump->is_in_topic = false;
	tree_next(&dump->cursor);
}

static void
write_configs(struct ot_image_dump *dump, struct ot_metadata_records *out)
{
	const struct ot_config_image *config = tree_at(&dump->cursor);

	add_pair(out, config, dump->pair_index);
	if (++dump->pair_index < config->pair_count)
		return;
	dump->pair_index = 0;
	tree_next(&dump->cursor);
}

/* Stages that have one record at most. */
static void
write_single(const struct ot_image_dump *dump, struct ot_metadata_records *out)
{
	struct ot_producer_ids_record ids;

	if (dump->stage == STAGE_METADATA_VERSION && dump->metadata_version > 0)
		add_feature(out, ot_str_from(OT_METADATA_VERSION), dump->metadata_version);
	if (dump->stage == STAGE_PRODUCER_IDS && dump->image->producer_id_next > 0) {
		ot_producer_ids_record_init(&ids);
		ids.broker_id = -1;
		ids.broker_epoch = -1;
		ids.next_producer_id = dump->image->producer_id_next;
		ot_metadata_records_add(out, &ot_producer_ids_record_msg, &ids);
	}
}

/* Writes what is at the cursor and moves on; false at the end of the stage. */
static bool
write_at_cursor(struct ot_image_dump *dump, struct ot_metadata_records *out)
{
	const void *item = tree_at(&dump->cursor);
	const struct image_feature *feature = item;
	const struct image_kept *kept = item;

	if (item == NULL)
		return false;
	if (dump->stage == STAGE_TOPICS) {
		write_topics(dump, out);
		return true;
	}
	if (dump->stage == STAGE_CONFIGS) {
		write_configs(dump, out);
		return true;
	}
	if (dump->stage == STAGE_BROKERS) {
		ot_broker_image_to_record(item, dump->metadata_version, out);
	} else if (dump->stage == STAGE_FEATURES) {
		if (!ot_str_is(feature->name, OT_METADATA_VERSION))
			add_feature(out, feature->name, feature->level);
	} else if (kept->type == kept_type(dump->stage)) {
		ot_metadata_records_add_framed(out, kept->framed);
	} else {
		return false;
	}
	tree_next(&dump->cursor);
	return true;
}

ot_err
ot_image_dump_next(struct ot_image_dump *dump, size_t bytes_max, struct ot_metadata_records *out)
{
	while (dump->stage != STAGE_END && out->bytes.bytes < bytes_max && !out->failed) {
		if (write_at_cursor(dump, out))
			continue;
		write_single(dump, out);
		stage_begin(dump, dump->stage + 1);
	}
	return out->failed ? OT_ERR_NO_MEMORY : OT_OK;
}
