/* The records inside a batch of magic 2.
 *
 *   varint   length of what follows
 *   int8     attributes: none is in use
 *   varlong  timestamp minus the batch's base timestamp
 *   varint   offset minus the batch's base offset
 *   varint   key length, -1 for null; the key
 *   varint   value length, -1 for null; the value
 *   varint   number of headers; for each: varint length and key (never null), varint length and
 *            value (-1 for null)
 *
 * Of an uncompressed batch the records are views of the batch itself. A compressed one is opened
 * through a window of 64 KiB in the codec context, which grows when a single record is longer: so
 * memory follows the longest record and not the batch, and a view ends with the next call. A bound
 * on all that comes out is given at the start.
 *
 *   struct ot_record_iter iter;
 *   err = ot_record_iter_open(&iter, batch, &info, &(struct ot_record_iter_options){...}, why);
 *   while (err == OT_OK && ot_record_iter_next(&iter, &record))
 *           ...
 *   if (err == OT_OK)
 *           err = ot_record_iter_close(&iter);
 */
#ifndef OT_RECORD_ITERATE_H
#define OT_RECORD_ITERATE_H

#include "record/batch.h"

struct ot_record {
	int64_t offset;
	int64_t timestamp;        /* what consumers see: the append time where that is the type */
	int64_t create_timestamp; /* what the producer gave; the append time hides it */
	int32_t sequence;         /* OT_NO_SEQUENCE without a producer */
	int32_t header_count;
	struct ot_bytes key;
	struct ot_bytes value;
	struct ot_bytes headers; /* header_count of them, checked: ot_headers_next() reads them */
	size_t bytes;            /* of the record, with its length in front */
	int8_t attributes;
};

struct ot_header {
	struct ot_str key;
	struct ot_bytes value;
};

struct ot_record_iter_options {
	struct ot_codec_ctx *ctx; /* needed for compressed batches; one iterator at a time */
	size_t bytes_max;         /* that a compressed batch may open to; 0 for 2 GiB - 1 */
};

struct ot_record_iter {
	struct ot_batch_info info;
	struct ot_codec_ctx *ctx; /* NULL for an uncompressed batch */
	const uint8_t *next;      /* in the batch or in the window */
	const uint8_t *end;
	bool is_last_seen; /* nothing comes after `end` */
	int32_t read_count;
	uint64_t bytes_read; /* of records, opened */
	ot_err err;
	struct ot_why *why;
};

/* Begins with the first record. The batch must be whole, info its parsed header; the batch and
 * `why`, which may be NULL, must outlive the iteration. Errors of ot_decompress_open(), after which
 * nothing is to be closed. @owner the context's   @blocks never */
ot_err ot_record_iter_open(struct ot_record_iter *iter, const uint8_t *batch,
    const struct ot_batch_info *info, const struct ot_record_iter_options *options,
    struct ot_why *why) OT_MUST_USE;

/* The next record; false after the last and after an error, which the close tells. Views in the
 * record end with the next call when the batch is compressed, with the batch otherwise.
 * @owner the context's   @blocks never */
bool ot_record_iter_next(struct ot_record_iter *iter, struct ot_record *ret_record);

/* Ends the iteration at any point. OT_OK, or why the records ended early: INVALID_RECORD when they
 * are not what the format or the batch's header says, CORRUPT_MESSAGE, RECORD_LIST_TOO_LARGE and
 * NO_MEMORY from the decompression. @owner the context's */
ot_err ot_record_iter_close(struct ot_record_iter *iter) OT_MUST_USE;

/* Takes the first header off `headers`, a copy of record.headers; false when none is left.
 * @owner any thread */
bool ot_headers_next(struct ot_bytes *headers, struct ot_header *ret_header);

#endif
