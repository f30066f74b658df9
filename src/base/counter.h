/* Numbers and marks that several threads touch without owning each other: statistics, and things
 * that only the first may do. Nothing else is ordered by them. */
#ifndef OT_BASE_COUNTER_H
#define OT_BASE_COUNTER_H

#include <stdatomic.h>

#include "base/defs.h"

struct ot_counter {
	_Atomic int64_t value; /* [atomic] */
};

struct ot_once {
	_Atomic bool is_taken; /* [atomic] */
};

/* @owner any thread */
static inline void
ot_counter_add(struct ot_counter *counter, int64_t amount)
{
	atomic_fetch_add_explicit(&counter->value, amount, memory_order_relaxed);
}

/* @owner any thread */
static inline int64_t
ot_counter_get(const struct ot_counter *counter)
{
	return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* @owner any thread */
static inline void
ot_counter_set(struct ot_counter *counter, int64_t value)
{
	atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

/* True for the first caller, false for all that follow. @owner any thread */
static inline bool
ot_once_take(struct ot_once *once)
{
	return !atomic_exchange(&once->is_taken, true);
}

/* @owner any thread */
static inline bool
ot_once_is_taken(const struct ot_once *once)
{
	return atomic_load(&once->is_taken);
}

#endif
