/* The grammar is that of java.util.Properties.load(), which Kafka reads all its files with:
 *
 *   file          lines that end in \n, \r or \r\n
 *   blank line    nothing but blanks (space, tab, form feed)
 *   comment       a line whose first character that is no blank is # or !; a \ at its end means
 *                 nothing
 *   logical line  any other line, with the next one appended, without the blanks at its start, as
 *                 long as it ends in an odd number of \
 *   key           up to the first =, : or blank that no \ precedes
 *   separator     blanks, at most one = or :, blanks
 *   value         the rest, blanks at its end included
 *   escapes       \t \n \r \f, \uXXXX (UTF-16, pairs of surrogates too); \ before anything else
 *                 means that character itself
 *
 * Java takes the bytes for Latin-1. Here a file that is valid UTF-8 is UTF-8, which a file of
 * plain ASCII is in both; only one that is not is taken for Latin-1. A NUL is refused, since values
 * end up as C strings.
 */
#include "config/properties.h"

#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

struct property_index {
	size_t place; /* in items */
	UT_hash_handle hh;
	char name[];
};

struct parser {
	struct ot_properties *props;
	const char *next;
	const char *end;
	uint32_t line; /* of next */
	bool is_latin1;
	char *name; /* room for the longest name and value that the file can hold */
	char *value;
};

void
ot_properties_init(struct ot_properties *props, const char *file)
{
	*props = (struct ot_properties){ .file = "" };
	ot_arena_init(&props->arena, 0);
	char *copy = file != NULL ? ot_arena_strndup(&props->arena, file, strlen(file)) : NULL;
	if (copy != NULL)
		props->file = copy;
}

void
ot_properties_fini(struct ot_properties *props)
{
	struct property_index *entry, *next;
	HASH_ITER(hh, props->index, entry, next) {
		HASH_DEL(props->index, entry);
		ot_free(entry);
	}
	ot_free(props->items);
	ot_arena_fini(&props->arena);
	*props = (struct ot_properties){ .file = "" };
}

static struct property_index *
find_entry(const struct ot_properties *props, struct ot_str name)
{
	struct property_index *entry = NULL;
	if (name.len >= 0)
		HASH_FIND(hh, props->index, name.data, (size_t)name.len, entry);
	return entry;
}

const struct ot_property *
ot_properties_find(const struct ot_properties *props, struct ot_str name)
{
	const struct property_index *entry = find_entry(props, name);
	return entry != NULL ? &props->items[entry->place] : NULL;
}

static ot_err
grow_items(struct ot_properties *props)
{
	if (props->count < props->capacity)
		return OT_OK;
	size_t capacity = props->capacity == 0 ? 64 : props->capacity * 2;
	struct ot_property *items = ot_realloc(props->items, capacity * sizeof(*items));
	if (items == NULL)
		return OT_ERR_NO_MEMORY;
	props->items = items;
	props->capacity = capacity;
	return OT_OK;
}

static ot_err
add_item(struct ot_properties *props, struct ot_str name, struct ot_property **ret_item)
{
	ot_err err = grow_items(props);
	if (err != OT_OK)
		return err;
	struct property_index *entry = ot_alloc(sizeof(*entry) + (size_t)name.len + 1);
	char *copy = ot_arena_strndup(&props->arena, name.data, (size_t)name.len);
	if (entry == NULL || copy == NULL) {
		ot_free(entry);
		return OT_ERR_NO_MEMORY;
	}
	if (name.len > 0)
		memcpy(entry->name, name.data, (size_t)name.len);
	entry->place = props->count;
	HASH_ADD(hh, props->index, name, (size_t)name.len, entry);
	*ret_item = &props->items[props->count++];
	**ret_item = (struct ot_property){ .name = { copy, name.len }, .value = OT_STR_LIT("") };
	return OT_OK;
}

ot_err
ot_properties_put(struct ot_properties *props, struct ot_str name, struct ot_str value,
    uint32_t line)
{
	char *copy = ot_arena_strndup(&props->arena, value.len > 0 ? value.data : "",
	    value.len > 0 ? (size_t)value.len : 0);
	if (copy == NULL)
		return OT_ERR_NO_MEMORY;
	struct property_index *entry = find_entry(props, name);
	struct ot_property *item = entry != NULL ? &props->items[entry->place] : NULL;
	ot_err err = item != NULL ? OT_OK : add_item(props, name, &item);
	if (err != OT_OK)
		return err;
	item->value = (struct ot_str){ copy, OT_MAX(value.len, 0) };
	item->line = line;
	return OT_OK;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static bool
is_newline(char c)
{
	return c == '\n' || c == '\r';
}

/* Steps over one end of line; \r\n is one. */
static void
skip_newline(struct parser *in)
{
	if (in->next < in->end && *in->next == '\r') {
		in->next++;
		if (in->next < in->end && *in->next == '\n')
			in->next++;
	} else if (in->next < in->end && *in->next == '\n') {
		in->next++;
	}
	in->line++;
}

static void
skip_blanks(struct parser *in)
{
	while (in->next < in->end && is_blank(*in->next))
		in->next++;
}

static void
skip_line(struct parser *in)
{
	while (in->next < in->end && !is_newline(*in->next))
		in->next++;
	if (in->next < in->end)
		skip_newline(in);
}

/* If a \ stands before the end of a line: goes on with the next one. */
static void
join_lines(struct parser *in)
{
	while (in->end - in->next >= 2 && in->next[0] == '\\' && is_newline(in->next[1])) {
		in->next++;
		skip_newline(in);
		skip_blanks(in);
	}
}

/* Up to the first character of a logical line; false at the end of the file. */
static bool
find_logical_line(struct parser *in)
{
	while (in->next < in->end) {
		skip_blanks(in);
		join_lines(in);
		if (in->next == in->end)
			break;
		if (*in->next == '#' || *in->next == '!')
			skip_line(in);
		else if (is_newline(*in->next))
			skip_newline(in);
		else
			return true;
	}
	return false;
}

static char *
put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | (code >> 6));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | (code >> 12));
		*to++ = (char)(0x80 | ((code >> 6) & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | (code >> 18));
		*to++ = (char)(0x80 | ((code >> 12) & 0x3f));
		*to++ = (char)(0x80 | ((code >> 6) & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits at `from`, or -1. */
static int32_t
read_hex(const struct parser *in, const char *from)
{
	if (in->end - from < 4)
		return -1;
	int32_t code = 0;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(from[i]);
		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

static ot_err
fail(const struct parser *in, struct ot_why *why, const char *rule)
{
	ot_why_set(why, "%s:%u: %s", in->props->file, in->line, rule);
	return OT_ERR_INVALID_CONFIG;
}

static ot_err
fail_nul(const struct parser *in, struct ot_why *why)
{
	return fail(in, why, "a NUL character cannot be part of a setting; is this a text file?");
}

/* in->next is behind "\u". A half of a pair of surrogates alone becomes U+FFFD. */
static ot_err
read_unicode(struct parser *in, char **to, struct ot_why *why)
{
	int32_t code = read_hex(in, in->next);
	if (code < 0)
		return fail(in, why,
		    "\\u needs four hexadecimal digits behind it; write \\\\u for "
		    "a backslash and a u");
	if (code == 0)
		return fail(in, why, "a NUL character cannot be part of a setting; remove \\u0000");
	in->next += 4;
	bool is_high = code >= 0xd800 && code < 0xdc00;
	if (is_high && in->end - in->next >= 6 && in->next[0] == '\\' && in->next[1] == 'u') {
		int32_t low = read_hex(in, in->next + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			in->next += 6;
		}
	}
	if (code >= 0xd800 && code < 0xe000)
		code = 0xfffd;
	*to = put_utf8(*to, (uint32_t)code);
	return OT_OK;
}

/* in->next is at a \ that joins no lines. At the end of the file it means nothing. */
static ot_err
read_escape(struct parser *in, char **to, struct ot_why *why)
{
	in->next++;
	if (in->next == in->end)
		return OT_OK;
	char c = *in->next++;
	switch (c) {
	case 'u':
		return read_unicode(in, to, why);
	case 't':
		c = '\t';
		break;
	case 'n':
		c = '\n';
		break;
	case 'r':
		c = '\r';
		break;
	case 'f':
		c = '\f';
		break;
	case '\0':
		return fail_nul(in, why);
	default:
		break;
	}
	*to = in->is_latin1 ? put_utf8(*to, (unsigned char)c) : *to;
	if (!in->is_latin1)
		*(*to)++ = c;
	return OT_OK;
}

static bool
ends_key(char c)
{
	return c == '=' || c == ':' || is_blank(c);
}

/* Copies up to the end of the logical line, or of the key, undoing escapes. */
static ot_err
read_part(struct parser *in, bool is_key, char *to, int32_t *ret_bytes, struct ot_why *why)
{
	char *start = to;
	for (;;) {
		join_lines(in);
		if (in->next == in->end || is_newline(*in->next) || (is_key && ends_key(*in->next)))
			break;
		ot_err err = OT_OK;
		if (*in->next == '\0')
			err = fail_nul(in, why);
		else if (*in->next == '\\')
			err = read_escape(in, &to, why);
		else if (in->is_latin1)
			to = put_utf8(to, (unsigned char)*in->next++);
		else
			*to++ = *in->next++;
		if (err != OT_OK)
			return err;
	}
	*ret_bytes = (int32_t)(to - start);
	return OT_OK;
}

static void
skip_separator(struct parser *in)
{
	join_lines(in);
	while (in->next < in->end && is_blank(*in->next)) {
		in->next++;
		join_lines(in);
	}
	if (in->next < in->end && (*in->next == '=' || *in->next == ':'))
		in->next++;
	join_lines(in);
	while (in->next < in->end && is_blank(*in->next)) {
		in->next++;
		join_lines(in);
	}
}

static ot_err
read_logical_line(struct parser *in, struct ot_why *why)
{
	uint32_t line = in->line;
	struct ot_str name = { in->name, 0 }, value = { in->value, 0 };
	ot_err err = read_part(in, true, in->name, &name.len, why);
	if (err != OT_OK)
		return err;
	skip_separator(in);
	err = read_part(in, false, in->value, &value.len, why);
	if (err != OT_OK)
		return err;
	err = ot_properties_put(in->props, name, value, line);
	if (err == OT_ERR_NO_MEMORY)
		ot_why_set(why, "%s:%u: no memory is left", in->props->file, line);
	return err;
}

/* Bytes of the UTF-8 character at `at`, 0 when it is none. */
static size_t
utf8_bytes(const unsigned char *at, size_t left)
{
	size_t bytes = at[0] < 0x80                    ? 1
	               : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
	               : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
	               : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
	                                               : 0;
	if (bytes == 0 || bytes > left)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Longer than needed, a surrogate, beyond the last character. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return bytes;
}

static bool
is_utf8(const char *text, size_t bytes)
{
	size_t place = 0;
	while (place < bytes) {
		size_t step = utf8_bytes((const unsigned char *)text + place, bytes - place);
		if (step == 0)
			return false;
		place += step;
	}
	return true;
}

ot_err
ot_properties_parse(struct ot_properties *props, const char *text, size_t bytes, struct ot_why *why)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	if (bytes > OT_PROPERTIES_BYTES_MAX) {
		ot_why_set(why, "%s: a property file of more than %u bytes is not read",
		    props->file, OT_PROPERTIES_BYTES_MAX);
		return OT_ERR_INVALID_CONFIG;
	}
	struct parser in = { .props = props, .next = text, .end = text + bytes, .line = 1 };
	in.is_latin1 = !is_utf8(text, bytes);
	if (bytes >= 3 && memcmp(text, byte_order_mark, 3) == 0 && !in.is_latin1)
		in.next += 3;
	/* A byte of Latin-1 makes two of UTF-8; six of an escape make three at most. */
	char *room = ot_alloc_raw(bytes * 4 + 2);
	if (room == NULL) {
		ot_why_set(why, "%s: no memory is left", props->file);
		return OT_ERR_NO_MEMORY;
	}
	in.name = room;
	in.value = room + bytes * 2 + 1;
	ot_err err = OT_OK;
	while (err == OT_OK && find_logical_line(&in))
		err = read_logical_line(&in, why);
	ot_free(room);
	return err;
}
