#include "cli/metrics_int.h"

#include <jansson.h>
#include <string.h>

#include "base/text.h"

static double
number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* One of librdkafka's rolling windows: {"avg":..., "max":..., "sum":..., "cnt":...}. */
static void
add_window(struct metrics_window *window, const json_t *object, const char *name)
{
	const json_t *found = json_object_get(object, name);
	window->sum += number_of(found, "sum");
	window->count += number_of(found, "cnt");
	window->max = OT_MAX(window->max, number_of(found, "max"));
}

static void
add_brokers(struct metrics *metrics, json_t *brokers)
{
	const char *name;
	json_t *broker;
	double retries = 0;
	json_object_foreach(brokers, name, broker)
	{
		add_window(&metrics->request_us, broker, "rtt");
		add_window(&metrics->queue_us, broker, "int_latency");
		retries += number_of(broker, "txretries");
	}
	metrics->retries = retries;
}

static void
add_topics(struct metrics *metrics, json_t *topics)
{
	const char *name;
	json_t *topic;
	json_object_foreach(topics, name, topic)
	{
		add_window(&metrics->batch_bytes, topic, "batchsize");
		add_window(&metrics->batch_records, topic, "batchcnt");
		const char *number;
		json_t *partition;
		json_object_foreach(json_object_get(topic, "partitions"), number, partition)
		    metrics->lag_max =
		    OT_MAX(metrics->lag_max, number_of(partition, "consumer_lag"));
	}
}

void
metrics_add(struct metrics *metrics, const char *json, size_t bytes)
{
	json_t *root = json_loadb(json, bytes, 0, NULL);
	if (!json_is_object(root)) {
		json_decref(root);
		return;
	}
	metrics->requests = number_of(root, "tx");
	metrics->responses = number_of(root, "rx");
	metrics->bytes_out = number_of(root, "tx_bytes");
	metrics->bytes_in = number_of(root, "rx_bytes");
	metrics->records_sent = number_of(root, "txmsgs");
	metrics->record_bytes_sent = number_of(root, "txmsg_bytes");
	metrics->records_received = number_of(root, "rxmsgs");
	metrics->record_bytes_received = number_of(root, "rxmsg_bytes");
	add_brokers(metrics, json_object_get(root, "brokers"));
	add_topics(metrics, json_object_get(root, "topics"));
	json_decref(root);
}

struct row {
	const char *name;
	double value;
};

static double
average(const struct metrics_window *window, double divisor)
{
	return window->count > 0 ? window->sum / window->count / divisor : 0;
}

static void
print_rows(const struct row *rows, size_t count, const char *client_id, FILE *out)
{
	char name[256];
	int width = 0;
	for (size_t i = 0; i < count; i++)
		width = OT_MAX(width,
		    (int)(strlen(rows[i].name) + strlen(client_id) + strlen(":{client-id=}")));
	fprintf(out, "\n%-*s   %s\n", width, "Metric Name", "Value");
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s:{client-id=%s}", rows[i].name, client_id);
		fprintf(out, "%-*s : %.3f\n", width, name, rows[i].value);
	}
}

void
metrics_print(const struct metrics *metrics, bool is_producer, const char *client_id, FILE *out)
{
	const struct row producer[] = {
		{ "producer-metrics:batch-size-avg", average(&metrics->batch_bytes, 1) },
		{ "producer-metrics:batch-size-max", metrics->batch_bytes.max },
		{ "producer-metrics:incoming-byte-total", metrics->bytes_in },
		{ "producer-metrics:outgoing-byte-total", metrics->bytes_out },
		{ "producer-metrics:record-queue-time-avg", average(&metrics->queue_us, 1000) },
		{ "producer-metrics:record-queue-time-max", metrics->queue_us.max / 1000 },
		{ "producer-metrics:record-retry-total", metrics->retries },
		{ "producer-metrics:record-send-total", metrics->records_sent },
		{ "producer-metrics:record-size-avg",
		    metrics->record_bytes_sent / OT_MAX(metrics->records_sent, 1) },
		{ "producer-metrics:records-per-request-avg", average(&metrics->batch_records, 1) },
		{ "producer-metrics:request-latency-avg", average(&metrics->request_us, 1000) },
		{ "producer-metrics:request-latency-max", metrics->request_us.max / 1000 },
		{ "producer-metrics:request-total", metrics->requests },
		{ "producer-metrics:response-total", metrics->responses },
	};
	const struct row consumer[] = {
		{ "consumer-fetch-manager-metrics:bytes-consumed-total",
		    metrics->record_bytes_received },
		{ "consumer-fetch-manager-metrics:fetch-latency-avg",
		    average(&metrics->request_us, 1000) },
		{ "consumer-fetch-manager-metrics:fetch-latency-max",
		    metrics->request_us.max / 1000 },
		{ "consumer-fetch-manager-metrics:records-consumed-total",
		    metrics->records_received },
		{ "consumer-fetch-manager-metrics:records-lag-max", metrics->lag_max },
		{ "consumer-metrics:incoming-byte-total", metrics->bytes_in },
		{ "consumer-metrics:outgoing-byte-total", metrics->bytes_out },
		{ "consumer-metrics:request-total", metrics->requests },
		{ "consumer-metrics:response-total", metrics->responses },
	};
	if (is_producer)
		print_rows(producer, OT_ARRAY_COUNT(producer), client_id, out);
	else
		print_rows(consumer, OT_ARRAY_COUNT(consumer), client_id, out);
}
