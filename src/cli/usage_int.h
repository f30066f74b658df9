/* The help of the tools, made from their tables.
 * @owner the stream's   @blocks as the stream does */
#ifndef OT_CLI_USAGE_INT_H
#define OT_CLI_USAGE_INT_H

#include "cli/cli_int.h"

/* A command's purpose and its options, in the columns in which Kafka's tools print theirs. */
void cli_usage_print(const struct cli_tool *tool, const struct cli_command *command, FILE *out);

/* All that is known of tools, as an array of JSON: for man pages, completion and other programs. */
void cli_usage_print_json(const struct cli_tool *const *tools, size_t count, FILE *out);

/* Two columns and a heading, wrapped: the form of every help. Rows are added in order. */
struct cli_columns {
	FILE *out;
	size_t left_width;
	size_t right_width;
};
void cli_columns_row(const struct cli_columns *columns, const char *left, const char *right);

#endif
