/* Inside the room: the controller's state, and what operations are made of. */
#ifndef OT_CLUSTER_OPERATION_INT_H
#define OT_CLUSTER_OPERATION_INT_H

#include "cluster/controller.h"

/* Kafka's bound of records in one operation of a user. */
enum { OPERATION_RECORDS_MAX = 10000 };

struct session;

struct ot_controller {
	struct ot_io *io;                          /* [const] */
	struct ot_metalog *log;                    /* [const] */
	const struct ot_controller_events *events; /* [const] */
	void *arg;                                 /* [const] */
	int32_t node_id;                           /* [const] */

	/* Images; all that follows: [owner] */
	struct ot_image *committed;   /* published */
	struct ot_image *head;        /* with what was appended; = committed when nothing is */
	struct ot_image_edit *replay; /* records that were told and are no image yet; or NULL */
	struct ot_image_place replay_place;
	bool is_caught_up; /* each batch is published at once from now on */
	bool is_in_snapshot;

	/* Who leads the metadata log. */
	int32_t leader_id; /* -1: nobody */
	char *leader_host; /* heap; NULL: not known */
	uint16_t leader_port;

	/* Leading. */
	int32_t epoch;
	int64_t next_offset; /* of the next record that is appended */
	bool is_leader;      /* of the metadata log, in `epoch` */
	bool is_active;      /* and all is replayed: operations are taken */
	bool is_failed;
	bool is_closing;
	struct ot_list appends; /* of struct append, in order */

	/* Calls. */
	struct ot_list waiting; /* by wait_offset */
	struct ot_list done;    /* to be told in the next turn */
	struct ot_timer tell;

	/* Brokers, while active (sessions_int.h, elections_int.h). */
	struct session *sessions;
	struct ot_timer session_due;
	ot_mono_ns session_deadline; /* of the timer */
	struct ot_timer balance_due;
	struct ot_timer unclean_due;

	/* Snapshots. */
	struct snapshot_job *snapshot; /* the one being written; or NULL */
	struct ot_timer snapshot_due;
	int64_t snapshot_offset; /* of the newest snapshot */

	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* An operation while it is worked out: on the stack, from operation_begin() to operation_end(). */
struct operation {
	struct ot_controller *controller;
	struct ot_controller_call *call; /* NULL: one of the controller's own */
	struct ot_arena *arena;          /* the call's, or `own` */
	struct ot_arena own;
	struct ot_image_edit *edit; /* of the head */
	struct ot_metadata_records records;
	int16_t metadata_version;
	bool is_failed; /* memory was short */
};

/* Begins. False when the controller does not take operations: the call ends with an error. The
 * response must hold a name in each of its results by now: `fail` writes an error into them.
 * @owner control   @blocks never; so all below */
OT_MUST_USE bool operation_begin(struct operation *operation, struct ot_controller *controller,
    struct ot_controller_call *call);

/* Begins one that nobody waits for; the controller takes operations. */
void operation_begin_own(struct operation *operation, struct ot_controller *controller);

/* The image with this operation's records. Borrowed until the next record. */
const struct ot_image *operation_image(struct operation *operation);

/* A topic with this operation's records, NULL when there is none of that id; cheaper where records
 * and look-ups alternate. Borrowed until the next record. */
const struct ot_topic_image *operation_topic(struct operation *operation, const struct ot_uuid *id);

/* Adds a record, in the version of the metadata.version that holds. */
void operation_add(struct operation *operation, const struct ot_msg *type, void *msg);

/* Appends what is there as a batch of its own, and begins the next: what follows sees it in the
 * head, and is committed only when it was. Images and topics of the operation are void then. */
void operation_split(struct operation *operation);

/* The same once the batch is as large as one may be: for operations that need not be atomic. */
void operation_split_if_full(struct operation *operation);

/* Appends the batch, unless it is dropped; the call completes when all is committed that it knew.
 */
void operation_end(struct operation *operation, bool is_dropped);

/* Ends a call with an error that concerns all of it. Its `fail` fills the response. */
void operation_fail_call(struct ot_controller *controller, struct ot_controller_call *call,
    ot_err err);

/* An error for a result: the text in the arena, or the code's own sentence. OT_OK is null. */
struct ot_str operation_error_text(struct ot_arena *arena, ot_err err, const struct ot_why *why);

/* NULL-safe memory of an array in the call's arena, which marks the operation failed. */
void *operation_array(struct operation *operation, size_t count, size_t bytes);

#endif
