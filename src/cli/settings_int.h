/* A broker's settings, for what starts one and what prepares its folders. */
#ifndef OT_CLI_SETTINGS_INT_H
#define OT_CLI_SETTINGS_INT_H

#include "cli/cli_int.h"
#include "config/settings.h"

/* The settings of a file (NULL: none) and overrides, one reference. Everything remarkable is
 * reported; NULL after a mistake, of which no more is to be told.
 * @owner main thread   @blocks never */
struct ot_settings *cli_load_settings(struct cli *cli, const struct ot_properties *file,
    const struct ot_config_pair *overrides, size_t override_count);

#endif
