/* Goal: headers have the version that goes with the body, and the table of APIs says what clients
 * of every age must be told. Method: single headers; the ranges that known clients depend on. */
#include "../test.h"

#include "wire/header.h"
#include "wire/msg_ottla_join.h"

enum { ARENA_BYTES_MAX = 64 * 1024 };

static ot_err
read_header(const void *bytes, size_t count, struct ot_request_header *ret_header, size_t *ret_left)
{
	struct ot_arena arena;
	const struct ot_api *api = NULL;
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	struct ot_reader in = ot_reader_of(bytes, count);
	ot_err err = ot_request_header_read(&in, &arena, ret_header, &api);
	assert_true(err != OT_OK || api->key == ret_header->request_api_key);
	*ret_left = ot_reader_left(&in);
	ot_arena_fini(&arena);
	return err;
}

static void
test_request_header(void **state)
{
	(void)state;
	struct ot_request_header header;
	size_t left;
	/* ControlledShutdown 0 has no client id; the body follows at once. */
	assert_ok(read_header("\0\7\0\0\0\0\0\1body", 12, &header, &left));
	assert_int_equal(left, 4);
	assert_int_equal(header.correlation_id, 1);
	/* Plain, with a client id. */
	assert_ok(read_header("\0\0\0\3\0\0\0\2\0\1cbody", 15, &header, &left));
	assert_int_equal(left, 4);
	assert_true(ot_str_is(header.client_id, "c"));
	/* Flexible, null client id, no tags. */
	assert_ok(read_header("\0\0\0\11\0\0\0\2\xff\xff\0body", 15, &header, &left));
	assert_int_equal(left, 4);
	assert_int_equal(header.client_id.len, -1);
	/* A version from the future is read as flexible, so that it can be answered. */
	assert_ok(read_header("\0\22\0\143\0\0\0\7\0\1c\0", 12, &header, &left));
	assert_int_equal(header.request_api_version, 99);
	assert_int_equal(header.correlation_id, 7);
	assert_int_equal(left, 0);
	/* SaslHandshake never became flexible. */
	assert_ok(read_header("\0\21\0\1\0\0\0\7\0\1c", 11, &header, &left));
}

static void
test_bad_request_header(void **state)
{
	(void)state;
	struct ot_request_header header;
	size_t left;
	assert_int_equal(read_header("\0\0", 2, &header, &left), OT_ERR_TRUNCATED);
	assert_int_equal(read_header("\0\0\0\3\0\0", 6, &header, &left), OT_ERR_TRUNCATED);
	assert_int_equal(read_header("\0\136\0\0\0\0\0\0\0\0", 10, &header, &left),
	    OT_ERR_INVALID_REQUEST);
	assert_int_equal(read_header("\xff\xff\0\0\0\0\0\0\0\0", 10, &header, &left),
	    OT_ERR_INVALID_REQUEST);
	assert_int_equal(read_header("\0\0\xff\xff\0\0\0\0\0\0", 10, &header, &left),
	    OT_ERR_INVALID_REQUEST);
	assert_int_equal(read_header("\0\0\0\3\0\0\0\0\xff\xfe", 10, &header, &left),
	    OT_ERR_MALFORMED);
}

static void
test_written_headers(void **state)
{
	(void)state;
	struct ot_writer out;
	struct ot_arena arena;
	ot_writer_init(&out);
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	struct ot_str client = OT_STR_LIT("c");
	assert_ok(ot_request_header_write(ot_api_find(OT_API_METADATA), 9, 5, client, &out));
	assert_int_equal(out.bytes, 12);
	assert_memory_equal(out.data, "\0\3\0\11\0\0\0\5\0\1c\0", 12);

	ot_writer_reset(&out);
	assert_ok(ot_response_header_write(ot_api_find(OT_API_METADATA), 9, 5, &out));
	assert_int_equal(out.bytes, 5);
	struct ot_reader in = ot_reader_of(out.data, out.bytes);
	struct ot_response_header header;
	assert_ok(ot_response_header_read(ot_api_find(OT_API_METADATA), 9, &in, &arena, &header));
	assert_int_equal(header.correlation_id, 5);
	assert_int_equal(ot_reader_left(&in), 0);

	/* ApiVersions answers with header 0 in every version. */
	ot_writer_reset(&out);
	assert_ok(ot_response_header_write(ot_api_find(OT_API_API_VERSIONS), 3, 5, &out));
	assert_int_equal(out.bytes, 4);
	ot_writer_fini(&out);
	ot_arena_fini(&arena);
}

static void
test_api_table(void **state)
{
	(void)state;
	assert_null(ot_api_find(-1));
	assert_null(ot_api_find(OT_API_COUNT));
	assert_int_equal(OT_API_COUNT, 94);
	for (int16_t key = 0; key < OT_API_COUNT; key++) {
		const struct ot_api *api = ot_api_find(key);
		assert_int_equal(api->key, key);
		assert_int_equal(api->request->type, key);
		assert_int_equal(api->request->valid.max, api->response->valid.max);
		assert_ptr_equal(ot_api_find_name(ot_str_from(api->name)), api);
	}
	/* Our own keys are found by number, and are not among Kafka's. */
	assert_ptr_equal(ot_api_find(OT_API_OTTLA_JOIN)->request, &ot_ottla_join_request_msg);
	assert_int_equal(ot_api_find(OT_API_OTTLA_JOIN)->key, 1000);
	assert_null(ot_api_find(OT_API_PRIVATE_FIRST - 1));
	assert_null(ot_api_find(OT_API_PRIVATE_FIRST + OT_API_PRIVATE_COUNT));
	assert_null(ot_api_find_name(OT_STR_LIT("OttlaJoin")));
	assert_ptr_equal(ot_api_find_name(OT_STR_LIT("fetch")), ot_api_find(OT_API_FETCH));
	assert_null(ot_api_find_name(OT_STR_LIT("Fetch2")));
	assert_null(ot_api_find_name(OT_STR_LIT("")));
}

/* The oldest versions that librdkafka up to 2.11.0, kafka-python 2.0.2 and others want to see in
 * the list before they use a feature, or at all. */
static void
test_advertised(void **state)
{
	(void)state;
	static const struct {
		int16_t key, oldest;
	} wanted[] = {
		{ OT_API_PRODUCE, 0 },
		{ OT_API_FETCH, 1 },
		{ OT_API_LIST_OFFSETS, 0 },
		{ OT_API_METADATA, 0 },
		{ OT_API_OFFSET_COMMIT, 1 },
		{ OT_API_OFFSET_FETCH, 1 },
		{ OT_API_FIND_COORDINATOR, 0 },
		{ OT_API_JOIN_GROUP, 0 },
		{ OT_API_SYNC_GROUP, 0 },
		{ OT_API_HEARTBEAT, 0 },
		{ OT_API_LEAVE_GROUP, 0 },
		{ OT_API_SASL_HANDSHAKE, 0 },
		{ OT_API_API_VERSIONS, 0 },
		{ OT_API_CREATE_TOPICS, 0 },
		{ OT_API_DELETE_TOPICS, 0 },
		{ OT_API_INIT_PRODUCER_ID, 0 },
		{ OT_API_DESCRIBE_ACLS, 0 },
		{ OT_API_DESCRIBE_CONFIGS, 0 },
		{ OT_API_CREATE_PARTITIONS, 0 },
		{ OT_API_DELETE_GROUPS, 0 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(wanted); i++) {
		const struct ot_api *api = ot_api_find(wanted[i].key);
		assert_true(api->advertised.min <= wanted[i].oldest);
		assert_true(api->advertised.max >= api->accepted.max);
	}
	const struct ot_api *produce = ot_api_find(OT_API_PRODUCE);
	assert_true(ot_api_accepts(produce, 0, false));
	assert_false(ot_api_accepts(produce, 14, false));
	assert_true(ot_api_accepts(produce, 3, false));
	const struct ot_api *init = ot_api_find(OT_API_INIT_PRODUCER_ID);
	assert_false(ot_api_accepts(init, 6, false));
	assert_true(ot_api_accepts(init, 6, true));
	assert_false(ot_api_accepts(ot_api_find(OT_API_LEADER_AND_ISR), 0, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_header),
		cmocka_unit_test(test_bad_request_header),
		cmocka_unit_test(test_written_headers),
		cmocka_unit_test(test_api_table),
		cmocka_unit_test(test_advertised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
