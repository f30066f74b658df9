/* Features: what this release can do, as ranges of levels (KIP-584). One table, for ApiVersions,
 * for the registration of brokers and controllers, and for UpdateFeatures. */
#ifndef OT_CLUSTER_FEATURE_LEVELS_H
#define OT_CLUSTER_FEATURE_LEVELS_H

#include "base/bytes.h"

/* The feature whose level says which versions of records the metadata log has. */
#define OT_METADATA_VERSION "metadata.version"

/* Whether eligible leader replicas are kept (KIP-966): 0 or 1. */
#define OT_ELR_VERSION "eligible.leader.replicas.version"

struct ot_feature {
	const char *name;
	int16_t min; /* the least level that this release supports */
	int16_t max;
	int16_t initial; /* finalized in a new cluster; 0: not at all */
};

/* All of them, in the order of names. Static memory. @owner any thread */
extern const struct ot_feature ot_features[];
extern const size_t ot_feature_count;

/* NULL for a feature that this release does not know. @owner any thread */
const struct ot_feature *ot_feature_find(struct ot_str name);

/* The release that a level of metadata.version is called by, as "4.3-IV0"; NULL for a level that
 * this release cannot have. Static memory. @owner any thread */
const char *ot_metadata_release(int16_t level);

/* The level of a release: "4.3-IV0", or the newest one of "4.3" or "4.3.1". 0: there is none that
 * this release can have. @owner any thread */
int16_t ot_metadata_level(struct ot_str release);

/* The version in which records of a type are written at that level of metadata.version: one that
 * every Kafka of that level can read. @owner any thread */
int16_t ot_metadata_record_version(int16_t metadata_version, int16_t type);

#endif
