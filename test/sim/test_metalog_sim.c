/* Tests of the simulator's engine of the metadata log: the contract of metalog.h, which the kit
 * checks with every call, while the ways to the store are slow, cut and lose messages. */
#include "../unit/cluster/metalog_kit.h"

#include "metalog_sim.h"
#include "sim/sim_io.h"

enum { MEMBERS_MAX = 5, LIVES_MAX = 400 };

/* Processes, each on a machine of its own. */
struct stage {
	struct ot_sim_world *world;
	struct ot_sim_random *random;
	struct metalog_store *store;
	struct ot_sim_host *hosts[MEMBERS_MAX];
	struct member members[MEMBERS_MAX];
	struct member lives[LIVES_MAX]; /* those that have ended */
	int life_count;
	int64_t tag_next;
};

static bool
is_open(const struct stage *stage, int index)
{
	return stage->members[index].log != NULL;
}

static void
stage_open(struct stage *stage, int index)
{
	struct ot_io *io;
	struct ot_metalog *log;

	if (!ot_sim_host_is_up(stage->hosts[index]))
		ot_sim_host_restart(stage->hosts[index]);
	io = ot_sim_io_create(stage->hosts[index]);
	log = metalog_sim_create(&(struct metalog_sim_args){
	    .store = stage->store,
	    .io = io,
	    .node_id = index + 1,
	    .is_candidate = index < 3,
	    .endpoint = { "here.example", (uint16_t)(9000 + index) },
	});
	member_start(&stage->members[index], log, io, index + 1, stage->tag_next++);
}

static struct stage *
stage_create(uint64_t seed)
{
	struct metalog_store_conf conf = metalog_store_conf_default;
	struct stage *stage = OT_NEW(struct stage);
	char address[16];

	conf.seed = seed;
	conf.lease_ms = 2000;
	stage->world = ot_sim_world_create(seed);
	stage->random = ot_sim_world_random(stage->world);
	stage->store = metalog_store_create(stage->world, &conf);
	for (int i = 0; i < MEMBERS_MAX; i++) {
		(void)snprintf(address, sizeof(address), "10.0.0.%d", i + 1);
		stage->hosts[i] = ot_sim_host_create(stage->world, address);
	}
	stage->tag_next = 1;
	return stage;
}

static void
stage_run(struct stage *stage, uint64_t ms)
{
	ot_sim_world_run_for_ms(stage->world, ms);
}

/* The member has ended: its life is kept for the checks. */
static void
bury(struct stage *stage, int index)
{
	struct member *member = &stage->members[index];

	assert_true(member->is_closed);
	assert_in_range(stage->life_count, 0, LIVES_MAX - 1);
	ot_sim_io_destroy(member->io);
	stage->lives[stage->life_count++] = *member;
	*member = (struct member){ 0 };
}

static void
stage_close(struct stage *stage, int index)
{
	struct member *member = &stage->members[index];

	member_close(member);
	for (int i = 0; i < 500 && !member->is_closed; i++)
		stage_run(stage, 10);
	bury(stage, index);
}

static void
stage_crash(struct stage *stage, int index)
{
	ot_sim_host_crash(stage->hosts[index], OT_SIM_POWER_LOST);
	member_close(&stage->members[index]);
	ot_sim_host_drain(stage->hosts[index]);
	bury(stage, index);
}

static void
stage_destroy(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (is_open(stage, i))
			stage_close(stage, i);
	for (int i = 0; i < stage->life_count; i++)
		member_fini(&stage->lives[i]);
	metalog_store_destroy(stage->store);
	ot_sim_world_destroy(stage->world);
	ot_free(stage);
}

static struct member *
stage_leader(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (is_open(stage, i) && stage->members[i].epoch > 0)
			return &stage->members[i];
	return NULL;
}

static struct member *
stage_settle(struct stage *stage)
{
	for (int i = 0; i < 2000 && stage_leader(stage) == NULL; i++)
		stage_run(stage, 10);
	assert_non_null(stage_leader(stage));
	return stage_leader(stage);
}

static void
check_all(struct stage *stage)
{
	const struct member *first = NULL;

	for (int i = 0; i < MEMBERS_MAX; i++) {
		if (!is_open(stage, i))
			continue;
		if (first == NULL)
			first = &stage->members[i];
		kit_check_same(first, &stage->members[i]);
	}
	assert_non_null(first);
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (is_open(stage, i))
			kit_check_acked(&stage->members[i], first);
	for (int i = 0; i < stage->life_count; i++)
		kit_check_acked(&stage->lives[i], first);
}

/* Goal: what is appended is told to all, in order, at the same offsets, acknowledged once told; a
 * reader that comes later is told the same, one behind a snapshot too. */
static void
test_append(void **state)
{
	struct stage *stage = stage_create(1);
	struct member *leader;
	(void)state;

	for (int i = 0; i < 4; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	for (int i = 0; i < 700; i++)
		member_append(leader, 1 + i % 7);
	stage_run(stage, 2000);
	assert_int_equal(leader->acked_count, 2800);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(stage->members[i].leader_id, leader->node_id);
		assert_int_equal(stage->members[i].leader_port, 8999 + leader->node_id);
	}
	member_put_snapshot(leader);
	stage_run(stage, 1000);
	assert_int_equal(leader->snapshot_ok_count, 1);
	assert_int_equal(metalog_store_start_offset(stage->store), leader->next_offset);
	member_append(leader, 3);
	stage_open(stage, 4);
	stage_run(stage, 1000);
	assert_int_equal(stage->members[4].snapshot_told_count, 1);
	assert_int_equal(stage->members[4].leader_id, leader->node_id);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: whoever is cut off stops to lead when its lease is over by its own clock, its appends fail,
 * another leads, and what the store had taken is told to all, the deposed one included. */
static void
test_lost_answer(void **state)
{
	struct stage *stage = stage_create(2);
	struct member *leader, *other;
	int64_t count;
	(void)state;

	for (int i = 0; i < 3; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	stage_run(stage, 100);
	metalog_store_cut(stage->store, leader->node_id, false, true);
	member_append(leader, 5);
	stage_run(stage, 1000);
	assert_int_equal(leader->under_way, 1);
	stage_run(stage, 1500);
	assert_int_equal(leader->under_way, 0);
	assert_int_equal(leader->failed_count, 1);
	assert_int_equal(leader->number_count, 0);
	stage_run(stage, 5000);
	other = stage_settle(stage);
	assert_ptr_not_equal(other, leader);
	assert_int_equal(other->number_count, 5);
	member_append(other, 1);
	/* Now it is the other way that is cut: nothing of it is ever taken. */
	metalog_store_cut(stage->store, leader->node_id, false, false);
	stage_run(stage, 500);
	assert_int_equal(leader->number_count, 6);
	metalog_store_cut(stage->store, other->node_id, true, false);
	count = other->number_count;
	member_append(other, 5);
	stage_run(stage, 8000);
	assert_int_equal(other->failed_count, 1);
	metalog_store_heal(stage->store);
	stage_run(stage, 2000);
	assert_int_equal(other->number_count, count);
	check_all(stage);
	stage_destroy(stage);
}

/* ---- everything at once ---------------------------------------------------------------------- */

static void
hurt(struct stage *stage)
{
	struct ot_sim_random *random = stage->random;
	int index = (int)ot_sim_random_below(random, MEMBERS_MAX);
	uint64_t ways = ot_sim_random_below(random, 4);

	switch (ot_sim_random_below(random, 9)) {
	case 0:
	case 1:
		metalog_store_cut(stage->store, index + 1, (ways & 1) != 0, (ways & 2) != 0);
		break;
	case 2:
		metalog_store_set_outage(stage->store, ways == 0);
		break;
	case 3:
		metalog_store_refuse(stage->store, ways == 0 ? OT_ERR_NO_SPACE : OT_OK);
		break;
	case 4:
		if (is_open(stage, index))
			stage_crash(stage, index);
		break;
	case 5:
		if (is_open(stage, index))
			stage_close(stage, index);
		break;
	case 6:
		if (is_open(stage, index))
			ot_sim_host_freeze_ms(stage->hosts[index], ways * 1500);
		break;
	case 7:
		metalog_store_depose(stage->store);
		break;
	default:
		metalog_store_heal(stage->store);
	}
}

static void
work(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++) {
		struct member *member = &stage->members[i];

		if (!is_open(stage, i)) {
			if (ot_sim_random_below(stage->random, 4) == 0)
				stage_open(stage, i);
			continue;
		}
		if (member->epoch == 0)
			continue;
		for (uint64_t n = ot_sim_random_below(stage->random, 4); n > 0; n--)
			member_append(member, 1 + (int32_t)ot_sim_random_below(stage->random, 3));
		if (member->snapshots_begun == member->snapshot_done_count &&
		    !member->is_in_snapshot && ot_sim_random_below(stage->random, 20) == 0)
			member_put_snapshot(member);
	}
}

static void
test_faults(void **state)
{
	uint64_t acked = 0, failed = 0, snapshots = 0;
	(void)state;

	/* Goal: under every fault that the store has, over seeds, nothing that was acknowledged is
	 * lost or told twice, and in the end all know the same and somebody leads. */
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct stage *stage = stage_create(seed);
		struct metalog_store_conf conf = metalog_store_conf_default;

		conf.lost = 20000;
		metalog_store_set_conf(stage->store, &conf);
		for (int i = 0; i < MEMBERS_MAX; i++)
			stage_open(stage, i);
		for (int round = 0; round < 150; round++) {
			stage_run(stage, ot_sim_random_below(stage->random, 300));
			work(stage);
			if (ot_sim_random_below(stage->random, 5) == 0)
				hurt(stage);
		}
		metalog_store_heal(stage->store);
		for (int i = 0; i < MEMBERS_MAX; i++)
			if (!is_open(stage, i))
				stage_open(stage, i);
		stage_run(stage, 20000);
		stage_settle(stage);
		stage_run(stage, 1000);
		check_all(stage);
		for (int i = 0; i < stage->life_count; i++) {
			acked += (uint64_t)stage->lives[i].acked_count;
			failed += (uint64_t)stage->lives[i].failed_count;
		}
		snapshots += metalog_store_snapshot_count(stage->store);
		stage_destroy(stage);
	}
	assert_true(acked > 1000 && failed > 100 && snapshots > 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_lost_answer),
		cmocka_unit_test(test_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
