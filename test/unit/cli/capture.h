/* Tools print to standard output and standard error: while a capture is on, both go to a file. */
#ifndef OT_TEST_UNIT_CLI_CAPTURE_H
#define OT_TEST_UNIT_CLI_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

#include "base/defs.h"

struct capture {
	int saved[2];
	FILE *file;
	char text[64 * 1024];
};

static inline void
capture_begin(struct capture *capture)
{
	capture->file = tmpfile();
	assert_non_null(capture->file);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		capture->saved[i] = dup(1 + i);
		assert_int_equal(dup2(fileno(capture->file), 1 + i), 1 + i);
	}
}

/* What was printed since, as text. */
static inline const char *
capture_end(struct capture *capture)
{
	fflush(stdout);
	fflush(stderr);
	for (int i = 0; i < 2; i++) {
		dup2(capture->saved[i], 1 + i);
		close(capture->saved[i]);
	}
	rewind(capture->file);
	size_t bytes = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
	capture->text[bytes] = '\0';
	fclose(capture->file);
	return capture->text;
}

#endif
