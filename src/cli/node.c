/* ottla node: what is done to one broker of a cluster.
 *
 *   drain ID   moves all its replicas elsewhere, so that it can be taken away
 *
 * Draining keeps nothing of its own: what is under way is in the cluster, so that a run that was
 * stopped is gone on with by the next, and --cancel needs no run at all. */
#include "cli/drain_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/offsets_int.h"
#include "cli/tools_int.h"
#include "wire/msg_describe_log_dirs.h"

enum {
	OPT_AT_ONCE = CLI_OPTION_CONNECT_COUNT,
	OPT_CANCEL,
	OPT_DRY_RUN,
	OPT_OUTPUT,
	OPT_REPORT_INTERVAL,
	OPT_THROTTLE,
};

static const struct cli_option drain_options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[OPT_AT_ONCE] = { .names = "at-once",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .fallback = "20",
	    .text = "Partitions that move at the same time." },
	[OPT_CANCEL] = { .names = "cancel",
	    .text = "Stop the moves off the broker that are under way. What has moved stays where "
		    "it is." },
	[OPT_DRY_RUN] = { .names = "dry-run",
	    .text = "Print what would move where, and move nothing." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what is printed; in JSON, an object per line." },
	[OPT_REPORT_INTERVAL] = { .names = "report-interval-ms",
	    .arg = "ms",
	    .kind = CLI_LONG,
	    .fallback = "5000",
	    .text = "How often it is told how far the moves are." },
	[OPT_THROTTLE] = { .names = "throttle",
	    .arg = "bytes per second",
	    .kind = CLI_LONG,
	    .fallback = "-1",
	    .text = "The rate at which each broker sends and takes what moves." },
};

#define BIT(name) CLI_BIT(OPT_##name)

static const struct cli_rule drain_rules[] = {
	{ CLI_RULE_EXCLUDES, OPT_CANCEL, BIT(AT_ONCE) | BIT(DRY_RUN) | BIT(THROTTLE), NULL },
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

enum {
	DRAIN_POLL_MS = 500,
	DRAIN_PATIENCE_MS = 60000, /* with a cluster that does not answer */
};

struct run {
	struct cli *cli;
	struct cli_drain drain;
	bool is_json;
	ot_wall_ms started_at;
	ot_wall_ms reported_at;
	int64_t first_copied; /* bytes that were there already */
};

/* ---- what there is ------------------------------------------------------------------------- */

static struct cli_drain_broker *
find_broker(struct cli_drain *drain, int32_t id)
{
	for (size_t i = 0; i < drain->broker_count; i++) {
		if (drain->brokers[i].id == id)
			return &drain->brokers[i];
	}
	return NULL;
}

static void
take_brokers(struct run *run)
{
	size_t count = 0;
	const struct ot_client_node *nodes = ot_client_nodes(run->cli->client, &count);
	run->drain.brokers = cli_alloc(run->cli, count, sizeof(*run->drain.brokers));
	run->drain.broker_count = count;
	for (size_t i = 0; i < count; i++) {
		run->drain.brokers[i].id = nodes[i].id;
		run->drain.brokers[i].rack =
		    nodes[i].rack[0] != '\0' ? ot_str_from(nodes[i].rack) : OT_STR_NULL;
	}
}

/* Counts a partition's replicas, and takes it up if one is on the broker. */
static void
take_partition(struct run *run, struct ot_str topic,
    const struct ot_metadata_response_partition *from)
{
	struct cli_drain *drain = &run->drain;
	const struct cli_replicas replicas = { from->replica_nodes, from->replica_nodes_count };
	for (int32_t i = 0; i < replicas.count; i++) {
		struct cli_drain_broker *broker = find_broker(drain, replicas.brokers[i]);
		if (broker == NULL)
			continue;
		broker->replica_count++;
		broker->leader_count += i == 0;
	}
	if (cli_replicas_have(&replicas, drain->id))
		drain->parts[drain->part_count++] = (struct cli_drain_part){
			.name = { topic, from->partition_index },
			.replicas = replicas,
			.leader = from->leader_id,
			.bytes = -1,
			.goes_to = -1,
		};
}

static ot_err
fetch_parts(struct run *run)
{
	struct ot_metadata_response metadata;
	size_t room = 0;
	ot_err err = cli_fetch_topics(run->cli, &metadata);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < metadata.topics_count; i++)
		room += (size_t)OT_MAX(metadata.topics[i].partitions_count, 0);
	run->drain.parts = cli_alloc(run->cli, room, sizeof(*run->drain.parts));
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		const struct ot_metadata_response_topic *topic = &metadata.topics[i];
		for (int32_t k = 0; k < topic->partitions_count; k++)
			take_partition(run, topic->name, &topic->partitions[k]);
	}
	return OT_OK;
}

static struct cli_drain_part *
find_part(struct cli_drain *drain, struct ot_str topic, int32_t index)
{
	const struct cli_partition_name name = { topic, index };
	return drain->part_count == 0 ? NULL
	                              : bsearch(&name, drain->parts, drain->part_count,
					    sizeof(*drain->parts), cli_partition_name_compare);
}

static void
take_sizes(struct run *run, int32_t broker, const struct ot_describe_log_dirs_response_topic *topic)
{
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		const struct ot_describe_log_dirs_response_partition *one = &topic->partitions[i];
		struct cli_drain_part *part =
		    find_part(&run->drain, topic->name, one->partition_index);
		if (part == NULL || one->is_future_key)
			continue;
		if (part->goes_to == broker)
			part->copied = one->partition_size;
		else
			part->bytes = OT_MAX(part->bytes, one->partition_size);
	}
}

/* Asks a broker for the sizes of its logs: those that leave, or as much of them as has come. One
 * that does not answer tells nothing. */
static void
ask_sizes(struct run *run, int32_t broker)
{
	struct ot_describe_log_dirs_request request;
	struct ot_describe_log_dirs_response response;
	ot_describe_log_dirs_request_init(&request);
	request.topics_count = -1; /* all */
	if (cli_call(run->cli, broker, CLI_API_DESCRIBE_LOG_DIRS, &request, &response) != OT_OK)
		return;
	for (int32_t i = 0; i < response.results_count; i++) {
		const struct ot_describe_log_dirs_response_result *dir = &response.results[i];
		for (int32_t k = 0; k < dir->topics_count; k++)
			take_sizes(run, broker, &dir->topics[k]);
	}
}

/* The brokers that something moves to. */
static void
ask_copied(struct run *run)
{
	struct cli_drain *drain = &run->drain;
	for (size_t i = 0; i < drain->broker_count; i++) {
		bool is_taking = false;
		for (size_t k = 0; k < drain->part_count && !is_taking; k++)
			is_taking = drain->parts[k].state == CLI_DRAIN_MOVING &&
			            drain->parts[k].goes_to == drain->brokers[i].id;
		if (is_taking)
			ask_sizes(run, drain->brokers[i].id);
	}
}

static int64_t
sum_copied(const struct cli_drain *drain)
{
	int64_t bytes = 0;
	for (size_t i = 0; i < drain->part_count; i++) {
		const struct cli_drain_part *part = &drain->parts[i];
		bool is_done = part->state == CLI_DRAIN_DONE;
		bytes +=
		    is_done ? OT_MAX(part->bytes, 0) : OT_MIN(part->copied, OT_MAX(part->bytes, 0));
	}
	return bytes;
}

/* ---- telling ------------------------------------------------------------------------------- */

static const char *const state_names[] = {
	[CLI_DRAIN_PLANNED] = "planned",
	[CLI_DRAIN_MOVING] = "moving",
	[CLI_DRAIN_DONE] = "done",
	[CLI_DRAIN_STUCK] = "stuck",
};

static json_t *
json_of_replicas(const struct cli_replicas *replicas)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < replicas->count; i++)
		json_array_append_new(array, json_integer(replicas->brokers[i]));
	return array;
}

static json_t *
json_of_part(const struct cli_drain_part *part)
{
	json_t *object = json_pack("{s:s%,s:i,s:s,s:o}", "topic", part->name.topic.data,
	    (size_t)part->name.topic.len, "partition", (int)part->name.index, "state",
	    state_names[part->state], "replicas", json_of_replicas(&part->replicas));
	if (part->target.count > 0)
		json_object_set_new(object, "target", json_of_replicas(&part->target));
	if (part->bytes >= 0)
		json_object_set_new(object, "bytes", json_integer(part->bytes));
	if (part->state == CLI_DRAIN_STUCK)
		json_object_set_new(object, "reason", json_string(part->reason));
	return object;
}

static void
print_line(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
	fflush(stdout);
}

static void
print_plan_json(const struct run *run, const char *event)
{
	json_t *parts = json_array();
	for (size_t i = 0; i < run->drain.part_count; i++)
		json_array_append_new(parts, json_of_part(&run->drain.parts[i]));
	print_line(json_pack("{s:s,s:i,s:o}", "event", event, "broker", (int)run->drain.id,
	    "partitions", parts));
}

static void
print_plan(struct run *run)
{
	struct cli_drain *drain = &run->drain;
	int64_t bytes = 0;
	if (run->is_json) {
		print_plan_json(run, "plan");
		return;
	}
	for (size_t i = 0; i < drain->part_count; i++)
		bytes += OT_MAX(drain->parts[i].bytes, 0);
	printf("Broker %d has %zu replica%s, %s.\n", drain->id, drain->part_count,
	    drain->part_count == 1 ? "" : "s", cli_drain_bytes_text(run->cli, bytes));
	for (size_t i = 0; cli_has(&run->cli->args, OPT_DRY_RUN) && i < drain->part_count; i++) {
		const struct cli_drain_part *part = &drain->parts[i];
		if (part->state == CLI_DRAIN_PLANNED)
			printf("%.*s-%d would move from %s to %s\n", OT_STR_ARG(part->name.topic),
			    part->name.index, cli_replicas_text(run->cli, &part->replicas),
			    cli_replicas_text(run->cli, &part->target));
	}
	cli_drain_print_stuck(drain, stdout);
	fflush(stdout);
}

static void
print_progress(struct run *run)
{
	ot_wall_ms now = cli_now();
	int64_t elapsed_ms = OT_MAX(now - run->started_at, 1);
	int64_t copied = sum_copied(&run->drain) - run->first_copied;
	int64_t rate = OT_MAX(copied, 0) * 1000 / elapsed_ms;
	run->reported_at = now;
	if (run->is_json) {
		print_line(json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "event", "progress", "planned",
		    (json_int_t)cli_drain_count(&run->drain, CLI_DRAIN_PLANNED), "moving",
		    (json_int_t)cli_drain_count(&run->drain, CLI_DRAIN_MOVING), "done",
		    (json_int_t)cli_drain_count(&run->drain, CLI_DRAIN_DONE), "copied_bytes",
		    (json_int_t)sum_copied(&run->drain), "bytes_per_second", (json_int_t)rate));
		return;
	}
	cli_drain_print_progress(run->cli, &run->drain, rate, stdout);
	fflush(stdout);
}

/* ---- moving -------------------------------------------------------------------------------- */

/* The planned parts that are to start now. */
static struct cli_targets
choose_next(struct run *run)
{
	struct cli_drain *drain = &run->drain;
	size_t moving_count = cli_drain_count(drain, CLI_DRAIN_MOVING);
	size_t at_once = (size_t)cli_get_number(&run->cli->args, OPT_AT_ONCE);
	size_t room = at_once > moving_count ? at_once - moving_count : 0;
	struct cli_targets next = { cli_alloc(run->cli, room, sizeof(*next.items)), 0 };
	for (size_t i = 0; i < drain->part_count && next.count < room; i++) {
		struct cli_drain_part *part = &drain->parts[i];
		if (part->state != CLI_DRAIN_PLANNED)
			continue;
		next.items[next.count++] =
		    (struct cli_target){ .name = part->name, .replicas = part->target };
	}
	return next;
}

/* What the targets have now. */
static struct cli_targets
current_of(struct run *run, const struct cli_targets *targets)
{
	struct cli_targets current = { cli_alloc(run->cli, targets->count, sizeof(*current.items)),
		targets->count };
	for (size_t i = 0; i < targets->count; i++) {
		const struct cli_partition_name name = targets->items[i].name;
		current.items[i].name = name;
		current.items[i].replicas =
		    find_part(&run->drain, name.topic, name.index)->replicas;
	}
	return current;
}

static ot_err
start_next(struct run *run, const struct cli_movings *movings)
{
	struct cli_targets next = choose_next(run);
	struct cli_move_errors errors = { 0 };
	int64_t rate = cli_get_number(&run->cli->args, OPT_THROTTLE);
	ot_err err = OT_OK;
	if (next.count == 0)
		return OT_OK;
	if (rate >= 0) {
		struct cli_throttles throttles;
		struct cli_targets current = current_of(run, &next);
		cli_throttles_make(run->cli, movings, &next, &current, &throttles);
		err = cli_throttles_set(run->cli, &throttles, rate);
	}
	if (err == OT_OK)
		err = cli_targets_start(run->cli, &next, false, &errors);
	for (size_t i = 0; err == OT_OK && i < next.count; i++)
		find_part(&run->drain, next.items[i].name.topic, next.items[i].name.index)->state =
		    CLI_DRAIN_MOVING;
	for (size_t i = 0; err == OT_OK && i < errors.count; i++) {
		struct cli_drain_part *part =
		    find_part(&run->drain, errors.items[i].name.topic, errors.items[i].name.index);
		if (part == NULL)
			continue;
		part->state = CLI_DRAIN_STUCK;
		part->reason =
		    cli_error_text(run->cli, errors.items[i].code, errors.items[i].message);
	}
	return err;
}

/* The replicas that a partition has now; none when it is gone. */
static struct cli_replicas
replicas_now(const struct ot_metadata_response *metadata, struct cli_partition_name name)
{
	const struct ot_metadata_response_topic *topic = cli_metadata_find(metadata, name.topic);
	for (int32_t i = 0; topic != NULL && i < topic->partitions_count; i++) {
		const struct ot_metadata_response_partition *one = &topic->partitions[i];
		if (one->partition_index == name.index)
			return (
			    struct cli_replicas){ one->replica_nodes, one->replica_nodes_count };
	}
	return (struct cli_replicas){ 0 };
}

/* Parts whose reassignment is no longer listed have moved, or somebody has cancelled it. */
static ot_err
take_finished(struct run *run, const struct cli_movings *movings)
{
	struct cli_drain *drain = &run->drain;
	struct ot_metadata_response metadata = { 0 };
	bool has_metadata = false;
	for (size_t i = 0; i < drain->part_count; i++) {
		struct cli_drain_part *part = &drain->parts[i];
		if (part->state != CLI_DRAIN_MOVING ||
		    cli_movings_find(movings, part->name) != NULL)
			continue;
		ot_err err = has_metadata ? OT_OK : cli_fetch_topics(run->cli, &metadata);
		if (err != OT_OK)
			return err;
		has_metadata = true;
		struct cli_replicas now = replicas_now(&metadata, part->name);
		bool is_there = cli_replicas_have(&now, drain->id);
		part->state = is_there ? CLI_DRAIN_STUCK : CLI_DRAIN_DONE;
		part->reason = "its move was cancelled";
	}
	return OT_OK;
}

/* One look at what has moved, and the next moves. */
static ot_err
move_on(struct run *run)
{
	struct cli_movings movings;
	ot_err err = cli_movings_fetch(run->cli, &movings);
	if (err == OT_OK)
		err = take_finished(run, &movings);
	return err == OT_OK ? start_next(run, &movings) : err;
}

static bool
is_passing(ot_err err)
{
	return err == OT_ERR_CLOSED || err == OT_ERR_BROKER_NOT_AVAILABLE ||
	       ot_err_is_retriable(err);
}

/* Brokers may be restarted meanwhile: who does not answer is asked again for some time. */
static ot_err
move_all(struct run *run)
{
	struct cli_drain *drain = &run->drain;
	int64_t interval = cli_get_number(&run->cli->args, OPT_REPORT_INTERVAL);
	ot_wall_ms answered_at = cli_now();
	for (;;) {
		ot_err err = move_on(run);
		if (err == OT_OK)
			answered_at = cli_now();
		else if (!is_passing(err) || cli_now() - answered_at > DRAIN_PATIENCE_MS)
			return err;
		bool is_over = err == OT_OK && cli_drain_count(drain, CLI_DRAIN_PLANNED) == 0 &&
		               cli_drain_count(drain, CLI_DRAIN_MOVING) == 0;
		if (is_over || cli_now() - run->reported_at >= interval) {
			ask_copied(run);
			print_progress(run);
		}
		if (is_over)
			return OT_OK;
		ot_client_pause(run->cli->client, DRAIN_POLL_MS);
	}
}

/* Takes the throttles away that the moves had. */
static ot_err
clear_throttles(struct run *run, const struct cli_partition_name *names, size_t count)
{
	struct cli_replicas brokers = {
		cli_alloc(run->cli, run->drain.broker_count, sizeof(int32_t)), 0
	};
	struct ot_str *topics = cli_alloc(run->cli, count, sizeof(*topics));
	size_t topic_count = 0;
	for (size_t i = 0; i < run->drain.broker_count; i++)
		brokers.brokers[brokers.count++] = run->drain.brokers[i].id;
	for (size_t i = 0; i < count; i++) {
		if (topic_count == 0 || !ot_str_equal(topics[topic_count - 1], names[i].topic))
			topics[topic_count++] = names[i].topic;
	}
	return cli_throttles_clear(run->cli, &brokers, topics, topic_count);
}

static ot_err
end_throttle(struct run *run)
{
	const struct cli_drain *drain = &run->drain;
	if (cli_get_number(&run->cli->args, OPT_THROTTLE) < 0)
		return OT_OK;
	struct cli_partition_name *names = cli_alloc(run->cli, drain->part_count, sizeof(*names));
	for (size_t i = 0; i < drain->part_count; i++)
		names[i] = drain->parts[i].name;
	return clear_throttles(run, names, drain->part_count);
}

static int
conclude(struct run *run)
{
	struct cli_drain *drain = &run->drain;
	size_t stuck_count = cli_drain_count(drain, CLI_DRAIN_STUCK);
	if (run->is_json)
		print_plan_json(run, "end");
	else if (stuck_count == 0)
		printf("Broker %d has no replicas any more.\n", drain->id);
	else
		cli_drain_print_stuck(drain, stdout);
	if (stuck_count == 0)
		return CLI_EXIT_OK;
	return cli_fail(run->cli, "Broker %d still has %zu replica%s.", drain->id, stuck_count,
	    stuck_count == 1 ? "" : "s");
}

/* ---- the commands -------------------------------------------------------------------------- */

static int
drain(struct run *run)
{
	struct cli *cli = run->cli;
	struct cli_movings movings;
	if (fetch_parts(run) != OT_OK || cli_movings_fetch(cli, &movings) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (find_broker(&run->drain, run->drain.id) == NULL && run->drain.part_count == 0)
		return cli_fail(cli, "the cluster has no broker %d", run->drain.id);
	cli_drain_plan(cli, &run->drain, &movings);
	for (size_t i = 0; i < run->drain.broker_count; i++)
		ask_sizes(run, run->drain.brokers[i].id);
	print_plan(run);
	if (cli_has(&cli->args, OPT_DRY_RUN))
		return cli_drain_count(&run->drain, CLI_DRAIN_STUCK) == 0 ? CLI_EXIT_OK
		                                                          : CLI_EXIT_FAILURE;
	run->started_at = run->reported_at = cli_now();
	run->first_copied = sum_copied(&run->drain);
	bool has_moves = cli_drain_count(&run->drain, CLI_DRAIN_STUCK) < run->drain.part_count;
	if (has_moves && (move_all(run) != OT_OK || end_throttle(run) != OT_OK))
		return cli_fail(cli,
		    "%s. What is under way goes on; the same command goes on with the rest",
		    cli->why.text);
	return conclude(run);
}

static int
cancel(struct run *run)
{
	struct cli *cli = run->cli;
	struct cli_movings movings;
	struct cli_move_errors errors = { 0 };
	if (cli_movings_fetch(cli, &movings) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	struct cli_targets targets = { cli_alloc(cli, movings.count, sizeof(*targets.items)), 0 };
	struct cli_partition_name *names = cli_alloc(cli, movings.count, sizeof(*names));
	for (size_t i = 0; i < movings.count; i++) {
		if (!cli_replicas_have(&movings.items[i].removing, run->drain.id))
			continue;
		names[targets.count] = movings.items[i].name;
		targets.items[targets.count++].name = movings.items[i].name;
	}
	ot_err err = targets.count == 0 ? OT_OK : cli_targets_start(cli, &targets, true, &errors);
	if (err == OT_OK)
		err = clear_throttles(run, names, targets.count);
	if (err != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	for (size_t i = 0; i < errors.count; i++)
		cli_fail(cli, "%.*s-%d: %s", OT_STR_ARG(errors.items[i].name.topic),
		    errors.items[i].name.index,
		    cli_error_text(cli, errors.items[i].code, errors.items[i].message));
	size_t count = targets.count - errors.count;
	if (run->is_json)
		print_line(json_pack("{s:s,s:i,s:I}", "event", "cancelled", "broker",
		    (int)run->drain.id, "partitions", (json_int_t)count));
	else
		printf("Cancelled %zu move%s off broker %d.\n", count, count == 1 ? "" : "s",
		    run->drain.id);
	return errors.count == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

static int
run_drain(struct cli *cli)
{
	struct run run = { .cli = cli };
	int64_t id;
	if (cli->args.rest.count != 1)
		return cli_fail_usage(cli, "give the number of one broker");
	const char *word = cli->args.rest.items[0];
	if (!cli_number_parse(word, &id) || id < 0 || id > INT32_MAX)
		return cli_fail_usage(cli, "%s is no broker's number", word);
	if (cli_get_number(&cli->args, OPT_AT_ONCE) < 1)
		return cli_fail_usage(cli, "--at-once must be at least 1");
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (ot_client_learn_nodes(cli->client, &cli->why) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	run.drain.id = (int32_t)id;
	run.is_json = strcmp(cli_get(&cli->args, OPT_OUTPUT), "json") == 0;
	take_brokers(&run);
	return cli_has(&cli->args, OPT_CANCEL) ? cancel(&run) : drain(&run);
}

static const struct cli_command commands[] = {
	{
	    .name = "drain",
	    .summary = "Move all replicas off a broker.",
	    .purpose = "Moves all replicas of a broker to the others, a few at a time, and tells "
		       "how far that is. For each that cannot move it gives the reason. A run that "
		       "was stopped can be started again; --cancel stops the moves themselves.",
	    .options = drain_options,
	    .option_count = OT_ARRAY_COUNT(drain_options),
	    .rules = drain_rules,
	    .run = run_drain,
	    .rest = "BROKER",
	},
};

static const struct cli_option options[] = { CLI_COMMON_OPTIONS };

const struct cli_tool cli_node_tool = {
	.self = {
		.name = "node",
		.summary = "Empty a broker.",
		.purpose = "What is done to one broker of a cluster.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
	},
	.commands = commands,
	.command_count = OT_ARRAY_COUNT(commands),
	.classes = "",
};
