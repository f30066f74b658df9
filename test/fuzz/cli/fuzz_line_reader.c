/* Goal: no input makes lines or records leave it, and no byte is lost between them. Method: the
 * first byte chooses how lines are read, the second in which pieces they come; the rest is the
 * input, through a pipe. Where a line is all value, the lines put together are the input. */
#include <string.h>
#include <unistd.h>

#include "base/panic.h"
#include "cli/line_input_int.h"
#include "cli/line_reader_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
	CHOICE_KEY = 1,
	CHOICE_HEADERS = 2,
	CHOICE_LENIENT = 4,
	CHOICE_MARKER = 8,
	CHOICE_CR = 16,
	CHOICE_LONG = 32
};

static void
make_reader(struct line_reader *reader, unsigned choice)
{
	static const struct {
		unsigned choice;
		const char *text;
	} rows[] = {
		{ CHOICE_KEY, "parse.key=true\n" },
		{ CHOICE_HEADERS, "parse.headers=true\n" },
		{ CHOICE_LENIENT, "ignore.error=true\n" },
		{ CHOICE_MARKER, "null.marker=NULL\n" },
		{ CHOICE_CR, "lines.end.at=any\n" },
		{ CHOICE_LONG, "key.separator=::\nheaders.separator=,,\nheaders.key.separator=\n" },
	};
	struct ot_properties props;
	struct ot_why why = { "" };
	ot_properties_init(&props, "fuzz");
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (choice & rows[i].choice)
			OT_ASSERT(ot_properties_parse(&props, rows[i].text, strlen(rows[i].text),
				      &why) == OT_OK);
	}
	OT_ASSERT(line_reader_init(reader, &props, &why) == OT_OK);
	ot_properties_fini(&props);
}

static bool
is_within(const void *field, int32_t bytes, struct ot_bytes line)
{
	const uint8_t *begin = field;
	return bytes < 0 ||
	       (begin >= line.data && begin + bytes <= line.data + line.len && bytes <= line.len);
}

static void
check_record(struct line_reader *reader, struct ot_bytes line)
{
	struct line_record record;
	struct ot_why why = { "" };
	ot_err err = line_reader_parse(reader, line, &record, &why);
	OT_ASSERT(err == OT_OK || (err == OT_ERR_INVALID_RECORD && why.text[0] != '\0'));
	if (err != OT_OK)
		return;
	OT_ASSERT(is_within(record.key.data, record.key.len, line));
	OT_ASSERT(is_within(record.value.data, record.value.len, line));
	for (size_t i = 0; i < record.header_count; i++) {
		const struct line_header *header = &record.headers[i];
		OT_ASSERT(is_within(header->key.data, header->key.len, line));
		OT_ASSERT(is_within(header->value.data, header->value.len, line));
	}
	if (!reader->has_key && !reader->has_headers && reader->null_marker.len < 0)
		OT_ASSERT(record.value.len == line.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	int ends[2];
	if (bytes < 2 || bytes > 16 * (size_t)OT_KIB)
		return 0;
	struct line_reader reader;
	struct line_input input;
	struct ot_writer whole;
	size_t piece = (size_t)data[1] + 1, sent = 2;
	make_reader(&reader, data[0]);
	OT_ASSERT(pipe(ends) == 0);
	line_input_init(&input, ends[0], reader.ends_at_cr);
	ot_writer_init(&whole);
	for (;;) {
		struct ot_bytes line;
		enum line_input_state state = line_input_next(&input, &line);
		if (state == LINE_INPUT_END)
			break;
		if (state == LINE_INPUT_LINE) {
			check_record(&reader, line);
			ot_write_raw(&whole, line.data, (size_t)line.len);
			ot_write_i8(&whole, '\n');
			continue;
		}
		size_t count = OT_MIN(piece, bytes - sent);
		if (count == 0 && ends[1] >= 0) {
			close(ends[1]);
			ends[1] = -1;
		}
		if (count > 0)
			OT_ASSERT(write(ends[1], data + sent, count) == (ssize_t)count);
		sent += count;
		OT_ASSERT(line_input_fill(&input) == OT_OK);
	}
	if (!reader.ends_at_cr && bytes > 2) {
		size_t missing =
		    data[bytes - 1] == '\n' ? 0 : 1; /* the end that the last line got */
		OT_ASSERT(whole.bytes == bytes - 2 + missing);
		OT_ASSERT(memcmp(whole.data, data + 2, bytes - 2) == 0);
	}
	close(ends[0]);
	ot_writer_fini(&whole);
	line_input_fini(&input);
	line_reader_fini(&reader);
	return 0;
}
