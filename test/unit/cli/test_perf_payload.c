#include "../test.h"

#include "cli/perf_payload_int.h"

static struct perf_payload payload;

static int
tear_down(void **state)
{
	(void)state;
	perf_payload_fini(&payload);
	return 0;
}

static void
assert_value(struct ot_bytes value, const char *text)
{
	assert_int_equal(value.len, strlen(text));
	assert_memory_equal(value.data, text, strlen(text));
}

/* Goal: letters only, all of them, other ones in each record, the same ones in each run. */
static void
letters(void **state)
{
	uint8_t first[100];
	unsigned seen[26] = { 0 };
	(void)state;
	perf_payload_init_letters(&payload, sizeof(first));
	for (uint64_t i = 0; i < 100; i++) {
		struct ot_bytes value = perf_payload_next(&payload, i);
		assert_int_equal(value.len, sizeof(first));
		for (int32_t j = 0; j < value.len; j++) {
			assert_in_range(value.data[j], 'A', 'Z');
			seen[value.data[j] - 'A']++;
		}
		if (i == 0)
			memcpy(first, value.data, sizeof(first));
		else
			assert_memory_not_equal(first, value.data, sizeof(first));
	}
	for (size_t i = 0; i < OT_ARRAY_COUNT(seen); i++)
		assert_in_range(seen[i], 250, 550); /* 385 each on average */
	perf_payload_fini(&payload);
	perf_payload_init_letters(&payload, sizeof(first));
	assert_memory_equal(first, perf_payload_next(&payload, 0).data, sizeof(first));
}

static void
numbers(void **state)
{
	(void)state;
	perf_payload_init_numbers(&payload);
	assert_value(perf_payload_next(&payload, 0), "0");
	assert_value(perf_payload_next(&payload, 12345678901), "12345678901");
}

/* Goal: a file is cut at delimiters, its end being none. Method: empty pieces, a last piece with
 * and without delimiter, escapes, a longer delimiter. */
static void
pieces(void **state)
{
	(void)state;
	perf_payload_init_file(&payload, "a\n\nbc\n", 6, "\\n");
	assert_int_equal(payload.piece_count, 3);
	assert_value(payload.pieces[0], "a");
	assert_value(payload.pieces[1], "");
	assert_value(payload.pieces[2], "bc");
	perf_payload_fini(&payload);
	perf_payload_init_file(&payload, "a--b-c", 6, "--");
	assert_int_equal(payload.piece_count, 2);
	assert_value(payload.pieces[1], "b-c");
}

/* Goal: many pieces, each of them picked sometimes. */
static void
many_pieces(void **state)
{
	static char text[10000];
	unsigned seen = 0;
	(void)state;
	memset(text, '\n', sizeof(text));
	perf_payload_init_file(&payload, text, sizeof(text), "\n");
	assert_int_equal(payload.piece_count, sizeof(text));
	perf_payload_fini(&payload);
	perf_payload_init_file(&payload, "0 1 2 3 4 5 6 7", 15, " ");
	for (uint64_t i = 0; i < 200; i++)
		seen |= 1u << (perf_payload_next(&payload, i).data[0] - '0');
	assert_int_equal(seen, 0xff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(letters, tear_down),
		cmocka_unit_test_teardown(numbers, tear_down),
		cmocka_unit_test_teardown(pieces, tear_down),
		cmocka_unit_test_teardown(many_pieces, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
