/* The client that creates the plan's topics. It asks again until all of them are there, whoever it
 * asks and whatever was lost on the way. */
#include <stdio.h>

#include "base/alloc.h"
#include "user.h"
#include "wire/msg_create_topics.h"

enum { CREATE_API = 19, CREATE_VERSION = 5, RETRY_MS = 100 };

struct creator {
	struct client client;
	int32_t next; /* topic of the plan */
	int16_t last_code;
	struct ot_timer timer;
};

static void
on_created(void *arg, void *answer)
{
	struct creator *creator = arg;
	const struct ot_create_topics_response *response = answer;
	int16_t code = response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->topics[0].error_code;

	creator->last_code = code;
	if (code == 0 || code == OT_ERR_TOPIC_ALREADY_EXISTS)
		creator->next++;
	else if (!user_is_retriable(code))
		history_fail(creator->client.user->sim->history,
		    "CreateTopics was answered with error %d", code);
	ot_timer_arm_in_ms(creator->client.user->io, &creator->timer,
	    creator->next > 0 && code == 0 ? 0 : RETRY_MS);
}

static int32_t
fill_configs(const struct sim_topic *topic, struct ot_create_topics_request_config *configs,
    char texts[][24])
{
	static const char *const names[] = { "segment.bytes", "min.insync.replicas",
		"flush.messages" };
	int32_t count = topic->is_flushed ? 3 : 2;

	(void)snprintf(texts[0], 24, "%d", topic->segment_bytes);
	(void)snprintf(texts[1], 24, "%d", topic->min_isr);
	(void)snprintf(texts[2], 24, "1");
	for (int32_t i = 0; i < count; i++) {
		ot_create_topics_request_config_init(&configs[i]);
		configs[i].name = ot_str_from(names[i]);
		configs[i].value = ot_str_from(texts[i]);
	}
	return count;
}

static void
on_due(struct ot_timer *timer)
{
	struct creator *creator = OT_CONTAINER_OF(timer, struct creator, timer);
	struct user *user = creator->client.user;
	struct ot_create_topics_request_config configs[3];
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request request;
	const struct sim_topic *wanted;
	char texts[3][24];

	if (creator->next == user->sim->plan.topic_count)
		return;
	wanted = &user->sim->plan.topics[creator->next];
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	topic.name = ot_str_from(wanted->name);
	topic.num_partitions = wanted->partition_count;
	topic.replication_factor = wanted->replication_factor;
	topic.configs = configs;
	topic.configs_count = fill_configs(wanted, configs, texts);
	request.topics = &topic;
	request.topics_count = 1;
	request.timeout_ms = 5000;
	client_call(&creator->client, user_any_broker(user), CREATE_API, CREATE_VERSION, &request,
	    on_created, creator);
}

static void
stop(struct client *client)
{
	struct creator *creator = OT_CONTAINER_OF(client, struct creator, client);

	ot_timer_cancel(client->user->io, &creator->timer);
	ot_free(creator);
}

static bool
is_idle(const struct client *client, char *why, size_t bytes)
{
	const struct creator *creator = OT_CONTAINER_OF((uintptr_t)client, struct creator, client);

	(void)snprintf(why, bytes, "topic %d, the last answer was %d", creator->next,
	    creator->last_code);
	return creator->next == client->user->sim->plan.topic_count;
}

void
creator_start(struct user *user)
{
	struct creator *creator = OT_NEW(struct creator);

	creator->client = (struct client){ .stop = stop, .is_idle = is_idle, .what = "creator" };
	ot_timer_init(&creator->timer, on_due);
	user_add(user, &creator->client);
	ot_timer_arm_in_ms(user->io, &creator->timer, 0);
}
