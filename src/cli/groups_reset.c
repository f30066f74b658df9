#include "cli/groups_int.h"

#include <stdlib.h>
#include <string.h>

/* Each partition once, in order. */
static void
sort_items(struct cli_group_plan *plan)
{
	size_t count = 0;
	if (plan->count > 1)
		qsort(plan->items, plan->count, sizeof(*plan->items), cli_offset_compare);
	for (size_t i = 0; i < plan->count; i++) {
		if (count == 0 || cli_offset_compare(&plan->items[count - 1], &plan->items[i]) != 0)
			plan->items[count++] = plan->items[i];
	}
	plan->count = count;
}

/* ---- plans in files ------------------------------------------------------------------------ */

/* Cuts the next cell off a line; its text in the run's memory, without quotes. */
static const char *
next_cell(struct cli *cli, const char **line)
{
	const char *from = *line;
	char *cell = cli_alloc(cli, strcspn(from, "\n") + 1, 1);
	size_t bytes = 0;
	bool is_quoted = *from == '"';
	if (is_quoted)
		from++;
	while (*from != '\0' && *from != '\n') {
		if (is_quoted && from[0] == '"' && from[1] != '"') {
			is_quoted = false;
			from++;
			continue;
		}
		if (!is_quoted && *from == ',')
			break;
		if (is_quoted && *from == '"')
			from++; /* two stand for one */
		if (*from != '\r')
			cell[bytes++] = *from;
		from++;
	}
	if (*from == ',')
		from++;
	*line = from;
	return cell;
}

enum { CELL_COUNT_MAX = 4 };

static size_t
read_cells(struct cli *cli, const char **line, const char **cells)
{
	size_t count = 0;
	while (**line != '\0' && **line != '\n') {
		const char *cell = next_cell(cli, line);
		if (count < CELL_COUNT_MAX)
			cells[count] = cell;
		count++;
	}
	if (**line == '\n')
		(*line)++;
	return count;
}

/* Reads rows "topic,partition,offset", or with the group before them, of which only those of this
 * group count. */
static ot_err
read_file_plan(struct cli *cli, const struct cli_reset *reset, struct cli_group_plan *plan)
{
	const char *line = reset->file_text;
	size_t row = 0;
	size_t room = 1;
	for (const char *c = line; *c != '\0'; c++)
		room += *c == '\n';
	plan->items = cli_alloc(cli, room, sizeof(*plan->items));
	while (*line != '\0') {
		const char *cells[CELL_COUNT_MAX];
		int64_t partition;
		int64_t offset;
		size_t count = read_cells(cli, &line, cells);
		size_t first = count == CELL_COUNT_MAX ? 1 : 0;
		row++;
		if (count == 0)
			continue;
		if ((count != 3 && count != 4) || (count == 3 && !reset->has_one_group) ||
		    !cli_number_parse(cells[first + 1], &partition) || partition < 0 ||
		    partition > INT32_MAX || !cli_number_parse(cells[first + 2], &offset)) {
			ot_why_set(&cli->why, "%s:%zu: a row is %stopic,partition,offset",
			    reset->file, row, reset->has_one_group ? "" : "group,");
			return OT_ERR_INVALID_REQUEST;
		}
		if (count == 4 && !ot_str_is(plan->group, cells[0]))
			continue;
		plan->items[plan->count++] = (struct cli_offset){
			.topic = ot_str_from(cells[first]),
			.partition = (int32_t)partition,
			.offset = offset,
		};
	}
	if (plan->count == 0)
		fprintf(stderr, "\nError: No reset plan for group %.*s found.\n",
		    OT_STR_ARG(plan->group));
	return OT_OK;
}

/* ---- which partitions ---------------------------------------------------------------------- */

static ot_err
choose_partitions(struct cli *cli, const struct cli_reset *reset,
    const struct cli_committed *committed, struct cli_group_plan *plan)
{
	struct ot_metadata_response metadata;
	if (reset->kind == CLI_RESET_FROM_FILE)
		return read_file_plan(cli, reset, plan);
	if (reset->is_all_topics) {
		plan->items = cli_alloc(cli, committed->count, sizeof(*plan->items));
		plan->count = committed->count;
		for (size_t i = 0; i < committed->count; i++)
			plan->items[i] = committed->items[i];
		return OT_OK;
	}
	ot_err err = cli_fetch_topics(cli, &metadata);
	if (err != OT_OK)
		return err;
	plan->items =
	    cli_alloc(cli, cli_partitions_room(reset->topics, &metadata), sizeof(*plan->items));
	for (size_t i = 0; i < reset->topics.count; i++) {
		const char *mistake = cli_partitions_read(cli, reset->topics.items[i], &metadata,
		    plan->items, &plan->count);
		if (mistake != NULL) {
			ot_why_set(&cli->why, "%s", mistake);
			return OT_ERR_INVALID_REQUEST;
		}
	}
	return OT_OK;
}

/* Says which partitions have an error, with Kafka's words for the two usual ones. */
static ot_err
check_items(struct cli *cli, const struct cli_offset *items, size_t count)
{
	ot_err first = OT_OK;
	struct ot_text text = OT_TEXT(cli->why.text);
	for (size_t i = 0; i < count; i++) {
		ot_err err = items[i].err;
		if (err == OT_OK || (first != OT_OK && err != first))
			continue;
		ot_text_put(&text, "%s%.*s-%d", first == OT_OK ? "The partitions \"" : ",",
		    OT_STR_ARG(items[i].topic), items[i].partition);
		first = err;
	}
	if (first == OT_ERR_UNKNOWN_TOPIC_OR_PARTITION)
		ot_text_put(&text, "\" do not exist");
	else if (first == OT_ERR_LEADER_NOT_AVAILABLE)
		ot_text_put(&text, "\" have no leader");
	else if (first != OT_OK)
		ot_text_put(&text, "\" cannot be asked: %s", ot_err_message(first));
	return first;
}

/* ---- offsets ------------------------------------------------------------------------------- */

/* A copy of the items, in their order, with the offsets that `wanted` asks for. */
static ot_err
fetch_copy(struct cli *cli, const struct cli_group_plan *plan, int64_t wanted,
    struct cli_offset **ret_items)
{
	struct cli_offset *items = cli_alloc(cli, plan->count, sizeof(*items));
	for (size_t i = 0; i < plan->count; i++) {
		items[i] = plan->items[i];
		items[i].wanted = wanted;
	}
	ot_err err = cli_offsets_fetch(cli, items, plan->count);
	if (err == OT_OK)
		err = check_items(cli, items, plan->count);
	*ret_items = items;
	return err;
}

/* Moves offsets that the logs do not reach to their nearest ends. */
static ot_err
clamp(struct cli *cli, struct cli_group_plan *plan)
{
	struct cli_offset *starts;
	struct cli_offset *ends;
	ot_err err = fetch_copy(cli, plan, CLI_OFFSETS_LATEST, &ends);
	if (err == OT_OK)
		err = fetch_copy(cli, plan, CLI_OFFSETS_EARLIEST, &starts);
	if (err != OT_OK)
		return err;
	for (size_t i = 0; i < plan->count; i++) {
		struct cli_offset *item = &plan->items[i];
		bool is_beyond = item->offset > ends[i].offset;
		bool is_before = item->offset < starts[i].offset;
		if (!is_beyond && !is_before)
			continue;
		int64_t end = is_beyond ? ends[i].offset : starts[i].offset;
		fprintf(stderr,
		    "WARN New offset (%lld) is %s offset for topic partition %.*s-%d. Value will "
		    "be set to %lld.\n",
		    (long long)item->offset,
		    is_beyond ? "higher than latest" : "lower than earliest",
		    OT_STR_ARG(item->topic), item->partition, (long long)end);
		item->offset = end;
	}
	return OT_OK;
}

static ot_err
to_spec(struct cli *cli, struct cli_group_plan *plan, int64_t wanted)
{
	struct cli_offset *found;
	ot_err err = fetch_copy(cli, plan, wanted, &found);
	for (size_t i = 0; err == OT_OK && i < plan->count; i++)
		plan->items[i].offset = found[i].offset;
	return err;
}

/* The first offset from that time on; where there is none, the end. */
static ot_err
to_time(struct cli *cli, struct cli_group_plan *plan, int64_t time)
{
	struct cli_offset *ends;
	ot_err err = to_spec(cli, plan, time);
	if (err == OT_OK)
		err = fetch_copy(cli, plan, CLI_OFFSETS_LATEST, &ends);
	for (size_t i = 0; err == OT_OK && i < plan->count; i++) {
		struct cli_offset *item = &plan->items[i];
		if (item->offset >= 0)
			continue;
		fprintf(stderr,
		    "\nWarn: Partition %d from topic %.*s is empty. Falling back to latest known "
		    "offset.\n",
		    item->partition, OT_STR_ARG(item->topic));
		item->offset = ends[i].offset;
	}
	return err;
}

static ot_err
to_current(struct cli *cli, struct cli_group_plan *plan, const struct cli_committed *committed)
{
	ot_err err = to_spec(cli, plan, CLI_OFFSETS_LATEST);
	for (size_t i = 0; err == OT_OK && i < plan->count; i++) {
		const struct cli_offset *found = cli_committed_find(committed, &plan->items[i]);
		if (found != NULL)
			plan->items[i].offset = found->offset;
	}
	return err;
}

static ot_err
shift(struct cli *cli, struct cli_group_plan *plan, const struct cli_committed *committed,
    int64_t distance)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct cli_offset *item = &plan->items[i];
		const struct cli_offset *found = cli_committed_find(committed, item);
		if (found == NULL) {
			ot_why_set(&cli->why,
			    "Cannot shift offset for partition %.*s-%d since there is no current "
			    "committed offset",
			    OT_STR_ARG(item->topic), item->partition);
			return OT_ERR_INVALID_REQUEST;
		}
		if (__builtin_add_overflow(found->offset, distance, &item->offset))
			item->offset = distance > 0 ? INT64_MAX : 0;
	}
	return clamp(cli, plan);
}

static ot_err
set_offsets(struct cli *cli, const struct cli_reset *reset, const struct cli_committed *committed,
    struct cli_group_plan *plan)
{
	switch (reset->kind) {
	case CLI_RESET_TO_OFFSET:
		for (size_t i = 0; i < plan->count; i++)
			plan->items[i].offset = reset->number;
		return clamp(cli, plan);
	case CLI_RESET_TO_EARLIEST:
		return to_spec(cli, plan, CLI_OFFSETS_EARLIEST);
	case CLI_RESET_TO_LATEST:
		return to_spec(cli, plan, CLI_OFFSETS_LATEST);
	case CLI_RESET_TO_CURRENT:
		return to_current(cli, plan, committed);
	case CLI_RESET_SHIFT_BY:
		return shift(cli, plan, committed, reset->number);
	case CLI_RESET_TO_TIME:
		return to_time(cli, plan, reset->number);
	case CLI_RESET_FROM_FILE:
		return clamp(cli, plan);
	case CLI_RESET_NONE:
		break;
	}
	ot_why_set(&cli->why, "no way to reset was given");
	return OT_ERR_INVALID_REQUEST;
}

ot_err
cli_group_plan_reset(struct cli *cli, const struct cli_reset *reset, const struct cli_group *group,
    struct cli_group_plan *ret_plan)
{
	struct cli_group_plan plan = { .group = group->name };
	struct cli_committed committed = { 0 };
	bool needs_committed = reset->is_all_topics || reset->kind == CLI_RESET_TO_CURRENT ||
	                       reset->kind == CLI_RESET_SHIFT_BY;
	ot_err err = OT_OK;
	if (needs_committed)
		err = cli_group_committed(cli, group, &committed);
	if (err == OT_OK)
		err = choose_partitions(cli, reset, &committed, &plan);
	if (err != OT_OK)
		return err;
	sort_items(&plan);
	if (plan.count > 0)
		err = set_offsets(cli, reset, &committed, &plan);
	if (err == OT_OK)
		*ret_plan = plan;
	return err;
}
