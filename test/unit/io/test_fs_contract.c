/* Goal: every implementation of io/fs.h behaves alike in all that a running process can see.
 *
 * Method: each test runs on the host's file system, in a new folder, and on simulated disks. What
 * only a crash shows is tested on the simulated disk alone (test/unit/sim/test_disk.c). */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "io/fs.h"
#include "sim/disk.h"
#include "sim/random.h"

enum { PATH_BYTES = 512 };

struct stage {
	struct ot_fs *fs;
	struct ot_sim_disk *disk; /* NULL: the host's */
	char root[PATH_BYTES / 2];
};

static int
set_up_host(void **state)
{
	struct stage *stage = OT_NEW(struct stage);
	const char *parent = getenv("TMPDIR");
	snprintf(stage->root, sizeof(stage->root), "%s/ottla-fs-XXXXXX",
	    parent != NULL ? parent : "/tmp");
	if (mkdtemp(stage->root) == NULL)
		return -1;
	stage->fs = ot_fs_host();
	*state = stage;
	return 0;
}

static int
set_up_sim(void **state)
{
	struct stage *stage = OT_NEW(struct stage);
	stage->disk = ot_sim_disk_create(1);
	stage->fs = ot_sim_disk_fs(stage->disk);
	snprintf(stage->root, sizeof(stage->root), "/data");
	*state = stage;
	return ot_fs_mkdir(stage->fs, stage->root) == OT_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct stage *stage = *state;
	ot_err err = ot_fs_remove_all(stage->fs, stage->root);
	bool is_leaking = stage->disk != NULL && ot_sim_disk_open_count(stage->disk) != 0;
	if (!is_leaking)
		ot_sim_disk_destroy(stage->disk);
	ot_free(stage);
	return err == OT_OK && !is_leaking ? 0 : -1;
}

/* A path below the root; good for the next seven calls. */
static const char *
at(const struct stage *stage, const char *name)
{
	static char paths[8][PATH_BYTES];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, PATH_BYTES, "%s/%s", stage->root, name);
	return path;
}

static struct ot_file *
make(struct stage *stage, const char *name)
{
	struct ot_file *file = NULL;
	assert_ok(ot_fs_open(stage->fs, at(stage, name), OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
	return file;
}

static ot_err
put(struct ot_file *file, const void *data, size_t bytes, uint64_t place)
{
	const struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	return ot_file_write(file, &piece, 1, place);
}

static void
make_text(struct stage *stage, const char *name, const char *text)
{
	struct ot_file *file = make(stage, name);
	assert_ok(put(file, text, strlen(text), 0));
	ot_file_unref(file);
}

static void
assert_text(struct stage *stage, const char *name, const char *text)
{
	struct ot_file *file = NULL;
	char got[64] = "";
	size_t bytes = 0;
	assert_ok(ot_fs_open(stage->fs, at(stage, name), OT_OPEN_READ, &file));
	assert_ok(ot_file_read(file, got, sizeof(got) - 1, 0, &bytes));
	assert_int_equal(bytes, strlen(text));
	assert_string_equal(got, text);
	ot_file_unref(file);
}

static bool
is_there(struct stage *stage, const char *name)
{
	struct ot_fs_stat stat;
	ot_err err = ot_fs_stat(stage->fs, at(stage, name), &stat);
	assert_true(err == OT_OK || err == OT_ERR_NOT_FOUND);
	return err == OT_OK;
}

/* ---- names ------------------------------------------------------------------------------ */

static void
test_open_flags(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = NULL;
	const unsigned create = OT_OPEN_WRITE | OT_OPEN_CREATE;
	assert_int_equal(ot_fs_open(stage->fs, at(stage, "f"), OT_OPEN_READ, &file),
	    OT_ERR_NOT_FOUND);
	assert_int_equal(ot_fs_open(stage->fs, at(stage, "f"), OT_OPEN_WRITE, &file),
	    OT_ERR_NOT_FOUND);
	assert_int_equal(ot_fs_open(stage->fs, at(stage, "d/f"), create, &file), OT_ERR_NOT_FOUND);
	assert_null(file);
	make_text(stage, "f", "abc");
	assert_int_equal(ot_fs_open(stage->fs, at(stage, "f"), create | OT_OPEN_EXCLUSIVE, &file),
	    OT_ERR_EXISTS);
	assert_ok(ot_fs_open(stage->fs, at(stage, "f"), create, &file));
	ot_file_unref(file);
	assert_text(stage, "f", "abc");
	assert_int_not_equal(ot_fs_open(stage->fs, at(stage, "f/g"), create, &file), OT_OK);
	assert_ok(ot_fs_open(stage->fs, at(stage, "f"), OT_OPEN_WRITE | OT_OPEN_TRUNCATE, &file));
	ot_file_unref(file);
	assert_text(stage, "f", "");
	assert_ok(ot_fs_open(stage->fs, at(stage, "g"), create | OT_OPEN_EXCLUSIVE, &file));
	ot_file_unref(file);
	assert_ok(ot_fs_open(stage->fs, at(stage, "f"), OT_OPEN_READ, &file));
	assert_int_equal(put(file, "x", 1, 0), OT_ERR_IO);
	ot_file_unref(file);
	assert_int_not_equal(ot_fs_open(stage->fs, stage->root, OT_OPEN_WRITE, &file), OT_OK);
}

static void
test_folders(void **state)
{
	struct stage *stage = *state;
	struct ot_fs *fs = stage->fs;
	struct ot_fs_stat stat;
	assert_int_equal(ot_fs_mkdir(fs, at(stage, "a/b")), OT_ERR_NOT_FOUND);
	assert_ok(ot_fs_mkdir_all(fs, at(stage, "a/b//c/")));
	assert_ok(ot_fs_mkdir_all(fs, at(stage, "a/b/c")));
	assert_int_equal(ot_fs_mkdir(fs, at(stage, "a/b")), OT_ERR_EXISTS);
	assert_ok(ot_fs_stat(fs, at(stage, "a/b/c"), &stat));
	assert_true(stat.is_dir);
	make_text(stage, "a/f", "x");
	assert_int_equal(ot_fs_mkdir(fs, at(stage, "a/f")), OT_ERR_EXISTS);
	assert_int_not_equal(ot_fs_mkdir_all(fs, at(stage, "a/f/g")), OT_OK);
	assert_int_not_equal(ot_fs_mkdir_all(fs, at(stage, "a/f")), OT_OK);
	assert_int_not_equal(ot_fs_remove(fs, at(stage, "a")), OT_OK);
	assert_true(is_there(stage, "a/f"));
	assert_ok(ot_fs_remove(fs, at(stage, "a/b/c")));
	assert_ok(ot_fs_remove_all(fs, at(stage, "a")));
	assert_false(is_there(stage, "a"));
	assert_ok(ot_fs_remove_all(fs, at(stage, "a")));
	assert_int_equal(ot_fs_remove(fs, at(stage, "a")), OT_ERR_NOT_FOUND);
	assert_int_equal(ot_fs_sync_dir(fs, at(stage, "a")), OT_ERR_NOT_FOUND);
	assert_ok(ot_fs_sync_dir(fs, stage->root));
}

struct listing {
	struct stage *stage;
	unsigned file_count;
	unsigned dir_count;
	unsigned stop_after;
};

static ot_err
visit(void *arg, const char *name, bool is_dir)
{
	struct listing *listing = arg;
	assert_string_not_equal(name, ".");
	assert_string_not_equal(name, "..");
	assert_int_equal(is_dir, name[0] == 'd');
	listing->dir_count += is_dir;
	listing->file_count += !is_dir;
	return listing->file_count + listing->dir_count == listing->stop_after ? OT_ERR_CLOSED
	                                                                       : OT_OK;
}

static ot_err
visit_and_remove(void *arg, const char *name, bool is_dir)
{
	struct listing *listing = arg;
	(void)is_dir;
	return ot_fs_remove(listing->stage->fs, at(listing->stage, name));
}

static void
test_listing(void **state)
{
	struct stage *stage = *state;
	struct listing listing = { .stage = stage };
	enum { FILES = 300 };
	assert_ok(ot_fs_list(stage->fs, stage->root, visit, &listing));
	assert_int_equal(listing.file_count + listing.dir_count, 0);
	for (unsigned i = 0; i < FILES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%u", i);
		make_text(stage, name, "");
	}
	assert_ok(ot_fs_mkdir(stage->fs, at(stage, "d")));
	assert_ok(ot_fs_list(stage->fs, stage->root, visit, &listing));
	assert_int_equal(listing.file_count, FILES);
	assert_int_equal(listing.dir_count, 1);
	listing = (struct listing){ .stage = stage, .stop_after = 7 };
	assert_int_equal(ot_fs_list(stage->fs, stage->root, visit, &listing), OT_ERR_CLOSED);
	assert_int_equal(listing.file_count + listing.dir_count, 7);
	assert_int_equal(ot_fs_list(stage->fs, at(stage, "x"), visit, &listing), OT_ERR_NOT_FOUND);
	assert_int_not_equal(ot_fs_list(stage->fs, at(stage, "f1"), visit, &listing), OT_OK);
	assert_ok(ot_fs_list(stage->fs, stage->root, visit_and_remove, &listing));
	listing = (struct listing){ .stage = stage };
	assert_ok(ot_fs_list(stage->fs, stage->root, visit, &listing));
	assert_int_equal(listing.file_count + listing.dir_count, 0);
}

static void
test_renaming(void **state)
{
	struct stage *stage = *state;
	struct ot_fs *fs = stage->fs;
	struct ot_file *old = NULL;
	make_text(stage, "a", "new");
	make_text(stage, "b", "old");
	assert_ok(ot_fs_mkdir_all(fs, at(stage, "d/e")));
	assert_ok(ot_fs_open(fs, at(stage, "b"), OT_OPEN_READ, &old));
	assert_ok(ot_fs_rename(fs, at(stage, "a"), at(stage, "b")));
	assert_false(is_there(stage, "a"));
	assert_text(stage, "b", "new");
	char text[4] = "";
	size_t bytes = 0;
	assert_ok(ot_file_read(old, text, 3, 0, &bytes));
	assert_string_equal(text, "old");
	ot_file_unref(old);
	assert_int_equal(ot_fs_rename(fs, at(stage, "a"), at(stage, "c")), OT_ERR_NOT_FOUND);
	assert_int_equal(ot_fs_rename(fs, at(stage, "b"), at(stage, "x/b")), OT_ERR_NOT_FOUND);
	assert_int_not_equal(ot_fs_rename(fs, at(stage, "b"), at(stage, "d")), OT_OK);
	assert_int_not_equal(ot_fs_rename(fs, at(stage, "d"), at(stage, "b")), OT_OK);
	assert_int_not_equal(ot_fs_rename(fs, at(stage, "d"), at(stage, "d/e/f")), OT_OK);
	assert_ok(ot_fs_rename(fs, at(stage, "b"), at(stage, "b")));
	assert_ok(ot_fs_rename(fs, at(stage, "b"), at(stage, "d/e/b")));
	assert_ok(ot_fs_rename(fs, at(stage, "d"), at(stage, "g")));
	assert_text(stage, "g/e/b", "new");
	assert_false(is_there(stage, "d"));
}

static void
test_locks(void **state)
{
	struct stage *stage = *state;
	struct ot_file *lock = NULL, *second = NULL;
	assert_ok(ot_fs_lock(stage->fs, at(stage, ".lock"), &lock));
	assert_true(is_there(stage, ".lock"));
	assert_int_equal(ot_fs_lock(stage->fs, at(stage, ".lock"), &second), OT_ERR_EXISTS);
	assert_null(second);
	/* Others that only look at the file do not end the lock. */
	struct ot_file *file = make(stage, ".lock");
	ot_file_unref(file);
	assert_int_equal(ot_fs_lock(stage->fs, at(stage, ".lock"), &second), OT_ERR_EXISTS);
	ot_file_unref(lock);
	assert_ok(ot_fs_lock(stage->fs, at(stage, ".lock"), &second));
	ot_file_unref(second);
}

static void
test_figures(void **state)
{
	struct stage *stage = *state;
	struct ot_fs_stat stat;
	struct ot_fs_space space;
	struct ot_file *file = make(stage, "f");
	char data[5000] = "";
	assert_ok(put(file, data, sizeof(data), 0));
	assert_ok(ot_file_sync(file));
	assert_ok(ot_fs_stat(stage->fs, at(stage, "f"), &stat));
	assert_int_equal(stat.bytes, sizeof(data));
	assert_in_range(stat.bytes_disk, sizeof(data), 1024 * 1024);
	assert_false(stat.is_dir);
	assert_ok(ot_fs_stat(stage->fs, stage->root, &stat));
	assert_true(stat.is_dir);
	assert_int_equal(ot_fs_stat(stage->fs, at(stage, "g"), &stat), OT_ERR_NOT_FOUND);
	assert_ok(ot_fs_space(stage->fs, stage->root, &space));
	assert_true(space.bytes_free > 0 && space.bytes_free <= space.bytes_total);
	assert_int_equal(ot_fs_space(stage->fs, at(stage, "g"), &space), OT_ERR_NOT_FOUND);
	ot_file_unref(file);
}

/* ---- files ------------------------------------------------------------------------------ */

static void
test_reads_end_at_the_end(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = make(stage, "f");
	char data[16];
	size_t bytes = 99;
	assert_ok(ot_file_read(file, data, sizeof(data), 0, &bytes));
	assert_int_equal(bytes, 0);
	assert_ok(put(file, "abcdef", 6, 0));
	assert_ok(ot_file_read(file, data, 4, 1, &bytes));
	assert_int_equal(bytes, 4);
	assert_memory_equal(data, "bcde", 4);
	assert_ok(ot_file_read(file, data, sizeof(data), 4, &bytes));
	assert_int_equal(bytes, 2);
	assert_ok(ot_file_read(file, data, sizeof(data), 6, &bytes));
	assert_int_equal(bytes, 0);
	assert_ok(ot_file_read(file, data, sizeof(data), 1000000, &bytes));
	assert_int_equal(bytes, 0);
	ot_file_unref(file);
}

/* More pieces than one system call takes, some of them empty. */
static void
test_gathered_writes(void **state)
{
	struct stage *stage = *state;
	enum { PIECES = 2500 };
	static char letters[PIECES * 3];
	static struct iovec pieces[PIECES];
	static char got[PIECES * 3];
	struct ot_file *file = make(stage, "f");
	size_t total = 0, bytes = 0;
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = (struct iovec){ .iov_base = letters + total, .iov_len = i % 4 };
		memset(letters + total, 'a' + (int)(i % 26), i % 4);
		total += i % 4;
	}
	assert_ok(ot_file_write(file, pieces, PIECES, 10));
	assert_ok(ot_file_read(file, got, sizeof(got), 10, &bytes));
	assert_int_equal(bytes, total);
	assert_memory_equal(got, letters, total);
	/* What lies before reads as zeros. */
	assert_ok(ot_file_read(file, got, 10, 0, &bytes));
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0\0", 10);
	assert_ok(ot_file_write(file, pieces, 1, 100000)); /* an empty piece */
	assert_ok(ot_file_write(file, pieces, 0, 100000));
	uint64_t size = 0;
	assert_ok(ot_file_size(file, &size));
	assert_int_equal(size, 10 + total);
	ot_file_unref(file);
}

static void
test_reserving_and_cutting(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = make(stage, "f");
	struct ot_fs_stat stat;
	const uint64_t reserved = 1024 * 1024;
	uint64_t size = 99;
	char data[3] = "";
	size_t bytes = 0;
	assert_ok(put(file, "abc", 3, 0));
	assert_ok(ot_file_reserve(file, 0, reserved));
	assert_ok(ot_file_size(file, &size));
	assert_int_equal(size, 3);
	assert_ok(ot_fs_stat(stage->fs, at(stage, "f"), &stat));
	bool can_reserve = stat.bytes_disk >= reserved;
	assert_true(can_reserve || stage->disk == NULL);
	assert_ok(put(file, "def", 3, 3));
	assert_ok(ot_file_truncate(file, 4));
	assert_ok(ot_fs_stat(stage->fs, at(stage, "f"), &stat));
	assert_int_equal(stat.bytes, 4);
	assert_true(stat.bytes_disk < reserved);
	/* What was cut off reads as zeros when the file grows again. */
	assert_ok(ot_file_truncate(file, 1000));
	assert_ok(ot_file_read(file, data, 3, 3, &bytes));
	assert_memory_equal(data, "d\0\0", 3);
	assert_ok(ot_file_size(file, &size));
	assert_int_equal(size, 1000);
	ot_file_unref(file);
}

/* The size that is kept is cut off too: reserved space goes also when the size stays. */
static void
test_cutting_at_the_size_gives_reserved_space_back(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = make(stage, "f");
	struct ot_fs_stat stat;
	assert_ok(put(file, "abc", 3, 0));
	assert_ok(ot_file_reserve(file, 3, 1024 * 1024));
	assert_ok(ot_file_truncate(file, 3));
	assert_ok(ot_fs_stat(stage->fs, at(stage, "f"), &stat));
	assert_true(stat.bytes_disk < 1024 * 1024);
	assert_int_equal(stat.bytes, 3);
	ot_file_unref(file);
}

static void
test_references(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = make(stage, "f");
	char data[3] = "";
	size_t bytes = 0;
	assert_ptr_equal(ot_file_ref(file), file);
	ot_file_unref(file);
	assert_ok(put(file, "abc", 3, 0));
	assert_ok(ot_fs_remove(stage->fs, at(stage, "f")));
	assert_false(is_there(stage, "f"));
	assert_ok(ot_file_read(file, data, 3, 0, &bytes));
	assert_memory_equal(data, "abc", 3);
	assert_ok(ot_file_sync(file));
	ot_file_unref(file);
	ot_file_unref(NULL);
}

static void
test_what_was_written_is_cached(void **state)
{
	struct stage *stage = *state;
	struct ot_file *file = make(stage, "f");
	char data[10000] = "";
	assert_ok(put(file, data, sizeof(data), 0));
	ot_file_write_back(file, 0, sizeof(data));
	assert_true(ot_file_is_cached(file, 100, 9000));
	assert_true(ot_file_is_cached(file, 0, 0));
	ot_file_unref(file);
}

/* Random writes, cuts and reads against the same on plain memory. */
static void
test_a_file_is_like_memory(void **state)
{
	struct stage *stage = *state;
	enum { BYTES = 40000, STEPS = 2000 };
	static uint8_t model[BYTES], data[BYTES], got[BYTES];
	uint64_t size = 0, file_size = 0;
	struct ot_sim_random random;
	struct ot_file *file = make(stage, "f");
	memset(model, 0, sizeof(model));
	ot_sim_random_init(&random, 42);
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t place = ot_sim_random_below(&random, BYTES);
		size_t bytes = (size_t)ot_sim_random_between(&random, 1, BYTES - place), read = 0;
		switch (ot_sim_random_below(&random, 8)) {
		case 0:
			assert_ok(ot_file_truncate(file, place));
			memset(model + place, 0, BYTES - place);
			size = place;
			break;
		case 1:
			assert_ok(ot_file_reserve(file, place, bytes));
			break;
		case 2:
			assert_ok(ot_file_read(file, got, bytes, place, &read));
			assert_int_equal(read, place < size ? OT_MIN(bytes, size - place) : 0);
			assert_memory_equal(got, model + place, read);
			break;
		default:
			bytes = OT_MIN(bytes, 3000u);
			ot_sim_random_fill(&random, data, bytes);
			assert_ok(put(file, data, bytes, place));
			memcpy(model + place, data, bytes);
			size = OT_MAX(size, place + bytes);
			break;
		}
		assert_ok(ot_file_size(file, &file_size));
		assert_int_equal(file_size, size);
	}
	ot_file_unref(file);
}

#define BOTH(test)                                               \
	{ "host: " #test, test, set_up_host, tear_down, NULL },  \
	{                                                        \
		"sim: " #test, test, set_up_sim, tear_down, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_open_flags),
		BOTH(test_folders),
		BOTH(test_listing),
		BOTH(test_renaming),
		BOTH(test_locks),
		BOTH(test_figures),
		BOTH(test_reads_end_at_the_end),
		BOTH(test_gathered_writes),
		BOTH(test_reserving_and_cutting),
		BOTH(test_cutting_at_the_size_gives_reserved_space_back),
		BOTH(test_references),
		BOTH(test_what_was_written_is_cached),
		BOTH(test_a_file_is_like_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
