/* A log directory (one of log.dirs): whose it is, which partitions lie in it, and the checkpoint
 * files that hold their offsets.
 *
 *   .lock                                held by the running process
 *   meta.properties                      whose it is
 *   recovery-point-offset-checkpoint     per partition: all before it is synced
 *   log-start-offset-checkpoint          per partition, where it is not a segment's base
 *   replication-offset-checkpoint        per partition: the high watermark
 *   topic-checkpoint                     per partition: of which topic the rows above are, as the
 *                                        first 63 bits of its id. Ours alone: others ignore it
 *   .kafka_cleanshutdown                 there between a clean stop and the next start
 *   .ottla_run                           the last registration, and the machine's boot in which it
 *                                        was. Ours alone
 *   <topic>-<n>/                         a partition; partition.metadata in it has the topic's id
 *   <topic>-<n>.<32 hex digits>-delete/  one that is being removed; -future/ one that moves in here
 *                                        from another directory; -stray/ one that nobody expects
 *
 * meta.properties is a Java properties file. Version 0 (until KRaft) has broker.id and, from 0.10.1
 * on, cluster.id; version 1 has node.id, cluster.id and, from 3.7 on, directory.id. Both are read,
 * version 1 is written. A checkpoint file is text: version 0, the number of rows, then "topic
 * partition offset" per row. .kafka_cleanshutdown is empty, or since 4.0
 * {"version":0,"brokerEpoch":n}.
 *
 * Files are replaced whole: written beside, synced, renamed, the folder synced. A crash leaves the
 * old or the new one. */
#ifndef OT_LOG_LOGDIR_H
#define OT_LOG_LOGDIR_H

#include "base/text.h"
#include "io/fs.h"

struct ot_logdir;

enum {
	OT_TOPIC_NAME_BYTES_MAX = 249,
	OT_LOGDIR_NAME_BYTES_MAX = 255, /* of a partition's folder */
	OT_CLUSTER_ID_BYTES_MAX = 127,
};

/* ---- whose it is --------------------------------------------------------------------------- */

struct ot_logdir_meta {
	int32_t version;
	int32_t node_id;                              /* -1: not told */
	char cluster_id[OT_CLUSTER_ID_BYTES_MAX + 1]; /* empty: not told */
	struct ot_uuid directory_id;                  /* zero: not told */
};

/* Reads meta.properties of the folder. OT_ERR_NOT_FOUND; OT_ERR_CORRUPT_FILE, why says where.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_logdir_read_meta(struct ot_fs *fs, const char *path,
    struct ot_logdir_meta *ret_meta, struct ot_why *why);

struct ot_logdir_open_args {
	struct ot_fs *fs;
	const char *path;
	int32_t node_id;
	const char *cluster_id;      /* NULL: whatever the directory says; then `new_cluster_id` */
	const char *new_cluster_id;  /* for a directory that has none */
	struct ot_uuid directory_id; /* for a directory that has none: random */
};

/* Makes the folder if it is missing, locks it, and checks or writes whose it is. OT_ERR_EXISTS:
 * another process holds it; INCONSISTENT_CLUSTER_ID and INVALID_CONFIG (the node id): it is not
 * ours, and both ids are in `why`; OT_ERR_CORRUPT_FILE, OT_ERR_IO. @owner any thread, at start
 * @blocks: worker */
OT_MUST_USE ot_err ot_logdir_open(const struct ot_logdir_open_args *args,
    struct ot_logdir **ret_logdir, struct ot_why *why);

/* Whether it could be opened as far as the lock goes: for who does not want to begin anything in
 * vain. OT_ERR_EXISTS with `why` as above. @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_logdir_check_free(struct ot_fs *fs, const char *path, struct ot_why *why);

/* Gives the lock back. Accepts NULL. @owner any thread */
void ot_logdir_close(struct ot_logdir *logdir);

/* @owner any thread */
const char *ot_logdir_path(const struct ot_logdir *logdir);
const struct ot_logdir_meta *ot_logdir_meta(const struct ot_logdir *logdir);

/* ---- clean stops --------------------------------------------------------------------------- */

struct ot_logdir_stop {
	bool was_clean;
	int64_t broker_epoch; /* of the stopped broker; -1: not told */
};

/* Reads the mark of a clean stop and takes it away, durably: from now on the directory is in use.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_logdir_take_stop(struct ot_logdir *logdir, struct ot_logdir_stop *ret_stop);

/* Leaves the mark, when all logs were closed cleanly and all checkpoints are written.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_logdir_put_stop(struct ot_logdir *logdir, int64_t broker_epoch);

/* ---- runs ---------------------------------------------------------------------------------- */

/* Who used the directory last, as a broker of the cluster. */
struct ot_logdir_run {
	int64_t broker_epoch;
	char boot_id[OT_FS_BOOT_ID_BYTES];
};

/* OT_ERR_NOT_FOUND; OT_ERR_CORRUPT_FILE when a crash came between.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_logdir_read_run(const struct ot_logdir *logdir,
    struct ot_logdir_run *ret_run);

/* Not synced: it means something only as long as the page cache lives.
 * @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_logdir_put_run(const struct ot_logdir *logdir,
    const struct ot_logdir_run *run);

/* Whether the directory can be used: writes, syncs and removes a small file. OT_ERR_NO_SPACE and
 * OT_ERR_NO_FILES say nothing of the disk; other errors do. @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_logdir_probe(const struct ot_logdir *logdir);

/* Fine when it is not there. @owner any thread   @blocks rarely */
OT_MUST_USE ot_err ot_logdir_drop_run(const struct ot_logdir *logdir);

/* ---- partitions ---------------------------------------------------------------------------- */

enum ot_partition_dir_kind {
	OT_PARTITION_LIVE,
	OT_PARTITION_DELETED,
	OT_PARTITION_FUTURE,
	OT_PARTITION_STRAY,
};

struct ot_partition_dir {
	enum ot_partition_dir_kind kind;
	struct ot_str topic; /* of a long deleted one, perhaps only its begin */
	int32_t partition;
};

/* Reads a folder's name; false when it is no partition's. The topic is a view of it.
 * @owner any thread   @blocks never */
bool ot_partition_dir_parse(const char *name, struct ot_partition_dir *ret_dir);

/* Writes the folder's name; kinds but LIVE need an id of their own. The topic's name is valid.
 * @owner any thread   @blocks never */
void ot_partition_dir_name(const struct ot_partition_dir *dir, const struct ot_uuid *unique_id,
    char ret_name[OT_LOGDIR_NAME_BYTES_MAX + 1]);

/* Visits each folder of a partition until a visit fails, and gives that error.
 * @owner any thread   @blocks: worker */
typedef ot_err ot_logdir_visit(void *arg, const char *name, const struct ot_partition_dir *dir);
OT_MUST_USE ot_err ot_logdir_list(struct ot_logdir *logdir, ot_logdir_visit *visit, void *arg);

/* Renames a partition's folder, durably: to "-delete" before it is removed. Its log was closed.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_logdir_rename(struct ot_logdir *logdir, const char *from, const char *to);

/* The topic's id in partition.metadata of a partition's folder. OT_ERR_NOT_FOUND for a folder of a
 * time before topic ids; OT_ERR_CORRUPT_FILE. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_partition_metadata_read(struct ot_fs *fs, const char *dir,
    struct ot_uuid *ret_topic_id);
OT_MUST_USE ot_err ot_partition_metadata_write(struct ot_fs *fs, const char *dir,
    const struct ot_uuid *topic_id);

/* ---- the limit of a recovery point ----------------------------------------------------------- */

/* Of a partition's folder whose log was cut below its recovery point: what the checkpoint files say
 * is right below `offset` and from `until` on, and nowhere between (replica/part_follow.c). */
struct ot_recovery_limit {
	int64_t offset;
	int64_t until;
};

#define OT_RECOVERY_LIMIT_NAME "recovery-point-limit"

/* Replaces the file, durably. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_recovery_limit_write(struct ot_fs *fs, const char *dir,
    const struct ot_recovery_limit *limit);

/* OT_ERR_NOT_FOUND, OT_ERR_CORRUPT_FILE. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_recovery_limit_read(struct ot_fs *fs, const char *dir,
    struct ot_recovery_limit *ret_limit);

/* OT_OK too when there is none. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_recovery_limit_remove(struct ot_fs *fs, const char *dir);

/* ---- checkpoints --------------------------------------------------------------------------- */

enum ot_checkpoint {
	OT_CHECKPOINT_RECOVERY_POINT,
	OT_CHECKPOINT_LOG_START,
	OT_CHECKPOINT_REPLICATION,
	OT_CHECKPOINT_TOPIC,
};

struct ot_checkpoint_row {
	struct ot_str topic;
	int32_t partition;
	int64_t offset;
};

/* The file's name in a log directory. Static memory. @owner any thread */
const char *ot_checkpoint_name(enum ot_checkpoint checkpoint);

/* Replaces the file, durably. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_checkpoint_write(struct ot_fs *fs, const char *path,
    enum ot_checkpoint checkpoint, const struct ot_checkpoint_row *rows, uint32_t count);

/* Visits each row; no file is no row. OT_ERR_CORRUPT_FILE (why says where) after the rows before
 * it. @owner any thread   @blocks: worker */
typedef ot_err ot_checkpoint_visit(void *arg, const struct ot_checkpoint_row *row);
OT_MUST_USE ot_err ot_checkpoint_read(struct ot_fs *fs, const char *path,
    enum ot_checkpoint checkpoint, ot_checkpoint_visit *visit, void *arg, struct ot_why *why);

#endif
