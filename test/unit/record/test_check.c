/* Goal: single records are judged as Kafka's LogValidator judges them, and each that breaks a rule
 * is named. Method: batches with chosen records against chosen rules. */
#include "../test.h"

#include "base/crc.h"
#include "record/build.h"
#include "record/check.h"
#include "record/recompress.h"

enum { NOW = 1000000, HOUR = 3600 };

static struct ot_arena arena;
static struct ot_codec_ctx *ctx;
static struct ot_writer out;
static struct ot_batch_info info;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	ot_writer_init(&out);
	ctx = ot_codec_ctx_create();
	return ctx == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_arena_fini(&arena);
	ot_writer_fini(&out);
	ot_codec_ctx_destroy(ctx);
	return 0;
}

static struct ot_record_rules
rules_of(enum ot_timestamp_type type)
{
	return (struct ot_record_rules){
		.timestamp_type = type,
		.now = NOW,
		.timestamp_before_ms_max = INT64_MAX,
		.timestamp_after_ms_max = HOUR,
		.ctx = ctx,
		.arena = &arena,
	};
}

/* A batch with these timestamps; a negative count of keys: none has one. */
static void
build(enum ot_compression compression, const int64_t *timestamps, int count, int keys)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_batch_builder builder;
	options.compression = compression;
	ot_writer_reset(&out);
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &options, &out);
	for (int i = 0; i < count; i++) {
		struct ot_record_data record = { .timestamp = timestamps[i],
			.key = i < keys ? (struct ot_bytes){ (const uint8_t *)"k", 1 }
			                : OT_BYTES_NULL };
		ot_batch_builder_append(&builder, &record);
	}
	assert_ok(ot_batch_builder_finish(&builder, &info));
	ot_batch_builder_fini(&builder);
}

static void
test_timestamps(void **state)
{
	(void)state;
	static const int64_t times[] = { NOW, NOW + HOUR, NOW + HOUR + 1, OT_NO_TIMESTAMP,
		NOW - HOUR, 0, INT64_MAX };
	for (unsigned c = 0; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_record_rules rules = rules_of(OT_CREATE_TIME);
		struct ot_record_check check;
		struct ot_why why;
		build((enum ot_compression)c, times, 7, 0);
		assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
		    OT_ERR_INVALID_TIMESTAMP);
		assert_int_equal(check.error_count, 2);
		assert_int_equal(check.error_list_count, 2);
		assert_int_equal(check.errors[0].index, 2);
		assert_int_equal(check.errors[1].index, 6);
		assert_int_equal(check.errors[0].err, OT_ERR_INVALID_TIMESTAMP);
		assert_non_null(strstr(check.errors[0].message, "1003601"));
		assert_true(check.max_timestamp == INT64_MAX && check.max_timestamp_offset == 6);
		rules.timestamp_before_ms_max = HOUR - 1;
		assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
		    OT_ERR_INVALID_TIMESTAMP);
		assert_int_equal(check.error_count, 4);
		/* The append time replaces them all: any will do. */
		rules.timestamp_type = OT_LOG_APPEND_TIME;
		assert_ok(ot_batch_check_records(out.data, &info, &rules, &check, &why));
		assert_int_equal(check.error_count, 0);
		assert_true(check.is_contiguous);
	}
}

static void
test_keys(void **state)
{
	(void)state;
	static const int64_t times[] = { NOW, NOW, NOW + 2 * HOUR };
	struct ot_record_rules rules = rules_of(OT_CREATE_TIME);
	struct ot_record_check check;
	struct ot_why why;
	rules.is_key_required = true;
	build(OT_COMPRESSION_NONE, times, 3, 1);
	/* One error per record: the third lacks its key, its timestamp is not looked at. */
	assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
	    OT_ERR_INVALID_RECORD);
	assert_int_equal(check.error_count, 2);
	assert_int_equal(check.errors[0].index, 1);
	assert_int_equal(check.errors[1].err, OT_ERR_INVALID_RECORD);
	build(OT_COMPRESSION_NONE, times, 3, 3);
	assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
	    OT_ERR_INVALID_TIMESTAMP);
	rules.arena = NULL; /* counted, not listed */
	assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
	    OT_ERR_INVALID_TIMESTAMP);
	assert_int_equal(check.error_count, 1);
	assert_int_equal(check.error_list_count, 0);
}

static void
test_append_time_from_a_producer(void **state)
{
	(void)state;
	static const int64_t times[] = { NOW };
	struct ot_record_rules rules = rules_of(OT_LOG_APPEND_TIME);
	struct ot_record_check check;
	build(OT_COMPRESSION_NONE, times, 1, 1);
	ot_batch_set_max_timestamp(out.data, OT_LOG_APPEND_TIME, NOW);
	assert_ok(ot_batch_parse(out.data, out.bytes, &info, NULL));
	assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, NULL),
	    OT_ERR_INVALID_TIMESTAMP);
}

/* More errors than an answer lists. */
static void
test_many_errors(void **state)
{
	(void)state;
	static int64_t times[OT_RECORD_ERRORS_MAX + 50];
	struct ot_record_rules rules = rules_of(OT_CREATE_TIME);
	struct ot_record_check check;
	rules.timestamp_before_ms_max = 5;
	build(OT_COMPRESSION_LZ4, times, OT_RECORD_ERRORS_MAX + 50, 0);
	assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, NULL),
	    OT_ERR_INVALID_TIMESTAMP);
	assert_int_equal(check.error_count, OT_RECORD_ERRORS_MAX + 50);
	assert_int_equal(check.error_list_count, OT_RECORD_ERRORS_MAX);
	assert_int_equal(check.errors[OT_RECORD_ERRORS_MAX - 1].index, OT_RECORD_ERRORS_MAX - 1);
}

/* All deltas 0, as a careless client writes them: noticed, and renumbered. */
static void
test_offsets_not_contiguous(void **state)
{
	(void)state;
	static const int64_t times[] = { NOW, NOW, NOW };
	struct ot_record_rules rules = rules_of(OT_CREATE_TIME);
	struct ot_record_check check;
	build(OT_COMPRESSION_NONE, times, 3, 0);
	size_t record_bytes = (out.bytes - OT_BATCH_HEADER_BYTES) / 3;
	for (size_t i = 0; i < 3; i++)
		out.data[OT_BATCH_HEADER_BYTES + i * record_bytes + 3] = 0;
	assert_ok(ot_batch_check_records(out.data, &info, &rules, &check, NULL));
	assert_false(check.is_contiguous);
	struct ot_recompress_options options = { .is_renumbered = true,
		.delete_horizon = OT_NO_TIMESTAMP };
	struct ot_writer again;
	ot_writer_init(&again);
	assert_ok(ot_batch_recompress(ctx, out.data, &info, &options, &again, &info, NULL));
	assert_ok(ot_batch_check_records(again.data, &info, &rules, &check, NULL));
	assert_true(check.is_contiguous);
	ot_writer_fini(&again);
}

/* A batch that opens to more than it may. */
static void
test_bomb(void **state)
{
	(void)state;
	static const uint8_t zeros[500000];
	for (unsigned c = OT_COMPRESSION_GZIP; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
		struct ot_record_rules rules = rules_of(OT_CREATE_TIME);
		struct ot_batch_builder builder;
		struct ot_record_check check;
		struct ot_why why;
		options.compression = (enum ot_compression)c;
		ot_writer_reset(&out);
		ot_batch_builder_init(&builder, ctx);
		ot_batch_builder_begin(&builder, &options, &out);
		for (int i = 0; i < 20; i++)
			ot_batch_builder_append(&builder,
			    &(struct ot_record_data){ .timestamp = NOW,
				.value = { zeros, sizeof(zeros) } });
		assert_ok(ot_batch_builder_finish(&builder, &info));
		ot_batch_builder_fini(&builder);
		rules.bytes_max = 20 * (sizeof(zeros) + 20);
		assert_ok(ot_batch_check_records(out.data, &info, &rules, &check, &why));
		assert_true(check.record_bytes > 20 * sizeof(zeros));
		rules.bytes_max = check.record_bytes;
		assert_ok(ot_batch_check_records(out.data, &info, &rules, &check, &why));
		rules.bytes_max = check.record_bytes - 1;
		assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
		    OT_ERR_RECORD_LIST_TOO_LARGE);
		rules.bytes_max = 1000; /* less than the first record's length promises */
		assert_int_equal(ot_batch_check_records(out.data, &info, &rules, &check, &why),
		    OT_ERR_RECORD_LIST_TOO_LARGE);
	}
	ot_codec_ctx_trim(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_append_time_from_a_producer),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_offsets_not_contiguous),
		cmocka_unit_test(test_bomb),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
