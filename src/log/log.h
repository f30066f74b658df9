/* The log of one partition, in Kafka's files.
 *
 * A log is in the hands of one thread at a time: its owner, a shard. What may wait for a disk is
 * split. The owner begins it (`_begin`: collects what a worker needs, never blocks), a worker runs
 * it (ot_log_job_run() touches the job alone), and the owner ends it (`_end`: takes the result
 * over). Opening, truncation and closing work on the whole log and therefore on one that no owner
 * holds: the owner makes sure that no job is under way, lets a worker run the function, and goes on
 * when that is done; between them nothing else touches the log. README.md has the crash argument,
 * each file of this folder the format of the file that it keeps.
 *
 * Errors. OT_ERR_NO_SPACE undoes what was tried and leaves the log usable. Any other failure of a
 * write or a sync takes the log offline: reads and deletion go on, appends get OT_ERR_OFFLINE, and
 * only closing and opening it again brings it back.
 */
#ifndef OT_LOG_LOG_H
#define OT_LOG_LOG_H

#include "base/blob.h"
#include "base/text.h"
#include "io/fs.h"
#include "record/batch.h"

struct ot_log;
struct ot_log_job;

/* ---- settings ------------------------------------------------------------------------------ */

/* What a log needs of its topic's and broker's settings, by their names in Kafka. */
struct ot_log_settings {
	int64_t segment_ms;                /* segment.ms */
	int64_t segment_jitter_ms;         /* segment.jitter.ms */
	int64_t retention_bytes;           /* retention.bytes; -1: no bound */
	int64_t retention_ms;              /* retention.ms; -1: no bound */
	int64_t file_delete_delay_ms;      /* file.delete.delay.ms */
	int64_t producer_id_expiration_ms; /* producer.id.expiration.ms */
	int32_t segment_bytes;             /* segment.bytes */
	int32_t segment_index_bytes;       /* segment.index.bytes */
	int32_t index_interval_bytes;      /* index.interval.bytes */
	bool is_deleting;                  /* cleanup.policy has "delete" */
	bool is_compacted;                 /* cleanup.policy has "compact": offsets have gaps */
};

/* Kafka's defaults. @owner any thread */
struct ot_log_settings ot_log_settings_default(void);

/* ---- opening and closing ------------------------------------------------------------------- */

struct ot_log_open_args {
	struct ot_fs *fs;
	const char *dir; /* the partition's folder, "/data/topic-0"; made when it is missing */
	struct ot_log_settings settings;
	int64_t start_offset;   /* of log-start-offset-checkpoint; 0 when it has no row */
	int64_t recovery_point; /* of recovery-point-offset-checkpoint; -1 when it has no row: all
	                         * is scanned then, and gaps count as compaction's, not as loss */
	bool is_clean;          /* the log directory had its clean-shutdown mark, or the folder is
	                         * new */
	ot_wall_ms now;
	uint64_t random; /* for the jitter of this log's segments */
};

/* What opening found and did, for one report. */
struct ot_log_open_result {
	uint64_t bytes_scanned;     /* of batches whose CRC was checked */
	uint64_t bytes_replayed;    /* of batches read for producer state alone */
	uint64_t bytes_truncated;   /* that were cut off the end, whole segments included */
	uint32_t segments_removed;  /* that followed the cut */
	uint32_t indexes_rebuilt;   /* offset, time and transaction indexes, missing or damaged */
	uint32_t snapshots_damaged; /* producer snapshots that were not what their CRC says */
	bool is_epoch_file_rebuilt;
	struct ot_why why; /* why bytes were cut or the log was refused; empty otherwise */
};

/* Opens the log in `args->dir`, or makes an empty one that begins at `args->start_offset`.
 * After an unclean stop only what follows the recovery point is scanned and cut at the first batch
 * that is not valid. Fills `ret_result`, which may be NULL, on failure too. The log has no owner
 * yet: whoever is given it becomes that.
 * OT_ERR_CORRUPT_FILE: batches before the recovery point are damaged, nothing was changed;
 * OT_ERR_IO, OT_ERR_NO_SPACE, OT_ERR_NO_MEMORY, INVALID_REQUEST for a path that is too long.
 * @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_log_open(const struct ot_log_open_args *args, struct ot_log **ret_log,
    struct ot_log_open_result *ret_result);

enum ot_log_close_how {
	OT_LOG_CLOSE_CLEAN, /* all is synced, a snapshot written: the next opening scans nothing */
	OT_LOG_CLOSE_DROP,  /* for a partition that is deleted, or a log that is offline */
};

/* Ends the log and frees it, whatever it returns. No job may be under way, nothing staged. Readers
 * keep the files that they hold. CLEAN fails as a sync does, and for a log that is offline: the
 * directory must not be marked clean then. Accepts NULL.
 * @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_log_close(struct ot_log *log, enum ot_log_close_how how);

/* New settings hold from the next append and the next retention on. @owner owner   @blocks never */
void ot_log_set_settings(struct ot_log *log, const struct ot_log_settings *settings);

/* ---- what a log is ------------------------------------------------------------------------- */

/* Records in [start, end) can be read. @owner owner   @blocks never */
int64_t ot_log_start_offset(const struct ot_log *log);
int64_t ot_log_end_offset(const struct ot_log *log);

/* All before it survives the machine. @owner owner */
int64_t ot_log_synced_offset(const struct ot_log *log);

/* What recovery-point-offset-checkpoint may hold: all before it is synced, indexes and the like
 * included. Moves with OT_LOG_SYNC_CHECKPOINT. @owner owner */
int64_t ot_log_recovery_point(const struct ot_log *log);

/* OT_OK, or the failure that took the log offline. @owner owner */
OT_MUST_USE ot_err ot_log_failure(const struct ot_log *log);

struct ot_log_stats {
	uint64_t bytes;          /* of all segments' records */
	uint64_t bytes_unsynced; /* appended and not covered by a sync */
	uint64_t bytes_memory;   /* what the log takes from the heap */
	uint64_t batches_appended;
	uint32_t segment_count;
	uint32_t producer_count;
	uint32_t txn_count; /* ongoing */
	uint32_t files_open;
	ot_wall_ms txn_oldest_timestamp; /* of the oldest ongoing one's last batch; -1: none */
};

/* @owner owner   @blocks never */
void ot_log_get_stats(const struct ot_log *log, struct ot_log_stats *ret_stats);

/* Asserts what must always hold, for tests and the simulator. @owner owner   @blocks never */
void ot_log_check(const struct ot_log *log);

/* ---- appending ----------------------------------------------------------------------------- */

struct ot_log_batch {
	struct ot_blob *blob;             /* holds the bytes; a reference is taken; NULL: they stay
	                                   * until ot_log_write_staged() */
	uint8_t *bytes;                   /* one whole batch of magic 2, this log's to patch */
	const struct ot_batch_info *info; /* its header, validated */
	enum ot_append_origin origin;
	int32_t leader_epoch; /* set into the header; with OT_ORIGIN_LEADER the batch has it */
	int16_t transaction_version; /* of a marker, as WriteTxnMarkers says (KIP-890); else 0 */
};

struct ot_log_staged {
	int64_t base_offset;
	int64_t last_offset;
	int64_t timestamp; /* a duplicate's, as it was appended */
	bool is_duplicate; /* of one of its producer's last 5 batches: nothing is staged, and the
	                    * offsets are those of the first time */
};

/* Checks a batch against its producer's state, gives it its offsets and stages it for this turn's
 * write. A client's and a coordinator's batch gets the next offsets; a leader's must begin at the
 * log's end or later. On failure nothing is staged: OUT_OF_ORDER_SEQUENCE_NUMBER,
 * INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, TRANSACTION_COORDINATOR_FENCED, OFFSET_OUT_OF_RANGE
 * (a leader's batch that begins before the end), OT_ERR_NO_MEMORY, OT_ERR_OFFLINE.
 * @owner owner   @blocks never */
OT_MUST_USE ot_err ot_log_stage(struct ot_log *log, const struct ot_log_batch *batch,
    struct ot_log_staged *ret_staged, struct ot_why *why);

/* The offset after the last staged batch; the end offset when nothing is staged. @owner owner */
int64_t ot_log_staged_end(const struct ot_log *log);

/* Writes what is staged, in one gathered write where no segment ends in between, and lets the end
 * offset follow. After a failure a prefix may have been written (segments rolled between them):
 * staged batches before the end offset are in the log, the others never were, and their producers'
 * state is as before. OT_ERR_NO_SPACE leaves the log usable; else it is offline.
 * @owner owner   @blocks rarely */
OT_MUST_USE ot_err ot_log_write_staged(struct ot_log *log, ot_wall_ms now);

/* Begins a new segment if the active one is not empty: by request, or when segment.ms has passed
 * (`is_due_only`). @owner owner   @blocks rarely */
OT_MUST_USE ot_err ot_log_roll(struct ot_log *log, ot_wall_ms now, bool is_due_only);

/* Gives back memory, descriptors and reserved space that an idle log can do without.
 * @owner owner   @blocks rarely */
void ot_log_idle(struct ot_log *log);

/* ---- reading ------------------------------------------------------------------------------- */

struct ot_log_read_args {
	int64_t offset;       /* first wanted */
	int64_t bound_offset; /* nothing from here on: high watermark, last stable offset or end */
	size_t bytes_max;
	bool is_one_at_least; /* a first batch larger than bytes_max is given whole */
	bool may_block;       /* take cold pages of the indexes in the call: tools and workers */
};

struct ot_log_read {
	struct ot_file *file; /* a reference, the caller's; NULL when there is nothing to read */
	uint64_t place;
	size_t bytes;         /* whole batches only */
	int64_t next_offset;  /* what follows the range: where a sequential reader goes on */
	int64_t segment_base; /* for tools and tests */
};

/* Finds the bytes that begin with the batch that holds `offset`, or with the next one after a gap.
 * OFFSET_OUT_OF_RANGE: not within start and end; OT_ERR_IO, OT_ERR_CORRUPT_FILE. OT_ERR_AGAIN:
 * finding them would read cold pages; file, place and bytes then say which: let a worker do
 * ot_log_read_warm(), and plan again. `ret_read` is filled in these two cases alone.
 * @owner owner   @blocks never, unless allowed */
OT_MUST_USE ot_err ot_log_plan_read(struct ot_log *log, const struct ot_log_read_args *args,
    struct ot_log_read *ret_read);

/* Brings a range into the page cache. @owner worker   @blocks: worker */
void ot_log_read_warm(const struct ot_log_read *read);

struct ot_log_aborted {
	int64_t producer_id;
	int64_t first_offset;
	int64_t last_offset; /* of the abort marker */
};
typedef void ot_log_visit_aborted(void *arg, const struct ot_log_aborted *aborted);

/* Visits the aborted transactions that overlap [from, to), by their markers' offsets.
 * OT_ERR_IO, OT_ERR_CORRUPT_FILE. @owner owner   @blocks rarely */
OT_MUST_USE ot_err ot_log_visit_aborted_in(struct ot_log *log, int64_t from, int64_t to,
    ot_log_visit_aborted *visit, void *arg);

/* ---- offsets by time ----------------------------------------------------------------------- */

struct ot_log_found {
	int64_t offset;    /* -1: there is none */
	int64_t timestamp; /* OT_NO_TIMESTAMP where it does not matter */
	int32_t leader_epoch;
};

/* ListOffsets' earliest and latest: the start, and the offset that the caller bounds by.
 * @owner owner   @blocks never */
struct ot_log_found ot_log_find_earliest(const struct ot_log *log);
struct ot_log_found ot_log_find_latest(const struct ot_log *log, int64_t bound_offset);

/* ListOffsets' version 0, newest first: `bound_offset`, as the place where the next record goes,
 * and where segments begin, of those whose records are all of `timestamp` or before.
 * OT_LOG_ANY_TIME is after all. At most `count_max`; gives their number. OT_ERR_IO,
 * OT_ERR_CORRUPT_FILE.
 * @owner owner   @blocks rarely */
#define OT_LOG_ANY_TIME INT64_MAX
OT_MUST_USE ot_err ot_log_list_starts(struct ot_log *log, int64_t timestamp, int64_t bound_offset,
    int32_t count_max, int64_t *ret_offsets, int32_t *ret_count);

/* Begins to look for the first record with a timestamp of at least `timestamp`, or, with
 * OT_LOG_MAX_TIMESTAMP, for the first with the greatest timestamp. NULL without memory, or when the
 * files cannot be had. @owner owner   @blocks rarely */
#define OT_LOG_MAX_TIMESTAMP ((int64_t)-3)
struct ot_log_job *ot_log_find_begin(struct ot_log *log, int64_t timestamp) OT_MUST_USE;

/* The find's result. Frees the job. @owner owner */
OT_MUST_USE ot_err ot_log_find_end(struct ot_log *log, struct ot_log_job *job,
    struct ot_log_found *ret_found);

/* ---- leader epochs ------------------------------------------------------------------------- */

/* Notes that `epoch` begins at the end offset, as a new leader does; an epoch that is not newer
 * changes nothing. A chore writes it to leader-epoch-checkpoint. @owner owner   @blocks never */
void ot_log_assign_epoch(struct ot_log *log, int32_t epoch);

/* OT_NO_LEADER_EPOCH when the log has none. @owner owner */
int32_t ot_log_latest_epoch(const struct ot_log *log);

/* The epoch of the record at `offset`, or OT_NO_LEADER_EPOCH. @owner owner */
int32_t ot_log_epoch_at(const struct ot_log *log, int64_t offset);

/* OffsetForLeaderEpoch (KIP-101, KIP-279): the greatest epoch not beyond `epoch` and its end; -1
 * and -1 when it cannot be said. @owner owner   @blocks never */
void ot_log_epoch_end(const struct ot_log *log, int32_t epoch, int32_t *ret_epoch,
    int64_t *ret_end_offset);

/* ---- transactions and producers ------------------------------------------------------------ */

/* The last stable offset under a high watermark: what read_committed readers are bounded by.
 * @owner owner   @blocks never */
int64_t ot_log_last_stable_offset(const struct ot_log *log, int64_t high_watermark);

/* Transactions whose markers are replicated no longer hold the last stable offset. Call it whenever
 * the high watermark moves. @owner owner   @blocks never */
void ot_log_set_high_watermark(struct ot_log *log, int64_t high_watermark);

struct ot_log_producer {
	int64_t producer_id;
	int64_t last_timestamp;
	int64_t last_offset;      /* -1: none is known */
	int64_t txn_first_offset; /* -1: no transaction is ongoing */
	int32_t last_sequence;
	int32_t coordinator_epoch;
	int16_t producer_epoch;
};

/* False when the producer has no state here. @owner owner   @blocks never */
bool ot_log_get_producer(const struct ot_log *log, int64_t producer_id,
    struct ot_log_producer *ret_producer);

/* Visits each producer, in no order. @owner owner   @blocks never */
typedef void ot_log_visit_producer(void *arg, const struct ot_log_producer *producer);
void ot_log_visit_producers(const struct ot_log *log, ot_log_visit_producer *visit, void *arg);

/* Forgets producers that have been idle for producer.id.expiration.ms. @owner owner */
void ot_log_expire_producers(struct ot_log *log, ot_wall_ms now);

/* ---- syncing, chores, jobs ----------------------------------------------------------------- */

enum ot_log_sync_scope {
	OT_LOG_SYNC_DATA,       /* records: for acknowledgements with flush.messages or flush.ms */
	OT_LOG_SYNC_CHECKPOINT, /* indexes, epochs and a snapshot too: moves the recovery point */
};

/* Begins a sync of all that is written. NULL when nothing is to be done, when one is under way, or
 * when the log is offline. @owner owner   @blocks rarely */
struct ot_log_job *ot_log_sync_begin(struct ot_log *log, enum ot_log_sync_scope scope) OT_MUST_USE;

/* When the log next wants a chore done (write-back, renaming and removal of deleted segments, epoch
 * checkpoint): a time not after now when at once, INT64_MAX when there is none or one is under way.
 * @owner owner   @blocks never */
ot_wall_ms ot_log_chore_due(const struct ot_log *log);

/* Begins what is due; NULL when nothing is. @owner owner   @blocks rarely */
struct ot_log_job *ot_log_chore_begin(struct ot_log *log, ot_wall_ms now) OT_MUST_USE;

/* Does the job's work. @owner worker   @blocks: worker */
void ot_log_job_run(struct ot_log_job *job);

/* Takes over what a sync or a chore has done, and frees the job. A sync moves the synced offset
 * (and the recovery point); a failed one takes the log offline. A chore that fails is tried again
 * later. @owner owner   @blocks never */
OT_MUST_USE ot_err ot_log_job_end(struct ot_log *log, struct ot_log_job *job, ot_wall_ms now);

/* ---- retention and truncation -------------------------------------------------------------- */

/* Takes segments out of the log that retention.ms, retention.bytes (with "delete" in
 * cleanup.policy) or the start offset no longer hold, but none that reaches beyond the high
 * watermark; rolls the active one when it is to go. Chores delete their files.
 * @owner owner   @blocks rarely */
OT_MUST_USE ot_err ot_log_retain(struct ot_log *log, int64_t high_watermark, ot_wall_ms now,
    uint32_t *ret_segment_count);

/* Moves the start offset forward, as DeleteRecords and a leader's start offset do; never back.
 * OFFSET_OUT_OF_RANGE beyond the end. Segments go with the next ot_log_retain().
 * @owner owner   @blocks never */
OT_MUST_USE ot_err ot_log_advance_start(struct ot_log *log, int64_t offset);

/* Lowers the recovery point for a truncation to come. The caller then writes the checkpoint file,
 * truncates, and only then appends again: else a crash after the next appends could trust more than
 * was synced. @owner owner   @blocks never */
void ot_log_truncate_prepare(struct ot_log *log, int64_t offset);

/* Cuts all from the batch that holds `offset` on. Does nothing at or beyond the end. Durable when
 * it returns. @owner worker, no owner   @blocks: worker */
OT_MUST_USE ot_err ot_log_truncate_to(struct ot_log *log, int64_t offset, ot_wall_ms now);

/* Drops everything and begins anew at `offset`. @owner worker, no owner   @blocks: worker */
OT_MUST_USE ot_err ot_log_truncate_fully(struct ot_log *log, int64_t offset, ot_wall_ms now);

#endif
