/* Goal: offsets are stored, read, deleted and expire as Kafka's are, for all versions of the
 * requests, and nothing is told that is not committed. Method: requests by hand; a log that holds,
 * fails and is loaded again. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/blob.h"
#include "wire/msg_consumer_protocol.h"
#include "wire/msg_group_log.h"
#include "wire/recordio.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static struct harness h;
static struct ot_group_options options;

static int
setup(void **state)
{
	(void)state;
	harness_init(&h);
	options = OT_GROUP_OPTIONS_DEFAULT;
	harness_groups(&h, &options);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	harness_fini(&h);
	return 0;
}

static ot_err
commit_err(struct ask *ask)
{
	assert_true(ask->is_done);
	ot_err err = ask->response.commit.topics[0].partitions[0].error_code;
	ask_free(ask);
	return err;
}

static ot_err
commit_as(const char *group, struct ot_str member, int32_t generation)
{
	return commit_err(ask_commit(&h, group, member, generation, "t", 0, 5));
}

/* ---- committing ---------------------------------------------------------------------------- */

static void
test_simple_consumer(void **state)
{
	(void)state;
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
	assert_int_equal(commit_now(&h, "g", "t", 0, 41), OT_OK);
	assert_int_equal(commit_now(&h, "g", "t", 0, 42), OT_OK);
	assert_int_equal(commit_now(&h, "g", "t", 3, 7), OT_OK);
	assert_int_equal(commit_now(&h, "", "t", 0, 9), OT_OK); /* the empty id is a group */
	assert_int_equal(fetch_now(&h, "g", "t", 0), 42);
	assert_int_equal(fetch_now(&h, "g", "t", 3), 7);
	assert_int_equal(fetch_now(&h, "g", "t", 1), -1);
	assert_int_equal(fetch_now(&h, "g", "u", 0), -1);
	assert_int_equal(fetch_now(&h, "", "t", 0), 9);
	assert_state(&h, "g", "Empty");
	assert_reload_equal(&h);
}

static void
test_who_may_commit(void **state)
{
	(void)state;
	/* No such group: a generation is none of its. */
	assert_int_equal(commit_as("none", OT_STR_LIT("m"), 1), OT_ERR_GROUP_ID_NOT_FOUND);
	struct ask *ask = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 1);
	assert_int_equal(commit_err(ask), OT_OK);

	struct ot_str one = stable_with_one(&h, "g");
	assert_int_equal(commit_as("g", one, 1), OT_OK);
	assert_int_equal(commit_as("g", one, 2), OT_ERR_ILLEGAL_GENERATION);
	assert_int_equal(commit_as("g", one, -1), OT_ERR_ILLEGAL_GENERATION);
	assert_int_equal(commit_as("g", OT_STR_LIT("x"), 1), OT_ERR_UNKNOWN_MEMBER_ID);
	assert_int_equal(commit_as("g", OT_STR_LIT(""), -1), OT_ERR_UNKNOWN_MEMBER_ID);

	/* In PreparingRebalance the former generation may still commit, in CompletingRebalance it
	 * is told to join. */
	struct ask *two = join_dynamic(&h, "g", &join_plain);
	assert_int_equal(commit_as("g", one, 1), OT_OK);
	member_of(ask_join(&h, &(struct join_args){ .group = "g", .member = one.data }), 2);
	member_of(two, 2);
	assert_int_equal(commit_as("g", one, 2), OT_ERR_REBALANCE_IN_PROGRESS);
	assert_int_equal(commit_as("g", one, 1), OT_ERR_ILLEGAL_GENERATION);
}

/* A version below 9 has another word for a group that is not there. */
static void
test_old_version_of_an_unknown_group(void **state)
{
	(void)state;
	struct ask *ask = ask_create(8, &ot_offset_commit_response_msg);
	struct ot_offset_commit_request *request = &ask->request.commit;
	ot_offset_commit_request_init(request);
	request->group_id = OT_STR_LIT("none");
	request->member_id = OT_STR_LIT("m");
	request->generation_id_or_member_epoch = 4;
	request->topics = ot_offset_commit_request_topic_array(&ask->arena, 1);
	request->topics_count = 1;
	request->topics[0].name = OT_STR_LIT("t");
	request->topics[0].partitions = ot_offset_commit_request_partition_array(&ask->arena, 1);
	request->topics[0].partitions_count = 1;
	ot_group_offset_commit(h.groups, &ask->call, request, &ask->response.commit);
	harness_turn(&h);
	assert_int_equal(commit_err(ask), OT_ERR_ILLEGAL_GENERATION);
}

static void
test_commit_keeps_the_session(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	for (int i = 0; i < 5; i++) {
		harness_advance(&h, 9000);
		assert_int_equal(commit_as("g", one, 1), OT_OK);
	}
	assert_state(&h, "g", "Stable");
}

static void
test_static_member_commits(void **state)
{
	(void)state;
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "g", .instance = "i" });
	harness_advance(&h, 3000);
	struct ot_str id = member_of(join, 1);
	ask_free(ask_sync(&h, "g", id, 1, ""));
	struct ask *ask = ask_create(9, &ot_offset_commit_response_msg);
	struct ot_offset_commit_request *request = &ask->request.commit;
	ot_offset_commit_request_init(request);
	request->group_id = OT_STR_LIT("g");
	request->member_id = OT_STR_LIT("somebody");
	request->group_instance_id = OT_STR_LIT("i");
	request->generation_id_or_member_epoch = 1;
	request->topics = ot_offset_commit_request_topic_array(&ask->arena, 1);
	request->topics_count = 1;
	request->topics[0].partitions = ot_offset_commit_request_partition_array(&ask->arena, 1);
	request->topics[0].partitions_count = 1;
	ot_group_offset_commit(h.groups, &ask->call, request, &ask->response.commit);
	harness_turn(&h);
	assert_int_equal(commit_err(ask), OT_ERR_FENCED_INSTANCE_ID);
}

/* ---- what is in a commit ------------------------------------------------------------------- */

struct fields {
	int16_t version;
	int64_t retention_ms;
	int64_t timestamp;
	const char *metadata;
	ot_err expected;
};

static void
commit_fields(const char *group, int32_t partition, const struct fields *fields)
{
	struct ask *ask = ask_create(fields->version, &ot_offset_commit_response_msg);
	struct ot_offset_commit_request *request = &ask->request.commit;
	ot_offset_commit_request_init(request);
	request->group_id = ot_str_from(group);
	request->retention_time_ms = fields->retention_ms;
	request->topics = ot_offset_commit_request_topic_array(&ask->arena, 1);
	request->topics_count = 1;
	request->topics[0].name = OT_STR_LIT("t");
	request->topics[0].partitions = ot_offset_commit_request_partition_array(&ask->arena, 1);
	request->topics[0].partitions_count = 1;
	struct ot_offset_commit_request_partition *to = &request->topics[0].partitions[0];
	to->partition_index = partition;
	to->committed_offset = 100 + partition;
	to->committed_leader_epoch = 3;
	to->commit_timestamp = fields->timestamp;
	to->committed_metadata = ot_str_from(fields->metadata);
	ot_group_offset_commit(h.groups, &ask->call, request, &ask->response.commit);
	harness_turn(&h);
	assert_int_equal(commit_err(ask), fields->expected);
}

static void
count_versions(void *arg, const struct ot_record *record)
{
	int *counts = arg;
	counts[ot_versioned_peek(record->value)]++;
}

static void
test_fields(void **state)
{
	(void)state;
	options.metadata_length_max = 4;
	ot_groups_set_options(h.groups, &options);
	ot_wall_ms now = ot_io_wall(&h.ios[0].io);
	commit_fields("g", 0, &(struct fields){ 9, -1, -1, "meta", OT_OK });
	commit_fields("g", 1, &(struct fields){ 3, 5000, -1, NULL, OT_OK });
	commit_fields("g", 2, &(struct fields){ 1, -1, 777, "", OT_OK });
	commit_fields("g", 3,
	    &(struct fields){ 9, -1, -1, "metas", OT_ERR_OFFSET_METADATA_TOO_LARGE });
	/* The length is Java's: two of these are four units there, and eight bytes here. */
	commit_fields("g", 4,
	    &(struct fields){ 9, -1, -1, "\xF0\x9F\x98\x80\xF0\x9F\x98\x80", OT_OK });
	commit_fields("g", 5, &(struct fields){ 9, INT64_MAX, -1, NULL, OT_OK });

	char expected[400];
	snprintf(expected, sizeof(expected),
	    "offset t-0 100 epoch 3 commit %lld expire -1 metadata meta", (long long)now);
	char *dump = groups_dump(h.groups, true);
	assert_non_null(strstr(dump, expected));
	snprintf(expected, sizeof(expected),
	    "offset t-1 101 epoch -1 commit %lld expire %lld metadata \n", (long long)now,
	    (long long)now + 5000);
	assert_non_null(strstr(dump, expected));
	assert_non_null(strstr(dump, "offset t-2 102 epoch 3 commit 777 expire -1"));
	assert_null(strstr(dump, "t-3"));
	assert_non_null(strstr(dump, "t-4"));
	assert_non_null(strstr(dump, "expire 9223372036854775807"));
	free(dump);
	int counts[5] = { 0 };
	fake_log_each(&h.log, count_versions, counts);
	assert_int_equal(counts[1], 2);
	assert_int_equal(counts[3], 3);
	assert_reload_equal(&h);
}

/* ---- waiting and failing ------------------------------------------------------------------- */

static void
test_nothing_is_told_before_it_is_committed(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	h.log.is_held = true;
	struct ask *commit = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 2);
	struct ask *fetch = ask_fetch(&h, "g", "t", 0);
	struct ask *all = ask_fetch(&h, "g", NULL, 0);
	assert_false(commit->is_done || fetch->is_done || all->is_done);
	/* What concerns other groups is told at once. */
	assert_int_equal(fetch_now(&h, "other", "t", 0), -1);
	fake_log_commit(&h);
	assert_int_equal(commit_err(commit), OT_OK);
	assert_int_equal(fetch->response.fetch.topics[0].partitions[0].committed_offset, 2);
	assert_int_equal(all->response.fetch.topics[0].partitions[0].committed_offset, 2);
	assert_str(all->response.fetch.topics[0].name, "t");
	ask_free(fetch);
	ask_free(all);
}

static void
test_failed_commit_never_was(void **state)
{
	(void)state;
	static const struct {
		ot_err err;
		ot_err told;
	} rows[] = {
		{ OT_ERR_NOT_ENOUGH_REPLICAS, OT_ERR_COORDINATOR_NOT_AVAILABLE },
		{ OT_ERR_UNKNOWN_TOPIC_OR_PARTITION, OT_ERR_COORDINATOR_NOT_AVAILABLE },
		{ OT_ERR_NOT_LEADER_OR_FOLLOWER, OT_ERR_NOT_COORDINATOR },
		{ OT_ERR_KAFKA_STORAGE_ERROR, OT_ERR_NOT_COORDINATOR },
		{ OT_ERR_NO_SPACE, OT_ERR_NOT_COORDINATOR },
		{ OT_ERR_MESSAGE_TOO_LARGE, OT_ERR_INVALID_COMMIT_OFFSET_SIZE },
		{ OT_ERR_RECORD_LIST_TOO_LARGE, OT_ERR_INVALID_COMMIT_OFFSET_SIZE },
	};
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		h.log.fail_err = rows[i].err;
		h.log.is_failing_late = i % 2 == 0;
		struct ask *commit = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 2);
		struct ask *other = ask_commit(&h, "new", OT_STR_LIT(""), -1, "t", 0, 2);
		struct ask *fetch = i % 2 == 0 ? ask_fetch(&h, "g", "t", 0) : NULL;
		fake_log_commit(&h);
		assert_int_equal(commit_err(commit), rows[i].told);
		assert_int_equal(commit_err(other), rows[i].told);
		/* Who read meanwhile gets what was before. */
		if (fetch != NULL) {
			assert_int_equal(
			    fetch->response.fetch.topics[0].partitions[0].committed_offset, 1);
			ask_free(fetch);
		}
		h.log.fail_err = OT_OK;
		assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
		assert_int_equal(fetch_now(&h, "new", "t", 0), -1);
		struct ot_groups_stats stats;
		ot_groups_get_stats(h.groups, &stats);
		assert_int_equal(stats.group_count, 1);
		assert_reload_equal(&h);
	}
}

static void
test_timed_out_commit_may_be(void **state)
{
	(void)state;
	h.log.is_held = true;
	struct ask *commit = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 2);
	struct ask *fetch = ask_fetch(&h, "g", "t", 0);
	harness_advance(&h, 5001);
	assert_int_equal(commit_err(commit), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(fetch->response.fetch.error_code, OT_ERR_COORDINATOR_NOT_AVAILABLE);
	ask_free(fetch);
	fake_log_commit(&h);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 2);
}

static void
test_unloaded_while_waiting(void **state)
{
	(void)state;
	h.log.is_held = true;
	struct ask *commit = ask_commit(&h, "g", OT_STR_LIT(""), -1, "t", 0, 2);
	struct ask *fetch = ask_fetch(&h, "g", "t", 0);
	ot_coord_unload(h.coord);
	assert_int_equal(commit_err(commit), OT_ERR_NOT_COORDINATOR);
	assert_int_equal(fetch->response.fetch.error_code, OT_ERR_NOT_COORDINATOR);
	ask_free(fetch);
}

/* ---- fetching ------------------------------------------------------------------------------ */

static void
test_fetch_shapes(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	assert_int_equal(commit_now(&h, "g", "t", 1, 2), OT_OK);
	for (int16_t version = 1; version <= 10; version++) {
		struct ot_arena arena;
		ot_arena_init(&arena, 0);
		struct ot_offset_fetch_request request;
		struct ot_offset_fetch_request_group *groups = NULL;
		int32_t count = 0;
		int32_t indexes[2] = { 1, 9 };
		struct ot_offset_fetch_request_topic topic = { .name = OT_STR_LIT("t"),
			.partition_indexes = indexes,
			.partition_indexes_count = 2 };
		struct ot_offset_fetch_request_group_topic group_topic = { .name = OT_STR_LIT("t"),
			.partition_indexes = indexes,
			.partition_indexes_count = 2 };
		struct ot_offset_fetch_request_group group = { .group_id = OT_STR_LIT("g"),
			.topics = &group_topic,
			.topics_count = 1 };
		ot_offset_fetch_request_init(&request);
		request.group_id = OT_STR_LIT("g");
		request.topics = &topic;
		request.topics_count = 1;
		request.groups = &group;
		request.groups_count = 1;
		assert_ok(ot_offset_fetch_split(&request, version, &arena, &groups, &count));
		assert_int_equal(count, 1);

		struct ask *ask = ask_create(version, NULL);
		struct ot_offset_fetch_response response;
		struct ot_writer out;
		ot_writer_init(&out);
		ot_group_offset_fetch(h.groups, &ask->call, groups, false, &ask->response.fetch);
		harness_turn(&h);
		assert_ok(ot_offset_fetch_merge(&request, version, &ask->response.fetch, 1, &arena,
		    &response));
		assert_ok(
		    ot_msg_encode(&ot_offset_fetch_response_msg, version, &response, &out, NULL));
		if (version < 8)
			assert_int_equal(response.topics[0].partitions[0].committed_offset, 2);
		else
			assert_int_equal(
			    response.groups[0].topics[0].partitions[0].committed_offset, 2);

		/* An error: at each partition in version 1, else at the top. */
		ask->response.fetch.error_code = OT_ERR_NOT_COORDINATOR;
		assert_ok(ot_offset_fetch_merge(&request, version, &ask->response.fetch, 1, &arena,
		    &response));
		assert_ok(
		    ot_msg_encode(&ot_offset_fetch_response_msg, version, &response, &out, NULL));
		if (version == 1)
			assert_int_equal(response.topics[0].partitions[1].error_code,
			    OT_ERR_NOT_COORDINATOR);
		else if (version < 8)
			assert_int_equal(response.error_code, OT_ERR_NOT_COORDINATOR);
		ot_writer_fini(&out);
		ask_free(ask);
		ot_arena_fini(&arena);
	}
}

static void
test_fetch_all(void **state)
{
	(void)state;
	struct ask *ask = ask_fetch(&h, "none", NULL, 0);
	assert_int_equal(ask->response.fetch.error_code, 0);
	assert_int_equal(ask->response.fetch.topics_count, 0);
	ask_free(ask);
	for (int i = 0; i < 30; i++) {
		char topic[10];
		snprintf(topic, sizeof(topic), "t%d", i % 3);
		assert_int_equal(commit_now(&h, "g", topic, i / 3, i), OT_OK);
	}
	ask = ask_fetch(&h, "g", NULL, 0);
	assert_int_equal(ask->response.fetch.topics_count, 3);
	int64_t sum = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask->response.fetch.topics[i].partitions_count, 10);
		for (int j = 0; j < 10; j++)
			sum += ask->response.fetch.topics[i].partitions[j].committed_offset;
	}
	assert_int_equal(sum, 29 * 30 / 2);
	ask_free(ask);
}

/* ---- deleting ------------------------------------------------------------------------------ */

static struct ask *
ask_delete(const char *group, const char *topic, int32_t partition)
{
	struct ask *ask = ask_create(0, &ot_offset_delete_response_msg);
	struct ot_offset_delete_request *request = &ask->request.offset_delete;
	ot_offset_delete_request_init(request);
	request->group_id = ot_str_from(group);
	request->topics = ot_offset_delete_request_topic_array(&ask->arena, 1);
	request->topics_count = 1;
	request->topics[0].name = ot_str_from(topic);
	request->topics[0].partitions = ot_offset_delete_request_partition_array(&ask->arena, 1);
	request->topics[0].partitions_count = 1;
	request->topics[0].partitions[0].partition_index = partition;
	ot_group_offset_delete(h.groups, &ask->call, request, &ask->response.offset_delete);
	harness_turn(&h);
	return ask;
}

static void
assert_delete(struct ask *ask, ot_err err, ot_err partition_err)
{
	assert_true(ask->is_done);
	assert_int_equal(ask->response.offset_delete.error_code, err);
	if (err == OT_OK)
		assert_int_equal(ask->response.offset_delete.topics[0].partitions[0].error_code,
		    partition_err);
	ask_free(ask);
}

/* One member, stable in generation 1, that subscribes to "t" as consumers do. */
static struct ot_str
stable_subscribed(const char *group)
{
	struct ot_str topic = OT_STR_LIT("t");
	struct ot_consumer_protocol_subscription subscription;
	struct ot_writer out;
	ot_writer_init(&out);
	ot_consumer_protocol_subscription_init(&subscription);
	subscription.topics = &topic;
	subscription.topics_count = 1;
	assert_ok(
	    ot_versioned_encode(&ot_consumer_protocol_subscription_msg, 3, &subscription, &out));
	struct ask *join = ask_join(&h, &(struct join_args){ .group = group,
					    .version = 3,
					    .metadata_bytes = { out.data, (int32_t)out.bytes } });
	harness_advance(&h, 3000);
	struct ot_str id = member_of(join, 1);
	ask_free(ask_sync(&h, group, id, 1, ""));
	assert_state(&h, group, "Stable");
	ot_writer_fini(&out);
	return id;
}

static void
test_offset_delete(void **state)
{
	(void)state;
	assert_delete(ask_delete("none", "t", 0), OT_ERR_GROUP_ID_NOT_FOUND, OT_OK);
	assert_delete(ask_delete("", "t", 0), OT_ERR_INVALID_GROUP_ID, OT_OK);
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	assert_int_equal(commit_now(&h, "g", "t", 1, 2), OT_OK);
	assert_delete(ask_delete("g", "t", 0), OT_OK, OT_OK);
	assert_delete(ask_delete("g", "t", 5), OT_OK, OT_OK); /* there is none */
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
	assert_int_equal(fetch_now(&h, "g", "t", 1), 2);
	assert_reload_equal(&h);

	/* With the last offset the simple group goes. */
	assert_delete(ask_delete("g", "t", 1), OT_OK, OT_OK);
	assert_delete(ask_delete("g", "t", 1), OT_ERR_GROUP_ID_NOT_FOUND, OT_OK);
	assert_reload_equal(&h);

	/* Of a group with members that are no consumers nothing is known. */
	struct ask *join =
	    ask_join(&h, &(struct join_args){ .group = "c", .type = "connect", .version = 3 });
	assert_delete(ask_delete("c", "t", 0), OT_ERR_NON_EMPTY_GROUP, OT_OK);
	harness_advance(&h, 3000);
	member_of(join, 1);
	/* Consumers whose subscription cannot be read may want any topic. */
	stable_with_one(&h, "k");
	assert_delete(ask_delete("k", "t", 0), OT_OK, OT_ERR_GROUP_SUBSCRIBED_TO_TOPIC);
	/* Of those whose can, it is known, after a reload too. */
	stable_subscribed("s");
	for (int i = 0; i < 2; i++) {
		assert_delete(ask_delete("s", "t", 0), OT_OK, OT_ERR_GROUP_SUBSCRIBED_TO_TOPIC);
		assert_delete(ask_delete("s", "u", 0), OT_OK, OT_OK);
		ot_coord_unload(h.coord);
		harness_load(&h);
	}
}

static void
test_offset_delete_fails(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	h.log.is_held = true;
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	h.log.is_failing_late = true;
	struct ask *ask = ask_delete("g", "t", 0);
	/* A group that is being deleted is not yet gone. */
	struct ask *fetch = ask_fetch(&h, "g", "t", 0);
	assert_false(ask->is_done || fetch->is_done);
	fake_log_commit(&h);
	assert_delete(ask, OT_ERR_COORDINATOR_NOT_AVAILABLE, OT_OK);
	assert_int_equal(fetch->response.fetch.topics[0].partitions[0].committed_offset, 1);
	ask_free(fetch);
	assert_reload_equal(&h);
}

static ot_err
delete_group(const char *group)
{
	struct ask *ask = ask_create(2, NULL);
	ot_group_delete(h.groups, &ask->call, ot_str_from(group), &ask->response.group_delete);
	harness_turn(&h);
	assert_true(ask->is_done);
	ot_err err = ask->response.group_delete.error_code;
	assert_str(ask->response.group_delete.group_id, group);
	ask_free(ask);
	return err;
}

static void
test_delete_group(void **state)
{
	(void)state;
	assert_int_equal(delete_group("none"), OT_ERR_GROUP_ID_NOT_FOUND);
	struct ot_str one = stable_with_one(&h, "g");
	for (int i = 0; i < 100; i++)
		ask_free(ask_commit(&h, "g", one, 1, "t", i, i));
	assert_int_equal(delete_group("g"), OT_ERR_NON_EMPTY_GROUP);
	ask_free(ask_leave(&h, "g", one, NULL, 5));
	assert_state(&h, "g", "Empty");

	/* It fails, and all is as it was; the group goes on with its generation. */
	char *before = groups_dump(h.groups, true);
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	assert_int_equal(delete_group("g"), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	h.log.fail_err = OT_OK;
	char *after = groups_dump(h.groups, true);
	assert_string_equal(after, before);
	free(before);
	free(after);
	assert_reload_equal(&h);

	/* More tombstones than a batch holds: the first batches succeed, the last fails. */
	h.log.log.batch_bytes_max = 1000;
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	h.log.fail_countdown = 2;
	assert_int_equal(delete_group("g"), OT_ERR_COORDINATOR_NOT_AVAILABLE);
	h.log.fail_err = OT_OK;
	assert_reload_equal(&h);
	assert_int_equal(delete_group("g"), OT_OK);
	assert_int_equal(delete_group("g"), OT_ERR_GROUP_ID_NOT_FOUND);
	assert_reload_equal(&h);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.bytes, 0);
}

static void
test_member_comes_while_the_group_is_deleted(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	ask_free(ask_commit(&h, "g", one, 1, "t", 0, 5));
	ask_free(ask_leave(&h, "g", one, NULL, 5));
	h.log.is_held = true;
	struct ask *ask = ask_create(2, NULL);
	ot_group_delete(h.groups, &ask->call, OT_STR_LIT("g"), &ask->response.group_delete);
	harness_turn(&h);
	struct ask *join = ask_join(&h, &(struct join_args){ .group = "g", .version = 3 });
	/* The deletion fails late: offsets and the former generation's record are back. */
	ot_shard_enter(h.shard);
	struct ot_coord_append *append =
	    OT_LIST_FIRST(&h.log.waiting, struct ot_coord_append, link);
	ot_list_remove(&append->link);
	ot_blob_unref(h.log.batches[--h.log.batch_count]);
	h.log.end_offset -= append->info.record_count;
	append->on_done(append, OT_ERR_KAFKA_STORAGE_ERROR);
	h.log.is_held = false;
	harness_turn(&h);
	assert_int_equal(ask->response.group_delete.error_code, OT_ERR_NOT_COORDINATOR);
	ask_free(ask);
	harness_advance(&h, 3000);
	struct ot_str two = member_of(join, 1);
	ask_free(ask_sync(&h, "g", two, 1, ""));
	assert_int_equal(fetch_now(&h, "g", "t", 0), 5);
	assert_reload_equal(&h);
}

static void
test_topics_deleted(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "a", "t", 0, 1), OT_OK);
	assert_int_equal(commit_now(&h, "a", "u", 0, 2), OT_OK);
	assert_int_equal(commit_now(&h, "b", "t", 0, 3), OT_OK);
	assert_int_equal(commit_now(&h, "c", "u", 0, 4), OT_OK);
	struct ot_str names[] = { OT_STR_LIT("x"), OT_STR_LIT("t") };
	ot_groups_topics_deleted(h.groups, names, 2);
	harness_turn(&h);
	assert_int_equal(fetch_now(&h, "a", "t", 0), -1);
	assert_int_equal(fetch_now(&h, "a", "u", 0), 2);
	assert_int_equal(fetch_now(&h, "b", "t", 0), -1);
	assert_int_equal(fetch_now(&h, "c", "u", 0), 4);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 2);
	assert_reload_equal(&h);
}

/* ---- expiry (KIP-211) ---------------------------------------------------------------------- */

static void
test_expiry_of_simple_groups(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	harness_advance(&h, 3 * DAY_MS);
	assert_int_equal(commit_now(&h, "g", "t", 1, 2), OT_OK);
	harness_advance(&h, 4 * DAY_MS - 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
	harness_advance(&h, 12 * 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
	assert_int_equal(fetch_now(&h, "g", "t", 1), 2);
	assert_reload_equal(&h);
	harness_advance(&h, 3 * DAY_MS);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
	assert_int_equal(stats.expire_count, 2);
	assert_reload_equal(&h);
}

static void
test_expiry_of_empty_groups(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	ask_free(ask_commit(&h, "g", one, 1, "t", 0, 1));
	for (int i = 0; i < 8 * 24 * 60 * 60 / 9; i += 100) {
		/* A group that lives keeps the offsets of topics that it may be subscribed to. */
		h.ios[0].wall_ahead += 900 * 1000;
		harness_advance(&h, 9000);
		assert_int_equal(ask_heartbeat(&h, "g", one, NULL, 1), OT_OK);
	}
	assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
	ask_free(ask_leave(&h, "g", one, NULL, 5));
	/* From now on the retention counts, not from the commit. */
	harness_advance(&h, 7 * DAY_MS - 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
	ot_coord_unload(h.coord);
	harness_load(&h);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
	harness_advance(&h, 15 * 60 * 1000);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
	assert_reload_equal(&h);
}

/* A group that lives loses the offsets of topics that it left. */
static void
test_expiry_of_topics_left(void **state)
{
	(void)state;
	struct ot_str one = stable_subscribed("s");
	ask_free(ask_commit(&h, "s", one, 1, "t", 0, 1));
	ask_free(ask_commit(&h, "s", one, 1, "u", 0, 2));
	h.ios[0].wall_ahead += (int64_t)7 * DAY_MS;
	for (int i = 0; i < 70; i++) {
		harness_advance(&h, 9000);
		assert_int_equal(ask_heartbeat(&h, "s", one, NULL, 1), OT_OK);
	}
	assert_int_equal(fetch_now(&h, "s", "t", 0), 1);
	assert_int_equal(fetch_now(&h, "s", "u", 0), -1);
	assert_reload_equal(&h);
}

static void
test_empty_group_without_offsets_goes(void **state)
{
	(void)state;
	struct ot_str one = stable_with_one(&h, "g");
	ask_free(ask_leave(&h, "g", one, NULL, 5));
	assert_state(&h, "g", "Empty");
	harness_advance(&h, 10 * 60 * 1000);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
	assert_reload_equal(&h);
}

static void
test_expiry_by_request(void **state)
{
	(void)state;
	commit_fields("g", 0, &(struct fields){ 2, 60 * 60 * 1000, -1, NULL, OT_OK });
	commit_fields("g", 1, &(struct fields){ 9, -1, -1, NULL, OT_OK });
	harness_advance(&h, 59 * 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 100);
	harness_advance(&h, 11 * 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
	assert_int_equal(fetch_now(&h, "g", "t", 1), 101);
}

static void
test_expiry_that_fails_is_tried_again(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "g", "t", 0, 1), OT_OK);
	h.log.fail_err = OT_ERR_NOT_ENOUGH_REPLICAS;
	harness_advance(&h, (int64_t)8 * DAY_MS);
	h.log.fail_err = OT_OK;
	assert_int_equal(fetch_now(&h, "g", "t", 0), 1);
	harness_advance(&h, 11 * 60 * 1000);
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
}

static void
test_expiry_goes_in_steps(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++) {
		char group[20];
		snprintf(group, sizeof(group), "g%d", i);
		ot_shard_enter(h.shard);
		struct ask *ask = ask_commit(&h, group, OT_STR_LIT(""), -1, "t", 0, 1);
		ask_free(ask);
	}
	harness_advance(&h, (int64_t)7 * DAY_MS - 11 * 60 * 1000);
	uint32_t appends = h.log.append_count;
	harness_advance(&h, 25 * 60 * 1000);
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.group_count, 0);
	assert_in_range(h.log.append_count - appends, 5, 20);
}

/* ---- transactions in a log that was written elsewhere -------------------------------------- */

static void
write_txn_offset(int64_t producer_id, int32_t partition, int64_t offset)
{
	struct ot_writer key;
	struct ot_writer value;
	ot_writer_init(&key);
	ot_writer_init(&value);
	struct ot_offset_commit_key k = { .group = OT_STR_LIT("g"),
		.topic = OT_STR_LIT("t"),
		.partition = partition };
	struct ot_offset_commit_value v;
	ot_offset_commit_value_init(&v);
	v.offset = offset;
	v.metadata = OT_STR_LIT("txn");
	v.commit_timestamp = ot_io_wall(&h.ios[0].io);
	assert_ok(ot_versioned_encode(&ot_offset_commit_key_msg, 1, &k, &key));
	assert_ok(ot_versioned_encode(&ot_offset_commit_value_msg, 3, &v, &value));
	struct ot_batch_options batch = OT_BATCH_OPTIONS_DEFAULT;
	batch.producer_id = producer_id;
	batch.producer_epoch = 0;
	batch.base_sequence = producer_id < 0 ? -1 : 0;
	batch.is_transactional = producer_id >= 0;
	struct ot_record_data record = { .timestamp = 1,
		.key = { key.data, (int32_t)key.bytes },
		.value = { value.data, (int32_t)value.bytes },
		.encoded_headers = OT_BYTES_NULL };
	fake_log_write(&h.log, &batch, &record, 1);
	ot_writer_fini(&key);
	ot_writer_fini(&value);
}

static void
test_transactions_of_a_loaded_log(void **state)
{
	(void)state;
	ot_coord_unload(h.coord);
	write_txn_offset(7, 0, 10); /* committed */
	write_txn_offset(8, 1, 20); /* aborted */
	write_txn_offset(9, 2, 30); /* open */
	write_txn_offset(7, 3, 40); /* committed, but a later commit is newer */
	write_txn_offset(-1, 3, 41);
	write_txn_offset(-1, 2, 31);
	fake_log_write_marker(&h.log, 7, true);
	fake_log_write_marker(&h.log, 8, false);
	harness_load(&h);
	assert_int_equal(fetch_now(&h, "g", "t", 0), 10);
	assert_int_equal(fetch_now(&h, "g", "t", 1), -1);
	assert_int_equal(fetch_now(&h, "g", "t", 3), 41);

	/* Who asks for stable offsets is told that this one is not. */
	struct ask *ask = ask_fetch(&h, "g", "t", 2);
	assert_int_equal(ask->response.fetch.topics[0].partitions[0].error_code,
	    OT_ERR_UNSTABLE_OFFSET_COMMIT);
	ask_free(ask);
	harness_advance(&h, (int64_t)8 * DAY_MS);
	ask = ask_fetch(&h, "g", "t", 2);
	assert_int_equal(ask->response.fetch.topics[0].partitions[0].error_code,
	    OT_ERR_UNSTABLE_OFFSET_COMMIT);
	ask_free(ask);
	assert_int_equal(fetch_now(&h, "g", "t", 0), -1);
	assert_reload_equal(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_simple_consumer),
		TEST(test_who_may_commit),
		TEST(test_old_version_of_an_unknown_group),
		TEST(test_commit_keeps_the_session),
		TEST(test_static_member_commits),
		TEST(test_fields),
		TEST(test_nothing_is_told_before_it_is_committed),
		TEST(test_failed_commit_never_was),
		TEST(test_timed_out_commit_may_be),
		TEST(test_unloaded_while_waiting),
		TEST(test_fetch_shapes),
		TEST(test_fetch_all),
		TEST(test_offset_delete),
		TEST(test_offset_delete_fails),
		TEST(test_delete_group),
		TEST(test_member_comes_while_the_group_is_deleted),
		TEST(test_topics_deleted),
		TEST(test_expiry_of_simple_groups),
		TEST(test_expiry_of_empty_groups),
		TEST(test_expiry_of_topics_left),
		TEST(test_empty_group_without_offsets_goes),
		TEST(test_expiry_by_request),
		TEST(test_expiry_that_fails_is_tried_again),
		TEST(test_expiry_goes_in_steps),
		TEST(test_transactions_of_a_loaded_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
