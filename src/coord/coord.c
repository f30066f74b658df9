/* A coordinator's life: states, creation and end. */
#include "coord/coord_int.h"

#include <stdio.h>

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	uint32_t next;
} states[OT_COORD_STATE_COUNT] = {
	[OT_COORD_IDLE] = { "idle", TO(OT_COORD_LOADING) },
	[OT_COORD_LOADING] = { "loading",
	    TO(OT_COORD_ACTIVE) | TO(OT_COORD_FAILED) | TO(OT_COORD_IDLE) },
	[OT_COORD_ACTIVE] = { "active", TO(OT_COORD_IDLE) },
	[OT_COORD_FAILED] = { "failed", TO(OT_COORD_LOADING) | TO(OT_COORD_IDLE) },
};

void
coord_set_state(struct ot_coord *coord, enum ot_coord_state state)
{
	OT_ASSERT(states[coord->state].next & TO(state));
	OT_DEBUG_REPORT("coord", "%s: %s, was %s, epoch %d", coord->name, states[state].name,
	    states[coord->state].name, coord->leader_epoch);
	coord->state = state;
}

struct ot_coord *
ot_coord_create(const struct ot_coord_options *options)
{
	OT_ASSERT(options->log->ops != NULL && options->machine->ops != NULL);
	OT_ASSERT(options->load_chunk_bytes > 0 && options->write_timeout_ms > 0);

	struct ot_coord *coord = OT_NEW(struct ot_coord);
	coord->owner = options->shard;
	coord->io = options->shard->io;
	coord->options = *options;
	snprintf(coord->name, sizeof(coord->name), "%s", options->name);
	coord->options.name = coord->name;
	coord->state = OT_COORD_IDLE;
	coord->leader_epoch = OT_NO_LEADER_EPOCH;
	coord_write_init(coord);
	coord_load_init(coord);
	coord_rewrite_init(coord);
	options->machine->coord = coord;
	return coord;
}

void
ot_coord_destroy(struct ot_coord *coord, void (*on_destroyed)(void *arg), void *arg)
{
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(!coord->is_destroying);
	ot_coord_unload(coord);
	coord->is_destroying = true;
	coord->on_destroyed = on_destroyed;
	coord->destroyed_arg = arg;
	coord_maybe_free(coord);
}

void
coord_maybe_free(struct ot_coord *coord)
{
	if (!coord->is_destroying || coord->is_reading || coord->sent_count > 0)
		return;
	void (*on_destroyed)(void *) = coord->on_destroyed;
	void *arg = coord->destroyed_arg;
	ot_timer_cancel(coord->io, &coord->load_timer);
	ot_timer_cancel(coord->io, &coord->rewrite_timer);
	coord_write_fini(coord);
	ot_free(coord);
	if (on_destroyed != NULL)
		on_destroyed(arg);
}

void
ot_coord_load(struct ot_coord *coord, int32_t leader_epoch)
{
	OT_ON_SHARD(coord->owner);
	OT_ASSERT(!coord->is_destroying);
	coord->leader_epoch = leader_epoch;
	if (coord->state == OT_COORD_ACTIVE || coord->state == OT_COORD_LOADING)
		return;
	coord_set_state(coord, OT_COORD_LOADING);
	coord->options.machine->ops->clear(coord->options.machine);
	coord_load_begin(coord);
}

void
ot_coord_unload(struct ot_coord *coord)
{
	OT_ON_SHARD(coord->owner);
	if (coord->state == OT_COORD_IDLE)
		return;
	OT_ASSERT(!coord->is_drafting);

	bool was_active = coord->state == OT_COORD_ACTIVE;
	coord_set_state(coord, OT_COORD_IDLE);
	coord->life++;
	coord_load_stop(coord);
	coord_rewrite_stop(coord);
	/* Those who wait may look at the state once more: it goes after them. */
	coord_write_drop(coord, OT_ERR_NOT_COORDINATOR);
	coord->options.machine->ops->clear(coord->options.machine);
	if (was_active)
		OT_DEBUG_REPORT("coord", "%s: unloaded, epoch %d", coord->name,
		    coord->leader_epoch);
}

enum ot_coord_state
ot_coord_state(const struct ot_coord *coord)
{
	return coord->state;
}

const char *
ot_coord_state_name(enum ot_coord_state state)
{
	return states[state].name;
}

int32_t
ot_coord_leader_epoch(const struct ot_coord *coord)
{
	return coord->leader_epoch;
}

const char *
ot_coord_name(const struct ot_coord *coord)
{
	return coord->name;
}

ot_err
ot_coord_admit(const struct ot_coord *coord)
{
	switch (coord->state) {
	case OT_COORD_ACTIVE:
		return OT_OK;
	case OT_COORD_LOADING:
		return OT_ERR_COORDINATOR_LOAD_IN_PROGRESS;
	default:
		return OT_ERR_NOT_COORDINATOR;
	}
}

void
ot_coord_get_stats(const struct ot_coord *coord, struct ot_coord_stats *ret_stats)
{
	*ret_stats = coord->stats;
	OT_LIST_FOREACH(link, &coord->pending)
		ret_stats->batches_pending++;
}
