/* What a process has used: processor time to the nanosecond, resident memory.
 *
 * A measurement is the difference of two readings around a steady window, so that neither start nor
 * end of a run is part of it. Also here: the clock, and the way out when a benchmark cannot go on.
 *
 * @owner any thread   @blocks for the files of /proc
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/defs.h"

struct meter {
	uint64_t time_ns;
	uint64_t cpu_ns;     /* of the server's threads, user and system */
	uint64_t own_cpu_ns; /* of this process */
};

/* CLOCK_MONOTONIC. */
uint64_t meter_now_ns(void);

/* `pid` 0: no server. */
struct meter meter_read(pid_t pid);

/* A line of /proc/PID/status in KiB, "VmRSS" or "VmHWM"; 0 when it cannot be read. */
uint64_t meter_memory_kib(pid_t pid, const char *name);

/* Prints the reason on stderr and ends the process with status 2. @blocks never */
void meter_die(const char *fmt, ...) OT_PRINTF(1, 2) OT_NORETURN;

#endif
