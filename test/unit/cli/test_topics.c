#include "../test.h"

#include "cli/topics_int.h"

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

static void
test_assignments(void **state)
{
	(void)state;
	struct cli_replicas *partitions;
	int32_t count;
	assert_null(cli_topics_read_assignment(&cli, "1:2, 3 : 4,5:6", &partitions, &count));
	assert_int_equal(count, 3);
	assert_int_equal(partitions[1].count, 2);
	assert_int_equal(partitions[1].brokers[0], 3);
	assert_int_equal(partitions[2].brokers[1], 6);
}

static void
test_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{ "", "For input string: \"\"" },
		{ "1:x", "For input string: \"x\"" },
		{ "1:", "For input string: \"\"" },
		{ "1,", "For input string: \"\"" },
		{ "1:2:1", "Partition replica lists may not contain duplicate entries: 1" },
		{ "1:2,3", "Partition 1 has different replication factor: 3" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct cli_replicas *partitions = NULL;
		int32_t count = 0;
		assert_string_equal(
		    cli_topics_read_assignment(&cli, rows[i].text, &partitions, &count),
		    rows[i].message);
		assert_null(partitions);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_assignments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
