#include "base/err.h"

#include <errno.h>

struct err_row {
	ot_err err;
	const char *name;
	const char *message;
	bool retriable;
	int16_t wire;
};

static const struct err_row err_rows[] = {
#define OT_ERR_ROW(symbol, name, retriable, wire, message) \
	{ symbol, name, message, retriable, (int16_t)(wire) },
	OT_ERR_TABLE(OT_ERR_ROW)
#undef OT_ERR_ROW
};

static const struct err_row *
find_row(ot_err err)
{
	const struct err_row *fallback = NULL;
	for (size_t i = 0; i < OT_ARRAY_COUNT(err_rows); i++) {
		if (err_rows[i].err == err)
			return &err_rows[i];
		if (err_rows[i].err == OT_ERR_UNKNOWN_SERVER_ERROR)
			fallback = &err_rows[i];
	}
	return fallback;
}

const char *
ot_err_name(ot_err err)
{
	return find_row(err)->name;
}

const char *
ot_err_message(ot_err err)
{
	return find_row(err)->message;
}

bool
ot_err_is_retriable(ot_err err)
{
	return find_row(err)->retriable;
}

int16_t
ot_err_to_wire(ot_err err)
{
	return err == OT_OK ? 0 : find_row(err)->wire;
}

ot_err
ot_err_from_wire(int16_t code)
{
	return find_row((ot_err)code)->err;
}

ot_err
ot_err_from_errno(int number)
{
	switch (number) {
	case 0:
		return OT_OK;
	case ENOSPC:
	case EDQUOT:
		return OT_ERR_NO_SPACE;
	case ENOENT:
		return OT_ERR_NOT_FOUND;
	case EEXIST:
		return OT_ERR_EXISTS;
	case ENOMEM:
		return OT_ERR_NO_MEMORY;
	case EMFILE:
	case ENFILE:
		return OT_ERR_NO_FILES;
	default:
		return OT_ERR_IO;
	}
}
