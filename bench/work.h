/* What connections ask for: requests made once with the codec, then patched.
 *
 * All requests of a work have the same length. A request is a head, one for each partition, and a
 * body that all share: of Produce the batch and the few bytes behind it. Only the correlation id
 * differs from request to request, and in a Fetch the offset. The offset needs no answer to be
 * known: every partition holds the same number of equal batches, and each answer brings a fixed
 * number of them. So any number of requests can be under way, and the client spends nothing on
 * encoding.
 *
 * The same frames go to the probe, which reads two fields of the header in its own way (probe.c).
 *
 * A work does not change once it is made. @owner any thread   @blocks never
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "base/bytes.h"

enum work_kind {
	WORK_PRODUCE,
	WORK_FETCH,
	WORK_PING,
};

struct work_options {
	enum work_kind kind;
	bool is_probe;
	int acks;
	int ping_key;        /* API key of a ping: 18 ApiVersions, 3 Metadata */
	size_t batch_bytes;  /* of a batch at most, unless one record is more already */
	size_t answer_bytes; /* of a fetch at most, at least one batch */
	int32_t partition_count;
	int64_t part_batch_count; /* batches in each partition, for a fetch */
	const char *topic;
	struct ot_uuid topic_id;
};

struct work {
	struct work_options options;
	bool is_answered;  /* not with acks=0 */
	size_t head_bytes; /* of one head */
	uint8_t *heads;    /* partition_count of them */
	uint8_t *body;
	size_t body_bytes;
	size_t offset_at;   /* of a fetch: where the offset stands in a head */
	size_t batch_bytes; /* of one batch as it is */
	int32_t batch_records;
	int64_t answer_batches; /* that the answer to a fetch brings */
	size_t payload_bytes;   /* of records that a request or its answer carries */
	int64_t records;        /* the same, counted */
};

enum {
	WORK_RECORD_BYTES = 100, /* of a record's value */

	/* Of an answer, what work_judge() must see, at most. */
	WORK_ANSWER_HEAD_BYTES = 400,
};

void work_init(struct work *work, const struct work_options *options);
void work_fini(struct work *work);

/* Writes the head of the turn-th request of a connection to `ret_head`. */
void work_ask(const struct work *work, int32_t conn, uint64_t turn, uint8_t *ret_head);

/* Whether that is a good answer to the turn-th request of a connection. `head` is its beginning,
 * all of it or WORK_ANSWER_HEAD_BYTES, `frame_bytes` its length with the length field. */
bool work_judge(const struct work *work, uint64_t turn, struct ot_bytes head, size_t frame_bytes);

/* Reads the beginning of an answer to a fetch of one partition, its length first, up to the
 * records. Returns their length, or -1 when the answer is not such a one or has an error. */
int64_t work_read_fetch(struct ot_reader *in);

#endif
