/* The controller: the state machine that decides what is written to the metadata log.
 *
 * An operation validates a request against the newest image, those records included that are not
 * committed yet, makes records of it, applies them to that image and appends them as one batch: so
 * operations follow each other without waiting for a disk. When its batch is committed, the image
 * is published and the operation completes. Should the log refuse a batch, everything that was
 * built on it is thrown away, and those operations end with NOT_CONTROLLER, which clients try
 * again.
 *
 * Requests and responses are the protocol's (wire/msg_*.h); what Kafka's controller checks is
 * checked in its order, with its error codes and messages. Who may call an operation is the
 * business of the rooms above.
 *
 * Images may go to any thread; everything else belongs to the control thread: unless it says
 * otherwise,
 * @owner control   @blocks never
 */
#ifndef OT_CLUSTER_CONTROLLER_H
#define OT_CLUSTER_CONTROLLER_H

#include "cluster/image.h"
#include "cluster/metalog.h"

struct ot_controller;

/* ---- life ----------------------------------------------------------------------------------- */

struct ot_controller_events {
	/* A newer image: of each committed batch, or of several at once while the log is read at
	 * the start. Take a reference to keep it. The previous image is alive during the call. */
	void (*on_image)(void *arg, struct ot_image *image, struct ot_image *previous);

	/* Whether this process is the active controller. True comes after the first image that has
	 * all that was committed; operations are taken from then on. */
	void (*on_active)(void *arg, bool is_active);

	/* ot_controller_leader() says somebody else. May be NULL. */
	void (*on_leader)(void *arg);

	/* The metadata log failed. What was published stays valid; operations end with an error. */
	void (*on_failure)(void *arg, ot_err err, const char *why);
};

struct ot_controller_args {
	struct ot_io *io;
	struct ot_metalog *log;       /* taken over: ot_controller_close() closes it */
	struct ot_settings *settings; /* of the property file; a reference is taken */
	const char *cluster_id;       /* copied */
	int32_t node_id;
	const struct ot_controller_events *events; /* must outlive the controller */
	void *arg;
};

/* @owner control   @blocks never; so all below */
struct ot_controller *ot_controller_create(const struct ot_controller_args *args) OT_MUST_USE;

/* Starts the metadata log; images and on_active follow. */
void ot_controller_start(struct ot_controller *controller);

/* Takes no more operations, ends those under way (OT_ERR_CLOSED or their result), closes the log,
 * calls `on_closed`, and is gone. */
void ot_controller_close(struct ot_controller *controller, void (*on_closed)(void *arg), void *arg);

/* The newest committed image; borrowed until the loop's next turn. Never NULL. */
struct ot_image *ot_controller_image(const struct ot_controller *controller);

bool ot_controller_is_active(const struct ot_controller *controller);

/* The active controller as the metadata log names it. */
struct ot_controller_leader {
	int32_t id; /* -1: nobody */
	int32_t epoch;
	const char
	    *host; /* of its control listener; NULL: not known. Borrowed until the next turn */
	uint16_t port;
};

/* Who is the active controller, be it this process or another. */
struct ot_controller_leader ot_controller_leader(const struct ot_controller *controller);

/* ---- operations ----------------------------------------------------------------------------- */

/* An operation under way: the caller's memory until on_done. Request and response must live as
 * long; the request's texts may be views of a frame. Texts and arrays of the response are the
 * arena's, or views of the request. */
struct ot_controller_call {
	/* To be set by the caller. */
	struct ot_arena *arena;
	/* The response is filled. `err` is OT_OK unless the whole call failed: NOT_CONTROLLER,
	 * OT_ERR_NO_MEMORY, OT_ERR_CLOSED, OT_ERR_NO_SPACE, OT_ERR_IO; then the response has
	 * nothing but that error, in each place where the protocol has one. Never called from
	 * inside the call that began the operation. */
	void (*on_done)(struct ot_controller_call *call, ot_err err);

	/* The controller's. */
	struct ot_list link;
	int64_t wait_offset; /* of the last record that must be committed */
	ot_err err;
	void (*fail)(struct ot_controller_call *call, ot_err err);
	void *response;
};

struct ot_create_topics_request;
struct ot_create_topics_response;
struct ot_delete_topics_request;
struct ot_delete_topics_response;
struct ot_create_partitions_request;
struct ot_create_partitions_response;
struct ot_incremental_alter_configs_request;
struct ot_incremental_alter_configs_response;
struct ot_alter_configs_request;
struct ot_alter_configs_response;
struct ot_allocate_producer_ids_request;
struct ot_allocate_producer_ids_response;
struct ot_broker_registration_request;
struct ot_broker_registration_response;
struct ot_broker_heartbeat_request;
struct ot_broker_heartbeat_response;
struct ot_unregister_broker_request;
struct ot_unregister_broker_response;
struct ot_update_features_request;
struct ot_update_features_response;
struct ot_alter_partition_request;
struct ot_alter_partition_response;
struct ot_elect_leaders_request;
struct ot_elect_leaders_response;
struct ot_alter_partition_reassignments_request;
struct ot_alter_partition_reassignments_response;
struct ot_list_partition_reassignments_request;
struct ot_list_partition_reassignments_response;
struct ot_assign_replicas_to_dirs_request;
struct ot_assign_replicas_to_dirs_response;
struct ot_controller_registration_request;
struct ot_controller_registration_response;
struct ot_describe_quorum_request;
struct ot_describe_quorum_response;

/* Creates topics; each stands or falls alone. The response has all of them, in the order of the
 * request, with ids, counts and settings for the versions that have these. */
void ot_controller_create_topics(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_create_topics_request *request, struct ot_create_topics_response *ret_response);

/* Deletes topics by id or name; `version` of the request says where the names are. */
void ot_controller_delete_topics(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_delete_topics_request *request, int16_t version,
    struct ot_delete_topics_response *ret_response);

void ot_controller_create_partitions(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_create_partitions_request *request,
    struct ot_create_partitions_response *ret_response);

void ot_controller_incremental_alter_configs(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_incremental_alter_configs_request *request,
    struct ot_incremental_alter_configs_response *ret_response);

void ot_controller_alter_configs(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_alter_configs_request *request, struct ot_alter_configs_response *ret_response);

/* The next block of 1,000 producer ids (KIP-730). */
void ot_controller_allocate_producer_ids(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_allocate_producer_ids_request *request,
    struct ot_allocate_producer_ids_response *ret_response);

/* Registers a broker, fenced. The response has its epoch, which it names from then on.
 * DUPLICATE_BROKER_REGISTRATION while another process of that id sends heartbeats. */
void ot_controller_register_broker(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_broker_registration_request *request,
    struct ot_broker_registration_response *ret_response);

/* A sign of life: unfences a broker that has caught up, fences one that wants it, and lets one that
 * wants to stop go once others lead in its place. A broker that is silent for
 * broker.session.timeout.ms is fenced. */
void ot_controller_heartbeat(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_broker_heartbeat_request *request,
    struct ot_broker_heartbeat_response *ret_response);

void ot_controller_unregister_broker(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_unregister_broker_request *request,
    struct ot_unregister_broker_response *ret_response);

/* A leader changes the ISR of its partitions, each stands or falls alone; `version` of the request
 * says whether topics have names or ids, and brokers epochs. */
void ot_controller_alter_partition(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_alter_partition_request *request,
    int16_t version, struct ot_alter_partition_response *ret_response);

/* Elects leaders of the named partitions, or of all: the preferred ones, or, where there is none,
 * uncleanly. */
void ot_controller_elect_leaders(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_elect_leaders_request *request, struct ot_elect_leaders_response *ret_response);

/* Begins and cancels reassignments; each partition stands or falls alone. */
void ot_controller_alter_partition_reassignments(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_alter_partition_reassignments_request *request,
    struct ot_alter_partition_reassignments_response *ret_response);

/* Those under way, of the named partitions or of all. */
void ot_controller_list_partition_reassignments(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_list_partition_reassignments_request *request,
    struct ot_list_partition_reassignments_response *ret_response);

/* A broker says in which directories its replicas are. */
void ot_controller_assign_replicas_to_dirs(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_assign_replicas_to_dirs_request *request,
    struct ot_assign_replicas_to_dirs_response *ret_response);

/* Registers a controller, in the place of an earlier registration of its id. */
void ot_controller_register_controller(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_controller_registration_request *request,
    struct ot_controller_registration_response *ret_response);

/* What the active controller knows of the metadata log's readers: the controllers that registered
 * as voters (this one always), brokers as observers with the offsets of their heartbeats. Only
 * __cluster_metadata-0 is described; the answer to another partition is an error. */
void ot_controller_describe_quorum(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_describe_quorum_request *request,
    struct ot_describe_quorum_response *ret_response);

/* Sets finalized feature levels; `version` decides between AllowDowngrade and UpgradeType. */
void ot_controller_update_features(struct ot_controller *controller,
    struct ot_controller_call *call, const struct ot_update_features_request *request,
    int16_t version, struct ot_update_features_response *ret_response);

/* ---- automatic creation --------------------------------------------------------------------- */

/* Fills one topic of a CreateTopics request as a broker creates it by itself: internal topics with
 * the partitions, replicas and settings that the image's settings have for them, others with the
 * defaults. Where nobody set the number of an internal topic's replicas, it is not more than there
 * are brokers, so that a single broker serves groups without a configuration. Texts are static, the
 * arena's, or `name`. False without memory. What may be created automatically is the caller's
 * business. @owner the arena's   @blocks never */
struct ot_create_topics_request_topic;
OT_MUST_USE bool ot_auto_topic_fill(const struct ot_image *image, struct ot_str name,
    struct ot_arena *arena, struct ot_create_topics_request_topic *ret_topic);

/* Kafka's rule for names, 1 to 249 of [a-zA-Z0-9._-] and neither "." nor "..".
 * INVALID_TOPIC_EXCEPTION with `why` in Kafka's words. @owner any thread   @blocks never */
OT_MUST_USE ot_err ot_topic_name_check(struct ot_str name, struct ot_why *why);

/* Topics of Kafka's own: __consumer_offsets, __transaction_state, __share_group_state.
 * @owner any thread */
bool ot_topic_name_is_internal(struct ot_str name);

#endif
