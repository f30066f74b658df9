/* Goal: what the golden bytes do not show: defaults, views, splices, unknown tags, limits, errors.
 * Method: single messages, built and taken apart through their structs. */
#include "../test.h"

#include "base/alloc.h"
#include "wire/api.h"
#include "wire/msg_describe_topic_partitions.h"
#include "wire/msg_fetch.h"
#include "wire/msg_find_coordinator.h"
#include "wire/msg_list_offsets.h"
#include "wire/msg_metadata.h"
#include "wire/msg_produce.h"

enum { ARENA_BYTES_MAX = 64 * 1024 };

struct fixture {
	struct ot_arena arena;
	struct ot_writer out;
	struct ot_splices splices;
};

static int
set_up(void **state)
{
	static struct fixture fixture;
	ot_arena_init(&fixture.arena, ARENA_BYTES_MAX);
	ot_writer_init(&fixture.out);
	ot_splices_init(&fixture.splices);
	*state = &fixture;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fixture = *state;
	ot_arena_fini(&fixture->arena);
	ot_writer_fini(&fixture->out);
	ot_splices_fini(&fixture->splices);
	return 0;
}

static struct ot_reader
written(const struct fixture *fixture)
{
	return ot_reader_of(fixture->out.data, fixture->out.bytes);
}

/* Goal: init sets Kafka's defaults, in nested structs too, and a field that the version lacks comes
 * back with them. */
static void
test_defaults(void **state)
{
	struct fixture *fixture = *state;
	struct ot_fetch_request request;
	ot_fetch_request_init(&request);
	assert_int_equal(request.max_bytes, INT32_MAX);
	assert_int_equal(request.session_epoch, -1);
	assert_int_equal(request.replica_id, -1);
	assert_int_equal(request.replica_state.replica_id, -1);
	assert_int_equal(request.cluster_id.len, -1);
	assert_int_equal(request.rack_id.len, 0);
	assert_int_equal(request.topics_count, 0);
	assert_null(request.unknown_tags);
	assert_true(ot_msg_is_default(&ot_fetch_request_struct, &request));

	request.max_bytes = 5;
	request.replica_id = 7;
	assert_ok(ot_fetch_request_encode(0, &request, &fixture->out, NULL));
	struct ot_reader in = written(fixture);
	struct ot_fetch_request back;
	assert_ok(ot_fetch_request_decode(0, &in, &fixture->arena, &back));
	assert_int_equal(back.replica_id, 7);
	assert_int_equal(back.max_bytes, INT32_MAX);
}

/* Goal: strings and records point into the input, arrays into the arena. */
static void
test_zero_copy(void **state)
{
	struct fixture *fixture = *state;
	struct ot_produce_request request, back;
	ot_produce_request_init(&request);
	request.topic_data = ot_produce_request_topic_array(&fixture->arena, 1);
	request.topic_data_count = 1;
	request.topic_data->name = OT_STR_LIT("test");
	request.topic_data->partition_data = ot_produce_request_partition_array(&fixture->arena, 2);
	request.topic_data->partition_data_count = 2;
	static const uint8_t bytes[] = { 1, 2, 3 };
	request.topic_data->partition_data[1].records = (struct ot_records){ bytes, 3, NULL };
	assert_ok(ot_produce_request_encode(9, &request, &fixture->out, NULL));

	struct ot_reader in = written(fixture);
	const uint8_t *start = in.next, *end = in.end;
	assert_ok(ot_produce_request_decode(9, &in, &fixture->arena, &back));
	const struct ot_produce_request_topic *topic = back.topic_data;
	assert_int_equal(topic->partition_data_count, 2);
	assert_true((const uint8_t *)topic->name.data > start);
	assert_true((const uint8_t *)topic->name.data < end);
	const struct ot_records *records = &topic->partition_data[1].records;
	assert_true(records->data > start && records->data + records->len <= end);
	assert_memory_equal(records->data, bytes, 3);
	assert_null(records->source);
	assert_int_equal(topic->partition_data[0].records.len, 0);
}

/* Goal: records with a source leave a gap: their length is written, their place noted. */
static void
test_splices(void **state)
{
	struct fixture *fixture = *state;
	struct ot_fetch_response response;
	ot_fetch_response_init(&response);
	response.responses = ot_fetch_response_topic_array(&fixture->arena, 1);
	response.responses_count = 1;
	response.responses->partitions = ot_fetch_response_partition_array(&fixture->arena, 3);
	response.responses->partitions_count = 3;
	int file;
	for (int32_t i = 0; i < 3; i += 2)
		response.responses->partitions[i].records =
		    (struct ot_records){ NULL, 1000 + i, &file };
	response.responses->partitions[1].records =
	    (struct ot_records){ (const uint8_t *)"x", 1, NULL };
	assert_ok(ot_fetch_response_encode(12, &response, &fixture->out, &fixture->splices));

	assert_int_equal(fixture->splices.count, 2);
	assert_int_equal(fixture->splices.bytes_total, 2002);
	const struct ot_splice *first = &fixture->splices.items[0];
	const struct ot_splice *second = &fixture->splices.items[1];
	assert_ptr_equal(first->records, &response.responses->partitions[0].records);
	assert_ptr_equal(second->records, &response.responses->partitions[2].records);
	/* Before each place stands the length + 1, as an unsigned varint of two bytes. */
	const uint8_t *data = fixture->out.data;
	assert_int_equal(data[first->place - 2], 0x80 | (1001 & 0x7f));
	assert_int_equal(data[first->place - 1], 1001 >> 7);
	assert_int_equal(data[second->place - 1], 1003 >> 7);

	/* With the bytes put into the gaps the whole decodes. */
	struct ot_writer whole;
	ot_writer_init(&whole);
	static const uint8_t zeros[1002];
	ot_write_raw(&whole, data, first->place);
	ot_write_raw(&whole, zeros, 1000);
	ot_write_raw(&whole, data + first->place, second->place - first->place);
	ot_write_raw(&whole, zeros, 1002);
	ot_write_raw(&whole, data + second->place, fixture->out.bytes - second->place);
	struct ot_reader in = ot_reader_of(whole.data, whole.bytes);
	struct ot_fetch_response back;
	assert_ok(ot_fetch_response_decode(12, &in, &fixture->arena, &back));
	assert_int_equal(back.responses->partitions[2].records.len, 1002);
	ot_writer_fini(&whole);
}

/* Goal: unknown tagged fields survive in their order around known ones. */
static void
test_unknown_tags(void **state)
{
	struct fixture *fixture = *state;
	/* FetchRequest 12 with tag 0 (cluster id "c") between 9 and 8, which is out of order. */
	static const uint8_t bytes[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 9, 1, 0xaa, 0, 2, 2, 'c', 8, 2, 0xbb, 0xcc };
	struct ot_reader in = ot_reader_of(bytes, sizeof(bytes));
	struct ot_fetch_request request;
	assert_ok(ot_fetch_request_decode(12, &in, &fixture->arena, &request));
	assert_true(ot_str_is(request.cluster_id, "c"));
	assert_int_equal(request.unknown_tags->count, 2);
	assert_int_equal(request.unknown_tags->items[0].tag, 9);
	assert_int_equal(request.unknown_tags->items[1].value.len, 2);

	assert_ok(ot_fetch_request_encode(12, &request, &fixture->out, NULL));
	static const uint8_t tags[] = { 3, 0, 2, 2, 'c', 9, 1, 0xaa, 8, 2, 0xbb, 0xcc };
	assert_int_equal(fixture->out.bytes, sizeof(bytes));
	assert_memory_equal(fixture->out.data + sizeof(bytes) - sizeof(tags), tags, sizeof(tags));
}

/* Goal: a tagged value of more than 127 bytes moves to make room for its size. */
static void
test_long_tag(void **state)
{
	struct fixture *fixture = *state;
	static char name[20000];
	memset(name, 'n', sizeof(name));
	struct ot_fetch_request request, back;
	ot_fetch_request_init(&request);
	for (int32_t length = 100; length <= 20000; length += 9950) {
		ot_writer_reset(&fixture->out);
		request.cluster_id = (struct ot_str){ name, length };
		assert_ok(ot_fetch_request_encode(12, &request, &fixture->out, NULL));
		struct ot_reader in = written(fixture);
		assert_ok(ot_fetch_request_decode(12, &in, &fixture->arena, &back));
		assert_true(ot_str_equal(back.cluster_id, request.cluster_id));
	}
}

static ot_err
decode_metadata(struct fixture *fixture, int16_t version, const void *bytes, size_t count)
{
	struct ot_metadata_request request;
	struct ot_reader in = ot_reader_of(bytes, count);
	return ot_metadata_request_decode(version, &in, &fixture->arena, &request);
}

/* Goal: counts and lengths that lie fail before memory is spent. */
static void
test_lies(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(decode_metadata(fixture, 0, "\xff\xff\xff\xff", 4), OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 1, "\xff\xff\xff\xfe", 4), OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 1, "\x7f\xff\xff\xff", 4), OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 9, "\xff\xff\xff\xff\x0f\0\0\0\0", 9),
	    OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 9, "\xff\xff\xff\xff\x1f\0\0\0\0", 9),
	    OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 9, "\1\1\1\1\xff\xff\xff\xff\x0f", 9),
	    OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 9, "\1\1\1\1\1\5\7z", 8), OT_ERR_TRUNCATED);
	assert_int_equal(fixture->arena.bytes_total, 0);
	assert_int_equal(decode_metadata(fixture, 1, "\0\0\0\1\0\4abc", 9), OT_ERR_TRUNCATED);
	assert_int_equal(decode_metadata(fixture, 1, "\0\0\0\1\xff\xff", 6), OT_ERR_MALFORMED);
	assert_int_equal(decode_metadata(fixture, 14, "", 0), OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(decode_metadata(fixture, -1, "", 0), OT_ERR_UNSUPPORTED_VERSION);
}

/* Goal: many small elements stop at the arena's bound, not at the machine's. */
static void
test_arena_bound(void **state)
{
	struct fixture *fixture = *state;
	size_t count = 100 * 1000;
	uint8_t *bytes = ot_must_alloc(4 + count * 2);
	ot_put_u32(bytes, (uint32_t)count);
	assert_int_equal(decode_metadata(fixture, 1, bytes, 4 + count * 2), OT_ERR_NO_MEMORY);
	assert_true(fixture->arena.bytes_total <= ARENA_BYTES_MAX);
	ot_free(bytes);
}

/* Goal: what cannot be said in a version is refused, and the writer stays as it was. */
static void
test_encode_errors(void **state)
{
	struct fixture *fixture = *state;
	struct ot_metadata_request request;
	ot_metadata_request_init(&request);
	ot_write_i8(&fixture->out, 42);
	request.topics_count = -1;
	ot_err err = ot_metadata_request_encode(0, &request, &fixture->out, NULL);
	assert_int_equal(err, OT_ERR_MALFORMED);
	assert_int_equal(fixture->out.bytes, 1);
	assert_ok(ot_metadata_request_encode(1, &request, &fixture->out, NULL));
	assert_int_equal(fixture->out.bytes, 5);
	err = ot_metadata_request_encode(99, &request, &fixture->out, NULL);
	assert_int_equal(err, OT_ERR_UNSUPPORTED_VERSION);

	static char name[INT16_MAX + 1];
	struct ot_find_coordinator_request find;
	ot_find_coordinator_request_init(&find);
	find.key = (struct ot_str){ name, sizeof(name) };
	err = ot_find_coordinator_request_encode(3, &find, &fixture->out, NULL);
	assert_int_equal(err, OT_ERR_MALFORMED);
	assert_int_equal(fixture->out.bytes, 5);
	find.key.len--;
	assert_ok(ot_find_coordinator_request_encode(3, &find, &fixture->out, NULL));
}

/* Goal: no allocation that fails does harm. Method: lets the first, second, ... fail until none is
 * left to fail. */
static void
test_no_memory(void **state)
{
	struct fixture *fixture = *state;
	struct ot_fetch_response response;
	ot_fetch_response_init(&response);
	response.responses = ot_fetch_response_topic_array(&fixture->arena, 4);
	response.responses_count = 4;
	int file;
	for (int32_t i = 0; i < 4; i++) {
		struct ot_fetch_response_topic *topic = &response.responses[i];
		topic->partitions = ot_fetch_response_partition_array(&fixture->arena, 3);
		topic->partitions_count = 3;
		topic->partitions[1].records = (struct ot_records){ NULL, 9, &file };
		topic->partitions[2].snapshot_id.epoch = 1;
	}
	ot_err err = OT_ERR_NO_MEMORY;
	uint64_t n;
	for (n = 1; err != OT_OK; n++) {
		ot_writer_fini(&fixture->out);
		ot_splices_fini(&fixture->splices);
		ot_alloc_fail_at(n);
		err = ot_fetch_response_encode(12, &response, &fixture->out, &fixture->splices);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || err == OT_ERR_NO_MEMORY);
		assert_true(err == OT_OK || fixture->out.bytes == 0);
		assert_int_equal(fixture->splices.count, err == OT_OK ? 4 : 0);
	}
	assert_true(n > 2);
}

/* Goal: a nullable struct is a pointer, NULL by default; one that is made has the defaults of its
 * fields. */
static void
test_nullable_struct(void **state)
{
	struct fixture *fixture = *state;
	struct ot_describe_topic_partitions_request request, back;
	ot_describe_topic_partitions_request_init(&request);
	assert_null(request.cursor);
	assert_int_equal(request.response_partition_limit, 2000);
	request.cursor = ot_describe_topic_partitions_request_cursor_array(&fixture->arena, 1);
	request.cursor->partition_index = 3;
	assert_ok(ot_describe_topic_partitions_request_encode(0, &request, &fixture->out, NULL));
	struct ot_reader in = written(fixture);
	assert_ok(ot_describe_topic_partitions_request_decode(0, &in, &fixture->arena, &back));
	assert_int_equal(back.cursor->partition_index, 3);
}

/* Goal: a prefix leaves what is behind it in the reader; a failure leaves the reader alone. */
static void
test_prefix(void **state)
{
	struct fixture *fixture = *state;
	struct ot_metadata_request request;
	struct ot_reader in = ot_reader_of("\0\0\0\0xyz", 7);
	assert_ok(
	    ot_msg_decode_prefix(&ot_metadata_request_msg, 0, &in, &fixture->arena, &request));
	assert_int_equal(ot_reader_left(&in), 3);
	ot_err err =
	    ot_msg_decode_prefix(&ot_metadata_request_msg, 0, &in, &fixture->arena, &request);
	assert_int_equal(err, OT_ERR_TRUNCATED);
	assert_int_equal(ot_reader_left(&in), 3);
}

/* Goal: JSON stays JSON whatever a string holds. */
static void
test_print(void **state)
{
	struct fixture *fixture = *state;
	struct ot_find_coordinator_request find;
	ot_find_coordinator_request_init(&find);
	find.key = OT_STR_LIT("a\"\\\n\x01\x7f\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80|\xff|\xc0\x80|"
			      "\xed\xa0\x80|\xf4\x90\x80\x80|\xe6\xbc");
	assert_ok(ot_msg_print(&ot_find_coordinator_request_msg, 0, &find, &fixture->out));
	ot_write_i8(&fixture->out, 0);
	assert_string_equal((const char *)fixture->out.data,
	    "{\"key\":\"a\\\"\\\\\\u000a\\u0001\x7f\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80|"
	    "\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\"}");
	ot_err err = ot_msg_print(&ot_find_coordinator_request_msg, 7, &find, &fixture->out);
	assert_int_equal(err, OT_ERR_UNSUPPORTED_VERSION);
}

/* Goal: every message says of itself what the codec relies on, and its defaults survive a round
 * trip in every version that can say them. */
static void
test_all_messages(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; ot_msg_all[i] != NULL; i++) {
		const struct ot_msg *type = ot_msg_all[i];
		void *msg = ot_must_alloc(type->body->bytes);
		void *back = ot_must_alloc(type->body->bytes);
		assert_ptr_equal(ot_msg_find_name(ot_str_from(type->name)), type);
		for (int16_t version = type->valid.min; version <= type->valid.max; version++) {
			ot_writer_reset(&fixture->out);
			ot_msg_init(type, msg);
			ot_err err = ot_msg_encode(type, version, msg, &fixture->out, NULL);
			if (err == OT_ERR_MALFORMED)
				continue; /* the default is a null that older versions lack */
			assert_ok(err);
			assert_true(fixture->out.bytes >= type->body->wire_bytes_min);
			struct ot_reader in = written(fixture);
			assert_ok(ot_msg_decode(type, version, &in, &fixture->arena, back));
			assert_true(ot_msg_is_default(type->body, back));
		}
		ot_free(msg);
		ot_free(back);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_zero_copy),
		TEST(test_splices),
		TEST(test_unknown_tags),
		TEST(test_long_tag),
		TEST(test_lies),
		TEST(test_arena_bound),
		TEST(test_encode_errors),
		TEST(test_no_memory),
		TEST(test_nullable_struct),
		TEST(test_prefix),
		TEST(test_print),
		TEST(test_all_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
