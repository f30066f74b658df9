/* Goal: every item is visited once on its own shard, and `done` comes once, at home, after all.
 * Method: three shards driven by hand, turn by turn, on loops that never run. */
#include "../test.h"

#include "io/loop.h"
#include "shard/scatter.h"

enum { SHARD_COUNT = 2 };

struct item {
	struct ot_scatter_item scatter;
	uint32_t shard_index;
	int visit_count;
	bool is_late;
};

static struct ot_shard_set *set;
static struct ot_io *ios[SHARD_COUNT + 1];
static int done_count;
static struct item *late_item;

static int
setup(void **state)
{
	(void)state;
	for (int i = 0; i <= SHARD_COUNT; i++)
		assert_ok(ot_loop_create(&ios[i]));
	set = ot_shard_set_create(SHARD_COUNT, ios, OT_MIB);
	done_count = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ot_shard_self = NULL;
	ot_shard_set_destroy(set);
	for (int i = 0; i <= SHARD_COUNT; i++)
		ot_loop_destroy(ios[i]);
	return 0;
}

static void
turn_all(void)
{
	for (uint32_t i = 0; i <= SHARD_COUNT; i++) {
		ot_shard_enter(set->shards[i]);
		ot_shard_end_turn(set->shards[i]);
	}
}

static void
visit(struct ot_scatter_item *scatter_item)
{
	struct item *item = OT_CONTAINER_OF(scatter_item, struct item, scatter);
	assert_int_equal(ot_shard_self->index, item->shard_index);
	item->visit_count++;
	if (item->is_late)
		late_item = item;
	else
		ot_scatter_item_done(scatter_item);
}

static void
done(struct ot_scatter *scatter)
{
	assert_ptr_equal(ot_shard_self, scatter->home);
	done_count++;
}

static void
test_items_on_all_shards(void **state)
{
	(void)state;
	struct ot_arena arena;
	struct ot_scatter scatter;
	struct item items[9] = { 0 };
	ot_arena_init(&arena, 0);
	ot_shard_enter(set->shards[0]);
	assert_ok(ot_scatter_init(&scatter, set->shards[0], &arena));
	for (uint32_t i = 0; i < 9; i++) {
		items[i].shard_index = i % (SHARD_COUNT + 1);
		items[i].is_late = i == 4;
		ot_scatter_add(&scatter, &items[i].scatter, items[i].shard_index);
	}
	ot_scatter_run(&scatter, visit, done);
	assert_int_equal(done_count, 0);
	turn_all();
	turn_all();
	assert_int_equal(done_count, 0);
	ot_shard_enter(set->shards[late_item->shard_index]);
	ot_scatter_item_done(&late_item->scatter);
	turn_all();
	turn_all();
	assert_int_equal(done_count, 1);
	for (int i = 0; i < 9; i++)
		assert_int_equal(items[i].visit_count, 1);
	ot_arena_fini(&arena);
}

static void
test_home_only_and_empty_are_done_at_once(void **state)
{
	(void)state;
	struct ot_arena arena;
	struct ot_scatter scatter;
	struct item item = { 0 };
	ot_arena_init(&arena, 0);
	ot_shard_enter(set->shards[0]);
	assert_ok(ot_scatter_init(&scatter, set->shards[0], &arena));
	ot_scatter_run(&scatter, visit, done);
	assert_int_equal(done_count, 1);
	assert_ok(ot_scatter_init(&scatter, set->shards[0], &arena));
	ot_scatter_add(&scatter, &item.scatter, 0);
	ot_scatter_run(&scatter, visit, done);
	assert_int_equal(done_count, 2);
	ot_arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_items_on_all_shards, setup, teardown),
		cmocka_unit_test_setup_teardown(test_home_only_and_empty_are_done_at_once, setup,
		    teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
