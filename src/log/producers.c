#include "log/producers_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "base/plant.h"
#include "record/control.h"

enum {
	ENTRIES_MIN = 4,
	SLOTS_MIN = 8,
	TXNS_MIN = 4,
	SNAPSHOT_CRC_AT = 2,
	SNAPSHOT_ENTRIES_AT = 6,
};

/* KIP-890: from this version on the coordinator raises the epoch before it writes a marker. */
enum { TRANSACTION_VERSION_BUMPS = 2 };

void
log_producers_init(struct log_producers *producers)
{
	*producers = (struct log_producers){ 0 };
}

void
log_producers_fini(struct log_producers *producers)
{
	ot_free(producers->entries);
	ot_free(producers->slots);
	ot_free(producers->ongoing);
	ot_free(producers->unreplicated);
	log_producers_init(producers);
}

void
log_producers_clear(struct log_producers *producers)
{
	log_producers_fini(producers);
	producers->is_changed = true;
}

/* ---- the table ----------------------------------------------------------------------------- */

/* Where the search for `id` begins. Ids come in blocks and rise: the multiplication spreads
 * them. */
static uint32_t
home_of(const struct log_producers *producers, int64_t id)
{
	uint64_t hash = (uint64_t)id * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(hash >> 32) & (producers->slot_count - 1);
}

/* The slot that holds `id`, or the empty one where it would go. */
static uint32_t
slot_of(const struct log_producers *producers, int64_t id)
{
	uint32_t slot = home_of(producers, id);
	while (
	    producers->slots[slot] != 0 && producers->entries[producers->slots[slot] - 1].id != id)
		slot = (slot + 1) & (producers->slot_count - 1);
	return slot;
}

struct log_producer *
log_producers_find(const struct log_producers *producers, int64_t id)
{
	if (producers->count == 0)
		return NULL;
	uint32_t place = producers->slots[slot_of(producers, id)];
	return place == 0 ? NULL : &producers->entries[place - 1];
}

static ot_err
grow(struct log_producers *producers)
{
	uint32_t capacity = OT_MAX(2 * producers->capacity, (uint32_t)ENTRIES_MIN);
	uint32_t slot_count = 2 * capacity;
	struct log_producer *entries =
	    ot_realloc(producers->entries, capacity * sizeof(struct log_producer));
	if (entries == NULL)
		return OT_ERR_NO_MEMORY;
	producers->entries = entries;
	uint32_t *slots = ot_alloc(slot_count * sizeof(uint32_t));
	if (slots == NULL)
		return OT_ERR_NO_MEMORY;
	ot_free(producers->slots);
	producers->slots = slots;
	producers->slot_count = slot_count;
	producers->capacity = capacity;
	for (uint32_t i = 0; i < producers->count; i++)
		slots[slot_of(producers, entries[i].id)] = i + 1;
	return OT_OK;
}

/* An entry that knows its id alone, or NULL without memory. */
static struct log_producer *
add(struct log_producers *producers, int64_t id)
{
	if (producers->count == producers->capacity && grow(producers) != OT_OK)
		return NULL;
	uint32_t slot = slot_of(producers, id);
	OT_ASSERT(producers->slots[slot] == 0);
	struct log_producer *entry = &producers->entries[producers->count++];
	producers->slots[slot] = producers->count;
	*entry = (struct log_producer){
		.id = id,
		.last_timestamp = OT_NO_TIMESTAMP,
		.txn_first_offset = -1,
		.coordinator_epoch = -1,
		.epoch = OT_NO_PRODUCER_EPOCH,
	};
	return entry;
}

/* Empties a slot and moves later ones of the same run up, so that searches need no marks. */
static void
empty_slot(struct log_producers *producers, uint32_t slot)
{
	uint32_t mask = producers->slot_count - 1;
	producers->slots[slot] = 0;
	for (uint32_t next = (slot + 1) & mask; producers->slots[next] != 0;
	     next = (next + 1) & mask) {
		uint32_t place = producers->slots[next];
		uint32_t home = home_of(producers, producers->entries[place - 1].id);
		if (((next - home) & mask) < ((next - slot) & mask))
			continue;
		producers->slots[slot] = place;
		producers->slots[next] = 0;
		slot = next;
	}
}

static void
remove_entry(struct log_producers *producers, uint32_t place)
{
	OT_ASSERT(place < producers->count);
	empty_slot(producers, slot_of(producers, producers->entries[place].id));
	uint32_t last = producers->count - 1;
	if (place != last) {
		uint32_t slot = slot_of(producers, producers->entries[last].id);
		producers->entries[place] = producers->entries[last];
		producers->slots[slot] = place + 1;
	}
	producers->count--;
}

/* ---- batches of one producer --------------------------------------------------------------- */

static const struct log_producer_batch *
batch_at(const struct log_producer *producer, uint32_t i)
{
	return &producer->batches[(producer->batch_first + i) % LOG_PRODUCER_BATCHES];
}

const struct log_producer_batch *
log_producer_last_batch(const struct log_producer *producer)
{
	return producer->batch_count == 0 ? NULL : batch_at(producer, producer->batch_count - 1u);
}

static int32_t
last_sequence_of(const struct log_producer *producer)
{
	const struct log_producer_batch *last = log_producer_last_batch(producer);
	return last == NULL ? OT_NO_SEQUENCE : last->last_sequence;
}

static void
add_batch(struct log_producer *producer, const struct log_producer_batch *batch)
{
	if (producer->batch_count == LOG_PRODUCER_BATCHES) {
		producer->batch_first =
		    (uint8_t)((producer->batch_first + 1) % LOG_PRODUCER_BATCHES);
		producer->batch_count--;
	}
	uint32_t place =
	    ((uint32_t)producer->batch_first + producer->batch_count) % LOG_PRODUCER_BATCHES;
	producer->batches[place] = *batch;
	producer->batch_count++;
}

static void
set_epoch(struct log_producer *producer, int16_t epoch)
{
	if (producer->epoch == epoch)
		return;
	producer->epoch = epoch;
	producer->batch_count = 0;
	producer->batch_first = 0;
}

/* The sequence of a batch's first record; sequences wrap to 0 behind INT32_MAX. */
static int32_t
first_sequence_of(const struct log_producer_batch *batch)
{
	if (batch->last_sequence >= batch->offset_delta)
		return batch->last_sequence - batch->offset_delta;
	return INT32_MAX - (batch->offset_delta - batch->last_sequence) + 1;
}

const struct log_producer_batch *
log_producers_find_duplicate(const struct log_producers *producers,
    const struct ot_batch_info *info)
{
	const struct log_producer *producer = log_producers_find(producers, info->producer_id);
	if (producer == NULL || producer->epoch != info->producer_epoch)
		return NULL;
	int32_t last_sequence = ot_batch_info_last_sequence(info);
	for (uint32_t i = 0; i < producer->batch_count; i++) {
		const struct log_producer_batch *batch = batch_at(producer, i);
		if (batch->last_sequence == last_sequence &&
		    first_sequence_of(batch) == info->base_sequence)
			return batch;
	}
	return NULL;
}

/* ---- the rules ----------------------------------------------------------------------------- */

static ot_err
check_epoch(const struct log_producer *producer, const struct log_producer_append *append,
    struct ot_why *why)
{
	int16_t epoch = append->info->producer_epoch;
	bool is_bumping =
	    append->info->is_control && append->transaction_version >= TRANSACTION_VERSION_BUMPS;
	bool is_old = is_bumping ? epoch <= producer->epoch : epoch < producer->epoch;
	/* A marker that was written before comes again when its coordinator missed the answer. */
	if (is_old && is_bumping && epoch == producer->epoch && producer->txn_first_offset < 0)
		is_old = false;
	if (!is_old || append->origin == OT_ORIGIN_LEADER)
		return OT_OK;
	ot_why_set(why,
	    "The epoch %d of producer id %" PRId64 " is older than its last one here, %d.", epoch,
	    producer->id, producer->epoch);
	return OT_ERR_INVALID_PRODUCER_EPOCH;
}

static bool
follows(int32_t last_sequence, int32_t sequence)
{
	return (int64_t)sequence == (int64_t)last_sequence + 1 ||
	       (sequence == 0 && last_sequence == INT32_MAX);
}

static ot_err
check_sequence(const struct log_producer *producer, const struct ot_batch_info *info,
    struct ot_why *why)
{
	/* Nothing is known, perhaps since retention took it: any sequence may begin. */
	if (producer->epoch == OT_NO_PRODUCER_EPOCH)
		return OT_OK;
	if (info->producer_epoch != producer->epoch) {
		if (info->base_sequence == 0)
			return OT_OK;
		ot_why_set(why,
		    "Producer id %" PRId64 " begins its epoch %d with the sequence %" PRId32
		    ", not with 0; its last epoch here is %d.",
		    producer->id, info->producer_epoch, info->base_sequence, producer->epoch);
		return OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
	}
	int32_t last_sequence = last_sequence_of(producer);
	if (follows(last_sequence, info->base_sequence) || OT_PLANT(DUPLICATES))
		return OT_OK;
	ot_why_set(why,
	    "The sequence %" PRId32 " of producer id %" PRId64
	    " does not follow its last one, %" PRId32 ".",
	    info->base_sequence, producer->id, last_sequence);
	return OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static ot_err
check_data(const struct log_producer *producer, const struct log_producer_append *append,
    struct ot_why *why)
{
	ot_err err = check_epoch(producer, append, why);
	if (err == OT_OK && append->origin == OT_ORIGIN_CLIENT)
		err = check_sequence(producer, append->info, why);
	if (err != OT_OK)
		return err;
	if (producer->txn_first_offset >= 0 && !append->info->is_transactional &&
	    append->origin != OT_ORIGIN_LEADER) {
		ot_why_set(why,
		    "Producer id %" PRId64
		    " has a transaction open; a batch outside of it is not possible.",
		    producer->id);
		return OT_ERR_INVALID_TXN_STATE;
	}
	return OT_OK;
}

static void
apply_data(struct log_producer *producer, const struct log_producer_append *append,
    struct log_txn_event *ret_event)
{
	const struct ot_batch_info *info = append->info;
	set_epoch(producer, info->producer_epoch);
	add_batch(producer,
	    &(struct log_producer_batch){
		.last_offset = append->last_offset,
		.timestamp = info->max_timestamp,
		.last_sequence = ot_batch_info_last_sequence(info),
		.offset_delta = (int32_t)(append->last_offset - append->base_offset),
	    });
	producer->last_timestamp = info->max_timestamp;
	if (producer->txn_first_offset >= 0 || !info->is_transactional)
		return;
	producer->txn_first_offset = append->base_offset;
	*ret_event = (struct log_txn_event){
		.kind = LOG_TXN_BEGIN,
		.producer_id = producer->id,
		.first_offset = append->base_offset,
	};
}

static ot_err
check_marker(const struct log_producer *producer, const struct log_producer_append *append,
    const struct ot_end_txn_marker *marker, struct ot_why *why)
{
	ot_err err = check_epoch(producer, append, why);
	if (err != OT_OK || append->origin == OT_ORIGIN_LEADER)
		return err;
	if (producer->coordinator_epoch <= marker->coordinator_epoch)
		return OT_OK;
	ot_why_set(why,
	    "The marker for producer id %" PRId64 " is of the coordinator epoch %" PRId32
	    "; a later one, %" PRId32 ", was here.",
	    producer->id, marker->coordinator_epoch, producer->coordinator_epoch);
	return OT_ERR_TRANSACTION_COORDINATOR_FENCED;
}

static void
apply_marker(struct log_producer *producer, const struct log_producer_append *append,
    const struct ot_end_txn_marker *marker, struct log_txn_event *ret_event)
{
	/* A transaction without records here leaves a marker that ends nothing. */
	if (producer->txn_first_offset >= 0)
		*ret_event = (struct log_txn_event){
			.kind = marker->is_commit ? LOG_TXN_COMMIT : LOG_TXN_ABORT,
			.producer_id = producer->id,
			.first_offset = producer->txn_first_offset,
			.last_offset = append->base_offset,
		};
	set_epoch(producer, append->info->producer_epoch);
	producer->coordinator_epoch = marker->coordinator_epoch;
	producer->last_timestamp = append->info->max_timestamp;
	producer->txn_first_offset = -1;
}

ot_err
log_producers_append(struct log_producers *producers, const struct log_producer_append *append,
    struct log_txn_event *ret_event, struct log_producer_undo *ret_undo, struct ot_why *why)
{
	const struct ot_batch_info *info = append->info;
	OT_ASSERT(info->producer_id >= 0 && append->base_offset <= append->last_offset);
	struct ot_end_txn_marker marker;
	bool is_marker = info->is_control && info->record_count > 0;
	ot_err err = OT_OK;
	*ret_event = (struct log_txn_event){ .kind = LOG_TXN_NONE };
	if (is_marker)
		err = ot_end_txn_parse(append->data, info, &marker);
	if (err != OT_OK) {
		ot_why_set(why, "The control batch of producer id %" PRId64 " is no marker.",
		    info->producer_id);
		return err;
	}
	struct log_producer *producer = log_producers_find(producers, info->producer_id);
	bool is_new = producer == NULL;
	if (is_new)
		producer = add(producers, info->producer_id);
	if (producer == NULL)
		return OT_ERR_NO_MEMORY;
	*ret_undo = (struct log_producer_undo){ .before = *producer, .is_new = is_new };
	if (is_marker)
		err = check_marker(producer, append, &marker, why);
	else if (!info->is_control)
		err = check_data(producer, append, why);
	if (err != OT_OK) {
		if (is_new)
			log_producers_undo(producers, ret_undo);
		return err;
	}
	if (is_marker)
		apply_marker(producer, append, &marker, ret_event);
	else if (!info->is_control)
		apply_data(producer, append, ret_event);
	producers->is_changed = true;
	return OT_OK;
}

void
log_producers_undo(struct log_producers *producers, const struct log_producer_undo *undo)
{
	struct log_producer *producer = log_producers_find(producers, undo->before.id);
	OT_ASSERT(producer != NULL);
	if (undo->is_new)
		remove_entry(producers, (uint32_t)(producer - producers->entries));
	else
		*producer = undo->before;
}

/* ---- transactions -------------------------------------------------------------------------- */

static ot_err
reserve_txns(struct log_txn **txns, uint32_t *capacity, uint32_t wanted)
{
	if (wanted <= *capacity)
		return OT_OK;
	uint32_t more = OT_MAX(OT_MAX(2 * *capacity, (uint32_t)TXNS_MIN), wanted);
	struct log_txn *grown = ot_realloc(*txns, more * sizeof(struct log_txn));
	if (grown == NULL)
		return OT_ERR_NO_MEMORY;
	*txns = grown;
	*capacity = more;
	return OT_OK;
}

ot_err
log_producers_reserve(struct log_producers *producers, uint32_t count)
{
	ot_err err = reserve_txns(&producers->ongoing, &producers->ongoing_capacity,
	    producers->ongoing_count + count);
	if (err == OT_OK)
		err = reserve_txns(&producers->unreplicated, &producers->unreplicated_capacity,
		    producers->unreplicated_count + count);
	return err;
}

/* Puts a transaction into its place; most begin last. */
static void
insert_txn(struct log_txn *txns, uint32_t *count, const struct log_txn *txn)
{
	uint32_t place = *count;
	while (place > 0 && txns[place - 1].first_offset > txn->first_offset) {
		txns[place] = txns[place - 1];
		place--;
	}
	txns[place] = *txn;
	(*count)++;
}

static void
remove_txn(struct log_txn *txns, uint32_t *count, int64_t first_offset)
{
	uint32_t place = 0;
	while (place < *count && txns[place].first_offset != first_offset)
		place++;
	if (place == *count)
		return;
	(*count)--;
	memmove(txns + place, txns + place + 1, (*count - place) * sizeof(struct log_txn));
}

int64_t
log_producers_apply(struct log_producers *producers, const struct log_txn_event *event)
{
	struct log_txn txn = {
		.first_offset = event->first_offset,
		.last_offset = -1,
		.producer_id = event->producer_id,
	};
	if (event->kind == LOG_TXN_BEGIN) {
		OT_ASSERT(producers->ongoing_count < producers->ongoing_capacity);
		insert_txn(producers->ongoing, &producers->ongoing_count, &txn);
	}
	if (event->kind != LOG_TXN_COMMIT && event->kind != LOG_TXN_ABORT)
		return -1;
	OT_ASSERT(producers->unreplicated_count < producers->unreplicated_capacity);
	remove_txn(producers->ongoing, &producers->ongoing_count, event->first_offset);
	txn.last_offset = event->last_offset;
	insert_txn(producers->unreplicated, &producers->unreplicated_count, &txn);
	return producers->ongoing_count > 0 ? producers->ongoing[0].first_offset
	                                    : event->last_offset + 1;
}

int64_t
log_producers_first_unstable(const struct log_producers *producers)
{
	int64_t first = INT64_MAX;
	if (producers->ongoing_count > 0)
		first = producers->ongoing[0].first_offset;
	if (producers->unreplicated_count > 0)
		first = OT_MIN(first, producers->unreplicated[0].first_offset);
	return first;
}

void
log_producers_replicated_to(struct log_producers *producers, int64_t offset)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < producers->unreplicated_count; i++) {
		if (producers->unreplicated[i].last_offset >= offset)
			producers->unreplicated[kept++] = producers->unreplicated[i];
	}
	producers->unreplicated_count = kept;
}

void
log_producers_expire(struct log_producers *producers, ot_wall_ms now, int64_t idle_ms)
{
	for (uint32_t i = producers->count; i > 0; i--) {
		const struct log_producer *producer = &producers->entries[i - 1];
		if (producer->txn_first_offset >= 0 || producer->last_timestamp > now - idle_ms)
			continue;
		remove_entry(producers, i - 1);
		producers->is_changed = true;
	}
	if (producers->count > 0)
		return;
	ot_free(producers->entries);
	ot_free(producers->slots);
	producers->entries = NULL;
	producers->slots = NULL;
	producers->capacity = producers->slot_count = 0;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static void
print_entry(const struct log_producer *producer, struct ot_writer *out)
{
	const struct log_producer_batch *last = log_producer_last_batch(producer);
	ot_write_i64(out, producer->id);
	ot_write_i16(out, producer->epoch);
	ot_write_i32(out, last == NULL ? OT_NO_SEQUENCE : last->last_sequence);
	ot_write_i64(out, last == NULL ? -1 : last->last_offset);
	ot_write_i32(out, last == NULL ? 0 : last->offset_delta);
	ot_write_i64(out, producer->last_timestamp);
	ot_write_i32(out, producer->coordinator_epoch);
	ot_write_i64(out, producer->txn_first_offset);
}

void
log_producers_print(const struct log_producer *entries, uint32_t count, struct ot_writer *out)
{
	size_t begin = out->bytes;
	int32_t printed = 0;
	ot_write_i16(out, LOG_SNAPSHOT_VERSION);
	ot_write_i32(out, 0);
	ot_write_i32(out, 0);
	for (uint32_t i = 0; i < count; i++) {
		if (entries[i].id < 0)
			continue;
		print_entry(&entries[i], out);
		printed++;
	}
	if (out->failed)
		return;
	ot_write_i32_at(out, begin + SNAPSHOT_ENTRIES_AT, printed);
	uint32_t crc = ot_crc32c(0, out->data + begin + SNAPSHOT_ENTRIES_AT,
	    out->bytes - begin - SNAPSHOT_ENTRIES_AT);
	ot_write_i32_at(out, begin + SNAPSHOT_CRC_AT, (int32_t)crc);
}

struct log_producer
log_producer_read_entry(const uint8_t *entry)
{
	struct ot_reader in = ot_reader_of(entry, LOG_SNAPSHOT_ENTRY_BYTES);
	struct log_producer producer = { .id = ot_read_i64(&in) };
	producer.epoch = ot_read_i16(&in);
	struct log_producer_batch last = { .last_sequence = ot_read_i32(&in) };
	last.last_offset = ot_read_i64(&in);
	last.offset_delta = ot_read_i32(&in);
	producer.last_timestamp = last.timestamp = ot_read_i64(&in);
	producer.coordinator_epoch = ot_read_i32(&in);
	int64_t txn_first_offset = ot_read_i64(&in);
	producer.txn_first_offset = OT_MAX(txn_first_offset, -1);
	if (last.last_offset >= 0)
		add_batch(&producer, &last);
	return producer;
}

static ot_err
check_snapshot(const uint8_t *data, size_t bytes, uint32_t *ret_count, struct ot_why *why)
{
	if (bytes < LOG_SNAPSHOT_HEADER_BYTES) {
		ot_why_set(why, "The snapshot has %zu bytes, fewer than its header.", bytes);
		return OT_ERR_CORRUPT_FILE;
	}
	if (ot_get_u16(data) != LOG_SNAPSHOT_VERSION) {
		ot_why_set(why, "The snapshot has the unknown version %u.", ot_get_u16(data));
		return OT_ERR_CORRUPT_FILE;
	}
	uint32_t crc = ot_crc32c(0, data + SNAPSHOT_ENTRIES_AT, bytes - SNAPSHOT_ENTRIES_AT);
	if (crc != ot_get_u32(data + SNAPSHOT_CRC_AT)) {
		ot_why_set(why, "The snapshot's CRC is not that of its bytes.");
		return OT_ERR_CORRUPT_FILE;
	}
	uint32_t count = ot_get_u32(data + SNAPSHOT_ENTRIES_AT);
	if ((bytes - LOG_SNAPSHOT_HEADER_BYTES) != (uint64_t)count * LOG_SNAPSHOT_ENTRY_BYTES) {
		ot_why_set(why, "The snapshot says %" PRIu32 " entries, and has %zu bytes.", count,
		    bytes);
		return OT_ERR_CORRUPT_FILE;
	}
	*ret_count = count;
	return OT_OK;
}

/* Two transactions cannot begin with one record. */
static bool
has_ongoing(const struct log_producers *producers, int64_t first_offset)
{
	uint32_t place = producers->ongoing_count;
	while (place > 0 && producers->ongoing[place - 1].first_offset > first_offset)
		place--;
	return place > 0 && producers->ongoing[place - 1].first_offset == first_offset;
}

static ot_err
take_entry(struct log_producers *producers, const struct log_producer *read, struct ot_why *why)
{
	const struct log_producer_batch *last = log_producer_last_batch(read);
	bool is_sane = read->id >= 0 && log_producers_find(producers, read->id) == NULL;
	if (read->txn_first_offset >= 0)
		is_sane = is_sane && !has_ongoing(producers, read->txn_first_offset);
	if (last != NULL)
		is_sane = is_sane && last->offset_delta >= 0 && last->last_sequence >= -1;
	if (!is_sane) {
		ot_why_set(why, "The snapshot's entry for producer id %" PRId64 " cannot be.",
		    read->id);
		return OT_ERR_CORRUPT_FILE;
	}
	struct log_producer *producer = add(producers, read->id);
	ot_err err = producer == NULL ? OT_ERR_NO_MEMORY : log_producers_reserve(producers, 1);
	if (err != OT_OK)
		return err;
	*producer = *read;
	struct log_txn txn = {
		.first_offset = read->txn_first_offset,
		.last_offset = -1,
		.producer_id = read->id,
	};
	if (txn.first_offset >= 0)
		insert_txn(producers->ongoing, &producers->ongoing_count, &txn);
	return OT_OK;
}

ot_err
log_producers_parse(struct log_producers *producers, const uint8_t *data, size_t bytes,
    struct ot_why *why)
{
	OT_ASSERT(producers->count == 0);
	uint32_t count = 0;
	ot_err err = check_snapshot(data, bytes, &count, why);
	const uint8_t *next = data + LOG_SNAPSHOT_HEADER_BYTES;
	for (uint32_t i = 0; err == OT_OK && i < count; i++) {
		struct log_producer read = log_producer_read_entry(next);
		err = take_entry(producers, &read, why);
		next += LOG_SNAPSHOT_ENTRY_BYTES;
	}
	if (err != OT_OK)
		log_producers_clear(producers);
	return err;
}

/* ---- looking at it ------------------------------------------------------------------------- */

void
log_producers_check(const struct log_producers *producers)
{
	uint32_t with_txn = 0;
	for (uint32_t i = 0; i < producers->count; i++) {
		const struct log_producer *producer = &producers->entries[i];
		OT_ASSERT(log_producers_find(producers, producer->id) == producer);
		OT_ASSERT(producer->batch_count <= LOG_PRODUCER_BATCHES);
		with_txn += producer->txn_first_offset >= 0 ? 1 : 0;
	}
	OT_ASSERT(with_txn == producers->ongoing_count);
	for (uint32_t i = 1; i < producers->ongoing_count; i++)
		OT_ASSERT(
		    producers->ongoing[i - 1].first_offset < producers->ongoing[i].first_offset);
}

size_t
log_producers_bytes_memory(const struct log_producers *producers)
{
	return producers->capacity * sizeof(struct log_producer) +
	       producers->slot_count * sizeof(uint32_t) +
	       (producers->ongoing_capacity + producers->unreplicated_capacity) *
	           sizeof(struct log_txn);
}
