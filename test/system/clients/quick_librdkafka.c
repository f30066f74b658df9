/* The quick start with librdkafka; see quick_starts.py. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char why[512];

static void
die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		die(name);
}

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *record, void *arg)
{
	(void)producer;
	(void)arg;
	if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(why, sizeof(why), "%s", rd_kafka_err2str(record->err));
		die("delivery");
	}
}

static void
produce(rd_kafka_conf_t *conf, const char *topic)
{
	set(conf, "acks", "all");
	set(conf, "retries", "0");
	set(conf, "batch.size", "16384");
	set(conf, "linger.ms", "1");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (producer == NULL)
		die("producer");
	for (int i = 0; i < 100; i++) {
		char text[8];
		size_t size = (size_t)snprintf(text, sizeof(text), "%d", i);
		rd_kafka_resp_err_t err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
		    RD_KAFKA_V_KEY(text, size), RD_KAFKA_V_VALUE(text, size),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			die("produce");
	}
	if (rd_kafka_flush(producer, 30000) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die("flush");
	rd_kafka_destroy(producer);
}

static void
consume(rd_kafka_conf_t *conf, const char *topic, int count)
{
	set(conf, "group.id", "srk");
	set(conf, "auto.offset.reset", "earliest");
	set(conf, "enable.auto.commit", "false");
	set(conf, "session.timeout.ms", "3000");
	set(conf, "heartbeat.interval.ms", "500");
	rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (consumer == NULL)
		die("consumer");
	rd_kafka_poll_set_consumer(consumer);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_subscribe(consumer, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	for (int uncommitted = 0; count > 0;) {
		rd_kafka_message_t *record = rd_kafka_consumer_poll(consumer, 1000);
		if (record == NULL)
			continue;
		if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
			snprintf(why, sizeof(why), "%s", rd_kafka_message_errstr(record));
			die("poll");
		}
		printf("offset = %lld, key = %.*s, value = %.*s\n", (long long)record->offset,
		    (int)record->key_len, (char *)record->key, (int)record->len,
		    (char *)record->payload);
		fflush(stdout);
		if (++uncommitted == 20) {
			if (rd_kafka_commit_message(consumer, record, 0) !=
			    RD_KAFKA_RESP_ERR_NO_ERROR)
				die("commit");
			uncommitted = 0;
		}
		rd_kafka_message_destroy(record);
		count--;
	}
	sleep(600);
}

int
main(int argc, char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", argv[2]);
	if (strcmp(argv[1], "produce") == 0)
		produce(conf, argv[3]);
	else if (argc == 5)
		consume(conf, argv[3], (int)strtol(argv[4], NULL, 10));
	return 0;
}
