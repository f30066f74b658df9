#include "base/report.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { REPORT_GATE_PER_SECOND = 10 };

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

uint32_t
ot_report_skipped(struct ot_report_gate *gate, ot_mono_ns now)
{
	uint32_t count = gate->count;
	if (now - gate->since < OT_NS_PER_S)
		return 0;
	gate->since = now;
	gate->count = 0;
	return count > REPORT_GATE_PER_SECOND ? count - REPORT_GATE_PER_SECOND : 0;
}

bool
ot_report_may(struct ot_report_gate *gate, ot_mono_ns now)
{
	if (now - gate->since >= OT_NS_PER_S) {
		gate->since = now;
		gate->count = 0;
	}
	return ++gate->count <= REPORT_GATE_PER_SECOND;
}
