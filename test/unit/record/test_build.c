/* Goal: what is built is read back equal, in every compression, through every change that the room
 * makes to a batch. Method: random records under a seed, the generator run again beside the reader;
 * allocations that fail one after the other. */
#include "../test.h"

#include "gen.h"
#include "record/recompress.h"

static bool
are_equal(struct ot_bytes a, struct ot_bytes b)
{
	return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

static void
assert_same(const struct ot_record *record, const struct ot_record_data *expected)
{
	assert_true(record->create_timestamp == expected->timestamp);
	assert_true(are_equal(record->key, expected->key));
	assert_true(are_equal(record->value, expected->value));
	assert_int_equal(record->header_count, expected->header_count);
	struct ot_bytes left = record->headers;
	struct ot_header header;
	for (int32_t i = 0; i < expected->header_count; i++) {
		assert_true(ot_headers_next(&left, &header));
		assert_true(ot_str_equal(header.key, expected->headers[i].key));
		assert_true(are_equal(header.value, expected->headers[i].value));
	}
	assert_false(ot_headers_next(&left, &header));
}

/* Reads the batch beside a generator that starts again from `seed`. */
static void
assert_holds(const uint8_t *batch, const struct ot_batch_info *info, uint64_t seed,
    size_t value_bytes_max, int64_t base_offset, struct ot_codec_ctx *ctx)
{
	struct ot_batch_info parsed;
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_LEADER, .is_only = true };
	struct ot_why why;
	assert_ok(ot_batch_validate(batch, info->bytes, &rules, &parsed, &why));
	struct gen gen;
	gen_init(&gen, seed);
	struct ot_record_iter iter;
	struct ot_record record;
	struct ot_header headers[GEN_HEADER_COUNT_MAX];
	assert_ok(ot_record_iter_open(&iter, batch, &parsed,
	    &(struct ot_record_iter_options){ .ctx = ctx }, &why));
	for (int32_t i = 0; i < info->record_count; i++) {
		struct ot_record_data expected = gen_record(&gen, headers, value_bytes_max);
		assert_true(ot_record_iter_next(&iter, &record));
		assert_true(record.offset == base_offset + i);
		assert_int_equal(record.sequence, ot_sequence_add(info->base_sequence, i));
		assert_same(&record, &expected);
	}
	assert_false(ot_record_iter_next(&iter, &record));
	assert_ok(ot_record_iter_close(&iter));
	gen_fini(&gen);
}

static struct ot_batch_options
producer_options(enum ot_compression compression, int32_t level)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.compression = compression;
	options.compression_level = level;
	options.base_offset = 1000000007;
	options.leader_epoch = 5;
	options.producer_id = 4711;
	options.producer_epoch = 3;
	options.base_sequence = INT32_MAX - 2; /* wraps */
	options.is_transactional = true;
	return options;
}

static void
test_round_trip(void **state)
{
	(void)state;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct ot_writer out;
	ot_writer_init(&out);
	for (uint64_t seed = 0; seed < 300; seed++) {
		enum ot_compression compression =
		    (enum ot_compression)(seed % OT_COMPRESSION_COUNT);
		size_t value_bytes_max = seed % 7 == 0 ? 150000 : 1000;
		int32_t count = (int32_t)(seed % 11 == 0 ? 500 : 1 + seed % 20);
		struct ot_batch_options options =
		    producer_options(compression, OT_COMPRESSION_LEVEL_DEFAULT);
		struct gen gen;
		gen_init(&gen, seed);
		ot_writer_reset(&out);
		ot_write_i32(&out, 42); /* a batch need not be the first in its writer */
		struct ot_batch_info info =
		    gen_batch(&gen, &options, count, value_bytes_max, ctx, &out);
		gen_fini(&gen);
		assert_int_equal(info.bytes + 4, out.bytes);
		assert_int_equal(info.record_count, count);
		assert_int_equal(info.last_offset_delta, count - 1);
		assert_holds(out.data + 4, &info, seed, value_bytes_max, options.base_offset, ctx);
	}
	ot_writer_fini(&out);
	ot_codec_ctx_trim(ctx);
	ot_codec_ctx_destroy(ctx);
}

static void
test_levels(void **state)
{
	(void)state;
	static const struct {
		enum ot_compression compression;
		int32_t from, to;
	} ranges[] = {
		{ OT_COMPRESSION_GZIP, -1, 9 },
		{ OT_COMPRESSION_LZ4, 1, 17 },
		{ OT_COMPRESSION_ZSTD, -7, 22 },
	};
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct ot_writer out;
	ot_writer_init(&out);
	for (size_t i = 0; i < OT_ARRAY_COUNT(ranges); i++) {
		for (int32_t level = ranges[i].from; level <= ranges[i].to; level++) {
			struct ot_batch_options options =
			    producer_options(ranges[i].compression, level);
			struct gen gen;
			gen_init(&gen, 99);
			ot_writer_reset(&out);
			struct ot_batch_info info = gen_batch(&gen, &options, 200, 3000, ctx, &out);
			gen_fini(&gen);
			assert_holds(out.data, &info, 99, 3000, options.base_offset, ctx);
		}
	}
	ot_writer_fini(&out);
	ot_codec_ctx_destroy(ctx);
}

/* Each codec into each other keeps all; so does a delete horizon, and new offsets. */
static void
test_recompress(void **state)
{
	(void)state;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct ot_writer out;
	ot_writer_init(&out);
	for (unsigned i = 0; i < OT_COMPRESSION_COUNT * OT_COMPRESSION_COUNT * 3; i++) {
		unsigned mode = i % 3;
		struct ot_batch_options options = producer_options(
		    (enum ot_compression)(i / 3 % OT_COMPRESSION_COUNT), INT32_MIN);
		struct gen gen;
		gen_init(&gen, i);
		ot_writer_reset(&out);
		struct ot_batch_info info = gen_batch(&gen, &options, 30, 5000, ctx, &out), again;
		gen_fini(&gen);
		struct ot_recompress_options to = {
			.compression = (enum ot_compression)(i / 3 / OT_COMPRESSION_COUNT),
			.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
			.is_renumbered = mode == 1,
			.delete_horizon = mode == 2 ? 1800000000000 : OT_NO_TIMESTAMP,
		};
		struct ot_writer changed;
		struct ot_why why;
		ot_writer_init(&changed);
		assert_ok(ot_batch_recompress(ctx, out.data, &info, &to, &changed, &again, &why));
		assert_int_equal(changed.bytes, again.bytes);
		assert_int_equal(again.compression, to.compression);
		assert_true(ot_batch_info_delete_horizon(&again) == to.delete_horizon);
		assert_true(again.max_timestamp == info.max_timestamp);
		assert_int_equal(again.base_sequence, info.base_sequence);
		assert_int_equal(again.leader_epoch, info.leader_epoch);
		assert_true(again.is_transactional && again.producer_id == info.producer_id);
		assert_holds(changed.data, &again, i, 5000, options.base_offset, ctx);
		/* Back in the first codec, uncompressed batches are what they were. */
		if (mode == 0 && info.compression == OT_COMPRESSION_NONE) {
			to.compression = OT_COMPRESSION_NONE;
			struct ot_writer back;
			ot_writer_init(&back);
			assert_ok(ot_batch_recompress(ctx, changed.data, &again, &to, &back, &again,
			    &why));
			assert_int_equal(back.bytes, out.bytes);
			assert_memory_equal(back.data, out.data, out.bytes);
			ot_writer_fini(&back);
		}
		ot_writer_fini(&changed);
	}
	ot_writer_fini(&out);
	ot_codec_ctx_destroy(ctx);
}

/* What compaction leaves: gaps, an end behind the last record, nothing but a header. */
static void
test_compacted(void **state)
{
	(void)state;
	struct ot_writer out;
	struct ot_batch_builder builder;
	struct ot_batch_info info;
	struct ot_record_data record = { .timestamp = 5,
		.key = { (const uint8_t *)"k", 1 },
		.value = OT_BYTES_NULL };
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.base_offset = 10;
	ot_writer_init(&out);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &out);
	ot_batch_builder_append_at(&builder, 12, &record);
	ot_batch_builder_append_at(&builder, 17, &record);
	ot_batch_builder_set_last_offset(&builder, 19, OT_NO_TIMESTAMP);
	assert_ok(ot_batch_builder_finish(&builder, &info));
	assert_int_equal(info.record_count, 2);
	assert_true(ot_batch_last_offset(out.data) == 19);
	assert_ok(ot_batch_parse(out.data, out.bytes, &info, NULL));
	struct ot_record_iter iter;
	struct ot_record read;
	assert_ok(ot_record_iter_open(&iter, out.data, &info, &(struct ot_record_iter_options){ 0 },
	    NULL));
	assert_true(ot_record_iter_next(&iter, &read) && read.offset == 12);
	assert_true(ot_record_iter_next(&iter, &read) && read.offset == 17);
	assert_int_equal(read.value.len, -1);
	assert_false(ot_record_iter_next(&iter, &read));
	assert_ok(ot_record_iter_close(&iter));
	/* An empty batch keeps sequence and timestamp; it says "none" in whatever codec it was. */
	ot_writer_reset(&out);
	options.compression = OT_COMPRESSION_GZIP;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	builder.ctx = ctx;
	ot_batch_builder_begin(&builder, &options, &out);
	ot_batch_builder_set_last_offset(&builder, 14, 777);
	assert_ok(ot_batch_builder_finish(&builder, &info));
	assert_int_equal(out.bytes, OT_BATCH_HEADER_BYTES);
	assert_ok(ot_batch_parse(out.data, out.bytes, &info, NULL));
	assert_int_equal(info.record_count, 0);
	assert_int_equal(info.compression, OT_COMPRESSION_NONE);
	assert_true(info.max_timestamp == 777 && info.base_timestamp == OT_NO_TIMESTAMP);
	ot_batch_builder_fini(&builder);
	ot_writer_fini(&out);
	ot_codec_ctx_destroy(ctx);
}

/* An abandoned batch leaves the writer as it was. */
static void
test_cancel(void **state)
{
	(void)state;
	struct ot_writer out;
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data record = { .timestamp = 5 };
	ot_writer_init(&out);
	ot_write_i32(&out, 1);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &out);
	ot_batch_builder_append(&builder, &record);
	assert_true(ot_batch_builder_bytes(&builder) > OT_BATCH_HEADER_BYTES);
	ot_batch_builder_cancel(&builder);
	assert_int_equal(out.bytes, 4);
	/* A delta that int32 cannot say is refused, not cut. */
	ot_batch_builder_begin(&builder, &options, &out);
	ot_batch_builder_append(&builder, &record);
	ot_batch_builder_append_at(&builder, (int64_t)INT32_MAX + 1, &record);
	assert_int_equal(ot_batch_builder_finish(&builder, NULL), OT_ERR_MESSAGE_TOO_LARGE);
	assert_int_equal(out.bytes, 4);
	ot_batch_builder_fini(&builder);
	ot_writer_fini(&out);
}

/* Builds, reads and recompresses; an error is NO_MEMORY, with the writers as they were. */
static ot_err
work(enum ot_compression compression, struct gen *gen)
{
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	if (ctx == NULL)
		return OT_ERR_NO_MEMORY;
	struct ot_batch_options options = producer_options(compression, 1);
	struct ot_recompress_options to = { .compression = compression,
		.delete_horizon = 1700000000000 };
	struct ot_header headers[GEN_HEADER_COUNT_MAX];
	struct ot_writer out, again;
	struct ot_batch_builder builder;
	struct ot_batch_info info;
	ot_writer_init(&out);
	ot_writer_init(&again);
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &options, &out);
	for (int i = 0; i < 20; i++) {
		struct ot_record_data record = gen_record(gen, headers, 100000);
		ot_batch_builder_append(&builder, &record);
	}
	ot_err err = ot_batch_builder_finish(&builder, &info);
	if (err == OT_OK)
		err = ot_batch_recompress(ctx, out.data, &info, &to, &again, &info, NULL);
	else
		assert_int_equal(out.bytes, 0);
	if (err != OT_OK)
		assert_int_equal(again.bytes, 0);
	ot_batch_builder_fini(&builder);
	ot_writer_fini(&out);
	ot_writer_fini(&again);
	ot_codec_ctx_destroy(ctx);
	return err;
}

static void
test_no_memory(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OT_COMPRESSION_COUNT; i++) {
		ot_err err = OT_ERR_NO_MEMORY;
		unsigned failed = 0;
		for (uint64_t n = 1; err != OT_OK; n++) {
			struct gen gen;
			gen_init(&gen, 7);
			ot_alloc_fail_at(n);
			err = work((enum ot_compression)i, &gen);
			ot_alloc_fail_at(0);
			gen_fini(&gen);
			assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
			failed += err != OT_OK;
		}
		assert_true(failed >= 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_recompress),
		cmocka_unit_test(test_compacted),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
