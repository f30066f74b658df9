/* Goal: whatever members, administrators, the clock and the log do, groups keep their promises:
 *   - generations only grow while the coordinator leads;
 *   - in one generation no partition is assigned twice, and each member gets what its leader gave
 * it;
 *   - an offset that was acknowledged is there, over reloads;
 *   - every question is answered once, in the end;
 *   - what is live is what a successor would load, whenever nothing is on its way.
 * Method: several clients do random things under a seed, with a log that holds, fails and is left
 * by its leader; ot_groups_check() after each turn, and a model of what was told. A failure prints
 * the seed. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

enum {
	SEED_COUNT = 40,
	STEP_COUNT = 1500,
	GROUP_COUNT = 2,
	CLIENT_COUNT = 7,
	PARTITION_COUNT = 8,
	GENERATION_MAX = 4000,
};

enum client_state { CLIENT_OUT, CLIENT_JOINING, CLIENT_JOINED, CLIENT_SYNCING, CLIENT_IN };

struct client {
	enum client_state state;
	int group;
	const char *instance; /* NULL: dynamic */
	char id[120];
	int32_t generation;
	bool is_leader;
	struct ask *ask;                     /* join or sync */
	char members[CLIENT_COUNT * 2][120]; /* when it leads */
	int member_count;
	int life;
};

/* A commit on its way. */
struct commit {
	struct ask *ask;
	int group;
	int partition;
	int64_t offset;
};

static struct harness h;
static uint64_t seed;
static uint64_t random_state;
static int life; /* how often the coordinator was loaded */
static struct client clients[CLIENT_COUNT];
static struct commit commits[4096];
static int commit_count;
static int32_t generations[GROUP_COUNT];  /* the greatest that was told in this life */
static uint64_t told_number[GROUP_COUNT]; /* and which answer told it */
static int64_t acked[GROUP_COUNT][PARTITION_COUNT];
static int64_t issued[GROUP_COUNT][PARTITION_COUNT];
/* Who has a partition in a generation of this life. */
static char owners[GROUP_COUNT][GENERATION_MAX][PARTITION_COUNT][120];
static const char *const group_names[GROUP_COUNT] = { "g0", "g1" };
static const char *const instances[CLIENT_COUNT] = { "i0", "i1", NULL, NULL, NULL, NULL, NULL };

static uint32_t
dice(uint32_t sides)
{
	random_state += 0x9E3779B97F4A7C15u;
	uint64_t z = random_state;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return (uint32_t)((z ^ (z >> 31)) % sides);
}

/* ---- joins --------------------------------------------------------------------------------- */

static void
client_out(struct client *client)
{
	client->state = CLIENT_OUT;
	client->id[0] = '\0';
}

static void
client_join(struct client *client)
{
	static const char *const protocols[] = { "a,b", "b", "b,a", "a,b,c" };
	static const char *const metadata[] = { "m", "n" };
	static const int16_t versions[] = { 9, 9, 5, 3, 8 };
	client->life = life;
	client->ask =
	    ask_join(&h, &(struct join_args){ .group = group_names[client->group],
			     .member = client->id,
			     .instance = client->instance,
			     .protocols = protocols[dice(4)],
			     .metadata = metadata[dice(2)],
			     .rebalance_ms = 5000 + (int32_t)dice(20000),
			     .session_ms = 6000 + (int32_t)dice(20000),
			     .version = versions[client->instance != NULL ? dice(2) : dice(5)] });
	client->state = CLIENT_JOINING;
}

static void
take_members(struct client *client)
{
	const struct ot_join_group_response *response = &client->ask->response.join;
	client->is_leader = response->members_count > 0 && !response->skip_assignment &&
	                    ot_str_equal(response->leader, response->member_id);
	client->member_count = response->members_count;
	bool has_self = false;
	for (int32_t i = 0; i < response->members_count; i++) {
		struct ot_str id = response->members[i].member_id;
		snprintf(client->members[i], sizeof(client->members[i]), "%.*s", id.len, id.data);
		has_self |= strcmp(client->members[i], client->id) == 0;
	}
	assert_true(response->members_count == 0 || has_self);
}

/* In the order in which they were told, generations never go back. */
static void
check_generation(int group, int32_t generation, uint64_t done_number)
{
	if (done_number > told_number[group]) {
		assert_true(generation >= generations[group]);
		generations[group] = generation;
		told_number[group] = done_number;
	} else {
		assert_true(generation <= generations[group]);
	}
}

static void
client_joined(struct client *client)
{
	const struct ot_join_group_response *response = &client->ask->response.join;
	ot_err err = response->error_code;
	client->state = CLIENT_OUT;
	if (err == OT_OK || err == OT_ERR_MEMBER_ID_REQUIRED)
		snprintf(client->id, sizeof(client->id), "%.*s", response->member_id.len,
		    response->member_id.data);
	else if (err != OT_ERR_NOT_COORDINATOR && err != OT_ERR_REBALANCE_IN_PROGRESS)
		client_out(client);
	if (err == OT_OK) {
		assert_true(response->generation_id > 0);
		if (client->life == life)
			check_generation(client->group, response->generation_id,
			    client->ask->done_number);
		client->generation = response->generation_id;
		client->state = CLIENT_JOINED;
		take_members(client);
	}
	ask_free(client->ask);
	client->ask = NULL;
}

/* ---- syncs --------------------------------------------------------------------------------- */

/* The leader's assignment: each partition to one member, "id=,0,3,;id=,1,". */
static const char *
assign(const struct client *client)
{
	static char text[8000];
	size_t len = 0;
	uint32_t first = dice(7);
	for (int i = 0; i < client->member_count; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s%s=%d:%s:", i > 0 ? ";" : "", client->members[i], client->generation,
		    client->members[i]);
		for (int p = 0; p < PARTITION_COUNT; p++) {
			if ((int)((uint32_t)p + first) % client->member_count == i)
				len += (size_t)snprintf(text + len, sizeof(text) - len, ",%d", p);
		}
	}
	return text;
}

static void
client_sync(struct client *client)
{
	const char *text = client->is_leader ? keep(ot_str_from(assign(client))).data : "";
	client->life = life;
	struct ot_str id = keep(ot_str_from(client->id));
	client->ask = ask_sync(&h, group_names[client->group], id, client->generation, text);
	client->state = CLIENT_SYNCING;
}

/* Notes what the member owns, and that nobody else does. */
static void
check_assignment(const struct client *client, struct ot_bytes assignment)
{
	char text[500];
	char start[200];
	assert_true(assignment.len < (int32_t)sizeof(text));
	snprintf(text, sizeof(text), "%.*s", assignment.len, (const char *)assignment.data);
	if (text[0] == '\0')
		return; /* a static member that was not there when the leader assigned */
	snprintf(start, sizeof(start), "%d:", client->generation);
	assert_memory_equal(text, start, strlen(start));
	for (const char *p = strchr(text, ','); p != NULL; p = strchr(p + 1, ',')) {
		long partition = strtol(p + 1, NULL, 10);
		assert_true(client->generation < GENERATION_MAX);
		char *owner = owners[client->group][client->generation][partition];
		const char *self = client->instance != NULL ? client->instance : client->id;
		if (owner[0] == '\0')
			snprintf(owner, 120, "%s", self);
		assert_string_equal(owner, self);
	}
}

static void
client_synced(struct client *client)
{
	const struct ot_sync_group_response *response = &client->ask->response.sync;
	ot_err err = response->error_code;
	if (err == OT_OK) {
		client->state = CLIENT_IN;
		if (client->life == life)
			check_assignment(client, response->assignment);
	} else if (err == OT_ERR_UNKNOWN_MEMBER_ID || err == OT_ERR_FENCED_INSTANCE_ID) {
		client_out(client);
	} else {
		client->state = CLIENT_OUT;
	}
	ask_free(client->ask);
	client->ask = NULL;
}

/* ---- the others ---------------------------------------------------------------------------- */

static void
client_heartbeat(struct client *client)
{
	struct ot_str id = ot_str_from(client->id);
	ot_err err =
	    ask_heartbeat(&h, group_names[client->group], id, client->instance, client->generation);
	if (err == OT_OK)
		return;
	if (err == OT_ERR_UNKNOWN_MEMBER_ID || err == OT_ERR_FENCED_INSTANCE_ID)
		client_out(client);
	else if (client->state == CLIENT_IN)
		client->state = CLIENT_OUT; /* joins again, with its id */
}

static void
client_leave(struct client *client)
{
	bool is_by_instance = client->instance != NULL && dice(2) == 0;
	struct ot_str id = is_by_instance ? OT_STR_LIT("") : ot_str_from(client->id);
	struct ask *ask = ask_leave(&h, group_names[client->group], id, client->instance, 5);
	assert_true(ask->is_done);
	ask_free(ask);
	if (client->ask == NULL)
		client_out(client);
}

static void
start_commit(struct client *client)
{
	struct commit *commit = &commits[commit_count++];
	assert_true(commit_count < (int)OT_ARRAY_COUNT(commits));
	commit->group = client->group;
	commit->partition = (int)dice(PARTITION_COUNT);
	commit->offset = ++issued[commit->group][commit->partition];
	struct ot_str id = keep(ot_str_from(client->state == CLIENT_IN ? client->id : ""));
	commit->ask = ask_commit(&h, group_names[commit->group], id,
	    client->state == CLIENT_IN ? client->generation : -1, "t", commit->partition,
	    commit->offset);
}

static void
finish_commits(void)
{
	int kept_commits = 0;
	for (int i = 0; i < commit_count; i++) {
		struct commit *commit = &commits[i];
		if (!commit->ask->is_done) {
			commits[kept_commits++] = *commit;
			continue;
		}
		if (commit->ask->response.commit.topics[0].partitions[0].error_code == OT_OK) {
			int64_t *known = &acked[commit->group][commit->partition];
			*known = OT_MAX(*known, commit->offset);
		}
		ask_free(commit->ask);
	}
	commit_count = kept_commits;
}

static void
check_offset(int group, int partition)
{
	int64_t known = acked[group][partition];
	struct ask *ask = ask_fetch(&h, group_names[group], "t", partition);
	if (!ask->is_done) {
		/* What is on its way decides. */
		h.log.is_held = false;
		fake_log_commit(&h);
		finish_commits();
	}
	assert_true(ask->is_done);
	if (ask->response.fetch.error_code == OT_OK) {
		int64_t offset = ask->response.fetch.topics[0].partitions[0].committed_offset;
		assert_true(offset >= known || (known == 0 && offset == -1));
		assert_true(offset <= issued[group][partition]);
	}
	ask_free(ask);
}

/* ---- the world ----------------------------------------------------------------------------- */

static void
harvest(void)
{
	for (int i = 0; i < CLIENT_COUNT; i++) {
		struct client *client = &clients[i];
		if (client->ask == NULL || !client->ask->is_done)
			continue;
		if (client->state == CLIENT_JOINING)
			client_joined(client);
		else
			client_synced(client);
	}
	finish_commits();
}

static void
move_log(void)
{
	static const ot_err errs[] = { OT_ERR_NOT_ENOUGH_REPLICAS, OT_ERR_KAFKA_STORAGE_ERROR,
		OT_ERR_MESSAGE_TOO_LARGE };
	if (!ot_list_is_empty(&h.log.waiting)) {
		fake_log_commit(&h);
		return;
	}
	h.log.is_held = dice(2) == 0;
	h.log.fail_err = dice(4) == 0 ? errs[dice(3)] : OT_OK;
	h.log.fail_countdown = dice(2);
	h.log.is_failing_late = h.log.is_held && dice(2) == 0;
}

static void
forget_group(int group)
{
	generations[group] = 0;
	memset(owners[group], 0, sizeof(owners[group]));
}

static void
lead_anew(void)
{
	if (dice(2) == 0) {
		/* Whatever is in the log is found again, told or not. */
		ot_coord_unload(h.coord);
		fake_log_commit(&h);
		harvest();
	}
	h.log.fail_err = OT_OK;
	h.log.is_held = false;
	fake_log_commit(&h);
	harvest();
	ot_coord_unload(h.coord);
	harvest();
	life++;
	for (int i = 0; i < GROUP_COUNT; i++)
		forget_group(i);
	harness_load(&h);
	harness_advance(&h, 1);
}

static void
step_client(struct client *client)
{
	switch (client->state) {
	case CLIENT_OUT:
		client_join(client);
		break;
	case CLIENT_JOINED:
		client_sync(client);
		break;
	case CLIENT_IN:
		if (dice(6) == 0)
			client->state = CLIENT_OUT; /* joins without need */
		else
			client_heartbeat(client);
		break;
	default:
		if (dice(8) == 0)
			client_leave(client);
	}
}

static void
step(void)
{
	struct client *client = &clients[dice(CLIENT_COUNT)];
	uint32_t what = dice(100);
	if (what < 45) {
		step_client(client);
	} else if (what < 60) {
		start_commit(client);
	} else if (what < 75) {
		harness_advance(&h, dice(10) == 0 ? 12000 : dice(900));
	} else if (what < 88) {
		move_log();
	} else if (what < 92) {
		check_offset((int)dice(GROUP_COUNT), (int)dice(PARTITION_COUNT));
	} else if (what < 95) {
		if (client->id[0] != '\0')
			client_leave(client);
	} else if (what < 98) {
		if (ot_coord_is_settled(h.coord))
			assert_hard_equal(&h);
	} else if (what < 99) {
		/* The process is gone, and another begins in its place. */
		if (client->ask == NULL)
			client_out(client);
	} else {
		lead_anew();
	}
	harvest();
	for (int i = 0; i < GROUP_COUNT; i++) {
		/* Nothing is left of it, not even a record: the next one is another group. */
		if (ot_coord_state(h.coord) == OT_COORD_ACTIVE &&
		    strcmp(state_of(&h, group_names[i]), "Dead") == 0)
			forget_group(i);
	}
}

static void
run_seed(void)
{
	struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
	options.member_count_max = 5;
	/* A group that is gone begins with generation 1 again: not here. */
	options.retention_check_ms = INT64_C(24) * 60 * 60 * 1000;
	random_state = seed;
	life = 0;
	commit_count = 0;
	memset(clients, 0, sizeof(clients));
	memset(generations, 0, sizeof(generations));
	memset(acked, 0, sizeof(acked));
	memset(issued, 0, sizeof(issued));
	memset(owners, 0, sizeof(owners));
	for (int i = 0; i < CLIENT_COUNT; i++) {
		clients[i].group = i % GROUP_COUNT;
		clients[i].instance = instances[i];
	}
	harness_init(&h);
	harness_groups(&h, &options);
	for (int i = 0; i < STEP_COUNT; i++)
		step();

	/* Calm: everything is answered, and everything that was acknowledged is there. */
	h.log.is_held = false;
	h.log.fail_err = OT_OK;
	fake_log_commit(&h);
	harness_advance(&h, 10 * 60 * 1000);
	harvest();
	assert_int_equal(commit_count, 0);
	for (int i = 0; i < CLIENT_COUNT; i++)
		assert_null(clients[i].ask);
	for (int i = 0; i < GROUP_COUNT * PARTITION_COUNT; i++)
		check_offset(i / PARTITION_COUNT, i % PARTITION_COUNT);
	assert_hard_equal(&h);
	harness_fini(&h);
}

static void
print_seed(int fd)
{
	dprintf(fd, "seed %llu\n", (unsigned long long)seed);
}

static void
test_random_clients(void **state)
{
	(void)state;
	const char *wanted = getenv("SEED");
	ot_panic_add_dump(print_seed);
	for (int i = 0; i < SEED_COUNT; i++) {
		seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)i + 1;
		print_message("SEED=%llu\n", (unsigned long long)seed);
		run_seed();
		if (wanted != NULL)
			break;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_clients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
