#include "cluster/sweep_int.h"

#include "base/panic.h"
#include "cluster/topics_int.h"

void
sweep_init(struct sweep *sweep, struct operation *operation)
{
	*sweep = (struct sweep){ .operation = operation };
	sweep->image = ot_image_edit_snapshot(operation->edit);
	partition_changer_init(&sweep->changer, operation, sweep->image);
}

static bool
sweep_partition(void *arg, const struct ot_partition_image *partition)
{
	struct sweep *sweep = arg;
	struct partition_change change;

	if (!sweep->concerns(sweep, partition))
		return true;
	partition_change_begin(&sweep->changer, sweep->topic, partition, &change);
	if (sweep->want != NULL && !sweep->want(sweep, &change))
		return true;
	if (partition_change_add(&sweep->changer, &change, sweep->operation))
		sweep->record_count++;
	operation_split_if_full(sweep->operation);
	return !sweep->operation->is_failed &&
	       (sweep->records_max == 0 || sweep->record_count < sweep->records_max);
}

static bool
sweep_topic(void *arg, const struct ot_topic_image *topic)
{
	struct sweep *sweep = arg;

	sweep->topic = topic;
	ot_topic_visit_partitions(topic, sweep_partition, sweep);
	return !sweep->operation->is_failed &&
	       (sweep->records_max == 0 || sweep->record_count < sweep->records_max);
}

void
sweep_run(struct sweep *sweep)
{
	OT_ASSERT(sweep->concerns != NULL);
	ot_image_visit_topics(sweep->image, sweep_topic, sweep);
	partition_changer_fini(&sweep->changer);
	ot_image_unref(sweep->image);
}

/* ---- a broker leaves ------------------------------------------------------------------------ */

static bool
is_leader_or_in_sync(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	int32_t id = sweep->changer.leaving_id;

	return partition->leader == id || ot_ids_have(ot_partition_isr(partition), id) ||
	       (sweep->changer.is_unclean && ot_ids_have(ot_partition_elr(partition), id));
}

static bool
leave_isr(struct sweep *sweep, struct partition_change *change)
{
	change->isr =
	    partition_ids_without(&sweep->changer, change->isr, sweep->changer.leaving_id);
	return true;
}

void
sweep_broker_leaves(struct operation *operation, int32_t broker_id, bool is_unclean)
{
	struct sweep sweep;

	sweep_init(&sweep, operation);
	sweep.changer.leaving_id = broker_id;
	sweep.changer.is_unclean = is_unclean;
	sweep.concerns = is_leader_or_in_sync;
	sweep.want = leave_isr;
	sweep_run(&sweep);
}

/* Nobody else has anything of that partition that could count. */
static bool
is_its_alone(const struct ot_partition_image *partition, int32_t id)
{
	return partition->leader == id && partition->isr_count == 1 && partition->elr_count == 0;
}

static bool
leave_isr_or_stay(struct sweep *sweep, struct partition_change *change)
{
	if (!is_its_alone(change->partition, sweep->changer.leaving_id))
		return leave_isr(sweep, change);
	change->is_led_anew = true;
	return sweep->changer.is_unclean;
}

void
sweep_broker_returns(struct operation *operation, int32_t broker_id, bool is_unclean, bool is_lone)
{
	struct sweep sweep;

	sweep_init(&sweep, operation);
	sweep.changer.leaving_id = broker_id;
	sweep.changer.is_unclean = is_unclean;
	sweep.concerns = is_leader_or_in_sync;
	sweep.want = is_lone ? leave_isr_or_stay : leave_isr;
	sweep_run(&sweep);
}

/* ---- a broker comes ------------------------------------------------------------------------- */

static bool
has_no_good_leader(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	return partition->leader == OT_NO_LEADER ||
	       !partition_may_be_led(&sweep->changer, partition, partition->leader);
}

void
sweep_broker_comes(struct operation *operation, int32_t broker_id)
{
	struct sweep sweep;

	sweep_init(&sweep, operation);
	sweep.changer.coming_id = broker_id;
	sweep.concerns = has_no_good_leader;
	sweep_run(&sweep);
}

/* ---- a directory fails ---------------------------------------------------------------------- */

static bool
is_in_directory(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	struct ot_ids replicas = ot_partition_replicas(partition);
	struct ot_uuid directory;

	for (int32_t i = 0; partition->has_directories && i < replicas.count; i++) {
		if (replicas.items[i] != sweep->changer.leaving_id)
			continue;
		directory = ot_partition_directory(partition, i);
		return ot_uuid_equal(&directory, &sweep->directory);
	}
	return false;
}

void
sweep_directory_fails(struct operation *operation, int32_t broker_id,
    const struct ot_uuid *directory)
{
	struct sweep sweep;

	sweep_init(&sweep, operation);
	sweep.changer.leaving_id = broker_id;
	sweep.directory = *directory;
	sweep.concerns = is_in_directory;
	sweep.want = leave_isr;
	sweep_run(&sweep);
}

/* ---- eligible leader replicas --------------------------------------------------------------- */

static bool
has_eligible_replicas(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	(void)sweep;
	return partition->elr_count > 0 || partition->last_known_elr_count > 0;
}

void
sweep_eligible_replicas(struct operation *operation)
{
	struct sweep sweep;

	sweep_init(&sweep, operation);
	sweep.concerns = has_eligible_replicas;
	sweep_run(&sweep);
}

/* ---- leaders -------------------------------------------------------------------------------- */

struct leader_search {
	int32_t broker_id;
	bool is_found;
};

static bool
search_partition(void *arg, const struct ot_partition_image *partition)
{
	struct leader_search *search = arg;

	search->is_found = partition->leader == search->broker_id;
	return !search->is_found;
}

static bool
search_topic(void *arg, const struct ot_topic_image *topic)
{
	ot_topic_visit_partitions(topic, search_partition, arg);
	return !((struct leader_search *)arg)->is_found;
}

bool
sweep_finds_leader(const struct ot_image *image, int32_t broker_id)
{
	struct leader_search search = { .broker_id = broker_id };

	ot_image_visit_topics(image, search_topic, &search);
	return search.is_found;
}
