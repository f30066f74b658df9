/* What the load generator must know of the probe: see probe.c. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

enum {
	PROBE_QUIET = 128, /* added to the API key: no answer is wanted */
	PROBE_ANSWER_BYTES =
	    72, /* of an answer's header, its length included; as long as Kafka's */
	PROBE_PARTITION_AT = 14,
	PROBE_FETCH_FILE_BYTES = 256 * 1024 * 1024,
};

#endif
