#include "wire/header.h"

#include "wire/msg_headers.h"

enum { KEY_AND_VERSION_BYTES = 4 };

ot_err
ot_request_header_read(struct ot_reader *in, struct ot_arena *arena,
    struct ot_request_header *ret_header, const struct ot_api **ret_api)
{
	if (ot_reader_left(in) < KEY_AND_VERSION_BYTES)
		return OT_ERR_TRUNCATED;
	int16_t version = (int16_t)ot_get_u16(in->next + 2);
	const struct ot_api *api = ot_api_find((int16_t)ot_get_u16(in->next));
	if (api == NULL || version < 0)
		return OT_ERR_INVALID_REQUEST;
	int16_t header_version = ot_api_request_header_version(api, version);
	ot_err err =
	    ot_msg_decode_prefix(&ot_request_header_msg, header_version, in, arena, ret_header);
	if (err == OT_OK)
		*ret_api = api;
	return err;
}

ot_err
ot_request_header_write(const struct ot_api *api, int16_t version, int32_t correlation_id,
    struct ot_str client_id, struct ot_writer *out)
{
	struct ot_request_header header;
	ot_request_header_init(&header);
	header.request_api_key = api->key;
	header.request_api_version = version;
	header.correlation_id = correlation_id;
	header.client_id = client_id;
	return ot_request_header_encode(ot_api_request_header_version(api, version), &header, out,
	    NULL);
}

ot_err
ot_response_header_write(const struct ot_api *api, int16_t version, int32_t correlation_id,
    struct ot_writer *out)
{
	struct ot_response_header header;
	ot_response_header_init(&header);
	header.correlation_id = correlation_id;
	return ot_response_header_encode(ot_api_response_header_version(api, version), &header, out,
	    NULL);
}

ot_err
ot_response_header_read(const struct ot_api *api, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, struct ot_response_header *ret_header)
{
	return ot_msg_decode_prefix(&ot_response_header_msg,
	    ot_api_response_header_version(api, version), in, arena, ret_header);
}
