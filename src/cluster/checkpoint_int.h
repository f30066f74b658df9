/* Inside the room: snapshots of the metadata log as files (KIP-630).
 *
 *   <folder>/OOOOOOOOOOOOOOOOOOOO-EEEEEEEEEE.checkpoint       offset and epoch, decimal, padded
 *   <folder>/OOOOOOOOOOOOOOOOOOOO-EEEEEEEEEE.checkpoint.part  one that is being written
 *
 * The offset is the first one that is not in the snapshot, the epoch that of the last record in it.
 * The content is record batches of magic 2, uncompressed, with offsets that count from 0: a control
 * batch with SNAPSHOT_HEADER, batches of metadata records, a control batch with SNAPSHOT_FOOTER.
 *
 * A snapshot is written under the second name, synced, renamed, and the folder synced: under the
 * first name it is whole, whenever the machine stops. Older ones are removed after that. Reading
 * still checks each CRC, header and footer, since disks rot.
 */
#ifndef OT_CLUSTER_CHECKPOINT_INT_H
#define OT_CLUSTER_CHECKPOINT_INT_H

#include "base/arena.h"
#include "base/text.h"
#include "cluster/metalog.h"

/* A snapshot that was read and checked. */
struct checkpoint {
	struct ot_metalog_id id;
	ot_wall_ms timestamp;
	uint8_t *bytes; /* heap */
	size_t byte_count;
};

/* Reads the newest snapshot of the folder; none gives `bytes` NULL. OT_ERR_CORRUPT_FILE with `why`
 * when it is damaged: older ones stand for less than what was dropped since. OT_ERR_IO,
 * OT_ERR_NO_MEMORY.
 * @owner worker   @blocks: worker */
ot_err checkpoint_read_newest(struct ot_fs *fs, const char *folder,
    struct checkpoint *ret_checkpoint, struct ot_why *why) OT_MUST_USE;

void checkpoint_fini(struct checkpoint *checkpoint);

/* Writes a snapshot, durably, and removes what it replaces. After a failure nothing has changed,
 * but for a part that the next one overwrites. @owner worker   @blocks: worker */
ot_err checkpoint_write(struct ot_fs *fs, const char *folder,
    const struct ot_metalog_snapshot *snapshot) OT_MUST_USE;

/* Appends one batch of framed records. OT_ERR_NO_MEMORY, MESSAGE_TOO_LARGE.
 * @owner any thread   @blocks never */
ot_err checkpoint_build_batch(const struct ot_metadata_records *records, int64_t base_offset,
    int32_t epoch, ot_wall_ms timestamp, struct ot_writer *out) OT_MUST_USE;

/* Takes the batch at the begin of `bytes` apart, into views of it. A control batch gives no
 * records. The array is the arena's. CORRUPT_MESSAGE, INVALID_RECORD and the like when it is not
 * valid.
 * @owner any thread   @blocks never */
ot_err checkpoint_parse_batch(const uint8_t *bytes, size_t byte_count, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch, size_t *ret_bytes, struct ot_why *why) OT_MUST_USE;

#endif
