/* What the tests of coordinators share: a clock that is moved by hand, one shard on it, a log in
 * memory that commits, waits and fails as it is told, and requests with their answers. */
#ifndef OT_TEST_UNIT_COORD_HARNESS_H
#define OT_TEST_UNIT_COORD_HARNESS_H

#include "../test.h"

#include "coord/group/group.h"
#include "record/build.h"
#include "wire/api.h"

/* ---- a thread on a clock of its own -------------------------------------------------------- */

struct fake_io {
	struct ot_io io;
	ot_mono_ns now;
	ot_wall_ms wall_ahead; /* of the monotonic clock */
	uint64_t random;
};

/* ---- a log in memory ----------------------------------------------------------------------- */

enum { FAKE_LOG_BATCHES_MAX = 20000 };

struct fake_log {
	struct ot_coord_log log;
	struct ot_blob *batches[FAKE_LOG_BATCHES_MAX];
	uint32_t batch_count;
	int64_t start_offset;
	int64_t end_offset;
	int64_t read_end; /* as of the last bounds(): what comes later is not given */

	/* What it does with appends. */
	bool is_held;    /* batches are in the log but not committed until fake_log_commit() */
	ot_err fail_err; /* the next appends fail with it, */
	uint32_t fail_countdown; /* after so many that do not; */
	bool is_failing_late;    /* at the next fake_log_commit(), not at once */
	struct ot_list waiting;  /* appends that are held */

	/* And with reads. */
	bool is_read_held;
	ot_err read_err;
	struct ot_coord_read *read; /* that is held */

	uint32_t append_count;
	int64_t trim_offset; /* -1: none */
};

struct harness {
	struct fake_io ios[2];
	struct ot_shard_set *set;
	struct ot_shard *shard;
	struct fake_log log;
	struct ot_coord *coord;
	struct ot_groups *groups; /* of those that test groups */
	struct ot_codec_ctx *codec;
	bool is_coord_destroyed;
};

/* The shard and the log; then a coordinator on them, with a machine of the test's own or with
 * groups, loaded and active. */
void harness_init(struct harness *h);
void harness_coord(struct harness *h, struct ot_coord_machine *machine, uint64_t rewrite_bytes_min);
void harness_groups(struct harness *h, const struct ot_group_options *options);
void harness_fini(struct harness *h);

/* Ends the shard's turn; lets time pass, with turns wherever a timer is due. */
void harness_turn(struct harness *h);
void harness_advance(struct harness *h, int64_t ms);

/* Begins to lead, and lets the coordinator load. */
void harness_load(struct harness *h);

/* All that is held is committed (or failed), with a turn. */
void fake_log_commit(struct harness *h);

/* Appends a batch as somebody else did: for logs that were written before. */
void fake_log_write(struct fake_log *log, const struct ot_batch_options *options,
    const struct ot_record_data *records, int count);
void fake_log_write_marker(struct fake_log *log, int64_t producer_id, bool is_commit);

/* All records in the log, one after the other. */
typedef void visit_record(void *arg, const struct ot_record *record);
void fake_log_each(struct fake_log *log, visit_record *visit, void *arg);

/* ---- requests ------------------------------------------------------------------------------ */

/* One request of a client, from the question to the answer. */
struct ask {
	struct ot_group_call call; /* first */
	struct ot_arena arena;
	const struct ot_msg *response_type; /* NULL: only a part of a response */
	bool is_done;
	uint64_t done_number; /* the answers' order */
	union {
		struct ot_join_group_request join;
		struct ot_sync_group_request sync;
		struct ot_heartbeat_request heartbeat;
		struct ot_leave_group_request leave;
		struct ot_offset_commit_request commit;
		struct ot_offset_fetch_request_group fetch;
		struct ot_offset_delete_request offset_delete;
	} request;
	union {
		struct ot_join_group_response join;
		struct ot_sync_group_response sync;
		struct ot_heartbeat_response heartbeat;
		struct ot_leave_group_response leave;
		struct ot_offset_commit_response commit;
		struct ot_offset_fetch_response_group fetch;
		struct ot_offset_delete_response offset_delete;
		struct ot_delete_groups_response_result group_delete;
	} response;
};

struct join_args {
	const char *group;
	const char *member;             /* NULL: none */
	const char *instance;           /* NULL: a dynamic member */
	const char *protocols;          /* "range,roundrobin"; NULL: "range" */
	const char *metadata;           /* of each protocol; NULL: "sub" */
	struct ot_bytes metadata_bytes; /* in its place, when there are any */
	const char *type;               /* NULL: "consumer" */
	const char *client;             /* NULL: "client" */
	int32_t session_ms;             /* 0: 10,000 */
	int32_t rebalance_ms;           /* 0: 60,000 */
	int16_t version;                /* 0: 9; -1: 0 */
};

/* Each asks, and lets the turn end. The ask is freed by ask_free(). */
struct ask *ask_join(struct harness *h, const struct join_args *args);
struct ask *ask_sync(struct harness *h, const char *group, struct ot_str member, int32_t generation,
    const char *assignments); /* "id=bytes;id=bytes" */
ot_err ask_heartbeat(struct harness *h, const char *group, struct ot_str member,
    const char *instance, int32_t generation);
struct ask *ask_leave(struct harness *h, const char *group, struct ot_str member,
    const char *instance, int16_t version);
struct ask *ask_commit(struct harness *h, const char *group, struct ot_str member,
    int32_t generation, const char *topic, int32_t partition, int64_t offset);
struct ask *ask_fetch(struct harness *h, const char *group, const char *topic, int32_t partition);
void ask_free(struct ask *ask);

/* The same in short: the error of the whole thing. */
ot_err commit_now(struct harness *h, const char *group, const char *topic, int32_t partition,
    int64_t offset);
int64_t fetch_now(struct harness *h, const char *group, const char *topic, int32_t partition);

/* A new ask with a request to be filled and asked by the test. */
struct ask *ask_create(int16_t version, const struct ot_msg *response_type);

/* A text in the ask's memory that is still there when an answer has been freed. */
struct ot_str keep(struct ot_str str);
void keep_free_all(void);

#define assert_str(str, text)                                       \
	do {                                                        \
		struct ot_str str_ = (str);                         \
		assert_int_equal(str_.len, (int)strlen(text));      \
		assert_memory_equal(str_.data, text, strlen(text)); \
	} while (0)
#define assert_bytes(bytes, text)                                     \
	do {                                                          \
		struct ot_bytes bytes_ = (bytes);                     \
		assert_int_equal(bytes_.len, (int)strlen(text));      \
		assert_memory_equal(bytes_.data, text, strlen(text)); \
	} while (0)

/* What DescribeGroups says of the group. */
const char *state_of(struct harness *h, const char *group);
#define assert_state(h, group, text) assert_string_equal(state_of(h, group), text)

/* The member id that a good answer to a join has, kept; frees the ask. */
struct ot_str member_of(struct ask *ask, int32_t generation);
void assert_join_err(struct ask *ask, ot_err err);

/* A member by KIP-394: a first join gives the id, with which the second one is asked. */
struct ask *join_dynamic(struct harness *h, const char *group, const struct join_args *args);
extern const struct join_args join_plain;

/* One member, stable in generation 1, with the assignment "a1". */
struct ot_str stable_with_one(struct harness *h, const char *group);

/* The dump of a group machine; heap. */
char *groups_dump(const struct ot_groups *groups, bool with_soft);

/* Loads the log into a second machine and compares: what is live is what a successor would load. */
void assert_reload_equal(struct harness *h);

/* The same of what the log says alone: where records could not be written. */
void assert_hard_equal(struct harness *h);

#endif
