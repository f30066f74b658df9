/* Views of bytes, and the reader and writer of all binary formats (big-endian, as Kafka's).
 *
 * Reader and writer fail softly: after the first read past the end (or write that found no memory)
 * `failed` is set, reads give zeros and writes do nothing. Callers check once, at the end.
 *
 * Views, readers and writers are their user's alone, and nothing here waits.
 * @owner the object's   @blocks never
 */
#ifndef OT_BASE_BYTES_H
#define OT_BASE_BYTES_H

#include "base/err.h"
#include "base/uuid.h"

/* A view; the bytes are someone else's. len -1 is null, which differs from empty. */
struct ot_bytes {
	const uint8_t *data;
	int32_t len;
};

/* The same for text: UTF-8 without a NUL behind it. */
struct ot_str {
	const char *data;
	int32_t len;
};

#define OT_STR_NULL     ((struct ot_str){ NULL, -1 })
#define OT_STR_LIT(lit) ((struct ot_str){ (lit), (int32_t)sizeof(lit) - 1 })
#define OT_BYTES_NULL   ((struct ot_bytes){ NULL, -1 })

/* For printf's "%.*s": OT_STR_ARG(str). Null prints as nothing. */
#define OT_STR_ARG(str) ((str).len > 0 ? (str).len : 0), ((str).len > 0 ? (str).data : "")

struct ot_str ot_str_from(const char *text); /* NULL gives null; the text must outlive the view */
bool ot_str_equal(struct ot_str a, struct ot_str b);
int ot_str_compare(struct ot_str a, struct ot_str b); /* by bytes; null before all */
bool ot_str_is(struct ot_str str, const char *text);

struct ot_reader {
	const uint8_t *next;
	const uint8_t *end;
	bool failed;
};

static inline struct ot_reader
ot_reader_of(const void *data, size_t bytes)
{
	/* Nothing at NULL is a valid input, but C defines no sum with NULL. */
	const uint8_t *next = data;
	return (struct ot_reader){ .next = next, .end = bytes > 0 ? next + bytes : next };
}

static inline size_t
ot_reader_left(const struct ot_reader *in)
{
	return (size_t)(in->end - in->next);
}

/* The next `bytes` bytes in place, or NULL (and failed). */
const uint8_t *ot_read_raw(struct ot_reader *in, size_t bytes);
int8_t ot_read_i8(struct ot_reader *in);
int16_t ot_read_i16(struct ot_reader *in);
int32_t ot_read_i32(struct ot_reader *in);
int64_t ot_read_i64(struct ot_reader *in);
double ot_read_f64(struct ot_reader *in);
struct ot_uuid ot_read_uuid(struct ot_reader *in);
uint32_t ot_read_uvarint(struct ot_reader *in); /* at most 5 bytes; more fails */
int32_t ot_read_varint(struct ot_reader *in);   /* zigzag */
int64_t ot_read_varlong(struct ot_reader *in);  /* zigzag, at most 10 bytes */

struct ot_writer {
	uint8_t *data; /* heap, the writer's; ot_writer_fini() or ot_writer_take() ends it */
	size_t bytes;
	size_t capacity;
	bool failed;
};

void ot_writer_init(struct ot_writer *out);
void ot_writer_fini(struct ot_writer *out);
void ot_writer_reset(struct ot_writer *out); /* keeps the memory */

/* Makes room for `bytes` more; false (and failed) when there is no memory. */
bool ot_writer_reserve(struct ot_writer *out, size_t bytes);
void ot_write_raw(struct ot_writer *out, const void *data, size_t bytes);
void ot_write_i8(struct ot_writer *out, int8_t value);
void ot_write_i16(struct ot_writer *out, int16_t value);
void ot_write_i32(struct ot_writer *out, int32_t value);
void ot_write_i64(struct ot_writer *out, int64_t value);
void ot_write_f64(struct ot_writer *out, double value);
void ot_write_uuid(struct ot_writer *out, const struct ot_uuid *uuid);
void ot_write_uvarint(struct ot_writer *out, uint32_t value);
void ot_write_varint(struct ot_writer *out, int32_t value);
void ot_write_varlong(struct ot_writer *out, int64_t value);

/* Overwrites four bytes at `place`, which were written before: for lengths known afterwards. */
void ot_write_i32_at(struct ot_writer *out, size_t place, int32_t value);

/* Bytes that a varint or varlong of `value` takes. */
size_t ot_uvarint_bytes(uint32_t value);
size_t ot_varint_bytes(int32_t value);
size_t ot_varlong_bytes(int64_t value);

/* Fixed places of a header in memory. */
uint16_t ot_get_u16(const uint8_t *from);
uint32_t ot_get_u32(const uint8_t *from);
uint64_t ot_get_u64(const uint8_t *from);
void ot_put_u16(uint8_t *to, uint16_t value);
void ot_put_u32(uint8_t *to, uint32_t value);
void ot_put_u64(uint8_t *to, uint64_t value);

#endif
