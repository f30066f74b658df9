/* The body of a partition, for this folder. */
#ifndef OT_REPLICA_PART_INT_H
#define OT_REPLICA_PART_INT_H

#include "base/report.h"
#include "replica/part.h"

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
	bool is_leader;                    /* [owner] */
	int32_t leader_epoch;              /* [owner] */
	int32_t in_sync_count;             /* [owner] members of the ISR, the leader included */
	int64_t high_watermark;            /* [owner] never moves back */

	struct ot_report_gate gate;  /* [owner] of reports of appends that failed */
	struct ot_list staged;       /* [owner] appends of this turn, in log order */
	struct ot_list unsynced;     /* [owner] written, to be answered after a sync */
	struct ot_list unreplicated; /* [owner] acks=all, to be answered by the high watermark */
	struct ot_list watchers;     /* [owner] */
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

/* part_append.c. Tells all watchers that they should look again. @owner owner */
void part_wake_watchers(struct ot_part *part);

/* part_append.c. Starts a sync for those who wait for one, if none runs. @owner owner */
void part_sync(struct ot_part *part, enum ot_log_sync_scope scope);

/* part.c. Starts what the log wants done by now. @owner owner */
void part_start_chore(struct ot_part *part, ot_wall_ms now);

#endif
