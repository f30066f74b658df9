/* Names chosen by regular expressions, as --topic and --group take them.
 * @owner the filter's   @blocks never */
#ifndef OT_CLI_FILTER_INT_H
#define OT_CLI_FILTER_INT_H

#include "base/arena.h"
#include "base/text.h"

struct cli_filter;

/* A whole name must match. The grammar is that of Perl's expressions, which is Java's but for rare
 * corners. OT_ERR_INVALID_REQUEST with `why`, OT_ERR_NO_MEMORY. */
ot_err cli_filter_create(const char *pattern, struct cli_filter **ret_filter,
    struct ot_why *why) OT_MUST_USE;

/* The same for an include list of Kafka's tools: commas mean alternatives, blanks and quotes around
 * the list nothing. */
ot_err cli_filter_create_list(const char *list, struct cli_filter **ret_filter,
    struct ot_why *why) OT_MUST_USE;

void cli_filter_destroy(struct cli_filter *filter); /* accepts NULL */

/* NULL as a filter lets all names through. */
bool cli_filter_has(const struct cli_filter *filter, struct ot_str name);

#endif
