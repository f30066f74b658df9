#include "cli/settings_int.h"

#include "base/report.h"

/* Every note is one report. True when none of them was a mistake. */
static bool
report_notes(const struct ot_config_notes *notes)
{
	for (const struct ot_config_note *note = notes->first; note != NULL; note = note->next)
		ot_report(note->is_error ? OT_REPORT_ERROR : OT_REPORT_WARN, "config", "%s",
		    note->text);
	return notes->error_count == 0;
}

struct ot_settings *
cli_load_settings(struct cli *cli, const struct ot_properties *file,
    const struct ot_config_pair *overrides, size_t override_count)
{
	const struct ot_settings_input input = {
		.file = file,
		.overrides = overrides,
		.override_count = override_count,
	};
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	ot_config_notes_init(&notes);
	ot_err err = ot_settings_create(&input, &notes, &settings);
	bool is_good = report_notes(&notes) && err == OT_OK;
	ot_config_notes_fini(&notes);
	if (is_good)
		return settings;
	ot_settings_unref(settings);
	cli_fail(cli, "the broker does not start with these settings");
	return NULL;
}
