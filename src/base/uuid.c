#include "base/uuid.h"

#include <string.h>

const struct ot_uuid ot_uuid_zero = { { 0 } };

static const char uuid_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool
ot_uuid_is_zero(const struct ot_uuid *uuid)
{
	return ot_uuid_equal(uuid, &ot_uuid_zero);
}

bool
ot_uuid_equal(const struct ot_uuid *a, const struct ot_uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
ot_uuid_from_random(const uint8_t random[16], struct ot_uuid *ret_uuid)
{
	struct ot_uuid uuid;
	memcpy(uuid.bytes, random, sizeof(uuid.bytes));
	uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
	uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
	if (uuid_alphabet[uuid.bytes[0] >> 2] == '-')
		return false;
	*ret_uuid = uuid;
	return true;
}

void
ot_uuid_to_text(const struct ot_uuid *uuid, char ret_text[OT_UUID_TEXT_BYTES])
{
	/* 128 bits in groups of 6: 21 full groups and 2 bits that are padded with zeros. */
	for (size_t i = 0; i < 22; i++) {
		size_t bit = i * 6;
		uint32_t pair = (uint32_t)uuid->bytes[bit / 8] << 8;
		if (bit / 8 + 1 < sizeof(uuid->bytes))
			pair |= uuid->bytes[bit / 8 + 1];
		ret_text[i] = uuid_alphabet[(pair >> (10 - bit % 8)) & 0x3f];
	}
	ret_text[22] = '\0';
}

ot_err
ot_uuid_from_text(const char *text, size_t bytes, struct ot_uuid *ret_uuid)
{
	if (bytes != 22)
		return OT_ERR_INVALID_REQUEST;
	struct ot_uuid uuid = { { 0 } };
	for (size_t i = 0; i < bytes; i++) {
		const char *found = text[i] != '\0' ? strchr(uuid_alphabet, text[i]) : NULL;
		if (found == NULL)
			return OT_ERR_INVALID_REQUEST;
		uint32_t value = (uint32_t)(found - uuid_alphabet);
		size_t bit = i * 6;
		uint32_t pair = value << (10 - bit % 8);
		uuid.bytes[bit / 8] |= (uint8_t)(pair >> 8);
		if (bit / 8 + 1 < sizeof(uuid.bytes))
			uuid.bytes[bit / 8 + 1] |= (uint8_t)pair;
	}
	*ret_uuid = uuid;
	return OT_OK;
}
