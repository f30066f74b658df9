/* Offsets that nobody wants any more (KIP-211), and groups that nothing is left of.
 *
 *   the offset has an expire timestamp of its own   then, in any group of the kinds below
 *   the group is empty, and was not always          retention after it became empty
 *   a stable consumer group                         retention after the commit, of topics that no
 *                                                   member subscribes to
 *   a group that never had members                  retention after the commit
 *   any other                                       never
 *
 * A walk over all groups begins every offsets.retention.check.interval.ms, and takes some groups
 * per turn, each when the ones before are settled. What expires is one operation per group; when it
 * fails it is undone, and the next walk finds it again.
 */
#include "coord/group/group_int.h"

enum {
	WORK_PER_STEP = 1000, /* groups and offsets */
	SETTLE_MS = 10,
};

static bool
has_base(const struct group *group)
{
	if (group->protocol_type.len < 0 || group->state == GROUP_EMPTY)
		return true;
	return group_is_consumer(group) && group->is_subscription_known &&
	       group->state == GROUP_STABLE;
}

static bool
is_expired(const struct group *group, const struct group_offset *offset, ot_wall_ms now)
{
	if (offset->expire_timestamp >= 0)
		return now >= offset->expire_timestamp;
	ot_wall_ms base = offset->commit_timestamp;
	if (group->protocol_type.len >= 0 && group->state == GROUP_EMPTY &&
	    group->state_timestamp >= 0)
		base = group->state_timestamp;
	return base <= now - group->groups->options.retention_ms;
}

static uint32_t
put_expired(struct group *group, const struct group_topic *topic, ot_wall_ms now)
{
	struct ot_str name = { .data = topic->name, .len = topic->name_len };
	if (group_is_subscribed(group, name))
		return 0;
	uint32_t count = 0;
	for (struct group_offset *offset = topic->offsets; offset != NULL;
	     offset = offset->hh.next) {
		if (!is_expired(group, offset, now) ||
		    group_txn_offset_exists(group, name, offset->partition))
			continue;
		group_put_offset_tombstone(group, name, offset->partition);
		count++;
	}
	return count;
}

static void
expire_group(struct group *group, ot_wall_ms now)
{
	struct ot_groups *groups = group->groups;
	struct ot_coord *coord = groups->machine.coord;
	group_make_soft(group);
	if (!has_base(group))
		return;
	ot_coord_begin(coord);
	uint32_t count = 0;
	for (struct group_topic *topic = group->topics; topic != NULL; topic = topic->hh.next)
		count += put_expired(group, topic, now);
	bool is_over = count == group->offset_count && group->txn_offset_count == 0 &&
	               group->state == GROUP_EMPTY && group->pendings == NULL &&
	               group->hard.len >= 0;
	if (is_over)
		group_put_metadata_tombstone(group);
	if (count == 0 && !is_over) {
		ot_coord_abandon(coord);
		return;
	}
	OT_INFO("coord", "group %.*s: %u offsets expire%s", OT_STR_ARG(group->id), count,
	    is_over ? ", and the group with them" : "");
	/* The group may be gone after this. */
	ot_err err = ot_coord_commit(coord, true);
	if (err == OT_OK)
		groups->stats.expire_count += count;
	else
		OT_WARN("coord", "cannot expire offsets now: %s", ot_err_name(err));
}

static void
arm_next_walk(struct ot_groups *groups)
{
	groups->expire_place = 0;
	groups->expire_now = -1;
	ot_timer_arm_in_ms(groups->io, &groups->expire_timer, groups->options.retention_check_ms);
}

static void
expire_on_timer(struct ot_timer *timer)
{
	struct ot_groups *groups = OT_CONTAINER_OF(timer, struct ot_groups, expire_timer);
	if (!ot_coord_is_settled(groups->machine.coord)) {
		ot_timer_arm_in_ms(groups->io, &groups->expire_timer, SETTLE_MS);
		return;
	}
	group_enter(groups);
	if (groups->expire_now < 0)
		groups->expire_now = ot_io_wall(groups->io);
	uint32_t work = 0;
	while (groups->expire_place < groups->slot_count && work < WORK_PER_STEP) {
		struct group *group = groups->slots[groups->expire_place++];
		work++;
		if (group == NULL)
			continue;
		work += group->offset_count;
		expire_group(group, groups->expire_now);
	}
	if (groups->expire_place < groups->slot_count)
		ot_timer_arm(groups->io, &groups->expire_timer, ot_io_now(groups->io));
	else
		arm_next_walk(groups);
	group_leave(groups);
}

void
group_expire_init(struct ot_groups *groups)
{
	ot_timer_init(&groups->expire_timer, expire_on_timer);
}

void
group_expire_start(struct ot_groups *groups)
{
	arm_next_walk(groups);
}

void
group_expire_stop(struct ot_groups *groups)
{
	ot_timer_cancel(groups->io, &groups->expire_timer);
}
