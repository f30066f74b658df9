/* Copying a partition's folder while its log is in use, and what a crash leaves of it. */
#include "../test.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "replica/dirs.h"
#include "replica/folder_copy_int.h"
#include "sim/disk.h"

static struct ot_sim_disk *disk;
static struct ot_fs *fs;
static ot_wall_ms now;

/* A log of three segments in /a/t-0, the last of which is in use. */
static const char *const files[] = {
	"00000000000000000000.index",
	"00000000000000000000.log",
	"00000000000000000010.index",
	"00000000000000000010.log",
	"00000000000000000020.log",
	"leader-epoch-checkpoint",
	"partition.metadata",
};

static void
put(const char *path, const char *text)
{
	struct ot_file *file;
	struct iovec piece = { (void *)(uintptr_t)text, strlen(text) };
	ot_sim_disk_set_wall(disk, ++now);
	assert_ok(ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file));
	assert_ok(ot_file_write(file, &piece, 1, 0));
	ot_file_unref(file);
}

/* The text of a file; "-" when it is not there. */
static const char *
get(const char *folder, const char *name)
{
	static char text[64];
	char path[256];
	struct ot_file *file;
	size_t bytes = 0;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	ot_err err = ot_fs_open(fs, path, OT_OPEN_READ, &file);
	if (err == OT_ERR_NOT_FOUND)
		return "-";
	assert_ok(err);
	assert_ok(ot_file_read(file, text, sizeof(text) - 1, 0, &bytes));
	text[bytes] = '\0';
	ot_file_unref(file);
	return text;
}

static void
put_log(void)
{
	char path[256];
	assert_ok(ot_fs_mkdir_all(fs, "/a/t-0"));
	assert_ok(ot_fs_mkdir_all(fs, "/b"));
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++) {
		snprintf(path, sizeof(path), "/a/t-0/%s", files[i]);
		put(path, files[i]);
	}
}

static int
set_up(void **state)
{
	(void)state;
	disk = ot_sim_disk_create(7);
	fs = ot_sim_disk_fs(disk);
	now = 1000;
	put_log();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(ot_sim_disk_open_count(disk), 0);
	ot_sim_disk_destroy(disk);
	return 0;
}

static void
pass_all(struct folder_copy *copy)
{
	uint64_t bytes = 1;
	bool is_done = false;
	while (!is_done || bytes > 0)
		assert_ok(folder_copy_pass(copy, UINT64_MAX, &bytes, &is_done));
}

static void
assert_same(const char *to)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", get("/a/t-0", files[i]));
		assert_string_equal(get(to, files[i]), text);
	}
}

/* Goal: passes bring the segments that are closed and nothing else, a file at a time when little is
 * allowed; the last one brings the rest. */
static void
test_passes(void **state)
{
	(void)state;
	struct folder_copy *copy = folder_copy_create(fs, "/a/t-0", "/b/future");
	uint64_t bytes = 0;
	bool is_done = true;
	assert_ok(folder_copy_pass(copy, 1, &bytes, &is_done));
	assert_false(is_done);
	assert_int_equal(bytes, strlen(files[0]));
	assert_string_equal(get("/b/future", files[1]), "-");
	pass_all(copy);
	assert_string_equal(get("/b/future", files[3]), files[3]);
	assert_string_equal(get("/b/future", files[4]), "-");
	assert_int_equal(folder_copy_bytes(copy), strlen(files[1]) + strlen(files[3]));
	assert_int_equal(folder_copy_offset(copy), 20);
	assert_ok(folder_copy_finish(copy));
	assert_same("/b/future");
	folder_copy_destroy(copy);
}

/* Goal: what was cut and written anew, or removed, after it had been copied is put right. */
static void
test_changes_meanwhile(void **state)
{
	(void)state;
	struct folder_copy *copy = folder_copy_create(fs, "/a/t-0", "/b/future");
	pass_all(copy);
	put("/a/t-0/00000000000000000010.log", "the same in length, 24 B");
	assert_int_equal(strlen(get("/a/t-0", files[3])), strlen(files[3]));
	assert_ok(ot_fs_remove(fs, "/a/t-0/00000000000000000000.log"));
	assert_ok(ot_fs_remove(fs, "/a/t-0/00000000000000000000.index"));
	put("/a/t-0/00000000000000000000.log.deleted", "on its way out");
	assert_ok(folder_copy_finish(copy));
	assert_same("/b/future");
	assert_string_equal(get("/b/future", files[1]), "-");
	assert_string_equal(get("/b/future", "00000000000000000000.log.deleted"), "-");
	folder_copy_destroy(copy);
}

/* Goal: what a finished copy has survives a loss of power. */
static void
test_power_loss(void **state)
{
	(void)state;
	struct folder_copy *copy = folder_copy_create(fs, "/a/t-0", "/b/future");
	pass_all(copy);
	assert_ok(folder_copy_finish(copy));
	folder_copy_destroy(copy);
	assert_ok(ot_fs_sync_dir(fs, "/b"));
	assert_ok(ot_fs_sync_dir(fs, "/"));
	ot_sim_disk_stop(disk);
	ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++)
		assert_string_equal(get("/b/future", files[i]), files[i]);
}

/* Goal: whatever call fails, the error is told, and trying again ends in a whole copy. */
static void
test_failing_disk(void **state)
{
	(void)state;
	bool has_failed = true;
	for (uint64_t n = 1; has_failed; n++) {
		struct folder_copy *copy = folder_copy_create(fs, "/a/t-0", "/b/future");
		ot_sim_disk_fail_at(disk, OT_SIM_WRITE | OT_SIM_SYNC, n, OT_ERR_IO, true);
		uint64_t bytes;
		bool is_done;
		ot_err err = folder_copy_pass(copy, UINT64_MAX, &bytes, &is_done);
		if (err == OT_OK)
			err = folder_copy_finish(copy);
		has_failed = err != OT_OK;
		ot_sim_disk_fail_at(disk, 0, 0, OT_OK, false);
		if (has_failed)
			assert_int_equal(err, OT_ERR_IO);
		folder_copy_destroy(copy);
	}
	assert_same("/b/future");
}

int
main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_passes),
		ROW(test_changes_meanwhile),
		ROW(test_power_loss),
		ROW(test_failing_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
