#include "cluster/etcd_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/panic.h"

/* ---- keys ----------------------------------------------------------------------------------- */

struct etcd_key
etcd_key_of(const char *prefix, const char *name)
{
	struct etcd_key key;
	struct ot_text text = OT_TEXT(key.text);

	ot_text_put(&text, "%s/%s", prefix, name);
	return key;
}

struct etcd_key
etcd_key_log(const char *prefix, int64_t offset)
{
	struct etcd_key key;
	struct ot_text text = OT_TEXT(key.text);

	ot_text_put(&text, "%s/log/%020" PRId64, prefix, offset);
	return key;
}

struct etcd_key
etcd_key_part(const char *prefix, int64_t offset, int32_t epoch, int32_t index)
{
	struct etcd_key key;
	struct ot_text text = OT_TEXT(key.text);

	ot_text_put(&text, "%s/part/%020" PRId64 "-%010" PRId32 "/%08" PRId32, prefix, offset,
	    epoch, index);
	return key;
}

struct etcd_key
etcd_key_piece(const char *prefix, struct ot_metalog_id id, int32_t index)
{
	struct etcd_key key;
	struct ot_text text = OT_TEXT(key.text);

	ot_text_put(&text, "%s/snap/%020" PRId64 "-%010" PRId32 "/%08" PRId32, prefix,
	    id.end_offset, id.epoch, index);
	return key;
}

int64_t
etcd_key_offset(const char *prefix, struct ot_str key)
{
	size_t prefix_bytes = strlen(prefix);
	const char *digit = key.data + prefix_bytes + 5;
	int64_t offset = 0;

	if ((size_t)key.len != prefix_bytes + 5 + 20 || memcmp(key.data, prefix, prefix_bytes) != 0)
		return -1;
	if (memcmp(key.data + prefix_bytes, "/log/", 5) != 0 || *digit != '0')
		return -1;
	for (; digit < key.data + key.len; digit++) {
		if (*digit < '0' || *digit > '9' || offset > (INT64_MAX - 9) / 10)
			return -1;
		offset = offset * 10 + (*digit - '0');
	}
	return offset;
}

/* ---- values --------------------------------------------------------------------------------- */

void
etcd_head_write(const struct etcd_head *head, struct ot_writer *out)
{
	ot_write_i16(out, ETCD_FORMAT);
	ot_write_i64(out, head->next_offset);
	ot_write_i32(out, head->epoch);
	ot_write_i64(out, (int64_t)head->write_id);
}

void
etcd_leader_write(const struct etcd_leader *leader, struct ot_writer *out)
{
	size_t host_bytes = strlen(leader->host);

	ot_write_i16(out, ETCD_FORMAT);
	ot_write_i32(out, leader->node_id);
	ot_write_i32(out, leader->epoch);
	ot_write_uuid(out, &leader->directory);
	ot_write_i16(out, (int16_t)leader->port);
	ot_write_i16(out, (int16_t)host_bytes);
	ot_write_raw(out, leader->host, host_bytes);
}

void
etcd_snapshot_write(const struct etcd_snapshot *snapshot, struct ot_writer *out)
{
	ot_write_i16(out, ETCD_FORMAT);
	ot_write_i64(out, snapshot->id.end_offset);
	ot_write_i32(out, snapshot->id.epoch);
	ot_write_i64(out, snapshot->timestamp);
	ot_write_i32(out, snapshot->piece_count);
}

void
etcd_seed_write(const struct ot_uuid *seed, struct ot_writer *out)
{
	ot_write_i16(out, ETCD_FORMAT);
	ot_write_uuid(out, seed);
}

void
etcd_log_write(int32_t part_count, struct ot_writer *out)
{
	ot_write_i16(out, ETCD_FORMAT);
	ot_write_i32(out, part_count);
}

/* Opens a value; what a newer release wrote is not looked into. */
static ot_err
value_open(struct ot_bytes value, struct ot_reader *ret_in)
{
	int16_t version;

	*ret_in = ot_reader_of(value.data, (size_t)OT_MAX(value.len, 0));
	version = ot_read_i16(ret_in);
	if (ret_in->failed || version < 1)
		return OT_ERR_MALFORMED;
	return version > ETCD_FORMAT ? OT_ERR_UNSUPPORTED_VERSION : OT_OK;
}

static ot_err
value_close(const struct ot_reader *in)
{
	return in->failed || ot_reader_left(in) > 0 ? OT_ERR_MALFORMED : OT_OK;
}

ot_err
etcd_head_read(struct ot_bytes value, struct etcd_head *ret_head)
{
	struct ot_reader in;
	struct etcd_head head;
	ot_err err = value_open(value, &in);

	if (err != OT_OK)
		return err;
	head.next_offset = ot_read_i64(&in);
	head.epoch = ot_read_i32(&in);
	head.write_id = (uint64_t)ot_read_i64(&in);
	if (head.next_offset < 0 || head.epoch < 0)
		return OT_ERR_MALFORMED;
	err = value_close(&in);
	if (err == OT_OK)
		*ret_head = head;
	return err;
}

ot_err
etcd_leader_read(struct ot_bytes value, struct etcd_leader *ret_leader)
{
	struct ot_reader in;
	struct etcd_leader leader;
	const uint8_t *host;
	int16_t host_bytes;
	ot_err err = value_open(value, &in);

	if (err != OT_OK)
		return err;
	leader.node_id = ot_read_i32(&in);
	leader.epoch = ot_read_i32(&in);
	leader.directory = ot_read_uuid(&in);
	leader.port = (uint16_t)ot_read_i16(&in);
	host_bytes = ot_read_i16(&in);
	if (host_bytes < 0 || (size_t)host_bytes >= sizeof(leader.host))
		return OT_ERR_MALFORMED;
	host = ot_read_raw(&in, (size_t)host_bytes);
	err = value_close(&in);
	if (err != OT_OK)
		return err;
	memcpy(leader.host, host, (size_t)host_bytes);
	leader.host[host_bytes] = '\0';
	*ret_leader = leader;
	return OT_OK;
}

ot_err
etcd_snapshot_read(struct ot_bytes value, struct etcd_snapshot *ret_snapshot)
{
	struct ot_reader in;
	struct etcd_snapshot snapshot;
	ot_err err = value_open(value, &in);

	if (err != OT_OK)
		return err;
	snapshot.id.end_offset = ot_read_i64(&in);
	snapshot.id.epoch = ot_read_i32(&in);
	snapshot.timestamp = ot_read_i64(&in);
	snapshot.piece_count = ot_read_i32(&in);
	if (snapshot.id.end_offset < 0 || snapshot.piece_count < 0)
		return OT_ERR_MALFORMED;
	err = value_close(&in);
	if (err == OT_OK)
		*ret_snapshot = snapshot;
	return err;
}

ot_err
etcd_log_read(struct ot_bytes value, int32_t *ret_part_count, struct ot_bytes *ret_batches)
{
	struct ot_reader in;
	int32_t part_count;
	ot_err err = value_open(value, &in);

	if (err != OT_OK)
		return err;
	part_count = ot_read_i32(&in);
	if (in.failed || part_count < 0)
		return OT_ERR_MALFORMED;
	*ret_part_count = part_count;
	*ret_batches = (struct ot_bytes){ in.next, (int32_t)ot_reader_left(&in) };
	return OT_OK;
}
