/* What operators want of the voters: AddRaftVoter and RemoveRaftVoter. A wish is written first, so
 * that the node itself does not undo what was asked for; then the members change.
 *
 *   a removal   LISTING -> WISHING -> REMOVING -> done
 *   an addition LISTING -> WISHING -> LISTING ... until the node is a voter, or the time is over;
 *               a member without a vote gets it: LISTING -> PROMOTING -> LISTING
 */
#include "broker/quorum_state_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { CHANGE_POLL_MS = 200, CHANGE_REQUEST_MS_MAX = 5000 };

static void
finish(struct quorum_change *change, ot_err err)
{
	ot_timer_cancel(change->quorum->io, &change->timer);
	ot_list_remove(&change->link);
	change->err = err;
	change->done(change);
}

static void
fail(struct quorum_change *change, ot_err err, const char *why)
{
	ot_why_set(&change->why, "%s", why);
	finish(change, err);
}

static void
list(struct quorum_change *change)
{
	quorum_list(change->quorum, &change->lister);
}

static void
on_poll(struct ot_timer *timer)
{
	list(OT_CONTAINER_OF(timer, struct quorum_change, timer));
}

static void
ask_again(struct quorum_change *change)
{
	struct ot_io *io = change->quorum->io;

	if (ot_io_now(io) < change->deadline)
		ot_timer_arm_in_ms(io, &change->timer, CHANGE_POLL_MS);
	else
		fail(change, OT_ERR_REQUEST_TIMED_OUT,
		    "the node has not become a voter yet; it does as soon as it runs and has the "
		    "controller role");
}

/* ---- the members ---------------------------------------------------------------------------- */

static void
on_changed(struct ot_etcd_admin_call *call, ot_err err)
{
	struct quorum_change *change = OT_CONTAINER_OF(call, struct quorum_change, call);

	if (!change->is_removal)
		ask_again(change);
	else if (err == OT_OK)
		finish(change, OT_OK);
	else
		fail(change, OT_ERR_REQUEST_TIMED_OUT, call->why);
}

static void
change_member(struct quorum_change *change, enum ot_etcd_admin_what what)
{
	change->call.what = what;
	change->call.id = change->member_id;
	change->call.on_done = on_changed;
	ot_etcd_admin_call(change->quorum->admin, &change->call);
}

static void
on_wished(struct ot_kv_txn *txn, ot_err err)
{
	struct quorum_change *change = OT_CONTAINER_OF(txn, struct quorum_change, txn);

	if (err != OT_OK)
		fail(change, OT_ERR_REQUEST_TIMED_OUT, "etcd does not answer");
	else if (change->is_removal)
		change_member(change, OT_ETCD_REMOVE);
	else
		ask_again(change);
}

static void
write_wish(struct quorum_change *change)
{
	char key[OT_ETCD_PREFIX_BYTES + 32], value[64], directory[OT_UUID_TEXT_BYTES];
	struct ot_text text = OT_TEXT(value);
	struct ot_kv_op put = { .type = OT_KV_PUT, .key = key };

	ot_uuid_to_text(&change->directory, directory);
	if (change->is_removal)
		ot_text_put(&text, "no %s", directory);
	else
		ot_text_put(&text, "yes");
	put.value = (struct ot_bytes){ (const uint8_t *)value, (int32_t)text.bytes };
	quorum_wish_key(change->quorum, change->node_id, key);
	change->is_wished = true;
	change->txn = (struct ot_kv_txn){ .then = &put,
		.then_count = 1,
		.ms_max = CHANGE_REQUEST_MS_MAX,
		.on_done = on_wished };
	ot_kv_txn(quorum_kv(change->quorum), &change->txn);
}

static int32_t
count_voters(const struct broker_quorum *quorum)
{
	int32_t count = 0;

	for (int32_t i = 0; i < quorum->member_count; i++)
		count += !quorum->members[i].is_learner;
	return count;
}

static void
remove_listed(struct quorum_change *change, const struct ot_etcd_member_info *info,
    const struct ot_uuid *directory)
{
	if (info == NULL || info->is_learner || !ot_uuid_equal(directory, &change->directory))
		fail(change, OT_ERR_VOTER_NOT_FOUND,
		    "no voter has this id and this directory; kafka-metadata-quorum.sh describe "
		    "--replication lists them");
	else if (count_voters(change->quorum) == 1)
		fail(change, OT_ERR_INVALID_REQUEST, "the last voter cannot be removed");
	else
		write_wish(change);
}

static void
add_listed(struct quorum_change *change, const struct ot_etcd_member_info *info)
{
	bool is_voter = info != NULL && !info->is_learner;

	if (is_voter && change->is_wished)
		finish(change, OT_OK);
	else if (is_voter)
		fail(change, OT_ERR_DUPLICATE_VOTER, "it is a voter already");
	else if (!change->is_wished)
		write_wish(change);
	else if (info != NULL)
		change_member(change, OT_ETCD_PROMOTE);
	else
		ask_again(change);
}

static void
on_listed(struct quorum_lister *lister, ot_err err)
{
	struct quorum_change *change = OT_CONTAINER_OF(lister, struct quorum_change, lister);
	const struct ot_etcd_member_info *info;
	struct ot_uuid directory = { { 0 } };

	if (err != OT_OK) {
		fail(change, OT_ERR_REQUEST_TIMED_OUT, "etcd does not answer");
		return;
	}
	info = quorum_member_of(change->quorum, change->node_id, &directory);
	change->member_id = info != NULL ? info->id : 0;
	if (change->is_removal)
		remove_listed(change, info, &directory);
	else
		add_listed(change, info);
}

void
broker_quorum_change(struct broker_quorum *quorum, struct quorum_change *change)
{
	change->quorum = quorum;
	change->deadline =
	    ot_io_now(quorum->io) + (ot_mono_ns)OT_MAX(change->timeout_ms, 0) * OT_NS_PER_MS;
	change->is_wished = false;
	change->lister.done = on_listed;
	ot_timer_init(&change->timer, on_poll);
	ot_list_init(&change->link);
	if (quorum->is_external) {
		fail(change, OT_ERR_INVALID_REQUEST,
		    "the voters are those of the etcd that etcd.endpoints names; change them "
		    "there");
	} else if (quorum->state != QUORUM_ETCD) {
		fail(change, change->is_removal ? OT_ERR_VOTER_NOT_FOUND : OT_ERR_INVALID_REQUEST,
		    "this controller is the only one; others become voters when they join it");
	} else {
		ot_list_push_back(&quorum->changes, &change->link);
		list(change);
	}
}

void
quorum_change_end_all(struct broker_quorum *quorum)
{
	while (!ot_list_is_empty(&quorum->changes))
		fail(OT_LIST_FIRST(&quorum->changes, struct quorum_change, link),
		    OT_ERR_NOT_CONTROLLER, "the controller stops");
}
