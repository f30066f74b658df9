/* Rules between settings, those of Kafka's KafkaConfig.validateValues() that have a meaning here.
 *
 * A broken rule that would harm data or clients is an error, as in Kafka. Where Kafka demands a
 * setting only because its quorum could not start otherwise, a default takes its place here, so
 * that a file without it is no error.
 */
#include "config/settings_int.h"

#include <string.h>

struct checker {
	const struct ot_settings *settings;
	struct ot_config_notes *notes;
};

static void
broken(const struct checker *check, enum ot_broker_key key, const char *rule)
{
	struct ot_why place = config_place_of(check->settings, key);
	ot_config_error(check->notes, "%s is not valid: %s", place.text, rule);
}

static int64_t
number(const struct checker *check, enum ot_broker_key key)
{
	return ot_settings_number(check->settings, key);
}

/* Where the number of a key with synonyms was really given. */
static enum ot_broker_key
giver_of(const struct checker *check, enum ot_broker_key key)
{
	const struct ot_config_def *def = &ot_broker_table.defs[key];
	if (!check->settings->values[key].value.is_null)
		return key;
	for (size_t i = 0; i < def->synonym_count; i++) {
		if (!check->settings->values[def->synonyms[i].key].value.is_null)
			return (enum ot_broker_key)def->synonyms[i].key;
	}
	return key;
}

/* `small` may not be more than `large`. */
static void
check_order(const struct checker *check, enum ot_broker_key small, enum ot_broker_key large,
    const char *reason)
{
	if (number(check, small) <= number(check, large))
		return;
	bool blames_small = ot_settings_is_set(check->settings, small);
	enum ot_broker_key key = blames_small ? small : large;
	struct ot_why place = config_place_of(check->settings, key);
	ot_config_error(check->notes, "%s is not valid: %s (%lld) must be at least %s (%lld)%s%s",
	    place.text, ot_broker_table.defs[large].name, (long long)number(check, large),
	    ot_broker_table.defs[small].name, (long long)number(check, small),
	    reason != NULL ? ", " : "", reason != NULL ? reason : "");
}

static void
check_logs(const struct checker *check)
{
	if (number(check, OT_BROKER_LOG_ROLL_MS) < 1)
		broken(check, giver_of(check, OT_BROKER_LOG_ROLL_MS),
		    "a segment must be open for at least 1 ms");
	if (number(check, OT_BROKER_LOG_ROLL_JITTER_MS) < 0)
		broken(check, giver_of(check, OT_BROKER_LOG_ROLL_JITTER_MS),
		    "it must be at least 0");
	if (number(check, OT_BROKER_LOG_RETENTION_MS) == 0)
		broken(check, giver_of(check, OT_BROKER_LOG_RETENTION_MS),
		    "it must be unlimited (-1) or at least 1");
	check_order(check, OT_BROKER_LOG_CLEANER_MIN_COMPACTION_LAG_MS,
	    OT_BROKER_LOG_CLEANER_MAX_COMPACTION_LAG_MS, NULL);
	int64_t threads = number(check, OT_BROKER_LOG_CLEANER_THREADS);
	int64_t buffer = number(check, OT_BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE);
	if (ot_settings_flag(check->settings, OT_BROKER_LOG_CLEANER_ENABLE) && threads > 0 &&
	    buffer / threads <= (int64_t)OT_MIB)
		broken(check, OT_BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE,
		    "it must be more than 1 MiB for each of log.cleaner.threads");
	/* Kafka says nothing here, and then refuses every batch between the two sizes. */
	if (number(check, OT_BROKER_MESSAGE_MAX_BYTES) > number(check, OT_BROKER_LOG_SEGMENT_BYTES))
		ot_config_warning(check->notes,
		    "message.max.bytes (%lld) is more than log.segment.bytes (%lld): batches "
		    "that are larger than a segment are refused",
		    (long long)number(check, OT_BROKER_MESSAGE_MAX_BYTES),
		    (long long)number(check, OT_BROKER_LOG_SEGMENT_BYTES));
}

/* Folders that take no new partitions must be folders of this broker, or "*". */
static void
check_cordoned(const struct checker *check)
{
	const struct ot_settings *settings = check->settings;
	const struct ot_config_value *cordoned =
	    ot_settings_list(settings, OT_BROKER_CORDONED_LOG_DIRS);
	for (size_t i = 0; i < cordoned->item_count; i++) {
		bool is_known = strcmp(cordoned->items[i], "*") == 0;
		for (size_t j = 0; j < settings->log_dir_count; j++)
			is_known |= strcmp(cordoned->items[i], settings->log_dirs[j]) == 0;
		if (!is_known)
			broken(check, OT_BROKER_CORDONED_LOG_DIRS,
			    "all its entries must be entries of log.dirs, or *");
	}
}

static void
check_selector(const struct checker *check)
{
	const enum ot_broker_key key = OT_BROKER_REPLICA_SELECTOR_CLASS;
	if (ot_settings_text(check->settings, key) == NULL ||
	    ot_settings_names_class(check->settings, key, "LeaderSelector") ||
	    ot_settings_names_class(check->settings, key, "RackAwareReplicaSelector"))
		return;
	broken(check, key,
	    "LeaderSelector and RackAwareReplicaSelector are known, others are Java classes that "
	    "a native program cannot load");
}

static void
check_replication(const struct checker *check)
{
	check_selector(check);
	check_order(check, OT_BROKER_REPLICA_FETCH_WAIT_MAX_MS, OT_BROKER_REPLICA_SOCKET_TIMEOUT_MS,
	    "or followers give up while the leader still waits");
	check_order(check, OT_BROKER_REPLICA_FETCH_WAIT_MAX_MS, OT_BROKER_REPLICA_LAG_TIME_MAX_MS,
	    "or followers leave the in-sync replicas while they wait");
	int64_t acks = number(check, OT_BROKER_OFFSETS_COMMIT_REQUIRED_ACKS);
	if (acks < -1 || acks > number(check, OT_BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR))
		broken(check, OT_BROKER_OFFSETS_COMMIT_REQUIRED_ACKS,
		    "it must be from -1 to offsets.topic.replication.factor");
	int64_t beat = number(check, OT_BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
	int64_t session = number(check, OT_BROKER_BROKER_SESSION_TIMEOUT_MS);
	if (beat * 2 > session)
		ot_config_warning(check->notes,
		    "broker.heartbeat.interval.ms (%lld) should be at most half of "
		    "broker.session.timeout.ms (%lld), or one late heartbeat fences the broker",
		    (long long)beat, (long long)session);
}

static void
check_network(const struct checker *check)
{
	int64_t queued = number(check, OT_BROKER_QUEUED_MAX_REQUEST_BYTES);
	if (queued > 0)
		check_order(check, OT_BROKER_SOCKET_REQUEST_MAX_BYTES,
		    OT_BROKER_QUEUED_MAX_REQUEST_BYTES, "or the largest request never fits");
	const char *overrides =
	    ot_settings_text(check->settings, OT_BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES);
	if (number(check, OT_BROKER_MAX_CONNECTIONS_PER_IP) == 0 && overrides[0] == '\0')
		broken(check, OT_BROKER_MAX_CONNECTIONS_PER_IP,
		    "it can be 0 only if max.connections.per.ip.overrides names an address");
	int64_t idle = number(check, OT_BROKER_CONNECTIONS_MAX_IDLE_MS);
	if (idle >= 0 && number(check, OT_BROKER_CONNECTION_FAILED_AUTHENTICATION_DELAY_MS) >= idle)
		broken(check, OT_BROKER_CONNECTION_FAILED_AUTHENTICATION_DELAY_MS,
		    "it must be less than connections.max.idle.ms, or nobody hears that a "
		    "login failed");
}

static bool
is_voter(const struct ot_settings *settings, int32_t id)
{
	for (size_t i = 0; i < settings->voter_count; i++) {
		if (settings->voters[i].id == id)
			return true;
	}
	return false;
}

static size_t
count_listeners(const struct ot_settings *settings, bool is_controller)
{
	size_t count = 0;
	for (size_t i = 0; i < settings->listener_count; i++)
		count += settings->listeners[i].is_controller == is_controller;
	return count;
}

static void
check_roles(const struct checker *check)
{
	const struct ot_settings *settings = check->settings;
	bool has_roles = ot_settings_list(settings, OT_BROKER_PROCESS_ROLES)->item_count > 0;
	size_t broker_count = count_listeners(settings, false);
	size_t controller_count = count_listeners(settings, true);
	if (settings->is_broker && broker_count == 0)
		broken(check, OT_BROKER_CONTROLLER_LISTENER_NAMES,
		    "all listeners are the controller's, so that clients have none; add one to "
		    "listeners");
	if (!has_roles)
		return;
	if (settings->is_controller && settings->voter_count > 0 && settings->node_id >= 0 &&
	    !is_voter(settings, settings->node_id))
		broken(check, OT_BROKER_CONTROLLER_QUORUM_VOTERS,
		    "a process with the controller role must be among the voters; add its "
		    "node.id");
	if (!settings->is_controller && is_voter(settings, settings->node_id))
		broken(check, OT_BROKER_CONTROLLER_QUORUM_VOTERS,
		    "a process with the broker role only must not be among the voters; remove "
		    "its node.id or add controller to process.roles");
	if (!settings->is_controller && controller_count > 0)
		broken(check, OT_BROKER_CONTROLLER_LISTENER_NAMES,
		    "a process with the broker role only must not listen on a controller's "
		    "listener; remove it from listeners");
	if (!settings->is_controller && settings->controller_count == 0)
		broken(check, OT_BROKER_PROCESS_ROLES,
		    "a process with the broker role only must know its controllers; give "
		    "controller.quorum.bootstrap.servers or controller.quorum.voters");
	if (!settings->is_broker && broker_count > 0)
		broken(check, OT_BROKER_LISTENERS,
		    "a process with the controller role only has none but controllers' "
		    "listeners; name them in controller.listener.names");
}

static bool
has_item(const struct ot_config_value *list, const char *word)
{
	for (size_t i = 0; i < list->item_count; i++) {
		if (strcmp(list->items[i], word) == 0)
			return true;
	}
	return false;
}

static void
check_security(const struct checker *check)
{
	const struct ot_settings *settings = check->settings;
	const struct ot_listener_conf *listener =
	    ot_settings_listener(settings, settings->inter_broker_listener);
	if (listener == NULL || (listener->security != OT_SECURITY_SASL_PLAINTEXT &&
				    listener->security != OT_SECURITY_SASL_SSL))
		return;
	static const struct ot_config_def list_def = { .name = "list", .type = OT_CONFIG_LIST };
	const char *mechanism =
	    ot_settings_text(settings, OT_BROKER_SASL_MECHANISM_INTER_BROKER_PROTOCOL);
	struct ot_str text = ot_settings_listener_text(settings, listener->name, NULL,
	    OT_BROKER_SASL_ENABLED_MECHANISMS);
	struct ot_arena scratch;
	struct ot_config_value enabled;
	ot_arena_init(&scratch, 0);
	if (mechanism != NULL &&
	    ot_config_read(&list_def, text, &scratch, &enabled, NULL) == OT_OK &&
	    !has_item(&enabled, mechanism))
		broken(check, OT_BROKER_SASL_MECHANISM_INTER_BROKER_PROTOCOL,
		    "it must be included in sasl.enabled.mechanisms, as brokers use SASL "
		    "among themselves");
	ot_arena_fini(&scratch);
}

/* Least, value and most of things that a group may set for itself. */
static const enum ot_broker_key bounds[][3] = {
	{ OT_BROKER_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_CONSUMER_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS },
	{ OT_BROKER_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS },
	{ OT_BROKER_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS },
	{ OT_BROKER_GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_STREAMS_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS },
	{ OT_BROKER_GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_STREAMS_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS },
	{ OT_BROKER_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_STREAMS_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS },
	{ OT_BROKER_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS, OT_BROKER_GROUP_SHARE_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_SHARE_MAX_SESSION_TIMEOUT_MS },
	{ OT_BROKER_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_SHARE_HEARTBEAT_INTERVAL_MS,
	    OT_BROKER_GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS },
	{ OT_BROKER_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_SHARE_ASSIGNMENT_INTERVAL_MS,
	    OT_BROKER_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS },
	{ OT_BROKER_GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
	    OT_BROKER_GROUP_SHARE_DELIVERY_COUNT_LIMIT,
	    OT_BROKER_GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT },
	{ OT_BROKER_GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
	    OT_BROKER_GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS,
	    OT_BROKER_GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS },
	{ OT_BROKER_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
	    OT_BROKER_GROUP_SHARE_RECORD_LOCK_DURATION_MS,
	    OT_BROKER_GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS },
};

static void
check_groups(const struct checker *check)
{
	check_order(check, OT_BROKER_GROUP_MIN_SESSION_TIMEOUT_MS,
	    OT_BROKER_GROUP_MAX_SESSION_TIMEOUT_MS, NULL);
	for (size_t i = 0; i < OT_ARRAY_COUNT(bounds); i++) {
		check_order(check, bounds[i][0], bounds[i][1], NULL);
		check_order(check, bounds[i][1], bounds[i][2], NULL);
	}
	check_order(check, OT_BROKER_GROUP_STREAMS_NUM_STANDBY_REPLICAS,
	    OT_BROKER_GROUP_STREAMS_MAX_STANDBY_REPLICAS, NULL);
	check_order(check, OT_BROKER_GROUP_STREAMS_MIN_TASK_OFFSET_INTERVAL_MS,
	    OT_BROKER_GROUP_STREAMS_TASK_OFFSET_INTERVAL_MS, NULL);
	check_order(check, OT_BROKER_GROUP_SHARE_MAX_SIZE, OT_BROKER_GROUP_SHARE_MAX_SHARE_SESSIONS,
	    NULL);
	if (number(check, OT_BROKER_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS) >=
	    number(check, OT_BROKER_GROUP_CONSUMER_SESSION_TIMEOUT_MS))
		broken(check, OT_BROKER_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS,
		    "it must be less than group.consumer.session.timeout.ms");
	if (number(check, OT_BROKER_GROUP_SHARE_HEARTBEAT_INTERVAL_MS) >=
	    number(check, OT_BROKER_GROUP_SHARE_SESSION_TIMEOUT_MS))
		broken(check, OT_BROKER_GROUP_SHARE_HEARTBEAT_INTERVAL_MS,
		    "it must be less than group.share.session.timeout.ms");
	const struct ot_config_value *protocols =
	    ot_settings_list(check->settings, OT_BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS);
	if (!has_item(protocols, "classic"))
		broken(check, OT_BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS,
		    "classic must be among them");
}

void
config_check_rules(const struct ot_settings *settings, struct ot_config_notes *notes)
{
	struct checker check = { .settings = settings, .notes = notes };
	check_logs(&check);
	check_cordoned(&check);
	check_replication(&check);
	check_network(&check);
	check_roles(&check);
	check_security(&check);
	check_groups(&check);
}
