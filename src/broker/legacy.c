#include "broker/legacy_int.h"

#include <string.h>

#include "base/alloc.h"

enum { LEGACY_OPENED_BYTES_MAX = 256 * 1024 * 1024 }; /* a wrapper or batch: no more than this */

/* A set keeps the codec that its first message has: a producer uses one for all. */
static ot_err
find_codec(struct ot_bytes set, enum ot_compression *ret_compression, struct ot_why *why)
{
	struct ot_message message;
	ot_err err = ot_message_parse(set.data, (size_t)set.len, &message, why);
	if (err == OT_OK)
		*ret_compression = message.compression;
	return err;
}

ot_err
legacy_make_batch(struct ot_codec_ctx *codecs, struct ot_bytes set, struct ot_blob **ret_blob,
    size_t *ret_bytes, struct ot_why *why)
{
	struct ot_writer out;
	struct ot_batch_info info;
	struct ot_legacy_up_options options = {
		.batch = OT_BATCH_OPTIONS_DEFAULT,
		.is_renumbered = true,
		.bytes_max = LEGACY_OPENED_BYTES_MAX,
	};
	ot_err err = find_codec(set, &options.batch.compression, why);
	if (err != OT_OK)
		return err;
	ot_writer_init(&out);
	err = ot_legacy_to_batch(codecs, set.data, (size_t)set.len, &options, &out, &info, why);
	struct ot_blob *blob = err == OT_OK ? ot_blob_create(out.bytes) : NULL;
	if (err == OT_OK && blob == NULL)
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK) {
		memcpy(blob->data, out.data, out.bytes);
		*ret_blob = blob;
		*ret_bytes = out.bytes;
	}
	ot_writer_fini(&out);
	return err;
}

static ot_err
convert_batches(struct ot_codec_ctx *codecs, struct legacy_range *range, const uint8_t *data,
    size_t bytes)
{
	const struct ot_legacy_down_options options = {
		.magic = range->magic,
		.first_offset = range->first_offset,
		.bytes_max = LEGACY_OPENED_BYTES_MAX,
	};
	while (bytes > 0) {
		struct ot_batch_info info;
		ot_err err = ot_batch_parse(data, bytes, &info, NULL);
		if (err == OT_OK)
			err = ot_batch_to_legacy(codecs, data, &info, &options, &range->out, NULL);
		if (err != OT_OK)
			return err;
		data += info.bytes;
		bytes -= info.bytes;
	}
	return OT_OK;
}

void
legacy_convert_range(struct ot_codec_ctx *codecs, struct legacy_range *range)
{
	ot_writer_init(&range->out);
	uint8_t *data = ot_alloc_raw(range->bytes);
	size_t bytes = 0;
	range->err = data == NULL
	                 ? OT_ERR_NO_MEMORY
	                 : ot_file_read(range->file, data, range->bytes, range->place, &bytes);
	if (range->err == OT_OK)
		range->err = convert_batches(codecs, range, data, bytes);
	ot_free(data);
}

void
legacy_range_fini(struct legacy_range *range)
{
	ot_writer_fini(&range->out);
}
