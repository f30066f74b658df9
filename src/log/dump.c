#include "log/dump.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "log/atomic_int.h"
#include "log/log_int.h"
#include "log/scan_int.h"

enum {
	SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024,
	LEGACY_CRC_AT = 12, /* of magic 0 and 1, over all from the magic on */
};

struct ot_dump {
	struct ot_file *file;
	enum ot_dump_kind kind;
	int64_t base_offset;
	uint64_t place;
	uint64_t bytes;
	uint8_t *window;
	uint8_t *batch; /* the last one */
	struct log_scan scan;
	struct ot_writer snapshot;
	ot_err err;
	struct ot_why why;
};

static const enum ot_dump_kind kind_of_file[] = {
	[LOG_FILE_LOG] = OT_DUMP_RECORDS,
	[LOG_FILE_INDEX] = OT_DUMP_OFFSET_INDEX,
	[LOG_FILE_TIMEINDEX] = OT_DUMP_TIME_INDEX,
	[LOG_FILE_TXNINDEX] = OT_DUMP_TXN_INDEX,
	[LOG_FILE_SNAPSHOT] = OT_DUMP_SNAPSHOT,
};

/* ---- opening ------------------------------------------------------------------------------- */

static ot_err
open_snapshot(struct ot_dump *dump, struct ot_fs *fs, const char *path, struct ot_why *why)
{
	struct log_producers producers;
	log_producers_init(&producers);
	ot_err err = log_read_file(fs, path, SNAPSHOT_BYTES_MAX, &dump->snapshot);
	if (err == OT_OK)
		err =
		    log_producers_parse(&producers, dump->snapshot.data, dump->snapshot.bytes, why);
	log_producers_fini(&producers);
	dump->bytes = dump->snapshot.bytes;
	dump->place = LOG_SNAPSHOT_HEADER_BYTES;
	return err;
}

static ot_err
open_file(struct ot_dump *dump, struct ot_fs *fs, const char *path)
{
	ot_err err = ot_fs_open(fs, path, OT_OPEN_READ, &dump->file);
	if (err == OT_OK)
		err = ot_file_size(dump->file, &dump->bytes);
	if (err != OT_OK)
		return err;
	dump->window = ot_alloc_raw(LOG_SCAN_WINDOW_LARGE);
	if (dump->window == NULL)
		return OT_ERR_NO_MEMORY;
	log_scan_init(&dump->scan, dump->file, 0, dump->bytes, dump->window, LOG_SCAN_WINDOW_LARGE);
	return OT_OK;
}

static void
destroy(struct ot_dump *dump)
{
	ot_file_unref(dump->file);
	ot_writer_fini(&dump->snapshot);
	ot_free(dump->window);
	ot_free(dump->batch);
	ot_free(dump);
}

static ot_err
open_kind(struct ot_fs *fs, const char *path, enum ot_dump_kind kind, int64_t base_offset,
    struct ot_dump **ret_dump, struct ot_why *why)
{
	struct ot_dump *dump = OT_NEW(struct ot_dump);
	dump->kind = kind;
	dump->base_offset = base_offset;
	ot_writer_init(&dump->snapshot);
	ot_err err = kind == OT_DUMP_SNAPSHOT ? open_snapshot(dump, fs, path, why)
	                                      : open_file(dump, fs, path);
	if (err == OT_OK)
		*ret_dump = dump;
	else
		destroy(dump);
	return err;
}

ot_err
ot_dump_open(struct ot_fs *fs, const char *path, struct ot_dump **ret_dump, struct ot_why *why)
{
	const char *slash = strrchr(path, '/');
	struct log_name name = log_name_parse(slash == NULL ? path : slash + 1);
	if (name.kind == LOG_FILE_OTHER) {
		ot_why_set(why,
		    "%s is not named as a segment's file: 20 digits, then .log, .index, "
		    ".timeindex, "
		    ".txnindex or .snapshot.",
		    path);
		return OT_ERR_INVALID_REQUEST;
	}
	return open_kind(fs, path, kind_of_file[name.kind], name.offset, ret_dump, why);
}

ot_err
ot_dump_open_batches(struct ot_fs *fs, const char *path, struct ot_dump **ret_dump,
    struct ot_why *why)
{
	return open_kind(fs, path, OT_DUMP_RECORDS, 0, ret_dump, why);
}

enum ot_dump_kind
ot_dump_get_kind(const struct ot_dump *dump)
{
	return dump->kind;
}

int64_t
ot_dump_base_offset(const struct ot_dump *dump)
{
	return dump->base_offset;
}

uint64_t
ot_dump_file_bytes(const struct ot_dump *dump)
{
	return dump->bytes;
}

uint64_t
ot_dump_place(const struct ot_dump *dump)
{
	return dump->place;
}

ot_err
ot_dump_close(struct ot_dump *dump, struct ot_why *why)
{
	ot_err err = dump->err;
	if (err != OT_OK)
		ot_why_set(why, "%s", dump->why.text);
	destroy(dump);
	return err;
}

/* ---- items --------------------------------------------------------------------------------- */

static bool
is_crc_valid(const struct ot_dump_batch *batch)
{
	if (batch->magic == OT_MAGIC_V2)
		return ot_batch_crc_is_valid(batch->data, &batch->info);
	uint32_t crc =
	    ot_crc32(0, batch->data + OT_BATCH_MAGIC_AT, batch->bytes - OT_BATCH_MAGIC_AT);
	return crc == ot_get_u32(batch->data + LEGACY_CRC_AT);
}

static bool
next_batch(struct ot_dump *dump, struct ot_dump_item *item)
{
	struct log_scan_batch batch;
	dump->err = log_scan_next(&dump->scan, &batch, &dump->why);
	if (dump->err != OT_OK || batch.bytes == 0)
		return false;
	ot_free(dump->batch);
	dump->batch = ot_alloc_raw(batch.bytes);
	dump->err = dump->batch == NULL
	                ? OT_ERR_NO_MEMORY
	                : log_scan_read(&dump->scan, &batch, dump->batch, batch.bytes);
	if (dump->err != OT_OK)
		return false;
	item->place = batch.place;
	item->batch = (struct ot_dump_batch){
		.data = dump->batch,
		.bytes = batch.bytes,
		.base_offset = batch.base_offset,
		.last_offset = batch.last_offset,
		.max_timestamp = batch.max_timestamp,
		.magic = batch.magic,
		.info = batch.info,
	};
	item->batch.is_valid = is_crc_valid(&item->batch);
	dump->place = dump->scan.place;
	return true;
}

static void
read_entry(const struct ot_dump *dump, const uint8_t *raw, struct ot_dump_item *item)
{
	if (dump->kind == OT_DUMP_OFFSET_INDEX) {
		struct log_offset_entry entry = log_offset_entry_read(raw, dump->base_offset);
		item->offset_entry.offset = entry.offset;
		item->offset_entry.place = entry.place;
	} else if (dump->kind == OT_DUMP_TIME_INDEX) {
		struct log_time_entry entry = log_time_entry_read(raw, dump->base_offset);
		item->time_entry.timestamp = entry.timestamp;
		item->time_entry.offset = entry.offset;
	} else {
		struct log_txn_entry entry = log_txn_entry_read(raw);
		item->txn_entry.version = entry.version;
		item->txn_entry.producer_id = entry.producer_id;
		item->txn_entry.first_offset = entry.first_offset;
		item->txn_entry.last_offset = entry.last_offset;
		item->txn_entry.last_stable_offset = entry.last_stable_offset;
	}
}

static bool
next_entry(struct ot_dump *dump, struct ot_dump_item *item)
{
	static const size_t entry_bytes[] = {
		[OT_DUMP_OFFSET_INDEX] = LOG_OFFSET_ENTRY_BYTES,
		[OT_DUMP_TIME_INDEX] = LOG_TIME_ENTRY_BYTES,
		[OT_DUMP_TXN_INDEX] = LOG_TXN_ENTRY_BYTES,
	};
	uint8_t raw[LOG_TXN_ENTRY_BYTES];
	size_t wanted = entry_bytes[dump->kind], got = 0;
	if (dump->place == dump->bytes)
		return false;
	dump->err = ot_file_read(dump->file, raw, wanted, dump->place, &got);
	if (dump->err == OT_OK && got < wanted) {
		dump->err = OT_ERR_CORRUPT_FILE;
		ot_why_set(&dump->why, "%zu bytes at the end are no whole entry of %zu", got,
		    wanted);
	}
	if (dump->err != OT_OK)
		return false;
	item->place = dump->place;
	read_entry(dump, raw, item);
	dump->place += wanted;
	return true;
}

static bool
next_producer(struct ot_dump *dump, struct ot_dump_item *item)
{
	if (dump->place + LOG_SNAPSHOT_ENTRY_BYTES > dump->bytes)
		return false;
	struct log_producer producer = log_producer_read_entry(dump->snapshot.data + dump->place);
	const struct log_producer_batch *last = log_producer_last_batch(&producer);
	item->place = dump->place;
	item->producer = (struct ot_dump_producer){
		.producer_id = producer.id,
		.last_offset = last == NULL ? -1 : last->last_offset,
		.timestamp = producer.last_timestamp,
		.txn_first_offset = producer.txn_first_offset,
		.last_sequence = last == NULL ? OT_NO_SEQUENCE : last->last_sequence,
		.offset_delta = last == NULL ? 0 : last->offset_delta,
		.coordinator_epoch = producer.coordinator_epoch,
		.producer_epoch = producer.epoch,
	};
	dump->place += LOG_SNAPSHOT_ENTRY_BYTES;
	return true;
}

bool
ot_dump_next(struct ot_dump *dump, struct ot_dump_item *ret_item)
{
	if (dump->err != OT_OK)
		return false;
	ret_item->kind = dump->kind;
	if (dump->kind == OT_DUMP_RECORDS)
		return next_batch(dump, ret_item);
	if (dump->kind == OT_DUMP_SNAPSHOT)
		return next_producer(dump, ret_item);
	return next_entry(dump, ret_item);
}
