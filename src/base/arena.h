/* Arena: memory of one request, freed at once when its response has left.
 *
 * Chunks double up to ARENA_CHUNK_BYTES_MAX; a reset keeps the first chunk, so a steady stream of
 * small requests allocates nothing. With OT_PLAIN_ALLOC every object is a malloc of its own, so
 * that AddressSanitizer sees its bounds and its end.
 */
#ifndef OT_BASE_ARENA_H
#define OT_BASE_ARENA_H

#include "base/defs.h"

struct ot_arena_chunk;

struct ot_arena {
	struct ot_arena_chunk *chunk; /* newest first; NULL until the first use */
	uint8_t *next;
	uint8_t *end;
	size_t bytes_total; /* what all chunks take from the heap */
	size_t bytes_max;   /* ot_arena_alloc() fails beyond this; 0: no bound */
};

/* @owner the arena's   @blocks never */
void ot_arena_init(struct ot_arena *arena, size_t bytes_max);
void ot_arena_fini(struct ot_arena *arena);

/* Frees all objects, keeps the first chunk for the next request. @owner the arena's */
void ot_arena_reset(struct ot_arena *arena);

/* Zeroed, aligned to 16; NULL when memory or the bound is exhausted. 0 bytes give a valid pointer.
 * Lives until reset or fini. @owner the arena's   @blocks never */
void *ot_arena_alloc(struct ot_arena *arena, size_t bytes) OT_MUST_USE;

/* count * bytes with the overflow checked. @owner the arena's */
void *ot_arena_array(struct ot_arena *arena, size_t count, size_t bytes) OT_MUST_USE;

/* A copy of `bytes` at `data`, with a NUL behind it; NULL as above. @owner the arena's */
char *ot_arena_strndup(struct ot_arena *arena, const char *data, size_t bytes) OT_MUST_USE;

#endif
