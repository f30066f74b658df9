#include "record/batch.h"

#include <inttypes.h>

#include "base/crc.h"
#include "base/panic.h"

_Static_assert(OT_BATCH_LENGTH_AT == OT_BATCH_BASE_OFFSET_AT + 8, "base offset: int64");
_Static_assert(OT_BATCH_LEADER_EPOCH_AT == OT_BATCH_LENGTH_AT + 4, "length: int32");
_Static_assert(OT_BATCH_MAGIC_AT == OT_BATCH_LEADER_EPOCH_AT + 4, "leader epoch: int32");
_Static_assert(OT_BATCH_CRC_AT == OT_BATCH_MAGIC_AT + 1, "magic: int8");
_Static_assert(OT_BATCH_ATTRIBUTES_AT == OT_BATCH_CRC_AT + 4, "crc: uint32");
_Static_assert(OT_BATCH_LAST_OFFSET_DELTA_AT == OT_BATCH_ATTRIBUTES_AT + 2, "attributes: int16");
_Static_assert(OT_BATCH_BASE_TIMESTAMP_AT == OT_BATCH_LAST_OFFSET_DELTA_AT + 4, "delta: int32");
_Static_assert(OT_BATCH_MAX_TIMESTAMP_AT == OT_BATCH_BASE_TIMESTAMP_AT + 8, "timestamp: int64");
_Static_assert(OT_BATCH_PRODUCER_ID_AT == OT_BATCH_MAX_TIMESTAMP_AT + 8, "timestamp: int64");
_Static_assert(OT_BATCH_PRODUCER_EPOCH_AT == OT_BATCH_PRODUCER_ID_AT + 8, "producer id: int64");
_Static_assert(OT_BATCH_BASE_SEQUENCE_AT == OT_BATCH_PRODUCER_EPOCH_AT + 2, "epoch: int16");
_Static_assert(OT_BATCH_RECORD_COUNT_AT == OT_BATCH_BASE_SEQUENCE_AT + 4, "sequence: int32");
_Static_assert(OT_BATCH_HEADER_BYTES == OT_BATCH_RECORD_COUNT_AT + 4, "record count: int32");
_Static_assert(OT_BATCH_PEEK_BYTES == OT_BATCH_MAGIC_AT + 1, "a peek ends with the magic");
_Static_assert(OT_BATCH_PREFIX_BYTES == OT_BATCH_LEADER_EPOCH_AT, "the length counts from there");

enum {
	/* Of a message in the old formats: CRC, magic, attributes, two lengths (legacy.h). */
	LEGACY_LENGTH_MIN = 14,
	BATCH_LENGTH_MIN = OT_BATCH_HEADER_BYTES - OT_BATCH_PREFIX_BYTES,
};

int32_t
ot_sequence_add(int32_t sequence, int32_t increment)
{
	if (sequence == OT_NO_SEQUENCE)
		return OT_NO_SEQUENCE;
	return (int32_t)(((uint32_t)sequence + (uint32_t)increment) & INT32_MAX);
}

int32_t
ot_batch_info_last_sequence(const struct ot_batch_info *info)
{
	return ot_sequence_add(info->base_sequence, info->last_offset_delta);
}

ot_err
ot_batch_peek(const uint8_t *data, size_t bytes, struct ot_batch_peek *ret_peek)
{
	if (bytes < OT_BATCH_PEEK_BYTES)
		return OT_ERR_TRUNCATED;
	int8_t magic = ot_batch_magic(data);
	int32_t length = (int32_t)ot_get_u32(data + OT_BATCH_LENGTH_AT);
	if (magic < OT_MAGIC_V0 || magic > OT_MAGIC_V2)
		return OT_ERR_CORRUPT_MESSAGE;
	if (length < (magic == OT_MAGIC_V2 ? BATCH_LENGTH_MIN : LEGACY_LENGTH_MIN))
		return OT_ERR_CORRUPT_MESSAGE;
	*ret_peek = (struct ot_batch_peek){
		.offset = ot_batch_base_offset(data),
		.bytes = OT_BATCH_PREFIX_BYTES + (size_t)length,
		.leader_epoch = OT_NO_LEADER_EPOCH,
		.magic = magic,
	};
	if (magic == OT_MAGIC_V2)
		ret_peek->leader_epoch = (int32_t)ot_get_u32(data + OT_BATCH_LEADER_EPOCH_AT);
	return OT_OK;
}

/* All fields as they stand there. */
static void
read_header(const uint8_t *data, struct ot_batch_info *info)
{
	uint16_t attributes = ot_get_u16(data + OT_BATCH_ATTRIBUTES_AT);
	info->base_offset = ot_batch_base_offset(data);
	info->bytes = ot_batch_bytes(data);
	info->leader_epoch = (int32_t)ot_get_u32(data + OT_BATCH_LEADER_EPOCH_AT);
	info->magic = ot_batch_magic(data);
	info->crc = ot_get_u32(data + OT_BATCH_CRC_AT);
	info->compression = (enum ot_compression)(attributes & OT_BATCH_ATTR_COMPRESSION);
	info->timestamp_type =
	    (attributes & OT_BATCH_ATTR_LOG_APPEND_TIME) != 0 ? OT_LOG_APPEND_TIME : OT_CREATE_TIME;
	info->is_transactional = (attributes & OT_BATCH_ATTR_TRANSACTIONAL) != 0;
	info->is_control = (attributes & OT_BATCH_ATTR_CONTROL) != 0;
	info->has_delete_horizon = (attributes & OT_BATCH_ATTR_DELETE_HORIZON) != 0;
	info->last_offset_delta = ot_batch_last_offset_delta(data);
	info->base_timestamp = (int64_t)ot_get_u64(data + OT_BATCH_BASE_TIMESTAMP_AT);
	info->max_timestamp = (int64_t)ot_get_u64(data + OT_BATCH_MAX_TIMESTAMP_AT);
	info->producer_id = (int64_t)ot_get_u64(data + OT_BATCH_PRODUCER_ID_AT);
	info->producer_epoch = (int16_t)ot_get_u16(data + OT_BATCH_PRODUCER_EPOCH_AT);
	info->base_sequence = (int32_t)ot_get_u32(data + OT_BATCH_BASE_SEQUENCE_AT);
	info->record_count = (int32_t)ot_get_u32(data + OT_BATCH_RECORD_COUNT_AT);
}

/* What no writer of any batch, compacted or not, can have meant. Every offset has one behind it. */
static ot_err
check_fields(const struct ot_batch_info *info, struct ot_why *why)
{
	if (info->record_count < 0 || info->last_offset_delta < 0 || info->base_offset < 0 ||
	    info->base_offset >= INT64_MAX - info->last_offset_delta) {
		ot_why_set(why,
		    "The record batch cannot be: base offset %" PRId64
		    ", last offset delta %" PRId32 ", record count %" PRId32 ".",
		    info->base_offset, info->last_offset_delta, info->record_count);
		return OT_ERR_INVALID_RECORD;
	}
	if (info->compression >= OT_COMPRESSION_COUNT) {
		ot_why_set(why, "The record batch has the unknown compression type %d.",
		    (int)info->compression);
		return OT_ERR_UNSUPPORTED_COMPRESSION_TYPE;
	}
	return OT_OK;
}

/* Finds the batch whole at `data` and reads its header, without a look at what the fields say. */
static ot_err
find_batch(const uint8_t *data, size_t bytes, struct ot_batch_info *ret_info, struct ot_why *why)
{
	struct ot_batch_peek peek;
	ot_err err = ot_batch_peek(data, bytes, &peek);
	if (err == OT_ERR_CORRUPT_MESSAGE)
		ot_why_set(why, "The record batch is corrupt: length %" PRId32 ", magic %d.",
		    (int32_t)ot_get_u32(data + OT_BATCH_LENGTH_AT), ot_batch_magic(data));
	if (err == OT_OK && peek.magic != OT_MAGIC_V2) {
		ot_why_set(why, "The message format is v%d; only v2 is possible here.", peek.magic);
		return OT_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT;
	}
	if (err == OT_OK && peek.bytes > bytes)
		err = OT_ERR_TRUNCATED;
	if (err == OT_ERR_TRUNCATED)
		ot_why_set(why, "The record batch is cut short: %zu bytes are there.", bytes);
	if (err == OT_OK)
		read_header(data, ret_info);
	return err;
}

ot_err
ot_batch_parse(const uint8_t *data, size_t bytes, struct ot_batch_info *ret_info,
    struct ot_why *why)
{
	struct ot_batch_info info;
	ot_err err = find_batch(data, bytes, &info, why);
	if (err == OT_OK)
		err = check_fields(&info, why);
	if (err == OT_OK)
		*ret_info = info;
	return err;
}

ot_err
ot_batch_parse_header(const uint8_t header[OT_BATCH_HEADER_BYTES], struct ot_batch_info *ret_info,
    struct ot_why *why)
{
	/* Parsing reads the header alone and compares the length with what is said to be there. */
	return ot_batch_parse(header, SIZE_MAX, ret_info, why);
}

static uint32_t
compute_crc(const uint8_t *batch, size_t bytes)
{
	return ot_crc32c(0, batch + OT_BATCH_ATTRIBUTES_AT, bytes - OT_BATCH_ATTRIBUTES_AT);
}

bool
ot_batch_crc_is_valid(const uint8_t *batch, const struct ot_batch_info *info)
{
	return compute_crc(batch, info->bytes) == info->crc;
}

/* What a client may not do, though the format allows it. */
static ot_err
check_client_rules(const struct ot_batch_info *info, struct ot_why *why)
{
	if (info->record_count == 0 ||
	    (int64_t)info->record_count != (int64_t)info->last_offset_delta + 1)
		ot_why_set(why,
		    "The record batch has the last offset delta %" PRId32 " and %" PRId32
		    " records; it must have at least one, and one for each offset.",
		    info->last_offset_delta, info->record_count);
	else if (info->base_offset != 0)
		ot_why_set(why,
		    "The base offset of the record batch must be 0, but is %" PRId64 ".",
		    info->base_offset);
	else if (info->is_control)
		ot_why_set(why, "Clients are not allowed to write control records.");
	else if (info->producer_id >= 0 && info->base_sequence < 0)
		ot_why_set(why,
		    "The record batch of producer id %" PRId64 " has the invalid sequence %" PRId32
		    ".",
		    info->producer_id, info->base_sequence);
	else if (info->producer_id >= 0 && info->producer_epoch < 0)
		ot_why_set(why,
		    "The record batch of producer id %" PRId64 " has the invalid epoch %d.",
		    info->producer_id, info->producer_epoch);
	else
		return OT_OK;
	return OT_ERR_INVALID_RECORD;
}

/* The batch as bytes: alone, not too large, and what its CRC says. */
static ot_err
check_bytes(const uint8_t *data, size_t bytes, const struct ot_batch_rules *rules,
    const struct ot_batch_info *info, struct ot_why *why)
{
	if (rules->is_only && info->bytes != bytes) {
		ot_why_set(why,
		    "There must be exactly one record batch, but %zu bytes follow the first.",
		    bytes - info->bytes);
		return OT_ERR_INVALID_RECORD;
	}
	if (rules->bytes_max != 0 && info->bytes > rules->bytes_max) {
		ot_why_set(why,
		    "The record batch has %zu bytes, more than the limit of %zu "
		    "(max.message.bytes).",
		    info->bytes, rules->bytes_max);
		return OT_ERR_MESSAGE_TOO_LARGE;
	}
	uint32_t crc = compute_crc(data, info->bytes);
	if (crc != info->crc) {
		ot_why_set(why,
		    "The record batch is corrupt: its CRC is stated as %08" PRIx32
		    ", but computed as %08" PRIx32 ".",
		    info->crc, crc);
		return OT_ERR_CORRUPT_MESSAGE;
	}
	return OT_OK;
}

ot_err
ot_batch_validate(const uint8_t *data, size_t bytes, const struct ot_batch_rules *rules,
    struct ot_batch_info *ret_info, struct ot_why *why)
{
	struct ot_batch_info info;
	ot_err err = find_batch(data, bytes, &info, why);
	if (err == OT_ERR_TRUNCATED)
		return OT_ERR_CORRUPT_MESSAGE; /* a peer sends whole batches */
	/* The CRC comes before the fields: of a damaged batch nothing else can be said. */
	if (err == OT_OK)
		err = check_bytes(data, bytes, rules, &info, why);
	if (err == OT_OK)
		err = check_fields(&info, why);
	if (err != OT_OK)
		return err;
	if (rules->is_zstd_refused && info.compression == OT_COMPRESSION_ZSTD) {
		ot_why_set(why, "This version of the request may not carry zstd (KIP-110).");
		return OT_ERR_UNSUPPORTED_COMPRESSION_TYPE;
	}
	if (rules->origin == OT_ORIGIN_CLIENT)
		err = check_client_rules(&info, why);
	if (err == OT_OK)
		*ret_info = info;
	return err;
}

void
ot_batch_set_base_offset(uint8_t *batch, int64_t offset)
{
	OT_ASSERT(offset >= 0);
	ot_put_u64(batch + OT_BATCH_BASE_OFFSET_AT, (uint64_t)offset);
}

void
ot_batch_set_leader_epoch(uint8_t *batch, int32_t epoch)
{
	ot_put_u32(batch + OT_BATCH_LEADER_EPOCH_AT, (uint32_t)epoch);
}

static void
put_crc(uint8_t *batch)
{
	ot_put_u32(batch + OT_BATCH_CRC_AT, compute_crc(batch, ot_batch_bytes(batch)));
}

void
ot_batch_set_max_timestamp(uint8_t *batch, enum ot_timestamp_type type, int64_t timestamp)
{
	OT_ASSERT(type == OT_CREATE_TIME || type == OT_LOG_APPEND_TIME);
	OT_ASSERT(ot_batch_magic(batch) == OT_MAGIC_V2);
	uint16_t before = ot_get_u16(batch + OT_BATCH_ATTRIBUTES_AT);
	uint16_t attributes = before & (uint16_t)~OT_BATCH_ATTR_LOG_APPEND_TIME;
	if (type == OT_LOG_APPEND_TIME)
		attributes |= OT_BATCH_ATTR_LOG_APPEND_TIME;
	if (attributes == before &&
	    (int64_t)ot_get_u64(batch + OT_BATCH_MAX_TIMESTAMP_AT) == timestamp)
		return;
	ot_put_u16(batch + OT_BATCH_ATTRIBUTES_AT, attributes);
	ot_put_u64(batch + OT_BATCH_MAX_TIMESTAMP_AT, (uint64_t)timestamp);
	put_crc(batch);
}

bool
ot_batch_set_delete_horizon(uint8_t *batch, ot_wall_ms horizon)
{
	OT_ASSERT(horizon >= 0);
	uint16_t attributes = ot_get_u16(batch + OT_BATCH_ATTRIBUTES_AT);
	if ((attributes & OT_BATCH_ATTR_LOG_APPEND_TIME) == 0 &&
	    ot_get_u32(batch + OT_BATCH_RECORD_COUNT_AT) != 0)
		return false;
	ot_put_u16(batch + OT_BATCH_ATTRIBUTES_AT, attributes | OT_BATCH_ATTR_DELETE_HORIZON);
	ot_put_u64(batch + OT_BATCH_BASE_TIMESTAMP_AT, (uint64_t)horizon);
	put_crc(batch);
	return true;
}

int64_t
ot_batch_info_delete_horizon(const struct ot_batch_info *info)
{
	return info->has_delete_horizon ? info->base_timestamp : OT_NO_TIMESTAMP;
}

static uint16_t
pack_attributes(const struct ot_batch_info *info)
{
	unsigned attributes = (unsigned)info->compression;
	if (info->timestamp_type == OT_LOG_APPEND_TIME)
		attributes |= OT_BATCH_ATTR_LOG_APPEND_TIME;
	if (info->is_transactional)
		attributes |= OT_BATCH_ATTR_TRANSACTIONAL;
	if (info->is_control)
		attributes |= OT_BATCH_ATTR_CONTROL;
	if (info->has_delete_horizon)
		attributes |= OT_BATCH_ATTR_DELETE_HORIZON;
	return (uint16_t)attributes;
}

void
ot_batch_write_header(uint8_t *batch, const struct ot_batch_info *info)
{
	OT_ASSERT(info->magic == OT_MAGIC_V2 && info->compression < OT_COMPRESSION_COUNT);
	OT_ASSERT(info->timestamp_type != OT_NO_TIMESTAMP_TYPE);
	OT_ASSERT(info->bytes >= OT_BATCH_HEADER_BYTES && info->bytes <= INT32_MAX);
	OT_ASSERT(info->record_count >= 0 && info->last_offset_delta >= 0);
	ot_put_u64(batch + OT_BATCH_BASE_OFFSET_AT, (uint64_t)info->base_offset);
	ot_put_u32(batch + OT_BATCH_LENGTH_AT, (uint32_t)(info->bytes - OT_BATCH_PREFIX_BYTES));
	ot_put_u32(batch + OT_BATCH_LEADER_EPOCH_AT, (uint32_t)info->leader_epoch);
	batch[OT_BATCH_MAGIC_AT] = (uint8_t)info->magic;
	ot_put_u16(batch + OT_BATCH_ATTRIBUTES_AT, pack_attributes(info));
	ot_put_u32(batch + OT_BATCH_LAST_OFFSET_DELTA_AT, (uint32_t)info->last_offset_delta);
	ot_put_u64(batch + OT_BATCH_BASE_TIMESTAMP_AT, (uint64_t)info->base_timestamp);
	ot_put_u64(batch + OT_BATCH_MAX_TIMESTAMP_AT, (uint64_t)info->max_timestamp);
	ot_put_u64(batch + OT_BATCH_PRODUCER_ID_AT, (uint64_t)info->producer_id);
	ot_put_u16(batch + OT_BATCH_PRODUCER_EPOCH_AT, (uint16_t)info->producer_epoch);
	ot_put_u32(batch + OT_BATCH_BASE_SEQUENCE_AT, (uint32_t)info->base_sequence);
	ot_put_u32(batch + OT_BATCH_RECORD_COUNT_AT, (uint32_t)info->record_count);
	put_crc(batch);
}
