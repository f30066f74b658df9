/* Goal: no log of __consumer_offsets, whatever is in it, does more than fail the load; and what was
 * loaded is the same when it is written anew record by record.
 * Method: the input is a list of records, as batches of a log in memory:
 *
 *   byte     0 to 3: what it is: 0 a record, 1 a tombstone, 2 a record of a transaction, 3 a marker
 *            (its bit 4 commits); bits 5 to 7: the producer
 *   byte     length of the key; two bytes, length of the value; both as they are there
 *
 * A coordinator loads it, builds all groups, lets an hour pass (sessions end, offsets expire), and
 * emits what lives into a second machine, whose dump must be the same. */
#include <string.h>

#include "base/alloc.h"
#include "base/blob.h"
#include "base/panic.h"
#include "coord/group/group.h"
#include "record/build.h"
#include "record/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { RECORD, TOMBSTONE, TXN_RECORD, MARKER };

/* ---- io and log ---------------------------------------------------------------------------- */

struct fuzz_io {
	struct ot_io io;
	ot_mono_ns now;
};

static ot_mono_ns
io_now(struct ot_io *io, bool exact)
{
	(void)exact;
	return OT_CONTAINER_OF(io, struct fuzz_io, io)->now;
}

static ot_wall_ms
io_wall(struct ot_io *io)
{
	return (ot_wall_ms)(OT_CONTAINER_OF(io, struct fuzz_io, io)->now / OT_NS_PER_MS);
}

static void
io_random(struct ot_io *io, void *to, size_t bytes)
{
	(void)io;
	memset(to, 7, bytes);
}

static void
io_wake_at(struct ot_io *io, ot_mono_ns at)
{
	(void)io;
	(void)at;
}

static void
io_ring(struct ot_io *io)
{
	(void)io;
}

static const struct ot_io_ops io_ops = {
	.now = io_now,
	.wall = io_wall,
	.random = io_random,
	.wake_at = io_wake_at,
	.ring = io_ring,
};

struct fuzz_log {
	struct ot_coord_log log;
	struct ot_writer batches;
	int64_t end;
};

static void
log_append(struct ot_coord_log *base, struct ot_coord_append *append)
{
	struct fuzz_log *log = OT_CONTAINER_OF(base, struct fuzz_log, log);
	append->next_offset = log->end + 1;
	append->on_done(append, OT_OK);
}

static void
log_read(struct ot_coord_log *base, struct ot_coord_read *read)
{
	struct fuzz_log *log = OT_CONTAINER_OF(base, struct fuzz_log, log);
	read->blob = ot_blob_create(log->batches.bytes);
	memcpy(read->blob->data, log->batches.data, log->batches.bytes);
	read->data = read->blob->data;
	read->bytes = log->batches.bytes;
	read->next_offset = log->end;
	read->on_done(read, OT_OK);
}

static void
log_bounds(struct ot_coord_log *base, int64_t *ret_start, int64_t *ret_end)
{
	*ret_start = 0;
	*ret_end = OT_CONTAINER_OF(base, struct fuzz_log, log)->end;
}

static const struct ot_coord_log_ops log_ops = {
	.append = log_append,
	.read = log_read,
	.bounds = log_bounds,
};

/* ---- the input as a log -------------------------------------------------------------------- */

static void
put_marker(struct fuzz_log *log, int64_t producer_id, bool is_commit)
{
	ot_err err =
	    ot_build_end_txn(&(struct ot_control_place){ .base_offset = log->end, .timestamp = 1 },
		&(struct ot_end_txn_marker){ .producer_id = producer_id, .is_commit = is_commit },
		&log->batches);
	OT_ASSERT(err == OT_OK);
	log->end++;
}

static void
put_record(struct fuzz_log *log, int kind, int64_t producer_id, struct ot_bytes key,
    struct ot_bytes value)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.base_offset = log->end;
	if (kind == TXN_RECORD) {
		options.is_transactional = true;
		options.producer_id = producer_id;
		options.producer_epoch = 0;
		options.base_sequence = 0;
	}
	struct ot_record_data record = { .timestamp = 1,
		.key = key,
		.value = kind == TOMBSTONE ? OT_BYTES_NULL : value,
		.encoded_headers = OT_BYTES_NULL };
	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &log->batches);
	ot_batch_builder_append(&builder, &record);
	ot_err err = ot_batch_builder_finish(&builder, NULL);
	OT_ASSERT(err == OT_OK);
	ot_batch_builder_fini(&builder);
	log->end++;
}

static void
fill_log(struct fuzz_log *log, struct ot_reader in)
{
	while (ot_reader_left(&in) > 0) {
		uint8_t head = (uint8_t)ot_read_i8(&in);
		int64_t producer_id = head >> 5;
		if ((head & 3) == MARKER) {
			put_marker(log, producer_id, (head & 16) != 0);
			continue;
		}
		int32_t key_len = (uint8_t)ot_read_i8(&in);
		int32_t value_len = (uint16_t)ot_read_i16(&in);
		struct ot_bytes key = { ot_read_raw(&in, (size_t)key_len), key_len };
		struct ot_bytes value = { ot_read_raw(&in, (size_t)value_len), value_len };
		if (in.failed)
			break;
		put_record(log, head & 3, producer_id, key, value);
	}
}

/* ---- what is done with it ------------------------------------------------------------------ */

static void
advance(struct fuzz_io *io, struct ot_shard *shard, uint64_t ms)
{
	ot_mono_ns end = io->now + ms * OT_NS_PER_MS;
	ot_shard_end_turn(shard);
	while (ot_io_next_deadline(&io->io) <= end) {
		io->now = OT_MAX(io->now, ot_io_next_deadline(&io->io));
		ot_io_expire(&io->io, io->now);
		ot_shard_end_turn(shard);
	}
	io->now = end;
}

static struct ot_coord *
coord_create(struct ot_shard *shard, struct fuzz_log *log, struct ot_groups *groups)
{
	return ot_coord_create(&(struct ot_coord_options){
	    .shard = shard,
	    .log = &log->log,
	    .machine = ot_groups_machine(groups),
	    .name = "fuzz",
	    .write_timeout_ms = 1000,
	    .load_chunk_bytes = 1000,
	});
}

static void
emit(void *arg, struct ot_bytes key, struct ot_bytes value)
{
	put_record(arg, RECORD, -1, key, value);
}

/* Writes what lives into a log of its own, and loads that: the same must come out. */
static void
check_rewrite(struct ot_shard *shard, struct fuzz_io *io, struct ot_groups *groups)
{
	struct ot_coord_machine *machine = ot_groups_machine(groups);
	struct fuzz_log log = { .log = { .ops = &log_ops, .batch_bytes_max = OT_MIB } };
	ot_writer_init(&log.batches);
	uint64_t place = 0;
	bool can_be_rewritten = true;
	do {
		can_be_rewritten = machine->ops->each(machine, &place, 10, emit, &log);
	} while (can_be_rewritten && place != 0);
	if (can_be_rewritten) {
		struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
		struct ot_groups *other = ot_groups_create(&io->io, &options);
		struct ot_coord *coord = coord_create(shard, &log, other);
		struct ot_writer before;
		struct ot_writer after;
		ot_writer_init(&before);
		ot_writer_init(&after);
		ot_groups_dump(groups, false, &before);
		ot_coord_load(coord, 1);
		while (ot_coord_state(coord) == OT_COORD_LOADING) {
			io->now++;
			ot_io_expire(&io->io, io->now);
		}
		OT_ASSERT(ot_coord_state(coord) == OT_COORD_ACTIVE);
		ot_groups_dump(other, false, &after);
		OT_ASSERT(before.bytes == after.bytes);
		OT_ASSERT(before.bytes == 0 || memcmp(before.data, after.data, after.bytes) == 0);
		ot_writer_fini(&before);
		ot_writer_fini(&after);
		ot_coord_destroy(coord, NULL, NULL);
		ot_groups_destroy(other);
	}
	ot_writer_fini(&log.batches);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_io ios[2] = { { .now = OT_NS_PER_S }, { .now = OT_NS_PER_S } };
	struct ot_io *doors[2] = { &ios[0].io, &ios[1].io };
	ot_io_init(&ios[0].io, &io_ops, NULL);
	ot_io_init(&ios[1].io, &io_ops, NULL);
	struct ot_shard_set *set = ot_shard_set_create(1, doors, OT_MIB);
	struct ot_shard *shard = set->shards[0];
	ot_shard_enter(shard);
	struct fuzz_log log = { .log = { .ops = &log_ops, .batch_bytes_max = OT_MIB } };
	ot_writer_init(&log.batches);
	fill_log(&log, ot_reader_of(data, bytes));

	struct ot_group_options options = OT_GROUP_OPTIONS_DEFAULT;
	struct ot_groups *groups = ot_groups_create(&ios[0].io, &options);
	struct ot_coord *coord = coord_create(shard, &log, groups);
	ot_coord_load(coord, 1);
	advance(&ios[0], shard, 1);
	if (ot_coord_state(coord) == OT_COORD_ACTIVE) {
		ot_groups_check(groups);
		check_rewrite(shard, &ios[0], groups);
		advance(&ios[0], shard, 60 * 60 * 1000);
		ot_groups_check(groups);
		check_rewrite(shard, &ios[0], groups);
	}
	ot_coord_destroy(coord, NULL, NULL);
	ot_groups_destroy(groups);
	ot_writer_fini(&log.batches);
	ot_shard_self = NULL;
	ot_shard_set_destroy(set);
	ot_io_fini(&ios[0].io);
	ot_io_fini(&ios[1].io);
	return 0;
}
