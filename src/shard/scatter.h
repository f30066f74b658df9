/* Scatter: the parts of one request, visited each on the shard that owns it, and brought back.
 *
 *     home shard                        owner shards (home may be one of them)
 *     init, add each item ... run  -->  visit(item) for each item, in the order of adding
 *                                       ot_scatter_item_done(item), at once or later
 *     done(scatter)                <--  when all items are done
 *
 * One message goes to each owner that has items and one comes back, whatever their number; items
 * at home are visited by a call. Order: two scatters that run on one home shard visit a common
 * owner in the order in which they ran.
 */
#ifndef OT_SHARD_SCATTER_H
#define OT_SHARD_SCATTER_H

#include "base/arena.h"
#include "shard/shard.h"

struct ot_scatter;
struct ot_scatter_group;

/* Embedded in what is visited. */
struct ot_scatter_item {
	struct ot_scatter_item *next;
	struct ot_scatter_group *group;
};

struct ot_scatter_group {
	struct ot_mail mail;
	struct ot_scatter *scatter;
	struct ot_scatter_item *first;
	struct ot_scatter_item *last;
	uint32_t pending_count; /* [owner: the visited shard] items that are not done */
};

struct ot_scatter {
	struct ot_shard *home;                       /* [const] */
	struct ot_scatter_group *groups;             /* [const] by shard index */
	uint32_t pending_count;                      /* [owner: home] groups that are not back */
	void (*visit)(struct ot_scatter_item *item); /* on the owner's shard */
	void (*done)(struct ot_scatter *scatter);    /* on the home shard, once */
};

/* Prepares a scatter whose groups live in `arena`, which must last until done.
 * OT_ERR_NO_MEMORY. @owner home */
OT_MUST_USE ot_err ot_scatter_init(struct ot_scatter *scatter, struct ot_shard *home,
    struct ot_arena *arena);

/* Takes all items off a scatter that is done, so that it can be filled and run once more.
 * @owner home */
void ot_scatter_reset(struct ot_scatter *scatter);

/* The item will be visited on shard `shard_index`. @owner home */
void ot_scatter_add(struct ot_scatter *scatter, struct ot_scatter_item *item, uint32_t shard_index);

/* Starts. With no item at all, or when all are at home and done at once, `done` is called before
 * this returns. @owner home   @blocks never */
void ot_scatter_run(struct ot_scatter *scatter, void (*visit)(struct ot_scatter_item *item),
    void (*done)(struct ot_scatter *scatter));

/* Ends the visit of one item; afterwards the item is the home shard's again.
 * @owner the visited shard */
void ot_scatter_item_done(struct ot_scatter_item *item);

#endif
