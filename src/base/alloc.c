#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

/* [atomic] 0: no failure is planned. Read on each allocation, written by tests only. */
static _Atomic uint64_t alloc_fail_countdown;

static bool
alloc_should_fail(void)
{
	if (OT_LIKELY(atomic_load_explicit(&alloc_fail_countdown, memory_order_relaxed) == 0))
		return false;
	return atomic_fetch_sub(&alloc_fail_countdown, 1) == 1;
}

void
ot_alloc_fail_at(uint64_t n)
{
	atomic_store(&alloc_fail_countdown, n);
}

void *
ot_alloc(size_t bytes)
{
	OT_ASSERT(bytes > 0);
	return alloc_should_fail() ? NULL : calloc(1, bytes);
}

void *
ot_alloc_raw(size_t bytes)
{
	OT_ASSERT(bytes > 0);
	return alloc_should_fail() ? NULL : malloc(bytes);
}

void *
ot_realloc(void *ptr, size_t bytes)
{
	OT_ASSERT(bytes > 0);
	return alloc_should_fail() ? NULL : realloc(ptr, bytes);
}

void *
ot_must_alloc(size_t bytes)
{
	void *ptr = calloc(1, OT_MAX(bytes, 1));
	if (ptr == NULL)
		OT_PANIC("out of memory for %zu bytes that the budget allowed", bytes);
	return ptr;
}

char *
ot_must_strndup(const char *data, size_t bytes)
{
	char *copy = ot_must_alloc(bytes + 1);
	if (bytes > 0)
		memcpy(copy, data, bytes);
	return copy;
}

char *
ot_must_strdup(const char *text)
{
	return ot_must_strndup(text, strlen(text));
}

void
ot_free(void *ptr)
{
	free(ptr);
}
