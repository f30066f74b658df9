#include "cli/perf_stats_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { US_PER_MS = 1000, US_PER_SECOND = 1000000 };

void
perf_stats_init(struct perf_stats *stats, uint64_t record_count, int64_t window_us,
    bool is_steady_state, int64_t now)
{
	*stats = (struct perf_stats){
		.total = { .start = now },
		.window = { .start = now },
		.window_us = window_us,
		.is_steady_state = is_steady_state,
	};
	uint64_t kept = OT_MAX(OT_MIN(record_count, PERF_SAMPLES_MAX), 1);
	stats->sampling = OT_MAX(record_count / kept, 1);
	stats->sample_capacity = (size_t)(record_count / stats->sampling + 1);
	stats->samples = ot_must_alloc(stats->sample_capacity * sizeof(*stats->samples));
}

void
perf_stats_fini(struct perf_stats *stats)
{
	ot_free(stats->samples);
	stats->samples = NULL;
}

static void
add(struct perf_sums *sums, int64_t latency, uint64_t bytes)
{
	sums->count++;
	sums->bytes += bytes;
	sums->latency_total += latency;
	sums->latency_max = OT_MAX(sums->latency_max, latency);
}

bool
perf_stats_record(struct perf_stats *stats, int64_t latency, uint64_t bytes, int64_t now)
{
	if (stats->total.count % stats->sampling == 0 &&
	    stats->sample_count < stats->sample_capacity)
		stats->samples[stats->sample_count++] =
		    (int32_t)OT_MIN(latency / US_PER_MS, INT32_MAX);
	add(&stats->total, latency, bytes);
	add(&stats->window, latency, bytes);
	return now - stats->window.start >= stats->window_us;
}

struct rates {
	double records;
	double mebibytes;
	double latency_avg; /* milliseconds, as those below */
	double latency_max;
};

static struct rates
rates_of(const struct perf_sums *sums, int64_t now)
{
	double seconds = (double)OT_MAX(now - sums->start, 1) / US_PER_SECOND;
	double count = (double)OT_MAX(sums->count, 1);
	return (struct rates){
		.records = (double)sums->count / seconds,
		.mebibytes = (double)sums->bytes / seconds / OT_MIB,
		.latency_avg = (double)sums->latency_total / count / US_PER_MS,
		.latency_max = (double)sums->latency_max / US_PER_MS,
	};
}

void
perf_stats_put_window(struct perf_stats *stats, int64_t now, struct ot_text *text)
{
	struct rates rates = rates_of(&stats->window, now);
	if (stats->is_steady_state && stats->window.count == stats->total.count)
		ot_text_put(text, "In steady state.\n");
	ot_text_put(text,
	    "%" PRIu64 " records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, "
	    "%.1f ms max latency.\n",
	    stats->window.count, rates.records, rates.mebibytes, rates.latency_avg,
	    rates.latency_max);
	stats->window = (struct perf_sums){ .start = now };
}

void
perf_stats_put_total(struct perf_stats *stats, int64_t now, struct ot_text *text)
{
	struct rates rates = rates_of(&stats->total, now);
	const int32_t *samples = stats->samples;
	size_t count = stats->sample_count;
	perf_sort(stats->samples, count);
	ot_text_put(text,
	    "%" PRIu64 "%s records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, "
	    "%.2f ms max latency, %d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.\n",
	    stats->total.count, stats->is_steady_state ? " steady state" : "", rates.records,
	    rates.mebibytes, rates.latency_avg, rates.latency_max,
	    perf_percentile(samples, count, 0.5), perf_percentile(samples, count, 0.95),
	    perf_percentile(samples, count, 0.99), perf_percentile(samples, count, 0.999));
}

int64_t
perf_due(int64_t start, uint64_t index, double per_second)
{
	if (per_second < 0)
		return start;
	double wait = (double)index / per_second * US_PER_SECOND;
	/* Also where a rate of 0 gives infinity, or for the first record no number at all. */
	return wait < 1e18 ? start + (int64_t)wait : INT64_MAX;
}

static int
compare(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
	return (left > right) - (left < right);
}

void
perf_sort(int32_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

int32_t
perf_percentile(const int32_t *values, size_t count, double part)
{
	return count > 0 ? values[OT_MIN((size_t)(part * (double)count), count - 1)] : 0;
}
