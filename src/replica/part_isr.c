/* The leader's view of the other replicas: who is in sync, and how far all of those have come.
 *
 *   high watermark = the least log end of the leader, the maximal ISR, and of those outside who
 * keep up and may come in
 *
 * The maximal ISR is what the controller has committed and what is under way to it: whichever of
 * the two holds, nothing is called replicated that one of its members lacks (KIP-497). Those who
 * keep up are waited for since else a follower could run after the watermark for ever. While fewer
 * than min.insync.replicas are in sync the watermark stands, so that each record below it is on
 * that many: what eligible leader replicas rely on (KIP-966).
 *
 * A replica is in sync while it had all that there was at some moment of the last
 * replica.lag.time.max.ms. It comes in when it has reached the high watermark and the beginning of
 * the leader's epoch, and the metadata knows its broker as alive, in the epoch in which it fetches
 * (KIP-841, KIP-903). One that fell silent and was put out has to fetch first: where the watermark
 * stands it would still have reached it. Each change is the controller's to commit; one is under
 * way at a time.
 */
#include "replica/part_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/plant.h"

/* ---- sets ----------------------------------------------------------------------------------- */

static bool
has(const int32_t *ids, int32_t count, int32_t id)
{
	return ot_ids_have((struct ot_ids){ ids, count }, id);
}

static bool
is_in_sync(const struct ot_part *part, int32_t id)
{
	return has(part->isr, part->isr_count, id);
}

static bool
is_in_maximal(const struct ot_part *part, int32_t id)
{
	if (OT_PLANT(WATERMARK_BY_WISH) && part->wanted_isr != NULL)
		return has(part->wanted_isr, part->wanted_count, id);
	return is_in_sync(part, id) ||
	       (part->wanted_isr != NULL && has(part->wanted_isr, part->wanted_count, id));
}

int32_t
part_min_isr(const struct ot_part *part)
{
	return OT_MIN((int32_t)part->conf.settings.min_insync_replicas, part->replica_count);
}

/* ---- peers ---------------------------------------------------------------------------------- */

static struct part_peer *
find_peer(const struct ot_part *part, int32_t id)
{
	for (int32_t i = 0; i < part->peer_count; i++) {
		if (part->peers[i].id == id)
			return &part->peers[i];
	}
	return NULL;
}

static ot_mono_ns
now_of(const struct ot_part *part)
{
	return ot_io_now(part->conf.owner->io);
}

static void
begin_peer(const struct ot_part *part, struct part_peer *peer, int32_t id)
{
	*peer = (struct part_peer){
		.id = id,
		.end_offset = -1,
		.log_start = -1,
		.broker_epoch = -1,
		.fetch_end = -1,
		/* A member of the ISR has a full time to begin. */
		.caught_up = now_of(part),
		.was_caught_up = is_in_sync(part, id),
	};
}

void
part_make_peers(struct ot_part *part, struct ot_ids replicas, bool is_new_epoch)
{
	struct part_peer *before = part->peers;
	struct part_peer *peers = ot_must_alloc((size_t)OT_MAX(replicas.count, 1) * sizeof(*peers));
	int32_t count = 0;
	for (int32_t i = 0; i < replicas.count; i++) {
		if (replicas.items[i] == part->conf.node_id)
			continue;
		const struct part_peer *known = find_peer(part, replicas.items[i]);
		if (known != NULL && !is_new_epoch)
			peers[count++] = *known;
		else
			begin_peer(part, &peers[count++], replicas.items[i]);
	}
	part->peers = peers;
	part->peer_count = count;
	ot_free(before);
}

void
part_free_peers(struct ot_part *part)
{
	ot_free(part->peers);
	part->peers = NULL;
	part->peer_count = 0;
}

static bool
keeps_up(const struct ot_part *part, const struct part_peer *peer)
{
	if (peer->end_offset == ot_log_end_offset(part->log))
		return true;
	ot_mono_ns lag = (ot_mono_ns)part->conf.settings.replica_lag_ms * OT_NS_PER_MS;
	ot_mono_ns now = now_of(part);
	return peer->was_caught_up && (now < peer->caught_up || now - peer->caught_up <= lag);
}

static bool
is_eligible(const struct ot_part *part, const struct part_peer *peer)
{
	return part->conf.is_eligible == NULL ||
	       part->conf.is_eligible(part->conf.arg, peer->id, peer->broker_epoch);
}

ot_err
part_check_replica(const struct ot_part *part, const struct ot_part_read *read)
{
	ot_err err = ot_part_check_leader(part, read->leader_epoch);
	if (err != OT_OK)
		return err;
	const struct part_peer *peer = find_peer(part, read->replica_id);
	/* The follower may know of an assignment that has not come here yet. */
	if (peer == NULL)
		return read->leader_epoch >= 0 ? OT_ERR_UNKNOWN_LEADER_EPOCH
		                               : OT_ERR_NOT_LEADER_OR_FOLLOWER;
	bool is_of_old = read->replica_epoch >= 0 && read->replica_epoch < peer->broker_epoch;
	return is_of_old ? OT_ERR_NOT_LEADER_OR_FOLLOWER : OT_OK;
}

static void
note_time(struct part_peer *peer, int64_t offset, int64_t end, ot_mono_ns now)
{
	if (offset >= end) {
		peer->caught_up = now;
		peer->was_caught_up = true;
	} else if (peer->fetch_end >= 0 && offset >= peer->fetch_end) {
		/* It has now what there was when it asked before. */
		peer->caught_up = peer->was_caught_up ? OT_MAX(peer->caught_up, peer->fetch_time)
		                                      : peer->fetch_time;
		peer->was_caught_up = true;
	}
	peer->fetch_time = now;
	peer->fetch_end = end;
}

void
part_note_fetch(struct ot_part *part, const struct ot_part_read *read)
{
	struct part_peer *peer = find_peer(part, read->replica_id);
	if (peer == NULL || !part->is_leader)
		return;
	note_time(peer, read->offset, ot_log_end_offset(part->log), now_of(part));
	peer->is_heard = true;
	peer->end_offset = read->offset;
	peer->log_start = read->replica_log_start;
	if (read->replica_epoch >= 0)
		peer->broker_epoch = read->replica_epoch;
	part_look_at_isr(part);
	part_look_at_deletions(part);
	part_advance(part);
}

int64_t
part_low_watermark(const struct ot_part *part)
{
	int64_t low = ot_log_start_offset(part->log);
	for (int32_t i = 0; i < part->peer_count; i++) {
		const struct part_peer *peer = &part->peers[i];
		bool is_alive =
		    part->conf.is_alive == NULL || part->conf.is_alive(part->conf.arg, peer->id);
		if (is_alive)
			low = OT_MIN(low, peer->log_start);
	}
	return low;
}

bool
ot_part_follower(const struct ot_part *part, int32_t id, struct ot_part_follower *ret_follower)
{
	part_enter(part);
	const struct part_peer *peer = part->is_leader ? find_peer(part, id) : NULL;
	if (peer == NULL)
		return false;
	*ret_follower = (struct ot_part_follower){
		.id = id,
		.log_start = peer->log_start,
		.log_end = peer->end_offset,
		.caught_up = peer->was_caught_up ? peer->caught_up : 0,
		.is_in_sync = is_in_sync(part, id),
	};
	return true;
}

/* ---- the high watermark --------------------------------------------------------------------- */

int64_t
part_committed_end(const struct ot_part *part, int64_t own_end)
{
	if (part->isr_count < part_min_isr(part) && !OT_PLANT(WATERMARK_UNDER_LEAST_ISR))
		return part->high_watermark;
	int64_t end = own_end;
	for (int32_t i = 0; i < part->peer_count; i++) {
		const struct part_peer *peer = &part->peers[i];
		if (peer->end_offset >= end)
			continue;
		if (is_in_maximal(part, peer->id) ||
		    (keeps_up(part, peer) && is_eligible(part, peer)))
			end = peer->end_offset;
	}
	return end;
}

/* ---- wishes --------------------------------------------------------------------------------- */

static bool
may_enter(const struct ot_part *part, const struct part_peer *peer)
{
	return peer->is_heard && !is_in_maximal(part, peer->id) &&
	       peer->end_offset >= part->high_watermark && peer->end_offset >= part->epoch_start &&
	       is_eligible(part, peer);
}

static bool
must_leave(const struct ot_part *part, const struct part_peer *peer)
{
	return is_in_sync(part, peer->id) && !keeps_up(part, peer);
}

static bool
is_wish_due(const struct ot_part *part)
{
	if (!part->is_leader || part->state != OT_PART_ONLINE)
		return false;
	if (part->wanted_isr != NULL)
		return part->is_isr_wish_lost;
	if (part->is_recovering)
		return true;
	for (int32_t i = 0; i < part->peer_count; i++) {
		if (may_enter(part, &part->peers[i]) || must_leave(part, &part->peers[i]))
			return true;
	}
	return false;
}

void
part_look_at_isr(struct ot_part *part)
{
	if (part->is_isr_wish_told || part->conf.on_isr_wanted == NULL || !is_wish_due(part))
		return;
	part->is_isr_wish_told = true;
	part->conf.on_isr_wanted(part->conf.arg, part);
}

void
part_drop_isr_wish(struct ot_part *part)
{
	ot_free(part->wanted_isr);
	part->wanted_isr = NULL;
	part->wanted_count = 0;
	part->is_isr_wish_lost = false;
}

/* One whose answer was lost is asked again as it was: it may have been committed. */
static bool
is_wanted(const struct ot_part *part, const struct part_peer *peer)
{
	if (part->wanted_isr != NULL)
		return has(part->wanted_isr, part->wanted_count, peer->id);
	return is_in_sync(part, peer->id) ? !must_leave(part, peer) : may_enter(part, peer);
}

static void
fill_wish(struct ot_part *part, struct ot_part_isr_wish *wish)
{
	size_t capacity = (size_t)part->peer_count + 1;
	wish->members = ot_must_alloc(capacity * sizeof(*wish->members));
	wish->members[0] = (struct ot_part_isr_member){ part->conf.node_id, -1 };
	wish->count = 1;
	for (int32_t i = 0; i < part->peer_count; i++) {
		struct part_peer *peer = &part->peers[i];
		if (is_wanted(part, peer))
			wish->members[wish->count++] =
			    (struct ot_part_isr_member){ peer->id, peer->broker_epoch };
		else
			peer->is_heard = false;
	}
	wish->leader_epoch = part->leader_epoch;
	wish->partition_epoch = part->partition_epoch;
	wish->is_recovered = true;
}

bool
ot_part_take_isr_wish(struct ot_part *part, struct ot_part_isr_wish *ret_wish)
{
	part_enter(part);
	part->is_isr_wish_told = false;
	if (!is_wish_due(part))
		return false;
	fill_wish(part, ret_wish);
	part_drop_isr_wish(part);
	part->wanted_isr = ot_must_alloc((size_t)ret_wish->count * sizeof(*part->wanted_isr));
	part->wanted_count = ret_wish->count;
	for (int32_t i = 0; i < ret_wish->count; i++)
		part->wanted_isr[i] = ret_wish->members[i].id;
	return true;
}

/* Whether the controller's answer says that our metadata is behind: what holds comes with it, and
 * until then both ISRs bind the high watermark. */
static bool
must_wait_for_metadata(ot_err err)
{
	switch (err) {
	case OT_ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case OT_ERR_UNKNOWN_TOPIC_ID:
	case OT_ERR_NEW_LEADER_ELECTED:
	case OT_ERR_FENCED_LEADER_EPOCH:
	case OT_ERR_INVALID_UPDATE_VERSION:
	case OT_ERR_INVALID_REQUEST:
		return true;
	default:
		return false;
	}
}

void
ot_part_isr_answered(struct ot_part *part, const struct ot_part_isr_wish *wish, ot_err err,
    const struct ot_part_role *role)
{
	part_enter(part);
	if (err == OT_OK && role != NULL) {
		ot_part_set_role(part, role);
		return;
	}
	bool is_current = wish->leader_epoch == part->leader_epoch &&
	                  wish->partition_epoch == part->partition_epoch;
	if (!is_current || part->wanted_isr == NULL || must_wait_for_metadata(err))
		return;
	/* A refusal alone shows that the wish does not hold. What is wanted then is asked with the
	 * next fetch or tick. */
	if (err == OT_ERR_INELIGIBLE_REPLICA || err == OT_ERR_OPERATION_NOT_ATTEMPTED)
		part_drop_isr_wish(part);
	else
		part->is_isr_wish_lost = true;
}
