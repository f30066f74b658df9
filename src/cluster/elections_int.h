/* Inside the room: elections that nobody asks for.
 *
 * While the controller is active, and as often as the settings say: leaderships go back to the
 * preferred replicas (auto.leader.rebalance.enable), and partitions that nobody leads get a leader
 * that is not in sync where the topic allows it (unclean.leader.election.enable). As in KRaft every
 * partition that is not led by its first replica counts, whatever share of a broker's they are.
 */
#ifndef OT_CLUSTER_ELECTIONS_INT_H
#define OT_CLUSTER_ELECTIONS_INT_H

#include "cluster/operation_int.h"

/* Begins and ends with the controller's activity. At the beginning it does what a controller before
 * may not have come to: leaders for partitions without one, after an unfencing that was torn apart.
 * @owner control   @blocks never */
void elections_begin(struct ot_controller *controller);
void elections_end(struct ot_controller *controller);

#endif
