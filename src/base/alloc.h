/* Heap memory.
 *
 * Two doors. ot_alloc() is for sizes that a peer or a file decides: it may return NULL and the
 * caller sheds load. ot_must_alloc() is for small objects of our own whose number the memory
 * budget already bounds: there a failure means that the budget was computed wrongly, a bug.
 */
#ifndef OT_BASE_ALLOC_H
#define OT_BASE_ALLOC_H

#include "base/defs.h"

/* Zeroed memory of `bytes` (at least 1), or NULL. Free with ot_free(). @owner any thread */
void *ot_alloc(size_t bytes) OT_MUST_USE;

/* The same without zeroing: for buffers that are filled at once. @owner any thread */
void *ot_alloc_raw(size_t bytes) OT_MUST_USE;

/* Grows or shrinks; NULL leaves `ptr` valid. New bytes are not zeroed. @owner any thread */
void *ot_realloc(void *ptr, size_t bytes) OT_MUST_USE;

/* Zeroed memory, or a panic. @owner any thread */
void *ot_must_alloc(size_t bytes) OT_MUST_USE;

/* A copy of `bytes` at `data` with a NUL behind it, or a panic. @owner any thread */
char *ot_must_strndup(const char *data, size_t bytes) OT_MUST_USE;
char *ot_must_strdup(const char *text) OT_MUST_USE;

/* Accepts NULL. @owner any thread */
void ot_free(void *ptr);

/* Tests: lets the n-th allocation from now through ot_alloc*, ot_realloc fail, once; 0 for never.
 * @owner any thread */
void ot_alloc_fail_at(uint64_t n);

#define OT_NEW(type) ((type *)ot_must_alloc(sizeof(type)))

#endif
