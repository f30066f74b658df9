#include "cluster/partition_change_int.h"

#include <string.h>

#include "base/panic.h"
#include "base/plant.h"
#include "cluster/feature_levels.h"
#include "cluster/topics_int.h"
#include "wire/msg_metadata_log.h"

/* The recovery state of a record that has none. */
enum { STATE_STAYS = -1 };

/* The first levels of metadata.version that leave the epoch alone when the ISR shrinks; and the
 * versions of the record that have directories and eligible leader replicas. */
enum { METADATA_3_6_IV0 = 12, RECORD_WITH_DIRECTORIES = 1, RECORD_WITH_ELR = 2 };

void
partition_changer_init(struct partition_changer *changer, const struct operation *operation,
    const struct ot_image *image)
{
	int16_t record = ot_metadata_record_version(operation->metadata_version,
	    OT_PARTITION_CHANGE_RECORD_TYPE);

	*changer = (struct partition_changer){
		.image = image,
		.leaving_id = NOBODY,
		.coming_id = NOBODY,
		.has_elr = record >= RECORD_WITH_ELR &&
		           ot_image_feature(image, OT_STR_LIT(OT_ELR_VERSION)) > 0,
		.has_directories = record >= RECORD_WITH_DIRECTORIES,
		.has_epoch_for_shrink = operation->metadata_version < METADATA_3_6_IV0,
	};
	ot_arena_init(&changer->arena, 0);
}

void
partition_changer_fini(struct partition_changer *changer)
{
	ot_arena_fini(&changer->arena);
}

void
partition_change_begin(struct partition_changer *changer, const struct ot_topic_image *topic,
    const struct ot_partition_image *partition, struct partition_change *ret_change)
{
	const struct ot_topic_settings *settings = ot_image_topic_settings(changer->image, topic);

	ot_arena_reset(&changer->arena);
	*ret_change = (struct partition_change){
		.topic = topic,
		.partition = partition,
		.election = settings->unclean_leader_election_enable ? ELECT_UNCLEAN : ELECT_ONLINE,
		.replicas = ot_partition_replicas(partition),
		.isr = ot_partition_isr(partition),
		.adding = ot_partition_adding(partition),
		.removing = ot_partition_removing(partition),
		.recovery_state = (int8_t)partition->recovery_state,
		.moved_id = NOBODY,
	};
}

/* ---- lists of ids --------------------------------------------------------------------------- */

static int32_t *
ids_room(struct partition_changer *changer, int32_t count)
{
	int32_t *ids = ot_arena_array(&changer->arena, (size_t)count, sizeof(*ids));

	if (ids == NULL)
		changer->is_failed = true;
	return ids;
}

struct ot_ids
partition_ids_minus(struct partition_changer *changer, struct ot_ids ids, struct ot_ids others)
{
	int32_t *kept, count = 0;

	for (int32_t i = 0; i < ids.count && !ot_ids_have(others, ids.items[i]); i++)
		count++;
	if (count == ids.count)
		return ids; /* nothing goes */
	kept = ids_room(changer, ids.count);
	count = 0;
	for (int32_t i = 0; kept != NULL && i < ids.count; i++) {
		if (!ot_ids_have(others, ids.items[i]))
			kept[count++] = ids.items[i];
	}
	return (struct ot_ids){ kept, count };
}

struct ot_ids
partition_ids_without(struct partition_changer *changer, struct ot_ids ids, int32_t id)
{
	return partition_ids_minus(changer, ids, (struct ot_ids){ &id, 1 });
}

struct ot_ids
partition_ids_plus(struct partition_changer *changer, struct ot_ids ids, struct ot_ids others)
{
	int32_t *all = ids_room(changer, ids.count + others.count);
	int32_t count = ids.count;

	if (all == NULL)
		return ids;
	if (count > 0)
		memcpy(all, ids.items, (size_t)count * sizeof(*all));
	for (int32_t i = 0; i < others.count; i++) {
		if (!ot_ids_have(ids, others.items[i]))
			all[count++] = others.items[i];
	}
	return (struct ot_ids){ all, count };
}

static bool
ids_equal(struct ot_ids a, struct ot_ids b)
{
	return a.count == b.count &&
	       (a.count == 0 || memcmp(a.items, b.items, (size_t)a.count * sizeof(int32_t)) == 0);
}

static bool
ids_have_all(struct ot_ids ids, struct ot_ids others)
{
	for (int32_t i = 0; i < others.count; i++) {
		if (!ot_ids_have(ids, others.items[i]))
			return false;
	}
	return true;
}

/* One id, in the changer's memory. */
static struct ot_ids
ids_of_one(struct partition_changer *changer, int32_t id)
{
	int32_t *ids = ids_room(changer, 1);

	if (ids == NULL)
		return (struct ot_ids){ 0 };
	ids[0] = id;
	return (struct ot_ids){ ids, 1 };
}

/* The record's array, null where nothing changes. Arrays of records are not const, but nobody
 * writes to them. */
static bool
ids_put(struct ot_ids wanted, struct ot_ids now, int32_t **ret_items, int32_t *ret_count)
{
	static int32_t none[1];

	if (ids_equal(wanted, now))
		return false;
	*ret_items = wanted.count == 0 ? none : (int32_t *)(uintptr_t)wanted.items;
	*ret_count = wanted.count;
	return true;
}

/* ---- who may lead --------------------------------------------------------------------------- */

static bool
directory_lives(const struct ot_broker_image *broker, struct ot_uuid directory)
{
	if (ot_uuid_equal(&directory, &ot_directory_lost))
		return false;
	if (ot_uuid_equal(&directory, &ot_directory_unassigned) ||
	    ot_uuid_equal(&directory, &ot_directory_migrating) || broker->log_dir_count == 0)
		return true;
	return cluster_broker_has_directory(broker, &directory);
}

static bool
is_active(const struct partition_changer *changer, const struct ot_broker_image *broker)
{
	if (broker == NULL || broker->id == changer->leaving_id)
		return false;
	return broker->id == changer->coming_id ||
	       (!broker->is_fenced && !broker->is_in_controlled_shutdown);
}

bool
partition_may_be_led(const struct partition_changer *changer,
    const struct ot_partition_image *partition, int32_t id)
{
	const struct ot_broker_image *broker = ot_image_broker(changer->image, id);
	struct ot_ids replicas = ot_partition_replicas(partition);

	if (!is_active(changer, broker))
		return false;
	for (int32_t i = 0; i < replicas.count; i++) {
		if (replicas.items[i] == id)
			return directory_lives(broker, ot_partition_directory(partition, i));
	}
	return true; /* a new replica; it goes where the broker has room */
}

/* ---- the steps ------------------------------------------------------------------------------ */

/* A change while it is worked out. */
struct making {
	struct partition_changer *changer;
	struct partition_change *change;
	struct ot_partition_change_record *record;
	struct ot_ids elr;
	bool is_unclean;
};

static void
complete_reassignment(struct making *making)
{
	struct partition_change *change = making->change;
	struct ot_ids replicas, isr;

	if (change->adding.count == 0 && change->removing.count == 0)
		return;
	replicas = partition_ids_minus(making->changer, change->replicas, change->removing);
	isr = partition_ids_minus(making->changer, change->isr, change->removing);
	if (isr.count == 0 || replicas.count == 0 || !ids_have_all(isr, replicas))
		return;
	change->replicas = replicas;
	change->isr = isr;
	change->adding = change->removing = (struct ot_ids){ 0 };
}

static int32_t
least_isr(const struct making *making)
{
	const struct ot_topic_settings *settings =
	    ot_image_topic_settings(making->changer->image, making->change->topic);

	return OT_MIN(settings->min_insync_replicas, making->change->replicas.count);
}

/* The feature was taken back: whoever could lead stands in the ISR again, as it always had been
 * without the feature. */
static void
leave_elr(struct making *making)
{
	const struct ot_partition_image *partition = making->change->partition;
	struct ot_ids from = ot_partition_elr(partition);

	making->elr = (struct ot_ids){ 0 };
	if (making->change->isr.count > 0 || partition->isr_count > 0)
		return;
	if (from.count == 0)
		from = ot_partition_last_known_elr(partition);
	making->change->isr = (struct ot_ids){ from.items, OT_MIN(from.count, 1) };
}

/* Of those that are eligible, the ones that still may be. */
static void
trim_elr(struct making *making)
{
	struct partition_changer *changer = making->changer;
	const struct partition_change *change = making->change;
	struct ot_ids elr = partition_ids_minus(changer, making->elr, change->isr);
	struct ot_ids gone = partition_ids_minus(changer, elr, change->replicas);

	elr = partition_ids_minus(changer, elr, gone);
	if (changer->is_unclean)
		elr = partition_ids_without(changer, elr, changer->leaving_id);
	/* So many commit by themselves, and nobody else has what they will. */
	if (change->isr.count >= least_isr(making))
		elr = (struct ot_ids){ 0 };
	making->elr = elr;
}

static void
find_elr(struct making *making)
{
	const struct ot_partition_image *partition = making->change->partition;

	making->elr = partition_ids_plus(making->changer, ot_partition_elr(partition),
	    ot_partition_isr(partition));
	trim_elr(making);
}

/* A replica that this very change puts into a directory counts as being there. */
static bool
may_be_led(const struct making *making, int32_t id)
{
	const struct partition_changer *changer = making->changer;
	const struct ot_broker_image *broker = ot_image_broker(changer->image, id);

	if (id != making->change->moved_id)
		return partition_may_be_led(changer, making->change->partition, id);
	return is_active(changer, broker) &&
	       directory_lives(broker, making->change->moved_directory);
}

static bool
may_lead_cleanly(const struct making *making, int32_t id)
{
	struct ot_ids isr = making->change->isr;

	if (!ot_ids_have(isr.count > 0 ? isr : making->elr, id))
		return false;
	return may_be_led(making, id);
}

/* Only where it stands alone in that list it is the last leader. */
static int32_t
last_known_leader(const struct making *making)
{
	struct ot_ids last = ot_partition_last_known_elr(making->change->partition);

	if (!making->changer->has_elr || making->elr.count > 0 || making->change->isr.count > 0 ||
	    last.count != 1 || !ot_ids_have(making->change->replicas, last.items[0]) ||
	    !may_be_led(making, last.items[0]))
		return OT_NO_LEADER;
	return last.items[0];
}

static int32_t
choose_leader(struct making *making)
{
	const struct partition_change *change = making->change;
	struct ot_ids replicas = change->replicas;
	int32_t leader = change->partition->leader, last;

	if (change->election == ELECT_PREFERRED && may_lead_cleanly(making, replicas.items[0]))
		return replicas.items[0];
	if (leader != OT_NO_LEADER && may_lead_cleanly(making, leader))
		return leader;
	for (int32_t i = 0; i < replicas.count; i++) {
		if (may_lead_cleanly(making, replicas.items[i]))
			return replicas.items[i];
	}
	making->is_unclean = true;
	last = last_known_leader(making);
	if (last != OT_NO_LEADER)
		return last;
	bool is_allowed = change->election == ELECT_UNCLEAN || OT_PLANT(UNCLEAN_LEADER);
	for (int32_t i = 0; is_allowed && i < replicas.count; i++) {
		if (may_be_led(making, replicas.items[i]))
			return replicas.items[i];
	}
	making->is_unclean = false;
	return OT_NO_LEADER;
}

static void
elect(struct making *making)
{
	struct partition_change *change = making->change;
	int32_t leader;

	if (change->is_led_anew) {
		making->record->leader = change->partition->leader;
		return;
	}
	leader = choose_leader(making);
	if (leader == change->partition->leader && !making->is_unclean)
		return;
	making->record->leader = leader;
	if (making->is_unclean) {
		change->isr = ids_of_one(making->changer, leader);
		change->recovery_state = OT_RECOVERY_RECOVERING;
		making->elr = (struct ot_ids){ 0 };
	} else if (ot_ids_have(making->elr, leader)) {
		change->isr = ids_of_one(making->changer, leader);
	}
	/* It may be the only one that a reassignment wanted. */
	complete_reassignment(making);
	trim_elr(making);
}

/* A leader that is named begins an epoch, though it be the same: whoever is no replica any more,
 * and in old versions whoever is out of sync, must not be believed. */
static void
raise_epoch(struct making *making)
{
	const struct partition_change *change = making->change;
	const struct ot_partition_image *partition = change->partition;
	bool is_raised = !ids_have_all(change->replicas, ot_partition_replicas(partition));

	if (making->changer->has_epoch_for_shrink && change->isr.count > 0 &&
	    !ids_have_all(change->isr, ot_partition_isr(partition)))
		is_raised = true;
	if (making->record->leader == LEADER_STAYS && is_raised)
		making->record->leader = partition->leader;
}

/* When the last replica that was in sync or eligible goes while nobody leads, and the last leader
 * is not known or no replica any more, that one is as good: without it the partition would be lost
 * to all. */
static struct ot_ids
last_eligible(struct making *making)
{
	struct ot_ids replicas = making->change->replicas;
	struct ot_ids known =
	    partition_ids_plus(making->changer, ot_partition_isr(making->change->partition),
		ot_partition_elr(making->change->partition));
	struct ot_ids last = ot_partition_last_known_elr(making->change->partition);

	if (making->change->isr.count > 0 || making->elr.count > 0 ||
	    (last.count == 1 && ot_ids_have(replicas, last.items[0])))
		return last;
	for (int32_t i = 0; i < known.count; i++) {
		if (ot_ids_have(replicas, known.items[i]))
			return ids_of_one(making->changer, known.items[i]);
	}
	return last;
}

/* Remembers who led when the last replica in sync goes, forgets it when somebody leads. */
static bool
put_last_leader(struct making *making)
{
	struct ot_partition_change_record *record = making->record;
	const struct ot_partition_image *partition = making->change->partition;
	struct ot_ids now = ot_partition_last_known_elr(partition), wanted = now;
	int32_t leader = record->leader == LEADER_STAYS ? partition->leader : record->leader;

	if (!making->changer->has_elr || leader != OT_NO_LEADER)
		wanted = (struct ot_ids){ 0 };
	else if (making->change->isr.count == 0 && partition->leader != OT_NO_LEADER)
		wanted = ids_of_one(making->changer, partition->leader);
	else
		wanted = last_eligible(making);
	return ids_put(wanted, now, &record->last_known_elr, &record->last_known_elr_count);
}

static struct ot_uuid
directory_wanted(const struct making *making, int32_t id)
{
	const struct partition_change *change = making->change;
	struct ot_ids now = ot_partition_replicas(change->partition);

	if (id == change->moved_id)
		return change->moved_directory;
	for (int32_t i = 0; i < now.count; i++) {
		if (now.items[i] == id)
			return ot_partition_directory(change->partition, i);
	}
	return cluster_directory_of_new(making->changer->image, id);
}

static bool
put_directories(struct making *making)
{
	const struct partition_change *change = making->change;
	bool is_changed = !ids_equal(change->replicas, ot_partition_replicas(change->partition));
	struct ot_uuid *directories;

	if (!making->changer->has_directories || (!is_changed && change->moved_id == NOBODY))
		return false;
	directories = ot_arena_array(&making->changer->arena, (size_t)change->replicas.count,
	    sizeof(*directories));
	if (directories == NULL) {
		making->changer->is_failed = true;
		return false;
	}
	for (int32_t i = 0; i < change->replicas.count; i++) {
		struct ot_uuid now = ot_directory_migrating;

		directories[i] = directory_wanted(making, change->replicas.items[i]);
		if (!is_changed)
			now = ot_partition_directory(change->partition, i);
		if (!is_changed && !ot_uuid_equal(&directories[i], &now))
			is_changed = true;
	}
	if (!is_changed)
		return false;
	making->record->directories = directories;
	making->record->directories_count = change->replicas.count;
	return true;
}

/* Puts into the record what differs; false when nothing does. */
static bool
put_lists(struct making *making)
{
	struct ot_partition_change_record *record = making->record;
	const struct partition_change *change = making->change;
	const struct ot_partition_image *now = change->partition;
	bool is_changed = record->leader != LEADER_STAYS;

	if (change->isr.count > 0 || making->changer->has_elr)
		is_changed |=
		    ids_put(change->isr, ot_partition_isr(now), &record->isr, &record->isr_count);
	is_changed |= ids_put(making->elr, ot_partition_elr(now), &record->eligible_leader_replicas,
	    &record->eligible_leader_replicas_count);
	is_changed |= put_last_leader(making);
	is_changed |= ids_put(change->replicas, ot_partition_replicas(now), &record->replicas,
	    &record->replicas_count);
	is_changed |= ids_put(change->removing, ot_partition_removing(now),
	    &record->removing_replicas, &record->removing_replicas_count);
	is_changed |= ids_put(change->adding, ot_partition_adding(now), &record->adding_replicas,
	    &record->adding_replicas_count);
	is_changed |= put_directories(making);
	if (change->recovery_state != (int8_t)now->recovery_state) {
		record->leader_recovery_state = change->recovery_state;
		is_changed = true;
	}
	return is_changed;
}

bool
partition_change_make(struct partition_changer *changer, struct partition_change *change,
    struct ot_partition_change_record *ret_record)
{
	struct making making = { .changer = changer, .change = change, .record = ret_record };
	bool is_changed;

	ot_partition_change_record_init(ret_record);
	OT_ASSERT(ret_record->leader == LEADER_STAYS && change->replicas.count > 0);
	OT_ASSERT(ret_record->leader_recovery_state == STATE_STAYS);
	ret_record->topic_id = change->topic->id;
	ret_record->partition_id = change->partition->index;
	complete_reassignment(&making);
	if (changer->has_elr)
		find_elr(&making);
	else
		leave_elr(&making);
	elect(&making);
	raise_epoch(&making);
	is_changed = put_lists(&making);
	return is_changed && !changer->is_failed;
}

bool
partition_change_add(struct partition_changer *changer, struct partition_change *change,
    struct operation *operation)
{
	struct ot_partition_change_record record;
	bool is_changed = partition_change_make(changer, change, &record);

	if (changer->is_failed)
		operation->is_failed = true;
	if (is_changed)
		operation_add(operation, &ot_partition_change_record_msg, &record);
	return is_changed;
}
