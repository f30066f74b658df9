/* Tests of the engine `etcd` on a model of its store, in virtual time: the contract of metalog.h,
 * with requests and answers lost, leases that end, watches that break and hang, histories that are
 * compacted, and a store that is full. */
#include "metalog_kit.h"
#include "model_kv.h"

#include "sim/sim_io.h"

enum { MEMBERS_MAX = 5, LIVES_MAX = 400, LEASE_MS = 2000, PARTED_COUNT = 60000 };

/* A cluster's processes, on one machine of the simulator. */
struct stage {
	struct ot_sim_world *world;
	struct ot_io *io;
	struct model_store store;
	struct model_client *clients[MEMBERS_MAX];
	struct member members[MEMBERS_MAX];
	struct member lives[LIVES_MAX]; /* those that have ended */
	int life_count;
	int64_t tag_next;
};

static bool
is_candidate(int index)
{
	return index < 3;
}

static void
stage_open(struct stage *stage, int index)
{
	const struct ot_uuid directory = { { [15] = (uint8_t)(10 + index) } };
	struct ot_metalog *log;

	stage->clients[index] = model_client_create(&stage->store, stage->io);
	log = ot_metalog_etcd_create(&(struct ot_metalog_etcd_args){
	    .io = stage->io,
	    .kv = &stage->clients[index]->base,
	    .prefix = "/ottla/test",
	    .node_id = index + 1,
	    .directory = directory,
	    .is_candidate = is_candidate(index),
	    .endpoint = { "10.9.9.9", (uint16_t)(9000 + index) },
	    .lease_ms = LEASE_MS,
	});
	member_start(&stage->members[index], log, stage->io, index + 1, stage->tag_next++);
}

static struct stage *
stage_create(uint64_t seed)
{
	struct stage *stage = OT_NEW(struct stage);

	stage->world = ot_sim_world_create(seed);
	stage->io = ot_sim_io_create(ot_sim_host_create(stage->world, "10.0.0.1"));
	stage->tag_next = 1;
	model_store_init(&stage->store, stage->io);
	return stage;
}

static void
stage_run(struct stage *stage, int64_t ms)
{
	ot_sim_world_run_for_ms(stage->world, (uint64_t)ms);
}

/* Ends a member; with its network cut it looks like a crash to the others. */
static void
stage_close(struct stage *stage, int index)
{
	struct member *member = &stage->members[index];

	member_close(member);
	for (int i = 0; i < 200 && !member->is_closed; i++)
		stage_run(stage, 10);
	assert_true(member->is_closed);
	assert_in_range(stage->life_count, 0, LIVES_MAX - 1);
	stage->lives[stage->life_count++] = *member;
	*member = (struct member){ 0 };
}

static void
stage_destroy(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (stage->members[i].log != NULL)
			stage_close(stage, i);
	for (int i = 0; i < stage->life_count; i++)
		member_fini(&stage->lives[i]);
	model_store_fini(&stage->store);
	ot_sim_io_destroy(stage->io);
	ot_sim_world_destroy(stage->world);
	ot_free(stage);
}

static struct member *
stage_leader(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (stage->members[i].epoch > 0)
			return &stage->members[i];
	return NULL;
}

/* Runs until somebody leads. */
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
		if (stage->members[i].log == NULL)
			continue;
		assert_int_equal(stage->members[i].failure, OT_OK);
		if (first == NULL)
			first = &stage->members[i];
		kit_check_same(first, &stage->members[i]);
	}
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (stage->members[i].log != NULL)
			kit_check_acked(&stage->members[i], first);
	for (int i = 0; i < stage->life_count; i++)
		kit_check_acked(&stage->lives[i], first);
}

/* Goal: what is appended is told to all, in order, at the same offsets, acknowledged once told; a
 * reader that comes later is told the same. */
static void
test_append(void **state)
{
	struct stage *stage = stage_create(1);
	struct member *leader;
	(void)state;

	for (int i = 0; i < 4; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	for (int i = 0; i < 3000; i++)
		member_append(leader, 1 + i % 7);
	stage_run(stage, 2000);
	assert_int_equal(leader->under_way, 0);
	assert_int_equal(leader->failed_count, 0);
	assert_int_equal(leader->acked_count, 3000 / 7 * 28 + 1 + 2 + 3 + 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(stage->members[i].leader_id, leader->node_id);
		assert_int_equal(stage->members[i].leader_port, 8999 + leader->node_id);
	}
	stage_open(stage, 4);
	stage_run(stage, 1000);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: only the leader, in its epoch, can append. */
static void
test_wrong_epoch(void **state)
{
	struct stage *stage = stage_create(2);
	struct member *leader, *other;
	(void)state;

	for (int i = 0; i < 2; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	other = &stage->members[leader == &stage->members[0]];
	stage_run(stage, 100);
	other->epoch = leader->epoch;
	member_append(other, 1);
	other->epoch = 0;
	stage_run(stage, 10);
	assert_int_equal(other->failed_count, 1);
	assert_int_equal(other->append_err, OT_ERR_NOT_CONTROLLER);
	/* All behind one that fails fail too; then a new epoch begins. */
	leader->epoch--;
	member_append(leader, 1);
	leader->epoch++;
	member_append(leader, 1);
	assert_int_equal(leader->failed_count, 0);
	stage_run(stage, 10);
	assert_int_equal(leader->failed_count, 2);
	leader = stage_settle(stage);
	member_append(leader, 1);
	stage_run(stage, 1000);
	assert_int_equal(leader->acked_count, 1);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: a batch that no request of etcd holds is told whole, to watchers and to those who come
 * later, between small ones. */
static void
test_parts(void **state)
{
	struct stage *stage = stage_create(3);
	struct member *leader;
	(void)state;

	for (int i = 0; i < 3; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	for (int i = 0; i < 3; i++) {
		member_append(leader, 3);
		member_append(leader, PARTED_COUNT);
		member_append(leader, 2);
	}
	assert_null(model_at(&stage->store, "/ottla/test/part/"));
	stage_run(stage, 3000);
	assert_int_equal(leader->acked_count, 3 * (PARTED_COUNT + 5));
	stage_open(stage, 3);
	stage_run(stage, 2000);
	check_all(stage);
	/* They go with the log that they belong to. */
	member_put_snapshot(leader);
	stage_run(stage, 5000);
	assert_int_equal(leader->snapshot_ok_count, 1);
	for (size_t i = 0; i < stage->store.key_count; i++)
		assert_null(strstr(stage->store.keys[i]->key, "/part/"));
	stage_destroy(stage);
}

/* Goal: after a snapshot the log before it is gone, a new reader is told the snapshot and the rest,
 * one that was away while the history was compacted begins anew. */
static void
test_snapshot(void **state)
{
	struct stage *stage = stage_create(4);
	struct member *leader, *late;
	size_t keys;
	(void)state;

	for (int i = 0; i < 4; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	for (int i = 0; i < 500; i++) {
		member_append(leader, 3);
		stage_run(stage, 5);
	}
	stage_run(stage, 500);
	late = &stage->members[3];
	stage->clients[3]->is_cut = true;
	for (int i = 0; i < 100; i++)
		member_append(leader, 3);
	stage_run(stage, 3000);
	keys = stage->store.key_count;
	member_put_snapshot(leader);
	stage_run(stage, 1000);
	assert_int_equal(leader->snapshot_ok_count, 1);
	assert_true(stage->store.key_count < keys / 10);
	assert_int_equal(ot_metalog_bytes_since_snapshot(leader->log), 0);
	assert_int_equal(late->snapshot_told_count, 0);
	stage->clients[3]->is_cut = false;
	member_append(leader, 3);
	stage_run(stage, 3000);
	assert_int_equal(late->snapshot_told_count, 1);
	stage_open(stage, 4);
	stage_run(stage, 500);
	assert_int_equal(stage->members[4].snapshot_told_count, 1);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: a leader that is cut off stops within its lease, another takes over after it, and what the
 * old one still sends changes nothing. */
static void
test_lease_lost(void **state)
{
	struct stage *stage = stage_create(5);
	struct member *leader, *next;
	int index;
	int32_t epoch;
	(void)state;

	for (int i = 0; i < 4; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	index = leader->node_id - 1;
	epoch = leader->epoch;
	stage->clients[index]->is_cut = true;
	member_append(leader, 2);
	stage_run(stage, LEASE_MS);
	assert_int_equal(leader->epoch, 0);
	assert_int_equal(leader->failed_count, 1);
	stage_run(stage, LEASE_MS);
	next = stage_settle(stage);
	assert_ptr_not_equal(next, leader);
	assert_true(next->epoch > epoch);
	member_append(next, 2);
	stage->clients[index]->is_cut = false;
	stage_run(stage, 3000);
	assert_int_equal(next->acked_count, 2);
	assert_int_equal(leader->leader_id, next->node_id);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: a process that restarts does not wait for its own old lease, nor do the others for the one
 * of a leader that closes in order. */
static void
test_handover(void **state)
{
	struct stage *stage = stage_create(6);
	struct member *leader;
	(void)state;

	stage_open(stage, 0);
	leader = stage_settle(stage);
	member_append(leader, 1);
	stage_run(stage, 100);
	/* It dies: nothing of it reaches etcd any more. */
	stage->clients[0]->is_cut = true;
	member_close(leader);
	stage_run(stage, 600);
	assert_true(leader->is_closed);
	stage->lives[stage->life_count++] = *leader;
	stage_open(stage, 0);
	stage_run(stage, 300);
	assert_true(leader->epoch > 0);
	stage_open(stage, 1);
	stage_run(stage, 100);
	stage_close(stage, 0);
	stage_run(stage, 100);
	assert_true(stage->members[1].epoch > 0);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: an append whose answer is lost is written once; those behind it too. */
static void
test_lost_answers(void **state)
{
	struct stage *stage = stage_create(7);
	struct member *leader;
	(void)state;

	stage_open(stage, 0);
	leader = stage_settle(stage);
	stage->clients[0]->lose_answer = 100;
	stage->clients[0]->lose_request = 100;
	for (int i = 0; i < 400; i++) {
		leader = stage_settle(stage);
		member_append(leader, 2);
		stage_run(stage, 200);
	}
	stage->clients[0]->lose_answer = stage->clients[0]->lose_request = 0;
	stage_run(stage, 20000);
	assert_true(leader->acked_count > 600);
	assert_int_equal(leader->under_way, 0);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: a full store stops nothing for good: it is relieved, and what waited is written. */
static void
test_no_space(void **state)
{
	struct stage *stage = stage_create(8);
	struct member *leader;
	(void)state;

	for (int i = 0; i < 2; i++)
		stage_open(stage, i);
	leader = stage_settle(stage);
	stage->store.is_full = true;
	for (int i = 0; i < 10; i++)
		member_append(leader, 2);
	stage_run(stage, 5000);
	assert_int_equal(stage->store.relief_count, 1);
	assert_int_equal(leader->acked_count, 20);
	assert_int_equal(leader->failed_count, 0);
	check_all(stage);
	stage_destroy(stage);
}

/* Goal: a store that has lost what it acknowledged, and values of a newer release, stop the log
 * with a message; nothing is told. */
static void
test_bad_store(void **state)
{
	struct stage *stage = stage_create(9);
	struct member *leader;
	struct model_key *head;
	(void)state;

	stage_open(stage, 0);
	stage_open(stage, 3);
	leader = stage_settle(stage);
	for (int i = 0; i < 10; i++)
		member_append(leader, 2);
	stage_run(stage, 1000);
	head = model_at(&stage->store, "/ottla/test/head");
	head->value[9] = 5; /* the offset's last byte */
	stage->clients[3]->break_watch = 1000;
	member_append(leader, 2);
	stage_run(stage, 50);
	stage->clients[3]->break_watch = 0;
	head->value[9] = 5;
	stage_run(stage, 3000);
	assert_int_equal(stage->members[3].failure, OT_ERR_CORRUPT_FILE);
	assert_non_null(strstr(stage->members[3].why, "lost what it acknowledged"));
	head->value[1] = 2;
	stage_open(stage, 4);
	stage_run(stage, 100);
	assert_int_equal(stage->members[4].failure, OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(stage->members[4].number_count, 0);
	stage_close(stage, 0);
	stage_destroy(stage);
}

/* Goal: nobody leads a prefix that somebody fills. */
static void
test_seed(void **state)
{
	struct stage *stage = stage_create(10);
	const uint8_t value[18] = { 0, 1 };
	(void)state;

	stage->store.revision++;
	model_put(&stage->store, &(struct ot_kv_op){ .type = OT_KV_PUT,
				     .key = "/ottla/test/seed",
				     .value = { value, 18 } });
	stage_open(stage, 0);
	stage_run(stage, 5000);
	assert_null(stage_leader(stage));
	assert_int_equal(stage->members[0].failure, OT_OK);
	stage->store.revision++;
	model_delete(&stage->store, &(struct ot_kv_op){ .key = "/ottla/test/seed" });
	stage_settle(stage);
	stage_destroy(stage);
}

/* ---- faults by seed ---------------------------------------------------------------------------
 */

static void
shake_network(struct stage *stage, int index)
{
	struct model_client *client = stage->clients[index];
	struct ot_io *io = stage->io;

	client->is_cut = model_below(io, 8) == 0;
	client->is_stalled = model_below(io, 8) == 0;
	client->lose_request = model_below(io, 4) == 0 ? model_below(io, 300) : 0;
	client->lose_answer = model_below(io, 4) == 0 ? model_below(io, 300) : 0;
	client->late_request = model_below(io, 4) == 0 ? model_below(io, 200) : 0;
	client->break_watch = model_below(io, 4) == 0 ? model_below(io, 300) : 0;
	client->delay_ms_max = (int64_t)model_below(io, model_below(io, 6) == 0 ? 3000 : 20);
	model_client_poke(client);
}

static void
shake_member(struct stage *stage, int index)
{
	struct member *member = &stage->members[index];
	struct ot_io *io = stage->io;

	if (member->log == NULL) {
		if (model_below(io, 5) == 0)
			stage_open(stage, index);
		return;
	}
	if (model_below(io, 20) == 0)
		shake_network(stage, index);
	if (model_below(io, 150) == 0) {
		stage_close(stage, index);
		return;
	}
	for (uint64_t i = model_below(io, 8); i > 0 && member->epoch > 0; i--)
		member_append(member,
		    model_below(io, 400) == 0 ? PARTED_COUNT : 1 + (int32_t)model_below(io, 5));
	if (member->epoch > 0 && member->snapshots_begun == member->snapshot_done_count &&
	    model_below(io, 20) == 0)
		member_put_snapshot(member);
}

static void
calm(struct stage *stage)
{
	for (int i = 0; i < MEMBERS_MAX; i++) {
		if (stage->members[i].log == NULL)
			stage_open(stage, i);
		stage->clients[i]->is_cut = stage->clients[i]->is_stalled = false;
		stage->clients[i]->lose_request = stage->clients[i]->lose_answer = 0;
		stage->clients[i]->break_watch = stage->clients[i]->late_request = 0;
		stage->clients[i]->delay_ms_max = 3;
		model_client_poke(stage->clients[i]);
	}
}

static void
run_seed(uint64_t seed)
{
	struct stage *stage = stage_create(seed);
	struct member *leader;

	for (int round = 0; round < 600; round++) {
		for (int i = 0; i < MEMBERS_MAX; i++)
			shake_member(stage, i);
		if (model_below(stage->io, 200) == 0)
			stage->store.is_full = true;
		stage_run(stage, (int64_t)model_below(stage->io, 60));
	}
	calm(stage);
	stage_run(stage, 20000);
	leader = stage_settle(stage);
	member_append(leader, 3);
	stage_run(stage, 2000);
	for (int i = 0; i < MEMBERS_MAX; i++) {
		assert_string_equal(stage->members[i].why, "");
		assert_int_equal(stage->members[i].under_way, 0);
		assert_int_equal(stage->members[i].leader_id, leader->node_id);
	}
	check_all(stage);
	assert_true(leader->number_count > 100);
	stage_destroy(stage);
}

/* Goal: under all faults together, for many seeds: all members are told the same, whatever was
 * acknowledged is there once and in order, and when the faults end all works again. */
static void
test_faults(void **state)
{
	const char *from = getenv("METALOG_SEED"), *count = getenv("METALOG_SEEDS");
	uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
	uint64_t seeds = count != NULL ? strtoull(count, NULL, 10) : from != NULL ? 1 : 20;
	(void)state;

	for (uint64_t seed = first; seed < first + seeds; seed++) {
		print_message("METALOG_SEED=%llu\n", (unsigned long long)seed);
		run_seed(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_wrong_epoch),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_lease_lost),
		cmocka_unit_test(test_handover),
		cmocka_unit_test(test_lost_answers),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_bad_store),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
