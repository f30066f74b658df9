/* What the three parts of the codec share: decode, encode, print. Folder-only. */
#ifndef OT_WIRE_CODEC_INT_H
#define OT_WIRE_CODEC_INT_H

#include <string.h>

#include "wire/codec.h"

/* Fixed-size numbers, inline: they are most of what a message holds. */
static inline uint16_t
wire_get_u16(const uint8_t *from)
{
	uint16_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap16(value);
}

static inline uint32_t
wire_get_u32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap32(value);
}

static inline uint64_t
wire_get_u64(const uint8_t *from)
{
	uint64_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap64(value);
}

static inline void
wire_put_u16(uint8_t *to, uint16_t value)
{
	value = __builtin_bswap16(value);
	memcpy(to, &value, sizeof(value));
}

static inline void
wire_put_u32(uint8_t *to, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(to, &value, sizeof(value));
}

static inline void
wire_put_u64(uint8_t *to, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(to, &value, sizeof(value));
}

/* Kafka's limit of a string, also where the length on the wire could say more. */
enum { WIRE_STRING_BYTES_MAX = INT16_MAX };

/* Bytes of one value in memory; a field holds it, an array many of them. */
static inline size_t
wire_value_bytes(const struct ot_msg_field *field)
{
	static const uint8_t bytes[] = {
		[OT_FIELD_BOOL] = sizeof(bool),
		[OT_FIELD_INT8] = 1,
		[OT_FIELD_INT16] = 2,
		[OT_FIELD_UINT16] = 2,
		[OT_FIELD_INT32] = 4,
		[OT_FIELD_UINT32] = 4,
		[OT_FIELD_INT64] = 8,
		[OT_FIELD_FLOAT64] = 8,
		[OT_FIELD_UUID] = sizeof(struct ot_uuid),
		[OT_FIELD_STRING] = sizeof(struct ot_str),
		[OT_FIELD_BYTES] = sizeof(struct ot_bytes),
		[OT_FIELD_RECORDS] = sizeof(struct ot_records),
	};
	return field->kind == OT_FIELD_STRUCT ? field->type->bytes : bytes[field->kind];
}

/* Whether the field stands among the plain ones, or among the tagged ones, at that version. */
static inline bool
wire_field_is_tagged(const struct ot_msg_field *field, int16_t version)
{
	return field->tag >= 0 && ot_versions_have(field->tagged, version);
}

static inline bool
wire_field_is_plain(const struct ot_msg_field *field, int16_t version)
{
	return ot_versions_have(field->present, version) && !wire_field_is_tagged(field, version);
}

/* The unknown tags of an object, NULL when there are none. */
static inline const struct ot_unknown_tags *
wire_unknown_tags(const struct ot_msg_struct *type, const void *object)
{
	if (type->unknown_tags_offset == OT_MSG_NO_TAGS)
		return NULL;
	return *(struct ot_unknown_tags *const *)(const void *)((const uint8_t *)object +
								type->unknown_tags_offset);
}

/* Whether one field equals its default. */
bool wire_field_is_default(const struct ot_msg_field *field, const uint8_t *object,
    const uint8_t *defaults);

#endif
