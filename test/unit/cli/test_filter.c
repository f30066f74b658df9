#include "../test.h"

#include "cli/filter_int.h"

static bool
chooses(const char *list, const char *name)
{
	struct cli_filter *filter = NULL;
	assert_ok(cli_filter_create_list(list, &filter, NULL));
	bool has = cli_filter_has(filter, ot_str_from(name));
	cli_filter_destroy(filter);
	return has;
}

/* Goal: an include list means what Kafka's TopicFilter makes of it: whole names, commas as
 * alternatives, blanks and quotes for nothing, Java's expressions. */
static void
test_lists(void **state)
{
	(void)state;
	static const struct {
		const char *list;
		const char *name;
		bool has;
	} rows[] = {
		{ "test", "test", true },
		{ "test", "test2", false },
		{ "test", "atest", false },
		{ "a,b", "b", true },
		{ "a, b", "b", true },
		{ "'a,b'", "a", true },
		{ "\"a.*\"", "abc", true },
		{ "a.c", "abc", true },
		{ "a\\.c", "abc", false },
		{ "ab|cd", "cd", true },
		{ "(?!__).*", "__consumer_offsets", false },
		{ "(?!__).*", "mine", true },
		{ "t\\d{2}", "t42", true },
		{ "", "", true },
		{ "", "a", false },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++)
		assert_int_equal(chooses(rows[i].list, rows[i].name), rows[i].has);
	assert_true(cli_filter_has(NULL, OT_STR_LIT("anything")));
}

static void
test_mistakes(void **state)
{
	(void)state;
	struct cli_filter *filter = NULL;
	struct ot_why why = { "" };
	assert_int_equal(cli_filter_create("a(", &filter, &why), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text,
	    "a( is an invalid regex: missing closing parenthesis at character 3");
	assert_null(filter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_mistakes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
