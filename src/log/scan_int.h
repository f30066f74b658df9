/* Walks the batches of a segment's file, header by header, with or without a look at each CRC.
 *
 * A scan reads through a window of its own and never more of a batch at once than that, whatever
 * the length in its header claims. All three magics are walked, since a folder can be old; only
 * magic 2 has a header beyond offset, timestamp and CRC. */
#ifndef OT_LOG_SCAN_INT_H
#define OT_LOG_SCAN_INT_H

#include "base/text.h"
#include "io/fs.h"
#include "record/batch.h"

enum {
	LOG_SCAN_WINDOW_SMALL = 4096,       /* for walks of a few headers */
	LOG_SCAN_WINDOW_LARGE = 256 * 1024, /* for whole segments */
};

struct log_scan {
	struct ot_file *file; /* not a reference */
	uint64_t place;       /* of the next batch */
	uint64_t end;         /* of the file, or of what is to be walked */
	bool is_checking;     /* CRCs */
	uint8_t *window;      /* the caller's, window_capacity bytes */
	size_t window_capacity;
	uint64_t window_place;
	size_t window_bytes;
	size_t bytes_before; /* the size of the last batch, for reading ahead or not */
};

struct log_scan_batch {
	uint64_t place;
	size_t bytes;
	int64_t base_offset; /* magic 0 and 1: the last offset, which is all that is known */
	int64_t last_offset;
	int64_t max_timestamp;
	int8_t magic;
	struct ot_batch_info info; /* magic 2 only */
};

/* `window` has at least LOG_SCAN_WINDOW_SMALL bytes and lives as long as the scan. */
void log_scan_init(struct log_scan *scan, struct ot_file *file, uint64_t place, uint64_t end,
    uint8_t *window, size_t window_bytes);

/* Says how large the next batch is likely to be: of large ones only the header is read. */
void log_scan_expect(struct log_scan *scan, size_t bytes);

/* Whether the next step would read pages that are not in memory. @blocks never */
bool log_scan_is_cold(const struct log_scan *scan);

/* The next batch; bytes 0 at the end. OT_ERR_CORRUPT_FILE when what stands there is no whole batch
 * (the scan stays there), and says why; OT_ERR_IO. @blocks when cold */
OT_MUST_USE ot_err log_scan_next(struct log_scan *scan, struct log_scan_batch *ret_batch,
    struct ot_why *why);

/* Reads the batch's bytes, which must be fewer than `capacity`: for markers. @blocks when cold */
OT_MUST_USE ot_err log_scan_read(const struct log_scan *scan, const struct log_scan_batch *batch,
    uint8_t *to, size_t capacity);

#endif
