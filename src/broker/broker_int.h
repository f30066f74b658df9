/* What the files of this folder share: the broker, its shards, and small helpers of handlers. */
#ifndef OT_BROKER_BROKER_INT_H
#define OT_BROKER_BROKER_INT_H

#include "broker/control_int.h"
#include "cluster/image.h"
#include "config/settings.h"
#include "replica/dirs.h"
#include "replica/fetchers.h"
#include "replica/replicas.h"
#include "shard/scatter.h"
#include "wire/conn.h"

struct broker;
struct broker_assigner;
struct broker_isr;
struct fetch_sessions;
struct ot_throttle;
struct broker_groups;
struct broker_producer_ids;
struct ot_api_versions_response;

enum { BROKER_API_VERSIONS = 18, BROKER_API_KEY_MAX = 93 };

/* One per shard; ot_shard.user points here. */
struct broker_shard {
	struct broker *broker;                    /* [const] */
	struct ot_shard *shard;                   /* [const] */
	struct ot_conn_host conns;                /* [owner] */
	struct ot_image *image;                   /* [owner] a reference to the newest */
	struct ot_codec_ctx *codecs;              /* [owner] */
	struct ot_replicas *replicas;             /* [owner] */
	struct ot_fetchers *fetchers;             /* [owner] */
	struct fetch_sessions *fetch_sessions;    /* [owner] */
	struct broker_groups *groups;             /* [owner] */
	struct broker_producer_ids *producer_ids; /* [owner] */
	bool is_closing;                          /* [owner] */
};

/* Where a connection came in. */
struct broker_listener {
	struct broker *broker;               /* [const] */
	const struct ot_listener_conf *conf; /* [const] */
	struct ot_listener *listener;        /* [control] */
	uint32_t conn_count;                 /* [control] */
	bool is_full;                        /* [control] accepts no more until one has closed */
	uint16_t port;                       /* [const] what is bound */
	char advertised_host[256];           /* [const] */
};

struct broker {
	struct ot_settings *settings;          /* [const] as started */
	struct ot_shard_set *set;              /* [const] */
	struct broker_shard *shards;           /* [const] set->count of them */
	struct broker_listener *listeners;     /* [const] */
	size_t listener_count;                 /* [const] */
	struct broker_control *control;        /* [const] */
	struct ot_dirs *dirs;                  /* [const] */
	struct broker_isr *isr;                /* [const] see isr_int.h */
	struct broker_assigner *assigner;      /* [const] see assign_int.h */
	struct ot_throttle *leader_throttle;   /* [const] bytes to throttled followers */
	struct ot_throttle *follower_throttle; /* [const] bytes from leaders to throttled ones */
	int32_t node_id;                       /* [const] */
	struct broker_life *life;              /* [const] see life_int.h */
};

static inline struct broker_shard *
broker_shard_of(const struct ot_request *request)
{
	return request->host->handler_arg;
}

/* ---- handlers (api_*.c) -------------------------------------------------------------------- */

/* A handler takes the request over and ends it once. @owner the request's shard   @blocks never */
typedef void broker_handler(struct broker_shard *self, struct ot_request *request);

/* @owner the request's shard   @blocks never */
void broker_handle_allocate_producer_ids(struct broker_shard *self, struct ot_request *request);
void broker_handle_add_raft_voter(struct broker_shard *self, struct ot_request *request);
void broker_handle_alter_configs(struct broker_shard *self, struct ot_request *request);
void broker_handle_alter_partition(struct broker_shard *self, struct ot_request *request);
void broker_handle_alter_partition_reassignments(struct broker_shard *self,
    struct ot_request *request);
void broker_handle_alter_replica_log_dirs(struct broker_shard *self, struct ot_request *request);
void broker_handle_api_versions(struct broker_shard *self, struct ot_request *request);
void broker_handle_assign_replicas_to_dirs(struct broker_shard *self, struct ot_request *request);
void broker_handle_broker_heartbeat(struct broker_shard *self, struct ot_request *request);
void broker_handle_broker_registration(struct broker_shard *self, struct ot_request *request);
void broker_handle_controller_registration(struct broker_shard *self, struct ot_request *request);
void broker_handle_create_partitions(struct broker_shard *self, struct ot_request *request);
void broker_handle_create_topics(struct broker_shard *self, struct ot_request *request);
void broker_handle_delete_groups(struct broker_shard *self, struct ot_request *request);
void broker_handle_delete_records(struct broker_shard *self, struct ot_request *request);
void broker_handle_delete_topics(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_cluster(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_configs(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_groups(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_log_dirs(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_quorum(struct broker_shard *self, struct ot_request *request);
void broker_handle_describe_topic_partitions(struct broker_shard *self, struct ot_request *request);
void broker_handle_elect_leaders(struct broker_shard *self, struct ot_request *request);
void broker_handle_fetch(struct broker_shard *self, struct ot_request *request);
void broker_handle_find_coordinator(struct broker_shard *self, struct ot_request *request);
void broker_handle_heartbeat(struct broker_shard *self, struct ot_request *request);
void broker_handle_incremental_alter_configs(struct broker_shard *self, struct ot_request *request);
void broker_handle_init_producer_id(struct broker_shard *self, struct ot_request *request);
void broker_handle_join_group(struct broker_shard *self, struct ot_request *request);
void broker_handle_leave_group(struct broker_shard *self, struct ot_request *request);
void broker_handle_list_groups(struct broker_shard *self, struct ot_request *request);
void broker_handle_list_offsets(struct broker_shard *self, struct ot_request *request);
void broker_handle_list_partition_reassignments(struct broker_shard *self,
    struct ot_request *request);
void broker_handle_metadata(struct broker_shard *self, struct ot_request *request);
void broker_handle_offset_commit(struct broker_shard *self, struct ot_request *request);
void broker_handle_offset_delete(struct broker_shard *self, struct ot_request *request);
void broker_handle_offset_fetch(struct broker_shard *self, struct ot_request *request);
void broker_handle_offset_for_leader_epoch(struct broker_shard *self, struct ot_request *request);
void broker_handle_ottla_join(struct broker_shard *self, struct ot_request *request);
void broker_handle_produce(struct broker_shard *self, struct ot_request *request);
void broker_handle_remove_raft_voter(struct broker_shard *self, struct ot_request *request);
void broker_handle_sync_group(struct broker_shard *self, struct ot_request *request);
void broker_handle_unregister_broker(struct broker_shard *self, struct ot_request *request);

/* ---- routing (router.c) -------------------------------------------------------------------- */

/* The connections' on_request; `arg` is the broker_shard. @owner the request's shard */
void broker_route(void *arg, struct ot_request *request);

/* Whether the API is served at the listener that the request came in by. @owner any thread */
bool broker_serves(const struct ot_request *request, const struct ot_api *api);

/* Decodes the body into the request's arena; on failure the connection is closed with a report, as
 * Kafka does, and NULL is given. @owner the request's shard */
void *broker_decode(struct ot_request *request);

/* Zeroed memory of the request; when there is none the connection is closed, and NULL is given.
 * @owner the request's shard */
void *broker_alloc(struct ot_request *request, size_t count, size_t bytes);

/* A copy of the text in the request's arena; null without memory. @owner the request's shard */
struct ot_str broker_text(struct ot_request *request, const char *text);

/* A request that the controller answers with one operation. */
struct broker_forward {
	struct broker_call call;
	struct ot_request *request;
	const void *body; /* of the request's API */
	void *response;   /* the same */
	void *op;         /* the handler's */
};

/* Decodes, lets `begin` start the operation on the control thread, and answers with what it filled
 * in. @owner the request's shard */
void broker_forward(struct broker_shard *self, struct ot_request *request,
    void (*begin)(struct broker_call *call, struct ot_controller *controller));

/* ---- finding things (find.c) --------------------------------------------------------------- */

/* Where a partition lives. */
struct broker_place {
	const struct ot_topic_image *topic; /* the image's: for this turn only */
	uint32_t shard_index;
	ot_err err; /* OT_OK, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID */
};

/* Finds a partition by topic id when `topic_id` is not NULL, else by name. @owner self's shard */
struct broker_place broker_find(struct broker_shard *self, struct ot_str name,
    const struct ot_uuid *topic_id, int32_t index);

/* The partition, if this shard owns it and has it. @owner the partition's shard */
struct ot_part *broker_part(const struct ot_uuid *topic_id, int32_t index);

/* Who leads a partition, for answers that say so (KIP-951). */
struct broker_leader {
	int32_t id;                              /* -1: nobody, or the partition is not known */
	int32_t epoch;                           /* -1: not known */
	const struct ot_broker_image *broker;    /* the image's: for this turn only, as the next */
	const struct ot_endpoint_image *address; /* that the client can use; NULL: none */
};

/* Says what self's image knows; `broker` is NULL whenever `address` is. @owner self's shard */
struct broker_leader broker_find_leader(struct broker_shard *self, const struct ot_request *request,
    const struct ot_uuid *topic_id, int32_t index);

/* The name of the listener that the request came in by. @owner the request's shard */
struct ot_str broker_listener_name(const struct ot_request *request);

/* The address of a node that the request's client can use; NULL when there is none, or the node is
 * away. @owner the request's shard */
const struct ot_endpoint_image *broker_endpoint(struct broker_shard *self,
    const struct ot_request *request, int32_t node);

/* Fills the features of an ApiVersions response. OT_ERR_NO_MEMORY. @owner the request's shard */
OT_MUST_USE ot_err broker_fill_features(struct broker_shard *self, struct ot_request *request,
    struct ot_api_versions_response *response);

/* ---- the closest replica (closest.c) ------------------------------------------------------- */

/* The replica from which a consumer in `rack` should read a partition that is led here, as Kafka's
 * RackAwareReplicaSelector chooses it (KIP-392): of the in-sync replicas in that rack that have
 * `offset` the one that is furthest. -1: the leader, since it is in the rack too, or no other is.
 * @owner the partition's shard   @blocks never */
int32_t broker_closest_replica(struct broker_shard *self, const struct ot_request *request,
    struct ot_part *part, struct ot_str rack, int64_t offset);

/* ---- topics that are created on demand (api_topics.c) -------------------------------------- */

struct broker_create_topics {
	const struct ot_str *names;
	int32_t count;
	void (*done)(struct broker_create_topics *create); /* whether they exist now or not */
};

/* Creates topics as the broker does by itself, and calls `done` when all shards know them. Without
 * memory the request is aborted instead. @owner the request's shard */
void broker_create_topics(struct broker_shard *self, struct ot_request *request,
    struct broker_create_topics *wanted);

/* ---- producer ids (api_producer_id.c) ------------------------------------------------------ */

/* @owner self's shard */
struct broker_producer_ids *broker_producer_ids_create(struct broker_shard *self);
void broker_producer_ids_destroy(struct broker_producer_ids *ids);

/* ---- images (images.c) --------------------------------------------------------------------- */

/* Takes over a reference to a newer image and brings the shard into line with it; `done` is called
 * when the partitions that it brought are open. @owner self's shard */
void broker_shard_adopt(struct broker_shard *self, struct ot_image *image, void (*done)(void *arg),
    void *arg);

#endif
