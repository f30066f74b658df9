/* Features: what this release can do, as ranges of levels (KIP-584). One table, for ApiVersions, for
 * the registration of brokers and controllers, and for UpdateFeatures. */
#ifndef OT_CLUSTER_FEATURES_H
#define OT_CLUSTER_FEATURES_H

#include "base/bytes.h"

struct ot_feature {
	const char *name;
	int16_t min;	 /* the least level that this release supports */
	int16_t max;
	int16_t initial; /* finalized in a new cluster; 0: not at all */
};

/* All of them, in the order of names. Static memory. @owner any thread */
extern const struct ot_feature ot_features[];
extern const size_t ot_feature_count;

/* NULL for a feature that this release does not know. @owner any thread */
const struct ot_feature *ot_feature_find(struct ot_str name);

#endif
