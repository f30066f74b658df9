/* Deleting records at the front: DeleteRecords, and what a coordinator no longer needs.
 *
 * The leader moves the start of its log; the followers learn it with their next answer, and tell
 * with the fetch after that that theirs has moved. Who asked for the deletion waits for that of
 * every replica whose broker is alive: then no election, not even an unclean one, brings the
 * records back (KIP-107). Deletions wait in no order, since each has an offset of its own.
 */
#include "replica/part_int.h"

/* ---- waiting -------------------------------------------------------------------------------- */

static void
end_deletion(struct ot_part_deletion *deletion, ot_err err, int64_t low_watermark)
{
	deletion->err = err;
	deletion->low_watermark = low_watermark;
	deletion->done(deletion);
}

static void
on_timeout(struct ot_timer *timer)
{
	struct ot_part_deletion *deletion = OT_CONTAINER_OF(timer, struct ot_part_deletion, timer);
	ot_list_remove(&deletion->link);
	end_deletion(deletion, OT_ERR_REQUEST_TIMED_OUT, part_low_watermark(deletion->part));
}

void
part_look_at_deletions(struct ot_part *part)
{
	if (ot_list_is_empty(&part->deletions))
		return;
	bool leads = ot_part_check_leader(part, -1) == OT_OK;
	int64_t low = leads ? part_low_watermark(part) : -1;
	OT_LIST_FOREACH_SAFE(link, &part->deletions) {
		struct ot_part_deletion *deletion =
		    OT_CONTAINER_OF(link, struct ot_part_deletion, link);
		if (leads && low < deletion->offset)
			continue;
		ot_list_remove(link);
		ot_timer_cancel(part->conf.owner->io, &deletion->timer);
		end_deletion(deletion, leads ? OT_OK : OT_ERR_NOT_LEADER_OR_FOLLOWER, low);
	}
}

void
ot_part_await_deletion(struct ot_part *part, struct ot_part_deletion *deletion)
{
	part_enter(part);
	ot_err err = ot_part_check_leader(part, -1);
	int64_t low = err == OT_OK ? part_low_watermark(part) : -1;
	if (err == OT_OK && low < deletion->offset && deletion->timeout_ms <= 0)
		err = OT_ERR_REQUEST_TIMED_OUT;
	if (err != OT_OK || low >= deletion->offset) {
		end_deletion(deletion, err, low);
		return;
	}
	deletion->part = part;
	ot_list_push_back(&part->deletions, &deletion->link);
	ot_timer_init(&deletion->timer, on_timeout);
	ot_timer_arm_in_ms(part->conf.owner->io, &deletion->timer, deletion->timeout_ms);
}

/* ---- deleting ------------------------------------------------------------------------------- */

ot_err
ot_part_trim(struct ot_part *part, int64_t offset)
{
	part_enter(part);
	part_settle(part);
	ot_err err = ot_part_check_leader(part, -1);
	if (err != OT_OK)
		return err;
	if (offset < 0 || offset > part->high_watermark)
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	err = ot_log_advance_start(part->log, offset);
	if (err == OT_OK)
		ot_part_tick(part, ot_io_wall(part->conf.owner->io), true);
	return err;
}

ot_err
ot_part_delete_records(struct ot_part *part, int64_t offset, int64_t *ret_start)
{
	part_settle(part);
	ot_err err = ot_part_check_leader(part, -1);
	if (err != OT_OK)
		return err;
	if (!part->conf.settings.log.is_deleting)
		return OT_ERR_POLICY_VIOLATION;
	err = ot_part_trim(part, offset == -1 ? part->high_watermark : offset);
	if (err == OT_OK)
		*ret_start = ot_log_start_offset(part->log);
	return err;
}
