/* Keys and values of records as kafka-dump-log shows them: text, or the records of Kafka's own logs
 * as JSON. */
#include "cli/dump_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <jansson.h>

#include "record/control.h"
#include "wire/api.h"
#include "wire/msg_consumer_protocol.h"
#include "wire/msg_group_log.h"
#include "wire/recordio.h"

/* ---- text ---------------------------------------------------------------------------------- */

static void put(struct ot_writer *out, const char *fmt, ...) OT_PRINTF(2, 3);

static void
put(struct ot_writer *out, const char *fmt, ...)
{
	char text[200];
	va_list args;
	va_start(args, fmt);
	int bytes = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ot_write_raw(out, text, (size_t)OT_MIN(OT_MAX(bytes, 0), (int)sizeof(text) - 1));
}

bool
dump_class_find(const char *name, enum dump_class *ret_class)
{
	static const struct {
		const char *name;
		enum dump_class class;
	} known[] = {
		{ "StringDecoder", DUMP_CLASS_STRING },
		{ "IntegerDecoder", DUMP_CLASS_INTEGER },
		{ "LongDecoder", DUMP_CLASS_LONG },
		{ "DefaultDecoder", DUMP_CLASS_BYTES },
	};
	const char *dot = strrchr(name, '.');
	const char *last = dot != NULL ? dot + 1 : name;
	for (size_t i = 0; i < OT_ARRAY_COUNT(known); i++) {
		if (strcmp(last, known[i].name) == 0) {
			*ret_class = known[i].class;
			return true;
		}
	}
	return false;
}

static void
put_bytes(enum dump_class class, struct ot_bytes bytes, struct ot_writer *out)
{
	if (class == DUMP_CLASS_INTEGER && bytes.len == 4) {
		put(out, "%d", (int32_t)ot_get_u32(bytes.data));
	} else if (class == DUMP_CLASS_LONG && bytes.len == 8) {
		put(out, "%" PRId64, (int64_t)ot_get_u64(bytes.data));
	} else if (class == DUMP_CLASS_BYTES) {
		for (int32_t i = 0; i < bytes.len; i++)
			put(out, "%02x", bytes.data[i]);
	} else if (bytes.len > 0) {
		ot_write_raw(out, bytes.data, (size_t)bytes.len);
	}
}

/* ---- coordinators' logs -------------------------------------------------------------------- */

static enum ot_record_log
log_of(enum dump_decoder decoder)
{
	if (decoder == DUMP_DECODE_TRANSACTIONS)
		return OT_RECORD_LOG_TRANSACTION;
	return decoder == DUMP_DECODE_SHARE_STATE ? OT_RECORD_LOG_SHARE : OT_RECORD_LOG_GROUP;
}

/* Decodes int16 version and message into the arena; NULL when it is not that. */
static void *
decode(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version)
{
	void *msg = ot_arena_alloc(arena, type->body->bytes);
	if (msg == NULL || ot_versioned_decode(type, bytes, arena, ret_version, msg) != OT_OK)
		return NULL;
	return msg;
}

/* What ot_msg_print() writes, as a value that can be changed; NULL when it cannot be had. */
static json_t *
json_of(const struct ot_msg *type, int16_t version, const void *msg)
{
	struct ot_writer text;
	ot_writer_init(&text);
	json_t *json = NULL;
	if (ot_msg_print(type, version, msg, &text) == OT_OK)
		json = json_loadb((const char *)text.data, text.bytes, JSON_ALLOW_NUL, NULL);
	ot_writer_fini(&text);
	return json;
}

/* Puts what consumers wrote in the place of its bytes, if it can be read. */
static void
open_field(json_t *member, const char *field, const struct ot_msg *type, struct ot_bytes bytes,
    struct ot_arena *arena)
{
	int16_t version = 0;
	void *msg = bytes.len > 0 ? decode(type, bytes, arena, &version) : NULL;
	json_t *json = msg != NULL ? json_of(type, version, msg) : NULL;
	if (json != NULL)
		json_object_set_new(member, field, json);
}

/* A classic group of consumers: subscriptions and assignments are messages of their own. */
static json_t *
json_of_group(const struct ot_group_metadata_value *group, int16_t version, struct ot_arena *arena)
{
	json_t *json = json_of(&ot_group_metadata_value_msg, version, group);
	json_t *members = json_object_get(json, "members");
	bool is_of_consumers = ot_str_is(group->protocol_type, "consumer");
	for (int32_t i = 0; is_of_consumers && i < group->members_count; i++) {
		json_t *member = json_array_get(members, (size_t)i);
		if (member == NULL)
			break;
		open_field(member, "subscription", &ot_consumer_protocol_subscription_msg,
		    group->members[i].subscription, arena);
		open_field(member, "assignment", &ot_consumer_protocol_assignment_msg,
		    group->members[i].assignment, arena);
	}
	return json;
}

static int
take_json(const char *text, size_t bytes, void *out)
{
	ot_write_raw(out, text, bytes);
	return 0;
}

/* Ends the value. */
static void
put_json(json_t *json, struct ot_writer *out)
{
	json_dump_callback(json, take_json, out, JSON_COMPACT);
	json_decref(json);
}

static void
put_unreadable(const struct ot_record *record, const char *prefix, const char *reason,
    struct ot_writer *out)
{
	put(out, "%skey: Error at offset %" PRId64 ", skipping. %s", prefix, record->offset,
	    reason);
}

static void
put_keyed(enum dump_decoder decoder, const struct ot_record *record, const char *prefix,
    struct ot_arena *arena, struct ot_writer *out)
{
	struct ot_keyed_type type;
	int16_t key_version = 0;
	int16_t value_version = 0;
	int16_t number = ot_versioned_peek(record->key);
	if (record->key.len < 0) {
		put_unreadable(record, prefix, "The message has no key", out);
		return;
	}
	if (!ot_keyed_type_find(log_of(decoder), number, &type)) {
		put(out, "%skey: Unknown record type %d at offset %" PRId64 ", skipping.", prefix,
		    number, record->offset);
		return;
	}
	void *key = decode(type.key, record->key, arena, &key_version);
	void *value = record->value.len >= 0
	                  ? decode(type.value, record->value, arena, &value_version)
	                  : NULL;
	json_t *key_json = key != NULL ? json_of(type.key, key_version, key) : NULL;
	json_t *value_json = NULL;
	if (value != NULL)
		value_json = type.value == &ot_group_metadata_value_msg
		                 ? json_of_group(value, value_version, arena)
		                 : json_of(type.value, value_version, value);
	if (key_json == NULL || (record->value.len >= 0 && value_json == NULL)) {
		put_unreadable(record, prefix, "The bytes are not those of its type", out);
		json_decref(key_json);
		json_decref(value_json);
		return;
	}
	put(out, "%skey: {\"type\":\"%d\",\"data\":", prefix, number);
	put_json(key_json, out);
	put(out, "} payload: ");
	if (value_json == NULL) {
		put(out, "<DELETE>");
		return;
	}
	put(out, "{\"version\":\"%d\",\"data\":", value_version);
	put_json(value_json, out);
	put(out, "}");
}

/* ---- the metadata log ---------------------------------------------------------------------- */

/* "TopicRecord" as "TOPIC_RECORD". */
static void
put_type_name(const char *name, struct ot_writer *out)
{
	for (const char *c = name; *c != '\0'; c++) {
		bool is_upper = *c >= 'A' && *c <= 'Z';
		bool was_upper = c > name && c[-1] >= 'A' && c[-1] <= 'Z';
		if (is_upper && c > name && !was_upper)
			put(out, "_");
		put(out, "%c", is_upper || *c < 'a' || *c > 'z' ? *c : *c - 'a' + 'A');
	}
}

static void
put_typed(enum dump_decoder decoder, const struct ot_record *record, const char *prefix,
    struct ot_arena *arena, struct ot_writer *out)
{
	struct ot_typed_record typed;
	enum ot_record_log log = decoder == DUMP_DECODE_METADATA
	                             ? OT_RECORD_LOG_METADATA
	                             : OT_RECORD_LOG_REMOTE_LOG_METADATA;
	ot_err err = ot_typed_record_decode(log, record->value, arena, &typed);
	json_t *json = err == OT_OK ? json_of(typed.type, typed.version, typed.msg) : NULL;
	if (json == NULL) {
		put(out, "%spayload: Error at %" PRId64 ", skipping. %s", prefix, record->offset,
		    ot_err_message(err));
		return;
	}
	put(out, "%spayload: {\"type\":\"", prefix);
	put_type_name(typed.type->name, out);
	put(out, "\",\"version\":%d,\"data\":", typed.version);
	put_json(json, out);
	put(out, "}");
}

void
dump_record_put(const struct dump_decoding *decoding, const struct ot_record *record,
    const char *prefix, struct ot_arena *arena, struct ot_writer *out)
{
	switch (decoding->decoder) {
	case DUMP_DECODE_OFFSETS:
	case DUMP_DECODE_TRANSACTIONS:
	case DUMP_DECODE_SHARE_STATE:
		put_keyed(decoding->decoder, record, prefix, arena, out);
		return;
	case DUMP_DECODE_METADATA:
	case DUMP_DECODE_REMOTE_METADATA:
		put_typed(decoding->decoder, record, prefix, arena, out);
		return;
	case DUMP_DECODE_TEXT:
		break;
	}
	if (record->key.len >= 0) {
		put(out, "%skey: ", prefix);
		put_bytes(decoding->key_class, record->key, out);
		prefix = " ";
	}
	if (record->value.len >= 0) {
		put(out, "%spayload: ", prefix);
		put_bytes(decoding->value_class, record->value, out);
	}
}

/* ---- control records ----------------------------------------------------------------------- */

/* Such a message has its version as its first field. */
static void *
decode_control(const struct ot_msg *type, struct ot_bytes bytes, struct ot_arena *arena,
    int16_t *ret_version)
{
	struct ot_reader in = ot_reader_of(bytes.data, (size_t)OT_MAX(bytes.len, 0));
	void *msg = ot_arena_alloc(arena, type->body->bytes);
	*ret_version = ot_versioned_peek(bytes);
	if (msg == NULL || ot_msg_decode_prefix(type, *ret_version, &in, arena, msg) != OT_OK)
		return NULL;
	return msg;
}

void
dump_control_put(const struct ot_record *record, struct ot_arena *arena, struct ot_writer *out)
{
	static const struct {
		const char *label;
		const char *message;
	} known[OT_CONTROL_TYPE_COUNT] = {
		[OT_CONTROL_LEADER_CHANGE] = { " LeaderChange: ", "LeaderChangeMessage" },
		[OT_CONTROL_SNAPSHOT_HEADER] = { " SnapshotHeader ", "SnapshotHeaderRecord" },
		[OT_CONTROL_SNAPSHOT_FOOTER] = { " SnapshotFooter ", "SnapshotFooterRecord" },
		[OT_CONTROL_KRAFT_VERSION] = { " KRaftVersion ", "KRaftVersionRecord" },
		[OT_CONTROL_KRAFT_VOTERS] = { " KRaftVoters ", "VotersRecord" },
	};
	enum ot_control_type type = OT_CONTROL_UNKNOWN;
	int number = record->key.len >= 4 ? (int16_t)ot_get_u16(record->key.data + 2) : -1;
	int16_t version = 0;
	bool is_read = ot_control_parse_key(record->key, &type) == OT_OK;
	if (is_read && (type == OT_CONTROL_ABORT || type == OT_CONTROL_COMMIT) &&
	    record->value.len >= 6) {
		put(out, " endTxnMarker: %s coordinatorEpoch: %d", ot_control_type_name(type),
		    (int32_t)ot_get_u32(record->value.data + 2));
		return;
	}
	const char *name = is_read && type >= 0 ? known[type].message : NULL;
	const struct ot_msg *message = name != NULL ? ot_msg_find_name(ot_str_from(name)) : NULL;
	void *msg =
	    message != NULL ? decode_control(message, record->value, arena, &version) : NULL;
	json_t *json = msg != NULL ? json_of(message, version, msg) : NULL;
	if (json == NULL) {
		put(out, " controlType: %s(%d)", ot_control_type_name(type), number);
		return;
	}
	put(out, "%s", known[type].label);
	put_json(json, out);
}
