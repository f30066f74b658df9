/* kafka-dump-log on files that the test writes, byte for byte. */
#include "../test.h"

#include <stdlib.h>

#include "capture.h"
#include "cli/run_int.h"
#include "cli/tools_int.h"
#include "io/fs.h"
#include "record/build.h"
#include "record/control.h"
#include "record/legacy.h"
#include "wire/msg_group_log.h"
#include "wire/msg_metadata_log.h"
#include "wire/recordio.h"

static struct capture capture;
static struct ot_batch_builder builder;
static struct ot_writer file;
static int status;

static int
set_up(void **state)
{
	(void)state;
	char folder[] = "/tmp/ottla-dump-XXXXXX";
	assert_non_null(mkdtemp(folder));
	assert_ok(chdir(folder)); /* messages name paths: short ones */
	ot_writer_init(&file);
	ot_batch_builder_init(&builder, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	char folder[64];
	ot_writer_fini(&file);
	ot_batch_builder_fini(&builder);
	assert_non_null(getcwd(folder, sizeof(folder)));
	assert_ok(chdir("/"));
	assert_ok(ot_fs_remove_all(ot_fs_host(), folder));
	return 0;
}

/* Writes what is in `file` and empties it. */
static void
save(const char *name)
{
	FILE *out = fopen(name, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(file.data, 1, file.bytes, out), file.bytes);
	assert_ok(fclose(out));
	ot_writer_reset(&file);
}

static struct ot_bytes
bytes_of(const char *text)
{
	if (text == NULL)
		return OT_BYTES_NULL;
	return (struct ot_bytes){ (const uint8_t *)text, (int32_t)strlen(text) };
}

static void
append(int64_t timestamp, const char *key, const char *value)
{
	const struct ot_record_data record = { .timestamp = timestamp,
		.key = bytes_of(key),
		.value = bytes_of(value) };
	ot_batch_builder_append(&builder, &record);
}

/* Two batches: one of two records, one of a producer with a header. */
static void
write_batches(void)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.leader_epoch = 3;
	ot_batch_builder_begin(&builder, &options, &file);
	append(1000, NULL, "one");
	append(1001, "k", "two");
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	options.base_offset = 2;
	options.producer_id = 7;
	options.producer_epoch = 1;
	options.base_sequence = 5;
	options.is_transactional = true;
	ot_batch_builder_begin(&builder, &options, &file);
	const struct ot_header header = { OT_STR_LIT("h"), OT_BYTES_NULL };
	const struct ot_record_data record = { .timestamp = 1002,
		.key = OT_BYTES_NULL,
		.value = OT_BYTES_NULL,
		.headers = &header,
		.header_count = 1 };
	ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
}

#define DUMP(...) dump((const char *[]){ __VA_ARGS__, NULL })

static const char *
dump(const char *const *words)
{
	size_t count = 0;
	while (words[count] != NULL)
		count++;
	capture_begin(&capture);
	status = cli_run(&cli_dump_log_tool, (char **)(uintptr_t)words, count);
	return capture_end(&capture);
}

/* ---- logs ---------------------------------------------------------------------------------- */

#define FIRST_BATCH                                                                              \
	"baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 " \
	"producerEpoch: -1 partitionLeaderEpoch: 3 isTransactional: false isControl: false "     \
	"deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1001 size: 82 magic: 2 "    \
	"compresscodec: none crc: 173651542 isvalid: true\n"
#define SECOND_BATCH                                                                           \
	"baseOffset: 2 lastOffset: 2 count: 1 baseSequence: 5 lastSequence: 5 producerId: 7 "  \
	"producerEpoch: 1 partitionLeaderEpoch: 3 isTransactional: true isControl: false "     \
	"deleteHorizonMs: OptionalLong.empty position: 82 CreateTime: 1002 size: 71 magic: 2 " \
	"compresscodec: none crc: 680362822 isvalid: true\n"

static void
test_batches(void **state)
{
	(void)state;
	write_batches();
	save("00000000000000000000.log");
	assert_string_equal(DUMP("--files", "00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\nLog starting offset: 0\n" FIRST_BATCH SECOND_BATCH);
	assert_int_equal(status, 0);
}

static void
test_records(void **state)
{
	(void)state;
	write_batches();
	save("00000000000000000000.log");
	assert_string_equal(DUMP("--print-data-log", "--files", "00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\nLog starting offset: 0\n" FIRST_BATCH
	    "| offset: 0 CreateTime: 1000 keySize: -1 valueSize: 3 sequence: -1 headerKeys: [] "
	    "payload: one\n"
	    "| offset: 1 CreateTime: 1001 keySize: 1 valueSize: 3 sequence: -1 headerKeys: [] "
	    "key: k payload: two\n" SECOND_BATCH
	    "| offset: 2 CreateTime: 1002 keySize: -1 valueSize: -1 sequence: 5 headerKeys: [h]\n");
	assert_string_equal(DUMP("--print-data-log", "--skip-record-metadata", "--max-bytes", "100",
				"--files=00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\nLog starting offset: 0\n" FIRST_BATCH
	    "| payload: one\n| key: k payload: two\n");
	assert_int_equal(status, 0);
}

/* Goal: scripts of 0.11 find its lines, in which records stand alone or batches do. */
static void
test_of_old(void **state)
{
	(void)state;
	write_batches();
	save("00000000000000000000.log");
	assert_string_equal(DUMP("--output", "0.11", "--files", "00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\nStarting offset: 0\n"
	    "baseOffset: 0 lastOffset: 1 baseSequence: -1 lastSequence: -1 producerId: -1 "
	    "producerEpoch: -1 partitionLeaderEpoch: 3 isTransactional: false position: 0 "
	    "CreateTime: 1001 isvalid: true size: 82 magic: 2 compresscodec: NONE crc: 173651542\n"
	    "baseOffset: 2 lastOffset: 2 baseSequence: 5 lastSequence: 5 producerId: 7 "
	    "producerEpoch: 1 partitionLeaderEpoch: 3 isTransactional: true position: 82 "
	    "CreateTime: 1002 isvalid: true size: 71 magic: 2 compresscodec: NONE crc: 680362822"
	    "\n");
	assert_string_equal(DUMP("--output", "0.11", "--print-data-log", "--max-bytes", "82",
				"--files", "00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\nStarting offset: 0\n"
	    "offset: 0 position: 0 CreateTime: 1000 isvalid: true keysize: -1 valuesize: 3 magic: "
	    "2 "
	    "compresscodec: NONE producerId: -1 sequence: -1 isTransactional: false headerKeys: [] "
	    "payload: one\n"
	    "offset: 1 position: 0 CreateTime: 1001 isvalid: true keysize: 1 valuesize: 3 magic: 2 "
	    "compresscodec: NONE producerId: -1 sequence: -1 isTransactional: false headerKeys: [] "
	    "key: k payload: two\n");
}

/* Goal: a damaged batch is marked, and bytes that are no batch are told of at the end. */
static void
test_damage(void **state)
{
	(void)state;
	write_batches();
	file.data[70] ^= 1;
	ot_write_raw(&file, "garbage", 7);
	save("00000000000000000000.log");
	const char *text = DUMP("--files", "00000000000000000000.log");
	assert_non_null(strstr(text, "crc: 173651542 isvalid: false\n"));
	assert_non_null(
	    strstr(text, "Found 7 invalid bytes at the end of 00000000000000000000.log\n"));
}

/* Goal: entries of the two old formats are shown as what they are. */
static void
test_legacy(void **state)
{
	(void)state;
	struct ot_message_set_builder set;
	const struct ot_message_set_options options = { .magic = 1,
		.timestamp_type = OT_CREATE_TIME };
	const struct ot_record_data record = { .timestamp = 55,
		.key = bytes_of("k"),
		.value = bytes_of("v") };
	ot_message_set_begin(&set, &options, NULL, &file);
	ot_message_set_append(&set, 9, &record);
	assert_ok(ot_message_set_finish(&set));
	save("00000000000000000009.log");
	const char *text = DUMP("--print-data-log", "--files", "00000000000000000009.log");
	assert_non_null(strstr(text, "Log starting offset: 9\noffset: 9 position: 0 CreateTime: 55 "
				     "size: 36 magic: 1 compresscodec: none crc: "));
	assert_non_null(strstr(text, "| offset: 9 CreateTime: 55 keySize: 1 valueSize: 1 isValid: "
				     "true crc: "));
	assert_non_null(strstr(text, " key: k payload: v\n"));
	assert_int_equal(status, 0);
}

static void
test_markers(void **state)
{
	(void)state;
	const struct ot_control_place place = { .base_offset = 4,
		.leader_epoch = 0,
		.timestamp = 9 };
	const struct ot_end_txn_marker marker = { 7, 1, true, 12 };
	assert_ok(ot_build_end_txn(&place, &marker, &file));
	assert_ok(ot_build_snapshot_footer(&(struct ot_control_place){ .base_offset = 5 }, &file));
	save("00000000000000000004.log");
	const char *text = DUMP("--deep-iteration", "--files", "00000000000000000004.log");
	assert_non_null(strstr(text, " isControl: true "));
	assert_non_null(
	    strstr(text, " headerKeys: [] endTxnMarker: COMMIT coordinatorEpoch: 12\n"));
	assert_non_null(strstr(text, " headerKeys: [] SnapshotFooter {\"version\":0}\n"));
}

/* ---- decoders ------------------------------------------------------------------------------ */

static void
write_keyed(const struct ot_msg *key_type, const void *key, const struct ot_msg *value_type,
    const void *value)
{
	struct ot_writer key_bytes;
	struct ot_writer value_bytes;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	ot_writer_init(&key_bytes);
	ot_writer_init(&value_bytes);
	assert_ok(ot_versioned_encode(key_type, 1, key, &key_bytes));
	assert_ok(ot_versioned_encode(value_type, 3, value, &value_bytes));
	const struct ot_record_data record = { .timestamp = 1,
		.key = { key_bytes.data, (int32_t)key_bytes.bytes },
		.value = { value_bytes.data, (int32_t)value_bytes.bytes } };
	const struct ot_record_data tombstone = { .timestamp = 1,
		.key = record.key,
		.value = OT_BYTES_NULL };
	ot_batch_builder_begin(&builder, &options, &file);
	ot_batch_builder_append(&builder, &record);
	ot_batch_builder_append(&builder, &tombstone);
	append(2, "xx", "");
	append(3, NULL, "");
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_writer_fini(&key_bytes);
	ot_writer_fini(&value_bytes);
}

/* Goal: offsets are JSON, tombstones say so, and bytes that are none are named, not fatal. */
static void
test_offsets_decoder(void **state)
{
	(void)state;
	struct ot_offset_commit_key key;
	struct ot_offset_commit_value value;
	ot_offset_commit_key_init(&key);
	ot_offset_commit_value_init(&value);
	key.group = OT_STR_LIT("g");
	key.topic = OT_STR_LIT("t");
	key.partition = 2;
	value.offset = 99;
	value.commit_timestamp = 5;
	write_keyed(&ot_offset_commit_key_msg, &key, &ot_offset_commit_value_msg, &value);
	save("00000000000000000000.log");
	const char *text = DUMP("--offsets-decoder", "--skip-record-metadata", "--files",
	    "00000000000000000000.log");
	assert_non_null(strstr(text,
	    "| key: {\"type\":\"1\",\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}} "
	    "payload: {\"version\":\"3\",\"data\":{\"offset\":99,\"leaderEpoch\":-1,\"metadata\":"
	    "\"\",\"commitTimestamp\":5}}\n"
	    "| key: {\"type\":\"1\",\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}} "
	    "payload: <DELETE>\n"
	    "| key: Unknown record type 30840 at offset 2, skipping.\n"
	    "| key: Error at offset 3, skipping. The message has no key\n"));
	assert_int_equal(status, 0);
}

static void
test_metadata_decoder(void **state)
{
	(void)state;
	struct ot_writer value;
	struct ot_topic_record topic;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	ot_writer_init(&value);
	ot_topic_record_init(&topic);
	topic.name = OT_STR_LIT("t");
	assert_ok(ot_typed_record_encode(OT_RECORD_LOG_METADATA, &ot_topic_record_msg, 0, &topic,
	    &value));
	const struct ot_record_data record = { .timestamp = 1,
		.key = OT_BYTES_NULL,
		.value = { value.data, (int32_t)value.bytes } };
	ot_batch_builder_begin(&builder, &options, &file);
	ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	ot_writer_fini(&value);
	save("00000000000000000010-0000000002.checkpoint");
	const char *text = DUMP("--cluster-metadata-decoder", "--files",
	    "00000000000000000010-0000000002.checkpoint");
	assert_non_null(strstr(text, "\nSnapshot end offset: 10, epoch: 2\n"));
	assert_non_null(strstr(text,
	    " payload: {\"type\":\"TOPIC_RECORD\",\"version\":0,\"data\":{\"name\":\"t\","
	    "\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}}\n"));
}

static void
test_classes(void **state)
{
	(void)state;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	ot_batch_builder_begin(&builder, &options, &file);
	const struct ot_record_data record = { .timestamp = 1,
		.key = { (const uint8_t *)"\0\0\1\2", 4 },
		.value = { (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xfe", 8 } };
	ot_batch_builder_append(&builder, &record);
	assert_ok(ot_batch_builder_finish(&builder, NULL));
	save("00000000000000000000.log");
	const char *text = DUMP("--key-decoder-class", "kafka.serializer.IntegerDecoder",
	    "--value-decoder-class", "LongDecoder", "--files", "00000000000000000000.log");
	assert_non_null(strstr(text, " key: 258 payload: -2\n"));
	text = DUMP("--key-decoder-class", "DefaultDecoder", "--files", "00000000000000000000.log");
	assert_non_null(strstr(text, " key: 00000102 payload: "));
	text = DUMP("--key-decoder-class", "com.example.Mine", "--files", "x.log");
	assert_string_equal(text, "there is no decoder com.example.Mine; --help lists them\n");
	assert_int_equal(status, 1);
}

/* ---- indexes and the rest ------------------------------------------------------------------ */

static void
write_index_entry(int32_t offset, int32_t place)
{
	ot_write_i32(&file, offset);
	ot_write_i32(&file, place);
}

/* Goal: an index that the log agrees with is printed, one that it contradicts is told of with both
 * offsets, in Kafka's order. */
static void
test_offset_index(void **state)
{
	(void)state;
	write_batches();
	save("00000000000000000000.log");
	write_index_entry(1, 0);
	write_index_entry(2, 82);
	save("00000000000000000000.index");
	assert_string_equal(DUMP("--files", "00000000000000000000.index"),
	    "Dumping 00000000000000000000.index\n"
	    "offset: 1 position: 0\noffset: 2 position: 82\n");
	assert_int_equal(status, 0);
	assert_string_equal(DUMP("--verify-index-only", "--files", "00000000000000000000.index"),
	    "Dumping 00000000000000000000.index\n");
	assert_string_equal(DUMP("--index-sanity-check", "--files", "00000000000000000000.index"),
	    "Dumping 00000000000000000000.index\n00000000000000000000.index passed sanity "
	    "check.\n");
	assert_int_equal(status, 0);
	write_index_entry(0, 0);
	write_index_entry(7, 82);
	save("00000000000000000000.index");
	const char *text = DUMP("--verify-index-only", "--files", "00000000000000000000.index");
	assert_non_null(strstr(text, "Mismatches in :/tmp/ottla-dump-"));
	assert_non_null(strstr(text, "/00000000000000000000.index\n"
				     "  Index offset: 7, log offset: 2\n"
				     "  Index offset: 0, log offset: 1\n"));
	assert_int_equal(status, 1);
	save("00000000000000000000.index");
	assert_string_equal(DUMP("--files", "00000000000000000000.index"),
	    "Dumping 00000000000000000000.index\n00000000000000000000.index is empty.\n");
}

static void
write_time_entry(int64_t timestamp, int32_t offset)
{
	ot_write_i64(&file, timestamp);
	ot_write_i32(&file, offset);
}

static void
test_time_index(void **state)
{
	(void)state;
	write_batches();
	save("00000000000000000000.log");
	write_index_entry(2, 82);
	save("00000000000000000000.index");
	write_time_entry(1001, 1);
	write_time_entry(1002, 2);
	save("00000000000000000000.timeindex");
	assert_string_equal(DUMP("--files", "00000000000000000000.timeindex"),
	    "Dumping 00000000000000000000.timeindex\n"
	    "timestamp: 1001 offset: 1\ntimestamp: 1002 offset: 2\n");
	assert_int_equal(status, 0);
	write_time_entry(1001, 1);
	write_time_entry(1000, 2);
	write_time_entry(1003, 9);
	save("00000000000000000000.timeindex");
	const char *text = DUMP("--verify-index-only", "--files", "00000000000000000000.timeindex");
	assert_non_null(strstr(text, "Found timestamp mismatch in :"));
	assert_non_null(strstr(text, "  Index timestamp: 1000, log timestamp: 1002\n"));
	assert_non_null(strstr(text, "Found out of order timestamp in :"));
	assert_non_null(
	    strstr(text, "  Index timestamp: 1000, Previously indexed timestamp: 1001\n"));
	assert_non_null(strstr(text, "The following indexed offsets are not found in the log.\n"
				     "Indexed offset: 9, found log offset: -1\n"));
	assert_int_equal(status, 1);
}

static void
test_txn_index(void **state)
{
	(void)state;
	ot_write_i16(&file, 0);
	for (int64_t i = 1; i <= 4; i++)
		ot_write_i64(&file, i * 10);
	save("00000000000000000000.txnindex");
	assert_string_equal(DUMP("--files", "00000000000000000000.txnindex"),
	    "Dumping 00000000000000000000.txnindex\nversion: 0 producerId: 10 firstOffset: 20 "
	    "lastOffset: 30 lastStableOffset: 40\n");
	assert_int_equal(status, 0);
}

static void
test_other_files(void **state)
{
	(void)state;
	assert_string_equal(DUMP("--files", "notes.txt"),
	    "Dumping notes.txt\nIgnoring unknown file notes.txt\n");
	assert_int_equal(status, 1);
	assert_string_equal(DUMP("--files", "00000000000000000000.log"),
	    "Dumping 00000000000000000000.log\n"
	    "00000000000000000000.log: The file does not exist\n");
	assert_int_equal(status, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_batches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_legacy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_markers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offsets_decoder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_metadata_decoder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_classes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_offset_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_txn_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_files, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
