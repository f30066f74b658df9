#include "../test.h"

#include "cli/offsets_int.h"

static struct ot_metadata_response_partition partitions[] = { { .partition_index = 0 },
	{ .partition_index = 1 }, { .partition_index = 2 } };
static struct ot_metadata_response_topic topics[] = {
	{ .name = { "a", 1 }, .partitions = partitions, .partitions_count = 1 },
	{ .name = { "b", 1 }, .partitions = partitions, .partitions_count = 3 },
};
static const struct ot_metadata_response metadata = { .topics = topics, .topics_count = 2 };

static struct cli cli;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&cli.arena, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_arena_fini(&cli.arena);
	return 0;
}

/* Goal: a topic alone means all its partitions, one with numbers these, and the room that is
 * computed beforehand suffices. */
static void
test_reading(void **state)
{
	(void)state;
	const char *texts[] = { "b", "a:0", "c:7,1,5" };
	struct cli_values values = { texts, 3 };
	struct cli_offset items[16];
	size_t count = 0;
	for (size_t i = 0; i < 3; i++)
		assert_null(cli_partitions_read(&cli, texts[i], &metadata, items, &count));
	assert_int_equal(count, 7);
	assert_true(cli_partitions_room(values, &metadata) >= count);
	assert_true(ot_str_is(items[2].topic, "b") && items[2].partition == 2);
	assert_true(ot_str_is(items[4].topic, "c") && items[4].partition == 7);
	assert_true(ot_str_is(items[6].topic, "c") && items[6].partition == 5);
}

static void
test_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{ "x", "This server does not host this topic-partition: x" },
		{ "a:", "Invalid topic arg 'a:', expected topic name and partitions" },
		{ ":1", "Invalid topic arg ':1', expected topic name and partitions" },
		{ "a:1:2", "Invalid topic arg 'a:1:2', expected topic name and partitions" },
		{ "a:1,x", "Invalid partition 'x' specified in topic arg 'a:1,x'" },
		{ "a:1,", "Invalid partition '' specified in topic arg 'a:1,'" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct cli_offset items[16];
		size_t count = 0;
		assert_string_equal(
		    cli_partitions_read(&cli, rows[i].text, &metadata, items, &count),
		    rows[i].message);
	}
}

static void
test_finding_and_ordering(void **state)
{
	(void)state;
	assert_ptr_equal(cli_metadata_find(&metadata, OT_STR_LIT("b")), &topics[1]);
	assert_null(cli_metadata_find(&metadata, OT_STR_LIT("ab")));
	struct cli_offset one = { .topic = OT_STR_LIT("a"), .partition = 10 };
	struct cli_offset other = { .topic = OT_STR_LIT("a"), .partition = 2 };
	assert_true(cli_offset_compare(&one, &other) > 0);
	other.topic = OT_STR_LIT("b");
	assert_true(cli_offset_compare(&one, &other) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
		cmocka_unit_test(test_finding_and_ordering),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
