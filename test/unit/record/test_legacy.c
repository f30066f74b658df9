/* Goal: the old formats are read as clients write them, with all that is odd about them, and are
 * converted without loss of what both formats have. Method: random sets; wrappers made by hand. */
#include "../test.h"

#include "base/crc.h"
#include "gen.h"
#include "record/legacy.h"

enum { SET_COUNT = 40 };

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

static struct ot_record_data
plain_record(struct gen *gen)
{
	struct ot_header headers[GEN_HEADER_COUNT_MAX];
	struct ot_record_data record = gen_record(gen, headers, 40000);
	record.headers = NULL;
	record.header_count = 0;
	return record;
}

/* The offset of the i-th record: with gaps, as in a compacted log. */
static int64_t
offset_of(int i)
{
	return 1000 + i * 2 + i / 7;
}

static void
build_set(const struct ot_message_set_options *options, uint64_t seed, struct ot_writer *out)
{
	struct ot_message_set_builder builder;
	struct gen gen;
	gen_init(&gen, seed);
	ot_message_set_begin(&builder, options, ctx, out);
	for (int i = 0; i < SET_COUNT; i++) {
		struct ot_record_data record = plain_record(&gen);
		ot_message_set_append(&builder, offset_of(i), &record);
	}
	assert_ok(ot_message_set_finish(&builder));
	gen_fini(&gen);
}

static bool
are_equal(struct ot_bytes a, struct ot_bytes b)
{
	return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

static void
assert_set(const struct ot_writer *set, const struct ot_message_set_options *options, uint64_t seed)
{
	struct gen gen;
	struct ot_message_iter iter;
	struct ot_record record;
	struct ot_why why;
	gen_init(&gen, seed);
	ot_message_iter_open(&iter, set->data, set->bytes,
	    &(struct ot_message_iter_options){ .ctx = ctx }, &why);
	for (int i = 0; i < SET_COUNT; i++) {
		struct ot_record_data expected = plain_record(&gen);
		assert_true(ot_message_iter_next(&iter, &record));
		assert_true(record.offset == offset_of(i));
		assert_true(are_equal(record.key, expected.key));
		assert_true(are_equal(record.value, expected.value));
		int64_t timestamp = expected.timestamp;
		if (options->timestamp_type == OT_LOG_APPEND_TIME)
			timestamp = options->append_time;
		if (options->magic == OT_MAGIC_V0)
			timestamp = OT_NO_TIMESTAMP;
		assert_true(record.timestamp == timestamp);
	}
	assert_false(ot_message_iter_next(&iter, &record));
	assert_ok(ot_message_iter_close(&iter));
	gen_fini(&gen);
}

static void
test_round_trip_and_conversion(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * 2 * 4; i++) {
		struct ot_message_set_options options = {
			.magic = (int8_t)(i % 2),
			.timestamp_type = i / 2 % 2 ? OT_LOG_APPEND_TIME : OT_CREATE_TIME,
			.append_time = 1800000000000,
			.compression = (enum ot_compression)(i / 4),
			.compression_level = OT_COMPRESSION_LEVEL_DEFAULT,
		};
		struct ot_writer set, batch, back;
		struct ot_batch_info info;
		struct ot_why why;
		ot_writer_init(&set);
		ot_writer_init(&batch);
		ot_writer_init(&back);
		build_set(&options, i, &set);
		assert_set(&set, &options, i);
		struct ot_legacy_up_options up = { .batch = OT_BATCH_OPTIONS_DEFAULT };
		up.batch.base_offset = offset_of(0);
		up.batch.compression = options.compression;
		up.batch.timestamp_type = options.timestamp_type;
		up.batch.append_time = options.append_time;
		assert_ok(ot_legacy_to_batch(ctx, set.data, set.bytes, &up, &batch, &info, &why));
		assert_int_equal(info.record_count, SET_COUNT);
		assert_true(ot_batch_info_last_offset(&info) == offset_of(SET_COUNT - 1));
		struct ot_legacy_down_options down = { .magic = options.magic };
		assert_ok(ot_batch_to_legacy(ctx, batch.data, &info, &down, &back, &why));
		assert_set(&back, &options, i);
		ot_writer_fini(&set);
		ot_writer_fini(&batch);
		ot_writer_fini(&back);
	}
}

/* As the broker does with a produced set: offsets are what the log assigns. */
static void
test_renumbered(void **state)
{
	(void)state;
	struct ot_message_set_options options = { .magic = OT_MAGIC_V1,
		.compression = OT_COMPRESSION_LZ4 };
	struct ot_legacy_up_options up = { .batch = OT_BATCH_OPTIONS_DEFAULT,
		.is_renumbered = true };
	struct ot_writer set, batch;
	struct ot_batch_info info;
	ot_writer_init(&set);
	ot_writer_init(&batch);
	build_set(&options, 1, &set);
	build_set(&options, 2, &set); /* twice the same offsets: as two producers' sets */
	up.batch.base_offset = 5;
	assert_ok(ot_legacy_to_batch(ctx, set.data, set.bytes, &up, &batch, &info, NULL));
	assert_int_equal(info.record_count, 2 * SET_COUNT);
	assert_int_equal(info.last_offset_delta, 2 * SET_COUNT - 1);
	batch.bytes = 0;
	up.is_renumbered = false;
	struct ot_why why = { "" };
	assert_int_equal(ot_legacy_to_batch(ctx, set.data, set.bytes, &up, &batch, &info, &why),
	    OT_ERR_INVALID_RECORD);
	assert_int_equal(batch.bytes, 0);
	assert_int_equal(ot_legacy_to_batch(ctx, set.data, 0, &up, &batch, &info, &why),
	    OT_ERR_INVALID_RECORD);
	ot_writer_fini(&set);
	ot_writer_fini(&batch);
}

static void
test_down_from_an_offset(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct gen gen;
	struct ot_writer batch, set;
	gen_init(&gen, 3);
	ot_writer_init(&batch);
	ot_writer_init(&set);
	options.compression = OT_COMPRESSION_GZIP;
	options.base_offset = 100;
	struct ot_batch_info info = gen_batch(&gen, &options, 10, 100, ctx, &batch);
	struct ot_legacy_down_options down = { .magic = OT_MAGIC_V1, .first_offset = 107 };
	assert_ok(ot_batch_to_legacy(ctx, batch.data, &info, &down, &set, NULL));
	struct ot_message_iter iter;
	struct ot_record record;
	ot_message_iter_open(&iter, set.data, set.bytes,
	    &(struct ot_message_iter_options){ .ctx = ctx }, NULL);
	for (int64_t offset = 107; offset < 110; offset++)
		assert_true(ot_message_iter_next(&iter, &record) && record.offset == offset);
	assert_false(ot_message_iter_next(&iter, &record));
	assert_ok(ot_message_iter_close(&iter));
	/* Nothing is left of a batch that ends before, nor of a control batch; zstd cannot be. */
	ot_writer_reset(&set);
	down.first_offset = 110;
	assert_ok(ot_batch_to_legacy(ctx, batch.data, &info, &down, &set, NULL));
	assert_int_equal(set.bytes, 0);
	info.is_control = true;
	down.first_offset = 0;
	assert_ok(ot_batch_to_legacy(ctx, batch.data, &info, &down, &set, NULL));
	assert_int_equal(set.bytes, 0);
	info.is_control = false;
	info.compression = OT_COMPRESSION_ZSTD;
	assert_int_equal(ot_batch_to_legacy(ctx, batch.data, &info, &down, &set, NULL),
	    OT_ERR_UNSUPPORTED_COMPRESSION_TYPE);
	gen_fini(&gen);
	ot_writer_fini(&batch);
	ot_writer_fini(&set);
}

/* One wrapper around what `inner` holds, with any offset. */
static void
wrap(const struct ot_writer *inner, int8_t magic, int64_t offset, struct ot_writer *out)
{
	struct ot_message_set_options options = { .magic = magic };
	struct ot_message_set_builder builder;
	struct ot_writer value;
	ot_writer_init(&value);
	struct ot_compress_to to = { OT_COMPRESSION_GZIP, 1, magic };
	assert_ok(ot_compress(ctx, &to, inner->data, inner->bytes, &value));
	ot_message_set_begin(&builder, &options, NULL, out);
	ot_message_set_append(&builder, 0,
	    &(struct ot_record_data){ .timestamp = 9,
		.key = OT_BYTES_NULL,
		.value = { value.data, (int32_t)value.bytes } });
	size_t start = builder.start;
	assert_ok(ot_message_set_finish(&builder));
	ot_writer_fini(&value);
	/* A plain message with the compression put in afterwards. */
	uint8_t *entry = out->data + start;
	ot_put_u64(entry, (uint64_t)offset);
	entry[OT_MESSAGE_ATTRIBUTES_AT] = OT_COMPRESSION_GZIP;
	ot_put_u32(entry + OT_MESSAGE_CRC_AT,
	    ot_crc32(0, entry + OT_MESSAGE_MAGIC_AT, out->bytes - start - OT_MESSAGE_MAGIC_AT));
}

static void
put_plain(struct ot_writer *out, int8_t magic, int64_t first_offset, int count)
{
	struct ot_message_set_options options = { .magic = magic };
	struct ot_message_set_builder builder;
	ot_message_set_begin(&builder, &options, NULL, out);
	for (int i = 0; i < count; i++)
		ot_message_set_append(&builder, first_offset + i,
		    &(struct ot_record_data){ .timestamp = 7 });
	assert_ok(ot_message_set_finish(&builder));
}

/* Reads all; gives the error, the number of records and the first one's offset. */
static ot_err
read_all(const struct ot_writer *set, int *ret_count, int64_t *ret_first)
{
	struct ot_message_iter iter;
	struct ot_record record;
	struct ot_why why = { "" };
	ot_message_iter_open(&iter, set->data, set->bytes,
	    &(struct ot_message_iter_options){ .ctx = ctx }, &why);
	*ret_first = -1;
	for (*ret_count = 0; ot_message_iter_next(&iter, &record); (*ret_count)++) {
		if (*ret_count == 0)
			*ret_first = record.offset;
	}
	ot_err err = ot_message_iter_close(&iter);
	assert_true((err == OT_OK) == (why.text[0] == '\0'));
	return err;
}

static void
test_wrapper_offsets(void **state)
{
	(void)state;
	static const struct {
		int8_t magic;
		int64_t wrapper, inner_first;
		ot_err err;
		int64_t first;
	} rows[] = {
		{ 1, 12, 0, OT_OK, 10 },               /* relative: the last one is the wrapper's */
		{ 1, 0, 0, OT_OK, 0 },                 /* librdkafka leaves the wrapper at 0 */
		{ 1, 1, 0, OT_ERR_INVALID_RECORD, 0 }, /* less than the last inner one, 2 */
		{ 1, -1, 0, OT_ERR_INVALID_RECORD, 0 },
		{ 1, 12, 5, OT_OK, 10 },  /* compacted: the first inner one is not 0 */
		{ 0, 12, 10, OT_OK, 10 }, /* absolute */
		{ 0, 99, 10, OT_OK, 10 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_writer inner, set;
		int count;
		int64_t first;
		ot_writer_init(&inner);
		ot_writer_init(&set);
		put_plain(&inner, rows[i].magic, rows[i].inner_first, 3);
		wrap(&inner, rows[i].magic, rows[i].wrapper, &set);
		assert_int_equal(read_all(&set, &count, &first), rows[i].err);
		if (rows[i].err == OT_OK)
			assert_true(count == 3 && first == rows[i].first);
		ot_writer_fini(&inner);
		ot_writer_fini(&set);
	}
}

static void
test_bad_wrappers(void **state)
{
	(void)state;
	struct ot_writer inner, set, nested;
	int count;
	int64_t first;
	ot_writer_init(&inner);
	ot_writer_init(&set);
	ot_writer_init(&nested);
	/* Nothing inside. */
	wrap(&inner, 1, 5, &set);
	assert_int_equal(read_all(&set, &count, &first), OT_ERR_INVALID_RECORD);
	/* A cut entry inside is left out. */
	put_plain(&inner, 1, 0, 3);
	inner.bytes -= 3;
	ot_writer_reset(&set);
	wrap(&inner, 1, 1, &set);
	assert_ok(read_all(&set, &count, &first));
	assert_int_equal(count, 2);
	/* A wrapper inside a wrapper. */
	ot_writer_reset(&set);
	wrap(&inner, 1, 1, &nested);
	wrap(&nested, 1, 1, &set);
	assert_int_equal(read_all(&set, &count, &first), OT_ERR_INVALID_RECORD);
	/* Another magic inside. */
	ot_writer_reset(&set);
	wrap(&inner, 0, 1, &set);
	assert_int_equal(read_all(&set, &count, &first), OT_ERR_INVALID_RECORD);
	/* A wrong CRC inside, behind a good message. */
	inner.data[inner.bytes - 3] ^= 1;
	inner.bytes += 3;
	ot_writer_reset(&set);
	wrap(&inner, 1, 2, &set);
	assert_int_equal(read_all(&set, &count, &first), OT_ERR_CORRUPT_MESSAGE);
	assert_true(count >= 1);
	ot_writer_fini(&inner);
	ot_writer_fini(&set);
	ot_writer_fini(&nested);
}

static void
test_cut_sets(void **state)
{
	(void)state;
	struct ot_writer set;
	struct ot_record record;
	ot_writer_init(&set);
	put_plain(&set, 0, 0, 2);
	size_t one = set.bytes / 2;
	for (size_t bytes = one; bytes < set.bytes; bytes++) {
		for (int is_allowed = 0; is_allowed < 2; is_allowed++) {
			struct ot_message_iter iter;
			ot_message_iter_open(&iter, set.data, bytes,
			    &(struct ot_message_iter_options){ .is_cut_allowed = is_allowed },
			    NULL);
			assert_true(ot_message_iter_next(&iter, &record));
			assert_false(ot_message_iter_next(&iter, &record));
			assert_int_equal(ot_message_iter_close(&iter),
			    is_allowed || bytes == one ? OT_OK : OT_ERR_TRUNCATED);
		}
	}
	ot_writer_fini(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_and_conversion),
		cmocka_unit_test(test_renumbered),
		cmocka_unit_test(test_down_from_an_offset),
		cmocka_unit_test(test_wrapper_offsets),
		cmocka_unit_test(test_bad_wrappers),
		cmocka_unit_test(test_cut_sets),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
