/* Goal: whatever bytes lie in one of the small files of a log directory or of a partition's folder,
 * reading it ends with an error that says why, or with something that is written and read back as
 * the same.
 *
 * Method: the first byte says which file the rest becomes. */
#include <string.h>

#include "base/panic.h"
#include "log/logdir.h"
#include "sim/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define DIR "/data"

enum { FILE_META, FILE_STOP, FILE_PARTITION, FILE_CHECKPOINT, FILES, ROWS_MAX = 64 };

static const char *const names[FILES] = {
	[FILE_META] = DIR "/meta.properties",
	[FILE_STOP] = DIR "/.kafka_cleanshutdown",
	[FILE_PARTITION] = DIR "/partition.metadata",
	[FILE_CHECKPOINT] = DIR "/recovery-point-offset-checkpoint",
};

static void
put_file(struct ot_fs *fs, const char *path, const uint8_t *data, size_t bytes)
{
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	OT_ASSERT(ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file) ==
		  OT_OK);
	OT_ASSERT(bytes == 0 || ot_file_write(file, &piece, 1, 0) == OT_OK);
	ot_file_unref(file);
}

/* ---- whose the directory is ---------------------------------------------------------------- */

/* A directory that is what its file says can be opened by whom it names, again and again. */
static void
try_meta(struct ot_fs *fs)
{
	struct ot_why why = { "" };
	struct ot_logdir_meta meta, again;
	struct ot_logdir *logdir = NULL;
	ot_err err = ot_logdir_read_meta(fs, DIR, &meta, &why);
	OT_ASSERT(err == OT_OK || (err == OT_ERR_CORRUPT_FILE && why.text[0] != '\0'));
	if (err != OT_OK)
		return;
	const struct ot_logdir_open_args args = {
		.fs = fs,
		.path = DIR,
		.node_id = meta.node_id >= 0 ? meta.node_id : 7,
		.new_cluster_id = "cluster",
		.directory_id = { .bytes = { 1 } },
	};
	for (int i = 0; i < 2; i++) {
		OT_ASSERT(ot_logdir_open(&args, &logdir, &why) == OT_OK);
		const struct ot_logdir_meta *told = ot_logdir_meta(logdir);
		OT_ASSERT(told->node_id == args.node_id && told->cluster_id[0] != '\0');
		OT_ASSERT(
		    meta.cluster_id[0] == '\0' || strcmp(told->cluster_id, meta.cluster_id) == 0);
		OT_ASSERT(!ot_uuid_is_zero(&told->directory_id));
		ot_logdir_close(logdir);
	}
	OT_ASSERT(ot_logdir_read_meta(fs, DIR, &again, &why) == OT_OK);
	OT_ASSERT(again.node_id == args.node_id);
}

static void
try_stop(struct ot_fs *fs)
{
	struct ot_why why = { "" };
	struct ot_logdir *logdir = NULL;
	struct ot_logdir_stop stop;
	const struct ot_logdir_open_args args = {
		.fs = fs,
		.path = DIR,
		.node_id = 1,
		.new_cluster_id = "cluster",
		.directory_id = { .bytes = { 1 } },
	};
	OT_ASSERT(ot_logdir_open(&args, &logdir, &why) == OT_OK);
	OT_ASSERT(ot_logdir_take_stop(logdir, &stop) == OT_OK && stop.was_clean);
	OT_ASSERT(ot_logdir_take_stop(logdir, &stop) == OT_OK && !stop.was_clean);
	ot_logdir_close(logdir);
}

/* ---- partitions and their offsets ---------------------------------------------------------- */

static void
try_partition(struct ot_fs *fs)
{
	struct ot_uuid id, again;
	ot_err err = ot_partition_metadata_read(fs, DIR, &id);
	OT_ASSERT(err == OT_OK || err == OT_ERR_CORRUPT_FILE);
	if (err != OT_OK)
		return;
	OT_ASSERT(!ot_uuid_is_zero(&id));
	OT_ASSERT(ot_partition_metadata_write(fs, DIR, &id) == OT_OK);
	OT_ASSERT(ot_partition_metadata_read(fs, DIR, &again) == OT_OK);
	OT_ASSERT(memcmp(&id, &again, sizeof(id)) == 0);
}

/* Rows with topics of their own: what a visit is shown lives as long as the visit. What can be no
 * topic's name is not written back. */
struct rows {
	uint32_t count;
	struct ot_checkpoint_row rows[ROWS_MAX];
	char topics[ROWS_MAX][OT_TOPIC_NAME_BYTES_MAX];
	bool is_whole;
};

static ot_err
take_row(void *arg, const struct ot_checkpoint_row *row)
{
	struct rows *rows = arg;
	OT_ASSERT(row->partition >= 0 && row->topic.len > 0);
	bool is_name = row->topic.len <= OT_TOPIC_NAME_BYTES_MAX &&
	               memchr(row->topic.data, '\0', (size_t)row->topic.len) == NULL;
	if (rows->count == ROWS_MAX || !is_name) {
		rows->is_whole = false;
		return OT_OK;
	}
	char *topic = rows->topics[rows->count];
	memcpy(topic, row->topic.data, (size_t)row->topic.len);
	rows->rows[rows->count] = *row;
	rows->rows[rows->count++].topic.data = topic;
	return OT_OK;
}

static void
try_checkpoint(struct ot_fs *fs)
{
	static struct rows rows, again;
	struct ot_why why = { "" };
	rows.count = again.count = 0;
	rows.is_whole = again.is_whole = true;
	ot_err err =
	    ot_checkpoint_read(fs, DIR, OT_CHECKPOINT_RECOVERY_POINT, take_row, &rows, &why);
	OT_ASSERT(err == OT_OK || (err == OT_ERR_CORRUPT_FILE && why.text[0] != '\0'));
	if (err != OT_OK || !rows.is_whole)
		return;
	OT_ASSERT(ot_checkpoint_write(fs, DIR, OT_CHECKPOINT_RECOVERY_POINT, rows.rows,
		      rows.count) == OT_OK);
	OT_ASSERT(ot_checkpoint_read(fs, DIR, OT_CHECKPOINT_RECOVERY_POINT, take_row, &again,
		      &why) == OT_OK);
	OT_ASSERT(again.count == rows.count);
	for (uint32_t i = 0; i < rows.count; i++) {
		OT_ASSERT(ot_str_equal(rows.rows[i].topic, again.rows[i].topic));
		OT_ASSERT(rows.rows[i].partition == again.rows[i].partition);
		OT_ASSERT(rows.rows[i].offset == again.rows[i].offset);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static void (*const tries[FILES])(struct ot_fs * fs) = {
		[FILE_META] = try_meta,
		[FILE_STOP] = try_stop,
		[FILE_PARTITION] = try_partition,
		[FILE_CHECKPOINT] = try_checkpoint,
	};
	if (bytes == 0)
		return 0;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	OT_ASSERT(ot_fs_mkdir(fs, DIR) == OT_OK);
	put_file(fs, names[data[0] % FILES], data + 1, bytes - 1);
	tries[data[0] % FILES](fs);
	ot_sim_disk_destroy(disk);
	return 0;
}
