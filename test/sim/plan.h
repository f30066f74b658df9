/* What a seed decides before anything runs, and what the command line changes of it. */
#ifndef OT_TEST_SIM_PLAN_H
#define OT_TEST_SIM_PLAN_H

#include "faults.h"

struct plan_options {
	int32_t broker_count; /* 0: by seed */
	int32_t factor_most;  /* replicas; 0: by seed */
	uint32_t without;     /* faults that are left out: a mask of 1 << enum sim_fault */
	uint64_t fault_limit; /* no more faults than that */
};

void plan_make(uint64_t seed, const struct plan_options *options, struct sim_plan *ret_plan);

/* One line about it. */
void plan_print(const struct sim_plan *plan, char *text, size_t bytes);

#endif
