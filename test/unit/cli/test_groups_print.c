#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/groups_int.h"

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

/* Forgets what was printed. */
static void
restart(void)
{
	fclose(out);
	free(text);
	out = open_memstream(&text, &text_bytes);
}

static const char *
printed(void)
{
	fflush(out);
	return text;
}

static struct cli_offset assigned[] = {
	{ .topic = OT_STR_LIT("orders"), .partition = 0 },
	{ .topic = OT_STR_LIT("orders"), .partition = 10 },
	{ .topic = OT_STR_LIT("returns"), .partition = 2 },
};

static struct cli_member member = {
	.id = OT_STR_LIT("consumer-1-0123456789"),
	.instance_id = OT_STR_LIT(""),
	.client_id = OT_STR_LIT("consumer-1"),
	.host = OT_STR_LIT("/127.0.0.1"),
	.assignment = { assigned, 3 },
	.epoch = -1,
	.type = CLI_MEMBER_UNKNOWN,
};

static const struct cli_group group = {
	.name = OT_STR_LIT("g"),
	.state = OT_STR_LIT("Stable"),
	.assignor = OT_STR_LIT("range"),
	.members = &member,
	.member_count = 1,
	.epoch = -1,
	.target_epoch = -1,
};

static struct cli_group_row row_items[] = {
	{ &member, { .topic = OT_STR_LIT("orders"), .partition = 0, .offset = 9 }, 4, 3 },
	{ NULL, { .topic = OT_STR_LIT("orders"), .partition = 10, .offset = -1 }, 7, -1 },
	{ NULL, { .topic = OT_STR_LIT("returns"), .partition = 2, .offset = 5 }, -1, -1 },
};
static const struct cli_group_rows rows = { row_items, 3 };

/* Goal: the table of offsets is Kafka's, column for column. Method: golden text. */
static void
test_offsets(void **state)
{
	(void)state;
	cli_group_print_offsets(&group, &rows, false, out);
	assert_string_equal(printed(),
	    "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG      "
	    "       CONSUMER-ID           HOST            CLIENT-ID"
	    "\ng               orders          0          4               9               5        "
	    "       consumer-1-0123456789 /127.0.0.1      consumer-1"
	    "\ng               orders          10         7               -               -        "
	    "       -                     -               -"
	    "\ng               returns         2          -               5               -        "
	    "       -                     -               -\n");
}

static void
test_offsets_verbose(void **state)
{
	(void)state;
	const struct cli_group_rows one = { row_items, 1 };
	cli_group_print_offsets(&group, &one, true, out);
	assert_string_equal(printed(),
	    "\nGROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  "
	    "LOG-END-OFFSET  LAG             CONSUMER-ID           HOST            CLIENT-ID"
	    "\ng               orders          0          3               4               9        "
	    "       5               consumer-1-0123456789 /127.0.0.1      consumer-1\n");
}

/* Goal: with --zookeeper the table is that of Kafka 0.11, which had no group in it. */
static void
test_offsets_of_old(void **state)
{
	(void)state;
	const struct cli_group_rows one = { row_items, 1 };
	cli_group_print_offsets_of_old(&one, out);
	assert_string_equal(printed(),
	    "\nTOPIC                          PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG       "
	    " CONSUMER-ID                                       HOST                           "
	    "CLIENT-ID\norders                         0          4               9              "
	    " 5          consumer-1-0123456789                             /127.0.0.1             "
	    "        consumer-1\n");
}

static void
test_members(void **state)
{
	(void)state;
	cli_group_print_members(&cli, &group, false, out);
	assert_string_equal(printed(), "\nGROUP           CONSUMER-ID           HOST            "
				       "CLIENT-ID       #PARTITIONS    "
				       " \ng               consumer-1-0123456789 /127.0.0.1      "
				       "consumer-1      3             "
				       "  \n");
}

/* Goal: assignments are one word, static members have their column, and a group that speaks both
 * protocols says of each member which one. */
static void
test_members_verbose(void **state)
{
	(void)state;
	struct cli_member members[2] = { member, member };
	members[0].type = CLI_MEMBER_CLASSIC;
	members[1].type = CLI_MEMBER_CONSUMER;
	members[1].instance_id = OT_STR_LIT("one");
	members[1].epoch = 4;
	members[1].assignment.count = 0;
	struct cli_group mixed = group;
	mixed.members = members;
	mixed.member_count = 2;
	mixed.target_epoch = 5;
	cli_group_print_members(&cli, &mixed, true, out);
	assert_string_equal(printed(),
	    "\nGROUP           CONSUMER-ID           GROUP-INSTANCE-ID HOST            CLIENT-ID  "
	    "     #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT    TARGET-EPOCH    "
	    "TARGET-ASSIGNMENT    UPGRADED"
	    "\ng               consumer-1-0123456789                   /127.0.0.1      consumer-1 "
	    "     3               -               orders:0,10;returns:2 5               -        "
	    "            false"
	    "\ng               consumer-1-0123456789 one               /127.0.0.1      consumer-1 "
	    "     0               4               -                     5               -        "
	    "            true\n");
}

static void
test_state(void **state)
{
	(void)state;
	cli_group_print_state(&group, "localhost:9092  (0)", false, out);
	assert_string_equal(printed(),
	    "\nGROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE               "
	    " #MEMBERS\ng               localhost:9092  (0)       range                Stable     "
	    "          1\n");
}

static void
test_lists(void **state)
{
	(void)state;
	const struct cli_group_listing groups[] = {
		{ OT_STR_LIT("a"), OT_STR_LIT("Empty"), OT_STR_LIT("Classic") },
		{ OT_STR_LIT("a-name-of-some-length"), OT_STR_LIT("Stable"),
		    OT_STR_LIT("Consumer") },
	};
	cli_group_print_list(groups, 2, false, false, out);
	assert_string_equal(printed(), "a\na-name-of-some-length\n");
	restart();
	cli_group_print_list(groups, 2, true, true, out);
	assert_string_equal(printed(),
	    "GROUP                           TYPE                 STATE               \n"
	    "a                               Classic              Empty               \n"
	    "a-name-of-some-length           Consumer             Stable              \n");
}

/* Goal: plans are told in both forms, and as CSV that can be read again. */
static void
test_plans(void **state)
{
	(void)state;
	struct cli_offset items[] = {
		{ .topic = OT_STR_LIT("orders"), .partition = 0, .offset = 12 },
		{ .topic = OT_STR_LIT("orders"), .partition = 1, .offset = 0 },
	};
	const struct cli_group_plan plan = { OT_STR_LIT("a \"group\", odd"), items, 2 };
	cli_group_print_plans(&plan, 1, false, out);
	assert_string_equal(printed(), "\nGROUP           TOPIC           PARTITION  NEW-OFFSET"
				       "\na \"group\", odd  orders          0          12"
				       "\na \"group\", odd  orders          1          0\n");
	restart();
	cli_group_print_plans(&plan, 1, true, out);
	assert_string_equal(printed(),
	    "\nTOPIC                          PARTITION  NEW-OFFSET     "
	    "\norders                         0          12             "
	    "\norders                         1          0              \n");
	restart();
	cli_group_print_csv(&plan, 1, true, out);
	assert_string_equal(printed(),
	    "\"a \"\"group\"\", odd\",orders,0,12\n\"a \"\"group\"\", odd\",orders,1,0\n\n");
	restart();
	cli_group_print_csv(&plan, 1, false, out);
	assert_string_equal(printed(), "orders,0,12\norders,1,0\n\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_offsets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offsets_verbose, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offsets_of_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_members, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_members_verbose, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_state, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_plans, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
