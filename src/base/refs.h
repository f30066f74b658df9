/* A count of references, for immutable objects that cross threads.
 *
 * Whoever has a reference may take another; whoever drops the last one frees the object, and sees
 * all that others did before they dropped theirs.
 */
#ifndef OT_BASE_REFS_H
#define OT_BASE_REFS_H

#include <stdatomic.h>

#include "base/defs.h"

struct ot_refs {
	_Atomic uint32_t count; /* [atomic] */
};

/* One reference, the caller's. @owner any thread, before others know the object */
static inline void
ot_refs_init(struct ot_refs *refs)
{
	atomic_init(&refs->count, 1);
}

/* @owner any thread that has a reference */
static inline void
ot_refs_take(struct ot_refs *refs)
{
	atomic_fetch_add_explicit(&refs->count, 1, memory_order_relaxed);
}

/* True: that was the last one, and the object is the caller's to free. @owner any thread */
static inline bool
ot_refs_drop(struct ot_refs *refs)
{
	return atomic_fetch_sub_explicit(&refs->count, 1, memory_order_acq_rel) == 1;
}

/* Whether the caller's reference is the only one: then nobody else can take one.
 * @owner any thread that has a reference */
static inline bool
ot_refs_is_single(const struct ot_refs *refs)
{
	return atomic_load_explicit(&refs->count, memory_order_acquire) == 1;
}

#endif
