/* Where this broker's replicas are: what shards find goes to the active controller, many in one
 * AssignReplicasToDirs request, one request at a time (KIP-858).
 *
 *     owner shard                       control thread                    active controller
 *     a replica is where the  --mail--> queued, the last word on each
 *     metadata does not have it         partition; a moment later:  --AssignReplicasToDirs-->
 *                                       what was refused for now        <--
 *                                       is queued again
 *
 * A replica whose log has failed is in `ot_directory_lost`: the controller takes it out of the ISR
 * and has another one lead. What is sent twice, or when it is true no more, is put right by the
 * word that follows. */
#ifndef OT_BROKER_ASSIGN_INT_H
#define OT_BROKER_ASSIGN_INT_H

struct broker;
struct broker_assigner;
struct broker_shard;
struct ot_part;
struct ot_uuid;

/* @owner the creating thread */
struct broker_assigner *broker_assigner_create(struct broker *broker);

/* After the loops ended. Accepts NULL. @owner the creating thread */
void broker_assigner_destroy(struct broker_assigner *assigner);

/* The partition's replica is in that directory. @owner self's shard   @blocks never */
void broker_assign(struct broker_shard *self, const struct ot_part *part,
    const struct ot_uuid *dir);

#endif
