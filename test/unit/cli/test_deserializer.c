#include "../test.h"

#include <math.h>

#include "cli/deserializer_int.h"

static struct ot_writer out;
static struct ot_why why;

static int
set_up(void **state)
{
	(void)state;
	ot_writer_init(&out);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_writer_fini(&out);
	return 0;
}

static ot_err
read_as(const char *class_name, const char *bytes, size_t count)
{
	enum deserializer_kind kind;
	ot_writer_reset(&out);
	assert_true(deserializer_find(class_name, &kind));
	return deserializer_write(kind, (struct ot_bytes){ (const uint8_t *)bytes, (int32_t)count },
	    &out, &why);
}

#define ASSERT_TEXT(class_name, bytes, text)                              \
	do {                                                              \
		assert_ok(read_as(class_name, bytes, sizeof(bytes) - 1)); \
		ot_write_i8(&out, 0);                                     \
		assert_string_equal((const char *)out.data, text);        \
	} while (0)

#define ASSERT_REFUSED(class_name, bytes, message)                              \
	do {                                                                    \
		assert_int_equal(read_as(class_name, bytes, sizeof(bytes) - 1), \
		    OT_ERR_INVALID_RECORD);                                     \
		assert_string_equal(why.text, message);                         \
	} while (0)

/* Goal: each class prints what Java prints. Method: a value or two of each, by full and short name.
 */
static void
classes(void **state)
{
	(void)state;
	ASSERT_TEXT("org.apache.kafka.common.serialization.StringDeserializer", "h\xc3\xa4",
	    "h\xc3\xa4");
	ASSERT_TEXT("IntegerDeserializer", "\xff\xff\xff\xfe", "-2");
	ASSERT_TEXT("LongDeserializer", "\0\0\0\1\0\0\0\0", "4294967296");
	ASSERT_TEXT("LongDeserializer", "\x80\0\0\0\0\0\0\0", "-9223372036854775808");
	ASSERT_TEXT("ShortDeserializer", "\1\0", "256");
	ASSERT_TEXT("BooleanDeserializer", "\1", "true");
	ASSERT_TEXT("BooleanDeserializer", "\0", "false");
	ASSERT_TEXT("DoubleDeserializer", "\x40\x09\x21\xfb\x54\x44\x2d\x18", "3.141592653589793");
	ASSERT_TEXT("FloatDeserializer", "\x3d\xcc\xcc\xcd", "0.1");
	ASSERT_TEXT("UUIDDeserializer", "1-2-3-4-5ABC", "00000001-0002-0003-0004-000000005abc");
	ASSERT_TEXT("BytesDeserializer", "a\\\x01\xff", "a\\x5C\\x01\\xFF");
	ASSERT_TEXT("ByteBufferDeserializer", "abc", "java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]");
	ASSERT_TEXT("ByteArrayDeserializer", "raw", "raw");
}

/* Goal: bytes that are no such value are refused in Kafka's words. Method: wrong sizes, wrong text.
 */
static void
refused(void **state)
{
	(void)state;
	ASSERT_REFUSED("IntegerDeserializer", "abc",
	    "Size of data received by IntegerDeserializer is not 4");
	ASSERT_REFUSED("LongDeserializer", "",
	    "Size of data received by LongDeserializer is not 8");
	ASSERT_REFUSED("BooleanDeserializer", "\2",
	    "Unexpected byte received by BooleanDeserializer: 2");
	ASSERT_REFUSED("UUIDDeserializer", "1-2-3-4", "Error parsing data into UUID");
	ASSERT_REFUSED("UUIDDeserializer", "1-2-3-4-5-6", "Error parsing data into UUID");
	ASSERT_REFUSED("UUIDDeserializer", "123456789-2-3-4-5", "Error parsing data into UUID");
	ASSERT_REFUSED("VoidDeserializer", "x", "Data should be null for a VoidDeserializer.");
}

static void
unknown_class(void **state)
{
	enum deserializer_kind kind;
	(void)state;
	assert_false(deserializer_find("com.example.AvroDeserializer", &kind));
}

static void
assert_double(double value, const char *text)
{
	ot_writer_reset(&out);
	deserializer_put_double(&out, value);
	ot_write_i8(&out, 0);
	assert_string_equal((const char *)out.data, text);
}

/* Goal: numbers look as Java's. Method: both sides of the bounds of the plain form, the extremes,
 * and what is no number. */
static void
doubles(void **state)
{
	(void)state;
	assert_double(0, "0.0");
	assert_double(-0.0, "-0.0");
	assert_double(1, "1.0");
	assert_double(100, "100.0");
	assert_double(1234.5, "1234.5");
	assert_double(9999999, "9999999.0");
	assert_double(1e7, "1.0E7");
	assert_double(12345678.9, "1.23456789E7");
	assert_double(0.001, "0.001");
	assert_double(0.0123, "0.0123");
	assert_double(0.00099, "9.9E-4");
	assert_double(-2.5e-10, "-2.5E-10");
	assert_double(1.7976931348623157e308, "1.7976931348623157E308");
	assert_double(4.9e-324, "4.9E-324");
	assert_double(NAN, "NaN");
	assert_double(-INFINITY, "-Infinity");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { TEST(classes), TEST(refused), TEST(unknown_class),
		TEST(doubles) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
