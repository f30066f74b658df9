/* The names of files in a partition's folder: 20 digits of an offset, a suffix for the kind, and
 * one more while the file is on its way in or out (".deleted", ".cleaned", ".swap"). */
#include "log/log_int.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"

enum { OFFSET_DIGITS = 20 };

static const char *const kind_suffix[] = {
	[LOG_FILE_LOG] = ".log",
	[LOG_FILE_INDEX] = ".index",
	[LOG_FILE_TIMEINDEX] = ".timeindex",
	[LOG_FILE_TXNINDEX] = ".txnindex",
	[LOG_FILE_SNAPSHOT] = ".snapshot",
};

static const char *const state_suffix[] = {
	[LOG_STATE_LIVE] = "",
	[LOG_STATE_DELETED] = ".deleted",
	[LOG_STATE_CLEANED] = ".cleaned",
	[LOG_STATE_SWAP] = ".swap",
};

/* The offset in the first 20 characters, or -1. */
static int64_t
parse_offset(const char *name)
{
	uint64_t offset = 0;
	for (int i = 0; i < OFFSET_DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		if (offset > (uint64_t)INT64_MAX / 10)
			return -1;
		offset = offset * 10 + (uint64_t)(name[i] - '0');
	}
	return offset <= (uint64_t)INT64_MAX ? (int64_t)offset : -1;
}

struct log_name
log_name_parse(const char *name)
{
	struct log_name none = { .kind = LOG_FILE_OTHER, .state = LOG_STATE_LIVE, .offset = -1 };
	struct log_name parsed = { .offset = parse_offset(name) };
	if (parsed.offset < 0)
		return none;
	const char *rest = name + OFFSET_DIGITS;
	for (size_t kind = 0; kind < OT_ARRAY_COUNT(kind_suffix); kind++) {
		size_t bytes = strlen(kind_suffix[kind]);
		if (strncmp(rest, kind_suffix[kind], bytes) != 0)
			continue;
		for (size_t state = 0; state < OT_ARRAY_COUNT(state_suffix); state++) {
			if (strcmp(rest + bytes, state_suffix[state]) != 0)
				continue;
			parsed.kind = (enum log_file_kind)kind;
			parsed.state = (enum log_file_state)state;
			return parsed;
		}
	}
	return none;
}

void
log_path(char path[LOG_PATH_BYTES], const char *dir, int64_t offset, enum log_file_kind kind,
    enum log_file_state state)
{
	OT_ASSERT(kind < LOG_FILE_OTHER && offset >= 0);
	int length = snprintf(path, LOG_PATH_BYTES, "%s/%020lld%s%s", dir, (long long)offset,
	    kind_suffix[kind], state_suffix[state]);
	OT_ASSERT(length > 0 && length < LOG_PATH_BYTES);
}

void
log_path_named(char path[LOG_PATH_BYTES], const char *dir, const char *name)
{
	int length = snprintf(path, LOG_PATH_BYTES, "%s/%s", dir, name);
	OT_ASSERT(length > 0 && length < LOG_PATH_BYTES);
}
