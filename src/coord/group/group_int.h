/* Inside of the groups of one partition. Folder-only. See README.md for the invariants. */
#ifndef OT_COORD_GROUP_GROUP_INT_H
#define OT_COORD_GROUP_GROUP_INT_H

#include "base/alloc.h"
#include "base/map.h"
#include "base/report.h"
#include "coord/group/group.h"
#include "wire/msg_group_log.h"

/* The versions in which Kafka 3.9 and 4.x write values. */
enum {
	GROUP_METADATA_VALUE_VERSION = 3,
	GROUP_OFFSET_VALUE_VERSION = 3,
	GROUP_OFFSET_EXPIRING_VALUE_VERSION = 1, /* the only one that has an expire timestamp */
};

enum {
	/* A new member's join may wait so long: it has no id yet and cannot send heartbeats. */
	GROUP_NEW_MEMBER_JOIN_MS = 5 * 60 * 1000,
};

#define GROUP_CONSUMER_PROTOCOL_TYPE "consumer"

enum group_state {
	GROUP_EMPTY,
	GROUP_PREPARING_REBALANCE,
	GROUP_COMPLETING_REBALANCE,
	GROUP_STABLE,
	GROUP_DEAD,
	GROUP_STATE_COUNT,
};

/* A protocol name, and how many members support it. */
struct group_vote {
	UT_hash_handle hh; /* the group's, by name */
	uint32_t member_count;
	uint32_t voter_count; /* while a protocol is being selected */
	uint64_t stamp;       /* the list of protocols that counted it last */
	int32_t name_len;
	char name[];
};

/* A protocol that a member supports; its place in the list is the member's preference. */
struct group_protocol {
	struct group_vote *vote;
	struct ot_bytes metadata; /* in the list's block */
};

/* Protocols as one block of heap memory. */
struct group_protocols {
	int32_t count;
	size_t bytes; /* of the block */
	struct group_protocol items[];
};

struct group_member {
	UT_hash_handle hh;          /* the group's, by id */
	UT_hash_handle hh_instance; /* the group's, by instance id; static members only */
	struct group *group;
	struct ot_str id;
	struct ot_str instance_id; /* null: a dynamic member */
	struct ot_str client_id;
	struct ot_str client_host;
	int32_t rebalance_timeout_ms;
	int32_t session_timeout_ms;
	struct group_protocols *protocols;
	struct ot_bytes assignment;
	struct ot_group_call *join_call; /* parked, or NULL */
	struct ot_group_call *sync_call; /* parked, or NULL */
	struct ot_coord_wait replaced;   /* a static member that came back: for its record */
	bool is_new;                     /* has not had its first JoinGroup response */
	bool is_sync_pending;            /* has not sent the SyncGroup of this generation */
	struct ot_timer session_timer;
};

/* A member id that was given out, and has not come back with a join (KIP-394). */
struct group_pending {
	UT_hash_handle hh; /* the group's, by id */
	struct group *group;
	struct ot_str id;
	struct ot_timer timer;
};

/* What was committed for a partition. */
struct group_offset {
	UT_hash_handle hh; /* the topic's, by partition */
	int32_t partition;
	int32_t leader_epoch;
	int64_t offset;
	ot_wall_ms commit_timestamp;
	ot_wall_ms expire_timestamp; /* -1: as the broker's settings say */
	int64_t record_offset; /* where the record is, -1: not known, but newer than any that is */
	struct ot_str metadata;
};

struct group_topic {
	UT_hash_handle hh; /* the group's, by name */
	struct group_offset *offsets;
	int32_t name_len;
	char name[];
};

/* A topic name that members subscribe to. */
struct group_subscription {
	UT_hash_handle hh;
	int32_t name_len;
	char name[];
};

struct group {
	UT_hash_handle hh; /* the groups', by id */
	struct ot_groups *groups;
	uint32_t slot; /* in groups->slots */
	struct ot_str id;
	size_t bytes; /* of memory, all that belongs to the group */

	/* Hard state: what the log says. */
	struct ot_bytes hard;       /* the value of GroupMetadata; null: none */
	struct group_topic *topics; /* committed offsets */
	uint32_t offset_count;      /* of all topics */
	uint32_t txn_offset_count;  /* of open transactions that the log has */
	uint64_t batch_number;      /* of the last change of any of this */

	/* Soft state, built of `hard` when the group is first used after it was loaded. */
	bool is_soft;
	enum group_state state;
	enum group_state previous_state;
	ot_wall_ms state_timestamp; /* -1: not known */
	int32_t generation;
	struct ot_str protocol_type; /* null: none yet */
	struct ot_str protocol_name; /* null: none selected */
	struct group_member *leader; /* NULL: none */
	struct group_member *members;
	struct group_member *instances; /* the static ones again */
	struct group_pending *pendings;
	struct group_vote *votes;
	uint32_t awaiting_join_count;
	uint32_t sync_pending_count;
	struct group_subscription *subscriptions;
	bool is_subscription_known;

	struct ot_timer join_timer; /* the rebalance's time, or the first one's delay */
	bool is_initial_delay;
	bool is_new_member_added; /* since the delay began */
	int32_t delay_ms;
	int32_t delay_left_ms;
	struct ot_timer sync_timer;

	struct ot_coord_wait assigned; /* for the record of the assignment */
	int32_t assigned_generation;
};

/* An offset that waits for its transaction's end, in a log that is being loaded. */
struct group_txn_offset {
	struct group_txn_offset *next;
	struct group *group;
	struct ot_str topic;
	struct group_offset value;
};

struct group_txn {
	UT_hash_handle hh; /* the groups', by producer id */
	int64_t producer_id;
	struct group_txn_offset *offsets;
};

struct ot_groups {
	struct ot_coord_machine machine; /* first: it is what the runtime has */
	struct ot_io *io;                /* [const] */
	struct ot_group_options options; /* [owner] */
	struct group *by_id;             /* [owner] */

	/* The groups once more, in places that stay: a walk in steps is a number. */
	struct group **slots;     /* [owner] NULL where there is none */
	uint32_t *slots_free;     /* [owner] a stack of slot_free_count */
	uint32_t slot_count;      /* [owner] */
	uint32_t slot_free_count; /* [owner] */
	uint32_t slot_capacity;   /* [owner] */

	struct group_txn *txns;        /* [owner] */
	uint64_t removed_batch_number; /* [owner] of the last removal of a group */
	uint64_t stamp_next;           /* [owner] */
	struct ot_arena arena;         /* [owner] scratch of one decoding */

	uint32_t depth;          /* [owner] of entries; answers are told when the last is left */
	struct ot_list answered; /* [owner] calls */

	uint32_t warm_place; /* [owner] groups before it have their soft state */
	struct ot_timer warm_timer;
	uint32_t expire_place; /* [owner] */
	ot_wall_ms expire_now; /* [owner] when this walk began */
	struct ot_timer expire_timer;

	struct ot_groups_stats stats; /* [owner] */
};

/* ---- entries and answers (groups.c) -------------------------------------------------------- */

/* Each handler and each callback is between these two: the answers that it gives are told when the
 * state is at rest again. @owner shard */
void group_enter(struct ot_groups *groups);
void group_leave(struct ot_groups *groups);

/* Begins a call. */
void group_call_begin(struct ot_groups *groups, struct ot_group_call *call, const void *request,
    void *response);

/* The response is filled: on_done comes at the end of the entry. */
void group_call_end(struct ot_group_call *call);

/* Counts memory that the group takes or gives back. */
void group_charge(struct group *group, size_t bytes);
void group_discharge(struct group *group, size_t bytes);

/* Whether `bytes` more are within bounds. */
bool group_has_room(const struct ot_groups *groups, size_t bytes);

/* Copies and frees texts and bytes that are counted. Null stays null. */
struct ot_str group_str_copy(struct group *group, struct ot_str str);
void group_str_free(struct group *group, struct ot_str *str);
struct ot_bytes group_bytes_copy(struct group *group, struct ot_bytes bytes);
void group_bytes_free(struct group *group, struct ot_bytes *bytes);

/* Copies into a call's arena; false without memory. Null stays null. */
OT_MUST_USE bool group_str_lend(struct ot_arena *arena, struct ot_str str, struct ot_str *ret_str);
OT_MUST_USE bool group_bytes_lend(struct ot_arena *arena, struct ot_bytes bytes,
    struct ot_bytes *ret_bytes);

/* ---- one group (group.c) ------------------------------------------------------------------- */

const char *group_state_name(enum group_state state);

/* The group with its soft state, or NULL. */
struct group *group_find(struct ot_groups *groups, struct ot_str id);

/* The same, as it is. */
struct group *group_peek(struct ot_groups *groups, struct ot_str id);

/* The group, created when there is none; without soft state when it is new (loading). */
struct group *group_intern(struct ot_groups *groups, struct ot_str id);

/* The same, with soft state: an empty one when it is new. */
struct group *group_find_or_create(struct ot_groups *groups, struct ot_str id);

/* Frees the group with all that it has; calls that are parked get `err`. */
void group_remove(struct group *group, ot_err err);

/* Frees the group when nothing is left of it. */
void group_maybe_remove(struct group *group);

/* Builds the soft state of the hard one, unless it is there. */
void group_make_soft(struct group *group);

/* Makes the transition, or panics. */
void group_set_state(struct group *group, enum group_state state);

uint32_t group_member_count(const struct group *group);
int32_t group_rebalance_timeout_ms(const struct group *group);

/* Reads anew which topics the members subscribe to. */
void group_compute_subscription(struct group *group);
bool group_is_subscribed(const struct group *group, struct ot_str topic);
bool group_is_consumer(const struct group *group);

/* ---- members (member.c) -------------------------------------------------------------------- */

struct group_member_options {
	struct ot_str id;
	struct ot_str instance_id;
	struct ot_str client_id;
	struct ot_str client_host;
	int32_t rebalance_timeout_ms;
	int32_t session_timeout_ms;
	struct ot_str protocol_type;
	const struct ot_join_group_request_protocol *protocols;
	int32_t protocol_count;
};

/* Adds a member, takes its id off the pending ones, and makes it leader when there is none. */
struct group_member *group_member_add(struct group *group,
    const struct group_member_options *options);

/* Takes the member away; parked calls get `err`. The leader's part goes to another member. */
void group_member_remove(struct group_member *member, ot_err err);

struct group_member *group_member_find(const struct group *group, struct ot_str id);
struct group_member *group_member_find_instance(const struct group *group,
    struct ot_str instance_id);

/* Whether a request that names a member may speak for it: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
OT_MUST_USE ot_err group_member_validate(const struct group *group, struct ot_str id,
    struct ot_str instance_id, struct group_member **ret_member);

/* Gives a static member a new id; what is parked under the old one is fenced. */
void group_member_rename(struct group_member *member, struct ot_str id);

/* Takes over what a rejoining member says. */
void group_member_update(struct group_member *member, const struct ot_join_group_request *request);
bool group_member_matches(const struct group_member *member,
    const struct ot_join_group_request *request);

/* The member's metadata for the selected protocol; empty when it has none. */
struct ot_bytes group_member_metadata(const struct group_member *member);

void group_member_set_assignment(struct group_member *member, struct ot_bytes assignment);

/* Begins the session anew. */
void group_member_touch(struct group_member *member);

/* Whether the group takes a member with these protocols. */
bool group_supports(const struct group *group, const struct ot_join_group_request *request);

/* The protocol that all support and most prefer. The group has members. */
struct group_vote *group_select_protocol(struct group *group);

struct group_pending *group_pending_find(const struct group *group, struct ot_str id);
void group_pending_add(struct group *group, struct ot_str id, int32_t timeout_ms);
void group_pending_remove(struct group_pending *pending);

/* ---- joins, rebalances (join.c, rebalance.c) ----------------------------------------------- */

/* Parks a join with its member. */
void group_join_park(struct group_member *member, struct ot_group_call *call);

/* Answers a member's parked join, if there is one. */
void group_join_answer_error(struct group_member *member, struct ot_str member_id, ot_err err);
void group_join_answer(struct group_member *member);

/* Fills a response of either kind, and ends the call. */
void group_join_end_error(struct ot_group_call *call, struct ot_str member_id, ot_err err);
void group_join_end(struct ot_group_call *call, struct group_member *member, struct ot_str leader,
    bool has_members, bool is_assignment_skipped);

/* Begins a rebalance when the group is in a state for it, else completes the one under way when all
 * are there. `reason` is for the report. */
void group_rebalance(struct group *group, const char *reason);
void group_rebalance_prepare(struct group *group, const char *reason);
void group_rebalance_maybe_complete(struct group *group);

/* Members have gone: what follows from it. */
void group_members_left(struct group *group, const char *reason);

void group_rebalance_init(struct group *group);
void group_rebalance_fini(struct group *group);

/* The member's SyncGroup has come. */
void group_sync_received(struct group_member *member);

/* Timers of members and of ids that were given out. */
void group_session_expired(struct ot_timer *timer);
void group_pending_expired(struct ot_timer *timer);

/* ---- sync (sync.c) ------------------------------------------------------------------------- */

/* Answers parked syncs: with the assignment, or with an error, after which assignments are empty.
 */
void group_sync_propagate(struct group *group, ot_err err);
void group_sync_answer_error(struct group_member *member, ot_err err);

/* What a client is told when a group's record could not be written. */
ot_err group_store_err(ot_err err) OT_MUST_USE;

/* ---- records (record.c) -------------------------------------------------------------------- */

/* Puts the group's metadata into the operation that was begun; NO_MEMORY. */
OT_MUST_USE ot_err group_put_metadata(struct group *group);
void group_put_metadata_tombstone(struct group *group);
void group_put_offset(struct group *group, struct ot_str topic, const struct group_offset *offset);
void group_put_offset_tombstone(struct group *group, struct ot_str topic, int32_t partition);

/* One operation that writes the group's metadata alone. */
OT_MUST_USE ot_err group_store_metadata(struct group *group);

/* The machine's (coord/coord.h). */
ot_err group_apply(struct ot_coord_machine *machine, const struct ot_coord_record *record,
    enum ot_coord_origin origin) OT_MUST_USE;
bool group_image(struct ot_coord_machine *machine, struct ot_bytes key, struct ot_writer *out);
bool group_each(struct ot_coord_machine *machine, uint64_t *place, uint32_t count_max,
    ot_coord_emit *emit, void *arg);
void group_marker(struct ot_coord_machine *machine, int64_t producer_id, int16_t producer_epoch,
    bool is_commit);

/* ---- offsets (offsets.c) ------------------------------------------------------------------- */

struct group_topic *group_topic_find(const struct group *group, struct ot_str name);
struct group_offset *group_offset_find(const struct group *group, struct ot_str topic,
    int32_t partition);

/* Takes a committed offset in, or replaces it; the metadata is copied. */
void group_offset_set(struct group *group, struct ot_str topic, const struct group_offset *value);
void group_offset_remove(struct group *group, struct ot_str topic, int32_t partition);
void group_offsets_clear(struct group *group);

/* The same of a transaction that is not known to have ended. */
void group_txn_offset_set(struct group *group, int64_t producer_id, struct ot_str topic,
    const struct group_offset *value);
bool group_txn_offset_exists(const struct group *group, struct ot_str topic, int32_t partition);
void group_txn_offsets_remove(struct group *group, struct ot_str topic, int32_t partition);
void group_txn_end(struct ot_groups *groups, int64_t producer_id, bool is_commit);
void group_txns_clear(struct ot_groups *groups);

/* ---- expiry (expire.c) --------------------------------------------------------------------- */

void group_expire_init(struct ot_groups *groups);
void group_expire_start(struct ot_groups *groups);
void group_expire_stop(struct ot_groups *groups);

/* ---- partition.c --------------------------------------------------------------------------- */

/* Length of a text as Java counts it, in UTF-16 units. */
int32_t group_utf16_length(struct ot_str str);

#endif
