/* Comparing replicas, batch by batch. Batches here have a header and some bytes for records. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replica_check_int.h"

enum { HEADER = 61, BODY = 4, BATCH = HEADER + BODY };

static char *text;
static size_t text_bytes;
static FILE *out;
static uint8_t logs[3][4 * BATCH];
static struct cli_replica_answer answers[3];
static struct cli_replica_check check;

static void
put(uint8_t *to, uint64_t number, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

/* A batch of `count` records from `base` on. */
static void
put_batch(uint8_t *to, int64_t base, int32_t count, uint32_t crc, uint8_t body)
{
	memset(to, 0, BATCH);
	put(to, (uint64_t)base, 8);
	put(to + 8, BATCH - 12, 4);
	to[16] = 2; /* magic */
	put(to + 17, crc, 4);
	put(to + 23, (uint64_t)count - 1, 4);
	put(to + 43, UINT64_MAX, 8); /* producer id */
	put(to + 51, UINT64_MAX, 2);
	put(to + 53, UINT64_MAX, 4);
	put(to + 57, (uint64_t)count, 4);
	memset(to + HEADER, body, BODY);
}

/* Three replicas of the same two batches, offsets 0 to 4 and 5 to 9. */
static void
fill(void)
{
	check = (struct cli_replica_check){ .name = { OT_STR_LIT("t"), 0 },
		.replicas = answers,
		.replica_count = 3 };
	for (int32_t i = 0; i < 3; i++) {
		put_batch(logs[i], 0, 5, 77, 'a');
		put_batch(logs[i] + BATCH, 5, 5, 78, 'b');
		answers[i] = (struct cli_replica_answer){ i + 1, true, { logs[i], 2 * BATCH }, 10 };
	}
}

static int
set_up(void **state)
{
	(void)state;
	out = open_memstream(&text, &text_bytes);
	fill();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fclose(out);
	free(text);
	return 0;
}

static bool
was_printed(const char *part)
{
	fflush(out);
	return strstr(text, part) != NULL;
}

static void
test_same(void **state)
{
	(void)state;
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_AGREE);
	assert_int_equal(check.offset, 10);
	assert_int_equal(cli_replica_high_watermark(&check), 10);
	assert_true(was_printed(""));
	assert_int_equal(text_bytes, 0);
}

/* Goal: what is not on all replicas, or not below a high watermark, is for the next round. */
static void
test_limits(void **state)
{
	(void)state;
	answers[2].high_watermark = 9; /* within the second batch */
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_AGREE);
	assert_int_equal(check.offset, 5);
	fill();
	answers[1].records.len = BATCH + HEADER; /* cut off */
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_AGREE);
	assert_int_equal(check.offset, 5);
	fill();
	answers[1].is_there = false;
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_AGREE);
	assert_int_equal(check.offset, 0);
}

/* Goal: a comparison that begins in the middle of a batch takes that batch whole, and what ends
 * before is left out, also where only one replica sent it. */
static void
test_start_within(void **state)
{
	(void)state;
	check.offset = 7;
	answers[1].records.data += BATCH;
	answers[1].records.len -= BATCH;
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_AGREE);
	assert_int_equal(check.offset, 10);
}

static void
test_checksum(void **state)
{
	(void)state;
	put_batch(logs[2], 0, 5, 70, 'a');
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_DIFFER);
	assert_int_equal(check.offset, 10); /* it goes on behind the difference */
	assert_true(was_printed(": partition t-0 has unmatched checksum at offset 4; replica 1's "
				"checksum 77; replica 3's checksum 70\n"));
}

/* Goal: a byte that changed on a disk, under the checksum that was written with it, is found. */
static void
test_flipped_byte(void **state)
{
	(void)state;
	logs[1][BATCH - 1] ^= 1;
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_DIFFER);
	assert_true(was_printed("partition t-0 has unmatched records at offset 4; replica 1's and "
				"replica 2's checksum is 77\n"));
}

static void
test_offsets(void **state)
{
	(void)state;
	put_batch(logs[1] + BATCH, 5, 4, 78, 'b');
	assert_int_equal(cli_replica_compare(&check, 0, out), CLI_REPLICAS_MISALIGNED);
	assert_int_equal(check.offset, 5);
	assert_true(was_printed(
	    ": partition t-0: replica 1's offset 9 doesn't match replica 2's offset 8\n"));
}

int
main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_same),
		ROW(test_limits),
		ROW(test_start_within),
		ROW(test_checksum),
		ROW(test_flipped_byte),
		ROW(test_offsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
