/* Requests that several tools make, and the words for what went wrong with them. */
#ifndef OT_CLI_ADMIN_INT_H
#define OT_CLI_ADMIN_INT_H

#include "cli/cli_int.h"
#include "wire/msg_describe_configs.h"
#include "wire/msg_metadata.h"

/* API keys of Kafka's protocol that tools call. */
enum cli_api {
	CLI_API_LIST_OFFSETS = 2,
	CLI_API_METADATA = 3,
	CLI_API_OFFSET_COMMIT = 8,
	CLI_API_OFFSET_FETCH = 9,
	CLI_API_FIND_COORDINATOR = 10,
	CLI_API_DESCRIBE_GROUPS = 15,
	CLI_API_LIST_GROUPS = 16,
	CLI_API_CREATE_TOPICS = 19,
	CLI_API_DELETE_TOPICS = 20,
	CLI_API_DELETE_RECORDS = 21,
	CLI_API_DESCRIBE_CONFIGS = 32,
	CLI_API_ALTER_REPLICA_LOG_DIRS = 34,
	CLI_API_DESCRIBE_LOG_DIRS = 35,
	CLI_API_CREATE_PARTITIONS = 37,
	CLI_API_DELETE_GROUPS = 42,
	CLI_API_ELECT_LEADERS = 43,
	CLI_API_INCREMENTAL_ALTER_CONFIGS = 44,
	CLI_API_ALTER_PARTITION_REASSIGNMENTS = 45,
	CLI_API_LIST_PARTITION_REASSIGNMENTS = 46,
	CLI_API_OFFSET_DELETE = 47,
	CLI_API_DESCRIBE_QUORUM = 55,
	CLI_API_DESCRIBE_CLUSTER = 60,
	CLI_API_UNREGISTER_BROKER = 64,
	CLI_API_CONSUMER_GROUP_DESCRIBE = 69,
	CLI_API_LIST_CONFIG_RESOURCES = 74,
	CLI_API_DESCRIBE_TOPIC_PARTITIONS = 75,
	CLI_API_ADD_RAFT_VOTER = 80,
	CLI_API_REMOVE_RAFT_VOTER = 81,
};

enum { CLI_REQUEST_TIMEOUT_MS = 30000 }; /* that brokers are given for changes */

/* Sends a request to a node and decodes the answer into the run's memory. cli->why says what went
 * wrong with the call itself; error codes inside the answer are the caller's. */
ot_err cli_call(struct cli *cli, int32_t node, enum cli_api api, const void *request,
    void *ret_response) OT_MUST_USE;

/* The words for an error code of an answer: the broker's own if it sent any. */
const char *cli_error_text(struct cli *cli, int16_t code, struct ot_str message);

/* The class by which Kafka's tools name an error:
 * "org.apache.kafka.common.errors.TimeoutException". Ours follow the protocol's names, as Kafka's
 * classes do but for a few. */
const char *cli_error_class(struct cli *cli, int16_t code);

/* A view as text with a NUL behind it; null becomes NULL. */
const char *cli_text(struct cli *cli, struct ot_str str);

/* Orders a topic's partitions of metadata by index, for qsort() and bsearch(). */
int cli_partition_compare(const void *a, const void *b);

/* Metadata of all topics, sorted by name, partitions by index. Errors as of cli_call(). */
ot_err cli_fetch_topics(struct cli *cli, struct ot_metadata_response *ret_response) OT_MUST_USE;

/* Kinds of resources that have settings. */
enum cli_resource { CLI_RESOURCE_TOPIC = 2, CLI_RESOURCE_BROKER = 4 };

bool cli_topic_is_internal(struct ot_str name);

#endif
