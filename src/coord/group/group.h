/* Consumer groups: who is a member, in which generation, and what was committed.
 *
 * One `struct ot_groups` is the coordinator's machine (coord/coord.h) on one partition of
 * __consumer_offsets: it holds the groups whose ids hash to that partition. Classic groups are
 * served here, with eager, cooperative and any other protocol alike, for the coordinator does not
 * look into what members tell each other, and simple groups, which only store offsets.
 *
 * A handler takes a call, the decoded request and the response to fill, and answers by
 * call->on_done, once: at the end of the handler when there is nothing to wait for, later otherwise
 * (a join waits for the other members, a commit for the high watermark). Requests are taken in any
 * state of the coordinator; when it is not active the answer says so in the way that the API has.
 *
 * Everything belongs to the shard of the coordinator. A request that came in on another shard
 * travels there as a message, arena and all.
 * @owner the coordinator's shard
 */
#ifndef OT_COORD_GROUP_GROUP_H
#define OT_COORD_GROUP_GROUP_H

#include "coord/coord.h"
#include "wire/msg_delete_groups.h"
#include "wire/msg_describe_groups.h"
#include "wire/msg_heartbeat.h"
#include "wire/msg_join_group.h"
#include "wire/msg_leave_group.h"
#include "wire/msg_list_groups.h"
#include "wire/msg_offset_commit.h"
#include "wire/msg_offset_delete.h"
#include "wire/msg_offset_fetch.h"
#include "wire/msg_sync_group.h"

struct ot_groups;

/* ---- which partition ----------------------------------------------------------------------- */

/* The partition of __consumer_offsets that a group belongs to: the hash of a Java string, modulo.
 * Bytes that are not UTF-8 count as U+FFFD, as Java reads them. @owner any thread */
int32_t ot_group_partition(struct ot_str group_id, int32_t partition_count);

/* ---- a partition's groups ------------------------------------------------------------------ */

/* Named after the settings that fill them. */
struct ot_group_options {
	int32_t session_timeout_ms_min; /* group.min.session.timeout.ms */
	int32_t session_timeout_ms_max; /* group.max.session.timeout.ms */
	int32_t rebalance_delay_ms;     /* group.initial.rebalance.delay.ms */
	int32_t member_count_max;       /* group.max.size */
	int32_t metadata_length_max;    /* offset.metadata.max.bytes, in UTF-16 units */
	int64_t retention_ms;           /* offsets.retention.minutes */
	int64_t retention_check_ms;     /* offsets.retention.check.interval.ms */
	size_t bytes_max; /* of memory for groups of this partition; 0: no bound. Beyond
	                   * it new members and new offsets get COORDINATOR_NOT_AVAILABLE */
};

#define OT_GROUP_OPTIONS_DEFAULT                              \
	((struct ot_group_options){                           \
	    .session_timeout_ms_min = 6000,                   \
	    .session_timeout_ms_max = 30 * 60 * 1000,         \
	    .rebalance_delay_ms = 3000,                       \
	    .member_count_max = INT32_MAX,                    \
	    .metadata_length_max = 4096,                      \
	    .retention_ms = INT64_C(7) * 24 * 60 * 60 * 1000, \
	    .retention_check_ms = 10 * 60 * 1000,             \
	})

/* The machine, to be given to ot_coord_create() before anything else is called.
 * @owner the shard of `io`   @blocks never */
struct ot_groups *ot_groups_create(struct ot_io *io,
    const struct ot_group_options *options) OT_MUST_USE;

/* After the coordinator was destroyed. Accepts NULL. @owner shard */
void ot_groups_destroy(struct ot_groups *groups);

struct ot_coord_machine *ot_groups_machine(struct ot_groups *groups);

/* Holds for what begins from now on. @owner shard */
void ot_groups_set_options(struct ot_groups *groups, const struct ot_group_options *options);

struct ot_groups_stats {
	uint32_t group_count;
	uint32_t member_count;
	uint32_t pending_member_count; /* got an id and have not joined */
	uint64_t offset_count;
	size_t bytes;             /* of memory, all together */
	uint64_t rebalance_count; /* that were completed */
	uint64_t commit_count;    /* offsets */
	uint64_t expire_count;    /* offsets */
};

/* @owner shard */
void ot_groups_get_stats(const struct ot_groups *groups, struct ot_groups_stats *ret_stats);

/* Asserts what must always hold, for tests and the simulator. @owner shard */
void ot_groups_check(const struct ot_groups *groups);

/* Appends what the log says of all groups, the same text for the same state: tests compare a live
 * state with a reloaded one. With soft state, groups at rest show the members that they have.
 * @owner shard */
void ot_groups_dump(const struct ot_groups *groups, bool with_soft, struct ot_writer *out);

/* ---- calls --------------------------------------------------------------------------------- */

/* A request on its way. The caller's memory, which lives until on_done, with the arena, the request
 * and the response. */
struct ot_group_call {
	int16_t version;
	struct ot_str client_id;   /* null when the client gave none */
	struct ot_str client_host; /* as tools show it: "/127.0.0.1" */
	struct ot_arena *arena;    /* the response's memory */
	void (*on_done)(struct ot_group_call *call);

	/* The handler's, from here on. */
	struct ot_groups *groups;
	const void *request;
	void *response;
	struct ot_list link;       /* among those that are answered and not told */
	struct ot_coord_wait wait; /* for the high watermark */
	bool is_stable_wanted;
};

/* Each fills *ret_response, also its errors, before on_done; what it points to is in the arena, in
 * the request, or static. throttle_time_ms is the caller's. @owner shard   @blocks never */

void ot_group_join(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_join_group_request *request, struct ot_join_group_response *ret_response);

void ot_group_sync(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_sync_group_request *request, struct ot_sync_group_response *ret_response);

void ot_group_heartbeat(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_heartbeat_request *request, struct ot_heartbeat_response *ret_response);

void ot_group_leave(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_leave_group_request *request, struct ot_leave_group_response *ret_response);

/* Stores offsets of the topics by name; the caller has looked up the names of topic ids (version
 * 10), and has taken out the partitions that do not exist or may not be read. The response has the
 * topics and partitions of the request in its order, with name and id. */
void ot_group_offset_commit(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_commit_request *request, struct ot_offset_commit_response *ret_response);

/* Reads the offsets of one group, for any version (see ot_offset_fetch_split()). All topics when
 * request->topics_count is -1; they come without ids then. A topic of the request keeps its id. */
void ot_group_offset_fetch(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_fetch_request_group *request, bool is_stable_wanted,
    struct ot_offset_fetch_response_group *ret_response);

void ot_group_offset_delete(struct ot_groups *groups, struct ot_group_call *call,
    const struct ot_offset_delete_request *request, struct ot_offset_delete_response *ret_response);

/* Deletes one of the groups of a DeleteGroups request. */
void ot_group_delete(struct ot_groups *groups, struct ot_group_call *call, struct ot_str group_id,
    struct ot_delete_groups_response_result *ret_response);

/* Describes one of the groups of a DescribeGroups request, at once. Authorized operations are the
 * caller's. @owner shard   @blocks never */
void ot_group_describe(struct ot_groups *groups, struct ot_str group_id, int16_t version,
    struct ot_arena *arena, struct ot_describe_groups_response_group *ret_response);

/* Appends the groups of this partition that pass the filters to the response, at once. On failure
 * the response is as before: OT_ERR_COORDINATOR_LOAD_IN_PROGRESS, OT_ERR_NO_MEMORY. A coordinator
 * that this broker does not have adds nothing. @owner shard   @blocks never */
OT_MUST_USE ot_err ot_group_list(struct ot_groups *groups,
    const struct ot_list_groups_request *request, struct ot_arena *arena,
    struct ot_list_groups_response *response);

/* The topics are gone: so go their offsets. @owner shard   @blocks never */
void ot_groups_topics_deleted(struct ot_groups *groups, const struct ot_str *names, int32_t count);

/* ---- OffsetFetch's two shapes -------------------------------------------------------------- */

/* The request as a list of groups: a view of it from version 8 on, one group before.
 * OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
OT_MUST_USE ot_err ot_offset_fetch_split(const struct ot_offset_fetch_request *request,
    int16_t version, struct ot_arena *arena, struct ot_offset_fetch_request_group **ret_groups,
    int32_t *ret_count);

/* The response of the groups' results, in the shape of the version: before 8 there is one group,
 * and before 2 its error stands at each partition. OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
OT_MUST_USE ot_err ot_offset_fetch_merge(const struct ot_offset_fetch_request *request,
    int16_t version, struct ot_offset_fetch_response_group *groups, int32_t count,
    struct ot_arena *arena, struct ot_offset_fetch_response *ret_response);

#endif
