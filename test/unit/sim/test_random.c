/* Goal: random numbers are the published generator's, even, and independent by fork. */
#include "../test.h"

#include "sim/random.h"

/* The reference values of xoshiro256** for the state 1, 2, 3, 4. */
static void
test_reference_values(void **state)
{
	(void)state;
	struct ot_sim_random random = { .state = { 1, 2, 3, 4 } };
	static const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };
	for (size_t i = 0; i < OT_ARRAY_COUNT(expected); i++)
		assert_true(ot_sim_random_u64(&random) == expected[i]);
}

static void
test_bounds_are_kept_and_reached(void **state)
{
	(void)state;
	struct ot_sim_random random;
	ot_sim_random_init(&random, 1);
	unsigned counts[7] = { 0 };
	for (int i = 0; i < 7000; i++)
		counts[ot_sim_random_between(&random, 10, 16) - 10]++;
	for (size_t i = 0; i < OT_ARRAY_COUNT(counts); i++)
		assert_in_range(counts[i], 850, 1150);
	unsigned hits = 0;
	for (int i = 0; i < 10000; i++)
		hits += ot_sim_random_chance(&random, 100000);
	assert_in_range(hits, 850, 1150);
	assert_false(ot_sim_random_chance(&random, 0));
	assert_true(ot_sim_random_chance(&random, OT_SIM_MILLION));
	assert_int_equal(ot_sim_random_below(&random, 1), 0);
	assert_int_equal(ot_sim_random_between(&random, UINT64_MAX, UINT64_MAX), UINT64_MAX);
	(void)ot_sim_random_between(&random, 0, UINT64_MAX);
}

/* A fork does not change with what is drawn from its siblings. */
static void
test_forks_are_independent(void **state)
{
	(void)state;
	struct ot_sim_random a, b;
	ot_sim_random_init(&a, 5);
	ot_sim_random_init(&b, 5);
	struct ot_sim_random a1 = ot_sim_random_fork(&a, 1), b1 = ot_sim_random_fork(&b, 1);
	(void)ot_sim_random_u64(&a1);
	struct ot_sim_random a2 = ot_sim_random_fork(&a, 2), b2 = ot_sim_random_fork(&b, 2);
	assert_true(ot_sim_random_u64(&a2) == ot_sim_random_u64(&b2));
	assert_true(ot_sim_random_u64(&a1) != ot_sim_random_u64(&b1));
}

static void
test_fill_covers_each_byte(void **state)
{
	(void)state;
	struct ot_sim_random random;
	ot_sim_random_init(&random, 3);
	uint8_t bytes[13] = { 0 }, seen[13] = { 0 };
	for (int i = 0; i < 64; i++) {
		ot_sim_random_fill(&random, bytes, sizeof(bytes));
		for (size_t j = 0; j < sizeof(bytes); j++)
			seen[j] |= bytes[j];
	}
	for (size_t j = 0; j < sizeof(bytes); j++)
		assert_int_equal(seen[j], 0xff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_values),
		cmocka_unit_test(test_bounds_are_kept_and_reached),
		cmocka_unit_test(test_forks_are_independent),
		cmocka_unit_test(test_fill_covers_each_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
