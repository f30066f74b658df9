#include "shard/scatter.h"

#include <string.h>

static void visit_group(struct ot_mail *mail);
static void group_is_back(struct ot_mail *mail);

ot_err
ot_scatter_init(struct ot_scatter *scatter, struct ot_shard *home, struct ot_arena *arena)
{
	*scatter = (struct ot_scatter){ .home = home };
	scatter->groups = ot_arena_array(arena, home->set->count + 1, sizeof(*scatter->groups));
	return scatter->groups != NULL ? OT_OK : OT_ERR_NO_MEMORY;
}

void
ot_scatter_reset(struct ot_scatter *scatter)
{
	OT_ASSERT(scatter->pending_count == 0);
	memset(scatter->groups, 0, (scatter->home->set->count + 1) * sizeof(*scatter->groups));
}

void
ot_scatter_add(struct ot_scatter *scatter, struct ot_scatter_item *item, uint32_t shard_index)
{
	OT_ASSERT(shard_index <= scatter->home->set->count);
	struct ot_scatter_group *group = &scatter->groups[shard_index];
	group->scatter = scatter;
	item->next = NULL;
	item->group = group;
	if (group->first == NULL)
		group->first = item;
	else
		group->last->next = item;
	group->last = item;
	group->pending_count++;
}

static void
finish_group(struct ot_scatter *scatter)
{
	OT_ASSERT(scatter->pending_count > 0);
	if (--scatter->pending_count == 0)
		scatter->done(scatter);
}

static void
group_is_back(struct ot_mail *mail)
{
	finish_group(OT_CONTAINER_OF(mail, struct ot_scatter_group, mail)->scatter);
}

void
ot_scatter_item_done(struct ot_scatter_item *item)
{
	struct ot_scatter_group *group = item->group;
	OT_ASSERT(group->pending_count > 0);
	if (--group->pending_count > 0)
		return;
	struct ot_scatter *scatter = group->scatter;
	if (ot_shard_self == scatter->home) {
		finish_group(scatter);
		return;
	}
	group->mail.deliver = group_is_back;
	ot_shard_post(scatter->home, &group->mail);
}

static void
visit_items(struct ot_scatter_group *group)
{
	/* One more than the items, so that the group cannot be over while it is being walked. */
	struct ot_scatter_item guard = { .group = group };
	void (*visit)(struct ot_scatter_item * item) = group->scatter->visit;
	group->pending_count++;
	struct ot_scatter_item *next;
	for (struct ot_scatter_item *item = group->first; item != NULL; item = next) {
		next = item->next;
		visit(item);
	}
	ot_scatter_item_done(&guard);
}

static void
visit_group(struct ot_mail *mail)
{
	visit_items(OT_CONTAINER_OF(mail, struct ot_scatter_group, mail));
}

void
ot_scatter_run(struct ot_scatter *scatter, void (*visit)(struct ot_scatter_item *item),
    void (*done)(struct ot_scatter *scatter))
{
	struct ot_shard *home = scatter->home;
	OT_ON_SHARD(home);
	scatter->visit = visit;
	scatter->done = done;
	uint32_t shard_count = home->set->count + 1;
	scatter->pending_count = 1; /* this walk */
	for (uint32_t i = 0; i < shard_count; i++) {
		struct ot_scatter_group *group = &scatter->groups[i];
		if (group->first == NULL)
			continue;
		scatter->pending_count++;
		if (i == home->index) {
			visit_items(group);
			continue;
		}
		group->mail.deliver = visit_group;
		ot_shard_post(home->set->shards[i], &group->mail);
	}
	finish_group(scatter);
}
