/* Incremental fetch sessions (KIP-227): the broker remembers which partitions a client fetches and
 * what it was told last, so that requests and responses carry changes only.
 *
 * A session belongs to the shard of the connection that created it; its id says which shard that
 * is. A client that comes back on a connection of another shard gets FETCH_SESSION_ID_NOT_FOUND
 * and starts anew, as it would after an eviction. */
#ifndef OT_BROKER_FETCH_SESSION_INT_H
#define OT_BROKER_FETCH_SESSION_INT_H

#include "base/list.h"
#include "io/io.h"
#include "wire/msg_fetch.h"

enum { FETCH_SESSION_NONE = 0, FETCH_EPOCH_INITIAL = 0, FETCH_EPOCH_FINAL = -1 };

/* A partition as the client asked for it, and as it was answered last. */
struct fetch_part_state {
	struct ot_str topic; /* name; null when the request goes by id */
	struct ot_uuid topic_id;
	struct ot_fetch_request_partition wanted;
	int64_t high_watermark; /* told last; -1: nothing was */
	int64_t log_start_offset;
	int16_t error_code;
};

struct fetch_session_part; /* a state in a session's list and map */

struct fetch_session {
	int32_t id;
	int32_t epoch;   /* the next request must have it */
	bool by_id;      /* topics go by id (version 13 and later) */
	bool is_replica; /* a follower's */
	uint32_t part_count;
	struct ot_list parts; /* of fetch_session_part, in the order of the next answer */
	struct fetch_session_part *by_key;
	struct ot_list link; /* in the sessions, least recently used first */
	ot_mono_ns used;
	ot_mono_ns created;
};

struct fetch_sessions;

/* @owner the shard for all of these; none blocks */
struct fetch_sessions *fetch_sessions_create(uint32_t shard_index, uint32_t shard_count,
    uint32_t count_max);
void fetch_sessions_destroy(struct fetch_sessions *sessions);

/* The session of that id, or NULL. */
struct fetch_session *fetch_session_find(struct fetch_sessions *sessions, int32_t id);

/* What a new session is for. */
struct fetch_session_args {
	uint32_t part_count; /* it will have so many */
	bool by_id;
	bool is_replica;
};

/* A new session. Where the cache is full, as in Kafka, one that was not used for two minutes gives
 * way to it, or the smallest that is older than two minutes if it has fewer partitions. A
 * follower's takes the place of any client's, and gives way to no client's that it outlives. NULL
 * when there is no place. */
struct fetch_session *fetch_session_create(struct fetch_sessions *sessions, struct ot_io *io,
    const struct fetch_session_args *args);
void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session);

/* Notes its use: it is evicted last. */
void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session,
    ot_mono_ns now);

/* Adds or changes what the request lists, removes what it forgets. */
void fetch_session_update(struct fetch_session *session, const struct ot_fetch_request *body);

/* The state of a list node; sessions' parts are walked with OT_LIST_FOREACH. */
const struct fetch_part_state *fetch_session_part_state(struct ot_list *link);

/* Notes what a partition of the session was told. With records its turn comes last from now on, so
 * that none starves. Nothing happens when the session has forgotten the partition meanwhile. */
void fetch_session_note(struct fetch_session *session, const struct fetch_part_state *told,
    bool has_records);

#endif
