/* The history of records, and its checks. */
#include "history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { NAME_BYTES = 32, FAILURE_BYTES = 400 };

struct entry {
	struct history_record record;
	bool is_known;
	bool is_acked;
	bool is_seen;
	bool is_verified;
};

struct partition {
	struct entry *entries; /* by offset */
	int64_t count;
	int64_t capacity;
	bool is_excused;
	int32_t last_numbers[HISTORY_PRODUCERS_MAX]; /* while it is verified; -1: none yet */
};

struct topic {
	char name[NAME_BYTES];
	int32_t partition_count;
	struct partition partitions[HISTORY_PARTITIONS_MAX];
};

struct history {
	struct topic topics[HISTORY_TOPICS_MAX];
	bool is_idempotent[HISTORY_PRODUCERS_MAX];
	struct history_counts counts;
	bool is_verifying;
	char failure[FAILURE_BYTES];
};

static struct partition *
partition_at(struct history *history, struct history_place place)
{
	OT_ASSERT(place.topic >= 0 && place.topic < HISTORY_TOPICS_MAX);
	OT_ASSERT(
	    place.partition >= 0 && place.partition < history->topics[place.topic].partition_count);
	return &history->topics[place.topic].partitions[place.partition];
}

static struct entry *
entry_at(struct partition *partition, int64_t offset)
{
	OT_ASSERT(offset >= 0 && offset < 1000 * 1000);
	if (offset >= partition->capacity) {
		int64_t capacity = OT_MAX(offset + 1, OT_MAX(1024, partition->capacity * 2));
		size_t bytes = (size_t)capacity * sizeof(*partition->entries);

		partition->entries = ot_realloc(partition->entries, bytes);
		OT_ASSERT(partition->entries != NULL);
		memset(partition->entries + partition->capacity, 0,
		    (size_t)(capacity - partition->capacity) * sizeof(*partition->entries));
		partition->capacity = capacity;
	}
	partition->count = OT_MAX(partition->count, offset + 1);
	return &partition->entries[offset];
}

struct history *
history_create(void)
{
	return OT_NEW(struct history);
}

void
history_destroy(struct history *history)
{
	if (history == NULL)
		return;
	for (int32_t i = 0; i < HISTORY_TOPICS_MAX; i++)
		for (int32_t j = 0; j < HISTORY_PARTITIONS_MAX; j++)
			ot_free(history->topics[i].partitions[j].entries);
	ot_free(history);
}

const char *
history_failure(const struct history *history)
{
	return history->failure[0] != '\0' ? history->failure : NULL;
}

void
history_fail(struct history *history, const char *fmt, ...)
{
	va_list args;

	if (history->failure[0] != '\0')
		return;
	va_start(args, fmt);
	(void)vsnprintf(history->failure, sizeof(history->failure), fmt, args);
	va_end(args);
}

void
history_add_topic(struct history *history, int32_t topic, const char *name, int32_t partition_count)
{
	OT_ASSERT(topic >= 0 && topic < HISTORY_TOPICS_MAX);
	OT_ASSERT(partition_count > 0 && partition_count <= HISTORY_PARTITIONS_MAX);
	(void)snprintf(history->topics[topic].name, NAME_BYTES, "%s", name);
	history->topics[topic].partition_count = partition_count;
}

void
history_add_producer(struct history *history, int32_t producer, bool is_idempotent)
{
	OT_ASSERT(producer >= 0 && producer < HISTORY_PRODUCERS_MAX);
	history->is_idempotent[producer] = is_idempotent;
}

void
history_excuse(struct history *history, struct history_place place)
{
	struct partition *partition = partition_at(history, place);

	history->counts.excused += !partition->is_excused;
	partition->is_excused = true;
}

bool
history_is_excused(const struct history *history, struct history_place place)
{
	return history->topics[place.topic].partitions[place.partition].is_excused;
}

/* ---- what is known of offsets ---------------------------------------------------------------- */

static void
note_record(struct history *history, struct history_place place, struct entry *entry,
    struct history_record record, int64_t offset, const char *who)
{
	if (entry->is_known &&
	    (entry->record.producer != record.producer || entry->record.number != record.number)) {
		history_fail(history,
		    "%s-%d has record %d of producer %d at offset %" PRId64
		    " (%s), which was record %d of producer %d (%s%s)",
		    history->topics[place.topic].name, place.partition, record.number,
		    record.producer, offset, who, entry->record.number, entry->record.producer,
		    entry->is_acked ? "acknowledged " : "", entry->is_seen ? "seen" : "");
		return;
	}
	entry->is_known = true;
	entry->record = record;
}

void
history_acked(struct history *history, struct history_place place, struct history_record first,
    int32_t count, int64_t base_offset)
{
	struct partition *partition = partition_at(history, place);

	history->counts.acked += (uint64_t)count;
	if (partition->is_excused)
		return;
	for (int32_t i = 0; i < count; i++) {
		struct history_record record = { first.producer, first.number + i };
		struct entry *entry = entry_at(partition, base_offset + i);

		note_record(history, place, entry, record, base_offset + i, "acknowledged");
		entry->is_acked = true;
	}
}

void
history_seen(struct history *history, struct history_place place, struct history_record record,
    int64_t offset)
{
	struct partition *partition = partition_at(history, place);
	struct entry *entry;

	history->counts.seen++;
	if (partition->is_excused || (history->is_verifying && offset >= partition->count))
		return;
	entry = entry_at(partition, offset);
	note_record(history, place, entry, record, offset, "seen");
	entry->is_seen = true;
}

void
history_out_of_range(struct history *history, struct history_place place, int64_t position)
{
	if (!history_is_excused(history, place))
		history_fail(history,
		    "%s-%d has no offset %" PRId64 " any more, a consumer's place",
		    history->topics[place.topic].name, place.partition, position);
}

/* ---- the last reading ------------------------------------------------------------------------ */

void
history_verify_begin(struct history *history)
{
	history->is_verifying = true;
	for (int32_t i = 0; i < HISTORY_TOPICS_MAX; i++) {
		for (int32_t j = 0; j < HISTORY_PARTITIONS_MAX; j++) {
			struct partition *partition = &history->topics[i].partitions[j];

			for (int32_t k = 0; k < HISTORY_PRODUCERS_MAX; k++)
				partition->last_numbers[k] = -1;
		}
	}
}

static void
check_order(struct history *history, struct history_place place, struct history_record record,
    int64_t offset)
{
	struct partition *partition = partition_at(history, place);
	int32_t *last = &partition->last_numbers[record.producer];

	if (!history->is_idempotent[record.producer])
		return;
	if (record.number <= *last && !partition->is_excused)
		history_fail(history,
		    "%s-%d has record %d of idempotent producer %d at offset %" PRId64
		    " %s record %d",
		    history->topics[place.topic].name, place.partition, record.number,
		    record.producer, offset, record.number == *last ? "twice, behind" : "behind",
		    *last);
	*last = record.number;
}

void
history_verify(struct history *history, struct history_place place, struct history_record record,
    int64_t offset)
{
	struct partition *partition = partition_at(history, place);
	struct entry *entry;

	history->counts.verified++;
	check_order(history, place, record, offset);
	if (partition->is_excused)
		return;
	entry = entry_at(partition, offset);
	note_record(history, place, entry, record, offset, "at the end");
	entry->is_verified = true;
}

void
history_verify_end(struct history *history, struct history_place place, int64_t start_offset,
    int64_t end_offset)
{
	struct partition *partition = partition_at(history, place);

	if (partition->is_excused)
		return;
	for (int64_t offset = start_offset; offset < partition->count; offset++) {
		const struct entry *entry = &partition->entries[offset];

		if (entry->is_verified || !entry->is_known)
			continue;
		history_fail(history,
		    "%s-%d has lost record %d of producer %d at offset %" PRId64 " (%s%s): it ends "
		    "at %" PRId64,
		    history->topics[place.topic].name, place.partition, entry->record.number,
		    entry->record.producer, offset, entry->is_acked ? "acknowledged " : "",
		    entry->is_seen ? "seen" : "", end_offset);
		return;
	}
}

int64_t
history_end(const struct history *history, struct history_place place)
{
	const struct partition *partition =
	    &history->topics[place.topic].partitions[place.partition];

	return partition->is_excused ? 0 : partition->count;
}

struct history_counts
history_counts(const struct history *history)
{
	return history->counts;
}

/* ---- values --------------------------------------------------------------------------------- */

static uint8_t
filling(struct history_record record, size_t place)
{
	uint32_t mixed = (uint32_t)record.producer * 2654435761u +
	                 (uint32_t)record.number * 40503u + (uint32_t)place * 97u;

	return (uint8_t)(mixed >> 11);
}

void
history_write_value(struct history_record record, size_t bytes, uint8_t *to)
{
	OT_ASSERT(bytes >= 8);
	ot_put_u32(to, (uint32_t)record.producer);
	ot_put_u32(to + 4, (uint32_t)record.number);
	for (size_t i = 8; i < bytes; i++)
		to[i] = filling(record, i);
}

bool
history_read_value(struct ot_bytes value, struct history_record *ret_record)
{
	if (value.len < 8)
		return false;
	ret_record->producer = (int32_t)ot_get_u32(value.data);
	ret_record->number = (int32_t)ot_get_u32(value.data + 4);
	if (ret_record->producer < 0 || ret_record->producer >= HISTORY_PRODUCERS_MAX)
		return false;
	for (size_t i = 8; i < (size_t)value.len; i++)
		if (value.data[i] != filling(*ret_record, i))
			return false;
	return true;
}
