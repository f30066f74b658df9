/* Tests of the metadata log that grows from the engine `local` into `etcd`: what is told goes on
 * without a break, and a stop of the machine at any moment loses nothing. */
#include "metalog_kit.h"
#include "model_kv.h"

#include "cluster/metalog_grow.h"
#include "sim/sim_io.h"

enum { LIVES_MAX = 40 };

/* A process on a disk of its own; the store is another machine's. */
struct life {
	struct stage *stage;
	struct member member;
	struct ot_sim_host *host;
	struct ot_io *io;
	struct ot_sim_disk *disk; /* a clone; NULL: the host's own */
	struct model_client *clients[8];
	int client_count;
	int64_t acked_count; /* when it was stopped: what its ghost does counts no more */
	bool is_stopped;
	bool is_grown;
	ot_err grow_err;
};

struct stage {
	struct ot_sim_world *world;
	struct ot_io *io;
	struct model_store store;
	struct life lives[LIVES_MAX];
	int life_count;
	int64_t delay_ms_max;
	uint64_t late_request; /* parts of 1000 */
};

static struct stage *
stage_create(uint64_t seed)
{
	struct stage *stage = OT_NEW(struct stage);

	stage->world = ot_sim_world_create(seed);
	stage->io = ot_sim_io_create(ot_sim_host_create(stage->world, "10.0.0.1"));
	stage->delay_ms_max = 3;
	model_store_init(&stage->store, stage->io);
	return stage;
}

static struct ot_kv *
make_kv(void *arg)
{
	struct life *life = arg;
	struct model_client *client = model_client_create(&life->stage->store, life->io);

	client->late_request = life->stage->late_request;
	client->delay_ms_max = life->stage->delay_ms_max;
	assert_in_range(life->client_count, 0, 7);
	life->clients[life->client_count++] = client;
	return &client->base;
}

static struct ot_metalog_target
target_of(struct life *life)
{
	return (struct ot_metalog_target){
		.make_kv = make_kv,
		.arg = life,
		.prefix = "/ottla/test",
		.directory = { { [15] = 7 } },
		.endpoint = { "10.9.9.9", 9000 },
		.lease_ms = 2000,
	};
}

/* Starts a process on what is on the disk. */
static struct life *
life_begin(struct stage *stage, struct ot_sim_disk *disk)
{
	struct life *life = &stage->lives[stage->life_count];
	struct ot_metalog_target target = target_of(life);
	struct ot_metalog_marker marker;
	struct ot_metalog *log;
	struct ot_why why;
	char address[20];

	assert_in_range(stage->life_count, 0, LIVES_MAX - 1);
	(void)snprintf(address, sizeof(address), "10.0.1.%d", ++stage->life_count);
	life->stage = stage;
	life->disk = disk;
	life->host = ot_sim_host_create(stage->world, address);
	life->io = ot_sim_io_create(life->host);
	if (disk != NULL)
		life->io->fs = ot_sim_disk_fs(disk);
	assert_ok(ot_fs_mkdir_all(life->io->fs, "/data"));
	assert_ok(ot_fs_sync_dir(life->io->fs, "/"));
	assert_ok(ot_metalog_marker_read(life->io->fs, "/data", &marker, &why));
	if (marker.stage == OT_METALOG_ETCD) {
		log = ot_metalog_etcd_create(&(struct ot_metalog_etcd_args){
		    .io = life->io,
		    .kv = make_kv(life),
		    .prefix = target.prefix,
		    .node_id = 1,
		    .directory = target.directory,
		    .is_candidate = true,
		    .lease_ms = 2000,
		});
		life->is_grown = true;
	} else {
		log = ot_metalog_grow_create(&(struct ot_metalog_grow_args){
		    .local = { .io = life->io,
			.dir = "/data",
			.node_id = 1,
			.segment_bytes = 8 * 1024 * 1024,
			.segment_ms = 604800000 },
		    .marker = marker,
		    .target = &target,
		});
	}
	member_start(&life->member, log, life->io, 1, stage->life_count);
	return life;
}

static void
on_grown(void *arg, ot_err err)
{
	struct life *life = arg;

	life->is_grown = true;
	life->grow_err = err;
}

static void
life_grow(struct life *life)
{
	const struct ot_metalog_target target = target_of(life);

	ot_metalog_grow(life->member.log, &target, on_grown, life);
}

static void
life_settle(struct life *life)
{
	for (int i = 0; i < 3000 && life->member.epoch == 0; i++)
		ot_sim_world_run_for_ms(life->stage->world, 5);
	assert_string_equal(life->member.why, "");
	assert_true(life->member.epoch > 0);
}

static void
life_close(struct life *life)
{
	member_close(&life->member);
	for (int i = 0; i < 500 && !life->member.is_closed; i++)
		ot_sim_world_run_for_ms(life->stage->world, 10);
	assert_true(life->member.is_closed);
	ot_sim_io_destroy(life->io);
	life->io = NULL;
}

/* Stops the machine, without its power or only the process, and gives the disk as it is then. */
static struct ot_sim_disk *
life_crash(struct life *life, enum ot_sim_stop how)
{
	struct ot_sim_disk *from = life->disk != NULL ? life->disk : ot_sim_host_disk(life->host);
	struct ot_sim_disk *clone = ot_sim_disk_clone(from, ot_io_random_u64(life->stage->io));

	ot_sim_disk_restart(clone, how);
	life->is_stopped = true;
	life->acked_count = life->member.acked_count;
	for (size_t i = 0; i < life->stage->store.client_count; i++)
		life->stage->store.clients[i]->is_dead = true;
	return clone;
}

static void
stage_destroy(struct stage *stage)
{
	for (int i = 0; i < stage->life_count; i++) {
		struct life *life = &stage->lives[i];

		if (life->io != NULL)
			life_close(life);
		member_fini(&life->member);
		ot_sim_disk_destroy(life->disk);
	}
	model_store_fini(&stage->store);
	ot_sim_io_destroy(stage->io);
	ot_sim_world_destroy(stage->world);
	ot_free(stage);
}

/* What a user of the log does: one batch, and now and then a large one or a snapshot. */
static void
life_write(struct life *life)
{
	struct member *member = &life->member;
	struct ot_io *io = life->stage->io;

	if (member->epoch == 0)
		return;
	member_append(member, model_below(io, 400) == 0 ? 30000 : 1 + (int32_t)model_below(io, 9));
	if (model_below(io, 60) == 0 && member->snapshots_begun == member->snapshot_done_count)
		member_put_snapshot(member);
}

/* All that was acknowledged by any life is what this one was told. */
static void
check_lives(struct stage *stage, struct life *now)
{
	for (int i = 0; i < stage->life_count; i++) {
		struct life *life = &stage->lives[i];

		if (life->is_stopped)
			life->member.acked_count = life->acked_count;
		kit_check_acked(&life->member, &now->member);
	}
}

/* Goal: growing under load: what was told is not told again, offsets and epochs go on, what was
 * acknowledged is there for another that reads etcd from its start; a restart finds etcd. */
static void
test_online(void **state)
{
	struct stage *stage = stage_create(1);
	struct life *life = life_begin(stage, NULL), *next;
	int64_t told;
	int32_t epoch;
	(void)state;

	life_settle(life);
	for (int i = 0; i < 300; i++) {
		life_write(life);
		ot_sim_world_run_for_ms(stage->world, 2);
	}
	told = life->member.number_count;
	epoch = life->member.epoch;
	assert_true(life->member.snapshot_ok_count > 0);
	life_grow(life);
	for (int i = 0; i < 3000 && (!life->is_grown || life->member.epoch == 0); i++) {
		life_write(life);
		ot_sim_world_run_for_ms(stage->world, 2);
	}
	assert_true(life->is_grown);
	assert_int_equal(life->grow_err, OT_OK);
	assert_int_equal(life->member.snapshot_told_count, 0);
	assert_true(life->member.number_count > told);
	assert_true(life->member.epoch > epoch);
	for (int i = 0; i < 100; i++)
		life_write(life);
	ot_sim_world_run_for_ms(stage->world, 2000);
	assert_int_equal(life->member.under_way, 0);
	next = life_begin(stage, life_crash(life, OT_SIM_KILLED));
	assert_true(next->is_grown);
	life_settle(next);
	check_lives(stage, next);
	assert_int_equal(next->member.number_count, life->member.number_count);
	stage_destroy(stage);
}

/* Goal: where etcd holds another log, growing is refused, and the local log goes on. */
static void
test_refused(void **state)
{
	struct stage *stage = stage_create(2);
	struct life *other = life_begin(stage, NULL), *life;
	(void)state;

	life_settle(other);
	life_grow(other);
	ot_sim_world_run_for_ms(stage->world, 3000);
	assert_true(other->is_grown);
	life = life_begin(stage, NULL);
	life_settle(life);
	member_append(&life->member, 3);
	life_grow(life);
	ot_sim_world_run_for_ms(stage->world, 3000);
	assert_int_equal(life->grow_err, OT_ERR_EXISTS);
	member_append(&life->member, 3);
	ot_sim_world_run_for_ms(stage->world, 100);
	assert_int_equal(life->member.acked_count, 6);
	assert_int_equal(life->member.lead_count, 1);
	stage_destroy(stage);
}

/* One run that stops the machine several times while it grows. Gives how many lives it took. */
static int
run_crashes(uint64_t seed)
{
	struct stage *stage = stage_create(seed);
	struct life *life = life_begin(stage, NULL);
	uint64_t before = model_below(stage->io, 60);
	int lives;

	stage->delay_ms_max = (int64_t)model_below(stage->io, 60);
	stage->late_request = model_below(stage->io, 2) == 0 ? model_below(stage->io, 300) : 0;
	life_settle(life);
	for (uint64_t i = 0; i < before; i++) {
		life_write(life);
		ot_sim_world_run_for_ms(stage->world, 2);
	}
	life_grow(life);
	for (int round = 0; round < 20 && !life->is_grown; round++) {
		enum ot_sim_stop how =
		    model_below(stage->io, 2) == 0 ? OT_SIM_KILLED : OT_SIM_POWER_LOST;
		uint64_t steps = model_below(stage->io, 200 * (uint64_t)(round + 1));

		for (uint64_t i = 0; i < steps; i++) {
			life_write(life);
			ot_sim_world_run_for_ms(stage->world, 1);
		}
		if (life->is_grown && model_below(stage->io, 2) == 0)
			break;
		life = life_begin(stage, life_crash(life, how));
		if (!life->is_grown)
			life_grow(life);
	}
	stage->late_request = 0;
	for (size_t i = 0; i < stage->store.client_count; i++)
		stage->store.clients[i]->late_request = 0;
	ot_sim_world_run_for_ms(stage->world, 10000);
	for (int i = 0; i < 6000 && !life->is_grown; i++)
		ot_sim_world_run_for_ms(stage->world, 10);
	assert_string_equal(life->member.why, "");
	assert_true(life->is_grown);
	assert_int_equal(life->grow_err, OT_OK);
	life_settle(life);
	member_append(&life->member, 3);
	ot_sim_world_run_for_ms(stage->world, 3000);
	check_lives(stage, life);
	lives = stage->life_count;
	stage_destroy(stage);
	return lives;
}

/* Goal: whenever the machine stops, the next start finds all that was acknowledged, in one of both
 * engines, and growing ends well. */
static void
test_crashes(void **state)
{
	const char *from = getenv("GROW_SEED"), *count = getenv("GROW_SEEDS");
	uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
	uint64_t seeds = count != NULL ? strtoull(count, NULL, 10) : from != NULL ? 1 : 12;
	int lives = 0;
	(void)state;

	for (uint64_t seed = first; seed < first + seeds; seed++) {
		print_message("GROW_SEED=%llu\n", (unsigned long long)seed);
		lives += run_crashes(seed);
	}
	if (seeds > 10)
		assert_true((uint64_t)lives > 2 * seeds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_online),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
