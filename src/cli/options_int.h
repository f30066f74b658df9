/* Options of the tools, declared once in a table per tool.
 *
 * Everything that is known of an option stands in its row: names, argument, default, whether it
 * must be there, what it is for. The parser, the help, the machine-readable help that man pages and
 * completion are made from, and the messages about mistakes all read the same rows.
 *
 * The grammar is the one that Kafka's tools have from joptsimple, since scripts rely on it:
 *   --name value, --name=value, and the same with one dash
 *   -n value, -nvalue and -abc for names of one letter
 *   a prefix of a long name, as long as no other option begins so
 *   an option with an argument takes the next word whatever it looks like; where the argument is
 *   optional, only a word that looks like no option
 *   -- ends the options
 *
 * Everything here works on its arguments alone.
 * @owner the arguments'   @blocks never
 */
#ifndef OT_CLI_OPTIONS_INT_H
#define OT_CLI_OPTIONS_INT_H

#include "base/arena.h"
#include "base/text.h"

enum cli_kind {
	CLI_FLAG, /* no argument */
	CLI_STRING,
	CLI_INTEGER, /* fits 32 bits */
	CLI_LONG,
	CLI_DOUBLE,
};

enum cli_option_flags {
	CLI_REQUIRED = 1 << 0,
	CLI_REPEATED = 1 << 1, /* may be given several times */
	CLI_OPTIONAL = 1 << 2, /* its argument may be left out */
	CLI_LISTED = 1 << 3,   /* an argument is a list with commas; each item is a value */
	CLI_HIDDEN = 1 << 4,   /* understood, but no longer told of */
};

struct cli_option {
	const char
	    *names; /* with blanks between them: "help h"; the first one names it in messages */
	const char *arg;      /* what the argument is, for the help: "topic"; NULL for flags */
	const char *fallback; /* the value when it is not given; NULL: none */
	const char *text;     /* for the help */
	uint8_t kind;         /* enum cli_kind */
	uint8_t flags;        /* enum cli_option_flags */
};

/* What must hold between options, checked in order, in the words of Kafka's CommandLineUtils. */
enum cli_rule_kind {
	CLI_RULE_END,      /* ends a table */
	CLI_RULE_ONE_OF,   /* exactly one of `set`: else `message` */
	CLI_RULE_ANY_OF,   /* at least one of `set`: else `message` */
	CLI_RULE_NEEDS,    /* with `option`, all of `set` */
	CLI_RULE_EXCLUDES, /* with `option`, none of `set` */
	CLI_RULE_LACKS,    /* without `option`, none of `set`: they go with it only */
	CLI_RULE_WORD,     /* the value of `option` is one of the words of `message` */
};

#define CLI_BIT(option) (UINT64_C(1) << (option))

enum { CLI_OPTION_COUNT_MAX = 64 }; /* of one tool: sets of options are 64 bits */

struct cli_rule {
	enum cli_rule_kind kind;
	unsigned option;
	uint64_t set; /* of CLI_BIT() */
	const char *message;
};

struct cli_values {
	const char **items;
	size_t count;
};

/* What was found on the command line; memory is the arena's that it was parsed with. */
struct cli_args {
	const struct cli_option *options;
	size_t option_count;
	uint64_t given;            /* of CLI_BIT() */
	struct cli_values *values; /* by option */
	struct cli_values rest;    /* words that belong to no option */
};

/* Reads the words of a command line (without the program's name). OT_ERR_INVALID_REQUEST with `why`
 * for an unknown option (and the nearest known one), a missing argument, one that is not of its
 * kind, an option that is there twice or missing; OT_ERR_NO_MEMORY. */
ot_err cli_args_parse(const struct cli_option *options, size_t option_count, char *const *words,
    size_t word_count, struct ot_arena *arena, struct cli_args *ret_args,
    struct ot_why *why) OT_MUST_USE;

/* Whether all required options are there. Apart, since help comes before it.
 * OT_ERR_INVALID_REQUEST. */
ot_err cli_args_check_required(const struct cli_args *args, struct ot_why *why) OT_MUST_USE;

/* Checks a table that ends in CLI_RULE_END. OT_ERR_INVALID_REQUEST. */
ot_err cli_args_check(const struct cli_args *args, const struct cli_rule *rules,
    struct ot_why *why) OT_MUST_USE;

/* Whether it was given; a fallback does not count. */
bool cli_has(const struct cli_args *args, unsigned option);

/* The value, the fallback, or NULL: also for an option whose argument was left out. Of several, the
 * last. */
const char *cli_get(const struct cli_args *args, unsigned option);

/* The same as a number; only for options that have a value or a fallback. */
int64_t cli_get_number(const struct cli_args *args, unsigned option);
double cli_get_double(const struct cli_args *args, unsigned option);

/* All values in the order in which they came. Empty when there are none, a fallback as well. */
struct cli_values cli_get_all(const struct cli_args *args, unsigned option);

/* The option that a word without dashes names, in full or by a unique prefix; -1 for none. */
int cli_option_find(const struct cli_option *options, size_t option_count, const char *name,
    size_t name_bytes);

/* Writes an option's names as Kafka's messages do: "[help, h]". */
void cli_option_put_names(const struct cli_option *option, struct ot_text *text);

/* Reads a whole number of at most 64 bits; false for anything else, blanks included. */
bool cli_number_parse(const char *text, int64_t *ret_number);

#endif
