/* Inside the room: what becomes of a partition. One place decides it, whatever the reason: a broker
 * that leaves or comes, a leader's request, a reassignment, an election, a directory that failed.
 *
 * The caller says what it wants of one partition; partition_change_make() works out the record:
 *
 *   1. A reassignment whose new replicas are all in sync is completed (KIP-455).
 *   2. Eligible leader replicas (KIP-966), where the feature is on: while fewer are in sync than
 *      min.insync.replicas, whoever leaves the ISR cleanly has all that was committed, since with
 *      too small an ISR nothing is. With enough of them the list is empty.
 *   3. The leader. Whoever leads and may goes on; else the first replica in order that is in sync,
 *      or eligible when nobody is; else the last leader of all, when it alone is known; else, in an
 *      unclean election, the first that lives. The last two may lose records: the ISR is that one
 *      replica, and the leader is told that it recovers.
 *   4. The leader epoch goes up, by naming the leader, when the leader changes or a replica leaves.
 *   5. Without eligible leader replicas the ISR never gets empty: the last one stays, so that it
 * can lead again.
 *
 * Kafka's PartitionChangeBuilder, and as there the lists keep their order. Where we differ: a last
 * known leader is elected only while it is active; eligible are only replicas; and the least ISR is
 * bounded by the partition's own replicas, not by those of partition 0.
 */
#ifndef OT_CLUSTER_PARTITION_CHANGE_INT_H
#define OT_CLUSTER_PARTITION_CHANGE_INT_H

#include "cluster/operation_int.h"

struct ot_partition_change_record;

enum partition_election {
	ELECT_ONLINE,    /* the leader stays while it may lead */
	ELECT_PREFERRED, /* the first replica, when it may lead */
	ELECT_UNCLEAN,   /* as online, and rather somebody out of sync than nobody */
};

enum { NOBODY = -1 };

/* The leader of a record that names none. */
enum { LEADER_STAYS = -2 };

/* What is the same for all partitions of an operation. */
struct partition_changer {
	const struct ot_image *image; /* whose brokers and settings count; outlives the changer */
	int32_t leaving_id;           /* may not lead, whatever the image says; or NOBODY */
	int32_t coming_id;            /* may lead although it is still fenced; or NOBODY */
	bool is_unclean;              /* who leaves may lack records: it is not eligible either */
	bool has_elr;
	bool has_directories;
	bool has_epoch_for_shrink; /* metadata.version before 3.6 */
	bool is_failed;            /* memory was short: the last record is not complete */
	struct ot_arena arena;     /* of the lists of one change */
};

/* What is wanted of one partition. */
struct partition_change {
	const struct ot_topic_image *topic;
	const struct ot_partition_image *partition;
	enum partition_election election;
	/* As they shall be; at first as they are. Memory is the image's, the caller's, or the
	 * changer's until the next change. */
	struct ot_ids replicas;
	struct ot_ids isr;
	struct ot_ids adding;
	struct ot_ids removing;
	int8_t recovery_state;
	bool is_led_anew; /* no election: whoever leads goes on, in a new epoch */
	/* A replica that goes to another directory of its broker; NOBODY: none does. */
	int32_t moved_id;
	struct ot_uuid moved_directory;
};

/* With nobody leaving or coming. @owner control   @blocks never; so all below */
void partition_changer_init(struct partition_changer *changer, const struct operation *operation,
    const struct ot_image *image);
void partition_changer_fini(struct partition_changer *changer);

/* Begins the change of one partition; lists of the one before are gone. The election is unclean
 * where the topic's settings allow it, else online. */
void partition_change_begin(struct partition_changer *changer, const struct ot_topic_image *topic,
    const struct ot_partition_image *partition, struct partition_change *ret_change);

/* The ids without `id`, or without all of `others`; with `others` behind them that are not there
 * yet. In the changer's memory. */
struct ot_ids partition_ids_without(struct partition_changer *changer, struct ot_ids ids,
    int32_t id);
struct ot_ids partition_ids_minus(struct partition_changer *changer, struct ot_ids ids,
    struct ot_ids others);
struct ot_ids partition_ids_plus(struct partition_changer *changer, struct ot_ids ids,
    struct ot_ids others);

/* Whether that broker may lead the partition: it is active, and the replica's directory lives. */
bool partition_may_be_led(const struct partition_changer *changer,
    const struct ot_partition_image *partition, int32_t id);

/* Works the record out; its arrays are the changer's until the next change. False when nothing
 * changes, or without memory. */
bool partition_change_make(struct partition_changer *changer, struct partition_change *change,
    struct ot_partition_change_record *ret_record) OT_MUST_USE;

/* Makes the record and adds it to the operation; false when nothing changed. */
bool partition_change_add(struct partition_changer *changer, struct partition_change *change,
    struct operation *operation);

#endif
