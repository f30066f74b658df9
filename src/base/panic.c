#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PANIC_DUMP_COUNT_MAX = 8 };

static void (*panic_dumps[PANIC_DUMP_COUNT_MAX])(int fd);
static size_t panic_dump_count;

void
ot_panic_add_dump(void (*dump)(int fd))
{
	if (panic_dump_count < PANIC_DUMP_COUNT_MAX)
		panic_dumps[panic_dump_count++] = dump;
}

void
ot_panic(const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	int length = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (length < 0)
		text[0] = '\0';
	dprintf(STDERR_FILENO, "PANIC %s:%d: %s\n", file, line, text);
	/* Dumps are taken once: a panic inside a dump must not loop. */
	size_t count = panic_dump_count;
	panic_dump_count = 0;
	for (size_t i = 0; i < count; i++)
		panic_dumps[i](STDERR_FILENO);
	abort();
}
