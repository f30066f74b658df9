#include "../test.h"

#include <unistd.h>

#include "cli/line_input_int.h"

static struct line_input input;
static int writes_to;

static int
set_up(void **state)
{
	int ends[2];
	(void)state;
	assert_ok(pipe(ends));
	writes_to = ends[1];
	line_input_init(&input, ends[0], false);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(input.fd);
	if (writes_to >= 0)
		close(writes_to);
	line_input_fini(&input);
	return 0;
}

static void
give(const char *text)
{
	assert_int_equal(write(writes_to, text, strlen(text)), strlen(text));
	assert_ok(line_input_fill(&input));
}

static void
end_input(void)
{
	close(writes_to);
	writes_to = -1;
	while (!input.is_at_end)
		assert_ok(line_input_fill(&input));
}

static void
assert_line(const char *text)
{
	struct ot_bytes line;
	assert_int_equal(line_input_next(&input, &line), LINE_INPUT_LINE);
	assert_int_equal(line.len, strlen(text));
	assert_memory_equal(line.data, text, strlen(text));
}

static void
assert_state(enum line_input_state state)
{
	struct ot_bytes line;
	assert_int_equal(line_input_next(&input, &line), state);
}

/* Goal: lines come out as they went in, wherever reads cut them. Method: cuts inside a line, at its
 * end, and before it. */
static void
lines_over_cuts(void **state)
{
	(void)state;
	give("one\ntw");
	assert_line("one");
	assert_state(LINE_INPUT_MORE);
	give("o\n");
	assert_line("two");
	assert_state(LINE_INPUT_MORE);
	give("\n\nlast");
	assert_line("");
	assert_line("");
	assert_state(LINE_INPUT_MORE);
	end_input();
	assert_line("last");
	assert_state(LINE_INPUT_END);
	assert_state(LINE_INPUT_END);
}

/* Goal: an input that ends with its last line has no empty one behind it, and an empty input none
 * at all. Method: both. */
static void
no_line_behind_the_last(void **state)
{
	(void)state;
	give("one\n");
	assert_line("one");
	end_input();
	assert_state(LINE_INPUT_END);
}

static void
empty_input(void **state)
{
	(void)state;
	end_input();
	assert_state(LINE_INPUT_END);
}

/* Goal: a carriage return and a NUL are bytes like others. Method: lines with them. */
static void
binary_lines(void **state)
{
	struct ot_bytes line;
	(void)state;
	assert_int_equal(write(writes_to, "a\r\nb\0c\xff\n", 8), 8);
	assert_ok(line_input_fill(&input));
	assert_line("a\r");
	assert_int_equal(line_input_next(&input, &line), LINE_INPUT_LINE);
	assert_int_equal(line.len, 4);
	assert_memory_equal(line.data, "b\0c\xff", 4);
}

/* Goal: on demand lines end as Java's do. Method: all three ends, \r\n cut by a read as well. */
static void
ends_of_java(void **state)
{
	(void)state;
	input.ends_at_cr = true;
	give("a\rb\r\nc\n\r");
	assert_line("a");
	assert_line("b");
	assert_line("c");
	assert_line("");
	assert_state(LINE_INPUT_MORE);
	give("\nd\r");
	assert_line("d");
	end_input();
	assert_state(LINE_INPUT_END);
}

/* Goal: a line may be longer than the buffer. Method: three megabytes in pieces, one line behind.
 */
static void
long_line(void **state)
{
	static char piece[32768];
	struct ot_bytes line;
	(void)state;
	memset(piece, 'x', sizeof(piece));
	for (size_t i = 0; i < 96; i++) {
		assert_int_equal(write(writes_to, piece, sizeof(piece)), sizeof(piece));
		assert_ok(line_input_fill(&input));
		assert_state(LINE_INPUT_MORE);
	}
	give("\nshort\n");
	assert_int_equal(line_input_next(&input, &line), LINE_INPUT_LINE);
	assert_int_equal(line.len, 96 * sizeof(piece));
	assert_line("short");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_over_cuts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_line_behind_the_last, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_input, set_up, tear_down),
		cmocka_unit_test_setup_teardown(binary_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends_of_java, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_line, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
