#include "cli/line_input_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum {
	LINE_INPUT_BYTES = 256 * OT_KIB, /* as much as a read of a pipe or file usefully gives */
};

/* A view's length is an int32. */
#define LINE_BYTES_MAX ((size_t)INT32_MAX)

void
line_input_init(struct line_input *in, int fd, bool ends_at_cr)
{
	*in = (struct line_input){ .fd = fd, .ends_at_cr = ends_at_cr };
	in->capacity = LINE_INPUT_BYTES;
	in->buffer = ot_must_alloc(in->capacity);
}

void
line_input_fini(struct line_input *in)
{
	ot_free(in->buffer);
	in->buffer = NULL;
}

/* Where the line ends, or NULL. */
static const char *
find_end(const struct line_input *in)
{
	const char *from = in->buffer + in->scanned;
	size_t bytes = in->end - in->scanned;
	const char *lf = memchr(from, '\n', bytes);
	if (!in->ends_at_cr)
		return lf;
	const char *cr = memchr(from, '\r', lf != NULL ? (size_t)(lf - from) : bytes);
	return cr != NULL ? cr : lf;
}

static void
hand_out(struct line_input *in, size_t end, struct ot_bytes *ret_line)
{
	*ret_line = (struct ot_bytes){ (const uint8_t *)in->buffer + in->begin,
		(int32_t)(end - in->begin) };
}

enum line_input_state
line_input_next(struct line_input *in, struct ot_bytes *ret_line)
{
	if (in->skips_lf && in->begin < in->end) {
		in->begin += in->buffer[in->begin] == '\n';
		in->scanned = OT_MAX(in->scanned, in->begin);
		in->skips_lf = false;
	}
	const char *found = find_end(in);
	if (found != NULL) {
		size_t end = (size_t)(found - in->buffer);
		hand_out(in, end, ret_line);
		in->skips_lf = *found == '\r';
		in->begin = in->scanned = end + 1;
		return LINE_INPUT_LINE;
	}
	in->scanned = in->end;
	if (!in->is_at_end)
		return LINE_INPUT_MORE;
	if (in->begin == in->end)
		return LINE_INPUT_END;
	hand_out(in, in->end, ret_line);
	in->begin = in->end;
	return LINE_INPUT_LINE;
}

/* Makes room behind what is there: moves it to the front, and doubles what is full. */
static ot_err
make_room(struct line_input *in)
{
	if (in->begin > 0) {
		memmove(in->buffer, in->buffer + in->begin, in->end - in->begin);
		in->scanned -= in->begin;
		in->end -= in->begin;
		in->begin = 0;
	}
	if (in->end < in->capacity)
		return OT_OK;
	size_t capacity = OT_MIN(in->capacity * 2, LINE_BYTES_MAX);
	char *grown = capacity > in->capacity ? ot_realloc(in->buffer, capacity) : NULL;
	if (grown == NULL)
		return OT_ERR_NO_MEMORY;
	in->buffer = grown;
	in->capacity = capacity;
	return OT_OK;
}

ot_err
line_input_fill(struct line_input *in)
{
	ot_err err = make_room(in);
	if (err != OT_OK) {
		in->is_at_end = true;
		return err;
	}
	ssize_t count = read(in->fd, in->buffer + in->end, in->capacity - in->end);
	if (count > 0) {
		in->end += (size_t)count;
	} else if (count == 0) {
		in->is_at_end = true;
	} else if (errno != EINTR && errno != EAGAIN) {
		in->is_at_end = true;
		return OT_ERR_IO;
	}
	return OT_OK;
}
