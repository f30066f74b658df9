/* Several brokers that share a metadata log: one is the active controller, and the others reach it
 * over their channels. */
#include "scene.h"

#include "wire/msg_metadata_log.h"

enum { REQUEST_TIMEOUT_MS = 10 * 1000 };

static int64_t
producer_id_at(struct scene *scene, int32_t id)
{
	struct ot_arena arena;
	struct ot_init_producer_id_request request;
	struct ot_init_producer_id_response response;
	struct link link;
	ot_arena_init(&arena, 0);
	ot_init_producer_id_request_init(&request);
	request.transactional_id = OT_STR_NULL;
	connect_to(scene, &link, id);
	assert_true(link_call(&link, ot_api_find(22), 3, &request, &arena, &response));
	assert_int_equal(response.error_code, OT_OK);
	link_close(&link);
	ot_arena_fini(&arena);
	return response.producer_id;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

/* Goal: all brokers become members, whoever is the active controller; those without the
 * controllers' role too. Method: three brokers, two of which may lead; each one's Metadata. */
static void
test_all_are_members(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	int32_t leader = leader_of(&scene);
	assert_in_range(leader, 1, 2);
	for (int32_t id = 1; id <= 3; id++) {
		wait_for_brokers(&scene, id, 3);
		assert_int_equal(look_at(&scene, id).controller, leader);
	}
	scene_fini(&scene);
}

/* Goal: what is the controller's work can be asked of any broker. Method: topics and producer ids
 * at each of three brokers. */
static void
test_any_broker_passes_on(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	int64_t ids[3];
	for (int32_t id = 1; id <= 3; id++) {
		char name[8];
		snprintf(name, sizeof(name), "t%d", id);
		assert_int_equal(create_at(&scene, id, name), OT_OK);
		assert_int_equal(create_at(&scene, id, name), OT_ERR_TOPIC_ALREADY_EXISTS);
		ids[id - 1] = producer_id_at(&scene, id);
	}
	assert_true(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
	ot_sim_world_run_for_ms(scene.cluster.world, 200);
	for (int32_t id = 1; id <= 3; id++)
		assert_int_equal(look_at(&scene, id).topic_count, 3);
	scene_fini(&scene);
}

/* Goal: when the active controller dies, the others go on with the next one, and it is fenced.
 * Method: its machine loses power; a topic is asked of a broker that cannot lead. */
static void
test_controller_dies(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	int32_t dead = leader_of(&scene);
	cluster_crash(&scene.cluster, dead, OT_SIM_POWER_LOST);
	assert_int_equal(create_at(&scene, 3, "after"), OT_OK);
	assert_true(leader_of(&scene) != dead);
	wait_for_brokers(&scene, 3, 2);
	assert_int_equal(look_at(&scene, 3).controller, leader_of(&scene));
	cluster_start(&scene.cluster, dead);
	scene_until(&scene, are_all_ready, &scene, RIG_PATIENCE_MS);
	wait_for_brokers(&scene, 3, 3);
	scene_fini(&scene);
}

/* Goal: a broker that stops in order has handed over what it led before it goes, and comes back at
 * once. Method: it leads a partition of two replicas; the others are asked when it has stopped,
 * long before its session could run out. */
static void
test_leaves_in_order(void **state)
{
	(void)state;
	struct scene scene;
	int32_t replicas[] = { 3, 1 };
	scene_init(&scene, 3, 2, "broker.session.timeout.ms=1000000\n");
	scene_start(&scene);
	for (int32_t id = 1; id <= 3; id++)
		wait_for_brokers(&scene, id, 3);
	assert_int_equal(place_at(&scene, 2, "t", replicas, 2), OT_OK);
	ot_sim_world_run_for_ms(scene.cluster.world, 200);
	assert_int_equal(look_at(&scene, 1).leader, 3);
	cluster_stop(&scene.cluster, 3);
	struct cluster_broker *self = cluster_broker(&scene.cluster, 3);
	scene_until(&scene, is_stopped, self, RIG_PATIENCE_MS);
	assert_ok(self->err);
	assert_int_equal(look_at(&scene, 1).leader, 1);
	cluster_start(&scene.cluster, 3);
	scene_until(&scene, is_ready, self, 2000);
	scene_fini(&scene);
}

static bool
note_controller(void *arg, struct ot_bytes framed)
{
	uint32_t *found = arg;
	struct ot_typed_record record;
	struct ot_arena arena;
	ot_arena_init(&arena, 0);
	assert_ok(ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record));
	const struct ot_register_controller_record *controller = record.msg;
	assert_int_equal(controller->end_points_count, 1);
	assert_int_equal(controller->end_points[0].port, CLUSTER_CONTROL_PORT);
	assert_true(controller->features_count > 0);
	*found |= 1u << controller->controller_id;
	ot_arena_fini(&arena);
	return true;
}

/* The controllers that are registered, as bits. */
static uint32_t
controllers_by(struct scene *scene, int32_t id)
{
	uint32_t found = 0;
	ot_image_visit_kept_records(cluster_broker(&scene->cluster, id)->broker->shards[0].image,
	    OT_REGISTER_CONTROLLER_RECORD_TYPE, note_controller, &found);
	return found;
}

/* Goal: controllers that may lead next are registered with the one that does, once, and those
 * without the role are not. Method: two of three; then the lease is lost until the other leads. */
static void
test_controllers_register(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	ot_sim_world_run_for_ms(scene.cluster.world, 3000);
	int32_t first = leader_of(&scene);
	assert_int_equal(controllers_by(&scene, 3), 1u << (3 - first));
	int64_t offset =
	    ot_image_place(cluster_broker(&scene.cluster, 3)->broker->shards[0].image).offset;
	ot_sim_world_run_for_ms(scene.cluster.world, 5000);
	assert_int_equal(
	    ot_image_place(cluster_broker(&scene.cluster, 3)->broker->shards[0].image).offset,
	    offset);
	while (leader_of(&scene) == first || leader_of(&scene) < 0) {
		metalog_store_depose(scene.cluster.store);
		ot_sim_world_run_for_ms(scene.cluster.world, 3000);
	}
	ot_sim_world_run_for_ms(scene.cluster.world, 3000);
	assert_int_equal(controllers_by(&scene, 3), 1u << 1 | 1u << 2);
	scene_fini(&scene);
}

/* Goal: who asks a second time does not wait until others lead. Method: no controller answers a
 * broker that is asked to stop; it waits, and no longer once it is asked again. */
static void
test_second_stop(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	for (int32_t id = 1; id <= 3; id++)
		wait_for_brokers(&scene, id, 3);
	struct cluster_broker *self = cluster_broker(&scene.cluster, 3);
	metalog_store_set_outage(scene.cluster.store, true);
	ot_sim_world_run_for_ms(scene.cluster.world, 30 * 1000);
	cluster_stop(&scene.cluster, 3);
	ot_sim_world_run_for_ms(scene.cluster.world, 2000);
	assert_false(is_stopped(self));
	cluster_stop(&scene.cluster, 3);
	scene_until(&scene, is_stopped, self, 500);
	assert_ok(self->err);
	scene_fini(&scene);
}

/* Goal: a whole cluster that is stopped at once does not wait for itself. */
static void
test_all_leave(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	for (int32_t id = 1; id <= 3; id++)
		wait_for_brokers(&scene, id, 3);
	int64_t begin = now_ms(&scene);
	for (int32_t id = 1; id <= 3; id++)
		cluster_stop(&scene.cluster, id);
	for (int32_t id = 1; id <= 3; id++) {
		struct cluster_broker *self = cluster_broker(&scene.cluster, id);
		if (self->broker != NULL)
			scene_until(&scene, is_stopped, self, RIG_PATIENCE_MS);
		assert_ok(self->err);
	}
	assert_true(now_ms(&scene) - begin < 10 * 1000);
	scene_fini(&scene);
}

/* Goal: a broker that was killed and starts again at once is let in when the session of its former
 * self has run out. Goal of the second half: where that takes longer than it may wait, it says that
 * the id is another's. */
static void
test_former_self(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "broker.session.timeout.ms=9000\n");
	scene_start(&scene);
	struct cluster_broker *self = cluster_broker(&scene.cluster, 3);
	cluster_crash(&scene.cluster, 3, OT_SIM_KILLED);
	cluster_start(&scene.cluster, 3);
	int64_t begin = now_ms(&scene);
	scene_until(&scene, is_ready, self, RIG_PATIENCE_MS);
	assert_in_range(now_ms(&scene) - begin, 5000, 12000);
	assert_ok(scene.failure);
	scene_fini(&scene);

	scene_init(&scene, 3, 2,
	    "broker.session.timeout.ms=9000\ninitial.broker.registration.timeout.ms=2000\n");
	scene_start(&scene);
	self = cluster_broker(&scene.cluster, 3);
	cluster_crash(&scene.cluster, 3, OT_SIM_KILLED);
	cluster_start(&scene.cluster, 3);
	scene_until(&scene, is_stopped, self, RIG_PATIENCE_MS);
	assert_int_equal(scene.failure, OT_ERR_DUPLICATE_BROKER_REGISTRATION);
	assert_non_null(strstr(scene.why, "another process is broker 3"));
	scene_fini(&scene);
}

/* Goal: without an active controller a request of a client ends when its time is over, by an error
 * after which clients try again; and is done when there is one in time. Method: the metadata log
 * answers nobody. */
static void
test_nobody_leads(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "request.timeout.ms=10000\n");
	scene_start(&scene);
	metalog_store_set_outage(scene.cluster.store, true);
	ot_sim_world_run_for_ms(scene.cluster.world, 30 * 1000);
	int64_t begin = now_ms(&scene);
	assert_int_equal(create_at(&scene, 3, "never"), OT_ERR_REQUEST_TIMED_OUT);
	assert_in_range(now_ms(&scene) - begin, REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS + 1000);
	metalog_store_set_outage(scene.cluster.store, false);
	assert_int_equal(create_at(&scene, 3, "now"), OT_OK);
	scene_fini(&scene);
}

/* Goal: no broker is fenced, and none fails, while the control of the cluster moves to and fro.
 * Method: the active controller loses its lease ten times; a topic after each. */
static void
test_control_moves(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, 3, 2, "");
	scene_start(&scene);
	for (int i = 0; i < 10; i++) {
		char name[8];
		snprintf(name, sizeof(name), "t%d", i);
		metalog_store_depose(scene.cluster.store);
		assert_int_equal(create_at(&scene, 1 + i % 3, name), OT_OK);
		wait_for_brokers(&scene, 3, 3);
	}
	assert_ok(scene.failure);
	scene_fini(&scene);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_members),
		cmocka_unit_test(test_any_broker_passes_on),
		cmocka_unit_test(test_controller_dies),
		cmocka_unit_test(test_leaves_in_order),
		cmocka_unit_test(test_controllers_register),
		cmocka_unit_test(test_second_stop),
		cmocka_unit_test(test_all_leave),
		cmocka_unit_test(test_former_self),
		cmocka_unit_test(test_nobody_leads),
		cmocka_unit_test(test_control_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
