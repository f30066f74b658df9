#include "base/crc.h"

#include <isa-l/crc.h>

#include "base/panic.h"

uint32_t
ot_crc32c(uint32_t seed, const void *data, size_t bytes)
{
	OT_ASSERT(bytes <= INT32_MAX);
	/* ISA-L leaves the two complements to the caller, and does not write through the
	 * pointer. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)bytes, ~seed);
}

uint32_t
ot_crc32(uint32_t seed, const void *data, size_t bytes)
{
	return crc32_gzip_refl(seed, data, bytes);
}
