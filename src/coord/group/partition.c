/* Which partition a group belongs to: abs(String.hashCode()) % partitions, over the UTF-16 units
 * that Java makes of the UTF-8 on the wire. Where the bytes are not UTF-8 it makes U+FFFD of each
 * longest part that could have begun a character; so do we, lest a strange group id have two
 * coordinators. */
#include "coord/group/group_int.h"

enum { REPLACEMENT = 0xFFFD };

/* The code point at `data`, and how many bytes it took. */
static uint32_t
decode_one(const uint8_t *data, size_t bytes, size_t *ret_bytes)
{
	uint8_t first = data[0];
	*ret_bytes = 1;
	if (first < 0x80)
		return first;
	if (first < 0xC2 || first > 0xF4)
		return REPLACEMENT;

	size_t more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
	uint32_t point = first & (0x3Fu >> more);
	/* The second byte's range is what excludes overlong forms, surrogates and all above
	 * U+10FFFF. */
	uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
	for (size_t i = 1; i <= more; i++) {
		if (i >= bytes || data[i] < least || data[i] > most)
			return REPLACEMENT;
		point = point << 6 | (data[i] & 0x3F);
		least = 0x80;
		most = 0xBF;
		*ret_bytes = i + 1;
	}
	return point;
}

static void
hash_unit(uint32_t *hash, uint32_t unit)
{
	*hash = *hash * 31 + unit;
}

int32_t
ot_group_partition(struct ot_str group_id, int32_t partition_count)
{
	OT_ASSERT(partition_count > 0);
	const uint8_t *data = (const uint8_t *)group_id.data;
	size_t left = group_id.len > 0 ? (size_t)group_id.len : 0;
	uint32_t hash = 0;
	while (left > 0) {
		size_t taken = 0;
		uint32_t point = decode_one(data, left, &taken);
		if (point >= 0x10000) {
			hash_unit(&hash, 0xD800 + ((point - 0x10000) >> 10));
			hash_unit(&hash, 0xDC00 + ((point - 0x10000) & 0x3FF));
		} else {
			hash_unit(&hash, point);
		}
		data += taken;
		left -= taken;
	}
	/* Kafka's Utils.abs: the least integer, which has no positive twin, counts as 0. */
	int32_t number = (int32_t)hash;
	if (number < 0)
		number = number == INT32_MIN ? 0 : -number;
	return number % partition_count;
}

int32_t
group_utf16_length(struct ot_str str)
{
	const uint8_t *data = (const uint8_t *)str.data;
	size_t left = str.len > 0 ? (size_t)str.len : 0;
	int32_t length = 0;
	while (left > 0) {
		size_t taken = 0;
		length += decode_one(data, left, &taken) >= 0x10000 ? 2 : 1;
		data += taken;
		left -= taken;
	}
	return length;
}
