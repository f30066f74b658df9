/* Goal: no message set is read beyond its bytes or its bound; what can be read becomes a batch and
 * a message set again. Method: the first byte picks what is done; the rest is a set whose CRCs are
 * made right unless the byte says otherwise, as it is or as the inside of a wrapper. */
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "record/legacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
	MODE_AS_IS = 0x80,   /* no CRC is made right */
	MODE_WRAPPED = 0x40, /* the input is what a wrapper holds */
	MODE_KEEP = 0x20,    /* conversion keeps the offsets */
	MODE_CUT = 0x10,     /* a cut end is allowed */
	OPENED_BYTES_MAX = 1024 * 1024,
};

static void
make_right(uint8_t *set, size_t bytes)
{
	struct ot_batch_peek peek;
	while (ot_batch_peek(set, bytes, &peek) == OT_OK && peek.bytes <= bytes) {
		ot_put_u32(set + OT_MESSAGE_CRC_AT,
		    ot_crc32(0, set + OT_MESSAGE_MAGIC_AT, peek.bytes - OT_MESSAGE_MAGIC_AT));
		set += peek.bytes;
		bytes -= peek.bytes;
	}
}

/* One wrapper of lz4 around the bytes; its offset comes from their first ones. */
static void
wrap(struct ot_codec_ctx *ctx, const uint8_t *data, size_t bytes, int8_t magic,
    struct ot_writer *out)
{
	struct ot_compress_to to = { OT_COMPRESSION_LZ4, OT_COMPRESSION_LEVEL_DEFAULT, magic };
	struct ot_writer value;
	ot_writer_init(&value);
	ot_err err = ot_compress(ctx, &to, data, bytes, &value);
	OT_ASSERT(err == OT_OK);
	ot_write_i64(out, bytes > 0 ? (int8_t)data[bytes / 2] : 0);
	size_t header =
	    magic == OT_MAGIC_V0 ? OT_MESSAGE_HEADER_BYTES_V0 : OT_MESSAGE_HEADER_BYTES_V1;
	ot_write_i32(out, (int32_t)(header - OT_BATCH_PREFIX_BYTES + 8 + value.bytes));
	ot_write_i32(out, 0);
	ot_write_i8(out, magic);
	ot_write_i8(out, OT_COMPRESSION_LZ4);
	if (magic == OT_MAGIC_V1)
		ot_write_i64(out, 1700000000000);
	ot_write_i32(out, -1);
	ot_write_i32(out, (int32_t)value.bytes);
	ot_write_raw(out, value.data, value.bytes);
	ot_writer_fini(&value);
	make_right(out->data, out->bytes);
}

static ot_err
read_all(struct ot_codec_ctx *ctx, uint8_t mode, const uint8_t *set, size_t bytes,
    int32_t *ret_count, uint32_t *ret_sum)
{
	struct ot_message_iter_options options = { .ctx = ctx,
		.bytes_max = OPENED_BYTES_MAX,
		.is_cut_allowed = (mode & MODE_CUT) != 0 };
	struct ot_message_iter iter;
	struct ot_record record;
	struct ot_why why;
	*ret_count = 0;
	*ret_sum = 0;
	ot_message_iter_open(&iter, set, bytes, &options, &why);
	for (; ot_message_iter_next(&iter, &record); ++*ret_count) {
		if (record.key.len > 0)
			*ret_sum = ot_crc32c(*ret_sum, record.key.data, (size_t)record.key.len);
		if (record.value.len > 0)
			*ret_sum = ot_crc32c(*ret_sum, record.value.data, (size_t)record.value.len);
	}
	return ot_message_iter_close(&iter);
}

/* Up to a batch, down to a set, which must hold the same. */
static void
convert(struct ot_codec_ctx *ctx, uint8_t mode, const uint8_t *set, size_t bytes, int32_t count,
    uint32_t sum)
{
	struct ot_legacy_up_options up = { .batch = OT_BATCH_OPTIONS_DEFAULT,
		.is_renumbered = (mode & MODE_KEEP) == 0,
		.bytes_max = OPENED_BYTES_MAX };
	struct ot_legacy_down_options down = { .magic = (int8_t)(mode & 1),
		.bytes_max = OPENED_BYTES_MAX };
	struct ot_writer batch, back;
	struct ot_batch_info info;
	struct ot_why why;
	up.batch.compression = (enum ot_compression)(mode / 2 % OT_COMPRESSION_ZSTD);
	ot_writer_init(&batch);
	ot_writer_init(&back);
	ot_err err = ot_legacy_to_batch(ctx, set, bytes, &up, &batch, &info, &why);
	OT_ASSERT(err == OT_OK || batch.bytes == 0);
	OT_ASSERT(!up.is_renumbered || count == 0 || err == OT_OK || (mode & MODE_CUT) != 0);
	if (err == OT_OK) {
		int32_t count_again;
		uint32_t sum_again;
		OT_ASSERT(info.record_count == count);
		err = ot_batch_to_legacy(ctx, batch.data, &info, &down, &back, &why);
		if (err != OT_OK && err != OT_ERR_RECORD_LIST_TOO_LARGE)
			OT_PANIC("%s: %s", ot_err_name(err), why.text);
		if (err == OT_OK)
			err = read_all(ctx, 0, back.data, back.bytes, &count_again, &sum_again);
		OT_ASSERT(err == OT_ERR_RECORD_LIST_TOO_LARGE ||
			  (err == OT_OK && count_again == count && sum_again == sum));
	}
	ot_writer_fini(&batch);
	ot_writer_fini(&back);
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
	struct ot_writer set;
	ot_writer_init(&set);
	uint8_t *copy = ot_must_alloc(bytes - 1);
	memcpy(copy, data + 1, bytes - 1);
	if ((mode & MODE_AS_IS) == 0)
		make_right(copy, bytes - 1);
	size_t copy_bytes = bytes - 1;
	const uint8_t *input = copy;
	if ((mode & MODE_WRAPPED) != 0) {
		wrap(ctx, copy, copy_bytes, (int8_t)(mode & 1), &set);
		input = set.data;
		copy_bytes = set.bytes;
	}
	int32_t count;
	uint32_t sum;
	if (read_all(ctx, mode, input, copy_bytes, &count, &sum) == OT_OK)
		convert(ctx, mode, input, copy_bytes, count, sum);
	ot_free(copy);
	ot_writer_fini(&set);
	return 0;
}
