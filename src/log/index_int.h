/* The three indexes of a segment: entries of one size with rising keys, appended, searched, cut.
 *
 *   .index      8 bytes   int32 relative offset, int32 place
 *               The batch at `place` in the file of records ends with that offset (relative to
 *               the segment's base). About one entry per index.interval.bytes; the first batch has
 *               none.
 *   .timeindex  12 bytes  int64 timestamp, int32 relative offset
 *               No batch up to the one that ends with that offset has a greater timestamp. An entry
 *               comes with each one of .index whose timestamp is greater than all before, and one
 *               more when the segment ends.
 *   .txnindex   34 bytes  int16 version 0, int64 producer id, int64 first offset, int64 last
 *               offset, int64 last stable offset
 *               An aborted transaction whose marker is the last offset, in this segment.
 *
 * All big-endian, without header and checksum: they are rebuilt from the records in doubt, and what
 * lies before the recovery point was synced with it. An index keeps its newest entries in memory
 * (the tail) and writes them late, since searches begin there and a crash loses nothing that is not
 * scanned again. */
#ifndef OT_LOG_INDEX_INT_H
#define OT_LOG_INDEX_INT_H

#include "io/fs.h"

enum log_index_kind { LOG_INDEX_OFFSET, LOG_INDEX_TIME, LOG_INDEX_TXN, LOG_INDEX_KIND_COUNT };

enum {
	LOG_OFFSET_ENTRY_BYTES = 8,
	LOG_TIME_ENTRY_BYTES = 12,
	LOG_TXN_ENTRY_BYTES = 34,
	LOG_TXN_VERSION = 0,
	LOG_INDEX_PENDING_MAX = 128, /* entries that wait before they are written */
	LOG_INDEX_TAIL_MAX = 512,    /* entries that are kept in memory after that */
};

struct log_index {
	enum log_index_kind kind;
	bool is_file_writable;
	struct ot_file *file; /* NULL until it is needed */
	uint8_t *tail;        /* entries [tail_first, count) */
	uint32_t tail_first;
	uint32_t tail_capacity; /* in entries */
	uint32_t count;
	uint32_t written; /* entries that the file has; tail_first <= written <= count */
};

/* What an entry of each kind says. Offsets are whole, not relative. */
struct log_offset_entry {
	int64_t offset;
	uint64_t place;
};

struct log_time_entry {
	int64_t timestamp;
	int64_t offset;
};

struct log_txn_entry {
	int64_t producer_id;
	int64_t first_offset;
	int64_t last_offset;
	int64_t last_stable_offset;
	int16_t version;
};

void log_index_init(struct log_index *index, enum log_index_kind kind);

/* Closes and frees; what was not written is lost. */
void log_index_fini(struct log_index *index);

uint32_t log_index_entry_bytes(enum log_index_kind kind);

/* Says that the file has `count` entries, none of them in memory. */
void log_index_set_count(struct log_index *index, uint32_t count);

/* Opens the file when it is not open; for writing it is made when missing. */
OT_MUST_USE ot_err log_index_open(struct log_index *index, struct ot_fs *fs, const char *path,
    bool is_writable);

/* Closes the file. Entries that wait to be written go on waiting. */
void log_index_close(struct log_index *index);

/* Room for `count` more entries in memory: pushing them cannot fail then. OT_ERR_NO_MEMORY. */
OT_MUST_USE ot_err log_index_reserve(struct log_index *index, uint32_t count);

void log_index_push_offset(struct log_index *index, int64_t base_offset,
    const struct log_offset_entry *entry);
void log_index_push_time(struct log_index *index, int64_t base_offset,
    const struct log_time_entry *entry);
void log_index_push_txn(struct log_index *index, const struct log_txn_entry *entry);

/* Entries that the file does not have yet. */
uint32_t log_index_pending(const struct log_index *index);

/* Writes what waits into the open file, and lets go of older entries in memory. */
OT_MUST_USE ot_err log_index_write(struct log_index *index);

/* Frees the tail, unless something of it waits to be written. */
void log_index_forget_tail(struct log_index *index);

/* Whether the entry is in memory; else reading it needs the open file. */
bool log_index_has(const struct log_index *index, uint32_t slot);

/* Reads one entry. OT_ERR_IO; OT_ERR_CORRUPT_FILE when the file is shorter than it should be.
 * @blocks when cold */
OT_MUST_USE ot_err log_index_get(const struct log_index *index, uint32_t slot, uint8_t *ret_entry);
OT_MUST_USE ot_err log_index_get_offset(const struct log_index *index, int64_t base_offset,
    uint32_t slot, struct log_offset_entry *ret_entry);
OT_MUST_USE ot_err log_index_get_time(const struct log_index *index, int64_t base_offset,
    uint32_t slot, struct log_time_entry *ret_entry);
OT_MUST_USE ot_err log_index_get_txn(const struct log_index *index, uint32_t slot,
    struct log_txn_entry *ret_entry);

/* Reads raw entries [slot, slot + count), none of them in memory, from the open file. */
OT_MUST_USE ot_err log_index_read(const struct log_index *index, uint32_t slot, uint32_t count,
    uint8_t *to);

/* A search for the number of entries with a key of at most `key`: the last of these is the floor.
 * Keys are the relative offset, the timestamp, and the last offset; an offset index is searched by
 * its places as well, which rise too. */
struct log_index_search {
	int64_t key;
	bool is_by_place;
	bool may_block; /* else cold pages give OT_ERR_AGAIN */
	uint32_t guess; /* a slot near the result: one read is enough when it is near */
	uint32_t count; /* result */
	uint8_t floor[LOG_TXN_ENTRY_BYTES]; /* with it: the last of these entries, raw */
	uint64_t cold_place;                /* after OT_ERR_AGAIN: the range that is to be warmed */
	size_t cold_bytes;
};

/* Whether the search is answered from memory alone; else it needs the open file. */
bool log_index_is_hot(const struct log_index *index, const struct log_index_search *search);
OT_MUST_USE ot_err log_index_find(const struct log_index *index, struct log_index_search *search);

/* The same by key, wherever the entries are. @blocks when cold */
OT_MUST_USE ot_err log_index_count_to(const struct log_index *index, int64_t key,
    uint32_t *ret_count);

/* Keeps the first `count` entries, in memory and in the open file, durably there.
 * @blocks: worker */
OT_MUST_USE ot_err log_index_cut(struct log_index *index, uint32_t count);

/* Reads the fields of one raw entry. */
struct log_offset_entry log_offset_entry_read(const uint8_t *entry, int64_t base_offset);
struct log_time_entry log_time_entry_read(const uint8_t *entry, int64_t base_offset);
struct log_txn_entry log_txn_entry_read(const uint8_t *entry);

#endif
