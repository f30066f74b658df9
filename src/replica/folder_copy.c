#include "replica/folder_copy_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/map.h"
#include "base/panic.h"

enum {
	COPY_BUFFER_BYTES = 1 << 20,
	COPY_NAME_BYTES_MAX = 255,
	SEGMENT_DIGITS = 20, /* of the offset that a segment's files are called by */
};

/* A file as it was when it was copied. */
struct copied {
	char name[COPY_NAME_BYTES_MAX + 1];
	uint64_t bytes;
	ot_wall_ms modified;
	bool is_seen; /* by the listing under way */
	UT_hash_handle hh;
};

struct folder_copy {
	struct ot_fs *fs;
	char *from;
	char *to;
	bool is_made; /* the folder is there */
	struct copied *files;
	uint8_t *buffer;
	struct ot_counter log_bytes; /* [atomic] */
	struct ot_counter offset;    /* [atomic] */
};

struct folder_copy *
folder_copy_create(struct ot_fs *fs, const char *from, const char *to)
{
	struct folder_copy *copy = OT_NEW(struct folder_copy);
	copy->fs = fs;
	copy->from = ot_must_strdup(from);
	copy->to = ot_must_strdup(to);
	copy->buffer = ot_must_alloc(COPY_BUFFER_BYTES);
	return copy;
}

void
folder_copy_destroy(struct folder_copy *copy)
{
	if (copy == NULL)
		return;
	struct copied *file, *next;
	HASH_ITER(hh, copy->files, file, next) {
		HASH_DEL(copy->files, file);
		ot_free(file);
	}
	ot_free(copy->buffer);
	ot_free(copy->from);
	ot_free(copy->to);
	ot_free(copy);
}

uint64_t
folder_copy_bytes(const struct folder_copy *copy)
{
	return (uint64_t)ot_counter_get(&copy->log_bytes);
}

int64_t
folder_copy_offset(const struct folder_copy *copy)
{
	return (int64_t)ot_counter_get(&copy->offset);
}

const char *
folder_copy_to(const struct folder_copy *copy)
{
	return copy->to;
}

/* ---- names --------------------------------------------------------------------------------- */

/* A folder's files, sorted: so segments come by offset. */
struct names {
	char (*items)[COPY_NAME_BYTES_MAX + 1];
	size_t count;
	size_t capacity;
};

static ot_err
note_name(void *arg, const char *name, bool is_dir)
{
	struct names *names = arg;
	if (is_dir || strlen(name) > COPY_NAME_BYTES_MAX)
		return OT_OK;
	if (names->count == names->capacity) {
		size_t capacity = OT_MAX(names->capacity * 2, 16u);
		void *items = ot_must_alloc(capacity * sizeof(*names->items));
		if (names->count > 0)
			memcpy(items, names->items, names->count * sizeof(*names->items));
		ot_free(names->items);
		names->items = items;
		names->capacity = capacity;
	}
	snprintf(names->items[names->count++], sizeof(*names->items), "%s", name);
	return OT_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static ot_err
list_names(struct folder_copy *copy, const char *path, struct names *names)
{
	ot_err err = ot_fs_list(copy->fs, path, note_name, names);
	if (err == OT_OK && names->count > 1)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return err;
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t bytes = strlen(name), suffix_bytes = strlen(suffix);
	return bytes > suffix_bytes && strcmp(name + bytes - suffix_bytes, suffix) == 0;
}

/* The offset of a segment's file; -1 for another file. */
static int64_t
segment_offset(const char *name)
{
	int64_t offset = 0;
	for (int i = 0; i < SEGMENT_DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		offset = offset * 10 + (name[i] - '0');
	}
	return name[SEGMENT_DIGITS] == '.' ? offset : -1;
}

/* Where the last segment begins: that one is still written. */
static int64_t
last_segment(const struct names *names)
{
	int64_t last = -1;
	for (size_t i = 0; i < names->count; i++) {
		if (ends_in(names->items[i], ".log"))
			last = OT_MAX(last, segment_offset(names->items[i]));
	}
	return last;
}

/* ---- one file ------------------------------------------------------------------------------ */

static char *
join(const char *folder, const char *name)
{
	size_t bytes = strlen(folder) + strlen(name) + 2;
	char *path = ot_must_alloc(bytes);
	snprintf(path, bytes, "%s/%s", folder, name);
	return path;
}

static ot_err
copy_content(struct folder_copy *copy, struct ot_file *from, struct ot_file *to, uint64_t bytes)
{
	uint64_t place = 0;
	while (place < bytes) {
		size_t have = 0;
		size_t wanted = (size_t)OT_MIN(bytes - place, (uint64_t)COPY_BUFFER_BYTES);
		ot_err err = ot_file_read(from, copy->buffer, wanted, place, &have);
		if (err != OT_OK)
			return err;
		if (have == 0)
			return OT_OK; /* it was cut meanwhile: the last pass sees that it has
			                 changed */
		struct iovec piece = { copy->buffer, have };
		err = ot_file_write(to, &piece, 1, place);
		if (err != OT_OK)
			return err;
		place += have;
	}
	return ot_file_sync(to);
}

static ot_err
copy_file(struct folder_copy *copy, const char *name, const struct ot_fs_stat *stat)
{
	char *from_path = join(copy->from, name), *to_path = join(copy->to, name);
	struct ot_file *from = NULL, *to = NULL;
	ot_err err = ot_fs_open(copy->fs, from_path, OT_OPEN_READ, &from);
	if (err == OT_OK)
		err = ot_fs_open(copy->fs, to_path,
		    OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &to);
	if (err == OT_OK)
		err = copy_content(copy, from, to, stat->bytes);
	ot_file_unref(from);
	ot_file_unref(to);
	ot_free(from_path);
	ot_free(to_path);
	return err;
}

static void
note_copied(struct folder_copy *copy, const char *name, const struct ot_fs_stat *stat)
{
	struct copied *file;
	HASH_FIND_STR(copy->files, name, file);
	bool is_log = ends_in(name, ".log");
	if (file == NULL) {
		file = OT_NEW(struct copied);
		snprintf(file->name, sizeof(file->name), "%s", name);
		HASH_ADD_STR(copy->files, name, file);
	} else if (is_log) {
		ot_counter_add(&copy->log_bytes, -(int64_t)file->bytes);
	}
	file->bytes = stat->bytes;
	file->modified = stat->modified;
	if (is_log)
		ot_counter_add(&copy->log_bytes, (int64_t)stat->bytes);
}

/* Copies a file unless that was done and it is the same since. One that is gone is no mistake. */
static ot_err
bring_file(struct folder_copy *copy, const char *name, uint64_t *bytes)
{
	struct ot_fs_stat stat;
	struct copied *file;
	char *path = join(copy->from, name);
	ot_err err = ot_fs_stat(copy->fs, path, &stat);
	ot_free(path);
	HASH_FIND_STR(copy->files, name, file);
	bool is_there = err == OT_OK && file != NULL && file->bytes == stat.bytes &&
	                file->modified == stat.modified;
	if (is_there)
		return OT_OK;
	if (err == OT_OK)
		err = copy_file(copy, name, &stat);
	if (err == OT_ERR_NOT_FOUND)
		return OT_OK;
	if (err != OT_OK)
		return err;
	note_copied(copy, name, &stat);
	*bytes += OT_MAX(stat.bytes, 1u);
	return OT_OK;
}

/* ---- passes -------------------------------------------------------------------------------- */

/* What an earlier attempt left is not believed. */
static ot_err
make_folder(struct folder_copy *copy)
{
	if (copy->is_made)
		return OT_OK;
	ot_err err = ot_fs_remove_all(copy->fs, copy->to);
	if (err == OT_OK)
		err = ot_fs_mkdir(copy->fs, copy->to);
	copy->is_made = err == OT_OK;
	return err;
}

static void
set_offset(struct folder_copy *copy, int64_t offset)
{
	ot_counter_add(&copy->offset, offset - (int64_t)ot_counter_get(&copy->offset));
}

ot_err
folder_copy_pass(struct folder_copy *copy, uint64_t bytes_max, uint64_t *ret_bytes, bool *ret_done)
{
	struct names names = { 0 };
	uint64_t bytes = 0;
	ot_err err = make_folder(copy);
	if (err == OT_OK)
		err = list_names(copy, copy->from, &names);
	int64_t last = last_segment(&names);
	size_t i = 0;
	for (; err == OT_OK && i < names.count && bytes < bytes_max; i++) {
		int64_t offset = segment_offset(names.items[i]);
		if (offset < 0 || offset >= last)
			continue;
		set_offset(copy, offset);
		err = bring_file(copy, names.items[i], &bytes);
	}
	if (err == OT_OK && i == names.count)
		set_offset(copy, OT_MAX(last, 0));
	*ret_bytes = bytes;
	*ret_done = i == names.count;
	ot_free(names.items);
	return err;
}

/* Removes from the copy what the folder does not have. */
static ot_err
remove_others(struct folder_copy *copy, const struct names *wanted)
{
	struct names names = { 0 };
	ot_err err = list_names(copy, copy->to, &names);
	for (size_t i = 0; err == OT_OK && i < names.count; i++) {
		if (wanted->count > 0 && bsearch(names.items[i], wanted->items, wanted->count,
					     sizeof(*wanted->items), compare_names) != NULL)
			continue;
		char *path = join(copy->to, names.items[i]);
		err = ot_fs_remove(copy->fs, path);
		ot_free(path);
	}
	ot_free(names.items);
	return err;
}

/* Files that wait for their removal are left behind. */
ot_err
folder_copy_finish(struct folder_copy *copy)
{
	struct names names = { 0 };
	uint64_t bytes = 0;
	ot_err err = make_folder(copy);
	if (err == OT_OK)
		err = list_names(copy, copy->from, &names);
	size_t count = 0;
	for (size_t i = 0; err == OT_OK && i < names.count; i++) {
		if (ends_in(names.items[i], ".deleted"))
			continue;
		if (count != i)
			memcpy(names.items[count], names.items[i], sizeof(*names.items));
		err = bring_file(copy, names.items[count++], &bytes);
	}
	names.count = count;
	if (err == OT_OK)
		err = remove_others(copy, &names);
	if (err == OT_OK)
		err = ot_fs_sync_dir(copy->fs, copy->to);
	ot_free(names.items);
	return err;
}
