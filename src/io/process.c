#include "io/process.h"

#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/panic.h"

struct ot_thread {
	pthread_t thread;
	void (*run)(void *arg);
	void *arg;
	char name[16];
};

static void *
run_thread(void *arg)
{
	struct ot_thread *thread = arg;
	pthread_setname_np(pthread_self(), thread->name);
	thread->run(thread->arg);
	return NULL;
}

struct ot_thread *
ot_thread_start(const char *name, void (*run)(void *arg), void *arg)
{
	struct ot_thread *thread = OT_NEW(struct ot_thread);
	thread->run = run;
	thread->arg = arg;
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	int result = pthread_create(&thread->thread, NULL, run_thread, thread);
	if (result != 0)
		OT_PANIC("cannot start thread %s: %s", name, strerror(result));
	return thread;
}

void
ot_thread_join(struct ot_thread *thread)
{
	pthread_join(thread->thread, NULL);
	ot_free(thread);
}

void
ot_report_to_stderr(enum ot_report_level level, const char *area, const char *line)
{
	static const char *const names[] = { "DEBUG", "INFO", "WARN", "ERROR" };
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	char text[1200];
	int length =
	    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-5s %-8s %s\n",
		utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
		utc.tm_sec, now.tv_nsec / 1000000, names[level], area, line);
	if (length > 0)
		(void)!write(STDERR_FILENO, text, OT_MIN((size_t)length, sizeof(text) - 1));
}

uint64_t
ot_process_file_limit(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : UINT64_MAX;
}

uint64_t
ot_process_raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return ot_process_file_limit();
}

void
ot_process_ignore_sigpipe(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int status = sigaction(SIGPIPE, &ignore, NULL);
	OT_ASSERT(status == 0);
}

unsigned
ot_process_cpu_count(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned)OT_MAX(CPU_COUNT(&set), 1);
}

void
ot_process_host_name(char *ret_name, size_t bytes)
{
	char name[256] = "localhost";
	(void)gethostname(name, sizeof(name) - 1);
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_family = AF_UNSPEC };
	struct addrinfo *found = NULL;
	bool is_known = getaddrinfo(name, NULL, &hints, &found) == 0;
	/* A name that nobody can look up would send every client astray. */
	if (!is_known)
		snprintf(ret_name, bytes, "localhost");
	else
		snprintf(ret_name, bytes, "%s",
		    found->ai_canonname != NULL ? found->ai_canonname : name);
	if (is_known)
		freeaddrinfo(found);
}

void
ot_process_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (path == NULL || strlen(path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* An abstract address is written with '@' where it has a NUL. */
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
	close(fd);
}

uint64_t
ot_process_resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	if (file == NULL)
		return 0;
	char line[128];
	const char *text = fgets(line, sizeof(line), file);
	fclose(file);
	/* Pages: all of the address space, those resident, and more. */
	text = text != NULL ? strchr(text, ' ') : NULL;
	return text != NULL ? strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t
ot_process_memory_bytes(void)
{
	uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
	if (file == NULL)
		return bytes;
	char line[64];
	const char *text = fgets(line, sizeof(line), file);
	fclose(file);
	/* The word "max" reads as 0: no bound. */
	uint64_t bound = text != NULL ? strtoull(text, NULL, 10) : 0;
	return bound > 0 ? OT_MIN(bytes, bound) : bytes;
}
