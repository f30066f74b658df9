/* End-to-end latency under a steady load: from the moment at which a record was due to be sent
 * until a consumer that waits for it has it in hand.
 *
 * Open loop: records are due at a fixed rate, each in a batch and a request of its own, and the
 * sender does not wait for answers. What is late is counted from when it was due, not from when it
 * left, so that a stall is seen by every record that it delays (no coordinated omission). Three
 * threads that sleep when there is nothing to do: the sender, one that takes its answers, and a
 * consumer with long polls. Their own wakes are part of the figures.
 *
 * @owner the caller's thread   @blocks for the whole run
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <sys/types.h>

#include "base/uuid.h"
#include "hist.h"
#include "meter.h"

struct latency_options {
	int port;
	int acks; /* 1 or -1 */
	const char *topic;
	struct ot_uuid topic_id;
	int64_t rate; /* records per second */
	int64_t warm_ms;
	int64_t window_ms;
	pid_t pid; /* of the server, or 0 */
};

struct latency_result {
	struct meter start; /* of the window */
	struct meter end;
	struct hist ack_ns;     /* until the producer has its answer */
	struct hist arrival_ns; /* until the consumer has the record */
};

/* The topic has one partition and nothing in it. */
void latency_run(const struct latency_options *options, struct latency_result *ret_result);

#endif
