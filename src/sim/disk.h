/* A simulated disk with a file system on it: the door of io/fs.h with everything that fs.h does not
 * promise made to go wrong, by seed.
 *
 * What reads see and what the disk holds are two things. Writes change the first; ot_file_sync()
 * and ot_fs_sync_dir() carry it over to the second, and so does, unasked and in part, the simulated
 * kernel. When power is lost, each change that was not synced is kept or lost: bytes by 512-byte
 * sector, sizes by themselves, names by operation (a rename wholly or not at all; an operation on a
 * name only together with earlier ones on the same name or file). The file's own sync does not make
 * its name durable.
 *
 * Harsher than most hosts, on purpose: bytes behind a truncation that was not synced can come back,
 * below what was written there since; a new file's name is lost although the file was synced; names
 * in a folder are lost with the folder's own name; after a failed sync later ones succeed and keep
 * nothing; listing gives the names in any order.
 *
 * Faults are planned by the caller ("the 7th write from now fails", "power goes at the 12th
 * change") or drawn by seed at rates. A machine that has stopped answers OT_ERR_CLOSED until it is
 * restarted; files that were open before stay closed for ever and must still be unreferenced.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_SIM_DISK_H
#define OT_SIM_DISK_H

#include "io/fs.h"
#include "sim/trace.h"

struct ot_sim_disk;

/* The kinds of calls, for faults; a mask of them where it says so. */
enum ot_sim_disk_call {
	OT_SIM_OPEN = 1 << 0, /* and lock */
	OT_SIM_READ = 1 << 1,
	OT_SIM_WRITE = 1 << 2,
	OT_SIM_RESERVE = 1 << 3,
	OT_SIM_TRUNCATE = 1 << 4,
	OT_SIM_SYNC = 1 << 5,
	OT_SIM_SYNC_DIR = 1 << 6,
	OT_SIM_RENAME = 1 << 7,
	OT_SIM_REMOVE = 1 << 8,
	OT_SIM_MKDIR = 1 << 9,
	OT_SIM_LIST = 1 << 10,
	OT_SIM_STAT = 1 << 11, /* and space, size */
	OT_SIM_ANY = (1 << 12) - 1,
};

enum ot_sim_stop {
	OT_SIM_KILLED,     /* the process ended: all that was written is there */
	OT_SIM_POWER_LOST, /* the machine ended: what was not synced may be lost */
};

/* Rates, each in a million calls; all 0 but write_back in a new disk. */
struct ot_sim_disk_rates {
	uint32_t write_back;  /* after a change: the kernel writes some dirty sectors by itself */
	uint32_t evict;       /* is_cached: the kernel has dropped the range's clean pages */
	uint32_t read_error;  /* OT_ERR_IO */
	uint32_t write_error; /* OT_ERR_IO: write, reserve, truncate, open, and names */
	uint32_t sync_error;  /* OT_ERR_IO: both syncs */
	uint32_t stall;       /* any call that may wait takes up to stall_ns_max */
	uint64_t stall_ns_max;
};

/* An empty disk of a terabyte with a root folder, running, with a trace of its own. All paths begin
 * at the root, with or without a slash. Single-threaded. @owner the caller's thread, as all below
 */
struct ot_sim_disk *ot_sim_disk_create(uint64_t seed) OT_MUST_USE;

/* Accepts NULL. All files must have been unreferenced. */
void ot_sim_disk_destroy(struct ot_sim_disk *disk);

/* The door for the code under test; the disk's. */
struct ot_fs *ot_sim_disk_fs(struct ot_sim_disk *disk);

/* Lets the disk put its events into another trace, as of this host, and read this clock. Both must
 * outlive the disk. */
void ot_sim_disk_attach(struct ot_sim_disk *disk, struct ot_sim_trace *trace, int32_t host,
    const struct ot_sim_clock *clock);

struct ot_sim_trace *ot_sim_disk_trace(struct ot_sim_disk *disk);

/* ---- stopping and restarting ------------------------------------------------------------- */

/* The machine stops at the n-th change from now (1: the next). That call is done wholly, in part or
 * not at all, by seed, and gives OT_ERR_CLOSED; so do all later ones. 0: never. */
void ot_sim_disk_crash_at(struct ot_sim_disk *disk, uint64_t n);

/* Stops now. */
void ot_sim_disk_stop(struct ot_sim_disk *disk);
bool ot_sim_disk_is_stopped(const struct ot_sim_disk *disk);

/* Called once when the disk stops, from inside the call that stopped it. */
void ot_sim_disk_on_stop(struct ot_sim_disk *disk, void (*on_stop)(void *arg), void *arg);

/* Stops the machine if it runs, takes away what the stop costs, and lets it run again. Plans of
 * failures end; rates and capacity stay. */
void ot_sim_disk_restart(struct ot_sim_disk *disk, enum ot_sim_stop how);

/* A second disk in the same state, stopped, with a seed of its own: to look at many outcomes of one
 * crash, or to crash at every change of one run. Files open on the first are not open on it. */
struct ot_sim_disk *ot_sim_disk_clone(const struct ot_sim_disk *disk, uint64_t seed) OT_MUST_USE;

/* Called before each change; `n` counts them from 1. It may clone the disk, and nothing else. */
void ot_sim_disk_on_change(struct ot_sim_disk *disk, void (*on_change)(void *arg, uint64_t n),
    void *arg);

/* ---- faults ------------------------------------------------------------------------------ */

/* The n-th call from now of a kind in the mask fails with `err`, and with `for_good` all that
 * follow too. A write may have been done in part; a failed sync leaves what was unsynced in an
 * unknown state. n = 0: nothing fails any more. */
void ot_sim_disk_fail_at(struct ot_sim_disk *disk, unsigned calls, uint64_t n, ot_err err,
    bool for_good);

/* All calls at a path and below it fail with OT_ERR_IO from now on, as if another disk were mounted
 * there and had failed; NULL: none do. Restarts change nothing of it. */
void ot_sim_disk_lose(struct ot_sim_disk *disk, const char *path);

void ot_sim_disk_set_rates(struct ot_sim_disk *disk, const struct ot_sim_disk_rates *rates);

/* The size of the disk, in pages of 4,096 bytes. It may be set below what is used: nothing more can
 * be written then until enough is removed. */
void ot_sim_disk_set_capacity(struct ot_sim_disk *disk, uint64_t bytes);
uint64_t ot_sim_disk_bytes_used(const struct ot_sim_disk *disk);

/* Inverts one bit of what the disk holds at the place; reads see it where the page is clean.
 * OT_ERR_NOT_FOUND: no such file, or the place is behind its end on the disk. */
OT_MUST_USE ot_err ot_sim_disk_flip(struct ot_sim_disk *disk, const char *path, uint64_t place,
    unsigned bit);

/* The same for one bit of the file by seed, and says where. OT_ERR_NOT_FOUND when it is empty. */
OT_MUST_USE ot_err ot_sim_disk_flip_any(struct ot_sim_disk *disk, const char *path,
    uint64_t *ret_place);

/* ---- looking at it ----------------------------------------------------------------------- */

/* All calls, and those that change something (of which crash_at counts), since creation. */
uint64_t ot_sim_disk_call_count(const struct ot_sim_disk *disk);
uint64_t ot_sim_disk_change_count(const struct ot_sim_disk *disk);

/* Files that are referenced: for tests of leaks. */
uint64_t ot_sim_disk_open_count(const struct ot_sim_disk *disk);

/* Writes, reservations and cuts of files whose sync had failed, which io/fs.h forbids. */
uint64_t ot_sim_disk_violation_count(const struct ot_sim_disk *disk);

/* What a standalone disk tells as the time of a change. */
void ot_sim_disk_set_wall(struct ot_sim_disk *disk, ot_wall_ms wall);

/* The virtual time that calls have taken since this was last asked. */
uint64_t ot_sim_disk_take_cost(struct ot_sim_disk *disk);

#endif
