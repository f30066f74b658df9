/* What a partition is by the metadata: leader, follower, or without a leader.
 *
 * Roles come in the order of their epochs. A new leader epoch begins where the log ends: the leader
 * notes that in the log before it takes anything, so that followers can tell by epoch and offset
 * what of theirs was never committed (KIP-101, KIP-279).
 */
#include "replica/part_int.h"

#include <string.h>

#include "base/alloc.h"

static void
tell_role(struct ot_part *part)
{
	if (part->conf.on_role != NULL)
		part->conf.on_role(part->conf.arg, part);
}

void
part_free_role(struct ot_part *part)
{
	part_free_peers(part);
	part_drop_isr_wish(part);
	ot_free(part->isr);
	part->isr = NULL;
}

static void
copy_isr(struct ot_part *part, struct ot_ids isr)
{
	ot_free(part->isr);
	part->isr = ot_must_alloc((size_t)OT_MAX(isr.count, 1) * sizeof(*part->isr));
	if (isr.count > 0)
		memcpy(part->isr, isr.items, (size_t)isr.count * sizeof(*part->isr));
	part->isr_count = isr.count;
}

void
part_begin_role(struct ot_part *part)
{
	OT_ASSERT(part->state == OT_PART_ONLINE);
	if (!part->is_leader)
		return;
	part->epoch_start = ot_log_end_offset(part->log);
	ot_log_assign_epoch(part->log, part->leader_epoch);
	part_advance(part);
	part_look_at_isr(part);
}

static void
lead(struct ot_part *part, const struct ot_part_role *role, bool is_new_epoch)
{
	part->is_leader = true;
	if (role->replicas.items != NULL)
		part_make_peers(part, role->replicas, is_new_epoch);
	if (part->state != OT_PART_ONLINE)
		return;
	if (is_new_epoch) {
		part_begin_role(part);
	} else {
		part_advance(part);
		part_look_at_isr(part);
	}
}

/* Who waits for this leader learns that it is none any more. */
static void
cease_to_lead(struct ot_part *part)
{
	part->is_leader = false;
	part_free_peers(part);
	part_fail_appends(part, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	part_look_at_deletions(part);
	part_wake_watchers(part);
}

static bool
is_old(const struct ot_part *part, const struct ot_part_role *role)
{
	if (role->leader_epoch != part->leader_epoch)
		return role->leader_epoch < part->leader_epoch;
	return role->partition_epoch < part->partition_epoch;
}

void
ot_part_set_role(struct ot_part *part, const struct ot_part_role *role)
{
	part_enter(part);
	if (is_old(part, role))
		return;
	part_settle(part);
	bool is_new_epoch = role->leader_epoch > part->leader_epoch;
	bool is_newer = is_new_epoch || role->partition_epoch > part->partition_epoch;
	bool leads = role->leader_id == part->conf.node_id;
	bool has_led = part->is_leader;
	part->leader_id = role->leader_id;
	part->leader_epoch = role->leader_epoch;
	part->partition_epoch = role->partition_epoch;
	part->is_recovering = role->is_recovering;
	if (role->replicas.items != NULL)
		part->replica_count = OT_MAX(role->replicas.count, 1);
	if (is_newer) {
		part_drop_isr_wish(part);
		copy_isr(part, role->isr);
	}
	if (has_led && !leads)
		cease_to_lead(part);
	if (leads)
		lead(part, role, is_new_epoch || !has_led);
	tell_role(part);
}

/* ---- who may ask ---------------------------------------------------------------------------- */

ot_err
part_check_reader(const struct ot_part *part, int32_t leader_epoch, bool is_follower_allowed)
{
	part_enter(part);
	if (part->state == OT_PART_OFFLINE)
		return OT_ERR_KAFKA_STORAGE_ERROR;
	if (part->state != OT_PART_ONLINE)
		return OT_ERR_NOT_LEADER_OR_FOLLOWER;
	if (leader_epoch >= 0 && leader_epoch < part->leader_epoch)
		return OT_ERR_FENCED_LEADER_EPOCH;
	if (leader_epoch > part->leader_epoch)
		return OT_ERR_UNKNOWN_LEADER_EPOCH;
	bool may_read = part->is_leader || (is_follower_allowed && part->leader_id >= 0);
	return may_read ? OT_OK : OT_ERR_NOT_LEADER_OR_FOLLOWER;
}

ot_err
ot_part_check_leader(const struct ot_part *part, int32_t leader_epoch)
{
	return part_check_reader(part, leader_epoch, false);
}
