/* Lists of metadata records in their frames: what an operation of the controller gives, what is
 * appended to the metadata log, and what a snapshot consists of. All of it: @owner the list's
 * @blocks never */
#ifndef OT_CLUSTER_RECORDS_H
#define OT_CLUSTER_RECORDS_H

#include "wire/recordio.h"

/* Records one behind the other, in memory of their own. */
struct ot_metadata_records {
	struct ot_writer bytes;
	uint32_t *ends; /* of each record, in bytes.data */
	int32_t count;
	int32_t capacity;
	bool failed; /* something was too large, or memory was short: the list is worthless */
};

void ot_metadata_records_init(struct ot_metadata_records *records);
void ot_metadata_records_fini(struct ot_metadata_records *records);
void ot_metadata_records_reset(struct ot_metadata_records *records); /* keeps the memory */

/* Adds one record of the newest version that `type` has, or of a given one. Fails softly. */
void ot_metadata_records_add(struct ot_metadata_records *records, const struct ot_msg *type,
    const void *msg);
void ot_metadata_records_add_version(struct ot_metadata_records *records, const struct ot_msg *type,
    int16_t version, const void *msg);

/* Adds a record that is in its frame already. Fails softly. */
void ot_metadata_records_add_framed(struct ot_metadata_records *records, struct ot_bytes framed);

/* Record `index` in its frame; valid until the next add. */
struct ot_bytes ot_metadata_records_at(const struct ot_metadata_records *records, int32_t index);

#endif
