/* kafka-get-offsets (GetOffsetShell): offsets of partitions by time. */
#include "cli/tools_int.h"

#include <stdlib.h>
#include <string.h>

#include "cli/filter_int.h"
#include <jansson.h>

#include "cli/offsets_int.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_EXCLUDE_INTERNAL = CLI_OPTION_CONNECT_COUNT,
	OPT_MAX_WAIT,
	OPT_OFFSETS,
	OPT_OUTPUT,
	OPT_PARTITIONS,
	OPT_TIME,
	OPT_TOPIC,
	OPT_TOPIC_PARTITIONS,
};

static const struct cli_option options[] = {
	CLI_CONNECT_OPTIONS(CLI_HIDDEN),
	[OPT_EXCLUDE_INTERNAL] = { .names = "exclude-internal-topics",
	    .text = "Leave internal topics out." },
	[OPT_MAX_WAIT] = { .names = "max-wait-ms",
	    .arg = "ms",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN,
	    .text = "Accepted for old scripts." },
	[OPT_OFFSETS] = { .names = "offsets",
	    .arg = "count",
	    .kind = CLI_INTEGER,
	    .flags = CLI_HIDDEN,
	    .text = "Accepted for old scripts: one offset is given." },
	[OPT_OUTPUT] = CLI_OUTPUT_OPTION,
	[OPT_PARTITIONS] = { .names = "partitions",
	    .arg = "partition ids",
	    .kind = CLI_STRING,
	    .text = "Only these partitions: 0,1,2." },
	[OPT_TIME] = { .names = "time",
	    .arg = "timestamp / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or "
		   "earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
	    .kind = CLI_STRING,
	    .fallback = "latest",
	    .text = "Which offset: of the first record from that time (milliseconds since 1970) "
		    "on, or one of those with a name. Where there is none, nothing is printed." },
	[OPT_TOPIC] = { .names = "topic",
	    .arg = "topic",
	    .kind = CLI_STRING,
	    .text = "The topics, as a regular expression that whole names match; without it all." },
	[OPT_TOPIC_PARTITIONS] = { .names = "topic-partitions",
	    .arg = "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
	    .kind = CLI_STRING,
	    .text = "Topics with partitions: a regular expression for the topic, and behind a "
		    "colon one partition or a range, whose end does not count. Each part may be "
		    "left out." },
};

static int
fail(struct cli *cli, const char *message)
{
	return cli_fail(cli, "Error occurred: %s", message);
}

/* ---- patterns ------------------------------------------------------------------------------ */

/* One rule of --topic-partitions; --topic and --partitions make one as well. */
struct rule {
	struct cli_filter *filter; /* NULL: every topic */
	int32_t low;
	int32_t high; /* not in it */
};

struct rules {
	struct rule *items;
	size_t count;
	int32_t *partitions; /* of --partitions; NULL: all */
	size_t partition_count;
};

static void
free_rules(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		cli_filter_destroy(rules->items[i].filter);
}

/* A number of a pattern; left out, `fallback`. */
static bool
read_bound(struct cli *cli, const char *text, size_t bytes, int32_t fallback, int32_t *ret_bound)
{
	int64_t number = fallback;
	if (bytes > 0 &&
	    (strspn(text, "0123456789") < bytes ||
		!cli_number_parse(cli_format(cli, "%.*s", (int)bytes, text), &number) ||
		number > INT32_MAX))
		return false;
	*ret_bound = (int32_t)number;
	return true;
}

/* "topic:3", "topic:1-3", "topic:1-", ":-3", "topic". */
static ot_err
read_rule(struct cli *cli, const char *text, struct rule *ret_rule)
{
	struct rule rule = { NULL, 0, INT32_MAX };
	size_t topic_bytes = strcspn(text, ":");
	if (text[topic_bytes] == ':') {
		const char *range = text + topic_bytes + 1;
		size_t low_bytes = strcspn(range, "-");
		bool is_range = range[low_bytes] == '-';
		const char *high = range + low_bytes + (is_range ? 1 : 0);
		bool is_good = read_bound(cli, range, low_bytes, 0, &rule.low) &&
		               read_bound(cli, high, strlen(high), INT32_MAX, &rule.high);
		if (is_good && !is_range && low_bytes > 0)
			rule.high = rule.low < INT32_MAX ? rule.low + 1 : INT32_MAX;
		if (!is_good) {
			ot_why_set(&cli->why, "Invalid rule specification: %s", text);
			return OT_ERR_INVALID_REQUEST;
		}
	}
	const char *topic = cli_format(cli, "%.*s", (int)topic_bytes, text);
	if (*topic != '\0') {
		ot_err err = cli_filter_create_list(topic, &rule.filter, &cli->why);
		if (err != OT_OK)
			return err;
	}
	*ret_rule = rule;
	return OT_OK;
}

static ot_err
read_rules(struct cli *cli, const char *text, struct rules *rules)
{
	rules->items = cli_alloc(cli, strlen(text) + 1, sizeof(*rules->items));
	while (*text != '\0') {
		size_t bytes = strcspn(text, ",");
		const char *rule = cli_format(cli, "%.*s", (int)bytes, text);
		ot_err err = read_rule(cli, rule, &rules->items[rules->count]);
		if (err != OT_OK)
			return err;
		rules->count++;
		text += bytes + (text[bytes] == ',' ? 1 : 0);
	}
	return OT_OK;
}

static ot_err
read_partitions(struct cli *cli, const char *text, struct rules *rules)
{
	const char *whole = text;
	rules->partitions = cli_alloc(cli, strlen(text) + 1, sizeof(*rules->partitions));
	while (*text != '\0') {
		size_t bytes = strcspn(text, ",");
		int64_t number;
		if (!cli_number_parse(cli_format(cli, "%.*s", (int)bytes, text), &number) ||
		    number < INT32_MIN || number > INT32_MAX) {
			ot_why_set(&cli->why,
			    "--partitions expects a comma separated list of numeric partition ids, "
			    "but received: %s",
			    whole);
			return OT_ERR_INVALID_REQUEST;
		}
		rules->partitions[rules->partition_count++] = (int32_t)number;
		text += bytes + (text[bytes] == ',' ? 1 : 0);
	}
	return OT_OK;
}

static ot_err
make_rules(struct cli *cli, struct rules *rules)
{
	const char *patterns = cli_get(&cli->args, OPT_TOPIC_PARTITIONS);
	const char *partitions = cli_get(&cli->args, OPT_PARTITIONS);
	const char *topic = cli_get(&cli->args, OPT_TOPIC);
	if (patterns != NULL && (topic != NULL || partitions != NULL)) {
		ot_why_set(&cli->why,
		    "--topic-partitions cannot be used with --topic or --partitions");
		return OT_ERR_INVALID_REQUEST;
	}
	if (patterns != NULL)
		return read_rules(cli, patterns, rules);
	rules->items = cli_alloc(cli, 1, sizeof(*rules->items));
	rules->items[0] = (struct rule){ NULL, 0, INT32_MAX };
	ot_err err = OT_OK;
	if (topic != NULL)
		err = cli_filter_create_list(topic, &rules->items[0].filter, &cli->why);
	if (err != OT_OK)
		return err;
	rules->count = 1;
	if (partitions != NULL && *partitions != '\0')
		err = read_partitions(cli, partitions, rules);
	return err;
}

static bool
is_chosen(const struct rules *rules, struct ot_str topic, int32_t partition)
{
	bool is_listed = rules->partitions == NULL;
	for (size_t i = 0; i < rules->partition_count; i++)
		is_listed = is_listed || rules->partitions[i] == partition;
	for (size_t i = 0; is_listed && i < rules->count; i++) {
		const struct rule *rule = &rules->items[i];
		if (partition >= rule->low && partition < rule->high &&
		    cli_filter_has(rule->filter, topic))
			return true;
	}
	return false;
}

/* ---- the work ------------------------------------------------------------------------------ */

static bool
read_time(const char *text, int64_t *ret_time)
{
	static const char *const names[] = { "latest", "earliest", "max-timestamp",
		"earliest-local", "latest-tiered", "earliest-pending-upload" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_time = CLI_OFFSETS_LATEST - (int64_t)i;
			return true;
		}
	}
	return cli_number_parse(text, ret_time);
}

static ot_err
choose_partitions(struct cli *cli, const struct rules *rules, int64_t time,
    struct cli_offset **ret_items, size_t *ret_count)
{
	struct ot_metadata_response metadata;
	bool no_internal = cli_has(&cli->args, OPT_EXCLUDE_INTERNAL);
	ot_err err = cli_fetch_topics(cli, &metadata);
	if (err != OT_OK)
		return err;
	size_t room = 0;
	size_t count = 0;
	for (int32_t i = 0; i < metadata.topics_count; i++)
		room += (size_t)metadata.topics[i].partitions_count;
	struct cli_offset *items = cli_alloc(cli, room, sizeof(*items));
	for (int32_t i = 0; i < metadata.topics_count; i++) {
		const struct ot_metadata_response_topic *topic = &metadata.topics[i];
		bool is_out = no_internal && topic->is_internal;
		for (int32_t k = 0; !is_out && k < topic->partitions_count; k++) {
			int32_t index = topic->partitions[k].partition_index;
			if (is_chosen(rules, topic->name, index))
				items[count++] = (struct cli_offset){ .topic = topic->name,
					.partition = index,
					.wanted = time };
		}
	}
	*ret_items = items;
	*ret_count = count;
	return OT_OK;
}

/* Kafka's order: that of the texts "topic-partition", in which 10 stands before 2. */
static int
compare_texts(const void *a, const void *b)
{
	const struct cli_offset *one = a;
	const struct cli_offset *other = b;
	char one_text[320];
	char other_text[320];
	snprintf(one_text, sizeof(one_text), "%.*s-%d", OT_STR_ARG(one->topic), one->partition);
	snprintf(other_text, sizeof(other_text), "%.*s-%d", OT_STR_ARG(other->topic),
	    other->partition);
	return strcmp(one_text, other_text);
}

static int
run_with(struct cli *cli, struct rules *rules)
{
	const char *text = cli_get(&cli->args, OPT_TIME);
	int64_t time;
	struct cli_offset *items;
	size_t count;
	if (!read_time(text, &time))
		return fail(cli,
		    cli_format(cli,
			"Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 "
			"or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or "
			"earliest-pending-upload, or a specified long format timestamp",
			text));
	if (make_rules(cli, rules) != OT_OK)
		return fail(cli, cli->why.text);
	if (!cli_connect(cli))
		return CLI_EXIT_FAILURE;
	if (choose_partitions(cli, rules, time, &items, &count) != OT_OK)
		return fail(cli, cli->why.text);
	if (count == 0)
		return fail(cli, "Could not match any topic-partitions with the specified filters");
	if (cli_offsets_fetch(cli, items, count) != OT_OK)
		return fail(cli, cli->why.text);
	qsort(items, count, sizeof(*items), compare_texts);
	int status = CLI_EXIT_OK;
	json_t *array = cli_wants_json(cli, OPT_OUTPUT) ? json_array() : NULL;
	for (size_t i = 0; i < count; i++) {
		const struct cli_offset *item = &items[i];
		if (item->err != OT_OK)
			status = cli_fail(cli,
			    "Skip getting offsets for topic-partition %.*s-%d due to error: %s",
			    OT_STR_ARG(item->topic), item->partition, ot_err_message(item->err));
		else if (item->offset >= 0 && array != NULL)
			json_array_append_new(array,
			    json_pack("{s:o,s:i,s:I}", "topic", cli_json_of(item->topic),
				"partition", (int)item->partition, "offset",
				(json_int_t)item->offset));
		else if (item->offset >= 0)
			printf("%.*s:%d:%lld\n", OT_STR_ARG(item->topic), item->partition,
			    (long long)item->offset);
	}
	if (array != NULL)
		cli_print_json(array, stdout);
	return status;
}

static int
run(struct cli *cli)
{
	struct rules rules = { 0 };
	int status = run_with(cli, &rules);
	free_rules(&rules);
	return status;
}

static const struct cli_rule output_rules[] = {
	CLI_OUTPUT_RULE(OPT_OUTPUT),
	{ CLI_RULE_END, 0, 0, NULL },
};

const struct cli_tool cli_get_offsets_tool = {
	.self = {
		.name = "get-offsets",
		.summary = "Get offsets of partitions: first, last, or by time.",
		.purpose = "An interactive shell for getting topic-partition offsets.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = output_rules,
		.run = run,
	},
	.classes = "GetOffsetShell",
};
