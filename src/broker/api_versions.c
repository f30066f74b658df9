/* ApiVersions (key 18): what is served, in which versions, and the cluster's features. */
#include "broker/broker_int.h"

#include "wire/msg_api_versions.h"

enum { API_VERSIONS_VERSION_NAMES = 3 };

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* KIP-511: letters and digits, with '-' and '.' in between. */
static bool
is_valid_software(struct ot_str text)
{
	if (text.len <= 0 || !is_alnum(text.data[0]) || !is_alnum(text.data[text.len - 1]))
		return false;
	for (int32_t i = 0; i < text.len; i++) {
		if (!is_alnum(text.data[i]) && text.data[i] != '-' && text.data[i] != '.')
			return false;
	}
	return true;
}

/* KIP-1242: a client that knows says which node of which cluster it means. As in Kafka a node alone
 * says nothing; it may be one of a cluster that the client does not know yet. */
static bool
is_elsewhere(struct broker_shard *self, const struct ot_api_versions_request *body)
{
	if (body->cluster_id.len < 0)
		return false;
	return !ot_str_is(body->cluster_id, ot_image_cluster_id(self->image)) ||
	       (body->node_id != -1 && body->node_id != self->broker->node_id);
}

static ot_err
check_body(struct broker_shard *self, int16_t version, const struct ot_api_versions_request *body)
{
	if (version < API_VERSIONS_VERSION_NAMES)
		return OT_OK;
	if (!is_valid_software(body->client_software_name) ||
	    !is_valid_software(body->client_software_version))
		return OT_ERR_INVALID_REQUEST;
	return is_elsewhere(self, body) ? OT_ERR_REBOOTSTRAP_REQUIRED : OT_OK;
}

static void
fill_key(struct ot_api_versions_response_api_version *range, const struct ot_api *api)
{
	range->api_key = api->key;
	range->min_version = api->advertised.min;
	range->max_version = api->advertised.max;
}

static ot_err
fill_keys(struct ot_request *request, struct ot_api_versions_response *response)
{
	response->api_keys =
	    ot_api_versions_response_api_version_array(&request->arena, BROKER_API_KEY_MAX + 1);
	if (response->api_keys == NULL)
		return OT_ERR_NO_MEMORY;
	for (int16_t key = 0; key <= BROKER_API_KEY_MAX; key++) {
		const struct ot_api *api = ot_api_find(key);
		if (api != NULL && broker_serves(request, api))
			fill_key(&response->api_keys[response->api_keys_count++], api);
	}
	return OT_OK;
}

/* A client that is newer than this broker learns from version 0 which version to use. */
static void
answer_unknown_version(struct ot_request *request)
{
	struct ot_api_versions_response response;
	struct ot_api_versions_response_api_version range;
	ot_api_versions_response_init(&response);
	ot_api_versions_response_api_version_init(&range);
	response.error_code = OT_ERR_UNSUPPORTED_VERSION;
	fill_key(&range, request->api);
	response.api_keys = &range;
	response.api_keys_count = 1;
	ot_request_answer_version(request, &ot_api_versions_response_msg, 0, &response);
}

void
broker_handle_api_versions(struct broker_shard *self, struct ot_request *request)
{
	int16_t version = request->header.request_api_version;
	if (!ot_api_accepts(request->api, version, false)) {
		answer_unknown_version(request);
		return;
	}
	struct ot_api_versions_request *body = broker_decode(request);
	if (body == NULL)
		return;
	struct ot_api_versions_response response;
	ot_api_versions_response_init(&response);
	response.error_code = (int16_t)check_body(self, version, body);
	ot_err err = OT_OK;
	if (response.error_code == OT_OK)
		err = fill_keys(request, &response);
	if (err == OT_OK && response.error_code == OT_OK)
		err = broker_fill_features(self, request, &response);
	if (err != OT_OK)
		ot_request_abort(request, "no memory for an ApiVersions response");
	else
		ot_request_answer(request, &ot_api_versions_response_msg, &response);
}
