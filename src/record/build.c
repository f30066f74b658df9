#include "record/build.h"

#include <string.h>

#include "base/panic.h"

enum {
	/* length 5, attributes 1, timestamp 10, offset 5, key and value lengths 5 each, count 5 */
	RECORD_OVERHEAD_BYTES_MAX = 36,
};

struct ot_batch_options
ot_batch_options_like(const struct ot_batch_info *info)
{
	return (struct ot_batch_options){
		.compression = info->compression,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		.timestamp_type = info->timestamp_type,
		.append_time = info->max_timestamp,
		.base_offset = info->base_offset,
		.leader_epoch = info->leader_epoch,
		.producer_id = info->producer_id,
		.producer_epoch = info->producer_epoch,
		.base_sequence = info->base_sequence,
		.is_transactional = info->is_transactional,
		.is_control = info->is_control,
		.delete_horizon = ot_batch_info_delete_horizon(info),
	};
}

void
ot_batch_builder_init(struct ot_batch_builder *builder, struct ot_codec_ctx *ctx)
{
	*builder = (struct ot_batch_builder){ .ctx = ctx };
	ot_writer_init(&builder->records);
}

void
ot_batch_builder_cancel(struct ot_batch_builder *builder)
{
	if (builder->is_open)
		builder->out->bytes = builder->start;
	builder->is_open = false;
}

void
ot_batch_builder_fini(struct ot_batch_builder *builder)
{
	ot_batch_builder_cancel(builder);
	ot_writer_fini(&builder->records);
}

void
ot_batch_builder_begin(struct ot_batch_builder *builder, const struct ot_batch_options *options,
    struct ot_writer *out)
{
	static const uint8_t header[OT_BATCH_HEADER_BYTES];
	OT_ASSERT(!builder->is_open);
	OT_ASSERT(options->base_offset >= 0);
	OT_ASSERT(options->compression == OT_COMPRESSION_NONE || builder->ctx != NULL);
	builder->options = *options;
	builder->out = out;
	builder->start = out->bytes;
	builder->base_timestamp = options->delete_horizon;
	builder->max_timestamp = OT_NO_TIMESTAMP;
	builder->max_timestamp_offset = -1;
	builder->next_offset = options->base_offset;
	builder->last_offset = options->base_offset - 1;
	builder->record_count = 0;
	builder->is_open = true;
	builder->err = OT_OK;
	ot_writer_reset(&builder->records);
	ot_write_raw(out, header, sizeof(header));
}

static size_t
nullable_bytes(int32_t length)
{
	return ot_varint_bytes(length) + (length > 0 ? (size_t)length : 0);
}

static size_t
headers_bytes(const struct ot_record_data *record)
{
	if (record->headers == NULL)
		return record->encoded_headers.len > 0 ? (size_t)record->encoded_headers.len : 0;
	size_t bytes = 0;
	for (int32_t i = 0; i < record->header_count; i++)
		bytes += nullable_bytes(record->headers[i].key.len) +
		         nullable_bytes(record->headers[i].value.len);
	return bytes;
}

size_t
ot_record_data_bytes_max(const struct ot_record_data *record)
{
	size_t headers = headers_bytes(record);
	return RECORD_OVERHEAD_BYTES_MAX + (size_t)OT_MAX(record->key.len, 0) +
	       (size_t)OT_MAX(record->value.len, 0) + headers;
}

/* The writers below put bytes where room was made for them, and give the place behind. Calls of the
 * soft writer for every field took twice as long. */

static inline uint8_t *
put_base128(uint8_t *to, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	return to;
}

static inline uint8_t *
put_varint(uint8_t *to, int32_t value)
{
	return put_base128(to, ((uint32_t)value << 1) ^ (uint32_t)(value >> 31));
}

static inline uint8_t *
put_varlong(uint8_t *to, int64_t value)
{
	return put_base128(to, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static inline uint8_t *
put_nullable(uint8_t *to, const void *data, int32_t length)
{
	to = put_varint(to, length < 0 ? -1 : length);
	if (length <= 0)
		return to;
	memcpy(to, data, (size_t)length);
	return to + length;
}

static inline uint8_t *
put_headers(uint8_t *to, const struct ot_record_data *record)
{
	to = put_varint(to, record->header_count);
	if (record->headers == NULL && record->encoded_headers.len > 0) {
		memcpy(to, record->encoded_headers.data, (size_t)record->encoded_headers.len);
		return to + record->encoded_headers.len;
	}
	for (int32_t i = 0; record->headers != NULL && i < record->header_count; i++) {
		const struct ot_header *header = &record->headers[i];
		OT_ASSERT(header->key.len >= 0);
		to = put_nullable(to, header->key.data, header->key.len);
		to = put_nullable(to, header->value.data, header->value.len);
	}
	return to;
}

/* Bytes of the record behind its length. */
static size_t
body_bytes(const struct ot_record_data *record, int64_t timestamp_delta, int32_t offset_delta)
{
	return 1 + ot_varlong_bytes(timestamp_delta) + ot_varint_bytes(offset_delta) +
	       nullable_bytes(record->key.len) + nullable_bytes(record->value.len) +
	       ot_varint_bytes(record->header_count) + headers_bytes(record);
}

/* Takes the record's timestamp into account; gives its distance from the base. */
static int64_t
note_timestamp(struct ot_batch_builder *builder, int64_t timestamp, int64_t offset)
{
	if (builder->record_count == 0 && builder->options.delete_horizon == OT_NO_TIMESTAMP)
		builder->base_timestamp = timestamp;
	if (timestamp > builder->max_timestamp) {
		builder->max_timestamp = timestamp;
		builder->max_timestamp_offset = offset;
	}
	return (int64_t)((uint64_t)timestamp - (uint64_t)builder->base_timestamp);
}

void
ot_batch_builder_append_at(struct ot_batch_builder *builder, int64_t offset,
    const struct ot_record_data *record)
{
	OT_ASSERT(builder->is_open && offset >= builder->next_offset);
	OT_ASSERT(record->header_count >= 0);
	int64_t offset_delta = offset - builder->options.base_offset;
	if (offset_delta > INT32_MAX || offset == INT64_MAX || builder->record_count == INT32_MAX)
		builder->err = OT_ERR_MESSAGE_TOO_LARGE;
	if (builder->err != OT_OK)
		return;
	int64_t timestamp_delta = note_timestamp(builder, record->timestamp, offset);
	size_t bytes = body_bytes(record, timestamp_delta, (int32_t)offset_delta);
	if (bytes > INT32_MAX || ot_batch_builder_bytes(builder) + bytes > INT32_MAX) {
		builder->err = OT_ERR_MESSAGE_TOO_LARGE;
		return;
	}
	bool is_plain = builder->options.compression == OT_COMPRESSION_NONE;
	struct ot_writer *out = is_plain ? builder->out : &builder->records;
	size_t whole = ot_varint_bytes((int32_t)bytes) + bytes;
	if (!ot_writer_reserve(out, whole)) {
		builder->err = OT_ERR_NO_MEMORY;
		return;
	}
	uint8_t *to = out->data + out->bytes;
	to = put_varint(to, (int32_t)bytes);
	*to++ = 0; /* attributes: none is in use */
	to = put_varlong(to, timestamp_delta);
	to = put_varint(to, (int32_t)offset_delta);
	to = put_nullable(to, record->key.data, record->key.len);
	to = put_nullable(to, record->value.data, record->value.len);
	to = put_headers(to, record);
	out->bytes += whole;
	OT_ASSERT(to == out->data + out->bytes);
	builder->record_count++;
	builder->next_offset = offset + 1;
	builder->last_offset = offset;
}

void
ot_batch_builder_append(struct ot_batch_builder *builder, const struct ot_record_data *record)
{
	ot_batch_builder_append_at(builder, builder->next_offset, record);
}

void
ot_batch_builder_set_last_offset(struct ot_batch_builder *builder, int64_t last_offset,
    int64_t max_timestamp)
{
	OT_ASSERT(builder->is_open && last_offset >= builder->last_offset);
	OT_ASSERT(last_offset >= builder->options.base_offset);
	if (last_offset - builder->options.base_offset > INT32_MAX)
		builder->err = OT_ERR_MESSAGE_TOO_LARGE;
	builder->last_offset = last_offset;
	builder->next_offset = last_offset + 1;
	if (builder->record_count == 0)
		builder->max_timestamp = max_timestamp;
}

size_t
ot_batch_builder_bytes(const struct ot_batch_builder *builder)
{
	OT_ASSERT(builder->is_open);
	return builder->out->failed ? OT_BATCH_HEADER_BYTES
	                            : builder->out->bytes - builder->start + builder->records.bytes;
}

static struct ot_batch_info
describe(const struct ot_batch_builder *builder)
{
	const struct ot_batch_options *options = &builder->options;
	bool is_empty = builder->record_count == 0;
	bool is_append_time = options->timestamp_type == OT_LOG_APPEND_TIME;
	return (struct ot_batch_info){
		.base_offset = options->base_offset,
		.base_timestamp = builder->base_timestamp,
		.max_timestamp = is_append_time ? options->append_time : builder->max_timestamp,
		.producer_id = options->producer_id,
		.bytes = builder->out->bytes - builder->start,
		.leader_epoch = options->leader_epoch,
		.last_offset_delta = (int32_t)(builder->last_offset - options->base_offset),
		.base_sequence = options->base_sequence,
		.record_count = builder->record_count,
		.producer_epoch = options->producer_epoch,
		.magic = OT_MAGIC_V2,
		.compression = is_empty ? OT_COMPRESSION_NONE : options->compression,
		.timestamp_type = options->timestamp_type,
		.is_transactional = options->is_transactional,
		.is_control = options->is_control,
		.has_delete_horizon = options->delete_horizon != OT_NO_TIMESTAMP,
	};
}

static ot_err
compress_records(struct ot_batch_builder *builder)
{
	if (builder->records.failed)
		return OT_ERR_NO_MEMORY;
	if (builder->options.compression == OT_COMPRESSION_NONE || builder->record_count == 0)
		return OT_OK;
	struct ot_compress_to to = {
		.compression = builder->options.compression,
		.level = builder->options.compression_level,
		.magic = OT_MAGIC_V2,
	};
	return ot_compress(builder->ctx, &to, builder->records.data, builder->records.bytes,
	    builder->out);
}

ot_err
ot_batch_builder_finish(struct ot_batch_builder *builder, struct ot_batch_info *ret_info)
{
	OT_ASSERT(builder->is_open);
	ot_err err = builder->err;
	/* Somebody must have said where an empty batch ends. */
	OT_ASSERT(err != OT_OK || builder->last_offset >= builder->options.base_offset);
	if (err == OT_OK)
		err = compress_records(builder);
	if (err == OT_OK && builder->out->failed)
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK && builder->out->bytes - builder->start > INT32_MAX)
		err = OT_ERR_MESSAGE_TOO_LARGE;
	if (err != OT_OK) {
		ot_batch_builder_cancel(builder);
		return err;
	}
	uint8_t *batch = builder->out->data + builder->start;
	struct ot_batch_info info = describe(builder);
	ot_batch_write_header(batch, &info);
	info.crc = ot_get_u32(batch + OT_BATCH_CRC_AT);
	if (ret_info != NULL)
		*ret_info = info;
	builder->is_open = false;
	return OT_OK;
}

struct ot_record_data
ot_record_to_data(const struct ot_record *record)
{
	return (struct ot_record_data){
		.timestamp = record->create_timestamp,
		.key = record->key,
		.value = record->value,
		.encoded_headers = record->headers,
		.header_count = record->header_count,
	};
}
