/* Elections of leaders: which partitions are asked for, and what became of each.
 * @owner main thread   @blocks never */
#ifndef OT_CLI_ELECTIONS_INT_H
#define OT_CLI_ELECTIONS_INT_H

#include "cli/offsets_int.h"

struct cli_election_result {
	struct ot_str topic;
	int32_t partition;
	int16_t code;          /* 0: it has a new leader */
	struct ot_str message; /* the broker's words, or null */
};

struct cli_election_results {
	struct cli_election_result *items; /* by topic and partition */
	size_t count;
};

/* Reads {"partitions": [{"topic": "t", "partition": 0}]} into sorted items. Gives NULL, or what is
 * wrong with it. */
const char *cli_election_read(struct cli *cli, struct json_t *root, struct cli_offset **ret_items,
    size_t *ret_count);

/* Prints what kafka-leader-election prints of results. Gives how many failed. */
size_t cli_election_print(struct cli *cli, bool is_unclean,
    const struct cli_election_results *results, FILE *out);

#endif
