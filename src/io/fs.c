#include "io/fs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"

enum { FS_PATH_BYTES_MAX = 4096 };

ot_err
ot_fs_open(struct ot_fs *fs, const char *path, unsigned flags, struct ot_file **ret_file)
{
	return fs->ops->open(fs, path, flags, ret_file);
}

ot_err
ot_fs_mkdir(struct ot_fs *fs, const char *path)
{
	return fs->ops->mkdir(fs, path);
}

ot_err
ot_fs_mkdir_all(struct ot_fs *fs, const char *path)
{
	char part[FS_PATH_BYTES_MAX];
	size_t length = strlen(path);
	if (length == 0 || length >= sizeof(part))
		return OT_ERR_IO;
	memcpy(part, path, length + 1);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ot_err err = ot_fs_mkdir(fs, part);
		*slash = '/';
		if (err != OT_OK && err != OT_ERR_EXISTS)
			return err;
	}
	ot_err err = ot_fs_mkdir(fs, part);
	if (err != OT_ERR_EXISTS)
		return err;
	/* A folder that is there is fine; a file in its place is not. */
	struct ot_fs_stat stat;
	err = ot_fs_stat(fs, part, &stat);
	return err == OT_OK && !stat.is_dir ? OT_ERR_EXISTS : err;
}

ot_err
ot_fs_list(struct ot_fs *fs, const char *path, ot_fs_visit *visit, void *arg)
{
	return fs->ops->list(fs, path, visit, arg);
}

ot_err
ot_fs_rename(struct ot_fs *fs, const char *from, const char *to)
{
	return fs->ops->rename(fs, from, to);
}

ot_err
ot_fs_remove(struct ot_fs *fs, const char *path)
{
	return fs->ops->remove(fs, path);
}

struct removal {
	struct ot_fs *fs;
	const char *folder;
};

static ot_err
remove_entry(void *arg, const char *name, bool is_dir)
{
	struct removal *removal = arg;
	char path[FS_PATH_BYTES_MAX];
	int length = snprintf(path, sizeof(path), "%s/%s", removal->folder, name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return OT_ERR_IO;
	return is_dir ? ot_fs_remove_all(removal->fs, path) : ot_fs_remove(removal->fs, path);
}

ot_err
ot_fs_remove_all(struct ot_fs *fs, const char *path)
{
	struct removal removal = { .fs = fs, .folder = path };
	ot_err err = ot_fs_list(fs, path, remove_entry, &removal);
	if (err == OT_OK)
		err = ot_fs_remove(fs, path);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

ot_err
ot_fs_sync_dir(struct ot_fs *fs, const char *path)
{
	return fs->ops->sync_dir(fs, path);
}

ot_err
ot_fs_stat(struct ot_fs *fs, const char *path, struct ot_fs_stat *ret_stat)
{
	return fs->ops->stat(fs, path, ret_stat);
}

ot_err
ot_fs_space(struct ot_fs *fs, const char *path, struct ot_fs_space *ret_space)
{
	return fs->ops->space(fs, path, ret_space);
}

ot_err
ot_fs_boot_id(struct ot_fs *fs, char ret_id[OT_FS_BOOT_ID_BYTES])
{
	return fs->ops->boot_id(fs, ret_id);
}

ot_err
ot_fs_lock(struct ot_fs *fs, const char *path, struct ot_file **ret_file)
{
	return fs->ops->lock(fs, path, ret_file);
}

void
ot_file_init(struct ot_file *file, struct ot_fs *fs)
{
	file->fs = fs;
	atomic_init(&file->refs, 1);
}

struct ot_file *
ot_file_ref(struct ot_file *file)
{
	uint32_t before = atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
	OT_ASSERT(before > 0);
	return file;
}

void
ot_file_unref(struct ot_file *file)
{
	if (file == NULL)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel);
	OT_ASSERT(before > 0);
	if (before == 1)
		file->fs->ops->close(file);
}

ot_err
ot_file_read(struct ot_file *file, void *to, size_t bytes, uint64_t place, size_t *ret_bytes)
{
	return file->fs->ops->read(file, to, bytes, place, ret_bytes);
}

ot_err
ot_file_write(struct ot_file *file, const struct iovec *pieces, int piece_count, uint64_t place)
{
	return file->fs->ops->write(file, pieces, piece_count, place);
}

ot_err
ot_file_reserve(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	return file->fs->ops->reserve(file, place, bytes);
}

ot_err
ot_file_truncate(struct ot_file *file, uint64_t bytes)
{
	return file->fs->ops->truncate(file, bytes);
}

ot_err
ot_file_size(struct ot_file *file, uint64_t *ret_bytes)
{
	return file->fs->ops->size(file, ret_bytes);
}

ot_err
ot_file_sync(struct ot_file *file)
{
	return file->fs->ops->sync(file);
}

void
ot_file_write_back(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	file->fs->ops->write_back(file, place, bytes);
}

bool
ot_file_is_cached(struct ot_file *file, uint64_t place, uint64_t bytes)
{
	return file->fs->ops->is_cached(file, place, bytes);
}
