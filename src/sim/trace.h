/* The trace of a simulation: the last events in a ring, readable, and a hash over all of them.
 *
 * Two runs with one seed must give one hash; that is how determinism is tested. The ring is what a
 * person reads when a seed has failed: it is printed by ot_panic() with the seed.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_SIM_TRACE_H
#define OT_SIM_TRACE_H

#include "base/err.h"
#include "base/time.h"

struct ot_sim_trace;

/* The time of one machine: the simulation's, and what its own clocks show. */
struct ot_sim_clock {
	ot_mono_ns world;
	ot_mono_ns mono;
	ot_wall_ms wall;
};

struct ot_sim_event {
	ot_mono_ns at;    /* world time */
	const char *verb; /* static text: "write", "deliver" */
	const char *what; /* a path, a peer; copied, its end if it is long; NULL: nothing */
	int32_t host;     /* -1: of no host */
	ot_err err;
	uint64_t a, b; /* the verb's numbers: place and bytes, ids */
};

typedef void ot_sim_print(void *arg, const char *line);

/* `capacity` events are kept, at least 1. @owner the simulation's thread, as all below */
struct ot_sim_trace *ot_sim_trace_create(uint64_t seed, uint32_t capacity) OT_MUST_USE;
void ot_sim_trace_destroy(struct ot_sim_trace *trace); /* accepts NULL */

void ot_sim_trace_put(struct ot_sim_trace *trace, const struct ot_sim_event *event);

/* Takes a value into the hash without an event: contents of a write, for instance. */
void ot_sim_trace_mix(struct ot_sim_trace *trace, uint64_t value);

uint64_t ot_sim_trace_hash(const struct ot_sim_trace *trace);
uint64_t ot_sim_trace_count(const struct ot_sim_trace *trace);
uint64_t ot_sim_trace_seed(const struct ot_sim_trace *trace);

/* Prints the seed and the kept events, oldest first, one line each without a newline. */
void ot_sim_trace_print(const struct ot_sim_trace *trace, ot_sim_print *print, void *arg);

/* Makes this trace the one that a panic prints; NULL: none. Destroying it does the same. */
void ot_sim_trace_watch(struct ot_sim_trace *trace);

#endif
