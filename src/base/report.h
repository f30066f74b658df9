/* Reports: one line each, for the people who run the server. ("log" means the partition log.)
 *
 *   2026-01-31T12:00:00.123Z WARN  log  topic-3: ...
 *
 * Libraries never report errors; the function that decides what to do reports once, with context.
 * The sink writes the line; base does no I/O, so main() sets the sink before anything reports.
 */
#ifndef OT_BASE_REPORT_H
#define OT_BASE_REPORT_H

#include "base/defs.h"
#include "base/time.h"

enum ot_report_level {
	OT_REPORT_DEBUG,
	OT_REPORT_INFO,
	OT_REPORT_WARN,
	OT_REPORT_ERROR,
};

/* Takes one finished line without a newline. Called from any thread, so it must be thread-safe. */
typedef void ot_report_sink(enum ot_report_level level, const char *area, const char *line);

/* @owner main thread, before others start */
void ot_report_set_sink(ot_report_sink *sink, enum ot_report_level least);

/* `area` is a room's name. Lines longer than 1,000 bytes are cut; newlines become spaces.
 * @owner any thread   @blocks as the sink does */
void ot_report(enum ot_report_level level, const char *area, const char *fmt, ...) OT_PRINTF(3, 4);

/* Lets a few lines of a kind through each second, so that what a flood of peers or requests causes
 * does not fill the disk with reports of it. */
struct ot_report_gate {
	ot_mono_ns since; /* of the second in which `count` counts */
	uint32_t count;
};

/* Whether one more line may be reported. @owner the gate's   @blocks never */
bool ot_report_may(struct ot_report_gate *gate, ot_mono_ns now);

/* How many lines were kept back in a second that is over; each is told of once. Ask before
 * ot_report_may(), and where there is a timer, there too. @owner the gate's   @blocks never */
uint32_t ot_report_skipped(struct ot_report_gate *gate, ot_mono_ns now);

#define OT_DEBUG_REPORT(area, ...) ot_report(OT_REPORT_DEBUG, area, __VA_ARGS__)
#define OT_INFO(area, ...)         ot_report(OT_REPORT_INFO, area, __VA_ARGS__)
#define OT_WARN(area, ...)         ot_report(OT_REPORT_WARN, area, __VA_ARGS__)
#define OT_ERROR(area, ...)        ot_report(OT_REPORT_ERROR, area, __VA_ARGS__)

#endif
