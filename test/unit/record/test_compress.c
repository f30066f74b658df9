/* Goal: every form in which clients send compressed bytes opens; no form opens beyond its bound,
 * its memory or its input. Method: each codec through small and large windows, other programs'
 * framings made by hand, bombs, every truncation, many flipped bits. */
#include "../test.h"

#include "gen.h"

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

static struct ot_writer
compressed(enum ot_compression compression, int8_t magic, const void *data, size_t bytes)
{
	struct ot_writer out;
	ot_writer_init(&out);
	struct ot_compress_to to = { compression, OT_COMPRESSION_LEVEL_DEFAULT, magic };
	assert_ok(ot_compress(ctx, &to, data, bytes, &out));
	return out;
}

static ot_err
open_all(enum ot_compression compression, int8_t magic, const uint8_t *data, size_t bytes,
    size_t bytes_max, struct ot_writer *out)
{
	struct ot_compressed in = { compression, magic, data, bytes, bytes_max };
	struct ot_why why = { "" };
	ot_err err = ot_decompress(ctx, &in, out, &why);
	assert_true(err == OT_OK || why.text[0] != '\0');
	assert_true(out->bytes <= bytes_max);
	return err;
}

static void
assert_opens(enum ot_compression compression, int8_t magic, const struct ot_writer *data,
    const uint8_t *expected, size_t bytes)
{
	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(open_all(compression, magic, data->data, data->bytes, bytes, &out));
	assert_int_equal(out.bytes, bytes);
	assert_memory_equal(out.data, expected, bytes);
	ot_writer_fini(&out);
}

/* Opens `in` by reads of `window` bytes at a time into `got`; returns how many came. */
static size_t
read_by_windows(const struct ot_compressed *in, size_t window, uint8_t *got, size_t bytes_max)
{
	size_t total = 0;
	size_t bytes;
	assert_ok(ot_decompress_open(ctx, in, NULL));
	do {
		assert_ok(ot_decompress_read(ctx, got + total, OT_MIN(window, bytes_max - total),
		    &bytes, NULL));
		total += bytes;
	} while (bytes == window);
	ot_decompress_close(ctx);
	return total;
}

static void
test_windows(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 100, 32768, 32769, 65536, 200000 };
	static const size_t windows[] = { 1, 7, 4096, 65536, 300000 };
	static uint8_t got[300000];
	struct gen gen;
	gen_init(&gen, 1);
	for (unsigned c = 0; c < OT_COMPRESSION_COUNT; c++) {
		for (size_t s = 0; s < OT_ARRAY_COUNT(sizes); s++) {
			struct ot_writer out =
			    compressed((enum ot_compression)c, 2, gen.pool, sizes[s]);
			for (size_t w = 0; w < OT_ARRAY_COUNT(windows); w++) {
				struct ot_compressed in = { (enum ot_compression)c, 2, out.data,
					out.bytes, sizes[s] };
				size_t total = read_by_windows(&in, windows[w], got, sizeof(got));
				assert_int_equal(total, sizes[s]);
				assert_memory_equal(got, gen.pool, total);
			}
			ot_writer_fini(&out);
		}
	}
	gen_fini(&gen);
}

/* Nothing at all is a valid stream of each codec that has a header. */
static void
test_empty(void **state)
{
	(void)state;
	for (unsigned c = 0; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_writer out = compressed((enum ot_compression)c, 2, "", 0);
		assert_opens((enum ot_compression)c, 2, &out, (const uint8_t *)"", 0);
		ot_writer_fini(&out);
	}
}

static void
test_bounds(void **state)
{
	(void)state;
	enum { BOMB_BYTES = 50 * 1024 * 1024 };
	uint8_t *zeros = ot_must_alloc(BOMB_BYTES);
	struct ot_writer out;
	ot_writer_init(&out);
	for (unsigned c = 0; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_writer bomb = compressed((enum ot_compression)c, 2, zeros, BOMB_BYTES);
		static const size_t bounds[] = { 0, 1, 1000, 65536, BOMB_BYTES - 1 };
		for (size_t i = 0; i < OT_ARRAY_COUNT(bounds); i++) {
			ot_writer_reset(&out);
			assert_int_equal(open_all((enum ot_compression)c, 2, bomb.data, bomb.bytes,
					     bounds[i], &out),
			    OT_ERR_RECORD_LIST_TOO_LARGE);
		}
		ot_writer_fini(&bomb);
	}
	ot_writer_fini(&out);
	ot_free(zeros);
	ot_codec_ctx_trim(ctx);
}

static void
test_gzip_members(void **state)
{
	(void)state;
	struct gen gen;
	gen_init(&gen, 2);
	for (size_t split = 1; split < 3000; split += 97) {
		struct ot_writer out = compressed(OT_COMPRESSION_GZIP, 2, gen.pool, split);
		struct ot_writer more =
		    compressed(OT_COMPRESSION_GZIP, 2, gen.pool + split, 3000 - split);
		ot_write_raw(&out, more.data, more.bytes);
		assert_opens(OT_COMPRESSION_GZIP, 2, &out, gen.pool, 3000);
		ot_write_raw(&out, "garbage behind the last member", 30);
		assert_opens(OT_COMPRESSION_GZIP, 2, &out, gen.pool, 3000);
		ot_writer_fini(&out);
		ot_writer_fini(&more);
	}
	gen_fini(&gen);
}

/* All optional fields of RFC 1952: an extra field, a name, a comment, the header's own CRC. */
static void
test_gzip_header_fields(void **state)
{
	(void)state;
	static const uint8_t text[] = "gzip gzip gzip gzip";
	static const uint8_t fields[] = { 5, 0, 'e', 'x', 't', 'r', 'a', 'n', 'a', 'm', 'e', 0, 'c',
		0 };
	static const struct {
		uint8_t flags;
		size_t from, bytes;
	} rows[] = { { 0x04, 0, 7 }, { 0x08, 7, 5 }, { 0x10, 12, 2 }, { 0x1c, 0, 14 } };
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_writer plain = compressed(OT_COMPRESSION_GZIP, 2, text, sizeof(text));
		struct ot_writer out;
		ot_writer_init(&out);
		ot_write_raw(&out, plain.data, 10);
		out.data[3] |= rows[i].flags;
		ot_write_raw(&out, fields + rows[i].from, rows[i].bytes);
		ot_write_raw(&out, plain.data + 10, plain.bytes - 10);
		assert_opens(OT_COMPRESSION_GZIP, 2, &out, text, sizeof(text));
		ot_writer_fini(&out);
		ot_writer_fini(&plain);
	}
}

/* "hello hello hello hello" as one raw snappy block: literal, then a copy. */
static const uint8_t raw_snappy[] = { 23, 5 << 2, 'h', 'e', 'l', 'l', 'o', ' ', ((17 - 1) << 2) | 2,
	6, 0 };
static const char raw_snappy_text[] = "hello hello hello hello";

static void
test_snappy_framings(void **state)
{
	(void)state;
	static const uint8_t header[16] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0,
		0, 1 };
	struct ot_writer out;
	ot_writer_init(&out);
	ot_write_raw(&out, raw_snappy, sizeof(raw_snappy));
	assert_opens(OT_COMPRESSION_SNAPPY, 2, &out, (const uint8_t *)raw_snappy_text, 23);
	/* Framed, with the versions in the wrong order of bytes, and two streams behind each
	 * other. */
	ot_writer_reset(&out);
	for (int i = 0; i < 2; i++) {
		ot_write_raw(&out, header, sizeof(header));
		out.data[out.bytes - 1] = 0;
		out.data[out.bytes - 4] = 1;
		ot_write_i32(&out, sizeof(raw_snappy));
		ot_write_raw(&out, raw_snappy, sizeof(raw_snappy));
	}
	assert_opens(OT_COMPRESSION_SNAPPY, 2, &out,
	    (const uint8_t *)"hello hello hello hellohello hello hello hello", 46);
	/* A block that claims 1 GiB is refused before anything is allocated for it. */
	static const uint8_t liar[] = { 0x80, 0x80, 0x80, 0x80, 0x04, 0, 'x' };
	struct ot_writer opened;
	ot_writer_init(&opened);
	assert_int_equal(open_all(OT_COMPRESSION_SNAPPY, 2, liar, sizeof(liar), INT32_MAX, &opened),
	    OT_ERR_CORRUPT_MESSAGE);
	ot_writer_fini(&opened);
	ot_writer_fini(&out);
}

/* Magic 0: any header checksum is read, the wrong one of old clients is written. */
static void
test_lz4_header_checksum(void **state)
{
	(void)state;
	static const uint8_t text[] = "lz4 lz4 lz4 lz4 lz4 lz4 lz4";
	struct ot_writer right = compressed(OT_COMPRESSION_LZ4, 1, text, sizeof(text));
	struct ot_writer wrong = compressed(OT_COMPRESSION_LZ4, 0, text, sizeof(text));
	/* Both values as Java writes them for independent blocks of 64 KiB. */
	assert_int_equal(right.data[6], 0x82);
	assert_int_equal(wrong.data[6], 0x1a);
	assert_memory_equal(right.data, wrong.data, 6);
	assert_opens(OT_COMPRESSION_LZ4, 0, &right, text, sizeof(text));
	assert_opens(OT_COMPRESSION_LZ4, 0, &wrong, text, sizeof(text));
	assert_opens(OT_COMPRESSION_LZ4, 1, &right, text, sizeof(text));
	struct ot_writer out;
	ot_writer_init(&out);
	assert_int_equal(open_all(OT_COMPRESSION_LZ4, 1, wrong.data, wrong.bytes, 1000, &out),
	    OT_ERR_CORRUPT_MESSAGE);
	ot_write_raw(&right, "ignored", 7);
	assert_opens(OT_COMPRESSION_LZ4, 2, &right, text, sizeof(text));
	ot_writer_fini(&out);
	ot_writer_fini(&right);
	ot_writer_fini(&wrong);
}

/* What was left half open, or failed, does not change what is opened next with the same context.
 * Two frames of "x", the first announcing a content of 9 bytes in its header. */
static void
test_left_half_open(void **state)
{
	(void)state;
	static const uint8_t announced[] = { 0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 9, 0, 0, 0, 0, 0,
		0, 0, 0, 1, 0, 0, 0x80, 'x', 0, 0, 0, 0 };
	struct ot_writer out;
	ot_writer_init(&out);
	for (unsigned c = OT_COMPRESSION_GZIP; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_writer good = compressed((enum ot_compression)c, 2, "good", 4);
		for (size_t bytes = 1; bytes <= good.bytes; bytes++) {
			uint8_t byte;
			size_t got;
			struct ot_compressed in = { (enum ot_compression)c, 2, good.data, bytes,
				10 };
			if (ot_decompress_open(ctx, &in, NULL) == OT_OK) {
				ot_err err = ot_decompress_read(ctx, &byte, 1, &got, NULL);
				assert_true(err != OT_OK || got == 0 || byte == 'g');
				ot_decompress_close(ctx);
			}
			assert_opens((enum ot_compression)c, 2, &good, (const uint8_t *)"good", 4);
		}
		/* Magic 0, so that the header's checksum is put right. */
		assert_int_equal(
		    open_all(OT_COMPRESSION_LZ4, 0, announced, sizeof(announced), 100, &out),
		    OT_ERR_CORRUPT_MESSAGE);
		assert_opens((enum ot_compression)c, 2, &good, (const uint8_t *)"good", 4);
		ot_writer_fini(&good);
	}
	ot_writer_fini(&out);
}

static void
test_zstd_frames(void **state)
{
	(void)state;
	struct gen gen;
	gen_init(&gen, 3);
	struct ot_writer out = compressed(OT_COMPRESSION_ZSTD, 2, gen.pool, 1000);
	struct ot_writer more = compressed(OT_COMPRESSION_ZSTD, 2, gen.pool + 1000, 2000);
	ot_write_raw(&out, more.data, more.bytes);
	assert_opens(OT_COMPRESSION_ZSTD, 2, &out, gen.pool, 3000);
	/* A frame that announces 336 bytes and ends with an empty block, for large and small rooms.
	 */
	static const uint8_t liar[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x50, 0x50, 0, 0, 1, 0, 0 };
	for (size_t room = 1; room <= 1000; room *= 10) {
		struct ot_compressed lying = { OT_COMPRESSION_ZSTD, 2, liar, sizeof(liar), 3000 };
		uint8_t got[1000];
		size_t bytes;
		assert_ok(ot_decompress_open(ctx, &lying, NULL));
		assert_int_equal(ot_decompress_read(ctx, got, room, &bytes, NULL),
		    OT_ERR_CORRUPT_MESSAGE);
		ot_decompress_close(ctx);
	}
	struct ot_compressed in = { OT_COMPRESSION_ZSTD, 1, out.data, out.bytes, 3000 };
	assert_int_equal(ot_decompress_open(ctx, &in, NULL), OT_ERR_UNSUPPORTED_COMPRESSION_TYPE);
	ot_writer_fini(&out);
	ot_writer_fini(&more);
	gen_fini(&gen);
}

static void
test_truncated(void **state)
{
	(void)state;
	struct gen gen;
	gen_init(&gen, 4);
	struct ot_writer out;
	ot_writer_init(&out);
	for (unsigned c = OT_COMPRESSION_GZIP; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_writer data = compressed((enum ot_compression)c, 2, gen.pool, 2000);
		for (size_t bytes = 0; bytes < data.bytes; bytes++) {
			/* A copy of just that size, so that a sanitizer sees a read too far. */
			uint8_t *copy = ot_must_alloc(bytes);
			memcpy(copy, data.data, bytes);
			ot_writer_reset(&out);
			ot_err err = open_all((enum ot_compression)c, 2, copy, bytes, 5000, &out);
			/* Snappy's framing ends wherever a block does. */
			if (c != OT_COMPRESSION_SNAPPY || bytes != 16)
				assert_int_equal(err, OT_ERR_CORRUPT_MESSAGE);
			ot_free(copy);
		}
		ot_writer_fini(&data);
	}
	ot_writer_fini(&out);
	gen_fini(&gen);
}

static void
test_flipped_bits(void **state)
{
	(void)state;
	struct gen gen;
	gen_init(&gen, 5);
	struct ot_writer out;
	ot_writer_init(&out);
	for (unsigned c = OT_COMPRESSION_GZIP; c < OT_COMPRESSION_COUNT; c++) {
		struct ot_writer data = compressed((enum ot_compression)c, 2, gen.pool, 3000);
		for (size_t bit = 0; bit < data.bytes * 8; bit++) {
			data.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			ot_writer_reset(&out);
			ot_err err = open_all((enum ot_compression)c, 2, data.data, data.bytes,
			    100000, &out);
			assert_true(err == OT_OK || err == OT_ERR_CORRUPT_MESSAGE ||
				    err == OT_ERR_RECORD_LIST_TOO_LARGE);
			data.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
		ot_writer_fini(&data);
	}
	ot_writer_fini(&out);
	gen_fini(&gen);
}

static void
test_names(void **state)
{
	(void)state;
	enum ot_compression found;
	for (unsigned c = 0; c < OT_COMPRESSION_COUNT; c++) {
		const char *name = ot_compression_name((enum ot_compression)c);
		assert_true(ot_compression_from_name(ot_str_from(name), &found));
		assert_int_equal(found, c);
	}
	assert_false(ot_compression_from_name(OT_STR_LIT("lzma"), &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_gzip_members),
		cmocka_unit_test(test_gzip_header_fields),
		cmocka_unit_test(test_snappy_framings),
		cmocka_unit_test(test_lz4_header_checksum),
		cmocka_unit_test(test_left_half_open),
		cmocka_unit_test(test_zstd_frames),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
