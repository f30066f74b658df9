#include "record/recompress.h"

#include "base/panic.h"

/* The records as bytes: compressed from wherever they lie open. */
static ot_err
move_records(struct ot_codec_ctx *ctx, const uint8_t *batch, const struct ot_batch_info *info,
    const struct ot_recompress_options *options, struct ot_writer *out, struct ot_why *why)
{
	const uint8_t *records = batch + OT_BATCH_HEADER_BYTES;
	size_t bytes = info->bytes - OT_BATCH_HEADER_BYTES;
	struct ot_compress_to to = { options->compression, options->compression_level,
		info->magic };
	struct ot_compressed in = {
		.compression = info->compression,
		.magic = info->magic,
		.data = records,
		.bytes = bytes,
		.bytes_max = options->bytes_max != 0 ? options->bytes_max : INT32_MAX,
	};
	if (info->compression == OT_COMPRESSION_NONE)
		return ot_compress(ctx, &to, records, bytes, out);
	if (options->compression == OT_COMPRESSION_NONE)
		return ot_decompress(ctx, &in, out, why);
	struct ot_writer opened;
	ot_writer_init(&opened);
	ot_err err = ot_decompress(ctx, &in, &opened, why);
	if (err == OT_OK)
		err = ot_compress(ctx, &to, opened.data, opened.bytes, out);
	ot_writer_fini(&opened);
	return err;
}

static ot_err
change_codec(struct ot_codec_ctx *ctx, const uint8_t *batch, const struct ot_batch_info *info,
    const struct ot_recompress_options *options, struct ot_writer *out,
    struct ot_batch_info *ret_info, struct ot_why *why)
{
	size_t start = out->bytes;
	ot_err err = OT_OK;
	ot_write_raw(out, batch, OT_BATCH_HEADER_BYTES);
	if (info->record_count > 0)
		err = move_records(ctx, batch, info, options, out, why);
	if (err == OT_OK && out->failed)
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK && out->bytes - start > INT32_MAX)
		err = OT_ERR_MESSAGE_TOO_LARGE;
	if (err != OT_OK) {
		out->bytes = start;
		return err;
	}
	struct ot_batch_info changed = *info;
	changed.bytes = out->bytes - start;
	changed.compression = info->record_count > 0 ? options->compression : OT_COMPRESSION_NONE;
	ot_batch_write_header(out->data + start, &changed);
	changed.crc = ot_get_u32(out->data + start + OT_BATCH_CRC_AT);
	*ret_info = changed;
	return OT_OK;
}

/* Record by record, for a change that reaches into them. */
static ot_err
write_records(struct ot_batch_builder *builder, struct ot_record_iter *iter, bool is_renumbered)
{
	struct ot_record record;
	while (ot_record_iter_next(iter, &record)) {
		struct ot_record_data data = ot_record_to_data(&record);
		if (is_renumbered)
			ot_batch_builder_append(builder, &data);
		else if (record.offset >= builder->next_offset)
			ot_batch_builder_append_at(builder, record.offset, &data);
		else
			iter->err = OT_ERR_INVALID_RECORD; /* offsets that do not rise */
	}
	if (iter->err == OT_OK && !is_renumbered)
		ot_batch_builder_set_last_offset(builder, ot_batch_info_last_offset(&iter->info),
		    iter->info.max_timestamp);
	return ot_record_iter_close(iter);
}

ot_err
ot_batch_recompress(struct ot_codec_ctx *ctx, const uint8_t *batch,
    const struct ot_batch_info *info, const struct ot_recompress_options *options,
    struct ot_writer *out, struct ot_batch_info *ret_info, struct ot_why *why)
{
	OT_ASSERT(options->compression < OT_COMPRESSION_COUNT);
	bool is_renumbered = options->is_renumbered && info->record_count > 0;
	if (!is_renumbered && options->delete_horizon == OT_NO_TIMESTAMP)
		return change_codec(ctx, batch, info, options, out, ret_info, why);
	struct ot_record_iter_options iter_options = { .ctx = ctx,
		.bytes_max = options->bytes_max };
	struct ot_record_iter iter;
	ot_err err = ot_record_iter_open(&iter, batch, info, &iter_options, why);
	if (err != OT_OK)
		return err;
	struct ot_batch_options build_options = ot_batch_options_like(info);
	build_options.compression = options->compression;
	build_options.compression_level = options->compression_level;
	if (options->delete_horizon != OT_NO_TIMESTAMP)
		build_options.delete_horizon = options->delete_horizon;
	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &build_options, out);
	err = write_records(&builder, &iter, is_renumbered);
	if (err == OT_OK)
		err = ot_batch_builder_finish(&builder, ret_info);
	ot_batch_builder_fini(&builder);
	return err;
}
