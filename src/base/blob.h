/* Blob: immutable bytes with a count of references, the only memory that crosses threads.
 *
 * Whoever creates a blob fills it before a second reference exists. Afterwards the bytes do not
 * change, with one exception that the protocol demands: the owner of a partition writes base
 * offset and leader epoch into the header of a batch that was handed to it alone.
 */
#ifndef OT_BASE_BLOB_H
#define OT_BASE_BLOB_H

#include <stdatomic.h>

#include "base/defs.h"

struct ot_blob {
	_Atomic uint32_t refs; /* [atomic] */
	/* [const] called before the memory goes; or NULL */
	void (*on_release)(struct ot_blob *blob, void *arg);
	void *release_arg; /* [const] */
	size_t bytes;      /* [const] capacity of data */
	uint8_t data[];
};

/* One reference, bytes not zeroed; NULL when memory is short. @owner any thread */
struct ot_blob *ot_blob_create(size_t bytes) OT_MUST_USE;

/* @owner any thread   @blocks never */
struct ot_blob *ot_blob_ref(struct ot_blob *blob);
void ot_blob_unref(struct ot_blob *blob); /* accepts NULL */

/* Whether the caller's is the only reference, so that the bytes may be written anew.
 * @owner who holds a reference   @blocks never */
bool ot_blob_is_unique(const struct ot_blob *blob);

#endif
