#include "../test.h"

#include <stdlib.h>
#include <time.h>

#include "cli/date_format_int.h"

/* 2026-02-03, a Tuesday, 04:05:06.007 UTC. */
static const int64_t moment = 1770091506007;

static void
assert_date(const char *pattern, int64_t time_ms, const char *expected)
{
	char printed[200] = "";
	struct ot_text text = OT_TEXT(printed);
	struct ot_why why = { "" };
	assert_ok(date_format_check(pattern, &why));
	date_format_put(pattern, time_ms, &text);
	assert_string_equal(printed, expected);
}

static void
use_zone(const char *zone)
{
	assert_ok(setenv("TZ", zone, 1));
	tzset();
}

/* Goal: each letter gives its field, at least as wide as it is repeated. Method: all letters. */
static void
letters(void **state)
{
	(void)state;
	use_zone("UTC");
	assert_date("yyyy-MM-dd HH:mm:ss:SSS", moment, "2026-02-03 04:05:06:007");
	assert_date("yy.M.d H:m:s,S", moment, "26.2.3 4:5:6,7");
	assert_date("MMM MMMM E EEEE", moment, "Feb February Tue Tuesday");
	assert_date("D DDD", moment, "34 034");
	assert_date("h a k K", moment, "4 AM 4 4");
	assert_date("hh a kk KK", moment + 8 * 3600 * 1000, "12 PM 12 00");
	assert_date("h a k K", moment - 4 * 3600 * 1000, "12 AM 24 0");
}

/* Goal: other signs and text in quotes stand as they are. */
static void
text_in_quotes(void **state)
{
	(void)state;
	use_zone("UTC");
	assert_date("yyyy-MM-dd'T'HH:mm", moment, "2026-02-03T04:05");
	assert_date("'it''s' H '' m", moment, "it's 4 ' 5");
}

/* Goal: zones in all forms, east and west. */
static void
zones(void **state)
{
	(void)state;
	use_zone("UTC");
	assert_date("z Z X XX"
		    "X",
	    moment, "UTC +0000 Z Z");
	use_zone("XYZ-5:30");
	assert_date("HH:mm z Z X XX XX"
		    "X",
	    moment, "09:35 XYZ +0530 +05 +0530 +05:30");
	use_zone("ABC3");
	assert_date("HH Z X", moment, "01 -0300 -03");
}

/* Goal: times before 1970 too. */
static void
before_1970(void **state)
{
	(void)state;
	use_zone("UTC");
	assert_date("yyyy HH:mm:ss.SSS", -1, "1969 23:59:59.999");
}

/* Goal: patterns that Java refuses are refused in its words. */
static void
refused(void **state)
{
	struct ot_why why = { "" };
	(void)state;
	assert_int_equal(date_format_check("yyyy b", &why), OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, "Illegal pattern character 'b'");
	assert_int_equal(date_format_check("yyyy 'b", &why), OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, "Unterminated quote");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters),
		cmocka_unit_test(text_in_quotes),
		cmocka_unit_test(zones),
		cmocka_unit_test(before_1970),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
