/* From a request to its handler. The table is what this broker serves; ApiVersions lists it. */
#include "broker/broker_int.h"
#include "broker/channel_int.h"

#include <stdio.h>

static broker_handler *const broker_handlers[] = {
	[0] = broker_handle_produce,
	[1] = broker_handle_fetch,
	[2] = broker_handle_list_offsets,
	[3] = broker_handle_metadata,
	[8] = broker_handle_offset_commit,
	[9] = broker_handle_offset_fetch,
	[10] = broker_handle_find_coordinator,
	[11] = broker_handle_join_group,
	[12] = broker_handle_heartbeat,
	[13] = broker_handle_leave_group,
	[14] = broker_handle_sync_group,
	[15] = broker_handle_describe_groups,
	[16] = broker_handle_list_groups,
	[18] = broker_handle_api_versions,
	[19] = broker_handle_create_topics,
	[20] = broker_handle_delete_topics,
	[21] = broker_handle_delete_records,
	[22] = broker_handle_init_producer_id,
	[23] = broker_handle_offset_for_leader_epoch,
	[32] = broker_handle_describe_configs,
	[33] = broker_handle_alter_configs,
	[35] = broker_handle_describe_log_dirs,
	[37] = broker_handle_create_partitions,
	[42] = broker_handle_delete_groups,
	[43] = broker_handle_elect_leaders,
	[44] = broker_handle_incremental_alter_configs,
	[45] = broker_handle_alter_partition_reassignments,
	[46] = broker_handle_list_partition_reassignments,
	[47] = broker_handle_offset_delete,
	[55] = broker_handle_describe_quorum,
	[56] = broker_handle_alter_partition,
	[60] = broker_handle_describe_cluster,
	[62] = broker_handle_broker_registration,
	[63] = broker_handle_broker_heartbeat,
	[64] = broker_handle_unregister_broker,
	[67] = broker_handle_allocate_producer_ids,
	[70] = broker_handle_controller_registration,
	[73] = broker_handle_assign_replicas_to_dirs,
	[75] = broker_handle_describe_topic_partitions,
	[80] = broker_handle_add_raft_voter,
	[81] = broker_handle_remove_raft_voter,
};

static broker_handler *
find_handler(int16_t key)
{
	if (key == OT_API_OTTLA_JOIN)
		return broker_handle_ottla_join;
	if (key < 0 || (size_t)key >= OT_ARRAY_COUNT(broker_handlers))
		return NULL;
	return broker_handlers[key];
}

/* Clients are served at every listener, controllers' too, as they were where ZooKeeper answered;
 * brokers ask the controller at its own alone. */
bool
broker_serves(const struct ot_request *request, const struct ot_api *api)
{
	const struct broker_listener *listener = request->listener;
	bool is_for_clients = (api->listeners & OT_API_LISTENER_BROKER) != 0;
	return find_handler(api->key) != NULL && (is_for_clients || listener->conf->is_controller);
}

/* Kafka closes the connection of a client that sends what was not advertised; only ApiVersions
 * itself is answered, so that a newer client can find out (KIP-511). */
void
broker_route(void *arg, struct ot_request *request)
{
	struct broker_shard *self = arg;
	int16_t key = request->header.request_api_key;
	int16_t version = request->header.request_api_version;
	broker_handler *handler = find_handler(key);
	bool is_accepted =
	    broker_serves(request, request->api) && ot_api_accepts(request->api, version, false);
	if (is_accepted || key == BROKER_API_VERSIONS) {
		handler(self, request);
		return;
	}
	char why[96];
	snprintf(why, sizeof(why), "%s version %d is not supported here", request->api->name,
	    version);
	ot_request_abort(request, why);
}

void *
broker_decode(struct ot_request *request)
{
	const struct ot_msg *type = request->api->request;
	void *body = ot_arena_alloc(&request->arena, type->body->bytes);
	struct ot_reader in = ot_reader_of(request->body.data, (size_t)request->body.len);
	ot_err err = body == NULL ? OT_ERR_NO_MEMORY
	                          : ot_msg_decode(type, request->header.request_api_version, &in,
					&request->arena, body);
	ot_request_account(request);
	if (err == OT_OK)
		return body;
	char why[96];
	snprintf(why, sizeof(why), "a %s request of version %d cannot be read: %s",
	    request->api->name, request->header.request_api_version, ot_err_name(err));
	ot_request_abort(request, why);
	return NULL;
}

void *
broker_alloc(struct ot_request *request, size_t count, size_t bytes)
{
	void *memory = ot_arena_array(&request->arena, count, bytes);
	if (memory == NULL)
		ot_request_abort(request, "no memory for a request");
	return memory;
}

struct ot_str
broker_text(struct ot_request *request, const char *text)
{
	struct ot_str str = ot_str_from(text);
	char *copy = ot_arena_strndup(&request->arena, str.data, (size_t)str.len);
	return copy != NULL ? (struct ot_str){ copy, str.len } : OT_STR_NULL;
}

/* ---- the controller's requests ------------------------------------------------------------- */

static void
answer_forwarded(struct broker_call *call)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	struct ot_request *request = forward->request;
	ot_request_answer(request, request->api->response, forward->response);
}

/* It was forwarded to this process as the active controller: if it is none, who sent it looks for
 * the one that is. */
static bool
is_from_peer(const struct ot_request *request)
{
	const struct broker_listener *listener = request->listener;
	return listener->conf->is_controller &&
	       ot_str_is(request->header.client_id, BROKER_CHANNEL_CLIENT);
}

void
broker_forward(struct broker_shard *self, struct ot_request *request,
    void (*begin)(struct broker_call *call, struct ot_controller *controller))
{
	void *body = broker_decode(request);
	struct broker_forward *forward =
	    body != NULL ? broker_alloc(request, 1, sizeof(*forward)) : NULL;
	if (forward == NULL)
		return;
	forward->request = request;
	forward->body = body;
	forward->response = broker_alloc(request, 1, request->api->response->body->bytes);
	if (forward->response == NULL)
		return;
	forward->call.begin = begin;
	forward->call.done = answer_forwarded;
	forward->call.arena = &request->arena;
	forward->call.api = request->api;
	forward->call.version = request->header.request_api_version;
	forward->call.body = body;
	forward->call.response = forward->response;
	forward->call.timeout_ms =
	    ot_settings_number(self->broker->settings, OT_BROKER_REQUEST_TIMEOUT_MS);
	forward->call.is_from_peer = is_from_peer(request);
	/* Another broker waits for its own shards, if for any. */
	forward->call.is_prompt = (request->api->listeners & OT_API_LISTENER_BROKER) == 0;
	broker_control_post(self->broker, self->shard, &forward->call);
}
