/* Inside the room: engine `etcd`, the metadata log in a linearizable store (kv.h).
 *
 * Keys, below a prefix; decimal numbers are padded with zeros. Values are big-endian; each but a
 * part and a piece begins with an int16, the version of the format, 1.
 *
 *   head                     int64 next offset, int32 epoch, uint64 id of the write that put it
 *   leader                   with a lease: int32 node, int32 epoch, uuid directory, uint16 port,
 *                            int16 length and bytes of the host
 *   log/OFFSET{20}           int32 count of parts, then, when that is 0, whole record batches as in
 *                            the files of the engine `local`, else the int32 epoch in the names of
 *                            the parts; OFFSET is that of the first record
 *   part/OFFSET{20}-EPOCH{10}/INDEX{8}      a piece of a log value that is too large for one
 *   snapshot                 int64 end offset, int32 epoch, int64 timestamp, int32 count of pieces
 *   snap/OFFSET{20}-EPOCH{10}/INDEX{8}      whole record batches, offsets from 0
 *   seed                     uuid: somebody fills the prefix; nobody may lead before `head` is
 * there
 *
 * Writing. All that changes the log is one transaction, which puts `head` and one key below log/:
 *
 *   to lead:    if leader does not exist and head was not changed since
 *               put log/N: LEADER_CHANGE; leader; head: N + 1, epoch + 1
 *   to append:  if leader is the key that we created and head was not changed since
 *               put log/N: batches of all appends that came meanwhile; head: their end
 *
 * One is under way at a time. Parts go up before; nobody sees them until the key that counts them.
 *
 * Reading. At the start, and when a watch broke: head, leader and snapshot in one transaction give
 * a revision; snapshot and log are read in pages at that revision; a watch goes on behind it. What
 * comes twice is known by its offset. A revision that was compacted meanwhile: from the start.
 *
 * Why nothing is applied twice or skipped. Batches carry their offsets; a reader tells only the one
 * that begins where the last ended, passes over older ones, and stops at a gap. `head` and the log
 * change together, and each write compares the revision of the head that it builds on: of two
 * writes at one place one goes through. A write whose answer was lost is sent again as it was: if
 * the first came through, the comparison fails and the head names our write.
 *
 * Why a deposed leader writes nothing. Its key has gone with the lease, or was created anew by
 * another: its comparison of the creating revision fails for ever, whenever its request arrives. An
 * append that was not told when the end of the key is told (in the order of revisions) is not
 * written and never will be. Only a leader that hears nothing from etcd for the time of its lease
 * stops to lead without knowing: then its last write may be told later.
 *
 * Snapshots. Pieces, then the key `snapshot`, then the log before it and older pieces are deleted,
 * then etcd forgets their history. After each step the state is whole: until `snapshot` changes
 * the old one and the log are there; afterwards what is left of them is passed over. A reader that
 * has not been told the snapshot's end takes the snapshot, since the log may be gone.
 *
 * A crash at any point leaves at most parts and pieces that nothing refers to; the next snapshot
 * deletes them.
 *
 * All of it: @owner control   @blocks never
 */
#ifndef OT_CLUSTER_ETCD_INT_H
#define OT_CLUSTER_ETCD_INT_H

#include "base/text.h"
#include "cluster/kv.h"
#include "cluster/metalog.h"

enum {
	ETCD_FORMAT = 1,
	ETCD_KEY_BYTES = 320,
	ETCD_VALUE_BYTES = 256 * 1024, /* of a log key, when appends are gathered */
	ETCD_PART_BYTES = 512 * 1024,  /* also: what is larger is split */
	ETCD_PAGE_COUNT = 32,          /* keys that are read at once: 16 MiB at most */
	ETCD_REQUEST_MS_MAX = 2000,
	ETCD_RETRY_MS_MIN = 50,
	ETCD_RETRY_MS_MAX = 1000,
	ETCD_TICK_MS = 1000,
	ETCD_CLOSE_MS_MAX = 500,
};

/* ---- keys and values (etcd_keys.c) ---------------------------------------------------------- */

struct etcd_key {
	char text[ETCD_KEY_BYTES];
};

struct etcd_head {
	int64_t next_offset;
	int32_t epoch;
	uint64_t write_id;
};

struct etcd_leader {
	int32_t node_id;
	int32_t epoch;
	struct ot_uuid directory;
	uint16_t port;
	char host[256];
};

struct etcd_snapshot {
	struct ot_metalog_id id;
	ot_wall_ms timestamp;
	int32_t piece_count;
};

struct etcd_key etcd_key_of(const char *prefix, const char *name);
struct etcd_key etcd_key_log(const char *prefix, int64_t offset);
struct etcd_key etcd_key_part(const char *prefix, int64_t offset, int32_t epoch, int32_t index);
struct etcd_key etcd_key_piece(const char *prefix, struct ot_metalog_id id, int32_t index);

/* The offset in a key of the log; -1 when it is none. */
int64_t etcd_key_offset(const char *prefix, struct ot_str key);

void etcd_head_write(const struct etcd_head *head, struct ot_writer *out);
void etcd_leader_write(const struct etcd_leader *leader, struct ot_writer *out);
void etcd_snapshot_write(const struct etcd_snapshot *snapshot, struct ot_writer *out);
void etcd_seed_write(const struct ot_uuid *seed, struct ot_writer *out);
void etcd_log_write(int32_t part_count, struct ot_writer *out); /* what precedes the batches */

/* OT_ERR_UNSUPPORTED_VERSION: a newer release wrote it; OT_ERR_MALFORMED. */
ot_err etcd_head_read(struct ot_bytes value, struct etcd_head *ret_head) OT_MUST_USE;
ot_err etcd_leader_read(struct ot_bytes value, struct etcd_leader *ret_leader) OT_MUST_USE;
ot_err etcd_snapshot_read(struct ot_bytes value, struct etcd_snapshot *ret_snapshot) OT_MUST_USE;
ot_err etcd_log_read(struct ot_bytes value, int32_t *ret_part_count,
    struct ot_bytes *ret_batches) OT_MUST_USE;

/* ---- the engine ----------------------------------------------------------------------------- */

/* Where the reading is. */
enum etcd_tail {
	ETCD_TAIL_NONE,
	ETCD_TAIL_RETRY,    /* waits for a timer, then HEAD */
	ETCD_TAIL_HEAD,     /* head, leader, snapshot */
	ETCD_TAIL_SNAPSHOT, /* pieces */
	ETCD_TAIL_LOG,      /* a page of the log */
	ETCD_TAIL_PARTS,    /* of one value in that page */
	ETCD_TAIL_WATCH,    /* all up to `revision` was told, a watch brings the rest */
};

/* One key of the log on its way: the appends that came while the one before was under way. */
struct etcd_write {
	struct ot_list link; /* in `writes` */
	struct ot_kv_txn txn;
	struct etcd_log *log;
	struct ot_list appends; /* not told yet, in order */
	struct ot_writer value; /* of the key, or of all its parts */
	int64_t base_offset;
	int64_t next_offset;
	uint64_t id;
	int32_t epoch;      /* of an election */
	int32_t part_count; /* 0: it is one value */
	int32_t part_next;  /* that goes up next */
	bool is_begun;      /* something of it was sent: it takes no more appends */
	bool is_doubted;    /* a comparison failed: not to be sent again before all was read */
	bool is_sent;       /* the transaction is under way */
	bool is_lost;       /* nobody waits for it any more: freed when the answer comes */
};

enum etcd_candidacy {
	ETCD_IDLE,
	ETCD_GRANTING,    /* a lease is asked for */
	ETCD_CAMPAIGNING, /* and the election is under way */
	ETCD_LEADING,
};

struct etcd_snapshot_job;
struct etcd_lookout;

struct etcd_log {
	struct ot_metalog base;
	struct ot_io *io;                                             /* [const] */
	struct ot_kv *kv;                                             /* [const] */
	char prefix[ETCD_KEY_BYTES / 2];                              /* [const] */
	int32_t node_id;                                              /* [const] */
	struct ot_uuid directory;                                     /* [const] */
	bool is_candidate;                                            /* [const] */
	char host[256];                                               /* [const] */
	uint16_t port;                                                /* [const] */
	int64_t lease_ttl;                                            /* [const] seconds */
	struct etcd_key key_head, key_leader, key_snapshot, key_seed; /* [const] */
	struct etcd_key key_log, key_log_end;                         /* [const] */
	const struct ot_metalog_events *events;                       /* [const] after the start */
	void *arg;

	/* Reading (metalog_etcd.c). */
	enum etcd_tail tail;
	struct ot_kv_txn tail_txn;
	struct ot_kv_watch watch;
	bool is_watching;
	bool is_tail_sent; /* tail_txn is under way */
	struct ot_timer tail_retry;
	int64_t retry_ms;
	int64_t next_offset;   /* all before it was told */
	bool is_boundary;      /* a key of the log begins there, if there is more */
	int32_t epoch;         /* the greatest that was told */
	int64_t head_revision; /* that changed the head to what was told */
	bool is_in_snapshot;
	int64_t asked_offset;  /* all before it had been told when the head was asked for */
	int64_t load_revision; /* at which pages are read */
	struct etcd_head load_head;
	int64_t load_head_revision;    /* that changed it */
	struct ot_kv_pair load_leader; /* its value is load_leader_value; create_revision 0: none */
	uint8_t load_leader_value[ETCD_KEY_BYTES];
	struct etcd_snapshot load_snapshot;
	int32_t load_piece;
	struct ot_writer load_parts; /* what is there of them */
	int64_t load_parts_offset;
	int32_t load_parts_epoch;
	int32_t load_part_count;
	int32_t load_part;

	/* Who leads, as of `leader_revision`. */
	int64_t leader_revision;
	int64_t leader_created; /* revision that created the key; 0: nobody leads */
	int32_t told_leader;    /* by on_leader */
	bool is_leader_told;
	bool is_namesake_told;

	/* Whether all is well. */
	struct ot_timer tick;
	struct ot_kv_txn tick_txn;
	bool is_tick_sent;
	int64_t tick_head; /* a head that the watch owes since the last tick; 0: none */
	struct ot_kv_chore relief;
	bool is_relieving;

	/* Leading (etcd_lead.c). */
	enum etcd_candidacy candidacy;
	struct ot_kv_lease lease;  /* of grants and keeps, one at a time */
	struct ot_kv_lease revoke; /* of old ones; fire and forget */
	bool is_lease_sent;
	bool is_revoke_sent;
	int64_t lease_id;          /* 0: none */
	ot_mono_ns lease_asked;    /* when what is under way was sent */
	ot_mono_ns lease_deadline; /* it may end then */
	struct ot_timer lease_timer;
	struct etcd_write *campaign; /* or NULL */
	struct ot_timer campaign_retry;
	int32_t leading_epoch;
	ot_err refusal;         /* of appends, until the epoch ends */
	struct ot_list writes;  /* of etcd_write, in order; the first may be under way */
	struct ot_list lost;    /* those that nobody waits for, until their answers */
	struct ot_list refused; /* of appends, ended in the next turn */
	struct ot_timer turn;
	struct ot_timer write_retry;
	int64_t write_retry_ms;

	/* Who leads instead (etcd_lookout.c). */
	struct etcd_lookout *lookout; /* or NULL */
	struct ot_kv_txn depose_txn;
	bool is_depose_sent;

	/* Snapshots (etcd_snapshot.c). */
	struct etcd_snapshot_job *snapshot; /* the one under way, or NULL */
	struct ot_list lost_snapshots;      /* as above */
	uint64_t bytes;                     /* of batches behind the newest */

	bool is_failed;
	void (*on_closed)(void *arg); /* set: it is to be closed */
	void *closed_arg;
	bool is_close_begun;
	struct ot_timer close_timer;
};

/* ---- metalog_etcd.c */

/* Reads anew from the head, after a while when something failed. */
void etcd_tail_restart(struct etcd_log *self, bool is_later);

/* Tells the batches in some bytes, of a key that `revision` put. OT_ERR_CORRUPT_FILE with `why`;
 * OT_ERR_AGAIN when there is a gap. */
ot_err etcd_tell(struct etcd_log *self, struct ot_bytes batches, int64_t revision,
    struct ot_why *why) OT_MUST_USE;

/* Takes what the key `leader` is as of `revision`; NULL: it does not exist. */
void etcd_take_leader(struct etcd_log *self, const struct ot_kv_pair *pair, int64_t revision);

/* Tells who leads, once for each change. */
void etcd_tell_leader(struct etcd_log *self, int32_t leader_id, int32_t epoch,
    const struct ot_metalog_endpoint *endpoint);

/* Lets etcd make room. Harmless while it does. */
void etcd_relieve(struct etcd_log *self);

void etcd_fail(struct etcd_log *self, ot_err err, const char *why);

/* ---- etcd_lead.c */

void etcd_lead_init(struct etcd_log *self);

/* Begins to lead: the key `leader` is ours. */
void etcd_lead_begin(struct etcd_log *self, int64_t created, int32_t epoch);

/* Stops: appends under way fail with `err`. The lease is given back. */
void etcd_lead_end(struct etcd_log *self, ot_err err);

/* Campaigns, if nobody leads and this process may. */
void etcd_lead_consider(struct etcd_log *self);

/* Sends what waits to be written, and ends what was refused. */
void etcd_lead_pump(struct etcd_log *self);

/* Gives a lease back, without waiting. */
void etcd_lead_revoke(struct etcd_log *self, int64_t lease_id);

/* A batch of ours was told: its append has succeeded. */
void etcd_lead_told(struct etcd_log *self, const struct ot_metalog_batch *batch);

void etcd_lead_append(struct etcd_log *self, struct ot_metalog_append *append);
void etcd_lead_fini(struct etcd_log *self);

/* ---- etcd_lookout.c */

/* Watches over another's process that leads, so that its end is noticed; in the place of whom it
 * watched over before. */
void etcd_lookout_begin(struct etcd_log *self, const struct etcd_leader *leader);
void etcd_lookout_end(struct etcd_log *self);

/* ---- etcd_snapshot.c */

void etcd_snapshot_put(struct etcd_log *self, struct ot_metalog_snapshot *snapshot);

/* Ends one under way: as soon as its worker is back. */
void etcd_snapshot_end(struct etcd_log *self, ot_err err);
bool etcd_snapshot_is_busy(const struct etcd_log *self); /* a worker has it */
void etcd_snapshot_fini(struct etcd_log *self);

/* The engine goes on to close, once nothing is busy (metalog_etcd.c). */
void etcd_close_step(struct etcd_log *self);

#endif
