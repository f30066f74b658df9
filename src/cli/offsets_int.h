/* Offsets of partitions: asking for them, and the ways in which people name partitions and times.
 */
#ifndef OT_CLI_OFFSETS_INT_H
#define OT_CLI_OFFSETS_INT_H

#include "base/time.h"
#include "cli/admin_int.h"

/* What ListOffsets takes in place of a timestamp. */
enum cli_offset_spec {
	CLI_OFFSETS_LATEST = -1,
	CLI_OFFSETS_EARLIEST = -2,
	CLI_OFFSETS_MAX_TIMESTAMP = -3,
	CLI_OFFSETS_EARLIEST_LOCAL = -4,
	CLI_OFFSETS_LATEST_TIERED = -5,
	CLI_OFFSETS_EARLIEST_PENDING = -6,
};

/* One partition, what is wanted of it, and what was found. */
struct cli_offset {
	struct ot_str topic;
	int32_t partition;
	int64_t wanted; /* enum cli_offset_spec, or milliseconds since 1970 */

	int64_t offset; /* -1: none */
	int32_t leader; /* -1: the partition has no leader, nobody was asked */
	ot_err err;     /* of the partition: UNKNOWN_TOPIC_OR_PARTITION when it is not there */
};

/* Orders by topic and partition, for qsort(). @owner any thread */
int cli_offset_compare(const void *a, const void *b);

/* Asks the leaders for the offsets of all items, which it sorts; no partition may be there twice.
 * Those that have moved are asked for again.
 * Fails only as cli_call() does: each item has its own error.
 * @owner main thread   @blocks until answered */
ot_err cli_offsets_fetch(struct cli *cli, struct cli_offset *items, size_t count) OT_MUST_USE;

/* Sorts the items and sets their leaders. `err` becomes OT_ERR_AGAIN where there is one, which the
 * caller replaces by what the leader says, and the reason where there is none. Fails as above.
 * @owner main thread   @blocks until answered */
ot_err cli_offsets_find_leaders(struct cli *cli, struct cli_offset *items,
    size_t count) OT_MUST_USE;

/* "topic:0,1,2" or "topic", which means all partitions that `metadata` knows of it. Appends to the
 * items, which must have room: see cli_partitions_room(). Gives NULL, or what is wrong.
 * @owner main thread */
const char *cli_partitions_read(struct cli *cli, const char *text,
    const struct ot_metadata_response *metadata, struct cli_offset *items, size_t *count);

/* How many items a list of such texts may give at most. @owner main thread */
size_t cli_partitions_room(struct cli_values texts, const struct ot_metadata_response *metadata);

/* The topic of that name, or NULL. @owner main thread */
const struct ot_metadata_response_topic *cli_metadata_find(
    const struct ot_metadata_response *metadata, struct ot_str name);

/* "2026-01-31T12:00:00.123", with "Z" or "+01:00" behind it or not (then it is UTC), as
 * milliseconds; the fraction may be left out. False for anything else. @owner any thread */
bool cli_datetime_parse(const char *text, ot_wall_ms *ret_time);

/* "P1DT2H3M4.5S", "PT-90S", "-P1D": a length of time in milliseconds (ISO 8601, as Java reads it).
 * @owner any thread */
bool cli_duration_parse(const char *text, int64_t *ret_ms);

/* The wall clock. @owner any thread */
ot_wall_ms cli_now(void);

#endif
