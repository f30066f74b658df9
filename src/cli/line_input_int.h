/* Lines of a file or terminal, at the speed at which they can be read.
 *
 * Bytes are read in large pieces; a line is a view into the piece, and only one that is cut by the
 * end of a piece is moved. A line ends at \n, and nothing else is changed or left out: what goes in
 * through the console producer comes out as the same bytes. Kafka's tool ends lines at \r and \r\n
 * too; who needs that asks for it. Bytes behind the last end of line are a line as well.
 *
 * @owner the input's   @blocks line_input_fill() only
 */
#ifndef OT_CLI_LINE_INPUT_INT_H
#define OT_CLI_LINE_INPUT_INT_H

#include "base/bytes.h"

struct line_input {
	int fd;
	bool ends_at_cr; /* \r and \r\n end a line, as in Java */
	bool is_at_end;  /* nothing more can be read */
	bool skips_lf;   /* the last line ended at \r: a \n that follows belongs to it */
	char *buffer;    /* heap */
	size_t capacity;
	size_t begin;   /* of what was not handed out yet */
	size_t scanned; /* up to here there is no end of a line */
	size_t end;
};

enum line_input_state {
	LINE_INPUT_LINE, /* here is one */
	LINE_INPUT_MORE, /* line_input_fill() first */
	LINE_INPUT_END,
};

void line_input_init(struct line_input *in, int fd, bool ends_at_cr);
void line_input_fini(struct line_input *in);

/* The next line, without its end; valid until the next fill. */
enum line_input_state line_input_next(struct line_input *in, struct ot_bytes *ret_line);

/* Reads once, as much as there is. At the end of the file, or of memory for one line, later calls
 * of line_input_next() give what is left and then LINE_INPUT_END. OT_ERR_IO with errno;
 * OT_ERR_NO_MEMORY for a line that is too long. An interrupted read is OT_OK without more bytes. */
ot_err line_input_fill(struct line_input *in) OT_MUST_USE;

#endif
