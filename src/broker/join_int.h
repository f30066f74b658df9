/* The start of a process in its cluster: whether it founds one, joins one, or was in one already.
 *
 *   the folder says       growing or etcd   it was in a cluster: it goes on where metadata.etcd
 * says local             it has a cluster of its own, of one: it goes on nothing           it
 * founds a cluster or joins one
 *
 * Who founds. Without addresses of controllers (controller.quorum.voters, .bootstrap.servers,
 * zookeeper.connect) each process is a cluster of its own. Else the first of these addresses has
 * the say: the process that listens there founds, all others ask until they are answered. With one
 * address of one machine, as zookeeper.connect=localhost:2181, that is whoever comes first; who is
 * second finds the address taken, and joins. A founder that has other addresses asks these first:
 * so one that lost its disk does not found a second cluster beside the others.
 *
 * A join writes metadata.etcd, then `metadata.engine`, then the folders are formatted with the
 * cluster's id. A crash in between is an unfinished join, or one that goes on from the file.
 */
#ifndef OT_BROKER_JOIN_INT_H
#define OT_BROKER_JOIN_INT_H

#include "cluster/etcd_place.h"
#include "cluster/metalog_grow.h"

struct broker;

/* What the start decided. */
struct broker_plan {
	bool is_made;                    /* else nothing else counts: no cluster is formed */
	struct ot_metalog_marker marker; /* which engine has the truth */
	struct ot_etcd_place *place;     /* heap; NULL where it is local */
	int32_t node_id;                 /* -1: the folder's, or the first */
};

/* Decides, and joins. The listeners are open. INVALID_CONFIG, INCONSISTENT_CLUSTER_ID,
 * DUPLICATE_BROKER_REGISTRATION and what files give, with `why`.
 * @owner the creating thread   @blocks until it is in a cluster */
OT_MUST_USE ot_err join_make_plan(struct broker *broker, struct broker_plan *ret_plan,
    struct ot_why *why);

void join_plan_fini(struct broker_plan *plan);

#endif
