/* Goal: no property file makes the reader leave its input, and what was read means the same when
 * it is written out with escapes and read again; no settings made of it do harm. Method: the input
 * is a file; what came of it is written by the rules of properties.c and compared, and then
 * settings are built of it, whatever they turn out to be. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Every character that means something is escaped, and blanks at the start of a value. */
static char *
put_escaped(char *to, struct ot_str text)
{
	for (int32_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '\n' || c == '\r') {
			*to++ = '\\';
			*to++ = c == '\n' ? 'n' : 'r';
			continue;
		}
		if (c != '\0' && strchr("\\=:#! \t\f", c) != NULL)
			*to++ = '\\';
		*to++ = c;
	}
	return to;
}

static void
check_round_trip(const struct ot_properties *props)
{
	size_t room = 2;
	for (size_t i = 0; i < props->count; i++)
		room += 2 * (size_t)(props->items[i].name.len + props->items[i].value.len) + 2;
	char *text = ot_must_alloc(room);
	char *end = text;
	/* A name may start with what would be a byte order mark at the start of the file. */
	*end++ = '\n';
	for (size_t i = 0; i < props->count; i++) {
		end = put_escaped(end, props->items[i].name);
		*end++ = '=';
		end = put_escaped(end, props->items[i].value);
		*end++ = '\n';
	}
	OT_ASSERT((size_t)(end - text) <= room);
	struct ot_properties again;
	struct ot_why why;
	ot_properties_init(&again, "again");
	OT_ASSERT(ot_properties_parse(&again, text, (size_t)(end - text), &why) == OT_OK);
	OT_ASSERT(again.count == props->count);
	for (size_t i = 0; i < props->count; i++) {
		OT_ASSERT(ot_str_equal(again.items[i].name, props->items[i].name));
		OT_ASSERT(ot_str_equal(again.items[i].value, props->items[i].value));
	}
	ot_properties_fini(&again);
	ot_free(text);
}

static void
build_settings(const struct ot_properties *props)
{
	struct ot_settings_input input = { .file = props };
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	ot_config_notes_init(&notes);
	ot_err err = ot_settings_create(&input, &notes, &settings);
	OT_ASSERT((err == OT_OK) == (settings != NULL));
	OT_ASSERT(err == OT_OK || notes.error_count > 0);
	ot_settings_unref(settings);
	ot_config_notes_fini(&notes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* Longer files only repeat what short ones show, and take time. */
	if (bytes > 16 * (size_t)OT_KIB)
		return 0;
	struct ot_properties props;
	struct ot_why why;
	ot_properties_init(&props, "fuzz.properties");
	if (ot_properties_parse(&props, (const char *)data, bytes, &why) == OT_OK) {
		check_round_trip(&props);
		build_settings(&props);
	}
	ot_properties_fini(&props);
	return 0;
}
