/* The production implementation of struct ot_io: one libuv loop for one thread. */
#ifndef OT_IO_LOOP_H
#define OT_IO_LOOP_H

#include "io/io.h"

/* @owner the creating thread; the loop moves to the thread that runs it */
OT_MUST_USE ot_err ot_loop_create(struct ot_io **ret_io);

/* Runs until ot_loop_stop(). @owner the loop's thread from now on   @blocks until stopped */
void ot_loop_run(struct ot_io *io);

/* Lets ot_loop_run() return after this turn. @owner any thread */
void ot_loop_stop(struct ot_io *io);

/* Closes what is left and frees. Streams and listeners must have been closed. Accepts NULL.
 * @owner the creating thread, after the run */
void ot_loop_destroy(struct ot_io *io);

/* Calls `on_signal` on the loop's thread for each delivery of the signal. @owner the loop's */
OT_MUST_USE ot_err ot_loop_on_signal(struct ot_io *io, int signal,
    void (*on_signal)(void *arg, int signal), void *arg);

/* The number of worker threads for jobs of all loops, 1..1024; before the first job.
 * @owner main thread, at start */
void ot_loop_set_worker_count(unsigned count);

#endif
