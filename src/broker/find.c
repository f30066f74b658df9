/* Small questions that many handlers have, answered from the image. */
#include "broker/broker_int.h"

#include "shard/shard.h"

struct broker_place
broker_find(struct broker_shard *self, struct ot_str name, const struct ot_uuid *topic_id,
    int32_t index)
{
	struct broker_place place = { 0 };
	place.topic = topic_id != NULL ? ot_image_topic_by_id(self->image, topic_id)
	                               : ot_image_topic(self->image, name);
	if (place.topic == NULL) {
		place.err =
		    topic_id != NULL ? OT_ERR_UNKNOWN_TOPIC_ID : OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
		return place;
	}
	if (index < 0 || index >= place.topic->partition_count) {
		place.err = OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;
		return place;
	}
	place.shard_index = ot_part_owner_index(place.topic->name, index, self->shard->set->count);
	return place;
}

struct ot_part *
broker_part(const struct ot_uuid *topic_id, int32_t index)
{
	struct broker_shard *self = ot_shard_self->user;
	return ot_replicas_find(self->replicas, topic_id, index);
}

struct ot_str
broker_listener_name(const struct ot_request *request)
{
	const struct broker_listener *listener = request->listener;
	/* Brokers have no address on the control listener: who asks there gets the one that they
	 * have for each other. */
	if (listener->conf->is_controller)
		return ot_str_from(listener->broker->settings->inter_broker_listener);
	return ot_str_from(listener->conf->name);
}

const struct ot_endpoint_image *
broker_endpoint(struct broker_shard *self, const struct ot_request *request, int32_t node)
{
	const struct ot_broker_image *broker = ot_image_broker(self->image, node);
	if (broker == NULL || broker->is_fenced)
		return NULL;
	return ot_broker_endpoint(broker, broker_listener_name(request));
}

struct broker_leader
broker_find_leader(struct broker_shard *self, const struct ot_request *request,
    const struct ot_uuid *topic_id, int32_t index)
{
	struct broker_leader leader = { .id = -1, .epoch = -1 };
	const struct ot_topic_image *topic = ot_image_topic_by_id(self->image, topic_id);
	const struct ot_partition_image *partition =
	    topic != NULL ? ot_topic_partition(topic, index) : NULL;
	if (partition == NULL)
		return leader;
	leader.id = partition->leader;
	leader.epoch = partition->leader_epoch;
	leader.address = broker_endpoint(self, request, leader.id);
	if (leader.address != NULL)
		leader.broker = ot_image_broker(self->image, leader.id);
	return leader;
}
