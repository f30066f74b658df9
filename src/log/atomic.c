#include "log/atomic_int.h"

#include <string.h>

#include "base/panic.h"
#include "base/plant.h"
#include "log/log_int.h"

ot_err
log_write_file(struct ot_fs *fs, const char *path, const void *data, size_t bytes)
{
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	/* A new file, always: one whose sync failed before could not be trusted to take the
	 * next. */
	ot_err err = ot_fs_remove(fs, path);
	if (err == OT_OK || err == OT_ERR_NOT_FOUND)
		err =
		    ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_EXCLUSIVE, &file);
	if (err == OT_OK && bytes > 0)
		err = ot_file_write(file, &piece, 1, 0);
	if (err == OT_OK && !OT_PLANT(CHECKPOINT_UNSYNCED))
		err = ot_file_sync(file);
	ot_file_unref(file);
	return err;
}

ot_err
log_replace_file(struct ot_fs *fs, const char *dir, const char *name, const void *data,
    size_t bytes)
{
	char path[LOG_PATH_BYTES], temporary[LOG_PATH_BYTES + 4];
	log_path_named(path, dir, name);
	struct ot_text text = OT_TEXT(temporary);
	ot_text_put(&text, "%s.tmp", path);
	ot_err err = log_write_file(fs, temporary, data, bytes);
	if (err == OT_OK)
		err = ot_fs_rename(fs, temporary, path);
	return err;
}

/* The path without its last name; "." where there is none. */
static void
parent_of(const char *path, char parent[LOG_PATH_BYTES])
{
	size_t bytes = strlen(path);
	OT_ASSERT(bytes < LOG_PATH_BYTES);
	while (bytes > 1 && path[bytes - 1] == '/')
		bytes--;
	while (bytes > 0 && path[bytes - 1] != '/')
		bytes--;
	while (bytes > 1 && path[bytes - 1] == '/')
		bytes--;
	struct ot_text text = { .data = parent, .bytes_max = LOG_PATH_BYTES };
	ot_text_put(&text, "%.*s", bytes == 0 ? 1 : (int)bytes, bytes == 0 ? "." : path);
}

ot_err
log_sync_parent(struct ot_fs *fs, const char *path)
{
	char parent[LOG_PATH_BYTES];
	parent_of(path, parent);
	return ot_fs_sync_dir(fs, parent);
}

ot_err
log_make_folder(struct ot_fs *fs, const char *path)
{
	char at[LOG_PATH_BYTES], parent[LOG_PATH_BYTES];
	ot_err err = ot_fs_mkdir_all(fs, path);
	/* What is there may have been made by a process that ended before it synced. */
	memcpy(at, path, strlen(path) + 1);
	while (err == OT_OK) {
		parent_of(at, parent);
		err = ot_fs_sync_dir(fs, parent);
		if (strcmp(parent, "/") == 0 || strcmp(parent, ".") == 0)
			break;
		memcpy(at, parent, sizeof(at));
	}
	return err;
}

ot_err
log_read_file(struct ot_fs *fs, const char *path, size_t bytes_max, struct ot_writer *out)
{
	struct ot_file *file = NULL;
	uint64_t bytes = 0;
	size_t got = 0;
	OT_ASSERT(out->bytes == 0);
	ot_err err = ot_fs_open(fs, path, OT_OPEN_READ, &file);
	if (err == OT_OK)
		err = ot_file_size(file, &bytes);
	if (err == OT_OK && bytes > bytes_max)
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_OK && !ot_writer_reserve(out, (size_t)bytes + 1))
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK)
		err = ot_file_read(file, out->data, (size_t)bytes, 0, &got);
	if (err == OT_OK)
		out->bytes = got;
	ot_file_unref(file);
	return err;
}
