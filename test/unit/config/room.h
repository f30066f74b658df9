/* What the tests of this room share: settings made of a text. */
#ifndef OT_TEST_UNIT_CONFIG_ROOM_H
#define OT_TEST_UNIT_CONFIG_ROOM_H

#include "../test.h"

#include "config/settings.h"

#define PAIR(name_text, value_text) \
	((struct ot_config_pair){ OT_STR_LIT(name_text), OT_STR_LIT(value_text) })

/* Settings of a file "server.properties" with this text; notes come on top of what is there. */
static inline ot_err
room_create(const char *text, struct ot_config_notes *notes, struct ot_settings **ret_settings)
{
	struct ot_properties props;
	struct ot_settings_input input = { .file = &props };
	struct ot_why why;
	ot_properties_init(&props, "server.properties");
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	ot_err err = ot_settings_create(&input, notes, ret_settings);
	ot_properties_fini(&props);
	return err;
}

/* The same, when nothing may be found wrong. */
static inline struct ot_settings *
room_settings(const char *text)
{
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	ot_config_notes_init(&notes);
	ot_err err = room_create(text, &notes, &settings);
	if (err != OT_OK || notes.first != NULL)
		fail_msg("%s", notes.first != NULL ? notes.first->text : ot_err_name(err));
	ot_config_notes_fini(&notes);
	return settings;
}

/* Whether a note of that kind holds `part`. */
static inline bool
room_has_note(const struct ot_config_notes *notes, bool is_error, const char *part)
{
	for (const struct ot_config_note *note = notes->first; note != NULL; note = note->next) {
		if (note->is_error == is_error && strstr(note->text, part) != NULL)
			return true;
	}
	return false;
}

#endif
