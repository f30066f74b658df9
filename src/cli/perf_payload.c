#include "cli/perf_payload_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* SplitMix64: one multiplication chain per eight letters. */
static uint64_t
next_random(struct perf_payload *payload)
{
	uint64_t z = payload->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
perf_payload_init_letters(struct perf_payload *payload, size_t bytes)
{
	*payload = (struct perf_payload){ .bytes = bytes };
	payload->letters = ot_must_alloc(bytes);
}

void
perf_payload_init_numbers(struct perf_payload *payload)
{
	*payload = (struct perf_payload){ .random = 0 };
}

/* Turns the escapes of a delimiter into what they mean, in `room`. */
static struct ot_bytes
read_delimiter(const char *delimiter, uint8_t *room, size_t bytes_max)
{
	size_t bytes = 0;
	for (const char *at = delimiter; *at != '\0' && bytes < bytes_max; at++) {
		char sign = *at;
		if (sign == '\\' && at[1] != '\0') {
			at++;
			sign = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at == 'r' ? '\r' : *at;
		}
		room[bytes++] = (uint8_t)sign;
	}
	return (struct ot_bytes){ room, (int32_t)bytes };
}

void
perf_payload_init_file(struct perf_payload *payload, const char *text, size_t bytes,
    const char *delimiter)
{
	uint8_t room[64];
	struct ot_bytes cut = read_delimiter(delimiter, room, sizeof(room));
	size_t capacity = 1024;
	const char *at = text, *end = text + bytes;
	*payload = (struct perf_payload){ .random = 0 };
	payload->pieces = ot_must_alloc(capacity * sizeof(*payload->pieces));
	while (at < end) {
		const char *found =
		    cut.len > 0 ? memmem(at, (size_t)(end - at), cut.data, (size_t)cut.len) : NULL;
		const char *stop = found != NULL ? found : end;
		if (payload->piece_count == capacity) {
			struct ot_bytes *grown = ot_must_alloc(2 * capacity * sizeof(*grown));
			memcpy(grown, payload->pieces, capacity * sizeof(*grown));
			ot_free(payload->pieces);
			payload->pieces = grown;
			capacity *= 2;
		}
		payload->pieces[payload->piece_count++] =
		    (struct ot_bytes){ (const uint8_t *)at, (int32_t)(stop - at) };
		at = stop + cut.len;
	}
}

void
perf_payload_fini(struct perf_payload *payload)
{
	ot_free(payload->letters);
	ot_free(payload->pieces);
}

/* A byte times 26 over 256 is a letter's number: not perfectly even, and no division. */
static void
fill_letters(struct perf_payload *payload)
{
	for (size_t at = 0; at < payload->bytes;) {
		uint64_t random = next_random(payload);
		size_t count = OT_MIN(payload->bytes - at, sizeof(random));
		for (size_t i = 0; i < count; i++, random >>= 8)
			payload->letters[at + i] = (uint8_t)('A' + ((random & 0xff) * 26 >> 8));
		at += count;
	}
}

struct ot_bytes
perf_payload_next(struct perf_payload *payload, uint64_t index)
{
	if (payload->letters != NULL) {
		fill_letters(payload);
		return (struct ot_bytes){ payload->letters, (int32_t)payload->bytes };
	}
	if (payload->pieces != NULL)
		return payload->pieces[next_random(payload) % payload->piece_count];
	int bytes = snprintf(payload->number, sizeof(payload->number), "%" PRIu64, index);
	return (struct ot_bytes){ (const uint8_t *)payload->number, bytes };
}
