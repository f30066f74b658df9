/* kafka-replica-verification: reads all replicas of partitions and compares them.
 *
 * In each round every broker is asked for the next records of all its replicas; what all of them
 * have below the high watermark is compared. Whoever is away is waited for. It goes on until it is
 * stopped; with --once, which is ours, until the end of the logs as they were at the start. */
#include "cli/replica_check_int.h"

#include <stdlib.h>
#include <string.h>

#include "cli/filter_int.h"
#include "cli/offsets_int.h"
#include "cli/tools_int.h"
#include "wire/msg_fetch.h"

enum {
	OPT_FETCH_SIZE = CLI_OPTION_CONNECT_COUNT,
	OPT_MAX_WAIT,
	OPT_ONCE,
	OPT_REPORT_INTERVAL,
	OPT_TIME,
	OPT_TOPICS,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS_NAMED("broker-list bootstrap-server", CLI_HIDDEN),
	[OPT_FETCH_SIZE] = { .names = "fetch-size",
	    .arg = "bytes",
	    .kind = CLI_INTEGER,
	    .fallback = "1048576",
	    .text = "Bytes of a partition that are read at once." },
	[OPT_MAX_WAIT] = { .names = "max-wait-ms",
	    .arg = "ms",
	    .kind = CLI_INTEGER,
	    .fallback = "1000",
	    .text = "How long brokers wait for new records." },
	[OPT_ONCE] = { .names = "once",
	    .text = "End where the logs ended at the start: with 0 when all replicas are the same "
		    "up to there, with 1 when not or when one cannot be read." },
	[OPT_REPORT_INTERVAL] = { .names = "report-interval-ms",
	    .arg = "ms",
	    .kind = CLI_LONG,
	    .fallback = "30000",
	    .text = "How often it is told how far the comparison is. With --once also how long it "
		    "may stand still." },
	[OPT_TIME] = { .names = "time",
	    .arg = "timestamp/-1(latest)/-2(earliest)",
	    .kind = CLI_LONG,
	    .fallback = "-1",
	    .text = "Where the comparison begins." },
	[OPT_TOPICS] = { .names = "topics-include topic-white-list",
	    .arg = "regex",
	    .kind = CLI_STRING,
	    .fallback = ".*",
	    .text = "The topics whose replicas are compared." },
};

enum { CLI_API_FETCH = 1, DEBUGGING_REPLICA = -2, FETCH_BYTES_MAX = 50 * 1024 * 1024 };
enum { AWAY_RETRY_MS = 100 };

struct verification {
	struct cli *cli;
	struct cli_replica_check *checks; /* sorted by name */
	struct cli_replica_check **by_id; /* the same by topic id and index */
	int64_t *ends;                    /* of --once, by check */
	size_t count;
	struct cli_replicas brokers;
	bool *is_away;         /* by broker */
	struct ot_arena arena; /* of a round */
	ot_wall_ms reported_at;
	ot_wall_ms moved_at; /* when an offset last grew */
	bool has_difference;
};

/* ---- what is compared ---------------------------------------------------------------------- */

static int
compare_ids(const void *a, const void *b)
{
	const struct cli_replica_check *one = *(struct cli_replica_check *const *)a;
	const struct cli_replica_check *other = *(struct cli_replica_check *const *)b;
	int order = memcmp(&one->topic_id, &other->topic_id, sizeof(one->topic_id));
	return order != 0
	           ? order
	           : (one->name.index > other->name.index) - (one->name.index < other->name.index);
}

static void
add_check(struct verification *run, const struct ot_metadata_response_topic *topic,
    const struct ot_metadata_response_partition *partition)
{
	struct cli_replica_check *check = &run->checks[run->count++];
	*check = (struct cli_replica_check){
		.name = { topic->name, partition->partition_index },
		.topic_id = topic->topic_id,
		.replica_count = partition->replica_nodes_count,
	};
	check->replicas =
	    cli_alloc(run->cli, (size_t)check->replica_count, sizeof(*check->replicas));
	for (int32_t i = 0; i < check->replica_count; i++) {
		int32_t broker = partition->replica_nodes[i];
		check->replicas[i].broker = broker;
		if (!cli_replicas_have(&run->brokers, broker))
			run->brokers.brokers[run->brokers.count++] = broker;
	}
}

static int
choose(struct verification *run)
{
	struct cli *cli = run->cli;
	struct ot_metadata_response metadata;
	struct cli_filter *filter = NULL;
	size_t room = 0, replica_room = 0;
	if (cli_filter_create_list(cli_get(&cli->args, OPT_TOPICS), &filter, &cli->why) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	if (cli_fetch_topics(cli, &metadata) != OT_OK) {
		cli_filter_destroy(filter);
		return cli_fail(cli, "%s", cli->why.text);
	}
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		for (int32_t k = 0; k < metadata.topics[i].partitions_count; k++) {
			room++;
			replica_room +=
			    (size_t)metadata.topics[i].partitions[k].replica_nodes_count;
		}
	}
	run->checks = cli_alloc(cli, room, sizeof(*run->checks));
	run->brokers.brokers = cli_alloc(cli, replica_room, sizeof(int32_t));
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		const struct ot_metadata_response_topic *topic = &metadata.topics[i];
		if (!cli_filter_has(filter, topic->name))
			continue;
		for (int32_t k = 0; k < topic->partitions_count; k++)
			add_check(run, topic, &topic->partitions[k]);
	}
	cli_filter_destroy(filter);
	if (run->count == 0)
		return cli_fail(cli, "No topics found. --topics-include if specified, is either "
				     "filtering out all topics or there is no topic.");
	run->is_away = cli_alloc(cli, (size_t)run->brokers.count, sizeof(bool));
	run->by_id = cli_alloc(cli, run->count, sizeof(*run->by_id));
	for (size_t i = 0; i < run->count; i++)
		run->by_id[i] = &run->checks[i];
	qsort(run->by_id, run->count, sizeof(*run->by_id), compare_ids);
	return CLI_EXIT_OK;
}

/* The offsets that `wanted` stands for, by check; of a time behind the last record, the end. */
static int
find_offsets(struct verification *run, int64_t wanted, int64_t *offsets)
{
	struct cli *cli = run->cli;
	struct cli_offset *items = cli_alloc(cli, run->count, sizeof(*items));
	for (size_t i = 0; i < run->count; i++)
		items[i] = (struct cli_offset){ .topic = run->checks[i].name.topic,
			.partition = run->checks[i].name.index,
			.wanted = wanted };
	if (cli_offsets_fetch(cli, items, run->count) != OT_OK)
		return cli_fail(cli, "%s", cli->why.text);
	for (size_t i = 0; i < run->count; i++) {
		if (items[i].err != OT_OK)
			return cli_fail(cli, "%.*s-%d: %s", OT_STR_ARG(items[i].topic),
			    items[i].partition, ot_err_message(items[i].err));
		offsets[i] = items[i].offset;
	}
	return CLI_EXIT_OK;
}

static int
find_start(struct verification *run)
{
	struct cli *cli = run->cli;
	int64_t *starts = cli_alloc(cli, run->count, sizeof(*starts));
	run->ends = cli_alloc(cli, run->count, sizeof(*run->ends));
	int64_t wanted = cli_get_number(&cli->args, OPT_TIME);
	int status = find_offsets(run, wanted, starts);
	if (status == CLI_EXIT_OK)
		status = find_offsets(run, CLI_OFFSETS_LATEST, run->ends);
	for (size_t i = 0; status == CLI_EXIT_OK && i < run->count; i++)
		run->checks[i].offset = starts[i] >= 0 ? starts[i] : run->ends[i];
	return status;
}

/* ---- one round ----------------------------------------------------------------------------- */

static struct cli_replica_answer *
find_answer(struct cli_replica_check *check, int32_t broker)
{
	for (int32_t i = 0; check != NULL && i < check->replica_count; i++) {
		if (check->replicas[i].broker == broker)
			return &check->replicas[i];
	}
	return NULL;
}

static struct cli_replica_check *
find_check(struct verification *run, const struct ot_fetch_response_topic *topic, int32_t index)
{
	struct cli_replica_check key = { .name = { topic->topic, index },
		.topic_id = topic->topic_id };
	struct cli_replica_check *key_pointer = &key;
	if (ot_uuid_is_zero(&topic->topic_id))
		return bsearch(&key, run->checks, run->count, sizeof(*run->checks),
		    cli_partition_name_compare);
	struct cli_replica_check **found =
	    bsearch(&key_pointer, run->by_id, run->count, sizeof(*run->by_id), compare_ids);
	return found != NULL ? *found : NULL;
}

static bool
fill_fetch(struct verification *run, int32_t broker, struct ot_fetch_request *request)
{
	const struct cli_args *args = &run->cli->args;
	struct ot_fetch_request_topic *topic = NULL;
	request->topics = ot_fetch_request_topic_array(&run->arena, (int32_t)run->count);
	if (request->topics == NULL)
		return false;
	for (size_t i = 0; i < run->count; i++) {
		const struct cli_replica_check *check = &run->checks[i];
		if (find_answer(&run->checks[i], broker) == NULL)
			continue;
		if (topic == NULL || !ot_str_equal(topic->topic, check->name.topic)) {
			topic = &request->topics[request->topics_count++];
			topic->topic = check->name.topic;
			topic->topic_id = check->topic_id;
		}
		struct ot_fetch_request_partition *old = topic->partitions;
		if ((topic->partitions_count & (topic->partitions_count - 1)) == 0) {
			topic->partitions = ot_fetch_request_partition_array(&run->arena,
			    OT_MAX(topic->partitions_count * 2, 1));
			if (topic->partitions == NULL)
				return false;
			if (topic->partitions_count > 0)
				memcpy(topic->partitions, old,
				    (size_t)topic->partitions_count * sizeof(*old));
		}
		struct ot_fetch_request_partition *partition =
		    &topic->partitions[topic->partitions_count++];
		partition->partition = check->name.index;
		partition->fetch_offset = check->offset;
		partition->partition_max_bytes = (int32_t)cli_get_number(args, OPT_FETCH_SIZE);
	}
	return true;
}

static void
take_answers(struct verification *run, int32_t broker, const struct ot_fetch_response *response)
{
	for (int32_t i = 0; i < response->responses_count; i++) {
		const struct ot_fetch_response_topic *topic = &response->responses[i];
		for (int32_t k = 0; k < topic->partitions_count; k++) {
			const struct ot_fetch_response_partition *from = &topic->partitions[k];
			struct cli_replica_check *check =
			    find_check(run, topic, from->partition_index);
			struct cli_replica_answer *to = find_answer(check, broker);
			if (to == NULL)
				continue;
			to->is_there = from->error_code == 0;
			to->records =
			    (struct ot_bytes){ from->records.data, OT_MAX(from->records.len, 0) };
			to->high_watermark = from->high_watermark;
		}
	}
}

/* Asks one broker. That it cannot be asked is told once, until it answers again. */
static void
ask_broker(struct verification *run, int32_t index)
{
	struct cli *cli = run->cli;
	int32_t broker = run->brokers.brokers[index];
	struct ot_fetch_request request;
	struct ot_fetch_response response;
	ot_fetch_request_init(&request);
	request.replica_id = DEBUGGING_REPLICA;
	request.replica_state.replica_id = DEBUGGING_REPLICA;
	request.max_wait_ms =
	    (int32_t)cli_get_number(&cli->args, OPT_MAX_WAIT) / run->brokers.count;
	request.min_bytes = 1;
	request.max_bytes = FETCH_BYTES_MAX;
	ot_err err = fill_fetch(run, broker, &request) ? OT_OK : OT_ERR_NO_MEMORY;
	if (err == OT_OK)
		err = ot_client_call(cli->client, broker, ot_api_find(CLI_API_FETCH), &request,
		    &run->arena, &response, &cli->why);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "broker %d: %s", broker, ot_err_message(err));
	}
	if (err == OT_OK)
		take_answers(run, broker, &response);
	else if (!run->is_away[index])
		cli_fail(cli, "%s", cli->why.text);
	run->is_away[index] = err != OT_OK;
	if (err != OT_OK)
		ot_client_pause(cli->client, AWAY_RETRY_MS);
}

static void
ask_all(struct verification *run)
{
	ot_arena_reset(&run->arena);
	for (size_t i = 0; i < run->count; i++) {
		for (int32_t k = 0; k < run->checks[i].replica_count; k++) {
			struct cli_replica_answer *answer = &run->checks[i].replicas[k];
			*answer = (struct cli_replica_answer){ .broker = answer->broker };
		}
	}
	for (int32_t i = 0; i < run->brokers.count; i++)
		ask_broker(run, i);
}

/* Kafka's line on how far behind the comparison is. */
static void
report(struct verification *run, ot_wall_ms now)
{
	char date[64] = "";
	int64_t lag_max = -1;
	const struct cli_replica_check *last = &run->checks[0];
	for (size_t i = 0; i < run->count; i++) {
		int64_t lag = cli_replica_high_watermark(&run->checks[i]) - run->checks[i].offset;
		if (lag <= lag_max)
			continue;
		lag_max = lag;
		last = &run->checks[i];
	}
	printf("%s: max lag is %lld for partition %.*s-%d at offset %lld among %zu partitions\n",
	    cli_replica_date(now, date, sizeof(date)), (long long)lag_max,
	    OT_STR_ARG(last->name.topic), last->name.index, (long long)last->offset, run->count);
	run->reported_at = now;
}

/* False when the comparison cannot go on. */
static bool
compare_all(struct verification *run)
{
	ot_wall_ms now = cli_now();
	for (size_t i = 0; i < run->count; i++) {
		int64_t offset = run->checks[i].offset;
		enum cli_replica_verdict verdict =
		    cli_replica_compare(&run->checks[i], now, stdout);
		run->has_difference = run->has_difference || verdict != CLI_REPLICAS_AGREE;
		if (verdict == CLI_REPLICAS_MISALIGNED)
			return false;
		if (run->checks[i].offset > offset)
			run->moved_at = now;
	}
	if (now - run->reported_at > cli_get_number(&run->cli->args, OPT_REPORT_INTERVAL))
		report(run, now);
	fflush(stdout);
	return true;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static const struct cli_replica_check *
find_behind(const struct verification *run)
{
	for (size_t i = 0; i < run->count; i++) {
		if (run->checks[i].offset < run->ends[i])
			return &run->checks[i];
	}
	return NULL;
}

static int
run_once(struct verification *run)
{
	struct cli *cli = run->cli;
	const struct cli_replica_check *behind;
	while ((behind = find_behind(run)) != NULL) {
		ask_all(run);
		if (!compare_all(run))
			return CLI_EXIT_FAILURE;
		int64_t patience = cli_get_number(&cli->args, OPT_REPORT_INTERVAL);
		if (find_behind(run) != NULL && cli_now() - run->moved_at > patience)
			return cli_fail(cli,
			    "%.*s-%d: not all replicas have offset %lld, or not all can be read",
			    OT_STR_ARG(behind->name.topic), behind->name.index,
			    (long long)behind->offset);
	}
	report(run, cli_now());
	return run->has_difference ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
}

static int
verify(struct verification *run)
{
	char date[64] = "";
	int status = choose(run);
	if (status == CLI_EXIT_OK)
		status = find_start(run);
	if (status != CLI_EXIT_OK)
		return status;
	run->reported_at = run->moved_at = cli_now();
	printf("%s: verification process is started\n",
	    cli_replica_date(run->reported_at, date, sizeof(date)));
	fflush(stdout);
	if (cli_has(&run->cli->args, OPT_ONCE))
		return run_once(run);
	do
		ask_all(run);
	while (compare_all(run));
	return CLI_EXIT_FAILURE;
}

static int
run(struct cli *cli)
{
	struct verification verification = { .cli = cli };
	const struct cli_args *args = &cli->args;
	if (!cli_has(args, CLI_OPTION_BOOTSTRAP) && !cli_is_of_old(cli))
		return cli_fail_usage(cli, "Missing required argument \"[broker-list]\"");
	if (cli_get_number(args, OPT_FETCH_SIZE) <= 0 || cli_get_number(args, OPT_MAX_WAIT) < 0)
		return cli_fail_usage(cli, "--fetch-size and --max-wait-ms must not be negative");
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	ot_arena_init(&verification.arena, 0);
	int status = verify(&verification);
	ot_arena_fini(&verification.arena);
	return status;
}

const struct cli_tool cli_replica_verification_tool = {
	.self = {
		.name = "replica-verification",
		.summary = "Compare the replicas of partitions.",
		.purpose = "Validate that all replicas for a set of topics have the same data.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.run = run,
	},
	.classes = "ReplicaVerificationTool",
};
