/* What reading settings found: one sentence each, in the order in which it was found. */
#ifndef OT_CONFIG_NOTES_H
#define OT_CONFIG_NOTES_H

#include "base/arena.h"
#include "base/text.h"

struct ot_config_note {
	const struct ot_config_note *next;
	bool is_error; /* else a warning */
	char text[];   /* "server.properties:12: num.partitions=x is not valid: ..." */
};

/* Owned by the caller of whatever fills it. */
struct ot_config_notes {
	struct ot_arena arena;
	const struct ot_config_note *first;
	struct ot_config_note *last;
	size_t error_count;
	size_t warning_count;
};

/* @owner the caller's   @blocks never */
void ot_config_notes_init(struct ot_config_notes *notes);
void ot_config_notes_fini(struct ot_config_notes *notes);

/* Adds a sentence, cut at 1,000 bytes. Without memory only the count grows.
 * @owner the caller's   @blocks never */
void ot_config_error(struct ot_config_notes *notes, const char *fmt, ...) OT_PRINTF(2, 3);
void ot_config_warning(struct ot_config_notes *notes, const char *fmt, ...) OT_PRINTF(2, 3);

#endif
