/* The leader epochs of a log: which leader's epoch wrote from which offset on (KIP-101).
 *
 * The file leader-epoch-checkpoint is text:
 *
 *   0                    version
 *   2                    number of rows
 *   0 0                  epoch, start offset
 *   3 120
 *
 * Epochs and start offsets rise. It is derived: batches carry their epoch, so after a crash the
 * rows behind the recovery point are found again while scanning; those before it were written by
 * the job that moved the recovery point. */
#ifndef OT_LOG_EPOCHS_INT_H
#define OT_LOG_EPOCHS_INT_H

#include "base/text.h"
#include "io/fs.h"

#define LOG_EPOCH_FILE "leader-epoch-checkpoint"

struct log_epoch {
	int32_t epoch;
	int64_t start_offset;
};

struct log_epochs {
	struct log_epoch *entries; /* rising */
	uint32_t count;
	uint32_t capacity;
};

void log_epochs_init(struct log_epochs *epochs);
void log_epochs_fini(struct log_epochs *epochs);

/* Room for one more entry: assigning cannot fail then. OT_ERR_NO_MEMORY. */
OT_MUST_USE ot_err log_epochs_reserve(struct log_epochs *epochs, uint32_t count);

/* Notes where an epoch begins, and drops entries that contradict it. An epoch that is the latest
 * already changes nothing; one before it drops all from there on, as Kafka does. True when
 * something changed. Room was reserved. */
bool log_epochs_assign(struct log_epochs *epochs, int32_t epoch, int64_t start_offset);

/* Notes the epoch of a batch (-1: none) that lies at `base_offset`, the end of what is noted. A
 * replica may have led in epochs in which it wrote nothing, and then be given batches of an earlier
 * epoch, which it had not fetched by then: those epochs were never the log's, and go. True when
 * something changed. Room was reserved. */
bool log_epochs_note_batch(struct log_epochs *epochs, int32_t epoch, int64_t base_offset);

/* Drops entries that begin at `end_offset` or later; true when there were any. */
bool log_epochs_cut_end(struct log_epochs *epochs, int64_t end_offset);

/* Drops entries that ended before `start_offset`; the one that holds it begins there then. */
bool log_epochs_cut_start(struct log_epochs *epochs, int64_t start_offset);

/* -1 when there is none. */
int32_t log_epochs_latest(const struct log_epochs *epochs);
int32_t log_epochs_at(const struct log_epochs *epochs, int64_t offset);

/* As ot_log_epoch_end(). */
void log_epochs_end(const struct log_epochs *epochs, int32_t epoch, int64_t log_end_offset,
    int32_t *ret_epoch, int64_t *ret_end_offset);

/* Appends the file's text. The writer fails without memory. */
void log_epochs_print(const struct log_epochs *epochs, struct ot_writer *out);

/* Puts that text into the folder as LOG_EPOCH_FILE. @blocks: worker */
OT_MUST_USE ot_err log_epochs_write(struct ot_fs *fs, const char *dir,
    const struct ot_writer *text);

/* Reads the file's text into empty `epochs`. OT_ERR_CORRUPT_FILE, `why` says where; NO_MEMORY. */
OT_MUST_USE ot_err log_epochs_parse(struct log_epochs *epochs, const char *text, size_t bytes,
    struct ot_why *why);

#endif
