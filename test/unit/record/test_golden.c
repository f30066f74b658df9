/* Goal: batches of other programs are read as they meant them, in every format and compression;
 * what is built from their records is the same where nothing is compressed; nothing that is damaged
 * is read as if it were whole. Method: the batches of golden.h, as they are, cut at every byte,
 * with every bit flipped. */
#include "../test.h"

#include "base/alloc.h"
#include "golden.h"
#include "hex.h"
#include "record/check.h"
#include "record/legacy.h"
#include "record/recompress.h"

enum { GOLDEN_BYTES_MAX = 1024, RECORD_COUNT = 3 };

#define HELLO "hello hello hello hello hello"

static struct ot_codec_ctx *ctx;

static int
set_up(void **state)
{
	(void)state;
	ctx = ot_codec_ctx_create();
	return ctx == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_codec_ctx_destroy(ctx);
	return 0;
}

static void
assert_text(struct ot_bytes bytes, const char *expected)
{
	assert_true(ot_str_is((struct ot_str){ (const char *)bytes.data, bytes.len }, expected));
}

/* The record number i that all golden batches hold. */
static void
assert_golden_record(const struct ot_record *record, int i, int8_t magic)
{
	static const char *const keys[RECORD_COUNT] = { "alpha", NULL, "alpha" };
	static const char *const values[RECORD_COUNT] = { HELLO HELLO HELLO, "", NULL };
	static const int64_t timestamps[RECORD_COUNT] = { 0, 250, -1000 };
	assert_true(record->offset == i);
	assert_text(record->key, keys[i]);
	assert_text(record->value, values[i]);
	assert_true(record->timestamp ==
		    (magic == OT_MAGIC_V0 ? OT_NO_TIMESTAMP : 1700000000000 + timestamps[i]));
	assert_int_equal(record->header_count, magic == OT_MAGIC_V2 && i == 1 ? 2 : 0);
	struct ot_bytes left = record->headers;
	struct ot_header header;
	if (record->header_count == 0)
		return;
	assert_true(ot_headers_next(&left, &header));
	assert_true(ot_str_is(header.key, "trace"));
	assert_text(header.value, "a1b2");
	assert_true(ot_headers_next(&left, &header));
	assert_true(ot_str_is(header.key, ""));
	assert_text(header.value, NULL);
	assert_false(ot_headers_next(&left, &header));
}

static void
check_batch(const struct golden *golden, const uint8_t *batch, size_t bytes)
{
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_CLIENT, .is_only = true };
	struct ot_batch_info info;
	assert_ok(ot_batch_validate(batch, bytes, &rules, &info, NULL));
	assert_int_equal(info.compression, golden->compression);
	assert_int_equal(info.record_count, RECORD_COUNT);
	assert_true(info.is_transactional && info.producer_id == 4711);
	assert_int_equal(info.producer_epoch, 3);
	assert_int_equal(info.base_sequence, 17);
	assert_true(info.max_timestamp == 1700000000250);
	struct ot_record_iter iter;
	struct ot_record record;
	assert_ok(ot_record_iter_open(&iter, batch, &info,
	    &(struct ot_record_iter_options){ .ctx = ctx }, NULL));
	int i = 0;
	for (; ot_record_iter_next(&iter, &record); i++) {
		assert_golden_record(&record, i, OT_MAGIC_V2);
		assert_int_equal(record.sequence, 17 + i);
	}
	assert_ok(ot_record_iter_close(&iter));
	assert_int_equal(i, RECORD_COUNT);
	/* Through the builder, too, and opened it is the same in every codec. */
	struct ot_recompress_options plain = { .is_renumbered = true,
		.delete_horizon = OT_NO_TIMESTAMP };
	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(ot_batch_recompress(ctx, batch, &info, &plain, &out, &info, NULL));
	static uint8_t expected[GOLDEN_BYTES_MAX];
	for (size_t g = 0; g < OT_ARRAY_COUNT(golden_batches); g++) {
		if (golden_batches[g].magic != OT_MAGIC_V2 ||
		    golden_batches[g].compression != OT_COMPRESSION_NONE)
			continue;
		size_t expected_bytes = from_hex(golden_batches[g].hex, expected, GOLDEN_BYTES_MAX);
		assert_int_equal(out.bytes, expected_bytes);
		ot_batch_set_leader_epoch(out.data, 0); /* kafka-python writes 0 there */
		assert_memory_equal(out.data, expected, expected_bytes);
	}
	ot_writer_fini(&out);
}

static void
check_set(const struct golden *golden, const uint8_t *set, size_t bytes)
{
	struct ot_message_set_options options = {
		.magic = golden->magic,
		.compression = golden->compression,
		.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
	};
	struct ot_writer out;
	struct ot_message_set_builder builder;
	struct ot_message_iter iter;
	struct ot_record record;
	ot_writer_init(&out);
	ot_message_set_begin(&builder, &options, ctx, &out);
	ot_message_iter_open(&iter, set, bytes, &(struct ot_message_iter_options){ .ctx = ctx },
	    NULL);
	int i = 0;
	for (; ot_message_iter_next(&iter, &record); i++) {
		assert_golden_record(&record, i, golden->magic);
		struct ot_record_data data = ot_record_to_data(&record);
		ot_message_set_append(&builder, record.offset, &data);
	}
	assert_ok(ot_message_iter_close(&iter));
	assert_int_equal(i, RECORD_COUNT);
	assert_ok(ot_message_set_finish(&builder));
	if (golden->compression == OT_COMPRESSION_NONE) {
		assert_int_equal(out.bytes, bytes);
		assert_memory_equal(out.data, set, bytes);
	}
	ot_writer_fini(&out);
}

static void
test_read_and_built(void **state)
{
	(void)state;
	static uint8_t data[GOLDEN_BYTES_MAX];
	for (size_t i = 0; i < OT_ARRAY_COUNT(golden_batches); i++) {
		const struct golden *golden = &golden_batches[i];
		size_t bytes = from_hex(golden->hex, data, GOLDEN_BYTES_MAX);
		if (golden->magic == OT_MAGIC_V2)
			check_batch(golden, data, bytes);
		else
			check_set(golden, data, bytes);
	}
}

/* Walks all records of whatever these bytes are; gives the first error. */
static ot_err
read_all(int8_t magic, const uint8_t *data, size_t bytes, bool is_crc_checked)
{
	struct ot_record record;
	if (magic != OT_MAGIC_V2) {
		struct ot_message_iter iter;
		ot_message_iter_open(&iter, data, bytes,
		    &(struct ot_message_iter_options){ .ctx = ctx, .bytes_max = 100000 }, NULL);
		while (ot_message_iter_next(&iter, &record))
			assert_true(record.key.len < 100000 && record.value.len < 100000);
		return ot_message_iter_close(&iter);
	}
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_LEADER };
	struct ot_batch_info info;
	ot_err err = is_crc_checked ? ot_batch_validate(data, bytes, &rules, &info, NULL)
	                            : ot_batch_parse(data, bytes, &info, NULL);
	if (err != OT_OK)
		return err;
	struct ot_record_rules record_rules = {
		.ctx = ctx,
		.bytes_max = 100000,
		.timestamp_before_ms_max = INT64_MAX,
		.timestamp_after_ms_max = INT64_MAX,
	};
	struct ot_record_check check;
	return ot_batch_check_records(data, &info, &record_rules, &check, NULL);
}

static void
test_cut_at_every_byte(void **state)
{
	(void)state;
	static uint8_t data[GOLDEN_BYTES_MAX];
	for (size_t i = 0; i < OT_ARRAY_COUNT(golden_batches); i++) {
		const struct golden *golden = &golden_batches[i];
		size_t whole = from_hex(golden->hex, data, GOLDEN_BYTES_MAX);
		for (size_t bytes = 0; bytes < whole; bytes++) {
			uint8_t *copy = ot_must_alloc(bytes);
			memcpy(copy, data, bytes);
			ot_err err = read_all(golden->magic, copy, bytes, true);
			/* Plain message sets end wherever a message does. */
			if (golden->magic == OT_MAGIC_V2)
				assert_int_equal(err, OT_ERR_CORRUPT_MESSAGE);
			else if (golden->compression != OT_COMPRESSION_NONE && bytes > 0)
				assert_int_equal(err, OT_ERR_TRUNCATED);
			ot_free(copy);
		}
	}
}

static void
test_flipped_bits(void **state)
{
	(void)state;
	static uint8_t data[GOLDEN_BYTES_MAX];
	for (size_t i = 0; i < OT_ARRAY_COUNT(golden_batches); i++) {
		const struct golden *golden = &golden_batches[i];
		size_t bytes = from_hex(golden->hex, data, GOLDEN_BYTES_MAX);
		for (size_t bit = 0; bit < bytes * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			ot_err err = read_all(golden->magic, data, bytes, true);
			/* Only what lies before the CRC's range may change unseen. */
			if (bit / 8 >= OT_BATCH_CRC_AT && golden->magic == OT_MAGIC_V2)
				assert_int_equal(err, OT_ERR_CORRUPT_MESSAGE);
			/* Without the CRC only the bounds can hold. */
			err = read_all(golden->magic, data, bytes, false);
			assert_true(err != OT_ERR_NO_MEMORY);
			data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_built),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_flipped_bits),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
