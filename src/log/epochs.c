#include "log/epochs_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/atomic_int.h"
#include "log/rows_int.h"

void
log_epochs_init(struct log_epochs *epochs)
{
	*epochs = (struct log_epochs){ 0 };
}

void
log_epochs_fini(struct log_epochs *epochs)
{
	ot_free(epochs->entries);
	log_epochs_init(epochs);
}

ot_err
log_epochs_reserve(struct log_epochs *epochs, uint32_t count)
{
	if (epochs->count + count <= epochs->capacity)
		return OT_OK;
	uint32_t capacity = OT_MAX(2 * epochs->capacity, epochs->count + count);
	struct log_epoch *entries =
	    ot_realloc(epochs->entries, capacity * sizeof(struct log_epoch));
	if (entries == NULL)
		return OT_ERR_NO_MEMORY;
	epochs->entries = entries;
	epochs->capacity = capacity;
	return OT_OK;
}

bool
log_epochs_assign(struct log_epochs *epochs, int32_t epoch, int64_t start_offset)
{
	OT_ASSERT(epoch >= 0 && start_offset >= 0);
	if (epochs->count > 0) {
		const struct log_epoch *last = &epochs->entries[epochs->count - 1];
		if (epoch == last->epoch && start_offset >= last->start_offset)
			return false;
	}
	while (epochs->count > 0) {
		const struct log_epoch *last = &epochs->entries[epochs->count - 1];
		if (last->epoch < epoch && last->start_offset < start_offset)
			break;
		epochs->count--;
	}
	OT_ASSERT(epochs->count < epochs->capacity);
	epochs->entries[epochs->count++] =
	    (struct log_epoch){ .epoch = epoch, .start_offset = start_offset };
	return true;
}

bool
log_epochs_cut_end(struct log_epochs *epochs, int64_t end_offset)
{
	uint32_t before = epochs->count;
	while (epochs->count > 0 && epochs->entries[epochs->count - 1].start_offset >= end_offset)
		epochs->count--;
	return epochs->count != before;
}

bool
log_epochs_note_batch(struct log_epochs *epochs, int32_t epoch, int64_t base_offset)
{
	bool is_changed = false;
	if (epoch >= 0 && epoch < log_epochs_latest(epochs))
		is_changed = log_epochs_cut_end(epochs, base_offset);
	if (epoch > log_epochs_latest(epochs))
		is_changed = log_epochs_assign(epochs, epoch, base_offset) || is_changed;
	return is_changed;
}

bool
log_epochs_cut_start(struct log_epochs *epochs, int64_t start_offset)
{
	uint32_t gone = 0;
	while (gone < epochs->count && epochs->entries[gone].start_offset <= start_offset)
		gone++;
	if (gone == 0)
		return false;
	gone--;
	bool is_changed = gone > 0 || epochs->entries[0].start_offset != start_offset;
	memmove(epochs->entries, epochs->entries + gone,
	    (epochs->count - gone) * sizeof(struct log_epoch));
	epochs->count -= gone;
	epochs->entries[0].start_offset = start_offset;
	return is_changed;
}

int32_t
log_epochs_latest(const struct log_epochs *epochs)
{
	return epochs->count == 0 ? -1 : epochs->entries[epochs->count - 1].epoch;
}

int32_t
log_epochs_at(const struct log_epochs *epochs, int64_t offset)
{
	int32_t epoch = -1;
	for (uint32_t i = 0; i < epochs->count && epochs->entries[i].start_offset <= offset; i++)
		epoch = epochs->entries[i].epoch;
	return epoch;
}

void
log_epochs_end(const struct log_epochs *epochs, int32_t epoch, int64_t log_end_offset,
    int32_t *ret_epoch, int64_t *ret_end_offset)
{
	*ret_epoch = -1;
	*ret_end_offset = -1;
	if (epoch < 0)
		return;
	if (epoch == log_epochs_latest(epochs)) {
		*ret_epoch = epoch;
		*ret_end_offset = log_end_offset;
		return;
	}
	uint32_t higher = 0;
	while (higher < epochs->count && epochs->entries[higher].epoch <= epoch)
		higher++;
	if (higher == epochs->count)
		return;
	/* Before the first known epoch the records are gone: its start is the best answer. */
	*ret_epoch = higher == 0 ? epoch : epochs->entries[higher - 1].epoch;
	*ret_end_offset = epochs->entries[higher].start_offset;
}

void
log_epochs_print(const struct log_epochs *epochs, struct ot_writer *out)
{
	char row[64];
	int length = snprintf(row, sizeof(row), "0\n%" PRIu32 "\n", epochs->count);
	ot_write_raw(out, row, (size_t)length);
	for (uint32_t i = 0; i < epochs->count; i++) {
		length = snprintf(row, sizeof(row), "%" PRId32 " %" PRId64 "\n",
		    epochs->entries[i].epoch, epochs->entries[i].start_offset);
		ot_write_raw(out, row, (size_t)length);
	}
}

ot_err
log_epochs_write(struct ot_fs *fs, const char *dir, const struct ot_writer *text)
{
	return log_replace_file(fs, dir, LOG_EPOCH_FILE, text->data, text->bytes);
}

static ot_err
parse_row(struct log_epochs *epochs, struct log_rows *rows)
{
	int64_t epoch = 0, start_offset = 0;
	if (!log_rows_int(rows, &epoch) || !log_rows_int(rows, &start_offset) ||
	    !log_rows_end_row(rows))
		return OT_ERR_CORRUPT_FILE;
	if (epoch < 0 || epoch > INT32_MAX || start_offset < 0)
		return OT_ERR_CORRUPT_FILE;
	if (epochs->count > 0) {
		const struct log_epoch *last = &epochs->entries[epochs->count - 1];
		if (epoch <= last->epoch || start_offset < last->start_offset)
			return OT_ERR_CORRUPT_FILE;
	}
	ot_err err = log_epochs_reserve(epochs, 1);
	if (err == OT_OK)
		epochs->entries[epochs->count++] = (struct log_epoch){
			.epoch = (int32_t)epoch,
			.start_offset = start_offset,
		};
	return err;
}

ot_err
log_epochs_parse(struct log_epochs *epochs, const char *text, size_t bytes, struct ot_why *why)
{
	OT_ASSERT(epochs->count == 0);
	struct log_rows rows;
	int64_t count = 0;
	ot_err err = log_rows_open(&rows, text, bytes, 0, &count);
	for (int64_t i = 0; err == OT_OK && i < count; i++)
		err = parse_row(epochs, &rows);
	if (err == OT_OK && !log_rows_is_end(&rows))
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_ERR_CORRUPT_FILE)
		ot_why_set(why, "Line %u of " LOG_EPOCH_FILE " is not what the format demands.",
		    rows.line);
	if (err != OT_OK)
		epochs->count = 0;
	return err;
}
