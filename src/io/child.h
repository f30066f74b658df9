/* A process that this one runs, watches and takes along when it ends.
 *
 * The child gets a process group of its own, so that a Ctrl-C in a terminal does not end it before
 * us; no descriptor of ours; and SIGKILL from the kernel when the thread that started it ends, so
 * that a killed parent leaves nothing behind. All of it: @owner the loop's thread
 */
#ifndef OT_IO_CHILD_H
#define OT_IO_CHILD_H

#include "base/text.h"
#include "io/io.h"

struct ot_child;

struct ot_child_conf {
	struct ot_io *io;        /* a loop's (io/loop.h) */
	const char *path;        /* of the program; ot_child_find() */
	const char *const *argv; /* with argv[0], NULL at the end */
	/* One line that it printed, without its end; longer ones are cut. */
	void (*on_line)(void *arg, const char *line);
	/* It has ended: `code` as of exit(), or -1 and the signal that killed it. */
	void (*on_exit)(void *arg, int code, int signal);
	void *arg;
};

/* Starts it. OT_ERR_NOT_FOUND when there is no such program, OT_ERR_IO.   @blocks never */
OT_MUST_USE ot_err ot_child_start(const struct ot_child_conf *conf, struct ot_child **ret_child,
    struct ot_why *why);

/* Asks it to end (SIGTERM); after `grace_ms` it is killed. on_exit follows.   @blocks never */
void ot_child_stop(struct ot_child *child, int64_t grace_ms);

/* For diagnostics.   @blocks never */
int64_t ot_child_pid(const struct ot_child *child);

/* Frees it. One that runs is killed and waited for, without on_exit. Accepts NULL. May be called
 * from on_exit.   @blocks until a killed one is gone */
void ot_child_destroy(struct ot_child *child);

/* Where the program `name` is: beside this one's own file, then in $PATH, then in the usual
 * folders. OT_ERR_NOT_FOUND.   @blocks rarely */
OT_MUST_USE ot_err ot_child_find(const char *name, char *ret_path, size_t bytes);

#endif
