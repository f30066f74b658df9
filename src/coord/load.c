/* Loading: the log is replayed into the machine, chunk by chunk, step by step.
 *
 *   begin: next = start, end = end of the log now
 *   step   no chunk, next < end    ask for a chunk from next on, and return
 *          a chunk                 replay whole batches until RECORDS_PER_STEP are done, come again
 *          no chunk, next >= end   active
 *
 * A step is a timer that is due at once: other work of the shard gets its turn in between. A batch
 * is never split over steps, for the codec that opens it is the shard's only one.
 */
#include "coord/coord_int.h"

#include "base/plant.h"
#include "record/control.h"

enum { RECORDS_PER_STEP = 1000 };

static void
step_soon(struct ot_coord *coord)
{
	ot_timer_arm(coord->io, &coord->load_timer, ot_io_now(coord->io));
}

static void
chunk_drop(struct ot_coord *coord)
{
	ot_blob_unref(coord->chunk);
	coord->chunk = NULL;
	coord->chunk_next = coord->chunk_end = NULL;
}

static void
load_fail(struct ot_coord *coord, ot_err err, const char *why)
{
	OT_ERROR("coord", "%s: cannot load at offset %lld: %s: %s", coord->name,
	    (long long)coord->load_next, ot_err_name(err),
	    why[0] != '\0' ? why : ot_err_message(err));
	chunk_drop(coord);
	ot_timer_cancel(coord->io, &coord->load_timer);
	coord->options.machine->ops->clear(coord->options.machine);
	coord_set_state(coord, OT_COORD_FAILED);
}

/* ---- replay -------------------------------------------------------------------------------- */

static ot_err
replay_record(struct ot_coord *coord, const struct ot_batch_info *info,
    const struct ot_record *record, struct ot_why *why)
{
	struct ot_coord_machine *machine = coord->options.machine;
	if (record->key.len < 0) {
		ot_why_set(why, "the record at offset %lld has no key", (long long)record->offset);
		return OT_ERR_INVALID_RECORD;
	}
	struct ot_coord_record applied = {
		.key = record->key,
		.value = record->value,
		.offset = record->offset,
		.timestamp = record->timestamp,
		.producer_id = info->is_transactional ? info->producer_id : OT_NO_PRODUCER_ID,
		.producer_epoch = info->producer_epoch,
	};
	ot_err err = machine->ops->apply(machine, &applied, OT_COORD_LOAD);
	coord->stats.records_loaded++;
	if (err == OT_ERR_UNSUPPORTED_VERSION) {
		coord->stats.records_unknown++;
		return OT_OK;
	}
	if (err != OT_OK)
		ot_why_set(why, "the record at offset %lld is not of its type: %s",
		    (long long)record->offset, ot_err_message(err));
	return err;
}

/* A transaction's end counts, other control records do not. */
static ot_err
replay_control(struct ot_coord *coord, const uint8_t *bytes, const struct ot_batch_info *info)
{
	struct ot_coord_machine *machine = coord->options.machine;
	struct ot_end_txn_marker marker;
	if (!info->is_transactional || machine->ops->marker == NULL)
		return OT_OK;
	ot_err err = ot_end_txn_parse(bytes, info, &marker);
	if (err == OT_OK)
		machine->ops->marker(machine, marker.producer_id, marker.producer_epoch,
		    marker.is_commit);
	return err;
}

static ot_err
replay_records(struct ot_coord *coord, const uint8_t *bytes, const struct ot_batch_info *info,
    struct ot_why *why)
{
	struct ot_record_iter_options options = { .ctx = coord->options.codec };
	struct ot_record_iter iter;
	struct ot_record record;
	ot_err err = ot_record_iter_open(&iter, bytes, info, &options, why);
	if (err != OT_OK)
		return err;
	while (err == OT_OK && ot_record_iter_next(&iter, &record)) {
		if (record.offset >= coord->load_next)
			err = replay_record(coord, info, &record, why);
	}
	ot_err close_err = ot_record_iter_close(&iter);
	return err != OT_OK ? err : close_err;
}

/* The chunk's next batch. What the partition gives was checked when it was opened or appended; it
 * is checked again, for all that follows rests on it. */
static ot_err
replay_batch(struct ot_coord *coord, uint32_t *ret_record_count, struct ot_why *why)
{
	struct ot_batch_info info;
	const uint8_t *bytes = coord->chunk_next;
	ot_err err = ot_batch_parse(bytes, (size_t)(coord->chunk_end - bytes), &info, why);
	if (err != OT_OK)
		return err;
	if (!ot_batch_crc_is_valid(bytes, &info)) {
		ot_why_set(why, "the checksum of the batch at offset %lld is wrong",
		    (long long)info.base_offset);
		return OT_ERR_CORRUPT_MESSAGE;
	}
	if (ot_batch_info_last_offset(&info) >= coord->load_next) {
		err = info.is_control ? replay_control(coord, bytes, &info)
		                      : replay_records(coord, bytes, &info, why);
		if (err != OT_OK)
			return err;
		coord->load_next = ot_batch_info_last_offset(&info) + 1;
		*ret_record_count += (uint32_t)info.record_count;
	}
	coord->chunk_next += info.bytes;
	coord->stats.bytes_loaded += info.bytes;
	return OT_OK;
}

/* ---- steps --------------------------------------------------------------------------------- */

static void
load_end(struct ot_coord *coord)
{
	struct ot_coord_machine *machine = coord->options.machine;
	coord->stats.load_ms = (int64_t)((ot_io_now(coord->io) - coord->load_start) / OT_NS_PER_MS);
	coord->log_bytes = coord->stats.bytes_loaded;
	coord_set_state(coord, OT_COORD_ACTIVE);
	/* Fifty empty partitions are no news. */
	ot_report(coord->stats.records_loaded > 0 ? OT_REPORT_INFO : OT_REPORT_DEBUG, "coord",
	    "%s: loaded %llu records in %lld ms, epoch %d", coord->name,
	    (unsigned long long)coord->stats.records_loaded, (long long)coord->stats.load_ms,
	    coord->leader_epoch);
	if (coord->stats.records_unknown > 0)
		OT_WARN("coord", "%s: skipped %llu records of types that this version lacks",
		    coord->name, (unsigned long long)coord->stats.records_unknown);
	machine->ops->activate(machine);
}

static void
read_on_done(struct ot_coord_read *read, ot_err err)
{
	struct ot_coord *coord = OT_CONTAINER_OF(read, struct ot_coord, read);
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(coord->is_reading);
	coord->is_reading = false;
	bool is_stale = coord->is_read_stale;
	coord->is_read_stale = false;
	if (err != OT_OK)
		read->blob = NULL;

	if (coord->state != OT_COORD_LOADING) {
		ot_blob_unref(read->blob);
		coord_maybe_free(coord);
	} else if (is_stale) {
		ot_blob_unref(read->blob);
		step_soon(coord);
	} else if (err != OT_OK) {
		load_fail(coord, err, "");
	} else if (read->next_offset <= read->offset) {
		ot_blob_unref(read->blob);
		load_fail(coord, OT_ERR_CORRUPT_FILE, "the log ends before its end");
	} else {
		coord->chunk = read->blob;
		coord->chunk_next = read->data;
		coord->chunk_end = read->data + read->bytes;
		step_soon(coord);
	}
}

static void
read_next(struct ot_coord *coord)
{
	if (coord->is_reading)
		return; /* an earlier load's: its end is the next step */
	struct ot_coord_log *log = coord->options.log;
	coord->read = (struct ot_coord_read){
		.offset = coord->load_next,
		.bytes_max = coord->options.load_chunk_bytes,
		.on_done = read_on_done,
	};
	ot_list_init(&coord->read.link);
	coord->is_reading = true;
	log->ops->read(log, &coord->read);
}

static void
load_on_timer(struct ot_timer *timer)
{
	struct ot_coord *coord = OT_CONTAINER_OF(timer, struct ot_coord, load_timer);
	OT_ASSERT(coord->state == OT_COORD_LOADING);
	if (coord->chunk_next == NULL) {
		if (coord->load_next >= coord->load_end)
			load_end(coord);
		else
			read_next(coord);
		return;
	}

	uint32_t record_count = 0;
	struct ot_why why = { "" };
	while (coord->chunk_next < coord->chunk_end && record_count < RECORDS_PER_STEP) {
		ot_err err = replay_batch(coord, &record_count, &why);
		if (err != OT_OK) {
			load_fail(coord, err, why.text);
			return;
		}
	}
	if (coord->chunk_next >= coord->chunk_end) {
		/* Compaction may have left a gap behind the last batch. */
		coord->load_next = OT_MAX(coord->load_next, coord->read.next_offset);
		chunk_drop(coord);
	}
	step_soon(coord);
}

void
coord_load_init(struct ot_coord *coord)
{
	ot_timer_init(&coord->load_timer, load_on_timer);
}

void
coord_load_begin(struct ot_coord *coord)
{
	struct ot_coord_log *log = coord->options.log;
	OT_ASSERT(coord->chunk == NULL && ot_list_is_empty(&coord->pending));
	log->ops->bounds(log, &coord->load_next, &coord->load_end);
	if (OT_PLANT(OFFSETS_NOT_LOADED))
		coord->load_next = coord->load_end;
	coord->load_start = ot_io_now(coord->io);
	coord->stats.records_loaded = 0;
	coord->stats.records_unknown = 0;
	coord->stats.bytes_loaded = 0;
	coord->is_read_stale = coord->is_reading;
	step_soon(coord);
}

void
coord_load_stop(struct ot_coord *coord)
{
	ot_timer_cancel(coord->io, &coord->load_timer);
	chunk_drop(coord);
}
