/* Tests of the cache of fetch sessions: who is kept, and who gives way (KIP-227). */
#include "../test.h"

#include "broker/fetch_session_int.h"
#include "sim/sim_io.h"

enum { SLOTS = 3, MINUTE_MS = 60 * 1000 };

struct room {
	struct ot_sim_world *world;
	struct ot_io *io;
	struct fetch_sessions *sessions;
};

static void
room_init(struct room *room)
{
	room->world = ot_sim_world_create(1);
	room->io = ot_sim_io_create(ot_sim_host_create(room->world, "10.0.0.1"));
	room->sessions = fetch_sessions_create(1, 2, SLOTS);
}

static void
room_fini(struct room *room)
{
	fetch_sessions_destroy(room->sessions);
	ot_sim_io_destroy(room->io);
	ot_sim_world_destroy(room->world);
}

/* A session of partitions 0 to count - 1 of one topic; 0: there is no place. */
static int32_t
open_session_of(struct room *room, int32_t count, bool is_replica)
{
	struct ot_fetch_request request;
	struct ot_fetch_request_topic topic;
	struct ot_fetch_request_partition partitions[8];
	ot_fetch_request_init(&request);
	ot_fetch_request_topic_init(&topic);
	assert_true(count <= 8);
	for (int32_t i = 0; i < count; i++) {
		ot_fetch_request_partition_init(&partitions[i]);
		partitions[i].partition = i;
	}
	topic.topic = OT_STR_LIT("t");
	topic.partitions = partitions;
	topic.partitions_count = count;
	request.topics = &topic;
	request.topics_count = 1;
	struct fetch_session *session = fetch_session_create(room->sessions, room->io,
	    &(struct fetch_session_args){ (uint32_t)count, .is_replica = is_replica });
	if (session == NULL)
		return 0;
	fetch_session_update(session, &request);
	assert_int_equal(session->part_count, count);
	return session->id;
}

static int32_t
open_session(struct room *room, int32_t count)
{
	return open_session_of(room, count, false);
}

static bool
is_there(struct room *room, int32_t id)
{
	return fetch_session_find(room->sessions, id) != NULL;
}

static void
use(struct room *room, int32_t id)
{
	fetch_session_touch(room->sessions, fetch_session_find(room->sessions, id),
	    ot_io_now(room->io));
}

static void
test_young_sessions_stay(void **state)
{
	(void)state;
	/* Goal: in a full cache nobody gives way before his two minutes are over, however large the
	 * new one is: clients would push each other out at every fetch. */
	struct room room;
	room_init(&room);
	int32_t ids[SLOTS];
	for (int32_t i = 0; i < SLOTS; i++) {
		ids[i] = open_session(&room, 1);
		assert_true(ids[i] > 0 && ids[i] % 2 == 1); /* the shard is in the id */
	}
	ot_sim_world_run_for_ms(room.world, 2 * MINUTE_MS - 1000);
	assert_int_equal(open_session(&room, 8), 0);
	for (int32_t i = 0; i < SLOTS; i++)
		assert_true(is_there(&room, ids[i]));
	fetch_session_remove(room.sessions, fetch_session_find(room.sessions, ids[1]));
	assert_true(open_session(&room, 1) > 0);
	room_fini(&room);
}

static void
test_unused_sessions_give_way(void **state)
{
	(void)state;
	/* Goal: one that was not used for two minutes gives way to any, the least used first. */
	struct room room;
	room_init(&room);
	int32_t first = open_session(&room, 5);
	int32_t second = open_session(&room, 5);
	int32_t third = open_session(&room, 5);
	ot_sim_world_run_for_ms(room.world, MINUTE_MS);
	use(&room, first);
	ot_sim_world_run_for_ms(room.world, MINUTE_MS + 1000);
	assert_true(open_session(&room, 1) > 0);
	assert_false(is_there(&room, second));
	assert_true(open_session(&room, 1) > 0);
	assert_false(is_there(&room, third));
	assert_int_equal(open_session(&room, 1), 0);
	assert_true(is_there(&room, first));
	room_fini(&room);
}

static void
test_smaller_sessions_give_way_to_larger(void **state)
{
	(void)state;
	/* Goal: of sessions that are in use and older than two minutes the smallest gives way to
	 * one with more partitions, which saves more; not to one with as many. */
	struct room room;
	room_init(&room);
	int32_t large = open_session(&room, 6);
	int32_t small = open_session(&room, 2);
	int32_t middle = open_session(&room, 4);
	for (int i = 0; i < 3; i++) {
		ot_sim_world_run_for_ms(room.world, MINUTE_MS);
		use(&room, large);
		use(&room, small);
		use(&room, middle);
	}
	assert_int_equal(open_session(&room, 2), 0);
	assert_true(open_session(&room, 3) > 0);
	assert_false(is_there(&room, small));
	/* The new one is young: the next larger one takes the place of the smallest old one. */
	assert_true(open_session(&room, 8) > 0);
	assert_false(is_there(&room, middle));
	assert_true(is_there(&room, large));
	room_fini(&room);
}

static void
test_followers_come_first(void **state)
{
	(void)state;
	/* Goal: clients, however many, cannot take the sessions of followers, whose fetches would
	 * name all partitions each time then. A follower's takes the smallest of the clients' at
	 * once, and of followers' only as clients do among themselves. */
	struct room room;
	room_init(&room);
	int32_t follower = open_session_of(&room, 1, true);
	int32_t large = open_session(&room, 6);
	int32_t small = open_session(&room, 2);
	int32_t second = open_session_of(&room, 1, true);
	assert_true(second > 0);
	assert_false(is_there(&room, small));
	int32_t third = open_session_of(&room, 1, true);
	assert_true(third > 0);
	assert_false(is_there(&room, large));
	assert_int_equal(open_session_of(&room, 8, true), 0);
	for (int i = 0; i < 3; i++) {
		ot_sim_world_run_for_ms(room.world, MINUTE_MS);
		use(&room, follower);
		use(&room, second);
		use(&room, third);
	}
	assert_int_equal(open_session(&room, 8), 0);
	assert_int_equal(open_session_of(&room, 1, true), 0);
	assert_true(open_session_of(&room, 2, true) > 0);
	assert_int_equal(
	    is_there(&room, follower) + is_there(&room, second) + is_there(&room, third), 2);
	room_fini(&room);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_young_sessions_stay),
		cmocka_unit_test(test_unused_sessions_give_way),
		cmocka_unit_test(test_smaller_sessions_give_way_to_larger),
		cmocka_unit_test(test_followers_come_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
