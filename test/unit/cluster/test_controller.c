/* Tests of src/cluster/controller.c: what commits, what is told when, what failures leave. */
#include "fixture.h"

#include "cluster/feature_levels.h"

/* Goal: a new cluster's log begins with the levels of features, and the image names the leader.
 * Method: start on an empty log, look at the first image. */
static void
test_bootstrap(void **state)
{
	struct fixture *fixture = fixture_create("");
	struct ot_controller_leader leader;
	(void)state;

	ot_sim_world_run_for_ms(fixture->world, 10);
	assert_int_equal(ot_image_feature(fixture->newest, ot_str_from(OT_METADATA_VERSION)), 30);
	assert_int_equal(ot_image_controller(fixture->newest), 1);
	assert_int_equal(ot_image_feature(fixture->newest, ot_str_from(OT_ELR_VERSION)), 1);
	assert_int_equal(ot_image_place(fixture->newest).offset, 2);
	assert_int_equal(ot_image_features_epoch(fixture->newest), 2);
	assert_string_equal(ot_image_cluster_id(fixture->newest), CLUSTER_ID);
	leader = ot_controller_leader(fixture->controller);
	assert_int_equal(leader.id, 1);
	assert_int_equal(leader.epoch, fixture->disk->epoch);
	assert_string_equal(leader.host, memory_endpoint.host);
	assert_int_equal(leader.port, memory_endpoint.port);
	fixture_destroy(fixture);
}

/* Goal: the image of a restarted controller is the one of before, with and without a snapshot.
 * Method: some of everything, the image as text before and after. */
static void
test_restart(void **state)
{
	struct fixture *fixture =
	    fixture_create("metadata.log.max.record.bytes.between.snapshots=1\n");
	char *before, *after;
	char name[20];
	(void)state;

	fixture_add_broker(fixture, 1, "here");
	fixture_add_broker(fixture, 2, NULL);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "topic_%d", i);
		assert_ok(fixture_create_topic(fixture, name, 1 + i % 5, 2, NULL));
		if (i == 30) {
			ot_sim_world_run_for_ms(fixture->world, 10);
			assert_true(fixture->disk->has_snapshot);
		}
	}
	before = fixture_print(fixture->newest);
	ot_image_check(fixture->newest);
	for (int with_snapshot = 1; with_snapshot >= 0; with_snapshot--) {
		fixture_close_controller(fixture);
		fixture->disk->has_snapshot = with_snapshot == 1;
		fixture_start_controller(fixture);
		ot_image_check(fixture->newest);
		after = fixture_print(fixture->newest);
		assert_string_equal(after, before);
		ot_free(after);
	}
	ot_free(before);
	fixture_destroy(fixture);
}

/* Goal: operations do not wait for each other, see each other's uncommitted records, and are told
 * only when theirs are committed. Method: a log that holds its commits. */
static void
test_pipelining(void **state)
{
	struct fixture *fixture = fixture_create("");
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request request;
	struct ot_create_topics_response responses[3];
	struct fixture_call calls[3];
	(void)state;

	fixture_add_broker(fixture, 1, NULL);
	fixture->log->is_held = true;
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	topic.name = OT_STR_LIT("one");
	topic.num_partitions = 1;
	topic.replication_factor = 1;
	request.topics = &topic;
	request.topics_count = 1;
	for (int i = 0; i < 3; i++) {
		topic.name = i == 2 ? OT_STR_LIT("two") : OT_STR_LIT("one");
		ot_controller_create_topics(fixture->controller,
		    fixture_call_init(fixture, &calls[i]), &request, &responses[i]);
	}
	ot_sim_world_run_for_ms(fixture->world, 100);
	for (int i = 0; i < 3; i++)
		assert_false(calls[i].is_done);
	assert_null(ot_image_topic(fixture->newest, OT_STR_LIT("one")));
	fixture->log->is_held = false;
	memory_wake(fixture->log);
	assert_ok(fixture_wait(fixture, &calls[0]));
	assert_ok(fixture_wait(fixture, &calls[1]));
	assert_ok(fixture_wait(fixture, &calls[2]));
	assert_int_equal(responses[0].topics[0].error_code, OT_OK);
	assert_int_equal(responses[1].topics[0].error_code, OT_ERR_TOPIC_ALREADY_EXISTS);
	assert_int_equal(responses[2].topics[0].error_code, OT_OK);
	assert_non_null(ot_image_topic(fixture->newest, OT_STR_LIT("one")));
	assert_non_null(ot_image_topic(fixture->newest, OT_STR_LIT("two")));
	fixture_destroy(fixture);
}

/* Goal: what the log refuses leaves no trace, and each call that was built on it fails. Method: two
 * operations whose commit fails, then the same again. */
static void
test_failed_append(void **state)
{
	struct fixture *fixture = fixture_create("");
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request request;
	struct ot_create_topics_response responses[2];
	struct fixture_call calls[2];
	char *before, *after;
	(void)state;

	fixture_add_broker(fixture, 1, NULL);
	before = fixture_print(fixture->newest);
	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	topic.num_partitions = 1;
	topic.replication_factor = 1;
	request.topics = &topic;
	request.topics_count = 1;
	fixture->log->failure = OT_ERR_NOT_CONTROLLER;
	for (int i = 0; i < 2; i++) {
		topic.name = i == 0 ? OT_STR_LIT("one") : OT_STR_LIT("two");
		ot_controller_create_topics(fixture->controller,
		    fixture_call_init(fixture, &calls[i]), &request, &responses[i]);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_wait(fixture, &calls[i]), OT_ERR_NOT_CONTROLLER);
		assert_int_equal(responses[i].topics_count, 1);
		assert_int_equal(responses[i].topics[0].error_code, OT_ERR_NOT_CONTROLLER);
		assert_true(ot_uuid_is_zero(&responses[i].topics[0].topic_id));
	}
	after = fixture_print(fixture->newest);
	assert_string_equal(after, before);
	assert_true(fixture->is_active);
	assert_ok(fixture_create_topic(fixture, "one", 1, 1, NULL));
	ot_free(before);
	ot_free(after);
	fixture_destroy(fixture);
}

/* Goal: closing ends the calls under way, and takes no more. Method: a held log, one call before
 * and one after the close. */
static void
test_close(void **state)
{
	struct fixture *fixture = fixture_create("");
	struct ot_allocate_producer_ids_request request;
	struct ot_allocate_producer_ids_response responses[2];
	struct fixture_call calls[2];
	(void)state;

	ot_allocate_producer_ids_request_init(&request);
	request.broker_id = 1;
	request.broker_epoch = fixture_add_broker(fixture, 1, NULL);
	fixture->log->is_held = true;
	ot_controller_allocate_producer_ids(fixture->controller,
	    fixture_call_init(fixture, &calls[0]), &request, &responses[0]);
	ot_controller_close(fixture->controller, fixture_on_closed, fixture);
	ot_controller_allocate_producer_ids(fixture->controller,
	    fixture_call_init(fixture, &calls[1]), &request, &responses[1]);
	assert_true(ot_sim_world_run_until(fixture->world, fixture_holds_closed, fixture, 1000));
	fixture->controller = NULL;
	for (int i = 0; i < 2; i++) {
		assert_true(calls[i].is_done);
		assert_int_equal(calls[i].err, OT_ERR_CLOSED);
	}
	ot_image_unref(fixture->newest);
	fixture_destroy(fixture);
}

/* Appends one record to the log behind the controller's back. */
static void
put_on_disk(struct memory_disk *disk, const struct ot_msg *type, const void *msg)
{
	struct memory_batch *batch = &disk->batches[disk->batch_count++];

	batch->base_offset = disk->next_offset++;
	ot_metadata_records_init(&batch->records);
	ot_metadata_records_add(&batch->records, type, msg);
	assert_false(batch->records.failed);
}

/* Goal: a record of a newer release stops the reading, before anything of its batch. Method: a
 * framed record of a type that does not exist. */
static void
test_newer_record(void **state)
{
	struct fixture *fixture = fixture_create("");
	static const uint8_t framed[] = { 1, 120, 0, 0 };
	struct memory_batch *batch;
	(void)state;

	fixture_close_controller(fixture);
	batch = &fixture->disk->batches[fixture->disk->batch_count++];
	batch->base_offset = fixture->disk->next_offset++;
	ot_metadata_records_init(&batch->records);
	ot_metadata_records_add_framed(&batch->records, (struct ot_bytes){ framed, 4 });
	fixture_start_controller(fixture);
	assert_int_equal(fixture->failure, OT_ERR_UNSUPPORTED_VERSION);
	assert_false(fixture->is_active);
	assert_null(fixture->newest);
	fixture_destroy(fixture);
}

/* Goal: a metadata transaction counts from its end on; one that a controller left open is aborted
 * by the next. Method: both on the log of a stopped controller. */
static void
test_metadata_transaction(void **state)
{
	struct fixture *fixture = fixture_create("");
	struct ot_begin_transaction_record begin;
	struct ot_end_transaction_record end;
	struct ot_feature_level_record feature;
	(void)state;

	ot_begin_transaction_record_init(&begin);
	ot_end_transaction_record_init(&end);
	ot_feature_level_record_init(&feature);
	feature.feature_level = 1;
	ot_sim_world_run_for_ms(fixture->world, 10);
	fixture_close_controller(fixture);
	put_on_disk(fixture->disk, &ot_begin_transaction_record_msg, &begin);
	feature.name = OT_STR_LIT("ended");
	put_on_disk(fixture->disk, &ot_feature_level_record_msg, &feature);
	put_on_disk(fixture->disk, &ot_end_transaction_record_msg, &end);
	put_on_disk(fixture->disk, &ot_begin_transaction_record_msg, &begin);
	feature.name = OT_STR_LIT("open");
	put_on_disk(fixture->disk, &ot_feature_level_record_msg, &feature);
	fixture_start_controller(fixture);
	assert_int_equal(ot_image_feature(fixture->newest, OT_STR_LIT("ended")), 1);
	assert_int_equal(ot_image_feature(fixture->newest, OT_STR_LIT("open")), 0);
	assert_int_equal(fixture->disk->next_offset, 9);
	fixture_close_controller(fixture);
	fixture_start_controller(fixture);
	assert_int_equal(fixture->disk->next_offset, 9);
	assert_int_equal(ot_image_feature(fixture->newest, OT_STR_LIT("open")), 0);
	fixture_destroy(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bootstrap),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_newer_record),
		cmocka_unit_test(test_metadata_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
