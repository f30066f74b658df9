/* Java's property files: what java.util.Properties reads, with the line of each key. */
#ifndef OT_CONFIG_PROPERTIES_H
#define OT_CONFIG_PROPERTIES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/text.h"

struct ot_property {
	struct ot_str name;  /* NUL-terminated */
	struct ot_str value; /* NUL-terminated; blanks at its end are still there */
	uint32_t line;       /* of the name, from 1; 0 when it came from no file */
};

/* Owned by whoever read it. Each name stands once, in the order of first appearance. */
struct ot_properties {
	struct ot_arena arena;
	const char *file; /* for messages; the arena's */
	struct ot_property *items;
	size_t count;
	size_t capacity;
	struct property_index *index; /* heap; finds names in constant time */
};

/* The largest file that is read. Kafka's own commented example has 6,500 bytes. */
#define OT_PROPERTIES_BYTES_MAX (4u * OT_MIB)

/* Empty properties. `file` is copied; it may be NULL. @owner the caller's   @blocks never */
void ot_properties_init(struct ot_properties *props, const char *file);
void ot_properties_fini(struct ot_properties *props);

/* Adds what `text` says; a name that stands twice has the last value. On OT_ERR_INVALID_CONFIG
 * (`why` names file, line and rule) or OT_ERR_NO_MEMORY the lines before the mistake are in.
 * @owner the caller's   @blocks never */
ot_err ot_properties_parse(struct ot_properties *props, const char *text, size_t bytes,
    struct ot_why *why) OT_MUST_USE;

/* Sets one property; name and value are copied. @owner the caller's   @blocks never */
ot_err ot_properties_put(struct ot_properties *props, struct ot_str name, struct ot_str value,
    uint32_t line) OT_MUST_USE;

/* The property called `name`, or NULL. Valid until the next put or parse. @owner the caller's */
const struct ot_property *ot_properties_find(const struct ot_properties *props, struct ot_str name);

#endif
