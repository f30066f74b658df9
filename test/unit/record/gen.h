/* Random records for property tests: a seed gives the same ones on every machine. */
#ifndef OT_TEST_RECORD_GEN_H
#define OT_TEST_RECORD_GEN_H

#include "base/alloc.h"
#include "record/build.h"

enum { GEN_HEADER_COUNT_MAX = 4, GEN_POOL_BYTES = 256 * 1024 };

/* SplitMix64 (Steele, Lea, Flood 2014). */
struct gen {
	uint64_t state;
	uint8_t *pool; /* what keys and values are views of: text that compresses, and noise */
};

static inline uint64_t
gen_u64(struct gen *gen)
{
	uint64_t z = gen->state += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline size_t
gen_below(struct gen *gen, size_t bound)
{
	return (size_t)(gen_u64(gen) % bound);
}

static inline void
gen_init(struct gen *gen, uint64_t seed)
{
	gen->state = seed;
	gen->pool = ot_must_alloc(GEN_POOL_BYTES);
	for (size_t i = 0; i < GEN_POOL_BYTES; i++)
		gen->pool[i] = i < GEN_POOL_BYTES / 2 ? (uint8_t)("abcdefgh"[gen_below(gen, 8)])
		                                      : (uint8_t)gen_u64(gen);
}

static inline void
gen_fini(struct gen *gen)
{
	ot_free(gen->pool);
}

/* Null, empty, short as most are, or once in a while long. */
static inline struct ot_bytes
gen_bytes(struct gen *gen, size_t bytes_max)
{
	size_t kind = gen_below(gen, 16);
	size_t bytes = gen_below(gen, kind == 15 ? bytes_max : OT_MIN(bytes_max, (size_t)100));
	if (kind == 0)
		return OT_BYTES_NULL;
	if (kind == 1)
		bytes = 0;
	return (
	    struct ot_bytes){ gen->pool + gen_below(gen, GEN_POOL_BYTES - bytes), (int32_t)bytes };
}

static inline struct ot_record_data
gen_record(struct gen *gen, struct ot_header headers[GEN_HEADER_COUNT_MAX], size_t value_bytes_max)
{
	struct ot_record_data record = {
		.timestamp = 1700000000000 + (int64_t)gen_below(gen, 100000) - 50000,
		.key = gen_bytes(gen, 200),
		.value = gen_bytes(gen, value_bytes_max),
		.headers = headers,
	};
	if (gen_below(gen, 3) == 0)
		record.header_count = (int32_t)gen_below(gen, GEN_HEADER_COUNT_MAX + 1);
	for (int32_t i = 0; i < record.header_count; i++) {
		struct ot_bytes key = gen_bytes(gen, 20);
		headers[i].key = (struct ot_str){ key.len < 0 ? "" : (const char *)key.data,
			OT_MAX(key.len, 0) };
		headers[i].value = gen_bytes(gen, 50);
	}
	return record;
}

/* Appends a batch of `count` records to `out`. */
static inline struct ot_batch_info
gen_batch(struct gen *gen, const struct ot_batch_options *options, int32_t count,
    size_t value_bytes_max, struct ot_codec_ctx *ctx, struct ot_writer *out)
{
	struct ot_batch_builder builder;
	struct ot_batch_info info;
	struct ot_header headers[GEN_HEADER_COUNT_MAX];
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, options, out);
	for (int32_t i = 0; i < count; i++) {
		struct ot_record_data record = gen_record(gen, headers, value_bytes_max);
		ot_batch_builder_append(&builder, &record);
	}
	assert_ok(ot_batch_builder_finish(&builder, &info));
	ot_batch_builder_fini(&builder);
	return info;
}

#endif
