/* Record formats before 0.11, for Produce below version 3 and Fetch below version 4: message sets
 * are made batches before they reach a log, and batches message sets before they leave. Logs hold
 * batches only. */
#ifndef OT_BROKER_LEGACY_INT_H
#define OT_BROKER_LEGACY_INT_H

#include "record/legacy.h"
#include "replica/part.h"

enum { LEGACY_PRODUCE_VERSION_END = 3, LEGACY_FETCH_VERSION_END = 4 };

/* Makes one batch of a whole message set, in a blob of its own. Errors of ot_legacy_to_batch().
 * @owner the context's   @blocks never */
OT_MUST_USE ot_err legacy_make_batch(struct ot_codec_ctx *codecs, struct ot_bytes set,
    struct ot_blob **ret_blob, size_t *ret_bytes, struct ot_why *why);

/* A range of a log that is to be sent as a message set. */
struct legacy_range {
	struct ot_file *file;
	uint64_t place;
	size_t bytes;
	int64_t first_offset;
	int8_t magic;

	struct ot_writer out; /* the set; legacy_range_fini() ends it */
	ot_err err;
};

/* Reads and converts. @owner worker   @blocks: worker */
void legacy_convert_range(struct ot_codec_ctx *codecs, struct legacy_range *range);
void legacy_range_fini(struct legacy_range *range);

#endif
