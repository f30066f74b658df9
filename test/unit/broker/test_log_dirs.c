/* Log directories that fail while brokers run: what is in them moves to others, what is not stays
 * (KIP-112, KIP-858). Each broker has two, on disks of their own. */
#include "scene.h"

#include "wire/msg_describe_log_dirs.h"

enum { TOPICS = 6 };

/* ---- the stage ------------------------------------------------------------------------------- */

static void
stage_init(struct scene *scene)
{
	scene_init(scene, 3, 2, "log.dirs=/data,/b\nunclean.leader.election.enable=false\n");
	scene_start(scene);
	for (int32_t id = 1; id <= 3; id++)
		wait_for_brokers(scene, id, 3);
}

static void
name_of(int i, char name[8])
{
	(void)snprintf(name, 8, "t%d", i);
}

/* Topics t0, t1, ... of one partition each, the first broker of the list leads. */
static void
make_topics(struct scene *scene, int count, int32_t *brokers, int32_t broker_count)
{
	char name[8];
	for (int i = 0; i < count; i++) {
		name_of(i, name);
		assert_int_equal(place_at(scene, 2, name, brokers, broker_count), OT_OK);
	}
}

/* The partition as a broker that lives has it in its metadata; NULL: it does not yet. */
static const struct ot_partition_image *
partition_of(struct scene *scene, int i)
{
	char name[8];
	name_of(i, name);
	const struct ot_image *image = cluster_broker(&scene->cluster, 2)->broker->shards[0].image;
	const struct ot_topic_image *topic =
	    image != NULL ? ot_image_topic(image, ot_str_from(name)) : NULL;
	return topic != NULL ? ot_topic_partition(topic, 0) : NULL;
}

/* In which of its directories a broker has the replica, by the metadata; -1: in none of them. */
static int
dir_of(struct scene *scene, int i, int32_t id)
{
	const struct ot_partition_image *partition = partition_of(scene, i);
	struct ot_ids replicas = ot_partition_replicas(partition);
	const struct ot_dirs *dirs = cluster_broker(&scene->cluster, id)->broker->dirs;
	for (int32_t place = 0; place < replicas.count; place++) {
		struct ot_uuid known = ot_partition_directory(partition, place);
		for (size_t dir = 0; replicas.items[place] == id && dir < 2; dir++) {
			struct ot_uuid own = ot_dirs_id(dirs, dir);
			if (ot_uuid_equal(&known, &own))
				return (int)dir;
		}
	}
	return -1;
}

static bool
is_at_home(struct scene *scene, int i)
{
	const struct ot_partition_image *partition = partition_of(scene, i);
	if (partition == NULL)
		return false;
	struct ot_ids replicas = ot_partition_replicas(partition);
	for (int32_t place = 0; place < replicas.count; place++) {
		if (dir_of(scene, i, replicas.items[place]) < 0)
			return false;
	}
	return partition->leader >= 0 && ot_partition_isr(partition).count == replicas.count;
}

static bool
are_all_at_home(void *arg)
{
	struct scene *scene = arg;
	for (int i = 0; i < TOPICS; i++) {
		if (!is_at_home(scene, i))
			return false;
	}
	return true;
}

static bool
is_first_at_home(void *arg)
{
	return is_at_home(arg, 0);
}

static int16_t
produce_at(struct scene *scene, int32_t id, int i, int16_t acks)
{
	char name[8];
	struct link link;
	name_of(i, name);
	connect_to(scene, &link, id);
	int16_t code = link_produce(&link, name, 0, acks, "x;", NULL);
	link_close(&link);
	return code;
}

static bool
has_moved_away(struct scene *scene, int i)
{
	const struct ot_partition_image *partition = partition_of(scene, i);
	return partition->leader != 1 && partition->leader >= 0 &&
	       !ot_ids_have(ot_partition_isr(partition), 1);
}

static bool
has_first_moved_away(void *arg)
{
	return has_moved_away(arg, 0);
}

static struct ot_sim_disk *
disk_of(struct scene *scene, int32_t id)
{
	return ot_sim_host_disk(cluster_broker(&scene->cluster, id)->host);
}

static void
restart(struct scene *scene, int32_t id)
{
	struct cluster_broker *self = cluster_broker(&scene->cluster, id);
	cluster_stop(&scene->cluster, id);
	scene_until(scene, is_stopped, self, RIG_PATIENCE_MS);
	cluster_start(&scene->cluster, id);
	scene_until(scene, is_ready, self, RIG_PATIENCE_MS);
}

/* What DescribeLogDirs says of the second directory. */
static int16_t
error_of_second_dir(struct scene *scene, int32_t id)
{
	struct ot_arena arena;
	struct ot_describe_log_dirs_request request;
	struct ot_describe_log_dirs_response response;
	struct link link;
	ot_arena_init(&arena, 0);
	ot_describe_log_dirs_request_init(&request);
	request.topics_count = -1;
	connect_to(scene, &link, id);
	assert_true(link_call(&link, ot_api_find(35), 3, &request, &arena, &response));
	assert_int_equal(response.results_count, 2);
	int16_t code = response.results[1].error_code;
	link_close(&link);
	ot_arena_fini(&arena);
	return code;
}

/* ---- tests ----------------------------------------------------------------------------------- */

struct half {
	struct scene *scene;
	int dir[TOPICS]; /* of broker 1 */
};

static bool
has_second_half_moved(void *arg)
{
	const struct half *half = arg;
	for (int i = 0; i < TOPICS; i++) {
		if (half->dir[i] == 1 && !has_moved_away(half->scene, i))
			return false;
	}
	return true;
}

/* Goal: a directory that fails takes down what is in it, and nothing else: others lead that within
 * moments, acks=all goes on, and a new replica has a place. Method: the second directory of a
 * broker that leads everything fails, and somebody writes; then the broker is started again. */
static void
test_directory_fails(void **state)
{
	(void)state;
	struct scene scene;
	struct half half = { .scene = &scene };
	int32_t brokers[] = { 1, 2, 3 };
	int counts[2] = { 0 };
	stage_init(&scene);
	make_topics(&scene, TOPICS, brokers, 3);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	for (int i = 0; i < TOPICS; i++) {
		half.dir[i] = dir_of(&scene, i, 1);
		counts[half.dir[i]]++;
		assert_int_equal(produce_at(&scene, 1, i, -1), OT_OK);
	}
	assert_int_equal(counts[0], TOPICS / 2);

	ot_sim_disk_lose(disk_of(&scene, 1), "/b");
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(produce_at(&scene, 1, i, 1) == OT_OK, half.dir[i] == 0);
	scene_until(&scene, has_second_half_moved, &half, 5000);
	for (int i = 0; i < TOPICS; i++) {
		const struct ot_partition_image *partition = partition_of(&scene, i);
		assert_int_equal(partition->leader == 1, half.dir[i] == 0);
		assert_int_equal(produce_at(&scene, partition->leader, i, -1), OT_OK);
	}
	assert_int_equal(error_of_second_dir(&scene, 1), OT_ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(place_at(&scene, 2, "t6", brokers, 3), OT_OK);
	ot_sim_world_run_for_ms(scene.cluster.world, 1000);
	assert_int_equal(dir_of(&scene, 6, 1), 0);
	assert_int_equal(produce_at(&scene, 1, 6, -1), OT_OK);
	assert_true(cluster_is_running(cluster_broker(&scene.cluster, 1)));

	ot_sim_disk_lose(disk_of(&scene, 1), NULL);
	restart(&scene, 1);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	assert_ok(scene.failure);
	scene_fini(&scene);
}

/* Goal: one log that fails while its directory is well takes down nothing else, and others lead it
 * too; after a restart it is as before. Method: all calls below one folder fail. */
static void
test_log_fails_alone(void **state)
{
	(void)state;
	struct scene scene;
	int32_t brokers[] = { 1, 2, 3 };
	char path[16];
	stage_init(&scene);
	make_topics(&scene, TOPICS, brokers, 3);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	(void)snprintf(path, sizeof(path), "/%s/t0-0", dir_of(&scene, 0, 1) == 0 ? "data" : "b");
	ot_sim_disk_lose(disk_of(&scene, 1), path);
	assert_int_equal(produce_at(&scene, 1, 0, 1), OT_ERR_KAFKA_STORAGE_ERROR);
	scene_until(&scene, has_first_moved_away, &scene, 5000);
	ot_sim_world_run_for_ms(scene.cluster.world, 5000);
	for (int i = 1; i < TOPICS; i++) {
		assert_true(is_at_home(&scene, i));
		assert_int_equal(produce_at(&scene, 1, i, -1), OT_OK);
	}
	assert_int_equal(error_of_second_dir(&scene, 1), OT_OK);

	ot_sim_disk_lose(disk_of(&scene, 1), NULL);
	restart(&scene, 1);
	scene_until(&scene, is_first_at_home, &scene, RIG_PATIENCE_MS);
	scene_fini(&scene);
}

/* Goal: the only replica of a partition is led again once its log can be used again. Method: as
 * before, with one replica, whose broker is then started anew. */
static void
test_only_replica_comes_back(void **state)
{
	(void)state;
	struct scene scene;
	int32_t broker = 1;
	char path[16];
	stage_init(&scene);
	make_topics(&scene, 1, &broker, 1);
	scene_until(&scene, is_first_at_home, &scene, RIG_PATIENCE_MS);
	assert_int_equal(produce_at(&scene, 1, 0, -1), OT_OK);
	(void)snprintf(path, sizeof(path), "/%s/t0-0", dir_of(&scene, 0, 1) == 0 ? "data" : "b");
	ot_sim_disk_lose(disk_of(&scene, 1), path);
	assert_int_equal(produce_at(&scene, 1, 0, 1), OT_ERR_KAFKA_STORAGE_ERROR);
	ot_sim_world_run_for_ms(scene.cluster.world, 5000);
	assert_int_equal(partition_of(&scene, 0)->leader, -1);
	ot_sim_disk_lose(disk_of(&scene, 1), NULL);
	restart(&scene, 1);
	scene_until(&scene, is_first_at_home, &scene, RIG_PATIENCE_MS);
	assert_int_equal(produce_at(&scene, 1, 0, -1), OT_OK);
	scene_fini(&scene);
}

/* Goal: a broker starts without a directory whose disk has failed, and what is in that stays away
 * until it is well: it is not made anew elsewhere, and the rest is in sync. Method: a broker is
 * stopped, its second disk fails, it is started; then once more, with the disk. */
static void
test_start_without_a_disk(void **state)
{
	(void)state;
	struct scene scene;
	struct half half = { .scene = &scene };
	int32_t brokers[] = { 1, 2, 3 };
	int32_t alone = 1;
	stage_init(&scene);
	make_topics(&scene, TOPICS, brokers, 3);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	assert_int_equal(place_at(&scene, 2, "t6", &alone, 1), OT_OK);
	assert_int_equal(place_at(&scene, 2, "t7", &alone, 1), OT_OK);
	ot_sim_world_run_for_ms(scene.cluster.world, 1000);
	int lost = dir_of(&scene, 6, 1) == 1 ? 6 : 7;
	for (int i = 0; i < TOPICS; i++) {
		half.dir[i] = dir_of(&scene, i, 1);
		assert_int_equal(produce_at(&scene, 1, i, -1), OT_OK);
	}
	assert_int_equal(produce_at(&scene, 1, lost, -1), OT_OK);
	struct cluster_broker *self = cluster_broker(&scene.cluster, 1);
	cluster_stop(&scene.cluster, 1);
	scene_until(&scene, is_stopped, self, RIG_PATIENCE_MS);
	ot_sim_disk_lose(disk_of(&scene, 1), "/b");
	cluster_start(&scene.cluster, 1);
	scene_until(&scene, is_ready, self, RIG_PATIENCE_MS);
	ot_sim_world_run_for_ms(scene.cluster.world, 10 * 1000);
	assert_int_equal(error_of_second_dir(&scene, 1), OT_ERR_KAFKA_STORAGE_ERROR);
	assert_true(has_second_half_moved(&half));
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(is_at_home(&scene, i), half.dir[i] == 0);
	assert_int_equal(partition_of(&scene, lost)->leader, -1);
	assert_int_equal(place_at(&scene, 2, "t8", &alone, 1), OT_OK);
	ot_sim_world_run_for_ms(scene.cluster.world, 1000);
	assert_int_equal(produce_at(&scene, 1, 8, -1), OT_OK);

	ot_sim_disk_lose(disk_of(&scene, 1), NULL);
	restart(&scene, 1);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	assert_int_equal(partition_of(&scene, lost)->leader, 1);
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(dir_of(&scene, i, 1), half.dir[i]);
	scene_fini(&scene);
}

/* Goal: a disk that was replaced by an empty one is filled from the other replicas, and its broker
 * is in sync again; but what was on it alone is not led from nothing. Method: a broker is stopped,
 * a directory removed, and it starts; partitions of three replicas, and two of one. */
static void
test_disk_is_replaced(void **state)
{
	(void)state;
	struct scene scene;
	int32_t brokers[] = { 1, 2, 3 };
	int32_t alone = 1;
	struct cluster_broker *self;
	stage_init(&scene);
	make_topics(&scene, TOPICS, brokers, 3);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	assert_int_equal(place_at(&scene, 2, "t6", &alone, 1), OT_OK);
	assert_int_equal(place_at(&scene, 2, "t7", &alone, 1), OT_OK);
	ot_sim_world_run_for_ms(scene.cluster.world, 1000);
	int lost = dir_of(&scene, 6, 1) == 1 ? 6 : 7;
	assert_int_equal(dir_of(&scene, lost, 1), 1);
	for (int i = 0; i < TOPICS + 2; i++)
		assert_int_equal(produce_at(&scene, 1, i, -1), OT_OK);
	self = cluster_broker(&scene.cluster, 1);
	cluster_stop(&scene.cluster, 1);
	scene_until(&scene, is_stopped, self, RIG_PATIENCE_MS);
	assert_ok(ot_fs_remove_all(ot_sim_host_fs(self->host), "/b"));
	cluster_start(&scene.cluster, 1);
	scene_until(&scene, is_ready, self, RIG_PATIENCE_MS);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	ot_sim_world_run_for_ms(scene.cluster.world, 10 * 1000);
	assert_int_equal(partition_of(&scene, lost)->leader, -1);
	assert_int_equal(partition_of(&scene, lost == 6 ? 7 : 6)->leader, 1);
	scene_fini(&scene);
}

/* Goal: a broker without any directory left ends, and says why; the others go on. Method: its whole
 * disk fails. */
static void
test_last_directory_fails(void **state)
{
	(void)state;
	struct scene scene;
	int32_t brokers[] = { 3, 2 };
	stage_init(&scene);
	make_topics(&scene, TOPICS, brokers, 2);
	scene_until(&scene, are_all_at_home, &scene, RIG_PATIENCE_MS);
	ot_sim_disk_fail_at(disk_of(&scene, 3), OT_SIM_ANY, 1, OT_ERR_IO, true);
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(produce_at(&scene, 3, i, 1), OT_ERR_KAFKA_STORAGE_ERROR);
	scene_until(&scene, is_stopped, cluster_broker(&scene.cluster, 3), RIG_PATIENCE_MS);
	assert_int_equal(scene.failure, OT_ERR_IO);
	assert_non_null(strstr(scene.why, "all log directories have failed"));
	wait_for_brokers(&scene, 2, 2);
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(produce_at(&scene, 2, i, -1), OT_OK);
	scene_fini(&scene);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory_fails),
		cmocka_unit_test(test_log_fails_alone),
		cmocka_unit_test(test_only_replica_comes_back),
		cmocka_unit_test(test_start_without_a_disk),
		cmocka_unit_test(test_disk_is_replaced),
		cmocka_unit_test(test_last_directory_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
