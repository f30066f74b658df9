/* What opening a log shares between its files: load.c (names and leftovers), recover.c (scanning
 * and rebuilding), replay.c (producers). For this folder only. */
#ifndef OT_LOG_OPEN_INT_H
#define OT_LOG_OPEN_INT_H

#include "log/log_int.h"

struct log_opening {
	struct ot_log *log;
	const struct ot_log_open_args *args;
	struct ot_log_open_result *result;
	struct log_name *names; /* of the folder's files that belong to segments */
	uint32_t name_count;
	uint32_t name_capacity;
	uint8_t *window; /* LOG_SCAN_WINDOW_LARGE bytes */
	int64_t recovery_point;
	bool may_have_gaps; /* between offsets, by compaction */
	/* What is trusted ends here: the first offset that was scanned, or that an index of aborted
	 * transactions must be rebuilt from; INT64_MAX for nothing. */
	int64_t doubt_from;
	bool is_changed; /* files were cut or removed */
};

/* Lists the folder; names that are none of a segment's are left out. */
OT_MUST_USE ot_err log_list_names(struct log_opening *opening);

/* Finishes or undoes what was going on with files when the log was last used. */
OT_MUST_USE ot_err log_clear_leftovers(struct log_opening *opening);

/* Makes a segment of each file of records, with the sizes of its files. */
OT_MUST_USE ot_err log_load_segments(struct log_opening *opening);

/* Removes the files of segments [first, end of list) and drops them, the newest first. */
OT_MUST_USE ot_err log_remove_segments_from(struct log_opening *opening, uint32_t first);

/* Checks, scans, cuts and rebuilds, until the segments are what the log consists of. */
OT_MUST_USE ot_err log_recover_segments(struct log_opening *opening);

/* Reads the epochs' file; true in `ret_is_lost` when it must be rebuilt from the batches. */
OT_MUST_USE ot_err log_load_epochs(struct log_opening *opening, bool *ret_is_lost);
OT_MUST_USE ot_err log_rebuild_epochs(struct log_opening *opening);

#endif
