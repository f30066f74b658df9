/* Tests of operations on topics: src/cluster/control_topics.c, control_partitions.c, auto_topics.c.
 * Each rule with its error code and its message. */
#include "fixture.h"

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create("num.partitions=3\n");
	fixture_add_broker(fixture, 1, "a");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_destroy(fixture);
	return 0;
}

/* ---- CreateTopics ---------------------------------------------------------------------------- */

static struct ot_create_topics_response created;

static void
create(const struct ot_create_topics_request_topic *topics, int32_t count, bool validate_only)
{
	struct ot_create_topics_request request;
	struct fixture_call call;

	ot_create_topics_request_init(&request);
	request.topics = (struct ot_create_topics_request_topic *)topics;
	request.topics_count = count;
	request.validate_only = validate_only;
	ot_controller_create_topics(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &created);
	assert_ok(fixture_wait(fixture, &call));
}

static struct ot_create_topics_request_topic
topic_of(const char *name, int32_t partitions, int16_t replicas)
{
	struct ot_create_topics_request_topic topic;

	ot_create_topics_request_topic_init(&topic);
	topic.name = ot_str_from(name);
	topic.num_partitions = partitions;
	topic.replication_factor = replicas;
	return topic;
}

static void
assert_created(int32_t place, ot_err err, const char *message)
{
	assert_in_range(place, 0, created.topics_count - 1);
	if (created.topics[place].error_code != ot_err_to_wire(err))
		fail_msg("%d is not %s: %.*s", created.topics[place].error_code, ot_err_name(err),
		    OT_STR_ARG(created.topics[place].error_message));
	assert_text(created.topics[place].error_message, message);
	if (err != OT_OK)
		assert_true(ot_uuid_is_zero(&created.topics[place].topic_id));
}

static void
assert_refused(const char *name, int32_t partitions, int16_t replicas, ot_err err,
    const char *message)
{
	struct ot_create_topics_request_topic topic = topic_of(name, partitions, replicas);

	create(&topic, 1, false);
	assert_created(0, err, message);
	assert_null(ot_image_topic(fixture->newest, ot_str_from(name)));
}

/* Goal: a topic with defaults, and all that the answer says of it. Method: one with -1 and -1. */
static void
test_create_defaults(void **state)
{
	struct ot_create_topics_request_topic topic = topic_of("t", -1, -1);
	const struct ot_topic_image *image;
	const struct ot_partition_image *partition;
	struct ot_uuid directory;
	bool has_retention = false;
	(void)state;

	create(&topic, 1, false);
	assert_created(0, OT_OK, NULL);
	assert_int_equal(created.topics[0].num_partitions, 3);
	assert_int_equal(created.topics[0].replication_factor, 1);
	image = ot_image_topic(fixture->newest, OT_STR_LIT("t"));
	assert_non_null(image);
	assert_true(ot_uuid_equal(&image->id, &created.topics[0].topic_id));
	assert_int_equal(image->partition_count, 3);
	assert_false(image->is_internal);
	partition = ot_topic_partition(image, 2);
	assert_int_equal(partition->leader, 1);
	assert_int_equal(partition->leader_epoch, 0);
	assert_int_equal(ot_partition_isr(partition).count, 1);
	/* The broker's only directory. */
	directory = ot_partition_directory(partition, 0);
	assert_true(ot_uuid_equal(&directory, &ot_image_broker(fixture->newest, 1)->log_dirs[0]));
	for (int32_t i = 0; i < created.topics[0].configs_count; i++) {
		const struct ot_create_topics_response_config *config =
		    &created.topics[0].configs[i];

		if (i > 0)
			assert_true(ot_str_compare(config[-1].name, config->name) < 0);
		if (!ot_str_is(config->name, "retention.ms"))
			continue;
		has_retention = true;
		assert_text(config->value, "604800000");
		assert_int_equal(config->config_source, OT_SOURCE_DEFAULT);
	}
	assert_true(has_retention);
}

/* Goal: every rule for names, counts and factors. Method: one bad topic each. */
static void
test_create_refused(void **state)
{
	char long_name[260], message[400];
	(void)state;

	assert_refused("", 1, 1, OT_ERR_INVALID_TOPIC_EXCEPTION,
	    "Topic name is invalid: the empty string is not allowed");
	assert_refused(".", 1, 1, OT_ERR_INVALID_TOPIC_EXCEPTION,
	    "Topic name is invalid: '.' is not allowed");
	assert_refused("..", 1, 1, OT_ERR_INVALID_TOPIC_EXCEPTION,
	    "Topic name is invalid: '..' is not allowed");
	assert_refused("a/b", 1, 1, OT_ERR_INVALID_TOPIC_EXCEPTION,
	    "Topic name is invalid: 'a/b' contains one or more characters other than ASCII "
	    "alphanumerics, '.', '_' and '-'");
	memset(long_name, 'x', 250);
	long_name[250] = '\0';
	(void)snprintf(message, sizeof(message),
	    "Topic name is invalid: the length of '%s' is longer than the max allowed length 249",
	    long_name);
	assert_refused(long_name, 1, 1, OT_ERR_INVALID_TOPIC_EXCEPTION, message);
	long_name[249] = '\0';
	assert_ok(fixture_create_topic(fixture, long_name, 1, 1, NULL));
	assert_refused("__cluster_metadata", 1, 1, OT_ERR_INVALID_REQUEST,
	    "Creation of internal topic __cluster_metadata is prohibited.");
	assert_refused("t", 1, 0, OT_ERR_INVALID_REPLICATION_FACTOR,
	    "Replication factor must be larger than 0, or -1 to use the default value.");
	assert_refused("t", 1, -2, OT_ERR_INVALID_REPLICATION_FACTOR,
	    "Replication factor must be larger than 0, or -1 to use the default value.");
	assert_refused("t", 0, 1, OT_ERR_INVALID_PARTITIONS,
	    "Number of partitions was set to an invalid non-positive value.");
	assert_refused("t", 1, 2, OT_ERR_INVALID_REPLICATION_FACTOR,
	    "Unable to replicate the partition 2 time(s): The target replication factor of 2 "
	    "cannot be reached because only 1 broker(s) are registered.");
	assert_refused("t", 10001, 1, OT_ERR_POLICY_VIOLATION,
	    "Excessively large number of partitions per request.");
	assert_refused("t", 10000, 1, OT_ERR_POLICY_VIOLATION,
	    "Unable to perform excessively large batch operation.");
}

/* Goal: names that exist, collide or stand twice. Method: some topics in one request. */
static void
test_create_names(void **state)
{
	struct ot_create_topics_request_topic topics[] = { topic_of("a.b", 1, 1),
		topic_of("a_b", 1, 1), topic_of("twice", 1, 1), topic_of("twice", 2, 1),
		topic_of("fine", 1, 1) };
	(void)state;

	assert_ok(fixture_create_topic(fixture, "old", 1, 1, NULL));
	create(topics, 5, false);
	assert_int_equal(created.topics_count, 4);
	assert_created(0, OT_OK, NULL);
	assert_created(1, OT_ERR_INVALID_TOPIC_EXCEPTION,
	    "Topic 'a_b' collides with existing topic: a.b");
	assert_created(2, OT_ERR_INVALID_REQUEST, "Duplicate topic name.");
	assert_created(3, OT_OK, NULL);
	create(topics, 2, false);
	assert_created(0, OT_ERR_TOPIC_ALREADY_EXISTS, "Topic 'a.b' already exists.");
	topics[0] = topic_of("old", 1, 1);
	create(topics, 1, true);
	assert_created(0, OT_ERR_TOPIC_ALREADY_EXISTS, "Topic 'old' already exists.");
}

/* Goal: settings of a new topic: taken over, or refused with the reason. Method: good, bad, null
 * and unknown ones. */
static void
test_create_configs(void **state)
{
	struct ot_create_topics_request_config configs[2];
	struct ot_create_topics_request_topic topic = topic_of("t", 1, 1);
	const struct ot_topic_image *image;
	(void)state;

	memset(configs, 0, sizeof(configs));
	topic.configs = configs;
	topic.configs_count = 2;
	configs[0].name = OT_STR_LIT("retention.ms");
	configs[0].value = OT_STR_NULL;
	configs[1].name = OT_STR_LIT("segment.bytes");
	configs[1].value = OT_STR_NULL;
	create(&topic, 1, false);
	assert_created(0, OT_ERR_INVALID_CONFIG,
	    "Null value not supported for topic configs: retention.ms,segment.bytes");
	configs[0].value = OT_STR_LIT("x");
	configs[1].value = OT_STR_LIT("1048576");
	create(&topic, 1, false);
	assert_created(0, OT_ERR_INVALID_CONFIG,
	    "Invalid value x for configuration retention.ms: Not a number of type LONG");
	configs[0].name = OT_STR_LIT("no.such.key");
	create(&topic, 1, false);
	assert_created(0, OT_ERR_INVALID_CONFIG, "Unknown topic config name: no.such.key");
	configs[0].name = OT_STR_LIT("retention.ms");
	configs[0].value = OT_STR_LIT("5");
	create(&topic, 1, true);
	assert_created(0, OT_OK, NULL);
	assert_null(ot_image_topic(fixture->newest, OT_STR_LIT("t")));
	create(&topic, 1, false);
	assert_created(0, OT_OK, NULL);
	image = ot_image_topic(fixture->newest, OT_STR_LIT("t"));
	assert_int_equal(ot_image_topic_settings(fixture->newest, image)->retention_ms, 5);
	assert_int_equal(image->config->pair_count, 2);
	for (int32_t i = 0; i < created.topics[0].configs_count; i++) {
		if (ot_str_is(created.topics[0].configs[i].name, "retention.ms"))
			assert_int_equal(created.topics[0].configs[i].config_source,
			    OT_SOURCE_TOPIC);
	}
}

static void
assert_assignment(const int32_t *indexes, int32_t ids[][2], const int32_t *id_counts, int32_t count,
    ot_err err, const char *message)
{
	struct ot_create_topics_request_assignment assignments[4];
	struct ot_create_topics_request_topic topic = topic_of("manual", -1, -1);

	memset(assignments, 0, sizeof(assignments));
	for (int32_t i = 0; i < count; i++) {
		assignments[i].partition_index = indexes[i];
		assignments[i].broker_ids = ids[i];
		assignments[i].broker_ids_count = id_counts[i];
	}
	topic.assignments = assignments;
	topic.assignments_count = count;
	create(&topic, 1, false);
	assert_created(0, err, message);
}

/* Goal: every rule for manual assignments. Method: one bad list each, then a good one. */
static void
test_create_manual(void **state)
{
	int32_t ids[][2] = { { 2, 1 }, { 1, 2 }, { 9, 1 }, { 1, 1 } };
	struct ot_create_topics_request_assignment assignment = { .broker_ids = ids[0],
		.broker_ids_count = 2 };
	struct ot_create_topics_request_topic topic = topic_of("manual", -1, 1);
	const struct ot_topic_image *image;
	(void)state;

	fixture_add_broker(fixture, 2, "b");
	topic.assignments = &assignment;
	topic.assignments_count = 1;
	create(&topic, 1, false);
	assert_created(0, OT_ERR_INVALID_REQUEST,
	    "A manual partition assignment was specified, but replication factor was not set to "
	    "-1.");
	topic.replication_factor = -1;
	topic.num_partitions = 1;
	create(&topic, 1, false);
	assert_created(0, OT_ERR_INVALID_REQUEST,
	    "A manual partition assignment was specified, but numPartitions was not set to -1.");
	assert_assignment((int32_t[]){ 0, 0 }, ids, (int32_t[]){ 2, 2 }, 2,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "Found multiple manual partition assignments for partition 0");
	assert_assignment((int32_t[]){ 0, 2 }, ids, (int32_t[]){ 2, 2 }, 2,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "partitions should be a consecutive 0-based integer sequence");
	assert_assignment((int32_t[]){ 0 }, ids, (int32_t[]){ 0 }, 1,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes an empty replica list.");
	assert_assignment((int32_t[]){ 0 }, &ids[2], (int32_t[]){ 2 }, 1,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes broker 9, but no such broker is "
	    "registered.");
	assert_assignment((int32_t[]){ 0 }, &ids[3], (int32_t[]){ 2 }, 1,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes the broker 1 more than once.");
	assert_assignment((int32_t[]){ 0, 1 }, ids, (int32_t[]){ 2, 1 }, 2,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes a partition with 1 replica(s), but this is "
	    "not consistent with previous partitions, which have 2 replica(s).");
	assert_assignment((int32_t[]){ 1, 0 }, ids, (int32_t[]){ 2, 2 }, 2, OT_OK, NULL);
	image = ot_image_topic(fixture->newest, OT_STR_LIT("manual"));
	assert_int_equal(image->partition_count, 2);
	assert_int_equal(ot_topic_partition(image, 0)->leader, 1);
	assert_int_equal(ot_topic_partition(image, 1)->leader, 2);
	assert_int_equal(created.topics[0].replication_factor, 2);
}

/* Fences a broker as it asks for. */
static void
fence(int32_t id)
{
	struct ot_broker_heartbeat_request request;
	struct ot_broker_heartbeat_response response;
	struct fixture_call call;

	ot_broker_heartbeat_request_init(&request);
	request.broker_id = id;
	request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	request.want_fence = true;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &request,
	    &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
	assert_true(response.is_fenced);
}

/* Goal: fenced brokers take replicas, but not alone. Method: one, then both of two brokers fenced.
 */
static void
test_create_fenced(void **state)
{
	struct ot_create_topics_request_topic topic = topic_of("two", 4, 2);
	int32_t ids[][2] = { { 2, 1 } };
	const struct ot_topic_image *image;
	(void)state;

	fixture_add_broker(fixture, 2, "b");
	fence(2);
	create(&topic, 1, false);
	assert_created(0, OT_OK, NULL);
	image = ot_image_topic(fixture->newest, OT_STR_LIT("two"));
	for (int32_t i = 0; i < 4; i++) {
		assert_int_equal(ot_partition_replicas(ot_topic_partition(image, i)).count, 2);
		assert_int_equal(ot_partition_isr(ot_topic_partition(image, i)).count, 1);
		assert_int_equal(ot_topic_partition(image, i)->leader, 1);
	}
	fence(1);
	assert_refused("t", 1, 1, OT_ERR_INVALID_REPLICATION_FACTOR,
	    "Unable to replicate the partition 1 time(s): All brokers are currently fenced.");
	assert_assignment((int32_t[]){ 0 }, ids, (int32_t[]){ 2 }, 1,
	    OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "All brokers specified in the manual partition assignment for partition 0 are fenced "
	    "or in controlled shutdown.");
}

/* Goal: topics that brokers create by themselves have Kafka's settings, and a lone broker can
 * create them. Method: fill and create each. */
static void
test_auto_topics(void **state)
{
	static const struct {
		const char *name;
		int32_t partitions;
		bool is_internal;
		bool is_compacted;
	} rows[] = { { "__consumer_offsets", 50, true, true },
		{ "__transaction_state", 50, true, true },
		{ "__share_group_state", 50, true, false }, { "mine", 3, false, false } };
	(void)state;

	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_create_topics_request_topic topic;
		const struct ot_topic_image *image;

		assert_true(ot_auto_topic_fill(fixture->newest, ot_str_from(rows[i].name),
		    &fixture->arena, &topic));
		create(&topic, 1, false);
		assert_created(0, OT_OK, NULL);
		image = ot_image_topic(fixture->newest, ot_str_from(rows[i].name));
		assert_int_equal(image->partition_count, rows[i].partitions);
		assert_int_equal(image->is_internal, rows[i].is_internal);
		assert_int_equal(ot_image_topic_settings(fixture->newest, image)->cleanup_compact,
		    rows[i].is_compacted);
		if (rows[i].is_internal)
			assert_int_equal(
			    ot_image_topic_settings(fixture->newest, image)->segment_bytes,
			    104857600);
		assert_int_equal(
		    ot_image_topic_settings(fixture->newest, image)->min_insync_replicas, 1);
	}
}

/* ---- DeleteTopics ---------------------------------------------------------------------------- */

static struct ot_delete_topics_response deleted;

static void
delete_states(struct ot_delete_topics_request_state *states, int32_t count)
{
	struct ot_delete_topics_request request;
	struct fixture_call call;

	ot_delete_topics_request_init(&request);
	request.topics = states;
	request.topics_count = count;
	ot_controller_delete_topics(fixture->controller, fixture_call_init(fixture, &call),
	    &request, 6, &deleted);
	assert_ok(fixture_wait(fixture, &call));
}

static void
assert_deleted(int32_t place, const char *name, ot_err err, const char *message)
{
	assert_in_range(place, 0, deleted.responses_count - 1);
	assert_text(deleted.responses[place].name, name);
	if (deleted.responses[place].error_code != ot_err_to_wire(err))
		fail_msg("%d is not %s", deleted.responses[place].error_code, ot_err_name(err));
	assert_text(deleted.responses[place].error_message, message);
}

/* Goal: topics go by name and by id, once; every mistake has its answer. Method: all in one
 * request. */
static void
test_delete(void **state)
{
	struct ot_delete_topics_request_state states[9];
	struct ot_uuid id;
	(void)state;

	for (int i = 0; i < 4; i++) {
		char name[] = { 't', (char)('0' + i), '\0' };

		assert_ok(fixture_create_topic(fixture, name, 1, 1, NULL));
	}
	memset(states, 0, sizeof(states));
	for (int i = 0; i < 9; i++)
		states[i].name = OT_STR_NULL;
	states[0].name = OT_STR_LIT("t0");
	id = states[1].topic_id = ot_image_topic(fixture->newest, OT_STR_LIT("t1"))->id;
	states[2].name = OT_STR_LIT("t1"); /* once more */
	states[3].name = OT_STR_LIT("nobody");
	states[4].topic_id.bytes[3] = 7;
	/* 5: neither */
	states[6].name = OT_STR_LIT("t2");
	states[6].topic_id.bytes[0] = 1;
	states[7].name = OT_STR_LIT("t3");
	states[8].name = OT_STR_LIT("t3");
	delete_states(states, 9);
	assert_int_equal(deleted.responses_count, 8);
	assert_deleted(0, "t0", OT_OK, NULL);
	assert_deleted(1, "t1", OT_OK, NULL);
	assert_true(ot_uuid_equal(&deleted.responses[1].topic_id, &id));
	assert_deleted(2, "t1", OT_ERR_INVALID_REQUEST,
	    "The provided topic name maps to an ID that was already supplied.");
	assert_deleted(3, "nobody", OT_ERR_UNKNOWN_TOPIC_OR_PARTITION,
	    ot_err_message(OT_ERR_UNKNOWN_TOPIC_OR_PARTITION));
	assert_deleted(4, NULL, OT_ERR_UNKNOWN_TOPIC_ID, ot_err_message(OT_ERR_UNKNOWN_TOPIC_ID));
	assert_deleted(5, NULL, OT_ERR_INVALID_REQUEST,
	    "Neither topic name nor id were specified.");
	assert_deleted(6, "t2", OT_ERR_INVALID_REQUEST,
	    "You may not specify both topic name and topic id.");
	assert_deleted(7, "t3", OT_ERR_INVALID_REQUEST, "Duplicate topic name.");
	assert_null(ot_image_topic(fixture->newest, OT_STR_LIT("t0")));
	assert_null(ot_image_topic(fixture->newest, OT_STR_LIT("t1")));
	assert_non_null(ot_image_topic(fixture->newest, OT_STR_LIT("t2")));
	assert_non_null(ot_image_topic(fixture->newest, OT_STR_LIT("t3")));
	/* Its name is free, its settings are gone. */
	assert_ok(fixture_create_topic(fixture, "t0", 2, 1, NULL));
}

/* Goal: versions before 6 name topics elsewhere; deletion can be forbidden. Method: version 5, then
 * a broker that does not delete, asked in versions 2 and 5. */
static void
test_delete_disabled(void **state)
{
	struct ot_str names[] = { OT_STR_LIT("t") };
	struct ot_delete_topics_request request;
	struct fixture_call call;
	(void)state;

	assert_ok(fixture_create_topic(fixture, "t", 1, 1, NULL));
	ot_delete_topics_request_init(&request);
	request.topic_names = names;
	request.topic_names_count = 1;
	ot_controller_delete_topics(fixture->controller, fixture_call_init(fixture, &call),
	    &request, 5, &deleted);
	assert_ok(fixture_wait(fixture, &call));
	assert_deleted(0, "t", OT_OK, NULL);
	fixture_destroy(fixture);
	fixture = fixture_create("delete.topic.enable=false\n");
	fixture_add_broker(fixture, 1, NULL);
	assert_ok(fixture_create_topic(fixture, "t", 1, 1, NULL));
	for (int16_t version = 2; version <= 5; version += 3) {
		ot_controller_delete_topics(fixture->controller, fixture_call_init(fixture, &call),
		    &request, version, &deleted);
		assert_ok(fixture_wait(fixture, &call));
		assert_deleted(0, "t",
		    version < 3 ? OT_ERR_INVALID_REQUEST : OT_ERR_TOPIC_DELETION_DISABLED,
		    version < 3 ? "This version does not support topic deletion."
				: ot_err_message(OT_ERR_TOPIC_DELETION_DISABLED));
		assert_non_null(ot_image_topic(fixture->newest, OT_STR_LIT("t")));
	}
}

/* ---- CreatePartitions ------------------------------------------------------------------------ */

static struct ot_create_partitions_response grown;

static void
grow(struct ot_create_partitions_request_topic *topics, int32_t count, bool validate_only)
{
	struct ot_create_partitions_request request;
	struct fixture_call call;

	ot_create_partitions_request_init(&request);
	request.topics = topics;
	request.topics_count = count;
	request.validate_only = validate_only;
	ot_controller_create_partitions(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &grown);
	assert_ok(fixture_wait(fixture, &call));
}

static void
assert_grown(int32_t place, ot_err err, const char *message)
{
	assert_in_range(place, 0, grown.results_count - 1);
	if (grown.results[place].error_code != ot_err_to_wire(err))
		fail_msg("%d is not %s", grown.results[place].error_code, ot_err_name(err));
	assert_text(grown.results[place].error_message, message);
}

static void
assert_grows(const char *name, int32_t count, ot_err err, const char *message)
{
	struct ot_create_partitions_request_topic topic;

	memset(&topic, 0, sizeof(topic));
	topic.name = ot_str_from(name);
	topic.count = count;
	topic.assignments_count = -1;
	grow(&topic, 1, false);
	assert_grown(0, err, message);
}

/* Goal: partitions are added, never taken away; every rule. Method: one mistake each, then growth
 * with and without an assignment. */
static void
test_create_partitions(void **state)
{
	int32_t ids[] = { 1, 2 };
	struct ot_create_partitions_request_assignment assignments[2];
	struct ot_create_partitions_request_topic topics[2];
	const struct ot_topic_image *topic;
	(void)state;

	assert_ok(fixture_create_topic(fixture, "t", 2, 1, NULL));
	assert_grows("nobody", 3, OT_ERR_UNKNOWN_TOPIC_OR_PARTITION,
	    ot_err_message(OT_ERR_UNKNOWN_TOPIC_OR_PARTITION));
	assert_grows("t", 2, OT_ERR_INVALID_PARTITIONS, "Topic already has 2 partition(s).");
	assert_grows("t", 1, OT_ERR_INVALID_PARTITIONS,
	    "The topic t currently has 2 partition(s); 1 would not be an increase.");
	assert_grows("t", 10003, OT_ERR_POLICY_VIOLATION,
	    "Unable to perform excessively large batch operation.");
	memset(assignments, 0, sizeof(assignments));
	memset(topics, 0, sizeof(topics));
	topics[0].name = topics[1].name = OT_STR_LIT("t");
	topics[0].count = 3;
	topics[0].assignments = assignments;
	topics[0].assignments_count = 2;
	grow(topics, 2, false);
	assert_int_equal(grown.results_count, 1);
	assert_grown(0, OT_ERR_INVALID_REQUEST, "Duplicate topic name.");
	grow(topics, 1, false);
	assert_grown(0, OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "Attempted to add 1 additional partition(s), but only 2 assignment(s) were "
	    "specified.");
	topics[0].assignments_count = 1;
	grow(topics, 1, false);
	assert_grown(0, OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes an empty replica list.");
	assignments[0].broker_ids = ids;
	assignments[0].broker_ids_count = 1;
	grow(topics, 1, true);
	assert_grown(0, OT_OK, NULL);
	assert_int_equal(ot_image_topic(fixture->newest, OT_STR_LIT("t"))->partition_count, 2);
	grow(topics, 1, false);
	assert_grown(0, OT_OK, NULL);
	fixture_add_broker(fixture, 2, "b");
	topics[0].count = 4;
	assignments[0].broker_ids_count = 2;
	grow(topics, 1, false);
	assert_grown(0, OT_ERR_INVALID_REPLICA_ASSIGNMENT,
	    "The manual partition assignment includes a partition with 2 replica(s), but this is "
	    "not consistent with previous partitions, which have 1 replica(s).");
	assert_grows("t", 9, OT_OK, NULL);
	topic = ot_image_topic(fixture->newest, OT_STR_LIT("t"));
	assert_int_equal(topic->partition_count, 9);
	/* They go on behind the last one, and each two over both racks. */
	assert_int_equal(ot_topic_partition(topic, 3)->leader, 2);
	for (int32_t i = 3; i < 9; i += 2)
		assert_int_equal(ot_topic_partition(topic, i)->leader +
				     ot_topic_partition(topic, i + 1)->leader,
		    3);
	fence(1);
	fence(2);
	assert_grows("t", 10, OT_ERR_INVALID_REPLICATION_FACTOR,
	    "Unable to replicate the partition 1 time(s): All brokers are currently fenced.");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create_defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_configs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_manual, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_fenced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_auto_topics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delete_disabled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_partitions, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
