/* Goal: whatever a machine loses, tears or flips of what was not synced, a log comes back as a
 * prefix of what was written, with all that was synced, and with indexes, epochs, producers and
 * aborted transactions that fit its records.
 *
 * Method: a random but repeatable life of a log (appends, rolls, both syncs, checkpoints,
 * retention, truncation, clean restarts) on a simulated disk is stopped at its n-th change, for
 * every n, by a kill or by loss of power, sometimes with a bit flipped behind what was synced. What
 * comes back is compared with a model of what was appended, and then the life goes on to a second
 * stop.
 *
 * OTTLA_SEED=n chooses the first of the seeds, OTTLA_CHANGE=n one stop, OTTLA_TRACE=1 prints
 * steps. */
#include "life.h"

#include <stdlib.h>

enum { STEPS = 60, CHANGES_MAX = 2000, SEEDS = 4 };

/* One life with a stop at change n, and a second stop; false when the first came too late. */
static bool
run(uint64_t seed, uint64_t n)
{
	struct life *life = life_begin(seed);
	enum ot_sim_stop how = n % 3 == 0 ? OT_SIM_KILLED : OT_SIM_POWER_LOST;
	if (life->is_traced)
		print_message("stop at change %llu\n", (unsigned long long)n);
	ot_sim_disk_crash_at(life->disk, n);
	ot_err err = life_open(life);
	if (err == OT_OK)
		life_go_on(life, STEPS);
	bool was_stopped = ot_sim_disk_is_stopped(life->disk);
	life_come_back(life, how, n % 3 == 2);
	ot_sim_disk_crash_at(life->disk, 1 + n * 7 % 90);
	life_go_on(life, STEPS / 2);
	life_come_back(life, OT_SIM_POWER_LOST, n % 2 == 0);
	life_go_on(life, 5);
	life_come_back(life, OT_SIM_KILLED, false);
	life_end(life);
	return was_stopped;
}

static void
run_all(uint64_t seed)
{
	const char *only = getenv("OTTLA_CHANGE");
	uint64_t n = 1;
	if (only != NULL) {
		run(seed, strtoull(only, NULL, 10));
		return;
	}
	while (n < CHANGES_MAX && run(seed, n))
		n++;
	assert_true(n > 100);
}

static void
test_stop_at_every_change(void **state)
{
	(void)state;
	const char *from = getenv("OTTLA_SEED");
	uint64_t first = from == NULL ? 1 : strtoull(from, NULL, 10);
	for (uint64_t seed = first; seed < first + SEEDS; seed++) {
		print_message("OTTLA_SEED=%llu\n", (unsigned long long)seed);
		run_all(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_at_every_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
