#include "cli/deserializer_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *class_name;
	enum deserializer_kind kind;
	int32_t bytes; /* that a value has; 0: any number */
} rows[] = {
	{ "ByteArrayDeserializer", DESERIALIZER_NONE, 0 },
	{ "StringDeserializer", DESERIALIZER_STRING, 0 },
	{ "IntegerDeserializer", DESERIALIZER_INTEGER, 4 },
	{ "LongDeserializer", DESERIALIZER_LONG, 8 },
	{ "ShortDeserializer", DESERIALIZER_SHORT, 2 },
	{ "FloatDeserializer", DESERIALIZER_FLOAT, 4 },
	{ "DoubleDeserializer", DESERIALIZER_DOUBLE, 8 },
	{ "BooleanDeserializer", DESERIALIZER_BOOLEAN, 1 },
	{ "UUIDDeserializer", DESERIALIZER_UUID, 0 },
	{ "BytesDeserializer", DESERIALIZER_BYTES, 0 },
	{ "ByteBufferDeserializer", DESERIALIZER_BYTE_BUFFER, 0 },
	{ "VoidDeserializer", DESERIALIZER_VOID, 0 },
};

bool
deserializer_find(const char *class_name, enum deserializer_kind *ret_kind)
{
	const char *dot = strrchr(class_name, '.');
	const char *last = dot != NULL ? dot + 1 : class_name;
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (strcmp(last, rows[i].class_name) == 0) {
			*ret_kind = rows[i].kind;
			return true;
		}
	}
	return false;
}

static void
put_text(struct ot_writer *out, const char *text)
{
	ot_write_raw(out, text, strlen(text));
}

static void
put_number(struct ot_writer *out, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	put_text(out, text);
}

/* Puts the point where Java has it: 0.001 to 10^7 in plain form, else one digit before it. `digits`
 * is "d.ddde+XX" with as few digits as tell the number from its neighbours. */
static void
put_java_form(struct ot_writer *out, const char *digits)
{
	char all[32], text[64];
	size_t count = 0;
	if (*digits == '-') {
		ot_write_i8(out, '-');
		digits++;
	}
	const char *exponent_at = strchr(digits, 'e');
	for (const char *at = digits; at < exponent_at; at++) {
		if (*at != '.')
			all[count++] = *at;
	}
	all[count] = '\0';
	long exponent = strtol(exponent_at + 1, NULL, 10);
	if (exponent < -3 || exponent >= 7)
		snprintf(text, sizeof(text), "%c.%sE%ld", all[0], count > 1 ? all + 1 : "0",
		    exponent);
	else if (exponent < 0)
		snprintf(text, sizeof(text), "0.%.*s%s", (int)(-exponent - 1), "00", all);
	else if ((size_t)exponent + 1 >= count)
		snprintf(text, sizeof(text), "%s%.*s.0", all, (int)((size_t)exponent + 1 - count),
		    "0000000");
	else
		snprintf(text, sizeof(text), "%.*s.%s", (int)exponent + 1, all, all + exponent + 1);
	put_text(out, text);
}

static bool
put_special(struct ot_writer *out, double value)
{
	if (isnan(value))
		put_text(out, "NaN");
	else if (isinf(value))
		put_text(out, value < 0 ? "-Infinity" : "Infinity");
	else if (value == 0)
		put_text(out, signbit(value) ? "-0.0" : "0.0");
	else
		return false;
	return true;
}

/* Two digits at least, and as few as tell a number from its neighbours. Digits behind the last that
 * is not 0 say nothing. */
static void
drop_zeros(char *digits)
{
	char *exponent = strchr(digits, 'e');
	char *end = exponent;
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	memmove(end, exponent, strlen(exponent) + 1);
}

void
deserializer_put_double(struct ot_writer *out, double value)
{
	char digits[40];
	if (put_special(out, value))
		return;
	for (int precision = 1; precision <= 16; precision++) {
		snprintf(digits, sizeof(digits), "%.*e", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	drop_zeros(digits);
	put_java_form(out, digits);
}

void
deserializer_put_float(struct ot_writer *out, float value)
{
	char digits[40];
	if (put_special(out, (double)value))
		return;
	for (int precision = 1; precision <= 8; precision++) {
		snprintf(digits, sizeof(digits), "%.*e", precision, (double)value);
		if (strtof(digits, NULL) == value)
			break;
	}
	drop_zeros(digits);
	put_java_form(out, digits);
}

/* Bytes.toString(): signs as they are, backslash and all else as \xNN, without the two quotes. */
static void
write_bytes(struct ot_bytes bytes, struct ot_writer *out)
{
	for (int32_t i = 0; i < bytes.len; i++) {
		uint8_t byte = bytes.data[i];
		if (byte >= ' ' && byte <= '~' && byte != '\\') {
			ot_write_i8(out, (int8_t)byte);
			continue;
		}
		char text[8];
		snprintf(text, sizeof(text), "\\x%02X", (unsigned)byte);
		put_text(out, text);
	}
}

/* UUID.fromString(): five groups of hexadecimal digits, printed in full length. */
static ot_err
write_uuid(struct ot_bytes bytes, struct ot_writer *out, struct ot_why *why)
{
	static const int widths[] = { 8, 4, 4, 4, 12 };
	char text[40], canonical[40];
	struct ot_text to = OT_TEXT(canonical);
	char *at = text;
	bool is_valid = bytes.len < (int32_t)sizeof(text);
	if (is_valid) {
		memcpy(text, bytes.data, (size_t)bytes.len);
		text[bytes.len] = '\0';
	}
	for (size_t i = 0; i < OT_ARRAY_COUNT(widths) && is_valid; i++) {
		size_t digits = strspn(at, "0123456789abcdefABCDEF");
		char end = i + 1 < OT_ARRAY_COUNT(widths) ? '-' : '\0';
		is_valid = digits > 0 && digits <= (size_t)widths[i] && at[digits] == end;
		if (is_valid)
			ot_text_put(&to, "%s%0*llx", i > 0 ? "-" : "", widths[i],
			    strtoull(at, NULL, 16));
		at += digits + 1;
	}
	if (!is_valid) {
		ot_why_set(why, "Error parsing data into UUID");
		return OT_ERR_INVALID_RECORD;
	}
	put_text(out, canonical);
	return OT_OK;
}

static ot_err
check_size(enum deserializer_kind kind, struct ot_bytes bytes, struct ot_why *why)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (rows[i].kind != kind || rows[i].bytes == 0 || rows[i].bytes == bytes.len)
			continue;
		ot_why_set(why, "Size of data received by %s is not %d", rows[i].class_name,
		    rows[i].bytes);
		return OT_ERR_INVALID_RECORD;
	}
	return OT_OK;
}

static ot_err
write_boolean(struct ot_bytes bytes, struct ot_writer *out, struct ot_why *why)
{
	if (bytes.data[0] > 1) {
		ot_why_set(why, "Unexpected byte received by BooleanDeserializer: %d",
		    (int8_t)bytes.data[0]);
		return OT_ERR_INVALID_RECORD;
	}
	put_text(out, bytes.data[0] == 1 ? "true" : "false");
	return OT_OK;
}

ot_err
deserializer_write(enum deserializer_kind kind, struct ot_bytes bytes, struct ot_writer *out,
    struct ot_why *why)
{
	struct ot_reader in = ot_reader_of(bytes.data, (size_t)bytes.len);
	ot_err err = check_size(kind, bytes, why);
	if (err != OT_OK)
		return err;
	switch (kind) {
	case DESERIALIZER_NONE:
	case DESERIALIZER_STRING:
		ot_write_raw(out, bytes.data, (size_t)bytes.len);
		break;
	case DESERIALIZER_INTEGER:
		put_number(out, ot_read_i32(&in));
		break;
	case DESERIALIZER_LONG:
		put_number(out, ot_read_i64(&in));
		break;
	case DESERIALIZER_SHORT:
		put_number(out, ot_read_i16(&in));
		break;
	case DESERIALIZER_FLOAT: {
		int32_t raw = ot_read_i32(&in);
		float value;
		memcpy(&value, &raw, sizeof(value));
		deserializer_put_float(out, value);
		break;
	}
	case DESERIALIZER_DOUBLE:
		deserializer_put_double(out, ot_read_f64(&in));
		break;
	case DESERIALIZER_BOOLEAN:
		return write_boolean(bytes, out, why);
	case DESERIALIZER_UUID:
		return write_uuid(bytes, out, why);
	case DESERIALIZER_BYTES:
		write_bytes(bytes, out);
		break;
	case DESERIALIZER_BYTE_BUFFER: {
		char text[80];
		snprintf(text, sizeof(text), "java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]",
		    bytes.len, bytes.len);
		put_text(out, text);
		break;
	}
	case DESERIALIZER_VOID:
		ot_why_set(why, "Data should be null for a VoidDeserializer.");
		return OT_ERR_INVALID_RECORD;
	}
	return out->failed ? OT_ERR_NO_MEMORY : OT_OK;
}
