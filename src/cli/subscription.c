#include "cli/subscription_int.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/filter_int.h"

enum {
	SUBSCRIPTION_REFRESH_US = 10 * 1000000,
	SUBSCRIPTION_RETRY_US = 1000000,
	SUBSCRIPTION_TIMEOUT_MS = 5000,
	SUBSCRIPTION_MAKE_MS = 2000,
};

struct subscription {
	struct stream *stream;
	struct cli_filter *filter; /* NULL: one topic, nothing to look for */
	bool excludes;             /* what the filter matches is left out */
	bool includes_internal;
	int64_t refresh_at;
	rd_kafka_topic_partition_list_t *topics; /* that it is subscribed to */
};

static bool
is_internal(const char *topic)
{
	return strcmp(topic, "__consumer_offsets") == 0 ||
	       strcmp(topic, "__transaction_state") == 0 ||
	       strcmp(topic, "__share_group_state") == 0;
}

static bool
is_wanted(const struct subscription *subscription, const char *topic)
{
	if (is_internal(topic) && !subscription->includes_internal)
		return false;
	return cli_filter_has(subscription->filter, ot_str_from(topic)) != subscription->excludes;
}

static rd_kafka_topic_partition_list_t *
list_topics(struct subscription *subscription)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(subscription->stream->client, 1, NULL,
	    &metadata, SUBSCRIPTION_TIMEOUT_MS);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		stream_log("WARN", "%sThe topics cannot be listed: %s", subscription->stream->name,
		    rd_kafka_err2str(err));
		return NULL;
	}
	rd_kafka_topic_partition_list_t *topics =
	    rd_kafka_topic_partition_list_new(metadata->topic_cnt);
	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (is_wanted(subscription, metadata->topics[i].topic))
			rd_kafka_topic_partition_list_add(topics, metadata->topics[i].topic,
			    RD_KAFKA_PARTITION_UA);
	}
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_partition_list_sort(topics, NULL, NULL);
	return topics;
}

static bool
is_same(const rd_kafka_topic_partition_list_t *a, const rd_kafka_topic_partition_list_t *b)
{
	if (a == NULL || a->cnt != b->cnt)
		return false;
	for (int i = 0; i < a->cnt; i++) {
		if (strcmp(a->elems[i].topic, b->elems[i].topic) != 0)
			return false;
	}
	return true;
}

/* Takes over the list. */
static rd_kafka_resp_err_t
subscribe(struct subscription *subscription, rd_kafka_topic_partition_list_t *topics)
{
	rd_kafka_resp_err_t err = topics->cnt > 0
	                              ? rd_kafka_subscribe(subscription->stream->client, topics)
	                              : rd_kafka_unsubscribe(subscription->stream->client);
	if (subscription->topics != NULL)
		rd_kafka_topic_partition_list_destroy(subscription->topics);
	subscription->topics = topics;
	return err;
}

void
subscription_refresh(struct subscription *subscription)
{
	if (subscription->filter == NULL || stream_now_us() < subscription->refresh_at)
		return;
	rd_kafka_topic_partition_list_t *topics = list_topics(subscription);
	subscription->refresh_at =
	    stream_now_us() + (topics != NULL ? SUBSCRIPTION_REFRESH_US : SUBSCRIPTION_RETRY_US);
	if (topics == NULL)
		return;
	if (is_same(subscription->topics, topics)) {
		rd_kafka_topic_partition_list_destroy(topics);
		return;
	}
	rd_kafka_resp_err_t err = subscribe(subscription, topics);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		stream_log("WARN", "%s%s", subscription->stream->name, rd_kafka_err2str(err));
}

/* Librdkafka leaves it to producers to create a topic where the broker does so for whoever asks,
 * whatever allow.auto.create.topics says; but it creates one that is asked for by itself. Without
 * it a topic would begin with the first producer, and a consumer that was there before would
 * find it too late for the first records. When nobody answers, the topic is found later. */
static void
make_topic(struct subscription *subscription, const char *name)
{
	rd_kafka_t *client = subscription->stream->client;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
	const struct rd_kafka_metadata *metadata;
	if (topic == NULL)
		return;
	if (rd_kafka_metadata(client, 0, topic, &metadata, SUBSCRIPTION_MAKE_MS) ==
	    RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
}

static bool
open_topic(struct cli *cli, struct subscription *subscription, const char *topic)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
	if (topic[0] == '^') { /* librdkafka would take it as an expression */
		rd_kafka_topic_partition_list_destroy(topics);
	} else {
		if (subscription->stream->makes_topics)
			make_topic(subscription, topic);
		err = subscribe(subscription, topics);
	}
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		cli_fail(cli, "The topic %s: %s", topic, rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool
subscription_open(struct cli *cli, struct stream *stream, const struct subscription_options *wanted,
    struct subscription **ret_subscription)
{
	struct ot_why why = { "" };
	struct subscription *subscription = OT_NEW(struct subscription);
	subscription->stream = stream;
	subscription->includes_internal = wanted->includes_internal;
	subscription->excludes = wanted->exclude != NULL;
	bool is_open = true;
	if (wanted->topic != NULL) {
		is_open = open_topic(cli, subscription, wanted->topic);
	} else if (cli_filter_create_list(wanted->exclude != NULL ? wanted->exclude
								  : wanted->include,
		       &subscription->filter, &why) != OT_OK) {
		cli_fail_usage(cli, "%s", why.text);
		is_open = false;
	}
	if (!is_open) {
		subscription_close(subscription);
		return false;
	}
	subscription_refresh(subscription);
	*ret_subscription = subscription;
	return true;
}

void
subscription_close(struct subscription *subscription)
{
	if (subscription == NULL)
		return;
	if (subscription->topics != NULL)
		rd_kafka_topic_partition_list_destroy(subscription->topics);
	cli_filter_destroy(subscription->filter);
	ot_free(subscription);
}
