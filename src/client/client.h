/* A blocking client for administration: see README.md.
 * @owner the thread that opened it   @blocks until the answer or the timeout */
#ifndef OT_CLIENT_CLIENT_H
#define OT_CLIENT_CLIENT_H

#include "base/arena.h"
#include "base/text.h"
#include "wire/api.h"

struct ot_client;

enum { OT_NODE_ANY = -1 }; /* whichever broker answers */

struct ot_client_conf {
	const char *bootstrap; /* "host:port,host:port"; a port that is missing is 9092 */
	const char *client_id;
	int64_t timeout_ms; /* of connecting, and of each call */
};

/* Connects to the first of the bootstrap servers that answers ApiVersions.
 * OT_ERR_INVALID_CONFIG (the list), OT_ERR_CLOSED, OT_ERR_REQUEST_TIMED_OUT.
 * @owner the calling thread, for all functions   @blocks until connected */
OT_MUST_USE ot_err ot_client_open(const struct ot_client_conf *conf, struct ot_client **ret_client,
    struct ot_why *why);

/* Accepts NULL. */
void ot_client_close(struct ot_client *client);

/* Makes sure that there is a connection to a node: what a call does by itself. Errors as above.
 * @blocks until connected */
OT_MUST_USE ot_err ot_client_connect(struct ot_client *client, int32_t node, struct ot_why *why);

/* Sends `request` of `api` to a node (OT_NODE_ANY, or an id from the cluster's metadata) in the
 * highest version that both sides have, and decodes the answer into `ret_response`, whose views and
 * arrays live in `arena`. OT_ERR_UNSUPPORTED_VERSION when the broker does not have the API at all,
 * OT_ERR_BROKER_NOT_AVAILABLE for an unknown node, and as above. @blocks until answered */
OT_MUST_USE ot_err ot_client_call(struct ot_client *client, int32_t node, const struct ot_api *api,
    const void *request, struct ot_arena *arena, void *ret_response, struct ot_why *why);

/* The same in at most `version_max`. */
OT_MUST_USE ot_err ot_client_call_version(struct ot_client *client, int32_t node,
    const struct ot_api *api, int16_t version_max, const void *request, struct ot_arena *arena,
    void *ret_response, struct ot_why *why);

/* What the client was opened with. */
int64_t ot_client_timeout_ms(const struct ot_client *client);

/* Lets time pass before something is tried again. @blocks for that long */
void ot_client_pause(struct ot_client *client, int64_t pause_ms);

/* The version that ot_client_call() would use, or -1. @blocks until the node is connected */
int16_t ot_client_version(struct ot_client *client, int32_t node, const struct ot_api *api);

/* What the node advertises for an API; min > max when it has none. @blocks as above */
struct ot_versions ot_client_advertised(struct ot_client *client, int32_t node, int16_t api_key);

/* Finds a node's address in the cluster's metadata, asking anew when it is not known; what
 * ot_client_call() does by itself. */
OT_MUST_USE ot_err ot_client_learn_nodes(struct ot_client *client, struct ot_why *why);

struct ot_client_node {
	int32_t id;
	char host[256];
	uint16_t port;
	char rack[64];
};

/* The brokers by the last metadata; count 0 before ot_client_learn_nodes(). */
const struct ot_client_node *ot_client_nodes(const struct ot_client *client, size_t *ret_count);
/* One of them; NULL for an id that is not known. */
const struct ot_client_node *ot_client_find_node(const struct ot_client *client, int32_t id);

int32_t ot_client_controller(const struct ot_client *client);

#endif
