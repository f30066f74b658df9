#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/topics_int.h"
#include "config/def.h"

static int32_t one_two[] = { 1, 2 };
static int32_t one[] = { 1 };
static int32_t two[] = { 2 };
static int32_t three[] = { 3 };

static const struct cli_reassignment moving = { { three, 1 }, { one, 1 } };

#define REPLICAS(array)                      \
	{                                    \
		array, OT_ARRAY_COUNT(array) \
	}
#define NONE            \
	{               \
		NULL, 0 \
	}
#define NOT_TOLD         \
	{                \
		NULL, -1 \
	}

static struct cli_partition partitions[] = {
	{ .index = 0,
	    .leader = 1,
	    .replicas = REPLICAS(one_two),
	    .isr = REPLICAS(one_two),
	    .elr = NONE,
	    .last_elr = NONE },
	{ .index = 1,
	    .leader = -1,
	    .replicas = REPLICAS(one_two),
	    .isr = REPLICAS(one),
	    .elr = REPLICAS(two),
	    .last_elr = NOT_TOLD },
	{ .index = 2,
	    .leader = 3,
	    .replicas = REPLICAS(one_two),
	    .isr = REPLICAS(two),
	    .elr = NOT_TOLD,
	    .last_elr = NOT_TOLD,
	    .reassignment = &moving },
};

static struct cli_setting settings[] = {
	{ OT_STR_LIT("retention.ms"), OT_STR_LIT("1000"), OT_SOURCE_TOPIC },
	{ OT_STR_LIT("segment.bytes"), OT_STR_LIT("1073741824"), OT_SOURCE_STATIC },
};

static struct cli_topic items[] = {
	{ .name = OT_STR_LIT("plain"),
	    .partitions = partitions,
	    .partition_count = 1,
	    .settings = settings + 1,
	    .setting_count = 1,
	    .min_isr = 1 },
	{ .name = OT_STR_LIT("set"),
	    .id = { { 1 } },
	    .partitions = partitions,
	    .partition_count = 3,
	    .settings = settings,
	    .setting_count = 2,
	    .min_isr = 1 },
};

static const struct cli_topics topics = { items, 2, REPLICAS(one_two) };

static void
assert_printed(const struct cli_topics_wanted *wanted, bool is_of_old, const char *expected)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	cli_topics_print(wanted, &topics, is_of_old, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

/* Goal: today's form, to the tab. Method: golden text. */
static void
test_today(void **state)
{
	(void)state;
	const struct cli_topics_wanted wanted = { .limit = 1 };
	assert_printed(&wanted, false,
	    "Topic: plain\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: "
	    "segment.bytes=1073741824\n"
	    "\tTopic: plain\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: "
	    "\tLastKnownElr: "
	    "\n"
	    "Topic: set\tTopicId: AQAAAAAAAAAAAAAAAAAAAA\tPartitionCount: 3\tReplicationFactor: 2"
	    "\tConfigs: retention.ms=1000,segment.bytes=1073741824\n"
	    "\tTopic: set\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: \tLastKnownElr: "
	    "\n"
	    "\tTopic: set\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 1\tElr: "
	    "2\tLastKnownElr: "
	    "N/A\n"
	    "\tTopic: set\tPartition: 2\tLeader: 3\tReplicas: 1,2\tIsr: 2\tAdding Replicas: 3"
	    "\tRemoving Replicas: 1\tElr: N/A\tLastKnownElr: N/A\n");
}

/* Goal: the form of Kafka 0.11, which knew only a topic's own settings. */
static void
test_of_old(void **state)
{
	(void)state;
	const struct cli_topics_wanted wanted = { .limit = 1 };
	assert_printed(&wanted, true,
	    "Topic:plain\tPartitionCount:1\tReplicationFactor:2\tConfigs:\n"
	    "\tTopic: plain\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"
	    "Topic:set\tPartitionCount:3\tReplicationFactor:2\tConfigs:retention.ms=1000\n"
	    "\tTopic: set\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"
	    "\tTopic: set\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 1\n"
	    "\tTopic: set\tPartition: 2\tLeader: 3\tReplicas: 1,2\tIsr: 2\n");
}

/* Goal: each filter shows the partitions that it is about, and no others. */
static void
test_filters(void **state)
{
	(void)state;
	const struct cli_topics_wanted overridden = { .only_overridden = true };
	const struct cli_topics_wanted under = { .under_replicated = true };
	const struct cli_topics_wanted unavailable = { .unavailable = true };
	const struct cli_topics_wanted at_min = { .at_min_isr = true };
	const struct cli_topics_wanted under_min = { .under_min_isr = true };
	const char *first = "\tTopic: set\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 1\n";
	assert_printed(&overridden, true,
	    "Topic:set\tPartitionCount:3\tReplicationFactor:2\tConfigs:retention.ms=1000\n");
	assert_printed(&under_min, true, first);
	char both[400];
	snprintf(both, sizeof(both),
	    "%s\tTopic: set\tPartition: 2\tLeader: 3\tReplicas: 1,2\tIsr: 2\n", first);
	assert_printed(&unavailable, true, both); /* no leader, and one that is not alive */
	assert_printed(&at_min, true, both);
	/* Partition 2 loses replica 1 and gains 3: one of its two is the target, and in sync. */
	assert_printed(&under, true, first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_today),
		cmocka_unit_test(test_of_old),
		cmocka_unit_test(test_filters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
