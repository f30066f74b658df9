/* Messages as keys and values of records in Kafka's own logs, with what stands before them.
 *
 *   metadata log          value: uvarint frame version (1), uvarint type, uvarint version, message
 *   __remote_log_metadata value: uvarint type, uvarint version, message
 *   __consumer_offsets, __transaction_state, __share_group_state
 *                         key:   int16 that is type and version at once, message
 *                         value: int16 version, message; null is a tombstone
 *   consumer protocol in JoinGroup and SyncGroup, principal in Envelope, EndTxnMarker
 *                         int16 version, message
 */
#ifndef OT_WIRE_RECORDIO_H
#define OT_WIRE_RECORDIO_H

#include "wire/codec.h"

enum ot_record_log {
	OT_RECORD_LOG_METADATA,
	OT_RECORD_LOG_REMOTE_LOG_METADATA,
	OT_RECORD_LOG_GROUP,
	OT_RECORD_LOG_TRANSACTION,
	OT_RECORD_LOG_SHARE,
};

/* A record of the first two logs after decoding. */
struct ot_typed_record {
	const struct ot_msg *type;
	int16_t version;
	void *msg; /* the struct of the type, in the arena */
};

/* The message of a type of the first two logs, NULL for a type that Kafka does not have.
 * @owner any thread */
const struct ot_msg *ot_typed_record_find(enum ot_record_log log, int16_t type);

/* Appends the frame and the message. Errors of ot_msg_encode().
 * @owner the writer's   @blocks never */
ot_err ot_typed_record_encode(enum ot_record_log log, const struct ot_msg *type, int16_t version,
    const void *msg, struct ot_writer *out) OT_MUST_USE;

/* Decodes a value; views in it point into `bytes`. OT_ERR_UNSUPPORTED_VERSION for a frame, type or
 * version that we do not know, else the errors of ot_msg_decode().
 * @owner the arena's   @blocks never */
ot_err ot_typed_record_decode(enum ot_record_log log, struct ot_bytes bytes, struct ot_arena *arena,
    struct ot_typed_record *ret_record) OT_MUST_USE;

/* Key and value of one type of a coordinator's log. */
struct ot_keyed_type {
	const struct ot_msg *key;
	const struct ot_msg *value;
};

/* Finds the messages for the int16 that begins a key; false for a number that no type has: Kafka
 * skips such records. @owner any thread */
bool ot_keyed_type_find(enum ot_record_log log, int16_t number, struct ot_keyed_type *ret_type);

/* The int16 that begins `bytes`, or -1 when there are not two bytes. @owner any thread */
int16_t ot_versioned_peek(struct ot_bytes bytes);

/* Appends int16 version and message. Of a key the version is its type (OT_..._KEY_TYPE).
 * @owner the writer's   @blocks never */
ot_err ot_versioned_encode(const struct ot_msg *type, int16_t version, const void *msg,
    struct ot_writer *out) OT_MUST_USE;

/* Decodes both. OT_ERR_UNSUPPORTED_VERSION for a version that we do not know, else the errors of
 * ot_msg_decode(). @owner the arena's   @blocks never */
ot_err ot_versioned_decode(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version, void *ret_msg) OT_MUST_USE;

/* The same as the consumer protocol wants it: a newer version is read as our newest, and bytes
 * behind the message are ignored. @owner the arena's   @blocks never */
ot_err ot_versioned_decode_newer(const struct ot_msg *type, struct ot_bytes bytes,
    struct ot_arena *arena, int16_t *ret_version, void *ret_msg) OT_MUST_USE;

#endif
