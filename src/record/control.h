/* Control records: what brokers say to each other and to consumers inside a partition.
 *
 * Such a batch has the control flag and, as a rule, one record. Its key is int16 version and int16
 * type; the value depends on the type:
 *
 *   0 ABORT, 1 COMMIT   int16 version 0, int32 coordinator epoch. The batch is transactional and
 *                       has the producer's id and epoch, but no sequence (KIP-98)
 *   2 LEADER_CHANGE     of the metadata log (KIP-595): int16 version, int32 leader id, voters and
 *                       granting voters, both compact arrays of int32 id, in version 1 uuid
 *                       directory id, tagged fields; tagged fields
 *   3 SNAPSHOT_HEADER   int16 version 0, int64 timestamp of the last record within; tagged fields
 *   4 SNAPSHOT_FOOTER   int16 version 0; tagged fields (KIP-630)
 *   5 KRAFT_VERSION     int16 version 0, int16 version of KRaft; tagged fields (KIP-853)
 *   6 KRAFT_VOTERS      the set of voters with their endpoints (KIP-853)
 */
#ifndef OT_RECORD_CONTROL_H
#define OT_RECORD_CONTROL_H

#include "record/build.h"

enum ot_control_type {
	OT_CONTROL_UNKNOWN = -1, /* of a later version: to be skipped */
	OT_CONTROL_ABORT = 0,
	OT_CONTROL_COMMIT = 1,
	OT_CONTROL_LEADER_CHANGE = 2,
	OT_CONTROL_SNAPSHOT_HEADER = 3,
	OT_CONTROL_SNAPSHOT_FOOTER = 4,
	OT_CONTROL_KRAFT_VERSION = 5,
	OT_CONTROL_KRAFT_VOTERS = 6,
	OT_CONTROL_TYPE_COUNT = 7,
};

/* Where a control batch goes, the same for all types. */
struct ot_control_place {
	int64_t base_offset;
	int32_t leader_epoch;
	ot_wall_ms timestamp;
};

struct ot_end_txn_marker {
	int64_t producer_id;
	int16_t producer_epoch;
	bool is_commit;
	int32_t coordinator_epoch;
};

struct ot_kraft_voter {
	int32_t id;
	struct ot_uuid directory_id; /* zero for none */
};

struct ot_leader_change {
	int32_t leader_id;
	const struct ot_kraft_voter *voters;
	int32_t voter_count;
	const struct ot_kraft_voter *granting_voters;
	int32_t granting_voter_count;
};

/* "COMMIT", "SNAPSHOT_HEADER"; "UNKNOWN". Static memory. @owner any thread */
const char *ot_control_type_name(enum ot_control_type type);

/* The type that a control record's key states; unknown numbers are OT_CONTROL_UNKNOWN.
 * INVALID_RECORD when the key is too short or its version negative. @owner any thread */
ot_err ot_control_parse_key(struct ot_bytes key, enum ot_control_type *ret_type) OT_MUST_USE;

/* Reads a transaction marker. INVALID_RECORD when the batch is not one: not a control batch, not
 * one record, another type, a value that is too short. @owner any thread   @blocks never */
ot_err ot_end_txn_parse(const uint8_t *batch, const struct ot_batch_info *info,
    struct ot_end_txn_marker *ret_marker) OT_MUST_USE;

/* Each appends one whole batch to `out`. NO_MEMORY; `out` is as before then.
 * @owner the writer's   @blocks never */
ot_err ot_build_end_txn(const struct ot_control_place *place,
    const struct ot_end_txn_marker *marker, struct ot_writer *out) OT_MUST_USE;
ot_err ot_build_leader_change(const struct ot_control_place *place,
    const struct ot_leader_change *change, struct ot_writer *out) OT_MUST_USE;
ot_err ot_build_snapshot_header(const struct ot_control_place *place,
    ot_wall_ms last_contained_timestamp, struct ot_writer *out) OT_MUST_USE;
ot_err ot_build_snapshot_footer(const struct ot_control_place *place,
    struct ot_writer *out) OT_MUST_USE;
ot_err ot_build_kraft_version(const struct ot_control_place *place, int16_t kraft_version,
    struct ot_writer *out) OT_MUST_USE;

#endif
