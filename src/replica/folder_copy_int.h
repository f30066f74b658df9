/* Copies a partition's folder into another directory while its log is in use.
 *
 * Segments that are closed do not change any more: they are copied while the log is open, in passes
 * of a bounded size. The rest, and whatever was cut or removed meanwhile, is put right by a last
 * pass when the log is closed. A file counts as copied as long as its size and time of change are
 * those that it had before it was copied. What is copied is on the disk for good.
 *
 * Crash: until the last pass is over the copy stands in a "-future" folder, which the next start
 * removes.
 *
 * @owner one job at a time   @blocks: worker, unless it says otherwise */
#ifndef OT_REPLICA_FOLDER_COPY_INT_H
#define OT_REPLICA_FOLDER_COPY_INT_H

#include "base/text.h"
#include "io/fs.h"

struct folder_copy;

/* Texts are copied. @blocks never */
struct folder_copy *folder_copy_create(struct ot_fs *fs, const char *from, const char *to);

/* @blocks never */
void folder_copy_destroy(struct folder_copy *copy); /* accepts NULL */

/* Copies at most about `bytes_max` of closed segments; the first call makes the folder. Says how
 * much, and whether nothing is left that can be copied now. Errors of the disk. */
OT_MUST_USE ot_err folder_copy_pass(struct folder_copy *copy, uint64_t bytes_max,
    uint64_t *ret_bytes, bool *ret_done);

/* Makes the copy what the folder is, whose log is closed. */
OT_MUST_USE ot_err folder_copy_finish(struct folder_copy *copy);

/* How much of logs lies in the copy, and the offset before which all is there. @owner any thread,
 * no job being under way, or roughly   @blocks never */
uint64_t folder_copy_bytes(const struct folder_copy *copy);
int64_t folder_copy_offset(const struct folder_copy *copy);

/* @blocks never */
const char *folder_copy_to(const struct folder_copy *copy);

#endif
