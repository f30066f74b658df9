/* Seeded random numbers: xoshiro256** by Blackman and Vigna, its state filled by splitmix64.
 *
 * Everything that the simulator decides comes from one seed through streams of this kind. Each part
 * (a disk, a host, the network) has a stream of its own, forked by label, so that one more draw in
 * one part does not change what all others do.
 */
#ifndef OT_SIM_RANDOM_H
#define OT_SIM_RANDOM_H

#include "base/defs.h"

struct ot_sim_random {
	uint64_t state[4];
};

enum { OT_SIM_MILLION = 1000 * 1000 };

/* @owner the stream's   @blocks never */
void ot_sim_random_init(struct ot_sim_random *random, uint64_t seed);

/* A stream that depends on the parent's seed and the label only, not on what was drawn since from
 * other forks; it takes one draw of the parent. @owner the stream's */
struct ot_sim_random ot_sim_random_fork(struct ot_sim_random *random, uint64_t label);

/* @owner the stream's */
uint64_t ot_sim_random_u64(struct ot_sim_random *random);

/* Even over 0 .. bound - 1; bound > 0. @owner the stream's */
uint64_t ot_sim_random_below(struct ot_sim_random *random, uint64_t bound);

/* Even over least .. most, both included. @owner the stream's */
uint64_t ot_sim_random_between(struct ot_sim_random *random, uint64_t least, uint64_t most);

/* True with a chance of `per_million` in a million; 0 draws nothing. @owner the stream's */
bool ot_sim_random_chance(struct ot_sim_random *random, uint32_t per_million);

/* @owner the stream's */
void ot_sim_random_fill(struct ot_sim_random *random, void *to, size_t bytes);

#endif
