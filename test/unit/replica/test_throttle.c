/* Tests of the measure of throttled replication: over time, and over shards. */
#include "../test.h"

#include "replica/throttle.h"
#include "sim/sim_io.h"

enum { SHARDS = 3, SAMPLES = 11, SAMPLE_MS = 1000, KB = 1000 };

struct room {
	struct ot_sim_world *world;
	struct ot_io *ios[SHARDS + 1];
	struct ot_shard_set *set;
	struct ot_throttle *throttle;
};

static void
enter(void *arg, struct ot_io *io)
{
	struct room *room = arg;
	struct ot_shard *shard = NULL;
	for (uint32_t i = 0; i <= SHARDS; i++) {
		if (io != NULL && room->ios[i] == io)
			shard = room->set->shards[i];
	}
	ot_shard_enter(shard);
}

static void
room_init(struct room *room)
{
	*room = (struct room){ .world = ot_sim_world_create(1) };
	struct ot_sim_host *host = ot_sim_host_create(room->world, "10.0.0.1");
	for (uint32_t i = 0; i <= SHARDS; i++)
		room->ios[i] = ot_sim_io_create(host);
	room->set = ot_shard_set_create(SHARDS, room->ios, 1 << 20);
	room->throttle = ot_throttle_create(room->set, SAMPLES, SAMPLE_MS);
	ot_sim_world_on_switch(room->world, enter, room);
}

static void
room_fini(struct room *room)
{
	ot_shard_enter(NULL);
	ot_throttle_destroy(room->throttle);
	ot_shard_set_destroy(room->set);
	for (uint32_t i = 0; i <= SHARDS; i++)
		ot_sim_io_destroy(room->ios[i]);
	ot_sim_world_destroy(room->world);
}

static void
note(struct room *room, uint32_t shard, uint64_t bytes)
{
	enter(room, room->ios[shard]);
	ot_throttle_note(room->throttle, bytes);
	ot_shard_enter(NULL);
	ot_io_ring(room->ios[shard]);
}

static int64_t
rate(struct room *room, uint32_t shard)
{
	enter(room, room->ios[shard]);
	int64_t found = ot_throttle_rate(room->throttle);
	ot_shard_enter(NULL);
	return found;
}

/* Bytes on a shard ten times in a second, for so many seconds. */
static void
move(struct room *room, uint32_t shard, uint64_t bytes, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 10; i++) {
		note(room, shard, bytes);
		ot_sim_world_run_for_ms(room->world, 100);
	}
}

static void
test_rate_over_time(void **state)
{
	(void)state;
	/* Goal: a steady stream is measured at its speed; a burst counts as if it had lasted for
	 * the whole window; what is older than the window is forgotten. */
	struct room room;
	room_init(&room);
	note(&room, 0, 100 * KB);
	int64_t burst = rate(&room, 0);
	assert_true(burst > 9 * KB && burst <= 10 * KB);
	move(&room, 0, 2 * KB, 30);
	int64_t steady = rate(&room, 0);
	assert_true(steady > 19 * KB && steady < 21 * KB);
	ot_sim_world_run_for_ms(room.world, (SAMPLES + 1) * SAMPLE_MS);
	assert_int_equal(rate(&room, 0), 0);
	room_fini(&room);
}

static void
test_rate_over_shards(void **state)
{
	(void)state;
	/* Goal: each shard knows of all, a sample later at most; when nothing moves any more all
	 * know that, and no timer runs on. */
	struct room room;
	room_init(&room);
	for (int i = 0; i < 200; i++) {
		note(&room, 0, KB);
		note(&room, 2, 3 * KB);
		ot_sim_world_run_for_ms(room.world, 100);
	}
	for (uint32_t i = 0; i < SHARDS; i++) {
		int64_t found = rate(&room, i);
		assert_true(found > 38 * KB && found < 42 * KB);
	}
	ot_sim_world_run_for_ms(room.world, (SAMPLES + 3) * SAMPLE_MS);
	for (uint32_t i = 0; i < SHARDS; i++)
		assert_int_equal(rate(&room, i), 0);
	assert_false(ot_sim_world_step(room.world));
	room_fini(&room);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate_over_time),
		cmocka_unit_test(test_rate_over_shards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
