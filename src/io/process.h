/* What a process asks of the host once: threads, limits, its name, its supervisor. Tools and the
 * server's start use it; cores do not. */
#ifndef OT_IO_PROCESS_H
#define OT_IO_PROCESS_H

#include "base/err.h"
#include "base/report.h"

struct ot_thread;

/* Starts a thread called `name` (at most 15 bytes are shown). @owner any thread */
struct ot_thread *ot_thread_start(const char *name, void (*run)(void *arg), void *arg);

/* Waits for its end and frees it. @owner the starter   @blocks until the thread has ended */
void ot_thread_join(struct ot_thread *thread);

/* A report sink that writes lines to standard error, each in one call. @owner any thread */
void ot_report_to_stderr(enum ot_report_level level, const char *area, const char *line);

/* Lifts the limit of open files to what the host allows; gives the limit. @owner main thread */
uint64_t ot_process_raise_file_limit(void);

/* How many files and connections the process may have open. @owner any thread */
uint64_t ot_process_file_limit(void);

/* A peer that has gone is an error of the write, not a signal. @owner main thread */
void ot_process_ignore_sigpipe(void);

/* Processors that this process may use; at least 1. @owner any thread */
unsigned ot_process_cpu_count(void);

/* The host's full name as others know it, "localhost" when it has none. @owner any thread
 * @blocks for a name look-up */
void ot_process_host_name(char *ret_name, size_t bytes);

/* Tells the supervisor a state ("READY=1") by the protocol of sd_notify(3), if there is one.
 * @owner any thread   @blocks never */
void ot_process_notify(const char *state);

/* Memory of the machine, or of the control group that the process is bound to, whichever is less.
 * @owner any thread */
uint64_t ot_process_memory_bytes(void);

/* Memory that the process holds in RAM, in bytes; 0 when the host does not tell. @owner any thread
 */
uint64_t ot_process_resident_bytes(void);

#endif
