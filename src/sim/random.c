#include "sim/random.h"

#include <string.h>

#include "base/panic.h"

static uint64_t
splitmix64(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t
rotate_left(uint64_t value, int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

void
ot_sim_random_init(struct ot_sim_random *random, uint64_t seed)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(random->state); i++)
		random->state[i] = splitmix64(&seed);
}

struct ot_sim_random
ot_sim_random_fork(struct ot_sim_random *random, uint64_t label)
{
	struct ot_sim_random child;
	uint64_t state = label;
	ot_sim_random_init(&child, ot_sim_random_u64(random) ^ splitmix64(&state));
	return child;
}

uint64_t
ot_sim_random_u64(struct ot_sim_random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t
ot_sim_random_below(struct ot_sim_random *random, uint64_t bound)
{
	OT_ASSERT(bound > 0);
	/* Values below 2^64 mod bound would make small results likelier: they are drawn again. */
	uint64_t least = (0 - bound) % bound;
	uint64_t value;
	do {
		value = ot_sim_random_u64(random);
	} while (value < least);
	return value % bound;
}

uint64_t
ot_sim_random_between(struct ot_sim_random *random, uint64_t least, uint64_t most)
{
	OT_ASSERT(least <= most);
	if (least == 0 && most == UINT64_MAX)
		return ot_sim_random_u64(random);
	return least + ot_sim_random_below(random, most - least + 1);
}

bool
ot_sim_random_chance(struct ot_sim_random *random, uint32_t per_million)
{
	if (per_million == 0)
		return false;
	return ot_sim_random_below(random, OT_SIM_MILLION) < per_million;
}

void
ot_sim_random_fill(struct ot_sim_random *random, void *to, size_t bytes)
{
	uint8_t *next = to;
	while (bytes > 0) {
		uint64_t value = ot_sim_random_u64(random);
		size_t part = OT_MIN(bytes, sizeof(value));
		memcpy(next, &value, part);
		next += part;
		bytes -= part;
	}
}
