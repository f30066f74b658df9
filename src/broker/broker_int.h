/* What the files of this folder share: the broker, its shards, and small helpers of handlers. */
#ifndef OT_BROKER_BROKER_INT_H
#define OT_BROKER_BROKER_INT_H

#include "cluster/controller.h"
#include "cluster/image.h"
#include "config/settings.h"
#include "replica/replicas.h"
#include "shard/scatter.h"
#include "wire/conn.h"

struct broker;
struct fetch_sessions;

/* One per shard; ot_shard.user points here. */
struct broker_shard {
	struct broker *broker;                 /* [const] */
	struct ot_shard *shard;                /* [const] */
	struct ot_conn_host conns;             /* [owner] */
	struct ot_image *image;                /* [owner] a reference to the newest */
	struct ot_replicas *replicas;          /* [owner] */
	struct fetch_sessions *fetch_sessions; /* [owner] */
};

/* Where a connection came in. */
struct broker_listener {
	struct broker *broker;
	const struct ot_listener_conf *conf; /* [const] */
	struct ot_listener *listener;        /* [control] */
	uint16_t port;                       /* [const] what is bound */
};

struct broker {
	struct ot_settings *settings;      /* [const] as started */
	struct ot_shard_set *set;          /* [const] */
	struct broker_shard *shards;       /* [const] set->count of them */
	struct broker_listener *listeners; /* [const] */
	size_t listener_count;             /* [const] */
	struct ot_controller *controller;  /* [control] */
	int32_t node_id;                   /* [const] */
};

static inline struct broker_shard *
broker_shard_of(const struct ot_request *request)
{
	return request->host->handler_arg;
}

/* A handler takes the request over and ends it once. @owner the request's shard */
typedef void broker_handler(struct broker_shard *self, struct ot_request *request);

broker_handler broker_handle_api_versions;
broker_handler broker_handle_metadata;
broker_handler broker_handle_produce;
broker_handler broker_handle_fetch;

/* Decodes the body into the request's arena; on failure the connection is closed with a report, as
 * Kafka does, and NULL is given. @owner the request's shard */
void *broker_decode(struct ot_request *request);

/* Memory of the request that cannot be had closes the connection; NULL then. */
void *broker_alloc(struct ot_request *request, size_t count, size_t bytes);

/* Where a partition lives. */
struct broker_place {
	const struct ot_image_topic *topic;
	uint32_t shard_index;
	ot_err err; /* OT_OK, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID */
};

/* Finds a partition by topic id when `topic_id` is not NULL, else by name. */
struct broker_place broker_find(struct broker_shard *self, struct ot_str name,
    const struct ot_uuid *topic_id, int32_t index);

#endif
