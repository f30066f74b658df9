/* The body of a job, for this folder only. */
#ifndef OT_LOG_JOBS_INT_H
#define OT_LOG_JOBS_INT_H

#include "log/log_int.h"

enum log_job_kind { LOG_JOB_SYNC, LOG_JOB_CHORE, LOG_JOB_FIND };

/* What a search by time knows of a segment. */
struct log_find_segment {
	int64_t base_offset;
	uint64_t bytes;
	int64_t max_timestamp; /* LOG_TIMESTAMP_UNKNOWN: the time index tells */
	uint32_t offset_count; /* entries in the files */
	uint32_t time_count;
};

struct log_find {
	int64_t timestamp;
	int64_t start_offset;
	struct log_find_segment *segments;
	uint32_t segment_count;
	/* of the segment that is looked at */
	struct ot_file *file;
	struct log_index offset_index;
	struct log_index time_index;
	struct ot_log_found found;
};

struct ot_log_job {
	enum log_job_kind kind;
	struct ot_fs *fs;
	char *dir;
	ot_err err;

	/* sync */
	enum ot_log_sync_scope scope;
	struct ot_file **files;
	uint32_t file_count;
	uint32_t file_capacity;
	int64_t end_offset;
	uint64_t bytes_unsynced;
	struct log_snapshot *snapshots;
	uint32_t snapshot_count;
	int64_t snapshot_gone; /* one to remove, or -1 */
	bool is_dir_synced;
	bool is_parent_synced;
	bool is_sync_failed;

	/* sync and chore */
	bool has_epochs;
	struct ot_writer epoch_text;

	/* chore */
	struct ot_file *write_back_file;
	uint64_t write_back_place;
	uint64_t write_back_bytes;
	struct log_retired *retired;
	uint32_t retired_count;
	uint32_t retired_done;

	struct log_find find;
};

struct ot_log_job *log_job_create(const struct ot_log *log, enum log_job_kind kind) OT_MUST_USE;
void log_job_destroy(struct ot_log_job *job);

/* find.c */
void log_find_run(struct ot_log_job *job);

#endif
