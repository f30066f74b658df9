/* Time types. Cores read no clock: they are given the time, or a door that tells it. */
#ifndef OT_BASE_TIME_H
#define OT_BASE_TIME_H

#include <stdint.h>

typedef int64_t ot_wall_ms;  /* milliseconds since 1970 UTC, may jump; -1: none */
typedef uint64_t ot_mono_ns; /* nanoseconds of a clock that only moves forward */

enum { OT_NS_PER_US = 1000, OT_NS_PER_MS = 1000 * 1000 };
#define OT_NS_PER_S 1000000000ull

#endif
