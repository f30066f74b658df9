#include "cli/usage_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum {
	USAGE_COLUMNS = 80,
	USAGE_GAP = 2,
	USAGE_LEFT_MAX = (USAGE_COLUMNS - USAGE_GAP) / 2,
	USAGE_INDENT = 2, /* of the further lines of a cell */
};

/* ---- columns ------------------------------------------------------------------------------- */

/* One cell of a row, handed out line by line: broken at blanks, and where a line ends in the text.
 * A word that is longer than the column stands alone. */
struct cell {
	const char *rest;
	size_t width;
	bool is_begun;
};

/* The next line of a cell; empty when it has ended. */
static struct ot_str
next_line(struct cell *cell, size_t *ret_indent)
{
	*ret_indent = cell->is_begun && *cell->rest != '\0' ? USAGE_INDENT : 0;
	size_t room = cell->width - OT_MIN(*ret_indent, cell->width - 1);
	const char *line = cell->rest;
	size_t fits = 0; /* up to the last blank that is in reach */
	for (size_t i = 0;; i++) {
		bool is_end = line[i] == '\0' || line[i] == '\n';
		if (is_end || line[i] == ' ') {
			if (i <= room || fits == 0)
				fits = i;
		}
		if (is_end || (i > room && fits > 0))
			break;
	}
	cell->rest = line + fits;
	cell->is_begun = *cell->rest != '\n';
	cell->rest += strspn(cell->rest, " ");
	if (*cell->rest == '\n')
		cell->rest++;
	return (struct ot_str){ line, (int32_t)fits };
}

void
cli_columns_row(const struct cli_columns *columns, const char *left, const char *right)
{
	struct cell left_cell = { left, columns->left_width, false };
	struct cell right_cell = { right, columns->right_width, false };
	do {
		size_t indent = 0;
		struct ot_str line = next_line(&left_cell, &indent);
		int gap = (int)(columns->left_width + USAGE_GAP) - (int)indent - line.len;
		fprintf(columns->out, "%*s%.*s", (int)indent, "", OT_STR_ARG(line));
		struct ot_str text = next_line(&right_cell, &indent);
		if (text.len > 0)
			fprintf(columns->out, "%*s%*s%.*s", OT_MAX(gap, 1), "", (int)indent, "",
			    OT_STR_ARG(text));
		fputc('\n', columns->out);
	} while (*left_cell.rest != '\0' || *right_cell.rest != '\0');
}

/* ---- options ------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
	[CLI_FLAG] = "",
	[CLI_STRING] = "String",
	[CLI_INTEGER] = "Integer",
	[CLI_LONG] = "Long",
	[CLI_DOUBLE] = "Double",
};

/* "-h, --help" or "* --topic <String: topic>": letters first, as joptsimple has them. */
static void
put_option(const struct cli_option *option, struct ot_text *text)
{
	const char *before = (option->flags & CLI_REQUIRED) ? "* " : "";
	for (int is_long = 0; is_long < 2; is_long++) {
		const char *name = option->names;
		while (*name != '\0') {
			size_t bytes = strcspn(name, " ");
			if ((bytes > 1) == is_long) {
				ot_text_put(text, "%s%s%.*s", before, is_long ? "--" : "-",
				    (int)bytes, name);
				before = ", ";
			}
			name += bytes;
			name += strspn(name, " ");
		}
	}
	if (option->kind == CLI_FLAG)
		return;
	bool is_optional = (option->flags & CLI_OPTIONAL) != 0;
	ot_text_put(text, " %c%s", is_optional ? '[' : '<', kind_names[option->kind]);
	if (option->arg != NULL)
		ot_text_put(text, ": %s", option->arg);
	ot_text_put(text, "%c", is_optional ? ']' : '>');
}

static int
compare_options(const void *a, const void *b)
{
	const struct cli_option *one = *(const struct cli_option *const *)a;
	const struct cli_option *other = *(const struct cli_option *const *)b;
	return strcmp(one->names, other->names);
}

/* The options that are told of, by name. */
static size_t
sort_options(const struct cli_command *command, const struct cli_option **ret_sorted)
{
	size_t count = 0;
	for (size_t i = 0; i < command->option_count; i++) {
		if (!(command->options[i].flags & CLI_HIDDEN))
			ret_sorted[count++] = &command->options[i];
	}
	qsort(ret_sorted, count, sizeof(const struct cli_option *), compare_options);
	return count;
}

enum { USAGE_CELL_BYTES = 400, USAGE_TEXT_BYTES = 4096 };

static void
print_options(const struct cli_command *command, FILE *out)
{
	const struct cli_option *sorted[CLI_OPTION_COUNT_MAX];
	size_t count = sort_options(command, sorted);
	size_t widest = strlen("Option (* = required)");
	bool has_required = false;
	char left[USAGE_CELL_BYTES];
	for (size_t i = 0; i < count; i++) {
		struct ot_text text = OT_TEXT(left);
		put_option(sorted[i], &text);
		widest = OT_MAX(widest, text.bytes);
		has_required = has_required || (sorted[i]->flags & CLI_REQUIRED);
	}
	size_t left_width = OT_MIN(widest, (size_t)USAGE_LEFT_MAX);
	struct cli_columns columns = { out, left_width, USAGE_COLUMNS - USAGE_GAP - left_width };
	cli_columns_row(&columns, has_required ? "Option (* = required)" : "Option", "Description");
	cli_columns_row(&columns, has_required ? "---------------------" : "------", "-----------");
	for (size_t i = 0; i < count; i++) {
		char right[USAGE_TEXT_BYTES];
		struct ot_text left_text = OT_TEXT(left);
		struct ot_text right_text = OT_TEXT(right);
		put_option(sorted[i], &left_text);
		ot_text_put(&right_text, "%s", sorted[i]->text);
		if (sorted[i]->fallback != NULL)
			ot_text_put(&right_text, " (default: %s)", sorted[i]->fallback);
		cli_columns_row(&columns, left, right);
	}
}

static void
print_commands(const struct cli_tool *tool, FILE *out)
{
	size_t widest = strlen("Command");
	for (size_t i = 0; i < tool->command_count; i++)
		widest = OT_MAX(widest, strlen(tool->commands[i].name));
	struct cli_columns columns = { out, widest, USAGE_COLUMNS - USAGE_GAP - widest };
	cli_columns_row(&columns, "Command", "Description");
	cli_columns_row(&columns, "-------", "-----------");
	for (size_t i = 0; i < tool->command_count; i++)
		cli_columns_row(&columns, tool->commands[i].name, tool->commands[i].summary);
	fprintf(out, "\n`ottla %s COMMAND --help` lists the options of a command.\n",
	    tool->self.name);
}

void
cli_usage_print(const struct cli_tool *tool, const struct cli_command *command, FILE *out)
{
	fprintf(out, "%s\n", command->purpose);
	if (command == &tool->self && tool->command_count > 0)
		print_commands(tool, out);
	else
		print_options(command, out);
}

/* ---- for programs -------------------------------------------------------------------------- */

static json_t *
json_of_names(const char *names)
{
	json_t *array = json_array();
	while (*names != '\0') {
		size_t bytes = strcspn(names, " ");
		json_array_append_new(array, json_stringn(names, bytes));
		names += bytes;
		names += strspn(names, " ");
	}
	return array;
}

static void
set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(object, key, json_string(text));
}

static void
set_flag(json_t *object, const char *key, bool is_set)
{
	if (is_set)
		json_object_set_new(object, key, json_true());
}

static json_t *
json_of_option(const struct cli_option *option)
{
	char usage[USAGE_CELL_BYTES];
	struct ot_text text = OT_TEXT(usage);
	put_option(option, &text);
	json_t *object = json_object();
	json_object_set_new(object, "names", json_of_names(option->names));
	json_object_set_new(object, "usage", json_string(usage));
	if (option->kind != CLI_FLAG)
		set_text(object, "type", kind_names[option->kind]);
	set_text(object, "argument", option->arg);
	set_text(object, "default", option->fallback);
	set_text(object, "description", option->text);
	set_flag(object, "required", (option->flags & CLI_REQUIRED) != 0);
	set_flag(object, "repeated", (option->flags & CLI_REPEATED) != 0);
	set_flag(object, "optional_argument", (option->flags & CLI_OPTIONAL) != 0);
	return object;
}

static json_t *
json_of_command(const struct cli_command *command)
{
	const struct cli_option *sorted[CLI_OPTION_COUNT_MAX];
	size_t count = sort_options(command, sorted);
	json_t *object = json_object();
	json_t *options = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(options, json_of_option(sorted[i]));
	set_text(object, "name", command->name);
	set_text(object, "summary", command->summary);
	set_text(object, "purpose", command->purpose);
	set_text(object, "rest", command->rest);
	json_object_set_new(object, "options", options);
	return object;
}

static json_t *
json_of_tool(const struct cli_tool *tool)
{
	json_t *object = json_of_command(&tool->self);
	json_object_set_new(object, "classes", json_of_names(tool->classes));
	json_t *commands = json_array();
	for (size_t i = 0; i < tool->command_count; i++)
		json_array_append_new(commands, json_of_command(&tool->commands[i]));
	json_object_set_new(object, "commands", commands);
	return object;
}

void
cli_usage_print_json(const struct cli_tool *const *tools, size_t count, FILE *out)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_of_tool(tools[i]));
	cli_print_json(array, out);
}
