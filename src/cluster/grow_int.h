/* Inside the room: copying a local log into an empty prefix of the store. */
#ifndef OT_CLUSTER_GROW_INT_H
#define OT_CLUSTER_GROW_INT_H

#include "cluster/metalog_grow.h"

struct grow_seed;

struct grow_seed_args {
	struct ot_io *io;
	struct ot_kv *kv;   /* taken over */
	const char *prefix; /* both borrowed until the end */
	const char *dir;
	/* The prefix is taken by `seed` (OT_OK); OT_ERR_EXISTS: there is a head, put by the seed in
	 * `ret_owner`. */
	void (*on_taken)(void *arg, ot_err err, const struct ot_uuid *owner);
	/* The copy is whole, up to `end_offset`; or the local log cannot be read. */
	void (*on_copied)(void *arg, ot_err err, const char *why, int64_t end_offset);
	void *arg;
};

/* @owner control   @blocks never; so all below */
struct grow_seed *grow_seed_create(const struct grow_seed_args *args) OT_MUST_USE;

/* Takes the prefix; tries until there is an answer. */
void grow_seed_take(struct grow_seed *seed, const struct ot_uuid *id);

/* Copies the log, which must be closed, and puts the head. */
void grow_seed_copy(struct grow_seed *seed, int32_t epoch);

/* Drops it; `on_closed` when no worker has it any more, which may be at once. */
void grow_seed_destroy(struct grow_seed *seed, void (*on_closed)(void *arg), void *arg);

#endif
