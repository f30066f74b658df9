/* Intrusive binary min-heap by a 64-bit key: timers, and whatever else waits for the least. */
#ifndef OT_BASE_HEAP_H
#define OT_BASE_HEAP_H

#include "base/defs.h"

enum { OT_HEAP_NOWHERE = 0 };

struct ot_heap_node {
	uint64_t key;
	uint32_t place; /* 1-based place in the heap; OT_HEAP_NOWHERE when in none */
};

struct ot_heap {
	struct ot_heap_node **nodes;
	uint32_t count;
	uint32_t capacity;
};

/* @owner the heap's   @blocks never */
void ot_heap_init(struct ot_heap *heap);
void ot_heap_fini(struct ot_heap *heap);

/* Puts a node that is in no heap. @owner the heap's */
void ot_heap_push(struct ot_heap *heap, struct ot_heap_node *node, uint64_t key);

/* Takes a node out; harmless when it is in none. @owner the heap's */
void ot_heap_remove(struct ot_heap *heap, struct ot_heap_node *node);

/* The node with the least key, or NULL; it stays in the heap. @owner the heap's */
struct ot_heap_node *ot_heap_first(const struct ot_heap *heap);

#endif
