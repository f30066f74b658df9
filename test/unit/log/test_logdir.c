/* Goal: a log directory belongs to one process, one broker and one cluster, its files are Kafka's
 * of every age, and what is in them is read back or refused with a reason. */
#include "kit.h"

#include "log/atomic_int.h"
#include "log/logdir.h"

#include <stdio.h>

struct dir {
	struct kit kit;
	struct ot_logdir *logdir;
	struct ot_logdir_open_args args;
	struct ot_why why;
};

static void
init(struct dir *dir)
{
	*dir = (struct dir){ .logdir = NULL };
	kit_init(&dir->kit, NULL);
	/* Files of the directory itself are what the kit then reads and writes. */
	memcpy(dir->kit.dir, dir->kit.root, sizeof(dir->kit.root));
	dir->args = (struct ot_logdir_open_args){
		.fs = dir->kit.fs,
		.path = dir->kit.root,
		.node_id = 3,
		.new_cluster_id = "MkU3OEVBNTcwNTJENDM2Qk",
		.directory_id = { { 0x12, 0x34 } },
	};
}

static ot_err
open_dir(struct dir *dir)
{
	dir->why.text[0] = '\0';
	return ot_logdir_open(&dir->args, &dir->logdir, &dir->why);
}

static void
close_dir(struct dir *dir)
{
	ot_logdir_close(dir->logdir);
	dir->logdir = NULL;
}

static void
fini(struct dir *dir)
{
	close_dir(dir);
	kit_fini(&dir->kit);
}

static void
put(struct dir *dir, const char *name, const char *text)
{
	kit_write_file(&dir->kit, name, text, strlen(text));
}

static void
expect(struct dir *dir, const char *name, const char *text)
{
	struct ot_writer found;
	kit_read_file(&dir->kit, name, &found);
	assert_int_equal(found.bytes, strlen(text));
	assert_memory_equal(found.data, text, found.bytes);
	ot_writer_fini(&found);
}

/* ---- whose it is --------------------------------------------------------------------------- */

static void
test_a_new_directory_is_formatted(void **state)
{
	(void)state;
	struct dir dir;
	init(&dir);
	assert_ok(open_dir(&dir));
	expect(&dir, "meta.properties",
	    "#\nversion=1\nnode.id=3\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n"
	    "directory.id=EjQAAAAAAAAAAAAAAAAAAA\n");
	assert_int_equal(ot_logdir_meta(dir.logdir)->node_id, 3);
	struct ot_logdir *second = NULL;
	assert_int_equal(ot_logdir_open(&dir.args, &second, &dir.why), OT_ERR_EXISTS);
	close_dir(&dir);
	/* Its ids stay, whatever a new one would get. */
	dir.args.new_cluster_id = "other";
	dir.args.directory_id.bytes[0] = 9;
	assert_ok(open_dir(&dir));
	assert_string_equal(ot_logdir_meta(dir.logdir)->cluster_id, "MkU3OEVBNTcwNTJENDM2Qk");
	assert_int_equal(ot_logdir_meta(dir.logdir)->directory_id.bytes[0], 0x12);
	fini(&dir);
}

static void
test_directories_of_others_are_refused(void **state)
{
	(void)state;
	struct dir dir;
	init(&dir);
	assert_ok(open_dir(&dir));
	close_dir(&dir);
	dir.args.node_id = 4;
	assert_int_equal(open_dir(&dir), OT_ERR_INVALID_CONFIG);
	assert_non_null(strstr(dir.why.text, "node.id 3"));
	assert_non_null(strstr(dir.why.text, "node.id 4"));
	dir.args.node_id = 3;
	dir.args.cluster_id = "another";
	assert_int_equal(open_dir(&dir), OT_ERR_INCONSISTENT_CLUSTER_ID);
	assert_non_null(strstr(dir.why.text, "another"));
	assert_non_null(strstr(dir.why.text, "MkU3OEVBNTcwNTJENDM2Qk"));
	dir.args.cluster_id = "MkU3OEVBNTcwNTJENDM2Qk";
	assert_ok(open_dir(&dir));
	fini(&dir);
}

static void
test_kafkas_own_files(void **state)
{
	(void)state;
	struct dir dir;
	init(&dir);
	put(&dir, "meta.properties", "#\n#Thu Nov 23 10:11:12 UTC 2017\nversion=0\nbroker.id=3\n");
	assert_ok(open_dir(&dir));
	assert_string_equal(ot_logdir_meta(dir.logdir)->cluster_id, "MkU3OEVBNTcwNTJENDM2Qk");
	close_dir(&dir);
	put(&dir, "meta.properties",
	    "#\n#Thu Nov 23 10:11:12 UTC 2023\ncluster.id=abcDEF-_\nversion=1\n"
	    "directory.id=EjQAAAAAAAAAAAAAAAAAAQ\nnode.id=3\n");
	assert_ok(open_dir(&dir));
	assert_string_equal(ot_logdir_meta(dir.logdir)->cluster_id, "abcDEF-_");
	assert_int_equal(ot_logdir_meta(dir.logdir)->directory_id.bytes[15], 1);
	close_dir(&dir);
	static const char *const wrong[] = { "version=2\nnode.id=3\n", "node.id=3\n", "version=x\n",
		"version=1\nnode.id=99999999999\n", "version=1\nnonsense\n",
		"version=1\ndirectory.id=short\n" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(wrong); i++) {
		put(&dir, "meta.properties", wrong[i]);
		assert_int_equal(open_dir(&dir), OT_ERR_CORRUPT_FILE);
		assert_true(strlen(dir.why.text) > 0);
	}
	fini(&dir);
}

/* ---- clean stops --------------------------------------------------------------------------- */

static void
test_clean_stops(void **state)
{
	(void)state;
	struct dir dir;
	struct ot_logdir_stop stop;
	init(&dir);
	assert_ok(open_dir(&dir));
	assert_ok(ot_logdir_take_stop(dir.logdir, &stop));
	assert_false(stop.was_clean);
	assert_ok(ot_logdir_put_stop(dir.logdir, 42));
	expect(&dir, ".kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":42}");
	assert_ok(ot_logdir_take_stop(dir.logdir, &stop));
	assert_true(stop.was_clean);
	assert_int_equal(stop.broker_epoch, 42);
	assert_ok(ot_logdir_take_stop(dir.logdir, &stop));
	assert_false(stop.was_clean);
	put(&dir, ".kafka_cleanshutdown", "");
	assert_ok(ot_logdir_take_stop(dir.logdir, &stop));
	assert_true(stop.was_clean);
	assert_int_equal(stop.broker_epoch, -1);
	put(&dir, ".kafka_cleanshutdown", "{ \"brokerEpoch\" : -1, \"version\" : 0 }");
	assert_ok(ot_logdir_take_stop(dir.logdir, &stop));
	assert_true(stop.was_clean);
	assert_int_equal(stop.broker_epoch, -1);
	fini(&dir);
}

static void
test_runs(void **state)
{
	(void)state;
	/* Goal: the mark of a run is read as it was written, and one that a crash has torn is told
	 * from one that is whole. */
	static const char *const torn[] = { "", "\n", "17", "17 ", "17 \n", "17 boot-1",
		"x boot-1\n", " boot-1\n" };
	struct dir dir;
	struct ot_logdir_run run = { .broker_epoch = 17, .boot_id = "boot-1" }, got;
	init(&dir);
	assert_ok(open_dir(&dir));
	assert_int_equal(ot_logdir_read_run(dir.logdir, &got), OT_ERR_NOT_FOUND);
	assert_ok(ot_logdir_put_run(dir.logdir, &run));
	expect(&dir, ".ottla_run", "17 boot-1\n");
	assert_ok(ot_logdir_read_run(dir.logdir, &got));
	assert_int_equal(got.broker_epoch, 17);
	assert_string_equal(got.boot_id, "boot-1");
	for (size_t i = 0; i < OT_ARRAY_COUNT(torn); i++) {
		put(&dir, ".ottla_run", torn[i]);
		assert_int_equal(ot_logdir_read_run(dir.logdir, &got), OT_ERR_CORRUPT_FILE);
	}
	assert_ok(ot_logdir_drop_run(dir.logdir));
	assert_ok(ot_logdir_drop_run(dir.logdir));
	assert_int_equal(ot_logdir_read_run(dir.logdir, &got), OT_ERR_NOT_FOUND);
	fini(&dir);
}

/* ---- partitions ---------------------------------------------------------------------------- */

static void
expect_name(const char *name, enum ot_partition_dir_kind kind, const char *topic, int32_t partition)
{
	struct ot_partition_dir dir;
	assert_true(ot_partition_dir_parse(name, &dir));
	assert_int_equal(dir.kind, kind);
	assert_true(ot_str_is(dir.topic, topic));
	assert_int_equal(dir.partition, partition);
}

static void
test_names_of_partitions(void **state)
{
	(void)state;
	static const char *const wrong[] = { "topic", "topic-", "-0", "topic-x",
		"topic-99999999999", "topic-0-delete", "topic.id-delete", "lost+found", "",
		"topic-1.ab-deleted" };
	struct ot_partition_dir dir;
	struct ot_uuid id = { { 0xab, 0xcd, 0x01 } };
	char name[OT_LOGDIR_NAME_BYTES_MAX + 1];
	expect_name("topic-0", OT_PARTITION_LIVE, "topic", 0);
	expect_name("my-topic.v1-delete-17", OT_PARTITION_LIVE, "my-topic.v1-delete", 17);
	expect_name("a.b-2.0123456789abcdef0123456789abcdef-delete", OT_PARTITION_DELETED, "a.b",
	    2);
	expect_name("t-2.0123456789abcdef0123456789abcdef-future", OT_PARTITION_FUTURE, "t", 2);
	expect_name("t-2.0123456789abcdef0123456789abcdef-stray", OT_PARTITION_STRAY, "t", 2);
	for (size_t i = 0; i < OT_ARRAY_COUNT(wrong); i++)
		assert_false(ot_partition_dir_parse(wrong[i], &dir));
	dir = (struct ot_partition_dir){ .topic = OT_STR_LIT("a-b"), .partition = 12 };
	ot_partition_dir_name(&dir, NULL, name);
	assert_string_equal(name, "a-b-12");
	dir.kind = OT_PARTITION_DELETED;
	ot_partition_dir_name(&dir, &id, name);
	assert_string_equal(name, "a-b-12.abcd0100000000000000000000000000-delete");
	char topic[OT_TOPIC_NAME_BYTES_MAX];
	memset(topic, 'x', sizeof(topic));
	dir.topic = (struct ot_str){ topic, sizeof(topic) };
	ot_partition_dir_name(&dir, &id, name);
	assert_int_equal(strlen(name), OT_LOGDIR_NAME_BYTES_MAX);
	assert_true(ot_partition_dir_parse(name, &dir));
	assert_int_equal(dir.kind, OT_PARTITION_DELETED);
	assert_int_equal(dir.partition, 12);
}

static ot_err
count_dir(void *arg, const char *name, const struct ot_partition_dir *dir)
{
	(void)name;
	int *counts = arg;
	counts[dir->kind]++;
	return OT_OK;
}

static void
test_list_and_rename(void **state)
{
	(void)state;
	struct dir dir;
	struct ot_uuid id = { { 1, 2, 3 } }, back;
	int counts[4] = { 0 };
	char path[200];
	init(&dir);
	assert_ok(open_dir(&dir));
	snprintf(path, sizeof(path), "%s/topic-0", dir.kit.root);
	assert_ok(ot_fs_mkdir(dir.kit.fs, path));
	assert_int_equal(ot_partition_metadata_read(dir.kit.fs, path, &back), OT_ERR_NOT_FOUND);
	assert_ok(ot_partition_metadata_write(dir.kit.fs, path, &id));
	assert_ok(ot_partition_metadata_read(dir.kit.fs, path, &back));
	assert_true(ot_uuid_equal(&id, &back));
	expect(&dir, "topic-0/partition.metadata",
	    "version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA\n");
	put(&dir, "topic-0/partition.metadata", "version: 1\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA\n");
	assert_int_equal(ot_partition_metadata_read(dir.kit.fs, path, &back), OT_ERR_CORRUPT_FILE);
	assert_ok(ot_logdir_list(dir.logdir, count_dir, counts));
	assert_int_equal(counts[OT_PARTITION_LIVE], 1);
	assert_ok(ot_logdir_rename(dir.logdir, "topic-0", "topic-0.0a-delete"));
	assert_ok(ot_logdir_list(dir.logdir, count_dir, counts));
	assert_int_equal(counts[OT_PARTITION_LIVE], 1);
	assert_int_equal(counts[OT_PARTITION_DELETED], 1);
	fini(&dir);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static ot_err
add_row(void *arg, const struct ot_checkpoint_row *row)
{
	struct ot_text *text = arg;
	ot_text_put(text, "%.*s/%d=%lld ", OT_STR_ARG(row->topic), row->partition,
	    (long long)row->offset);
	return OT_OK;
}

static void
test_checkpoints(void **state)
{
	(void)state;
	static const char *const wrong[] = { "", "1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n",
		"0\n1\na b 1\n", "0\n1\na 0 1\nb 0 1\n", "0\n1\na -1 5\n", "0\n1\na 0 -5\n" };
	const struct ot_checkpoint_row rows[] = {
		{ OT_STR_LIT("topic"), 0, 123 },
		{ OT_STR_LIT("__consumer_offsets"), 49, 9223372036854775807 },
	};
	char seen[200] = "";
	struct ot_text text = OT_TEXT(seen);
	struct dir dir;
	init(&dir);
	const char *name = ot_checkpoint_name(OT_CHECKPOINT_REPLICATION);
	assert_ok(ot_checkpoint_read(dir.kit.fs, dir.kit.root, OT_CHECKPOINT_REPLICATION, add_row,
	    &text, &dir.why));
	assert_ok(
	    ot_checkpoint_write(dir.kit.fs, dir.kit.root, OT_CHECKPOINT_REPLICATION, rows, 2));
	expect(&dir, "replication-offset-checkpoint",
	    "0\n2\ntopic 0 123\n__consumer_offsets 49 9223372036854775807\n");
	assert_ok(ot_checkpoint_read(dir.kit.fs, dir.kit.root, OT_CHECKPOINT_REPLICATION, add_row,
	    &text, &dir.why));
	assert_string_equal(seen, "topic/0=123 __consumer_offsets/49=9223372036854775807 ");
	for (size_t i = 0; i < OT_ARRAY_COUNT(wrong); i++) {
		put(&dir, name, wrong[i]);
		assert_int_equal(ot_checkpoint_read(dir.kit.fs, dir.kit.root,
				     OT_CHECKPOINT_REPLICATION, add_row, &text, &dir.why),
		    OT_ERR_CORRUPT_FILE);
		assert_non_null(strstr(dir.why.text, name));
	}
	assert_ok(ot_checkpoint_write(dir.kit.fs, dir.kit.root, OT_CHECKPOINT_LOG_START, NULL, 0));
	expect(&dir, "log-start-offset-checkpoint", "0\n0\n");
	fini(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_directory_is_formatted),
		cmocka_unit_test(test_directories_of_others_are_refused),
		cmocka_unit_test(test_kafkas_own_files),
		cmocka_unit_test(test_clean_stops),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_names_of_partitions),
		cmocka_unit_test(test_list_and_rename),
		cmocka_unit_test(test_checkpoints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
