/* Goal: the codec reads and writes the bytes that the protocol prescribes, and no damage to them
 * makes it read past its input or take more memory than the arena allows.
 *
 * Method: golden.txt holds messages written by hand. Each is decoded, printed and encoded again;
 * then decoded cut off after every byte, and with every bit flipped. */
#include "../test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "wire/api.h"

enum { GOLDEN_COUNT_MAX = 100, BYTES_MAX = 1024, ARENA_BYTES_MAX = 64 * 1024 };

struct golden {
	const struct ot_msg *type;
	int16_t version;
	uint8_t bytes[BYTES_MAX];
	size_t byte_count;
	char *json;
};

static struct golden goldens[GOLDEN_COUNT_MAX];
static size_t golden_count;

static unsigned
hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *place = strchr(digits, digit);
	assert_true(digit != 0 && place != NULL);
	return (unsigned)(place - digits);
}

/* The bytes of a line, up to the bar. */
static void
add_bytes(struct golden *golden, const char *line)
{
	for (; *line != 0 && *line != '|' && *line != '\n'; line++) {
		if (isspace((unsigned char)*line))
			continue;
		assert_true(golden->byte_count < BYTES_MAX);
		uint8_t *byte = &golden->bytes[golden->byte_count++];
		*byte = (uint8_t)(hex_digit(line[0]) << 4 | hex_digit(line[1]));
		line++;
	}
}

/* A line "NAME VERSION". */
static void
set_message(struct golden *golden, const char *line)
{
	const char *space = strchr(line, ' ');
	assert_non_null(space);
	struct ot_str name = { line, (int32_t)(space - line) };
	golden->type = ot_msg_find_name(name);
	golden->version = (int16_t)strtol(space, NULL, 10);
	assert_non_null(golden->type);
}

static int
load(void **state)
{
	(void)state;
	FILE *file = fopen(GOLDEN_PATH, "r");
	assert_non_null(file);
	char line[4096];
	struct golden *golden = NULL;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '#' || line[0] == '\n') {
			continue;
		} else if (golden == NULL) {
			assert_true(golden_count < GOLDEN_COUNT_MAX);
			golden = &goldens[golden_count++];
			set_message(golden, line);
		} else if (line[0] == '=') {
			line[strcspn(line, "\n")] = 0;
			golden->json = ot_must_strdup(line + 2);
			golden = NULL;
		} else {
			add_bytes(golden, line);
		}
	}
	assert_null(golden);
	fclose(file);
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	for (size_t i = 0; i < golden_count; i++)
		ot_free(goldens[i].json);
	return 0;
}

/* Decodes a copy of exactly `byte_count` bytes, so that a sanitizer sees a read past them. */
static ot_err
decode(const struct golden *golden, const uint8_t *bytes, size_t byte_count, struct ot_arena *arena,
    uint8_t **ret_copy, void *ret_msg)
{
	uint8_t *copy = ot_alloc(byte_count > 0 ? byte_count : 1);
	assert_non_null(copy);
	if (byte_count > 0)
		memcpy(copy, bytes, byte_count);
	struct ot_reader in = ot_reader_of(copy, byte_count);
	*ret_copy = copy;
	return ot_msg_decode(golden->type, golden->version, &in, arena, ret_msg);
}

/* What is wrong with the golden message, or NULL. */
static const char *
check_golden(const struct golden *golden, struct ot_arena *arena, struct ot_writer *out,
    uint8_t **ret_copy, void *msg)
{
	ot_err err = decode(golden, golden->bytes, golden->byte_count, arena, ret_copy, msg);
	if (err != OT_OK)
		return ot_err_name(err);
	assert_ok(ot_msg_print(golden->type, golden->version, msg, out));
	ot_write_i8(out, 0);
	if (strcmp((const char *)out->data, golden->json) != 0)
		return (const char *)out->data;
	ot_writer_reset(out);
	assert_ok(ot_msg_encode(golden->type, golden->version, msg, out, NULL));
	bool same = out->bytes == golden->byte_count &&
	            (out->bytes == 0 || memcmp(out->data, golden->bytes, out->bytes) == 0);
	return same ? NULL : "encodes to other bytes";
}

static void
test_golden(void **state)
{
	(void)state;
	int failures = 0;
	assert_true(golden_count > 20);
	for (size_t i = 0; i < golden_count; i++) {
		struct ot_arena arena;
		struct ot_writer out;
		uint8_t *copy;
		ot_arena_init(&arena, ARENA_BYTES_MAX);
		ot_writer_init(&out);
		void *msg = ot_must_alloc(goldens[i].type->body->bytes);
		const char *wrong = check_golden(&goldens[i], &arena, &out, &copy, msg);
		if (wrong != NULL)
			print_error("%s %d: %s\n", goldens[i].type->name, goldens[i].version,
			    wrong);
		failures += wrong != NULL;
		ot_free(copy);
		ot_free(msg);
		ot_writer_fini(&out);
		ot_arena_fini(&arena);
	}
	assert_int_equal(failures, 0);
}

/* Decodes damaged bytes; whatever comes out must encode again. Returns the error. */
static ot_err
try_damaged(const struct golden *golden, const uint8_t *bytes, size_t byte_count)
{
	struct ot_arena arena;
	uint8_t *copy;
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	void *msg = ot_must_alloc(golden->type->body->bytes);
	ot_err err = decode(golden, bytes, byte_count, &arena, &copy, msg);
	assert_true(arena.bytes_total <= ARENA_BYTES_MAX);
	if (err == OT_OK) {
		struct ot_writer out;
		ot_writer_init(&out);
		assert_ok(ot_msg_encode(golden->type, golden->version, msg, &out, NULL));
		ot_writer_fini(&out);
	}
	ot_free(copy);
	ot_free(msg);
	ot_arena_fini(&arena);
	return err;
}

static void
test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < golden_count; i++) {
		for (size_t count = 0; count < goldens[i].byte_count; count++) {
			ot_err err = try_damaged(&goldens[i], goldens[i].bytes, count);
			assert_true(err == OT_ERR_TRUNCATED || err == OT_ERR_MALFORMED);
		}
	}
}

static void
test_trailing(void **state)
{
	(void)state;
	for (size_t i = 0; i < golden_count; i++) {
		uint8_t bytes[BYTES_MAX + 1] = { 0 };
		memcpy(bytes, goldens[i].bytes, goldens[i].byte_count);
		ot_err err = try_damaged(&goldens[i], bytes, goldens[i].byte_count + 1);
		assert_int_equal(err, OT_ERR_MALFORMED);
	}
}

static void
test_flipped(void **state)
{
	(void)state;
	for (size_t i = 0; i < golden_count; i++) {
		uint8_t bytes[BYTES_MAX];
		memcpy(bytes, goldens[i].bytes, goldens[i].byte_count);
		for (size_t bit = 0; bit < goldens[i].byte_count * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			(void)try_damaged(&goldens[i], bytes, goldens[i].byte_count);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_trailing),
		cmocka_unit_test(test_flipped),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
