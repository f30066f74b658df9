/* What the producer's performance test measures, and the lines in which Kafka's tool tells it.
 *
 * Times are microseconds of one clock that the caller reads; what is printed is milliseconds.
 * Latencies are kept for at most PERF_SAMPLES_MAX records, every n-th of a longer run, as Kafka
 * does: percentiles are those of the samples.
 *
 * @owner the statistics'   @blocks never
 */
#ifndef OT_CLI_PERF_STATS_INT_H
#define OT_CLI_PERF_STATS_INT_H

#include "base/text.h"

enum { PERF_SAMPLES_MAX = 500000 };

struct perf_sums {
	int64_t start;
	uint64_t count;
	uint64_t bytes;
	int64_t latency_total;
	int64_t latency_max;
};

struct perf_stats {
	struct perf_sums total;
	struct perf_sums window; /* since the last line about progress */
	int64_t window_us;       /* how often such a line is due */
	uint64_t sampling;       /* every so many records one is kept */
	int32_t *samples;        /* heap: milliseconds */
	size_t sample_count;
	size_t sample_capacity;
	bool is_steady_state; /* the records behind those of the warm-up */
};

void perf_stats_init(struct perf_stats *stats, uint64_t record_count, int64_t window_us,
    bool is_steady_state, int64_t now);
void perf_stats_fini(struct perf_stats *stats);

/* Takes one answered record. True when a line about the window is due. */
bool perf_stats_record(struct perf_stats *stats, int64_t latency, uint64_t bytes, int64_t now);

/* "12345 records sent, ..." of the window, which starts anew. */
void perf_stats_put_window(struct perf_stats *stats, int64_t now, struct ot_text *text);

/* The same of the whole run, with percentiles. Sorts the samples: nothing is recorded after it. */
void perf_stats_put_total(struct perf_stats *stats, int64_t now, struct ot_text *text);

/* The time at which record `index` of a run at `per_second` is due, and `start` for those without
 * a limit (below 0). A rate of 0 lets nothing through: INT64_MAX. */
int64_t perf_due(int64_t start, uint64_t index, double per_second);

/* Sorts and gives the value below which `part` of them are, as Kafka's tools pick it. */
void perf_sort(int32_t *values, size_t count);
int32_t perf_percentile(const int32_t *values, size_t count, double part);

#endif
