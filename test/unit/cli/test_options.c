#include "../test.h"

#include "cli/options_int.h"

enum {
	OPT_LIST,
	OPT_LISTEN,
	OPT_TOPIC,
	OPT_COUNT,
	OPT_STATE,
	OPT_KEYS,
	OPT_VERBOSE,
	OPT_QUIET,
	OPT_OLD
};

static const struct cli_option options[] = {
	[OPT_LIST] = { .names = "list" },
	[OPT_LISTEN] = { .names = "listen-on" },
	[OPT_TOPIC] = { .names = "topic t", .kind = CLI_STRING, .flags = CLI_REPEATED },
	[OPT_COUNT] = { .names = "count", .kind = CLI_INTEGER, .fallback = "7" },
	[OPT_STATE] = { .names = "state", .kind = CLI_STRING, .flags = CLI_OPTIONAL },
	[OPT_KEYS] = { .names = "keys", .kind = CLI_STRING, .flags = CLI_LISTED | CLI_REPEATED },
	[OPT_VERBOSE] = { .names = "verbose v" },
	[OPT_QUIET] = { .names = "quiet q" },
	[OPT_OLD] = { .names = "olden-ways", .flags = CLI_HIDDEN },
};

static struct ot_arena arena;
static struct cli_args args;
static struct ot_why why;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	why.text[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_arena_fini(&arena);
	return 0;
}

/* Parses words that end in NULL. */
#define PARSE(...) parse((const char *[]){ __VA_ARGS__, NULL })

static ot_err
parse(const char *const *words)
{
	size_t count = 0;
	while (words[count] != NULL)
		count++;
	return cli_args_parse(options, OT_ARRAY_COUNT(options), (char *const *)(uintptr_t)words,
	    count, &arena, &args, &why);
}

/* Goal: a value may stand behind '=', or be the next word whatever it looks like.
 * Method: the same option in each spelling. */
static void
test_values(void **state)
{
	(void)state;
	assert_ok(PARSE("--topic", "a", "--topic=b=c", "-topic", "d", "-t", "e", "-tf", "--topic",
	    "--x", "--topic="));
	struct cli_values topics = cli_get_all(&args, OPT_TOPIC);
	const char *expected[] = { "a", "b=c", "d", "e", "f", "--x", "" };
	assert_int_equal(topics.count, OT_ARRAY_COUNT(expected));
	for (size_t i = 0; i < topics.count; i++)
		assert_string_equal(topics.items[i], expected[i]);
	assert_string_equal(cli_get(&args, OPT_TOPIC), "");
}

/* Goal: a name may be cut short as long as it stays unique; a whole name wins over longer ones.
 * Method: "list" begins nothing else in full, "lis" begins two. */
static void
test_prefixes(void **state)
{
	(void)state;
	assert_ok(PARSE("--list", "--co", "3"));
	assert_true(cli_has(&args, OPT_LIST) && !cli_has(&args, OPT_LISTEN));
	assert_int_equal(cli_get_number(&args, OPT_COUNT), 3);
	assert_ok(PARSE("--liste"));
	assert_true(cli_has(&args, OPT_LISTEN));
	assert_int_equal(PARSE("--lis"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text,
	    "lis is not a recognized option; it could be --list --listen-on");
}

/* Goal: an unknown option is named together with the one that was meant, if there is such a one,
 * but never one that is hidden. */
static void
test_unknown(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--tpoic", "x"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "tpoic is not a recognized option; did you mean --topic?");
	assert_int_equal(PARSE("--something-else"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "something-else is not a recognized option");
	assert_int_equal(PARSE("--olden-way-s"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "olden-way-s is not a recognized option");
	assert_ok(PARSE("--olden-ways"));
}

/* Goal: what a value must be is checked when it is read.
 * Method: numbers at both ends of their range, and texts that are none. */
static void
test_kinds(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "x", "1x", " 1", "2147483648", "-2147483649",
		"1.0" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(bad); i++)
		assert_int_equal(PARSE("--count", bad[i]), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text,
	    "Cannot parse argument '1.0' of option count; give a whole number of 32 bits");
	assert_ok(PARSE("--count", "-2147483648"));
	assert_int_equal(cli_get_number(&args, OPT_COUNT), INT32_MIN);
	assert_ok(PARSE("--list"));
	assert_int_equal(cli_get_number(&args, OPT_COUNT), 7);
	assert_false(cli_has(&args, OPT_COUNT)); /* a fallback is not given */
}

/* Goal: each of the mistakes has its message. */
static void
test_mistakes(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--topic"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "Option topic requires an argument");
	assert_int_equal(PARSE("--count", "1", "--count", "2"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text,
	    "Found multiple arguments for option count, but only one is allowed");
	assert_int_equal(PARSE("--list=1"), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "Option list takes no argument");
	assert_ok(PARSE("--list", "--list"));
}

/* Goal: an argument that may be left out is taken only from a word that is no option. */
static void
test_optional(void **state)
{
	(void)state;
	assert_ok(PARSE("--state", "--list"));
	assert_true(cli_has(&args, OPT_STATE) && cli_has(&args, OPT_LIST));
	assert_null(cli_get(&args, OPT_STATE));
	assert_ok(PARSE("--state", "stable,empty"));
	assert_string_equal(cli_get(&args, OPT_STATE), "stable,empty");
	assert_ok(PARSE("--state"));
	assert_null(cli_get(&args, OPT_STATE));
}

/* Goal: lists are cut at commas, letters stand together, and "--" ends the options. */
static void
test_lists_letters_and_the_end(void **state)
{
	(void)state;
	assert_ok(PARSE("--keys", "a,b", "-vq", "--keys=c", "word", "--", "--list"));
	struct cli_values keys = cli_get_all(&args, OPT_KEYS);
	assert_int_equal(keys.count, 3);
	assert_string_equal(keys.items[2], "c");
	assert_true(cli_has(&args, OPT_VERBOSE) && cli_has(&args, OPT_QUIET));
	assert_false(cli_has(&args, OPT_LIST));
	assert_int_equal(args.rest.count, 2);
	assert_string_equal(args.rest.items[0], "word");
	assert_string_equal(args.rest.items[1], "--list");
	assert_int_equal(PARSE("-vx"), OT_ERR_INVALID_REQUEST);
}

/* Goal: rules speak as Kafka's CommandLineUtils do.
 * Method: one rule of each kind, kept and broken. */
static void
test_rules(void **state)
{
	(void)state;
	static const struct cli_rule rules[] = {
		{ CLI_RULE_ONE_OF, 0, CLI_BIT(OPT_LIST) | CLI_BIT(OPT_LISTEN), "one of two" },
		{ CLI_RULE_NEEDS, OPT_LISTEN, CLI_BIT(OPT_TOPIC), NULL },
		{ CLI_RULE_EXCLUDES, OPT_LIST, CLI_BIT(OPT_COUNT), NULL },
		{ CLI_RULE_LACKS, OPT_LISTEN, CLI_BIT(OPT_VERBOSE), NULL },
		{ CLI_RULE_ANY_OF, 0, CLI_BIT(OPT_QUIET) | CLI_BIT(OPT_TOPIC), "any of two" },
		{ CLI_RULE_WORD, OPT_TOPIC, 0, "xy x" },
		{ CLI_RULE_END, 0, 0, NULL },
	};
	static const struct {
		const char *words[4];
		const char *message;
	} rows[] = {
		{ { "--quiet" }, "one of two" },
		{ { "--list", "--listen-on" }, "one of two" },
		{ { "--listen-on" }, "Missing required argument \"[topic, t]\"" },
		{ { "--list", "--count=1" },
		    "Option \"[list]\" can't be used with option \"[count]\"" },
		{ { "--list", "--verbose" },
		    "Option \"[verbose, v]\" can only be used with option \"[listen-on]\"" },
		{ { "--list" }, "any of two" },
		{ { "--list", "--quiet", "--topic=x" }, NULL },
		{ { "--list", "--quiet" }, NULL },
		{ { "--list", "--topic=y" }, "'y' is no value of --topic; give one of: xy x" },
		{ { "--list", "--topic=" }, "'' is no value of --topic; give one of: xy x" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		assert_ok(parse(rows[i].words));
		ot_err err = cli_args_check(&args, rules, &why);
		assert_int_equal(err, rows[i].message == NULL ? OT_OK : OT_ERR_INVALID_REQUEST);
		if (rows[i].message != NULL)
			assert_string_equal(why.text, rows[i].message);
	}
}

static void
test_required(void **state)
{
	(void)state;
	static const struct cli_option required[] = {
		{ .names = "files", .kind = CLI_STRING, .flags = CLI_REQUIRED },
	};
	char *words[] = { (char *)(uintptr_t) "--files=x" };
	assert_ok(cli_args_parse(required, 1, words, 0, &arena, &args, &why));
	assert_int_equal(cli_args_check_required(&args, &why), OT_ERR_INVALID_REQUEST);
	assert_string_equal(why.text, "Missing required argument \"[files]\"");
	assert_ok(cli_args_parse(required, 1, words, 1, &arena, &args, &why));
	assert_ok(cli_args_check_required(&args, &why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_prefixes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_optional, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lists_letters_and_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_required, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
