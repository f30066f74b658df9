#include "record/control.h"

#include "base/panic.h"

enum {
	CONTROL_KEY_VERSION = 0,
	END_TXN_VERSION = 0,
	SNAPSHOT_VERSION = 0,
	KRAFT_VERSION_VERSION = 0,
	LEADER_CHANGE_VERSION_IDS = 0,
	LEADER_CHANGE_VERSION_DIRECTORIES = 1,
	NO_TAGGED_FIELDS = 0,
};

const char *
ot_control_type_name(enum ot_control_type type)
{
	static const char *const names[OT_CONTROL_TYPE_COUNT] = {
		[OT_CONTROL_ABORT] = "ABORT",
		[OT_CONTROL_COMMIT] = "COMMIT",
		[OT_CONTROL_LEADER_CHANGE] = "LEADER_CHANGE",
		[OT_CONTROL_SNAPSHOT_HEADER] = "SNAPSHOT_HEADER",
		[OT_CONTROL_SNAPSHOT_FOOTER] = "SNAPSHOT_FOOTER",
		[OT_CONTROL_KRAFT_VERSION] = "KRAFT_VERSION",
		[OT_CONTROL_KRAFT_VOTERS] = "KRAFT_VOTERS",
	};
	return type >= 0 && type < OT_CONTROL_TYPE_COUNT ? names[type] : "UNKNOWN";
}

ot_err
ot_control_parse_key(struct ot_bytes key, enum ot_control_type *ret_type)
{
	struct ot_reader in = ot_reader_of(key.data, key.len > 0 ? (size_t)key.len : 0);
	int16_t version = ot_read_i16(&in);
	int16_t type = ot_read_i16(&in);
	/* Later versions may only append, so that their type can be read, too. */
	if (in.failed || version < 0)
		return OT_ERR_INVALID_RECORD;
	bool is_known = type >= 0 && type < OT_CONTROL_TYPE_COUNT;
	*ret_type = is_known ? (enum ot_control_type)type : OT_CONTROL_UNKNOWN;
	return OT_OK;
}

static ot_err
parse_end_txn_record(const struct ot_record *record, struct ot_end_txn_marker *marker)
{
	enum ot_control_type type;
	ot_err err = ot_control_parse_key(record->key, &type);
	if (err != OT_OK)
		return err;
	if (type != OT_CONTROL_ABORT && type != OT_CONTROL_COMMIT)
		return OT_ERR_INVALID_RECORD;
	struct ot_bytes value = record->value;
	struct ot_reader in = ot_reader_of(value.data, value.len > 0 ? (size_t)value.len : 0);
	int16_t version = ot_read_i16(&in);
	marker->coordinator_epoch = ot_read_i32(&in);
	marker->is_commit = type == OT_CONTROL_COMMIT;
	return in.failed || version < 0 ? OT_ERR_INVALID_RECORD : OT_OK;
}

ot_err
ot_end_txn_parse(const uint8_t *batch, const struct ot_batch_info *info,
    struct ot_end_txn_marker *ret_marker)
{
	/* Kafka never compresses markers, so no context is needed. */
	if (!info->is_control || info->record_count != 1 ||
	    info->compression != OT_COMPRESSION_NONE)
		return OT_ERR_INVALID_RECORD;
	struct ot_end_txn_marker marker = {
		.producer_id = info->producer_id,
		.producer_epoch = info->producer_epoch,
	};
	struct ot_record_iter iter;
	struct ot_record record;
	ot_err err = ot_record_iter_open(&iter, batch, info,
	    &(struct ot_record_iter_options){ .ctx = NULL }, NULL);
	if (err != OT_OK)
		return err;
	bool is_read = ot_record_iter_next(&iter, &record);
	err = ot_record_iter_close(&iter);
	if (is_read && err == OT_OK)
		err = parse_end_txn_record(&record, &marker);
	if (err == OT_OK)
		*ret_marker = marker;
	return err;
}

/* One batch of one control record with the value that `value` gathered; ends `value`. */
static ot_err
build_batch(const struct ot_control_place *place, enum ot_control_type type,
    const struct ot_end_txn_marker *marker, struct ot_writer *value, struct ot_writer *out)
{
	uint8_t key[4];
	ot_put_u16(key, CONTROL_KEY_VERSION);
	ot_put_u16(key + 2, (uint16_t)type);
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	options.base_offset = place->base_offset;
	options.leader_epoch = place->leader_epoch;
	options.is_control = true;
	if (marker != NULL) {
		options.is_transactional = true;
		options.producer_id = marker->producer_id;
		options.producer_epoch = marker->producer_epoch;
	}
	struct ot_record_data record = {
		.timestamp = place->timestamp,
		.key = { key, sizeof(key) },
		.value = { value->data, (int32_t)value->bytes },
	};
	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, out);
	ot_batch_builder_append(&builder, &record);
	ot_err err = ot_batch_builder_finish(&builder, NULL);
	ot_batch_builder_fini(&builder);
	if (value->failed && err == OT_OK) {
		out->bytes = builder.start;
		err = OT_ERR_NO_MEMORY;
	}
	ot_writer_fini(value);
	return err;
}

ot_err
ot_build_end_txn(const struct ot_control_place *place, const struct ot_end_txn_marker *marker,
    struct ot_writer *out)
{
	struct ot_writer value;
	ot_writer_init(&value);
	ot_write_i16(&value, END_TXN_VERSION);
	ot_write_i32(&value, marker->coordinator_epoch);
	enum ot_control_type type = marker->is_commit ? OT_CONTROL_COMMIT : OT_CONTROL_ABORT;
	return build_batch(place, type, marker, &value, out);
}

static bool
have_directories(const struct ot_kraft_voter *voters, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		if (!ot_uuid_is_zero(&voters[i].directory_id))
			return true;
	}
	return false;
}

static void
write_voters(struct ot_writer *out, int16_t version, const struct ot_kraft_voter *voters,
    int32_t count)
{
	OT_ASSERT(count >= 0);
	ot_write_uvarint(out, (uint32_t)count + 1);
	for (int32_t i = 0; i < count; i++) {
		ot_write_i32(out, voters[i].id);
		if (version >= LEADER_CHANGE_VERSION_DIRECTORIES)
			ot_write_uuid(out, &voters[i].directory_id);
		ot_write_uvarint(out, NO_TAGGED_FIELDS);
	}
}

ot_err
ot_build_leader_change(const struct ot_control_place *place, const struct ot_leader_change *change,
    struct ot_writer *out)
{
	bool is_long = have_directories(change->voters, change->voter_count) ||
	               have_directories(change->granting_voters, change->granting_voter_count);
	int16_t version = is_long ? LEADER_CHANGE_VERSION_DIRECTORIES : LEADER_CHANGE_VERSION_IDS;
	struct ot_writer value;
	ot_writer_init(&value);
	ot_write_i16(&value, version);
	ot_write_i32(&value, change->leader_id);
	write_voters(&value, version, change->voters, change->voter_count);
	write_voters(&value, version, change->granting_voters, change->granting_voter_count);
	ot_write_uvarint(&value, NO_TAGGED_FIELDS);
	return build_batch(place, OT_CONTROL_LEADER_CHANGE, NULL, &value, out);
}

ot_err
ot_build_snapshot_header(const struct ot_control_place *place, ot_wall_ms last_contained_timestamp,
    struct ot_writer *out)
{
	struct ot_writer value;
	ot_writer_init(&value);
	ot_write_i16(&value, SNAPSHOT_VERSION);
	ot_write_i64(&value, last_contained_timestamp);
	ot_write_uvarint(&value, NO_TAGGED_FIELDS);
	return build_batch(place, OT_CONTROL_SNAPSHOT_HEADER, NULL, &value, out);
}

ot_err
ot_build_snapshot_footer(const struct ot_control_place *place, struct ot_writer *out)
{
	struct ot_writer value;
	ot_writer_init(&value);
	ot_write_i16(&value, SNAPSHOT_VERSION);
	ot_write_uvarint(&value, NO_TAGGED_FIELDS);
	return build_batch(place, OT_CONTROL_SNAPSHOT_FOOTER, NULL, &value, out);
}

ot_err
ot_build_kraft_version(const struct ot_control_place *place, int16_t kraft_version,
    struct ot_writer *out)
{
	struct ot_writer value;
	ot_writer_init(&value);
	ot_write_i16(&value, KRAFT_VERSION_VERSION);
	ot_write_i16(&value, kraft_version);
	ot_write_uvarint(&value, NO_TAGGED_FIELDS);
	return build_batch(place, OT_CONTROL_KRAFT_VERSION, NULL, &value, out);
}
