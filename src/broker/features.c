/* Features in ApiVersions (KIP-584): what this release supports, and what the cluster has
 * finalized. */
#include "broker/broker_int.h"
#include "cluster/feature_levels.h"
#include "wire/msg_api_versions.h"

struct finalized {
	struct ot_request *request;
	struct ot_api_versions_response *response;
	int32_t capacity;
};

static bool
add_finalized(void *arg, struct ot_str name, int16_t level)
{
	struct finalized *finalized = arg;
	struct ot_api_versions_response *response = finalized->response;
	if (response->finalized_features_count == finalized->capacity)
		return false;
	struct ot_api_versions_response_finalized_feature *feature =
	    &response->finalized_features[response->finalized_features_count++];
	feature->name = name;
	feature->min_version_level = level;
	feature->max_version_level = level;
	return true;
}

ot_err
broker_fill_features(struct broker_shard *self, struct ot_request *request,
    struct ot_api_versions_response *response)
{
	int32_t count = (int32_t)ot_feature_count;
	response->supported_features =
	    ot_api_versions_response_supported_feature_array(&request->arena, count);
	response->finalized_features =
	    ot_api_versions_response_finalized_feature_array(&request->arena, count);
	if (response->supported_features == NULL || response->finalized_features == NULL)
		return OT_ERR_NO_MEMORY;
	response->supported_features_count = count;
	for (int32_t i = 0; i < count; i++) {
		response->supported_features[i].name = ot_str_from(ot_features[i].name);
		response->supported_features[i].min_version = ot_features[i].min;
		response->supported_features[i].max_version = ot_features[i].max;
	}
	struct finalized finalized = { .request = request,
		.response = response,
		.capacity = count };
	ot_image_visit_features(self->image, add_finalized, &finalized);
	response->finalized_features_epoch = ot_image_features_epoch(self->image);
	return OT_OK;
}
