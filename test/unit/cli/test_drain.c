/* Emptying a broker: where its replicas go, why some cannot, and what is told of it. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/drain_int.h"

static char *text;
static size_t text_bytes;
static FILE *out;
static struct cli cli;
static struct cli_drain_broker brokers[4];
static struct cli_drain_part parts[4];
static struct cli_drain drain;
static const struct cli_movings none;

/* Broker 0 leaves; 1, 2 and 3 are there. */
static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&cli.arena, 0);
	out = open_memstream(&text, &text_bytes);
	memset(parts, 0, sizeof(parts));
	for (int32_t i = 0; i < 4; i++) {
		brokers[i] = (struct cli_drain_broker){ .id = i, .rack = OT_STR_NULL };
		parts[i].name = (struct cli_partition_name){ OT_STR_LIT("t"), i };
		parts[i].bytes = -1;
	}
	drain =
	    (struct cli_drain){ .id = 0, .brokers = brokers, .broker_count = 4, .parts = parts };
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

static struct cli_replicas
replicas(int32_t count, int32_t a, int32_t b, int32_t c)
{
	struct cli_replicas made = { cli_alloc(&cli, 3, sizeof(int32_t)), count };
	made.brokers[0] = a;
	made.brokers[1] = b;
	made.brokers[2] = c;
	return made;
}

static const char *
target(size_t index)
{
	return cli_replicas_text(&cli, &parts[index].target);
}

/* Goal: replicas spread over the brokers that lead the least. */
static void
test_spread(void **state)
{
	(void)state;
	drain.part_count = 3;
	brokers[1].replica_count = 5;
	for (int32_t i = 0; i < 3; i++)
		parts[i].replicas = replicas(1, 0, 0, 0);
	cli_drain_plan(&cli, &drain, &none);
	assert_string_equal(target(0), "2");
	assert_string_equal(target(1), "3");
	assert_string_equal(target(2), "1"); /* it leads the least now */
}

/* Goal: a replica that does not lead goes to the broker with the least, and each keeps its place.
 */
static void
test_places(void **state)
{
	(void)state;
	drain.part_count = 2;
	brokers[1].replica_count = 5;
	parts[0].replicas = replicas(2, 2, 0, 0);
	parts[1].replicas = replicas(2, 2, 0, 0);
	cli_drain_plan(&cli, &drain, &none);
	assert_string_equal(target(0), "2,3");
	assert_string_equal(target(1), "2,3");
	assert_int_equal(parts[0].goes_to, 3);
	assert_int_equal(cli_drain_count(&drain, CLI_DRAIN_PLANNED), 2);
}

/* Goal: a rack that has no replica comes before a broker with less to do. */
static void
test_racks(void **state)
{
	(void)state;
	drain.part_count = 2;
	brokers[0].rack = OT_STR_LIT("a");
	brokers[1].rack = OT_STR_LIT("b");
	brokers[2].rack = OT_STR_LIT("b");
	brokers[3].rack = OT_STR_LIT("a");
	brokers[3].replica_count = 100;
	parts[0].replicas = replicas(2, 1, 0, 0);
	parts[1].replicas = replicas(3, 1, 0, 3); /* both racks are taken: the least counts */
	cli_drain_plan(&cli, &drain, &none);
	assert_string_equal(target(0), "1,3");
	assert_string_equal(target(1), "1,2,3");
}

static void
test_reasons(void **state)
{
	(void)state;
	int32_t gone[] = { 0 }, come[] = { 2 };
	struct cli_moving items[] = {
		{ .name = { OT_STR_LIT("t"), 2 }, .adding = { come, 1 }, .removing = { gone, 1 } },
		{ .name = { OT_STR_LIT("t"), 3 }, .adding = { gone, 1 }, .removing = { come, 1 } },
	};
	const struct cli_movings movings = { items, 2 };
	drain.part_count = 4;
	drain.broker_count = 3; /* broker 3 is away */
	parts[0].replicas = replicas(3, 0, 1, 2);
	parts[1].replicas = replicas(1, 0, 0, 0);
	parts[1].leader = -1;
	parts[2].replicas = replicas(3, 0, 1, 2);
	parts[3].replicas = replicas(3, 0, 1, 2);
	cli_drain_plan(&cli, &drain, &movings);
	assert_int_equal(parts[2].state, CLI_DRAIN_MOVING);
	assert_int_equal(parts[2].goes_to, 2);
	cli_drain_print_stuck(&drain, out);
	assert_string_equal(printed(),
	    "t-0 cannot move: each of the 2 other brokers that are there has a replica of it "
	    "already\n"
	    "t-1 cannot move: it has no leader that the records could be copied from\n"
	    "t-3 cannot move: it is being reassigned otherwise; wait for that or cancel it\n");
	size_t told_bytes = text_bytes;
	cli_drain_print_stuck(&drain, out);
	fflush(out);
	assert_int_equal(text_bytes, told_bytes);
}

static void
test_alone(void **state)
{
	(void)state;
	drain.part_count = 1;
	drain.broker_count = 1;
	parts[0].replicas = replicas(1, 0, 0, 0);
	cli_drain_plan(&cli, &drain, &none);
	assert_string_equal(parts[0].reason, "no other broker is there");
}

static void
test_progress(void **state)
{
	(void)state;
	drain.part_count = 4;
	parts[0].state = CLI_DRAIN_DONE;
	parts[0].bytes = 1000000;
	parts[1].state = CLI_DRAIN_MOVING;
	parts[1].bytes = 2000000;
	parts[1].copied = 500000;
	parts[2].state = CLI_DRAIN_PLANNED;
	parts[2].bytes = 1000000;
	parts[3].state = CLI_DRAIN_STUCK;
	parts[3].bytes = 7000000;
	cli_drain_print_progress(&cli, &drain, 10000, out);
	assert_string_equal(printed(), "1 of 3 replicas moved, 1.5 MB of 4.0 MB, 10.0 KB/s, about "
				       "4 min 10 s left\n");
	assert_string_equal(cli_drain_bytes_text(&cli, 999), "999 B");
	assert_string_equal(cli_drain_bytes_text(&cli, 1500000000000), "1.5 TB");
	assert_string_equal(cli_drain_time_text(&cli, 59), "59 s");
	assert_string_equal(cli_drain_time_text(&cli, 7260), "2 h 1 min");
}

int
main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_spread),
		ROW(test_places),
		ROW(test_racks),
		ROW(test_reasons),
		ROW(test_alone),
		ROW(test_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
