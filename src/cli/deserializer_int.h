/* What Kafka's deserializers make of bytes, as the text that Java would print.
 *
 * The classes of org.apache.kafka.common.serialization: String, Integer, Long, Short, Float,
 * Double, Boolean, UUID, Void, Bytes, ByteBuffer, ByteArray. Of an array Java prints its address;
 * here it is the bytes themselves.
 *
 * @owner any thread   @blocks never
 */
#ifndef OT_CLI_DESERIALIZER_INT_H
#define OT_CLI_DESERIALIZER_INT_H

#include "base/bytes.h"
#include "base/text.h"

enum deserializer_kind {
	DESERIALIZER_NONE, /* the bytes as they are */
	DESERIALIZER_STRING,
	DESERIALIZER_INTEGER,
	DESERIALIZER_LONG,
	DESERIALIZER_SHORT,
	DESERIALIZER_FLOAT,
	DESERIALIZER_DOUBLE,
	DESERIALIZER_BOOLEAN,
	DESERIALIZER_UUID,
	DESERIALIZER_BYTES,
	DESERIALIZER_BYTE_BUFFER,
	DESERIALIZER_VOID,
};

/* By the last part of a class's name; false for one that is not there. */
bool deserializer_find(const char *class_name, enum deserializer_kind *ret_kind);

/* Appends the text of `bytes`, which is not null. OT_ERR_INVALID_RECORD with Kafka's message in
 * `why` for bytes that are no such value. */
ot_err deserializer_write(enum deserializer_kind kind, struct ot_bytes bytes, struct ot_writer *out,
    struct ot_why *why) OT_MUST_USE;

/* Appends a number as Java's Double.toString() and Float.toString() write it. */
void deserializer_put_double(struct ot_writer *out, double value);
void deserializer_put_float(struct ot_writer *out, float value);

#endif
