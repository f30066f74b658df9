/* All groups of a partition: the machine, its memory, and how calls come and go.
 *
 * Answers are told last. Handlers and callbacks run between group_enter() and group_leave(); a call
 * that they answer is put into a list, and its on_done comes when the outermost of them is left. So
 * a caller that asks again from within on_done finds the state at rest, and no loop over members is
 * surprised by it.
 */
#include "coord/group/group_int.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* Groups that get their soft state in one turn after loading, at most. */
	WARM_GROUPS_PER_TURN = 200,
};

/* ---- entries and answers ------------------------------------------------------------------- */

void
group_enter(struct ot_groups *groups)
{
	groups->depth++;
}

void
group_leave(struct ot_groups *groups)
{
	OT_ASSERT(groups->depth > 0);
	while (groups->depth == 1) {
		struct ot_group_call *call =
		    OT_LIST_FIRST(&groups->answered, struct ot_group_call, link);
		if (call == NULL)
			break;
		ot_list_remove(&call->link);
		call->on_done(call);
	}
	groups->depth--;
}

void
group_call_begin(struct ot_groups *groups, struct ot_group_call *call, const void *request,
    void *response)
{
	call->groups = groups;
	call->request = request;
	call->response = response;
	call->is_stable_wanted = false;
	ot_list_init(&call->link);
	ot_list_init(&call->wait.link);
}

void
group_call_end(struct ot_group_call *call)
{
	OT_ASSERT(call->groups->depth > 0);
	OT_ASSERT(ot_list_is_empty(&call->link));
	ot_list_push_back(&call->groups->answered, &call->link);
}

/* ---- memory -------------------------------------------------------------------------------- */

void
group_charge(struct group *group, size_t bytes)
{
	group->bytes += bytes;
	group->groups->stats.bytes += bytes;
}

void
group_discharge(struct group *group, size_t bytes)
{
	OT_ASSERT(group->bytes >= bytes && group->groups->stats.bytes >= bytes);
	group->bytes -= bytes;
	group->groups->stats.bytes -= bytes;
}

bool
group_has_room(const struct ot_groups *groups, size_t bytes)
{
	size_t bytes_max = groups->options.bytes_max;
	return bytes_max == 0 ||
	       (groups->stats.bytes <= bytes_max && bytes <= bytes_max - groups->stats.bytes);
}

struct ot_bytes
group_bytes_copy(struct group *group, struct ot_bytes bytes)
{
	if (bytes.len < 0)
		return OT_BYTES_NULL;
	group_charge(group, (size_t)bytes.len + 1);
	const void *copy = ot_must_strndup((const char *)bytes.data, (size_t)bytes.len);
	return (struct ot_bytes){ .data = copy, .len = bytes.len };
}

void
group_bytes_free(struct group *group, struct ot_bytes *bytes)
{
	if (bytes->len >= 0) {
		group_discharge(group, (size_t)bytes->len + 1);
		ot_free((void *)(uintptr_t)bytes->data);
	}
	*bytes = OT_BYTES_NULL;
}

struct ot_str
group_str_copy(struct group *group, struct ot_str str)
{
	struct ot_bytes bytes = { .data = (const uint8_t *)str.data, .len = str.len };
	bytes = group_bytes_copy(group, bytes);
	return (struct ot_str){ .data = (const char *)bytes.data, .len = bytes.len };
}

void
group_str_free(struct group *group, struct ot_str *str)
{
	struct ot_bytes bytes = { .data = (const uint8_t *)str->data, .len = str->len };
	group_bytes_free(group, &bytes);
	*str = OT_STR_NULL;
}

bool
group_bytes_lend(struct ot_arena *arena, struct ot_bytes bytes, struct ot_bytes *ret_bytes)
{
	if (bytes.len < 0) {
		*ret_bytes = OT_BYTES_NULL;
		return true;
	}
	void *copy = ot_arena_alloc(arena, (size_t)bytes.len);
	if (copy == NULL)
		return false;
	if (bytes.len > 0)
		memcpy(copy, bytes.data, (size_t)bytes.len);
	*ret_bytes = (struct ot_bytes){ .data = copy, .len = bytes.len };
	return true;
}

bool
group_str_lend(struct ot_arena *arena, struct ot_str str, struct ot_str *ret_str)
{
	struct ot_bytes bytes = { .data = (const uint8_t *)str.data, .len = str.len };
	struct ot_bytes copy = OT_BYTES_NULL;
	if (!group_bytes_lend(arena, bytes, &copy))
		return false;
	*ret_str = (struct ot_str){ .data = (const char *)copy.data, .len = copy.len };
	return true;
}

/* ---- the machine --------------------------------------------------------------------------- */

static struct ot_groups *
from_machine(struct ot_coord_machine *machine)
{
	return OT_CONTAINER_OF(machine, struct ot_groups, machine);
}

/* Builds the soft state of loaded groups, some each turn: their members' sessions begin now. */
static void
warm_on_timer(struct ot_timer *timer)
{
	struct ot_groups *groups = OT_CONTAINER_OF(timer, struct ot_groups, warm_timer);
	group_enter(groups);
	for (uint32_t i = 0; i < WARM_GROUPS_PER_TURN; i++) {
		if (groups->warm_place >= groups->slot_count)
			break;
		struct group *group = groups->slots[groups->warm_place++];
		if (group != NULL)
			group_make_soft(group);
	}
	if (groups->warm_place < groups->slot_count)
		ot_timer_arm(groups->io, &groups->warm_timer, ot_io_now(groups->io));
	group_leave(groups);
}

static void
activate(struct ot_coord_machine *machine)
{
	struct ot_groups *groups = from_machine(machine);
	groups->warm_place = 0;
	if (groups->slot_count > 0)
		ot_timer_arm(groups->io, &groups->warm_timer, ot_io_now(groups->io));
	group_expire_start(groups);
}

static void
clear(struct ot_coord_machine *machine)
{
	struct ot_groups *groups = from_machine(machine);
	group_enter(groups);
	ot_timer_cancel(groups->io, &groups->warm_timer);
	group_expire_stop(groups);
	group_txns_clear(groups);
	for (uint32_t i = 0; i < groups->slot_count; i++) {
		if (groups->slots[i] != NULL)
			group_remove(groups->slots[i], OT_ERR_NOT_COORDINATOR);
	}
	OT_ASSERT(groups->stats.group_count == 0 && groups->stats.bytes == 0);
	groups->slot_count = 0;
	groups->slot_free_count = 0;
	groups->removed_batch_number = 0;
	group_leave(groups);
}

static const struct ot_coord_machine_ops machine_ops = {
	.apply = group_apply,
	.image = group_image,
	.marker = group_marker,
	.each = group_each,
	.activate = activate,
	.clear = clear,
};

struct ot_groups *
ot_groups_create(struct ot_io *io, const struct ot_group_options *options)
{
	struct ot_groups *groups = OT_NEW(struct ot_groups);
	groups->machine.ops = &machine_ops;
	groups->io = io;
	groups->options = *options;
	groups->stamp_next = 1;
	ot_arena_init(&groups->arena, 0);
	ot_list_init(&groups->answered);
	ot_timer_init(&groups->warm_timer, warm_on_timer);
	group_expire_init(groups);
	return groups;
}

void
ot_groups_destroy(struct ot_groups *groups)
{
	if (groups == NULL)
		return;
	OT_ASSERT(groups->depth == 0 && groups->by_id == NULL);
	ot_arena_fini(&groups->arena);
	ot_free(groups->slots);
	ot_free(groups->slots_free);
	ot_free(groups);
}

struct ot_coord_machine *
ot_groups_machine(struct ot_groups *groups)
{
	return &groups->machine;
}

void
ot_groups_set_options(struct ot_groups *groups, const struct ot_group_options *options)
{
	groups->options = *options;
}

void
ot_groups_get_stats(const struct ot_groups *groups, struct ot_groups_stats *ret_stats)
{
	*ret_stats = groups->stats;
}
