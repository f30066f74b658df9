/* The phases of a simulation:
 *
 *   start     all brokers; the topics are made
 *   faults    clients work, things go wrong
 *   calm      nothing goes wrong any more: brokers, leaders and replicas must all be back
 *   quiet     producers begin nothing new, and must get done with what they have
 *   verify    everything is read once more, replicas and metadata are compared
 *   stop      an orderly stop of all brokers
 *
 * Each phase but the second has a time within which it must end.
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/report.h"
#include "replicas.h"
#include "user.h"

enum {
	STEP_MS = 10,
	START_MS_MOST = 120 * 1000,
	CALM_MS_LEAST = 1500,
	LAG_MS_MOST = 10 * 1000, /* by then a follower that does not fetch has left the ISR */
	CALM_MS_MOST = 180 * 1000,
	QUIET_MS_MOST = 120 * 1000,
	VERIFY_MS_MOST = 120 * 1000,
	STOP_MS_MOST = 120 * 1000,
	CHECK_MS = 1000,
};

#define OFFSETS_TOPIC "__consumer_offsets"

static void
say(const struct sim *sim, const char *what)
{
	if (sim->is_verbose)
		printf("%9.3f s  %s\n", (double)sim_now_ms(sim) / 1000, what);
}

static void
phase(struct sim *sim, const char *name)
{
	ot_sim_trace_put(ot_sim_world_trace(sim->world),
	    &(struct ot_sim_event){ .at = ot_sim_world_now(sim->world),
		.verb = "PHASE",
		.what = name,
		.host = -1 });
	say(sim, name);
}

static bool
has_failed(const struct sim *sim)
{
	return history_failure(sim->history) != NULL;
}

/* ---- what brokers' ends mean ------------------------------------------------------------------
 */

static void excuse_groups(struct sim *sim);

static void
on_crash(void *arg, struct cluster_broker *broker, bool is_power_lost)
{
	struct sim *sim = arg;

	if (is_power_lost) {
		oracle_power_lost(sim->oracle, broker->id);
		excuse_groups(sim);
	}
	faults_note_down(sim->all_faults, broker->id);
}

static void
on_failure(void *arg, struct cluster_broker *broker, ot_err err, const char *why)
{
	struct sim *sim = arg;
	char text[300];

	(void)snprintf(text, sizeof(text), "broker %d ended by itself: %s (%s)", broker->id, why,
	    ot_err_name(err));
	say(sim, text);
	faults_note_down(sim->all_faults, broker->id);
}

/* What becomes of it can only come later: whoever is to be excused is so in time. */
static void
on_append(void *arg)
{
	struct sim *sim = arg;

	oracle_follow(sim->oracle);
	excuse_groups(sim);
}

/* Groups are excused with the partitions that keep them. */
static void
excuse_groups(struct sim *sim)
{
	for (int32_t i = 0; i < sim->plan.offsets_partition_count; i++)
		if (history_is_excused(sim->history, sim_place(sim->plan.topic_count, i)))
			ledger_excuse(sim->ledger);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Lets the world run, with what is to be done beside it. */
static void
step(struct sim *sim)
{
	ot_sim_world_run_for_ms(sim->world, STEP_MS);
	cluster_tick(&sim->cluster);
	faults_tick(sim->all_faults);
	if (sim_now_ms(sim) / CHECK_MS == (sim_now_ms(sim) - STEP_MS) / CHECK_MS)
		return;
	for (int32_t id = 1; id <= sim->plan.broker_count; id++) {
		struct cluster_broker *broker = cluster_broker(&sim->cluster, id);

		oracle_check_broker(sim->oracle, broker);
		if (ot_sim_disk_violation_count(ot_sim_host_disk(broker->host)) != 0)
			history_fail(sim->history,
			    "broker %d wrote to a file whose sync had failed", id);
	}
}

static void
run_until(struct sim *sim, bool (*holds)(struct sim *sim, char *why, size_t bytes),
    uint64_t ms_most, const char *what)
{
	uint64_t until = sim_now_ms(sim) + ms_most;
	char why[300] = "";

	while (!has_failed(sim) && !holds(sim, why, sizeof(why))) {
		if (sim_now_ms(sim) > until) {
			history_fail(sim->history, "%s: not within %u s: %s", what,
			    (unsigned)(ms_most / 1000), why);
			return;
		}
		step(sim);
	}
}

static void
run_for(struct sim *sim, uint64_t ms)
{
	uint64_t until = sim_now_ms(sim) + ms;

	while (!has_failed(sim) && sim_now_ms(sim) < until)
		step(sim);
}

/* ---- conditions ----------------------------------------------------------------------------- */

static bool
are_brokers_ready(struct sim *sim, char *why, size_t bytes)
{
	for (int32_t id = 1; id <= sim->plan.broker_count; id++) {
		struct cluster_broker *broker = cluster_broker(&sim->cluster, id);

		if (ot_sim_host_is_frozen(broker->host)) {
			(void)snprintf(why, bytes, "broker %d is frozen", id);
			return false;
		}
		if (broker->is_ready)
			continue;
		(void)snprintf(why, bytes, "broker %d is %s (%s)", id,
		    broker->broker == NULL ? "down" : "not ready", broker->why);
		/* Whoever could not start is started again, as a supervisor does. */
		if (sim->is_calm)
			cluster_start(&sim->cluster, id);
		return false;
	}
	return true;
}

static bool
is_partition_well(const struct ot_partition_image *partition, char *why, size_t bytes)
{
	struct ot_ids replicas = ot_partition_replicas(partition);

	struct ot_ids elr = ot_partition_elr(partition),
		      last = ot_partition_last_known_elr(partition);

	(void)snprintf(why, bytes,
	    "leader %d in epoch %d, %d of %d replicas in sync, %d eligible, last leader %d",
	    partition->leader, partition->leader_epoch, partition->isr_count, replicas.count,
	    elr.count, last.count > 0 ? last.items[0] : OT_NO_LEADER);
	return partition->leader != OT_NO_LEADER && partition->isr_count == replicas.count;
}

static bool
are_replicas_in_sync(struct sim *sim, char *why, size_t bytes)
{
	const struct ot_image *image = oracle_image(sim->oracle);
	char text[200];

	if (!are_brokers_ready(sim, why, bytes))
		return false;
	oracle_follow(sim->oracle);
	image = oracle_image(sim->oracle);
	for (int32_t i = 0; image != NULL && i < sim->plan.topic_count; i++) {
		const struct sim_topic *conf = &sim->plan.topics[i];
		const struct ot_topic_image *topic = ot_image_topic(image, ot_str_from(conf->name));

		for (int32_t j = 0; j < conf->partition_count; j++) {
			if (is_partition_well(ot_topic_partition(topic, j), text, sizeof(text)))
				continue;
			(void)snprintf(why, bytes, "%s-%d: %s", conf->name, j, text);
			return false;
		}
	}
	return true;
}

static bool
are_users_idle(struct sim *sim, char *why, size_t bytes)
{
	char text[200] = "";

	for (int32_t i = 0; i < sim->plan.user_count; i++) {
		OT_LIST_FOREACH(link, &sim->users[i]->clients) {
			const struct client *client = OT_CONTAINER_OF(link, struct client, link);

			if (client->is_idle(client, text, sizeof(text)))
				continue;
			(void)snprintf(why, bytes, "a %s of user %d is not done: %s", client->what,
			    i + 1, text);
			return false;
		}
	}
	return true;
}

static bool
is_all_stopped(struct sim *sim, char *why, size_t bytes)
{
	for (int32_t id = 1; id <= sim->plan.broker_count; id++) {
		if (cluster_broker(&sim->cluster, id)->broker == NULL)
			continue;
		(void)snprintf(why, bytes, "broker %d runs", id);
		return false;
	}
	return true;
}

/* ---- clients -------------------------------------------------------------------------------- */

static struct user *
any_user(struct sim *sim)
{
	return sim->users[ot_sim_random_below(ot_sim_world_random(sim->world),
	    (uint64_t)sim->plan.user_count)];
}

static void
start_producer(struct sim *sim, struct history_place place, int32_t id)
{
	struct ot_sim_random *random = ot_sim_world_random(sim->world);
	uint64_t kind = ot_sim_random_below(random, 6);
	struct producer_conf conf = {
		.id = id,
		.place = place,
		.acks = kind == 0   ? 1
		        : kind == 1 ? 0
		                    : -1,
		.is_idempotent = kind >= 3,
		.window = 1,
		.pause_ms_most = ot_sim_random_below(random, 3) == 0 ? 100 : 800,
	};

	if (conf.is_idempotent)
		conf.window = (int32_t)ot_sim_random_between(random, 1, 5);
	producer_start(any_user(sim), &conf);
}

static void
start_clients(struct sim *sim)
{
	struct ot_sim_random *random = ot_sim_world_random(sim->world);
	int32_t producers = 0;

	for (int32_t i = 0; i < sim->plan.group_count; i++) {
		int32_t topic =
		    (int32_t)ot_sim_random_below(random, (uint64_t)sim->plan.topic_count);

		for (uint64_t n = ot_sim_random_between(random, 1, 4); n > 0; n--)
			member_start(any_user(sim), i, topic);
	}
	for (int32_t i = 0; i < sim->plan.topic_count; i++) {
		for (int32_t j = 0; j < sim->plan.topics[i].partition_count; j++) {
			struct history_place place = sim_place(i, j);

			for (uint64_t n = ot_sim_random_between(random, 1, 3); n > 0; n--)
				start_producer(sim, place, producers++);
			for (uint64_t n = ot_sim_random_between(random, 0, 2); n > 0; n--)
				consumer_start(any_user(sim), place);
		}
	}
}

static void
end_users(struct sim *sim)
{
	for (int32_t i = 0; i < sim->plan.user_count; i++) {
		user_destroy(sim->users[i]);
		sim->users[i] = NULL;
	}
}

/* ---- phases --------------------------------------------------------------------------------- */

static void
begin(struct sim *sim)
{
	for (int32_t id = 1; id <= sim->plan.broker_count; id++)
		cluster_start(&sim->cluster, id);
	run_until(sim, are_brokers_ready, START_MS_MOST, "the start");
	for (int32_t i = 0; i < sim->plan.user_count; i++)
		sim->users[i] = user_create(sim, i + 1);
	creator_start(sim->users[0]);
	run_until(sim, are_users_idle, START_MS_MOST, "creating topics");
	oracle_follow(sim->oracle);
}

static void
verify(struct sim *sim)
{
	history_verify_begin(sim->history);
	for (int32_t i = 0; i < sim->plan.topic_count; i++)
		for (int32_t j = 0; j < sim->plan.topics[i].partition_count; j++)
			verifier_start(any_user(sim), sim_place(i, j));
	run_until(sim, are_users_idle, VERIFY_MS_MOST, "reading everything");
	for (int32_t i = 0; !has_failed(sim) && i < sim->plan.topic_count; i++)
		for (int32_t j = 0; j < sim->plan.topics[i].partition_count; j++)
			replicas_check(sim, sim_place(i, j));
}

/* Brokers' images are compared all the time; in the end all of them must be the newest. */
static bool
are_images_new(struct sim *sim, char *why, size_t bytes)
{
	const struct ot_image *newest;

	oracle_follow(sim->oracle);
	newest = oracle_image(sim->oracle);
	for (int32_t id = 1; newest != NULL && id <= sim->plan.broker_count; id++) {
		struct cluster_broker *broker = cluster_broker(&sim->cluster, id);

		(void)snprintf(why, bytes, "broker %d lags behind the metadata log", id);
		for (uint32_t i = 0; i < broker->set->count; i++)
			if (ot_image_place(broker->broker->shards[i].image).offset <
			    ot_image_place(newest).offset)
				return false;
		oracle_check_broker(sim->oracle, broker);
	}
	return true;
}

static void
run_phases(struct sim *sim)
{
	phase(sim, "start");
	begin(sim);
	if (has_failed(sim))
		return;
	phase(sim, "faults");
	start_clients(sim);
	sim->is_calm = false;
	run_for(sim, sim->plan.fault_ms);
	phase(sim, "calm");
	sim->is_calm = true;
	faults_end(sim->all_faults);
	run_for(sim, CALM_MS_LEAST);
	run_until(sim, are_replicas_in_sync, CALM_MS_MOST, "getting well");
	phase(sim, "quiet");
	sim->is_quiet = true;
	run_until(sim, are_users_idle, QUIET_MS_MOST, "getting done");
	run_for(sim, LAG_MS_MOST);
	run_until(sim, are_replicas_in_sync, CALM_MS_MOST, "getting well");
	run_for(sim, CALM_MS_LEAST);
	if (has_failed(sim))
		return;
	phase(sim, "verify");
	verify(sim);
	if (has_failed(sim))
		return;
	run_until(sim, are_images_new, VERIFY_MS_MOST, "metadata");
	phase(sim, "stop");
	end_users(sim);
	sim->is_ending = true;
	for (int32_t id = 1; id <= sim->plan.broker_count; id++)
		cluster_stop(&sim->cluster, id);
	run_until(sim, is_all_stopped, STOP_MS_MOST, "the stop");
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
init(struct sim *sim, const struct sim_plan *plan)
{
	struct cluster_conf conf = {
		.seed = plan->seed,
		.broker_count = plan->broker_count,
		.controller_count = plan->controller_count,
		.shard_count = plan->shard_count,
		.is_local = plan->is_local,
		.store = metalog_store_conf_default,
		.settings = plan->settings,
		.on_crash = on_crash,
		.on_failure = on_failure,
		.arg = sim,
	};

	sim->plan = *plan;
	conf.store.seed = plan->seed + 1;
	conf.store.lease_ms = plan->lease_ms;
	cluster_init(&sim->cluster, &conf);
	sim->world = sim->cluster.world;
	sim->history = history_create();
	for (int32_t i = 0; i < plan->topic_count; i++) {
		const struct sim_topic *topic = &sim->plan.topics[i];

		history_add_topic(sim->history, i, topic->name, topic->partition_count);
		sim->oracle_topics[i] =
		    (struct oracle_topic){ topic->name, topic->partition_count, topic->is_flushed };
	}
	/* The groups' own topic comes behind them. */
	history_add_topic(sim->history, plan->topic_count, OFFSETS_TOPIC,
	    plan->offsets_partition_count);
	sim->oracle_topics[plan->topic_count] =
	    (struct oracle_topic){ OFFSETS_TOPIC, plan->offsets_partition_count, false };
	sim->oracle =
	    oracle_create(&sim->cluster, sim->history, sim->oracle_topics, plan->topic_count + 1);
	sim->ledger = ledger_create(sim->history);
	metalog_store_on_append(sim->cluster.store, on_append, sim);
	sim->all_faults = faults_create(sim);
	sim->is_calm = true; /* until the start is over */
}

static void
fini(struct sim *sim)
{
	end_users(sim);
	oracle_destroy(sim->oracle);
	ledger_destroy(sim->ledger);
	faults_destroy(sim->all_faults);
	cluster_fini(&sim->cluster);
	history_destroy(sim->history);
}

void
run_plan(const struct sim_plan *plan, bool is_verbose,
    void (*on_failed)(struct sim *sim, const char *why), struct run_result *ret_result)
{
	struct sim *sim = OT_NEW(struct sim);

	*ret_result = (struct run_result){ 0 };
	sim->is_verbose = is_verbose;
	init(sim, plan);
	run_phases(sim);
	ret_result->counts = history_counts(sim->history);
	ret_result->claims = ledger_claim_count(sim->ledger);
	ret_result->commits = ledger_commit_count(sim->ledger);
	ret_result->virtual_ms = sim_now_ms(sim);
	ret_result->fault_count = sim->fault_count;
	ret_result->trace_hash = ot_sim_trace_hash(ot_sim_world_trace(sim->world));
	if (has_failed(sim)) {
		(void)snprintf(ret_result->failure, sizeof(ret_result->failure), "%s",
		    history_failure(sim->history));
		on_failed(sim, ret_result->failure);
		return;
	}
	fini(sim);
	ot_free(sim);
}
