#include "cli/options_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

/* ---- names --------------------------------------------------------------------------------- */

/* Cuts the next name off a row's names; false at their end. */
static bool
next_name(const char **names, struct ot_str *ret_name)
{
	*names += strspn(*names, " ");
	size_t bytes = strcspn(*names, " ");
	*ret_name = (struct ot_str){ *names, (int32_t)bytes };
	*names += bytes;
	return bytes > 0;
}

enum match { MATCH_NONE, MATCH_PREFIX, MATCH_WHOLE };

static enum match
match_option(const struct cli_option *option, struct ot_str word)
{
	const char *names = option->names;
	struct ot_str name;
	enum match best = MATCH_NONE;
	while (next_name(&names, &name)) {
		if (ot_str_equal(name, word))
			return MATCH_WHOLE;
		if (word.len > 0 && name.len > word.len &&
		    memcmp(name.data, word.data, (size_t)word.len) == 0)
			best = MATCH_PREFIX;
	}
	return best;
}

int
cli_option_find(const struct cli_option *options, size_t option_count, const char *name,
    size_t name_bytes)
{
	struct ot_str word = { name, (int32_t)name_bytes };
	int found = -1;
	size_t prefix_count = 0;
	for (size_t i = 0; i < option_count; i++) {
		enum match match = match_option(&options[i], word);
		if (match == MATCH_WHOLE)
			return (int)i;
		if (match == MATCH_PREFIX) {
			found = (int)i;
			prefix_count++;
		}
	}
	return prefix_count == 1 ? found : -1;
}

void
cli_option_put_names(const struct cli_option *option, struct ot_text *text)
{
	const char *names = option->names;
	struct ot_str name;
	const char *before = "[";
	while (next_name(&names, &name)) {
		ot_text_put(text, "%s%.*s", before, OT_STR_ARG(name));
		before = ", ";
	}
	ot_text_put(text, "]");
}

static struct ot_str
first_name(const struct cli_option *option)
{
	const char *names = option->names;
	struct ot_str name;
	bool has_name = next_name(&names, &name);
	OT_ASSERT(has_name);
	return name;
}

enum { NAME_BYTES_MAX = 63 };

/* Letters to add, drop, change, or swap with their neighbours; 255 for longer words. */
static int
edit_distance(struct ot_str a, struct ot_str b)
{
	uint8_t table[NAME_BYTES_MAX + 1][NAME_BYTES_MAX + 1];
	if (a.len > NAME_BYTES_MAX || b.len > NAME_BYTES_MAX)
		return 255;
	for (int32_t j = 0; j <= b.len; j++)
		table[0][j] = (uint8_t)j;
	for (int32_t i = 1; i <= a.len; i++) {
		table[i][0] = (uint8_t)i;
		for (int32_t j = 1; j <= b.len; j++) {
			int cost = a.data[i - 1] == b.data[j - 1] ? 0 : 1;
			int best = OT_MIN(table[i - 1][j], table[i][j - 1]) + 1;
			best = OT_MIN(best, table[i - 1][j - 1] + cost);
			bool is_swap = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
			               a.data[i - 2] == b.data[j - 1];
			if (is_swap)
				best = OT_MIN(best, table[i - 2][j - 2] + 1);
			table[i][j] = (uint8_t)best;
		}
	}
	return table[a.len][b.len];
}

/* The name that is spelled most like `word`; null when none is near. */
static struct ot_str
nearest_name(const struct cli_option *options, size_t option_count, struct ot_str word)
{
	struct ot_str nearest = OT_STR_NULL;
	int best = word.len / 3 + 1; /* a third of the letters wrong is another word, not a slip */
	for (size_t i = 0; i < option_count; i++) {
		if (options[i].flags & CLI_HIDDEN)
			continue;
		const char *names = options[i].names;
		struct ot_str name;
		while (next_name(&names, &name)) {
			int distance = edit_distance(word, name);
			if (distance < best) {
				best = distance;
				nearest = name;
			}
		}
	}
	return nearest;
}

static bool
is_prefix_of_any(const struct cli_option *options, size_t option_count, struct ot_str word)
{
	for (size_t i = 0; i < option_count; i++) {
		if (match_option(&options[i], word) != MATCH_NONE)
			return true;
	}
	return false;
}

/* ---- values -------------------------------------------------------------------------------- */

bool
cli_number_parse(const char *text, int64_t *ret_number)
{
	char *end;
	if (text[0] != '-' && text[0] != '+' && (text[0] < '0' || text[0] > '9'))
		return false;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		return false;
	*ret_number = number;
	return true;
}

static bool
is_of_kind(const char *text, enum cli_kind kind)
{
	int64_t number;
	char *end;
	switch (kind) {
	case CLI_INTEGER:
		return cli_number_parse(text, &number) && number >= INT32_MIN &&
		       number <= INT32_MAX;
	case CLI_LONG:
		return cli_number_parse(text, &number);
	case CLI_DOUBLE:
		errno = 0;
		strtod(text, &end);
		return errno == 0 && end != text && *end == '\0';
	case CLI_FLAG:
	case CLI_STRING:
		break;
	}
	return true;
}

/* ---- parsing ------------------------------------------------------------------------------- */

struct parse {
	struct cli_args *args;
	char *const *words;
	size_t word_count;
	size_t next; /* of words */
	struct ot_arena *arena;
	struct ot_why *why;
};

static ot_err
push_value(struct parse *parse, struct cli_values *values, const char *value)
{
	if ((values->count & (values->count - 1)) == 0) { /* full at each power of two */
		size_t room = OT_MAX(values->count * 2, 1u);
		const char **items = ot_arena_array(parse->arena, room, sizeof(*items));
		if (items == NULL)
			return OT_ERR_NO_MEMORY;
		if (values->count > 0)
			memcpy(items, values->items, values->count * sizeof(*items));
		values->items = items;
	}
	values->items[values->count++] = value;
	return OT_OK;
}

static ot_err
refuse_value(struct parse *parse, const struct cli_option *option, const char *value)
{
	struct ot_str name = first_name(option);
	static const char *const expected[] = {
		[CLI_FLAG] = "",
		[CLI_STRING] = "",
		[CLI_INTEGER] = "a whole number of 32 bits",
		[CLI_LONG] = "a whole number of 64 bits",
		[CLI_DOUBLE] = "a number",
	};
	ot_why_set(parse->why, "Cannot parse argument '%s' of option %.*s; give %s", value,
	    OT_STR_ARG(name), expected[option->kind]);
	return OT_ERR_INVALID_REQUEST;
}

static ot_err
add_value(struct parse *parse, unsigned index, const char *value)
{
	const struct cli_option *option = &parse->args->options[index];
	struct cli_values *values = &parse->args->values[index];
	parse->args->given |= CLI_BIT(index);
	if (!(option->flags & CLI_LISTED)) {
		if (!is_of_kind(value, option->kind))
			return refuse_value(parse, option, value);
		return push_value(parse, values, value);
	}
	for (;;) {
		size_t bytes = strcspn(value, ",");
		char *item = ot_arena_strndup(parse->arena, value, bytes);
		if (item == NULL)
			return OT_ERR_NO_MEMORY;
		if (!is_of_kind(item, option->kind))
			return refuse_value(parse, option, item);
		ot_err err = push_value(parse, values, item);
		if (err != OT_OK || value[bytes] == '\0')
			return err;
		value += bytes + 1;
	}
}

static bool
looks_like_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* Whether the next word is the argument of an option that may go without one. */
static bool
next_is_optional_argument(const struct parse *parse, const struct cli_option *option)
{
	if (parse->next >= parse->word_count)
		return false;
	const char *word = parse->words[parse->next];
	bool is_numeric = option->kind != CLI_STRING;
	return is_of_kind(word, option->kind) && (is_numeric || !looks_like_option(word));
}

/* Takes the option at `index`; `value` is what stood behind '=' or NULL. */
static ot_err
take_option(struct parse *parse, unsigned index, const char *value)
{
	const struct cli_option *option = &parse->args->options[index];
	struct ot_str name = first_name(option);
	bool is_again = (parse->args->given & CLI_BIT(index)) != 0;
	if (is_again && option->kind != CLI_FLAG && !(option->flags & CLI_REPEATED)) {
		ot_why_set(parse->why,
		    "Found multiple arguments for option %.*s, but only one is allowed",
		    OT_STR_ARG(name));
		return OT_ERR_INVALID_REQUEST;
	}
	parse->args->given |= CLI_BIT(index);
	if (option->kind == CLI_FLAG) {
		if (value == NULL)
			return OT_OK;
		ot_why_set(parse->why, "Option %.*s takes no argument", OT_STR_ARG(name));
		return OT_ERR_INVALID_REQUEST;
	}
	if (value != NULL)
		return add_value(parse, index, value);
	if (option->flags & CLI_OPTIONAL) {
		if (!next_is_optional_argument(parse, option))
			return OT_OK;
	} else if (parse->next >= parse->word_count) {
		ot_why_set(parse->why, "Option %.*s requires an argument", OT_STR_ARG(name));
		return OT_ERR_INVALID_REQUEST;
	}
	return add_value(parse, index, parse->words[parse->next++]);
}

static ot_err
refuse_option(struct parse *parse, struct ot_str word)
{
	const struct cli_args *args = parse->args;
	struct ot_text text = OT_TEXT(parse->why->text);
	if (is_prefix_of_any(args->options, args->option_count, word)) {
		ot_text_put(&text, "%.*s is not a recognized option; it could be",
		    OT_STR_ARG(word));
		for (size_t i = 0; i < args->option_count; i++) {
			const struct cli_option *option = &args->options[i];
			if (match_option(option, word) != MATCH_NONE)
				ot_text_put(&text, " --%.*s", OT_STR_ARG(first_name(option)));
		}
		return OT_ERR_INVALID_REQUEST;
	}
	struct ot_str nearest = nearest_name(args->options, args->option_count, word);
	ot_text_put(&text, "%.*s is not a recognized option", OT_STR_ARG(word));
	if (nearest.len > 0)
		ot_text_put(&text, "; did you mean --%.*s?", OT_STR_ARG(nearest));
	return OT_ERR_INVALID_REQUEST;
}

/* "-abc": flags in a row, the last of which may have an argument, behind it or as next word. */
static ot_err
take_letters(struct parse *parse, struct ot_str word)
{
	const struct cli_args *args = parse->args;
	for (int32_t i = 0; i < word.len; i++) {
		struct ot_str letter = { word.data + i, 1 };
		int index = -1;
		for (size_t k = 0; k < args->option_count && index < 0; k++) {
			if (match_option(&args->options[k], letter) == MATCH_WHOLE)
				index = (int)k;
		}
		if (index < 0)
			return refuse_option(parse, word);
		bool is_flag = args->options[index].kind == CLI_FLAG;
		bool has_rest = !is_flag && word.data[i + 1] != '\0';
		ot_err err =
		    take_option(parse, (unsigned)index, has_rest ? word.data + i + 1 : NULL);
		if (err != OT_OK || !is_flag)
			return err;
	}
	return OT_OK;
}

static ot_err
take_word(struct parse *parse, const char *word)
{
	bool is_double = word[1] == '-';
	const char *name = word + (is_double ? 2 : 1);
	size_t bytes = strcspn(name, "=");
	const char *value = name[bytes] == '=' ? name + bytes + 1 : NULL;
	const struct cli_args *args = parse->args;
	int index = cli_option_find(args->options, args->option_count, name, bytes);
	if (index >= 0)
		return take_option(parse, (unsigned)index, value);
	struct ot_str whole = { name, (int32_t)bytes };
	if (is_double)
		return refuse_option(parse, whole);
	return take_letters(parse, (struct ot_str){ name, (int32_t)strlen(name) });
}

ot_err
cli_args_parse(const struct cli_option *options, size_t option_count, char *const *words,
    size_t word_count, struct ot_arena *arena, struct cli_args *ret_args, struct ot_why *why)
{
	OT_ASSERT(option_count <= CLI_OPTION_COUNT_MAX);
	struct cli_args args = { .options = options, .option_count = option_count };
	args.values = ot_arena_array(arena, option_count, sizeof(*args.values));
	if (args.values == NULL)
		return OT_ERR_NO_MEMORY;
	struct ot_why unused;
	struct parse parse = { .args = &args,
		.words = words,
		.word_count = word_count,
		.arena = arena,
		.why = why != NULL ? why : &unused };
	bool is_ended = false;
	while (parse.next < word_count) {
		const char *word = words[parse.next++];
		ot_err err = OT_OK;
		if (is_ended || !looks_like_option(word))
			err = push_value(&parse, &args.rest, word);
		else if (strcmp(word, "--") == 0)
			is_ended = true;
		else
			err = take_word(&parse, word);
		if (err != OT_OK)
			return err;
	}
	*ret_args = args;
	return OT_OK;
}

/* ---- rules --------------------------------------------------------------------------------- */

ot_err
cli_args_check_required(const struct cli_args *args, struct ot_why *why)
{
	for (size_t i = 0; i < args->option_count; i++) {
		const struct cli_option *option = &args->options[i];
		if (!(option->flags & CLI_REQUIRED) || cli_has(args, (unsigned)i))
			continue;
		char names[200];
		struct ot_text text = OT_TEXT(names);
		cli_option_put_names(option, &text);
		ot_why_set(why, "Missing required argument \"%s\"", names);
		return OT_ERR_INVALID_REQUEST;
	}
	return OT_OK;
}

/* The words for a pair of options that break a rule. */
static ot_err
refuse_pair(const struct cli_args *args, const struct cli_rule *rule, size_t other,
    struct ot_why *why)
{
	char one_names[200];
	char other_names[200];
	struct ot_text one_text = OT_TEXT(one_names);
	struct ot_text other_text = OT_TEXT(other_names);
	cli_option_put_names(&args->options[rule->option], &one_text);
	cli_option_put_names(&args->options[other], &other_text);
	if (rule->message != NULL)
		ot_why_set(why, "%s", rule->message);
	else if (rule->kind == CLI_RULE_NEEDS)
		ot_why_set(why, "Missing required argument \"%s\"", other_names);
	else if (rule->kind == CLI_RULE_EXCLUDES)
		ot_why_set(why, "Option \"%s\" can't be used with option \"%s\"", one_names,
		    other_names);
	else
		ot_why_set(why, "Option \"%s\" can only be used with option \"%s\"", other_names,
		    one_names);
	return OT_ERR_INVALID_REQUEST;
}

static ot_err
check_word(const struct cli_args *args, const struct cli_rule *rule, struct ot_why *why)
{
	const char *value = cli_get(args, rule->option);
	size_t bytes = value != NULL ? strlen(value) : 0;
	const char *word = rule->message;
	while (value != NULL && *word != '\0') {
		size_t word_bytes = strcspn(word, " ");
		if (word_bytes == bytes && memcmp(word, value, bytes) == 0)
			return OT_OK;
		word += word_bytes;
		word += strspn(word, " ");
	}
	if (value == NULL)
		return OT_OK;
	const char *names = args->options[rule->option].names;
	ot_why_set(why, "'%s' is no value of --%.*s; give one of: %s", value,
	    (int)strcspn(names, " "), names, rule->message);
	return OT_ERR_INVALID_REQUEST;
}

static ot_err
check_rule(const struct cli_args *args, const struct cli_rule *rule, struct ot_why *why)
{
	uint64_t given = args->given & rule->set;
	bool has_option = cli_has(args, rule->option);
	uint64_t broken = 0;
	switch (rule->kind) {
	case CLI_RULE_ONE_OF:
	case CLI_RULE_ANY_OF: {
		int count = __builtin_popcountll(given);
		if (count == 1 || (count > 1 && rule->kind == CLI_RULE_ANY_OF))
			return OT_OK;
		ot_why_set(why, "%s", rule->message);
		return OT_ERR_INVALID_REQUEST;
	}
	case CLI_RULE_NEEDS:
		broken = has_option ? rule->set & ~args->given : 0;
		break;
	case CLI_RULE_EXCLUDES:
		broken = has_option ? given : 0;
		break;
	case CLI_RULE_LACKS:
		broken = has_option ? 0 : given;
		break;
	case CLI_RULE_WORD:
		return check_word(args, rule, why);
	case CLI_RULE_END:
		break;
	}
	if (broken == 0)
		return OT_OK;
	return refuse_pair(args, rule, (size_t)__builtin_ctzll(broken), why);
}

ot_err
cli_args_check(const struct cli_args *args, const struct cli_rule *rules, struct ot_why *why)
{
	for (; rules->kind != CLI_RULE_END; rules++) {
		ot_err err = check_rule(args, rules, why);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

/* ---- access -------------------------------------------------------------------------------- */

bool
cli_has(const struct cli_args *args, unsigned option)
{
	return (args->given & CLI_BIT(option)) != 0;
}

const char *
cli_get(const struct cli_args *args, unsigned option)
{
	const struct cli_values *values = &args->values[option];
	if (values->count > 0)
		return values->items[values->count - 1];
	return cli_has(args, option) ? NULL : args->options[option].fallback;
}

int64_t
cli_get_number(const struct cli_args *args, unsigned option)
{
	int64_t number;
	const char *text = cli_get(args, option);
	OT_ASSERT(text != NULL);
	bool is_number = cli_number_parse(text, &number);
	OT_ASSERT(is_number);
	return number;
}

double
cli_get_double(const struct cli_args *args, unsigned option)
{
	const char *text = cli_get(args, option);
	OT_ASSERT(text != NULL);
	return strtod(text, NULL);
}

struct cli_values
cli_get_all(const struct cli_args *args, unsigned option)
{
	return args->values[option];
}
