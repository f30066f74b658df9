#include "cluster/records.h"

#include "base/alloc.h"
#include "base/panic.h"

void
ot_metadata_records_init(struct ot_metadata_records *records)
{
	*records = (struct ot_metadata_records){ 0 };
	ot_writer_init(&records->bytes);
}

void
ot_metadata_records_fini(struct ot_metadata_records *records)
{
	ot_writer_fini(&records->bytes);
	ot_free(records->ends);
	ot_metadata_records_init(records);
}

void
ot_metadata_records_reset(struct ot_metadata_records *records)
{
	ot_writer_reset(&records->bytes);
	records->count = 0;
	records->failed = false;
}

/* Notes where the record that was just written ends. */
static void
note_end(struct ot_metadata_records *records)
{
	if (records->bytes.failed || records->bytes.bytes > INT32_MAX) {
		records->failed = true;
		return;
	}
	if (records->count == records->capacity) {
		int32_t capacity = OT_MAX(16, records->capacity * 2);
		uint32_t *ends = ot_realloc(records->ends, (size_t)capacity * sizeof(*ends));

		if (ends == NULL) {
			records->failed = true;
			return;
		}
		records->ends = ends;
		records->capacity = capacity;
	}
	records->ends[records->count++] = (uint32_t)records->bytes.bytes;
}

void
ot_metadata_records_add_version(struct ot_metadata_records *records, const struct ot_msg *type,
    int16_t version, const void *msg)
{
	if (records->failed)
		return;
	if (ot_typed_record_encode(OT_RECORD_LOG_METADATA, type, version, msg, &records->bytes) !=
	    OT_OK)
		records->failed = true;
	else
		note_end(records);
}

void
ot_metadata_records_add(struct ot_metadata_records *records, const struct ot_msg *type,
    const void *msg)
{
	ot_metadata_records_add_version(records, type, type->valid.max, msg);
}

void
ot_metadata_records_add_framed(struct ot_metadata_records *records, struct ot_bytes framed)
{
	if (records->failed)
		return;
	ot_write_raw(&records->bytes, framed.data, (size_t)framed.len);
	note_end(records);
}

struct ot_bytes
ot_metadata_records_at(const struct ot_metadata_records *records, int32_t index)
{
	uint32_t start;

	OT_ASSERT(!records->failed && index >= 0 && index < records->count);
	start = index == 0 ? 0 : records->ends[index - 1];
	return (struct ot_bytes){ records->bytes.data + start,
		(int32_t)(records->ends[index] - start) };
}
