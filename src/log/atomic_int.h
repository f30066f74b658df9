/* Small files, written so that a crash leaves the old or the new one. */
#ifndef OT_LOG_ATOMIC_INT_H
#define OT_LOG_ATOMIC_INT_H

#include "base/bytes.h"
#include "io/fs.h"

/* Makes or overwrites a file with these bytes, and syncs it: for files whose checksum tells a torn
 * one. @blocks: worker */
OT_MUST_USE ot_err log_write_file(struct ot_fs *fs, const char *path, const void *data,
    size_t bytes);

/* Writes "<dir>/<name>.tmp", syncs it and renames it to "<dir>/<name>"; the name is durable when
 * the folder is synced. After a failure the old file stands, and perhaps the temporary one.
 * @blocks: worker */
OT_MUST_USE ot_err log_replace_file(struct ot_fs *fs, const char *dir, const char *name,
    const void *data, size_t bytes);

/* Syncs the folder that holds the folder at `path`. @blocks: worker */
OT_MUST_USE ot_err log_sync_parent(struct ot_fs *fs, const char *path);

/* Makes a folder with its parents where they are missing, and all these names durable.
 * @blocks: worker */
OT_MUST_USE ot_err log_make_folder(struct ot_fs *fs, const char *path);

/* Reads a whole file of at most `bytes_max` bytes into an empty writer. OT_ERR_NOT_FOUND,
 * OT_ERR_CORRUPT_FILE when it is larger, NO_MEMORY, IO. @blocks: worker */
OT_MUST_USE ot_err log_read_file(struct ot_fs *fs, const char *path, size_t bytes_max,
    struct ot_writer *out);

#endif
