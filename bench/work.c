#include "work.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "meter.h"
#include "probe.h"
#include "record/build.h"
#include "rpc.h"
#include "wire/api.h"
#include "wire/msg_api_versions.h"
#include "wire/msg_fetch.h"
#include "wire/msg_metadata.h"
#include "wire/msg_produce.h"

enum {
	PRODUCE_VERSION = 11,
	FETCH_VERSION = 16,
	API_VERSIONS_VERSION = 3,
	METADATA_VERSION = 12,
	TIMEOUT_MS = 30 * 1000,
	KEY_AT = 4,
	VERSION_AT = 6,
	CORRELATION_AT = 8,
};

/* A mark that the encoder writes as the offset, to find where the offset stands. */
static const int64_t OFFSET_MARK = 0x5ca1ab1edeadbea7;

static void
make_batch(struct work *work, struct ot_writer *out)
{
	uint8_t value[WORK_RECORD_BYTES];
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(' ' + i * 7 % 95);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct ot_record_data record = {
		.timestamp = (int64_t)now.tv_sec * 1000,
		.key = OT_BYTES_NULL,
		.value = { value, sizeof(value) },
	};
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_batch_builder builder;
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, out);
	do {
		ot_batch_builder_append(&builder, &record);
	} while (ot_batch_builder_bytes(&builder) + ot_record_data_bytes_max(&record) <=
		 work->options.batch_bytes);
	struct ot_batch_info info;
	ot_err err = ot_batch_builder_finish(&builder, &info);
	if (err != OT_OK)
		meter_die("cannot build a batch: %s", ot_err_name(err));
	ot_batch_builder_fini(&builder);
	work->batch_bytes = info.bytes;
	work->batch_records = info.record_count;
}

static void
write_produce(const struct work *work, int32_t partition, struct ot_records batch,
    struct ot_writer *out)
{
	struct ot_produce_request_partition part;
	ot_produce_request_partition_init(&part);
	part.index = partition;
	part.records = batch;
	struct ot_produce_request_topic topic;
	ot_produce_request_topic_init(&topic);
	topic.name = ot_str_from(work->options.topic);
	topic.partition_data = &part;
	topic.partition_data_count = 1;
	struct ot_produce_request request;
	ot_produce_request_init(&request);
	request.acks = (int16_t)work->options.acks;
	request.timeout_ms = TIMEOUT_MS;
	request.topic_data = &topic;
	request.topic_data_count = 1;
	rpc_write_request(ot_api_find(OT_API_PRODUCE), PRODUCE_VERSION, 0, &request, out);
}

static void
write_fetch(const struct work *work, int32_t partition, struct ot_writer *out)
{
	struct ot_fetch_request_partition part;
	ot_fetch_request_partition_init(&part);
	part.partition = partition;
	part.fetch_offset = OFFSET_MARK;
	part.partition_max_bytes = (int32_t)work->payload_bytes;
	struct ot_fetch_request_topic topic;
	ot_fetch_request_topic_init(&topic);
	topic.topic_id = work->options.topic_id;
	topic.partitions = &part;
	topic.partitions_count = 1;
	struct ot_fetch_request request;
	ot_fetch_request_init(&request);
	request.max_wait_ms = TIMEOUT_MS;
	request.min_bytes = 1;
	request.topics = &topic;
	request.topics_count = 1;
	rpc_write_request(ot_api_find(OT_API_FETCH), FETCH_VERSION, 0, &request, out);
}

static void
write_ping(const struct work *work, struct ot_writer *out)
{
	if (work->options.ping_key == OT_API_API_VERSIONS) {
		struct ot_api_versions_request request;
		ot_api_versions_request_init(&request);
		request.client_software_name = OT_STR_LIT("bench");
		request.client_software_version = OT_STR_LIT("1");
		rpc_write_request(ot_api_find(OT_API_API_VERSIONS), API_VERSIONS_VERSION, 0,
		    &request, out);
		return;
	}
	struct ot_metadata_request_topic topic;
	ot_metadata_request_topic_init(&topic);
	topic.name = ot_str_from(work->options.topic);
	struct ot_metadata_request request;
	ot_metadata_request_init(&request);
	request.topics = &topic;
	request.topics_count = 1;
	rpc_write_request(ot_api_find(OT_API_METADATA), METADATA_VERSION, 0, &request, out);
}

/* The place of `size` bytes in a frame; every frame made here has them. */
static size_t
find(const struct ot_writer *frame, const void *bytes, size_t size)
{
	const uint8_t *at = memmem(frame->data, frame->bytes, bytes, size);
	if (at == NULL)
		meter_die("a request lacks what it was made of");
	return (size_t)(at - frame->data);
}

/* Turns a request to a broker into one to the probe: see probe.c. */
static void
patch_for_probe(const struct work *work, int32_t partition, size_t place, uint8_t *head)
{
	uint16_t key = ot_get_u16(head + KEY_AT);
	ot_put_u16(head + KEY_AT, (uint16_t)(work->is_answered ? key : key + PROBE_QUIET));
	ot_put_u16(head + VERSION_AT, (uint16_t)place);
	ot_put_u16(head + PROBE_PARTITION_AT, (uint16_t)partition);
}

static void
add_head(struct work *work, int32_t partition, const struct ot_writer *frame, size_t place)
{
	if (work->heads == NULL) {
		work->head_bytes = work->options.kind == WORK_PRODUCE ? place : frame->bytes;
		work->heads =
		    ot_must_alloc(work->head_bytes * (size_t)work->options.partition_count);
		work->body_bytes = frame->bytes - work->head_bytes;
		work->body = ot_must_alloc(work->body_bytes);
		memcpy(work->body, frame->data + work->head_bytes, work->body_bytes);
		work->offset_at = place;
	}
	uint8_t *head = work->heads + (size_t)partition * work->head_bytes;
	memcpy(head, frame->data, work->head_bytes);
	if (work->options.is_probe)
		patch_for_probe(work, partition, place, head);
}

static void
make_heads(struct work *work, const struct ot_writer *batch)
{
	struct ot_records records = { .data = batch->data, .len = (int32_t)batch->bytes };
	uint8_t mark[8];
	ot_put_u64(mark, (uint64_t)OFFSET_MARK);
	struct ot_writer frame;
	ot_writer_init(&frame);
	for (int32_t i = 0; i < work->options.partition_count; i++) {
		size_t place = 0;
		ot_writer_reset(&frame);
		switch (work->options.kind) {
		case WORK_PRODUCE:
			write_produce(work, i, records, &frame);
			place = find(&frame, batch->data, batch->bytes);
			break;
		case WORK_FETCH:
			write_fetch(work, i, &frame);
			place = find(&frame, mark, sizeof(mark));
			break;
		case WORK_PING:
			write_ping(work, &frame);
			break;
		}
		add_head(work, i, &frame, place);
	}
	ot_writer_fini(&frame);
}

void
work_init(struct work *work, const struct work_options *options)
{
	*work = (struct work){ .options = *options };
	work->is_answered = options->kind != WORK_PRODUCE || options->acks != 0;
	struct ot_writer batch;
	ot_writer_init(&batch);
	make_batch(work, &batch);
	work->answer_batches =
	    OT_MAX((int64_t)options->answer_bytes / (int64_t)work->batch_bytes, 1);
	if (options->kind == WORK_PRODUCE) {
		work->payload_bytes = work->batch_bytes;
		work->records = work->batch_records;
	} else if (options->kind == WORK_FETCH) {
		work->payload_bytes = work->batch_bytes * (size_t)work->answer_batches;
		work->records = work->batch_records * work->answer_batches;
	}
	make_heads(work, &batch);
	ot_writer_fini(&batch);
}

void
work_fini(struct work *work)
{
	ot_free(work->heads);
	ot_free(work->body);
}

static int32_t
partition_of(const struct work *work, int32_t conn, uint64_t turn)
{
	return (int32_t)(((uint64_t)conn + turn) % (uint64_t)work->options.partition_count);
}

/* Which batch of its partition a fetch asks for first. Connections begin at different places. */
static int64_t
batch_of(const struct work *work, int32_t conn, uint64_t turn)
{
	uint64_t answers =
	    (uint64_t)OT_MAX(work->options.part_batch_count / work->answer_batches, 1);
	uint64_t round = turn / (uint64_t)work->options.partition_count + (uint64_t)conn * 7;
	return (int64_t)(round % answers) * work->answer_batches;
}

/* The probe is told a place in its file, of which several connections read different parts. */
static int64_t
probe_position(const struct work *work, int32_t conn, uint64_t turn)
{
	uint64_t answers = PROBE_FETCH_FILE_BYTES / work->payload_bytes;
	return (int64_t)((turn + (uint64_t)conn * 7) % answers * work->payload_bytes);
}

void
work_ask(const struct work *work, int32_t conn, uint64_t turn, uint8_t *ret_head)
{
	size_t partition = (size_t)partition_of(work, conn, turn);
	memcpy(ret_head, work->heads + partition * work->head_bytes, work->head_bytes);
	ot_put_u32(ret_head + CORRELATION_AT, (uint32_t)turn);
	if (work->options.kind != WORK_FETCH)
		return;
	int64_t offset = work->options.is_probe ? probe_position(work, conn, turn)
	                                        : batch_of(work, conn, turn) * work->batch_records;
	ot_put_u64(ret_head + work->offset_at, (uint64_t)offset);
}

/* A compact array of one element, as all answers here have. */
static bool
read_one(struct ot_reader *in)
{
	return ot_read_uvarint(in) == 2;
}

/* Produce 9 to 12, up to the error code. */
static bool
judge_produce(struct ot_reader *in)
{
	ot_read_i32(in); /* length */
	ot_read_i32(in); /* correlation id */
	ot_read_i8(in);  /* tagged fields of the header */
	if (!read_one(in))
		return false;
	ot_read_raw(in, ot_read_uvarint(in) - 1); /* the topic's name */
	if (!read_one(in))
		return false;
	ot_read_i32(in); /* partition */
	return ot_read_i16(in) == 0;
}

/* Fetch 13 to 17. */
int64_t
work_read_fetch(struct ot_reader *in)
{
	ot_read_i32(in); /* length */
	ot_read_i32(in); /* correlation id */
	ot_read_i8(in);  /* tagged fields of the header */
	ot_read_i32(in); /* throttle time */
	if (ot_read_i16(in) != 0)
		return -1;
	ot_read_i32(in); /* session */
	if (!read_one(in))
		return -1;
	ot_read_uuid(in);
	if (!read_one(in))
		return -1;
	ot_read_i32(in); /* partition */
	if (ot_read_i16(in) != 0)
		return -1;
	ot_read_i64(in); /* high watermark */
	ot_read_i64(in); /* last stable offset */
	ot_read_i64(in); /* log start */
	if (ot_read_uvarint(in) > 1)
		return -1; /* aborted transactions: there are none */
	ot_read_i32(in);   /* preferred replica */
	return (int64_t)ot_read_uvarint(in) - 1;
}

bool
work_judge(const struct work *work, uint64_t turn, struct ot_bytes head, size_t frame_bytes)
{
	if ((uint32_t)ot_get_u32(head.data + 4) != (uint32_t)turn)
		return false;
	if (work->options.is_probe) {
		bool is_fetch = work->options.kind == WORK_FETCH;
		return frame_bytes == PROBE_ANSWER_BYTES + (is_fetch ? work->payload_bytes : 0);
	}
	struct ot_reader in = ot_reader_of(head.data, (size_t)head.len);
	switch (work->options.kind) {
	case WORK_PRODUCE:
		return judge_produce(&in) && !in.failed;
	case WORK_FETCH:
		return work_read_fetch(&in) == (int64_t)work->payload_bytes && !in.failed;
	case WORK_PING:
		break;
	}
	return true;
}
