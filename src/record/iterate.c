#include "record/iterate.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "record/compress_int.h"

enum {
	RECORD_LENGTH_BYTES_MAX = 5, /* a varint */
	/* attributes, timestamp, offset, key length, value length, header count: a byte each */
	RECORD_BODY_BYTES_MIN = 6,
};

/* A reader for the inner loop: as ot_reader, but its varints of one byte, which nearly all are,
 * cost one comparison, and nothing is called. Measured: records of 100 bytes at 8 ns against 32. */
struct cursor {
	const uint8_t *next;
	const uint8_t *end;
};

/* Reads a base-128 number of more than one byte; false past the end or beyond `bits`. */
static bool
read_long_base128(struct cursor *in, unsigned bits, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < bits && in->next < in->end; shift += 7) {
		uint8_t byte = *in->next++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static inline bool
read_varint(struct cursor *in, int32_t *ret_value)
{
	uint64_t raw;
	if (OT_LIKELY(in->next < in->end && (*in->next & 0x80) == 0))
		raw = *in->next++;
	else if (!read_long_base128(in, 32, &raw))
		return false;
	uint32_t bits = (uint32_t)raw;
	*ret_value = (int32_t)((bits >> 1) ^ (0u - (bits & 1)));
	return true;
}

static inline bool
read_varlong(struct cursor *in, int64_t *ret_value)
{
	uint64_t raw;
	if (OT_LIKELY(in->next < in->end && (*in->next & 0x80) == 0))
		raw = *in->next++;
	else if (!read_long_base128(in, 64, &raw))
		return false;
	*ret_value = (int64_t)((raw >> 1) ^ (0ull - (raw & 1)));
	return true;
}

/* A length and as many bytes. Every negative length is null, as Java reads it. */
static inline bool
read_bytes(struct cursor *in, struct ot_bytes *ret_bytes)
{
	int32_t length;
	if (!read_varint(in, &length) || length > in->end - in->next)
		return false;
	if (length < 0) {
		*ret_bytes = OT_BYTES_NULL;
		return true;
	}
	*ret_bytes = (struct ot_bytes){ in->next, length };
	in->next += length;
	return true;
}

static bool
read_header(struct cursor *in, struct ot_header *ret_header)
{
	struct ot_bytes key;
	if (!read_bytes(in, &key) || key.len < 0 || !read_bytes(in, &ret_header->value))
		return false;
	ret_header->key = (struct ot_str){ (const char *)key.data, key.len };
	return true;
}

bool
ot_headers_next(struct ot_bytes *headers, struct ot_header *ret_header)
{
	if (headers->len <= 0)
		return false;
	struct cursor in = { headers->data, headers->data + headers->len };
	bool is_read = read_header(&in, ret_header);
	OT_ASSERT(is_read); /* the iterator has checked them */
	*headers = (struct ot_bytes){ in.next, (int32_t)(in.end - in.next) };
	return true;
}

/* Reads the count and walks over the headers, so that later walks cannot fail. */
static inline bool
read_headers(struct cursor *in, struct ot_record *record)
{
	if (!read_varint(in, &record->header_count) || record->header_count < 0)
		return false;
	const uint8_t *first = in->next;
	for (int32_t i = 0; i < record->header_count; i++) {
		struct ot_header header;
		if (!read_header(in, &header))
			return false;
	}
	record->headers = (struct ot_bytes){ first, (int32_t)(in->next - first) };
	return true;
}

static bool
fail(struct ot_record_iter *iter, ot_err err)
{
	iter->err = err;
	iter->next = iter->end;
	return false;
}

static bool
fail_invalid(struct ot_record_iter *iter, const char *rule)
{
	ot_why_set(iter->why, "Record %" PRId32 " of the batch is not valid: %s.", iter->read_count,
	    rule);
	return fail(iter, OT_ERR_INVALID_RECORD);
}

/* Makes the window at least `bytes` large. Its contents move along. */
static bool
grow_window(struct ot_record_iter *iter, size_t bytes)
{
	struct ot_codec_ctx *ctx = iter->ctx;
	if (ctx->window_bytes >= bytes)
		return true;
	size_t start = ctx->window != NULL ? (size_t)(iter->next - ctx->window) : 0;
	size_t end = ctx->window != NULL ? (size_t)(iter->end - ctx->window) : 0;
	/* Doubling, since a long record usually has others like it behind it. */
	size_t wanted = OT_MAX(bytes, OT_MAX(ctx->window_bytes * 2, (size_t)RECORD_WINDOW_BYTES));
	uint8_t *window = ot_realloc(ctx->window, wanted);
	if (window == NULL) {
		ot_why_set(iter->why, "No memory for a record of %zu bytes.", bytes);
		return fail(iter, OT_ERR_NO_MEMORY);
	}
	ctx->window = window;
	ctx->window_bytes = wanted;
	iter->next = window + start;
	iter->end = window + end;
	return true;
}

/* Tries to have `bytes` bytes at iter->next; fewer are there only at the end. False on an error. */
static bool
fill(struct ot_record_iter *iter, size_t bytes)
{
	size_t have = (size_t)(iter->end - iter->next);
	if (have >= bytes || iter->is_last_seen)
		return true;
	struct ot_codec_ctx *ctx = iter->ctx;
	if (!grow_window(iter, bytes))
		return false;
	memmove(ctx->window, iter->next, have);
	iter->next = ctx->window;
	iter->end = ctx->window + have;
	size_t more;
	size_t room = ctx->window_bytes - have;
	ot_err err = ot_decompress_read(ctx, ctx->window + have, room, &more, iter->why);
	if (err != OT_OK)
		return fail(iter, err);
	iter->end += more;
	iter->is_last_seen = more < room;
	return true;
}

ot_err
ot_record_iter_open(struct ot_record_iter *iter, const uint8_t *batch,
    const struct ot_batch_info *info, const struct ot_record_iter_options *options,
    struct ot_why *why)
{
	OT_ASSERT(info->magic == OT_MAGIC_V2 && info->bytes >= OT_BATCH_HEADER_BYTES);
	*iter = (struct ot_record_iter){ .info = *info, .why = why };
	const uint8_t *records = batch + OT_BATCH_HEADER_BYTES;
	size_t bytes = info->bytes - OT_BATCH_HEADER_BYTES;
	/* A batch that compaction has emptied has no compressed data either. */
	if (info->compression == OT_COMPRESSION_NONE || info->record_count == 0) {
		iter->next = records;
		iter->end = records + bytes;
		iter->is_last_seen = true;
		return OT_OK;
	}
	OT_ASSERT(options->ctx != NULL);
	struct ot_compressed in = {
		.compression = info->compression,
		.magic = info->magic,
		.data = records,
		.bytes = bytes,
		.bytes_max = options->bytes_max != 0 ? options->bytes_max : INT32_MAX,
	};
	ot_err err = ot_decompress_open(options->ctx, &in, why);
	if (err != OT_OK)
		return err;
	iter->ctx = options->ctx;
	iter->next = iter->end = iter->ctx->window;
	return OT_OK;
}

/* After the last record that the header counts nothing may follow. */
static bool
check_end(struct ot_record_iter *iter)
{
	if (iter->err != OT_OK || !fill(iter, 1))
		return false;
	if (iter->next != iter->end)
		return fail_invalid(iter,
		    "more bytes follow the last record that the batch counts");
	return false;
}

/* A length that lies must not reserve more than the bound lets come. */
static bool
allow_length(struct ot_record_iter *iter, int32_t length)
{
	if (iter->ctx == NULL)
		return true;
	size_t have = (size_t)(iter->end - iter->next);
	if ((size_t)length <= have + record_bytes_allowed(iter->ctx))
		return true;
	ot_why_set(iter->why, "Record %" PRId32 " of the batch ends beyond the %zu bytes allowed.",
	    iter->read_count, iter->ctx->bytes_max);
	return fail(iter, OT_ERR_RECORD_LIST_TOO_LARGE);
}

/* Finds the extent of the next record: all of it at iter->next behind its length. */
static inline bool
find_body(struct ot_record_iter *iter, struct cursor *ret_body)
{
	struct cursor in = { iter->next, iter->end };
	if (OT_UNLIKELY(in.end - in.next < RECORD_LENGTH_BYTES_MAX)) {
		if (!fill(iter, RECORD_LENGTH_BYTES_MAX))
			return false;
		in = (struct cursor){ iter->next, iter->end };
	}
	int32_t length;
	if (OT_UNLIKELY(!read_varint(&in, &length)))
		return fail_invalid(iter, "the batch ends before it");
	if (OT_UNLIKELY(length < RECORD_BODY_BYTES_MIN))
		return fail_invalid(iter, "its length is too small");
	size_t prefix = (size_t)(in.next - iter->next);
	if (OT_UNLIKELY(length > in.end - in.next)) {
		if (!allow_length(iter, length) || !fill(iter, prefix + (size_t)length))
			return false;
		in = (struct cursor){ iter->next + prefix, iter->end };
		if (length > in.end - in.next)
			return fail_invalid(iter, "it is longer than the rest of the batch");
	}
	*ret_body = (struct cursor){ in.next, in.next + length };
	return true;
}

bool
ot_record_iter_next(struct ot_record_iter *iter, struct ot_record *ret_record)
{
	if (OT_UNLIKELY(iter->read_count == iter->info.record_count || iter->err != OT_OK))
		return check_end(iter);
	struct cursor in;
	if (!find_body(iter, &in))
		return false;
	const uint8_t *end = in.end;
	int64_t timestamp_delta;
	int32_t offset_delta;
	struct ot_record record;
	record.attributes = (int8_t)*in.next++;
	if (OT_UNLIKELY(!read_varlong(&in, &timestamp_delta) || !read_varint(&in, &offset_delta) ||
			!read_bytes(&in, &record.key) || !read_bytes(&in, &record.value) ||
			!read_headers(&in, &record)))
		return fail_invalid(iter, "a field reaches beyond the record");
	if (OT_UNLIKELY(in.next != end))
		return fail_invalid(iter, "its fields are shorter than the record");
	if (OT_UNLIKELY(offset_delta < 0 || offset_delta > iter->info.last_offset_delta))
		return fail_invalid(iter, "its offset lies outside the batch");
	record.offset = iter->info.base_offset + offset_delta;
	record.create_timestamp =
	    (int64_t)((uint64_t)iter->info.base_timestamp + (uint64_t)timestamp_delta);
	record.timestamp = iter->info.timestamp_type == OT_LOG_APPEND_TIME
	                       ? iter->info.max_timestamp
	                       : record.create_timestamp;
	record.sequence = iter->info.base_sequence < 0
	                      ? OT_NO_SEQUENCE
	                      : ot_sequence_add(iter->info.base_sequence, offset_delta);
	record.bytes = (size_t)(end - iter->next);
	iter->next = end;
	iter->bytes_read += record.bytes;
	iter->read_count++;
	*ret_record = record;
	return true;
}

ot_err
ot_record_iter_close(struct ot_record_iter *iter)
{
	if (iter->ctx != NULL)
		ot_decompress_close(iter->ctx);
	iter->ctx = NULL;
	return iter->err;
}
