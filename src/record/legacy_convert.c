#include "record/legacy.h"

#include "base/panic.h"

/* The records of a set into the batch; false when offsets that are to be kept do not rise. */
static bool
append_messages(struct ot_message_iter *iter, bool is_renumbered, struct ot_batch_builder *builder)
{
	struct ot_record record;
	while (ot_message_iter_next(iter, &record)) {
		struct ot_record_data data = ot_record_to_data(&record);
		/* What holds for the record, be it its own or its wrapper's. */
		data.timestamp = record.timestamp;
		if (is_renumbered)
			ot_batch_builder_append(builder, &data);
		else if (record.offset >= builder->next_offset)
			ot_batch_builder_append_at(builder, record.offset, &data);
		else
			return false;
	}
	return true;
}

ot_err
ot_legacy_to_batch(struct ot_codec_ctx *ctx, const uint8_t *set, size_t bytes,
    const struct ot_legacy_up_options *options, struct ot_writer *out,
    struct ot_batch_info *ret_info, struct ot_why *why)
{
	struct ot_message_iter_options iter_options = { .ctx = ctx,
		.bytes_max = options->bytes_max };
	struct ot_message_iter iter;
	struct ot_batch_builder builder;
	ot_message_iter_open(&iter, set, bytes, &iter_options, why);
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &options->batch, out);
	bool is_rising = append_messages(&iter, options->is_renumbered, &builder);
	ot_err err = ot_message_iter_close(&iter);
	if (err == OT_OK && !is_rising) {
		ot_why_set(why, "The offsets of the message set do not rise.");
		err = OT_ERR_INVALID_RECORD;
	}
	if (err == OT_OK && builder.record_count == 0 && builder.err == OT_OK) {
		ot_why_set(why, "The message set holds no messages.");
		err = OT_ERR_INVALID_RECORD;
	}
	if (err == OT_OK)
		err = ot_batch_builder_finish(&builder, ret_info);
	ot_batch_builder_fini(&builder);
	return err;
}

static ot_err
append_records(struct ot_record_iter *iter, int64_t first_offset,
    struct ot_message_set_builder *builder, struct ot_why *why)
{
	struct ot_record record;
	while (ot_record_iter_next(iter, &record)) {
		if (record.offset < first_offset)
			continue;
		if (record.offset <= builder->last_offset) {
			ot_why_set(why, "The offsets of the batch do not rise.");
			iter->err = OT_ERR_INVALID_RECORD;
			break;
		}
		struct ot_record_data data = ot_record_to_data(&record);
		ot_message_set_append(builder, record.offset, &data);
	}
	return ot_record_iter_close(iter);
}

ot_err
ot_batch_to_legacy(struct ot_codec_ctx *ctx, const uint8_t *batch, const struct ot_batch_info *info,
    const struct ot_legacy_down_options *options, struct ot_writer *out, struct ot_why *why)
{
	if (info->is_control)
		return OT_OK;
	if (info->compression == OT_COMPRESSION_ZSTD) {
		ot_why_set(why, "A batch in zstd cannot be converted to message format v%d.",
		    options->magic);
		return OT_ERR_UNSUPPORTED_COMPRESSION_TYPE;
	}
	struct ot_record_iter_options iter_options = { .ctx = ctx,
		.bytes_max = options->bytes_max };
	struct ot_message_set_options set_options = {
		.magic = options->magic,
		.compression = info->compression,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		.timestamp_type = info->timestamp_type,
		.append_time = info->max_timestamp,
	};
	struct ot_record_iter iter;
	ot_err err = ot_record_iter_open(&iter, batch, info, &iter_options, why);
	if (err != OT_OK)
		return err;
	struct ot_message_set_builder builder;
	ot_message_set_begin(&builder, &set_options, ctx, out);
	err = append_records(&iter, options->first_offset, &builder, why);
	if (err != OT_OK && builder.err == OT_OK)
		builder.err = err;
	return ot_message_set_finish(&builder);
}
