#include "cli/replica_check_int.h"

#include <string.h>

#include "cli/date_format_int.h"
#include "record/batch.h"

const char *
cli_replica_date(ot_wall_ms now, char *room, size_t room_bytes)
{
	struct ot_text text = { .data = room, .bytes_max = room_bytes };
	date_format_put("yyyy-MM-dd HH:mm:ss,SSS", now, &text);
	return room;
}

int64_t
cli_replica_high_watermark(const struct cli_replica_check *check)
{
	int64_t highest = -1;
	for (int32_t i = 0; i < check->replica_count; i++) {
		if (check->replicas[i].is_there)
			highest = OT_MAX(highest, check->replicas[i].high_watermark);
	}
	return highest;
}

/* A batch as a replica has it. */
struct piece {
	const uint8_t *data;
	size_t bytes;
	int64_t last_offset;
	uint32_t crc;
};

/* The replica's next whole batch below its high watermark; false when there is none. Batches that
 * end before what is compared, which the first answer may begin with, are left out. */
static bool
next_piece(struct cli_replica_answer *replica, int64_t from, struct piece *ret_piece)
{
	for (;;) {
		struct ot_batch_peek peek;
		struct ot_batch_info info = { 0 };
		const uint8_t *data = replica->records.data;
		size_t bytes = (size_t)replica->records.len;
		if (!replica->is_there || ot_batch_peek(data, bytes, &peek) != OT_OK ||
		    peek.bytes > bytes)
			return false;
		struct piece piece = { data, peek.bytes, peek.offset, 0 };
		if (peek.magic == OT_MAGIC_V2) {
			if (ot_batch_parse(data, bytes, &info, NULL) != OT_OK)
				return false;
			piece.last_offset = ot_batch_info_last_offset(&info);
			piece.crc = info.crc;
		} else if (bytes >=
			   16) { /* of one message: the checksum stands behind the length */
			piece.crc = (uint32_t)data[12] << 24 | (uint32_t)data[13] << 16 |
			            (uint32_t)data[14] << 8 | data[15];
		}
		if (piece.last_offset >= replica->high_watermark)
			return false;
		replica->records.data += peek.bytes;
		replica->records.len -= (int32_t)peek.bytes;
		if (piece.last_offset < from)
			continue;
		*ret_piece = piece;
		return true;
	}
}

/* Compares a replica's batch with that of the first. */
static enum cli_replica_verdict
compare_pieces(const struct cli_replica_check *check, const struct cli_replica_answer *replica,
    const struct piece *first, const struct piece *piece, ot_wall_ms now, FILE *out)
{
	char date[64] = "";
	const struct cli_partition_name *name = &check->name;
	int32_t first_broker = check->replicas[0].broker;
	if (piece->last_offset != first->last_offset) {
		fprintf(out,
		    "%s: partition %.*s-%d: replica %d's offset %lld doesn't match replica %d's "
		    "offset %lld\n",
		    cli_replica_date(now, date, sizeof(date)), OT_STR_ARG(name->topic), name->index,
		    first_broker, (long long)first->last_offset, replica->broker,
		    (long long)piece->last_offset);
		return CLI_REPLICAS_MISALIGNED;
	}
	if (piece->crc != first->crc) {
		fprintf(out,
		    "%s: partition %.*s-%d has unmatched checksum at offset %lld; replica %d's "
		    "checksum %u; replica %d's checksum %u\n",
		    cli_replica_date(now, date, sizeof(date)), OT_STR_ARG(name->topic), name->index,
		    (long long)piece->last_offset, first_broker, first->crc, replica->broker,
		    piece->crc);
		return CLI_REPLICAS_DIFFER;
	}
	/* The checksum is the one that was written once: it does not change with the records. */
	if (piece->bytes != first->bytes || memcmp(piece->data, first->data, piece->bytes) != 0) {
		fprintf(out,
		    "%s: partition %.*s-%d has unmatched records at offset %lld; replica %d's "
		    "and replica %d's checksum is %u\n",
		    cli_replica_date(now, date, sizeof(date)), OT_STR_ARG(name->topic), name->index,
		    (long long)piece->last_offset, first_broker, replica->broker, piece->crc);
		return CLI_REPLICAS_DIFFER;
	}
	return CLI_REPLICAS_AGREE;
}

enum cli_replica_verdict
cli_replica_compare(struct cli_replica_check *check, ot_wall_ms now, FILE *out)
{
	enum cli_replica_verdict verdict = CLI_REPLICAS_AGREE;
	for (;;) {
		struct piece first = { 0 };
		for (int32_t i = 0; i < check->replica_count; i++) {
			struct cli_replica_answer *replica = &check->replicas[i];
			struct piece piece = { 0 };
			if (!next_piece(replica, check->offset, &piece))
				return verdict;
			if (i == 0)
				first = piece;
			enum cli_replica_verdict one =
			    compare_pieces(check, replica, &first, &piece, now, out);
			if (one == CLI_REPLICAS_MISALIGNED)
				return one;
			if (one != CLI_REPLICAS_AGREE)
				verdict = one;
		}
		if (check->replica_count == 0)
			return verdict;
		check->offset = first.last_offset + 1;
	}
}
