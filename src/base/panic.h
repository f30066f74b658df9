/* Assertions, and the stop that follows when one fails.
 *
 * A failed assertion is a bug of ours, never a peer's or the disk's mistake: bytes that come from
 * outside are validated before any assertion sees them. A panic prints what is known and aborts,
 * so that a supervisor restarts a process whose memory can be trusted again. Assertions stay on
 * in release builds; OT_ASSERT_HOT is for measured inner loops and is compiled in debug only.
 */
#ifndef OT_BASE_PANIC_H
#define OT_BASE_PANIC_H

#include "base/defs.h"

/* Prints the message with its place, the dumps that were registered, and aborts.
 * @owner any thread   @blocks until the dump is written */
void ot_panic(const char *file, int line, const char *fmt, ...) OT_PRINTF(3, 4) OT_NORETURN;

/* Registers a function that writes more about the process to `fd` when it panics (the simulator's
 * seed, a shard's current operation). At most 8; more are ignored. It must not allocate.
 * @owner main thread, at start   @blocks never */
void ot_panic_add_dump(void (*dump)(int fd));

#define OT_PANIC(...) ot_panic(__FILE__, __LINE__, __VA_ARGS__)
#define OT_ASSERT(cond) \
	(OT_LIKELY(cond) ? (void)0 : ot_panic(__FILE__, __LINE__, "assertion failed: %s", #cond))

#ifdef OT_DEBUG
#define OT_ASSERT_HOT(cond) OT_ASSERT(cond)
#else
#define OT_ASSERT_HOT(cond) ((void)0)
#endif

#endif
