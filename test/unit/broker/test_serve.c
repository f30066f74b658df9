/* Tests of what a broker does for other brokers, and for clients that could go to another one:
 * followers' fetches, the ISR, the closest replica, who leads. The other broker is played. */
#include "rig_peer.h"

enum { FETCH_VERSION_MAX = 18 };

struct room {
	struct rig rig;
	struct link link; /* a client's */
	struct link follower;
	struct peer peer; /* broker 2 */
};

static void
room_init(struct room *room, const char *settings)
{
	char text[1000];
	snprintf(text, sizeof(text), "%s%s", RIG_PEER_SETTINGS, settings);
	rig_init(&room->rig, 1, text);
	rig_start(&room->rig);
	link_open(&room->rig, &room->link);
	link_open(&room->rig, &room->follower);
	peer_start(&room->peer, &room->rig, 2, "b");
}

static void
room_fini(struct room *room)
{
	link_close(&room->follower);
	link_close(&room->link);
	peer_fini(&room->peer);
	rig_fini(&room->rig);
}

static const struct ask any_ask = {
	.version = 17,
	.topic = "t",
	.leader_epoch = -1,
	.last_epoch = -1,
	.session_epoch = -1,
};

/* ---- who leads ------------------------------------------------------------------------------ */

static void
test_leader_is_told(void **state)
{
	(void)state;
	/* Goal: who fetches from a broker that does not lead is told NOT_LEADER_OR_FOLLOWER in each
	 * version, and from 16 on who leads, in which epoch and where (KIP-951). Method: a topic
	 * that the other broker has alone; then the other broker is fenced, and nobody leads. */
	struct room room;
	room_init(&room, "");
	struct ask ask = any_ask;
	ask.topic_id =
	    link_create_assigned(&room.link, &(struct assigned){ "t", 2, { 2 }, 1, NULL, NULL });
	for (ask.version = 0; ask.version <= FETCH_VERSION_MAX; ask.version++) {
		struct asked asked;
		link_ask_and_wait(&room.link, &ask, &asked);
		const struct ot_fetch_response *response = &asked.response;
		assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
		if (ask.version < 16) {
			assert_int_equal(asked.partition->current_leader.leader_id, -1);
			assert_int_equal(response->node_endpoints_count, 0);
		} else {
			assert_int_equal(asked.partition->current_leader.leader_id, 2);
			assert_int_equal(asked.partition->current_leader.leader_epoch, 0);
			assert_int_equal(response->node_endpoints_count, 1);
			assert_int_equal(response->node_endpoints[0].node_id, 2);
			assert_true(ot_str_is(response->node_endpoints[0].host, "10.0.0.77"));
			assert_int_equal(response->node_endpoints[0].port, RIG_PEER_PORT);
			assert_true(ot_str_is(response->node_endpoints[0].rack, "b"));
		}
		asked_fini(&asked);
	}
	peer_beat(&room.peer, true);
	struct asked asked;
	ask.version = FETCH_VERSION_MAX;
	link_ask_and_wait(&room.link, &ask, &asked);
	assert_int_equal(asked.partition->error_code, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(asked.partition->current_leader.leader_id, -1);
	assert_int_equal(asked.partition->current_leader.leader_epoch, 1);
	assert_int_equal(asked.response.node_endpoints_count, 0);
	asked_fini(&asked);
	room_fini(&room);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leader_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
