/* kafka-consumer-groups: lists and describes groups of consumers, resets and deletes their offsets,
 * deletes the groups.
 *
 * Kafka's tool gives 0 whatever happens; this one gives 1 when something that was asked could not
 * be done, so that scripts need not read its messages.
 */
#include "cli/tools_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/filter_int.h"
#include "cli/groups_int.h"
#include "client/coordinator.h"
#include "wire/msg_delete_groups.h"
#include "wire/msg_offset_delete.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_ALL_GROUPS = CLI_OPTION_CONNECT_COUNT,
	OPT_ALL_TOPICS,
	OPT_BY_DURATION,
	OPT_DELETE,
	OPT_DELETE_OFFSETS,
	OPT_DESCRIBE,
	OPT_DRY_RUN,
	OPT_EXECUTE,
	OPT_EXPORT,
	OPT_FROM_FILE,
	OPT_GROUP,
	OPT_LIST,
	OPT_MEMBERS,
	OPT_NEW_CONSUMER,
	OPT_OFFSETS,
	OPT_OUTPUT,
	OPT_RESET_OFFSETS,
	OPT_SHIFT_BY,
	OPT_STATE,
	OPT_TIMEOUT,
	OPT_TO_CURRENT,
	OPT_TO_DATETIME,
	OPT_TO_EARLIEST,
	OPT_TO_LATEST,
	OPT_TO_OFFSET,
	OPT_TOPIC,
	OPT_TYPE,
	OPT_VALIDATE_REGEX,
	OPT_VERBOSE,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(0),
	[OPT_ALL_GROUPS] = { .names = "all-groups", .text = "Do it for all consumer groups." },
	[OPT_ALL_TOPICS] = { .names = "all-topics",
	    .text = "Reset all partitions that the group has committed offsets of." },
	[OPT_BY_DURATION] = { .names = "by-duration",
	    .arg = "duration",
	    .kind = CLI_STRING,
	    .text = "Reset to the first record of the last while: PnDTnHnMnS, as in PT30M." },
	[OPT_DELETE] = { .names = "delete",
	    .text = "Delete groups without members, and their offsets: --group g1 --group g2." },
	[OPT_DELETE_OFFSETS] = { .names = "delete-offsets",
	    .text = "Delete the offsets that one group has committed of the topics given." },
	[OPT_DESCRIBE] = { .names = "describe",
	    .text = "Tell committed offsets and lag, members, or state of groups." },
	[OPT_DRY_RUN] = { .names = "dry-run",
	    .text = "Only show what --reset-offsets would do; so it is without --execute, too." },
	[OPT_EXECUTE] = { .names = "execute", .text = "Do what --reset-offsets shows." },
	[OPT_EXPORT] = { .names = "export", .text = "Print the offsets as CSV for --from-file." },
	[OPT_FROM_FILE] = { .names = "from-file",
	    .arg = "path to CSV file",
	    .kind = CLI_STRING,
	    .text = "Reset to the offsets in a file that --export has written: rows of "
		    "topic,partition,offset or group,topic,partition,offset." },
	[OPT_GROUP] = { .names = "group",
	    .arg = "consumer group",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "The group; may be repeated where several make sense." },
	[OPT_LIST] = { .names = "list", .text = "List all consumer groups." },
	[OPT_MEMBERS] = { .names = "members", .text = "With --describe: tell the members." },
	[OPT_NEW_CONSUMER] = { .names = "new-consumer",
	    .flags = CLI_HIDDEN,
	    .text = "Accepted for old scripts: there is no other." },
	[OPT_OFFSETS] = { .names = "offsets",
	    .text = "With --describe: tell committed offsets and lag; so it is without any." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or json",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form of what --list and --describe print." },
	[OPT_RESET_OFFSETS] = { .names = "reset-offsets",
	    .text =
		"Reset committed offsets of groups without members. Say to what (--to-datetime, "
		"--by-duration, --to-earliest, --to-latest, --shift-by, --from-file, "
		"--to-current, --to-offset), and of which topics (--all-topics, --topic), and "
		"add --execute once what is shown is what you want." },
	[OPT_SHIFT_BY] = { .names = "shift-by",
	    .arg = "number of offsets",
	    .kind = CLI_LONG,
	    .text = "Move the committed offsets forward, or back by a negative number." },
	[OPT_STATE] = { .names = "state",
	    .arg = "states",
	    .kind = CLI_STRING,
	    .flags = CLI_OPTIONAL,
	    .text = "With --describe: tell coordinator and state. With --list: show states, and "
		    "only groups in those given: --state stable,empty." },
	[OPT_TIMEOUT] = { .names = "timeout",
	    .arg = "timeout (ms)",
	    .kind = CLI_LONG,
	    .fallback = "5000",
	    .text = "How long a broker may take to answer." },
	[OPT_TO_CURRENT] = { .names = "to-current",
	    .text = "Reset to what is committed now, and to the end where nothing is." },
	[OPT_TO_DATETIME] = { .names = "to-datetime",
	    .arg = "datetime",
	    .kind = CLI_STRING,
	    .text = "Reset to the first record from that time on: YYYY-MM-DDTHH:mm:SS.sss, in UTC "
		    "or with a zone like +01:00 behind it." },
	[OPT_TO_EARLIEST] = { .names = "to-earliest", .text = "Reset to the start of the logs." },
	[OPT_TO_LATEST] = { .names = "to-latest", .text = "Reset to the end of the logs." },
	[OPT_TO_OFFSET] = { .names = "to-offset",
	    .arg = "offset",
	    .kind = CLI_LONG,
	    .text = "Reset to that offset." },
	[OPT_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .flags = CLI_REPEATED,
	    .text = "A topic whose offsets are reset or deleted, or some of its partitions: "
		    "topic1:0,1,2. May be repeated." },
	[OPT_TYPE] = { .names = "type",
	    .arg = "types",
	    .kind = CLI_STRING,
	    .flags = CLI_OPTIONAL,
	    .text = "With --list: show types, and only groups of those given: --type "
		    "classic,consumer." },
	[OPT_VALIDATE_REGEX] = { .names = "validate-regex",
	    .arg = "regex",
	    .kind = CLI_STRING,
	    .text = "Check that consumers could subscribe to that regular expression." },
	[OPT_VERBOSE] = { .names = "verbose", .text = "With --describe: tell more." },
};

#define BIT(name) CLI_BIT(OPT_##name)
#define ACTIONS                                                                               \
	(BIT(LIST) | BIT(DESCRIBE) | BIT(DELETE) | BIT(RESET_OFFSETS) | BIT(DELETE_OFFSETS) | \
	    BIT(VALIDATE_REGEX))
#define SCENARIOS                                                                                  \
	(BIT(TO_OFFSET) | BIT(SHIFT_BY) | BIT(TO_DATETIME) | BIT(BY_DURATION) | BIT(TO_EARLIEST) | \
	    BIT(TO_LATEST) | BIT(TO_CURRENT) | BIT(FROM_FILE))
#define SCENARIO(name)                                                      \
	{                                                                   \
		CLI_RULE_EXCLUDES, OPT_##name, SCENARIOS & ~BIT(name), NULL \
	}

static const struct cli_rule rules[] = {
	{ CLI_RULE_ONE_OF, 0, ACTIONS,
	    "Command must include exactly one action: --list, --describe, --delete, "
	    "--reset-offsets, --delete-offsets, --validate-regex" },
	{ CLI_RULE_LACKS, OPT_DESCRIBE, BIT(MEMBERS) | BIT(OFFSETS) | BIT(VERBOSE), NULL },
	{ CLI_RULE_LACKS, OPT_LIST, BIT(TYPE), NULL },
	{ CLI_RULE_EXCLUDES, OPT_MEMBERS, BIT(OFFSETS) | BIT(STATE),
	    "Option [describe] takes at most one of these options: [members], [offsets], [state]" },
	{ CLI_RULE_EXCLUDES, OPT_OFFSETS, BIT(STATE),
	    "Option [describe] takes at most one of these options: [members], [offsets], [state]" },
	{ CLI_RULE_EXCLUDES, OPT_DELETE, BIT(TOPIC),
	    "The consumer does not support topic-specific offset deletion from a consumer group." },
	{ CLI_RULE_NEEDS, OPT_DELETE_OFFSETS, BIT(GROUP) | BIT(TOPIC),
	    "Option [delete-offsets] takes the following options: [group], [topic]" },
	{ CLI_RULE_EXCLUDES, OPT_DRY_RUN, BIT(EXECUTE),
	    "Option [reset-offsets] only accepts one of [execute] and [dry-run]" },
	SCENARIO(TO_OFFSET),
	SCENARIO(TO_DATETIME),
	SCENARIO(BY_DURATION),
	SCENARIO(TO_EARLIEST),
	SCENARIO(TO_LATEST),
	SCENARIO(TO_CURRENT),
	SCENARIO(SHIFT_BY),
	{ CLI_RULE_EXCLUDES, OPT_GROUP, BIT(ALL_GROUPS) | BIT(LIST), NULL },
	{ CLI_RULE_EXCLUDES, OPT_TOPIC, BIT(LIST) | BIT(DESCRIBE), NULL },
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text json" },
	{ CLI_RULE_END, 0, 0, NULL },
};

/* ---- words --------------------------------------------------------------------------------- */

static int
fail(struct cli *cli, const char *fmt, const char *text)
{
	fflush(stdout);
	fputs("\nError: ", stderr);
	fprintf(stderr, fmt, text);
	fputc('\n', stderr);
	(void)cli;
	return CLI_EXIT_FAILURE;
}

static int
fail_call(struct cli *cli)
{
	return fail(cli, "Executing consumer group command failed due to %s", cli->why.text);
}

static bool
is_json(const struct cli *cli)
{
	return strcmp(cli_get(&cli->args, OPT_OUTPUT), "json") == 0;
}

/* ---- choosing groups ----------------------------------------------------------------------- */

struct names {
	struct ot_str *items;
	size_t count;
};

static int
choose_groups(struct cli *cli, struct names *ret_names)
{
	struct cli_values given = cli_get_all(&cli->args, OPT_GROUP);
	struct names names = { 0 };
	if (!cli_has(&cli->args, OPT_ALL_GROUPS)) {
		names.items = cli_alloc(cli, given.count, sizeof(*names.items));
		for (size_t i = 0; i < given.count; i++)
			names.items[names.count++] = ot_str_from(given.items[i]);
		*ret_names = names;
		return CLI_EXIT_OK;
	}
	struct cli_group_listing *groups;
	size_t count;
	if (cli_groups_list(cli, NULL, NULL, &groups, &count) != OT_OK)
		return fail_call(cli);
	names.items = cli_alloc(cli, count, sizeof(*names.items));
	for (size_t i = 0; i < count; i++)
		names.items[names.count++] = groups[i].name;
	*ret_names = names;
	return CLI_EXIT_OK;
}

/* ---- list ---------------------------------------------------------------------------------- */

static int
list_groups(struct cli *cli)
{
	struct cli_group_listing *groups;
	size_t count;
	bool has_type = cli_has(&cli->args, OPT_TYPE);
	bool has_state = cli_has(&cli->args, OPT_STATE);
	if (cli_groups_list(cli, cli_get(&cli->args, OPT_STATE), cli_get(&cli->args, OPT_TYPE),
		&groups, &count) != OT_OK)
		return fail_call(cli);
	if (!is_json(cli)) {
		cli_group_print_list(groups, count, has_type, has_state, stdout);
		return CLI_EXIT_OK;
	}
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array,
		    json_pack("{s:o,s:o,s:o}", "group", cli_json_of(groups[i].name), "type",
			cli_json_of(groups[i].type), "state", cli_json_of(groups[i].state)));
	cli_print_json(array, stdout);
	return CLI_EXIT_OK;
}

/* ---- describe ------------------------------------------------------------------------------ */

/* Tells what is remarkable of a group's state; false when there is nothing more to print. */
static bool
tell_state(struct cli *cli, const struct cli_group *group)
{
	static const char *const moving[] = { "PreparingRebalance", "CompletingRebalance",
		"AwaitingSync", "Assigning", "Reconciling" };
	const char *name = cli_text(cli, group->name);
	const char *break_line = cli_is_of_old(cli) ? "" : "\n";
	if (ot_str_is(group->state, "Dead")) {
		fail(cli, "Consumer group '%s' does not exist.", name);
		return false;
	}
	fflush(stdout);
	if (ot_str_is(group->state, "Empty"))
		fprintf(stderr, "%sConsumer group '%s' has no active members.\n", break_line, name);
	for (size_t i = 0; i < OT_ARRAY_COUNT(moving); i++) {
		if (ot_str_is(group->state, moving[i]))
			fprintf(stderr, "%sWarning: Consumer group '%s' is rebalancing.\n",
			    break_line, name);
	}
	return true;
}

static int
compare_members(const void *a, const void *b)
{
	const struct cli_member *one = *(const struct cli_member *const *)a;
	const struct cli_member *other = *(const struct cli_member *const *)b;
	size_t one_count = one->assignment.count;
	size_t other_count = other->assignment.count;
	if (one_count != other_count)
		return one_count < other_count ? 1 : -1; /* the most partitions first */
	return ot_str_compare(one->id, other->id);
}

static void
push_row(const struct cli_committed *committed, const struct cli_member *member,
    const struct cli_offset *partition, struct cli_group_rows *rows)
{
	const struct cli_offset *found = cli_committed_find(committed, partition);
	struct cli_group_row *row = &rows->items[rows->count++];
	row->member = member;
	row->partition = *partition;
	row->partition.offset = -1;
	row->committed = found != NULL ? found->offset : -1;
	row->epoch = found != NULL ? committed->epochs[found - committed->items] : -1;
}

/* A row per assigned partition, by members, then one per partition that was committed and is
 * nobody's. */
static void
make_rows(struct cli *cli, const struct cli_group *group, const struct cli_committed *committed,
    struct cli_group_rows *rows)
{
	const struct cli_member **members =
	    cli_alloc(cli, (size_t)group->member_count, sizeof(*members));
	size_t assigned_count = 0;
	for (int32_t i = 0; i < group->member_count; i++) {
		members[i] = &group->members[i];
		assigned_count += group->members[i].assignment.count;
	}
	if (group->member_count > 1)
		qsort(members, (size_t)group->member_count, sizeof(struct cli_member *),
		    compare_members);
	rows->items = cli_alloc(cli, assigned_count + committed->count, sizeof(*rows->items));
	struct cli_offset *assigned = cli_alloc(cli, assigned_count, sizeof(*assigned));
	for (int32_t i = 0; i < group->member_count; i++) {
		for (size_t k = 0; k < members[i]->assignment.count; k++) {
			assigned[rows->count] = members[i]->assignment.items[k];
			push_row(committed, members[i], &members[i]->assignment.items[k], rows);
		}
	}
	if (assigned_count > 1)
		qsort(assigned, assigned_count, sizeof(*assigned), cli_offset_compare);
	for (size_t i = 0; i < committed->count; i++) {
		const struct cli_offset *item = &committed->items[i];
		if (assigned_count == 0 || bsearch(item, assigned, assigned_count,
					       sizeof(*assigned), cli_offset_compare) == NULL)
			push_row(committed, NULL, item, rows);
	}
}

/* Fills in the logs' ends; where one cannot be had it stays unknown. */
static ot_err
fetch_ends(struct cli *cli, struct cli_group_rows *rows)
{
	struct cli_offset *ends = cli_alloc(cli, rows->count, sizeof(*ends));
	size_t count = 0;
	for (size_t i = 0; i < rows->count; i++)
		ends[i] = rows->items[i].partition;
	if (rows->count > 1)
		qsort(ends, rows->count, sizeof(*ends), cli_offset_compare);
	for (size_t i = 0; i < rows->count; i++) { /* two members may hold one for a moment */
		if (count == 0 || cli_offset_compare(&ends[count - 1], &ends[i]) != 0)
			ends[count++] = ends[i];
	}
	for (size_t i = 0; i < count; i++)
		ends[i].wanted = CLI_OFFSETS_LATEST;
	if (count == 0)
		return OT_OK;
	ot_err err = cli_offsets_fetch(cli, ends, count);
	if (err != OT_OK)
		return err;
	for (size_t i = 0; i < rows->count; i++) {
		struct cli_offset *partition = &rows->items[i].partition;
		const struct cli_offset *end =
		    bsearch(partition, ends, count, sizeof(*ends), cli_offset_compare);
		if (end != NULL && end->err == OT_OK)
			partition->offset = end->offset;
	}
	return OT_OK;
}

static json_t *
json_of_row(const struct cli_group *group, const struct cli_group_row *row)
{
	const struct cli_member *member = row->member;
	json_t *object = json_pack("{s:o,s:o,s:i}", "group", cli_json_of(group->name), "topic",
	    cli_json_of(row->partition.topic), "partition", (int)row->partition.partition);
	if (row->committed >= 0)
		json_object_set_new(object, "current_offset", json_integer(row->committed));
	if (row->partition.offset >= 0)
		json_object_set_new(object, "log_end_offset", json_integer(row->partition.offset));
	if (row->committed >= 0 && row->partition.offset >= 0)
		json_object_set_new(object, "lag",
		    json_integer(row->partition.offset - row->committed));
	if (row->epoch >= 0)
		json_object_set_new(object, "leader_epoch", json_integer(row->epoch));
	if (member != NULL) {
		json_object_set_new(object, "consumer_id", cli_json_of(member->id));
		json_object_set_new(object, "host", cli_json_of(member->host));
		json_object_set_new(object, "client_id", cli_json_of(member->client_id));
	}
	return object;
}

static int
describe_offsets(struct cli *cli, const struct cli_group *group, json_t *array)
{
	struct cli_committed committed;
	struct cli_group_rows rows = { 0 };
	bool is_there = tell_state(cli, group);
	if (!is_there)
		return CLI_EXIT_FAILURE;
	if (cli_group_committed(cli, group, &committed) != OT_OK)
		return fail_call(cli);
	make_rows(cli, group, &committed, &rows);
	if (fetch_ends(cli, &rows) != OT_OK)
		return fail_call(cli);
	for (size_t i = 0; array != NULL && i < rows.count; i++)
		json_array_append_new(array, json_of_row(group, &rows.items[i]));
	if (array != NULL || rows.count == 0)
		return CLI_EXIT_OK;
	if (cli_is_of_old(cli))
		cli_group_print_offsets_of_old(&rows, stdout);
	else
		cli_group_print_offsets(group, &rows, cli_has(&cli->args, OPT_VERBOSE), stdout);
	return CLI_EXIT_OK;
}

static json_t *
json_of_assignment(const struct cli_assignment *assignment)
{
	json_t *array = json_array();
	for (size_t i = 0; i < assignment->count; i++)
		json_array_append_new(array,
		    json_pack("{s:o,s:i}", "topic", cli_json_of(assignment->items[i].topic),
			"partition", (int)assignment->items[i].partition));
	return array;
}

static int
describe_members(struct cli *cli, const struct cli_group *group, json_t *array)
{
	if (!tell_state(cli, group))
		return CLI_EXIT_FAILURE;
	for (int32_t i = 0; array != NULL && i < group->member_count; i++) {
		const struct cli_member *member = &group->members[i];
		json_array_append_new(array,
		    json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "group", cli_json_of(group->name),
			"consumer_id", cli_json_of(member->id), "group_instance_id",
			cli_json_of(member->instance_id), "host", cli_json_of(member->host),
			"client_id", cli_json_of(member->client_id), "assignment",
			json_of_assignment(&member->assignment)));
	}
	if (array == NULL && group->member_count > 0)
		cli_group_print_members(cli, group, cli_has(&cli->args, OPT_VERBOSE), stdout);
	return CLI_EXIT_OK;
}

static int
describe_state(struct cli *cli, const struct cli_group *group, json_t *array)
{
	if (!tell_state(cli, group))
		return CLI_EXIT_FAILURE;
	const struct ot_client_node *node = ot_client_find_node(cli->client, group->coordinator);
	const char *coordinator = cli_format(cli, "%s:%d  (%d)", node != NULL ? node->host : "",
	    node != NULL ? node->port : 0, group->coordinator);
	if (array == NULL) {
		cli_group_print_state(group, coordinator, cli_has(&cli->args, OPT_VERBOSE), stdout);
		return CLI_EXIT_OK;
	}
	json_array_append_new(array,
	    json_pack("{s:o,s:i,s:o,s:o,s:i}", "group", cli_json_of(group->name), "coordinator",
		(int)group->coordinator, "assignment_strategy", cli_json_of(group->assignor),
		"state", cli_json_of(group->state), "members", (int)group->member_count));
	return CLI_EXIT_OK;
}

static int
describe_groups(struct cli *cli)
{
	struct names names;
	int status = choose_groups(cli, &names);
	json_t *array = is_json(cli) ? json_array() : NULL;
	for (size_t i = 0; i < names.count; i++) {
		struct cli_group group;
		int one;
		if (cli_group_describe(cli, names.items[i], &group) != OT_OK)
			one = fail_call(cli);
		else if (cli_has(&cli->args, OPT_MEMBERS))
			one = describe_members(cli, &group, array);
		else if (cli_has(&cli->args, OPT_STATE))
			one = describe_state(cli, &group, array);
		else
			one = describe_offsets(cli, &group, array);
		status = OT_MAX(status, one);
	}
	if (array != NULL)
		cli_print_json(array, stdout);
	return status;
}

/* ---- delete -------------------------------------------------------------------------------- */

static ot_err
delete_group(struct cli *cli, struct ot_str name)
{
	struct ot_delete_groups_request request;
	struct ot_delete_groups_response response;
	int32_t coordinator = -1;
	ot_err err = ot_client_find_coordinator(cli->client, OT_COORDINATOR_GROUP, name,
	    &coordinator, &cli->why);
	if (err != OT_OK)
		return err;
	ot_delete_groups_request_init(&request);
	request.groups_names = &name;
	request.groups_names_count = 1;
	err = cli_call(cli, coordinator, CLI_API_DELETE_GROUPS, &request, &response);
	if (err != OT_OK)
		return err;
	err = response.results_count == 1 ? ot_err_from_wire(response.results[0].error_code)
	                                  : OT_ERR_UNKNOWN_SERVER_ERROR;
	ot_why_set(&cli->why, "%s", ot_err_message(err));
	return err;
}

static const char *
add_name(struct cli *cli, const char *list, struct ot_str name)
{
	return cli_format(cli, "%s%s'%.*s'", list, *list != '\0' ? ", " : "", OT_STR_ARG(name));
}

static int
delete_groups(struct cli *cli)
{
	struct names names;
	const char *deleted = "";
	const char *failures = "";
	int status = choose_groups(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	for (size_t i = 0; i < names.count; i++) {
		if (delete_group(cli, names.items[i]) == OT_OK)
			deleted = add_name(cli, deleted, names.items[i]);
		else
			failures =
			    cli_format(cli, "%s\n* Group '%.*s' could not be deleted due to: %s",
				failures, OT_STR_ARG(names.items[i]), cli->why.text);
	}
	if (*failures == '\0') {
		printf("Deletion of requested consumer groups (%s) was successful.\n", deleted);
		return CLI_EXIT_OK;
	}
	if (*deleted != '\0')
		printf("\nThese consumer groups were deleted successfully: %s\n", deleted);
	return fail(cli, "Deletion of some consumer groups failed:%s", failures);
}

/* ---- delete offsets ------------------------------------------------------------------------ */

static ot_err
fill_partitions(struct cli *cli, struct cli_offset **ret_items, size_t *ret_count)
{
	struct ot_metadata_response metadata;
	struct cli_values topics = cli_get_all(&cli->args, OPT_TOPIC);
	ot_err err = cli_fetch_topics(cli, &metadata);
	if (err != OT_OK)
		return err;
	size_t count = 0;
	struct cli_offset *items =
	    cli_alloc(cli, cli_partitions_room(topics, &metadata), sizeof(*items));
	for (size_t i = 0; i < topics.count; i++) {
		const char *mistake =
		    cli_partitions_read(cli, topics.items[i], &metadata, items, &count);
		if (mistake != NULL) {
			ot_why_set(&cli->why, "%s", mistake);
			return OT_ERR_INVALID_REQUEST;
		}
	}
	if (count > 1)
		qsort(items, count, sizeof(*items), cli_offset_compare);
	*ret_items = items;
	*ret_count = count;
	return OT_OK;
}

/* Sets the error of each item; gives that of the whole. */
static ot_err
delete_items(struct cli *cli, struct ot_str group, struct cli_offset *items, size_t count)
{
	struct ot_offset_delete_request request;
	struct ot_offset_delete_response response;
	int32_t coordinator = -1;
	ot_err err = ot_client_find_coordinator(cli->client, OT_COORDINATOR_GROUP, group,
	    &coordinator, &cli->why);
	if (err != OT_OK)
		return err;
	ot_offset_delete_request_init(&request);
	request.group_id = group;
	request.topics = ot_offset_delete_request_topic_array(&cli->arena, (int32_t)count);
	request.topics_count = (int32_t)count; /* one partition each: the simplest that is right */
	for (size_t i = 0; i < count; i++) {
		request.topics[i].name = items[i].topic;
		request.topics[i].partitions =
		    ot_offset_delete_request_partition_array(&cli->arena, 1);
		request.topics[i].partitions_count = 1;
		request.topics[i].partitions[0].partition_index = items[i].partition;
	}
	err = cli_call(cli, coordinator, CLI_API_OFFSET_DELETE, &request, &response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < response.topics_count; i++) {
		for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
			struct cli_offset key = { .topic = response.topics[i].name,
				.partition = response.topics[i].partitions[k].partition_index };
			struct cli_offset *item =
			    bsearch(&key, items, count, sizeof(*items), cli_offset_compare);
			if (item != NULL)
				item->err =
				    ot_err_from_wire(response.topics[i].partitions[k].error_code);
		}
	}
	err = ot_err_from_wire(response.error_code);
	ot_why_set(&cli->why, "%s", ot_err_message(err));
	return err;
}

static int
delete_offsets(struct cli *cli)
{
	struct cli_values groups = cli_get_all(&cli->args, OPT_GROUP);
	struct cli_offset *items;
	size_t count;
	if (groups.count != 1)
		return cli_fail_usage(cli, "--delete-offsets is for one group at a time");
	if (fill_partitions(cli, &items, &count) != OT_OK)
		return fail_call(cli);
	ot_err err = delete_items(cli, ot_str_from(groups.items[0]), items, count);
	if (err != OT_OK)
		return fail(cli, "%s", cli->why.text);
	int topic_width = 15;
	size_t failure_count = 0;
	for (size_t i = 0; i < count; i++) {
		topic_width = OT_MAX(topic_width, items[i].topic.len);
		failure_count += items[i].err != OT_OK;
	}
	if (failure_count == 0)
		printf("Request succeeded for deleting offsets from group %s.\n", groups.items[0]);
	else
		fail(cli, "Encountered some partition-level error, see the follow-up details.%s",
		    "");
	printf("\n%-*s %-10s %-15s", topic_width, "TOPIC", "PARTITION", "STATUS");
	for (size_t i = 0; i < count; i++) {
		const char *status = items[i].err == OT_OK ? "Successful"
		                                           : cli_format(cli, "Error: %s",
								 ot_err_message(items[i].err));
		printf("\n%-*.*s %-10d %-15s", topic_width, OT_STR_ARG(items[i].topic),
		    items[i].partition, status);
	}
	putchar('\n');
	return failure_count == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

/* ---- reset --------------------------------------------------------------------------------- */

static int
read_times(struct cli *cli, struct cli_reset *reset)
{
	const char *datetime = cli_get(&cli->args, OPT_TO_DATETIME);
	const char *duration = cli_get(&cli->args, OPT_BY_DURATION);
	int64_t ms;
	if (datetime != NULL && !cli_datetime_parse(datetime, &reset->number))
		return cli_fail(cli,
		    "--to-datetime %s is no date and time; give YYYY-MM-DDTHH:mm:SS.sss", datetime);
	if (duration == NULL)
		return CLI_EXIT_OK;
	if (!cli_duration_parse(duration, &ms))
		return cli_fail(cli, "--by-duration %s is no duration; give PnDTnHnMnS", duration);
	reset->number = cli_now() - ms;
	return CLI_EXIT_OK;
}

/* What the options ask for. */
static int
read_reset(struct cli *cli, struct cli_reset *reset)
{
	static const struct {
		unsigned option;
		enum cli_reset_kind kind;
	} kinds[] = {
		{ OPT_TO_OFFSET, CLI_RESET_TO_OFFSET },
		{ OPT_TO_EARLIEST, CLI_RESET_TO_EARLIEST },
		{ OPT_TO_LATEST, CLI_RESET_TO_LATEST },
		{ OPT_TO_CURRENT, CLI_RESET_TO_CURRENT },
		{ OPT_SHIFT_BY, CLI_RESET_SHIFT_BY },
		{ OPT_TO_DATETIME, CLI_RESET_TO_TIME },
		{ OPT_BY_DURATION, CLI_RESET_TO_TIME },
		{ OPT_FROM_FILE, CLI_RESET_FROM_FILE },
	};
	const struct cli_args *args = &cli->args;
	for (size_t i = 0; i < OT_ARRAY_COUNT(kinds); i++) {
		if (cli_has(args, kinds[i].option))
			reset->kind = kinds[i].kind;
	}
	if (reset->kind == CLI_RESET_NONE)
		return cli_fail_usage(cli,
		    "Option '[reset-offsets]' requires one of the following scenarios: "
		    "[to-offset], "
		    "[shift-by], [to-datetime], [by-duration], [to-earliest], [to-latest], "
		    "[to-current], [from-file]");
	reset->is_all_topics = cli_has(args, OPT_ALL_TOPICS);
	reset->topics = cli_get_all(args, OPT_TOPIC);
	reset->has_one_group = cli_get_all(args, OPT_GROUP).count == 1;
	reset->file = cli_get(args, OPT_FROM_FILE);
	if (!reset->is_all_topics && reset->topics.count == 0 && reset->file == NULL)
		return cli_fail_usage(cli,
		    "One of the reset scopes should be defined: --all-topics, --topic.");
	if (reset->kind == CLI_RESET_TO_OFFSET)
		reset->number = cli_get_number(args, OPT_TO_OFFSET);
	if (reset->kind == CLI_RESET_SHIFT_BY)
		reset->number = cli_get_number(args, OPT_SHIFT_BY);
	if (reset->file != NULL) {
		reset->file_text = cli_read_file(reset->file, OT_GIB, &cli->arena, NULL, &cli->why);
		if (reset->file_text == NULL)
			return cli_fail(cli, "%s", cli->why.text);
	}
	return read_times(cli, reset);
}

/* Plans one group's reset, and does it. */
static int
reset_group(struct cli *cli, const struct cli_reset *reset, struct ot_str name,
    struct cli_group_plan *ret_plan)
{
	struct cli_group group;
	if (cli_group_describe(cli, name, &group) != OT_OK)
		return fail_call(cli);
	if (!ot_str_is(group.state, "Empty") && !ot_str_is(group.state, "Dead"))
		return fail(cli, "%s",
		    cli_format(cli,
			"Assignments can only be reset if the group '%.*s' is inactive, but the "
			"current state is %.*s.",
			OT_STR_ARG(name), OT_STR_ARG(group.state)));
	if (cli_group_plan_reset(cli, reset, &group, ret_plan) != OT_OK)
		return fail_call(cli);
	if (!cli_has(&cli->args, OPT_EXECUTE))
		return CLI_EXIT_OK;
	if (cli_group_commit(cli, &group, ret_plan->items, ret_plan->count) != OT_OK)
		return fail_call(cli);
	return CLI_EXIT_OK;
}

static int
reset_offsets(struct cli *cli)
{
	struct names names;
	struct cli_reset reset = { .kind = CLI_RESET_NONE };
	int status = read_reset(cli, &reset);
	if (status == CLI_EXIT_OK)
		status = choose_groups(cli, &names);
	if (status != CLI_EXIT_OK)
		return status;
	bool is_planned = cli_has(&cli->args, OPT_DRY_RUN) || cli_has(&cli->args, OPT_EXECUTE);
	if (!is_planned)
		fprintf(stderr, "WARN: nothing is changed without --execute; say --dry-run if that "
				"is meant.\n");
	struct cli_group_plan *plans = cli_alloc(cli, names.count, sizeof(*plans));
	for (size_t i = 0; i < names.count; i++) {
		plans[i].group = names.items[i];
		int one = reset_group(cli, &reset, names.items[i], &plans[i]);
		status = OT_MAX(status, one);
	}
	if (cli_has(&cli->args, OPT_EXPORT))
		cli_group_print_csv(plans, names.count, !reset.has_one_group, stdout);
	else
		cli_group_print_plans(plans, names.count, cli_is_of_old(cli), stdout);
	return status;
}

/* ---- the tool ------------------------------------------------------------------------------ */

static int
validate_regex(struct cli *cli)
{
	struct cli_filter *filter = NULL;
	const char *regex = cli_get(&cli->args, OPT_VALIDATE_REGEX);
	if (cli_filter_create(regex, &filter, &cli->why) != OT_OK)
		return cli_fail(cli, "The regular expression `%s` is invalid: %s.", regex,
		    cli->why.text);
	printf("The regular expression `%s` is valid.\n", regex);
	cli_filter_destroy(filter);
	return CLI_EXIT_OK;
}

/* Rules that need an answer to "which of several", or that depend on a value. */
static int
check_options(struct cli *cli)
{
	const struct cli_args *args = &cli->args;
	static const unsigned for_groups[] = { OPT_DESCRIBE, OPT_DELETE, OPT_RESET_OFFSETS };
	for (size_t i = 0; i < OT_ARRAY_COUNT(for_groups); i++) {
		if (cli_has(args, for_groups[i]) && !cli_has(args, OPT_GROUP) &&
		    !cli_has(args, OPT_ALL_GROUPS))
			return cli_fail_usage(cli,
			    "Option [%s] takes one of these options: [group], [all-groups]",
			    options[for_groups[i]].names);
	}
	if (cli_has(args, OPT_STATE) && cli_has(args, OPT_DESCRIBE) &&
	    cli_get(args, OPT_STATE) != NULL)
		return cli_fail_usage(cli, "Option [describe] does not take a value for [state]");
	if (cli_has(args, OPT_STATE) && !cli_has(args, OPT_DESCRIBE) && !cli_has(args, OPT_LIST))
		return cli_fail_usage(cli,
		    "Option \"[state]\" can only be used with option \"[describe]\" or \"[list]\"");
	return CLI_EXIT_OK;
}

static int
run(struct cli *cli)
{
	int status = check_options(cli);
	if (status != CLI_EXIT_OK)
		return status;
	if (cli_has(&cli->args, OPT_VALIDATE_REGEX))
		return validate_regex(cli);
	cli->timeout_ms = cli_get_number(&cli->args, OPT_TIMEOUT);
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (cli_is_of_old(cli))
		fprintf(stderr, "Note: consumers that keep their offsets in ZooKeeper are not "
				"among these groups.\n\n");
	if (cli_has(&cli->args, OPT_LIST))
		return list_groups(cli);
	if (cli_has(&cli->args, OPT_DESCRIBE))
		return describe_groups(cli);
	if (cli_has(&cli->args, OPT_DELETE))
		return delete_groups(cli);
	if (cli_has(&cli->args, OPT_DELETE_OFFSETS))
		return delete_offsets(cli);
	return reset_offsets(cli);
}

const struct cli_tool cli_consumer_groups_tool = {
	.self = {
		.name = "consumer-groups",
		.summary = "List, describe, reset and delete groups of consumers.",
		.purpose = "This tool helps to list all consumer groups, describe a consumer "
			   "group,\ndelete consumer group info, or reset consumer group offsets.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "ConsumerGroupCommand",
};
