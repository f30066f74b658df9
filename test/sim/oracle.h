/* The cluster's metadata as the store of the metadata log has it, read beside the brokers.
 *
 * It follows the log, and knows of each partition of the history which replicas are complete: those
 * that are in sync (or eligible, KIP-966) and have not lost power since they came to be. When the
 * power goes from the last of them, the partition is excused. It also compares brokers' images with
 * its own.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_ORACLE_H
#define OT_TEST_SIM_ORACLE_H

#include "cluster.h"
#include "history.h"

struct oracle;

struct oracle_topic {
	const char *name;
	int32_t partition_count;
	bool is_flushed; /* each record is synced before it counts: a loss of power costs nothing */
};

struct oracle *oracle_create(struct cluster *cluster, struct history *history,
    const struct oracle_topic *topics, int32_t topic_count) OT_MUST_USE;
void oracle_destroy(struct oracle *oracle); /* accepts NULL */

/* Reads what is new. */
void oracle_follow(struct oracle *oracle);

/* The power went from this broker's machine just now. */
void oracle_power_lost(struct oracle *oracle, int32_t broker_id);

/* The newest image; NULL with the engine `local`. */
struct ot_image *oracle_image(const struct oracle *oracle);

/* Compares the broker's committed image with the log up to that offset, if it runs: a difference
 * fails the history. */
void oracle_check_broker(struct oracle *oracle, const struct cluster_broker *broker);

#endif
