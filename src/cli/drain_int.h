/* Emptying a broker: where its replicas can go, and why some cannot.
 * @owner main thread   @blocks never */
#ifndef OT_CLI_DRAIN_INT_H
#define OT_CLI_DRAIN_INT_H

#include "cli/reassign_int.h"

/* A broker that is there, and what it has; planning adds what comes to it. */
struct cli_drain_broker {
	int32_t id;
	struct ot_str rack; /* null: none */
	int64_t replica_count;
	int64_t leader_count; /* partitions whose first replica it has */
};

enum cli_drain_state {
	CLI_DRAIN_PLANNED, /* `target` says where it goes */
	CLI_DRAIN_MOVING,  /* a reassignment takes it away */
	CLI_DRAIN_DONE,
	CLI_DRAIN_STUCK, /* `reason` says why */
};

/* A partition with a replica on the broker. */
struct cli_drain_part {
	struct cli_partition_name name; /* first: see the comparison */
	struct cli_replicas replicas;   /* now; those that come and go included */
	int32_t leader;                 /* -1: none */
	enum cli_drain_state state;
	struct cli_replicas target;
	int32_t goes_to; /* the broker that gets it; -1: not known */
	const char *reason;
	bool is_told;
	int64_t bytes;  /* of the log; -1: not known */
	int64_t copied; /* of these, at the broker that gets it */
};

struct cli_drain {
	int32_t id; /* the broker that is emptied */
	struct cli_drain_broker *brokers;
	size_t broker_count;
	struct cli_drain_part *parts; /* sorted */
	size_t part_count;
};

/* Decides for every part. A replica goes to a broker that has none of the partition: in a rack
 * without one if there is such a rack, then to the one with the least. It takes the place in the
 * list that the other leaves. */
void cli_drain_plan(struct cli *cli, struct cli_drain *drain, const struct cli_movings *movings);

size_t cli_drain_count(const struct cli_drain *drain, enum cli_drain_state state);

/* "1.5 GB" and "2 min 5 s", for people. */
const char *cli_drain_bytes_text(struct cli *cli, int64_t bytes);
const char *cli_drain_time_text(struct cli *cli, int64_t seconds);

/* One line on how far it is. `rate` is in bytes per second, 0: not known yet. */
void cli_drain_print_progress(struct cli *cli, const struct cli_drain *drain, int64_t rate,
    FILE *out);

/* What is stuck and why, one line each; each is told once. */
void cli_drain_print_stuck(struct cli_drain *drain, FILE *out);

#endif
