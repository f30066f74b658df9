#include "wire/recordio.h"

#include "base/panic.h"
#include "wire/tables_int.h"

enum { METADATA_FRAME_VERSION = 1 };

static const struct ot_msg *const *
messages_of(enum ot_record_log log)
{
	switch (log) {
	case OT_RECORD_LOG_METADATA:
		return wire_metadata_log_msgs;
	case OT_RECORD_LOG_REMOTE_LOG_METADATA:
		return wire_remote_log_metadata_msgs;
	case OT_RECORD_LOG_GROUP:
		return wire_group_log_msgs;
	case OT_RECORD_LOG_TRANSACTION:
		return wire_transaction_log_msgs;
	case OT_RECORD_LOG_SHARE:
		return wire_share_log_msgs;
	}
	OT_PANIC("no record log has the number %d", (int)log);
}

const struct ot_msg *
ot_typed_record_find(enum ot_record_log log, int16_t type)
{
	const struct ot_msg *const *msg = messages_of(log);
	while (*msg != NULL && (*msg)->type != type)
		msg++;
	return *msg;
}

ot_err
ot_typed_record_encode(enum ot_record_log log, const struct ot_msg *type, int16_t version,
    const void *msg, struct ot_writer *out)
{
	size_t start = out->bytes;
	OT_ASSERT(ot_typed_record_find(log, type->type) == type);
	if (!ot_versions_have(type->valid, version))
		return OT_ERR_UNSUPPORTED_VERSION;
	if (log == OT_RECORD_LOG_METADATA)
		ot_write_uvarint(out, METADATA_FRAME_VERSION);
	ot_write_uvarint(out, (uint32_t)type->type);
	ot_write_uvarint(out, (uint32_t)version);
	ot_err err = ot_msg_encode(type, version, msg, out, NULL);
	if (err != OT_OK)
		out->bytes = start;
	return err;
}

ot_err
ot_typed_record_decode(enum ot_record_log log, struct ot_bytes bytes, struct ot_arena *arena,
    struct ot_typed_record *ret_record)
{
	struct ot_reader in = ot_reader_of(bytes.data, (size_t)OT_MAX(bytes.len, 0));
	uint32_t frame = METADATA_FRAME_VERSION;
	if (log == OT_RECORD_LOG_METADATA)
		frame = ot_read_uvarint(&in);
	uint32_t number = ot_read_uvarint(&in);
	uint32_t version = ot_read_uvarint(&in);
	if (in.failed)
		return OT_ERR_TRUNCATED;
	if (frame != METADATA_FRAME_VERSION || number > INT16_MAX || version > INT16_MAX)
		return OT_ERR_UNSUPPORTED_VERSION;
	const struct ot_msg *type = ot_typed_record_find(log, (int16_t)number);
	if (type == NULL)
		return OT_ERR_UNSUPPORTED_VERSION;
	void *msg = ot_arena_alloc(arena, type->body->bytes);
	if (msg == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = ot_msg_decode(type, (int16_t)version, &in, arena, msg);
	if (err == OT_OK)
		*ret_record = (struct ot_typed_record){ type, (int16_t)version, msg };
	return err;
}

bool
ot_keyed_type_find(enum ot_record_log log, int16_t number, struct ot_keyed_type *ret_type)
{
	for (const struct ot_msg *const *msg = messages_of(log); *msg != NULL; msg += 2) {
		if (!ot_versions_have((*msg)->valid, number))
			continue;
		*ret_type = (struct ot_keyed_type){ msg[0], msg[1] };
		return true;
	}
	return false;
}

int16_t
ot_versioned_peek(struct ot_bytes bytes)
{
	return bytes.len >= 2 ? (int16_t)ot_get_u16(bytes.data) : -1;
}

ot_err
ot_versioned_encode(const struct ot_msg *type, int16_t version, const void *msg,
    struct ot_writer *out)
{
	size_t start = out->bytes;
	ot_write_i16(out, version);
	ot_err err = ot_msg_encode(type, version, msg, out, NULL);
	if (err != OT_OK)
		out->bytes = start;
	return err;
}

ot_err
ot_versioned_decode(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version, void *ret_msg)
{
	struct ot_reader in = ot_reader_of(bytes.data, (size_t)OT_MAX(bytes.len, 0));
	int16_t version = ot_read_i16(&in);
	if (in.failed)
		return OT_ERR_TRUNCATED;
	ot_err err = ot_msg_decode(type, version, &in, arena, ret_msg);
	if (err == OT_OK)
		*ret_version = version;
	return err;
}

ot_err
ot_versioned_decode_newer(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version, void *ret_msg)
{
	struct ot_reader in = ot_reader_of(bytes.data, (size_t)OT_MAX(bytes.len, 0));
	int16_t version = ot_read_i16(&in);
	if (in.failed)
		return OT_ERR_TRUNCATED;
	int16_t known = OT_MIN(version, type->valid.max);
	ot_err err = ot_msg_decode_prefix(type, known, &in, arena, ret_msg);
	if (err == OT_OK)
		*ret_version = version;
	return err;
}
