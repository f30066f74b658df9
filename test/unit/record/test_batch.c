/* Goal: a batch's header is judged as Kafka's LogValidator judges it, and patched in place without
 * harm. Method: one small batch, one field changed at a time, its CRC made right again. */
#include "../test.h"

#include "base/crc.h"
#include "record/build.h"

static struct ot_writer batch;

static int
build(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data record = { .timestamp = 1000, .value = { (const uint8_t *)"v", 1 } };
	struct ot_batch_builder builder;
	ot_writer_init(&batch);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &batch);
	for (int i = 0; i < 3; i++)
		ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_batch_builder_fini(&builder);
	return 0;
}

static int
drop(void **state)
{
	(void)state;
	ot_writer_fini(&batch);
	return 0;
}

static void
fix_crc(void)
{
	ot_put_u32(batch.data + OT_BATCH_CRC_AT, ot_crc32c(0, batch.data + OT_BATCH_ATTRIBUTES_AT,
						     batch.bytes - OT_BATCH_ATTRIBUTES_AT));
}

static ot_err
validate(enum ot_append_origin origin)
{
	struct ot_batch_rules rules = { .origin = origin, .is_only = true };
	struct ot_batch_info info;
	struct ot_why why = { "" };
	ot_err err = ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why);
	assert_true((err == OT_OK) == (why.text[0] == '\0'));
	return err;
}

static void
test_peek(void **state)
{
	(void)state;
	struct ot_batch_peek peek;
	for (size_t bytes = 0; bytes < OT_BATCH_PEEK_BYTES; bytes++)
		assert_int_equal(ot_batch_peek(batch.data, bytes, &peek), OT_ERR_TRUNCATED);
	ot_batch_set_base_offset(batch.data, 77);
	ot_batch_set_leader_epoch(batch.data, 6);
	assert_ok(ot_batch_peek(batch.data, OT_BATCH_PEEK_BYTES, &peek));
	assert_true(peek.offset == 77 && peek.bytes == batch.bytes);
	assert_int_equal(peek.leader_epoch, 6);
	assert_int_equal(peek.magic, 2);
	static const struct {
		int32_t length;
		uint8_t magic;
		ot_err err;
	} rows[] = {
		{ 48, 2, OT_ERR_CORRUPT_MESSAGE },
		{ 49, 2, OT_OK },
		{ 13, 1, OT_ERR_CORRUPT_MESSAGE },
		{ 14, 0, OT_OK },
		{ -1, 2, OT_ERR_CORRUPT_MESSAGE },
		{ INT32_MAX, 2, OT_OK },
		{ 100, 3, OT_ERR_CORRUPT_MESSAGE },
		{ 100, 0xff, OT_ERR_CORRUPT_MESSAGE },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		ot_put_u32(batch.data + OT_BATCH_LENGTH_AT, (uint32_t)rows[i].length);
		batch.data[OT_BATCH_MAGIC_AT] = rows[i].magic;
		assert_int_equal(ot_batch_peek(batch.data, batch.bytes, &peek), rows[i].err);
	}
}

/* Fields that must not be what they are: place, size, value, and what each origin is told. */
static void
test_rules(void **state)
{
	(void)state;
	static const struct {
		size_t place;
		unsigned bytes;
		uint64_t value;
		ot_err client, leader;
	} rows[] = {
		{ OT_BATCH_BASE_OFFSET_AT, 8, 5, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_BASE_OFFSET_AT, 8, UINT64_MAX, OT_ERR_INVALID_RECORD,
		    OT_ERR_INVALID_RECORD },
		{ OT_BATCH_BASE_OFFSET_AT, 8, INT64_MAX - 2, OT_ERR_INVALID_RECORD,
		    OT_ERR_INVALID_RECORD },
		{ OT_BATCH_LAST_OFFSET_DELTA_AT, 4, 3, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_LAST_OFFSET_DELTA_AT, 4, INT32_MAX, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_LAST_OFFSET_DELTA_AT, 4, UINT32_MAX, OT_ERR_INVALID_RECORD,
		    OT_ERR_INVALID_RECORD },
		{ OT_BATCH_RECORD_COUNT_AT, 4, 2, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_RECORD_COUNT_AT, 4, 0, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_RECORD_COUNT_AT, 4, UINT32_MAX, OT_ERR_INVALID_RECORD,
		    OT_ERR_INVALID_RECORD },
		{ OT_BATCH_ATTRIBUTES_AT, 2, OT_BATCH_ATTR_CONTROL, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_ATTRIBUTES_AT, 2, 5, OT_ERR_UNSUPPORTED_COMPRESSION_TYPE,
		    OT_ERR_UNSUPPORTED_COMPRESSION_TYPE },
		{ OT_BATCH_PRODUCER_ID_AT, 8, 4711, OT_ERR_INVALID_RECORD, OT_OK },
		{ OT_BATCH_LEADER_EPOCH_AT, 4, 9, OT_OK, OT_OK },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		uint8_t before[8];
		uint8_t *place = batch.data + rows[i].place;
		memcpy(before, place, rows[i].bytes);
		for (unsigned byte = 0; byte < rows[i].bytes; byte++)
			place[byte] = (uint8_t)(rows[i].value >> (8 * (rows[i].bytes - 1 - byte)));
		fix_crc();
		assert_int_equal(validate(OT_ORIGIN_CLIENT), rows[i].client);
		assert_int_equal(validate(OT_ORIGIN_LEADER), rows[i].leader);
		memcpy(place, before, rows[i].bytes);
		fix_crc();
		assert_ok(validate(OT_ORIGIN_CLIENT));
	}
}

static void
test_limits(void **state)
{
	(void)state;
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_CLIENT, .is_only = true };
	struct ot_batch_info info;
	struct ot_why why;
	rules.bytes_max = batch.bytes;
	assert_ok(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why));
	rules.bytes_max = batch.bytes - 1;
	assert_int_equal(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why),
	    OT_ERR_MESSAGE_TOO_LARGE);
	rules.bytes_max = 0;
	ot_write_i8(&batch, 0);
	assert_int_equal(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why),
	    OT_ERR_INVALID_RECORD);
	rules.is_only = false;
	assert_ok(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why));
	batch.bytes--;
	assert_int_equal(ot_batch_validate(batch.data, batch.bytes - 1, &rules, &info, &why),
	    OT_ERR_CORRUPT_MESSAGE);
	assert_int_equal(ot_batch_parse(batch.data, batch.bytes - 1, &info, &why),
	    OT_ERR_TRUNCATED);
	batch.data[OT_BATCH_ATTRIBUTES_AT + 1] = OT_COMPRESSION_ZSTD;
	fix_crc();
	assert_ok(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why));
	rules.is_zstd_refused = true;
	assert_int_equal(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why),
	    OT_ERR_UNSUPPORTED_COMPRESSION_TYPE);
	batch.data[OT_BATCH_MAGIC_AT] = 1;
	assert_int_equal(ot_batch_validate(batch.data, batch.bytes, &rules, &info, &why),
	    OT_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT);
	assert_non_null(strstr(why.text, "v1"));
}

static void
test_patches(void **state)
{
	(void)state;
	struct ot_batch_info info;
	ot_batch_set_base_offset(batch.data, INT64_MAX - 3);
	ot_batch_set_leader_epoch(batch.data, 12);
	assert_ok(validate(OT_ORIGIN_LEADER)); /* outside the CRC */
	assert_true(ot_batch_last_offset(batch.data) == INT64_MAX - 1);
	ot_batch_set_max_timestamp(batch.data, OT_LOG_APPEND_TIME, 5000);
	assert_ok(validate(OT_ORIGIN_LEADER));
	assert_ok(ot_batch_parse(batch.data, batch.bytes, &info, NULL));
	assert_int_equal(info.timestamp_type, OT_LOG_APPEND_TIME);
	assert_true(info.max_timestamp == 5000 && info.base_timestamp == 1000);
	assert_int_equal(info.leader_epoch, 12);
	/* With the append time a delete horizon fits in place, and the records keep their time. */
	assert_true(ot_batch_set_delete_horizon(batch.data, 9000));
	assert_ok(validate(OT_ORIGIN_LEADER));
	assert_ok(ot_batch_parse(batch.data, batch.bytes, &info, NULL));
	assert_true(ot_batch_info_delete_horizon(&info) == 9000);
	struct ot_record_iter iter;
	struct ot_record record;
	assert_ok(ot_record_iter_open(&iter, batch.data, &info,
	    &(struct ot_record_iter_options){ 0 }, NULL));
	assert_true(ot_record_iter_next(&iter, &record) && record.timestamp == 5000);
	assert_ok(ot_record_iter_close(&iter));
	/* With the create time it would move every timestamp. */
	ot_batch_set_max_timestamp(batch.data, OT_CREATE_TIME, 1000);
	uint8_t copy[200];
	assert_true(batch.bytes <= sizeof(copy));
	memcpy(copy, batch.data, batch.bytes);
	assert_false(ot_batch_set_delete_horizon(batch.data, 9000));
	assert_memory_equal(copy, batch.data, batch.bytes);
}

static void
test_sequences(void **state)
{
	(void)state;
	assert_int_equal(ot_sequence_add(5, 3), 8);
	assert_int_equal(ot_sequence_add(INT32_MAX, 0), INT32_MAX);
	assert_int_equal(ot_sequence_add(INT32_MAX, 1), 0);
	assert_int_equal(ot_sequence_add(INT32_MAX - 1, 5), 3);
	assert_int_equal(ot_sequence_add(OT_NO_SEQUENCE, 5), OT_NO_SEQUENCE);
}

/* A count that lies about the records behind it, with the CRC right. */
static void
test_lying_counts(void **state)
{
	(void)state;
	static const uint32_t counts[] = { 1, 2, 4, 1000000, INT32_MAX };
	struct ot_batch_info info;
	struct ot_record record;
	for (size_t i = 0; i < OT_ARRAY_COUNT(counts); i++) {
		ot_put_u32(batch.data + OT_BATCH_RECORD_COUNT_AT, counts[i]);
		ot_put_u32(batch.data + OT_BATCH_LAST_OFFSET_DELTA_AT, counts[i] - 1);
		fix_crc();
		assert_ok(validate(OT_ORIGIN_CLIENT)); /* only the records can tell */
		assert_ok(ot_batch_parse(batch.data, batch.bytes, &info, NULL));
		struct ot_record_iter iter;
		struct ot_why why = { "" };
		int count = 0;
		assert_ok(ot_record_iter_open(&iter, batch.data, &info,
		    &(struct ot_record_iter_options){ 0 }, &why));
		while (ot_record_iter_next(&iter, &record))
			count++;
		assert_int_equal(ot_record_iter_close(&iter), OT_ERR_INVALID_RECORD);
		assert_true(count <= 3 && why.text[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_peek, build, drop),
		cmocka_unit_test_setup_teardown(test_rules, build, drop),
		cmocka_unit_test_setup_teardown(test_limits, build, drop),
		cmocka_unit_test_setup_teardown(test_patches, build, drop),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test_setup_teardown(test_lying_counts, build, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
