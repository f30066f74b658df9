/* A metadata log that begins as the engine `local` and grows into `etcd`, online: nobody who uses
 * it is told anything twice, offsets and epochs go on.
 *
 *   <metadata log dir>/metadata.engine    engine=growing | etcd, seed=UUID; no file: local
 *
 *   1. take the empty prefix in etcd: a transaction puts `seed` if there is no `head`
 *   2. the file says `growing` with the seed, durably
 *   3. no more appends; those under way end; nobody leads
 *   4. the local log is closed, and copied: its snapshot and its batches, as they are
 *   5. a transaction puts `head`, if `seed` is still ours and there is none
 *   6. the file says `etcd`, durably; the engine `etcd` goes on where the local one ended
 *
 * Why a crash at each step is safe. `head` decides: while there is none, the local log is the
 * truth, and nobody leads in etcd, since an election compares `seed`. A start that finds `growing`
 * takes the prefix again, with another seed: either that succeeds, and step 5 of the earlier life
 * can happen no more, whatever of it is still under way; then the local log opens, and grows anew.
 * Or there is a `head` with our seed, and etcd has all. Nothing was appended to the local log after
 * step 3, so what was copied is all.
 *
 * All of it: @owner control   @blocks never, unless it says so
 */
#ifndef OT_CLUSTER_METALOG_GROW_H
#define OT_CLUSTER_METALOG_GROW_H

#include "base/text.h"
#include "cluster/kv.h"
#include "cluster/metalog.h"

/* What the file says. */
enum ot_metalog_stage { OT_METALOG_LOCAL, OT_METALOG_GROWING, OT_METALOG_ETCD };

struct ot_metalog_marker {
	enum ot_metalog_stage stage;
	struct ot_uuid seed;
};

/* Reads the file in the metadata log directory; none is LOCAL. OT_ERR_CORRUPT_FILE, OT_ERR_IO with
 * `why`.   @blocks rarely: at the start */
OT_MUST_USE ot_err ot_metalog_marker_read(struct ot_fs *fs, const char *dir,
    struct ot_metalog_marker *ret_marker, struct ot_why *why);

/* Writes it: a node that joins a cluster on etcd says so before it begins.   @blocks: worker */
OT_MUST_USE ot_err ot_metalog_marker_write(struct ot_fs *fs, const char *dir,
    const struct ot_metalog_marker *marker);

/* Where it grows to. */
struct ot_metalog_target {
	struct ot_kv *(*make_kv)(void *arg); /* each is taken over; more than one is asked for */
	void *arg;
	const char *prefix; /* copied */
	struct ot_uuid directory;
	struct ot_metalog_endpoint endpoint; /* copied */
	int64_t lease_ms;
};

struct ot_metalog_grow_args {
	struct ot_metalog_local_args local;
	struct ot_metalog_marker marker; /* what the file says; not ETCD: then there is no need */
	const struct ot_metalog_target *target; /* needed where it says GROWING; else NULL */
};

struct ot_metalog *ot_metalog_grow_create(const struct ot_metalog_grow_args *args) OT_MUST_USE;

/* Begins to grow; once. `on_done` is called when etcd has all and the engine `etcd` goes on; or
 * with OT_ERR_EXISTS, when the prefix in etcd holds another log: then all stays as it was. While
 * etcd is away it is waited for. */
void ot_metalog_grow(struct ot_metalog *log, const struct ot_metalog_target *target,
    void (*on_done)(void *arg, ot_err err), void *arg);

#endif
