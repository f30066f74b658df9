/* The metadata image: what the metadata log says, at one offset of it.
 *
 * An image never changes. A batch of records makes a new one, which shares with the old all that
 * did not change (tree_int.h): a change costs the path to it, some kilobytes, whatever the
 * cluster's size. Any thread may read the image that it has a reference to, without a lock and
 * without asking; the control thread makes new ones and sends each shard a reference. Everything
 * that is reached through an image lives as long as that image is referenced.
 *
 * Two images, not only neighbours, can be compared in time that follows what differs
 * (ot_image_delta_make()): a shard that was busy for a while reconciles with the newest one alone.
 *
 * Unless it says otherwise, what is here reads an image: @owner any thread   @blocks never
 */
#ifndef OT_CLUSTER_IMAGE_H
#define OT_CLUSTER_IMAGE_H

#include "base/arena.h"
#include "base/refs.h"
#include "base/uuid.h"
#include "config/topic_settings.h"

struct ot_image;
struct ot_image_tree;
struct ot_writer;

/* Leader of a partition that has none. */
#define OT_NO_LEADER (-1)

/* ---- what an image is of -------------------------------------------------------------------- */

/* Position in the metadata log. Kafka names the last record, so do we: -1 is before the first. */
struct ot_image_place {
	int64_t offset;    /* of the last record that is in the image */
	int32_t epoch;     /* of its batch */
	int64_t timestamp; /* of its batch, milliseconds */
};

/* @owner any thread   @blocks never */
struct ot_image *ot_image_ref(struct ot_image *image);
void ot_image_unref(struct ot_image *image); /* accepts NULL */

/* @owner any thread   @blocks never; so all below */
struct ot_image_place ot_image_place(const struct ot_image *image);
const char *ot_image_cluster_id(const struct ot_image *image);

/* The settings that hold for this process under this image: its property file, and over it the
 * dynamic settings of the image. */
struct ot_settings *ot_image_settings(const struct ot_image *image);

/* The controller's node id as far as this process knows; -1: none. */
int32_t ot_image_controller(const struct ot_image *image);

/* ---- topics --------------------------------------------------------------------------------- */

/* Ids of brokers or the like inside an object of the image. */
struct ot_ids {
	const int32_t *items;
	int32_t count;
};

struct ot_partition_image;

/* All [const] once an image has it. */
struct ot_topic_image {
	struct ot_refs refs; /* the tree's */
	struct ot_uuid id;
	struct ot_str name; /* ends in NUL */
	int32_t partition_count;
	bool is_internal; /* __consumer_offsets, __transaction_state, __share_group_state */
	struct ot_image_tree *partitions; /* by index, 0 to partition_count - 1 without gaps */
	struct ot_config_image *config;   /* NULL: the topic overrides nothing */
};

/* NULL when there is none. */
const struct ot_topic_image *ot_image_topic(const struct ot_image *image, struct ot_str name);
const struct ot_topic_image *ot_image_topic_by_id(const struct ot_image *image,
    const struct ot_uuid *id);

/* The first topic in the order of names' bytes whose name is `name` or behind it (with `is_after`,
 * only behind it); null starts at the first. NULL after the last. Cost: as a look-up. */
const struct ot_topic_image *ot_image_topic_from(const struct ot_image *image, struct ot_str name,
    bool is_after);

/* All topics in the order of names until the visit says false. */
typedef bool ot_image_visit_topic(void *arg, const struct ot_topic_image *topic);
void ot_image_visit_topics(const struct ot_image *image, ot_image_visit_topic *visit, void *arg);

int64_t ot_image_topic_count(const struct ot_image *image);
int64_t ot_image_partition_count(const struct ot_image *image);

/* The topic's settings: its overrides over the broker's settings under this image. */
const struct ot_topic_settings *ot_image_topic_settings(const struct ot_image *image,
    const struct ot_topic_image *topic);

/* A topic that `name` collides with, because names of metrics do not tell '.' from '_'; `name`
 * itself does not count. Null when there is none. Cost: as a look-up. */
struct ot_str ot_image_topic_colliding(const struct ot_image *image, struct ot_str name);

/* ---- partitions ----------------------------------------------------------------------------- */

enum { OT_RECOVERY_RECOVERED = 0, OT_RECOVERY_RECOVERING = 1 };

struct ot_partition_image {
	struct ot_refs refs; /* the tree's; all below [const] */
	int32_t index;
	int32_t leader; /* or OT_NO_LEADER */
	int32_t leader_epoch;
	int32_t partition_epoch;
	uint16_t replica_count;
	uint16_t isr_count;
	uint16_t adding_count;
	uint16_t removing_count;
	uint16_t elr_count;
	uint16_t last_known_elr_count;
	uint8_t recovery_state;
	bool has_directories; /* else all are OT_DIRECTORY_MIGRATING */
	/* replicas, ISR, adding, removing, ELR, last known ELR; then the replicas' directories */
	int32_t ids[];
};

/* NULL when the topic has no such partition. */
const struct ot_partition_image *ot_topic_partition(const struct ot_topic_image *topic,
    int32_t index);

/* All partitions in order until the visit says false: cheaper than one look-up for each. */
typedef bool ot_topic_visit_partition(void *arg, const struct ot_partition_image *partition);
void ot_topic_visit_partitions(const struct ot_topic_image *topic, ot_topic_visit_partition *visit,
    void *arg);

struct ot_ids ot_partition_replicas(const struct ot_partition_image *partition);
struct ot_ids ot_partition_isr(const struct ot_partition_image *partition);
struct ot_ids ot_partition_adding(const struct ot_partition_image *partition);
struct ot_ids ot_partition_removing(const struct ot_partition_image *partition);
struct ot_ids ot_partition_elr(const struct ot_partition_image *partition);
struct ot_ids ot_partition_last_known_elr(const struct ot_partition_image *partition);

/* The log directory of the replica at that place in the list of replicas (KIP-858). */
struct ot_uuid ot_partition_directory(const struct ot_partition_image *partition, int32_t place);

/* Whether `id` is among them. */
bool ot_ids_have(struct ot_ids ids, int32_t id);

/* The reserved directory ids. */
extern const struct ot_uuid ot_directory_unassigned;
extern const struct ot_uuid ot_directory_lost;
extern const struct ot_uuid ot_directory_migrating;

/* ---- brokers -------------------------------------------------------------------------------- */

struct ot_endpoint_image {
	struct ot_str name; /* of the listener; ends in NUL */
	struct ot_str host; /* ends in NUL */
	uint16_t port;
	int16_t security; /* enum ot_security_protocol */
};

struct ot_feature_range {
	struct ot_str name;
	int16_t min;
	int16_t max;
};

/* All [const] once an image has it. */
struct ot_broker_image {
	struct ot_refs refs; /* the tree's */
	int32_t id;
	int64_t epoch;
	struct ot_uuid incarnation;
	struct ot_str rack; /* null: none */
	bool is_fenced;
	bool is_in_controlled_shutdown;
	const struct ot_endpoint_image *endpoints;
	int32_t endpoint_count;
	const struct ot_uuid *log_dirs;
	int32_t log_dir_count;
	const struct ot_uuid *cordoned_log_dirs;
	int32_t cordoned_log_dir_count;
	const struct ot_feature_range *features;
	int32_t feature_count;
};

/* NULL when no broker of that id is registered. */
const struct ot_broker_image *ot_image_broker(const struct ot_image *image, int32_t id);

/* The registered broker with the least id that is at least `id`; NULL after the last. Iterate with
 * ot_image_broker_from(image, last->id + 1), beginning at 0. */
const struct ot_broker_image *ot_image_broker_from(const struct ot_image *image, int32_t id);

int32_t ot_image_broker_count(const struct ot_image *image);

/* The address under that listener's name (case does not count), NULL when the broker has none. */
const struct ot_endpoint_image *ot_broker_endpoint(const struct ot_broker_image *broker,
    struct ot_str listener);

/* ---- dynamic settings ----------------------------------------------------------------------- */

/* The numbers are those of the protocol (DescribeConfigs, resource type). */
enum ot_config_resource {
	OT_RESOURCE_UNKNOWN = 0,
	OT_RESOURCE_TOPIC = 2,
	OT_RESOURCE_BROKER = 4,
	OT_RESOURCE_BROKER_LOGGER = 8,
	OT_RESOURCE_CLIENT_METRICS = 16,
	OT_RESOURCE_GROUP = 32,
};

/* What is set for one resource, never empty. All [const] once an image has it. */
struct ot_config_image {
	struct ot_refs refs;
	int8_t resource;              /* enum ot_config_resource */
	struct ot_str name;           /* of a broker: its id, or empty for the cluster's default */
	struct ot_config_pair *pairs; /* in the order of names */
	int32_t pair_count;
	bool has_topic_settings; /* of the resource of a topic that exists */
	struct ot_topic_settings topic_settings;
	struct ot_arena arena; /* holds all that the pointers point to */
};

/* NULL when nothing is set there. */
const struct ot_config_image *ot_image_config(const struct ot_image *image,
    enum ot_config_resource resource, struct ot_str name);

/* All of one kind of resource, in the order of names, until the visit says false. */
typedef bool ot_image_visit_config(void *arg, const struct ot_config_image *config);
void ot_image_visit_configs(const struct ot_image *image, enum ot_config_resource resource,
    ot_image_visit_config *visit, void *arg);

/* ---- the rest ------------------------------------------------------------------------------- */

/* The finalized level of a feature, 0 when it is not finalized. */
int16_t ot_image_feature(const struct ot_image *image, struct ot_str name);

/* All finalized features in the order of names until the visit says false. */
typedef bool ot_image_visit_feature(void *arg, struct ot_str name, int16_t level);
void ot_image_visit_features(const struct ot_image *image, ot_image_visit_feature *visit,
    void *arg);

/* The epoch of the finalized features that ApiVersions tells: as in Kafka, the image's offset. */
int64_t ot_image_features_epoch(const struct ot_image *image);

/* The first producer id that no block has handed out yet. */
int64_t ot_image_producer_id_next(const struct ot_image *image);

/* ACLs, quotas, SCRAM credentials, delegation tokens and controllers' registrations: each record
 * that holds, in its frame, as the log had it (wire/recordio.h). `type` is the record's type in the
 * metadata log. In an order that stays the same, until the visit says false. */
typedef bool ot_image_visit_kept(void *arg, struct ot_bytes framed);
void ot_image_visit_kept_records(const struct ot_image *image, int16_t type,
    ot_image_visit_kept *visit, void *arg);

/* ---- differences ---------------------------------------------------------------------------- */

/* A topic that differs: `before` NULL is new, `after` NULL is gone. Deleted and created again under
 * its name, it is two entries, the deleted one first. */
struct ot_topic_delta {
	const struct ot_topic_image *before;
	const struct ot_topic_image *after;
};

struct ot_broker_delta {
	const struct ot_broker_image *before;
	const struct ot_broker_image *after;
};

struct ot_config_delta {
	const struct ot_config_image *before;
	const struct ot_config_image *after;
};

struct ot_image_delta {
	const struct ot_image *before; /* both borrowed */
	const struct ot_image *after;
	struct ot_topic_delta *topics; /* deleted ones first, then by id */
	size_t topic_count;
	struct ot_broker_delta *brokers; /* by id */
	size_t broker_count;
	struct ot_config_delta *configs; /* by resource and name */
	size_t config_count;
	/* Settings of this process: all topics' settings may be others then, also of topics that
	 * are not listed. */
	bool is_settings_changed;
	bool is_features_changed;
	bool is_kept_changed; /* ACLs and the like */
	bool is_controller_changed;
};

/* What differs between two images, in the arena. `before` may be NULL: everything is new then.
 * Texts and objects in it are the images', which must outlive it. OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
ot_err ot_image_delta_make(const struct ot_image *before, const struct ot_image *after,
    struct ot_arena *arena, struct ot_image_delta *ret_delta) OT_MUST_USE;

/* Visits the partitions that differ between two topics, by index; `before` may be NULL, `after`
 * too, in the topics and in the visit. @owner any thread   @blocks never */
typedef void ot_visit_partition_delta(void *arg, const struct ot_partition_image *before,
    const struct ot_partition_image *after);
void ot_topic_visit_partition_deltas(const struct ot_topic_image *before,
    const struct ot_topic_image *after, ot_visit_partition_delta *visit, void *arg);

/* ---- making images -------------------------------------------------------------------------- */

/* An image of nothing, one reference. `settings` are those of the property file; a reference is
 * taken. `cluster_id` is copied, at most 255 bytes. @owner control */
struct ot_image *ot_image_create(struct ot_settings *settings, const char *cluster_id) OT_MUST_USE;

struct ot_image_edit;
struct ot_typed_record;

/* Begins an edit: records are applied to a copy in progress, which nobody else sees.
 * @owner control   @blocks never; so all below */
struct ot_image_edit *ot_image_edit_begin(struct ot_image *image) OT_MUST_USE;

/* Applies one record, decoded from the metadata log or about to be written there.
 * OT_ERR_UNSUPPORTED_VERSION: of a type that this release does not know; OT_ERR_MALFORMED: it
 * contradicts the image (a partition of no topic). `why` says which. The edit can only be dropped
 * then. @owner control */
ot_err ot_image_edit_apply(struct ot_image_edit *edit, const struct ot_typed_record *record,
    struct ot_why *why) OT_MUST_USE;

/* Whether a metadata transaction (KIP-868) is open: then the edit must go on, for its records count
 * from its end on. @owner control */
bool ot_image_edit_is_in_txn(const struct ot_image_edit *edit);

/* The image in progress, for look-ups between records; it ends with the next call for the edit.
 * @owner control */
const struct ot_image *ot_image_edit_peek(struct ot_image_edit *edit);

/* What the edit has made so far, as an image that stays as it is while the edit goes on; one
 * reference. Its place is that of before. @owner control */
struct ot_image *ot_image_edit_snapshot(struct ot_image_edit *edit) OT_MUST_USE;

/* A topic in progress, NULL when there is none of that id: cheap between records, where a peek puts
 * all in order first. Its settings may be those of before. Ends with the next call for the edit.
 * @owner control */
const struct ot_topic_image *ot_image_edit_topic(const struct ot_image_edit *edit,
    const struct ot_uuid *id);

/* Lets the image name another controller. @owner control */
void ot_image_edit_set_controller(struct ot_image_edit *edit, int32_t controller_id);

/* Ends the edit, frees it, and gives the new image, one reference. OT_ERR_MALFORMED with `why` when
 * a topic's partitions have gaps; the edit is freed then too. @owner control */
ot_err ot_image_edit_end(struct ot_image_edit *edit, struct ot_image_place place,
    struct ot_image **ret_image, struct ot_why *why) OT_MUST_USE;

/* Frees the edit without a trace. Accepts NULL. @owner control */
void ot_image_edit_drop(struct ot_image_edit *edit);

/* ---- tests and metrics ----------------------------------------------------------------------- */

/* Writes the whole image as text, for tests and `ottla inspect`: two images are equal if and only
 * if their texts are. OT_ERR_NO_MEMORY. @owner any thread   @blocks never */
ot_err ot_image_print(const struct ot_image *image, struct ot_writer *out) OT_MUST_USE;

/* Bytes of the heap that this image reaches, shared or not: for tests and metrics. Linear. */
uint64_t ot_image_bytes(const struct ot_image *image);

/* Asserts what must always hold. Linear. @owner any thread */
void ot_image_check(const struct ot_image *image);

#endif
