/* Goal: no snapshot of producers breaks the table; what can be read can be written and read again.
 * Method: the bytes as they are, and once more with a CRC and a count that are right. */
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "log/producers_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
try(const uint8_t *data, size_t bytes)
{
	struct log_producers producers, back;
	struct ot_writer out;
	struct ot_why why;
	log_producers_init(&producers);
	log_producers_init(&back);
	ot_writer_init(&out);
	if (log_producers_parse(&producers, data, bytes, &why) == OT_OK) {
		log_producers_check(&producers);
		log_producers_print(producers.entries, producers.count, &out);
		OT_ASSERT(log_producers_parse(&back, out.data, out.bytes, &why) == OT_OK);
		OT_ASSERT(back.count == producers.count);
		OT_ASSERT(log_producers_first_unstable(&back) ==
			  log_producers_first_unstable(&producers));
		log_producers_expire(&back, INT64_MAX / 2, 1000);
		log_producers_check(&back);
	}
	ot_writer_fini(&out);
	log_producers_fini(&producers);
	log_producers_fini(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	try(data, bytes);
	if (bytes < LOG_SNAPSHOT_HEADER_BYTES)
		return 0;
	uint8_t *copy = ot_alloc_raw(bytes);
	OT_ASSERT(copy != NULL);
	memcpy(copy, data, bytes);
	size_t count = (bytes - LOG_SNAPSHOT_HEADER_BYTES) / LOG_SNAPSHOT_ENTRY_BYTES;
	size_t right = LOG_SNAPSHOT_HEADER_BYTES + count * LOG_SNAPSHOT_ENTRY_BYTES;
	ot_put_u16(copy, LOG_SNAPSHOT_VERSION);
	ot_put_u32(copy + 6, (uint32_t)count);
	ot_put_u32(copy + 2, ot_crc32c(0, copy + 6, right - 6));
	try(copy, right);
	ot_free(copy);
	return 0;
}
