/* From a command line to a tool's work and its exit code.
 * @owner main thread   @blocks until the work is done */
#ifndef OT_CLI_RUN_INT_H
#define OT_CLI_RUN_INT_H

#include "cli/cli_int.h"

/* Runs a tool with the words behind its name; gives enum cli_exit. */
int cli_run(const struct cli_tool *tool, char **words, size_t word_count);

int cli_print_version(void);

#endif
