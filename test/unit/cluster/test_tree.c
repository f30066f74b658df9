/* Tests of src/cluster/tree.c. */
#include "cluster/tree_int.h"

#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/alloc.h"

/* ---- values with few words, so that equal words are common ----------------------------------- */

struct value {
	_Atomic uint32_t refs;
	uint32_t key;
};

static int64_t live_count;

static struct value *
value_create(uint32_t key)
{
	struct value *value = ot_must_alloc(sizeof(*value));

	atomic_init(&value->refs, 1);
	value->key = key;
	live_count++;
	return value;
}

static struct tree_key
key_of(const void *value)
{
	const struct value *v = value;

	return (struct tree_key){ v->key / 3, &v->key };
}

static struct tree_key
key_for(const uint32_t *key)
{
	return (struct tree_key){ *key / 3, key };
}

static int
compare(const void *key, const void *value)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct value *)value)->key;

	return a < b ? -1 : a > b;
}

static void
value_ref(void *value)
{
	atomic_fetch_add(&((struct value *)value)->refs, 1);
}

static void
value_unref(void *value)
{
	if (atomic_fetch_sub(&((struct value *)value)->refs, 1) > 1)
		return;
	live_count--;
	ot_free(value);
}

static const struct tree_ops ops = { key_of, compare, value_ref, value_unref };

/* ---- a small generator, the same numbers in every run ---------------------------------------- */

static uint32_t seed;

static uint32_t
draw(uint32_t bound)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % bound;
}

/* ---- a model: an array of what each key has ---------------------------------------------------
 */

enum { KEYS = 4000, VERSIONS = 40 };

struct version {
	struct ot_image_tree *root;
	struct value *values[KEYS]; /* borrowed from the tree */
};

static void
version_check(const struct version *version)
{
	struct tree_cursor cursor;
	uint32_t count = 0;

	tree_begin(&cursor, version->root);
	for (uint32_t key = 0; key < KEYS; key++) {
		assert_ptr_equal(tree_find(version->root, &ops, key_for(&key)),
		    version->values[key]);
		if (version->values[key] == NULL)
			continue;
		assert_ptr_equal(tree_at(&cursor), version->values[key]);
		tree_next(&cursor);
		count++;
	}
	assert_null(tree_at(&cursor));
	assert_int_equal(tree_check(version->root, &ops, NULL), count);
}

static void
version_change(struct version *version, uint32_t key)
{
	struct value *value;
	bool had = version->values[key] != NULL;

	if (draw(3) > 0) {
		value = value_create(key);
		assert_int_equal(tree_put(&version->root, &ops, value), !had);
		version->values[key] = value;
	} else {
		assert_int_equal(tree_remove(&version->root, &ops, key_for(&key)), had);
		version->values[key] = NULL;
	}
}

struct diff_check {
	const struct version *before;
	const struct version *after;
	uint32_t next_key;
	uint32_t visit_count;
};

static void
diff_skip_to(struct diff_check *check, uint32_t key)
{
	for (; check->next_key < key; check->next_key++)
		assert_ptr_equal(check->before->values[check->next_key],
		    check->after->values[check->next_key]);
}

static void
diff_visit(void *arg, void *before, void *after)
{
	struct diff_check *check = arg;
	uint32_t key =
	    before != NULL ? ((struct value *)before)->key : ((struct value *)after)->key;

	diff_skip_to(check, key);
	assert_ptr_equal(before, check->before->values[key]);
	assert_ptr_equal(after, check->after->values[key]);
	assert_ptr_not_equal(before, after);
	check->next_key = key + 1;
	check->visit_count++;
}

static void
check_diff(const struct version *before, const struct version *after)
{
	struct diff_check check = { .before = before, .after = after };

	tree_diff(before->root, after->root, &ops, diff_visit, &check);
	diff_skip_to(&check, KEYS);
}

/* Goal: old versions never change, new ones are what a plain array says, differences are exactly
 * those of the arrays, and all memory is freed. Method: random changes in bursts of all sizes,
 * every version kept, all checked at the end, then freed in random order. */
static void
test_versions(void **state)
{
	static struct version versions[VERSIONS];
	(void)state;

	seed = 1;
	live_count = 0;
	memset(versions, 0, sizeof(versions));
	for (uint32_t i = 1; i < VERSIONS; i++) {
		uint32_t burst = 1u << draw(11);

		versions[i] = versions[i - 1];
		tree_ref(versions[i].root);
		for (uint32_t j = 0; j < burst; j++)
			version_change(&versions[i], draw(KEYS));
	}
	for (uint32_t i = 0; i < VERSIONS; i++) {
		version_check(&versions[i]);
		check_diff(&versions[i], &versions[draw(VERSIONS)]);
		check_diff(&versions[i], &versions[i > 0 ? i - 1 : 0]);
	}
	for (uint32_t i = 0; i < VERSIONS; i++) {
		uint32_t other = draw(VERSIONS);

		tree_unref(versions[other].root, &ops);
		versions[other].root = NULL;
	}
	for (uint32_t i = 0; i < VERSIONS; i++) {
		if (versions[i].root != NULL)
			version_check(&versions[i]);
		tree_unref(versions[i].root, &ops);
	}
	assert_int_equal(live_count, 0);
}

/* Goal: seeking finds the first value that is not before a key. Method: every key asked of a tree
 * with every seventh key, and of the empty tree. */
static void
test_seek(void **state)
{
	struct ot_image_tree *root = NULL;
	struct tree_cursor cursor;
	(void)state;

	for (uint32_t key = 0; key < KEYS; key += 7)
		tree_put(&root, &ops, value_create(key));
	for (uint32_t key = 0; key < KEYS + 10; key++) {
		uint32_t expected = (key + 6) / 7 * 7;
		const struct value *value;

		tree_seek(&cursor, root, &ops, key_for(&key));
		value = tree_at(&cursor);
		if (expected >= KEYS) {
			assert_null(value);
			continue;
		}
		assert_non_null(value);
		assert_int_equal(value->key, expected);
	}
	tree_unref(root, &ops);
	tree_seek(&cursor, NULL, &ops, key_for(&(uint32_t){ 1 }));
	assert_null(tree_at(&cursor));
}

static void
count_visit(void *arg, void *before, void *after)
{
	(void)before;
	(void)after;
	++*(int *)arg;
}

/* Goal: what is in order stays dense, and one change copies one path. Method: bytes of a tree
 * filled in order, against the least that it could take; the bytes that a second version adds. */
static void
test_memory(void **state)
{
	enum { COUNT = 100000 };
	struct ot_image_tree *root = NULL, *changed;
	uint64_t bytes = 0;
	int visit_count = 0;
	(void)state;

	for (uint32_t key = 0; key < COUNT; key++)
		tree_put(&root, &ops, value_create(key));
	assert_int_equal(tree_check(root, &ops, &bytes), COUNT);
	assert_in_range(bytes, COUNT * 16, COUNT * 18);
	changed = tree_ref(root);
	tree_put(&changed, &ops, value_create(COUNT / 2));
	for (const struct ot_image_tree *a = root, *b = changed; a->level > 0;) {
		int same = 0;

		for (int i = 0; i < a->count; i++)
			same += a->slots[i].item == b->slots[i].item;
		assert_int_equal(same, a->count - 1);
		for (int i = 0; i < a->count; i++) {
			if (a->slots[i].item == b->slots[i].item)
				continue;
			a = a->slots[i].item;
			b = b->slots[i].item;
			break;
		}
	}
	tree_diff(root, changed, &ops, count_visit, &visit_count);
	assert_int_equal(visit_count, 1);
	tree_unref(root, &ops);
	tree_unref(changed, &ops);
	assert_int_equal(live_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
