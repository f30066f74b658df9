/* Goal: the leaves of src/base do what their headers say, at their bounds. */
#include "../test.h"

#include "base/arena.h"
#include "base/blob.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/heap.h"
#include "base/uuid.h"

static void
test_varints_round_trip(void **state)
{
	(void)state;
	static const int64_t values[] = { 0, -1, 1, 63, -64, 64, INT32_MAX, INT32_MIN, INT64_MAX,
		INT64_MIN };
	for (size_t i = 0; i < OT_ARRAY_COUNT(values); i++) {
		struct ot_writer out;
		ot_writer_init(&out);
		ot_write_varlong(&out, values[i]);
		ot_write_varint(&out, (int32_t)values[i]);
		assert_int_equal(out.bytes,
		    ot_varlong_bytes(values[i]) + ot_varint_bytes((int32_t)values[i]));
		struct ot_reader in = ot_reader_of(out.data, out.bytes);
		assert_true(ot_read_varlong(&in) == values[i]);
		assert_true(ot_read_varint(&in) == (int32_t)values[i]);
		assert_false(in.failed);
		assert_int_equal(ot_reader_left(&in), 0);
		ot_writer_fini(&out);
	}
}

static void
test_reader_fails_softly(void **state)
{
	(void)state;
	const uint8_t endless[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct ot_reader in = ot_reader_of(endless, sizeof(endless));
	ot_read_uvarint(&in);
	assert_true(in.failed);
	in = ot_reader_of(endless, 3);
	assert_int_equal(ot_read_i32(&in), 0);
	assert_true(in.failed);
	assert_int_equal(ot_read_i8(&in), 0);
}

static void
test_crc_known_values(void **state)
{
	(void)state;
	assert_int_equal(ot_crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(ot_crc32(0, "123456789", 9), 0xcbf43926u);
	assert_int_equal(ot_crc32c(ot_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

static void
test_uuid_text(void **state)
{
	(void)state;
	struct ot_uuid uuid, back;
	for (uint8_t i = 0; i < 16; i++)
		uuid.bytes[i] = (uint8_t)(i * 17 + 3);
	char text[OT_UUID_TEXT_BYTES];
	ot_uuid_to_text(&uuid, text);
	assert_int_equal(strlen(text), 22);
	assert_ok(ot_uuid_from_text(text, 22, &back));
	assert_true(ot_uuid_equal(&uuid, &back));
	assert_int_equal(ot_uuid_from_text("short", 5, &back), OT_ERR_INVALID_REQUEST);
	ot_uuid_to_text(&ot_uuid_zero, text);
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
}

static void
test_heap_orders(void **state)
{
	(void)state;
	struct ot_heap heap;
	struct ot_heap_node nodes[100] = { { 0 } };
	ot_heap_init(&heap);
	for (uint32_t i = 0; i < 100; i++)
		ot_heap_push(&heap, &nodes[i], (i * 37) % 101);
	for (uint32_t i = 0; i < 100; i += 3)
		ot_heap_remove(&heap, &nodes[i]);
	uint64_t last = 0;
	while (ot_heap_first(&heap) != NULL) {
		struct ot_heap_node *node = ot_heap_first(&heap);
		assert_true(node->key >= last);
		last = node->key;
		ot_heap_remove(&heap, node);
	}
	ot_heap_fini(&heap);
}

static void
test_arena_bound_and_reset(void **state)
{
	(void)state;
	struct ot_arena arena;
	ot_arena_init(&arena, 64 * 1024);
	for (int round = 0; round < 3; round++) {
		size_t count = 0;
		while (ot_arena_alloc(&arena, 1000) != NULL)
			count++;
		assert_true(count > 20 && count <= 65);
		ot_arena_reset(&arena);
	}
	assert_null(ot_arena_array(&arena, SIZE_MAX / 2, 16));
	ot_arena_fini(&arena);
}

static void
count_release(struct ot_blob *blob, void *arg)
{
	(void)blob;
	(*(int *)arg)++;
}

static void
test_blob_releases_once(void **state)
{
	(void)state;
	int released = 0;
	struct ot_blob *blob = ot_blob_create(10);
	blob->on_release = count_release;
	blob->release_arg = &released;
	assert_true(ot_blob_is_unique(blob));
	struct ot_blob *second = ot_blob_ref(blob);
	assert_false(ot_blob_is_unique(blob));
	ot_blob_unref(second);
	assert_true(ot_blob_is_unique(blob));
	assert_int_equal(released, 0);
	ot_blob_unref(blob);
	assert_int_equal(released, 1);
}

static void
test_errors_map_to_the_wire(void **state)
{
	(void)state;
	assert_int_equal(ot_err_to_wire(OT_ERR_NO_SPACE), 56);
	assert_int_equal(ot_err_to_wire(OT_OK), 0);
	assert_string_equal(ot_err_name(OT_ERR_NOT_LEADER_OR_FOLLOWER), "NOT_LEADER_OR_FOLLOWER");
	assert_int_equal(ot_err_from_wire(31999), OT_ERR_UNKNOWN_SERVER_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varints_round_trip),
		cmocka_unit_test(test_reader_fails_softly),
		cmocka_unit_test(test_crc_known_values),
		cmocka_unit_test(test_uuid_text),
		cmocka_unit_test(test_heap_orders),
		cmocka_unit_test(test_arena_bound_and_reset),
		cmocka_unit_test(test_blob_releases_once),
		cmocka_unit_test(test_errors_map_to_the_wire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
