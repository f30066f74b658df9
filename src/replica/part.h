/* One partition of this broker: role, watermarks, and those who wait for them. See README.md.
 *
 * Everything here is the owner shard's, and nothing blocks. */
#ifndef OT_REPLICA_PART_H
#define OT_REPLICA_PART_H

#include "cluster/image.h"
#include "log/log.h"
#include "record/compress.h"
#include "replica/dirs.h"
#include "shard/shard.h"

struct ot_part;

enum ot_part_state {
	OT_PART_OPENING, /* a worker loads the log */
	OT_PART_ONLINE,
	OT_PART_CUTTING, /* a worker cuts the log, or is about to */
	OT_PART_OFFLINE, /* the log cannot be opened or written; answers KAFKA_STORAGE_ERROR */
	OT_PART_CLOSING, /* waits for its jobs, then for the closing of the log */
	OT_PART_CLOSED,
};

/* What a partition needs of its topic's settings. */
struct ot_part_settings {
	struct ot_log_settings log;
	int64_t flush_messages; /* flush.messages: sync before the answer, every so many records */
	int64_t flush_ms;       /* flush.ms; INT64_MAX: never by time */
	int64_t timestamp_before_ms; /* message.timestamp.before.max.ms */
	int64_t timestamp_after_ms;  /* message.timestamp.after.max.ms */
	int32_t message_bytes_max;   /* max.message.bytes */
	int32_t compression_level;   /* OT_COMPRESSION_LEVEL_DEFAULT, or the codec's */
	int64_t replica_lag_ms;      /* replica.lag.time.max.ms */
	int16_t min_insync_replicas;
	enum ot_timestamp_type timestamp_type;
	enum ot_compression compression; /* when !is_codec_kept */
	bool is_codec_kept;              /* compression.type=producer */
	bool is_compacted;               /* cleanup.policy has "compact": each record needs a key */
};

/* ---- appending ----------------------------------------------------------------------------- */

/* A record of a batch that the broker refused, for Produce from version 8 on. */
struct ot_part_bad_record {
	int32_t index;
	char why[120];
};

/* Record batches for one partition, embedded in the request. The requester fills the first part;
 * `done` is called once on the owner's shard, at the earliest at the end of the turn, or at once
 * when the append is refused. */
struct ot_append {
	struct ot_blob
	    *blob; /* holds `records`; must stand until done; NULL: the caller keeps them */
	struct ot_bytes records; /* whole batches; patched in place */
	int16_t acks;            /* 0, 1, -1 */
	int64_t timeout_ms;      /* acks=-1: the longest wait for the ISR; 0: no end */
	enum ot_append_origin origin;
	bool is_zstd_refused; /* Produce below version 7 */
	ot_err txn_err;       /* a client's transactional batch gets this; OT_OK: it may come in */
	void (*done)(struct ot_append *append);

	ot_err err;
	struct ot_why why;                      /* empty unless err */
	int64_t base_offset;                    /* of the first batch; -1 on failure */
	int64_t end_offset;                     /* after the last */
	ot_wall_ms append_time;                 /* with LogAppendTime; else -1 */
	int64_t log_start_offset;               /* -1 on failure */
	struct ot_part_bad_record *bad_records; /* heap; free with ot_free(); NULL mostly */
	int32_t bad_record_count;

	struct ot_list link;   /* the partition's, as the rest */
	struct ot_timer timer; /* of timeout_ms */
	bool is_sync_awaited;
};

/* Validates, stages, and later answers. Refusals: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS,
 * INVALID_REQUIRED_ACKS, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE,
 * RECORD_LIST_TOO_LARGE, UNSUPPORTED_COMPRESSION_TYPE, OUT_OF_ORDER_SEQUENCE_NUMBER,
 * INVALID_PRODUCER_EPOCH, KAFKA_STORAGE_ERROR, `txn_err`, and what ot_log_stage() adds. After
 * REQUEST_TIMED_OUT the records are in the log, with the offsets that are told, and will stay there
 * unless another leader comes.
 * @owner owner   @blocks never */
void ot_part_append(struct ot_part *part, struct ot_append *append);

/* ---- reading ------------------------------------------------------------------------------- */

enum ot_isolation { OT_READ_UNCOMMITTED = 0, OT_READ_COMMITTED = 1 };

struct ot_part_aborted {
	int64_t producer_id;
	int64_t first_offset;
};

/* A read of one partition, embedded in the request. */
struct ot_part_read {
	int64_t offset;
	int32_t bytes_max;
	int32_t leader_epoch;       /* the reader's view; -1: none */
	int32_t last_fetched_epoch; /* KIP-595; -1: none */
	enum ot_isolation isolation;
	bool is_one_at_least; /* give a first batch that is larger than bytes_max */
	/* A consumer that may read at a follower, up to what that knows to be replicated (KIP-392).
	 */
	bool is_follower_allowed;
	/* Another replica, which reads up to the log's end and tells by its offset what it has.
	 * With a `replica_id` of -1 it is a consumer, and the other two mean nothing. */
	int32_t replica_id;
	int64_t replica_epoch; /* of the broker (KIP-903); -1: it did not say */
	int64_t replica_log_start;
	bool is_replica_known; /* the same fetch reads again: it tells nothing new of the replica */
	void (*done)(struct ot_part_read *read);

	ot_err err;
	int64_t high_watermark;
	int64_t last_stable_offset;
	int64_t log_start_offset;
	int64_t readable_end;         /* for this reader, when it was planned; -1: it was not */
	int64_t end;                  /* ot_part_end() for its watcher at that time */
	int32_t current_leader_epoch; /* of the partition here */
	int32_t diverging_epoch;      /* -1: none */
	int64_t diverging_end_offset;
	struct ot_file *file; /* a reference, the reader's to drop; NULL: no bytes */
	uint64_t place;
	size_t bytes;
	struct ot_part_aborted *aborted; /* heap; ot_free() */
	int32_t aborted_count;           /* -1: not asked */

	struct ot_log_read plan; /* while cold pages are being read */
	struct ot_part *part;
	struct ot_job job;
};

/* Plans a read and calls `done`: at once when the range is in memory, else after a worker has
 * brought it there. OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
 * UNKNOWN_LEADER_EPOCH (also to a replica that is none by our metadata), KAFKA_STORAGE_ERROR.
 * @owner owner   @blocks never */
void ot_part_read(struct ot_part *part, struct ot_part_read *read);

/* What has to move so that more can be read: the log's end for a replica, else the high watermark.
 * @owner owner */
int64_t ot_part_end(const struct ot_part *part, bool is_replica);

/* Someone who wants to know when more can be read. `on_more` is called each time ot_part_end()
 * moves, and when the partition stops being readable; cancel before the watcher goes. A partition
 * that closes lets its watchers go and calls each a last time. */
struct ot_part_watcher {
	struct ot_list link;
	void (*on_more)(struct ot_part_watcher *watcher);
	bool is_replica;
};

/* @owner owner   @blocks never */
void ot_part_watch(struct ot_part *part, struct ot_part_watcher *watcher);
void ot_part_unwatch(struct ot_part_watcher *watcher);

/* What the leader knows of another replica. */
struct ot_part_follower {
	int32_t id;
	int64_t log_start;
	int64_t log_end;      /* -1: it has not fetched from this leader yet */
	ot_mono_ns caught_up; /* when it last had all that there was; 0: never */
	bool is_in_sync;      /* in the ISR that is committed */
};

/* False when the partition is not led here, or `id` is none of its other replicas. @owner owner */
bool ot_part_follower(const struct ot_part *part, int32_t id,
    struct ot_part_follower *ret_follower) OT_MUST_USE;

/* ---- other questions ----------------------------------------------------------------------- */

/* Checks that the partition leads here and that the asker's epoch (-1: none) is the current one:
 * NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR.
 * @owner owner */
OT_MUST_USE ot_err ot_part_check_leader(const struct ot_part *part, int32_t leader_epoch);

#define OT_LIST_LATEST         ((int64_t)-1)
#define OT_LIST_EARLIEST       ((int64_t)-2)
#define OT_LIST_MAX            ((int64_t)-3)
#define OT_LIST_LOCAL_EARLIEST ((int64_t)-4)
#define OT_LIST_TIERED_LATEST  ((int64_t)-5)
#define OT_LIST_PENDING_UPLOAD ((int64_t)-6)

/* One question of ListOffsets. */
struct ot_part_find {
	int64_t timestamp; /* or one of OT_LIST_ */
	int32_t leader_epoch;
	bool is_replica;          /* the end is the log's then, not a consumer's */
	bool is_follower_allowed; /* a debugger, which asks followers too */
	enum ot_isolation isolation;
	int32_t
	    starts_max; /* version 0: this many starts of segments are wanted; 0: an offset is */
	void (*done)(struct ot_part_find *find);

	ot_err err;
	struct ot_log_found found;
	int64_t *starts; /* heap, ot_free(): newest first; NULL: none were wanted */
	int32_t start_count;

	struct ot_part *part;
	struct ot_log_job *log_job;
	struct ot_job job;
};

/* Calls `done`, at once or after a worker has looked. @owner owner   @blocks never */
void ot_part_find(struct ot_part *part, struct ot_part_find *find);

/* DeleteRecords: everything before `offset` (-1: the high watermark) goes from this log, which
 * begins at `*ret_start` then. OFFSET_OUT_OF_RANGE beyond the high watermark, POLICY_VIOLATION on a
 * topic that is only compacted.
 * @owner owner   @blocks never */
OT_MUST_USE ot_err ot_part_delete_records(struct ot_part *part, int64_t offset, int64_t *ret_start);

/* Someone who waits until no replica of a broker that is alive has what lies before `offset`. */
struct ot_part_deletion {
	int64_t offset;
	int64_t timeout_ms; /* 0: what is not so by now will not be waited for */
	void (*done)(struct ot_part_deletion *deletion);

	ot_err err;            /* REQUEST_TIMED_OUT, NOT_LEADER_OR_FOLLOWER */
	int64_t low_watermark; /* the least log start of those replicas; -1: not led here */
	struct ot_part *part;  /* the partition's, as the rest */
	struct ot_list link;
	struct ot_timer timer;
};

/* Calls `done` once, at once when there is nothing to wait for. @owner owner   @blocks never */
void ot_part_await_deletion(struct ot_part *part, struct ot_part_deletion *deletion);

/* Moves the log start of an internal topic whose coordinator has rewritten what it still needs.
 * OFFSET_OUT_OF_RANGE beyond the high watermark. @owner owner */
OT_MUST_USE ot_err ot_part_trim(struct ot_part *part, int64_t offset);

/* OffsetForLeaderEpoch. @owner owner */
OT_MUST_USE ot_err ot_part_epoch_end(struct ot_part *part, int32_t current_leader_epoch,
    int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset);

/* ---- life ---------------------------------------------------------------------------------- */

struct ot_part_conf {
	struct ot_shard *owner;
	struct ot_codec_ctx *codecs; /* the shard's */
	struct ot_str topic;         /* copied */
	struct ot_uuid topic_id;
	int32_t index;
	struct ot_part_settings settings;
	struct ot_dirs *dirs;       /* where its folder is prepared */
	struct ot_dirs_place place; /* its folder */
	int32_t node_id;
	/* What is told; `arg` for all. */
	void (*on_open)(void *arg, struct ot_part *part);   /* ONLINE or OFFLINE */
	void (*on_closed)(void *arg, struct ot_part *part); /* the part may be destroyed */
	/* It may have begun or ceased to lead or to follow: ask ot_part_check_leader() and
	 * ot_part_follow_state(). From inside calls that change it. May be NULL. */
	void (*on_role)(void *arg, struct ot_part *part);
	/* The leader wants another ISR: ot_part_isr_wish() says which. May be NULL. */
	void (*on_isr_wanted)(void *arg, struct ot_part *part);
	/* Whether a broker may enter the ISR: registered in that epoch (-1: any), not fenced, not
	 * stopping. NULL: each may. */
	bool (*is_eligible)(void *arg, int32_t broker, int64_t epoch);
	/* Whether a broker is registered and not fenced. NULL: each is. */
	bool (*is_alive)(void *arg, int32_t broker);
	void *arg;
};

/* A partition in state OPENING, which waits for ot_part_open(). `args->dir` is copied.
 * @owner conf->owner   @blocks never */
struct ot_part *ot_part_create(const struct ot_part_conf *conf,
    const struct ot_log_open_args *args);

/* Another folder than it was created with, whose log has other offsets; before ot_part_open().
 * @owner owner   @blocks never */
void ot_part_set_place(struct ot_part *part, const struct ot_dirs_place *place);

/* Loads the log in a worker, then on_open. Once, and not after ot_part_close(). A shortage (space,
 * descriptors, memory) leaves it OFFLINE; ot_part_tick() tries again, each attempt ends with
 * on_open.
 * @owner owner   @blocks never */
void ot_part_open(struct ot_part *part);

/* Instead of ot_part_open(): its directory cannot be used, and it is OFFLINE. on_open follows in
 * the call. @owner owner   @blocks never */
void ot_part_leave_offline(struct ot_part *part);

/* Whether a partition that is CLOSED left a log that need not be scanned. @owner owner */
bool ot_part_is_clean(const struct ot_part *part);

/* Where the log begins, and up to where it is on the disk for good: what its rows in the checkpoint
 * files say. Of a log that is not open, what they said before. @owner owner */
void ot_part_checkpoint_offsets(const struct ot_part *part, int64_t *ret_start,
    int64_t *ret_recovery_point);

/* Where the log of a partition that is CLOSED begins, and up to where it is on the disk for good:
 * what its checkpoint rows say. @owner owner */
void ot_part_final_offsets(const struct ot_part *part, int64_t *ret_start,
    int64_t *ret_recovery_point);

/* Frees a partition that is CLOSED. @owner owner */
void ot_part_destroy(struct ot_part *part);

/* ---- roles ---------------------------------------------------------------------------------- */

/* What the metadata says of the partition. */
struct ot_part_role {
	int32_t leader_id; /* -1: nobody */
	int32_t leader_epoch;
	int32_t partition_epoch;
	bool is_recovering; /* LeaderRecoveryState: the leader was elected uncleanly (KIP-704) */
	/* Both are copied. Without replicas (items NULL) they are those of the role before, which
	 * was of the same leader epoch. */
	struct ot_ids replicas;
	struct ot_ids isr;
};

/* Takes up a role; older than the one that it has (by leader epoch, then partition epoch) it is
 * ignored. Leading begins where the log ends; whoever ceases to lead answers those who wait with
 * NOT_LEADER_OR_FOLLOWER. @owner owner   @blocks never */
void ot_part_set_role(struct ot_part *part, const struct ot_part_role *role);

/* ---- leading: the in-sync replicas ----------------------------------------------------------- */

struct ot_part_isr_member {
	int32_t id;
	int64_t epoch; /* of the broker; -1: not known */
};

/* The ISR that the leader wants the controller to commit (AlterPartition). */
struct ot_part_isr_wish {
	int32_t leader_epoch;
	int32_t partition_epoch;
	bool is_recovered;                  /* the recovery after an unclean election is over */
	struct ot_part_isr_member *members; /* heap, ot_free() */
	int32_t count;
};

/* Takes the wish up: it is under way until it is answered or a newer role comes, and until then the
 * high watermark is bound by the wider of both ISRs. False when there is none (any more).
 * @owner owner   @blocks never */
bool ot_part_take_isr_wish(struct ot_part *part, struct ot_part_isr_wish *ret_wish) OT_MUST_USE;

/* The controller's answer to `wish`, of which only the epochs count; `role` has what it committed
 * (OT_OK), else NULL. Anything but a final refusal makes the partition wish again. Ignored if a
 * newer role came first: a wish that was taken since is still under way.
 * @owner owner   @blocks never */
void ot_part_isr_answered(struct ot_part *part, const struct ot_part_isr_wish *wish, ot_err err,
    const struct ot_part_role *role);

/* ---- following ------------------------------------------------------------------------------ */

/* What a follower asks its leader for. */
struct ot_part_follow {
	int32_t leader_id;
	int32_t leader_epoch;
	int64_t
	    fetch_offset; /* the end of what is written, and synced where flush.messages wants it
	                   */
	int64_t log_start_offset;
	int32_t last_fetched_epoch; /* -1: the log is empty */
};

/* False unless it follows somebody, its log is open, and nothing of it is being cut or written.
 * @owner owner   @blocks never */
bool ot_part_follow_state(const struct ot_part *part, struct ot_part_follow *ret_state) OT_MUST_USE;

/* What came from the leader. The fetcher's memory until `done`. */
struct ot_part_fetched {
	int32_t leader_epoch;    /* in which it was asked */
	struct ot_blob *blob;    /* holds `records`; NULL: no records */
	struct ot_bytes records; /* may end within a batch, which is ignored */
	int64_t high_watermark;
	int64_t log_start_offset;
	/* FENCED_LEADER_EPOCH: the partition has another role by now; CORRUPT_MESSAGE,
	 * KAFKA_STORAGE_ERROR, OFFSET_OUT_OF_RANGE (does not continue this log), what
	 * ot_log_stage() gives. What stood before the bad batch is kept. May come from inside the
	 * call. */
	void (*done)(struct ot_part_fetched *fetched, ot_err err);

	struct ot_append append; /* the partition's */
	struct ot_part *part;
	ot_err stage_err;
};

/* Appends what was fetched and takes over watermark and start. One at a time.
 * @owner owner   @blocks never */
void ot_part_take_fetched(struct ot_part *part, struct ot_part_fetched *fetched);

/* The leader says that this log's last epoch ended elsewhere there (KIP-595): all that cannot be
 * the leader's is cut off, in a worker. `on_role` comes when following can go on; if the next
 * answer diverges again, it is told again. False: the partition does not follow in that epoch.
 * @owner owner   @blocks never */
bool ot_part_diverged(struct ot_part *part, int32_t leader_epoch, int32_t epoch,
    int64_t end_offset);

/* The leader has nothing at our end: drops all and begins anew at `offset`, where the leader's log
 * starts (it has more than we), or cuts back to it, where the leader's log ends (it has less).
 * As ot_part_diverged(). @owner owner   @blocks never */
bool ot_part_restart_at(struct ot_part *part, int32_t leader_epoch, int64_t offset);
bool ot_part_cut_to(struct ot_part *part, int32_t leader_epoch, int64_t offset);

/* @owner owner */
void ot_part_set_settings(struct ot_part *part, const struct ot_part_settings *settings);

/* Ends the partition: those who wait get NOT_LEADER_OR_FOLLOWER, jobs are waited for, the log is
 * closed in a worker, then on_closed. @owner owner   @blocks never */
void ot_part_close(struct ot_part *part, enum ot_log_close_how how);

/* The steady work that time brings: opening anew, chores of the log, flush.ms, and with
 * `is_retention_due` retention and the expiry of producers. @owner owner */
void ot_part_tick(struct ot_part *part, ot_wall_ms now, bool is_retention_due);

/* Takes it offline, since its directory has failed. Nothing unless it is online. @owner owner */
void ot_part_fail(struct ot_part *part);

/* Whether it is OFFLINE for good, not only for want of space or descriptors. @owner owner */
bool ot_part_has_failed(const struct ot_part *part);

/* Starts a sync that moves the recovery point, if none runs. @owner owner */
void ot_part_checkpoint(struct ot_part *part);

/* ---- what a partition is ------------------------------------------------------------------- */

/* Texts live as long as the partition. @owner owner   @blocks never */
enum ot_part_state ot_part_state(const struct ot_part *part);
struct ot_str ot_part_topic(const struct ot_part *part);
const struct ot_uuid *ot_part_topic_id(const struct ot_part *part);
int32_t ot_part_index(const struct ot_part *part);
const char *ot_part_dir(const struct ot_part *part);
int32_t ot_part_leader_epoch(const struct ot_part *part);
int64_t ot_part_high_watermark(const struct ot_part *part);

/* NULL while it is not open. @owner owner */
struct ot_log *ot_part_log(struct ot_part *part);

/* The shard that owns a partition, by its topic's name: the same answer on every thread.
 * @owner any thread */
uint32_t ot_part_owner_index(struct ot_str topic, int32_t index, uint32_t shard_count);

#endif
