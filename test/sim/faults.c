/* Faults by seed. */
#include "faults.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "user.h"

enum { REPAIRS_MAX = 256, DOWN_MS_MOST = 8000 };

const char *const fault_names[FAULT_COUNT] = {
	[FAULT_KILL] = "kill",
	[FAULT_POWER] = "power",
	[FAULT_DISK_POWER] = "disk-power",
	[FAULT_RESTART] = "restart",
	[FAULT_FREEZE] = "freeze",
	[FAULT_CUT] = "cut",
	[FAULT_ISOLATE] = "isolate",
	[FAULT_RESET] = "reset",
	[FAULT_SLOW_NET] = "slow-net",
	[FAULT_STALL] = "stall",
	[FAULT_FULL] = "full",
	[FAULT_DISK_ERROR] = "disk-error",
	[FAULT_CLOCK] = "clock",
	[FAULT_LOG_CUT] = "log-cut",
	[FAULT_LOG_OUTAGE] = "log-outage",
	[FAULT_LOG_DEPOSE] = "log-depose",
	[FAULT_LOG_LOSS] = "log-loss",
	[FAULT_USER] = "user",
};

/* The end of a fault. */
struct repair {
	uint64_t at_ms;
	void (*run)(struct faults *faults, int32_t a, int32_t b);
	int32_t a, b;
};

struct faults {
	struct sim *sim;
	struct ot_sim_random random;
	struct repair repairs[REPAIRS_MAX];
	int32_t repair_count;
	uint64_t next_ms;
	bool is_damaged[CLUSTER_BROKERS_MAX + 1]; /* its disk has failed: restart it in the end */
	bool was_full[CLUSTER_BROKERS_MAX + 1];   /* the same, for what could not be opened */
	struct ot_sim_net net;                    /* as it is without faults */
};

static uint64_t
between(struct faults *faults, uint64_t least, uint64_t most)
{
	return ot_sim_random_between(&faults->random, least, most);
}

static bool
one_in(struct faults *faults, uint64_t n)
{
	return ot_sim_random_below(&faults->random, n) == 0;
}

static struct cluster_broker *
broker_of(struct faults *faults, int32_t id)
{
	return cluster_broker(&faults->sim->cluster, id);
}

static int32_t
any_broker(struct faults *faults)
{
	return (int32_t)between(faults, 1, (uint64_t)faults->sim->plan.broker_count);
}

static void
repair_in_ms(struct faults *faults, uint64_t ms,
    void (*run)(struct faults *faults, int32_t a, int32_t b), int32_t a, int32_t b)
{
	if (faults->repair_count == REPAIRS_MAX) {
		run(faults, a, b);
		return;
	}
	faults->repairs[faults->repair_count++] =
	    (struct repair){ sim_now_ms(faults->sim) + ms, run, a, b };
}

/* ---- brokers -------------------------------------------------------------------------------- */

/* After a sync has failed, the page cache says what the disk has not, and later syncs say nothing
 * of it. No process can know that from its disk; so whoever runs the machine starts it anew, too.
 */
static void
crash(struct faults *faults, int32_t id, enum ot_sim_stop how)
{
	if (faults->is_damaged[id])
		how = OT_SIM_POWER_LOST;
	faults->is_damaged[id] = false;
	cluster_crash(&faults->sim->cluster, id, how);
}

static void
start_again(struct faults *faults, int32_t id, int32_t unused)
{
	(void)unused;
	if (faults->sim->is_ending)
		return;
	if (broker_of(faults, id)->broker == NULL && faults->is_damaged[id])
		crash(faults, id, OT_SIM_POWER_LOST);
	cluster_start(&faults->sim->cluster, id);
}

void
faults_note_down(struct faults *faults, int32_t broker_id)
{
	uint64_t ms =
	    one_in(faults, 3) ? between(faults, 0, 300) : between(faults, 300, DOWN_MS_MOST);

	repair_in_ms(faults, ms, start_again, broker_id, 0);
}

static int32_t
down_count(struct faults *faults)
{
	int32_t count = 0;

	for (int32_t id = 1; id <= faults->sim->plan.broker_count; id++)
		count += !broker_of(faults, id)->is_ready;
	return count;
}

/* Whether one more broker may go. */
static bool
may_take_down(struct faults *faults)
{
	return down_count(faults) < faults->sim->plan.down_most;
}

static void
kill_broker(struct faults *faults)
{
	if (may_take_down(faults))
		crash(faults, any_broker(faults), OT_SIM_KILLED);
}

static void
cut_power(struct faults *faults)
{
	if (may_take_down(faults))
		crash(faults, any_broker(faults), OT_SIM_POWER_LOST);
}

static void
cut_power_at_write(struct faults *faults)
{
	struct cluster_broker *broker = broker_of(faults, any_broker(faults));

	if (may_take_down(faults) && cluster_is_running(broker))
		ot_sim_disk_crash_at(ot_sim_host_disk(broker->host), between(faults, 1, 60));
}

static void
restart_broker(struct faults *faults)
{
	int32_t id = any_broker(faults);

	if (!may_take_down(faults) || !cluster_is_running(broker_of(faults, id)))
		return;
	cluster_stop(&faults->sim->cluster, id);
	/* Starting does nothing while it is still stopping: so it is tried until the end. */
	for (int32_t i = 0; i < 4; i++)
		repair_in_ms(faults, between(faults, 100, DOWN_MS_MOST), start_again, id, 0);
}

static void
freeze_broker(struct faults *faults)
{
	uint64_t most = one_in(faults, 3) ? 12000 : 2000;

	ot_sim_host_freeze_ms(broker_of(faults, any_broker(faults))->host,
	    between(faults, 50, most));
}

/* ---- the network ----------------------------------------------------------------------------- */

static void
heal_way(struct faults *faults, int32_t a, int32_t b)
{
	ot_sim_net_heal(broker_of(faults, a)->host, broker_of(faults, b)->host);
}

static void
cut_way(struct faults *faults, int32_t a, int32_t b, uint64_t ms)
{
	ot_sim_net_cut(broker_of(faults, a)->host, broker_of(faults, b)->host);
	repair_in_ms(faults, ms, heal_way, a, b);
}

static void
cut_two(struct faults *faults)
{
	int32_t a = any_broker(faults), b = any_broker(faults);
	uint64_t ms = between(faults, 100, 12000);

	if (a == b)
		return;
	cut_way(faults, a, b, ms);
	if (one_in(faults, 2))
		cut_way(faults, b, a, ms);
}

static void
isolate(struct faults *faults)
{
	int32_t id = any_broker(faults);
	uint64_t ms = between(faults, 100, 12000);
	bool is_deaf = one_in(faults, 3), is_mute = !is_deaf && one_in(faults, 2);

	for (int32_t other = 1; other <= faults->sim->plan.broker_count; other++) {
		if (other == id)
			continue;
		if (!is_mute)
			cut_way(faults, other, id, ms);
		if (!is_deaf)
			cut_way(faults, id, other, ms);
	}
}

static void
reset(struct faults *faults)
{
	struct ot_sim_host *host = broker_of(faults, any_broker(faults))->host;
	struct user *user =
	    faults->sim->users[between(faults, 0, (uint64_t)faults->sim->plan.user_count - 1)];

	if (one_in(faults, 2))
		(void)ot_sim_net_reset_one(host, user->host);
	else
		(void)ot_sim_net_reset_one(host, broker_of(faults, any_broker(faults))->host);
}

static void
restore_net(struct faults *faults, int32_t a, int32_t b)
{
	(void)a;
	(void)b;
	ot_sim_world_set_net(faults->sim->world, &faults->net);
}

static void
slow_net(struct faults *faults)
{
	struct ot_sim_net net = faults->net;

	net.delay_ns_most = OT_NS_PER_MS * between(faults, 5, 200);
	net.spike = (uint32_t)between(faults, 0, 50000);
	net.reset = (uint32_t)between(faults, 0, 300);
	ot_sim_world_set_net(faults->sim->world, &net);
	repair_in_ms(faults, between(faults, 500, 6000), restore_net, 0, 0);
}

static void
heal_user(struct faults *faults, int32_t user, int32_t id)
{
	struct ot_sim_host *host = faults->sim->users[user]->host;

	ot_sim_net_heal(host, broker_of(faults, id)->host);
	ot_sim_net_heal(broker_of(faults, id)->host, host);
}

static void
hurt_user(struct faults *faults)
{
	int32_t index = (int32_t)between(faults, 0, (uint64_t)faults->sim->plan.user_count - 1);
	struct user *user = faults->sim->users[index];
	int32_t id = any_broker(faults);

	if (one_in(faults, 3)) {
		user_reset(user);
		return;
	}
	if (one_in(faults, 2))
		ot_sim_net_cut(user->host, broker_of(faults, id)->host);
	if (one_in(faults, 2))
		ot_sim_net_cut(broker_of(faults, id)->host, user->host);
	repair_in_ms(faults, between(faults, 100, 9000), heal_user, index, id);
}

/* ---- disks and clocks ------------------------------------------------------------------------ */

static const struct ot_sim_disk_rates usual_rates = { .write_back = 20000, .evict = 50000 };

static void
restore_rates(struct faults *faults, int32_t id, int32_t unused)
{
	(void)unused;
	ot_sim_disk_set_rates(ot_sim_host_disk(broker_of(faults, id)->host), &usual_rates);
}

static void
stall_disk(struct faults *faults)
{
	struct ot_sim_disk_rates rates = usual_rates;
	int32_t id = any_broker(faults);

	rates.stall = (uint32_t)between(faults, 1000, 300000);
	rates.stall_ns_max = OT_NS_PER_MS * between(faults, 1, 500);
	ot_sim_disk_set_rates(ot_sim_host_disk(broker_of(faults, id)->host), &rates);
	repair_in_ms(faults, between(faults, 500, 5000), restore_rates, id, 0);
}

static void
restore_capacity(struct faults *faults, int32_t id, int32_t unused)
{
	(void)unused;
	ot_sim_disk_set_capacity(ot_sim_host_disk(broker_of(faults, id)->host), 1ull << 40);
}

static void
fill_disk(struct faults *faults)
{
	int32_t id = any_broker(faults);
	struct ot_sim_disk *disk = ot_sim_host_disk(broker_of(faults, id)->host);

	faults->was_full[id] = true;
	ot_sim_disk_set_capacity(disk,
	    ot_sim_disk_bytes_used(disk) + between(faults, 0, 50) * 4096);
	repair_in_ms(faults, between(faults, 500, 8000), restore_capacity, id, 0);
}

static void
fail_disk(struct faults *faults)
{
	int32_t id = any_broker(faults);
	static const unsigned kinds[] = { OT_SIM_WRITE, OT_SIM_SYNC, OT_SIM_READ, OT_SIM_OPEN,
		OT_SIM_RENAME, OT_SIM_SYNC_DIR, OT_SIM_ANY };

	if (!may_take_down(faults))
		return;
	faults->is_damaged[id] = true;
	ot_sim_disk_fail_at(ot_sim_host_disk(broker_of(faults, id)->host),
	    kinds[between(faults, 0, OT_ARRAY_COUNT(kinds) - 1)], between(faults, 1, 30), OT_ERR_IO,
	    false);
}

static void
hurt_clock(struct faults *faults)
{
	struct ot_sim_host *host = broker_of(faults, any_broker(faults))->host;

	if (one_in(faults, 2))
		ot_sim_host_drift(host, (int32_t)between(faults, 0, 100000) - 50000);
	else
		ot_sim_host_jump_ms(host, (int64_t)between(faults, 0, 7200000) - 3600000);
}

/* ---- the metadata log ------------------------------------------------------------------------ */

static void
heal_log_way(struct faults *faults, int32_t id, int32_t unused)
{
	(void)unused;
	metalog_store_cut(faults->sim->cluster.store, id, false, false);
}

static void
cut_log(struct faults *faults)
{
	uint64_t ways = between(faults, 1, 3);
	int32_t leader = metalog_store_leader_id(faults->sim->cluster.store);
	int32_t id = leader > 0 && one_in(faults, 2) ? leader : any_broker(faults);

	metalog_store_cut(faults->sim->cluster.store, id, (ways & 1) != 0, (ways & 2) != 0);
	repair_in_ms(faults, between(faults, 200, 10000), heal_log_way, id, 0);
}

static void
end_outage(struct faults *faults, int32_t a, int32_t b)
{
	(void)a;
	(void)b;
	metalog_store_set_outage(faults->sim->cluster.store, false);
	metalog_store_refuse(faults->sim->cluster.store, OT_OK);
}

static void
begin_outage(struct faults *faults)
{
	if (one_in(faults, 3))
		metalog_store_refuse(faults->sim->cluster.store, OT_ERR_NO_SPACE);
	else
		metalog_store_set_outage(faults->sim->cluster.store, true);
	repair_in_ms(faults, between(faults, 200, 10000), end_outage, 0, 0);
}

static void
depose(struct faults *faults)
{
	metalog_store_depose(faults->sim->cluster.store);
}

static void
end_loss(struct faults *faults, int32_t a, int32_t b)
{
	(void)a;
	(void)b;
	metalog_store_set_conf(faults->sim->cluster.store, &faults->sim->cluster.conf.store);
}

static void
begin_loss(struct faults *faults)
{
	struct metalog_store_conf conf = faults->sim->cluster.conf.store;

	conf.lost = (uint32_t)between(faults, 1000, 100000);
	conf.delay_us_most *= between(faults, 1, 20);
	metalog_store_set_conf(faults->sim->cluster.store, &conf);
	repair_in_ms(faults, between(faults, 500, 8000), end_loss, 0, 0);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void (*const begin[FAULT_COUNT])(struct faults *faults) = {
	[FAULT_KILL] = kill_broker,
	[FAULT_POWER] = cut_power,
	[FAULT_DISK_POWER] = cut_power_at_write,
	[FAULT_RESTART] = restart_broker,
	[FAULT_FREEZE] = freeze_broker,
	[FAULT_CUT] = cut_two,
	[FAULT_ISOLATE] = isolate,
	[FAULT_RESET] = reset,
	[FAULT_SLOW_NET] = slow_net,
	[FAULT_STALL] = stall_disk,
	[FAULT_FULL] = fill_disk,
	[FAULT_DISK_ERROR] = fail_disk,
	[FAULT_CLOCK] = hurt_clock,
	[FAULT_LOG_CUT] = cut_log,
	[FAULT_LOG_OUTAGE] = begin_outage,
	[FAULT_LOG_DEPOSE] = depose,
	[FAULT_LOG_LOSS] = begin_loss,
	[FAULT_USER] = hurt_user,
};

static void
plan_next(struct faults *faults)
{
	faults->next_ms =
	    sim_now_ms(faults->sim) + between(faults, 1, 2 * faults->sim->plan.pause_ms);
}

static void
begin_one(struct faults *faults)
{
	uint32_t mask = faults->sim->plan.faults;
	int32_t kind;

	if (mask == 0)
		return;
	do {
		kind = (int32_t)between(faults, 0, FAULT_COUNT - 1);
	} while ((mask >> kind & 1) == 0);
	ot_sim_trace_put(ot_sim_world_trace(faults->sim->world),
	    &(struct ot_sim_event){ .at = ot_sim_world_now(faults->sim->world),
		.verb = "FAULT",
		.what = fault_names[kind],
		.host = -1,
		.a = faults->sim->fault_count });
	faults->sim->fault_count++;
	begin[kind](faults);
}

void
faults_tick(struct faults *faults)
{
	uint64_t now = sim_now_ms(faults->sim);

	for (int32_t i = 0; i < faults->repair_count; i++) {
		struct repair repair = faults->repairs[i];

		if (repair.at_ms > now)
			continue;
		faults->repairs[i--] = faults->repairs[--faults->repair_count];
		repair.run(faults, repair.a, repair.b);
	}
	if (faults->sim->is_calm || now < faults->next_ms ||
	    faults->sim->fault_count >= faults->sim->plan.fault_limit)
		return;
	begin_one(faults);
	plan_next(faults);
}

void
faults_end(struct faults *faults)
{
	struct sim *sim = faults->sim;

	faults->repair_count = 0;
	ot_sim_net_heal_all(sim->world);
	restore_net(faults, 0, 0);
	end_loss(faults, 0, 0);
	metalog_store_heal(sim->cluster.store);
	for (int32_t id = 1; id <= sim->plan.broker_count; id++) {
		struct cluster_broker *broker = broker_of(faults, id);
		struct ot_sim_disk *disk = ot_sim_host_disk(broker->host);

		restore_rates(faults, id, 0);
		restore_capacity(faults, id, 0);
		ot_sim_disk_fail_at(disk, OT_SIM_ANY, 0, OT_OK, false);
		ot_sim_disk_crash_at(disk, 0);
		ot_sim_host_drift(broker->host, 0);
		/* What a failed disk has cost is fenced until the next start. */
		if (faults->is_damaged[id])
			crash(faults, id, OT_SIM_POWER_LOST);
		else if (faults->was_full[id])
			crash(faults, id, OT_SIM_KILLED);
		cluster_start(&sim->cluster, id);
	}
}

struct faults *
faults_create(struct sim *sim)
{
	struct faults *faults = OT_NEW(struct faults);

	faults->sim = sim;
	faults->random = ot_sim_random_fork(ot_sim_world_random(sim->world), 99);
	faults->net = ot_sim_world_net(sim->world);
	for (int32_t id = 1; id <= sim->plan.broker_count; id++)
		restore_rates(faults, id, 0);
	plan_next(faults);
	return faults;
}

void
faults_destroy(struct faults *faults)
{
	ot_free(faults);
}
