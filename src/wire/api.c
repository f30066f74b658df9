#include "wire/api.h"

#include <strings.h>

#include "wire/tables_int.h"

const struct ot_api *
ot_api_find(int16_t key)
{
	int private_key = key - OT_API_PRIVATE_FIRST;

	if (private_key >= 0 && private_key < OT_API_PRIVATE_COUNT)
		return &ot_api_private_table[private_key];
	return key >= 0 && key < OT_API_COUNT ? &ot_api_table[key] : NULL;
}

const struct ot_api *
ot_api_find_name(struct ot_str name)
{
	for (size_t i = 0; i < OT_API_COUNT; i++) {
		const char *own = ot_api_table[i].name;
		if (ot_str_from(own).len == name.len &&
		    strncasecmp(own, name.data, (size_t)name.len) == 0)
			return &ot_api_table[i];
	}
	return NULL;
}

bool
ot_api_accepts(const struct ot_api *api, int16_t version, bool with_unstable)
{
	if (ot_versions_have(api->accepted, version))
		return true;
	return with_unstable && ot_versions_have(api->unstable, version);
}

/* The version may be one that we do not know: what decides is whether it is at or above the first
 * flexible one, for Kafka never takes that back. */
static bool
is_flexible(const struct ot_msg *msg, int16_t version)
{
	return msg->flexible.min <= msg->flexible.max && version >= msg->flexible.min;
}

int16_t
ot_api_request_header_version(const struct ot_api *api, int16_t version)
{
	if (api->key == OT_API_CONTROLLED_SHUTDOWN && version == 0)
		return 0;
	return is_flexible(api->request, version) ? 2 : 1;
}

int16_t
ot_api_response_header_version(const struct ot_api *api, int16_t version)
{
	if (api->key == OT_API_API_VERSIONS)
		return 0;
	return is_flexible(api->response, version) ? 1 : 0;
}

const struct ot_msg *
ot_msg_find_name(struct ot_str name)
{
	for (size_t i = 0; ot_msg_all[i] != NULL; i++)
		if (ot_str_is(name, ot_msg_all[i]->name))
			return ot_msg_all[i];
	return NULL;
}
