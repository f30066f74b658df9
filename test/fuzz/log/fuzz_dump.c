/* Goal: whatever bytes lie in a file of a log, kafka-dump-log's reader gets to its end or says
 * where and why it stopped; it moves on with each item, and shows no batch beyond the file.
 *
 * Method: the first byte says what the file is called. */
#include "base/panic.h"
#include "log/dump.h"
#include "sim/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = {
	"/00000000000000000000.log",
	"/00000000000000000000.index",
	"/00000000000000000000.timeindex",
	"/00000000000000000000.txnindex",
	"/00000000000000000007.snapshot",
	"/00000000000000000007-0000000001.checkpoint",
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void
put_file(struct ot_fs *fs, const char *path, const uint8_t *data, size_t bytes)
{
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	OT_ASSERT(ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file) ==
		  OT_OK);
	OT_ASSERT(bytes == 0 || ot_file_write(file, &piece, 1, 0) == OT_OK);
	ot_file_unref(file);
}

static void
read_all(struct ot_dump *dump, size_t bytes)
{
	struct ot_dump_item item;
	uint64_t place = ot_dump_place(dump);
	OT_ASSERT(ot_dump_file_bytes(dump) == bytes);
	while (ot_dump_next(dump, &item)) {
		OT_ASSERT(item.kind == ot_dump_get_kind(dump) && item.place >= place);
		OT_ASSERT(ot_dump_place(dump) > item.place && ot_dump_place(dump) <= bytes);
		place = ot_dump_place(dump);
		if (item.kind != OT_DUMP_RECORDS)
			continue;
		/* Its bytes can be read, all of them. */
		volatile uint8_t sum = 0;
		for (size_t i = 0; i < item.batch.bytes; i++)
			sum = (uint8_t)(sum + item.batch.data[i]);
		OT_ASSERT(item.batch.magic < 2 || item.batch.info.bytes == item.batch.bytes);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ot_dump *dump = NULL;
	struct ot_why why = { "" };
	if (bytes == 0)
		return 0;
	const char *name = names[data[0] % NAMES];
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	put_file(fs, name, data + 1, bytes - 1);
	ot_err err = data[0] % NAMES == NAMES - 1 ? ot_dump_open_batches(fs, name, &dump, &why)
	                                          : ot_dump_open(fs, name, &dump, &why);
	OT_ASSERT(err == OT_OK || (err == OT_ERR_CORRUPT_FILE && why.text[0] != '\0'));
	if (err == OT_OK) {
		read_all(dump, bytes - 1);
		err = ot_dump_close(dump, &why);
		OT_ASSERT(err == OT_OK || (err == OT_ERR_CORRUPT_FILE && why.text[0] != '\0'));
	}
	ot_sim_disk_destroy(disk);
	return 0;
}
