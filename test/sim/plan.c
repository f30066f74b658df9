/* Plans. Small clusters and few faults are as frequent as large ones and many, since what goes
 * wrong in them is easier to read. */
#include "plan.h"

#include <stdio.h>

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
	topic->min_isr = topic->replication_factor > 2 && !one_in(random, 3) ? 2 : 1;
	topic->is_flushed = one_in(random, 3);
	topic->segment_bytes = one_in(random, 2) ? 20000 : 1000000;
}

/* ---- settings ------------------------------------------------------------------------------- */

static void
draw_settings(struct ot_sim_random *random, struct sim_plan *plan)
{
	(void)snprintf(plan->settings, sizeof(plan->settings),
	    "broker.session.timeout.ms=%d\n"
	    "broker.heartbeat.interval.ms=%d\n"
	    "replica.lag.time.max.ms=%d\n"
	    "replica.fetch.wait.max.ms=%d\n"
	    "replica.fetch.backoff.ms=%d\n"
	    "offsets.topic.num.partitions=%d\n"
	    "log.flush.offset.checkpoint.interval.ms=%d\n"
	    "log.retention.check.interval.ms=%d\n"
	    "metadata.log.max.record.bytes.between.snapshots=%d\n"
	    "controlled.shutdown.max.retries=3\n"
	    "group.initial.rebalance.delay.ms=100\n"
	    "auto.create.topics.enable=false\n"
	    "log.message.timestamp.after.max.ms=9223372036854775807\n"
	    "log.flush.start.offset.checkpoint.interval.ms=%d\n",
	    (int)plan->session_ms, (int)plan->session_ms / 5, (int)(600 + below(random, 5000)),
	    (int)(50 + below(random, 500)), (int)(20 + below(random, 500)),
	    (int)(1 + below(random, 3)), (int)(50 + below(random, 10000)),
	    (int)(50 + below(random, 10000)), one_in(random, 2) ? 3000 : 100000,
	    (int)(50 + below(random, 10000)));
}

void
plan_make(uint64_t seed, const struct plan_options *options, struct sim_plan *ret_plan)
{
	static const int32_t counts[] = { 1 };
	struct sim_plan *plan = ret_plan;
	struct ot_sim_random random;

	*plan = (struct sim_plan){ .seed = seed };
	ot_sim_random_init(&random, seed * 2654435761u + 17);
	plan->broker_count = counts[below(&random, OT_ARRAY_COUNT(counts))];
	if (options->broker_count > 0)
		plan->broker_count = options->broker_count;
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
