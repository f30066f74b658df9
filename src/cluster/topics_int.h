/* Inside the room: what operations on topics and partitions share. */
#ifndef OT_CLUSTER_TOPICS_INT_H
#define OT_CLUSTER_TOPICS_INT_H

#include "cluster/operation_int.h"
#include "cluster/placement_int.h"

/* Kafka's message for a setting that no record can hold; takes the greatest length. */
#define CLUSTER_VALUE_TOO_LONG                                                                     \
	"The configuration value cannot be added because it exceeds the maximum value size of %d " \
	"bytes."

/* Whether the broker is registered and neither fenced nor stopping. @owner control */
bool cluster_broker_is_active(const struct ot_image *image, int32_t id);

/* A list of replicas that a user gives: not empty, of registered brokers, each once, and as many as
 * `replica_count` (-1: any number). OT_ERR_INVALID_REPLICA_ASSIGNMENT. @owner control */
ot_err cluster_check_replicas(const struct ot_image *image, struct ot_ids ids,
    int32_t replica_count, struct ot_why *why) OT_MUST_USE;

/* How many of the ids could be in sync. With none, a partition is refused. */
int32_t cluster_count_active(const struct ot_image *image, struct ot_ids ids);

/* Places partitions and checks that each has an active replica. OT_ERR_INVALID_REPLICATION_FACTOR,
 * OT_ERR_NO_MEMORY. */
ot_err cluster_choose_replicas(struct operation *operation, const struct placement *placement,
    int32_t **ret_replicas, struct ot_why *why) OT_MUST_USE;

/* Whether `count` records more fit into the operation. OT_ERR_POLICY_VIOLATION. */
ot_err cluster_check_room(const struct operation *operation, int64_t count,
    struct ot_why *why) OT_MUST_USE;

/* Adds records of new partitions, from `first_index` on: active replicas are in sync, the first of
 * them leads. */
void cluster_add_partitions(struct operation *operation, const struct ot_uuid *topic_id,
    int32_t first_index, int32_t partition_count, const int32_t *replicas, int32_t replica_count);

/* Where a new replica goes on its broker: into the only directory, or where the broker says later
 * (KIP-858). @owner control */
struct ot_uuid cluster_directory_of_new(const struct ot_image *image, int32_t id);

/* Whether the broker has registered that directory and not lost it. @owner control */
bool cluster_broker_has_directory(const struct ot_broker_image *broker,
    const struct ot_uuid *directory);

/* Puts the least ISR of the property file into the log, for the whole cluster, and takes away those
 * of single brokers: before eligible leader replicas can be kept. @owner control */
void cluster_fix_least_isr(struct operation *operation);

/* Whether the broker is registered in that epoch. OT_ERR_STALE_BROKER_EPOCH. @owner control */
ot_err cluster_check_broker_epoch(const struct ot_image *image, int32_t id,
    int64_t epoch) OT_MUST_USE;

#endif
