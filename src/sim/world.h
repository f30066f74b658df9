/* A simulated world: virtual time, machines with clocks and disks, and the network between them.
 *
 * One thread runs everything. What happens is an event at a moment of world time, and the world
 * takes the earliest one until nobody wants more. A machine (host) has a disk, clocks of its own,
 * and threads: each `struct ot_io` of the machine is one (sim/sim_io.h). Whatever is not fixed by
 * the code under test (delays, the order of what happens at once, sizes of reads) is drawn from the
 * world's seed, so that one seed is one history; ot_sim_trace_hash() proves it.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_SIM_WORLD_H
#define OT_SIM_WORLD_H

#include "io/io.h"
#include "sim/disk.h"
#include "sim/random.h"

struct ot_sim_world;
struct ot_sim_host;

/* Times in nanoseconds, rates in a million. A new world has moderate delays and no faults. */
struct ot_sim_net {
	uint64_t delay_ns_least; /* of a segment from one host to another */
	uint64_t delay_ns_most;
	uint64_t spike_ns_most; /* what a delayed segment (a lost one, sent again) takes more */
	uint32_t spike;         /* segments that are so delayed */
	uint32_t reset;         /* segments that break their connection instead of arriving */
	uint32_t short_io;      /* reads and writes that move less than they could */
	uint32_t spurious;      /* turns in which a stream is called with nothing to do */
	uint32_t window_bytes_least; /* bytes on their way per connection and direction */
	uint32_t window_bytes_most;
	uint64_t patience_ns; /* a sender whose bytes are not acknowledged for so long gives up */
};

struct ot_sim_cpu {
	uint64_t wake_ns_most;     /* from an event until the thread's turn begins */
	uint64_t callback_ns_most; /* what a callback takes */
	uint64_t job_ns_most;      /* from ot_io_submit() until a worker takes the job */
};

/* ---- the world --------------------------------------------------------------------------- */

struct ot_sim_world *ot_sim_world_create(uint64_t seed) OT_MUST_USE;

/* Ends everything, hosts and disks with it. All ios and files must have been ended. Accepts NULL.
 */
void ot_sim_world_destroy(struct ot_sim_world *world);

struct ot_sim_trace *ot_sim_world_trace(struct ot_sim_world *world);
ot_mono_ns ot_sim_world_now(const struct ot_sim_world *world);

/* For the scenario's own decisions: a stream of its own. */
struct ot_sim_random *ot_sim_world_random(struct ot_sim_world *world);

void ot_sim_world_set_net(struct ot_sim_world *world, const struct ot_sim_net *net);
struct ot_sim_net ot_sim_world_net(const struct ot_sim_world *world);
void ot_sim_world_set_cpu(struct ot_sim_world *world, const struct ot_sim_cpu *cpu);

/* Called whenever another simulated thread begins to run: with its io, or NULL for a worker and for
 * the world itself. Whoever keeps something per thread sets it here. */
void ot_sim_world_on_switch(struct ot_sim_world *world,
    void (*on_switch)(void *arg, struct ot_io *io), void *arg);

/* Calls `run` once at the moment, or at once in the next step when that is past. */
void ot_sim_world_at(struct ot_sim_world *world, ot_mono_ns at, void (*run)(void *arg), void *arg);
void ot_sim_world_in_ms(struct ot_sim_world *world, uint64_t ms, void (*run)(void *arg), void *arg);

/* Runs the next event; false when there is none. */
bool ot_sim_world_step(struct ot_sim_world *world);

/* Runs all events up to a moment, and makes it now. */
void ot_sim_world_run_for_ms(struct ot_sim_world *world, uint64_t ms);

/* Runs until the condition holds after some event; false if it does not within the time. */
bool ot_sim_world_run_until(struct ot_sim_world *world, bool (*holds)(void *arg), void *arg,
    uint64_t ms_most);

/* ---- machines ---------------------------------------------------------------------------- */

/* A running machine with an empty disk; `address` is numeric, and no other's. The world's. */
struct ot_sim_host *ot_sim_host_create(struct ot_sim_world *world, const char *address);

struct ot_sim_disk *ot_sim_host_disk(struct ot_sim_host *host);
struct ot_fs *ot_sim_host_fs(struct ot_sim_host *host);
const char *ot_sim_host_address(const struct ot_sim_host *host);
int32_t ot_sim_host_index(const struct ot_sim_host *host); /* from 0, as in the trace */
bool ot_sim_host_is_up(const struct ot_sim_host *host);

/* Ends all that runs on the machine, at this moment or, when its own code is on the stack, right
 * after the callback. Killed: the kernel closes its connections. Power lost: they fall silent, and
 * the disk loses what was not synced. The disk stopping by its own plan (ot_sim_disk_crash_at) does
 * the same, power lost. From now on its ios do nothing more; they are ended with the objects that
 * use them, see ot_sim_host_drain(). */
void ot_sim_host_crash(struct ot_sim_host *host, enum ot_sim_stop how);

/* Called after each crash, with nothing of the machine's on the stack: the place to end the ios. */
void ot_sim_host_on_crash(struct ot_sim_host *host, void (*on_crash)(void *arg), void *arg);

/* After a crash: does the jobs that are outstanding, on a disk that answers OT_ERR_CLOSED, calls
 * their `done`, and lets threads end turns, until nothing is left, so that the objects that wait
 * for them can end. None of it has an effect outside of the machine's memory. */
void ot_sim_host_drain(struct ot_sim_host *host);

/* Starts a machine that has crashed and whose ios are gone. New ios may be made then. */
void ot_sim_host_restart(struct ot_sim_host *host);

/* Nothing of the machine runs for so long, workers neither, while its kernel goes on receiving:
 * SIGSTOP, a stopped virtual machine, a long page fault. */
void ot_sim_host_freeze_ms(struct ot_sim_host *host, uint64_t ms);
bool ot_sim_host_is_frozen(const struct ot_sim_host *host);

/* The wall clock jumps by so much. */
void ot_sim_host_jump_ms(struct ot_sim_host *host, int64_t ms);

/* From now on both clocks run faster (slower if negative) by so many millionths, at most 100,000.
 */
void ot_sim_host_drift(struct ot_sim_host *host, int32_t per_million);

/* ---- network faults ---------------------------------------------------------------------- */

/* Nothing arrives any more on the way from one machine to the other; senders try again, as TCP
 * does, until it is healed or their patience ends. */
void ot_sim_net_cut(struct ot_sim_host *from, struct ot_sim_host *to);
void ot_sim_net_heal(struct ot_sim_host *from, struct ot_sim_host *to);
bool ot_sim_net_is_cut(const struct ot_sim_host *from, const struct ot_sim_host *to);

/* Both ways between this machine and all others. */
void ot_sim_net_isolate(struct ot_sim_host *host);
void ot_sim_net_heal_all(struct ot_sim_world *world);

/* Breaks a connection between the two at random, for both ends; false when there is none. */
bool ot_sim_net_reset_one(struct ot_sim_host *a, struct ot_sim_host *b);

uint32_t ot_sim_net_connection_count(const struct ot_sim_world *world);

#endif
