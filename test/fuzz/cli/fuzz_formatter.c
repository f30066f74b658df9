/* Goal: no record makes a formatter or a deserializer leave its input, whatever it claims to be.
 * Method: the first byte chooses the formatter, the second the deserializers, two more how long the
 * key is; the rest is key and value. What was printed whole ends in the end of a line, and prints
 * the same again. */
#include <string.h>

#include "base/panic.h"
#include "cli/formatter_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const formatters[] = {
	"DefaultMessageFormatter",
	"LoggingMessageFormatter",
	"ChecksumMessageFormatter",
	"OffsetsMessageFormatter",
	"GroupMetadataMessageFormatter",
	"ConsumerGroupMessageFormatter",
	"ShareGroupMessageFormatter",
	"TransactionLogMessageFormatter",
	"ShareGroupStateMessageFormatter",
	"kafka.OffsetsMessageFormatter",
	"kafka.GroupMetadataMessageFormatter",
	"kafka.TransactionLogMessageFormatter",
};

static const char *const deserializers[] = { "String", "Integer", "Long", "Short", "Float",
	"Double", "Boolean", "UUID", "Bytes", "ByteBuffer", "Void", "ByteArray" };

static void
put_deserializer(struct ot_properties *props, const char *name, unsigned choice)
{
	char text[80];
	struct ot_text value = OT_TEXT(text);
	ot_text_put(&value, "%sDeserializer",
	    deserializers[choice % OT_ARRAY_COUNT(deserializers)]);
	OT_ASSERT(ot_properties_put(props, ot_str_from(name), ot_str_from(text), 0) == OT_OK);
}

static ot_err
print(struct formatter *formatter, const struct formatter_record *record, struct ot_writer *out)
{
	struct ot_writer log;
	struct ot_why why = { "" };
	ot_writer_init(&log);
	ot_err err = formatter_write(formatter, record, out, &log, &why);
	OT_ASSERT(err == OT_OK || (err == OT_ERR_INVALID_RECORD && why.text[0] != '\0'));
	ot_writer_fini(&log);
	return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 4 || bytes > 16 * (size_t)OT_KIB)
		return 0;
	struct ot_properties props;
	struct ot_why why = { "" };
	struct formatter *formatter = NULL;
	ot_properties_init(&props, "fuzz");
	put_deserializer(&props, "key.deserializer", data[1] % 16u);
	put_deserializer(&props, "value.deserializer", data[1] / 16u);
	OT_ASSERT(
	    ot_properties_put(&props, OT_STR_LIT("print.key"), OT_STR_LIT("true"), 0) == OT_OK);
	OT_ASSERT(formatter_create(formatters[data[0] % OT_ARRAY_COUNT(formatters)], &props,
		      &formatter, &why, &why) == OT_OK);
	int32_t rest = (int32_t)bytes - 4;
	int32_t key_bytes = OT_MIN((int32_t)ot_get_u16(data + 2), rest);
	struct formatter_record record = {
		.key = { data + 4, key_bytes },
		.value = { data + 4 + key_bytes, rest - key_bytes },
	};
	if (rest == key_bytes)
		record.value = OT_BYTES_NULL;
	struct ot_writer once, again;
	ot_writer_init(&once);
	ot_writer_init(&again);
	if (print(formatter, &record, &once) == OT_OK) {
		OT_ASSERT(once.bytes == 0 || once.data[once.bytes - 1] == '\n');
		OT_ASSERT(print(formatter, &record, &again) == OT_OK);
		OT_ASSERT(once.bytes == again.bytes);
		OT_ASSERT(once.bytes == 0 || memcmp(once.data, again.data, once.bytes) == 0);
	}
	ot_writer_fini(&once);
	ot_writer_fini(&again);
	formatter_destroy(formatter);
	ot_properties_fini(&props);
	return 0;
}
