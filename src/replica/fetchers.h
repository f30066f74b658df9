/* Fetchers: what a shard's followers take from their leaders.
 *
 * One fetcher for each broker that leads a partition of this shard, with a link of its own to it,
 * and one Fetch request at a time, which is for all its partitions: a session (KIP-227) keeps what
 * does not change out of it. The leader's answer waits until there is something; its records go
 * into the logs without a copy, and when all are written the next request says so by its offsets.
 *
 *     asking --answer--> taking: logs are written, or cut --all done--> asking
 *        |                                                               ^
 *        +-- no answer, an error of the whole --> pause -----------------+
 *
 * A partition of which the leader does not want to hear, since it leads no more, or not yet, is
 * left out for replica.fetch.backoff.ms, or until its role or its log changes. One whose offset the
 * leader does not have asks for the leader's start and end first, as Kafka's followers do: with
 * more than the leader it is cut at the leader's end, with less than its start it begins anew
 * there.
 *
 * Throttled replicas (follower.replication.throttled.replicas) that are behind the leader's high
 * watermark are left out while more than follower.replication.throttled.rate came in of such; those
 * that have reached it go on, since producers may wait for them.
 *
 * All of it: @owner the shard   @blocks never
 */
#ifndef OT_REPLICA_FETCHERS_H
#define OT_REPLICA_FETCHERS_H

#include "replica/part.h"

struct ot_fetchers;
struct ot_throttle;

struct ot_fetchers_conf {
	struct ot_shard *shard;
	int32_t node_id;
	const char *listener; /* the brokers' own: inter.broker.listener.name; static */
	/* As the properties of these names: replica.fetch.*, replica.socket.timeout.ms. */
	int32_t bytes_min;
	int32_t bytes_max;          /* of one partition */
	int32_t response_bytes_max; /* of all */
	int64_t wait_ms_max;
	int64_t backoff_ms;
	int64_t timeout_ms;
	struct ot_throttle *throttle; /* of all shards; NULL: follower.replication.throttled.* holds
	                                 not */
};

struct ot_fetchers *ot_fetchers_create(const struct ot_fetchers_conf *conf) OT_MUST_USE;

/* Ends all connections. No partition may be followed any more, nothing of theirs be under way.
 * Accepts NULL. */
void ot_fetchers_destroy(struct ot_fetchers *fetchers);

/* The partition follows somebody: from ot_replicas_events.on_follow, each time that it comes. */
void ot_fetchers_follow(struct ot_fetchers *fetchers, struct ot_part *part);

/* It follows nobody: from on_unfollow. Nothing touches it afterwards but what it was given to
 * write.
 */
void ot_fetchers_unfollow(struct ot_fetchers *fetchers, struct ot_part *part);

/* A newer image: where brokers are, and the epoch of this one's registration. */
void ot_fetchers_adopt(struct ot_fetchers *fetchers, const struct ot_image *image);

/* Partitions that are followed, and those of them that are left out for now: for metrics. */
struct ot_fetchers_stats {
	uint32_t partition_count;
	uint32_t paused_count;
	uint64_t bytes; /* of records that were taken */
};
void ot_fetchers_get_stats(const struct ot_fetchers *fetchers, struct ot_fetchers_stats *ret_stats);

#endif
