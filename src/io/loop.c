/* One turn of a loop, in libuv's order:
 *
 *   timers -> [prepare: on_turn_end] -> wait for events, with their callbacks
 *
 * What callbacks staged is flushed by the prepare of the next turn, before the thread may sleep.
 */
#include "io/loop_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/panic.h"

struct loop_job {
	uv_work_t uv;
	struct ot_job *job;
};

static ot_mono_ns
loop_now(struct ot_io *io, bool exact)
{
	struct loop_io *loop = loop_of(io);
	if (exact || loop->now == 0)
		loop->now = uv_hrtime();
	return loop->now;
}

static ot_wall_ms
loop_wall(struct ot_io *io)
{
	(void)io;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (ot_wall_ms)now.tv_sec * 1000 + now.tv_nsec / OT_NS_PER_MS;
}

static void
loop_random(struct ot_io *io, void *to, size_t bytes)
{
	(void)io;
	size_t done = 0;
	while (done < bytes) {
		ssize_t got = getrandom((char *)to + done, bytes - done, 0);
		if (got < 0)
			OT_PANIC("the host gives no random bytes");
		done += (size_t)got;
	}
}

static void
on_timer(uv_timer_t *timer)
{
	struct loop_io *loop = timer->data;
	loop->wake_at = UINT64_MAX;
	ot_io_expire(&loop->io, loop_now(&loop->io, true));
	ot_mono_ns next = ot_io_next_deadline(&loop->io);
	if (next != UINT64_MAX)
		loop->io.ops->wake_at(&loop->io, next);
}

static void
loop_wake_at(struct ot_io *io, ot_mono_ns deadline)
{
	struct loop_io *loop = loop_of(io);
	if (deadline >= loop->wake_at)
		return;
	/* libuv counts in milliseconds from its own reading of the clock; rounding up, so that a
	 * wake-up is never early and the turn never spins. */
	uv_update_time(&loop->uv);
	ot_mono_ns now = uv_hrtime();
	uint64_t delay = deadline > now ? (deadline - now + OT_NS_PER_MS - 1) / OT_NS_PER_MS : 0;
	loop->wake_at = deadline;
	uv_timer_start(&loop->timer, on_timer, delay, 0);
}

static void
run_job(uv_work_t *work)
{
	struct loop_job *job = work->data;
	job->job->work(job->job);
}

static void
finish_job(uv_work_t *work, int status)
{
	OT_ASSERT(status == 0);
	struct loop_job *job = work->data;
	struct ot_job *done = job->job;
	ot_free(job);
	done->done(done);
}

static void
loop_submit(struct ot_io *io, struct ot_job *job)
{
	struct loop_job *wrapped = OT_NEW(struct loop_job);
	wrapped->job = job;
	wrapped->uv.data = wrapped;
	int result = uv_queue_work(&loop_of(io)->uv, &wrapped->uv, run_job, finish_job);
	OT_ASSERT(result == 0);
}

/* An eventfd of our own, since the receiver of a uv_async_send() spins until the sender has come
 * back from its write. A sender that the wake-up preempts is away for long: with more threads than
 * idle cores that spinning was a fifth of all processor time. */
static void
loop_ring(struct ot_io *io)
{
	uint64_t one = 1;
	ssize_t put = write(loop_of(io)->doorbell, &one, sizeof(one));
	OT_ASSERT(put == (ssize_t)sizeof(one));
}

static void
on_doorbell(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct loop_io *loop = poll->data;
	uint64_t count;
	ssize_t got = read(loop->doorbell, &count, sizeof(count));
	OT_ASSERT(got == (ssize_t)sizeof(count) || errno == EAGAIN);
	if (loop->is_stopping)
		uv_stop(&loop->uv);
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct loop_io *loop = prepare->data;
	if (loop->io.on_turn_end != NULL)
		loop->io.on_turn_end(loop->io.turn_arg);
	/* The wait follows: whoever asks first afterwards reads the clock for the whole turn. */
	loop->now = 0;
}

static const struct ot_io_ops loop_ops = {
	.now = loop_now,
	.wall = loop_wall,
	.random = loop_random,
	.wake_at = loop_wake_at,
	.submit = loop_submit,
	.ring = loop_ring,
	.listen = loop_listen,
	.listener_port = loop_listener_port,
	.listener_close = loop_listener_close,
	.listener_want = loop_listener_want,
	.accepted_drop = loop_accepted_drop,
	.adopt = loop_adopt,
	.connect = loop_connect,
	.read = loop_read,
	.write = loop_write,
	.send_file = loop_send_file,
	.want = loop_want,
	.close = loop_close,
};

static void
init_handles(struct loop_io *loop)
{
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_timer_init(&loop->uv, &loop->timer);
	loop->prepare.data = loop->timer.data = loop->doorbell_poll.data = loop;
	uv_prepare_start(&loop->prepare, on_prepare);
	uv_poll_start(&loop->doorbell_poll, UV_READABLE, on_doorbell);
}

ot_err
ot_loop_create(struct ot_io **ret_io)
{
	struct loop_io *loop = OT_NEW(struct loop_io);
	ot_io_init(&loop->io, &loop_ops, ot_fs_host());
	ot_list_init(&loop->signals);
	loop->wake_at = UINT64_MAX;
	loop->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->doorbell < 0 || uv_loop_init(&loop->uv) != 0)
		goto no_loop;
	if (uv_poll_init(&loop->uv, &loop->doorbell_poll, loop->doorbell) != 0)
		goto no_poll;
	init_handles(loop);
	*ret_io = &loop->io;
	return OT_OK;
no_poll:
	uv_loop_close(&loop->uv);
no_loop:
	if (loop->doorbell >= 0)
		close(loop->doorbell);
	ot_free(loop);
	return OT_ERR_IO;
}

void
ot_loop_run(struct ot_io *io)
{
	struct loop_io *loop = loop_of(io);
	/* uv_stop() is forgotten when it was called before the run, so the flag is asked as
	 * well. */
	while (!loop->is_stopping)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->is_stopping = false;
}

void
ot_loop_stop(struct ot_io *io)
{
	struct loop_io *loop = loop_of(io);
	loop->is_stopping = true;
	loop_ring(io);
}

static void
on_loop_signal(uv_signal_t *uv, int number)
{
	struct loop_signal *signal = uv->data;
	signal->on_signal(signal->arg, number);
}

ot_err
ot_loop_on_signal(struct ot_io *io, int number, void (*on_signal)(void *arg, int signal), void *arg)
{
	struct loop_io *loop = loop_of(io);
	struct loop_signal *signal = OT_NEW(struct loop_signal);
	signal->on_signal = on_signal;
	signal->arg = arg;
	uv_signal_init(&loop->uv, &signal->uv);
	signal->uv.data = signal;
	ot_list_push_back(&loop->signals, &signal->link);
	return uv_signal_start(&signal->uv, on_loop_signal, number) == 0 ? OT_OK : OT_ERR_IO;
}

static void
close_if_open(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void
ot_loop_destroy(struct ot_io *io)
{
	if (io == NULL)
		return;
	struct loop_io *loop = loop_of(io);
	io->on_turn_end = NULL;
	uv_walk(&loop->uv, close_if_open, NULL);
	while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
		;
	int result = uv_loop_close(&loop->uv);
	OT_ASSERT(result == 0);
	close(loop->doorbell);
	OT_LIST_FOREACH_SAFE(link, &loop->signals)
		ot_free(OT_CONTAINER_OF(link, struct loop_signal, link));
	ot_io_fini(&loop->io);
	ot_free(loop);
}

void
ot_loop_set_worker_count(unsigned count)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", count);
	setenv("UV_THREADPOOL_SIZE", text, 1);
}
