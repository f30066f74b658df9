#include "base/blob.h"

#include "base/alloc.h"
#include "base/panic.h"

struct ot_blob *
ot_blob_create(size_t bytes)
{
	if (bytes > SIZE_MAX / 2)
		return NULL;
	struct ot_blob *blob = ot_alloc_raw(sizeof(*blob) + bytes);
	if (blob == NULL)
		return NULL;
	atomic_init(&blob->refs, 1);
	blob->on_release = NULL;
	blob->release_arg = NULL;
	blob->bytes = bytes;
	return blob;
}

struct ot_blob *
ot_blob_ref(struct ot_blob *blob)
{
	uint32_t before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
	OT_ASSERT(before > 0);
	return blob;
}

bool
ot_blob_is_unique(const struct ot_blob *blob)
{
	/* Acquire: what others did with the bytes before they let go happened before. */
	return atomic_load_explicit(&blob->refs, memory_order_acquire) == 1;
}

void
ot_blob_unref(struct ot_blob *blob)
{
	if (blob == NULL)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel);
	OT_ASSERT(before > 0);
	if (before > 1)
		return;
	if (blob->on_release != NULL)
		blob->on_release(blob, blob->release_arg);
	ot_free(blob);
}
