/* Printing a message as JSON, for kafka-dump-log, tests and people. */
#include "wire/codec_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct printer {
	struct ot_writer *out;
	int16_t version;
};

static void print_struct(struct printer *to, const struct ot_msg_struct *type,
    const uint8_t *object);

static void
put_text(struct printer *to, const char *text)
{
	ot_write_raw(to->out, text, strlen(text));
}

static void
put_number(struct printer *to, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	put_text(to, text);
}

static void
put_double(struct printer *to, double value)
{
	char text[40];
	snprintf(text, sizeof(text), isfinite(value) ? "%.17g" : "\"%g\"", value);
	put_text(to, text);
	if (isfinite(value) && strpbrk(text, ".e") == NULL)
		put_text(to, ".0"); /* a reader must see that it is not an integer */
}

/* Bytes of the UTF-8 character at `text`, 0 when it is none (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t
utf8_bytes(const uint8_t *text, size_t left)
{
	if (text[0] < 0x80)
		return 1;
	size_t bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] < 0xc2 || text[0] > 0xf4 || left < bytes)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool is_overlong =
	    (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool is_surrogate = text[0] == 0xed && text[1] >= 0xa0;
	bool is_too_large = text[0] == 0xf4 && text[1] >= 0x90;
	return is_overlong || is_surrogate || is_too_large ? 0 : bytes;
}

static void
put_control(struct printer *to, uint8_t character)
{
	char text[8];
	snprintf(text, sizeof(text), "\\u%04x", character);
	put_text(to, text);
}

static void
put_string(struct printer *to, struct ot_str str)
{
	const uint8_t *text = (const uint8_t *)str.data;
	size_t left = (size_t)str.len;
	ot_write_i8(to->out, '"');
	while (left > 0) {
		size_t bytes = utf8_bytes(text, left);
		if (bytes == 0) {
			put_text(to, "\xef\xbf\xbd");
			bytes = 1;
		} else if (*text < 0x20) {
			put_control(to, *text);
		} else {
			if (*text == '"' || *text == '\\')
				ot_write_i8(to->out, '\\');
			ot_write_raw(to->out, text, bytes);
		}
		text += bytes;
		left -= bytes;
	}
	ot_write_i8(to->out, '"');
}

static void
put_base64(struct printer *to, struct ot_bytes bytes)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	ot_write_i8(to->out, '"');
	for (int32_t i = 0; i < bytes.len; i += 3) {
		int32_t rest = bytes.len - i;
		uint32_t group = (uint32_t)bytes.data[i] << 16;
		group |= rest > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
		group |= rest > 2 ? bytes.data[i + 2] : 0;
		char text[4] = { digits[group >> 18], digits[group >> 12 & 63],
			rest > 1 ? digits[group >> 6 & 63] : '=',
			rest > 2 ? digits[group & 63] : '=' };
		ot_write_raw(to->out, text, sizeof(text));
	}
	ot_write_i8(to->out, '"');
}

static void
print_view(struct printer *to, unsigned kind, const uint8_t *value)
{
	const struct ot_records *records = (const void *)value;
	if (records->len < 0)
		put_text(to, "null");
	else if (kind == OT_FIELD_STRING)
		put_string(to, *(const struct ot_str *)(const void *)value);
	else if (kind == OT_FIELD_RECORDS && records->source != NULL)
		put_number(to, records->len);
	else
		put_base64(to, (struct ot_bytes){ records->data, records->len });
}

static void
print_uuid(struct printer *to, const uint8_t *value)
{
	char text[OT_UUID_TEXT_BYTES];
	ot_uuid_to_text((const void *)value, text);
	ot_write_i8(to->out, '"');
	put_text(to, text);
	ot_write_i8(to->out, '"');
}

static void
print_value(struct printer *to, const struct ot_msg_field *field, const uint8_t *value)
{
	const void *from = value;
	switch ((enum ot_field_kind)field->kind) {
	case OT_FIELD_BOOL:
		put_text(to, *(const bool *)from ? "true" : "false");
		break;
	case OT_FIELD_INT8:
		put_number(to, *(const int8_t *)from);
		break;
	case OT_FIELD_INT16:
		put_number(to, *(const int16_t *)from);
		break;
	case OT_FIELD_UINT16:
		put_number(to, *(const uint16_t *)from);
		break;
	case OT_FIELD_INT32:
		put_number(to, *(const int32_t *)from);
		break;
	case OT_FIELD_UINT32:
		put_number(to, *(const uint32_t *)from);
		break;
	case OT_FIELD_INT64:
		put_number(to, *(const int64_t *)from);
		break;
	case OT_FIELD_FLOAT64:
		put_double(to, *(const double *)from);
		break;
	case OT_FIELD_UUID:
		print_uuid(to, value);
		break;
	case OT_FIELD_STRING:
	case OT_FIELD_BYTES:
	case OT_FIELD_RECORDS:
		print_view(to, field->kind, value);
		break;
	case OT_FIELD_STRUCT:
		print_struct(to, field->type, value);
		break;
	}
}

static void
print_array(struct printer *to, const struct ot_msg_field *field, const uint8_t *object)
{
	const uint8_t *element = *(const uint8_t *const *)(const void *)(object + field->offset);
	int32_t count = *(const int32_t *)(const void *)(object + field->count_offset);
	if (count < 0) {
		put_text(to, "null");
		return;
	}
	ot_write_i8(to->out, '[');
	for (int32_t i = 0; i < count; i++, element += wire_value_bytes(field)) {
		if (i > 0)
			ot_write_i8(to->out, ',');
		print_value(to, field, element);
	}
	ot_write_i8(to->out, ']');
}

static void
print_field(struct printer *to, const struct ot_msg_field *field, const uint8_t *object)
{
	const uint8_t *value = object + field->offset;
	if (field->is_array) {
		print_array(to, field, object);
		return;
	}
	if (field->by_pointer) {
		value = *(const uint8_t *const *)(const void *)value;
		if (value == NULL) {
			put_text(to, "null");
			return;
		}
	}
	print_value(to, field, value);
}

/* "TopicData" goes out as "topicData". */
static void
put_name(struct printer *to, const char *name)
{
	char first = name[0] >= 'A' && name[0] <= 'Z' ? (char)(name[0] - 'A' + 'a') : name[0];
	char start[2] = { '"', first };
	ot_write_raw(to->out, start, sizeof(start));
	put_text(to, name + 1);
	put_text(to, "\":");
}

static void
print_struct(struct printer *to, const struct ot_msg_struct *type, const uint8_t *object)
{
	bool is_first = true;
	ot_write_i8(to->out, '{');
	for (size_t i = 0; i < type->field_count; i++) {
		const struct ot_msg_field *field = &type->fields[i];
		if (!ot_versions_have(field->present, to->version))
			continue;
		if (wire_field_is_tagged(field, to->version) &&
		    wire_field_is_default(field, object, type->defaults))
			continue;
		if (!is_first)
			ot_write_i8(to->out, ',');
		is_first = false;
		put_name(to, field->name);
		print_field(to, field, object);
	}
	ot_write_i8(to->out, '}');
}

ot_err
ot_msg_print(const struct ot_msg *type, int16_t version, const void *msg, struct ot_writer *out)
{
	if (!ot_versions_have(type->valid, version))
		return OT_ERR_UNSUPPORTED_VERSION;
	struct printer printer = { out, version };
	print_struct(&printer, type->body, msg);
	return out->failed ? OT_ERR_NO_MEMORY : OT_OK;
}
