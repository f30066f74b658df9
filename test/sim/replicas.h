/* The replicas of partitions as they lie on the brokers' disks.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_REPLICAS_H
#define OT_TEST_SIM_REPLICAS_H

#include "sim.h"

/* Compares all replicas of a partition of the plan byte by byte, from where all of them begin to
 * the end, which must be one, when nothing is produced any more; a difference fails the history. */
void replicas_check(struct sim *sim, struct history_place place);

#endif
