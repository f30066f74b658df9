/* An image written as records: those that make it out of an empty one, in Kafka's order. */
#ifndef OT_CLUSTER_SNAPSHOT_H
#define OT_CLUSTER_SNAPSHOT_H

#include "cluster/image.h"
#include "cluster/records.h"

struct ot_image_dump;

/* Begins at the first record; takes a reference to the image. @owner any thread   @blocks never */
struct ot_image_dump *ot_image_dump_begin(struct ot_image *image) OT_MUST_USE;

/* Appends the next records to `out`, until they have `bytes_max` or the image is at its end: then
 * it appends nothing. OT_ERR_NO_MEMORY. @owner the dump's   @blocks never */
ot_err ot_image_dump_next(struct ot_image_dump *dump, size_t bytes_max,
    struct ot_metadata_records *out) OT_MUST_USE;

/* Accepts NULL. @owner the dump's */
void ot_image_dump_end(struct ot_image_dump *dump);

/* Appends one RegisterBrokerRecord or PartitionRecord as the image has it, in the version of a
 * metadata.version. @owner any thread   @blocks never */
void ot_broker_image_to_record(const struct ot_broker_image *broker, int16_t metadata_version,
    struct ot_metadata_records *out);
void ot_partition_image_to_record(const struct ot_partition_image *partition,
    const struct ot_uuid *topic_id, int16_t metadata_version, struct ot_metadata_records *out);

#endif
