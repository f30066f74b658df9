#include "cluster/durable_int.h"

#include "base/text.h"

enum { PATH_BYTES = 1200 };

static ot_err
write_file(struct ot_fs *fs, const char *path, const char *content, size_t bytes)
{
	const struct iovec piece = { .iov_base = (char *)content, .iov_len = bytes };
	struct ot_file *file;
	ot_err err = ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file);

	if (err != OT_OK)
		return err;
	err = ot_file_write(file, &piece, 1, 0);
	if (err == OT_OK)
		err = ot_file_sync(file);
	ot_file_unref(file);
	return err;
}

ot_err
durable_write(struct ot_fs *fs, const char *folder, const char *name, const char *content,
    size_t bytes)
{
	char part[PATH_BYTES], path[PATH_BYTES];
	struct ot_text part_text = OT_TEXT(part), path_text = OT_TEXT(path);
	ot_err err;

	ot_text_put(&part_text, "%s/%s.part", folder, name);
	ot_text_put(&path_text, "%s/%s", folder, name);
	err = write_file(fs, part, content, bytes);
	if (err == OT_OK)
		err = ot_fs_rename(fs, part, path);
	return err == OT_OK ? ot_fs_sync_dir(fs, folder) : err;
}

ot_err
durable_read(struct ot_fs *fs, const char *folder, const char *name, char *ret_content,
    size_t bytes_max)
{
	char path[PATH_BYTES];
	struct ot_text text = OT_TEXT(path);
	struct ot_file *file;
	size_t bytes = 0;
	ot_err err;

	ot_text_put(&text, "%s/%s", folder, name);
	err = ot_fs_open(fs, path, OT_OPEN_READ, &file);
	if (err != OT_OK)
		return err;
	err = ot_file_read(file, ret_content, bytes_max, 0, &bytes);
	ot_file_unref(file);
	if (err == OT_OK && bytes == bytes_max)
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_OK)
		ret_content[bytes] = '\0';
	return err;
}
