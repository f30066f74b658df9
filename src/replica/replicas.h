/* The partitions of one shard, kept in line with the metadata image. See README.md. */
#ifndef OT_REPLICA_REPLICAS_H
#define OT_REPLICA_REPLICAS_H

#include "cluster/image.h"
#include "replica/dirs.h"
#include "replica/part.h"

struct ot_replicas;

/* Whoever wants to know when partitions come and go (the coordinators of internal topics). */
struct ot_replicas_events {
	/* The partition leads and its log is open, from `ot_part_leader_epoch` on. */
	void (*on_lead)(void *arg, struct ot_part *part);
	/* It stops leading, closes or fails. */
	void (*on_resign)(void *arg, struct ot_part *part);
	/* It follows, and can be fetched for: ot_part_follow_state() says from whom and where. Told
	 * again when leader or epoch change, or the log was cut. May be NULL. */
	void (*on_follow)(void *arg, struct ot_part *part);
	/* It stops following; nothing may be fetched for it any more. May be NULL. */
	void (*on_unfollow)(void *arg, struct ot_part *part);
	/* It leads and wants another ISR: see ot_part_take_isr_wish(). May be NULL. */
	void (*on_isr_wanted)(void *arg, struct ot_part *part);
	/* It is in a log directory (ot_directory_lost: in none, its log has failed) in which the
	 * metadata does not have it (AssignReplicasToDirs). May be NULL. */
	void (*on_dir)(void *arg, struct ot_part *part, const struct ot_uuid *dir);
	/* A log directory cannot be used any more: an index of ot_dirs. May be NULL. */
	void (*on_dir_failed)(void *arg, size_t dir);
};

struct ot_replicas_conf {
	struct ot_shard *shard;
	struct ot_codec_ctx *codecs; /* the shard's */
	struct ot_dirs *dirs;
	int32_t node_id;
	const struct ot_replicas_events *events;
	void *arg;
};

/* @owner shard   @blocks never */
struct ot_replicas *ot_replicas_create(const struct ot_replicas_conf *conf);

/* All partitions must be closed. Accepts NULL. @owner shard   @blocks never */
void ot_replicas_destroy(struct ot_replicas *replicas);

/* The partition, open or not; NULL when this shard has none of that id and number.
 * @owner shard   @blocks never */
struct ot_part *ot_replicas_find(struct ot_replicas *replicas, const struct ot_uuid *topic_id,
    int32_t index);

/* Brings the partitions into line with `after`; `before` is what was applied last, or NULL. `done`
 * is called once the partitions that this call opened are open, or have failed to.
 * @owner shard   @blocks never */
void ot_replicas_apply(struct ot_replicas *replicas, const struct ot_image *before,
    const struct ot_image *after, void (*done)(void *arg), void *arg);

/* What closing leaves: rows for the checkpoint files, and for each directory whether all its logs
 * were closed cleanly. */
struct ot_replicas_final {
	const struct ot_dirs_row *rows; /* until the next call of the replicas' */
	size_t row_count;
	const bool *is_dir_clean;
};

/* Closes all partitions cleanly, then calls `done`. Images that come afterwards change nothing.
 * @owner shard   @blocks never */
void ot_replicas_close(struct ot_replicas *replicas,
    void (*done)(void *arg, const struct ot_replicas_final *final), void *arg);

/* Visits all partitions, in no order. @owner shard   @blocks never */
typedef void ot_replicas_visit(void *arg, struct ot_part *part);
void ot_replicas_each(struct ot_replicas *replicas, ot_replicas_visit *visit, void *arg);

/* The directory of a partition: an index of ot_dirs. @owner shard   @blocks never */
size_t ot_replicas_dir(const struct ot_replicas *replicas, const struct ot_part *part);

/* Moves a partition's replica into another directory of this broker: it is copied while it is used,
 * closed for as long as the last segment takes to copy, and opened there. A move that is under way
 * to somewhere else ends; so a move to where it is cancels. A restart ends moves as well.
 * REPLICA_NOT_AVAILABLE while its log is not open, KAFKA_STORAGE_ERROR. @owner shard
 * @blocks never */
OT_MUST_USE ot_err ot_replicas_move(struct ot_replicas *replicas, struct ot_part *part, size_t dir);

/* A move that is under way. */
struct ot_replicas_future {
	size_t dir;
	int64_t bytes;  /* of segments that have been copied */
	int64_t offset; /* before which all is copied */
};

/* False when the partition does not move. @owner shard   @blocks never */
bool ot_replicas_future(const struct ot_replicas *replicas, const struct ot_part *part,
    struct ot_replicas_future *ret_future);

/* One row for each partition, for the checkpoint files; heap, ot_free(). One whose log is not open
 * (yet) keeps the row that it had. Topics' names are copied behind the rows.
 * @owner shard   @blocks never */
struct ot_dirs_row *ot_replicas_rows(struct ot_replicas *replicas, size_t *ret_count);

/* Starts a sync of each partition's log that moves its recovery point.
 * @owner shard   @blocks never */
void ot_replicas_checkpoint(struct ot_replicas *replicas);

/* @owner shard   @blocks never */
uint32_t ot_replicas_count(const struct ot_replicas *replicas);

#endif
