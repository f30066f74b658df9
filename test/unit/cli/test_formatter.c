#include "../test.h"

#include "cli/formatter_int.h"

static struct formatter *formatter;
static struct ot_writer out, logged;
static struct ot_why warning, why;

static const struct formatter_header two_headers[] = {
	{ "h1", { (const uint8_t *)"v1", 2 } },
	{ "h2", { NULL, -1 } },
};

static const struct formatter_record full = {
	.partition = 3,
	.offset = 42,
	.timestamp = 1700000000123,
	.time = FORMATTER_TIME_CREATE,
	.key = { (const uint8_t *)"key", 3 },
	.value = { (const uint8_t *)"value", 5 },
	.headers = two_headers,
	.header_count = 2,
};

static const struct formatter_record bare = {
	.timestamp = -1,
	.key = { NULL, -1 },
	.value = { NULL, -1 },
};

static int
set_up(void **state)
{
	(void)state;
	ot_writer_init(&out);
	ot_writer_init(&logged);
	warning.text[0] = why.text[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	formatter_destroy(formatter);
	formatter = NULL;
	ot_writer_fini(&out);
	ot_writer_fini(&logged);
	return 0;
}

/* Makes the formatter, in the place of the last one, of properties in the form of a file. */
static void
make(const char *class_name, const char *text)
{
	struct ot_properties props;
	formatter_destroy(formatter);
	ot_properties_init(&props, "test");
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	assert_ok(formatter_create(class_name, &props, &formatter, &warning, &why));
	ot_properties_fini(&props);
}

static ot_err
print(const struct formatter_record *record)
{
	ot_writer_reset(&out);
	ot_writer_reset(&logged);
	ot_err err = formatter_write(formatter, record, &out, &logged, &why);
	ot_write_i8(&out, 0);
	ot_write_i8(&logged, 0);
	return err;
}

static void
assert_printed(const struct formatter_record *record, const char *text)
{
	assert_ok(print(record));
	assert_string_equal((const char *)out.data, text);
}

/* Goal: without properties it is the value. Method: a value and null, by old and new names. */
static void
values(void **state)
{
	(void)state;
	make("org.apache.kafka.tools.consumer.DefaultMessageFormatter", "");
	assert_printed(&full, "value\n");
	assert_printed(&bare, "null\n");
	make("kafka.tools.DefaultMessageFormatter", "print.key=true");
	assert_printed(&full, "key\tvalue\n");
	assert_printed(&bare, "null\tnull\n");
}

/* Goal: all columns stand in Kafka's order. Method: all of them, with and without content. */
static void
all_columns(void **state)
{
	(void)state;
	make("DefaultMessageFormatter",
	    "print.timestamp=true\nprint.partition=true\nprint.offset=true\nprint.headers=true\n"
	    "print.key=true");
	assert_true(formatter_wants_headers(formatter));
	assert_printed(&full,
	    "CreateTime:1700000000123\tPartition:3\tOffset:42\th1:v1,h2:null\tkey\tvalue\n");
	assert_printed(&bare, "NO_TIMESTAMP\tPartition:0\tOffset:0\tNO_HEADERS\tnull\tnull\n");
	struct formatter_record appended = full;
	appended.time = FORMATTER_TIME_APPEND;
	assert_ok(print(&appended));
	assert_memory_equal(out.data, "LogAppendTime:1700000000123\t", 28);
}

/* Goal: the last column ends the line, whichever it is. Method: each column alone. */
static void
last_column(void **state)
{
	static const struct {
		const char *props, *text;
	} rows[] = {
		{ "print.timestamp=true", "CreateTime:1700000000123|" },
		{ "print.partition=true", "Partition:3|" },
		{ "print.offset=true", "Offset:42|" },
		{ "print.epoch=true", "Epoch:NONE|" },
		{ "print.delivery=true", "Delivery:NONE|" },
		{ "print.headers=true", "h1:v1,h2:null|" },
		{ "print.key=true", "key|" },
		{ "", "" },
	};
	(void)state;
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		char text[200];
		struct ot_text to = OT_TEXT(text);
		ot_text_put(&to, "print.value=false\nline.separator=|\n%s", rows[i].props);
		make("DefaultMessageFormatter", text);
		assert_printed(&full, rows[i].text);
	}
}

/* Goal: separators and the literal of null can be chosen. Method: all of them. */
static void
separators(void **state)
{
	(void)state;
	make("DefaultMessageFormatter",
	    "print.key=true\nprint.headers=true\nkey.separator=<>\nline.separator=\\r\\n\n"
	    "headers.separator=;\nnull.literal=~");
	assert_printed(&full, "h1:v1;h2:~<>key<>value\r\n");
}

/* Goal: fields go through their deserializers, nulls do not. Method: integers, and text that is
 * none. */
static void
deserializers(void **state)
{
	struct formatter_record record = full;
	(void)state;
	make("DefaultMessageFormatter",
	    "print.key=true\nkey.deserializer=org.apache.kafka.common.serialization."
	    "IntegerDeserializer");
	record.key = (struct ot_bytes){ (const uint8_t *)"\0\0\1\0", 4 };
	assert_printed(&record, "256\tvalue\n");
	record.key = OT_BYTES_NULL;
	assert_printed(&record, "null\tvalue\n");
	assert_int_equal(print(&full), OT_ERR_INVALID_RECORD);
	assert_string_equal(why.text, "Size of data received by IntegerDeserializer is not 4");
}

static void
unknown_deserializer(void **state)
{
	(void)state;
	make("DefaultMessageFormatter", "value.deserializer=com.example.Avro");
	assert_string_equal(warning.text,
	    "Unable to instantiate a deserializer from com.example.Avro");
	assert_printed(&full, "value\n");
}

static void
unknown_formatter(void **state)
{
	struct ot_properties props;
	(void)state;
	ot_properties_init(&props, "test");
	assert_int_equal(
	    formatter_create("com.example.Formatter", &props, &formatter, &warning, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_non_null(strstr(why.text, "com.example.Formatter"));
	ot_properties_fini(&props);
}

/* Goal: the others print what they are for. Method: each with the same records. */
static void
others(void **state)
{
	(void)state;
	make("NoOpMessageFormatter", "");
	assert_printed(&full, "");
	make("kafka.tools.LoggingMessageFormatter", "");
	assert_printed(&full, "value\n");
	assert_string_equal((const char *)logged.data,
	    "CreateTime:1700000000123, key:key, value:value");
	assert_printed(&bare, "null\n");
	assert_string_equal((const char *)logged.data, "key:null value:null");
}

/* Goal: the checksum is that of the record as a message of Kafka 0.10. Method: CRCs that were
 * worked out from the bytes of such messages by another program. */
static void
checksums(void **state)
{
	(void)state;
	make("kafka.tools.ChecksumMessageFormatter", "topic=t");
	assert_printed(&full, "t:checksum:3152971729\n");
	make("kafka.tools.ChecksumMessageFormatter", "");
	assert_printed(&bare, "checksum:2817288195\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values),
		TEST(all_columns),
		TEST(last_column),
		TEST(separators),
		TEST(deserializers),
		TEST(unknown_deserializer),
		TEST(unknown_formatter),
		TEST(others),
		TEST(checksums),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
