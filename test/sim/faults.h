/* What goes wrong: faults by seed, each with its end.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_FAULTS_H
#define OT_TEST_SIM_FAULTS_H

#include "sim.h"

enum sim_fault {
	FAULT_KILL,       /* a broker's process ends */
	FAULT_POWER,      /* its machine loses power */
	FAULT_DISK_POWER, /* the same in the middle of a coming write */
	FAULT_RESTART,    /* an orderly stop and start */
	FAULT_FREEZE,     /* nothing of a broker runs for a while */
	FAULT_CUT,        /* two machines, one way or both */
	FAULT_ISOLATE,    /* one broker from all others, not from clients */
	FAULT_RESET,      /* a connection breaks */
	FAULT_SLOW_NET,   /* everything takes long for a while */
	FAULT_STALL,      /* a disk is slow */
	FAULT_FULL,       /* a disk is full */
	FAULT_DISK_ERROR, /* a call of a disk fails */
	FAULT_CLOCK,      /* a clock jumps or drifts */
	FAULT_LOG_CUT,    /* a broker from the metadata log, one way or both */
	FAULT_LOG_OUTAGE, /* the metadata log for everyone */
	FAULT_LOG_DEPOSE, /* the metadata log's leader loses its lease */
	FAULT_LOG_LOSS,   /* the metadata log loses requests and answers for a while */
	FAULT_USER,       /* a client's machine is cut off or starts anew */
	FAULT_COUNT,
};

extern const char *const fault_names[FAULT_COUNT];

struct faults;

struct faults *faults_create(struct sim *sim) OT_MUST_USE;
void faults_destroy(struct faults *faults); /* accepts NULL */

/* Begins and ends what is due. To be called from outside of all threads, often. */
void faults_tick(struct faults *faults);

/* A broker is down, whoever ended it: it starts again some time later. */
void faults_note_down(struct faults *faults, int32_t broker_id);

/* Ends all faults, and starts what is down. */
void faults_end(struct faults *faults);

#endif
