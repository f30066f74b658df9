#include "base/heap.h"

#include "base/alloc.h"
#include "base/panic.h"

enum { HEAP_CAPACITY_MIN = 16 };

void
ot_heap_init(struct ot_heap *heap)
{
	*heap = (struct ot_heap){ 0 };
}

void
ot_heap_fini(struct ot_heap *heap)
{
	ot_free(heap->nodes);
	*heap = (struct ot_heap){ 0 };
}

static void
place_node(struct ot_heap *heap, uint32_t place, struct ot_heap_node *node)
{
	heap->nodes[place - 1] = node;
	node->place = place;
}

static void
sift_up(struct ot_heap *heap, uint32_t place, struct ot_heap_node *node)
{
	while (place > 1 && heap->nodes[place / 2 - 1]->key > node->key) {
		place_node(heap, place, heap->nodes[place / 2 - 1]);
		place /= 2;
	}
	place_node(heap, place, node);
}

static void
sift_down(struct ot_heap *heap, uint32_t place, struct ot_heap_node *node)
{
	for (;;) {
		uint32_t child = place * 2;
		if (child > heap->count)
			break;
		if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key)
			child++;
		if (heap->nodes[child - 1]->key >= node->key)
			break;
		place_node(heap, place, heap->nodes[child - 1]);
		place = child;
	}
	place_node(heap, place, node);
}

static void
grow(struct ot_heap *heap)
{
	uint32_t capacity = OT_MAX(heap->capacity * 2, (uint32_t)HEAP_CAPACITY_MIN);
	struct ot_heap_node **nodes = ot_realloc(heap->nodes, capacity * sizeof(*nodes));
	if (nodes == NULL)
		OT_PANIC("out of memory for %u timers", capacity);
	heap->nodes = nodes;
	heap->capacity = capacity;
}

void
ot_heap_push(struct ot_heap *heap, struct ot_heap_node *node, uint64_t key)
{
	OT_ASSERT(node->place == OT_HEAP_NOWHERE);
	if (heap->count == heap->capacity)
		grow(heap);
	node->key = key;
	heap->count++;
	sift_up(heap, heap->count, node);
}

void
ot_heap_remove(struct ot_heap *heap, struct ot_heap_node *node)
{
	if (node->place == OT_HEAP_NOWHERE)
		return;
	uint32_t place = node->place;
	OT_ASSERT(place <= heap->count && heap->nodes[place - 1] == node);
	struct ot_heap_node *last = heap->nodes[heap->count - 1];
	heap->count--;
	node->place = OT_HEAP_NOWHERE;
	if (last == node)
		return;
	if (last->key < node->key)
		sift_up(heap, place, last);
	else
		sift_down(heap, place, last);
}

struct ot_heap_node *
ot_heap_first(const struct ot_heap *heap)
{
	return heap->count > 0 ? heap->nodes[0] : NULL;
}
