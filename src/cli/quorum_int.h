/* What kafka-metadata-quorum prints of the metadata quorum.
 * @owner main thread   @blocks never */
#ifndef OT_CLI_QUORUM_INT_H
#define OT_CLI_QUORUM_INT_H

#include "cli/admin_int.h"
#include "base/time.h"
#include "wire/msg_describe_quorum.h"

/* The partition of the answer that has the quorum, checked: NULL with cli->why when the answer is
 * an error or has no leader among its voters. */
const struct ot_describe_quorum_response_partition *cli_quorum_check(struct cli *cli,
    const struct ot_describe_quorum_response *response);

void cli_quorum_print_status(struct ot_str cluster_id,
    const struct ot_describe_quorum_response *response,
    const struct ot_describe_quorum_response_partition *quorum, FILE *out);

/* As a table. `now` turns times into ages; negative: times are printed as they are. */
void cli_quorum_print_replication(struct cli *cli,
    const struct ot_describe_quorum_response_partition *quorum, ot_wall_ms now, FILE *out);

#endif
