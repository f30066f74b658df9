/* The tools, one file each; main.c has the table. */
#ifndef OT_CLI_TOOLS_INT_H
#define OT_CLI_TOOLS_INT_H

#include "cli/cli_int.h"

extern const struct cli_tool cli_broker_api_versions_tool;
extern const struct cli_tool cli_cluster_tool;
extern const struct cli_tool cli_configs_tool;
extern const struct cli_tool cli_console_consumer_tool;
extern const struct cli_tool cli_console_producer_tool;
extern const struct cli_tool cli_consumer_groups_tool;
extern const struct cli_tool cli_delete_records_tool;
extern const struct cli_tool cli_dev_tool;
extern const struct cli_tool cli_dump_log_tool;
extern const struct cli_tool cli_e2e_latency_tool;
extern const struct cli_tool cli_get_offsets_tool;
extern const struct cli_tool cli_leader_election_tool;
extern const struct cli_tool cli_log_dirs_tool;
extern const struct cli_tool cli_metadata_quorum_tool;
extern const struct cli_tool cli_node_tool;
extern const struct cli_tool cli_perf_consumer_tool;
extern const struct cli_tool cli_perf_producer_tool;
extern const struct cli_tool cli_preferred_election_tool;
extern const struct cli_tool cli_reassign_tool;
extern const struct cli_tool cli_replica_verification_tool;
extern const struct cli_tool cli_server_tool;
extern const struct cli_tool cli_storage_tool;
extern const struct cli_tool cli_topics_tool;

#endif
