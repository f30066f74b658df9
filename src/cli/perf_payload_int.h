/* What the producer's performance test sends: random letters, numbers that count up, or pieces of a
 * file, picked at random. The same seed each time, so that two runs send the same.
 * @owner the payload's   @blocks never */
#ifndef OT_CLI_PERF_PAYLOAD_INT_H
#define OT_CLI_PERF_PAYLOAD_INT_H

#include "base/bytes.h"

struct perf_payload {
	uint64_t random;
	uint8_t *letters; /* heap; NULL: no random letters */
	size_t bytes;
	struct ot_bytes *pieces; /* heap; views into the file's text; NULL: no file */
	size_t piece_count;
	char number[24];
};

/* Letters from A to Z, `bytes` of them. */
void perf_payload_init_letters(struct perf_payload *payload, size_t bytes);

/* The index of the record as text. */
void perf_payload_init_numbers(struct perf_payload *payload);

/* The pieces of `text`, which must outlive the payload, between delimiters; \n, \t and \\ in a
 * delimiter mean what they mean in C. */
void perf_payload_init_file(struct perf_payload *payload, const char *text, size_t bytes,
    const char *delimiter);

void perf_payload_fini(struct perf_payload *payload);

/* The next record's value, valid until the one after it. */
struct ot_bytes perf_payload_next(struct perf_payload *payload, uint64_t index);

#endif
