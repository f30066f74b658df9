#include "log/index_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/panic.h"

enum {
	TAIL_CAPACITY_MIN = 16,
	SEARCH_BLOCK_ENTRIES = 256, /* a search ends with one read of that many */
	ENTRY_BYTES_MAX = LOG_TXN_ENTRY_BYTES,
	TXN_LAST_OFFSET_AT = 18,
};

_Static_assert(TXN_LAST_OFFSET_AT + 16 == LOG_TXN_ENTRY_BYTES, "two offsets end an entry");

static const uint32_t entry_bytes[LOG_INDEX_KIND_COUNT] = {
	[LOG_INDEX_OFFSET] = LOG_OFFSET_ENTRY_BYTES,
	[LOG_INDEX_TIME] = LOG_TIME_ENTRY_BYTES,
	[LOG_INDEX_TXN] = LOG_TXN_ENTRY_BYTES,
};

static int64_t
key_of(enum log_index_kind kind, const uint8_t *entry)
{
	switch (kind) {
	case LOG_INDEX_OFFSET:
		return (int32_t)ot_get_u32(entry);
	case LOG_INDEX_TIME:
		return (int64_t)ot_get_u64(entry);
	default:
		return (int64_t)ot_get_u64(entry + TXN_LAST_OFFSET_AT);
	}
}

uint32_t
log_index_entry_bytes(enum log_index_kind kind)
{
	return entry_bytes[kind];
}

void
log_index_init(struct log_index *index, enum log_index_kind kind)
{
	*index = (struct log_index){ .kind = kind };
}

void
log_index_fini(struct log_index *index)
{
	ot_file_unref(index->file);
	ot_free(index->tail);
	log_index_init(index, index->kind);
}

void
log_index_set_count(struct log_index *index, uint32_t count)
{
	OT_ASSERT(index->tail == NULL);
	index->count = index->written = index->tail_first = count;
}

ot_err
log_index_open(struct log_index *index, struct ot_fs *fs, const char *path, bool is_writable)
{
	if (index->file != NULL && (index->is_file_writable || !is_writable))
		return OT_OK;
	struct ot_file *file = NULL;
	unsigned flags = is_writable ? OT_OPEN_WRITE | OT_OPEN_CREATE : OT_OPEN_READ;
	ot_err err = ot_fs_open(fs, path, flags, &file);
	if (err != OT_OK)
		return err;
	ot_file_unref(index->file);
	index->file = file;
	index->is_file_writable = is_writable;
	return OT_OK;
}

void
log_index_close(struct log_index *index)
{
	ot_file_unref(index->file);
	index->file = NULL;
}

ot_err
log_index_reserve(struct log_index *index, uint32_t count)
{
	uint32_t wanted = index->count - index->tail_first + count;
	if (wanted <= index->tail_capacity)
		return OT_OK;
	uint32_t capacity = OT_MAX(index->tail_capacity, (uint32_t)TAIL_CAPACITY_MIN);
	while (capacity < wanted)
		capacity *= 2;
	uint8_t *tail = ot_realloc(index->tail, (size_t)capacity * entry_bytes[index->kind]);
	if (tail == NULL)
		return OT_ERR_NO_MEMORY;
	index->tail = tail;
	index->tail_capacity = capacity;
	return OT_OK;
}

/* The place in memory of the next entry, which then counts. */
static uint8_t *
push(struct log_index *index)
{
	uint32_t slot = index->count - index->tail_first;
	OT_ASSERT(slot < index->tail_capacity);
	index->count++;
	return index->tail + (size_t)slot * entry_bytes[index->kind];
}

void
log_index_push_offset(struct log_index *index, int64_t base_offset,
    const struct log_offset_entry *entry)
{
	OT_ASSERT(index->kind == LOG_INDEX_OFFSET);
	OT_ASSERT(entry->offset >= base_offset && entry->offset - base_offset <= INT32_MAX);
	OT_ASSERT(entry->place <= INT32_MAX);
	uint8_t *to = push(index);
	ot_put_u32(to, (uint32_t)(entry->offset - base_offset));
	ot_put_u32(to + 4, (uint32_t)entry->place);
}

void
log_index_push_time(struct log_index *index, int64_t base_offset,
    const struct log_time_entry *entry)
{
	OT_ASSERT(index->kind == LOG_INDEX_TIME);
	OT_ASSERT(entry->offset >= base_offset && entry->offset - base_offset <= INT32_MAX);
	uint8_t *to = push(index);
	ot_put_u64(to, (uint64_t)entry->timestamp);
	ot_put_u32(to + 8, (uint32_t)(entry->offset - base_offset));
}

void
log_index_push_txn(struct log_index *index, const struct log_txn_entry *entry)
{
	OT_ASSERT(index->kind == LOG_INDEX_TXN);
	uint8_t *to = push(index);
	ot_put_u16(to, LOG_TXN_VERSION);
	ot_put_u64(to + 2, (uint64_t)entry->producer_id);
	ot_put_u64(to + 10, (uint64_t)entry->first_offset);
	ot_put_u64(to + TXN_LAST_OFFSET_AT, (uint64_t)entry->last_offset);
	ot_put_u64(to + 26, (uint64_t)entry->last_stable_offset);
}

uint32_t
log_index_pending(const struct log_index *index)
{
	return index->count - index->written;
}

/* Lets go of written entries, so that at most LOG_INDEX_TAIL_MAX stay in memory. */
static void
trim_tail(struct log_index *index)
{
	uint32_t have = index->count - index->tail_first;
	if (have <= LOG_INDEX_TAIL_MAX)
		return;
	uint32_t gone = OT_MIN(have - LOG_INDEX_TAIL_MAX / 2, index->written - index->tail_first);
	uint32_t size = entry_bytes[index->kind];
	memmove(index->tail, index->tail + (size_t)gone * size, (size_t)(have - gone) * size);
	index->tail_first += gone;
}

ot_err
log_index_write(struct log_index *index)
{
	uint32_t pending = log_index_pending(index);
	if (pending == 0)
		return OT_OK;
	OT_ASSERT(index->file != NULL && index->is_file_writable);
	uint32_t size = entry_bytes[index->kind];
	struct iovec piece = {
		.iov_base = index->tail + (size_t)(index->written - index->tail_first) * size,
		.iov_len = (size_t)pending * size,
	};
	ot_err err = ot_file_write(index->file, &piece, 1, (uint64_t)index->written * size);
	if (err != OT_OK)
		return err;
	index->written = index->count;
	trim_tail(index);
	return OT_OK;
}

void
log_index_forget_tail(struct log_index *index)
{
	if (log_index_pending(index) > 0)
		return;
	ot_free(index->tail);
	index->tail = NULL;
	index->tail_capacity = 0;
	index->tail_first = index->count;
}

bool
log_index_has(const struct log_index *index, uint32_t slot)
{
	return slot >= index->tail_first;
}

/* Reads entries [slot, slot + count) from the file. */
static ot_err
read_entries(const struct log_index *index, uint32_t slot, uint32_t count, uint8_t *to)
{
	uint32_t size = entry_bytes[index->kind];
	size_t bytes = (size_t)count * size;
	size_t got = 0;
	OT_ASSERT(index->file != NULL);
	ot_err err = ot_file_read(index->file, to, bytes, (uint64_t)slot * size, &got);
	if (err != OT_OK)
		return err;
	return got == bytes ? OT_OK : OT_ERR_CORRUPT_FILE;
}

ot_err
log_index_read(const struct log_index *index, uint32_t slot, uint32_t count, uint8_t *to)
{
	OT_ASSERT(slot + count <= index->tail_first);
	return read_entries(index, slot, count, to);
}

ot_err
log_index_get(const struct log_index *index, uint32_t slot, uint8_t *ret_entry)
{
	OT_ASSERT(slot < index->count);
	if (!log_index_has(index, slot))
		return read_entries(index, slot, 1, ret_entry);
	uint32_t size = entry_bytes[index->kind];
	memcpy(ret_entry, index->tail + (size_t)(slot - index->tail_first) * size, size);
	return OT_OK;
}

struct log_offset_entry
log_offset_entry_read(const uint8_t *entry, int64_t base_offset)
{
	return (struct log_offset_entry){
		.offset = base_offset + (int32_t)ot_get_u32(entry),
		.place = ot_get_u32(entry + 4),
	};
}

struct log_time_entry
log_time_entry_read(const uint8_t *entry, int64_t base_offset)
{
	return (struct log_time_entry){
		.timestamp = (int64_t)ot_get_u64(entry),
		.offset = base_offset + (int32_t)ot_get_u32(entry + 8),
	};
}

struct log_txn_entry
log_txn_entry_read(const uint8_t *entry)
{
	return (struct log_txn_entry){
		.version = (int16_t)ot_get_u16(entry),
		.producer_id = (int64_t)ot_get_u64(entry + 2),
		.first_offset = (int64_t)ot_get_u64(entry + 10),
		.last_offset = (int64_t)ot_get_u64(entry + TXN_LAST_OFFSET_AT),
		.last_stable_offset = (int64_t)ot_get_u64(entry + 26),
	};
}

ot_err
log_index_get_offset(const struct log_index *index, int64_t base_offset, uint32_t slot,
    struct log_offset_entry *ret_entry)
{
	uint8_t raw[ENTRY_BYTES_MAX];
	ot_err err = log_index_get(index, slot, raw);
	if (err == OT_OK)
		*ret_entry = log_offset_entry_read(raw, base_offset);
	return err;
}

ot_err
log_index_get_time(const struct log_index *index, int64_t base_offset, uint32_t slot,
    struct log_time_entry *ret_entry)
{
	uint8_t raw[ENTRY_BYTES_MAX];
	ot_err err = log_index_get(index, slot, raw);
	if (err == OT_OK)
		*ret_entry = log_time_entry_read(raw, base_offset);
	return err;
}

ot_err
log_index_get_txn(const struct log_index *index, uint32_t slot, struct log_txn_entry *ret_entry)
{
	uint8_t raw[ENTRY_BYTES_MAX];
	ot_err err = log_index_get(index, slot, raw);
	if (err == OT_OK)
		*ret_entry = log_txn_entry_read(raw);
	return err;
}

/* ---- searching ----------------------------------------------------------------------------- */

static int64_t
field_of(const struct log_index *index, const struct log_index_search *search, const uint8_t *entry)
{
	return search->is_by_place ? (int64_t)ot_get_u32(entry + 4) : key_of(index->kind, entry);
}

/* How many of the `count` entries at `entries` are not beyond the key. */
static uint32_t
count_in(const struct log_index *index, const struct log_index_search *search,
    const uint8_t *entries, uint32_t count)
{
	uint32_t size = entry_bytes[index->kind];
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (field_of(index, search, entries + (size_t)middle * size) <= search->key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
log_index_is_hot(const struct log_index *index, const struct log_index_search *search)
{
	if (index->tail_first == 0)
		return true;
	return index->count > index->tail_first &&
	       field_of(index, search, index->tail) <= search->key;
}

/* Reads a block for the search, unless that would wait for a disk. */
static ot_err
read_block(const struct log_index *index, struct log_index_search *search, uint32_t slot,
    uint32_t count, uint8_t *to)
{
	uint32_t size = entry_bytes[index->kind];
	search->cold_place = (uint64_t)slot * size;
	search->cold_bytes = (size_t)count * size;
	OT_ASSERT(index->file != NULL);
	if (!search->may_block &&
	    !ot_file_is_cached(index->file, search->cold_place, search->cold_bytes))
		return OT_ERR_AGAIN;
	return read_entries(index, slot, count, to);
}

/* Bisects by blocks, the first around the guess: entries lie evenly enough that it often hits. */
static ot_err
find_in_file(const struct log_index *index, struct log_index_search *search)
{
	uint8_t block[SEARCH_BLOCK_ENTRIES * ENTRY_BYTES_MAX];
	uint32_t size = entry_bytes[index->kind];
	uint32_t low = 0, high = index->tail_first;
	uint32_t middle = OT_MIN(search->guess, high - 1);
	for (;;) {
		uint32_t some = OT_MIN(high - low, (uint32_t)SEARCH_BLOCK_ENTRIES);
		uint32_t first = middle - OT_MIN(middle - low, some / 2);
		first = OT_MIN(first, high - some);
		ot_err err = read_block(index, search, first, some, block);
		if (err != OT_OK)
			return err;
		uint32_t found = count_in(index, search, block, some);
		bool is_before = found == 0 && first > low;
		bool is_behind = found == some && first + some < high;
		if (!is_before && !is_behind) {
			search->count = first + found;
			if (found > 0)
				memcpy(search->floor, block + (size_t)(found - 1) * size, size);
			else if (first > 0)
				return read_entries(index, first - 1, 1, search->floor);
			return OT_OK;
		}
		if (is_before)
			high = first;
		else
			low = first + some;
		middle = low + (high - low) / 2;
	}
}

ot_err
log_index_find(const struct log_index *index, struct log_index_search *search)
{
	OT_ASSERT(!search->is_by_place || index->kind == LOG_INDEX_OFFSET);
	if (!log_index_is_hot(index, search))
		return find_in_file(index, search);
	uint32_t have = index->count - index->tail_first;
	uint32_t found = have == 0 ? 0 : count_in(index, search, index->tail, have);
	uint32_t size = entry_bytes[index->kind];
	search->count = index->tail_first + found;
	if (found > 0)
		memcpy(search->floor, index->tail + (size_t)(found - 1) * size, size);
	return OT_OK;
}

ot_err
log_index_count_to(const struct log_index *index, int64_t key, uint32_t *ret_count)
{
	struct log_index_search search = {
		.key = key,
		.may_block = true,
		.guess = index->tail_first / 2,
	};
	ot_err err = log_index_find(index, &search);
	if (err == OT_OK)
		*ret_count = search.count;
	return err;
}

ot_err
log_index_cut(struct log_index *index, uint32_t count)
{
	OT_ASSERT(count <= index->count);
	if (count < index->written) {
		OT_ASSERT(index->file != NULL && index->is_file_writable);
		uint64_t bytes = (uint64_t)count * entry_bytes[index->kind];
		ot_err err = ot_file_truncate(index->file, bytes);
		/* Else a crash could bring the entries back when the recovery point has passed
		 * them. */
		if (err == OT_OK)
			err = ot_file_sync(index->file);
		if (err != OT_OK)
			return err;
		index->written = count;
	}
	index->tail_first = OT_MIN(index->tail_first, count);
	index->count = count;
	return OT_OK;
}
