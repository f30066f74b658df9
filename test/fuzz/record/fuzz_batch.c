/* Goal: no batch, however its fields lie, is read beyond its bytes or its bound; what can be read
 * can be written again, in another codec and with other offsets, and holds the same then.
 * Method: the first byte picks what is done; the rest is a batch whose length, magic and CRC are
 * made right unless the byte says otherwise, so that the input reaches the records. */
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "record/check.h"
#include "record/control.h"
#include "record/legacy.h"
#include "record/recompress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
	MODE_AS_IS = 0x80, /* nothing is made right */
	MODE_RENUMBER = 0x40,
	MODE_HORIZON = 0x20,
	MODE_DOWN = 0x10,
	OPENED_BYTES_MAX = 1024 * 1024,
};

static void
make_right(uint8_t *batch, size_t bytes)
{
	if (bytes < OT_BATCH_HEADER_BYTES)
		return;
	ot_put_u32(batch + OT_BATCH_LENGTH_AT, (uint32_t)(bytes - OT_BATCH_PREFIX_BYTES));
	batch[OT_BATCH_MAGIC_AT] = OT_MAGIC_V2;
	ot_put_u32(batch + OT_BATCH_CRC_AT,
	    ot_crc32c(0, batch + OT_BATCH_ATTRIBUTES_AT, bytes - OT_BATCH_ATTRIBUTES_AT));
}

/* Walks all records and headers; a sum over every byte touches each view's ends. */
static ot_err
read_all(struct ot_codec_ctx *ctx, const uint8_t *batch, const struct ot_batch_info *info,
    int32_t *ret_count, uint32_t *ret_sum)
{
	struct ot_record_iter_options options = { .ctx = ctx, .bytes_max = OPENED_BYTES_MAX };
	struct ot_record_iter iter;
	struct ot_record record;
	struct ot_header header;
	struct ot_why why;
	*ret_count = 0;
	*ret_sum = 0;
	ot_err err = ot_record_iter_open(&iter, batch, info, &options, &why);
	if (err != OT_OK)
		return err;
	for (; ot_record_iter_next(&iter, &record); ++*ret_count) {
		if (record.key.len > 0)
			*ret_sum = ot_crc32c(*ret_sum, record.key.data, (size_t)record.key.len);
		if (record.value.len > 0)
			*ret_sum = ot_crc32c(*ret_sum, record.value.data, (size_t)record.value.len);
		struct ot_bytes left = record.headers;
		int32_t headers = 0;
		for (; ot_headers_next(&left, &header); headers++)
			*ret_sum = ot_crc32c(*ret_sum, header.key.data, (size_t)header.key.len);
		OT_ASSERT(headers == record.header_count);
		OT_ASSERT(record.offset >= info->base_offset);
		OT_ASSERT(record.offset <= ot_batch_info_last_offset(info));
	}
	return ot_record_iter_close(&iter);
}

static void
check_rules(struct ot_codec_ctx *ctx, const uint8_t *batch, const struct ot_batch_info *info,
    ot_err expected, int32_t count)
{
	struct ot_arena arena;
	struct ot_record_check check;
	struct ot_why why;
	ot_arena_init(&arena, OPENED_BYTES_MAX);
	struct ot_record_rules rules = {
		.now = 1700000000000,
		.timestamp_before_ms_max = 1000,
		.timestamp_after_ms_max = INT64_MAX,
		.is_key_required = true,
		.ctx = ctx,
		.bytes_max = OPENED_BYTES_MAX,
		.arena = &arena,
	};
	ot_err err = ot_batch_check_records(batch, info, &rules, &check, &why);
	if (expected != OT_OK)
		OT_ASSERT(err == expected);
	else if (err == OT_ERR_INVALID_RECORD || err == OT_ERR_INVALID_TIMESTAMP)
		OT_ASSERT(check.error_count <= count && check.error_list_count > 0);
	ot_arena_fini(&arena);
}

static void
write_again(struct ot_codec_ctx *ctx, uint8_t mode, const uint8_t *batch,
    const struct ot_batch_info *info, int32_t count, uint32_t sum)
{
	struct ot_recompress_options options = {
		.compression = (enum ot_compression)(mode % OT_COMPRESSION_COUNT),
		.compression_level = 1,
		.bytes_max = OPENED_BYTES_MAX,
		.is_renumbered = (mode & MODE_RENUMBER) != 0,
		.delete_horizon = (mode & MODE_HORIZON) != 0 ? 1800000000000 : OT_NO_TIMESTAMP,
	};
	struct ot_batch_info again;
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_LEADER, .is_only = true };
	struct ot_writer out;
	struct ot_why why;
	ot_writer_init(&out);
	ot_err err = ot_batch_recompress(ctx, batch, info, &options, &out, &again, &why);
	OT_ASSERT(err == OT_OK || err == OT_ERR_INVALID_RECORD || err == OT_ERR_MESSAGE_TOO_LARGE);
	if (err == OT_OK) {
		int32_t count_again;
		uint32_t sum_again;
		err = ot_batch_validate(out.data, out.bytes, &rules, &again, &why);
		OT_ASSERT(err == OT_OK);
		/* A timestamp far from the base may take more bytes when the base moves. */
		err = read_all(ctx, out.data, &again, &count_again, &sum_again);
		OT_ASSERT(err == OT_ERR_RECORD_LIST_TOO_LARGE ||
			  (err == OT_OK && count_again == count && sum_again == sum));
	}
	ot_writer_reset(&out);
	if ((mode & MODE_DOWN) != 0) {
		struct ot_legacy_down_options down = { .magic = (int8_t)(mode & 1),
			.bytes_max = OPENED_BYTES_MAX };
		err = ot_batch_to_legacy(ctx, batch, info, &down, &out, &why);
		OT_ASSERT(err == OT_OK || out.bytes == 0);
	}
	ot_writer_fini(&out);
}

static void
try_batch(struct ot_codec_ctx *ctx, uint8_t mode, const uint8_t *batch, size_t bytes)
{
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_LEADER };
	struct ot_batch_info info;
	struct ot_why why;
	ot_err err = ot_batch_validate(batch, bytes, &rules, &info, &why);
	if ((mode & MODE_AS_IS) != 0 && err != OT_OK)
		err = ot_batch_parse(batch, bytes, &info, &why);
	if (err != OT_OK)
		return;
	OT_ASSERT(info.bytes <= bytes);
	int32_t count;
	uint32_t sum;
	err = read_all(ctx, batch, &info, &count, &sum);
	OT_ASSERT(err != OT_OK || count == info.record_count);
	check_rules(ctx, batch, &info, err, count);
	if (err == OT_OK)
		write_again(ctx, mode, batch, &info, count, sum);
	struct ot_end_txn_marker marker;
	if (ot_end_txn_parse(batch, &info, &marker) == OT_OK)
		OT_ASSERT(info.is_control);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct ot_codec_ctx *ctx; /* kept, as a shard keeps its own: state must not leak */
	if (ctx == NULL)
		ctx = ot_codec_ctx_create();
	if (bytes < 1)
		return 0;
	uint8_t mode = data[0];
	size_t batch_bytes = bytes - 1;
	uint8_t *batch = ot_must_alloc(batch_bytes);
	memcpy(batch, data + 1, batch_bytes);
	if ((mode & MODE_AS_IS) == 0)
		make_right(batch, batch_bytes);
	try_batch(ctx, mode, batch, batch_bytes);
	ot_free(batch);
	return 0;
}
