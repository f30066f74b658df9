/* A broker's life, whatever it runs on: a process (server.c) or a simulated machine. Who runs it
 * gives it a set of shards on their doors, and lets the loops turn.
 *
 *   created  --broker_start-->  waiting for the metadata  --on_ready-->  serving
 *                                          \                              |  broker_stop
 *                                           \------ broker_stop ------>   v
 *   0. others lead in its place, if there are others, and it was asked to stop
 *   1. no new connections; a checkpoint under way is waited for
 *   2. each shard closes its connections; what runs for them are orphans from now on
 *   3. each shard ends its coordinators and closes its partitions
 *   4. the controller and the metadata log are closed
 *   5. checkpoint files, and the clean-shutdown marks last
 *   6. each shard has its last message; its loop may end, the control thread's at the end
 *
 * Between two steps all shards answer the control thread. Messages keep their order, so what a
 * shard has posted for a connection has arrived before the next step begins: no coordinator is
 * asked after its end, and nobody is told of a success that did not happen.
 */
#ifndef OT_BROKER_LIFE_INT_H
#define OT_BROKER_LIFE_INT_H

#include "base/report.h"
#include "base/text.h"
#include "broker/broker_int.h"
#include "broker/join_int.h"

struct checkpoint_round;
struct broker_quorum;
struct life_quota;
struct stop_mail;

/* What a broker asks of who runs it. */
struct broker_args {
	struct ot_settings *settings; /* borrowed */
	struct ot_shard_set *set;     /* borrowed; no loop runs yet */
	/* On the control thread: it serves from now on; it is being stopped; all is closed, and no
	 * shard has anything more to do (OT_OK when it was asked to stop). */
	void (*on_ready)(void *arg);
	void (*on_stopping)(void *arg);
	void (*on_stopped)(void *arg, ot_err err, const char *why);
	/* On the shard's thread: it got its last message. */
	void (*on_shard_stopped)(void *arg, struct ot_shard *shard);
	void *arg;
	/* Makes another engine of the metadata log than `local`; NULL: it is not wanted. */
	broker_make_metalog *make_metalog;
	void *metalog_arg;
	/* It founds or joins a cluster as its settings say (join_int.h), and runs an etcd where
	 * that has one. Else it is alone, or what `make_metalog` makes of it. */
	bool forms_cluster;
};

/* Opens the log directories and the listeners, and makes all objects. INVALID_CONFIG, and what
 * ot_dirs_open() gives; `why` says what to do. @owner the creating thread   @blocks */
OT_MUST_USE ot_err broker_create(const struct broker_args *args, struct broker **ret_broker,
    struct ot_why *why);

/* @owner control   @blocks never */
void broker_start(struct broker *broker);

/* Begins to stop, as asked (`err` OT_OK) or for a reason. While it waits for others to lead in its
 * place a second call ends the waiting; later ones are nothing.
 * @owner control   @blocks never */
void broker_stop(struct broker *broker, ot_err err, const char *why);

/* Frees it after on_stopped, when no loop runs any more. Accepts NULL. @owner the creating thread
 */
void broker_destroy(struct broker *broker);

/* ---- between the files ----------------------------------------------------------------------- */

enum life_stop {
	LIFE_RUNS,
	LIFE_STOP_LEADING, /* others are to lead in its place */
	LIFE_STOP_WANTED,  /* a checkpoint is under way */
	LIFE_STOP_CONNECTIONS,
	LIFE_STOP_SHARDS,
	LIFE_STOP_METADATA,
	LIFE_STOP_LOOPS,
	LIFE_STOPPED,
};

/* All [control] but the arguments. */
struct broker_life {
	struct broker *broker;        /* [const] */
	struct broker_args args;      /* [const] */
	ot_mono_ns created;           /* [const] */
	struct broker_plan plan;      /* [const] */
	struct broker_quorum *quorum; /* [const] NULL: no cluster is formed */

	/* accept.c */
	bool is_ready;
	uint64_t next_shard; /* for the next connection */
	/* Accepted and not let in: the broker is not ready, or max.connections is reached. A
	 * listener of which one waits accepts no more. */
	struct ot_list waiting;
	struct life_quota *quota;
	struct ot_report_gate gate;           /* of reports of connections that were refused */
	bool has_control_address;             /* it listens where the controllers are said to be */
	struct ot_listener_conf address_conf; /* of the control listener there */
	struct ot_listener_conf control_conf; /* of one elsewhere */

	/* checkpoint.c */
	struct ot_timer checkpoint_timer;
	struct checkpoint_round *checkpoint; /* under way; NULL: none */

	/* stop.c */
	enum life_stop stop;
	struct stop_mail *stop_mails;  /* by shard; heap */
	uint32_t stop_pending_count;   /* shards that have not answered */
	bool *is_dir_clean;            /* heap */
	struct ot_dirs_row *stop_rows; /* heap */
	size_t stop_row_count;
	ot_err err; /* why it stops; OT_OK: it was asked to */
	struct ot_why why;
};

/* accept.c. Opens all listeners of the settings. INVALID_CONFIG. @owner the creating thread */
OT_MUST_USE ot_err life_open_listeners(struct broker *broker, struct ot_why *why);

/* accept.c. Listens at the address that the controllers are said to have, if it is not taken:
 * whoever founds a cluster does so, and whoever comes after it. Whether it does in the end.
 * `number` is what the address's name was found to be, and lives as long as the broker; NULL: it is
 * looked up.
 * @owner control, or the creating thread   @blocks for a look-up */
bool life_take_control_address(struct broker *broker, const char *number);
bool life_has_control_address(const struct broker *broker);

/* accept.c. From now on connections are let in, those first who came early. @owner control */
void life_let_in(struct broker *broker);

/* accept.c. The connections' on_close; `arg` is the broker_shard. @owner the connection's shard */
void life_on_close(void *arg, struct ot_conn *conn);

/* accept.c. Nobody new comes in; who came early is sent away. @owner control, or who created it */
void life_close_listeners(struct broker *broker);

/* quota.c. How many connections there are, of all, of each listener and of each address, and
 * how many there may be: max.connections, max.connections.per.ip and its overrides. As in Kafka one
 * connection too many of an address is closed, one too many of all waits for another to end. */
enum life_verdict { LIFE_ADMITTED, LIFE_WAITS, LIFE_REFUSED };

/* @owner control */
struct life_quota *life_quota_create(void);
void life_quota_destroy(struct life_quota *quota); /* accepts NULL */

/* Counts a connection in if it is admitted; else `*ret_limit` is the limit that it met.
 * @owner control   @blocks when overrides have names, for their look-up */
enum life_verdict life_quota_take(struct life_quota *quota, const struct ot_settings *settings,
    struct broker_listener *listener, const struct ot_address *peer, int64_t *ret_limit);
void life_quota_give(struct life_quota *quota, struct broker_listener *listener,
    const struct ot_address *peer);

/* checkpoint.c. Begins to write checkpoint files from time to time. @owner control */
void life_start_checkpoints(struct broker *broker);

/* stop.c. The checkpoint that was waited for is written. @owner control */
void life_go_on_stopping(struct broker *broker);

#endif
