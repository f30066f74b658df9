/* Encoding: the mirror of decode.c, whose top describes the bytes.
 *
 * Tagged fields of the schema are written only when they differ from their default, in rising order
 * of tags; unknown ones go between them where they belong, in the order in which they came.
 */
#include "wire/codec_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { SPLICES_CAPACITY_MIN = 8 };

struct encoder {
	struct ot_writer *out;
	struct ot_splices *splices;
	int16_t version;
	bool flexible;
	ot_err err; /* of the first failure; every function returns false after it */
};

static bool encode_struct(struct encoder *to, const struct ot_msg_struct *type,
    const uint8_t *object);

void
ot_splices_init(struct ot_splices *splices)
{
	*splices = (struct ot_splices){ 0 };
}

void
ot_splices_fini(struct ot_splices *splices)
{
	ot_free(splices->items);
	*splices = (struct ot_splices){ 0 };
}

void
ot_splices_reset(struct ot_splices *splices)
{
	splices->count = 0;
	splices->bytes_total = 0;
}

static bool
fail(struct encoder *to, ot_err err)
{
	to->err = err;
	return false;
}

/* Room for `bytes` more, counted as written; NULL and a failure when there is none. */
static inline uint8_t *
extend(struct encoder *to, size_t bytes)
{
	struct ot_writer *out = to->out;
	if (OT_UNLIKELY(out->capacity - out->bytes < bytes) && !ot_writer_reserve(out, bytes)) {
		to->err = OT_ERR_NO_MEMORY;
		return NULL;
	}
	uint8_t *place = out->data + out->bytes;
	out->bytes += bytes;
	return place;
}

static inline bool
put_uvarint(struct encoder *to, uint32_t value)
{
	uint8_t *place = extend(to, value < 0x80 ? 1 : ot_uvarint_bytes(value));
	if (place == NULL)
		return false;
	for (; value >= 0x80; value >>= 7)
		*place++ = (uint8_t)(value | 0x80);
	*place = (uint8_t)value;
	return true;
}

/* A length or count in its three forms; -1 is null. */
static bool
put_length(struct encoder *to, bool flexible, bool is_short, int32_t length)
{
	if (flexible)
		return put_uvarint(to, (uint32_t)length + 1);
	uint8_t *place = extend(to, is_short ? 2 : 4);
	if (place == NULL)
		return false;
	if (is_short)
		wire_put_u16(place, (uint16_t)length);
	else
		wire_put_u32(place, (uint32_t)length);
	return true;
}

static bool
add_splice(struct encoder *to, const struct ot_records *records)
{
	struct ot_splices *splices = to->splices;
	OT_ASSERT(splices != NULL); /* who makes records with a source also takes splices */
	if (splices->count == splices->capacity) {
		int32_t wanted = OT_MAX(splices->capacity * 2, (int32_t)SPLICES_CAPACITY_MIN);
		void *items = ot_realloc(splices->items, (size_t)wanted * sizeof(*splices->items));
		if (items == NULL)
			return fail(to, OT_ERR_NO_MEMORY);
		splices->items = items;
		splices->capacity = wanted;
	}
	splices->items[splices->count++] = (struct ot_splice){ to->out->bytes, records };
	splices->bytes_total += (uint64_t)records->len;
	return true;
}

/* String, bytes or records: a length and so many bytes. All three begin alike in memory. */
static bool
encode_view(struct encoder *to, const struct ot_msg_field *field, const void *value,
    bool may_be_null)
{
	const struct ot_bytes *view = value;
	bool is_string = field->kind == OT_FIELD_STRING;
	OT_ASSERT(view->len >= -1);
	if ((view->len < 0 && !may_be_null) || (is_string && view->len > WIRE_STRING_BYTES_MAX))
		return fail(to, OT_ERR_MALFORMED);
	if (!put_length(to, to->flexible && !field->inflexible, is_string, view->len))
		return false;
	if (view->len <= 0)
		return true;
	const struct ot_records *records = value;
	if (field->kind == OT_FIELD_RECORDS && records->source != NULL)
		return add_splice(to, records);
	uint8_t *place = extend(to, (size_t)view->len);
	if (place == NULL)
		return false;
	memcpy(place, view->data, (size_t)view->len);
	return true;
}

/* A value of fixed size. */
static inline void
put_fixed(unsigned kind, const uint8_t *from, uint8_t *to)
{
	switch (kind) {
	case OT_FIELD_BOOL:
	case OT_FIELD_INT8:
		*to = *from;
		break;
	case OT_FIELD_INT16:
	case OT_FIELD_UINT16:
		wire_put_u16(to, *(const uint16_t *)(const void *)from);
		break;
	case OT_FIELD_INT32:
	case OT_FIELD_UINT32:
		wire_put_u32(to, *(const uint32_t *)(const void *)from);
		break;
	case OT_FIELD_INT64:
	case OT_FIELD_FLOAT64:
		wire_put_u64(to, *(const uint64_t *)(const void *)from);
		break;
	default:
		memcpy(to, from, sizeof(struct ot_uuid));
		break;
	}
}

static bool
encode_array(struct encoder *to, const struct ot_msg_field *field, const uint8_t *object)
{
	const uint8_t *from = *(const uint8_t *const *)(const void *)(object + field->offset);
	int32_t count = *(const int32_t *)(const void *)(object + field->count_offset);
	OT_ASSERT(count >= -1);
	if (count < 0 && !ot_versions_have(field->nullable, to->version))
		return fail(to, OT_ERR_MALFORMED);
	if (!put_length(to, to->flexible && !field->inflexible, false, count))
		return false;
	size_t bytes = wire_value_bytes(field);
	if (count > 0 && field->kind < OT_FIELD_STRING) {
		uint8_t *place = extend(to, (size_t)count * bytes);
		for (size_t i = 0; place != NULL && i < (size_t)count; i++)
			put_fixed(field->kind, from + i * bytes, place + i * bytes);
		return place != NULL;
	}
	for (int32_t i = 0; i < count; i++, from += bytes) {
		bool ok = field->kind == OT_FIELD_STRUCT ? encode_struct(to, field->type, from)
		                                         : encode_view(to, field, from, false);
		if (!ok)
			return false;
	}
	return true;
}

static bool
encode_pointer(struct encoder *to, const struct ot_msg_field *field, bool tagged,
    const uint8_t *object)
{
	const uint8_t *target = *(const uint8_t *const *)(const void *)(object + field->offset);
	if (ot_versions_have(field->nullable, to->version)) {
		uint8_t *mark = extend(to, 1);
		if (mark == NULL)
			return false;
		*mark = target != NULL ? 1 : tagged ? 0 : 0xff;
		if (target == NULL)
			return true;
	}
	if (target == NULL)
		return fail(to, OT_ERR_MALFORMED);
	return encode_struct(to, field->type, target);
}

static bool
encode_field(struct encoder *to, const struct ot_msg_field *field, bool tagged,
    const uint8_t *object)
{
	if (field->is_array)
		return encode_array(to, field, object);
	if (field->by_pointer)
		return encode_pointer(to, field, tagged, object);
	const uint8_t *value = object + field->offset;
	if (field->kind == OT_FIELD_STRUCT)
		return encode_struct(to, field->type, value);
	if (field->kind >= OT_FIELD_STRING) {
		bool may_be_null = ot_versions_have(field->nullable, to->version);
		return encode_view(to, field, value, may_be_null);
	}
	uint8_t *place = extend(to, wire_value_bytes(field));
	if (place == NULL)
		return false;
	put_fixed(field->kind, value, place);
	return true;
}

static inline bool
is_written_as_tag(const struct encoder *to, const struct ot_msg_struct *type,
    const struct ot_msg_field *field, const uint8_t *object)
{
	return wire_field_is_tagged(field, to->version) &&
	       !wire_field_is_default(field, object, type->defaults);
}

/* Tag, size and value. The size is known afterwards: one byte is kept for it, and the value moves
 * in the rare case that the size takes more. */
static bool
encode_known_tag(struct encoder *to, const struct ot_msg_field *field, const uint8_t *object)
{
	OT_ASSERT(field->kind != OT_FIELD_RECORDS); /* splices would move with the value */
	if (!put_uvarint(to, (uint32_t)field->tag) || extend(to, 1) == NULL)
		return false;
	size_t start = to->out->bytes;
	if (!encode_field(to, field, true, object))
		return false;
	size_t bytes = to->out->bytes - start;
	if (bytes > INT32_MAX)
		return fail(to, OT_ERR_MALFORMED);
	size_t more = ot_uvarint_bytes((uint32_t)bytes) - 1;
	if (more > 0) {
		if (extend(to, more) == NULL)
			return false;
		memmove(to->out->data + start + more, to->out->data + start, bytes);
	}
	to->out->bytes = start - 1;
	put_uvarint(to, (uint32_t)bytes);
	to->out->bytes += bytes;
	return true;
}

/* Writes unknown tags from *next on that stand below `limit`. */
static bool
encode_unknown_tags(struct encoder *to, const struct ot_unknown_tags *unknown, int32_t *next,
    uint64_t limit)
{
	for (; unknown != NULL && *next < unknown->count; ++*next) {
		const struct ot_unknown_tag *item = &unknown->items[*next];
		if (item->tag >= limit)
			return true;
		if (!put_uvarint(to, item->tag) || !put_uvarint(to, (uint32_t)item->value.len))
			return false;
		uint8_t *place = extend(to, (size_t)item->value.len);
		if (place == NULL)
			return false;
		if (item->value.len > 0)
			memcpy(place, item->value.data, (size_t)item->value.len);
	}
	return true;
}

static bool
encode_tags(struct encoder *to, const struct ot_msg_struct *type, const uint8_t *object)
{
	const struct ot_unknown_tags *unknown = wire_unknown_tags(type, object);
	const struct ot_msg_field *end = type->fields;
	if (type->tagged_field_count > 0)
		end += type->field_count;
	uint32_t count = unknown != NULL ? (uint32_t)unknown->count : 0;
	for (const struct ot_msg_field *field = type->fields; field < end; field++)
		count += is_written_as_tag(to, type, field, object);
	if (!put_uvarint(to, count))
		return false;
	if (count == 0)
		return true;
	int32_t next = 0;
	for (const struct ot_msg_field *field = type->fields; field < end; field++) {
		if (!is_written_as_tag(to, type, field, object))
			continue;
		if (!encode_unknown_tags(to, unknown, &next, (uint64_t)field->tag) ||
		    !encode_known_tag(to, field, object))
			return false;
	}
	return encode_unknown_tags(to, unknown, &next, UINT64_MAX);
}

static bool
encode_struct(struct encoder *to, const struct ot_msg_struct *type, const uint8_t *object)
{
	const struct ot_msg_field *end = type->fields + type->field_count;
	for (const struct ot_msg_field *field = type->fields; field < end; field++)
		if (wire_field_is_plain(field, to->version) &&
		    !encode_field(to, field, false, object))
			return false;
	return !to->flexible || encode_tags(to, type, object);
}

ot_err
ot_msg_encode(const struct ot_msg *type, int16_t version, const void *msg, struct ot_writer *out,
    struct ot_splices *splices)
{
	if (!ot_versions_have(type->valid, version))
		return OT_ERR_UNSUPPORTED_VERSION;
	if (out->failed)
		return OT_ERR_NO_MEMORY;
	struct encoder encoder = {
		.out = out,
		.splices = splices,
		.version = version,
		.flexible = ot_versions_have(type->flexible, version),
	};
	size_t start = out->bytes;
	struct ot_splices before = splices != NULL ? *splices : (struct ot_splices){ 0 };
	if (encode_struct(&encoder, type->body, msg))
		return OT_OK;
	out->bytes = start;
	if (splices != NULL) {
		splices->count = before.count;
		splices->bytes_total = before.bytes_total;
	}
	return encoder.err;
}

static bool
is_array_default(const struct ot_msg_field *field, const uint8_t *object, const uint8_t *defaults)
{
	int32_t count, normal;
	memcpy(&count, object + field->count_offset, sizeof(count));
	memcpy(&normal, defaults + field->count_offset, sizeof(normal));
	return count == normal;
}

bool
wire_field_is_default(const struct ot_msg_field *field, const uint8_t *object,
    const uint8_t *defaults)
{
	/* No array, string or bytes has a default other than empty or null: comparing lengths is
	 * comparing values. */
	if (field->is_array)
		return is_array_default(field, object, defaults);
	const uint8_t *value = object + field->offset;
	const uint8_t *normal = defaults + field->offset;
	if (field->by_pointer)
		return *(const void *const *)(const void *)value == NULL;
	if (field->kind == OT_FIELD_STRUCT)
		return ot_msg_is_default(field->type, value);
	if (field->kind >= OT_FIELD_STRING)
		return ((const struct ot_bytes *)(const void *)value)->len ==
		       ((const struct ot_bytes *)(const void *)normal)->len;
	return memcmp(value, normal, wire_value_bytes(field)) == 0;
}

bool
ot_msg_is_default(const struct ot_msg_struct *type, const void *object)
{
	for (size_t i = 0; i < type->field_count; i++)
		if (!wire_field_is_default(&type->fields[i], object, type->defaults))
			return false;
	return wire_unknown_tags(type, object) == NULL;
}
