/* Codec of all messages: one interpreter, driven by tables that tools/gen/messages.py makes of
 * schema/messages and schema/records.
 *
 * For each message there is a plain struct (wire/msg_<file>.h) and a static description of it.
 * Decoding fills the struct for any version; strings, bytes and record sets point into the input,
 * arrays and nullable structs are allocated from the caller's arena. A field that the version does
 * not have keeps its default. Encoding is the reverse: a field that the version does not have is
 * left out silently, whatever its value (Kafka's own code refuses a few of them; a server that
 * answers old clients wants the opposite).
 *
 * In the structs:
 *   string, bytes, records    a view; len -1 is null
 *   []T                       `T *name` and `int32_t name_count`; count -1 is null
 *   nullable struct           a pointer; NULL is null
 *   unknown_tags              tagged fields that the schema does not know, kept to be encoded
 *                             again; NULL when there are none
 *
 * Untrusted input: every length and count is checked against the bytes that are left before
 * anything is allocated, nesting is as deep as the schema and no deeper, and the arena bounds what
 * a message of many small elements may take. Nothing here asserts on what a peer sent.
 */
#ifndef OT_WIRE_CODEC_H
#define OT_WIRE_CODEC_H

#include "base/arena.h"
#include "base/bytes.h"

/* A record set. `source` is NULL when the bytes are at `data`; otherwise it is the business of who
 * encodes (a range of a file, a reference to a buffer), `len` bytes go out in this place, and the
 * encoder notes where: see ot_splices. Decoding never sets it. */
struct ot_records {
	const uint8_t *data;
	int32_t len; /* -1: null */
	void *source;
};

/* A place in an encoded message where bytes of a source belong. */
struct ot_splice {
	size_t place;                     /* offset in the writer's data */
	const struct ot_records *records; /* lives as long as the message that was encoded */
};

struct ot_splices {
	struct ot_splice *items; /* heap */
	int32_t count;
	int32_t capacity;
	uint64_t bytes_total; /* of all sources together: the frame is so much longer */
};

/* @owner the splices' */
void ot_splices_init(struct ot_splices *splices);
void ot_splices_fini(struct ot_splices *splices);
void ot_splices_reset(struct ot_splices *splices); /* keeps the memory */

/* Tagged fields that the schema does not know, in the order in which they came (KIP-482). */
struct ot_unknown_tag {
	uint32_t tag;
	struct ot_bytes value;
};

struct ot_unknown_tags {
	int32_t count;
	struct ot_unknown_tag items[];
};

/* Inclusive; min > max: none. */
struct ot_versions {
	int16_t min;
	int16_t max;
};

static inline bool
ot_versions_have(struct ot_versions range, int16_t version)
{
	return version >= range.min && version <= range.max;
}

enum ot_field_kind {
	OT_FIELD_BOOL,
	OT_FIELD_INT8,
	OT_FIELD_INT16,
	OT_FIELD_UINT16,
	OT_FIELD_INT32,
	OT_FIELD_UINT32,
	OT_FIELD_INT64,
	OT_FIELD_FLOAT64,
	OT_FIELD_UUID,
	OT_FIELD_STRING,
	OT_FIELD_BYTES,
	OT_FIELD_RECORDS,
	OT_FIELD_STRUCT,
};

struct ot_msg_struct;

struct ot_msg_field {
	const char *name;                 /* Kafka's: "TopicData" */
	const struct ot_msg_struct *type; /* of OT_FIELD_STRUCT */
	uint16_t offset;                  /* in the struct; of an array, where its pointer is */
	uint16_t count_offset;            /* of an array */
	uint8_t kind;                     /* enum ot_field_kind; of an array, of its elements */
	bool is_array;
	bool by_pointer; /* a nullable struct */
	bool inflexible; /* plain lengths even in flexible versions */
	int16_t tag;     /* -1: never tagged */
	struct ot_versions present;
	struct ot_versions nullable;
	struct ot_versions tagged; /* in these the field stands among the tagged ones */
};

enum { OT_MSG_NO_TAGS = UINT16_MAX };

struct ot_msg_struct {
	const char *name; /* "FetchResponse.Topic" */
	const struct ot_msg_field *fields;
	const void *defaults; /* a whole struct in which every field has its default */
	uint16_t field_count;
	uint16_t unknown_tags_offset; /* OT_MSG_NO_TAGS: never flexible */
	uint16_t bytes;               /* sizeof the struct */
	uint16_t tagged_field_count;  /* fields that some version tags */
	uint16_t wire_bytes_min;      /* fewest bytes on the wire, over all versions */
};

struct ot_msg {
	const char *name; /* "FetchResponse" */
	const struct ot_msg_struct *body;
	struct ot_versions valid;
	struct ot_versions flexible;
	int16_t type; /* API key, or type of a record; -1 for neither */
};

/* Decodes one message that fills the reader to its end. `ret_msg` is the message's struct,
 * overwritten whole; it is undefined after a failure. The input must outlive it.
 * OT_ERR_UNSUPPORTED_VERSION, OT_ERR_TRUNCATED (input too short), OT_ERR_MALFORMED (null where it
 * is not allowed, a length or count that lies, bytes left over), OT_ERR_NO_MEMORY (of the arena).
 * @owner the arena's   @blocks never */
ot_err ot_msg_decode(const struct ot_msg *type, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, void *ret_msg) OT_MUST_USE;

/* The same, but bytes behind the message are left in the reader: for headers, before bodies.
 * @owner the arena's   @blocks never */
ot_err ot_msg_decode_prefix(const struct ot_msg *type, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, void *ret_msg) OT_MUST_USE;

/* Appends the message to `out`. Where records have a source, only their length is written and a
 * splice is added; `splices` may be NULL when none has. After a failure `out` is as it was before.
 * OT_ERR_UNSUPPORTED_VERSION, OT_ERR_MALFORMED (null where the version has none, a string longer
 * than 32,767 bytes), OT_ERR_NO_MEMORY. @owner the writer's   @blocks never */
ot_err ot_msg_encode(const struct ot_msg *type, int16_t version, const void *msg,
    struct ot_writer *out, struct ot_splices *splices) OT_MUST_USE;

/* Sets every field to its default. @owner the message's   @blocks never */
void ot_msg_init(const struct ot_msg *type, void *ret_msg);

/* Memory for `count` structs with defaults, NULL when the arena has none.
 * @owner the arena's   @blocks never */
void *ot_msg_array(const struct ot_msg_struct *type, struct ot_arena *arena,
    int32_t count) OT_MUST_USE;

/* Whether the struct equals its defaults, nested ones and unknown tags included.
 * @owner the message's   @blocks never */
bool ot_msg_is_default(const struct ot_msg_struct *type, const void *object);

/* Appends the message as one line of JSON: names in camelCase as Kafka's tools print them, only
 * fields of that version, tagged fields only where they differ from their default, bytes and
 * records as base64, ids as text. Text that is not UTF-8 is shown with U+FFFD. Records with a
 * source print as their length. OT_ERR_UNSUPPORTED_VERSION, OT_ERR_NO_MEMORY.
 * @owner the writer's   @blocks never */
ot_err ot_msg_print(const struct ot_msg *type, int16_t version, const void *msg,
    struct ot_writer *out) OT_MUST_USE;

#endif
