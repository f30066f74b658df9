/* Goal: the files of a log are Kafka's, byte for byte.
 *
 * Method: a small log, checked field by field against Kafka's formats, stands here as it lies on
 * the disk: two segments with three and two batches, the last a transaction's record and its abort
 * marker, index.interval.bytes 100. It is written through the log and compared; opened as Kafka
 * would have left it; and opened with nothing but its records, from which the rest must follow. */
#include "kit.h"

#include "log/dump.h"

/* Offset 0; offsets 1 and 2, 7 ms later; offset 3 of producer 1000, epoch 2, sequence 41. */
static const uint8_t first_log[] = {
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x3b,
	0x00,
	0x00,
	0x00,
	0x05,
	0x02,
	0xee,
	0x5a,
	0x1f,
	0xed,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0x00,
	0x00,
	0x00,
	0x01,
	0x12,
	0x00,
	0x00,
	0x00,
	0x01,
	0x06,
	0x30,
	0x3a,
	0x61,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x00,
	0x00,
	0x00,
	0x45,
	0x00,
	0x00,
	0x00,
	0x05,
	0x02,
	0x7b,
	0xb8,
	0xc4,
	0x83,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x07,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x07,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0x00,
	0x00,
	0x00,
	0x02,
	0x12,
	0x00,
	0x00,
	0x00,
	0x01,
	0x06,
	0x31,
	0x3a,
	0x62,
	0x00,
	0x12,
	0x00,
	0x00,
	0x02,
	0x01,
	0x06,
	0x32,
	0x3a,
	0x63,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0x00,
	0x00,
	0x00,
	0x3b,
	0x00,
	0x00,
	0x00,
	0x05,
	0x02,
	0x70,
	0x51,
	0x5d,
	0x2e,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x03,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x03,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x02,
	0x00,
	0x00,
	0x00,
	0x29,
	0x00,
	0x00,
	0x00,
	0x01,
	0x12,
	0x00,
	0x00,
	0x00,
	0x01,
	0x06,
	0x33,
	0x3a,
	0x64,
	0x00,
};

/* The third batch is the first beyond 100 bytes: offset 3 at byte 152. */
static const uint8_t first_index[] = {
	0x00,
	0x00,
	0x00,
	0x03,
	0x00,
	0x00,
	0x00,
	0x98,
};

/* No later timestamp than that of the batch that ends with offset 2. */
static const uint8_t first_timeindex[] = {
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x07,
	0x00,
	0x00,
	0x00,
	0x02,
};

/* Offset 4, transactional, sequence 42; offset 5, the marker that aborts it. */
static const uint8_t second_log[] = {
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x04,
	0x00,
	0x00,
	0x00,
	0x3b,
	0x00,
	0x00,
	0x00,
	0x06,
	0x02,
	0x8b,
	0x1a,
	0x39,
	0x75,
	0x00,
	0x10,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x02,
	0x00,
	0x00,
	0x00,
	0x2a,
	0x00,
	0x00,
	0x00,
	0x01,
	0x12,
	0x00,
	0x00,
	0x00,
	0x01,
	0x06,
	0x34,
	0x3a,
	0x65,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x05,
	0x00,
	0x00,
	0x00,
	0x42,
	0x00,
	0x00,
	0x00,
	0x00,
	0x02,
	0x1d,
	0x6d,
	0x0f,
	0xbe,
	0x00,
	0x30,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x02,
	0xff,
	0xff,
	0xff,
	0xff,
	0x00,
	0x00,
	0x00,
	0x01,
	0x20,
	0x00,
	0x00,
	0x00,
	0x08,
	0x00,
	0x00,
	0x00,
	0x00,
	0x0c,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x00,
};

/* Of the closing. */
static const uint8_t second_timeindex[] = {
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
};

/* Version 0, producer 1000, offsets 4 to 5, last stable offset 6. */
static const uint8_t second_txnindex[] = {
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x04,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x05,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x06,
};

/* One producer each: without a transaction; behind its marker of coordinator epoch 1. */
static const uint8_t snapshot_4[] = {
	0x00,
	0x01,
	0xbb,
	0x61,
	0x2c,
	0xe8,
	0x00,
	0x00,
	0x00,
	0x01,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x02,
	0x00,
	0x00,
	0x00,
	0x29,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x03,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
};

static const uint8_t snapshot_6[] = {
	0x00,
	0x01,
	0xee,
	0x73,
	0xf7,
	0x0f,
	0x00,
	0x00,
	0x00,
	0x01,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x03,
	0xe8,
	0x00,
	0x02,
	0x00,
	0x00,
	0x00,
	0x2a,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x04,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x8b,
	0xcf,
	0xe5,
	0x68,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
};

/* "0\n2\n5 0\n6 4\n" */
static const uint8_t epochs[] = {
	0x30,
	0x0a,
	0x32,
	0x0a,
	0x35,
	0x20,
	0x30,
	0x0a,
	0x36,
	0x20,
	0x34,
	0x0a,
};

struct golden {
	const char *name;
	const uint8_t *data;
	size_t bytes;
};

static const struct golden files[] = {
	{ "00000000000000000000.log", first_log, sizeof(first_log) },
	{ "00000000000000000000.index", first_index, sizeof(first_index) },
	{ "00000000000000000000.timeindex", first_timeindex, sizeof(first_timeindex) },
	{ "00000000000000000004.log", second_log, sizeof(second_log) },
	{ "00000000000000000004.index", NULL, 0 },
	{ "00000000000000000004.timeindex", second_timeindex, sizeof(second_timeindex) },
	{ "00000000000000000004.txnindex", second_txnindex, sizeof(second_txnindex) },
	{ "00000000000000000004.snapshot", snapshot_4, sizeof(snapshot_4) },
	{ "00000000000000000006.snapshot", snapshot_6, sizeof(snapshot_6) },
	{ "leader-epoch-checkpoint", epochs, sizeof(epochs) },
};

static void
init(struct kit *kit)
{
	kit_init(kit, NULL);
	kit->settings.index_interval_bytes = 100;
	kit->settings.producer_id_expiration_ms = INT64_MAX / 2;
}

static void
check_file(struct kit *kit, const struct golden *golden)
{
	struct ot_writer found;
	kit_read_file(kit, golden->name, &found);
	if (found.bytes != golden->bytes)
		fail_msg("%s has %zu bytes", golden->name, found.bytes);
	if (found.bytes > 0 && memcmp(found.data, golden->data, found.bytes) != 0)
		fail_msg("%s has other bytes", golden->name);
	ot_writer_fini(&found);
}

static void
check_files(struct kit *kit)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++)
		check_file(kit, &files[i]);
}

static void
test_written(void **state)
{
	(void)state;
	struct kit kit;
	init(&kit);
	kit_open(&kit, true);
	struct kit_batch batch = { .leader_epoch = 5, .value_bytes = 3 };
	kit_append(&kit, &batch);
	batch.record_count = 2;
	batch.timestamp = KIT_TIME + 7;
	kit_append(&kit, &batch);
	batch = (struct kit_batch){
		.leader_epoch = 5,
		.value_bytes = 3,
		.timestamp = KIT_TIME + 3,
		.producer_id = 1000,
		.producer_epoch = 2,
		.sequence = 41,
	};
	kit_append(&kit, &batch);
	assert_ok(ot_log_roll(kit.log, kit.now, false));
	batch.leader_epoch = 6;
	batch.timestamp = KIT_TIME;
	batch.sequence = 42;
	batch.is_transactional = true;
	kit_append(&kit, &batch);
	assert_ok(kit_stage_marker(&kit, 1000, 2, false));
	assert_ok(kit_write(&kit));
	kit_close(&kit);
	check_files(&kit);
	kit_fini(&kit);
}

static void
count_aborted(void *arg, const struct ot_log_aborted *aborted)
{
	assert_int_equal(aborted->producer_id, 1000);
	assert_int_equal(aborted->first_offset, 4);
	assert_int_equal(aborted->last_offset, 5);
	++*(int *)arg;
}

static void
check_log(struct kit *kit)
{
	struct ot_log_producer producer;
	int aborted = 0;
	assert_int_equal(ot_log_start_offset(kit->log), 0);
	assert_int_equal(ot_log_end_offset(kit->log), 6);
	assert_int_equal(kit_check_read(kit, 0, 100), 6);
	assert_int_equal(ot_log_epoch_at(kit->log, 3), 5);
	assert_int_equal(ot_log_epoch_at(kit->log, 4), 6);
	assert_true(ot_log_get_producer(kit->log, 1000, &producer));
	assert_int_equal(producer.last_sequence, 42);
	assert_int_equal(producer.last_offset, 4);
	assert_int_equal(producer.coordinator_epoch, 1);
	assert_int_equal(producer.txn_first_offset, -1);
	assert_ok(ot_log_visit_aborted_in(kit->log, 0, 6, count_aborted, &aborted));
	assert_int_equal(aborted, 1);
	assert_int_equal(kit_find(kit, KIT_TIME + 4).offset, 1);
	assert_int_equal(kit_find(kit, OT_LOG_MAX_TIMESTAMP).offset, 1);
}

static void
test_opened(void **state)
{
	(void)state;
	struct kit kit;
	init(&kit);
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++)
		kit_write_file(&kit, files[i].name, files[i].data, files[i].bytes);
	kit_open(&kit, true);
	assert_int_equal(kit.result.bytes_scanned, 0);
	assert_int_equal(kit.result.indexes_rebuilt, 0);
	check_log(&kit);
	kit_close(&kit);
	check_files(&kit);
	kit_fini(&kit);
}

static void
test_rebuilt(void **state)
{
	(void)state;
	struct kit kit;
	init(&kit);
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++) {
		if (strstr(files[i].name, ".log") != NULL)
			kit_write_file(&kit, files[i].name, files[i].data, files[i].bytes);
	}
	kit_open(&kit, false);
	assert_true(kit.result.is_epoch_file_rebuilt || kit.result.bytes_scanned > 0);
	check_log(&kit);
	kit_close(&kit);
	/* A snapshot at a segment's base comes with its roll alone. */
	for (size_t i = 0; i < OT_ARRAY_COUNT(files); i++) {
		if (strcmp(files[i].name, "00000000000000000004.snapshot") != 0)
			check_file(&kit, &files[i]);
	}
	kit_fini(&kit);
}

/* ---- read by the tools' reader ------------------------------------------------------------- */

static void
check_item(const struct ot_dump_item *item, int count)
{
	switch (item->kind) {
	case OT_DUMP_RECORDS:
		assert_true(item->batch.is_valid);
		assert_int_equal(item->batch.info.bytes, item->batch.bytes);
		break;
	case OT_DUMP_OFFSET_INDEX:
		assert_int_equal(item->offset_entry.offset, 3);
		assert_int_equal(item->offset_entry.place, 152);
		break;
	case OT_DUMP_TIME_INDEX:
		assert_true(item->time_entry.offset == 2 || item->time_entry.offset == 4);
		break;
	case OT_DUMP_TXN_INDEX:
		assert_int_equal(item->txn_entry.last_stable_offset, 6);
		break;
	case OT_DUMP_SNAPSHOT:
		assert_int_equal(item->producer.producer_id, 1000);
		assert_int_equal(item->producer.producer_epoch, 2);
		break;
	}
	assert_true(count < 3);
}

static void
test_dumped(void **state)
{
	(void)state;
	static const int counts[] = { 3, 1, 1, 2, 0, 1, 1, 1, 1 };
	struct kit kit;
	struct ot_dump *dump = NULL;
	struct ot_dump_item item;
	struct ot_why why;
	char path[LOG_PATH_BYTES];
	init(&kit);
	for (size_t i = 0; i < OT_ARRAY_COUNT(counts); i++) {
		int count = 0;
		kit_write_file(&kit, files[i].name, files[i].data, files[i].bytes);
		log_path_named(path, kit.dir, files[i].name);
		assert_ok(ot_dump_open(kit.fs, path, &dump, &why));
		while (ot_dump_next(dump, &item))
			check_item(&item, count++);
		assert_int_equal(count, counts[i]);
		assert_int_equal(ot_dump_place(dump), files[i].bytes);
		assert_ok(ot_dump_close(dump, &why));
		/* Cut short, the rest is told from what was read. */
		if (files[i].bytes == 0)
			continue;
		kit_write_file(&kit, files[i].name, files[i].data, files[i].bytes - 1);
		ot_err err = ot_dump_open(kit.fs, path, &dump, &why);
		while (err == OT_OK && ot_dump_next(dump, &item))
			count--;
		if (err == OT_OK)
			err = ot_dump_close(dump, &why);
		assert_int_equal(err, OT_ERR_CORRUPT_FILE);
		assert_true(count > 0);
	}
	log_path_named(path, kit.dir, "leader-epoch-checkpoint");
	assert_int_equal(ot_dump_open(kit.fs, path, &dump, &why), OT_ERR_INVALID_REQUEST);
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_opened),
		cmocka_unit_test(test_rebuilt),
		cmocka_unit_test(test_dumped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
