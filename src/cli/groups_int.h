/* Consumer groups as kafka-consumer-groups sees them: what brokers know of them, how it is printed,
 * and what offsets are reset to. Memory is the run's.
 * @owner main thread   @blocks until answered, where a function asks brokers */
#ifndef OT_CLI_GROUPS_INT_H
#define OT_CLI_GROUPS_INT_H

#include "cli/offsets_int.h"

struct cli_assignment {
	struct cli_offset *items; /* topic and partition alone, in order */
	size_t count;
};

enum cli_member_type { CLI_MEMBER_UNKNOWN = -1, CLI_MEMBER_CLASSIC, CLI_MEMBER_CONSUMER };

struct cli_member {
	struct ot_str id;
	struct ot_str instance_id; /* null or empty: not static */
	struct ot_str client_id;
	struct ot_str host;
	struct cli_assignment assignment;
	struct cli_assignment target;
	int32_t epoch; /* -1: the protocol has none */
	enum cli_member_type type;
};

struct cli_group {
	struct ot_str name;
	struct ot_str state; /* "Stable"; "Dead" for a group that does not exist */
	struct ot_str assignor;
	struct cli_member *members;
	int32_t member_count;
	int32_t coordinator;
	int32_t epoch;        /* -1: a classic group */
	int32_t target_epoch; /* -1: the same */
};

struct cli_group_listing {
	struct ot_str name;
	struct ot_str state;
	struct ot_str type; /* "Classic", "Consumer" */
};

struct cli_committed {
	struct cli_offset *items; /* `offset` is what was committed, by topic and partition */
	int32_t *epochs;          /* leader epochs of the items; -1: none was committed */
	size_t count;
};

/* ---- asking (groups_fetch.c) --------------------------------------------------------------- */

/* All groups of consumers, sorted; `states` and `types` are NULL or lists of names as users write
 * them, in any case. OT_ERR_INVALID_REQUEST with cli->why for a name that no state or type has. */
ot_err cli_groups_list(struct cli *cli, const char *states, const char *types,
    struct cli_group_listing **ret_groups, size_t *ret_count) OT_MUST_USE;

/* One group. Not to exist is a state, no error. */
ot_err cli_group_describe(struct cli *cli, struct ot_str name,
    struct cli_group *ret_group) OT_MUST_USE;

/* What a group has committed. */
ot_err cli_group_committed(struct cli *cli, const struct cli_group *group,
    struct cli_committed *ret_committed) OT_MUST_USE;

/* Commits `offset` of each item for a group without members. */
ot_err cli_group_commit(struct cli *cli, const struct cli_group *group,
    const struct cli_offset *items, size_t count) OT_MUST_USE;

/* The committed item of that partition, or NULL. */
const struct cli_offset *cli_committed_find(const struct cli_committed *committed,
    const struct cli_offset *partition);

/* ---- printing (groups_print.c) ------------------------------------------------------------- */

/* One line of the table of offsets. */
struct cli_group_row {
	const struct cli_member *member; /* NULL: nobody has the partition */
	struct cli_offset partition;     /* `offset` is the log's end, -1: unknown */
	int64_t committed;               /* -1: none */
	int32_t epoch;                   /* -1: none */
};

struct cli_group_rows {
	struct cli_group_row *items;
	size_t count;
};

void cli_group_print_offsets(const struct cli_group *group, const struct cli_group_rows *rows,
    bool is_verbose, FILE *out);
void cli_group_print_offsets_of_old(const struct cli_group_rows *rows, FILE *out);
void cli_group_print_members(struct cli *cli, const struct cli_group *group, bool is_verbose,
    FILE *out);
void cli_group_print_state(const struct cli_group *group, const char *coordinator, bool is_verbose,
    FILE *out);
void cli_group_print_list(const struct cli_group_listing *groups, size_t count, bool has_type,
    bool has_state, FILE *out);

/* Offsets that a group was, or would be, reset to. */
struct cli_group_plan {
	struct ot_str group;
	struct cli_offset *items;
	size_t count;
};
void cli_group_print_plans(const struct cli_group_plan *plans, size_t count, bool is_of_old,
    FILE *out);
void cli_group_print_csv(const struct cli_group_plan *plans, size_t count, bool has_group,
    FILE *out);

/* ---- resetting (groups_reset.c) ------------------------------------------------------------ */

enum cli_reset_kind {
	CLI_RESET_NONE,
	CLI_RESET_TO_OFFSET,
	CLI_RESET_TO_EARLIEST,
	CLI_RESET_TO_LATEST,
	CLI_RESET_TO_CURRENT,
	CLI_RESET_SHIFT_BY,
	CLI_RESET_TO_TIME, /* datetime and duration */
	CLI_RESET_FROM_FILE,
};

struct cli_reset {
	enum cli_reset_kind kind;
	int64_t number; /* of TO_OFFSET, SHIFT_BY, TO_TIME */
	const char *file;
	const char *file_text; /* its content, read before anything is asked */
	bool is_all_topics;
	bool has_one_group; /* a file of one group names no groups */
	struct cli_values topics;
};

/* Works out what the offsets of a group would be. OT_ERR_INVALID_REQUEST and the brokers' errors,
 * with cli->why. */
ot_err cli_group_plan_reset(struct cli *cli, const struct cli_reset *reset,
    const struct cli_group *group, struct cli_group_plan *ret_plan) OT_MUST_USE;

#endif
