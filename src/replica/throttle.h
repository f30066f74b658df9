/* How many bytes in a second throttled replication moves, over all shards: the measure that
 * leader.replication.throttled.rate and follower.replication.throttled.rate are held against.
 *
 * As Kafka measures it: over the last so many samples of so long each, and never over less than all
 * of them but one, so that a moment of speed is no offence. Each shard counts its own bytes and
 * tells the others its rate once in a sample; what it knows of them is that old at most.
 *
 *     shard 0   own samples ---+--- told by 1, by 2   -->  ot_throttle_rate()
 *                              +--> 1, 2, once in a sample while there is something to tell
 */
#ifndef OT_REPLICA_THROTTLE_H
#define OT_REPLICA_THROTTLE_H

#include "shard/shard.h"

struct ot_throttle;

/* Measures over `sample_count` (at least 2) samples of `sample_ms` (at least 1) on all shards of
 * the set. @owner the creating thread   @blocks never */
struct ot_throttle *ot_throttle_create(const struct ot_shard_set *set, uint32_t sample_count,
    int64_t sample_ms) OT_MUST_USE;

/* After the loops ended. Accepts NULL. @owner the creating thread */
void ot_throttle_destroy(struct ot_throttle *throttle);

/* So many bytes were moved for a throttled replica. @owner any shard of the set   @blocks never */
void ot_throttle_note(struct ot_throttle *throttle, uint64_t bytes);

/* Bytes in a second, all shards'. @owner any shard of the set   @blocks never */
int64_t ot_throttle_rate(struct ot_throttle *throttle);

#endif
