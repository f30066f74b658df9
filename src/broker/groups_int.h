/* The group coordinators of one shard: one for each partition of __consumer_offsets that it leads.
 */
#ifndef OT_BROKER_GROUPS_INT_H
#define OT_BROKER_GROUPS_INT_H

#include "coord/group/group.h"
#include "replica/part.h"

struct broker_shard;
struct broker_groups;
struct ot_image;

#define BROKER_OFFSETS_TOPIC "__consumer_offsets"

/* @owner the shard, for all of these; none blocks */
struct broker_groups *broker_groups_create(struct broker_shard *self);

/* Ends all coordinators, then calls `done`; nothing may be asked afterwards. */
void broker_groups_close(struct broker_groups *groups, void (*done)(void *arg), void *arg);
void broker_groups_destroy(struct broker_groups *groups);

/* A partition of __consumer_offsets leads here, or no longer does. */
void broker_groups_lead(struct broker_groups *groups, struct ot_part *part);
void broker_groups_resign(struct broker_groups *groups, struct ot_part *part);

/* A newer image: topics that are gone take their offsets along. `before` may be NULL. */
void broker_groups_adopt(struct broker_groups *groups, const struct ot_image *before,
    const struct ot_image *after);

/* The groups of a partition. When this shard does not coordinate it, groups of an idle coordinator,
 * which answers NOT_COORDINATOR in the way of each API. NULL once closed. */
struct ot_groups *broker_groups_find(struct broker_groups *groups, int32_t partition);

/* Visits the groups of all partitions that are coordinated here. */
typedef void broker_groups_visit(void *arg, struct ot_groups *groups);
void broker_groups_each(struct broker_groups *groups, broker_groups_visit *visit, void *arg);

#endif
