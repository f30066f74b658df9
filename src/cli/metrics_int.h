/* The figures of --print-metrics: what librdkafka's statistics say, under the names and in the
 * table of Kafka's clients. Those that librdkafka does not keep are left out.
 *
 * Statistics come as JSON once a second, with averages over that second; here they are added up to
 * those of the whole run.
 *
 * @owner the metrics'   @blocks as the stream does
 */
#ifndef OT_CLI_METRICS_INT_H
#define OT_CLI_METRICS_INT_H

#include <stdio.h>

#include "base/defs.h"

struct metrics_window {
	double sum;
	double count;
	double max;
};

struct metrics {
	/* Of a producer or consumer. */
	double requests, responses, bytes_out, bytes_in, retries;
	struct metrics_window request_us;
	/* Of a producer. */
	double records_sent, record_bytes_sent;
	struct metrics_window queue_us, batch_bytes, batch_records;
	/* Of a consumer. */
	double records_received, record_bytes_received, lag_max;
};

/* Takes one document of librdkafka's. What is no such document changes nothing. */
void metrics_add(struct metrics *metrics, const char *json, size_t bytes);

/* The table, sorted by names, with an empty line before it. */
void metrics_print(const struct metrics *metrics, bool is_producer, const char *client_id,
    FILE *out);

#endif
