#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
ot_base64_write(struct ot_writer *out, const void *data, size_t bytes)
{
	const uint8_t *from = data;
	uint8_t *to;

	if (!ot_writer_reserve(out, OT_BASE64_BYTES(bytes)))
		return;
	to = out->data + out->bytes;
	out->bytes += OT_BASE64_BYTES(bytes);
	for (; bytes > 0; from += 3, to += 4) {
		uint32_t group = (uint32_t)from[0] << 16;

		group |= bytes > 1 ? (uint32_t)from[1] << 8 : 0;
		group |= bytes > 2 ? from[2] : 0;
		to[0] = (uint8_t)digits[group >> 18];
		to[1] = (uint8_t)digits[group >> 12 & 63];
		to[2] = (uint8_t)(bytes > 1 ? digits[group >> 6 & 63] : '=');
		to[3] = (uint8_t)(bytes > 2 ? digits[group & 63] : '=');
		bytes -= OT_MIN(bytes, (size_t)3);
	}
}

/* The value of a digit; 64 and above for what is none. */
static uint32_t
value_of(char digit)
{
	if (digit >= 'A' && digit <= 'Z')
		return (uint32_t)(digit - 'A');
	if (digit >= 'a' && digit <= 'z')
		return (uint32_t)(digit - 'a') + 26;
	if (digit >= '0' && digit <= '9')
		return (uint32_t)(digit - '0') + 52;
	if (digit == '+')
		return 62;
	return digit == '/' ? 63 : 64;
}

bool
ot_base64_read(struct ot_str text, uint8_t *to, size_t *ret_bytes)
{
	size_t bytes = 0;

	if (text.len < 0 || text.len % 4 != 0)
		return false;
	for (int32_t i = 0; i < text.len; i += 4) {
		const char *from = text.data + i;
		bool is_last = i + 4 == text.len;
		int pad = !is_last || from[3] != '=' ? 0 : from[2] != '=' ? 1 : 2;
		uint32_t a = value_of(from[0]), b = value_of(from[1]);
		uint32_t c = pad > 1 ? 0 : value_of(from[2]), d = pad > 0 ? 0 : value_of(from[3]);
		uint32_t group = a << 18 | b << 12 | c << 6 | d;

		if ((a | b | c | d) > 63)
			return false;
		/* Bits that no byte takes are zero: one text for each content. */
		if ((pad == 1 && (group & 0xff) != 0) || (pad == 2 && (group & 0xffff) != 0))
			return false;
		to[bytes++] = (uint8_t)(group >> 16);
		if (pad < 2)
			to[bytes++] = (uint8_t)(group >> 8);
		if (pad < 1)
			to[bytes++] = (uint8_t)group;
	}
	*ret_bytes = bytes;
	return true;
}
