#include "latency.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "record/batch.h"
#include "rpc.h"
#include "work.h"

enum {
	ANSWER_BYTES_MAX = 4 * 1024 * 1024,
	CORRELATION_AT = 8,
	START_DELAY_MS = 20,
};

struct run {
	const struct latency_options *options;
	struct latency_result *result;
	struct work produce;
	struct work fetch;
	size_t due_at; /* in a batch: 8 bytes of the value that say when the record was due */
	int64_t warm_count;
	int64_t total_count;
	uint64_t start_ns;
	uint64_t step_ns;
	int producer;
	int consumer;
};

static uint64_t
due_ns(const struct run *run, int64_t record)
{
	return run->start_ns + (uint64_t)record * run->step_ns;
}

static void
sleep_until(uint64_t time_ns)
{
	struct timespec time = { .tv_sec = (time_t)(time_ns / 1000000000u),
		.tv_nsec = (long)(time_ns % 1000000000u) };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		continue;
}

/* The sender: one request per record, with the time at which it was due in its value. */
static void
send_records(struct run *run)
{
	const struct work *work = &run->produce;
	size_t bytes = work->head_bytes + work->body_bytes;
	uint8_t *frame = ot_must_alloc(bytes);
	uint8_t *batch = frame + work->head_bytes;
	memcpy(batch, work->body, work->body_bytes);
	for (int64_t i = 0; i < run->total_count; i++) {
		work_ask(work, 0, (uint64_t)i, frame);
		ot_put_u64(batch + run->due_at, due_ns(run, i));
		ot_put_u32(batch + OT_BATCH_CRC_AT,
		    ot_crc32c(0, batch + OT_BATCH_ATTRIBUTES_AT,
			work->batch_bytes - OT_BATCH_ATTRIBUTES_AT));
		sleep_until(due_ns(run, i));
		if (i == run->warm_count)
			run->result->start = meter_read(run->options->pid);
		if (!rpc_send_all(run->producer, frame, bytes))
			meter_die("the server ended the producer's connection");
	}
	run->result->end = meter_read(run->options->pid);
	ot_free(frame);
}

/* Receives one frame with its length into `frame`. */
static struct ot_reader
receive_frame(int fd, uint8_t *frame)
{
	if (!rpc_receive_all(fd, frame, 4))
		meter_die("no answer");
	size_t bytes = ot_get_u32(frame);
	if (bytes > ANSWER_BYTES_MAX - 4 || !rpc_receive_all(fd, frame + 4, bytes))
		meter_die("half an answer of %zu bytes", bytes);
	return ot_reader_of(frame, bytes + 4);
}

static void *
take_acks(void *arg)
{
	struct run *run = arg;
	uint8_t *frame = ot_must_alloc(ANSWER_BYTES_MAX);
	for (int64_t i = 0; i < run->total_count; i++) {
		struct ot_reader in = receive_frame(run->producer, frame);
		uint64_t now = meter_now_ns();
		struct ot_bytes head = { in.next, (int32_t)ot_reader_left(&in) };
		if (!work_judge(&run->produce, (uint64_t)i, head, (size_t)head.len))
			meter_die("record %lld was refused", (long long)i);
		if (i >= run->warm_count)
			hist_record(&run->result->ack_ns, now - due_ns(run, i));
	}
	ot_free(frame);
	return NULL;
}

/* Takes the whole batches of an answer, one record in each; returns the offset of the next. */
static int64_t
take_batches(struct run *run, struct ot_reader *in, int64_t next, uint64_t now)
{
	while (ot_reader_left(in) >= run->produce.batch_bytes) {
		const uint8_t *batch = ot_read_raw(in, run->produce.batch_bytes);
		if (ot_batch_base_offset(batch) != next)
			meter_die("record %lld where %lld was expected",
			    (long long)ot_batch_base_offset(batch), (long long)next);
		if (next >= run->warm_count)
			hist_record(&run->result->arrival_ns,
			    now - ot_get_u64(batch + run->due_at));
		next++;
	}
	return next;
}

static void *
consume(void *arg)
{
	struct run *run = arg;
	uint8_t *frame = ot_must_alloc(ANSWER_BYTES_MAX);
	uint8_t *request = ot_must_alloc(run->fetch.head_bytes);
	for (int64_t next = 0; next < run->total_count;) {
		memcpy(request, run->fetch.heads, run->fetch.head_bytes);
		ot_put_u32(request + CORRELATION_AT, (uint32_t)next);
		ot_put_u64(request + run->fetch.offset_at, (uint64_t)next);
		if (!rpc_send_all(run->consumer, request, run->fetch.head_bytes))
			meter_die("the server ended the consumer's connection");
		struct ot_reader in = receive_frame(run->consumer, frame);
		uint64_t now = meter_now_ns();
		int64_t bytes = work_read_fetch(&in);
		if (bytes < 0 || in.failed || (uint64_t)bytes > ot_reader_left(&in))
			meter_die("a bad answer to a fetch");
		in.end = in.next + bytes;
		next = take_batches(run, &in, next, now);
	}
	ot_free(request);
	ot_free(frame);
	return NULL;
}

static void
make_work(struct run *run)
{
	struct work_options options = { .kind = WORK_PRODUCE,
		.acks = run->options->acks,
		.topic = run->options->topic,
		.topic_id = run->options->topic_id,
		.partition_count = 1,
		.answer_bytes = ANSWER_BYTES_MAX / 2 };
	work_init(&run->produce, &options);
	options.kind = WORK_FETCH;
	work_init(&run->fetch, &options);
	/* The value is the end of the only record but for its count of headers, one byte. */
	run->due_at = run->produce.batch_bytes - 1 - WORK_RECORD_BYTES;
}

void
latency_run(const struct latency_options *options, struct latency_result *ret_result)
{
	struct run run = { .options = options, .result = ret_result };
	hist_reset(&ret_result->ack_ns);
	hist_reset(&ret_result->arrival_ns);
	run.step_ns = 1000000000u / (uint64_t)options->rate;
	run.warm_count = options->rate * options->warm_ms / 1000;
	run.total_count = run.warm_count + options->rate * options->window_ms / 1000;
	make_work(&run);
	run.producer = rpc_connect(options->port);
	run.consumer = rpc_connect(options->port);
	if (run.producer < 0 || run.consumer < 0)
		meter_die("cannot connect to port %d", options->port);

	prctl(PR_SET_TIMERSLACK, 1);
	run.start_ns = meter_now_ns() + START_DELAY_MS * 1000000u;
	pthread_t acks;
	pthread_t consumer;
	if (pthread_create(&acks, NULL, take_acks, &run) != 0 ||
	    pthread_create(&consumer, NULL, consume, &run) != 0)
		meter_die("cannot start a thread");
	send_records(&run);
	pthread_join(acks, NULL);
	pthread_join(consumer, NULL);
	close(run.producer);
	close(run.consumer);
	work_fini(&run.produce);
	work_fini(&run.fetch);
}
