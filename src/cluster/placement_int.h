/* Inside the room: which brokers get the replicas of new partitions.
 *
 * Kafka's striped placement (KIP-36 and KIP-631). What it wants, most important first: the first
 * replica, which leads, on a broker that is not fenced; replicas of a partition on different racks;
 * leaders and replicas evenly over racks and brokers. Each partition begins one rack further than
 * the one before, each rack goes one broker further each time; when as many partitions were placed
 * as there are brokers, both orders are shuffled, so that the same sets do not come again. Where a
 * topic has partitions already, it goes on behind the last one. Brokers that are about to stop, or
 * whose directories are all cordoned, get nothing.
 */
#ifndef OT_CLUSTER_PLACEMENT_INT_H
#define OT_CLUSTER_PLACEMENT_INT_H

#include "cluster/image.h"
#include "io/io.h"

struct placement {
	const struct ot_image *image;
	const struct ot_topic_image *topic; /* that gets more partitions; NULL for a new one */
	int32_t partition_count;            /* to be placed */
	int16_t replication_factor;
};

/* Gives partition_count * replication_factor ids, partition after partition.
 * OT_ERR_INVALID_REPLICATION_FACTOR with `why`, OT_ERR_NO_MEMORY. @owner control   @blocks never */
ot_err placement_choose(const struct placement *placement, struct ot_io *io, struct ot_arena *arena,
    int32_t **ret_ids, struct ot_why *why) OT_MUST_USE;

#endif
