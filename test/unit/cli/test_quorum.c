/* What kafka-metadata-quorum prints, in the words and columns of Kafka's tool. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/quorum_int.h"

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

static struct ot_describe_quorum_response_replica_state voters[] = {
	{ .replica_id = 3000,
	    .log_end_offset = 100,
	    .last_fetch_timestamp = 5000,
	    .last_caught_up_timestamp = 5000 },
	{ .replica_id = 1,
	    .replica_directory_id = { { 1 } },
	    .log_end_offset = 90,
	    .last_fetch_timestamp = 4900,
	    .last_caught_up_timestamp = 4200 },
};
static struct ot_describe_quorum_response_replica_state observers[] = {
	{ .replica_id = 7,
	    .log_end_offset = -1,
	    .last_fetch_timestamp = -1,
	    .last_caught_up_timestamp = -1 },
};
static struct ot_describe_quorum_response_listener listeners[] = {
	{ .name = OT_STR_LIT("C"), .host = OT_STR_LIT("one"), .port = 1234 },
	{ .name = OT_STR_LIT("D"), .host = OT_STR_LIT("::1"), .port = 65535 },
};
static struct ot_describe_quorum_response_node nodes[] = {
	{ .node_id = 1, .listeners = listeners, .listeners_count = 2 },
};
static struct ot_describe_quorum_response_partition partition = {
	.leader_id = 3000,
	.leader_epoch = 4,
	.high_watermark = 99,
	.current_voters = voters,
	.current_voters_count = 2,
	.observers = observers,
	.observers_count = 1,
};
static struct ot_describe_quorum_response_topic topic = {
	.partitions = &partition,
	.partitions_count = 1,
};
static const struct ot_describe_quorum_response response = {
	.topics = &topic,
	.topics_count = 1,
	.nodes = nodes,
	.nodes_count = 1,
};

static void
test_status(void **state)
{
	(void)state;
	const struct ot_describe_quorum_response_partition *quorum =
	    cli_quorum_check(&cli, &response);
	assert_ptr_equal(quorum, &partition);
	cli_quorum_print_status(OT_STR_LIT("abc"), &response, quorum, out);
	assert_string_equal(printed(),
	    "ClusterId:              abc\n"
	    "LeaderId:               3000\n"
	    "LeaderEpoch:            4\n"
	    "HighWatermark:          99\n"
	    "MaxFollowerLag:         10\n"
	    "MaxFollowerLagTimeMs:   800\n"
	    "CurrentVoters:          [{\"id\": 3000}, {\"id\": 1, \"directoryId\": "
	    "\"AQAAAAAAAAAAAAAAAAAAAA\", \"endpoints\": [\"C://one:1234\", "
	    "\"D://[::1]:65535\"]}]\n"
	    "CurrentObservers:       [{\"id\": 7}]\n");
}

static void
test_replication(void **state)
{
	(void)state;
	cli_quorum_print_replication(&cli, &partition, -1, out);
	assert_string_equal(printed(),
	    "NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\t"
	    "LastCaughtUpTimestamp\tStatus  \t\n"
	    "3000  \tAAAAAAAAAAAAAAAAAAAAAA\t100         \t0  \t5000              \t"
	    "5000                 \tLeader  \t\n"
	    "1     \tAQAAAAAAAAAAAAAAAAAAAA\t90          \t10 \t4900              \t"
	    "4200                 \tFollower\t\n"
	    "7     \tAAAAAAAAAAAAAAAAAAAAAA\t-1          \t101\t-1                \t"
	    "-1                   \tObserver\t\n");
}

static void
test_ages(void **state)
{
	(void)state;
	partition.observers_count = 0;
	cli_quorum_print_replication(&cli, &partition, 5500, out);
	partition.observers_count = 1;
	assert_non_null(strstr(printed(), "\t600 ms ago        \t1300 ms ago          \t"));
}

/* Goal: an error of the answer or of the partition, and a quorum without a leader, are told. */
static void
test_errors(void **state)
{
	(void)state;
	struct ot_describe_quorum_response failed = response;
	failed.error_code = OT_ERR_CLUSTER_AUTHORIZATION_FAILED;
	assert_null(cli_quorum_check(&cli, &failed));
	assert_string_equal(cli.why.text, ot_err_message(OT_ERR_CLUSTER_AUTHORIZATION_FAILED));
	partition.error_code = OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
	assert_null(cli_quorum_check(&cli, &response));
	partition.error_code = 0;
	partition.leader_id = -1;
	assert_null(cli_quorum_check(&cli, &response));
	assert_string_equal(cli.why.text, "the metadata quorum has no leader at the moment");
	partition.leader_id = 3000;
}

int
main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_status),
		ROW(test_replication),
		ROW(test_ages),
		ROW(test_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
