/* Golden bytes as text. */
#ifndef OT_TEST_RECORD_HEX_H
#define OT_TEST_RECORD_HEX_H

#include "base/defs.h"

static inline uint8_t
hex_digit(char digit)
{
	assert_true((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'));
	return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* Writes the bytes to `to`, which has room for `capacity`; gives their number. */
static inline size_t
from_hex(const char *hex, uint8_t *to, size_t capacity)
{
	size_t count = strlen(hex) / 2;
	assert_true(count <= capacity);
	for (size_t i = 0; i < count; i++)
		to[i] = (uint8_t)(hex_digit(hex[2 * i]) * 16 + hex_digit(hex[2 * i + 1]));
	return count;
}

#endif
