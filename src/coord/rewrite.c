/* Rewriting: the log's live records are appended once more, and what was before them is trimmed.
 *
 *   log   | old records ............ | F images, with new records among them L | new ...
 *                                      ^ trim to here, when the last image (L) is committed
 *
 * Why nothing is lost: each image is the value that its key has after all records before it, so any
 * key that lives has its image, or a newer record, at F or behind. A crash before the trim finds
 * both old and new. A failed append ends the rewriting, and the next commit may begin another.
 *
 * It begins when the log has grown to several times of what the last rewrite found alive, so that
 * the work is a constant share of what is appended, and goes in steps, each of which waits for the
 * step before to be committed: a rewrite never floods the partition.
 */
#include "coord/coord_int.h"

enum {
	RECORDS_PER_STEP = 500,
	/* The log may grow to so many times its live bytes. */
	GROWTH_MAX = 4,
};

static bool
is_due(const struct ot_coord *coord)
{
	const struct ot_coord_options *options = &coord->options;
	if (options->rewrite_bytes_min == 0 || options->log->ops->trim == NULL ||
	    options->machine->ops->each == NULL)
		return false;
	/* Records that this version does not know would be lost with what is trimmed. */
	if (coord->stats.records_unknown > 0)
		return false;
	return coord->log_bytes >= options->rewrite_bytes_min &&
	       coord->log_bytes / GROWTH_MAX >= coord->live_bytes;
}

void
coord_rewrite_stop(struct ot_coord *coord)
{
	coord->is_rewriting = false;
	coord->rewrite_number_first = 0;
	coord->rewrite_number_last = 0;
	ot_timer_cancel(coord->io, &coord->rewrite_timer);
}

static void
emit(void *arg, struct ot_bytes key, struct ot_bytes value)
{
	coord_entry_put(arg, key, value);
}

/* Appends the next images. */
static void
rewrite_step(struct ot_timer *timer)
{
	struct ot_coord *coord = OT_CONTAINER_OF(timer, struct ot_coord, rewrite_timer);
	struct ot_coord_machine *machine = coord->options.machine;
	OT_ASSERT(coord->is_rewriting && coord->state == OT_COORD_ACTIVE);

	struct ot_writer images;
	ot_writer_init(&images);
	if (coord->rewrite_number_first == 0) {
		/* What is before the first image goes: it needs a batch of its own. */
		coord_batch_close_open(coord);
		coord->rewrite_number_first = coord->number_next;
	}
	bool can_go_on =
	    machine->ops->each(machine, &coord->rewrite_place, RECORDS_PER_STEP, emit, &images);
	if (!can_go_on || images.failed || coord_append_images(coord, &images) != OT_OK) {
		OT_WARN("coord", "%s: rewriting was given up", coord->name);
		coord->log_bytes = 0; /* and is not tried again at once */
		coord_rewrite_stop(coord);
	} else {
		coord->rewrite_bytes += images.bytes;
		coord_batch_close_open(coord);
		if (coord->rewrite_place == 0)
			coord->rewrite_number_last = ot_coord_batch_number(coord);
		if (images.bytes == 0 && coord->rewrite_place != 0)
			ot_timer_arm(coord->io, &coord->rewrite_timer, ot_io_now(coord->io));
	}
	ot_writer_fini(&images);
}

static void
rewrite_end(struct ot_coord *coord)
{
	OT_INFO("coord", "%s: rewrote %llu bytes of live records, trimmed to offset %lld",
	    coord->name, (unsigned long long)coord->rewrite_bytes,
	    (long long)coord->rewrite_offset);
	coord->live_bytes = coord->rewrite_bytes;
	coord->log_bytes = coord->rewrite_bytes;
	coord->stats.rewrite_count++;
	coord_rewrite_stop(coord);
	coord->options.log->ops->trim(coord->options.log, coord->rewrite_offset);
}

void
coord_rewrite_committed(struct ot_coord *coord, const struct coord_batch *batch)
{
	if (!coord->is_rewriting) {
		if (!is_due(coord))
			return;
		coord->is_rewriting = true;
		coord->rewrite_place = 0;
		coord->rewrite_bytes = 0;
		coord->rewrite_offset = -1;
		ot_timer_arm(coord->io, &coord->rewrite_timer, ot_io_now(coord->io));
		return;
	}
	if (coord->rewrite_number_first == 0 || batch->number < coord->rewrite_number_first)
		return;
	if (coord->rewrite_offset < 0)
		coord->rewrite_offset =
		    batch->append.next_offset - 1 - batch->append.info.last_offset_delta;
	if (coord->rewrite_number_last == 0)
		ot_timer_arm(coord->io, &coord->rewrite_timer, ot_io_now(coord->io));
	else if (batch->number >= coord->rewrite_number_last)
		rewrite_end(coord);
}

void
coord_rewrite_init(struct ot_coord *coord)
{
	ot_timer_init(&coord->rewrite_timer, rewrite_step);
}
