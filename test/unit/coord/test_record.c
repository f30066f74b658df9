/* Goal: what stands in __consumer_offsets is what Kafka 3.9 and 4.x write, byte for byte, and what
 * any version of Kafka has written there is read.
 * Method: the records of known operations against bytes put together from the format by hand;
 * values of all versions into a log, and what the groups are after loading it. */
#include "harness.h"

#include <stdio.h>

#include "base/alloc.h"
#include "wire/msg_group_log.h"
#include "wire/recordio.h"

static struct harness h;

static int
setup(void **state)
{
	(void)state;
	struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
	harness_init(&h);
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

struct last {
	uint8_t key[400];
	uint8_t value[400];
	int32_t key_len;
	int32_t value_len;
	int64_t timestamp;
};

static void
take_last(void *arg, const struct ot_record *record)
{
	struct last *last = arg;
	last->key_len = record->key.len;
	last->value_len = record->value.len;
	last->timestamp = record->timestamp;
	memcpy(last->key, record->key.data, (size_t)record->key.len);
	if (record->value.len > 0)
		memcpy(last->value, record->value.data, (size_t)record->value.len);
}

static struct last
last_record(void)
{
	struct last last = { 0 };
	fake_log_each(&h.log, take_last, &last);
	return last;
}

static void
put_str(struct ot_writer *out, const char *text)
{
	ot_write_i16(out, (int16_t)strlen(text));
	ot_write_raw(out, text, strlen(text));
}

#define assert_written(last, out, what)                                    \
	do {                                                               \
		assert_int_equal((last).what##_len, (int)(out).bytes);     \
		assert_memory_equal((last).what, (out).data, (out).bytes); \
	} while (0)

static void
test_offset_bytes(void **state)
{
	(void)state;
	assert_int_equal(commit_now(&h, "grp", "topic", 7, 0x1122334455), OT_OK);
	struct last last = last_record();
	ot_wall_ms now = ot_io_wall(&h.ios[0].io);
	assert_int_equal(last.timestamp, now);

	static const uint8_t key[] = "\0\1"
				     "\0\3grp"
				     "\0\5topic"
				     "\0\0\0\7";
	assert_int_equal(last.key_len, sizeof(key) - 1);
	assert_memory_equal(last.key, key, sizeof(key) - 1);
	struct ot_writer out;
	ot_writer_init(&out);
	ot_write_i16(&out, 3);
	ot_write_i64(&out, 0x1122334455);
	ot_write_i32(&out, -1); /* leader epoch */
	put_str(&out, "");      /* metadata */
	ot_write_i64(&out, now);
	assert_written(last, out, value);
	ot_writer_fini(&out);
}

static void
test_group_bytes(void **state)
{
	(void)state;
	struct ot_str id = stable_with_one(&h, "grp");
	struct last last = last_record();
	ot_wall_ms now = ot_io_wall(&h.ios[0].io);
	static const uint8_t key[] = "\0\2"
				     "\0\3grp";
	assert_int_equal(last.key_len, sizeof(key) - 1);
	assert_memory_equal(last.key, key, sizeof(key) - 1);

	struct ot_writer out;
	ot_writer_init(&out);
	ot_write_i16(&out, 3);
	put_str(&out, "consumer");
	ot_write_i32(&out, 1); /* generation */
	put_str(&out, "range");
	put_str(&out, id.data); /* leader */
	ot_write_i64(&out, now);
	ot_write_i32(&out, 1); /* members */
	put_str(&out, id.data);
	ot_write_i16(&out, -1); /* no instance id */
	put_str(&out, "client");
	put_str(&out, "/127.0.0.1");
	ot_write_i32(&out, 60000);
	ot_write_i32(&out, 10000);
	ot_write_i32(&out, 3);
	ot_write_raw(&out, "sub", 3);
	ot_write_i32(&out, 2);
	ot_write_raw(&out, "a1", 2);
	assert_written(last, out, value);

	/* Empty: no protocol, no leader, no members. */
	harness_advance(&h, 1000);
	ask_free(ask_leave(&h, "grp", id, NULL, 5));
	last = last_record();
	ot_writer_reset(&out);
	ot_write_i16(&out, 3);
	put_str(&out, "consumer");
	ot_write_i32(&out, 2);
	ot_write_i16(&out, -1);
	ot_write_i16(&out, -1);
	ot_write_i64(&out, now + 1000);
	ot_write_i32(&out, 0);
	assert_written(last, out, value);
	ot_writer_fini(&out);

	/* Gone: a tombstone. */
	harness_advance(&h, 10 * 60 * 1000);
	last = last_record();
	assert_memory_equal(last.key, key, sizeof(key) - 1);
	assert_int_equal(last.value_len, -1);
}

/* ---- reading all versions ------------------------------------------------------------------ */

static void
write_record(const struct ot_msg *key_type, int16_t key_number, const void *key,
    const struct ot_msg *value_type, int16_t version, const void *value)
{
	struct ot_writer k;
	struct ot_writer v;
	ot_writer_init(&k);
	ot_writer_init(&v);
	assert_ok(ot_versioned_encode(key_type, key_number, key, &k));
	if (value != NULL)
		assert_ok(ot_versioned_encode(value_type, version, value, &v));
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data record = { .timestamp = 1,
		.key = { k.data, (int32_t)k.bytes },
		.value = { v.data, value == NULL ? -1 : (int32_t)v.bytes },
		.encoded_headers = OT_BYTES_NULL };
	fake_log_write(&h.log, &options, &record, 1);
	ot_writer_fini(&k);
	ot_writer_fini(&v);
}

static void
test_all_versions_are_read(void **state)
{
	(void)state;
	ot_coord_unload(h.coord);
	for (int16_t version = 0; version <= 4; version++) {
		struct ot_offset_commit_key key = { .group = OT_STR_LIT("o"),
			.topic = OT_STR_LIT("t"),
			.partition = version };
		struct ot_offset_commit_value value;
		ot_offset_commit_value_init(&value);
		value.offset = 100 + version;
		value.metadata = OT_STR_LIT("m");
		value.commit_timestamp = ot_io_wall(&h.ios[0].io);
		write_record(&ot_offset_commit_key_msg, version & 1, &key,
		    &ot_offset_commit_value_msg, version, &value);

		char name[10];
		snprintf(name, sizeof(name), "g%d", version);
		struct ot_group_metadata_key group_key = { .group = ot_str_from(name) };
		struct ot_group_metadata_value group;
		struct ot_group_metadata_value_member member;
		ot_group_metadata_value_init(&group);
		ot_group_metadata_value_member_init(&member);
		member.member_id = OT_STR_LIT("m-1");
		member.client_id = OT_STR_LIT("c");
		member.client_host = OT_STR_LIT("/h");
		member.session_timeout = 30000;
		member.rebalance_timeout = 60000;
		member.subscription = (struct ot_bytes){ (const uint8_t *)"s", 1 };
		member.assignment = (struct ot_bytes){ (const uint8_t *)"x", 1 };
		group.protocol_type = OT_STR_LIT("consumer");
		group.generation = 10 + version;
		group.protocol = OT_STR_LIT("range");
		group.leader = OT_STR_LIT("m-1");
		group.current_state_timestamp = 5;
		group.members = &member;
		group.members_count = 1;
		write_record(&ot_group_metadata_key_msg, 2, &group_key,
		    &ot_group_metadata_value_msg, version, &group);
	}
	/* A key of a type that is not ours, and one of the future. */
	struct ot_consumer_group_metadata_key other = { .group_id = OT_STR_LIT("g0") };
	struct ot_consumer_group_metadata_value epoch = { .epoch = 3 };
	write_record(&ot_consumer_group_metadata_key_msg, 3, &other,
	    &ot_consumer_group_metadata_value_msg, 0, &epoch);
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_record_data future = { .timestamp = 1,
		.key = { (const uint8_t *)"\x7f\0whatever", 10 },
		.value = { (const uint8_t *)"x", 1 },
		.encoded_headers = OT_BYTES_NULL };
	fake_log_write(&h.log, &options, &future, 1);

	harness_load(&h);
	assert_int_equal(ot_coord_state(h.coord), OT_COORD_ACTIVE);
	struct ot_coord_stats stats;
	ot_coord_get_stats(h.coord, &stats);
	assert_int_equal(stats.records_unknown, 2);
	for (int16_t version = 0; version <= 4; version++) {
		char name[10];
		snprintf(name, sizeof(name), "g%d", version);
		assert_int_equal(fetch_now(&h, "o", "t", version), 100 + version);
		assert_state(&h, name, "Stable");
		struct ask *sync = ask_sync(&h, name, OT_STR_LIT("m-1"), 10 + version, NULL);
		assert_bytes(sync->response.sync.assignment, "x");
		ask_free(sync);
	}
	/* A rebalance with the session's time-out where version 0 has no other. */
	harness_advance(&h, 100);
	assert_reload_equal(&h);
}

static void
test_values_that_cannot_be_read(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		int32_t key_len;
		const char *value;
		int32_t value_len;
	} rows[] = {
		{ "\0\2\0\1g", 5, "\0\x09", 2 },               /* a version of the future */
		{ "\0\2\0\1g", 5, "", 0 },                     /* no version */
		{ "\0\2\0\1g", 5, "\0\3\0\1", 4 },             /* cut */
		{ "\0\2\0\x09g", 5, "\0\3", 2 },               /* the key is cut */
		{ "\0", 1, "\0\3", 2 },                        /* no type */
		{ "\0\1\0\1g\0\1t\0\0\0\0", 12, "\0\3\0", 3 }, /* an offset that is cut */
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		ot_coord_unload(h.coord);
		struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
		struct ot_record_data record = { .timestamp = 1,
			.key = { (const uint8_t *)rows[i].key, rows[i].key_len },
			.value = { (const uint8_t *)rows[i].value, rows[i].value_len },
			.encoded_headers = OT_BYTES_NULL };
		h.log.start_offset = h.log.end_offset;
		fake_log_write(&h.log, &options, &record, 1);
		harness_load(&h);
		assert_int_equal(ot_coord_state(h.coord), OT_COORD_FAILED);
	}
	struct ot_groups_stats stats;
	ot_groups_get_stats(h.groups, &stats);
	assert_int_equal(stats.bytes, 0);
}

/* ---- rewriting ----------------------------------------------------------------------------- */

static void
test_rewrite_of_groups(void **state)
{
	(void)state;
	ot_coord_destroy(h.coord, NULL, NULL);
	harness_coord(&h, ot_groups_machine(h.groups), 30000);
	harness_load(&h);
	struct ot_str id = stable_with_one(&h, "g");
	for (int i = 0; i < 3000; i++) {
		ask_free(ask_commit(&h, "g", id, 1, i % 3 == 0 ? "t" : "u", i % 17, i));
		if (i % 50 == 0)
			(void)commit_now(&h, "simple", "t", i % 5, i);
		if (i % 100 == 0)
			harness_advance(&h, 1);
	}
	harness_advance(&h, 10);
	assert_true(h.log.trim_offset > 0);
	assert_true(h.log.batch_count < 2000);
	assert_reload_equal(&h);
	ot_coord_unload(h.coord);
	harness_load(&h);
	assert_state(&h, "g", "Stable");
	assert_int_equal(ask_heartbeat(&h, "g", id, NULL, 1), OT_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_offset_bytes),
		TEST(test_group_bytes),
		TEST(test_all_versions_are_read),
		TEST(test_values_that_cannot_be_read),
		TEST(test_rewrite_of_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
