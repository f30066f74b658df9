/* Decoding: walks the description of a struct and reads each field that the version has.
 *
 * On the wire (big-endian; KIP-482 for the flexible forms):
 *
 *   value             plain versions               flexible versions
 *   string            int16 length, bytes          uvarint length + 1, bytes
 *   bytes, records    int32 length, bytes          uvarint length + 1, bytes
 *   array             int32 count, elements        uvarint count + 1, elements
 *   null of these     length or count -1           0
 *   nullable struct   int8: negative null, else the struct follows (both)
 *   end of a struct   nothing                      uvarint count of tagged fields, each: uvarint
 *                                                  tag, uvarint size, value
 *
 * A nullable struct that is a tagged field begins with an uvarint instead of the int8: 0 is null.
 *
 * Tagged fields are taken in any order, as Kafka takes them; of a tag that comes twice the last
 * one counts.
 */
#include "wire/codec_int.h"

#include <string.h>

struct decoder {
	const uint8_t *next;
	const uint8_t *end;
	struct ot_arena *arena;
	int16_t version;
	bool flexible;
	ot_err err; /* of the first failure; every function returns false after it */
};

static bool decode_struct(struct decoder *in, const struct ot_msg_struct *type, uint8_t *object);

static bool
fail(struct decoder *in, ot_err err)
{
	in->err = err;
	return false;
}

static inline size_t
left(const struct decoder *in)
{
	return (size_t)(in->end - in->next);
}

/* The next `bytes` bytes, or NULL and a failure. */
static inline const uint8_t *
take(struct decoder *in, size_t bytes)
{
	if (OT_UNLIKELY(left(in) < bytes)) {
		in->err = OT_ERR_TRUNCATED;
		return NULL;
	}
	const uint8_t *place = in->next;
	in->next += bytes;
	return place;
}

static bool
take_uvarint_long(struct decoder *in, uint32_t *ret_value)
{
	uint32_t value = 0;
	for (unsigned shift = 0; shift < 35; shift += 7) {
		const uint8_t *byte = take(in, 1);
		if (byte == NULL)
			return false;
		if (shift == 28 && *byte > 0x0f)
			break;
		value |= (uint32_t)(*byte & 0x7f) << shift;
		if ((*byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return fail(in, OT_ERR_MALFORMED);
}

static inline bool
take_uvarint(struct decoder *in, uint32_t *ret_value)
{
	if (OT_LIKELY(in->next < in->end && *in->next < 0x80)) {
		*ret_value = *in->next++;
		return true;
	}
	return take_uvarint_long(in, ret_value);
}

/* A length or count in its three forms; -1 is null. */
static inline bool
take_length(struct decoder *in, bool flexible, bool is_short, int32_t *ret_length)
{
	if (flexible) {
		uint32_t value;
		if (!take_uvarint(in, &value))
			return false;
		if (value > INT32_MAX)
			return fail(in, OT_ERR_MALFORMED);
		*ret_length = (int32_t)value - 1;
		return true;
	}
	const uint8_t *place = take(in, is_short ? 2 : 4);
	if (place == NULL)
		return false;
	int32_t length = is_short ? (int16_t)wire_get_u16(place) : (int32_t)wire_get_u32(place);
	*ret_length = length;
	return length >= -1 || fail(in, OT_ERR_MALFORMED);
}

/* String, bytes or records: a length and a view of so many bytes. All three begin alike. */
static bool
decode_view(struct decoder *in, const struct ot_msg_field *field, bool may_be_null, void *ret_view)
{
	bool is_string = field->kind == OT_FIELD_STRING;
	struct ot_bytes *view = ret_view;
	int32_t length;
	if (!take_length(in, in->flexible && !field->inflexible, is_string, &length))
		return false;
	if (length < 0) {
		*view = OT_BYTES_NULL;
		return may_be_null || fail(in, OT_ERR_MALFORMED);
	}
	if (is_string && length > WIRE_STRING_BYTES_MAX)
		return fail(in, OT_ERR_MALFORMED);
	view->data = take(in, (size_t)length);
	view->len = length;
	return view->data != NULL;
}

/* A value of fixed size. */
static inline void
get_fixed(unsigned kind, const uint8_t *from, uint8_t *to)
{
	switch (kind) {
	case OT_FIELD_BOOL:
		*to = *from != 0;
		break;
	case OT_FIELD_INT8:
		*to = *from;
		break;
	case OT_FIELD_INT16:
	case OT_FIELD_UINT16:
		*(uint16_t *)(void *)to = wire_get_u16(from);
		break;
	case OT_FIELD_INT32:
	case OT_FIELD_UINT32:
		*(uint32_t *)(void *)to = wire_get_u32(from);
		break;
	case OT_FIELD_INT64:
	case OT_FIELD_FLOAT64:
		*(uint64_t *)(void *)to = wire_get_u64(from);
		break;
	default:
		memcpy(to, from, sizeof(struct ot_uuid));
		break;
	}
}

static bool
decode_fixed_array(struct decoder *in, const struct ot_msg_field *field, size_t count, uint8_t *to)
{
	size_t bytes = wire_value_bytes(field);
	const uint8_t *from = take(in, count * bytes);
	if (from == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		get_fixed(field->kind, from + i * bytes, to + i * bytes);
	return true;
}

static bool
decode_elements(struct decoder *in, const struct ot_msg_field *field, size_t count, uint8_t *to)
{
	size_t bytes = wire_value_bytes(field);
	if (field->kind < OT_FIELD_STRING)
		return decode_fixed_array(in, field, count, to);
	for (size_t i = 0; i < count; i++, to += bytes) {
		if (field->kind != OT_FIELD_STRUCT) {
			if (!decode_view(in, field, false, to))
				return false;
			continue;
		}
		memcpy(to, field->type->defaults, bytes);
		if (!decode_struct(in, field->type, to))
			return false;
	}
	return true;
}

/* The fewest bytes on the wire that an element takes: bounds a count before memory is spent. */
static size_t
element_bytes_min(const struct ot_msg_field *field)
{
	if (field->kind == OT_FIELD_STRUCT)
		return field->type->wire_bytes_min;
	return field->kind < OT_FIELD_STRING ? wire_value_bytes(field) : 1;
}

static bool
decode_array(struct decoder *in, const struct ot_msg_field *field, uint8_t *object)
{
	int32_t count;
	if (!take_length(in, in->flexible && !field->inflexible, false, &count))
		return false;
	if (count < 0 && !ot_versions_have(field->nullable, in->version))
		return fail(in, OT_ERR_MALFORMED);
	if (count > 0 && (size_t)count > left(in) / element_bytes_min(field))
		return fail(in, OT_ERR_MALFORMED);
	void *elements = NULL;
	if (count > 0) {
		elements = ot_arena_array(in->arena, (size_t)count, wire_value_bytes(field));
		if (elements == NULL)
			return fail(in, OT_ERR_NO_MEMORY);
	}
	*(void **)(void *)(object + field->offset) = elements;
	*(int32_t *)(void *)(object + field->count_offset) = count;
	return count <= 0 || decode_elements(in, field, (size_t)count, elements);
}

/* The mark before a nullable struct; in a version that does not allow null there is none. */
static bool
take_null_mark(struct decoder *in, const struct ot_msg_field *field, bool tagged, bool *ret_null)
{
	*ret_null = false;
	if (!ot_versions_have(field->nullable, in->version))
		return true;
	if (tagged) {
		uint32_t mark;
		if (!take_uvarint(in, &mark))
			return false;
		*ret_null = mark == 0;
		return true;
	}
	const uint8_t *mark = take(in, 1);
	if (mark == NULL)
		return false;
	*ret_null = (int8_t)*mark < 0;
	return true;
}

static bool
decode_pointer(struct decoder *in, const struct ot_msg_field *field, bool tagged, uint8_t *object)
{
	bool is_null;
	if (!take_null_mark(in, field, tagged, &is_null))
		return false;
	uint8_t *target = NULL;
	if (!is_null) {
		target = ot_msg_array(field->type, in->arena, 1);
		if (target == NULL)
			return fail(in, OT_ERR_NO_MEMORY);
	}
	*(void **)(void *)(object + field->offset) = target;
	return is_null || decode_struct(in, field->type, target);
}

static bool
decode_field(struct decoder *in, const struct ot_msg_field *field, bool tagged, uint8_t *object)
{
	if (field->is_array)
		return decode_array(in, field, object);
	if (field->kind == OT_FIELD_STRUCT) {
		if (field->by_pointer)
			return decode_pointer(in, field, tagged, object);
		return decode_struct(in, field->type, object + field->offset);
	}
	if (field->kind >= OT_FIELD_STRING) {
		bool may_be_null = ot_versions_have(field->nullable, in->version);
		return decode_view(in, field, may_be_null, object + field->offset);
	}
	const uint8_t *from = take(in, wire_value_bytes(field));
	if (from == NULL)
		return false;
	get_fixed(field->kind, from, object + field->offset);
	return true;
}

static const struct ot_msg_field *
find_tag(const struct ot_msg_struct *type, uint32_t tag, int16_t version)
{
	for (size_t i = 0; i < type->field_count; i++) {
		const struct ot_msg_field *field = &type->fields[i];
		if (wire_field_is_tagged(field, version) && (uint32_t)field->tag == tag)
			return field;
	}
	return NULL;
}

/* A tagged field of the schema: it must fill its size exactly. */
static bool
decode_known_tag(struct decoder *in, const struct ot_msg_field *field, uint32_t bytes,
    uint8_t *object)
{
	const uint8_t *outer_end = in->end;
	in->end = in->next + bytes;
	if (!decode_field(in, field, true, object))
		return false;
	if (in->next != in->end)
		return fail(in, OT_ERR_MALFORMED);
	in->end = outer_end;
	return true;
}

/* Keeps a tagged field of which the schema says nothing; `more` of them may follow at most. */
static bool
keep_unknown_tag(struct decoder *in, const struct ot_msg_struct *type, uint8_t *object,
    struct ot_unknown_tag tag, uint32_t more)
{
	struct ot_unknown_tags **list = (void *)(object + type->unknown_tags_offset);
	if (*list == NULL) {
		size_t items = ((size_t)more + 1) * sizeof(struct ot_unknown_tag);
		*list = ot_arena_alloc(in->arena, sizeof(**list) + items);
		if (*list == NULL)
			return fail(in, OT_ERR_NO_MEMORY);
	}
	(*list)->items[(*list)->count++] = tag;
	in->next += tag.value.len;
	return true;
}

static bool
decode_tags(struct decoder *in, const struct ot_msg_struct *type, uint8_t *object)
{
	uint32_t count;
	if (!take_uvarint(in, &count))
		return false;
	if (count > left(in) / 2)
		return fail(in, OT_ERR_MALFORMED);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t tag, bytes;
		if (!take_uvarint(in, &tag) || !take_uvarint(in, &bytes))
			return false;
		if (bytes > left(in) || bytes > INT32_MAX)
			return fail(in, OT_ERR_TRUNCATED);
		const struct ot_msg_field *field = find_tag(type, tag, in->version);
		struct ot_unknown_tag unknown = { tag, { in->next, (int32_t)bytes } };
		bool ok = field != NULL
		              ? decode_known_tag(in, field, bytes, object)
		              : keep_unknown_tag(in, type, object, unknown, count - i - 1);
		if (!ok)
			return false;
	}
	return true;
}

/* The object holds its defaults already. */
static bool
decode_struct(struct decoder *in, const struct ot_msg_struct *type, uint8_t *object)
{
	const struct ot_msg_field *end = type->fields + type->field_count;
	for (const struct ot_msg_field *field = type->fields; field < end; field++)
		if (wire_field_is_plain(field, in->version) &&
		    !decode_field(in, field, false, object))
			return false;
	return !in->flexible || decode_tags(in, type, object);
}

ot_err
ot_msg_decode_prefix(const struct ot_msg *type, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, void *ret_msg)
{
	if (!ot_versions_have(type->valid, version))
		return OT_ERR_UNSUPPORTED_VERSION;
	struct decoder decoder = {
		.next = in->next,
		.end = in->end,
		.arena = arena,
		.version = version,
		.flexible = ot_versions_have(type->flexible, version),
	};
	memcpy(ret_msg, type->body->defaults, type->body->bytes);
	if (in->failed)
		return OT_ERR_TRUNCATED;
	if (!decode_struct(&decoder, type->body, ret_msg))
		return decoder.err;
	in->next = decoder.next;
	return OT_OK;
}

ot_err
ot_msg_decode(const struct ot_msg *type, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, void *ret_msg)
{
	ot_err err = ot_msg_decode_prefix(type, version, in, arena, ret_msg);
	if (err == OT_OK && ot_reader_left(in) > 0)
		err = OT_ERR_MALFORMED;
	return err;
}

void
ot_msg_init(const struct ot_msg *type, void *ret_msg)
{
	memcpy(ret_msg, type->body->defaults, type->body->bytes);
}

void *
ot_msg_array(const struct ot_msg_struct *type, struct ot_arena *arena, int32_t count)
{
	uint8_t *objects = ot_arena_array(arena, (size_t)OT_MAX(count, 0), type->bytes);
	for (int32_t i = 0; objects != NULL && i < count; i++)
		memcpy(objects + (size_t)i * type->bytes, type->defaults, type->bytes);
	return objects;
}
