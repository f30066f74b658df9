/* Reassignments: what a file may say, which throttles follow from it, how replicas are spread.
 * Expected texts are those of Kafka's tool. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/elections_int.h"
#include "cli/reassign_int.h"

static char *text;
static size_t text_bytes;
static FILE *out;
static struct cli cli;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&cli.arena, 0);
	out = open_memstream(&text, &text_bytes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fclose(out);
	free(text);
	ot_arena_fini(&cli.arena);
	return 0;
}

static const char *
printed(void)
{
	fflush(out);
	return text;
}

static json_t *
parse(const char *json)
{
	json_error_t error;
	json_t *root = json_loads(json, 0, &error);
	assert_non_null(root);
	return root;
}

/* Reads and checks; gives what is wrong. */
static const char *
read_targets(const char *json, struct cli_targets *ret_targets)
{
	json_t *root = parse(json);
	const char *mistake = cli_targets_read(&cli, root, ret_targets);
	json_decref(root);
	return mistake != NULL ? mistake : cli_targets_check(&cli, ret_targets);
}

/* ---- the file ------------------------------------------------------------------------------ */

static void
test_file(void **state)
{
	(void)state;
	struct cli_targets targets;
	assert_null(read_targets("{\"version\":1,\"partitions\":["
				 "{\"topic\":\"u\",\"partition\":3,\"replicas\":[2,1]},"
				 "{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2],"
				 "\"log_dirs\":[\"any\",\"/d\"]}]}",
	    &targets));
	assert_int_equal(targets.count, 2);
	assert_int_equal(targets.items[1].name.index, 3); /* sorted by the check */
	cli_targets_print(&targets, true, out);
	assert_string_equal(printed(),
	    "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2],"
	    "\"log_dirs\":[\"any\",\"/d\"]},{\"topic\":\"u\",\"partition\":3,\"replicas\":[2,1],"
	    "\"log_dirs\":[\"any\",\"any\"]}]}");
	struct cli_dir_moves moves;
	cli_dir_moves_make(&cli, &targets, &moves);
	assert_int_equal(moves.count, 1);
	assert_int_equal(moves.items[0].broker, 2);
	assert_string_equal(moves.items[0].target, "/d");
}

static void
test_file_of_old(void **state)
{
	(void)state;
	struct cli_targets targets;
	assert_null(read_targets(
	    "{\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1]}]}", &targets));
	cli_targets_print(&targets, false, out);
	assert_string_equal(printed(),
	    "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1]}]}");
}

#define PARTITION(rest) "{\"partitions\":[{\"topic\":\"t\",\"partition\":0," rest "}]}"

static void
test_file_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		const char *message;
	} rows[] = {
		{ "{\"version\":2,\"partitions\":[]}", "Not supported version field value 2" },
		{ "{}", "Partition reassignment list cannot be empty" },
		{ PARTITION("\"replicas\":[]"), "Partition replica list cannot be empty" },
		{ PARTITION("\"replicas\":[1,2,1]"),
		    "Partition replica lists may not contain duplicate entries: t-0 contains "
		    "multiple entries for 1" },
		{ PARTITION("\"replicas\":[1,2],\"log_dirs\":[\"any\"]"),
		    "Size of replicas list [1,2] is different from size of log dirs list, 1, for "
		    "partition t-0" },
		{ PARTITION("\"replicas\":[-1]"), "\"replicas\" must be numbers of brokers" },
		{ PARTITION("\"replicas\":[4294967297]"),
		    "\"replicas\" must be numbers of brokers" },
		{ PARTITION("\"replicas\":1"), "Each of \"partitions\" needs \"topic\", "
					       "\"partition\" and \"replicas\"" },
		{ "{\"partitions\":[{\"topic\":\"t\",\"partition\":4294967296,\"replicas\":[1]}]}",
		    "\"partition\" is 4294967296, and must be from 0 to 2147483647" },
		{ "{\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1]},"
		  "{\"topic\":\"t\",\"partition\":0,\"replicas\":[2]}]}",
		    "Partition reassignment contains duplicate topic partitions: t-0" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct cli_targets targets;
		assert_string_equal(read_targets(rows[i].json, &targets), rows[i].message);
	}
}

static void
test_topics(void **state)
{
	(void)state;
	struct ot_str *topics;
	size_t count;
	json_t *root = parse("{\"topics\":[{\"topic\":\"b\"},{\"topic\":\"a\"}],\"version\":1}");
	assert_null(cli_target_topics_read(&cli, root, &topics, &count));
	json_decref(root);
	assert_int_equal(count, 2);
	assert_true(ot_str_is(topics[1], "a"));
	root = parse("{\"topics\":[{\"topic\":\"b\"},{\"topic\":\"b\"}]}");
	assert_string_equal(cli_target_topics_read(&cli, root, &topics, &count),
	    "List of topics to reassign contains duplicate entries: [b]");
	json_decref(root);
}

/* ---- what is under way, and throttles ------------------------------------------------------ */

static int32_t ids_1_2_3[] = { 1, 2, 3 };
static int32_t ids_3[] = { 3 };
static int32_t ids_1[] = { 1 };

static const struct cli_moving moving = {
	.name = { OT_STR_LIT("t"), 1 },
	.replicas = { ids_1_2_3, 3 },
	.adding = { ids_3, 1 },
	.removing = { ids_1, 1 },
};

static void
test_movings(void **state)
{
	(void)state;
	struct cli_moving items[] = { moving };
	const struct cli_movings movings = { items, 1 };
	const struct cli_movings none = { 0 };
	cli_movings_print(&cli, &none, out);
	cli_movings_print(&cli, &movings, out);
	assert_string_equal(printed(), "No partition reassignments found.\n"
				       "Current partition reassignments:\n"
				       "t-1: replicas: 1,2,3. adding: 3. removing: 1.\n");
	const struct cli_partition_name there = { OT_STR_LIT("t"), 1 };
	const struct cli_partition_name away = { OT_STR_LIT("t"), 2 };
	assert_ptr_equal(cli_movings_find(&movings, there), &items[0]);
	assert_null(cli_movings_find(&movings, away));
}

/* Goal: sources are throttled as leaders and only what comes anew as followers; a target that
 * replaces a move keeps the move's sources, and moves of other partitions go on being throttled. */
static void
test_throttles(void **state)
{
	(void)state;
	struct cli_moving items[] = { moving };
	const struct cli_movings movings = { items, 1 };
	struct cli_targets targets, current;
	struct cli_throttles throttles;
	assert_null(read_targets("{\"partitions\":["
				 "{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,5]},"
				 "{\"topic\":\"u\",\"partition\":0,\"replicas\":[6]}]}",
	    &targets));
	assert_null(read_targets("{\"partitions\":["
				 "{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,4]},"
				 "{\"topic\":\"u\",\"partition\":0,\"replicas\":[6]}]}",
	    &current));
	cli_throttles_make(&cli, &movings, &targets, &current, &throttles);
	assert_int_equal(throttles.count, 2);
	assert_string_equal(throttles.items[0].leaders, "0:1,0:4,1:1,1:2");
	assert_string_equal(throttles.items[0].followers, "0:5,1:3");
	assert_string_equal(throttles.items[1].leaders, "0:6");
	assert_string_equal(throttles.items[1].followers, "");
	assert_string_equal(cli_replicas_text(&cli, &throttles.brokers), "1,2,3,4,5,6");

	assert_null(read_targets(
	    "{\"partitions\":[{\"topic\":\"t\",\"partition\":1,\"replicas\":[2,9]}]}", &targets));
	cli_throttles_make(&cli, &movings, &targets, &current, &throttles);
	assert_int_equal(throttles.count, 1);
	assert_string_equal(throttles.items[0].leaders, "1:1,1:2");
	assert_string_equal(throttles.items[0].followers, "1:9");
}

static void
test_dir_moves(void **state)
{
	(void)state;
	struct cli_dir_move items[] = {
		{ 0, { OT_STR_LIT("t"), 0 }, "/a", CLI_DIR_NO_REPLICA, NULL, NULL },
		{ 0, { OT_STR_LIT("t"), 1 }, "/a", CLI_DIR_ACTIVE, "/b", "/a" },
		{ 0, { OT_STR_LIT("t"), 2 }, "/a", CLI_DIR_ACTIVE, "/b", "/c" },
		{ 0, { OT_STR_LIT("t"), 3 }, "/a", CLI_DIR_NOT_MOVING, "/b", NULL },
		{ 0, { OT_STR_LIT("t"), 4 }, "/a", CLI_DIR_DONE, "/a", NULL },
	};
	const struct cli_dir_moves moves = { items, OT_ARRAY_COUNT(items) };
	cli_dir_moves_print(&moves, out);
	assert_string_equal(printed(),
	    "Partition t-0 is not found in any live log dir on broker 0. There is likely an "
	    "offline log directory on the broker.\n"
	    "Reassignment of replica t-1-0 is still in progress.\n"
	    "Partition t-2 on broker 0 is being moved to log dir /c instead of /a.\n"
	    "Partition t-3 on broker 0 is not being moved from log dir /b to /a.\n"
	    "Reassignment of replica t-4-0 completed successfully.\n");
}

/* ---- spreading ----------------------------------------------------------------------------- */

enum { BROKER_COUNT_MAX = 10, PARTITION_COUNT = 12 };

/* Goal: the example of Kafka's documentation: five brokers, ten partitions, three replicas. */
static void
test_spread(void **state)
{
	(void)state;
	static const int32_t expected[10][3] = { { 0, 1, 2 }, { 1, 2, 3 }, { 2, 3, 4 }, { 3, 4, 0 },
		{ 4, 0, 1 }, { 0, 2, 3 }, { 1, 3, 4 }, { 2, 4, 0 }, { 3, 0, 1 }, { 4, 1, 2 } };
	struct cli_assign_broker brokers[5];
	struct cli_replicas partitions[10];
	for (int32_t i = 0; i < 5; i++)
		brokers[i] = (struct cli_assign_broker){ 4 - i, OT_STR_NULL };
	assert_null(cli_assign(&cli, brokers, 5, 10, 3, 0, 0, partitions));
	for (int32_t i = 0; i < 10; i++) {
		assert_int_equal(partitions[i].count, 3);
		assert_memory_equal(partitions[i].brokers, expected[i], sizeof(expected[i]));
	}
	assert_string_equal(cli_assign(&cli, brokers, 5, 1, 6, 0, 0, partitions),
	    "Replication factor: 6 larger than available brokers: 5.");
	assert_null(cli_assign(&cli, brokers, 1, 2, 1, 0, 0, partitions));
}

/* Goal: with as many racks as replicas no two replicas of a partition share a rack, leaders are
 * even, and replicas are even where racks are; for every start and shift. */
static void
test_spread_over_racks(void **state)
{
	(void)state;
	static const char *const racks[] = { "a", "b", "c" };
	for (uint32_t start = 0; start < 6; start++) {
		struct cli_assign_broker brokers[6];
		struct cli_replicas partitions[PARTITION_COUNT];
		int leads[6] = { 0 }, holds[6] = { 0 };
		for (int32_t i = 0; i < 6; i++)
			brokers[i] = (struct cli_assign_broker){ i, ot_str_from(racks[i / 2]) };
		assert_null(
		    cli_assign(&cli, brokers, 6, PARTITION_COUNT, 3, start, 5 - start, partitions));
		for (int32_t i = 0; i < PARTITION_COUNT; i++) {
			int32_t *ids = partitions[i].brokers;
			leads[ids[0]]++;
			for (int32_t k = 0; k < 3; k++)
				holds[ids[k]]++;
			assert_int_not_equal(ids[0] / 2, ids[1] / 2);
			assert_int_not_equal(ids[0] / 2, ids[2] / 2);
			assert_int_not_equal(ids[1] / 2, ids[2] / 2);
		}
		for (int32_t i = 0; i < 6; i++) {
			assert_int_equal(leads[i], PARTITION_COUNT / 6);
			assert_int_equal(holds[i], PARTITION_COUNT * 3 / 6);
		}
	}
}

/* Goal: more replicas than racks, and racks of different sizes: still no broker twice. */
static void
test_spread_over_uneven_racks(void **state)
{
	(void)state;
	struct cli_assign_broker brokers[4] = {
		{ 0, OT_STR_LIT("a") },
		{ 1, OT_STR_LIT("a") },
		{ 2, OT_STR_LIT("a") },
		{ 3, OT_STR_LIT("b") },
	};
	struct cli_replicas partitions[PARTITION_COUNT];
	assert_null(cli_assign(&cli, brokers, 4, PARTITION_COUNT, 3, 2, 1, partitions));
	for (int32_t i = 0; i < PARTITION_COUNT; i++) {
		int32_t *ids = partitions[i].brokers;
		assert_true(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
		assert_true(cli_replicas_have(&partitions[i], 3)); /* rack b is in each */
	}
}

/* ---- elections ----------------------------------------------------------------------------- */

static void
test_election_file(void **state)
{
	(void)state;
	struct cli_offset *items;
	size_t count;
	json_t *root = parse("{\"partitions\":[{\"topic\":\"t\",\"partition\":2},"
			     "{\"topic\":\"t\",\"partition\":1}]}");
	assert_null(cli_election_read(&cli, root, &items, &count));
	json_decref(root);
	assert_int_equal(count, 2);
	assert_int_equal(items[0].partition, 1);
	root = parse("{\"partitions\":[{\"topic\":\"t\",\"partition\":2},"
		     "{\"topic\":\"t\",\"partition\":2}]}");
	assert_string_equal(cli_election_read(&cli, root, &items, &count),
	    "Replica election data contains duplicate partitions: [t-2]");
	json_decref(root);
	root = parse("{}");
	assert_string_equal(cli_election_read(&cli, root, &items, &count),
	    "Replica election data is missing \"partitions\" field");
	json_decref(root);
}

static void
test_election_results(void **state)
{
	(void)state;
	struct cli_election_result items[] = {
		{ OT_STR_LIT("t"), 0, 0, OT_STR_NULL },
		{ OT_STR_LIT("t"), 1, OT_ERR_ELECTION_NOT_NEEDED, OT_STR_LIT("no") },
		{ OT_STR_LIT("t"), 2, 0, OT_STR_NULL },
		{ OT_STR_LIT("t"), 3, OT_ERR_PREFERRED_LEADER_NOT_AVAILABLE, OT_STR_LIT("away") },
	};
	const struct cli_election_results results = { items, OT_ARRAY_COUNT(items) };
	assert_int_equal(cli_election_print(&cli, false, &results, out), 1);
	assert_string_equal(printed(),
	    "Successfully completed leader election (PREFERRED) for partitions t-0, t-2\n"
	    "Valid replica already elected for partitions t-1\n"
	    "Error completing leader election (PREFERRED) for partition: t-3: "
	    "org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: away\n");
	assert_string_equal(cli_error_class(&cli, OT_ERR_INVALID_TOPIC_EXCEPTION),
	    "org.apache.kafka.common.errors.InvalidTopicException");
}

int
main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_file),
		ROW(test_file_of_old),
		ROW(test_file_mistakes),
		ROW(test_topics),
		ROW(test_movings),
		ROW(test_throttles),
		ROW(test_dir_moves),
		ROW(test_spread),
		ROW(test_spread_over_racks),
		ROW(test_spread_over_uneven_racks),
		ROW(test_election_file),
		ROW(test_election_results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
