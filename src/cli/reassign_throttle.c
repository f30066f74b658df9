#include "cli/reassign_int.h"

#include <stdlib.h>
#include <string.h>

#include "config/def.h"
#include "wire/msg_describe_configs.h"
#include "wire/msg_incremental_alter_configs.h"

/* ---- making them --------------------------------------------------------------------------- */

/* Where a partition's records come from, and where they go. */
struct move {
	struct cli_partition_name name; /* first: see the comparison */
	struct cli_replicas sources;
	struct cli_replicas targets;
};

/* Those of `all` that are not among `without`. */
static struct cli_replicas
subtract(struct cli *cli, const struct cli_replicas *all, const struct cli_replicas *without)
{
	struct cli_replicas rest = {
		cli_alloc(cli, (size_t)OT_MAX(all->count, 0), sizeof(*rest.brokers)), 0
	};
	for (int32_t i = 0; i < all->count; i++) {
		if (!cli_replicas_have(without, all->brokers[i]))
			rest.brokers[rest.count++] = all->brokers[i];
	}
	return rest;
}

/* The replicas that the partition has now. */
static struct cli_replicas
replicas_of(const struct cli_targets *current, struct cli_partition_name name)
{
	const struct cli_target *found =
	    current->count == 0 ? NULL
				: bsearch(&name, current->items, current->count,
				      sizeof(*current->items), cli_partition_name_compare);
	return found != NULL ? found->replicas : (struct cli_replicas){ 0 };
}

/* One move per partition, sorted. A target that replaces a move under way keeps its sources. */
static struct move *
make_moves(struct cli *cli, const struct cli_movings *movings, const struct cli_targets *targets,
    const struct cli_targets *current, size_t *ret_count)
{
	size_t count = 0;
	struct move *moves = cli_alloc(cli, movings->count + targets->count, sizeof(*moves));
	for (size_t i = 0; i < targets->count; i++) {
		const struct cli_target *target = &targets->items[i];
		const struct cli_moving *moving = cli_movings_find(movings, target->name);
		struct move *move = &moves[count++];
		move->name = target->name;
		move->sources = moving != NULL ? subtract(cli, &moving->replicas, &moving->adding)
		                               : replicas_of(current, target->name);
		move->targets = subtract(cli, &target->replicas, &move->sources);
	}
	for (size_t i = 0; i < movings->count; i++) {
		const struct cli_moving *moving = &movings->items[i];
		if (targets->count > 0 &&
		    bsearch(&moving->name, targets->items, targets->count, sizeof(*targets->items),
			cli_partition_name_compare) != NULL)
			continue;
		moves[count++] = (struct move){
			.name = moving->name,
			.sources = subtract(cli, &moving->replicas, &moving->adding),
			.targets = moving->adding,
		};
	}
	if (count > 1)
		qsort(moves, count, sizeof(*moves), cli_partition_name_compare);
	*ret_count = count;
	return moves;
}

/* "partition:broker,...": a setting's value. */
static const char *
extend(struct cli *cli, const char *text, int32_t partition, const struct cli_replicas *replicas)
{
	for (int32_t i = 0; i < replicas->count; i++)
		text = cli_format(cli, "%s%s%d:%d", text, *text != '\0' ? "," : "", partition,
		    replicas->brokers[i]);
	return text;
}

static int
compare_ids(const void *a, const void *b)
{
	int32_t one = *(const int32_t *)a;
	int32_t other = *(const int32_t *)b;
	return (one > other) - (one < other);
}

static void
add_brokers(struct cli_replicas *brokers, const struct cli_replicas *more)
{
	for (int32_t i = 0; i < more->count; i++) {
		if (!cli_replicas_have(brokers, more->brokers[i]))
			brokers->brokers[brokers->count++] = more->brokers[i];
	}
}

static struct cli_replicas
find_brokers(struct cli *cli, const struct move *moves, size_t count)
{
	size_t room = 0;
	for (size_t i = 0; i < count; i++)
		room += (size_t)moves[i].sources.count + (size_t)moves[i].targets.count;
	struct cli_replicas brokers = { cli_alloc(cli, room, sizeof(*brokers.brokers)), 0 };
	for (size_t i = 0; i < count; i++) {
		add_brokers(&brokers, &moves[i].sources);
		add_brokers(&brokers, &moves[i].targets);
	}
	if (brokers.count > 1)
		qsort(brokers.brokers, (size_t)brokers.count, sizeof(*brokers.brokers),
		    compare_ids);
	return brokers;
}

void
cli_throttles_make(struct cli *cli, const struct cli_movings *movings,
    const struct cli_targets *targets, const struct cli_targets *current,
    struct cli_throttles *ret_throttles)
{
	size_t count = 0;
	struct move *moves = make_moves(cli, movings, targets, current, &count);
	struct cli_throttles throttles = { cli_alloc(cli, count, sizeof(*throttles.items)), 0,
		find_brokers(cli, moves, count) };
	struct cli_throttle *topic = NULL;
	for (size_t i = 0; i < count; i++) {
		if (topic == NULL || !ot_str_equal(topic->topic, moves[i].name.topic)) {
			topic = &throttles.items[throttles.count++];
			*topic = (struct cli_throttle){ moves[i].name.topic, "", "" };
		}
		topic->leaders =
		    extend(cli, topic->leaders, moves[i].name.index, &moves[i].sources);
		topic->followers =
		    extend(cli, topic->followers, moves[i].name.index, &moves[i].targets);
	}
	*ret_throttles = throttles;
}

/* ---- setting them -------------------------------------------------------------------------- */

enum { SETTINGS_MAX = 3 }; /* of one resource */

typedef struct ot_incremental_alter_configs_request_alter_configs_resource resource;

static resource *
add_resource(struct cli *cli, struct ot_incremental_alter_configs_request *request,
    enum cli_resource type, struct ot_str name)
{
	resource *added = &request->resources[request->resources_count++];
	added->resource_type = (int8_t)type;
	added->resource_name = name;
	added->configs =
	    ot_incremental_alter_configs_request_config_array(&cli->arena, SETTINGS_MAX);
	return added;
}

static struct ot_str
broker_name(struct cli *cli, int32_t id)
{
	return ot_str_from(cli_format(cli, "%d", id));
}

/* NULL as a value takes the setting away. */
static void
add_setting(resource *to, const char *name, const char *value)
{
	struct ot_incremental_alter_configs_request_config *config =
	    &to->configs[to->configs_count++];
	config->name = ot_str_from(name);
	config->config_operation = value != NULL ? 0 : 1; /* SET, DELETE */
	config->value = value != NULL ? ot_str_from(value) : OT_STR_NULL;
}

static void
init_request(struct cli *cli, struct ot_incremental_alter_configs_request *request, size_t count)
{
	ot_incremental_alter_configs_request_init(request);
	request->resources = ot_incremental_alter_configs_request_alter_configs_resource_array(
	    &cli->arena, (int32_t)count);
}

static ot_err
send_request(struct cli *cli, const struct ot_incremental_alter_configs_request *request)
{
	struct ot_incremental_alter_configs_response response;
	if (request->resources_count == 0)
		return OT_OK;
	ot_err err =
	    cli_call(cli, OT_NODE_ANY, CLI_API_INCREMENTAL_ALTER_CONFIGS, request, &response);
	for (int32_t i = 0; err == OT_OK && i < response.responses_count; i++) {
		err = ot_err_from_wire(response.responses[i].error_code);
		if (err != OT_OK)
			ot_why_set(&cli->why, "%s",
			    cli_error_text(cli, response.responses[i].error_code,
				response.responses[i].error_message));
	}
	return err;
}

ot_err
cli_throttles_set(struct cli *cli, const struct cli_throttles *throttles, int64_t rate)
{
	struct ot_incremental_alter_configs_request request;
	const char *value = cli_format(cli, "%lld", (long long)rate);
	init_request(cli, &request, throttles->count + (size_t)throttles->brokers.count);
	for (size_t i = 0; i < throttles->count; i++) {
		const struct cli_throttle *one = &throttles->items[i];
		resource *topic = add_resource(cli, &request, CLI_RESOURCE_TOPIC, one->topic);
		add_setting(topic, "leader.replication.throttled.replicas", one->leaders);
		add_setting(topic, "follower.replication.throttled.replicas", one->followers);
	}
	for (int32_t i = 0; i < throttles->brokers.count; i++) {
		resource *broker = add_resource(cli, &request, CLI_RESOURCE_BROKER,
		    broker_name(cli, throttles->brokers.brokers[i]));
		add_setting(broker, "leader.replication.throttled.rate", value);
		add_setting(broker, "follower.replication.throttled.rate", value);
	}
	return send_request(cli, &request);
}

ot_err
cli_dir_throttle_set(struct cli *cli, const struct cli_replicas *brokers, int64_t rate)
{
	struct ot_incremental_alter_configs_request request;
	const char *value = cli_format(cli, "%lld", (long long)rate);
	init_request(cli, &request, (size_t)brokers->count);
	for (int32_t i = 0; i < brokers->count; i++)
		add_setting(add_resource(cli, &request, CLI_RESOURCE_BROKER,
				broker_name(cli, brokers->brokers[i])),
		    "replica.alter.log.dirs.io.max.bytes.per.second", value);
	return send_request(cli, &request);
}

static bool
has_own(const struct ot_describe_configs_response_result *result)
{
	for (int32_t i = 0; i < result->configs_count; i++) {
		if (result->configs[i].config_source == OT_SOURCE_TOPIC)
			return true;
	}
	return false;
}

ot_err
cli_throttles_look(struct cli *cli, const struct ot_str *topics, size_t topic_count,
    bool *ret_found)
{
	static struct ot_str keys[] = {
		OT_STR_LIT("leader.replication.throttled.replicas"),
		OT_STR_LIT("follower.replication.throttled.replicas"),
	};
	struct ot_describe_configs_request request;
	struct ot_describe_configs_response response;
	ot_describe_configs_request_init(&request);
	request.resources =
	    ot_describe_configs_request_resource_array(&cli->arena, (int32_t)topic_count);
	request.resources_count = (int32_t)topic_count;
	for (size_t i = 0; i < topic_count; i++) {
		request.resources[i].resource_type = CLI_RESOURCE_TOPIC;
		request.resources[i].resource_name = topics[i];
		request.resources[i].configuration_keys = keys;
		request.resources[i].configuration_keys_count = OT_ARRAY_COUNT(keys);
	}
	ot_err err = cli_call(cli, OT_NODE_ANY, CLI_API_DESCRIBE_CONFIGS, &request, &response);
	if (err != OT_OK)
		return err;
	*ret_found = false;
	for (int32_t i = 0; i < response.results_count; i++)
		*ret_found = *ret_found || has_own(&response.results[i]);
	return OT_OK;
}

ot_err
cli_throttles_clear(struct cli *cli, const struct cli_replicas *brokers,
    const struct ot_str *topics, size_t topic_count)
{
	struct ot_incremental_alter_configs_request request;
	init_request(cli, &request, topic_count + (size_t)brokers->count);
	for (int32_t i = 0; i < brokers->count; i++) {
		resource *broker = add_resource(cli, &request, CLI_RESOURCE_BROKER,
		    broker_name(cli, brokers->brokers[i]));
		add_setting(broker, "leader.replication.throttled.rate", NULL);
		add_setting(broker, "follower.replication.throttled.rate", NULL);
		add_setting(broker, "replica.alter.log.dirs.io.max.bytes.per.second", NULL);
	}
	for (size_t i = 0; i < topic_count; i++) {
		resource *topic = add_resource(cli, &request, CLI_RESOURCE_TOPIC, topics[i]);
		add_setting(topic, "leader.replication.throttled.replicas", NULL);
		add_setting(topic, "follower.replication.throttled.replicas", NULL);
	}
	return send_request(cli, &request);
}
