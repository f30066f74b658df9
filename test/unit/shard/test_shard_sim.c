/* Goal: shards run unchanged on simulated threads: messages arrive once, in order, and wake
 * sleepers; a crash leaves nothing behind.
 *
 * Method: three shards of one machine pass numbered messages in rings for a while, over several
 * seeds; then the machine is killed in the middle of it and drained. */
#include "../test.h"

#include "base/alloc.h"
#include "shard/shard.h"
#include "sim/sim_io.h"

enum { SHARDS = 2, SEEDS = 20, BALLS = 5 };

struct town {
	struct ot_sim_world *world;
	struct ot_sim_host *host;
	struct ot_io *ios[SHARDS + 1];
	struct ot_shard_set *set;
	uint64_t delivered;
	bool is_over;
};

/* A message that goes round the shards until the town is over. */
struct ball {
	struct ot_mail mail;
	struct town *town;
	uint32_t at;
	uint64_t *freed;
};

static void
deliver_ball(struct ot_mail *mail)
{
	struct ball *ball = OT_CONTAINER_OF(mail, struct ball, mail);
	struct town *town = ball->town;
	assert_int_equal(ot_shard_self->index, ball->at);
	town->delivered++;
	if (town->is_over) {
		++*ball->freed;
		ot_free(ball);
		return;
	}
	ball->at = (ball->at + 1) % (SHARDS + 1);
	ot_shard_post(town->set->shards[ball->at], &ball->mail);
}

static void
enter(void *arg, struct ot_io *io)
{
	struct town *town = arg;
	struct ot_shard *shard = NULL;
	for (uint32_t i = 0; i <= SHARDS; i++) {
		if (io != NULL && town->ios[i] == io)
			shard = town->set->shards[i];
	}
	ot_shard_enter(shard);
}

static uint64_t
run_town(uint64_t seed, enum ot_sim_stop how)
{
	struct town town = { .world = ot_sim_world_create(seed) };
	uint64_t freed = 0;
	town.host = ot_sim_host_create(town.world, "10.0.0.1");
	for (uint32_t i = 0; i <= SHARDS; i++)
		town.ios[i] = ot_sim_io_create(town.host);
	town.set = ot_shard_set_create(SHARDS, town.ios, 1 << 20);
	ot_sim_world_on_switch(town.world, enter, &town);
	for (int i = 0; i < BALLS; i++) {
		struct ball *ball = OT_NEW(struct ball);
		*ball = (struct ball){ .mail = { .deliver = deliver_ball },
			.town = &town,
			.freed = &freed };
		ot_shard_post(town.set->shards[0], &ball->mail);
	}
	ot_sim_world_run_for_ms(town.world, 50);
	assert_true(town.delivered > 100);
	town.is_over = true;
	ot_sim_host_crash(town.host, how);
	ot_sim_host_drain(town.host);
	assert_int_equal(freed, BALLS);
	ot_shard_set_destroy(town.set);
	for (uint32_t i = 0; i <= SHARDS; i++)
		ot_sim_io_destroy(town.ios[i]);
	uint64_t hash = ot_sim_trace_hash(ot_sim_world_trace(town.world));
	ot_sim_world_destroy(town.world);
	return hash;
}

static void
test_messages_go_round(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t hash = run_town(seed, OT_SIM_KILLED);
		assert_true(run_town(seed, OT_SIM_KILLED) == hash);
		assert_true(run_town(seed, OT_SIM_POWER_LOST) != hash);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_go_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
