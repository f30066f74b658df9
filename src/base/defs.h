/* Small macros that every room uses. Leaves only: nothing here has state. */
#ifndef OT_BASE_DEFS_H
#define OT_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OT_MUST_USE        __attribute__((warn_unused_result))
#define OT_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define OT_NORETURN        __attribute__((noreturn))
#define OT_UNUSED          __attribute__((unused))
#define OT_LIKELY(x)       __builtin_expect(!!(x), 1)
#define OT_UNLIKELY(x)     __builtin_expect(!!(x), 0)

#define OT_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OT_MIN(a, b)          ((a) < (b) ? (a) : (b))
#define OT_MAX(a, b)          ((a) > (b) ? (a) : (b))

/* The object whose `member` is at `ptr`. */
#define OT_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define OT_KIB (1024u)
#define OT_MIB (1024u * 1024u)
#define OT_GIB (1024ull * 1024ull * 1024ull)

#endif
