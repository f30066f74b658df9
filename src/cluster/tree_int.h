/* Inside the room: the persistent ordered map that images are made of.
 *
 * A B-tree of pointers to values, whose nodes have counts of references. Whoever holds the root
 * holds the whole tree, for ever as it is. A change copies the nodes on its path that somebody else
 * can reach too, and works in place on those that nobody else can: a node is ours alone exactly if
 * every node from our root down to it has one reference. So a change of an image costs one path,
 * and replaying a long log copies nothing at all.
 *
 * Each slot has, beside the pointer, a word that orders like the value (the first bytes of a name,
 * a hash, an index): a look-up compares words in the node and rarely touches a value before it has
 * found it. Only where words are equal the full comparison decides.
 *
 *   inner node   slots: word of the least value below, child     all children at one level
 *   leaf         slots: word of the value, value
 *
 * Invariants: no node is empty; in a parent, two neighbours together have more than
 * TREE_MERGE slots, unless nothing was ever removed beside them; values increase strictly.
 */
#ifndef OT_CLUSTER_TREE_INT_H
#define OT_CLUSTER_TREE_INT_H

#include "base/bytes.h"
#include "base/refs.h"

/* 8 bytes of header and 31 slots make 504 bytes, which fits an allocator's class of 512. */
enum { TREE_FANOUT = 31, TREE_MERGE = 20, TREE_LEVEL_MAX = 12 };

struct tree_slot {
	uint64_t word;
	void *item;
};

struct ot_image_tree {
	struct ot_refs refs; /* all below [const] once refs was above 1 */
	uint8_t count;
	uint8_t capacity;
	uint8_t level; /* 0: leaf */
	struct tree_slot slots[];
};

/* What is looked for: the word, and what the full comparison needs. */
struct tree_key {
	uint64_t word;
	const void *key;
};

struct tree_ops {
	struct tree_key (*key_of)(const void *value);
	int (*compare)(const void *key, const void *value); /* words are equal; NULL: so are they */
	void (*ref)(void *value);
	void (*unref)(void *value);
};

/* An empty tree is NULL. @owner any thread   @blocks never; so all below */
struct ot_image_tree *tree_ref(struct ot_image_tree *root);              /* accepts NULL */
void tree_unref(struct ot_image_tree *root, const struct tree_ops *ops); /* accepts NULL */

/* The value, borrowed, or NULL. */
void *tree_find(const struct ot_image_tree *root, const struct tree_ops *ops, struct tree_key key);

/* Puts a value in, of which one reference is taken over; one of an equal key leaves. True when
 * there was none. The root is the caller's own reference and may change. */
bool tree_put(struct ot_image_tree **root, const struct tree_ops *ops, void *value);

/* False when there was none. */
bool tree_remove(struct ot_image_tree **root, const struct tree_ops *ops, struct tree_key key);

/* A place in a tree that does not change meanwhile. */
struct tree_cursor {
	int depth; /* 0: at the end */
	struct {
		const struct ot_image_tree *node;
		int index;
	} path[TREE_LEVEL_MAX];
};

/* To the first value; to the first one that is not before `key`; on by one. */
void tree_begin(struct tree_cursor *cursor, const struct ot_image_tree *root);
void tree_seek(struct tree_cursor *cursor, const struct ot_image_tree *root,
    const struct tree_ops *ops, struct tree_key key);
void tree_next(struct tree_cursor *cursor);

/* The value at the cursor, NULL at the end. */
void *tree_at(const struct tree_cursor *cursor);

/* Visits each key at which the trees have different values, in order; NULL where one has none. What
 * the trees share is skipped: the cost follows the changes. */
typedef void tree_visit_delta(void *arg, void *before, void *after);
void tree_diff(const struct ot_image_tree *before, const struct ot_image_tree *after,
    const struct tree_ops *ops, tree_visit_delta *visit, void *arg);

/* Asserts the invariants and gives the number of values; adds the nodes' bytes to `*bytes`, which
 * may be NULL. Linear. */
uint64_t tree_check(const struct ot_image_tree *root, const struct tree_ops *ops, uint64_t *bytes);

/* Words. Names: their first bytes, so that words order as names do. */
uint64_t tree_word_of_name(struct ot_str name);
uint64_t tree_word_of_hash(struct ot_str name);
uint64_t tree_word_of_int(int32_t number);

#endif
