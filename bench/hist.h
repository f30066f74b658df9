/* A histogram of durations in the manner of HdrHistogram: 64 buckets for each power of two, so that
 * a value is off by less than 1.6 % whatever its size. Recording is a few instructions.
 *
 * @owner the histogram's thread   @blocks never
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum {
	HIST_SUB_BITS = 6,
	HIST_SUB_COUNT = 1 << HIST_SUB_BITS,
	HIST_BUCKET_COUNT = (64 - HIST_SUB_BITS + 1) * HIST_SUB_COUNT,
};

struct hist {
	uint64_t counts[HIST_BUCKET_COUNT];
	uint64_t count;
	uint64_t max;
};

void hist_reset(struct hist *hist);
void hist_record(struct hist *hist, uint64_t value);
void hist_add(struct hist *hist, const struct hist *other);

/* The value that `share` (0 to 1) of all values do not exceed; 0 when there are none. */
uint64_t hist_quantile(const struct hist *hist, double share);

#endif
