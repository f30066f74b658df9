/* Goal: the trace keeps the last events readable and its hash tells histories apart. */
#include "../test.h"

#include <stdio.h>

#include "base/text.h"
#include "sim/trace.h"

struct lines {
	unsigned count;
	char first[256];
	char last[256];
};

static void
take_line(void *arg, const char *line)
{
	struct lines *lines = arg;
	if (lines->count++ == 0)
		snprintf(lines->first, sizeof(lines->first), "%s", line);
	snprintf(lines->last, sizeof(lines->last), "%s", line);
}

static void
test_the_last_events_are_printed(void **state)
{
	(void)state;
	struct ot_sim_trace *trace = ot_sim_trace_create(77, 3);
	struct lines lines = { 0 };
	for (unsigned i = 0; i < 10; i++) {
		ot_sim_trace_put(trace, &(struct ot_sim_event){ .at = i * OT_NS_PER_S,
					    .verb = "write",
					    .what = "/a/very/long/path/that/does/not/fit/into/the/"
						    "ring/whole/but/ends/in/f.log",
					    .host = 2,
					    .a = i,
					    .b = 4711,
					    .err = OT_ERR_NO_SPACE });
	}
	ot_sim_trace_print(trace, take_line, &lines);
	assert_int_equal(lines.count, 4);
	assert_non_null(strstr(lines.first, "SEED 77"));
	assert_non_null(strstr(lines.last, "9.000000 s"));
	assert_non_null(strstr(lines.last, "h2"));
	assert_non_null(strstr(lines.last, "write"));
	assert_non_null(strstr(lines.last, "ends/in/f.log"));
	assert_non_null(strstr(lines.last, "4711"));
	assert_non_null(strstr(lines.last, "NO_SPACE"));
	assert_int_equal(ot_sim_trace_count(trace), 10);
	ot_sim_trace_destroy(trace);
	ot_sim_trace_destroy(NULL);
}

static uint64_t
hash_of(uint64_t seed, const struct ot_sim_event *first, const struct ot_sim_event *second)
{
	struct ot_sim_trace *trace = ot_sim_trace_create(seed, 1);
	ot_sim_trace_put(trace, first);
	ot_sim_trace_put(trace, second);
	uint64_t hash = ot_sim_trace_hash(trace);
	ot_sim_trace_destroy(trace);
	return hash;
}

/* Each field counts, and so does the order; the addresses of texts do not. */
static void
test_the_hash_tells_histories_apart(void **state)
{
	(void)state;
	char what[] = "/f";
	const struct ot_sim_event base = { .at = 1, .verb = "sync", .what = "/f", .a = 1, .b = 2 };
	struct ot_sim_event others[] = { base, base, base, base, base, base, base };
	others[0].at = 2;
	others[1].verb = "syncs";
	others[2].what = "/g";
	others[3].host = 1;
	others[4].err = OT_ERR_IO;
	others[5].a = 2;
	others[6].b = 1;
	uint64_t hash = hash_of(1, &base, &base);
	for (size_t i = 0; i < OT_ARRAY_COUNT(others); i++) {
		assert_true(hash_of(1, &base, &others[i]) != hash);
		assert_true(hash_of(1, &base, &others[i]) != hash_of(1, &others[i], &base));
	}
	assert_true(hash_of(2, &base, &base) != hash);
	struct ot_sim_event copy = base;
	copy.what = what;
	assert_true(hash_of(1, &copy, &base) == hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_events_are_printed),
		cmocka_unit_test(test_the_hash_tells_histories_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
