/* One seed, from an empty world to its end. */
#ifndef OT_TEST_SIM_RUN_H
#define OT_TEST_SIM_RUN_H

#include "plan.h"

struct run_result {
	char failure[500]; /* empty: all held */
	uint64_t trace_hash;
	uint64_t virtual_ms;
	uint64_t fault_count;
	struct history_counts counts;
	uint64_t claims;  /* of groups' members */
	uint64_t commits; /* of offsets */
};

/* Runs a plan. After a failure nothing is freed, so that the world's trace can be printed:
 * `on_failure` is called before the end. */
void run_plan(const struct sim_plan *plan, bool is_verbose,
    void (*on_failure)(struct sim *sim, const char *why), struct run_result *ret_result);

#endif
