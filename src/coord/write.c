/* Writing: operations, batches, undo, and those who wait. README.md has the argument.
 *
 * The batches that are pending, oldest first:
 *
 *   number_committed | sent, sent, sent ... | closed ... | open
 *                      answered in order      end of turn  takes records
 *
 * A failure may come for any of the sent ones, or for one that is being sent: it and all behind it
 * are undone, newest first, and those who wait for any of them are told. The ones before it stay.
 */
#include "coord/coord_int.h"

#include <string.h>

#include "wire/recordio.h"

enum {
	/* A batch that has grown to this is closed: the next operation opens another. */
	BATCH_BYTES_WANTED = 1024 * 1024,
};

/* ---- entries ------------------------------------------------------------------------------- */

void
coord_entry_put(struct ot_writer *out, struct ot_bytes key, struct ot_bytes value)
{
	OT_ASSERT(key.len >= 0);
	uint32_t key_bytes = (uint32_t)key.len;
	uint32_t value_bytes = value.len < 0 ? 0 : (uint32_t)value.len;
	if (!ot_writer_reserve(out, COORD_ENTRY_BYTES + (size_t)key_bytes + value_bytes))
		return;
	ot_write_i32(out, key.len);
	ot_write_i32(out, value.len < 0 ? (int32_t)COORD_TOMBSTONE : value.len);
	ot_write_raw(out, key.data, key_bytes);
	ot_write_raw(out, value.data, value_bytes);
	ot_write_i32(out, (int32_t)(8 + key_bytes + value_bytes));
}

bool
coord_entry_next(struct ot_reader *in, struct coord_entry *ret_entry)
{
	if (ot_reader_left(in) == 0)
		return false;
	uint32_t key_bytes = (uint32_t)ot_read_i32(in);
	uint32_t value_bytes = (uint32_t)ot_read_i32(in);
	ret_entry->key.len = (int32_t)key_bytes;
	ret_entry->key.data = ot_read_raw(in, key_bytes);
	ret_entry->value = OT_BYTES_NULL;
	if (value_bytes != COORD_TOMBSTONE) {
		ret_entry->value.len = (int32_t)value_bytes;
		ret_entry->value.data = ot_read_raw(in, value_bytes);
	}
	(void)ot_read_i32(in);
	OT_ASSERT(!in->failed);
	return true;
}

bool
coord_entry_last(struct ot_writer *list, struct coord_entry *ret_entry)
{
	if (list->bytes == 0)
		return false;
	OT_ASSERT(list->bytes >= COORD_ENTRY_BYTES);
	size_t bytes = 4 + (size_t)ot_get_u32(list->data + list->bytes - 4);
	OT_ASSERT(bytes <= list->bytes);
	list->bytes -= bytes;
	struct ot_reader in = ot_reader_of(list->data + list->bytes, bytes);
	return coord_entry_next(&in, ret_entry);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void
batch_free(struct coord_batch *batch)
{
	ot_list_remove(&batch->link);
	ot_writer_fini(&batch->records);
	ot_writer_fini(&batch->undo);
	ot_blob_unref(batch->append.blob);
	ot_free(batch);
}

static struct coord_batch *
batch_newest(struct ot_coord *coord)
{
	if (ot_list_is_empty(&coord->pending))
		return NULL;
	return OT_CONTAINER_OF(coord->pending.prev, struct coord_batch, link);
}

static struct coord_batch *
batch_create(struct ot_coord *coord)
{
	struct coord_batch *batch = ot_alloc(sizeof(*batch));
	if (batch == NULL)
		return NULL;
	batch->coord = coord;
	batch->number = coord->number_next++;
	batch->life = coord->life;
	batch->timestamp = ot_io_wall(coord->io);
	batch->bytes_max = OT_BATCH_HEADER_BYTES;
	ot_writer_init(&batch->records);
	ot_writer_init(&batch->undo);
	ot_list_push_back(&coord->pending, &batch->link);
	ot_shard_defer(coord->owner, &coord->work, OT_TURN_APPEND);
	return batch;
}

/* The open batch, or a new one when there is none or when `bytes` more are too many for it. */
static struct coord_batch *
batch_with_room(struct ot_coord *coord, size_t bytes)
{
	size_t bytes_max = OT_MIN(coord->options.log->batch_bytes_max, (size_t)BATCH_BYTES_WANTED);
	struct coord_batch *batch = batch_newest(coord);
	if (batch != NULL && !batch->is_closed && batch->bytes_max + bytes > bytes_max)
		batch->is_closed = true;
	if (batch == NULL || batch->is_closed)
		batch = batch_create(coord);
	return batch;
}

void
coord_batch_close_open(struct ot_coord *coord)
{
	struct coord_batch *batch = batch_newest(coord);
	if (batch != NULL)
		batch->is_closed = true;
}

static struct ot_record_data
entry_record(const struct coord_entry *entry, ot_wall_ms timestamp)
{
	return (struct ot_record_data){ .timestamp = timestamp,
		.key = entry->key,
		.value = entry->value,
		.encoded_headers = OT_BYTES_NULL };
}

/* ---- operations ---------------------------------------------------------------------------- */

void
ot_coord_begin(struct ot_coord *coord)
{
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(coord->state == OT_COORD_ACTIVE);
	OT_ASSERT(!coord->is_drafting && !coord->is_undoing);
	coord->is_drafting = true;
	coord->draft_err = OT_OK;
	ot_writer_reset(&coord->draft);
}

void
ot_coord_put(struct ot_coord *coord, const struct ot_msg *key_type, int16_t key_number,
    const void *key, const struct ot_msg *value_type, int16_t value_version, const void *value)
{
	OT_ASSERT(coord->is_drafting);
	if (coord->draft_err != OT_OK)
		return;

	struct ot_writer *draft = &coord->draft;
	size_t start = draft->bytes;
	ot_write_i32(draft, 0);
	ot_write_i32(draft, (int32_t)COORD_TOMBSTONE);
	ot_err err = ot_versioned_encode(key_type, key_number, key, draft);
	if (err == OT_OK && !draft->failed)
		ot_write_i32_at(draft, start, (int32_t)(draft->bytes - start - 8));
	size_t value_start = draft->bytes;
	if (err == OT_OK && value != NULL) {
		err = ot_versioned_encode(value_type, value_version, value, draft);
		if (err == OT_OK && !draft->failed)
			ot_write_i32_at(draft, start + 4, (int32_t)(draft->bytes - value_start));
	}
	ot_write_i32(draft, (int32_t)(draft->bytes - start));
	if (err == OT_OK && draft->failed)
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK && draft->bytes > INT32_MAX)
		err = OT_ERR_MESSAGE_TOO_LARGE;
	coord->draft_err = err;
}

void
ot_coord_abandon(struct ot_coord *coord)
{
	OT_ASSERT(coord->is_drafting);
	coord->is_drafting = false;
	ot_writer_reset(&coord->draft);
}

/* Entries from `in` whose records fit into one batch of `bytes_max`; at least one. */
static ot_err
measure(struct ot_reader in, size_t bytes_max, size_t *ret_entry_bytes, size_t *ret_record_bytes,
    uint32_t *ret_count)
{
	const uint8_t *start = in.next;
	struct coord_entry entry;
	size_t record_bytes = 0;
	size_t entry_bytes = 0;
	uint32_t count = 0;
	while (coord_entry_next(&in, &entry)) {
		struct ot_record_data record = entry_record(&entry, 0);
		size_t bytes = ot_record_data_bytes_max(&record);
		if (OT_BATCH_HEADER_BYTES + record_bytes + bytes > bytes_max)
			break;
		record_bytes += bytes;
		entry_bytes = (size_t)(in.next - start);
		count++;
	}
	if (count == 0)
		return OT_ERR_MESSAGE_TOO_LARGE;
	*ret_entry_bytes = entry_bytes;
	*ret_record_bytes = record_bytes;
	*ret_count = count;
	return OT_OK;
}

/* Notes what the entries' keys stand for now. All images are taken before anything is applied: a
 * key that occurs twice has the same image twice, and undoing both gives it back. */
static ot_err
take_images(struct ot_coord *coord, struct coord_batch *batch, struct ot_reader entries)
{
	struct ot_coord_machine *machine = coord->options.machine;
	struct ot_writer *undo = &batch->undo;
	size_t undo_bytes = undo->bytes;
	struct coord_entry entry;
	while (coord_entry_next(&entries, &entry) && !undo->failed) {
		ot_writer_reset(&coord->scratch);
		bool has_value = machine->ops->image(machine, entry.key, &coord->scratch);
		if (coord->scratch.failed)
			break;
		struct ot_bytes value = OT_BYTES_NULL;
		if (has_value) {
			value.data = coord->scratch.data;
			value.len = (int32_t)coord->scratch.bytes;
		}
		coord_entry_put(undo, entry.key, value);
	}
	if (!undo->failed && !coord->scratch.failed)
		return OT_OK;
	undo->bytes = undo_bytes;
	undo->failed = false;
	ot_writer_reset(&coord->scratch);
	return OT_ERR_NO_MEMORY;
}

static void
apply(struct ot_coord *coord, const struct coord_entry *entry, ot_wall_ms timestamp,
    enum ot_coord_origin origin)
{
	struct ot_coord_machine *machine = coord->options.machine;
	struct ot_coord_record record = {
		.key = entry->key,
		.value = entry->value,
		.offset = -1,
		.timestamp = timestamp,
		.producer_id = OT_NO_PRODUCER_ID,
		.producer_epoch = OT_NO_PRODUCER_EPOCH,
	};
	ot_err err = machine->ops->apply(machine, &record, origin);
	OT_ASSERT(err == OT_OK);
}

/* A batch that was opened for records that could not be taken goes again: nobody has its number. */
static void
batch_drop_empty(struct ot_coord *coord, struct coord_batch *batch)
{
	if (batch->record_count > 0)
		return;
	OT_ASSERT(batch == batch_newest(coord) && batch->number == coord->number_next - 1);
	coord->number_next--;
	batch_free(batch);
}

/* Takes entries into one batch, and applies them. Nothing fails once anything has changed. */
static ot_err
take_entries(struct ot_coord *coord, const uint8_t *entries, size_t entry_bytes,
    size_t record_bytes, uint32_t count, bool is_applied)
{
	struct coord_batch *batch = batch_with_room(coord, record_bytes);
	if (batch == NULL)
		return OT_ERR_NO_MEMORY;
	struct ot_reader in = ot_reader_of(entries, entry_bytes);
	ot_err err = OT_OK;
	if (!ot_writer_reserve(&batch->records, entry_bytes)) {
		batch->records.failed = false; /* nothing was written: it is as it was */
		err = OT_ERR_NO_MEMORY;
	}
	if (err == OT_OK && is_applied)
		err = take_images(coord, batch, in);
	if (err != OT_OK) {
		batch_drop_empty(coord, batch);
		return err;
	}
	ot_write_raw(&batch->records, entries, entry_bytes);
	OT_ASSERT(!batch->records.failed);
	batch->record_count += count;
	batch->bytes_max += record_bytes;

	struct coord_entry entry;
	while (is_applied && coord_entry_next(&in, &entry))
		apply(coord, &entry, batch->timestamp, OT_COORD_LIVE);
	return OT_OK;
}

ot_err
ot_coord_commit(struct ot_coord *coord, bool is_divisible)
{
	OT_ASSERT(coord->is_drafting);
	coord->is_drafting = false;
	if (coord->draft_err != OT_OK)
		return coord->draft_err;

	size_t bytes_max = coord->options.log->batch_bytes_max;
	const uint8_t *next = coord->draft.data;
	const uint8_t *end = next + coord->draft.bytes;
	while (next < end) {
		size_t entry_bytes = 0;
		size_t record_bytes = 0;
		uint32_t count = 0;
		ot_err err = measure(ot_reader_of(next, (size_t)(end - next)), bytes_max,
		    &entry_bytes, &record_bytes, &count);
		if (err == OT_OK && !is_divisible && next + entry_bytes < end)
			err = OT_ERR_MESSAGE_TOO_LARGE;
		if (err == OT_OK)
			err = take_entries(coord, next, entry_bytes, record_bytes, count, true);
		if (err != OT_OK)
			return err;
		next += entry_bytes;
	}
	return OT_OK;
}

ot_err
coord_append_images(struct ot_coord *coord, const struct ot_writer *entries)
{
	const uint8_t *next = entries->data;
	const uint8_t *end = next + entries->bytes;
	while (next < end) {
		size_t entry_bytes = 0;
		size_t record_bytes = 0;
		uint32_t count = 0;
		ot_err err = measure(ot_reader_of(next, (size_t)(end - next)),
		    coord->options.log->batch_bytes_max, &entry_bytes, &record_bytes, &count);
		if (err == OT_OK)
			err = take_entries(coord, next, entry_bytes, record_bytes, count, false);
		if (err != OT_OK)
			return err;
		next += entry_bytes;
	}
	return OT_OK;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void
wait_timer_arm(struct ot_coord *coord)
{
	struct ot_coord_wait *first = OT_LIST_FIRST(&coord->waits, struct ot_coord_wait, link);
	if (first == NULL)
		ot_timer_cancel(coord->io, &coord->wait_timer);
	else
		ot_timer_arm(coord->io, &coord->wait_timer, first->deadline);
}

static void
wait_end(struct ot_coord_wait *wait, ot_err err)
{
	ot_list_remove(&wait->link);
	wait->on_done(wait, err);
}

/* Answers those who wait for nothing that is pending. */
static void
answer_committed(struct ot_coord *coord)
{
	for (;;) {
		struct ot_coord_wait *wait =
		    OT_LIST_FIRST(&coord->waits, struct ot_coord_wait, link);
		if (wait == NULL || wait->batch_number > coord->number_committed)
			break;
		wait_end(wait, OT_OK);
	}
	wait_timer_arm(coord);
}

/* Tells all who wait for `number` or later. They may begin to wait anew meanwhile. */
static void
answer_failed(struct ot_coord *coord, uint64_t number, ot_err err)
{
	struct ot_list failed;
	ot_list_init(&failed);
	OT_LIST_FOREACH_SAFE(link, &coord->waits) {
		struct ot_coord_wait *wait = OT_CONTAINER_OF(link, struct ot_coord_wait, link);
		if (wait->batch_number < number)
			continue;
		ot_list_remove(link);
		ot_list_push_back(&failed, link);
	}
	struct ot_coord_wait *wait;
	while ((wait = OT_LIST_FIRST(&failed, struct ot_coord_wait, link)) != NULL)
		wait_end(wait, err);
	wait_timer_arm(coord);
}

static void
wait_on_timer(struct ot_timer *timer)
{
	struct ot_coord *coord = OT_CONTAINER_OF(timer, struct ot_coord, wait_timer);
	ot_mono_ns now = ot_io_now(coord->io);
	for (;;) {
		struct ot_coord_wait *wait =
		    OT_LIST_FIRST(&coord->waits, struct ot_coord_wait, link);
		if (wait == NULL || wait->deadline > now)
			break;
		wait_end(wait, OT_ERR_REQUEST_TIMED_OUT);
	}
	wait_timer_arm(coord);
}

void
ot_coord_wait(struct ot_coord *coord, struct ot_coord_wait *wait,
    void (*on_done)(struct ot_coord_wait *wait, ot_err err))
{
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(coord->state == OT_COORD_ACTIVE);
	struct coord_batch *newest = batch_newest(coord);
	wait->on_done = on_done;
	wait->batch_number = newest == NULL ? coord->number_committed : newest->number;
	wait->deadline =
	    ot_io_now(coord->io) + (ot_mono_ns)coord->options.write_timeout_ms * OT_NS_PER_MS;
	bool is_first = ot_list_is_empty(&coord->waits);
	ot_list_init(&wait->link);
	ot_list_push_back(&coord->waits, &wait->link);
	if (is_first)
		wait_timer_arm(coord);
	if (newest == NULL)
		ot_shard_defer(coord->owner, &coord->work, OT_TURN_APPEND);
}

void
ot_coord_wait_cancel(struct ot_coord_wait *wait)
{
	if (wait->link.next != NULL)
		ot_list_remove(&wait->link);
}

uint64_t
ot_coord_batch_number(const struct ot_coord *coord)
{
	if (ot_list_is_empty(&coord->pending))
		return coord->number_committed;
	return OT_CONTAINER_OF(coord->pending.prev, struct coord_batch, link)->number;
}

bool
ot_coord_is_committed(const struct ot_coord *coord, uint64_t batch_number)
{
	return batch_number <= coord->number_committed;
}

bool
ot_coord_is_settled(const struct ot_coord *coord)
{
	return ot_list_is_empty(&coord->pending);
}

/* ---- outcomes ------------------------------------------------------------------------------ */

/* Undoes the newest batch. */
static void
undo_newest(struct ot_coord *coord)
{
	struct coord_batch *batch = batch_newest(coord);
	/* Out of the list first: what is restored is stamped as of the batches that are left. */
	ot_list_remove(&batch->link);
	coord->is_undoing = true;
	struct coord_entry entry;
	while (coord_entry_last(&batch->undo, &entry))
		apply(coord, &entry, OT_NO_TIMESTAMP, OT_COORD_UNDO);
	coord->is_undoing = false;
	coord->stats.batches_failed++;
	if (batch->is_sent)
		batch->is_dead = true;
	else
		batch_free(batch);
}

/* A batch failed: it goes, and all behind it. */
static void
fail_from(struct ot_coord *coord, struct coord_batch *batch, ot_err err)
{
	uint64_t number = batch->number;
	OT_WARN("coord", "%s: append of %u records failed: %s", coord->name, batch->record_count,
	    ot_err_name(err));
	coord_rewrite_stop(coord);
	for (;;) {
		struct coord_batch *newest = batch_newest(coord);
		if (newest == NULL || newest->number < number)
			break;
		undo_newest(coord);
	}
	answer_failed(coord, number, err);
}

/* The log took a batch behind one that it refused, against coord.h: what is in it was undone here.
 * The state can be had from the log alone now. */
static void
reload(struct ot_coord *coord)
{
	OT_ERROR("coord", "%s: the log holds a batch that was undone; loading it again",
	    coord->name);
	ot_coord_unload(coord);
	ot_coord_load(coord, coord->leader_epoch);
}

static void
append_on_done(struct ot_coord_append *append, ot_err err)
{
	struct coord_batch *batch = OT_CONTAINER_OF(append, struct coord_batch, append);
	struct ot_coord *coord = batch->coord;
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(batch->is_sent && coord->sent_count > 0);
	coord->sent_count--;

	if (batch->is_dead) {
		/* Either it failed with one before it, or the coordinator was unloaded. */
		bool is_diverged = err == OT_OK && batch->life == coord->life;
		batch_free(batch);
		if (is_diverged)
			reload(coord);
		coord_maybe_free(coord);
		return;
	}
	batch->is_sent = false;
	if (err != OT_OK) {
		fail_from(coord, batch, err);
		return;
	}
	OT_ASSERT(coord->pending.next == &batch->link);
	OT_ASSERT(batch->number > coord->number_committed);
	coord->number_committed = batch->number;
	coord->stats.batches_appended++;
	coord->stats.records_appended += batch->record_count;
	coord->stats.bytes_appended += batch->append.info.bytes;
	coord->log_bytes += batch->append.info.bytes;
	ot_list_remove(&batch->link);
	coord_rewrite_committed(coord, batch);
	batch_free(batch);
	answer_committed(coord);
}

/* ---- sending ------------------------------------------------------------------------------- */

static ot_err
batch_build(struct ot_coord *coord, struct coord_batch *batch)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.compression = coord->options.compression;
	options.leader_epoch = coord->leader_epoch;
	struct ot_writer *out = &coord->scratch;
	ot_writer_reset(out);

	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, coord->options.codec);
	ot_batch_builder_begin(&builder, &options, out);
	struct ot_reader in = ot_reader_of(batch->records.data, batch->records.bytes);
	struct coord_entry entry;
	while (coord_entry_next(&in, &entry)) {
		struct ot_record_data record = entry_record(&entry, batch->timestamp);
		ot_batch_builder_append(&builder, &record);
	}
	ot_err err = ot_batch_builder_finish(&builder, &batch->append.info);
	ot_batch_builder_fini(&builder);
	if (err != OT_OK)
		return err;
	batch->append.blob = ot_blob_create(out->bytes);
	if (batch->append.blob == NULL)
		return OT_ERR_NO_MEMORY;
	memcpy(batch->append.blob->data, out->data, out->bytes);
	ot_writer_fini(&batch->records);
	return OT_OK;
}

/* The oldest batch that the log does not have. */
static struct coord_batch *
batch_unsent(struct ot_coord *coord)
{
	OT_LIST_FOREACH(link, &coord->pending) {
		struct coord_batch *batch = OT_CONTAINER_OF(link, struct coord_batch, link);
		if (!batch->is_sent)
			return batch;
	}
	return NULL;
}

static void
write_work(struct ot_turn_work *work)
{
	struct ot_coord *coord = OT_CONTAINER_OF(work, struct ot_coord, work);
	struct coord_batch *batch;
	while ((batch = batch_unsent(coord)) != NULL) {
		batch->is_closed = true;
		ot_err err = batch_build(coord, batch);
		if (err != OT_OK) {
			fail_from(coord, batch, err);
			continue;
		}
		batch->is_sent = true;
		coord->sent_count++;
		batch->append.on_done = append_on_done;
		ot_list_init(&batch->append.link);
		/* The answer may come from inside the call: nothing is touched afterwards. */
		coord->options.log->ops->append(coord->options.log, &batch->append);
	}
	answer_committed(coord);
}

/* ---- life ---------------------------------------------------------------------------------- */

void
coord_write_init(struct ot_coord *coord)
{
	ot_list_init(&coord->pending);
	ot_list_init(&coord->waits);
	coord->number_next = 1;
	ot_writer_init(&coord->draft);
	ot_writer_init(&coord->scratch);
	ot_timer_init(&coord->wait_timer, wait_on_timer);
	ot_turn_work_init(&coord->work, write_work);
}

void
coord_write_fini(struct ot_coord *coord)
{
	OT_ASSERT(ot_list_is_empty(&coord->pending) && ot_list_is_empty(&coord->waits));
	ot_timer_cancel(coord->io, &coord->wait_timer);
	ot_turn_work_cancel(&coord->work);
	ot_writer_fini(&coord->draft);
	ot_writer_fini(&coord->scratch);
}

void
coord_write_drop(struct ot_coord *coord, ot_err err)
{
	uint64_t number = coord->number_committed + 1;
	while (batch_newest(coord) != NULL) {
		struct coord_batch *batch = batch_newest(coord);
		ot_list_remove(&batch->link);
		batch->is_dead = true;
		if (!batch->is_sent)
			batch_free(batch);
	}
	answer_committed(coord);
	answer_failed(coord, number, err);
	OT_ASSERT(ot_list_is_empty(&coord->waits));
	/* What is dead counts as settled: the next load begins with nothing pending. */
	coord->number_committed = coord->number_next - 1;
}
