/* Records of the internal topics, as people read them.
 *
 * JSON, the form of today's Kafka:
 *
 *   {"key":{"type":1,"data":{...}},"value":{"version":3,"data":{...}}}
 *
 * with null as the value of a tombstone. Kafka puts nothing behind it; here each stands on a line
 * of its own, which readers of JSON take just as well.
 *
 * Text, the form of Kafka up to 3.x: KEY::VALUE, and NULL for a tombstone. Kafka changed the words
 * of VALUE when it changed what a value says, so a value's version tells which ones it had: up to
 * 1 those of 0.11, from 2 on those of 2.1 to 3.x.
 */
#include "cli/formatter_log_int.h"

#include <inttypes.h>

#include "wire/msg_group_log.h"
#include "wire/msg_share_log.h"
#include "wire/msg_transaction_log.h"
#include "wire/recordio.h"

/* ---- which records ------------------------------------------------------------------------- */

static enum ot_record_log
log_of(enum formatter_log_kind kind)
{
	if (kind == FORMATTER_LOG_TRANSACTION)
		return OT_RECORD_LOG_TRANSACTION;
	return kind == FORMATTER_LOG_SHARE_STATE ? OT_RECORD_LOG_SHARE : OT_RECORD_LOG_GROUP;
}

static bool
is_of_kind(enum formatter_log_kind kind, int16_t type)
{
	switch (kind) {
	case FORMATTER_LOG_OFFSETS:
		return type >= 0 && type <= OT_OFFSET_COMMIT_KEY_TYPE;
	case FORMATTER_LOG_GROUP:
		return type == OT_GROUP_METADATA_KEY_TYPE;
	case FORMATTER_LOG_CONSUMER_GROUP:
		return type >= OT_CONSUMER_GROUP_METADATA_KEY_TYPE &&
		       type <= OT_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT_KEY_TYPE;
	case FORMATTER_LOG_SHARE_GROUP:
		return type >= OT_SHARE_GROUP_PARTITION_METADATA_KEY_TYPE &&
		       type <= OT_SHARE_GROUP_STATE_PARTITION_METADATA_KEY_TYPE;
	case FORMATTER_LOG_TRANSACTION:
	case FORMATTER_LOG_SHARE_STATE:
		break;
	}
	return true;
}

struct decoded {
	struct ot_keyed_type type;
	int16_t key_version;
	int16_t value_version;
	void *key;
	void *value; /* NULL for a tombstone */
};

static ot_err
decode_part(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version, void **ret_msg)
{
	void *msg = ot_arena_alloc(arena, type->body->bytes);
	if (msg == NULL)
		return OT_ERR_NO_MEMORY;
	ot_err err = ot_versioned_decode(type, bytes, arena, ret_version, msg);
	if (err == OT_OK)
		*ret_msg = msg;
	return err;
}

/* Decodes a record that belongs to the kind; for others *ret_is_shown is false. */
static ot_err
decode(enum formatter_log_kind kind, const struct formatter_record *record, struct ot_arena *arena,
    struct decoded *ret_decoded, bool *ret_is_shown, struct ot_why *why)
{
	struct decoded decoded = { .value = NULL };
	int16_t number = ot_versioned_peek(record->key);
	*ret_is_shown = record->key.len >= 0 && is_of_kind(kind, number) &&
	                ot_keyed_type_find(log_of(kind), number, &decoded.type);
	if (!*ret_is_shown)
		return OT_OK;
	ot_err err =
	    decode_part(decoded.type.key, record->key, arena, &decoded.key_version, &decoded.key);
	if (err == OT_OK && record->value.len >= 0)
		err = decode_part(decoded.type.value, record->value, arena, &decoded.value_version,
		    &decoded.value);
	if (err == OT_OK) {
		*ret_decoded = decoded;
		return OT_OK;
	}
	if (err == OT_ERR_NO_MEMORY)
		return err;
	ot_why_set(why, "Could not read record at offset %" PRId64 " due to: %s", record->offset,
	    ot_err_message(err));
	return OT_ERR_INVALID_RECORD;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

ot_err
formatter_log_write_json(enum formatter_log_kind kind, const struct formatter_record *record,
    struct ot_arena *arena, struct ot_writer *out, struct ot_why *why)
{
	struct decoded decoded;
	bool is_shown;
	ot_err err = decode(kind, record, arena, &decoded, &is_shown, why);
	if (err != OT_OK || !is_shown)
		return err;
	formatter_put(out, "{\"key\":{\"type\":%d,\"data\":", decoded.key_version);
	err = ot_msg_print(decoded.type.key, decoded.key_version, decoded.key, out);
	if (err == OT_OK && decoded.value == NULL) {
		formatter_put(out, "},\"value\":null}\n");
	} else if (err == OT_OK) {
		formatter_put(out, "},\"value\":{\"version\":%d,\"data\":", decoded.value_version);
		err = ot_msg_print(decoded.type.value, decoded.value_version, decoded.value, out);
		formatter_put(out, "}}\n");
	}
	return err;
}

/* ---- text ---------------------------------------------------------------------------------- */

static void
put_str(struct ot_writer *out, struct ot_str text)
{
	if (text.len > 0)
		ot_write_raw(out, text.data, (size_t)text.len);
}

static void
put_offset(const struct ot_offset_commit_value *value, int16_t version, struct ot_writer *out)
{
	if (version <= 1) {
		formatter_put(out, "[OffsetMetadata[%" PRId64 ",", value->offset);
		put_str(out, value->metadata.len > 0 ? value->metadata : OT_STR_LIT("NO_METADATA"));
		formatter_put(out, "],CommitTime %" PRId64 ",ExpirationTime %" PRId64 "]",
		    value->commit_timestamp, value->expire_timestamp);
		return;
	}
	formatter_put(out, "OffsetAndMetadata(offset=%" PRId64 ", leaderEpoch=", value->offset);
	if (value->leader_epoch >= 0)
		formatter_put(out, "Optional[%d]", value->leader_epoch);
	else
		formatter_put(out, "Optional.empty");
	formatter_put(out, ", metadata=");
	put_str(out, value->metadata);
	formatter_put(out, ", commitTimestamp=%" PRId64 ", expireTimestamp=None)",
	    value->commit_timestamp);
}

static void
put_option(struct ot_writer *out, const char *label, struct ot_str value)
{
	formatter_put(out, "%s", label);
	if (value.len < 0) {
		formatter_put(out, "None");
		return;
	}
	formatter_put(out, "Some(");
	put_str(out, value);
	formatter_put(out, ")");
}

static void
put_member(const struct ot_group_metadata_value *group, int16_t version,
    const struct ot_group_metadata_value_member *member, struct ot_writer *out)
{
	put_str(out, member->member_id);
	formatter_put(out, version <= 1 ? " -> [" : " -> MemberMetadata(memberId=");
	put_str(out, member->member_id);
	if (version <= 1)
		formatter_put(out, ",");
	else
		put_option(out, ", groupInstanceId=", member->group_instance_id);
	formatter_put(out, version <= 1 ? "" : ", clientId=");
	put_str(out, member->client_id);
	formatter_put(out, version <= 1 ? "," : ", clientHost=");
	put_str(out, member->client_host);
	if (version <= 1) {
		formatter_put(out, ",%d]", member->session_timeout);
		return;
	}
	formatter_put(out, ", sessionTimeoutMs=%d, rebalanceTimeoutMs=%d, supportedProtocols=List(",
	    member->session_timeout, member->rebalance_timeout);
	put_str(out, group->protocol);
	formatter_put(out, "))");
}

static void
put_group(struct ot_str name, const struct ot_group_metadata_value *value, int16_t version,
    struct ot_writer *out)
{
	const char *state = value->members_count > 0 ? "Stable" : "Empty";
	bool is_old = version <= 1;
	formatter_put(out, is_old ? "[" : "GroupMetadata(groupId=");
	put_str(out, name);
	if (!is_old)
		formatter_put(out, ", generation=%d", value->generation);
	put_option(out, is_old ? "," : ", protocolType=", value->protocol_type);
	formatter_put(out, is_old ? ",%s,Map(" : ", currentState=%s, members=Map(", state);
	for (int32_t i = 0; i < value->members_count; i++) {
		formatter_put(out, i > 0 ? ", " : "");
		put_member(value, version, &value->members[i], out);
	}
	formatter_put(out, is_old ? ")]" : "))");
}

static const char *
transaction_state(int8_t state)
{
	static const char *const names[] = { "Empty", "Ongoing", "PrepareCommit", "PrepareAbort",
		"CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence" };
	return state >= 0 && state < (int8_t)OT_ARRAY_COUNT(names) ? names[state] : "Unknown";
}

static void
put_transaction(struct ot_str id, const struct ot_transaction_log_value *value,
    struct ot_writer *out)
{
	formatter_put(out, "TransactionMetadata(transactionalId=");
	put_str(out, id);
	formatter_put(out,
	    ", producerId=%" PRId64 ", producerEpoch=%d, txnTimeoutMs=%d, state=%s, "
	    "pendingState=None, topicPartitions=Set(",
	    value->producer_id, value->producer_epoch, value->transaction_timeout_ms,
	    transaction_state(value->transaction_status));
	const char *before = "";
	for (int32_t i = 0; i < value->transaction_partitions_count; i++) {
		const struct ot_transaction_log_value_topic_partitions *topic =
		    &value->transaction_partitions[i];
		for (int32_t j = 0; j < topic->partition_ids_count; j++) {
			formatter_put(out, "%s", before);
			put_str(out, topic->topic);
			formatter_put(out, "-%d", topic->partition_ids[j]);
			before = ", ";
		}
	}
	formatter_put(out, "), txnStartTimestamp=%" PRId64 ", txnLastUpdateTimestamp=%" PRId64 ")",
	    value->transaction_start_timestamp_ms, value->transaction_last_update_timestamp_ms);
}

static void
put_key(const struct decoded *decoded, struct ot_writer *out)
{
	if (decoded->type.key == &ot_offset_commit_key_msg) {
		const struct ot_offset_commit_key *key = decoded->key;
		formatter_put(out, "[");
		put_str(out, key->group);
		formatter_put(out, ",");
		put_str(out, key->topic);
		formatter_put(out, ",%d]::", key->partition);
		return;
	}
	/* The names of groups and transactions: the one field that such a key has. */
	put_str(out, *(const struct ot_str *)decoded->key);
	formatter_put(out, "::");
}

_Static_assert(offsetof(struct ot_group_metadata_key, group) == 0, "read by put_key()");
_Static_assert(offsetof(struct ot_transaction_log_key, transactional_id) == 0, "read by put_key()");

ot_err
formatter_log_write_text(enum formatter_log_kind kind, const struct formatter_record *record,
    struct ot_arena *arena, struct ot_writer *out, struct ot_why *why)
{
	if (kind != FORMATTER_LOG_OFFSETS && kind != FORMATTER_LOG_GROUP &&
	    kind != FORMATTER_LOG_TRANSACTION)
		return formatter_log_write_json(kind, record, arena, out, why);
	struct decoded decoded;
	bool is_shown;
	ot_err err = decode(kind, record, arena, &decoded, &is_shown, why);
	if (err != OT_OK || !is_shown)
		return err;
	put_key(&decoded, out);
	if (decoded.value == NULL)
		formatter_put(out, "NULL");
	else if (kind == FORMATTER_LOG_OFFSETS)
		put_offset(decoded.value, decoded.value_version, out);
	else if (kind == FORMATTER_LOG_GROUP)
		put_group(*(const struct ot_str *)decoded.key, decoded.value, decoded.value_version,
		    out);
	else
		put_transaction(*(const struct ot_str *)decoded.key, decoded.value, out);
	formatter_put(out, "\n");
	return OT_OK;
}
