/* Goal: retries are harmless, gaps and zombies are refused, transactions hold the last stable
 * offset, and all of it survives a snapshot, with Kafka's error codes.
 *
 * Method: the table alone for its rules and bytes; a log for what staging, undoing and reopening
 * make of them. */
#include "kit.h"

#include "base/crc.h"

enum { PRODUCERS_MANY = 3000 };

static struct ot_batch_info
info_of(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
	return (struct ot_batch_info){
		.producer_id = id,
		.producer_epoch = epoch,
		.base_sequence = sequence,
		.last_offset_delta = count - 1,
		.record_count = count,
		.max_timestamp = KIT_TIME,
		.magic = OT_MAGIC_V2,
	};
}

static ot_err
append(struct log_producers *producers, const struct ot_batch_info *info, int64_t base,
    struct log_producer_undo *undo)
{
	struct log_txn_event event;
	struct log_producer_append args = {
		.info = info,
		.base_offset = base,
		.last_offset = base + info->last_offset_delta,
		.origin = OT_ORIGIN_CLIENT,
	};
	assert_ok(log_producers_reserve(producers, 1));
	ot_err err = log_producers_append(producers, &args, &event, undo, NULL);
	if (err == OT_OK)
		log_producers_apply(producers, &event);
	return err;
}

/* ---- the table ----------------------------------------------------------------------------- */

static void
test_many_producers_come_and_go(void **state)
{
	(void)state;
	struct log_producers producers;
	struct log_producer_undo undo;
	log_producers_init(&producers);
	for (int64_t i = 0; i < PRODUCERS_MANY; i++) {
		struct ot_batch_info info = info_of(i * 1000, 0, 0, 1);
		info.max_timestamp = KIT_TIME + i;
		assert_ok(append(&producers, &info, i, &undo));
	}
	log_producers_check(&producers);
	assert_int_equal(producers.count, PRODUCERS_MANY);
	log_producers_expire(&producers, KIT_TIME + 2000, 1000);
	log_producers_check(&producers);
	assert_int_equal(producers.count, PRODUCERS_MANY - 1001);
	assert_null(log_producers_find(&producers, 1000 * 1000));
	assert_non_null(log_producers_find(&producers, 1001 * 1000));
	log_producers_expire(&producers, KIT_TIME + 200000, 1000);
	assert_int_equal(producers.count, 0);
	assert_int_equal(log_producers_bytes_memory(&producers) > 100000, 0);
	log_producers_fini(&producers);
}

static void
test_sequences(void **state)
{
	(void)state;
	struct log_producers producers;
	struct log_producer_undo undo;
	log_producers_init(&producers);
	/* Nothing is known: any sequence may begin. */
	struct ot_batch_info info = info_of(5, 3, 70, 10);
	assert_ok(append(&producers, &info, 0, &undo));
	info = info_of(5, 3, 81, 1);
	assert_int_equal(append(&producers, &info, 10, &undo), OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	info = info_of(5, 3, 79, 1);
	assert_int_equal(append(&producers, &info, 10, &undo), OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	info = info_of(5, 2, 80, 1);
	assert_int_equal(append(&producers, &info, 10, &undo), OT_ERR_INVALID_PRODUCER_EPOCH);
	info = info_of(5, 4, 80, 1);
	assert_int_equal(append(&producers, &info, 10, &undo), OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	info = info_of(5, 4, 0, 2);
	assert_ok(append(&producers, &info, 10, &undo));
	assert_int_equal(log_producers_find(&producers, 5)->batch_count, 1);
	/* Behind INT32_MAX comes 0. */
	info = info_of(6, 0, INT32_MAX - 1, 4);
	assert_ok(append(&producers, &info, 20, &undo));
	assert_int_equal(log_producer_last_batch(log_producers_find(&producers, 6))->last_sequence,
	    1);
	assert_non_null(log_producers_find_duplicate(&producers, &info));
	info = info_of(6, 0, 2, 1);
	assert_ok(append(&producers, &info, 24, &undo));
	log_producers_fini(&producers);
}

static void
test_last_five_are_known_again(void **state)
{
	(void)state;
	struct log_producers producers;
	struct log_producer_undo undo;
	log_producers_init(&producers);
	for (int32_t i = 0; i < 7; i++) {
		struct ot_batch_info info = info_of(5, 0, i * 10, 10);
		assert_ok(append(&producers, &info, i * 10, &undo));
	}
	for (int32_t i = 0; i < 7; i++) {
		struct ot_batch_info info = info_of(5, 0, i * 10, 10);
		const struct log_producer_batch *same =
		    log_producers_find_duplicate(&producers, &info);
		assert_int_equal(same != NULL, i >= 2);
		if (same != NULL)
			assert_int_equal(same->last_offset, i * 10 + 9);
		info = info_of(5, 0, i * 10, 9);
		assert_null(log_producers_find_duplicate(&producers, &info));
		info = info_of(5, 1, i * 10, 10);
		assert_null(log_producers_find_duplicate(&producers, &info));
	}
	log_producers_undo(&producers, &undo);
	struct ot_batch_info info = info_of(5, 0, 60, 10);
	assert_null(log_producers_find_duplicate(&producers, &info));
	info = info_of(5, 0, 10, 10);
	assert_non_null(log_producers_find_duplicate(&producers, &info));
	info = info_of(5, 0, 60, 1);
	assert_ok(append(&producers, &info, 60, &undo));
	log_producers_fini(&producers);
}

static void
test_snapshot_bytes(void **state)
{
	(void)state;
	static const uint8_t entry[] = {
		0, 0, 0, 0, 0, 0, 0x03, 0xe8,                   /* producer id 1000 */
		0, 2,                                           /* epoch */
		0, 0, 0, 41,                                    /* last sequence */
		0, 0, 0, 0, 0, 0, 0, 99,                        /* last offset */
		0, 0, 0, 4,                                     /* offset delta */
		0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00,       /* timestamp */
		0xff, 0xff, 0xff, 0xff,                         /* coordinator epoch */
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* no transaction */
	};
	_Static_assert(sizeof(entry) == LOG_SNAPSHOT_ENTRY_BYTES, "one entry");
	struct log_producers producers, back;
	struct log_producer_undo undo;
	struct ot_writer out;
	struct ot_why why;
	log_producers_init(&producers);
	log_producers_init(&back);
	ot_writer_init(&out);
	struct ot_batch_info info = info_of(1000, 2, 37, 5);
	assert_ok(append(&producers, &info, 95, &undo));
	log_producers_print(producers.entries, producers.count, &out);
	assert_int_equal(out.bytes, LOG_SNAPSHOT_HEADER_BYTES + LOG_SNAPSHOT_ENTRY_BYTES);
	assert_int_equal(ot_get_u16(out.data), 1);
	assert_int_equal(ot_get_u32(out.data + 6), 1);
	assert_memory_equal(out.data + LOG_SNAPSHOT_HEADER_BYTES, entry, sizeof(entry));
	assert_int_equal(ot_get_u32(out.data + 2), ot_crc32c(0, out.data + 6, out.bytes - 6));
	assert_ok(log_producers_parse(&back, out.data, out.bytes, &why));
	log_producers_check(&back);
	assert_non_null(log_producers_find_duplicate(&back, &info));
	for (size_t i = 0; i < out.bytes; i++) {
		log_producers_clear(&back);
		out.data[i] ^= 0x10;
		assert_int_equal(log_producers_parse(&back, out.data, out.bytes, &why),
		    OT_ERR_CORRUPT_FILE);
		assert_int_equal(log_producers_parse(&back, out.data, i, &why),
		    OT_ERR_CORRUPT_FILE);
		out.data[i] ^= 0x10;
	}
	log_producers_fini(&producers);
	log_producers_fini(&back);
	ot_writer_fini(&out);
}

/* ---- in a log ------------------------------------------------------------------------------ */

static void
test_duplicates_get_their_offsets_again(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_staged staged;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	kit_append_many(&kit, 3);
	struct kit_batch batch = { .producer_id = 9, .record_count = 4, .timestamp = KIT_TIME + 5 };
	staged = kit_append(&kit, &batch);
	assert_int_equal(staged.base_offset, 6);
	assert_false(staged.is_duplicate);
	assert_ok(kit_stage(&kit, &batch, &staged));
	assert_true(staged.is_duplicate);
	assert_int_equal(staged.base_offset, 6);
	assert_int_equal(staged.last_offset, 9);
	assert_int_equal(staged.timestamp, KIT_TIME + 5);
	/* Both in one turn, as a retry that overtakes nothing. */
	batch.sequence = 4;
	assert_ok(kit_stage(&kit, &batch, &staged));
	assert_ok(kit_stage(&kit, &batch, &staged));
	assert_true(staged.is_duplicate);
	assert_int_equal(staged.base_offset, 10);
	assert_ok(kit_write(&kit));
	assert_int_equal(ot_log_end_offset(kit.log), 14);
	batch.sequence = 9;
	assert_int_equal(kit_stage(&kit, &batch, &staged), OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	for (int round = 0; round < 2; round++) {
		batch.sequence = 4;
		if (round == 0)
			kit_close(&kit);
		else
			kit_drop(&kit);
		kit_open(&kit, round == 0);
		assert_ok(kit_stage(&kit, &batch, &staged));
		assert_true(staged.is_duplicate);
		assert_int_equal(staged.base_offset, 10);
	}
	batch.sequence = 8;
	kit_append(&kit, &batch);
	assert_int_equal(ot_log_end_offset(kit.log), 18);
	kit_fini(&kit);
}

static void
test_transactions_hold_the_last_stable_offset(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_staged staged;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	kit_append(&kit, &(struct kit_batch){ 0 });
	struct kit_batch first = { .producer_id = 1, .is_transactional = true };
	struct kit_batch second = { .producer_id = 2, .is_transactional = true };
	kit_append(&kit, &first);  /* 1 */
	kit_append(&kit, &second); /* 2 */
	assert_int_equal(ot_log_last_stable_offset(kit.log, 3), 1);
	first.is_transactional = false;
	first.sequence = 1;
	assert_int_equal(kit_stage(&kit, &first, &staged), OT_ERR_INVALID_TXN_STATE);
	assert_ok(kit_stage_marker(&kit, 1, 0, false)); /* 3 */
	assert_int_equal(ot_log_last_stable_offset(kit.log, 3), 1);
	assert_ok(kit_write(&kit));
	/* Decided, but the marker is not replicated yet. */
	assert_int_equal(ot_log_last_stable_offset(kit.log, 3), 1);
	ot_log_set_high_watermark(kit.log, 4);
	assert_int_equal(ot_log_last_stable_offset(kit.log, 4), 2);
	assert_ok(kit_stage_marker(&kit, 2, 0, true)); /* 4 */
	assert_ok(kit_write(&kit));
	ot_log_set_high_watermark(kit.log, 5);
	assert_int_equal(ot_log_last_stable_offset(kit.log, 5), 5);
	kit_append(&kit, &first); /* 5 */
	struct ot_log_stats stats;
	ot_log_get_stats(kit.log, &stats);
	assert_int_equal(stats.txn_count, 0);
	assert_int_equal(stats.producer_count, 2);
	kit_fini(&kit);
}

struct seen {
	struct ot_log_aborted aborted[16];
	uint32_t count;
};

static void
see(void *arg, const struct ot_log_aborted *aborted)
{
	struct seen *seen = arg;
	assert_true(seen->count < OT_ARRAY_COUNT(seen->aborted));
	seen->aborted[seen->count++] = *aborted;
}

static void
check_aborted(struct kit *kit)
{
	struct seen seen = { .count = 0 };
	assert_ok(ot_log_visit_aborted_in(kit->log, 0, 100, see, &seen));
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.aborted[0].producer_id, 2);
	assert_int_equal(seen.aborted[0].first_offset, 1);
	assert_int_equal(seen.aborted[0].last_offset, 2);
	assert_int_equal(seen.aborted[1].producer_id, 1);
	assert_int_equal(seen.aborted[1].first_offset, 0);
	assert_int_equal(seen.aborted[1].last_offset, 4);
	assert_int_equal(seen.aborted[2].last_offset, 8);
	seen.count = 0;
	assert_ok(ot_log_visit_aborted_in(kit->log, 3, 4, see, &seen));
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.aborted[0].producer_id, 1);
	seen.count = 0;
	assert_ok(ot_log_visit_aborted_in(kit->log, 5, 6, see, &seen));
	assert_int_equal(seen.count, 0);
}

/* Transactions that lie in each other, over a roll; the index survives closing, loss and damage. */
static void
test_aborted_transactions(void **state)
{
	(void)state;
	struct kit kit;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	kit_append(&kit, &(struct kit_batch){ .producer_id = 1, .is_transactional = true });
	kit_append(&kit, &(struct kit_batch){ .producer_id = 2, .is_transactional = true });
	assert_ok(kit_stage_marker(&kit, 2, 0, false)); /* 2 */
	assert_ok(kit_write(&kit));
	kit_append(&kit, &(struct kit_batch){ .producer_id = 3 });
	assert_ok(ot_log_roll(kit.log, kit.now, false));
	assert_ok(kit_stage_marker(&kit, 1, 0, false)); /* 4 */
	assert_ok(kit_write(&kit));
	kit_append(&kit,
	    &(struct kit_batch){ .producer_id = 2, .sequence = 1, .is_transactional = true });
	assert_ok(kit_stage_marker(&kit, 2, 0, true)); /* 6 */
	assert_ok(kit_write(&kit));
	kit_append(&kit,
	    &(struct kit_batch){ .producer_id = 2, .sequence = 2, .is_transactional = true });
	assert_ok(kit_stage_marker(&kit, 2, 0, false)); /* 8 */
	assert_ok(kit_write(&kit));
	check_aborted(&kit);
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000000.txnindex"),
	    LOG_TXN_ENTRY_BYTES);
	kit_close(&kit);
	assert_int_equal(kit_file_bytes(&kit, "00000000000000000004.txnindex"),
	    2 * LOG_TXN_ENTRY_BYTES);
	kit_open(&kit, true);
	check_aborted(&kit);
	kit_close(&kit);
	kit_remove_file(&kit, "00000000000000000004.txnindex");
	kit_remove_file(&kit, "00000000000000000009.snapshot");
	kit.recovery_point = 4;
	kit_open(&kit, false);
	check_aborted(&kit);
	kit_close(&kit);
	kit_damage(&kit, "00000000000000000004.txnindex", LOG_TXN_ENTRY_BYTES + 1);
	kit_open(&kit, true);
	assert_int_equal(kit.result.indexes_rebuilt, 1);
	check_aborted(&kit);
	kit_fini(&kit);
}

static void
test_markers_of_zombies(void **state)
{
	(void)state;
	struct kit kit;
	struct ot_log_producer producer;
	kit_init(&kit, NULL);
	kit_open(&kit, true);
	kit_append(&kit,
	    &(struct kit_batch){ .producer_id = 1, .producer_epoch = 3, .is_transactional = true });
	assert_int_equal(kit_stage_marker(&kit, 1, 2, true), OT_ERR_INVALID_PRODUCER_EPOCH);
	assert_ok(kit_stage_marker(&kit, 1, 4, true));
	assert_ok(kit_write(&kit));
	assert_true(ot_log_get_producer(kit.log, 1, &producer));
	assert_int_equal(producer.producer_epoch, 4);
	assert_int_equal(producer.coordinator_epoch, 1);
	assert_int_equal(producer.txn_first_offset, -1);
	assert_int_equal(producer.last_sequence, OT_NO_SEQUENCE);
	kit_append(&kit,
	    &(struct kit_batch){ .producer_id = 1, .producer_epoch = 4, .is_transactional = true });
	kit_fini(&kit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_producers_come_and_go),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_last_five_are_known_again),
		cmocka_unit_test(test_snapshot_bytes),
		cmocka_unit_test(test_duplicates_get_their_offsets_again),
		cmocka_unit_test(test_transactions_hold_the_last_stable_offset),
		cmocka_unit_test(test_aborted_transactions),
		cmocka_unit_test(test_markers_of_zombies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
