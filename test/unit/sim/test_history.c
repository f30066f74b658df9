/* Goal: the parts of the simulator together carry a program through faults, the same way each time.
 *
 * Method: a little server that appends numbers to a file, syncs it in a job and acknowledges; two
 * clients that send numbers and remember what was acknowledged; and a scenario that crashes,
 * freezes, cuts and jumps by seed. After the faults, calm: everything acknowledged must be in the
 * file, new numbers must get through, and one seed must give one trace. A server that does not sync
 * must be caught: the check can fail. */
#include "../test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "sim/sim_io.h"

enum {
	SEEDS = 25,
	PORT = 9092,
	CLIENTS = 2,
	CONNS_MAX = 64,
	NUMBERS_MAX = 100000,
	FAULTY_MS = 20000,
	CALM_MS = 10000,
};

struct server;

struct server_conn {
	struct server *server;
	struct ot_stream *stream; /* NULL: free */
	uint8_t in[8];
	size_t in_bytes;
	uint64_t unsynced; /* the number that waits for a sync; 0: none */
	uint64_t syncing;
};

struct server {
	struct ot_sim_host *host;
	struct ot_io *io; /* NULL: down */
	struct ot_listener *listener;
	struct ot_file *file;
	uint64_t place;
	struct ot_job sync;
	bool is_syncing;
	bool is_sloppy; /* acknowledges without a sync */
	ot_err sync_err;
	struct server_conn conns[CONNS_MAX];
};

struct client {
	struct ot_io *io;
	struct ot_stream *stream;
	struct ot_timer timer;
	uint64_t number; /* the one that is sent and not acknowledged */
	uint64_t step;
	bool is_sent;
	bool *is_acked;
	uint64_t acked_count;
	uint8_t in[8];
	size_t in_bytes;
};

struct town {
	struct ot_sim_world *world;
	struct server server;
	struct client clients[CLIENTS];
	struct ot_sim_host *client_hosts[CLIENTS];
	bool is_acked[NUMBERS_MAX];
	bool is_calm;
};

/* ---- the server ------------------------------------------------------------------------- */

static void
conn_close(struct server_conn *conn)
{
	ot_stream_close(conn->stream);
	*conn = (struct server_conn){ .server = conn->server };
}

/* An answer that finds no room is dropped: the client sends again. */
static void
acknowledge(struct server_conn *conn, uint64_t number)
{
	struct iovec piece = { .iov_base = &number, .iov_len = sizeof(number) };
	size_t bytes = 0;
	ot_err err = ot_stream_write(conn->stream, &piece, 1, false, &bytes);
	if (err != OT_OK || bytes != sizeof(number))
		conn_close(conn);
}

static void
server_sync_work(struct ot_job *job)
{
	struct server *server = OT_CONTAINER_OF(job, struct server, sync);
	server->sync_err = server->is_sloppy ? OT_OK : ot_file_sync(server->file);
}

static void server_sync_soon(struct server *server);

static void
server_sync_done(struct ot_job *job)
{
	struct server *server = OT_CONTAINER_OF(job, struct server, sync);
	server->is_syncing = false;
	for (int i = 0; i < CONNS_MAX; i++) {
		struct server_conn *conn = &server->conns[i];
		if (conn->stream == NULL || conn->syncing == 0)
			continue;
		uint64_t number = conn->syncing;
		conn->syncing = 0;
		if (server->sync_err == OT_OK)
			acknowledge(conn, number);
		else
			conn_close(conn);
	}
	server_sync_soon(server);
}

static void
server_sync_soon(struct server *server)
{
	bool is_due = false;
	for (int i = 0; i < CONNS_MAX && !server->is_syncing; i++) {
		struct server_conn *conn = &server->conns[i];
		is_due = is_due || conn->unsynced != 0;
		conn->syncing = conn->unsynced;
		conn->unsynced = 0;
	}
	if (!is_due)
		return;
	server->is_syncing = true;
	ot_io_submit(server->io, &server->sync);
}

static void
server_append(struct server_conn *conn, uint64_t number)
{
	struct server *server = conn->server;
	struct iovec piece = { .iov_base = &number, .iov_len = sizeof(number) };
	if (ot_file_write(server->file, &piece, 1, server->place) != OT_OK) {
		conn_close(conn);
		return;
	}
	server->place += sizeof(number);
	conn->unsynced = number;
	server_sync_soon(server);
}

static void
conn_on_readable(void *arg)
{
	struct server_conn *conn = arg;
	struct iovec piece = { .iov_base = conn->in + conn->in_bytes,
		.iov_len = sizeof(conn->in) - conn->in_bytes };
	size_t bytes = 0;
	ot_err err = ot_stream_read(conn->stream, &piece, 1, &bytes);
	if (err == OT_ERR_CLOSED)
		conn_close(conn);
	if (err != OT_OK)
		return;
	conn->in_bytes += bytes;
	if (conn->in_bytes < sizeof(conn->in))
		return;
	uint64_t number;
	memcpy(&number, conn->in, sizeof(number));
	conn->in_bytes = 0;
	server_append(conn, number);
}

static void
ignore_event(void *arg)
{
	(void)arg;
}

static const struct ot_stream_events conn_events = { conn_on_readable, ignore_event };

static void
server_on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct server *server = arg;
	for (int i = 0; i < CONNS_MAX; i++) {
		struct server_conn *conn = &server->conns[i];
		if (conn->stream != NULL)
			continue;
		conn->server = server;
		if (ot_io_adopt(server->io, accepted, &conn_events, conn, &conn->stream) != OT_OK)
			conn->stream = NULL;
		return;
	}
	ot_accepted_drop(server->io, accepted);
}

static void
server_stop(void *arg)
{
	struct server *server = arg;
	ot_sim_host_drain(server->host);
	for (int i = 0; i < CONNS_MAX; i++)
		conn_close(&server->conns[i]);
	ot_listener_close(server->listener);
	ot_file_unref(server->file);
	ot_sim_io_destroy(server->io);
	server->listener = NULL;
	server->file = NULL;
	server->io = NULL;
}

static void
server_start(struct server *server)
{
	server->io = ot_sim_io_create(server->host);
	server->sync = (struct ot_job){ server_sync_work, server_sync_done };
	server->is_syncing = false;
	assert_ok(
	    ot_fs_open(server->io->fs, "/numbers", OT_OPEN_WRITE | OT_OPEN_CREATE, &server->file));
	assert_ok(ot_fs_sync_dir(server->io->fs, "/"));
	assert_ok(ot_file_size(server->file, &server->place));
	server->place = (server->place + 7) / 8 * 8;
	assert_ok(ot_io_listen(server->io, "", PORT, server_on_accept, server, &server->listener));
}

/* ---- the clients ------------------------------------------------------------------------ */

static void
client_disconnect(struct client *client, int64_t pause_ms)
{
	ot_stream_close(client->stream);
	client->stream = NULL;
	client->is_sent = false;
	client->in_bytes = 0;
	ot_timer_arm_in_ms(client->io, &client->timer, pause_ms);
}

static void
client_on_writable(void *arg)
{
	struct client *client = arg;
	struct iovec piece = { .iov_base = &client->number, .iov_len = sizeof(client->number) };
	size_t bytes = 0;
	if (client->is_sent)
		return;
	ot_err err = ot_stream_write(client->stream, &piece, 1, false, &bytes);
	if (err == OT_ERR_AGAIN)
		return;
	if (err != OT_OK || bytes != sizeof(client->number)) {
		client_disconnect(client, 50);
		return;
	}
	client->is_sent = true;
	ot_stream_want(client->stream, true, false);
	/* No answer in time: a new connection. */
	ot_timer_arm_in_ms(client->io, &client->timer, 3000);
}

static void
client_next(struct client *client)
{
	client->is_acked[client->number] = true;
	client->acked_count++;
	client->number += client->step;
	assert_true(client->number < NUMBERS_MAX);
	client->is_sent = false;
	client->in_bytes = 0;
	ot_timer_cancel(client->io, &client->timer);
	ot_stream_want(client->stream, true, true);
}

static void
client_on_readable(void *arg)
{
	struct client *client = arg;
	struct iovec piece = { .iov_base = client->in + client->in_bytes,
		.iov_len = sizeof(client->in) - client->in_bytes };
	size_t bytes = 0;
	ot_err err = ot_stream_read(client->stream, &piece, 1, &bytes);
	if (err == OT_ERR_CLOSED)
		client_disconnect(client, 20);
	if (err != OT_OK)
		return;
	client->in_bytes += bytes;
	if (client->in_bytes < sizeof(client->in))
		return;
	assert_memory_equal(client->in, &client->number, sizeof(client->number));
	client_next(client);
}

static const struct ot_stream_events client_events = { client_on_readable, client_on_writable };

static void
client_on_timer(struct ot_timer *timer)
{
	struct client *client = OT_CONTAINER_OF(timer, struct client, timer);
	const struct ot_address address = { .host = "10.0.0.1", .port = PORT };
	if (client->stream != NULL) {
		client_disconnect(client, 10);
		return;
	}
	if (ot_io_connect(client->io, &address, &client_events, client, &client->stream) != OT_OK) {
		client->stream = NULL;
		ot_timer_arm_in_ms(client->io, &client->timer, 100);
		return;
	}
	/* No connection in time: another attempt. */
	ot_timer_arm_in_ms(client->io, &client->timer, 2000);
}

/* ---- the scenario ----------------------------------------------------------------------- */

static void
restart_server(struct town *town)
{
	if (ot_sim_host_is_up(town->server.host))
		return;
	ot_sim_host_restart(town->server.host);
	server_start(&town->server);
}

static void
do_fault(struct town *town)
{
	struct ot_sim_random *random = ot_sim_world_random(town->world);
	struct ot_sim_host *host = town->server.host;
	struct ot_sim_host *client = town->client_hosts[ot_sim_random_below(random, CLIENTS)];
	switch (ot_sim_random_below(random, 10)) {
	case 0:
		ot_sim_host_crash(host, OT_SIM_KILLED);
		break;
	case 1:
		ot_sim_host_crash(host, OT_SIM_POWER_LOST);
		break;
	case 2:
		if (ot_sim_host_is_up(host))
			ot_sim_disk_crash_at(ot_sim_host_disk(host),
			    ot_sim_random_between(random, 1, 30));
		break;
	case 3:
		ot_sim_host_freeze_ms(host, ot_sim_random_below(random, 3000));
		break;
	case 4:
		ot_sim_host_jump_ms(client, (int64_t)ot_sim_random_below(random, 100000) - 50000);
		break;
	case 5:
		ot_sim_net_cut(host, client);
		break;
	case 6:
		ot_sim_net_cut(client, host);
		break;
	case 7:
		ot_sim_net_heal_all(town->world);
		break;
	case 8:
		(void)ot_sim_net_reset_one(host, client);
		break;
	default:
		restart_server(town);
		break;
	}
}

static void
scenario(void *arg)
{
	struct town *town = arg;
	if (town->is_calm)
		return;
	do_fault(town);
	ot_sim_world_in_ms(town->world,
	    ot_sim_random_between(ot_sim_world_random(town->world), 1, 400), scenario, town);
}

static void
check_file(const struct town *town, struct ot_fs *fs, uint64_t *ret_missing)
{
	static bool is_there[NUMBERS_MAX];
	struct ot_file *file = NULL;
	uint64_t number = 0;
	size_t bytes = 0;
	memset(is_there, 0, sizeof(is_there));
	assert_ok(ot_fs_open(fs, "/numbers", OT_OPEN_READ, &file));
	for (uint64_t place = 0;; place += sizeof(number)) {
		assert_ok(ot_file_read(file, &number, sizeof(number), place, &bytes));
		if (bytes < sizeof(number))
			break;
		assert_true(number < NUMBERS_MAX);
		is_there[number] = true;
	}
	ot_file_unref(file);
	*ret_missing = 0;
	for (uint64_t i = 1; i < NUMBERS_MAX; i++)
		*ret_missing += town->is_acked[i] && !is_there[i];
}

static void
town_open(struct town *town, uint64_t seed, bool is_sloppy)
{
	memset(town, 0, sizeof(*town));
	town->world = ot_sim_world_create(seed);
	town->server.host = ot_sim_host_create(town->world, "10.0.0.1");
	town->server.is_sloppy = is_sloppy;
	ot_sim_host_on_crash(town->server.host, server_stop, &town->server);
	server_start(&town->server);
	for (uint64_t i = 0; i < CLIENTS; i++) {
		char address[16];
		struct client *client = &town->clients[i];
		snprintf(address, sizeof(address), "10.0.0.%d", (int)i + 2);
		town->client_hosts[i] = ot_sim_host_create(town->world, address);
		client->io = ot_sim_io_create(town->client_hosts[i]);
		client->number = i + 1;
		client->step = CLIENTS;
		client->is_acked = town->is_acked;
		ot_timer_init(&client->timer, client_on_timer);
		ot_timer_arm_in_ms(client->io, &client->timer, 1);
	}
}

static void
town_close(struct town *town)
{
	ot_sim_host_crash(town->server.host, OT_SIM_KILLED);
	for (int i = 0; i < CLIENTS; i++) {
		ot_timer_cancel(town->clients[i].io, &town->clients[i].timer);
		ot_stream_close(town->clients[i].stream);
		ot_sim_io_destroy(town->clients[i].io);
	}
	ot_sim_world_destroy(town->world);
}

static void
print_line(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

/* One history; gives what was acknowledged and is missing, and the trace's hash. */
static uint64_t
run_history(uint64_t seed, bool is_sloppy, uint64_t *ret_missing)
{
	static struct town town;
	uint64_t before_calm[CLIENTS];
	town_open(&town, seed, is_sloppy);
	ot_sim_world_in_ms(town.world, 100, scenario, &town);
	ot_sim_world_run_for_ms(town.world, FAULTY_MS);
	/* Calm: whatever was broken comes back, and everybody must get on. */
	town.is_calm = true;
	ot_sim_net_heal_all(town.world);
	ot_sim_disk_crash_at(ot_sim_host_disk(town.server.host), 0);
	restart_server(&town);
	for (int i = 0; i < CLIENTS; i++)
		before_calm[i] = town.clients[i].acked_count;
	ot_sim_host_crash(town.server.host, OT_SIM_POWER_LOST);
	restart_server(&town);
	check_file(&town, ot_sim_host_fs(town.server.host), ret_missing);
	if (*ret_missing > 0 && !is_sloppy)
		ot_sim_trace_print(ot_sim_world_trace(town.world), print_line, NULL);
	ot_sim_world_run_for_ms(town.world, CALM_MS);
	for (int i = 0; i < CLIENTS; i++)
		assert_true(town.clients[i].acked_count > before_calm[i] + 10);
	uint64_t hash = ot_sim_trace_hash(ot_sim_world_trace(town.world));
	town_close(&town);
	return hash;
}

static void
test_what_was_acknowledged_is_there(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t missing = 99;
		(void)run_history(seed, false, &missing);
		assert_int_equal(missing, 0);
	}
}

static void
test_a_server_that_does_not_sync_is_caught(void **state)
{
	(void)state;
	unsigned caught = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t missing = 0;
		(void)run_history(seed, true, &missing);
		caught += missing > 0;
	}
	assert_true(caught > SEEDS / 4);
}

static void
test_one_seed_is_one_history(void **state)
{
	(void)state;
	uint64_t missing = 0;
	for (uint64_t seed = 100; seed < 105; seed++) {
		uint64_t first = run_history(seed, false, &missing);
		assert_true(run_history(seed, false, &missing) == first);
		assert_true(run_history(seed + 1000, false, &missing) != first);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_acknowledged_is_there),
		cmocka_unit_test(test_a_server_that_does_not_sync_is_caught),
		cmocka_unit_test(test_one_seed_is_one_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
