/* Hash tables: uthash, with our allocator and our panic. Each room uses uthash's macros. */
#ifndef OT_BASE_MAP_H
#define OT_BASE_MAP_H

#include "base/alloc.h"
#include "base/panic.h"

#define uthash_malloc(bytes)    ot_must_alloc(bytes)
#define uthash_free(ptr, bytes) ot_free(ptr)
#define uthash_fatal(message)   OT_PANIC("uthash: %s", message)
#include <uthash.h>

#endif
