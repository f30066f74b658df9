/* fork and exec by hand: libuv's own cannot ask for the signal at the parent's death. A pidfd tells
 * the loop of the end, a pipe brings what the child prints. Between fork and exec only calls that
 * are safe after a fork of a threaded process.
 */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "io/loop_int.h"

enum { LINE_BYTES = 1024, EXIT_NO_EXEC = 127 };

struct ot_child {
	struct ot_child_conf conf; /* [const] but path and argv, which end with the start */
	pid_t pid;                 /* [const] */
	int pidfd;
	int output;
	uv_poll_t pidfd_poll;
	uv_poll_t output_poll;
	int handle_count; /* that libuv still has */
	struct ot_timer kill;
	char line[LINE_BYTES];
	size_t line_bytes;
	bool is_ended;
	bool is_destroyed;
};

/* ---- the start ------------------------------------------------------------------------------ */

/* In the child. Ends in the program, or in exit code 127. */
static void
become(const struct ot_child_conf *conf, int output, pid_t parent)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before the line above. */
	if (getppid() != parent || null < 0)
		_exit(EXIT_NO_EXEC);
	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		_exit(EXIT_NO_EXEC);
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	execv(conf->path, (char *const *)conf->argv);
	_exit(EXIT_NO_EXEC);
}

static void
take_line(struct ot_child *child)
{
	child->line[child->line_bytes] = '\0';
	if (child->line_bytes > 0 && !child->is_destroyed && child->conf.on_line != NULL)
		child->conf.on_line(child->conf.arg, child->line);
	child->line_bytes = 0;
}

static void
take_output(struct ot_child *child, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n')
			take_line(child);
		else if (child->line_bytes < LINE_BYTES - 1)
			child->line[child->line_bytes++] = bytes[i];
	}
}

/* Reads what is there; false at the end. */
static bool
read_output(struct ot_child *child)
{
	char bytes[4096];
	ssize_t got = read(child->output, bytes, sizeof(bytes));

	if (got > 0)
		take_output(child, bytes, (size_t)got);
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static void
on_output(uv_poll_t *poll, int status, int events)
{
	struct ot_child *child = poll->data;

	(void)events;
	if (status < 0 || !read_output(child))
		uv_poll_stop(poll);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct ot_child *child = handle->data;

	if (--child->handle_count > 0)
		return;
	close(child->pidfd);
	close(child->output);
	ot_free(child);
}

/* Waits for a child that has ended, or is about to. */
static int
reap(struct ot_child *child)
{
	int status = 0;

	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->is_ended = true;
	ot_timer_cancel(child->conf.io, &child->kill);
	uv_poll_stop(&child->pidfd_poll);
	return status;
}

static void
on_pidfd(uv_poll_t *poll, int poll_status, int events)
{
	struct ot_child *child = poll->data;
	int status;

	(void)poll_status;
	(void)events;
	status = reap(child);
	while (read_output(child) && errno != EAGAIN)
		errno = 0;
	take_line(child);
	child->conf.on_exit(child->conf.arg, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void
on_kill_due(struct ot_timer *timer)
{
	struct ot_child *child = OT_CONTAINER_OF(timer, struct ot_child, kill);

	kill(child->pid, SIGKILL);
}

static void
watch(struct ot_child *child)
{
	uv_loop_t *loop = &loop_of(child->conf.io)->uv;
	int failed = uv_poll_init(loop, &child->pidfd_poll, child->pidfd);

	failed |= uv_poll_init(loop, &child->output_poll, child->output);
	OT_ASSERT(failed == 0);
	child->pidfd_poll.data = child->output_poll.data = child;
	child->handle_count = 2;
	uv_poll_start(&child->pidfd_poll, UV_READABLE, on_pidfd);
	uv_poll_start(&child->output_poll, UV_READABLE, on_output);
}

ot_err
ot_child_start(const struct ot_child_conf *conf, struct ot_child **ret_child, struct ot_why *why)
{
	struct ot_child *child;
	pid_t parent = getpid(), pid;
	int ends[2], pidfd;

	if (access(conf->path, X_OK) != 0) {
		ot_why_set(why, "%s cannot be run: %s", conf->path, strerror(errno));
		return OT_ERR_NOT_FOUND;
	}
	if (pipe2(ends, O_CLOEXEC) != 0) {
		ot_why_set(why, "no pipe for %s: %s", conf->path, strerror(errno));
		return OT_ERR_IO;
	}
	pid = fork();
	if (pid == 0)
		become(conf, ends[1], parent);
	close(ends[1]);
	pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		ot_why_set(why, "%s cannot be started: %s", conf->path, strerror(errno));
		close(ends[0]);
		if (pid > 0) {
			kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
		}
		return OT_ERR_IO;
	}
	(void)fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child = OT_NEW(struct ot_child);
	child->conf = *conf;
	child->pid = pid;
	child->pidfd = pidfd;
	child->output = ends[0];
	ot_timer_init(&child->kill, on_kill_due);
	watch(child);
	*ret_child = child;
	return OT_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

void
ot_child_stop(struct ot_child *child, int64_t grace_ms)
{
	if (child->is_ended)
		return;
	kill(child->pid, SIGTERM);
	/* One that was stopped would not see it. */
	kill(child->pid, SIGCONT);
	ot_timer_arm_in_ms(child->conf.io, &child->kill, grace_ms);
}

int64_t
ot_child_pid(const struct ot_child *child)
{
	return child->pid;
}

void
ot_child_destroy(struct ot_child *child)
{
	if (child == NULL)
		return;
	child->is_destroyed = true;
	if (!child->is_ended) {
		kill(child->pid, SIGKILL);
		(void)reap(child);
	}
	uv_poll_stop(&child->output_poll);
	uv_close((uv_handle_t *)&child->pidfd_poll, on_handle_closed);
	uv_close((uv_handle_t *)&child->output_poll, on_handle_closed);
}

/* ---- finding programs ----------------------------------------------------------------------- */

static bool
is_program(const char *folder, size_t folder_bytes, const char *name, char *ret_path, size_t bytes)
{
	int length = snprintf(ret_path, bytes, "%.*s/%s", (int)folder_bytes, folder, name);

	return length > 0 && (size_t)length < bytes && access(ret_path, X_OK) == 0;
}

ot_err
ot_child_find(const char *name, char *ret_path, size_t bytes)
{
	const char *path = getenv("PATH");
	char own[1024];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char list[4096];
	const char *folder = list, *end;

	own[length > 0 ? length : 0] = '\0';
	end = strrchr(own, '/');
	if (end != NULL && is_program(own, (size_t)(end - own), name, ret_path, bytes))
		return OT_OK;
	(void)snprintf(list, sizeof(list), "%s:/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin",
	    path != NULL ? path : "");
	while (*folder != '\0') {
		size_t folder_bytes = strcspn(folder, ":");

		if (folder_bytes > 0 && is_program(folder, folder_bytes, name, ret_path, bytes))
			return OT_OK;
		folder += folder_bytes + (folder[folder_bytes] == ':' ? 1 : 0);
	}
	return OT_ERR_NOT_FOUND;
}
