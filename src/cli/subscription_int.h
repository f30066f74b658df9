/* What a consumer subscribes to: one topic, or all whose names an expression matches.
 *
 * The expressions are Java's, which librdkafka's are not, so the names are matched here: against a
 * list of topics that is asked for again from time to time. Kafka's internal topics belong to no
 * expression unless that is asked for.
 */
#ifndef OT_CLI_SUBSCRIPTION_INT_H
#define OT_CLI_SUBSCRIPTION_INT_H

#include "cli/stream_int.h"

struct subscription;

/* One of the three texts; the others are NULL. */
struct subscription_options {
	const char *topic;
	const char *include;
	const char *exclude;
	bool includes_internal;
};

/* Subscribes; the reason of a failure is already told. */
bool subscription_open(struct cli *cli, struct stream *stream,
    const struct subscription_options *wanted, struct subscription **ret_subscription) OT_MUST_USE;
void subscription_close(struct subscription *subscription); /* accepts NULL */

/* Looks for topics that came or went, when it is time to. To be called often. */
void subscription_refresh(struct subscription *subscription);

#endif
