/* Inside the room: the steps of building settings. */
#ifndef OT_CONFIG_SETTINGS_INT_H
#define OT_CONFIG_SETTINGS_INT_H

#include "config/settings.h"

/* Fills what is derived from the values; mistakes go to `notes`.
 * @owner any thread   @blocks never */
ot_err config_derive(struct ot_settings *settings, struct ot_config_notes *notes) OT_MUST_USE;

/* Rules between settings. @owner any thread   @blocks never */
void config_check_rules(const struct ot_settings *settings, struct ot_config_notes *notes);

/* "server.properties:12: key=value", or "key" for what nobody set. A password's value is left out.
 * @owner any thread */
struct ot_why config_place_of(const struct ot_settings *settings, enum ot_broker_key key);

#endif
