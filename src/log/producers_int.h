/* The state of producers in one log: what makes a retry harmless and a zombie heard (KIP-98,
 * KIP-360, KIP-890), and which transactions are open.
 *
 * Of each producer id: its epoch, its last five batches (a producer has at most five requests on
 * the way), its coordinator's epoch and the first offset of its transaction. Staging a batch
 * changes the entry at once, so that the next batch of the same turn is checked against it, and
 * hands out an undo; the lists of transactions change only when the batch is written.
 *
 * A snapshot file, "<offset>.snapshot", holds the state as of that offset, big-endian:
 *
 *   0   int16   version: 1
 *   2   uint32  CRC-32C of all behind it
 *   6   int32   number of entries
 *   10  entries of 46 bytes:
 *       int64 producer id, int16 epoch, int32 last sequence (-1), int64 last offset (-1),
 *       int32 last offset minus first of the last batch, int64 timestamp of the last batch,
 *       int32 coordinator epoch (-1), int64 first offset of the ongoing transaction (-1)
 *
 * Only the last batch is kept there, as Kafka does. A snapshot is a shortcut: without a valid one
 * the batches are read again. */
#ifndef OT_LOG_PRODUCERS_INT_H
#define OT_LOG_PRODUCERS_INT_H

#include "base/text.h"
#include "record/batch.h"

enum {
	LOG_PRODUCER_BATCHES = 5,
	LOG_SNAPSHOT_VERSION = 1,
	LOG_SNAPSHOT_HEADER_BYTES = 10,
	LOG_SNAPSHOT_ENTRY_BYTES = 46,
};

struct log_producer_batch {
	int64_t last_offset;
	int64_t timestamp;
	int32_t last_sequence;
	int32_t offset_delta; /* last offset minus first */
};

struct log_producer {
	int64_t id;
	int64_t last_timestamp;
	int64_t txn_first_offset; /* -1: none is ongoing */
	int32_t coordinator_epoch;
	int16_t epoch;
	uint8_t batch_count;
	uint8_t batch_first; /* place of the oldest in the ring */
	struct log_producer_batch batches[LOG_PRODUCER_BATCHES];
};

/* An ongoing transaction, or one whose marker is not yet below the high watermark. */
struct log_txn {
	int64_t first_offset;
	int64_t last_offset; /* of the marker; -1 while ongoing */
	int64_t producer_id;
};

struct log_producers {
	struct log_producer *entries; /* dense, in no order */
	uint32_t count;
	uint32_t capacity;
	uint32_t *slots; /* place in entries + 1, or 0; open addressing */
	uint32_t slot_count;
	struct log_txn *ongoing; /* by first offset */
	uint32_t ongoing_count;
	uint32_t ongoing_capacity;
	struct log_txn *unreplicated; /* by first offset */
	uint32_t unreplicated_count;
	uint32_t unreplicated_capacity;
	bool is_changed; /* since the last snapshot */
};

enum log_txn_event_kind { LOG_TXN_NONE, LOG_TXN_BEGIN, LOG_TXN_COMMIT, LOG_TXN_ABORT };

/* What a batch means for the lists of transactions, once it is written. */
struct log_txn_event {
	enum log_txn_event_kind kind;
	int64_t producer_id;
	int64_t first_offset; /* of the transaction */
	int64_t last_offset;  /* of its marker */
};

struct log_producer_undo {
	struct log_producer before;
	bool is_new;
};

/* A batch that comes, with its offsets. */
struct log_producer_append {
	const struct ot_batch_info *info;
	const uint8_t *data; /* of a control batch: the whole batch */
	int64_t base_offset;
	int64_t last_offset;
	enum ot_append_origin origin;
	int16_t transaction_version;
};

void log_producers_init(struct log_producers *producers);
void log_producers_fini(struct log_producers *producers);
void log_producers_clear(struct log_producers *producers);

struct log_producer *log_producers_find(const struct log_producers *producers, int64_t id);

/* The last batch, or NULL. */
const struct log_producer_batch *log_producer_last_batch(const struct log_producer *producer);

/* The batch among the last five that `info` repeats, or NULL. */
const struct log_producer_batch *log_producers_find_duplicate(const struct log_producers *producers,
    const struct ot_batch_info *info);

/* Checks a batch by the rules for its origin, then changes the producer's entry. On failure nothing
 * has changed. OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
 * TRANSACTION_COORDINATOR_FENCED, INVALID_RECORD, NO_MEMORY. */
OT_MUST_USE ot_err log_producers_append(struct log_producers *producers,
    const struct log_producer_append *append, struct log_txn_event *ret_event,
    struct log_producer_undo *ret_undo, struct ot_why *why);

/* Takes the newest append of that producer back. */
void log_producers_undo(struct log_producers *producers, const struct log_producer_undo *undo);

/* Room for `count` events: applying them cannot fail then. OT_ERR_NO_MEMORY. */
OT_MUST_USE ot_err log_producers_reserve(struct log_producers *producers, uint32_t count);

/* Applies a written batch's event to the lists. Gives the last stable offset for the index of
 * aborted transactions where the event ends one. */
int64_t log_producers_apply(struct log_producers *producers, const struct log_txn_event *event);

/* The first offset that read_committed readers may not pass; INT64_MAX when there is none. */
int64_t log_producers_first_unstable(const struct log_producers *producers);

/* Forgets completed transactions whose markers lie before `offset`. */
void log_producers_replicated_to(struct log_producers *producers, int64_t offset);

/* Forgets producers that were idle for `idle_ms` and have no transaction. */
void log_producers_expire(struct log_producers *producers, ot_wall_ms now, int64_t idle_ms);

/* Appends the bytes of a snapshot of these entries; those with id -1 are left out. The writer fails
 * without memory. */
void log_producers_print(const struct log_producer *entries, uint32_t count, struct ot_writer *out);

/* Reads a snapshot into empty `producers`. OT_ERR_CORRUPT_FILE, NO_MEMORY; they are empty then. */
OT_MUST_USE ot_err log_producers_parse(struct log_producers *producers, const uint8_t *data,
    size_t bytes, struct ot_why *why);

/* Reads one entry of a snapshot, for tools. */
struct log_producer log_producer_read_entry(const uint8_t *entry);

/* Asserts the invariants. */
void log_producers_check(const struct log_producers *producers);

size_t log_producers_bytes_memory(const struct log_producers *producers);

#endif
