#include "log/scan_int.h"

#include <inttypes.h>

#include "base/crc.h"
#include "base/plant.h"
#include "base/panic.h"

/* A message of magic 0 and 1, behind offset and size:
 *   12  CRC-32 of all from 16 on   16  magic   17  attributes   18  int64 timestamp (magic 1) */
enum {
	LEGACY_CRC_AT = 12,
	LEGACY_TIMESTAMP_AT = 18,
	LEGACY_HEADER_BYTES = 26,
	HEADER_READ_BYTES = 128, /* of a header alone, when batches are large */
};

void
log_scan_init(struct log_scan *scan, struct ot_file *file, uint64_t place, uint64_t end,
    uint8_t *window, size_t window_bytes)
{
	OT_ASSERT(window_bytes >= LOG_SCAN_WINDOW_SMALL && place <= end);
	*scan = (struct log_scan){
		.file = file,
		.place = place,
		.end = end,
		.window = window,
		.window_capacity = window_bytes,
	};
}

void
log_scan_expect(struct log_scan *scan, size_t bytes)
{
	scan->bytes_before = bytes;
}

/* Lets the window hold [place, place + bytes), or what the file has of it. */
static ot_err
look(struct log_scan *scan, uint64_t place, size_t bytes, size_t read_bytes, const uint8_t **ret_at,
    size_t *ret_have)
{
	OT_ASSERT(bytes <= scan->window_capacity);
	uint64_t window_end = scan->window_place + scan->window_bytes;
	if (place < scan->window_place || place + bytes > window_end) {
		size_t wanted =
		    (size_t)OT_MIN((uint64_t)OT_MAX(bytes, read_bytes), scan->end - place);
		size_t got = 0;
		ot_err err = ot_file_read(scan->file, scan->window, wanted, place, &got);
		if (err != OT_OK)
			return err;
		scan->window_place = place;
		scan->window_bytes = got;
	}
	*ret_at = scan->window + (place - scan->window_place);
	*ret_have = OT_MIN(bytes, scan->window_bytes - (size_t)(place - scan->window_place));
	return OT_OK;
}

/* How much to read when the window must move: the whole of it when the next headers are likely in
 * there, little when batches are larger than that. */
static size_t
read_ahead_bytes(const struct log_scan *scan)
{
	if (scan->is_checking || scan->bytes_before < scan->window_capacity)
		return scan->window_capacity;
	return HEADER_READ_BYTES;
}

bool
log_scan_is_cold(const struct log_scan *scan)
{
	uint64_t header_end = OT_MIN(scan->place + OT_BATCH_HEADER_BYTES, scan->end);
	if (scan->place >= scan->window_place &&
	    header_end <= scan->window_place + scan->window_bytes)
		return false;
	uint64_t bytes = OT_MIN((uint64_t)read_ahead_bytes(scan), scan->end - scan->place);
	return !ot_file_is_cached(scan->file, scan->place, bytes);
}

static ot_err
read_legacy(const uint8_t *at, size_t have, const struct ot_batch_peek *peek,
    struct log_scan_batch *ret_batch)
{
	if (peek->magic == OT_MAGIC_V1 && have < LEGACY_HEADER_BYTES)
		return OT_ERR_CORRUPT_FILE;
	ret_batch->base_offset = ret_batch->last_offset = peek->offset;
	ret_batch->max_timestamp = peek->magic == OT_MAGIC_V1
	                               ? (int64_t)ot_get_u64(at + LEGACY_TIMESTAMP_AT)
	                               : OT_NO_TIMESTAMP;
	return peek->offset >= 0 && peek->offset < INT64_MAX ? OT_OK : OT_ERR_CORRUPT_FILE;
}

static ot_err
read_header(const uint8_t *at, struct log_scan_batch *ret_batch, struct ot_why *why)
{
	ot_err err = ot_batch_parse_header(at, &ret_batch->info, why);
	if (err != OT_OK)
		return OT_ERR_CORRUPT_FILE;
	ret_batch->base_offset = ret_batch->info.base_offset;
	ret_batch->last_offset = ot_batch_info_last_offset(&ret_batch->info);
	ret_batch->max_timestamp = ret_batch->info.max_timestamp;
	/* There always is an offset that follows. */
	if (ret_batch->last_offset == INT64_MAX) {
		ot_why_set(why, "the batch there has the last possible offset");
		return OT_ERR_CORRUPT_FILE;
	}
	return OT_OK;
}

/* The CRC over the batch, through the window piece by piece. */
static ot_err
check_crc(struct log_scan *scan, const struct log_scan_batch *batch, uint32_t stored,
    struct ot_why *why)
{
	bool is_legacy = batch->magic != OT_MAGIC_V2;
	uint64_t place = batch->place + (is_legacy ? (uint64_t)OT_BATCH_MAGIC_AT
						   : (uint64_t)OT_BATCH_ATTRIBUTES_AT);
	uint64_t end = batch->place + batch->bytes;
	uint32_t crc = 0;
	while (place < end) {
		size_t wanted = (size_t)OT_MIN(end - place, (uint64_t)scan->window_capacity);
		const uint8_t *at = NULL;
		size_t have = 0;
		uint64_t window_end = scan->window_place + scan->window_bytes;
		/* What is left in the window first, so that nothing is read twice. */
		if (place >= scan->window_place && place < window_end)
			wanted = (size_t)OT_MIN((uint64_t)wanted, window_end - place);
		ot_err err = look(scan, place, wanted, scan->window_capacity, &at, &have);
		if (err != OT_OK)
			return err;
		if (have < wanted)
			break;
		crc = is_legacy ? ot_crc32(crc, at, have) : ot_crc32c(crc, at, have);
		place += have;
	}
	if (place == end && (crc == stored || OT_PLANT(TORN_TAIL)))
		return OT_OK;
	ot_why_set(why, "the CRC of the batch with offset %" PRId64 " is not that of its bytes",
	    batch->base_offset);
	return OT_ERR_CORRUPT_FILE;
}

/* Reads the header at scan->place into `ret_batch`, and the CRC that it states. */
static ot_err
read_batch(struct log_scan *scan, struct log_scan_batch *ret_batch, uint32_t *ret_crc,
    struct ot_why *why)
{
	const uint8_t *at = NULL;
	size_t have = 0;
	struct ot_batch_peek peek;
	uint64_t left = scan->end - scan->place;
	ot_err err =
	    look(scan, scan->place, OT_BATCH_HEADER_BYTES, read_ahead_bytes(scan), &at, &have);
	if (err != OT_OK)
		return err;
	if (have < OT_BATCH_PEEK_BYTES || ot_batch_peek(at, have, &peek) != OT_OK) {
		ot_why_set(why, "no batch begins there (%" PRIu64 " bytes are left)", left);
		return OT_ERR_CORRUPT_FILE;
	}
	if (peek.bytes > left) {
		ot_why_set(why, "the batch there has %zu bytes and the file only %" PRIu64 " more",
		    peek.bytes, left);
		return OT_ERR_CORRUPT_FILE;
	}
	*ret_batch = (struct log_scan_batch){
		.place = scan->place,
		.bytes = peek.bytes,
		.magic = peek.magic,
	};
	if (peek.magic == OT_MAGIC_V2) {
		err = read_header(at, ret_batch, why);
		*ret_crc = ret_batch->info.crc;
		return err;
	}
	*ret_crc = ot_get_u32(at + LEGACY_CRC_AT);
	err = read_legacy(at, have, &peek, ret_batch);
	if (err != OT_OK)
		ot_why_set(why, "the message of the old format there has no valid header");
	return err;
}

ot_err
log_scan_next(struct log_scan *scan, struct log_scan_batch *ret_batch, struct ot_why *why)
{
	*ret_batch = (struct log_scan_batch){ .place = scan->place };
	if (scan->place == scan->end)
		return OT_OK;
	struct log_scan_batch batch;
	uint32_t crc = 0;
	ot_err err = read_batch(scan, &batch, &crc, why);
	if (err == OT_OK && scan->is_checking)
		err = check_crc(scan, &batch, crc, why);
	if (err != OT_OK)
		return err;
	scan->place += batch.bytes;
	scan->bytes_before = batch.bytes;
	*ret_batch = batch;
	return OT_OK;
}

ot_err
log_scan_read(const struct log_scan *scan, const struct log_scan_batch *batch, uint8_t *to,
    size_t capacity)
{
	if (batch->bytes > capacity)
		return OT_ERR_CORRUPT_FILE;
	size_t got = 0;
	ot_err err = ot_file_read(scan->file, to, batch->bytes, batch->place, &got);
	if (err == OT_OK && got < batch->bytes)
		err = OT_ERR_CORRUPT_FILE;
	return err;
}
