/* Records out of lines: what Kafka's LineMessageReader makes of them, by the same properties.
 *
 *   parse.headers=true         h1:v1,h2:v2<headers.delimiter>...
 *   parse.key=true             ...key<key.separator>value
 *
 *   key.separator, headers.delimiter   \t
 *   headers.separator                  ,
 *   headers.key.separator              :
 *   null.marker                        none; a field that is equal to it is null
 *   ignore.error                       false; a line without a separator is all value
 *   lines.end.at                       lf; "any" ends lines at \r and \r\n too, as Kafka does
 *
 * headers.separator is a regular expression in Kafka. Here it is the text itself, and a backslash
 * takes a sign literally: that is what it is used for.
 *
 * @owner the reader's   @blocks never
 */
#ifndef OT_CLI_LINE_READER_INT_H
#define OT_CLI_LINE_READER_INT_H

#include "config/properties.h"

struct line_header {
	struct ot_str key;
	struct ot_bytes value;
};

/* Views into the line; headers are the reader's until the next line. */
struct line_record {
	struct ot_bytes key;
	struct ot_bytes value;
	const struct line_header *headers;
	size_t header_count;
};

struct line_reader {
	bool has_key;
	bool has_headers;
	bool is_lenient;
	bool ends_at_cr; /* for the line_input that the lines come from */
	struct ot_str key_separator;
	struct ot_str headers_delimiter;
	struct ot_str headers_separator;
	struct ot_str headers_key_separator;
	struct ot_str null_marker;   /* null: none */
	uint64_t line_number;        /* of the last line, from 1 */
	struct ot_arena arena;       /* of texts above */
	struct line_header *headers; /* heap */
	size_t header_capacity;
};

/* OT_ERR_INVALID_CONFIG when separators are the same, with Kafka's message in `why`. */
ot_err line_reader_init(struct line_reader *reader, const struct ot_properties *props,
    struct ot_why *why) OT_MUST_USE;
void line_reader_fini(struct line_reader *reader);

/* OT_ERR_INVALID_RECORD, with Kafka's message in `why`, for a line that lacks a separator. */
ot_err line_reader_parse(struct line_reader *reader, struct ot_bytes line,
    struct line_record *ret_record, struct ot_why *why) OT_MUST_USE;

#endif
