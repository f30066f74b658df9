#include "record/legacy.h"

#include <inttypes.h>

#include "base/crc.h"
#include "base/panic.h"

_Static_assert((int)OT_MESSAGE_CRC_AT == (int)OT_BATCH_PREFIX_BYTES, "offset and size come first");
_Static_assert((int)OT_MESSAGE_MAGIC_AT == (int)OT_BATCH_MAGIC_AT,
    "all formats have their magic there");
_Static_assert(OT_MESSAGE_HEADER_BYTES_V0 == OT_MESSAGE_ATTRIBUTES_AT + 1, "attributes: int8");
_Static_assert(OT_MESSAGE_HEADER_BYTES_V1 == OT_MESSAGE_TIMESTAMP_AT + 8, "timestamp: int64");

enum {
	MESSAGE_ATTR_COMPRESSION = 0x07,
	MESSAGE_ATTR_LOG_APPEND_TIME = 0x08,
};

/* A length and as many bytes; -1 is null, any other negative length fails. */
static struct ot_bytes
read_nullable(struct ot_reader *in)
{
	int32_t length = ot_read_i32(in);
	if (length == -1)
		return OT_BYTES_NULL;
	if (length < 0)
		in->failed = true;
	const uint8_t *data = length >= 0 ? ot_read_raw(in, (size_t)length) : NULL;
	return (struct ot_bytes){ data, length };
}

/* All fields behind the CRC; false when key and value do not fill the message. */
static bool
read_fields(const uint8_t *data, struct ot_message *message)
{
	struct ot_reader in = ot_reader_of(data, message->bytes);
	uint8_t attributes = data[OT_MESSAGE_ATTRIBUTES_AT];
	ot_read_raw(&in, OT_MESSAGE_HEADER_BYTES_V0);
	message->compression = (enum ot_compression)(attributes & MESSAGE_ATTR_COMPRESSION);
	message->timestamp_type = OT_NO_TIMESTAMP_TYPE;
	message->timestamp = OT_NO_TIMESTAMP;
	if (message->magic == OT_MAGIC_V1) {
		bool is_append_time = (attributes & MESSAGE_ATTR_LOG_APPEND_TIME) != 0;
		message->timestamp_type = is_append_time ? OT_LOG_APPEND_TIME : OT_CREATE_TIME;
		message->timestamp = ot_read_i64(&in);
	}
	message->key = read_nullable(&in);
	message->value = read_nullable(&in);
	return !in.failed && ot_reader_left(&in) == 0;
}

ot_err
ot_message_parse(const uint8_t *data, size_t bytes, struct ot_message *ret_message,
    struct ot_why *why)
{
	struct ot_batch_peek peek;
	ot_err err = ot_batch_peek(data, bytes, &peek);
	if (err == OT_OK && peek.bytes > bytes)
		err = OT_ERR_TRUNCATED;
	if (err != OT_OK) {
		ot_why_set(why, "The message is %s.",
		    err == OT_ERR_TRUNCATED ? "cut short" : "corrupt: its size or magic");
		return err;
	}
	if (peek.magic == OT_MAGIC_V2) {
		ot_why_set(why, "A message set of magic 0 or 1 cannot hold a batch of magic 2.");
		return OT_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT;
	}
	struct ot_message message = {
		.offset = peek.offset,
		.bytes = peek.bytes,
		.magic = peek.magic,
		.crc = ot_get_u32(data + OT_MESSAGE_CRC_AT),
	};
	uint32_t crc = ot_crc32(0, data + OT_MESSAGE_MAGIC_AT, message.bytes - OT_MESSAGE_MAGIC_AT);
	if (crc != message.crc) {
		ot_why_set(why,
		    "The message is corrupt: its CRC is stated as %08" PRIx32
		    ", but computed as %08" PRIx32 ".",
		    message.crc, crc);
		return OT_ERR_CORRUPT_MESSAGE;
	}
	if (!read_fields(data, &message)) {
		ot_why_set(why, "The message is corrupt: key and value do not fill it.");
		return OT_ERR_CORRUPT_MESSAGE;
	}
	if (message.compression > OT_COMPRESSION_LZ4) {
		ot_why_set(why, "Message format v%d has no compression type %d.", message.magic,
		    (int)message.compression);
		return OT_ERR_UNSUPPORTED_COMPRESSION_TYPE;
	}
	*ret_message = message;
	return OT_OK;
}

void
ot_message_iter_open(struct ot_message_iter *iter, const uint8_t *set, size_t bytes,
    const struct ot_message_iter_options *options, struct ot_why *why)
{
	*iter = (struct ot_message_iter){
		.options = *options,
		.set = ot_reader_of(set, bytes),
		.why = why,
	};
	ot_writer_init(&iter->opened);
}

static bool
fail(struct ot_message_iter *iter, ot_err err)
{
	iter->err = err;
	iter->set.next = iter->set.end;
	iter->inner.next = iter->inner.end;
	return false;
}

static bool
fail_invalid(struct ot_message_iter *iter, const char *rule)
{
	ot_why_set(iter->why, "The compressed message with offset %" PRId64 " is not valid: %s.",
	    iter->wrapper.offset, rule);
	return fail(iter, OT_ERR_INVALID_RECORD);
}

/* Walks the entries of the opened set by their sizes. Gives the last offset; false when there is no
 * whole entry. A cut entry at the end is left out, as Java does; one that cannot be stays, so that
 * the reading meets it and says so. */
static bool
find_last_inner(struct ot_reader *inner, int64_t *ret_offset)
{
	const uint8_t *next = inner->next;
	ot_err err = OT_OK;
	while (err == OT_OK) {
		size_t left = (size_t)(inner->end - next);
		struct ot_batch_peek peek;
		err = ot_batch_peek(next, left, &peek);
		if (err == OT_OK && peek.bytes > left)
			err = OT_ERR_TRUNCATED;
		if (err == OT_OK) {
			*ret_offset = peek.offset;
			next += peek.bytes;
		}
	}
	if (err == OT_ERR_TRUNCATED)
		inner->end = next;
	return next != inner->next;
}

static bool
open_wrapper(struct ot_message_iter *iter)
{
	const struct ot_message *wrapper = &iter->wrapper;
	if (wrapper->value.len < 0)
		return fail_invalid(iter, "its value is null");
	OT_ASSERT(iter->options.ctx != NULL);
	struct ot_compressed in = {
		.compression = wrapper->compression,
		.magic = wrapper->magic,
		.data = wrapper->value.data,
		.bytes = (size_t)wrapper->value.len,
		.bytes_max = iter->options.bytes_max != 0 ? iter->options.bytes_max : INT32_MAX,
	};
	ot_writer_reset(&iter->opened);
	ot_err err = ot_decompress(iter->options.ctx, &in, &iter->opened, iter->why);
	if (err != OT_OK)
		return fail(iter, err);
	iter->inner = ot_reader_of(iter->opened.data, iter->opened.bytes);
	int64_t last = 0;
	if (!find_last_inner(&iter->inner, &last))
		return fail_invalid(iter, "it holds no messages");
	iter->inner_base = 0;
	if (wrapper->magic == OT_MAGIC_V1 && wrapper->offset != 0) {
		if (last < 0 || last > wrapper->offset)
			return fail_invalid(iter, "its offset is less than the last one inside");
		iter->inner_base = wrapper->offset - last;
	}
	return true;
}

static struct ot_record
record_of(const struct ot_message *message, int64_t offset, int64_t timestamp)
{
	return (struct ot_record){
		.offset = offset,
		.timestamp = timestamp,
		.create_timestamp = message->timestamp,
		.sequence = OT_NO_SEQUENCE,
		.key = message->key,
		.value = message->value,
		.headers = OT_BYTES_NULL,
		.bytes = message->bytes,
	};
}

static bool
next_inner(struct ot_message_iter *iter, struct ot_record *ret_record)
{
	const struct ot_message *wrapper = &iter->wrapper;
	struct ot_message message;
	ot_err err =
	    ot_message_parse(iter->inner.next, ot_reader_left(&iter->inner), &message, iter->why);
	if (err != OT_OK)
		return fail(iter, err == OT_ERR_TRUNCATED ? OT_ERR_CORRUPT_MESSAGE : err);
	if (message.compression != OT_COMPRESSION_NONE)
		return fail_invalid(iter, "a message inside it is compressed again");
	if (message.magic != wrapper->magic)
		return fail_invalid(iter, "a message inside it has another magic");
	if (message.offset > INT64_MAX - iter->inner_base)
		return fail_invalid(iter, "an offset inside it is out of range");
	bool is_append_time = wrapper->timestamp_type == OT_LOG_APPEND_TIME;
	*ret_record = record_of(&message, iter->inner_base + message.offset,
	    is_append_time ? wrapper->timestamp : message.timestamp);
	ot_read_raw(&iter->inner, message.bytes);
	iter->read_count++;
	return true;
}

bool
ot_message_iter_next(struct ot_message_iter *iter, struct ot_record *ret_record)
{
	if (iter->err == OT_OK && ot_reader_left(&iter->inner) > 0)
		return next_inner(iter, ret_record);
	if (iter->err != OT_OK || ot_reader_left(&iter->set) == 0)
		return false;
	struct ot_message message;
	ot_err err =
	    ot_message_parse(iter->set.next, ot_reader_left(&iter->set), &message, iter->why);
	if (err == OT_ERR_TRUNCATED && iter->options.is_cut_allowed)
		return fail(iter, OT_OK);
	if (err != OT_OK)
		return fail(iter, err);
	ot_read_raw(&iter->set, message.bytes);
	if (message.compression != OT_COMPRESSION_NONE) {
		iter->wrapper = message;
		return open_wrapper(iter) && next_inner(iter, ret_record);
	}
	*ret_record = record_of(&message, message.offset, message.timestamp);
	iter->read_count++;
	return true;
}

ot_err
ot_message_iter_close(struct ot_message_iter *iter)
{
	ot_writer_fini(&iter->opened);
	return iter->err;
}

void
ot_message_set_begin(struct ot_message_set_builder *builder,
    const struct ot_message_set_options *options, struct ot_codec_ctx *ctx, struct ot_writer *out)
{
	OT_ASSERT(options->magic == OT_MAGIC_V0 || options->magic == OT_MAGIC_V1);
	OT_ASSERT(options->compression == OT_COMPRESSION_NONE || ctx != NULL);
	*builder = (struct ot_message_set_builder){
		.options = *options,
		.ctx = ctx,
		.out = out,
		.start = out->bytes,
		.last_offset = -1,
		.max_timestamp = OT_NO_TIMESTAMP,
		.err = options->compression > OT_COMPRESSION_LZ4
		           ? OT_ERR_UNSUPPORTED_COMPRESSION_TYPE
		           : OT_OK,
	};
	ot_writer_init(&builder->inner);
}

static void
write_nullable(struct ot_writer *out, struct ot_bytes bytes)
{
	ot_write_i32(out, bytes.len < 0 ? -1 : bytes.len);
	if (bytes.len > 0)
		ot_write_raw(out, bytes.data, (size_t)bytes.len);
}

/* One whole entry, with its size and CRC. */
static ot_err
write_message(struct ot_writer *out, const struct ot_message *message)
{
	size_t start = out->bytes;
	unsigned attributes = (unsigned)message->compression;
	if (message->timestamp_type == OT_LOG_APPEND_TIME)
		attributes |= MESSAGE_ATTR_LOG_APPEND_TIME;
	bool is_v0 = message->magic == OT_MAGIC_V0;
	size_t bytes = is_v0 ? OT_MESSAGE_HEADER_BYTES_V0 : OT_MESSAGE_HEADER_BYTES_V1;
	bytes += 8 + (size_t)OT_MAX(message->key.len, 0) + (size_t)OT_MAX(message->value.len, 0);
	if (bytes > INT32_MAX)
		return OT_ERR_MESSAGE_TOO_LARGE;
	ot_write_i64(out, message->offset);
	ot_write_i32(out, (int32_t)(bytes - OT_BATCH_PREFIX_BYTES));
	ot_write_i32(out, 0); /* the CRC, below */
	ot_write_i8(out, message->magic);
	ot_write_i8(out, (int8_t)attributes);
	if (!is_v0)
		ot_write_i64(out, message->timestamp);
	write_nullable(out, message->key);
	write_nullable(out, message->value);
	if (out->failed)
		return OT_ERR_NO_MEMORY;
	OT_ASSERT(out->bytes - start == bytes);
	uint32_t crc =
	    ot_crc32(0, out->data + start + OT_MESSAGE_MAGIC_AT, bytes - OT_MESSAGE_MAGIC_AT);
	ot_write_i32_at(out, start + OT_MESSAGE_CRC_AT, (int32_t)crc);
	return OT_OK;
}

void
ot_message_set_append(struct ot_message_set_builder *builder, int64_t offset,
    const struct ot_record_data *record)
{
	const struct ot_message_set_options *options = &builder->options;
	OT_ASSERT(offset > builder->last_offset);
	if (builder->err != OT_OK)
		return;
	if (builder->record_count == 0)
		builder->base_offset = offset;
	bool is_wrapped = options->compression != OT_COMPRESSION_NONE;
	bool is_relative = is_wrapped && options->magic == OT_MAGIC_V1;
	struct ot_message message = {
		.offset = is_relative ? offset - builder->base_offset : offset,
		.timestamp = options->timestamp_type == OT_LOG_APPEND_TIME ? options->append_time
		                                                           : record->timestamp,
		.magic = options->magic,
		.timestamp_type =
		    options->magic == OT_MAGIC_V0 ? OT_NO_TIMESTAMP_TYPE : options->timestamp_type,
		.key = record->key,
		.value = record->value,
	};
	builder->err = write_message(is_wrapped ? &builder->inner : builder->out, &message);
	builder->last_offset = offset;
	builder->max_timestamp = OT_MAX(builder->max_timestamp, message.timestamp);
	builder->record_count++;
}

static ot_err
write_wrapper(struct ot_message_set_builder *builder)
{
	const struct ot_message_set_options *options = &builder->options;
	struct ot_compress_to to = { options->compression, options->compression_level,
		options->magic };
	struct ot_writer value;
	ot_writer_init(&value);
	ot_err err =
	    ot_compress(builder->ctx, &to, builder->inner.data, builder->inner.bytes, &value);
	if (err == OT_OK && value.bytes > INT32_MAX)
		err = OT_ERR_MESSAGE_TOO_LARGE;
	if (err == OT_OK) {
		struct ot_message wrapper = {
			.offset = builder->last_offset,
			.timestamp = builder->max_timestamp,
			.magic = options->magic,
			.compression = options->compression,
			.timestamp_type = options->magic == OT_MAGIC_V0 ? OT_NO_TIMESTAMP_TYPE
			                                                : options->timestamp_type,
			.key = OT_BYTES_NULL,
			.value = { value.data, (int32_t)value.bytes },
		};
		err = write_message(builder->out, &wrapper);
	}
	ot_writer_fini(&value);
	return err;
}

ot_err
ot_message_set_finish(struct ot_message_set_builder *builder)
{
	ot_err err = builder->err;
	bool is_wrapped = builder->options.compression != OT_COMPRESSION_NONE;
	if (err == OT_OK && is_wrapped && builder->record_count > 0)
		err = write_wrapper(builder);
	if (err != OT_OK)
		builder->out->bytes = builder->start;
	ot_writer_fini(&builder->inner);
	return err;
}
