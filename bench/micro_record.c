/* What record batches cost, in nanoseconds per batch: the best of several runs, one core, hot
 * caches. Beside the validation stands the CRC alone, which is its floor. The values are words of a
 * small vocabulary, so that the codecs have something to find, as in logs and JSON. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/crc.h"
#include "base/panic.h"
#include "record/check.h"
#include "record/recompress.h"

enum {
	ROUNDS = 7,
	ROUND_NS = 30 * 1000 * 1000,
	RECORD_BYTES = 100,
	BATCH_BYTES_MAX = 1024 * 1024,
};

struct bench {
	struct ot_codec_ctx *ctx;
	struct ot_writer batch; /* what is read */
	struct ot_batch_info info;
	struct ot_writer records; /* the same records, open */
	struct ot_writer out;
	struct ot_batch_builder builder;
	enum ot_compression compression;
	int32_t level;
	size_t bytes; /* of all values */
};

static uint64_t
now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double
best_ns(struct bench *bench, void (*once)(struct bench *))
{
	double best = 1e12;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now_ns();
		uint64_t end = start;
		uint64_t count = 0;
		for (; end - start < ROUND_NS; end = now_ns())
			for (int i = 0; i < 10; i++, count++)
				once(bench);
		best = OT_MIN(best, (double)(end - start) / (double)count);
	}
	return best;
}

static void
crc_once(struct bench *bench)
{
	volatile uint32_t crc = ot_crc32c(0, bench->batch.data + OT_BATCH_ATTRIBUTES_AT,
	    bench->batch.bytes - OT_BATCH_ATTRIBUTES_AT);
	(void)crc;
}

static void
validate_once(struct bench *bench)
{
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_CLIENT, .is_only = true };
	ot_err err =
	    ot_batch_validate(bench->batch.data, bench->batch.bytes, &rules, &bench->info, NULL);
	OT_ASSERT(err == OT_OK);
}

static void
check_once(struct bench *bench)
{
	struct ot_record_rules rules = {
		.timestamp_before_ms_max = INT64_MAX,
		.timestamp_after_ms_max = INT64_MAX,
		.ctx = bench->ctx,
	};
	struct ot_record_check check;
	ot_err err = ot_batch_check_records(bench->batch.data, &bench->info, &rules, &check, NULL);
	OT_ASSERT(err == OT_OK);
}

static void
build_once(struct bench *bench)
{
	static uint8_t text[BATCH_BYTES_MAX];
	static const char *const words[] = { "broker ", "partition ", "{\"level\":\"info\"} ",
		"offset ", "consumer ", "0123456789 ", "leader ", "epoch " };
	if (text[0] == 0) {
		size_t filled = 0;
		uint32_t choice = 1;
		while (filled < sizeof(text) - 32) {
			const char *word = words[(choice >> 16) % OT_ARRAY_COUNT(words)];
			memcpy(text + filled, word, strlen(word));
			filled += strlen(word);
			choice = choice * 1664525u + 1013904223u;
		}
	}
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.compression = bench->compression;
	options.compression_level = bench->level;
	ot_writer_reset(&bench->batch);
	ot_batch_builder_begin(&bench->builder, &options, &bench->batch);
	for (size_t at = 0; at < bench->bytes; at += RECORD_BYTES) {
		struct ot_record_data record = { .timestamp = 1700000000000 + (int64_t)at % 50,
			.key = OT_BYTES_NULL,
			.value = { text + at, (int32_t)OT_MIN(RECORD_BYTES, bench->bytes - at) } };
		ot_batch_builder_append(&bench->builder, &record);
	}
	ot_err err = ot_batch_builder_finish(&bench->builder, &bench->info);
	OT_ASSERT(err == OT_OK);
}

static void
decompress_once(struct bench *bench)
{
	struct ot_compressed in = { bench->compression, OT_MAGIC_V2,
		bench->batch.data + OT_BATCH_HEADER_BYTES,
		bench->batch.bytes - OT_BATCH_HEADER_BYTES, INT32_MAX };
	ot_writer_reset(&bench->out);
	ot_err err = ot_decompress(bench->ctx, &in, &bench->out, NULL);
	OT_ASSERT(err == OT_OK);
}

static void
compress_once(struct bench *bench)
{
	struct ot_compress_to to = { bench->compression, bench->level, OT_MAGIC_V2 };
	ot_writer_reset(&bench->out);
	ot_err err =
	    ot_compress(bench->ctx, &to, bench->records.data, bench->records.bytes, &bench->out);
	OT_ASSERT(err == OT_OK);
}

static void
bench_plain(struct bench *bench, size_t bytes)
{
	bench->compression = OT_COMPRESSION_NONE;
	bench->bytes = bytes;
	build_once(bench);
	printf("%7zu bytes of values: crc %7.1f ns  validate %7.1f  check records %8.1f  "
	       "build %8.1f\n",
	    bytes, best_ns(bench, crc_once), best_ns(bench, validate_once),
	    best_ns(bench, check_once), best_ns(bench, build_once));
}

static void
bench_codec(struct bench *bench, enum ot_compression compression, int32_t level, const char *note)
{
	bench->compression = compression;
	bench->level = level;
	bench->bytes = 16 * 1024;
	build_once(bench);
	decompress_once(bench);
	ot_writer_reset(&bench->records);
	ot_write_raw(&bench->records, bench->out.data, bench->out.bytes);
	double decompress = best_ns(bench, decompress_once);
	double check = best_ns(bench, check_once);
	printf("%-6s %-12s 16 KiB in %5zu bytes: decompress %8.1f ns  check records %8.1f  "
	       "compress %9.1f\n",
	    ot_compression_name(compression), note, bench->batch.bytes, decompress, check,
	    best_ns(bench, compress_once));
}

int
main(void)
{
	struct bench bench = { .ctx = ot_codec_ctx_create(),
		.level = OT_COMPRESSION_LEVEL_DEFAULT };
	OT_ASSERT(bench.ctx != NULL);
	ot_writer_init(&bench.batch);
	ot_writer_init(&bench.records);
	ot_writer_init(&bench.out);
	ot_batch_builder_init(&bench.builder, bench.ctx);
	bench_plain(&bench, 100);
	bench_plain(&bench, 1024);
	bench_plain(&bench, 16 * 1024);
	bench_plain(&bench, BATCH_BYTES_MAX);
	bench_codec(&bench, OT_COMPRESSION_NONE, 0, "");
	bench_codec(&bench, OT_COMPRESSION_LZ4, OT_COMPRESSION_LEVEL_DEFAULT, "default");
	bench_codec(&bench, OT_COMPRESSION_LZ4, 12, "level 12");
	bench_codec(&bench, OT_COMPRESSION_SNAPPY, 0, "");
	bench_codec(&bench, OT_COMPRESSION_ZSTD, OT_COMPRESSION_LEVEL_DEFAULT, "default");
	bench_codec(&bench, OT_COMPRESSION_ZSTD, 1, "level 1");
	for (int32_t level = 1; level <= 9; level++) {
		char note[20];
		snprintf(note, sizeof(note), "level %d", level);
		bench_codec(&bench, OT_COMPRESSION_GZIP, level, note);
	}
	ot_batch_builder_fini(&bench.builder);
	ot_writer_fini(&bench.batch);
	ot_writer_fini(&bench.records);
	ot_writer_fini(&bench.out);
	ot_codec_ctx_destroy(bench.ctx);
	return 0;
}
