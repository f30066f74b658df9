/* Goal: the simulated disk keeps each promise of io/fs.h and breaks everything beyond, by seed.
 *
 * Method: each rule by example over many seeds (what must hold holds in all of them, what may go
 * wrong does so in some), and random histories of writes and of names against plain models that say
 * what may be left after a loss of power. */
#include "../test.h"

#include <stdio.h>

#include "base/defs.h"
#include "sim/disk.h"
#include "sim/random.h"

enum { SEEDS = 200, SECTOR = 512 };

static struct ot_file *
open_file(struct ot_fs *fs, const char *path)
{
	struct ot_file *file = NULL;
	assert_ok(ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
	return file;
}

static ot_err
write_at(struct ot_file *file, const void *data, size_t bytes, uint64_t place)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	return ot_file_write(file, &piece, 1, place);
}

/* Makes a file with the text, synced; its name is not. */
static void
put_file(struct ot_fs *fs, const char *path, const char *text)
{
	struct ot_file *file = open_file(fs, path);
	assert_ok(write_at(file, text, strlen(text), 0));
	assert_ok(ot_file_sync(file));
	ot_file_unref(file);
}

/* The file's bytes as text; "" also when it is not there. */
static const char *
get_file(struct ot_fs *fs, const char *path)
{
	static char text[256];
	struct ot_file *file = NULL;
	size_t got = 0;
	text[0] = '\0';
	if (ot_fs_open(fs, path, OT_OPEN_READ, &file) != OT_OK)
		return text;
	assert_ok(ot_file_read(file, text, sizeof(text) - 1, 0, &got));
	text[got] = '\0';
	ot_file_unref(file);
	return text;
}

static bool
exists(struct ot_fs *fs, const char *path)
{
	struct ot_fs_stat stat;
	return ot_fs_stat(fs, path, &stat) == OT_OK;
}

/* ---- rules by example ------------------------------------------------------------------- */

/* Written bytes survive the process; locks and open files do not. */
static void
test_a_kill_keeps_what_was_written(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	struct ot_file *file = open_file(fs, "/f");
	struct ot_file *lock = NULL, *second = NULL;
	assert_ok(ot_fs_lock(fs, "/.lock", &lock));
	assert_int_equal(ot_fs_lock(fs, "/.lock", &second), OT_ERR_EXISTS);
	assert_ok(write_at(file, "abc", 3, 0));
	ot_sim_disk_restart(disk, OT_SIM_KILLED);
	assert_string_equal(get_file(fs, "/f"), "abc");
	assert_int_equal(write_at(file, "x", 1, 0), OT_ERR_CLOSED);
	assert_ok(ot_fs_lock(fs, "/.lock", &second));
	ot_file_unref(file);
	ot_file_unref(lock); /* the dead process's: the new one's lock stays */
	lock = NULL;
	assert_int_equal(ot_fs_lock(fs, "/.lock", &lock), OT_ERR_EXISTS);
	ot_file_unref(second);
	assert_int_equal(ot_sim_disk_open_count(disk), 0);
	ot_sim_disk_destroy(disk);
}

/* A file's sync keeps its bytes and its folder's sync keeps its name; without either all is lost in
 * some seeds and kept in others. */
static void
test_syncs_are_what_survives(void **state)
{
	(void)state;
	unsigned kept_names = 0, kept_bytes = 0, torn = 0;
	char big[3 * SECTOR + 1];
	memset(big, 'x', sizeof(big));
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		put_file(fs, "/both", "synced");
		assert_ok(ot_fs_sync_dir(fs, "/"));
		put_file(fs, "/name-only", "here");
		struct ot_file *file = open_file(fs, "/both");
		assert_ok(write_at(file, big, sizeof(big), 6));
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		assert_memory_equal(get_file(fs, "/both"), "synced", 6);
		if (exists(fs, "/name-only")) {
			kept_names++;
			assert_string_equal(get_file(fs, "/name-only"), "here");
		}
		struct ot_fs_stat stat;
		assert_ok(ot_fs_stat(fs, "/both", &stat));
		kept_bytes += stat.bytes == 6 + sizeof(big);
		torn += stat.bytes > 6 && stat.bytes < 6 + sizeof(big);
		ot_file_unref(file);
		ot_sim_disk_destroy(disk);
	}
	assert_in_range(kept_names, SEEDS / 5, SEEDS * 4 / 5);
	assert_in_range(kept_bytes, SEEDS / 10, SEEDS * 9 / 10);
	assert_true(torn > SEEDS / 20);
}

/* Write beside, sync, rename, sync the folder: at each change, under each loss, the old or the new
 * file stands under the name, whole. */
static void
replace_atomically(struct ot_fs *fs)
{
	struct ot_file *file = NULL;
	if (ot_fs_open(fs, "/c.tmp", OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file) !=
	    OT_OK)
		return;
	ot_err err = write_at(file, "new", 3, 0);
	if (err == OT_OK)
		err = ot_file_sync(file);
	ot_file_unref(file);
	if (err == OT_OK)
		err = ot_fs_rename(fs, "/c.tmp", "/c");
	if (err == OT_OK)
		err = ot_fs_sync_dir(fs, "/");
	(void)err;
}

static void
test_rename_is_atomic_at_every_change(void **state)
{
	(void)state;
	unsigned old = 0, new = 0;
	for (uint64_t n = 1; n <= 6; n++) {
		for (uint64_t seed = 0; seed < SEEDS / 4; seed++) {
			struct ot_sim_disk *disk = ot_sim_disk_create(seed);
			struct ot_fs *fs = ot_sim_disk_fs(disk);
			put_file(fs, "/c", "old");
			assert_ok(ot_fs_sync_dir(fs, "/"));
			ot_sim_disk_crash_at(disk, n);
			replace_atomically(fs);
			bool was_done = !ot_sim_disk_is_stopped(disk);
			assert_int_equal(was_done, n == 6);
			ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
			bool is_old = strcmp(get_file(fs, "/c"), "old") == 0;
			bool is_new = strcmp(get_file(fs, "/c"), "new") == 0;
			assert_true(is_new || (is_old && !was_done));
			old += is_old;
			new += is_new;
			ot_sim_disk_destroy(disk);
		}
	}
	assert_true(old > 0 && new > 0);
}

static void
test_a_removed_file_stays_readable_and_takes_space(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	put_file(fs, "/f", "abc");
	struct ot_file *file = open_file(fs, "/f");
	assert_int_equal(ot_sim_disk_bytes_used(disk), 4096);
	assert_ok(ot_fs_remove(fs, "/f"));
	assert_false(exists(fs, "/f"));
	char text[4] = "";
	size_t got = 0;
	assert_ok(ot_file_read(file, text, 3, 0, &got));
	assert_string_equal(text, "abc");
	assert_int_equal(ot_sim_disk_bytes_used(disk), 4096);
	ot_file_unref(file);
	assert_int_equal(ot_sim_disk_bytes_used(disk), 0);
	ot_sim_disk_destroy(disk);
}

static void
test_a_full_disk_refuses_and_recovers(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	char page[4096] = "";
	ot_sim_disk_set_capacity(disk, 4 * sizeof(page));
	struct ot_file *file = open_file(fs, "/f"), *other = open_file(fs, "/g");
	assert_ok(ot_file_reserve(file, 0, 2 * sizeof(page)));
	assert_int_equal(ot_file_reserve(file, 0, 5 * sizeof(page)), OT_ERR_NO_SPACE);
	for (uint64_t i = 0; i < 2; i++)
		assert_ok(write_at(other, page, sizeof(page), i * sizeof(page)));
	assert_int_equal(write_at(other, page, sizeof(page), 2 * sizeof(page)), OT_ERR_NO_SPACE);
	assert_int_equal(ot_fs_mkdir(fs, "/d"), OT_ERR_NO_SPACE);
	/* What was reserved can be written, and what is there overwritten. */
	assert_ok(write_at(file, page, sizeof(page), sizeof(page)));
	assert_ok(write_at(other, page, sizeof(page), 0));
	struct ot_fs_stat stat;
	struct ot_fs_space space;
	assert_ok(ot_fs_stat(fs, "/f", &stat));
	assert_int_equal(stat.bytes_disk, 2 * sizeof(page));
	assert_ok(ot_fs_space(fs, "/", &space));
	assert_int_equal(space.bytes_free, 0);
	assert_ok(ot_file_truncate(other, 10));
	assert_ok(write_at(file, page, sizeof(page), 2 * sizeof(page)));
	ot_file_unref(file);
	ot_file_unref(other);
	ot_sim_disk_destroy(disk);
}

/* After a failed sync later ones succeed and keep nothing: only who fences the file is safe. */
static void
test_a_failed_sync_is_final(void **state)
{
	(void)state;
	unsigned lost = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		put_file(fs, "/f", "a");
		assert_ok(ot_fs_sync_dir(fs, "/"));
		struct ot_file *file = open_file(fs, "/f");
		assert_ok(write_at(file, "b", 1, 0));
		ot_sim_disk_fail_at(disk, OT_SIM_SYNC, 1, OT_ERR_IO, false);
		assert_int_equal(ot_file_sync(file), OT_ERR_IO);
		assert_ok(ot_file_sync(file));
		assert_string_equal(get_file(fs, "/f"), "b");
		assert_int_equal(ot_sim_disk_violation_count(disk), 0);
		assert_ok(write_at(file, "b", 1, 0));
		assert_int_equal(ot_sim_disk_violation_count(disk), 1);
		ot_file_unref(file);
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		lost += strcmp(get_file(fs, "/f"), "a") == 0;
		ot_sim_disk_destroy(disk);
	}
	assert_true(lost > SEEDS / 5);
}

static void
test_planned_failures_hit_their_call(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	struct ot_file *file = open_file(fs, "/f");
	ot_sim_disk_fail_at(disk, OT_SIM_WRITE, 2, OT_ERR_IO, false);
	assert_ok(write_at(file, "a", 1, 0));
	assert_ok(ot_file_sync(file));
	assert_int_equal(write_at(file, "b", 1, 1), OT_ERR_IO);
	assert_ok(write_at(file, "b", 1, 1));
	ot_sim_disk_fail_at(disk, OT_SIM_ANY, 1, OT_ERR_NO_SPACE, true);
	assert_int_equal(write_at(file, "c", 1, 2), OT_ERR_NO_SPACE);
	assert_int_equal(ot_fs_mkdir(fs, "/d"), OT_ERR_NO_SPACE);
	ot_sim_disk_fail_at(disk, 0, 0, OT_OK, false);
	assert_ok(ot_fs_mkdir(fs, "/d"));
	ot_file_unref(file);
	ot_sim_disk_destroy(disk);
}

static void
test_flipped_bits_show(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	put_file(fs, "/f", "abc");
	assert_ok(ot_sim_disk_flip(disk, "/f", 1, 0));
	assert_string_equal(get_file(fs, "/f"), "acc");
	assert_int_equal(ot_sim_disk_flip(disk, "/f", 3, 0), OT_ERR_NOT_FOUND);
	assert_int_equal(ot_sim_disk_flip(disk, "/g", 0, 0), OT_ERR_NOT_FOUND);
	/* Under a dirty page the flip waits until the page is dropped. */
	struct ot_file *file = open_file(fs, "/f");
	assert_ok(write_at(file, "xyz", 3, 0));
	uint64_t place = 99;
	assert_ok(ot_sim_disk_flip_any(disk, "/f", &place));
	assert_in_range(place, 0, 2);
	assert_string_equal(get_file(fs, "/f"), "xyz");
	ot_file_unref(file);
	ot_sim_disk_destroy(disk);
}

/* A folder whose own name was not synced goes with all that is in it. */
static void
test_names_hang_on_their_folders_name(void **state)
{
	(void)state;
	unsigned kept = 0, lost = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		assert_ok(ot_fs_mkdir_all(fs, "/d/e"));
		put_file(fs, "/d/e/f", "x");
		assert_ok(ot_fs_sync_dir(fs, "/d/e"));
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		kept += exists(fs, "/d/e/f");
		lost += !exists(fs, "/d");
		if (exists(fs, "/d/e"))
			assert_string_equal(get_file(fs, "/d/e/f"), "x");
		ot_sim_disk_destroy(disk);
	}
	assert_true(kept > SEEDS / 5 && lost > SEEDS / 5);
}

/* A file that is moved out of a folder before the folder goes is never lost with it. */
static void
test_a_folder_goes_after_what_emptied_it(void **state)
{
	(void)state;
	unsigned gone = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		assert_ok(ot_fs_mkdir(fs, "/d"));
		put_file(fs, "/d/f", "x");
		assert_ok(ot_fs_sync_dir(fs, "/d"));
		assert_ok(ot_fs_sync_dir(fs, "/"));
		assert_ok(ot_fs_rename(fs, "/d/f", "/f"));
		assert_ok(ot_fs_remove(fs, "/d"));
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		gone += !exists(fs, "/d");
		assert_int_equal(exists(fs, "/d/f") + exists(fs, "/f"), 1);
		assert_true(exists(fs, "/d") || exists(fs, "/f"));
		ot_sim_disk_destroy(disk);
	}
	assert_in_range(gone, SEEDS / 5, SEEDS * 4 / 5);
}

/* A clone is the disk at its moment: both go their own ways from there. */
static void
test_a_clone_is_independent(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	assert_ok(ot_fs_mkdir(fs, "/d"));
	put_file(fs, "/d/a", "one");
	assert_ok(ot_fs_rename(fs, "/d/a", "/b"));
	struct ot_sim_disk *clone = ot_sim_disk_clone(disk, 2);
	put_file(fs, "/b", "two");
	assert_true(ot_sim_disk_is_stopped(clone));
	ot_sim_disk_restart(clone, OT_SIM_KILLED);
	assert_string_equal(get_file(ot_sim_disk_fs(clone), "/b"), "one");
	put_file(ot_sim_disk_fs(clone), "/b", "six");
	assert_string_equal(get_file(fs, "/b"), "two");
	ot_sim_disk_restart(clone, OT_SIM_POWER_LOST);
	ot_sim_disk_destroy(disk);
	assert_int_equal(ot_sim_disk_bytes_used(clone),
	    exists(ot_sim_disk_fs(clone), "/b") || exists(ot_sim_disk_fs(clone), "/d/a") ? 4096
											 : 0);
	ot_sim_disk_destroy(clone);
}

struct change_watch {
	struct ot_sim_disk *disk;
	unsigned old;
	unsigned new;
};

static void
crash_a_clone(void *arg, uint64_t n)
{
	struct change_watch *watch = arg;
	for (uint64_t seed = 0; seed < 10; seed++) {
		struct ot_sim_disk *clone = ot_sim_disk_clone(watch->disk, n * 100 + seed);
		ot_sim_disk_restart(clone, OT_SIM_POWER_LOST);
		const char *text = get_file(ot_sim_disk_fs(clone), "/c");
		watch->old += strcmp(text, "old") == 0;
		watch->new += strcmp(text, "new") == 0;
		ot_sim_disk_destroy(clone);
	}
}

/* One run with a clone at each change sees what many runs see that crash there. */
static void
test_clones_at_each_change(void **state)
{
	(void)state;
	struct change_watch watch = { .disk = ot_sim_disk_create(1) };
	struct ot_fs *fs = ot_sim_disk_fs(watch.disk);
	put_file(fs, "/c", "old");
	assert_ok(ot_fs_sync_dir(fs, "/"));
	ot_sim_disk_on_change(watch.disk, crash_a_clone, &watch);
	replace_atomically(fs);
	crash_a_clone(&watch, ot_sim_disk_change_count(watch.disk) + 1);
	assert_int_equal(watch.old + watch.new, 60);
	assert_in_range(watch.new, 11, 30);
	ot_sim_disk_destroy(watch.disk);
}

/* Many names that nobody syncs: the oldest become durable by themselves, and all is consistent. */
static void
test_many_unsynced_names(void **state)
{
	(void)state;
	struct ot_sim_disk *disk = ot_sim_disk_create(4);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	char path[32];
	unsigned kept = 0;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "/n%u", i);
		put_file(fs, path, "x");
	}
	ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "/n%u", i);
		kept += strcmp(get_file(fs, path), "x") == 0;
	}
	assert_in_range(kept, 1400, 2000);
	ot_sim_disk_destroy(disk);
}

/* ---- random histories of one file's bytes ----------------------------------------------- */

enum { MODEL_BYTES = 12 * 1024, MODEL_VERSIONS = 24 };

/* Every state of the file since the last sync. */
struct bytes_model {
	struct {
		uint64_t bytes;
		uint8_t data[MODEL_BYTES];
	} versions[MODEL_VERSIONS];
	unsigned count;
};

static void
model_step(struct bytes_model *model, struct ot_sim_random *random, struct ot_file *file)
{
	assert_true(model->count < MODEL_VERSIONS);
	model->versions[model->count] = model->versions[model->count - 1];
	uint64_t kind = ot_sim_random_below(random, 4);
	uint64_t place = ot_sim_random_below(random, MODEL_BYTES);
	uint8_t *data = model->versions[model->count].data;
	uint64_t *bytes = &model->versions[model->count].bytes;
	if (kind == 0) {
		assert_ok(ot_file_truncate(file, place));
		if (place < *bytes)
			memset(data + place, 0, MODEL_BYTES - place);
		*bytes = place;
	} else {
		uint64_t length = ot_sim_random_between(random, 1, MODEL_BYTES - place);
		length = OT_MIN(length, 3000u);
		ot_sim_random_fill(random, data + place, length);
		assert_ok(write_at(file, data + place, length, place));
		*bytes = OT_MAX(*bytes, place + length);
	}
	model->count++;
}

static bool
sector_was_there(const struct bytes_model *model, const uint8_t *sector, uint64_t place,
    size_t bytes)
{
	for (unsigned i = 0; i < model->count; i++) {
		if (memcmp(model->versions[i].data + place, sector, bytes) == 0)
			return true;
	}
	return false;
}

static void
check_bytes(const struct bytes_model *model, struct ot_file *file)
{
	static uint8_t data[MODEL_BYTES + 1];
	size_t got = 0;
	uint64_t least = UINT64_MAX, most = 0;
	for (unsigned i = 0; i < model->count; i++) {
		least = OT_MIN(least, model->versions[i].bytes);
		most = OT_MAX(most, model->versions[i].bytes);
	}
	assert_ok(ot_file_read(file, data, sizeof(data), 0, &got));
	assert_in_range(got, least, most);
	for (size_t place = 0; place < got; place += SECTOR) {
		size_t bytes = OT_MIN(SECTOR, got - place);
		assert_true(sector_was_there(model, data + place, place, bytes));
	}
	/* What lay behind the end does not come back when the file grows again. */
	size_t grown = 0;
	assert_ok(ot_file_truncate(file, MODEL_BYTES));
	assert_ok(ot_file_read(file, data, sizeof(data), got, &grown));
	assert_int_equal(got + grown, MODEL_BYTES);
	for (size_t i = 0; i < grown; i++)
		assert_int_equal(data[i], 0);
}

static void
test_bytes_after_a_loss_were_there_before(void **state)
{
	(void)state;
	static struct bytes_model model;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		struct ot_sim_random random;
		ot_sim_random_init(&random, seed);
		struct ot_file *file = open_file(fs, "/f");
		assert_ok(ot_fs_sync_dir(fs, "/"));
		memset(&model, 0, sizeof(model));
		model.count = 1;
		uint64_t steps = ot_sim_random_below(&random, MODEL_VERSIONS - 1);
		for (uint64_t i = 0; i < steps; i++) {
			model_step(&model, &random, file);
			if (ot_sim_random_below(&random, 6) == 0) {
				assert_ok(ot_file_sync(file));
				model.versions[0] = model.versions[model.count - 1];
				model.count = 1;
			}
		}
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		ot_file_unref(file);
		file = open_file(fs, "/f");
		check_bytes(&model, file);
		ot_file_unref(file);
		ot_sim_disk_destroy(disk);
	}
}

/* ---- random histories of names ---------------------------------------------------------- */

enum { DIRS = 2, NAMES = 4, SLOTS = DIRS * NAMES, IDS = 64 };

/* Files are known by an id, their synced content. `could[slot][id]`: the slot held the id (0: was
 * empty) at some moment since its folder was synced. `is_gone[id]`: removed or replaced at some
 * moment, or made after the last syncs, so that it may be missing. */
struct names_model {
	unsigned now[SLOTS];
	bool could[SLOTS][IDS];
	bool may_be_gone[IDS];
	bool is_made_unsynced[IDS];
	unsigned id_count;
};

static const char *
slot_path(unsigned slot)
{
	static char paths[4][16];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "/d%u/n%u", slot / NAMES, slot % NAMES);
	return path;
}

static void
model_set(struct names_model *model, unsigned slot, unsigned id)
{
	model->now[slot] = id;
	model->could[slot][id] = true;
}

static void
model_make(struct names_model *model, struct ot_fs *fs, unsigned slot)
{
	if (model->now[slot] != 0 || model->id_count + 1 >= IDS)
		return;
	unsigned id = ++model->id_count;
	char text[8];
	snprintf(text, sizeof(text), "%u", id);
	put_file(fs, slot_path(slot), text);
	model_set(model, slot, id);
	model->is_made_unsynced[id] = true;
}

static void
model_rename(struct names_model *model, struct ot_fs *fs, unsigned from, unsigned to)
{
	if (model->now[from] == 0 || from == to)
		return;
	assert_ok(ot_fs_rename(fs, slot_path(from), slot_path(to)));
	if (model->now[to] != 0)
		model->may_be_gone[model->now[to]] = true;
	model_set(model, to, model->now[from]);
	model_set(model, from, 0);
}

static void
model_sync(struct names_model *model, struct ot_fs *fs, unsigned dir)
{
	assert_ok(ot_fs_sync_dir(fs, dir == 0 ? "/d0" : "/d1"));
	for (unsigned slot = dir * NAMES; slot < (dir + 1) * NAMES; slot++) {
		memset(model->could[slot], 0, sizeof(model->could[slot]));
		model->could[slot][model->now[slot]] = true;
		model->is_made_unsynced[model->now[slot]] = false;
	}
}

static void
names_step(struct names_model *model, struct ot_sim_random *random, struct ot_fs *fs)
{
	unsigned slot = (unsigned)ot_sim_random_below(random, SLOTS);
	unsigned other = (unsigned)ot_sim_random_below(random, SLOTS);
	switch (ot_sim_random_below(random, 8)) {
	case 0:
		model_sync(model, fs, slot % DIRS);
		break;
	case 1:
		if (model->now[slot] == 0)
			break;
		assert_ok(ot_fs_remove(fs, slot_path(slot)));
		model->may_be_gone[model->now[slot]] = true;
		model_set(model, slot, 0);
		break;
	case 2:
	case 3:
	case 4:
		model_rename(model, fs, slot, other);
		break;
	default:
		model_make(model, fs, slot);
		break;
	}
}

static void
check_names(const struct names_model *model, struct ot_fs *fs)
{
	unsigned seen[IDS] = { 0 };
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		unsigned id = 0;
		(void)sscanf(get_file(fs, slot_path(slot)), "%u", &id);
		assert_true(model->could[slot][id]);
		seen[id]++;
	}
	for (unsigned id = 1; id <= model->id_count; id++) {
		assert_true(seen[id] <= 1);
		if (!model->may_be_gone[id] && !model->is_made_unsynced[id])
			assert_int_equal(seen[id], 1);
	}
}

static void
test_names_after_a_loss_were_there_before(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS * 2; seed++) {
		struct ot_sim_disk *disk = ot_sim_disk_create(seed);
		struct ot_fs *fs = ot_sim_disk_fs(disk);
		struct ot_sim_random random;
		ot_sim_random_init(&random, seed);
		struct names_model model = { 0 };
		assert_ok(ot_fs_mkdir(fs, "/d0"));
		assert_ok(ot_fs_mkdir(fs, "/d1"));
		assert_ok(ot_fs_sync_dir(fs, "/"));
		for (unsigned slot = 0; slot < SLOTS; slot++)
			model_set(&model, slot, 0);
		uint64_t steps = ot_sim_random_below(&random, 40);
		for (uint64_t i = 0; i < steps; i++)
			names_step(&model, &random, fs);
		ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
		check_names(&model, fs);
		ot_sim_disk_destroy(disk);
	}
}

/* ---- determinism ------------------------------------------------------------------------ */

static uint64_t
hash_of_run(uint64_t seed)
{
	struct ot_sim_disk *disk = ot_sim_disk_create(seed);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	struct ot_sim_random random;
	ot_sim_random_init(&random, 7);
	ot_sim_disk_set_rates(disk,
	    &(struct ot_sim_disk_rates){ .write_error = 100000, .write_back = 300000 });
	for (unsigned i = 0; i < 50; i++) {
		struct ot_file *file = NULL;
		uint8_t data[700];
		ot_sim_random_fill(&random, data, sizeof(data));
		if (ot_fs_open(fs, "/f", OT_OPEN_WRITE | OT_OPEN_CREATE, &file) == OT_OK)
			(void)!write_at(file, data, sizeof(data), i * 300);
		ot_file_unref(file);
		if (i % 20 == 19)
			ot_sim_disk_restart(disk, OT_SIM_POWER_LOST);
	}
	(void)get_file(fs, "/f");
	uint64_t hash = ot_sim_trace_hash(ot_sim_disk_trace(disk));
	ot_sim_disk_destroy(disk);
	return hash;
}

static void
test_one_seed_gives_one_history(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		assert_int_equal(hash_of_run(seed), hash_of_run(seed));
		assert_int_not_equal(hash_of_run(seed), hash_of_run(seed + 1));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kill_keeps_what_was_written),
		cmocka_unit_test(test_syncs_are_what_survives),
		cmocka_unit_test(test_rename_is_atomic_at_every_change),
		cmocka_unit_test(test_a_removed_file_stays_readable_and_takes_space),
		cmocka_unit_test(test_a_full_disk_refuses_and_recovers),
		cmocka_unit_test(test_a_failed_sync_is_final),
		cmocka_unit_test(test_planned_failures_hit_their_call),
		cmocka_unit_test(test_flipped_bits_show),
		cmocka_unit_test(test_names_hang_on_their_folders_name),
		cmocka_unit_test(test_a_folder_goes_after_what_emptied_it),
		cmocka_unit_test(test_a_clone_is_independent),
		cmocka_unit_test(test_clones_at_each_change),
		cmocka_unit_test(test_many_unsynced_names),
		cmocka_unit_test(test_bytes_after_a_loss_were_there_before),
		cmocka_unit_test(test_names_after_a_loss_were_there_before),
		cmocka_unit_test(test_one_seed_gives_one_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
