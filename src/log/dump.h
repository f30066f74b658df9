/* Reads the files of a partition's folder one item after the other, whoever wrote them and whatever
 * their state: for tools. Nothing is changed, no log need be open.
 *
 *   err = ot_dump_open(fs, path, &dump, &why);
 *   while (ot_dump_next(dump, &item))
 *           ...                                      item.kind says which part of it is filled
 *   err = ot_dump_close(dump, &why);                 OT_ERR_CORRUPT_FILE: it ended early, and why
 */
#ifndef OT_LOG_DUMP_H
#define OT_LOG_DUMP_H

#include "base/text.h"
#include "io/fs.h"
#include "record/batch.h"

struct ot_dump;

enum ot_dump_kind {
	OT_DUMP_RECORDS,      /* .log */
	OT_DUMP_OFFSET_INDEX, /* .index */
	OT_DUMP_TIME_INDEX,   /* .timeindex */
	OT_DUMP_TXN_INDEX,    /* .txnindex */
	OT_DUMP_SNAPSHOT,     /* .snapshot */
};

struct ot_dump_batch {
	const uint8_t *data; /* the whole batch, until the next item */
	size_t bytes;
	int64_t base_offset; /* magic 0 and 1: the last offset, which is all that the entry says */
	int64_t last_offset;
	int64_t max_timestamp;
	int8_t magic;
	bool is_valid;             /* the CRC is that of the bytes */
	struct ot_batch_info info; /* magic 2 only */
};

struct ot_dump_producer {
	int64_t producer_id;
	int64_t last_offset;      /* -1 with those below: no batch is known */
	int64_t timestamp;        /* of the last batch or marker */
	int64_t txn_first_offset; /* -1: no transaction is ongoing */
	int32_t last_sequence;
	int32_t offset_delta;
	int32_t coordinator_epoch;
	int16_t producer_epoch;
};

struct ot_dump_item {
	enum ot_dump_kind kind;
	uint64_t place; /* in the file */
	union {
		struct ot_dump_batch batch;
		struct {
			int64_t offset;
			uint64_t place;
		} offset_entry;
		struct {
			int64_t timestamp;
			int64_t offset;
		} time_entry;
		struct {
			int16_t version;
			int64_t producer_id;
			int64_t first_offset;
			int64_t last_offset;
			int64_t last_stable_offset;
		} txn_entry;
		struct ot_dump_producer producer;
	};
};

/* Opens the file by its name, which says what it is and its base offset; a suffix as ".deleted"
 * does not matter. INVALID_REQUEST for another name; OT_ERR_NOT_FOUND, OT_ERR_IO;
 * OT_ERR_CORRUPT_FILE for a snapshot whose header or CRC is wrong. @owner any thread   @blocks:
 * worker */
OT_MUST_USE ot_err ot_dump_open(struct ot_fs *fs, const char *path, struct ot_dump **ret_dump,
    struct ot_why *why);

/* Opens a file of batches whatever its name is, as the metadata log's checkpoints are. Errors as
 * above, but for the name. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_dump_open_batches(struct ot_fs *fs, const char *path,
    struct ot_dump **ret_dump, struct ot_why *why);

/* @owner the dump's */
enum ot_dump_kind ot_dump_get_kind(const struct ot_dump *dump);
int64_t ot_dump_base_offset(const struct ot_dump *dump);
uint64_t ot_dump_file_bytes(const struct ot_dump *dump);

/* The next item; false at the end and where the file is no longer what its format says.
 * @owner the dump's   @blocks: worker */
bool ot_dump_next(struct ot_dump *dump, struct ot_dump_item *ret_item);

/* Where the next item begins: after the last one, the end of what could be read. @owner the dump's
 */
uint64_t ot_dump_place(const struct ot_dump *dump);

/* OT_OK when all of the file was read; else why not: OT_ERR_CORRUPT_FILE, OT_ERR_IO, NO_MEMORY.
 * @owner the dump's */
OT_MUST_USE ot_err ot_dump_close(struct ot_dump *dump, struct ot_why *why);

#endif
