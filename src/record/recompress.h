/* Writes a batch again: in another codec, with other offsets, with a delete horizon.
 *
 * All else stays: offsets and their gaps, timestamps, keys, values, headers, the producer's fields,
 * leader epoch and flags. Where only the codec changes, the records move as one piece of bytes and
 * are not looked at.
 */
#ifndef OT_RECORD_RECOMPRESS_H
#define OT_RECORD_RECOMPRESS_H

#include "record/build.h"

struct ot_recompress_options {
	enum ot_compression compression;
	int32_t compression_level;
	size_t bytes_max;          /* that the batch may open to; 0 for 2 GiB - 1 */
	bool is_renumbered;        /* offsets become base, base + 1, ... */
	ot_wall_ms delete_horizon; /* to set; OT_NO_TIMESTAMP leaves the batch's own */
};

/* Appends the new batch to `out`. The batch was parsed, its CRC is right. Errors of the iterator
 * and the builder; `out` is as before then. @owner the context's   @blocks never */
ot_err ot_batch_recompress(struct ot_codec_ctx *ctx, const uint8_t *batch,
    const struct ot_batch_info *info, const struct ot_recompress_options *options,
    struct ot_writer *out, struct ot_batch_info *ret_info, struct ot_why *why) OT_MUST_USE;

#endif
