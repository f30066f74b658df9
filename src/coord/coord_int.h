/* Inside of the coordinator runtime. Folder-only. */
#ifndef OT_COORD_COORD_INT_H
#define OT_COORD_COORD_INT_H

#include "base/alloc.h"
#include "base/blob.h"
#include "base/report.h"
#include "coord/coord.h"
#include "record/build.h"

/* Records of operations, as they are until a batch is built: for each
 *
 *   uint32  bytes of the key
 *   uint32  bytes of the value, COORD_TOMBSTONE for none
 *   the key, the value
 *   uint32  bytes of all the above, so that a list can be walked from its end
 */
#define COORD_TOMBSTONE UINT32_MAX
enum { COORD_ENTRY_BYTES = 12 };

struct coord_entry {
	struct ot_bytes key;
	struct ot_bytes value;
};

/* A batch from the first record that goes into it to the log's answer.
 *
 *   open    the newest one, at most one; takes records
 *   closed  is sent at the end of this turn
 *   sent    the log has it
 *   dead    sent, undone, and the log will say that it failed (or the coordinator was unloaded)
 */
struct coord_batch {
	struct ot_list link; /* among the pending, oldest first */
	struct ot_coord *coord;
	uint64_t number;
	uint32_t life; /* the coordinator's when it was opened */
	ot_wall_ms timestamp;
	struct ot_writer records; /* entries; gone once it is sent */
	struct ot_writer undo;    /* entries: the values of before, in the order of the records */
	uint32_t record_count;
	size_t bytes_max; /* bound of what the records take in the batch */
	bool is_closed;
	bool is_sent;
	bool is_dead;
	struct ot_coord_append append;
};

struct ot_coord {
	struct ot_shard *owner;          /* [const] */
	struct ot_io *io;                /* [const] the owner's */
	struct ot_coord_options options; /* [const] */
	char name[300];                  /* [const] */
	enum ot_coord_state state;       /* [owner] */
	int32_t leader_epoch;            /* [owner] */
	uint32_t life;                   /* [owner] how often it was unloaded */

	/* Writing. */
	struct ot_list pending; /* [owner] batches, oldest first, the open one last */
	uint64_t number_next;   /* [owner] of the batch that is opened next */
	uint64_t
	    number_committed;     /* [owner] all up to it are in the log for good, or were undone */
	bool is_undoing;          /* [owner] */
	bool is_drafting;         /* [owner] between begin and commit */
	struct ot_writer draft;   /* [owner] entries of the operation */
	ot_err draft_err;         /* [owner] */
	struct ot_writer scratch; /* [owner] where a batch is built */
	struct ot_list waits;     /* [owner] by number, and by deadline */
	struct ot_timer wait_timer;
	struct ot_turn_work work; /* [owner] sends, and answers those who wait for nothing */
	uint32_t sent_count;      /* [owner] batches that the log has, dead ones too */

	/* Loading. */
	struct ot_coord_read read; /* [owner] */
	bool is_reading;           /* [owner] the log has it */
	bool is_read_stale;        /* [owner] and it is for an earlier load */
	int64_t load_next;         /* [owner] offset */
	int64_t load_end;          /* [owner] offset */
	struct ot_blob *chunk;     /* [owner] being replayed */
	const uint8_t *chunk_next; /* [owner] */
	const uint8_t *chunk_end;  /* [owner] */
	ot_mono_ns load_start;     /* [owner] */
	struct ot_timer load_timer;

	/* Rewriting. */
	bool is_rewriting;             /* [owner] */
	uint64_t rewrite_place;        /* [owner] the machine's cursor */
	uint64_t rewrite_number_first; /* [owner] batch with the first image; 0: none yet */
	uint64_t rewrite_number_last;  /* [owner] batch with the last; 0: not known */
	int64_t rewrite_offset;        /* [owner] where the first one begins; -1: not known */
	uint64_t rewrite_bytes;        /* [owner] images so far */
	uint64_t live_bytes;           /* [owner] what the last rewrite found */
	uint64_t log_bytes;            /* [owner] loaded and appended since the last trim */
	struct ot_timer rewrite_timer;

	struct ot_coord_stats stats; /* [owner] */
	bool is_destroying;          /* [owner] */
	void (*on_destroyed)(void *arg);
	void *destroyed_arg;
};

/* Makes the transition, or panics. @owner shard */
void coord_set_state(struct ot_coord *coord, enum ot_coord_state state);

/* Frees a destroyed coordinator that the log has nothing of any more. @owner shard */
void coord_maybe_free(struct ot_coord *coord);

/* ---- entries (write.c) --------------------------------------------------------------------- */

/* Appends an entry; soft errors. @owner the writer's */
void coord_entry_put(struct ot_writer *out, struct ot_bytes key, struct ot_bytes value);

/* Takes the first or the last entry off a list; false when it is empty. */
bool coord_entry_next(struct ot_reader *in, struct coord_entry *ret_entry);
bool coord_entry_last(struct ot_writer *list, struct coord_entry *ret_entry);

/* ---- writing (write.c) --------------------------------------------------------------------- */

void coord_write_init(struct ot_coord *coord);
void coord_write_fini(struct ot_coord *coord);

/* Forgets what is pending, without undoing it, and answers all who wait. @owner shard */
void coord_write_drop(struct ot_coord *coord, ot_err err);

/* The last record of a batch is from here: the next one opens another. @owner shard */
void coord_batch_close_open(struct ot_coord *coord);

/* Takes entries into batches without applying them, for a rewrite. @owner shard */
OT_MUST_USE ot_err coord_append_images(struct ot_coord *coord, const struct ot_writer *entries);

/* ---- loading (load.c) ---------------------------------------------------------------------- */

void coord_load_init(struct ot_coord *coord);
void coord_load_begin(struct ot_coord *coord);
void coord_load_stop(struct ot_coord *coord);

/* ---- rewriting (rewrite.c) ----------------------------------------------------------------- */

void coord_rewrite_init(struct ot_coord *coord);
void coord_rewrite_stop(struct ot_coord *coord);

/* A batch is committed, or has failed: whether to begin, go on or give up. @owner shard */
void coord_rewrite_committed(struct ot_coord *coord, const struct coord_batch *batch);

#endif
