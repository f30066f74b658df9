#include "../test.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/metrics_int.h"

static const char first[] =
    "{\"tx\":1,\"rx\":1,\"tx_bytes\":100,\"rx_bytes\":10,\"txmsgs\":5,\"txmsg_bytes\":50,"
    "\"brokers\":{\"a\":{\"txretries\":0,\"rtt\":{\"sum\":1000,\"cnt\":1,\"max\":1000}}},"
    "\"topics\":{\"t\":{\"batchsize\":{\"sum\":100,\"cnt\":2,\"max\":60}}}}";
static const char second[] =
    "{\"tx\":3,\"rx\":2,\"tx_bytes\":300,\"rx_bytes\":30,\"txmsgs\":10,\"txmsg_bytes\":100,"
    "\"brokers\":{\"a\":{\"txretries\":1,\"rtt\":{\"sum\":6000,\"cnt\":2,\"max\":4000}},"
    "\"b\":{\"txretries\":2}},\"topics\":{}}";

static void
add(struct metrics *metrics, const char *json)
{
	metrics_add(metrics, json, strlen(json));
}

/* Goal: totals are the newest, averages those of all documents. Method: two documents. */
static void
adds_up(void **state)
{
	struct metrics metrics = { .requests = 0 };
	(void)state;
	add(&metrics, first);
	add(&metrics, second);
	assert_true(metrics.requests == 3);
	assert_true(metrics.records_sent == 10);
	assert_true(metrics.retries == 3);
	assert_true(metrics.request_us.sum == 7000);
	assert_true(metrics.request_us.count == 3);
	assert_true(metrics.request_us.max == 4000);
	assert_true(metrics.batch_bytes.max == 60);
}

/* Goal: no document does harm. */
static void
no_document(void **state)
{
	struct metrics metrics = { .requests = 0 };
	(void)state;
	add(&metrics, first);
	add(&metrics, "");
	add(&metrics, "[]");
	add(&metrics, "{\"tx\":");
	assert_true(metrics.requests == 1);
	add(&metrics, "{\"brokers\":[1],\"topics\":\"x\"}");
	assert_true(metrics.requests == 0);
}

/* Goal: the table has Kafka's form. Method: its first lines. */
static void
table(void **state)
{
	struct metrics metrics = { .requests = 0 };
	char *text = NULL;
	size_t bytes = 0;
	(void)state;
	add(&metrics, first);
	FILE *out = open_memstream(&text, &bytes);
	metrics_print(&metrics, true, "p", out);
	fclose(out);
	static const char expected[] =
	    "\nMetric Name                                              Value\n"
	    "producer-metrics:batch-size-avg:{client-id=p}          : 50.000\n"
	    "producer-metrics:batch-size-max:{client-id=p}          : 60.000\n";
	assert_memory_equal(text, expected, sizeof(expected) - 1);
	assert_non_null(strstr(text, "request-latency-avg:{client-id=p}     : 1.000\n"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_up),
		cmocka_unit_test(no_document),
		cmocka_unit_test(table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
