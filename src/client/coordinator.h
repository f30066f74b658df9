/* Which broker coordinates a group or a transactional id. */
#ifndef OT_CLIENT_COORDINATOR_H
#define OT_CLIENT_COORDINATOR_H

#include "client/client.h"

/* The numbers are those of the protocol (FindCoordinator, key type). */
enum ot_coordinator_kind {
	OT_COORDINATOR_GROUP = 0,
	OT_COORDINATOR_TRANSACTION = 1,
	OT_COORDINATOR_SHARE = 2,
};

/* Finds the node; asks again while the coordinator's partition has no leader yet, as after the
 * first use of a cluster, for as long as a call may take. Errors of ot_client_call(), and what the
 * broker says. @owner the client's thread   @blocks until found or the timeout */
OT_MUST_USE ot_err ot_client_find_coordinator(struct ot_client *client,
    enum ot_coordinator_kind kind, struct ot_str key, int32_t *ret_node, struct ot_why *why);

#endif
