#include "hist.h"

#include <string.h>

#include "base/defs.h"

void
hist_reset(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

/* Values below HIST_SUB_COUNT have a bucket each; above, the exponent picks a row of buckets and
 * the bits below the leading one pick the bucket in it. */
static uint32_t
bucket_of(uint64_t value)
{
	if (value < HIST_SUB_COUNT)
		return (uint32_t)value;
	uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value);
	uint32_t row = exponent - HIST_SUB_BITS + 1;
	uint32_t sub = (uint32_t)(value >> (exponent - HIST_SUB_BITS)) & (HIST_SUB_COUNT - 1);
	return row * HIST_SUB_COUNT + sub;
}

/* The greatest value of the bucket. */
static uint64_t
bucket_top(uint32_t bucket)
{
	uint32_t row = bucket / HIST_SUB_COUNT;
	uint64_t sub = bucket % HIST_SUB_COUNT;
	if (row == 0)
		return sub;
	return ((HIST_SUB_COUNT + sub + 1) << (row - 1)) - 1;
}

void
hist_record(struct hist *hist, uint64_t value)
{
	hist->counts[bucket_of(value)]++;
	hist->count++;
	hist->max = OT_MAX(hist->max, value);
}

void
hist_add(struct hist *hist, const struct hist *other)
{
	for (uint32_t i = 0; i < HIST_BUCKET_COUNT; i++)
		hist->counts[i] += other->counts[i];
	hist->count += other->count;
	hist->max = OT_MAX(hist->max, other->max);
}

uint64_t
hist_quantile(const struct hist *hist, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)hist->count + 0.5);
	uint64_t seen = 0;
	for (uint32_t i = 0; i < HIST_BUCKET_COUNT; i++) {
		seen += hist->counts[i];
		if (seen >= wanted && seen > 0)
			return OT_MIN(bucket_top(i), hist->max);
	}
	return hist->max;
}
