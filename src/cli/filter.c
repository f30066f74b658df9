#include "cli/filter_int.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/alloc.h"

struct cli_filter {
	pcre2_code *code;
	pcre2_match_data *match;
};

ot_err
cli_filter_create(const char *pattern, struct cli_filter **ret_filter, struct ot_why *why)
{
	int number = 0;
	PCRE2_SIZE place = 0;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
	    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &number, &place, NULL);
	if (code == NULL) {
		char words[120] = "";
		pcre2_get_error_message(number, (PCRE2_UCHAR *)words, sizeof(words));
		ot_why_set(why, "%s is an invalid regex: %s at character %zu", pattern, words,
		    (size_t)place + 1);
		return OT_ERR_INVALID_REQUEST;
	}
	pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
	if (match == NULL) {
		pcre2_code_free(code);
		return OT_ERR_NO_MEMORY;
	}
	struct cli_filter *filter = OT_NEW(struct cli_filter);
	filter->code = code;
	filter->match = match;
	*ret_filter = filter;
	return OT_OK;
}

/* "'a, b'" as "a|b". */
static void
put_pattern(const char *list, char *ret_pattern)
{
	size_t bytes = 0;
	for (const char *c = list; *c != '\0'; c++) {
		bool is_leading_quote = bytes == 0 && (*c == '"' || *c == '\'');
		if (*c != ' ' && *c != '\t' && !is_leading_quote)
			ret_pattern[bytes++] = *c == ',' ? '|' : *c;
	}
	while (bytes > 0 && (ret_pattern[bytes - 1] == '"' || ret_pattern[bytes - 1] == '\''))
		bytes--;
	ret_pattern[bytes] = '\0';
}

ot_err
cli_filter_create_list(const char *list, struct cli_filter **ret_filter, struct ot_why *why)
{
	char *pattern = ot_must_alloc(strlen(list) + 1);
	put_pattern(list, pattern);
	ot_err err = cli_filter_create(pattern, ret_filter, why);
	ot_free(pattern);
	return err;
}

void
cli_filter_destroy(struct cli_filter *filter)
{
	if (filter == NULL)
		return;
	pcre2_match_data_free(filter->match);
	pcre2_code_free(filter->code);
	ot_free(filter);
}

bool
cli_filter_has(const struct cli_filter *filter, struct ot_str name)
{
	if (filter == NULL)
		return true;
	return pcre2_match(filter->code, (PCRE2_SPTR)name.data, (PCRE2_SIZE)name.len, 0, 0,
		   filter->match, NULL) >= 0;
}
