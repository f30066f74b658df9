/* Tests of the store etcd, of its supervision, and of the engine `etcd` against real etcd
 * processes: killed, stopped, full, compacted, with two and more members. */
#include "metalog_kit.h"

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/report.h"
#include "cluster/etcd_member.h"
#include "cluster/etcd_place.h"
#include "cluster/kv.h"
#include "io/loop.h"

enum { NODES_MAX = 3, PARTED_COUNT = 60000 };

/* ---- a loop that runs until something holds ---------------------------------------------------
 */

struct stage;
typedef bool condition(struct stage *stage);

struct node {
	struct stage *stage;
	struct ot_etcd_member *etcd;
	char dir[200];
	char url[OT_ETCD_URL_BYTES];
	int ready_count;
	ot_err failure;
	char why[400];
	bool is_closed;
};

struct stage {
	struct ot_io *io;
	struct ot_etcd_endpoints *endpoints;
	char dir[100];
	struct node nodes[NODES_MAX];
	struct member members[4];
	struct ot_timer timer;
	condition *condition;
	ot_mono_ns deadline;
	bool held;
	int64_t goal;
};

static void
on_check(struct ot_timer *timer)
{
	struct stage *stage = OT_CONTAINER_OF(timer, struct stage, timer);

	stage->held = stage->condition(stage);
	if (stage->held || ot_io_now(stage->io) > stage->deadline)
		ot_loop_stop(stage->io);
	else
		ot_timer_arm_in_ms(stage->io, &stage->timer, 2);
}

/* Fails the test if it does not hold within a minute: nothing here takes that long. */
static void
run_until(struct stage *stage, condition *holds, const char *what)
{
	stage->condition = holds;
	stage->deadline = ot_io_now_exact(stage->io) + 60000ull * OT_NS_PER_MS;
	ot_timer_arm_in_ms(stage->io, &stage->timer, 0);
	ot_loop_run(stage->io);
	if (!stage->held)
		fail_msg("never: %s; last report of etcd: %s", what, stage->nodes[0].why);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void
on_ready(void *arg, const char *url)
{
	struct node *node = arg;

	node->ready_count++;
	(void)snprintf(node->url, sizeof(node->url), "%s", url);
}

static void
on_etcd_failure(void *arg, ot_err err, const char *why)
{
	struct node *node = arg;

	node->failure = err;
	(void)snprintf(node->why, sizeof(node->why), "%s", why);
}

static void
node_start(struct stage *stage, int index, int64_t quota_bytes)
{
	struct node *node = &stage->nodes[index];
	const char *first = stage->nodes[0].url;

	if (index == 1)
		ot_etcd_endpoints_set(stage->endpoints, &first, 1);
	*node = (struct node){ .stage = stage };
	(void)snprintf(node->dir, sizeof(node->dir), "%s/node-%d", stage->dir, index);
	assert_ok(ot_fs_mkdir_all(stage->io->fs, node->dir));
	node->etcd = ot_etcd_member_create(&(struct ot_etcd_member_args){
	    .io = stage->io,
	    .dir = node->dir,
	    .cluster_id = "test",
	    .node_id = index + 1,
	    .host = "127.0.0.1",
	    .directory = { { 1, [15] = (uint8_t)index } },
	    .founds = index == 0,
	    .others = stage->endpoints,
	    .members_max = 3,
	    .quota_bytes = quota_bytes,
	    .on_ready = on_ready,
	    .on_failure = on_etcd_failure,
	    .arg = node,
	});
	ot_etcd_member_start(node->etcd);
}

static bool
nodes_are_settled(struct stage *stage)
{
	for (int i = 0; i < NODES_MAX; i++) {
		const struct node *node = &stage->nodes[i];

		if (node->etcd != NULL && node->ready_count == 0 && node->failure == OT_OK)
			return false;
	}
	return true;
}

static void
on_node_closed(void *arg)
{
	struct node *node = arg;

	node->is_closed = true;
	node->etcd = NULL;
}

static bool
nodes_are_closed(struct stage *stage)
{
	for (int i = 0; i < NODES_MAX; i++)
		if (stage->nodes[i].etcd != NULL)
			return false;
	return true;
}

static void
kill_etcd(struct stage *stage, int index, int number)
{
	int64_t pid = ot_etcd_member_pid(stage->nodes[index].etcd);

	assert_true(pid > 0);
	assert_int_equal(kill((pid_t)pid, number), 0);
}

static struct stage *
stage_create(int node_count, int64_t quota_bytes)
{
	struct stage *stage = OT_NEW(struct stage);

	assert_ok(ot_loop_create(&stage->io));
	ot_timer_init(&stage->timer, on_check);
	(void)snprintf(stage->dir, sizeof(stage->dir), "/tmp/ottla-test-etcd-XXXXXX");
	assert_non_null(mkdtemp(stage->dir));
	stage->endpoints = ot_etcd_endpoints_create();
	for (int i = 0; i < node_count; i++) {
		node_start(stage, i, quota_bytes);
		if (i == 0 || i + 1 == node_count)
			run_until(stage, nodes_are_settled, "etcd is ready");
		assert_string_equal(stage->nodes[i].why, "");
	}
	return stage;
}

/* ---- members -------------------------------------------------------------------------------- */

static void
open_member(struct stage *stage, int index)
{
	const struct ot_uuid directory = { { [15] = (uint8_t)(10 + index) } };
	const char *endpoints[NODES_MAX];
	struct ot_kv_etcd_conf conf = { .io = stage->io, .endpoints = endpoints };
	struct ot_metalog_etcd_args args = {
		.io = stage->io,
		.prefix = "/ottla/test",
		.node_id = index + 1,
		.directory = directory,
		.is_candidate = index < 3,
		.endpoint = { "10.9.9.9", (uint16_t)(9000 + index) },
		.lease_ms = 2000,
	};

	for (int i = 0; i < NODES_MAX; i++)
		if (stage->nodes[i].etcd != NULL)
			endpoints[conf.endpoint_count++] = stage->nodes[i].url;
	assert_ok(ot_kv_etcd_create(&conf, &args.kv));
	member_start(&stage->members[index], ot_metalog_etcd_create(&args), stage->io, index + 1,
	    index + 1);
}

static bool
members_are_closed(struct stage *stage)
{
	for (int i = 0; i < 4; i++)
		if (stage->members[i].log != NULL && !stage->members[i].is_closed)
			return false;
	return true;
}

static struct member *
leader_of(struct stage *stage)
{
	for (int i = 0; i < 4; i++)
		if (stage->members[i].epoch > 0)
			return &stage->members[i];
	return NULL;
}

static bool
somebody_leads(struct stage *stage)
{
	return leader_of(stage) != NULL;
}

static bool
nothing_is_under_way(struct stage *stage)
{
	for (int i = 0; i < 4; i++)
		if (stage->members[i].under_way > 0)
			return false;
	return true;
}

/* All were told as much as who leads, or as the first. */
static bool
all_are_told(struct stage *stage)
{
	const struct member *leader = leader_of(stage);

	if (leader == NULL || !nothing_is_under_way(stage))
		return false;
	for (int i = 0; i < 4; i++) {
		const struct member *member = &stage->members[i];

		if (member->failure != OT_OK)
			fail_msg("member %d failed: %s", i, member->why);
		if (member->log != NULL && !member->is_closed &&
		    (member->next_offset < leader->next_offset || member->is_in_snapshot))
			return false;
	}
	return true;
}

static void
check_all(struct stage *stage)
{
	const struct member *leader;

	run_until(stage, all_are_told, "all were told everything");
	leader = leader_of(stage);
	for (int i = 0; i < 4; i++) {
		if (stage->members[i].log == NULL || stage->members[i].is_closed)
			continue;
		kit_check_same(leader, &stage->members[i]);
		kit_check_acked(&stage->members[i], leader);
	}
}

static void
stage_destroy(struct stage *stage)
{
	for (int i = 0; i < 4; i++)
		if (stage->members[i].log != NULL && !stage->members[i].is_closed)
			member_close(&stage->members[i]);
	run_until(stage, members_are_closed, "the engines close");
	for (int i = 0; i < NODES_MAX; i++)
		if (stage->nodes[i].etcd != NULL)
			ot_etcd_member_close(stage->nodes[i].etcd, on_node_closed,
			    &stage->nodes[i]);
	run_until(stage, nodes_are_closed, "etcd ends");
	for (int i = 0; i < 4; i++)
		member_fini(&stage->members[i]);
	assert_ok(ot_fs_remove_all(stage->io->fs, stage->dir));
	ot_etcd_endpoints_unref(stage->endpoints);
	ot_loop_destroy(stage->io);
	ot_free(stage);
}

/* ---- the tests ------------------------------------------------------------------------------ */

/* Goal: base64 as RFC 4648 has it, both ways, and what is none is refused. */
static void
test_base64(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" } };
	static const char *const bad[] = { "Z", "Zg=", "Zg=a", "Z===", "Zh==", "Zm9=", "Zm 9", "=",
		"Zg==Zg==" };
	uint8_t bytes[32];
	size_t count;
	(void)state;

	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_writer out;

		ot_writer_init(&out);
		ot_base64_write(&out, rows[i].bytes, strlen(rows[i].bytes));
		assert_int_equal(out.bytes, strlen(rows[i].text));
		if (out.bytes > 0)
			assert_memory_equal(out.data, rows[i].text, out.bytes);
		ot_writer_fini(&out);
		assert_true(ot_base64_read(ot_str_from(rows[i].text), bytes, &count));
		assert_int_equal(count, strlen(rows[i].bytes));
		assert_memory_equal(bytes, rows[i].bytes, count);
	}
	for (size_t i = 0; i < OT_ARRAY_COUNT(bad); i++)
		assert_false(ot_base64_read(ot_str_from(bad[i]), bytes, &count));
}

/* Goal: thousands of appends in a row, and batches that no request holds, are told to two processes
 * alike, and to one that comes later; after a snapshot and a compaction too. */
static void
test_append(void **state)
{
	struct stage *stage = stage_create(1, 0);
	struct member *leader;
	(void)state;

	for (int i = 0; i < 2; i++)
		open_member(stage, i);
	run_until(stage, somebody_leads, "somebody leads");
	leader = leader_of(stage);
	for (int i = 0; i < 5000; i++)
		member_append(leader, 1 + i % 5);
	member_append(leader, PARTED_COUNT);
	member_append(leader, 1);
	check_all(stage);
	assert_int_equal(leader->failed_count, 0);
	assert_int_equal(leader->acked_count, 15000 + PARTED_COUNT + 1);
	open_member(stage, 2);
	check_all(stage);
	member_put_snapshot(leader);
	member_append(leader, 7);
	run_until(stage, nothing_is_under_way, "the append is done");
	while (leader->snapshot_done_count == 0)
		check_all(stage);
	assert_int_equal(leader->snapshot_ok_count, 1);
	assert_int_equal(stage->members[2].snapshot_told_count, 0);
	member_append(leader, 7);
	open_member(stage, 3);
	check_all(stage);
	assert_int_equal(stage->members[3].snapshot_told_count, 1);
	stage_destroy(stage);
}

static bool
etcd_is_ready_again(struct stage *stage)
{
	return stage->nodes[0].ready_count >= stage->goal;
}

/* Goal: etcd killed again and again under load, and stopped for longer than the lease: it is
 * started again, nothing is told twice or skipped, and appends go on. */
static void
test_kill(void **state)
{
	struct stage *stage = stage_create(1, 0);
	(void)state;

	for (int i = 0; i < 3; i++)
		open_member(stage, i);
	for (int round = 0; round < 6; round++) {
		run_until(stage, somebody_leads, "somebody leads");
		for (int i = 0; i < 300; i++)
			member_append(leader_of(stage), 3);
		stage->goal = stage->nodes[0].ready_count + 1;
		kill_etcd(stage, 0, SIGKILL);
		run_until(stage, etcd_is_ready_again, "etcd is up again");
		check_all(stage);
	}
	assert_true(leader_of(stage)->number_count >= 300);
	stage_destroy(stage);
}

static bool
nobody_leads(struct stage *stage)
{
	return leader_of(stage) == NULL;
}

static void
test_stop(void **state)
{
	struct stage *stage = stage_create(1, 0);
	int32_t epoch;
	(void)state;

	for (int i = 0; i < 3; i++)
		open_member(stage, i);
	run_until(stage, somebody_leads, "somebody leads");
	member_append(leader_of(stage), 3);
	check_all(stage);
	epoch = leader_of(stage)->epoch;
	kill_etcd(stage, 0, SIGSTOP);
	for (int i = 0; i < 100; i++)
		member_append(leader_of(stage), 3);
	run_until(stage, nobody_leads, "the leader steps down by itself");
	kill_etcd(stage, 0, SIGCONT);
	run_until(stage, somebody_leads, "somebody leads again");
	assert_true(leader_of(stage)->epoch > epoch);
	member_append(leader_of(stage), 3);
	check_all(stage);
	stage_destroy(stage);
}

/* Another user of the same etcd, who writes one key again and again until nothing more goes in. */
struct filler {
	struct ot_kv_txn txn;
	struct ot_kv *kv;
	uint8_t *value;
	int count;
	ot_err err;
};

static struct filler filler;

static void
fill(void)
{
	const struct ot_kv_op op = { .type = OT_KV_PUT,
		.key = "/junk",
		.value = { filler.value, OT_KV_TXN_BYTES_MAX } };

	filler.txn.then = &op;
	filler.txn.then_count = 1;
	filler.txn.ms_max = 10000;
	ot_kv_txn(filler.kv, &filler.txn);
}

static void
on_filled(struct ot_kv_txn *txn, ot_err err)
{
	(void)txn;
	filler.err = err;
	filler.count++;
	if (err == OT_OK)
		fill();
}

static bool
is_full(struct stage *stage)
{
	(void)stage;
	return filler.err != OT_OK;
}

/* Goal: an etcd whose file is at its bound takes no writes; the leader has it compacted, and it
 * takes them again: what waited is written, nothing has failed. */
static void
test_no_space(void **state)
{
	struct stage *stage = stage_create(1, 16 * 1024 * 1024);
	const char *url = stage->nodes[0].url;
	struct member *leader;
	(void)state;

	open_member(stage, 0);
	open_member(stage, 3);
	run_until(stage, somebody_leads, "somebody leads");
	leader = leader_of(stage);
	filler = (struct filler){ .txn.on_done = on_filled };
	filler.value = ot_must_alloc(OT_KV_TXN_BYTES_MAX);
	assert_ok(ot_kv_etcd_create(
	    &(struct ot_kv_etcd_conf){ .io = stage->io, .endpoints = &url, .endpoint_count = 1 },
	    &filler.kv));
	fill();
	run_until(stage, is_full, "etcd is full");
	assert_int_equal(filler.err, OT_ERR_NO_SPACE);
	assert_true(filler.count > 1);
	for (int i = 0; i < 20; i++)
		member_append(leader, 10);
	check_all(stage);
	assert_int_equal(leader->acked_count, 200);
	assert_int_equal(leader->failed_count, 0);
	ot_kv_destroy(filler.kv);
	ot_free(filler.value);
	stage_destroy(stage);
}

/* Goal: members join one after the other and vote; with three, one that is killed is not missed. */
static void
test_three(void **state)
{
	struct stage *stage = stage_create(3, 0);
	(void)state;

	for (int i = 0; i < 3; i++)
		open_member(stage, i);
	for (int round = 0; round < 3; round++) {
		run_until(stage, somebody_leads, "somebody leads");
		for (int i = 0; i < 200; i++)
			member_append(leader_of(stage), 3);
		kill_etcd(stage, round, SIGSTOP);
		check_all(stage);
		run_until(stage, somebody_leads, "somebody leads");
		member_append(leader_of(stage), 3);
		check_all(stage);
		kill_etcd(stage, round, SIGCONT);
	}
	stage_destroy(stage);
}

/* Goal: a member whose data is gone is refused, and so is a second node of the same id. */
static void
test_lost_disk(void **state)
{
	struct stage *stage = stage_create(3, 0);
	char path[300];
	(void)state;

	ot_etcd_member_close(stage->nodes[1].etcd, on_node_closed, &stage->nodes[1]);
	while (stage->nodes[1].etcd != NULL)
		run_until(stage, nodes_are_settled, "the other runs");
	(void)snprintf(path, sizeof(path), "%s/etcd/data", stage->nodes[1].dir);
	assert_ok(ot_fs_remove_all(stage->io->fs, path));
	node_start(stage, 1, 0);
	run_until(stage, nodes_are_settled, "it fails");
	assert_int_equal(stage->nodes[1].failure, OT_ERR_CORRUPT_FILE);
	assert_non_null(strstr(stage->nodes[1].why, "remove-controller"));
	ot_etcd_member_close(stage->nodes[1].etcd, on_node_closed, &stage->nodes[1]);
	while (stage->nodes[1].etcd != NULL)
		run_until(stage, nodes_are_settled, "the other runs");
	stage_destroy(stage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_lost_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
