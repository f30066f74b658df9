/* The coordinator runtime: a deterministic state machine on one partition of an internal topic.
 *
 * Consumer groups (group/), and later transactions and share groups, are users of it. The machine
 * turns requests into records (key and value, Kafka's formats) and applies records to its state;
 * the runtime batches the records of one turn into one append, waits for the high watermark, and
 * answers; it replays the partition when this broker becomes its leader, and rolls back what could
 * not be appended.
 *
 *   handler                runtime                               partition
 *   begin, put, put   -->  draft
 *   commit            -->  undo image, apply(), open batch
 *                          end of turn: one batch           -->  append
 *   wait->on_done     <--  batches are committed in order   <--  high watermark passed
 *
 * The one invariant on which all rests: THE STATE IS A FUNCTION OF THE LAST VALUE OF EACH KEY. The
 * same invariant lets a log be compacted. Four things follow from it:
 *   - load:     applying the log's records in order gives the state;
 *   - undo:     applying, newest first, the values that keys had before gives the earlier state;
 *   - rewrite:  appending the values of all keys makes everything before them superfluous;
 *   - equality: live state and reloaded state are the same, for both came through apply().
 * README.md has the argument in full, and what a machine may keep beside this ("soft" state).
 *
 * One thread: everything here belongs to the shard that owns the partition, and nothing blocks.
 * @owner that shard
 */
#ifndef OT_COORD_COORD_H
#define OT_COORD_COORD_H

#include "base/list.h"
#include "record/batch.h"
#include "shard/shard.h"
#include "wire/codec.h"

struct ot_coord;
struct ot_codec_ctx;

/* ---- the partition's side ------------------------------------------------------------------ */

/* A batch on its way. The coordinator's memory, until on_done. */
struct ot_coord_append {
	struct ot_list link;  /* the log's to use */
	struct ot_blob *blob; /* one batch of magic 2 and nothing else, CRC set. The log may take
	                       * references, and patches base offset and leader epoch in it */
	struct ot_batch_info info; /* its header */
	int64_t next_offset;       /* set by the log before a good on_done: behind the batch */

	/* OT_OK once the high watermark has passed the batch. */
	void (*on_done)(struct ot_coord_append *append, ot_err err);
};

/* A chunk of the log to be read. The coordinator's memory, until on_done. */
struct ot_coord_read {
	struct ot_list link; /* the log's to use */
	int64_t offset;      /* first wanted */
	size_t bytes_max;    /* a first batch that is larger is given whole */

	/* Results, set before a good on_done: */
	struct ot_blob *blob; /* holds the bytes; the reference becomes the coordinator's */
	const uint8_t *data;  /* whole batches; the first may begin before `offset` */
	size_t bytes;
	int64_t next_offset; /* behind them: where the next read begins */

	void (*on_done)(struct ot_coord_read *read, ot_err err);
};

struct ot_coord_log;

/* What the runtime asks of a partition that this shard leads. Callbacks may come from inside a
 * call.
 *
 * append  OT_OK, in the order of the calls, when the batch is committed, that is, when the high
 *         watermark is behind it. A failure says that the batch IS NOT AND WILL NOT BE IN THE LOG
 *         (refused for want of in-sync replicas, a full disk); it may overtake batches that wait,
 *         but every append after it fails too, before a later call is taken. A partition that
 *         cannot tell unloads the coordinator first, and fails what waits then: it does not matter
 *         any more what became of it.
 *         Errors as Kafka's: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR or
 * our own of the host, MESSAGE_TOO_LARGE, UNKNOWN_TOPIC_OR_PARTITION. read    Gives whole committed
 * batches from `offset` on; at least one. It waits when the high watermark has not got there, and
 * uses workers for what is not in memory. bounds  First offset and end offset (not the high
 * watermark), as they are now. The end must be a leader's: what is before it will be committed in
 * time. trim    All before `offset` is superfluous: as DeleteRecords. May be NULL: then nothing is
 *         rewritten. Fire and forget.
 */
struct ot_coord_log_ops {
	void (*append)(struct ot_coord_log *log, struct ot_coord_append *append);
	void (*read)(struct ot_coord_log *log, struct ot_coord_read *read);
	void (*bounds)(struct ot_coord_log *log, int64_t *ret_start, int64_t *ret_end);
	void (*trim)(struct ot_coord_log *log, int64_t offset);
};

/* An implementation's own type begins with this. */
struct ot_coord_log {
	const struct ot_coord_log_ops *ops; /* [const] */
	size_t batch_bytes_max;             /* [owner] max.message.bytes of the internal topic */
};

/* ---- the machine's side -------------------------------------------------------------------- */

/* Where a record that is applied comes from. */
enum ot_coord_origin {
	OT_COORD_LOAD, /* the log, while loading */
	OT_COORD_LIVE, /* an operation, just now */
	OT_COORD_UNDO, /* the value of before, since the append failed */
};

struct ot_coord_record {
	struct ot_bytes key;
	struct ot_bytes value; /* null: a tombstone */
	int64_t offset;        /* -1 unless OT_COORD_LOAD */
	int64_t timestamp;     /* OT_NO_TIMESTAMP with OT_COORD_UNDO */
	int64_t producer_id;   /* of a transactional batch, only while loading; OT_NO_PRODUCER_ID */
	int16_t producer_epoch;
};

struct ot_coord_machine;

/* Appends one live record to what is being rewritten; see each(). */
typedef void ot_coord_emit(void *arg, struct ot_bytes key, struct ot_bytes value);

/* apply    Takes a record into the state; the bytes are the caller's. OT_ERR_UNSUPPORTED_VERSION
 * for a key number that this version does not know: skipped and counted (Kafka writes new ones).
 *          Any other failure while loading fails the coordinator. Must not fail for OT_COORD_LIVE
 * and OT_COORD_UNDO. image    Appends the present value of the key to `out`; false when it has
 * none. Soft errors as the writer's. marker   While loading: the transaction of a producer ends.
 * NULL: there are none. each     Emits live records, about `count_max`, beginning at the cursor
 * `*place` (0 at first) and moves it; 0 when all have been emitted. Records that come or go
 * meanwhile may be emitted or not. NULL: the log is never rewritten. activate The state is loaded:
 * arm timers. clear    Leadership is gone, or loading begins: forget the state, answer all that
 * waits with NOT_COORDINATOR, cancel timers.
 */
struct ot_coord_machine_ops {
	ot_err (*apply)(struct ot_coord_machine *machine, const struct ot_coord_record *record,
	    enum ot_coord_origin origin);
	bool (*image)(struct ot_coord_machine *machine, struct ot_bytes key, struct ot_writer *out);
	void (*marker)(struct ot_coord_machine *machine, int64_t producer_id,
	    int16_t producer_epoch, bool is_commit);
	bool (*each)(struct ot_coord_machine *machine, uint64_t *place, uint32_t count_max,
	    ot_coord_emit *emit, void *arg);
	void (*activate)(struct ot_coord_machine *machine);
	void (*clear)(struct ot_coord_machine *machine);
};

/* A machine's own type begins with this. */
struct ot_coord_machine {
	const struct ot_coord_machine_ops *ops; /* [const] */
	struct ot_coord *coord;                 /* [const] set by ot_coord_create() */
};

/* ---- a coordinator's life ------------------------------------------------------------------ */

enum ot_coord_state {
	OT_COORD_IDLE,    /* this broker does not lead the partition: NOT_COORDINATOR */
	OT_COORD_LOADING, /* COORDINATOR_LOAD_IN_PROGRESS */
	OT_COORD_ACTIVE,
	OT_COORD_FAILED, /* the log could not be read: NOT_COORDINATOR until the next load */
	OT_COORD_STATE_COUNT,
};

struct ot_coord_options {
	struct ot_shard *shard;
	struct ot_coord_log *log;
	struct ot_coord_machine *machine;
	const char *name;           /* "__consumer_offsets-17", copied: for reports */
	struct ot_codec_ctx *codec; /* the shard's; needed for compressed batches */
	enum ot_compression compression;
	int32_t write_timeout_ms;   /* offsets.commit.timeout.ms */
	size_t load_chunk_bytes;    /* offsets.load.buffer.size */
	uint64_t rewrite_bytes_min; /* rewrite the log when so much was appended; 0: never */
};

/* Log, machine and codec are borrowed and outlive the coordinator. It is idle at first.
 * @owner shard   @blocks never */
struct ot_coord *ot_coord_create(const struct ot_coord_options *options) OT_MUST_USE;

/* Unloads, and frees the coordinator once the log has returned what it was given: `on_destroyed`
 * (or NULL) comes then, maybe at once. @owner shard   @blocks never */
void ot_coord_destroy(struct ot_coord *coord, void (*on_destroyed)(void *arg), void *arg);

/* This broker leads the partition from `leader_epoch` on: replays it. Of an active or loading
 * coordinator only the epoch changes, for the log stayed this one's alone.
 * @owner shard   @blocks never: reads are the log's jobs, replay goes in steps */
void ot_coord_load(struct ot_coord *coord, int32_t leader_epoch);

/* Leadership is gone or the partition closes: all that waits is answered NOT_COORDINATOR, the state
 * is dropped. Harmless when idle. @owner shard   @blocks never */
void ot_coord_unload(struct ot_coord *coord);

enum ot_coord_state ot_coord_state(const struct ot_coord *coord);
const char *ot_coord_state_name(enum ot_coord_state state);
int32_t ot_coord_leader_epoch(const struct ot_coord *coord);
const char *ot_coord_name(const struct ot_coord *coord);

/* OT_OK when active, else what a client is to be told. @owner shard */
ot_err ot_coord_admit(const struct ot_coord *coord) OT_MUST_USE;

/* ---- operations ---------------------------------------------------------------------------- */

/* Someone who waits for the high watermark. */
struct ot_coord_wait {
	struct ot_list link;   /* [owner] empty when not waiting */
	uint64_t batch_number; /* [owner] the last batch that is waited for */
	ot_mono_ns deadline;   /* [owner] */
	/* OT_OK: all that was committed to the coordinator before ot_coord_wait() is in the log for
	 * good. REQUEST_TIMED_OUT: nobody knows yet. NOT_COORDINATOR: unloaded, nobody here will
	 * know. Else it failed and was rolled back, before this call. Never from inside the call.
	 */
	void (*on_done)(struct ot_coord_wait *wait, ot_err err);
};

/* An operation: begin, put once or more, then commit or abandon, all in one call, in an active
 * coordinator. Nothing has happened until the commit. Errors are soft: the commit tells.
 * @owner shard   @blocks never */
void ot_coord_begin(struct ot_coord *coord);

/* A record: message of the key, whose number is `key_number`, and of the value, which is NULL for a
 * tombstone. Both are encoded at once. */
void ot_coord_put(struct ot_coord *coord, const struct ot_msg *key_type, int16_t key_number,
    const void *key, const struct ot_msg *value_type, int16_t value_version, const void *value);

/* Applies the records and takes them into the turn's batch: all in one, so that all of an operation
 * or nothing is in the log; with `is_divisible` many may be spread over several batches, of which
 * only a prefix may survive. No record at all is fine.
 * MESSAGE_TOO_LARGE when it cannot be in one batch, OT_ERR_NO_MEMORY, what ot_coord_put() met:
 * nothing has happened then. */
OT_MUST_USE ot_err ot_coord_commit(struct ot_coord *coord, bool is_divisible);

void ot_coord_abandon(struct ot_coord *coord);

/* Waits until all that was committed to the coordinator so far is behind the high watermark. When
 * nothing is on its way, on_done comes at the end of this turn. @owner shard   @blocks never */
void ot_coord_wait(struct ot_coord *coord, struct ot_coord_wait *wait,
    void (*on_done)(struct ot_coord_wait *wait, ot_err err));

/* No on_done any more. Harmless when not waiting. @owner shard */
void ot_coord_wait_cancel(struct ot_coord_wait *wait);

/* What apply() stamps the things with that it changes, to know later whether they are committed:
 * the number of the batch that the record goes into; while loading, of one that is committed; while
 * undoing, of the newest that is left. @owner shard */
uint64_t ot_coord_batch_number(const struct ot_coord *coord);
bool ot_coord_is_committed(const struct ot_coord *coord, uint64_t batch_number);

/* Whether any record is not yet behind the high watermark. @owner shard */
bool ot_coord_is_settled(const struct ot_coord *coord);

struct ot_coord_stats {
	uint64_t records_loaded;
	uint64_t records_unknown; /* skipped while loading */
	uint64_t bytes_loaded;
	int64_t load_ms;
	uint64_t records_appended;
	uint64_t batches_appended;
	uint64_t bytes_appended;
	uint64_t batches_failed;
	uint64_t rewrite_count;
	uint32_t batches_pending;
};

/* @owner shard */
void ot_coord_get_stats(const struct ot_coord *coord, struct ot_coord_stats *ret_stats);

#endif
