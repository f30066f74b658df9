/* Tests of src/cluster/placement.c: rules that every placement keeps, on many clusters by seed. */
#include "cluster/placement_int.h"

#include "fixture.h"

struct cluster {
	struct ot_sim_world *world;
	struct ot_io *io;
	struct ot_image *image;
	struct ot_arena arena;
	int32_t broker_count;
	int32_t unfenced_count;
	int32_t rack_count;
};

static const char *const racks[] = { "a", "b", "c", "d" };

/* Brokers 0, 1, 2, ... on so many racks in turn (0: without one); each `fenced`-th is fenced. */
static void
cluster_create(struct cluster *cluster, uint64_t seed, int32_t brokers, int32_t rack_count,
    int32_t fenced)
{
	struct ot_settings *settings = fixture_settings("node.id=1\n");
	struct ot_image *empty = ot_image_create(settings, CLUSTER_ID);
	struct ot_image_edit *edit = ot_image_edit_begin(empty);

	memset(cluster, 0, sizeof(*cluster));
	cluster->world = ot_sim_world_create(seed);
	cluster->io = ot_sim_io_create(ot_sim_host_create(cluster->world, "10.0.0.1"));
	ot_arena_init(&cluster->arena, 0);
	cluster->broker_count = brokers;
	cluster->rack_count = OT_MAX(1, rack_count);
	for (int32_t i = 0; i < brokers; i++) {
		struct ot_register_broker_record record;
		struct ot_typed_record typed = { &ot_register_broker_record_msg, 4, &record };

		ot_register_broker_record_init(&record);
		record.broker_id = i;
		record.rack = ot_str_from(rack_count == 0 ? NULL : racks[i % rack_count]);
		record.fenced = fenced > 0 && i % fenced == fenced - 1;
		cluster->unfenced_count += !record.fenced;
		assert_ok(ot_image_edit_apply(edit, &typed, NULL));
	}
	assert_ok(
	    ot_image_edit_end(edit, (struct ot_image_place){ .offset = 1 }, &cluster->image, NULL));
	ot_image_unref(empty);
	ot_settings_unref(settings);
}

static void
cluster_destroy(struct cluster *cluster)
{
	ot_image_unref(cluster->image);
	ot_sim_io_destroy(cluster->io);
	ot_sim_world_destroy(cluster->world);
	ot_arena_fini(&cluster->arena);
}

static ot_err
place(struct cluster *cluster, int32_t partitions, int16_t factor, int32_t **ret_ids,
    struct ot_why *why)
{
	struct placement placement = { .image = cluster->image,
		.partition_count = partitions,
		.replication_factor = factor };

	return placement_choose(&placement, cluster->io, &cluster->arena, ret_ids, why);
}

static int32_t
rack_of(const struct cluster *cluster, int32_t id)
{
	return id % cluster->rack_count;
}

/* One partition's replicas: distinct, on as many racks as there can be, led by one not fenced. */
static void
check_partition(const struct cluster *cluster, const int32_t *ids, int32_t factor)
{
	int32_t on_rack[8] = { 0 };
	int32_t rack_count = 0;

	assert_false(ot_image_broker(cluster->image, ids[0])->is_fenced);
	for (int32_t i = 0; i < factor; i++) {
		assert_in_range(ids[i], 0, cluster->broker_count - 1);
		assert_false(ot_ids_have((struct ot_ids){ ids, i }, ids[i]));
		rack_count += on_rack[rack_of(cluster, ids[i])]++ == 0;
	}
	assert_int_equal(rack_count,
	    OT_MIN(factor, OT_MIN(cluster->rack_count, cluster->broker_count)));
}

/* 20 partitions of every factor. */
static void
check_cluster(struct cluster *cluster)
{
	for (int16_t factor = 1; factor <= cluster->broker_count; factor++) {
		int32_t *ids;

		assert_ok(place(cluster, 20, factor, &ids, NULL));
		for (int32_t i = 0; i < 20; i++)
			check_partition(cluster, &ids[i * factor], factor);
	}
}

/* Goal: every partition is placed as the rules want. Method: clusters of 1 to 12 brokers on 0 to 4
 * racks, some fenced, every factor. */
static void
test_rules(void **state)
{
	(void)state;
	for (int32_t brokers = 1; brokers <= 12; brokers++) {
		for (int32_t rack_count = 0; rack_count <= 4; rack_count++) {
			struct cluster cluster;

			cluster_create(&cluster, (uint64_t)(brokers * 10 + rack_count), brokers,
			    rack_count, brokers % 3 == 0 ? 3 : 0);
			check_cluster(&cluster);
			cluster_destroy(&cluster);
		}
	}
}

/* Goal: leaders and replicas are even. Method: as many partitions as brokers, several times over.
 */
static void
test_evenness(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct cluster cluster;
		int32_t leaders[6] = { 0 }, replicas[6] = { 0 };
		int32_t *ids;

		cluster_create(&cluster, seed, 6, 3, 0);
		assert_ok(place(&cluster, 60, 3, &ids, NULL));
		for (int32_t i = 0; i < 60; i++) {
			leaders[ids[i * 3]]++;
			for (int32_t j = 0; j < 3; j++)
				replicas[ids[i * 3 + j]]++;
		}
		for (int32_t i = 0; i < 6; i++) {
			assert_in_range(leaders[i], 7, 13);
			assert_in_range(replicas[i], 24, 36);
		}
		cluster_destroy(&cluster);
	}
}

/* Goal: what cannot be placed says why. Method: no broker, only fenced ones, too few. */
static void
test_refused(void **state)
{
	struct cluster cluster;
	struct ot_why why;
	int32_t *ids;
	(void)state;

	cluster_create(&cluster, 1, 2, 0, 1);
	assert_int_equal(place(&cluster, 1, 1, &ids, &why), OT_ERR_INVALID_REPLICATION_FACTOR);
	assert_string_equal(why.text, "All brokers are currently fenced.");
	cluster_destroy(&cluster);
	cluster_create(&cluster, 1, 2, 0, 0);
	assert_int_equal(place(&cluster, 1, 3, &ids, &why), OT_ERR_INVALID_REPLICATION_FACTOR);
	assert_string_equal(why.text,
	    "The target replication factor of 3 cannot be reached because only 2 broker(s) are "
	    "registered.");
	assert_int_equal(place(&cluster, 1, 0, &ids, &why), OT_ERR_INVALID_REPLICATION_FACTOR);
	assert_string_equal(why.text,
	    "Invalid replication factor 0: the replication factor must be positive.");
	cluster_destroy(&cluster);
	cluster_create(&cluster, 1, 0, 0, 0);
	assert_int_equal(place(&cluster, 1, 1, &ids, &why), OT_ERR_INVALID_REPLICATION_FACTOR);
	cluster_destroy(&cluster);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_evenness),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
