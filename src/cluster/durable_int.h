/* Inside the room: small files that are whole or not there. */
#ifndef OT_CLUSTER_DURABLE_INT_H
#define OT_CLUSTER_DURABLE_INT_H

#include "io/fs.h"

/* Puts a file in the place of what is there: written beside it, synced, renamed, the folder synced.
 * @owner worker   @blocks: worker */
ot_err durable_write(struct ot_fs *fs, const char *folder, const char *name, const char *content,
    size_t bytes) OT_MUST_USE;

/* Reads a small file with a NUL behind it; what does not fit is OT_ERR_CORRUPT_FILE.
 * OT_ERR_NOT_FOUND, OT_ERR_IO.
 * @owner worker   @blocks: worker */
ot_err durable_read(struct ot_fs *fs, const char *folder, const char *name, char *ret_content,
    size_t bytes_max) OT_MUST_USE;

#endif
