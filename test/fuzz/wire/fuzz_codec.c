/* Goal: no bytes make the codec read past its input or take more than the arena's bound; and what
 * it decodes means the same after encoding and decoding again.
 *
 * Method: the first byte picks the way in, the second the message, the third the version; the rest
 * is the input. What decodes is encoded, decoded, printed and encoded again: both encodings must be
 * equal, and so must the printed texts. */
#include <string.h>

#include "base/panic.h"
#include "wire/header.h"
#include "wire/msg_consumer_protocol.h"
#include "wire/recordio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { WAY_REQUEST, WAY_RESPONSE, WAY_RECORD, WAY_FRAME, WAY_TYPED, WAY_KEYED, WAY_SUBSCRIPTION };
enum { WAY_COUNT = WAY_SUBSCRIPTION + 1, SELECTOR_BYTES = 3, ARENA_BYTES_MAX = 4 * 1024 * 1024 };

static struct ot_arena arena;

static void
encode(const struct ot_msg *type, int16_t version, const void *msg, struct ot_writer *out)
{
	ot_writer_init(out);
	ot_err err = ot_msg_encode(type, version, msg, out, NULL);
	OT_ASSERT(err == OT_OK);
}

static void
check_equal(const struct ot_writer *a, const struct ot_writer *b)
{
	OT_ASSERT(a->bytes == b->bytes);
	OT_ASSERT(a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

/* Encodes a decoded message, and does both again. */
static void
check_again(const struct ot_msg *type, int16_t version, const void *msg)
{
	struct ot_writer first, second, text, text_again;
	encode(type, version, msg, &first);
	ot_writer_init(&text);
	ot_writer_init(&text_again);
	OT_ASSERT(ot_msg_print(type, version, msg, &text) == OT_OK);

	void *back = ot_arena_alloc(&arena, type->body->bytes);
	struct ot_reader in = ot_reader_of(first.data, first.bytes);
	ot_err err =
	    back != NULL ? ot_msg_decode(type, version, &in, &arena, back) : OT_ERR_NO_MEMORY;
	OT_ASSERT(err == OT_OK || err == OT_ERR_NO_MEMORY);
	if (err == OT_OK) {
		encode(type, version, back, &second);
		check_equal(&first, &second);
		OT_ASSERT(ot_msg_print(type, version, back, &text_again) == OT_OK);
		check_equal(&text, &text_again);
		ot_writer_fini(&second);
	}
	ot_writer_fini(&first);
	ot_writer_fini(&text);
	ot_writer_fini(&text_again);
}

static void
check_message(const struct ot_msg *type, uint8_t selector, struct ot_reader *in)
{
	int16_t count = (int16_t)(type->valid.max - type->valid.min + 1);
	int16_t version = (int16_t)(type->valid.min + selector % count);
	void *msg = ot_arena_alloc(&arena, type->body->bytes);
	OT_ASSERT(msg != NULL);
	if (ot_msg_decode(type, version, in, &arena, msg) == OT_OK)
		check_again(type, version, msg);
}

/* A request as a connection reads it. */
static void
check_frame(struct ot_reader *in)
{
	struct ot_request_header header;
	const struct ot_api *api;
	if (ot_request_header_read(in, &arena, &header, &api) != OT_OK)
		return;
	int16_t version = header.request_api_version;
	void *msg = ot_arena_alloc(&arena, api->request->body->bytes);
	OT_ASSERT(msg != NULL);
	if (ot_msg_decode(api->request, version, in, &arena, msg) == OT_OK)
		check_again(api->request, version, msg);
}

static void
check_typed(uint8_t selector, struct ot_bytes bytes)
{
	enum ot_record_log log =
	    selector % 2 == 0 ? OT_RECORD_LOG_METADATA : OT_RECORD_LOG_REMOTE_LOG_METADATA;
	struct ot_typed_record record;
	if (ot_typed_record_decode(log, bytes, &arena, &record) == OT_OK)
		check_again(record.type, record.version, record.msg);
}

static void
check_keyed(uint8_t selector, uint8_t what, struct ot_bytes bytes)
{
	static const enum ot_record_log logs[] = { OT_RECORD_LOG_GROUP, OT_RECORD_LOG_TRANSACTION,
		OT_RECORD_LOG_SHARE };
	struct ot_keyed_type type;
	int16_t version;
	int16_t number = what % 2 == 0 ? ot_versioned_peek(bytes) : what / 2;
	if (!ot_keyed_type_find(logs[selector % OT_ARRAY_COUNT(logs)], number, &type))
		return;
	const struct ot_msg *msg_type = what % 2 == 0 ? type.key : type.value;
	void *msg = ot_arena_alloc(&arena, msg_type->body->bytes);
	OT_ASSERT(msg != NULL);
	if (ot_versioned_decode(msg_type, bytes, &arena, &version, msg) == OT_OK)
		check_again(msg_type, version, msg);
}

static void
check_subscription(struct ot_bytes bytes)
{
	struct ot_consumer_protocol_subscription msg;
	const struct ot_msg *type = &ot_consumer_protocol_subscription_msg;
	int16_t version;
	if (ot_versioned_decode_newer(type, bytes, &arena, &version, &msg) == OT_OK)
		check_again(type, OT_MIN(version, type->valid.max), &msg);
}

/* The messages that are neither request nor response. */
static const struct ot_msg *
record_message(uint8_t selector)
{
	const struct ot_msg *found[256];
	size_t count = 0;
	for (size_t i = 0; ot_msg_all[i] != NULL; i++) {
		const struct ot_msg *type = ot_msg_all[i];
		const struct ot_api *api = ot_api_find(type->type);
		if (api == NULL || (api->request != type && api->response != type))
			found[count++] = type;
		OT_ASSERT(count < OT_ARRAY_COUNT(found));
	}
	return found[selector % count];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < SELECTOR_BYTES)
		return 0;
	uint8_t what = data[1], selector = data[2];
	struct ot_bytes rest = { data + SELECTOR_BYTES, (int32_t)(bytes - SELECTOR_BYTES) };
	struct ot_reader in = ot_reader_of(rest.data, (size_t)rest.len);
	const struct ot_api *api = ot_api_find(what % OT_API_COUNT);
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	switch (data[0] % WAY_COUNT) {
	case WAY_REQUEST:
		check_message(api->request, selector, &in);
		break;
	case WAY_RESPONSE:
		check_message(api->response, selector, &in);
		break;
	case WAY_RECORD:
		check_message(record_message(what), selector, &in);
		break;
	case WAY_FRAME:
		check_frame(&in);
		break;
	case WAY_TYPED:
		check_typed(selector, rest);
		break;
	case WAY_KEYED:
		check_keyed(selector, what, rest);
		break;
	default:
		check_subscription(rest);
		break;
	}
	OT_ASSERT(arena.bytes_total <= ARENA_BYTES_MAX);
	ot_arena_fini(&arena);
	return 0;
}
