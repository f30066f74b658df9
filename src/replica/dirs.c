#include "replica/dirs.h"

#include <stdio.h>
#include <string.h>

#include "base/counter.h"
#include "base/list.h"
#include "base/map.h"
#include "base/report.h"
#include "log/logdir.h"

enum { DIRS_COUNT_MAX = 64, DIRS_NODE_ID_DEFAULT = 0 };

/* A partition's folder that was there at the start, or a row of a checkpoint file. [const] */
struct found {
	char key[OT_LOGDIR_NAME_BYTES_MAX + 1]; /* "topic-0" */
	struct ot_str topic;                    /* a view of the key */
	int32_t index;
	size_t dir; /* where the folder is, or else the rows */
	bool is_folder;
	struct ot_once claim; /* [atomic] some topic of the metadata has it */
	struct ot_uuid topic_id;
	int64_t recovery_point;
	int64_t start_offset;
	int64_t high_watermark;
	int64_t row_topic; /* OT_CHECKPOINT_TOPIC's row; -1: none */
	UT_hash_handle hh;
};

struct dir {
	char *path;               /* heap */
	struct ot_logdir *logdir; /* NULL: it had failed at the start */
	bool was_clean;
	int64_t last_epoch;      /* of the broker whose writes are all there; -1: not known */
	struct ot_once distrust; /* [atomic] its disk has failed in this run */
	struct ot_once failure;  /* [atomic] nothing in it can be used any more */
	bool has_topic_rows;
	struct ot_counter part_count; /* [atomic] for placing new partitions */
};

struct ot_dirs {
	struct ot_fs *fs;
	struct dir items[DIRS_COUNT_MAX];
	size_t count;
	int32_t node_id;
	char cluster_id[OT_CLUSTER_ID_BYTES_MAX + 1];
	struct found *by_key; /* [const] after the opening */
};

/* ---- what was found ------------------------------------------------------------------------ */

static void
make_key(char key[OT_LOGDIR_NAME_BYTES_MAX + 1], struct ot_str topic, int32_t index)
{
	snprintf(key, OT_LOGDIR_NAME_BYTES_MAX + 1, "%.*s-%d", OT_STR_ARG(topic), index);
}

static struct found *
find_found(const struct ot_dirs *dirs, struct ot_str topic, int32_t index)
{
	char key[OT_LOGDIR_NAME_BYTES_MAX + 1];
	struct found *found;
	make_key(key, topic, index);
	HASH_FIND_STR(dirs->by_key, key, found);
	return found;
}

static struct found *
get_found(struct ot_dirs *dirs, struct ot_str topic, int32_t index, size_t dir)
{
	struct found *found = find_found(dirs, topic, index);
	if (found != NULL)
		return found;
	found = OT_NEW(struct found);
	make_key(found->key, topic, index);
	found->topic = (struct ot_str){ found->key, topic.len };
	found->index = index;
	found->dir = dir;
	found->row_topic = -1;
	HASH_ADD_STR(dirs->by_key, key, found);
	return found;
}

static void
forget_offsets(struct found *found)
{
	found->recovery_point = found->start_offset = found->high_watermark = 0;
}

/* What a row of OT_CHECKPOINT_TOPIC says of an id. */
static int64_t
topic_number(const struct ot_uuid *topic_id)
{
	return (int64_t)(ot_get_u64(topic_id->bytes) >> 1);
}

/* Rows go by name, and a topic that was deleted may have been made again: after a crash the files
 * may still speak of the one before. Rows of another topic, or of nobody knows which, are not
 * believed: a log that is scanned from its beginning costs time alone. A clean stop has written all
 * anew. */
static bool
are_rows_wrong(const struct ot_dirs *dirs, const struct found *found)
{
	const struct dir *dir = &dirs->items[found->dir];
	return !dir->was_clean && dir->has_topic_rows &&
	       found->row_topic != topic_number(&found->topic_id);
}

struct visit {
	struct ot_dirs *dirs;
	size_t dir;
	struct ot_list leftovers; /* of leftover: folders that a crash kept from being removed */
};

struct leftover {
	struct ot_list link;
	char *path;
};

static char *
join_path(const char *folder, const char *name)
{
	size_t bytes = strlen(folder) + strlen(name) + 2;
	char *path = ot_must_alloc(bytes);
	snprintf(path, bytes, "%s/%s", folder, name);
	return path;
}

static void
note_leftover(struct visit *visit, const char *name)
{
	struct leftover *leftover = OT_NEW(struct leftover);
	leftover->path = join_path(visit->dirs->items[visit->dir].path, name);
	ot_list_push_back(&visit->leftovers, &leftover->link);
}

static ot_err
visit_folder(void *arg, const char *name, const struct ot_partition_dir *folder)
{
	struct visit *visit = arg;
	struct ot_dirs *dirs = visit->dirs;
	if (folder->kind == OT_PARTITION_DELETED || folder->kind == OT_PARTITION_FUTURE)
		note_leftover(visit, name);
	if (folder->kind != OT_PARTITION_LIVE || ot_str_is(folder->topic, "__cluster_metadata"))
		return OT_OK;
	struct found *found = get_found(dirs, folder->topic, folder->partition, visit->dir);
	if (found->is_folder) {
		OT_WARN("replica", "%s stands in two log directories; the one in %s is left alone",
		    name, dirs->items[visit->dir].path);
		return OT_OK;
	}
	char *path = join_path(dirs->items[visit->dir].path, name);
	ot_err err = ot_partition_metadata_read(dirs->fs, path, &found->topic_id);
	if (err == OT_ERR_CORRUPT_FILE)
		OT_WARN("replica", "%s/partition.metadata cannot be read, it is written anew",
		    path);
	found->is_folder = true;
	/* Rows of another directory are of a folder that was there once. */
	if (found->dir != visit->dir) {
		forget_offsets(found);
		found->row_topic = -1;
	}
	found->dir = visit->dir;
	ot_counter_add(&dirs->items[visit->dir].part_count, 1);
	ot_free(path);
	return OT_OK;
}

/* What the row speaks of; NULL when a directory before this one has the folder. */
static struct found *
find_row(struct visit *visit, const struct ot_checkpoint_row *row)
{
	struct found *found = get_found(visit->dirs, row->topic, row->partition, visit->dir);
	if (found->dir == visit->dir)
		return found;
	if (found->is_folder)
		return NULL;
	found->dir = visit->dir;
	forget_offsets(found);
	found->row_topic = -1;
	return found;
}

static ot_err
visit_recovery_point(void *arg, const struct ot_checkpoint_row *row)
{
	struct found *found = find_row(arg, row);
	if (found != NULL)
		found->recovery_point = row->offset;
	return OT_OK;
}

static ot_err
visit_log_start(void *arg, const struct ot_checkpoint_row *row)
{
	struct found *found = find_row(arg, row);
	if (found != NULL)
		found->start_offset = row->offset;
	return OT_OK;
}

static ot_err
visit_high_watermark(void *arg, const struct ot_checkpoint_row *row)
{
	struct found *found = find_row(arg, row);
	if (found != NULL)
		found->high_watermark = row->offset;
	return OT_OK;
}

static ot_err
visit_topic(void *arg, const struct ot_checkpoint_row *row)
{
	struct visit *visit = arg;
	struct found *found = find_row(visit, row);
	visit->dirs->items[visit->dir].has_topic_rows = true;
	if (found != NULL)
		found->row_topic = row->offset;
	return OT_OK;
}

/* A checkpoint that cannot be read costs time, not data. */
static void
read_checkpoint(struct visit *visit, enum ot_checkpoint checkpoint, ot_checkpoint_visit *row)
{
	struct ot_why why = { "" };
	const char *path = visit->dirs->items[visit->dir].path;
	ot_err err = ot_checkpoint_read(visit->dirs->fs, path, checkpoint, row, visit, &why);
	if (err != OT_OK)
		OT_WARN("replica", "%s/%s is ignored: %s", path, ot_checkpoint_name(checkpoint),
		    why.text);
}

static void
remove_leftovers(struct visit *visit)
{
	while (!ot_list_is_empty(&visit->leftovers)) {
		struct leftover *leftover = OT_LIST_FIRST(&visit->leftovers, struct leftover, link);
		ot_list_remove(&leftover->link);
		if (ot_fs_remove_all(visit->dirs->fs, leftover->path) != OT_OK)
			OT_WARN("replica", "%s could not be removed", leftover->path);
		ot_free(leftover->path);
		ot_free(leftover);
	}
}

static void
forget_wrong_rows(struct ot_dirs *dirs, size_t dir)
{
	struct found *found, *next;
	HASH_ITER(hh, dirs->by_key, found, next) {
		if (found->dir == dir && found->is_folder && are_rows_wrong(dirs, found))
			forget_offsets(found);
	}
}

/* Of a broker that was stopped in order, or killed while the machine lived on. */
static int64_t
last_epoch(const struct ot_dirs *dirs, size_t index, const struct ot_logdir_stop *stop)
{
	struct ot_logdir_run run;
	char boot_id[OT_FS_BOOT_ID_BYTES];
	if (stop->was_clean)
		return stop->broker_epoch;
	bool is_same_boot = ot_fs_boot_id(dirs->fs, boot_id) == OT_OK &&
	                    ot_logdir_read_run(dirs->items[index].logdir, &run) == OT_OK &&
	                    strcmp(run.boot_id, boot_id) == 0;
	return is_same_boot ? run.broker_epoch : -1;
}

static ot_err
read_dir(struct ot_dirs *dirs, size_t index)
{
	struct visit visit = { .dirs = dirs, .dir = index };
	struct ot_logdir_stop stop;
	ot_list_init(&visit.leftovers);
	read_checkpoint(&visit, OT_CHECKPOINT_RECOVERY_POINT, visit_recovery_point);
	read_checkpoint(&visit, OT_CHECKPOINT_LOG_START, visit_log_start);
	read_checkpoint(&visit, OT_CHECKPOINT_REPLICATION, visit_high_watermark);
	read_checkpoint(&visit, OT_CHECKPOINT_TOPIC, visit_topic);
	ot_err err = ot_logdir_list(dirs->items[index].logdir, visit_folder, &visit);
	remove_leftovers(&visit);
	if (err == OT_OK)
		err = ot_logdir_take_stop(dirs->items[index].logdir, &stop);
	if (err != OT_OK)
		return err;
	dirs->items[index].was_clean = stop.was_clean;
	dirs->items[index].last_epoch = last_epoch(dirs, index, &stop);
	forget_wrong_rows(dirs, index);
	return OT_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* The node id that the first formatted folder has; -1: none has one. */
static int32_t
folder_node_id(const struct ot_dirs_conf *conf)
{
	for (size_t i = 0; i < conf->path_count; i++) {
		struct ot_logdir_meta meta;
		ot_err err = ot_logdir_read_meta(conf->fs, conf->paths[i], &meta, NULL);
		if (err == OT_OK && meta.node_id >= 0)
			return meta.node_id;
	}
	return -1;
}

static const char *
folder_cluster_id(const struct ot_dirs_conf *conf, struct ot_logdir_meta *meta)
{
	for (size_t i = 0; i < conf->path_count; i++) {
		ot_err err = ot_logdir_read_meta(conf->fs, conf->paths[i], meta, NULL);
		if (err == OT_OK && meta->cluster_id[0] != '\0')
			return meta->cluster_id;
	}
	return NULL;
}

static ot_err
open_dir(struct ot_dirs *dirs, const struct ot_dirs_conf *conf, size_t index, struct ot_why *why)
{
	const struct ot_logdir_open_args args = {
		.fs = conf->fs,
		.path = conf->paths[index],
		.node_id = dirs->node_id,
		.cluster_id = dirs->cluster_id,
		.new_cluster_id = dirs->cluster_id,
		.directory_id = conf->new_dir_ids[index],
	};
	struct dir *dir = &dirs->items[index];
	dirs->count = index + 1;
	dir->path = ot_must_strdup(conf->paths[index]);
	ot_err err = ot_logdir_open(&args, &dir->logdir, why);
	if (err != OT_OK)
		return err;
	err = read_dir(dirs, index);
	if (err != OT_OK)
		ot_why_set(why, "%s cannot be read: %s", conf->paths[index], ot_err_message(err));
	return err;
}

/* The broker does without it, if it has another: what is in it stays offline until the next start.
 */
static void
leave_out(struct ot_dirs *dirs, size_t index, const struct ot_why *why)
{
	struct dir *dir = &dirs->items[index];
	OT_ERROR("replica",
	    "the log directory %s has failed, and its partitions are offline until the disk is "
	    "well "
	    "and the broker is restarted: %s",
	    dir->path, why->text);
	ot_logdir_close(dir->logdir);
	dir->logdir = NULL;
	dir->last_epoch = -1;
	(void)ot_once_take(&dir->failure);
	(void)ot_once_take(&dir->distrust);
}

static ot_err
open_all(struct ot_dirs *dirs, const struct ot_dirs_conf *conf, struct ot_why *why)
{
	size_t well = 0;
	for (size_t i = 0; i < conf->path_count; i++) {
		ot_err err = open_dir(dirs, conf, i, why);
		if (err != OT_OK && err != OT_ERR_IO)
			return err;
		if (err != OT_OK && conf->path_count > 1)
			leave_out(dirs, i, why);
		well += err == OT_OK;
	}
	return well > 0 ? OT_OK : OT_ERR_IO;
}

static size_t
path_length(const char *path)
{
	size_t length = strlen(path);
	while (length > 1 && path[length - 1] == '/')
		length--;
	return length;
}

/* A directory that is named twice; NULL: none. (By another path, its lock tells.) */
static const char *
find_twice(const struct ot_dirs_conf *conf)
{
	for (size_t i = 1; i < conf->path_count; i++) {
		size_t length = path_length(conf->paths[i]);
		for (size_t j = 0; j < i; j++) {
			if (path_length(conf->paths[j]) == length &&
			    memcmp(conf->paths[j], conf->paths[i], length) == 0)
				return conf->paths[j];
		}
	}
	return NULL;
}

ot_err
ot_dirs_open(const struct ot_dirs_conf *conf, struct ot_dirs **ret_dirs, struct ot_why *why)
{
	OT_ASSERT(conf->path_count > 0);
	if (conf->path_count > DIRS_COUNT_MAX) {
		ot_why_set(why, "log.dirs has %zu directories, at most %d can be used",
		    conf->path_count, DIRS_COUNT_MAX);
		return OT_ERR_INVALID_CONFIG;
	}
	const char *twice = find_twice(conf);
	if (twice != NULL) {
		ot_why_set(why, "log.dirs names the directory %s twice.", twice);
		return OT_ERR_INVALID_CONFIG;
	}
	struct ot_dirs *dirs = OT_NEW(struct ot_dirs);
	struct ot_logdir_meta meta;
	const char *found_cluster = folder_cluster_id(conf, &meta);
	const char *cluster = conf->cluster_id != NULL ? conf->cluster_id
	                      : found_cluster != NULL  ? found_cluster
	                                               : conf->new_cluster_id;
	dirs->fs = conf->fs;
	dirs->node_id = conf->node_id >= 0 ? conf->node_id : folder_node_id(conf);
	if (dirs->node_id < 0)
		dirs->node_id = DIRS_NODE_ID_DEFAULT;
	snprintf(dirs->cluster_id, sizeof(dirs->cluster_id), "%s", cluster);
	ot_err err = open_all(dirs, conf, why);
	if (err != OT_OK) {
		ot_dirs_close(dirs);
		return err;
	}
	/* The mark of a clean stop is gone, and the process may be killed before it registers. */
	if (ot_dirs_last_epoch(dirs) >= 0)
		ot_dirs_mark_running(dirs, ot_dirs_last_epoch(dirs));
	*ret_dirs = dirs;
	return OT_OK;
}

void
ot_dirs_close(struct ot_dirs *dirs)
{
	if (dirs == NULL)
		return;
	struct found *found, *next;
	HASH_ITER(hh, dirs->by_key, found, next) {
		HASH_DEL(dirs->by_key, found);
		ot_free(found);
	}
	for (size_t i = 0; i < dirs->count; i++) {
		ot_logdir_close(dirs->items[i].logdir);
		ot_free(dirs->items[i].path);
	}
	ot_free(dirs);
}

/* ---- what they are ------------------------------------------------------------------------- */

const char *
ot_dirs_cluster_id(const struct ot_dirs *dirs)
{
	return dirs->cluster_id;
}

int32_t
ot_dirs_node_id(const struct ot_dirs *dirs)
{
	return dirs->node_id;
}

size_t
ot_dirs_count(const struct ot_dirs *dirs)
{
	return dirs->count;
}

const char *
ot_dirs_path(const struct ot_dirs *dirs, size_t index)
{
	OT_ASSERT(index < dirs->count);
	return dirs->items[index].path;
}

struct ot_uuid
ot_dirs_id(const struct ot_dirs *dirs, size_t index)
{
	OT_ASSERT(index < dirs->count);
	const struct ot_logdir *logdir = dirs->items[index].logdir;
	return logdir != NULL ? ot_logdir_meta(logdir)->directory_id : (struct ot_uuid){ 0 };
}

void
ot_dirs_ids(const struct ot_dirs *dirs, bool have_failed, struct ot_arena *arena,
    struct ot_uuid **ret_ids, int32_t *ret_count)
{
	struct ot_uuid *ids = ot_arena_array(arena, dirs->count, sizeof(*ids));
	*ret_ids = ids;
	*ret_count = 0;
	for (size_t i = 0; ids != NULL && i < dirs->count; i++) {
		if (ot_dirs_has_failed(dirs, i) == have_failed && dirs->items[i].logdir != NULL)
			ids[(*ret_count)++] = ot_dirs_id(dirs, i);
	}
}

/* ---- partitions ---------------------------------------------------------------------------- */

static size_t
least_used(struct ot_dirs *dirs)
{
	size_t least = 0;
	for (size_t i = 1; i < dirs->count; i++) {
		bool has_fewer = ot_counter_get(&dirs->items[i].part_count) <
		                 ot_counter_get(&dirs->items[least].part_count);
		bool is_least_lost = ot_dirs_has_failed(dirs, least);
		if (!ot_dirs_has_failed(dirs, i) && (has_fewer || is_least_lost))
			least = i;
	}
	ot_counter_add(&dirs->items[least].part_count, 1);
	return least;
}

void
ot_dirs_find(struct ot_dirs *dirs, struct ot_str topic, const struct ot_uuid *topic_id,
    int32_t index, struct ot_dirs_place *ret_place)
{
	struct found *found = find_found(dirs, topic, index);
	bool is_other = found != NULL && found->is_folder && !ot_uuid_is_zero(&found->topic_id) &&
	                !ot_uuid_equal(&found->topic_id, topic_id);
	/* What was found is used once: the topic may be deleted and made anew later. */
	bool is_first = found != NULL && ot_once_take(&found->claim);
	bool is_ours = is_first && found->is_folder && !is_other;
	*ret_place = (struct ot_dirs_place){ .is_found = is_ours };
	if (is_ours) {
		ret_place->dir = found->dir;
		ret_place->recovery_point = found->recovery_point;
		ret_place->start_offset = found->start_offset;
		ret_place->high_watermark = found->high_watermark;
		ret_place->is_clean = dirs->items[found->dir].was_clean;
		ret_place->topic_id = found->topic_id;
	} else {
		ret_place->dir = is_other ? found->dir : least_used(dirs);
	}
	snprintf(ret_place->path, sizeof(ret_place->path), "%s/%.*s-%d",
	    ot_dirs_path(dirs, ret_place->dir), OT_STR_ARG(topic), index);
}

ot_err
ot_dirs_prepare(struct ot_dirs *dirs, const struct ot_dirs_place *place,
    const struct ot_uuid *topic_id)
{
	if (place->is_found && !ot_uuid_is_zero(&place->topic_id))
		return OT_OK;
	ot_err err = OT_OK;
	if (!place->is_found) {
		/* What a topic of that name left, which has been deleted since. */
		struct ot_fs_stat stat;
		if (ot_fs_stat(dirs->fs, place->path, &stat) == OT_OK)
			OT_WARN("replica",
			    "%s is of an earlier topic of that name, which was deleted: removed",
			    place->path);
		err = ot_fs_remove_all(dirs->fs, place->path);
		if (err == OT_OK)
			err = ot_fs_mkdir(dirs->fs, place->path);
	}
	if (err == OT_OK)
		err = ot_partition_metadata_write(dirs->fs, place->path, topic_id);
	if (err == OT_OK)
		err = ot_fs_sync_dir(dirs->fs, ot_dirs_path(dirs, place->dir));
	return err;
}

ot_err
ot_dirs_give_up(struct ot_dirs *dirs, size_t dir, const char *path, enum ot_partition_dir_kind kind,
    const struct ot_uuid *unique, char **ret_path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	struct ot_partition_dir folder;
	char deleted[OT_LOGDIR_NAME_BYTES_MAX + 1];
	if (dirs->items[dir].logdir == NULL)
		return OT_ERR_IO;
	if (!ot_partition_dir_parse(name, &folder))
		return OT_ERR_MALFORMED;
	folder.kind = kind;
	ot_partition_dir_name(&folder, unique, deleted);
	ot_err err = ot_logdir_rename(dirs->items[dir].logdir, name, deleted);
	if (err != OT_OK)
		return err;
	ot_counter_add(&dirs->items[dir].part_count, -1);
	*ret_path = join_path(ot_dirs_path(dirs, dir), deleted);
	return OT_OK;
}

void
ot_dirs_future_path(const struct ot_dirs *dirs, size_t dir, struct ot_str topic, int32_t index,
    const struct ot_uuid *unique, char *ret_path, size_t bytes)
{
	const struct ot_partition_dir folder = {
		.topic = topic,
		.partition = index,
		.kind = OT_PARTITION_FUTURE,
	};
	char name[OT_LOGDIR_NAME_BYTES_MAX + 1];
	ot_partition_dir_name(&folder, unique, name);
	snprintf(ret_path, bytes, "%s/%s", ot_dirs_path(dirs, dir), name);
}

ot_err
ot_dirs_take_in(struct ot_dirs *dirs, size_t dir, const char *future_path, const char *path)
{
	ot_err err = ot_fs_remove_all(dirs->fs, path);
	if (err == OT_OK)
		err = ot_fs_rename(dirs->fs, future_path, path);
	if (err == OT_OK)
		err = ot_fs_sync_dir(dirs->fs, ot_dirs_path(dirs, dir));
	if (err == OT_OK)
		ot_counter_add(&dirs->items[dir].part_count, 1);
	return err;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int64_t
row_offset(const struct ot_dirs_row *row, enum ot_checkpoint checkpoint)
{
	switch (checkpoint) {
	case OT_CHECKPOINT_RECOVERY_POINT:
		return row->recovery_point;
	case OT_CHECKPOINT_LOG_START:
		return row->start_offset;
	case OT_CHECKPOINT_TOPIC:
		return topic_number(&row->topic_id);
	default:
		return row->high_watermark;
	}
}

static ot_err
write_one(struct ot_dirs *dirs, size_t dir, enum ot_checkpoint checkpoint,
    const struct ot_dirs_row *rows, size_t count, struct ot_checkpoint_row *scratch)
{
	uint32_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		int64_t offset = row_offset(&rows[i], checkpoint);
		/* A log that starts at 0 needs no row: that is what a missing one means. */
		bool is_wanted = checkpoint != OT_CHECKPOINT_LOG_START || offset > 0;
		if (rows[i].dir == dir && is_wanted)
			scratch[kept++] =
			    (struct ot_checkpoint_row){ rows[i].topic, rows[i].index, offset };
	}
	return ot_checkpoint_write(dirs->fs, ot_dirs_path(dirs, dir), checkpoint, scratch, kept);
}

/* A folder that no topic of the metadata has had so far: at the start, before the first image, all
 * of them. */
static bool
is_unclaimed(const struct found *found)
{
	return found->is_folder && !ot_once_is_taken(&found->claim);
}

void
ot_dirs_visit_strays(struct ot_dirs *dirs,
    bool (*visit)(void *arg, struct ot_str topic, int32_t index, size_t dir), void *arg)
{
	struct found *found, *next;
	HASH_ITER(hh, dirs->by_key, found, next) {
		bool is_stray = is_unclaimed(found) && !ot_uuid_is_zero(&found->topic_id);
		if (is_stray && visit(arg, found->topic, found->index, found->dir)) {
			bool is_taken = ot_once_take(&found->claim);
			OT_ASSERT(is_taken);
		}
	}
}

/* The rows that the files are to have: those given, and those of folders that nobody has touched,
 * as they were found. Heap. */
static struct ot_dirs_row *
complete_rows(const struct ot_dirs *dirs, const struct ot_dirs_row *rows, size_t count,
    size_t *ret_count)
{
	size_t capacity = count + HASH_COUNT(dirs->by_key);
	struct ot_dirs_row *all = ot_must_alloc(capacity * sizeof(*all));
	const struct found *found, *next;
	if (count > 0)
		memcpy(all, rows, count * sizeof(*all));
	HASH_ITER(hh, dirs->by_key, found, next) {
		if (!is_unclaimed(found))
			continue;
		all[count++] = (struct ot_dirs_row){
			.topic = found->topic,
			.topic_id = found->topic_id,
			.index = found->index,
			.dir = found->dir,
			.recovery_point = found->recovery_point,
			.start_offset = found->start_offset,
		};
	}
	*ret_count = count;
	return all;
}

ot_err
ot_dirs_write_checkpoints(struct ot_dirs *dirs, const struct ot_dirs_row *rows, size_t count)
{
	/* The topics come last: rows are believed when they are of the folder's topic. */
	static const enum ot_checkpoint order[] = {
		OT_CHECKPOINT_RECOVERY_POINT,
		OT_CHECKPOINT_LOG_START,
		OT_CHECKPOINT_REPLICATION,
		OT_CHECKPOINT_TOPIC,
	};
	size_t all_count = 0;
	struct ot_dirs_row *all = complete_rows(dirs, rows, count, &all_count);
	struct ot_checkpoint_row *scratch = ot_must_alloc(all_count * sizeof(*scratch));
	ot_err first = OT_OK;
	for (size_t dir = 0; dir < dirs->count; dir++) {
		ot_err err = OT_OK;
		if (ot_dirs_has_failed(dirs, dir))
			continue;
		for (size_t i = 0; err == OT_OK && i < OT_ARRAY_COUNT(order); i++)
			err = write_one(dirs, dir, order[i], all, all_count, scratch);
		first = first == OT_OK ? err : first;
	}
	ot_free(scratch);
	ot_free(all);
	return first;
}

/* ---- whose they were ----------------------------------------------------------------------- */

int64_t
ot_dirs_last_epoch(const struct ot_dirs *dirs)
{
	int64_t epoch = dirs->items[0].last_epoch;
	for (size_t i = 1; i < dirs->count; i++) {
		if (dirs->items[i].last_epoch != epoch)
			return -1;
	}
	return epoch;
}

void
ot_dirs_mark_running(const struct ot_dirs *dirs, int64_t broker_epoch)
{
	struct ot_logdir_run run = { .broker_epoch = broker_epoch };
	if (ot_fs_boot_id(dirs->fs, run.boot_id) != OT_OK)
		return;
	for (size_t i = 0; i < dirs->count; i++) {
		if (ot_once_is_taken(&dirs->items[i].distrust))
			continue;
		ot_err err = ot_logdir_put_run(dirs->items[i].logdir, &run);
		if (err != OT_OK)
			OT_WARN("replica", "%s: .ottla_run was not written: %s",
			    dirs->items[i].path, ot_err_message(err));
	}
}

void
ot_dirs_distrust(struct ot_dirs *dirs, size_t dir)
{
	if (!ot_once_take(&dirs->items[dir].distrust))
		return;
	ot_err err = ot_logdir_drop_run(dirs->items[dir].logdir);
	if (err != OT_OK)
		OT_WARN("replica", "%s: .ottla_run was not removed: %s", dirs->items[dir].path,
		    ot_err_message(err));
}

/* ---- failures ------------------------------------------------------------------------------ */

ot_err
ot_dirs_probe(const struct ot_dirs *dirs, size_t dir)
{
	OT_ASSERT(dir < dirs->count);
	ot_err err = ot_logdir_probe(dirs->items[dir].logdir);
	return err == OT_OK || err == OT_ERR_NO_SPACE || err == OT_ERR_NO_FILES ||
	               err == OT_ERR_NO_MEMORY
	           ? OT_OK
	           : OT_ERR_IO;
}

bool
ot_dirs_fail(struct ot_dirs *dirs, size_t dir)
{
	OT_ASSERT(dir < dirs->count);
	return ot_once_take(&dirs->items[dir].failure);
}

bool
ot_dirs_has_failed(const struct ot_dirs *dirs, size_t dir)
{
	OT_ASSERT(dir < dirs->count);
	return ot_once_is_taken(&dirs->items[dir].failure);
}

bool
ot_dirs_is_missing(const struct ot_dirs *dirs, const struct ot_uuid *id, size_t *ret_dir)
{
	bool is_any_unknown = false;
	for (size_t i = 0; i < dirs->count; i++) {
		struct ot_uuid own = ot_dirs_id(dirs, i);
		if (dirs->items[i].logdir == NULL) {
			is_any_unknown = true;
			*ret_dir = i;
		} else if (ot_uuid_equal(&own, id)) {
			return false;
		}
	}
	return is_any_unknown;
}

ot_err
ot_dirs_mark_clean(struct ot_dirs *dirs, size_t dir, int64_t broker_epoch)
{
	const struct found *found, *next;
	if (dirs->items[dir].logdir == NULL)
		return OT_OK;
	HASH_ITER(hh, dirs->by_key, found, next) {
		/* Nobody has looked whether this log needs recovery, and nobody would again. */
		bool is_in_doubt = !dirs->items[dir].was_clean && is_unclaimed(found);
		if (is_in_doubt && found->dir == dir)
			return OT_OK;
	}
	return ot_logdir_put_stop(dirs->items[dir].logdir, broker_epoch);
}
