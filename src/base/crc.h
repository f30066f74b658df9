/* Checksums of the record formats: CRC-32C (Castagnoli) of batches, CRC-32 (IEEE) of the message
 * sets before them. ISA-L does the work at tens of GB/s. */
#ifndef OT_BASE_CRC_H
#define OT_BASE_CRC_H

#include "base/defs.h"

/* `seed` is 0, or the value over the bytes before these. @owner any thread */
uint32_t ot_crc32c(uint32_t seed, const void *data, size_t bytes);
uint32_t ot_crc32(uint32_t seed, const void *data, size_t bytes);

#endif
