#include "cli/groups_int.h"

#include <stdlib.h>
#include <string.h>

static const char missing[] = "-";

static int
wider(int width, struct ot_str text)
{
	return OT_MAX(width, text.len);
}

static struct ot_str
or_missing(struct ot_str text)
{
	return text.len > 0 ? text : OT_STR_LIT("-");
}

/* A number as a cell; "-" for one that is not there. */
struct cell {
	char text[24];
};

static struct cell
cell_of(int64_t number)
{
	struct cell cell;
	if (number < 0)
		snprintf(cell.text, sizeof(cell.text), "%s", missing);
	else
		snprintf(cell.text, sizeof(cell.text), "%lld", (long long)number);
	return cell;
}

static struct cell
lag_of(const struct cli_group_row *row)
{
	struct cell cell;
	if (row->committed < 0 || row->partition.offset < 0)
		return cell_of(-1);
	snprintf(cell.text, sizeof(cell.text), "%lld",
	    (long long)(row->partition.offset - row->committed));
	return cell;
}

/* ---- offsets ------------------------------------------------------------------------------- */

struct offset_widths {
	int group;
	int topic;
	int consumer;
	int host;
};

void
cli_group_print_offsets(const struct cli_group *group, const struct cli_group_rows *rows,
    bool is_verbose, FILE *out)
{
	struct offset_widths width = { wider(15, group->name), 15, 15, 15 };
	for (size_t i = 0; i < rows->count; i++) {
		const struct cli_member *member = rows->items[i].member;
		width.topic = wider(width.topic, rows->items[i].partition.topic);
		if (member != NULL) {
			width.consumer = wider(width.consumer, member->id);
			width.host = wider(width.host, member->host);
		}
	}
	fprintf(out, "\n%-*s %-*s %-10s ", width.group, "GROUP", width.topic, "TOPIC", "PARTITION");
	if (is_verbose)
		fprintf(out, "%-15s ", "LEADER-EPOCH");
	fprintf(out, "%-15s %-15s %-15s %-*s %-*s %s", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG",
	    width.consumer, "CONSUMER-ID", width.host, "HOST", "CLIENT-ID");
	for (size_t i = 0; i < rows->count; i++) {
		const struct cli_group_row *row = &rows->items[i];
		const struct cli_member *member = row->member;
		struct ot_str none = OT_STR_LIT("-");
		fprintf(out, "\n%-*.*s %-*.*s %-10d ", width.group, OT_STR_ARG(group->name),
		    width.topic, OT_STR_ARG(row->partition.topic), row->partition.partition);
		if (is_verbose)
			fprintf(out, "%-15s ", cell_of(row->epoch).text);
		fprintf(out, "%-15s %-15s %-15s %-*.*s %-*.*s %.*s", cell_of(row->committed).text,
		    cell_of(row->partition.offset).text, lag_of(row).text, width.consumer,
		    OT_STR_ARG(member != NULL ? member->id : none), width.host,
		    OT_STR_ARG(member != NULL ? member->host : none),
		    OT_STR_ARG(member != NULL ? member->client_id : none));
	}
	fputc('\n', out);
}

void
cli_group_print_offsets_of_old(const struct cli_group_rows *rows, FILE *out)
{
	fprintf(out, "\n%-30s %-10s %-15s %-15s %-10s %-50s%-30s %s\n", "TOPIC", "PARTITION",
	    "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID");
	for (size_t i = 0; i < rows->count; i++) {
		const struct cli_group_row *row = &rows->items[i];
		const struct cli_member *member = row->member;
		struct ot_str none = OT_STR_LIT("-");
		fprintf(out, "%-30.*s %-10d %-15s %-15s %-10s %-50.*s%-30.*s %.*s\n",
		    OT_STR_ARG(row->partition.topic), row->partition.partition,
		    cell_of(row->committed).text, cell_of(row->partition.offset).text,
		    lag_of(row).text, OT_STR_ARG(member != NULL ? member->id : none),
		    OT_STR_ARG(member != NULL ? member->host : none),
		    OT_STR_ARG(member != NULL ? member->client_id : none));
	}
}

/* ---- members ------------------------------------------------------------------------------- */

/* "topic:0,1;other:2"; "-" for nothing. */
static const char *
assignment_text(struct cli *cli, const struct cli_assignment *assignment)
{
	size_t bytes = 2;
	for (size_t i = 0; i < assignment->count; i++)
		bytes += (size_t)assignment->items[i].topic.len + 13;
	char *data = cli_alloc(cli, bytes, 1);
	struct ot_text text = { .data = data, .bytes_max = bytes };
	for (size_t i = 0; i < assignment->count; i++) {
		const struct cli_offset *item = &assignment->items[i];
		bool is_same = i > 0 && ot_str_equal(item->topic, assignment->items[i - 1].topic);
		if (is_same)
			ot_text_put(&text, ",%d", item->partition);
		else
			ot_text_put(&text, "%s%.*s:%d", i > 0 ? ";" : "", OT_STR_ARG(item->topic),
			    item->partition);
	}
	return assignment->count > 0 ? data : missing;
}

struct member_widths {
	int group;
	int consumer;
	int instance;
	int host;
	int client;
	int current;
	int target;
	bool has_instance;
	bool is_mixed; /* members of both protocols: the group is being upgraded */
};

struct member_texts {
	const char *current;
	const char *target;
};

static struct member_widths
measure_members(const struct cli_group *group, const struct member_texts *texts)
{
	struct member_widths width = { wider(15, group->name), 15, 17, 15, 15, 20, 20, false,
		false };
	bool has_classic = false;
	bool has_consumer = false;
	for (int32_t i = 0; i < group->member_count; i++) {
		const struct cli_member *member = &group->members[i];
		width.consumer = wider(width.consumer, member->id);
		width.instance = wider(width.instance, member->instance_id);
		width.host = wider(width.host, member->host);
		width.client = wider(width.client, member->client_id);
		width.current = OT_MAX(width.current, (int)strlen(texts[i].current));
		width.target = OT_MAX(width.target, (int)strlen(texts[i].target));
		width.has_instance = width.has_instance || member->instance_id.len > 0;
		has_classic = has_classic || member->type == CLI_MEMBER_CLASSIC;
		has_consumer = has_consumer || member->type == CLI_MEMBER_CONSUMER;
	}
	width.is_mixed = has_classic && has_consumer;
	return width;
}

static void
print_member(const struct cli_group *group, const struct cli_member *member,
    const struct member_widths *width, FILE *out)
{
	fprintf(out, "%-*.*s %-*.*s ", width->group, OT_STR_ARG(group->name), width->consumer,
	    OT_STR_ARG(member->id));
	if (width->has_instance)
		fprintf(out, "%-*.*s ", width->instance, OT_STR_ARG(member->instance_id));
	fprintf(out, "%-*.*s %-*.*s %-15zu ", width->host, OT_STR_ARG(member->host), width->client,
	    OT_STR_ARG(member->client_id), member->assignment.count);
}

static void
print_member_header(const struct member_widths *width, bool is_verbose, FILE *out)
{
	fprintf(out, "\n%-*s %-*s ", width->group, "GROUP", width->consumer, "CONSUMER-ID");
	if (width->has_instance)
		fprintf(out, "%-*s ", width->instance, "GROUP-INSTANCE-ID");
	fprintf(out, "%-*s %-*s %-15s ", width->host, "HOST", width->client, "CLIENT-ID",
	    "#PARTITIONS");
	if (is_verbose)
		fprintf(out, "%-15s %-*s %-15s %-*s%s", "CURRENT-EPOCH", width->current,
		    "CURRENT-ASSIGNMENT", "TARGET-EPOCH", width->target, "TARGET-ASSIGNMENT",
		    width->is_mixed ? " UPGRADED" : "");
	fputc('\n', out);
}

void
cli_group_print_members(struct cli *cli, const struct cli_group *group, bool is_verbose, FILE *out)
{
	struct member_texts *texts = cli_alloc(cli, (size_t)group->member_count, sizeof(*texts));
	for (int32_t i = 0; i < group->member_count; i++) {
		texts[i].current = assignment_text(cli, &group->members[i].assignment);
		texts[i].target = assignment_text(cli, &group->members[i].target);
	}
	struct member_widths width = measure_members(group, texts);
	print_member_header(&width, is_verbose, out);
	for (int32_t i = 0; i < group->member_count; i++) {
		const struct cli_member *member = &group->members[i];
		print_member(group, member, &width, out);
		if (is_verbose)
			fprintf(out, "%-15s %-*s %-15s %-*s", cell_of(member->epoch).text,
			    width.current, texts[i].current, cell_of(group->target_epoch).text,
			    width.target, texts[i].target);
		if (is_verbose && width.is_mixed)
			fprintf(out, " %s", member->type == CLI_MEMBER_CONSUMER ? "true" : "false");
		fputc('\n', out);
	}
}

/* ---- states and lists ---------------------------------------------------------------------- */

void
cli_group_print_state(const struct cli_group *group, const char *coordinator, bool is_verbose,
    FILE *out)
{
	int group_width = wider(15, group->name);
	int coordinator_width = OT_MAX(25, (int)strlen(coordinator));
	fprintf(out, "\n%-*s %-*s %-20s %-20s ", group_width, "GROUP", coordinator_width,
	    "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE");
	if (is_verbose)
		fprintf(out, "%-15s %-25s ", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH");
	fprintf(out, "%s\n%-*.*s %-*s %-20.*s %-20.*s ", "#MEMBERS", group_width,
	    OT_STR_ARG(group->name), coordinator_width, coordinator,
	    OT_STR_ARG(or_missing(group->assignor)), OT_STR_ARG(group->state));
	if (is_verbose)
		fprintf(out, "%-15s %-25s ", cell_of(group->epoch).text,
		    cell_of(group->target_epoch).text);
	fprintf(out, "%d\n", group->member_count);
}

void
cli_group_print_list(const struct cli_group_listing *groups, size_t count, bool has_type,
    bool has_state, FILE *out)
{
	int width = 15;
	if (!has_type && !has_state) {
		for (size_t i = 0; i < count; i++)
			fprintf(out, "%.*s\n", OT_STR_ARG(groups[i].name));
		return;
	}
	for (size_t i = 0; i < count; i++)
		width = wider(width, groups[i].name);
	width += 10;
	fprintf(out, "%-*s", width, "GROUP");
	if (has_type)
		fprintf(out, " %-20s", "TYPE");
	if (has_state)
		fprintf(out, " %-20s", "STATE");
	fputc('\n', out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%-*.*s", width, OT_STR_ARG(groups[i].name));
		if (has_type)
			fprintf(out, " %-20.*s", OT_STR_ARG(groups[i].type));
		if (has_state)
			fprintf(out, " %-20.*s", OT_STR_ARG(groups[i].state));
		fputc('\n', out);
	}
}

/* ---- plans --------------------------------------------------------------------------------- */

void
cli_group_print_plans(const struct cli_group_plan *plans, size_t count, bool is_of_old, FILE *out)
{
	int group_width = 15;
	int topic_width = 15;
	for (size_t i = 0; i < count; i++) {
		group_width = wider(group_width, plans[i].group);
		for (size_t k = 0; k < plans[i].count; k++)
			topic_width = wider(topic_width, plans[i].items[k].topic);
	}
	if (is_of_old)
		fprintf(out, "\n%-30s %-10s %-15s\n", "TOPIC", "PARTITION", "NEW-OFFSET");
	else if (count > 0)
		fprintf(out, "\n%-*s %-*s %-10s %s", group_width, "GROUP", topic_width, "TOPIC",
		    "PARTITION", "NEW-OFFSET");
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < plans[i].count; k++) {
			const struct cli_offset *item = &plans[i].items[k];
			if (is_of_old)
				fprintf(out, "%-30.*s %-10d %-15lld\n", OT_STR_ARG(item->topic),
				    item->partition, (long long)item->offset);
			else
				fprintf(out, "\n%-*.*s %-*.*s %-10d %lld", group_width,
				    OT_STR_ARG(plans[i].group), topic_width,
				    OT_STR_ARG(item->topic), item->partition,
				    (long long)item->offset);
		}
	}
	if (!is_of_old)
		fputc('\n', out);
}

/* A group's id may hold anything: quoted where a reader would stumble. */
static void
print_csv_text(struct ot_str text, FILE *out)
{
	bool is_plain = true;
	for (int32_t i = 0; i < text.len; i++)
		is_plain = is_plain && strchr(",\"\n\r ", text.data[i]) == NULL;
	if (is_plain) {
		fprintf(out, "%.*s", OT_STR_ARG(text));
		return;
	}
	fputc('"', out);
	for (int32_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"')
			fputc('"', out);
		fputc(text.data[i], out);
	}
	fputc('"', out);
}

void
cli_group_print_csv(const struct cli_group_plan *plans, size_t count, bool has_group, FILE *out)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < plans[i].count; k++) {
			const struct cli_offset *item = &plans[i].items[k];
			if (has_group) {
				print_csv_text(plans[i].group, out);
				fputc(',', out);
			}
			print_csv_text(item->topic, out);
			fprintf(out, ",%d,%lld\n", item->partition, (long long)item->offset);
		}
	}
	fputc('\n', out);
}
