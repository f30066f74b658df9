/* The metadata log: the one narrow door behind which metadata becomes durable and agreed.
 *
 * Whoever leads appends batches of records; everyone is told of each batch once it is committed, in
 * the order of offsets, the appender included. Each record has an offset of its own, as in Kafka. A
 * snapshot stands for all records up to its place; the log before it is dropped.
 *
 * Engines: `local` (metalog_local.c: one process, Kafka's own files), `etcd` (etcd_int.h: past one
 * machine), and for the simulator another with the same operations. What every engine keeps:
 *   - A committed batch survives; it is told whole or not at all, and to everyone at the same
 * offset.
 *   - An append goes through only if its caller still leads in the epoch that it names, and no
 *     append of the same epoch before it has failed. So what a leader appends in a row is committed
 *     as a prefix of that row: a deposed leader can write nothing.
 *   - An append whose outcome is not known (the process ended, or it stopped to lead while it could
 *     not ask) may be told later or never.
 *
 * Callbacks come on the control thread, never from inside the call that caused them. All calls:
 * @owner control   @blocks never
 */
#ifndef OT_CLUSTER_METALOG_H
#define OT_CLUSTER_METALOG_H

#include "base/list.h"
#include "cluster/records.h"
#include "io/io.h"

struct ot_metalog;

/* Place of a snapshot or of a log's end, as Kafka names files: the offset is the next one. */
struct ot_metalog_id {
	int64_t end_offset;
	int32_t epoch;
};

/* Where a leader's control listener answers. */
struct ot_metalog_endpoint {
	const char *host;
	uint16_t port;
};

/* Committed records. Memory is the engine's and ends with the callback. */
struct ot_metalog_batch {
	int64_t base_offset;
	int32_t epoch;
	ot_wall_ms timestamp;
	const struct ot_bytes *records; /* framed (wire/recordio.h); record i has base_offset + i */
	int32_t record_count;           /* 0: a batch that only takes offsets, up to next_offset */
	int64_t next_offset;
	bool is_snapshot; /* one piece of a snapshot: offsets mean nothing */
};

struct ot_metalog_events {
	/* All that was told so far is void: a snapshot begins. Its records follow as batches, then
	 * on_snapshot_end. Only at the start, and where a reader fell behind the log's start. */
	void (*on_snapshot_begin)(void *arg, struct ot_metalog_id id, ot_wall_ms timestamp);
	void (*on_batch)(void *arg, const struct ot_metalog_batch *batch);
	void (*on_snapshot_end)(void *arg);

	/* Who leads from now on, in which epoch; after all batches of earlier epochs were told.
	 * `leader_id` -1: nobody. If it is this process, the log is at its end: appends may begin.
	 * `endpoint` is what the leader gave with its election, for the time of the call; NULL when
	 * nobody leads, or the leader answers in this process alone. */
	void (*on_leader)(void *arg, int32_t leader_id, int32_t epoch,
	    const struct ot_metalog_endpoint *endpoint);

	/* The engine cannot go on: what it holds is damaged, or its disk failed. Appends under way
	 * have failed before. No event follows, and appends fail: only ot_metalog_close() is left.
	 */
	void (*on_failure)(void *arg, ot_err err, const char *why);
};

/* An append under way, the caller's memory until on_done. */
struct ot_metalog_append {
	/* To be set by the caller. */
	int32_t epoch;                      /* in which the caller leads */
	struct ot_metadata_records records; /* one atomic batch; taken over by the engine */
	/* OT_OK: committed, and told to on_batch just before. NOT_CONTROLLER: this process no
	 * longer leads; OT_ERR_NO_SPACE, OT_ERR_IO, OT_ERR_CLOSED: not written. After a failure all
	 * that was appended behind it in this epoch fails too, and the engine makes it known by
	 * on_leader when appends can begin again. */
	void (*on_done)(struct ot_metalog_append *append, ot_err err);

	/* The engine's. */
	struct ot_list link;
	void *outer;         /* of an engine around another */
	int64_t base_offset; /* set by ot_metalog_append() */
};

/* A snapshot to be written. `next` runs in a worker and may touch only what `arg` carries: it fills
 * `out` with the next piece (not more than a few hundred KiB) and leaves it empty at the end. */
struct ot_metalog_snapshot {
	struct ot_metalog_id id;
	ot_wall_ms timestamp; /* of the last record within */
	ot_err (*next)(void *arg, struct ot_metadata_records *out);
	void *arg;
	void (*on_done)(struct ot_metalog_snapshot *snapshot, ot_err err);

	void *outer; /* of an engine around another */
};

struct ot_metalog_ops {
	void (*start)(struct ot_metalog *, const struct ot_metalog_events *, void *);
	void (*append)(struct ot_metalog *, struct ot_metalog_append *);
	void (*put_snapshot)(struct ot_metalog *, struct ot_metalog_snapshot *);
	uint64_t (*bytes_since_snapshot)(const struct ot_metalog *);
	void (*close)(struct ot_metalog *, void (*)(void *), void *);
};

/* An engine's own type begins with this. */
struct ot_metalog {
	const struct ot_metalog_ops *ops; /* [const] */
};

/* Begins: the newest snapshot, the batches behind it, and who leads come as events. Once.
 * @owner control   @blocks never; so all below */
void ot_metalog_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg);

/* Appends one batch; several may be under way. The offset of its first record is in
 * `append->base_offset` when the call returns, right if and only if the append succeeds. */
void ot_metalog_append(struct ot_metalog *log, struct ot_metalog_append *append);

/* Writes a snapshot of the state after `snapshot->id`, and drops what it replaces. One at a time;
 * it lives until its on_done. A failure changes nothing. */
void ot_metalog_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot);

/* Bytes of committed records behind the newest snapshot: when to write the next. */
uint64_t ot_metalog_bytes_since_snapshot(const struct ot_metalog *log);

/* Ends it. Appends under way fail with OT_ERR_CLOSED or succeed; then `on_closed`, and the log is
 * gone. A snapshot under way is finished first. */
void ot_metalog_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg);

/* ---- engine local --------------------------------------------------------------------------- */

struct ot_metalog_local_args {
	struct ot_io *io;
	const char *dir; /* of the metadata log directory; the log is in __cluster_metadata-0 */
	int32_t node_id;
	int32_t segment_bytes; /* metadata.log.segment.bytes */
	int64_t segment_ms;    /* metadata.log.segment.ms */
};

/* Makes the engine; nothing is opened before the start. @owner control */
struct ot_metalog *ot_metalog_local_create(const struct ot_metalog_local_args *args) OT_MUST_USE;

/* ---- engine etcd ---------------------------------------------------------------------------- */

struct ot_kv;

struct ot_metalog_etcd_args {
	struct ot_io *io;
	struct ot_kv *kv;   /* cluster/kv.h; taken over */
	const char *prefix; /* of all keys, without a slash at its end; copied */
	int32_t node_id;
	struct ot_uuid
	    directory;     /* of the metadata log directory: tells a node from its namesake */
	bool is_candidate; /* may lead: the process has the controller role */
	struct ot_metalog_endpoint endpoint; /* of a candidate's control listener; copied */
	int64_t lease_ms;    /* how long the others wait for a leader that is silent; whole
	                        seconds, rounded up, at least 1 */
	int64_t told_offset; /* what the caller was told already, by another engine; else 0 */
	int32_t told_epoch;
};

/* Makes the engine; nothing is sent before the start. @owner control */
struct ot_metalog *ot_metalog_etcd_create(const struct ot_metalog_etcd_args *args) OT_MUST_USE;

#endif
