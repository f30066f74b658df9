/* The frame of Kafka's checkpoint files, which are text: a line with the version, a line with the
 * number of rows, then that many rows of fields with one space between. */
#ifndef OT_LOG_ROWS_INT_H
#define OT_LOG_ROWS_INT_H

#include "base/text.h"

struct log_rows {
	const char *next;
	const char *end;
	unsigned line; /* from 1: where the reader is */
};

/* Reads the first two lines. OT_ERR_CORRUPT_FILE for another version or a count that is none. */
OT_MUST_USE ot_err log_rows_open(struct log_rows *rows, const char *text, size_t bytes,
    int64_t version, int64_t *ret_count);

/* The next field of the row as a number; false when it is none. */
bool log_rows_int(struct log_rows *rows, int64_t *ret_value);

/* The next field as text; false when there is none. */
bool log_rows_text(struct log_rows *rows, struct ot_str *ret_text);

/* Goes to the next row; false when this one has more fields. */
bool log_rows_end_row(struct log_rows *rows);

/* Whether all has been read; a last empty line is nothing. */
bool log_rows_is_end(const struct log_rows *rows);

#endif
