#include "cluster/placement_int.h"

#include <stdlib.h>

#include "base/panic.h"

/* Brokers of one rack that are alike: both lists of a rack are walked in circles, one step further
 * with each round. */
struct broker_list {
	int32_t *ids;
	int32_t count;
	int32_t index;  /* how many were taken in this round */
	int32_t offset; /* where the round began */
	int32_t round;
};

struct rack {
	struct ot_str name; /* null: brokers without one */
	struct broker_list fenced;
	struct broker_list unfenced;
};

struct rack_list {
	struct ot_io *io;
	struct rack *racks;
	int32_t rack_count;
	int32_t broker_count;
	int32_t unfenced_count;
	int32_t round;
	int32_t offset;
};

static int32_t
draw(struct ot_io *io, int32_t bound)
{
	return (int32_t)(ot_io_random_u64(io) % (uint64_t)bound);
}

static void
shuffle_ids(struct ot_io *io, struct broker_list *list)
{
	for (int32_t i = list->count; i > 1; i--) {
		int32_t other = draw(io, i), id = list->ids[i - 1];

		list->ids[i - 1] = list->ids[other];
		list->ids[other] = id;
	}
	/* Rounds begin anew; nothing of this one is taken yet. */
	list->round = list->index = 0;
}

/* The next broker of the round, -1 when all were taken. */
static int32_t
list_next(struct broker_list *list, int32_t round)
{
	if (list->count == 0)
		return -1;
	if (list->round != round) {
		list->round = round;
		list->index = 0;
		list->offset = (list->offset + 1) % list->count;
	}
	if (list->index >= list->count)
		return -1;
	return list->ids[(list->index++ + list->offset) % list->count];
}

static int32_t
rack_next(struct rack *rack, int32_t round)
{
	int32_t id = list_next(&rack->unfenced, round);

	return id >= 0 ? id : list_next(&rack->fenced, round);
}

/* ---- the racks of an image ------------------------------------------------------------------ */

static struct rack *
rack_find(struct rack_list *list, struct ot_str name)
{
	for (int32_t i = 0; i < list->rack_count; i++) {
		if (ot_str_compare(list->racks[i].name, name) == 0)
			return &list->racks[i];
	}
	return NULL;
}

static int
compare_racks(const void *a, const void *b)
{
	return ot_str_compare(((const struct rack *)a)->name, ((const struct rack *)b)->name);
}

/* All of its directories are closed to new replicas (KIP-1066). */
static bool
has_no_room(const struct ot_broker_image *broker)
{
	for (int32_t i = 0; i < broker->log_dir_count; i++) {
		bool is_cordoned = false;

		for (int32_t j = 0; j < broker->cordoned_log_dir_count && !is_cordoned; j++)
			is_cordoned =
			    ot_uuid_equal(&broker->log_dirs[i], &broker->cordoned_log_dirs[j]);
		if (!is_cordoned)
			return false;
	}
	return broker->log_dir_count > 0;
}

/* Racks by name, and in each its brokers by id; none that is about to stop or has no room. */
static ot_err
collect(struct rack_list *list, const struct ot_image *image, struct ot_arena *arena)
{
	size_t count = (size_t)ot_image_broker_count(image);
	const struct ot_broker_image *broker;

	list->racks = ot_arena_array(arena, count, sizeof(list->racks[0]));
	if (list->racks == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t id = 0; (broker = ot_image_broker_from(image, id)) != NULL;
	     id = broker->id + 1) {
		struct rack *rack = rack_find(list, broker->rack);
		struct broker_list *ids;

		if (broker->is_in_controlled_shutdown || has_no_room(broker))
			continue;
		if (rack == NULL) {
			rack = &list->racks[list->rack_count++];
			rack->name = broker->rack;
			rack->fenced.ids = ot_arena_array(arena, count, sizeof(int32_t));
			rack->unfenced.ids = ot_arena_array(arena, count, sizeof(int32_t));
			if (rack->fenced.ids == NULL || rack->unfenced.ids == NULL)
				return OT_ERR_NO_MEMORY;
		}
		ids = broker->is_fenced ? &rack->fenced : &rack->unfenced;
		ids->ids[ids->count++] = broker->id;
		list->broker_count++;
		list->unfenced_count += !broker->is_fenced;
	}
	qsort(list->racks, (size_t)list->rack_count, sizeof(list->racks[0]), compare_racks);
	return OT_OK;
}

/* The first of a partition's replicas that is on this rack; -1 without one. */
static int32_t
replica_on(const struct ot_image *image, const struct ot_partition_image *partition,
    const struct rack *rack)
{
	struct ot_ids replicas = ot_partition_replicas(partition);

	for (int32_t i = 0; i < replicas.count; i++) {
		const struct ot_broker_image *broker = ot_image_broker(image, replicas.items[i]);

		if (broker != NULL && ot_str_compare(broker->rack, rack->name) == 0)
			return broker->id;
	}
	return -1;
}

/* Where the topic's last replica on this rack stands in the rack's list, -1 when it cannot be said.
 */
static int32_t
last_place_on(const struct placement *placement, const struct rack *rack)
{
	int32_t id = -1;

	if (placement->topic == NULL)
		return -1;
	for (int32_t i = placement->topic->partition_count - 1; i >= 0 && id < 0; i--)
		id = replica_on(placement->image, ot_topic_partition(placement->topic, i), rack);
	for (int32_t i = 0; i < rack->unfenced.count; i++) {
		if (rack->unfenced.ids[i] == id)
			return i;
	}
	return -1;
}

/* The rack of the topic's last partition's first replica, -1 when it cannot be said. */
static int32_t
last_rack(const struct placement *placement, const struct rack_list *list)
{
	const struct ot_topic_image *topic = placement->topic;
	const struct ot_partition_image *partition;
	const struct ot_broker_image *broker;

	if (topic == NULL || topic->partition_count == 0)
		return -1;
	partition = ot_topic_partition(topic, topic->partition_count - 1);
	broker = ot_image_broker(placement->image, ot_partition_replicas(partition).items[0]);
	for (int32_t i = 0; broker != NULL && i < list->rack_count; i++) {
		if (ot_str_compare(list->racks[i].name, broker->rack) == 0)
			return i;
	}
	return -1;
}

static void
choose_beginnings(struct rack_list *list, const struct placement *placement)
{
	int32_t last;

	for (int32_t i = 0; i < list->rack_count; i++) {
		struct rack *rack = &list->racks[i];

		last = last_place_on(placement, rack);
		if (rack->fenced.count > 0)
			rack->fenced.offset = draw(list->io, rack->fenced.count);
		if (rack->unfenced.count > 0)
			rack->unfenced.offset = last >= 0 ? (last + 1) % rack->unfenced.count
			                                  : draw(list->io, rack->unfenced.count);
	}
	last = last_rack(placement, list);
	list->offset = last >= 0 ? (last + 1) % list->rack_count : draw(list->io, list->rack_count);
}

/* ---- one partition -------------------------------------------------------------------------- */

static void
shuffle_all(struct rack_list *list)
{
	for (int32_t i = list->rack_count; i > 1; i--) {
		int32_t other = draw(list->io, i);
		struct rack rack = list->racks[i - 1];

		list->racks[i - 1] = list->racks[other];
		list->racks[other] = rack;
	}
	for (int32_t i = 0; i < list->rack_count; i++) {
		shuffle_ids(list->io, &list->racks[i].fenced);
		shuffle_ids(list->io, &list->racks[i].unfenced);
	}
	list->round = 0;
}

static void
place(struct rack_list *list, int32_t *ids, int32_t id_count)
{
	int32_t first, next;

	/* A single broker has no other order. */
	if (list->round == list->unfenced_count && list->unfenced_count > 1)
		shuffle_all(list);
	if (list->offset == list->rack_count)
		list->offset = 0;
	first = list->offset;
	while ((ids[0] = list_next(&list->racks[first].unfenced, list->round)) < 0)
		first = (first + 1) % list->rack_count;
	next = list->offset;
	for (int32_t i = 1; i < id_count; i++) {
		int32_t id = -1;

		/* The leader's rack is passed by once. */
		do {
			if (next == first)
				first = -1;
			else
				id = rack_next(&list->racks[next], list->round);
			next = (next + 1) % list->rack_count;
		} while (id < 0);
		ids[i] = id;
	}
	list->round++;
	list->offset++;
}

ot_err
placement_choose(const struct placement *placement, struct ot_io *io, struct ot_arena *arena,
    int32_t **ret_ids, struct ot_why *why)
{
	struct rack_list list = { .io = io };
	int32_t factor = placement->replication_factor;
	int32_t *ids;

	if (factor <= 0) {
		ot_why_set(why,
		    "Invalid replication factor %d: the replication factor must be positive.",
		    factor);
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	if (collect(&list, placement->image, arena) != OT_OK)
		return OT_ERR_NO_MEMORY;
	if (list.unfenced_count == 0) {
		ot_why_set(why, "All brokers are currently fenced.");
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	if (factor > list.broker_count) {
		ot_why_set(why,
		    "The target replication factor of %d cannot be reached because only %d "
		    "broker(s) are registered.",
		    factor, list.broker_count);
		return OT_ERR_INVALID_REPLICATION_FACTOR;
	}
	ids = ot_arena_array(arena, (size_t)placement->partition_count * (size_t)factor,
	    sizeof(*ids));
	if (ids == NULL)
		return OT_ERR_NO_MEMORY;
	choose_beginnings(&list, placement);
	for (int32_t i = 0; i < placement->partition_count; i++)
		place(&list, &ids[(size_t)i * (size_t)factor], factor);
	*ret_ids = ids;
	return OT_OK;
}
