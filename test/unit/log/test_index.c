/* Goal: an index finds the same floor in memory, in the file, and over both, from whatever guess;
 * cuts and late writes keep file and memory the same. And the names of files are Kafka's. */
#include "kit.h"

enum { ENTRIES = 3000 };

struct fixture {
	struct kit kit;
	struct log_index index;
	char path[LOG_PATH_BYTES];
};

static void
init(struct fixture *fixture, enum log_index_kind kind)
{
	kit_init(&fixture->kit, NULL);
	log_path_named(fixture->path, fixture->kit.root, "index");
	log_index_init(&fixture->index, kind);
	assert_ok(log_index_open(&fixture->index, fixture->kit.fs, fixture->path, true));
}

static void
fini(struct fixture *fixture)
{
	log_index_fini(&fixture->index);
	kit_fini(&fixture->kit);
}

/* Entry i names offset 1000 + 7i + 3 at place 100(i + 1). */
static void
push_offsets(struct log_index *index, uint32_t count)
{
	assert_ok(log_index_reserve(index, count));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = index->count;
		log_index_push_offset(index, 1000,
		    &(struct log_offset_entry){ .offset = 1003 + 7 * (int64_t)slot,
			.place = 100 * ((uint64_t)slot + 1) });
	}
}

static void
expect(const struct log_index *index, int64_t key, bool is_by_place, uint32_t guess)
{
	struct log_index_search search = {
		.key = key,
		.is_by_place = is_by_place,
		.may_block = true,
		.guess = guess,
	};
	int64_t expected = is_by_place ? key / 100 : (key - 3 + 7) / 7;
	expected = key < 3 && !is_by_place ? 0 : expected;
	expected = OT_MIN(expected, (int64_t)index->count);
	assert_ok(log_index_find(index, &search));
	assert_int_equal(search.count, expected);
	if (expected > 0)
		assert_int_equal(log_offset_entry_read(search.floor, 0).offset,
		    3 + 7 * (expected - 1));
}

static void
expect_all(const struct log_index *index)
{
	static const uint32_t guesses[] = { 0, 1, 130, 1500, 2999, 100000 };
	for (int64_t key = 0; key < 7 * ENTRIES + 20; key += 1 + key % 13) {
		for (size_t i = 0; i < OT_ARRAY_COUNT(guesses); i++) {
			expect(index, key, false, guesses[i]);
			expect(index, key * 100 / 7, true, guesses[i]);
		}
	}
}

static void
test_searches(void **state)
{
	(void)state;
	struct fixture fixture;
	init(&fixture, LOG_INDEX_OFFSET);
	struct log_index *index = &fixture.index;
	expect(index, 5, false, 0);
	push_offsets(index, ENTRIES);
	expect_all(index);
	/* Written, the newest stay in memory. */
	assert_ok(log_index_write(index));
	assert_int_equal(log_index_pending(index), 0);
	assert_true(index->tail_first > 0);
	assert_true(index->count - index->tail_first <= LOG_INDEX_TAIL_MAX);
	expect_all(index);
	log_index_forget_tail(index);
	expect_all(index);
	/* More on top of what is in the file alone. */
	push_offsets(index, 100);
	expect_all(index);
	fini(&fixture);
}

static void
test_cuts(void **state)
{
	(void)state;
	struct fixture fixture;
	uint64_t bytes = 0;
	init(&fixture, LOG_INDEX_OFFSET);
	struct log_index *index = &fixture.index;
	push_offsets(index, 1000);
	assert_ok(log_index_write(index));
	push_offsets(index, 50);
	assert_ok(log_index_cut(index, 1020));
	assert_int_equal(log_index_pending(index), 20);
	expect(index, 7000, false, 0);
	assert_ok(log_index_cut(index, 990));
	assert_ok(ot_file_size(index->file, &bytes));
	assert_int_equal(bytes, 990 * LOG_OFFSET_ENTRY_BYTES);
	assert_ok(log_index_cut(index, 10));
	assert_int_equal(index->tail_first, 10);
	push_offsets(index, ENTRIES);
	assert_ok(log_index_write(index));
	expect_all(index);
	assert_ok(log_index_cut(index, 0));
	expect(index, 7000, false, 0);
	fini(&fixture);
}

static void
test_other_kinds(void **state)
{
	(void)state;
	struct fixture fixture;
	struct log_txn_entry txn;
	struct log_time_entry time;
	uint32_t count = 0;
	init(&fixture, LOG_INDEX_TXN);
	assert_ok(log_index_reserve(&fixture.index, 600));
	for (int64_t i = 0; i < 600; i++)
		log_index_push_txn(&fixture.index, &(struct log_txn_entry){ .producer_id = i,
						       .first_offset = 10 * i,
						       .last_offset = 10 * i + 5,
						       .last_stable_offset = 10 * i + 6 });
	assert_ok(log_index_write(&fixture.index));
	log_index_forget_tail(&fixture.index);
	assert_ok(log_index_count_to(&fixture.index, 3004, &count));
	assert_int_equal(count, 300);
	assert_ok(log_index_get_txn(&fixture.index, 300, &txn));
	assert_int_equal(txn.producer_id, 300);
	assert_int_equal(txn.last_stable_offset, 3006);
	fini(&fixture);
	init(&fixture, LOG_INDEX_TIME);
	assert_ok(log_index_reserve(&fixture.index, 600));
	for (int64_t i = 0; i < 600; i++)
		log_index_push_time(&fixture.index, 50,
		    &(struct log_time_entry){ .timestamp = KIT_TIME + i, .offset = 50 + 2 * i });
	assert_ok(log_index_count_to(&fixture.index, KIT_TIME + 99, &count));
	assert_int_equal(count, 100);
	assert_ok(log_index_get_time(&fixture.index, 50, 99, &time));
	assert_int_equal(time.offset, 248);
	fini(&fixture);
}

static void
test_names(void **state)
{
	(void)state;
	char path[LOG_PATH_BYTES];
	static const char *const wrong[] = { "", "log", "0.log", "00000000000000000000",
		"0000000000000000000x.log", "00000000000000000000.logs",
		"00000000000000000000.log.", "99999999999999999999.log",
		"000000000000000000000.log", "meta.properties" };
	struct log_name name = log_name_parse("00000000000000012345.timeindex.cleaned");
	assert_int_equal(name.kind, LOG_FILE_TIMEINDEX);
	assert_int_equal(name.state, LOG_STATE_CLEANED);
	assert_int_equal(name.offset, 12345);
	name = log_name_parse("09223372036854775807.snapshot");
	assert_int_equal(name.kind, LOG_FILE_SNAPSHOT);
	assert_true(name.offset == INT64_MAX);
	for (size_t i = 0; i < OT_ARRAY_COUNT(wrong); i++)
		assert_int_equal(log_name_parse(wrong[i]).kind, LOG_FILE_OTHER);
	log_path(path, "/data/t-0", 42, LOG_FILE_TXNINDEX, LOG_STATE_DELETED);
	assert_string_equal(path, "/data/t-0/00000000000000000042.txnindex.deleted");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
