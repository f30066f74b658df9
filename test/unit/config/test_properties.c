#include "../test.h"

#include "base/alloc.h"
#include "config/properties.h"

static struct ot_properties props;

static int
set_up(void **state)
{
	(void)state;
	ot_properties_init(&props, "file");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_properties_fini(&props);
	return 0;
}

static void
parse(const char *text)
{
	struct ot_why why = { "" };
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
}

/* Asserts that `name` has `value` and stood on `line`. */
static void
assert_property(const char *name, const char *value, unsigned line)
{
	const struct ot_property *item = ot_properties_find(&props, ot_str_from(name));
	if (item == NULL)
		fail_msg("no property is called %s", name);
	assert_string_equal(item->value.data, value);
	assert_int_equal(item->value.len, strlen(value));
	assert_int_equal(item->line, line);
}

/* Goal: the common forms of a line are read. Method: one line of each form. */
static void
plain_lines(void **state)
{
	(void)state;
	parse("a=1\nb:2\nc 3\n  d  =  4 \ne\nf=\n\tg\t:\th\n");
	assert_property("a", "1", 1);
	assert_property("b", "2", 2);
	assert_property("c", "3", 3);
	assert_property("d", "4 ", 4);
	assert_property("e", "", 5);
	assert_property("f", "", 6);
	assert_property("g", "h", 7);
	assert_int_equal(props.count, 7);
}

/* Goal: comments and blank lines say nothing, but count as lines. Method: keys behind them. */
static void
comments(void **state)
{
	(void)state;
	parse("# a=1\n! b=2\n\n   \t\n  # c=3 \\\nd=4\r\n\r\r#\ne=#5");
	assert_int_equal(props.count, 2);
	assert_property("d", "4", 6);
	assert_property("e", "#5", 10);
}

/* Goal: only the first separator separates. Method: values that hold separators. */
static void
separators(void **state)
{
	(void)state;
	parse("a==1\nb = :2\nc : = 3\nd=x=y\nlisteners=A://:1,B://h:2\n= nameless\n");
	assert_property("a", "=1", 1);
	assert_property("b", ":2", 2);
	assert_property("c", "= 3", 3);
	assert_property("d", "x=y", 4);
	assert_property("listeners", "A://:1,B://h:2", 5);
	assert_property("", "nameless", 6);
}

/* Goal: a line goes on behind an odd number of backslashes. Method: one, two and three of them,
 * blanks before the rest, ends of line of all kinds, a comment's sign that is none. */
static void
continuations(void **state)
{
	(void)state;
	parse("a=1,\\\n   2,\\\r\n\t3\nb=x\\\\\nc=y\\\\\\\n#z\nlo\\\nng = v\nd = \\\n  w\n"
	      "e=\\\n\nf=1\n\\\n# no comment's end \\\ng=2\nlast=\\");
	assert_property("a", "1,2,3", 1);
	assert_property("b", "x\\", 4);
	assert_property("c", "y\\#z", 5);
	assert_property("long", "v", 7);
	assert_property("d", "w", 9);
	assert_property("e", "", 11);
	assert_property("f", "1", 13);
	assert_property("g", "2", 16);
	assert_property("last", "", 17);
	assert_int_equal(props.count, 9);
}

/* Goal: escapes mean what they do in Java. Method: one line of each. */
static void
escapes(void **state)
{
	(void)state;
	parse("a=\\t\\n\\r\\f\\q\\\\\nk\\=e\\:y\\ x=v\nu=\\u0041\\u00e9\\u20AC\\ud83d\\ude00\n"
	      "half=\\ud83d!\nlow=\\ude00\nC:\\\\data=C:\\\\x\n");
	assert_property("a", "\t\n\r\fq\\", 1);
	assert_property("k=e:y x", "v", 2);
	assert_property("u", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 3);
	assert_property("half", "\xef\xbf\xbd!", 4);
	assert_property("low", "\xef\xbf\xbd", 5);
	assert_property("C", "\\data=C:\\x", 6);
}

/* Goal: a name that stands twice has its last value, also over two files. Method: both. */
static void
last_value_counts(void **state)
{
	(void)state;
	parse("a=1\nb=2\na=3\n");
	assert_property("a", "3", 3);
	assert_int_equal(props.count, 2);
	parse("\nb=4");
	assert_property("b", "4", 2);
	assert_int_equal(props.count, 2);
	assert_null(ot_properties_find(&props, ot_str_from("c")));
	assert_null(ot_properties_find(&props, OT_STR_NULL));
}

/* Goal: UTF-8 stays, and what is none is Latin-1, as in Java. Method: both, and a mark at the
 * start that some editors write. */
static void
encodings(void **state)
{
	(void)state;
	parse("\xef\xbb\xbfrack=M\xc3\xbcnchen\n");
	assert_property("rack", "M\xc3\xbcnchen", 1);
	parse("rack=M\xfcnchen\\\xfc\n");
	assert_property("rack", "M\xc3\xbcnchen\xc3\xbc", 1);
	parse("x=\xed\xa0\x80\ny=\xc0\xaf");
	assert_property("y", "\xc3\x80\xc2\xaf", 2);
}

/* Goal: what cannot be read is refused with file, line and rule. Method: each kind of mistake. */
static void
mistakes_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t bytes;
		const char *part;
	} rows[] = {
		{ "a=1\nb=\\u12g4\n", 13, "file:2: \\u needs four hexadecimal digits" },
		{ "a=1\\\n\\u12", 9, "file:2: \\u needs four" },
		{ "a=\\u0000", 8, "file:1: a NUL character" },
		{ "a=1\n\nb=x\0y", 10, "file:3: a NUL character" },
		{ "a=1\n\nb=\\\0", 9, "file:3: a NUL character" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_why why;
		assert_int_equal(ot_properties_parse(&props, rows[i].text, rows[i].bytes, &why),
		    OT_ERR_INVALID_CONFIG);
		assert_non_null(strstr(why.text, rows[i].part));
	}
	struct ot_why why;
	char *large = ot_must_alloc(OT_PROPERTIES_BYTES_MAX + 1);
	assert_int_equal(ot_properties_parse(&props, large, OT_PROPERTIES_BYTES_MAX + 1, &why),
	    OT_ERR_INVALID_CONFIG);
	ot_free(large);
}

/* Goal: without memory the answer is an error and nothing leaks. Method: the first, second, third
 * allocation fails, and so on, until one run passes; the sanitizer watches for leaks. */
static void
memory_may_be_short(void **state)
{
	(void)state;
	static const char text[] = "a=1\nb=2\nc=\\u0041\nd=e\\\n f\na=5\n";
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		assert_true(n < 100);
		struct ot_properties other;
		struct ot_why why;
		ot_properties_init(&other, "file");
		ot_alloc_fail_at(n);
		err = ot_properties_parse(&other, text, strlen(text), &why);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		assert_true(err != OT_OK || other.count == 4);
		ot_properties_fini(&other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(comments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(separators, set_up, tear_down),
		cmocka_unit_test_setup_teardown(continuations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(escapes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(last_value_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(encodings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_may_be_short, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
