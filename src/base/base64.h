/* Base64 of RFC 4648, with padding. @owner any thread   @blocks never */
#ifndef OT_BASE_BASE64_H
#define OT_BASE_BASE64_H

#include "base/bytes.h"

/* Bytes that `bytes` take when written. */
#define OT_BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4)

/* Appends the bytes as text. */
void ot_base64_write(struct ot_writer *out, const void *data, size_t bytes);

/* Reads text into `to`, which has room for text.len / 4 * 3 bytes. False when it is not base64 with
 * its padding; `to` is undefined then. */
OT_MUST_USE bool ot_base64_read(struct ot_str text, uint8_t *to, size_t *ret_bytes);

#endif
