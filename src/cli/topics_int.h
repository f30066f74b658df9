/* Topics as kafka-topics describes them: what was found of each, and how it is printed. */
#ifndef OT_CLI_TOPICS_INT_H
#define OT_CLI_TOPICS_INT_H

#include "cli/admin_int.h"

struct cli_replicas {
	int32_t *brokers;
	int32_t count; /* -1: not told */
};

/* A reassignment that is under way. */
struct cli_reassignment {
	struct cli_replicas adding;
	struct cli_replicas removing;
};

struct cli_partition {
	int32_t index;
	int32_t leader; /* -1: none */
	struct cli_replicas replicas;
	struct cli_replicas isr;
	struct cli_replicas elr;      /* eligible leader replicas (KIP-966) */
	struct cli_replicas last_elr; /* the last that were known */
	const struct cli_reassignment *reassignment;
};

struct cli_setting {
	struct ot_str name;
	struct ot_str value;
	int8_t source; /* enum ot_config_source */
};

struct cli_topic {
	struct ot_str name;
	struct ot_uuid id;
	struct cli_partition *partitions; /* by index */
	int32_t partition_count;
	struct cli_setting *settings; /* those that differ from the defaults */
	int32_t setting_count;
	int32_t min_isr;
};

struct cli_topics {
	struct cli_topic *items; /* by name */
	int32_t count;
	struct cli_replicas live; /* brokers that are there */
};

/* Which topics are described, and what of them is printed. */
struct cli_topics_wanted {
	struct ot_uuid id; /* instead of names, unless it is zero */
	struct ot_str *names;
	int32_t name_count;
	int32_t limit; /* of partitions in one answer */
	bool only_overridden;
	bool under_replicated;
	bool unavailable;
	bool under_min_isr;
	bool at_min_isr;
	bool is_json;
};

/* Asks the cluster for all that a description says. Errors as of cli_call(), and those of brokers,
 * with cli->why. @owner main thread   @blocks until answered */
ot_err cli_topics_fetch(struct cli *cli, const struct cli_topics_wanted *wanted,
    struct cli_topics *ret_topics) OT_MUST_USE;

/* In today's form, or in that of Kafka 0.11. @owner the stream's */
void cli_topics_print(const struct cli_topics_wanted *wanted, const struct cli_topics *topics,
    bool is_of_old, FILE *out);

/* Reads "1:2,3:4": the brokers of partition 0, and of 1. Gives NULL, or what is wrong with it.
 * @owner main thread */
const char *cli_topics_read_assignment(struct cli *cli, const char *text,
    struct cli_replicas **ret_partitions, int32_t *ret_count);

#endif
