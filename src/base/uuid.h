/* Kafka's 128-bit ids: topic ids, directory ids, cluster ids. As text: 22 characters of URL-safe
 * base64 without padding (RFC 4648, section 5). */
#ifndef OT_BASE_UUID_H
#define OT_BASE_UUID_H

#include "base/err.h"

enum { OT_UUID_TEXT_BYTES = 23 }; /* with the NUL */

struct ot_uuid {
	uint8_t bytes[16];
};

extern const struct ot_uuid ot_uuid_zero;

/* @owner any thread */
bool ot_uuid_is_zero(const struct ot_uuid *uuid);
bool ot_uuid_equal(const struct ot_uuid *a, const struct ot_uuid *b);

/* Makes an RFC 4122 version 4 id of 16 random bytes. Kafka refuses ids whose text starts with '-',
 * since tools take them for flags: false then, draw again. @owner any thread */
bool ot_uuid_from_random(const uint8_t random[16], struct ot_uuid *ret_uuid) OT_MUST_USE;

/* @owner any thread */
void ot_uuid_to_text(const struct ot_uuid *uuid, char ret_text[OT_UUID_TEXT_BYTES]);

/* OT_ERR_INVALID_REQUEST when the text is not 22 characters of the alphabet. @owner any thread */
ot_err ot_uuid_from_text(const char *text, size_t bytes, struct ot_uuid *ret_uuid) OT_MUST_USE;

#endif
