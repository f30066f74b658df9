/* Which replica a consumer should read from (KIP-392): the rules of Kafka's
 * RackAwareReplicaSelector.
 */
#include "broker/broker_int.h"

static bool
is_in_rack(const struct broker_shard *self, int32_t node, struct ot_str rack)
{
	const struct ot_broker_image *broker = ot_image_broker(self->image, node);
	return broker != NULL && ot_str_equal(broker->rack, rack);
}

/* The one that has more; of equals the one that had caught up later, then the greater id. */
static bool
is_further(const struct ot_part_follower *a, const struct ot_part_follower *b)
{
	if (a->log_end != b->log_end)
		return a->log_end > b->log_end;
	return a->caught_up != b->caught_up ? a->caught_up > b->caught_up : a->id > b->id;
}

int32_t
broker_closest_replica(struct broker_shard *self, const struct ot_request *request,
    struct ot_part *part, struct ot_str rack, int64_t offset)
{
	const struct ot_topic_image *topic =
	    ot_image_topic_by_id(self->image, ot_part_topic_id(part));
	const struct ot_partition_image *partition =
	    topic != NULL ? ot_topic_partition(topic, ot_part_index(part)) : NULL;
	if (partition == NULL || is_in_rack(self, self->broker->node_id, rack))
		return -1;
	struct ot_ids replicas = ot_partition_replicas(partition);
	struct ot_part_follower best = { .id = -1 };
	for (int32_t i = 0; i < replicas.count; i++) {
		struct ot_part_follower follower;
		if (!is_in_rack(self, replicas.items[i], rack) ||
		    broker_endpoint(self, request, replicas.items[i]) == NULL ||
		    !ot_part_follower(part, replicas.items[i], &follower))
			continue;
		if (follower.is_in_sync && follower.log_end >= offset &&
		    follower.log_start <= offset && (best.id < 0 || is_further(&follower, &best)))
			best = follower;
	}
	return best.id;
}
