#include "meter.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t
meter_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The first number in a file of /proc: of schedstat, the time on a processor. */
static uint64_t
first_number(const char *path)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return 0;
	char line[100];
	uint64_t number = 0;
	if (fgets(line, sizeof(line), file) != NULL)
		number = strtoull(line, NULL, 10);
	fclose(file);
	return number;
}

/* The scheduler counts nanoseconds per thread; /proc/PID/stat would count hundredths of a second.
 * A thread that ends in the window takes its time with it: no server here does that. */
static uint64_t
process_cpu_ns(pid_t pid)
{
	char path[300];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (tasks == NULL)
		meter_die("no process %d to measure", (int)pid);
	uint64_t total = 0;
	for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
		total += first_number(path);
	}
	closedir(tasks);
	return total;
}

struct meter
meter_read(pid_t pid)
{
	return (struct meter){
		.time_ns = meter_now_ns(),
		.cpu_ns = pid > 0 ? process_cpu_ns(pid) : 0,
		.own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
	};
}

uint64_t
meter_memory_kib(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = pid > 0 ? fopen(path, "re") : NULL;
	if (file == NULL)
		return 0;
	char line[200];
	size_t name_bytes = strlen(name);
	uint64_t kib = 0;
	while (kib == 0 && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, name_bytes) == 0 && line[name_bytes] == ':')
			kib = strtoull(line + name_bytes + 1, NULL, 10);
	}
	fclose(file);
	return kib;
}

void
meter_die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}
