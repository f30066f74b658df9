/* Reassignments: what a file asks for, what is under way, and the throttles that go with both.
 * @owner main thread   @blocks never, unless it says otherwise */
#ifndef OT_CLI_REASSIGN_INT_H
#define OT_CLI_REASSIGN_INT_H

#include "cli/topics_int.h"

struct json_t;

struct cli_partition_name {
	struct ot_str topic;
	int32_t index;
};

/* Orders by topic and index; for qsort() and bsearch() of what begins with a name, too. */
int cli_partition_name_compare(const void *a, const void *b);

/* Writes lists as Kafka's messages do: "1,2,3". Memory is the run's. */
const char *cli_replicas_text(struct cli *cli, const struct cli_replicas *replicas);

bool cli_replicas_have(const struct cli_replicas *replicas, int32_t broker);

/* ---- what is wanted (reassign_file.c) ------------------------------------------------------ */

struct cli_target {
	struct cli_partition_name name; /* first: see the comparison */
	struct cli_replicas replicas;
	const char **dirs; /* by replica; NULL: any. NULL: any for all */
};

struct cli_targets {
	struct cli_target *items;
	size_t count;
};

/* Reads {"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any",
 * "/d"]}]} in its order. Gives NULL, or what is wrong with it. */
const char *cli_targets_read(struct cli *cli, struct json_t *root, struct cli_targets *ret_targets);

/* Sorts, and tells why the targets cannot be carried out: NULL, or the reason. */
const char *cli_targets_check(struct cli *cli, struct cli_targets *targets);

/* Reads {"version":1,"topics":[{"topic":"t"}]}. Gives NULL, or what is wrong with it. */
const char *cli_target_topics_read(struct cli *cli, struct json_t *root, struct ot_str **ret_topics,
    size_t *ret_count);

/* The file that would ask for these targets, on one line without its end. Kafka 0.11 knew nothing
 * of directories. */
void cli_targets_print(const struct cli_targets *targets, bool has_dirs, FILE *out);

/* ---- what is under way (reassign_moves.c) -------------------------------------------------- */

struct cli_moving {
	struct cli_partition_name name; /* first: see the comparison */
	struct cli_replicas replicas;   /* those that come and go included */
	struct cli_replicas adding;
	struct cli_replicas removing;
};

struct cli_movings {
	struct cli_moving *items; /* sorted */
	size_t count;
};

/* All reassignments under way. Errors as of cli_call(), and the broker's, with cli->why.
 * @blocks until answered */
ot_err cli_movings_fetch(struct cli *cli, struct cli_movings *ret_movings) OT_MUST_USE;

const struct cli_moving *cli_movings_find(const struct cli_movings *movings,
    struct cli_partition_name name);

void cli_movings_print(struct cli *cli, const struct cli_movings *movings, FILE *out);

struct cli_move_error {
	struct cli_partition_name name; /* first: see the comparison */
	int16_t code;
	struct ot_str message;
};

struct cli_move_errors {
	struct cli_move_error *items; /* sorted */
	size_t count;
};

/* Starts the targets, which are sorted, or cancels what is under way for them. Partitions that are
 * refused are in the errors; fails as cli_call() does. @blocks until answered */
ot_err cli_targets_start(struct cli *cli, const struct cli_targets *targets, bool is_cancel,
    struct cli_move_errors *ret_errors) OT_MUST_USE;

/* ---- throttles (reassign_throttle.c) ------------------------------------------------------- */

/* What leader.replication.throttled.replicas and its counterpart become for a topic. */
struct cli_throttle {
	struct ot_str topic;
	const char *leaders;
	const char *followers;
};

struct cli_throttles {
	struct cli_throttle *items; /* by topic */
	size_t count;
	struct cli_replicas brokers; /* that take part, ascending */
};

/* The throttles for all that is under way and the targets to come. `current` has the replicas that
 * the targets' partitions have now. Both are sorted. */
void cli_throttles_make(struct cli *cli, const struct cli_movings *movings,
    const struct cli_targets *targets, const struct cli_targets *current,
    struct cli_throttles *ret_throttles);

/* Sets what was made, and the rate in bytes per second on each of the brokers. Errors as of
 * cli_call(), and the broker's, with cli->why. @blocks until answered */
ot_err cli_throttles_set(struct cli *cli, const struct cli_throttles *throttles,
    int64_t rate) OT_MUST_USE;

/* The rate of moves between the directories of brokers. Errors and blocking as above. */
ot_err cli_dir_throttle_set(struct cli *cli, const struct cli_replicas *brokers,
    int64_t rate) OT_MUST_USE;

/* Whether any of the topics has a list of throttled replicas. Errors and blocking as above. */
ot_err cli_throttles_look(struct cli *cli, const struct ot_str *topics, size_t topic_count,
    bool *ret_found) OT_MUST_USE;

/* Takes all throttles from brokers and topics. Errors and blocking as above. */
ot_err cli_throttles_clear(struct cli *cli, const struct cli_replicas *brokers,
    const struct ot_str *topics, size_t topic_count) OT_MUST_USE;

/* ---- moves between directories (reassign_dirs.c) ------------------------------------------- */

enum cli_dir_state {
	CLI_DIR_NO_REPLICA, /* the broker does not have it */
	CLI_DIR_ACTIVE,     /* a copy grows in another directory */
	CLI_DIR_NOT_MOVING, /* it lies somewhere else and stays there */
	CLI_DIR_DONE,
};

struct cli_dir_move {
	int32_t broker;
	struct cli_partition_name name;
	const char *target; /* directory */

	enum cli_dir_state state;
	const char *current; /* NULL: unknown */
	const char *future;  /* where the copy grows, or NULL */
};

struct cli_dir_moves {
	struct cli_dir_move *items; /* by broker, topic and partition */
	size_t count;
};

/* The replicas for which targets name a directory. */
void cli_dir_moves_make(struct cli *cli, const struct cli_targets *targets,
    struct cli_dir_moves *ret_moves);

/* Asks the brokers how far they are. Errors as of cli_call(), and the broker's, with cli->why.
 * @blocks until answered */
ot_err cli_dir_moves_fetch(struct cli *cli, struct cli_dir_moves *moves) OT_MUST_USE;

/* What --verify says of them; an empty line for none. */
void cli_dir_moves_print(const struct cli_dir_moves *moves, FILE *out);

/* Starts them, and tells of each on `out`. A replica that its broker does not have yet is tried
 * again until the time is over. Gives enum cli_exit; a failure is told.
 * @blocks until started */
int cli_dir_moves_start(struct cli *cli, const struct cli_dir_moves *moves, int64_t timeout_ms,
    FILE *out);

/* ---- assigning replicas anew (assign.c) ---------------------------------------------------- */

struct cli_assign_broker {
	int32_t id;
	struct ot_str rack; /* null: none */
};

/* Spreads the replicas of partitions over brokers as Kafka's tools do: leaders in turn from `start`
 * on, followers behind them with a shift that grows by one after each round, and in different racks
 * where brokers have some. Kafka takes `start` and `shift` at random. Gives NULL, or why it cannot
 * be done; `brokers` are sorted. */
const char *cli_assign(struct cli *cli, struct cli_assign_broker *brokers, size_t broker_count,
    int32_t partition_count, int32_t factor, uint32_t start, uint32_t shift,
    struct cli_replicas *ret_partitions);

#endif
