/* kafka-reassign-partitions: moves replicas between brokers, and between directories of a broker.
 *
 * With --bootstrap-server it prints what Kafka's tool prints today, with --zookeeper what that of
 * Kafka 0.11 did. What a file asks for, what is under way and the throttles are in the files
 * reassign_*.c; here is what the five actions do with them. */
#include "cli/reassign_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <jansson.h>

#include "base/panic.h"
#include "cli/offsets_int.h"
#include "cli/tools_int.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_ADDITIONAL = CLI_OPTION_CONNECT_COUNT,
	OPT_BROKER_LIST,
	OPT_CANCEL,
	OPT_DISABLE_RACK_AWARE,
	OPT_EXECUTE,
	OPT_GENERATE,
	OPT_LIST,
	OPT_PRESERVE_THROTTLES,
	OPT_JSON_FILE,
	OPT_DIR_THROTTLE,
	OPT_THROTTLE,
	OPT_TIMEOUT,
	OPT_TOPICS_FILE,
	OPT_VERIFY,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS_NAMED("bootstrap-server bootstrap-controller", 0),
	[OPT_ADDITIONAL] = { .names = "additional",
	    .text = "Execute this reassignment beside others that are under way, or change the "
		    "throttle of one that is." },
	[OPT_BROKER_LIST] = { .names = "broker-list",
	    .arg = "brokerlist",
	    .kind = CLI_STRING,
	    .text = "The brokers that the topics go to, \"0,1,2\"; with --generate." },
	[OPT_CANCEL] = { .names = "cancel",
	    .text = "Cancel the reassignments of the file that are under way." },
	[OPT_DISABLE_RACK_AWARE] = { .names = "disable-rack-aware",
	    .text = "Take no notice of racks when assigning replicas." },
	[OPT_EXECUTE] = { .names = "execute", .text = "Start the reassignments of the file." },
	[OPT_GENERATE] = { .names = "generate",
	    .text = "Print a file that would spread topics over brokers, and start nothing." },
	[OPT_LIST] = { .names = "list", .text = "List the reassignments that are under way." },
	[OPT_PRESERVE_THROTTLES] = { .names = "preserve-throttles",
	    .text = "Leave the throttles of brokers and topics as they are." },
	[OPT_JSON_FILE] = { .names = "reassignment-json-file",
	    .arg = "manual assignment json file path",
	    .kind = CLI_STRING,
	    .text = "A file with the replicas that partitions are to have:\n"
		    "{\"partitions\":\n"
		    "  [{\"topic\": \"foo\",\n"
		    "    \"partition\": 1,\n"
		    "    \"replicas\": [1,2,3],\n"
		    "    \"log_dirs\": [\"dir1\",\"dir2\",\"dir3\"] }],\n"
		    " \"version\":1\n"
		    "}\n"
		    "log_dirs may be left out. It has an absolute path for each replica, or "
		    "\"any\"." },
	[OPT_DIR_THROTTLE] = { .names = "replica-alter-log-dirs-throttle",
	    .arg = "replicaAlterLogDirsThrottle",
	    .kind = CLI_LONG,
	    .fallback = "-1",
	    .text = "Bytes per second at which replicas move between directories of a broker, at "
		    "least 1 KB/s." },
	[OPT_THROTTLE] = { .names = "throttle",
	    .arg = "throttle",
	    .kind = CLI_LONG,
	    .fallback = "-1",
	    .text = "Bytes per second at which partitions move between brokers, at least 1 KB/s. "
		    "--verify takes it away once they have moved." },
	[OPT_TIMEOUT] = { .names = "timeout",
	    .arg = "timeout",
	    .kind = CLI_LONG,
	    .fallback = "10000",
	    .text = "Milliseconds that moves between directories may take to begin." },
	[OPT_TOPICS_FILE] = { .names = "topics-to-move-json-file",
	    .arg = "topics to reassign json file path",
	    .kind = CLI_STRING,
	    .text = "A file with the topics that --generate moves to the brokers of "
		    "--broker-list:\n"
		    "{\"topics\":\n"
		    "  [{\"topic\": \"foo\"},{\"topic\": \"foo1\"}],\n"
		    " \"version\":1\n"
		    "}" },
	[OPT_VERIFY] = { .names = "verify",
	    .text = "Tell how far the reassignments of the file are, and take the throttles away "
		    "when nothing moves any more." },
};

#define BIT(name) CLI_BIT(OPT_##name)
#define ACTIONS   (BIT(GENERATE) | BIT(EXECUTE) | BIT(VERIFY) | BIT(CANCEL) | BIT(LIST))
#define ANYWHERE                                                         \
	(CLI_BIT(CLI_OPTION_BOOTSTRAP) | CLI_BIT(CLI_OPTION_ZOOKEEPER) | \
	    CLI_BIT(CLI_OPTION_COMMAND_CONFIG))

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, ACTIONS,
	    "Command must include exactly one action: --generate, --execute, --verify, --cancel, "
	    "--list" },
	{ CLI_RULE_NEEDS, OPT_GENERATE, BIT(TOPICS_FILE) | BIT(BROKER_LIST), NULL },
	{ CLI_RULE_NEEDS, OPT_EXECUTE, BIT(JSON_FILE), NULL },
	{ CLI_RULE_NEEDS, OPT_VERIFY, BIT(JSON_FILE), NULL },
	{ CLI_RULE_NEEDS, OPT_CANCEL, BIT(JSON_FILE), NULL },
	{ CLI_RULE_END, 0, 0, NULL },
};

struct action {
	unsigned option;
	uint64_t permitted;
	int (*run)(struct cli *cli);
};

/* ---- words --------------------------------------------------------------------------------- */

static int
fail(struct cli *cli, const char *message)
{
	return cli_fail(cli, "%s%s",
	    cli_is_of_old(cli) ? "Partitions reassignment failed due to " : "Error: ", message);
}

static int
fail_call(struct cli *cli)
{
	return fail(cli, cli->why.text);
}

static const char *
plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* "t-0,t-1" */
static const char *
names_of(struct cli *cli, const struct cli_targets *targets)
{
	const char *text = "";
	for (size_t i = 0; i < targets->count; i++)
		text = cli_format(cli, "%s%s%.*s-%d", text, i > 0 ? "," : "",
		    OT_STR_ARG(targets->items[i].name.topic), targets->items[i].name.index);
	return text;
}

/* ---- the file and the cluster -------------------------------------------------------------- */

static bool
load_targets(struct cli *cli, struct cli_targets *ret_targets)
{
	json_t *root = cli_load_json(cli, cli_get(&cli->args, OPT_JSON_FILE));
	if (root == NULL)
		return false;
	const char *mistake = cli_targets_read(cli, root, ret_targets);
	json_decref(root);
	if (mistake != NULL)
		fail(cli, mistake);
	return mistake == NULL;
}

/* The replicas that a topic's partitions have, appended. */
static void
add_topic(const struct ot_metadata_response_topic *topic, struct cli_targets *current)
{
	for (int32_t i = 0; i < topic->partitions_count; i++) {
		const struct ot_metadata_response_partition *from = &topic->partitions[i];
		current->items[current->count++] = (struct cli_target){
			.name = { topic->name, from->partition_index },
			.replicas = { from->replica_nodes, from->replica_nodes_count },
		};
	}
}

static ot_err
fetch_current(struct cli *cli, struct cli_targets *ret_current)
{
	struct ot_metadata_response metadata;
	ot_err err = cli_fetch_topics(cli, &metadata);
	size_t count = 0;
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < metadata.topics_count; i++)
		count += (size_t)OT_MAX(metadata.topics[i].partitions_count, 0);
	ret_current->items = cli_alloc(cli, count, sizeof(*ret_current->items));
	ret_current->count = 0;
	for (int32_t i = 0; i < metadata.topics_count; i++)
		add_topic(&metadata.topics[i], ret_current);
	return OT_OK;
}

static const struct cli_target *
find_target(const struct cli_targets *targets, struct cli_partition_name name)
{
	return targets->count == 0 ? NULL
	                           : bsearch(&name, targets->items, targets->count,
					 sizeof(*targets->items), cli_partition_name_compare);
}

static int
compare_ids(const void *a, const void *b)
{
	int32_t one = *(const int32_t *)a;
	int32_t other = *(const int32_t *)b;
	return (one > other) - (one < other);
}

/* The brokers that are there, and room for more. */
static ot_err
fetch_brokers(struct cli *cli, size_t more, struct cli_replicas *ret_brokers)
{
	size_t count = 0;
	ot_err err = ot_client_learn_nodes(cli->client, &cli->why);
	if (err != OT_OK)
		return err;
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &count);
	ret_brokers->brokers = cli_alloc(cli, count + more, sizeof(*ret_brokers->brokers));
	ret_brokers->count = (int32_t)count;
	for (size_t i = 0; i < count; i++)
		ret_brokers->brokers[i] = nodes[i].id;
	return OT_OK;
}

/* ---- --list -------------------------------------------------------------------------------- */

static int
list(struct cli *cli)
{
	struct cli_movings movings;
	if (cli_movings_fetch(cli, &movings) != OT_OK)
		return fail_call(cli);
	cli_movings_print(cli, &movings, stdout);
	return CLI_EXIT_OK;
}

/* ---- --generate ---------------------------------------------------------------------------- */

static const char *
read_broker_list(struct cli *cli, struct cli_replicas *ret_brokers)
{
	const char *list = cli_get(&cli->args, OPT_BROKER_LIST);
	ret_brokers->brokers = cli_alloc(cli, strlen(list) + 1, sizeof(*ret_brokers->brokers));
	ret_brokers->count = 0;
	for (;;) {
		size_t bytes = strcspn(list, ",");
		const char *word = cli_format(cli, "%.*s", (int)bytes, list);
		int64_t id;
		if (!cli_number_parse(word, &id) || id < 0 || id > INT32_MAX)
			return cli_format(cli, "For input string: \"%s\"", word);
		if (cli_replicas_have(ret_brokers, (int32_t)id))
			return cli_format(cli, "Broker list contains duplicate entries: [%s]",
			    word);
		ret_brokers->brokers[ret_brokers->count++] = (int32_t)id;
		if (list[bytes] == '\0')
			return NULL;
		list += bytes + 1;
	}
}

/* The wanted brokers that are there, with their racks. */
static const char *
find_racks(struct cli *cli, const struct cli_replicas *wanted, struct cli_assign_broker **ret_items,
    size_t *ret_count)
{
	size_t node_count = 0, count = 0, rackless_count = 0;
	bool is_rack_aware = !cli_has(&cli->args, OPT_DISABLE_RACK_AWARE);
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &node_count);
	struct cli_assign_broker *items = cli_alloc(cli, node_count, sizeof(*items));
	for (size_t i = 0; i < node_count; i++) {
		bool has_rack = is_rack_aware && nodes[i].rack[0] != '\0';
		if (!cli_replicas_have(wanted, nodes[i].id))
			continue;
		items[count].id = nodes[i].id;
		items[count++].rack = has_rack ? ot_str_from(nodes[i].rack) : OT_STR_NULL;
		rackless_count += !has_rack;
	}
	*ret_items = items;
	*ret_count = count;
	if (is_rack_aware && rackless_count != 0 && rackless_count != count)
		return "Not all brokers have rack information. Add --disable-rack-aware in command "
		       "line to make replica assignment without rack information.";
	return NULL;
}

static uint32_t
random_below(size_t limit)
{
	uint32_t number;
	ssize_t bytes = getrandom(&number, sizeof(number), 0);
	OT_ASSERT(bytes == (ssize_t)sizeof(number));
	return limit > 0 ? number % (uint32_t)limit : 0;
}

/* Proposes replicas for the partitions of one topic, which lie behind each other. */
static const char *
propose(struct cli *cli, struct cli_assign_broker *brokers, size_t broker_count,
    struct cli_target *partitions, size_t count)
{
	struct cli_replicas *assigned = cli_alloc(cli, count, sizeof(*assigned));
	const char *mistake =
	    cli_assign(cli, brokers, broker_count, (int32_t)count, partitions[0].replicas.count,
		random_below(broker_count), random_below(broker_count), assigned);
	for (size_t i = 0; mistake == NULL && i < count; i++)
		partitions[i].replicas = assigned[i];
	return mistake;
}

static const char *
propose_all(struct cli *cli, struct cli_assign_broker *brokers, size_t broker_count,
    struct cli_targets *targets)
{
	const char *mistake = NULL;
	for (size_t i = 0, next; mistake == NULL && i < targets->count; i = next) {
		next = i + 1;
		while (next < targets->count &&
		       ot_str_equal(targets->items[next].name.topic, targets->items[i].name.topic))
			next++;
		mistake = propose(cli, brokers, broker_count, &targets->items[i], next - i);
	}
	return mistake;
}

/* What the topics of the file have now. */
static const char *
choose_current(struct cli *cli, const struct ot_metadata_response *metadata,
    const struct ot_str *topics, size_t count, struct cli_targets *ret_current)
{
	size_t room = 0;
	for (int32_t i = 0; i < metadata->topics_count; i++)
		room += (size_t)OT_MAX(metadata->topics[i].partitions_count, 0);
	ret_current->items = cli_alloc(cli, room, sizeof(*ret_current->items));
	ret_current->count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct ot_metadata_response_topic *topic =
		    cli_metadata_find(metadata, topics[i]);
		if (topic == NULL)
			return cli_format(cli, "Topic %.*s not found.", OT_STR_ARG(topics[i]));
		add_topic(topic, ret_current);
	}
	if (ret_current->count > 1)
		qsort(ret_current->items, ret_current->count, sizeof(*ret_current->items),
		    cli_partition_name_compare);
	return NULL;
}

static int
generate(struct cli *cli)
{
	struct cli_replicas wanted;
	struct ot_str *topics = NULL;
	size_t topic_count = 0;
	json_t *root = cli_load_json(cli, cli_get(&cli->args, OPT_TOPICS_FILE));
	if (root == NULL)
		return CLI_EXIT_FAILURE;
	const char *mistake = read_broker_list(cli, &wanted);
	if (mistake == NULL)
		mistake = cli_target_topics_read(cli, root, &topics, &topic_count);
	json_decref(root);
	if (mistake != NULL)
		return fail(cli, mistake);
	struct ot_metadata_response metadata;
	struct cli_targets current;
	struct cli_assign_broker *brokers = NULL;
	size_t broker_count = 0;
	if (cli_fetch_topics(cli, &metadata) != OT_OK ||
	    ot_client_learn_nodes(cli->client, &cli->why) != OT_OK)
		return fail_call(cli);
	mistake = choose_current(cli, &metadata, topics, topic_count, &current);
	if (mistake == NULL)
		mistake = find_racks(cli, &wanted, &brokers, &broker_count);
	if (mistake != NULL)
		return fail(cli, mistake);
	struct cli_targets proposed = { cli_alloc(cli, current.count, sizeof(*proposed.items)),
		current.count };
	for (size_t i = 0; i < current.count; i++)
		proposed.items[i] = current.items[i];
	mistake = propose_all(cli, brokers, broker_count, &proposed);
	if (mistake != NULL)
		return fail(cli, mistake);
	printf("Current partition replica assignment\n");
	cli_targets_print(&current, !cli_is_of_old(cli), stdout);
	printf("\n\nProposed partition reassignment configuration\n");
	cli_targets_print(&proposed, !cli_is_of_old(cli), stdout);
	putchar('\n');
	return CLI_EXIT_OK;
}

/* ---- --execute ----------------------------------------------------------------------------- */

/* What the targets' partitions have now; a partition that is not there is a mistake. */
static const char *
find_current(struct cli *cli, const struct cli_targets *targets, const struct cli_targets *all,
    struct cli_targets *ret_current)
{
	const char *missing = "";
	ret_current->items = cli_alloc(cli, targets->count, sizeof(*ret_current->items));
	ret_current->count = 0;
	for (size_t i = 0; i < targets->count; i++) {
		const struct cli_partition_name name = targets->items[i].name;
		const struct cli_target *found = find_target(all, name);
		if (found != NULL)
			ret_current->items[ret_current->count++] = *found;
		else
			missing = cli_format(cli, "%s%s%.*s-%d", missing,
			    *missing != '\0' ? ", " : "", OT_STR_ARG(name.topic), name.index);
	}
	return *missing == '\0' ? NULL : cli_format(cli, "Unable to find partition: %s", missing);
}

static const char *
check_brokers(struct cli *cli, const struct cli_targets *targets, const struct cli_replicas *live)
{
	for (size_t i = 0; i < targets->count; i++) {
		for (int32_t k = 0; k < targets->items[i].replicas.count; k++) {
			int32_t id = targets->items[i].replicas.brokers[k];
			if (!cli_replicas_have(live, id))
				return cli_format(cli, "Unknown broker id %d", id);
		}
	}
	return NULL;
}

static void
print_rollback(struct cli *cli, const struct cli_targets *current)
{
	printf("Current partition replica assignment\n\n");
	cli_targets_print(current, !cli_is_of_old(cli), stdout);
	printf("\n\nSave this to use as the --reassignment-json-file option during rollback\n");
}

/* The brokers of moves between directories. */
static struct cli_replicas
brokers_of(struct cli *cli, const struct cli_dir_moves *moves)
{
	struct cli_replicas brokers = { cli_alloc(cli, moves->count, sizeof(int32_t)), 0 };
	for (size_t i = 0; i < moves->count; i++) {
		if (!cli_replicas_have(&brokers, moves->items[i].broker))
			brokers.brokers[brokers.count++] = moves->items[i].broker;
	}
	return brokers;
}

static int
throttle(struct cli *cli, const struct cli_movings *movings, const struct cli_targets *targets,
    const struct cli_targets *current, const struct cli_dir_moves *dir_moves)
{
	int64_t rate = cli_get_number(&cli->args, OPT_THROTTLE);
	int64_t dir_rate = cli_get_number(&cli->args, OPT_DIR_THROTTLE);
	bool is_of_old = cli_is_of_old(cli);
	if (rate < 0 && dir_rate < 0)
		return CLI_EXIT_OK;
	printf(is_of_old ? "Warning: You must run Verify periodically, until the reassignment "
			   "completes, to ensure the throttle is removed. You can also alter the "
			   "throttle by rerunning the Execute command passing a new value.\n"
			 : "Warning: You must run --verify periodically, until the reassignment "
			   "completes, to ensure the throttle is removed.\n");
	if (rate >= 0) {
		struct cli_throttles throttles;
		cli_throttles_make(cli, movings, targets, current, &throttles);
		if (cli_throttles_set(cli, &throttles, rate) != OT_OK)
			return fail_call(cli);
		printf("The %sthrottle limit was set to %lld B/s\n",
		    is_of_old ? "" : "inter-broker ", (long long)rate);
	}
	if (dir_rate >= 0) {
		struct cli_replicas brokers = brokers_of(cli, dir_moves);
		if (cli_dir_throttle_set(cli, &brokers, dir_rate) != OT_OK)
			return fail_call(cli);
		printf("The replica-alter-dir throttle limit was set to %lld B/s\n",
		    (long long)dir_rate);
	}
	return CLI_EXIT_OK;
}

static int
fail_moves(struct cli *cli, const char *title, const struct cli_move_errors *errors)
{
	const char *text = title;
	for (size_t i = 0; i < errors->count; i++) {
		const struct cli_move_error *one = &errors->items[i];
		text = cli_format(cli, "%s\n%.*s-%d: %s", text, OT_STR_ARG(one->name.topic),
		    one->name.index, cli_error_text(cli, one->code, one->message));
	}
	return cli_fail(cli, "%s", text);
}

static int
start_targets(struct cli *cli, const struct cli_targets *targets,
    const struct cli_dir_moves *dir_moves)
{
	struct cli_move_errors errors;
	if (cli_targets_start(cli, targets, false, &errors) != OT_OK)
		return fail_call(cli);
	if (errors.count > 0)
		return fail_moves(cli, "Error reassigning partition(s):", &errors);
	if (cli_is_of_old(cli))
		printf("Successfully started reassignment of partitions.\n");
	else
		printf("Successfully started partition reassignment%s for %s\n",
		    plural(targets->count), names_of(cli, targets));
	return cli_dir_moves_start(cli, dir_moves, cli_get_number(&cli->args, OPT_TIMEOUT), stdout);
}

static const char cannot_execute[] =
    "Cannot execute because there is an existing partition assignment.  Use --additional to "
    "override this and create a new partition assignment in addition to the existing one. The "
    "--additional flag can also be used to change the throttle by resubmitting the current "
    "reassignment.";

static int
execute(struct cli *cli)
{
	struct cli_targets targets = { 0 };
	struct cli_targets all, current;
	struct cli_movings movings;
	struct cli_replicas live;
	if (!load_targets(cli, &targets))
		return CLI_EXIT_FAILURE;
	const char *mistake = cli_targets_check(cli, &targets);
	if (mistake != NULL)
		return fail(cli, mistake);
	if (cli_movings_fetch(cli, &movings) != OT_OK || fetch_brokers(cli, 0, &live) != OT_OK ||
	    fetch_current(cli, &all) != OT_OK)
		return fail_call(cli);
	struct cli_dir_moves dir_moves;
	cli_dir_moves_make(cli, &targets, &dir_moves);
	bool is_busy = movings.count > 0 && !cli_has(&cli->args, OPT_ADDITIONAL);
	if (is_busy && !cli_is_of_old(cli))
		return cli_fail(cli, "%s", cannot_execute);
	mistake = check_brokers(cli, &targets, &live);
	if (mistake == NULL)
		mistake = find_current(cli, &targets, &all, &current);
	if (mistake != NULL)
		return fail(cli, mistake);
	if (is_busy) { /* the tool of old changed the throttle then, and that was all */
		printf("There is an existing assignment running.\n");
		return throttle(cli, &movings, &targets, &current, &dir_moves);
	}
	print_rollback(cli, &current);
	int status = throttle(cli, &movings, &targets, &current, &dir_moves);
	return status == CLI_EXIT_OK ? start_targets(cli, &targets, &dir_moves) : status;
}

/* ---- --verify ------------------------------------------------------------------------------ */

static bool
is_same(const struct cli_replicas *a, const struct cli_replicas *b)
{
	bool is_equal = a->count == b->count;
	for (int32_t i = 0; is_equal && i < a->count; i++)
		is_equal = a->brokers[i] == b->brokers[i];
	return is_equal;
}

/* Gives whether the partition has moved as the target wants it. */
static bool
print_state(struct cli *cli, const struct cli_target *target, const struct cli_movings *movings,
    const struct cli_targets *all)
{
	const struct cli_partition_name name = target->name;
	const struct cli_target *found = find_target(all, name);
	struct cli_replicas replicas = found != NULL ? found->replicas : (struct cli_replicas){ 0 };
	bool is_of_old = cli_is_of_old(cli);
	bool is_moving = cli_movings_find(movings, name) != NULL;
	bool is_done = !is_moving && is_same(&replicas, &target->replicas);
	if (is_moving)
		printf("Reassignment of partition %.*s-%d is still in progress%s\n",
		    OT_STR_ARG(name.topic), name.index, is_of_old ? "" : ".");
	else if (is_done)
		printf("Reassignment of partition %.*s-%d %s\n", OT_STR_ARG(name.topic), name.index,
		    is_of_old ? "completed successfully" : "is completed.");
	else if (is_of_old)
		printf("ERROR: Assigned replicas (%s) don't match the list of replicas for "
		       "reassignment (%s) for partition %.*s-%d\n"
		       "Reassignment of partition %.*s-%d failed\n",
		    cli_replicas_text(cli, &replicas), cli_replicas_text(cli, &target->replicas),
		    OT_STR_ARG(name.topic), name.index, OT_STR_ARG(name.topic), name.index);
	else
		printf(
		    "There is no active reassignment of partition %.*s-%d, but replica set is %s "
		    "rather than %s.\n",
		    OT_STR_ARG(name.topic), name.index, cli_replicas_text(cli, &replicas),
		    cli_replicas_text(cli, &target->replicas));
	return is_done;
}

/* The topics of sorted targets, each once. */
static struct ot_str *
topics_of(struct cli *cli, const struct cli_targets *targets, size_t *ret_count)
{
	struct ot_str *topics = cli_alloc(cli, targets->count, sizeof(*topics));
	size_t count = 0;
	for (size_t i = 0; i < targets->count; i++) {
		if (count == 0 || !ot_str_equal(topics[count - 1], targets->items[i].name.topic))
			topics[count++] = targets->items[i].name.topic;
	}
	*ret_count = count;
	return topics;
}

static int
clear_throttles(struct cli *cli, const struct cli_targets *targets)
{
	size_t room = 0, topic_count = 0;
	struct cli_replicas brokers;
	for (size_t i = 0; i < targets->count; i++)
		room += (size_t)targets->items[i].replicas.count;
	if (fetch_brokers(cli, room, &brokers) != OT_OK)
		return fail_call(cli);
	for (size_t i = 0; i < targets->count; i++) {
		for (int32_t k = 0; k < targets->items[i].replicas.count; k++) {
			int32_t id = targets->items[i].replicas.brokers[k];
			if (!cli_replicas_have(&brokers, id))
				brokers.brokers[brokers.count++] = id;
		}
	}
	if (brokers.count > 1)
		qsort(brokers.brokers, (size_t)brokers.count, sizeof(*brokers.brokers),
		    compare_ids);
	struct ot_str *topics = topics_of(cli, targets, &topic_count);
	bool had_throttle = false;
	if (cli_throttles_look(cli, topics, topic_count, &had_throttle) != OT_OK)
		return fail_call(cli);
	if (!cli_is_of_old(cli)) {
		printf("Clearing broker-level throttles on broker%s %s\n",
		    plural((size_t)brokers.count), cli_replicas_text(cli, &brokers));
		printf("Clearing topic-level throttles on topic%s ", plural(topic_count));
		for (size_t i = 0; i < topic_count; i++)
			printf("%s%.*s", i > 0 ? "," : "", OT_STR_ARG(topics[i]));
		putchar('\n');
	}
	if (cli_throttles_clear(cli, &brokers, topics, topic_count) != OT_OK)
		return fail_call(cli);
	if (cli_is_of_old(cli) && had_throttle)
		printf("Throttle was removed.\n");
	return CLI_EXIT_OK;
}

static int
verify(struct cli *cli)
{
	struct cli_targets targets = { 0 };
	struct cli_targets all;
	struct cli_movings movings;
	struct cli_dir_moves dir_moves;
	if (!load_targets(cli, &targets))
		return CLI_EXIT_FAILURE;
	if (cli_movings_fetch(cli, &movings) != OT_OK || fetch_current(cli, &all) != OT_OK)
		return fail_call(cli);
	if (targets.count > 1)
		qsort(targets.items, targets.count, sizeof(*targets.items),
		    cli_partition_name_compare);
	printf(cli_is_of_old(cli) ? "Status of partition reassignment: \n"
				  : "Status of partition reassignment:\n");
	size_t done_count = 0;
	for (size_t i = 0; i < targets.count; i++)
		done_count += print_state(cli, &targets.items[i], &movings, &all);
	cli_dir_moves_make(cli, &targets, &dir_moves);
	if (cli_dir_moves_fetch(cli, &dir_moves) != OT_OK)
		return fail_call(cli);
	if (!cli_is_of_old(cli) || dir_moves.count > 0)
		cli_dir_moves_print(&dir_moves, stdout);
	bool is_moving = movings.count > 0;
	for (size_t i = 0; i < dir_moves.count; i++)
		is_moving = is_moving || dir_moves.items[i].state == CLI_DIR_ACTIVE;
	/* The tool of old kept the throttles also when a move had failed. */
	bool is_kept = cli_is_of_old(cli) && done_count < targets.count;
	if (is_moving || is_kept || cli_has(&cli->args, OPT_PRESERVE_THROTTLES))
		return CLI_EXIT_OK;
	return clear_throttles(cli, &targets);
}

/* ---- --cancel ------------------------------------------------------------------------------ */

/* Moves that grow a copy go back to where the replica is. */
static int
cancel_dir_moves(struct cli *cli, const struct cli_targets *targets)
{
	struct cli_dir_moves moves;
	cli_dir_moves_make(cli, targets, &moves);
	if (cli_dir_moves_fetch(cli, &moves) != OT_OK)
		return fail_call(cli);
	struct cli_dir_moves active = { cli_alloc(cli, moves.count, sizeof(*active.items)), 0 };
	for (size_t i = 0; i < moves.count; i++) {
		if (moves.items[i].state != CLI_DIR_ACTIVE || moves.items[i].current == NULL)
			continue;
		active.items[active.count] = moves.items[i];
		active.items[active.count++].target = moves.items[i].current;
	}
	if (active.count > 0)
		return cli_dir_moves_start(cli, &active, cli_get_number(&cli->args, OPT_TIMEOUT),
		    stdout);
	printf("None of the specified partition moves are active.");
	return CLI_EXIT_OK;
}

static int
cancel(struct cli *cli)
{
	struct cli_targets targets = { 0 };
	struct cli_movings movings;
	if (!load_targets(cli, &targets))
		return CLI_EXIT_FAILURE;
	if (cli_movings_fetch(cli, &movings) != OT_OK)
		return fail_call(cli);
	if (targets.count > 1)
		qsort(targets.items, targets.count, sizeof(*targets.items),
		    cli_partition_name_compare);
	struct cli_targets active = { cli_alloc(cli, targets.count, sizeof(*active.items)), 0 };
	for (size_t i = 0; i < targets.count; i++) {
		const struct cli_moving *moving = cli_movings_find(&movings, targets.items[i].name);
		if (moving != NULL && (moving->adding.count > 0 || moving->removing.count > 0))
			active.items[active.count++] = targets.items[i];
	}
	struct cli_move_errors errors = { 0 };
	if (active.count > 0 && cli_targets_start(cli, &active, true, &errors) != OT_OK)
		return fail_call(cli);
	if (errors.count > 0)
		return fail_moves(cli,
		    errors.count == 1 ? "Error cancelling partition reassignment for:"
				      : "Error cancelling partition reassignments for:",
		    &errors);
	if (active.count > 0)
		printf("Successfully cancelled partition reassignment%s for: %s\n",
		    plural(active.count), names_of(cli, &active));
	else
		printf("None of the specified partition reassignments are active.\n");
	int status = cancel_dir_moves(cli, &targets);
	if (status != CLI_EXIT_OK || cli_has(&cli->args, OPT_PRESERVE_THROTTLES))
		return status;
	return clear_throttles(cli, &targets);
}

/* ---- the actions --------------------------------------------------------------------------- */

static const struct action actions[] = {
	{ OPT_GENERATE, BIT(TOPICS_FILE) | BIT(BROKER_LIST) | BIT(DISABLE_RACK_AWARE), generate },
	{ OPT_EXECUTE,
	    BIT(JSON_FILE) | BIT(ADDITIONAL) | BIT(THROTTLE) | BIT(DIR_THROTTLE) | BIT(TIMEOUT),
	    execute },
	{ OPT_VERIFY, BIT(JSON_FILE) | BIT(PRESERVE_THROTTLES), verify },
	{ OPT_CANCEL, BIT(JSON_FILE) | BIT(PRESERVE_THROTTLES) | BIT(TIMEOUT), cancel },
	{ OPT_LIST, 0, list },
};

static int
run_action(struct cli *cli, const struct action *action)
{
	uint64_t wrong =
	    cli->args.given & ~(action->permitted | ANYWHERE | CLI_BIT(action->option));
	if (wrong != 0) {
		char names[200];
		struct ot_text text = OT_TEXT(names);
		cli_option_put_names(&options[__builtin_ctzll(wrong)], &text);
		return cli_fail_usage(cli, "Option \"%s\" can't be used with action \"[%s]\"",
		    names, options[action->option].names);
	}
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	return action->run(cli);
}

static int
run(struct cli *cli)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(actions); i++) {
		if (cli_has(&cli->args, actions[i].option))
			return run_action(cli, &actions[i]);
	}
	return CLI_EXIT_FAILURE;
}

const struct cli_tool cli_reassign_tool = {
	.self = {
		.name = "reassign-partitions",
		.summary = "Move replicas between brokers and directories.",
		.purpose = "This tool helps to move topic partitions between replicas.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ReassignPartitionsCommand",
};
