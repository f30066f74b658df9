#include "../test.h"

#include "config/listeners.h"

static struct ot_arena arena;

static int
set_up(void **state)
{
	(void)state;
	ot_arena_init(&arena, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_arena_fini(&arena);
	return 0;
}

/* Goal: listeners of all forms are read. Method: one row of each. */
static void
listeners_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name, *host;
		uint16_t port;
	} rows[] = {
		{ "PLAINTEXT://:9092", "PLAINTEXT", "", 9092 },
		{ "plaintext://localhost:0", "PLAINTEXT", "localhost", 0 },
		{ "EXTERNAL_1://kafka-1.example.com:65535", "EXTERNAL_1", "kafka-1.example.com",
		    65535 },
		{ "SSL://[::1]:9093", "SSL", "::1", 9093 },
		{ "SSL://[fe80::1%eth0]:9093", "SSL", "fe80::1%eth0", 9093 },
		{ "SSL://::1:9093", "SSL", "::1", 9093 },
		{ "A://0.0.0.0:1", "A", "0.0.0.0", 1 },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_listener_conf listener;
		assert_ok(ot_listener_parse(rows[i].text, &arena, &listener, NULL));
		assert_string_equal(listener.name, rows[i].name);
		assert_string_equal(listener.host, rows[i].host);
		assert_int_equal(listener.port, rows[i].port);
	}
}

/* Goal: what is no listener is refused with the form that it should have. Method: bad rows. */
static void
bad_listeners_are_refused(void **state)
{
	(void)state;
	static const char *const rows[] = { "", "9092", "localhost:9092",
		"PLAINTEXT:/localhost:9092", "://localhost:9092", "PLAINTEXT://localhost",
		"PLAINTEXT://localhost:", "PLAINTEXT://localhost:70000", "PLAINTEXT://localhost:-1",
		"PLAINTEXT://[::1:9092", "PLAINTEXT://[::1]9092", "PLAINTEXT://a b:9092",
		"PLAINTEXT://a/b:9092", "PLAINTEXT://localhost:9092x" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		struct ot_listener_conf listener;
		struct ot_why why;
		assert_int_equal(ot_listener_parse(rows[i], &arena, &listener, &why),
		    OT_ERR_INVALID_CONFIG);
		assert_non_null(strstr(why.text, "NAME://host:port"));
	}
}

/* Goal: addresses with and without ports. Method: good and bad rows. */
static void
addresses(void **state)
{
	(void)state;
	struct ot_host_port address;
	assert_ok(ot_host_port_parse(OT_STR_LIT(" localhost:2181 "), 0, &arena, &address, NULL));
	assert_string_equal(address.host, "localhost");
	assert_int_equal(address.port, 2181);
	assert_ok(ot_host_port_parse(OT_STR_LIT("zk1"), 2181, &arena, &address, NULL));
	assert_int_equal(address.port, 2181);
	assert_ok(ot_host_port_parse(OT_STR_LIT("[::1]:80"), 0, &arena, &address, NULL));
	assert_string_equal(address.host, "::1");
	assert_ok(ot_host_port_parse(OT_STR_LIT("[::1]"), 80, &arena, &address, NULL));
	static const char *const bad[] = { "", ":1", "host", "host:", "host:0", "host:x", "[::1",
		"a b:1" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(bad); i++)
		assert_int_equal(ot_host_port_parse(ot_str_from(bad[i]), 0, &arena, &address, NULL),
		    OT_ERR_INVALID_CONFIG);
}

/* Goal: the map from names to protocols is read. Method: a good one, then mistakes. */
static void
protocol_map(void **state)
{
	(void)state;
	struct ot_protocol_mapping *map;
	size_t count;
	struct ot_why why;
	assert_ok(ot_protocol_map_parse(OT_STR_LIT("client:SASL_SSL, REPL : plaintext,X:SSL"),
	    &arena, &map, &count, &why));
	assert_int_equal(count, 3);
	assert_string_equal(map[0].name, "CLIENT");
	assert_int_equal(map[0].security, OT_SECURITY_SASL_SSL);
	assert_string_equal(map[1].name, "REPL");
	assert_int_equal(map[1].security, OT_SECURITY_PLAINTEXT);
	assert_int_equal(map[2].security, OT_SECURITY_SSL);
	assert_int_equal(ot_protocol_map_parse(OT_STR_LIT("A:TLS"), &arena, &map, &count, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_non_null(strstr(why.text, "TLS is no security protocol"));
	assert_int_equal(ot_protocol_map_parse(OT_STR_LIT("A"), &arena, &map, &count, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_int_equal(ot_protocol_map_parse(OT_STR_LIT(":SSL"), &arena, &map, &count, &why),
	    OT_ERR_INVALID_CONFIG);
	assert_int_equal(ot_protocol_map_parse(OT_STR_LIT("A:SSL,"), &arena, &map, &count, &why),
	    OT_ERR_INVALID_CONFIG);
}

/* Goal: names and ports stand once, but for one IPv4 and one IPv6 address. Method: pairs. */
static void
distinct_listeners(void **state)
{
	(void)state;
	static const struct {
		struct ot_listener_conf pair[2];
		ot_err err;
	} rows[] = {
		{ { { .name = "A", .host = "", .port = 1 },
		      { .name = "B", .host = "", .port = 2 } },
		    OT_OK },
		{ { { .name = "A", .host = "", .port = 0 },
		      { .name = "B", .host = "", .port = 0 } },
		    OT_OK },
		{ { { .name = "A", .host = "", .port = 1 },
		      { .name = "A", .host = "", .port = 2 } },
		    OT_ERR_INVALID_CONFIG },
		{ { { .name = "A", .host = "x", .port = 1 },
		      { .name = "B", .host = "y", .port = 1 } },
		    OT_ERR_INVALID_CONFIG },
		{ { { .name = "A", .host = "127.0.0.1", .port = 1 },
		      { .name = "B", .host = "::1", .port = 1 } },
		    OT_OK },
		{ { { .name = "A", .host = "127.0.0.1", .port = 1 },
		      { .name = "B", .host = "127.0.0.2", .port = 1 } },
		    OT_ERR_INVALID_CONFIG },
		{ { { .name = "A", .host = "::1", .port = 1 },
		      { .name = "B", .host = "", .port = 1 } },
		    OT_ERR_INVALID_CONFIG },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++)
		assert_int_equal(ot_listeners_check_distinct(rows[i].pair, 2, NULL), rows[i].err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(listeners_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_listeners_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(protocol_map, set_up, tear_down),
		cmocka_unit_test_setup_teardown(distinct_listeners, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
