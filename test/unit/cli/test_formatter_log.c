#include "../test.h"

#include "cli/formatter_int.h"
#include "wire/msg_group_log.h"
#include "wire/msg_transaction_log.h"
#include "wire/recordio.h"

static struct formatter *formatter;
static struct ot_writer key, value, out, logged;
static struct ot_why warning, why;

static int
set_up(void **state)
{
	(void)state;
	ot_writer_init(&key);
	ot_writer_init(&value);
	ot_writer_init(&out);
	ot_writer_init(&logged);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	formatter_destroy(formatter);
	formatter = NULL;
	ot_writer_fini(&key);
	ot_writer_fini(&value);
	ot_writer_fini(&out);
	ot_writer_fini(&logged);
	return 0;
}

static ot_err
print(const char *class_name)
{
	struct ot_properties props;
	ot_properties_init(&props, "test");
	formatter_destroy(formatter);
	assert_ok(formatter_create(class_name, &props, &formatter, &warning, &why));
	ot_properties_fini(&props);
	struct formatter_record record = {
		.offset = 7,
		.key = { key.data, key.bytes > 0 ? (int32_t)key.bytes : -1 },
		.value = { value.data, value.bytes > 0 ? (int32_t)value.bytes : -1 },
	};
	ot_writer_reset(&out);
	ot_err err = formatter_write(formatter, &record, &out, &logged, &why);
	ot_write_i8(&out, 0);
	return err;
}

static void
assert_printed(const char *class_name, const char *text)
{
	assert_ok(print(class_name));
	assert_string_equal((const char *)out.data, text);
}

static void
put_offset(int16_t version, int32_t epoch)
{
	struct ot_offset_commit_key commit_key;
	struct ot_offset_commit_value commit;
	ot_offset_commit_key_init(&commit_key);
	ot_offset_commit_value_init(&commit);
	commit_key.group = OT_STR_LIT("g");
	commit_key.topic = OT_STR_LIT("t");
	commit_key.partition = 2;
	commit.offset = 42;
	commit.leader_epoch = epoch;
	commit.metadata = OT_STR_LIT("");
	commit.commit_timestamp = 1000;
	commit.expire_timestamp = 2000;
	ot_writer_reset(&key);
	ot_writer_reset(&value);
	assert_ok(ot_versioned_encode(&ot_offset_commit_key_msg, OT_OFFSET_COMMIT_KEY_TYPE,
	    &commit_key, &key));
	assert_ok(ot_versioned_encode(&ot_offset_commit_value_msg, version, &commit, &value));
}

static const char new_offsets[] = "org.apache.kafka.tools.consumer.OffsetsMessageFormatter";
static const char old_offsets[] =
    "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter";

/* Goal: committed offsets print as JSON under today's name. Method: a value and a tombstone. */
static void
offsets_as_json(void **state)
{
	(void)state;
	put_offset(3, 5);
	assert_printed(new_offsets,
	    "{\"key\":{\"type\":1,\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}},"
	    "\"value\":{\"version\":3,\"data\":{\"offset\":42,\"leaderEpoch\":5,\"metadata\":\"\","
	    "\"commitTimestamp\":1000}}}\n");
	ot_writer_reset(&value);
	assert_printed(new_offsets,
	    "{\"key\":{\"type\":1,\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}},"
	    "\"value\":null}\n");
}

/* Goal: under the older name they print in the words of their time. Method: a value of each. */
static void
offsets_as_text(void **state)
{
	(void)state;
	put_offset(1, -1);
	assert_printed(old_offsets,
	    "[g,t,2]::[OffsetMetadata[42,NO_METADATA],CommitTime 1000,ExpirationTime 2000]\n");
	put_offset(2, -1);
	assert_printed(old_offsets,
	    "[g,t,2]::OffsetAndMetadata(offset=42, leaderEpoch=Optional.empty, metadata=, "
	    "commitTimestamp=1000, expireTimestamp=None)\n");
	put_offset(3, 5);
	assert_printed(old_offsets,
	    "[g,t,2]::OffsetAndMetadata(offset=42, leaderEpoch=Optional[5], metadata=, "
	    "commitTimestamp=1000, expireTimestamp=None)\n");
	ot_writer_reset(&value);
	assert_printed(old_offsets, "[g,t,2]::NULL\n");
}

/* Goal: a formatter leaves out what it is not for, and types that Kafka does not have. */
static void
left_out(void **state)
{
	(void)state;
	put_offset(3, 5);
	assert_printed("GroupMetadataMessageFormatter", "");
	assert_printed("ConsumerGroupMessageFormatter", "");
	assert_printed("ShareGroupMessageFormatter", "");
	ot_writer_reset(&key);
	ot_write_i16(&key, 999);
	assert_printed(new_offsets, "");
	ot_writer_reset(&key);
	assert_printed(new_offsets, "");
}

/* Goal: bytes that are no such record are an error that names the offset. */
static void
broken(void **state)
{
	(void)state;
	put_offset(3, 5);
	value.bytes -= 1;
	assert_int_equal(print(new_offsets), OT_ERR_INVALID_RECORD);
	assert_memory_equal(why.text, "Could not read record at offset 7 due to: ", 42);
	assert_int_equal(print(old_offsets), OT_ERR_INVALID_RECORD);
}

static void
put_group(int16_t version)
{
	struct ot_group_metadata_key group_key;
	struct ot_group_metadata_value group;
	struct ot_group_metadata_value_member member;
	ot_group_metadata_key_init(&group_key);
	ot_group_metadata_value_init(&group);
	ot_group_metadata_value_member_init(&member);
	group_key.group = OT_STR_LIT("g");
	group.protocol_type = OT_STR_LIT("consumer");
	group.generation = 4;
	group.protocol = OT_STR_LIT("range");
	group.leader = OT_STR_LIT("m");
	group.members = &member;
	group.members_count = 1;
	member.member_id = OT_STR_LIT("m");
	member.group_instance_id = OT_STR_LIT("i");
	member.client_id = OT_STR_LIT("c");
	member.client_host = OT_STR_LIT("/127.0.0.1");
	member.session_timeout = 10;
	member.rebalance_timeout = 20;
	member.subscription = (struct ot_bytes){ (const uint8_t *)"", 0 };
	member.assignment = (struct ot_bytes){ (const uint8_t *)"", 0 };
	ot_writer_reset(&key);
	ot_writer_reset(&value);
	assert_ok(ot_versioned_encode(&ot_group_metadata_key_msg, OT_GROUP_METADATA_KEY_TYPE,
	    &group_key, &key));
	assert_ok(ot_versioned_encode(&ot_group_metadata_value_msg, version, &group, &value));
}

/* Goal: the same for groups. Method: both eras of the text. */
static void
groups(void **state)
{
	static const char class_name[] =
	    "kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter";
	(void)state;
	put_group(1);
	assert_printed(class_name, "g::[g,Some(consumer),Stable,Map(m -> [m,c,/127.0.0.1,10])]\n");
	put_group(3);
	assert_printed(class_name,
	    "g::GroupMetadata(groupId=g, generation=4, protocolType=Some(consumer), "
	    "currentState=Stable, members=Map(m -> MemberMetadata(memberId=m, "
	    "groupInstanceId=Some(i), clientId=c, clientHost=/127.0.0.1, sessionTimeoutMs=10, "
	    "rebalanceTimeoutMs=20, supportedProtocols=List(range))))\n");
	assert_ok(print("org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter"));
	assert_memory_equal(out.data,
	    "{\"key\":{\"type\":2,\"data\":{\"group\":\"g\"}},\"value\":", 47);
}

/* Goal: the same for transactions. */
static void
transactions(void **state)
{
	struct ot_transaction_log_key id;
	struct ot_transaction_log_value transaction;
	struct ot_transaction_log_value_topic_partitions topic;
	int32_t partitions[] = { 0, 3 };
	(void)state;
	ot_transaction_log_key_init(&id);
	ot_transaction_log_value_init(&transaction);
	ot_transaction_log_value_topic_partitions_init(&topic);
	id.transactional_id = OT_STR_LIT("tx");
	topic.topic = OT_STR_LIT("t");
	topic.partition_ids = partitions;
	topic.partition_ids_count = 2;
	transaction.producer_id = 9;
	transaction.producer_epoch = 1;
	transaction.transaction_timeout_ms = 60000;
	transaction.transaction_status = 1;
	transaction.transaction_partitions = &topic;
	transaction.transaction_partitions_count = 1;
	transaction.transaction_start_timestamp_ms = 5;
	transaction.transaction_last_update_timestamp_ms = 6;
	assert_ok(ot_versioned_encode(&ot_transaction_log_key_msg, OT_TRANSACTION_LOG_KEY_TYPE, &id,
	    &key));
	assert_ok(ot_versioned_encode(&ot_transaction_log_value_msg, 0, &transaction, &value));
	assert_printed(
	    "kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter",
	    "tx::TransactionMetadata(transactionalId=tx, producerId=9, producerEpoch=1, "
	    "txnTimeoutMs=60000, state=Ongoing, pendingState=None, topicPartitions=Set(t-0, t-3), "
	    "txnStartTimestamp=5, txnLastUpdateTimestamp=6)\n");
	assert_ok(print("org.apache.kafka.tools.consumer.TransactionLogMessageFormatter"));
	assert_memory_equal(out.data,
	    "{\"key\":{\"type\":0,\"data\":{\"transactionalId\":\"tx\"}},\"value\":{\"version\":0,",
	    68);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offsets_as_json),
		TEST(offsets_as_text),
		TEST(left_out),
		TEST(broken),
		TEST(groups),
		TEST(transactions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
