#include "../test.h"

#include "cli/offsets_int.h"

/* Goal: dates are read as Java reads yyyy-MM-dd'T'HH:mm:ss.SSSXXX, in UTC without a zone.
 * Method: instants from other calendars' tables, leap days and the ends of all fields. */
static void
test_datetimes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "1970-01-01T00:00:00.000", 0 },
		{ "1969-12-31T23:59:59.999Z", -1 },
		{ "2000-02-29T12:34:56.789", 951827696789 },
		{ "2026-11-24T04:00:00", 1795492800000 },
		{ "2026-11-24T05:30:00.000+01:30", 1795492800000 },
		{ "2026-11-23T23:00:00-05:00", 1795492800000 },
		{ "9999-12-31T23:59:59.999Z", 253402300799999 },
		{ "0001-01-01T00:00:00Z", -62135596800000 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		ot_wall_ms time = 1;
		assert_true(cli_datetime_parse(rows[i].text, &time));
		assert_int_equal(time, rows[i].ms);
	}
}

static void
test_bad_datetimes(void **state)
{
	(void)state;
	static const char *const rows[] = { "", "2026-11-24", "2026-11-24 04:00:00",
		"2026-13-01T00:00:00", "2026-00-01T00:00:00", "2025-02-29T00:00:00",
		"1900-02-29T00:00:00", "2026-11-31T00:00:00", "2026-11-24T24:00:00",
		"2026-11-24T04:60:00", "2026-11-24T04:00:60", "2026-11-24T04:00",
		"2026-11-24T04:00:00.1", "2026-11-24T04:00:00.1234", "2026-11-24T04:00:00+1",
		"2026-11-24T04:00:00ZZ", "26-11-24T04:00:00", "0000-01-01T00:00:00" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		ot_wall_ms time = 1;
		assert_false(cli_datetime_parse(rows[i], &time));
		assert_int_equal(time, 1);
	}
}

/* Goal: durations are read as java.time.Duration.parse() reads them. */
static void
test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "PT1S", 1000 },
		{ "P1D", 86400000 },
		{ "P1DT2H3M4.567S", 93784567 },
		{ "pt15m", 900000 },
		{ "PT-6H+3M", -21420000 },
		{ "-PT6H3M", -21780000 },
		{ "-PT-6H+3M", 21420000 },
		{ "PT0.001S", 1 },
		{ "PT-0.5S", -500 },
		{ "PT36H", 129600000 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		int64_t ms = 0;
		assert_true(cli_duration_parse(rows[i].text, &ms));
		assert_int_equal(ms, rows[i].ms);
	}
	static const char *const bad[] = { "", "P", "PT", "P1DT", "1D", "P1H", "PT1D", "PT1", "PTS",
		"PT1M1H", "PT1.5M", "P1W", "PT99999999999999999999S", "PT1S1S", "PTT1S" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(bad); i++) {
		int64_t ms = 0;
		assert_false(cli_duration_parse(bad[i], &ms));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datetimes),
		cmocka_unit_test(test_bad_datetimes),
		cmocka_unit_test(test_durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
