/* Tests of src/cluster/metalog_local.c: the metadata log in files, on a disk that fails. */
#include "fixture.h"

#include "cluster/checkpoint_int.h"

/* ---- a user of the log: it notes what it is told --------------------------------------------- */

enum { RECORDS_MAX = 4096 };

struct told {
	int64_t offset;
	int64_t number; /* of a ProducerIdsRecord */
};

struct user {
	struct ot_metalog *log;
	struct ot_io *io;
	struct told records[RECORDS_MAX];
	int record_count;
	int64_t next_offset;
	int32_t epoch; /* in which this process leads; 0: it does not */
	int leader_count;
	ot_err failure;
	char why[400];
	bool is_in_snapshot;
	bool is_closed;
	int snapshot_count;
	int done_count;
	int ok_count;
	int64_t number_acked; /* the greatest */
};

struct write {
	struct ot_metalog_append append;
	struct user *user;
	int64_t number;
};

static int64_t
number_of(struct ot_bytes framed)
{
	struct ot_typed_record record;
	struct ot_arena arena;
	int64_t number;

	ot_arena_init(&arena, 0);
	assert_ok(ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record));
	assert_int_equal(record.type->type, OT_PRODUCER_IDS_RECORD_TYPE);
	number = ((struct ot_producer_ids_record *)record.msg)->next_producer_id;
	ot_arena_fini(&arena);
	return number;
}

static void
on_snapshot_begin(void *arg, struct ot_metalog_id id, ot_wall_ms timestamp)
{
	struct user *user = arg;

	(void)timestamp;
	user->record_count = 0;
	user->next_offset = id.end_offset;
	user->is_in_snapshot = true;
}

static void
on_snapshot_end(void *arg)
{
	((struct user *)arg)->is_in_snapshot = false;
}

static void
on_batch(void *arg, const struct ot_metalog_batch *batch)
{
	struct user *user = arg;

	assert_int_equal(batch->is_snapshot, user->is_in_snapshot);
	if (!batch->is_snapshot) {
		assert_int_equal(batch->base_offset, user->next_offset);
		user->next_offset = batch->next_offset;
	}
	for (int32_t i = 0; i < batch->record_count; i++) {
		assert_in_range(user->record_count, 0, RECORDS_MAX - 1);
		user->records[user->record_count++] = (struct told){
			batch->is_snapshot ? -1 : batch->base_offset + i,
			number_of(batch->records[i]),
		};
	}
}

static void
on_leader(void *arg, int32_t leader_id, int32_t epoch, const struct ot_metalog_endpoint *endpoint)
{
	struct user *user = arg;

	assert_int_equal(leader_id, 1);
	assert_null(endpoint);
	assert_true(epoch > user->epoch);
	user->epoch = epoch;
	user->leader_count++;
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	struct user *user = arg;

	user->failure = err;
	user->epoch = 0;
	(void)snprintf(user->why, sizeof(user->why), "%s", why);
}

static const struct ot_metalog_events events = { on_snapshot_begin, on_batch, on_snapshot_end,
	on_leader, on_failure };

static void
on_done(struct ot_metalog_append *append, ot_err err)
{
	struct write *write = OT_CONTAINER_OF(append, struct write, append);
	struct user *user = write->user;

	user->done_count++;
	if (err == OT_OK) {
		/* Told before it is acknowledged. */
		assert_true(user->record_count > 0);
		assert_int_equal(user->records[user->record_count - 1].number, write->number);
		user->ok_count++;
		user->number_acked = write->number;
	}
	ot_metadata_records_fini(&append->records);
	ot_free(write);
}

/* Appends a batch of two records that end in `number`. */
static void
append(struct user *user, int64_t number)
{
	struct write *write = ot_must_alloc(sizeof(*write));
	struct ot_producer_ids_record record;

	write->user = user;
	write->number = number;
	write->append.epoch = user->epoch;
	write->append.on_done = on_done;
	ot_metadata_records_init(&write->append.records);
	ot_producer_ids_record_init(&record);
	for (int i = -1; i <= 0; i++) {
		record.next_producer_id = number + i;
		ot_metadata_records_add(&write->append.records, &ot_producer_ids_record_msg,
		    &record);
	}
	ot_metalog_append(user->log, &write->append);
}

/* ---- snapshots: all numbers up to one -------------------------------------------------------- */

struct snapshot {
	struct ot_metalog_snapshot snapshot;
	struct user *user;
	int64_t next;
	int64_t last;
};

static ot_err
snapshot_next(void *arg, struct ot_metadata_records *out)
{
	struct snapshot *snapshot = arg;
	struct ot_producer_ids_record record;

	ot_producer_ids_record_init(&record);
	for (int i = 0; i < 100 && snapshot->next <= snapshot->last; i++) {
		record.next_producer_id = snapshot->next++;
		ot_metadata_records_add(out, &ot_producer_ids_record_msg, &record);
	}
	return OT_OK;
}

static void
on_snapshot_done(struct ot_metalog_snapshot *log, ot_err err)
{
	struct snapshot *snapshot = OT_CONTAINER_OF(log, struct snapshot, snapshot);

	snapshot->user->snapshot_count += err == OT_OK;
	ot_free(snapshot);
}

static void
put_snapshot(struct user *user)
{
	struct snapshot *snapshot = ot_must_alloc(sizeof(*snapshot));

	snapshot->user = user;
	snapshot->next = 1;
	snapshot->last = user->record_count == 0 ? 0 : user->records[user->record_count - 1].number;
	snapshot->snapshot = (struct ot_metalog_snapshot){
		.id = { user->next_offset, user->epoch },
		.timestamp = 1000,
		.next = snapshot_next,
		.arg = snapshot,
		.on_done = on_snapshot_done,
	};
	ot_metalog_put_snapshot(user->log, &snapshot->snapshot);
}

/* ---- a machine ------------------------------------------------------------------------------- */

struct machine {
	struct ot_sim_world *world;
	struct ot_sim_host *host;
	struct user user;
	bool has_log;
	ot_mono_ns kill_at; /* 0: not planned */
};

static bool
holds_settled(void *arg)
{
	const struct user *user = arg;

	return user->epoch > 0 || user->failure != OT_OK;
}

static void
machine_begin(struct machine *machine)
{
	struct user *user = &machine->user;

	memset(user, 0, sizeof(*user));
	user->io = ot_sim_io_create(machine->host);
	user->log = ot_metalog_local_create(&(struct ot_metalog_local_args){
	    .io = user->io,
	    .dir = "/data",
	    .node_id = 1,
	    .segment_bytes = 1024 * 1024,
	    .segment_ms = 604800000,
	});
	machine->has_log = true;
	ot_metalog_start(user->log, &events, user);
}

static bool
machine_is_up(struct machine *machine)
{
	return ot_sim_host_is_up(machine->host) &&
	       !ot_sim_disk_is_stopped(ot_sim_host_disk(machine->host));
}

/* Stops it now, if its disk has not. */
static void
machine_stop(struct machine *machine, enum ot_sim_stop how)
{
	if (machine_is_up(machine))
		ot_sim_host_crash(machine->host, how);
}

/* The same, and sees it done. */
static void
machine_end(struct machine *machine, enum ot_sim_stop how)
{
	machine->kill_at = 0;
	machine_stop(machine, how);
	while (ot_sim_host_is_up(machine->host))
		assert_true(ot_sim_world_step(machine->world));
}

/* Runs until the log leads or has failed, or the machine has stopped. */
static void
machine_settle(struct machine *machine)
{
	for (int i = 0; i < 1000000 && machine_is_up(machine); i++) {
		if (holds_settled(&machine->user))
			return;
		if (!ot_sim_world_step(machine->world))
			return;
	}
}

static void
on_closed(void *arg)
{
	((struct user *)arg)->is_closed = true;
}

static void
machine_close(struct machine *machine)
{
	struct user *user = &machine->user;

	ot_metalog_close(user->log, on_closed, user);
	while (!user->is_closed && ot_sim_host_is_up(machine->host))
		assert_true(ot_sim_world_step(machine->world));
	if (user->is_closed) {
		machine->has_log = false;
		ot_sim_io_destroy(user->io);
	}
}

/* After a crash: ends what is left in memory, and restarts. */
static void
machine_reboot(struct machine *machine)
{
	struct user *user = &machine->user;

	assert_false(ot_sim_host_is_up(machine->host));
	if (machine->has_log && !user->is_closed)
		ot_metalog_close(user->log, on_closed, user);
	for (int i = 0; i < 100 && !user->is_closed; i++)
		ot_sim_host_drain(machine->host);
	assert_true(user->is_closed);
	machine->has_log = false;
	ot_sim_io_destroy(user->io);
	ot_sim_host_restart(machine->host);
}

static void
machine_create(struct machine *machine, uint64_t seed)
{
	memset(machine, 0, sizeof(*machine));
	machine->world = ot_sim_world_create(seed);
	machine->host = ot_sim_host_create(machine->world, "10.0.0.1");
	assert_ok(ot_fs_mkdir_all(ot_sim_host_fs(machine->host), "/data"));
	assert_ok(ot_fs_sync_dir(ot_sim_host_fs(machine->host), "/"));
}

static void
machine_destroy(struct machine *machine)
{
	if (machine->has_log)
		machine_close(machine);
	ot_sim_world_destroy(machine->world);
}

/* What was told is 1, 2, 3, ... to `last`, each once. */
static void
assert_numbers(const struct user *user, int64_t last)
{
	assert_int_equal(user->record_count, last);
	for (int i = 0; i < user->record_count; i++)
		assert_int_equal(user->records[i].number, i + 1);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Goal: what is appended is told at its offset, is there after a restart, and each start is a newer
 * epoch. Method: several starts, some appends in each, appended in a row. */
static void
test_restart(void **state)
{
	struct machine machine;
	int64_t number = 0;
	(void)state;

	machine_create(&machine, 1);
	for (int32_t start = 1; start <= 5; start++) {
		machine_begin(&machine);
		machine_settle(&machine);
		assert_int_equal(machine.user.epoch, start);
		assert_numbers(&machine.user, number);
		for (int i = 0; i < 10; i++)
			append(&machine.user, number += 2);
		ot_sim_world_run_for_ms(machine.world, 100);
		assert_int_equal(machine.user.ok_count, 10);
		assert_numbers(&machine.user, number);
		machine_close(&machine);
		assert_true(machine.user.is_closed);
	}
	machine_destroy(&machine);
}

/* The size of the log's segments together. */
struct sizes {
	struct ot_fs *fs;
	uint64_t log_bytes;
	int checkpoint_count;
};

static ot_err
visit_size(void *arg, const char *name, bool is_dir)
{
	struct sizes *sizes = arg;
	struct ot_fs_stat stat;
	char path[300];

	(void)is_dir;
	(void)snprintf(path, sizeof(path), "/data/__cluster_metadata-0/%s", name);
	assert_ok(ot_fs_stat(sizes->fs, path, &stat));
	if (strstr(name, ".log") != NULL)
		sizes->log_bytes += stat.bytes;
	sizes->checkpoint_count += strstr(name, ".checkpoint") != NULL;
	return OT_OK;
}

static struct sizes
sizes_of(struct machine *machine)
{
	struct sizes sizes = { .fs = ot_sim_host_fs(machine->host) };

	assert_ok(ot_fs_list(sizes.fs, "/data/__cluster_metadata-0", visit_size, &sizes));
	return sizes;
}

/* Goal: a snapshot stands for the log before it, which goes. Method: numbers, a snapshot, more
 * numbers, restarts; the files' sizes. */
static void
test_snapshot(void **state)
{
	struct machine machine;
	struct sizes before, after;
	int64_t number = 0;
	(void)state;

	machine_create(&machine, 2);
	machine_begin(&machine);
	machine_settle(&machine);
	for (int i = 0; i < 500; i++)
		append(&machine.user, number += 2);
	ot_sim_world_run_for_ms(machine.world, 1000);
	before = sizes_of(&machine);
	put_snapshot(&machine.user);
	ot_sim_world_run_for_ms(machine.world, 1000);
	assert_int_equal(machine.user.snapshot_count, 1);
	for (int i = 0; i < 5; i++)
		append(&machine.user, number += 2);
	/* Deleted segments go after file.delete.delay.ms. */
	ot_sim_world_run_for_ms(machine.world, 120000);
	append(&machine.user, number += 2);
	ot_sim_world_run_for_ms(machine.world, 1000);
	append(&machine.user, number += 2);
	ot_sim_world_run_for_ms(machine.world, 1000);
	after = sizes_of(&machine);
	assert_true(before.log_bytes > 20000);
	assert_true(after.log_bytes < 2000);
	assert_int_equal(after.checkpoint_count, 1);
	machine_close(&machine);
	for (int i = 0; i < 2; i++) {
		machine_begin(&machine);
		machine_settle(&machine);
		assert_int_equal(machine.user.failure, OT_OK);
		assert_numbers(&machine.user, number);
		append(&machine.user, number += 2);
		ot_sim_world_run_for_ms(machine.world, 100);
		put_snapshot(&machine.user);
		ot_sim_world_run_for_ms(machine.world, 100);
		assert_int_equal(machine.user.snapshot_count, 1);
		assert_int_equal(sizes_of(&machine).checkpoint_count, 1);
		machine_close(&machine);
	}
	machine_destroy(&machine);
}

/* Runs a workload of appends and snapshots until the machine stops, or to its end. `acked` grows to
 * the last number whose append succeeded, over all runs; `sent` is the last that was appended. */
static void
work(struct machine *machine, int64_t *acked, int64_t *sent)
{
	struct user *user = &machine->user;
	int64_t number = user->record_count == 0 ? 0 : user->records[user->record_count - 1].number;

	for (int i = 0; i < 60 && machine_is_up(machine); i++) {
		append(user, number += 2);
		*sent = number;
		if (i % 20 == 19)
			put_snapshot(user);
		/* Not when all is done: the next event would be the crash. */
		for (int j = 0; j < i % 7 * 3 && user->done_count <= i && machine_is_up(machine);
		     j++)
			(void)ot_sim_world_step(machine->world);
		*acked = OT_MAX(*acked, user->number_acked);
		/* One snapshot at a time. */
		while (
		    i % 20 == 19 && user->snapshot_count < (i + 1) / 20 && machine_is_up(machine))
			(void)ot_sim_world_step(machine->world);
	}
	while (user->done_count < 60 && machine_is_up(machine))
		(void)ot_sim_world_step(machine->world);
	*acked = OT_MAX(*acked, user->number_acked);
}

/* After a crash: everything acknowledged is there, in order, each once, and nothing but what was
 * sent. Gives the last number. */
static int64_t
verify(const struct user *user, int64_t acked, int64_t sent)
{
	if (user->failure != OT_OK)
		fail_msg("the log failed: %s", user->why);
	assert_true(user->epoch > 0);
	assert_numbers(user, user->record_count);
	assert_true(user->record_count >= acked);
	assert_true(user->record_count <= sent);
	assert_int_equal(user->record_count % 2, 0); /* whole batches only */
	return user->record_count;
}

static void
kill_machine(void *arg)
{
	struct machine *machine = arg;

	if (machine->kill_at == ot_sim_world_now(machine->world))
		machine_stop(machine, OT_SIM_KILLED);
}

/* Plans the n-th crash: at the n-th change of the disk, or some time from now. */
static void
plan_crash(struct machine *machine, enum ot_sim_stop how, uint64_t n)
{
	if (how == OT_SIM_POWER_LOST) {
		ot_sim_disk_crash_at(ot_sim_host_disk(machine->host), n);
		return;
	}
	machine->kill_at = ot_sim_world_now(machine->world) + n * 40000;
	ot_sim_world_at(machine->world, machine->kill_at, kill_machine, machine);
}

/* Goal: no loss of power at any change of the disk, and no kill at any time, loses what was
 * acknowledged. Method: the same workload, crashed at change (or moment) 1, 2, 3, ..., until it
 * runs through; each time the log is started again, twice, since the first start crashes too, and
 * checked. */
static void
crash_everywhere(enum ot_sim_stop how)
{
	bool is_through = false;
	uint64_t crash = 0;

	while (!is_through) {
		struct machine machine;
		int64_t acked = 0, sent = 0;
		int64_t last;

		crash++;
		machine_create(&machine, 1000 + crash);
		plan_crash(&machine, how, crash);
		machine_begin(&machine);
		machine_settle(&machine);
		if (machine_is_up(&machine))
			work(&machine, &acked, &sent);
		is_through = machine_is_up(&machine);
		machine_end(&machine, how);
		machine_reboot(&machine);
		/* A crash within the recovery. */
		plan_crash(&machine, how, 1 + crash % 7);
		machine_begin(&machine);
		machine_settle(&machine);
		machine_end(&machine, how);
		machine_reboot(&machine);
		machine_begin(&machine);
		machine_settle(&machine);
		last = verify(&machine.user, acked, sent);
		append(&machine.user, last + 2);
		ot_sim_world_run_for_ms(machine.world, 100);
		assert_int_equal(machine.user.ok_count, 1);
		machine_close(&machine);
		machine_begin(&machine);
		machine_settle(&machine);
		assert_numbers(&machine.user, last + 2);
		machine_destroy(&machine);
	}
	assert_true(crash > 150);
}

static void
test_power_loss(void **state)
{
	(void)state;
	crash_everywhere(OT_SIM_POWER_LOST);
}

static void
test_kill(void **state)
{
	(void)state;
	crash_everywhere(OT_SIM_KILLED);
}

/* Goal: a full disk refuses appends, tells so, and takes them again when there is room, in a new
 * epoch; nothing that was acknowledged is lost. Method: a capacity that is reached, then lifted. */
static void
test_full_disk(void **state)
{
	struct machine machine;
	int64_t number = 0, acked;
	int32_t epoch;
	(void)state;

	machine_create(&machine, 5);
	machine_begin(&machine);
	machine_settle(&machine);
	ot_sim_disk_set_capacity(ot_sim_host_disk(machine.host),
	    ot_sim_disk_bytes_used(ot_sim_host_disk(machine.host)) + 64 * 1024);
	while (machine.user.ok_count == machine.user.done_count && number < 200000) {
		append(&machine.user, number += 2);
		ot_sim_world_run_for_ms(machine.world, 5);
	}
	acked = machine.user.number_acked;
	epoch = machine.user.epoch;
	assert_true(machine.user.done_count > machine.user.ok_count);
	assert_int_equal(machine.user.failure, OT_OK);
	append(&machine.user, number + 2);
	ot_sim_world_run_for_ms(machine.world, 5);
	assert_int_equal(machine.user.number_acked, acked);
	ot_sim_disk_set_capacity(ot_sim_host_disk(machine.host), 1ull << 40);
	ot_sim_world_run_for_ms(machine.world, 5000);
	assert_true(machine.user.epoch > epoch);
	append(&machine.user, acked + 2);
	ot_sim_world_run_for_ms(machine.world, 100);
	assert_int_equal(machine.user.number_acked, acked + 2);
	machine_close(&machine);
	machine_begin(&machine);
	machine_settle(&machine);
	assert_numbers(&machine.user, acked + 2);
	machine_destroy(&machine);
}

/* Goal: a failed sync ends the log; nothing unsynced is acknowledged; a restart finds what was.
 * Method: all syncs fail from one on, which is another each time. */
static void
test_failed_sync(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 30; n += 3) {
		struct machine machine;
		int64_t acked = 0;

		machine_create(&machine, 60 + n);
		machine_begin(&machine);
		machine_settle(&machine);
		ot_sim_disk_fail_at(ot_sim_host_disk(machine.host), OT_SIM_SYNC, n, OT_ERR_IO,
		    true);
		for (int64_t number = 2; number <= 100; number += 2) {
			append(&machine.user, number);
			ot_sim_world_run_for_ms(machine.world, 2);
		}
		acked = machine.user.number_acked;
		assert_int_equal(machine.user.failure, OT_ERR_IO);
		assert_int_equal(machine.user.done_count, 50);
		assert_true(acked < 100);
		machine_close(&machine);
		assert_true(machine.user.is_closed);
		ot_sim_host_crash(machine.host, OT_SIM_POWER_LOST);
		ot_sim_host_restart(machine.host);
		machine_begin(&machine);
		machine_settle(&machine);
		(void)verify(&machine.user, acked, 100);
		machine_destroy(&machine);
	}
}

/* Goal: a damaged snapshot is refused, with its name. Method: a bit flipped in it, any bit. */
static void
test_damaged_snapshot(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct machine machine;
		char path[200];
		uint64_t place;

		machine_create(&machine, 80 + seed);
		machine_begin(&machine);
		machine_settle(&machine);
		for (int64_t number = 2; number <= 20; number += 2)
			append(&machine.user, number);
		ot_sim_world_run_for_ms(machine.world, 100);
		(void)snprintf(path, sizeof(path),
		    "/data/__cluster_metadata-0/%020lld-%010d.checkpoint",
		    (long long)machine.user.next_offset, machine.user.epoch);
		put_snapshot(&machine.user);
		ot_sim_world_run_for_ms(machine.world, 100);
		machine_close(&machine);
		ot_sim_host_crash(machine.host, OT_SIM_POWER_LOST);
		ot_sim_host_restart(machine.host);
		assert_ok(ot_sim_disk_flip_any(ot_sim_host_disk(machine.host), path, &place));
		machine_begin(&machine);
		machine_settle(&machine);
		assert_int_equal(machine.user.failure, OT_ERR_CORRUPT_FILE);
		assert_non_null(strstr(machine.user.why, path));
		machine_destroy(&machine);
	}
}

/* Goal: a flipped bit in the log never gives wrong metadata, and takes nothing away in silence: up
 * to the recovery point, which a clean stop and time bring to the end, the log is refused. Method:
 * any bit of the segment, many seeds, after a clean stop, a crash soon after the appends, and a
 * crash later. */
static void
test_damaged_log(void **state)
{
	enum { CLEAN, SOON, LATER, WAYS };
	int refused[WAYS] = { 0 }, cut[WAYS] = { 0 };
	(void)state;

	for (uint64_t seed = 0; seed < 300; seed++) {
		struct machine machine;
		uint64_t place;
		int way = (int)(seed % WAYS);

		machine_create(&machine, 300 + seed);
		machine_begin(&machine);
		machine_settle(&machine);
		for (int64_t number = 2; number <= 40; number += 2)
			append(&machine.user, number);
		ot_sim_world_run_for_ms(machine.world, way == LATER ? 40000 : 100);
		assert_int_equal(machine.user.ok_count, 20);
		if (way == CLEAN)
			machine_close(&machine);
		machine_end(&machine, OT_SIM_POWER_LOST);
		if (way == CLEAN)
			ot_sim_host_restart(machine.host);
		else
			machine_reboot(&machine);
		assert_ok(ot_sim_disk_flip_any(ot_sim_host_disk(machine.host),
		    "/data/__cluster_metadata-0/00000000000000000000.log", &place));
		machine_begin(&machine);
		machine_settle(&machine);
		if (machine.user.failure != OT_OK) {
			assert_true(strlen(machine.user.why) > 0);
			refused[way]++;
		} else {
			assert_numbers(&machine.user, machine.user.record_count);
			cut[way] += machine.user.record_count < 40;
		}
		machine_destroy(&machine);
	}
	assert_int_equal(cut[CLEAN], 0);
	assert_int_equal(cut[LATER], 0);
	assert_in_range(refused[CLEAN], 80, 100); /* no CRC covers the leader epoch */
	assert_in_range(refused[LATER], 80, 100);
	assert_true(cut[SOON] > 80);
}

/* Goal: a log that is gone is not taken for a new one. Method: its segment removed after a clean
 * stop. */
static void
test_missing_log(void **state)
{
	struct machine machine;
	(void)state;

	machine_create(&machine, 9);
	machine_begin(&machine);
	machine_settle(&machine);
	append(&machine.user, 2);
	ot_sim_world_run_for_ms(machine.world, 100);
	machine_close(&machine);
	assert_ok(ot_fs_remove(ot_sim_host_fs(machine.host),
	    "/data/__cluster_metadata-0/00000000000000000000.log"));
	machine_begin(&machine);
	machine_settle(&machine);
	assert_int_equal(machine.user.failure, OT_ERR_CORRUPT_FILE);
	assert_non_null(strstr(machine.user.why, "metadata is missing"));
	machine_destroy(&machine);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_damaged_snapshot),
		cmocka_unit_test(test_damaged_log),
		cmocka_unit_test(test_missing_log),
		cmocka_unit_test(test_power_loss),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
