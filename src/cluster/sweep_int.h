/* Inside the room: changes of all partitions that something concerns.
 *
 * A sweep looks at each partition of the image once and lets partition_change_make() decide. There
 * is no index of partitions by broker: it would cost memory for each replica of each partition in
 * every process, and looking at 200,000 partitions takes a few milliseconds.
 *
 * A sweep may need more records than one batch takes. Each batch leaves a state that is right in
 * itself, and what brings the next attempt about comes last: a broker's partitions are moved before
 * it is fenced. So if the controller changes between two batches, the next one does the rest.
 */
#ifndef OT_CLUSTER_SWEEP_INT_H
#define OT_CLUSTER_SWEEP_INT_H

#include "cluster/partition_change_int.h"

struct sweep {
	struct operation *operation;
	struct partition_changer changer;
	/* Whether the partition is concerned: cheap, called for all of them. */
	bool (*concerns)(const struct sweep *sweep, const struct ot_partition_image *partition);
	/* What is wanted of it; false: nothing. NULL: what the changer does by itself. */
	bool (*want)(struct sweep *sweep, struct partition_change *change);
	int32_t records_max; /* 0: no bound */

	/* For the two above. */
	struct ot_uuid directory;

	/* The sweep's. */
	struct ot_image *image; /* with the operation's records of before; a reference */
	const struct ot_topic_image *topic;
	int32_t record_count;
};

/* Between the two the caller sets what it wants: the changer's brokers, the functions. The sweep
 * sees what the operation has done before. @owner control   @blocks never; so all below */
void sweep_init(struct sweep *sweep, struct operation *operation);
void sweep_run(struct sweep *sweep); /* and gives back what it holds */

/* The broker leads nothing any more and leaves each ISR. Uncleanly: it may have lost records, so
 * that it is no eligible leader either. */
void sweep_broker_leaves(struct operation *operation, int32_t broker_id, bool is_unclean);

/* The broker was started anew. As above, but where nobody beside it is active it keeps what it
 * alone has: a lone broker (control_registration.c). */
void sweep_broker_returns(struct operation *operation, int32_t broker_id, bool is_unclean,
    bool is_lone);

/* Partitions that nobody leads, or a broker that may not, get a leader, who may be that broker;
 * with NOBODY, of those that are active. */
void sweep_broker_comes(struct operation *operation, int32_t broker_id);

/* A directory of the broker is lost: its replicas there leave as if the broker did. */
void sweep_directory_fails(struct operation *operation, int32_t broker_id,
    const struct ot_uuid *directory);

/* Lists of eligible leader replicas that the settings do not justify any more are emptied. */
void sweep_eligible_replicas(struct operation *operation);

/* Whether the broker leads any partition. */
bool sweep_finds_leader(const struct ot_image *image, int32_t broker_id);

#endif
