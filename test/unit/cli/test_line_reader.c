#include "../test.h"

#include <stdio.h>

#include "cli/line_reader_int.h"

static struct ot_properties props;
static struct line_reader reader;
static struct ot_why why;

static int
set_up(void **state)
{
	(void)state;
	ot_properties_init(&props, "test");
	why.text[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_properties_fini(&props);
	line_reader_fini(&reader);
	return 0;
}

/* Makes the reader of properties in the form of a file. */
static ot_err
make(const char *text)
{
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	return line_reader_init(&reader, &props, &why);
}

static const char *
show(struct ot_bytes field)
{
	static char rooms[2][200];
	static size_t next;
	char *room = rooms[next++ % 2];
	if (field.len < 0)
		return "null";
	snprintf(room, sizeof(rooms[0]), "'%.*s'", field.len, (const char *)field.data);
	return room;
}

/* Asserts that the line's record reads "key value" and " header=value" for each header. */
static void
assert_record(const char *line, const char *expected)
{
	char text[400];
	struct line_record record;
	struct ot_bytes bytes = { (const uint8_t *)line, (int32_t)strlen(line) };
	assert_ok(line_reader_parse(&reader, bytes, &record, &why));
	struct ot_text to = OT_TEXT(text);
	ot_text_put(&to, "%s %s", show(record.key), show(record.value));
	for (size_t i = 0; i < record.header_count; i++)
		ot_text_put(&to, " %.*s=%s", OT_STR_ARG(record.headers[i].key),
		    show(record.headers[i].value));
	assert_string_equal(text, expected);
}

static void
assert_refused(const char *line, const char *message)
{
	struct line_record record;
	struct ot_bytes bytes = { (const uint8_t *)line, (int32_t)strlen(line) };
	assert_int_equal(line_reader_parse(&reader, bytes, &record, &why), OT_ERR_INVALID_RECORD);
	assert_string_equal(why.text, message);
}

/* Goal: without properties a line is a value. Method: lines that look like more. */
static void
values_only(void **state)
{
	(void)state;
	assert_ok(make(""));
	assert_record("a\tb", "null 'a\tb'");
	assert_record("", "null ''");
}

/* Goal: keys are cut off at the first separator. Method: the default one and a longer one. */
static void
keys(void **state)
{
	(void)state;
	assert_ok(make("parse.key=true"));
	assert_record("k\tv\tw", "'k' 'v\tw'");
	assert_record("\tv", "'' 'v'");
	assert_record("k\t", "'k' ''");
	assert_refused("kv", "No key separator found on line number 4: 'kv'");
}

static void
key_separators(void **state)
{
	(void)state;
	assert_ok(make("parse.key= TRUE \nkey.separator=::"));
	assert_record("k:x::v", "'k:x' 'v'");
}

/* Goal: a lenient reader takes what has no separator as a value. Method: lines without key, without
 * headers, without both. */
static void
lenient(void **state)
{
	(void)state;
	assert_ok(make("parse.key=true\nparse.headers=true\nignore.error=true\nkey.separator=|"));
	assert_record("v", "null 'v'");
	assert_record("k|v", "'k' 'v'");
	assert_record("h:1\tv", "null 'v' h='1'");
	assert_record("h\tk|v", "'k' 'v' h=null");
}

/* Goal: headers are split at separators, values at the first inner one. Method: one, several, empty
 * parts, empty pairs at the end, which Java's split leaves out. */
static void
headers(void **state)
{
	(void)state;
	assert_ok(make("parse.key=true\nparse.headers=true"));
	assert_record("a:1\tk\tv", "'k' 'v' a='1'");
	assert_record("a:1,b:x:y,c:\tk\tv", "'k' 'v' a='1' b='x:y' c=''");
	assert_record("a:1,,\tk\tv", "'k' 'v' a='1'");
	assert_refused("a:1,,b:2\tk\tv",
	    "No header key separator found in pair '' on line number 4");
	assert_refused("a\tk\tv", "No header key separator found in pair 'a' on line number 5");
	assert_refused("\tk\tv", "No header key separator found in pair '' on line number 6");
	assert_refused("a:1\tk", "No key separator found on line number 7: 'a:1\tk'");
	assert_refused("a:1", "No headers delimiter found on line number 8: 'a:1'");
}

/* Goal: separators may be any text, and a backslash takes a sign of an expression literally. */
static void
header_separators(void **state)
{
	(void)state;
	assert_ok(make("parse.headers=true\nheaders.delimiter=#\nheaders.separator=\\\\|\n"
		       "headers.key.separator=->"));
	assert_record("a->1|b->2#v", "null 'v' a='1' b='2'");
}

/* Goal: what equals the marker is null. Method: each field in turn. */
static void
null_marker(void **state)
{
	(void)state;
	assert_ok(make("parse.key=true\nparse.headers=true\nnull.marker=NULL"));
	assert_record("a:NULL\tk\tv", "'k' 'v' a=null");
	assert_record("NULL\tNULL\tNULL", "null null");
	assert_record("a:1\tk\tNULLs", "'k' 'NULLs' a='1'");
	assert_refused("NULL:1\tk\tv",
	    "Header keys should not be equal to the null marker 'NULL' as they can't be null");
}

/* Goal: separators that cannot be told apart are refused. Method: two of the seven pairs. */
static void
same_separators(void **state)
{
	(void)state;
	assert_int_equal(make("headers.separator=\\t"), OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, "headers.delimiter and headers.separator may not be equal");
}

static void
marker_as_separator(void **state)
{
	(void)state;
	assert_int_equal(make("null.marker=\\t"), OT_ERR_INVALID_CONFIG);
	assert_string_equal(why.text, "null.marker and key.separator may not be equal");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_only),
		TEST(keys),
		TEST(key_separators),
		TEST(lenient),
		TEST(headers),
		TEST(header_separators),
		TEST(null_marker),
		TEST(same_separators),
		TEST(marker_as_separator),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
