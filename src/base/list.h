/* Intrusive doubly linked list: the node lives in the object. A list head is a node of its own. */
#ifndef OT_BASE_LIST_H
#define OT_BASE_LIST_H

#include "base/defs.h"

struct ot_list {
	struct ot_list *next;
	struct ot_list *prev;
};

static inline void
ot_list_init(struct ot_list *list)
{
	list->next = list->prev = list;
}

static inline bool
ot_list_is_empty(const struct ot_list *list)
{
	return list->next == list;
}

static inline void
ot_list_push_back(struct ot_list *list, struct ot_list *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

/* Takes the node out of its list; it is an empty list of its own then, so twice is harmless. */
static inline void
ot_list_remove(struct ot_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = node;
}

#define OT_LIST_FIRST(list, type, member) \
	(ot_list_is_empty(list) ? NULL : OT_CONTAINER_OF((list)->next, type, member))

#define OT_LIST_FOREACH(node, list) \
	for (struct ot_list *node = (list)->next; node != (list); node = node->next)

/* The body may remove `node`, no other. */
#define OT_LIST_FOREACH_SAFE(node, list)                                                     \
	for (struct ot_list *node = (list)->next, *node##_next = node->next; node != (list); \
	     node = node##_next, node##_next = node->next)

#endif
