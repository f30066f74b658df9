/* The body of a partition, for this folder. */
#ifndef OT_REPLICA_PART_INT_H
#define OT_REPLICA_PART_INT_H

#include "base/report.h"
#include "replica/part.h"

struct part_cut;
struct part_peer;

enum {
	PART_MAGIC = 0x50617274,
	PART_HOT_BYTES = 32 * 1024 * 1024, /* the last so many are taken for cached */
	PART_HOT_TICKS = 20,               /* and for so long after the last append */
	PART_IDLE_TICKS = 120,             /* then the log gives files and memory back */
	PART_REOPEN_TICKS = 4,             /* between attempts to open that met a shortage */
};

struct ot_part {
	uint32_t magic;
	enum ot_part_state state;          /* [owner] */
	struct ot_part_conf conf;          /* [const] save settings: [owner] */
	struct ot_log_open_args open_args; /* [const] */
	struct ot_log *log;                /* [owner] NULL unless ONLINE, OFFLINE or CLOSING */

	/* part_role.c. What the metadata says; epochs -1 before the first role. */
	int32_t leader_id; /* [owner] -1: nobody */
	int32_t leader_epoch;
	int32_t partition_epoch;
	bool is_leader;
	bool is_recovering;
	int32_t replica_count; /* this one included; at least 1 */
	int32_t *isr;          /* [owner] heap; committed */
	int32_t isr_count;
	int64_t epoch_start; /* [owner] a leader's: where its epoch begins in the log */

	/* part_isr.c. Of a leader. */
	struct part_peer *peers; /* [owner] heap; the other replicas */
	int32_t peer_count;
	int32_t *wanted_isr; /* [owner] heap; under way to the controller; NULL: none */
	int32_t wanted_count;
	bool is_isr_wish_told; /* [owner] on_isr_wanted was called, and nobody took the wish yet */
	bool is_isr_wish_lost; /* [owner] no answer came to what is under way: to be asked again */

	/* Falls only where a follower has to cut what it had, after an unclean election. */
	int64_t high_watermark; /* [owner] */

	/* part_follow.c. */
	struct ot_part_fetched *fetched; /* [owner] being written; NULL: none */
	struct part_cut *cut;            /* [owner] waits for jobs, or is in a worker's hands */
	int64_t limit_until; /* [owner] the folder has a limit of the recovery point; -1: none */
	bool is_limit_stale; /* [owner] and no checkpoint can be wrong any more */

	struct ot_report_gate gate;  /* [owner] of reports of appends that failed */
	struct ot_list staged;       /* [owner] appends of this turn, in log order */
	struct ot_list unsynced;     /* [owner] written, to be answered after a sync */
	struct ot_list unreplicated; /* [owner] acks=all, to be answered by the high watermark */
	struct ot_list watchers;     /* [owner] */
	struct ot_list deletions;    /* [owner] who waits for the followers to delete as well */
	struct ot_turn_work write_work;

	bool is_sync_running;         /* [owner] */
	bool is_chore_running;        /* [owner] */
	int64_t final_start;          /* [owner] once closing: the log's start */
	int64_t final_recovery_point; /* [owner] the log's, or its end after a clean closing */
	int64_t final_end;            /* [owner] */
	bool is_clean;                /* [owner] the log was closed in order */
	bool is_close_wanted;         /* [owner] */
	enum ot_log_close_how close_how;
	uint32_t job_count;        /* [owner] worker jobs that hold something of this part */
	ot_wall_ms unsynced_since; /* [owner] the oldest write that no sync covers; -1: none */

	/* Ranges from here on were appended a short while ago and are in the page cache. */
	int64_t hot_offset;      /* [owner] */
	int64_t hot_offset_next; /* [owner] becomes hot_offset after so many more bytes */
	uint64_t hot_bytes;      /* [owner] appended since hot_offset_next */

	/* Opening met a shortage (space, descriptors, memory): tried again while OFFLINE. */
	bool is_open_short;    /* [owner] */
	uint32_t reopen_ticks; /* [owner] until the next attempt */

	uint32_t quiet_ticks; /* [owner] since the last append */
	uint32_t idle_ticks;  /* [owner] since the last append or read */
};

/* Another replica, as its leader sees it. */
struct part_peer {
	int32_t id;
	int64_t end_offset; /* of its log; -1: it has not fetched in this epoch */
	int64_t log_start;
	int64_t broker_epoch; /* with its last fetch; -1 */
	/* When it last had all that there was. */
	ot_mono_ns caught_up;
	bool was_caught_up; /* else caught_up means nothing */
	bool is_heard;      /* it has fetched since it last began, or was put out of the ISR */
	/* The fetch before the next: what there was then. */
	ot_mono_ns fetch_time;
	int64_t fetch_end; /* -1: there was none */
};

/* Entry of every function of the room: the right thread and a live object. */
static inline void
part_enter(const struct ot_part *part)
{
	OT_ASSERT(part->magic == PART_MAGIC);
	OT_ON_SHARD(part->conf.owner);
}

/* part.c. The log has failed: answers all who wait, closes the partition to appends.
 * @owner owner */
void part_go_offline(struct ot_part *part, ot_err err);

/* part.c. A worker job of this partition has ended; closing may go on. @owner owner */
void part_job_is_over(struct ot_part *part);

/* part.c. @owner owner */
void part_submit(struct ot_part *part, struct ot_job *job);

/* part_append.c. The turn's write. @owner owner */
void part_write_staged(struct ot_turn_work *work);

/* part_append.c. Does the turn's write now, if one is due: for what needs a log with nothing staged
 * in the middle of a turn (timers and messages come between appends). The partition may be offline
 * afterwards. @owner owner */
void part_settle(struct ot_part *part);

/* part_append.c. Answers all appends that wait with `err`. @owner owner */
void part_fail_appends(struct ot_part *part, ot_err err);

/* part_append.c. What is readable may have grown: moves the high watermark, answers appends and
 * wakes watchers. @owner owner */
void part_advance(struct ot_part *part);

/* part_append.c. Tells all watchers, or those of one kind, that they should look again.
 * @owner owner */
void part_wake_watchers(struct ot_part *part);
void part_wake_kind(struct ot_part *part, bool is_replica);

/* part_append.c. Starts a sync for those who wait for one, if none runs. @owner owner */
void part_sync(struct ot_part *part, enum ot_log_sync_scope scope);

/* part.c. The log is open (again): takes up the role. @owner owner */
void part_go_online(struct ot_part *part, struct ot_log *log);

/* part_append.c. Stages what a leader sent, whole batches; what was staged before a failure stays.
 * @owner owner */
OT_MUST_USE ot_err part_stage_fetched(struct ot_part *part, struct ot_append *append);

/* part_role.c. What a role wants of a log that has just opened. @owner owner */
void part_begin_role(struct ot_part *part);
void part_free_role(struct ot_part *part);

/* part_role.c. As ot_part_check_leader(), for those who may read at a follower. @owner owner */
OT_MUST_USE ot_err part_check_reader(const struct ot_part *part, int32_t leader_epoch,
    bool is_follower_allowed);

/* part_isr.c. All of a leader. @owner owner */
void part_make_peers(struct ot_part *part, struct ot_ids replicas, bool is_new_epoch);
void part_free_peers(struct ot_part *part);
/* The least log start of the replicas whose brokers are alive. */
int64_t part_low_watermark(const struct ot_part *part);
int32_t part_min_isr(const struct ot_part *part);
/* How far all have come that the high watermark waits for. `own_end`: of this log. */
int64_t part_committed_end(const struct ot_part *part, int64_t own_end);
/* Whether a replica may fetch here. NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH. */
OT_MUST_USE ot_err part_check_replica(const struct ot_part *part, const struct ot_part_read *read);
/* A replica has read, and by that told what it has. */
void part_note_fetch(struct ot_part *part, const struct ot_part_read *read);
/* Tells it if another ISR is wanted by now. */
void part_look_at_isr(struct ot_part *part);
void part_drop_isr_wish(struct ot_part *part);

/* part_delete.c. Answers the deletions that all live replicas have carried out by now, or all of
 * them since the partition is not led here any more. @owner owner */
void part_look_at_deletions(struct ot_part *part);

/* part_follow.c. A cut that waits for the last job begins. @owner owner */
void part_continue_cut(struct ot_part *part);
/* One that found no space for its limit is tried again. */
void part_retry_cut(struct ot_part *part);
/* The limit of the recovery point that an unfinished cut left behind (see part_follow.c): lowers
 * what the checkpoints say. @owner worker   @blocks: worker */
OT_MUST_USE ot_err part_apply_limit(struct ot_fs *fs, const char *dir,
    struct ot_log_open_args *args, int64_t *ret_until);
OT_MUST_USE ot_err part_remove_limit(struct ot_fs *fs, const char *dir);
/* Its log was synced to this point: the limit may have become needless. @owner owner */
void part_note_recovery_point(struct ot_part *part);

/* part.c. What passes without a person: space, descriptors, memory. @owner any thread */
bool part_is_shortage(ot_err err);

/* part.c. Starts what the log wants done by now. @owner owner */
void part_start_chore(struct ot_part *part, ot_wall_ms now);

#endif
