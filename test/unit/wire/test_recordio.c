/* Goal: keys and values of Kafka's own logs carry what Kafka puts before them.
 * Method: bytes by hand for each of the frames; unknown types and versions are told apart from
 * damage. */
#include "../test.h"

#include "wire/msg_consumer_protocol.h"
#include "wire/msg_group_log.h"
#include "wire/msg_metadata_log.h"
#include "wire/msg_remote_log_metadata.h"
#include "wire/msg_share_log.h"
#include "wire/msg_transaction_log.h"
#include "wire/recordio.h"

enum { ARENA_BYTES_MAX = 64 * 1024 };

static int
set_up(void **state)
{
	static struct ot_arena arena;
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	*state = &arena;
	return 0;
}

static int
tear_down(void **state)
{
	ot_arena_fini(*state);
	return 0;
}

static struct ot_bytes
bytes_of(const struct ot_writer *out)
{
	return (struct ot_bytes){ out->data, (int32_t)out->bytes };
}

static struct ot_bytes
bytes_at(const void *data, int32_t len)
{
	return (struct ot_bytes){ data, len };
}

/* frame version 1, type 12, version 0, then the record */
static const char feature[] = "\1\14\0\3mv\0\24\0";

static void
test_metadata_record(void **state)
{
	struct ot_typed_record record;
	struct ot_bytes bytes = bytes_at(feature, sizeof(feature) - 1);
	assert_ok(ot_typed_record_decode(OT_RECORD_LOG_METADATA, bytes, *state, &record));
	assert_ptr_equal(record.type, &ot_feature_level_record_msg);
	assert_int_equal(record.type->type, OT_FEATURE_LEVEL_RECORD_TYPE);
	const struct ot_feature_level_record *level = record.msg;
	assert_true(ot_str_is(level->name, "mv"));
	assert_int_equal(level->feature_level, 20);

	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(ot_typed_record_encode(OT_RECORD_LOG_METADATA, record.type, 0, record.msg, &out));
	assert_int_equal(out.bytes, sizeof(feature) - 1);
	assert_memory_equal(out.data, feature, out.bytes);
	ot_err err =
	    ot_typed_record_encode(OT_RECORD_LOG_METADATA, record.type, 1, record.msg, &out);
	assert_int_equal(err, OT_ERR_UNSUPPORTED_VERSION);
	ot_writer_fini(&out);
}

static ot_err
decode_metadata(struct ot_arena *arena, const char *data, int32_t len)
{
	struct ot_typed_record record;
	return ot_typed_record_decode(OT_RECORD_LOG_METADATA, bytes_at(data, len), arena, &record);
}

static void
test_bad_metadata_record(void **state)
{
	assert_int_equal(decode_metadata(*state, feature, 2), OT_ERR_TRUNCATED);
	assert_int_equal(decode_metadata(*state, feature, 6), OT_ERR_TRUNCATED);
	assert_int_equal(decode_metadata(*state, NULL, -1), OT_ERR_TRUNCATED);
	assert_int_equal(decode_metadata(*state, feature, sizeof(feature)), OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(*state, "\2\14\0", 3), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(decode_metadata(*state, "\1\15\0", 3), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(decode_metadata(*state, "\1\14\1", 3), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(decode_metadata(*state, "\1\xff\xff\xff\xff\x0f\0", 7),
	    OT_ERR_UNSUPPORTED_VERSION);
}

/* The numbers are on disk for ever: they are Kafka's. */
static void
test_type_numbers(void **state)
{
	(void)state;
	assert_int_equal(OT_REGISTER_BROKER_RECORD_TYPE, 0);
	assert_int_equal(OT_TOPIC_RECORD_TYPE, 2);
	assert_int_equal(OT_PARTITION_RECORD_TYPE, 3);
	assert_int_equal(OT_CONFIG_RECORD_TYPE, 4);
	assert_int_equal(OT_PARTITION_CHANGE_RECORD_TYPE, 5);
	assert_int_equal(OT_REMOVE_TOPIC_RECORD_TYPE, 9);
	assert_int_equal(OT_PRODUCER_IDS_RECORD_TYPE, 15);
	assert_int_equal(OT_CLEAR_ELR_RECORD_TYPE, 28);
	assert_ptr_equal(ot_typed_record_find(OT_RECORD_LOG_METADATA, 3), &ot_partition_record_msg);
	assert_null(ot_typed_record_find(OT_RECORD_LOG_METADATA, 6));
	assert_ptr_equal(ot_typed_record_find(OT_RECORD_LOG_REMOTE_LOG_METADATA, 2),
	    &ot_remote_partition_delete_metadata_record_msg);
	assert_int_equal(OT_OFFSET_COMMIT_KEY_TYPE, 1);
	assert_int_equal(OT_GROUP_METADATA_KEY_TYPE, 2);
	assert_int_equal(OT_CONSUMER_GROUP_METADATA_KEY_TYPE, 3);
}

/* The remote log has no frame version. */
static void
test_remote_log_record(void **state)
{
	struct ot_remote_partition_delete_metadata_record record;
	struct ot_writer out;
	ot_writer_init(&out);
	ot_remote_partition_delete_metadata_record_init(&record);
	record.topic_id_partition.name = OT_STR_LIT("t");
	assert_ok(ot_typed_record_encode(OT_RECORD_LOG_REMOTE_LOG_METADATA,
	    &ot_remote_partition_delete_metadata_record_msg, 0, &record, &out));
	assert_memory_equal(out.data, "\2\0\2t", 4);
	struct ot_typed_record back;
	assert_ok(ot_typed_record_decode(OT_RECORD_LOG_REMOTE_LOG_METADATA, bytes_of(&out), *state,
	    &back));
	assert_int_equal(back.type->type, 2);
	ot_writer_fini(&out);
}

static void
test_keyed_types(void **state)
{
	(void)state;
	struct ot_keyed_type type = { 0 };
	assert_true(ot_keyed_type_find(OT_RECORD_LOG_GROUP, 0, &type));
	assert_ptr_equal(type.key, &ot_offset_commit_key_msg);
	assert_ptr_equal(type.value, &ot_offset_commit_value_msg);
	assert_true(ot_keyed_type_find(OT_RECORD_LOG_GROUP, 2, &type));
	assert_ptr_equal(type.value, &ot_group_metadata_value_msg);
	assert_true(ot_keyed_type_find(OT_RECORD_LOG_GROUP, 15, &type));
	assert_ptr_equal(type.value, &ot_share_group_state_partition_metadata_value_msg);
	assert_false(ot_keyed_type_find(OT_RECORD_LOG_GROUP, 99, &type));
	assert_false(ot_keyed_type_find(OT_RECORD_LOG_GROUP, -1, &type));
	assert_true(ot_keyed_type_find(OT_RECORD_LOG_TRANSACTION, 0, &type));
	assert_ptr_equal(type.value, &ot_transaction_log_value_msg);
	assert_true(ot_keyed_type_find(OT_RECORD_LOG_SHARE, 1, &type));
	assert_ptr_equal(type.key, &ot_share_update_key_msg);
}

static void
test_versioned(void **state)
{
	static const char bytes[] = "\0\1\0\1g\0\1t\0\0\0\5";
	struct ot_offset_commit_key key;
	int16_t version = -1;
	assert_int_equal(ot_versioned_peek(bytes_at(bytes, 12)), 1);
	assert_int_equal(ot_versioned_peek(bytes_at(bytes, 1)), -1);
	assert_ok(ot_versioned_decode(&ot_offset_commit_key_msg, bytes_at(bytes, 12), *state,
	    &version, &key));
	assert_int_equal(version, 1);
	assert_int_equal(key.partition, 5);
	struct ot_writer out;
	ot_writer_init(&out);
	assert_ok(
	    ot_versioned_encode(&ot_offset_commit_key_msg, OT_OFFSET_COMMIT_KEY_TYPE, &key, &out));
	assert_int_equal(out.bytes, 12);
	assert_memory_equal(out.data, bytes, 12);
	assert_int_equal(ot_versioned_encode(&ot_offset_commit_key_msg, 9, &key, &out),
	    OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(out.bytes, 12);
	ot_writer_fini(&out);
}

/* A consumer of the future: version 9, with bytes behind what we know. */
static void
test_newer_subscription(void **state)
{
	static const char bytes[] = "\0\11\0\0\0\1\0\1t\xff\xff\xff\xff\0\0\0\0\0\0\0\3\0\1r+++";
	struct ot_bytes all = bytes_at(bytes, sizeof(bytes) - 1);
	struct ot_consumer_protocol_subscription subscription;
	int16_t version = -1;
	assert_ok(ot_versioned_decode_newer(&ot_consumer_protocol_subscription_msg, all, *state,
	    &version, &subscription));
	assert_int_equal(version, 9);
	assert_true(ot_str_is(subscription.topics[0], "t"));
	assert_int_equal(subscription.generation_id, 3);
	assert_true(ot_str_is(subscription.rack_id, "r"));
	ot_err err = ot_versioned_decode(&ot_consumer_protocol_subscription_msg, all, *state,
	    &version, &subscription);
	assert_int_equal(err, OT_ERR_UNSUPPORTED_VERSION);
	err = ot_versioned_decode_newer(&ot_consumer_protocol_subscription_msg, bytes_at(bytes, 1),
	    *state, &version, &subscription);
	assert_int_equal(err, OT_ERR_TRUNCATED);
	err = ot_versioned_decode_newer(&ot_consumer_protocol_subscription_msg,
	    bytes_at("\xff\xff", 2), *state, &version, &subscription);
	assert_int_equal(err, OT_ERR_UNSUPPORTED_VERSION);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_metadata_record),
		TEST(test_bad_metadata_record),
		TEST(test_type_numbers),
		TEST(test_remote_log_record),
		TEST(test_keyed_types),
		TEST(test_versioned),
		TEST(test_newer_subscription),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
