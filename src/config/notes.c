#include "config/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	NOTE_BYTES_MAX = 1000,
};

void
ot_config_notes_init(struct ot_config_notes *notes)
{
	*notes = (struct ot_config_notes){ 0 };
	ot_arena_init(&notes->arena, 0);
}

void
ot_config_notes_fini(struct ot_config_notes *notes)
{
	ot_arena_fini(&notes->arena);
	*notes = (struct ot_config_notes){ 0 };
}

static void
add_note(struct ot_config_notes *notes, bool is_error, const char *fmt, va_list args)
{
	char text[NOTE_BYTES_MAX];
	vsnprintf(text, sizeof(text), fmt, args);
	size_t bytes = strlen(text);
	struct ot_config_note *note = ot_arena_alloc(&notes->arena, sizeof(*note) + bytes + 1);
	*(is_error ? &notes->error_count : &notes->warning_count) += 1;
	if (note == NULL)
		return;
	note->is_error = is_error;
	memcpy(note->text, text, bytes + 1);
	if (notes->last != NULL)
		notes->last->next = note;
	else
		notes->first = note;
	notes->last = note;
}

void
ot_config_error(struct ot_config_notes *notes, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add_note(notes, true, fmt, args);
	va_end(args);
}

void
ot_config_warning(struct ot_config_notes *notes, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add_note(notes, false, fmt, args);
	va_end(args);
}
