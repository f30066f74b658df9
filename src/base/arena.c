#include "base/arena.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum {
	ARENA_CHUNK_BYTES_MIN = 4 * 1024,
	ARENA_CHUNK_BYTES_MAX = 1024 * 1024,
	ARENA_ALIGN = 16,
};

struct ot_arena_chunk {
	struct ot_arena_chunk *older;
	size_t bytes; /* of data */
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

_Static_assert(sizeof(struct ot_arena_chunk) % ARENA_ALIGN == 0, "data must start aligned");

void
ot_arena_init(struct ot_arena *arena, size_t bytes_max)
{
	*arena = (struct ot_arena){ .bytes_max = bytes_max };
}

static void
free_chunks(struct ot_arena *arena, struct ot_arena_chunk *keep)
{
	while (arena->chunk != keep) {
		struct ot_arena_chunk *older = arena->chunk->older;
		arena->bytes_total -= sizeof(*arena->chunk) + arena->chunk->bytes;
		ot_free(arena->chunk);
		arena->chunk = older;
	}
}

void
ot_arena_fini(struct ot_arena *arena)
{
	free_chunks(arena, NULL);
	arena->next = arena->end = NULL;
}

void
ot_arena_reset(struct ot_arena *arena)
{
	struct ot_arena_chunk *first = arena->chunk;
	while (first != NULL && first->older != NULL)
		first = first->older;
#ifdef OT_PLAIN_ALLOC
	first = NULL;
#endif
	/* A first chunk of unusual size belonged to one large request. */
	if (first != NULL && first->bytes > ARENA_CHUNK_BYTES_MAX)
		first = NULL;
	free_chunks(arena, first);
	arena->next = first != NULL ? first->data : NULL;
	arena->end = first != NULL ? first->data + first->bytes : NULL;
}

static bool
add_chunk(struct ot_arena *arena, size_t bytes)
{
	size_t wanted = bytes;
#ifndef OT_PLAIN_ALLOC
	size_t doubled = arena->chunk == NULL ? ARENA_CHUNK_BYTES_MIN : arena->chunk->bytes * 2;
	wanted = OT_MAX(bytes, OT_MIN(doubled, (size_t)ARENA_CHUNK_BYTES_MAX));
#endif
	size_t total = sizeof(struct ot_arena_chunk) + wanted;
	if (arena->bytes_max != 0 && arena->bytes_total + total > arena->bytes_max)
		return false;
	struct ot_arena_chunk *chunk = ot_alloc_raw(total);
	if (chunk == NULL)
		return false;
	chunk->older = arena->chunk;
	chunk->bytes = wanted;
	arena->chunk = chunk;
	arena->next = chunk->data;
	arena->end = chunk->data + wanted;
	arena->bytes_total += total;
	return true;
}

void *
ot_arena_alloc(struct ot_arena *arena, size_t bytes)
{
	if (bytes > SIZE_MAX / 2)
		return NULL;
	size_t rounded =
	    OT_MAX((bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1), ARENA_ALIGN);
#ifdef OT_PLAIN_ALLOC
	rounded = OT_MAX(bytes, 1);
	if (!add_chunk(arena, rounded))
		return NULL;
#endif
	if ((size_t)(arena->end - arena->next) < rounded && !add_chunk(arena, rounded))
		return NULL;
	void *object = arena->next;
	arena->next += rounded;
	return memset(object, 0, rounded);
}

void *
ot_arena_array(struct ot_arena *arena, size_t count, size_t bytes)
{
	size_t total;
	if (__builtin_mul_overflow(count, bytes, &total))
		return NULL;
	return ot_arena_alloc(arena, total);
}

char *
ot_arena_strndup(struct ot_arena *arena, const char *data, size_t bytes)
{
	char *copy = ot_arena_alloc(arena, bytes + 1);
	if (copy != NULL && bytes > 0)
		memcpy(copy, data, bytes);
	return copy;
}
