#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cli/usage_int.h"

enum { OPT_FLAG = CLI_OPTION_COUNT, OPT_HIDDEN, OPT_LONG_NAME, OPT_MAYBE, OPT_NEEDED };

static const struct cli_option options[] = {
	CLI_COMMON_OPTIONS,
	[OPT_FLAG] = { .names = "flag f",
	    .text = "A sentence that is too long for the column, and breaks at a blank." },
	[OPT_HIDDEN] = { .names = "a-secret", .text = "", .flags = CLI_HIDDEN },
	[OPT_LONG_NAME] = { .names = "a-name-that-is-rather-long-for-a-column",
	    .arg = "what it takes",
	    .kind = CLI_LONG,
	    .fallback = "5000",
	    .text = "Short.\nA line of its own." },
	[OPT_MAYBE] = { .names = "maybe", .kind = CLI_STRING, .flags = CLI_OPTIONAL, .text = "" },
	[OPT_NEEDED] = { .names = "needed",
	    .kind = CLI_INTEGER,
	    .flags = CLI_REQUIRED,
	    .text = "x" },
};

static const struct cli_tool tool = {
	.self = { .name = "thing",
	    .summary = "Do a thing.",
	    .purpose = "This tool does a thing.",
	    .options = options,
	    .option_count = OT_ARRAY_COUNT(options) },
	.classes = "ThingCommand Thing",
};

static const char expected[] =
    "This tool does a thing.\n"
    "Option (* = required)                    Description\n"
    "---------------------                    -----------\n"
    "--a-name-that-is-rather-long-for-a-column Short.\n"
    "  <Long: what it takes>                  A line of its own. (default: 5000)\n"
    "-f, --flag                               A sentence that is too long for the\n"
    "                                           column, and breaks at a blank.\n"
    "-h, --help                               Print this help and end.\n"
    "--maybe [String]\n"
    "* --needed <Integer>                     x\n"
    "--version                                Print the version and end.\n";

/* Goal: the table looks as joptsimple's: columns, indents, defaults, marks; hidden options are not
 * told of. Method: golden text. */
static void
test_table(void **state)
{
	(void)state;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	cli_usage_print(&tool, &tool.self, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

/* Goal: programs find in the JSON all that the table says. */
static void
test_json(void **state)
{
	(void)state;
	char *text = NULL;
	size_t bytes = 0;
	const struct cli_tool *tools[] = { &tool };
	FILE *out = open_memstream(&text, &bytes);
	cli_usage_print_json(tools, 1, out);
	fclose(out);
	json_t *root = json_loadb(text, bytes, 0, NULL);
	json_t *json = json_array_get(root, 0);
	assert_string_equal(json_string_value(json_object_get(json, "name")), "thing");
	assert_int_equal(json_array_size(json_object_get(json, "classes")), 2);
	json_t *array = json_object_get(json, "options");
	assert_int_equal(json_array_size(array), OT_ARRAY_COUNT(options) - 1);
	json_t *first = json_array_get(array, 0);
	assert_string_equal(json_string_value(json_object_get(first, "usage")),
	    "--a-name-that-is-rather-long-for-a-column <Long: what it takes>");
	assert_string_equal(json_string_value(json_object_get(first, "default")), "5000");
	json_t *needed = json_array_get(array, 4);
	assert_true(json_is_true(json_object_get(needed, "required")));
	json_decref(root);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
