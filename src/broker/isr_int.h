/* The ISR batcher: leaders' wishes for another ISR go to the active controller, many in one
 * AlterPartition request, one request at a time (KIP-497).
 *
 *     owner shard                    control thread                     active controller
 *     a leader wishes  --mail-->  queued, one for each partition
 *                                 no request under way: all that is queued  --AlterPartition-->
 *     the leader takes its  <--mail-- answers                           <--
 *     answer
 *
 * An error of the whole request (another controller took over, the broker's epoch is old) concerns
 * no partition: after a pause everything that was sent is sent again, with what has come meanwhile.
 * What the controller says of a partition is the leader's to act on. Wishes carry leader and
 * partition epochs, so that sending one twice, or too late, changes nothing. */
#ifndef OT_BROKER_ISR_INT_H
#define OT_BROKER_ISR_INT_H

struct broker;
struct broker_isr;
struct broker_shard;
struct ot_part;

/* @owner the creating thread */
struct broker_isr *broker_isr_create(struct broker *broker);

/* After the loops ended. Accepts NULL. @owner the creating thread */
void broker_isr_destroy(struct broker_isr *isr);

/* Takes the partition's wish, if it still has one. A later wish of the same partition takes the
 * place of one that was not sent yet. @owner self's shard   @blocks never */
void broker_isr_wanted(struct broker_shard *self, struct ot_part *part);

#endif
