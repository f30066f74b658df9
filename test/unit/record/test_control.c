/* Goal: control batches have Kafka's bytes and are read back. Method: known bytes, round trips, and
 * batches that are no markers. */
#include "../test.h"

#include "base/alloc.h"
#include "record/control.h"

static const struct ot_control_place place = { .base_offset = 42,
	.leader_epoch = 3,
	.timestamp = 1700000000000 };

static struct ot_batch_info
parse(const struct ot_writer *out)
{
	struct ot_batch_rules rules = { .origin = OT_ORIGIN_COORDINATOR, .is_only = true };
	struct ot_batch_info info;
	assert_ok(ot_batch_validate(out->data, out->bytes, &rules, &info, NULL));
	assert_true(info.is_control);
	assert_true(info.base_offset == 42 && info.base_timestamp == place.timestamp);
	assert_int_equal(info.leader_epoch, 3);
	return info;
}

static struct ot_record
only_record(const struct ot_writer *out, const struct ot_batch_info *info)
{
	struct ot_record_iter iter;
	struct ot_record record, none;
	assert_ok(ot_record_iter_open(&iter, out->data, info, &(struct ot_record_iter_options){ 0 },
	    NULL));
	assert_true(ot_record_iter_next(&iter, &record));
	assert_false(ot_record_iter_next(&iter, &none));
	assert_ok(ot_record_iter_close(&iter));
	return record;
}

static void
assert_value(const struct ot_writer *out, enum ot_control_type type, const uint8_t *value,
    size_t bytes)
{
	struct ot_batch_info info = parse(out);
	struct ot_record record = only_record(out, &info);
	enum ot_control_type found;
	assert_ok(ot_control_parse_key(record.key, &found));
	assert_int_equal(found, type);
	assert_int_equal(record.value.len, bytes);
	assert_memory_equal(record.value.data, value, bytes);
}

static void
test_markers(void **state)
{
	(void)state;
	static const uint8_t value[] = { 0, 0, 0, 0, 0, 7 };
	for (int is_commit = 0; is_commit < 2; is_commit++) {
		struct ot_end_txn_marker marker = { 4711, 2, is_commit, 7 }, read;
		struct ot_writer out;
		ot_writer_init(&out);
		assert_ok(ot_build_end_txn(&place, &marker, &out));
		assert_value(&out, is_commit ? OT_CONTROL_COMMIT : OT_CONTROL_ABORT, value,
		    sizeof(value));
		struct ot_batch_info info = parse(&out);
		assert_true(info.is_transactional && info.producer_id == 4711);
		assert_int_equal(info.base_sequence, OT_NO_SEQUENCE);
		assert_ok(ot_end_txn_parse(out.data, &info, &read));
		assert_true(read.producer_id == 4711 && read.is_commit == (bool)is_commit);
		assert_int_equal(read.producer_epoch, 2);
		assert_int_equal(read.coordinator_epoch, 7);
		ot_writer_fini(&out);
	}
}

static void
test_metadata_log(void **state)
{
	(void)state;
	struct ot_writer out;
	ot_writer_init(&out);
	struct ot_kraft_voter voters[2] = { { .id = 1 }, { .id = 2 } };
	struct ot_leader_change change = { 2, voters, 2, voters + 1, 1 };
	static const uint8_t ids[] = { 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 2, 0, 0,
		0, 2, 0, 0 };
	assert_ok(ot_build_leader_change(&place, &change, &out));
	assert_value(&out, OT_CONTROL_LEADER_CHANGE, ids, sizeof(ids));
	ot_writer_reset(&out);
	/* With directory ids, which version 1 added. */
	memset(voters[0].directory_id.bytes, 0xaa, 16);
	change.voter_count = 1;
	change.granting_voter_count = 0;
	static const uint8_t directories[] = { 0, 1, 0, 0, 0, 2, 2, 0, 0, 0, 1, 0xaa, 0xaa, 0xaa,
		0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0, 1,
		0 };
	assert_ok(ot_build_leader_change(&place, &change, &out));
	assert_value(&out, OT_CONTROL_LEADER_CHANGE, directories, sizeof(directories));
	ot_writer_reset(&out);
	static const uint8_t header[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0 };
	assert_ok(ot_build_snapshot_header(&place, 258, &out));
	assert_value(&out, OT_CONTROL_SNAPSHOT_HEADER, header, sizeof(header));
	ot_writer_reset(&out);
	static const uint8_t footer[] = { 0, 0, 0 };
	assert_ok(ot_build_snapshot_footer(&place, &out));
	assert_value(&out, OT_CONTROL_SNAPSHOT_FOOTER, footer, sizeof(footer));
	ot_writer_reset(&out);
	static const uint8_t version[] = { 0, 0, 0, 1, 0 };
	assert_ok(ot_build_kraft_version(&place, 1, &out));
	assert_value(&out, OT_CONTROL_KRAFT_VERSION, version, sizeof(version));
	struct ot_batch_info info = parse(&out);
	struct ot_end_txn_marker marker;
	assert_int_equal(ot_end_txn_parse(out.data, &info, &marker), OT_ERR_INVALID_RECORD);
	ot_writer_fini(&out);
}

static void
test_keys(void **state)
{
	(void)state;
	static const struct {
		uint8_t key[6];
		int32_t bytes;
		ot_err err;
		enum ot_control_type type;
		const char *name;
	} rows[] = {
		{ { 0, 0, 0, 1 }, 4, OT_OK, OT_CONTROL_COMMIT, "COMMIT" },
		{ { 0, 5, 0, 0, 9, 9 }, 6, OT_OK, OT_CONTROL_ABORT, "ABORT" },
		{ { 0, 0, 0, 6 }, 4, OT_OK, OT_CONTROL_KRAFT_VOTERS, "KRAFT_VOTERS" },
		{ { 0, 0, 0, 7 }, 4, OT_OK, OT_CONTROL_UNKNOWN, "UNKNOWN" },
		{ { 0, 0, 0xff, 0xff }, 4, OT_OK, OT_CONTROL_UNKNOWN, "UNKNOWN" },
		{ { 0, 0, 0 }, 3, OT_ERR_INVALID_RECORD, OT_CONTROL_UNKNOWN, "UNKNOWN" },
		{ { 0xff, 0xff, 0, 1 }, 4, OT_ERR_INVALID_RECORD, OT_CONTROL_UNKNOWN, "UNKNOWN" },
		{ { 0 }, -1, OT_ERR_INVALID_RECORD, OT_CONTROL_UNKNOWN, "UNKNOWN" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		enum ot_control_type type = OT_CONTROL_UNKNOWN;
		struct ot_bytes key = { rows[i].key, rows[i].bytes };
		assert_int_equal(ot_control_parse_key(key, &type), rows[i].err);
		assert_int_equal(type, rows[i].type);
		assert_string_equal(ot_control_type_name(type), rows[i].name);
	}
}

static void
test_no_memory(void **state)
{
	(void)state;
	ot_err err = OT_ERR_NO_MEMORY;
	for (uint64_t n = 1; err != OT_OK; n++) {
		struct ot_end_txn_marker marker = { 1, 1, true, 1 };
		struct ot_writer out;
		ot_writer_init(&out);
		ot_alloc_fail_at(n);
		err = ot_build_end_txn(&place, &marker, &out);
		ot_alloc_fail_at(0);
		assert_true(err == OT_OK || (err == OT_ERR_NO_MEMORY && out.bytes == 0));
		ot_writer_fini(&out);
		assert_true(n < 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_markers),
		cmocka_unit_test(test_metadata_log),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
