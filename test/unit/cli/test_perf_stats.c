#include "../test.h"

#include "cli/perf_stats_int.h"

enum { MS = 1000, SECOND = 1000 * MS };

static struct perf_stats stats;
static char printed[800];

static int
tear_down(void **state)
{
	(void)state;
	perf_stats_fini(&stats);
	return 0;
}

static struct ot_text
print_to(void)
{
	printed[0] = '\0';
	return OT_TEXT(printed);
}

/* Goal: the summary is Kafka's line. Method: 1,000 records with latencies of 1 to 1,000 ms in two
 * seconds. */
static void
total(void **state)
{
	(void)state;
	perf_stats_init(&stats, 1000, 5 * SECOND, false, 10 * SECOND);
	for (int64_t i = 1; i <= 1000; i++)
		assert_false(perf_stats_record(&stats, i * MS, 1024, 11 * SECOND));
	struct ot_text text = print_to();
	perf_stats_put_total(&stats, 12 * SECOND, &text);
	assert_string_equal(printed,
	    "1000 records sent, 500.000000 records/sec (0.49 MB/sec), 500.50 ms avg latency, "
	    "1000.00 ms max latency, 501 ms 50th, 951 ms 95th, 991 ms 99th, 1000 ms 99.9th.\n");
}

/* Goal: a window is told when its time is over, and the next one starts from nothing. */
static void
windows(void **state)
{
	(void)state;
	perf_stats_init(&stats, 100, 5 * SECOND, false, 0);
	assert_false(perf_stats_record(&stats, 2 * MS, 1 * OT_MIB, 4999 * MS));
	assert_true(perf_stats_record(&stats, 4 * MS, 1 * OT_MIB, 5 * SECOND));
	struct ot_text text = print_to();
	perf_stats_put_window(&stats, 5 * SECOND, &text);
	assert_string_equal(printed,
	    "2 records sent, 0.4 records/sec (0.40 MB/sec), 3.0 ms avg latency, 4.0 ms max "
	    "latency.\n");
	assert_true(perf_stats_record(&stats, 1 * MS, 10, 10 * SECOND));
	text = print_to();
	perf_stats_put_window(&stats, 10 * SECOND, &text);
	assert_string_equal(printed,
	    "1 records sent, 0.2 records/sec (0.00 MB/sec), 1.0 ms avg latency, 1.0 ms max "
	    "latency.\n");
}

/* Goal: the records behind the warm-up are told as such. */
static void
steady_state(void **state)
{
	(void)state;
	perf_stats_init(&stats, 100, SECOND, true, 0);
	assert_true(perf_stats_record(&stats, 1 * MS, 10, SECOND));
	struct ot_text text = print_to();
	perf_stats_put_window(&stats, SECOND, &text);
	assert_memory_equal(printed, "In steady state.\n1 records sent", 31);
	text = print_to();
	perf_stats_put_total(&stats, SECOND, &text);
	assert_memory_equal(printed, "1 steady state records sent", 27);
}

/* Goal: memory for samples is bounded and percentiles stay right. Method: two million records whose
 * latency rises. */
static void
sampling(void **state)
{
	const int64_t count = 4 * (int64_t)PERF_SAMPLES_MAX;
	(void)state;
	perf_stats_init(&stats, (uint64_t)count, INT64_MAX, false, 0);
	for (int64_t i = 0; i < count; i++)
		perf_stats_record(&stats, i / 2000 * MS, 1, SECOND);
	assert_int_equal(stats.sample_count, PERF_SAMPLES_MAX);
	assert_int_equal(perf_percentile(stats.samples, stats.sample_count, 0.5), 500);
	assert_int_equal(perf_percentile(stats.samples, stats.sample_count, 0.99), 990);
}

/* Goal: nothing divides by nothing. Method: a run without one answered record. */
static void
nothing_sent(void **state)
{
	(void)state;
	perf_stats_init(&stats, 1, SECOND, false, 0);
	struct ot_text text = print_to();
	perf_stats_put_total(&stats, 0, &text);
	assert_string_equal(printed,
	    "0 records sent, 0.000000 records/sec (0.00 MB/sec), 0.00 ms avg latency, 0.00 ms max "
	    "latency, 0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.\n");
}

/* Goal: records are due evenly. Method: rates, none, and the rate of nothing. */
static void
due(void **state)
{
	(void)state;
	assert_int_equal(perf_due(7, 0, 1000), 7);
	assert_int_equal(perf_due(7, 1000, 1000), 7 + SECOND);
	assert_int_equal(perf_due(0, 1, 0.5), 2 * SECOND);
	assert_int_equal(perf_due(7, 1000, -1), 7);
	assert_true(perf_due(7, 0, 0) == INT64_MAX);
	assert_true(perf_due(7, 1, 0) == INT64_MAX);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(total),
		TEST(windows),
		TEST(steady_state),
		TEST(sampling),
		TEST(nothing_sent),
		cmocka_unit_test(due),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
