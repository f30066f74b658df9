/* Goal: every implementation of io/io.h behaves alike towards the code above it: the bytes of
 * connections, files sent on them, and their ends.
 *
 * Method: each test runs on every stage of stage.h. */
#include "stage.h"

/* ---- bytes ------------------------------------------------------------------------------ */

enum { MANY = 400 * 1000 };

static uint8_t *
make_bytes(size_t bytes)
{
	uint8_t *data = ot_must_alloc(bytes);
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
	return data;
}

struct both {
	struct peer *a;
	struct peer *b;
};

static bool
have_both_got_all(void *arg)
{
	struct both *both = arg;
	return has_got_all(both->a) && has_got_all(both->b);
}

/* All bytes arrive both ways, once and in order. */
static void
both_ways_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY), *there = ot_must_alloc(MANY), *back = ot_must_alloc(MANY);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	peer_get_into(&pair.server, there, MANY);
	peer_get_into(&pair.client, back, MANY - 1);
	peer_send(&pair.client, data, MANY);
	peer_send(&pair.server, data + 1, MANY - 1);
	struct both both = { &pair.server, &pair.client };
	run_until(stage, have_both_got_all, &both);
	assert_memory_equal(there, data, MANY);
	assert_memory_equal(back, data + 1, MANY - 1);
	pair_close(&pair);
	ot_free(data);
	ot_free(there);
	ot_free(back);
}

static void
test_bytes_both_ways(void **state)
{
	on_stage(state, both_ways_body);
}

static bool
is_stuck(void *arg)
{
	return ((const struct peer *)arg)->was_again;
}

/* A reader that does not want to read gets no event, and holds its sender back; when it wants again
 * all is there. */
static void
backpressure_body(struct stage *stage)
{
	enum { FLOOD = 24 * 1000 * 1000 };
	uint8_t *data = make_bytes(FLOOD), *got = ot_must_alloc(FLOOD);
	struct pair pair = { 0 };
	size_t bytes = stage->world != NULL ? MANY : FLOOD;
	pair_open(&pair, stage);
	peer_send(&pair.client, data, bytes);
	run_until(stage, is_stuck, &pair.client);
	run_for_ms(stage, 20);
	assert_int_equal(pair.server.readable_count, 0);
	assert_true(pair.client.sent < bytes);
	peer_get_into(&pair.server, got, bytes);
	run_until(stage, has_got_all, &pair.server);
	assert_memory_equal(got, data, bytes);
	assert_int_equal(pair.client.readable_count, 0);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_backpressure(void **state)
{
	on_stage(state, backpressure_body);
}

/* Whoever reads little per event is called again until all is read, and then told the end. */
static void
small_reads_body(struct stage *stage)
{
	enum { BYTES = 20000 };
	uint8_t *data = make_bytes(BYTES), *got = ot_must_alloc(BYTES);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	pair.server.read_bytes_most = 100;
	peer_get_into(&pair.server, got, BYTES);
	pair.client.closes_when_sent = true;
	peer_send(&pair.client, data, BYTES);
	run_until(stage, has_ended, &pair.server);
	assert_int_equal(pair.server.got_bytes, BYTES);
	assert_memory_equal(got, data, BYTES);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_the_end_comes_after_all_bytes(void **state)
{
	on_stage(state, small_reads_body);
}

/* The same when the connection breaks instead of ending: some bytes may be lost, the news not. */
static void
small_reads_of_a_broken_body(struct stage *stage)
{
	enum { BYTES = 500 }; /* less than any window */
	uint8_t *data = make_bytes(BYTES), *got = ot_must_alloc(BYTES);
	uint8_t scrap[1];
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	/* What the client gets and does not read makes its close a reset. */
	peer_get_into(&pair.client, scrap, 0);
	ot_stream_want(pair.client.stream, false, false);
	peer_send(&pair.server, data, 100);
	run_for_ms(stage, 200);
	pair.client.got = NULL;
	pair.client.closes_when_sent = true;
	peer_send(&pair.client, data, BYTES);
	run_for_ms(stage, 200);
	assert_null(pair.client.stream);
	pair.server.read_bytes_most = 10;
	peer_get_into(&pair.server, got, BYTES);
	run_until(stage, has_ended, &pair.server);
	assert_memory_equal(got, data, pair.server.got_bytes);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_a_broken_connection_is_told_to_slow_readers(void **state)
{
	on_stage(state, small_reads_of_a_broken_body);
}

/* Writing to a peer that is gone says so, after a while. */
static void
write_to_the_gone_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY);
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	ot_stream_close(pair.server.stream);
	pair.server.stream = NULL;
	peer_send(&pair.client, data, MANY);
	run_until(stage, is_connection_over, &pair.client);
	for (int i = 0; i < 1000 && !pair.client.has_ended; i++) {
		run_for_ms(stage, 5);
		peer_send(&pair.client, data, MANY);
	}
	assert_true(pair.client.has_ended);
	pair_close(&pair);
	ot_free(data);
}

static void
test_writing_to_who_is_gone(void **state)
{
	on_stage(state, write_to_the_gone_body);
}

/* "More follows" delays bytes at most for a while. */
static void
more_follows_body(struct stage *stage)
{
	uint8_t got[8] = { 0 };
	struct pair pair = { 0 };
	pair_open(&pair, stage);
	peer_get_into(&pair.server, got, 6);
	run_until(stage, is_connection_over, &pair.client);
	struct iovec piece = { .iov_base = "abc", .iov_len = 3 };
	for (int i = 0; i < 2; i++) {
		size_t sent = 0;
		while (sent < 3) {
			struct iovec rest = { .iov_base = (char *)piece.iov_base + sent,
				.iov_len = 3 - sent };
			size_t bytes = 0;
			assert_ok(ot_stream_write(pair.client.stream, &rest, 1, true, &bytes));
			sent += bytes;
		}
	}
	run_until(stage, has_got_all, &pair.server);
	assert_memory_equal(got, "abcabc", 6);
	pair_close(&pair);
}

static void
test_more_follows(void **state)
{
	on_stage(state, more_follows_body);
}

/* ---- files ------------------------------------------------------------------------------ */

struct file_sender {
	struct ot_stream *stream;
	struct ot_file *file;
	uint64_t place;
	uint64_t until;
	ot_err err;
	bool is_over;
};

static void
send_on_writable(void *arg)
{
	struct file_sender *sender = arg;
	while (sender->place < sender->until) {
		size_t bytes = 0;
		sender->err = ot_stream_send_file(sender->stream, sender->file, sender->place,
		    (size_t)(sender->until - sender->place), &bytes);
		if (sender->err == OT_ERR_AGAIN)
			return;
		if (sender->err != OT_OK)
			break;
		sender->place += bytes;
	}
	sender->is_over = true;
	ot_stream_want(sender->stream, false, false);
}

static void
no_event(void *arg)
{
	(void)arg;
}

static const struct ot_stream_events sender_events = { no_event, send_on_writable };

static struct ot_file *
make_file(struct stage *stage, const uint8_t *data, size_t bytes)
{
	const char *path = stage->world != NULL ? "/f" : "ottla-io-contract.tmp";
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	assert_ok(ot_fs_open(stage->server->fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE, &file));
	assert_ok(ot_fs_remove(stage->server->fs, path));
	assert_ok(ot_file_write(file, &piece, 1, 0));
	return file;
}

/* A range of a file goes out whole; one that ends behind the file's end fails at that end. */
static void
send_file_body(struct stage *stage)
{
	uint8_t *data = make_bytes(MANY), *got = ot_must_alloc(MANY);
	struct pair pair = { 0 };
	struct file_sender sender = { .place = 100, .until = MANY };
	pair_connect(&pair, stage);
	sender.file = make_file(stage, data, MANY);
	assert_ok(
	    ot_io_adopt(stage->server, &pair.accepted, &sender_events, &sender, &sender.stream));
	ot_stream_want(sender.stream, false, true);
	peer_get_into(&pair.client, got, MANY - 100);
	run_until(stage, is_true, &sender.is_over);
	assert_ok(sender.err);
	run_until(stage, has_got_all, &pair.client);
	assert_memory_equal(got, data + 100, MANY - 100);
	sender.until = MANY + 1;
	sender.is_over = false;
	ot_stream_want(sender.stream, false, true);
	run_until(stage, is_true, &sender.is_over);
	assert_int_equal(sender.err, OT_ERR_IO);
	ot_stream_close(sender.stream);
	ot_file_unref(sender.file);
	pair_close(&pair);
	ot_free(data);
	ot_free(got);
}

static void
test_sending_files(void **state)
{
	on_stage(state, send_file_body);
}

/* ---- closing ---------------------------------------------------------------------------- */

struct closer {
	struct ot_stream *stream;
	struct closer *other;
	unsigned count;
	bool is_over;
};

static void
close_both(void *arg)
{
	struct closer *closer = arg;
	assert_non_null(closer->stream);
	closer->count++;
	ot_stream_close(closer->stream);
	ot_stream_close(closer->other->stream);
	closer->stream = closer->other->stream = NULL;
	closer->is_over = closer->other->is_over = true;
}

static const struct ot_stream_events closer_events = { close_both, close_both };

/* Streams that are closed in a callback, their own or another's, get no event afterwards, not even
 * one that is due in the same turn. */
static void
close_in_callback_body(struct stage *stage)
{
	struct pair pair = { 0 };
	struct closer server = { 0 }, client = { 0 };
	pair.stage = stage;
	assert_ok(
	    ot_io_listen(stage->server, stage->address, 0, pair_on_accept, &pair, &pair.listener));
	struct ot_address address = address_of(stage, ot_listener_port(pair.listener));
	assert_ok(ot_io_connect(stage->client, &address, &closer_events, &client, &client.stream));
	ot_stream_want(client.stream, false, false);
	run_until(stage, is_true, &pair.is_accepted);
	assert_ok(
	    ot_io_adopt(stage->server, &pair.accepted, &closer_events, &server, &server.stream));
	client.other = &server;
	server.other = &client;
	run_for_ms(stage, 10);
	ot_stream_want(server.stream, true, true);
	ot_stream_want(client.stream, true, true);
	run_until(stage, is_true, &client.is_over);
	run_for_ms(stage, 20);
	assert_int_equal(client.count + server.count, 1);
	ot_listener_close(pair.listener);
	ot_stream_close(NULL);
}

static void
test_closing_in_a_callback(void **state)
{
	on_stage(state, close_in_callback_body);
}

/* An accepted connection may be adopted by another thread of the process. */
static void
other_thread_body(struct stage *stage)
{
	struct pair pair = { 0 };
	struct ot_io *other = NULL;
	uint8_t got[5] = { 0 };
	pair_connect(&pair, stage);
	if (stage->world != NULL)
		other = ot_sim_io_create(ot_sim_io_host(stage->server));
	else
		assert_ok(ot_loop_create(&other));
	assert_ok(
	    ot_io_adopt(other, &pair.accepted, &peer_events, &pair.server, &pair.server.stream));
	assert_ptr_equal(pair.server.stream->io, other);
	peer_get_into(&pair.server, got, sizeof(got));
	peer_send(&pair.client, "hello", 5);
	run_until(stage, is_connection_over, &pair.client);
	run_io_until(stage, other, has_got_all, &pair.server);
	assert_memory_equal(got, "hello", 5);
	ot_stream_close(pair.server.stream);
	pair.server.stream = NULL;
	pair_close(&pair);
	if (stage->world != NULL)
		ot_sim_io_destroy(other);
	else
		ot_loop_destroy(other);
}

static void
test_adopting_on_another_thread(void **state)
{
	on_stage(state, other_thread_body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(test_bytes_both_ways),
		ALL(test_backpressure),
		ALL(test_the_end_comes_after_all_bytes),
		ALL(test_a_broken_connection_is_told_to_slow_readers),
		ALL(test_writing_to_who_is_gone),
		ALL(test_more_follows),
		ALL(test_sending_files),
		ALL(test_closing_in_a_callback),
		ALL(test_adopting_on_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
