/* The place of the metadata log: one process's own log, or an etcd that controllers run together.
 *
 *   LOCAL --a joiner asks--> FOUNDING --etcd answers--> SAVING --metadata.etcd--> GROWING --> ETCD
 *     ^                          |                                                  |
 *     +-------- it fails, the joiner is told why; all stays as it was --------------+
 *
 * FOUNDING starts an etcd of one member as a child process (or takes the external one that
 * etcd.endpoints names), GROWING copies the log into it (cluster/metalog_grow.h). A process that
 * joined, or was in such a cluster before, begins in ETCD.
 *
 * In ETCD each process looks at the members from time to time, by itself: it keeps their addresses
 * in memory and in its folder, and one with the controller role takes a place while there are fewer
 * members than etcd.members wants, or in the stead of one that is gone for good. A key says what an
 * operator wants of a node, which counts more:
 *
 *   PREFIX/voter/NODE     "yes": AddRaftVoter was called for it; "no DIRECTORY": RemoveRaftVoter
 *
 * All of it: @owner control   @blocks never, unless it says so
 */
#ifndef OT_BROKER_QUORUM_INT_H
#define OT_BROKER_QUORUM_INT_H

#include "broker/control_int.h"
#include "broker/join_int.h"
#include "cluster/etcd_admin.h"
#include "cluster/etcd_member.h"
#include "cluster/kv.h"
#include "wire/msg_ottla_join.h"

struct broker_quorum;

/* From what the start decided. @owner the creating thread */
struct broker_quorum *broker_quorum_create(struct broker *broker, const struct broker_plan *plan);

/* Makes the metadata log's engine; once. `arg` is the quorum. @owner the creating thread */
struct ot_metalog *broker_quorum_make_log(void *arg, struct broker *broker, struct ot_io *io);

/* Starts etcd, if this process has a member. Before the controller is started. */
void broker_quorum_start(struct broker_quorum *quorum);

/* Ends etcd in order, after the metadata log was closed; then calls back. Accepts none but one that
 * was started. */
void broker_quorum_close(struct broker_quorum *quorum, void (*on_closed)(void *arg), void *arg);

/* Accepts NULL. @owner the creating thread, when no loop runs any more */
void broker_quorum_destroy(struct broker_quorum *quorum);

/* ---- who belongs to it ------------------------------------------------------------------------
 */

/* Answers a joiner at once or later. The caller's memory until `done`. */
struct quorum_join {
	/* To be set by the caller. */
	const struct ot_ottla_join_request *request;
	struct ot_arena *arena;
	struct ot_ottla_join_response response; /* texts are the arena's */
	void (*done)(struct quorum_join *join);

	struct ot_list link; /* the quorum's */
	struct broker_quorum *quorum;
};

void broker_quorum_join(struct broker_quorum *quorum, struct quorum_join *join);

/* Somebody who waits for a list of members. */
struct quorum_lister {
	struct ot_list link;
	/* The list is there; or err, and it is as it was. */
	void (*done)(struct quorum_lister *lister, ot_err err);
};

/* Makes a node a voter, or takes its vote. The caller's memory until `done`, which may come from
 * inside the call. */
struct quorum_change {
	/* To be set by the caller. */
	bool is_removal;
	int32_t node_id;
	struct ot_uuid directory; /* of its metadata log */
	int64_t timeout_ms;       /* of an addition */
	void (*done)(struct quorum_change *change);

	/* The result: DUPLICATE_VOTER, VOTER_NOT_FOUND, INVALID_REQUEST, REQUEST_TIMED_OUT, with
	 * `why`; or OT_OK. */
	ot_err err;
	struct ot_why why;

	/* The quorum's. */
	struct ot_list link;
	struct broker_quorum *quorum;
	struct quorum_lister lister;
	struct ot_timer timer;
	struct ot_kv_txn txn;
	struct ot_etcd_admin_call call;
	ot_mono_ns deadline;
	uint64_t member_id;
	bool is_wished;
};

void broker_quorum_change(struct broker_quorum *quorum, struct quorum_change *change);

/* What DescribeQuorum asks: lists the members; then who is a voter. False: the members are not
 * nodes of ours, or there are none. */
void broker_quorum_list(struct broker_quorum *quorum, struct quorum_lister *lister);
bool broker_quorum_has_voters(const struct broker_quorum *quorum);
bool broker_quorum_voter_at(const struct broker_quorum *quorum, int32_t index, int32_t *ret_node_id,
    struct ot_uuid *ret_directory);
struct ot_uuid broker_quorum_directory(const struct broker_quorum *quorum);

#endif
