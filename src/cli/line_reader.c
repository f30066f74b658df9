#include "cli/line_reader_int.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "config/def.h"

static struct ot_str
text_property(const struct ot_properties *props, const char *name, struct ot_str fallback)
{
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	return item != NULL ? item->value : fallback;
}

static bool
flag_property(const struct ot_properties *props, const char *name)
{
	struct ot_str value = ot_config_trim(text_property(props, name, OT_STR_LIT("")));
	return value.len == 4 && strncasecmp(value.data, "true", 4) == 0;
}

/* Copies a text, since the properties may go before the reader does. */
static struct ot_str
keep(struct line_reader *reader, struct ot_str text)
{
	if (text.len < 0)
		return text;
	char *copy = ot_arena_strndup(&reader->arena, text.data, (size_t)text.len);
	return copy != NULL ? (struct ot_str){ copy, text.len } : OT_STR_NULL;
}

/* Takes the backslashes out of a separator that is written as a regular expression. */
static struct ot_str
keep_literal(struct line_reader *reader, struct ot_str text)
{
	char *copy = ot_arena_strndup(&reader->arena, text.data, (size_t)text.len);
	if (copy == NULL)
		return OT_STR_NULL;
	int32_t bytes = 0;
	for (int32_t i = 0; i < text.len; i++) {
		bool is_escape = text.data[i] == '\\' && i + 1 < text.len;
		i += is_escape;
		char sign = text.data[i];
		copy[bytes++] = is_escape && sign == 't' ? '\t' : sign;
	}
	return (struct ot_str){ copy, bytes };
}

static ot_err
check_differ(const char *a_name, struct ot_str a, const char *b_name, struct ot_str b,
    struct ot_why *why)
{
	if (!ot_str_equal(a, b))
		return OT_OK;
	ot_why_set(why, "%s and %s may not be equal", a_name, b_name);
	return OT_ERR_INVALID_CONFIG;
}

static ot_err
check_separators(const struct line_reader *reader, struct ot_why *why)
{
	const struct {
		const char *a_name, *b_name;
		struct ot_str a, b;
	} pairs[] = {
		{ "headers.delimiter", "headers.separator", reader->headers_delimiter,
		    reader->headers_separator },
		{ "headers.delimiter", "headers.key.separator", reader->headers_delimiter,
		    reader->headers_key_separator },
		{ "headers.separator", "headers.key.separator", reader->headers_separator,
		    reader->headers_key_separator },
		{ "null.marker", "key.separator", reader->null_marker, reader->key_separator },
		{ "null.marker", "headers.separator", reader->null_marker,
		    reader->headers_separator },
		{ "null.marker", "headers.delimiter", reader->null_marker,
		    reader->headers_delimiter },
		{ "null.marker", "headers.key.separator", reader->null_marker,
		    reader->headers_key_separator },
	};
	ot_err err = OT_OK;
	for (size_t i = 0; i < OT_ARRAY_COUNT(pairs) && err == OT_OK; i++)
		err = check_differ(pairs[i].a_name, pairs[i].a, pairs[i].b_name, pairs[i].b, why);
	return err;
}

ot_err
line_reader_init(struct line_reader *reader, const struct ot_properties *props, struct ot_why *why)
{
	const struct ot_str tab = OT_STR_LIT("\t");
	memset(reader, 0, sizeof(*reader));
	ot_arena_init(&reader->arena, 0);
	reader->has_key = flag_property(props, "parse.key");
	reader->has_headers = flag_property(props, "parse.headers");
	reader->is_lenient = flag_property(props, "ignore.error");
	reader->ends_at_cr =
	    ot_str_is(text_property(props, "lines.end.at", OT_STR_LIT("lf")), "any");
	reader->key_separator = keep(reader, text_property(props, "key.separator", tab));
	reader->headers_delimiter = keep(reader, text_property(props, "headers.delimiter", tab));
	reader->headers_separator =
	    keep_literal(reader, text_property(props, "headers.separator", OT_STR_LIT(",")));
	reader->headers_key_separator =
	    keep(reader, text_property(props, "headers.key.separator", OT_STR_LIT(":")));
	reader->null_marker = keep(reader, text_property(props, "null.marker", OT_STR_NULL));
	return check_separators(reader, why);
}

void
line_reader_fini(struct line_reader *reader)
{
	ot_free(reader->headers);
	ot_arena_fini(&reader->arena);
}

/* The place of `separator` at or behind `from`, or -1. An empty one is found at once, as Java's
 * indexOf does. */
static int32_t
find(struct ot_bytes line, int32_t from, struct ot_str separator)
{
	if (separator.len == 0)
		return from;
	const uint8_t *start = line.data + from;
	size_t bytes = (size_t)(line.len - from);
	const uint8_t *found = separator.len == 1
	                           ? memchr(start, separator.data[0], bytes)
	                           : memmem(start, bytes, separator.data, (size_t)separator.len);
	return found != NULL ? (int32_t)(found - line.data) : -1;
}

static bool
is_null_marker(const struct line_reader *reader, struct ot_bytes field)
{
	return reader->null_marker.len == field.len &&
	       memcmp(reader->null_marker.data, field.data, (size_t)field.len) == 0;
}

/* Cuts the field that ends at `separator` off the line; *at moves behind it. Without a separator
 * the field is null and nothing moves, which only a lenient reader takes. */
static ot_err
cut_field(const struct line_reader *reader, struct ot_bytes line, int32_t *at,
    struct ot_str separator, const char *separator_name, struct ot_bytes *ret_field,
    struct ot_why *why)
{
	int32_t end = find(line, *at, separator);
	if (end >= 0) {
		*ret_field = (struct ot_bytes){ line.data + *at, end - *at };
		*at = end + separator.len;
		return OT_OK;
	}
	*ret_field = OT_BYTES_NULL;
	if (reader->is_lenient)
		return OT_OK;
	ot_why_set(why, "No %s found on line number %llu: '%.*s'", separator_name,
	    (unsigned long long)reader->line_number, line.len, (const char *)line.data);
	return OT_ERR_INVALID_RECORD;
}

static ot_err
parse_header(const struct line_reader *reader, struct ot_bytes pair, struct line_header *ret_header,
    struct ot_why *why)
{
	int32_t end = find(pair, 0, reader->headers_key_separator);
	if (end < 0 && !reader->is_lenient) {
		ot_why_set(why, "No header key separator found in pair '%.*s' on line number %llu",
		    pair.len, (const char *)pair.data, (unsigned long long)reader->line_number);
		return OT_ERR_INVALID_RECORD;
	}
	int32_t value_at = end < 0 ? pair.len : end + reader->headers_key_separator.len;
	struct ot_bytes key = { pair.data, end < 0 ? pair.len : end };
	struct ot_bytes value = { pair.data + value_at, pair.len - value_at };
	if (end >= 0 && is_null_marker(reader, key)) {
		ot_why_set(why,
		    "Header keys should not be equal to the null marker '%.*s' as they can't be "
		    "null",
		    OT_STR_ARG(reader->null_marker));
		return OT_ERR_INVALID_RECORD;
	}
	ret_header->key = (struct ot_str){ (const char *)key.data, key.len };
	ret_header->value = end < 0 || is_null_marker(reader, value) ? OT_BYTES_NULL : value;
	return OT_OK;
}

static struct line_header *
next_header(struct line_reader *reader, size_t count)
{
	if (count == reader->header_capacity) {
		size_t capacity = OT_MAX(count * 2, 8);
		struct line_header *grown =
		    ot_realloc(reader->headers, capacity * sizeof(*reader->headers));
		if (grown == NULL)
			return NULL;
		reader->headers = grown;
		reader->header_capacity = capacity;
	}
	return &reader->headers[count];
}

/* Splits as Java does: empty pairs at the end do not count, unless there is no separator at all. */
static ot_err
parse_headers(struct line_reader *reader, struct ot_bytes field, struct line_record *record,
    struct ot_why *why)
{
	int32_t separator_len = reader->headers_separator.len;
	size_t count = 0, count_with_text = 0;
	int32_t end;
	for (int32_t at = 0; at <= field.len; at = end + OT_MAX(separator_len, 1)) {
		end = separator_len > 0 ? find(field, at, reader->headers_separator) : -1;
		if (end < 0)
			end = field.len;
		struct ot_bytes pair = { field.data + at, end - at };
		struct line_header *header = next_header(reader, count);
		if (header == NULL)
			return OT_ERR_NO_MEMORY;
		/* Whether an empty pair counts is known once another one follows. */
		*header = (struct line_header){ .value = pair };
		count++;
		if (pair.len > 0 || (at == 0 && end == field.len))
			count_with_text = count;
	}
	for (size_t i = 0; i < count_with_text; i++) {
		struct line_header *header = &reader->headers[i];
		ot_err err = parse_header(reader, header->value, header, why);
		if (err != OT_OK)
			return err;
	}
	record->headers = reader->headers;
	record->header_count = count_with_text;
	return OT_OK;
}

ot_err
line_reader_parse(struct line_reader *reader, struct ot_bytes line, struct line_record *ret_record,
    struct ot_why *why)
{
	struct line_record record = { .key = OT_BYTES_NULL };
	struct ot_bytes headers = OT_BYTES_NULL;
	int32_t at = 0;
	ot_err err = OT_OK;
	reader->line_number++;
	if (reader->has_headers)
		err = cut_field(reader, line, &at, reader->headers_delimiter, "headers delimiter",
		    &headers, why);
	if (err == OT_OK && reader->has_key)
		err = cut_field(reader, line, &at, reader->key_separator, "key separator",
		    &record.key, why);
	if (err == OT_OK && headers.len >= 0 && !is_null_marker(reader, headers))
		err = parse_headers(reader, headers, &record, why);
	if (err != OT_OK)
		return err;
	record.value = (struct ot_bytes){ line.data + at, line.len - at };
	if (reader->null_marker.len >= 0) {
		if (record.key.len >= 0 && is_null_marker(reader, record.key))
			record.key = OT_BYTES_NULL;
		if (is_null_marker(reader, record.value))
			record.value = OT_BYTES_NULL;
	}
	*ret_record = record;
	return OT_OK;
}
