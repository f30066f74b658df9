/* The pump: connections that keep a number of requests under way, as fast as the server answers.
 *
 * A closed loop: the load follows the server, so it measures what the server can do and costs, and
 * its latencies include the time in the queue that `depth` makes. For latency under a steady load
 * see latency.c, which does not wait for the server.
 *
 * Threads share nothing but counters. A refill gathers what half the depth allows into one write,
 * small requests copied together, large ones as vectors; of large answers only the head is read,
 * the rest is dropped in the kernel (MSG_TRUNC). So the client costs less than the server.
 *
 * @owner the caller's thread   @blocks for the whole run
 */
#ifndef BENCH_PUMP_H
#define BENCH_PUMP_H

#include <sys/types.h>

#include "hist.h"
#include "meter.h"
#include "work.h"

struct pump_options {
	int port;
	int32_t conn_count;
	int32_t thread_count;
	int32_t depth;        /* requests under way on each connection */
	int64_t quota;        /* requests of each connection; 0: until time is up */
	int64_t warm_ms;      /* before the window begins */
	int64_t window_ms;    /* the window is at most so long */
	int64_t window_bytes; /* and ends early when so much payload was moved in all; 0: never */
	pid_t pid;            /* of the server, or 0 */
};

struct pump_result {
	struct meter start; /* of the window */
	struct meter end;
	uint64_t requests; /* answered in the window */
	struct hist latency_ns;
};

/* Dies when an answer is bad or the server goes. */
void pump_run(const struct work *work, const struct pump_options *options,
    struct pump_result *ret_result);

#endif
