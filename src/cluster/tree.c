/* See tree_int.h. Functions that change a tree take a node that is ours alone, and give the node
 * that stands in its place. */
#include "cluster/tree_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

/* ---- nodes ---------------------------------------------------------------------------------- */

static size_t
node_bytes(int capacity)
{
	return sizeof(struct ot_image_tree) + (size_t)capacity * sizeof(struct tree_slot);
}

/* Sizes between which a node grows: most topics have one partition, most trees are large. */
static int
capacity_for(int count)
{
	int capacity = 1;

	while (capacity < count)
		capacity *= 2;
	return OT_MIN(capacity, (int)TREE_FANOUT);
}

static struct ot_image_tree *
node_create(int level, int capacity)
{
	struct ot_image_tree *node;

	OT_ASSERT(capacity >= 1 && capacity <= TREE_FANOUT && level < TREE_LEVEL_MAX);
	node = ot_must_alloc(node_bytes(capacity));
	ot_refs_init(&node->refs);
	node->capacity = (uint8_t)capacity;
	node->level = (uint8_t)level;
	return node;
}

static void
item_ref(int level, const struct tree_ops *ops, void *item)
{
	if (level > 0)
		tree_ref(item);
	else
		ops->ref(item);
}

static void
item_unref(int level, const struct tree_ops *ops, void *item)
{
	if (level > 0)
		tree_unref(item, ops);
	else
		ops->unref(item);
}

struct ot_image_tree *
tree_ref(struct ot_image_tree *root)
{
	if (root != NULL)
		ot_refs_take(&root->refs);
	return root;
}

void
tree_unref(struct ot_image_tree *root, const struct tree_ops *ops)
{
	if (root == NULL || !ot_refs_drop(&root->refs))
		return;
	for (int i = 0; i < root->count; i++)
		item_unref(root->level, ops, root->slots[i].item);
	ot_free(root);
}

/* A node in place of `node` that is ours alone and has room for `count` slots; the reference to
 * `node` is taken over. */
static struct ot_image_tree *
node_own(struct ot_image_tree *node, const struct tree_ops *ops, int count)
{
	bool is_ours = ot_refs_is_single(&node->refs);
	struct ot_image_tree *copy;

	if (is_ours && node->capacity >= count)
		return node;
	copy = node_create(node->level, capacity_for(OT_MAX(count, (int)node->count)));
	copy->count = node->count;
	memcpy(copy->slots, node->slots, (size_t)node->count * sizeof(node->slots[0]));
	if (is_ours) {
		ot_free(node);
		return copy;
	}
	for (int i = 0; i < copy->count; i++)
		item_ref(copy->level, ops, copy->slots[i].item);
	tree_unref(node, ops);
	return copy;
}

static void
slot_insert(struct ot_image_tree *node, int index, struct tree_slot slot)
{
	OT_ASSERT(node->count < node->capacity && index <= node->count);
	memmove(&node->slots[index + 1], &node->slots[index],
	    (size_t)(node->count - index) * sizeof(slot));
	node->slots[index] = slot;
	node->count++;
}

static void
slot_remove(struct ot_image_tree *node, int index)
{
	OT_ASSERT(index < node->count);
	node->count--;
	memmove(&node->slots[index], &node->slots[index + 1],
	    (size_t)(node->count - index) * sizeof(node->slots[0]));
}

/* ---- looking for ---------------------------------------------------------------------------- */

static const void *
value_least(const struct ot_image_tree *node, int index)
{
	for (int level = node->level; level > 0; level--) {
		node = node->slots[index].item;
		index = 0;
	}
	return node->slots[index].item;
}

/* <0, 0, >0 as the key is before, at or behind the slot's least value. */
static int
slot_compare(const struct ot_image_tree *node, int index, const struct tree_ops *ops,
    struct tree_key key)
{
	uint64_t word = node->slots[index].word;

	if (key.word != word)
		return key.word < word ? -1 : 1;
	return ops->compare == NULL ? 0 : ops->compare(key.key, value_least(node, index));
}

/* The number of slots that are not behind the key; `*ret_is_equal`: the last of them is at it. */
static int
slot_search(const struct ot_image_tree *node, const struct tree_ops *ops, struct tree_key key,
    bool *ret_is_equal)
{
	int low = 0, high = node->count;

	*ret_is_equal = false;
	while (low < high) {
		int middle = (low + high) / 2;
		int order = slot_compare(node, middle, ops, key);

		if (order < 0) {
			high = middle;
			continue;
		}
		low = middle + 1;
		*ret_is_equal = order == 0;
		if (order == 0)
			return low;
	}
	return low;
}

void *
tree_find(const struct ot_image_tree *root, const struct tree_ops *ops, struct tree_key key)
{
	bool is_equal;
	int index;

	while (root != NULL) {
		index = slot_search(root, ops, key, &is_equal);
		if (index == 0)
			return NULL;
		if (root->level == 0)
			return is_equal ? root->slots[index - 1].item : NULL;
		root = root->slots[index - 1].item;
	}
	return NULL;
}

/* ---- putting -------------------------------------------------------------------------------- */

/* The upper part of a full node that gets one slot more at `index`, as a new node. At the end only
 * the new slot moves: trees that are filled in order stay full. */
static struct ot_image_tree *
node_split(struct ot_image_tree *node, int index)
{
	int keep = index == node->count ? node->count : (node->count + 1) / 2;
	int moved = node->count - keep;
	struct ot_image_tree *right = node_create(node->level, capacity_for(moved + 1));

	memcpy(right->slots, &node->slots[keep], (size_t)moved * sizeof(node->slots[0]));
	right->count = (uint8_t)moved;
	node->count = (uint8_t)keep;
	return right;
}

struct put {
	const struct tree_ops *ops;
	void *value;
	struct tree_key key;
	struct ot_image_tree
	    *split; /* what stands right of the node that the call gave back, or NULL */
	bool is_new;
};

/* Inserts a slot into a node that is ours, splitting it when it is full. */
static struct ot_image_tree *
node_insert(struct ot_image_tree *node, int index, struct tree_slot slot, struct put *put)
{
	put->split = NULL;
	if (node->count < TREE_FANOUT) {
		node = node_own(node, put->ops, node->count + 1);
		slot_insert(node, index, slot);
		return node;
	}
	put->split = node_split(node, index);
	if (index > node->count || put->split->count == 0)
		slot_insert(put->split, index - node->count, slot);
	else
		slot_insert(node, index, slot);
	return node;
}

static struct ot_image_tree *
node_put(struct ot_image_tree *node, struct put *put)
{
	bool is_equal;
	int index = slot_search(node, put->ops, put->key, &is_equal);
	struct ot_image_tree *split;

	node = node_own(node, put->ops, node->count);
	if (node->level == 0) {
		put->is_new = !is_equal;
		put->split = NULL;
		if (!is_equal)
			return node_insert(node, index,
			    (struct tree_slot){ put->key.word, put->value }, put);
		put->ops->unref(node->slots[index - 1].item);
		node->slots[index - 1].item = put->value;
		return node;
	}
	if (index == 0)
		node->slots[index++].word = put->key.word; /* the new least */
	node->slots[index - 1].item = node_put(node->slots[index - 1].item, put);
	split = put->split;
	if (split == NULL)
		return node;
	return node_insert(node, index, (struct tree_slot){ split->slots[0].word, split }, put);
}

bool
tree_put(struct ot_image_tree **root, const struct tree_ops *ops, void *value)
{
	struct put put = { .ops = ops, .value = value, .key = ops->key_of(value), .is_new = true };
	struct ot_image_tree *left;

	if (*root == NULL) {
		*root = node_create(0, 1);
		slot_insert(*root, 0, (struct tree_slot){ put.key.word, value });
		return true;
	}
	left = node_put(*root, &put);
	*root = left;
	if (put.split == NULL)
		return put.is_new;
	*root = node_create(left->level + 1, 2);
	slot_insert(*root, 0, (struct tree_slot){ left->slots[0].word, left });
	slot_insert(*root, 1, (struct tree_slot){ put.split->slots[0].word, put.split });
	return put.is_new;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Joins child `index` of a node that is ours with its right neighbour, if both fit well into one.
 */
static bool
children_merge(struct ot_image_tree *node, int index, const struct tree_ops *ops)
{
	struct ot_image_tree *left, *right;

	if (index < 0 || index + 1 >= node->count)
		return false;
	left = node->slots[index].item;
	right = node->slots[index + 1].item;
	if (left->count + right->count > TREE_MERGE)
		return false;
	left = node_own(left, ops, left->count + right->count);
	right = node_own(right, ops, right->count);
	memcpy(&left->slots[left->count], right->slots,
	    (size_t)right->count * sizeof(right->slots[0]));
	left->count = (uint8_t)(left->count + right->count);
	ot_free(right);
	node->slots[index].item = left;
	slot_remove(node, index + 1);
	return true;
}

/* Removes a key that is there; NULL when nothing is left. */
static struct ot_image_tree *
node_remove(struct ot_image_tree *node, const struct tree_ops *ops, struct tree_key key)
{
	bool is_equal;
	int index = slot_search(node, ops, key, &is_equal) - 1;
	struct ot_image_tree *child;

	OT_ASSERT(index >= 0);
	node = node_own(node, ops, node->count);
	if (node->level == 0) {
		OT_ASSERT(is_equal);
		ops->unref(node->slots[index].item);
		slot_remove(node, index);
	} else {
		child = node_remove(node->slots[index].item, ops, key);
		node->slots[index].item = child;
		if (child == NULL) {
			slot_remove(node, index);
		} else {
			node->slots[index].word = child->slots[0].word;
			if (!children_merge(node, index, ops))
				(void)children_merge(node, index - 1, ops);
		}
	}
	if (node->count > 0)
		return node;
	ot_free(node);
	return NULL;
}

bool
tree_remove(struct ot_image_tree **root, const struct tree_ops *ops, struct tree_key key)
{
	struct ot_image_tree *node;

	if (tree_find(*root, ops, key) == NULL)
		return false;
	node = node_remove(*root, ops, key);
	while (node != NULL && node->level > 0 && node->count == 1) {
		struct ot_image_tree *child = node->slots[0].item;

		ot_free(node);
		node = child;
	}
	*root = node;
	return true;
}

/* ---- cursors -------------------------------------------------------------------------------- */

static void
cursor_descend(struct tree_cursor *cursor, const struct ot_image_tree *node)
{
	while (node != NULL) {
		cursor->path[cursor->depth].node = node;
		cursor->path[cursor->depth].index = 0;
		cursor->depth++;
		node = node->level > 0 ? node->slots[0].item : NULL;
	}
}

/* Goes on behind the slot at which the path's level `depth` stands. */
static void
cursor_advance(struct tree_cursor *cursor, int depth)
{
	cursor->depth = depth;
	while (cursor->depth > 0) {
		const struct ot_image_tree *node = cursor->path[cursor->depth - 1].node;
		int index = ++cursor->path[cursor->depth - 1].index;

		if (index < node->count) {
			if (node->level > 0)
				cursor_descend(cursor, node->slots[index].item);
			return;
		}
		cursor->depth--;
	}
}

void
tree_begin(struct tree_cursor *cursor, const struct ot_image_tree *root)
{
	cursor->depth = 0;
	cursor_descend(cursor, root);
}

void
tree_seek(struct tree_cursor *cursor, const struct ot_image_tree *root, const struct tree_ops *ops,
    struct tree_key key)
{
	bool is_equal;
	int index;

	cursor->depth = 0;
	while (root != NULL) {
		index = slot_search(root, ops, key, &is_equal);
		cursor->path[cursor->depth].node = root;
		cursor->path[cursor->depth].index = OT_MAX(index - 1, 0);
		cursor->depth++;
		if (root->level == 0) {
			if (index > 0 && !is_equal)
				cursor_advance(cursor, cursor->depth);
			return;
		}
		root = root->slots[OT_MAX(index - 1, 0)].item;
	}
}

void
tree_next(struct tree_cursor *cursor)
{
	cursor_advance(cursor, cursor->depth);
}

void *
tree_at(const struct tree_cursor *cursor)
{
	if (cursor->depth == 0)
		return NULL;
	return cursor->path[cursor->depth - 1]
	    .node->slots[cursor->path[cursor->depth - 1].index]
	    .item;
}

/* ---- differences ---------------------------------------------------------------------------- */

/* The least depth of the path from which on the cursor stands at first slots: at `path[depth]` and
 * below a whole subtree begins. */
static int
cursor_whole_from(const struct tree_cursor *cursor)
{
	int depth = cursor->depth - 1;

	while (depth > 0 && cursor->path[depth].index == 0)
		depth--;
	return cursor->path[depth].index == 0 ? depth : depth + 1;
}

/* Skips the largest subtree that begins at both cursors and is one and the same. */
static bool
skip_shared(struct tree_cursor *a, struct tree_cursor *b)
{
	int from_a = cursor_whole_from(a), from_b = cursor_whole_from(b);

	for (int i = from_a; i < a->depth; i++) {
		const struct ot_image_tree *node = a->path[i].node;
		int j = b->depth - 1 - node->level; /* where b's path has this level */

		if (j < from_b || b->path[j].node != node)
			continue;
		cursor_advance(a, i);
		cursor_advance(b, j);
		return true;
	}
	return false;
}

static int
value_compare(const struct tree_ops *ops, const void *a, const void *b)
{
	struct tree_key key_a = ops->key_of(a), key_b = ops->key_of(b);

	if (key_a.word != key_b.word)
		return key_a.word < key_b.word ? -1 : 1;
	return ops->compare == NULL ? 0 : ops->compare(key_a.key, b);
}

void
tree_diff(const struct ot_image_tree *before, const struct ot_image_tree *after,
    const struct tree_ops *ops, tree_visit_delta *visit, void *arg)
{
	struct tree_cursor a, b;

	tree_begin(&a, before);
	tree_begin(&b, after);
	while (a.depth > 0 || b.depth > 0) {
		void *old = tree_at(&a), *new = tree_at(&b);
		int order;

		if (old != NULL && new != NULL && skip_shared(&a, &b))
			continue;
		order = old == NULL ? 1 : new == NULL ? -1 : value_compare(ops, old, new);
		if (order != 0 || old != new)
			visit(arg, order <= 0 ? old : NULL, order >= 0 ? new : NULL);
		if (order <= 0)
			tree_next(&a);
		if (order >= 0)
			tree_next(&b);
	}
}

/* ---- checking ------------------------------------------------------------------------------- */

static uint64_t
node_check(const struct ot_image_tree *node, const struct tree_ops *ops, uint64_t *bytes)
{
	uint64_t count = 0;

	OT_ASSERT(node->count >= 1 && node->count <= node->capacity);
	if (bytes != NULL)
		*bytes += node_bytes(node->capacity);
	for (int i = 0; i < node->count; i++) {
		const void *least = value_least(node, i);

		OT_ASSERT(node->slots[i].word == ops->key_of(least).word);
		if (i > 0)
			OT_ASSERT(value_compare(ops, value_least(node, i - 1), least) < 0);
		if (node->level > 0) {
			const struct ot_image_tree *child = node->slots[i].item;

			OT_ASSERT(child->level + 1 == node->level);
			count += node_check(child, ops, bytes);
		} else {
			count++;
		}
	}
	return count;
}

uint64_t
tree_check(const struct ot_image_tree *root, const struct tree_ops *ops, uint64_t *bytes)
{
	uint64_t count = root == NULL ? 0 : node_check(root, ops, bytes);
	struct tree_cursor cursor;
	const void *last = NULL;
	uint64_t seen = 0;

	for (tree_begin(&cursor, root); tree_at(&cursor) != NULL; tree_next(&cursor), seen++) {
		if (last != NULL)
			OT_ASSERT(value_compare(ops, last, tree_at(&cursor)) < 0);
		last = tree_at(&cursor);
	}
	OT_ASSERT(seen == count);
	return count;
}

/* ---- words ---------------------------------------------------------------------------------- */

uint64_t
tree_word_of_name(struct ot_str name)
{
	uint8_t head[8] = { 0 };

	if (name.len > 0)
		memcpy(head, name.data, (size_t)OT_MIN(name.len, 8));
	return ot_get_u64(head);
}

/* FNV-1a with a final mix. Whoever makes names collide gains nothing: equal words cost a full
 * comparison, and the tree stays balanced. */
uint64_t
tree_word_of_hash(struct ot_str name)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (int32_t i = 0; i < name.len; i++)
		hash = (hash ^ (uint8_t)name.data[i]) * 0x100000001b3u;
	hash ^= hash >> 32;
	return hash * 0x9e3779b97f4a7c15u;
}

uint64_t
tree_word_of_int(int32_t number)
{
	return (uint64_t)((int64_t)number + ((int64_t)1 << 31));
}
