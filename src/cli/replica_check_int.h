/* Comparing the replicas of a partition, as kafka-replica-verification does.
 * @owner main thread   @blocks never */
#ifndef OT_CLI_REPLICA_CHECK_INT_H
#define OT_CLI_REPLICA_CHECK_INT_H

#include "base/time.h"
#include "cli/reassign_int.h"

/* What one replica answered in a round: views that live until the next. */
struct cli_replica_answer {
	int32_t broker;
	bool is_there; /* it answered, without an error */
	struct ot_bytes records;
	int64_t high_watermark;
};

struct cli_replica_check {
	struct cli_partition_name name; /* first: see the comparison */
	struct ot_uuid topic_id;
	int64_t offset; /* all that is below is the same on all replicas, from the start on */
	struct cli_replica_answer *replicas;
	int32_t replica_count;
};

enum cli_replica_verdict {
	CLI_REPLICAS_AGREE,
	CLI_REPLICAS_DIFFER,     /* in content: the comparison goes on behind it */
	CLI_REPLICAS_MISALIGNED, /* in offsets: it cannot go on */
};

/* Compares what was answered batch by batch, up to the first that is not on all replicas and below
 * their high watermarks, and moves `offset` behind it. Differences are told on `out`. */
enum cli_replica_verdict cli_replica_compare(struct cli_replica_check *check, ot_wall_ms now,
    FILE *out);

/* The greatest of the high watermarks that were answered; -1 when there is none. */
int64_t cli_replica_high_watermark(const struct cli_replica_check *check);

/* "2026-01-31 12:00:00,000" in local time. */
const char *cli_replica_date(ot_wall_ms now, char *room, size_t room_bytes);

#endif
