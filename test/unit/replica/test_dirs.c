/* Tests of the log directories: which partition lies where, whose folders are believed, what the
 * checkpoint files carry over a stop and over a crash. */
#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "log/logdir.h"
#include "replica/dirs.h"
#include "sim/disk.h"

static const char *const two_paths[] = { "/a", "/b" };
static const struct ot_uuid dir_ids[] = { { { 1 } }, { { 2 } } };
static const struct ot_uuid old_id = { { 0x11, 1 } };
static const struct ot_uuid new_id = { { 0x22, 2 } };

struct stand {
	struct ot_sim_disk *disk;
	struct ot_fs *fs;
	struct ot_dirs *dirs;
	struct ot_why why;
};

static ot_err
try_open(struct stand *stand, int32_t node_id, size_t path_count)
{
	const struct ot_dirs_conf conf = {
		.fs = stand->fs,
		.paths = two_paths,
		.path_count = path_count,
		.node_id = node_id,
		.new_cluster_id = "cluster",
		.new_dir_ids = dir_ids,
	};
	return ot_dirs_open(&conf, &stand->dirs, &stand->why);
}

static void
open_stand(struct stand *stand)
{
	*stand = (struct stand){ .disk = ot_sim_disk_create(1) };
	stand->fs = ot_sim_disk_fs(stand->disk);
	assert_ok(try_open(stand, 1, 2));
}

static void
close_stand(struct stand *stand)
{
	ot_dirs_close(stand->dirs);
	assert_int_equal(ot_sim_disk_open_count(stand->disk), 0);
	ot_sim_disk_destroy(stand->disk);
}

/* Stops as the power does, and starts again. */
static void
crash(struct stand *stand)
{
	ot_sim_disk_stop(stand->disk);
	ot_dirs_close(stand->dirs);
	ot_sim_disk_restart(stand->disk, OT_SIM_POWER_LOST);
	assert_ok(try_open(stand, 1, 2));
}

static struct ot_dirs_place
find(struct stand *stand, const char *topic, const struct ot_uuid *id)
{
	struct ot_dirs_place place;
	ot_dirs_find(stand->dirs, ot_str_from(topic), id, 0, &place);
	return place;
}

static struct ot_dirs_place
make(struct stand *stand, const char *topic, const struct ot_uuid *id)
{
	struct ot_dirs_place place = find(stand, topic, id);
	assert_ok(ot_dirs_prepare(stand->dirs, &place, id));
	return place;
}

static struct ot_dirs_row
row_of(const struct ot_dirs_place *place, const char *topic, const struct ot_uuid *id,
    int64_t start, int64_t recovery_point)
{
	return (struct ot_dirs_row){
		.topic = ot_str_from(topic),
		.topic_id = *id,
		.dir = place->dir,
		.start_offset = start,
		.recovery_point = recovery_point,
		.high_watermark = recovery_point,
	};
}

static void
stop_cleanly(struct stand *stand)
{
	for (size_t i = 0; i < ot_dirs_count(stand->dirs); i++)
		assert_ok(ot_dirs_mark_clean(stand->dirs, i, 5));
	ot_dirs_close(stand->dirs);
	assert_ok(try_open(stand, 1, 2));
}

/* Ends as kill -9 does, and starts again. */
static void
be_killed(struct stand *stand)
{
	ot_sim_disk_stop(stand->disk);
	ot_dirs_close(stand->dirs);
	ot_sim_disk_restart(stand->disk, OT_SIM_KILLED);
	assert_ok(try_open(stand, 1, 2));
}

static void
test_last_epoch(void **state)
{
	(void)state;
	/* Goal: the broker that was here last is known after a clean stop and after a kill, and not
	 * after a loss of power, where a disk has failed, or when the directories disagree. */
	struct stand stand;
	open_stand(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), -1);
	ot_dirs_mark_running(stand.dirs, 4);
	be_killed(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), 4);
	stop_cleanly(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), 5);
	be_killed(&stand); /* before it was registered again */
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), 5);
	ot_dirs_mark_running(stand.dirs, 6);
	crash(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), -1);

	ot_dirs_mark_running(stand.dirs, 7);
	ot_dirs_distrust(stand.dirs, 1);
	ot_dirs_mark_running(stand.dirs, 8);
	be_killed(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), -1);
	ot_dirs_mark_running(stand.dirs, 9);
	be_killed(&stand);
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), 9);
	close_stand(&stand);
}

static void
test_placement_and_return(void **state)
{
	(void)state;
	/* Goal: new partitions go to the directory with the fewest; at the next start they are
	 * found where they are, with their checkpoints, clean after a clean stop and only then.
	 * Method: four topics over two directories, a clean stop, a crash. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs_place places[4];
	struct ot_dirs_row rows[4];
	size_t per_dir[2] = { 0, 0 };
	const char *const topics[4] = { "t0", "t1", "t2", "t3" };
	for (int i = 0; i < 4; i++) {
		places[i] = make(&stand, topics[i], &old_id);
		assert_false(places[i].is_found);
		rows[i] = row_of(&places[i], topics[i], &old_id, i, 100 + i);
		per_dir[places[i].dir]++;
	}
	assert_int_equal(per_dir[0], 2);
	assert_int_equal(per_dir[1], 2);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, rows, 4));
	stop_cleanly(&stand);
	for (int i = 0; i < 4; i++) {
		struct ot_dirs_place place = find(&stand, topics[i], &old_id);
		assert_true(place.is_found && place.is_clean);
		assert_string_equal(place.path, places[i].path);
		assert_int_equal(place.start_offset, i);
		assert_int_equal(place.recovery_point, 100 + i);
	}
	crash(&stand);
	for (int i = 0; i < 4; i++) {
		struct ot_dirs_place place = find(&stand, topics[i], &old_id);
		assert_true(place.is_found && !place.is_clean);
		assert_int_equal(place.recovery_point, 100 + i);
	}
	close_stand(&stand);
}

static void
test_foreign_directories(void **state)
{
	(void)state;
	/* Goal: a directory of another broker or cluster is refused with both names; a broker
	 * without a number takes the directory's. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs *dirs = stand.dirs;
	assert_int_equal(try_open(&stand, 1, 2), OT_ERR_EXISTS);
	ot_dirs_close(dirs);
	assert_int_equal(try_open(&stand, 2, 2), OT_ERR_INVALID_CONFIG);
	assert_non_null(strstr(stand.why.text, "2"));
	const struct ot_dirs_conf conf = {
		.fs = stand.fs,
		.paths = two_paths,
		.path_count = 2,
		.node_id = 1,
		.cluster_id = "another",
		.new_cluster_id = "another",
		.new_dir_ids = dir_ids,
	};
	assert_int_equal(ot_dirs_open(&conf, &stand.dirs, &stand.why),
	    OT_ERR_INCONSISTENT_CLUSTER_ID);
	assert_non_null(strstr(stand.why.text, "another"));
	assert_non_null(strstr(stand.why.text, "cluster"));
	assert_ok(try_open(&stand, -1, 2));
	assert_int_equal(ot_dirs_node_id(stand.dirs), 1);
	assert_string_equal(ot_dirs_cluster_id(stand.dirs), "cluster");
	close_stand(&stand);
}

static void
test_folder_of_a_deleted_topic(void **state)
{
	(void)state;
	/* Goal: a folder whose id is not the topic's is of a topic that was deleted: it is emptied,
	 * and its rows are not believed. A folder without an id is taken for the topic's.
	 * Method: both kinds, met at a start. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs_place place = make(&stand, "t", &old_id);
	struct ot_dirs_row row = row_of(&place, "t", &old_id, 30, 50);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, &row, 1));
	char path[1100];
	struct ot_file *file = NULL;
	snprintf(path, sizeof(path), "%s/leftover", place.path);
	assert_ok(ot_fs_open(stand.fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
	ot_file_unref(file);
	assert_ok(ot_fs_mkdir(stand.fs, "/b/bare-0"));
	stop_cleanly(&stand);
	struct ot_dirs_place other = make(&stand, "t", &new_id);
	assert_false(other.is_found);
	assert_int_equal(other.start_offset, 0);
	assert_int_equal(other.recovery_point, 0);
	assert_string_equal(other.path, place.path);
	struct ot_fs_stat stat;
	assert_int_equal(ot_fs_stat(stand.fs, path, &stat), OT_ERR_NOT_FOUND);
	struct ot_dirs_place bare = make(&stand, "bare", &new_id);
	assert_true(bare.is_found);
	assert_string_equal(bare.path, "/b/bare-0");
	close_stand(&stand);
}

static void
test_rows_of_a_topic_made_again(void **state)
{
	(void)state;
	/* Goal: a topic is deleted and made again, and the machine stops before the next
	 * checkpoint: the new folder is not judged by the old topic's rows, which would hide its
	 * records. Method: do it; then the same with the next checkpoint cut short after any of its
	 * files. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs_place place = make(&stand, "t", &old_id);
	struct ot_dirs_row row = row_of(&place, "t", &old_id, 3000, 5000);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, &row, 1));
	crash(&stand);
	place = find(&stand, "t", &old_id);
	assert_int_equal(place.start_offset, 3000);
	char *moved = NULL;
	assert_ok(ot_dirs_give_up(stand.dirs, place.dir, place.path, OT_PARTITION_DELETED, &new_id,
	    &moved));
	assert_ok(ot_fs_remove_all(stand.fs, moved));
	ot_free(moved);
	make(&stand, "t", &new_id);
	crash(&stand);
	place = find(&stand, "t", &new_id);
	assert_true(place.is_found);
	assert_int_equal(place.start_offset, 0);
	assert_int_equal(place.recovery_point, 0);
	row = row_of(&place, "t", &new_id, 1, 2);
	for (uint64_t n = 1;; n++) {
		ot_sim_disk_crash_at(stand.disk, n);
		bool is_whole = ot_dirs_write_checkpoints(stand.dirs, &row, 1) == OT_OK;
		ot_sim_disk_crash_at(stand.disk, 0);
		crash(&stand);
		place = find(&stand, "t", &new_id);
		assert_in_range(place.start_offset, 0, 1);
		assert_in_range(place.recovery_point, 0, 2);
		if (!is_whole)
			continue;
		assert_int_equal(place.recovery_point, 2);
		break;
	}
	close_stand(&stand);
}

static void
test_stop_before_anything_was_opened(void **state)
{
	(void)state;
	/* Goal: a broker that is stopped before it has opened its partitions neither forgets their
	 * rows nor calls logs clean that nobody has looked at.
	 * Method: a crash, a start that stops at once, another start. Then the same after a clean
	 * stop, which stays one. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs_place place = make(&stand, "t", &old_id);
	struct ot_dirs_row row = row_of(&place, "t", &old_id, 3, 50);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, &row, 1));
	crash(&stand);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, NULL, 0));
	stop_cleanly(&stand);
	place = find(&stand, "t", &old_id);
	assert_false(place.is_clean);
	assert_int_equal(place.start_offset, 3);
	assert_int_equal(place.recovery_point, 50);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, &row, 1));
	stop_cleanly(&stand);
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, NULL, 0));
	stop_cleanly(&stand);
	place = find(&stand, "t", &old_id);
	assert_true(place.is_clean);
	assert_int_equal(place.start_offset, 3);
	close_stand(&stand);
}

static void
test_rows_of_another_directory(void **state)
{
	(void)state;
	/* Goal: rows count for the folder in their own directory only, whichever is read first.
	 * Method: the folder in one directory, rows of its name in the other. */
	for (int with_folder = 0; with_folder < 2; with_folder++) {
		struct stand stand;
		open_stand(&stand);
		const char *folder = two_paths[with_folder];
		const char *other = two_paths[1 - with_folder];
		char path[64];
		snprintf(path, sizeof(path), "%s/t-0", folder);
		assert_ok(ot_fs_mkdir(stand.fs, path));
		assert_ok(ot_partition_metadata_write(stand.fs, path, &old_id));
		const struct ot_checkpoint_row row = { OT_STR_LIT("t"), 0, 900 };
		assert_ok(ot_checkpoint_write(stand.fs, other, OT_CHECKPOINT_LOG_START, &row, 1));
		assert_ok(
		    ot_checkpoint_write(stand.fs, other, OT_CHECKPOINT_RECOVERY_POINT, &row, 1));
		ot_dirs_close(stand.dirs);
		assert_ok(try_open(&stand, 1, 2));
		struct ot_dirs_place place = find(&stand, "t", &old_id);
		assert_true(place.is_found);
		assert_string_equal(place.path, path);
		assert_int_equal(place.start_offset, 0);
		assert_int_equal(place.recovery_point, 0);
		close_stand(&stand);
	}
}

static void
test_leftovers(void **state)
{
	(void)state;
	/* Goal: folders that a stop kept from being removed go at the next start; strays and
	 * folders that are no partition's stay, and so does a second folder of one name. */
	struct stand stand;
	open_stand(&stand);
	assert_ok(ot_fs_mkdir(stand.fs, "/a/t-0.00112233445566778899aabbccddeeff-delete"));
	assert_ok(ot_fs_mkdir(stand.fs, "/a/t-1.00112233445566778899aabbccddeeff-stray"));
	assert_ok(ot_fs_mkdir(stand.fs, "/a/lost+found"));
	assert_ok(ot_fs_mkdir(stand.fs, "/a/t-0"));
	assert_ok(ot_fs_mkdir(stand.fs, "/b/t-0"));
	ot_dirs_close(stand.dirs);
	assert_ok(try_open(&stand, 1, 2));
	struct ot_fs_stat stat;
	assert_int_equal(
	    ot_fs_stat(stand.fs, "/a/t-0.00112233445566778899aabbccddeeff-delete", &stat),
	    OT_ERR_NOT_FOUND);
	assert_ok(ot_fs_stat(stand.fs, "/a/t-1.00112233445566778899aabbccddeeff-stray", &stat));
	assert_ok(ot_fs_stat(stand.fs, "/a/lost+found", &stat));
	assert_ok(ot_fs_stat(stand.fs, "/b/t-0", &stat));
	struct ot_dirs_place place = find(&stand, "t", &old_id);
	assert_string_equal(place.path, "/a/t-0");
	close_stand(&stand);
}

static bool
take_stray(void *arg, struct ot_str topic, int32_t index, size_t dir)
{
	struct ot_text *seen = arg;
	ot_text_put(seen, "%.*s-%d@%zu ", OT_STR_ARG(topic), index, dir);
	return !ot_str_is(topic, "other");
}

static void
test_strays(void **state)
{
	(void)state;
	/* Goal: folders with an id that nobody has claimed are strays, those without one are not;
	 * one that was taken is told once, and its rows are forgotten. Method: three topics, of
	 * which the next start knows one. */
	struct stand stand;
	open_stand(&stand);
	struct ot_dirs_place places[2] = { make(&stand, "gone", &old_id),
		make(&stand, "here", &new_id) };
	const struct ot_dirs_row rows[] = { row_of(&places[0], "gone", &old_id, 30, 50),
		row_of(&places[1], "here", &new_id, 1, 2) };
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, rows, 2));
	assert_ok(ot_fs_mkdir(stand.fs, "/b/bare-0"));
	stop_cleanly(&stand);
	find(&stand, "here", &new_id);
	char names[100] = "";
	struct ot_text seen = OT_TEXT(names);
	ot_dirs_visit_strays(stand.dirs, take_stray, &seen);
	assert_string_equal(names, "gone-0@0 ");
	ot_dirs_visit_strays(stand.dirs, take_stray, &seen);
	assert_string_equal(names, "gone-0@0 ");
	char *moved = NULL;
	assert_ok(ot_dirs_give_up(stand.dirs, places[0].dir, places[0].path, OT_PARTITION_STRAY,
	    &new_id, &moved));
	assert_non_null(strstr(moved, "-stray"));
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, rows + 1, 1));
	stop_cleanly(&stand);
	struct ot_fs_stat stat;
	assert_ok(ot_fs_stat(stand.fs, moved, &stat));
	ot_free(moved);
	struct ot_dirs_place again = find(&stand, "gone", &old_id);
	assert_false(again.is_found);
	assert_int_equal(again.start_offset, 0);
	close_stand(&stand);
}

static void
test_moving_in(void **state)
{
	(void)state;
	/* Goal: a copy that is taken in is the partition's folder at the next start, once the old
	 * one is given up; until it is taken in a start removes it; what a crash left in its place
	 * is no hindrance. Method: a crash before each step. */
	struct stand stand;
	char future[1024], target[1024];
	char *moved = NULL;
	open_stand(&stand);
	struct ot_dirs_place place = make(&stand, "t", &old_id);
	size_t dir = 1 - place.dir;
	ot_dirs_future_path(stand.dirs, dir, OT_STR_LIT("t"), 0, &new_id, future, sizeof(future));
	snprintf(target, sizeof(target), "%s/t-0", two_paths[dir]);
	struct ot_fs_stat stat;
	for (int step = 0; step < 3; step++) {
		assert_ok(ot_fs_mkdir(stand.fs, future));
		assert_ok(ot_partition_metadata_write(stand.fs, future, &old_id));
		assert_ok(ot_fs_sync_dir(stand.fs, two_paths[dir]));
		if (step > 0)
			assert_ok(ot_dirs_take_in(stand.dirs, dir, future, target));
		if (step > 1)
			assert_ok(ot_dirs_give_up(stand.dirs, place.dir, place.path,
			    OT_PARTITION_DELETED, &new_id, &moved));
		crash(&stand);
		assert_int_equal(ot_fs_stat(stand.fs, future, &stat), OT_ERR_NOT_FOUND);
		struct ot_dirs_place found = find(&stand, "t", &old_id);
		assert_true(found.is_found);
		assert_true(ot_uuid_equal(&found.topic_id, &old_id));
		if (step != 1)
			assert_int_equal(found.dir, step == 0 ? place.dir : dir);
	}
	assert_int_equal(ot_fs_stat(stand.fs, moved, &stat), OT_ERR_NOT_FOUND);
	ot_free(moved);
	close_stand(&stand);
}

static void
test_failed_at_the_start(void **state)
{
	(void)state;
	/* Goal: a directory that cannot be read is left out while there is another: it gets nothing
	 * new, its checkpoints are not touched, and who asks for one that is not here is told that
	 * it may be that. Without any other nothing is opened. Method: one of two fails, then both.
	 */
	struct stand stand;
	struct ot_dirs_place place;
	struct ot_arena arena;
	struct ot_uuid *ids, own, strange = { { 0x33 } };
	int32_t count;
	size_t dir = 0;
	open_stand(&stand);
	own = ot_dirs_id(stand.dirs, 1);
	crash(&stand);
	ot_dirs_close(stand.dirs);
	ot_sim_disk_lose(stand.disk, "/b");
	assert_ok(try_open(&stand, 1, 2));
	assert_true(ot_dirs_has_failed(stand.dirs, 1));
	assert_false(ot_dirs_has_failed(stand.dirs, 0));
	assert_string_equal(ot_dirs_path(stand.dirs, 1), "/b");
	assert_int_equal(ot_dirs_last_epoch(stand.dirs), -1);
	ot_arena_init(&arena, 0);
	ot_dirs_ids(stand.dirs, false, &arena, &ids, &count);
	assert_int_equal(count, 1);
	ot_dirs_ids(stand.dirs, true, &arena, &ids, &count);
	assert_int_equal(count, 0); /* nobody could read which it is */
	ot_arena_fini(&arena);
	for (int32_t i = 0; i < 4; i++) {
		ot_dirs_find(stand.dirs, OT_STR_LIT("t"), &new_id, i, &place);
		assert_int_equal(place.dir, 0);
	}
	assert_true(ot_dirs_is_missing(stand.dirs, &own, &dir));
	assert_int_equal(dir, 1);
	assert_true(ot_dirs_is_missing(stand.dirs, &strange, &dir));
	own = ot_dirs_id(stand.dirs, 0);
	assert_false(ot_dirs_is_missing(stand.dirs, &own, &dir));
	assert_ok(ot_dirs_write_checkpoints(stand.dirs, NULL, 0));
	assert_ok(ot_dirs_mark_clean(stand.dirs, 0, 5));
	assert_ok(ot_dirs_mark_clean(stand.dirs, 1, 5));
	ot_dirs_close(stand.dirs);
	stand.dirs = NULL;
	assert_int_equal(try_open(&stand, 1, 1), OT_OK);
	ot_dirs_close(stand.dirs);
	stand.dirs = NULL;
	ot_sim_disk_fail_at(stand.disk, OT_SIM_ANY, 1, OT_ERR_IO, true);
	assert_int_equal(try_open(&stand, 1, 2), OT_ERR_IO);
	assert_true(stand.why.text[0] != '\0');
	ot_sim_disk_fail_at(stand.disk, OT_SIM_ANY, 0, OT_OK, false);
	ot_sim_disk_lose(stand.disk, NULL);
	assert_ok(try_open(&stand, 1, 2));
	close_stand(&stand);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_placement_and_return),
		cmocka_unit_test(test_last_epoch),
		cmocka_unit_test(test_foreign_directories),
		cmocka_unit_test(test_folder_of_a_deleted_topic),
		cmocka_unit_test(test_rows_of_a_topic_made_again),
		cmocka_unit_test(test_stop_before_anything_was_opened),
		cmocka_unit_test(test_rows_of_another_directory),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_moving_in),
		cmocka_unit_test(test_failed_at_the_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
