#include "log/rows_int.h"

#include <string.h>

static bool
is_field_end(char byte)
{
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

bool
log_rows_text(struct log_rows *rows, struct ot_str *ret_text)
{
	while (rows->next < rows->end && (*rows->next == ' ' || *rows->next == '\t'))
		rows->next++;
	const char *begin = rows->next;
	while (rows->next < rows->end && !is_field_end(*rows->next))
		rows->next++;
	if (rows->next == begin || rows->next - begin > INT32_MAX)
		return false;
	*ret_text = (struct ot_str){ .data = begin, .len = (int32_t)(rows->next - begin) };
	return true;
}

bool
log_rows_int(struct log_rows *rows, int64_t *ret_value)
{
	struct ot_str text;
	if (!log_rows_text(rows, &text))
		return false;
	bool is_negative = text.data[0] == '-';
	int32_t first = is_negative ? 1 : 0;
	if (first == text.len)
		return false;
	int64_t value = 0;
	for (int32_t i = first; i < text.len; i++) {
		int64_t digit = text.data[i] - '0';
		if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = is_negative ? -value : value;
	return true;
}

bool
log_rows_end_row(struct log_rows *rows)
{
	while (rows->next < rows->end && *rows->next != '\n') {
		if (!is_field_end(*rows->next))
			return false;
		rows->next++;
	}
	if (rows->next < rows->end)
		rows->next++;
	rows->line++;
	return true;
}

bool
log_rows_is_end(const struct log_rows *rows)
{
	for (const char *at = rows->next; at < rows->end; at++) {
		if (!is_field_end(*at))
			return false;
	}
	return true;
}

ot_err
log_rows_open(struct log_rows *rows, const char *text, size_t bytes, int64_t version,
    int64_t *ret_count)
{
	*rows = (struct log_rows){ .next = text, .end = text + bytes, .line = 1 };
	int64_t found = 0, count = 0;
	if (!log_rows_int(rows, &found) || found != version || !log_rows_end_row(rows))
		return OT_ERR_CORRUPT_FILE;
	if (!log_rows_int(rows, &count) || count < 0 || !log_rows_end_row(rows))
		return OT_ERR_CORRUPT_FILE;
	*ret_count = count;
	return OT_OK;
}
