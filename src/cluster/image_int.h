/* Inside the room: what an image is made of. */
#ifndef OT_CLUSTER_IMAGE_INT_H
#define OT_CLUSTER_IMAGE_INT_H

#include "base/blob.h"
#include "cluster/image.h"
#include "cluster/tree_int.h"

/* Each tree's values begin with their count of references. */
struct ot_image {
	struct ot_refs refs; /* all below [const] once the image is out */
	struct ot_image_place place;
	struct ot_settings *settings_static;    /* of the property file */
	struct ot_settings *settings;           /* with the dynamic ones; may be the same object */
	struct ot_config_image *topic_defaults; /* topic settings without overrides */
	struct ot_blob *cluster_id;             /* text with a NUL */
	int32_t controller_id;
	int32_t broker_count;
	int64_t topic_count;
	int64_t partition_count;
	int64_t producer_id_next;

	struct ot_image_tree *topics_by_hash;
	struct ot_image_tree *topics_by_id;
	struct ot_image_tree *topics_by_name;
	struct ot_image_tree
	    *topics_colliding; /* those with '.' or '_', by name with '.' for '_' */
	struct ot_image_tree *brokers;
	struct ot_image_tree *configs;
	struct ot_image_tree *features;
	struct ot_image_tree *kept;
};

struct image_feature {
	struct ot_refs refs;
	int16_t level;
	struct ot_str name;
	char text[];
};

/* A record of a type that this room only keeps. */
struct image_kept {
	struct ot_refs refs;
	int16_t type;
	struct ot_bytes key; /* tells records of the type apart */
	struct ot_bytes framed;
	uint8_t bytes[];
};

extern const struct tree_ops image_topics_by_hash;
extern const struct tree_ops image_topics_by_id;
extern const struct tree_ops image_topics_by_name;
extern const struct tree_ops image_topics_colliding;
extern const struct tree_ops image_partitions;
extern const struct tree_ops image_brokers;
extern const struct tree_ops image_configs;
extern const struct tree_ops image_features;
extern const struct tree_ops image_kept;

struct tree_key image_key_of_id(const struct ot_uuid *id);
struct tree_key image_key_of_hash(const struct ot_str *name);
struct tree_key image_key_of_name(const struct ot_str *name);
struct tree_key image_key_of_int(int32_t number);

/* Keys of configs and kept records: of these only resource and name, type and key are looked at. */
struct tree_key image_key_of_config(const struct ot_config_image *config);
struct tree_key image_key_of_kept(const struct image_kept *kept);

/* Whether metrics' names could take the name for another one's. */
bool image_name_may_collide(struct ot_str name);

/* Objects with one reference; texts are copied. */
struct ot_topic_image *image_topic_create(struct ot_str name, const struct ot_uuid *id);
struct ot_topic_image *image_topic_copy(const struct ot_topic_image *topic);
void image_topic_unref(struct ot_topic_image *topic); /* accepts NULL */

struct ot_config_image *image_config_create(int8_t resource, struct ot_str name,
    const struct ot_config_pair *pairs, int32_t pair_count);
struct ot_config_image *image_config_ref(struct ot_config_image *config); /* accepts NULL */
void image_config_unref(struct ot_config_image *config);                  /* accepts NULL */

/* Computes the topic settings of a config that nobody else sees yet. */
void image_config_settle(struct ot_config_image *config, const struct ot_settings *settings);

/* The lists of a partition, to make one of. */
struct image_partition_lists {
	struct ot_ids replicas;
	struct ot_ids isr;
	struct ot_ids adding;
	struct ot_ids removing;
	struct ot_ids elr;
	struct ot_ids last_known_elr;
	const struct ot_uuid *directories; /* as many as replicas, or NULL */
};

/* A partition whose plain fields are still to be set, one reference. */
struct ot_partition_image *image_partition_create(const struct image_partition_lists *lists);
struct image_partition_lists image_partition_lists(const struct ot_partition_image *partition,
    struct ot_uuid *directories_room);

/* Records about brokers, and records that are only kept (image_records.c). OT_ERR_MALFORMED and
 * OT_ERR_UNSUPPORTED_VERSION as ot_image_edit_apply(). */
struct ot_typed_record;
ot_err image_broker_apply(struct ot_image *image, const struct ot_typed_record *record,
    struct ot_why *why) OT_MUST_USE;
ot_err image_keep(struct ot_image *image, const struct ot_typed_record *record,
    struct ot_why *why) OT_MUST_USE;

#endif
