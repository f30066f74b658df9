/* Goal: a group belongs to the partition where Kafka would look for it.
 * Method: hashes of strings as Java gives them, among them those that trip: beyond the first plane,
 * negative, the least integer, bytes that are no UTF-8. */
#include "../test.h"

#include "coord/group/group.h"

static void
test_partitions(void **state)
{
	(void)state;
	static const struct {
		const char *group;
		int32_t count;
		int32_t partition;
	} rows[] = {
		{ "", 50, 0 },
		{ "a", 50, 97 % 50 },
		{ "ab", 50, (97 * 31 + 98) % 50 },
		{ "srk", 50, ((115 * 31 + 114) * 31 + 107) % 50 },
		/* String.hashCode() is -2147483648: Utils.abs makes it 0. */
		{ "polygenelubricants", 50, 0 },
		{ "polygenelubricants", 7, 0 },
		/* "hello world" hashes to 1794106052, "Hello, World!" to 1498789909. */
		{ "hello world", 50, 1794106052 % 50 },
		{ "Hello, World!", 50, 1498789909 % 50 },
		/* Two units for one character: U+1F600 is D83D DE00. */
		{ "\xF0\x9F\x98\x80", 50, (0xD83D * 31 + 0xDE00) % 50 },
		{ "\xC3\xA9", 50, 0xE9 % 50 },
		{ "\xE2\x82\xAC", 50, 0x20AC % 50 },
		/* No UTF-8: a lone byte, a cut sequence, overlong, too large. */
		{ "\xFF", 50, 0xFFFD % 50 },
		{ "\xE2\x82", 50, 0xFFFD % 50 },
		{ "\xE2\x82z", 50, (0xFFFD * 31 + 'z') % 50 },
		{ "\xC0\x80", 50, (0xFFFD * 31 + 0xFFFD) % 50 },
		{ "\xF4\x90", 50, (0xFFFD * 31 + 0xFFFD) % 50 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++)
		assert_int_equal(ot_group_partition(ot_str_from(rows[i].group), rows[i].count),
		    rows[i].partition);
}

/* The same by another way: Horner's rule in 64 bits over ASCII, reduced at the end of each step. */
static void
test_ascii_of_all_lengths(void **state)
{
	(void)state;
	char text[200];
	for (int len = 0; len < 200; len++) {
		uint64_t hash = 0;
		for (int i = 0; i < len; i++)
			hash = (hash * 31 + (uint8_t)text[i]) & UINT32_MAX;
		int64_t number =
		    hash > INT32_MAX ? (int64_t)hash - (INT64_C(1) << 32) : (int64_t)hash;
		number = number < 0 ? -number : number;
		if (number == INT64_C(1) << 31)
			number = 0;
		assert_int_equal(
		    ot_group_partition((struct ot_str){ .data = text, .len = len }, 50),
		    number % 50);
		text[len] = (char)(' ' + (len * 37) % 95);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_ascii_of_all_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
