#include "base/report.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static ot_report_sink *report_sink;
static _Atomic int report_least = OT_REPORT_INFO; /* [atomic] */

void
ot_report_set_sink(ot_report_sink *sink, enum ot_report_level least)
{
	report_sink = sink;
	atomic_store(&report_least, (int)least);
}

void
ot_report(enum ot_report_level level, const char *area, const char *fmt, ...)
{
	if (report_sink == NULL || (int)level < atomic_load(&report_least))
		return;
	char line[1000];
	va_list args;
	va_start(args, fmt);
	int length = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (length < 0)
		return;
	for (char *place = line; *place != '\0'; place++) {
		if (*place == '\n' || *place == '\r')
			*place = ' ';
	}
	report_sink(level, area, line);
}
