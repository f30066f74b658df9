#include "cli/reassign_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

static int
compare_brokers(const void *a, const void *b)
{
	const struct cli_assign_broker *one = a;
	const struct cli_assign_broker *other = b;
	int order = ot_str_compare(one->rack, other->rack);
	return order != 0 ? order : (one->id > other->id) - (one->id < other->id);
}

struct racks {
	struct cli_assign_broker *brokers; /* one of each rack in turn, until all are there */
	size_t broker_count;
	size_t rack_count;
};

/* Orders brokers so that neighbours are in different racks for as long as that can be. */
static void
alternate(struct cli *cli, struct cli_assign_broker *brokers, size_t count, struct racks *ret_racks)
{
	size_t *starts = cli_alloc(cli, count + 1, sizeof(*starts));
	struct cli_assign_broker *sorted = cli_alloc(cli, count, sizeof(*sorted));
	size_t rack_count = 0;
	if (count > 1)
		qsort(brokers, count, sizeof(*brokers), compare_brokers);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !ot_str_equal(brokers[i].rack, brokers[i - 1].rack))
			starts[rack_count++] = i;
	}
	starts[rack_count] = count;
	size_t have = 0;
	for (size_t depth = 0; have < count; depth++) {
		for (size_t rack = 0; rack < rack_count; rack++) {
			if (starts[rack] + depth < starts[rack + 1])
				sorted[have++] = brokers[starts[rack] + depth];
		}
	}
	*ret_racks = (struct racks){ sorted, count, rack_count };
}

/* The broker that comes `step` steps behind the leader; never the leader itself. */
static size_t
follower_index(size_t leader, size_t shift, size_t step, size_t count)
{
	return (leader + 1 + (shift + step) % (count - 1)) % count;
}

static bool
has_rack(const struct racks *racks, const size_t *chosen, int32_t count, struct ot_str rack)
{
	for (int32_t i = 0; i < count; i++) {
		if (ot_str_equal(racks->brokers[chosen[i]].rack, rack))
			return true;
	}
	return false;
}

static size_t
count_racks(const struct racks *racks, const size_t *chosen, int32_t count)
{
	size_t rack_count = 0;
	for (int32_t i = 0; i < count; i++)
		rack_count += !has_rack(racks, chosen, i, racks->brokers[chosen[i]].rack);
	return rack_count;
}

static bool
has_index(const size_t *chosen, int32_t count, size_t index)
{
	for (int32_t i = 0; i < count; i++) {
		if (chosen[i] == index)
			return true;
	}
	return false;
}

/* The next follower: in a rack that has no replica yet, as long as there is one. */
static size_t
next_follower(const struct racks *racks, const size_t *chosen, int32_t count, size_t shift,
    size_t *step)
{
	size_t used = count_racks(racks, chosen, count);
	for (;;) {
		size_t index = follower_index(chosen[0], shift, (*step)++, racks->broker_count);
		bool is_rack_fine = used == racks->rack_count ||
		                    !has_rack(racks, chosen, count, racks->brokers[index].rack);
		if (is_rack_fine && !has_index(chosen, count, index))
			return index;
	}
}

const char *
cli_assign(struct cli *cli, struct cli_assign_broker *brokers, size_t broker_count,
    int32_t partition_count, int32_t factor, uint32_t start, uint32_t shift,
    struct cli_replicas *ret_partitions)
{
	struct racks racks;
	if (factor <= 0)
		return "Replication factor must be larger than 0.";
	if ((size_t)factor > broker_count)
		return cli_format(cli, "Replication factor: %d larger than available brokers: %zu.",
		    factor, broker_count);
	alternate(cli, brokers, broker_count, &racks);
	size_t *chosen = cli_alloc(cli, (size_t)factor, sizeof(*chosen));
	size_t round_shift = shift;
	/* Kafka steps over whole rounds of racks, where there are racks. */
	size_t stride = racks.rack_count > 1 || brokers[0].rack.len >= 0 ? racks.rack_count : 1;
	for (int32_t i = 0; i < partition_count; i++) {
		if (i > 0 && (size_t)i % broker_count == 0)
			round_shift++;
		size_t step = 0;
		chosen[0] = ((size_t)i + start) % broker_count;
		for (int32_t k = 1; k < factor; k++)
			chosen[k] = next_follower(&racks, chosen, k, round_shift * stride, &step);
		ret_partitions[i].brokers = cli_alloc(cli, (size_t)factor, sizeof(int32_t));
		ret_partitions[i].count = factor;
		for (int32_t k = 0; k < factor; k++)
			ret_partitions[i].brokers[k] = racks.brokers[chosen[k]].id;
	}
	return NULL;
}
