/* Lifecycle, faults and figures of the simulated disk. */
#include "sim/disk_int.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"

enum {
	DISK_TRACE_EVENTS = 256,
	DISK_WRITE_BACK_PER_MILLION = 50 * 1000,
	DISK_CALL_NS = 2 * OT_NS_PER_US,
	DISK_SYNC_NS = 200 * OT_NS_PER_US,
};
#define DISK_BYTES_DEFAULT (1024 * OT_GIB)

struct ot_sim_disk *
ot_sim_disk_create(uint64_t seed)
{
	struct ot_sim_disk *disk = OT_NEW(struct ot_sim_disk);
	disk->base.ops = &sim_disk_ops;
	ot_sim_random_init(&disk->random, seed);
	disk->trace = disk->trace_own = ot_sim_trace_create(seed, DISK_TRACE_EVENTS);
	disk->clock = &disk->clock_own;
	disk->host = -1;
	disk->rates.write_back = DISK_WRITE_BACK_PER_MILLION;
	disk->pages_capacity = DISK_BYTES_DEFAULT / SIM_PAGE_BYTES;
	disk->generation = 1;
	ot_list_init(&disk->inodes);
	ot_list_init(&disk->name_ops);
	disk->root = sim_inode_create(disk, true);
	sim_inode_ref(disk->root);
	return disk;
}

void
ot_sim_disk_destroy(struct ot_sim_disk *disk)
{
	if (disk == NULL)
		return;
	OT_ASSERT(disk->open_count == 0);
	sim_names_clear(disk);
	/* Links are no references; without them each inode goes with its last name. */
	OT_LIST_FOREACH(link, &disk->inodes)
		OT_CONTAINER_OF(link, struct sim_inode, link)->links = 0;
	sim_inode_unref(disk, disk->root);
	OT_ASSERT(ot_list_is_empty(&disk->inodes) && disk->pages_used == 0);
	ot_sim_trace_destroy(disk->trace_own);
	ot_free(disk);
}

struct ot_fs *
ot_sim_disk_fs(struct ot_sim_disk *disk)
{
	return &disk->base;
}

void
ot_sim_disk_attach(struct ot_sim_disk *disk, struct ot_sim_trace *trace, int32_t host,
    const struct ot_sim_clock *clock)
{
	ot_sim_trace_destroy(disk->trace_own);
	disk->trace_own = NULL;
	disk->trace = trace;
	disk->host = host;
	disk->clock = clock;
}

struct ot_sim_trace *
ot_sim_disk_trace(struct ot_sim_disk *disk)
{
	return disk->trace;
}

/* ---- stopping and restarting ------------------------------------------------------------ */

void
ot_sim_disk_crash_at(struct ot_sim_disk *disk, uint64_t n)
{
	disk->crash_countdown = n;
}

static void
put_event(struct ot_sim_disk *disk, const char *verb, uint64_t a, uint64_t b)
{
	const struct ot_sim_event event = { .verb = verb,
		.a = a,
		.b = b,
		.host = disk->host,
		.at = disk->clock->world };
	ot_sim_trace_put(disk->trace, &event);
}

void
ot_sim_disk_stop(struct ot_sim_disk *disk)
{
	if (disk->is_stopped)
		return;
	disk->is_stopped = true;
	put_event(disk, "stop", disk->change_count, disk->generation);
	if (disk->on_stop != NULL)
		disk->on_stop(disk->on_stop_arg);
}

bool
ot_sim_disk_is_stopped(const struct ot_sim_disk *disk)
{
	return disk->is_stopped;
}

void
ot_sim_disk_on_stop(struct ot_sim_disk *disk, void (*on_stop)(void *arg), void *arg)
{
	disk->on_stop = on_stop;
	disk->on_stop_arg = arg;
}

void
ot_sim_disk_on_change(struct ot_sim_disk *disk, void (*on_change)(void *arg, uint64_t n), void *arg)
{
	disk->on_change = on_change;
	disk->on_change_arg = arg;
}

void
ot_sim_disk_restart(struct ot_sim_disk *disk, enum ot_sim_stop how)
{
	ot_sim_disk_stop(disk);
	OT_LIST_FOREACH(link, &disk->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		inode->is_locked = false;
	}
	/* What was open is no longer reached by a call, so it takes no space either. */
	OT_LIST_FOREACH(link, &disk->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		inode->opens = 0;
		sim_inode_charge(disk, inode);
	}
	if (how == OT_SIM_POWER_LOST) {
		sim_power_lost(disk);
		disk->boot++;
	}
	disk->generation++;
	disk->crash_countdown = 0;
	disk->plan = (struct sim_plan){ 0 };
	disk->is_stopped = false;
	put_event(disk, how == OT_SIM_POWER_LOST ? "power lost" : "killed", disk->generation, 0);
}

/* ---- faults ----------------------------------------------------------------------------- */

void
ot_sim_disk_fail_at(struct ot_sim_disk *disk, unsigned calls, uint64_t n, ot_err err, bool for_good)
{
	OT_ASSERT(n == 0 || err != OT_OK);
	disk->plan =
	    (struct sim_plan){ .calls = calls, .countdown = n, .err = err, .for_good = for_good };
}

void
ot_sim_disk_set_rates(struct ot_sim_disk *disk, const struct ot_sim_disk_rates *rates)
{
	disk->rates = *rates;
}

void
ot_sim_disk_lose(struct ot_sim_disk *disk, const char *path)
{
	OT_ASSERT(path == NULL || strlen(path) < sizeof(disk->lost_path));
	snprintf(disk->lost_path, sizeof(disk->lost_path), "%s", path != NULL ? path : "");
}

static bool
is_lost(const struct ot_sim_disk *disk, const char *path)
{
	size_t bytes = strlen(disk->lost_path);
	return bytes > 0 && strncmp(path, disk->lost_path, bytes) == 0 &&
	       (path[bytes] == '/' || path[bytes] == '\0');
}

static ot_err
planned_error(struct ot_sim_disk *disk, enum ot_sim_disk_call kind)
{
	struct sim_plan *plan = &disk->plan;
	if (plan->countdown == 0 || (plan->calls & kind) == 0)
		return OT_OK;
	if (plan->countdown > 1) {
		plan->countdown--;
		return OT_OK;
	}
	if (!plan->for_good)
		plan->countdown = 0;
	return plan->err;
}

static ot_err
random_error(struct ot_sim_disk *disk, enum ot_sim_disk_call kind, bool is_change)
{
	uint32_t rate = 0;
	if (kind == OT_SIM_READ)
		rate = disk->rates.read_error;
	else if (kind == OT_SIM_SYNC || kind == OT_SIM_SYNC_DIR)
		rate = disk->rates.sync_error;
	else if (is_change)
		rate = disk->rates.write_error;
	return ot_sim_random_chance(&disk->random, rate) ? OT_ERR_IO : OT_OK;
}

/* How much is done of a call that fails, or during which the machine stops. Names change wholly or
 * not at all; a name that could not be changed has not been. */
static enum sim_apply
apply_of_failure(struct ot_sim_disk *disk, enum ot_sim_disk_call kind, bool is_stop)
{
	bool has_parts = kind == OT_SIM_WRITE || kind == OT_SIM_SYNC;
	if (has_parts && !is_stop)
		return ot_sim_random_below(&disk->random, 2) ? SIM_APPLY_PART : SIM_APPLY_NONE;
	if (!is_stop)
		return SIM_APPLY_NONE;
	switch (ot_sim_random_below(&disk->random, 3)) {
	case 0:
		return SIM_APPLY_NONE;
	case 1:
		return has_parts ? SIM_APPLY_PART : SIM_APPLY_NONE;
	default:
		return SIM_APPLY_ALL;
	}
}

static void
add_cost(struct ot_sim_disk *disk, enum ot_sim_disk_call kind)
{
	uint64_t cost = DISK_CALL_NS;
	if (kind == OT_SIM_SYNC || kind == OT_SIM_SYNC_DIR)
		cost += DISK_SYNC_NS + ot_sim_random_below(&disk->random, DISK_SYNC_NS);
	if (disk->rates.stall_ns_max > 0 && ot_sim_random_chance(&disk->random, disk->rates.stall))
		cost += ot_sim_random_below(&disk->random, disk->rates.stall_ns_max);
	disk->cost_ns += cost;
	disk->clock_own.world += cost;
	disk->clock_own.mono += cost;
}

struct sim_call
sim_call_begin(struct ot_sim_disk *disk, enum ot_sim_disk_call kind, bool is_change,
    const char *path)
{
	struct sim_call call = { .kind = kind, .apply = SIM_APPLY_NONE, .err = OT_ERR_CLOSED };
	if (disk->is_stopped)
		return call;
	disk->call_count++;
	add_cost(disk, kind);
	if (is_change) {
		disk->change_count++;
		if (disk->on_change != NULL)
			disk->on_change(disk->on_change_arg, disk->change_count);
	}
	if (is_change && disk->crash_countdown > 0 && --disk->crash_countdown == 0) {
		call.apply = apply_of_failure(disk, kind, true);
		ot_sim_disk_stop(disk);
		return call;
	}
	call.err = is_lost(disk, path) ? OT_ERR_IO : planned_error(disk, kind);
	if (call.err == OT_OK)
		call.err = random_error(disk, kind, is_change);
	call.apply = SIM_APPLY_ALL;
	if (call.err != OT_OK)
		call.apply = apply_of_failure(disk, kind, false);
	return call;
}

ot_err
sim_call_end(struct ot_sim_disk *disk, const struct sim_call *call, ot_err err,
    const struct ot_sim_event *event)
{
	struct ot_sim_event full = *event;
	full.err = call->err != OT_OK ? call->err : err;
	full.host = disk->host;
	full.at = disk->clock->world;
	ot_sim_trace_put(disk->trace, &full);
	return full.err;
}

void
ot_sim_disk_set_capacity(struct ot_sim_disk *disk, uint64_t bytes)
{
	disk->pages_capacity = bytes / SIM_PAGE_BYTES;
}

uint64_t
ot_sim_disk_bytes_used(const struct ot_sim_disk *disk)
{
	return disk->pages_used * SIM_PAGE_BYTES;
}

static void
flip_in(struct sim_content *content, uint64_t place, unsigned bit)
{
	sim_content_own(content, place / SIM_PAGE_BYTES)[place % SIM_PAGE_BYTES] ^=
	    (uint8_t)(1u << bit);
}

static void
flip_inode(struct ot_sim_disk *disk, struct sim_inode *inode, uint64_t place, unsigned bit)
{
	uint64_t index = place / SIM_PAGE_BYTES;
	bool is_clean =
	    sim_content_page(&inode->cached, index) == sim_content_page(&inode->durable, index);
	flip_in(&inode->durable, place, bit);
	if (is_clean) {
		sim_content_share(&inode->cached, index, sim_content_page(&inode->durable, index));
		sim_inode_recount(disk, inode);
	}
	put_event(disk, "flip", place, bit);
}

ot_err
ot_sim_disk_flip(struct ot_sim_disk *disk, const char *path, uint64_t place, unsigned bit)
{
	OT_ASSERT(bit < 8);
	struct sim_inode *inode = NULL;
	ot_err err = sim_lookup(disk, path, &inode);
	if (err != OT_OK)
		return err;
	if (inode->is_dir || place >= inode->bytes_durable)
		return OT_ERR_NOT_FOUND;
	flip_inode(disk, inode, place, bit);
	return OT_OK;
}

ot_err
ot_sim_disk_flip_any(struct ot_sim_disk *disk, const char *path, uint64_t *ret_place)
{
	struct sim_inode *inode = NULL;
	ot_err err = sim_lookup(disk, path, &inode);
	if (err != OT_OK)
		return err;
	if (inode->is_dir || inode->bytes_durable == 0)
		return OT_ERR_NOT_FOUND;
	*ret_place = ot_sim_random_below(&disk->random, inode->bytes_durable);
	flip_inode(disk, inode, *ret_place, (unsigned)ot_sim_random_below(&disk->random, 8));
	return OT_OK;
}

/* ---- figures ---------------------------------------------------------------------------- */

uint64_t
ot_sim_disk_call_count(const struct ot_sim_disk *disk)
{
	return disk->call_count;
}

uint64_t
ot_sim_disk_change_count(const struct ot_sim_disk *disk)
{
	return disk->change_count;
}

uint64_t
ot_sim_disk_open_count(const struct ot_sim_disk *disk)
{
	return disk->open_count;
}

uint64_t
ot_sim_disk_violation_count(const struct ot_sim_disk *disk)
{
	return disk->violation_count;
}

void
ot_sim_disk_set_wall(struct ot_sim_disk *disk, ot_wall_ms wall)
{
	disk->clock_own.wall = wall;
}

uint64_t
ot_sim_disk_take_cost(struct ot_sim_disk *disk)
{
	uint64_t cost = disk->cost_ns;
	disk->cost_ns = 0;
	return cost;
}
