/* The simulated doors of one thread: struct ot_io on a machine of a simulated world.
 *
 * A thread works in turns, as production's does: it wakes some time after something happened, calls
 * the timers that are due, then, in an order by seed, the streams that are ready, the jobs that are
 * done and the connections that came, and then on_turn_end. While it works time passes for it, by
 * what the callbacks and the disk calls cost, and the next turn begins no earlier.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_SIM_SIM_IO_H
#define OT_SIM_SIM_IO_H

#include "sim/world.h"

/* A new thread of a machine that is up. */
struct ot_io *ot_sim_io_create(struct ot_sim_host *host) OT_MUST_USE;

/* Its streams and listeners must have been closed and its jobs be done. Accepts NULL. */
void ot_sim_io_destroy(struct ot_io *io);

/* What is still in use: for tests of leaks. */
uint32_t ot_sim_io_stream_count(const struct ot_io *io);
uint32_t ot_sim_io_job_count(const struct ot_io *io);

struct ot_sim_host *ot_sim_io_host(struct ot_io *io);

#endif
