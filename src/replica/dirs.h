/* The log directories of this broker: which partition lies where, and what their checkpoint files
 * say. `src/log/logdir.h` knows the formats; here is their use.
 *
 * Opened once at the start, before any thread; what was found then never changes. A partition that
 * was not found goes into the directory with the fewest, of those that have not failed since.
 *
 * Crash: the checkpoint files only save work. A recovery point that is too low lets more be
 * scanned, a log start that is too low shows records that were deleted a short while ago; the files
 * are replaced whole, one after the other. Rows that are too high would be another matter: those of
 * a deleted topic, read for one of the same name that was made since, could hide damage, or
 * records. So a file of our own tells of which topic the rows are; it is written last, and what it
 * does not confirm is not believed after a crash. The clean-shutdown mark is the last thing written
 * by a stop and the first thing removed by a start. */
#ifndef OT_REPLICA_DIRS_H
#define OT_REPLICA_DIRS_H

#include "base/arena.h"
#include "base/text.h"
#include "io/fs.h"
#include "log/logdir.h"

struct ot_dirs;

struct ot_dirs_conf {
	struct ot_fs *fs;
	const char *const *paths; /* log.dirs; made when they are missing */
	size_t path_count;
	int32_t node_id;        /* -1: nobody gave one, take the folder's, or 0 */
	const char *cluster_id; /* NULL: take the folder's, or `new_cluster_id` */
	const char *new_cluster_id;
	const struct ot_uuid *new_dir_ids; /* path_count of them, for folders without one */
};

/* Locks, formats what is empty, and reads what is there. OT_ERR_EXISTS: another process holds a
 * folder; OT_ERR_INCONSISTENT_CLUSTER_ID: a folder of another cluster or broker, `why` has both
 * ids; OT_ERR_CORRUPT_FILE, OT_ERR_NO_SPACE. Directories whose disk has failed are left out, with a
 * report; OT_ERR_IO: there is no other. @owner main thread   @blocks */
OT_MUST_USE ot_err ot_dirs_open(const struct ot_dirs_conf *conf, struct ot_dirs **ret_dirs,
    struct ot_why *why);

/* Unlocks. Accepts NULL. @owner main thread */
void ot_dirs_close(struct ot_dirs *dirs);

/* [const] once opened. @owner any thread   @blocks never */
const char *ot_dirs_cluster_id(const struct ot_dirs *dirs);
int32_t ot_dirs_node_id(const struct ot_dirs *dirs);
size_t ot_dirs_count(const struct ot_dirs *dirs);
const char *ot_dirs_path(const struct ot_dirs *dirs, size_t index);

/* A directory's id (KIP-858); zero: it had failed at the start. @owner any thread */
struct ot_uuid ot_dirs_id(const struct ot_dirs *dirs, size_t index);

/* The ids of the directories that have failed, or have not, in the arena; count 0 without memory.
 * @owner any thread */
void ot_dirs_ids(const struct ot_dirs *dirs, bool have_failed, struct ot_arena *arena,
    struct ot_uuid **ret_ids, int32_t *ret_count);

/* Where a partition's log is or will be. */
struct ot_dirs_place {
	size_t dir;              /* index of its directory */
	char path[1024];         /* of its folder */
	int64_t recovery_point;  /* 0 when no checkpoint has it */
	int64_t start_offset;    /* the same */
	int64_t high_watermark;  /* the same */
	bool is_clean;           /* its directory was shut down cleanly */
	bool is_found;           /* the folder was there at the start */
	struct ot_uuid topic_id; /* of its partition.metadata; zero: none */
};

/* `topic_id` is that of the topic as the metadata has it: a folder of that name with another id is
 * of a topic that has been deleted since, and counts as not found. @owner any thread */
void ot_dirs_find(struct ot_dirs *dirs, struct ot_str topic, const struct ot_uuid *topic_id,
    int32_t index, struct ot_dirs_place *ret_place);

/* Prepares the folder of a place for its log: removes what another topic of that name left, and
 * writes partition.metadata. @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_dirs_prepare(struct ot_dirs *dirs, const struct ot_dirs_place *place,
    const struct ot_uuid *topic_id);

/* Gives a folder up: renames it to a name that no partition has, durably, so that a partition of
 * the same name can have the place. As OT_PARTITION_DELETED it is for ot_fs_remove_all(), and after
 * a crash the next start removes it; as OT_PARTITION_STRAY it stays. `ret_path` is the heap's.
 * @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_dirs_give_up(struct ot_dirs *dirs, size_t dir, const char *path,
    enum ot_partition_dir_kind kind, const struct ot_uuid *unique, char **ret_path);

/* Visits folders that were there at the start, are of a topic by its id, and that no topic of the
 * metadata has had: for who knows that the first image was whole. A visit that returns true takes
 * the folder; it is not visited again then, and its rows are forgotten. @owner any thread */
void ot_dirs_visit_strays(struct ot_dirs *dirs,
    bool (*visit)(void *arg, struct ot_str topic, int32_t index, size_t dir), void *arg);

/* The folder in which a partition grows that moves into a directory; after a crash the next start
 * removes it. @owner any thread */
void ot_dirs_future_path(const struct ot_dirs *dirs, size_t dir, struct ot_str topic, int32_t index,
    const struct ot_uuid *unique, char *ret_path, size_t bytes);

/* Gives such a folder, which is complete and on the disk for good, the partition's name. What
 * stood there before, left by a crash, goes. The folder in the directory before must be given up
 * next: a crash in between leaves two that are the same, of which the next start takes one.
 * @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_dirs_take_in(struct ot_dirs *dirs, size_t dir, const char *future_path,
    const char *path);

/* What the checkpoint files say of one partition. */
struct ot_dirs_row {
	struct ot_str topic;
	struct ot_uuid topic_id;
	int32_t index;
	size_t dir;
	int64_t recovery_point;
	int64_t start_offset;
	int64_t high_watermark;
};

/* Replaces the checkpoint files of all directories. Folders that no topic of the metadata has had
 * since the start (all, until the first image) keep the rows with which they were found.
 * @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_dirs_write_checkpoints(struct ot_dirs *dirs, const struct ot_dirs_row *rows,
    size_t count);

/* The epoch of the broker that used the directories last and whose writes are all there: it was
 * stopped in order, or killed and the machine has not been started anew since. A replica of that
 * epoch has all that it acknowledged (KIP-966). -1: not known, or not the same for all.
 * @owner any thread */
int64_t ot_dirs_last_epoch(const struct ot_dirs *dirs);

/* The broker is registered in that epoch. @owner control thread   @blocks rarely */
void ot_dirs_mark_running(const struct ot_dirs *dirs, int64_t broker_epoch);

/* A disk failed: what was written there may be gone, though the machine lives. Holds until the
 * next start. @owner any thread   @blocks rarely */
void ot_dirs_distrust(struct ot_dirs *dirs, size_t dir);

/* ---- failures ------------------------------------------------------------------------------ */

/* Whether the directory cannot be used at all, rather than one file in it: OT_ERR_IO then; OT_OK
 * also when only space or descriptors are short. @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_dirs_probe(const struct ot_dirs *dirs, size_t dir);

/* The directory is not used any more until the next start: new partitions go elsewhere, its
 * checkpoint files stay as they are. False when that was known. @owner any thread   @blocks never
 */
bool ot_dirs_fail(struct ot_dirs *dirs, size_t dir);
bool ot_dirs_has_failed(const struct ot_dirs *dirs, size_t dir);

/* Whether a directory of that id may be one that had failed at the start, so that nobody could read
 * which it is: it is none of the others. Gives its index. @owner any thread   @blocks never */
bool ot_dirs_is_missing(const struct ot_dirs *dirs, const struct ot_uuid *id, size_t *ret_dir);

/* All logs of that directory that were opened were closed cleanly. A directory that was not clean
 * at the start is only so when each folder that was found has been opened. @owner main thread
 * @blocks
 */
OT_MUST_USE ot_err ot_dirs_mark_clean(struct ot_dirs *dirs, size_t dir, int64_t broker_epoch);

#endif
