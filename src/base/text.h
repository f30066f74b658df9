/* Text that grows up to a fixed bound, for messages to people: what does not fit is cut, never an
 * error. The storage is the caller's. */
#ifndef OT_BASE_TEXT_H
#define OT_BASE_TEXT_H

#include <stdarg.h>

#include "base/bytes.h"

struct ot_text {
	char *data; /* always ends in NUL once anything was put */
	size_t bytes_max;
	size_t bytes; /* without the NUL */
};

/* Room for one explanation to a user: rule, value, remedy. */
struct ot_why {
	char text[400];
};

#define OT_TEXT(array) ((struct ot_text){ .data = (array), .bytes_max = sizeof(array) })

/* Appends formatted text. @owner the text's   @blocks never */
void ot_text_put(struct ot_text *text, const char *fmt, ...) OT_PRINTF(2, 3);

/* Fills `why`, which may be NULL when the caller does not care.
 * @owner the why's   @blocks never */
void ot_why_set(struct ot_why *why, const char *fmt, ...) OT_PRINTF(2, 3);

#endif
