#include "base/text.h"

#include <stdio.h>

static void
text_put_va(struct ot_text *text, const char *fmt, va_list args)
{
	if (text->bytes + 1 >= text->bytes_max)
		return;
	size_t room = text->bytes_max - text->bytes;
	int length = vsnprintf(text->data + text->bytes, room, fmt, args);
	if (length > 0)
		text->bytes += OT_MIN((size_t)length, room - 1);
}

void
ot_text_put(struct ot_text *text, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	text_put_va(text, fmt, args);
	va_end(args);
}

void
ot_why_set(struct ot_why *why, const char *fmt, ...)
{
	if (why == NULL)
		return;
	struct ot_text text = OT_TEXT(why->text);
	va_list args;
	va_start(args, fmt);
	text_put_va(&text, fmt, args);
	va_end(args);
}
