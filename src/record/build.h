/* Builds batches of magic 2 at the end of a writer.
 *
 *   struct ot_batch_builder builder;
 *   ot_batch_builder_init(&builder, ctx);
 *   ot_batch_builder_begin(&builder, &options, &out);
 *   ot_batch_builder_append(&builder, &record);      once or more
 *   err = ot_batch_builder_finish(&builder, &info);  the batch is in `out`; begin the next, or
 *   ot_batch_builder_fini(&builder);
 *
 * An uncompressed batch is written in place. The records of a compressed one are gathered in a
 * buffer of the builder, which is kept for the next, and compressed as a whole by the finish.
 * Errors are soft, as the writer's: the finish tells.
 */
#ifndef OT_RECORD_BUILD_H
#define OT_RECORD_BUILD_H

#include "record/iterate.h"

struct ot_batch_options {
	enum ot_compression compression;
	int32_t compression_level; /* OT_COMPRESSION_LEVEL_DEFAULT, or the codec's */
	enum ot_timestamp_type timestamp_type;
	ot_wall_ms append_time; /* the batch's max timestamp with OT_LOG_APPEND_TIME */
	int64_t base_offset;
	int32_t leader_epoch;
	int64_t producer_id;
	int16_t producer_epoch;
	int32_t base_sequence;
	bool is_transactional;
	bool is_control;
	ot_wall_ms delete_horizon; /* OT_NO_TIMESTAMP for none */
};

/* For clients' and internal batches: no compression, CreateTime, no producer. */
#define OT_BATCH_OPTIONS_DEFAULT                                                       \
	((struct ot_batch_options){ .compression_level = OT_COMPRESSION_LEVEL_DEFAULT, \
	    .append_time = OT_NO_TIMESTAMP,                                            \
	    .leader_epoch = OT_NO_LEADER_EPOCH,                                        \
	    .producer_id = OT_NO_PRODUCER_ID,                                          \
	    .producer_epoch = OT_NO_PRODUCER_EPOCH,                                    \
	    .base_sequence = OT_NO_SEQUENCE,                                           \
	    .delete_horizon = OT_NO_TIMESTAMP })

/* A record to append. Headers come as an array, or as the bytes that an iterator gave. */
struct ot_record_data {
	int64_t timestamp;
	struct ot_bytes key;
	struct ot_bytes value;
	const struct ot_header *headers; /* header_count of them, or NULL */
	struct ot_bytes encoded_headers; /* when headers is NULL: header_count of them, encoded */
	int32_t header_count;
};

struct ot_batch_builder {
	struct ot_batch_options options;
	struct ot_codec_ctx *ctx;
	struct ot_writer *out;
	struct ot_writer records; /* of a compressed batch, before compression */
	size_t start;             /* of the batch in out */
	int64_t base_timestamp;
	int64_t max_timestamp;
	int64_t max_timestamp_offset; /* the first offset that has it */
	int64_t next_offset;
	int64_t last_offset; /* of the batch: may lie behind the last record's after compaction */
	int32_t record_count;
	bool is_open;
	ot_err err;
};

/* Options for a batch like that one, in all that its header says: for writing it again, as
 * compaction does. @owner any thread */
struct ot_batch_options ot_batch_options_like(const struct ot_batch_info *info);

/* `ctx` may be NULL when nothing is compressed; it is borrowed. @owner the builder's */
void ot_batch_builder_init(struct ot_batch_builder *builder, struct ot_codec_ctx *ctx);

/* Abandons an open batch (out keeps what it had before) and frees the buffer.
 * @owner the builder's */
void ot_batch_builder_fini(struct ot_batch_builder *builder);

/* Begins a batch at the end of `out`, to which nobody else writes until the finish.
 * @owner the builder's   @blocks never */
void ot_batch_builder_begin(struct ot_batch_builder *builder,
    const struct ot_batch_options *options, struct ot_writer *out);

/* Appends with the next offset. The bytes are copied. @owner the builder's   @blocks never */
void ot_batch_builder_append(struct ot_batch_builder *builder, const struct ot_record_data *record);

/* Appends with an offset of its own, greater than the one before: for compaction, which leaves
 * gaps. @owner the builder's */
void ot_batch_builder_append_at(struct ot_batch_builder *builder, int64_t offset,
    const struct ot_record_data *record);

/* Lets the batch end at an offset behind its last record's, as compaction must (batch.h). With it,
 * a batch may have no record at all: its max timestamp is then `max_timestamp`.
 * @owner the builder's */
void ot_batch_builder_set_last_offset(struct ot_batch_builder *builder, int64_t last_offset,
    int64_t max_timestamp);

/* Bytes of the batch so far, before compression. @owner the builder's */
size_t ot_batch_builder_bytes(const struct ot_batch_builder *builder);

/* An upper bound of what one more record adds to an uncompressed batch. @owner any thread */
size_t ot_record_data_bytes_max(const struct ot_record_data *record);

/* Compresses, writes the header with its CRC, and ends the batch: out->data + builder->start has
 * it, ret_info (or NULL) what its header says. NO_MEMORY; MESSAGE_TOO_LARGE beyond 2 GiB or beyond
 * what an offset delta can say. After an error `out` is as it was before the begin.
 * @owner the builder's   @blocks never */
ot_err ot_batch_builder_finish(struct ot_batch_builder *builder,
    struct ot_batch_info *ret_info) OT_MUST_USE;

/* Takes back an open batch: `out` is as it was before the begin. @owner the builder's */
void ot_batch_builder_cancel(struct ot_batch_builder *builder);

/* The record as the builder takes it, views and all. @owner any thread */
struct ot_record_data ot_record_to_data(const struct ot_record *record);

#endif
