/* The inside of a log, for this folder only: segments, indexes, epochs, producers, and how the
 * files of the folder share them. */
#ifndef OT_LOG_LOG_INT_H
#define OT_LOG_LOG_INT_H

#include "log/epochs_int.h"
#include "log/index_int.h"
#include "log/log.h"
#include "log/producers_int.h"

enum {
	LOG_MAGIC = 0x4c4f4721,
	LOG_PATH_BYTES = 1024, /* of a file's whole path; a longer folder is refused at opening */
	LOG_HINT_SETS = 64,    /* a power of two */
	LOG_HINT_WAYS = 2,
	LOG_FEW_BYTES = 64 * 1024, /* so much may be one batch */
	LOG_INACTIVE_OPEN_MAX = 8,
	LOG_WRITE_BACK_BYTES = 8 * 1024 * 1024,
	LOG_RESERVE_BYTES_MIN = 256 * 1024, /* smaller segments reserve nothing */
	LOG_RESERVE_BYTES_MAX = 8 * 1024 * 1024,
	LOG_SNAPSHOT_BYTES = 8 * 1024 * 1024, /* a checkpoint writes a snapshot after that much */
	LOG_PIECES_MAX = 64,                  /* of one gathered write */
	LOG_HOT_BYTES = 16 * 1024 * 1024,     /* behind the end that are taken to be in memory */
};

#define LOG_TIMESTAMP_UNKNOWN INT64_MIN

/* One segment: what follows `base_offset` up to the next one's. */
struct log_segment {
	int64_t base_offset;
	uint64_t bytes;          /* of whole, written batches */
	uint64_t bytes_reserved; /* the file has disk space up to here; at least `bytes` or 0 */
	uint64_t index_place;    /* of the batch that the last index entry names */
	ot_wall_ms created;
	int64_t first_timestamp;      /* max timestamp of the first batch, or unknown */
	int64_t max_timestamp;        /* of all batches; unknown: the time index tells */
	int64_t max_timestamp_offset; /* the last offset of the batch that has it */
	int64_t time_indexed;         /* the greatest timestamp in the time index */
	struct ot_file *file;         /* NULL until it is needed */
	bool is_file_writable;
	/* While opening: the offset or time index is missing, or has a size of no whole entries. */
	bool is_index_lost;
	bool is_index_odd;
	bool is_txn_odd;
	struct log_index offset_index;
	struct log_index time_index;
	struct log_index txn_index;
};

/* A batch that waits for the end of the turn. */
struct log_staged {
	struct ot_blob *blob; /* a reference, or NULL */
	uint8_t *data;
	size_t bytes;
	int64_t base_offset;
	int64_t last_offset;
	int64_t max_timestamp;
	int32_t leader_epoch;
	bool has_producer;
	struct log_txn_event event;
	struct log_producer_undo undo;
};

/* What the indexes are told of a batch. */
struct log_note {
	uint64_t place;
	size_t bytes;
	int64_t last_offset;
	int64_t max_timestamp;
};

/* Where a sequential reader's next batch lies. */
struct log_hint {
	int64_t offset; /* -1: none */
	int64_t segment_base;
	uint64_t place;
};

#define LOG_RETIRED_NOW ((ot_wall_ms)INT64_MIN) /* as `due`: still under its living name */

/* A segment whose files are to be removed. */
struct log_retired {
	int64_t base_offset;
	ot_wall_ms due; /* to be removed then; INT64_MIN: to be renamed first */
};

/* A producer snapshot that waits for a job to write it. */
struct log_snapshot {
	int64_t offset;
	uint8_t *data;
	size_t bytes;
	bool is_extra; /* inside the active segment */
};

struct ot_log {
	uint32_t magic;
	struct ot_fs *fs; /* [const] */
	char *dir;        /* [const] */
	struct ot_log_settings settings;
	uint64_t random; /* [const] */

	struct log_segment **segments; /* by base offset, the active one last */
	uint32_t segment_count;
	uint32_t segment_capacity;
	struct log_segment *inactive_open[LOG_INACTIVE_OPEN_MAX]; /* most recently used first */

	int64_t start_offset;
	int64_t end_offset;
	int64_t synced_offset;
	int64_t recovery_point;
	int64_t high_watermark; /* as it was last told */
	uint64_t bytes_unsynced;
	ot_err failure;

	struct log_epochs epochs;
	struct log_producers producers;

	struct log_staged *staged;
	uint32_t staged_count;
	uint32_t staged_done; /* written by the turn's write so far */
	uint32_t staged_capacity;
	int64_t staged_end;
	size_t staged_bytes;

	struct log_hint (*hints)[LOG_HINT_WAYS]; /* by hash of the offset; NULL until the first */
	struct log_hint bound;                   /* of the last bound that was not the end */

	struct log_retired *retired;
	uint32_t retired_count;
	uint32_t retired_capacity;
	uint32_t retired_running; /* that a chore holds and may give back */

	struct log_snapshot *snapshots; /* that wait to be written */
	uint32_t snapshot_count;
	uint32_t snapshot_capacity;
	int64_t snapshot_offset; /* of the newest one that is written or waits */
	int64_t snapshot_extra;  /* one inside the active segment, to go with the next; or -1 */
	uint64_t bytes_after_snapshot; /* that a replay would read */

	uint64_t write_back_place; /* in the active segment */
	ot_wall_ms chore_retry;    /* after a chore failed: not before then */
	bool is_dir_unsynced; /* names were made or taken away since the last sync of the folder */
	bool is_parent_unsynced;
	bool is_epoch_file_stale;
	bool is_sync_running;
	bool is_chore_running;
	bool is_chore_writing_epochs;
	uint32_t find_count; /* jobs of ot_log_find_begin() under way */
	uint64_t batches_appended;
};

/* ---- names.c ------------------------------------------------------------------------------- */

enum log_file_kind {
	LOG_FILE_LOG,
	LOG_FILE_INDEX,
	LOG_FILE_TIMEINDEX,
	LOG_FILE_TXNINDEX,
	LOG_FILE_SNAPSHOT,
	LOG_FILE_OTHER,
};

enum log_file_state { LOG_STATE_LIVE, LOG_STATE_DELETED, LOG_STATE_CLEANED, LOG_STATE_SWAP };

struct log_name {
	enum log_file_kind kind;
	enum log_file_state state;
	int64_t offset;
};

/* Reads a name in a partition's folder; kind OTHER for what is none of a segment's. */
struct log_name log_name_parse(const char *name);

/* Writes "<dir>/<offset, 20 digits>.<suffix of kind><suffix of state>". The folder was checked to
 * be short enough. */
void log_path(char path[LOG_PATH_BYTES], const char *dir, int64_t offset, enum log_file_kind kind,
    enum log_file_state state);

/* Writes "<dir>/<name>". */
void log_path_named(char path[LOG_PATH_BYTES], const char *dir, const char *name);

/* ---- segment.c ----------------------------------------------------------------------------- */

/* A segment that knows no file yet, or NULL without memory. */
struct log_segment *log_segment_create(int64_t base_offset, ot_wall_ms now);

/* Closes its files and frees it; what its indexes had not written is lost. Accepts NULL. */
void log_segment_destroy(struct log_segment *segment);

/* Makes the files of a new, empty segment. */
OT_MUST_USE ot_err log_segment_make_files(struct ot_log *log, struct log_segment *segment);

/* Takes the files of a new segment away again, as far as that is possible. */
void log_segment_remove_files(struct ot_log *log, const struct log_segment *segment);

/* Opens the file of records when it is not open: for writing if `is_writable`. */
OT_MUST_USE ot_err log_segment_open(struct ot_log *log, struct log_segment *segment,
    bool is_writable);

/* The same for one of its indexes; for writing it is made when missing. */
OT_MUST_USE ot_err log_segment_open_index(struct ot_log *log, const struct log_segment *segment,
    struct log_index *index, bool is_writable);

/* Closes the segment's files; its indexes must have been written. */
void log_segment_close_files(struct log_segment *segment);

/* What appending one batch at `place` means for the indexes. Room was reserved. */
void log_segment_note_batch(struct log_segment *segment, int32_t index_interval_bytes,
    const struct log_note *note);
OT_MUST_USE ot_err log_segment_reserve_notes(struct log_segment *segment, uint32_t count);

/* Adds the greatest timestamp to the time index, as Kafka does when a segment is closed. */
OT_MUST_USE ot_err log_segment_finish_time(struct log_segment *segment);

/* Writes what the indexes hold in memory. */
OT_MUST_USE ot_err log_segment_write_indexes(struct ot_log *log, struct log_segment *segment);

/* The same for who opens a log: what finds no space stays in memory, where searches find it too.
 * What was stored can be read then, and deleted, so that there is space again. */
OT_MUST_USE ot_err log_segment_write_or_keep(struct ot_log *log, struct log_segment *segment);

/* The active segment; there always is one. */
struct log_segment *log_active(const struct ot_log *log);

/* Place in log->segments of the segment that holds `offset`; the first for an earlier one. */
uint32_t log_segment_at(const struct ot_log *log, int64_t offset);

/* The offset after the segment's last: the next one's base, or the end. */
int64_t log_segment_end(const struct ot_log *log, uint32_t place);

/* Puts a segment behind the others; NULL memory is OT_ERR_NO_MEMORY, and the segment the
 * caller's. */
OT_MUST_USE ot_err log_push_segment(struct ot_log *log, struct log_segment *segment);

/* Takes segments [first, first + count) out and destroys them. */
void log_drop_segments(struct ot_log *log, uint32_t first, uint32_t count);

/* Learns first and max timestamp, where they are unknown, from the files. @blocks when cold */
OT_MUST_USE ot_err log_segment_learn_max(struct ot_log *log, struct log_segment *segment);
OT_MUST_USE ot_err log_segment_learn_first(struct ot_log *log, struct log_segment *segment);

/* The place of the last indexed batch that the search finds, by the relative offset of its end or
 * by its place; 0 when there is none before. Cold pages as below. */
OT_MUST_USE ot_err log_segment_floor(struct ot_log *log, struct log_segment *segment,
    struct log_index_search *search, uint64_t *ret_place, struct ot_log_read *ret_cold);

struct log_found_batch {
	uint64_t place;
	size_t bytes;
	int64_t base_offset;
	int64_t last_offset;
};

/* Finds the first batch whose last offset is at least `offset`; bytes 0 when there is none, with
 * place at the segment's end. Cold pages give OT_ERR_AGAIN unless may_block, and name themselves in
 * `ret_cold`, which then holds a reference. */
OT_MUST_USE ot_err log_segment_find(struct ot_log *log, struct log_segment *segment, int64_t offset,
    bool may_block, struct log_found_batch *ret_found, struct ot_log_read *ret_cold);

/* Names a range that is to be warmed first, with a reference; OT_ERR_AGAIN. */
OT_MUST_USE ot_err log_say_cold(struct ot_file *file, uint64_t place, uint64_t bytes,
    struct ot_log_read *ret_cold);

/* Whether the place is so near to the end that the appender's pages are still in memory, as far as
 * anything is. */
bool log_is_hot(const struct ot_log *log, const struct log_segment *segment, uint64_t place);

/* ---- append.c ------------------------------------------------------------------------------ */

/* Makes `base_offset` the base of a new active segment. */
OT_MUST_USE ot_err log_roll_segment(struct ot_log *log, int64_t base_offset, ot_wall_ms now);

/* Takes the log offline for good. */
void log_fail(struct ot_log *log, ot_err err);

/* ---- jobs.c -------------------------------------------------------------------------------- */

/* Lets a segment's files be deleted by chores. Memory was reserved by log_reserve_retired(). */
OT_MUST_USE ot_err log_reserve_retired(struct ot_log *log, uint32_t count);
void log_retire(struct ot_log *log, int64_t base_offset);

/* Serializes the producers' state as of the end offset for a job to write; fails softly. */
void log_queue_snapshot(struct ot_log *log, bool is_extra);

/* Writes and syncs all that waits, on the calling thread. @blocks: worker */
OT_MUST_USE ot_err log_sync_now(struct ot_log *log);

/* ---- replay.c ------------------------------------------------------------------------------ */

/* Rebuilds producers from the newest snapshot not beyond `from` and the batches after it. After a
 * clean stop a folder without any snapshot has no producers. @blocks: worker */
OT_MUST_USE ot_err log_replay_producers(struct ot_log *log, int64_t from, bool is_clean,
    ot_wall_ms now, struct ot_log_open_result *result);

/* ---- log.c --------------------------------------------------------------------------------- */

void log_hints_clear(struct ot_log *log);

/* Forgets them and gives their memory back. */
void log_hints_free(struct ot_log *log);

/* Gives a log without segments an empty one that begins at `offset`. */
OT_MUST_USE ot_err log_begin_at(struct ot_log *log, int64_t offset, ot_wall_ms now);

/* Frees what the log holds in memory and closes its files; writes nothing. */
void log_free(struct ot_log *log);

#endif
