#include "base/bytes.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { WRITER_CAPACITY_MIN = 256 };

struct ot_str
ot_str_from(const char *text)
{
	if (text == NULL)
		return OT_STR_NULL;
	size_t length = strlen(text);
	OT_ASSERT(length <= INT32_MAX);
	return (struct ot_str){ text, (int32_t)length };
}

bool
ot_str_equal(struct ot_str a, struct ot_str b)
{
	return ot_str_compare(a, b) == 0;
}

int
ot_str_compare(struct ot_str a, struct ot_str b)
{
	int32_t shared = OT_MIN(a.len, b.len);
	int order = shared > 0 ? memcmp(a.data, b.data, (size_t)shared) : 0;
	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool
ot_str_is(struct ot_str str, const char *text)
{
	return ot_str_equal(str, ot_str_from(text));
}

uint16_t
ot_get_u16(const uint8_t *from)
{
	uint16_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap16(value);
}

uint32_t
ot_get_u32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap32(value);
}

uint64_t
ot_get_u64(const uint8_t *from)
{
	uint64_t value;
	memcpy(&value, from, sizeof(value));
	return __builtin_bswap64(value);
}

void
ot_put_u16(uint8_t *to, uint16_t value)
{
	value = __builtin_bswap16(value);
	memcpy(to, &value, sizeof(value));
}

void
ot_put_u32(uint8_t *to, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(to, &value, sizeof(value));
}

void
ot_put_u64(uint8_t *to, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(to, &value, sizeof(value));
}

const uint8_t *
ot_read_raw(struct ot_reader *in, size_t bytes)
{
	if (OT_UNLIKELY(in->failed || ot_reader_left(in) < bytes)) {
		in->failed = true;
		in->next = in->end;
		return NULL;
	}
	const uint8_t *place = in->next;
	in->next += bytes;
	return place;
}

int8_t
ot_read_i8(struct ot_reader *in)
{
	const uint8_t *place = ot_read_raw(in, 1);
	return place != NULL ? (int8_t)*place : 0;
}

int16_t
ot_read_i16(struct ot_reader *in)
{
	const uint8_t *place = ot_read_raw(in, 2);
	return place != NULL ? (int16_t)ot_get_u16(place) : 0;
}

int32_t
ot_read_i32(struct ot_reader *in)
{
	const uint8_t *place = ot_read_raw(in, 4);
	return place != NULL ? (int32_t)ot_get_u32(place) : 0;
}

int64_t
ot_read_i64(struct ot_reader *in)
{
	const uint8_t *place = ot_read_raw(in, 8);
	return place != NULL ? (int64_t)ot_get_u64(place) : 0;
}

double
ot_read_f64(struct ot_reader *in)
{
	uint64_t bits = (uint64_t)ot_read_i64(in);
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

struct ot_uuid
ot_read_uuid(struct ot_reader *in)
{
	struct ot_uuid uuid = ot_uuid_zero;
	const uint8_t *place = ot_read_raw(in, sizeof(uuid.bytes));
	if (place != NULL)
		memcpy(uuid.bytes, place, sizeof(uuid.bytes));
	return uuid;
}

/* Reads a base-128 number of at most `bits` bits, least significant group first. */
static uint64_t
read_base128(struct ot_reader *in, unsigned bits)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < bits; shift += 7) {
		uint8_t byte = (uint8_t)ot_read_i8(in);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	in->failed = true;
	in->next = in->end;
	return 0;
}

uint32_t
ot_read_uvarint(struct ot_reader *in)
{
	return (uint32_t)read_base128(in, 32);
}

int32_t
ot_read_varint(struct ot_reader *in)
{
	uint32_t value = ot_read_uvarint(in);
	return (int32_t)((value >> 1) ^ (0u - (value & 1)));
}

int64_t
ot_read_varlong(struct ot_reader *in)
{
	uint64_t value = read_base128(in, 64);
	return (int64_t)((value >> 1) ^ (0ull - (value & 1)));
}

void
ot_writer_init(struct ot_writer *out)
{
	*out = (struct ot_writer){ 0 };
}

void
ot_writer_fini(struct ot_writer *out)
{
	ot_free(out->data);
	*out = (struct ot_writer){ 0 };
}

void
ot_writer_reset(struct ot_writer *out)
{
	out->bytes = 0;
	out->failed = false;
}

bool
ot_writer_reserve(struct ot_writer *out, size_t bytes)
{
	if (OT_UNLIKELY(out->failed))
		return false;
	if (OT_LIKELY(out->capacity - out->bytes >= bytes))
		return true;
	size_t wanted = OT_MAX(out->bytes + bytes, out->capacity * 2);
	wanted = OT_MAX(wanted, (size_t)WRITER_CAPACITY_MIN);
	uint8_t *data = ot_realloc(out->data, wanted);
	if (data == NULL) {
		out->failed = true;
		return false;
	}
	out->data = data;
	out->capacity = wanted;
	return true;
}

/* Room for `bytes` bytes at the end, counted as written; NULL when there is none. */
static uint8_t *
extend(struct ot_writer *out, size_t bytes)
{
	if (!ot_writer_reserve(out, bytes))
		return NULL;
	uint8_t *place = out->data + out->bytes;
	out->bytes += bytes;
	return place;
}

void
ot_write_raw(struct ot_writer *out, const void *data, size_t bytes)
{
	if (bytes == 0)
		return;
	uint8_t *place = extend(out, bytes);
	if (place != NULL)
		memcpy(place, data, bytes);
}

void
ot_write_i8(struct ot_writer *out, int8_t value)
{
	ot_write_raw(out, &value, 1);
}

void
ot_write_i16(struct ot_writer *out, int16_t value)
{
	uint8_t *place = extend(out, 2);
	if (place != NULL)
		ot_put_u16(place, (uint16_t)value);
}

void
ot_write_i32(struct ot_writer *out, int32_t value)
{
	uint8_t *place = extend(out, 4);
	if (place != NULL)
		ot_put_u32(place, (uint32_t)value);
}

void
ot_write_i64(struct ot_writer *out, int64_t value)
{
	uint8_t *place = extend(out, 8);
	if (place != NULL)
		ot_put_u64(place, (uint64_t)value);
}

void
ot_write_f64(struct ot_writer *out, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	ot_write_i64(out, (int64_t)bits);
}

void
ot_write_uuid(struct ot_writer *out, const struct ot_uuid *uuid)
{
	ot_write_raw(out, uuid->bytes, sizeof(uuid->bytes));
}

static void
write_base128(struct ot_writer *out, uint64_t value)
{
	uint8_t text[10];
	size_t count = 0;
	do {
		text[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value != 0);
	ot_write_raw(out, text, count);
}

static uint32_t
zigzag32(int32_t value)
{
	return ((uint32_t)value << 1) ^ (uint32_t)(value >> 31);
}

static uint64_t
zigzag64(int64_t value)
{
	return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

void
ot_write_uvarint(struct ot_writer *out, uint32_t value)
{
	write_base128(out, value);
}

void
ot_write_varint(struct ot_writer *out, int32_t value)
{
	write_base128(out, zigzag32(value));
}

void
ot_write_varlong(struct ot_writer *out, int64_t value)
{
	write_base128(out, zigzag64(value));
}

void
ot_write_i32_at(struct ot_writer *out, size_t place, int32_t value)
{
	if (out->failed)
		return;
	OT_ASSERT(place + 4 <= out->bytes);
	ot_put_u32(out->data + place, (uint32_t)value);
}

static size_t
base128_bytes(uint64_t value)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
	return (bits + 6) / 7;
}

size_t
ot_uvarint_bytes(uint32_t value)
{
	return base128_bytes(value);
}

size_t
ot_varint_bytes(int32_t value)
{
	return base128_bytes(zigzag32(value));
}

size_t
ot_varlong_bytes(int64_t value)
{
	return base128_bytes(zigzag64(value));
}
