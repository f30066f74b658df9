/* What the tests of src/log share: a log in a folder of its own, batches of known content, and a
 * reader that checks them. */
#ifndef OT_TEST_LOG_KIT_H
#define OT_TEST_LOG_KIT_H

#include "../test.h"

#include "base/alloc.h"
#include "log/log.h"
#include "log/log_int.h"

enum { KIT_RECORDS_MAX = 1 << 20, KIT_NOW = 1700000000 };

#define KIT_TIME ((ot_wall_ms)1700000000000)

struct kit {
	struct ot_fs *fs;
	char root[64];
	char dir[80];
	struct ot_log *log;
	struct ot_log_settings settings;
	struct ot_log_open_result result;
	int64_t recovery_point; /* as the checkpoint files would have them */
	int64_t start_offset;
	ot_wall_ms now;
};

/* A batch to append; zero means one record of 20 bytes of no producer. */
struct kit_batch {
	uint32_t record_count;
	uint32_t value_bytes;
	int64_t producer_id; /* 0: none */
	int16_t producer_epoch;
	int32_t sequence;
	bool is_transactional;
	int64_t timestamp; /* 0: KIT_TIME */
	int32_t leader_epoch;
	enum ot_append_origin origin;
	int64_t base_offset; /* with OT_ORIGIN_LEADER */
	enum ot_compression compression;
};

/* A folder on the host, or on the given simulated disk. */
void kit_init(struct kit *kit, struct ot_fs *fs);
void kit_fini(struct kit *kit);

/* Opens and asserts, or returns the error. */
void kit_open(struct kit *kit, bool is_clean);
ot_err kit_try_open(struct kit *kit, bool is_clean);
void kit_close(struct kit *kit);
void kit_drop(struct kit *kit);

/* Stages one batch; the record at offset o has the value "o:" and filling, if the offsets are the
 * next ones. */
ot_err kit_stage(struct kit *kit, const struct kit_batch *batch, struct ot_log_staged *ret_staged);
ot_err kit_stage_marker(struct kit *kit, int64_t producer_id, int16_t epoch, bool is_commit);
ot_err kit_write(struct kit *kit);

/* Stages and writes, and asserts both. */
struct ot_log_staged kit_append(struct kit *kit, const struct kit_batch *batch);
void kit_append_many(struct kit *kit, uint32_t count);

/* Runs a job on this thread. */
ot_err kit_sync(struct kit *kit, enum ot_log_sync_scope scope);
ot_err kit_chores(struct kit *kit);
struct ot_log_found kit_find(struct kit *kit, int64_t timestamp);

/* Reads all from `from` to the end in steps of `bytes_max`, checks order, CRC and content, and
 * gives the number of records. */
int64_t kit_check_read(struct kit *kit, int64_t from, size_t bytes_max);

/* The bytes of a file in the log's folder; -1 when it is missing. */
int64_t kit_file_bytes(struct kit *kit, const char *name);
void kit_read_file(struct kit *kit, const char *name, struct ot_writer *out);
void kit_write_file(struct kit *kit, const char *name, const void *data, size_t bytes);
void kit_remove_file(struct kit *kit, const char *name);

/* Inverts one byte of a file. */
void kit_damage(struct kit *kit, const char *name, uint64_t place);

/* Rebuilds the indexes of every segment from its records and compares them with the files. The log
 * is open and its indexes are written. */
void kit_check_indexes(struct kit *kit);

#endif
