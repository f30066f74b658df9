/* Goal: what Kafka's own serializers wrote is read as they meant it, and written as they write it.
 * Method: the golden batches of vectors/records.jsonl under $OTTLA_REFERENCE; without it,
 * nothing is checked. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "hex.h"
#include "record/control.h"
#include "record/legacy.h"

enum { HEX_BYTES_MAX = 64 * 1024 };

static json_t *vectors[256];
static size_t vector_count;

static json_int_t
get_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *
get_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int
load(void **state)
{
	(void)state;
	const char *folder = getenv("OTTLA_REFERENCE");
	if (folder == NULL)
		return 0;
	char path[1024];
	snprintf(path, sizeof(path), "%s/vectors/records.jsonl", folder);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return 0;
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, file) > 0) {
		assert_true(vector_count < OT_ARRAY_COUNT(vectors));
		vectors[vector_count] = json_loads(line, JSON_ALLOW_NUL, NULL);
		assert_non_null(vectors[vector_count]);
		vector_count++;
	}
	free(line);
	fclose(file);
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	for (size_t i = 0; i < vector_count; i++)
		json_decref(vectors[i]);
	return 0;
}

static void
assert_bytes(struct ot_bytes bytes, const json_t *hex)
{
	static uint8_t expected[HEX_BYTES_MAX];
	if (json_is_null(hex) || hex == NULL) {
		assert_int_equal(bytes.len, -1);
		return;
	}
	size_t count = from_hex(json_string_value(hex), expected, HEX_BYTES_MAX);
	assert_int_equal(bytes.len, count);
	assert_memory_equal(bytes.data, expected, count);
}

static void
assert_record(const struct ot_record *record, const json_t *expected)
{
	assert_true(record->offset == get_int(expected, "offset"));
	assert_true(record->timestamp == get_int(expected, "timestamp"));
	assert_bytes(record->key, json_object_get(expected, "key"));
	assert_bytes(record->value, json_object_get(expected, "value"));
	const json_t *headers = json_object_get(expected, "headers");
	assert_int_equal(record->header_count, json_array_size(headers));
	struct ot_bytes left = record->headers;
	struct ot_header header;
	for (size_t i = 0; i < json_array_size(headers); i++) {
		const json_t *pair = json_array_get(headers, i);
		assert_true(ot_headers_next(&left, &header));
		const char *key = get_text(pair, "key");
		assert_true(ot_str_is(header.key, key));
		assert_bytes(header.value, json_object_get(pair, "value"));
	}
	assert_false(ot_headers_next(&left, &header));
}

static void
assert_header(const struct ot_batch_info *info, const json_t *vector)
{
	assert_string_equal(ot_compression_name(info->compression),
	    get_text(vector, "compression"));
	assert_true(info->producer_id == get_int(vector, "producerId"));
	assert_int_equal(info->producer_epoch, get_int(vector, "producerEpoch"));
	assert_int_equal(info->base_sequence, get_int(vector, "baseSequence"));
	assert_int_equal(info->leader_epoch, get_int(vector, "partitionLeaderEpoch"));
	assert_int_equal(info->is_transactional,
	    json_is_true(json_object_get(vector, "transactional")));
	assert_string_equal(get_text(vector, "timestampType"),
	    info->timestamp_type == OT_CREATE_TIME ? "CreateTime" : "LogAppendTime");
}

/* Builds the batch from what the iterator gives, with the header's own fields. */
static void
rebuild(const uint8_t *batch, const struct ot_batch_info *info, struct ot_codec_ctx *ctx,
    struct ot_writer *out)
{
	struct ot_batch_options options = ot_batch_options_like(info);
	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &options, out);
	struct ot_codec_ctx *read_ctx = ot_codec_ctx_create();
	struct ot_record_iter iter;
	struct ot_record record;
	assert_ok(ot_record_iter_open(&iter, batch, info,
	    &(struct ot_record_iter_options){ .ctx = read_ctx }, NULL));
	while (ot_record_iter_next(&iter, &record)) {
		struct ot_record_data data = ot_record_to_data(&record);
		ot_batch_builder_append(&builder, &data);
	}
	assert_ok(ot_record_iter_close(&iter));
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_batch_builder_fini(&builder);
	ot_codec_ctx_destroy(read_ctx);
}

/* A transaction marker, read and built again. */
static void
check_marker(const json_t *vector, const uint8_t *batch, const struct ot_batch_info *info)
{
	struct ot_end_txn_marker marker;
	assert_ok(ot_end_txn_parse(batch, info, &marker));
	assert_true(marker.producer_id == get_int(vector, "producerId"));
	assert_int_equal(marker.producer_epoch, get_int(vector, "producerEpoch"));
	assert_int_equal(marker.coordinator_epoch, get_int(vector, "coordinatorEpoch"));
	assert_string_equal(marker.is_commit ? "COMMIT" : "ABORT", get_text(vector, "control"));
	assert_true(info->base_offset == get_int(vector, "baseOffset"));
	struct ot_control_place place = { info->base_offset, info->leader_epoch,
		info->base_timestamp };
	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(ot_build_end_txn(&place, &marker, &out));
	assert_int_equal(out.bytes, info->bytes);
	assert_memory_equal(out.data, batch, out.bytes);
	ot_writer_fini(&out);
}

static void
check_batch(const json_t *vector, struct ot_codec_ctx *ctx)
{
	static uint8_t batch[HEX_BYTES_MAX];
	size_t bytes = from_hex(get_text(vector, "hex"), batch, HEX_BYTES_MAX);
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_LEADER, .is_only = true };
	struct ot_batch_info info;
	struct ot_why why;
	assert_ok(ot_batch_validate(batch, bytes, &rules, &info, &why));
	const json_t *records = json_object_get(vector, "records");
	if (records == NULL) {
		check_marker(vector, batch, &info);
		return;
	}
	assert_header(&info, vector);
	assert_int_equal(info.record_count, json_array_size(records));
	struct ot_record_iter iter;
	struct ot_record record;
	assert_ok(ot_record_iter_open(&iter, batch, &info,
	    &(struct ot_record_iter_options){ .ctx = ctx }, &why));
	size_t i = 0;
	for (; ot_record_iter_next(&iter, &record); i++)
		assert_record(&record, json_array_get(records, i));
	assert_ok(ot_record_iter_close(&iter));
	assert_int_equal(i, json_array_size(records));
	struct ot_writer out;
	ot_writer_init(&out);
	rebuild(batch, &info, ctx, &out);
	if (info.compression == OT_COMPRESSION_NONE) {
		assert_int_equal(out.bytes, bytes);
		assert_memory_equal(out.data, batch, bytes);
	}
	ot_writer_fini(&out);
}

static void
test_batches(void **state)
{
	(void)state;
	if (vector_count == 0)
		return; /* cmocka's skip is a failure in TAP */
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	size_t checked = 0;
	for (size_t i = 0; i < vector_count; i++) {
		if (get_int(vectors[i], "magic") != OT_MAGIC_V2)
			continue;
		check_batch(vectors[i], ctx);
		checked++;
	}
	assert_true(checked > 0);
	ot_codec_ctx_destroy(ctx);
}

/* Reads the set, and writes it again: equal where it is not compressed, readable where it is. */
static void
check_set(const json_t *vector, const uint8_t *set, size_t bytes, struct ot_codec_ctx *ctx,
    struct ot_writer *out)
{
	const json_t *records = json_object_get(vector, "records");
	struct ot_message first;
	struct ot_why why;
	assert_ok(ot_message_parse(set, bytes, &first, &why));
	assert_int_equal(first.magic, get_int(vector, "magic"));
	struct ot_message_set_options options = {
		.magic = first.magic,
		.compression = first.compression,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		.timestamp_type = first.timestamp_type,
		.append_time = first.timestamp,
	};
	struct ot_codec_ctx *build_ctx = ot_codec_ctx_create();
	struct ot_message_set_builder builder;
	struct ot_message_iter iter;
	struct ot_record record;
	ot_message_iter_open(&iter, set, bytes, &(struct ot_message_iter_options){ .ctx = ctx },
	    &why);
	ot_message_set_begin(&builder, &options, build_ctx, out);
	size_t i = 0;
	for (; ot_message_iter_next(&iter, &record); i++) {
		assert_record(&record, json_array_get(records, i));
		struct ot_record_data data = ot_record_to_data(&record);
		ot_message_set_append(&builder, record.offset, &data);
	}
	assert_ok(ot_message_iter_close(&iter));
	assert_ok(ot_message_set_finish(&builder));
	assert_int_equal(i, json_array_size(records));
	ot_codec_ctx_destroy(build_ctx);
}

/* Up to a batch, and down again to the same set. */
static void
check_conversion(const json_t *vector, const uint8_t *set, size_t bytes, struct ot_codec_ctx *ctx)
{
	struct ot_message first;
	struct ot_batch_info info;
	struct ot_writer batch, back;
	assert_ok(ot_message_parse(set, bytes, &first, NULL));
	struct ot_legacy_up_options up = { .batch = OT_BATCH_OPTIONS_DEFAULT };
	const json_t *records = json_object_get(vector, "records");
	up.batch.base_offset = get_int(json_array_get(records, 0), "offset");
	up.batch.compression = first.compression;
	if (first.timestamp_type == OT_LOG_APPEND_TIME) {
		up.batch.timestamp_type = OT_LOG_APPEND_TIME;
		up.batch.append_time = first.timestamp;
	}
	ot_writer_init(&batch);
	ot_writer_init(&back);
	assert_ok(ot_legacy_to_batch(ctx, set, bytes, &up, &batch, &info, NULL));
	assert_int_equal(info.record_count, json_array_size(records));
	struct ot_legacy_down_options down = { .magic = first.magic };
	assert_ok(ot_batch_to_legacy(ctx, batch.data, &info, &down, &back, NULL));
	if (first.compression == OT_COMPRESSION_NONE) {
		assert_int_equal(back.bytes, bytes);
		assert_memory_equal(back.data, set, bytes);
	}
	struct ot_writer again;
	ot_writer_init(&again);
	check_set(vector, back.data, back.bytes, ctx, &again);
	ot_writer_fini(&again);
	ot_writer_fini(&batch);
	ot_writer_fini(&back);
}

static void
test_message_sets(void **state)
{
	(void)state;
	if (vector_count == 0)
		return; /* cmocka's skip is a failure in TAP */
	static uint8_t set[HEX_BYTES_MAX];
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	size_t checked = 0;
	for (size_t i = 0; i < vector_count; i++) {
		if (get_int(vectors[i], "magic") == OT_MAGIC_V2)
			continue;
		size_t bytes = from_hex(get_text(vectors[i], "hex"), set, HEX_BYTES_MAX);
		struct ot_writer out, again;
		ot_writer_init(&out);
		ot_writer_init(&again);
		check_set(vectors[i], set, bytes, ctx, &out);
		check_set(vectors[i], out.data, out.bytes, ctx, &again);
		if (strcmp(get_text(vectors[i], "compression"), "none") == 0) {
			assert_int_equal(out.bytes, bytes);
			assert_memory_equal(out.data, set, bytes);
		}
		check_conversion(vectors[i], set, bytes, ctx);
		ot_writer_fini(&out);
		ot_writer_fini(&again);
		checked++;
	}
	assert_true(checked > 0);
	ot_codec_ctx_destroy(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_message_sets),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
