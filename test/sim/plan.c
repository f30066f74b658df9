/* Plans. Small clusters and few faults are as frequent as large ones and many, since what goes
 * wrong in them is easier to read. */
#include "plan.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"

static uint64_t
below(struct ot_sim_random *random, uint64_t bound)
{
	return ot_sim_random_below(random, bound);
}

static bool
one_in(struct ot_sim_random *random, uint64_t n)
{
	return below(random, n) == 0;
}

static uint32_t
bit(enum sim_fault fault)
{
	return 1u << fault;
}

/* ---- faults --------------------------------------------------------------------------------- */

static uint32_t
draw_faults(struct ot_sim_random *random)
{
	const uint32_t log = bit(FAULT_LOG_CUT) | bit(FAULT_LOG_OUTAGE) | bit(FAULT_LOG_DEPOSE) |
	                     bit(FAULT_LOG_LOSS);
	const uint32_t net = bit(FAULT_CUT) | bit(FAULT_ISOLATE) | bit(FAULT_RESET) |
	                     bit(FAULT_SLOW_NET) | bit(FAULT_USER);
	const uint32_t ends = bit(FAULT_KILL) | bit(FAULT_RESTART) | bit(FAULT_FREEZE);
	const uint32_t power = bit(FAULT_POWER) | bit(FAULT_DISK_POWER);
	const uint32_t disk = bit(FAULT_STALL) | bit(FAULT_FULL) | bit(FAULT_DISK_ERROR);
	const uint32_t themes[] = { log, net, ends, ends | power, power, disk, net | ends,
		log | ends, log | net };
	uint32_t faults;

	if (one_in(random, 4))
		return bit(FAULT_COUNT) - 1;
	faults = themes[below(random, OT_ARRAY_COUNT(themes))];
	if (one_in(random, 2))
		faults |= bit(FAULT_CLOCK);
	if (one_in(random, 2))
		faults |= themes[below(random, OT_ARRAY_COUNT(themes))];
	return faults;
}

/* ---- topics --------------------------------------------------------------------------------- */

static void
draw_topic(struct ot_sim_random *random, struct sim_plan *plan, int32_t index)
{
	struct sim_topic *topic = &plan->topics[index];
	int32_t factor_most = OT_MIN(3, plan->broker_count);

	(void)snprintf(topic->name, sizeof(topic->name), "topic-%d", index);
	topic->partition_count = 1 + (int32_t)below(random, 3);
	topic->replication_factor = (int16_t)factor_most;
	if (index > 0)
		topic->replication_factor =
		    (int16_t)(1 + below(random, (uint64_t)OT_MIN(5, plan->broker_count)));
	if (plan->factor_most > 0)
		topic->replication_factor =
		    (int16_t)OT_MIN(topic->replication_factor, plan->factor_most);
	topic->min_isr = topic->replication_factor > 2 && !one_in(random, 3) ? 2 : 1;
	topic->is_flushed = one_in(random, 3);
	topic->segment_bytes = one_in(random, 2) ? 20000 : 1000000;
}

/* ---- settings ------------------------------------------------------------------------------- */

static void
put(struct sim_plan *plan, const char *name, int64_t value)
{
	size_t used = strlen(plan->settings);
	int bytes = snprintf(plan->settings + used, sizeof(plan->settings) - used, "%s=%lld\n",
	    name, (long long)value);

	OT_ASSERT(bytes > 0 && used + (size_t)bytes < sizeof(plan->settings));
}

/* One draw in a statement: the order of a call's arguments is the compiler's. */
static void
draw_settings(struct ot_sim_random *random, struct sim_plan *plan)
{
	int64_t wait_ms = 50 + (int64_t)below(random, 500);

	put(plan, "replica.fetch.wait.max.ms", wait_ms);
	put(plan, "replica.lag.time.max.ms", wait_ms + 50 + (int64_t)below(random, 5000));
	put(plan, "replica.fetch.backoff.ms", 20 + (int64_t)below(random, 500));
	put(plan, "broker.session.timeout.ms", plan->session_ms);
	put(plan, "broker.heartbeat.interval.ms", plan->session_ms / 5);
	put(plan, "offsets.topic.num.partitions", plan->offsets_partition_count);
	put(plan, "offsets.topic.replication.factor",
	    OT_MIN(plan->factor_most > 0 ? plan->factor_most : 3, plan->broker_count));
	put(plan, "log.flush.offset.checkpoint.interval.ms", 50 + (int64_t)below(random, 10000));
	put(plan, "log.flush.start.offset.checkpoint.interval.ms",
	    50 + (int64_t)below(random, 10000));
	put(plan, "log.retention.check.interval.ms", 50 + (int64_t)below(random, 10000));
	put(plan, "metadata.log.max.record.bytes.between.snapshots",
	    one_in(random, 2) ? 3000 : 100000);
	put(plan, "group.initial.rebalance.delay.ms", 100);
	put(plan, "log.message.timestamp.after.max.ms", INT64_MAX); /* clocks jump */
	(void)snprintf(plan->settings + strlen(plan->settings),
	    sizeof(plan->settings) - strlen(plan->settings), "auto.create.topics.enable=false\n");
}

void
plan_make(uint64_t seed, const struct plan_options *options, struct sim_plan *ret_plan)
{
	static const int32_t counts[] = { 1, 1, 2, 3, 3, 3, 3, 4, 5, 7 };
	struct sim_plan *plan = ret_plan;
	struct ot_sim_random random;

	*plan = (struct sim_plan){ .seed = seed };
	ot_sim_random_init(&random, seed * 2654435761u + 17);
	plan->broker_count = counts[below(&random, OT_ARRAY_COUNT(counts))];
	if (options->broker_count > 0)
		plan->broker_count = options->broker_count;
	plan->factor_most = options->factor_most;
	plan->controller_count = OT_MIN(plan->broker_count, 1 + 2 * (int32_t)below(&random, 2));
	plan->shard_count = 1 + (uint32_t)below(&random, CLUSTER_SHARDS_MAX);
	plan->is_local = plan->broker_count == 1 && one_in(&random, 2);
	plan->topic_count = 1 + (int32_t)below(&random, 3);
	for (int32_t i = 0; i < plan->topic_count; i++)
		draw_topic(&random, plan, i);
	plan->user_count = 2 + (int32_t)below(&random, 3);
	plan->group_count = (int32_t)below(&random, 3);
	plan->offsets_partition_count = 1 + (int32_t)below(&random, 3);
	plan->fault_ms = 5000 + below(&random, 40000);
	plan->faults = draw_faults(&random) & ~options->without;
	plan->pause_ms = 200 + below(&random, 4000);
	plan->down_most = one_in(&random, 3) ? plan->broker_count : 1;
	plan->fault_limit = options->fault_limit;
	plan->session_ms = 1500 + (int64_t)below(&random, 5000);
	plan->lease_ms = 1000 + (int64_t)below(&random, 4000);
	draw_settings(&random, plan);
}

void
plan_print(const struct sim_plan *plan, char *text, size_t bytes)
{
	size_t used = 0;

	used += (size_t)snprintf(text + used, bytes - used,
	    "%d broker%s (%d may lead the metadata log%s), %u shards, %d users, %d topics:",
	    plan->broker_count, plan->broker_count == 1 ? "" : "s", plan->controller_count,
	    plan->is_local ? ", local" : "", plan->shard_count, plan->user_count,
	    plan->topic_count);
	for (int32_t i = 0; i < plan->topic_count; i++)
		used += (size_t)snprintf(text + used, bytes - used, " %d*%d/%d%s",
		    plan->topics[i].partition_count, plan->topics[i].replication_factor,
		    plan->topics[i].min_isr, plan->topics[i].is_flushed ? "f" : "");
	used += (size_t)snprintf(text + used, bytes - used,
	    "; %u s of faults:", (unsigned)(plan->fault_ms / 1000));
	for (int i = 0; i < FAULT_COUNT; i++)
		if ((plan->faults >> i & 1) != 0)
			used += (size_t)snprintf(text + used, bytes - used, " %s", fault_names[i]);
	OT_ASSERT(used < bytes);
}
